/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream tells, as JavaScript's values. */
#include <string.h>

#include "addon.h"

napi_value node__self(struct node_stream *s)
{
    napi_value self = NULL;
    if (s->host->dying || napi_get_reference_value(s->host->env, s->self, &self))
        return NULL;
    return self;
}

/* Values of one event live until it has been told. |result|: what the listener answers; true when it does not. */
static bool tell(struct node_stream *s, enum event kind, napi_value a, napi_value b)
{
    bool answer = true;
    napi_value result = node__emit(s->host, kind, node__self(s), a, b);
    if (result)
        node__get_bool(s->host->env, result, &answer);
    return answer;
}

static bool begin(struct node_stream *s, napi_handle_scope *scope)
{
    return !s->host->dying && napi_open_handle_scope(s->host->env, scope) == napi_ok;
}

static void put_peer(napi_env env, napi_value to, const struct milgi_conn_info *info)
{
    node__set(env, to, "chain", node__iov_list(env, info->peer_chain, info->peer_chain_n));
    node__set(env, to, "servername", node__string(env, info->server_name));
}

static void on_open(struct milgi_stream *stream, void *arg)
{
    struct node_stream *s = arg;
    napi_env env = s->host->env;
    struct milgi_conn_info info;
    napi_handle_scope scope;
    napi_value v;
    node__hold(s, false);
    if (!begin(s, &scope))
        return;
    milgi_conn_info(milgi_stream_conn(stream), &info);
    if (napi_create_object(env, &v) == napi_ok) {
        node__set(env, v, "version", node__number(env, info.version));
        node__set(env, v, "suite", node__string(env, milgi_suite_name(info.suite)));
        node__set(env, v, "group", node__string(env, milgi_group_name(info.group)));
        node__set(env, v, "scheme", node__string(env, milgi_scheme_name(info.signature_scheme)));
        node__set(env, v, "authenticated", node__bool(env, info.peer_authenticated));
        node__set(env, v, "verdict", node__number(env, info.peer_verdict));
        node__set(env, v, "resumed", node__bool(env, info.resumed));
        node__set(env, v, "alpn", node__string(env, info.alpn));
        node__set(env, v, "ocsp",
            info.ocsp_response.len ? node__bytes(env, info.ocsp_response.data, info.ocsp_response.len)
                                   : node__string(env, NULL));
        put_peer(env, v, &info);
        tell(s, EVENT_OPEN, v, NULL);
    }
    napi_close_handle_scope(env, scope);
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct node_stream *s = arg;
    napi_env env = s->host->env;
    napi_handle_scope scope;
    napi_value buffer;
    void *to;
    size_t len = 0, at = 0;
    for (size_t i = 0; i < slices_n; i++)
        len += slices[i].len;
    if (!begin(s, &scope))
        return;
    if (napi_create_buffer(env, len, &to, &buffer)) {
        milgi_stream_abort(stream, MILGI_ALERT_INTERNAL_ERROR); /* no memory: it may not be taken for all there was */
    } else {
        for (size_t i = 0; i < slices_n; i++) {
            memcpy((uint8_t *)to + at, slices[i].data, slices[i].len);
            at += slices[i].len;
        }
        if (tell(s, EVENT_DATA, buffer, NULL))
            milgi_stream_consumed(stream, len);
    }
    napi_close_handle_scope(env, scope);
}

static void simple(struct node_stream *s, enum event kind)
{
    napi_handle_scope scope;
    if (!begin(s, &scope))
        return;
    tell(s, kind, NULL, NULL);
    napi_close_handle_scope(s->host->env, scope);
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    simple(arg, EVENT_END);
}

static void on_room(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    simple(arg, EVENT_ROOM);
}

static void on_decide(struct milgi_stream *stream, void *arg, const struct milgi_decision *decision)
{
    struct node_stream *s = arg;
    struct milgi_engine *engine = s->host->common.engine;
    napi_env env = s->host->env;
    struct milgi_decision_info info;
    napi_handle_scope scope;
    napi_value token;
    (void)stream;
    if (!begin(s, &scope))
        return;
    if (milgi_decision_info(engine, *decision, &info) || napi_create_array_with_length(env, 3, &token)) {
        milgi_decide(engine, *decision, MILGI_REFUSE, NULL);
    } else {
        napi_set_element(env, token, 0, node__number(env, decision->kind));
        napi_set_element(env, token, 1, node__number(env, decision->index));
        napi_set_element(env, token, 2, node__number(env, decision->generation));
        napi_value about = node__decision_info(env, &info, decision->kind);
        if (!node__emit(s->host, EVENT_DECIDE, node__self(s), token, about)) /* nobody will answer it */
            milgi_decide(engine, *decision, MILGI_REFUSE, NULL);
    }
    napi_close_handle_scope(env, scope);
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct node_stream *s = arg;
    napi_env env = s->host->env;
    struct milgi_conn_info info = { 0 };
    napi_handle_scope scope;
    napi_value v;
    node__hold(s, false);
    if (!begin(s, &scope))
        return;
    if (napi_create_object(env, &v) == napi_ok) {
        bool has_op = reason->op >= 0;
        node__set(env, v, "error", node__number(env, reason->error));
        node__set(env, v, "name", node__string(env, milgi_error_name(reason->error)));
        node__set(env, v, "text", node__string(env, milgi_error_text(reason->error)));
        node__set(env, v, "detail", node__string(env, reason->detail));
        node__set(env, v, "alert", node__number(env, reason->alert));
        node__set(env, v, "alertName", node__string(env, milgi_alert_name(reason->alert)));
        node__set(env, v, "fromPeer", node__bool(env, reason->alert_from_peer));
        node__set(env, v, "op", node__string(env, has_op ? milgi_op_type_name(reason->op) : NULL));
        node__set(env, v, "code", node__number(env, reason->device_code));
        node__set(env, v, "codeText", node__string(env, milgi_device_code_text(reason->device_code)));
        if (milgi_stream_conn(stream))
            milgi_conn_info(milgi_stream_conn(stream), &info);
        put_peer(env, v, &info);
        tell(s, EVENT_CLOSED, v, NULL);
    }
    napi_close_handle_scope(env, scope);
}

static void on_session(struct milgi_stream *stream, void *arg, struct milgi_session *session)
{
    struct node_stream *s = arg;
    napi_handle_scope scope;
    (void)stream;
    if (!begin(s, &scope))
        return;
    tell(s, EVENT_SESSION, node__session_bytes(s->host->env, session), NULL);
    napi_close_handle_scope(s->host->env, scope);
}

void node__keylog(void *ctx, struct milgi_conn *conn, const char *line)
{
    struct node_stream *s = (struct node_stream *)milgi_stream_of(conn);
    napi_handle_scope scope;
    (void)ctx;
    if (!s->keylog || !begin(s, &scope))
        return;
    tell(s, EVENT_KEYLOG, node__bytes(s->host->env, line, strlen(line)), NULL);
    napi_close_handle_scope(s->host->env, scope);
}

/* on_gone is for who does not know when the transport is closed; here it says so itself. */
const struct milgi_stream_events node__events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_decide = on_decide,
    .on_close = on_close,
    .on_session = on_session,
};
