/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops that go straight into a device go as if turns had been worked out for them. Two engines are given the same work
 * on the same device, and one of them sorts everything that waits; what reaches the device, what comes back and what is
 * counted must be the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/parts.h"

#define OWNERS 8u
#define DEPTH 96u
#define LOG 16384u
#define STEPS 20000u

/* --- a device that does as it is told ---------------------------------------------------------------------------- */

struct milgi_qp {
    struct milgi_op *in[2 * DEPTH], *out[2 * DEPTH];
    unsigned in_n, out_n;
    unsigned room;             /* ops that it takes until it is told otherwise */
    unsigned straight, sorted; /* bursts, by how they came */
    unsigned refused;          /* straight ones of which it did not take all */
    struct milgi__dev *seen_by;
    uint64_t log[LOG];
    unsigned log_n;
};

static struct milgi_qp *opening; /* which of the two qp_open() is for */

static struct milgi_qp *told_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    (void)device;
    (void)clock;
    return opening;
}

static void told_close(struct milgi_qp *qp)
{
    (void)qp;
}

static void note(struct milgi_qp *qp, uint64_t what)
{
    assert_true(qp->log_n < LOG);
    qp->log[qp->log_n++] = what;
}

static unsigned told_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    unsigned taken = MILGI__MIN(n, MILGI__MIN(qp->room, DEPTH - qp->in_n));
    unsigned *how = qp->seen_by->fresh.n ? &qp->straight : &qp->sorted;
    ++*how;
    qp->refused += qp->seen_by->fresh.n && taken < n;
    note(qp, (uint64_t)n << 32 | taken);
    for (unsigned i = 0; i < n; i++)
        note(qp, ops[i]->e.slot);
    for (unsigned i = 0; i < taken; i++)
        qp->in[qp->in_n++] = ops[i];
    qp->room -= taken;
    return taken;
}

static unsigned told_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned got = MILGI__MIN(n, qp->out_n);
    memcpy(ops, qp->out, got * sizeof(struct milgi_op *));
    qp->out_n -= got;
    memmove(qp->out, qp->out + got, qp->out_n * sizeof(struct milgi_op *));
    return got;
}

/* The op at |at| of those in it is done, after |service_ns|. */
static void told_to_finish(struct milgi_qp *qp, unsigned at, uint32_t service_ns)
{
    struct milgi_op *op = qp->in[at];
    op->status = MILGI_OP_OK;
    op->service_ns = service_ns;
    memmove(qp->in + at, qp->in + at + 1, (--qp->in_n - at) * sizeof(struct milgi_op *));
    qp->out[qp->out_n++] = op;
}

static const struct milgi_device_ops told_ops = {
    .name = "told",
    .qp_open = told_open,
    .qp_close = told_close,
    .enqueue = told_enqueue,
    .dequeue = told_dequeue,
};

/* --- the two engines --------------------------------------------------------------------------------------------- */

struct member {
    struct milgi__owner owner;
    struct side *side;
};

struct side {
    uint64_t now_ns;
    struct milgi_engine *engine;
    struct milgi_device device;
    struct milgi_qp qp;
    struct member member[OWNERS];
};

static struct side sides[2]; /* [1] sorts */
static uint64_t seed;
static uint32_t slots;

static unsigned draw(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)((seed >> 33) % n);
}

static uint64_t owner_turn(struct milgi__owner *owner, uint64_t budget_ns, bool *more)
{
    (void)owner;
    (void)budget_ns;
    *more = false;
    return 0;
}

static void owner_done(struct milgi__owner *owner, struct milgi_op *op)
{
    note(&MILGI__ENTRY(owner, struct member, owner)->side->qp, (uint64_t)op->status << 48 | op->e.slot);
}

static void owner_nothing(struct milgi__owner *owner)
{
    (void)owner;
}

static const struct milgi__owner_ops owner_ops = { owner_turn, owner_done, owner_nothing, owner_nothing, owner_nothing,
    owner_nothing };

static uint64_t side_ns(void *ctx)
{
    return ((struct side *)ctx)->now_ns;
}

static int64_t side_s(void *ctx)
{
    (void)ctx;
    return 1000;
}

static void side_init(struct side *side, unsigned parallelism)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    memset(side, 0, sizeof *side);
    side->now_ns = 1000000000;
    options.clock = (struct milgi_clock){ side_ns, side_s, side };
    options.share[MILGI_OP_CLASS_RECORDS] = 3;
    options.outstanding_ns = 200000;
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 0;
    side->device = (struct milgi_device){ .ops = &told_ops,
        .caps = { .ops = (1u << MILGI_OP_TYPES) - 1,
            .flags = MILGI_CAP_SCATTER,
            .parallelism = parallelism,
            .max_in_flight = DEPTH,
            .best_batch = 24 },
        .spec = "told" };
    assert_int_equal(milgi_engine_new(&options, &side->engine), 0);
    opening = &side->qp;
    assert_int_equal(milgi_engine_add_device(side->engine, &side->device), 1);
    assert_int_equal(milgi_engine_route(side->engine, UINT32_MAX, 1, 1), 0);
    side->engine->fair.sorts = side == &sides[1];
    side->qp.seen_by = &side->engine->dev[1];
    for (unsigned i = 0; i < OWNERS; i++) {
        side->member[i] = (struct member){ .owner = { .ops = &owner_ops }, .side = side };
        assert_int_equal(milgi__engine_attach(side->engine, &side->member[i].owner), 0);
    }
}

static void side_fini(struct side *side)
{
    for (unsigned i = 0; i < OWNERS; i++)
        milgi__engine_detach(side->engine, &side->member[i].owner);
    while (side->qp.in_n)
        told_to_finish(&side->qp, 0, 0);
    assert_int_equal(milgi_engine_free(side->engine), 0);
}

static void submit(struct side *side, unsigned owner, unsigned cls, uint32_t len)
{
    struct milgi_op *op = milgi__engine_op_new(side->engine, false);
    assert_non_null(op);
    op->type = cls == MILGI_OP_CLASS_RECORDS ? MILGI_OP_SEAL : MILGI_OP_KEYGEN;
    op->cls = (uint8_t)cls;
    if (cls == MILGI_OP_CLASS_RECORDS)
        op->alg = MILGI_SUITE_AES_128_GCM_SHA256;
    else
        op->alg = len < 1000 ? MILGI_GROUP_SECP256R1 : MILGI_GROUP_X25519; /* of different cost */
    if (cls == MILGI_OP_CLASS_HANDSHAKE)
        memset(&op->u.kex, 0, sizeof op->u.kex);
    op->u.aead.src_n = cls == MILGI_OP_CLASS_RECORDS;
    if (cls == MILGI_OP_CLASS_RECORDS) {
        op->u.aead.src[0] = (struct milgi_slice){ NULL, NULL, len };
        op->u.aead.dst_len = len + 17;
    }
    milgi__engine_submit(side->engine, &side->member[owner].owner, op, slots);
}

static void both_submit(unsigned owner, unsigned cls, uint32_t len)
{
    slots++;
    for (unsigned i = 0; i < 2; i++)
        submit(&sides[i], owner, cls, len);
}

static void both_run(uint64_t ns)
{
    struct milgi_run_result result;
    for (unsigned i = 0; i < 2; i++) {
        sides[i].now_ns += ns;
        assert_int_equal(milgi_engine_run(sides[i].engine, 0, &result), 0);
    }
}

/* Its ops that wait are dropped; those in the device come back for nobody. */
static void both_replace(unsigned owner)
{
    for (unsigned i = 0; i < 2; i++) {
        milgi__engine_detach(sides[i].engine, &sides[i].member[owner].owner);
        assert_int_equal(milgi__engine_attach(sides[i].engine, &sides[i].member[owner].owner), 0);
    }
}

/* --- what is done, and compared ---------------------------------------------------------------------------------- */

static void compare(void)
{
    struct milgi_engine_stats stats[2];
    const struct milgi__dev *a = &sides[0].engine->dev[1], *b = &sides[1].engine->dev[1];
    assert_int_equal(sides[0].qp.log_n, sides[1].qp.log_n);
    assert_memory_equal(sides[0].qp.log, sides[1].qp.log, sides[0].qp.log_n * sizeof(uint64_t));
    sides[0].qp.log_n = sides[1].qp.log_n = 0;
    assert_int_equal(a->turn, b->turn);
    assert_int_equal(a->outstanding_ns, b->outstanding_ns);
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        assert_int_equal(a->line[cls].n, b->line[cls].n);
        assert_int_equal(a->line[cls].cost_ns, b->line[cls].cost_ns);
        assert_true(a->line[cls].deficit == b->line[cls].deficit);
        assert_int_equal(a->flight[cls].n, b->flight[cls].n);
        assert_memory_equal(a->stat.cls[cls].batch, b->stat.cls[cls].batch, sizeof a->stat.cls[cls].batch);
    }
    memset(stats, 0, sizeof stats);
    for (unsigned i = 0; i < 2; i++) {
        milgi_engine_stats(sides[i].engine, &stats[i]);
        stats[i].device[1].name = stats[i].device[1].spec = NULL;
    }
    assert_memory_equal(&stats[0].device[1], &stats[1].device[1], sizeof stats[0].device[1]);
    assert_int_equal(stats[0].orphans, stats[1].orphans);
}

/* Some ops: of one owner, of one after the other, of whoever comes; mostly of one class. */
static void some_ops(void)
{
    static const uint32_t lens[] = { 1, 64, 1400, 16000 };
    unsigned n = 1 + draw(draw(3) ? 16 : 48), pattern = draw(4), first = draw(OWNERS);
    unsigned cls = draw(4) ? MILGI_OP_CLASS_RECORDS : MILGI_OP_CLASS_HANDSHAKE;
    if (pattern == 1)
        n = MILGI__MIN(n, OWNERS);
    for (unsigned i = 0; i < n && sides[0].engine->slab.alive < 400; i++) {
        unsigned owner = pattern == 0 ? first : pattern == 1 ? (first + i) % OWNERS
                                                             : draw(OWNERS);
        both_submit(owner, pattern == 3 && draw(8) == 0 ? !cls : cls, lens[draw(4)]);
    }
}

static void some_come_back(void)
{
    for (unsigned n = draw(2 * DEPTH); n > 0 && sides[0].qp.in_n; n--) {
        unsigned at = draw(sides[0].qp.in_n);
        uint32_t service_ns = draw(16) ? 0 : 200 + draw(8000);
        for (unsigned i = 0; i < 2; i++)
            told_to_finish(&sides[i].qp, at, service_ns);
    }
}

static void step(void)
{
    unsigned room = draw(5) ? 2 * DEPTH : draw(30);
    for (unsigned i = 0; i < 2; i++)
        sides[i].qp.room = room;
    if (draw(3))
        some_come_back();
    if (draw(4))
        some_ops();
    if (draw(20) == 0)
        both_replace(draw(OWNERS));
    if (draw(8))
        both_run(draw(4) ? draw(20000) : draw(20000000));
    compare();
}

static void what_goes_straight_goes_as_if_turns_had_been_worked_out(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 8; round++) {
        seed = round + 1;
        for (unsigned i = 0; i < 2; i++)
            side_init(&sides[i], round % 2 ? 1 : 16);
        for (unsigned i = 0; i < STEPS / 8; i++)
            step();
        /* Both ways were gone, and often; whoever sorts goes one of them only. */
        assert_true(sides[0].qp.straight > 100);
        assert_true(sides[0].qp.refused > 10);
        assert_true(sides[0].qp.sorted > 100);
        assert_int_equal(sides[1].qp.straight, 0);
        for (unsigned i = 0; i < 2; i++)
            side_fini(&sides[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_straight_goes_as_if_turns_had_been_worked_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
