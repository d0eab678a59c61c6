/* SPDX-License-Identifier: Apache-2.0 */
/* evhttp: it serves over TLS and does not know it. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pairs.h"

/*
 * evhttp asks for a bufferevent before it tells whose, and knows the descriptor by its number to the end, when it shuts
 * it down. So the pair's end gets that number, the network another one; before anything was read, since nothing but
 * what is active already comes before |adopt|, and nothing frees what evhttp frees till then.
 */
static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
    struct server *server = arg;
    struct milgi_event *event = server->event;
    struct milgi__waiting *w = malloc(sizeof *w);
    if (w)
        *w = (struct milgi__waiting){ bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE), server, NULL };
    if (!w || !w->bev)
        abort(); /* else it would go on without TLS */
    *event->waiting_last = w;
    event->waiting_last = &w->next;
    event_active(&event->adopt, EV_TIMEOUT, 0);
    return w->bev;
}

static void adopt(struct milgi_event *event, struct bufferevent *bev, struct server *server)
{
    evutil_socket_t accepted = bufferevent_getfd(bev);
    int pair[2] = { -1, -1 };
    bufferevent_setfd(bev, -1);
    int fd = fcntl(accepted, F_DUPFD_CLOEXEC, 0);
    if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair)) {
        /* It reads an end, and frees the connection. What has come already it would read even behind a shutdown(). */
        dup3(server->nobody, accepted, O_CLOEXEC);
    } else {
        dup3(pair[0], accepted, O_CLOEXEC);
        close(pair[0]);
        pair[0] = accepted;
    }
    bufferevent_setfd(bev, accepted);
    if (pair[1] >= 0 && !milgi__link_new(event, bev, pair, fd, server->config, NULL))
        return;
    if (fd >= 0)
        close(fd);
    if (pair[1] >= 0)
        close(pair[1]);
}

void milgi__http_adopt(evutil_socket_t fd, short what, void *arg)
{
    struct milgi_event *event = arg;
    (void)fd, (void)what;
    while (event->waiting_first) {
        struct milgi__waiting *w = event->waiting_first;
        bufferevent_event_cb cb;
        event->waiting_first = w->next;
        bufferevent_getcb(w->bev, NULL, NULL, &cb, NULL);
        if (cb) /* else evhttp has freed it already */
            adopt(event, w->bev, w->server);
        free(w);
    }
    event->waiting_last = &event->waiting_first;
}

int milgi_event_serve(struct milgi_event *event, struct evhttp *http, struct milgi_config *config)
{
    int pair[2];
    struct server *server = malloc(sizeof *server);
    if (!server)
        return MILGI_ENOMEM;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair)) {
        free(server);
        return MILGI_ELIMIT;
    }
    close(pair[1]);
    *server = (struct server){ event, milgi_config_ref(config), event->servers, pair[0] };
    event->servers = server;
    evhttp_set_bevcb(http, on_accept, server);
    return 0;
}

void milgi__http_free(struct milgi_event *event)
{
    while (event->servers) {
        struct server *next = event->servers->next;
        milgi_config_unref(event->servers->config);
        close(event->servers->nobody);
        free(event->servers);
        event->servers = next;
    }
}
