/* SPDX-License-Identifier: Apache-2.0 */
/* An op gets to where it was routed. */
#include "engine/enter.h"

#include "engine/end.h"
#include "engine/inline.h"
#include "engine/ops.h"
#include "engine/route.h"

/*= Offloaded RSA signatures always; the others when the device does not run this process's libcrypto. */
static bool wants_check(const struct milgi__dev *d, const struct milgi_op *op)
{
    if (op->type != MILGI_OP_SIGN || (d->flags & MILGI_CAP_INLINE))
        return false;
    const struct milgi__scheme *scheme = milgi__scheme(op->alg);
    bool rsa = !scheme || scheme->key == MILGI__KEY_RSA || scheme->key == MILGI__KEY_RSA_PSS;
    return rsa || !(d->flags & MILGI_CAP_LIBCRYPTO);
}

void milgi__op_enter(struct milgi_engine *e, struct milgi__owner *owner, struct milgi__dev *d, struct milgi_op *op)
{
    bool spills = e->o.full_policy == MILGI_FULL_SPILL && !(op->flags & MILGI__OP_ELSEWHERE);
    if (!(d->flags & MILGI_CAP_INLINE) && spills && d->line[op->cls].n > e->o.full_line) {
        milgi__stats_spilled(&d->stat, op);
        d = &e->dev[0];
    }
    if ((d->flags & MILGI_CAP_INLINE) || !milgi__line_append(&e->fair, d, owner, op)) {
        milgi__op_inline(e, op);
        return;
    }
    op->dev = d->index;
    op->flags &= (uint16_t)~MILGI__OP_CHECK;
    if (wants_check(d, op))
        op->flags |= MILGI__OP_CHECK;
    op->e.state = MILGI__OP_WAITING;
    if (d->state == MILGI__DEV_RETIRED && d->trial == MILGI__TRIAL_OPEN)
        d->trial = MILGI__TRIAL_TAKEN;
    e->live |= 1u << d->index;
}

void milgi__op_reroute(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi__dev *from = &e->dev[op->dev], *to;
    struct milgi__owner *owner = milgi__op_owner(e, op);
    milgi__line_remove(&e->fair, from, owner, op);
    milgi__stats_spilled(&from->stat, op);
    bool elsewhere = (op->flags & MILGI__OP_ELSEWHERE) != 0;
    to = milgi__route_op(e, op);
    if (elsewhere && (to == from || (to->flags & MILGI_CAP_INLINE)))
        milgi__op_fail(e, op, MILGI_CODE_RETIRED);
    else
        milgi__op_enter(e, owner, to, op);
}
