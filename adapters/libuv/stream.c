/* SPDX-License-Identifier: Apache-2.0 */
/* One TCP connection under one TLS connection: bytes in, bytes out, and the two ends. */
#include "internal.h"

#include <stdlib.h>

/* Reads are as large as the engine's chunks are: a little, one record, several. */
static const uint32_t read_sizes[] = { 4096, 18432, 69632 };
#define READ_SIZES (sizeof read_sizes / sizeof read_sizes[0])
#define PIECES 16 /* of output in one request, so that progress shows */

/* A write that libuv has not finished; the bytes are the connection's. */
struct write {
    uv_write_t req;
    struct milgi_uv_stream *stream;
    size_t len;
};

static void finish_if_over(struct milgi_uv_stream *s);
static void update_reading(struct milgi_uv_stream *s);

/* --- the end ---------------------------------------------------------------------------------------------------- */

static void on_socket_closed(uv_handle_t *handle)
{
    struct milgi_uv_stream *s = handle->data;
    struct milgi_uv *uv = s->uv;
    *(s->prev ? &s->prev->next : &uv->streams) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    uv->streams_n--;
    if (s->events->on_gone)
        s->events->on_gone(s->arg);
    free(s);
    milgi_uv__stream_gone(uv);
}

void milgi_uv__stream_destroy(struct milgi_uv_stream *s)
{
    if (s->closing)
        return;
    s->closing = true;
    s->ended = true;
    s->detached = true;
    milgi_uv__linger_end(s);
    /* The socket first: from here on libuv does not read the output, which goes with the connection. */
    uv_close((uv_handle_t *)&s->tcp, on_socket_closed);
    milgi_conn_free(s->conn);
    s->conn = NULL;
}

/* TLS has ended; what was handed out is still written, what comes is thrown away. */
static void end(struct milgi_uv_stream *s, const struct milgi_reason *reason)
{
    s->ended = true;
    if (!s->detached && s->events->on_close)
        s->events->on_close(s, s->arg, reason);
    s->detached = true;
    if (s->closing)
        return;
    milgi_uv__linger(s);
    update_reading(s);
    finish_if_over(s);
}

/* The socket is of no use any more, and the connection cannot tell. */
static void transport_failed(struct milgi_uv_stream *s, int error)
{
    struct milgi_reason reason = {
        .error = MILGI_ETRANSPORT,
        .cls = MILGI_CLASS_IO,
        .alert = MILGI_ALERT_NONE,
        .op = -1,
        .device_code = -error,
        .detail = uv_strerror(error),
    };
    s->write_error = error;
    if (!s->ended)
        end(s, &reason);
    milgi_uv__stream_destroy(s);
}

void milgi_uv__stream_expired(struct milgi_uv_stream *s)
{
    if (s->write_error)
        transport_failed(s, s->write_error);
    else
        milgi_uv__stream_destroy(s);
}

/*
 * Nothing more goes out. What the peer has said before it went away, perhaps an alert, may still lie in the socket: if
 * it is being read, its end tells the reason; if not, there is no reason to wait.
 */
static void sending_failed(struct milgi_uv_stream *s, int error)
{
    if (s->closing || s->write_error)
        return;
    s->write_error = error;
    if (s->ended || s->eof || !s->reading_on)
        transport_failed(s, error);
    else
        milgi_uv__linger(s);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct milgi_uv_stream *s = req->data;
    if (s->closing)
        return;
    if (status || s->eof)
        milgi_uv__stream_destroy(s);
}

static void finish_if_over(struct milgi_uv_stream *s)
{
    if (!s->ended || s->closing || s->fin || s->writes)
        return;
    if (!s->connected || s->write_error) {
        milgi_uv__stream_destroy(s);
        return;
    }
    s->fin = true;
    s->req.shutdown.data = s;
    if (uv_shutdown(&s->req.shutdown, (uv_stream_t *)&s->tcp, on_shutdown))
        milgi_uv__stream_destroy(s);
}

/* --- out -------------------------------------------------------------------------------------------------------- */

static void on_written(uv_write_t *req, int status)
{
    struct write *w = req->data;
    struct milgi_uv_stream *s = w->stream;
    size_t len = w->len;
    free(w);
    s->writes--;
    if (s->closing)
        return;
    milgi_conn_output_done(s->conn, len);
    if (status) {
        sending_failed(s, status);
        return;
    }
    if (s->lingers)
        milgi_uv__linger(s);
    finish_if_over(s);
}

static int write_rest(struct milgi_uv_stream *s, const uv_buf_t *bufs, unsigned bufs_n, size_t len)
{
    struct write *w = malloc(sizeof *w);
    if (!w)
        return UV_ENOMEM;
    *w = (struct write){ .req.data = w, .stream = s, .len = len };
    int rc = uv_write(&w->req, (uv_stream_t *)&s->tcp, bufs, bufs_n, on_written);
    if (rc)
        free(w);
    else
        s->writes++;
    return rc;
}

/* Some pieces at once: what the socket takes now, and the rest when it can. |*len| is what of them is not accounted
 * for. */
static int write_pieces(struct milgi_uv_stream *s, uv_buf_t *bufs, unsigned bufs_n, size_t *len)
{
    int done = 0;
    if (!s->writes && s->connected)
        done = uv_try_write((uv_stream_t *)&s->tcp, bufs, bufs_n);
    if (done < 0 && done != UV_EAGAIN)
        return done;
    size_t skip = done > 0 ? (size_t)done : 0;
    if (skip)
        milgi_conn_output_done(s->conn, skip);
    *len -= skip;
    if (!*len)
        return 0;
    while (skip >= bufs->len) {
        skip -= bufs->len;
        bufs++;
        bufs_n--;
    }
    bufs->base += skip;
    bufs->len -= skip;
    return write_rest(s, bufs, bufs_n, *len);
}

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    struct milgi_uv_stream *s = arg;
    while (iov_n && !s->closing) {
        uv_buf_t bufs[PIECES];
        unsigned n = 0;
        size_t len = 0;
        for (; n < PIECES && n < iov_n; n++) {
            bufs[n] = (uv_buf_t){ .base = (char *)(uintptr_t)iov[n].data, .len = iov[n].len };
            len += iov[n].len;
        }
        iov += n;
        iov_n -= n;
        int rc = s->write_error ? 0 : write_pieces(s, bufs, n, &len);
        if (rc)
            sending_failed(s, rc);
        if (s->write_error && !s->closing)
            milgi_conn_output_done(conn, len); /* nobody will get it: no reason to hold it */
    }
    if (s->lingers)
        milgi_uv__linger(s);
    finish_if_over(s);
}

/* --- in --------------------------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct milgi_uv_stream *s = handle->data;
    (void)suggested;
    if (s->ended) {
        *buf = uv_buf_init(s->uv->waste, sizeof s->uv->waste);
        return;
    }
    s->reading = milgi_conn_chunk(s->conn, s->read_size);
    /* Where there is little memory a little is read: rather that than nothing. */
    while (!s->reading && s->read_at > 0) {
        s->read_size = read_sizes[--s->read_at];
        s->reading = milgi_conn_chunk(s->conn, s->read_size);
    }
    if (!s->reading) {
        *buf = uv_buf_init(NULL, 0);
        return;
    }
    *buf = uv_buf_init((char *)milgi_chunk_data(s->reading), s->read_size);
}

static void wait_for_chunks(struct milgi_uv_stream *s)
{
    s->starved_read = true;
    s->uv->starved = true;
    update_reading(s);
}

static void read_wasted(struct milgi_uv_stream *s, size_t len)
{
    s->wasted += (uint32_t)len;
    if (s->wasted > s->uv->options.linger_bytes)
        milgi_uv__stream_destroy(s);
}

static void read_ended(struct milgi_uv_stream *s, int error)
{
    s->eof = true;
    update_reading(s);
    if (s->ended) {
        if (error || s->fin || s->write_error)
            milgi_uv__stream_destroy(s);
        return;
    }
    if (s->write_error && !error)
        error = s->write_error;
    if (milgi_conn_receive_eof(s->conn, -error) && error)
        transport_failed(s, error);
}

/* A full chunk asks for a larger one next time, one that is mostly empty for a smaller one. */
static void adapt(struct milgi_uv_stream *s, uint32_t len)
{
    if (len == s->read_size && s->read_at + 1 < READ_SIZES)
        s->read_at++;
    else if (len < s->read_size / 4 && s->read_at > 0)
        s->read_at--;
    s->read_size = read_sizes[s->read_at];
}

static void on_read(uv_stream_t *handle, ssize_t len, const uv_buf_t *buf)
{
    struct milgi_uv_stream *s = handle->data;
    struct milgi_slice slice = { s->reading, (uint8_t *)buf->base, len > 0 ? (uint32_t)len : 0 };
    s->reading = NULL;
    if (len <= 0)
        milgi_chunk_unref(slice.chunk);
    if (len == UV_ENOBUFS)
        wait_for_chunks(s);
    else if (len < 0)
        read_ended(s, len == UV_EOF ? 0 : (int)len);
    else if (len > 0 && !slice.chunk)
        read_wasted(s, (size_t)len);
    if (len <= 0 || !slice.chunk)
        return;
    adapt(s, slice.len);
    if (milgi_conn_receive(s->conn, slice) == MILGI_PAUSE) {
        s->paused = true;
        update_reading(s);
    }
}

static void update_reading(struct milgi_uv_stream *s)
{
    bool want = s->connected && !s->eof && !s->closing && (s->ended || (!s->paused && !s->starved_read));
    if (want == s->reading_on)
        return;
    s->reading_on = want;
    if (!want)
        uv_read_stop((uv_stream_t *)&s->tcp);
    else if (uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read))
        transport_failed(s, UV_ENOTCONN);
}

/* --- what the connection tells ---------------------------------------------------------------------------------- */

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct milgi_uv_stream *s = arg;
    if (!s->detached && s->events->on_data) {
        s->events->on_data(s, s->arg, slices, slices_n);
        return;
    }
    for (size_t i = 0; i < slices_n; i++)
        milgi_conn_consumed(conn, slices[i].len);
}

static void on_pause(struct milgi_conn *conn, void *arg)
{
    struct milgi_uv_stream *s = arg;
    (void)conn;
    s->paused = true;
    update_reading(s);
}

static void on_resume(struct milgi_conn *conn, void *arg)
{
    struct milgi_uv_stream *s = arg;
    (void)conn;
    s->paused = false;
    update_reading(s);
}

static void on_room(struct milgi_conn *conn, void *arg)
{
    struct milgi_uv_stream *s = arg;
    (void)conn;
    if (!s->detached && s->events->on_room)
        s->events->on_room(s, s->arg);
}

static void on_established(struct milgi_conn *conn, void *arg)
{
    struct milgi_uv_stream *s = arg;
    (void)conn;
    s->established = true;
    if (!s->detached && s->events->on_open)
        s->events->on_open(s, s->arg);
}

static void on_decide(struct milgi_conn *conn, void *arg, const struct milgi_decision *decision)
{
    struct milgi_uv_stream *s = arg;
    (void)conn;
    if (!s->detached && s->events->on_decide)
        s->events->on_decide(s, s->arg, decision);
}

static void on_alert(struct milgi_conn *conn, void *arg, int alert)
{
    struct milgi_uv_stream *s = arg;
    (void)conn;
    if (alert == MILGI_ALERT_CLOSE_NOTIFY && !s->detached && s->events->on_end)
        s->events->on_end(s, s->arg);
}

static void on_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    struct milgi_uv_stream *s = arg;
    (void)conn;
    if (!s->ended)
        end(s, reason);
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
    .on_closed = on_closed,
};

void milgi_uv__streams_refill(struct milgi_uv *uv)
{
    if (!uv->starved)
        return;
    uv->starved = false;
    for (struct milgi_uv_stream *s = uv->streams; s; s = s->next) {
        if (s->starved_read) {
            s->starved_read = false;
            update_reading(s);
        }
        if (s->starved_write) {
            s->starved_write = false;
            on_room(s->conn, s);
        }
    }
}

/* --- making one ------------------------------------------------------------------------------------------------- */

static const struct milgi_uv_events no_events;

static int stream_new(struct milgi_uv *uv, struct milgi_uv_stream **stream)
{
    *stream = NULL;
    if (uv->stopping)
        return MILGI_ECLOSED;
    struct milgi_uv_stream *s = calloc(1, sizeof *s);
    if (!s)
        return MILGI_ENOMEM;
    s->uv = uv;
    s->read_size = read_sizes[0];
    s->events = &no_events;
    if (uv_tcp_init(uv->loop, &s->tcp)) {
        free(s);
        return MILGI_ELIMIT;
    }
    s->tcp.data = s;
    s->next = uv->streams;
    if (s->next)
        s->next->prev = s;
    uv->streams = s;
    if (!uv->streams_n++)
        uv_ref((uv_handle_t *)&uv->poll);
    *stream = s;
    return 0;
}

/* The last step of making one, and what undoes the others when one has failed. */
static int stream_made(struct milgi_uv_stream *s, int rc, const struct milgi_uv_events *events, void *arg,
    struct milgi_uv_stream **stream)
{
    *stream = NULL;
    if (rc) {
        milgi_uv__stream_destroy(s);
        return rc;
    }
    s->events = events;
    s->arg = arg;
    uv_tcp_nodelay(&s->tcp, 1); /* a turn's output is one write: nothing to wait for */
    update_reading(s);
    *stream = s;
    return 0;
}

int milgi_uv_accept(struct milgi_uv *uv, uv_stream_t *server, struct milgi_config *config,
    const struct milgi_uv_events *events, void *arg, struct milgi_uv_stream **stream)
{
    struct milgi_uv_stream *s;
    int rc = stream_new(uv, &s);
    if (rc)
        return rc;
    if (uv_accept(server, (uv_stream_t *)&s->tcp))
        rc = MILGI_ETRANSPORT;
    else
        rc = milgi_conn_new(uv->engine, config, NULL, &conn_events, s, &s->conn);
    s->connected = !rc;
    return stream_made(s, rc, events, arg, stream);
}

static void on_connect(uv_connect_t *req, int status)
{
    struct milgi_uv_stream *s = req->data;
    if (s->closing)
        return;
    if (status) {
        transport_failed(s, status);
        return;
    }
    s->connected = true;
    update_reading(s);
    finish_if_over(s);
}

int milgi_uv_connect(struct milgi_uv *uv, const struct sockaddr *address, struct milgi_config *config,
    const char *server_name, const struct milgi_uv_events *events, void *arg, struct milgi_uv_stream **stream)
{
    struct milgi_uv_stream *s;
    int rc = stream_new(uv, &s);
    if (rc)
        return rc;
    rc = milgi_conn_new(uv->engine, config, server_name, &conn_events, s, &s->conn);
    s->req.connect.data = s;
    int error = rc ? 0 : uv_tcp_connect(&s->req.connect, &s->tcp, address, on_connect);
    if (error)
        milgi_conn_receive_eof(s->conn, -error); /* told from the loop, as other failures are */
    return stream_made(s, rc, events, arg, stream);
}

int milgi_uv_open(struct milgi_uv *uv, uv_os_sock_t fd, struct milgi_config *config, const char *server_name,
    const struct milgi_uv_events *events, void *arg, struct milgi_uv_stream **stream)
{
    struct milgi_uv_stream *s;
    int rc = stream_new(uv, &s);
    if (rc)
        return rc;
    rc = milgi_conn_new(uv->engine, config, server_name, &conn_events, s, &s->conn);
    if (!rc && uv_tcp_open(&s->tcp, fd))
        rc = MILGI_ETRANSPORT;
    s->connected = !rc;
    return stream_made(s, rc, events, arg, stream);
}

/* --- calls ------------------------------------------------------------------------------------------------------ */

void milgi_uv_await_memory(struct milgi_uv_stream *s)
{
    s->starved_write = true;
    s->uv->starved = true;
}

int milgi_uv_send(struct milgi_uv_stream *s, struct milgi_slice slice)
{
    if (s->ended)
        return MILGI_ECLOSED;
    int rc = milgi_conn_send(s->conn, slice);
    if (rc == MILGI_ENOMEM)
        milgi_uv_await_memory(s);
    return rc;
}

int milgi_uv_write(struct milgi_uv_stream *s, const void *data, size_t len)
{
    if (s->ended)
        return MILGI_ECLOSED;
    int rc = milgi_conn_write(s->conn, data, len);
    if (rc == MILGI_ENOMEM)
        milgi_uv_await_memory(s);
    return rc;
}

void milgi_uv_consumed(struct milgi_uv_stream *s, size_t bytes)
{
    if (!s->ended)
        milgi_conn_consumed(s->conn, bytes);
}

int milgi_uv_shutdown(struct milgi_uv_stream *s)
{
    return s->ended ? MILGI_ECLOSED : milgi_conn_shutdown(s->conn);
}

int milgi_uv_abort(struct milgi_uv_stream *s, int alert)
{
    return s->ended ? MILGI_ECLOSED : milgi_conn_abort(s->conn, alert);
}

void milgi_uv_close(struct milgi_uv_stream *s)
{
    if (s->ended || s->detached)
        return;
    s->detached = true;
    milgi_conn_consumed(s->conn, SIZE_MAX);
    if (s->established)
        milgi_conn_shutdown(s->conn);
    else
        milgi_conn_abort(s->conn, MILGI_ALERT_USER_CANCELED);
    milgi_uv__linger(s);
}

void milgi_uv_drop(struct milgi_uv_stream *s)
{
    milgi_uv__stream_destroy(s);
}

struct milgi_conn *milgi_uv_conn(struct milgi_uv_stream *s)
{
    return s->conn;
}

uv_tcp_t *milgi_uv_tcp(struct milgi_uv_stream *s)
{
    return &s->tcp;
}
