/* SPDX-License-Identifier: Apache-2.0 */
/* What kind of key something is, by libcrypto's own account. */
#include <limits.h>
#include <stdio.h>

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include "crypto/libcrypto/libcrypto.h"

#define EXPONENT_BITS 33

static const struct {
    int nid;
    enum milgi__key_type type;
    unsigned bits;
} curves[] = {
    { NID_X9_62_prime256v1, MILGI__KEY_P256, 256 },
    { NID_secp384r1, MILGI__KEY_P384, 384 },
    { NID_secp521r1, MILGI__KEY_P521, 521 },
};

static enum milgi__key_type curve_type(int nid, unsigned *bits)
{
    for (size_t i = 0; i < MILGI__COUNT(curves); i++) {
        if (curves[i].nid == nid) {
            *bits = curves[i].bits;
            return curves[i].type;
        }
    }
    return MILGI__KEY_NONE;
}

/* Parameter sets of FIPS 204: the last byte of id-ml-dsa-*, the length of public keys, the name in libcryptos. */
static const struct {
    uint8_t arc;
    uint16_t public_len;
    unsigned strength; /* bits of the classical one that has the same category (FIPS 204 4) */
    const char *name;
} mldsa[] = {
    { 17, 1312, 128, "ML-DSA-44" },
    { 18, 1952, 192, "ML-DSA-65" },
    { 19, 2592, 256, "ML-DSA-87" },
};

enum milgi__key_type milgi__mldsa_of(const ASN1_OBJECT *algorithm)
{
    /* 2.16.840.1.101.3.4.3.*, for which not every libcrypto has a number. */
    static const uint8_t sig_algs[] = { 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03 };
    const uint8_t *id = OBJ_get0_data(algorithm);

    if (OBJ_length(algorithm) != sizeof sig_algs + 1 || memcmp(id, sig_algs, sizeof sig_algs) != 0)
        return MILGI__KEY_NONE;
    for (size_t i = 0; i < MILGI__COUNT(mldsa); i++) {
        if (mldsa[i].arc == id[sizeof sig_algs])
            return (enum milgi__key_type)(MILGI__KEY_MLDSA44 + i);
    }
    return MILGI__KEY_NONE;
}

unsigned milgi__mldsa_strength(enum milgi__key_type type)
{
    return milgi__key_is_mldsa(type) ? mldsa[type - MILGI__KEY_MLDSA44].strength : 0;
}

enum milgi__key_type milgi__evp_type(EVP_PKEY *key, unsigned *bits)
{
    *bits = (unsigned)EVP_PKEY_bits(key);
    switch (EVP_PKEY_id(key)) {
    case EVP_PKEY_RSA: return MILGI__KEY_RSA;
    case EVP_PKEY_RSA_PSS: return MILGI__KEY_RSA_PSS;
    /* Curves are named or not accepted: explicit parameters let the sender choose the generator. */
    case EVP_PKEY_EC: return curve_type(milgi__evp_curve(key), bits);
    case EVP_PKEY_ED25519: *bits = 256; return MILGI__KEY_ED25519;
    default: return milgi__evp_mldsa(key);
    }
}

void milgi__evp_text(EVP_PKEY *key, char *out, size_t cap)
{
    int id = EVP_PKEY_id(key), curve;
    enum milgi__key_type type = milgi__evp_mldsa(key);
    const char *name = type == MILGI__KEY_NONE ? OBJ_nid2sn(id) : mldsa[type - MILGI__KEY_MLDSA44].name;

    switch (id) {
    case EVP_PKEY_RSA: snprintf(out, cap, "RSA of %d bits", EVP_PKEY_bits(key)); return;
    case EVP_PKEY_RSA_PSS: snprintf(out, cap, "RSA-PSS of %d bits", EVP_PKEY_bits(key)); return;
    case EVP_PKEY_EC:
        curve = milgi__evp_curve(key);
        if (curve == NID_undef)
            snprintf(out, cap, "EC with explicit parameters");
        else
            snprintf(out, cap, "EC on %s", OBJ_nid2sn(curve));
        return;
    case NID_ED448: snprintf(out, cap, "Ed448"); return;
    default: snprintf(out, cap, "%s", name ? name : "of an unknown algorithm");
    }
}

bool milgi__exponent_acceptable(const BIGNUM *e)
{
    return BN_is_odd(e) && !BN_is_negative(e) && !BN_is_one(e) && BN_num_bits(e) <= EXPONENT_BITS;
}

/* --- SubjectPublicKeyInfo --------------------------------------------------------------------------------------- */

/*
 * The forms of RFC 5280 4.1 and RFC 8017 A.1.1, for libcrypto's reader: its own X509_PUBKEY makes an EVP_PKEY of each
 * key, which takes longer than to verify with it.
 */
struct spki_form {
    X509_ALGOR *algorithm;
    ASN1_BIT_STRING *key;
};
struct rsa_form {
    ASN1_INTEGER *n, *e;
};

/* clang-format off */
DECLARE_ASN1_ITEM(milgi__spki_form)
DECLARE_ASN1_ITEM(milgi__rsa_form)

ASN1_SEQUENCE(milgi__spki_form) = {
    ASN1_SIMPLE(struct spki_form, algorithm, X509_ALGOR),
    ASN1_SIMPLE(struct spki_form, key, ASN1_BIT_STRING),
} ASN1_SEQUENCE_END_name(struct spki_form, milgi__spki_form)

ASN1_SEQUENCE(milgi__rsa_form) = {
    ASN1_SIMPLE(struct rsa_form, n, ASN1_INTEGER),
    ASN1_SIMPLE(struct rsa_form, e, ASN1_INTEGER),
} ASN1_SEQUENCE_END_name(struct rsa_form, milgi__rsa_form)

static void *read_form(const ASN1_ITEM *item, const uint8_t *der, size_t len);
/* clang-format on */

/* All of |der|, or NULL. */
static void *read_form(const ASN1_ITEM *item, const uint8_t *der, size_t len)
{
    const uint8_t *p = der;
    ASN1_VALUE *value = len <= LONG_MAX ? ASN1_item_d2i(NULL, &p, (long)len, item) : NULL;

    if (value && p != der + len) {
        ASN1_item_free(value, item);
        value = NULL;
    }
    return value;
}

static int parse_rsa(enum milgi__key_type type, struct milgi__spki *spki)
{
    struct rsa_form *form = read_form(ASN1_ITEM_rptr(milgi__rsa_form), spki->key, spki->key_len);

    if (!form)
        return MILGI__BAD;
    spki->n = ASN1_INTEGER_to_BN(form->n, NULL);
    spki->e = ASN1_INTEGER_to_BN(form->e, NULL);
    ASN1_item_free((ASN1_VALUE *)form, ASN1_ITEM_rptr(milgi__rsa_form));
    if (!spki->n || !spki->e || BN_is_negative(spki->n) || BN_is_zero(spki->n))
        return MILGI__BAD;
    spki->type = type;
    spki->bits = (unsigned)BN_num_bits(spki->n);
    return 0;
}

static int parse_mldsa(enum milgi__key_type type, int kind, struct milgi__spki *spki)
{
    if (type == MILGI__KEY_NONE || !milgi__mldsa_available())
        return 0;
    /* RFC 9881 2: there are no parameters. */
    if (kind != V_ASN1_UNDEF || spki->key_len != mldsa[type - MILGI__KEY_MLDSA44].public_len)
        return MILGI__BAD;
    spki->type = type;
    spki->bits = (unsigned)spki->key_len * 8;
    return 0;
}

static int parse(const struct spki_form *form, struct milgi__spki *spki)
{
    const ASN1_OBJECT *object;
    const void *parameter;
    int kind;

    X509_ALGOR_get0(&object, &kind, &parameter, form->algorithm);
    spki->key = ASN1_STRING_get0_data(form->key);
    spki->key_len = (size_t)ASN1_STRING_length(form->key);
    if ((form->key->flags & 7) != 0) /* bits that are not used */
        return MILGI__BAD;
    switch (OBJ_obj2nid(object)) {
    case NID_X9_62_id_ecPublicKey:
        if (kind == V_ASN1_OBJECT)
            spki->type = curve_type(OBJ_obj2nid(parameter), &spki->bits);
        return 0;
    case NID_rsaEncryption:
        /* RFC 3279 2.3.1: the parameters are NULL. Some leave them out, which means the same. */
        return kind == V_ASN1_NULL || kind == V_ASN1_UNDEF ? parse_rsa(MILGI__KEY_RSA, spki) : MILGI__BAD;
    case NID_rsassaPss: return parse_rsa(MILGI__KEY_RSA_PSS, spki);
    case NID_ED25519:
        if (kind != V_ASN1_UNDEF || spki->key_len != 32)
            return MILGI__BAD;
        spki->type = MILGI__KEY_ED25519;
        spki->bits = 256;
        return 0;
    default: return parse_mldsa(milgi__mldsa_of(object), kind, spki);
    }
}

int milgi__spki_parse(const uint8_t *der, size_t len, struct milgi__spki *spki)
{
    *spki = (struct milgi__spki){ .type = MILGI__KEY_NONE };
    struct spki_form *form = read_form(ASN1_ITEM_rptr(milgi__spki_form), der, len);
    if (!form)
        return milgi__fail(MILGI__BAD);
    spki->form = form;
    int result = parse(form, spki);
    if (result != 0)
        milgi__spki_clear(spki);
    return result == 0 ? 0 : milgi__fail(result);
}

void milgi__spki_clear(struct milgi__spki *spki)
{
    BN_free(spki->n);
    BN_free(spki->e);
    ASN1_item_free(spki->form, ASN1_ITEM_rptr(milgi__spki_form));
    *spki = (struct milgi__spki){ .type = MILGI__KEY_NONE };
}

/* --- keys that are kept ----------------------------------------------------------------------------------------- */

static void forget(struct milgi__known_key *known)
{
    milgi__free(known->der);
    milgi__spki_clear(&known->spki);
    known->der = NULL;
    known->len = 0;
}

void milgi__spki_forget(struct milgi__crypto *cx)
{
    for (size_t i = 0; i < MILGI__KEYS; i++)
        forget(&cx->keys[i]);
}

/* Found by all of its bytes; a new one takes the place of the one that stood there. */
int milgi__spki_known(struct milgi__crypto *cx, const uint8_t *der, size_t len, const struct milgi__spki **spki)
{
    struct milgi__spki parsed;
    struct milgi__known_key *known = &cx->keys[len > 0 ? der[len - 1] % MILGI__KEYS : 0];

    *spki = &known->spki;
    if (known->der && known->len == len && memcmp(known->der, der, len) == 0)
        return 0;
    int result = milgi__spki_parse(der, len, &parsed);
    if (result != 0)
        return result;
    uint8_t *copy = milgi__alloc_raw(len);
    if (!copy) {
        milgi__spki_clear(&parsed);
        return MILGI__BROKEN;
    }
    memcpy(copy, der, len);
    forget(known);
    *known = (struct milgi__known_key){ copy, len, parsed };
    return 0;
}
