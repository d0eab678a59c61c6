/* SPDX-License-Identifier: Apache-2.0 */
/* `milgi proxy`: what comes before the first loop, and after the last. */
#include "proxy.h"

#include "commands.h"
#include "common/descriptors.h"
#include "common/notify.h"
#include "common/say.h"

#define SPARE 12u      /* descriptors for what comes and goes: files that are read again, names, sessions of tokens, */
#define SPARE_MANY 64u /* more of it where there are plenty */
#define PLENTY 512u
#define FEWEST 21u         /* descriptors more than are open, below which no process comes as far as to a connection */
#define LEAST (128u << 10) /* what a connection may hold of the memory however little is left */

static void complain_of_none(rlim_t limit)
{
    app_complain("a limit of %llu descriptors allows for no connection at all: see ulimit -n",
        (unsigned long long)limit);
}

/*
 * Descriptors of a connection: its socket, and the backend's; with --ktls a second one of the former, with --splice one
 * of the latter, and two pipes.
 */
static rlim_t descriptors_each(const struct app_options *o)
{
    return (o->backend ? 2u : 1u) + (o->ktls ? 1u : 0u) + (o->splice ? 5u : 0u);
}

/* As many descriptors as the connections may want, if the hard limit allows. False: it has complained. */
static bool raise_limit(const struct app_options *o)
{
    rlim_t limit = app_descriptors_raise((rlim_t)o->max_conns * descriptors_each(o) + PLENTY);
    bool enough = limit >= app_descriptors_open() + FEWEST;
    if (!enough)
        complain_of_none(limit);
    return enough;
}

/* No more connections than the memory has enough for, though all of them are stuck. */
static void limit_by_memory(struct proxy *p)
{
    const struct app_options *o = p->options;
    if (!o->memory || o->memory / LEAST >= p->max_conns)
        return;
    p->max_conns = (uint32_t)(o->memory / LEAST);
    if (!p->quiet)
        app_complain("--max-conns %u: --memory %lluM allows for %u at once", o->max_conns,
            (unsigned long long)o->memory >> 20, p->max_conns * o->workers);
}

bool proxy_limit(struct proxy *p)
{
    const struct app_options *o = p->options;
    struct rlimit limit;
    rlim_t each = descriptors_each(o);
    p->max_conns = (o->max_conns + o->workers - 1) / o->workers;
    limit_by_memory(p);
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return true;
    rlim_t taken = app_descriptors_open() + (limit.rlim_cur < PLENTY ? SPARE : SPARE_MANY);
    rlim_t room = limit.rlim_cur > taken ? (limit.rlim_cur - taken) / each : 0;
    if (room >= p->max_conns)
        return true;
    p->max_conns = (uint32_t)room;
    if (!room)
        complain_of_none(limit.rlim_cur);
    else if (!p->quiet)
        app_complain("--max-conns %u: a limit of %llu descriptors allows for %u at once: see ulimit -n", o->max_conns,
            (unsigned long long)limit.rlim_cur, p->max_conns * o->workers);
    return room;
}

static bool resolve_backend(struct proxy *p)
{
    p->service = p->options->backend ? &relay_service : &http_service;
    return !p->options->backend || app_addresses_find(p->options->backend, false, &p->backend);
}

void proxy_announce(const struct proxy *p)
{
    for (size_t i = 0; i < p->listeners.n; i++)
        app_announce("listening on %s\n", p->listeners.items[i].text);
    app_notify("READY=1");
}

void proxy_leave(struct proxy *p)
{
    if (p->channel < 0)
        listeners_remove(&p->listeners);
}

int app_proxy(const struct app_options *options)
{
    struct proxy p = { .options = options, .channel = -1 };
    if (!raise_limit(options))
        return APP_FAILED;
    int status = app_tls_load(&p.tls, MILGI_SERVER, options, APP_PATIENCE_MS, &p.tls.material);
    if (!status && (!resolve_backend(&p) || !listeners_open(&p.listeners, &options->listen)))
        status = APP_FAILED;
    if (!status)
        status = options->workers > 1 ? proxy_master(&p) : proxy_serve(&p);
    proxy_leave(&p);
    app_tls_close(&p.tls);
    app_addresses_free(&p.backend);
    listeners_free(&p.listeners);
    return status;
}
