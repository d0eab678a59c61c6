/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that `milgi proxy` listens on; they belong to the process, or to all workers together. */
#pragma once

#include <sys/stat.h>

#include <uv.h>

#include "common/address.h"
#include "common/options.h"

struct listener {
    struct proxy *proxy;
    int fd; /* what is not accepted waits here, whoever comes and goes; -1: over */
    char text[APP_ADDRESS_TEXT];
    bool is_file; /* a socket in the file system, by which we know it again: */
    dev_t dev;
    ino_t ino;

    uv_poll_t poll; /* of |fd|; there is one when |made| */
    bool made;
    int accepted;      /* a connection for which there was no memory yet; -1: none */
    unsigned failed_n; /* connections in a row that failed by themselves */
};

struct listeners {
    struct listener *items;
    size_t n;
};

/* Binds every address of every --listen. False: it has complained; close them anyway. */
bool listeners_open(struct listeners *l, const struct app_list *addresses);
/* This process takes no connection any more. When no other does either they are refused from here on. */
void listeners_close(struct listeners *l);
/* Takes the sockets out of the file system: nobody will listen on them any more. */
void listeners_remove(struct listeners *l);
void listeners_free(struct listeners *l);
