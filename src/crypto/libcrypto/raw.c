/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and signatures as numbers. The calls that both libcryptos have for this are those of the older interface. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/raw.h"

#include <limits.h>

#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "crypto/libcrypto/libcrypto.h"

#define P256_LEN 32
#define ED25519_LEN 32u

static bool put(const BIGNUM *n, uint8_t *out, size_t len)
{
    return n && BN_bn2binpad(n, out, (int)len) == (int)len;
}

static bool raw_ec(EVP_PKEY *key, uint8_t *out, size_t len)
{
    const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(key);

    return ec && put(EC_KEY_get0_private_key(ec), out, len);
}

static bool raw_ed25519(EVP_PKEY *key, struct milgi__raw_key *out)
{
    size_t secret_len = ED25519_LEN, pub_len = ED25519_LEN;

    return EVP_PKEY_get_raw_private_key(key, out->u.ed25519.secret, &secret_len) == 1 && secret_len == ED25519_LEN &&
        EVP_PKEY_get_raw_public_key(key, out->u.ed25519.pub, &pub_len) == 1 && pub_len == ED25519_LEN;
}

/* Primes of half the modulus's length each: others are rare, and the lanes have no shape for them. */
static bool raw_rsa(EVP_PKEY *key, struct milgi__raw_key *out)
{
    const RSA *rsa = EVP_PKEY_get0_RSA(key);
    const BIGNUM *p = NULL, *q = NULL, *dp = NULL, *dq = NULL, *qinv = NULL;

    if (!rsa)
        return false;
    RSA_get0_factors(rsa, &p, &q);
    RSA_get0_crt_params(rsa, &dp, &dq, &qinv);
    out->bits = (unsigned)RSA_bits(rsa);
    size_t half = out->bits / 16;
    if (out->bits % 1024 != 0 || half > MILGI__RAW_HALF_MAX || !p || !q)
        return false;
    if ((unsigned)BN_num_bits(p) != out->bits / 2 || (unsigned)BN_num_bits(q) != out->bits / 2)
        return false;
    return put(p, out->u.rsa.p, half) && put(q, out->u.rsa.q, half) && put(dp, out->u.rsa.dp, half) &&
        put(dq, out->u.rsa.dq, half) && put(qinv, out->u.rsa.qinv, half);
}

int milgi__raw_private(const struct milgi__pkey *key, struct milgi__raw_key *out)
{
    EVP_PKEY *evp = milgi__pkey_evp(key);
    unsigned bits;
    bool done = false;

    memset(out, 0, sizeof *out);
    out->type = milgi__evp_type(evp, &bits);
    switch (out->type) {
    case MILGI__KEY_P256: done = raw_ec(evp, out->u.scalar, P256_LEN); break;
    case MILGI__KEY_P384: done = raw_ec(evp, out->u.scalar, MILGI__RAW_EC_MAX); break;
    case MILGI__KEY_ED25519: done = raw_ed25519(evp, out); break;
    case MILGI__KEY_RSA:
    case MILGI__KEY_RSA_PSS: done = raw_rsa(evp, out); break;
    default: break;
    }
    return done ? 0 : milgi__fail(MILGI__BROKEN);
}

int milgi__raw_pss(const struct milgi__pkey *key, uint16_t scheme, const uint8_t *input, size_t input_len, uint8_t *out)
{
    struct milgi__scheme_hash hash;
    /* Only its size is looked at. */
    RSA *rsa = (RSA *)(uintptr_t)EVP_PKEY_get0_RSA(milgi__pkey_evp(key));

    if (!rsa || !milgi__scheme_hash(scheme, input, input_len, &hash) || hash.len == 0)
        return milgi__fail(MILGI__BROKEN);
    /*= RFC8446 4.2.3: "The length of the Salt MUST be equal to the length of the output of the digest algorithm." */
    if (RSA_padding_add_PKCS1_PSS_mgf1(rsa, out, hash.value, hash.md, hash.md, (int)hash.len) != 1)
        return milgi__fail(MILGI__BROKEN);
    return 0;
}

int milgi__raw_modulus(const struct milgi__pkey *key, struct milgi__raw_modulus *out)
{
    const RSA *rsa = EVP_PKEY_get0_RSA(milgi__pkey_evp(key));
    const BIGNUM *n = NULL, *e = NULL;

    memset(out, 0, sizeof *out);
    if (rsa)
        RSA_get0_key(rsa, &n, &e, NULL);
    size_t len = !n ? 0 : (size_t)BN_num_bytes(n);
    bool done = len > 0 && len <= sizeof out->n && put(n, out->n, len) && put(e, out->e, sizeof out->e);
    return done ? 0 : milgi__fail(MILGI__BROKEN);
}

/* DigestInfo (RFC 8017 9.2); 0: no memory. The caller frees *|der|. */
static size_t digest_info(const struct milgi__scheme_hash *hash, uint8_t **der)
{
    X509_SIG *info = X509_SIG_new();
    X509_ALGOR *algorithm = NULL;
    ASN1_OCTET_STRING *digest = NULL;
    int len = 0;

    *der = NULL;
    if (info) {
        X509_SIG_getm(info, &algorithm, &digest);
        if (X509_ALGOR_set0(algorithm, OBJ_nid2obj(EVP_MD_type(hash->md)), V_ASN1_NULL, NULL) == 1 &&
            ASN1_OCTET_STRING_set(digest, hash->value, (int)hash->len) == 1)
            len = i2d_X509_SIG(info, der);
    }
    X509_SIG_free(info);
    return len > 0 ? (size_t)len : 0;
}

/* 00 01 ff .. ff 00 DigestInfo, as long as the modulus. */
static int raw_pkcs1(const struct milgi__pkey *key, const struct milgi__scheme_hash *hash, uint8_t *out)
{
    enum {
        AROUND = 3,
        FILL_MIN = 8
    };
    const RSA *rsa = EVP_PKEY_get0_RSA(milgi__pkey_evp(key));
    size_t len = !rsa ? 0 : (size_t)RSA_size(rsa);
    uint8_t *der;
    size_t der_len = digest_info(hash, &der);
    bool fits = der_len > 0 && len >= der_len + AROUND + FILL_MIN;

    if (fits) {
        memset(out, 0xff, len);
        out[0] = 0;
        out[1] = 1;
        out[len - der_len - 1] = 0;
        memcpy(out + len - der_len, der, der_len);
    }
    OPENSSL_free(der);
    return fits ? 0 : milgi__fail(MILGI__BROKEN);
}

int milgi__raw_message(
    const struct milgi__pkey *key, uint16_t scheme, const uint8_t *input, size_t input_len, uint8_t *out)
{
    struct milgi__scheme_hash hash;

    if (!milgi__scheme_is_pkcs1(scheme))
        return milgi__raw_pss(key, scheme, input, input_len, out);
    if (!milgi__scheme_hash(scheme, input, input_len, &hash) || hash.len == 0)
        return MILGI__BROKEN;
    return raw_pkcs1(key, &hash, out);
}

/* --- verification ----------------------------------------------------------------------------------------------- */

/* In one way only can a signature be written. */
static bool is_canonical(const ECDSA_SIG *sig, const uint8_t *der, size_t len)
{
    uint8_t *again = NULL;
    int again_len = i2d_ECDSA_SIG(sig, &again);
    bool same = again_len > 0 && (size_t)again_len == len && memcmp(again, der, len) == 0;

    OPENSSL_free(again);
    return same;
}

static bool in_range(const BIGNUM *n, const BIGNUM *order_less_1)
{
    return !BN_is_negative(n) && !BN_is_zero(n) && BN_cmp(n, order_less_1) <= 0;
}

static bool signature_parts(
    const struct milgi__curve *curve, const uint8_t *der, size_t len, struct milgi__raw_p256 *out)
{
    const uint8_t *p = der;
    const BIGNUM *r = NULL, *s = NULL;
    ECDSA_SIG *sig = len <= LONG_MAX ? d2i_ECDSA_SIG(NULL, &p, (long)len) : NULL;

    if (sig)
        ECDSA_SIG_get0(sig, &r, &s);
    bool good = r && s && p == der + len && is_canonical(sig, der, len) && in_range(r, curve->order_less_1) &&
        in_range(s, curve->order_less_1) && put(r, out->r, P256_LEN) && put(s, out->s, P256_LEN);
    ECDSA_SIG_free(sig);
    return good;
}

/* The decoding refuses a point that is not on the curve, but takes infinity, whose form is one byte. */
static bool point_parts(const struct milgi__curve *curve, const struct milgi__spki *spki, struct milgi__raw_p256 *out)
{
    EC_POINT *point = EC_POINT_new(curve->group);
    BIGNUM *x = BN_new(), *y = BN_new();
    bool good = point && x && y && spki->key_len > 1 &&
        EC_POINT_oct2point(curve->group, point, spki->key, spki->key_len, NULL) == 1 &&
        EC_POINT_get_affine_coordinates(curve->group, point, x, y, NULL) == 1 && put(x, out->x, P256_LEN) &&
        put(y, out->y, P256_LEN);

    BN_free(x);
    BN_free(y);
    EC_POINT_free(point);
    return good;
}

int milgi__raw_p256(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len, struct milgi__raw_p256 *out)
{
    struct milgi__scheme_hash hash;
    const struct milgi__spki *key;

    if (!milgi__scheme_hash(MILGI_SIG_ECDSA_SECP256R1_SHA256, input, input_len, &hash))
        return MILGI__BROKEN;
    int result = milgi__spki_known(cx, spki, spki_len, &key);
    if (result != 0)
        return result;
    if (key->type != MILGI__KEY_P256 || !point_parts(&cx->p256, key, out) ||
        !signature_parts(&cx->p256, sig, sig_len, out))
        return milgi__fail(MILGI__BAD);
    memcpy(out->hash, hash.value, sizeof out->hash);
    return 0;
}
