/* SPDX-License-Identifier: Apache-2.0 */
/* Questions that JavaScript answers, with a promise if it likes. */
#include <stdlib.h>
#include <string.h>

#include "addon.h"

napi_value node__session_bytes(napi_env env, const struct milgi_session *session)
{
    size_t len = milgi_session_encode(session, NULL, 0);
    uint8_t *bytes = malloc(len);
    if (!bytes)
        return node__undefined(env);
    milgi_session_encode(session, bytes, len);
    napi_value v = node__bytes(env, bytes, len);
    explicit_bzero(bytes, len);
    free(bytes);
    return v;
}

napi_value node__decision_info(napi_env env, const struct milgi_decision_info *info, uint32_t kind)
{
    napi_value v, list;
    if (napi_create_object(env, &v))
        return node__undefined(env);
    node__set(env, v, "servername", node__string(env, info->server_name));
    if (kind & (MILGI_DECIDE_ALPN | MILGI_DECIDE_CONFIG))
        node__set(env, v, "protocols", node__iov_list(env, info->alpn, info->alpn_n));
    if (kind == MILGI_DECIDE_PEER)
        node__set(env, v, "chain", node__iov_list(env, info->chain, info->chain_n));
    if (kind == MILGI_DECIDE_PEER)
        node__set(env, v, "path", node__iov_list(env, info->path, info->path_n));
    if (kind == MILGI_DECIDE_PEER)
        node__set(env, v, "verdict", node__number(env, info->verdict));
    if (kind == MILGI_DECIDE_CREDENTIAL)
        node__set(env, v, "authorities", node__iov_list(env, info->authorities, info->authorities_n));
    if (kind == MILGI_DECIDE_TICKET_OPEN)
        node__set(env, v, "tickets", node__iov_list(env, info->psk_identities, info->psk_identities_n));
    if (kind & (MILGI_DECIDE_SESSION_LOOKUP | MILGI_DECIDE_SESSION_STORE))
        node__set(env, v, "id", node__bytes(env, info->session_id.data, info->session_id.len));
    if (kind == MILGI_DECIDE_SESSION_STORE)
        node__set(env, v, "session", node__session_bytes(env, info->session));
    if (kind == MILGI_DECIDE_TICKET_SEAL && napi_create_array(env, &list) == napi_ok) {
        for (size_t i = 0; i < info->sessions_n; i++)
            napi_set_element(env, list, (uint32_t)i, node__session_bytes(env, info->sessions[i]));
        node__set(env, v, "sessions", list);
    }
    return v;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static int yes(napi_env env, struct milgi_decision d, void *result)
{
    return milgi_decide(node__host(env)->common.engine, d, MILGI_ACCEPT, result);
}

static int accept_string(napi_env env, struct milgi_decision d, napi_value value)
{
    char text[256];
    return node__get_string(env, value, text, sizeof text) ? yes(env, d, text) : MILGI_EINVAL;
}

static int accept_bytes(napi_env env, struct milgi_decision d, napi_value value)
{
    struct milgi_iov iov;
    const uint8_t *data;
    if (!node__get_bytes(env, value, &data, &iov.len))
        return MILGI_EINVAL;
    iov.data = data;
    return yes(env, d, &iov);
}

static int accept_session(napi_env env, struct milgi_decision d, napi_value value)
{
    struct milgi_session *session;
    const uint8_t *data;
    size_t len;
    if (!node__get_bytes(env, value, &data, &len) || milgi_session_decode(data, len, &session))
        return MILGI_EINVAL;
    int rv = yes(env, d, session);
    milgi_session_unref(session);
    return rv;
}

/* [index, session] */
static int accept_opened(napi_env env, struct milgi_decision d, napi_value value)
{
    struct milgi_ticket_opened opened;
    napi_value at, session;
    const uint8_t *data;
    size_t len;
    int64_t index;
    if (napi_get_element(env, value, 0, &at) || napi_get_element(env, value, 1, &session) ||
        !node__get_int(env, at, &index) || index < 0 || !node__get_bytes(env, session, &data, &len) ||
        milgi_session_decode(data, len, &opened.session))
        return MILGI_EINVAL;
    opened.at = (size_t)index;
    int rv = yes(env, d, &opened);
    milgi_session_unref(opened.session);
    return rv;
}

/* a list of tickets; null: none for this one */
static int accept_sealed(napi_env env, struct milgi_decision d, napi_value value)
{
    struct milgi_tickets_sealed sealed = { 0 };
    uint32_t n = 0;
    if (napi_get_array_length(env, value, &n) || n > MILGI_TICKETS_MAX)
        return MILGI_EINVAL;
    for (uint32_t i = 0; i < n; i++) {
        napi_value ticket;
        const uint8_t *data;
        size_t len;
        if (napi_get_element(env, value, i, &ticket))
            return MILGI_EINVAL;
        if (node__is_null(env, ticket))
            continue;
        if (!node__get_bytes(env, ticket, &data, &len))
            return MILGI_EINVAL;
        sealed.ticket[i] = (struct milgi_iov){ data, len };
    }
    return yes(env, d, &sealed);
}

static int accept_thing(napi_env env, struct milgi_decision d, napi_value value, enum thing kind)
{
    void *thing = node__get_thing(env, value, kind);
    return thing ? yes(env, d, thing) : MILGI_EINVAL;
}

static int answer(napi_env env, struct milgi_decision d, napi_value value)
{
    switch (d.kind) {
    case MILGI_DECIDE_CONFIG: return accept_thing(env, d, value, THING_CONFIG);
    case MILGI_DECIDE_CREDENTIAL: return accept_thing(env, d, value, THING_CREDENTIAL);
    case MILGI_DECIDE_ALPN: return accept_string(env, d, value);
    case MILGI_DECIDE_OCSP: return accept_bytes(env, d, value);
    case MILGI_DECIDE_SESSION_LOOKUP: return accept_session(env, d, value);
    case MILGI_DECIDE_TICKET_OPEN: return accept_opened(env, d, value);
    case MILGI_DECIDE_TICKET_SEAL: return accept_sealed(env, d, value);
    default: return yes(env, d, NULL);
    }
}

/* decide(token, verdict, result): 0; what was answered before, or whose connection is gone, is no matter either. */
napi_value node__decide(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX], part[3];
    int64_t n[3], verdict;
    node__args(env, info, args);
    for (uint32_t i = 0; i < 3; i++)
        if (napi_get_element(env, args[0], i, &part[i]) || !node__get_int(env, part[i], &n[i]))
            return node__throw(env, MILGI_EINVAL, NULL);
    struct milgi_decision d = { (uint32_t)n[1], (uint32_t)n[2], (uint32_t)n[0] };
    if (!node__get_int(env, args[1], &verdict) || !node__host(env)->started)
        return node__throw(env, MILGI_EINVAL, NULL);
    int rv = verdict == MILGI_ACCEPT
        ? answer(env, d, args[2])
        : milgi_decide(node__host(env)->common.engine, d, (enum milgi_verdict)verdict, NULL);
    return rv && rv != MILGI_ESTALE ? node__throw(env, rv, NULL) : node__number(env, rv);
}
