/* SPDX-License-Identifier: Apache-2.0 */
/* Out of the devices again: completions, deadlines, and what to wait for. */
#include "engine/impl.h"

static void came_back(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op)
{
    d->outstanding_ns -= op->e.cost_ns;
    if (op->e.state == MILGI__OP_LENT) {
        /* Its owner was told long ago; only its memory comes home. */
        milgi__oplist_remove(&d->lent, op);
        milgi__stats_returned(&d->stat, op);
        milgi__op_release(e, op);
        return;
    }
    milgi__oplist_remove(&d->flight[op->cls], op);
    op->e.state = MILGI__OP_MADE;
    milgi__op_ended(e, op);
}

unsigned milgi__dev_poll(struct milgi_engine *e, struct milgi__dev *d)
{
    struct milgi_op *burst[MILGI__BURST];
    unsigned total = 0, n;
    uint32_t expected = d->flight[0].n + d->flight[1].n + d->lent.n;
    /*
     * Bounded by what is in it now: what callbacks add comes in the next pass. With nothing in it once all the same,
     * for a notification may come late, and the descriptor would stay readable.
     */
    do {
        n = d->device->ops->dequeue(d->qp, burst, MILGI__BURST);
        if (n)
            milgi__stats_burst_out(&e->stat, &d->stat, burst, n);
        for (unsigned i = 0; i < n; i++)
            came_back(e, d, burst[i]);
        total += n;
    } while (n > 0 && total < expected);
    if (total)
        d->quiet_since_ns = e->now_ns;
    return total;
}

void milgi__dev_expire(struct milgi_engine *e, struct milgi__dev *d)
{
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        uint64_t timeout = e->o.op_timeout_ns[cls];
        if (!timeout)
            continue;
        while (d->flight[cls].first && e->now_ns - d->flight[cls].first->e.submitted_ns >= timeout)
            milgi__op_lost(e, d, d->flight[cls].first);
    }
    uint64_t patience = e->o.op_timeout_ns[MILGI_CLASS_RECORDS];
    bool stuck = d->full_since_ns && patience && e->now_ns - d->full_since_ns >= patience;
    bool unwell = d->device->ops->health && d->device->ops->health(d->qp) != 0;
    bool sick = stuck || unwell || d->lent.n > e->o.quarantine_limit;
    if (sick && d->in_service)
        milgi__dev_retire(e, d);
    if (!sick && !d->in_service && d->lent.n == 0 && e->now_ns >= d->retry_ns)
        d->in_service = true;
}

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
    uint64_t quiet = e->now_ns - d->quiet_since_ns;
    if (quiet < e->o.busy_poll_ns)
        return 1;
    /* An eighth of the time that it has been quiet, so that the wait is proportionate, between 50 us and 5 ms. */
    sooner(deadline_ns, e->now_ns + MILGI__MIN(MILGI__MAX(quiet / 8, 50000u), 5000000u));
    return 0;
}

int milgi__dev_arm(struct milgi_engine *e, struct milgi__dev *d, uint64_t *deadline_ns)
{
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        if (d->flight[cls].first && e->o.op_timeout_ns[cls])
            sooner(deadline_ns, d->flight[cls].first->e.submitted_ns + e->o.op_timeout_ns[cls]);
    }
    if (!d->in_service && (d->line[0].n || d->line[1].n))
        return 1;
    if (d->full_since_ns && e->o.op_timeout_ns[MILGI_CLASS_RECORDS])
        sooner(deadline_ns, d->full_since_ns + e->o.op_timeout_ns[MILGI_CLASS_RECORDS]);
    uint32_t inside = d->flight[0].n + d->flight[1].n + d->lent.n;
    if (!inside) {
        /* Refused everything with nothing inside: nobody will wake us, so ask again soon. */
        if (d->line[0].n || d->line[1].n)
            sooner(deadline_ns, e->now_ns + MILGI__RETRY_NS);
        return 0;
    }
    if (d->fd < 0 || !d->device->ops->arm)
        return arm_by_time(e, d, deadline_ns);
    e->armed = d->armed = true;
    if (d->device->ops->arm(d->qp))
        return 1;
    if (d->device->ops->next_event)
        sooner(deadline_ns, d->device->ops->next_event(d->qp));
    return 0;
}
