/* SPDX-License-Identifier: Apache-2.0 */
/* How a stream ends: in order, cut, reset, by itself; and what the peer gets to know of it. */
#include "loop.h"
#include "rig.h"

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
    struct milgi_stream_options options;
    struct rig r;
    uv_tcp_t tcp;
    struct sockaddr_in address;
    (void)state;
    milgi_stream_options_init(&options);
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
        milgi_stream_consumed(r->a.stream, r->a.got_len);
}

/* It takes nothing for 400 ms after TLS has ended on the sender's side, several times as long as a peer lingers. */
static void a_slow_peer_gets_all_that_was_sent_before_the_end(void **state)
{
    struct milgi_stream_options options;
    struct rig r;
    (void)state;
    milgi_stream_options_init(&options);
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
        assert_int_equal(milgi_stream_shutdown(r.b.stream), 0);
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
    milgi_stream_consumed(r->a.stream, little);
    later(r, 20, give_a_little_credit);
}

/* It always takes some: that keeps it alive for longer than flush_ms, but not for longer than flush_total_ms. */
static void a_peer_that_takes_a_little_now_and_then_is_not_waited_for_without_end(void **state)
{
    struct milgi_stream_options options;
    struct rig r;
    int fd[2], small = 4096;
    (void)state;
    milgi_stream_options_init(&options);
    options.linger_ms = 50;
    options.flush_ms = 6000;
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
        assert_int_equal(milgi_stream_shutdown(r.b.stream), 0);
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

/*= RFC8446 6.1: "The client and the server must share knowledge that the connection is ending in order to avoid a
 *= truncation attack." Whatever was sent, framed or not, and whether an end was already asked for. */
static void a_stream_that_is_cut_never_looks_like_one_that_ended(void **state)
{
    (void)state;
    for (int asked = 0; asked < 2; asked++)
        for (int stalled = 0; stalled < 2; stalled++) {
            struct rig r;
            rig_open(&r, NULL, NULL);
            r.b.send_len = 480000;
            r.b.shut_when_sent = asked;
            if (stalled)
                slow_reader(&r, 16384);
            both(&r);
            run_until(&r, &r.b.opened);
            struct milgi_stream *stream = r.b.stream;
            r.b.stream = NULL;
            milgi_stream_cut(stream);
            turns(&r, 20);
            r.a.keep_credit = false;
            if (r.a.stream)
                milgi_stream_consumed(r.a.stream, SIZE_MAX);
            run(&r);
            assert_true(r.b.gone && !r.b.closed);
            assert_true(r.a.closed && !r.a.ended);
            assert_int_equal(r.a.reason.error, MILGI_EALERT);
            assert_int_equal(r.a.reason.alert, MILGI_ALERT_INTERNAL_ERROR);
            assert_true(r.a.got_len < 480000);
            rig_close(&r);
        }
}

/* Nobody reads at the other end: no alert gets there, but neither does the stream stay. */
static void a_stream_whose_peer_never_reads_ends_all_the_same(void **state)
{
    struct milgi_stream_options options;
    struct rig r;
    (void)state;
    milgi_stream_options_init(&options);
    options.linger_ms = 100;
    for (int cut = 0; cut < 2; cut++) {
        options.flush_ms = cut ? 60000 : 300; /* which is for an end in order */
        rig_open(&r, NULL, &options);
        r.b.send_len = 480000;
        slow_reader(&r, 16384);
        both(&r);
        run_until(&r, &r.b.opened);
        settle(&r, 20);
        struct milgi_stream *stream = r.b.stream;
        r.b.stream = NULL;
        if (cut)
            milgi_stream_cut(stream);
        else
            milgi_stream_close(stream);
        run_until(&r, &r.b.gone);
        assert_false(r.a.ended);
        milgi_stream_drop(r.a.stream);
        run(&r);
        rig_close(&r);
    }
}

/* It is read at the pace of the application's credit, which comes long after the peer has gone. */
static void what_the_peer_said_before_it_went_is_delivered_though_sending_fails(void **state)
{
    struct milgi_stream_options options;
    struct rig r;
    uint8_t byte = 1;
    (void)state;
    milgi_stream_options_init(&options);
    options.linger_ms = 100;
    rig_open(&r, NULL, &options);
    r.a.send_len = 380000;
    r.a.shut_when_sent = true;
    r.b.keep_credit = true;
    both(&r);
    run_until(&r, &r.a.opened);
    while (!r.late && (r.a.sent_len < 380000 || milgi_conn_output_pending(milgi_stream_conn(r.a.stream))))
        uv_run(&r.loop, UV_RUN_ONCE);
    assert_false(r.late);
    milgi_stream_drop(r.a.stream);
    run_until(&r, &r.a.gone);
    for (int i = 0; i < 10; i++) {
        assert_true(milgi_stream_write(r.b.stream, &byte, 1) >= 0);
        settle(&r, 30);
        assert_false(r.b.closed || r.b.ended);
    }
    while (!r.b.closed && !r.late) {
        milgi_stream_consumed(r.b.stream, 20000);
        settle(&r, 5);
    }
    run(&r);
    assert_int_equal(r.b.got_len, 380000);
    assert_true(r.b.ended);
    assert_int_equal(r.b.reason.error, MILGI_ETRANSPORT);
    rig_close(&r);
}

/* What the peer had sent is more than is read for nothing. */
static void close_when_the_peer_has_gone(bool knows)
{
    struct milgi_stream_options options;
    struct rig r;
    milgi_stream_options_init(&options);
    options.linger_ms = 100;
    options.linger_bytes = 1000;
    rig_open(&r, NULL, &options);
    r.a.send_len = 380000;
    r.b.keep_credit = true;
    both(&r);
    run_until(&r, &r.a.opened);
    while (!r.late && (r.a.sent_len < 380000 || milgi_conn_output_pending(milgi_stream_conn(r.a.stream))))
        uv_run(&r.loop, UV_RUN_ONCE);
    milgi_stream_drop(r.a.stream);
    run_until(&r, &r.a.gone);
    if (knows)
        assert_int_equal(milgi_stream_write(r.b.stream, "", 1), 0);
    while (knows && !r.late && !r.b.stream->error)
        uv_run(&r.loop, UV_RUN_ONCE);
    milgi_stream_close(r.b.stream);
    run(&r);
    assert_true(r.b.gone && !r.b.closed);
    rig_close(&r);
}

static void a_stream_that_is_closed_when_its_peer_has_gone_does_not_wait_for_it(void **state)
{
    (void)state;
    close_when_the_peer_has_gone(false);
    close_when_the_peer_has_gone(true); /* sending has failed before */
}

/* The peer has ended in order, and then its host has no more of the connection. */
static void a_peer_that_goes_away_after_its_end_is_told(void **state)
{
    struct rig r;
    uint8_t byte = 1;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.a.shut_when_sent = true;
    both(&r);
    run_until(&r, &r.b.ended);
    milgi_stream_drop(r.a.stream);
    assert_int_equal(milgi_stream_write(r.b.stream, &byte, 1), 0);
    run(&r);
    assert_int_equal(r.b.reason.error, MILGI_ETRANSPORT);
    rig_close(&r);
}

static void only_a_stream_that_is_reset_takes_back_what_was_sent(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct rig r;
        uv_tcp_t tcp;
        struct sockaddr_in address;
        rig_open(&r, NULL, NULL);
        tcp_server(&r, &tcp, &address);
        assert_int_equal(milgi_uv_connect(
                             r.uv, (struct sockaddr *)&address, r.client, "uv.test", &events, &r.a, &r.a.stream),
            0);
        run_until(&r, &r.b.opened);
        settle(&r, 20);
        if (reset)
            milgi_stream_reset(r.b.stream);
        else
            milgi_stream_drop(r.b.stream);
        run(&r);
        assert_true(r.b.gone && !r.b.closed);
        assert_int_equal(r.a.reason.error, reset ? MILGI_ETRANSPORT : MILGI_ETRUNCATED);
        assert_int_equal(r.a.reason.device_code, reset ? ECONNRESET : 0);
        rig_close(&r);
    }
}

/* All that there is lies in the kernel's buffer: only the kernel knows that the peer's host takes some of it. */
static void a_connection_whose_peer_reads_slowly_is_not_idle(void **state)
{
    struct rig r;
    static char some[48000]; /* more than the kernel keeps in one piece */
    int fd[2];
    (void)state;
    rig_open(&r, NULL, NULL);
    socket_pair(fd);
    int wire = dup(fd[0]);
    client_on(&r, fd[0]);
    server_on(&r, fd[1]);
    run_until(&r, &r.b.opened);
    settle(&r, 20);
    r.a.stream->loop->hooks->read(r.a.stream, false);
    r.b.send_len = 150000;
    send_more(&r.b);
    settle(&r, 50);
    milgi_stream_idle_ms(r.b.stream);
    assert_int_equal(milgi_conn_output_pending(milgi_stream_conn(r.b.stream)), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(recv(wire, some, sizeof some, MSG_DONTWAIT), sizeof some);
        assert_true(milgi_stream_idle_ms(r.b.stream) < 30);
        settle(&r, 40);
    }
    settle(&r, 70);
    assert_true(milgi_stream_idle_ms(r.b.stream) >= 100);
    close(wire);
    rig_close(&r);
}

/* It sends more than is read and thrown away, and all the same it can read the alert and the end behind it. */
static void a_fatal_alert_reaches_a_peer_that_sends_without_end(void **state)
{
    static uint8_t much[1 << 20] = { 22, 3, 1, 0, 4, 0xff, 0, 0, 0 };
    struct milgi_stream_options options;
    struct rig r;
    uv_tcp_t tcp;
    struct sockaddr_in address;
    uint8_t got[64];
    (void)state;
    milgi_stream_options_init(&options);
    options.linger_bytes = 10000;
    options.linger_ms = 3000;
    rig_open(&r, NULL, &options);
    tcp_server(&r, &tcp, &address);
    int fd = raw_client(&address);
    assert_true(send(fd, much, 100, 0) == 100);
    run_until(&r, &r.b.closed);
    for (int i = 0; i < 20; i++) {
        assert_true(send(fd, much, sizeof much, MSG_NOSIGNAL | MSG_DONTWAIT) > 0 || errno == EAGAIN);
        settle(&r, 5);
    }
    assert_int_equal(recv(fd, got, sizeof got, MSG_WAITALL), 7);
    assert_int_equal(got[5], 2);
    assert_int_equal(recv(fd, got, sizeof got, 0), 0);
    assert_false(r.b.gone);
    run(&r);
    close(fd);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fatal_alert_reaches_a_peer_that_goes_on_sending),
        cmocka_unit_test(a_peer_that_never_ends_is_not_waited_for),
        cmocka_unit_test(a_slow_peer_gets_all_that_was_sent_before_the_end),
        cmocka_unit_test(a_peer_that_takes_a_little_now_and_then_is_not_waited_for_without_end),
        cmocka_unit_test(a_cut_without_close_notify_is_told),
        cmocka_unit_test(a_stream_that_is_cut_never_looks_like_one_that_ended),
        cmocka_unit_test(a_stream_whose_peer_never_reads_ends_all_the_same),
        cmocka_unit_test(what_the_peer_said_before_it_went_is_delivered_though_sending_fails),
        cmocka_unit_test(a_stream_that_is_closed_when_its_peer_has_gone_does_not_wait_for_it),
        cmocka_unit_test(a_peer_that_goes_away_after_its_end_is_told),
        cmocka_unit_test(only_a_stream_that_is_reset_takes_back_what_was_sent),
        cmocka_unit_test(a_connection_whose_peer_reads_slowly_is_not_idle),
        cmocka_unit_test(a_fatal_alert_reaches_a_peer_that_sends_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
