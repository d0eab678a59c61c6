/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of key servers: all of it, but not without end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/keyless.h"

static struct app_keyless_told table[16];
static unsigned kept;
static bool last;

static bool may(const char *part, uint64_t now_ms)
{
    return app_keyless_may_tell(table, part, now_ms, &kept, &last);
}

static void a_server_that_changes_often_is_told_of_eight_times_a_minute(void **state)
{
    (void)state;
    memset(table, 0, sizeof table);
    for (unsigned minute = 0; minute < 3; minute++) {
        uint64_t from_ms = 5000 + minute * 60000;
        for (unsigned i = 0; i < 120; i++) {
            assert_int_equal(may("a:1", from_ms + i * 500), i < 8);
            assert_int_equal(last, i >= 7);
            assert_int_equal(kept, i > 8 ? i - 8 : i == 0 && minute ? 112
                                                                    : 0);
        }
    }
}

static void each_server_has_its_own(void **state)
{
    char part[16];
    (void)state;
    memset(table, 0, sizeof table);
    for (unsigned i = 0; i < 20; i++)
        (void)may("a:1", 0);
    assert_false(may("a:1", 59999));
    for (unsigned i = 1; i < 16; i++) {
        snprintf(part, sizeof part, "b:%u", i);
        assert_true(may(part, 59999));
        assert_false(last);
    }
    assert_true(may("a:1", 60000));
    assert_int_equal(kept, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_changes_often_is_told_of_eight_times_a_minute),
        cmocka_unit_test(each_server_has_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
