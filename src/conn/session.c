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

/* Where the pointer lies: wherever the texts end. */
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

size_t milgi__conn_session_size(const struct milgi_session *base)
{
    if (!base)
        return 0;
    return has_cache(base) ? 2 * sizeof(void *) : sizeof(void *);
}

void milgi__conn_keep_session(struct milgi_conn *c, struct milgi_session *base, bool keeps, bool psk,
    struct milgi_session_cache *cache)
{
    c->outcome->keeps_sessions = base && keeps;
    c->outcome->on_psk = base && psk;
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
    if (c->outcome->keeps_sessions || c->outcome->on_psk)
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
    c->outcome->keeps_sessions = c->outcome->on_psk = false;
}

struct milgi_iov milgi__conn_psk(const struct milgi_conn *c)
{
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

void milgi__conn_ticket(struct milgi_conn *c, struct milgi__bytes body)
{
    const struct milgi_session *base = kept(c);
    if (!base || !c->outcome->keeps_sessions)
        return;
    struct milgi_session *session =
        milgi__session_of_ticket(milgi__engine_crypto(c->engine), base, body, milgi__engine_wall(c->engine));
    if (session)
        hand_out(c, session);
    milgi_session_unref(session);
}
