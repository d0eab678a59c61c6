/* SPDX-License-Identifier: Apache-2.0 */
/* Medians and percentiles of what was measured. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

void bench_samples_add(struct bench_samples *samples, double value)
{
    if (samples->n == samples->cap) {
        samples->cap = samples->cap ? samples->cap * 2 : 256;
        samples->v = realloc(samples->v, samples->cap * sizeof *samples->v);
        if (!samples->v)
            bench_die("out of memory");
    }
    samples->v[samples->n++] = value;
}

void bench_samples_clear(struct bench_samples *samples)
{
    samples->n = 0;
}

void bench_samples_free(struct bench_samples *samples)
{
    free(samples->v);
    *samples = (struct bench_samples){ NULL, 0, 0 };
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_samples_min(const struct bench_samples *samples)
{
    if (samples->n == 0)
        bench_die("no samples");
    double least = samples->v[0];
    for (size_t i = 1; i < samples->n; i++)
        least = samples->v[i] < least ? samples->v[i] : least;
    return least;
}

static double *in_order(const struct bench_samples *samples)
{
    double *sorted = malloc(samples->n * sizeof *sorted);

    if (samples->n == 0 || !sorted)
        bench_die("no samples");
    memcpy(sorted, samples->v, samples->n * sizeof *sorted);
    qsort(sorted, samples->n, sizeof *sorted, ascending);
    return sorted;
}

double bench_samples_median(const struct bench_samples *samples)
{
    size_t n = samples->n;
    double *sorted = in_order(samples);
    double median = n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;

    free(sorted);
    return median;
}

double bench_samples_percentile(const struct bench_samples *samples, double percent)
{
    double *sorted = in_order(samples);
    double rank = ceil(percent / 100 * (double)samples->n);
    size_t at = rank < 1 ? 0 : (size_t)rank - 1;
    double value = sorted[at < samples->n ? at : samples->n - 1];

    free(sorted);
    return value;
}
