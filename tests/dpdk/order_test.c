/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scheduler with cores of its own gives records back in whatever order they are done, and in worse ones that are made
 * of it here: what is on the wire and before the application is as if one had come after the other; and connections are
 * freed with records under way. In both versions, with every suite. Real time. With an argument: so many seeds instead
 * of a few. ctest-timeout: 120
 */
#include "bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base.h"
#include "configs.h"
#include "pair.h"

#define DEVICE "dpdk:vdev=crypto_scheduler,workers=2,memory=8m"
#define ROUNDS 6
#define PIECE_MAX 70000u
#define NAP_NS 20000
#define NAPS_MAX 1000000 /* twenty seconds in which nothing moves */

static struct configs_pair peers;
static struct milgi_config *config[2];
static int64_t wall_s;
static uint8_t text[PIECE_MAX];
static unsigned seeds = 6;

/* A stream of numbers. */
static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % below;
}

/* --- orders that are made ----------------------------------------------------------------------------------------- */

#define HELD_MAX 1024u

/* What the device gives back is held for a while, and handed on in another order. */
static struct {
    const struct milgi_device_ops *plain;
    struct milgi_device_ops ops;
    uint64_t state;
    struct milgi_op *held[HELD_MAX];
    unsigned n;
    uint64_t turned; /* ops that went before one that had come earlier */
    bool ending;
} mixer;

static unsigned mixed_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned given = 0;

    mixer.n += mixer.plain->dequeue(qp, mixer.held + mixer.n, HELD_MAX - mixer.n);
    unsigned wanted = mixer.ending ? mixer.n : (unsigned)draw(&mixer.state, mixer.n + 1);
    while (given < n && given < wanted) {
        unsigned at = (unsigned)draw(&mixer.state, mixer.n);
        mixer.turned += at > 0;
        ops[given++] = mixer.held[at];
        mixer.held[at] = mixer.held[--mixer.n];
    }
    return given;
}

static int mixed_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    mixer.ending = true;
    return mixer.plain->quiesce(qp, limit_ns);
}

static void mix(struct milgi_device *device, uint64_t seed)
{
    mixer.plain = device->ops;
    mixer.ops = *device->ops;
    mixer.ops.dequeue = mixed_dequeue;
    mixer.ops.quiesce = mixed_quiesce;
    mixer.state = seed;
    mixer.n = 0;
    mixer.ending = false;
    device->ops = &mixer.ops;
}

/* --- connections -------------------------------------------------------------------------------------------------- */

/* Time goes on a little whenever nothing else does; the cores of the cryptodev work meanwhile. */
static void settle(struct pair *pair, const size_t got[2])
{
    for (unsigned naps = 0; naps < NAPS_MAX;) {
        bool moved = false;
        for (int role = 0; role < 2; role++)
            moved |= pair_run(&pair->side[role], NULL) == MILGI_RUN_AGAIN;
        for (int role = 0; role < 2; role++)
            moved |= pair_carry(&pair->side[role], 0) > 0;
        bool there = pair->side[0].established && pair->side[1].established && pair->side[0].got.len >= got[0] &&
            pair->side[1].got.len >= got[1];
        if (there && !moved)
            return;
        if (moved)
            continue;
        naps++;
        pair->now_ns += NAP_NS;
        nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
    }
    fail_msg("nothing moves any more");
}

static void configure(const char *version, unsigned seed)
{
    for (int role = 0; role < 2; role++) {
        milgi_config_unref(config[role]);
        config[role] = bed_config((enum milgi_role)role, version, seed % BED_SUITES, peers.leaf, peers.root);
    }
}

static void begin(struct pair *pair, const char *device, unsigned seed, bool mixed)
{
    struct pair_setup setup = { .config = { config[0], config[1] },
        .device = { [MILGI_SERVER] = device },
        .server_name = "server.test",
        .wall_s = wall_s,
        .seed = seed };

    pair_init(pair, &setup);
    pair->keep_wire = true;
    if (mixed)
        mix(pair->side[MILGI_SERVER].device[0], seed);
    settle(pair, (size_t[2]){ 0, 0 });
}

/* Several pieces at once, both ways, of which none waits for another. */
static void talk(struct pair *pair, uint64_t state)
{
    size_t got[2] = { 0, 0 };

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned n = (unsigned)draw(&state, 6); n > 0; n--) {
            int role = (int)draw(&state, 2);
            size_t len = (size_t)draw(&state, draw(&state, 3) == 0 ? PIECE_MAX : 400) + 1;
            assert_true(milgi_conn_write(pair->side[role].conn, text, len) >= 0);
            got[!role] += len;
        }
        settle(pair, got);
    }
    for (int role = 0; role < 2; role++)
        assert_int_equal(pair->side[role].got.len, got[role]);
}

static void check_orders(const char *version)
{
    for (unsigned seed = 0; seed < seeds; seed++) {
        struct pair cpu, dpdk;
        configure(version, seed);
        begin(&cpu, NULL, seed, false);
        begin(&dpdk, DEVICE, seed, seed % 4 != 0);
        talk(&cpu, seed);
        talk(&dpdk, seed);
        for (int role = 0; role < 2; role++) {
            const struct pair_side *one = &cpu.side[role], *other = &dpdk.side[role];
            assert_int_equal(one->sent_wire.len, other->sent_wire.len);
            assert_memory_equal(one->sent_wire.p, other->sent_wire.p, one->sent_wire.len);
            assert_memory_equal(one->got.p, other->got.p, one->got.len);
        }
        assert_int_equal(bed_stats(dpdk.side[MILGI_SERVER].device[0]).software_ops, 0);
        pair_fini(&cpu);
        pair_fini(&dpdk);
    }
    assert_true(mixer.turned > 0);
}

static void whatever_is_done_first_the_wire_of_tls13_is_the_same(void **state)
{
    (void)state;
    check_orders("1.3");
}

static void whatever_is_done_first_the_wire_of_tls12_is_the_same(void **state)
{
    (void)state;
    check_orders("1.2");
}

/* What is under way comes back to nobody, and everything ends. */
static void check_freed(const char *version, bool mixed)
{
    struct pair pair;

    configure(version, mixed);
    struct pair_setup again = { .config = { config[0], config[1] }, .server_name = "server.test" };
    begin(&pair, DEVICE, 1, mixed);
    for (unsigned seed = 0; seed < 2 * seeds; seed++) {
        uint64_t numbers = seed;
        for (int role = 0; role < 2; role++)
            assert_true(milgi_conn_write(pair.side[role].conn, text, PIECE_MAX) >= 0);
        for (unsigned turns = (unsigned)draw(&numbers, 12); turns > 0; turns--) {
            for (int role = 0; role < 2; role++)
                (void)pair_run(&pair.side[role], NULL);
            for (int role = 0; role < 2; role++)
                (void)pair_carry(&pair.side[role], 0);
        }
        pair_again(&pair, &again);
        settle(&pair, (size_t[2]){ 0, 0 });
    }
    struct milgi_engine_stats stats;
    milgi_engine_stats(pair.side[MILGI_SERVER].engine, &stats);
    assert_int_equal(stats.device[1].lost + stats.device[1].broken, 0);
    assert_int_equal(stats.conns, 1);
    pair_fini(&pair);
    assert_int_equal(milgi_devices_left(), 0);
}

static void connections_of_tls13_are_freed_with_records_under_way(void **state)
{
    (void)state;
    check_freed("1.3", false);
    check_freed("1.3", true);
}

static void connections_of_tls12_are_freed_with_records_under_way(void **state)
{
    (void)state;
    check_freed("1.2", false);
    check_freed("1.2", true);
}

static int setup(void **state)
{
    (void)state;
    wall_s = (int64_t)time(NULL);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(i * 13 + i / 251);
    configs_pair_begin(&peers, IDENTITY_ED25519); /* whose signatures are no accident */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++)
        milgi_config_unref(config[role]);
    configs_pair_end(&peers);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_done_first_the_wire_of_tls13_is_the_same),
        cmocka_unit_test(whatever_is_done_first_the_wire_of_tls12_is_the_same),
        cmocka_unit_test(connections_of_tls13_are_freed_with_records_under_way),
        cmocka_unit_test(connections_of_tls12_are_freed_with_records_under_way),
    };

    if (argc > 1)
        seeds = (unsigned)strtoul(argv[1], NULL, 10);
    bed_begin();
    return cmocka_run_group_tests(tests, setup, teardown);
}
