/* SPDX-License-Identifier: Apache-2.0 */
/* See rig.h. */
#include "rig.h"

void send_more(struct end *e)
{
    uint8_t block[5000];
    while (e->stream && e->sent_len < e->send_len) {
        size_t n = e->send_len - e->sent_len < sizeof block ? e->send_len - e->sent_len : sizeof block;
        pattern_fill(block, e->sent_len, n);
        int rv = milgi_stream_write(e->stream, block, n);
        if (rv < 0)
            return;
        e->sent_len += n;
        if (rv == MILGI_PAUSE)
            return;
    }
    if (e->stream && e->shut_when_sent) {
        e->shut_when_sent = false;
        assert_int_equal(milgi_stream_shutdown(e->stream), 0);
    }
}

void on_open(struct milgi_stream *stream, void *arg)
{
    struct end *e = arg;
    e->opened = true;
    if (e->drop_when_open) {
        e->stream = NULL;
        milgi_stream_drop(stream);
        return;
    }
    send_more(e);
    if (e->close_when_open) {
        e->stream = NULL;
        milgi_stream_close(stream);
    }
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct end *e = arg;
    for (size_t i = 0; i < slices_n; i++) {
        assert_true(is_pattern(slices[i].data, e->got_len, slices[i].len));
        e->got_len += slices[i].len;
        if (!e->keep_credit)
            milgi_stream_consumed(stream, slices[i].len);
    }
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    struct end *e = arg;
    e->ended = true;
    if (e->answers_end)
        assert_int_equal(milgi_stream_shutdown(stream), 0);
}

static void on_room(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    ((struct end *)arg)->rooms++;
    send_more(arg);
}

void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct end *e = arg;
    (void)stream;
    assert_false(e->closed);
    assert_non_null(reason->detail);
    e->closed = true;
    e->reason = *reason;
    e->stream = NULL;
}

void on_gone(void *arg)
{
    struct end *e = arg;
    assert_false(e->gone);
    e->gone = true;
}

const struct milgi_stream_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_close = on_close,
    .on_gone = on_gone,
};

/* --- what the matrix does to a stream, whatever its loop ---------------------------------------------------------- */

struct matrix_state end_state(const struct end *e)
{
    return (struct matrix_state){ .sent_len = e->sent_len,
        .got_len = e->got_len,
        .opened = e->opened,
        .ended = e->ended,
        .closed = e->closed };
}

void end_send(struct end *e, size_t len, bool last)
{
    e->send_len = len;
    e->shut_when_sent = last;
    if (e->opened)
        send_more(e);
}

void end_hold(struct end *e, bool on)
{
    e->keep_credit = on;
    if (!on && e->stream)
        milgi_stream_consumed(e->stream, SIZE_MAX);
}

size_t end_take(struct end *e, size_t most)
{
    size_t there = e->got_len - e->taken_len, some = there < most ? there : most;
    if (some && e->stream)
        milgi_stream_consumed(e->stream, some);
    e->taken_len += some;
    return some;
}

void end_in_order(const struct end *e)
{
    assert_true(e->ended && e->closed && e->gone);
    assert_int_equal(e->reason.error, 0);
}

void end_break_off(struct end *e, unsigned way)
{
    static void (*const ways[])(struct milgi_stream *) = { milgi_stream_drop, milgi_stream_reset, milgi_stream_cut };
    struct milgi_stream *stream = e->stream;
    e->stream = NULL;
    if (stream)
        ways[way](stream);
}

/* --- the rig ------------------------------------------------------------------------------------------------------ */

static void on_limit(uv_timer_t *timer)
{
    struct rig *r = timer->data;
    r->late = true;
    uv_stop(&r->loop);
}

void rig_open(struct rig *r, const char *device, const struct milgi_stream_options *options)
{
    *r = (struct rig){ 0 };
    assert_int_equal(uv_loop_init(&r->loop), 0);
    assert_int_equal(milgi_uv_new(&r->loop, options, &r->uv), 0);
    if (device)
        r->device = device_for(milgi_uv_engine(r->uv), device);
    r->root = identity_root(IDENTITY_P256, "root");
    r->leaf = identity_leaf(r->root, IDENTITY_P256, "DNS:uv.test");
    r->server = configs_freeze(configs_begin(MILGI_SERVER, r->leaf, NULL));
    r->client = configs_freeze(configs_begin(MILGI_CLIENT, NULL, r->root));
    uv_timer_init(&r->loop, &r->limit);
    uv_timer_init(&r->loop, &r->later);
    r->limit.data = r->later.data = r;
    uv_timer_start(&r->limit, on_limit, 20000, 0);
    uv_unref((uv_handle_t *)&r->limit);
}

void rig_open_with(struct rig *r, size_t memory)
{
    struct milgi_stream_options options;
    milgi_stream_options_init(&options);
    options.engine.memory_limit = memory;
    rig_open(r, NULL, &options);
}

static void on_stopped(void *arg)
{
    ((struct rig *)arg)->stopped = true;
}

void rig_close(struct rig *r)
{
    milgi_uv_stop(r->uv, on_stopped, r);
    milgi_uv_stop(r->uv, on_stopped, r); /* once more is nothing more */
    uv_close((uv_handle_t *)&r->limit, NULL);
    uv_close((uv_handle_t *)&r->later, NULL);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_true(r->stopped);
    assert_int_equal(uv_loop_close(&r->loop), 0);
    milgi_device_free(r->device);
    milgi_config_unref(r->server);
    milgi_config_unref(r->client);
    identity_free(r->leaf);
    identity_free(r->root);
}

void client_on(struct rig *r, int fd)
{
    assert_int_equal(milgi_uv_open(r->uv, fd, r->client, "uv.test", &events, &r->a, &r->a.stream), 0);
}

void server_on(struct rig *r, int fd)
{
    assert_int_equal(milgi_uv_open(r->uv, fd, r->server, NULL, &events, &r->b, &r->b.stream), 0);
}

void both(struct rig *r)
{
    int fd[2];
    socket_pair(fd);
    client_on(r, fd[0]);
    server_on(r, fd[1]);
}

/* Until every stream is gone; the adapter alone keeps the loop alive. */
void run(struct rig *r)
{
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_false(r->late);
    assert_int_equal(milgi_uv_streams(r->uv), 0);
}

void run_until(struct rig *r, const bool *what)
{
    while (!*what && !r->late)
        uv_run(&r->loop, UV_RUN_ONCE);
    assert_false(r->late);
}

static void on_later(uv_timer_t *timer)
{
    struct rig *r = timer->data;
    r->at_later(r);
}

void later(struct rig *r, uint64_t ms, void (*what)(struct rig *r))
{
    r->at_later = what;
    uv_timer_start(&r->later, on_later, ms, 0);
}

/* --- TCP ----------------------------------------------------------------------------------------------------------*/

int listener(struct sockaddr_in *address)
{
    socklen_t len = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uv_ip4_addr("127.0.0.1", 0, address);
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &len), 0);
    return fd;
}

static void on_connection(uv_stream_t *server, int status)
{
    struct rig *r = server->data;
    assert_int_equal(status, 0);
    assert_int_equal(milgi_uv_accept(r->uv, server, r->server, &events, &r->b, &r->b.stream), 0);
    uv_close((uv_handle_t *)server, NULL);
}

void tcp_server(struct rig *r, uv_tcp_t *tcp, struct sockaddr_in *address)
{
    uv_tcp_init(&r->loop, tcp);
    tcp->data = r;
    assert_int_equal(uv_tcp_open(tcp, listener(address)), 0);
    assert_int_equal(uv_listen((uv_stream_t *)tcp, 8, on_connection), 0);
}

int raw_client(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    return fd;
}

/* --- running ------------------------------------------------------------------------------------------------------*/

void slow_reader(struct rig *r, uint64_t credit)
{
    milgi_config_unref(r->client);
    r->client = configs_begin(MILGI_CLIENT, NULL, r->root);
    assert_int_equal(milgi_config_set_limit(r->client, MILGI_LIMIT_CREDIT, credit), 0);
    assert_int_equal(milgi_config_set_limit(r->client, MILGI_LIMIT_INPUT, credit), 0);
    configs_freeze(r->client);
    r->a.keep_credit = true;
}

void turns(struct rig *r, unsigned n)
{
    while (n--)
        uv_run(&r->loop, UV_RUN_NOWAIT);
}

void settle(struct rig *r, uint64_t ms)
{
    uint64_t end = uv_hrtime() + ms * 1000000;
    while (uv_hrtime() < end)
        uv_run(&r->loop, UV_RUN_NOWAIT);
}
