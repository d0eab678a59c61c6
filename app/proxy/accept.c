/* SPDX-License-Identifier: Apache-2.0 */
/* Accepting: from every listener while there is room, and from none when there is not. */
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/say.h"

#define BACKLOG 1024
#define HELD_MS 100 /* how long accepting pauses when no descriptor is left */

static void hold(struct proxy *p);

/* False: it waits still, for memory. */
static bool accept_one(struct listener *l)
{
    struct proxy *p = l->proxy;
    struct client *c = calloc(1, sizeof *c);
    l->waits = !c;
    if (!c)
        return false;
    c->proxy = p;
    c->life.client = c->request.client = c;
    int rv = p->options->accept_proxy
        ? preface_start(c, (uv_stream_t *)&l->handle)
        : milgi_uv_accept(
              p->tls.uv, (uv_stream_t *)&l->handle, p->tls.material.config, &clients_events, c, &c->stream);
    /* Only MILGI_ETRANSPORT says that there is nothing left to accept: after any other error it still waits. */
    l->waits = rv && rv != MILGI_ETRANSPORT;
    if (!rv) {
        clients_add(c);
        return true;
    }
    app_complain("cannot accept a connection: %s", milgi_error_text(rv));
    free(c);
    return false;
}

static void on_held(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    for (size_t i = 0; i < p->listeners.n; i++) {
        struct listener *l = &p->listeners.items[i];
        if (l->waits && l->state == LISTENING && !accept_one(l))
            hold(p);
    }
    proxy_listen(p);
}

static void hold(struct proxy *p)
{
    if (!p->stopping)
        uv_timer_start(&p->held, on_held, HELD_MS, 0);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct listener *l = server->data;
    struct proxy *p = l->proxy;
    if (status == UV_EMFILE || status == UV_ENFILE) {
        app_complain("no descriptor left: connections have to wait");
        hold(p);
    }
    if (!status && !accept_one(l))
        hold(p);
    proxy_listen(p);
}

static void on_deaf(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    l->state = LISTENING_NOT;
    proxy_listen(l->proxy);
}

static void begin(struct listener *l)
{
    struct proxy *p = l->proxy;
    int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0), rv = fd < 0 ? uv_translate_sys_error(errno) : 0;
    if (!rv) {
        uv_tcp_init(&p->loop, &l->handle);
        l->handle.data = l;
        l->state = LISTENING;
        rv = uv_tcp_open(&l->handle, fd);
        if (rv)
            close(fd);
    }
    if (!rv)
        rv = uv_listen((uv_stream_t *)&l->handle, BACKLOG, on_connection);
    if (!rv)
        return;
    app_complain("cannot listen on %s: %s", l->text, uv_strerror(rv));
    hold(p);
    if (l->state == LISTENING) {
        l->state = LISTENING_ENDS;
        uv_close((uv_handle_t *)&l->handle, on_deaf);
    }
}

/*
 * Without room it does not listen: what is not accepted stays with the kernel, for another worker or for later. What
 * libuv has accepted and nobody had memory for is not given up.
 */
static void listen_one(struct listener *l, bool wants)
{
    struct proxy *p = l->proxy;
    if (wants && l->state == LISTENING_NOT)
        begin(l);
    if (wants || l->state != LISTENING || (l->waits && !p->stopping && !p->draining))
        return;
    if (l->waits && !p->stopping)
        accept_one(l);
    l->state = LISTENING_ENDS;
    uv_close((uv_handle_t *)&l->handle, on_deaf);
}

void proxy_listen(struct proxy *p)
{
    for (size_t i = 0; i < p->listeners.n; i++) {
        bool held = uv_is_active((uv_handle_t *)&p->held);
        bool wants = p->serving && !p->draining && !p->stopping && !held && p->clients_n < p->max_conns;
        p->listeners.items[i].proxy = p;
        listen_one(&p->listeners.items[i], wants);
    }
}
