/* SPDX-License-Identifier: Apache-2.0 */
/* Slabs are handed out lowest first, so that few huge pages are touched; each is a bit that is one while it is out. */
#include "device/arena.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/port.h"

#define WORD_BITS 64u

struct milgi__arena {
    uint8_t *base;
    size_t size;
    unsigned slabs;
    _Atomic uint64_t out[];
};

struct milgi__arena *milgi__arena_new(size_t size)
{
    size_t slabs = size / MILGI_MEMORY_SLAB, words = (slabs + WORD_BITS - 1) / WORD_BITS;
    struct milgi__arena *arena = milgi__alloc(sizeof *arena + words * sizeof arena->out[0]);

    if (!arena)
        return NULL;
    arena->size = size;
    arena->slabs = (unsigned)slabs;
    arena->base = milgi__port_map(size, MILGI_MEMORY_SLAB);
    if (!arena->base) {
        milgi__free(arena);
        return NULL;
    }
    return arena;
}

void milgi__arena_free(struct milgi__arena *arena)
{
    if (!arena)
        return;
    assert(milgi__arena_used(arena) == 0);
    milgi__port_unmap(arena->base, arena->size);
    milgi__free(arena);
}

/* The lowest slab of a word that is not out; WORD_BITS: all are. */
static unsigned take_of_word(_Atomic uint64_t *word, unsigned slabs)
{
    uint64_t all = slabs >= WORD_BITS ? UINT64_MAX : ((uint64_t)1 << slabs) - 1;
    uint64_t out = atomic_load_explicit(word, memory_order_relaxed);

    while ((out & all) != all) {
        unsigned i = (unsigned)__builtin_ctzll(~out);
        if (atomic_compare_exchange_weak_explicit(
                word, &out, out | (uint64_t)1 << i, memory_order_acquire, memory_order_relaxed))
            return i;
    }
    return WORD_BITS;
}

void *milgi__arena_take(struct milgi__arena *arena)
{
    if (milgi__alloc_refused())
        return NULL;
    for (unsigned at = 0; at < arena->slabs; at += WORD_BITS) {
        unsigned i = take_of_word(&arena->out[at / WORD_BITS], arena->slabs - at);
        if (i < WORD_BITS)
            return arena->base + (size_t)(at + i) * MILGI_MEMORY_SLAB;
    }
    return NULL;
}

void milgi__arena_give(struct milgi__arena *arena, void *slab)
{
    unsigned at = (unsigned)((size_t)((uint8_t *)slab - arena->base) / MILGI_MEMORY_SLAB);
    uint64_t bit = (uint64_t)1 << (at % WORD_BITS);

    assert(milgi__arena_has(arena, slab, MILGI_MEMORY_SLAB));
    milgi__port_discard(slab, MILGI_MEMORY_SLAB);
    atomic_fetch_and_explicit(&arena->out[at / WORD_BITS], ~bit, memory_order_release);
}

bool milgi__arena_has(const struct milgi__arena *arena, const void *p, size_t len)
{
    uintptr_t at = (uintptr_t)p, base = (uintptr_t)arena->base;

    return len == 0 || (at >= base && at - base < arena->size && len <= arena->size - (at - base));
}

size_t milgi__arena_used(const struct milgi__arena *arena)
{
    size_t n = 0;

    for (unsigned at = 0; at < arena->slabs; at += WORD_BITS)
        n += (size_t)__builtin_popcountll(atomic_load_explicit(&arena->out[at / WORD_BITS], memory_order_relaxed));
    return n;
}

bool milgi__arena_word(const char *value, const char *kind, uint64_t *size)
{
    size_t len = strlen(kind);

    if (!value || strncmp(value, kind, len) != 0)
        return false;
    if (value[len] == '\0')
        return true;
    return value[len] == ':' && milgi__spec_size(value + len + 1, size) && *size > 0 &&
        *size % MILGI_MEMORY_SLAB == 0 && *size <= (uint64_t)1 << 40;
}
