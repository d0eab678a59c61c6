/* SPDX-License-Identifier: Apache-2.0 */
/* The histogram against exact percentiles of the same values; its bounds, merging, and no memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "engine/histogram.h"

static struct milgi__histogram *made(void)
{
    struct milgi__histogram *h = milgi__histogram_new();
    assert_non_null(h);
    return h;
}

static void an_empty_histogram_says_0_to_everything(void **state)
{
    (void)state;
    struct milgi__histogram *h = made();
    assert_int_equal(milgi__histogram_count(h), 0);
    assert_int_equal(milgi__histogram_min(h), 0);
    assert_int_equal(milgi__histogram_max(h), 0);
    assert_int_equal(milgi__histogram_mean(h), 0);
    assert_int_equal(milgi__histogram_percentile(h, 99), 0);
    milgi__histogram_free(h);
}

static void one_value_is_exact_at_every_percentile(void **state)
{
    (void)state;
    static const uint64_t values[] = { 0, 1, 63, 255, 256, 20000, 1234567, 99999999999u, MILGI__HISTOGRAM_MAX_NS };
    for (unsigned i = 0; i < MILGI__COUNT(values); i++) {
        struct milgi__histogram *h = made();
        milgi__histogram_record(h, values[i]);
        assert_int_equal(milgi__histogram_min(h), values[i]);
        assert_int_equal(milgi__histogram_max(h), values[i]);
        assert_int_equal(milgi__histogram_mean(h), values[i]);
        assert_int_equal(milgi__histogram_percentile(h, 0), values[i]);
        assert_int_equal(milgi__histogram_percentile(h, 50), values[i]);
        assert_int_equal(milgi__histogram_percentile(h, 100), values[i]);
        milgi__histogram_free(h);
    }
}

static void percentiles_are_right_to_one_percent(void **state)
{
    (void)state;
    struct milgi__histogram *h = made();
    for (uint64_t i = 1; i <= 100000; i++)
        milgi__histogram_record(h, i * 7919 % 100000 * 1000 + 1000); /* 1 us to 100 ms, each once */
    static const double percents[] = { 1, 10, 50, 90, 99, 99.9, 100 };
    for (unsigned i = 0; i < MILGI__COUNT(percents); i++) {
        double wanted = percents[i] * 1e6, got = (double)milgi__histogram_percentile(h, percents[i]);
        assert_true(got >= wanted * 0.99 && got <= wanted * 1.01);
    }
    assert_int_equal(milgi__histogram_count(h), 100000);
    assert_int_equal(milgi__histogram_min(h), 1000);
    assert_int_equal(milgi__histogram_max(h), 100000000);
    assert_int_equal(milgi__histogram_mean(h), 50000500);
    milgi__histogram_free(h);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Values of every magnitude from 1 ns to 100 s, in sets of 1 to 4000, each against a sorted list of the same. */
static void every_percentile_is_within_one_percent_of_the_exact_one(void **state)
{
    (void)state;
    static const unsigned per_mille[] = { 0, 1, 10, 100, 250, 500, 750, 900, 990, 999, 1000 };
    static uint64_t values[4000];
    uint64_t x = 88172645463325252u;
    for (unsigned n = 1; n <= MILGI__COUNT(values); n = n * 3 / 2 + 1) {
        struct milgi__histogram *h = made();
        uint64_t sum = 0;
        for (unsigned i = 0; i < n; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            uint64_t value = (x | UINT64_C(1) << 63) >> (x % 37 + 27); /* of 1 to 37 bits, each as often */
            values[i] = MILGI__MIN(value, MILGI__HISTOGRAM_MAX_NS);
            milgi__histogram_record(h, values[i]);
            sum += values[i];
        }
        qsort(values, n, sizeof values[0], by_value);
        for (unsigned i = 0; i < MILGI__COUNT(per_mille); i++) {
            uint64_t place = ((uint64_t)per_mille[i] * n + 999) / 1000; /* so many values are at or below it */
            uint64_t exact = values[place ? place - 1 : 0];
            uint64_t got = milgi__histogram_percentile(h, per_mille[i] / 10.0);
            assert_in_range(got, exact, exact + exact / 100);
        }
        assert_int_equal(milgi__histogram_count(h), n);
        assert_int_equal(milgi__histogram_min(h), values[0]);
        assert_int_equal(milgi__histogram_max(h), values[n - 1]);
        assert_int_equal(milgi__histogram_mean(h), sum / n);
        milgi__histogram_free(h);
    }
}

static void both_sides_of_every_power_of_two_stay_apart(void **state)
{
    (void)state;
    for (unsigned bit = 1; bit < 37; bit++) {
        uint64_t power = UINT64_C(1) << bit;
        struct milgi__histogram *h = made();
        milgi__histogram_record(h, power - 1);
        milgi__histogram_record(h, power);
        milgi__histogram_record(h, MILGI__HISTOGRAM_MAX_NS);
        assert_int_equal(milgi__histogram_percentile(h, 33), power - 1);
        assert_in_range(milgi__histogram_percentile(h, 66), power, power + power / 100);
        milgi__histogram_free(h);
    }
}

static void percentages_out_of_range_are_the_ends(void **state)
{
    (void)state;
    struct milgi__histogram *h = made();
    milgi__histogram_record(h, 10);
    milgi__histogram_record(h, 20);
    assert_int_equal(milgi__histogram_percentile(h, -5), 10);
    assert_int_equal(milgi__histogram_percentile(h, 0.0 / 1.0), 10);
    assert_int_equal(milgi__histogram_percentile(h, 1e9), 20);
    milgi__histogram_free(h);
}

static void what_is_out_of_range_counts_as_the_largest(void **state)
{
    (void)state;
    struct milgi__histogram *h = made();
    milgi__histogram_record(h, MILGI__HISTOGRAM_MAX_NS + 1);
    milgi__histogram_record(h, UINT64_MAX);
    assert_int_equal(milgi__histogram_count(h), 2);
    assert_int_equal(milgi__histogram_min(h), MILGI__HISTOGRAM_MAX_NS);
    assert_int_equal(milgi__histogram_max(h), MILGI__HISTOGRAM_MAX_NS);
    assert_int_equal(milgi__histogram_percentile(h, 50), MILGI__HISTOGRAM_MAX_NS);
    milgi__histogram_free(h);
}

static void merging_adds_and_leaves_the_other_alone(void **state)
{
    (void)state;
    struct milgi__histogram *a = made(), *b = made();
    for (uint64_t i = 1; i <= 90; i++)
        milgi__histogram_record(a, 1000 + i);
    for (uint64_t i = 1; i <= 10; i++)
        milgi__histogram_record(b, 1000003 * i);
    milgi__histogram_merge(a, b);
    assert_int_equal(milgi__histogram_count(a), 100);
    assert_int_equal(milgi__histogram_min(a), 1001);
    assert_int_equal(milgi__histogram_max(a), 10000030);
    assert_int_equal(milgi__histogram_mean(a), (90 * 1000 + 90 * 91 / 2 + 1000003 * 55) / 100);
    assert_true(milgi__histogram_percentile(a, 90) < 1100);
    assert_true(milgi__histogram_percentile(a, 91) >= 1000003);
    assert_int_equal(milgi__histogram_count(b), 10);
    assert_int_equal(milgi__histogram_min(b), 1000003);
    milgi__histogram_free(a);
    milgi__histogram_free(b);
}

static void merging_with_an_empty_one_changes_nothing(void **state)
{
    (void)state;
    struct milgi__histogram *a = made(), *b = made();
    milgi__histogram_record(a, 77777);
    milgi__histogram_merge(a, b);
    assert_int_equal(milgi__histogram_min(a), 77777);
    assert_int_equal(milgi__histogram_max(a), 77777);
    milgi__histogram_merge(b, a);
    assert_int_equal(milgi__histogram_count(b), 1);
    assert_int_equal(milgi__histogram_min(b), 77777);
    assert_int_equal(milgi__histogram_percentile(b, 50), 77777);
    milgi__histogram_free(a);
    milgi__histogram_free(b);
}

static void a_reset_histogram_is_empty(void **state)
{
    (void)state;
    struct milgi__histogram *h = made();
    for (uint64_t i = 0; i < 1000; i++)
        milgi__histogram_record(h, i * i * i);
    milgi__histogram_reset(h);
    assert_int_equal(milgi__histogram_count(h), 0);
    assert_int_equal(milgi__histogram_min(h), 0);
    assert_int_equal(milgi__histogram_max(h), 0);
    assert_int_equal(milgi__histogram_mean(h), 0);
    milgi__histogram_record(h, 5);
    assert_int_equal(milgi__histogram_percentile(h, 100), 5);
    milgi__histogram_free(h);
}

static bool no_memory(void)
{
    return true;
}

static void its_memory_is_ours_and_what_is_said_of_it(void **state)
{
    (void)state;
    milgi__mem_fail = no_memory;
    struct milgi__histogram *h = milgi__histogram_new();
    milgi__mem_fail = NULL;
    assert_null(h);
    assert_true(milgi__histogram_memory() > 30 * 1024 && milgi__histogram_memory() <= 32 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_histogram_says_0_to_everything),
        cmocka_unit_test(one_value_is_exact_at_every_percentile),
        cmocka_unit_test(percentiles_are_right_to_one_percent),
        cmocka_unit_test(every_percentile_is_within_one_percent_of_the_exact_one),
        cmocka_unit_test(both_sides_of_every_power_of_two_stay_apart),
        cmocka_unit_test(percentages_out_of_range_are_the_ends),
        cmocka_unit_test(what_is_out_of_range_counts_as_the_largest),
        cmocka_unit_test(merging_adds_and_leaves_the_other_alone),
        cmocka_unit_test(merging_with_an_empty_one_changes_nothing),
        cmocka_unit_test(a_reset_histogram_is_empty),
        cmocka_unit_test(its_memory_is_ours_and_what_is_said_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
