/* SPDX-License-Identifier: Apache-2.0 */
/* What the proxy forwards to: plain TCP that echoes, answers at length, or takes little. */
#include "load.h"

#include <signal.h>
#include <stdlib.h>

#define BUFFER 32768u
#define SMALL 16384
#define TICK_MS 100u

struct backend;

struct peer {
    uv_tcp_t tcp;
    union {
        uv_write_t write;
        uv_shutdown_t shutdown;
    } req;
    struct backend *backend;
    struct peer *next, *prev;
    uint64_t got, gave;
    uint64_t may; /* a sink: bytes to read before the next tick */
    bool wrong;
    char buffer[BUFFER];
};

struct backend {
    uv_loop_t loop;
    uv_tcp_t listener;
    uv_signal_t term;
    uv_timer_t tick;
    enum backend_kind kind;
    const struct load_options *options;
    struct peer *peers;
    uint64_t accepted, now, left, ended, reset, got, gave, most_got, most_gave, wrong;
};

/* --- the end of one ----------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
    struct peer *p = handle->data;
    struct backend *b = p->backend;
    *(p->prev ? &p->prev->next : &b->peers) = p->next;
    if (p->next)
        p->next->prev = p->prev;
    b->now--;
    b->got += p->got;
    b->gave += p->gave;
    b->wrong += p->wrong;
    b->most_got = p->got > b->most_got ? p->got : b->most_got;
    b->most_gave = p->gave > b->most_gave ? p->gave : b->most_gave;
    free(p);
}

static void lose(struct peer *p)
{
    if (uv_is_closing((uv_handle_t *)&p->tcp))
        return;
    p->backend->reset++;
    uv_close((uv_handle_t *)&p->tcp, on_closed);
}

static void on_shut(uv_shutdown_t *req, int status)
{
    struct peer *p = req->data;
    if (status) {
        lose(p);
        return;
    }
    p->backend->ended++;
    if (p->backend->kind != BACKEND_SOURCE) /* a source still waits for the client's end */
        uv_close((uv_handle_t *)&p->tcp, on_closed);
}

static void end(struct peer *p)
{
    p->req.shutdown.data = p;
    if (uv_shutdown(&p->req.shutdown, (uv_stream_t *)&p->tcp, on_shut))
        lose(p);
}

/* --- what comes --------------------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct peer *p = handle->data;
    size_t len = sizeof p->buffer;
    (void)suggested;
    if (p->backend->kind == BACKEND_SINK && p->may < len)
        len = (size_t)p->may;
    *buf = uv_buf_init(p->buffer, (unsigned)len);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf);

static void on_echoed(uv_write_t *req, int status)
{
    struct peer *p = req->data;
    if (status)
        lose(p);
    else if (!uv_is_closing((uv_handle_t *)&p->tcp))
        uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read);
}

static void echo(struct peer *p, char *data, size_t len)
{
    uv_buf_t buf = uv_buf_init(data, (unsigned)len);
    int done = uv_try_write((uv_stream_t *)&p->tcp, &buf, 1);
    size_t skip = done > 0 ? (size_t)done : 0;
    p->gave += len;
    if (skip == len)
        return;
    buf.base += skip;
    buf.len -= skip;
    uv_read_stop((uv_stream_t *)&p->tcp);
    p->req.write.data = p;
    if (uv_write(&p->req.write, (uv_stream_t *)&p->tcp, &buf, 1, on_echoed))
        lose(p);
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct peer *p = stream->data;
    enum backend_kind kind = p->backend->kind;
    if (len == UV_EOF && kind == BACKEND_SOURCE && p->gave < p->backend->options->bytes)
        uv_read_stop(stream); /* it wants the rest */
    else if (len == UV_EOF && kind == BACKEND_SOURCE)
        uv_close((uv_handle_t *)stream, on_closed);
    else if (len == UV_EOF)
        end(p);
    else if (len < 0)
        lose(p);
    if (len <= 0)
        return;
    if (kind == BACKEND_SINK) {
        p->wrong = p->wrong || !text_is(0, p->got, (const uint8_t *)buf->base, (size_t)len);
        p->may -= (uint64_t)len;
        if (!p->may)
            uv_read_stop(stream);
    }
    p->got += (uint64_t)len;
    if (kind == BACKEND_ECHO)
        echo(p, buf->base, (size_t)len);
}

static void on_tick(uv_timer_t *timer)
{
    struct backend *b = timer->data;
    for (struct peer *p = b->peers; p; p = p->next) {
        p->may = b->options->rate * TICK_MS / 1000;
        if (!uv_is_closing((uv_handle_t *)&p->tcp))
            uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read);
    }
}

/* --- what a source says ------------------------------------------------------------------------------------------- */

static void on_given(uv_write_t *req, int status);

static void give(struct peer *p)
{
    uint64_t left = p->backend->options->bytes - p->gave;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text_at(0, p->gave), (unsigned)(left < TEXT_SPAN ? left : TEXT_SPAN));
    if (!left) {
        end(p);
        return;
    }
    p->req.write.data = p;
    if (uv_write(&p->req.write, (uv_stream_t *)&p->tcp, &buf, 1, on_given))
        lose(p);
    else
        p->gave += buf.len;
}

static void on_given(uv_write_t *req, int status)
{
    struct peer *p = req->data;
    if (status)
        lose(p);
    else
        give(p);
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static void on_connection(uv_stream_t *server, int status)
{
    struct backend *b = server->data;
    struct peer *p = status ? NULL : malloc(sizeof *p);
    int small = SMALL;
    must(p ? 0 : MILGI_ELIMIT, "accept");
    *p = (struct peer){ .backend = b, .next = b->peers };
    must(uv_tcp_init(&b->loop, &p->tcp) ? MILGI_ELIMIT : 0, "accept");
    p->tcp.data = p;
    if (p->next)
        p->next->prev = p;
    b->peers = p;
    b->accepted++;
    b->now++;
    if (uv_accept(server, (uv_stream_t *)&p->tcp)) {
        lose(p);
        return;
    }
    if (b->kind == BACKEND_SOURCE)
        uv_send_buffer_size((uv_handle_t *)&p->tcp, &small);
    if (b->kind != BACKEND_SINK)
        uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read);
    if (b->kind == BACKEND_SOURCE)
        give(p);
}

static void on_term(uv_signal_t *signal, int number)
{
    struct backend *b = signal->data;
    (void)number;
    b->left = b->now;
    for (struct peer *p = b->peers; p; p = p->next) {
        if (!uv_is_closing((uv_handle_t *)&p->tcp))
            uv_close((uv_handle_t *)&p->tcp, on_closed);
    }
    uv_close((uv_handle_t *)&b->listener, NULL);
    uv_close((uv_handle_t *)&b->term, NULL);
    uv_close((uv_handle_t *)&b->tick, NULL);
}

static void report(const struct backend *b)
{
    printf("accepted %llu left %llu ended %llu reset %llu got %llu gave %llu most_got %llu most_gave %llu wrong %llu\n",
        (unsigned long long)b->accepted, (unsigned long long)b->left, (unsigned long long)b->ended,
        (unsigned long long)b->reset, (unsigned long long)b->got, (unsigned long long)b->gave,
        (unsigned long long)b->most_got, (unsigned long long)b->most_gave, (unsigned long long)b->wrong);
}

int load_backend(enum backend_kind kind, const struct load_options *options)
{
    struct backend b = { .kind = kind, .options = options };
    struct sockaddr_in address;
    int len = sizeof address, small = SMALL;
    must(uv_loop_init(&b.loop) ? MILGI_ELIMIT : 0, "loop");
    uv_tcp_init(&b.loop, &b.listener);
    uv_signal_init(&b.loop, &b.term);
    uv_timer_init(&b.loop, &b.tick);
    b.listener.data = b.term.data = b.tick.data = &b;
    uv_signal_start(&b.term, on_term, SIGTERM);
    uv_ip4_addr("127.0.0.1", 0, &address);
    int rv = uv_tcp_bind(&b.listener, (const struct sockaddr *)&address, 0);
    if (!rv && kind == BACKEND_SINK) {
        uv_recv_buffer_size((uv_handle_t *)&b.listener, &small);
        uv_timer_start(&b.tick, on_tick, TICK_MS, TICK_MS);
    }
    if (!rv)
        rv = uv_listen((uv_stream_t *)&b.listener, 4096, on_connection);
    if (!rv)
        rv = uv_tcp_getsockname(&b.listener, (struct sockaddr *)&address, &len);
    must(rv ? MILGI_ELIMIT : 0, "listen");
    printf("listening on 127.0.0.1:%u\n", (unsigned)ntohs(address.sin_port));
    uv_run(&b.loop, UV_RUN_DEFAULT);
    report(&b);
    uv_loop_close(&b.loop);
    return b.wrong != 0;
}
