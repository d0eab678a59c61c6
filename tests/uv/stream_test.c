/* SPDX-License-Identifier: Apache-2.0 */
/* Streams in a libuv loop: bytes both ways, backpressure, devices, connecting and accepting. */
#include <fcntl.h>

#include "rig.h"

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
    milgi_stream_consumed(r->b.stream, r->b.got_len);
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

/* Neither is its socket read, nor has it anything to write. */
static void a_stream_that_waits_for_its_application_keeps_the_loop_alive(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.a.send_len = 16u << 20;
    r.b.keep_credit = true;
    both(&r);
    run_until(&r, &r.b.opened);
    settle(&r, 50);
    milgi_stream_drop(r.a.stream);
    settle(&r, 50);
    assert_true(r.a.gone && !r.b.closed);
    assert_int_equal(milgi_uv_streams(r.uv), 1);
    assert_true(uv_loop_alive(&r.loop));
    milgi_stream_drop(r.b.stream);
    run(&r);
    rig_close(&r);
}

/* Not when the engine looks by itself, which it does every second. */
static void what_threads_have_done_wakes_the_loop(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, "pool:1", NULL);
    for (int i = 0; i < 40; i++) {
        r.a = r.b = (struct end){ 0 };
        both(&r);
        run_until(&r, &r.b.opened); /* 20 seconds for all of them */
        milgi_stream_drop(r.a.stream);
        milgi_stream_drop(r.b.stream);
        run(&r);
    }
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
    milgi_stream_close(more[0].stream);
    rig_close(&r);
    assert_true(r.a.gone && r.b.gone && more[0].gone && more[1].gone && more[2].gone && more[3].gone);
    assert_false(more[2].closed);
}

static void a_socket_that_was_not_taken_stays_the_callers(void **state)
{
    struct rig r;
    struct end more = { 0 };
    int fd[2];
    (void)state;
    rig_open(&r, NULL, NULL);
    socket_pair(fd);
    assert_int_equal(milgi_uv_open(r.uv, fd[0], r.client, "no..name", &events, &more, &more.stream), MILGI_EINVAL);
    assert_int_equal(milgi_uv_open(r.uv, -1, r.client, "uv.test", &events, &more, &more.stream), MILGI_ETRANSPORT);
    assert_null(more.stream);
    uv_run(&r.loop, UV_RUN_NOWAIT);
    assert_true(fcntl(fd[0], F_GETFD) >= 0);
    assert_int_equal(milgi_uv_streams(r.uv), 0);
    assert_false(uv_loop_alive(&r.loop));
    close(fd[0]);
    close(fd[1]);
    rig_close(&r);
    assert_false(more.closed || more.gone);
}

/* --- TCP ----------------------------------------------------------------------------------------------------------*/

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

static void an_address_that_cannot_be_is_told_from_the_loop(void **state)
{
    struct rig r;
    struct sockaddr_in nowhere;
    (void)state;
    rig_open(&r, NULL, NULL);
    uv_ip4_addr("255.255.255.255", 443, &nowhere);
    assert_int_equal(milgi_uv_connect(
                         r.uv, (struct sockaddr *)&nowhere, r.client, "uv.test", &events, &r.a, &r.a.stream),
        0);
    assert_false(r.a.closed);
    run(&r);
    assert_int_equal(r.a.reason.error, MILGI_ETRANSPORT);
    assert_int_equal(r.a.reason.device_code, ENETUNREACH);
    assert_true(r.a.gone && !r.a.opened);
    rig_close(&r);
}

/* --- little memory ------------------------------------------------------------------------------------------------ */

#define CROWD 100u
#define RECORD (5u + 16384u)

/* A whole record of the greatest length in which there is no message that there is, to each; by parts. */
static void parts_come(struct rig *r, const int peer[CROWD], const struct end *ends, size_t from, size_t to)
{
    static uint8_t record[RECORD] = { 22, 3, 1, 0x40, 0 };
    memset(record + 5, 255, sizeof record - 5);
    for (unsigned i = 0; i < CROWD; i++) {
        if (!ends[i].closed)
            assert_int_equal(send(peer[i], record + from, to - from, MSG_NOSIGNAL), to - from);
    }
    turns(r, 5);
}

/* Each has begun a record, and all of them hold all there is: none could be opened, and nothing be given back. */
static void those_who_hold_parts_of_records_do_not_wait_for_each_other(void **state)
{
    static struct end ends[CROWD];
    int peer[CROWD];
    struct rig r;
    (void)state;
    rig_open_with(&r, 256u << 10);
    memset(ends, 0, sizeof ends);
    for (unsigned i = 0; i < CROWD; i++) {
        int fd[2];
        socket_pair(fd);
        peer[i] = fd[1];
        assert_int_equal(milgi_uv_open(r.uv, fd[0], r.server, NULL, &events, &ends[i], &ends[i].stream), 0);
    }
    for (size_t at = 0; at < 12000; at += 4000)
        parts_come(&r, peer, ends, at, at + 4000);
    parts_come(&r, peer, ends, 12000, RECORD);
    for (unsigned i = 0; i < CROWD; i++) {
        run_until(&r, &ends[i].closed);
        assert_int_equal(ends[i].reason.alert, MILGI_ALERT_UNEXPECTED_MESSAGE);
        close(peer[i]);
    }
    run(&r);
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
        cmocka_unit_test(a_stream_that_waits_for_its_application_keeps_the_loop_alive),
        cmocka_unit_test(what_threads_have_done_wakes_the_loop),
        cmocka_unit_test(a_stream_that_is_closed_says_close_notify_behind_its_data),
        cmocka_unit_test(a_stream_that_is_dropped_is_a_cut_for_the_peer),
        cmocka_unit_test(the_adapter_stops_with_streams_in_every_state),
        cmocka_unit_test(a_socket_that_was_not_taken_stays_the_callers),
        cmocka_unit_test(streams_connect_and_are_accepted_over_tcp),
        cmocka_unit_test(a_refused_connection_is_told_with_its_errno),
        cmocka_unit_test(an_address_that_cannot_be_is_told_from_the_loop),
        cmocka_unit_test(those_who_hold_parts_of_records_do_not_wait_for_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
