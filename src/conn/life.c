/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection begins, and how the application ends it. */
#include <assert.h>

#include "conn/fail.h"
#include "conn/over.h"
#include "conn/trace.h"
#include "conn/turn.h"

static int check_name(const struct milgi_config *config, const char *server_name)
{
    if (config->role == MILGI_SERVER)
        return 0;
    if (!server_name)
        return config->accept_any_server || config->psk_only ? 0 : MILGI_EINVAL;
    return milgi__name_ok(server_name) ? 0 : MILGI_EINVAL;
}

static char *copy_string(const char *s)
{
    size_t len = strlen(s) + 1;
    char *copy = milgi__alloc_raw(len);
    if (copy)
        memcpy(copy, s, len);
    return copy;
}

static_assert(sizeof(struct milgi_conn) % _Alignof(uint64_t) == 0, "the transport's part lies behind it");

/* Attached to its engine, with all that is made with it. 0 or an error: what there is of it is destroyed. */
static int init(struct milgi_conn *c, const char *server_name)
{
    bool named = server_name && c->config->role == MILGI_CLIENT;
    c->transport = milgi__transport_init(c + 1, c->engine, &c->owner, c->config);
    c->server_name = named ? copy_string(server_name) : NULL;
    c->failure = milgi__failure(0, MILGI_ALERT_NONE, "closed");
    if (c->server_name || !named)
        return 0;
    milgi__conn_destroy(c);
    return MILGI_ENOMEM;
}

int milgi_conn_new(struct milgi_engine *engine, struct milgi_config *config, const char *server_name,
    const struct milgi_events *events, void *arg, struct milgi_conn **conn)
{
    *conn = NULL;
    if (!config->frozen || !events || !events->on_output || check_name(config, server_name) != 0)
        return MILGI_EINVAL;
    if (milgi__engine_foreign(engine))
        return MILGI_EFORK;
    struct milgi_conn *c = milgi__alloc(sizeof *c + milgi__transport_place());
    if (!c)
        return MILGI_ENOMEM;
    c->engine = engine;
    c->owner.ops = &milgi__conn_owner_ops;
    c->events = events;
    c->arg = arg;
    int rv = milgi__engine_attach(engine, &c->owner);
    if (rv != 0) {
        milgi__free(c);
        return rv;
    }
    c->config = milgi_config_ref(config);
    rv = init(c, server_name);
    if (rv != 0)
        return rv;
    if (milgi__traced(milgi__conn_tracer(c)))
        milgi__conn_trace(c, MILGI_TRACE_NEW);
    if (config->role == MILGI_CLIENT)
        milgi__engine_ready(engine, &c->owner);
    *conn = c;
    return 0;
}

int milgi_conn_shutdown(struct milgi_conn *c)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!milgi__conn_live(c) || c->out != MILGI__OUT_OPEN)
        return MILGI_ECLOSED;
    c->out = MILGI__OUT_CLOSING;
    milgi__engine_ready(c->engine, &c->owner);
    return 0;
}

int milgi_conn_abort(struct milgi_conn *c, int alert)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (!milgi__conn_live(c))
        return MILGI_ECLOSED;
    if (alert <= MILGI_ALERT_CLOSE_NOTIFY || alert > MILGI_ALERT_NONE)
        return MILGI_EINVAL; /* no alert, or one that would say that all is well */
    milgi__conn_fail(c, MILGI_EREFUSED, alert, "aborted by the application");
    c->fault = MILGI_FAULT_OURS; /* and not the peer's, as when a decision refuses it */
    return 0;
}

void milgi_conn_free(struct milgi_conn *c)
{
    if (!c || c->phase == MILGI__FREED || milgi__engine_foreign(c->engine))
        return;
    c->phase = MILGI__FREED;
    if (milgi__traced(milgi__conn_tracer(c)))
        milgi__conn_trace(c, MILGI_TRACE_FREED);
    if (c->busy == 0)
        milgi__conn_destroy(c);
}

static size_t record_rest(const struct milgi_conn *c)
{
    return milgi__conn_is_over(c, MILGI__READ) ? 0 : milgi__transport_rest(c->transport);
}

struct milgi_chunk *milgi_conn_chunk(struct milgi_conn *c, size_t size)
{
    milgi__prefetch(c, sizeof *c + milgi__transport_place()); /* it is going to receive something */
    if (size == 0 || size > MILGI_CHUNK_MAX)
        return NULL;
    struct milgi__pool *pool = milgi__engine_pool(c->engine);
    uint64_t owner = milgi__owner_id(&c->owner);
    struct milgi_chunk *chunk = milgi__chunk_alloc(pool, size, owner, false);
    if (chunk || size > record_rest(c))
        return chunk;
    uint64_t now_ns = milgi_engine_now(c->engine);
    if (!milgi__pool_may_finish(pool, owner, now_ns))
        return NULL;
    chunk = milgi__chunk_alloc_from(pool, size, owner, MILGI__RESERVE_HALF);
    if (chunk) {
        milgi__pool_finishes(pool, owner, true, now_ns);
        c->finishes = true;
    }
    return chunk;
}
