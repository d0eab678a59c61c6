/* SPDX-License-Identifier: Apache-2.0 */
/* A server's settings, and what variables say of a connection. */
#include <fcntl.h>
#include <sys/random.h>

#include "adapter.h"

#define TICKET_LIFETIME_S 86400

ngx_conf_enum_t milgi__ngx_verify_words[] = {
    { ngx_string("off"), MILGI_CLIENT_AUTH_NONE },
    { ngx_string("optional"), MILGI_CLIENT_AUTH_OPTIONAL },
    { ngx_string("on"), MILGI_CLIENT_AUTH_REQUIRED },
    { ngx_null_string, 0 },
};

/* The master's: all servers and workers, those of the next reload, too, open each other's tickets. */
static struct milgi_ticket_keys *ticket_keys;

static int need_ticket_keys(void)
{
    uint8_t secret[MILGI_TICKET_SECRET_LEN];
    if (ticket_keys)
        return 0;
    if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret)
        return MILGI_EINTERNAL;
    int rv = milgi_ticket_keys_new(secret, TICKET_LIFETIME_S, ngx_time(), &ticket_keys);
    ngx_explicit_memzero(secret, sizeof secret);
    return rv;
}

static void on_conf_gone(void *data)
{
    struct milgi__ngx_conf *conf = data;
    milgi_config_unref(conf->config[0]);
    milgi_config_unref(conf->config[1]);
}

struct milgi__ngx_conf *milgi__ngx_conf_new(ngx_conf_t *cf)
{
    struct milgi__ngx_conf *conf = ngx_pcalloc(cf->pool, sizeof *conf);
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    if (!conf || !cleanup)
        return NULL;
    cleanup->handler = on_conf_gone;
    cleanup->data = conf;
    conf->enable = conf->tickets = NGX_CONF_UNSET;
    conf->verify = NGX_CONF_UNSET_UINT;
    conf->handshake_timeout = NGX_CONF_UNSET_MSEC;
    conf->certificates = conf->keys = conf->alpn = NGX_CONF_UNSET_PTR;
    return conf;
}

/* --- a config ----------------------------------------------------------------------------------------------------- */

/* Complains. What was wrong is in |problem|, unless that is empty. */
static int wrong(ngx_conf_t *cf, const char *what, const ngx_str_t *value, int rv, const struct milgi_problem *problem)
{
    const char *why = problem && problem->error ? problem->text : milgi_error_text(rv);
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s \"%V\" %s", what, value, why);
    return rv;
}

/* A name in the configuration's directory, unless it says where a key is that is elsewhere. */
static const char *file_name(ngx_conf_t *cf, const ngx_str_t *value)
{
    ngx_str_t name = *value;
    if (milgi_credential_is_uri((const char *)value->data) || ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK)
        return (const char *)value->data;
    return (const char *)name.data;
}

#define PASSPHRASES_MAX 65536 /* bytes of their file */

static void wipe_passphrases(void *data)
{
    ngx_explicit_memzero(data, PASSPHRASES_MAX);
}

/* It may be a pipe, so it is read once; and wiped when all is configured. */
char *milgi__ngx_password_file(ngx_conf_t *cf, ngx_command_t *command, void *data)
{
    struct milgi__ngx_conf *conf = data;
    ngx_str_t *value = (ngx_str_t *)cf->args->elts + 1;
    ssize_t n = 0;
    (void)command;
    if (conf->passphrases.data)
        return "is duplicate";
    u_char *text = ngx_palloc(cf->temp_pool, PASSPHRASES_MAX);
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->temp_pool, 0);
    if (!text || !cleanup)
        return NGX_CONF_ERROR;
    cleanup->handler = wipe_passphrases;
    cleanup->data = text;
    int fd = open(file_name(cf, value), O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    while (fd >= 0 && (n = read(fd, text + len, PASSPHRASES_MAX - len)) > 0)
        len += (size_t)n;
    bool failed = fd < 0 || n < 0;
    if (failed)
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno, "milgi_password_file \"%V\" cannot be read", value);
    else if (len == PASSPHRASES_MAX)
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "milgi_password_file \"%V\" is too long", value);
    if (fd >= 0)
        close(fd);
    conf->passphrases = (ngx_str_t){ len, text };
    return failed || len == PASSPHRASES_MAX ? NGX_CONF_ERROR : NGX_CONF_OK;
}

/* A key that is encrypted, by one passphrase after the other, as nginx does it. */
static int load_encrypted(const struct milgi__ngx_conf *conf, const char *const file[2],
    struct milgi_credential **credential, struct milgi_problem *problem)
{
    const char *line = (const char *)conf->passphrases.data, *end = line + conf->passphrases.len;
    int rv = MILGI_EPARSE;
    for (const char *next; line < end; line = next) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        next = stop ? stop + 1 : end;
        stop = stop ? stop : end;
        stop -= stop > line && stop[-1] == '\r';
        if (stop == line)
            continue;
        *problem = (struct milgi_problem){ 0 };
        rv = milgi_credential_load_encrypted(file[0], file[1], line, (size_t)(stop - line), credential, problem);
        if (!rv || problem->kind != MILGI_PROBLEM_PASSPHRASE)
            break;
    }
    return rv;
}

static int add_credential(ngx_conf_t *cf, struct milgi_config *config, const struct milgi__ngx_conf *conf,
    ngx_str_t *chain, ngx_str_t *key)
{
    struct milgi_problem problem = { 0 };
    struct milgi_credential *credential;
    const char *file[2] = { file_name(cf, chain), file_name(cf, key) };
    int rv = milgi_credential_load(file[0], file[1], &credential, &problem);
    if (rv && problem.kind == MILGI_PROBLEM_ENCRYPTED && conf->passphrases.len)
        rv = load_encrypted(conf, file, &credential, &problem);
    if (rv)
        return wrong(cf, problem.file == MILGI_FILE_KEY ? "milgi_certificate_key" : "milgi_certificate",
            problem.file == MILGI_FILE_KEY ? key : chain, rv, &problem);
    if (milgi_credential_warning(credential, ngx_time(), &problem))
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0, "milgi_certificate \"%V\" %s", chain, problem.text);
    rv = milgi_config_add_credential(config, credential);
    milgi_credential_unref(credential);
    return rv ? wrong(cf, "milgi_certificate", chain, rv, NULL) : 0;
}

static int set_trust(ngx_conf_t *cf, struct milgi_config *config, const struct milgi__ngx_conf *conf)
{
    struct milgi_problem problem = { 0 };
    struct milgi_trust *trust;
    if (conf->verify == MILGI_CLIENT_AUTH_NONE)
        return 0;
    int rv = milgi_trust_load(file_name(cf, &conf->trust), &trust, &problem);
    if (rv)
        return wrong(cf, "milgi_client_certificate", &conf->trust, rv, &problem);
    if (conf->crl.len)
        rv = milgi_trust_add_crls_file(trust, file_name(cf, &conf->crl), &problem);
    if (rv) {
        milgi_trust_unref(trust);
        return wrong(cf, "milgi_crl", &conf->crl, rv, &problem);
    }
    rv = milgi_config_set_trust(config, trust);
    milgi_trust_unref(trust);
    rv = rv ? rv : milgi_config_set_client_auth(config, (enum milgi_client_auth)conf->verify);
    return rv ? wrong(cf, "milgi_client_certificate", &conf->trust, rv, NULL) : 0;
}

static int fill(ngx_conf_t *cf, struct milgi__ngx_conf *conf, struct milgi_config *config, const char *const *protocols)
{
    struct milgi_problem problem = { 0 };
    size_t n = 0;
    int rv = milgi_config_set_policy(config, (const char *)conf->policy.data, &problem);
    if (rv)
        return wrong(cf, "milgi_policy", &conf->policy, rv, &problem);
    ngx_str_t *chain = conf->certificates->elts, *key = conf->keys->elts;
    for (ngx_uint_t i = 0; !rv && i < conf->certificates->nelts; i++)
        rv = add_credential(cf, config, conf, &chain[i], &key[i]);
    rv = rv ? rv : set_trust(cf, config, conf);
    if (rv)
        return rv;
    while (protocols && protocols[n])
        n++;
    if (n)
        rv = milgi_config_set_alpn(config, protocols, n);
    if (!rv && conf->tickets)
        rv = need_ticket_keys();
    if (!rv && conf->tickets)
        rv = milgi_config_set_ticket_keys(config, ticket_keys);
    return rv ? wrong(cf, "milgi", &chain[0], rv, NULL) : 0;
}

static int make(ngx_conf_t *cf, struct milgi__ngx_conf *conf, const char *const *protocols, bool choose,
    struct milgi_config **made)
{
    const char *why = NULL;
    struct milgi_config *config = milgi_config_new(MILGI_SERVER);
    if (!config)
        return MILGI_ENOMEM;
    *made = config; /* the settings' from here on */
    int rv = fill(cf, conf, config, protocols);
    if (!rv && choose)
        rv = milgi_config_set_ask(config, MILGI_DECIDE_CONFIG);
    if (rv)
        return rv;
    rv = milgi_config_freeze(config, &why);
    if (rv)
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "milgi: %s", why ? why : milgi_error_text(rv));
    return rv;
}

static void inherit(ngx_conf_t *cf, struct milgi__ngx_conf *parent, struct milgi__ngx_conf *conf)
{
    (void)cf;
    ngx_conf_merge_value(conf->enable, parent->enable, 0);
    ngx_conf_merge_value(conf->tickets, parent->tickets, 1);
    ngx_conf_merge_uint_value(conf->verify, parent->verify, MILGI_CLIENT_AUTH_NONE);
    ngx_conf_merge_msec_value(conf->handshake_timeout, parent->handshake_timeout, 60000);
    ngx_conf_merge_str_value(conf->trust, parent->trust, "");
    ngx_conf_merge_str_value(conf->crl, parent->crl, "");
    if (!conf->passphrases.data)
        conf->passphrases = parent->passphrases;
    ngx_conf_merge_str_value(conf->policy, parent->policy, "compatible");
    ngx_conf_merge_ptr_value(conf->certificates, parent->certificates, NULL);
    ngx_conf_merge_ptr_value(conf->keys, parent->keys, NULL);
    ngx_conf_merge_ptr_value(conf->alpn, parent->alpn, NULL);
}

char *milgi__ngx_conf_merge(
    ngx_conf_t *cf, struct milgi__ngx_conf *parent, struct milgi__ngx_conf *conf, const char *const *protocols[2])
{
    inherit(cf, parent, conf);
    ngx_uint_t certificates = conf->certificates ? conf->certificates->nelts : 0;
    if (certificates != (conf->keys ? conf->keys->nelts : 0)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "each \"milgi_certificate\" needs a \"milgi_certificate_key\"");
        return NGX_CONF_ERROR;
    }
    if (conf->enable && !certificates) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"milgi on\" needs a \"milgi_certificate\"");
        return NGX_CONF_ERROR;
    }
    if (conf->verify != MILGI_CLIENT_AUTH_NONE && !conf->trust.len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"milgi_verify_client\" needs a \"milgi_client_certificate\"");
        return NGX_CONF_ERROR;
    }
    if (conf->crl.len && conf->verify == MILGI_CLIENT_AUTH_NONE && conf->enable) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"milgi_crl\" needs \"milgi_verify_client\"");
        return NGX_CONF_ERROR;
    }
    if (!conf->enable)
        return NGX_CONF_OK;
    milgi__ngx_wanted(cf);
    for (int i = 0; i < 2; i++)
        if ((!i || protocols[i]) && make(cf, conf, protocols[i], protocols[1] != NULL, &conf->config[i]))
            return NGX_CONF_ERROR;
    return NGX_CONF_OK;
}

/* --- variables ---------------------------------------------------------------------------------------------------- */

ngx_str_t milgi__ngx_variable_names[MILGI__NGX_VARIABLES] = {
    [MILGI__NGX_PROTOCOL] = ngx_string("milgi_protocol"),
    [MILGI__NGX_CIPHER] = ngx_string("milgi_cipher"),
    [MILGI__NGX_CURVE] = ngx_string("milgi_curve"),
    [MILGI__NGX_SERVER_NAME] = ngx_string("milgi_server_name"),
    [MILGI__NGX_ALPN] = ngx_string("milgi_alpn_protocol"),
    [MILGI__NGX_SESSION_REUSED] = ngx_string("milgi_session_reused"),
    [MILGI__NGX_CLIENT_S_DN] = ngx_string("milgi_client_s_dn"),
    [MILGI__NGX_CLIENT_I_DN] = ngx_string("milgi_client_i_dn"),
    [MILGI__NGX_CLIENT_VERIFY] = ngx_string("milgi_client_verify"),
};

bool milgi__ngx_variable(const struct milgi__ngx_conn *m, uintptr_t which, ngx_str_t *value)
{
    const char *text = NULL;
    if (!m || !m->open)
        return false;
    if (which == MILGI__NGX_PROTOCOL)
        text = m->info.version == MILGI_TLS_1_3 ? "TLSv1.3" : "TLSv1.2";
    else if (which == MILGI__NGX_CIPHER)
        text = milgi_suite_name(m->info.suite);
    else if (which == MILGI__NGX_CURVE)
        text = milgi_group_name(m->info.group);
    else if (which == MILGI__NGX_SESSION_REUSED)
        text = m->info.resumed ? "r" : ".";
    else if (which == MILGI__NGX_CLIENT_VERIFY)
        text = m->info.peer_authenticated ? "SUCCESS" : "NONE";
    if (text)
        *value = (ngx_str_t){ ngx_strlen(text), (u_char *)(uintptr_t)text };
    else if (which == MILGI__NGX_SERVER_NAME)
        *value = m->server_name;
    else if (which == MILGI__NGX_ALPN)
        *value = m->alpn;
    else if (which == MILGI__NGX_CLIENT_S_DN)
        *value = m->subject;
    else if (which == MILGI__NGX_CLIENT_I_DN)
        *value = m->issuer;
    else
        return false;
    return value->len != 0;
}
