/* SPDX-License-Identifier: Apache-2.0 */
/* Key encapsulation: ML-KEM-768 and ML-KEM-1024 (FIPS 203), as MILGI_OP_KEYGEN, ENCAPS and DECAPS say (milgi/op.h). */
#pragma once

#include "crypto/context.h"

/* Both seeds are in FIPS 203's order: d || z, which is also the private key; m. */
#define MILGI__KEM_SEED 64u
#define MILGI__KEM_ENCAPS_SEED 32u
#define MILGI__KEM_SHARED 32u

/* Whether the crypto library has it, which may be known only when it runs. Any thread. */
bool milgi__kem_available(void);
/*
 * Keys and ciphertexts have the lengths that |group| has (op/algorithm.c); the caller has seen to those that come in.
 * |*..._len| in and out.
 */
int milgi__kem_keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t seed[MILGI__KEM_SEED], uint8_t *secret,
    size_t *secret_len, uint8_t *pub, size_t *pub_len);
/* MILGI__BAD: |peer| is no encapsulation key (FIPS 203 7.2). */
int milgi__kem_encaps(struct milgi__crypto *cx, uint16_t group, const uint8_t *peer, size_t peer_len,
    const uint8_t seed[MILGI__KEM_ENCAPS_SEED], uint8_t *ciphertext, size_t *ciphertext_len, uint8_t *shared,
    size_t *shared_len);
/*
 * Of pairs that KEYGEN has made, and that are kept for their DECAPS, wipes those that |now_ns| finds kept for a second;
 * when it is to be asked again: UINT64_MAX: nothing is kept. A pair counts from the first time that this was asked.
 */
uint64_t milgi__kem_sweep(struct milgi__crypto *cx, uint64_t now_ns);
int milgi__kem_decaps(struct milgi__crypto *cx, uint16_t group, const uint8_t secret[MILGI__KEM_SEED],
    const uint8_t *ciphertext, size_t ciphertext_len, uint8_t *shared, size_t *shared_len);
