/* SPDX-License-Identifier: Apache-2.0 */
/* ML-KEM: both sides get the same secret, and what FIPS 203 has checked is checked. */
#include "fixture.h"
#include "crypto/kem.h"
#include "op/algorithm.h"

#include <milgi/op.h>

static const uint16_t groups[] = { MILGI_GROUP_MLKEM768, MILGI_GROUP_MLKEM1024 };

struct keys {
    const struct milgi__group *group;
    uint8_t seed[64], secret[MILGI_KEX_SECRET_MAX], pub[MILGI_KEX_PUBLIC_MAX];
};

static void need_mlkem(void)
{
    if (!milgi__kem_available())
        skip();
}

static struct keys keygen(struct milgi__crypto *cx, uint16_t group, uint8_t start)
{
    struct keys k = { .group = milgi__group(group) };
    size_t secret_len = sizeof k.secret, pub_len = sizeof k.pub;

    for (unsigned i = 0; i < sizeof k.seed; i++)
        k.seed[i] = (uint8_t)(start + 7 * i);
    assert_int_equal(milgi__kem_keygen(cx, group, k.seed, k.secret, &secret_len, k.pub, &pub_len), 0);
    assert_int_equal(pub_len, k.group->client_len);
    assert_int_equal(secret_len, sizeof k.seed);
    assert_memory_equal(k.secret, k.seed, sizeof k.seed);
    return k;
}

static int encaps(
    struct milgi__crypto *cx, const struct keys *k, uint8_t seed_byte, uint8_t *ciphertext,
    uint8_t shared[32])
{
    uint8_t seed[32];
    size_t ciphertext_len = MILGI_KEX_PUBLIC_MAX, shared_len = 32;

    memset(seed, seed_byte, sizeof seed);
    int rv = milgi__kem_encaps(cx, k->group->id, k->pub, k->group->client_len, seed, ciphertext, &ciphertext_len,
        shared, &shared_len);
    if (rv == 0) {
        assert_int_equal(ciphertext_len, k->group->server_len);
        assert_int_equal(shared_len, 32);
    }
    return rv;
}

static void decaps(struct milgi__crypto *cx, const struct keys *k, const uint8_t *ciphertext, uint8_t shared[32])
{
    size_t shared_len = 32;

    assert_int_equal(
        milgi__kem_decaps(cx, k->group->id, k->secret, ciphertext, k->group->server_len, shared, &shared_len), 0);
    assert_int_equal(shared_len, 32);
}

static void what_is_encapsulated_is_decapsulated(void **state)
{
    uint8_t ciphertext[MILGI_KEX_PUBLIC_MAX], ours[32], theirs[32], other[32];

    need_mlkem();
    for (unsigned i = 0; i < 6; i++) {
        struct keys a = keygen(*state, groups[i % 2], (uint8_t)i);
        struct keys b = keygen(*state, groups[i % 2], (uint8_t)(i + 100));
        assert_memory_not_equal(a.pub, b.pub, 1000);
        assert_int_equal(encaps(*state, &a, (uint8_t)i, ciphertext, ours), 0);
        decaps(*state, &a, ciphertext, theirs);
        assert_memory_equal(ours, theirs, 32);
        decaps(*state, &b, ciphertext, other);
        assert_memory_not_equal(ours, other, 32);
        milgi__crypto_idle(*state);
    }
}

/* Whether the pair is still at hand, is expanded anew, or was used before. */
static void what_comes_out_does_not_depend_on_what_is_kept(void **state)
{
    enum {
        N = 20
    };
    static struct keys keys[N];
    static uint8_t ciphertext[N][MILGI_KEX_PUBLIC_MAX];
    uint8_t ours[N][32], theirs[32];

    need_mlkem();
    for (unsigned i = 0; i < N; i++) {
        keys[i] = keygen(*state, groups[i / 2 % 2], (uint8_t)(i / 2)); /* each twice */
        assert_int_equal(encaps(*state, &keys[i], (uint8_t)i, ciphertext[i], ours[i]), 0);
    }
    for (unsigned i = 0; i < 3 * N; i++) {
        unsigned at = i * 7 % N;
        decaps(*state, &keys[at], ciphertext[at], theirs);
        assert_memory_equal(ours[at], theirs, 32);
        if (i == N + N / 2)
            milgi__crypto_idle(*state);
        if (i == N)
            (void)keygen(*state, keys[i / 2].group->id, (uint8_t)(i / 4));
    }
}

/* They have a second from when somebody first looks; what is used is not there any more. */
static void what_is_not_used_is_wiped_in_time(void **state)
{
    const uint64_t second = UINT64_C(1000000000);
    uint8_t ciphertext[MILGI_KEX_PUBLIC_MAX], ours[32], theirs[32];

    need_mlkem();
    assert_true(milgi__kem_sweep(*state, 5) == UINT64_MAX);
    struct keys a = keygen(*state, groups[0], 1), b = keygen(*state, groups[1], 2);
    uint64_t next_ns = milgi__kem_sweep(*state, 5);
    if (next_ns == UINT64_MAX)
        return; /* this libcrypto's keeps none */
    assert_true(next_ns == 5 + second);
    struct keys c = keygen(*state, groups[0], 3);
    assert_true(milgi__kem_sweep(*state, 7) == 5 + second);
    assert_int_equal(encaps(*state, &a, 1, ciphertext, ours), 0);
    decaps(*state, &a, ciphertext, theirs);
    assert_memory_equal(ours, theirs, 32);
    assert_true(milgi__kem_sweep(*state, 4 + second) == 5 + second); /* of the second */
    assert_true(milgi__kem_sweep(*state, 5 + second) == 7 + second); /* of the third */
    assert_true(milgi__kem_sweep(*state, 7 + second) == UINT64_MAX);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(encaps(*state, i ? &c : &b, 2, ciphertext, ours), 0);
        decaps(*state, i ? &c : &b, ciphertext, theirs);
        assert_memory_equal(ours, theirs, 32);
    }
}

/* An op is a function of its inputs. */
static void the_same_randomness_gives_the_same(void **state)
{
    uint8_t first[MILGI_KEX_PUBLIC_MAX], second[MILGI_KEX_PUBLIC_MAX], one[32], two[32];

    need_mlkem();
    for (unsigned i = 0; i < MILGI__COUNT(groups); i++) {
        struct keys a = keygen(*state, groups[i], 1), b = keygen(*state, groups[i], 1);
        assert_memory_equal(a.pub, b.pub, a.group->client_len);
        assert_int_equal(encaps(*state, &a, 5, first, one), 0);
        assert_int_equal(encaps(*state, &a, 5, second, two), 0);
        assert_memory_equal(first, second, a.group->server_len);
        assert_memory_equal(one, two, 32);
        assert_int_equal(encaps(*state, &a, 6, second, two), 0);
        assert_memory_not_equal(first, second, a.group->server_len);
        assert_memory_not_equal(one, two, 32);
    }
}

/* FIPS 203 7.2: the modulus check. A coefficient has 12 bits and is below 3329. */
static void a_key_with_a_coefficient_out_of_range_is_refused(void **state)
{
    uint8_t ciphertext[MILGI_KEX_PUBLIC_MAX], shared[32];

    need_mlkem();
    for (unsigned i = 0; i < MILGI__COUNT(groups); i++) {
        const struct milgi__group *group = milgi__group(groups[i]);
        for (size_t at = 0; at < group->client_len - 32u; at += 3 * 61) {
            struct keys k = keygen(*state, groups[i], 9);
            memset(k.pub + at, 0xff, 3);
            assert_int_equal(encaps(*state, &k, 1, ciphertext, shared), MILGI__BAD);
        }
    }
}

/* FIPS 203 7.3: no verdict, but another secret. */
static void a_ciphertext_that_was_changed_gives_another_secret(void **state)
{
    uint8_t ciphertext[MILGI_KEX_PUBLIC_MAX], right[32], wrong[32], again[32];

    need_mlkem();
    for (unsigned i = 0; i < MILGI__COUNT(groups); i++) {
        struct keys k = keygen(*state, groups[i], 3);
        assert_int_equal(encaps(*state, &k, 1, ciphertext, right), 0);
        for (size_t at = 0; at < k.group->server_len; at += 97) {
            ciphertext[at] ^= 1;
            decaps(*state, &k, ciphertext, wrong);
            decaps(*state, &k, ciphertext, again);
            assert_memory_not_equal(right, wrong, 32);
            assert_memory_equal(wrong, again, 32);
            ciphertext[at] ^= 1;
        }
    }
}

static void without_room_nothing_is_made(void **state)
{
    uint8_t secret[64], pub[MILGI_KEX_PUBLIC_MAX], seed[64] = { 1 };
    size_t secret_len = 63, pub_len = sizeof pub;

    need_mlkem();
    assert_int_equal(
        milgi__kem_keygen(*state, MILGI_GROUP_MLKEM768, seed, secret, &secret_len, pub, &pub_len), MILGI__BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        crypto_test(what_comes_out_does_not_depend_on_what_is_kept),
        crypto_test(what_is_not_used_is_wiped_in_time),
        crypto_test(what_is_encapsulated_is_decapsulated),
        crypto_test(the_same_randomness_gives_the_same),
        crypto_test(a_key_with_a_coefficient_out_of_range_is_refused),
        crypto_test(a_ciphertext_that_was_changed_gives_another_secret),
        crypto_test(without_room_nothing_is_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
