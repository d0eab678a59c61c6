/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that takes a record from the network only when the connection waits for its peer: it comes to every end, and
 * never has a record that cannot be used yet, whatever devices are at work.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_identity.h"
#include "pair.h"

#define HEADER 5u

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
static uint8_t data[60000];
static const char *const devices[] = { NULL, "sim:latency=50us", "chaos:seed=5", "chaos:seed=6",
    "sim:latency=50us,units=8,depth=16,order=out,jitter=50us,seed=5" };
#define DEVICES (sizeof devices / sizeof devices[0])

static void begin(const char *device, uint16_t version)
{
    struct milgi_config *config[2];
    for (int role = 0; role < 2; role++) {
        config[role] = fake_config((enum milgi_role)role, NULL);
        assert_int_equal(milgi_config_set_versions(config[role], version, version), 0);
        assert_int_equal(milgi_config_set_limit(config[role], MILGI_LIMIT_CREDIT, 20000), 0);
    }
    struct milgi_credential *credential = fake_credential(NULL);
    struct milgi_trust *trust = fake_trust(0);
    assert_int_equal(milgi_config_add_credential(config[MILGI_CLIENT], credential), 0);
    assert_int_equal(milgi_config_set_trust(config[MILGI_SERVER], trust), 0);
    assert_int_equal(milgi_config_set_client_auth(config[MILGI_SERVER], MILGI_CLIENT_AUTH_REQUIRED), 0);
    milgi_credential_unref(credential);
    milgi_trust_unref(trust);
    struct pair_setup setup = { .config = { fake_freeze(config[0]), fake_freeze(config[1]) },
        .device = { device, device },
        .server_name = "server.test",
        .seed = 23,
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    milgi_config_unref(config[0]);
    milgi_config_unref(config[1]);
}

static unsigned waits(const struct pair_side *side)
{
    return milgi_conn_waits_for(side->conn);
}

/* One record, in two pieces, to who waits for it. */
static bool carry_record(struct pair_side *from)
{
    struct pair_side *to = pair_other(from);
    if (!from->wire.len || !(waits(to) & MILGI_WAITS_PEER))
        return false;
    assert_true(from->wire.len > HEADER);
    size_t len = HEADER + (size_t)(from->wire.p[3] << 8 | from->wire.p[4]);
    assert_true(from->wire.len >= len);
    pair_feed(to, from->wire.p, HEADER);
    pair_run(to, NULL);
    assert_true(waits(to) & MILGI_WAITS_PEER); /* there is the beginning of a record, and nothing to begin with it */
    pair_feed(to, from->wire.p + HEADER, len - HEADER);
    assert_int_equal(waits(to) & (MILGI_WAITS_PEER | MILGI_WAITS_TURN), MILGI_WAITS_TURN);
    pair_bytes_drop(&from->wire, len);
    return true;
}

/* Until nothing moves, or |until|. */
static void go_on(const bool *until)
{
    for (unsigned guard = 0; guard < 1000000 && !(until && *until); guard++) {
        uint64_t deadline = UINT64_MAX;
        bool moved = false;
        for (int role = 0; role < 2; role++) {
            uint64_t d;
            moved |= pair_run(&pair.side[role], &d) == MILGI_RUN_AGAIN;
            deadline = d < deadline ? d : deadline;
        }
        if (moved || (until && *until))
            continue;
        for (int role = 0; role < 2; role++)
            moved |= carry_record(&pair.side[role]);
        if (moved)
            continue;
        if (deadline > pair.now_ns + 1000000000)
            return;
        pair.now_ns = deadline > pair.now_ns ? deadline : pair.now_ns;
    }
    assert_true(until && *until);
}

static void everything(const char *device, uint16_t version)
{
    begin(device, version);
    assert_int_equal(waits(server), MILGI_WAITS_PEER);
    assert_int_equal(milgi_conn_write(client->conn, data, sizeof data), 0);
    go_on(&server->established);
    assert_int_equal(server->got.len, 0); /* it is still before the network, whatever the device had to do */
    go_on(NULL);
    assert_true(client->established);
    assert_int_equal(server->got.len, sizeof data);
    assert_memory_equal(server->got.p, data, sizeof data);
    assert_int_equal(waits(client), MILGI_WAITS_PEER);
    assert_int_equal(waits(server), MILGI_WAITS_PEER);
    if (version == 0x0304)
        assert_int_equal(milgi_conn_update_keys(server->conn, true), 0);
    assert_int_equal(milgi_conn_write(server->conn, data, sizeof data), 0);
    go_on(NULL);
    assert_int_equal(client->got.len, sizeof data);
    assert_int_equal(milgi_conn_shutdown(client->conn), 0);
    go_on(NULL);
    assert_int_equal(waits(server), 0);
    assert_int_equal(waits(client), MILGI_WAITS_PEER);
    assert_int_equal(milgi_conn_shutdown(server->conn), 0);
    go_on(NULL);
    assert_true(client->closed && server->closed);
    assert_int_equal(client->reason.error, 0);
    assert_int_equal(server->reason.error, 0);
    assert_int_equal(waits(client), 0);
    pair_fini(&pair);
}

static void who_takes_what_is_waited_for_alone_comes_to_every_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 ^ i >> 8);
    for (size_t i = 0; i < DEVICES; i++)
        everything(devices[i], 0x0304);
    for (size_t i = 0; i < DEVICES; i++)
        everything(devices[i], 0x0303);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_takes_what_is_waited_for_alone_comes_to_every_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
