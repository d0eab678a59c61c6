/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both libcryptos have in common, and what they do not. The files of this directory are written in the calls that
 * OpenSSL >= 3.0 and AWS-LC share; a flavour beside it (openssl3/, awslc/) has what is done by calls of its own: what
 * aead.h declares, and the last part of this header.
 */
#pragma once

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <milgi/op.h>

#include "base/base.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kernel/kernel.h"
#include "crypto/kex.h"
#include "crypto/sign.h"
#include "crypto/x509.h"

/* --- the state of one thread ------------------------------------------------------------------------------------- */

/* A curve for key exchange. */
struct milgi__curve {
    EC_GROUP *group;
    BIGNUM *order_less_1;
    size_t field_len;
};

#define MILGI__RANDOM_STORE 512
#define MILGI__CERTS 32

/* A certificate that a peer sent, decoded; and what milgi__cert_info() says of it, if it was asked. */
struct milgi__decoded {
    uint8_t *der;
    size_t len;
    X509 *x;
    struct milgi__cert_info *info;
    unsigned signature_bits; /* see below; 0: not asked */
};

/* A SubjectPublicKeyInfo taken apart: |key| is the subjectPublicKey; n and e are of RSA. */
struct milgi__spki {
    enum milgi__key_type type;
    unsigned bits;
    const uint8_t *key;
    size_t key_len;
    BIGNUM *n, *e;
    void *form; /* what |key| lies in */
};

#define MILGI__KEYS 8

/* A public key that verified something. */
struct milgi__known_key {
    uint8_t *der;
    size_t len;
    struct milgi__spki spki;
};

struct milgi__crypto {
    struct milgi__flavour *own; /* what the flavour keeps */
    struct milgi__kernel *kernel;
    struct milgi__curve p256, p384, p521;
    BN_CTX *bn;
    struct milgi__decoded certs[MILGI__CERTS];
    struct milgi__known_key keys[MILGI__KEYS];
    uint8_t random[MILGI__RANDOM_STORE]; /* the last random_left bytes have not been drawn, the others are wiped */
    size_t random_left;
};

/* kex.c: its part of it. 0 or MILGI__BROKEN. */
int milgi__kex_setup(struct milgi__crypto *cx);
void milgi__kex_teardown(struct milgi__crypto *cx);

/* Leaves the thread's error queue empty and returns |result|: failures are told by codes alone. */
int milgi__fail(int result);

/* --- keys, signatures, certificates ------------------------------------------------------------------------------ */

/* hash.c: the hash that a signature scheme signs, its output and name; len 0: the scheme signs the message itself. */
struct milgi__scheme_hash {
    uint8_t value[64];
    size_t len;
    const EVP_MD *md;
};
/* false: no such scheme. */
bool milgi__scheme_hash(uint16_t scheme, const uint8_t *input, size_t len, struct milgi__scheme_hash *out);

/* sign.c: padding and hash of a context that is set up for an RSA key; nothing for other keys. */
bool milgi__scheme_configure(EVP_PKEY_CTX *ctx, uint16_t scheme, const EVP_MD *md);
bool milgi__scheme_is_pkcs1(uint16_t scheme);
#define MILGI__RSA_VERIFY_MIN 2048
#define MILGI__RSA_VERIFY_MAX 8192

/* Names are matched as RFC 6125 has it: subjectAltName only, a wildcard is a whole label. (x509v3.h) */
#define MILGI__HOST_FLAGS (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

/* sign.c: what is inside. */
EVP_PKEY *milgi__pkey_evp(const struct milgi__pkey *key);

/* key.c: what kind of key it is, NONE: none of ours; *|bits| of an RSA modulus, else of the curve. */
enum milgi__key_type milgi__evp_type(EVP_PKEY *key, unsigned *bits);
/* The key type of an algorithm that is ML-DSA of some size (RFC 9881 2), else NONE; its strength in bits, else 0. */
enum milgi__key_type milgi__mldsa_of(const ASN1_OBJECT *algorithm);
unsigned milgi__mldsa_strength(enum milgi__key_type type);
/* "RSA of 8192 bits", "EC on brainpoolP256r1", "Ed448". */
void milgi__evp_text(EVP_PKEY *key, char *out, size_t cap);
/*
 * RSA's public exponent costs whoever verifies: odd, at least 3, at most 33 bits, as other libraries bound it, too.
 */
bool milgi__exponent_acceptable(const BIGNUM *e);

/*
 * 0, and to be cleared; MILGI__BAD: not a SubjectPublicKeyInfo. An algorithm or curve that is not ours: type
 * MILGI__KEY_NONE.
 */
int milgi__spki_parse(const uint8_t *der, size_t len, struct milgi__spki *spki);
void milgi__spki_clear(struct milgi__spki *spki);
/* The same, of a key that |cx| keeps until others take its place: clients meet the same servers again. */
int milgi__spki_known(struct milgi__crypto *cx, const uint8_t *der, size_t len, const struct milgi__spki **spki);
void milgi__spki_forget(struct milgi__crypto *cx);

/*
 * x509.c: |der| decoded, with a reference for the caller; NULL: no certificate, or something behind one. The same
 * certificates come again and again, and to decode one takes libcrypto longer than to verify its signature: |cx| keeps
 * some (NULL: none is kept).
 */
X509 *milgi__cert_decode(struct milgi__crypto *cx, const uint8_t *der, size_t len);
void milgi__certs_forget(struct milgi__crypto *cx);
struct milgi__chain_query;
/* What |query| says of a stapled response, for |leaf| on a path that was accepted: X509_V_OK or what is wrong. */
int milgi__ocsp_check(const struct milgi__chain_query *query, X509 *leaf, X509 *issuer);
/* How strong the digest of its signature is, or of one by this algorithm; 0: not known. */
unsigned milgi__cert_signature_bits(struct milgi__crypto *cx, const X509 *x);
unsigned milgi__signature_bits(const X509_ALGOR *algorithm);

/* Since 1970; -1: it is malformed. */
int64_t milgi__seconds_of(const ASN1_TIME *time);

/* crl.c: why it is none that can be used, in words that go on behind "the CRL"; "": it is none; NULL: it can. */
const char *milgi__crl_fault(const uint8_t *der, size_t len);
/* CRLs, each with a 3-byte length before it. 0 or MILGI_ENOMEM. */
int milgi__crls_to_store(X509_STORE *store, const uint8_t *crls, size_t len);
/* Has the leaf, or all of the path, looked up in the store's CRLs. */
void milgi__crls_to_check(X509_STORE_CTX *ctx, bool all);

/* --- what a flavour has ------------------------------------------------------------------------------------------ */

/* flavour.c: its part of the state. 0 or MILGI__BROKEN. */
int milgi__flavour_setup(struct milgi__crypto *cx);
void milgi__flavour_teardown(struct milgi__crypto *cx);
void milgi__flavour_idle(struct milgi__crypto *cx);  /* wipes every key that a context holds */
int milgi__flavour_random(uint8_t *out, size_t len); /* 0 or MILGI_EINTERNAL */

/* A number that may be secret, to |into|; NULL: a new one. */
BIGNUM *milgi__bn(const uint8_t *bytes, size_t len, BIGNUM *into);

/* The curve of an EC key, NID_undef when it is not a named one; the exponent of an RSA key; whether two public keys are
 * the same one. */
int milgi__evp_curve(EVP_PKEY *key);
bool milgi__evp_exponent_acceptable(EVP_PKEY *key);
bool milgi__evp_same(EVP_PKEY *a, EVP_PKEY *b);
/* Which ML-DSA's key it is, NONE: of none. */
enum milgi__key_type milgi__evp_mldsa(EVP_PKEY *key);
/*
 * A private key as PKCS #8 of version 1 and its public half, allocated by libcrypto; their lengths, or 0 or negative.
 * |pkcs8|: the bytes that |key| was made of, if they were in that form.
 */
int milgi__evp_private(EVP_PKEY *key, const uint8_t *pkcs8, size_t len, uint8_t **der);
int milgi__evp_public(EVP_PKEY *key, const uint8_t *pkcs8, size_t len, uint8_t **der);
/*
 * An EncryptedPrivateKeyInfo (RFC 5958 3) decrypted: PKCS #8, or what a wrong passphrase makes of it, in memory of
 * libcrypto's. Its length; 0: it is not decrypted; or one of these.
 */
#define MILGI__PKCS8_MALFORMED (-1)
#define MILGI__PKCS8_KEPT (-2) /* it is, but libcrypto does not hand out the bytes of such a key */
int milgi__pkcs8_decrypt(const uint8_t *der, long len, const char *word, size_t word_len, uint8_t **out);
/* Something was not decrypted, and libcrypto has just said that it does not know in which way it was encrypted. */
bool milgi__cipher_is_strange(void);

/* X25519: secrets and shares are of 32 bytes. 0, MILGI__BAD (all zeros) or MILGI__BROKEN. */
int milgi__x25519(struct milgi__crypto *cx, const uint8_t *secret, const uint8_t *peer, uint8_t *shared);
int milgi__x25519_base(struct milgi__crypto *cx, const uint8_t *secret, uint8_t *pub);
/* k = seed mod n, in time that does not depend on it. */
bool milgi__scalar_reduce(
    struct milgi__crypto *cx, const struct milgi__curve *curve, const uint8_t *seed, size_t seed_len, BIGNUM *k);

/* Verification with a key of that type, whose size is bounded. 0, MILGI__BAD, MILGI__BROKEN. */
int milgi__verify_ec(struct milgi__crypto *cx, const struct milgi__spki *spki, const struct milgi__scheme_hash *hash,
    const uint8_t *sig, size_t sig_len);
int milgi__verify_ed25519(struct milgi__crypto *cx, const struct milgi__spki *spki, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len);
int milgi__verify_mldsa(struct milgi__crypto *cx, const struct milgi__spki *spki, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len);
int milgi__verify_rsa(struct milgi__crypto *cx, const struct milgi__spki *spki, uint16_t scheme,
    const struct milgi__scheme_hash *hash, const uint8_t *sig, size_t sig_len);

/*
 * Verdicts have OpenSSL's numbers outside (milgi/conn.h); these libcryptos number differently. The number of what the
 * flavour's library says.
 */
enum {
    MILGI__V_EE_KEY_TOO_SMALL = 66,
    MILGI__V_CA_KEY_TOO_SMALL = 67,
    MILGI__V_CA_MD_TOO_WEAK = 68,
    MILGI__V_INVALID_CALL = 69,
    MILGI__V_STORE_LOOKUP = 70,
    MILGI__V_OCSP_NEEDED = 73,  /* a response must be there, and is not */
    MILGI__V_OCSP_FAILED = 74,  /* it is of no use */
    MILGI__V_OCSP_UNKNOWN = 75, /* the responder does not know the certificate */
    MILGI__V_UNSUPPORTED_SIGNATURE_ALGORITHM = 76,
    MILGI__V_INVALID_CA = 79,
    MILGI__V_EC_KEY_EXPLICIT_PARAMS = 94
};
int32_t milgi__verdict_number(int verdict);
