/* SPDX-License-Identifier: Apache-2.0 */
/* Out of the devices again. */
#include "engine/poll.h"

#include "engine/health.h"
#include "engine/ops.h"
#include "engine/route.h"

/* NULL, or what is wrong with |op|, which |d| says it gives back. It may be any address. */
static const char *complaint(const struct milgi_engine *e, const struct milgi__dev *d, const struct milgi_op *op)
{
    if (!milgi__slab_has(&e->slab, op))
        return "it gave back what is no op of this engine";
    /* One that it gives back twice is somebody else's by now, or nobody's. */
    bool has = op->dev == d->index && (op->e.state == MILGI__OP_IN_FLIGHT || op->e.state == MILGI__OP_LENT);
    return has ? NULL : "it gave back an op that it did not have";
}

/*
 * Around an op that did not wait for a unit the engine can take the time by itself, with what it did meanwhile: only of
 * a device that does not tell. What fails says nothing of how long the others take: a device that fails at once is not
 * a fast one.
 */
static void learn(const struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op, uint64_t now_ns)
{
    if (op->service_ns && (op->status == MILGI_OP_OK || op->status == MILGI_OP_REJECTED)) {
        milgi__route_learn(e, d, op, op->service_ns);
        uint64_t done_ns = op->e.submitted_ns + op->service_ns;
        if (op->e.first)
            milgi__route_learn_wake(d, now_ns > done_ns ? now_ns - done_ns : 0);
        d->tells = true;
    } else if (op->e.alone && !d->tells && op->status == MILGI_OP_OK && now_ns > op->e.submitted_ns)
        milgi__route_learn(e, d, op, now_ns - op->e.submitted_ns);
}

static void came_back(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op, uint64_t now_ns)
{
    milgi__stats_out(&d->stat, op, now_ns);
    if (op->status == MILGI_OP_PENDING || op->status >= MILGI_OP_LOST) {
        milgi__dev_lied(e, d, "it gave back an op without saying how that ended");
        op->status = MILGI_OP_BROKEN;
        op->device_code = MILGI_CODE_LIED;
    }
    if (op->e.state == MILGI__OP_LENT) {
        /* Its owner was told long ago; only its memory comes home. */
        milgi__oplist_remove(&d->lent, op);
        milgi__stats_returned(&d->stat, op);
        milgi__op_release(e, op);
        return;
    }
    d->outstanding_ns -= op->e.cost_ns;
    if (d->flags & MILGI_CAP_CALLER) /* a clock that stands still says nothing */
        e->spent_ns += op->service_ns ? op->service_ns : op->e.cost_ns;
    learn(e, d, op, now_ns);
    milgi__oplist_remove(&d->flight[op->cls], op);
    op->e.state = MILGI__OP_MADE;
    milgi__dev_heard(e, d, op);
    milgi__op_ended(e, d, op);
}

/* What |d| says it gives back, without what it has no business with. Returns how many ops have come back. */
static unsigned take(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *const *burst, unsigned n)
{
    uint64_t now_ns = milgi__stats_clock(&e->stat);
    unsigned kept = 0;
    for (unsigned i = 0; i < n; i++) {
        const char *wrong = complaint(e, d, burst[i]);
        if (wrong) {
            milgi__dev_lied(e, d, wrong);
            continue;
        }
        came_back(e, d, burst[i], now_ns);
        kept++;
    }
    return kept;
}

unsigned milgi__dev_poll(struct milgi_engine *e, struct milgi__dev *d)
{
    struct milgi_op *burst[MILGI__BURST];
    unsigned total = 0, n, kept;
    uint32_t expected = milgi__dev_inside(d);
    /*
     * Bounded by what is in it now: what callbacks add comes in the next pass. With nothing in it once all the same,
     * for a notification may come late, and the descriptor would stay readable.
     */
    do {
        n = d->device->ops->dequeue(d->qp, burst, MILGI__BURST);
        if (n == 0)
            break;
        if (n > MILGI__BURST) {
            milgi__dev_lied(e, d, "it says that it gave back more ops than it was asked for");
            n = MILGI__BURST;
        }
        kept = take(e, d, burst, n);
        total += kept;
    } while (kept && total < expected);
    if (total) {
        d->quiet_since_ns = e->now_ns;
        d->spins = 0;
        d->retry_after_ns = 0; /* there is room in it */
    }
    return total;
}
