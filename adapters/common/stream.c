/* SPDX-License-Identifier: Apache-2.0 */
/* One transport under one TLS connection: bytes in, bytes out, and the ends of both directions. */
#include "loop.h"

#define PIECES 16 /* of output given to the loop at once, so that progress shows */

/* Reads are as large as the engine's chunks are: a little, one record, several. */
static const uint32_t read_sizes[] = { 4096, 18432, 69632 };
#define READ_SIZES (sizeof read_sizes / sizeof read_sizes[0])

static void finish_if_over(struct milgi_stream *s);
static void update_reading(struct milgi_stream *s);

/* The kernel is to have this direction's records, and has not. */
static bool wants(const struct milgi_stream *s, enum milgi_direction direction)
{
    return s->kernel_wants >> direction & 1;
}

/* --- the end ---------------------------------------------------------------------------------------------------- */

void milgi__stream_destroy(struct milgi_stream *s, bool reset)
{
    if (s->closing)
        return;
    if (!s->ended)
        s->why = MILGI_ECLOSED;
    s->closing = s->ended = s->detached = true;
    milgi__loop_linger_end(s);
    milgi__loop_taken(s);
    milgi__forward_end(s);
    /* The socket first: from here on the loop does not read the output, which goes with the connection. */
    s->loop->hooks->close(s, reset);
    milgi_conn_free(s->conn);
    s->conn = NULL;
}

static void unlist(struct milgi_stream *s)
{
    milgi__loop_sated(s);
    milgi__loop_taken(s);
    *(s->prev ? &s->prev->next : &s->loop->streams) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    s->loop->streams_n--;
}

void milgi__stream_fini(struct milgi_stream *s)
{
    milgi_conn_free(s->conn);
    s->conn = NULL;
    unlist(s);
    milgi__stream_forget(s);
}

void milgi__stream_gone(struct milgi_stream *s)
{
    unlist(s);
    if (!s->keeps)
        milgi__stream_forget(s);
    if (s->events->on_gone)
        s->events->on_gone(s->arg);
}

/* TLS has ended; what was handed out is still written, what comes is thrown away. */
static void end(struct milgi_stream *s, const struct milgi_reason *reason)
{
    s->ended = true;
    s->why = reason->error;
    if (!s->detached && s->events->on_close)
        s->events->on_close(s, s->arg, reason);
    s->detached = true;
    if (s->closing)
        return;
    milgi__stream_splices_no_more(s);
    milgi__loop_linger(s);
    update_reading(s);
    finish_if_over(s);
}

void milgi__stream_failed(struct milgi_stream *s, int error)
{
    if (s->closing)
        return;
    struct milgi_reason reason = {
        .error = MILGI_ETRANSPORT,
        .cls = MILGI_CLASS_IO,
        .fault = MILGI_FAULT_TRANSPORT,
        .alert = MILGI_ALERT_NONE,
        .op = -1,
        .device_code = -error,
        .detail = s->loop->hooks->error_text(error),
    };
    s->error = error;
    if (!s->ended)
        end(s, &reason);
    milgi__stream_destroy(s, false);
}

void milgi__stream_expired(struct milgi_stream *s)
{
    if (s->error)
        milgi__stream_failed(s, s->error);
    else
        milgi__stream_destroy(s, false);
}

/*
 * Nothing more goes out. What the peer has said before it went away may still lie in the socket, or here and wait for
 * the application's credit: it is delivered, and its end tells. A peer that has gone without an end has linger_ms in
 * which nothing comes.
 */
static void sending_failed(struct milgi_stream *s, int error)
{
    if (s->closing || s->error)
        return;
    s->error = error;
    if (s->ended || s->peer_ended)
        milgi__stream_failed(s, error);
    else if (s->reading_on)
        milgi__loop_linger(s);
}

void milgi__stream_shut(struct milgi_stream *s, int error)
{
    s->shutting = false;
    if (!s->closing && (error || s->eof))
        milgi__stream_destroy(s, false);
}

static void finish_if_over(struct milgi_stream *s)
{
    if (!s->ended || s->closing || s->fin || s->queued)
        return;
    s->fin = s->shutting = true;
    if (!s->connected || s->error || s->loop->hooks->shut(s))
        milgi__stream_destroy(s, false);
}

/* --- out -------------------------------------------------------------------------------------------------------- */

static void given(struct milgi_stream *s, size_t len)
{
    s->given += len;
    milgi_conn_output_done(s->conn, len);
    if (s->kernel_wants)
        milgi__loop_takes(s);
    if (milgi__stream_splice_waits(s, MILGI_SEND)) {
        milgi__loop_takes(s);
        s->loop->hooks->soon(s->loop);
    }
}

bool milgi_stream_flushed(const struct milgi_stream *s)
{
    return s->conn && !s->error && !milgi_conn_output_pending(s->conn);
}

/* The loop has taken something, and perhaps all there was. */
static void tell_drained(struct milgi_stream *s)
{
    if (!s->detached && s->events->on_drained && milgi_stream_flushed(s))
        s->events->on_drained(s, s->arg);
}

void milgi__stream_written(struct milgi_stream *s, size_t len, int error)
{
    s->queued -= len;
    if (s->closing)
        return;
    given(s, len);
    if (error) {
        sending_failed(s, error);
        return;
    }
    tell_drained(s);
    finish_if_over(s);
}

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct milgi_stream *s = arg;
    (void)conn;
    while (iov_n && !s->closing) {
        size_t n = iov_n < PIECES ? iov_n : PIECES, len = 0;
        for (size_t i = 0; i < n; i++)
            len += iov[i].len;
        long done = s->error ? 0 : s->loop->hooks->write(s, iov, n);
        if (done < 0)
            sending_failed(s, (int)done);
        if (s->closing)
            return;
        if (s->error)
            done = (long)len; /* nobody will get it: no reason to hold it */
        given(s, (size_t)done);
        s->queued += len - (size_t)done;
        iov += n;
        iov_n -= n;
    }
    tell_drained(s);
    finish_if_over(s);
}

size_t milgi__stream_look(struct milgi_stream *s)
{
    uint64_t ago_ms = 0;
    size_t unsent = s->connected && !s->closing ? s->loop->hooks->unsent(s, &ago_ms) : 0;
    int64_t taken = (int64_t)s->given - (int64_t)unsent; /* some sockets count more than bytes: below 0 perhaps */
    if (taken > s->taken) {
        uint64_t moved = milgi__loop_now(s->loop) - ago_ms * 1000000;
        s->moved_ns = moved > s->moved_ns ? moved : s->moved_ns;
    }
    s->taken = taken;
    return unsent + s->queued;
}

uint64_t milgi_stream_idle_ms(struct milgi_stream *s)
{
    milgi__stream_look(s);
    return (milgi__loop_now(s->loop) - s->moved_ns) / 1000000;
}

/* --- in --------------------------------------------------------------------------------------------------------- */

#define HEADER 5u /* of a record */

/* Of |len| bytes so many that what is read ends in the record that it begins in, as long as the kernel is to go on. */
static size_t not_over_record(const struct milgi_stream *s, size_t len)
{
    if (!wants(s, MILGI_RECEIVE))
        return len;
    size_t rest = milgi_conn_record_rest(s->conn);
    rest = rest ? rest : HEADER;
    return len < rest ? len : rest;
}

uint8_t *milgi__stream_room(struct milgi_stream *s, size_t *len)
{
    if (s->ended) {
        *len = sizeof s->loop->waste;
        return s->loop->waste;
    }
    *len = milgi_conn_read_size(s->conn, read_sizes[s->read_at]);
    *len = not_over_record(s, *len);
    s->reading = milgi_conn_chunk(s->conn, *len);
    /* Where there is little memory a little is read: rather that than nothing. */
    while (!s->reading && s->read_at > 0) {
        *len = not_over_record(s, read_sizes[--s->read_at]);
        s->reading = milgi_conn_chunk(s->conn, *len);
    }
    if (!s->reading) { /* or just the rest of what is begun, which can be had even then */
        *len = milgi_conn_record_rest(s->conn);
        s->reading = milgi_conn_chunk(s->conn, *len);
    }
    *len = s->reading ? *len : 0;
    return s->reading ? milgi_chunk_data(s->reading) : NULL;
}

void milgi__stream_lend(struct milgi_stream *s, struct milgi_chunk *chunk)
{
    if (s->ended)
        milgi_chunk_unref(chunk);
    else
        s->reading = chunk;
}

static void wait_for_chunks(struct milgi_stream *s)
{
    s->starved_read = true;
    milgi__loop_starves(s);
    update_reading(s);
}

/* Either the end of the peer's sending, or (|error|) of both directions. */
static void read_ended(struct milgi_stream *s, int error)
{
    s->eof = true;
    if (error && !s->error)
        s->error = error;
    update_reading(s);
    if (s->ended) {
        if ((s->fin && !s->shutting) || s->error)
            milgi__stream_destroy(s, false);
    } else if (s->error && s->peer_ended) {
        milgi__stream_failed(s, s->error);
    } else if (milgi_conn_receive_eof(s->conn, -s->error) && s->error) {
        milgi__stream_failed(s, s->error);
    }
}

/* A full chunk asks for a larger one next time, one that is mostly empty for a smaller one. */
static void adapt(struct milgi_stream *s, uint32_t len)
{
    if (len == read_sizes[s->read_at] && s->read_at + 1 < READ_SIZES)
        s->read_at++;
    else if (len < read_sizes[s->read_at] / 4 && s->read_at > 0)
        s->read_at--;
}

void milgi__stream_read(struct milgi_stream *s, long len)
{
    struct milgi_slice slice = { s->reading, NULL, len > 0 ? (uint32_t)len : 0 };
    s->reading = NULL;
    if (len <= 0)
        milgi_chunk_unref(slice.chunk);
    if (s->closing)
        return;
    if (!len) {
        s->paused = s->paused || milgi_conn_input_paused(s->conn);
        update_reading(s);
        return;
    }
    if (len == MILGI__NO_ROOM) {
        wait_for_chunks(s);
        return;
    }
    if (len < 0) {
        read_ended(s, len == MILGI__EOF ? 0 : (int)len);
        return;
    }
    s->moved_ns = milgi__loop_now(s->loop);
    if (s->detached)
        s->wasted += slice.len;
    if (slice.chunk) {
        slice.data = milgi_chunk_data(slice.chunk);
        adapt(s, slice.len);
        if (milgi_conn_receive(s->conn, slice) == MILGI_PAUSE)
            s->paused = true;
        /* Between two records the kernel may take over, behind the next turn. */
        s->holds = wants(s, MILGI_RECEIVE) && !milgi_conn_record_rest(s->conn);
        if (s->holds)
            milgi__loop_takes(s);
    }
    update_reading(s);
}

/* The kernel has read |len| bytes of |type|, or an empty record, for the connection. */
static void record(struct milgi_stream *s, uint8_t type, uint32_t len)
{
    struct milgi_slice slice = { s->reading, s->reading ? milgi_chunk_data(s->reading) : NULL, len };
    s->reading = NULL;
    s->moved_ns = milgi__loop_now(s->loop);
    if (s->detached)
        s->wasted += len;
    if (!slice.chunk) /* nobody wants it */
        return;
    adapt(s, len);
    int rv = milgi_conn_receive_record(s->conn, type, slice);
    if (rv == MILGI_PAUSE)
        s->paused = true;
    if (s->splices)
        milgi__loop_takes(s);
}

void milgi__stream_record(struct milgi_stream *s, uint8_t type, long len, int alert)
{
    if (!s->closing && (len > 0 || (!len && type))) {
        record(s, type, (uint32_t)len);
        update_reading(s);
    } else if (!s->closing && len < 0 && alert != MILGI_ALERT_NONE) {
        milgi_chunk_unref(s->reading);
        s->reading = NULL;
        s->garbled = true;
        milgi_conn_receive_failed(s->conn, alert);
        update_reading(s);
    } else {
        milgi__stream_read(s, len ? len : MILGI__EOF);
    }
}

/* What nobody wants is read for the sake of the peer, up to a bound: from there on its TCP waits until the socket is
 * closed, and our last record has long been with it. */
static void update_reading(struct milgi_stream *s)
{
    bool flows = !s->garbled && (s->ended || (!s->paused && !s->starved_read && !s->holds));
    bool want = s->connected && !s->eof && !s->closing && flows && s->wasted <= s->loop->options.linger_bytes;
    if (want == s->reading_on)
        return;
    s->reading_on = want;
    int error = s->loop->hooks->read(s, want);
    if (error && want)
        milgi__stream_failed(s, error);
    else if (s->error && !s->ended && want)
        milgi__loop_linger(s);
    else if (s->error && !s->ended && !s->detached)
        milgi__loop_linger_end(s); /* as long as the application takes; when it has gone nobody does */
}

/* --- what the connection tells ---------------------------------------------------------------------------------- */

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct milgi_stream *s = arg;
    if (!s->detached && s->events->on_readable) {
        if (milgi__stream_keep(s, slices, slices_n))
            s->events->on_readable(s, s->arg);
        else
            milgi_stream_abort(s, MILGI_ALERT_INTERNAL_ERROR); /* a gap must show */
        return;
    }
    if (!s->detached && s->events->on_data) {
        s->events->on_data(s, s->arg, slices, slices_n);
        return;
    }
    for (size_t i = 0; i < slices_n; i++)
        milgi_conn_consumed(conn, slices[i].len);
}

static void on_pause(struct milgi_conn *conn, void *arg)
{
    struct milgi_stream *s = arg;
    (void)conn;
    s->paused = true;
    update_reading(s);
}

static void on_resume(struct milgi_conn *conn, void *arg)
{
    struct milgi_stream *s = arg;
    (void)conn;
    s->paused = false;
    update_reading(s);
}

static void on_room(struct milgi_conn *conn, void *arg)
{
    struct milgi_stream *s = arg;
    (void)conn;
    if (milgi__forward_more(s) && !s->detached && s->events->on_room)
        s->events->on_room(s, s->arg);
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct milgi_stream *s = arg;
    (void)conn;
    s->established = true;
    if (!s->detached && s->events->on_open)
        s->events->on_open(s, s->arg);
}

static void on_decide(struct milgi_conn *conn, void *arg, const struct milgi_decision *decision)
{
    struct milgi_stream *s = arg;
    (void)conn;
    if (!s->detached && s->events->on_decide)
        s->events->on_decide(s, s->arg, decision);
}

static void on_session(struct milgi_conn *conn, void *arg, struct milgi_session *session)
{
    struct milgi_stream *s = arg;
    (void)conn;
    if (!s->detached && s->events->on_session)
        s->events->on_session(s, s->arg, session);
}

static void on_alert(struct milgi_conn *conn, void *arg, int alert)
{
    struct milgi_stream *s = arg;
    (void)conn;
    if (alert != MILGI_ALERT_CLOSE_NOTIFY)
        return;
    s->peer_ended = true;
    milgi__stream_splices_no_more(s);
    if (!s->detached && s->events->on_end)
        s->events->on_end(s, s->arg);
    if (s->error)
        milgi__stream_failed(s, s->error);
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    struct milgi_stream *s = arg;
    (void)conn;
    if (!s->ended)
        end(s, reason);
}

static void on_record(
    struct milgi_conn *conn, void *arg, uint8_t type, const struct milgi_iov *iov, size_t iov_n)
{
    struct milgi_stream *s = arg;
    size_t len = 0;
    (void)conn;
    for (size_t i = 0; i < iov_n; i++)
        len += iov[i].len;
    if (s->closing)
        return;
    if (s->error) {
        given(s, len); /* nobody will get it: no reason to hold it */
        return;
    }
    s->queued += len;
    s->loop->hooks->record(s, type, iov, iov_n);
}

static void on_keys(struct milgi_conn *conn, void *arg, int direction, const struct milgi_traffic_keys *keys)
{
    struct milgi_stream *s = arg;
    (void)conn;
    if (!s->closing)
        s->loop->hooks->keys(s, direction, keys);
}

static const struct milgi_events conn_events = {
    .on_output = on_output,
    .on_data = on_data,
    .on_pause = on_pause,
    .on_resume = on_resume,
    .on_room = on_room,
    .on_established = on_established,
    .on_decide = on_decide,
    .on_alert = on_alert,
    .on_session = on_session,
    .on_closed = on_closed,
    .on_record = on_record,
    .on_keys = on_keys,
};

void milgi__stream_refill(struct milgi_stream *s)
{
    if (s->starved_read) {
        s->starved_read = false;
        update_reading(s);
    }
    if (s->starved_write && !s->closing) {
        s->starved_write = false;
        on_room(s->conn, s);
    }
}

/* --- records in the kernel ---------------------------------------------------------------------------------------- */

static void take_direction(struct milgi_stream *s, enum milgi_direction direction)
{
    if (!wants(s, direction))
        return;
    if (direction == MILGI_RECEIVE && s->reading_on) {
        s->reading_on = false;
        s->loop->hooks->read(s, false);
    }
    int rv = s->loop->hooks->take(s, direction);
    if (rv == MILGI_PAUSE)
        return;
    s->kernel_wants &= (uint8_t) ~(1u << direction);
    if (!rv)
        s->kernel_has |= (uint8_t)(1u << direction);
    if (!rv && !s->detached && s->events->on_kernel)
        s->events->on_kernel(s, s->arg, direction);
}

void milgi__stream_take(struct milgi_stream *s)
{
    if (s->closing || s->ended)
        s->kernel_wants = 0;
    take_direction(s, MILGI_SEND);
    if (!s->closing && s->holds)
        take_direction(s, MILGI_RECEIVE);
    s->holds = s->holds && wants(s, MILGI_RECEIVE);
    if (s->closing)
        return;
    if (s->holds)
        milgi__loop_takes(s);
    update_reading(s);
    milgi__stream_splice_again(s);
}

int milgi_stream_offload(struct milgi_stream *s)
{
    if (!s->loop->hooks->take)
        return MILGI_EUNSUPPORTED;
    if (!s->established || s->ended)
        return MILGI_EINVAL;
    s->kernel_wants = (uint8_t)(((1u << MILGI_SEND) | (1u << MILGI_RECEIVE)) & ~s->kernel_has);
    s->holds = wants(s, MILGI_RECEIVE) && !milgi_conn_record_rest(s->conn);
    milgi__loop_takes(s);
    s->loop->hooks->soon(s->loop);
    update_reading(s);
    return 0;
}

bool milgi_stream_in_kernel(const struct milgi_stream *s, enum milgi_direction direction)
{
    return s->kernel_has >> direction & 1;
}

/* --- making one ------------------------------------------------------------------------------------------------- */

int milgi__stream_init(struct milgi_stream *s, struct milgi_loop *loop, struct milgi_config *config,
    const char *server_name, const struct milgi_stream_events *events, void *arg)
{
    s->loop = loop;
    s->events = events;
    s->arg = arg;
    if (loop->stopping)
        return MILGI_ECLOSED;
    int rv = milgi_conn_new(loop->engine, config, server_name, &conn_events, s, &s->conn);
    if (rv)
        return rv;
    s->moved_ns = milgi__loop_now(loop);
    s->next = loop->streams;
    if (s->next)
        s->next->prev = s;
    loop->streams = s;
    loop->streams_n++;
    return 0;
}

void milgi__stream_connected(struct milgi_stream *s)
{
    if (s->closing)
        return;
    s->connected = true;
    update_reading(s);
    finish_if_over(s);
}

/* --- calls ------------------------------------------------------------------------------------------------------ */

void milgi_stream_await_memory(struct milgi_stream *s)
{
    s->starved_write = true;
    milgi__loop_starves(s);
}

/* What was forwarded is first. */
static int may_send(struct milgi_stream *s)
{
    if (s->ended || s->forward.shut)
        return MILGI_ECLOSED;
    return s->forward.held.n ? MILGI_ENOMEM : 0;
}

int milgi_stream_send(struct milgi_stream *s, struct milgi_slice slice)
{
    int rv = may_send(s);
    if (!rv)
        rv = milgi_conn_send(s->conn, slice);
    if (rv == MILGI_ENOMEM)
        milgi_stream_await_memory(s);
    return rv;
}

int milgi_stream_write(struct milgi_stream *s, const void *data, size_t len)
{
    int rv = may_send(s);
    if (!rv)
        rv = milgi_conn_write(s->conn, data, len);
    if (rv == MILGI_ENOMEM)
        milgi_stream_await_memory(s);
    return rv;
}

void milgi_stream_consumed(struct milgi_stream *s, size_t bytes)
{
    if (!s->ended)
        milgi_conn_consumed(s->conn, bytes);
}

int milgi_stream_shutdown(struct milgi_stream *s)
{
    if (s->ended)
        return MILGI_ECLOSED;
    if (!s->forward.held.n)
        return milgi_conn_shutdown(s->conn);
    s->forward.shut = true;
    return 0;
}

int milgi_stream_abort(struct milgi_stream *s, int alert)
{
    return s->ended ? MILGI_ECLOSED : milgi_conn_abort(s->conn, alert);
}

/* No callbacks from here on, and nobody takes what comes. */
static void give_up(struct milgi_stream *s)
{
    s->detached = s->given_up = true;
    milgi__stream_forget(s);
    milgi__stream_splices_no_more(s);
    milgi_conn_consumed(s->conn, SIZE_MAX);
    milgi__loop_linger(s);
}

void milgi_stream_close(struct milgi_stream *s)
{
    if (s->ended || s->detached)
        return;
    if (s->established)
        milgi_stream_shutdown(s);
    else
        milgi_conn_abort(s->conn, MILGI_ALERT_USER_CANCELED);
    give_up(s);
}

void milgi_stream_cut(struct milgi_stream *s)
{
    if (s->ended || s->cut)
        return;
    s->cut = true;
    milgi_conn_abort(s->conn, MILGI_ALERT_INTERNAL_ERROR);
    give_up(s);
}

void milgi_stream_drop(struct milgi_stream *s)
{
    milgi__stream_destroy(s, false);
}

void milgi_stream_reset(struct milgi_stream *s)
{
    milgi__stream_destroy(s, true);
}

struct milgi_conn *milgi_stream_conn(struct milgi_stream *s)
{
    return s->conn;
}

struct milgi_stream *milgi_stream_of(const struct milgi_conn *conn)
{
    return milgi_conn_arg(conn);
}

void *milgi_stream_arg(const struct milgi_stream *s)
{
    return s->arg;
}
