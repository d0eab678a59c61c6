/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of bytes inside a message, and lists of 16-bit numbers in them: what the codecs share. */
#pragma once

#include "base/failure.h"
#include "buf/codec.h"

/* A range inside a message; borrowed from it. */
struct milgi__bytes {
    const uint8_t *p;
    size_t len;
};

static inline struct milgi__bytes milgi__rest(struct milgi__reader *r)
{
    size_t len = milgi__left(r);
    return (struct milgi__bytes){ milgi__read_bytes(r, len), len };
}

static inline struct milgi__reader milgi__reader_of(struct milgi__bytes bytes)
{
    static const uint8_t nothing[1];
    return milgi__reader(bytes.p ? bytes.p : nothing, bytes.len);
}

/* Lists of 16-bit code points stay as they are on the wire. */
static inline size_t milgi__u16_n(struct milgi__bytes list)
{
    return list.len / 2;
}

static inline uint16_t milgi__u16_at(struct milgi__bytes list, size_t i)
{
    return (uint16_t)milgi__get16(list.p + 2 * i);
}

static inline bool milgi__u16_has(struct milgi__bytes list, uint16_t v)
{
    for (size_t i = 0; i < milgi__u16_n(list); i++) {
        if (milgi__u16_at(list, i) == v)
            return true;
    }
    return false;
}

/*
 * A set of 16-bit numbers: keeps checks for doubles linear however long a hostile list is. As long as there are few
 * they stand in a list: bits for all are 8 KiB, which would have to be zeroed, and push out of the cache what is in it.
 */
#define MILGI__U16_FEW 24u

struct milgi__u16_set {
    unsigned n; /* of |few|; one more: all are in |word| */
    uint16_t few[MILGI__U16_FEW];
    uint64_t word[1024];
};

/* Empty. What is in |word| does not matter yet. */
static inline void milgi__u16_set_init(struct milgi__u16_set *set)
{
    set->n = 0;
}

static inline bool milgi__u16_set_has(const struct milgi__u16_set *set, unsigned v)
{
    if (set->n > MILGI__U16_FEW)
        return (set->word[v >> 6] >> (v & 63) & 1) != 0;
    for (unsigned i = 0; i < set->n; i++) {
        if (set->few[i] == v)
            return true;
    }
    return false;
}

/* False if it was in already. */
static inline bool milgi__u16_set_add(struct milgi__u16_set *set, unsigned v)
{
    if (milgi__u16_set_has(set, v))
        return false;
    if (set->n < MILGI__U16_FEW) {
        set->few[set->n++] = (uint16_t)v;
        return true;
    }
    if (set->n == MILGI__U16_FEW) {
        memset(set->word, 0, sizeof set->word);
        for (unsigned i = 0; i < MILGI__U16_FEW; i++)
            set->word[set->few[i] >> 6] |= (uint64_t)1 << (set->few[i] & 63);
        set->n++;
    }
    set->word[v >> 6] |= (uint64_t)1 << (v & 63);
    return true;
}
