/* SPDX-License-Identifier: Apache-2.0 */
/* Queues of slices. */
#include <assert.h>

#include "buf/buf.h"

#define RING_MIN 8u /* a power of two, as every capacity */

static struct milgi_slice *at(const struct milgi__bufq *q, uint32_t i)
{
    return &q->ring[(q->head + i) & (q->cap - 1)];
}

static int grow(struct milgi__bufq *q, struct milgi__blocks *blocks)
{
    uint32_t cap = q->cap ? 2 * q->cap : RING_MIN;
    struct milgi_slice *ring = milgi__block_take(blocks, cap * sizeof *ring);
    if (!ring)
        return MILGI_ENOMEM;
    for (uint32_t i = 0; i < q->n; i++)
        ring[i] = *at(q, i);
    milgi__block_give(blocks, q->ring, q->cap * sizeof *ring);
    q->ring = ring;
    q->cap = cap;
    q->head = 0;
    return 0;
}

bool milgi__bufq_room(struct milgi__bufq *q, struct milgi__pool *pool)
{
    return q->n < q->cap || grow(q, milgi__pool_blocks(pool)) == 0;
}

int milgi__bufq_push(struct milgi__bufq *q, struct milgi_slice slice)
{
    if (slice.len == 0) {
        milgi_chunk_unref(slice.chunk);
        return 0;
    }
    if (!milgi__bufq_room(q, slice.chunk->pool))
        return MILGI_ENOMEM;
    *at(q, q->n++) = slice;
    q->len += slice.len;
    return 0;
}

/* The front slice is gone. */
static void drop_front(struct milgi__bufq *q)
{
    q->head = (q->head + 1) & (q->cap - 1);
    q->n--;
}

bool milgi__bufq_peek(const struct milgi__bufq *q, size_t from, void *out, size_t len)
{
    if (from > q->len || len > q->len - from)
        return false;
    uint8_t *to = out;
    for (uint32_t i = 0; len > 0; i++) {
        const struct milgi_slice *slice = at(q, i);
        if (from >= slice->len) {
            from -= slice->len;
            continue;
        }
        size_t part = MILGI__MIN(slice->len - from, len);
        memcpy(to, slice->data + from, part);
        to += part;
        len -= part;
        from = 0;
    }
    return true;
}

/* How many slices the first |len| bytes touch, at most max + 1. */
static unsigned count(const struct milgi__bufq *q, size_t len, unsigned max)
{
    unsigned n = 0;
    for (; len > 0 && n <= max; n++)
        len -= MILGI__MIN(at(q, n)->len, len);
    return n;
}

unsigned milgi__bufq_take(struct milgi__bufq *q, size_t len, struct milgi_slice *out, unsigned max)
{
    if (len > q->len || count(q, len, max) > max)
        return 0;
    unsigned n = 0;
    q->len -= len;
    while (len > 0) {
        struct milgi_slice *front = &q->ring[q->head];
        out[n] = *front;
        if (front->len > len) {
            milgi__chunk_ref(front->chunk);
            out[n++].len = (uint32_t)len;
            front->data += len;
            front->len -= (uint32_t)len;
            break;
        }
        len -= front->len;
        n++;
        drop_front(q);
    }
    return n;
}

void milgi__bufq_read(struct milgi__bufq *q, void *out, size_t len)
{
    assert(len <= q->len);
    uint8_t *to = out;
    q->len -= len;
    while (len > 0) {
        struct milgi_slice *front = at(q, 0);
        uint32_t part = (uint32_t)MILGI__MIN(front->len, len);
        memcpy(to, front->data, part);
        to += part;
        len -= part;
        front->data += part;
        front->len -= part;
        if (front->len == 0) {
            milgi_chunk_unref(front->chunk);
            drop_front(q);
        }
    }
}

void milgi__bufq_clear(struct milgi__bufq *q, struct milgi__pool *pool)
{
    while (q->n > 0) {
        milgi_chunk_unref(at(q, 0)->chunk);
        drop_front(q);
    }
    if (q->ring)
        milgi__block_give(milgi__pool_blocks(pool), q->ring, q->cap * sizeof *q->ring);
    *q = (struct milgi__bufq){ 0 };
}
