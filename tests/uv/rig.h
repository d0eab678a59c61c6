/* SPDX-License-Identifier: Apache-2.0 */
/* Two streams of one loop over socket pairs and TCP, each of which sends a pattern and checks what comes. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "configs.h"
#include "matrix.h"
#include "milgi_uv.h"

struct end {
    struct milgi_stream *stream;
    size_t got_len, sent_len, send_len; /* sends |send_len| bytes of a pattern */
    size_t taken_len;                   /* by end_take() */
    bool opened, ended, closed, gone, keep_credit, shut_when_sent, close_when_open, drop_when_open, answers_end;
    struct milgi_reason reason;
    unsigned rooms;
    struct milgi_stream *passes_to;
};

struct rig {
    uv_loop_t loop;
    struct milgi_uv *uv;
    struct milgi_device *device;
    struct identity *root, *leaf;
    struct milgi_config *server, *client;
    struct end a, b;
    uv_timer_t limit, later;
    void (*at_later)(struct rig *r);
    bool stopped, late;
};

void send_more(struct end *e);
void on_open(struct milgi_stream *stream, void *arg);
void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason);
void on_gone(void *arg);
/* For struct matrix_host; the ways are those of a stream that is given up: dropped, reset, cut. */
struct matrix_state end_state(const struct end *e);
void end_send(struct end *e, size_t len, bool last);
void end_hold(struct end *e, bool on);
size_t end_take(struct end *e, size_t most);
void end_in_order(const struct end *e);
#define END_WAYS 3u
void end_break_off(struct end *e, unsigned way);
void rig_open(struct rig *r, const char *device, const struct milgi_stream_options *options);
/* The same in an engine that has |memory| bytes. */
void rig_open_with(struct rig *r, size_t memory);
void rig_close(struct rig *r);
void client_on(struct rig *r, int fd);
void server_on(struct rig *r, int fd);
void both(struct rig *r);
void run(struct rig *r);
void run_until(struct rig *r, const bool *what);
void later(struct rig *r, uint64_t ms, void (*what)(struct rig *r));
void tcp_server(struct rig *r, uv_tcp_t *tcp, struct sockaddr_in *address);
int raw_client(const struct sockaddr_in *address);
int listener(struct sockaddr_in *address);
void slow_reader(struct rig *r, uint64_t credit);
void turns(struct rig *r, unsigned n);
void settle(struct rig *r, uint64_t ms);
extern const struct milgi_stream_events events;
