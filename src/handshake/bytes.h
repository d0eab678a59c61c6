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

/* A set of 16-bit numbers: keeps checks for doubles linear however long a hostile list is. */
struct milgi__u16_set {
    uint64_t word[1024];
};

/* False if it was in already. */
static inline bool milgi__u16_set_add(struct milgi__u16_set *set, unsigned v)
{
    uint64_t bit = (uint64_t)1 << (v & 63);
    bool fresh = (set->word[v >> 6] & bit) == 0;
    set->word[v >> 6] |= bit;
    return fresh;
}

static inline bool milgi__u16_set_has(const struct milgi__u16_set *set, unsigned v)
{
    return (set->word[v >> 6] >> (v & 63) & 1) != 0;
}
