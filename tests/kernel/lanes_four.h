/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors of four blocks made of four registers of one: what lanes512.h has, for processors without AVX-512. So the
 * text of the kernels is tried with four lanes, too.
 */
#pragma once

#include "crypto/kernel/block.h"

#define LANES 4
#define VECTORS 4

typedef struct {
    __m128i at[LANES];
} vec;

struct products {
    vec low, high, middle;
};

#define EACH(expression) \
    vec out; \
    for (unsigned i = 0; i < LANES; i++) \
        out.at[i] = (expression); \
    return out

MILGI__INLINE vec v_load(const void *p)
{
    EACH(block_load((const uint8_t *)p + (size_t)16 * i));
}

MILGI__INLINE void v_store(void *p, vec x)
{
    memcpy(p, &x, sizeof x);
}

MILGI__INLINE vec v_each(__m128i block)
{
    EACH(block);
}

MILGI__INLINE vec v_load_each(const void *p)
{
    EACH(block_load(p));
}

MILGI__INLINE vec v_first(__m128i block)
{
    EACH(i == 0 ? block : _mm_setzero_si128());
}

MILGI__INLINE vec v_xor(vec a, vec b)
{
    EACH(_mm_xor_si128(a.at[i], b.at[i]));
}

MILGI__INLINE vec v_now(vec x)
{
    return x;
}

MILGI__INLINE vec v_and(vec a, vec b)
{
    EACH(_mm_and_si128(a.at[i], b.at[i]));
}

MILGI__INLINE vec v_choose(vec a, vec b, vec mask)
{
    EACH(_mm_blendv_epi8(a.at[i], b.at[i], mask.at[i]));
}

MILGI__INLINE vec v_add32(vec a, vec b)
{
    EACH(_mm_add_epi32(a.at[i], b.at[i]));
}

MILGI__INLINE vec v_bytes(uint8_t byte)
{
    EACH(_mm_set1_epi8((char)byte));
}

MILGI__INLINE vec v_reverse(vec x)
{
    EACH(block_reverse(x.at[i]));
}

MILGI__INLINE vec v_round(vec x, vec key)
{
    EACH(_mm_aesenc_si128(x.at[i], key.at[i]));
}

MILGI__INLINE vec v_round_last(vec x, vec key)
{
    EACH(_mm_aesenclast_si128(x.at[i], key.at[i]));
}

MILGI__INLINE vec v_halves(vec x)
{
    EACH(block_halves(x.at[i]));
}

MILGI__INLINE vec v_multiply_low(vec a, vec b)
{
    EACH(_mm_clmulepi64_si128(a.at[i], b.at[i], 0x00));
}

MILGI__INLINE vec v_multiply_high(vec a, vec b)
{
    EACH(_mm_clmulepi64_si128(a.at[i], b.at[i], 0x11));
}

MILGI__INLINE __m128i v_sum(vec x)
{
    return _mm_xor_si128(_mm_xor_si128(x.at[0], x.at[1]), _mm_xor_si128(x.at[2], x.at[3]));
}

MILGI__INLINE vec v_load_part(const uint8_t *p, size_t n)
{
    vec out = v_each(_mm_setzero_si128());

    memcpy(&out, p, n);
    return out;
}

MILGI__INLINE void v_store_part(uint8_t *p, vec x, size_t n)
{
    memcpy(p, &x, n);
}

MILGI__INLINE void v_store_blocks(uint8_t *p, vec x, size_t n)
{
    memcpy(p, &x, n);
}

MILGI__INLINE vec v_two(__m128i a, __m128i b)
{
    vec out = v_first(a);

    out.at[1] = b;
    return out;
}

MILGI__INLINE struct products v_two_products(__m128i a, const uint8_t *power_a, __m128i b, const uint8_t *power_b)
{
    vec x = v_two(a, b);
    vec h = v_two(block_load(power_a), block_load(power_b));
    vec halves = v_two(block_load(halves_of(power_a)), block_load(halves_of(power_b)));

    return (struct products){ v_multiply_low(x, h), v_multiply_high(x, h), v_multiply_low(v_halves(x), halves) };
}
