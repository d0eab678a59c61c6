/* SPDX-License-Identifier: Apache-2.0 */
/* Connections over TCP between clients and a listener of one ring, without libuv. */
#pragma once

#include "../uv/rig.h"

#include "../../adapters/uring/ring.h"

#define ROOM_MAX 1024u

struct room {
    struct milgi_uring *u;
    struct milgi_device *device;
    struct identity *root, *leaf;
    struct milgi_config *server, *client;
    struct milgi_uring_listener *listener;
    struct end served[ROOM_MAX];
    unsigned served_n, refused_n;
    int fd;
    struct sockaddr_in address;
    unsigned descriptors;
};

/* |device| NULL: cpu. Nothing ends because a machine is slow. */
void room_open(struct room *r, const char *device);
/* Everything has to be back. */
void room_close(struct room *r);
void connect_to(struct room *r, struct end *e);
void run_for(struct room *r, const bool *what);
void run_for_bytes(struct room *r, const struct end *e, size_t len);
