/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: the library's, with what was known of the peer. */
#include "shim.h"

SSL_SESSION *milgi__ssl_session_of(SSL *ssl, struct milgi_session *session)
{
    const X509_VERIFY_PARAM *param = &milgi__ssl_settings(ssl)->param;
    SSL_SESSION *s = calloc(1, sizeof *s);
    char *host = param->hosts_n == 1 ? strdup(param->host[0]) : NULL;
    if (!s || (param->hosts_n == 1 && !host)) {
        SSL_ERR(ERR_R_MALLOC_FAILURE, NULL);
        free(s);
        free(host);
        return NULL;
    }
    s->host = host;
    s->depth = param->depth;
    s->crls = milgi__ssl_crl_check(param->flags);
    s->refs = 1;
    s->verify_result = ssl->verify_result;
    s->chain = ssl->chain;
    if (s->chain)
        s->chain->refs++;
    s->anchors = ssl->anchors;
    if (s->anchors)
        s->anchors->refs++;
    s->time_s = (long)time(NULL);
    s->timeout_s = ssl->ctx->timeout_s;
    if (session)
        milgi__ssl_session_fill(s, session);
    return s;
}

void milgi__ssl_session_fill(SSL_SESSION *s, struct milgi_session *session)
{
    struct milgi_session_info info;
    s->session = milgi_session_ref(session);
    milgi_session_info(session, &info);
    s->time_s = (long)info.created_s;
    s->timeout_s = (long)(info.expires_s - info.created_s);
}

int SSL_SESSION_up_ref(SSL_SESSION *session)
{
    session->refs++;
    return 1;
}

void SSL_SESSION_free(SSL_SESSION *session)
{
    if (!session || --session->refs != 0)
        return;
    milgi_session_unref(session->session);
    milgi__ssl_chain_unref(session->chain);
    milgi__ssl_anchors_unref(session->anchors);
    free(session->host);
    free(session);
}

int SSL_SESSION_is_resumable(const SSL_SESSION *session)
{
    return session && session->session;
}

long SSL_SESSION_get_time(const SSL_SESSION *session)
{
    return session ? session->time_s : 0;
}

long SSL_SESSION_get_timeout(const SSL_SESSION *session)
{
    return session ? session->timeout_s : 0;
}

/* An address is not remembered, and more names than one neither. */
bool milgi__ssl_session_covers(const SSL *ssl, const SSL_SESSION *session)
{
    const X509_VERIFY_PARAM *param = &milgi__ssl_settings(ssl)->param;

    if (session->anchors != ssl->anchors || session->verify_result != X509_V_OK || param->ip_len || param->hosts_n > 1)
        return false;
    if (param->depth >= 0 && (session->depth < 0 || session->depth > param->depth))
        return false;
    if (session->crls < milgi__ssl_crl_check(param->flags))
        return false;
    return param->hosts_n == 0 || (session->host && strcmp(session->host, param->host[0]) == 0);
}

/*
 * Who demands that the server is verified now stands on a session only if it was verified then. Who does not may stand
 * on any; but what comes of that connection, its own sessions too, has not been verified by it (handshake.c).
 */
bool milgi__ssl_session_fits(const SSL *ssl, const SSL_SESSION *session)
{
    bool demands = milgi__ssl_settings(ssl)->verify_mode & SSL_VERIFY_PEER;
    return session->session && (!demands || milgi__ssl_session_covers(ssl, session));
}

SSL_SESSION *SSL_get0_session(const SSL *ssl)
{
    return ssl->session;
}

SSL_SESSION *SSL_get1_session(SSL *ssl)
{
    if (ssl->session)
        ssl->session->refs++;
    return ssl->session;
}

int SSL_set_session(SSL *ssl, SSL_SESSION *session)
{
    if (session)
        session->refs++;
    SSL_SESSION_free(ssl->offered);
    ssl->offered = session;
    return 1;
}

int SSL_session_reused(const SSL *ssl)
{
    return ssl->resumed;
}

void SSL_CTX_sess_set_new_cb(SSL_CTX *ctx, int (*cb)(SSL *ssl, SSL_SESSION *session))
{
    ctx->session_cb = cb;
}

/* A client's sessions are the program's to keep, and a server's are in its tickets: no mode changes that. */
long SSL_CTX_set_session_cache_mode(SSL_CTX *ctx, long mode)
{
    long old = ctx->cache_mode;
    ctx->cache_mode = mode;
    return old;
}

long SSL_CTX_get_session_cache_mode(SSL_CTX *ctx)
{
    return ctx->cache_mode;
}

long SSL_CTX_sess_set_cache_size(SSL_CTX *ctx, long size)
{
    (void)ctx;
    return size;
}

long SSL_CTX_set_timeout(SSL_CTX *ctx, long seconds)
{
    long old = ctx->timeout_s;
    milgi__ssl_ctx_changed(ctx);
    ctx->timeout_s = seconds;
    if (ctx->tickets)
        (void)milgi__ssl_make_tickets(ctx); /* which is tried again when they are needed */
    return old;
}

long SSL_CTX_get_timeout(const SSL_CTX *ctx)
{
    return ctx->timeout_s;
}

int SSL_CTX_set_num_tickets(SSL_CTX *ctx, size_t n)
{
    milgi__ssl_ctx_changed(ctx);
    ctx->tickets_n = n > MILGI_TICKETS_MAX ? MILGI_TICKETS_MAX : (int)n;
    return 1;
}

/* Sessions are bound to what their config demands of clients: they need no name for it. */
int SSL_CTX_set_session_id_context(SSL_CTX *ctx, const unsigned char *id, unsigned len)
{
    (void)ctx;
    (void)id;
    return len <= 32;
}

int SSL_set_session_id_context(SSL *ssl, const unsigned char *id, unsigned len)
{
    return SSL_CTX_set_session_id_context(ssl->ctx, id, len);
}
