/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine that has nothing to do waits for. */
#include "engine/sleep.h"

#include "engine/health.h"

#define LEAVE_NS 1000000u  /* a device that is to be gone and is at something still is looked at this often */
#define SPINS 32u          /* a device is not waited for by more turns than these in a row */
#define LENT_NS 100000000u /* a device that owes only lost ops is looked at this often */
#define LOOKS 10000u       /* a device without a descriptor is not looked at more often in one go */

/* Without a descriptor to wait for: look often at first, then by timer. */
static int arm_by_time(struct milgi_engine *e, struct milgi__dev *d, struct milgi__wake *wake)
{
    uint64_t at = d->device->ops->next_event ? d->device->ops->next_event(d->qp) : UINT64_MAX;
    /* One that names a time that has passed, and then has nothing, is believed a few times. */
    if (at != UINT64_MAX && (at > e->now_ns || d->spins++ < LOOKS)) {
        milgi__sooner(&wake->must_ns, at);
        return 0;
    }
    /* Only what was lost is in it: that may never come. */
    if (!milgi__dev_flight(d)) {
        milgi__sooner(&wake->convenient_ns, e->now_ns + LENT_NS);
        return 0;
    }
    uint64_t quiet = e->now_ns - d->quiet_since_ns;
    /* A clock that stands still is not looked at for ever. */
    if (quiet < e->o.busy_poll_ns && d->spins++ < LOOKS)
        return 1;
    /* An eighth of the time that it has been quiet, so that the wait is proportionate, between 50 us and 5 ms. */
    milgi__sooner(&wake->must_ns, e->now_ns + MILGI__MIN(MILGI__MAX(quiet / 8, 50000u), 5000000u));
    return 0;
}

/*
 * True if something is expected so soon that waking up for it would take longer. Not for ever, whatever the clock and
 * the expectation say.
 */
static bool is_near(const struct milgi_engine *e, struct milgi__dev *d)
{
    uint64_t now_ns = e->stat.last_ns, at = UINT64_MAX;
    if (d->spins++ >= SPINS)
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
static void note_deadlines(const struct milgi_engine *e, const struct milgi__dev *d, struct milgi__wake *wake)
{
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        if (d->flight[cls].first && e->o.op_timeout_ns[cls])
            milgi__sooner(&wake->must_ns, milgi__after(d->flight[cls].first->e.submitted_ns, e->o.op_timeout_ns[cls]));
    }
    if (d->full_since_ns)
        milgi__sooner(&wake->must_ns, milgi__after(d->full_since_ns, milgi__dev_patience(e)));
    if (d->state == MILGI__DEV_LEAVING)
        milgi__sooner(&wake->must_ns, MILGI__MAX(d->leave_ns, e->now_ns + LEAVE_NS));
    if (d->state == MILGI__DEV_RETIRED && !d->probing && d->trial == MILGI__TRIAL_NONE)
        milgi__sooner(&wake->convenient_ns, d->retry_ns);
}

int milgi__dev_arm(struct milgi_engine *e, struct milgi__dev *d, struct milgi__wake *wake)
{
    if (!d->device)
        return 0;
    note_deadlines(e, d, wake);
    if (d->more_here || (d->state != MILGI__DEV_SERVING && d->trial != MILGI__TRIAL_TAKEN && milgi__dev_waiting(d)))
        return 1;
    /* Refused everything with nothing inside that is expected: nobody will wake us. */
    if (!milgi__dev_flight(d) && milgi__dev_waiting(d))
        milgi__sooner(&wake->must_ns, d->ask_ns);
    if (!milgi__dev_inside(d))
        return d->state == MILGI__DEV_LEAVING && e->now_ns >= d->leave_ns;
    if (e->o.completion == MILGI_COMPLETION_BUSY && milgi__dev_flight(d))
        return 1;
    if (d->fd < 0 || !d->device->ops->arm)
        return arm_by_time(e, d, wake);
    if (e->o.completion == MILGI_COMPLETION_AUTO && is_near(e, d))
        return 1;
    e->armed = e->ever_armed = d->armed = true;
    if (d->device->ops->arm(d->qp))
        return 1;
    if (d->device->ops->next_event)
        milgi__sooner(&wake->must_ns, d->device->ops->next_event(d->qp));
    return 0;
}
