/* SPDX-License-Identifier: Apache-2.0 */
/* From the lines before a device into it, in bursts. */
#include "engine/impl.h"

/* True if what is outstanding leaves room for one more of this cost: a queue is bounded by time, not by depth alone. */
static bool time_left(const struct milgi_engine *e, const struct milgi__dev *d, uint64_t more_ns)
{
    uint64_t limit = e->o.outstanding_ns * d->device->caps.parallelism;
    return d->outstanding_ns + more_ns <= limit;
}

static uint32_t in_flight(const struct milgi__dev *d)
{
    return d->flight[0].n + d->flight[1].n + d->lent.n;
}

/* Nobody waits for it any more and no device has begun it: it never runs. */
static bool drop_orphan(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op)
{
    if (milgi__engine_find(e, op->e.owner_index, op->e.owner_generation))
        return false;
    milgi__oplist_remove(&d->line[op->cls], op);
    milgi__stats_dropped(&d->stat, op);
    milgi__op_release(e, op);
    return true;
}

/* Takes the next burst off the lines, in the order of their turns. */
static unsigned gather(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op **burst)
{
    uint32_t depth = d->device->caps.max_in_flight, used = in_flight(d);
    uint64_t cost = 0;
    unsigned n = 0;
    while (n < MILGI__BURST && used + n < depth) {
        int cls = milgi__fair_pick(e, d);
        if (cls < 0)
            break;
        struct milgi_op *op = d->line[cls].first;
        if (drop_orphan(e, d, op))
            continue;
        /* One goes in however long it takes, when it would be alone. */
        if (!time_left(e, d, cost + op->e.cost_ns) && (n || d->outstanding_ns))
            break;
        milgi__oplist_remove(&d->line[cls], op);
        milgi__fair_charge(d, (unsigned)cls, op->e.cost_ns);
        cost += op->e.cost_ns;
        burst[n++] = op;
    }
    return n;
}

/* A refused op is offered again unchanged: back to the front of its line. */
static void put_back(struct milgi__dev *d, struct milgi_op *op)
{
    struct milgi__oplist *line = &d->line[op->cls];
    op->e.prev = NULL;
    op->e.next = line->first;
    if (line->first)
        line->first->e.prev = op;
    else
        line->last = op;
    line->first = op;
    line->n++;
}

/* Says to expire() since when something waits and nothing is accepted: refused, or no place beside what is in it. */
static void note_full(const struct milgi_engine *e, struct milgi__dev *d)
{
    if (!d->line[0].n && !d->line[1].n)
        d->full_since_ns = 0;
    else if (!d->full_since_ns)
        d->full_since_ns = e->now_ns;
}

/* The line before a device that is out of service: some of it on the inline device, the rest in the next turn. */
static void spill(struct milgi_engine *e, struct milgi__dev *d)
{
    uint64_t spent = 0;
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        while (d->line[cls].first && spent < MILGI__SPILL_NS) {
            struct milgi_op *op = d->line[cls].first;
            if (drop_orphan(e, d, op))
                continue;
            milgi__oplist_remove(&d->line[cls], op);
            milgi__stats_spilled(&d->stat, op);
            spent += op->e.cost_ns;
            milgi__op_inline(e, op);
        }
    }
}

void milgi__dev_flush(struct milgi_engine *e, struct milgi__dev *d)
{
    struct milgi_op *burst[MILGI__BURST];
    unsigned n;
    if (!d->in_service) {
        spill(e, d);
        return;
    }
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
        milgi__stats_line(&d->stat, cls, d->line[cls].n);
    while ((n = gather(e, d, burst)) > 0) {
        for (unsigned i = 0; i < n; i++) {
            burst[i]->status = MILGI_OP_PENDING;
            burst[i]->e.submitted_ns = e->now_ns;
            burst[i]->e.state = MILGI__OP_IN_FLIGHT;
        }
        uint64_t stamp = milgi__stats_clock(&e->stat);
        unsigned taken = d->device->ops->enqueue(d->qp, burst, n);
        for (unsigned i = 0; i < taken; i++) {
            struct milgi_op *op = burst[i];
            d->outstanding_ns += op->e.cost_ns;
            milgi__oplist_append(&d->flight[op->cls], op);
        }
        milgi__stats_burst_in(&e->stat, &d->stat, burst, n, taken, stamp);
        if (taken) {
            d->quiet_since_ns = e->now_ns;
            d->full_since_ns = 0;
        }
        for (unsigned i = n; i > taken; i--) {
            burst[i - 1]->e.state = MILGI__OP_WAITING;
            put_back(d, burst[i - 1]);
        }
        if (taken < n)
            break;
    }
    note_full(e, d);
}

void milgi__dev_retire(struct milgi_engine *e, struct milgi__dev *d)
{
    d->in_service = false;
    d->full_since_ns = 0;
    d->retry_ns = e->now_ns + MILGI__RETIRE_NS;
}
