/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libevent behind the hooks of adapters/common: the engine's descriptor and timers in the base. The transport is in
 * network.c; beyond the stream is a socket pair, whose other end is the application's bufferevent: ends.c.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "pairs.h"

static struct milgi_event *event_of(struct milgi_loop *loop)
{
    return (struct milgi_event *)loop;
}

void milgi__link_reap_later(struct link *l)
{
    if (!l->reaps) {
        l->reaps = true;
        l->reaped_next = l->event->reaped_first;
        l->event->reaped_first = l;
    }
    event_active(&l->event->reap, EV_TIMEOUT, 0);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    milgi__loop_turn(&((struct milgi_event *)arg)->common);
}

/* A timer of no time is looked at right after the base has polled, behind what that has brought. */
static void soon(struct milgi_loop *loop)
{
    static const struct timeval now = { 0, 0 };
    if (!evtimer_pending(&event_of(loop)->turn, NULL))
        event_add(&event_of(loop)->turn, &now);
}

static void on_completions(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    soon(arg);
}

static void set_timer(struct milgi_event *event)
{
    uint64_t now = milgi__loop_now(&event->common);
    uint64_t left_us = event->due_ns > now ? (event->due_ns - now) / 1000 + 1 : 1;
    struct timeval tv = { (time_t)(left_us / 1000000), (suseconds_t)(left_us % 1000000) };
    event_add(&event->timer, &tv);
}

/* The base's clock is coarse and its time that of its last poll: what comes too early is set again. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct milgi_event *event = arg;
    (void)fd, (void)what;
    if (milgi__loop_now(&event->common) < event->due_ns) {
        set_timer(event);
        return;
    }
    event->due_ns = UINT64_MAX;
    milgi__loop_timer(&event->common);
}

static void timer(struct milgi_loop *loop, uint64_t due_ns)
{
    struct milgi_event *event = event_of(loop);
    if (due_ns == event->due_ns)
        return;
    event->due_ns = due_ns;
    if (due_ns == UINT64_MAX)
        event_del(&event->timer);
    else
        set_timer(event);
}

static const char *error_text(int error)
{
    return strerror(-error);
}

static const struct milgi_loop_hooks hooks = {
    .soon = soon,
    .timer = timer,
    .read = milgi__network_read,
    .write = milgi__network_write,
    .shut = milgi__network_shut,
    .close = milgi__network_close,
    .unsent = milgi__network_unsent,
    .error_text = error_text,
};

/* --- its life ----------------------------------------------------------------------------------------------------- */

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
    struct milgi_event *event = arg;
    (void)fd, (void)what;
    while (event->reaped_first) {
        struct link *l = event->reaped_first;
        event->reaped_first = l->reaped_next;
        l->reaps = false;
        if (l->fd < 0 && !l->gone) {
            l->gone = true;
            milgi__stream_gone(&l->common);
        }
        if (l->gone && l->has_left)
            milgi__link_free(l);
    }
    if (!event->links)
        event_del(&event->ends);
    if (!event->common.streams_n) {
        event_del(&event->completions);
        event_del(&event->timer);
        event->due_ns = UINT64_MAX;
    }
}

/* libevent writes to sockets as to files, so that a peer that has gone would end the process. */
static void outlive_peers(void)
{
    struct sigaction action;
    if (!sigaction(SIGPIPE, NULL, &action) && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

int milgi_event_new(
    struct event_base *base, const struct milgi_stream_options *options, struct milgi_event **out)
{
    *out = NULL;
    struct milgi_event *event = calloc(1, sizeof *event);
    if (!event)
        return MILGI_ENOMEM;
    event->base = base;
    event->due_ns = UINT64_MAX;
    event->waiting_last = &event->waiting_first;
    event->ends_fd = epoll_create1(EPOLL_CLOEXEC);
    int rv = event->ends_fd < 0 ? MILGI_ELIMIT : milgi__loop_init(&event->common, &hooks, options);
    if (rv) {
        if (event->ends_fd >= 0)
            close(event->ends_fd);
        free(event);
        return rv;
    }
    int fd = milgi_engine_fd(event->common.engine);
    event_assign(&event->completions, base, fd, EV_READ | EV_PERSIST, on_completions, event);
    event_assign(&event->ends, base, event->ends_fd, EV_READ | EV_PERSIST, milgi__links_left, event);
    evtimer_assign(&event->turn, base, on_turn, event);
    evtimer_assign(&event->timer, base, on_timer, event);
    evtimer_assign(&event->reap, base, on_reap, event);
    evtimer_assign(&event->adopt, base, milgi__http_adopt, event);
    event_priority_set(&event->adopt, 0);
    outlive_peers();
    *out = event;
    return 0;
}

void milgi_event_free(struct milgi_event *event)
{
    if (!event)
        return;
    milgi__loop_stop(&event->common);
    for (struct link *l = event->links; l; l = l->next) {
        bool has_end = l->eof_done && !l->failed_told; /* the peer's own, perhaps not read yet */
        if (!l->failed_told && !l->eof_done)
            milgi__link_tell(l, BEV_EVENT_READING | BEV_EVENT_ERROR, ECONNABORTED);
        if (!has_end && milgi__link_is_live(l))
            bufferevent_disable(l->app, EV_READ | EV_WRITE); /* it would take our leaving for an end */
        milgi__link_forget(l);
        l->has_left = true;
        milgi__link_reap_later(l);
    }
    milgi__http_adopt(-1, 0, event);
    on_reap(-1, 0, event);
    struct event *events[] = { &event->completions, &event->ends, &event->turn, &event->timer, &event->reap,
        &event->adopt };
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        event_del(events[i]);
    close(event->ends_fd);
    milgi__http_free(event);
    milgi_engine_free(event->common.engine);
    free(event->at);
    free(event);
}

struct milgi_engine *milgi_event_engine(struct milgi_event *event)
{
    return event->common.engine;
}

unsigned milgi_event_streams(const struct milgi_event *event)
{
    return event->common.streams_n;
}

void milgi_event_on_decide(struct milgi_event *event,
    void (*decide)(void *arg, struct bufferevent *bev, struct milgi_conn *conn, const struct milgi_decision *decision),
    void *arg)
{
    event->on_decide = decide;
    event->decide_arg = arg;
}
