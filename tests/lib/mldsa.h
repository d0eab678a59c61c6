/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and keys of ML-DSA, which the libcrypto that the other identities are made with may not have: written
 * here, signed by the library's. Always the same ones. Failures end the test program.
 */
#pragma once

#include "crypto/sign.h"

struct mldsa_identity {
    enum milgi__key_type type;
    char *key_pem, *cert_pem;
    uint8_t *cert_der;
    size_t cert_der_len;
    char name[64];
};

/* |issuer| NULL: a root; else a leaf whose DNS name is |name|. |seed|: of the key. */
struct mldsa_identity *mldsa_identity(
    enum milgi__key_type type, uint8_t seed, const char *name, const struct mldsa_identity *issuer);
void mldsa_identity_free(struct mldsa_identity *identity);

/* A private key of |type| in PKCS #8, in the form that has its seed alone (RFC 9881 6). */
#define MLDSA_PKCS8_LEN 54
void mldsa_pkcs8(enum milgi__key_type type, uint8_t seed, uint8_t out[MLDSA_PKCS8_LEN]);
