/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On every kind of device: bytes both ways, many connections at once, slow ends, one direction before the other, ends
 * with ops in flight, a device that goes. MILGI_TESTS_FULL: 100 MB, and 1000 connections; see docs/testing.md.
 * ctest-timeout: 900 ctest-wrap: uv_run uv_stop
 */
#include "room.h"

#include <sys/resource.h>

static bool full;

/* A connection with which nothing has been done yet. */
static void begin(struct room *r, const char *device, struct end *client)
{
    room_open(r, device);
    connect_to(r, client);
    run_for(r, &client->opened);
    run_for(r, &r->served[0].opened);
}

static void both_gone_in_order(struct room *r, struct end *client)
{
    run_for(r, &client->gone);
    run_for(r, &r->served[0].gone);
    assert_int_equal(client->reason.error, 0);
    assert_int_equal(r->served[0].reason.error, 0);
    room_close(r);
}

static void sends(struct end *e, size_t len)
{
    e->send_len = len;
    e->shut_when_sent = true;
    send_more(e);
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static void exchange(const char *device)
{
    static struct room r;
    struct end client = { 0 };
    size_t len = full ? 100u << 20 : 1u << 20;
    begin(&r, device, &client);
    sends(&client, len);
    sends(&r.served[0], len);
    run_for_bytes(&r, &client, len);
    run_for_bytes(&r, &r.served[0], len);
    both_gone_in_order(&r, &client);
}

static void bytes_cross_both_ways(void **state)
{
    (void)state;
    on_each_device(exchange);
}

/* All of them are open before any sends. */
static void crowd(const char *device)
{
    static struct room r;
    static struct end clients[ROOM_MAX];
    unsigned n = full ? 1000 : 40;
    memset(clients, 0, sizeof clients);
    room_open(&r, device);
    for (unsigned i = 0; i < n; i++)
        connect_to(&r, &clients[i]);
    for (unsigned i = 0; i < n; i++)
        run_for(&r, &clients[i].opened);
    while (r.served_n < n)
        assert_true(milgi_uring_run(r.u, 20000) > 0);
    for (unsigned i = 0; i < n; i++)
        run_for(&r, &r.served[i].opened);
    assert_int_equal(milgi_uring_streams(r.u), 2 * n);
    for (unsigned i = 0; i < n; i++) {
        sends(&clients[i], 20000);
        sends(&r.served[i], 30000);
    }
    for (unsigned i = 0; i < n; i++) {
        run_for(&r, &clients[i].gone);
        run_for(&r, &r.served[i].gone);
        assert_int_equal(clients[i].got_len, 30000);
        assert_int_equal(r.served[i].got_len, 20000);
        assert_int_equal(clients[i].reason.error, 0);
        assert_int_equal(r.served[i].reason.error, 0);
    }
    room_close(&r);
}

static void a_crowd_is_served_at_once(void **state)
{
    (void)state;
    on_each_device(crowd);
}

/* --- slow ends ---------------------------------------------------------------------------------------------------- */

/* What the kernel holds in between has a bound of its own; what we do is seen at the reader's side. */
static void to_slow_reader(const char *device)
{
    static struct room r;
    struct end client = { 0 };
    size_t len = full ? 32u << 20 : 3u << 20, taken = 0, step = full ? 70000 : 10000;
    begin(&r, device, &client);
    r.served[0].keep_credit = true;
    sends(&client, len);
    while (taken < len) {
        assert_true(milgi_uring_run(r.u, 0) >= 0);
        size_t there = r.served[0].got_len - taken, some = there < step ? there : step;
        assert_true(there <= (256 + 64 + 64) << 10); /* the credit, and what was under way */
        if (some && r.served[0].stream)
            milgi_stream_consumed(r.served[0].stream, some);
        taken += some;
    }
    run_for(&r, &r.served[0].ended);
    sends(&r.served[0], 0);
    both_gone_in_order(&r, &client);
}

static void a_slow_reader_is_waited_for(void **state)
{
    (void)state;
    on_each_device(to_slow_reader);
}

static void from_slow_writer(const char *device)
{
    static struct room r;
    struct end client = { 0 };
    size_t len = full ? 300000 : 20000;
    begin(&r, device, &client);
    while (client.sent_len < len) {
        client.send_len += client.send_len + 100 < len ? 100 : len - client.send_len;
        send_more(&client);
        assert_true(milgi_uring_run(r.u, 0) >= 0);
    }
    sends(&client, len);
    run_for(&r, &r.served[0].ended);
    assert_int_equal(r.served[0].got_len, len);
    sends(&r.served[0], 0);
    both_gone_in_order(&r, &client);
}

static void a_slow_writer_is_heard(void **state)
{
    (void)state;
    on_each_device(from_slow_writer);
}

/* A few bytes of what one has sent to the other, and its end behind them. */
static void carry(const int fd[2], bool over[2], size_t most)
{
    char bytes[64];
    for (int i = 0; i < 2; i++) {
        ssize_t n = over[i] ? -1 : recv(fd[i], bytes, most, MSG_DONTWAIT);
        if (n > 0)
            assert_int_equal(send(fd[!i], bytes, (size_t)n, MSG_NOSIGNAL), n);
        if (n == 0 || (n < 0 && errno != EAGAIN && !over[i])) {
            over[i] = true;
            shutdown(fd[!i], SHUT_WR);
        }
    }
}

/* Records come in crumbs, from the first byte of the handshake on. */
static void over_slow_wire(const char *device)
{
    static struct room r;
    struct end client = { .send_len = 3000, .shut_when_sent = true };
    struct end server = { .send_len = 5000, .shut_when_sent = true };
    int one[2], other[2];
    bool over[2] = { false, false };
    unsigned turns = 0;
    room_open(&r, device);
    socket_pair(one);
    socket_pair(other);
    assert_int_equal(
        milgi_uring_open(r.u, one[0], r.client, "uring.test", &events, &client, &client.stream), 0);
    assert_int_equal(milgi_uring_open(r.u, other[0], r.server, NULL, &events, &server, &server.stream), 0);
    while (!client.gone || !server.gone) {
        carry((int[]){ one[1], other[1] }, over, 1 + turns++ % 41);
        assert_true(milgi_uring_run(r.u, 0) >= 0);
    }
    assert_int_equal(client.got_len, 5000);
    assert_int_equal(server.got_len, 3000);
    assert_int_equal(client.reason.error, 0);
    assert_int_equal(server.reason.error, 0);
    close(one[1]);
    close(other[1]);
    room_close(&r);
}

static void what_comes_in_crumbs_is_whole(void **state)
{
    (void)state;
    on_each_device(over_slow_wire);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static void half_close(const char *device)
{
    for (int client_first = 0; client_first < 2; client_first++) {
        static struct room r;
        struct end client = { 0 };
        begin(&r, device, &client);
        struct end *first = client_first ? &client : &r.served[0], *second = client_first ? &r.served[0] : &client;
        sends(first, 5000);
        run_for(&r, &second->ended);
        assert_int_equal(second->got_len, 5000);
        assert_false(first->ended || first->closed || second->closed);
        second->send_len = 300000;
        send_more(second);
        run_for_bytes(&r, first, 300000);
        assert_false(first->ended || first->closed);
        sends(second, 400000);
        run_for(&r, &first->ended);
        assert_int_equal(first->got_len, 400000);
        both_gone_in_order(&r, &client);
    }
}

static void each_direction_may_end_first(void **state)
{
    (void)state;
    on_each_device(half_close);
}

/* By turns: dropped, reset, cut, the other end of it, everything at once. */
static void end_suddenly(const char *device)
{
    for (unsigned when = 0; when < (full ? 300u : 14u); when += full ? 1 : 4) {
        static struct room r;
        struct end client = { .send_len = 1u << 20 };
        room_open(&r, device);
        connect_to(&r, &client);
        for (unsigned i = 0; i < 2 * when; i++) {
            assert_true(milgi_uring_run(r.u, i % 8 ? 0 : 1) >= 0);
            if (r.served[0].opened && !r.served[0].send_len)
                sends(&r.served[0], 1u << 20);
        }
        struct end *e = when & 1 ? &client : &r.served[0];
        struct milgi_stream *stream = e->stream;
        if (stream && when % 5 == 0)
            milgi_stream_drop(stream);
        else if (stream && when % 5 == 1)
            milgi_stream_reset(stream);
        else if (stream && when % 5 == 2)
            milgi_stream_cut(stream);
        else if (stream && when % 5 == 3)
            assert_int_equal(shutdown(milgi_uring_socket(stream), SHUT_RDWR), 0);
        e->stream = when % 5 < 3 ? NULL : stream;
        for (unsigned i = 0; i < when % 3; i++)
            assert_true(milgi_uring_run(r.u, 0) >= 0);
        room_close(&r);
        assert_true(client.gone);
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
    static struct room r;
    struct end client = { 0 };
    size_t len = full ? 8u << 20 : 1u << 20;
    if (!device)
        return;
    begin(&r, device, &client);
    sends(&client, len);
    sends(&r.served[0], len);
    run_for_bytes(&r, &client, 0);
    while (client.got_len < len / 4)
        assert_true(milgi_uring_run(r.u, 20000) > 0);
    assert_int_equal(milgi_engine_remove_device(milgi_uring_engine(r.u), 1, 0), 0);
    run_for_bytes(&r, &client, len);
    run_for_bytes(&r, &r.served[0], len);
    both_gone_in_order(&r, &client);
}

static void a_device_that_goes_takes_nothing_with_it(void **state)
{
    (void)state;
    on_each_device(without_device);
}

int main(void)
{
    struct rlimit limit;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_cross_both_ways),
        cmocka_unit_test(a_crowd_is_served_at_once),
        cmocka_unit_test(a_slow_reader_is_waited_for),
        cmocka_unit_test(a_slow_writer_is_heard),
        cmocka_unit_test(what_comes_in_crumbs_is_whole),
        cmocka_unit_test(each_direction_may_end_first),
        cmocka_unit_test(connections_end_suddenly_with_ops_in_flight),
        cmocka_unit_test(a_device_that_goes_takes_nothing_with_it),
    };
    full = getenv("MILGI_TESTS_FULL") != NULL;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
