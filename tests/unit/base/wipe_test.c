/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wiped before it is freed is zeros when the heap gets it.
 * ctest-wrap: free
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"

#define SIZE 100

static void *watched;
static unsigned frees, dirty;

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
    if (p && p == watched) {
        frees++;
        for (size_t i = 0; i < SIZE; i++)
            dirty += ((const uint8_t *)p)[i] != 0;
    }
    __real_free(p);
}

static void a_secret_is_gone_before_its_memory_is(void **state)
{
    (void)state;
    frees = dirty = 0;
    watched = milgi__alloc_raw(SIZE);
    assert_non_null(watched);
    memset(watched, 0x5a, SIZE);
    milgi__free_wiped(watched, SIZE);
    watched = NULL;
    assert_int_equal(frees, 1);
    assert_int_equal(dirty, 0);
}

static void nothing_may_be_freed(void **state)
{
    (void)state;
    milgi__free_wiped(NULL, SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_gone_before_its_memory_is),
        cmocka_unit_test(nothing_may_be_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
