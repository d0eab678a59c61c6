/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting: from every listener while there is room, and from none when there is not. Not by libuv, which closes those
 * who wait when descriptors run out, so as to be rid of them.
 */
#include "proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/say.h"

#define AT_ONCE 16u        /* connections, before those that are there have their turn */
#define HELD_MS 100        /* how long accepting pauses when it fails */
#define SAY_AGAIN_MS 10000 /* that it does */

static void on_held(uv_timer_t *timer);

/* For a moment. */
static void hold(struct proxy *p, const char *where, const char *why)
{
    uint64_t now = uv_now(&p->loop);
    if (!p->held_told_ms || now - p->held_told_ms >= SAY_AGAIN_MS) {
        app_complain("cannot accept at %s: %s: connections have to wait", where, why);
        p->held_told_ms = now;
    }
    if (!p->stopping)
        uv_timer_start(&p->held, on_held, HELD_MS, 0);
}

/* Of the next that waits, and who it is: later the socket might not say any more. Or a negative errno. */
static int next_of(struct listener *l, struct sockaddr_storage *from)
{
    socklen_t len = sizeof *from;
    int fd = l->accepted;
    if (fd < 0) {
        fd = accept4(l->fd, (struct sockaddr *)from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        return fd < 0 ? -errno : fd;
    }
    l->accepted = -1;
    if (getpeername(fd, (struct sockaddr *)from, &len))
        from->ss_family = AF_UNSPEC;
    return fd;
}

/* The backend is told by which address the client came. */
static void know_end(struct client *c, int fd)
{
    socklen_t len = sizeof c->ends.to;
    if (c->proxy->options->introduce != APP_INTRODUCE_NOT && getsockname(fd, (struct sockaddr *)&c->ends.to, &len))
        c->ends = (struct proxy_ends){ .from.ss_family = AF_UNSPEC, .to.ss_family = AF_UNSPEC };
}

/*
 * Errors of one connection, which has gone before it was accepted (accept(2), "Error handling"). A listener may have
 * the same for ever, by a filter of system calls for instance: so many of them in a row are taken for that.
 */
static bool is_its_own(int error)
{
    static const int errors[] = { EINTR, ECONNABORTED, ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH,
        EOPNOTSUPP, ENETUNREACH, EPERM, ETIMEDOUT };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (error == errors[i])
            return true;
    return false;
}

/* True: the next may do better. */
static bool accept_failed(struct listener *l, int error)
{
    if (error == EAGAIN) {
        l->failed_n = 0; /* whoever failed is not in the queue any more */
        return false;
    }
    if (is_its_own(error) && ++l->failed_n < AT_ONCE)
        return true;
    hold(l->proxy, l->text, strerror(error));
    return false;
}

/* False: there is no other, or it has to wait. */
static bool accept_one(struct listener *l)
{
    struct proxy *p = l->proxy;
    struct client *c = calloc(1, sizeof *c);
    int fd = c ? next_of(l, &c->ends.from) : -ENOMEM;
    if (fd < 0) {
        free(c);
        return accept_failed(l, -fd);
    }
    l->failed_n = 0;
    c->proxy = p;
    c->life.client = c->request.client = c;
    know_end(c, fd);
    int rv = p->options->accept_proxy
        ? preface_start(c, fd)
        : app_tls_accept(&p->tls, fd, &clients_events, c, &c->stream);
    if (!rv) {
        clients_add(c);
        return true;
    }
    free(c);
    l->accepted = fd; /* not given up: there may be memory in a moment */
    hold(p, l->text, milgi_error_text(rv));
    return false;
}

static bool may_accept(const struct proxy *p)
{
    bool held = uv_is_active((const uv_handle_t *)&p->held);
    return p->serving && !p->draining && !p->stopping && !held && p->clients_n < p->max_conns;
}

/* False: fewer than |most| were there. */
static bool accept_some(struct listener *l, unsigned most)
{
    for (unsigned i = 0; i < most && may_accept(l->proxy); i++)
        if (!accept_one(l))
            return false;
    return true;
}

/*
 * Where one waits there is mostly one: to ask for a second would be in vain. Where there was another in the very next
 * turn of the loop there may be many.
 */
static unsigned at_once(struct listener *l)
{
    struct proxy *p = l->proxy;
    bool more = l->all_taken && l->turn + 1 == p->turns;
    l->turn = p->turns;
    l->at_once = more ? 2 * l->at_once : 1;
    return l->at_once < AT_ONCE ? l->at_once : (l->at_once = AT_ONCE);
}

static void on_waiting(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;
    (void)events;
    l->all_taken = accept_some(l, at_once(l));
    /* accept() says it better, unless it finds nothing: then it would be asked again at once. */
    if (status && may_accept(l->proxy))
        hold(l->proxy, l->text, uv_strerror(status));
    proxy_listen(l->proxy);
}

static void on_held(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    for (size_t i = 0; i < p->listeners.n; i++)
        if (p->listeners.items[i].accepted >= 0)
            accept_some(&p->listeners.items[i], AT_ONCE);
    proxy_listen(p);
}

/* It will never be asked again. */
static void end(struct listener *l)
{
    if (l->accepted >= 0)
        close(l->accepted);
    l->accepted = -1;
    if (l->made && !uv_is_closing((uv_handle_t *)&l->poll))
        uv_close((uv_handle_t *)&l->poll, NULL);
}

static void listen_one(struct listener *l, bool wants)
{
    struct proxy *p = l->proxy;
    if (p->draining || p->stopping) {
        end(l);
        return;
    }
    if (wants && !l->made) {
        int rv = uv_poll_init(&p->loop, &l->poll, l->fd);
        l->made = !rv;
        l->poll.data = l;
        if (rv)
            hold(p, l->text, uv_strerror(rv));
    }
    if (l->made && wants != uv_is_active((uv_handle_t *)&l->poll)) {
        if (wants)
            uv_poll_start(&l->poll, UV_READABLE, on_waiting);
        else
            uv_poll_stop(&l->poll);
    }
}

/* Without room nobody is asked: what is not accepted stays with the kernel, for another worker or for later. */
void proxy_listen(struct proxy *p)
{
    bool wants = may_accept(p);
    for (size_t i = 0; i < p->listeners.n; i++) {
        p->listeners.items[i].proxy = p;
        listen_one(&p->listeners.items[i], wants);
    }
}
