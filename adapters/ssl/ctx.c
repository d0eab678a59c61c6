/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts, and what is set in them or in a connection. */
#include "shim.h"

#include <errno.h>

static const SSL_METHOD any = { true, true }, client = { true, false }, server = { false, true };

const SSL_METHOD *TLS_method(void)
{
    return &any;
}

const SSL_METHOD *TLS_client_method(void)
{
    return &client;
}

const SSL_METHOD *TLS_server_method(void)
{
    return &server;
}

const SSL_METHOD *DTLS_method(void)
{
    SSL_ERR(ERR_R_DISABLED, "there is no DTLS");
    return NULL;
}

const SSL_METHOD *DTLS_client_method(void)
{
    return DTLS_method();
}

const SSL_METHOD *DTLS_server_method(void)
{
    return DTLS_method();
}

SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = method ? calloc(1, sizeof *ctx) : NULL;
    if (!ctx) {
        SSL_ERR(method ? ERR_R_MALLOC_FAILURE : SSL_R_NULL_SSL_METHOD_PASSED, NULL);
        return NULL;
    }
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&ctx->lock, &kind);
    pthread_mutexattr_destroy(&kind);
    ctx->refs = 1;
    ctx->method = method;
    ctx->timeout_s = 7200;
    ctx->cache_mode = SSL_SESS_CACHE_SERVER;
    ctx->tickets_n = 2;
    ctx->store.ctx = ctx;
    ctx->store.lookup[0] = (X509_LOOKUP){ false, &ctx->store };
    ctx->store.lookup[1] = (X509_LOOKUP){ true, &ctx->store };
    bool ok = milgi__ssl_settings_init(&ctx->settings);
    int rv = ok && method->server ? milgi__ssl_make_tickets(ctx) : 0;
    if (rv)
        milgi__ssl_error_of(rv, "keys of tickets");
    if (ok && !rv)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

int SSL_CTX_up_ref(SSL_CTX *ctx)
{
    ctx->refs++;
    return 1;
}

void SSL_CTX_free(SSL_CTX *ctx)
{
    if (!ctx || --ctx->refs != 0)
        return;
    milgi__ssl_ctx_changed(ctx);
    milgi__ssl_anchors_unref(ctx->anchors);
    milgi__ssl_settings_clear(&ctx->settings);
    milgi__ssl_text_free(&ctx->store.pem);
    milgi__ssl_text_free(&ctx->store.crls);
    milgi__ssl_text_free(&ctx->client_cas);
    milgi_ticket_keys_unref(ctx->tickets);
    pthread_mutex_destroy(&ctx->lock);
    free(ctx);
}

/* --- what is made of it ------------------------------------------------------------------------------------------ */

void milgi__ssl_ctx_join(SSL_CTX *ctx, SSL *ssl)
{
    pthread_mutex_lock(&ctx->lock);
    ssl->ctx_next = ctx->going_by;
    ssl->ctx_link = &ctx->going_by;
    if (ssl->ctx_next)
        ssl->ctx_next->ctx_link = &ssl->ctx_next;
    ctx->going_by = ssl;
    pthread_mutex_unlock(&ctx->lock);
}

void milgi__ssl_ctx_leave(SSL *ssl)
{
    pthread_mutex_lock(&ssl->ctx->lock);
    if (ssl->ctx_link) {
        *ssl->ctx_link = ssl->ctx_next;
        if (ssl->ctx_next)
            ssl->ctx_next->ctx_link = ssl->ctx_link;
        ssl->ctx_link = NULL;
    }
    pthread_mutex_unlock(&ssl->ctx->lock);
}

void milgi__ssl_ctx_changed(SSL_CTX *ctx)
{
    pthread_mutex_lock(&ctx->lock);
    for (SSL *ssl = ctx->going_by, *next; ssl; ssl = next) {
        next = ssl->ctx_next;
        (void)milgi__ssl_own_settings(ssl); /* which takes it off the list */
    }
    for (int i = 0; i < 2; i++) {
        milgi_config_unref(ctx->config[i]);
        ctx->config[i] = NULL;
    }
    pthread_mutex_unlock(&ctx->lock);
}

static void store_changed(SSL_CTX *ctx)
{
    pthread_mutex_lock(&ctx->lock);
    milgi__ssl_anchors_unref(ctx->anchors);
    ctx->anchors = NULL;
    milgi__ssl_ctx_changed(ctx);
    pthread_mutex_unlock(&ctx->lock);
}

struct milgi_config *milgi__ssl_ctx_config(SSL_CTX *ctx, bool for_server)
{
    pthread_mutex_lock(&ctx->lock);
    struct milgi_config **config = &ctx->config[for_server];
    if (!*config)
        *config = milgi__ssl_config(ctx, &ctx->settings, for_server);
    struct milgi_config *given = *config ? milgi_config_ref(*config) : NULL;
    pthread_mutex_unlock(&ctx->lock);
    return given;
}

struct anchors *milgi__ssl_ctx_anchors(SSL_CTX *ctx)
{
    pthread_mutex_lock(&ctx->lock);
    if (!ctx->anchors)
        ctx->anchors = milgi__ssl_anchors_new(&ctx->store, ctx->settings.param.flags);
    struct anchors *given = ctx->anchors;
    if (given)
        given->refs++;
    pthread_mutex_unlock(&ctx->lock);
    return given;
}

const struct settings *milgi__ssl_settings(const SSL *ssl)
{
    return ssl->own ? ssl->own : &ssl->ctx->settings;
}

struct settings *milgi__ssl_own_settings(SSL *ssl)
{
    if (ssl->own)
        return ssl->own;
    struct settings *own = calloc(1, sizeof *own);
    if (!own || !milgi__ssl_settings_copy(own, &ssl->ctx->settings)) {
        free(own);
        SSL_ERR(ERR_R_MALLOC_FAILURE, NULL);
        return NULL;
    }
    ssl->own = own;
    milgi__ssl_ctx_leave(ssl);
    return own;
}

/* --- one call for contexts, one for connections, which do the same ----------------------------------------------- */

#define FOR_BOTH(type, name, params, args, failed) \
    type SSL_CTX_##name params(SSL_CTX *ctx) \
    { \
        milgi__ssl_ctx_changed(ctx); \
        return name args(&ctx->settings); \
    } \
    type SSL_##name params(SSL *ssl) \
    { \
        struct settings *own = milgi__ssl_own_settings(ssl); \
        return own ? name args(own) : (failed); \
    }
#define NONE_P(of) (of)
#define INT_P(of) (of, int value)
#define LONG_P(of) (of, long value)
#define U64_P(of) (of, uint64_t value)
#define TEXT_P(of) (of, const char *value)
#define FILE_P(of) (of, const char *file, int type)
#define VALUE_A(settings) (settings, value)
#define FILE_A(settings) (settings, file, type)

static int set_min_proto_version(struct settings *s, int value)
{
    if (value < 0 || value > TLS1_3_VERSION) {
        SSL_ERR(SSL_R_UNSUPPORTED_PROTOCOL, NULL);
        return 0;
    }
    s->min_version = value;
    return 1;
}
FOR_BOTH(int, set_min_proto_version, INT_P, VALUE_A, 0)

static int set_max_proto_version(struct settings *s, int value)
{
    if (value != 0 && (value < TLS1_2_VERSION || value > TLS1_3_VERSION)) {
        SSL_ERR(SSL_R_UNSUPPORTED_PROTOCOL, "TLS 1.2 and TLS 1.3 are all that there is");
        return 0;
    }
    s->max_version = value;
    return 1;
}
FOR_BOTH(int, set_max_proto_version, INT_P, VALUE_A, 0)

int SSL_CTX_get_min_proto_version(SSL_CTX *ctx)
{
    return ctx->settings.min_version;
}

int SSL_CTX_get_max_proto_version(SSL_CTX *ctx)
{
    return ctx->settings.max_version;
}

static uint64_t set_options(struct settings *s, uint64_t value)
{
    return s->options |= value;
}
FOR_BOTH(uint64_t, set_options, U64_P, VALUE_A, 0)

static uint64_t clear_options(struct settings *s, uint64_t value)
{
    return s->options &= ~value;
}
FOR_BOTH(uint64_t, clear_options, U64_P, VALUE_A, 0)

uint64_t SSL_CTX_get_options(const SSL_CTX *ctx)
{
    return ctx->settings.options;
}

uint64_t SSL_get_options(const SSL *ssl)
{
    return milgi__ssl_settings(ssl)->options;
}

static long set_mode(struct settings *s, long value)
{
    return (long)(s->mode |= (unsigned long)value);
}
FOR_BOTH(long, set_mode, LONG_P, VALUE_A, 0)

static long clear_mode(struct settings *s, long value)
{
    return (long)(s->mode &= ~(unsigned long)value);
}
FOR_BOTH(long, clear_mode, LONG_P, VALUE_A, 0)

long SSL_CTX_get_mode(SSL_CTX *ctx)
{
    return (long)ctx->settings.mode;
}

long SSL_get_mode(SSL *ssl)
{
    return (long)milgi__ssl_settings(ssl)->mode;
}

static void set_read_ahead(struct settings *s, int value)
{
    s->read_ahead = value;
}
FOR_BOTH(void, set_read_ahead, INT_P, VALUE_A, (void)0)

static void set_quiet_shutdown(struct settings *s, int value)
{
    s->quiet = value != 0;
}
FOR_BOTH(void, set_quiet_shutdown, INT_P, VALUE_A, (void)0)

static int set_cipher_list(struct settings *s, const char *value)
{
    return milgi__ssl_cipher_list(s, value);
}
FOR_BOTH(int, set_cipher_list, TEXT_P, VALUE_A, 0)

static int set_ciphersuites(struct settings *s, const char *value)
{
    return milgi__ssl_ciphersuites(s, value);
}
FOR_BOTH(int, set_ciphersuites, TEXT_P, VALUE_A, 0)

static int set1_groups_list(struct settings *s, const char *value)
{
    return milgi__ssl_groups_list(s, value);
}
FOR_BOTH(int, set1_groups_list, TEXT_P, VALUE_A, 0)

static int use_certificate_file(struct settings *s, const char *file, int type)
{
    return milgi__ssl_use_certificate(s, file, type, false);
}
FOR_BOTH(int, use_certificate_file, FILE_P, FILE_A, 0)

static int use_certificate_chain_file(struct settings *s, const char *value)
{
    return milgi__ssl_use_certificate(s, value, SSL_FILETYPE_PEM, true);
}
FOR_BOTH(int, use_certificate_chain_file, TEXT_P, VALUE_A, 0)

static int use_PrivateKey_file(struct settings *s, const char *file, int type)
{
    return milgi__ssl_use_key(s, file, type);
}
FOR_BOTH(int, use_PrivateKey_file, FILE_P, FILE_A, 0)

int SSL_CTX_check_private_key(const SSL_CTX *ctx)
{
    return milgi__ssl_check_key(&ctx->settings);
}

int SSL_check_private_key(const SSL *ssl)
{
    return milgi__ssl_check_key(milgi__ssl_settings(ssl));
}

static void set_verify_depth(struct settings *s, int value)
{
    s->param.depth = value;
}
FOR_BOTH(void, set_verify_depth, INT_P, VALUE_A, (void)0)

static int set1_param(struct settings *s, X509_VERIFY_PARAM *param)
{
    return milgi__ssl_param_copy(&s->param, param);
}
#define PARAM_P(of) (of, X509_VERIFY_PARAM * param)
#define PARAM_A(settings) (settings, param)
FOR_BOTH(int, set1_param, PARAM_P, PARAM_A, 0)

static X509_VERIFY_PARAM *get0_param(struct settings *s)
{
    return &s->param;
}
#define NONE_A(settings) (settings)
FOR_BOTH(X509_VERIFY_PARAM *, get0_param, NONE_P, NONE_A, NULL)

static void set_verify(struct settings *s, int mode, SSL_verify_cb cb)
{
    s->verify_mode = mode;
    s->verify_cb = cb ? cb : s->verify_cb;
}
#define VERIFY_P(of) (of, int mode, SSL_verify_cb cb)
#define VERIFY_A(settings) (settings, mode, cb)
FOR_BOTH(void, set_verify, VERIFY_P, VERIFY_A, (void)0)

int SSL_CTX_get_verify_mode(const SSL_CTX *ctx)
{
    return ctx->settings.verify_mode;
}

int SSL_get_verify_mode(const SSL *ssl)
{
    return milgi__ssl_settings(ssl)->verify_mode;
}

/* 0 for success. */
static int set_alpn_protos(struct settings *s, const unsigned char *protos, unsigned len)
{
    for (unsigned at = 0; at < len; at += 1u + protos[at])
        if (protos[at] == 0 || protos[at] >= len - at || memchr(protos + at + 1, 0, protos[at])) {
            SSL_ERR(ERR_R_PASSED_INVALID_ARGUMENT, "a list of protocols");
            return 1;
        }
    uint8_t *copy = len ? malloc(len) : NULL;
    if (len && !copy)
        return 1;
    if (len)
        memcpy(copy, protos, len);
    free(s->alpn);
    s->alpn = copy;
    s->alpn_len = len;
    return 0;
}
#define ALPN_P(of) (of, const unsigned char *protos, unsigned len)
#define ALPN_A(settings) (settings, protos, len)
FOR_BOTH(int, set_alpn_protos, ALPN_P, ALPN_A, 1)

/* --- of contexts alone ------------------------------------------------------------------------------------------- */

/* Milgi's own level is kept: keys and signatures of 112 bits at least. */
void SSL_CTX_set_security_level(SSL_CTX *ctx, int level)
{
    (void)ctx;
    (void)level;
}

int SSL_CTX_get_security_level(const SSL_CTX *ctx)
{
    (void)ctx;
    return 2;
}

void SSL_CTX_set_default_passwd_cb(SSL_CTX *ctx, pem_password_cb *cb)
{
    ctx->settings.word_cb = cb;
}

void SSL_CTX_set_default_passwd_cb_userdata(SSL_CTX *ctx, void *arg)
{
    ctx->settings.word_arg = arg;
}

pem_password_cb *SSL_CTX_get_default_passwd_cb(SSL_CTX *ctx)
{
    return ctx->settings.word_cb;
}

void *SSL_CTX_get_default_passwd_cb_userdata(SSL_CTX *ctx)
{
    return ctx->settings.word_arg;
}

void SSL_set_default_passwd_cb(SSL *ssl, pem_password_cb *cb)
{
    struct settings *own = milgi__ssl_own_settings(ssl);
    if (own)
        own->word_cb = cb;
}

void SSL_set_default_passwd_cb_userdata(SSL *ssl, void *arg)
{
    struct settings *own = milgi__ssl_own_settings(ssl);
    if (own)
        own->word_arg = arg;
}

int X509_STORE_load_locations(X509_STORE *store, const char *file, const char *dir)
{
    int rv = milgi__ssl_store_load(store, file, dir);
    store_changed(store->ctx);
    return rv;
}

int X509_STORE_set_default_paths(X509_STORE *store)
{
    int rv = milgi__ssl_store_defaults(store, true, true);
    store_changed(store->ctx);
    return rv;
}

int X509_STORE_add_cert(X509_STORE *store, X509 *x)
{
    int rv = milgi__ssl_store_add(&store->pem, x->der, x->len);
    store_changed(store->ctx);
    return rv;
}

int X509_STORE_set_flags(X509_STORE *store, unsigned long flags)
{
    int rv = X509_VERIFY_PARAM_set_flags(&store->ctx->settings.param, flags);
    store_changed(store->ctx);
    return rv;
}

int X509_STORE_add_crl(X509_STORE *store, X509_CRL *crl)
{
    int rv = milgi__ssl_store_add_crls(store, &crl->pem, "a CRL");
    store_changed(store->ctx);
    return rv > 0;
}

static X509_LOOKUP_METHOD of_file = { false }, of_dir = { true };

X509_LOOKUP_METHOD *X509_LOOKUP_file(void)
{
    return &of_file;
}

X509_LOOKUP_METHOD *X509_LOOKUP_hash_dir(void)
{
    return &of_dir;
}

X509_LOOKUP *X509_STORE_add_lookup(X509_STORE *store, X509_LOOKUP_METHOD *method)
{
    return &store->lookup[method->dir];
}

int X509_LOOKUP_load_file(X509_LOOKUP *lookup, const char *file, long type)
{
    return type == X509_FILETYPE_PEM ? X509_STORE_load_locations(lookup->store, file, NULL) : 0;
}

int X509_LOOKUP_add_dir(X509_LOOKUP *lookup, const char *dir, long type)
{
    return type == X509_FILETYPE_PEM ? X509_STORE_load_locations(lookup->store, NULL, dir) : 0;
}

int X509_load_crl_file(X509_LOOKUP *lookup, const char *file, int type)
{
    int rv = type == X509_FILETYPE_PEM ? milgi__ssl_store_load_crls(lookup->store, file) : 0;
    if (type != X509_FILETYPE_PEM)
        LIB_ERR(ERR_LIB_X509, ERR_R_UNSUPPORTED, "CRLs in DER");
    store_changed(lookup->store->ctx);
    return rv;
}

int X509_load_cert_crl_file(X509_LOOKUP *lookup, const char *file, int type)
{
    return X509_LOOKUP_load_file(lookup, file, type);
}

int SSL_CTX_load_verify_locations(SSL_CTX *ctx, const char *file, const char *dir)
{
    return X509_STORE_load_locations(&ctx->store, file, dir);
}

int SSL_CTX_load_verify_file(SSL_CTX *ctx, const char *file)
{
    return X509_STORE_load_locations(&ctx->store, file, NULL);
}

int SSL_CTX_load_verify_dir(SSL_CTX *ctx, const char *dir)
{
    return X509_STORE_load_locations(&ctx->store, NULL, dir);
}

int SSL_CTX_set_default_verify_paths(SSL_CTX *ctx)
{
    return X509_STORE_set_default_paths(&ctx->store);
}

int SSL_CTX_set_default_verify_file(SSL_CTX *ctx)
{
    int rv = milgi__ssl_store_defaults(&ctx->store, true, false);
    store_changed(ctx);
    return rv;
}

int SSL_CTX_set_default_verify_dir(SSL_CTX *ctx)
{
    int rv = milgi__ssl_store_defaults(&ctx->store, false, true);
    store_changed(ctx);
    return rv;
}

X509_STORE *SSL_CTX_get_cert_store(const SSL_CTX *ctx)
{
    return (X509_STORE *)(uintptr_t)&ctx->store;
}

/* Names are those of certificates that are found in the file; each goes with its certificate, which it keeps. */
STACK_OF(X509_NAME) * SSL_load_client_CA_file(const char *file)
{
    struct text text;
    size_t at = 0, begin, end;
    if (!milgi__ssl_read_file(file, &text))
        return NULL;
    STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
    while (names && milgi__ssl_pem_next(&text, &at, "CERTIFICATE", &begin, &end)) {
        uint8_t *der;
        size_t len;
        if (!milgi__ssl_pem_decode(text.data + begin, end - begin, &der, &len))
            continue;
        const unsigned char *from = der;
        X509 *x = d2i_X509(NULL, &from, (long)len);
        X509_NAME *name = x ? milgi__ssl_name_copy(&x->subject) : NULL;
        if (name && sk_X509_NAME_push(names, name) == 0)
            X509_NAME_free(name);
        X509_free(x);
        free(der);
    }
    milgi__ssl_text_free(&text);
    return names;
}

void SSL_CTX_set_client_CA_list(SSL_CTX *ctx, STACK_OF(X509_NAME) * names)
{
    milgi__ssl_ctx_changed(ctx);
    milgi__ssl_text_free(&ctx->client_cas);
    for (int i = 0; i < sk_X509_NAME_num(names) && ctx->client_cas.len <= AUTHORITIES_MAX; i++) {
        const X509_NAME *name = sk_X509_NAME_value(names, i);
        uint8_t head[2] = { (uint8_t)(name->der.len >> 8), (uint8_t)name->der.len };
        if (milgi__ssl_append(&ctx->client_cas, head, 2))
            milgi__ssl_append(&ctx->client_cas, name->der.data, name->der.len);
    }
    sk_X509_NAME_pop_free(names, X509_NAME_free);
}

int SSL_CTX_set_tlsext_servername_callback(SSL_CTX *ctx, int (*cb)(SSL *ssl, int *alert, void *arg))
{
    milgi__ssl_ctx_changed(ctx);
    ctx->servername_cb = cb;
    return 1;
}

int SSL_CTX_set_tlsext_servername_arg(SSL_CTX *ctx, void *arg)
{
    ctx->servername_arg = arg;
    return 1;
}

void SSL_CTX_set_alpn_select_cb(SSL_CTX *ctx, SSL_CTX_alpn_select_cb_func cb, void *arg)
{
    milgi__ssl_ctx_changed(ctx);
    ctx->alpn_cb = cb;
    ctx->alpn_arg = arg;
}

void SSL_CTX_set_info_callback(SSL_CTX *ctx, void (*cb)(const SSL *ssl, int where, int value))
{
    ctx->info_cb = cb;
}

void SSL_CTX_set_keylog_callback(SSL_CTX *ctx, void (*cb)(const SSL *ssl, const char *line))
{
    milgi__ssl_ctx_changed(ctx);
    ctx->keylog_cb = cb;
}
