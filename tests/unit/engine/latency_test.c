/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured: on virtual time every time is exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "peers.h"
#include "device/sim/manual.h"
#include "pair.h"
#include "rig.h"

/* --- times -------------------------------------------------------------------------------------------------------- */

static void a_device_that_needs_20_us_shows_20_us(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=20us,units=1000,depth=1000");
    for (unsigned i = 0; i < 100; i++) {
        rig_keygen(&rig);
        rig_run(&rig);
        rig.now_ns += 20 * US;
        rig_run(&rig);
        assert_int_equal(rig.done, i + 1);
    }
    struct milgi_latency l = latency_of(rig.engine, 1, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_DEVICE);
    assert_int_equal(l.count, 100 / MILGI__SAMPLE);
    assert_int_equal(l.min_ns, 20 * US);
    assert_int_equal(l.mean_ns, 20 * US);
    assert_int_equal(l.p50_ns, 20 * US);
    assert_int_equal(l.p999_ns, 20 * US);
    assert_int_equal(l.max_ns, 20 * US);
    l = latency_of(rig.engine, 1, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_QUEUE);
    assert_int_equal(l.count, 100 / MILGI__SAMPLE);
    assert_int_equal(l.max_ns, 0);
    l = latency_of(rig.engine, 1, MILGI_OP_CLASS_RECORDS, MILGI_LATENCY_DEVICE);
    assert_int_equal(l.count, 0);
    rig_fini(&rig);
}

static void who_waits_before_a_full_device_shows_it_as_queue_time(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=1ms,units=1,depth=1");
    for (unsigned i = 0; i < 20; i++) {
        if (i == 3 || i == 19)
            sample_next(rig.engine);
        else
            rig.engine->stat.until = MILGI__SAMPLE;
        rig_keygen(&rig);
    }
    for (unsigned turn = 0; rig.done < 20; turn++) {
        assert_true(turn < 30);
        rig_run(&rig);
        rig.now_ns += MS;
    }
    struct milgi_latency l = latency_of(rig.engine, 1, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_QUEUE);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.min_ns, 3 * MS);
    assert_int_equal(l.max_ns, 19 * MS);
    assert_int_equal(l.mean_ns, 11 * MS);
    l = latency_of(rig.engine, 1, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_DEVICE);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.min_ns, MS);
    assert_int_equal(l.max_ns, MS);
    struct milgi_engine_stats s = stats_of(rig.engine);
    assert_int_equal(s.device[1].cls[MILGI_OP_CLASS_HANDSHAKE].in_flight_peak, 1);
    assert_in_range(s.device[1].cls[MILGI_OP_CLASS_HANDSHAKE].waiting_peak, 19, 20);
    rig_fini(&rig);
}

static void what_waited_for_a_device_and_ran_inline_has_its_queue_time_there(void **state)
{
    (void)state;
    struct milgi_engine_options options;
    struct rig rig;
    milgi_engine_options_init(&options);
    rig_init(&rig, &options, "sim:manual,depth=1");
    rig_keygen(&rig);
    sample_next(rig.engine);
    rig_keygen(&rig);
    rig_run(&rig);
    /* Nothing comes back for longer than anybody waits: the device is retired, its line runs inline. */
    for (unsigned turn = 0; turn < 40 && rig.done < 2; turn++) {
        rig.now_ns += 1000 * MS;
        rig_run(&rig);
    }
    assert_int_equal(rig.done, 2);
    struct milgi_latency l = latency_of(rig.engine, 0, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_QUEUE);
    assert_int_equal(l.count, 1);
    assert_in_range(l.min_ns, 10000 * (uint64_t)MS, 12000 * (uint64_t)MS);
    assert_int_equal(latency_of(rig.engine, 1, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_QUEUE).count, 0);
    rig_fini(&rig);
}

static void what_is_run_again_shows_no_queue(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:manual");
    sample_next(rig.engine);
    rig_keygen(&rig);
    rig_run(&rig);
    rig.now_ns += 7 * MS;
    milgi__sim_finish(rig.device, 0, MILGI_OP_BROKEN);
    rig_run(&rig);
    assert_int_equal(rig.status[MILGI_OP_OK], 1);
    assert_int_equal(latency_of(rig.engine, 1, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_DEVICE).max_ns, 7 * MS);
    assert_int_equal(latency_of(rig.engine, 0, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_DEVICE).count, 1);
    assert_int_equal(latency_of(rig.engine, 0, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_DEVICE).max_ns, 0);
    assert_int_equal(latency_of(rig.engine, 0, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_QUEUE).count, 0);
    rig_fini(&rig);
}

static void inline_ops_are_measured_rarely_and_read_no_clock_otherwise(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, NULL);
    unsigned before = rig.clock_reads;
    for (unsigned i = 0; i < MILGI__SAMPLE_INLINE - 1; i++)
        rig_seal(&rig, 100);
    assert_int_equal(rig.clock_reads, before);
    assert_int_equal(latency_of(rig.engine, 0, MILGI_OP_CLASS_RECORDS, MILGI_LATENCY_DEVICE).count, 0);
    rig_seal(&rig, 100);
    assert_int_equal(rig.clock_reads, before + 2);
    assert_int_equal(latency_of(rig.engine, 0, MILGI_OP_CLASS_RECORDS, MILGI_LATENCY_DEVICE).count, 1);
    rig_fini(&rig);
}

static void the_clock_is_read_per_burst_and_not_per_op(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=20us,units=1000,depth=1000");
    unsigned before = rig.clock_reads, ops = 0;
    for (unsigned turn = 0; turn < 20; turn++) {
        for (unsigned i = 0; i < 32; i++, ops++)
            rig_keygen(&rig);
        rig_run(&rig);
        rig.now_ns += 20 * US;
    }
    rig_run(&rig);
    assert_int_equal(rig.done, ops);
    assert_true((rig.clock_reads - before) * 2 < ops); /* most of it by the device */
    rig_fini(&rig);
}

static void all_devices_and_classes_are_merged_on_demand(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=20us,latency.seal=40us,units=8");
    for (unsigned i = 0; i < 2; i++) {
        sample_next(rig.engine);
        i ? rig_seal(&rig, 100) : rig_keygen(&rig);
        rig_run(&rig);
        rig.now_ns += (i ? 40 : 20) * US;
        rig_run(&rig);
    }
    struct milgi_latency l = latency_of(rig.engine, 1, MILGI_ALL, MILGI_LATENCY_DEVICE);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.min_ns, 20 * US);
    assert_int_equal(l.max_ns, 40 * US);
    assert_int_equal(latency_of(rig.engine, MILGI_ALL, MILGI_OP_CLASS_RECORDS, MILGI_LATENCY_DEVICE).max_ns, 40 * US);
    assert_int_equal(latency_of(rig.engine, MILGI_ALL, MILGI_ALL, MILGI_LATENCY_QUEUE).count, 2);
    uint64_t ns;
    assert_int_equal(milgi_engine_percentile(rig.engine, 1, MILGI_ALL, MILGI_LATENCY_DEVICE, 100, &ns), 0);
    assert_int_equal(ns, 40 * US);
    assert_int_equal(milgi_engine_percentile(rig.engine, 1, MILGI_ALL, MILGI_LATENCY_DEVICE, 0, &ns), 0);
    assert_int_equal(ns, 20 * US);
    rig_fini(&rig);
}

static void what_is_not_there_is_einval(void **state)
{
    (void)state;
    struct rig rig;
    struct milgi_latency l;
    uint64_t ns = 1;
    rig_init(&rig, NULL, NULL);
    assert_int_equal(milgi_engine_latency(rig.engine, 1, 0, MILGI_LATENCY_QUEUE, &l), MILGI_EINVAL);
    assert_int_equal(milgi_engine_latency(rig.engine, MILGI_DEVICES_MAX, 0, MILGI_LATENCY_QUEUE, &l), MILGI_EINVAL);
    assert_int_equal(milgi_engine_latency(rig.engine, 0, MILGI_OP_CLASSES, MILGI_LATENCY_QUEUE, &l), MILGI_EINVAL);
    assert_int_equal(milgi_engine_latency(rig.engine, 0, 0, MILGI_LATENCY_PARTS, &l), MILGI_EINVAL);
    assert_int_equal(milgi_engine_percentile(rig.engine, 1, 0, MILGI_LATENCY_QUEUE, 50, &ns), MILGI_EINVAL);
    assert_int_equal(ns, 0);
    assert_int_equal(milgi_engine_latency(rig.engine, 0, 0, MILGI_LATENCY_QUEUE, &l), 0);
    assert_int_equal(l.count, 0);
    rig_fini(&rig);
}

static void a_reset_begins_times_and_peaks_anew_and_leaves_the_counters(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=20us,units=8");
    for (unsigned i = 0; i < 5; i++)
        rig_keygen(&rig);
    sample_next(rig.engine);
    rig_keygen(&rig);
    rig_run(&rig);
    rig.now_ns += 20 * US;
    rig_run(&rig);
    milgi_engine_latency_reset(rig.engine);
    struct milgi_engine_stats s = stats_of(rig.engine);
    assert_int_equal(s.device[1].cls[MILGI_OP_CLASS_HANDSHAKE].ok, 6);
    assert_int_equal(s.device[1].cls[MILGI_OP_CLASS_HANDSHAKE].in_flight_peak, 0);
    assert_int_equal(s.device[1].cls[MILGI_OP_CLASS_HANDSHAKE].waiting_peak, 0);
    assert_int_equal(latency_of(rig.engine, 1, MILGI_ALL, MILGI_LATENCY_DEVICE).count, 0);
    rig_fini(&rig);
}

static bool no_memory(void)
{
    return true;
}

static void without_memory_for_a_histogram_the_op_goes_on_unmeasured(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=20us,units=8");
    sample_next(rig.engine);
    rig_keygen(&rig);
    milgi__mem_fail = no_memory;
    rig_run(&rig);
    rig.now_ns += 20 * US;
    rig_run(&rig);
    milgi__mem_fail = NULL;
    assert_int_equal(rig.status[MILGI_OP_OK], 1);
    assert_int_equal(latency_of(rig.engine, 1, MILGI_ALL, MILGI_LATENCY_DEVICE).count, 0);
    sample_next(rig.engine);
    rig_keygen(&rig);
    rig_run(&rig);
    rig.now_ns += 20 * US;
    rig_run(&rig);
    assert_int_equal(latency_of(rig.engine, 1, MILGI_ALL, MILGI_LATENCY_DEVICE).count, 1);
    struct milgi_latency l;
    milgi__mem_fail = no_memory;
    int one = milgi_engine_latency(rig.engine, 1, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_DEVICE, &l);
    milgi__mem_fail = NULL;
    assert_int_equal(one, 0);
    assert_int_equal(l.count, 1);
    rig_fini(&rig);
}

/* --- in order ----------------------------------------------------------------------------------------------------- */

/* A connection whose |role| has a device, index 1, for ops of the one type |type|; nothing ends there by itself. */
static struct milgi_device *established(struct pair *pair, enum milgi_role role, int type)
{
    struct pair_setup how = { .config = { peers.config[0], peers.config[1] }, .server_name = "server.test", .seed = 1 };
    struct pair_side *side = &pair->side[role];
    struct milgi_device *device;
    pair_init(pair, &how);
    pair_settle(pair);
    assert_true(pair->side[0].established && pair->side[1].established);
    assert_int_equal(milgi_device_new("sim:manual", &device, NULL), 0);
    side->device[side->devices_n++] = device;
    assert_int_equal(milgi_engine_add_device(side->engine, device), 1);
    assert_int_equal(milgi_engine_route(side->engine, MILGI_OP_BIT(type), 1, 1), 0);
    milgi_engine_latency_reset(side->engine);
    return device;
}

static void assert_reorder(struct milgi_engine *engine, uint64_t ns)
{
    struct milgi_latency l = latency_of(engine, 1, MILGI_OP_CLASS_RECORDS, MILGI_LATENCY_REORDER);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.min_ns, ns);
    assert_int_equal(l.max_ns, ns);
    assert_int_equal(latency_of(engine, 1, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_REORDER).count, 0);
}

static void a_record_behind_an_unfinished_one_shows_reorder_time(void **state)
{
    (void)state;
    struct pair pair;
    struct milgi_device *device = established(&pair, MILGI_SERVER, MILGI_OP_OPEN);
    struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
    static uint8_t data[2 * 16384];
    struct milgi_op *pending[4];
    server->engine->stat.until = 2; /* the second of them */
    assert_int_equal(milgi_conn_write(client->conn, data, sizeof data), 0);
    pair_run(client, NULL);
    pair_carry(client, 0);
    pair_run(server, NULL);
    assert_int_equal(milgi__sim_pending(device, pending, MILGI__COUNT(pending)), 2);
    milgi__sim_finish(device, 1, MILGI_OP_OK);
    pair_run(server, NULL);
    assert_int_equal(server->got.len, 0);
    assert_int_equal(latency_of(server->engine, 1, MILGI_ALL, MILGI_LATENCY_REORDER).count, 0);
    pair.now_ns += 5 * MS;
    milgi__sim_finish(device, 0, MILGI_OP_OK);
    pair_run(server, NULL);
    assert_int_equal(server->got.len, sizeof data);
    assert_reorder(server->engine, 5 * MS);
    pair_fini(&pair);
}

static void a_sealed_record_behind_an_unfinished_one_shows_reorder_time(void **state)
{
    (void)state;
    struct pair pair;
    struct milgi_device *device = established(&pair, MILGI_CLIENT, MILGI_OP_SEAL);
    struct pair_side *client = &pair.side[MILGI_CLIENT];
    static uint8_t data[2 * 16384];
    struct milgi_op *pending[4];
    client->engine->stat.until = 2;
    assert_int_equal(milgi_conn_write(client->conn, data, sizeof data), 0);
    pair_run(client, NULL);
    assert_int_equal(milgi__sim_pending(device, pending, MILGI__COUNT(pending)), 2);
    milgi__sim_finish(device, 1, MILGI_OP_OK);
    pair_run(client, NULL);
    pair.now_ns += 3 * MS;
    milgi__sim_finish(device, 0, MILGI_OP_OK);
    pair_run(client, NULL);
    assert_true(client->wire.len > sizeof data);
    assert_reorder(client->engine, 3 * MS);
    pair_fini(&pair);
}

static void a_record_that_is_next_shows_no_reorder_time(void **state)
{
    (void)state;
    struct pair pair;
    struct milgi_device *device = established(&pair, MILGI_SERVER, MILGI_OP_OPEN);
    struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
    sample_next(server->engine);
    assert_int_equal(milgi_conn_write(client->conn, "hello", 5), 0);
    pair_run(client, NULL);
    pair_carry(client, 0);
    pair_run(server, NULL);
    pair.now_ns += 2 * MS;
    milgi__sim_finish(device, 0, MILGI_OP_OK);
    pair_run(server, NULL);
    assert_int_equal(server->got.len, 5);
    assert_reorder(server->engine, 0);
    assert_int_equal(latency_of(server->engine, 1, MILGI_ALL, MILGI_LATENCY_DEVICE).max_ns, 2 * MS);
    pair_fini(&pair);
}

/* A server's SIGN is back before its DERIVE, and is sent behind what DERIVE makes possible. */
static void a_signature_that_waits_for_the_shared_secret_shows_reorder_time(void **state)
{
    (void)state;
    struct pair pair;
    struct pair_setup how = { .config = { peers.config[0], peers.config[1] },
        .device = { [MILGI_SERVER] = "sim:latency=1ms,latency.derive=9ms,latency.sign=2ms,units=8" },
        .server_name = "server.test",
        .seed = 1 };
    pair_init(&pair, &how);
    struct milgi_engine *engine = pair.side[MILGI_SERVER].engine;
    engine->stat.until = 3; /* KEYGEN, DERIVE, SIGN */
    pair_settle(&pair);
    assert_true(pair.side[MILGI_CLIENT].established);
    struct milgi_latency l = latency_of(engine, 1, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_DEVICE);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.max_ns, 2 * MS);
    l = latency_of(engine, 1, MILGI_OP_CLASS_HANDSHAKE, MILGI_LATENCY_REORDER);
    assert_int_equal(l.count, 1);
    assert_int_equal(l.min_ns, 7 * MS);
    assert_int_equal(l.max_ns, 7 * MS);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_that_needs_20_us_shows_20_us),
        cmocka_unit_test(who_waits_before_a_full_device_shows_it_as_queue_time),
        cmocka_unit_test(what_waited_for_a_device_and_ran_inline_has_its_queue_time_there),
        cmocka_unit_test(what_is_run_again_shows_no_queue),
        cmocka_unit_test(inline_ops_are_measured_rarely_and_read_no_clock_otherwise),
        cmocka_unit_test(the_clock_is_read_per_burst_and_not_per_op),
        cmocka_unit_test(all_devices_and_classes_are_merged_on_demand),
        cmocka_unit_test(what_is_not_there_is_einval),
        cmocka_unit_test(a_reset_begins_times_and_peaks_anew_and_leaves_the_counters),
        cmocka_unit_test(without_memory_for_a_histogram_the_op_goes_on_unmeasured),
        cmocka_unit_test(a_record_behind_an_unfinished_one_shows_reorder_time),
        cmocka_unit_test(a_sealed_record_behind_an_unfinished_one_shows_reorder_time),
        cmocka_unit_test(a_record_that_is_next_shows_no_reorder_time),
        cmocka_unit_test(a_signature_that_waits_for_the_shared_secret_shows_reorder_time),
    };
    return cmocka_run_group_tests(tests, peers_begin, peers_end);
}
