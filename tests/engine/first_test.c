/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that go where they are done first. The inline device takes time here, too: performing an op moves the clock.
 * ctest-timeout: 240; ctest-wrap: milgi__op_perform
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/parts.h"
#include "engine/route.h"
#include "engine/submit.h"
#include "loop.h"

#define ALL UINT32_MAX

static struct loop loop;
static struct loop_client client;

void __real_milgi__op_perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded);
void __wrap_milgi__op_perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded);

/* As sim models: so much for a signature, so much per KiB of a record. */
static unsigned slowness = 1;

static uint64_t inline_ns(const struct milgi_op *op)
{
    if (op->type == MILGI_OP_SIGN)
        return 5000000;
    return op->type <= MILGI_OP_OPEN ? 500 + op->u.aead.src[0].len / 4 : 40000 * slowness;
}

void __wrap_milgi__op_perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded)
{
    if (op->dev == 0)
        loop.now_ns += inline_ns(op);
    __real_milgi__op_perform(cx, op, loaded);
}

static void begin(const char *device, const char *another, uint32_t bits, const struct milgi_engine_options *options)
{
    loop_init(&loop, options);
    (void)loop_device(&loop, device);
    if (another)
        (void)loop_device(&loop, another);
    assert_int_equal(milgi_engine_route_first(loop.engine, ALL, bits, 0), 0);
    loop_attach(&loop, &client);
}

static void end(void)
{
    loop_settle(&loop, &client, client.given);
    assert_int_equal(client.status[MILGI_OP_OK], client.done);
    loop_detach(&client);
    loop_fini(&loop);
}

static uint64_t submitted(unsigned index, enum milgi_op_type type)
{
    struct milgi_engine_stats stats;
    loop_stats(&loop, &stats);
    return stats.device[index].submitted[type];
}

/* |waiting| records of |len| bytes are always under way, until |n| have gone out. */
static void stream(unsigned n, uint32_t len, unsigned waiting)
{
    for (unsigned end_at = client.given + n; client.given < end_at;) {
        while (client.given < end_at && client.given - client.done < waiting)
            assert_true(loop_seal(&client, len) >= 0);
        loop_run(&loop);
    }
}

/* --- the engine's thread and a device ----------------------------------------------------------------------------- */

static void cheap_ops_stay_and_dear_ones_go(void **state)
{
    (void)state;
    begin("sim:latency.sign=1ms,latency.seal=20us,latency.keygen=1ms,units=8", NULL, 3, NULL);
    for (unsigned i = 0; i < 50; i++) {
        loop_seal(&client, 1000);
        loop_sign(&client, loop.rsa);
        loop_settle(&loop, &client, client.given);
    }
    assert_int_equal(submitted(1, MILGI_OP_SIGN), 50);
    assert_int_equal(submitted(0, MILGI_OP_SIGN), 0);
    assert_true(submitted(1, MILGI_OP_SEAL) <= 2);
    end();
}

/* Keygens that take this thread four times what its device needs, for a while: then a tenth. */
static void this_thread_that_was_slow_gets_something_again(void **state)
{
    (void)state;
    for (unsigned may = 0; may < 2; may++) {
        slowness = 4;
        begin("sim:latency.keygen=80us,units=1", NULL, 3, NULL);
        loop.engine->o.inline_max_ns = may ? 1000000 : 100000;
        loop.engine->dev[1].wake_ns = 1000;
        for (unsigned i = 0; i < 100; i++) {
            loop_keygen(&client);
            loop_settle(&loop, &client, client.given);
        }
        uint64_t before = submitted(0, MILGI_OP_KEYGEN);
        assert_in_range(before, 1, 20);
        slowness = 1;
        for (unsigned i = 0; i < 100; i++) {
            loop.now_ns += i % 10 == 0 ? 1000000000 : 0;
            loop_keygen(&client);
            loop_settle(&loop, &client, client.given);
        }
        assert_in_range(submitted(0, MILGI_OP_KEYGEN) - before, 50, 95);
        end();
    }
}

/* It was slow, and is tried by one op, not by all of a turn that has gone on into the next millisecond. */
static void this_thread_is_tried_by_one_op(void **state)
{
    (void)state;
    for (unsigned stands = 0; stands < 2; stands++) {
        slowness = 30;
        begin("sim:latency.keygen=80us,units=1", NULL, 3, NULL);
        loop.engine->o.inline_max_ns = stands ? 1000000 : 50000;
        for (unsigned i = 0; i < 20; i++) {
            loop_keygen(&client);
            loop_settle(&loop, &client, client.given);
        }
        (void)loop_run(&loop);
        loop.now_ns += 2000000000;
        (void)loop_run(&loop);
        loop.now_ns += 1500000; /* what the turn has done so far */
        slowness = stands ? 0 : 30;
        uint64_t before = submitted(0, MILGI_OP_KEYGEN);
        for (unsigned i = 0; i < 20; i++) {
            loop_keygen(&client);
            if (stands) /* while it works the clock does: nothing is learnt */
                loop_settle(&loop, &client, client.given);
        }
        assert_int_equal(submitted(0, MILGI_OP_KEYGEN) - before, 1);
        end();
    }
    slowness = 1;
}

/*
 * Keygens: 40 us here. There 10 us, as one of many in lanes: eight at once go together, fewer are done where they are
 * done first. 38 us there: found out, and tried again once a second.
 */
static void what_is_cheaper_together_is_not_divided(void **state)
{
    (void)state;
    for (unsigned gain = 0; gain < 2; gain++) {
        begin(gain ? "sim:latency.keygen=10us,units=2" : "sim:latency.keygen=38us,units=2", NULL, 3, NULL);
        loop.engine->o.inline_max_ns = 100000;
        loop.engine->dev[1].flags |= MILGI_CAP_TOGETHER;
        loop.engine->dev[1].wake_ns = 60000;
        for (unsigned i = 0; i < 200; i++) {
            for (unsigned k = 0; k < 16; k++)
                loop_keygen(&client);
            loop_settle(&loop, &client, client.given);
        }
        uint64_t here = submitted(0, MILGI_OP_KEYGEN), there = submitted(1, MILGI_OP_KEYGEN);
        assert_int_equal(here + there, 200 * 16);
        if (gain)
            assert_int_equal(here, 0);
        else
            assert_in_range(here, 200 * 3, 200 * 8);
        for (unsigned k = 0; k < 3; k++)
            loop_keygen(&client);
        loop_settle(&loop, &client, client.given);
        assert_true(submitted(0, MILGI_OP_KEYGEN) > here); /* too few */
        end();
    }
}

/* 38 us in a group, and 40 us here, where they seemed to take twice as long. */
static void what_this_thread_takes_is_known_beside_groups_too(void **state)
{
    (void)state;
    begin("sim:latency.keygen=38us,units=2", NULL, 3, NULL);
    loop.engine->o.inline_max_ns = 100000;
    loop.engine->dev[1].flags |= MILGI_CAP_TOGETHER;
    loop.engine->dev[1].wake_ns = 60000;
    for (unsigned i = 0; i < MILGI__KINDS; i++)
        loop.engine->dev[0].scale[i] *= 2;
    uint64_t here = 0;
    for (unsigned i = 0; i < 40; i++) {
        loop.now_ns += i < 20 ? 1000000000 : 0;
        here = i == 20 ? submitted(0, MILGI_OP_KEYGEN) : here;
        for (unsigned k = 0; k < 16; k++)
            loop_keygen(&client);
        loop_settle(&loop, &client, client.given);
    }
    assert_in_range(submitted(0, MILGI_OP_KEYGEN) - here, 20 * 3, 20 * 8);
    end();
}

static void keygen_p256(void)
{
    struct milgi_op *op = milgi__engine_op_new(loop.engine, false);
    struct milgi_chunk *chunk = milgi_chunk_new(loop.engine, 128);
    assert_true(op && chunk);
    op->type = MILGI_OP_KEYGEN;
    op->cls = MILGI_OP_CLASS_HANDSHAKE;
    op->alg = MILGI_GROUP_SECP256R1;
    memset(&op->u.kex, 0, sizeof op->u.kex);
    op->u.kex.share = (struct milgi_slice){ chunk, chunk->data, 128 };
    op->u.kex.seed_len = 40;
    memset(op->u.kex.seed, 7, 40);
    client.given++;
    milgi__engine_submit(loop.engine, &client.owner, op, 0);
}

/* No gain, which is found out by all of a kind, though they come one of each in turn. */
static void groups_that_come_mixed_are_groups(void **state)
{
    (void)state;
    begin("sim:latency.keygen=38us,units=2", NULL, 3, NULL);
    loop.engine->o.inline_max_ns = 100000;
    loop.engine->dev[1].flags |= MILGI_CAP_TOGETHER;
    loop.engine->dev[1].wake_ns = 60000;
    uint64_t here = 0;
    for (unsigned i = 0; i < 40; i++) {
        loop.now_ns += i == 39 ? 1000000000 : 0;
        here = submitted(0, MILGI_OP_KEYGEN);
        for (unsigned k = 0; k < 8; k++) {
            loop_keygen(&client);
            keygen_p256();
        }
        loop_settle(&loop, &client, client.given);
        if (i == 38)
            assert_true(submitted(0, MILGI_OP_KEYGEN) - here > 3); /* they are divided */
    }
    assert_in_range(submitted(0, MILGI_OP_KEYGEN) - here, 0, 3);
    end();
}

/* Four of each of two kinds are eight of none: what would be cheaper in a group is not sent as one. */
static void a_group_is_of_one_kind(void **state)
{
    (void)state;
    for (unsigned others = 0; others < 2; others++) {
        begin("sim:latency.keygen=38us,units=2", NULL, 3, NULL);
        loop.engine->o.inline_max_ns = 100000;
        loop.engine->dev[1].flags |= MILGI_CAP_TOGETHER;
        loop.engine->dev[1].wake_ns = 60000;
        for (unsigned i = 0; i < MILGI__HANDSHAKE_KINDS; i++)
            loop.engine->dev[1].group[i] = MILGI__SCALE_ONE / 8;
        for (unsigned k = 0; k < 8; k++) {
            if (k % 2 && others)
                keygen_p256();
            else
                loop_keygen(&client);
        }
        loop_settle(&loop, &client, client.given);
        if (others)
            assert_in_range(submitted(0, MILGI_OP_KEYGEN), 3, 8);
        else
            assert_int_equal(submitted(0, MILGI_OP_KEYGEN), 0);
        end();
    }
}

/* Groups in which each takes four times what would be a gain: one in four seconds is tried, of much dearer in 64. */
static void dear_groups_are_tried_seldom(void **state)
{
    (void)state;
    begin("sim:latency.keygen=40us,units=2", NULL, 3, NULL);
    struct milgi__dev *d = &loop.engine->dev[1];
    for (unsigned times = 1; times <= 256; times *= 4) {
        struct milgi_op op = { .e = { .kind = MILGI__RECORD_KINDS, .estimate_ns = 40000 } };
        uint64_t due_ns = (times < 64 ? times : 64) * UINT64_C(1000000000);
        d->group[0] = MILGI__SCALE_ONE * times;
        loop.engine->now_ns = 100 * UINT64_C(1000000000);
        d->group_ms[0] = 100 * 1000;
        loop.engine->now_ns += due_ns - 1000000;
        assert_false(milgi__route_together(loop.engine, d, &op, 8, 53332, 0));
        loop.engine->now_ns += 1000000;
        assert_true(milgi__route_together(loop.engine, d, &op, 8, 53332, 0));
        assert_false(milgi__route_together(loop.engine, d, &op, 8, 53332, 0));
    }
    end();
}

static struct milgi_device_ops partly;
static unsigned (*sim_enqueue)(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n);

static unsigned take_four(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    return sim_enqueue(qp, ops, n < 4 ? n : 4);
}

/* In the device they count as what they take together; those that are refused wait as what they take alone. */
static void a_group_is_charged_as_one(void **state)
{
    (void)state;
    for (unsigned taken = 4; taken <= 16; taken += 12) {
        begin("sim:latency.keygen=38us,units=2", NULL, 3, NULL);
        loop.engine->o.inline_max_ns = 100000;
        struct milgi__dev *d = &loop.engine->dev[1];
        struct milgi__line *line = &d->line[MILGI_OP_CLASS_HANDSHAKE];
        partly = *d->device->ops;
        sim_enqueue = partly.enqueue;
        partly.enqueue = taken == 4 ? take_four : sim_enqueue;
        d->device->ops = &partly;
        d->flags |= MILGI_CAP_TOGETHER;
        for (unsigned i = 0; i < MILGI__HANDSHAKE_KINDS; i++)
            d->group[i] = MILGI__SCALE_ONE / 8;
        for (unsigned k = 0; k < 16; k++)
            loop_keygen(&client);
        uint64_t alone_ns = line->cost_ns / 16;
        milgi__dev_flush(loop.engine, d);
        assert_int_equal(milgi__dev_flight(d), taken);
        assert_in_range(d->outstanding_ns, taken * (alone_ns / 8 - 1), taken * (alone_ns / 8 + 1));
        assert_int_equal(line->n, 16 - taken);
        assert_int_equal(line->cost_ns, line->n * alone_ns);
        end();
    }
}

/* 40 us here, 50 us there: what comes at once is shared, unless the engine's thread may not take that long. */
static void the_engine_helps_a_device_that_is_behind_and_no_more_than_it_may(void **state)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    (void)state;
    for (unsigned may = 0; may < 2; may++) {
        options.inline_max_ns = may ? 100000 : 10000;
        begin("sim:latency.keygen=50us,units=1", NULL, 3, &options);
        for (unsigned i = 0; i < 400; i++)
            loop_keygen(&client);
        uint64_t from_ns = loop.now_ns;
        loop_settle(&loop, &client, client.given);
        uint64_t here = submitted(0, MILGI_OP_KEYGEN), there = submitted(1, MILGI_OP_KEYGEN);
        assert_int_equal(here + there, 400);
        if (may) {
            assert_in_range(here, 150, 300);
            assert_true(loop.now_ns - from_ns < 400 * 40000u * 3 / 4);
        } else {
            assert_int_equal(here, 0);
        }
        end();
    }
}

/* 40 us here, 5 ms there: a host with short turns gets them back as it has asked, not when all that waited is done. */
static void what_this_thread_takes_upon_itself_is_as_short_as_the_turn(void **state)
{
    struct milgi_run_result result;
    (void)state;
    begin("sim:latency.keygen=5ms,units=1", NULL, 3, NULL);
    for (unsigned i = 0; i < 31; i++)
        loop_keygen(&client);
    for (unsigned turns = 0; turns < 2; turns++) {
        uint64_t from_ns = loop.now_ns;
        assert_int_equal(milgi_engine_run(loop.engine, 100000, &result), 0);
        assert_int_equal(result.next, MILGI_RUN_AGAIN);
        assert_in_range(loop.now_ns - from_ns, 40000, 3 * 140000);
    }
    end();
}

/* 40 us here and there, 300 us to wake it: of 16 a quarter of the time could be saved, for more of the processor's. */
static void a_device_is_not_woken_for_little(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 64; n *= 2) {
        begin("sim:latency.keygen=40us,units=1", NULL, 3, NULL);
        loop.engine->o.inline_max_ns = 100000;
        loop.engine->dev[1].wake_ns = 300000;
        for (unsigned i = 0; i < n; i++)
            loop_keygen(&client);
        loop_settle(&loop, &client, client.given);
        if (n <= 16)
            assert_int_equal(submitted(1, MILGI_OP_KEYGEN), 0);
        else
            assert_in_range(submitted(1, MILGI_OP_KEYGEN), 1, n - 1);
        end();
    }
}

/*
 * Four, of 40 us here and there, two of which would be there after 40 us more: with two units half the time is saved,
 * which pays; where one unit does them together a quarter, which does not.
 */
static void few_are_divided_when_several_units_do_them(void **state)
{
    (void)state;
    for (unsigned together = 0; together < 2; together++) {
        begin("sim:latency.keygen=40us,units=2", NULL, 3, NULL);
        loop.engine->o.inline_max_ns = 100000;
        loop.engine->dev[1].wake_ns = 40000;
        loop.engine->dev[1].flags |= together ? MILGI_CAP_TOGETHER : 0;
        for (unsigned i = 0; i < 4; i++)
            loop_keygen(&client);
        loop_settle(&loop, &client, client.given);
        if (together)
            assert_int_equal(submitted(1, MILGI_OP_KEYGEN), 0);
        else
            assert_int_equal(submitted(1, MILGI_OP_KEYGEN), 2);
        end();
    }
}

/* What is worth waking a device: a case on either side of each part of the reckoning. */
static void what_is_saved_is_worth_the_waking(void **state)
{
    static const struct {
        unsigned n, here, there, units, wake;
        bool worth;
    } cases[] = {
        { 1, 15, 15, 2, 15, false }, /* nothing is sooner */
        { 4, 15, 15, 1, 15, false }, /* 45 instead of 60, for 22 of waking */
        { 6, 15, 15, 1, 15, true },  /* 60 instead of 90 */
        { 4, 15, 15, 2, 15, true },  /* 30 instead of 60 */
        { 3, 40, 10, 1, 60, true },  /* 90 instead of 120, and 90 less work */
        { 3, 40, 40, 1, 60, false }, /* no less work */
        { 6, 15, 29, 1, 15, false }, /* 75 instead of 90, and 14 more work */
        { 0, 15, 15, 1, 15, false },
        { 1000000, 0, 0, 1, 1000000, false },
        { 4000000, 0, 0, 1, 1000000, true },
    };
    (void)state;
    begin("sim:units=2", NULL, 3, NULL);
    struct milgi__dev *d = &loop.engine->dev[1];
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        d->flags &= ~(uint32_t)MILGI_CAP_TOGETHER;
        d->flags |= cases[i].units == 1 ? MILGI_CAP_TOGETHER : 0;
        d->wake_ns = cases[i].wake;
        assert_int_equal(milgi__route_worth_waking(d, cases[i].n, cases[i].here, cases[i].there), cases[i].worth);
    }
    end();
}

static void what_waking_a_device_takes_is_learnt(void **state)
{
    (void)state;
    begin("sim:latency.sign=1ms,units=2", NULL, 2, NULL);
    struct milgi__dev *d = &loop.engine->dev[1];
    uint32_t least = d->device->caps.wake_ns, known = least;
    assert_int_equal(d->wake_ns, least);
    for (unsigned i = 0; i < 20; i++) {
        loop_sign(&client, loop.rsa);
        loop_sign(&client, loop.rsa); /* finds it awake, and says nothing */
        (void)loop_run(&loop);
        loop.now_ns += 4 * least; /* when it is done: so late it is heard of */
        loop_settle(&loop, &client, client.given);
        assert_true(d->wake_ns > known && d->wake_ns <= 4 * least);
        known = d->wake_ns;
    }
    assert_true(known > 3 * least);
    for (unsigned i = 0; i < 100; i++) {
        loop_sign(&client, loop.rsa);
        loop_settle(&loop, &client, client.given); /* as soon as it is done */
    }
    assert_int_equal(d->wake_ns, least); /* what it says itself is the least */
    milgi__route_learn_wake(d, UINT64_MAX);
    assert_in_range(d->wake_ns, least + 1, 2 * least); /* one time says little */
    for (unsigned i = 0; i < 1000; i++)
        milgi__route_learn_wake(d, UINT64_MAX);
    assert_int_equal(d->wake_ns, 1000000);
    end();
}

/* They come back together: when the first does says nothing. */
static void groups_say_nothing_of_what_waking_a_device_takes(void **state)
{
    (void)state;
    begin("sim:latency.sign=1ms,units=2", NULL, 2, NULL);
    struct milgi__dev *d = &loop.engine->dev[1];
    d->flags |= MILGI_CAP_TOGETHER;
    uint32_t least = d->wake_ns;
    for (unsigned n = 2; n > 0; n--) {
        for (unsigned i = 0; i < 20; i++) {
            for (unsigned k = 0; k < n; k++)
                loop_sign(&client, loop.rsa);
            (void)loop_run(&loop);
            loop.now_ns += 4 * least;
            loop_settle(&loop, &client, client.given);
        }
        assert_true(n == 2 ? d->wake_ns == least : d->wake_ns > 3 * least);
    }
    end();
}

static void small_records_stay(void **state)
{
    (void)state;
    begin("sim:latency.seal=100ns,records=2000", NULL, 3, NULL);
    stream(500, 1500, 100);
    assert_int_equal(submitted(1, MILGI_OP_SEAL), 0);
    stream(500, 8000, 100);
    assert_true(submitted(1, MILGI_OP_SEAL) > 200);
    end();
}

/* --- two devices -------------------------------------------------------------------------------------------------- */

static void the_load_is_split_as_the_speeds_are(void **state)
{
    (void)state;
    begin("sim:latency.seal=30us", "sim:latency.seal=10us", 6, NULL);
    stream(1000, 4000, 400); /* they are measured */
    uint64_t slow = submitted(1, MILGI_OP_SEAL), quick = submitted(2, MILGI_OP_SEAL);
    stream(4000, 4000, 400);
    slow = submitted(1, MILGI_OP_SEAL) - slow;
    quick = submitted(2, MILGI_OP_SEAL) - quick;
    assert_in_range(slow, 900, 1100);
    assert_in_range(quick, 2900, 3100);
    assert_int_equal(submitted(0, MILGI_OP_SEAL), 0);
    end();
}

static void a_device_with_more_units_gets_more(void **state)
{
    (void)state;
    begin("sim:latency.seal=20us,units=1", "sim:latency.seal=20us,units=4", 6, NULL);
    stream(4000, 4000, 400);
    assert_in_range(submitted(1, MILGI_OP_SEAL), 700, 900);
    end();
}

static void a_device_that_becomes_slow_gets_less_and_more_when_it_recovers(void **state)
{
    (void)state;
    begin("sim:kib=1us,latency.seal=1us", "sim:latency.seal=16us", 6, NULL);
    stream(2000, 4096, 64); /* 5 us against 16 us */
    uint64_t first = submitted(1, MILGI_OP_SEAL);
    assert_in_range(first, 1400, 1700);
    loop_settle(&loop, &client, client.given);
    for (unsigned i = 0; i < MILGI__KINDS; i++)
        loop.engine->dev[1].scale[i] *= 100; /* as after a time in which it was slow */
    uint64_t at = submitted(1, MILGI_OP_SEAL);
    stream(300, 4096, 8);
    assert_int_equal(submitted(1, MILGI_OP_SEAL) - at, 0);
    for (unsigned i = 0; i < 300; i++) { /* some time goes by */
        loop.now_ns += 1000000000;
        stream(20, 4096, 8);
    }
    at = submitted(1, MILGI_OP_SEAL);
    stream(2000, 4096, 64);
    assert_in_range(submitted(1, MILGI_OP_SEAL) - at, 1400, 1700);
    end();
}

static struct milgi_device_ops failing;
static unsigned (*sim_dequeue)(struct milgi_qp *qp, struct milgi_op **ops, unsigned n);

static unsigned break_all(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    n = sim_dequeue(qp, ops, n);
    for (unsigned i = 0; i < n; i++)
        ops[i]->status = MILGI_OP_BROKEN;
    return n;
}

static void a_device_that_fails_at_once_is_no_quick_one(void **state)
{
    struct milgi_device *device;
    (void)state;
    begin("sim:latency.seal=10us", NULL, 2, NULL);
    assert_int_equal(milgi_device_new("sim:latency=1ns", &device, NULL), 0);
    failing = *device->ops;
    sim_dequeue = failing.dequeue;
    failing.dequeue = break_all;
    device->ops = &failing;
    assert_int_equal(loop_open(&loop, device), 2);
    assert_int_equal(milgi_engine_route_first(loop.engine, ALL, 6, 0), 0);
    uint64_t before = milgi_engine_expected_ns(loop.engine, 2, MILGI_OP_SEAL, loop.aead->alg, 4096);
    stream(500, 4096, 8);
    assert_int_equal(milgi_engine_expected_ns(loop.engine, 2, MILGI_OP_SEAL, loop.aead->alg, 4096), before);
    end();
}

/* --- what overrides it -------------------------------------------------------------------------------------------- */

static void a_plain_route_overrides_it_and_the_reverse(void **state)
{
    (void)state;
    begin("sim:latency.seal=1ms", NULL, 3, NULL);
    assert_int_equal(milgi_engine_route(loop.engine, MILGI_OP_BIT(MILGI_OP_SEAL), 1, 1), 0);
    stream(50, 100, 10);
    assert_int_equal(submitted(1, MILGI_OP_SEAL), 50);
    assert_int_equal(milgi_engine_route(loop.engine, MILGI_OP_BIT(MILGI_OP_SEAL), 0, 0), 0);
    stream(50, 100, 10);
    assert_int_equal(submitted(0, MILGI_OP_SEAL), 50);
    assert_int_equal(milgi_engine_route_first(loop.engine, ALL, 2, 0), 0);
    stream(50, 100, 10);
    assert_int_equal(submitted(1, MILGI_OP_SEAL), 100);
    assert_int_equal(milgi_engine_route_first(loop.engine, ALL, 0, 0), MILGI_EINVAL);
    assert_int_equal(milgi_engine_route_first(loop.engine, ALL, 8, 0), MILGI_EINVAL);
    end();
}

static void what_is_in_place_never_leaves(void **state)
{
    (void)state;
    begin("sim:latency.seal=1ns", NULL, 2, NULL);
    struct milgi_op *op = milgi__engine_op_new(loop.engine, false);
    struct milgi_chunk *own = milgi_chunk_new(loop.engine, 4096 + 17);
    assert_non_null(own);
    op->type = MILGI_OP_SEAL;
    op->cls = MILGI_OP_CLASS_RECORDS;
    op->alg = loop.aead->alg;
    op->key = milgi__key_ref(loop.aead);
    op->u.aead = (struct milgi_op_aead){ .aad_len = 5, .src_n = 1, .inner_type = 23, .dst_len = 4096 + 17 };
    op->u.aead.in_place = 1;
    op->u.aead.dst = own->data;
    op->u.aead.src[0] = (struct milgi_slice){ own, own->data, 4096 };
    client.given++;
    milgi__engine_submit(loop.engine, &client.owner, op, 0);
    assert_int_equal(client.done, 1);
    assert_int_equal(submitted(1, MILGI_OP_SEAL), 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cheap_ops_stay_and_dear_ones_go),
        cmocka_unit_test(the_engine_helps_a_device_that_is_behind_and_no_more_than_it_may),
        cmocka_unit_test(this_thread_that_was_slow_gets_something_again),
        cmocka_unit_test(this_thread_is_tried_by_one_op),
        cmocka_unit_test(what_is_cheaper_together_is_not_divided),
        cmocka_unit_test(what_this_thread_takes_is_known_beside_groups_too),
        cmocka_unit_test(groups_that_come_mixed_are_groups),
        cmocka_unit_test(what_this_thread_takes_upon_itself_is_as_short_as_the_turn),
        cmocka_unit_test(a_device_is_not_woken_for_little),
        cmocka_unit_test(few_are_divided_when_several_units_do_them),
        cmocka_unit_test(what_is_saved_is_worth_the_waking),
        cmocka_unit_test(a_group_is_of_one_kind),
        cmocka_unit_test(a_group_is_charged_as_one),
        cmocka_unit_test(dear_groups_are_tried_seldom),
        cmocka_unit_test(what_waking_a_device_takes_is_learnt),
        cmocka_unit_test(groups_say_nothing_of_what_waking_a_device_takes),
        cmocka_unit_test(small_records_stay),
        cmocka_unit_test(the_load_is_split_as_the_speeds_are),
        cmocka_unit_test(a_device_with_more_units_gets_more),
        cmocka_unit_test(a_device_that_becomes_slow_gets_less_and_more_when_it_recovers),
        cmocka_unit_test(a_device_that_fails_at_once_is_no_quick_one),
        cmocka_unit_test(a_plain_route_overrides_it_and_the_reverse),
        cmocka_unit_test(what_is_in_place_never_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
