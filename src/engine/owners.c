/* SPDX-License-Identifier: Apache-2.0 */
/* Owners: their handles, the lists they stand in, and their deadlines (a binary heap). */
#include "engine/impl.h"

#define OWNERS_FIRST 64u

static int grow_owners(struct milgi_engine *e)
{
    uint32_t cap = e->owners_cap ? e->owners_cap * 2 : OWNERS_FIRST;
    struct milgi__owner_slot *slots = milgi__alloc(cap * sizeof *slots);
    struct milgi__owner **heap = milgi__alloc(cap * sizeof(struct milgi__owner *));
    if (!slots || !heap) {
        milgi__free(slots);
        milgi__free(heap);
        return MILGI_ENOMEM;
    }
    if (e->owners_cap) {
        memcpy(slots, e->owners, e->owners_cap * sizeof *slots);
        memcpy(heap, e->heap, e->heap_n * sizeof(struct milgi__owner *));
    }
    for (uint32_t i = cap; i > e->owners_cap; i--) {
        slots[i - 1].generation = 1;
        slots[i - 1].next_free = e->owners_free;
        e->owners_free = i;
    }
    milgi__free(e->owners);
    milgi__free(e->heap);
    e->owners = slots;
    e->heap = heap;
    e->owners_cap = e->heap_cap = cap;
    return 0;
}

int milgi__engine_attach(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    if (e->owners_n >= e->o.conn_limit)
        return MILGI_ELIMIT;
    if (!e->owners_free && grow_owners(e) != 0)
        return MILGI_ENOMEM;
    uint32_t index = e->owners_free - 1;
    struct milgi__owner_slot *slot = &e->owners[index];
    e->owners_free = slot->next_free;
    slot->owner = owner;
    owner->index = index;
    owner->generation = slot->generation;
    owner->deadline_ns = UINT64_MAX;
    owner->heap_at = 0;
    owner->first_op = NULL;
    owner->flows = NULL;
    milgi__list_init(&owner->ready);
    milgi__list_init(&owner->dirty);
    milgi__list_init(&owner->waiting);
    milgi__list_init(&owner->cooling);
    e->owners_n++;
    return 0;
}

void milgi__engine_detach(struct milgi_engine *e, struct milgi__owner *owner)
{
    struct milgi__owner_slot *slot = &e->owners[owner->index];
    milgi__list_remove(&owner->ready);
    milgi__list_remove(&owner->dirty);
    milgi__list_remove(&owner->waiting);
    milgi__list_remove(&owner->cooling);
    milgi__heap_remove(e, owner);
    milgi__ops_abandon(e, owner);
    slot->owner = NULL;
    /* 0 is never a generation, so that a zeroed handle finds nothing. */
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->next_free = e->owners_free;
    e->owners_free = owner->index + 1;
    e->owners_n--;
}

struct milgi__owner *milgi__engine_find(struct milgi_engine *e, uint32_t index, uint32_t generation)
{
    if (index >= e->owners_cap || e->owners[index].generation != generation)
        return NULL;
    return e->owners[index].owner;
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
        milgi__list_append(&e->ready, &owner->ready);
    milgi__engine_runnable(e);
}

void milgi__engine_dirty(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (milgi__list_empty(&owner->dirty))
        milgi__list_append(&e->dirty, &owner->dirty);
}

void milgi__engine_wait(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (milgi__list_empty(&owner->waiting))
        milgi__list_append(&e->waiting, &owner->waiting);
}

/* --- deadlines ---------------------------------------------------------------------------------- */

static void place(struct milgi_engine *e, uint32_t at, struct milgi__owner *owner)
{
    e->heap[at] = owner;
    owner->heap_at = at + 1;
}

static void sift_up(struct milgi_engine *e, uint32_t at)
{
    struct milgi__owner *owner = e->heap[at];
    while (at > 0 && e->heap[(at - 1) / 2]->deadline_ns > owner->deadline_ns) {
        place(e, at, e->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(e, at, owner);
}

static void sift_down(struct milgi_engine *e, uint32_t at)
{
    struct milgi__owner *owner = e->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= e->heap_n)
            break;
        if (child + 1 < e->heap_n && e->heap[child + 1]->deadline_ns < e->heap[child]->deadline_ns)
            child++;
        if (e->heap[child]->deadline_ns >= owner->deadline_ns)
            break;
        place(e, at, e->heap[child]);
        at = child;
    }
    place(e, at, owner);
}

void milgi__heap_fix(struct milgi_engine *e, struct milgi__owner *owner)
{
    sift_up(e, owner->heap_at - 1);
    sift_down(e, owner->heap_at - 1);
}

void milgi__heap_remove(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (!owner->heap_at)
        return;
    uint32_t at = owner->heap_at - 1;
    struct milgi__owner *last = e->heap[--e->heap_n];
    owner->heap_at = 0;
    if (last == owner)
        return;
    place(e, at, last);
    milgi__heap_fix(e, last);
}

void milgi__engine_deadline(struct milgi_engine *e, struct milgi__owner *owner, uint64_t deadline_ns)
{
    owner->deadline_ns = deadline_ns;
    if (deadline_ns == UINT64_MAX) {
        milgi__heap_remove(e, owner);
        return;
    }
    /* The heap has a place for every owner: it grows with them. */
    if (!owner->heap_at)
        place(e, e->heap_n++, owner);
    milgi__heap_fix(e, owner);
}
