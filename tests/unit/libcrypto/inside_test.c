/* SPDX-License-Identifier: Apache-2.0 */
/* What is seen from within libcrypto's room only: compiled with the headers of the library's libcrypto. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "crypto/libcrypto/libcrypto.h"

/* What is drawn comes from a store that is filled now and then; nothing of it is left there, nor comes twice. */
static void randomness_from_the_store_is_drawn_once_and_wiped(void **state)
{
    struct milgi__crypto *cx = *state;
    uint8_t drawn[200][32], zeros[MILGI__RANDOM_STORE] = { 0 };

    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(milgi__crypto_random(cx, drawn[i], 32 - i % 7), 0);
        size_t gone = sizeof cx->random - cx->random_left;
        assert_memory_equal(cx->random, zeros, gone);
        for (unsigned k = 0; k < i; k++)
            assert_memory_not_equal(drawn[k], drawn[i], 16);
    }
    uint8_t much[4 * MILGI__RANDOM_STORE] = { 0 };
    size_t left = cx->random_left;
    assert_int_equal(milgi__crypto_random(cx, much, sizeof much), 0);
    assert_int_equal(cx->random_left, left);
    assert_memory_not_equal(much + sizeof much - 16, zeros, 16);
    milgi__crypto_idle(cx);
    assert_int_equal(cx->random_left, 0);
    assert_memory_equal(cx->random, zeros, sizeof cx->random);
}

static void exponents_that_no_key_is_made_with_are_not_acceptable(void **state)
{
    (void)state;
    BIGNUM *e = BN_new();
    for (unsigned even = 0; even <= 32; even++) {
        BN_zero(e);
        assert_int_equal(BN_set_bit(e, (int)even), 1);
        assert_false(milgi__exponent_acceptable(e));
    }
    BN_set_word(e, 3);
    BN_set_negative(e, 1);
    assert_false(milgi__exponent_acceptable(e));
    BN_free(e);
}

static int set_up(void **state)
{
    *state = milgi__crypto_new();
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    milgi__crypto_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(randomness_from_the_store_is_drawn_once_and_wiped),
        cmocka_unit_test(exponents_that_no_key_is_made_with_are_not_acceptable),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
