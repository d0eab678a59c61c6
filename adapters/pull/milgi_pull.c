/* SPDX-License-Identifier: Apache-2.0 */
/* drive() is the whole of it: run the engine, move bytes, poll. The rest says what to wait for. */
#include "milgi_pull.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define READ_SIZE 32768u
#define WRITE_SIZE 65536u
#define DRAIN_MS 2000
#define DRAIN_BYTES 65536u
#define HEADER_LEN 5u /* of a record */

#define KEPT_SIZE 16384u /* what an idle connection may hold on to */

struct bytes {
    uint8_t *data;
    size_t first, len, room;
};

struct milgi_pull {
    struct milgi_engine *engine;
    struct milgi_conn *conn;
    struct milgi_pull_io io;
    int fd, timeout_ms;
    struct bytes in, out; /* plaintext not yet read, output not yet sent; the connection's limits bound both */
    bool ended, eof, closed;
    bool working; /* the last turn has left something to do */
    bool frugal, shut;
    short want; /* of the socket, when a call was not to wait any longer */
    struct milgi_run_result result;
    const struct milgi_events *events;
    void *events_arg;
    bool starved; /* there was no chunk to read into: the next turn may free some, the engine says when to look */
    bool gap;     /* of what was received there was no memory for some */
    int error;    /* no memory for |out|, or the socket failed */
    struct milgi_reason reason;
};

/*
 * What has been taken from the front is used again before there is more: so the memory follows what is held at one time
 * (the connection's limits bound it), not what has ever passed.
 */
static bool append(struct bytes *b, const void *data, size_t len)
{
    size_t held = b->len - b->first;
    if (b->room - b->len < len && b->first && held <= b->first) {
        memmove(b->data, b->data + b->first, held);
        b->first = 0;
        b->len = held;
    }
    if (b->room - b->len < len) {
        size_t room = b->first + 2 * (held + len);
        uint8_t *grown = realloc(b->data, room);
        if (!grown)
            return false;
        b->data = grown;
        b->room = room;
    }
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return true;
}

static void take(struct bytes *b, size_t len)
{
    b->first += len;
    if (b->first < b->len)
        return;
    b->first = b->len = 0;
    if (b->room <= KEPT_SIZE)
        return;
    free(b->data);
    *b = (struct bytes){ 0 };
}

/* --- what the connection tells ----------------------------------------------------------------------------------- */

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct milgi_pull *p = arg;
    for (size_t i = 0; i < iov_n; i++) {
        if (!p->error && !append(&p->out, iov[i].data, iov[i].len))
            p->error = MILGI_ENOMEM;
        if (p->error)
            milgi_conn_output_done(conn, iov[i].len); /* nobody will get it */
    }
}

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct milgi_pull *p = arg;
    for (size_t i = 0; i < slices_n && !p->gap; i++)
        if (!append(&p->in, slices[i].data, slices[i].len)) {
            p->gap = true; /* what follows it must not be read; the peer is told */
            milgi_conn_abort(conn, MILGI_ALERT_INTERNAL_ERROR);
        }
}

static void on_alert(struct milgi_conn *conn, void *arg, int alert)
{
    (void)conn;
    if (alert == MILGI_ALERT_CLOSE_NOTIFY)
        ((struct milgi_pull *)arg)->ended = true;
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    (void)conn;
    ((struct milgi_pull *)arg)->closed = true;
    ((struct milgi_pull *)arg)->reason = *reason;
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct milgi_pull *p = arg;
    if (p->events && p->events->on_established)
        p->events->on_established(conn, p->events_arg);
}

static void on_decide(struct milgi_conn *conn, void *arg, const struct milgi_decision *decision)
{
    struct milgi_pull *p = arg;
    if (p->events && p->events->on_decide)
        p->events->on_decide(conn, p->events_arg, decision);
}

static void on_session(struct milgi_conn *conn, void *arg, struct milgi_session *session)
{
    struct milgi_pull *p = arg;
    if (p->events && p->events->on_session)
        p->events->on_session(conn, p->events_arg, session);
}

static const struct milgi_events events = {
    .on_established = on_established,
    .on_decide = on_decide,
    .on_session = on_session,
    .on_output = on_output,
    .on_data = on_data,
    .on_alert = on_alert,
    .on_closed = on_closed,
};

/* --- what to wait for -------------------------------------------------------------------------------------------- */

static bool is_open(const struct milgi_pull *p)
{
    struct milgi_conn_info info;
    milgi_conn_info(p->conn, &info);
    return info.established && !p->closed;
}

static bool lacks_memory(const struct milgi_pull *p)
{
    return p->gap || p->error == MILGI_ENOMEM;
}

static bool is_readable(const struct milgi_pull *p)
{
    return p->in.first < p->in.len || p->ended || lacks_memory(p);
}

static bool has_room(const struct milgi_pull *p)
{
    return is_open(p) && !milgi_conn_output_full(p->conn);
}

/* Nothing left here, and nothing left in the connection that could still come. */
static bool is_sent(const struct milgi_pull *p)
{
    if (p->out.first != p->out.len || p->working)
        return false;
    return p->closed || milgi_conn_output_pending(p->conn) == 0;
}

/* --- the loop ---------------------------------------------------------------------------------------------------- */

/* True if bytes went out: then the engine has something to do. */
static bool move_out(struct milgi_pull *p)
{
    size_t moved = 0;
    while (p->out.first < p->out.len && !p->error) {
        ssize_t n = p->io.send(p->io.ctx, p->out.data + p->out.first, p->out.len - p->out.first);
        if (n == 0 || n == -EAGAIN || n == -EINTR)
            break;
        if (n < 0) {
            p->error = MILGI_ETRANSPORT; /* but what the peer has said before is still read */
            n = (ssize_t)(p->out.len - p->out.first);
        }
        take(&p->out, (size_t)n);
        moved += (size_t)n;
    }
    milgi_conn_output_done(p->conn, moved);
    return moved != 0;
}

/* True if something has come, be it the end. */
static bool move_in(struct milgi_pull *p)
{
    size_t size = milgi_conn_read_size(p->conn, READ_SIZE), rest = milgi_conn_record_rest(p->conn);
    size_t needed = rest ? rest : HEADER_LEN;
    if (p->frugal && needed < size)
        size = needed;
    struct milgi_chunk *chunk = milgi_conn_chunk(p->conn, size);
    if (!chunk) { /* the rest of what is begun can be had even then */
        size = rest;
        chunk = milgi_conn_chunk(p->conn, size);
    }
    p->starved = !chunk;
    if (!chunk)
        return false;
    ssize_t n = p->io.receive(p->io.ctx, milgi_chunk_data(chunk), size);
    if (n > 0) {
        milgi_conn_receive(p->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)n });
        return true;
    }
    milgi_chunk_unref(chunk);
    p->eof = n != -EAGAIN && n != -EINTR;
    if (p->eof)
        milgi_conn_receive_eof(p->conn, (int)-n);
    return p->eof;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int sleep_ms(const struct milgi_run_result *result, uint64_t until_ms)
{
    uint64_t now = now_ms(), ms = until_ms > now ? until_ms - now : 0;
    if (result->next == MILGI_RUN_AGAIN)
        return 0;
    uint64_t deadline = result->next == MILGI_RUN_WAIT ? result->deadline_ns / 1000000 + 1 : UINT64_MAX;
    if (deadline < until_ms)
        ms = deadline > now ? deadline - now : 0;
    return ms > 3600000 ? 3600000 : (int)ms;
}

/* What has come of it where nothing is left to send: of a connection that has failed some may never have been sent. */
static int end_of_sending(const struct milgi_pull *p, bool (*done)(const struct milgi_pull *p))
{
    return done == is_sent && p->closed ? p->reason.error : 0;
}

/* Frugal: what is not needed now stays in the socket, where who polls it sees it; so does all that is for who reads. */
static bool wants_record(const struct milgi_pull *p, bool sends)
{
    return milgi_conn_waits_for(p->conn) & MILGI_WAITS_PEER && !(sends && is_open(p));
}

/*
 * Runs and moves bytes until |done| says so: 0; or the connection's error; or MILGI_ETIMEOUT. Whoever waits for
 * sending is told when it has failed, but not before it is known what the peer said about it.
 */
static int drive(struct milgi_pull *p, bool (*done)(const struct milgi_pull *p))
{
    bool sends = done != is_readable;
    uint64_t until_ms = p->timeout_ms < 0 ? UINT64_MAX : now_ms() + (uint64_t)p->timeout_ms;
    for (;;) {
        int rv = milgi_engine_run(p->engine, 0, &p->result);
        if (rv)
            return rv;
        p->working = p->result.next == MILGI_RUN_AGAIN;
        if (move_out(p))
            continue;
        bool failed = sends && p->error;
        if (!failed && done(p))
            return end_of_sending(p, done);
        if (failed && p->frugal) /* what the peer said is for who reads */
            return p->error;
        if (p->closed && (failed || done != is_sent)) /* the last record is still worth waiting for */
            return p->reason.error ? p->reason.error : MILGI_ECLOSED;
        bool reads = !p->eof && !milgi_conn_input_paused(p->conn);
        if (p->error && (p->error != MILGI_ETRANSPORT || !reads))
            return p->error;
        if (p->frugal && !wants_record(p, sends))
            reads = false;
        bool moved = p->timeout_ms == 0 && reads && move_in(p);
        if (moved || (p->timeout_ms == 0 && p->working))
            continue;
        p->want = (short)((reads && !p->starved ? POLLIN : 0) | (p->out.first < p->out.len ? POLLOUT : 0));
        if (now_ms() >= until_ms)
            return MILGI_ETIMEOUT;
        struct pollfd fds[2];
        milgi_pull_waits(p, fds);
        p->starved = false;
        if (poll(fds, 2, sleep_ms(&p->result, until_ms)) < 0 && errno != EINTR)
            return MILGI_ETRANSPORT; /* for want of memory perhaps: asked again it would fail again */
        if (p->want & POLLIN && fds[0].revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL))
            move_in(p);
    }
}

/* --- the calls --------------------------------------------------------------------------------------------------- */

int milgi_pull_handshake(struct milgi_pull *p)
{
    return drive(p, is_open);
}

ssize_t milgi_pull_read(struct milgi_pull *p, void *data, size_t len)
{
    int rv = drive(p, is_readable);
    size_t n = p->in.len - p->in.first;
    if (rv || !n)
        return lacks_memory(p) ? MILGI_ENOMEM : rv;
    n = n < len ? n : len;
    memcpy(data, p->in.data + p->in.first, n);
    take(&p->in, n);
    milgi_conn_consumed(p->conn, n);
    return (ssize_t)n;
}

int milgi_pull_write(struct milgi_pull *p, const void *data, size_t len)
{
    const uint8_t *from = data;
    while (len) {
        size_t n = len < WRITE_SIZE ? len : WRITE_SIZE;
        int rv = drive(p, has_room);
        if (!rv)
            rv = milgi_conn_write(p->conn, from, n);
        if (rv < 0)
            return rv;
        from += n;
        len -= n;
    }
    return drive(p, is_sent);
}

ssize_t milgi_pull_write_some(struct milgi_pull *p, const void *data, size_t len)
{
    size_t n = len < WRITE_SIZE ? len : WRITE_SIZE;
    int rv = drive(p, has_room);
    if (!rv)
        rv = milgi_conn_write(p->conn, data, n);
    return rv < 0 ? rv : (ssize_t)n;
}

int milgi_pull_flush(struct milgi_pull *p)
{
    return drive(p, is_sent);
}

int milgi_pull_shutdown(struct milgi_pull *p)
{
    int rv = p->shut ? 0 : milgi_conn_shutdown(p->conn);
    p->shut = true;
    return rv && !(p->closed && p->reason.error) ? rv : drive(p, is_sent); /* which knows why */
}

size_t milgi_pull_pending(const struct milgi_pull *p)
{
    return p->in.len - p->in.first;
}

size_t milgi_pull_peek(const struct milgi_pull *p, void *data, size_t len)
{
    size_t n = p->in.len - p->in.first;
    n = n < len ? n : len;
    if (n)
        memcpy(data, p->in.data + p->in.first, n);
    return n;
}

int milgi_pull_waits(const struct milgi_pull *p, struct pollfd *fds)
{
    fds[0] = (struct pollfd){ p->want ? p->fd : -1, p->want, 0 };
    fds[1] = (struct pollfd){ milgi_engine_fd(p->engine), POLLIN, 0 };
    return p->result.next == MILGI_RUN_IDLE ? -1 : sleep_ms(&p->result, UINT64_MAX);
}

/* --- its life ---------------------------------------------------------------------------------------------------- */

static ssize_t socket_receive(void *ctx, void *data, size_t len)
{
    ssize_t n = recv(((struct milgi_pull *)ctx)->fd, data, len, MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

static ssize_t socket_send(void *ctx, const void *data, size_t len)
{
    ssize_t n = send(((struct milgi_pull *)ctx)->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

int milgi_pull_new(struct milgi_engine *engine, struct milgi_config *config, const char *server_name, int fd,
    const struct milgi_pull_io *io, struct milgi_pull **pull)
{
    struct milgi_pull *p = calloc(1, sizeof *p);
    *pull = NULL;
    if (!p)
        return MILGI_ENOMEM;
    p->engine = engine;
    p->fd = fd;
    p->timeout_ms = -1;
    p->io = io ? *io : (struct milgi_pull_io){ socket_receive, socket_send, p };
    int rv = milgi_conn_new(engine, config, server_name, &events, p, &p->conn);
    if (rv)
        free(p);
    else
        *pull = p;
    return rv;
}

/* A socket that is closed with bytes unread resets the connection, and the alert may be lost on its way. */
static void drain(struct milgi_pull *p)
{
    uint8_t waste[4096];
    uint64_t now = now_ms(), end = now + DRAIN_MS;
    size_t total = 0;
    shutdown(p->fd, SHUT_WR);
    while (total < DRAIN_BYTES && now < end) {
        struct pollfd fd = { p->fd, POLLIN, 0 };
        poll(&fd, 1, (int)(end - now));
        ssize_t n = p->io.receive(p->io.ctx, waste, sizeof waste);
        if (n == 0 || (n < 0 && n != -EAGAIN && n != -EINTR))
            return;
        total += n > 0 ? (size_t)n : 0;
        now = now_ms();
    }
}

void milgi_pull_free(struct milgi_pull *p)
{
    if (!p)
        return;
    bool waits = p->timeout_ms != 0;
    p->timeout_ms = DRAIN_MS;
    if (waits && p->closed && p->reason.error && !p->eof && !p->error) {
        (void)drive(p, is_sent);
        if (is_sent(p))
            drain(p);
    }
    milgi_conn_free(p->conn);
    free(p->in.data);
    free(p->out.data);
    free(p);
}

void milgi_pull_set_timeout(struct milgi_pull *p, int timeout_ms)
{
    p->timeout_ms = timeout_ms;
}

void milgi_pull_set_frugal(struct milgi_pull *p, bool on)
{
    p->frugal = on;
}

void *milgi_pull_arg(const struct milgi_conn *conn)
{
    const struct milgi_pull *p = milgi_conn_arg(conn);
    return p->events_arg;
}

void milgi_pull_set_events(struct milgi_pull *p, const struct milgi_events *more, void *arg)
{
    p->events = more;
    p->events_arg = arg;
}

const struct milgi_reason *milgi_pull_reason(const struct milgi_pull *p)
{
    return p->closed ? &p->reason : NULL;
}

struct milgi_conn *milgi_pull_conn(struct milgi_pull *p)
{
    return p->conn;
}
