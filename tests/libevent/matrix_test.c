/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On every kind of device: bytes both ways, many connections at once, slow ends, one direction before the other, ends
 * with ops in flight, a device that goes. MILGI_TESTS_FULL: 100 MB, and 1000 connections; see docs/testing.md.
 * ctest-timeout: 900
 */
#include "rig.h"

#include <fcntl.h>
#include <sys/resource.h>

static bool full;

/* Closing looks whether every descriptor is back. */
static void begin(struct rig *r, const char *device)
{
    rig_open(r, device, NULL);
    if (full)
        event_del(r->limit); /* ctest's is enough */
}

static void both_end_in_order(struct rig *r)
{
    run_until(r, &r->a.eof);
    run_until(r, &r->b.eof);
    run_until_streams(r, 0);
    assert_false(r->a.error || r->b.error);
    const struct milgi_reason *reason = milgi_bufferevent_reason(r->event, r->a.bev);
    assert_non_null(reason);
    assert_int_equal(reason->error, 0);
    rig_close(r);
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
    struct rig r;
    size_t len = full ? 100u << 20 : 1u << 20;
    begin(&r, device);
    both(&r);
    sends(&r.a, len);
    sends(&r.b, len);
    run_until(&r, &r.a.eof);
    run_until(&r, &r.b.eof);
    assert_int_equal(r.a.got_len, len);
    assert_int_equal(r.b.got_len, len);
    both_end_in_order(&r);
}

static void bytes_cross_both_ways(void **state)
{
    (void)state;
    on_each_device(exchange);
}

/* All of them are open before any sends. */
static void crowd(const char *device)
{
    struct rig r;
    size_t n = full ? 1000 : 20;
    begin(&r, device);
    struct end *ends = calloc(2 * n, sizeof *ends);
    assert_non_null(ends);
    for (size_t i = 0; i < 2 * n; i += 2) {
        int fd[2];
        struct bufferevent *client, *server;
        network(fd);
        assert_int_equal(milgi_bufferevent_new(r.event, fd[0], r.client, "event.test", 0, &client), 0);
        assert_int_equal(milgi_bufferevent_new(r.event, fd[1], r.server, NULL, 0, &server), 0);
        end_start(&r, &ends[i], client);
        end_start(&r, &ends[i + 1], server);
    }
    assert_int_equal(milgi_event_streams(r.event), 2 * n);
    for (size_t i = 0; i < 2 * n; i++)
        run_until(&r, &ends[i].connected);
    for (size_t i = 0; i < 2 * n; i++)
        sends(&ends[i], i % 2 ? 30000 : 20000);
    for (size_t i = 0; i < 2 * n; i++) {
        run_until(&r, &ends[i].eof);
        assert_int_equal(ends[i].got_len, i % 2 ? 20000 : 30000);
        assert_false(ends[i].error);
    }
    for (size_t i = 0; i < 2 * n; i++)
        end_free(&ends[i]);
    free(ends);
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
    size_t len = full ? 32u << 20 : 1u << 20;
    begin(&r, device);
    both(&r);
    sends(&r.a, len);
    bufferevent_setwatermark(r.b.bev, EV_READ, 0, full ? 70000 : 20000);
    while (!r.b.eof) {
        bufferevent_disable(r.b.bev, EV_READ);
        turns(&r, 2);
        /* With what the kernel holds of both pairs and the network. */
        assert_true(r.a.sent_len - r.b.got_len < 3u << 20);
        bufferevent_enable(r.b.bev, EV_READ);
        turns(&r, 1);
    }
    assert_int_equal(r.b.got_len, len);
    sends(&r.b, 0);
    both_end_in_order(&r);
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
    both(&r);
    while (r.a.sent_len < len) {
        r.a.send_len = r.a.sent_len + (len - r.a.sent_len < 100 ? len - r.a.sent_len : 100);
        send_more(&r.a);
        turns(&r, 1);
    }
    sends(&r.a, len);
    run_until(&r, &r.b.eof);
    assert_int_equal(r.b.got_len, len);
    sends(&r.b, 0);
    both_end_in_order(&r);
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
        both(&r);
        struct end *first = client_first ? &r.a : &r.b, *second = client_first ? &r.b : &r.a;
        sends(first, 5000);
        run_until(&r, &second->eof);
        assert_int_equal(second->got_len, 5000);
        assert_false(first->eof || first->error || second->error);
        second->send_len = 300000;
        send_more(second);
        run_until_got(&r, first, 300000);
        assert_false(first->eof || first->error);
        sends(second, 400000);
        run_until(&r, &first->eof);
        assert_int_equal(first->got_len, 400000);
        both_end_in_order(&r);
    }
}

static void each_direction_may_end_first(void **state)
{
    (void)state;
    on_each_device(half_close);
}

/* By turns: freed, cut, the network under it in one direction or both, everything at once. */
static void end_suddenly(const char *device)
{
    for (unsigned when = 0; when < (full ? 300u : 14u); when += full ? 1 : 4) {
        struct rig r;
        int fd[2], wire;
        begin(&r, device);
        r.a.send_len = r.b.send_len = 1u << 20;
        network(fd);
        wire = fcntl(fd[0], F_DUPFD_CLOEXEC, 0);
        client_on(&r, fd[0]);
        server_on(&r, fd[1]);
        turns(&r, 2 * when);
        struct end *e = when & 1 ? &r.a : &r.b;
        if (when % 5 == 0)
            end_free(e);
        else if (when % 5 == 1)
            (void)milgi_bufferevent_cut(r.event, e->bev); /* it may have failed already */
        else if (when % 5 < 4)
            shutdown(wire, when % 5 == 2 ? SHUT_RDWR : SHUT_WR);
        close(wire);
        turns(&r, when % 3);
        rig_close(&r);
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
    both(&r);
    sends(&r.a, len);
    sends(&r.b, len);
    run_until_got(&r, &r.a, len / 4);
    assert_int_equal(milgi_engine_remove_device(milgi_event_engine(r.event), 1, 0), 0);
    run_until(&r, &r.a.eof);
    run_until(&r, &r.b.eof);
    assert_int_equal(r.a.got_len, len);
    assert_int_equal(r.b.got_len, len);
    both_end_in_order(&r);
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
