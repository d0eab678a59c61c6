/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of four blocks: VAES, VPCLMULQDQ and AVX-512 (F, BW, VL). */
#pragma once

#include "crypto/kernel/block.h"

#define LANES 4
#define VECTORS 4

typedef __m512i vec;

struct products {
    vec low, high, middle;
};

MILGI__INLINE vec v_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

MILGI__INLINE void v_store(void *p, vec x)
{
    _mm512_storeu_si512(p, x);
}

MILGI__INLINE vec v_each(__m128i block)
{
    return _mm512_broadcast_i32x4(block);
}

MILGI__INLINE vec v_load_each(const void *p)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128(p));
}

MILGI__INLINE vec v_first(__m128i block)
{
    return _mm512_zextsi128_si512(block);
}

MILGI__INLINE vec v_xor(vec a, vec b)
{
    return _mm512_xor_si512(a, b);
}

MILGI__INLINE vec v_now(vec x)
{
    __asm__(""
            : "+v"(x));
    return x;
}

MILGI__INLINE vec v_and(vec a, vec b)
{
    return _mm512_and_si512(a, b);
}

MILGI__INLINE vec v_choose(vec a, vec b, vec mask)
{
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(mask), a, b);
}

MILGI__INLINE vec v_add32(vec a, vec b)
{
    return _mm512_add_epi32(a, b);
}

MILGI__INLINE vec v_bytes(uint8_t byte)
{
    return _mm512_set1_epi8((char)byte);
}

MILGI__INLINE vec v_reverse(vec x)
{
    const vec order = v_each(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));

    return _mm512_shuffle_epi8(x, order);
}

MILGI__INLINE vec v_round(vec x, vec key)
{
    return _mm512_aesenc_epi128(x, key);
}

MILGI__INLINE vec v_round_last(vec x, vec key)
{
    return _mm512_aesenclast_epi128(x, key);
}

MILGI__INLINE vec v_halves(vec x)
{
    return _mm512_xor_si512(x, _mm512_shuffle_epi32(x, (_MM_PERM_ENUM)0x4e));
}

MILGI__INLINE vec v_multiply_low(vec a, vec b)
{
    return _mm512_clmulepi64_epi128(a, b, 0x00);
}

MILGI__INLINE vec v_multiply_high(vec a, vec b)
{
    return _mm512_clmulepi64_epi128(a, b, 0x11);
}

MILGI__INLINE __m128i v_sum(vec x)
{
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));

    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

MILGI__INLINE __mmask64 first_bytes(size_t n)
{
    return (UINT64_C(1) << n) - 1;
}

MILGI__INLINE vec v_load_part(const uint8_t *p, size_t n)
{
    return _mm512_maskz_loadu_epi8(first_bytes(n), p);
}

MILGI__INLINE void v_store_part(uint8_t *p, vec x, size_t n)
{
    _mm512_mask_storeu_epi8(p, first_bytes(n), x);
}

MILGI__INLINE void v_store_blocks(uint8_t *p, vec x, size_t n)
{
    if (n == 64)
        v_store(p, x);
    else
        v_store_part(p, x, n);
}

MILGI__INLINE vec v_two(__m128i a, __m128i b)
{
    return _mm512_inserti32x4(_mm512_zextsi128_si512(a), b, 1);
}

MILGI__INLINE struct products v_two_products(__m128i a, const uint8_t *power_a, __m128i b, const uint8_t *power_b)
{
    vec x = v_two(a, b);
    vec h = v_two(block_load(power_a), block_load(power_b));
    vec halves = v_two(block_load(halves_of(power_a)), block_load(halves_of(power_b)));

    return (struct products){ v_multiply_low(x, h), v_multiply_high(x, h), v_multiply_low(v_halves(x), halves) };
}
