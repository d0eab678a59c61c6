/* SPDX-License-Identifier: Apache-2.0 */
/* The connection's life, its turn, and what can be asked of it. */
#include "conn/impl.h"

#define ROUNDS 64 /* of a turn: each does all that can be done; more only after progress */

/* --- surroundings of the record pipeline ---------------------------------------------------------- */

static struct milgi_op *env_op_new(void *ctx, bool reserve)
{
    struct milgi_conn *c = ctx;
    return milgi__engine_op_new(c->engine, reserve);
}

static bool env_inline(void *ctx, int op_type, uint32_t size)
{
    struct milgi_conn *c = ctx;
    return milgi__engine_inline(c->engine, op_type, size);
}

static void env_key_release(void *ctx, struct milgi_key *key)
{
    struct milgi_conn *c = ctx;
    milgi__engine_key_unref(c->engine, key);
}

static void env_in_turn(void *ctx, unsigned dev, uint64_t back_ns)
{
    struct milgi_conn *c = ctx;
    milgi__engine_reorder(c->engine, dev, MILGI_OP_CLASS_RECORDS, back_ns);
}

static size_t env_padding(void *ctx, size_t content_len)
{
    struct milgi_conn *c = ctx;
    return c->config->padding(c->config->padding_ctx, content_len);
}

static void count_copies(struct milgi_conn *c)
{
    if (c->rec.bytes_copied)
        milgi__engine_count(c->engine, c->rec.bytes_copied, 0, 0);
    c->rec.bytes_copied = 0;
}

static const struct milgi__record_calls calls = {
    .op_new = env_op_new,
    .route_inline = env_inline,
    .key_release = env_key_release,
    .in_turn = env_in_turn,
};

static const struct milgi__record_calls padding_calls = {
    .op_new = env_op_new,
    .route_inline = env_inline,
    .key_release = env_key_release,
    .padding = env_padding,
    .in_turn = env_in_turn,
};

/* --- turn ---------------------------------------------------------------------------------------- */

/*
 * A handshake that waits for a device or a decision may wait for long, with thousands like it: it holds what it knows
 * and nothing else.
 */
static void park(struct milgi_conn *c)
{
    if (c->hs && !c->established && !c->failed && c->hs->wait != MILGI__HS_INPUT)
        milgi__record_idle(&c->rec);
}

/* Frees at last, if a callback asked for it while we were at work. True: it is gone. */
static bool leave(struct milgi_conn *c)
{
    if (--c->busy > 0 || !c->dead)
        return false;
    milgi__conn_destroy(c);
    return true;
}

static uint64_t owner_turn(struct milgi__owner *owner, uint64_t budget_ns, bool *more)
{
    struct milgi_conn *c = milgi__conn_of(owner);
    uint64_t spent = 200;
    bool progress = true;
    c->busy++;
    c->blocked_room = false;
    c->data = milgi__engine_scratch(c->engine);
    if (!c->started)
        milgi__conn_begin(c);
    /* One round at least, however little is left of the budget: else who asks for little would never get anywhere. */
    for (unsigned round = 0; progress && !c->dead && round < ROUNDS && (!round || spent < budget_ns); round++) {
        progress = milgi__conn_handshake(c);
        progress |= milgi__conn_pump_out(c, &spent);
        if (!c->dead)
            progress |= milgi__conn_pump_in(c, budget_ns, &spent);
        if (!c->dead && !c->hs && !c->rec.pending && !milgi__record_in_busy(&c->rec))
            progress = false; /* nothing is left that another round could move */
    }
    *more = progress;
    if (!c->dead)
        milgi__conn_pump_out(c, &spent);
    if (!c->dead)
        milgi__conn_input_state(c);
    if (!c->dead)
        milgi__conn_close_state(c);
    if (!c->dead && c->blocked_room)
        milgi__engine_wait(c->engine, &c->owner);
    if (!c->dead)
        milgi__record_flush(&c->rec); /* the end of a turn is a flush point */
    if (!c->dead)
        park(c);
    count_copies(c);
    leave(c);
    return spent;
}

static void owner_op_done(struct milgi__owner *owner, struct milgi_op *op)
{
    struct milgi_conn *c = milgi__conn_of(owner);
    if (c->dead)
        return;
    if (op->e.slot == MILGI__SLOT_OPEN)
        milgi__record_opened(&c->rec, op);
    else if (op->e.slot == MILGI__SLOT_SEAL)
        milgi__record_sealed(&c->rec, op);
    else if (c->hs && c->hs->hs)
        milgi__hs_op_done(c->hs->hs, op, op->e.slot);
    if (!c->busy)
        milgi__engine_ready(c->engine, owner);
}

static void owner_flush(struct milgi__owner *owner)
{
    struct milgi_conn *c = milgi__conn_of(owner);
    c->busy++;
    milgi__conn_flush(c);
    leave(c);
}

static void owner_timeout(struct milgi__owner *owner)
{
    struct milgi_conn *c = milgi__conn_of(owner);
    if (!c->established)
        milgi__conn_fail(c, MILGI_ETIMEOUT, MILGI_ALERT_USER_CANCELED, "the handshake took too long");
    milgi__engine_ready(c->engine, owner);
}

/* What an idle connection holds: keys and state. */
static void owner_idle(struct milgi__owner *owner)
{
    struct milgi_conn *c = milgi__conn_of(owner);
    milgi__record_idle(&c->rec);
    if (c->out.n == 0)
        milgi__bufq_clear(&c->out);
}

static void owner_drop(struct milgi__owner *owner)
{
    milgi__conn_destroy(milgi__conn_of(owner));
}

const struct milgi__owner_ops milgi__conn_owner_ops = { owner_turn, owner_op_done, owner_flush, owner_timeout,
    owner_idle, owner_drop };

/* --- life ---------------------------------------------------------------------------------------- */

static int check_name(const struct milgi_config *config, const char *server_name)
{
    if (config->role == MILGI_SERVER)
        return 0;
    if (!server_name)
        return config->accept_any_server ? 0 : MILGI_EINVAL;
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

static void init(struct milgi_conn *c)
{
    c->env = (struct milgi__record_env){
        .ctx = c,
        .pool = milgi__engine_pool(c->engine),
        .owner = ((uint64_t)c->owner.generation << 32 | c->owner.index) + 1,
        .calls = c->config->padding ? &padding_calls : &calls,
    };
    milgi__record_init(&c->rec, &c->env, (uint32_t)milgi__conn_limit(c, MILGI_LIMIT_WINDOW),
        (uint32_t)milgi__conn_limit(c, MILGI_LIMIT_RECORD));
    c->failure = milgi__failure(0, MILGI_ALERT_NONE, "closed");
}

int milgi_conn_new(struct milgi_engine *engine, struct milgi_config *config, const char *server_name,
    const struct milgi_events *events, void *arg, struct milgi_conn **conn)
{
    *conn = NULL;
    if (!config->frozen || !events || !events->on_output || check_name(config, server_name) != 0)
        return MILGI_EINVAL;
    if (milgi__engine_foreign(engine))
        return MILGI_EFORK;
    struct milgi_conn *c = milgi__alloc(sizeof *c);
    if (!c)
        return MILGI_ENOMEM;
    c->engine = engine;
    c->owner.ops = &milgi__conn_owner_ops;
    c->events = events;
    c->arg = arg;
    if (server_name && config->role == MILGI_CLIENT && !(c->server_name = copy_string(server_name))) {
        milgi__free(c);
        return MILGI_ENOMEM;
    }
    int rv = milgi__engine_attach(engine, &c->owner);
    if (rv != 0) {
        milgi__free(c->server_name);
        milgi__free(c);
        return rv;
    }
    c->config = milgi_config_ref(config);
    init(c);
    if (config->role == MILGI_CLIENT)
        milgi__engine_ready(engine, &c->owner);
    *conn = c;
    return 0;
}

void milgi__conn_destroy(struct milgi_conn *c)
{
    milgi__engine_detach(c->engine, &c->owner);
    milgi__conn_handshake_free(c);
    milgi__post_fini(&c->post);
    count_copies(c);
    milgi__record_fini(&c->rec);
    milgi__bufq_clear(&c->out);
    if (c->in_tail)
        milgi_chunk_unref(c->in_tail);
    milgi_credential_unref(c->credential);
    milgi_config_unref(c->config);
    milgi__free(c->server_name);
    milgi__free(c->alpn);
    milgi__free_wiped(c, sizeof *c);
}

void milgi_conn_free(struct milgi_conn *c)
{
    if (!c || c->dead || milgi__engine_foreign(c->engine))
        return;
    c->dead = true;
    if (c->busy == 0)
        milgi__conn_destroy(c);
}

struct milgi_chunk *milgi_conn_chunk(struct milgi_conn *c, size_t size)
{
    if (size == 0 || size > MILGI_CHUNK_MAX)
        return NULL;
    return milgi__chunk_alloc(c->env.pool, size, c->env.owner, false);
}

/* --- questions ----------------------------------------------------------------------------------- */

/* What the connection has no copy of, or not yet: it goes with the handshake. */
static void info_of_handshake(const struct milgi_conn *c, struct milgi_conn_info *info)
{
    const struct milgi__hs_result *r = milgi__hs_result(c->hs->hs);
    info->peer_chain = r->peer_chain;
    info->peer_chain_n = r->peer_chain_n;
    if (c->established)
        return;
    info->version = r->version;
    info->suite = r->suite;
    info->group = r->group;
    info->signature_scheme = r->scheme;
    info->hello_retry = r->hello_retry;
    info->alpn = r->alpn[0] ? r->alpn : NULL;
    info->credential = r->credential;
    if (!info->server_name)
        info->server_name = r->server_name;
}

void milgi_conn_info(const struct milgi_conn *c, struct milgi_conn_info *info)
{
    *info = (struct milgi_conn_info){
        .version = c->suite ? 0x0304 : 0,
        .suite = c->suite ? c->suite->id : 0,
        .group = c->group,
        .signature_scheme = c->scheme,
        .established = c->established,
        .hello_retry = c->hello_retry,
        .peer_authenticated = c->peer_authenticated,
        .server_name = c->server_name,
        .alpn = c->alpn,
        .credential = c->credential,
        .bytes_in = c->bytes_in,
        .bytes_out = c->bytes_out,
        .records_in = c->records_in,
        .records_out = c->records_out,
        .key_updates_in = c->updates_in,
        .key_updates_out = c->updates_out,
        .stale_opens = c->rec.stale,
    };
    if (c->hs && c->hs->hs)
        info_of_handshake(c, info);
}

int milgi_conn_export(struct milgi_conn *c, const char *label, const void *context, size_t context_len, uint8_t *out,
    size_t out_len)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    /*= Before the barrier nobody gives out exporters. */
    if (!c->established || !c->suite)
        return MILGI_EINVAL;
    if (strlen(label) > 249 || out_len > 255 * milgi__hash_len(c->suite->hash))
        return MILGI_EINVAL;
    int rv = milgi__export13(milgi__engine_crypto(c->engine), c->suite->hash, c->exporter, label, context, context_len,
        out, out_len);
    return rv == 0 ? 0 : MILGI_EINTERNAL;
}

static struct milgi__hs *hs_of(struct milgi_engine *engine, const struct milgi_decision *decision,
    struct milgi_conn **conn)
{
    struct milgi__owner *owner = milgi__engine_find(engine, decision->index, decision->generation);
    if (!owner || owner->ops != &milgi__conn_owner_ops)
        return NULL;
    *conn = milgi__conn_of(owner);
    return (*conn)->dead || (*conn)->failed || !(*conn)->hs ? NULL : (*conn)->hs->hs;
}

int milgi_decide(struct milgi_engine *engine, struct milgi_decision decision, enum milgi_verdict verdict, void *result)
{
    struct milgi_conn *c;
    if (milgi__engine_foreign(engine))
        return MILGI_EFORK;
    struct milgi__hs *hs = hs_of(engine, &decision, &c);
    if (!hs)
        return MILGI_ESTALE;
    int rv = milgi__hs_decide(hs, decision.kind, verdict, result);
    if (rv == 0)
        milgi__engine_ready(engine, &c->owner);
    return rv;
}

int milgi_decision_info(struct milgi_engine *engine, struct milgi_decision decision, struct milgi_decision_info *info)
{
    struct milgi_conn *c;
    if (milgi__engine_foreign(engine))
        return MILGI_EFORK;
    struct milgi__hs *hs = hs_of(engine, &decision, &c);
    return hs ? milgi__hs_decision_info(hs, decision.kind, info) : MILGI_ESTALE;
}
