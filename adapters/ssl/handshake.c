/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection begins, and what is decided while it does. */
#include "shim.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* --- bytes ------------------------------------------------------------------------------------------------------- */

/* A descriptor that is no socket is only read or written when it will not wait. */
static bool is_ready(int fd, short events)
{
    struct pollfd p = { fd, events, 0 };
    return poll(&p, 1, 0) == 1;
}

static ssize_t result(SSL *ssl, ssize_t n)
{
    if (n >= 0)
        return n;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return -EAGAIN;
    ssl->sys_error = errno;
    return -errno;
}

/* The first bytes of the peer, a record's header if it speaks TLS. */
static void note_first(SSL *ssl, const uint8_t *data, ssize_t n)
{
    for (ssize_t i = 0; i < n && ssl->first_n < sizeof ssl->first; i++)
        ssl->first[ssl->first_n++] = data[i];
}

int milgi__ssl_what_else_it_speaks(const SSL *ssl)
{
    static const char *const words[] = { "GET ", "POST", "HEAD", "PUT " };
    if (ssl->first_n < sizeof ssl->first || ssl->first[1] == 3)
        return 0;
    for (size_t i = 0; ssl->role == ROLE_SERVER && i < sizeof words / sizeof *words; i++)
        if (memcmp(ssl->first, words[i], 4) == 0)
            return SSL_R_HTTP_REQUEST;
    return SSL_R_WRONG_VERSION_NUMBER;
}

static ssize_t receive(void *ctx, void *data, size_t len)
{
    SSL *ssl = ctx;
    ssize_t n = recv(ssl->rbio->fd, data, len, MSG_DONTWAIT);
    if (n < 0 && errno == ENOTSOCK) {
        if (!is_ready(ssl->rbio->fd, POLLIN))
            return -EAGAIN;
        n = read(ssl->rbio->fd, data, len);
    }
    note_first(ssl, data, n);
    return result(ssl, n);
}

static ssize_t send_out(void *ctx, const void *data, size_t len)
{
    SSL *ssl = ctx;
    if (milgi__ssl_what_else_it_speaks(ssl))
        return (ssize_t)len; /* an alert is no answer to what is not TLS */
    ssize_t n = send(ssl->wbio->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == ENOTSOCK) {
        if (!is_ready(ssl->wbio->fd, POLLOUT))
            return -EAGAIN;
        n = write(ssl->wbio->fd, data, len < 4096 ? len : 4096);
    }
    return result(ssl, n);
}

/* --- whom to accept ---------------------------------------------------------------------------------------------- */

struct x509_store_ctx_st {
    SSL *ssl;
    X509 *current;
    int error, depth;
};

int X509_STORE_CTX_get_error(const X509_STORE_CTX *ctx)
{
    return ctx->error;
}

void X509_STORE_CTX_set_error(X509_STORE_CTX *ctx, int verdict)
{
    ctx->error = verdict;
}

int X509_STORE_CTX_get_error_depth(const X509_STORE_CTX *ctx)
{
    return ctx->depth;
}

X509 *X509_STORE_CTX_get_current_cert(const X509_STORE_CTX *ctx)
{
    return ctx->current;
}

int SSL_get_ex_data_X509_STORE_CTX_idx(void)
{
    return 0;
}

void *X509_STORE_CTX_get_ex_data(const X509_STORE_CTX *ctx, int index)
{
    return index == 0 ? ctx->ssl : NULL;
}

/*
 * The program's callback: with what is wrong, which it may overrule; else once for each certificate, the leaf last,
 * each of which it may refuse. What the verdict is then.
 */
static long ask_program(SSL *ssl, SSL_verify_cb cb, long verdict, bool *accepted)
{
    const struct chain *chain = ssl->chain;
    X509_STORE_CTX ctx = { ssl, NULL, (int)verdict, 0 };

    if (verdict != X509_V_OK) {
        ctx.current = chain && chain->n ? chain->x[0] : NULL;
        *accepted = cb(0, &ctx) != 0;
        return ctx.error;
    }
    *accepted = true;
    for (size_t i = chain ? chain->n : 0; *accepted && i-- > 0;) {
        ctx.current = chain->x[i];
        ctx.depth = (int)i;
        *accepted = cb(1, &ctx) != 0;
    }
    if (!*accepted && ctx.error == X509_V_OK)
        ctx.error = X509_V_ERR_APPLICATION_VERIFICATION;
    return ctx.error;
}

/* What the program has accepted in a chain, and is not looked at any more. */
struct overruled {
    bool name, depth, time, crls;
    int64_t now_s; /* time: it is verified as of then */
};

static long verify(const SSL *ssl, const struct overruled *but, int *alert)
{
    const X509_VERIFY_PARAM *param = &milgi__ssl_settings(ssl)->param;
    struct verify_query query = { .chain = ssl->chain,
        .depth = but->depth ? -1 : param->depth,
        .now_s = but->time ? but->now_s : (int64_t)time(NULL),
        .crls = but->crls ? MILGI_CRL_CHECK_NONE : milgi__ssl_crl_check(param->flags) };
    if (!but->name) {
        query.hosts = (const char *const *)param->host;
        query.hosts_n = param->hosts_n;
        query.ip = param->ip;
        query.ip_len = param->ip_len;
    }
    return milgi__ssl_verify(ssl->anchors, &query, alert);
}

/* Nobody whom we trust has vouched for it: who accepts that accepts anybody, with any name and any time. */
static bool is_of_nobody(long verdict)
{
    return verdict == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT || verdict == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
        verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT || verdict == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
        verdict == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
}

static bool is_of_time(long verdict)
{
    return verdict == X509_V_ERR_CERT_HAS_EXPIRED || verdict == X509_V_ERR_CERT_NOT_YET_VALID;
}

static bool is_of_crls(long verdict)
{
    switch (verdict) {
    case X509_V_ERR_CERT_REVOKED:
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE: return true;
    default: return false;
    }
}

static int64_t seconds(const ASN1_TIME *at)
{
    struct tm tm;
    return ASN1_TIME_to_tm(at, &tm) ? (int64_t)timegm(&tm) : 0;
}

/*
 * What else is wrong where the program has accepted |verdict|: verification has ended there, before it came to the
 * signatures perhaps. Where it cannot go on that is X509_V_ERR_UNSPECIFIED, which only who accepts anything accepts.
 */
static long verify_on(const SSL *ssl, struct overruled *but, long verdict, int *alert)
{
    bool of_name = verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;

    if (is_of_nobody(verdict) || verdict == X509_V_ERR_UNSPECIFIED)
        return X509_V_OK;
    if (of_name && !but->name) {
        but->name = true;
    } else if (verdict == X509_V_ERR_CERT_CHAIN_TOO_LONG && !but->depth) {
        but->depth = true;
    } else if (is_of_crls(verdict) && !but->crls) {
        but->crls = true;
    } else if (is_of_time(verdict) && !but->time) {
        /* at the leaf's beginning its issuers were valid; or at its end, if one of them has been renewed */
        but->time = true;
        but->now_s = seconds(&ssl->chain->x[0]->not_before) + 1;
        verdict = verify(ssl, but, alert);
        if (!is_of_time(verdict))
            return verdict;
        but->now_s = seconds(&ssl->chain->x[0]->not_after) - 1;
    } else {
        return X509_V_ERR_UNSPECIFIED;
    }
    return verify(ssl, but, alert);
}

/* What comes of verifying a server, and of what the program says to each thing that is wrong. */
static long judge_server(SSL *ssl, SSL_verify_cb cb, bool *accepted, int *alert)
{
    struct overruled but = { 0 };
    long verdict = verify(ssl, &but, alert), told = verdict;

    *accepted = verdict == X509_V_OK;
    if (cb)
        told = ask_program(ssl, cb, verdict, accepted);
    while (*accepted && verdict != X509_V_OK) {
        verdict = verify_on(ssl, &but, verdict, alert);
        if (verdict == X509_V_OK)
            break;
        long next = ask_program(ssl, cb, verdict, accepted);
        if (told == X509_V_OK || !*accepted)
            told = next;
    }
    return told;
}

/* Where nobody has asked by then, a server is verified when the program asks what came of it. */
long SSL_get_verify_result(const SSL *ssl)
{
    const struct overruled nothing = { 0 };
    int alert;
    if (ssl->verify_result >= 0)
        return ssl->verify_result;
    if (ssl->role != ROLE_CLIENT || !ssl->chain)
        return X509_V_OK; /* as OpenSSL answers where no certificate came */
    ((SSL *)(uintptr_t)ssl)->verify_result = verify(ssl, &nothing, &alert);
    return ssl->verify_result;
}

static void keep_chain(SSL *ssl, const struct milgi_iov *certs, size_t n)
{
    milgi__ssl_chain_unref(ssl->chain);
    ssl->chain = n ? milgi__ssl_chain_new(certs, n) : NULL;
}

/* A refusal ends the connection with the alert that goes with it. */
static void decide_server(SSL *ssl, struct milgi_conn *conn, const struct milgi_decision *decision)
{
    const struct settings *s = milgi__ssl_settings(ssl);
    SSL_verify_cb cb = s->verify_cb;
    struct milgi_decision_info info;
    struct milgi_conn_info now;
    int alert = MILGI_ALERT_BAD_CERTIFICATE;
    bool accepted = true;

    milgi_conn_info(conn, &now);
    if (now.resumed || milgi_decision_info(ssl->home->engine, *decision, &info)) {
        milgi_decide(ssl->home->engine, *decision, now.resumed ? MILGI_ACCEPT : MILGI_REFUSE, NULL);
        return;
    }
    keep_chain(ssl, info.chain, info.chain_n);
    if (!ssl->chain) {
        milgi_conn_abort(conn, MILGI_ALERT_INTERNAL_ERROR);
        return;
    }
    if (s->verify_mode & SSL_VERIFY_PEER || cb) {
        ssl->verify_result = judge_server(ssl, cb, &accepted, &alert);
        if (alert == MILGI_ALERT_NONE)
            alert = MILGI_ALERT_BAD_CERTIFICATE; /* refused by the program alone */
    }
    s = milgi__ssl_settings(ssl); /* which may be others since the program was asked */
    if (accepted || !(s->verify_mode & SSL_VERIFY_PEER)) {
        milgi_decide(ssl->home->engine, *decision, MILGI_ACCEPT, NULL);
        return;
    }
    ssl->unverified = true;
    milgi_conn_abort(conn, alert);
}

/* Its chain was verified by the library; the program may refuse it. */
static void decide_client(SSL *ssl, const struct milgi_decision *decision)
{
    const struct settings *s = milgi__ssl_settings(ssl);
    struct milgi_decision_info info;
    bool accepted = milgi_decision_info(ssl->home->engine, *decision, &info) == 0;
    if (accepted && info.chain_n && s->verify_cb) {
        keep_chain(ssl, info.chain, info.chain_n);
        ssl->verify_result = ask_program(ssl, s->verify_cb, X509_V_OK, &accepted);
    }
    milgi_decide(ssl->home->engine, *decision, accepted ? MILGI_ACCEPT : MILGI_REFUSE, NULL);
}

/* --- names and protocols ----------------------------------------------------------------------------------------- */

static void decide_alpn(SSL *ssl, const struct milgi_decision *decision)
{
    struct milgi_decision_info info;
    uint8_t offered[MILGI_ALPN_SHOWN * 256];
    char chosen[256];
    const unsigned char *out = NULL;
    unsigned char out_len = 0;
    unsigned len = 0;
    SSL_CTX_alpn_select_cb_func cb = ssl->ctx->alpn_cb;
    int rv = cb ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;

    if (cb && milgi_decision_info(ssl->home->engine, *decision, &info) == 0) {
        for (size_t i = 0; i < info.alpn_n; i++) {
            offered[len++] = (uint8_t)info.alpn[i].len;
            memcpy(offered + len, info.alpn[i].data, info.alpn[i].len);
            len += (unsigned)info.alpn[i].len;
        }
        rv = cb(ssl, &out, &out_len, offered, len, ssl->ctx->alpn_arg);
    }
    if (rv == SSL_TLSEXT_ERR_OK && out && out_len) {
        memcpy(chosen, out, out_len);
        chosen[out_len] = 0;
        milgi_decide(ssl->home->engine, *decision, MILGI_ACCEPT, chosen);
    } else {
        milgi_decide(ssl->home->engine, *decision,
            rv == SSL_TLSEXT_ERR_ALERT_FATAL ? MILGI_REFUSE : MILGI_DEFAULT, NULL);
    }
}

static void decide_config(SSL *ssl, struct milgi_conn *conn, const struct milgi_decision *decision)
{
    struct milgi_decision_info info;
    SSL_CTX *before = ssl->ctx;
    int alert = MILGI_ALERT_UNRECOGNIZED_NAME;

    if (milgi_decision_info(ssl->home->engine, *decision, &info) == 0 && info.server_name) {
        free(ssl->host_name);
        ssl->host_name = strdup(info.server_name);
    }
    int (*cb)(SSL * of, int *with, void *arg) = before->servername_cb;
    int rv = cb ? cb(ssl, &alert, before->servername_arg) : SSL_TLSEXT_ERR_NOACK;
    if (rv == SSL_TLSEXT_ERR_ALERT_FATAL) {
        milgi_conn_abort(conn, alert);
        return;
    }
    struct milgi_config *config = NULL;
    if (cb && ssl->own)
        config = milgi__ssl_config(ssl->ctx, ssl->own, true);
    else if (ssl->ctx != before)
        config = milgi__ssl_ctx_config(ssl->ctx, true);
    else {
        milgi_decide(ssl->home->engine, *decision, MILGI_DEFAULT, NULL);
        return;
    }
    milgi_decide(ssl->home->engine, *decision, config ? MILGI_ACCEPT : MILGI_REFUSE, config);
    milgi_config_unref(config);
}

static void on_decide(struct milgi_conn *conn, void *arg, const struct milgi_decision *decision)
{
    SSL *ssl = arg;
    switch (decision->kind) {
    case MILGI_DECIDE_ALPN: decide_alpn(ssl, decision); break;
    case MILGI_DECIDE_CONFIG: decide_config(ssl, conn, decision); break;
    case MILGI_DECIDE_PEER:
        if (ssl->role == ROLE_CLIENT)
            decide_server(ssl, conn, decision);
        else
            decide_client(ssl, decision);
        break;
    default: milgi_decide(ssl->home->engine, *decision, MILGI_DEFAULT, NULL);
    }
}

/* --- what came of it --------------------------------------------------------------------------------------------- */

static void on_established(struct milgi_conn *conn, void *arg)
{
    SSL *ssl = arg;
    struct milgi_conn_info info;
    milgi_conn_info(conn, &info);
    ssl->established = true;
    ssl->version = info.version;
    ssl->suite = info.suite;
    ssl->resumed = info.resumed;
    free(ssl->alpn);
    ssl->alpn = info.alpn ? strdup(info.alpn) : NULL;
    if (ssl->role == ROLE_SERVER && info.server_name && !ssl->host_name)
        ssl->host_name = strdup(info.server_name);
    if (ssl->role == ROLE_SERVER) {
        if (!ssl->chain)
            keep_chain(ssl, info.peer_chain, info.peer_chain_n);
    } else if (info.resumed && ssl->offered) {
        milgi__ssl_chain_unref(ssl->chain);
        ssl->chain = ssl->offered->chain;
        if (ssl->chain)
            ssl->chain->refs++;
        ssl->verify_result = milgi__ssl_session_covers(ssl, ssl->offered) ? ssl->offered->verify_result : -1;
    }
    if (!ssl->session)
        ssl->session = milgi__ssl_session_of(ssl, NULL);
    milgi__ssl_info(ssl, SSL_CB_HANDSHAKE_DONE, 1);
}

static void on_session(struct milgi_conn *conn, void *arg, struct milgi_session *session)
{
    SSL *ssl = arg;
    SSL_SESSION *made = ssl->session;
    (void)conn;
    if (made && !made->session && made->refs == 1) {
        milgi__ssl_session_fill(made, session); /* who looks at it without a reference of its own goes on doing so */
    } else {
        made = milgi__ssl_session_of(ssl, session);
        if (!made)
            return;
        SSL_SESSION_free(ssl->session);
        ssl->session = made;
    }
    if (!ssl->ctx->session_cb)
        return;
    made->refs++; /* the callback's, if it says that it has kept it */
    if (ssl->ctx->session_cb(ssl, made) != 1)
        SSL_SESSION_free(made);
}

static const struct milgi_events events = {
    .on_decide = on_decide,
    .on_established = on_established,
    .on_session = on_session,
};

/* --- its beginning ----------------------------------------------------------------------------------------------- */

static int prepare(SSL *ssl)
{
    if (ssl->role == ROLE_NONE) {
        SSL_ERR(SSL_R_CONNECTION_TYPE_NOT_SET, NULL);
        return 0;
    }
    if (!ssl->rbio || !ssl->wbio || ssl->rbio->kind != BIO_KIND_SOCKET || ssl->wbio->kind != BIO_KIND_SOCKET) {
        SSL_ERR(SSL_R_UNINITIALIZED, "no descriptor: BIOs in memory or files do not carry connections");
        return 0;
    }
    bool server = ssl->role == ROLE_SERVER;
    milgi__ssl_home_unref(ssl->home);
    ssl->home = milgi__ssl_home();
    milgi_config_unref(ssl->config);
    ssl->config = !ssl->home ? NULL : ssl->own ? milgi__ssl_config(ssl->ctx, ssl->own, server)
                                               : milgi__ssl_ctx_config(ssl->ctx, server);
    milgi__ssl_anchors_unref(ssl->anchors);
    ssl->anchors = server ? NULL : milgi__ssl_ctx_anchors(ssl->ctx);
    return ssl->config && (server || ssl->anchors);
}

int milgi__ssl_start(SSL *ssl)
{
    static const struct milgi_pull_io io = { receive, send_out, NULL };
    struct milgi_pull_io own = io;
    if (!prepare(ssl))
        return 0;
    if (ssl->role == ROLE_SERVER) { /* what the client before asked for */
        free(ssl->host_name);
        ssl->host_name = NULL;
    }
    own.ctx = ssl;
    pthread_mutex_lock(&ssl->home->lock);
    const char *name = ssl->role == ROLE_CLIENT ? ssl->host_name : NULL;
    int rv = milgi_pull_new(ssl->home->engine, ssl->config, name, ssl->rbio->fd, &own, &ssl->pull);
    if (rv == MILGI_EINVAL && name) /* no name of DNS, "[::1]" for instance: it is not sent (RFC 6066 3) */
        rv = milgi_pull_new(ssl->home->engine, ssl->config, NULL, ssl->rbio->fd, &own, &ssl->pull);
    if (!rv) {
        milgi_pull_set_timeout(ssl->pull, 0);
        milgi_pull_set_frugal(ssl->pull, !milgi__ssl_settings(ssl)->read_ahead);
        milgi_pull_set_events(ssl->pull, &events, ssl);
        if (ssl->role == ROLE_CLIENT && ssl->offered && milgi__ssl_session_fits(ssl, ssl->offered))
            rv = milgi_conn_set_session(milgi_pull_conn(ssl->pull), ssl->offered->session);
    }
    pthread_mutex_unlock(&ssl->home->lock);
    if (rv) {
        milgi__ssl_error_of(rv, ssl->host_name);
        return 0;
    }
    milgi__ssl_info(ssl, SSL_CB_HANDSHAKE_START, 1);
    return 1;
}

void milgi__ssl_stop(SSL *ssl)
{
    if (ssl->pull && ssl->home->process == getpid()) {
        pthread_mutex_lock(&ssl->home->lock);
        milgi__ssl_home_wake(&ssl->paused);
        milgi_pull_free(ssl->pull);
        pthread_mutex_unlock(&ssl->home->lock);
    }
    ssl->pull = NULL;
    milgi__ssl_chain_unref(ssl->chain);
    ssl->chain = NULL;
    sk_X509_pop_free(ssl->shown, X509_free);
    ssl->shown = NULL;
    free(ssl->alpn);
    ssl->alpn = NULL;
    ssl->verify_result = -1;
    ssl->established = ssl->shaken = ssl->failed = ssl->unverified = ssl->resumed = false;
    ssl->error = ssl->sys_error = ssl->shutdown = 0;
    ssl->want = SSL_NOTHING;
    ssl->writing = ssl->taken = 0;
    ssl->first_n = 0;
}
