/* SPDX-License-Identifier: Apache-2.0 */
/* Wiping, comparing, memory that fails when it is told to, lists, errors and alerts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

static void wipe_leaves_zeros_and_touches_nothing_else(void **state)
{
    (void)state;
    uint8_t secret[33];
    memset(secret, 0xa5, sizeof secret);
    milgi__wipe(secret, 32);
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(secret[i], 0);
    assert_int_equal(secret[32], 0xa5);
    milgi__wipe(NULL, 0);
}

/* The memory of a dead object is looked at through a pointer the compiler knows nothing about. */
static uint8_t *volatile left_behind;

static void __attribute__((noinline)) keep_secret(bool wipe)
{
    uint8_t *secret = left_behind;
    memset(secret, 0x5a, 64);
    if (wipe)
        milgi__wipe(secret, 64);
}

static void wipe_is_not_optimised_away(void **state)
{
    (void)state;
    uint8_t memory[64];
    left_behind = memory;
    keep_secret(false);
    assert_int_equal(memory[63], 0x5a);
    keep_secret(true);
    for (size_t i = 0; i < sizeof memory; i++)
        assert_int_equal(((volatile uint8_t *)memory)[i], 0);
}

static void comparison_sees_every_bit_of_every_byte(void **state)
{
    (void)state;
    uint8_t a[48], b[48];
    for (size_t i = 0; i < sizeof a; i++)
        a[i] = b[i] = (uint8_t)(i * 37);
    assert_int_equal(milgi__ct_equal(a, b, sizeof a), 1);
    assert_int_equal(milgi__ct_equal(a, b, 0), 1);
    for (size_t i = 0; i < sizeof a * 8; i++) {
        b[i / 8] = (uint8_t)(b[i / 8] ^ 1u << i % 8);
        assert_int_equal(milgi__ct_equal(a, b, sizeof a), 0);
        b[i / 8] = a[i / 8];
    }
}

static unsigned until_failure;

static bool fail_later(void)
{
    return until_failure-- == 0;
}

static void allocations_fail_when_told_to(void **state)
{
    (void)state;
    milgi__mem_fail = fail_later;
    until_failure = 1;
    uint8_t *p = milgi__alloc(16);
    assert_non_null(p);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(p[i], 0);
    assert_null(milgi__alloc_raw(16));
    until_failure = 0;
    assert_null(milgi__alloc(16));
    milgi__mem_fail = NULL;
    milgi__free_wiped(p, 16);
    milgi__free(NULL);
    milgi__free_wiped(NULL, 0);
    p = milgi__alloc_raw(0);
    assert_non_null(p);
    milgi__free(p);
}

struct node {
    int number;
    struct milgi__link link;
};

static void list_keeps_order_and_forgives_removing_twice(void **state)
{
    (void)state;
    struct milgi__link head;
    struct node node[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
    milgi__list_init(&head);
    assert_true(milgi__list_empty(&head));
    for (int i = 0; i < 3; i++)
        milgi__list_append(&head, &node[i].link);
    milgi__list_remove(&node[1].link);
    milgi__list_remove(&node[1].link);
    assert_int_equal(MILGI__ENTRY(head.next, struct node, link)->number, 0);
    assert_int_equal(MILGI__ENTRY(head.next->next, struct node, link)->number, 2);
    milgi__list_remove(&node[0].link);
    milgi__list_remove(&node[2].link);
    assert_true(milgi__list_empty(&head));
}

/* --- errors ----------------------------------------------------------------------------------------------------- */

static void every_error_has_a_name_a_text_and_a_class(void **state)
{
    (void)state;
#define MILGI_X(name, value, cls, text) \
    assert_string_equal(milgi_error_name(value), #name); \
    assert_string_equal(milgi_error_text(value), text); \
    assert_int_equal(milgi_error_class(value), cls);
    MILGI_ERRORS(MILGI_X)
#undef MILGI_X
}

static void no_two_errors_share_a_value(void **state)
{
    (void)state;
    static const int values[] = {
#define MILGI_X(name, value, cls, text) name,
        MILGI_ERRORS(MILGI_X)
#undef MILGI_X
    };
    for (size_t i = 0; i < MILGI__COUNT(values); i++) {
        assert_true(values[i] < 0);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(values[i], values[j]);
    }
}

static void zero_is_ok_and_other_numbers_are_unknown(void **state)
{
    (void)state;
    assert_string_equal(milgi_error_text(0), "ok");
    assert_string_equal(milgi_error_name(0), "0");
    assert_int_equal(milgi_error_class(0), MILGI_CLASS_NONE);
    assert_string_equal(milgi_error_text(-1000), "unknown error");
    assert_string_equal(milgi_error_text(77), "unknown error");
    assert_int_equal(milgi_error_class(77), MILGI_CLASS_LOCAL);
}

static void alerts_have_the_names_of_the_rfc(void **state)
{
    (void)state;
    assert_string_equal(milgi_alert_name(0), "close_notify");
    assert_string_equal(milgi_alert_name(40), "handshake_failure");
    assert_string_equal(milgi_alert_name(20), "bad_record_mac");
    assert_string_equal(milgi_alert_name(90), "user_canceled");
    assert_string_equal(milgi_alert_name(120), "no_application_protocol");
    assert_string_equal(milgi_alert_name(21), "unknown"); /* decryption_failed_RESERVED */
    assert_string_equal(milgi_alert_name(-5), "unknown");
    assert_string_equal(milgi_alert_name(MILGI_ALERT_NONE), "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wipe_leaves_zeros_and_touches_nothing_else),
        cmocka_unit_test(wipe_is_not_optimised_away),
        cmocka_unit_test(comparison_sees_every_bit_of_every_byte),
        cmocka_unit_test(allocations_fail_when_told_to),
        cmocka_unit_test(list_keeps_order_and_forgives_removing_twice),
        cmocka_unit_test(every_error_has_a_name_a_text_and_a_class),
        cmocka_unit_test(no_two_errors_share_a_value),
        cmocka_unit_test(zero_is_ok_and_other_numbers_are_unknown),
        cmocka_unit_test(alerts_have_the_names_of_the_rfc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
