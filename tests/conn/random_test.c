/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any calls from anywhere: outside, and from every callback, the config's too; on every kind of device. Whatever comes
 * of it, each side has a beginning of what the other one wrote, calls answer what their contracts allow, and in the end
 * nothing is left. ctest-timeout: 180
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "fake_identity.h"
#include "pair.h"

static const char *const devices[] = { NULL, "sim:latency=50us,units=8,depth=16,jitter=90us,seed=5",
    "sim:latency=2ms,depth=1", "chaos:seed=3,refuse=0.4,reorder=0.9,max_delay=1ms" };

static struct pair pair;
static uint64_t state_of_chance;
static size_t written[2]; /* what each side has written and was told is taken */
static unsigned depth, calls_n;
static bool gentle; /* nothing that ends a connection */

static uint32_t chance(uint32_t n)
{
    state_of_chance = state_of_chance * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state_of_chance >> 33) % n;
}

static uint8_t byte_at(size_t at, unsigned role)
{
    return (uint8_t)(at * 7 + at / 251 + role * 91);
}

static void taken(struct pair_side *side, int rv, size_t len)
{
    bool may = rv == 0 || rv == MILGI_PAUSE || rv == MILGI_ECLOSED || rv == MILGI_ELIMIT || rv == MILGI_ENOMEM;
    assert_true(may);
    if (rv >= 0)
        written[side - pair.side] += len;
}

static void write_some(struct pair_side *side)
{
    static uint8_t data[9000];
    if (written[side - pair.side] > 60000) /* enough */
        return;
    size_t len = chance(3) ? chance(300) : chance(sizeof data), at = written[side - pair.side];
    for (size_t i = 0; i < len; i++)
        data[i] = byte_at(at + i, (unsigned)(side - pair.side));
    if (chance(2)) {
        taken(side, milgi_conn_write(side->conn, data, len), len);
        return;
    }
    struct milgi_chunk *chunk = milgi_conn_chunk(side->conn, len + 1);
    if (!chunk)
        return;
    memcpy(milgi_chunk_data(chunk), data, len);
    int rv = milgi_conn_send(side->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)len });
    taken(side, rv, len);
    if (rv < 0)
        milgi_chunk_unref(chunk);
}

static void receive_rubbish(struct pair_side *side)
{
    struct milgi_chunk *chunk = milgi_conn_chunk(side->conn, 64);
    if (!chunk)
        return;
    memset(milgi_chunk_data(chunk), (int)chance(256), 64);
    (void)milgi_conn_receive(side->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), 1 + chance(64) });
}

static void answer(struct pair_side *side)
{
    unsigned which = chance(PAIR_EVENTS);
    int rv = milgi_decide(side->engine, side->decision[which], gentle ? MILGI_DEFAULT : (enum milgi_verdict)chance(3),
        NULL);
    assert_true(rv == 0 || rv == MILGI_ESTALE || rv == MILGI_EINVAL);
}

/* One that nobody could hear is not made. */
static void ask_for_a_mute_one(struct pair_side *side)
{
    static const struct milgi_events none = { .on_output = NULL };
    struct milgi_conn_info info;
    struct milgi_conn *conn;
    struct milgi_config *config = fake_freeze(fake_config(MILGI_SERVER, NULL));
    assert_int_equal(milgi_conn_new(side->engine, config, NULL, &none, NULL, &conn), MILGI_EINVAL);
    milgi_config_unref(config);
    milgi_conn_info(side->conn, &info);
}

static void from_inside(struct pair_side *side)
{
    struct milgi_run_result result;
    assert_int_equal(milgi_engine_run(side->engine, 0, &result), MILGI_EREENTRY);
    assert_int_equal(milgi_engine_free(side->engine), MILGI_EREENTRY);
}

static void end_it(struct pair_side *side)
{
    switch (chance(5)) {
    case 0: receive_rubbish(side); break;
    case 1: (void)milgi_conn_receive_eof(side->conn, (int)chance(2)); break;
    case 2: (void)milgi_conn_abort(side->conn, (int)chance(300) - 10); break;
    case 3: (void)milgi_conn_shutdown(side->conn); break;
    default: {
        struct milgi_conn *conn = side->conn;
        side->conn = NULL;
        milgi_conn_free(conn);
    }
    }
}

static void any_call(struct pair_side *side)
{
    uint8_t out[40];
    char text[200];
    int rv;
    if (!side->conn)
        return;
    calls_n++;
    switch (chance(gentle ? 11 : 12)) {
    case 0:
    case 1:
    case 2: write_some(side); break;
    case 3: milgi_conn_consumed(side->conn, chance(2) ? SIZE_MAX : chance(5000)); break;
    case 4:
        rv = milgi_conn_update_keys(side->conn, chance(2));
        assert_true(rv == 0 || rv == MILGI_ECLOSED || (rv == MILGI_EINVAL && !side->established));
        break;
    case 5: answer(side); break;
    case 6:
        rv = milgi_conn_export(side->conn, "label", NULL, 0, out, sizeof out);
        assert_true(rv == 0 || rv == MILGI_EINVAL || rv == MILGI_ECLOSED);
        break;
    case 7: milgi_conn_output_done(side->conn, chance(2) ? SIZE_MAX : chance(3000)); break;
    case 8: (void)milgi_conn_dump(side->conn, text, chance(sizeof text)); break;
    case 9: ask_for_a_mute_one(side); break;
    case 10:
        if (depth)
            from_inside(side);
        break;
    default: end_it(side);
    }
}

static void at_event(struct pair_side *side, const char *event)
{
    (void)event;
    depth++;
    while (chance(3) == 0)
        any_call(side);
    depth--;
}

static size_t padding(void *ctx, size_t content_len)
{
    (void)content_len;
    at_event(ctx, "padding");
    return chance(50) ? chance(40) : chance(20000);
}

static void keylog(void *ctx, struct milgi_conn *conn, const char *line)
{
    struct pair_side *side = ctx;
    (void)line;
    assert_ptr_equal(conn, side->conn); /* whose it is, and none after it was freed */
    assert_ptr_equal(milgi_conn_arg(conn), side);
    at_event(ctx, "keylog");
}

static struct milgi_config *config_of(int role)
{
    struct milgi_config *config = fake_config((enum milgi_role)role, NULL);
    if (role == MILGI_SERVER && chance(2)) {
        struct milgi_trust *trust = fake_trust(0);
        assert_int_equal(milgi_config_set_trust(config, trust), 0);
        assert_int_equal(milgi_config_set_client_auth(config, MILGI_CLIENT_AUTH_OPTIONAL), 0);
        milgi_trust_unref(trust);
    }
    if (chance(2))
        assert_int_equal(milgi_config_set_padding(config, padding, &pair.side[role]), 0);
    assert_int_equal(milgi_config_set_keylog(config, keylog, &pair.side[role]), 0);
    if (chance(2))
        assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_RECORD, 64 + chance(2000)), 0);
    if (chance(2))
        assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_WINDOW, 1 + chance(64)), 0);
    if (chance(3) == 0)
        assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_REKEY_RECORDS, 1 + chance(5)), 0);
    if (chance(3) == 0)
        assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_CREDIT, 1024 + chance(30000)), 0);
    if (chance(3) == 0)
        assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_OUTPUT, 1024 + chance(30000)), 0);
    unsigned ask = MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_PEER | (role == MILGI_SERVER ? MILGI_DECIDE_ALPN : 0u);
    if (chance(3) == 0)
        assert_int_equal(milgi_config_set_ask(config, ask), 0);
    return fake_freeze(config);
}

static void check_beginning(unsigned role)
{
    const struct pair_side *side = &pair.side[role];
    assert_true(side->got.len <= written[1 - role]);
    for (size_t i = 0; i < side->got.len; i++)
        assert_int_equal(side->got.p[i], byte_at(i, 1 - role));
}

static void begin(uint64_t seed)
{
    struct pair_setup setup = { .server_name = "server.test", .seed = seed, .wall_s = FAKE_NOW_S };
    state_of_chance = seed * 0x9e3779b97f4a7c15u;
    written[0] = written[1] = 0;
    for (int role = 0; role < 2; role++) {
        setup.config[role] = config_of(role);
        setup.device[role] = devices[chance(MILGI__COUNT(devices))];
    }
    pair_init(&pair, &setup);
    for (int role = 0; role < 2; role++) {
        pair.side[role].on_event = at_event;
        pair.side[role].keep_credit = pair.side[role].keep_output = chance(2);
        milgi_config_unref(setup.config[role]);
    }
    if (chance(2))
        pair.piece = 1 + chance(3000);
}

static bool has_arrived(void)
{
    return pair.side[0].established && pair.side[1].established && pair.side[0].got.len == written[1] &&
        pair.side[1].got.len == written[0];
}

/* All that they wait for is given; then all that was taken has arrived, and they end in order. */
static void let_it_end(void)
{
    for (unsigned round = 0; round < 2000 && !has_arrived(); round++) {
        for (unsigned role = 0; role < 2; role++) {
            struct pair_side *side = &pair.side[role];
            side->on_event = NULL;
            for (unsigned i = 0; i < PAIR_EVENTS; i++)
                (void)milgi_decide(side->engine, side->decision[i], MILGI_DEFAULT, NULL);
            milgi_conn_consumed(side->conn, SIZE_MAX);
            milgi_conn_output_done(side->conn, SIZE_MAX);
        }
        pair_settle_until(&pair, pair.now_ns + 5000000u);
    }
    for (unsigned role = 0; role < 2; role++) {
        const struct pair_side *side = &pair.side[role];
        if (side->closed)
            fail_msg("ended: %s", side->reason.detail);
        assert_true(side->established);
        assert_int_equal(side->got.len, written[1 - role]);
        assert_int_equal(milgi_conn_shutdown(side->conn), 0);
    }
    for (unsigned round = 0; round < 200 && !(pair.side[0].closed && pair.side[1].closed); round++) {
        for (unsigned role = 0; role < 2; role++) {
            milgi_conn_consumed(pair.side[role].conn, SIZE_MAX);
            milgi_conn_output_done(pair.side[role].conn, SIZE_MAX);
        }
        pair_settle_until(&pair, pair.now_ns + 5000000u);
    }
    for (unsigned role = 0; role < 2; role++) {
        assert_true(pair.side[role].closed);
        assert_int_equal(pair.side[role].reason.error, 0);
    }
}

static void one(uint64_t seed)
{
    begin(seed);
    for (unsigned round = 0; round < 60; round++) {
        struct pair_side *side = &pair.side[chance(2)];
        if (chance(4) == 0)
            any_call(side);
        (void)pair_run(side, NULL);
        (void)pair_carry(side, chance(2) ? 0 : 1 + chance(4000));
        pair.now_ns += chance(100000);
    }
    pair_settle_until(&pair, pair.now_ns + 10000000u);
    if (gentle)
        let_it_end();
    for (unsigned role = 0; role < 2; role++) {
        struct pair_side *side = &pair.side[role];
        struct milgi_engine_stats stats;
        check_beginning(role);
        milgi_conn_free(side->conn);
        side->conn = NULL;
        for (unsigned i = 0; i < 100; i++) {
            pair.now_ns += 1000000000u;
            (void)pair_run(side, NULL);
        }
        milgi_engine_stats(side->engine, &stats);
        assert_int_equal(stats.conns, 0);
        assert_int_equal(stats.ops_alive, 0);
        assert_int_equal(stats.memory, 0);
    }
    pair_fini(&pair);
}

static void whatever_is_called_from_wherever_nothing_breaks(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++)
        one(seed);
    assert_true(calls_n > 10000);
}

static void nothing_is_lost_while_nobody_ends_it(void **state)
{
    (void)state;
    gentle = true;
    for (uint64_t seed = 1; seed <= 300; seed++)
        one(seed);
    gentle = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_called_from_wherever_nothing_breaks),
        cmocka_unit_test(nothing_is_lost_while_nobody_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
