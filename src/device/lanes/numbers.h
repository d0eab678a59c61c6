/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes as arithmetic: what is left of ops when they have been taken apart into numbers. Numbers are bytes, the highest
 * first, but those of X25519 and Ed25519 as their RFCs have them.
 */
#pragma once

#include "device/lanes/lanes.h"

/*
 * Each works on |n| lanes, 1 to MILGI__LANES, and returns those that failed, as bits. What it writes in a lane that
 * failed does not matter. In time that does not depend on secrets, which it leaves nowhere.
 */
struct milgi__vectors {
    /* of 32 bytes each */
    uint32_t (*x25519_base)(unsigned n, uint8_t *const *share, const uint8_t *const *secret);
    uint32_t (*x25519)(
        unsigned n, uint8_t *const *shared, const uint8_t *const *secret, const uint8_t *const *share);
    /* |len|: 32 for P-256, 48 for P-384; r and s, of as many bytes, go to |rs|, one behind the other. */
    uint32_t (*ecdsa_sign)(unsigned n, size_t len, uint8_t *const *rs, const uint8_t *const *hash,
        const uint8_t *const *nonce, const uint8_t *const *scalar);
    uint32_t (*p256_verify)(unsigned n, const struct milgi__raw_p256 *const *sig);
    /* The key is an ed25519 one. */
    uint32_t (*ed25519_sign)(unsigned n, uint8_t *const *sig, const uint8_t *const *message, const size_t *len,
        const struct milgi__raw_key *const *key);
    /* The key is an RSA one of |bits|; message and signature have bits/8 bytes. */
    uint32_t (*rsa)(unsigned n, unsigned bits, uint8_t *const *sig, const uint8_t *const *message,
        const struct milgi__raw_key *const *key);
};

/* As milgi__lanes_kind.run. A lane that fails is judged by libcrypto: no verdict on a peer comes from here alone. */
bool milgi__numbers_run(const struct milgi__vectors *vectors, struct milgi__crypto *cx, enum milgi__row row,
    const struct milgi__lane *lane, unsigned n);
