/* SPDX-License-Identifier: Apache-2.0 */
/* What connections ask of an engine: to be known to it, to have their turn, to have their ops done. */
#include "engine/batch.h"
#include "engine/enter.h"
#include "engine/inline.h"
#include "engine/ops.h"
#include "engine/route.h"
#include "engine/trace.h"

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
            if (milgi__traced(&e->tracer))
                milgi__trace_op_gone(e, op, MILGI_OP_CANCELLED);
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

/* --- ops -------------------------------------------------------------------------------------------------------- */

void milgi__engine_submit(struct milgi_engine *e, struct milgi__owner *owner, struct milgi_op *op, uint32_t slot)
{
    milgi__op_own(owner, op);
    op->e.slot = slot;
    struct milgi__dev *d = milgi__route_op(e, op);
    if (milgi__traced(&e->tracer))
        milgi__trace_op_start(e, d, op);
    if (d->flags & MILGI_CAP_INLINE) {
        milgi__op_inline(e, op);
        return;
    }
    milgi__stats_submit(&e->stat, op);
    milgi__op_enter(e, owner, d, op);
    if (milgi__dev_waiting(d) >= d->burst && milgi__dev_inside(d) < d->device->caps.max_in_flight)
        milgi__dev_flush(e, d);
}
