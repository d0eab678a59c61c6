/* SPDX-License-Identifier: Apache-2.0 */
/* Small blocks that are kept for the next of their size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf/buf.h"

static unsigned made;
static int due; /* calls until one is refused */

static void count(void)
{
    made++;
}

static bool fail_when_due(void)
{
    return due-- == 0;
}

static int begin(void **state)
{
    (void)state;
    made = 0;
    milgi__mem_made = count;
    return 0;
}

static int end(void **state)
{
    (void)state;
    milgi__mem_made = NULL;
    milgi__mem_fail = NULL;
    return 0;
}

static void what_was_given_back_serves_the_next_of_its_size(void **state)
{
    (void)state;
    struct milgi__blocks b = { 0 };
    void *p = milgi__block_take(&b, 100), *q = milgi__block_take(&b, 100);
    assert_int_equal(made, 2);
    milgi__block_give(&b, p, 100);
    milgi__block_give(&b, q, 100);
    assert_true(milgi__block_take(&b, 89) == q); /* 89 .. 104 are one size */
    assert_true(milgi__block_take(&b, 104) == p);
    assert_int_equal(made, 2);
    milgi__block_give(&b, q, 89);
    void *larger = milgi__block_take(&b, 105), *smaller = milgi__block_take(&b, 88);
    assert_int_equal(made, 4);
    memset(larger, 1, 105);
    memset(smaller, 1, 88);
    milgi__block_give(&b, p, 104);
    milgi__block_give(&b, larger, 105);
    milgi__block_give(&b, smaller, 88);
    milgi__blocks_close(&b);
    assert_int_equal(b.bytes, 0);
}

static void each_size_has_room_for_what_was_asked_for(void **state)
{
    (void)state;
    struct milgi__blocks b = { 0 };
    for (size_t size = 0; size <= MILGI__BLOCK_MAX + 1; size++) {
        uint8_t *p = milgi__block_take(&b, size); /* mostly one that was a byte shorter */
        assert_non_null(p);
        memset(p, 0xff, size);
        milgi__block_give(&b, p, size);
    }
    assert_int_equal(b.bytes, (8 + MILGI__BLOCK_MAX) / 2 * MILGI__BLOCK_SIZES);
    assert_int_equal(made, MILGI__BLOCK_SIZES + 1); /* the last is too long to be kept */
    milgi__blocks_close(&b);
}

static void one_that_is_wanted_zeroed_is(void **state)
{
    (void)state;
    static const uint8_t zeros[200];
    struct milgi__blocks b = { 0 };
    uint8_t *p = milgi__block_take(&b, 200);
    memset(p, 7, 200);
    milgi__block_give(&b, p, 200);
    p = milgi__block_zeroed(&b, 200);
    assert_memory_equal(p, zeros, 200);
    milgi__block_give_wiped(&b, p, 200);
    milgi__block_give_wiped(&b, NULL, 200);
    milgi__blocks_close(&b);
}

static void a_secret_is_gone_when_it_is_given_back(void **state)
{
    (void)state;
    static const uint8_t zeros[200];
    struct milgi__blocks b = { 0 };
    uint8_t *p = milgi__block_take(&b, 200);
    memset(p, 7, 200);
    milgi__block_give_wiped(&b, p, 200);
    p = milgi__block_take(&b, 200);
    assert_memory_equal(p + sizeof(void *), zeros, 200 - sizeof(void *)); /* the list is in it */
    milgi__block_give(&b, p, 200);
    milgi__blocks_close(&b);
}

static void no_more_is_kept_than_may_be(void **state)
{
    (void)state;
    enum {
        N = MILGI__BLOCKS_KEPT / 1000 + 10
    };
    struct milgi__blocks b = { 0 };
    void *p[N];
    for (unsigned i = 0; i < N; i++)
        p[i] = milgi__block_take(&b, 1000);
    for (unsigned i = 0; i < N; i++)
        milgi__block_give(&b, p[i], 1000);
    assert_in_range(b.bytes, MILGI__BLOCKS_KEPT - 1000, MILGI__BLOCKS_KEPT);
    milgi__blocks_close(&b);
    milgi__block_give(&b, milgi__block_take(&b, 10), 10); /* still allowed */
    assert_int_equal(b.bytes, 0);
}

/* As many as the last period never needed go with its end, in steps. */
static void what_a_period_did_not_need_goes(void **state)
{
    (void)state;
    struct milgi__blocks b = { 0 };
    void *p[10];
    for (unsigned i = 0; i < 10; i++)
        p[i] = milgi__block_take(&b, 40);
    for (unsigned i = 0; i < 10; i++)
        milgi__block_give(&b, p[i], 40);
    assert_false(milgi__blocks_trim(&b, 100)); /* the first period begins */
    assert_int_equal(b.bytes, 400);
    for (unsigned i = 0; i < 3; i++)
        p[i] = milgi__block_take(&b, 40);
    for (unsigned i = 0; i < 3; i++)
        milgi__block_give(&b, p[i], 40);
    assert_true(milgi__blocks_trim(&b, 5));
    assert_int_equal(b.bytes, 200);
    assert_false(milgi__blocks_trim(&b, 5));
    assert_int_equal(b.bytes, 120);
    assert_false(milgi__blocks_trim(&b, 5));
    assert_int_equal(b.bytes, 0);
}

static void any_of_them_can_be_made_to_fail(void **state)
{
    (void)state;
    struct milgi__blocks b = { 0 };
    milgi__block_give(&b, milgi__block_take(&b, 40), 40);
    milgi__mem_fail = fail_when_due;
    due = 0;
    assert_null(milgi__block_take(&b, 40)); /* there is one */
    due = 0;
    assert_null(milgi__block_take(&b, 400));
    due = 0;
    assert_null(milgi__block_zeroed(&b, 4000));
    due = 1;
    void *p = milgi__block_take(&b, 40);
    assert_non_null(p);
    milgi__block_give(&b, p, 40);
    milgi__blocks_close(&b);
}

static void a_pool_lets_go_of_them_as_of_chunks(void **state)
{
    (void)state;
    struct milgi__pool *pool = milgi__pool_new(&(struct milgi__pool_options){ .limit = 1 << 20 });
    struct milgi__blocks *b = milgi__pool_blocks(pool);
    void *p[MILGI__BLOCKS_LEFT / 1032 + 1];
    assert_false(milgi__pool_idle(pool));
    milgi__block_give(b, milgi__block_take(b, 40), 40);
    assert_false(milgi__pool_idle(pool)); /* too little to wake anybody */
    for (size_t i = 0; i < MILGI__COUNT(p); i++)
        p[i] = milgi__block_take(b, 1032);
    for (size_t i = 0; i < MILGI__COUNT(p); i++)
        milgi__block_give(b, p[i], 1032);
    assert_true(milgi__pool_idle(pool));
    assert_false(milgi__pool_trim(pool, 100));
    assert_true(milgi__pool_trim(pool, 0));
    assert_false(milgi__pool_trim(pool, 100));
    assert_false(milgi__pool_idle(pool));
    assert_int_equal(b->bytes, 0);
    milgi__block_give(b, milgi__block_take(b, 40), 40);
    milgi__pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_given_back_serves_the_next_of_its_size, begin, end),
        cmocka_unit_test_setup_teardown(each_size_has_room_for_what_was_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(one_that_is_wanted_zeroed_is, begin, end),
        cmocka_unit_test_setup_teardown(a_secret_is_gone_when_it_is_given_back, begin, end),
        cmocka_unit_test_setup_teardown(no_more_is_kept_than_may_be, begin, end),
        cmocka_unit_test_setup_teardown(what_a_period_did_not_need_goes, begin, end),
        cmocka_unit_test_setup_teardown(any_of_them_can_be_made_to_fail, begin, end),
        cmocka_unit_test_setup_teardown(a_pool_lets_go_of_them_as_of_chunks, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
