/* SPDX-License-Identifier: Apache-2.0 */
/* Ops: made from the slab, in the list of their owner, released. */
#include "engine/ops.h"

#define RESERVED 64u /* ops kept for alerts and close */

/* --- whose it is ------------------------------------------------------------------------------------------------ */

struct milgi__owner *milgi__op_owner(const struct milgi_engine *e, const struct milgi_op *op)
{
    return milgi__owners_find(&e->owners, op->e.owner_index, op->e.owner_generation);
}

void milgi__op_own(struct milgi__owner *owner, struct milgi_op *op)
{
    op->e.owner_index = owner->index;
    op->e.owner_generation = owner->generation;
    op->e.owner_prev = NULL;
    op->e.owner_next = owner->first_op;
    if (owner->first_op)
        owner->first_op->e.owner_prev = op;
    owner->first_op = op;
    op->flags |= MILGI__OP_OWNED;
}

void milgi__op_disown(struct milgi__owner *owner, struct milgi_op *op)
{
    op->flags &= (uint16_t)~MILGI__OP_OWNED;
    if (op->e.owner_prev)
        op->e.owner_prev->e.owner_next = op->e.owner_next;
    else
        owner->first_op = op->e.owner_next;
    if (op->e.owner_next)
        op->e.owner_next->e.owner_prev = op->e.owner_prev;
}

/* --- from made to released -------------------------------------------------------------------------------------- */

struct milgi_op *milgi__engine_op_new(struct milgi_engine *e, bool reserve)
{
    if (e->slab.alive >= e->o.op_limit + (reserve ? RESERVED : 0))
        return NULL;
    struct milgi_op *op = milgi__slab_take(&e->slab);
    if (op && reserve)
        op->flags = MILGI__OP_RESERVE;
    return op;
}

void milgi__op_release(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi_key *key = op->key;
    if (op->flags & MILGI__OP_OWNED)
        milgi__op_disown(milgi__op_owner(e, op), op);
    if (op->flags & MILGI__OP_ORPHAN)
        e->orphans--;
    milgi__op_clear(op);
    op->key = NULL;
    milgi__slab_give(&e->slab, op);
    if (key)
        milgi__engine_key_unref(e, key);
}

void milgi__engine_op_free(struct milgi_engine *e, struct milgi_op *op)
{
    if (op)
        milgi__op_release(e, op);
}

bool milgi__engine_room(struct milgi_engine *e, unsigned ops, size_t bytes)
{
    return e->slab.alive + ops <= e->o.op_limit && milgi__pool_room(e->pool, bytes);
}
