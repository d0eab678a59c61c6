/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients' sockets in a ring of io_uring: the loop of a process is the ring's, and libuv's, which has all else, lives
 * inside of it. As the functions of milgi_uv.h that are called alike.
 */
#pragma once

#include <uv.h>

#include <milgi_stream.h>

struct app_ring;

/* NULL: there is none, and errno says why; ENOSYS: this command was built without. */
struct app_ring *app_ring_new(uv_loop_t *loop, const struct milgi_stream_options *options);
struct milgi_engine *app_ring_engine(const struct app_ring *ring);
int app_ring_open(struct app_ring *ring, int fd, struct milgi_config *config, const struct milgi_stream_events *events,
    void *arg, struct milgi_stream **stream);
/* |stopped| is called from app_ring_run(), and then |ring| is gone. */
void app_ring_stop(struct app_ring *ring, void (*stopped)(void *arg), void *arg);
/* Until nothing is alive in either loop, or the ring has stopped. */
void app_ring_run(struct app_ring *ring);
