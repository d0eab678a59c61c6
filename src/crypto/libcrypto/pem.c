/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys, certificates and CRLs out of PEM, and what is wrong when there are none. */
#include <limits.h>
#include <stdio.h>

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "crypto/libcrypto/libcrypto.h"

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
DECLARE_ASN1_ITEM(milgi__one_asymmetric_key)

ASN1_SEQUENCE(milgi__one_asymmetric_key) = {
    ASN1_SIMPLE(struct one_asymmetric_key, version, ASN1_INTEGER),
    ASN1_SIMPLE(struct one_asymmetric_key, algorithm, X509_ALGOR),
    ASN1_SIMPLE(struct one_asymmetric_key, private, ASN1_OCTET_STRING),
    ASN1_IMP_SET_OF_OPT(struct one_asymmetric_key, attributes, X509_ATTRIBUTE, 0),
    ASN1_IMP_OPT(struct one_asymmetric_key, public, ASN1_BIT_STRING, 1),
} ASN1_SEQUENCE_END_name(struct one_asymmetric_key, milgi__one_asymmetric_key)

static void free_form(struct one_asymmetric_key *form);
/* clang-format on */

static void free_form(struct one_asymmetric_key *form)
{
    OPENSSL_cleanse((uint8_t *)ASN1_STRING_get0_data(form->private), (size_t)ASN1_STRING_length(form->private));
    ASN1_item_free((ASN1_VALUE *)form, ASN1_ITEM_rptr(milgi__one_asymmetric_key));
}

/* A private key, and the bytes that it was made of; |what|: the algorithm of one that libcrypto does not know. */
struct read {
    EVP_PKEY *key;
    uint8_t *pkcs8; /* of version 1; or NULL */
    size_t pkcs8_len;
    char what[sizeof((struct milgi__pem_fault *)0)->what];
    unsigned rsa_bits; /* of an RSA key that libcrypto does not take; 0: it is none */
    bool rsa_exponent; /* is acceptable */
};

static void read_clear(struct read *read)
{
    EVP_PKEY_free(read->key);
    OPENSSL_clear_free(read->pkcs8, read->pkcs8_len);
    *read = (struct read){ .key = NULL };
}

/* PKCS #8 of either version as the first, which every libcrypto reads. The length, or 0. */
static size_t to_version_1(struct one_asymmetric_key *form, uint8_t **v1)
{
    ASN1_BIT_STRING *public = form->public;
    long version = ASN1_INTEGER_get(form->version);
    int len = 0;

    form->public = NULL;
    /*= RFC5958 2: "publicKey ... When present, the version is v2" */
    bool ok = version == 1 || (version == 0 && !public);
    if (ok && ASN1_INTEGER_set(form->version, 0) == 1)
        len = ASN1_item_i2d((ASN1_VALUE *)form, v1, ASN1_ITEM_rptr(milgi__one_asymmetric_key));
    form->public = public;
    return len > 0 ? (size_t)len : 0;
}

/* Whether the public half that stands beside a private key is the right one; not all kinds are looked at. */
static bool halves_match(const EVP_PKEY *key, const ASN1_BIT_STRING *public)
{
    uint8_t raw[32];
    size_t len = sizeof raw;

    if (!public || EVP_PKEY_id(key) != EVP_PKEY_ED25519 || EVP_PKEY_get_raw_public_key(key, raw, &len) != 1)
        return true;
    return ASN1_STRING_length(public) == (int)len && memcmp(ASN1_STRING_get0_data(public), raw, len) == 0;
}

/* The algorithm of a key, unless it is one of those that are read. */
static void name_unknown(const struct one_asymmetric_key *form, char *what, size_t cap)
{
    const ASN1_OBJECT *algorithm;

    X509_ALGOR_get0(&algorithm, NULL, NULL, form->algorithm);
    switch (OBJ_obj2nid(algorithm)) {
    case NID_rsaEncryption:
    case NID_rsassaPss:
    case NID_X9_62_id_ecPublicKey:
    case NID_ED25519: break;
    case NID_ED448: snprintf(what, cap, "Ed448"); break;
    default: OBJ_obj2txt(what, (int)cap, algorithm, 0);
    }
}

/* What stands first in an RSAPrivateKey (RFC 8017 A.1.2): for keys that libcrypto does not take, to say why. */
static void measure_rsa(const uint8_t *der, long len, struct read *out)
{
    const uint8_t *p = der, *end = der + len;
    BIGNUM *number[3] = { NULL };
    int tag, class;
    long inside;

    bool ok = (ASN1_get_object(&p, &inside, &tag, &class, len) & 0x80) == 0 && tag == V_ASN1_SEQUENCE;
    for (size_t i = 0; ok && i < MILGI__COUNT(number); i++) { /* the version, n, e */
        ASN1_INTEGER *integer = d2i_ASN1_INTEGER(NULL, &p, end - p);
        number[i] = integer ? ASN1_INTEGER_to_BN(integer, NULL) : NULL;
        ASN1_INTEGER_free(integer);
        ok = number[i] != NULL;
    }
    if (ok) {
        out->rsa_bits = (unsigned)BN_num_bits(number[1]);
        out->rsa_exponent = milgi__exponent_acceptable(number[2]);
    }
    for (size_t i = 0; i < MILGI__COUNT(number); i++)
        BN_free(number[i]);
}

static void from_pkcs8(const uint8_t *der, long len, struct read *out)
{
    const ASN1_OBJECT *algorithm;
    const uint8_t *p = der;

    struct one_asymmetric_key *form =
        (struct one_asymmetric_key *)ASN1_item_d2i(NULL, &p, len, ASN1_ITEM_rptr(milgi__one_asymmetric_key));
    if (!form)
        return;
    if (p == der + len)
        out->pkcs8_len = to_version_1(form, &out->pkcs8);
    p = out->pkcs8;
    PKCS8_PRIV_KEY_INFO *info = p ? d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)out->pkcs8_len) : NULL;
    out->key = info ? EVP_PKCS82PKEY(info) : NULL;
    PKCS8_PRIV_KEY_INFO_free(info); /* wipes */
    if (out->key && !halves_match(out->key, form->public)) {
        EVP_PKEY_free(out->key);
        out->key = NULL;
    }
    if (!out->key) {
        name_unknown(form, out->what, sizeof out->what);
        X509_ALGOR_get0(&algorithm, NULL, NULL, form->algorithm);
        if (OBJ_obj2nid(algorithm) == NID_rsaEncryption)
            measure_rsa(ASN1_STRING_get0_data(form->private), ASN1_STRING_length(form->private), out);
    }
    free_form(form);
}

/* PKCS #1 or SEC 1. What it is called is not asked: some tools call everything a PRIVATE KEY. */
static void from_traditional(const uint8_t *der, long len, struct read *out)
{
    static const int types[] = { EVP_PKEY_RSA, EVP_PKEY_EC };

    for (size_t i = 0; i < MILGI__COUNT(types); i++) {
        const uint8_t *p = der;
        EVP_PKEY *key = d2i_PrivateKey(types[i], NULL, &p, len);
        if (key && p == der + len) {
            out->key = key;
            return;
        }
        EVP_PKEY_free(key);
    }
    measure_rsa(der, len, out);
}

static int check_rsa(unsigned bits, bool exponent, const struct block *b, struct milgi__pem_fault *fault,
    const char *what)
{
    if (bits < RSA_MIN)
        return blame(fault, MILGI_EWEAK, MILGI_PROBLEM_KEY_WEAK, b, what);
    if (bits > RSA_MAX)
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_LARGE, b, what);
    if (!exponent)
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, b, "RSA with such a public exponent");
    return 0;
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
    return check_rsa(out->bits, milgi__evp_exponent_acceptable(key), b, fault, what);
}

/* What is wrong with a key that libcrypto does not take. */
static int refuse(struct read *read, const struct block *b, struct milgi__pem_fault *fault)
{
    if (read->rsa_bits > 0) {
        snprintf(read->what, sizeof read->what, "RSA of %u bits", read->rsa_bits);
        int error = check_rsa(read->rsa_bits, read->rsa_exponent, b, fault, read->what);
        if (error != 0)
            return error;
    } else if (*read->what) {
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, b, read->what);
    }
    return blame(fault, MILGI_EPARSE, MILGI_PROBLEM_CONTENT, b, NULL);
}

/* What a key is encrypted with; |text| NULL: nobody said it. */
struct passphrase {
    const char *text;
    size_t len;
};

/* A pem_password_cb. */
static int give(char *buf, int size, int writing, void *arg)
{
    const struct passphrase *word = arg;

    (void)writing;
    if (size < 0 || word->len > (size_t)size)
        return -1;
    memcpy(buf, word->text, word->len);
    return (int)word->len;
}

static int undeciphered(const struct block *b, struct milgi__pem_fault *fault)
{
    bool strange = milgi__cipher_is_strange();
    int error = strange ? MILGI_EUNSUPPORTED : MILGI_EPARSE;

    return blame(fault, error, MILGI_PROBLEM_PASSPHRASE, b, strange ? b->label : "");
}

/* RFC 1421 4.6: "Proc-Type: 4,ENCRYPTED" stands above it. In its own place. */
static int decipher(struct block *b, const struct passphrase *word, struct milgi__pem_fault *fault)
{
    EVP_CIPHER_INFO cipher;

    if (PEM_get_EVP_CIPHER_INFO(b->header, &cipher) != 1)
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_PASSPHRASE, b, b->label);
    if (PEM_do_header(&cipher, b->data, &b->len, give, (void *)(uintptr_t)word) != 1)
        return undeciphered(b, fault);
    return 0;
}

/* An EncryptedPrivateKeyInfo (RFC 5958 3). */
static int from_encrypted(
    const struct block *b, const struct passphrase *word, struct read *out, struct milgi__pem_fault *fault)
{
    uint8_t *der = NULL;
    int len = milgi__pkcs8_decrypt(b->data, b->len, word->text, word->len, &der);

    if (len == MILGI__PKCS8_MALFORMED)
        return blame(fault, MILGI_EPARSE, MILGI_PROBLEM_CONTENT, b, NULL);
    if (len == MILGI__PKCS8_KEPT)
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, b, "of a kind that is only read unencrypted");
    if (len <= 0)
        return undeciphered(b, fault);
    from_pkcs8(der, len, out);
    OPENSSL_clear_free(der, (size_t)len);
    return 0;
}

/* What is right by chance under one of 256 wrong passphrases. */
static bool is_nonsense(const struct read *read)
{
    return !read->key && !*read->what && read->rsa_bits == 0;
}

/* 0, or what is wrong with a block that is called a private key. */
static int read_key(
    struct block *b, const struct passphrase *word, struct read *out, struct milgi__pem_fault *fault)
{
    bool sealed = is(b, PEM_STRING_PKCS8), ciphered = strstr(b->header, "ENCRYPTED") != NULL;

    if ((sealed || ciphered) && !word->text)
        return blame(fault, MILGI_EPARSE, MILGI_PROBLEM_ENCRYPTED, b, NULL);
    int error = ciphered ? decipher(b, word, fault) : 0;
    if (error == 0 && sealed)
        error = from_encrypted(b, word, out, fault);
    if (error != 0)
        return error;
    if (is(b, PEM_STRING_PKCS8INF))
        from_pkcs8(b->data, b->len, out);
    else if (!sealed && !is(b, PEM_STRING_RSA) && !is(b, PEM_STRING_ECPRIVATEKEY))
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_KEY_KIND, b, NULL);
    if (!sealed && is_nonsense(out))
        from_traditional(b->data, b->len, out);
    if ((sealed || ciphered) && is_nonsense(out))
        return blame(fault, MILGI_EPARSE, MILGI_PROBLEM_PASSPHRASE, b, "");
    return out->key ? 0 : refuse(out, b, fault);
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

static int encode(const struct read *read, struct milgi__private_key *out)
{
    uint8_t *der = NULL;
    int len = milgi__evp_public(read->key, read->pkcs8, read->pkcs8_len, &der);
    int error = move(der, len, &out->spki, &out->spki_len);

    if (error != 0)
        return error;
    der = NULL;
    len = milgi__evp_private(read->key, read->pkcs8, read->pkcs8_len, &der);
    return move(der, len, &out->pkcs8, &out->pkcs8_len);
}

/* The first private key. */
static int find_key(BIO *bio, size_t len, const struct passphrase *word, struct block *b, struct read *out,
    struct milgi__pem_fault *fault)
{
    int found;

    while ((found = block_next(bio, len, b)) == 1) {
        if (ends_with(b->label, "PRIVATE KEY"))
            return read_key(b, word, out, fault);
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

int milgi__pem_private_key(const void *pem, size_t pem_len, const char *passphrase, size_t passphrase_len,
    struct milgi__private_key *out, struct milgi__pem_fault *fault)
{
    const struct passphrase word = { passphrase, passphrase_len };
    struct block b = { .label = NULL };
    struct read read = { .key = NULL };

    *out = (struct milgi__private_key){ .pkcs8 = NULL };
    *fault = (struct milgi__pem_fault){ .kind = MILGI_PROBLEM_NONE };
    BIO *bio = pem_len <= INT_MAX ? BIO_new_mem_buf(pem, (int)pem_len) : NULL;
    if (!bio)
        return milgi__fail(MILGI_ENOMEM);
    int error = find_key(bio, pem_len, &word, &b, &read, fault);
    if (error == 0)
        error = check(read.key, &b, out, fault);
    if (error == 0)
        error = encode(&read, out);
    read_clear(&read);
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

/* --- certificates and CRLs --------------------------------------------------------------------------------------- */

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

typedef int (*each_cb)(void *arg, const uint8_t *der, size_t len);

/* What is looked for: 1: it was handed over; 0: this is something else that may stand there; or an error. */
typedef int (*take_cb)(const struct block *b, each_cb each, void *arg, struct milgi__pem_fault *fault);

static int certificate_or_key(const struct block *b, each_cb each, void *arg, struct milgi__pem_fault *fault)
{
    if (is(b, PEM_STRING_X509) || is(b, PEM_STRING_X509_OLD)) {
        int error = take_certificate(b, each, arg, fault);
        return error == 0 ? 1 : error;
    }
    return may_stand_by(b) ? 0 : blame(fault, MILGI_EPARSE, MILGI_PROBLEM_UNKNOWN_BLOCK, b, NULL);
}

static int crl(const struct block *b, each_cb each, void *arg, struct milgi__pem_fault *fault)
{
    if (!is(b, PEM_STRING_X509_CRL))
        return blame(fault, MILGI_EPARSE, MILGI_PROBLEM_UNKNOWN_BLOCK, b, NULL);
    const char *wrong = milgi__crl_fault(b->data, (size_t)b->len);
    if (wrong && !*wrong)
        return blame(fault, MILGI_EPARSE, MILGI_PROBLEM_CONTENT, b, NULL);
    if (wrong)
        return blame(fault, MILGI_EUNSUPPORTED, MILGI_PROBLEM_CRL, b, wrong);
    int error = each(arg, b->data, (size_t)b->len);
    return error == 0 ? 1 : error;
}

/* Hands over what is looked for, up to the first thing that is wrong; *n counts it. */
static int walk(const char *pem, size_t len, take_cb take, each_cb each, void *arg, size_t *n, struct block *b,
    struct milgi__pem_fault *fault)
{
    int error = 0, found = 0;

    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    if (!bio)
        return MILGI_ENOMEM;
    while (error == 0 && (found = block_next(bio, len, b)) == 1) {
        int taken = take(b, each, arg, fault);
        error = taken < 0 ? taken : 0;
        *n += taken > 0;
        if (taken == 0)
            (void)blame(fault, 0, MILGI_PROBLEM_NONE, b, NULL);
    }
    BIO_free(bio);
    return error == 0 && found < 0 ? blame(fault, MILGI_EPARSE, MILGI_PROBLEM_LINES, b, NULL) : error;
}

static int walk_all(
    const void *pem, size_t pem_len, take_cb take, each_cb each, void *arg, struct milgi__pem_fault *fault)
{
    struct block b = { .label = NULL };
    size_t n = 0;

    *fault = (struct milgi__pem_fault){ .kind = MILGI_PROBLEM_NONE };
    int error = walk(pem, pem_len, take, each, arg, &n, &b, fault);
    if (error == 0 && n == 0) { /* fault->what: of the last block that there was */
        error = MILGI_EPARSE;
        fault->kind = MILGI_PROBLEM_NO_BLOCK;
    }
    block_clear(&b);
    return milgi__fail(error);
}

int milgi__pem_certificates(const void *pem, size_t pem_len, int (*each)(void *arg, const uint8_t *der, size_t len),
    void *arg, struct milgi__pem_fault *fault)
{
    return walk_all(pem, pem_len, certificate_or_key, each, arg, fault);
}

int milgi__pem_crls(const void *pem, size_t pem_len, int (*each)(void *arg, const uint8_t *der, size_t len), void *arg,
    struct milgi__pem_fault *fault)
{
    return walk_all(pem, pem_len, crl, each, arg, fault);
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
        error = walk(text + at, pem_len - at, certificate_or_key, each, arg, &n, &b, &fault);
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
