/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets that `milgi proxy` listens on; they belong to the process, or to all workers together. */
#pragma once

#include <sys/stat.h>

#include <uv.h>

#include "common/address.h"
#include "common/options.h"

/*
 * The kernel holds no more of a stream than what is on its way and this, however slowly the peer reads: else a crowd of
 * slow readers would use up the memory that TCP has on the whole machine. What is more waits in the connection, whose
 * memory is bounded.
 */
#define PROXY_UNSENT_MAX (128 << 10)
/* Sockets other than of TCP do not know it, and have their bound: net.core.wmem_default. */
void proxy_bound_unsent(int fd);

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
    unsigned at_once;  /* how many were asked for in the turn */
    uint64_t turn;     /* of the loop, when some were there last, */
    bool all_taken;    /* and there may have been more */
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
