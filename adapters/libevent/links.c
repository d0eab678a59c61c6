/* SPDX-License-Identifier: Apache-2.0 */
/* A connection: a stream, a pair, and the bufferevent at its other end. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pairs.h"

void milgi__link_free(struct link *l)
{
    struct event *events[] = { &l->readable, &l->writable, &l->up, &l->down, &l->read, &l->patience };
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        event_del(events[i]);
    *l->prev = l->next;
    if (l->next)
        l->next->prev = l->prev;
    milgi__link_drop_held(l);
    evbuffer_free(l->wire);
    evbuffer_free(l->plain);
    epoll_ctl(l->event->ends_fd, EPOLL_CTL_DEL, l->inner, NULL);
    close(l->inner);
    free(l);
}

/* Those of |l| that were made so far. */
static int give_back(struct link *l, int error)
{
    if (l->wire)
        evbuffer_free(l->wire);
    if (l->plain)
        evbuffer_free(l->plain);
    free(l);
    return error;
}

/* Room in the table for the descriptor |fd|. */
static int make_place(struct milgi_event *event, evutil_socket_t fd)
{
    size_t n = event->at_n ? event->at_n : 64;
    while (n <= (size_t)fd)
        n *= 2;
    struct link **at = n > event->at_n ? realloc(event->at, n * sizeof(struct link *)) : event->at;
    if (!at)
        return MILGI_ENOMEM;
    memset(at + event->at_n, 0, (n - event->at_n) * sizeof(struct link *));
    event->at = at;
    event->at_n = n;
    return 0;
}

int milgi__link_new(struct milgi_event *event, struct bufferevent *app, const int pair[2], evutil_socket_t fd,
    struct milgi_config *config, const char *server_name)
{
    struct link *l = calloc(1, sizeof *l);
    if (!l)
        return MILGI_ENOMEM;
    l->event = event;
    l->app = app;
    l->fd = fd;
    l->outer = pair[0];
    l->inner = pair[1];
    l->wire = evbuffer_new();
    l->plain = evbuffer_new();
    if (!l->wire || !l->plain || make_place(event, l->outer))
        return give_back(l, MILGI_ENOMEM);
    int rv = milgi__stream_init(&l->common, &event->common, config, server_name, &milgi__link_events, l);
    if (rv)
        return give_back(l, rv);
    milgi__network_assign(l);
    milgi__link_assign(l);
    if (milgi__link_watch(l)) {
        milgi__stream_fini(&l->common);
        return give_back(l, MILGI_ENOMEM);
    }
    l->prev = &event->links;
    l->next = event->links;
    if (l->next)
        l->next->prev = &l->next;
    event->links = l;
    event->at[l->outer] = l;
    return 0;
}

int milgi_bufferevent_new(struct milgi_event *event, evutil_socket_t fd, struct milgi_config *config,
    const char *server_name, int options, struct bufferevent **bev)
{
    int pair[2];
    *bev = NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
        return MILGI_ELIMIT;
    struct bufferevent *app = bufferevent_socket_new(event->base, pair[0], options | BEV_OPT_CLOSE_ON_FREE);
    if (!app)
        close(pair[0]);
    evutil_make_socket_nonblocking(fd);
    int rv = app ? milgi__link_new(event, app, pair, fd, config, server_name) : MILGI_ENOMEM;
    if (!rv) {
        *bev = app;
        return 0;
    }
    close(pair[1]);
    if (app)
        bufferevent_free(app);
    return rv;
}

static struct link *find(struct milgi_event *event, struct bufferevent *bev)
{
    evutil_socket_t fd = bufferevent_getfd(bev);
    struct link *l = fd >= 0 && (size_t)fd < event->at_n ? event->at[fd] : NULL;
    return l && l->app == bev && !milgi__link_is_closed(l) ? l : NULL;
}

struct milgi_conn *milgi_bufferevent_conn(struct milgi_event *event, struct bufferevent *bev)
{
    struct link *l = find(event, bev);
    return l ? milgi_stream_conn(&l->common) : NULL;
}

const struct milgi_reason *milgi_bufferevent_reason(struct milgi_event *event, struct bufferevent *bev)
{
    struct link *l = find(event, bev);
    return l && l->has_reason ? &l->reason : NULL;
}

int milgi_bufferevent_shutdown(struct milgi_event *event, struct bufferevent *bev)
{
    struct link *l = find(event, bev);
    if (!l || l->over)
        return MILGI_ECLOSED;
    if (!l->shut)
        l->shut_at = l->written;
    l->shut = true;
    milgi__link_end_if_shut(l);
    return 0;
}

int milgi_bufferevent_cut(struct milgi_event *event, struct bufferevent *bev)
{
    struct link *l = find(event, bev);
    if (!l || l->over)
        return MILGI_ECLOSED;
    l->over = l->failed_told = l->eof_done = true;
    milgi__link_drop_held(l);
    milgi_stream_cut(&l->common);
    event_add(&l->up, NULL);
    return 0;
}
