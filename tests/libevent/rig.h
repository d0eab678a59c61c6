/* SPDX-License-Identifier: Apache-2.0 */
/* Bufferevents of one base, each of which sends a pattern and checks what comes. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "configs.h"
#include "matrix.h"
#include "milgi_event.h"

/* Callbacks, from which an end may be freed. */
enum moment {
    NEVER,
    AT_READ,
    AT_WRITE,
    AT_CONNECTED,
    AT_EOF,
    AT_ERROR,
    MOMENTS
};

struct end {
    struct rig *rig;
    struct bufferevent *bev;
    size_t got_len, sent_len, send_len; /* sends |send_len| bytes of the pattern */
    enum moment free_at;
    bool shut_when_sent, freed;
    bool frees_at_eof, echoes;
    bool connected, eof, error, timed_out, heard_last;
    short what; /* of the last event */
    struct milgi_reason reason;
};

struct rig {
    struct event_base *base;
    struct milgi_event *event;
    struct milgi_device *device;
    struct identity *root, *leaf;
    struct milgi_config *server, *client;
    struct end a, b;
    struct event *limit;
    bool late;
    unsigned descriptors; /* before the rig */
};

/* |device| NULL: none besides the cpu; |options| NULL: a stream lingers for 100 ms. */
void rig_open(struct rig *r, const char *device, const struct milgi_stream_options *options);
/* Frees ends that are left, and waits until no connection is; then no descriptor is, either. */
void rig_close(struct rig *r);
void end_start(struct rig *r, struct end *e, struct bufferevent *bev);
void client_on(struct rig *r, int fd);
void server_on(struct rig *r, int fd);
void both(struct rig *r);
void end_free(struct end *e);
/* Sends more, as far as the output is empty. */
void send_more(struct end *e);
/* Once round the base, when there is something to do. */
void step(struct rig *r);
void run_until(struct rig *r, const bool *what);
void run_until_sent(struct rig *r, struct end *e, size_t len);
void run_until_got(struct rig *r, struct end *e, size_t len);
void run_until_streams(struct rig *r, unsigned n);
void turns(struct rig *r, unsigned n);
