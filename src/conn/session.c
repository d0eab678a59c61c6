/* SPDX-License-Identifier: Apache-2.0 */
#include "conn/session.h"

int milgi_conn_set_session(struct milgi_conn *c, struct milgi_session *session)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (c->config->role != MILGI_CLIENT || c->phase != MILGI__NEW)
        return MILGI_EINVAL;
    if (!milgi__conn_hs_memory(c))
        return MILGI_ENOMEM;
    milgi_session_ref(session);
    milgi_session_unref(c->hs->session);
    c->hs->session = session;
    c->hs->session_given = true;
    return 0;
}

int milgi_conn_set_psk(struct milgi_conn *c, struct milgi_psk *psk)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (c->config->role != MILGI_CLIENT || c->phase != MILGI__NEW || (psk && psk->role != MILGI_CLIENT))
        return MILGI_EINVAL;
    if (!milgi__conn_hs_memory(c))
        return MILGI_ENOMEM;
    milgi_psk_ref(psk);
    milgi_psk_unref(c->hs->psk);
    c->hs->psk = psk;
    c->hs->psk_given = true;
    return 0;
}

void milgi__conn_offer(struct milgi_conn *c)
{
    struct milgi_session_cache *cache = c->config->session_cache;
    if (c->config->role != MILGI_CLIENT)
        return;
    if (!c->hs->session_given && cache && c->server_name)
        c->hs->session = milgi_session_cache_take(cache, c->server_name, milgi__engine_wall(c->engine));
    milgi__hs_offer_psks(c->hs->hs, c->hs->psk, c->hs->psk_given);
    milgi__hs_resume(c->hs->hs, c->hs->session, cache || c->events->on_session);
    milgi_session_unref(c->hs->session);
    c->hs->session = NULL;
}

/* What sessions of tickets are made from, beside what the outcome has anyway. */
struct seed {
    struct milgi__session_shown *shown; /* a reference */
    int64_t authenticated_s, valid_from_s, valid_until_s;
    uint8_t policy[MILGI__SESSION_POLICY_LEN];
    bool authenticated;
    uint8_t verdict, peer;
};
#define SEED_LEN (offsetof(struct seed, peer) + 1)

/* Where this lies, or a pointer to a session: wherever the texts end. */
static uint8_t *place(const struct milgi_conn *c)
{
    struct milgi__outcome *o = c->outcome;
    return o->kept + o->kept_len + o->server_name_size + o->alpn_size;
}

/* One of TLS 1.2, which is spoilt by a fatal alert, and behind it the cache that it is in. */
static bool has_cache(const struct milgi_session *session)
{
    return session->f.version == MILGI_TLS_1_2;
}

static bool is_seed(const struct milgi_session *base, bool keeps)
{
    return keeps && base->f.version == MILGI_TLS_1_3;
}

struct milgi__conn_session_room milgi__conn_session_room(const struct milgi_session *base, bool keeps)
{
    if (!base)
        return (struct milgi__conn_session_room){ 0, 0 };
    if (is_seed(base, keeps))
        return (struct milgi__conn_session_room){ SEED_LEN, base->f.secret_len };
    return (struct milgi__conn_session_room){ has_cache(base) ? 2 * sizeof(void *) : sizeof(void *), 0 };
}

/* Of |base|, which goes. */
static void keep_seed(struct milgi_conn *c, struct milgi_session *base)
{
    const struct milgi__session_fields *f = &base->f;
    struct seed seed = {
        .shown = milgi__session_shown_ref(base->shown),
        .authenticated_s = f->authenticated_s,
        .valid_from_s = f->valid_from_s,
        .valid_until_s = f->valid_until_s,
        .authenticated = f->authenticated,
        .verdict = f->verdict,
        .peer = f->peer,
    };
    struct milgi__outcome *o = c->outcome;
    memcpy(seed.policy, f->policy, sizeof seed.policy);
    memcpy(place(c), &seed, SEED_LEN);
    memcpy(o->kept + o->kept_len - f->secret_len, f->secret, f->secret_len);
    o->awaits_tickets = true;
    milgi_session_unref(base);
}

static struct seed seed_of(const struct milgi_conn *c)
{
    struct seed seed = { .shown = NULL };
    if (c->outcome->awaits_tickets)
        memcpy(&seed, place(c), SEED_LEN);
    return seed;
}

void milgi__conn_keep_session(struct milgi_conn *c, struct milgi_session *base, bool keeps, bool psk,
    struct milgi_session_cache *cache)
{
    c->outcome->keeps_sessions = base && keeps;
    c->outcome->on_psk = base && psk;
    if (base && is_seed(base, keeps)) {
        keep_seed(c, base);
        return;
    }
    if (base)
        memcpy(place(c), &base, sizeof(void *));
    if (base && has_cache(base)) {
        milgi_session_cache_ref(cache);
        memcpy(place(c) + sizeof(void *), &cache, sizeof(void *));
    }
}

static struct milgi_session *kept(const struct milgi_conn *c)
{
    struct milgi_session *base = NULL;
    if ((c->outcome->keeps_sessions || c->outcome->on_psk) && !c->outcome->awaits_tickets)
        memcpy(&base, place(c), sizeof(void *));
    return base;
}

static struct milgi_session_cache *cache_of(const struct milgi_conn *c)
{
    struct milgi_session_cache *cache = NULL;
    if (kept(c) && has_cache(kept(c)))
        memcpy(&cache, place(c) + sizeof(void *), sizeof(void *));
    return cache;
}

void milgi__conn_forget_session(struct milgi_conn *c)
{
    milgi_session_cache_unref(cache_of(c));
    milgi_session_unref(kept(c));
    milgi__session_shown_unref(seed_of(c).shown);
    c->outcome->keeps_sessions = c->outcome->on_psk = c->outcome->awaits_tickets = false;
}

struct milgi_iov milgi__conn_psk(const struct milgi_conn *c)
{
    const struct milgi__session_shown *shown = seed_of(c).shown;
    if (c->outcome->on_psk && shown)
        return (struct milgi_iov){ shown->bytes, shown->len };
    return milgi__psk_identity(c->outcome->on_psk ? kept(c) : NULL);
}

struct milgi_iov milgi__conn_session_id(const struct milgi_conn *c)
{
    const struct milgi_session *session = c->outcome->on_psk ? NULL : kept(c);
    bool by_id = session && session->f.by_id && c->config->role == MILGI_SERVER;
    return by_id ? milgi__session_parts(session).ticket : (struct milgi_iov){ NULL, 0 };
}

/*= RFC5246 7.2.2: "Upon transmission or receipt of a fatal alert message, both parties immediately close the
 *= connection. Servers and clients MUST forget any session-identifiers, keys, and secrets associated with a failed
 *= connection." */
void milgi__conn_spoil_session(struct milgi_conn *c)
{
    struct milgi_session_cache *cache = NULL;
    const struct milgi_session *session = NULL;
    if (c->outcome) {
        session = kept(c);
        cache = cache_of(c);
    } else if (c->hs && c->hs->hs) {
        session = milgi__hs_resumed12(c->hs->hs);
        cache = milgi__hs_cache(c->hs->hs);
    }
    if (cache && session)
        milgi__session_cache_drop(cache, session, c->config->role == MILGI_SERVER);
}

/* For the next connection. */
static void hand_out(struct milgi_conn *c, struct milgi_session *session)
{
    struct milgi_session_cache *cache = c->config->session_cache;
    /* Without memory for it there is one less. */
    if (cache && milgi__session_name(session)[0])
        (void)milgi_session_cache_put(cache, milgi__session_name(session), session);
    if (c->events->on_session)
        c->events->on_session(c, c->arg, session);
}

void milgi__conn_session(struct milgi_conn *c)
{
    struct milgi_session *session = milgi_session_ref(kept(c));
    if (session)
        hand_out(c, session);
    milgi_session_unref(session);
}

void milgi__conn_session_done(struct milgi_conn *c)
{
    const struct milgi_session *session = kept(c);
    if (session && has_cache(session) && c->config->role == MILGI_CLIENT && !cache_of(c))
        milgi__conn_forget_session(c);
}

/* What all sessions of this connection have alike, as milgi__hs_session() had it; NULL: no memory. */
static struct milgi_session *base_of(const struct milgi_conn *c)
{
    const struct milgi__outcome *o = c->outcome;
    const struct seed seed = seed_of(c);
    const uint8_t *name = o->kept + o->kept_len;
    struct milgi__session_parts parts = {
        .name = { name, o->server_name_size ? o->server_name_size - 1u : 0 },
        .alpn = { name + o->server_name_size, o->alpn_size ? o->alpn_size - 1u : 0 },
        .peer = { seed.shown ? seed.shown->bytes : NULL, seed.shown ? seed.shown->len : 0 },
        .shown = seed.shown,
    };
    struct milgi__session_fields f = {
        .version = MILGI_TLS_1_3,
        .suite = o->suite->id,
        .secret_len = (uint8_t)milgi__hash_len(o->suite->hash),
        .authenticated = seed.authenticated,
        .verdict = seed.verdict,
        .peer = seed.peer,
        .authenticated_s = seed.authenticated_s,
        .valid_from_s = seed.valid_from_s,
        .valid_until_s = seed.valid_until_s,
    };
    memcpy(f.policy, seed.policy, sizeof f.policy);
    memcpy(f.secret, o->kept + o->kept_len - f.secret_len, f.secret_len);
    struct milgi_session *base = milgi__session_new(&f, &parts);
    milgi__wipe(&f, sizeof f);
    return base;
}

void milgi__conn_ticket(struct milgi_conn *c, struct milgi__bytes body)
{
    struct milgi_session *base = c->outcome->awaits_tickets ? base_of(c) : NULL;
    if (!base)
        return;
    struct milgi_session *session =
        milgi__session_of_ticket(milgi__engine_crypto(c->engine), base, body, milgi__engine_wall(c->engine));
    if (session)
        hand_out(c, session);
    milgi_session_unref(session);
    milgi_session_unref(base);
}
