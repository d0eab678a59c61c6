/* SPDX-License-Identifier: Apache-2.0 */
/* A reader that pulls: it gets everything, in order, when it asks; and it is told when all that was sent has gone. */
#include "rig.h"

static unsigned readables, drained, drained_early;
static bool reads_at_close;
static int answer_at_close;

static void on_readable(struct milgi_stream *stream, void *arg)
{
    (void)arg;
    readables++;
    assert_true(milgi_stream_unread(stream) > 0);
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    ((struct end *)arg)->ended = true;
}

static void on_drained(struct milgi_stream *stream, void *arg)
{
    (void)arg;
    drained++;
    drained_early += milgi_conn_output_pending(milgi_stream_conn(stream)) != 0 || !milgi_stream_flushed(stream);
}

static void on_room(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    send_more(arg);
}

static void check(struct end *e, const uint8_t *data, size_t len)
{
    assert_true(is_pattern(data, e->got_len, len));
    e->got_len += len;
}

/* At most |most| bytes, in pieces of |piece|; the last answer. */
static int pull(struct milgi_stream *stream, struct end *e, size_t piece, size_t most)
{
    uint8_t data[5000];
    size_t got = 1;
    int rv = 0;
    for (size_t n = 0; !rv && got && n < most; n += got) {
        size_t before = milgi_stream_unread(stream);
        rv = milgi_stream_read(stream, data, piece, &got);
        assert_int_equal(milgi_stream_unread(stream), before - got);
        assert_int_equal(got, rv ? 0 : before < piece ? before
                                                      : piece);
        check(e, data, got);
    }
    return rv;
}

static void on_close_reading(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    if (reads_at_close)
        answer_at_close = pull(stream, arg, 1000, SIZE_MAX);
    on_close(stream, arg, reason);
}

static const struct milgi_stream_events pulls = {
    .on_open = on_open,
    .on_readable = on_readable,
    .on_end = on_end,
    .on_room = on_room,
    .on_drained = on_drained,
    .on_close = on_close_reading,
    .on_gone = on_gone,
};

/* |a| sends, |b| pulls. */
static void pulling(struct rig *r)
{
    int fd[2];
    readables = drained = drained_early = 0;
    reads_at_close = false;
    answer_at_close = 1;
    socket_pair(fd);
    client_on(r, fd[0]);
    assert_int_equal(milgi_uv_open(r->uv, fd[1], r->server, NULL, &pulls, &r->b, &r->b.stream), 0);
}

static void until_it_stalls(struct rig *r)
{
    for (size_t before = 1, now = 0; now != before || !milgi_stream_unread(r->b.stream);) {
        before = now;
        turns(r, 50);
        now = r->a.sent_len + milgi_stream_unread(r->b.stream);
        assert_false(r->late);
    }
}

static void who_reads_late_gets_all_of_it_and_the_peer_waits_meanwhile(void **state)
{
    size_t got = 1, len;
    uint8_t byte;
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    pulling(&r);
    run_until(&r, &r.b.opened);
    assert_int_equal(milgi_stream_read(r.b.stream, &byte, 1, &got), MILGI_PAUSE);
    assert_int_equal(got, 0);
    assert_null(milgi_stream_peek(r.b.stream, &len));
    assert_int_equal(len, 0);
    r.a.send_len = 3000000;
    r.a.shut_when_sent = true;
    send_more(&r.a);
    until_it_stalls(&r);
    assert_true(r.a.sent_len < 3000000);
    assert_true(milgi_stream_unread(r.b.stream) <= 256 * 1024 + 16384);
    assert_int_equal(milgi_stream_read(r.b.stream, &byte, 0, &got), MILGI_EINVAL);
    assert_int_equal(*milgi_stream_peek(r.b.stream, &len), pattern(0));
    assert_in_range(len, 1, milgi_stream_unread(r.b.stream));
    assert_int_equal(milgi_stream_read(r.b.stream, NULL, 1, &got), 0); /* thrown away */
    r.b.got_len = 1;
    assert_int_equal(*milgi_stream_peek(r.b.stream, &len), pattern(1));
    unsigned round = 0;
    while (!r.b.ended && !r.late) {
        pull(r.b.stream, &r.b, 1 + round++ % 4999, 20000);
        turns(&r, 2);
    }
    assert_true(readables > 1);
    assert_true(r.b.got_len < 3000000); /* its end is known, and not reached */
    assert_int_equal(pull(r.b.stream, &r.b, 5000, SIZE_MAX), 0);
    assert_int_equal(r.b.got_len, 3000000);
    assert_int_equal(milgi_stream_shutdown(r.b.stream), 0);
    run(&r);
    assert_int_equal(r.a.reason.error, 0);
    assert_int_equal(r.b.reason.error, 0);
    rig_close(&r);
}

/* In many pieces, of which some are read before others come. */
static void who_reads_some_while_more_comes_gets_it_in_order(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    pulling(&r);
    run_until(&r, &r.b.opened);
    for (unsigned round = 0; round < 60; round++) {
        for (int i = 0; i < 3; i++) {
            r.a.send_len += 100;
            send_more(&r.a);
            while (milgi_stream_unread(r.b.stream) + r.b.got_len < r.a.send_len && !r.late)
                uv_run(&r.loop, UV_RUN_ONCE);
        }
        assert_int_equal(pull(r.b.stream, &r.b, 100, 200), 0);
    }
    pull(r.b.stream, &r.b, 100, SIZE_MAX);
    assert_int_equal(r.b.got_len, r.a.send_len);
    milgi_stream_close(r.a.stream);
    milgi_stream_close(r.b.stream);
    run(&r);
    rig_close(&r);
}

/* In whatever way it breaks off: what came is read, and behind it comes the reason. */
static void what_breaks_off_never_reads_as_an_end(void **state)
{
    static void (*const ways[])(struct milgi_stream * stream) = { milgi_stream_cut, milgi_stream_drop };
    static const int why[] = { MILGI_EALERT, MILGI_ETRUNCATED };
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct rig r;
        rig_open(&r, NULL, NULL);
        r.a.send_len = 100000;
        pulling(&r);
        reads_at_close = true;
        run_until(&r, &r.b.opened);
        until_it_stalls(&r);
        assert_int_equal(r.a.sent_len, 100000);
        struct milgi_stream *a = r.a.stream;
        r.a.stream = NULL;
        ways[i](a);
        run(&r);
        assert_int_equal(r.b.got_len, 100000);
        assert_int_equal(r.b.reason.error, why[i]);
        assert_int_equal(answer_at_close, why[i]);
        assert_false(r.b.ended);
        rig_close(&r);
    }
}

/* The other end has all in order; but who has thrown some of it away is not told that he has it. */
static void who_gives_up_has_nothing_to_read_any_more(void **state)
{
    static void (*const ways[])(struct milgi_stream * stream) = {
        milgi_stream_close, milgi_stream_cut, milgi_stream_drop
    };
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct rig r;
        uint8_t byte;
        size_t got;
        rig_open(&r, NULL, NULL);
        r.a.send_len = 100000;
        r.a.shut_when_sent = i == 0;
        pulling(&r);
        run_until(&r, &r.b.opened);
        until_it_stalls(&r);
        struct milgi_stream *b = r.b.stream;
        r.b.stream = NULL;
        ways[i](b);
        if (i < 2) {
            assert_int_equal(milgi_stream_unread(b), 0);
            assert_int_equal(milgi_stream_read(b, &byte, 1, &got), MILGI_ECLOSED);
        } /* else it goes with the stream */
        run(&r);
        assert_true(r.b.gone);
        rig_close(&r);
    }
}

static void what_waits_to_be_read_is_kept_without_memory_too(void **state)
{
    struct hoard h;
    struct rig r;
    (void)state;
    rig_open_with(&r, 2u << 20);
    r.a.shut_when_sent = true;
    r.a.send_len = 400000;
    pulling(&r);
    run_until(&r, &r.b.opened);
    for (unsigned round = 0; !r.b.ended && !r.b.closed && !r.late; round++) {
        hoard(&h, milgi_uv_engine(r.uv), 65536);
        turns(&r, 5);
        hoard_give_back(&h);
        turns(&r, 1);
        pull(r.b.stream, &r.b, 5000, 30000);
    }
    assert_false(r.b.closed);
    assert_int_equal(pull(r.b.stream, &r.b, 5000, SIZE_MAX), 0);
    assert_int_equal(r.b.got_len, 400000);
    milgi_stream_shutdown(r.b.stream);
    run(&r);
    rig_close(&r);
}

static void drained_is_told_when_the_network_has_it_all_and_not_before(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    slow_reader(&r, 65536);
    r.b.send_len = 3000000;
    r.b.shut_when_sent = true;
    pulling(&r);
    run_until(&r, &r.b.opened);
    assert_false(milgi_stream_flushed(r.b.stream)); /* it has just written */
    for (size_t before = 1; r.b.sent_len != before;) {
        before = r.b.sent_len;
        turns(&r, 50);
    }
    assert_true(r.b.sent_len < 3000000);
    assert_false(milgi_stream_flushed(r.b.stream));
    unsigned stalled = drained;
    while (r.b.stream && !milgi_stream_flushed(r.b.stream) && !r.late) {
        milgi_stream_consumed(r.a.stream, SIZE_MAX);
        turns(&r, 1);
    }
    assert_true(drained > stalled);
    assert_int_equal(drained_early, 0);
    r.a.keep_credit = false;
    milgi_stream_consumed(r.a.stream, SIZE_MAX);
    r.a.answers_end = true;
    if (r.a.ended)
        milgi_stream_shutdown(r.a.stream);
    run(&r);
    assert_int_equal(r.a.got_len, 3000000);
    assert_int_equal(r.b.reason.error, 0);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_reads_late_gets_all_of_it_and_the_peer_waits_meanwhile),
        cmocka_unit_test(who_reads_some_while_more_comes_gets_it_in_order),
        cmocka_unit_test(what_breaks_off_never_reads_as_an_end),
        cmocka_unit_test(who_gives_up_has_nothing_to_read_any_more),
        cmocka_unit_test(what_waits_to_be_read_is_kept_without_memory_too),
        cmocka_unit_test(drained_is_told_when_the_network_has_it_all_and_not_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
