/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that break what they can break: the proxy must end each of them by itself, or bear that it is gone. */
#include "load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum bad_kind {
    GARBAGE,        /* no TLS at all */
    GARBAGE_RECORD, /* a record of the handshake with nonsense in it */
    HALF_HELLO,     /* stops half-way through a ClientHello */
    SILENCE,        /* says nothing */
    RESET_HELLO,    /* a ClientHello, then a TCP reset */
    RESET_DATA,     /* a TCP reset while data flows */
    CUT_DATA,       /* TCP's end without close_notify while data flows */
    SPOILT_RECORD   /* a record that nobody sealed */
};

const char *const bad_names[BAD_KINDS] = { "garbage", "garbage_record", "half_hello", "silence", "reset_hello",
    "reset_data", "cut_data", "spoilt_record" };
uint64_t bad_right[BAD_KINDS], bad_wrong[BAD_KINDS];

struct bad {
    uv_tcp_t tcp; /* without TLS */
    union {
        uv_connect_t connect;
        uv_write_t write;
    } req;
    struct side *side;
    const struct bad_events *events;
    enum bad_kind kind;
    uint64_t start; /* of its text */
    uint64_t begin_ms;
    uint8_t bytes[1024];
    bool alerted, right, acted;
};

static void over(struct bad *b)
{
    const struct bad_events *events = b->events;
    if (b->right)
        bad_right[b->kind]++;
    else
        bad_wrong[b->kind]++;
    free(b);
    events->gone(events->arg);
}

/* --- those without TLS -------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    over(handle->data);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct bad *b = handle->data;
    (void)suggested;
    *buf = uv_buf_init((char *)b->bytes, sizeof b->bytes);
}

/* What the proxy says, and that it ends: for nonsense there has to be an alert first. */
static void on_read(uv_stream_t *handle, ssize_t len, const uv_buf_t *buf)
{
    struct bad *b = handle->data;
    if (len > 0 && (uint8_t)buf->base[0] == 21)
        b->alerted = true;
    if (len >= 0)
        return;
    b->right = b->alerted || (b->kind != GARBAGE && b->kind != GARBAGE_RECORD);
    uv_close((uv_handle_t *)handle, on_closed);
}

static void on_written(uv_write_t *req, int status)
{
    struct bad *b = req->data;
    if (b->kind != RESET_HELLO || status)
        return;
    b->right = true;
    if (uv_tcp_close_reset(&b->tcp, on_closed))
        uv_close((uv_handle_t *)&b->tcp, on_closed);
}

static size_t nonsense(struct bad *b)
{
    static const uint8_t header[] = { 22, 3, 1, 2, 0 }; /* 512 bytes of handshake */
    size_t len = sizeof header + 512;
    memcpy(b->bytes, text_at(b->start, 0), len);
    if (b->kind == GARBAGE)
        b->bytes[0] = 'G';
    else
        memcpy(b->bytes, header, sizeof header);
    return len;
}

static void on_connect(uv_connect_t *req, int status)
{
    struct bad *b = req->data;
    uv_stream_t *stream = (uv_stream_t *)&b->tcp;
    uv_buf_t buf = uv_buf_init((char *)b->side->hello, (unsigned)b->side->hello_len);
    if (status) {
        uv_close((uv_handle_t *)&b->tcp, on_closed);
        return;
    }
    if (b->kind == GARBAGE || b->kind == GARBAGE_RECORD)
        buf = uv_buf_init((char *)b->bytes, (unsigned)nonsense(b));
    else if (b->kind == HALF_HELLO)
        buf.len /= 2;
    b->req.write.data = b;
    if (b->kind != SILENCE && uv_write(&b->req.write, stream, &buf, 1, on_written))
        uv_close((uv_handle_t *)&b->tcp, on_closed);
    else
        uv_read_start(stream, on_alloc, on_read);
}

static void start_plain(struct bad *b)
{
    b->tcp.data = b->req.connect.data = b;
    must(uv_tcp_init(b->side->loop, &b->tcp) ? MILGI_ELIMIT : 0, "socket");
    if (uv_tcp_connect(&b->req.connect, &b->tcp, (const struct sockaddr *)&b->side->address, on_connect))
        uv_close((uv_handle_t *)&b->tcp, on_closed);
}

/* --- those with TLS ----------------------------------------------------------------------------------------------- */

static void on_open(struct milgi_stream *stream, void *arg)
{
    struct bad *b = arg;
    side_shook(b->side, b->begin_ms);
    /* An error becomes an on_close that nobody expects. */
    if (milgi_stream_write(stream, text_at(b->start, 0), b->kind == SPOILT_RECORD ? 4096 : 65536) < 0)
        milgi_stream_drop(stream);
}

static void spoil(struct milgi_stream *stream, uv_os_fd_t fd)
{
    uint8_t record[5 + 200] = { 23, 3, 3, 0, 200 };
    (void)stream;
    memcpy(record + 5, text_at(0, 0), 200);
    if (send(fd, record, sizeof record, MSG_NOSIGNAL) < 0)
        milgi_stream_drop(stream);
}

/* The proxy wants no more of it. */
static void on_end(struct milgi_stream *stream, void *arg)
{
    (void)arg;
    milgi_stream_shutdown(stream);
}

/* The echo has come: now. */
static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct bad *b = arg;
    const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    uv_os_fd_t fd;
    size_t len = 0;
    for (size_t i = 0; i < slices_n; i++)
        len += slices[i].len;
    milgi_stream_consumed(stream, len);
    if (b->acted || uv_fileno((uv_handle_t *)milgi_uv_tcp(stream), &fd))
        return;
    b->acted = true;
    if (b->kind == SPOILT_RECORD) {
        spoil(stream, fd);
    } else if (b->kind == CUT_DATA) {
        shutdown(fd, SHUT_WR);
    } else {
        b->right = !setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        milgi_stream_drop(stream);
    }
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct bad *b = arg;
    (void)stream;
    if (b->acted && b->kind == SPOILT_RECORD)
        b->right = reason->alert_from_peer && reason->alert == MILGI_ALERT_BAD_RECORD_MAC;
    else if (b->acted)
        b->right = reason->error != 0;
    if (!b->right)
        fprintf(stderr, "milgi_load: %s: %s (%s), alert %d\n", bad_names[b->kind], milgi_error_text(reason->error),
            reason->detail, reason->alert);
}

static void on_gone(void *arg)
{
    over(arg);
}

static const struct milgi_stream_events tls_events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
    .on_gone = on_gone,
};

static void start_tls(struct bad *b)
{
    struct side *side = b->side;
    struct milgi_stream *stream;
    const struct sockaddr *address = (const struct sockaddr *)&side->address;
    must(milgi_uv_connect(side->uv, address, side->config, side->options->name, &tls_events, b, &stream), "connect");
}

/* ------------------------------------------------------------------------------------------------------------------ */

void bad_start(struct side *side, uint64_t index, const struct bad_events *events)
{
    struct bad *b = calloc(1, sizeof *b);
    must(b ? 0 : MILGI_ENOMEM, "client");
    b->side = side;
    b->events = events;
    b->kind = (enum bad_kind)(index % BAD_KINDS);
    b->start = index * 7919;
    b->begin_ms = now_ms();
    if (b->kind >= RESET_DATA)
        start_tls(b);
    else
        start_plain(b);
}
