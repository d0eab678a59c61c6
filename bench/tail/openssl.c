/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libssl behind an event loop: signatures made where they are needed, or in fibers that pause while a worker makes
 * them. As a careful host would have it: read-ahead, no tickets, and no fibers any more once a connection stands.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/async.h>
#include <openssl/pem.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "tail.h"

#define EVENTS 64
#define READ 4096
#define FDS 4

/* What a descriptor tells of. */
struct source {
    struct conn *conn;
    bool fiber; /* its signature is there */
};

struct conn {
    struct conn *prev, *next;
    struct loop *loop;
    SSL *ssl;
    int fd;
    struct source socket, fiber;
    bool established, paused, gone;
    struct conn *told; /* in the list of those whose callback was called */
};

struct loop {
    struct server *server;
    SSL_CTX *ctx;
    struct offload *offload;
    int epoll, told_fd;
    struct conn conns, gone; /* the ends of lists */
    _Atomic(struct conn *) told;
};

/* --- set up ----------------------------------------------------------------------------------------------------- */

static SSL_CTX *context(struct loop *loop)
{
    const struct ground *ground = loop->server->ground;
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    BIO *in = BIO_new_mem_buf(ground->cert.cert_pem, (int)ground->cert.cert_len);
    X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key =
        loop->offload ? offload_key(loop->offload, &ground->cert) : bench_key(&ground->cert);

    if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1 || SSL_CTX_set1_groups_list(ctx, "X25519") != 1 ||
        SSL_CTX_set_num_tickets(ctx, 0) != 1 || !cert || SSL_CTX_use_certificate(ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, key) != 1)
        bench_die("libssl: cannot set up a server");
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(ctx, 1);
    if (loop->offload)
        SSL_CTX_set_mode(ctx, SSL_MODE_ASYNC);
    X509_free(cert);
    EVP_PKEY_free(key);
    BIO_free(in);
    return ctx;
}

/* On the worker: the loop is woken by the first of several. */
static int told(SSL *ssl, void *arg)
{
    static const uint64_t one = 1;
    struct conn *conn = arg;
    struct loop *loop = conn->loop;
    struct conn *first = atomic_load(&loop->told);

    (void)ssl;
    do
        conn->told = first;
    while (!atomic_compare_exchange_weak(&loop->told, &first, conn));
    if (!first && write(loop->told_fd, &one, sizeof one) != (ssize_t)sizeof one)
        bench_die("cannot write to an eventfd");
    return 1;
}

/* --- connections ------------------------------------------------------------------------------------------------ */

static void insert(struct conn *list, struct conn *conn)
{
    conn->prev = list;
    conn->next = list->next;
    conn->prev->next = conn->next->prev = conn;
}

static void withdraw(struct conn *conn)
{
    conn->prev->next = conn->next;
    conn->next->prev = conn->prev;
}

static void conn_new(struct loop *loop, int fd)
{
    struct conn *conn = calloc(1, sizeof *conn);

    if (!conn)
        bench_die("out of memory");
    *conn = (struct conn){ .loop = loop, .fd = fd, .ssl = SSL_new(loop->ctx) };
    if (!conn->ssl || SSL_set_fd(conn->ssl, fd) != 1)
        bench_die("out of memory");
    SSL_set_accept_state(conn->ssl);
    conn->socket = (struct source){ conn, false };
    conn->fiber = (struct source){ conn, true };
    if (loop->server->design->signer == SIGN_OFFLOAD_CALLBACK &&
        (SSL_set_async_callback(conn->ssl, told) != 1 || SSL_set_async_callback_arg(conn->ssl, conn) != 1))
        bench_die("libssl: no callback");
    insert(&loop->conns, conn);
    (void)atomic_fetch_add(&loop->server->conns, 1);
    watch(loop->epoll, fd, &conn->socket, true);
}

/* It is freed when no event that came with this one can be about it. */
static void leave(struct conn *conn)
{
    conn->gone = true;
    withdraw(conn);
    insert(&conn->loop->gone, conn);
}

static void conn_free(struct conn *conn)
{
    withdraw(conn);
    (void)atomic_fetch_sub(&conn->loop->server->conns, 1);
    SSL_free(conn->ssl);
    close(conn->fd);
    free(conn);
}

static void free_all(struct conn *list)
{
    while (list->next != list)
        conn_free(list->next);
}

/* The descriptor that tells when the signature is there: the same for the life of the connection. */
static void watch_fiber(struct conn *conn)
{
    OSSL_ASYNC_FD fds[FDS];
    size_t added = 0, gone = 0;

    if (SSL_get_changed_async_fds(conn->ssl, NULL, &added, NULL, &gone) != 1 || added > FDS ||
        SSL_get_changed_async_fds(conn->ssl, fds, &added, NULL, &gone) != 1)
        bench_die("libssl: no descriptors of a fiber");
    for (size_t i = 0; i < added; i++)
        watch(conn->loop->epoll, fds[i], &conn->fiber, true);
}

static void shake_hands(struct conn *conn)
{
    ERR_clear_error(); /* or SSL_get_error() takes another connection's for this one's */
    int result = SSL_do_handshake(conn->ssl);
    int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(conn->ssl, result);

    conn->paused = error == SSL_ERROR_WANT_ASYNC;
    if (conn->paused && conn->loop->server->design->signer == SIGN_OFFLOAD_FD)
        watch_fiber(conn);
    if (result == 1) {
        conn->established = true;
        (void)SSL_clear_mode(conn->ssl, SSL_MODE_ASYNC);
        (void)atomic_fetch_add(&conn->loop->server->completed, 1);
    } else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_ASYNC) {
        leave(conn); /* the client has gone */
    }
}

static void go_on(struct conn *conn)
{
    uint8_t data[READ];
    int n;

    if (!conn->established)
        shake_hands(conn);
    if (!conn->established)
        return;
    ERR_clear_error();
    while ((n = SSL_read(conn->ssl, data, READ)) > 0) {
        if (SSL_write(conn->ssl, data, n) != n)
            bench_die("libssl: an echo was not taken");
    }
    if (SSL_get_error(conn->ssl, n) != SSL_ERROR_WANT_READ)
        leave(conn);
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

static void resume_told(struct loop *loop)
{
    uint64_t count;

    if (read(loop->told_fd, &count, sizeof count) < 0 && errno != EAGAIN)
        bench_die("cannot read an eventfd");
    struct conn *conn = atomic_exchange(&loop->told, NULL);
    while (conn) {
        struct conn *next = conn->told;
        go_on(conn);
        conn = next;
    }
}

/* The socket of one that is paused waits: it is read when the signature is there. */
static void one_event(const struct source *source)
{
    struct conn *conn = source->conn;

    if (!conn->gone && conn->paused == source->fiber)
        go_on(conn);
}

static bool handle(struct loop *loop, void *what)
{
    int fd;

    if (what == &loop->server->stop_fd)
        return false;
    if (what == &loop->told_fd) {
        resume_told(loop);
    } else if (what == &loop->server->listener) {
        while ((fd = accepted(loop->server->listener)) >= 0)
            conn_new(loop, fd);
    } else {
        one_event(what);
    }
    return true;
}

void openssl_loop(struct server *server)
{
    struct loop loop = { .server = server, .epoll = epoll_create1(EPOLL_CLOEXEC) };
    struct epoll_event events[EVENTS];
    bool going = true;

    loop.conns.next = loop.conns.prev = &loop.conns;
    loop.gone.next = loop.gone.prev = &loop.gone;
    loop.told_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop.epoll < 0 || loop.told_fd < 0)
        bench_die("no descriptor");
    if (server->design->signer != SIGN_INLINE)
        loop.offload = offload_new(&server->ground->place, server->design->signer == SIGN_OFFLOAD_CALLBACK);
    loop.ctx = context(&loop);
    watch(loop.epoll, server->listener, &server->listener, false);
    watch(loop.epoll, server->stop_fd, &server->stop_fd, false);
    watch(loop.epoll, loop.told_fd, &loop.told_fd, false);
    while (going) {
        int n = epoll_wait(loop.epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++)
            going &= handle(&loop, events[i].data.ptr);
        free_all(&loop.gone);
    }
    offload_free(loop.offload);
    free_all(&loop.conns);
    SSL_CTX_free(loop.ctx);
    close(loop.epoll);
    close(loop.told_fd);
}
