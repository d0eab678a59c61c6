/* SPDX-License-Identifier: Apache-2.0 */
/* A connection from the first byte to the last, over the real crypto. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "peers.h"
#include "pair.h"

static void start(struct pair *pair, const char *client_device, const char *server_device)
{
    struct pair_setup setup_ = { .config = { peers.config[0], peers.config[1] },
        .device = { client_device, server_device },
        .server_name = "server.test",
        .seed = 1 };
    pair_init(pair, &setup_);
}

static void exchange(struct pair *pair)
{
    struct pair_side *client = &pair->side[MILGI_CLIENT], *server = &pair->side[MILGI_SERVER];
    static uint8_t data[100000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    pair_settle(pair);
    assert_true(client->established);
    assert_true(server->established);
    assert_int_equal(milgi_conn_write(client->conn, data, sizeof data), 0);
    assert_int_equal(milgi_conn_write(server->conn, "hello", 5), 0);
    pair_settle(pair);
    assert_int_equal(server->got.len, sizeof data);
    assert_memory_equal(server->got.p, data, sizeof data);
    assert_int_equal(client->got.len, 5);
    assert_int_equal(milgi_conn_update_keys(client->conn, true), 0);
    assert_int_equal(milgi_conn_write(client->conn, data, 1000), 0);
    pair_settle(pair);
    assert_int_equal(milgi_conn_write(server->conn, data, 1000), 0);
    pair_settle(pair);
    assert_int_equal(server->got.len, sizeof data + 1000);
    assert_int_equal(client->got.len, 1005);
    struct milgi_conn_info info;
    milgi_conn_info(server->conn, &info);
    assert_int_equal(info.key_updates_in, 1);
    assert_int_equal(info.key_updates_out, 1);
    assert_int_equal(milgi_conn_shutdown(client->conn), 0);
    pair_settle(pair);
    assert_int_equal(server->alerts_n, 1);
    assert_int_equal(server->alerts[0], MILGI_ALERT_CLOSE_NOTIFY);
    assert_int_equal(milgi_conn_write(server->conn, "after", 5), 0);
    assert_int_equal(milgi_conn_shutdown(server->conn), 0);
    pair_settle(pair);
    assert_int_equal(client->got.len, 1010);
    assert_true(client->closed);
    assert_true(server->closed);
    assert_int_equal(client->reason.error, 0);
    assert_int_equal(server->reason.error, 0);
}

static void a_connection_lives_and_ends_in_order(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, NULL, NULL);
    exchange(&pair);
    struct milgi_engine_stats stats;
    milgi_engine_stats(pair.side[MILGI_SERVER].engine, &stats);
    assert_int_equal(stats.ops_alive, 0);
    assert_int_equal(stats.memory, 0);
    pair_fini(&pair);
}

static void it_does_so_on_a_modelled_accelerator(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, "sim:latency=1ms,units=4,depth=8,order=out,jitter=1ms,seed=3",
        "sim:latency=2ms,units=64,depth=64,order=out");
    exchange(&pair);
    pair_fini(&pair);
}

static void it_does_so_amid_chaos(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        char spec[64];
        struct pair pair;
        snprintf(spec, sizeof spec, "chaos:seed=%u", seed);
        start(&pair, spec, spec);
        exchange(&pair);
        pair_fini(&pair);
    }
}

static void a_byte_at_a_time_is_enough(void **state)
{
    (void)state;
    struct pair pair;
    start(&pair, NULL, NULL);
    pair.piece = 1;
    exchange(&pair);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_lives_and_ends_in_order),
        cmocka_unit_test(it_does_so_on_a_modelled_accelerator),
        cmocka_unit_test(it_does_so_amid_chaos),
        cmocka_unit_test(a_byte_at_a_time_is_enough),
    };
    return cmocka_run_group_tests(tests, peers_begin, peers_end);
}
