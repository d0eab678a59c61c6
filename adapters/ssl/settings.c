/* SPDX-License-Identifier: Apache-2.0 */
/* What contexts and connections are set to, and the config that it makes. */
#include "shim.h"

#include <arpa/inet.h>

/* SSL_CTX_set_max_cert_list(3): "the default maximum size is 100kB" */
#define MESSAGE_MAX (100 * 1024)
/* programs have limits of their own; this one ends what has none */
#define HANDSHAKE_NS (UINT64_C(600) * 1000000000)

/* --- parameters of verification ---------------------------------------------------------------------------------- */

void milgi__ssl_param_clear(X509_VERIFY_PARAM *param)
{
    for (size_t i = 0; i < param->hosts_n; i++)
        free(param->host[i]);
    *param = (X509_VERIFY_PARAM){ .depth = -1 };
}

static bool add_host(X509_VERIFY_PARAM *param, const char *name, size_t len)
{
    len = len || !name ? len : strlen(name);
    if (!len)
        return true;
    if (param->hosts_n == HOSTS_MAX || memchr(name, 0, len) || !(param->host[param->hosts_n] = strndup(name, len))) {
        SSL_ERR(ERR_R_PASSED_INVALID_ARGUMENT, "a name of a host, or too many of them");
        return false;
    }
    param->hosts_n++;
    return true;
}

bool milgi__ssl_param_add_host(X509_VERIFY_PARAM *param, const char *name)
{
    return add_host(param, name, 0);
}

/* What |from| says and |to| does not say yet is kept: flags add up, the rest takes its place. */
bool milgi__ssl_param_copy(X509_VERIFY_PARAM *to, const X509_VERIFY_PARAM *from)
{
    if (!from)
        return true;
    to->flags |= from->flags;
    to->host_flags |= from->host_flags;
    if (from->depth >= 0)
        to->depth = from->depth;
    if (from->ip_len) {
        memcpy(to->ip, from->ip, from->ip_len);
        to->ip_len = from->ip_len;
    }
    if (from->hosts_n) {
        for (size_t i = 0; i < to->hosts_n; i++)
            free(to->host[i]);
        to->hosts_n = 0;
    }
    for (size_t i = 0; i < from->hosts_n; i++)
        if (!add_host(to, from->host[i], 0))
            return false;
    return true;
}

X509_VERIFY_PARAM *X509_VERIFY_PARAM_new(void)
{
    X509_VERIFY_PARAM *param = calloc(1, sizeof *param);
    if (param)
        param->depth = -1;
    return param;
}

void X509_VERIFY_PARAM_free(X509_VERIFY_PARAM *param)
{
    if (param)
        milgi__ssl_param_clear(param);
    free(param);
}

/* All but those of CRLs are kept anyway: the trusted ones are looked at, and an anchor need not have signed itself. */
#define FLAGS_KEPT \
    (X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_ALT_CHAINS | X509_V_FLAG_CRL_CHECK | \
        X509_V_FLAG_CRL_CHECK_ALL)

int X509_VERIFY_PARAM_set_flags(X509_VERIFY_PARAM *param, unsigned long flags)
{
    if (flags & ~(unsigned long)FLAGS_KEPT) {
        LIB_ERR(ERR_LIB_X509, ERR_R_UNSUPPORTED, "flags of verification that Milgi does not have");
        return 0;
    }
    param->flags |= flags;
    return 1;
}

enum milgi_crl_check milgi__ssl_crl_check(unsigned long flags)
{
    if (!(flags & X509_V_FLAG_CRL_CHECK))
        return MILGI_CRL_CHECK_NONE;
    return flags & X509_V_FLAG_CRL_CHECK_ALL ? MILGI_CRL_CHECK_ALL : MILGI_CRL_CHECK_LEAF;
}

unsigned long X509_VERIFY_PARAM_get_flags(X509_VERIFY_PARAM *param)
{
    return param->flags;
}

int X509_VERIFY_PARAM_set1_host(X509_VERIFY_PARAM *param, const char *name, size_t len)
{
    for (size_t i = 0; i < param->hosts_n; i++)
        free(param->host[i]);
    param->hosts_n = 0;
    return !name || add_host(param, name, len);
}

int X509_VERIFY_PARAM_set1_ip(X509_VERIFY_PARAM *param, const unsigned char *ip, size_t len)
{
    if (len != 0 && len != 4 && len != 16)
        return 0;
    if (len)
        memcpy(param->ip, ip, len);
    param->ip_len = len;
    return 1;
}

int X509_VERIFY_PARAM_set1_ip_asc(X509_VERIFY_PARAM *param, const char *text)
{
    ASN1_OCTET_STRING *ip = a2i_IPADDRESS(text);
    int rv = ip ? X509_VERIFY_PARAM_set1_ip(param, ip->data, (size_t)ip->length) : 0;
    ASN1_STRING_free(ip);
    return rv;
}

/* Names are checked as RFC 9525 has it, and never in the subject, which is stricter than any of the flags. */
void X509_VERIFY_PARAM_set_hostflags(X509_VERIFY_PARAM *param, unsigned flags)
{
    param->host_flags = flags;
}

void X509_VERIFY_PARAM_set_depth(X509_VERIFY_PARAM *param, int depth)
{
    param->depth = depth;
}

/* --- settings ---------------------------------------------------------------------------------------------------- */

int milgi__ssl_settings_init(struct settings *settings)
{
    *settings = (struct settings){ .mode = SSL_MODE_AUTO_RETRY, .param = { .depth = -1 } };
    return milgi__ssl_cipher_list(settings, "DEFAULT") &&
        milgi__ssl_ciphersuites(settings, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256");
}

void milgi__ssl_settings_clear(struct settings *settings)
{
    for (size_t i = 0; i < settings->identities_n; i++)
        milgi__ssl_identity_unref(settings->identity[i]);
    milgi__ssl_text_free(&settings->chain);
    milgi__ssl_text_free(&settings->key);
    milgi__ssl_text_free(&settings->word);
    milgi__ssl_param_clear(&settings->param);
    free(settings->alpn);
    *settings = (struct settings){ 0 };
}

static bool copy_texts(struct settings *to, const struct settings *from)
{
    return (!from->chain.len || milgi__ssl_append(&to->chain, from->chain.data, from->chain.len)) &&
        (!from->key.len || milgi__ssl_append(&to->key, from->key.data, from->key.len)) &&
        (!from->word.len || milgi__ssl_append(&to->word, from->word.data, from->word.len));
}

bool milgi__ssl_settings_take_credentials(struct settings *to, const struct settings *from)
{
    for (size_t i = 0; i < to->identities_n; i++)
        milgi__ssl_identity_unref(to->identity[i]);
    milgi__ssl_text_free(&to->chain);
    milgi__ssl_text_free(&to->key);
    milgi__ssl_text_free(&to->word);
    to->identities_n = from->identities_n;
    for (size_t i = 0; i < from->identities_n; i++)
        to->identity[i] = milgi__ssl_identity_ref(from->identity[i]);
    return copy_texts(to, from);
}

bool milgi__ssl_settings_copy(struct settings *to, const struct settings *from)
{
    *to = *from;
    to->chain = to->key = to->word = (struct text){ 0 };
    to->alpn = NULL;
    to->alpn_len = 0;
    to->param = (X509_VERIFY_PARAM){ .depth = -1 };
    for (size_t i = 0; i < to->identities_n; i++)
        milgi__ssl_identity_ref(to->identity[i]);
    bool ok = milgi__ssl_param_copy(&to->param, &from->param) && copy_texts(to, from);
    if (ok && from->alpn_len) {
        to->alpn = malloc(from->alpn_len);
        ok = to->alpn != NULL;
        if (ok) {
            memcpy(to->alpn, from->alpn, from->alpn_len);
            to->alpn_len = from->alpn_len;
        }
    }
    if (!ok)
        milgi__ssl_settings_clear(to);
    return ok;
}

/* --- the config -------------------------------------------------------------------------------------------------- */

/* 0, or what the config says. */
static int set_versions(struct milgi_config *config, const struct settings *s)
{
    bool old = s->min_version <= TLS1_2_VERSION && !(s->options & SSL_OP_NO_TLSv1_2) && s->suites12_n;
    bool current = (!s->max_version || s->max_version >= TLS1_3_VERSION) && !(s->options & SSL_OP_NO_TLSv1_3) &&
        s->suites13_n;
    uint16_t suites[16];
    size_t n = 0;

    if (!old && !current) {
        SSL_ERR(SSL_R_NO_PROTOCOLS_AVAILABLE, "TLS 1.2 and TLS 1.3 are all that there is");
        return MILGI_EINVAL;
    }
    for (size_t i = 0; current && i < s->suites13_n; i++)
        suites[n++] = s->suites13[i];
    for (size_t i = 0; old && i < s->suites12_n; i++)
        suites[n++] = s->suites12[i];
    int rv = milgi_config_set_versions(
        config, old ? MILGI_TLS_1_2 : MILGI_TLS_1_3, current ? MILGI_TLS_1_3 : MILGI_TLS_1_2);
    return rv ? rv : milgi_config_set_suites(config, suites, n);
}

static int set_alpn(struct milgi_config *config, const struct settings *s)
{
    const char *list[MILGI_ALPN_SHOWN];
    char *copy = calloc(1, s->alpn_len + 1);
    size_t n = 0;
    if (!copy)
        return MILGI_ENOMEM;
    /* Each name moves over the length before it, which leaves room for its NUL. */
    for (size_t at = 0; at < s->alpn_len && n < MILGI_ALPN_SHOWN; at += 1u + s->alpn[at]) {
        memcpy(copy + at, s->alpn + at + 1, s->alpn[at]);
        list[n++] = copy + at;
    }
    int rv = milgi_config_set_alpn(config, list, n);
    free(copy);
    return rv;
}

/* As the context of the connection says now, which may be another one than the config's. */
static void keylog(void *none, struct milgi_conn *conn, const char *line)
{
    const SSL *ssl = milgi_pull_arg(conn);
    (void)none;
    if (ssl->ctx->keylog_cb)
        ssl->ctx->keylog_cb(ssl, line);
}

static int set_common(struct milgi_config *config, SSL_CTX *ctx, const struct settings *s)
{
    int rv = set_versions(config, s);
    if (!rv && s->groups_n)
        rv = milgi_config_set_groups(config, s->groups, s->groups_n);
    for (size_t i = 0; !rv && i < s->identities_n; i++)
        rv = milgi_config_add_credential(config, s->identity[i]->credential);
    if (!rv && ctx->keylog_cb)
        rv = milgi_config_set_keylog(config, keylog, NULL);
    if (!rv)
        rv = milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_MESSAGE, MESSAGE_MAX);
    return rv ? rv : milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_NS, HANDSHAKE_NS);
}

/*
 * The library is told to accept anybody, since it would check a name in any case: whom to accept is decided at
 * MILGI_DECIDE_PEER, by what it says there about the chain (handshake.c).
 */
static int set_client(struct milgi_config *config, const struct settings *s)
{
    int rv = milgi_config_dangerously_accept_any_server(config);
    if (!rv)
        rv = milgi_config_set_ask(config, MILGI_DECIDE_PEER);
    if (!rv && s->alpn_len)
        rv = set_alpn(config, s);
    if (!rv && s->mode & SSL_MODE_SEND_FALLBACK_SCSV)
        rv = milgi_config_set_fallback(config, true);
    return rv;
}

/* A list that is too long for the library is not sent at all: half of one would say that the others are refused. */
static int set_authorities(struct milgi_config *config, const struct text *names)
{
    size_t n = 0;
    struct milgi_iov *list = malloc((names->len / 3 + 1) * sizeof *list);
    if (!list)
        return MILGI_ENOMEM;
    for (size_t at = 0; names->len <= AUTHORITIES_MAX && at + 2 <= names->len; n++) {
        const uint8_t *from = (const uint8_t *)names->data + at;
        size_t len = (size_t)from[0] << 8 | from[1];
        list[n] = (struct milgi_iov){ from + 2, len };
        at += 2 + len;
    }
    int rv = milgi_config_set_authority_names(config, list, n);
    free(list);
    return rv;
}

static int set_client_auth(struct milgi_config *config, SSL_CTX *ctx, const struct settings *s)
{
    struct anchors *anchors = milgi__ssl_ctx_anchors(ctx);
    enum milgi_crl_check crls = milgi__ssl_crl_check(s->param.flags);
    int rv = anchors ? 0 : MILGI_ENOMEM;
    if (anchors && !anchors->view[crls].trust) {
        SSL_ERR(SSL_R_CERTIFICATE_VERIFY_FAILED,
            anchors->view[0].trust ? "no CRLs to verify clients with" : "no certificates to verify clients with");
        rv = MILGI_EINVAL;
    }
    if (!rv)
        rv = milgi_config_set_trust(config, anchors->view[crls].trust);
    if (!rv)
        rv = milgi_config_set_client_auth(config,
            s->verify_mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT ? MILGI_CLIENT_AUTH_REQUIRED : MILGI_CLIENT_AUTH_OPTIONAL);
    if (!rv)
        rv = set_authorities(config, &ctx->client_cas);
    milgi__ssl_anchors_unref(anchors);
    return rv;
}

/* 0, or what is wrong. Made with the context: those who are forked later open each other's tickets. */
int milgi__ssl_make_tickets(SSL_CTX *ctx)
{
    uint8_t secret[MILGI_TICKET_SECRET_LEN];
    uint32_t lifetime = ctx->timeout_s < 60 ? 60 : ctx->timeout_s > 604800 ? 604800
                                                                           : (uint32_t)ctx->timeout_s;
    milgi_ticket_keys_unref(ctx->tickets);
    ctx->tickets = NULL;
    int rv = RAND_bytes(secret, sizeof secret) ? 0 : MILGI_EINTERNAL;
    if (!rv)
        rv = milgi_ticket_keys_new(secret, lifetime, (int64_t)time(NULL), &ctx->tickets);
    OPENSSL_cleanse(secret, sizeof secret);
    return rv;
}

static int set_tickets(struct milgi_config *config, SSL_CTX *ctx)
{
    int rv = ctx->tickets ? 0 : milgi__ssl_make_tickets(ctx);
    if (!rv)
        rv = milgi_config_set_ticket_keys(config, ctx->tickets);
    return rv ? rv : milgi_config_set_tickets(config, (size_t)ctx->tickets_n);
}

static int set_server(struct milgi_config *config, SSL_CTX *ctx, const struct settings *s)
{
    /* Whether there is a callback is looked at when it would be called: a program may set it when we have begun. */
    unsigned ask = MILGI_DECIDE_ALPN | MILGI_DECIDE_CONFIG | (s->verify_mode & SSL_VERIFY_PEER ? MILGI_DECIDE_PEER : 0);
    int rv = milgi_config_set_ask(config, ask);
    if (!rv && !s->identities_n) {
        SSL_ERR(SSL_R_NO_CERTIFICATE_ASSIGNED, NULL);
        rv = MILGI_EINVAL;
    }
    if (!rv && s->verify_mode & SSL_VERIFY_PEER)
        rv = set_client_auth(config, ctx, s);
    if (!rv && !(s->options & SSL_OP_NO_TICKET) && ctx->tickets_n)
        rv = set_tickets(config, ctx);
    return rv;
}

struct milgi_config *milgi__ssl_config(SSL_CTX *ctx, struct settings *s, bool server)
{
    pthread_mutex_lock(&ctx->lock);
    milgi__ssl_complete_chains(s, &ctx->store);
    pthread_mutex_unlock(&ctx->lock);
    struct milgi_config *config = milgi_config_new(server ? MILGI_SERVER : MILGI_CLIENT);
    const char *why = NULL;
    unsigned long before = ERR_peek_last_error();
    int rv = config ? set_common(config, ctx, s) : MILGI_ENOMEM;
    if (!rv)
        rv = server ? set_server(config, ctx, s) : set_client(config, s);
    if (!rv)
        rv = milgi_config_freeze(config, &why);
    if (!rv)
        return config;
    if (ERR_peek_last_error() == before)
        milgi__ssl_error_of(rv, why);
    milgi_config_unref(config);
    return NULL;
}
