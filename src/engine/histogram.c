/* SPDX-License-Identifier: Apache-2.0 */
/* HdrHistogram behind our allocator and our bounds. */
#include "engine/histogram.h"

#include <hdr/hdr_histogram.h>

#include "base/base.h"

#define DIGITS 2

struct milgi__histogram {
    struct hdr_histogram hdr;
    uint64_t sum;
    int64_t counts[];
};

/* The shape of all of them. */
static struct hdr_histogram_bucket_config shape(void)
{
    struct hdr_histogram_bucket_config config;
    if (hdr_calculate_bucket_config(1, (int64_t)MILGI__HISTOGRAM_MAX_NS, DIGITS, &config) != 0)
        memset(&config, 0, sizeof config);
    return config;
}

size_t milgi__histogram_memory(void)
{
    return sizeof(struct milgi__histogram) + (size_t)shape().counts_len * sizeof(int64_t);
}

struct milgi__histogram *milgi__histogram_new(void)
{
    struct hdr_histogram_bucket_config config = shape();
    if (config.counts_len <= 0)
        return NULL;
    struct milgi__histogram *h = milgi__alloc(sizeof *h + (size_t)config.counts_len * sizeof h->counts[0]);
    if (!h)
        return NULL;
    hdr_init_preallocated(&h->hdr, &config);
    h->hdr.counts = h->counts;
    return h;
}

void milgi__histogram_free(struct milgi__histogram *h)
{
    milgi__free(h);
}

void milgi__histogram_record(struct milgi__histogram *h, uint64_t ns)
{
    uint64_t value = MILGI__MIN(ns, MILGI__HISTOGRAM_MAX_NS);
    if (hdr_record_value(&h->hdr, (int64_t)value))
        h->sum += value;
}

void milgi__histogram_merge(struct milgi__histogram *h, const struct milgi__histogram *from)
{
    int64_t least = MILGI__MIN(h->hdr.min_value, from->hdr.min_value);
    int64_t most = MILGI__MAX(h->hdr.max_value, from->hdr.max_value);
    hdr_add(&h->hdr, &from->hdr);
    h->sum += from->sum;
    /* hdr_add() knows the other's values only as accurately as they were counted. */
    h->hdr.min_value = least;
    h->hdr.max_value = most;
}

void milgi__histogram_reset(struct milgi__histogram *h)
{
    hdr_reset(&h->hdr);
    h->sum = 0;
}

uint64_t milgi__histogram_count(const struct milgi__histogram *h)
{
    return (uint64_t)h->hdr.total_count;
}

/* hdr_min() and hdr_max() answer with the bounds of a bucket; these are what was seen. */
uint64_t milgi__histogram_min(const struct milgi__histogram *h)
{
    if (h->hdr.total_count == 0 || h->counts[0] > 0)
        return 0;
    return (uint64_t)h->hdr.min_value;
}

uint64_t milgi__histogram_max(const struct milgi__histogram *h)
{
    return (uint64_t)h->hdr.max_value;
}

uint64_t milgi__histogram_mean(const struct milgi__histogram *h)
{
    return h->hdr.total_count ? h->sum / (uint64_t)h->hdr.total_count : 0;
}

uint64_t milgi__histogram_percentile(const struct milgi__histogram *h, double percent)
{
    if (h->hdr.total_count == 0)
        return 0;
    if (!(percent > 0))
        return milgi__histogram_min(h);
    /* The upper bound of a bucket may be more than anything that was seen. */
    uint64_t value = (uint64_t)hdr_value_at_percentile(&h->hdr, MILGI__MIN(percent, 100.0));
    return MILGI__MIN(value, milgi__histogram_max(h));
}
