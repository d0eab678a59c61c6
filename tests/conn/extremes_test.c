/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every limit at its least and at its most: connections are made and data goes both ways, or the connection ends for
 * the reason that the limit is there for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/state.h"
#include "fake_identity.h"
#include "pair.h"

#define BYTES 24000u
#define PIECE 700u

/* As the header says; what is beyond is refused. */
static const struct {
    uint64_t least, most;
} range[MILGI_LIMITS] = {
    [MILGI_LIMIT_WINDOW] = { 1, 64 },
    [MILGI_LIMIT_HANDSHAKE_NS] = { 1, UINT64_MAX / 2 },
    [MILGI_LIMIT_HANDSHAKE_MESSAGE] = { 1024, 1024 * 1024 },
    [MILGI_LIMIT_INPUT] = { 1024, UINT64_C(1) << 30 },
    [MILGI_LIMIT_CREDIT] = { 1024, UINT64_C(1) << 40 },
    [MILGI_LIMIT_OUTPUT] = { 1024, UINT64_C(1) << 40 },
    [MILGI_LIMIT_RECORD] = { 64, 16384 },
    [MILGI_LIMIT_REKEY_RECORDS] = { 1, (UINT64_C(1) << 48) - 1 },
    [MILGI_LIMIT_IDLE_CONTROL] = { 1, 1024 * 1024 },
    [MILGI_LIMIT_TICKETS] = { 1, 1024 * 1024 },
    [MILGI_LIMIT_EARLY_DATA] = { 0, 1024 * 1024 * 1024 },
    [MILGI_LIMIT_RECORD_IN] = { 64, 16384 },
    [MILGI_LIMIT_RECORD_FIRST] = { 64, 16384 },
};

static const char *const devices[] = { NULL, "sim:latency=50us,units=8,depth=16,order=out,jitter=50us,seed=5" };

enum choice {
    DEFAULT,
    LEAST,
    MOST
};

static void set(struct milgi_config *config, unsigned limit, enum choice choice)
{
    uint64_t value = choice == LEAST ? range[limit].least : range[limit].most;
    if (choice != DEFAULT)
        assert_int_equal(milgi_config_set_limit(config, (enum milgi_limit)limit, value), 0);
}

static void begin(struct pair *pair, struct milgi_config *client, struct milgi_config *server, const char *device)
{
    struct pair_setup setup = { .server_name = "server.test", .seed = 4, .wall_s = FAKE_NOW_S };
    setup.device[MILGI_CLIENT] = setup.device[MILGI_SERVER] = device;
    setup.config[MILGI_CLIENT] = fake_freeze(client);
    setup.config[MILGI_SERVER] = fake_freeze(server);
    pair_init(pair, &setup);
    milgi_config_unref(client);
    milgi_config_unref(server);
    pair_settle(pair);
}

/* Gives |side| as much as it takes of what it has still to send. */
static void give(struct pair_side *side, size_t *sent)
{
    uint8_t piece[PIECE];
    while (*sent < BYTES) {
        size_t len = MILGI__MIN(PIECE, BYTES - *sent);
        for (size_t i = 0; i < len; i++)
            piece[i] = (uint8_t)((*sent + i) * 13 >> 3);
        int rv = milgi_conn_write(side->conn, piece, len);
        assert_true(rv == 0 || rv == MILGI_PAUSE);
        *sent += len;
        if (rv == MILGI_PAUSE)
            return;
    }
}

static void check_got(const struct pair_side *side)
{
    assert_int_equal(side->got.len, BYTES);
    for (size_t i = 0; i < BYTES; i++)
        assert_int_equal(side->got.p[i], (uint8_t)(i * 13 >> 3));
}

/* Both send all they have, and end in order. */
static void talk(struct pair *pair)
{
    size_t sent[2] = { 0, 0 };
    for (unsigned round = 0; round < 3000 && (sent[0] < BYTES || sent[1] < BYTES); round++) {
        for (unsigned i = 0; i < 2; i++)
            give(&pair->side[i], &sent[i]);
        pair_settle(pair);
        assert_false(pair->side[0].closed || pair->side[1].closed);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(sent[i], BYTES);
        check_got(&pair->side[i]);
        assert_int_equal(milgi_conn_shutdown(pair->side[i].conn), 0);
    }
    pair_settle(pair);
    assert_true(pair->side[0].closed && pair->side[1].closed);
    assert_int_equal(pair->side[0].reason.error, 0);
    assert_int_equal(pair->side[1].reason.error, 0);
}

/* A handshake may be too long, or take too long, for the least: then that is what both are told. */
static bool ends_for(struct pair *pair, enum choice client[MILGI_LIMITS], enum choice server[MILGI_LIMITS])
{
    const struct pair_side *c = &pair->side[MILGI_CLIENT], *s = &pair->side[MILGI_SERVER];
    if (c->established && s->established && !c->closed && !s->closed)
        return false;
    bool time = client[MILGI_LIMIT_HANDSHAKE_NS] == LEAST || server[MILGI_LIMIT_HANDSHAKE_NS] == LEAST;
    bool size = client[MILGI_LIMIT_HANDSHAKE_MESSAGE] == LEAST || server[MILGI_LIMIT_HANDSHAKE_MESSAGE] == LEAST;
    assert_true(time || size);
    assert_true(c->closed && s->closed);
    for (unsigned i = 0; i < 2; i++) {
        int error = pair->side[i].reason.error;
        assert_true(error == MILGI_EALERT || (time && error == MILGI_ETIMEOUT) || (size && error == MILGI_ELIMIT) ||
            (size && error == MILGI_EPROTO));
    }
    return true;
}

/* True: a connection was made, and did all that it should. */
static bool try_one(enum choice client[MILGI_LIMITS], enum choice server[MILGI_LIMITS], const char *device)
{
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
    struct pair pair;
    for (unsigned i = 0; i < MILGI_LIMITS; i++) {
        set(c, i, client[i]);
        set(s, i, server[i]);
    }
    begin(&pair, c, s, device);
    bool talks = !ends_for(&pair, client, server);
    if (talks)
        talk(&pair);
    pair_fini(&pair);
    return talks;
}

static void each_limit_may_be_its_least_or_its_most_at_either_end(void **state)
{
    (void)state;
    for (unsigned limit = 0; limit < MILGI_LIMITS; limit++) {
        for (unsigned n = 1; n < 9; n++) {
            enum choice client[MILGI_LIMITS] = { 0 }, server[MILGI_LIMITS] = { 0 };
            client[limit] = n % 3;
            server[limit] = n / 3;
            for (unsigned d = 0; d < MILGI__COUNT(devices); d++) {
                bool made = try_one(client, server, devices[d]);
                bool handshake = limit == MILGI_LIMIT_HANDSHAKE_NS || limit == MILGI_LIMIT_HANDSHAKE_MESSAGE;
                assert_true(made || (handshake && (client[limit] == LEAST || server[limit] == LEAST)));
            }
        }
    }
}

static void all_limits_may_be_extreme_at_once(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 9; n++) {
        enum choice client[MILGI_LIMITS], server[MILGI_LIMITS];
        for (unsigned i = 0; i < MILGI_LIMITS; i++) {
            client[i] = n % 3;
            server[i] = n / 3;
        }
        client[MILGI_LIMIT_HANDSHAKE_NS] = server[MILGI_LIMIT_HANDSHAKE_NS] = MOST;
        client[MILGI_LIMIT_HANDSHAKE_MESSAGE] = server[MILGI_LIMIT_HANDSHAKE_MESSAGE] = MOST;
        for (unsigned d = 0; d < MILGI__COUNT(devices); d++)
            assert_true(try_one(client, server, devices[d]));
    }
}

static void what_is_out_of_its_range_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct milgi_config *config = fake_config(MILGI_CLIENT, NULL);
    for (unsigned i = 0; i < MILGI_LIMITS; i++) {
        uint64_t before = config->limit[i];
        enum milgi_limit limit = (enum milgi_limit)i;
        if (range[i].least > 0)
            assert_int_equal(milgi_config_set_limit(config, limit, range[i].least - 1), MILGI_EINVAL);
        assert_int_equal(milgi_config_set_limit(config, limit, range[i].most + 1), MILGI_EINVAL);
        assert_int_equal(milgi_config_set_limit(config, limit, UINT64_MAX), MILGI_EINVAL);
        assert_true(config->limit[i] == before);
    }
    milgi_config_unref(config);
}

/* The last of a burst is taken and the next one is not, however large the burst. */
static void a_burst_of_any_size_ends(void **state)
{
    (void)state;
    static const uint64_t bursts[] = { 1, 2, 255, 256, 257, 65534, 65535, 65536, 65537, 1024 * 1024 };
    for (unsigned n = 0; n < MILGI__COUNT(bursts); n++) {
        struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
        struct pair pair;
        assert_int_equal(milgi_config_set_limit(s, MILGI_LIMIT_IDLE_CONTROL, bursts[n]), 0);
        begin(&pair, c, s, NULL);
        struct milgi_conn *client = pair.side[MILGI_CLIENT].conn, *server = pair.side[MILGI_SERVER].conn;
        /* All but one of it is gone by now. */
        server->floods.spent[MILGI__FLOOD_IDLE] = (uint32_t)bursts[n] - 1;
        server->floods.when = (uint32_t)(pair.now_ns / MILGI__FLOOD_REFILL_NS);
        assert_int_equal(milgi_conn_update_keys(client, false), 0);
        pair_settle_until(&pair, pair.now_ns);
        assert_false(pair.side[MILGI_SERVER].closed);
        assert_int_equal(milgi_conn_update_keys(client, false), 0);
        pair_settle_until(&pair, pair.now_ns);
        assert_true(pair.side[MILGI_SERVER].closed);
        assert_int_equal(pair.side[MILGI_SERVER].reason.error, MILGI_ELIMIT);
        pair_fini(&pair);
    }
}

/* --- the engine's ----------------------------------------------------------------------------------------------- */

static bool makes_engine(uint32_t op_limit, size_t memory_limit)
{
    struct milgi_engine_options options;
    struct milgi_engine *engine;
    milgi_engine_options_init(&options);
    options.op_limit = op_limit;
    options.memory_limit = memory_limit;
    int rv = milgi_engine_new(&options, &engine);
    assert_true(rv == 0 || rv == MILGI_EINVAL);
    milgi_engine_free(engine);
    return rv == 0;
}

/* With less a handshake would wait for room until its time is over, and nobody would be told why. */
static void an_engine_in_which_no_handshake_has_room_is_not_made(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 16; n++)
        assert_false(makes_engine(n, 1 << 20));
    for (size_t n = 0; n < 65536; n = 2 * n + 1)
        assert_false(makes_engine(1000, n));
    assert_true(makes_engine(16, 65536));
}

/* Three key shares, certificates on both sides. */
static void the_least_engine_is_enough_for_a_connection(void **state)
{
    (void)state;
    for (size_t d = 0; d < MILGI__COUNT(devices); d++) {
        struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
        struct milgi_trust *trust = fake_trust(0);
        struct milgi_credential *credential = fake_credential(NULL);
        struct milgi_engine_options options;
        struct pair pair;
        milgi_engine_options_init(&options);
        options.op_limit = 16;
        options.memory_limit = 65536;
        assert_int_equal(milgi_config_set_key_shares(c, 3), 0);
        assert_int_equal(milgi_config_add_credential(c, credential), 0);
        assert_int_equal(milgi_config_set_trust(s, trust), 0);
        milgi_credential_unref(credential);
        milgi_trust_unref(trust);
        struct pair_setup setup = { .server_name = "server.test", .seed = 4, .wall_s = FAKE_NOW_S };
        setup.device[0] = setup.device[1] = devices[d];
        setup.config[MILGI_CLIENT] = fake_freeze(c);
        setup.config[MILGI_SERVER] = fake_freeze(s);
        setup.options = &options;
        pair_init(&pair, &setup);
        milgi_config_unref(c);
        milgi_config_unref(s);
        pair_settle(&pair);
        assert_true(pair.side[0].established && pair.side[1].established);
        talk(&pair);
        pair_fini(&pair);
    }
}

/* A server's first flight with all that it can hold: a long protocol, the name's echo, a request with its lists. */
static void the_longest_flight_has_room(void **state)
{
    char longest[256];

    (void)state;
    memset(longest, 'p', 255);
    longest[255] = '\0';
    for (size_t len = 1; len <= 255; len += len < 8 ? 1 : 31) {
        const char *protocol = longest + 255 - len;
        struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
        struct milgi_trust *trust = fake_trust(0);
        struct milgi_credential *credential = fake_credential(NULL);
        struct pair pair;
        assert_int_equal(milgi_config_set_alpn(c, &protocol, 1), 0);
        assert_int_equal(milgi_config_set_alpn(s, &protocol, 1), 0);
        assert_int_equal(milgi_config_add_credential(c, credential), 0);
        assert_int_equal(milgi_config_set_trust(s, trust), 0);
        milgi_credential_unref(credential);
        milgi_trust_unref(trust);
        begin(&pair, c, s, NULL);
        assert_true(pair.side[0].established && pair.side[1].established);
        talk(&pair);
        pair_fini(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_limit_may_be_its_least_or_its_most_at_either_end),
        cmocka_unit_test(all_limits_may_be_extreme_at_once),
        cmocka_unit_test(what_is_out_of_its_range_is_refused_and_changes_nothing),
        cmocka_unit_test(a_burst_of_any_size_ends),
        cmocka_unit_test(an_engine_in_which_no_handshake_has_room_is_not_made),
        cmocka_unit_test(the_least_engine_is_enough_for_a_connection),
        cmocka_unit_test(the_longest_flight_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
