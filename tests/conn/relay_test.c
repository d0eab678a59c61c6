/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that connections share: a relay that withholds credit from PAUSE to on_room, whatever its peer does, and peers
 * that never read beside one that does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_identity.h"
#include "pair.h"

/* --- a relay, as conn.h has it ------------------------------------------------------------------------------------ */

static struct pair in, out; /* from in's client by in's server and out's client to out's server */
static size_t owed;

static void relay(struct pair_side *from, const struct milgi_slice *slices, size_t n)
{
    struct milgi_conn *to = out.side[MILGI_CLIENT].conn;
    int rv = 0;
    for (size_t i = 0; i < n; i++) {
        struct milgi_slice slice;
        owed += slices[i].len;
        assert_int_equal(milgi_slice_keep(&slices[i], &slice), 0);
        rv = milgi_conn_send(to, slice);
        assert_true(rv == 0 || rv == MILGI_PAUSE);
    }
    if (rv == 0) {
        milgi_conn_consumed(from->conn, owed);
        owed = 0;
    }
}

static void go_on(struct pair_side *side, const char *event)
{
    (void)side;
    if (strcmp(event, "room") != 0)
        return;
    milgi_conn_consumed(in.side[MILGI_SERVER].conn, owed);
    owed = 0;
}

static void begin(struct pair *pair, unsigned record, const char *device)
{
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
    assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_RECORD, record), 0);
    assert_int_equal(milgi_config_set_limit(s, MILGI_LIMIT_RECORD, record), 0);
    struct pair_setup setup = { .config = { fake_freeze(c), fake_freeze(s) },
        .device = { NULL, device },
        .server_name = "server.test",
        .seed = 11,
        .wall_s = FAKE_NOW_S };
    pair_init(pair, &setup);
    milgi_config_unref(c);
    milgi_config_unref(s);
    pair_settle(pair);
}

static void relay_with(unsigned record, size_t piece)
{
    static uint8_t data[20000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    owed = 0;
    begin(&in, record, "sim:latency=50us,depth=64,units=64"); /* a whole window on its way */
    begin(&out, record, NULL);
    in.side[MILGI_SERVER].on_data = relay;
    in.side[MILGI_SERVER].keep_credit = true;
    out.side[MILGI_CLIENT].on_event = go_on;
    struct milgi_conn *source = in.side[MILGI_CLIENT].conn;
    size_t sent = 0;
    for (unsigned round = 0; round < 400; round++) {
        if (round == 100)
            assert_int_equal(out.side[MILGI_SERVER].got.len, 0);
        for (unsigned i = 0; i < 20 && round < 100 && !milgi_conn_output_full(source); i++) {
            int rv = milgi_conn_write(source, data, piece);
            assert_true(rv == 0 || rv == MILGI_PAUSE);
            sent += piece;
        }
        pair_settle(&in);
        /* The peer behind the relay takes nothing for the first hundred rounds. */
        if (round < 100)
            (void)pair_run(&out.side[MILGI_CLIENT], NULL);
        else
            pair_settle(&out);
    }
    const struct pair_side *sink = &out.side[MILGI_SERVER];
    assert_false(out.side[MILGI_CLIENT].closed || in.side[MILGI_SERVER].closed);
    assert_true(sent > 256 * 1024);
    assert_int_equal(sink->got.len, sent);
    for (size_t i = 0; i < sent; i++)
        assert_int_equal(sink->got.p[i], (uint8_t)(i % piece * 7));
    pair_fini(&in);
    pair_fini(&out);
}

static void a_relay_that_withholds_credit_never_has_more_than_it_may_send(void **state)
{
    static const unsigned records[] = { 64, 700, 16384 };
    static const size_t pieces[] = { 600, 5000, 20000 };
    (void)state;
    for (unsigned r = 0; r < 3; r++) {
        for (unsigned p = 0; p < 3; p++)
            relay_with(records[r], pieces[p]);
    }
}

/* --- peers that never read ---------------------------------------------------------------------------------------- */

#define STUCK 80u

static void nothing_out(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    (void)conn;
    (void)arg;
    (void)iov;
    (void)iov_n;
}

static void many_that_never_read_leave_room_for_one_that_does(void **state)
{
    static const uint8_t data[4096];
    static const struct milgi_events events = { .on_output = nothing_out };
    struct milgi_conn *stuck[STUCK];
    struct milgi_engine_options options;
    struct milgi_config *c = fake_freeze(fake_config(MILGI_CLIENT, NULL));
    struct milgi_config *s = fake_freeze(fake_config(MILGI_SERVER, NULL));
    (void)state;
    milgi_engine_options_init(&options);
    options.memory_limit = 8 << 20; /* less than half of what they could have */
    struct pair_setup setup = { .config = { c, s },
        .options = &options,
        .server_name = "server.test",
        .seed = 12,
        .wall_s = FAKE_NOW_S };
    pair_init(&in, &setup);
    struct pair_side *server = &in.side[MILGI_SERVER], *client = &in.side[MILGI_CLIENT];
    for (unsigned i = 0; i < STUCK; i++) {
        assert_int_equal(milgi_conn_new(server->engine, s, NULL, &events, NULL, &stuck[i]), 0);
        int rv;
        size_t given = 0;
        while ((rv = milgi_conn_write(stuck[i], data, sizeof data)) == 0)
            given += sizeof data;
        assert_int_equal(rv, MILGI_PAUSE);
        assert_true(given + sizeof data >= 16384); /* what each has in any case */
    }
    pair_settle(&in);
    assert_true(server->established && client->established);
    for (unsigned i = 0; i < 500; i++) {
        int rv = milgi_conn_write(server->conn, data, sizeof data);
        assert_true(rv == 0 || rv == MILGI_PAUSE);
        pair_settle(&in);
    }
    assert_int_equal(client->got.len, 500 * sizeof data);
    for (unsigned i = 0; i < STUCK; i++)
        milgi_conn_free(stuck[i]);
    pair_fini(&in);
    milgi_config_unref(c);
    milgi_config_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_relay_that_withholds_credit_never_has_more_than_it_may_send),
        cmocka_unit_test(many_that_never_read_leave_room_for_one_that_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
