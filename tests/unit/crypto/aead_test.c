/* SPDX-License-Identifier: Apache-2.0 */
/* AEADs against known answers, in place and apart, and with every kind of wrong input. */
#include "fixture.h"

#include <milgi/op.h>

#include "crypto/kernel/kernel.h"

#define ROOM 17000
#define TAG_LEN 16

static const struct {
    uint16_t id;
    uint8_t key_len;
} suites[] = {
    { MILGI_SUITE_AES_128_GCM_SHA256, 16 },
    { MILGI_SUITE_AES_256_GCM_SHA384, 32 },
    { MILGI_SUITE_CHACHA20_POLY1305_SHA256, 32 },
};
static const size_t sizes[] = { 0, 1, 15, 16, 17, 64, 1000, 1023, 1024, 1025, 4097, 16384 };

static const uint8_t nonce[12] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
static const uint8_t aad[5] = { 23, 3, 3, 0, 99 };

static struct milgi__aead_key key_of(unsigned suite, uint64_t serial)
{
    static uint8_t raw[32];

    for (unsigned i = 0; i < sizeof raw; i++)
        raw[i] = (uint8_t)(serial * 31 + i);
    return (struct milgi__aead_key){ serial, suites[suite].id, suites[suite].key_len, raw };
}

static void fill(uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 7 + len);
}

static unsigned split(uint8_t *data, size_t len, struct milgi__piece out[4])
{
    size_t at = 0;

    for (unsigned i = 0; i < 4; i++) {
        size_t end = i == 3 ? len : len * (i + 1) / 5;
        out[i] = (struct milgi__piece){ data + at, end - at };
        at = end;
    }
    return 4;
}

/* The ciphertext of |len| bytes with type and padding, made from a plaintext that has them already. */
static void reference(
    struct milgi__crypto *cx, const struct milgi__aead_key *key, size_t len, size_t pad, uint8_t out[ROOM])
{
    static uint8_t plain[ROOM];
    struct milgi__piece src = { plain, len + 1 + pad };

    fill(plain, len);
    plain[len] = 23;
    memset(plain + len + 1, 0, pad);
    assert_int_equal(milgi__aead_seal(cx, key, nonce, aad, sizeof aad, &src, 1, 0, 0, out), 0);
}

static void seal_of_every_shape_is_the_same(void **state)
{
    static uint8_t expected[ROOM], data[ROOM], dst[ROOM];
    const size_t pads[] = { 0, 1, 200 };

    for (unsigned s = 0; s < MILGI__COUNT(suites); s++) {
        struct milgi__aead_key key = key_of(s, s + 1);
        for (unsigned i = 0; i < MILGI__COUNT(sizes) * MILGI__COUNT(pads); i++) {
            size_t len = sizes[i / MILGI__COUNT(pads)];
            size_t pad = pads[i % MILGI__COUNT(pads)];
            size_t all = len + 1 + pad + TAG_LEN;
            struct milgi__piece src[4] = { { data, len } };
            reference(*state, &key, len, pad, expected);

            fill(data, len);
            assert_int_equal(milgi__aead_seal(*state, &key, nonce, aad, 5, src, 1, 23, pad, dst), 0);
            assert_memory_equal(dst, expected, all);
            unsigned n = split(data, len, src);
            assert_int_equal(milgi__aead_seal(*state, &key, nonce, aad, 5, src, n, 23, pad, dst), 0);
            assert_memory_equal(dst, expected, all);
            src[0] = (struct milgi__piece){ data, len };
            assert_int_equal(milgi__aead_seal(*state, &key, nonce, aad, 5, src, 1, 23, pad, data), 0);
            assert_memory_equal(data, expected, all);
        }
    }
}

static void open_of_every_shape_gives_the_plaintext(void **state)
{
    static uint8_t plain[ROOM], data[ROOM], dst[ROOM];

    for (unsigned s = 0; s < MILGI__COUNT(suites); s++) {
        struct milgi__aead_key key = key_of(s, s + 1);
        for (unsigned i = 0; i < MILGI__COUNT(sizes); i++) {
            size_t len = sizes[i];
            struct milgi__piece src[4] = { { data, len } };
            uint8_t tag[TAG_LEN];
            fill(plain, len);
            fill(data, len);
            assert_int_equal(milgi__aead_seal(*state, &key, nonce, aad, 5, src, 1, 0, 0, data), 0);
            memcpy(tag, data + len, TAG_LEN);

            assert_int_equal(milgi__aead_open(*state, &key, nonce, aad, 5, src, 1, tag, dst), 0);
            assert_memory_equal(dst, plain, len);
            unsigned n = split(data, len, src);
            memset(dst, 0, len);
            assert_int_equal(milgi__aead_open(*state, &key, nonce, aad, 5, src, n, tag, dst), 0);
            assert_memory_equal(dst, plain, len);
            assert_int_equal(milgi__aead_open(*state, &key, nonce, aad, 5, src, n, tag, NULL), 0);
            assert_memory_equal(data, plain, len);
        }
    }
}

/* Which of an open's inputs has one bit flipped. */
enum flaw {
    IN_TEXT,
    IN_TAG,
    IN_AAD,
    IN_NONCE,
    IN_KEY,
    FLAWS
};

static void check_flaw(struct milgi__crypto *cx, unsigned suite, enum flaw flaw, size_t len, bool in_place, unsigned n)
{
    static uint8_t data[ROOM], dst[ROOM], zeros[ROOM];
    struct milgi__aead_key key = key_of(suite, 77 + 100 * suite);
    struct milgi__piece src[4] = { { data, len } };
    uint8_t iv[12], a[5], tag[TAG_LEN];

    memcpy(iv, nonce, sizeof iv);
    memcpy(a, aad, sizeof a);
    fill(data, len);
    assert_int_equal(milgi__aead_seal(cx, &key, iv, a, 5, src, 1, 0, 0, data), 0);
    memcpy(tag, data + len, TAG_LEN);
    if (flaw == IN_KEY)
        key = key_of(suite, 78 + 100 * suite);
    uint8_t *victims[FLAWS] = { &data[len / 2], &tag[15], &a[3], &iv[0], NULL };
    if (victims[flaw])
        *victims[flaw] ^= 0x80;
    if (n == 4)
        split(data, len, src);
    memset(dst, 0xee, len);
    assert_int_equal(milgi__aead_open(cx, &key, iv, a, 5, src, n, tag, in_place ? NULL : dst), MILGI__BAD);
    assert_memory_equal(in_place ? data : dst, zeros, len);
}

static void a_flipped_bit_is_refused_and_nothing_is_left_to_read(void **state)
{
    for (unsigned s = 0; s < MILGI__COUNT(suites); s++) {
        for (unsigned i = 0; i < FLAWS * 8; i++) {
            size_t len = i & 1 ? 40 : 5000;
            check_flaw(*state, s, (enum flaw)(i / 8), len, (i & 2) != 0, i & 4 ? 4 : 1);
        }
    }
}

static void many_keys_in_turn_do_not_mix(void **state)
{
    static uint8_t first[300][64];
    uint8_t data[64];
    struct milgi__piece src = { data, 32 };

    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 300; i++) {
            struct milgi__aead_key key = key_of(i % 3, 1000 + i);
            fill(data, 32);
            assert_int_equal(milgi__aead_seal(*state, &key, nonce, aad, 5, &src, 1, 23, 0, data), 0);
            if (round == 0)
                memcpy(first[i], data, sizeof data);
            assert_memory_equal(data, first[i], 32 + 1 + TAG_LEN);
            const uint8_t *tag = first[i] + 33;
            struct milgi__piece sealed = { data, 33 };
            assert_int_equal(milgi__aead_open(*state, &key, nonce, aad, 5, &sealed, 1, tag, NULL), 0);
        }
    }
}

/* A context that still holds a key would seal with it, since it goes by the serial. */
static void check_forgotten(struct milgi__crypto *cx, void (*forget)(struct milgi__crypto *cx))
{
    uint8_t one[64], two[64];
    uint8_t raw[16] = { 1 };
    struct milgi__aead_key key = { 9, MILGI_SUITE_AES_128_GCM_SHA256, 16, raw };
    struct milgi__piece a = { one, 32 }, b = { two, 32 };

    fill(one, 32);
    fill(two, 32);
    assert_int_equal(milgi__aead_seal(cx, &key, nonce, aad, 5, &a, 1, 0, 0, one), 0);
    assert_int_equal(milgi__aead_open(cx, &key, nonce, aad, 5, &a, 1, one + 32, NULL), 0);
    forget(cx);
    raw[0] = 2;
    fill(one, 32);
    assert_int_equal(milgi__aead_seal(cx, &key, nonce, aad, 5, &a, 1, 0, 0, one), 0);
    key.serial = 10;
    assert_int_equal(milgi__aead_seal(cx, &key, nonce, aad, 5, &b, 1, 0, 0, two), 0);
    assert_memory_equal(one, two, 32 + TAG_LEN);
    key.serial = 9;
    assert_int_equal(milgi__aead_open(cx, &key, nonce, aad, 5, &a, 1, one + 32, NULL), 0);
}

static void forget_9(struct milgi__crypto *cx)
{
    milgi__aead_forget(cx, 9);
}

static void a_forgotten_key_is_gone(void **state)
{
    check_forgotten(*state, forget_9);
}

static void an_idle_thread_holds_no_key(void **state)
{
    check_forgotten(*state, milgi__crypto_idle);
}

static void a_key_that_fits_no_suite_is_broken(void **state)
{
    uint8_t raw[32] = { 0 }, data[64] = { 0 };
    struct milgi__piece src = { data, 8 };
    struct milgi__aead_key bad[] = {
        { 1, MILGI_SUITE_AES_128_GCM_SHA256, 32, raw },
        { 2, MILGI_SUITE_AES_256_GCM_SHA384, 16, raw },
        { 3, 0x1304, 16, raw },
        { 0, MILGI_SUITE_AES_128_GCM_SHA256, 16, raw },
    };

    for (unsigned i = 0; i < MILGI__COUNT(bad); i++) {
        assert_int_equal(milgi__aead_seal(*state, &bad[i], nonce, aad, 5, &src, 1, 0, 0, data), MILGI__BROKEN);
        assert_int_equal(milgi__aead_open(*state, &bad[i], nonce, aad, 5, &src, 1, data, NULL), MILGI__BROKEN);
    }
    /* The same serial with another suite is a mistake of ours. */
    struct milgi__aead_key key = { 5, MILGI_SUITE_AES_256_GCM_SHA384, 32, raw };
    assert_int_equal(milgi__aead_seal(*state, &key, nonce, aad, 5, &src, 1, 0, 0, data), 0);
    key.suite = MILGI_SUITE_CHACHA20_POLY1305_SHA256;
    assert_int_equal(milgi__aead_seal(*state, &key, nonce, aad, 5, &src, 1, 0, 0, data), MILGI__BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        crypto_test(seal_of_every_shape_is_the_same),
        crypto_test(open_of_every_shape_gives_the_plaintext),
        crypto_test(a_flipped_bit_is_refused_and_nothing_is_left_to_read),
        crypto_test(many_keys_in_turn_do_not_mix),
        crypto_test(a_forgotten_key_is_gone),
        crypto_test(an_idle_thread_holds_no_key),
        crypto_test(a_key_that_fits_no_suite_is_broken),
    };
    int failed = cmocka_run_group_tests_name("as records are done here", tests, NULL, NULL);

    milgi__kernel_off = true;
    return failed + cmocka_run_group_tests_name("by the crypto library alone", tests, NULL, NULL);
}
