/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures. The message is hashed here and EVP signs the hash, which spares EVP_DigestSign's work per call. Public
 * keys come as DER and are taken apart by milgi__spki_parse(), since OpenSSL 3.0 takes twice as long to make an
 * EVP_PKEY of a P-256 key as to verify with it; the flavour verifies with what they are made of.
 */
#include <limits.h>

#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/libcrypto/libcrypto.h"

#define ECDSA_HALF_MAX 66 /* of P-521 */
#define KEY_SCHEMES 4     /* that one key may be asked for */

struct milgi__pkey {
    EVP_PKEY *key;
    EVP_MD_CTX *whole; /* of a key that signs messages themselves */
    enum milgi__key_type type;
    struct {
        uint16_t scheme;
        EVP_PKEY_CTX *ctx;
    } ready[KEY_SCHEMES];
};

/* The key type that |scheme| needs. rsa_pkcs1 is for certificates, which the layers above see to. */
static enum milgi__key_type key_of(uint16_t scheme)
{
    switch (scheme) {
    case MILGI_SIG_ECDSA_SECP256R1_SHA256: return MILGI__KEY_P256;
    case MILGI_SIG_ECDSA_SECP384R1_SHA384: return MILGI__KEY_P384;
    case MILGI_SIG_ECDSA_SECP521R1_SHA512: return MILGI__KEY_P521;
    case MILGI_SIG_ED25519: return MILGI__KEY_ED25519;
    case MILGI_SIG_MLDSA44: return MILGI__KEY_MLDSA44;
    case MILGI_SIG_MLDSA65: return MILGI__KEY_MLDSA65;
    case MILGI_SIG_MLDSA87: return MILGI__KEY_MLDSA87;
    case MILGI_SIG_RSA_PSS_PSS_SHA256:
    case MILGI_SIG_RSA_PSS_PSS_SHA384:
    case MILGI_SIG_RSA_PSS_PSS_SHA512: return MILGI__KEY_RSA_PSS;
    case MILGI_SIG_RSA_PKCS1_SHA256:
    case MILGI_SIG_RSA_PKCS1_SHA384:
    case MILGI_SIG_RSA_PKCS1_SHA512:
    case MILGI_SIG_RSA_PSS_RSAE_SHA256:
    case MILGI_SIG_RSA_PSS_RSAE_SHA384:
    case MILGI_SIG_RSA_PSS_RSAE_SHA512: return MILGI__KEY_RSA;
    default: return MILGI__KEY_NONE;
    }
}

bool milgi__scheme_is_pkcs1(uint16_t scheme)
{
    return scheme == MILGI_SIG_RSA_PKCS1_SHA256 || scheme == MILGI_SIG_RSA_PKCS1_SHA384 ||
        scheme == MILGI_SIG_RSA_PKCS1_SHA512;
}

bool milgi__scheme_configure(EVP_PKEY_CTX *ctx, uint16_t scheme, const EVP_MD *md)
{
    enum milgi__key_type type = key_of(scheme);

    if (type != MILGI__KEY_RSA && type != MILGI__KEY_RSA_PSS)
        return true;
    if (milgi__scheme_is_pkcs1(scheme))
        return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 && EVP_PKEY_CTX_set_signature_md(ctx, md) == 1;
    /*= RFC8446 4.2.3: "The length of the Salt MUST be equal to the length of the output of the digest algorithm." */
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
        EVP_PKEY_CTX_set_signature_md(ctx, md) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1 &&
        EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool is_ec(enum milgi__key_type type)
{
    return type == MILGI__KEY_P256 || type == MILGI__KEY_P384 || type == MILGI__KEY_P521;
}

/* Keys that sign messages themselves, without a hash that is made before. */
static bool signs_whole(enum milgi__key_type type)
{
    return type == MILGI__KEY_ED25519 || milgi__key_is_mldsa(type);
}

/* Whether a key signs with |scheme|; in TLS 1.2 a scheme of ECDSA does not say the curve. */
static bool scheme_is_of(uint16_t scheme, enum milgi__key_type type, bool any_curve)
{
    enum milgi__key_type wanted = key_of(scheme);

    return type != MILGI__KEY_NONE && (type == wanted || (any_curve && is_ec(type) && is_ec(wanted)));
}

/* --- private keys ----------------------------------------------------------------------------------------------- */

static EVP_PKEY *decode_private(const uint8_t *pkcs8, size_t len)
{
    const uint8_t *p = pkcs8;

    if (len > LONG_MAX)
        return NULL;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long)len);
    EVP_PKEY *key = info && p == pkcs8 + len ? EVP_PKCS82PKEY(info) : NULL;
    PKCS8_PRIV_KEY_INFO_free(info); /* wipes */
    return key;
}

struct milgi__pkey *milgi__pkey_new(struct milgi__crypto *cx, const uint8_t *pkcs8, size_t len)
{
    struct milgi__pkey *key = milgi__alloc(sizeof *key);
    unsigned bits;

    (void)cx;
    if (!key)
        return NULL;
    key->key = decode_private(pkcs8, len);
    if (key->key)
        key->type = milgi__evp_type(key->key, &bits);
    if (signs_whole(key->type))
        key->whole = EVP_MD_CTX_new();
    if (key->type == MILGI__KEY_NONE || (signs_whole(key->type) && !key->whole)) {
        milgi__pkey_free(key);
        key = NULL;
    }
    ERR_clear_error();
    return key;
}

void milgi__pkey_free(struct milgi__pkey *key)
{
    if (!key)
        return;
    for (size_t i = 0; i < KEY_SCHEMES; i++)
        EVP_PKEY_CTX_free(key->ready[i].ctx);
    EVP_MD_CTX_free(key->whole);
    EVP_PKEY_free(key->key);
    milgi__free(key);
}

EVP_PKEY *milgi__pkey_evp(const struct milgi__pkey *key)
{
    return key->key;
}

/* A context ready to sign for |scheme|: made once, then kept. */
static EVP_PKEY_CTX *ready(struct milgi__pkey *key, uint16_t scheme, const EVP_MD *md)
{
    size_t i = 0;

    while (i < KEY_SCHEMES && key->ready[i].ctx && key->ready[i].scheme != scheme)
        i++;
    if (i == KEY_SCHEMES) {
        i = 0;
        EVP_PKEY_CTX_free(key->ready[i].ctx);
        key->ready[i].ctx = NULL;
    }
    if (key->ready[i].ctx)
        return key->ready[i].ctx;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->key, NULL);
    if (!ctx || EVP_PKEY_sign_init(ctx) != 1 || !milgi__scheme_configure(ctx, scheme, md)) {
        EVP_PKEY_CTX_free(ctx);
        return NULL;
    }
    key->ready[i].ctx = ctx;
    key->ready[i].scheme = scheme;
    return ctx;
}

static bool sign_whole(struct milgi__pkey *key, const uint8_t *input, size_t len, uint8_t *sig, size_t *sig_len)
{
    return EVP_MD_CTX_reset(key->whole) == 1 &&
        EVP_DigestSignInit(key->whole, NULL, NULL, NULL, key->key) == 1 &&
        EVP_DigestSign(key->whole, sig, sig_len, input, len) == 1;
}

static int sign_hash(struct milgi__pkey *key, uint16_t scheme, const struct milgi__scheme_hash *hash, uint8_t *sig,
    size_t *sig_len)
{
    EVP_PKEY_CTX *ctx = ready(key, scheme, hash->md);
    if (!ctx || EVP_PKEY_sign(ctx, sig, sig_len, hash->value, hash->len) != 1)
        return milgi__fail(MILGI__BROKEN);
    return 0;
}

static int sign_with(struct milgi__pkey *key, bool any_curve, uint16_t scheme, const uint8_t *input, size_t input_len,
    uint8_t *sig, size_t *sig_len)
{
    struct milgi__scheme_hash hash;

    if (!scheme_is_of(scheme, key->type, any_curve) || !milgi__scheme_hash(scheme, input, input_len, &hash))
        return MILGI__BROKEN;
    if (signs_whole(key->type))
        return sign_whole(key, input, input_len, sig, sig_len) ? 0 : milgi__fail(MILGI__BROKEN);
    return sign_hash(key, scheme, &hash, sig, sig_len);
}

/* The hash was made by somebody else. False: it cannot be the scheme's. */
static bool take_hash(uint16_t scheme, const uint8_t *input, size_t input_len, struct milgi__scheme_hash *hash)
{
    if (!milgi__scheme_hash(scheme, (const uint8_t *)"", 0, hash) || hash->len == 0 || hash->len != input_len)
        return false;
    memcpy(hash->value, input, input_len);
    return true;
}

int milgi__pkey_sign_hashed(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len)
{
    struct milgi__scheme_hash hash;

    (void)cx;
    if (!scheme_is_of(scheme, key->type, true) || !take_hash(scheme, input, input_len, &hash))
        return MILGI__BROKEN;
    return sign_hash(key, scheme, &hash, sig, sig_len);
}

int milgi__key_id(const uint8_t *spki, size_t spki_len, uint8_t out[20])
{
    const uint8_t *p = spki, *bits;
    int bits_len;
    unsigned len = 20;

    X509_PUBKEY *key = d2i_X509_PUBKEY(NULL, &p, (long)spki_len);
    if (!key || X509_PUBKEY_get0_param(NULL, &bits, &bits_len, NULL, key) != 1 || bits_len < 0 ||
        EVP_Digest(bits, (size_t)bits_len, out, &len, EVP_sha1(), NULL) != 1) {
        X509_PUBKEY_free(key);
        return milgi__fail(MILGI__BROKEN);
    }
    X509_PUBKEY_free(key);
    return 0;
}

int milgi__pkey_sign(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len)
{
    (void)cx;
    return sign_with(key, false, scheme, input, input_len, sig, sig_len);
}

int milgi__pkey_sign_any_curve(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme,
    const uint8_t *input, size_t input_len, uint8_t *sig, size_t *sig_len)
{
    (void)cx;
    return sign_with(key, true, scheme, input, input_len, sig, sig_len);
}

int milgi__sign_hash(struct milgi__crypto *cx, uint16_t scheme, const uint8_t *input, size_t input_len,
    uint8_t out[MILGI__SIGN_HASH_MAX], size_t *out_len)
{
    struct milgi__scheme_hash hash;

    (void)cx;
    if (!milgi__scheme_hash(scheme, input, input_len, &hash))
        return MILGI__BROKEN;
    memcpy(out, hash.value, hash.len);
    *out_len = hash.len;
    return 0;
}

#define DER_INTEGER 2
#define DER_SEQUENCE 0x30

/* A number of |len| bytes as the shortest INTEGER (X.690 8.3), which has a sign; returns its length. */
static size_t write_integer(const uint8_t *number, size_t len, uint8_t *out)
{
    while (len > 1 && *number == 0) {
        number++;
        len--;
    }
    size_t sign = *number >> 7;
    out[0] = DER_INTEGER;
    out[1] = (uint8_t)(sign + len);
    out[2] = 0;
    memcpy(out + 2 + sign, number, len);
    return 2 + sign + len;
}

/* Ecdsa-Sig-Value (RFC 3279 2.2.3): a SEQUENCE of r and s. */
int milgi__ecdsa_der(const uint8_t *raw, size_t raw_len, uint8_t *out, size_t *out_len)
{
    enum {
        SHORT_MAX = 127 /* of a length in one byte */
    };
    uint8_t body[2 * (3 + ECDSA_HALF_MAX)];
    size_t half = raw_len / 2, head = 2;

    if (raw_len == 0 || raw_len % 2 != 0 || half > ECDSA_HALF_MAX)
        return MILGI__BROKEN;
    size_t len = write_integer(raw, half, body);
    len += write_integer(raw + half, half, body + len);
    if (len > SHORT_MAX)
        head = 3;
    if (head + len > *out_len)
        return MILGI__BROKEN;
    out[0] = DER_SEQUENCE;
    out[1] = 0x81; /* one byte of length follows, if there is a third */
    out[head - 1] = (uint8_t)len;
    memcpy(out + head, body, len);
    *out_len = head + len;
    return 0;
}

/* --- verification ----------------------------------------------------------------------------------------------- */

/* A key of id-RSASSA-PSS may have restrictions in its parameters: libcrypto's decoder knows them. */
static EVP_PKEY *decode_public(const uint8_t *der, size_t len)
{
    const uint8_t *p = der;
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)len);

    if (key && p != der + len) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

bool milgi__key_fits(const uint8_t *spki, size_t spki_len, uint16_t scheme)
{
    struct milgi__scheme_hash hash;
    struct milgi__spki parsed;

    if (milgi__spki_parse(spki, spki_len, &parsed) != 0)
        return false;
    bool fits = parsed.type != MILGI__KEY_NONE && parsed.type == key_of(scheme);
    milgi__spki_clear(&parsed);
    if (!fits || key_of(scheme) != MILGI__KEY_RSA_PSS)
        return fits;
    EVP_PKEY *key = decode_public(spki, spki_len);
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    fits = ctx && milgi__scheme_hash(scheme, NULL, 0, &hash) && EVP_PKEY_verify_init(ctx) == 1 &&
        milgi__scheme_configure(ctx, scheme, hash.md);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return fits;
}

static int verify_restricted(const uint8_t *spki, size_t spki_len, uint16_t scheme,
    const struct milgi__scheme_hash *hash, const uint8_t *sig, size_t sig_len)
{
    EVP_PKEY *key = decode_public(spki, spki_len);
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    bool good = ctx && EVP_PKEY_verify_init(ctx) == 1 && milgi__scheme_configure(ctx, scheme, hash->md) &&
        EVP_PKEY_verify(ctx, sig, sig_len, hash->value, hash->len) == 1;

    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return good ? 0 : milgi__fail(MILGI__BAD);
}

/* Bounds the work that a peer can ask for. */
static bool rsa_acceptable(const struct milgi__spki *spki)
{
    return spki->bits >= MILGI__RSA_VERIFY_MIN && spki->bits <= MILGI__RSA_VERIFY_MAX &&
        milgi__exponent_acceptable(spki->e);
}

static int verify_hash(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, const struct milgi__spki *key,
    uint16_t scheme, const struct milgi__scheme_hash *hash, const uint8_t *sig, size_t sig_len)
{
    if (key->type != MILGI__KEY_RSA && key->type != MILGI__KEY_RSA_PSS)
        return milgi__verify_ec(cx, key, hash, sig, sig_len);
    if (!rsa_acceptable(key))
        return MILGI__BAD;
    if (key->type == MILGI__KEY_RSA)
        return milgi__verify_rsa(cx, key, scheme, hash, sig, sig_len);
    return verify_restricted(spki, spki_len, scheme, hash, sig, sig_len);
}

static int verify_with(struct milgi__crypto *cx, bool any_curve, const uint8_t *spki, size_t spki_len, uint16_t scheme,
    const uint8_t *input, size_t input_len, const uint8_t *sig, size_t sig_len)
{
    struct milgi__scheme_hash hash;
    const struct milgi__spki *key;

    if (!milgi__scheme_hash(scheme, input, input_len, &hash))
        return MILGI__BROKEN;
    int result = milgi__spki_known(cx, spki, spki_len, &key);
    if (result != 0)
        return result;
    if (!scheme_is_of(scheme, key->type, any_curve))
        return MILGI__BAD;
    if (key->type == MILGI__KEY_ED25519)
        return milgi__verify_ed25519(cx, key, input, input_len, sig, sig_len);
    if (milgi__key_is_mldsa(key->type))
        return milgi__verify_mldsa(cx, key, input, input_len, sig, sig_len);
    return verify_hash(cx, spki, spki_len, key, scheme, &hash, sig, sig_len);
}

int milgi__verify_hashed(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme,
    const uint8_t *input, size_t input_len, const uint8_t *sig, size_t sig_len)
{
    struct milgi__scheme_hash hash;
    const struct milgi__spki *key;

    if (!take_hash(scheme, input, input_len, &hash))
        return MILGI__BROKEN;
    int result = milgi__spki_known(cx, spki, spki_len, &key);
    if (result != 0)
        return result;
    if (!scheme_is_of(scheme, key->type, true) || signs_whole(key->type))
        return MILGI__BAD;
    return verify_hash(cx, spki, spki_len, key, scheme, &hash, sig, sig_len);
}

int milgi__verify(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len)
{
    return verify_with(cx, false, spki, spki_len, scheme, input, input_len, sig, sig_len);
}

int milgi__verify_any_curve(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme,
    const uint8_t *input, size_t input_len, const uint8_t *sig, size_t sig_len)
{
    return verify_with(cx, true, spki, spki_len, scheme, input, input_len, sig, sig_len);
}
