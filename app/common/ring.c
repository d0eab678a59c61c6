/* SPDX-License-Identifier: Apache-2.0 */
/* See ring.h; no_ring.c where liburing is not. */
#include "common/ring.h"

#include <stdlib.h>

#include <milgi_uring.h>

struct app_ring {
    struct milgi_uring *uring;
    uv_loop_t *loop;
    uv_check_t alive; /* keeps the loop alive while there are streams, and does nothing */
    bool stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

static void on_check(uv_check_t *check)
{
    (void)check;
}

/* Else a connection that was silent for a minute would begin everything a minute ago. */
static void on_awake(void *arg)
{
    struct app_ring *ring = arg;
    uv_update_time(ring->loop);
}

static void on_libuv(void *arg)
{
    (void)arg; /* the loop has its turn as soon as the ring has had its own */
}

struct app_ring *app_ring_new(uv_loop_t *loop, const struct milgi_stream_options *options)
{
    struct app_ring *ring = calloc(1, sizeof *ring);
    if (!ring || milgi_uring_new(options, &ring->uring)) {
        free(ring);
        return NULL;
    }
    ring->loop = loop;
    milgi_uring_watch(ring->uring, uv_backend_fd(loop), on_awake, on_libuv, ring);
    uv_check_init(loop, &ring->alive);
    uv_check_start(&ring->alive, on_check);
    uv_unref((uv_handle_t *)&ring->alive);
    ring->alive.data = ring;
    return ring;
}

struct milgi_engine *app_ring_engine(const struct app_ring *ring)
{
    return milgi_uring_engine(ring->uring);
}

int app_ring_open(struct app_ring *ring, int fd, struct milgi_config *config, const struct milgi_stream_events *events,
    void *arg, struct milgi_stream **stream)
{
    return milgi_uring_open(ring->uring, fd, config, NULL, events, arg, stream);
}

void app_ring_stop(struct app_ring *ring, void (*stopped)(void *arg), void *arg)
{
    if (ring->stopping)
        return;
    ring->stopping = true;
    ring->stopped = stopped;
    ring->stopped_arg = arg;
    milgi_uring_stop(ring->uring, NULL, NULL);
}

static void on_closed(uv_handle_t *handle)
{
    struct app_ring *ring = handle->data;
    if (ring->stopped)
        ring->stopped(ring->stopped_arg);
    free(ring);
}

static void keep_alive(struct app_ring *ring)
{
    if (ring->stopping || milgi_uring_streams(ring->uring))
        uv_ref((uv_handle_t *)&ring->alive);
    else
        uv_unref((uv_handle_t *)&ring->alive);
}

void app_ring_run(struct app_ring *ring)
{
    for (;;) {
        keep_alive(ring);
        uv_run(ring->loop, UV_RUN_NOWAIT);
        keep_alive(ring);
        if (!uv_loop_alive(ring->loop))
            return;
        if (milgi_uring_run(ring->uring, uv_backend_timeout(ring->loop)) < 0)
            break;
    }
    uv_close((uv_handle_t *)&ring->alive, on_closed);
    uv_run(ring->loop, UV_RUN_DEFAULT);
}
