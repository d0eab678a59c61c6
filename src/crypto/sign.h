/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures: private keys that sign, and the verification with public ones. */
#pragma once

#include "crypto/context.h"

enum milgi__key_type {
    MILGI__KEY_NONE,
    MILGI__KEY_RSA,     /* rsaEncryption: PSS (rsae) in TLS 1.3 */
    MILGI__KEY_RSA_PSS, /* id-RSASSA-PSS */
    MILGI__KEY_P256,
    MILGI__KEY_P384,
    MILGI__KEY_P521,
    MILGI__KEY_ED25519,
    MILGI__KEY_MLDSA44, /* the three of FIPS 204, in this order */
    MILGI__KEY_MLDSA65,
    MILGI__KEY_MLDSA87,
    MILGI__KEY_TYPES
};

/* Whether the crypto library has ML-DSA, which may be known only when it runs. Any thread. */
bool milgi__mldsa_available(void);
static inline bool milgi__key_is_mldsa(enum milgi__key_type type)
{
    return type >= MILGI__KEY_MLDSA44 && type <= MILGI__KEY_MLDSA87;
}

struct milgi__pkey; /* a private key of one thread */
struct milgi__pkey *milgi__pkey_new(struct milgi__crypto *cx, const uint8_t *pkcs8, size_t len);
void milgi__pkey_free(struct milgi__pkey *key);
int milgi__pkey_sign(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len);
/* The same, but an ECDSA scheme names its hash only: the key may be on another curve of the schemes' (TLS 1.2). */
int milgi__pkey_sign_any_curve(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme,
    const uint8_t *input, size_t input_len, uint8_t *sig, size_t *sig_len);
/* Any curve, and |input| is the scheme's hash already; MILGI__BROKEN for schemes that sign messages themselves. */
int milgi__pkey_sign_hashed(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len);
int milgi__verify(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len);
int milgi__verify_any_curve(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme,
    const uint8_t *input, size_t input_len, const uint8_t *sig, size_t sig_len);
int milgi__verify_hashed(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme,
    const uint8_t *input, size_t input_len, const uint8_t *sig, size_t sig_len);
/* True if the public key may verify with |scheme|: it is of that type, and not restricted to others (RFC 4055 3.1). */
bool milgi__key_fits(const uint8_t *spki, size_t spki_len, uint16_t scheme);
/* SHA-1 of the bits of the public key (RFC 5280 4.2.1.2). 0, or MILGI__BROKEN: no SHA-1, no memory, or it is no key. */
int milgi__key_id(const uint8_t *spki, size_t spki_len, uint8_t out[20]);
/*
 * For keys that sign elsewhere and want the hash: the scheme's hash of |input|. |*out_len| is 0 for a scheme that signs
 * the message itself (Ed25519, ML-DSA). 0, or MILGI__BROKEN: no such scheme.
 */
#define MILGI__SIGN_HASH_MAX 64
int milgi__sign_hash(struct milgi__crypto *cx, uint16_t scheme, const uint8_t *input, size_t input_len,
    uint8_t out[MILGI__SIGN_HASH_MAX], size_t *out_len);
/*
 * An ECDSA signature as tokens give it, r and s of equal length one behind the other, in DER as TLS has it (RFC 8446
 * 4.2.3). 0, or MILGI__BROKEN: |raw_len| is odd, 0 or above 132, or there is no room in |*out_len| bytes.
 */
int milgi__ecdsa_der(const uint8_t *raw, size_t raw_len, uint8_t *out, size_t *out_len);
