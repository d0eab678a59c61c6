/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block of 16 bytes in a register. In GHASH's field (NIST SP 800-38D, 6.3) a block stands with its bytes reversed;
 * its bits then are in the order that the multiplication has. A product of two such comes out shifted by one bit, which
 * the hash key, and so each of its powers, makes up for by being multiplied with x beforehand.
 */
#pragma once

#include <immintrin.h>
#include <string.h>

#include "crypto/kernel/gcm.h"

#define MILGI__INLINE static inline __attribute__((always_inline))

MILGI__INLINE __m128i block_load(const void *p)
{
    return _mm_loadu_si128(p);
}

MILGI__INLINE void block_store(void *p, __m128i x)
{
    _mm_storeu_si128(p, x);
}

MILGI__INLINE __m128i block_reverse(__m128i x)
{
    return _mm_shuffle_epi8(x, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

MILGI__INLINE uint64_t bytes_load8(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

MILGI__INLINE uint32_t bytes_load4(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* |n| bytes, 0 to 15, and zeros behind them. */
MILGI__INLINE __m128i block_load_part(const uint8_t *p, size_t n)
{
    uint64_t low = 0;
    uint64_t high = 0;

    if (n >= 8) {
        low = bytes_load8(p);
        /* In two steps, since a shift by 64 is none. */
        high = (bytes_load8(p + n - 8) >> 1) >> (8 * (16 - n) - 1);
    } else if (n >= 4) {
        low = bytes_load4(p) | (uint64_t)bytes_load4(p + n - 4) << (8 * (n - 4));
    } else if (n > 0) {
        low = (uint64_t)p[0] | (uint64_t)p[n / 2] << (8 * (n / 2)) | (uint64_t)p[n - 1] << (8 * (n - 1));
    }
    return _mm_set_epi64x((int64_t)high, (int64_t)low);
}

/* The first |n| bytes of a block, 0 to 15. */
MILGI__INLINE void block_store_part(uint8_t *p, __m128i x, size_t n)
{
    uint64_t low = (uint64_t)_mm_cvtsi128_si64(x);
    uint64_t high = (uint64_t)_mm_extract_epi64(x, 1);

    if (n >= 8) {
        uint64_t last = low >> (8 * (n - 8)) | (high << 1) << (8 * (16 - n) - 1);
        memcpy(p, &low, 8);
        memcpy(p + n - 8, &last, 8);
    } else if (n >= 4) {
        uint32_t first = (uint32_t)low;
        uint32_t last = (uint32_t)(low >> (8 * (n - 4)));
        memcpy(p, &first, 4);
        memcpy(p + n - 4, &last, 4);
    } else if (n > 0) {
        p[n - 1] = (uint8_t)(low >> (8 * (n - 1)));
        p[n / 2] = (uint8_t)(low >> (8 * (n / 2)));
        p[0] = (uint8_t)low;
    }
}

/* The two halves added up, in both halves: what Karatsuba's middle product is made of. */
MILGI__INLINE __m128i block_halves(__m128i x)
{
    return _mm_xor_si128(x, _mm_shuffle_epi32(x, 0x4e));
}

/* The halves of a power that stands in a key. */
MILGI__INLINE const uint8_t *halves_of(const uint8_t *power)
{
    return power + offsetof(struct milgi__gcm_key, halves) - offsetof(struct milgi__gcm_key, power);
}

/* A sum of products by Karatsuba: of the low halves, of the high halves, and of the sums of both. */
struct product {
    __m128i low, high, middle;
};

MILGI__INLINE struct product block_product(__m128i a, __m128i b, __m128i b_halves)
{
    return (struct product){ _mm_clmulepi64_si128(a, b, 0x00), _mm_clmulepi64_si128(a, b, 0x11),
        _mm_clmulepi64_si128(block_halves(a), b_halves, 0x00) };
}

MILGI__INLINE struct product product_add(struct product p, struct product q)
{
    return (struct product){ _mm_xor_si128(p.low, q.low), _mm_xor_si128(p.high, q.high),
        _mm_xor_si128(p.middle, q.middle) };
}

/*
 * To one block again, modulo x^128 + x^127 + x^126 + x^121 + 1 (the field's polynomial, reversed): twice the lowest 64
 * bits are cleared by adding a multiple of it.
 */
MILGI__INLINE __m128i product_reduce(struct product p)
{
    const __m128i poly = _mm_set_epi64x((int64_t)UINT64_C(0xc200000000000000), 1);
    __m128i middle = _mm_xor_si128(p.middle, _mm_xor_si128(p.low, p.high));
    __m128i low = _mm_xor_si128(p.low, _mm_slli_si128(middle, 8));
    __m128i high = _mm_xor_si128(p.high, _mm_srli_si128(middle, 8));

    low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, poly, 0x10));
    low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, poly, 0x10));
    return _mm_xor_si128(high, low);
}

MILGI__INLINE __m128i block_multiply(__m128i a, __m128i b)
{
    return product_reduce(block_product(a, b, block_halves(b)));
}
