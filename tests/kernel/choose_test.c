/* SPDX-License-Identifier: Apache-2.0 */
/* Which processor runs which kernel, and which records a kernel is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <cpuid.h>
#include <malloc.h>

#include <milgi/op.h>

#include "base/base.h"
#include "crypto/kernel/cpu.h"
#include "crypto/kernel/gcm.h"
#include "reference.h"

/* --- processors -------------------------------------------------------------------------------------------------- */

static const struct milgi__cpu all = {
    .ecx1 = bit_AES | bit_PCLMUL | bit_SSSE3 | bit_SSE4_1 | bit_OSXSAVE | bit_AVX,
    .ebx7 = bit_AVX2 | bit_AVX512F | bit_AVX512BW | bit_AVX512VL,
    .ecx7 = bit_VAES | bit_VPCLMULQDQ,
    .saved = 0xe7,
};

static void one_that_has_all_runs_all(void **state)
{
    (void)state;
    assert_true(milgi__cpu_runs_aesni(&all));
    assert_true(milgi__cpu_runs_vaes256(&all));
    assert_true(milgi__cpu_runs_vaes512(&all));
}

static void each_feature_is_needed_by_what_is_compiled_with_it(void **state)
{
    static const struct {
        struct milgi__cpu without;
        unsigned least; /* of the kernels that do not run then */
    } features[] = {
        { { bit_AES, 0, 0, 0 }, 0 },
        { { bit_PCLMUL, 0, 0, 0 }, 0 },
        { { bit_SSSE3, 0, 0, 0 }, 0 },
        { { bit_SSE4_1, 0, 0, 0 }, 0 },
        { { bit_AVX, 0, 0, 0 }, 1 },
        { { 0, bit_AVX2, 0, 0 }, 1 },
        { { 0, 0, bit_VAES, 0 }, 1 },
        { { 0, 0, bit_VPCLMULQDQ, 0 }, 1 },
        { { 0, bit_AVX512F, 0, 0 }, 2 },
        { { 0, bit_AVX512BW, 0, 0 }, 2 },
        { { 0, bit_AVX512VL, 0, 0 }, 2 },
    };

    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(features); i++) {
        struct milgi__cpu cpu = all;
        cpu.ecx1 &= ~features[i].without.ecx1;
        cpu.ebx7 &= ~features[i].without.ebx7;
        cpu.ecx7 &= ~features[i].without.ecx7;
        assert_int_equal(milgi__cpu_runs_aesni(&cpu), features[i].least > 0);
        assert_int_equal(milgi__cpu_runs_vaes256(&cpu), features[i].least > 1);
        assert_false(milgi__cpu_runs_vaes512(&cpu));
    }
}

static void a_system_that_does_not_keep_registers_has_no_kernel_that_uses_them(void **state)
{
    (void)state;
    for (uint32_t saved = 0; saved < 0x100; saved++) {
        struct milgi__cpu cpu = all;
        cpu.saved = saved;
        assert_true(milgi__cpu_runs_aesni(&cpu));
        assert_int_equal(milgi__cpu_runs_vaes256(&cpu), (saved & 0x06) == 0x06);
        assert_int_equal(milgi__cpu_runs_vaes512(&cpu), (saved & 0xe6) == 0xe6);
    }
}

/* --- records ----------------------------------------------------------------------------------------------------- */

#define LIMIT 1000

static const size_t up_to[MILGI__GCM_KINDS] = { LIMIT, LIMIT, LIMIT };
static const uint8_t nonce[12] = { 1 };
static const uint8_t aad[5] = { 23, 3, 3 };

static int setup(void **state)
{
    milgi__kernel_off = false;
    *state = milgi__kernel_new(up_to);
    return 0;
}

static int teardown(void **state)
{
    milgi__kernel_free(*state);
    return 0;
}

static struct milgi__kernel *kernel_or_skip(void **state)
{
    if (!milgi__gcm_best()) {
        print_message("SKIPPED: this processor or system runs no kernel\n");
        skip();
    }
    assert_non_null(*state);
    return *state;
}

static struct milgi__aead_key key_of(uint64_t serial, uint16_t suite, const uint8_t *raw)
{
    return (struct milgi__aead_key){ serial, suite, suite == MILGI_SUITE_AES_128_GCM_SHA256 ? 16 : 32, raw };
}

static int seal(struct milgi__kernel *k, const struct milgi__aead_key *key, size_t len, uint8_t *out)
{
    static uint8_t plain[2 * LIMIT];
    struct milgi__piece src[2] = { { plain, len / 2 }, { plain + len / 2, len - len / 2 } };

    return milgi__kernel_seal(k, key, nonce, aad, sizeof aad, src, 2, 0, 0, out);
}

static int open_it(struct milgi__kernel *k, const struct milgi__aead_key *key, size_t len, const uint8_t *in)
{
    static uint8_t copy[2 * LIMIT + 16];
    struct milgi__piece src = { copy, len };

    memcpy(copy, in, len);
    return milgi__kernel_open(k, key, nonce, aad, sizeof aad, &src, 1, in + len, NULL);
}

/* Whether |out| is what the key |raw| makes of zeros. */
static bool is_sealed_with(const uint8_t *raw, size_t key_len, size_t len, const uint8_t *out)
{
    static const uint8_t plain[2 * LIMIT];
    static uint8_t expected[2 * LIMIT + 16];

    reference_seal(raw, key_len, nonce, aad, sizeof aad, plain, len, expected);
    return memcmp(out, expected, len + 16) == 0;
}

static const uint8_t one[32] = { 1 };
static const uint8_t two[32] = { 2 };

static void records_up_to_the_limit_are_the_kernel_s(void **state)
{
    struct milgi__kernel *k = kernel_or_skip(state);
    struct milgi__aead_key key = key_of(7, MILGI_SUITE_AES_128_GCM_SHA256, one);
    static uint8_t out[2 * LIMIT + 16];

    assert_int_equal(seal(k, &key, LIMIT, out), 0);
    assert_true(is_sealed_with(one, 16, LIMIT, out));
    assert_int_equal(open_it(k, &key, LIMIT, out), 0);
    out[LIMIT + 15] ^= 1;
    assert_int_equal(open_it(k, &key, LIMIT, out), MILGI__BAD);
    memset(out, 0, sizeof out);
    assert_int_equal(seal(k, &key, LIMIT + 1, out), MILGI__NOT_MINE);
    assert_int_equal(open_it(k, &key, LIMIT + 1, out), MILGI__NOT_MINE);
    for (size_t i = 0; i < sizeof out; i++)
        assert_int_equal(out[i], 0);
}

static void other_suites_and_keys_of_other_lengths_are_the_library_s(void **state)
{
    struct milgi__kernel *k = kernel_or_skip(state);
    struct milgi__aead_key chacha = key_of(7, MILGI_SUITE_CHACHA20_POLY1305_SHA256, one);
    struct milgi__aead_key odd = key_of(7, MILGI_SUITE_AES_128_GCM_SHA256, one);
    struct milgi__aead_key unnamed = key_of(0, MILGI_SUITE_AES_128_GCM_SHA256, one);
    uint8_t out[64];

    odd.raw_len = 24;
    assert_int_equal(seal(k, &chacha, 10, out), MILGI__NOT_MINE);
    assert_int_equal(seal(k, &odd, 10, out), MILGI__NOT_MINE);
    assert_int_equal(seal(k, &unnamed, 10, out), MILGI__NOT_MINE);
    assert_int_equal(open_it(k, &chacha, 10, out), MILGI__NOT_MINE);
}

static void both_lengths_of_keys_are_the_kernel_s_and_do_not_mix(void **state)
{
    struct milgi__kernel *k = kernel_or_skip(state);
    uint8_t out[64];

    for (uint64_t serial = 1; serial < 1000; serial++) {
        const uint8_t *raw = serial % 3 ? one : two;
        size_t len = serial % 2 ? 16 : 32;
        struct milgi__aead_key key = key_of(
            serial, len == 16 ? MILGI_SUITE_AES_128_GCM_SHA256 : MILGI_SUITE_AES_256_GCM_SHA384, raw);
        assert_int_equal(seal(k, &key, 20, out), 0);
        assert_true(is_sealed_with(raw, len, 20, out));
        assert_int_equal(open_it(k, &key, 20, out), 0);
    }
}

/* Whether a key is in the kernel's memory: AES's first round takes it as it is. */
static bool holds(struct milgi__kernel *k, const uint8_t raw[16])
{
    return memmem(k, malloc_usable_size(k), raw, 16) != NULL;
}

static void a_serial_stands_for_one_key_until_it_is_forgotten_or_all_are_wiped(void **state)
{
    struct milgi__kernel *k = kernel_or_skip(state);
    struct milgi__aead_key first = key_of(7, MILGI_SUITE_AES_128_GCM_SHA256, one);
    struct milgi__aead_key second = key_of(7, MILGI_SUITE_AES_128_GCM_SHA256, two);
    struct milgi__aead_key third = key_of(7, MILGI_SUITE_AES_256_GCM_SHA384, two);
    uint8_t out[64];

    assert_int_equal(seal(k, &first, 20, out), 0);
    assert_int_equal(seal(k, &second, 20, out), 0);
    assert_true(is_sealed_with(one, 16, 20, out));
    assert_int_equal(seal(k, &third, 20, out), MILGI__BROKEN);
    assert_int_equal(open_it(k, &third, 20, out), MILGI__BROKEN);
    assert_true(holds(k, one));
    milgi__kernel_forget(k, 7);
    assert_false(holds(k, one));
    assert_int_equal(seal(k, &second, 20, out), 0);
    assert_true(is_sealed_with(two, 16, 20, out));
    milgi__kernel_forget(k, 8);
    assert_true(holds(k, two));
    milgi__kernel_wipe(k);
    assert_false(holds(k, two));
    assert_int_equal(seal(k, &third, 20, out), 0);
    assert_true(is_sealed_with(two, 32, 20, out));
}

static void of_several_records_those_before_a_longer_one_are_done_together(void **state)
{
    struct milgi__kernel *k = kernel_or_skip(state);
    struct milgi__aead_key key = key_of(7, MILGI_SUITE_AES_128_GCM_SHA256, one);
    struct milgi__aead_key chacha = key_of(8, MILGI_SUITE_CHACHA20_POLY1305_SHA256, one);
    static uint8_t wire[MILGI__AEAD_MANY + 3][LIMIT + 1 + 16];
    struct milgi_op_record r[MILGI__AEAD_MANY + 3];
    int8_t verdicts[MILGI__AEAD_MANY];

    for (unsigned i = 0; i < MILGI__COUNT(r); i++) {
        r[i] = (struct milgi_op_record){ .nonce = { 1 }, .aad_len = 5, .aad = { 23, 3, 3 }, .len = LIMIT - i };
        r[i].src = r[i].dst = wire[i];
    }
    r[3].len = LIMIT + 1;
    assert_int_equal(milgi__kernel_many(k, &key, true, r, 10, verdicts), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(verdicts[i], 0);
        assert_true(is_sealed_with(one, 16, LIMIT - i, wire[i]));
    }
    assert_int_equal(wire[4][0], 0);
    assert_int_equal(milgi__kernel_many(k, &key, true, r + 3, 7, verdicts), 0);
    wire[1][0] ^= 1;
    assert_int_equal(milgi__kernel_many(k, &key, false, r, 10, verdicts), 3);
    assert_int_equal(verdicts[0], 0);
    assert_int_equal(verdicts[1], MILGI__BAD);
    assert_int_equal(verdicts[2], 0);
    r[3].len = 1;
    assert_int_equal(milgi__kernel_many(k, &key, true, r, MILGI__COUNT(r), verdicts), MILGI__AEAD_MANY);
    assert_int_equal(milgi__kernel_many(k, &key, true, r, 0, verdicts), 0);
    assert_int_equal(milgi__kernel_many(k, &chacha, true, r, 3, verdicts), 0);
    assert_int_equal(milgi__kernel_many(NULL, &key, true, r, 3, verdicts), 0);
}

static void without_a_kernel_all_is_the_library_s(void **state)
{
    static const size_t none[MILGI__GCM_KINDS];
    struct milgi__aead_key key = key_of(7, MILGI_SUITE_AES_128_GCM_SHA256, one);
    uint8_t out[64];

    (void)state;
    assert_null(milgi__kernel_new(none));
    milgi__kernel_off = true;
    assert_null(milgi__kernel_new(up_to));
    milgi__kernel_off = false;
    assert_int_equal(seal(NULL, &key, 20, out), MILGI__NOT_MINE);
    assert_int_equal(open_it(NULL, &key, 20, out), MILGI__NOT_MINE);
    milgi__kernel_forget(NULL, 7);
    milgi__kernel_wipe(NULL);
    milgi__kernel_free(NULL);
}

#define record_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_has_all_runs_all),
        cmocka_unit_test(each_feature_is_needed_by_what_is_compiled_with_it),
        cmocka_unit_test(a_system_that_does_not_keep_registers_has_no_kernel_that_uses_them),
        record_test(records_up_to_the_limit_are_the_kernel_s),
        record_test(other_suites_and_keys_of_other_lengths_are_the_library_s),
        record_test(both_lengths_of_keys_are_the_kernel_s_and_do_not_mix),
        record_test(a_serial_stands_for_one_key_until_it_is_forgotten_or_all_are_wiped),
        record_test(of_several_records_those_before_a_longer_one_are_done_together),
        cmocka_unit_test(without_a_kernel_all_is_the_library_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
