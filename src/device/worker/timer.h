/* SPDX-License-Identifier: Apache-2.0 */
/* A descriptor that becomes readable at a time: for devices that finish ops by the clock rather than by a thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>

struct milgi__timer {
    int fd;
    bool set; /* it may be or become readable */
};

static inline bool milgi__timer_init(struct milgi__timer *timer)
{
    timer->set = false;
    timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return timer->fd >= 0;
}

static inline void milgi__timer_fini(struct milgi__timer *timer)
{
    if (timer->fd >= 0)
        close(timer->fd);
}

/* Readable in |ns| from now, in real time; UINT64_MAX: never. */
static inline void milgi__timer_set(struct milgi__timer *timer, uint64_t ns)
{
    struct itimerspec when = { 0 };

    if (ns == UINT64_MAX && !timer->set)
        return;
    if (ns != UINT64_MAX) {
        ns += ns == 0; /* 0 would stop it */
        when.it_value.tv_sec = (time_t)(ns / 1000000000);
        when.it_value.tv_nsec = (long)(ns % 1000000000);
    }
    timer->set = ns != UINT64_MAX;
    (void)timerfd_settime(timer->fd, 0, &when, NULL);
}

/* Takes readiness back. */
static inline void milgi__timer_clear(struct milgi__timer *timer)
{
    uint64_t count;

    if (timer->set && read(timer->fd, &count, sizeof count) == (ssize_t)sizeof count)
        timer->set = false;
}
