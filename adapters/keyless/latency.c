/* SPDX-License-Identifier: Apache-2.0 */
/* How long answers take: buckets of an eighth of a power of two, of which the old ones fade. */
#include "keyless.h"

#define PARTS_SHIFT 3u  /* parts of a power of two */
#define LEAST_SHIFT 14u /* 16 us: below that all are the same */
#define FADE_AT 1024u   /* then what there is counts half */
#define KNOWN_AT 32u    /* fewer say nothing */
#define HIGH_PERCENT 95u

static unsigned bucket_of(uint64_t ns)
{
    if (ns >> LEAST_SHIFT == 0)
        return 0;
    unsigned top = 63u - (unsigned)__builtin_clzll(ns);
    unsigned bucket =
        (top - LEAST_SHIFT) << PARTS_SHIFT | (unsigned)(ns >> (top - PARTS_SHIFT) & ((1u << PARTS_SHIFT) - 1));
    return bucket < MILGI__KEYLESS_BUCKETS ? bucket : MILGI__KEYLESS_BUCKETS - 1;
}

/* Above all that is in it. */
static uint64_t end_of(unsigned bucket)
{
    unsigned part = (bucket & ((1u << PARTS_SHIFT) - 1)) + 1, top = (bucket >> PARTS_SHIFT) + LEAST_SHIFT;
    return (UINT64_C(1) << top) + ((uint64_t)part << (top - PARTS_SHIFT));
}

static uint64_t high(const struct milgi__keyless_times *times)
{
    uint64_t wanted = (uint64_t)times->n * HIGH_PERCENT / 100, seen = 0;
    unsigned i = 0;
    while (i < MILGI__KEYLESS_BUCKETS - 1 && (seen += times->bucket[i]) < wanted)
        i++;
    return end_of(i);
}

void milgi__keyless_took(struct milgi__keyless_times *times, uint64_t ns)
{
    times->bucket[bucket_of(ns)]++;
    times->n++;
    if (times->n >= FADE_AT) {
        times->n = 0;
        for (unsigned i = 0; i < MILGI__KEYLESS_BUCKETS; i++)
            times->n += times->bucket[i] /= 2;
    }
    if (times->n >= KNOWN_AT && times->n % KNOWN_AT == 0)
        times->high_ns = high(times);
}
