/* SPDX-License-Identifier: Apache-2.0 */
/* AES-GCM by libcrypto, with which kernels are compared, and numbers that look random. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The ciphertext and the tag, |len| + 16 bytes. A key of 16 or 32 bytes. */
void reference_seal(const uint8_t *key, size_t key_len, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
    const uint8_t *plain, size_t len, uint8_t *out);

void random_seed(uint64_t seed);
uint64_t random_bits(void);
/* 0 to |n| - 1. */
size_t random_below(size_t n);
void random_fill(uint8_t *p, size_t len);
