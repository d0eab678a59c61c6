/* SPDX-License-Identifier: Apache-2.0 */
/* See milgi_uv.h. */
#include "milgi_uv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct milgi_uv {
    struct milgi_uring *uring;
    uv_check_t alive; /* as long as there are streams: it does nothing */
    bool stops;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

static struct milgi_uv *the_ring; /* of the one loop that a test has */

int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode);
int __real_uv_run(uv_loop_t *loop, uv_run_mode mode);

static bool was_stopped;

void __wrap_uv_stop(uv_loop_t *loop);

void __wrap_uv_stop(uv_loop_t *loop)
{
    (void)loop;
    was_stopped = true;
}

/* What libuv takes for the time is from before the wait, of which it does not know. */
static void on_awake(void *arg)
{
    uv_update_time(((struct milgi_uv *)arg)->alive.loop);
}

static void on_libuv(void *arg)
{
    (void)arg; /* libuv has its turn anyway */
}

static void on_check(uv_check_t *check)
{
    (void)check;
}

static void on_closed(uv_handle_t *handle)
{
    struct milgi_uv *uv = handle->data;
    if (uv->stopped)
        uv->stopped(uv->stopped_arg);
    free(uv);
}

static bool stays_alive(struct milgi_uv *uv)
{
    bool alive = uv->stops || milgi_uring_streams(uv->uring);
    if (alive)
        uv_ref((uv_handle_t *)&uv->alive);
    else
        uv_unref((uv_handle_t *)&uv->alive);
    return alive;
}

/* One iteration of both loops, of which the ring's waits. */
static void iterate(uv_loop_t *loop, uv_run_mode mode)
{
    struct milgi_uv *uv = the_ring;
    stays_alive(uv);
    __real_uv_run(loop, UV_RUN_NOWAIT);
    stays_alive(uv);
    int rv = milgi_uring_run(uv->uring, mode == UV_RUN_NOWAIT || was_stopped ? 0 : uv_backend_timeout(loop));
    if (rv >= 0 && mode == UV_RUN_NOWAIT)
        rv = milgi_uring_run(uv->uring, 0); /* to the kernel what has come of it */
    if (rv >= 0)
        return;
    the_ring = NULL;
    uv_close((uv_handle_t *)&uv->alive, on_closed);
}

int __wrap_uv_run(uv_loop_t *loop, uv_run_mode mode)
{
    bool lives = true;
    was_stopped = false;
    if (!the_ring)
        return __real_uv_run(loop, mode);
    while (the_ring && lives) {
        iterate(loop, mode);
        lives = (!the_ring || stays_alive(the_ring) || uv_loop_alive(loop));
        if (mode != UV_RUN_DEFAULT || was_stopped)
            return lives;
    }
    return lives ? __real_uv_run(loop, mode) : 0;
}

int milgi_uv_new(uv_loop_t *loop, const struct milgi_stream_options *options, struct milgi_uv **out)
{
    struct milgi_uv *uv = calloc(1, sizeof *uv);
    *out = NULL;
    int rv = uv ? milgi_uring_new(options, &uv->uring) : MILGI_ENOMEM;
    if (rv) {
        free(uv);
        return rv;
    }
    uv_check_init(loop, &uv->alive);
    milgi_uring_watch(uv->uring, uv_backend_fd(loop), on_awake, on_libuv, uv);
    uv_check_start(&uv->alive, on_check);
    uv->alive.data = uv;
    *out = the_ring = uv;
    return 0;
}

void milgi_uv_stop(struct milgi_uv *uv, void (*stopped)(void *arg), void *arg)
{
    uv->stops = true;
    uv->stopped = stopped;
    uv->stopped_arg = arg;
    milgi_uring_stop(uv->uring, NULL, NULL);
}

/* Where the kernel has no ring for us nothing is tried. */
__attribute__((constructor)) static void skip(void)
{
    struct milgi_uring *uring;
    if (milgi_uring_new(NULL, &uring) == MILGI_EUNSUPPORTED) {
        printf("skipped: no io_uring here: %s\n", strerror(errno));
        exit(77);
    }
    milgi_uring_stop(uring, NULL, NULL);
    while (milgi_uring_run(uring, -1) >= 0) {
    }
}

struct milgi_engine *milgi_uv_engine(struct milgi_uv *uv)
{
    return milgi_uring_engine(uv->uring);
}

unsigned milgi_uv_streams(const struct milgi_uv *uv)
{
    return milgi_uring_streams(uv->uring);
}

static void on_accepted(uv_handle_t *handle)
{
    free(handle);
}

int milgi_uv_accept(struct milgi_uv *uv, uv_stream_t *server, struct milgi_config *config,
    const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream)
{
    uv_tcp_t *tcp = malloc(sizeof *tcp);
    uv_os_fd_t fd;
    uv_tcp_init(server->loop, tcp);
    int rv = uv_accept(server, (uv_stream_t *)tcp) || uv_fileno((uv_handle_t *)tcp, &fd) ? -1 : dup(fd);
    uv_close((uv_handle_t *)tcp, on_accepted);
    return milgi_uv_open(uv, rv, config, NULL, events, arg, stream);
}

int milgi_uv_connect(struct milgi_uv *uv, const struct sockaddr *address, struct milgi_config *config,
    const char *server_name, const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream)
{
    return milgi_uring_connect(
        uv->uring, address, sizeof(struct sockaddr_in), config, server_name, events, arg, stream);
}

int milgi_uv_open(struct milgi_uv *uv, uv_os_sock_t fd, struct milgi_config *config, const char *server_name,
    const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream)
{
    return milgi_uring_open(uv->uring, fd, config, server_name, events, arg, stream);
}
