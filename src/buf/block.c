/* SPDX-License-Identifier: Apache-2.0 */
#include "buf/block.h"

#include "base/port.h"

struct milgi__block {
    struct milgi__block *next;
};

/* The index of the least size that |size| fits into: whoever takes a block gets all of it. */
static unsigned index_of(size_t size)
{
    return (unsigned)((size + 7) / 16);
}

static size_t size_of(unsigned index)
{
    return 16 * (size_t)index + 8;
}

/* The first of those that are kept, which there is. */
static struct milgi__block *pop(struct milgi__blocks *b, unsigned index)
{
    struct milgi__block *block = b->kept[index];
    MILGI__UNPOISON(block, size_of(index));
    b->kept[index] = block->next;
    b->bytes -= size_of(index);
    if (--b->n[index] < b->least[index])
        b->least[index] = b->n[index];
    return block;
}

void *milgi__block_take(struct milgi__blocks *b, size_t size)
{
    unsigned index = index_of(size);
    if (index >= MILGI__BLOCK_SIZES)
        return milgi__alloc_raw(size);
    if (!b->kept[index])
        return milgi__alloc_raw(size_of(index));
    return milgi__alloc_refused() ? NULL : pop(b, index);
}

void milgi__block_give(struct milgi__blocks *b, void *p, size_t size)
{
    unsigned index = index_of(size);
    struct milgi__block *block = p;
    if (!p)
        return;
    if (index >= MILGI__BLOCK_SIZES || b->closed || b->bytes + size_of(index) > MILGI__BLOCKS_KEPT) {
        milgi__free(p);
        return;
    }
    block->next = b->kept[index];
    b->kept[index] = block;
    b->n[index]++;
    b->bytes += size_of(index);
    MILGI__POISON(block, size_of(index));
}

void *milgi__block_zeroed(struct milgi__blocks *b, size_t size)
{
    void *p = milgi__block_take(b, size);
    if (p)
        milgi__zero(p, size);
    return p;
}

void milgi__block_give_wiped(struct milgi__blocks *b, void *p, size_t size)
{
    if (!p)
        return;
    milgi__wipe(p, size);
    milgi__block_give(b, p, size);
}

bool milgi__blocks_trim(struct milgi__blocks *b, unsigned max)
{
    if (b->bytes == 0)
        return false; /* so there is nothing in |n| and |least| either: this may be asked in each turn */
    for (unsigned i = 0; i < MILGI__BLOCK_SIZES; i++) {
        for (; b->least[i] > 0; max--) {
            if (max == 0)
                return true;
            b->least[i]--;
            milgi__free(pop(b, i));
        }
    }
    memcpy(b->least, b->n, sizeof b->least);
    return false;
}

void milgi__blocks_close(struct milgi__blocks *b)
{
    b->closed = true;
    for (unsigned i = 0; i < MILGI__BLOCK_SIZES; i++) {
        while (b->kept[i])
            milgi__free(pop(b, i));
    }
}
