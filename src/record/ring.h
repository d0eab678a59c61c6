/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of a direction: records between their start and their turn. */
#pragma once

#include "record/record.h"

static inline struct milgi__entry *milgi__ring_at(const struct milgi__direction *d, uint32_t position)
{
    return &d->ring[position & (d->ring_size - 1)];
}
/* Makes sure that one more fits; false: no memory. */
bool milgi__ring_room(struct milgi__direction *d);
/* |op| is on its way for |e|. */
static inline void milgi__entry_started(struct milgi__entry *e, const struct milgi_op *op)
{
    e->op_id = op->e.id;
    e->op_generation = op->e.generation;
    e->back_ns = 0;
    e->state = MILGI__ENTRY_SUBMITTED;
}
/* |op| has come back for |e|. */
static inline void milgi__entry_back(struct milgi__entry *e, const struct milgi_op *op)
{
    if ((op->flags & MILGI__OP_SAMPLED) == 0)
        return;
    e->back_ns = op->e.stamp_ns;
    e->dev = op->dev;
}
/* |e| leaves the ring in order; once, though its header may go before its body. */
static inline void milgi__entry_leaves(const struct milgi__record *r, struct milgi__entry *e)
{
    if (e->back_ns && r->env->calls->in_turn)
        r->env->calls->in_turn(r->env->ctx, e->dev, e->back_ns);
    e->back_ns = 0;
}
/* The record that |op| is out for; NULL: none any more. It is most often the last before |end|, or the first. */
struct milgi__entry *milgi__ring_find(const struct milgi__direction *d, const struct milgi_op *op, uint32_t end);
/* Drops all records in it. */
void milgi__ring_clear(struct milgi__direction *d);
void milgi__ring_fini(struct milgi__direction *d);
