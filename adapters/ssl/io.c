/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, writing, and the end. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- waiting ----------------------------------------------------------------------------------------------------- */

static int again(SSL *ssl, int error, int want)
{
    ssl->error = error;
    ssl->want = want;
    return TRY_AGAIN;
}

static int again_for(SSL *ssl, short events)
{
    bool out = (events & POLLOUT) != 0;
    return again(ssl, out ? SSL_ERROR_WANT_WRITE : SSL_ERROR_WANT_READ, out ? SSL_WRITING : SSL_READING);
}

/* How long a socket that waits does so, SO_RCVTIMEO or SO_SNDTIMEO, in milliseconds; -1: for ever. */
static int patience(int fd, short events)
{
    struct timeval t = { 0, 0 };
    socklen_t len = sizeof t;
    if (getsockopt(fd, SOL_SOCKET, events & POLLOUT ? SO_SNDTIMEO : SO_RCVTIMEO, &t, &len) || (!t.tv_sec && !t.tv_usec))
        return -1;
    return t.tv_sec > INT_MAX / 1000 - 1 ? INT_MAX : (int)(t.tv_sec * 1000 + t.tv_usec / 1000 + 1);
}

static bool does_wait(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && !(flags & O_NONBLOCK);
}

/*
 * The descriptor is not ready, or a device has something. Waits if the descriptor is one that waits; a device is waited
 * for in any case but under SSL_MODE_ASYNC. 0: try again; TRY_AGAIN: it is the program that has to.
 */
static int wait_for(SSL *ssl, struct pollfd *fds, int engine_ms, bool busy)
{
    short events = fds[0].events;
    int fd = events & POLLOUT ? ssl->wbio->fd : ssl->rbio->fd;
    bool waits = does_wait(fd);

    if (busy && milgi__ssl_settings(ssl)->mode & SSL_MODE_ASYNC)
        return again(ssl, SSL_ERROR_WANT_ASYNC, SSL_ASYNC_PAUSED);
    if (!busy && !waits)
        return again_for(ssl, events);
    int limit = waits && !busy ? patience(fd, events) : -1;
    bool limited = limit >= 0 && (engine_ms < 0 || limit < engine_ms);
    if (fds[0].fd >= 0)
        fds[0].fd = fd;
    int n = poll(fds, 3, limited ? limit : engine_ms);
    if ((n < 0 && errno == EINTR && waits) || (n == 0 && limited))
        return again_for(ssl, events);
    errno = 0;
    return 0;
}

/* Under the lock, where something is under way elsewhere: whoever waits is told what others have taken for it. */
static void go_to_sleep(SSL *ssl, struct sleeper *here, struct pollfd *bell, int *ms)
{
    if (milgi__ssl_settings(ssl)->mode & SSL_MODE_ASYNC) {
        if (!ssl->has_bell)
            ssl->paused.fd = milgi__ssl_home_new_bell();
        ssl->has_bell = ssl->paused.fd >= 0;
        milgi__ssl_home_sleep(ssl->home, &ssl->paused, *ms);
        return;
    }
    here->fd = bell->fd = milgi__ssl_home_bell();
    if (here->fd < 0 && (*ms < 0 || *ms > 10))
        *ms = 10; /* no descriptor is left: it is looked at now and then */
    milgi__ssl_home_sleep(ssl->home, here, -1);
}

ssize_t milgi__ssl_try(SSL *ssl, ssize_t (*attempt)(SSL *ssl, void *arg), void *arg)
{
    ssl->error = SSL_ERROR_NONE;
    ssl->want = SSL_NOTHING;
    errno = 0; /* as OpenSSL does: there are programs that look at it after a success, too */
    if (ssl->home->process != getpid()) {
        SSL_ERR(ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED, "a connection of another process");
        return MILGI_EFORK;
    }
    if (!ssl->rbio || !ssl->wbio) {
        SSL_ERR(SSL_R_UNINITIALIZED, "the descriptor has been taken away");
        return MILGI_EINVAL;
    }
    for (;;) {
        struct pollfd fds[3] = { [2] = { -1, POLLIN, 0 } };
        struct sleeper here = { .fd = -1 };
        int ms = -1;
        bool busy = false;
        pthread_mutex_lock(&ssl->home->lock);
        milgi__ssl_home_wake(&ssl->paused);
        ssize_t rv = attempt(ssl, arg);
        milgi__ssl_home_tell(ssl->home);
        bool unfinished = rv == MILGI_ETIMEOUT && !milgi_pull_reason(ssl->pull);
        if (unfinished) {
            ms = milgi_pull_waits(ssl->pull, fds);
            busy = milgi_conn_waits_for(milgi_pull_conn(ssl->pull)) & MILGI_WAITS_DEVICE;
            if (busy)
                go_to_sleep(ssl, &here, &fds[2], &ms);
        }
        pthread_mutex_unlock(&ssl->home->lock);
        if (!unfinished)
            return rv;
        int waited = wait_for(ssl, fds, ms, busy);
        if (here.link) {
            pthread_mutex_lock(&ssl->home->lock);
            milgi__ssl_home_wake(&here);
            pthread_mutex_unlock(&ssl->home->lock);
        }
        if (waited)
            return waited;
    }
}

static void tell_alert(const SSL *ssl, const struct milgi_reason *reason)
{
    if (milgi__ssl_what_else_it_speaks(ssl))
        return; /* and was told nothing */
    if (reason->alert != MILGI_ALERT_NONE && reason->alert != MILGI_ALERT_CLOSE_NOTIFY)
        milgi__ssl_info(ssl, reason->alert_from_peer ? SSL_CB_READ_ALERT : SSL_CB_WRITE_ALERT, 2 << 8 | reason->alert);
}

/* Others have all of the engine's: some time they will give it back. A program that waits cannot know when. */
static int no_memory(SSL *ssl)
{
    again_for(ssl, POLLOUT);
    if (does_wait(ssl->wbio->fd)) {
        SSL_ERR(ERR_R_MALLOC_FAILURE, "all buffers of the engine are in use");
        ssl->error = SSL_ERROR_SSL;
    }
    return -1;
}

int milgi__ssl_failed(SSL *ssl, ssize_t rv)
{
    const struct milgi_reason *reason = ssl->pull ? milgi_pull_reason(ssl->pull) : NULL;

    if (rv == TRY_AGAIN)
        return -1;
    if (rv == NO_MEMORY)
        return no_memory(ssl);
    bool ignored = (milgi__ssl_settings(ssl)->options & SSL_OP_IGNORE_UNEXPECTED_EOF) != 0;
    if (rv == MILGI_ETRUNCATED && ssl->established && ignored) {
        ssl->shutdown |= SSL_RECEIVED_SHUTDOWN;
        ssl->error = SSL_ERROR_ZERO_RETURN;
        return 0;
    }
    bool first = !ssl->failed;
    ssl->failed = true;
    ssl->error = SSL_ERROR_SSL;
    if (rv == MILGI_ETRANSPORT) {
        ssl->error = SSL_ERROR_SYSCALL;
        errno = ssl->sys_error ? ssl->sys_error : EPIPE;
        return -1;
    }
    if (rv == MILGI_EFORK)
        return -1;
    if (ssl->unverified)
        SSL_ERR(SSL_R_CERTIFICATE_VERIFY_FAILED, X509_verify_cert_error_string(ssl->verify_result));
    else if (milgi__ssl_what_else_it_speaks(ssl))
        SSL_ERR(milgi__ssl_what_else_it_speaks(ssl), milgi_error_text((int)rv));
    else if (reason && reason->error)
        milgi__ssl_error_of_reason(reason, ssl->role == ROLE_SERVER);
    else
        milgi__ssl_error_of((int)rv, NULL);
    if (ssl->role == ROLE_SERVER && reason && reason->error == MILGI_EVERIFY)
        ssl->verify_result = reason->device_code;
    if (first && reason)
        tell_alert(ssl, reason);
    return -1;
}

static int misused(SSL *ssl, int reason)
{
    SSL_ERR(reason, NULL);
    ssl->error = SSL_ERROR_SSL;
    return -1;
}

/* --- the handshake ----------------------------------------------------------------------------------------------- */

/* It has ended when the socket has its last message: a device may be at that still. */
static ssize_t try_handshake(SSL *ssl, void *arg)
{
    (void)arg;
    int rv = milgi_pull_handshake(ssl->pull);
    if (!rv)
        rv = milgi_pull_flush(ssl->pull);
    return rv == MILGI_ETRANSPORT || rv == MILGI_ETIMEOUT || !ssl->established ? rv : 0; /* the rest is for who reads */
}

int SSL_do_handshake(SSL *ssl)
{
    if (ssl->shaken)
        return 1;
    ERR_clear_error(); /* as OpenSSL does, here alone */
    if (!ssl->pull && !milgi__ssl_start(ssl)) {
        ssl->error = SSL_ERROR_SSL;
        return -1;
    }
    ssize_t rv = milgi__ssl_try(ssl, try_handshake, NULL);
    ssl->shaken = rv == 0;
    return rv == 0 ? 1 : milgi__ssl_failed(ssl, rv);
}

int SSL_connect(SSL *ssl)
{
    if (ssl->role == ROLE_NONE)
        SSL_set_connect_state(ssl);
    return ssl->role == ROLE_CLIENT ? SSL_do_handshake(ssl) : misused(ssl, ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED);
}

int SSL_accept(SSL *ssl)
{
    if (ssl->role == ROLE_NONE)
        SSL_set_accept_state(ssl);
    return ssl->role == ROLE_SERVER ? SSL_do_handshake(ssl) : misused(ssl, ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED);
}

/* 1: established; or the result of the call. */
static int begin(SSL *ssl)
{
    if (ssl->role == ROLE_NONE)
        return misused(ssl, SSL_R_UNINITIALIZED);
    return ssl->shaken ? 1 : SSL_do_handshake(ssl);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

struct piece {
    void *data;
    size_t len;
    bool peek;
};

static ssize_t try_read(SSL *ssl, void *arg)
{
    const struct piece *p = arg;
    ssize_t rv = milgi_pull_read(ssl->pull, p->data, p->peek ? 0 : p->len);
    return rv == 0 && p->peek ? (ssize_t)milgi_pull_peek(ssl->pull, p->data, p->len) : rv;
}

static int read_or_peek(SSL *ssl, void *data, size_t len, bool peek, size_t *done)
{
    struct piece piece = { data, len, peek };
    int rv = begin(ssl);
    if (rv != 1)
        return rv;
    ssl->error = SSL_ERROR_NONE;
    if (ssl->shutdown & SSL_RECEIVED_SHUTDOWN && !SSL_pending(ssl)) {
        ssl->error = SSL_ERROR_ZERO_RETURN;
        return 0;
    }
    if (len == 0)
        return 0;
    ssize_t n = milgi__ssl_try(ssl, try_read, &piece);
    if (n < 0)
        return milgi__ssl_failed(ssl, n);
    if (n == 0) {
        ssl->shutdown |= SSL_RECEIVED_SHUTDOWN;
        ssl->error = SSL_ERROR_ZERO_RETURN;
        return 0;
    }
    *done = (size_t)n;
    return 1;
}

int SSL_read(SSL *ssl, void *data, int n)
{
    size_t done = 0;
    if (n < 0)
        return misused(ssl, SSL_R_BAD_LENGTH);
    int rv = read_or_peek(ssl, data, (size_t)n, false, &done);
    return rv == 1 ? (int)done : rv;
}

int SSL_peek(SSL *ssl, void *data, int n)
{
    size_t done = 0;
    if (n < 0)
        return misused(ssl, SSL_R_BAD_LENGTH);
    int rv = read_or_peek(ssl, data, (size_t)n, true, &done);
    return rv == 1 ? (int)done : rv;
}

int SSL_read_ex(SSL *ssl, void *data, size_t n, size_t *done)
{
    *done = 0;
    return read_or_peek(ssl, data, n, false, done) == 1;
}

int SSL_peek_ex(SSL *ssl, void *data, size_t n, size_t *done)
{
    *done = 0;
    return read_or_peek(ssl, data, n, true, done) == 1;
}

int SSL_pending(const SSL *ssl)
{
    if (!ssl->pull)
        return 0;
    pthread_mutex_lock(&ssl->home->lock);
    size_t n = milgi_pull_pending(ssl->pull);
    pthread_mutex_unlock(&ssl->home->lock);
    return n > INT_MAX ? INT_MAX : (int)n;
}

int SSL_has_pending(const SSL *ssl)
{
    return SSL_pending(ssl) > 0;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

#define RECORD 16384u

/* Until the socket has all of it, or with partial writes a record of it. */
static ssize_t try_write(SSL *ssl, void *arg)
{
    const struct piece *p = arg;
    bool partial = milgi__ssl_settings(ssl)->mode & SSL_MODE_ENABLE_PARTIAL_WRITE;
    for (;;) {
        ssize_t rv = milgi_pull_flush(ssl->pull);
        if (rv < 0)
            return rv;
        if (ssl->taken == p->len || (partial && ssl->taken))
            return (ssize_t)ssl->taken;
        size_t left = p->len - ssl->taken;
        rv = milgi_pull_write_some(
            ssl->pull, (const uint8_t *)p->data + ssl->taken, partial && left > RECORD ? RECORD : left);
        if (rv == MILGI_ENOMEM && !milgi_pull_reason(ssl->pull))
            return NO_MEMORY;
        if (rv < 0)
            return rv;
        ssl->taken += (size_t)rv;
    }
}

/* "Call again with the same arguments": 0, or the reason of the error. */
static int why_not_repeated(const SSL *ssl, const void *data, size_t len)
{
    bool moving = milgi__ssl_settings(ssl)->mode & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER;
    if (len < ssl->writing)
        return SSL_R_BAD_LENGTH;
    return data == ssl->writing_from || moving ? 0 : SSL_R_BAD_WRITE_RETRY;
}

static int write_all(SSL *ssl, const void *data, size_t len, size_t *done)
{
    int rv = begin(ssl);
    if (rv != 1)
        return rv;
    if (ssl->shutdown & SSL_SENT_SHUTDOWN)
        return misused(ssl, SSL_R_PROTOCOL_IS_SHUTDOWN);
    int wrong = ssl->writing ? why_not_repeated(ssl, data, len) : 0;
    if (wrong)
        return misused(ssl, wrong);
    if (len == 0)
        return 0;
    struct piece piece = { (void *)(uintptr_t)data, len, false };
    ssl->writing = len;
    ssl->writing_from = data;
    ssize_t n = milgi__ssl_try(ssl, try_write, &piece);
    if (n < 0)
        return milgi__ssl_failed(ssl, n);
    ssl->writing = ssl->taken = 0;
    *done = (size_t)n;
    return 1;
}

int SSL_write(SSL *ssl, const void *data, int n)
{
    size_t done = 0;
    if (n < 0)
        return misused(ssl, SSL_R_BAD_LENGTH);
    int rv = write_all(ssl, data, (size_t)n, &done);
    return rv == 1 ? (int)done : rv;
}

int SSL_write_ex(SSL *ssl, const void *data, size_t n, size_t *done)
{
    *done = 0;
    return write_all(ssl, data, n, done) == 1;
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

static ssize_t try_shutdown(SSL *ssl, void *arg)
{
    (void)arg;
    return milgi_pull_shutdown(ssl->pull);
}

int SSL_shutdown(SSL *ssl)
{
    uint8_t byte;
    struct piece piece = { &byte, 1, true };

    if (!ssl->pull)
        return misused(ssl, SSL_R_UNINITIALIZED);
    if (milgi__ssl_settings(ssl)->quiet) {
        ssl->shutdown = SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN;
        return 1;
    }
    if (!ssl->established)
        return misused(ssl, SSL_R_SHUTDOWN_WHILE_IN_INIT);
    if (ssl->failed)
        return misused(ssl, SSL_R_PROTOCOL_IS_SHUTDOWN);
    if (!(ssl->shutdown & SSL_SENT_SHUTDOWN)) {
        ssize_t rv = milgi__ssl_try(ssl, try_shutdown, NULL);
        if (rv < 0)
            return milgi__ssl_failed(ssl, rv);
        ssl->shutdown |= SSL_SENT_SHUTDOWN;
        milgi__ssl_info(ssl, SSL_CB_WRITE_ALERT, 1 << 8);
        ssl->error = SSL_ERROR_SYSCALL; /* of 0: nobody is to look at it */
        return ssl->shutdown & SSL_RECEIVED_SHUTDOWN ? 1 : 0;
    }
    if (ssl->shutdown & SSL_RECEIVED_SHUTDOWN)
        return 1;
    ssize_t n = milgi__ssl_try(ssl, try_read, &piece);
    if (n > 0)
        return misused(ssl, SSL_R_APPLICATION_DATA_AFTER_CLOSE_NOTIFY);
    if (n < 0) {
        int rv = milgi__ssl_failed(ssl, n);
        return rv == 0 ? 1 : rv;
    }
    ssl->shutdown |= SSL_RECEIVED_SHUTDOWN;
    return 1;
}

int SSL_get_shutdown(const SSL *ssl)
{
    return ssl->shutdown;
}

void SSL_set_shutdown(SSL *ssl, int mode)
{
    ssl->shutdown = mode;
}

/* --- what came of a call ----------------------------------------------------------------------------------------- */

int SSL_get_error(const SSL *ssl, int value)
{
    return value > 0 ? SSL_ERROR_NONE : ssl->error;
}

int SSL_want(const SSL *ssl)
{
    return ssl->want;
}

int SSL_waiting_for_async(SSL *ssl)
{
    return ssl->want == SSL_ASYNC_PAUSED;
}

int SSL_get_all_async_fds(SSL *ssl, OSSL_ASYNC_FD *fds, size_t *n)
{
    *n = ssl->want == SSL_ASYNC_PAUSED && ssl->home ? 1u + ssl->has_bell : 0;
    if (fds && *n)
        fds[0] = milgi_engine_fd(ssl->home->engine);
    if (fds && *n > 1)
        fds[1] = ssl->paused.fd;
    return 1;
}
