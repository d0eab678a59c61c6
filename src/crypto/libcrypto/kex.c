/* SPDX-License-Identifier: Apache-2.0 */
/* Key exchange: the NIST curves with the EC_POINT functions; X25519 is the flavour's. */
#include <openssl/err.h>
#include <openssl/objects.h>

#include "crypto/libcrypto/libcrypto.h"

#define X25519_LEN 32

/* --- set-up ----------------------------------------------------------------------------------------------------- */

static bool curve_setup(struct milgi__curve *curve, int nid)
{
    curve->group = EC_GROUP_new_by_curve_name(nid);
    if (!curve->group)
        return false;
    curve->field_len = ((size_t)EC_GROUP_get_degree(curve->group) + 7) / 8;
    curve->order_less_1 = BN_dup(EC_GROUP_get0_order(curve->group));
    return curve->order_less_1 && BN_sub_word(curve->order_less_1, 1) == 1;
}

int milgi__kex_setup(struct milgi__crypto *cx)
{
    if (!curve_setup(&cx->p256, NID_X9_62_prime256v1) || !curve_setup(&cx->p384, NID_secp384r1) ||
        !curve_setup(&cx->p521, NID_secp521r1))
        return MILGI__BROKEN;
    return 0;
}

void milgi__kex_teardown(struct milgi__crypto *cx)
{
    EC_GROUP_free(cx->p256.group);
    EC_GROUP_free(cx->p384.group);
    EC_GROUP_free(cx->p521.group);
    BN_free(cx->p256.order_less_1);
    BN_free(cx->p384.order_less_1);
    BN_free(cx->p521.order_less_1);
    BN_CTX_free(cx->bn);
}

static struct milgi__curve *curve_of(struct milgi__crypto *cx, uint16_t group)
{
    if (!cx->bn)
        cx->bn = BN_CTX_new();
    if (!cx->bn)
        return NULL;
    switch (group) {
    case MILGI_GROUP_SECP256R1: return &cx->p256;
    case MILGI_GROUP_SECP384R1: return &cx->p384;
    case MILGI_GROUP_SECP521R1: return &cx->p521;
    default: return NULL;
    }
}

/* The same numbers as in the table of groups (op/algorithm.c), which is above. */
static size_t seed_len_of(uint16_t group)
{
    switch (group) {
    case MILGI_GROUP_X25519: return X25519_LEN;
    case MILGI_GROUP_SECP256R1: return 40; /* 64 bits more than the order: no bias to speak of */
    case MILGI_GROUP_SECP384R1: return 56;
    case MILGI_GROUP_SECP521R1: return 74;
    default: return 0;
    }
}

static size_t public_len_of(uint16_t group)
{
    switch (group) {
    case MILGI_GROUP_X25519: return X25519_LEN;
    case MILGI_GROUP_SECP256R1: return 65;
    case MILGI_GROUP_SECP384R1: return 97;
    case MILGI_GROUP_SECP521R1: return 133;
    default: return 0;
    }
}

/* --- NIST curves ------------------------------------------------------------------------------------------------ */

static int nist_keygen(struct milgi__crypto *cx, const struct milgi__curve *curve, const uint8_t *seed, size_t seed_len,
    uint8_t *secret, uint8_t *pub)
{
    size_t pub_len = 1 + 2 * curve->field_len;
    BIGNUM *k = BN_new();
    EC_POINT *point = EC_POINT_new(curve->group);
    int result = MILGI__BROKEN;

    if (!k || !point || !milgi__scalar_reduce(cx, curve, seed, seed_len, k) || BN_is_zero(k))
        goto out;
    if (EC_POINT_mul(curve->group, point, k, NULL, NULL, cx->bn) != 1)
        goto out;
    if (EC_POINT_point2oct(curve->group, point, POINT_CONVERSION_UNCOMPRESSED, pub, pub_len, cx->bn) != pub_len)
        goto out;
    if (BN_bn2binpad(k, secret, (int)curve->field_len) == (int)curve->field_len)
        result = 0;
out:
    BN_clear_free(k);
    EC_POINT_free(point);
    return result == 0 ? 0 : milgi__fail(result);
}

/* The X coordinate of k * Q. */
static bool shared_x(struct milgi__crypto *cx, const struct milgi__curve *curve, const EC_POINT *peer, const BIGNUM *k,
    uint8_t *shared)
{
    EC_POINT *point = EC_POINT_new(curve->group);
    BIGNUM *x = BN_new();
    bool done = point && x && EC_POINT_mul(curve->group, point, NULL, peer, k, cx->bn) == 1 &&
        EC_POINT_get_affine_coordinates(curve->group, point, x, NULL, cx->bn) == 1 &&
        BN_bn2binpad(x, shared, (int)curve->field_len) == (int)curve->field_len;

    BN_clear_free(x);
    EC_POINT_clear_free(point);
    return done;
}

static int nist_derive(struct milgi__crypto *cx, const struct milgi__curve *curve, const uint8_t *secret,
    const uint8_t *peer, size_t peer_len, uint8_t *shared)
{
    EC_POINT *point = EC_POINT_new(curve->group);
    BIGNUM *k = BN_new();
    int result = MILGI__BROKEN;

    if (!point || !k || !milgi__bn(secret, curve->field_len, k))
        goto out;
    if (BN_is_zero(k) || BN_cmp(k, curve->order_less_1) > 0)
        goto out;
    result = MILGI__BAD;
    /*= RFC8446 4.2.8.2: "For the curves secp256r1, secp384r1, and secp521r1, peers MUST validate each other's public
     *= value Q by ensuring that the point is a valid point on the elliptic curve." */
    /* The decoding refuses one that is not; infinity has no uncompressed form. */
    if (EC_POINT_oct2point(curve->group, point, peer, peer_len, cx->bn) != 1)
        goto out;
    result = shared_x(cx, curve, point, k, shared) ? 0 : MILGI__BROKEN;
out:
    BN_clear_free(k);
    EC_POINT_free(point);
    return result == 0 ? 0 : milgi__fail(result);
}

/* --- both ------------------------------------------------------------------------------------------------------- */

int milgi__kex_keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t *seed, size_t seed_len, uint8_t *secret,
    size_t *secret_len, uint8_t *pub, size_t *pub_len)
{
    size_t secret_room = *secret_len;
    size_t pub_room = *pub_len;

    *pub_len = public_len_of(group);
    if (seed_len == 0 || seed_len != seed_len_of(group) || pub_room < *pub_len)
        return MILGI__BROKEN;
    if (group == MILGI_GROUP_X25519) {
        *secret_len = X25519_LEN;
        if (secret_room < X25519_LEN || milgi__x25519_base(cx, seed, pub) != 0)
            return MILGI__BROKEN;
        memmove(secret, seed, X25519_LEN);
        return 0;
    }
    const struct milgi__curve *curve = curve_of(cx, group);
    if (!curve || secret_room < curve->field_len)
        return MILGI__BROKEN;
    *secret_len = curve->field_len;
    return nist_keygen(cx, curve, seed, seed_len, secret, pub);
}

int milgi__kex_derive(struct milgi__crypto *cx, uint16_t group, const uint8_t *secret, size_t secret_len,
    const uint8_t *peer, size_t peer_len, uint8_t *shared, size_t *shared_len)
{
    const struct milgi__curve *curve = group == MILGI_GROUP_X25519 ? NULL : curve_of(cx, group);
    size_t room = *shared_len;

    if (group != MILGI_GROUP_X25519 && !curve)
        return MILGI__BROKEN;
    size_t len = !curve ? X25519_LEN : curve->field_len;
    if (secret_len != len || room < len)
        return MILGI__BROKEN;
    *shared_len = len;
    if (peer_len != public_len_of(group))
        return MILGI__BAD;
    if (!curve)
        return milgi__x25519(cx, secret, peer, shared);
    /* RFC 8446 4.2.8.2: the uncompressed form only. */
    if (peer[0] != POINT_CONVERSION_UNCOMPRESSED)
        return MILGI__BAD;
    return nist_derive(cx, curve, secret, peer, peer_len, shared);
}
