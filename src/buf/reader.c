/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the wire: a reader that was asked for more than there is stays poisoned. */
#include "buf/codec.h"

/* |len| bytes to look at, or NULL and the reader is poisoned: nothing is left in it then. */
static const uint8_t *need(struct milgi__reader *r, size_t len)
{
    const uint8_t *p = r->p;
    if (r->bad || milgi__left(r) < len) {
        r->bad = true;
        r->p = r->end;
        return NULL;
    }
    if (len > 0)
        r->p += len;
    return p;
}

unsigned milgi__read8(struct milgi__reader *r)
{
    const uint8_t *p = need(r, 1);
    return p ? p[0] : 0;
}

unsigned milgi__read16(struct milgi__reader *r)
{
    const uint8_t *p = need(r, 2);
    return p ? milgi__get16(p) : 0;
}

unsigned milgi__read24(struct milgi__reader *r)
{
    const uint8_t *p = need(r, 3);
    return p ? milgi__get24(p) : 0;
}

uint32_t milgi__read32(struct milgi__reader *r)
{
    const uint8_t *p = need(r, 4);
    return p ? (uint32_t)milgi__get16(p) << 16 | milgi__get16(p + 2) : 0;
}

const uint8_t *milgi__read_bytes(struct milgi__reader *r, size_t len)
{
    return need(r, len);
}

static size_t read_len(struct milgi__reader *r, unsigned len_bytes)
{
    switch (len_bytes) {
    case 1: return milgi__read8(r);
    case 2: return milgi__read16(r);
    default: return milgi__read24(r);
    }
}

struct milgi__reader milgi__read_vec(struct milgi__reader *r, unsigned len_bytes, size_t min, size_t max)
{
    size_t len = read_len(r, len_bytes);
    const uint8_t *p = need(r, len);
    if (r->bad || len < min || len > max) {
        r->bad = true;
        r->p = r->end;
        return (struct milgi__reader){ r->end, r->end, true };
    }
    return milgi__reader(p, len);
}
