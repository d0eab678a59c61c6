/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptions of devices: what is taken, what is refused and how. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.h"

static void a_description_is_a_name_and_words(void **state)
{
    struct milgi__spec spec;

    (void)state;
    assert_int_equal(milgi__spec_parse(&spec, "cpu"), 0);
    assert_string_equal(spec.text, "cpu");
    assert_int_equal(spec.n, 0);
    assert_int_equal(milgi__spec_parse(&spec, "pool:4,min=16,quick"), 0);
    assert_string_equal(spec.text, "pool");
    assert_int_equal(spec.n, 3);
    assert_string_equal(spec.key[0], "4");
    assert_null(spec.value[0]);
    assert_string_equal(spec.key[1], "min");
    assert_string_equal(spec.value[1], "16");
    assert_string_equal(spec.key[2], "quick");
    assert_null(spec.value[2]);
}

static void what_stands_in_parentheses_is_one_value(void **state)
{
    static const char *const bad[] = { "x:a=f(b", "x:a=f(b,c", "x:a=b)", "x:a=b),c", "x:a=f(b)),c=(" };
    struct milgi__spec spec;

    (void)state;
    assert_int_equal(milgi__spec_parse(&spec, "x:driver=f(g(a,b),c),depth=4"), 0);
    assert_int_equal(spec.n, 2);
    assert_string_equal(spec.value[0], "f(g(a,b),c)");
    assert_string_equal(spec.key[1], "depth");
    assert_string_equal(spec.value[1], "4");
    for (size_t i = 0; i < MILGI__COUNT(bad); i++)
        assert_int_equal(milgi__spec_parse(&spec, bad[i]), MILGI_EINVAL);
}

static void malformed_descriptions_are_refused(void **state)
{
    static const char *const bad[] = { NULL, "", ":", ":4", "pool:", "pool:,", "pool:4,", "pool:,4", "pool:=4",
        "pool:min=", "pool:min=1,min=2", "pool:4,4", "x:a,b,c,d,e,f,g,h,i,j,k,l,m" };
    struct milgi__spec spec;
    char text[200];

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(bad); i++)
        assert_int_equal(milgi__spec_parse(&spec, bad[i]), MILGI_EINVAL);
    memset(text, 'x', sizeof text);
    text[sizeof spec.text] = '\0';
    assert_int_equal(milgi__spec_parse(&spec, text), MILGI_EINVAL);
    text[sizeof spec.text - 1] = '\0';
    assert_int_equal(milgi__spec_parse(&spec, text), 0);
    assert_int_equal(milgi__spec_parse(&spec, "x:a,b,c,d,e,f,g,h,i,j,k,l"), 0);
}

static void times_have_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t ns;
    } good[] = { { "0", 0 }, { "7", 7 }, { "7ns", 7 }, { "20us", 20000 }, { "20ms", 20000000 }, { "3s", 3000000000 },
        { "18446744073s", 18446744073000000000u } };
    static const char *const bad[] = { NULL, "", "ms", "-1ms", "1 ms", "1.5ms", "1m", "1msx", "18446744074s",
        "18446744073709551616", "1MS" };
    uint64_t ns;

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(good); i++) {
        assert_true(milgi__spec_time(good[i].text, &ns));
        assert_true(ns == good[i].ns);
    }
    for (size_t i = 0; i < MILGI__COUNT(bad); i++)
        assert_false(milgi__spec_time(bad[i], &ns));
}

static void sizes_have_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = { { "0", 0 }, { "7", 7 }, { "7k", 7168 }, { "64m", 67108864 }, { "3g", 3221225472 },
        { "17179869183g", 18446744072635809792u } };
    static const char *const bad[] = { NULL, "", "m", "-1m", "1 m", "1.5m", "1M", "1mb", "17179869184g", "1t" };
    uint64_t bytes;

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(good); i++) {
        assert_true(milgi__spec_size(good[i].text, &bytes));
        assert_true(bytes == good[i].bytes);
    }
    for (size_t i = 0; i < MILGI__COUNT(bad); i++)
        assert_false(milgi__spec_size(bad[i], &bytes));
}

static void numbers_and_fractions_are_read_whole(void **state)
{
    uint64_t n;
    double f;

    (void)state;
    assert_true(milgi__spec_number("256", 256, &n) && n == 256);
    assert_true(milgi__spec_number("18446744073709551615", UINT64_MAX, &n) && n == UINT64_MAX);
    assert_false(milgi__spec_number("257", 256, &n));
    assert_false(milgi__spec_number("18446744073709551616", UINT64_MAX, &n));
    assert_false(milgi__spec_number("0x10", 256, &n));
    assert_false(milgi__spec_number("", 256, &n));
    assert_false(milgi__spec_number(NULL, 256, &n));
    assert_true(milgi__spec_fraction("0", &f) && f == 0);
    assert_true(milgi__spec_fraction("1", &f) && f == 1);
    assert_true(milgi__spec_fraction("0.25", &f) && f == 0.25);
    assert_true(milgi__spec_fraction("25%", &f) && f == 0.25);
    assert_true(milgi__spec_fraction("12.5%", &f) && f == 0.125);
    assert_false(milgi__spec_fraction("1.01", &f));
    assert_false(milgi__spec_fraction("101%", &f));
    assert_false(milgi__spec_fraction("-0.5", &f));
    assert_false(milgi__spec_fraction("0,5", &f));
    assert_false(milgi__spec_fraction("1.", &f));
    assert_false(milgi__spec_fraction(NULL, &f));
}

static void expect_refusal(const char *spec, int error, const char *says)
{
    struct milgi_device *device = (void *)&device;
    const char *why = NULL;

    assert_int_equal(milgi_device_new(spec, &device, &why), error);
    assert_null(device);
    assert_non_null(why);
    if (!strstr(why, says))
        fail_msg("\"%s\": \"%s\" does not speak of \"%s\"", spec, why, says);
    assert_int_equal(milgi_device_new(spec, &device, NULL), error);
}

static void a_wrong_word_or_value_is_named(void **state)
{
    (void)state;
    expect_refusal("abacus", MILGI_EUNSUPPORTED, "no device of this name");
    expect_refusal("pool:", MILGI_EINVAL, "name[:word");
    expect_refusal("cpu:2", MILGI_EINVAL, "cpu");
    expect_refusal("pool:0", MILGI_EINVAL, "1 to 256 threads");
    expect_refusal("pool:257", MILGI_EINVAL, "1 to 256 threads");
    expect_refusal("pool:2=3", MILGI_EINVAL, "1 to 256 threads");
    expect_refusal("pool:2,deep=3", MILGI_EINVAL, "depth=");
    expect_refusal("pool:min=1,2", MILGI_EINVAL, "the words are");
    expect_refusal("pool:depth=0", MILGI_EINVAL, "depth is 1 to");
    expect_refusal("sim:latency", MILGI_EINVAL, "latency is a time");
    expect_refusal("sim:latency=fast", MILGI_EINVAL, "latency is a time");
    expect_refusal("sim:latency.sing=1ms", MILGI_EINVAL, "latency.<op type>");
    expect_refusal("sim:units=0", MILGI_EINVAL, "units is 1 to");
    expect_refusal("sim:order=any", MILGI_EINVAL, "order is in or out");
    expect_refusal("sim:order", MILGI_EINVAL, "order is in or out");
    expect_refusal("sim:memory", MILGI_EINVAL, "memory is own");
    expect_refusal("sim:memory=huge", MILGI_EINVAL, "memory is own");
    expect_refusal("sim:memory=own:", MILGI_EINVAL, "memory is own");
    expect_refusal("sim:memory=own:0", MILGI_EINVAL, "memory is own");
    expect_refusal("sim:memory=own:3m", MILGI_EINVAL, "memory is own");
    expect_refusal("sim:memory=owner", MILGI_EINVAL, "memory is own");
    expect_refusal("pool:memory=own", MILGI_EINVAL, "memory is huge");
    expect_refusal("pool:memory=huge:2048g", MILGI_EINVAL, "memory is huge");
    expect_refusal("sim:manual=1", MILGI_EINVAL, "manual takes no value");
    expect_refusal("chaos:delay=2", MILGI_EINVAL, "delay is a probability");
    expect_refusal("chaos:max_delay=soon", MILGI_EINVAL, "max_delay");
    expect_refusal("chaos:max_delay=1000001", MILGI_EINVAL, "max_delay");
    expect_refusal("chaos:mood=bad", MILGI_EINVAL, "the words are");
    assert_int_equal(milgi_device_new("cpu", NULL, NULL), MILGI_EINVAL);
    milgi_device_free(NULL);
}

static void caps_are_what_the_words_say(void **state)
{
    struct milgi_device *device;

    (void)state;
    assert_int_equal(milgi_device_new("pool:3,min=4096,depth=77", &device, NULL), 0);
    assert_int_equal(device->caps.parallelism, 3);
    assert_int_equal(device->caps.min_record, 4096);
    assert_int_equal(device->caps.max_in_flight, 77);
    assert_string_equal(device->spec, "pool:3,min=4096,depth=77");
    milgi_device_free(device);
    assert_int_equal(milgi_device_new("pool:1", &device, NULL), 0);
    assert_true(device->caps.min_record == UINT32_MAX);
    milgi_device_free(device);
    assert_int_equal(milgi_device_new("sim:units=16,depth=9,order=in,records=512", &device, NULL), 0);
    assert_int_equal(device->caps.parallelism, 16);
    assert_int_equal(device->caps.max_in_flight, 9);
    assert_int_equal(device->caps.min_record, 512);
    assert_true(device->caps.flags & MILGI_CAP_IN_ORDER);
    milgi_device_free(device);
    assert_int_equal(milgi_device_new("sim", &device, NULL), 0);
    assert_false(device->caps.flags & MILGI_CAP_IN_ORDER);
    assert_false(device->caps.flags & MILGI_CAP_OWN_MEMORY);
    assert_null(device->ops->chunk_alloc);
    milgi_device_free(device);
    assert_int_equal(milgi_device_new("sim:memory=own:2m", &device, NULL), 0);
    assert_true(device->caps.flags & MILGI_CAP_OWN_MEMORY);
    assert_non_null(device->ops->chunk_alloc);
    milgi_device_free(device);
    assert_int_equal(milgi_device_new("pool:1,memory=huge", &device, NULL), 0);
    assert_false(device->caps.flags & MILGI_CAP_OWN_MEMORY);
    assert_non_null(device->ops->chunk_alloc);
    milgi_device_free(device);
}

static unsigned allocations_left;

static bool run_out(void)
{
    return allocations_left == 0 || allocations_left-- == 0;
}

/* Every allocation on the way fails in turn; what was made before it goes again. */
static void a_device_that_cannot_have_memory_is_not_made(void **state)
{
    static const char *const specs[] = { "cpu", "pool:2", "sim", "chaos", "sim:memory=own", "pool:1,memory=huge" };
    static const struct milgi_clock none;

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(specs); i++) {
        struct milgi_qp *qp = NULL;
        for (unsigned n = 0; !qp; n++) {
            struct milgi_device *device;
            assert_true(n < 1000);
            allocations_left = n;
            milgi__mem_fail = run_out;
            int error = milgi_device_new(specs[i], &device, NULL);
            if (error == 0)
                qp = device->ops->qp_open(device, &none);
            else
                assert_int_equal(error, MILGI_ENOMEM);
            milgi__mem_fail = NULL;
            if (qp)
                device->ops->qp_close(qp);
            milgi_device_free(device);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_description_is_a_name_and_words),
        cmocka_unit_test(what_stands_in_parentheses_is_one_value),
        cmocka_unit_test(malformed_descriptions_are_refused),
        cmocka_unit_test(times_have_units),
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(numbers_and_fractions_are_read_whole),
        cmocka_unit_test(a_wrong_word_or_value_is_named),
        cmocka_unit_test(caps_are_what_the_words_say),
        cmocka_unit_test(a_device_that_cannot_have_memory_is_not_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
