/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of two blocks: VAES, VPCLMULQDQ and AVX2. */
#pragma once

#include "crypto/kernel/block.h"

#define LANES 2
#define VECTORS 8

typedef __m256i vec;

struct products {
    vec low, high, middle;
};

MILGI__INLINE vec v_load(const void *p)
{
    return _mm256_loadu_si256(p);
}

MILGI__INLINE void v_store(void *p, vec x)
{
    _mm256_storeu_si256(p, x);
}

MILGI__INLINE vec v_each(__m128i block)
{
    return _mm256_broadcastsi128_si256(block);
}

MILGI__INLINE vec v_load_each(const void *p)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(p));
}

MILGI__INLINE vec v_first(__m128i block)
{
    return _mm256_zextsi128_si256(block);
}

MILGI__INLINE vec v_xor(vec a, vec b)
{
    return _mm256_xor_si256(a, b);
}

MILGI__INLINE vec v_now(vec x)
{
    __asm__(""
            : "+x"(x));
    return x;
}

MILGI__INLINE vec v_and(vec a, vec b)
{
    return _mm256_and_si256(a, b);
}

MILGI__INLINE vec v_choose(vec a, vec b, vec mask)
{
    return _mm256_blendv_epi8(a, b, mask);
}

MILGI__INLINE vec v_add32(vec a, vec b)
{
    return _mm256_add_epi32(a, b);
}

MILGI__INLINE vec v_bytes(uint8_t byte)
{
    return _mm256_set1_epi8((char)byte);
}

MILGI__INLINE vec v_reverse(vec x)
{
    const vec order = v_each(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));

    return _mm256_shuffle_epi8(x, order);
}

MILGI__INLINE vec v_round(vec x, vec key)
{
    return _mm256_aesenc_epi128(x, key);
}

MILGI__INLINE vec v_round_last(vec x, vec key)
{
    return _mm256_aesenclast_epi128(x, key);
}

MILGI__INLINE vec v_halves(vec x)
{
    return _mm256_xor_si256(x, _mm256_shuffle_epi32(x, 0x4e));
}

MILGI__INLINE vec v_multiply_low(vec a, vec b)
{
    return _mm256_clmulepi64_epi128(a, b, 0x00);
}

MILGI__INLINE vec v_multiply_high(vec a, vec b)
{
    return _mm256_clmulepi64_epi128(a, b, 0x11);
}

MILGI__INLINE __m128i v_sum(vec x)
{
    return _mm_xor_si128(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}

MILGI__INLINE vec v_load_part(const uint8_t *p, size_t n)
{
    if (n < 16)
        return _mm256_zextsi128_si256(block_load_part(p, n));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(block_load(p)), block_load_part(p + 16, n - 16), 1);
}

MILGI__INLINE void v_store_part(uint8_t *p, vec x, size_t n)
{
    if (n < 16) {
        block_store_part(p, _mm256_castsi256_si128(x), n);
        return;
    }
    block_store(p, _mm256_castsi256_si128(x));
    block_store_part(p + 16, _mm256_extracti128_si256(x, 1), n - 16);
}

MILGI__INLINE void v_store_blocks(uint8_t *p, vec x, size_t n)
{
    if (n > 16)
        v_store(p, x);
    else
        block_store(p, _mm256_castsi256_si128(x));
}

MILGI__INLINE vec v_two(const uint8_t *a, const uint8_t *b)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(block_load(a)), block_load(b), 1);
}

MILGI__INLINE struct products v_two_products(__m128i a, const uint8_t *power_a, __m128i b, const uint8_t *power_b)
{
    vec x = _mm256_set_m128i(b, a);
    vec h = v_two(power_a, power_b);

    return (struct products){ v_multiply_low(x, h), v_multiply_high(x, h),
        v_multiply_low(v_halves(x), v_two(halves_of(power_a), halves_of(power_b))) };
}
