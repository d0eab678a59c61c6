/* SPDX-License-Identifier: Apache-2.0 */
/* See ring.h: in the place of ring.c where liburing is not. */
#include <errno.h>

#include "common/ring.h"

struct app_ring *app_ring_new(uv_loop_t *loop, const struct milgi_stream_options *options)
{
    (void)loop;
    (void)options;
    errno = ENOSYS;
    return NULL;
}

struct milgi_engine *app_ring_engine(const struct app_ring *ring)
{
    (void)ring;
    return NULL;
}

int app_ring_open(struct app_ring *ring, int fd, struct milgi_config *config, const struct milgi_stream_events *events,
    void *arg, struct milgi_stream **stream)
{
    (void)ring;
    (void)fd;
    (void)config;
    (void)events;
    (void)arg;
    *stream = NULL;
    return MILGI_EUNSUPPORTED;
}

void app_ring_stop(struct app_ring *ring, void (*stopped)(void *arg), void *arg)
{
    (void)ring;
    (void)stopped;
    (void)arg;
}

void app_ring_run(struct app_ring *ring)
{
    (void)ring;
}
