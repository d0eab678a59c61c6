/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of ops: slabs that grow with what is alive. */
#pragma once

#include "op/op.h"

#define MILGI__SLAB_OPS 64u /* ops allocated at once */

/* All zeros: empty. */
struct milgi__slab {
    struct milgi_op **slabs; /* by address */
    uint32_t slabs_n, slabs_cap;
    struct milgi_op *free;
    uint32_t alive;
    uint64_t last_id;
    bool freed; /* something was, since somebody last asked */
};

/* More of them that are free; false: no memory. */
bool milgi__slab_grow(struct milgi__slab *s);
/*
 * What record/ and handshake/ fill in comes behind: the header and the part that says what the op holds start out
 * zero. In pieces that compilers turn into a few stores; of the whole they would make a call, or an instruction that
 * takes long to begin.
 */
static inline void milgi__slab_zero(struct milgi_op *op)
{
    enum {
        PIECE = 64,
        LEN = offsetof(struct milgi_op, u.aead.src)
    };
    uint8_t *p = (uint8_t *)op;
    _Static_assert(LEN > 3 * PIECE && LEN <= 4 * PIECE, "four pieces");
    memset(p, 0, PIECE);
    memset(p + PIECE, 0, PIECE);
    memset(p + 2 * PIECE, 0, PIECE);
    memset(p + LEN - PIECE, 0, PIECE);
}
/* One that is MILGI__OP_MADE, its header zero and its id its own; NULL: no memory. */
static inline struct milgi_op *milgi__slab_take(struct milgi__slab *s)
{
    if (!s->free && !milgi__slab_grow(s))
        return NULL;
    struct milgi_op *op = s->free;
    s->free = op->e.next;
    s->alive++;
    milgi__slab_zero(op);
    uint64_t id = ++s->last_id;
    op->e.id = (uint32_t)id;
    op->e.generation = (uint32_t)(id >> 32);
    op->e.state = MILGI__OP_MADE;
    return op;
}
static inline void milgi__slab_give(struct milgi__slab *s, struct milgi_op *op)
{
    op->e.state = MILGI__OP_FREE;
    op->e.next = s->free;
    s->free = op;
    s->alive--;
    s->freed = true;
}
/* Is |op|, which may be any address, an op of these? */
static inline bool milgi__slab_has(const struct milgi__slab *s, const struct milgi_op *op)
{
    uintptr_t at = (uintptr_t)op;
    uint32_t low = 0, high = s->slabs_n; /* it is in none before |low| and in none from |high| on */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uintptr_t begin = (uintptr_t)s->slabs[middle];
        if (at < begin)
            high = middle;
        else if (at - begin >= MILGI__SLAB_OPS * sizeof *op)
            low = middle + 1;
        else
            return (at - begin) % sizeof *op == 0;
    }
    return false;
}
/*
 * Without any op the slabs of a busier time go, but for one. They are all that is left of it, and as they lie between
 * chunks that have been freed, the heap could not give those back either.
 */
void milgi__slab_trim(struct milgi__slab *s);
/* Slabs with an op that was abandoned stay for the rest of the process's life. */
void milgi__slab_fini(struct milgi__slab *s);
