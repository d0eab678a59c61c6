/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates one by one. libcrypto 3.0 decodes the public key of every certificate that it decodes, which takes
 * longer than to verify with it; so what a handshake asks of a certificate is read off its elements, and only names
 * are decoded.
 */
#include <limits.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/openssl3/openssl3.h"

#define RSA_MIN 2048
#define RSA_MAX 4096

/* --- what is in a certificate ----------------------------------------------------------------------------------- */

/*
 * Elements with their headers, except extensions (the contents of the list) and signature (of the
 * AlgorithmIdentifier).
 */
struct parts {
    struct milgi__der subject, spki, extensions, signature;
};

static bool take_whole(struct milgi__der *der, struct milgi__der *whole)
{
    const uint8_t *start = der->p;

    if (!milgi__der_next_is(der, V_ASN1_SEQUENCE) || !milgi__der_skip(der))
        return false;
    *whole = (struct milgi__der){ start, (long)(der->p - start) };
    return true;
}

/* RFC 5280 4.1. */
static bool take_apart(const uint8_t *data, size_t len, struct parts *parts)
{
    struct milgi__der all = milgi__der(data, len);
    struct milgi__der certificate;
    struct milgi__der tbs;
    struct milgi__der wrapped;

    *parts = (struct parts){ .extensions = { NULL, 0 } };
    if (len > LONG_MAX || !milgi__der_take(&all, V_ASN1_SEQUENCE, &certificate) || all.left != 0)
        return false;
    if (!milgi__der_take(&certificate, V_ASN1_SEQUENCE, &tbs) ||
        !milgi__der_take(&certificate, V_ASN1_SEQUENCE, &parts->signature) ||
        !milgi__der_next_is(&certificate, V_ASN1_BIT_STRING))
        return false;
    if (milgi__der_next_is(&tbs, MILGI__DER_CONTEXT | 0) && !milgi__der_skip(&tbs)) /* version */
        return false;
    for (int i = 0; i < 4; i++) { /* serialNumber, signature, issuer, validity */
        if (!milgi__der_skip(&tbs))
            return false;
    }
    if (!take_whole(&tbs, &parts->subject) || !take_whole(&tbs, &parts->spki))
        return false;
    while (tbs.left > 0 && !milgi__der_next_is(&tbs, MILGI__DER_CONTEXT | 3)) { /* unique identifiers */
        if (!milgi__der_skip(&tbs))
            return false;
    }
    if (tbs.left == 0)
        return true;
    return milgi__der_take(&tbs, MILGI__DER_CONTEXT | 3, &wrapped) && tbs.left == 0 &&
        milgi__der_take(&wrapped, V_ASN1_SEQUENCE, &parts->extensions) && wrapped.left == 0;
}

/* The extnValue of an extension; false: it is not there. */
static bool find_extension(const struct parts *parts, int nid, struct milgi__der *value)
{
    struct milgi__der list = parts->extensions;
    struct milgi__der extension;
    struct milgi__der oid;

    while (list.left > 0) {
        if (!milgi__der_take(&list, V_ASN1_SEQUENCE, &extension) ||
            !milgi__der_take(&extension, V_ASN1_OBJECT, &oid))
            return false;
        if (!milgi__der_is_oid(&oid, nid))
            continue;
        if (milgi__der_next_is(&extension, V_ASN1_BOOLEAN) && !milgi__der_skip(&extension)) /* critical */
            return false;
        return milgi__der_take(&extension, V_ASN1_OCTET_STRING, value);
    }
    return false;
}

static bool may_sign(const struct parts *parts)
{
    struct milgi__der usage;
    struct milgi__der bits;

    if (!find_extension(parts, NID_key_usage, &usage))
        return true;
    /* The first bit is digitalSignature; the byte before the bits counts those that are unused. */
    return milgi__der_take(&usage, V_ASN1_BIT_STRING, &bits) && bits.left >= 2 && (bits.p[1] & 0x80) != 0;
}

/* --- who signed it, and how ------------------------------------------------------------------------------------- */

static uint16_t pss_scheme(const struct milgi__der *params)
{
    const uint8_t *p = params->p;
    RSA_PSS_PARAMS *pss = d2i_RSA_PSS_PARAMS(NULL, &p, params->left);
    int nid = NID_undef;

    if (pss != NULL && pss->hashAlgorithm != NULL)
        nid = OBJ_obj2nid(pss->hashAlgorithm->algorithm);
    RSA_PSS_PARAMS_free(pss);
    ERR_clear_error();
    switch (nid) {
    case NID_sha256: return MILGI_SIG_RSA_PSS_RSAE_SHA256;
    case NID_sha384: return MILGI_SIG_RSA_PSS_RSAE_SHA384;
    case NID_sha512: return MILGI_SIG_RSA_PSS_RSAE_SHA512;
    default: return 0;
    }
}

static uint16_t signed_with(struct milgi__der algorithm)
{
    static const struct {
        int nid;
        uint16_t scheme;
    } known[] = {
        { NID_ecdsa_with_SHA256, MILGI_SIG_ECDSA_SECP256R1_SHA256 },
        { NID_ecdsa_with_SHA384, MILGI_SIG_ECDSA_SECP384R1_SHA384 },
        { NID_ecdsa_with_SHA512, MILGI_SIG_ECDSA_SECP521R1_SHA512 },
        { NID_sha256WithRSAEncryption, MILGI_SIG_RSA_PKCS1_SHA256 },
        { NID_sha384WithRSAEncryption, MILGI_SIG_RSA_PKCS1_SHA384 },
        { NID_sha512WithRSAEncryption, MILGI_SIG_RSA_PKCS1_SHA512 },
        { NID_ED25519, MILGI_SIG_ED25519 },
    };
    struct milgi__der oid;

    if (!milgi__der_take(&algorithm, V_ASN1_OBJECT, &oid))
        return 0;
    for (size_t i = 0; i < MILGI__COUNT(known); i++) {
        if (milgi__der_is_oid(&oid, known[i].nid))
            return known[i].scheme;
    }
    return milgi__der_is_oid(&oid, NID_rsassaPss) ? pss_scheme(&algorithm) : 0;
}

/* In one line, cut to what fits; false: it is no name. */
static bool print_name(const struct milgi__der *der, char *out, size_t cap)
{
    const uint8_t *p = der->p;
    X509_NAME *name = d2i_X509_NAME(NULL, &p, der->left);
    BIO *bio = name != NULL ? BIO_new(BIO_s_mem()) : NULL;
    bool ok = false;

    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        char *text;
        long len = BIO_get_mem_data(bio, &text);
        size_t n = MILGI__MIN((size_t)len, cap - 1);
        memcpy(out, text, n);
        out[n] = '\0';
        ok = true;
    }
    BIO_free(bio);
    X509_NAME_free(name);
    if (!ok)
        ERR_clear_error();
    return ok;
}

int milgi__cert_info(struct milgi__crypto *cx, const uint8_t *der, size_t len, struct milgi__cert_info *info)
{
    struct parts parts;
    struct milgi__spki spki;

    (void)cx;
    memset(info, 0, sizeof(*info));
    if (!take_apart(der, len, &parts) || milgi__spki_parse(parts.spki.p, (size_t)parts.spki.left, &spki) != 0)
        return MILGI__BAD;
    info->spki = parts.spki.p;
    info->spki_len = (size_t)parts.spki.left;
    info->type = spki.type;
    info->bits = spki.bits;
    info->may_sign = may_sign(&parts);
    info->signed_with = signed_with(parts.signature);
    return 0;
}

int milgi__cert_subject(const uint8_t *der, size_t len, char *out, size_t cap)
{
    struct parts parts;

    return take_apart(der, len, &parts) && print_name(&parts.subject, out, cap) ? 0 : MILGI__BAD;
}

/* --- names ------------------------------------------------------------------------------------------------------ */

/* A certificate of nothing but the names that |value| of a subjectAltName holds, for libcrypto's rules of matching. */
static X509 *with_names(const struct milgi__der *value)
{
    X509 *x = X509_new();
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    bool ok = x != NULL && octets != NULL && ASN1_OCTET_STRING_set(octets, value->p, (int)value->left) == 1;

    if (ok)
        extension = X509_EXTENSION_create_by_NID(NULL, NID_subject_alt_name, 0, octets);
    ok = extension != NULL && X509_add_ext(x, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    if (ok)
        return x;
    X509_free(x);
    return NULL;
}

int milgi__cert_matches_name(const uint8_t *der, size_t len, const char *name)
{
    struct parts parts;
    struct milgi__der value;
    X509 *x = NULL;

    if (take_apart(der, len, &parts) && find_extension(&parts, NID_subject_alt_name, &value) && value.left <= INT_MAX)
        x = with_names(&value);
    int found = x != NULL && X509_check_host(x, name, strlen(name), MILGI__HOST_FLAGS, NULL) == 1;
    X509_free(x);
    ERR_clear_error();
    return found;
}

/* --- PEM -------------------------------------------------------------------------------------------------------- */

/* Encrypted keys are not taken: without this libcrypto would ask on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return -1;
}

static EVP_PKEY *read_private(const void *pem, size_t len)
{
    BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

    BIO_free(bio);
    return key;
}

/* Takes what libcrypto allocated into memory of ours, and wipes it. */
static int move(uint8_t *from, int len, uint8_t **to, size_t *to_len)
{
    if (len <= 0)
        return MILGI_ENOMEM;
    *to = milgi__alloc_raw((size_t)len);
    if (*to != NULL)
        memcpy(*to, from, (size_t)len);
    *to_len = (size_t)len;
    OPENSSL_clear_free(from, (size_t)len);
    return *to != NULL ? 0 : MILGI_ENOMEM;
}

static int encode_public(const EVP_PKEY *key, uint8_t **spki, size_t *spki_len)
{
    uint8_t *der = NULL;
    int len = i2d_PUBKEY(key, &der);

    return move(der, len, spki, spki_len);
}

static int encode_private(const EVP_PKEY *key, uint8_t **pkcs8, size_t *pkcs8_len)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    uint8_t *der = NULL;
    int len = info != NULL ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : 0;

    PKCS8_PRIV_KEY_INFO_free(info); /* wipes */
    return move(der, len, pkcs8, pkcs8_len);
}

static int check_private(const uint8_t *spki, size_t spki_len, enum milgi__key_type *type, unsigned *bits)
{
    struct milgi__spki parsed;

    if (milgi__spki_parse(spki, spki_len, &parsed) != 0)
        return MILGI_EPARSE;
    *type = parsed.type;
    *bits = parsed.bits;
    if (parsed.type == MILGI__KEY_NONE)
        return MILGI_EUNSUPPORTED;
    if (parsed.type != MILGI__KEY_RSA && parsed.type != MILGI__KEY_RSA_PSS)
        return 0;
    if (parsed.bits < RSA_MIN)
        return MILGI_EWEAK;
    return parsed.bits > RSA_MAX ? MILGI_EUNSUPPORTED : 0;
}

int milgi__pem_private_key(const void *pem, size_t pem_len, uint8_t **pkcs8, size_t *pkcs8_len, uint8_t **spki,
    size_t *spki_len, enum milgi__key_type *type, unsigned *bits)
{
    *pkcs8 = NULL;
    *spki = NULL;
    EVP_PKEY *key = read_private(pem, pem_len);
    if (key == NULL)
        return milgi__fail(MILGI_EPARSE);
    int error = encode_public(key, spki, spki_len);
    if (error == 0)
        error = check_private(*spki, *spki_len, type, bits);
    if (error == 0)
        error = encode_private(key, pkcs8, pkcs8_len);
    EVP_PKEY_free(key);
    if (error != 0) {
        milgi__free(*spki);
        *spki = NULL;
    }
    return milgi__fail(error);
}

static bool is_certificate(const uint8_t *der, long len)
{
    const uint8_t *p = der;
    X509 *x = d2i_X509(NULL, &p, len);
    bool whole = x != NULL && p == der + len;

    X509_free(x);
    return whole;
}

/* 1: one was handed to |each|; 0: no more; or an error. */
static int next_certificate(BIO *bio, int (*each)(void *arg, const uint8_t *der, size_t len), void *arg)
{
    char *name = NULL;
    char *header = NULL;
    uint8_t *data = NULL;
    long len = 0;
    int result = 1;

    for (;;) {
        if (PEM_read_bio(bio, &name, &header, &data, &len) != 1)
            return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? 0 : MILGI_EPARSE;
        bool ours = strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0;
        if (ours)
            result = is_certificate(data, len) ? each(arg, data, (size_t)len) : MILGI_EPARSE;
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(data, (size_t)len); /* what is no certificate may be a key */
        if (ours)
            return result != 0 ? result : 1;
    }
}

int milgi__pem_certificates(
    const void *pem, size_t pem_len, int (*each)(void *arg, const uint8_t *der, size_t len), void *arg)
{
    BIO *bio = pem_len <= INT_MAX ? BIO_new_mem_buf(pem, (int)pem_len) : NULL;
    size_t n = 0;
    int result = bio != NULL ? 1 : MILGI_EPARSE;

    while (result == 1) {
        result = next_certificate(bio, each, arg);
        n += result == 1;
    }
    BIO_free(bio);
    if (result == 0 && n == 0)
        result = MILGI_EPARSE;
    return milgi__fail(result);
}
