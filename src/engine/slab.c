/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of ops. */
#include "engine/slab.h"

#include <stdatomic.h>

#define SLABS_FIRST 16u

bool milgi__slab_grow(struct milgi__slab *s)
{
    if (s->slabs_n == s->slabs_cap) {
        uint32_t cap = s->slabs_cap ? s->slabs_cap * 2 : SLABS_FIRST;
        struct milgi_op **slabs = milgi__alloc(cap * sizeof(struct milgi_op *));
        if (!slabs)
            return false;
        if (s->slabs_n)
            memcpy(slabs, s->slabs, s->slabs_n * sizeof(struct milgi_op *));
        milgi__free(s->slabs);
        s->slabs = slabs;
        s->slabs_cap = cap;
    }
    struct milgi_op *slab = milgi__alloc(MILGI__SLAB_OPS * sizeof *slab);
    if (!slab)
        return false;
    uint32_t at = s->slabs_n++;
    for (; at > 0 && (uintptr_t)s->slabs[at - 1] > (uintptr_t)slab; at--)
        s->slabs[at] = s->slabs[at - 1];
    s->slabs[at] = slab;
    for (uint32_t i = 0; i < MILGI__SLAB_OPS; i++) {
        slab[i].e.next = s->free;
        s->free = &slab[i];
    }
    return true;
}

void milgi__slab_trim(struct milgi__slab *s)
{
    if (s->alive || s->slabs_n < 2)
        return;
    for (uint32_t i = 1; i < s->slabs_n; i++)
        milgi__free_wiped(s->slabs[i], MILGI__SLAB_OPS * sizeof(struct milgi_op));
    s->slabs_n = 1;
    s->free = NULL;
    for (uint32_t i = 0; i < MILGI__SLAB_OPS; i++) {
        s->slabs[0][i].e.next = s->free;
        s->free = &s->slabs[0][i];
    }
}

/* What was left behind, reachable for tools that look for memory that nobody knows of. */
struct left {
    struct left *next;
    struct milgi_op *slab;
};
static _Atomic(struct left *) all_left;

static bool is_left(const struct milgi_op *slab)
{
    for (uint32_t i = 0; i < MILGI__SLAB_OPS; i++) {
        if (slab[i].e.state == MILGI__OP_ABANDONED)
            return true;
    }
    return false;
}

static void leave(struct milgi_op *slab)
{
    struct left *left = milgi__alloc(sizeof *left);
    if (!left)
        return;
    left->slab = slab;
    left->next = atomic_load(&all_left);
    while (!atomic_compare_exchange_weak(&all_left, &left->next, left))
        ;
}

void milgi__slab_fini(struct milgi__slab *s)
{
    for (uint32_t i = 0; i < s->slabs_n; i++) {
        if (is_left(s->slabs[i]))
            leave(s->slabs[i]);
        else
            milgi__free_wiped(s->slabs[i], MILGI__SLAB_OPS * sizeof(struct milgi_op));
    }
    milgi__free(s->slabs);
    *s = (struct milgi__slab){ 0 };
}
