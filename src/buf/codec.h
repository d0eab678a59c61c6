/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire codec. A reader and a writer poison themselves on overrun: read or write a whole message, then look once
 * at |bad|. A poisoned reader yields zeros and empty ranges, a poisoned writer writes nothing more.
 */
#pragma once

#include "base/base.h"

struct milgi__reader {
    const uint8_t *p, *end;
    bool bad;
};
static inline struct milgi__reader milgi__reader(const void *data, size_t len)
{
    const uint8_t *p = data;
    return (struct milgi__reader){ p, len ? p + len : p, false }; /* nothing may be NULL */
}
static inline size_t milgi__left(const struct milgi__reader *r)
{
    return (size_t)(r->end - r->p);
}
/* True if all was read and nothing was missing. */
static inline bool milgi__reader_done(const struct milgi__reader *r)
{
    return !r->bad && r->p == r->end;
}
unsigned milgi__read8(struct milgi__reader *r);
unsigned milgi__read16(struct milgi__reader *r);
unsigned milgi__read24(struct milgi__reader *r);
uint32_t milgi__read32(struct milgi__reader *r);
const uint8_t *milgi__read_bytes(struct milgi__reader *r, size_t len); /* NULL when poisoned */
/* A vector with a length of |len_bytes| (1..3) before it, of min..max bytes, as a reader of its own. */
struct milgi__reader milgi__read_vec(struct milgi__reader *r, unsigned len_bytes, size_t min, size_t max);

struct milgi__writer {
    uint8_t *base, *p, *end;
    bool bad;
};
static inline struct milgi__writer milgi__writer(void *out, size_t cap)
{
    uint8_t *base = out;
    /* Without memory there is nothing to add to. */
    return (struct milgi__writer){ base, base, cap ? base + cap : base, false };
}
static inline size_t milgi__written(const struct milgi__writer *w)
{
    return (size_t)(w->p - w->base);
}
void milgi__write8(struct milgi__writer *w, unsigned v);
void milgi__write16(struct milgi__writer *w, unsigned v);
void milgi__write24(struct milgi__writer *w, unsigned v);
void milgi__write32(struct milgi__writer *w, uint32_t v);
void milgi__write_bytes(struct milgi__writer *w, const void *data, size_t len);
/* Opens a vector whose length of |len_bytes| is filled in by milgi__write_end(); returns the mark for it. They nest. */
size_t milgi__write_begin(struct milgi__writer *w, unsigned len_bytes);
void milgi__write_end(struct milgi__writer *w, size_t mark, unsigned len_bytes);
