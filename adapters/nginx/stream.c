/* SPDX-License-Identifier: Apache-2.0 */
/* The module for stream: a handshake in the phase that nginx has for it. */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_stream.h>

#include "adapter.h"

ngx_module_t ngx_stream_milgi_module;

/* --- a session ---------------------------------------------------------------------------------------------------- */

/* As nginx goes on without TLS, but what answers already, and has no handler of its own, is not begun again. */
static void on_phases(ngx_event_t *event)
{
    const ngx_connection_t *c = event->data;
    const ngx_stream_session_t *s = c->data;
    const ngx_stream_core_main_conf_t *core = ngx_stream_get_module_main_conf(s, ngx_stream_core_module);
    if (core->phase_engine.handlers[s->phase_handler].checker != ngx_stream_core_content_phase)
        ngx_stream_session_handler(event);
}

static void done(ngx_connection_t *c, ngx_int_t rc)
{
    ngx_stream_session_t *s = c->data;
    c->read->handler = on_phases;
    if (rc != NGX_OK)
        ngx_stream_finalize_session(s, NGX_STREAM_INTERNAL_SERVER_ERROR); /* as behind a handshake of its own */
    else
        ngx_stream_core_run_phases(s);
}

/* An upstream's reset is, for nginx, the end of what it had to say, and is none for the client. */
static bool fails(const struct milgi__ngx_conn *m)
{
    const ngx_stream_session_t *s = m->c->data;
    const ngx_connection_t *from = s->upstream ? s->upstream->peer.connection : NULL;
    return from && from->read->error;
}

/* One server, one stream: what ends the answer ends the connection's direction. */
static bool ends(struct milgi__ngx_conn *m, bool last)
{
    return last && !fails(m);
}

static const struct milgi__ngx_protocol protocol = { .done = done, .ends = ends, .fails = fails };

static ngx_int_t on_ssl_phase(ngx_stream_session_t *s)
{
    ngx_connection_t *c = s->connection;
    const struct milgi__ngx_conf *conf = ngx_stream_get_module_srv_conf(s, ngx_stream_milgi_module);
    const ngx_stream_core_srv_conf_t *core = ngx_stream_get_module_srv_conf(s, ngx_stream_core_module);
    struct milgi__ngx_conn *m = milgi__ngx_of(c);
    if (!conf->enable)
        return NGX_DECLINED; /* the phase is nginx's own TLS's, too */
    if (m && m->open)
        return NGX_OK;
    if (m)
        return NGX_AGAIN;
    if (core->tcp_nodelay && ngx_tcp_nodelay(c) != NGX_OK)
        return NGX_ERROR;
    if (milgi__ngx_accept(c, conf->config[0], conf->handshake_timeout, &protocol, NULL) != NGX_OK)
        return NGX_ERROR;
    return NGX_AGAIN;
}

/* nginx is about to close its connection; the socket outlives it until the last record is with the peer. */
static ngx_int_t on_log_phase(ngx_stream_session_t *s)
{
    struct milgi__ngx_conn *m = milgi__ngx_of(s->connection);
    if (!m)
        return NGX_OK;
    s->connection->shared = 1;
    m->whole = m->whole && s->status == NGX_STREAM_OK; /* an upstream that is not there has not answered nothing */
    return NGX_OK;
}

/* --- variables ---------------------------------------------------------------------------------------------------- */

static ngx_int_t get_variable(ngx_stream_session_t *s, ngx_stream_variable_value_t *v, uintptr_t which)
{
    ngx_str_t value = ngx_null_string;
    v->not_found = !milgi__ngx_variable(milgi__ngx_of(s->connection), which, &value);
    v->valid = !v->not_found;
    v->no_cacheable = 0;
    v->data = value.data;
    v->len = (unsigned)value.len;
    return NGX_OK;
}

static ngx_int_t add_variables(ngx_conf_t *cf)
{
    for (uintptr_t i = 0; i < MILGI__NGX_VARIABLES; i++) {
        ngx_stream_variable_t *v = ngx_stream_add_variable(cf, &milgi__ngx_variable_names[i], 0);
        if (!v)
            return NGX_ERROR;
        v->get_handler = get_variable;
        v->data = i;
    }
    return NGX_OK;
}

/* --- settings ----------------------------------------------------------------------------------------------------- */

static ngx_int_t check_listeners(ngx_conf_t *cf, const ngx_stream_core_main_conf_t *core)
{
    const ngx_stream_listen_t *listen = core->listen.elts;
    for (ngx_uint_t i = 0; i < core->listen.nelts; i++) {
        const struct milgi__ngx_conf *conf = listen[i].ctx->srv_conf[ngx_stream_milgi_module.ctx_index];
        if (!conf->enable || (!listen[i].ssl && listen[i].type == SOCK_STREAM))
            continue;
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"milgi\" goes with neither \"ssl\" nor \"udp\": %V",
            &listen[i].addr_text);
        return NGX_ERROR;
    }
    return NGX_OK;
}

static ngx_int_t add_phases(ngx_conf_t *cf)
{
    ngx_stream_core_main_conf_t *core = ngx_stream_conf_get_module_main_conf(cf, ngx_stream_core_module);
    if (check_listeners(cf, core) != NGX_OK)
        return NGX_ERROR;
    ngx_stream_handler_pt *ssl = ngx_array_push(&core->phases[NGX_STREAM_SSL_PHASE].handlers);
    ngx_stream_handler_pt *log = ngx_array_push(&core->phases[NGX_STREAM_LOG_PHASE].handlers);
    if (!ssl || !log)
        return NGX_ERROR;
    *ssl = on_ssl_phase;
    *log = on_log_phase;
    return NGX_OK;
}

static void *create(ngx_conf_t *cf)
{
    return milgi__ngx_conf_new(cf);
}

static char *merge(ngx_conf_t *cf, void *parent, void *child)
{
    struct milgi__ngx_conf *conf = child;
    const ngx_array_t *alpn = conf->alpn != NGX_CONF_UNSET_PTR ? conf->alpn : ((struct milgi__ngx_conf *)parent)->alpn;
    ngx_uint_t n = alpn && alpn != NGX_CONF_UNSET_PTR ? alpn->nelts : 0;
    const char **names = ngx_pcalloc(cf->pool, (n + 1) * sizeof *names), *const * protocols[2] = { names, NULL };
    if (!names)
        return NGX_CONF_ERROR;
    for (ngx_uint_t i = 0; i < n; i++)
        names[i] = (const char *)((const ngx_str_t *)alpn->elts)[i].data;
    return milgi__ngx_conf_merge(cf, parent, conf, protocols);
}

static char *set_alpn(ngx_conf_t *cf, ngx_command_t *command, void *data)
{
    struct milgi__ngx_conf *conf = data;
    const ngx_str_t *value = cf->args->elts;
    (void)command;
    if (conf->alpn != NGX_CONF_UNSET_PTR)
        return "is duplicate";
    conf->alpn = ngx_array_create(cf->pool, cf->args->nelts, sizeof *value);
    if (!conf->alpn)
        return NGX_CONF_ERROR;
    for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
        if (!value[i].len || value[i].len > 255)
            return "has a name that is not of 1 to 255 bytes";
        *(ngx_str_t *)ngx_array_push(conf->alpn) = value[i];
    }
    return NGX_CONF_OK;
}

#define ANYWHERE (NGX_STREAM_MAIN_CONF | NGX_STREAM_SRV_CONF)

static ngx_command_t commands[] = {
    MILGI__NGX_COMMANDS(ANYWHERE, NGX_STREAM_SRV_CONF_OFFSET),
    { ngx_string("milgi_alpn"), ANYWHERE | NGX_CONF_1MORE, set_alpn, NGX_STREAM_SRV_CONF_OFFSET, 0, NULL },
    { ngx_string("milgi_handshake_timeout"), ANYWHERE | NGX_CONF_TAKE1, ngx_conf_set_msec_slot,
        NGX_STREAM_SRV_CONF_OFFSET, offsetof(struct milgi__ngx_conf, handshake_timeout), NULL },
    ngx_null_command,
};

static ngx_stream_module_t context = {
    .preconfiguration = add_variables,
    .postconfiguration = add_phases,
    .create_srv_conf = create,
    .merge_srv_conf = merge,
};

ngx_module_t ngx_stream_milgi_module = {
    NGX_MODULE_V1,
    .ctx = &context,
    .commands = commands,
    .type = NGX_STREAM_MODULE,
};
