/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this flavour share: the state of one thread, and the walk through a public key's DER. */
#pragma once

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include <milgi/op.h>

#include "base/base.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kex.h"
#include "crypto/sign.h"
#include "crypto/x509.h"

#define MILGI__AEAD_SLOTS 64 /* a power of two */
#define MILGI__AEAD_SUITES 3
#define MILGI__NIST_CURVES 3 /* P-256, P-384, P-521 */

struct milgi__cipher; /* aead.c: one of libcrypto's ciphers */

/* A keyed context. serial 0: holds no key. */
struct milgi__aead_slot {
    uint64_t serial;
    const struct milgi__cipher *cipher;
    void *ctx; /* of |cipher|; NULL: none */
};

/* A curve for key exchange. */
struct milgi__curve {
    EC_GROUP *group;
    BIGNUM *order_less_1;
    size_t field_len;
};

#define MILGI__RANDOM_STORE 512

struct milgi__crypto {
    struct milgi__cipher *ciphers; /* MILGI__AEAD_SUITES of them */
    struct milgi__aead_slot seal[MILGI__AEAD_SLOTS], open[MILGI__AEAD_SLOTS];
    struct milgi__curve p256, p384;
    BN_CTX *bn;
    struct milgi__x25519 *x25519;
    EVP_PKEY *ec_key[MILGI__NIST_CURVES]; /* take the public key of each verification */
    EVP_PKEY_CTX *ec_verify[MILGI__NIST_CURVES];
    EVP_PKEY_CTX *rsa_import;
    EVP_MD_CTX *eddsa;
    uint8_t random[MILGI__RANDOM_STORE]; /* the last random_left bytes have not been drawn, the others are wiped */
    size_t random_left;
};

/*
 * The functions that |provider| offers as |name|, or NULL. EVP's functions look after callers of all kinds, which takes
 * as long as a small record or a tenth of a key exchange; the few things that are done most are asked of the provider
 * itself, by the interface that EVP uses (provider-base(7)). Valid as long as something fetched from it is held.
 */
const OSSL_DISPATCH *milgi__provided(const OSSL_PROVIDER *provider, int operation, const char *name);

/* x25519.c: secrets and shares are of 32 bytes. 0, MILGI__BAD (all zeros) or MILGI__BROKEN. A public share is
 * the multiplication with the base point, which is faster than libcrypto's own way to it. */
struct milgi__x25519 *milgi__x25519_new(void);
void milgi__x25519_free(struct milgi__x25519 *x);
int milgi__x25519(const struct milgi__x25519 *x, const uint8_t *secret, const uint8_t *peer, uint8_t *shared);
int milgi__x25519_base(const struct milgi__x25519 *x, const uint8_t *secret, uint8_t *pub);

/* kex.c, sign.c: their parts of the state. 0 or MILGI__BROKEN. */
int milgi__kex_setup(struct milgi__crypto *cx);
void milgi__kex_teardown(struct milgi__crypto *cx);
int milgi__verify_setup(struct milgi__crypto *cx);
void milgi__verify_teardown(struct milgi__crypto *cx);
int milgi__aead_setup(struct milgi__crypto *cx);
void milgi__aead_teardown(struct milgi__crypto *cx);
void milgi__aead_wipe(struct milgi__crypto *cx); /* every key that a context holds */

/* Leaves the thread's error queue empty and returns |result|: failures are told by codes alone. */
int milgi__fail(int result);

/* The hash that a signature scheme signs: its output and name; len 0: the scheme signs the message itself. */
struct milgi__scheme_hash {
    uint8_t value[64];
    size_t len;
    const EVP_MD *md;
};
/* false: no such scheme. */
bool milgi__scheme_hash(uint16_t scheme, const uint8_t *input, size_t len, struct milgi__scheme_hash *out);

/* Names are matched as RFC 6125 has it: subjectAltName only, a wildcard is a whole label. (x509v3.h) */
#define MILGI__HOST_FLAGS (X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)

/* One element of DER at the front of a range, stepped over. */
struct milgi__der {
    const uint8_t *p;
    long left;
};
static inline struct milgi__der milgi__der(const uint8_t *data, size_t len)
{
    return (struct milgi__der){ data, (long)len };
}
/*
 * The next element's contents, or false when it is not of |tag| (V_ASN1_*, or a context tag with MILGI__DER_CONTEXT).
 */
#define MILGI__DER_CONTEXT 0x100
bool milgi__der_take(struct milgi__der *der, int tag, struct milgi__der *body);
/* True if the next element has this tag. */
bool milgi__der_next_is(const struct milgi__der *der, int tag);
bool milgi__der_skip(struct milgi__der *der);
bool milgi__der_is_oid(const struct milgi__der *body, int nid);

/* A SubjectPublicKeyInfo taken apart: |key| is the subjectPublicKey. */
struct milgi__spki {
    enum milgi__key_type type;
    unsigned bits;
    const uint8_t *key;
    size_t key_len;
    struct milgi__der modulus, exponent; /* RSA */
};
/* 0; MILGI__BAD: not a SubjectPublicKeyInfo. An algorithm or curve that is not ours: type MILGI__KEY_NONE. */
int milgi__spki_parse(const uint8_t *der, size_t len, struct milgi__spki *spki);
