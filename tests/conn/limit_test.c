/* SPDX-License-Identifier: Apache-2.0 */
/* What happens near the number of records that a key is good for, and to keys that nobody wants any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conn/records.h"
#include "conn/state.h"
#include "engine/parts.h"
#include "fake_identity.h"
#include "pair.h"

static void open_pair_on(struct pair *pair, bool short_path, const char *device)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.short_path = short_path;
    struct pair_setup setup = { .options = &options,
        .device = { device, device },
        .server_name = "server.test",
        .wall_s = FAKE_NOW_S };
    setup.config[MILGI_CLIENT] = fake_freeze(fake_config(MILGI_CLIENT, NULL));
    setup.config[MILGI_SERVER] = fake_freeze(fake_config(MILGI_SERVER, NULL));
    pair_init(pair, &setup);
    milgi_config_unref(setup.config[MILGI_CLIENT]);
    milgi_config_unref(setup.config[MILGI_SERVER]);
    pair_settle(pair);
    assert_true(pair->side[MILGI_CLIENT].established);
}

static void open_pair(struct pair *pair)
{
    open_pair_on(pair, true, NULL);
}

static void a_peer_that_does_not_renew_its_keys_is_asked_to(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    struct milgi_conn *client = pair.side[MILGI_CLIENT].conn, *server = pair.side[MILGI_SERVER].conn;
    /* The server has sent nearly as many records as the key is good for, and would not care. */
    uint64_t limit = client->outcome->suite->record_limit;
    client->transport->rec.in.seq = server->transport->rec.out.seq = limit - 2;
    server->config->limit[MILGI_LIMIT_REKEY_RECORDS] = server->transport->rec.out.epoch_records_max = UINT64_MAX;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(milgi_conn_write(server, "x", 1), 0);
        pair_settle(&pair);
    }
    struct milgi_conn_info info;
    milgi_conn_info(server, &info);
    assert_int_equal(info.key_updates_in, 1);
    assert_int_equal(info.key_updates_out, 1);
    assert_int_equal(pair.side[MILGI_CLIENT].got.len, 4);
    assert_true(client->transport->rec.in.seq < 4);
    pair_fini(&pair);
}

/* What it was sent before is delivered; then it fails, and does not sit there for ever. */
static void a_key_that_has_opened_all_it_may_opens_no_more(void **state)
{
    for (unsigned path = 0; path < 3; path++) {
        struct pair pair;
        open_pair_on(&pair, path == 0, path == 2 ? "sim:latency=1us" : NULL);
        struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
        struct milgi__direction *in = &client->conn->transport->rec.in;
        in->epoch_records_max = in->seq + 3;
        for (unsigned i = 0; i < 6; i++) {
            assert_int_equal(milgi_conn_write(server->conn, "x", 1), 0);
            pair_run(server, NULL);
            pair.now_ns += 1000;
            pair_run(server, NULL);
        }
        pair_settle(&pair);
        assert_int_equal(client->got.len, 3);
        assert_true(client->closed && server->closed);
        assert_int_equal(client->reason.error, MILGI_EPROTO);
        assert_int_equal(client->reason.alert, MILGI_ALERT_UNEXPECTED_MESSAGE);
        pair_fini(&pair);
    }
    (void)state;
}

/* Two records of 16 KiB use up 8 us; of three the last waits for the next turn. */
static void records_are_charged_to_the_turn(void **state)
{
    static const uint8_t data[3 * 16384];
    struct milgi_run_result result;
    struct pair pair;
    (void)state;
    open_pair(&pair);
    struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
    assert_int_equal(milgi_conn_write(server->conn, data, sizeof data), 0);
    while (pair_run(server, NULL) == MILGI_RUN_AGAIN)
        continue;
    assert_true(server->wire.len > sizeof data);
    pair_carry(server, 0);
    assert_int_equal(milgi_engine_run(client->engine, 5000, &result), 0);
    assert_int_equal(result.next, MILGI_RUN_AGAIN);
    assert_in_range(client->got.len, 16384, 2 * 16384);
    pair_settle(&pair);
    assert_int_equal(client->got.len, sizeof data);
    pair_fini(&pair);
}

static void keys_are_renewed_before_the_limit_that_is_set(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    struct milgi_conn *server = pair.side[MILGI_SERVER].conn;
    server->config->limit[MILGI_LIMIT_REKEY_RECORDS] = 5;
    for (unsigned i = 0; i < 23; i++) {
        assert_int_equal(milgi_conn_write(server, "x", 1), 0);
        pair_settle(&pair);
        assert_true(server->transport->rec.out.seq <= 5 + 1); /* and the KeyUpdate itself */
    }
    struct milgi_conn_info info;
    milgi_conn_info(server, &info);
    assert_true(info.key_updates_out >= 4);
    assert_int_equal(pair.side[MILGI_CLIENT].got.len, 23);
    pair_fini(&pair);
}

static void the_key_of_a_credential_that_went_goes_too(void **state)
{
    (void)state;
    struct pair pair;
    open_pair(&pair);
    struct milgi_engine *engine = pair.side[MILGI_SERVER].engine;
    pair_settle(&pair);
    assert_int_equal(engine->keys.n, 1);
    /* The connection holds the config, and that the credential. */
    milgi_conn_free(pair.side[MILGI_SERVER].conn);
    pair.side[MILGI_SERVER].conn = NULL;
    pair_settle(&pair);
    assert_int_equal(engine->keys.n, 0);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_that_does_not_renew_its_keys_is_asked_to),
        cmocka_unit_test(a_key_that_has_opened_all_it_may_opens_no_more),
        cmocka_unit_test(records_are_charged_to_the_turn),
        cmocka_unit_test(keys_are_renewed_before_the_limit_that_is_set),
        cmocka_unit_test(the_key_of_a_credential_that_went_goes_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
