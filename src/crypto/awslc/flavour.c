/* SPDX-License-Identifier: Apache-2.0 */
/* AWS-LC: the state, randomness, X25519, numbers and keys in its own calls. */
#include <limits.h>

#include <openssl/bytestring.h>
#include <openssl/curve25519.h>
#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/pkcs8.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "crypto/awslc/awslc.h"

int milgi__flavour_setup(struct milgi__crypto *cx)
{
    static const int curves[] = { NID_X9_62_prime256v1, NID_secp384r1, NID_secp521r1 };

    cx->own = milgi__alloc(sizeof *cx->own);
    if (!cx->own || milgi__verify_setup(cx->own) != 0)
        return MILGI__BROKEN;
    _Static_assert(MILGI__COUNT(curves) == MILGI__COUNT(cx->own->orders), "each curve has its order");
    for (size_t i = 0; i < MILGI__COUNT(curves); i++) {
        struct milgi__curve_order *order = &cx->own->orders[i];
        order->group = EC_GROUP_new_by_curve_name(curves[i]);
        order->mont =
            order->group ? BN_MONT_CTX_new_for_modulus(EC_GROUP_get0_order(order->group), NULL) : NULL;
        if (!order->mont)
            return MILGI__BROKEN;
    }
    return 0;
}

void milgi__flavour_teardown(struct milgi__crypto *cx)
{
    if (!cx->own)
        return;
    milgi__aead_wipe(cx->own);
    milgi__kem_wipe(cx->own);
    milgi__verify_teardown(cx->own);
    for (size_t i = 0; i < MILGI__COUNT(cx->own->orders); i++)
        BN_MONT_CTX_free(cx->own->orders[i].mont);
    milgi__free_wiped(cx->own, sizeof *cx->own);
}

void milgi__flavour_idle(struct milgi__crypto *cx)
{
    milgi__aead_wipe(cx->own);
    milgi__kem_wipe(cx->own);
}

int milgi__flavour_random(uint8_t *out, size_t len)
{
    return RAND_bytes(out, len) == 1 ? 0 : milgi__fail(MILGI_EINTERNAL);
}

/* --- key exchange ----------------------------------------------------------------------------------------------- */

int milgi__x25519(struct milgi__crypto *cx, const uint8_t *secret, const uint8_t *peer, uint8_t *shared)
{
    (void)cx;
    /*= RFC8446 7.4.2: "Implementations MUST check whether the computed Diffie-Hellman shared secret is the
     *= all-zero value and abort if so" */
    return X25519(shared, secret, peer) == 1 ? 0 : milgi__fail(MILGI__BAD);
}

int milgi__x25519_base(struct milgi__crypto *cx, const uint8_t *secret, uint8_t *pub)
{
    (void)cx;
    X25519_public_from_private(pub, secret);
    return 0;
}

BIGNUM *milgi__bn(const uint8_t *bytes, size_t len, BIGNUM *into)
{
    return BN_bin2bn(bytes, len, into);
}

/*
 * BN_mod() takes a time that depends on the number; Montgomery's reduction does not: to k / R and back. The seed is
 * below n * R, as it must be.
 */
bool milgi__scalar_reduce(
    struct milgi__crypto *cx, const struct milgi__curve *curve, const uint8_t *seed, size_t seed_len, BIGNUM *k)
{
    const struct milgi__curve_order *order = cx->own->orders;

    while (order->group != curve->group)
        order++;
    return BN_bin2bn(seed, seed_len, k) && BN_from_montgomery(k, k, order->mont, cx->bn) == 1 &&
        BN_to_montgomery(k, k, order->mont, cx->bn) == 1;
}

/* --- keys ------------------------------------------------------------------------------------------------------- */

int milgi__evp_curve(EVP_PKEY *key)
{
    const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(key);

    /* Deprecated, since who asks should refuse such keys: which is what it is asked for. */
    OPENSSL_BEGIN_ALLOW_DEPRECATED
    if (!ec || EC_KEY_decoded_from_explicit_params(ec))
        return NID_undef;
    OPENSSL_END_ALLOW_DEPRECATED
    return EC_GROUP_get_curve_name(EC_KEY_get0_group(ec));
}

bool milgi__evp_exponent_acceptable(EVP_PKEY *key)
{
    const RSA *rsa = EVP_PKEY_get0_RSA(key);
    const BIGNUM *e = rsa ? RSA_get0_e(rsa) : NULL;

    return e && milgi__exponent_acceptable(e);
}

bool milgi__evp_same(EVP_PKEY *a, EVP_PKEY *b)
{
    return EVP_PKEY_cmp(a, b) == 1;
}

bool milgi__mldsa_available(void)
{
    return true;
}

enum milgi__key_type milgi__evp_mldsa(EVP_PKEY *key)
{
    if (EVP_PKEY_id(key) != EVP_PKEY_PQDSA)
        return MILGI__KEY_NONE;
    switch (EVP_PKEY_pqdsa_get_type(key)) {
    case NID_MLDSA44: return MILGI__KEY_MLDSA44;
    case NID_MLDSA65: return MILGI__KEY_MLDSA65;
    case NID_MLDSA87: return MILGI__KEY_MLDSA87;
    default: return MILGI__KEY_NONE;
    }
}

/* --- keys in DER ------------------------------------------------------------------------------------------------ */

static int finish(CBB *cbb, uint8_t **der)
{
    size_t len;

    return CBB_finish(cbb, der, &len) == 1 && len <= INT_MAX ? (int)len : 0;
}

/*
 * Keys that are restricted to PSS are read, but not written, and so are those of ML-DSA without their seed: their bytes
 * stay what they were.
 */
int milgi__evp_private(EVP_PKEY *key, const uint8_t *pkcs8, size_t len, uint8_t **der)
{
    CBB cbb;

    if (CBB_init(&cbb, len + 128) != 1)
        return 0;
    bool kept = EVP_PKEY_id(key) == EVP_PKEY_RSA_PSS || EVP_PKEY_id(key) == EVP_PKEY_PQDSA;
    int done = kept && pkcs8 ? CBB_add_bytes(&cbb, pkcs8, len) : EVP_marshal_private_key(&cbb, key);
    int n = done == 1 ? finish(&cbb, der) : 0;
    CBB_cleanup(&cbb);
    return n;
}

/* The algorithm as it stands in the private key, with its restrictions. */
static bool put_restricted(CBB *cbb, const EVP_PKEY *key, const uint8_t *pkcs8, size_t len)
{
    CBS all, form, algorithm;
    CBB spki, bits;

    CBS_init(&all, pkcs8, len);
    return CBS_get_asn1(&all, &form, CBS_ASN1_SEQUENCE) == 1 &&
        CBS_get_asn1(&form, NULL, CBS_ASN1_INTEGER) == 1 &&
        CBS_get_asn1_element(&form, &algorithm, CBS_ASN1_SEQUENCE) == 1 &&
        CBB_add_asn1(cbb, &spki, CBS_ASN1_SEQUENCE) == 1 &&
        CBB_add_bytes(&spki, CBS_data(&algorithm), CBS_len(&algorithm)) == 1 &&
        CBB_add_asn1(&spki, &bits, CBS_ASN1_BITSTRING) == 1 && CBB_add_u8(&bits, 0) == 1 &&
        RSA_marshal_public_key(&bits, EVP_PKEY_get0_RSA(key)) == 1;
}

int milgi__evp_public(EVP_PKEY *key, const uint8_t *pkcs8, size_t len, uint8_t **der)
{
    CBB cbb;

    if (CBB_init(&cbb, 512) != 1)
        return 0;
    bool done = EVP_PKEY_id(key) == EVP_PKEY_RSA_PSS && pkcs8 ? put_restricted(&cbb, key, pkcs8, len)
                                                              : EVP_marshal_public_key(&cbb, key) == 1;
    int n = done ? finish(&cbb, der) : 0;
    CBB_cleanup(&cbb);
    return n;
}

/* --- verdicts --------------------------------------------------------------------------------------------------- */

/* Where AWS-LC counts otherwise than OpenSSL, or has other words. */
static const struct {
    int here;
    int32_t there;
    const char *text;
} verdicts[] = {
    { X509_V_ERR_UNSPECIFIED, 1, "unspecified certificate verification error" },
    { X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, 18, "self-signed certificate" },
    { X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, 19, "self-signed certificate in certificate chain" },
    { X509_V_ERR_INVALID_PURPOSE, 26, "unsuitable certificate purpose" },
    { X509_V_ERR_HOSTNAME_MISMATCH, 62, "hostname mismatch" },
    { X509_V_ERR_EE_KEY_TOO_SMALL, MILGI__V_EE_KEY_TOO_SMALL, "EE certificate key too weak" },
    { X509_V_ERR_CA_KEY_TOO_SMALL, MILGI__V_CA_KEY_TOO_SMALL, "CA certificate key too weak" },
    { X509_V_ERR_CA_MD_TOO_WEAK, MILGI__V_CA_MD_TOO_WEAK, "CA signature digest algorithm too weak" },
    { X509_V_ERR_INVALID_CALL, MILGI__V_INVALID_CALL, "invalid certificate verification context" },
    { X509_V_ERR_STORE_LOOKUP, MILGI__V_STORE_LOOKUP, "issuer certificate lookup error" },
    { -1, MILGI__V_OCSP_NEEDED, "OCSP verification needed" }, /* our own: it never says so */
    { -1, MILGI__V_OCSP_FAILED, "OCSP verification failed" },
    { -1, MILGI__V_OCSP_UNKNOWN, "OCSP unknown cert" },
    { X509_V_ERR_INVALID_CA, MILGI__V_INVALID_CA, "invalid CA certificate" },
    { X509_V_ERR_EC_KEY_EXPLICIT_PARAMS, MILGI__V_EC_KEY_EXPLICIT_PARAMS,
        "certificate public key has explicit EC parameters" },
};

int32_t milgi__verdict_number(int verdict)
{
    for (size_t i = 0; i < MILGI__COUNT(verdicts); i++) {
        if (verdicts[i].here == verdict)
            return verdicts[i].there;
    }
    return verdict;
}

const char *milgi__verdict_text(int32_t verdict)
{
    for (size_t i = 0; i < MILGI__COUNT(verdicts); i++) {
        if (verdicts[i].there == verdict)
            return verdicts[i].text;
    }
    return X509_verify_cert_error_string(verdict);
}

/* --- keys that are encrypted ------------------------------------------------------------------------------------ */

/* It decrypts and reads at once, and writes again what it can write. */
int milgi__pkcs8_decrypt(const uint8_t *der, long len, const char *word, size_t word_len, uint8_t **out)
{
    CBS in, sequence;
    CBB cbb;

    CBS_init(&in, der, (size_t)len);
    if (CBS_get_asn1(&in, &sequence, CBS_ASN1_SEQUENCE) != 1 || CBS_len(&in) != 0)
        return MILGI__PKCS8_MALFORMED;
    CBS_init(&in, der, (size_t)len);
    ERR_clear_error();
    EVP_PKEY *key = PKCS8_parse_encrypted_private_key(&in, word, word_len);
    if (!key)
        return 0;
    int n = CBB_init(&cbb, 256) == 1 && EVP_marshal_private_key(&cbb, key) == 1 ? finish(&cbb, out) : 0;
    CBB_cleanup(&cbb);
    EVP_PKEY_free(key);
    return n > 0 ? n : MILGI__PKCS8_KEPT;
}

bool milgi__cipher_is_strange(void)
{
    return ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_PKCS8;
}
