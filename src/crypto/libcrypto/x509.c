/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates one by one: what libcrypto says of them. */
#include <limits.h>
#include <stdio.h>

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "crypto/libcrypto/libcrypto.h"

/* --- decoding --------------------------------------------------------------------------------------------------- */

static X509 *decode(const uint8_t *der, size_t len)
{
    const uint8_t *p = der;
    X509 *x = len <= LONG_MAX ? d2i_X509(NULL, &p, (long)len) : NULL;

    if (x && p != der + len) {
        X509_free(x);
        x = NULL;
    }
    if (!x)
        ERR_clear_error();
    return x;
}

static void forget(struct milgi__decoded *d)
{
    X509_free(d->x);
    milgi__free(d->der);
    milgi__free(d->info);
    *d = (struct milgi__decoded){ .x = NULL };
}

void milgi__certs_forget(struct milgi__crypto *cx)
{
    for (size_t i = 0; i < MILGI__CERTS; i++)
        forget(&cx->certs[i]);
}

/* Found by all of its bytes; a new one takes the place of the one that stood there. |*slot| NULL: it is not kept. */
static X509 *kept(struct milgi__crypto *cx, const uint8_t *der, size_t len, struct milgi__decoded **slot)
{
    *slot = NULL;
    if (!cx || len == 0)
        return decode(der, len);
    /* The end of a certificate is its signature. */
    struct milgi__decoded *d = &cx->certs[(der[len - 1] ^ der[len / 2]) % MILGI__CERTS];
    if (!d->x || d->len != len || memcmp(d->der, der, len) != 0) {
        X509 *x = decode(der, len);
        uint8_t *copy = x ? milgi__alloc_raw(len) : NULL;
        if (!copy)
            return x;
        memcpy(copy, der, len);
        forget(d);
        *d = (struct milgi__decoded){ .der = copy, .len = len, .x = x };
    }
    *slot = d;
    return X509_up_ref(d->x) == 1 ? d->x : NULL;
}

X509 *milgi__cert_decode(struct milgi__crypto *cx, const uint8_t *der, size_t len)
{
    struct milgi__decoded *slot;

    return kept(cx, der, len, &slot);
}

/* --- what is in it ---------------------------------------------------------------------------------------------- */

/* The digest of a signature by RSASSA-PSS, which stands in its parameters (RFC 4055 3.1: without one it is SHA-1). */
static int pss_digest(const X509_ALGOR *algorithm)
{
    const void *value;
    int kind, nid = NID_undef;

    X509_ALGOR_get0(NULL, &kind, &value, algorithm);
    if (kind != V_ASN1_SEQUENCE)
        return NID_undef;
    const uint8_t *p = ASN1_STRING_get0_data(value);
    RSA_PSS_PARAMS *params = d2i_RSA_PSS_PARAMS(NULL, &p, ASN1_STRING_length(value));
    if (params)
        nid = params->hashAlgorithm ? OBJ_obj2nid(params->hashAlgorithm->algorithm) : NID_sha1;
    else
        ERR_clear_error();
    RSA_PSS_PARAMS_free(params);
    return nid;
}

/* The one that a signature uses; NULL: none, or it is not known. */
static const EVP_MD *digest_of(const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *object;
    int digest = NID_undef;

    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    int nid = OBJ_obj2nid(object);
    if (nid == NID_rsassaPss)
        digest = pss_digest(algorithm);
    else if (OBJ_find_sigid_algs(nid, &digest, NULL) != 1)
        return NULL;
    return EVP_get_digestbynid(digest);
}

static const EVP_MD *signature_digest(const X509 *x)
{
    const X509_ALGOR *algorithm;

    X509_get0_signature(NULL, &algorithm, x);
    return digest_of(algorithm);
}

/*= RFC5929 4.1: "if the certificate's signatureAlgorithm uses a single hash function, and that hash function is either
 *= MD5 [RFC1321] or SHA-1 [RFC3174], then use SHA-256 [FIPS-180-3]", "if the certificate's signatureAlgorithm uses no
 *= hash functions or uses multiple hash functions, then this channel binding type's channel bindings are undefined" */
int milgi__cert_end_point(
    struct milgi__crypto *cx, const uint8_t *der, size_t len, uint8_t out[MILGI__END_POINT_MAX], size_t *out_len)
{
    X509 *x = milgi__cert_decode(cx, der, len);
    const EVP_MD *md = x ? signature_digest(x) : NULL;
    unsigned n = 0;

    if (md && (EVP_MD_type(md) == NID_md5 || EVP_MD_type(md) == NID_sha1))
        md = EVP_sha256();
    bool made = md && EVP_MD_size(md) <= MILGI__END_POINT_MAX && EVP_Digest(der, len, out, &n, md, NULL) == 1;
    X509_free(x);
    ERR_clear_error();
    *out_len = n;
    return made ? 0 : MILGI__BAD;
}

/* Which ML-DSA it is signed with. */
static enum milgi__key_type mldsa_signature(const X509 *x)
{
    const X509_ALGOR *algorithm;
    const ASN1_OBJECT *object;

    X509_get0_signature(NULL, &algorithm, x);
    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    return milgi__mldsa_of(object);
}

unsigned milgi__signature_bits(const X509_ALGOR *algorithm)
{
    const ASN1_OBJECT *object;

    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    int nid = OBJ_obj2nid(object);
    unsigned strength = milgi__mldsa_strength(milgi__mldsa_of(object));
    if (strength != 0)
        return strength;
    if (nid == NID_ED25519)
        return 128;
    if (nid == NID_ED448)
        return 224;
    const EVP_MD *md = digest_of(algorithm);
    return md ? (unsigned)EVP_MD_size(md) * 4 : 0; /* half of its bits */
}

static unsigned signature_bits(const X509 *x)
{
    const X509_ALGOR *algorithm;

    X509_get0_signature(NULL, &algorithm, x);
    return milgi__signature_bits(algorithm);
}

/* What it is signed with is looked up by names, so it is kept with the certificate. */
unsigned milgi__cert_signature_bits(struct milgi__crypto *cx, const X509 *x)
{
    for (size_t i = 0; cx && i < MILGI__CERTS; i++) {
        struct milgi__decoded *d = &cx->certs[i];
        if (d->x != x)
            continue;
        d->signature_bits = d->signature_bits ? d->signature_bits : signature_bits(x);
        return d->signature_bits;
    }
    return signature_bits(x);
}

static uint16_t pss_scheme(const X509 *x)
{
    const X509_ALGOR *algorithm;

    X509_get0_signature(NULL, &algorithm, x);
    switch (pss_digest(algorithm)) {
    case NID_sha256: return MILGI_SIG_RSA_PSS_RSAE_SHA256;
    case NID_sha384: return MILGI_SIG_RSA_PSS_RSAE_SHA384;
    case NID_sha512: return MILGI_SIG_RSA_PSS_RSAE_SHA512;
    default: return 0;
    }
}

static uint16_t signed_with(const X509 *x)
{
    switch (X509_get_signature_nid(x)) {
    case NID_ecdsa_with_SHA256: return MILGI_SIG_ECDSA_SECP256R1_SHA256;
    case NID_ecdsa_with_SHA384: return MILGI_SIG_ECDSA_SECP384R1_SHA384;
    case NID_ecdsa_with_SHA512: return MILGI_SIG_ECDSA_SECP521R1_SHA512;
    case NID_sha256WithRSAEncryption: return MILGI_SIG_RSA_PKCS1_SHA256;
    case NID_sha384WithRSAEncryption: return MILGI_SIG_RSA_PKCS1_SHA384;
    case NID_sha512WithRSAEncryption: return MILGI_SIG_RSA_PKCS1_SHA512;
    case NID_ED25519: return MILGI_SIG_ED25519;
    case NID_rsassaPss: return pss_scheme(x);
    default: break;
    }
    switch (mldsa_signature(x)) {
    case MILGI__KEY_MLDSA44: return MILGI_SIG_MLDSA44;
    case MILGI__KEY_MLDSA65: return MILGI_SIG_MLDSA65;
    case MILGI__KEY_MLDSA87: return MILGI_SIG_MLDSA87;
    default: return 0;
    }
}

/*
 * A key that libcrypto cannot read: of a kind that it does not know (0), or malformed; or RSA with numbers that are not
 * accepted here either (0).
 */
static int unreadable_key(const X509 *x, struct milgi__cert_info *info)
{
    ASN1_OBJECT *algorithm = NULL;
    struct milgi__spki spki;
    uint8_t *der = NULL;
    int result = MILGI__BAD;

    ERR_clear_error();
    if (X509_PUBKEY_get0_param(&algorithm, NULL, NULL, NULL, X509_get_X509_PUBKEY(x)) != 1)
        return MILGI__BAD;
    switch (OBJ_obj2nid(algorithm)) {
    case NID_X9_62_id_ecPublicKey:
    case NID_ED25519: return MILGI__BAD;
    case NID_rsaEncryption:
    case NID_rsassaPss: break;
    default:
        return milgi__mldsa_of(algorithm) != MILGI__KEY_NONE && milgi__mldsa_available() ? MILGI__BAD : 0;
    }
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der);
    if (len > 0 && milgi__spki_parse(der, (size_t)len, &spki) == 0) {
        info->type = spki.type;
        info->bits = spki.bits;
        info->costly |= !milgi__exponent_acceptable(spki.e);
        if (info->costly || info->bits < MILGI__RSA_VERIFY_MIN || info->bits > MILGI__RSA_VERIFY_MAX)
            result = 0;
        milgi__spki_clear(&spki);
    }
    OPENSSL_free(der);
    return result;
}

static int key_info(X509 *x, struct milgi__cert_info *info)
{
    EVP_PKEY *key = X509_get0_pubkey(x);
    uint8_t *p = info->spki;

    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), NULL);
    if (len <= 0)
        return MILGI__BAD;
    if ((size_t)len > sizeof info->spki)
        info->costly = true;
    else
        info->spki_len = (size_t)i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &p);
    if (!key)
        return unreadable_key(x, info);
    info->type = milgi__evp_type(key, &info->bits);
    if (info->type == MILGI__KEY_RSA || info->type == MILGI__KEY_RSA_PSS)
        info->costly |= !milgi__evp_exponent_acceptable(key);
    return 0;
}

static int info_of(X509 *x, struct milgi__cert_info *info)
{
    memset(info, 0, sizeof *info);
    int result = (X509_get_extension_flags(x) & EXFLAG_INVALID) != 0 ? MILGI__BAD : key_info(x, info);
    info->may_sign = (X509_get_key_usage(x) & KU_DIGITAL_SIGNATURE) != 0;
    info->signed_with = signed_with(x);
    ERR_clear_error();
    return result;
}

/* Without the room behind the key, which few need. */
static size_t used(const struct milgi__cert_info *info)
{
    return offsetof(struct milgi__cert_info, spki) + info->spki_len;
}

int milgi__cert_info(struct milgi__crypto *cx, const uint8_t *der, size_t len, struct milgi__cert_info *info)
{
    struct milgi__decoded *slot;
    X509 *x = kept(cx, der, len, &slot);
    int result = 0;

    if (!x)
        return MILGI__BAD;
    if (slot && slot->info)
        memcpy(info, slot->info, used(slot->info));
    else if ((result = info_of(x, info)) == 0 && slot && (slot->info = milgi__alloc_raw(used(info))) != NULL)
        memcpy(slot->info, info, used(info));
    X509_free(x);
    return result;
}

bool milgi__cert_has_key(const uint8_t *der, size_t len, const uint8_t *spki, size_t spki_len)
{
    const uint8_t *p = spki;
    X509 *x = decode(der, len);
    EVP_PKEY *key = spki_len <= LONG_MAX ? d2i_PUBKEY(NULL, &p, (long)spki_len) : NULL;
    EVP_PKEY *own = x ? X509_get0_pubkey(x) : NULL;
    bool same = key && own && milgi__evp_same(key, own);

    EVP_PKEY_free(key);
    X509_free(x);
    ERR_clear_error();
    return same;
}

int64_t milgi__seconds_of(const ASN1_TIME *time)
{
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    int days, rest;
    int64_t s = -1;

    if (epoch && time && ASN1_TIME_diff(&days, &rest, epoch, time) == 1)
        s = (int64_t)days * 86400 + rest;
    ASN1_TIME_free(epoch);
    return s;
}

int milgi__cert_validity(const uint8_t *der, size_t len, int64_t *not_before_s, int64_t *not_after_s)
{
    X509 *x = decode(der, len);

    if (!x)
        return MILGI__BAD;
    *not_before_s = milgi__seconds_of(X509_get0_notBefore(x));
    *not_after_s = milgi__seconds_of(X509_get0_notAfter(x));
    X509_free(x);
    ERR_clear_error();
    return 0;
}

/* In one line, cut to what fits. */
static bool print_name(const X509_NAME *name, char *out, size_t cap)
{
    BIO *bio = name ? BIO_new(BIO_s_mem()) : NULL;
    bool ok = false;

    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        char *text;
        long len = BIO_get_mem_data(bio, &text);
        size_t n = len > 0 ? MILGI__MIN((size_t)len, cap - 1) : 0; /* a name may be empty */
        if (n)
            memcpy(out, text, n);
        out[n] = '\0';
        ok = true;
    }
    BIO_free(bio);
    return ok;
}

int milgi__cert_subject(const uint8_t *der, size_t len, char *out, size_t cap)
{
    X509 *x = decode(der, len);
    int result = x && print_name(X509_get_subject_name(x), out, cap) ? 0 : MILGI__BAD;

    X509_free(x);
    ERR_clear_error();
    return result;
}

int milgi__cert_issuer(const uint8_t *der, size_t len, char *out, size_t cap)
{
    X509 *x = decode(der, len);
    int result = x && print_name(X509_get_issuer_name(x), out, cap) ? 0 : MILGI__BAD;

    X509_free(x);
    ERR_clear_error();
    return result;
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static int hand_over(const GENERAL_NAME *name, milgi__cert_name_cb each, void *arg)
{
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);

    if (type != GEN_DNS && type != GEN_IPADD && type != GEN_EMAIL && type != GEN_URI)
        return 0;
    return each(arg,
        type == GEN_DNS         ? MILGI_NAME_DNS
            : type == GEN_IPADD ? MILGI_NAME_IP
            : type == GEN_EMAIL ? MILGI_NAME_EMAIL
                                : MILGI_NAME_URI,
        ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
}

int milgi__cert_names(const uint8_t *der, size_t len, milgi__cert_name_cb each, void *arg)
{
    X509 *x = decode(der, len);
    int result = 0;

    if (!x)
        return MILGI__BAD;
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    for (GENERAL_NAME *name; result == 0 && names && (name = sk_GENERAL_NAME_shift(names)) != NULL;) {
        result = hand_over(name, each, arg);
        GENERAL_NAME_free(name);
    }
    GENERAL_NAMES_free(names);
    X509_free(x);
    ERR_clear_error();
    return result;
}

int milgi__cert_name_der(const uint8_t *der, size_t len, bool issuer, uint8_t **name, size_t *name_len)
{
    X509 *x = decode(der, len);
    uint8_t *p;

    *name = NULL;
    if (!x)
        return MILGI__BAD;
    X509_NAME *of = issuer ? X509_get_issuer_name(x) : X509_get_subject_name(x);
    int n = i2d_X509_NAME(of, NULL);
    if (n > 0)
        p = *name = milgi__alloc_raw((size_t)n);
    if (*name)
        *name_len = (size_t)i2d_X509_NAME(of, &p);
    X509_free(x);
    ERR_clear_error();
    if (n <= 0)
        return MILGI__BAD;
    return *name ? 0 : MILGI_ENOMEM;
}

int milgi__cert_matches_name(const uint8_t *der, size_t len, const char *name)
{
    X509 *x = decode(der, len);
    int found = x && X509_check_host(x, name, strlen(name), MILGI__HOST_FLAGS, NULL) == 1;

    X509_free(x);
    ERR_clear_error();
    return found;
}
