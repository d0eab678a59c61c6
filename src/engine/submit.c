/* SPDX-License-Identifier: Apache-2.0 */
/* How an op gets into its device: at once, on the engine's own thread, or through a line and from there in bursts. */
#include "engine/submit.h"

#include "engine/health.h"
#include "engine/keys.h"
#include "engine/ops.h"
#include "engine/poll.h"
#include "engine/route.h"
#include "engine/trace.h"

#define LEARN_ONE_OF 16u /* of the inline device's ops is measured, when that is wanted */
/* This thread works for so long on what it took upon itself; then it looks at the device. */
#define LOOK_NS 20000u
#define SPILL_NS 1000000u /* service time that a turn spends on what waits before one device */
/* A device that is full with nothing in flight is asked again after the first of these, then twice that ... */
#define RETRY_NS 100000u
#define RETRY_MAX_NS 10000000u

/* --- at once ------------------------------------------------------------------------------------------------------ */

static void run_inline(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi__dev *d = &e->dev[0];
    struct milgi_op *done = NULL;
    op->dev = 0;
    op->status = MILGI_OP_PENDING;
    op->device_code = 0;
    op->service_ns = 0;
    op->e.group = MILGI__GROUP_NONE;
    op->flags &= (uint16_t)~MILGI__OP_CHECK;
    if (op->key && !(op->key->used & 1) && !milgi__key_ready(d, op->key)) {
        d->probed[op->e.kind] = false;
        milgi__op_fail(e, op, milgi__key_is_here(op->key) ? MILGI_CODE_NO_MEMORY : MILGI_CODE_NO_DEVICE);
        return;
    }
    op->e.state = MILGI__OP_IN_FLIGHT;
    milgi__stats_inline_in(&e->stat, &d->stat, op);
    if (milgi__traced(&e->tracer))
        milgi__trace_op_sent(e, d, op);
    /* Ops of handshakes are dear enough to be timed all; records are charged by their owner's estimate. */
    bool handshake = op->cls == MILGI_OP_CLASS_HANDSHAKE;
    bool timed = handshake || milgi__route_is_tried(d, op) ||
        (e->learn_inline && op->e.estimate_ns && ++e->learn_tick % LEARN_ONE_OF == 0);
    uint64_t begin_ns = timed ? milgi__stats_clock(&e->stat) : 0;
    if (d->device->ops->enqueue(d->qp, &op, 1) != 1 || d->device->ops->dequeue(d->qp, &done, 1) != 1) {
        op->status = MILGI_OP_BROKEN;
        done = op;
    }
    uint64_t end_ns = timed ? milgi__stats_clock(&e->stat) : 0;
    uint64_t took_ns = end_ns > begin_ns ? end_ns - begin_ns : 0;
    if (handshake) /* a clock that stands still or jumps back says nothing */
        e->spent_ns += took_ns ? took_ns : milgi__route_inline_ns(e, op);
    if (took_ns && op->e.estimate_ns && (done->status == MILGI_OP_OK || done->status == MILGI_OP_REJECTED))
        milgi__route_learn(e, d, done, took_ns);
    d->probed[op->e.kind] = false; /* it has been tried, also where that told nothing */
    milgi__stats_inline_out(&e->stat, &d->stat, done);
    milgi__op_ended(e, d, done);
}

uint32_t milgi__engine_short(const struct milgi_engine *e, int type)
{
    const struct milgi__route *r = &e->route[type];
    if (!e->o.short_path || milgi__traced(&e->tracer) || !e->dev[0].device->ops->process)
        return 0;
    return r->set == 1 ? UINT32_MAX : r->min_record;
}

void milgi__engine_process(
    struct milgi_engine *e, int type, struct milgi_key *key, struct milgi_op_record *records, unsigned n)
{
    struct milgi__dev *d = &e->dev[0];
    key->used |= 1u; /* it is an AEAD key, which needs no more to be ready */
    bool sampled = milgi__stats_records_in(&e->stat, &d->stat, type, n);
    uint64_t begin_ns = e->stat.last_ns;
    d->device->ops->process(d->qp, type, key, records, n);
    milgi__stats_records_out(&d->stat, type, records, n);
    if (sampled)
        milgi__stats_records_sample(&e->stat, &d->stat, begin_ns);
}

void milgi__engine_unprocess(struct milgi_engine *e, int type, const struct milgi_op_record *records, unsigned n)
{
    milgi__stats_records_off(&e->dev[0].stat, type, records, n);
}

/* --- into the line ------------------------------------------------------------------------------------------------ */

/*
 * Offloaded RSA signatures always, if not by the device itself; the others when it is not code of this process, tested
 * on this processor.
 */
static bool wants_check(const struct milgi_engine *e, const struct milgi__dev *d, const struct milgi_op *op)
{
    uint32_t trusted = MILGI_CAP_LIBCRYPTO | (e->o.check_tested ? 0 : MILGI_CAP_TESTED);
    if (op->type != MILGI_OP_SIGN || (d->flags & MILGI_CAP_INLINE))
        return false;
    return milgi__signs_by_rsa(op) ? !(d->flags & MILGI_CAP_VERIFIES) : !(d->flags & trusted);
}

static void enter(struct milgi_engine *e, struct milgi__owner *owner, struct milgi__dev *d, struct milgi_op *op)
{
    bool spills = e->o.full_policy == MILGI_FULL_SPILL && !(op->flags & MILGI__OP_ELSEWHERE);
    if (!(d->flags & MILGI_CAP_INLINE) && spills && d->line[op->cls].n > e->o.full_line) {
        milgi__stats_spilled(&d->stat, op);
        d = &e->dev[0];
    }
    if ((d->flags & MILGI_CAP_INLINE) || !milgi__line_append(&e->fair, d, owner, op)) {
        run_inline(e, op);
        return;
    }
    op->dev = d->index;
    if ((d->flags & MILGI_CAP_CALLER) && milgi__dev_waiting(d) + milgi__dev_flight(d) == 1)
        d->gather_since_ns = milgi__stats_clock(&e->stat);
    op->flags &= (uint16_t)~MILGI__OP_CHECK;
    if (wants_check(e, d, op))
        op->flags |= MILGI__OP_CHECK;
    op->e.state = MILGI__OP_WAITING;
    op->e.group = MILGI__GROUP_NONE;
    if (d->state == MILGI__DEV_RETIRED && d->trial == MILGI__TRIAL_OPEN)
        d->trial = MILGI__TRIAL_TAKEN;
    e->live |= 1u << d->index;
}

/* What waited before its device goes elsewhere. */
static void reroute(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi__dev *from = &e->dev[op->dev], *to;
    struct milgi__owner *owner = op->e.owner;
    milgi__stats_spilled(&from->stat, op);
    bool elsewhere = (op->flags & MILGI__OP_ELSEWHERE) != 0;
    to = milgi__route_op(e, op);
    if (elsewhere && (to == from || (to->flags & MILGI_CAP_INLINE)))
        milgi__op_fail(e, op, MILGI_CODE_RETIRED);
    else
        enter(e, owner, to, op);
}

/* --- out of the line, in bursts ----------------------------------------------------------------------------------- */

/* What one look at the lines decides. */
struct burst {
    struct milgi_op *op[MILGI__BURST];   /* for the device */
    struct milgi_op *here[MILGI__BURST]; /* for the engine's own thread, which is sooner done */
    struct milgi__mark mark[MILGI__BURST];
    unsigned n, here_n;
    uint64_t groups, singles; /* kinds, as bits: those that are sent because they are many; those that are not */
    uint64_t cost_ns, here_ns;
    enum {
        WAKE_UNKNOWN,
        WAKE,
        LET_SLEEP
    } wake; /* what sleeps, for what is as quick here */
};

/* The same of a host whose turns are shorter: others of its loop wait for them. */
static uint64_t spill_ns(const struct milgi_engine *e)
{
    return e->budget_ns && e->budget_ns < SPILL_NS ? e->budget_ns : SPILL_NS;
}

/* How long each unit of the device has to do, what goes there now included. */
static uint64_t ahead_ns(const struct milgi__dev *d, const struct burst *b)
{
    return (d->outstanding_ns + b->cost_ns) / d->device->caps.parallelism;
}

/*
 * True if what is in the device leaves room for one more of this cost. A queue is bounded by time, not by depth alone,
 * so that nothing that comes waits long in it; but each unit may have an op and the next one. What works on this thread
 * is given no more than a turn may add to what it has done.
 */
static bool time_left(const struct milgi__dev *d, const struct burst *b, uint32_t more_ns)
{
    if (d->flags & MILGI_CAP_CALLER)
        return milgi__dev_flight(d) + b->n == 0 || d->outstanding_ns + b->cost_ns + more_ns <= SPILL_NS;
    if (milgi__dev_flight(d) + b->n < 2 * (uint64_t)d->device->caps.parallelism)
        return true;
    return d->outstanding_ns + b->cost_ns + more_ns <= d->limit_ns;
}

enum place {
    THERE,
    THERE_TOGETHER,
    HERE,
    LATER
};

/* Would this thread have finished it before the device, all counted that is to be done before it? */
static bool sooner_here(
    struct milgi_engine *e, struct milgi__dev *d, const struct burst *b, const struct milgi_op *op)
{
    uint64_t here_ns = b->here_ns + milgi__route_inline_ns(e, op), there_ns = op->e.cost_ns;
    if (milgi__dev_flight(d) + b->n == 0)
        there_ns += d->wake_ns;
    if (milgi__dev_flight(d) + b->n >= d->device->caps.parallelism)
        there_ns += ahead_ns(d, b);
    if (here_ns <= there_ns)
        return !milgi__route_probe(e, d, op, there_ns, here_ns);
    return milgi__route_probe(e, &e->dev[0], op, here_ns, there_ns);
}

_Static_assert(MILGI__HANDSHAKE_KINDS <= 64, "a burst keeps the kinds of its groups as bits");

static uint64_t kind_bit(const struct milgi_op *op)
{
    return (uint64_t)1 << (op->e.kind - MILGI__RECORD_KINDS);
}

/* All of its kind that wait are, and go together; or none is. */
static bool is_of_a_group(
    const struct milgi_engine *e, struct milgi__dev *d, struct burst *b, const struct milgi_op *op)
{
    if (!(d->flags & MILGI_CAP_TOGETHER) || op->e.kind < MILGI__RECORD_KINDS || (b->singles & kind_bit(op)))
        return false;
    if (b->groups & kind_bit(op))
        return true;
    uint32_t n = milgi__fair_count(&d->line[op->cls], op->e.kind, MILGI__GROUP_LOOK);
    uint64_t wake_ns = milgi__dev_flight(d) ? 0 : d->wake_ns;
    bool together = milgi__route_together(e, d, op, n, milgi__route_inline_ns(e, op),
        wake_ns + d->outstanding_ns / d->device->caps.parallelism);
    if (!together)
        b->singles |= kind_bit(op);
    return together;
}

/* What sleeps is left alone, since this thread is soon through with all that waits, which is as quick here. */
static bool lets_sleep(struct milgi_engine *e, const struct milgi__dev *d, struct burst *b, const struct milgi_op *op)
{
    if (milgi__dev_flight(d) + b->n)
        return false;
    if (b->wake == WAKE_UNKNOWN) {
        bool worth = milgi__route_worth_waking(d, milgi__dev_waiting(d), milgi__route_inline_ns(e, op), op->e.cost_ns);
        b->wake = worth ? WAKE : LET_SLEEP;
    }
    return b->wake == LET_SLEEP;
}

/*
 * Whether this thread does one of a group, behind its first: only so is it known what the others would take here, which
 * they are held against.
 */
static bool is_tried_here(struct milgi_engine *e, const struct burst *b, const struct milgi_op *op)
{
    uint64_t here_ns = milgi__route_inline_ns(e, op);
    return (b->groups & kind_bit(op)) && b->here_n < MILGI__BURST &&
        milgi__route_probe(e, &e->dev[0], op, here_ns, here_ns);
}

/* The same of a device that is let sleep. */
static bool is_tried_there(struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op)
{
    uint64_t here_ns = milgi__route_inline_ns(e, op), there_ns = d->wake_ns + op->e.cost_ns;
    return milgi__route_probe(e, d, op, MILGI__MAX(there_ns, here_ns), here_ns);
}

/*
 * Where the next op goes: to whoever would have finished it first, unless a device would be woken for little. Beside a
 * device that is about as fast as this thread, neither is to wait for the other while there is work: this thread takes
 * upon itself no more than it does before it looks at the device, the device gets what it needs until then, and the
 * rest stays in the line until both are further. |full|: the device takes none now.
 */
static enum place place_of(
    struct milgi_engine *e, struct milgi__dev *d, struct burst *b, const struct milgi_op *op, bool full)
{
    if (!(op->flags & MILGI__OP_EITHER))
        return full ? LATER : THERE;
    if (!full && is_of_a_group(e, d, b, op))
        return is_tried_here(e, b, op) ? HERE : THERE_TOGETHER;
    bool alike = op->e.cost_ns <= 2 * milgi__route_inline_ns(e, op);
    bool busy_here = b->here_n == MILGI__BURST || b->here_ns >= (alike ? LOOK_NS : spill_ns(e));
    bool alone = full || (alike && lets_sleep(e, d, b, op));
    if (busy_here && alone)
        return LATER;
    if (alone)
        return !full && is_tried_there(e, d, op) ? THERE : HERE;
    if (busy_here)
        return ahead_ns(d, b) < 2 * LOOK_NS ? THERE : LATER;
    bool awake = milgi__dev_flight(d) + b->n > 0;
    if (alike && awake && ahead_ns(d, b) < LOOK_NS)
        return THERE;
    return sooner_here(e, d, b, op) ? HERE : THERE;
}

/* Takes the next ops off the lines, in the order of their turns. */
static void gather(struct milgi_engine *e, struct milgi__dev *d, struct burst *b)
{
    uint32_t depth = d->device->caps.max_in_flight, used = milgi__dev_inside(d);
    struct milgi__mark unused;
    struct milgi_op *op;
    b->n = b->here_n = 0;
    b->groups = b->singles = 0;
    b->wake = WAKE_UNKNOWN;
    b->cost_ns = b->here_ns = 0;
    while (b->n < MILGI__BURST && (op = milgi__fair_pick(&e->fair, d))) {
        bool full = used + b->n >= depth || !time_left(d, b, op->e.cost_ns);
        enum place place = place_of(e, d, b, op, full);
        if (place == LATER)
            break;
        if (place == HERE) {
            milgi__fair_take(d, op, &unused);
            b->here[b->here_n++] = op;
            b->here_ns += milgi__route_inline_ns(e, op);
            continue;
        }
        milgi__fair_take(d, op, &b->mark[b->n]);
        b->op[b->n++] = op;
        if (place == THERE_TOGETHER) {
            op->e.group = b->groups & kind_bit(op) ? MILGI__GROUP_REST : MILGI__GROUP_FIRST;
            b->groups |= kind_bit(op);
            op->e.cost_ns = milgi__route_group_ns(d, op);
        }
        b->cost_ns += op->e.cost_ns;
    }
}

/*
 * Says to milgi__dev_watch() since when something waits and nothing is accepted: refused, or no place in it. With
 * nothing in it that will come back nobody will say when there is room: it is asked again, less and less often.
 */
static void note_full(const struct milgi_engine *e, struct milgi__dev *d)
{
    if (!milgi__dev_waiting(d) || milgi__dev_flight(d)) {
        d->retry_after_ns = 0;
    } else if (e->now_ns >= d->ask_ns || !d->retry_after_ns) {
        d->retry_after_ns = MILGI__MIN(MILGI__MAX(2 * d->retry_after_ns, RETRY_NS), RETRY_MAX_NS);
        d->ask_ns = e->now_ns + d->retry_after_ns;
    }
    if (!milgi__dev_waiting(d))
        d->full_since_ns = 0;
    else if (!d->full_since_ns)
        d->full_since_ns = e->now_ns;
}

/* The line before a device that takes none, in the order of turns: some of it elsewhere, the rest in the next turn. */
static void spill(struct milgi_engine *e, struct milgi__dev *d)
{
    uint64_t spent = 0, begin_ns = e->spent_ns;
    struct milgi__mark unused;
    struct milgi_op *op;
    while (spent + e->spent_ns - begin_ns < spill_ns(e) && (op = milgi__fair_pick(&e->fair, d))) {
        milgi__fair_take(d, op, &unused);
        milgi__fair_settle(d);
        /* Records are not measured. */
        spent += op->cls == MILGI_OP_CLASS_RECORDS ? op->e.estimate_ns : 0;
        reroute(e, op);
    }
    e->spent_ns += spent;
}

/* Offers |n| ops. Returns how many were taken; what the engine notes of that is up to note_taken(). */
static unsigned offer(
    struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *const *ops, unsigned n, uint64_t stamp)
{
    uint32_t before = milgi__dev_inside(d), parallelism = d->device->caps.parallelism;
    /* What the first takes by itself says nothing of when it comes back, which is with the others. */
    bool together = n > 1 && (d->flags & MILGI_CAP_TOGETHER) && ops[0]->cls != MILGI_OP_CLASS_RECORDS;
    for (unsigned i = 0; i < n; i++) {
        struct milgi_op *op = ops[i];
        op->status = MILGI_OP_PENDING;
        op->service_ns = 0;
        op->e.submitted_ns = stamp;
        op->e.state = MILGI__OP_IN_FLIGHT;
        op->e.alone = before + i < parallelism;
        op->e.first = before + i == 0 && !together;
    }
    unsigned taken = d->device->ops->enqueue(d->qp, ops, n);
    if (taken <= n)
        return taken;
    milgi__dev_lied(e, d, "it says that it took more ops than it was offered");
    return n;
}

/* Of |n| ops that were offered at |stamp| |d| has the first |taken|. */
static void note_taken(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *const *ops, unsigned n,
    unsigned taken, uint64_t stamp)
{
    bool traced = milgi__traced(&e->tracer);
    milgi__stats_burst_in(&e->stat, &d->stat, ops, n, taken, stamp);
    for (unsigned i = 0; i < taken; i++) {
        struct milgi_op *op = ops[i];
        d->outstanding_ns += op->e.cost_ns;
        milgi__oplist_append(&d->flight[op->cls], op);
        if (traced)
            milgi__trace_op_sent(e, d, op);
    }
    if (taken) {
        d->quiet_since_ns = e->now_ns;
        d->full_since_ns = 0;
        d->spins = 0;
    }
}

/* What was refused of a burst goes back to where it was. */
static void take_back(struct milgi__dev *d, struct burst *b, unsigned taken)
{
    for (unsigned i = b->n; i > taken; i--) {
        struct milgi_op *op = b->op[i - 1];
        op->e.state = MILGI__OP_WAITING;
        if (op->e.group != MILGI__GROUP_NONE) /* as it was when it was taken */
            op->e.cost_ns = milgi__dev_expected_ns(d, op->e.kind, op->e.estimate_ns);
        op->e.group = MILGI__GROUP_NONE;
        milgi__fair_put_back(d, op, &b->mark[i - 1]);
    }
}

/* The burst is offered. True: it was taken whole. */
static bool send(struct milgi_engine *e, struct milgi__dev *d, struct burst *b)
{
    uint64_t stamp = milgi__stats_clock(&e->stat);
    unsigned taken = offer(e, d, b->op, b->n, stamp);
    note_taken(e, d, b->op, b->n, taken, stamp);
    take_back(d, b, taken);
    return taken == b->n;
}

/* --- straight in -------------------------------------------------------------------------------------------------- */

/*
 * The one place that decides it: what has come since nothing waited goes in as it came, if that is the order in which
 * it would go, this thread has no part in it, and there is room for all of it.
 */
static bool goes_straight(const struct milgi__dev *d)
{
    const struct milgi__fresh *fresh = &d->fresh;
    if (!milgi__fair_in_order(d) || (fresh->flags & MILGI__OP_EITHER) || (d->flags & MILGI_CAP_CALLER))
        return false;
    const struct milgi_device_caps *caps = &d->device->caps;
    uint64_t cost_ns = d->line[fresh->op[0]->cls].cost_ns;
    bool in_time = d->outstanding_ns + cost_ns <= d->limit_ns ||
        milgi__dev_flight(d) + fresh->n <= 2 * (uint64_t)caps->parallelism;
    return in_time && milgi__dev_inside(d) + fresh->n <= caps->max_in_flight;
}

/* As send() of a burst that was gathered; the turns are worked out only when something is refused. */
static void send_straight(struct milgi_engine *e, struct milgi__dev *d)
{
    struct milgi__fresh *fresh = &d->fresh;
    uint64_t stamp = milgi__stats_clock(&e->stat);
    unsigned n = fresh->n, taken = offer(e, d, fresh->op, n, stamp);
    if (taken == n) {
        note_taken(e, d, fresh->op, n, taken, stamp);
        milgi__fair_gone(&e->fair, d);
        return;
    }
    struct burst b = { .n = n };
    for (unsigned i = 0; i < n; i++) {
        b.op[i] = milgi__fair_pick(&e->fair, d);
        milgi__fair_take(d, b.op[i], &b.mark[i]);
    }
    note_taken(e, d, b.op, n, taken, stamp);
    take_back(d, &b, taken);
    milgi__fair_settle(d);
}

/* --- when --------------------------------------------------------------------------------------------------------- */

/*
 * A small burst may wait for more while the device has work; it must not for longer than the host allows, and what the
 * device had no room for has waited already.
 */
static bool holds(struct milgi_engine *e, struct milgi__dev *d)
{
    bool may = e->o.batch_wait_ns && e->o.completion == MILGI_COMPLETION_BUSY && milgi__dev_flight(d) &&
        !d->full_since_ns && milgi__dev_waiting(d) < d->burst;
    if (may && !d->held_since_ns)
        d->held_since_ns = e->now_ns;
    if (may && e->now_ns - d->held_since_ns < e->o.batch_wait_ns)
        return true;
    d->held_since_ns = 0;
    return false;
}

/* |op| on this thread, charged to the turn. */
static void run_here(struct milgi_engine *e, struct milgi_op *op)
{
    if (op->cls == MILGI_OP_CLASS_RECORDS)
        e->spent_ns += milgi__route_inline_ns(e, op);
    run_inline(e, op);
}

/* What waits before the inline device: second tries, for as long as a turn may take. */
static void run_line(struct milgi_engine *e, struct milgi__dev *d)
{
    uint64_t begin_ns = e->spent_ns;
    struct milgi__mark unused;
    struct milgi_op *op;
    while (e->spent_ns - begin_ns < spill_ns(e) && (op = milgi__fair_pick(&e->fair, d))) {
        milgi__fair_take(d, op, &unused);
        milgi__fair_settle(d);
        run_here(e, op);
    }
    d->more_here = milgi__dev_waiting(d) > 0;
}

void milgi__dev_flush(struct milgi_engine *e, struct milgi__dev *d)
{
    uint64_t begin_ns = e->spent_ns;
    d->more_here = false;
    if (d->flags & MILGI_CAP_INLINE) {
        run_line(e, d);
        return;
    }
    if (d->state != MILGI__DEV_SERVING && d->trial != MILGI__TRIAL_TAKEN) {
        spill(e, d);
        return;
    }
    if (holds(e, d))
        return;
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
        milgi__stats_line(&d->stat, cls, d->line[cls].n);
    if (goes_straight(d)) {
        send_straight(e, d);
        note_full(e, d);
        return;
    }
    for (bool more = true; more && !d->more_here;) {
        struct burst b;
        gather(e, d, &b);
        more = b.n + b.here_n > 0 && (b.n == 0 || send(e, d, &b));
        milgi__fair_settle(d);
        for (unsigned i = 0; i < b.here_n; i++)
            run_here(e, b.here[i]);
        if (b.here_n) /* what has the device done meanwhile? */
            milgi__dev_poll(e, d);
        d->more_here = e->spent_ns - begin_ns >= spill_ns(e) && milgi__dev_waiting(d);
    }
    note_full(e, d);
}

/* --- from its owner ----------------------------------------------------------------------------------------------- */

void milgi__engine_submit(struct milgi_engine *e, struct milgi__owner *owner, struct milgi_op *op, uint32_t slot)
{
    milgi__op_own(owner, op);
    op->e.slot = slot;
    struct milgi__dev *d = milgi__route_op(e, op);
    if (milgi__traced(&e->tracer))
        milgi__trace_op_start(e, d, op);
    if (d->flags & MILGI_CAP_INLINE) {
        run_inline(e, op);
        return;
    }
    milgi__stats_submit(&e->stat, op);
    enter(e, owner, d, op);
    if (milgi__dev_waiting(d) >= d->burst && milgi__dev_inside(d) < d->device->caps.max_in_flight)
        milgi__dev_flush(e, d);
}
