/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The module for http: listening sockets of servers with "milgi on" begin with a handshake; nginx's http, or its HTTP/2
 * if ALPN has chosen that, takes over behind it.
 */
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "adapter.h"

#if !(NGX_HTTP_V2) || !(NGX_COMPAT)
#error "this is for an nginx with HTTP/2 and --with-compat, as Debian's is"
#endif

ngx_module_t ngx_http_milgi_module;
static ngx_http_output_header_filter_pt next_header_filter;

static struct milgi__ngx_conf *conf_of(const ngx_http_core_srv_conf_t *server)
{
    return server->ctx->srv_conf[ngx_http_milgi_module.ctx_index];
}

/* --- a connection ------------------------------------------------------------------------------------------------- */

static struct milgi__ngx_conn *of(const ngx_http_request_t *r)
{
    return milgi__ngx_of(r->stream ? r->stream->connection->connection : r->connection);
}

/* The address of several on one port that |c| has come to: that with a wildcard is the last. */
static ngx_http_addr_conf_t *address_of(ngx_connection_t *c)
{
    const ngx_http_port_t *port = c->listening->servers;
    ngx_http_in_addr_t *addr = port->addrs;
    ngx_http_in6_addr_t *addr6 = port->addrs;
    ngx_uint_t i = 0;
    if (port->naddrs > 1 && ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK)
        return NULL;
    if (c->local_sockaddr->sa_family == AF_INET6) {
        const struct sockaddr_in6 *to6 = (struct sockaddr_in6 *)c->local_sockaddr;
        while (i + 1 < port->naddrs && ngx_memcmp(&addr6[i].addr6, &to6->sin6_addr, sizeof to6->sin6_addr) != 0)
            i++;
        return &addr6[i].conf;
    }
    const struct sockaddr_in *to = (struct sockaddr_in *)c->local_sockaddr;
    while (i + 1 < port->naddrs && addr[i].addr != to->sin_addr.s_addr)
        i++;
    return &addr[i].conf;
}

/* As nginx finds a server by the name of a request: those that are spelt out first, then by regular expressions. */
static ngx_http_core_srv_conf_t *server_of(
    const ngx_http_addr_conf_t *address, ngx_str_t *name, ngx_http_regex_t **regex)
{
    ngx_http_virtual_names_t *names = address->virtual_names;
    *regex = NULL;
    if (!names || !name->len)
        return address->default_server;
    ngx_http_core_srv_conf_t *server =
        ngx_hash_find_combined(&names->names, ngx_hash_key(name->data, name->len), name->data, name->len);
    for (ngx_uint_t i = 0; !server && i < names->nregex; i++) {
        if (ngx_regex_exec(names->regex[i].regex->regex, name, NULL, 0) < 0)
            continue;
        server = names->regex[i].server;
        *regex = names->regex[i].regex;
    }
    return server ? server : address->default_server;
}

/* A name without certificates of its own is served with the default's, as its settings say. */
static struct milgi_config *choose(struct milgi__ngx_conn *m, ngx_str_t *name)
{
    const ngx_http_addr_conf_t *address = m->arg;
    ngx_http_regex_t *regex;
    const struct milgi__ngx_conf *conf = conf_of(server_of(address, name, &regex));
    m->conf = conf->config[0] ? conf : m->conf;
    return m->conf->config[address->http2];
}

/* Nothing comes behind its GOAWAY once its streams have ended: nginx will shut the socket down. */
static bool http2_may_end(struct milgi__ngx_conn *m)
{
    const ngx_http_v2_connection_t *h2 = m->framed ? m->c->data : NULL;
    return h2 && h2->goaway;
}

static bool ends(struct milgi__ngx_conn *m, bool last)
{
    if (m->framed) {
        const ngx_http_v2_connection_t *h2 = m->c->data;
        return h2->goaway && !h2->processing && !h2->pushing;
    }
    const ngx_http_request_t *r = m->c->data;
    /* nginx does not keep one, either, when it has to end, or has answered before it had all of the request. */
    return last && (!r->main->keepalive || r->main->reading_body || ngx_exiting || ngx_terminate);
}

/* nginx begins, as behind a handshake of its own. It goes by its address; that says for once what ALPN has chosen. */
static void done(ngx_connection_t *c, ngx_int_t rc)
{
    struct milgi__ngx_conn *m = milgi__ngx_of(c);
    ngx_http_addr_conf_t *address = m->arg;
    bool http2 = m->alpn.len == 2 && m->alpn.data[1] == '2';
    bool spoken = address->http2, ready = c->read->ready;
    if (rc != NGX_OK) {
        ngx_http_close_connection(c);
        return;
    }
    m->framed = http2;
    c->read->ready = 0;
    address->http2 = http2;
    ngx_http_init_connection(c);
    address->http2 = spoken;
    if (c->destroyed)
        return;
    ngx_http_connection_t *hc = c->data;
    ngx_str_t *name = ngx_palloc(c->pool, sizeof *name);
    if (name && m->server_name.len) {
        *name = m->server_name;
        ngx_strlow(name->data, name->data, name->len);
        hc->conf_ctx = server_of(address, name, &hc->ssl_servername_regex)->ctx;
        hc->ssl_servername = name;
    }
    c->read->ready = ready;
    if (http2 || ready)
        c->read->handler(c->read);
}

static const struct milgi__ngx_protocol protocol = {
    .done = done,
    .choose = choose,
    .ends = ends,
    .may_end = http2_may_end,
};

/* Until nginx has begun: what its log says of a connection. */
static u_char *say_who(ngx_log_t *log, u_char *buf, size_t len)
{
    const ngx_connection_t *c = log->data;
    return ngx_snprintf(
        buf, len, " while %s, client: %V, server: %V", log->action, &c->addr_text, &c->listening->addr_text);
}

/* In the place of ngx_http_init_connection(). */
static void on_accept(ngx_connection_t *c)
{
    ngx_http_addr_conf_t *address = address_of(c);
    ngx_http_core_srv_conf_t *server = address ? address->default_server : NULL;
    const struct milgi__ngx_conf *conf = server ? conf_of(server) : NULL;
    if (conf && !conf->enable) { /* another address of this port's */
        ngx_http_init_connection(c);
        return;
    }
    bool taken = false;
    c->log->data = c;
    c->log->handler = say_who;
    c->log->action = "accepting";
    if (conf) {
        const ngx_http_core_loc_conf_t *core = server->ctx->loc_conf[ngx_http_core_module.ctx_index];
        struct milgi_config *config = conf->config[address->http2];
        taken = (!core->tcp_nodelay || ngx_tcp_nodelay(c) == NGX_OK) &&
            milgi__ngx_accept(c, config, server->client_header_timeout, &protocol, address) == NGX_OK;
    }
    if (!taken) {
        ngx_http_close_connection(c);
        return;
    }
    milgi__ngx_of(c)->conf = conf;
    ngx_reusable_connection(c, 1);
    c->shared = 1; /* the socket outlives it until the last record is with the peer */
}

/* --- a request ---------------------------------------------------------------------------------------------------- */

/*
 * Who was let in by one server's settings is not another's client: not where that one wants to know who its clients
 * are, and not where it is asked for by a name that the handshake was not for. A request in which nginx has found a
 * fault comes to the server's error pages without the first phase, and to a named location without the second.
 */
static ngx_int_t on_request(ngx_http_request_t *r)
{
    const struct milgi__ngx_conn *m = of(r);
    const struct milgi__ngx_conf *conf = ngx_http_get_module_srv_conf(r, ngx_http_milgi_module);
    if (!m || m->conf == conf || conf->verify == MILGI_CLIENT_AUTH_NONE)
        return NGX_DECLINED;
    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
        "milgi: a server that verifies its clients is requested on a connection that was made to another");
    return NGX_HTTP_MISDIRECTED_REQUEST;
}

/*
 * WebDAV's module takes where something is to go only from the scheme that it believes to be here. Asked before that
 * module is, and of requests that are for it, or for nobody.
 */
static ngx_int_t on_content(ngx_http_request_t *r)
{
    ngx_table_elt_t *to = of(r) ? r->headers_in.destination : NULL;
    if (to && to->value.len > sizeof "https://" && !ngx_strncmp(to->value.data, "https://", sizeof "https://" - 1)) {
        to->value.data++;
        to->value.len--;
        ngx_memcpy(to->value.data, "http", 4);
    }
    return NGX_DECLINED;
}

/* nginx makes "http://" of what has no scheme, since it knows of no TLS here. */
static ngx_int_t make_absolute(ngx_http_request_t *r)
{
    const ngx_http_core_loc_conf_t *core = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    const ngx_http_core_srv_conf_t *server = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    ngx_table_elt_t *location = r->headers_out.location;
    u_char text[NGX_SOCKADDR_STRLEN];
    if (!location || !location->value.len || location->value.data[0] != '/' || !core->absolute_redirect)
        return NGX_OK;
    ngx_str_t host = { NGX_SOCKADDR_STRLEN, text };
    if (core->server_name_in_redirect)
        host = server->server_name;
    else if (r->headers_in.server.len)
        host = r->headers_in.server;
    else if (ngx_connection_local_sockaddr(r->connection, &host, 0) != NGX_OK)
        return NGX_ERROR;
    in_port_t port = core->port_in_redirect ? ngx_inet_get_port(r->connection->local_sockaddr) : 0;
    size_t len = sizeof "https://:65535" + host.len + location->value.len;
    u_char *to = ngx_pnalloc(r->pool, len), *end = to;
    if (!to)
        return NGX_ERROR;
    end = port && port != 443 ? ngx_snprintf(to, len, "https://%V:%ud%V", &host, (unsigned)port, &location->value)
                              : ngx_snprintf(to, len, "https://%V%V", &host, &location->value);
    location->value = (ngx_str_t){ (size_t)(end - to), to };
    return NGX_OK;
}

/* What is sent has to be in memory. */
static ngx_int_t on_headers(ngx_http_request_t *r)
{
    if (of(r)) {
        r->main_filter_need_in_memory = 1;
        if (make_absolute(r) != NGX_OK)
            return NGX_ERROR;
    }
    return next_header_filter(r);
}

/* --- variables ---------------------------------------------------------------------------------------------------- */

static ngx_int_t set_value(ngx_http_variable_value_t *v, bool found, const ngx_str_t *value)
{
    v->not_found = !found;
    v->valid = found;
    v->no_cacheable = 0;
    v->data = value->data;
    v->len = (unsigned)value->len;
    return NGX_OK;
}

static ngx_int_t get_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t which)
{
    ngx_str_t value = ngx_null_string;
    bool found = milgi__ngx_variable(of(r), which, &value);
    return set_value(v, found, &value);
}

/* nginx's own variables that say how a request came. */
static struct {
    const char *name;
    ngx_str_t value;
    ngx_http_get_variable_pt own; /* nginx's, the same in every configuration */
} ours[] = {
    { "https", ngx_string("on"), NULL },
    { "scheme", ngx_string("https"), NULL },
    { "http2", ngx_string("h2"), NULL },
};
#define OURS (sizeof ours / sizeof ours[0])
#define HTTP2 2

static ngx_int_t get_ours(ngx_http_request_t *r, ngx_http_variable_value_t *v, size_t i)
{
    bool known = of(r) && (i != HTTP2 || r->stream);
    return known ? set_value(v, true, &ours[i].value) : ours[i].own(r, v, 0);
}

static ngx_int_t get_https(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    (void)data;
    return get_ours(r, v, 0);
}

static ngx_int_t get_scheme(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    (void)data;
    return get_ours(r, v, 1);
}

static ngx_int_t get_http2(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    (void)data;
    return get_ours(r, v, HTTP2);
}

static const ngx_http_get_variable_pt getters[OURS] = { get_https, get_scheme, get_http2 };

static void replace(ngx_http_variable_t *v)
{
    for (size_t i = 0; i < OURS; i++) {
        if (v->name.len != ngx_strlen(ours[i].name) || ngx_strncmp(v->name.data, ours[i].name, v->name.len) != 0)
            continue;
        ours[i].own = v->get_handler;
        v->get_handler = getters[i];
    }
}

static ngx_int_t add_variables(ngx_conf_t *cf)
{
    const ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    const ngx_hash_key_t *key = core->variables_keys->keys.elts;
    for (ngx_uint_t i = 0; i < core->variables_keys->keys.nelts; i++)
        replace(key[i].value);
    for (uintptr_t i = 0; i < MILGI__NGX_VARIABLES; i++) {
        ngx_http_variable_t *v = ngx_http_add_variable(cf, &milgi__ngx_variable_names[i], 0);
        if (!v)
            return NGX_ERROR;
        v->get_handler = get_variable;
        v->data = i;
    }
    return NGX_OK;
}

/* --- settings ----------------------------------------------------------------------------------------------------- */

/* "ssl on", which says what "ssl" behind "listen" says: of an nginx that has it. */
static bool has_ssl(const ngx_conf_t *cf, const ngx_http_conf_addr_t *address)
{
#if (NGX_HTTP_SSL)
    for (ngx_uint_t i = 0; cf->cycle->modules[i]; i++) {
        const ngx_module_t *module = cf->cycle->modules[i];
        if (ngx_strcmp(module->name, "ngx_http_ssl_module"))
            continue;
        const ngx_http_ssl_srv_conf_t *conf = address->default_server->ctx->srv_conf[module->ctx_index];
        return conf->enable == 1;
    }
#endif
    return false;
}

/* All servers of an address come behind the handshake; nginx's other ways to begin a connection are not for it. */
static ngx_int_t check_address(ngx_conf_t *cf, const ngx_http_conf_addr_t *address)
{
    ngx_http_core_srv_conf_t **server = address->servers.elts;
    bool on = conf_of(address->default_server)->enable;
    for (ngx_uint_t i = 0; i < address->servers.nelts; i++) {
        if (!conf_of(server[i])->enable == !on)
            continue;
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"milgi\" is on for one server of %V and off for another",
            &address->opt.addr_text);
        return NGX_ERROR;
    }
    if (on && (address->opt.ssl || address->opt.proxy_protocol || has_ssl(cf, address))) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"milgi\" goes with neither \"ssl\" nor \"proxy_protocol\": %V",
            &address->opt.addr_text);
        return NGX_ERROR;
    }
    return NGX_OK;
}

static ngx_int_t add_handlers(ngx_conf_t *cf)
{
    ngx_http_core_main_conf_t *core = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    const ngx_http_conf_port_t *port = core->ports ? core->ports->elts : NULL;
    for (ngx_uint_t i = 0; port && i < core->ports->nelts; i++) {
        const ngx_http_conf_addr_t *address = port[i].addrs.elts;
        for (ngx_uint_t k = 0; k < port[i].addrs.nelts; k++)
            if (check_address(cf, &address[k]) != NGX_OK)
                return NGX_ERROR;
    }
    static const ngx_http_phases phases[] = { NGX_HTTP_POST_READ_PHASE, NGX_HTTP_SERVER_REWRITE_PHASE,
        NGX_HTTP_REWRITE_PHASE, NGX_HTTP_CONTENT_PHASE };
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        ngx_http_handler_pt *handler = ngx_array_push(&core->phases[phases[i]].handlers);
        if (!handler)
            return NGX_ERROR;
        *handler = phases[i] == NGX_HTTP_CONTENT_PHASE ? on_content : on_request;
    }
    next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = on_headers;
    return NGX_OK;
}

/* Sockets on one of whose addresses TLS is spoken. */
static ngx_int_t take_listeners(ngx_cycle_t *cycle)
{
    ngx_listening_t *listener = cycle->listening.elts;
    for (ngx_uint_t i = 0; i < cycle->listening.nelts; i++) {
        if (listener[i].handler != ngx_http_init_connection)
            continue;
        const ngx_http_port_t *port = listener[i].servers;
        const ngx_http_in_addr_t *addr = port->addrs;
        const ngx_http_in6_addr_t *addr6 = port->addrs;
        bool six = listener[i].sockaddr->sa_family == AF_INET6;
        for (ngx_uint_t k = 0; k < port->naddrs; k++)
            if (conf_of((six ? &addr6[k].conf : &addr[k].conf)->default_server)->enable)
                listener[i].handler = on_accept;
    }
    return NGX_OK;
}

static void *create(ngx_conf_t *cf)
{
    return milgi__ngx_conf_new(cf);
}

static char *merge(ngx_conf_t *cf, void *parent, void *child)
{
    static const char *const http1[] = { "http/1.1", "http/1.0", "http/0.9", NULL };
    static const char *const http2[] = { "h2", "http/1.1", "http/1.0", "http/0.9", NULL };
    const char *const *protocols[2] = { http1, http2 };
    return milgi__ngx_conf_merge(cf, parent, child, protocols);
}

#define ANYWHERE (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF)

static ngx_command_t commands[] = {
    MILGI__NGX_COMMANDS(ANYWHERE, NGX_HTTP_SRV_CONF_OFFSET),
    ngx_null_command,
};

static ngx_http_module_t context = {
    .preconfiguration = add_variables,
    .postconfiguration = add_handlers,
    .create_srv_conf = create,
    .merge_srv_conf = merge,
};

ngx_module_t ngx_http_milgi_module = {
    NGX_MODULE_V1,
    .ctx = &context,
    .commands = commands,
    .type = NGX_HTTP_MODULE,
    .init_module = take_listeners,
};
