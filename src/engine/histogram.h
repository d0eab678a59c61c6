/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of times: two significant digits from 1 ns to 100 s, 31 KiB each (docs/adr/0010). What is longer counts
 * as 100 s.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MILGI__HISTOGRAM_MAX_NS 100000000000u

struct milgi__histogram;

struct milgi__histogram *milgi__histogram_new(void); /* NULL: no memory */
void milgi__histogram_free(struct milgi__histogram *h);
void milgi__histogram_record(struct milgi__histogram *h, uint64_t ns);
void milgi__histogram_merge(struct milgi__histogram *h, const struct milgi__histogram *from);
void milgi__histogram_reset(struct milgi__histogram *h);

/* Of an empty histogram all are 0. min, max and mean are exact. */
uint64_t milgi__histogram_count(const struct milgi__histogram *h);
uint64_t milgi__histogram_min(const struct milgi__histogram *h);
uint64_t milgi__histogram_max(const struct milgi__histogram *h);
uint64_t milgi__histogram_mean(const struct milgi__histogram *h);
/* |percent| of the values are this or less; outside 0 to 100 it is taken as the nearer end. */
uint64_t milgi__histogram_percentile(const struct milgi__histogram *h, double percent);
size_t milgi__histogram_memory(void); /* bytes of each */
