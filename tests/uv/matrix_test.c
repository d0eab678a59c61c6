/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On every kind of device: bytes both ways, many connections at once, slow ends, one direction before the other, ends
 * with ops in flight, a device that goes. MILGI_TESTS_FULL: 100 MB, and 1000 connections; see docs/testing.md.
 * ctest-timeout: 900
 */
#include "rig.h"

#include <sys/resource.h>

#define CROWD_MAX 1000u

static bool full;

static void begin(struct rig *r, const char *device)
{
    rig_open(r, device, NULL);
    if (full)
        uv_timer_stop(&r->limit); /* ctest's is enough */
    both(r);
    run_until(r, &r->a.opened);
    run_until(r, &r->b.opened);
}

static void sends(struct end *e, size_t len)
{
    e->send_len = len;
    e->shut_when_sent = true;
    send_more(e);
}

static void both_gone_in_order(struct rig *r)
{
    run(r);
    assert_true(r->a.gone && r->b.gone);
    assert_int_equal(r->a.reason.error, 0);
    assert_int_equal(r->b.reason.error, 0);
    rig_close(r);
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static void exchange(const char *device)
{
    struct rig r;
    size_t len = full ? 100u << 20 : 1u << 20;
    begin(&r, device);
    sends(&r.a, len);
    sends(&r.b, len);
    run(&r);
    assert_int_equal(r.a.got_len, len);
    assert_int_equal(r.b.got_len, len);
    both_gone_in_order(&r);
}

static void bytes_cross_both_ways(void **state)
{
    (void)state;
    on_each_device(exchange);
}

/* --- a crowd ------------------------------------------------------------------------------------------------------ */

static struct end clients[CROWD_MAX], servers[CROWD_MAX];
static unsigned served_n;

static void on_one_of_many(uv_stream_t *server, int status)
{
    struct rig *r = server->data;
    struct end *e = &servers[served_n++];
    assert_int_equal(status, 0);
    assert_int_equal(milgi_uv_accept(r->uv, server, r->server, &events, e, &e->stream), 0);
}

/* All of them are open before any sends. */
static void crowd(const char *device)
{
    struct rig r;
    uv_tcp_t tcp;
    struct sockaddr_in address;
    unsigned n = full ? CROWD_MAX : 40;
    memset(clients, 0, sizeof clients);
    memset(servers, 0, sizeof servers);
    served_n = 0;
    rig_open(&r, device, NULL);
    if (full)
        uv_timer_stop(&r.limit);
    uv_tcp_init(&r.loop, &tcp);
    tcp.data = &r;
    uv_ip4_addr("127.0.0.1", 0, &address);
    assert_int_equal(uv_tcp_bind(&tcp, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&tcp, (int)CROWD_MAX, on_one_of_many), 0);
    assert_int_equal(uv_tcp_getsockname(&tcp, (struct sockaddr *)&address, (int[]){ sizeof address }), 0);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(milgi_uv_connect(r.uv, (struct sockaddr *)&address, r.client, "uv.test", &events, &clients[i],
                             &clients[i].stream),
            0);
    }
    while (served_n < n)
        uv_run(&r.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tcp, NULL);
    for (unsigned i = 0; i < n; i++) {
        run_until(&r, &clients[i].opened);
        run_until(&r, &servers[i].opened);
    }
    assert_int_equal(milgi_uv_streams(r.uv), 2 * n);
    for (unsigned i = 0; i < n; i++) {
        sends(&clients[i], 20000);
        sends(&servers[i], 30000);
    }
    run(&r);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(clients[i].got_len, 30000);
        assert_int_equal(servers[i].got_len, 20000);
        assert_int_equal(clients[i].reason.error, 0);
        assert_int_equal(servers[i].reason.error, 0);
        assert_true(clients[i].gone && servers[i].gone);
    }
    rig_close(&r);
}

static void a_crowd_is_served_at_once(void **state)
{
    (void)state;
    on_each_device(crowd);
}

/* --- slow ends ---------------------------------------------------------------------------------------------------- */

static void to_slow_reader(const char *device)
{
    struct rig r;
    size_t len = full ? 32u << 20 : 2u << 20, taken = 0, step = full ? 70000 : 20000;
    begin(&r, device);
    r.b.keep_credit = true;
    sends(&r.a, len);
    while (taken < len) {
        uv_run(&r.loop, UV_RUN_NOWAIT);
        assert_false(r.late);
        size_t there = r.b.got_len - taken, some = there < step ? there : step;
        assert_true(there <= (256 + 64 + 64) << 10); /* the credit, and what was under way */
        if (some && r.b.stream)
            milgi_stream_consumed(r.b.stream, some);
        taken += some;
    }
    run_until(&r, &r.b.ended);
    sends(&r.b, 0);
    both_gone_in_order(&r);
}

static void a_slow_reader_is_waited_for(void **state)
{
    (void)state;
    on_each_device(to_slow_reader);
}

static void from_slow_writer(const char *device)
{
    struct rig r;
    size_t len = full ? 300000 : 10000;
    begin(&r, device);
    while (r.a.sent_len < len) {
        r.a.send_len += r.a.send_len + 100 < len ? 100 : len - r.a.send_len;
        send_more(&r.a);
        uv_run(&r.loop, UV_RUN_NOWAIT);
        assert_false(r.late);
    }
    sends(&r.a, len);
    run_until(&r, &r.b.ended);
    assert_int_equal(r.b.got_len, len);
    sends(&r.b, 0);
    both_gone_in_order(&r);
}

static void a_slow_writer_is_heard(void **state)
{
    (void)state;
    on_each_device(from_slow_writer);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static void half_close(const char *device)
{
    for (int client_first = 0; client_first < 2; client_first++) {
        struct rig r;
        begin(&r, device);
        struct end *first = client_first ? &r.a : &r.b, *second = client_first ? &r.b : &r.a;
        sends(first, 5000);
        run_until(&r, &second->ended);
        assert_int_equal(second->got_len, 5000);
        assert_false(first->ended || first->closed || second->closed);
        second->send_len = 300000;
        send_more(second);
        while (first->got_len < 300000)
            uv_run(&r.loop, UV_RUN_ONCE);
        assert_false(first->ended || first->closed);
        sends(second, 400000);
        run_until(&r, &first->ended);
        assert_int_equal(first->got_len, 400000);
        both_gone_in_order(&r);
    }
}

static void each_direction_may_end_first(void **state)
{
    (void)state;
    on_each_device(half_close);
}

/* By turns: dropped, reset, cut, the network under it, everything at once. */
static void end_suddenly(const char *device)
{
    for (unsigned when = 0; when < (full ? 300u : 14u); when += full ? 1 : 4) {
        struct rig r;
        int fd[2], network;
        rig_open(&r, device, NULL);
        r.a.send_len = r.b.send_len = 1u << 20;
        socket_pair(fd);
        network = dup(fd[0]);
        client_on(&r, fd[0]);
        server_on(&r, fd[1]);
        turns(&r, 2 * when);
        struct end *e = when & 1 ? &r.a : &r.b;
        struct milgi_stream *stream = e->stream;
        if (when % 5 < 3)
            e->stream = NULL;
        if (stream && when % 5 == 0)
            milgi_stream_drop(stream);
        else if (stream && when % 5 == 1)
            milgi_stream_reset(stream);
        else if (stream && when % 5 == 2)
            milgi_stream_cut(stream);
        else if (when % 5 == 3)
            shutdown(network, SHUT_RDWR);
        close(network);
        turns(&r, when % 3);
        rig_close(&r);
        assert_true(r.a.gone && r.b.gone);
    }
}

static void connections_end_suddenly_with_ops_in_flight(void **state)
{
    (void)state;
    on_each_device(end_suddenly);
}

/* --- a device that goes ------------------------------------------------------------------------------------------- */

static void without_device(const char *device)
{
    struct rig r;
    size_t len = full ? 8u << 20 : 1u << 20;
    if (!device)
        return;
    begin(&r, device);
    sends(&r.a, len);
    sends(&r.b, len);
    while (r.a.got_len < len / 4)
        uv_run(&r.loop, UV_RUN_ONCE);
    assert_int_equal(milgi_engine_remove_device(milgi_uv_engine(r.uv), 1, 0), 0);
    run(&r);
    assert_int_equal(r.a.got_len, len);
    assert_int_equal(r.b.got_len, len);
    both_gone_in_order(&r);
}

static void a_device_that_goes_takes_nothing_with_it(void **state)
{
    (void)state;
    on_each_device(without_device);
}

int main(void)
{
    struct rlimit limit;
    uv_loop_t first; /* makes what libuv keeps for the process */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_cross_both_ways),
        cmocka_unit_test(a_crowd_is_served_at_once),
        cmocka_unit_test(a_slow_reader_is_waited_for),
        cmocka_unit_test(a_slow_writer_is_heard),
        cmocka_unit_test(each_direction_may_end_first),
        cmocka_unit_test(connections_end_suddenly_with_ops_in_flight),
        cmocka_unit_test(a_device_that_goes_takes_nothing_with_it),
    };
    full = getenv("MILGI_TESTS_FULL") != NULL;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (uv_loop_init(&first) || uv_loop_close(&first))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
