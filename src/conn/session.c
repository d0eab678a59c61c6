/* SPDX-License-Identifier: Apache-2.0 */
#include "conn/session.h"

int milgi_conn_set_session(struct milgi_conn *c, struct milgi_session *session)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (c->config->role != MILGI_CLIENT || c->phase != MILGI__NEW)
        return MILGI_EINVAL;
    milgi_session_ref(session);
    milgi_session_unref(c->session);
    c->session = session;
    c->session_given = true;
    return 0;
}

void milgi__conn_offer(struct milgi_conn *c)
{
    struct milgi_session_cache *cache = c->config->session_cache;
    if (c->config->role != MILGI_CLIENT)
        return;
    struct milgi_session *session = c->session;
    c->session = NULL;
    if (!c->session_given && cache && c->server_name)
        session = milgi_session_cache_take(cache, c->server_name, milgi__engine_wall(c->engine));
    milgi__hs_resume(c->hs->hs, session, cache || c->events->on_session);
    milgi_session_unref(session);
}

void milgi__conn_ticket(struct milgi_conn *c, struct milgi__bytes body)
{
    const struct milgi__outcome *o = c->outcome;
    struct milgi_session_cache *cache = c->config->session_cache;
    if (!o->session)
        return;
    struct milgi_session *session =
        milgi__session_of_ticket(milgi__engine_crypto(c->engine), o->session, body, milgi__engine_wall(c->engine));
    if (!session)
        return;
    /* Without memory for it there is one less. */
    if (cache && milgi__session_name(session)[0])
        (void)milgi_session_cache_put(cache, milgi__session_name(session), session);
    if (c->events->on_session)
        c->events->on_session(c, c->arg, session);
    milgi_session_unref(session);
}
