/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each slab is a row of units with a bit for each. A piece is a run of free units: small pieces are taken from the
 * front of a slab and large ones from its back, so that a few small ones that stay do not break up what large ones
 * need. Neighbours that are free are one run without anybody's doing. The pool in front of this keeps what it uses
 * often: here only the memory counts, not the time.
 */
#include "buf/region.h"

#include "base/port.h"

#define UNITS (MILGI_MEMORY_SLAB / MILGI__REGION_UNIT)
#define WORD_BITS 64u
#define SMALL_UNITS 8u

struct milgi__slab {
    uint8_t *base;
    struct milgi__slab *next, *prev;
    uint32_t used;    /* units */
    uint32_t longest; /* no free run is longer than this; it may be shorter */
    uint64_t map[UNITS / WORD_BITS];
};

/* --- bits ------------------------------------------------------------------------------------------------------- */

/* The word of bit |at| with ones where bits are |value|. */
static uint64_t word_at(const uint64_t *map, uint32_t at, bool value)
{
    uint64_t word = map[at / WORD_BITS];
    return value ? word : ~word;
}

/* The first bit from |at| on that is |value|; UNITS: none. */
static uint32_t first_from(const uint64_t *map, uint32_t at, bool value)
{
    while (at < UNITS) {
        uint64_t rest = word_at(map, at, value) >> (at % WORD_BITS);
        if (rest)
            return at + (uint32_t)__builtin_ctzll(rest);
        at = (at / WORD_BITS + 1) * WORD_BITS;
    }
    return UNITS;
}

/* One more than the last bit before |end| that is |value|; 0: none. */
static uint32_t last_before(const uint64_t *map, uint32_t end, bool value)
{
    while (end > 0) {
        uint32_t at = end - 1, above = WORD_BITS - 1 - at % WORD_BITS;
        uint64_t rest = word_at(map, at, value) << above;
        if (rest)
            return end - (uint32_t)__builtin_clzll(rest);
        end = at / WORD_BITS * WORD_BITS;
    }
    return 0;
}

/* Where |n| free units begin; UNITS: nowhere. */
static uint32_t find_front(const struct milgi__slab *slab, uint32_t n)
{
    for (uint32_t end, at = 0; (at = first_from(slab->map, at, false)) < UNITS; at = end) {
        end = first_from(slab->map, at, true);
        if (end - at >= n)
            return at;
    }
    return UNITS;
}

static uint32_t find_back(const struct milgi__slab *slab, uint32_t n)
{
    for (uint32_t at, end = UNITS; (end = last_before(slab->map, end, false)) > 0; end = at) {
        at = last_before(slab->map, end, true);
        if (end - at >= n)
            return end - n;
    }
    return UNITS;
}

static void mark(struct milgi__slab *slab, uint32_t at, uint32_t n, bool used)
{
    for (uint32_t i = at; i < at + n; i++) {
        uint64_t bit = (uint64_t)1 << (i % WORD_BITS);
        slab->map[i / WORD_BITS] = used ? slab->map[i / WORD_BITS] | bit : slab->map[i / WORD_BITS] & ~bit;
    }
    slab->used = used ? slab->used + n : slab->used - n;
}

/* --- slabs ------------------------------------------------------------------------------------------------------ */

bool milgi__region_grow(struct milgi__region *region)
{
    struct milgi__slab *slab = milgi__alloc(sizeof *slab);
    if (!slab)
        return false;
    slab->base = region->memory.alloc(region->memory.ctx, MILGI_MEMORY_SLAB);
    region->full = !slab->base;
    if (!slab->base) {
        milgi__free(slab);
        return false;
    }
    MILGI__POISON(slab->base, MILGI_MEMORY_SLAB);
    slab->longest = UNITS;
    slab->prev = region->last;
    *(region->last ? &region->last->next : &region->first) = slab;
    region->last = slab;
    region->total += MILGI_MEMORY_SLAB;
    return true;
}

static void give_back(struct milgi__region *region, struct milgi__slab *slab)
{
    *(slab->prev ? &slab->prev->next : &region->first) = slab->next;
    *(slab->next ? &slab->next->prev : &region->last) = slab->prev;
    region->total -= MILGI_MEMORY_SLAB;
    region->full = false;
    MILGI__UNPOISON(slab->base, MILGI_MEMORY_SLAB);
    region->memory.free(region->memory.ctx, slab->base, MILGI_MEMORY_SLAB);
    milgi__free(slab);
}

void milgi__region_trim(struct milgi__region *region)
{
    for (struct milgi__slab *next, *slab = region->first; slab; slab = next) {
        next = slab->next;
        if (slab->used == 0)
            give_back(region, slab);
    }
}

/* --- pieces ----------------------------------------------------------------------------------------------------- */

static uint32_t units_of(size_t size)
{
    return (uint32_t)((size + MILGI__REGION_UNIT - 1) / MILGI__REGION_UNIT);
}

static void *take(struct milgi__slab *slab, uint32_t n)
{
    if (n > slab->longest)
        return NULL;
    uint32_t at = n <= SMALL_UNITS ? find_front(slab, n) : find_back(slab, n);
    if (at == UNITS) {
        slab->longest = n - 1; /* so that this is found out once */
        return NULL;
    }
    mark(slab, at, n, true);
    uint8_t *p = slab->base + (size_t)at * MILGI__REGION_UNIT;
    MILGI__UNPOISON(p, (size_t)n * MILGI__REGION_UNIT);
    return p;
}

void *milgi__region_alloc(struct milgi__region *region, size_t size, struct milgi__slab **slab)
{
    uint32_t n = units_of(size);
    for (*slab = region->first; *slab; *slab = (*slab)->next) {
        void *p = take(*slab, n);
        if (p)
            return p;
    }
    if (!milgi__region_grow(region))
        return NULL;
    *slab = region->last;
    return take(*slab, n);
}

void milgi__region_free(struct milgi__region *region, struct milgi__slab *slab, void *p, size_t size)
{
    uint32_t n = units_of(size);
    MILGI__POISON(p, (size_t)n * MILGI__REGION_UNIT);
    mark(slab, (uint32_t)((size_t)((uint8_t *)p - slab->base) / MILGI__REGION_UNIT), n, false);
    slab->longest = UNITS;
    if (slab->used == 0)
        give_back(region, slab);
}
