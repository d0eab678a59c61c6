/* SPDX-License-Identifier: Apache-2.0 */
/* Verification with keys that are put together from their parts, without EVP. */
#include <openssl/curve25519.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>

#include "crypto/awslc/awslc.h"

static const int curves[MILGI__NIST_CURVES] = { NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1 };

int milgi__verify_setup(struct milgi__flavour *own)
{
    for (size_t i = 0; i < MILGI__NIST_CURVES; i++) {
        own->ec_verify[i] = EC_KEY_new_by_curve_name(curves[i]);
        if (!own->ec_verify[i])
            return MILGI__BROKEN;
    }
    return 0;
}

void milgi__verify_teardown(struct milgi__flavour *own)
{
    for (size_t i = 0; i < MILGI__NIST_CURVES; i++)
        EC_KEY_free(own->ec_verify[i]);
}

int milgi__verify_ec(struct milgi__crypto *cx, const struct milgi__spki *spki, const struct milgi__scheme_hash *hash,
    const uint8_t *sig, size_t sig_len)
{
    EC_KEY *key = cx->own->ec_verify[spki->type - MILGI__KEY_P256];
    const EC_GROUP *group = EC_KEY_get0_group(key);
    EC_POINT *point = EC_POINT_new(group);
    bool good = false;

    if (!point)
        return milgi__fail(MILGI__BROKEN);
    /* Refuses a point that is not on the curve, and infinity. When it fails, what the key holds is not used. */
    if (EC_POINT_oct2point(group, point, spki->key, spki->key_len, NULL) == 1 &&
        EC_KEY_set_public_key(key, point) == 1)
        good = ECDSA_verify(0, hash->value, hash->len, sig, sig_len, key) == 1;
    EC_POINT_free(point);
    return good ? 0 : milgi__fail(MILGI__BAD);
}

int milgi__verify_rsa(struct milgi__crypto *cx, const struct milgi__spki *spki, uint16_t scheme,
    const struct milgi__scheme_hash *hash, const uint8_t *sig, size_t sig_len)
{
    RSA *key = RSA_new_public_key(spki->n, spki->e);
    bool good = false;

    (void)cx;
    if (key && milgi__scheme_is_pkcs1(scheme))
        good = RSA_verify(EVP_MD_type(hash->md), hash->value, hash->len, sig, sig_len, key) == 1;
    else if (key)
        good = RSA_verify_pss_mgf1(key, hash->value, hash->len, hash->md, hash->md, RSA_PSS_SALTLEN_DIGEST, sig,
                   sig_len) == 1;
    RSA_free(key);
    return good ? 0 : milgi__fail(MILGI__BAD);
}

int milgi__verify_mldsa(struct milgi__crypto *cx, const struct milgi__spki *spki, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len)
{
    static const int sizes[] = { NID_MLDSA44, NID_MLDSA65, NID_MLDSA87 };
    EVP_PKEY *key =
        EVP_PKEY_pqdsa_new_raw_public_key(sizes[spki->type - MILGI__KEY_MLDSA44], spki->key, spki->key_len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int result = MILGI__BROKEN;

    (void)cx;
    /* draft-ietf-tls-mldsa: the context of FIPS 204 is empty. */
    if (key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1)
        result = EVP_DigestVerify(ctx, sig, sig_len, input, input_len) == 1 ? 0 : MILGI__BAD;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return result == 0 ? 0 : milgi__fail(result);
}

int milgi__verify_ed25519(struct milgi__crypto *cx, const struct milgi__spki *spki, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len)
{
    (void)cx;
    if (sig_len != ED25519_SIGNATURE_LEN || ED25519_verify(input, input_len, sig, spki->key) != 1)
        return milgi__fail(MILGI__BAD);
    return 0;
}
