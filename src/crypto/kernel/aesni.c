/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel for AES-NI, PCLMULQDQ and SSE 4.1, which every x86-64 processor of interest has; keys for all kernels. */
#include "base/base.h"

#include "crypto/kernel/cpu.h"
#include "crypto/kernel/lanes128.h"

#include "crypto/kernel/body.h"

/* --- keys (FIPS 197, 5.2) ---------------------------------------------------------------------------------------- */

/* The words of a round key, each added to those behind it. */
MILGI__INLINE __m128i add_up(__m128i k)
{
    k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
    return _mm_xor_si128(k, _mm_slli_si128(k, 8));
}

/*
 * The last word, with its bytes substituted, in all places: as columns are the same, ShiftRows changes nothing.
 * |rotate|: the word is rotated first.
 */
MILGI__INLINE __m128i substituted(__m128i k, bool rotate, uint32_t constant)
{
    const __m128i rotated = _mm_set1_epi32(0x0c0f0e0d);
    const __m128i as_is = _mm_set1_epi32(0x0f0e0d0c);

    return _mm_aesenclast_si128(_mm_shuffle_epi8(k, rotate ? rotated : as_is), _mm_set1_epi32((int)constant));
}

static void expand_128(struct milgi__gcm_key *key, const uint8_t *raw)
{
    __m128i k = block_load(raw);
    uint32_t constant = 1;

    block_store(key->round[0], k);
    for (unsigned r = 1; r <= 10; r++) {
        k = _mm_xor_si128(add_up(k), substituted(k, true, constant));
        block_store(key->round[r], k);
        constant = r == 8 ? 0x1b : constant * 2;
    }
    key->rounds = 10;
}

static void expand_256(struct milgi__gcm_key *key, const uint8_t *raw)
{
    __m128i even = block_load(raw);
    __m128i odd = block_load(raw + 16);
    uint32_t constant = 1;

    block_store(key->round[0], even);
    block_store(key->round[1], odd);
    for (unsigned r = 2;; r += 2, constant *= 2) {
        even = _mm_xor_si128(add_up(even), substituted(odd, true, constant));
        block_store(key->round[r], even);
        if (r == MILGI__GCM_ROUNDS)
            break;
        odd = _mm_xor_si128(add_up(odd), substituted(even, false, 0));
        block_store(key->round[r + 1], odd);
    }
    key->rounds = MILGI__GCM_ROUNDS;
}

/* Twice the block that zeros are encrypted to. */
static __m128i hash_key(const struct milgi__gcm_key *key)
{
    vec zeros = _mm_setzero_si128();

    encrypt(&zeros, 1, key);
    __m128i h = block_reverse(zeros);
    __m128i carries = _mm_srli_epi64(h, 63);
    __m128i top = _mm_srai_epi32(_mm_shuffle_epi32(h, 0xff), 31); /* of the highest bit */
    __m128i poly = _mm_set_epi64x((int64_t)UINT64_C(0xc200000000000000), 1);
    __m128i twice = _mm_or_si128(_mm_slli_epi64(h, 1), _mm_slli_si128(carries, 8));
    return _mm_xor_si128(twice, _mm_and_si128(top, poly));
}

void milgi__gcm_key_init(struct milgi__gcm_key *key, const uint8_t *raw, size_t len)
{
    __m128i h[MILGI__GCM_POWERS + 1];

    if (len == 16)
        expand_128(key, raw);
    else
        expand_256(key, raw);
    h[1] = hash_key(key);
    /* From those that there are early, so that many are under way at once. */
    for (unsigned have = 1; have < MILGI__GCM_POWERS; have *= 2) {
        for (unsigned i = 1; i <= have && have + i <= MILGI__GCM_POWERS; i++)
            h[have + i] = block_multiply(h[have], h[i]);
    }
    for (unsigned i = 1; i <= MILGI__GCM_POWERS; i++) {
        block_store(key->power[MILGI__GCM_POWERS - i], h[i]);
        block_store(key->halves[MILGI__GCM_POWERS - i], block_halves(h[i]));
    }
    memset(key->power[MILGI__GCM_POWERS], 0, sizeof key->power - MILGI__GCM_POWERS * sizeof key->power[0]);
    memset(key->halves[MILGI__GCM_POWERS], 0, sizeof key->halves - MILGI__GCM_POWERS * sizeof key->halves[0]);
    milgi__wipe(h, sizeof h);
}

const struct milgi__gcm_kernel milgi__gcm_aesni = {
    "aesni", MILGI__GCM_AESNI, milgi__cpu_has_aesni, milgi__gcm_key_init, seal, open
};
