/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes, HMAC and HKDF against known answers. */
#include "fixture.h"

#include <stdio.h>

static void assert_hex(const uint8_t *data, size_t len, const char *hex)
{
    char text[256] = "";

    assert_true(len * 2 < sizeof text);
    for (size_t i = 0; i < len; i++)
        snprintf(text + 2 * i, 3, "%02x", data[i]);
    assert_string_equal(text, hex);
}

/* FIPS 180-2, appendix B. */
static void hashes_are_those_of_the_standard(void **state)
{
    uint8_t out[MILGI__HASH_MAX];

    assert_int_equal(milgi__hash(*state, MILGI__SHA256, "abc", 3, out), 0);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(milgi__hash(*state, MILGI__SHA384, "abc", 3, out), 0);
    assert_hex(out, 48,
        "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
}

static void a_peek_does_not_disturb_the_hash(void **state)
{
    const enum milgi__hash hashes[] = { MILGI__SHA256, MILGI__SHA384 };
    uint8_t message[600], out[MILGI__HASH_MAX], expected[MILGI__HASH_MAX];

    for (unsigned i = 0; i < sizeof message; i++)
        message[i] = (uint8_t)i;
    for (unsigned h = 0; h < MILGI__COUNT(hashes); h++) {
        struct milgi__digest *digest = milgi__digest_new(*state, hashes[h]);
        for (size_t len = 0; len < sizeof message; len++) {
            assert_int_equal(milgi__hash(*state, hashes[h], message, len, expected), 0);
            assert_int_equal(milgi__digest_peek(*state, digest, out), 0);
            assert_memory_equal(out, expected, milgi__hash_len(hashes[h]));
            assert_int_equal(milgi__digest_update(digest, message + len, 1), 0);
        }
        milgi__digest_free(digest);
    }
}

static void a_clone_goes_its_own_way(void **state)
{
    uint8_t a[MILGI__HASH_MAX], b[MILGI__HASH_MAX], expected[MILGI__HASH_MAX];
    struct milgi__digest *digest = milgi__digest_new(*state, MILGI__SHA384);
    assert_int_equal(milgi__digest_update(digest, "one", 3), 0);
    struct milgi__digest *clone = milgi__digest_clone(*state, digest);
    assert_int_equal(milgi__digest_update(digest, "two", 3), 0);
    milgi__digest_free(digest);

    assert_int_equal(milgi__digest_update(clone, "six", 3), 0);
    assert_int_equal(milgi__digest_peek(*state, clone, a), 0);
    assert_int_equal(milgi__digest_peek(*state, clone, b), 0);
    assert_int_equal(milgi__hash(*state, MILGI__SHA384, "onesix", 6, expected), 0);
    assert_memory_equal(a, expected, 48);
    assert_memory_equal(b, expected, 48);
    milgi__digest_free(clone);
}

/* RFC 4231, test cases 2 and 6 (a key longer than a block). */
static void hmac_is_that_of_the_rfc(void **state)
{
    uint8_t out[MILGI__HASH_MAX], key[131];
    const char *data = "Test Using Larger Than Block-Size Key - Hash Key First";

    assert_int_equal(milgi__hmac(*state, MILGI__SHA256, (const uint8_t *)"Jefe", 4, "what do ya want for nothing?", 28,
                         out),
        0);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    assert_int_equal(milgi__hmac(*state, MILGI__SHA256, key, sizeof key, data, strlen(data), out), 0);
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_int_equal(milgi__hmac(*state, MILGI__SHA384, key, sizeof key, data, strlen(data), out), 0);
    assert_hex(out, 48,
        "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952");
}

/* RFC 5869, A.1. */
static void hkdf_is_that_of_the_rfc(void **state)
{
    uint8_t ikm[22], salt[13], info[10], prk[MILGI__HASH_MAX], okm[42];

    memset(ikm, 0x0b, sizeof ikm);
    for (unsigned i = 0; i < sizeof salt; i++)
        salt[i] = (uint8_t)i;
    for (unsigned i = 0; i < sizeof info; i++)
        info[i] = (uint8_t)(0xf0 + i);
    assert_int_equal(milgi__hmac(*state, MILGI__SHA256, salt, sizeof salt, ikm, sizeof ikm, prk), 0);
    assert_int_equal(milgi__hkdf_expand(*state, MILGI__SHA256, prk, 32, info, sizeof info, okm, sizeof okm), 0);
    assert_hex(okm, sizeof okm,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

/*= RFC5869 2.3: "L        length of output keying material in octets (<= 255*HashLen)" */
static void hkdf_gives_no_more_than_255_hashes(void **state)
{
    static uint8_t out[255 * 48 + 1];
    uint8_t prk[48] = { 1 };

    assert_int_equal(milgi__hkdf_expand(*state, MILGI__SHA384, prk, 48, NULL, 0, out, 255 * 48), 0);
    assert_int_equal(milgi__hkdf_expand(*state, MILGI__SHA384, prk, 48, NULL, 0, out, 255 * 48 + 1), MILGI__BROKEN);
}

static void several_expansions_at_once_are_those_one_by_one(void **state)
{
    uint8_t prk[48], info[2][70], one[2][130], all[2][130];

    memset(prk, 3, sizeof prk);
    memset(info[0], 5, sizeof info[0]);
    memset(info[1], 7, sizeof info[1]);
    for (enum milgi__hash hash = MILGI__SHA256; hash <= MILGI__SHA384; hash++) {
        for (size_t len = 1; len <= sizeof one[0]; len++) {
            struct milgi__expansion both[] = { { info[0], 9, all[0], len }, { info[1], 70, all[1], 131 - len } };
            assert_int_equal(milgi__hkdf_expand(*state, hash, prk, 48, info[0], 9, one[0], len), 0);
            assert_int_equal(milgi__hkdf_expand(*state, hash, prk, 48, info[1], 70, one[1], 131 - len), 0);
            assert_int_equal(milgi__hkdf_expand_all(*state, hash, prk, 48, both, 2), 0);
            assert_memory_equal(all[0], one[0], len);
            assert_memory_equal(all[1], one[1], 131 - len);
        }
    }
    struct milgi__expansion long_one = { info[0], 9, NULL, 255 * 32 + 1 };
    assert_int_equal(milgi__hkdf_expand_all(*state, MILGI__SHA256, prk, 48, &long_one, 1), MILGI__BROKEN);
}

static void randomness_is_not_the_same_twice(void **state)
{
    uint8_t a[32] = { 0 }, b[32] = { 0 };

    (void)state;
    assert_int_equal(milgi__crypto_random(NULL, a, sizeof a), 0);
    assert_int_equal(milgi__crypto_random(NULL, b, sizeof b), 0);
    assert_memory_not_equal(a, b, sizeof a);
}

/* RFC 2104 2, word for word. */
static void hmac_by_the_book(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *key, size_t key_len,
    const uint8_t *data, size_t len, uint8_t *out)
{
    uint8_t inner[128 + 300], outer[128 + MILGI__HASH_MAX];
    size_t block = hash == MILGI__SHA256 ? 64 : 128, n = milgi__hash_len(hash);

    assert_true(key_len <= block && len <= 300);
    for (size_t i = 0; i < block; i++) {
        uint8_t k = i < key_len ? key[i] : 0;
        inner[i] = k ^ 0x36;
        outer[i] = k ^ 0x5c;
    }
    memcpy(inner + block, data, len);
    assert_int_equal(milgi__hash(cx, hash, inner, block + len, outer + block), 0);
    assert_int_equal(milgi__hash(cx, hash, outer, block + n, out), 0);
}

/* Short ones go another way. */
static void an_hmac_of_any_length_is_that_of_the_book(void **state)
{
    uint8_t data[300], key[48], out[MILGI__HASH_MAX], expected[MILGI__HASH_MAX];

    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + 1);
    memset(key, 0xa7, sizeof key);
    for (unsigned hash = MILGI__SHA256; hash <= MILGI__SHA384; hash++) {
        for (size_t len = 0; len <= sizeof data; len++) {
            hmac_by_the_book(*state, (enum milgi__hash)hash, key, sizeof key, data, len, expected);
            assert_int_equal(
                milgi__hmac(*state, (enum milgi__hash)hash, key, sizeof key, data, len, out), 0);
            assert_memory_equal(out, expected, milgi__hash_len((enum milgi__hash)hash));
        }
    }
}

/* RFC 5869 2.3: T(1) = HMAC(PRK, info | 1), T(2) = HMAC(PRK, T(1) | info | 2). */
static void an_expansion_of_any_length_is_that_of_the_book(void **state)
{
    uint8_t prk[48], part[MILGI__HASH_MAX + 200 + 1], expected[2 * MILGI__HASH_MAX], out[2 * MILGI__HASH_MAX];

    memset(prk, 0x3c, sizeof prk);
    for (unsigned h = MILGI__SHA256; h <= MILGI__SHA384; h++) {
        enum milgi__hash hash = (enum milgi__hash)h;
        size_t n = milgi__hash_len(hash);
        for (size_t info_len = 0; info_len <= 200; info_len++) {
            memset(part, 0x55, n + info_len);
            part[n + info_len] = 1;
            hmac_by_the_book(*state, hash, prk, n, part + n, info_len + 1, expected);
            memcpy(part, expected, n);
            part[n + info_len] = 2;
            hmac_by_the_book(*state, hash, prk, n, part, n + info_len + 1, expected + n);
            for (size_t out_len = 1; out_len <= 2 * n; out_len++) {
                memset(out, 0xee, sizeof out);
                assert_int_equal(milgi__hkdf_expand(*state, hash, prk, n, part + n, info_len, out, out_len), 0);
                assert_memory_equal(out, expected, out_len);
                assert_true(out_len == sizeof out || out[out_len] == 0xee);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        crypto_test(hashes_are_those_of_the_standard),
        crypto_test(a_peek_does_not_disturb_the_hash),
        crypto_test(a_clone_goes_its_own_way),
        crypto_test(hmac_is_that_of_the_rfc),
        crypto_test(hkdf_is_that_of_the_rfc),
        crypto_test(hkdf_gives_no_more_than_255_hashes),
        crypto_test(several_expansions_at_once_are_those_one_by_one),
        crypto_test(randomness_is_not_the_same_twice),
        crypto_test(an_hmac_of_any_length_is_that_of_the_book),
        crypto_test(an_expansion_of_any_length_is_that_of_the_book),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
