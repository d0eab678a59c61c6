/* SPDX-License-Identifier: Apache-2.0 */
/* `milgi proxy`: what comes before the first loop, and after the last. */
#include "proxy.h"

#include <sys/resource.h>

#include "commands.h"
#include "common/say.h"

#define SPARE_DESCRIPTORS 64u /* beyond those of connections */

/* As many connections as descriptors allow: then accept() finds one, and so does a connection to the backend. */
static void limit_connections(struct proxy *p)
{
    const struct app_options *o = p->options;
    struct rlimit limit;
    p->max_conns = (o->max_conns + o->workers - 1) / o->workers;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    rlim_t each = o->backend ? 2 : 1, wanted = (rlim_t)p->max_conns * each + SPARE_DESCRIPTORS;
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur >= wanted)
        return;
    rlim_t left = limit.rlim_cur > 2 * SPARE_DESCRIPTORS ? limit.rlim_cur - SPARE_DESCRIPTORS : SPARE_DESCRIPTORS;
    p->max_conns = (uint32_t)(left / each);
    if (o->max_conns != APP_MAX_CONNS)
        app_complain("descriptors allow for %u connections at once", p->max_conns * o->workers);
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
}

int app_proxy(const struct app_options *options)
{
    struct proxy p = { .options = options, .channel = -1 };
    int status = app_tls_load(&p.tls, MILGI_SERVER, options, &p.tls.material);
    limit_connections(&p);
    if (!status && (!resolve_backend(&p) || !listeners_open(&p.listeners, &options->listen)))
        status = APP_FAILED;
    if (!status)
        status = options->workers > 1 ? proxy_master(&p) : proxy_serve(&p);
    app_tls_close(&p.tls);
    app_addresses_free(&p.backend);
    listeners_remove(&p.listeners);
    listeners_free(&p.listeners);
    return status;
}
