/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets how much of a saturated device, and how long an op may wait there. Device time is what the model of the
 * device says that each op took; the bounds are those of docs/scheduling.md. ctest-timeout: 240
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/parts.h"
#include "loop.h"

/* The modelled device: an RSA-4096 signature takes 5 ms, a record 2 us and 6 us per KiB. */
#define MODEL "latency.sign=5ms,latency.keygen=50us,latency.seal=2us,kib=6us"
#define SIGN_NS 5000000u
#define SEAL_NS(len) (2000u + 6000u * (uint64_t)(len) / 1024)
#define CLIENTS 16

/* One client: what it sends, and how many ops it always has before the device. */
struct kind {
    uint32_t len; /* 0: signatures */
    unsigned waiting;
};

struct scene {
    struct kind kind[CLIENTS];
    unsigned clients;
    uint32_t share[MILGI_OP_CLASSES];
    uint64_t outstanding_ns; /* 0: the default */
    unsigned units;
    const char *words;     /* more of the device's description */
    uint32_t claims_depth; /* what the device says that it takes, when that is not so */
    uint64_t warm_ns, measured_ns;
};

static struct loop loop;
static struct loop_client client[CLIENTS];
static uint64_t before_ns[CLIENTS];

static unsigned class_of(const struct kind *kind)
{
    return kind->len ? MILGI_OP_CLASS_RECORDS : MILGI_OP_CLASS_HANDSHAKE;
}

static uint64_t cost_of(const struct kind *kind)
{
    return kind->len ? SEAL_NS(kind->len) : SIGN_NS;
}

/* docs/scheduling.md, "How long an op may wait", for an op with |own_ns| of its connection before it. */
static uint64_t bound_ns(const struct scene *s, const struct kind *kind, uint64_t own_ns)
{
    unsigned cls = class_of(kind), flows = 0;
    uint64_t largest[MILGI_OP_CLASSES] = { 0 };
    for (unsigned i = 0; i < s->clients; i++) {
        unsigned of = class_of(&s->kind[i]);
        largest[of] = MILGI__MAX(largest[of], cost_of(&s->kind[i]));
        flows += of == cls;
    }
    uint64_t c = MILGI__MAX(largest[0], largest[1]), l = s->outstanding_ns ? s->outstanding_ns : 20000000;
    uint64_t w = own_ns + cost_of(kind), q = largest[cls], r = (w + q - 1) / q;
    uint64_t v = w + (flows - 1) * (r + 1) * q;
    uint64_t mine = s->share[cls] * (uint64_t)MILGI__QUANTUM_NS, others = s->share[!cls] * (uint64_t)MILGI__QUANTUM_NS;
    uint64_t x = v;
    if (largest[!cls])
        x += ((v + mine - 1) / mine + 1) * others + largest[!cls];
    return MILGI__MAX(l, 2 * c) + x / s->units + c;
}

static void fill(const struct scene *s, bool timed)
{
    for (unsigned i = 0; i < s->clients; i++) {
        const struct kind *kind = &s->kind[i];
        for (unsigned n = loop_waiting(&client[i]); n < kind->waiting; n++) {
            uint64_t own_ns = loop_waiting(&client[i]) * cost_of(kind);
            int slot = kind->len ? loop_seal(&client[i], kind->len) : loop_sign(&client[i], loop.rsa);
            assert_true(slot >= 0);
            if (timed && loop_waiting(&client[i]))
                client[i].bound_ns[slot] = bound_ns(s, kind, own_ns);
        }
    }
}

static void play(const struct scene *s)
{
    char spec[96];
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    memcpy(options.share, s->share, sizeof options.share);
    options.outstanding_ns = s->outstanding_ns ? s->outstanding_ns : options.outstanding_ns;
    loop_init(&loop, &options);
    snprintf(spec, sizeof spec, "sim:" MODEL ",units=%u%s", s->units, s->words ? s->words : "");
    struct milgi_device *device;
    assert_int_equal(milgi_device_new(spec, &device, NULL), 0);
    device->caps.max_in_flight = s->claims_depth ? s->claims_depth : device->caps.max_in_flight;
    unsigned index = loop_open(&loop, device);
    assert_int_equal(milgi_engine_route(loop.engine, UINT32_MAX, index, 1), 0);
    for (unsigned i = 0; i < s->clients; i++)
        loop_attach(&loop, &client[i]);
    uint64_t warm = loop.now_ns + s->warm_ns, end = warm + s->measured_ns;
    while (loop.now_ns < warm) {
        fill(s, false);
        loop_run(&loop);
    }
    for (unsigned i = 0; i < s->clients; i++)
        before_ns[i] = client[i].device_ns;
    while (loop.now_ns < end) {
        fill(s, true);
        loop_run(&loop);
    }
}

static uint64_t got_ns(unsigned i)
{
    return client[i].device_ns - before_ns[i];
}

/* Of the time that the device worked, each class has its share, and of that each client the same. */
static void judge(const struct scene *s)
{
    double total = 0, cls_ns[MILGI_OP_CLASSES] = { 0 }, sum = (double)(s->share[0] + s->share[1]);
    unsigned n[MILGI_OP_CLASSES] = { 0 };
    uint64_t largest[MILGI_OP_CLASSES] = { 0 };
    for (unsigned i = 0; i < s->clients; i++) {
        unsigned cls = class_of(&s->kind[i]);
        cls_ns[cls] += (double)got_ns(i);
        total += (double)got_ns(i);
        n[cls]++;
        largest[cls] = MILGI__MAX(largest[cls], cost_of(&s->kind[i]));
        if (client[i].worst_part > 1)
            fail_msg("client %u: an op took %.2f of its bound", i, client[i].worst_part);
    }
    /* Nothing of it was idle: else there would be nothing to share. */
    if (total < 0.98 * (double)s->measured_ns * s->units)
        fail_msg("the device worked for %.3f of its time", total / ((double)s->measured_ns * s->units));
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES && n[0] && n[1]; cls++) {
        double wanted = s->share[cls] / sum, got = cls_ns[cls] / total;
        if (got < 0.9 * wanted || got > 1.1 * wanted)
            fail_msg("class %u got %.3f of the device, not %.3f", cls, got, wanted);
    }
    for (unsigned i = 0; i < s->clients; i++) {
        unsigned cls = class_of(&s->kind[i]);
        double wanted = cls_ns[cls] / n[cls], room = 0.1 * wanted + (double)largest[cls];
        if ((double)got_ns(i) < wanted - room || (double)got_ns(i) > wanted + room)
            fail_msg("client %u got %.1f us, not %.1f us", i, (double)got_ns(i) / 1e3, wanted / 1e3);
    }
}

static void end(const struct scene *s)
{
    for (unsigned i = 0; i < s->clients; i++) {
        assert_int_equal(client[i].status[MILGI_OP_OK], client[i].done);
        loop_detach(&client[i]);
    }
    loop_fini(&loop);
}

static void check(const struct scene *s)
{
    play(s);
    judge(s);
    end(s);
}

/* --- classes ------------------------------------------------------------------------------------------------------ */

static void add(struct scene *s, unsigned clients, uint32_t len, unsigned waiting)
{
    while (clients-- > 0)
        s->kind[s->clients++] = (struct kind){ len, waiting };
}

static struct scene scene(uint32_t records, uint32_t handshakes, unsigned units)
{
    struct scene s = { .share = { records, handshakes }, .units = units };
    s.warm_ns = 60000000;
    s.measured_ns = 600000000;
    return s;
}

static void shares(uint32_t records, uint32_t handshakes, unsigned units, const char *words)
{
    struct scene s = scene(records, handshakes, units);
    add(&s, 4, 0, 3);
    add(&s, 4, 16384, 50);
    s.words = words;
    check(&s);
}

static void each_class_gets_its_share_of_a_saturated_device(void **state)
{
    (void)state;
    shares(1, 1, 1, NULL);
    shares(3, 1, 1, NULL);
    shares(1, 3, 1, NULL);
}

static void the_shares_are_the_same_with_several_units(void **state)
{
    (void)state;
    shares(1, 1, 4, NULL);
    shares(3, 1, 4, NULL);
}

static void the_shares_are_the_same_with_a_short_queue(void **state)
{
    (void)state;
    shares(1, 1, 1, ",depth=4");
    shares(3, 1, 4, ",depth=12");
}

static void the_shares_are_the_same_when_little_may_be_outstanding(void **state)
{
    struct scene s = scene(1, 1, 2);
    (void)state;
    add(&s, 4, 0, 3);
    add(&s, 4, 16384, 50);
    s.outstanding_ns = 100000;
    check(&s);
}

/* It refuses most of nearly every burst. */
static void what_is_refused_is_not_charged_for(void **state)
{
    struct scene s = scene(1, 1, 1);
    struct milgi_engine_stats stats;
    (void)state;
    add(&s, 4, 0, 3);
    add(&s, 2, 16384, 50);
    add(&s, 1, 1024, 50);
    add(&s, 1, 64, 50);
    s.words = ",depth=3";
    s.claims_depth = 500;
    play(&s);
    judge(&s);
    loop_stats(&loop, &stats);
    assert_true(stats.device[1].full > stats.device[1].bursts / 2);
    end(&s);
}

/* The built-in table is far off for this device; the classes have the right shares all the same, and soon. */
static void what_ops_take_is_learned_from_a_device_that_is_never_idle(void **state)
{
    struct scene s = scene(1, 1, 2);
    (void)state;
    add(&s, 4, 0, 3);
    add(&s, 2, 16384, 1000);
    add(&s, 1, 64, 1000);
    s.warm_ns = 30000000;
    play(&s);
    judge(&s);
    uint64_t large = milgi_engine_expected_ns(loop.engine, 1, MILGI_OP_SEAL, loop.aead->alg, 16384);
    uint64_t small = milgi_engine_expected_ns(loop.engine, 1, MILGI_OP_SEAL, loop.aead->alg, 64);
    assert_in_range(large, SEAL_NS(16384) * 95 / 100, SEAL_NS(16384) * 105 / 100);
    assert_in_range(small, SEAL_NS(64) * 95 / 100, SEAL_NS(64) * 105 / 100);
    end(&s);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static void connections_share_equally_whatever_the_size_of_their_records(void **state)
{
    struct scene s = scene(1, 1, 1);
    (void)state;
    add(&s, 3, 64, 60);
    add(&s, 3, 16384, 60);
    add(&s, 1, 1000, 60);
    add(&s, 1, 3000, 60);
    s.outstanding_ns = 2000000;
    s.measured_ns = 80000000;
    check(&s);
    s.units = 4;
    s.measured_ns = 30000000;
    check(&s);
}

static void connections_share_equally_whatever_they_have_waiting(void **state)
{
    struct scene s = scene(1, 1, 1);
    (void)state;
    add(&s, 1, 16384, 2000);
    add(&s, 2, 16384, 8);
    add(&s, 1, 16384, 500);
    add(&s, 1, 0, 100);
    add(&s, 1, 0, 1);
    s.outstanding_ns = 2000000;
    check(&s);
}

static void small_records_are_not_held_up_by_signatures(void **state)
{
    struct scene s = scene(1, 1, 1);
    (void)state;
    add(&s, 8, 0, 3);
    add(&s, 1, 16384, 50);
    add(&s, 2, 64, 1);
    play(&s);
    for (unsigned i = 9; i < 11; i++) {
        assert_true(client[i].worst_part > 0 && client[i].worst_part <= 1);
        assert_true(client[i].worst_ns < 32000000); /* eight times three signatures are 120 ms */
    }
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_class_gets_its_share_of_a_saturated_device),
        cmocka_unit_test(the_shares_are_the_same_with_several_units),
        cmocka_unit_test(the_shares_are_the_same_with_a_short_queue),
        cmocka_unit_test(the_shares_are_the_same_when_little_may_be_outstanding),
        cmocka_unit_test(what_is_refused_is_not_charged_for),
        cmocka_unit_test(what_ops_take_is_learned_from_a_device_that_is_never_idle),
        cmocka_unit_test(connections_share_equally_whatever_the_size_of_their_records),
        cmocka_unit_test(connections_share_equally_whatever_they_have_waiting),
        cmocka_unit_test(small_records_are_not_held_up_by_signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
