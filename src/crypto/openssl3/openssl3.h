/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this flavour share. */
#pragma once

#include "crypto/libcrypto/libcrypto.h"

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

struct milgi__flavour {
    struct milgi__cipher *ciphers; /* MILGI__AEAD_SUITES of them */
    struct milgi__aead_slot seal[MILGI__AEAD_SLOTS], open[MILGI__AEAD_SLOTS];
    struct milgi__x25519 *x25519;
    EVP_PKEY *ec_key[MILGI__NIST_CURVES]; /* take the public key of each verification */
    EVP_PKEY_CTX *ec_verify[MILGI__NIST_CURVES];
    EVP_PKEY_CTX *rsa_import;
    EVP_MD_CTX *eddsa;
};

/*
 * The functions that |provider| offers as |name|, or NULL. EVP's functions look after callers of all kinds, which takes
 * as long as a small record or a tenth of a key exchange; the few things that are done most are asked of the provider
 * itself, by the interface that EVP uses (provider-base(7)). Valid as long as something fetched from it is held.
 */
const OSSL_DISPATCH *milgi__provided(const OSSL_PROVIDER *provider, int operation, const char *name);

/* flavour.c: "ML-DSA-44" ... */
const char *milgi__mldsa_name(enum milgi__key_type type);

/* x25519.c. A public share is a multiplication with the base point, which is faster than libcrypto's own way to it. */
struct milgi__x25519 *milgi__x25519_new(void);
void milgi__x25519_free(struct milgi__x25519 *x);

/* aead.c, verify.c: their parts of the state. 0 or MILGI__BROKEN. */
int milgi__aead_setup(struct milgi__flavour *own);
void milgi__aead_wipe(struct milgi__flavour *own);
void milgi__aead_teardown(struct milgi__flavour *own);
int milgi__verify_setup(struct milgi__flavour *own);
void milgi__verify_teardown(struct milgi__flavour *own);
