/* SPDX-License-Identifier: Apache-2.0 */
/* `milgi proxy`: accepting, limits, timeouts, and the end. What becomes of the plaintext is a service's business. */
#include "proxy.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define BACKLOG 1024
#define DRAIN_MS 10000
#define DRAIN_TICK_MS 100
#define HELD_MS 100           /* how long accepting pauses when no descriptor is left */
#define SPARE_DESCRIPTORS 64u /* beyond those of connections */
#define SILENT_SLACK_MS 1000u /* the handshake's own deadline, which sends an alert, comes first */
#define LINGERING_MS 10000    /* for what a client that has ended left to its backend */
#define CROWD 64u             /* clients that leave traces in the heap */
#define CALM_MS 3000          /* after that the engine has given its idle chunks back */

/*
 * glibc's: gives the system what was freed in the midst of the heap, tens of megabytes after thousands of clients.
 * Other C libraries do not have it.
 */
extern int malloc_trim(size_t pad) __attribute__((weak));

static void accept_waiting(struct proxy *p);
static void hold(struct proxy *p);

/* --- clients in the order of their last move ---------------------------------------------------------------------- */

static void on_sweep(uv_timer_t *timer);

static void unlist(struct client *c)
{
    struct clients *list = c->list;
    if (!list)
        return;
    *(c->prev ? &c->prev->next : &list->first) = c->next;
    *(c->next ? &c->next->prev : &list->last) = c->prev;
    c->list = NULL;
}

static void enlist(struct client *c, struct clients *list)
{
    struct proxy *p = c->proxy;
    unlist(c);
    c->touched_ms = uv_now(&p->loop);
    c->list = list;
    c->next = NULL;
    c->prev = list->last;
    *(c->prev ? &c->prev->next : &list->first) = c;
    list->last = c;
    /* The timer may be set for a later one of another list: look again when it is this one's turn. */
    bool set = uv_is_active((uv_handle_t *)&p->sweep);
    if (list->timeout_ms && !p->stopping && (!set || uv_timer_get_due_in(&p->sweep) > list->timeout_ms))
        uv_timer_start(&p->sweep, on_sweep, list->timeout_ms, 0);
}

void proxy_touch(struct client *c)
{
    if (c->list == &c->proxy->open)
        enlist(c, &c->proxy->open);
}

/* The stream is another's from here on; on_gone is all that follows of it. */
static void part(struct client *c, bool in_order)
{
    unlist(c);
    c->stream = NULL;
    if (!c->served)
        return;
    enlist(c, &c->proxy->lingering);
    c->proxy->service->closed(c, in_order);
}

static bool crowd_has_left(const struct proxy *p)
{
    return p->clients_most >= CROWD && p->clients_n <= p->clients_most / 4;
}

static void on_calm(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    if (!crowd_has_left(p))
        return;
    p->clients_most = p->clients_n;
    if (malloc_trim)
        malloc_trim(0);
}

static void forget(struct client *c)
{
    struct proxy *p = c->proxy;
    if (!c->gone || c->served)
        return;
    unlist(c);
    free(c->subject);
    free(c);
    p->clients_n--;
    if (crowd_has_left(p) && !p->stopping && !uv_is_active((uv_handle_t *)&p->calm))
        uv_timer_start(&p->calm, on_calm, CALM_MS, 0);
    accept_waiting(p);
}

void proxy_done(struct client *c)
{
    c->served = false;
    c->state = NULL;
    if (c->list == &c->proxy->lingering)
        unlist(c);
    forget(c);
}

void proxy_close(struct client *c)
{
    struct milgi_uv_stream *stream = c->stream;
    part(c, false);
    if (stream)
        milgi_uv_close(stream);
}

/* When to look at this list again, from |now| on. */
static uint64_t sweep_list(struct clients *list, uint64_t now)
{
    while (list->timeout_ms && list->first) {
        struct client *c = list->first;
        uint64_t due = c->touched_ms + list->timeout_ms;
        if (due > now)
            return due - now;
        proxy_close(c);
    }
    return UINT64_MAX;
}

static void on_sweep(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    struct clients *lists[] = { &p->shaking, &p->open, &p->lingering };
    uint64_t next = UINT64_MAX;
    for (int i = 0; i < 3; i++) {
        uint64_t due = sweep_list(lists[i], uv_now(&p->loop));
        next = due < next ? due : next;
    }
    if (next != UINT64_MAX)
        uv_timer_start(&p->sweep, on_sweep, next, 0);
}

/* --- what a stream tells ------------------------------------------------------------------------------------------ */

static void on_open(struct milgi_uv_stream *stream, void *arg)
{
    struct client *c = arg;
    struct milgi_conn_info info;
    milgi_conn_info(milgi_uv_conn(stream), &info);
    if (info.peer_chain_n)
        c->subject = app_subject(&info.peer_chain[0]);
    c->proxy->established++;
    enlist(c, &c->proxy->open);
    c->served = c->proxy->service->open(c);
    if (!c->served)
        milgi_uv_abort(stream, MILGI_ALERT_INTERNAL_ERROR);
}

static void on_data(struct milgi_uv_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct client *c = arg;
    (void)stream;
    proxy_touch(c);
    if (c->served)
        c->proxy->service->data(c, slices, slices_n);
}

static void on_end(struct milgi_uv_stream *stream, void *arg)
{
    struct client *c = arg;
    (void)stream;
    proxy_touch(c);
    if (c->served)
        c->proxy->service->end(c);
}

static void on_room(struct milgi_uv_stream *stream, void *arg)
{
    struct client *c = arg;
    (void)stream;
    proxy_touch(c);
    if (c->served)
        c->proxy->service->room(c);
}

static void on_close(struct milgi_uv_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct client *c = arg;
    (void)stream;
    if (c->list == &c->proxy->shaking)
        c->proxy->failed++;
    if (!reason->error)
        c->proxy->closed_in_order++;
    part(c, !reason->error);
}

static void on_gone(void *arg)
{
    struct client *c = arg;
    if (c->stream)
        part(c, false);
    c->gone = true;
    forget(c);
}

static const struct milgi_uv_events stream_events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_close = on_close,
    .on_gone = on_gone,
};

/* --- accepting ---------------------------------------------------------------------------------------------------- */

static void accept_one(struct proxy *p)
{
    struct client *c = calloc(1, sizeof *c);
    if (!c) {
        hold(p);
        return;
    }
    c->proxy = p;
    int rc = milgi_uv_accept(p->tls.uv, (uv_stream_t *)&p->listener, p->tls.config, &stream_events, c, &c->stream);
    /* Only MILGI_ETRANSPORT says that there is nothing left to accept: after any other error it still waits. */
    p->waits = rc && rc != MILGI_ETRANSPORT;
    if (rc) {
        app_complain("cannot take a connection: %s", milgi_error_text(rc));
        free(c);
        hold(p);
        return;
    }
    p->accepted++;
    p->clients_n++;
    p->clients_most = p->clients_n > p->clients_most ? p->clients_n : p->clients_most;
    enlist(c, &p->shaking);
}

/* A connection that is not accepted stays with the kernel, and libuv asks for no other until it is. */
static void accept_waiting(struct proxy *p)
{
    bool may = !p->draining && !p->stopping && !uv_is_active((uv_handle_t *)&p->held);
    if (p->waits && may && p->clients_n < p->max_conns)
        accept_one(p);
}

static void on_held(uv_timer_t *timer)
{
    accept_waiting(timer->data);
}

static void hold(struct proxy *p)
{
    uv_timer_start(&p->held, on_held, HELD_MS, 0);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct proxy *p = server->data;
    if (status == UV_EMFILE || status == UV_ENFILE) {
        if (!uv_is_active((uv_handle_t *)&p->held))
            app_complain("no descriptor left: connections have to wait");
        hold(p);
    }
    if (status)
        return;
    p->waits = true;
    accept_waiting(p);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void shut(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void on_stopped(void *arg)
{
    struct proxy *p = arg;
    p->tls.uv = NULL;
}

static void part_all(struct clients *list)
{
    for (struct client *c = list->first, *next; c; c = next) {
        next = c->next;
        part(c, false);
    }
}

/* The loop ends when the last handle is closed. */
static void stop(struct proxy *p)
{
    if (p->stopping)
        return;
    p->stopping = true;
    part_all(&p->shaking);
    part_all(&p->open);
    for (struct client *c = p->lingering.first; c; c = c->next)
        p->service->closed(c, false);
    milgi_uv_stop(p->tls.uv, on_stopped, p);
    shut(&p->listener);
    shut(&p->on_term);
    shut(&p->on_int);
    /* libuv has just put the default back, and a signal too many must not spoil the exit status. */
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    shut(&p->sweep);
    shut(&p->drain);
    shut(&p->stats);
    shut(&p->held);
    shut(&p->calm);
}

static void on_drain(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    bool late = uv_now(&p->loop) >= p->drain_end_ms;
    for (struct client *c = p->open.first, *next; c; c = next) {
        next = c->next;
        if (late || !p->service->busy(c))
            proxy_close(c);
    }
    if (!p->clients_n || late)
        stop(p);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct proxy *p = signal->data;
    (void)number;
    if (p->draining) {
        stop(p); /* the second one: somebody is in a hurry */
        return;
    }
    p->draining = true;
    p->drain_end_ms = uv_now(&p->loop) + DRAIN_MS;
    shut(&p->listener);
    uv_timer_start(&p->drain, on_drain, 0, DRAIN_TICK_MS);
}

/* --- statistics --------------------------------------------------------------------------------------------------- */

static void on_stats(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    struct milgi_engine_stats s;
    milgi_engine_stats(milgi_uv_engine(p->tls.uv), &s);
    fprintf(stderr,
        "milgi proxy: connections %u accepted %llu established %llu failed %llu in_order %llu memory %zu peak %zu "
        "sealed %llu opened %llu ops %u orphans %u\n",
        p->clients_n, (unsigned long long)p->accepted, (unsigned long long)p->established,
        (unsigned long long)p->failed, (unsigned long long)p->closed_in_order, s.memory, s.memory_peak,
        (unsigned long long)s.bytes_sealed, (unsigned long long)s.bytes_opened, s.ops_alive, s.orphans);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

/* As many connections as descriptors allow: then accept() finds one, and so does a connection to the backend. */
static void limit_connections(struct proxy *p)
{
    struct rlimit limit;
    p->max_conns = p->options->max_conns;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    rlim_t each = p->options->backend ? 2 : 1, wanted = (rlim_t)p->max_conns * each + SPARE_DESCRIPTORS;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= wanted)
        return;
    rlim_t left = limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? limit.rlim_cur - SPARE_DESCRIPTORS : SPARE_DESCRIPTORS;
    p->max_conns = (uint32_t)(left / each);
    if (p->options->max_conns != APP_MAX_CONNS)
        app_complain("descriptors allow for %u connections at once", p->max_conns);
}

static bool resolve_backend(struct proxy *p)
{
    p->service = p->options->backend ? &relay_service : &http_service;
    if (!p->options->backend)
        return true;
    struct addrinfo *found = app_address_resolve(&p->loop, p->options->backend, false);
    if (!found)
        return false;
    memcpy(&p->backend, found->ai_addr, found->ai_addrlen);
    uv_freeaddrinfo(found);
    app_address_text((struct sockaddr *)&p->backend, p->backend_text);
    return true;
}

static bool listen_on(struct proxy *p, const char *where)
{
    char text[APP_ADDRESS_TEXT];
    struct sockaddr_storage bound;
    int len = sizeof bound;
    struct addrinfo *found = app_address_resolve(&p->loop, where, true);
    if (!found)
        return false;
    int rc = uv_tcp_bind(&p->listener, found->ai_addr, 0);
    uv_freeaddrinfo(found);
    if (!rc)
        rc = uv_listen((uv_stream_t *)&p->listener, BACKLOG, on_connection);
    if (!rc)
        rc = uv_tcp_getsockname(&p->listener, (struct sockaddr *)&bound, &len);
    if (rc) {
        app_complain("cannot listen on %s: %s", where, uv_strerror(rc));
        return false;
    }
    app_address_text((struct sockaddr *)&bound, text);
    printf("listening on %s\n", text);
    return !fflush(stdout);
}

static void init_handles(struct proxy *p)
{
    uv_tcp_init(&p->loop, &p->listener);
    uv_signal_init(&p->loop, &p->on_term);
    uv_signal_init(&p->loop, &p->on_int);
    uv_timer_init(&p->loop, &p->sweep);
    uv_timer_init(&p->loop, &p->drain);
    uv_timer_init(&p->loop, &p->stats);
    uv_timer_init(&p->loop, &p->held);
    uv_timer_init(&p->loop, &p->calm);
    p->listener.data = p->on_term.data = p->on_int.data = p;
    p->sweep.data = p->drain.data = p->stats.data = p->held.data = p->calm.data = p;
}

static bool start(struct proxy *p)
{
    const struct app_options *o = p->options;
    p->shaking.timeout_ms = o->handshake_ms ? o->handshake_ms + SILENT_SLACK_MS : 0;
    p->open.timeout_ms = o->idle_ms;
    p->lingering.timeout_ms = LINGERING_MS;
    limit_connections(p);
    uv_signal_start(&p->on_term, on_signal, SIGTERM);
    uv_signal_start(&p->on_int, on_signal, SIGINT);
    if (!resolve_backend(p) || !listen_on(p, o->listen))
        return false;
    if (o->stats_ms)
        uv_timer_start(&p->stats, on_stats, o->stats_ms, o->stats_ms);
    return true;
}

int app_proxy(const struct app_options *options)
{
    struct proxy p = { .options = options };
    if (uv_loop_init(&p.loop)) {
        app_complain("no event loop: out of descriptors or memory");
        return APP_FAILED;
    }
    int status = app_tls_open(&p.tls, &p.loop, MILGI_SERVER, options);
    if (!status) {
        init_handles(&p);
        if (start(&p))
            uv_run(&p.loop, UV_RUN_DEFAULT);
        else
            status = APP_FAILED;
        stop(&p);
    } else if (p.tls.uv) {
        milgi_uv_stop(p.tls.uv, NULL, NULL);
    }
    uv_run(&p.loop, UV_RUN_DEFAULT);
    uv_loop_close(&p.loop);
    app_tls_close(&p.tls);
    return status;
}
