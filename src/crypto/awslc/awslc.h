/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this flavour share. */
#pragma once

#include <openssl/aead.h>
#include <openssl/ec_key.h>

#include "crypto/libcrypto/libcrypto.h"

#define MILGI__AEAD_SLOTS 128 /* a power of two */
#define MILGI__NIST_CURVES 3  /* P-256, P-384, P-521 */
#define MILGI__KEM_KEPT 8u    /* key pairs of ML-KEM */

/* A keyed context, which holds its key by itself. */
struct milgi__aead_slot {
    uint16_t suite;
    EVP_AEAD_CTX ctx;
};

struct milgi__flavour {
    uint64_t serials[MILGI__AEAD_SLOTS]; /* of the keys in |slots|, apart: they are asked for more often. 0: none */
    struct milgi__aead_slot slots[MILGI__AEAD_SLOTS];
    struct milgi__curve_order {
        const EC_GROUP *group;
        BN_MONT_CTX *mont;
    } orders[3];                           /* of the curves for key exchange */
    EC_KEY *ec_verify[MILGI__NIST_CURVES]; /* take the public key of each verification */
    /* pairs that were made last and have not been used, by the seed that is all that is known of them elsewhere */
    struct milgi__kem_pair {
        EVP_PKEY *key;     /* NULL: none */
        uint64_t until_ns; /* then it is wiped; 0: nobody has asked yet */
        uint8_t seed[64];
        uint16_t group;
    } kem[MILGI__KEM_KEPT];
    unsigned kem_last;
    bool kem_kept;     /* there may be some */
    uint8_t *gathered; /* room for a record that lies in pieces and is opened in place */
    size_t gathered_len;
};

/* aead.c: wipes every key, and the room. */
void milgi__aead_wipe(struct milgi__flavour *own);
/* kem.c: forgets every pair. */
void milgi__kem_wipe(struct milgi__flavour *own);
/* verify.c: its part of the state. 0 or MILGI__BROKEN. */
int milgi__verify_setup(struct milgi__flavour *own);
void milgi__verify_teardown(struct milgi__flavour *own);
