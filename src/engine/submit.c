/* SPDX-License-Identifier: Apache-2.0 */
/* What connections ask of an engine: to be known to it, to have their turn, to have their ops done. */
#include "engine/batch.h"
#include "engine/enter.h"
#include "engine/inline.h"
#include "engine/ops.h"
#include "engine/route.h"

/* --- owners ----------------------------------------------------------------------------------------------------- */

int milgi__engine_attach(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    if (e->owners.n >= e->o.conn_limit)
        return MILGI_ELIMIT;
    return milgi__owners_add(&e->owners, owner) ? 0 : MILGI_ENOMEM;
}

/* What has not begun never does, what is in a device becomes an orphan. */
static void abandon(struct milgi_engine *e, struct milgi__owner *owner)
{
    while (owner->first_op) {
        struct milgi_op *op = owner->first_op;
        struct milgi__dev *d = &e->dev[op->dev];
        milgi__op_disown(owner, op);
        if (op->e.state == MILGI__OP_WAITING) {
            milgi__line_remove(&e->fair, d, owner, op);
            milgi__stats_dropped(&d->stat, op);
            milgi__op_release(e, op);
        } else if (op->e.state == MILGI__OP_IN_FLIGHT && !(d->flags & MILGI_CAP_INLINE)) {
            op->flags |= MILGI__OP_ORPHAN;
            e->orphans++;
            if ((d->flags & MILGI_CAP_CANCEL) && d->device->ops->cancel)
                d->device->ops->cancel(d->qp, op);
        }
    }
}

void milgi__engine_detach(struct milgi_engine *e, struct milgi__owner *owner)
{
    abandon(e, owner);
    milgi__owners_remove(&e->owners, owner);
}

struct milgi__owner *milgi__engine_find(struct milgi_engine *e, uint32_t index, uint32_t generation)
{
    return milgi__owners_find(&e->owners, index, generation);
}

void milgi__engine_runnable(struct milgi_engine *e)
{
    if (e->running || e->scheduled)
        return;
    e->scheduled = true;
    if (e->o.schedule)
        e->o.schedule(e->o.schedule_ctx, e);
}

void milgi__engine_ready(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (milgi__list_empty(&owner->ready))
        milgi__list_append(&e->owners.ready, &owner->ready);
    milgi__engine_runnable(e);
}

void milgi__engine_dirty(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (milgi__list_empty(&owner->dirty))
        milgi__list_append(&e->owners.dirty, &owner->dirty);
}

void milgi__engine_wait(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (milgi__list_empty(&owner->waiting))
        milgi__list_append(&e->owners.waiting, &owner->waiting);
}

void milgi__engine_deadline(struct milgi_engine *e, struct milgi__owner *owner, uint64_t deadline_ns)
{
    milgi__owners_deadline(&e->owners, owner, deadline_ns);
}

/* --- ops -------------------------------------------------------------------------------------------------------- */

void milgi__engine_submit(struct milgi_engine *e, struct milgi__owner *owner, struct milgi_op *op, uint32_t slot)
{
    milgi__op_own(owner, op);
    op->e.slot = slot;
    struct milgi__dev *d = milgi__route_op(e, op);
    if (d->flags & MILGI_CAP_INLINE) {
        milgi__op_inline(e, op);
        return;
    }
    milgi__stats_submit(&e->stat, op);
    milgi__op_enter(e, owner, d, op);
    if (milgi__dev_waiting(d) >= d->burst && milgi__dev_inside(d) < d->device->caps.max_in_flight)
        milgi__dev_flush(e, d);
}
