/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: their life, and what can be asked about them. */
#include "shim.h"

#include <ctype.h>
#include <unistd.h>

SSL *SSL_new(SSL_CTX *ctx)
{
    SSL *ssl = ctx ? calloc(1, sizeof *ssl) : NULL;
    if (!ssl) {
        SSL_ERR(ctx ? ERR_R_MALLOC_FAILURE : SSL_R_NULL_SSL_CTX, NULL);
        return NULL;
    }
    ssl->refs = 1;
    ssl->ctx = ctx;
    ctx->refs++;
    ssl->role = ctx->method->client && ctx->method->server ? ROLE_NONE : ctx->method->server ? ROLE_SERVER
                                                                                             : ROLE_CLIENT;
    ssl->verify_result = -1;
    ssl->want = SSL_NOTHING;
    milgi__ssl_ctx_join(ctx, ssl);
    return ssl;
}

int SSL_up_ref(SSL *ssl)
{
    ssl->refs++;
    return 1;
}

void SSL_free(SSL *ssl)
{
    if (!ssl || --ssl->refs != 0)
        return;
    milgi__ssl_stop(ssl);
    if (ssl->has_bell)
        close(ssl->paused.fd);
    milgi__ssl_home_unref(ssl->home);
    milgi_config_unref(ssl->config);
    milgi__ssl_anchors_unref(ssl->anchors);
    SSL_SESSION_free(ssl->offered);
    SSL_SESSION_free(ssl->session);
    BIO_free(ssl->rbio);
    BIO_free(ssl->wbio);
    free(ssl->host_name);
    if (ssl->own)
        milgi__ssl_settings_clear(ssl->own);
    free(ssl->own);
    milgi__ssl_ctx_leave(ssl);
    SSL_CTX_free(ssl->ctx);
    free(ssl);
}

/* The session of a connection that has ended well is the one that the next begins with. */
int SSL_clear(SSL *ssl)
{
    bool good = ssl->established && !ssl->failed && ssl->shutdown & SSL_SENT_SHUTDOWN;
    if (ssl->session && good)
        SSL_set_session(ssl, ssl->session);
    SSL_SESSION_free(ssl->session);
    ssl->session = NULL;
    milgi__ssl_stop(ssl);
    return 1;
}

SSL_CTX *SSL_get_SSL_CTX(const SSL *ssl)
{
    return ssl->ctx;
}

SSL_CTX *SSL_set_SSL_CTX(SSL *ssl, SSL_CTX *ctx)
{
    if (!ctx || ctx == ssl->ctx)
        return ssl->ctx;
    if (ssl->own && !milgi__ssl_settings_take_credentials(ssl->own, &ctx->settings)) {
        SSL_ERR(ERR_R_MALLOC_FAILURE, NULL);
        return NULL;
    }
    ctx->refs++;
    milgi__ssl_ctx_leave(ssl);
    SSL_CTX_free(ssl->ctx);
    ssl->ctx = ctx;
    if (!ssl->own)
        milgi__ssl_ctx_join(ctx, ssl);
    return ctx;
}

/* --- descriptors ------------------------------------------------------------------------------------------------- */

/*
 * Takes a reference to what changes, and none to what stays as it is, with the manual's exception: where both were one
 * and only |rbio| changes, |wbio| has a reference of its own. For both in one there is one.
 */
void SSL_set_bio(SSL *ssl, BIO *rbio, BIO *wbio)
{
    bool reads_on = rbio == ssl->rbio;
    bool writes_on = wbio == ssl->wbio && (reads_on || (rbio != wbio && ssl->rbio != ssl->wbio));

    if (reads_on && writes_on)
        return;
    if (rbio == wbio && rbio)
        BIO_up_ref(rbio);
    if (!reads_on)
        BIO_free(ssl->rbio);
    if (!writes_on)
        BIO_free(ssl->wbio);
    ssl->rbio = rbio;
    ssl->wbio = wbio;
}

BIO *SSL_get_rbio(const SSL *ssl)
{
    return ssl->rbio;
}

BIO *SSL_get_wbio(const SSL *ssl)
{
    return ssl->wbio;
}

static int replace(BIO **bio, int fd)
{
    BIO *made = BIO_new_socket(fd, BIO_NOCLOSE);
    if (!made)
        return 0;
    BIO_free(*bio);
    *bio = made;
    return 1;
}

int SSL_set_rfd(SSL *ssl, int fd)
{
    return replace(&ssl->rbio, fd);
}

int SSL_set_wfd(SSL *ssl, int fd)
{
    return replace(&ssl->wbio, fd);
}

int SSL_set_fd(SSL *ssl, int fd)
{
    return SSL_set_rfd(ssl, fd) && SSL_set_wfd(ssl, fd);
}

int SSL_get_rfd(const SSL *ssl)
{
    return ssl->rbio ? ssl->rbio->fd : -1;
}

int SSL_get_wfd(const SSL *ssl)
{
    return ssl->wbio ? ssl->wbio->fd : -1;
}

int SSL_get_fd(const SSL *ssl)
{
    return SSL_get_rfd(ssl);
}

/* --- what it is to be -------------------------------------------------------------------------------------------- */

void SSL_set_connect_state(SSL *ssl)
{
    SSL_clear(ssl);
    ssl->role = ROLE_CLIENT;
}

void SSL_set_accept_state(SSL *ssl)
{
    SSL_clear(ssl);
    ssl->role = ROLE_SERVER;
}

int SSL_is_server(const SSL *ssl)
{
    return ssl->role == ROLE_SERVER;
}

int SSL_set_tlsext_host_name(SSL *ssl, const char *name)
{
    char *copy = name ? strdup(name) : NULL;
    if (name && (!copy || strlen(copy) > TLSEXT_MAXLEN_host_name)) {
        free(copy);
        SSL_ERR(ERR_R_PASSED_INVALID_ARGUMENT, "a name of a server");
        return 0;
    }
    free(ssl->host_name);
    ssl->host_name = copy;
    return 1;
}

const char *SSL_get_servername(const SSL *ssl, int type)
{
    return type == TLSEXT_NAMETYPE_host_name ? ssl->host_name : NULL;
}

int SSL_get_servername_type(const SSL *ssl)
{
    return ssl->host_name ? TLSEXT_NAMETYPE_host_name : -1;
}

static int is_address(const char *name)
{
    ASN1_OCTET_STRING *ip = name ? a2i_IPADDRESS(name) : NULL;
    ASN1_STRING_free(ip);
    return ip != NULL;
}

/* A name that is an address is checked as one. */
int SSL_set1_host(SSL *ssl, const char *name)
{
    struct settings *own = milgi__ssl_own_settings(ssl);
    if (!own)
        return 0;
    X509_VERIFY_PARAM_set1_ip(&own->param, NULL, 0);
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_host(&own->param, NULL, 0) && X509_VERIFY_PARAM_set1_ip_asc(&own->param, name);
    return X509_VERIFY_PARAM_set1_host(&own->param, name, 0);
}

/* No change is made by no name; of addresses there is one. */
int SSL_add1_host(SSL *ssl, const char *name)
{
    struct settings *own = milgi__ssl_own_settings(ssl);
    if (!own)
        return 0;
    if (is_address(name))
        return !own->param.ip_len && X509_VERIFY_PARAM_set1_ip_asc(&own->param, name);
    return milgi__ssl_param_add_host(&own->param, name);
}

void SSL_set_hostflags(SSL *ssl, unsigned flags)
{
    struct settings *own = milgi__ssl_own_settings(ssl);
    if (own)
        own->param.host_flags = flags;
}

void SSL_set_info_callback(SSL *ssl, void (*cb)(const SSL *ssl, int where, int value))
{
    ssl->info_cb = cb;
}

void milgi__ssl_info(const SSL *ssl, int where, int value)
{
    void (*cb)(const SSL *of, int at, int what) = ssl->info_cb ? ssl->info_cb : ssl->ctx->info_cb;
    if (cb)
        cb(ssl, where, value);
}

/* --- what it has become ------------------------------------------------------------------------------------------ */

int SSL_is_init_finished(const SSL *ssl)
{
    return ssl->established;
}

int SSL_in_init(const SSL *ssl)
{
    return !ssl->established;
}

int SSL_in_before(const SSL *ssl)
{
    return !ssl->pull;
}

int SSL_version(const SSL *ssl)
{
    return ssl->version ? ssl->version : TLS1_3_VERSION;
}

const char *SSL_get_version(const SSL *ssl)
{
    return SSL_version(ssl) == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3";
}

const SSL_CIPHER *SSL_get_current_cipher(const SSL *ssl)
{
    return ssl->established ? milgi__ssl_cipher(ssl->suite) : NULL;
}

const char *SSL_state_string_long(const SSL *ssl)
{
    return ssl->failed ? "error" : ssl->established ? "SSL negotiation finished successfully"
        : ssl->pull                                 ? "in the handshake"
                                                    : "before SSL initialization";
}

const char *SSL_state_string(const SSL *ssl)
{
    return ssl->failed ? "SSLERR" : ssl->established ? "SSLOK "
        : ssl->pull                                  ? "SSL   "
                                                     : "PINIT ";
}

const char *SSL_alert_type_string_long(int value)
{
    return value >> 8 == 1 ? "warning" : value >> 8 == 2 ? "fatal"
                                                         : "unknown";
}

const char *SSL_alert_desc_string_long(int value)
{
    return milgi_alert_name(value & 0xff);
}

X509 *SSL_get0_peer_certificate(const SSL *ssl)
{
    return ssl->chain && ssl->chain->n ? ssl->chain->x[0] : NULL;
}

X509 *SSL_get1_peer_certificate(const SSL *ssl)
{
    X509 *x = SSL_get0_peer_certificate(ssl);
    if (x)
        X509_up_ref(x);
    return x;
}

/* A server's stack is without the leaf. */
STACK_OF(X509) * SSL_get_peer_cert_chain(const SSL *ssl)
{
    if (ssl->shown || !ssl->chain)
        return ssl->shown;
    STACK_OF(X509) *stack = sk_X509_new_null();
    for (size_t i = ssl->role == ROLE_SERVER; stack && i < ssl->chain->n; i++)
        if (sk_X509_push(stack, ssl->chain->x[i]))
            X509_up_ref(ssl->chain->x[i]);
    ((SSL *)(uintptr_t)ssl)->shown = stack;
    return stack;
}

const char *X509_verify_cert_error_string(long verdict)
{
    switch (verdict) {
    case X509_V_OK: return "ok";
#define MILGI_SSL_X(name, value, text) \
    case value: return text;
        MILGI_SSL_VERDICTS(MILGI_SSL_X)
#undef MILGI_SSL_X
    default: return "not verified";
    }
}

void SSL_get0_alpn_selected(const SSL *ssl, const unsigned char **data, unsigned *len)
{
    *data = (const unsigned char *)ssl->alpn;
    *len = ssl->alpn ? (unsigned)strlen(ssl->alpn) : 0;
}

/* The server's order counts; with nothing in common the client's first. */
int SSL_select_next_proto(unsigned char **out, unsigned char *out_len, const unsigned char *theirs, unsigned theirs_len,
    const unsigned char *ours, unsigned ours_len)
{
    for (unsigned i = 0; i < theirs_len && theirs[i] < theirs_len - i; i += 1u + theirs[i])
        for (unsigned k = 0; k < ours_len && ours[k] < ours_len - k; k += 1u + ours[k])
            if (theirs[i] && theirs[i] == ours[k] && memcmp(theirs + i + 1, ours + k + 1, theirs[i]) == 0) {
                *out = (unsigned char *)(uintptr_t)(theirs + i + 1);
                *out_len = theirs[i];
                return OPENSSL_NPN_NEGOTIATED;
            }
    bool some = ours_len && ours[0] < ours_len;
    *out = some ? (unsigned char *)(uintptr_t)(ours + 1) : NULL;
    *out_len = some ? ours[0] : 0;
    return OPENSSL_NPN_NO_OVERLAP;
}

int SSL_export_keying_material(SSL *ssl, unsigned char *out, size_t n, const char *label, size_t label_len,
    const unsigned char *context, size_t context_len, int use_context)
{
    char name[256];
    static const unsigned char empty[1];
    if (!ssl->established || label_len >= sizeof name || memchr(label, 0, label_len)) {
        SSL_ERR(ERR_R_PASSED_INVALID_ARGUMENT, NULL);
        return 0;
    }
    memcpy(name, label, label_len);
    name[label_len] = 0;
    pthread_mutex_lock(&ssl->home->lock);
    int rv = milgi_conn_export(milgi_pull_conn(ssl->pull), name, !use_context ? NULL : context ? context
                                                                                               : empty,
        use_context ? context_len : 0, out, n);
    pthread_mutex_unlock(&ssl->home->lock);
    if (rv)
        milgi__ssl_error_of(rv, "keying material");
    return rv == 0;
}

/* --- the program's own data -------------------------------------------------------------------------------------- */

static atomic_int indexes = 1; /* 0 is the app_data */

int SSL_get_ex_new_index(
    long argl, void *argp, CRYPTO_EX_new *new_func, CRYPTO_EX_dup *dup_func, CRYPTO_EX_free *free_func)
{
    (void)argl;
    (void)argp;
    if (new_func || dup_func || free_func) {
        SSL_ERR(ERR_R_UNSUPPORTED, "functions for a program's own data");
        return -1;
    }
    int index = indexes++;
    return index < EX_MAX ? index : -1;
}

int SSL_CTX_get_ex_new_index(
    long argl, void *argp, CRYPTO_EX_new *new_func, CRYPTO_EX_dup *dup_func, CRYPTO_EX_free *free_func)
{
    return SSL_get_ex_new_index(argl, argp, new_func, dup_func, free_func);
}

int SSL_set_ex_data(SSL *ssl, int index, void *data)
{
    if (index < 0 || index >= EX_MAX)
        return 0;
    ssl->ex[index] = data;
    return 1;
}

void *SSL_get_ex_data(const SSL *ssl, int index)
{
    return index < 0 || index >= EX_MAX ? NULL : ssl->ex[index];
}

int SSL_CTX_set_ex_data(SSL_CTX *ctx, int index, void *data)
{
    if (index < 0 || index >= EX_MAX)
        return 0;
    ctx->ex[index] = data;
    return 1;
}

void *SSL_CTX_get_ex_data(const SSL_CTX *ctx, int index)
{
    return index < 0 || index >= EX_MAX ? NULL : ctx->ex[index];
}
