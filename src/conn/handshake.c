/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake inside its connection: what it asks for, how it is run, what is kept of it. */
#include "conn/handshake.h"

#include "conn/fail.h"
#include "conn/keys.h"
#include "conn/output.h"
#include "conn/session.h"
#include "conn/trace.h"

static int host_random(void *ctx, uint8_t *out, size_t len)
{
    return milgi__engine_random(((struct milgi_conn *)ctx)->engine, out, len);
}

static int64_t host_wall(void *ctx)
{
    return milgi__engine_wall(((struct milgi_conn *)ctx)->engine);
}

static bool host_room(void *ctx, unsigned ops, size_t bytes)
{
    struct milgi_conn *c = ctx;
    /* A callback from inside a step has ended the connection: what is left of the step neither asks nor sends. */
    if (!milgi__conn_live(c))
        return false;
    if (milgi__engine_room(c->engine, ops, bytes))
        return true;
    c->blocked_room = true;
    return false;
}

static struct milgi_op *host_op_new(void *ctx)
{
    return milgi__engine_op_new(((struct milgi_conn *)ctx)->engine, true);
}

static void host_op_drop(void *ctx, struct milgi_op *op)
{
    milgi__engine_op_free(((struct milgi_conn *)ctx)->engine, op);
}

static void host_op_start(void *ctx, struct milgi_op *op, unsigned slot)
{
    struct milgi_conn *c = ctx;
    milgi__engine_submit(c->engine, &c->owner, op, slot);
}

static struct milgi_key *host_key_private(void *ctx, const struct milgi_credential *credential)
{
    return milgi__engine_key_private(((struct milgi_conn *)ctx)->engine, credential);
}

static struct milgi_key *host_key_trust(void *ctx, const struct milgi_trust *trust)
{
    return milgi__engine_key_trust(((struct milgi_conn *)ctx)->engine, trust);
}

static struct milgi_key *host_key_aead(void *ctx, uint16_t suite, const uint8_t *raw, size_t len)
{
    return milgi__engine_key_aead(((struct milgi_conn *)ctx)->engine, suite, raw, len);
}

static void host_decide(void *ctx, uint32_t kind)
{
    struct milgi_conn *c = ctx;
    struct milgi_decision d = { c->owner.index, c->owner.generation, kind };
    if (!milgi__conn_live(c))
        return;
    if (c->events->on_decide)
        c->events->on_decide(c, c->arg, &d);
    else if (milgi__hs_decide(c->hs->hs, kind, MILGI_DEFAULT, NULL) == 0)
        milgi__engine_ready(c->engine, &c->owner);
}

static int host_send(void *ctx, enum milgi__level level, const uint8_t *message, size_t len)
{
    struct milgi_conn *c = ctx;
    (void)level; /* the order of send() and install() says it */
    if (!milgi__conn_live(c))
        return MILGI_ECLOSED;
    return milgi__transport_write(c->transport, MILGI__HANDSHAKE, message, len, true);
}

static int host_install(void *ctx, enum milgi__level level, enum milgi__dir dir, const struct milgi__suite *suite,
    const uint8_t *secret)
{
    struct milgi_conn *c = ctx;
    if (!milgi__conn_live(c))
        return MILGI_ECLOSED;
    /*= RFC8446 5.1: "Handshake messages MUST NOT span key changes." The window is 1 until here, so that nothing can
       have been started behind. */
    if (dir == MILGI__READ && milgi__transport_in_flight(c->transport))
        return MILGI_EPROTO;
    c->level[dir] = (uint8_t)level;
    return milgi__conn_install(c, dir, suite, secret);
}

static void host_record_limit(void *ctx, enum milgi__dir dir, uint32_t most)
{
    struct milgi_conn *c = ctx;
    if (milgi__conn_live(c))
        milgi__transport_limit(c->transport, dir, most);
}

static int host_send_ccs(void *ctx)
{
    static const uint8_t one = 1;
    struct milgi_conn *c = ctx;
    if (!milgi__conn_live(c))
        return MILGI_ECLOSED;
    return milgi__transport_write(c->transport, MILGI__CCS, &one, 1, true);
}

static void host_keylog(void *ctx, const struct milgi_config *config, const char *line)
{
    if (milgi__conn_live(ctx))
        config->keylog(config->keylog_ctx, ctx, line);
}

static void host_in_turn(void *ctx, unsigned dev, uint64_t back_ns)
{
    milgi__engine_reorder(((struct milgi_conn *)ctx)->engine, dev, MILGI_OP_CLASS_HANDSHAKE, back_ns);
}

static const struct milgi__hs_calls host_calls = {
    .random = host_random,
    .wall_s = host_wall,
    .room = host_room,
    .op_new = host_op_new,
    .op_drop = host_op_drop,
    .op_start = host_op_start,
    .key_private = host_key_private,
    .key_trust = host_key_trust,
    .key_aead = host_key_aead,
    .decide = host_decide,
    .send = host_send,
    .install = host_install,
    .record_limit = host_record_limit,
    .send_ccs = host_send_ccs,
    .keylog = host_keylog,
    .in_turn = host_in_turn,
};

void milgi__conn_begin(struct milgi_conn *c)
{
    c->phase = MILGI__HANDSHAKING;
    if (c->config->role == MILGI_SERVER && milgi__engine_refuses(c->engine)) {
        milgi__conn_fail(c, MILGI_EBUSY, MILGI_ALERT_INTERNAL_ERROR, "new handshakes are refused at the moment");
        return;
    }
    struct milgi__conn_hs *mine = milgi__conn_hs_memory(c);
    struct milgi__hs_host host = {
        .ctx = c,
        .cx = milgi__engine_crypto(c->engine),
        .pool = milgi__engine_pool(c->engine),
        .owner = milgi__owner_id(&c->owner),
        .tracer = milgi__conn_tracer(c),
        .calls = &host_calls,
    };
    if (mine) {
        c->hs->wait = MILGI__HS_INPUT;
        c->hs->hs = milgi__hs_new(c->config, &host, c->server_name);
    }
    if (!mine || !c->hs->hs) {
        milgi__conn_fail(c, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for the handshake");
        return;
    }
    milgi__conn_offer(c);
    milgi__engine_deadline(c->engine, &c->owner,
        milgi__engine_now(c->engine) + milgi__conn_limit(c, MILGI_LIMIT_HANDSHAKE_NS));
}

/* With its NUL; 0: there is none. */
static size_t text_size(const char *s)
{
    return s && *s ? strlen(s) + 1 : 0;
}

static char *copy_or_null(const char *s)
{
    size_t size = text_size(s);
    char *copy = size ? milgi__alloc_raw(size) : NULL;
    if (copy)
        memcpy(copy, s, size);
    return copy;
}

/* What outlives the handshake. False: no memory, or a suite that there is not. */
static bool keep_outcome(struct milgi_conn *c, const struct milgi__hs *hs)
{
    bool client = c->config->role == MILGI_CLIENT;
    const struct milgi__hs_result *r = milgi__hs_result(hs);
    const struct milgi__suite *suite = milgi__suite(r->suite);
    const char *server_name = client ? c->server_name : r->server_name;
    size_t kept_len = suite ? milgi__hs_kept(hs, NULL) : 0;
    struct milgi_session *base = milgi__hs_session(c->hs->hs);
    bool keeps = base != NULL;
    base = base ? base : milgi_session_ref(r->psk);
    struct milgi__conn_session_room room = milgi__conn_session_room(base, keeps);
    size_t rest = kept_len + room.secret + text_size(server_name) + text_size(r->alpn) + room.part;
    size_t size = MILGI__MAX(offsetof(struct milgi__outcome, kept) + rest, sizeof(struct milgi__outcome));
    struct milgi__outcome *o = suite ? milgi__alloc(size) : NULL;
    if (!o) {
        milgi_session_unref(base);
        return false;
    }
    c->outcome = o;
    o->suite = suite;
    o->group = r->group;
    o->scheme = r->scheme;
    o->hello_retry = r->hello_retry;
    o->peer_authenticated = r->peer_authenticated;
    o->verdict = r->verdict;
    o->resumed = r->resumed;
    o->exports = r->exports;
    if (r->credential)
        o->credential = milgi_credential_ref((struct milgi_credential *)(uintptr_t)r->credential);
    o->kept_len = (uint8_t)(kept_len + room.secret);
    (void)milgi__hs_kept(hs, o->kept);
    uint8_t *text = o->kept + o->kept_len;
    o->server_name_size = (uint16_t)text_size(server_name);
    o->alpn_size = (uint16_t)text_size(r->alpn);
    memcpy(text, server_name ? server_name : "", o->server_name_size);
    memcpy(text + o->server_name_size, r->alpn, o->alpn_size);
    milgi__conn_keep_session(c, base, keeps, r->psk, milgi__hs_cache(hs));
    return true;
}

void milgi__conn_forget_outcome(struct milgi_conn *c)
{
    struct milgi__outcome *o = c->outcome;
    if (!o)
        return;
    milgi_credential_unref(o->credential);
    milgi__conn_forget_session(c);
    milgi__free_wiped(o, offsetof(struct milgi__outcome, kept) + o->kept_len);
    c->outcome = NULL;
}

static void handshake_open(struct milgi_conn *c)
{
    if (!keep_outcome(c, c->hs->hs)) {
        milgi__conn_fail(c, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for the connection's parameters");
        return;
    }
    c->phase = MILGI__ESTABLISHED;
    c->owner.cls = MILGI_OP_CLASS_RECORDS;
    c->floods = (struct milgi__floods){ 0 };
    milgi__engine_deadline(c->engine, &c->owner, UINT64_MAX);
    milgi__transport_speculate(c->transport);
    bool session = milgi__hs_session_came(c->hs->hs);
    if (c->events->on_established)
        c->events->on_established(c, c->arg);
    if (milgi__conn_live(c) && session)
        milgi__conn_session(c);
    if (!milgi__conn_live(c))
        return;
    milgi__conn_session_done(c);
    milgi__hs_free(c->hs->hs);
    c->hs->hs = NULL;
    milgi__free(c->server_name); /* the outcome has it */
    c->server_name = NULL;
    if (milgi__conn_release_held(c))
        milgi__conn_handshake_free(c);
}

/* It begins, or ceases, to wait for ops and decisions. */
static void trace_wait(const struct milgi_conn *c, enum milgi__hs_wait before)
{
    bool waits = c->hs->wait == MILGI__HS_OPS;
    if (waits != (before == MILGI__HS_OPS))
        milgi__conn_trace_pause(c, waits ? MILGI_TRACE_PAUSE : MILGI_TRACE_RESUME, MILGI_TRACE_HANDSHAKE);
}

bool milgi__conn_handshake(struct milgi_conn *c)
{
    /* What the application gave before it could be sent waits for room. */
    if (c->phase == MILGI__ESTABLISHED && c->hs) {
        if (!milgi__conn_release_held(c))
            return false;
        milgi__conn_handshake_free(c);
        return true;
    }
    if (!milgi__conn_hs(c))
        return false;
    enum milgi__hs_wait before = c->hs->wait;
    c->hs->wait = milgi__hs_run(c->hs->hs);
    if (milgi__traced(milgi__conn_tracer(c)))
        trace_wait(c, before);
    if (!milgi__conn_live(c))
        return false;
    if (c->hs->wait == MILGI__HS_FAILED)
        milgi__conn_fail_with(c, milgi__hs_failure(c->hs->hs));
    else if (c->hs->wait == MILGI__HS_OPEN)
        handshake_open(c);
    else if (!c->app_open && milgi__hs_half_open(c->hs->hs))
        return milgi__conn_release_held(c) || c->hs->wait != before;
    else
        return c->hs->wait != before;
    return true;
}

/* Without memory for it there is none to be seen. */
static struct milgi__peer_chain *copy_chain(const struct milgi_iov *chain, size_t n, struct milgi_iov session_id)
{
    struct milgi__peer_chain *copy;
    size_t len = sizeof *copy + n * sizeof *chain + session_id.len;
    for (size_t i = 0; i < n; i++)
        len += chain[i].len;
    copy = n + session_id.len != 0 ? milgi__alloc_raw(len) : NULL;
    if (!copy)
        return NULL;
    copy->n = n;
    uint8_t *to = (uint8_t *)(copy->certificate + n);
    for (size_t i = 0; i < n; i++) {
        memcpy(to, chain[i].data, chain[i].len);
        copy->certificate[i] = (struct milgi_iov){ to, chain[i].len };
        to += chain[i].len;
    }
    copy->session_id = (struct milgi_iov){ to, session_id.len };
    if (session_id.len != 0)
        memcpy(to, session_id.data, session_id.len);
    return copy;
}

void milgi__conn_keep_peer(struct milgi_conn *c)
{
    if (c->outcome || !c->hs || !c->hs->hs)
        return;
    const struct milgi__hs_result *r = milgi__hs_result(c->hs->hs);
    if (!c->server_name)
        c->server_name = copy_or_null(r->server_name);
    c->peer_chain = copy_chain(r->peer_chain, r->peer_chain_n, milgi__hs_session_id(c->hs->hs));
}

void milgi__conn_forget_chain(struct milgi_conn *c)
{
    if (c->outcome)
        return;
    milgi__free(c->peer_chain);
    c->peer_chain = NULL;
}

void milgi__conn_handshake_free(struct milgi_conn *c)
{
    if (!c->hs)
        return;
    milgi__hs_free(c->hs->hs);
    milgi_session_unref(c->hs->session);
    milgi_psk_unref(c->hs->psk);
    milgi__bufq_clear(&c->hs->held, milgi__engine_pool(c->engine));
    milgi__block_give_wiped(milgi__pool_blocks(milgi__engine_pool(c->engine)), c->hs, sizeof *c->hs);
    c->hs = NULL;
}
