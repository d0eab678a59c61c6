/* SPDX-License-Identifier: Apache-2.0 */
/* Passing on what comes without losing any of it, and waiting for memory. */
#include "rig.h"

/* --- passing on --------------------------------------------------------------------------------------------------- */

static void echo_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    (void)arg;
    milgi_stream_forward(stream, stream, slices, slices_n);
}

static void echo_end(struct milgi_stream *stream, void *arg)
{
    ((struct end *)arg)->ended = true;
    assert_int_equal(milgi_stream_shutdown(stream), 0);
}

static const struct milgi_stream_events echo_events = {
    .on_open = on_open,
    .on_data = echo_data,
    .on_end = echo_end,
    .on_close = on_close,
    .on_gone = on_gone,
};

static void echoing(struct rig *r)
{
    int fd[2];
    socket_pair(fd);
    client_on(r, fd[0]);
    assert_int_equal(milgi_uv_open(r->uv, fd[1], r->server, NULL, &echo_events, &r->b, &r->b.stream), 0);
}

/* The client reads nothing until its sending has come to a stop, and then in small pieces. */
static void nothing_is_lost_when_a_stream_is_forwarded_to_a_slow_reader(void **state)
{
    (void)state;
    for (int tight = 0; tight < 2; tight++) {
        struct rig r;
        rig_open(&r, NULL, NULL);
        if (tight) {
            milgi_config_unref(r.server);
            r.server = configs_begin(MILGI_SERVER, r.leaf, NULL);
            assert_int_equal(milgi_config_set_limit(r.server, MILGI_LIMIT_OUTPUT, 16384), 0);
            configs_freeze(r.server);
        }
        r.a.send_len = 6000000;
        r.a.shut_when_sent = r.a.keep_credit = true;
        echoing(&r);
        run_until(&r, &r.a.opened);
        settle(&r, 100);
        assert_true(r.a.sent_len < 6000000);
        while (!r.a.closed && !r.late) {
            milgi_stream_consumed(r.a.stream, 50000);
            turns(&r, 3);
        }
        run(&r);
        assert_int_equal(r.a.got_len, 6000000);
        assert_int_equal(r.a.reason.error, 0);
        assert_int_equal(r.b.reason.error, 0);
        rig_close(&r);
    }
}

static void forwarding_waits_for_chunks_and_goes_on(void **state)
{
    struct hoard h;
    struct rig r;
    (void)state;
    rig_open_with(&r, 2u << 20);
    r.a.shut_when_sent = true;
    r.a.send_len = 400000;
    echoing(&r);
    run_until(&r, &r.b.opened);
    for (unsigned round = 0; round < 20 && !r.a.closed; round++) {
        hoard(&h, milgi_uv_engine(r.uv), 65536);
        turns(&r, 20);
        hoard_give_back(&h);
        turns(&r, 1);
    }
    run(&r);
    assert_int_equal(r.a.got_len, 400000);
    assert_int_equal(r.a.reason.error, 0);
    rig_close(&r);
}

/* |arg|'s stream is where it goes to. */
static void pass_on(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    milgi_stream_forward(stream, ((struct end *)arg)->passes_to, slices, slices_n);
}

static const struct milgi_stream_events passing_events = {
    .on_open = on_open,
    .on_data = pass_on,
    .on_close = on_close,
    .on_gone = on_gone,
};

/* From |a|'s peer, |more[0]|, to |more[1]|, whose peer, |b|, takes nothing. */
static void the_ends_of_forwarding_may_go_in_any_order(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        struct rig r;
        struct end more[2] = { { .stream = NULL } };
        int fd[2];
        rig_open(&r, NULL, NULL);
        r.a.send_len = 6000000;
        r.b.keep_credit = true;
        socket_pair(fd);
        client_on(&r, fd[0]);
        struct end *from = &more[0], *to = &more[1];
        assert_int_equal(milgi_uv_open(r.uv, fd[1], r.server, NULL, &passing_events, from, &from->stream), 0);
        socket_pair(fd);
        assert_int_equal(milgi_uv_open(r.uv, fd[0], r.client, "uv.test", &passing_events, to, &to->stream), 0);
        server_on(&r, fd[1]);
        more[0].passes_to = more[1].stream;
        run_until(&r, &r.b.opened);
        settle(&r, 100);
        assert_true(r.a.sent_len < 6000000);
        struct milgi_stream *streams[2] = { more[0].stream, more[1].stream };
        for (int i = 0; i < 2; i++) {
            int at = i ^ first;
            if (at == 1)
                more[0].passes_to = NULL;
            if (!more[at].closed)
                milgi_stream_drop(streams[at]);
            settle(&r, 50);
        }
        if (!r.b.closed)
            milgi_stream_drop(r.b.stream); /* it takes nothing, not even the end */
        run(&r);
        assert_true(more[0].gone && more[1].gone && r.a.closed);
        rig_close(&r);
    }
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

static void streams_wait_for_chunks_and_go_on(void **state)
{
    struct hoard h;
    struct rig r;
    (void)state;
    rig_open_with(&r, 2u << 20);
    r.a.shut_when_sent = true;
    r.b.shut_when_sent = true;
    r.a.send_len = 400000;
    both(&r);
    hoard(&h, milgi_uv_engine(r.uv), 65536);
    assert_in_range(h.n, 1, 63);
    for (int i = 0; i < 50; i++)
        uv_run(&r.loop, UV_RUN_NOWAIT);
    hoard_give_back(&h);
    run(&r);
    assert_int_equal(r.b.got_len, 400000);
    assert_int_equal(r.b.reason.error, 0);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_when_a_stream_is_forwarded_to_a_slow_reader),
        cmocka_unit_test(forwarding_waits_for_chunks_and_goes_on),
        cmocka_unit_test(the_ends_of_forwarding_may_go_in_any_order),
        cmocka_unit_test(streams_wait_for_chunks_and_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
