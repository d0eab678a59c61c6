/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this flavour share: the state of one thread, keys and certificates. */
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
#define MILGI__CERTS 32

/* A certificate that a peer sent, decoded. */
struct milgi__decoded {
    uint8_t *der;
    size_t len;
    X509 *x;
};

struct milgi__crypto {
    struct milgi__kernel *kernel;
    struct milgi__cipher *ciphers; /* MILGI__AEAD_SUITES of them */
    struct milgi__aead_slot seal[MILGI__AEAD_SLOTS], open[MILGI__AEAD_SLOTS];
    struct milgi__curve p256, p384;
    BN_CTX *bn;
    struct milgi__x25519 *x25519;
    EVP_PKEY *ec_key[MILGI__NIST_CURVES]; /* take the public key of each verification */
    EVP_PKEY_CTX *ec_verify[MILGI__NIST_CURVES];
    EVP_PKEY_CTX *rsa_import;
    EVP_MD_CTX *eddsa;
    struct milgi__decoded certs[MILGI__CERTS];
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

/* sign.c: what is inside. */
EVP_PKEY *milgi__pkey_evp(const struct milgi__pkey *key);

/* key.c: what kind of key it is, NONE: none of ours; *|bits| of an RSA modulus, else of the curve. */
enum milgi__key_type milgi__evp_type(EVP_PKEY *key, unsigned *bits);
enum milgi__key_type milgi__curve_type(int nid, unsigned *bits);
/* "RSA of 8192 bits", "EC on brainpoolP256r1", "Ed448". */
void milgi__evp_text(EVP_PKEY *key, char *out, size_t cap);
/*
 * RSA's public exponent costs whoever verifies: odd, at least 3, at most 33 bits, as other libraries bound it, too.
 */
bool milgi__exponent_acceptable(const BIGNUM *e);
bool milgi__evp_exponent_acceptable(EVP_PKEY *key);

/* A SubjectPublicKeyInfo taken apart: |key| is the subjectPublicKey; n and e are of RSA. */
struct milgi__spki {
    enum milgi__key_type type;
    unsigned bits;
    const uint8_t *key;
    size_t key_len;
    BIGNUM *n, *e;
    void *form; /* what |key| lies in */
};
/*
 * 0, and to be cleared; MILGI__BAD: not a SubjectPublicKeyInfo. An algorithm or curve that is not ours: type
 * MILGI__KEY_NONE.
 */
int milgi__spki_parse(const uint8_t *der, size_t len, struct milgi__spki *spki);
void milgi__spki_clear(struct milgi__spki *spki);

/*
 * x509.c: |der| decoded, with a reference for the caller; NULL: no certificate, or something behind one. The same
 * certificates come again and again, and to decode one takes libcrypto longer than to verify its signature: |cx| keeps
 * some (NULL: none is kept).
 */
X509 *milgi__cert_decode(struct milgi__crypto *cx, const uint8_t *der, size_t len);
void milgi__certs_forget(struct milgi__crypto *cx);
