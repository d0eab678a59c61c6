/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL in an event loop: synchronous, where the loop waits for the device; and with SSL_MODE_ASYNC, where each
 * handshake runs on a fiber that pauses, and the engine tells by an eventfd or by a callback that it can go on.
 */
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <openssl/async.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "offload.h"

#define FDS_MAX 4

static enum shaken shake(struct slot *slot)
{
    int result = SSL_do_handshake(slot->ssl);

    if (result == 1)
        return SHAKEN_DONE;
    switch (SSL_get_error(slot->ssl, result)) {
    case SSL_ERROR_WANT_READ: return SHAKEN_READ;
    case SSL_ERROR_WANT_ASYNC: return SHAKEN_PARKED;
    default: ERR_clear_error(); return SHAKEN_FAILED;
    }
}

static void close_ssl(struct slot *slot)
{
    SSL_free(slot->ssl);
}

static void *open_plain(struct slot *slot)
{
    return openssl_new(slot->loop->ctx, slot->fd);
}

static void serve(struct scene *scene, const struct library *library, wait_for_signature wait, long mode)
{
    struct loop loop = { .epoll = -1 };

    lane_open(&loop.lane, scene);
    SSL_CTX *ctx = openssl_context(scene->cert, &loop.lane, wait);
    SSL_CTX_set_mode(ctx, mode);
    loop_run(&loop, library, scene, ctx);
    openssl_context_free(ctx);
    lane_close(&loop.lane);
}

/* --- synchronous ------------------------------------------------------------------------------------------------ */

static void told_nobody(struct signing *signing)
{
    (void)signing;
}

static int wait_blocking(struct lane *lane, struct signing *signing, const void *digest, size_t len)
{
    struct pollfd pollfd = { lane->fd, POLLIN, 0 };

    signing->told = told_nobody;
    lane_sign(lane, signing, digest, len);
    while (!signing->done) {
        if (!lane_arm(lane))
            poll(&pollfd, 1, -1);
        lane_poll(lane);
    }
    return 1;
}

static void serve_sync(struct scene *scene)
{
    static const struct library library = { open_plain, shake, NULL, close_ssl };

    serve(scene, &library, wait_blocking, 0);
}

const struct design design_sync = {
    .name = "sync",
    .title = "OpenSSL, synchronous",
    .keygen = PRIMITIVE_KEYGEN_OPENSSL,
    .fds = 1,
    .serve = serve_sync,
};

/* --- fibers, told by a descriptor ------------------------------------------------------------------------------- */

static const char our_key; /* its address is what our descriptors are filed under */

static void close_event(ASYNC_WAIT_CTX *ctx, const void *key, OSSL_ASYNC_FD fd, void *custom)
{
    (void)ctx;
    (void)key;
    (void)custom;
    close(fd);
}

static void told_by_fd(struct signing *signing)
{
    const uint64_t one = 1;

    if (write(signing->fd, &one, sizeof one) != sizeof one)
        bench_die("cannot write to an eventfd");
}

/* As engines do: a descriptor per connection, that goes with it. */
static int wait_fd(struct lane *lane, struct signing *signing, const void *digest, size_t len)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_get_wait_ctx(ASYNC_get_current_job());
    void *custom;
    uint64_t count;

    if (!ASYNC_WAIT_CTX_get_fd(ctx, &our_key, &signing->fd, &custom)) {
        signing->fd = must_system(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd");
        if (!ASYNC_WAIT_CTX_set_wait_fd(ctx, &our_key, signing->fd, NULL, close_event))
            bench_die("libcrypto: cannot wait for a descriptor");
    }
    signing->told = told_by_fd;
    lane_sign(lane, signing, digest, len);
    while (!signing->done)
        ASYNC_pause_job();
    return read(signing->fd, &count, sizeof count) == sizeof count;
}

static int fd_of(struct slot *slot)
{
    OSSL_ASYNC_FD added[FDS_MAX], gone[FDS_MAX];
    size_t added_n = FDS_MAX, gone_n = FDS_MAX;

    if (SSL_get_changed_async_fds(slot->ssl, added, &added_n, gone, &gone_n) != 1 || added_n > 1)
        bench_die("libssl: which descriptor?");
    return added_n == 1 ? added[0] : -1;
}

static void serve_fd(struct scene *scene)
{
    static const struct library library = { open_plain, shake, fd_of, close_ssl };

    serve(scene, &library, wait_fd, SSL_MODE_ASYNC);
    ASYNC_cleanup_thread();
}

const struct design design_fibers_fd = {
    .name = "fibers-eventfd",
    .title = "OpenSSL, fibers, eventfd",
    .keygen = PRIMITIVE_KEYGEN_OPENSSL,
    .fds = 2,
    .serve = serve_fd,
};

/* --- fibers, told by a callback --------------------------------------------------------------------------------- */

static void told_by_callback(struct signing *signing)
{
    (void)signing->callback(signing->arg);
}

static int wait_callback(struct lane *lane, struct signing *signing, const void *digest, size_t len)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_get_wait_ctx(ASYNC_get_current_job());

    if (!ASYNC_WAIT_CTX_get_callback(ctx, &signing->callback, &signing->arg))
        bench_die("libcrypto: no callback");
    signing->told = told_by_callback;
    lane_sign(lane, signing, digest, len);
    while (!signing->done)
        ASYNC_pause_job();
    return 1;
}

static int callback(SSL *ssl, void *arg)
{
    (void)ssl;
    loop_ready(arg);
    return 1;
}

static void *open_called(struct slot *slot)
{
    SSL *ssl = open_plain(slot);

    if (SSL_set_async_callback(ssl, callback) != 1 || SSL_set_async_callback_arg(ssl, slot) != 1)
        bench_die("libssl: no callback");
    return ssl;
}

static void serve_callback(struct scene *scene)
{
    static const struct library library = { open_called, shake, NULL, close_ssl };

    serve(scene, &library, wait_callback, SSL_MODE_ASYNC);
    ASYNC_cleanup_thread();
}

const struct design design_fibers_callback = {
    .name = "fibers-callback",
    .title = "OpenSSL, fibers, callback",
    .keygen = PRIMITIVE_KEYGEN_OPENSSL,
    .fds = 1,
    .serve = serve_callback,
};
