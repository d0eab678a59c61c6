/* SPDX-License-Identifier: Apache-2.0 */
/* The libuv adapter: two streams of one loop over socket pairs and TCP, and peers without TLS that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "configs.h"
#include "milgi_uv.h"

struct end {
    struct milgi_uv_stream *stream;
    uint8_t *got;
    size_t got_len, sent_len, send_len; /* sends |send_len| bytes of a pattern */
    bool opened, ended, closed, gone, keep_credit, shut_when_sent, close_when_open, drop_when_open, answers_end;
    struct milgi_reason reason;
    unsigned rooms;
};

struct rig {
    uv_loop_t loop;
    struct milgi_uv *uv;
    struct milgi_device *device;
    struct identity *root, *leaf;
    struct milgi_config *server, *client;
    struct end a, b;
    uv_timer_t limit, later;
    void (*at_later)(struct rig *r);
    bool stopped, late;
};

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 31 + (at >> 9));
}

static void send_more(struct end *e)
{
    uint8_t block[5000];
    while (e->stream && e->sent_len < e->send_len) {
        size_t n = e->send_len - e->sent_len < sizeof block ? e->send_len - e->sent_len : sizeof block;
        for (size_t i = 0; i < n; i++)
            block[i] = pattern(e->sent_len + i);
        int rc = milgi_uv_write(e->stream, block, n);
        if (rc < 0)
            return;
        e->sent_len += n;
        if (rc == MILGI_PAUSE)
            return;
    }
    if (e->stream && e->shut_when_sent) {
        e->shut_when_sent = false;
        assert_int_equal(milgi_uv_shutdown(e->stream), 0);
    }
}

static void on_open(struct milgi_uv_stream *stream, void *arg)
{
    struct end *e = arg;
    e->opened = true;
    if (e->drop_when_open) {
        e->stream = NULL;
        milgi_uv_drop(stream);
        return;
    }
    send_more(e);
    if (e->close_when_open) {
        e->stream = NULL;
        milgi_uv_close(stream);
    }
}

static void on_data(struct milgi_uv_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct end *e = arg;
    for (size_t i = 0; i < slices_n; i++) {
        for (size_t k = 0; k < slices[i].len; k++)
            assert_int_equal(slices[i].data[k], pattern(e->got_len + k));
        e->got_len += slices[i].len;
        if (!e->keep_credit)
            milgi_uv_consumed(stream, slices[i].len);
    }
}

static void on_end(struct milgi_uv_stream *stream, void *arg)
{
    struct end *e = arg;
    e->ended = true;
    if (e->answers_end)
        assert_int_equal(milgi_uv_shutdown(stream), 0);
}

static void on_room(struct milgi_uv_stream *stream, void *arg)
{
    (void)stream;
    ((struct end *)arg)->rooms++;
    send_more(arg);
}

static void on_close(struct milgi_uv_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct end *e = arg;
    (void)stream;
    assert_false(e->closed);
    assert_non_null(reason->detail);
    e->closed = true;
    e->reason = *reason;
    e->stream = NULL;
}

static void on_gone(void *arg)
{
    struct end *e = arg;
    assert_false(e->gone);
    e->gone = true;
}

static const struct milgi_uv_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_close = on_close,
    .on_gone = on_gone,
};

/* --- the rig ------------------------------------------------------------------------------------------------------ */

static void on_limit(uv_timer_t *timer)
{
    struct rig *r = timer->data;
    r->late = true;
    uv_stop(&r->loop);
}

static void rig_open(struct rig *r, const char *device, const struct milgi_uv_options *options)
{
    *r = (struct rig){ 0 };
    assert_int_equal(uv_loop_init(&r->loop), 0);
    assert_int_equal(milgi_uv_new(&r->loop, options, &r->uv), 0);
    if (device) {
        assert_int_equal(milgi_device_new(device, &r->device, NULL), 0);
        int index = milgi_engine_add_device(milgi_uv_engine(r->uv), r->device);
        assert_true(index > 0);
        if (r->device->ops->chunk_alloc)
            assert_int_equal(milgi_engine_use_memory(milgi_uv_engine(r->uv), (unsigned)index), 0);
        assert_int_equal(milgi_engine_route(milgi_uv_engine(r->uv), r->device->caps.ops, (unsigned)index, 1), 0);
    }
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

static void on_stopped(void *arg)
{
    ((struct rig *)arg)->stopped = true;
}

static void rig_close(struct rig *r)
{
    milgi_uv_stop(r->uv, on_stopped, r);
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

static void socket_pair(int fd[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

static void client_on(struct rig *r, int fd)
{
    assert_int_equal(milgi_uv_open(r->uv, fd, r->client, "uv.test", &events, &r->a, &r->a.stream), 0);
}

static void server_on(struct rig *r, int fd)
{
    assert_int_equal(milgi_uv_open(r->uv, fd, r->server, NULL, &events, &r->b, &r->b.stream), 0);
}

static void both(struct rig *r)
{
    int fd[2];
    socket_pair(fd);
    client_on(r, fd[0]);
    server_on(r, fd[1]);
}

/* Until every stream is gone; the adapter alone keeps the loop alive. */
static void run(struct rig *r)
{
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_false(r->late);
    assert_int_equal(milgi_uv_streams(r->uv), 0);
}

static void run_until(struct rig *r, const bool *what)
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

static void later(struct rig *r, uint64_t ms, void (*what)(struct rig *r))
{
    r->at_later = what;
    uv_timer_start(&r->later, on_later, ms, 0);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void exchange(const char *device)
{
    struct rig r;
    rig_open(&r, device, NULL);
    r.a.send_len = 1000000;
    r.b.send_len = 1500000;
    r.a.shut_when_sent = r.b.shut_when_sent = true;
    both(&r);
    run(&r);
    assert_int_equal(r.a.got_len, 1500000);
    assert_int_equal(r.b.got_len, 1000000);
    assert_true(r.a.ended && r.b.ended && r.a.gone && r.b.gone);
    assert_int_equal(r.a.reason.error, 0);
    assert_int_equal(r.b.reason.error, 0);
    rig_close(&r);
}

static void bytes_cross_in_both_directions_and_both_ends_are_in_order(void **state)
{
    (void)state;
    exchange(NULL);
}

/* What is read lies in the device's memory, or the device would refuse it; also when there is hardly enough. */
static void bytes_are_read_straight_into_the_memory_of_a_device(void **state)
{
    (void)state;
    static const char *const devices[] = { "sim:latency=20us,units=8,memory=own", "sim:latency=20us,memory=own:2m" };
    for (unsigned i = 0; i < 2; i++) {
        struct rig r;
        struct milgi_engine_stats stats;
        rig_open(&r, devices[i], NULL);
        r.a.send_len = r.b.send_len = 3000000;
        r.a.shut_when_sent = r.b.shut_when_sent = true;
        both(&r);
        run(&r);
        assert_int_equal(r.a.got_len, 3000000);
        assert_int_equal(r.b.got_len, 3000000);
        milgi_engine_stats(milgi_uv_engine(r.uv), &stats);
        assert_true(stats.device[1].submitted[MILGI_OP_OPEN] >= 2 * 3000000 / 16384);
        assert_int_equal(stats.device[1].broken, 0);
        assert_int_equal(stats.device[0].submitted[MILGI_OP_OPEN], 0);
        rig_close(&r);
    }
}

static void bytes_cross_with_a_device_of_threads(void **state)
{
    (void)state;
    exchange("pool:2");
}

static void bytes_cross_with_a_device_that_reorders(void **state)
{
    (void)state;
    exchange("sim:latency=300us,units=4,depth=64,order=out");
}

static void one_direction_may_end_long_before_the_other(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.a.shut_when_sent = true;
    r.b.send_len = 300000;
    both(&r);
    run_until(&r, &r.b.ended);
    assert_false(r.a.closed || r.b.closed);
    r.b.send_len = 600000;
    r.b.shut_when_sent = true;
    send_more(&r.b);
    run(&r);
    assert_int_equal(r.a.got_len, 600000);
    assert_int_equal(r.a.reason.error, 0);
    rig_close(&r);
}

static void give_credit(struct rig *r)
{
    assert_true(r->a.sent_len < 4u << 20);
    assert_true(r->b.got_len <= 512u << 10);
    r->b.keep_credit = false;
    milgi_uv_consumed(r->b.stream, r->b.got_len);
}

static void a_receiver_without_credit_stops_the_sender(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.a.send_len = 16u << 20;
    r.a.shut_when_sent = true;
    r.b.keep_credit = true;
    r.b.answers_end = true;
    both(&r);
    later(&r, 300, give_credit);
    run(&r);
    assert_int_equal(r.b.got_len, 16u << 20);
    assert_true(r.a.rooms > 0);
    assert_int_equal(r.b.reason.error, 0);
    rig_close(&r);
}

static void a_stream_that_is_closed_says_close_notify_behind_its_data(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.a.send_len = 200000;
    r.a.close_when_open = true;
    r.b.answers_end = true;
    both(&r);
    run(&r);
    assert_int_equal(r.b.got_len, 200000);
    assert_true(r.b.ended);
    assert_int_equal(r.b.reason.error, 0);
    assert_false(r.a.closed);
    assert_true(r.a.gone);
    rig_close(&r);
}

static void a_stream_that_is_dropped_is_a_cut_for_the_peer(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.a.drop_when_open = true;
    both(&r);
    run(&r);
    assert_true(r.a.gone && !r.a.closed);
    assert_true(r.b.closed && r.b.reason.error != 0);
    rig_close(&r);
}

static void the_adapter_stops_with_streams_in_every_state(void **state)
{
    struct rig r;
    struct end more[4] = { 0 };
    int fd[2];
    (void)state;
    rig_open(&r, "pool:1", NULL);
    r.a.send_len = 1u << 20;
    r.b.keep_credit = true;
    both(&r);
    run_until(&r, &r.b.opened);
    for (int i = 0; i < 4; i += 2) {
        socket_pair(fd);
        assert_int_equal(milgi_uv_open(r.uv, fd[0], r.client, "uv.test", &events, &more[i], &more[i].stream), 0);
        assert_int_equal(milgi_uv_open(r.uv, fd[1], r.server, NULL, &events, &more[i + 1], &more[i + 1].stream), 0);
        uv_run(&r.loop, UV_RUN_NOWAIT);
    }
    milgi_uv_close(more[0].stream);
    rig_close(&r);
    assert_true(r.a.gone && r.b.gone && more[0].gone && more[1].gone && more[2].gone && more[3].gone);
    assert_false(more[2].closed);
}

/* --- TCP, with a peer that goes on sending ---------------------------------------------------------------------- */

static int listener(struct sockaddr_in *address)
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

static void tcp_server(struct rig *r, uv_tcp_t *tcp, struct sockaddr_in *address)
{
    uv_tcp_init(&r->loop, tcp);
    tcp->data = r;
    assert_int_equal(uv_tcp_open(tcp, listener(address)), 0);
    assert_int_equal(uv_listen((uv_stream_t *)tcp, 8, on_connection), 0);
}

static void streams_connect_and_are_accepted_over_tcp(void **state)
{
    struct rig r;
    uv_tcp_t tcp;
    struct sockaddr_in address;
    (void)state;
    rig_open(&r, NULL, NULL);
    tcp_server(&r, &tcp, &address);
    r.a.send_len = 100000;
    r.a.shut_when_sent = true;
    r.b.answers_end = true;
    assert_int_equal(milgi_uv_connect(
                         r.uv, (struct sockaddr *)&address, r.client, "uv.test", &events, &r.a, &r.a.stream),
        0);
    run(&r);
    assert_int_equal(r.b.got_len, 100000);
    assert_int_equal(r.a.reason.error, 0);
    assert_true(r.a.gone && r.b.gone);
    rig_close(&r);
}

static void a_refused_connection_is_told_with_its_errno(void **state)
{
    struct rig r;
    struct sockaddr_in address;
    (void)state;
    rig_open(&r, NULL, NULL);
    close(listener(&address));
    assert_int_equal(milgi_uv_connect(
                         r.uv, (struct sockaddr *)&address, r.client, "uv.test", &events, &r.a, &r.a.stream),
        0);
    run(&r);
    assert_int_equal(r.a.reason.error, MILGI_ETRANSPORT);
    assert_int_equal(r.a.reason.device_code, ECONNREFUSED);
    assert_true(r.a.gone && !r.a.opened);
    rig_close(&r);
}

static int raw_client(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    return fd;
}

static void a_fatal_alert_reaches_a_peer_that_goes_on_sending(void **state)
{
    static uint8_t bad[30000] = { 22, 3, 1, 0, 4, 0xff, 0, 0, 0 };
    struct rig r;
    uv_tcp_t tcp;
    struct sockaddr_in address;
    uint8_t got[64];
    (void)state;
    rig_open(&r, NULL, NULL);
    tcp_server(&r, &tcp, &address);
    int fd = raw_client(&address);
    assert_int_equal(send(fd, bad, sizeof bad, 0), sizeof bad);
    run_until(&r, &r.b.closed);
    assert_int_equal(r.b.reason.error, MILGI_EPROTO);
    assert_int_equal(send(fd, bad, sizeof bad, MSG_NOSIGNAL), sizeof bad);
    for (int i = 0; i < 20; i++)
        uv_run(&r.loop, UV_RUN_NOWAIT);
    assert_int_equal(recv(fd, got, sizeof got, MSG_WAITALL), 7); /* and then its end, not a reset */
    assert_int_equal(got[0], 21);
    assert_int_equal(got[5], 2);
    assert_false(r.b.gone);
    close(fd);
    run(&r);
    assert_true(r.b.gone);
    rig_close(&r);
}

static void a_peer_that_never_ends_is_not_waited_for(void **state)
{
    static uint8_t bad[5000] = { 22, 3, 1, 0, 4, 0xff, 0, 0, 0 };
    struct milgi_uv_options options;
    struct rig r;
    uv_tcp_t tcp;
    struct sockaddr_in address;
    (void)state;
    milgi_uv_options_init(&options);
    options.linger_ms = 100;
    for (int many = 0; many < 2; many++) {
        options.linger_bytes = many ? 1000 : 1000000;
        rig_open(&r, NULL, &options);
        tcp_server(&r, &tcp, &address);
        int fd = raw_client(&address);
        uint64_t begin = uv_hrtime();
        assert_true(send(fd, bad, 100, 0) == 100);
        run_until(&r, &r.b.closed);
        assert_true(send(fd, bad, many ? 5000 : 100, 0) > 0);
        run(&r);
        assert_true(r.b.gone);
        assert_true(uv_hrtime() - begin >= 90000000);
        close(fd);
        rig_close(&r);
    }
}

static void give_credit_at_last(struct rig *r)
{
    r->a.keep_credit = false;
    if (r->a.stream)
        milgi_uv_consumed(r->a.stream, r->a.got_len);
}

/* It takes nothing for 400 ms after TLS has ended on the sender's side, several times as long as a peer lingers. */
static void a_slow_peer_gets_all_that_was_sent_before_the_end(void **state)
{
    struct milgi_uv_options options;
    struct rig r;
    (void)state;
    milgi_uv_options_init(&options);
    options.linger_ms = 50;
    for (int patient = 0; patient < 2; patient++) {
        options.flush_ms = patient ? 10000 : 100;
        rig_open(&r, NULL, &options);
        r.a.shut_when_sent = r.a.keep_credit = true;
        r.b.send_len = 480000;
        both(&r);
        run_until(&r, &r.b.ended);
        while (r.b.sent_len < 480000 && !r.late)
            uv_run(&r.loop, UV_RUN_ONCE);
        assert_int_equal(milgi_uv_shutdown(r.b.stream), 0);
        run_until(&r, &r.b.closed);
        assert_int_equal(r.b.reason.error, 0);
        assert_true(r.a.got_len < 480000);
        later(&r, 400, give_credit_at_last);
        run(&r);
        if (patient) {
            assert_int_equal(r.a.got_len, 480000);
            assert_int_equal(r.a.reason.error, 0);
        } else {
            assert_int_not_equal(r.a.reason.error, 0);
        }
        rig_close(&r);
    }
}

static void give_a_little_credit(struct rig *r)
{
    size_t little = 2000;
    if (!r->a.stream)
        return;
    milgi_uv_consumed(r->a.stream, little);
    later(r, 20, give_a_little_credit);
}

/* It always takes some: that keeps it alive for longer than flush_ms, but not for longer than flush_total_ms. */
static void a_peer_that_takes_a_little_now_and_then_is_not_waited_for_without_end(void **state)
{
    struct milgi_uv_options options;
    struct rig r;
    int fd[2], small = 4096;
    (void)state;
    milgi_uv_options_init(&options);
    options.linger_ms = 50;
    options.flush_ms = 1500;
    for (int patient = 0; patient < 2; patient++) {
        options.flush_total_ms = patient ? 19000 : 300;
        rig_open(&r, NULL, &options);
        r.a.shut_when_sent = r.a.keep_credit = true;
        r.b.send_len = 480000;
        socket_pair(fd);
        assert_int_equal(setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
        client_on(&r, fd[0]);
        server_on(&r, fd[1]);
        run_until(&r, &r.b.ended);
        while (r.b.sent_len < 480000 && !r.late)
            uv_run(&r.loop, UV_RUN_ONCE);
        assert_int_equal(milgi_uv_shutdown(r.b.stream), 0);
        later(&r, 20, give_a_little_credit);
        run(&r);
        assert_true(r.b.gone);
        assert_int_equal(r.a.got_len == 480000 && r.a.reason.error == 0, patient);
        rig_close(&r);
    }
}

static void a_cut_without_close_notify_is_told(void **state)
{
    struct rig r;
    int fd[2];
    (void)state;
    rig_open(&r, NULL, NULL);
    socket_pair(fd);
    client_on(&r, fd[0]);
    uv_run(&r.loop, UV_RUN_NOWAIT);
    close(fd[1]);
    run(&r);
    assert_true(r.a.closed);
    assert_int_equal(r.a.reason.cls, MILGI_CLASS_IO);
    rig_close(&r);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void streams_wait_for_chunks_and_go_on(void **state)
{
    struct milgi_uv_options options;
    struct milgi_chunk *chunk[64];
    unsigned n = 0;
    struct rig r;
    (void)state;
    milgi_uv_options_init(&options);
    options.engine.memory_limit = 2u << 20;
    rig_open(&r, NULL, &options);
    r.a.shut_when_sent = true;
    r.b.shut_when_sent = true;
    r.a.send_len = 400000;
    both(&r);
    while (n < 64 && (chunk[n] = milgi_chunk_new(milgi_uv_engine(r.uv), 65536)) != NULL)
        n++;
    assert_in_range(n, 1, 63);
    for (int i = 0; i < 50; i++)
        uv_run(&r.loop, UV_RUN_NOWAIT);
    while (n)
        milgi_chunk_unref(chunk[--n]);
    run(&r);
    assert_int_equal(r.b.got_len, 400000);
    assert_int_equal(r.b.reason.error, 0);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_cross_in_both_directions_and_both_ends_are_in_order),
        cmocka_unit_test(bytes_are_read_straight_into_the_memory_of_a_device),
        cmocka_unit_test(bytes_cross_with_a_device_of_threads),
        cmocka_unit_test(bytes_cross_with_a_device_that_reorders),
        cmocka_unit_test(one_direction_may_end_long_before_the_other),
        cmocka_unit_test(a_receiver_without_credit_stops_the_sender),
        cmocka_unit_test(a_stream_that_is_closed_says_close_notify_behind_its_data),
        cmocka_unit_test(a_stream_that_is_dropped_is_a_cut_for_the_peer),
        cmocka_unit_test(the_adapter_stops_with_streams_in_every_state),
        cmocka_unit_test(streams_connect_and_are_accepted_over_tcp),
        cmocka_unit_test(a_refused_connection_is_told_with_its_errno),
        cmocka_unit_test(a_fatal_alert_reaches_a_peer_that_goes_on_sending),
        cmocka_unit_test(a_peer_that_never_ends_is_not_waited_for),
        cmocka_unit_test(a_slow_peer_gets_all_that_was_sent_before_the_end),
        cmocka_unit_test(a_peer_that_takes_a_little_now_and_then_is_not_waited_for_without_end),
        cmocka_unit_test(a_cut_without_close_notify_is_told),
        cmocka_unit_test(streams_wait_for_chunks_and_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
