/* SPDX-License-Identifier: Apache-2.0 */
/* Out of the devices again, and what to wait for. */
#include "engine/impl.h"

static void came_back(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op, uint64_t now_ns)
{
    if (op->e.state == MILGI__OP_LENT) {
        /* Its owner was told long ago; only its memory comes home. */
        milgi__oplist_remove(&d->lent, op);
        milgi__stats_returned(&d->stat, op);
        milgi__op_release(e, op);
        return;
    }
    d->outstanding_ns -= op->e.cost_ns;
    /*
     * Around an op that did not wait for a unit the engine can take the time by itself, with what it did meanwhile:
     * only of a device that does not tell. What fails says nothing of how long the others take: a device that fails at
     * once is not a fast one.
     */
    bool performed = op->status == MILGI_OP_OK || op->status == MILGI_OP_REJECTED;
    if (performed && op->service_ns) {
        milgi__route_learn(d, op, op->service_ns, now_ns);
        d->tells = true;
    } else if (!d->tells && op->e.alone && op->status == MILGI_OP_OK)
        milgi__route_learn(d, op, now_ns - op->e.submitted_ns, now_ns);
    milgi__oplist_remove(&d->flight[op->cls], op);
    op->e.state = MILGI__OP_MADE;
    milgi__op_ended(e, op);
}

unsigned milgi__dev_poll(struct milgi_engine *e, struct milgi__dev *d)
{
    struct milgi_op *burst[MILGI__BURST];
    unsigned total = 0, n;
    uint32_t expected = milgi__dev_inside(d);
    /*
     * Bounded by what is in it now: what callbacks add comes in the next pass. With nothing in it once all the same,
     * for a notification may come late, and the descriptor would stay readable.
     */
    do {
        n = d->device->ops->dequeue(d->qp, burst, MILGI__BURST);
        if (n == 0)
            break;
        uint64_t now_ns = milgi__stats_burst_out(&e->stat, &d->stat, burst, n);
        for (unsigned i = 0; i < n; i++)
            came_back(e, d, burst[i], now_ns);
        total += n;
    } while (total < expected);
    if (total) {
        d->quiet_since_ns = e->now_ns;
        d->spins = 0;
    }
    return total;
}

/* --- what to wait for --------------------------------------------------------------------------- */

static void sooner(uint64_t *deadline_ns, uint64_t t)
{
    if (t < *deadline_ns)
        *deadline_ns = t;
}

/* Without a descriptor to wait for: look often at first, then by timer. */
static int arm_by_time(struct milgi_engine *e, struct milgi__dev *d, uint64_t *deadline_ns)
{
    uint64_t at = d->device->ops->next_event ? d->device->ops->next_event(d->qp) : UINT64_MAX;
    if (at != UINT64_MAX) {
        sooner(deadline_ns, at);
        return 0;
    }
    /* Only what was lost is in it: that may never come. */
    if (!milgi__dev_flight(d)) {
        sooner(deadline_ns, e->now_ns + MILGI__LENT_NS);
        return 0;
    }
    uint64_t quiet = e->now_ns - d->quiet_since_ns;
    /* A clock that stands still is not looked at for ever. */
    if (quiet < e->o.busy_poll_ns && d->spins++ < MILGI__LOOKS)
        return 1;
    /* An eighth of the time that it has been quiet, so that the wait is proportionate, between 50 us and 5 ms. */
    sooner(deadline_ns, e->now_ns + MILGI__MIN(MILGI__MAX(quiet / 8, 50000u), 5000000u));
    return 0;
}

/*
 * True if something is expected so soon that waking up for it would take longer. Not for ever, whatever the clock and
 * the expectation say.
 */
static bool is_near(const struct milgi_engine *e, struct milgi__dev *d)
{
    uint64_t now_ns = e->stat.last_ns, at = UINT64_MAX;
    if (d->spins++ >= MILGI__SPINS)
        return false;
    if (d->device->ops->next_event)
        at = d->device->ops->next_event(d->qp);
    for (unsigned cls = 0; at == UINT64_MAX && cls < MILGI_OP_CLASSES; cls++) {
        const struct milgi_op *op = d->flight[cls].first;
        /* When it should have come long ago, the expectation is worth nothing. */
        if (op && milgi__after(op->e.submitted_ns + op->e.cost_ns, e->o.spin_ns) >= now_ns)
            at = op->e.submitted_ns + op->e.cost_ns;
    }
    return at <= milgi__after(now_ns, e->o.spin_ns);
}

/* What the clock alone brings. */
static void note_deadlines(const struct milgi_engine *e, const struct milgi__dev *d, uint64_t *deadline_ns)
{
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        if (d->flight[cls].first && e->o.op_timeout_ns[cls])
            sooner(deadline_ns, milgi__after(d->flight[cls].first->e.submitted_ns, e->o.op_timeout_ns[cls]));
    }
    if (d->full_since_ns)
        sooner(deadline_ns, milgi__after(d->full_since_ns, milgi__dev_patience(e)));
    if (d->state == MILGI__DEV_LEAVING)
        sooner(deadline_ns, d->leave_ns);
}

int milgi__dev_arm(struct milgi_engine *e, struct milgi__dev *d, uint64_t *deadline_ns)
{
    if (!d->device)
        return 0;
    note_deadlines(e, d, deadline_ns);
    if (d->more_here || (d->state != MILGI__DEV_SERVING && milgi__dev_waiting(d)))
        return 1;
    /* Refused everything with nothing inside that is expected: nobody will wake us, so ask again soon. */
    if (!milgi__dev_flight(d) && milgi__dev_waiting(d))
        sooner(deadline_ns, e->now_ns + MILGI__RETRY_NS);
    if (!milgi__dev_inside(d))
        return d->state == MILGI__DEV_LEAVING;
    if (e->o.completion == MILGI_COMPLETION_BUSY && milgi__dev_flight(d))
        return 1;
    if (d->fd < 0 || !d->device->ops->arm)
        return arm_by_time(e, d, deadline_ns);
    if (e->o.completion == MILGI_COMPLETION_AUTO && is_near(e, d))
        return 1;
    e->armed = e->ever_armed = d->armed = true;
    if (d->device->ops->arm(d->qp))
        return 1;
    if (d->device->ops->next_event)
        sooner(deadline_ns, d->device->ops->next_event(d->qp));
    return 0;
}
