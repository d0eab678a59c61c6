/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of one handshake: handed out piece by piece, wiped and freed at once. */
#include "handshake/hs.h"

#define BLOCK_MIN 224 /* with its header 256 bytes of heap: what a server keeps of a usual ClientHello */

struct milgi__arena_block {
    struct milgi__arena_block *next;
    uint32_t size, used; /* of data */
    _Alignas(16) uint8_t data[];
};

void *milgi__arena_alloc(struct milgi__arena *arena, size_t size)
{
    size_t rounded = (size + 15) & ~(size_t)15;
    struct milgi__arena_block *block = arena->first;
    if (!block || block->size - block->used < rounded) {
        size_t room = MILGI__MAX(rounded, BLOCK_MIN);
        block = room > UINT32_MAX ? NULL : milgi__block_zeroed(arena->blocks, sizeof *block + room);
        if (!block)
            return NULL;
        block->size = (uint32_t)room;
        block->next = arena->first;
        arena->first = block;
    }
    void *p = block->data + block->used;
    block->used += (uint32_t)rounded;
    return p;
}

struct milgi__bytes milgi__arena_copy(struct milgi__arena *arena, struct milgi__bytes from)
{
    uint8_t *p = milgi__arena_alloc(arena, from.len + 1); /* so that nothing is not NULL, and text ends in a zero */
    if (p && from.len != 0)
        memcpy(p, from.p, from.len);
    return (struct milgi__bytes){ p, from.len };
}

struct milgi__bytes milgi__arena_u16(struct milgi__arena *arena, const uint16_t *list, size_t n)
{
    uint8_t *p = milgi__arena_alloc(arena, 2 * n + 1);
    for (size_t i = 0; p && i < n; i++)
        milgi__put16(p + 2 * i, list[i]);
    return (struct milgi__bytes){ p, 2 * n };
}

void milgi__arena_wipe(struct milgi__arena *arena)
{
    while (arena->first) {
        struct milgi__arena_block *block = arena->first;
        arena->first = block->next;
        milgi__block_give_wiped(arena->blocks, block, sizeof *block + block->size);
    }
}
