/* SPDX-License-Identifier: Apache-2.0 */
/* The chunk pool: who may have the rest of a record that is begun when there is nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf/buf.h"

static struct milgi__pool *pool_of(size_t limit)
{
    struct milgi__pool *pool = milgi__pool_new(&(struct milgi__pool_options){ .limit = limit });
    assert_non_null(pool);
    return pool;
}

static void a_few_at_a_time_may_finish_what_they_have_begun(void **state)
{
    struct milgi__pool *pool = pool_of(1 << 20);
    uint64_t now = 1, late = 200000000;
    (void)state;
    for (uint64_t owner = 7; owner < 9; owner++) {
        assert_true(milgi__pool_may_finish(pool, owner, now));
        milgi__pool_finishes(pool, owner, true, now);
        milgi__pool_finishes(pool, owner, true, now); /* a little more of it */
    }
    assert_true(milgi__pool_may_finish(pool, 7, now));
    assert_true(milgi__pool_may_finish(pool, 8, now));
    assert_false(milgi__pool_may_finish(pool, 9, now));
    milgi__pool_finishes(pool, 9, true, now); /* it had some before */
    assert_false(milgi__pool_may_finish(pool, 9, now));
    milgi__pool_finishes(pool, 8, false, now);
    assert_true(milgi__pool_may_finish(pool, 9, now));
    milgi__pool_finishes(pool, 9, true, now);
    assert_false(milgi__pool_may_finish(pool, 8, now));
    /* Who does not finish makes room, and does not take it again ahead of others. */
    milgi__pool_finishes(pool, 7, true, late);
    assert_true(milgi__pool_may_finish(pool, 10, late));
    milgi__pool_finishes(pool, 10, true, late);
    milgi__pool_finishes(pool, 11, true, late);
    assert_false(milgi__pool_may_finish(pool, 7, late));
    milgi__pool_finishes(pool, 10, false, late);
    milgi__pool_finishes(pool, 7, true, late);
    assert_true(milgi__pool_may_finish(pool, 7, late));
    milgi__pool_close(pool);
}

/* Nothing that is released need bring it: who has finished may have held nothing else. */
static void who_wants_to_finish_is_told_when_others_have(void **state)
{
    struct milgi__pool *pool = pool_of(1 << 20);
    static struct milgi_chunk *all[4096];
    unsigned n = 0;
    (void)state;
    while ((all[n] = milgi__chunk_alloc(pool, 512, 0, false)))
        n++;
    milgi__pool_finishes(pool, 7, true, 1);
    milgi__pool_finishes(pool, 8, true, 1);
    assert_false(milgi__pool_starved(pool));
    milgi__pool_finishes(pool, 8, false, 1); /* nobody has asked */
    assert_false(milgi__pool_recovered(pool));
    milgi__pool_finishes(pool, 8, true, 1);
    assert_false(milgi__pool_may_finish(pool, 9, 1));
    assert_true(milgi__pool_starved(pool)); /* somebody looks after a while */
    assert_false(milgi__pool_recovered(pool));
    milgi__pool_finishes(pool, 8, false, 1);
    assert_true(milgi__pool_recovered(pool));
    assert_false(milgi__pool_recovered(pool));
    assert_false(milgi__pool_starved(pool));
    while (n)
        milgi_chunk_unref(all[--n]);
    milgi__pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_few_at_a_time_may_finish_what_they_have_begun),
        cmocka_unit_test(who_wants_to_finish_is_told_when_others_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
