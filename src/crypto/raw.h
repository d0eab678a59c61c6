/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and signatures as numbers, for arithmetic that is done elsewhere than in the crypto library: which still reads
 * them, checks them, and writes them.
 */
#pragma once

#include "crypto/sign.h"

#define MILGI__RAW_HALF_MAX 256u /* of an RSA modulus of 4096 bits */
#define MILGI__RAW_EC_MAX 48u    /* of P-384 */

/* Numbers with the highest byte first. */
struct milgi__raw_key {
    enum milgi__key_type type;
    unsigned bits; /* of an RSA modulus, whose primes have half of them each */
    union {
        uint8_t scalar[MILGI__RAW_EC_MAX]; /* P-256: the first 32 bytes */
        struct {
            uint8_t secret[32], pub[32];
        } ed25519; /* RFC 8032 5.1.5 */
        struct {
            uint8_t p[MILGI__RAW_HALF_MAX], q[MILGI__RAW_HALF_MAX], dp[MILGI__RAW_HALF_MAX], dq[MILGI__RAW_HALF_MAX],
                qinv[MILGI__RAW_HALF_MAX];
        } rsa; /* RFC 8017 3.2, each bits/16 bytes */
    } u;
};
/* 0, or MILGI__BROKEN: a key of another type, or of a shape that is not said above. |out| is for the caller to wipe. */
int milgi__raw_private(const struct milgi__pkey *key, struct milgi__raw_key *out);

/* The public half of an RSA key, as far as milgi__raw_private() takes it. */
struct milgi__raw_modulus {
    uint8_t n[2 * MILGI__RAW_HALF_MAX], e[8]; /* n: bits/8 bytes */
};
/* 0, or MILGI__BROKEN: no RSA key, or a larger one. */
int milgi__raw_modulus(const struct milgi__pkey *key, struct milgi__raw_modulus *out);

/*
 * The message of an RSA signature with |scheme|, one of rsa_pss, as a number of bits/8 bytes: RFC 8017 9.1.1, with salt
 * from the crypto library. 0 or MILGI__BROKEN.
 */
int milgi__raw_pss(
    const struct milgi__pkey *key, uint16_t scheme, const uint8_t *input, size_t input_len, uint8_t *out);
/* The same of every scheme of RSA: those of rsa_pkcs1 have the message of RFC 8017 9.2. */
int milgi__raw_message(
    const struct milgi__pkey *key, uint16_t scheme, const uint8_t *input, size_t input_len, uint8_t *out);

/* What is left to compute of an ecdsa_secp256r1_sha256 signature's verification. */
struct milgi__raw_p256 {
    uint8_t hash[32], x[32], y[32], r[32], s[32];
};
/*
 * 0; MILGI__BAD: the key is no point of the curve or of another kind, or the signature is malformed or out of range;
 * MILGI__BROKEN.
 */
int milgi__raw_p256(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len, struct milgi__raw_p256 *out);
