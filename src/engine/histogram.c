/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log-linear histogram. Values below 256 have a bucket each; above, every doubling is divided into 128 buckets of
 * equal width, so that a bucket is never wider than 1/128 of the values in it.
 */
#include "engine/histogram.h"

#include "base/base.h"

#define STEPS_LOG 7u
#define STEPS (1u << STEPS_LOG) /* buckets of a doubling */
/* The largest value is less than 2^37: 2 * STEPS buckets of width 1, then STEPS for each of 29 doublings. */
#define BUCKETS (STEPS * 31u)

struct milgi__histogram {
    uint64_t count, sum, min, max;
    uint64_t counts[BUCKETS];
};

/* How many low bits the bucket of |value| does not distinguish. */
static unsigned coarseness(uint64_t value)
{
    unsigned shift = 0;
    while (value >> shift >= 2 * STEPS)
        shift++;
    return shift;
}

static size_t bucket_of(uint64_t value)
{
    unsigned shift = coarseness(value);
    return (size_t)shift * STEPS + (size_t)(value >> shift);
}

/* The largest value that falls into the bucket. */
static uint64_t top_of(size_t bucket)
{
    if (bucket < 2 * STEPS)
        return bucket;
    unsigned shift = (unsigned)(bucket / STEPS) - 1;
    return (((uint64_t)bucket - (uint64_t)shift * STEPS + 1) << shift) - 1;
}

size_t milgi__histogram_memory(void)
{
    return sizeof(struct milgi__histogram);
}

struct milgi__histogram *milgi__histogram_new(void)
{
    return milgi__alloc(sizeof(struct milgi__histogram));
}

void milgi__histogram_free(struct milgi__histogram *h)
{
    milgi__free(h);
}

static void widen(struct milgi__histogram *h, uint64_t min, uint64_t max)
{
    h->min = h->count ? MILGI__MIN(h->min, min) : min;
    h->max = MILGI__MAX(h->max, max);
}

void milgi__histogram_record(struct milgi__histogram *h, uint64_t ns)
{
    uint64_t value = MILGI__MIN(ns, MILGI__HISTOGRAM_MAX_NS);
    widen(h, value, value);
    h->count++;
    h->sum += value;
    h->counts[bucket_of(value)]++;
}

void milgi__histogram_merge(struct milgi__histogram *h, const struct milgi__histogram *from)
{
    if (!from->count)
        return;
    widen(h, from->min, from->max);
    h->count += from->count;
    h->sum += from->sum;
    for (size_t i = 0; i < BUCKETS; i++)
        h->counts[i] += from->counts[i];
}

void milgi__histogram_reset(struct milgi__histogram *h)
{
    memset(h, 0, sizeof *h);
}

uint64_t milgi__histogram_count(const struct milgi__histogram *h)
{
    return h->count;
}

uint64_t milgi__histogram_min(const struct milgi__histogram *h)
{
    return h->min;
}

uint64_t milgi__histogram_max(const struct milgi__histogram *h)
{
    return h->max;
}

uint64_t milgi__histogram_mean(const struct milgi__histogram *h)
{
    return h->count ? h->sum / h->count : 0;
}

/* The 1-based place, among all values in order, of the least that has |percent| of them at or below it. */
static uint64_t place_of(uint64_t count, double percent)
{
    double exact = MILGI__MIN(percent, 100.0) * (double)count / 100;
    uint64_t place = (uint64_t)exact;
    place += (double)place < exact;
    return MILGI__MIN(MILGI__MAX(place, 1), count);
}

uint64_t milgi__histogram_percentile(const struct milgi__histogram *h, double percent)
{
    if (!h->count || !(percent > 0))
        return h->min;
    uint64_t left = place_of(h->count, percent);
    size_t bucket = 0;
    while (h->counts[bucket] < left)
        left -= h->counts[bucket++];
    /* The bucket may reach beyond anything that was seen. */
    return MILGI__MIN(top_of(bucket), h->max);
}
