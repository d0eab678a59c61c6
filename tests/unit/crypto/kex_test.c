/* SPDX-License-Identifier: Apache-2.0 */
/* Key exchange: both sides agree, and bad shares are refused. */
#include "fixture.h"
#include "op/algorithm.h"

#include <milgi/op.h>

static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1,
    MILGI_GROUP_SECP521R1 };

struct share {
    uint8_t secret[MILGI_KEX_SECRET_MAX], pub[MILGI_KEX_PUBLIC_MAX];
    size_t secret_len, pub_len;
};

static struct share keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t *seed)
{
    struct share s = { .secret_len = MILGI_KEX_SECRET_MAX, .pub_len = MILGI_KEX_PUBLIC_MAX };

    assert_int_equal(milgi__kex_keygen(cx, group, seed, milgi__kex_seed_len(group), s.secret, &s.secret_len, s.pub,
                         &s.pub_len),
        0);
    assert_int_equal(s.pub_len, milgi__kex_public_len(group));
    return s;
}

static int derive(struct milgi__crypto *cx, uint16_t group, const struct share *own, const uint8_t *peer,
    size_t peer_len, uint8_t out[MILGI_KEX_SECRET_MAX])
{
    size_t len = MILGI_KEX_SECRET_MAX;

    return milgi__kex_derive(cx, group, own->secret, own->secret_len, peer, peer_len, out, &len);
}

static void seed_of(uint8_t seed[MILGI_KEX_SEED_MAX], uint8_t start)
{
    for (unsigned i = 0; i < MILGI_KEX_SEED_MAX; i++)
        seed[i] = (uint8_t)(start * 17 + i * 29);
}

static void both_sides_derive_the_same(void **state)
{
    uint8_t seed[MILGI_KEX_SEED_MAX], one[MILGI_KEX_SECRET_MAX], two[MILGI_KEX_SECRET_MAX];

    for (unsigned i = 0; i < MILGI__COUNT(groups) * 5; i++) {
        uint16_t group = groups[i % MILGI__COUNT(groups)];
        seed_of(seed, (uint8_t)i);
        struct share a = keygen(*state, group, seed);
        seed_of(seed, (uint8_t)(i + 100));
        struct share b = keygen(*state, group, seed);
        assert_int_equal(derive(*state, group, &a, b.pub, b.pub_len, one), 0);
        assert_int_equal(derive(*state, group, &b, a.pub, a.pub_len, two), 0);
        assert_memory_equal(one, two, a.secret_len);
        if (i % 4 == 3)
            milgi__crypto_idle(*state);
    }
}

/* RFC 7748 6.1. */
static void x25519_is_that_of_the_rfc(void **state)
{
    static const uint8_t alice[32] = { 0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51,
        0xb2, 0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c,
        0x2a };
    static const uint8_t expected[32] = { 0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc,
        0xb4, 0x3e, 0xf7, 0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b,
        0x4e, 0x6a };
    struct share s = keygen(*state, MILGI_GROUP_X25519, alice);

    assert_memory_equal(s.pub, expected, 32);
    assert_memory_equal(s.secret, alice, 32);
}

/* SEC 2: the base points, uncompressed. */
static const uint8_t g256[65] = { 4, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4,
    0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f,
    0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57,
    0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5 };
static const uint8_t n256[32] = { 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };

static void a_scalar_is_the_seed_modulo_the_order(void **state)
{
    uint8_t seed[40] = { [39] = 1 }, secret[MILGI_KEX_SECRET_MAX], pub[MILGI_KEX_PUBLIC_MAX];

    struct share one = keygen(*state, MILGI_GROUP_SECP256R1, seed);
    assert_memory_equal(one.pub, g256, sizeof g256);
    assert_int_equal(one.secret[31], 1);
    memcpy(seed + 8, n256, 32);
    seed[39] += 1; /* n + 1: the same again */
    struct share again = keygen(*state, MILGI_GROUP_SECP256R1, seed);
    assert_memory_equal(again.pub, g256, sizeof g256);
    seed[39] -= 2; /* n - 1: the point -G */
    struct share minus = keygen(*state, MILGI_GROUP_SECP256R1, seed);
    assert_memory_equal(minus.pub, g256, 33);
    assert_memory_not_equal(minus.pub + 33, g256 + 33, 32);
    seed[0] = 1; /* bits above the order count */
    struct share high = keygen(*state, MILGI_GROUP_SECP256R1, seed);
    assert_memory_not_equal(high.pub, minus.pub, 65);
    for (unsigned i = 0; i < 2; i++) { /* 0 and n are no scalars */
        size_t secret_len = sizeof secret, pub_len = sizeof pub;
        memset(seed, 0, sizeof seed);
        if (i == 1)
            memcpy(seed + 8, n256, 32);
        assert_int_equal(milgi__kex_keygen(*state, MILGI_GROUP_SECP256R1, seed, 40, secret, &secret_len, pub, &pub_len),
            MILGI__BROKEN);
    }
}

static void a_share_that_is_no_point_is_refused(void **state)
{
    uint8_t seed[MILGI_KEX_SEED_MAX], share[MILGI_KEX_PUBLIC_MAX], out[MILGI_KEX_SECRET_MAX];

    for (unsigned i = 1; i < MILGI__COUNT(groups); i++) {
        seed_of(seed, 3);
        struct share s = keygen(*state, groups[i], seed);
        for (size_t at = 1; at < s.pub_len; at++) {
            memcpy(share, s.pub, s.pub_len);
            share[at] ^= 1;
            assert_int_equal(derive(*state, groups[i], &s, share, s.pub_len, out), MILGI__BAD);
        }
        memset(share, 0xff, sizeof share); /* coordinates beyond the field */
        share[0] = 4;
        assert_int_equal(derive(*state, groups[i], &s, share, s.pub_len, out), MILGI__BAD);
        memset(share, 0, sizeof share);
        assert_int_equal(derive(*state, groups[i], &s, share, s.pub_len, out), MILGI__BAD);
    }
}

static void only_the_uncompressed_form_of_the_right_length_is_taken(void **state)
{
    uint8_t seed[MILGI_KEX_SEED_MAX], share[MILGI_KEX_PUBLIC_MAX] = { 0 }, out[MILGI_KEX_SECRET_MAX];

    for (unsigned i = 0; i < MILGI__COUNT(groups); i++) {
        seed_of(seed, 3);
        struct share s = keygen(*state, groups[i], seed);
        memcpy(share, s.pub, s.pub_len);
        for (size_t len = 0; len <= s.pub_len + 1; len++) {
            if (len != s.pub_len)
                assert_int_equal(derive(*state, groups[i], &s, share, len, out), MILGI__BAD);
        }
        if (groups[i] == MILGI_GROUP_X25519)
            continue;
        for (unsigned form = 0; form < 256; form++) { /* compressed and hybrid ones too */
            share[0] = (uint8_t)form;
            int result = derive(*state, groups[i], &s, share, s.pub_len, out);
            assert_int_equal(result, form == 4 ? 0 : MILGI__BAD);
        }
    }
}

static void x25519_refuses_a_shared_secret_of_zeros(void **state)
{
    uint8_t seed[32], out[MILGI_KEX_SECRET_MAX];
    uint8_t low[2][32] = { { 0 }, { 1 } };

    memset(seed, 0x42, sizeof seed);
    struct share s = keygen(*state, MILGI_GROUP_X25519, seed);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(derive(*state, MILGI_GROUP_X25519, &s, low[i], 32, out), MILGI__BAD);
    assert_int_equal(derive(*state, MILGI_GROUP_X25519, &s, s.pub, 32, out), 0);
}

static void a_secret_that_is_none_is_broken_not_bad(void **state)
{
    struct share zero = { .secret_len = 32 }, order = { .secret_len = 32 }, brief = { .secret_len = 31 };
    uint8_t out[MILGI_KEX_SECRET_MAX];
    size_t room = 16;

    memcpy(order.secret, n256, 32);
    assert_int_equal(derive(*state, MILGI_GROUP_SECP256R1, &zero, g256, 65, out), MILGI__BROKEN);
    assert_int_equal(derive(*state, MILGI_GROUP_SECP256R1, &order, g256, 65, out), MILGI__BROKEN);
    assert_int_equal(derive(*state, MILGI_GROUP_SECP256R1, &brief, g256, 65, out), MILGI__BROKEN);
    assert_int_equal(derive(*state, 0x001e, &order, g256, 65, out), MILGI__BROKEN);
    order.secret[31] += 1; /* would be the scalar 1 */
    assert_int_equal(derive(*state, MILGI_GROUP_SECP256R1, &order, g256, 65, out), MILGI__BROKEN);
    order.secret[31] -= 2;
    assert_int_equal(milgi__kex_derive(*state, MILGI_GROUP_SECP256R1, order.secret, 32, g256, 65, out, &room),
        MILGI__BROKEN);
    assert_int_equal(derive(*state, MILGI_GROUP_SECP256R1, &order, g256, 65, out), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        crypto_test(both_sides_derive_the_same),
        crypto_test(x25519_is_that_of_the_rfc),
        crypto_test(a_scalar_is_the_seed_modulo_the_order),
        crypto_test(a_share_that_is_no_point_is_refused),
        crypto_test(only_the_uncompressed_form_of_the_right_length_is_taken),
        crypto_test(x25519_refuses_a_shared_secret_of_zeros),
        crypto_test(a_secret_that_is_none_is_broken_not_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
