/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys and certificates out of PEM, and what is wrong when there are none. */
#include <limits.h>
#include <stdio.h>

#include <openssl/asn1t.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "crypto/openssl3/openssl3.h"

#define RSA_MIN 2048
#define RSA_MAX 4096

/* --- blocks ----------------------------------------------------------------------------------------------------- */

struct block {
    size_t at; /* where the search for it began */
    char *label, *header;
    uint8_t *data; /* may hold a key */
    long len;
};

static void block_clear(struct block *b)
{
    OPENSSL_free(b->label);
    OPENSSL_free(b->header);
    OPENSSL_clear_free(b->data, (size_t)b->len);
    b->label = b->header = NULL;
    b->data = NULL;
    b->len = 0;
}

/* 1: the next block; 0: there is none; or MILGI_EPARSE. */
static int block_next(BIO *bio, size_t pem_len, struct block *b)
{
    block_clear(b);
    b->at = pem_len - (size_t)BIO_pending(bio);
    ERR_clear_error();
    if (PEM_read_bio(bio, &b->label, &b->header, &b->data, &b->len) == 1)
        return 1;
    return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? 0 : MILGI_EPARSE;
}

static bool is(const struct block *b, const char *label)
{
    return strcmp(b->label, label) == 0;
}

static bool ends_with(const char *s, const char *end)
{
    size_t len = strlen(s), n = strlen(end);

    return len >= n && strcmp(s + len - n, end) == 0;
}

/* What belongs to neither certificates nor keys, but is found beside them. */
static bool is_harmless(const struct block *b)
{
    return ends_with(b->label, " PARAMETERS");
}

static int blame(struct milgi__pem_fault *fault, int error, enum milgi_problem_kind kind, const struct block *b,
    const char *what)
{
    fault->kind = kind;
    fault->at = b->at;
    snprintf(fault->what, sizeof fault->what, "%s", what ? what : b->label ? b->label
                                                                           : "");
    return error;
}

/* --- private keys ----------------------------------------------------------------------------------------------- */

/* RFC 5958: the second version of PKCS #8, which may hold the public key too. */
struct one_asymmetric_key {
    ASN1_INTEGER *version;
    X509_ALGOR *algorithm;
    ASN1_OCTET_STRING *private;
    STACK_OF(X509_ATTRIBUTE) * attributes;
    ASN1_BIT_STRING *public;
};

/* clang-format off */
ASN1_SEQUENCE(one_asymmetric_key) = {
    ASN1_SIMPLE(struct one_asymmetric_key, version, ASN1_INTEGER),
    ASN1_SIMPLE(struct one_asymmetric_key, algorithm, X509_ALGOR),
    ASN1_SIMPLE(struct one_asymmetric_key, private, ASN1_OCTET_STRING),
    ASN1_IMP_SET_OF_OPT(struct one_asymmetric_key, attributes, X509_ATTRIBUTE, 0),
    ASN1_IMP_OPT(struct one_asymmetric_key, public, ASN1_BIT_STRING, 1),
} static_ASN1_SEQUENCE_END_name(struct one_asymmetric_key, one_asymmetric_key)

static EVP_PKEY *from_version_2(const uint8_t *der, long len);
/* clang-format on */

/* The second version, which libcrypto reads since 3.5: as the first, and the two halves compared. */
static EVP_PKEY *from_version_2(const uint8_t *der, long len)
{
    const uint8_t *p = der;
    EVP_PKEY *key = NULL;

    struct one_asymmetric_key *v2 =
        (struct one_asymmetric_key *)ASN1_item_d2i(NULL, &p, len, ASN1_ITEM_rptr(one_asymmetric_key));
    if (!v2)
        return NULL;
    if (p == der + len && ASN1_INTEGER_set(v2->version, 0) == 1) {
        ASN1_BIT_STRING *public = v2->public;
        uint8_t *v1 = NULL;
        v2->public = NULL;
        int v1_len = ASN1_item_i2d((ASN1_VALUE *)v2, &v1, ASN1_ITEM_rptr(one_asymmetric_key));
        const uint8_t *q = v1;
        PKCS8_PRIV_KEY_INFO *info = v1_len > 0 ? d2i_PKCS8_PRIV_KEY_INFO(NULL, &q, v1_len) : NULL;
        key = info ? EVP_PKCS82PKEY(info) : NULL;
        PKCS8_PRIV_KEY_INFO_free(info); /* wipes */
        OPENSSL_clear_free(v1, v1_len > 0 ? (size_t)v1_len : 0);
        uint8_t raw[32];
        size_t raw_len = sizeof raw;
        bool ed25519 = key && EVP_PKEY_is_a(key, "ED25519") && EVP_PKEY_get_raw_public_key(key, raw, &raw_len) == 1;
        if (ed25519 && public &&
            (ASN1_STRING_length(public) != (int)raw_len ||
                memcmp(ASN1_STRING_get0_data(public), raw, raw_len) != 0)) {
            EVP_PKEY_free(key);
            key = NULL;
        }
        ASN1_BIT_STRING_free(public);
    }
    OPENSSL_cleanse((uint8_t *)ASN1_STRING_get0_data(v2->private), (size_t)ASN1_STRING_length(v2->private));
    ASN1_item_free((ASN1_VALUE *)v2, ASN1_ITEM_rptr(one_asymmetric_key));
    return key;
}

/* |what|: the algorithm of a key that libcrypto does not know, if it says one. */
static EVP_PKEY *from_pkcs8(const uint8_t *der, long len, char *what, size_t cap)
{
    const uint8_t *p = der;
    const ASN1_OBJECT *algorithm = NULL;
    EVP_PKEY *key = NULL;

    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, len);
    if (!info)
        return from_version_2(der, len);
    if (p == der + len)
        key = EVP_PKCS82PKEY(info);
    if (!key && ERR_GET_REASON(ERR_peek_last_error()) == EVP_R_UNSUPPORTED_PRIVATE_KEY_ALGORITHM &&
        PKCS8_pkey_get0(&algorithm, NULL, NULL, NULL, info) == 1)
        OBJ_obj2txt(what, (int)cap, algorithm, 0);
    PKCS8_PRIV_KEY_INFO_free(info); /* wipes */
    return key;
}

/* PKCS #1 or SEC 1. What it is called is not asked: some tools call everything a PRIVATE KEY. */
static EVP_PKEY *from_traditional(const uint8_t *der, long len)
{
    static const int types[] = { EVP_PKEY_RSA, EVP_PKEY_EC };

    for (size_t i = 0; i < MILGI__COUNT(types); i++) {
        const uint8_t *p = der;
        EVP_PKEY *key = d2i_PrivateKey(types[i], NULL, &p, len);
        if (key && p == der + len)
            return key;
        EVP_PKEY_free(key);
    }
    return NULL;
}

/* 0, or what is wrong with a block that is called a private key. */
static int read_key(const struct block *b, EVP_PKEY **key, struct milgi__pem_fault *fault)
{
    char what[sizeof fault->what] = "";

    *key = NULL;
    if (is(b, PEM_STRING_PKCS8) || strstr(b->header, "ENCRYPTED"))
        return blame(fault, MILGI_EPARSE, MILGI_PROBLEM_ENCRYPTED, b, NULL);
    if (is(b, PEM_STRING_PKCS8INF))
        *key = from_pkcs8(b->data, b->len, what, sizeof what);
    else if (!is(b, PEM_STRING_RSA) && !is(b, PEM_STRING_ECPRIVATEKEY))
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, b, NULL);
    if (!*key && !*what)
        *key = from_traditional(b->data, b->len);
    if (*key)
        return 0;
    if (*what)
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, b, what);
    return blame(fault, MILGI_EPARSE, MILGI_PROBLEM_CONTENT, b, NULL);
}

/* Takes what libcrypto allocated into memory of ours, and wipes it. */
static int move(uint8_t *from, int len, uint8_t **to, size_t *to_len)
{
    if (len <= 0)
        return MILGI_ENOMEM;
    *to = milgi__alloc_raw((size_t)len);
    if (*to)
        memcpy(*to, from, (size_t)len);
    *to_len = (size_t)len;
    OPENSSL_clear_free(from, (size_t)len);
    return *to ? 0 : MILGI_ENOMEM;
}

static int encode(EVP_PKEY *key, struct milgi__private_key *out)
{
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    int error = move(der, len, &out->spki, &out->spki_len);

    if (error != 0)
        return error;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    der = NULL;
    len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : 0;
    PKCS8_PRIV_KEY_INFO_free(info); /* wipes */
    return move(der, len, &out->pkcs8, &out->pkcs8_len);
}

/* Whether it is a key that we sign with; |out| gets its type and length. */
static int check(EVP_PKEY *key, const struct block *b, struct milgi__private_key *out, struct milgi__pem_fault *fault)
{
    char what[sizeof fault->what];

    milgi__evp_text(key, what, sizeof what);
    out->type = milgi__evp_type(key, &out->bits);
    if (out->type == MILGI__KEY_NONE)
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, b, what);
    if (out->type != MILGI__KEY_RSA && out->type != MILGI__KEY_RSA_PSS)
        return 0;
    if (out->bits < RSA_MIN)
        return blame(fault, MILGI_EWEAK, MILGI_PROBLEM_KEY_WEAK, b, what);
    if (out->bits > RSA_MAX)
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_LARGE, b, what);
    if (!milgi__evp_exponent_acceptable(key))
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, b, "RSA with such a public exponent");
    return 0;
}

/* The first private key. */
static int find_key(BIO *bio, size_t len, struct block *b, EVP_PKEY **key, struct milgi__pem_fault *fault)
{
    int found;

    while ((found = block_next(bio, len, b)) == 1) {
        if (ends_with(b->label, "PRIVATE KEY"))
            return read_key(b, key, fault);
        if (fault->kind == MILGI_PROBLEM_PUBLIC_KEY || is_harmless(b))
            continue;
        bool public = ends_with(b->label, "PUBLIC KEY");
        (void)blame(fault, 0, public ? MILGI_PROBLEM_PUBLIC_KEY : MILGI_PROBLEM_NO_BLOCK, b, NULL);
    }
    if (found < 0)
        return blame(fault, MILGI_EPARSE, MILGI_PROBLEM_LINES, b, NULL);
    if (fault->kind == MILGI_PROBLEM_NONE)
        fault->kind = MILGI_PROBLEM_NO_BLOCK;
    return MILGI_EPARSE;
}

int milgi__pem_private_key(
    const void *pem, size_t pem_len, struct milgi__private_key *out, struct milgi__pem_fault *fault)
{
    struct block b = { .label = NULL };
    EVP_PKEY *key = NULL;

    *out = (struct milgi__private_key){ .pkcs8 = NULL };
    *fault = (struct milgi__pem_fault){ .kind = MILGI_PROBLEM_NONE };
    BIO *bio = pem_len <= INT_MAX ? BIO_new_mem_buf(pem, (int)pem_len) : NULL;
    if (!bio)
        return milgi__fail(MILGI_ENOMEM);
    int error = find_key(bio, pem_len, &b, &key, fault);
    if (error == 0)
        error = check(key, &b, out, fault);
    if (error == 0)
        error = encode(key, out);
    EVP_PKEY_free(key);
    block_clear(&b);
    BIO_free(bio);
    if (error != 0)
        milgi__private_key_clear(out);
    return milgi__fail(error);
}

void milgi__private_key_clear(struct milgi__private_key *key)
{
    milgi__free_wiped(key->pkcs8, key->pkcs8_len);
    milgi__free(key->spki);
    *key = (struct milgi__private_key){ .pkcs8 = NULL };
}

/* --- certificates ----------------------------------------------------------------------------------------------- */

static bool is_certificate(const uint8_t *der, long len)
{
    const uint8_t *p = der;
    X509 *x = d2i_X509(NULL, &p, len);
    bool whole = x && p == der + len;

    X509_free(x);
    return whole;
}

/* Keys stand in one file with their certificates. */
static bool may_stand_by(const struct block *b)
{
    return is_harmless(b) || ends_with(b->label, "PRIVATE KEY") || ends_with(b->label, "PUBLIC KEY");
}

static int take_certificate(const struct block *b, int (*each)(void *arg, const uint8_t *der, size_t len), void *arg,
    struct milgi__pem_fault *fault)
{
    if (!is_certificate(b->data, b->len))
        return blame(fault, MILGI_EPARSE, MILGI_PROBLEM_CONTENT, b, NULL);
    return each(arg, b->data, (size_t)b->len);
}

/* Where the first block behind |at| begins; |len|: there is none. */
static size_t next_begin(const char *text, size_t len, size_t at)
{
    static const char begin[] = "\n-----BEGIN ";
    size_t n = sizeof begin - 1;

    for (; at + n <= len; at++) {
        if (memcmp(text + at, begin, n) == 0)
            return at + 1;
    }
    return len;
}

/* Hands over the certificates, up to the first thing that is wrong; *n counts them. */
static int walk(const char *pem, size_t len, int (*each)(void *arg, const uint8_t *der, size_t len), void *arg,
    size_t *n, struct block *b, struct milgi__pem_fault *fault)
{
    int error = 0, found = 0;

    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    if (!bio)
        return MILGI_ENOMEM;
    while (error == 0 && (found = block_next(bio, len, b)) == 1) {
        if (is(b, PEM_STRING_X509) || is(b, PEM_STRING_X509_OLD)) {
            error = take_certificate(b, each, arg, fault);
            ++*n;
        } else if (!may_stand_by(b)) {
            error = blame(fault, MILGI_EPARSE, MILGI_PROBLEM_UNKNOWN_BLOCK, b, NULL);
        } else {
            (void)blame(fault, 0, MILGI_PROBLEM_NONE, b, NULL);
        }
    }
    BIO_free(bio);
    return error == 0 && found < 0 ? blame(fault, MILGI_EPARSE, MILGI_PROBLEM_LINES, b, NULL) : error;
}

int milgi__pem_certificates(const void *pem, size_t pem_len, int (*each)(void *arg, const uint8_t *der, size_t len),
    void *arg, struct milgi__pem_fault *fault)
{
    struct block b = { .label = NULL };
    size_t n = 0;

    *fault = (struct milgi__pem_fault){ .kind = MILGI_PROBLEM_NONE };
    int error = walk(pem, pem_len, each, arg, &n, &b, fault);
    if (error == 0 && n == 0) { /* fault->what: of the last block that there was */
        error = MILGI_EPARSE;
        fault->kind = MILGI_PROBLEM_NO_BLOCK;
    }
    block_clear(&b);
    return milgi__fail(error);
}

int milgi__pem_good_certificates(
    const void *pem, size_t pem_len, int (*each)(void *arg, const uint8_t *der, size_t len), void *arg)
{
    const char *text = pem;
    struct block b = { .label = NULL };
    struct milgi__pem_fault fault;
    size_t n = 0, at = 0;
    int error = 0;

    while (at < pem_len) {
        fault.kind = MILGI_PROBLEM_NONE;
        error = walk(text + at, pem_len - at, each, arg, &n, &b, &fault);
        if (error == 0 || fault.kind == MILGI_PROBLEM_NONE)
            break;
        /* It begins at the first block behind where it was looked for. */
        size_t bad = at + fault.at;
        if (bad + 11 > pem_len || memcmp(text + bad, "-----BEGIN ", 11) != 0)
            bad = next_begin(text, pem_len, bad);
        at = next_begin(text, pem_len, bad);
        error = 0;
    }
    block_clear(&b);
    return milgi__fail(error);
}
