/* SPDX-License-Identifier: Apache-2.0 */
/* Owners: their handles and their deadlines. */
#include "engine/owners.h"

#define OWNERS_FIRST 64u

void milgi__owners_init(struct milgi__owners *o)
{
    *o = (struct milgi__owners){ 0 };
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
        milgi__list_init(&o->ready[cls]);
    milgi__list_init(&o->dirty);
    milgi__list_init(&o->waiting);
    milgi__list_init(&o->waking);
    milgi__list_init(&o->cooling);
}

void milgi__owners_fini(struct milgi__owners *o)
{
    milgi__free(o->slots);
    milgi__free(o->heap);
}

/* --- handles ---------------------------------------------------------------------------------------------------- */

static bool grow(struct milgi__owners *o)
{
    uint32_t cap = o->cap ? o->cap * 2 : OWNERS_FIRST;
    struct milgi__owner_slot *slots = milgi__alloc(cap * sizeof *slots);
    struct milgi__owner **heap = milgi__alloc(cap * sizeof(struct milgi__owner *));
    if (!slots || !heap) {
        milgi__free(slots);
        milgi__free(heap);
        return false;
    }
    if (o->cap) {
        memcpy(slots, o->slots, o->cap * sizeof *slots);
        memcpy(heap, o->heap, o->heap_n * sizeof(struct milgi__owner *));
    }
    for (uint32_t i = cap; i > o->cap; i--) {
        slots[i - 1].generation = 1;
        slots[i - 1].next_free = o->free;
        o->free = i;
    }
    milgi__free(o->slots);
    milgi__free(o->heap);
    o->slots = slots;
    o->heap = heap;
    o->cap = cap;
    return true;
}

bool milgi__owners_add(struct milgi__owners *o, struct milgi__owner *owner)
{
    if (!o->free && !grow(o))
        return false;
    uint32_t index = o->free - 1;
    struct milgi__owner_slot *slot = &o->slots[index];
    o->free = slot->next_free;
    slot->owner = owner;
    owner->index = index;
    owner->generation = slot->generation;
    owner->deadline_ns = UINT64_MAX;
    owner->heap_at = 0;
    owner->first_op = NULL;
    owner->flows = NULL;
    owner->cls = MILGI_OP_CLASS_HANDSHAKE;
    milgi__list_init(&owner->ready);
    milgi__list_init(&owner->dirty);
    milgi__list_init(&owner->waiting);
    milgi__list_init(&owner->cooling);
    o->n++;
    return true;
}

void milgi__owners_remove(struct milgi__owners *o, struct milgi__owner *owner)
{
    struct milgi__owner_slot *slot = &o->slots[owner->index];
    milgi__list_remove(&owner->ready);
    milgi__list_remove(&owner->dirty);
    milgi__list_remove(&owner->waiting);
    milgi__list_remove(&owner->cooling);
    milgi__owners_deadline(o, owner, UINT64_MAX);
    slot->owner = NULL;
    /* 0 is never a generation, so that a zeroed handle finds nothing. */
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->next_free = o->free;
    o->free = owner->index + 1;
    o->n--;
}

struct milgi__owner *milgi__owners_find(const struct milgi__owners *o, uint32_t index, uint32_t generation)
{
    if (index >= o->cap || o->slots[index].generation != generation)
        return NULL;
    return o->slots[index].owner;
}

/* --- deadlines -------------------------------------------------------------------------------------------------- */

static void place(struct milgi__owners *o, uint32_t at, struct milgi__owner *owner)
{
    o->heap[at] = owner;
    owner->heap_at = at + 1;
}

static void sift_up(struct milgi__owners *o, uint32_t at)
{
    struct milgi__owner *owner = o->heap[at];
    while (at > 0 && o->heap[(at - 1) / 2]->deadline_ns > owner->deadline_ns) {
        place(o, at, o->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(o, at, owner);
}

static void sift_down(struct milgi__owners *o, uint32_t at)
{
    struct milgi__owner *owner = o->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= o->heap_n)
            break;
        if (child + 1 < o->heap_n && o->heap[child + 1]->deadline_ns < o->heap[child]->deadline_ns)
            child++;
        if (o->heap[child]->deadline_ns >= owner->deadline_ns)
            break;
        place(o, at, o->heap[child]);
        at = child;
    }
    place(o, at, owner);
}

static void fix(struct milgi__owners *o, const struct milgi__owner *owner)
{
    sift_up(o, owner->heap_at - 1);
    sift_down(o, owner->heap_at - 1);
}

static void leave_heap(struct milgi__owners *o, struct milgi__owner *owner)
{
    if (!owner->heap_at)
        return;
    uint32_t at = owner->heap_at - 1;
    struct milgi__owner *last = o->heap[--o->heap_n];
    owner->heap_at = 0;
    if (last == owner)
        return;
    place(o, at, last);
    fix(o, last);
}

void milgi__owners_deadline(struct milgi__owners *o, struct milgi__owner *owner, uint64_t deadline_ns)
{
    owner->deadline_ns = deadline_ns;
    owner->expired = false;
    if (deadline_ns == UINT64_MAX) {
        leave_heap(o, owner);
        return;
    }
    if (!owner->heap_at)
        place(o, o->heap_n++, owner);
    fix(o, owner);
}
