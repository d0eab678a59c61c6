/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cryptodev that is stopped under load, and started again: no byte is lost or another, what it had comes back, the
 * engine does without it and finds out by itself when it works again. On virtual time, which a cryptodev knows nothing
 * of. ctest-timeout: 120
 */
#include "bed.h"

#include <string.h>

#include "base/base.h"
#include "peers.h"
#include "pair.h"

#define TEXT 40000u
#define TIMEOUT_NS (50 * UINT64_C(1000000))

static unsigned retired, returned;

static void on_device(void *ctx, struct milgi_engine *engine, unsigned index, struct milgi_device *device,
    enum milgi_device_event event)
{
    (void)ctx;
    (void)engine;
    (void)index;
    (void)device;
    retired += event == MILGI_DEVICE_RETIRED;
    returned += event == MILGI_DEVICE_RETURNED;
}

static void begin(struct pair *pair, const char *device)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
        options.op_timeout_ns[cls] = TIMEOUT_NS;
    options.on_device = on_device;
    struct pair_setup setup = { .config = { peers.config[0], peers.config[1] },
        .device = { [MILGI_SERVER] = device },
        .options = &options,
        .server_name = "server.test",
        .seed = 3 };

    retired = returned = 0;
    pair_init(pair, &setup);
    pair_settle_until(pair, pair->now_ns + TIMEOUT_NS);
    assert_true(pair->side[0].established && pair->side[1].established);
}

/* As much as is written comes out at the other end, whatever the cryptodev does. */
static void exchange(struct pair *pair)
{
    static uint8_t text[TEXT];
    size_t before[2] = { pair->side[0].got.len, pair->side[1].got.len };

    for (size_t i = 0; i < TEXT; i++)
        text[i] = (uint8_t)(i * 31 + i / 300 + before[0] / TEXT);
    for (int role = 0; role < 2; role++)
        assert_true(milgi_conn_write(pair->side[role].conn, text, TEXT) >= 0);
    for (unsigned turns = 0; turns < 400; turns++) {
        pair_settle_until(pair, pair->now_ns + TIMEOUT_NS / 5);
        pair->now_ns += TIMEOUT_NS / 5;
        if (pair->side[0].got.len == before[0] + TEXT && pair->side[1].got.len == before[1] + TEXT)
            break;
    }
    for (int role = 0; role < 2; role++) {
        assert_false(pair->side[role].closed);
        assert_int_equal(pair->side[role].got.len, before[role] + TEXT);
        assert_memory_equal(pair->side[role].got.p + before[role], text, TEXT);
    }
}

static struct milgi_device_stats stats_of(struct pair *pair)
{
    struct milgi_engine_stats stats;
    milgi_engine_stats(pair->side[MILGI_SERVER].engine, &stats);
    return stats.device[1];
}

static void pass(struct pair *pair, uint64_t ns)
{
    for (uint64_t end = pair->now_ns + ns; pair->now_ns < end; pair->now_ns += TIMEOUT_NS)
        pair_settle_until(pair, pair->now_ns + TIMEOUT_NS);
}

static void check_stopped(const char *spec)
{
    struct pair pair;

    begin(&pair, spec);
    exchange(&pair);
    uint64_t submitted = stats_of(&pair).submitted[MILGI_OP_SEAL];
    assert_true(submitted > 0);
    uint8_t id = milgi_device_dpdk_id(pair.side[MILGI_SERVER].device[0]);
    rte_cryptodev_stop(id);
    for (unsigned i = 0; i < 3; i++)
        exchange(&pair);
    assert_int_equal(retired, 1);
    assert_int_equal(returned, 0);
    assert_false(stats_of(&pair).in_service);
    assert_int_equal(rte_cryptodev_start(id), 0);
    pass(&pair, 70 * UINT64_C(1000000000)); /* it is tried again every minute at least */
    assert_int_equal(returned, 1);
    submitted = stats_of(&pair).submitted[MILGI_OP_SEAL];
    exchange(&pair);
    assert_true(stats_of(&pair).submitted[MILGI_OP_SEAL] > submitted);
    assert_int_equal(stats_of(&pair).in_flight + stats_of(&pair).quarantined, 0);
    pair_fini(&pair);
    assert_int_equal(milgi_devices_left(), 0);
}

static void a_stopped_aesni_mb_is_done_without_and_found_again(void **state)
{
    (void)state;
    check_stopped("dpdk:vdev=crypto_aesni_mb,memory=8m");
}

static void a_stopped_openssl_is_done_without_and_found_again(void **state)
{
    (void)state;
    check_stopped("dpdk:vdev=crypto_openssl,memory=8m");
}

static void a_stopped_scheduler_is_done_without_and_found_again(void **state)
{
    (void)state;
    check_stopped("dpdk:vdev=crypto_scheduler,mode=round-robin,memory=8m");
}

static unsigned nothing(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    (void)qp;
    (void)ops;
    (void)n;
    return 0;
}

/* It does its work when it is asked for it: so it is stopped with ops inside that have not been asked for. */
static uint8_t stop_with_ops_inside(struct pair *pair)
{
    static uint8_t text[TEXT];
    struct pair_side *server = &pair->side[MILGI_SERVER];
    struct milgi_device *device = server->device[0];
    const struct milgi_device_ops *plain = device->ops;
    struct milgi_device_ops deaf = *plain;
    uint8_t id = milgi_device_dpdk_id(device);

    deaf.dequeue = nothing;
    device->ops = &deaf;
    assert_true(milgi_conn_write(server->conn, text, TEXT) >= 0);
    pair_settle_until(pair, pair->now_ns + TIMEOUT_NS / 10);
    rte_cryptodev_stop(id);
    device->ops = plain;
    assert_true(stats_of(pair).in_flight > 0);
    return id;
}

static void what_a_stopped_cryptodev_has_is_lost_and_comes_home(void **state)
{
    struct pair pair;

    (void)state;
    begin(&pair, "dpdk:vdev=crypto_aesni_mb,memory=8m");
    uint8_t id = stop_with_ops_inside(&pair);
    for (unsigned turns = 0; turns < 50 && pair.side[MILGI_CLIENT].got.len < TEXT; turns++)
        pass(&pair, TIMEOUT_NS);
    assert_int_equal(pair.side[MILGI_CLIENT].got.len, TEXT);
    assert_true(stats_of(&pair).lost > 0);
    assert_true(stats_of(&pair).quarantined > 0);
    assert_int_equal(rte_cryptodev_start(id), 0);
    pass(&pair, 70 * UINT64_C(1000000000));
    assert_int_equal(stats_of(&pair).quarantined, 0);
    exchange(&pair);
    pair_fini(&pair);
    assert_int_equal(milgi_devices_left(), 0);
}

/* The engine goes while the cryptodev has ops of its. */
static void an_engine_ends_while_its_cryptodev_is_stopped(void **state)
{
    struct pair pair;

    (void)state;
    begin(&pair, "dpdk:vdev=crypto_aesni_mb,memory=8m");
    uint8_t id = stop_with_ops_inside(&pair);
    pair_fini(&pair); /* in bounded time */
    assert_int_equal(milgi_devices_left(), 1);
    /* It is there still, and so is the memory that it writes to. */
    assert_int_equal(rte_cryptodev_start(id), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stopped_aesni_mb_is_done_without_and_found_again),
        cmocka_unit_test(a_stopped_openssl_is_done_without_and_found_again),
        cmocka_unit_test(a_stopped_scheduler_is_done_without_and_found_again),
        cmocka_unit_test(what_a_stopped_cryptodev_has_is_lost_and_comes_home),
        cmocka_unit_test(an_engine_ends_while_its_cryptodev_is_stopped),
    };

    bed_begin();
    return cmocka_run_group_tests(tests, peers_begin, peers_end);
}
