/* SPDX-License-Identifier: Apache-2.0 */
/* Owners: their handles and deadlines, what they tell the engine, and what it gives them. */
#include "engine/owners.h"

#include <assert.h>

#include "engine/trace.h"

#define BLOCKS_FIRST 4u

void milgi__owners_init(struct milgi__owners *o)
{
    *o = (struct milgi__owners){ 0 };
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
        milgi__list_init(&o->ready[cls]);
    milgi__list_init(&o->dirty);
    milgi__list_init(&o->waiting);
    milgi__list_init(&o->waking);
    milgi__list_init(&o->tried);
    milgi__list_init(&o->cooling);
}

void milgi__owners_fini(struct milgi__owners *o)
{
    for (uint32_t i = 0; i < o->blocks_n; i++)
        milgi__free(o->blocks[i]);
    milgi__free(o->blocks);
}

/* --- handles ---------------------------------------------------------------------------------------------------- */

static struct milgi__owner_slot *slot_at(const struct milgi__owners *o, uint32_t index)
{
    return &o->blocks[index / MILGI__OWNERS_BLOCK]->slot[index % MILGI__OWNERS_BLOCK];
}

/* Room for one more block: of pointers alone, one for MILGI__OWNERS_BLOCK owners. */
static bool make_room(struct milgi__owners *o)
{
    if (o->blocks_n < o->blocks_cap)
        return true;
    uint32_t cap = o->blocks_cap ? o->blocks_cap * 2 : BLOCKS_FIRST;
    struct milgi__owner_block **blocks = milgi__alloc(cap * sizeof(struct milgi__owner_block *));
    if (!blocks)
        return false;
    if (o->blocks_n)
        memcpy(blocks, o->blocks, o->blocks_n * sizeof(struct milgi__owner_block *));
    milgi__free(o->blocks);
    o->blocks = blocks;
    o->blocks_cap = cap;
    return true;
}

static bool grow(struct milgi__owners *o)
{
    struct milgi__owner_block *block = make_room(o) ? milgi__alloc(sizeof *block) : NULL;
    if (!block)
        return false;
    uint32_t first = o->blocks_n * MILGI__OWNERS_BLOCK;
    o->blocks[o->blocks_n++] = block;
    for (uint32_t i = MILGI__OWNERS_BLOCK; i-- > 0;) {
        block->slot[i].generation = 1;
        block->slot[i].next_free = o->free;
        o->free = first + i + 1;
    }
    return true;
}

bool milgi__owners_add(struct milgi__owners *o, struct milgi__owner *owner)
{
    if (!o->free && !grow(o))
        return false;
    uint32_t index = o->free - 1;
    struct milgi__owner_slot *slot = slot_at(o, index);
    o->free = slot->next_free;
    slot->owner = owner;
    owner->index = index;
    owner->generation = slot->generation;
    owner->deadline_ns = UINT64_MAX;
    owner->heap_at = 0;
    owner->first_op = NULL;
    owner->flows = NULL;
    owner->fresh = 0;
    owner->cls = MILGI_OP_CLASS_HANDSHAKE;
    owner->woken = false;
    milgi__list_init(&owner->ready);
    milgi__list_init(&owner->dirty);
    milgi__list_init(&owner->waiting);
    milgi__list_init(&owner->cooling);
    o->n++;
    return true;
}

void milgi__owners_remove(struct milgi__owners *o, struct milgi__owner *owner)
{
    struct milgi__owner_slot *slot = slot_at(o, owner->index);
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
    if (index >= o->blocks_n * MILGI__OWNERS_BLOCK)
        return NULL;
    const struct milgi__owner_slot *slot = slot_at(o, index);
    return slot->generation == generation ? slot->owner : NULL;
}

void milgi__owners_drop(struct milgi__owners *o)
{
    for (uint32_t i = 0; i < o->blocks_n * MILGI__OWNERS_BLOCK; i++) {
        struct milgi__owner *owner = slot_at(o, i)->owner;
        if (owner)
            owner->ops->drop(owner);
    }
}

int milgi__engine_attach(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    if (e->owners.n >= e->o.conn_limit)
        return MILGI_ELIMIT;
    return milgi__owners_add(&e->owners, owner) ? 0 : MILGI_ENOMEM;
}

struct milgi__owner *milgi__engine_find(struct milgi_engine *e, uint32_t index, uint32_t generation)
{
    return milgi__owners_find(&e->owners, index, generation);
}

/* --- deadlines -------------------------------------------------------------------------------------------------- */

static struct milgi__owner **heap_at(const struct milgi__owners *o, uint32_t at)
{
    return &o->blocks[at / MILGI__OWNERS_BLOCK]->heap[at % MILGI__OWNERS_BLOCK];
}

static void place(struct milgi__owners *o, uint32_t at, struct milgi__owner *owner)
{
    *heap_at(o, at) = owner;
    owner->heap_at = at + 1;
}

static void sift_up(struct milgi__owners *o, uint32_t at)
{
    struct milgi__owner *owner = *heap_at(o, at), *parent;
    while (at > 0 && (parent = *heap_at(o, (at - 1) / 2))->deadline_ns > owner->deadline_ns) {
        place(o, at, parent);
        at = (at - 1) / 2;
    }
    place(o, at, owner);
}

static void sift_down(struct milgi__owners *o, uint32_t at)
{
    struct milgi__owner *owner = *heap_at(o, at);
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= o->heap_n)
            break;
        if (child + 1 < o->heap_n && (*heap_at(o, child + 1))->deadline_ns < (*heap_at(o, child))->deadline_ns)
            child++;
        if ((*heap_at(o, child))->deadline_ns >= owner->deadline_ns)
            break;
        place(o, at, *heap_at(o, child));
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
    struct milgi__owner *last = *heap_at(o, --o->heap_n);
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

struct milgi__owner *milgi__owners_first(const struct milgi__owners *o)
{
    return o->heap_n ? *heap_at(o, 0) : NULL;
}

uint64_t milgi__owners_first_ns(const struct milgi__owners *o)
{
    return o->heap_n ? milgi__owners_first(o)->deadline_ns : UINT64_MAX;
}

void milgi__engine_deadline(struct milgi_engine *e, struct milgi__owner *owner, uint64_t deadline_ns)
{
    milgi__owners_deadline(&e->owners, owner, deadline_ns);
}

/* --- what they tell ----------------------------------------------------------------------------------------------- */

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
    if (milgi__list_empty(&owner->ready)) {
        milgi__list_append(&e->owners.ready[owner->cls], &owner->ready);
        __builtin_prefetch(slot_at(&e->owners, owner->index)); /* behind its turn it is looked up: was it freed? */
    }
    milgi__engine_runnable(e);
}

void milgi__engine_dirty(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (milgi__list_empty(&owner->dirty))
        milgi__list_append(&e->owners.dirty, &owner->dirty);
}

void milgi__engine_wait(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (!milgi__list_empty(&owner->waiting))
        return;
    milgi__list_append(owner->woken ? &e->owners.tried : &e->owners.waiting, &owner->waiting);
    if (milgi__traced(&e->tracer))
        milgi__trace_memory(e, owner, true);
}

/* --- what they are given ------------------------------------------------------------------------------------------ */

struct milgi__crypto *milgi__engine_crypto(struct milgi_engine *e)
{
    return e->cx;
}

struct milgi__pool *milgi__engine_pool(struct milgi_engine *e)
{
    return e->pool;
}

uint64_t milgi__engine_now(struct milgi_engine *e)
{
    return e->now_ns;
}

uint64_t milgi__engine_spent(const struct milgi_engine *e)
{
    return e->spent_ns;
}

int64_t milgi__engine_wall(struct milgi_engine *e)
{
    return e->o.clock.wall_s(e->o.clock.ctx);
}

int milgi__engine_random(struct milgi_engine *e, uint8_t *out, size_t len)
{
    return e->o.random(e->o.random_ctx, out, len);
}

struct milgi_slice *milgi__engine_scratch(struct milgi_engine *e)
{
    return e->scratch;
}

bool milgi__engine_foreign(const struct milgi_engine *e)
{
    return e->process != milgi__port_process();
}

static_assert(offsetof(struct milgi_engine, tracer) == 0, "milgi__engine_tracer()");

void milgi__engine_count(struct milgi_engine *e, uint64_t copied, uint64_t sealed, uint64_t opened)
{
    e->copied += copied;
    e->sealed += sealed;
    e->opened += opened;
}

void milgi__engine_reorder(struct milgi_engine *e, unsigned dev, unsigned cls, uint64_t back_ns)
{
    uint64_t now_ns = e->stat.last_ns;
    milgi__stats_time(&e->dev[dev].stat, cls, MILGI_LATENCY_REORDER, now_ns > back_ns ? now_ns - back_ns : 0);
}
