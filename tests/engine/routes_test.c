/* SPDX-License-Identifier: Apache-2.0 */
/* Which ops go to a device, how many of them, and what becomes of those that nobody waits for any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/sim/manual.h"
#include "fake_identity.h"
#include "pair.h"

#define CLIENTS 300

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];

/* The server's device is made here, so that its caps can be changed; nothing is routed to it yet. */
static void begin(const char *device, uint32_t set_flags, const struct milgi_engine_options *options)
{
    struct milgi_config *c = fake_freeze(fake_config(MILGI_CLIENT, NULL));
    struct fake_options rsa = { .type = MILGI__KEY_RSA, .bits = 4096 };
    struct milgi_config *s = fake_freeze(fake_config(MILGI_SERVER, &rsa));
    struct pair_setup setup = { .config = { c, s },
        .options = options,
        .server_name = "server.test",
        .seed = 41,
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    milgi_config_unref(c);
    milgi_config_unref(s);
    assert_int_equal(milgi_device_new(device, &server->device[0], NULL), 0);
    server->devices_n = 1;
    server->device[0]->caps.flags |= set_flags;
    assert_int_equal(milgi_engine_add_device(server->engine, server->device[0]), 1);
}

static void stats_of(const struct pair_side *side, struct milgi_engine_stats *stats)
{
    milgi_engine_stats(side->engine, stats);
}

static void a_remote_device_gets_signatures_and_nothing_else(void **state)
{
    struct milgi_engine_stats stats;
    (void)state;
    begin("sim:latency=10us", MILGI_CAP_REMOTE, NULL);
    assert_int_equal(milgi_engine_route(server->engine, UINT32_MAX, 1, 1), 0); /* all, if it may */
    assert_int_equal(milgi_conn_write(client->conn, "data", 4), 0);
    pair_settle(&pair);
    assert_true(client->established);
    assert_int_equal(server->got.len, 4);
    stats_of(server, &stats);
    for (unsigned type = 0; type < MILGI_OP_TYPES; type++)
        assert_int_equal(stats.device[1].submitted[type], type == MILGI_OP_SIGN ? 1 : 0);
    assert_true(stats.device[0].submitted[MILGI_OP_DERIVE] > 0 && stats.device[0].submitted[MILGI_OP_OPEN] > 0);
    pair_fini(&pair);
}

static void a_device_that_cannot_reach_our_chunks_gets_none(void **state)
{
    static const unsigned without[] = { MILGI_OP_SIGN };
    struct milgi_engine_stats stats;
    (void)state;
    begin("sim:latency=10us", MILGI_CAP_OWN_MEMORY, NULL);
    assert_int_equal(milgi_engine_route(server->engine, UINT32_MAX, 1, 1), 0);
    assert_int_equal(milgi_conn_write(client->conn, "data", 4), 0);
    pair_settle(&pair);
    assert_int_equal(server->got.len, 4);
    stats_of(server, &stats);
    uint64_t all = 0;
    for (unsigned type = 0; type < MILGI_OP_TYPES; type++)
        all += stats.device[1].submitted[type];
    for (unsigned i = 0; i < sizeof without / sizeof without[0]; i++) {
        assert_int_equal(stats.device[1].submitted[without[i]], 1);
        all--;
    }
    assert_int_equal(all, 0);
    pair_fini(&pair);
}

/* What a client signs in TLS 1.2 are all messages so far, for which an op has no room. */
static void nor_what_lies_in_one_to_be_signed(void **state)
{
    struct milgi_engine_stats stats;
    (void)state;
    for (uint32_t own = 0; own < 2; own++) {
        struct milgi_config *config[2] = { fake_config(MILGI_CLIENT, NULL), fake_config(MILGI_SERVER, NULL) };
        struct milgi_credential *credential = fake_credential(NULL);
        struct milgi_trust *trust = fake_trust(0);
        assert_int_equal(milgi_config_add_credential(config[MILGI_CLIENT], credential), 0);
        assert_int_equal(milgi_config_set_trust(config[MILGI_SERVER], trust), 0);
        assert_int_equal(milgi_config_set_client_auth(config[MILGI_SERVER], MILGI_CLIENT_AUTH_REQUIRED), 0);
        for (int role = 0; role < 2; role++)
            assert_int_equal(milgi_config_set_versions(config[role], MILGI_TLS_1_2, MILGI_TLS_1_2), 0);
        struct pair_setup setup = { .config = { fake_freeze(config[0]), fake_freeze(config[1]) },
            .server_name = "server.test",
            .seed = 41,
            .wall_s = FAKE_NOW_S };
        pair_init(&pair, &setup);
        assert_int_equal(milgi_device_new("sim:latency=10us", &client->device[0], NULL), 0);
        client->devices_n = 1;
        client->device[0]->caps.flags |= own * MILGI_CAP_OWN_MEMORY;
        assert_int_equal(milgi_engine_add_device(client->engine, client->device[0]), 1);
        assert_int_equal(milgi_engine_route(client->engine, MILGI_OP_BIT(MILGI_OP_SIGN), 1, 0), 0);
        pair_settle(&pair);
        assert_true(server->established);
        stats_of(client, &stats);
        assert_int_equal(stats.device[0].submitted[MILGI_OP_SIGN], own);
        assert_int_equal(stats.device[1].submitted[MILGI_OP_SIGN], !own);
        pair_fini(&pair);
        for (int role = 0; role < 2; role++)
            milgi_config_unref(config[role]);
        milgi_credential_unref(credential);
        milgi_trust_unref(trust);
    }
}

/* --- many handshakes beside one connection ------------------------------------------------------------------------ */

static void drop_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    (void)arg;
    for (size_t i = 0; i < iov_n; i++)
        milgi_conn_output_done(conn, iov[i].len);
}

static const struct milgi_events quiet = { .on_output = drop_output };
static struct milgi_conn *crowd[CLIENTS];

/* As many servers as there may be clients, each given the hello of the pair's client. */
static void crowd_comes(struct milgi_config *config, const struct pair_bytes *hello)
{
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_int_equal(milgi_conn_new(server->engine, config, NULL, &quiet, NULL, &crowd[i]), 0);
        struct milgi_chunk *chunk = milgi_chunk_new(server->engine, hello->len);
        assert_non_null(chunk);
        memcpy(milgi_chunk_data(chunk), hello->p, hello->len);
        struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), (uint32_t)hello->len };
        assert_int_equal(milgi_conn_receive(crowd[i], slice), 0);
    }
    while (pair_run(server, NULL) == MILGI_RUN_AGAIN)
        continue;
}

static void crowd_goes(void)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        milgi_conn_free(crowd[i]);
}

static struct milgi_config *crowd_config(void)
{
    struct fake_options rsa = { .type = MILGI__KEY_RSA, .bits = 4096 };
    return fake_freeze(fake_config(MILGI_SERVER, &rsa));
}

static void take_hello(struct pair_bytes *hello)
{
    pair.keep_wire = true;
    assert_int_equal(milgi_engine_route(server->engine, UINT32_MAX, 0, 0), 0); /* the pair's own, whatever it takes */
    pair_run(client, NULL);
    pair_bytes_add(hello, client->sent_wire.p, client->sent_wire.len);
    pair_settle(&pair);
    assert_true(client->established);
}

static void what_is_in_a_device_is_bounded_by_time_and_records_pass(void **state)
{
    struct milgi_config *config = crowd_config();
    struct milgi_engine_options options;
    struct milgi_op *ops[512];
    struct pair_bytes hello = { 0 };
    (void)state;
    milgi_engine_options_init(&options);
    options.outstanding_ns = 20000000;
    begin("sim:manual,depth=512", 0, &options);
    take_hello(&hello);
    uint32_t routed = MILGI_OP_BIT(MILGI_OP_SIGN) | MILGI_OP_BIT(MILGI_OP_OPEN);
    assert_int_equal(milgi_engine_route(server->engine, routed, 1, 1), 0);
    crowd_comes(config, &hello);
    unsigned inside = milgi__sim_pending(server->device[0], ops, 512);
    uint64_t time = 0;
    for (unsigned i = 0; i < inside; i++)
        time += ops[i]->e.cost_ns;
    assert_true(inside > 0 && inside < 100); /* by depth all 300 would fit */
    assert_true(time <= options.outstanding_ns * server->device[0]->caps.parallelism);

    /* A record that comes now is in as soon as room is made by a few of them, not by all. */
    assert_int_equal(milgi_conn_write(client->conn, "data", 4), 0);
    pair_settle_until(&pair, pair.now_ns + 1000);
    unsigned ended = 0;
    for (bool in = false; !in && ended < CLIENTS; ended++) {
        milgi__sim_finish(server->device[0], 0, MILGI_OP_OK);
        pair_settle_until(&pair, pair.now_ns + 1000);
        inside = milgi__sim_pending(server->device[0], ops, 512);
        for (unsigned i = 0; i < inside; i++)
            in |= ops[i]->type == MILGI_OP_OPEN;
    }
    assert_true(ended <= 4);
    crowd_goes();
    free(hello.p);
    pair_fini(&pair);
    milgi_config_unref(config);
}

/* They are given back, given up or lost; in no case does somebody else do their work. */
static void what_nobody_waits_for_is_not_done_again(void **state)
{
    static const enum milgi_op_status ends[] = { MILGI_OP_BROKEN, MILGI_OP_CANCELLED, MILGI_OP_LOST };
    struct milgi_config *config = crowd_config();
    (void)state;
    for (size_t way = 0; way < sizeof ends / sizeof ends[0]; way++) {
        struct milgi_engine_options options;
        struct milgi_engine_stats stats;
        struct milgi_op *ops[512];
        struct pair_bytes hello = { 0 };
        milgi_engine_options_init(&options);
        options.outstanding_ns = 100000000000u;
        options.op_timeout_ns[MILGI_OP_CLASS_HANDSHAKE] = 1000000000;
        begin("sim:manual,depth=512", 0, &options);
        take_hello(&hello);
        assert_int_equal(milgi_engine_route(server->engine, MILGI_OP_BIT(MILGI_OP_SIGN), 1, 1), 0);
        crowd_comes(config, &hello);
        unsigned inside = milgi__sim_pending(server->device[0], ops, 512);
        assert_int_equal(inside, CLIENTS);
        crowd_goes();
        stats_of(server, &stats);
        uint64_t before = stats.device[0].submitted[MILGI_OP_SIGN];
        if (ends[way] == MILGI_OP_LOST) {
            pair.now_ns += 1000000000;
            pair_run(server, NULL);
        }
        while (milgi__sim_pending(server->device[0], ops, 1)) {
            milgi__sim_finish(server->device[0], 0, ends[way] == MILGI_OP_LOST ? MILGI_OP_OK : ends[way]);
            pair_run(server, NULL);
        }
        pair_run(server, NULL);
        stats_of(server, &stats);
        assert_int_equal(stats.device[0].submitted[MILGI_OP_SIGN], before);
        assert_int_equal(stats.device[1].rerun, 0);
        assert_int_equal(stats.ops_alive, 0);
        free(hello.p);
        pair_fini(&pair);
    }
    milgi_config_unref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_remote_device_gets_signatures_and_nothing_else),
        cmocka_unit_test(a_device_that_cannot_reach_our_chunks_gets_none),
        cmocka_unit_test(nor_what_lies_in_one_to_be_signed),
        cmocka_unit_test(what_is_in_a_device_is_bounded_by_time_and_records_pass),
        cmocka_unit_test(what_nobody_waits_for_is_not_done_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
