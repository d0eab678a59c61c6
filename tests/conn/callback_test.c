/* SPDX-License-Identifier: Apache-2.0 */
/* When callbacks come and what may be done inside them; when the host is asked for a turn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.h"
#include "engine/parts.h"
#include "fake_identity.h"
#include "pair.h"

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];

static void begin(struct milgi_config *c, struct milgi_config *s, const char *device)
{
    struct pair_setup setup = { .config = { fake_freeze(c), fake_freeze(s) },
        .device = { device, device },
        .server_name = "server.test",
        .seed = 31,
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    milgi_config_unref(c);
    milgi_config_unref(s);
}

static struct milgi_config *config(enum milgi_role role, bool ask)
{
    static const char *const protocols[] = { "h2" };
    struct milgi_config *c = fake_config(role, NULL);
    assert_int_equal(milgi_config_set_alpn(c, protocols, 1), 0);
    assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_CREDIT, 16384), 0);
    assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_OUTPUT, 65536), 0);
    assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_INPUT, 34000), 0);
    assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_WINDOW, 2), 0);
    if (ask)
        assert_int_equal(milgi_config_set_ask(c, role == MILGI_SERVER ? MILGI_DECIDE_ALPN : MILGI_DECIDE_PEER), 0);
    return c;
}

/* A conversation in which every event comes on both sides. Ends early when one of them is gone. */
static void converse(bool garbage)
{
    static const uint8_t data[110000], bad[64] = { 23, 3, 3, 0, 59 };
    for (int role = 0; role < 2; role++)
        pair.side[role].keep_credit = true;
    for (unsigned round = 0; round < 8; round++) {
        pair_settle(&pair);
        for (int role = 0; role < 2; role++) {
            struct pair_side *side = &pair.side[role];
            for (; side->decisions_n; side->decisions_n--)
                (void)milgi_decide(side->engine, side->decision[side->decisions_n - 1], MILGI_DEFAULT, NULL);
            if (side->conn && round == 2)
                (void)!milgi_conn_write(side->conn, data, sizeof data);
            if (side->conn && round == 3) { /* more than it wants at once */
                (void)pair_feed(pair_other(side), side->wire.p, side->wire.len);
                pair_bytes_drop(&side->wire, side->wire.len);
            }
            if (side->conn && round >= 4) {
                side->keep_credit = false;
                milgi_conn_consumed(side->conn, SIZE_MAX);
            }
            if (side->conn && round == 6 && garbage)
                (void)pair_feed(side, bad, sizeof bad);
            if (side->conn && round == 6 && !garbage)
                (void)milgi_conn_shutdown(side->conn);
        }
    }
    pair_settle(&pair);
}

/* --- freeing ------------------------------------------------------------------------------------------------------ */

static const char *const names[] = { "output", "data", "pause", "resume", "room", "established", "decide", "alert",
    "closed" };
static const char *free_at;
static struct pair_side *free_who;
static unsigned countdown, seen, after;

static void count_or_free(struct pair_side *side, const char *event)
{
    if (side != free_who)
        return;
    after += !side->conn;
    if (strcmp(event, free_at) != 0)
        return;
    seen++;
    if (countdown-- == 0) {
        milgi_conn_free(side->conn);
        side->conn = NULL;
    }
}

/* Frees at the nth such event; false: there were not so many. */
static bool free_at_event(int role, unsigned nth, const char *device, bool garbage)
{
    struct milgi_engine_stats stats;
    begin(config(MILGI_CLIENT, true), config(MILGI_SERVER, true), device);
    free_who = &pair.side[role];
    client->on_event = server->on_event = count_or_free;
    countdown = nth;
    seen = after = 0;
    converse(garbage);
    bool freed = !free_who->conn;
    assert_int_equal(after, 0);
    if (freed) {
        milgi_engine_stats(free_who->engine, &stats);
        assert_int_equal(stats.conns, 0);
        assert_int_equal(stats.ops_alive, 0);
        assert_int_equal(stats.memory, 0);
    }
    pair_fini(&pair);
    return freed;
}

static void a_connection_may_be_freed_from_every_callback_and_none_follows(void **state)
{
    static const char *const devices[] = { NULL, "sim:latency=20us,depth=4", "chaos:seed=9" };
    (void)state;
    for (size_t d = 0; d < sizeof devices / sizeof devices[0]; d++) {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            for (int role = 0; role < 2; role++) {
                unsigned n = 0;
                free_at = names[i];
                for (int garbage = 0; garbage < 2; garbage++) {
                    for (unsigned nth = 0; nth < 4 && free_at_event(role, nth, devices[d], garbage); nth++)
                        n++;
                }
                if (n == 0)
                    fail_msg("%s never came to side %d, device %u", names[i], role, (unsigned)d);
            }
        }
    }
}

/* --- every call from every callback ------------------------------------------------------------------------------- */

static void call_shutdown(struct milgi_conn *conn)
{
    (void)milgi_conn_shutdown(conn);
}

static void call_abort(struct milgi_conn *conn)
{
    (void)milgi_conn_abort(conn, MILGI_ALERT_INTERNAL_ERROR);
}

static void call_cancel(struct milgi_conn *conn)
{
    (void)milgi_conn_abort(conn, MILGI_ALERT_USER_CANCELED);
}

static void call_update(struct milgi_conn *conn)
{
    (void)milgi_conn_update_keys(conn, true);
}

static void call_write(struct milgi_conn *conn)
{
    static const uint8_t data[20000];
    (void)!milgi_conn_write(conn, data, sizeof data);
    (void)!milgi_conn_write(conn, data, 1);
}

static void call_send(struct milgi_conn *conn)
{
    struct milgi_chunk *chunk = milgi_conn_chunk(conn, 3000);
    struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), 3000 };
    memset(slice.data, 0, slice.len);
    int rv = milgi_conn_send(conn, slice);
    if (rv != 0 && rv != MILGI_PAUSE)
        milgi_chunk_unref(chunk);
}

static void call_receive(struct milgi_conn *conn)
{
    struct milgi_chunk *chunk = milgi_conn_chunk(conn, 64);
    struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), 64 };
    memset(slice.data, 0xff, slice.len);
    (void)milgi_conn_receive(conn, slice);
}

static void call_eof(struct milgi_conn *conn)
{
    (void)milgi_conn_receive_eof(conn, 0);
}

static void call_consumed(struct milgi_conn *conn)
{
    milgi_conn_consumed(conn, SIZE_MAX);
}

static void call_export(struct milgi_conn *conn)
{
    uint8_t out[16];
    (void)!milgi_conn_export(conn, "label", NULL, 0, out, sizeof out);
}

static void (*const calls[])(struct milgi_conn *conn) = { milgi_conn_free, call_shutdown, call_abort, call_cancel,
    call_update, call_write, call_send, call_receive, call_eof, call_consumed, call_export };

static const char *call_at;
static void (*call)(struct milgi_conn *conn);

static void do_call(struct pair_side *side)
{
    if (!side->conn || seen++ >= 3)
        return;
    struct milgi_conn *conn = side->conn;
    if (call == milgi_conn_free)
        side->conn = NULL;
    call(conn);
}

static void call_at_event(struct pair_side *side, const char *event)
{
    if (side == free_who && strcmp(event, call_at) == 0)
        do_call(side);
}

static size_t padding(void *ctx, size_t content_len)
{
    (void)ctx;
    assert_true(content_len > 0);
    assert_true(!free_who->conn || free_who->established); /* handshake records are not its */
    if (strcmp(call_at, "padding") == 0)
        do_call(free_who);
    return 100;
}

static void call_from(int role, const char *event, size_t which, const char *device)
{
    struct milgi_config *c[2] = { config(MILGI_CLIENT, true), config(MILGI_SERVER, true) };
    assert_int_equal(milgi_config_set_padding(c[role], padding, NULL), 0);
    call_at = event;
    call = calls[which];
    seen = 0;
    begin(c[0], c[1], device);
    free_who = &pair.side[role];
    client->on_event = server->on_event = call_at_event;
    converse(false);
    if (seen == 0)
        fail_msg("%s never came to side %d", event, role);
    /* What was begun ends, too. */
    for (int i = 0; i < 2; i++) {
        if (pair.side[i].conn)
            (void)milgi_conn_receive_eof(pair.side[i].conn, 0);
    }
    pair_settle(&pair);
    for (int i = 0; i < 2; i++)
        assert_true(pair.side[i].closed || !pair.side[i].conn);
    pair_fini(&pair);
}

static void every_call_may_be_made_from_every_callback(void **state)
{
    static const char *const devices[] = { NULL, "sim:latency=20us,depth=4" };
    (void)state;
    for (size_t which = 0; which < sizeof calls / sizeof calls[0]; which++) {
        for (size_t d = 0; d < sizeof devices / sizeof devices[0]; d++) {
            for (int role = 0; role < 2; role++) {
                for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                    call_from(role, names[i], which, devices[d]);
                call_from(role, "padding", which, devices[d]);
            }
        }
    }
}

/* --- output ------------------------------------------------------------------------------------------------------- */

static void output_comes_once_per_turn(void **state)
{
    static const uint8_t data[60000];
    static const char *const devices[] = { NULL, "sim:latency=1us,depth=256,units=64", "chaos:seed=4" };
    (void)state;
    for (size_t d = 0; d < sizeof devices / sizeof devices[0]; d++) {
        struct milgi_config *c = fake_config(MILGI_CLIENT, NULL);
        assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_RECORD, 64), 0);
        assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_WINDOW, 64), 0);
        begin(c, fake_config(MILGI_SERVER, NULL), devices[d]);
        bool written = false;
        for (unsigned turn = 0; turn < 20000 && server->got.len < sizeof data; turn++) {
            for (int role = 0; role < 2; role++) {
                struct pair_side *side = &pair.side[role];
                unsigned before = side->outputs;
                uint64_t deadline;
                pair_run(side, &deadline);
                assert_true(side->outputs - before <= 1);
                pair_carry(side, 0);
            }
            pair.now_ns += 5000;
            if (client->established && !written) {
                written = true;
                for (size_t at = 0; at < sizeof data; at += 600)
                    assert_int_equal(milgi_conn_write(client->conn, data + at, 600), 0);
            }
        }
        assert_int_equal(server->got.len, sizeof data);
        pair_fini(&pair);
    }
}

/* --- schedule() --------------------------------------------------------------------------------------------------- */

static unsigned schedules, outside;

static void count_schedule(void *ctx, struct milgi_engine *engine)
{
    (void)ctx;
    schedules++;
    assert_false(engine->running);
}

static void note_outside(struct pair_side *side, const char *event)
{
    (void)event;
    outside += !side->engine->running;
}

static void rest(void)
{
    pair_settle(&pair);
    schedules = 0;
}

/* The first call asks for a turn, a second one does not: it is asked for already. */
static void assert_asked(struct milgi_conn *conn)
{
    assert_int_equal(schedules, 1);
    (void)!milgi_conn_write(conn, "x", 1);
    assert_int_equal(schedules, 1);
    rest();
}

static void what_is_staged_asks_an_idle_host_for_one_turn_and_calls_nothing_back(void **state)
{
    static const uint8_t data[70000];
    (void)state;
    begin(config(MILGI_CLIENT, true), config(MILGI_SERVER, false), NULL);
    client->on_event = server->on_event = note_outside;
    client->engine->o.schedule = count_schedule;
    outside = 0;
    rest();
    assert_int_equal(client->decisions_n, 1);
    assert_int_equal(milgi_decide(client->engine, client->decision[0], MILGI_DEFAULT, NULL), 0);
    assert_asked(client->conn);
    assert_true(client->established);

    assert_int_equal(milgi_conn_write(client->conn, "y", 1), 0);
    assert_asked(client->conn);
    assert_int_equal(milgi_conn_update_keys(client->conn, false), 0);
    assert_asked(client->conn);

    client->keep_credit = true;
    assert_int_equal(milgi_conn_write(server->conn, data, sizeof data), MILGI_PAUSE);
    while (pair_run(server, NULL) == MILGI_RUN_AGAIN)
        continue;
    assert_int_equal(schedules, 0);
    assert_true(pair_carry(server, 0) > 0);
    assert_asked(client->conn);
    assert_true(client->got.len >= 16384 && client->got.len < sizeof data);
    milgi_conn_consumed(client->conn, client->got.len);
    assert_asked(client->conn);

    client->keep_output = true;
    assert_int_equal(milgi_conn_write(client->conn, data, sizeof data), MILGI_PAUSE);
    rest();
    milgi_conn_output_done(client->conn, client->undone);
    assert_asked(client->conn);
    client->keep_output = client->keep_credit = false;
    milgi_conn_output_done(client->conn, SIZE_MAX);
    milgi_conn_consumed(client->conn, SIZE_MAX);
    rest();

    assert_int_equal(milgi_conn_shutdown(client->conn), 0);
    assert_asked(client->conn);
    assert_int_equal(milgi_conn_receive_eof(client->conn, 0), 0);
    assert_asked(client->conn);
    assert_true(client->closed);
    assert_int_equal(outside, 0);
    pair_fini(&pair);
}

static void answer_data(struct pair_side *side, const struct milgi_slice *slices, size_t n)
{
    (void)slices;
    (void)n;
    if (side->got.len < 100)
        assert_int_equal(milgi_conn_write(side->conn, "0123456789", 10), 0);
}

static void what_a_callback_stages_asks_for_nothing(void **state)
{
    (void)state;
    begin(config(MILGI_CLIENT, false), config(MILGI_SERVER, false), "sim:latency=10us");
    client->engine->o.schedule = server->engine->o.schedule = count_schedule; /* which fails inside a turn */
    client->on_data = server->on_data = answer_data;
    rest();
    assert_int_equal(milgi_conn_write(client->conn, "x", 1), 0);
    rest();
    assert_true(client->got.len > 50 && server->got.len > 50);
    pair_fini(&pair);
}

static void an_abort_asks_for_a_turn(void **state)
{
    (void)state;
    begin(config(MILGI_CLIENT, false), config(MILGI_SERVER, false), NULL);
    client->engine->o.schedule = count_schedule;
    rest();
    assert_true(client->established);
    assert_int_equal(milgi_conn_abort(client->conn, MILGI_ALERT_INTERNAL_ERROR), 0);
    assert_asked(client->conn);
    assert_true(client->closed);
    pair_fini(&pair);
}

static void a_new_client_asks_for_a_turn_and_a_new_server_waits(void **state)
{
    struct milgi_config *c = fake_freeze(config(MILGI_CLIENT, false)), *s = fake_freeze(config(MILGI_SERVER, false));
    struct pair_setup setup = { .wall_s = FAKE_NOW_S };
    static const struct milgi_events none = { .on_output = (void (*)(struct milgi_conn *, void *,
                                                  const struct milgi_iov *, size_t))abort };
    struct milgi_conn *conn;
    (void)state;
    pair_init(&pair, &setup);
    client->engine->o.schedule = count_schedule;
    rest();
    assert_int_equal(milgi_conn_new(client->engine, s, NULL, &none, NULL, &conn), 0);
    assert_int_equal(schedules, 0);
    milgi_conn_free(conn);
    assert_int_equal(milgi_conn_new(client->engine, c, "server.test", &none, NULL, &conn), 0);
    assert_int_equal(schedules, 1);
    milgi_conn_free(conn);
    pair_fini(&pair);
    milgi_config_unref(c);
    milgi_config_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_may_be_freed_from_every_callback_and_none_follows),
        cmocka_unit_test(every_call_may_be_made_from_every_callback),
        cmocka_unit_test(output_comes_once_per_turn),
        cmocka_unit_test(what_is_staged_asks_an_idle_host_for_one_turn_and_calls_nothing_back),
        cmocka_unit_test(what_a_callback_stages_asks_for_nothing),
        cmocka_unit_test(an_abort_asks_for_a_turn),
        cmocka_unit_test(a_new_client_asks_for_a_turn_and_a_new_server_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
