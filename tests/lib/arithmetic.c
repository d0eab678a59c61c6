/* SPDX-License-Identifier: Apache-2.0 */
#include "arithmetic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "base/base.h"

struct arithmetic_seen seen;

static EVP_PKEY *raw_key(int type, const uint8_t *secret)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(type, NULL, secret, 32);
    assert_non_null(key);
    return key;
}

static uint32_t x25519_base(unsigned n, uint8_t *const *share, const uint8_t *const *secret)
{
    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++) {
        EVP_PKEY *key = raw_key(EVP_PKEY_X25519, secret[i]);
        size_t len = 32;
        assert_int_equal(EVP_PKEY_get_raw_public_key(key, share[i], &len), 1);
        EVP_PKEY_free(key);
    }
    return seen.fail;
}

static uint32_t x25519(
    unsigned n, uint8_t *const *shared, const uint8_t *const *secret, const uint8_t *const *share)
{
    uint32_t failed = 0;

    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++) {
        EVP_PKEY *key = raw_key(EVP_PKEY_X25519, secret[i]);
        EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, share[i], 32);
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
        size_t len = 32;
        bool done = EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
            EVP_PKEY_derive(ctx, shared[i], &len) == 1;
        if (!done && seen.zeros)
            memset(shared[i], 0, 32);
        else
            failed |= (uint32_t)!done << i;
        EVP_PKEY_CTX_free(ctx);
        EVP_PKEY_free(peer);
        EVP_PKEY_free(key);
    }
    return failed | seen.fail;
}

static void sign_one(size_t len, uint8_t *rs, const uint8_t *hash, const uint8_t *nonce, const uint8_t *scalar)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(len == 32 ? NID_X9_62_prime256v1 : NID_secp384r1);
    const BIGNUM *order = EC_GROUP_get0_order(group);
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *k = BN_bin2bn(nonce, (int)len, NULL), *d = BN_bin2bn(scalar, (int)len, NULL);
    BIGNUM *z = BN_bin2bn(hash, (int)len, NULL), *r = BN_new(), *s = BN_new();
    EC_POINT *point = EC_POINT_new(group);

    assert_true(!BN_is_zero(k) && BN_cmp(k, order) < 0);
    EC_POINT_mul(group, point, k, NULL, NULL, ctx);
    EC_POINT_get_affine_coordinates(group, point, r, NULL, ctx);
    BN_nnmod(r, r, order, ctx);
    BN_mod_mul(s, r, d, order, ctx);
    BN_mod_add(s, s, z, order, ctx);
    BN_mod_inverse(k, k, order, ctx);
    BN_mod_mul(s, s, k, order, ctx);
    BN_bn2binpad(r, rs, (int)len);
    BN_bn2binpad(s, rs + len, (int)len);
    EC_POINT_free(point);
    BN_free(s);
    BN_free(r);
    BN_free(z);
    BN_free(d);
    BN_free(k);
    BN_CTX_free(ctx);
    EC_GROUP_free(group);
}

static uint32_t ecdsa_sign(unsigned n, size_t len, uint8_t *const *rs, const uint8_t *const *hash,
    const uint8_t *const *nonce, const uint8_t *const *scalar)
{
    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++) {
        sign_one(len, rs[i], hash[i], nonce[i], scalar[i]);
        if (seen.nonces < MILGI__COUNT(seen.nonce))
            memcpy(seen.nonce[seen.nonces++], nonce[i], len);
    }
    return seen.fail;
}

/* u1 G + u2 Q has r for its x. */
static bool verify_one(const struct milgi__raw_p256 *sig)
{
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    const BIGNUM *order = EC_GROUP_get0_order(group);
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *r = BN_bin2bn(sig->r, 32, NULL), *s = BN_bin2bn(sig->s, 32, NULL), *z = BN_bin2bn(sig->hash, 32, NULL);
    BIGNUM *x = BN_bin2bn(sig->x, 32, NULL), *y = BN_bin2bn(sig->y, 32, NULL);
    EC_POINT *point = EC_POINT_new(group), *key = EC_POINT_new(group);

    assert_int_equal(EC_POINT_set_affine_coordinates(group, key, x, y, ctx), 1);
    BN_mod_inverse(s, s, order, ctx);
    BN_mod_mul(z, z, s, order, ctx);
    BN_mod_mul(s, r, s, order, ctx);
    EC_POINT_mul(group, point, z, key, s, ctx);
    EC_POINT_get_affine_coordinates(group, point, x, NULL, ctx);
    BN_nnmod(x, x, order, ctx);
    bool right = BN_cmp(x, r) == 0;
    EC_POINT_free(key);
    EC_POINT_free(point);
    BN_free(y);
    BN_free(x);
    BN_free(z);
    BN_free(s);
    BN_free(r);
    BN_CTX_free(ctx);
    EC_GROUP_free(group);
    return right;
}

static uint32_t p256_verify(unsigned n, const struct milgi__raw_p256 *const *sig)
{
    uint32_t failed = 0;

    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++)
        failed |= (uint32_t)!verify_one(sig[i]) << i;
    return failed | seen.fail;
}

static uint32_t eddsa_sign(unsigned n, uint8_t *const *sig, const uint8_t *const *message, const size_t *len,
    const struct milgi__raw_key *const *key)
{
    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++) {
        EVP_PKEY *pkey = raw_key(EVP_PKEY_ED25519, key[i]->u.ed25519.secret);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        uint8_t pub[32];
        size_t sig_len = 64, pub_len = 32;
        assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, pub, &pub_len), 1);
        assert_memory_equal(pub, key[i]->u.ed25519.pub, 32);
        assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey), 1);
        assert_int_equal(EVP_DigestSign(ctx, sig[i], &sig_len, message[i], len[i]), 1);
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(pkey);
    }
    return seen.fail;
}

/* m1 = c^dp mod p, m2 = c^dq mod q, m = m2 + q (qinv (m1 - m2) mod p) */
static void rsa_one(size_t half, uint8_t *sig, const uint8_t *message, const struct milgi__raw_key *key)
{
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *c = BN_bin2bn(message, (int)(2 * half), NULL), *m1 = BN_new(), *m2 = BN_new();
    BIGNUM *p = BN_bin2bn(key->u.rsa.p, (int)half, NULL), *q = BN_bin2bn(key->u.rsa.q, (int)half, NULL);
    BIGNUM *dp = BN_bin2bn(key->u.rsa.dp, (int)half, NULL), *dq = BN_bin2bn(key->u.rsa.dq, (int)half, NULL);
    BIGNUM *qinv = BN_bin2bn(key->u.rsa.qinv, (int)half, NULL);

    BN_mod_exp(m1, c, dp, p, ctx);
    BN_mod_exp(m2, c, dq, q, ctx);
    BN_mod_sub(m1, m1, m2, p, ctx);
    BN_mod_mul(m1, m1, qinv, p, ctx);
    BN_mul(m1, m1, q, ctx);
    BN_add(m1, m1, m2);
    BN_bn2binpad(m1, sig, (int)(2 * half));
    BN_free(qinv);
    BN_free(dq);
    BN_free(dp);
    BN_free(q);
    BN_free(p);
    BN_free(m2);
    BN_free(m1);
    BN_free(c);
    BN_CTX_free(ctx);
}

static uint32_t rsa(unsigned n, unsigned bits, uint8_t *const *sig, const uint8_t *const *message,
    const struct milgi__raw_key *const *key)
{
    seen.calls++;
    seen.last_n = n;
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(key[i]->bits, bits);
        rsa_one(bits / 16, sig[i], message[i], key[i]);
    }
    return seen.fail;
}

const struct milgi__vectors arithmetic = { x25519_base, x25519, ecdsa_sign, p256_verify, eddsa_sign, rsa };
