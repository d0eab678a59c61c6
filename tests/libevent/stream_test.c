/* SPDX-License-Identifier: Apache-2.0 */
/* Bufferevents over Milgi: bytes both ways, on every kind of device, to slow ends; half-close; many at once. */
#include "rig.h"

static void exchange(const char *device, size_t len)
{
    struct rig r;
    rig_open(&r, device, NULL);
    r.a.send_len = len;
    r.b.send_len = len / 2 + 1;
    r.a.shut_when_sent = r.b.shut_when_sent = true;
    both(&r);
    run_until(&r, &r.a.eof);
    run_until(&r, &r.b.eof);
    assert_int_equal(r.a.got_len, len / 2 + 1);
    assert_int_equal(r.b.got_len, len);
    assert_true(r.a.connected && r.b.connected);
    assert_false(r.a.error || r.b.error);
    run_until_streams(&r, 0);
    const struct milgi_reason *reason = milgi_bufferevent_reason(r.event, r.a.bev);
    assert_non_null(reason);
    assert_int_equal(reason->error, 0);
    rig_close(&r);
}

static void bytes_cross_in_both_directions_and_both_ends_are_in_order(void **state)
{
    (void)state;
    exchange(NULL, 1000000);
}

static void bytes_cross_with_a_device_of_threads(void **state)
{
    (void)state;
    exchange("pool:2", 1000000);
}

static void bytes_cross_with_a_device_that_waits_for_a_batch(void **state)
{
    struct milgi_device *device;
    (void)state;
    if (milgi_device_new("batch", &device, NULL)) {
        print_message("no batch device here\n");
        skip();
    }
    milgi_device_free(device);
    exchange("batch", 1000000);
}

static void bytes_cross_with_a_device_that_reorders_and_refuses(void **state)
{
    (void)state;
    exchange("chaos:seed=7,refuse=0.2,max_delay=100us,reorder=0.5", 500000);
}

static void all_that_is_echoed_comes_back(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.a.send_len = 8 << 20;
    r.a.shut_when_sent = r.b.echoes = true;
    both(&r);
    run_until(&r, &r.b.eof);
    assert_int_equal(milgi_bufferevent_shutdown(r.event, r.b.bev), 0);
    run_until(&r, &r.a.eof);
    assert_int_equal(r.a.got_len, r.a.send_len);
    rig_close(&r);
}

/* What is not read stops the sender, at a bound that does not depend on how much there is. */
static void a_reader_that_does_not_read_stops_the_sender(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.b.send_len = 8 << 20;
    r.b.shut_when_sent = true;
    both(&r);
    bufferevent_setwatermark(r.a.bev, EV_READ, 0, 10000);
    run_until_got(&r, &r.a, 1);
    bufferevent_disable(r.a.bev, EV_READ);
    for (size_t last = 0; last != r.b.sent_len;) {
        last = r.b.sent_len;
        turns(&r, 200);
    }
    assert_true(r.b.sent_len < 3 << 20);
    assert_true(evbuffer_get_length(bufferevent_get_output(r.b.bev)) > 0);
    bufferevent_enable(r.a.bev, EV_READ);
    run_until(&r, &r.a.eof);
    assert_int_equal(r.a.got_len, 8 << 20);
    rig_close(&r);
}

static void a_writer_that_waits_for_the_handshake_loses_nothing(void **state)
{
    struct rig r;
    int fd[2];
    (void)state;
    rig_open(&r, NULL, NULL);
    socket_pair(fd);
    r.a.send_len = 1000;
    r.a.shut_when_sent = true;
    client_on(&r, fd[0]);
    turns(&r, 20);
    end_free(&r.a); /* in order, since it has all been taken */
    turns(&r, 20);
    assert_int_equal(milgi_event_streams(r.event), 1);
    server_on(&r, fd[1]);
    run_until(&r, &r.b.eof);
    assert_int_equal(r.b.got_len, 1000);
    assert_false(r.b.error);
    rig_close(&r);
}

static void one_direction_may_end_long_before_the_other(void **state)
{
    struct rig r;
    (void)state;
    for (int client_first = 0; client_first < 2; client_first++) {
        rig_open(&r, NULL, NULL);
        struct end *first = client_first ? &r.a : &r.b, *second = client_first ? &r.b : &r.a;
        first->shut_when_sent = true;
        both(&r);
        run_until(&r, &second->eof);
        assert_false(first->eof || first->error);
        second->send_len = 600000;
        send_more(second);
        run_until_got(&r, first, 600000);
        assert_int_equal(milgi_bufferevent_shutdown(r.event, second->bev), 0);
        run_until(&r, &first->eof);
        run_until_streams(&r, 0);
        assert_false(r.a.error || r.b.error);
        assert_int_equal(milgi_bufferevent_shutdown(r.event, first->bev), MILGI_ECLOSED);
        rig_close(&r);
    }
}

/* Nobody writes behind the end: that is told, and nothing of it is sent. */
static void what_is_written_behind_the_end_is_refused(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.a.shut_when_sent = true;
    both(&r);
    run_until(&r, &r.b.eof);
    assert_int_equal(bufferevent_write(r.a.bev, "x", 1), 0);
    run_until(&r, &r.a.error);
    assert_int_equal(r.a.what, BEV_EVENT_ERROR | BEV_EVENT_WRITING);
    assert_int_equal(r.b.got_len, 0);
    rig_close(&r);
}

static void what_is_written_behind_an_end_that_still_waits_is_refused_too(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.a.send_len = 1000;
    r.a.shut_when_sent = true;
    both(&r);
    assert_int_equal(bufferevent_write(r.a.bev, "x", 1), 0);
    run_until(&r, &r.b.eof);
    run_until(&r, &r.a.error);
    assert_int_equal(r.a.what, BEV_EVENT_ERROR | BEV_EVENT_WRITING);
    assert_int_equal(r.b.got_len, 1000);
    end_free(&r.a);
    turns(&r, 20);
    assert_false(r.b.error);
    rig_close(&r);
}

static void a_cut_is_told_though_something_was_refused_before(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.a.shut_when_sent = true;
    both(&r);
    assert_int_equal(bufferevent_write(r.a.bev, "x", 1), 0);
    run_until(&r, &r.b.eof);
    run_until(&r, &r.a.error);
    r.a.error = false;
    assert_int_equal(milgi_bufferevent_cut(r.event, r.b.bev), 0);
    run_until(&r, &r.a.error);
    assert_int_equal(r.a.what, BEV_EVENT_ERROR | BEV_EVENT_READING);
    assert_int_equal(r.a.reason.error, MILGI_EALERT);
    rig_close(&r);
}

static void what_the_application_waits_for_is_limited_by_its_timeouts(void **state)
{
    struct timeval soon = { 0, 50000 }, never = { 1000, 0 };
    (void)state;
    for (int writing = 0; writing < 2; writing++) {
        struct rig r;
        rig_open(&r, NULL, NULL);
        r.a.send_len = writing ? 8 << 20 : 0;
        both(&r);
        bufferevent_disable(r.b.bev, EV_READ);
        run_until(&r, &r.a.connected);
        bufferevent_set_timeouts(r.a.bev, writing ? &never : &soon, writing ? &soon : &never);
        run_until(&r, &r.a.timed_out);
        assert_int_equal(r.a.what, BEV_EVENT_TIMEOUT | (writing ? BEV_EVENT_WRITING : BEV_EVENT_READING));
        rig_close(&r);
    }
}

static void many_connections_share_a_base(void **state)
{
    struct rig r;
    size_t n = 100;
    (void)state;
    rig_open(&r, "pool:2", NULL);
    struct end *ends = calloc(2 * n, sizeof *ends);
    assert_non_null(ends);
    for (size_t i = 0; i < n; i++) {
        int fd[2];
        struct bufferevent *client, *server;
        socket_pair(fd);
        assert_int_equal(milgi_bufferevent_new(r.event, fd[0], r.client, "event.test", 0, &client), 0);
        assert_int_equal(milgi_bufferevent_new(r.event, fd[1], r.server, NULL, 0, &server), 0);
        ends[2 * i] = (struct end){ .send_len = 20000, .shut_when_sent = true, .frees_at_eof = true };
        ends[2 * i + 1] = (struct end){ .echoes = true, .frees_at_eof = true };
        end_start(&r, &ends[2 * i], client);
        end_start(&r, &ends[2 * i + 1], server);
    }
    assert_int_equal(milgi_event_streams(r.event), 2 * n);
    for (size_t i = 0; i < n; i++)
        run_until(&r, &ends[2 * i].eof);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ends[2 * i].got_len, 20000);
    run_until_streams(&r, 0);
    free(ends);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_cross_in_both_directions_and_both_ends_are_in_order),
        cmocka_unit_test(bytes_cross_with_a_device_of_threads),
        cmocka_unit_test(bytes_cross_with_a_device_that_waits_for_a_batch),
        cmocka_unit_test(bytes_cross_with_a_device_that_reorders_and_refuses),
        cmocka_unit_test(all_that_is_echoed_comes_back),
        cmocka_unit_test(a_reader_that_does_not_read_stops_the_sender),
        cmocka_unit_test(a_writer_that_waits_for_the_handshake_loses_nothing),
        cmocka_unit_test(one_direction_may_end_long_before_the_other),
        cmocka_unit_test(what_is_written_behind_the_end_is_refused),
        cmocka_unit_test(what_is_written_behind_an_end_that_still_waits_is_refused_too),
        cmocka_unit_test(a_cut_is_told_though_something_was_refused_before),
        cmocka_unit_test(what_the_application_waits_for_is_limited_by_its_timeouts),
        cmocka_unit_test(many_connections_share_a_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
