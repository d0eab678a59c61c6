/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL >= 3.0: the state, randomness, numbers and keys in its own calls. */
#include <limits.h>
#include <stdatomic.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pkcs12.h>
#include <openssl/rand.h>
#include <openssl/x509.h>

#include "crypto/openssl3/openssl3.h"

#define NAME_MAX_LEN 64

int milgi__flavour_setup(struct milgi__crypto *cx)
{
    cx->own = milgi__alloc(sizeof *cx->own);
    if (!cx->own || milgi__aead_setup(cx->own) != 0 || milgi__verify_setup(cx->own) != 0)
        return MILGI__BROKEN;
    cx->own->x25519 = milgi__x25519_new();
    return cx->own->x25519 ? 0 : MILGI__BROKEN;
}

void milgi__flavour_teardown(struct milgi__crypto *cx)
{
    if (!cx->own)
        return;
    milgi__aead_teardown(cx->own);
    milgi__verify_teardown(cx->own);
    milgi__x25519_free(cx->own->x25519);
    milgi__free(cx->own);
}

void milgi__flavour_idle(struct milgi__crypto *cx)
{
    milgi__aead_wipe(cx->own);
}

int milgi__flavour_random(uint8_t *out, size_t len)
{
    while (len > 0) {
        int n = len > INT_MAX ? INT_MAX : (int)len;
        if (RAND_priv_bytes(out, n) != 1)
            return milgi__fail(MILGI_EINTERNAL);
        out += n;
        len -= (size_t)n;
    }
    return 0;
}

BIGNUM *milgi__bn(const uint8_t *bytes, size_t len, BIGNUM *into)
{
    BIGNUM *number = BN_bin2bn(bytes, (int)len, into);

    if (number)
        BN_set_flags(number, BN_FLG_CONSTTIME);
    return number;
}

bool milgi__scalar_reduce(
    struct milgi__crypto *cx, const struct milgi__curve *curve, const uint8_t *seed, size_t seed_len, BIGNUM *k)
{
    return milgi__bn(seed, seed_len, k) && BN_mod(k, k, EC_GROUP_get0_order(curve->group), cx->bn) == 1;
}

int milgi__evp_curve(EVP_PKEY *key)
{
    char name[NAME_MAX_LEN];
    int explicit = 0;
    size_t len;

    if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit) == 1 && explicit)
        return NID_undef;
    return EVP_PKEY_get_group_name(key, name, sizeof name, &len) == 1 ? OBJ_txt2nid(name) : NID_undef;
}

bool milgi__evp_exponent_acceptable(EVP_PKEY *key)
{
    BIGNUM *e = NULL;
    bool ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && milgi__exponent_acceptable(e);

    BN_free(e);
    return ok;
}

bool milgi__evp_same(EVP_PKEY *a, EVP_PKEY *b)
{
    return EVP_PKEY_eq(a, b) == 1;
}

const char *milgi__mldsa_name(enum milgi__key_type type)
{
    static const char *const names[] = { "ML-DSA-44", "ML-DSA-65", "ML-DSA-87" };

    return names[type - MILGI__KEY_MLDSA44];
}

/* OpenSSL has it from 3.5 on: asked for by name when the program runs, as ML-KEM is. */
bool milgi__mldsa_available(void)
{
    enum {
        UNKNOWN,
        NONE,
        THERE
    };
    static _Atomic int known;
    int found = atomic_load_explicit(&known, memory_order_relaxed);

    if (found != UNKNOWN)
        return found == THERE;
    found = THERE;
    for (int type = MILGI__KEY_MLDSA44; type <= MILGI__KEY_MLDSA87; type++) {
        EVP_SIGNATURE *one = EVP_SIGNATURE_fetch(NULL, milgi__mldsa_name((enum milgi__key_type)type), NULL);
        if (!one)
            found = NONE;
        EVP_SIGNATURE_free(one);
    }
    milgi__fail(0);
    atomic_store_explicit(&known, found, memory_order_relaxed);
    return found == THERE;
}

enum milgi__key_type milgi__evp_mldsa(EVP_PKEY *key)
{
    for (int type = MILGI__KEY_MLDSA44; type <= MILGI__KEY_MLDSA87; type++) {
        if (EVP_PKEY_is_a(key, milgi__mldsa_name((enum milgi__key_type)type)) == 1)
            return (enum milgi__key_type)type;
    }
    return MILGI__KEY_NONE;
}

int milgi__evp_private(EVP_PKEY *key, const uint8_t *pkcs8, size_t len, uint8_t **der)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, der) : 0;

    (void)pkcs8;
    (void)len;
    PKCS8_PRIV_KEY_INFO_free(info); /* wipes */
    return n;
}

int milgi__evp_public(EVP_PKEY *key, const uint8_t *pkcs8, size_t len, uint8_t **der)
{
    (void)pkcs8;
    (void)len;
    return i2d_PUBKEY(key, der);
}

int32_t milgi__verdict_number(int verdict)
{
    return verdict;
}

const char *milgi__verdict_text(int32_t verdict)
{
    return X509_verify_cert_error_string(verdict);
}

/* --- keys that are encrypted ------------------------------------------------------------------------------------ */

int milgi__pkcs8_decrypt(const uint8_t *der, long len, const char *word, size_t word_len, uint8_t **out)
{
    const X509_ALGOR *algorithm;
    const ASN1_OCTET_STRING *data;
    const uint8_t *p = der;
    X509_SIG *sealed = d2i_X509_SIG(NULL, &p, len);
    int n = MILGI__PKCS8_MALFORMED;

    ERR_clear_error();
    if (sealed && p == der + len) {
        X509_SIG_get0(sealed, &algorithm, &data);
        if (!PKCS12_pbe_crypt(algorithm, word, (int)word_len, ASN1_STRING_get0_data(data), ASN1_STRING_length(data),
                out, &n, 0))
            n = 0;
    }
    X509_SIG_free(sealed);
    return n;
}

bool milgi__cipher_is_strange(void)
{
    unsigned long first = ERR_peek_error();

    return ERR_GET_LIB(first) == ERR_LIB_EVP && ERR_GET_REASON(first) != EVP_R_BAD_DECRYPT;
}
