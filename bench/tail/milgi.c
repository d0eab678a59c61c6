/* SPDX-License-Identifier: Apache-2.0 */
/* Milgi behind an event loop: the same loop, whichever device the ops of handshakes go to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <milgi/milgi.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "tail.h"

#define EVENTS 64
#define READ 4096

struct conn {
    struct conn *prev, *next;
    struct loop *loop;
    struct milgi_conn *tls;
    int fd;
    bool gone;
};

struct loop {
    struct server *server;
    struct milgi_engine *engine;
    struct milgi_config *config;
    struct milgi_device *device;
    int epoll;
    struct conn conns, gone; /* the ends of lists */
};

static void must(int result, const char *what)
{
    if (result < 0)
        bench_die("milgi: %s: %s", what, milgi_error_text(result));
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

/* It is freed when no event that came with this one can be about it. */
static void leave(struct conn *conn)
{
    if (conn->gone)
        return;
    conn->gone = true;
    withdraw(conn);
    insert(&conn->loop->gone, conn);
    milgi_conn_free(conn->tls);
}

static void free_gone(struct loop *loop)
{
    while (loop->gone.next != &loop->gone) {
        struct conn *conn = loop->gone.next;
        withdraw(conn);
        (void)atomic_fetch_sub(&loop->server->conns, 1);
        close(conn->fd);
        free(conn);
    }
}

static void on_output(struct milgi_conn *tls, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct conn *conn = arg;
    size_t len = 0;

    for (size_t i = 0; i < iov_n; i++)
        len += iov[i].len;
    /* The one struct is the other: a pointer and a length. */
    const struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = iov_n };
    ssize_t n = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
        n = (ssize_t)len; /* the client has gone; its socket says so, too */
    if (n != (ssize_t)len)
        bench_die("a socket takes nothing more");
    milgi_conn_output_done(tls, len);
}

static void on_data(struct milgi_conn *tls, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    (void)arg;
    for (size_t i = 0; i < slices_n; i++) {
        must(milgi_conn_write(tls, slices[i].data, slices[i].len), "write");
        milgi_conn_consumed(tls, slices[i].len);
    }
}

static void on_established(struct milgi_conn *tls, void *arg)
{
    struct conn *conn = arg;

    (void)tls;
    (void)atomic_fetch_add(&conn->loop->server->completed, 1);
}

/* Clients of the storm go when they like; nothing else may happen. */
static void on_closed(struct milgi_conn *tls, void *arg, const struct milgi_reason *reason)
{
    (void)tls;
    if (reason->cls != MILGI_CLASS_PEER && reason->cls != MILGI_CLASS_IO && reason->error != 0)
        bench_die("milgi: closed: %s: %s", milgi_error_text(reason->error), reason->detail);
    leave(arg);
}

static const struct milgi_events tls_events = {
    .on_output = on_output,
    .on_data = on_data,
    .on_established = on_established,
    .on_closed = on_closed,
};

static void conn_new(struct loop *loop, int fd)
{
    struct conn *conn = calloc(1, sizeof *conn);

    if (!conn)
        bench_die("out of memory");
    *conn = (struct conn){ .loop = loop, .fd = fd };
    must(milgi_conn_new(loop->engine, loop->config, NULL, &tls_events, conn, &conn->tls), "connection");
    insert(&loop->conns, conn);
    (void)atomic_fetch_add(&loop->server->conns, 1);
    watch(loop->epoll, fd, conn, true);
}

/* Until a read is short; |ended|: until the end of the stream, which is there. */
static void receive(struct conn *conn, bool ended)
{
    ssize_t n = 0;

    do {
        struct milgi_chunk *chunk = milgi_conn_chunk(conn->tls, READ);
        if (!chunk)
            bench_die("milgi: no chunk");
        n = read(conn->fd, milgi_chunk_data(chunk), READ);
        if (n <= 0) {
            milgi_chunk_unref(chunk);
            break;
        }
        must(milgi_conn_receive(conn->tls, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)n }),
            "receive");
    } while (n == READ || ended);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        leave(conn);
}

/* --- the loop --------------------------------------------------------------------------------------------------- */

static void make_config(struct loop *loop)
{
    static const uint16_t suite = MILGI_SUITE_AES_128_GCM_SHA256, group = MILGI_GROUP_X25519;
    const struct bench_cert *cert = &loop->server->ground->cert;
    struct milgi_config *c = milgi_config_new(MILGI_SERVER);
    struct milgi_credential *credential;
    const char *why = "";

    if (!c)
        bench_die("out of memory");
    must(milgi_config_set_suites(c, &suite, 1), "suites");
    must(milgi_config_set_groups(c, &group, 1), "groups");
    must(milgi_credential_new_pem(cert->cert_pem, cert->cert_len, cert->key_pem, cert->key_len, &credential),
        "credential");
    must(milgi_config_add_credential(c, credential), "credential");
    milgi_credential_unref(credential);
    if (milgi_config_freeze(c, &why) != 0)
        bench_die("milgi: config: %s", why);
    loop->config = c;
}

static void make_engine(struct loop *loop)
{
    const char *spec = loop->server->design->device;
    const uint32_t handshakes = MILGI_OP_BIT(MILGI_OP_KEYGEN) | MILGI_OP_BIT(MILGI_OP_DERIVE) |
        MILGI_OP_BIT(MILGI_OP_SIGN) | MILGI_OP_BIT(MILGI_OP_VERIFY);

    must(milgi_engine_new(NULL, &loop->engine), "engine");
    if (!spec)
        return;
    loop->device = bench_device(spec, &loop->server->ground->place.other, 1, BENCH_LAST);
    int index = milgi_engine_add_device(loop->engine, loop->device);
    must(index, "device");
    must(milgi_engine_route(loop->engine, handshakes, (unsigned)index, 0), "route");
}

static bool handle(struct loop *loop, const struct epoll_event *event)
{
    void *what = event->data.ptr;
    struct conn *conn = what;
    int fd;

    if (what == &loop->server->stop_fd)
        return false;
    if (what == &loop->engine)
        return true; /* it is run anyway */
    if (what == &loop->server->listener) {
        while ((fd = accepted(loop->server->listener)) >= 0)
            conn_new(loop, fd);
    } else if (!conn->gone) {
        receive(conn, (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
    return true;
}

/* How long the loop may sleep, in milliseconds as epoll_wait() has it. */
static int patience(const struct milgi_run_result *result)
{
    uint64_t now = bench_now_ns();

    if (result->next == MILGI_RUN_IDLE)
        return -1;
    if (result->next == MILGI_RUN_AGAIN || result->deadline_ns <= now)
        return 0;
    uint64_t ms = (result->deadline_ns - now + 999999) / 1000000;
    return ms > 1000 ? 1000 : (int)ms;
}

void milgi_loop(struct server *server)
{
    struct loop loop = { .server = server, .epoll = epoll_create1(EPOLL_CLOEXEC) };
    struct milgi_run_result result = { .next = MILGI_RUN_IDLE };
    struct epoll_event events[EVENTS];
    bool going = true;

    loop.conns.next = loop.conns.prev = &loop.conns;
    loop.gone.next = loop.gone.prev = &loop.gone;
    make_config(&loop);
    make_engine(&loop);
    watch(loop.epoll, server->listener, &server->listener, false);
    watch(loop.epoll, server->stop_fd, &server->stop_fd, false);
    watch(loop.epoll, milgi_engine_fd(loop.engine), &loop.engine, false);
    while (going) {
        int n = epoll_wait(loop.epoll, events, EVENTS, patience(&result));
        for (int i = 0; i < n; i++)
            going &= handle(&loop, &events[i]);
        must(milgi_engine_run(loop.engine, server->ground->turn_ns, &result), "run");
        free_gone(&loop);
    }
    while (loop.conns.next != &loop.conns)
        leave(loop.conns.next);
    free_gone(&loop);
    must(milgi_engine_free(loop.engine), "freeing the engine");
    milgi_device_free(loop.device);
    milgi_config_unref(loop.config);
    close(loop.epoll);
}
