/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the wire: a writer that ran out of room stays poisoned. */
#include "buf/codec.h"

/* |len| bytes to fill in, or NULL and the writer is poisoned. */
static uint8_t *room(struct milgi__writer *w, size_t len)
{
    uint8_t *p = w->p;
    if (w->bad || (size_t)(w->end - p) < len) {
        w->bad = true;
        return NULL;
    }
    w->p += len;
    return p;
}

static void put(uint8_t *p, unsigned len_bytes, size_t v)
{
    while (len_bytes-- > 0) {
        p[len_bytes] = (uint8_t)v;
        v >>= 8;
    }
}

static void write_int(struct milgi__writer *w, unsigned len_bytes, size_t v)
{
    uint8_t *p = room(w, len_bytes);
    if (p)
        put(p, len_bytes, v);
}

void milgi__write8(struct milgi__writer *w, unsigned v)
{
    write_int(w, 1, v);
}

void milgi__write16(struct milgi__writer *w, unsigned v)
{
    write_int(w, 2, v);
}

void milgi__write24(struct milgi__writer *w, unsigned v)
{
    write_int(w, 3, v);
}

void milgi__write32(struct milgi__writer *w, uint32_t v)
{
    write_int(w, 4, v);
}

void milgi__write_bytes(struct milgi__writer *w, const void *data, size_t len)
{
    if (len == 0)
        return;
    uint8_t *p = room(w, len);
    if (p)
        memcpy(p, data, len);
}

size_t milgi__write_begin(struct milgi__writer *w, unsigned len_bytes)
{
    size_t mark = milgi__written(w);
    (void)room(w, len_bytes);
    return mark;
}

void milgi__write_end(struct milgi__writer *w, size_t mark, unsigned len_bytes)
{
    if (w->bad)
        return;
    size_t len = milgi__written(w) - mark - len_bytes;
    if (len >> 8 * len_bytes != 0) {
        w->bad = true;
        return;
    }
    put(w->base + mark, len_bytes, len);
}
