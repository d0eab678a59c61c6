/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of one block: AES-NI, PCLMULQDQ and SSE 4.1. What the functions do is said here for the wider ones, too. */
#pragma once

#include "crypto/kernel/block.h"

#define LANES 1   /* blocks in a vector */
#define VECTORS 8 /* in a batch: enough of them to hide what a round of AES takes */

typedef __m128i vec;

struct products {
    vec low, high, middle;
};

MILGI__INLINE vec v_load(const void *p)
{
    return _mm_loadu_si128(p);
}

MILGI__INLINE void v_store(void *p, vec x)
{
    _mm_storeu_si128(p, x);
}

/* A block in each lane. */
MILGI__INLINE vec v_each(__m128i block)
{
    return block;
}

MILGI__INLINE vec v_load_each(const void *p)
{
    return _mm_loadu_si128(p);
}

/* In the first lane, zeros in the others. */
MILGI__INLINE vec v_first(__m128i block)
{
    return block;
}

MILGI__INLINE vec v_xor(vec a, vec b)
{
    return _mm_xor_si128(a, b);
}

/*
 * The same, computed here: else the compiler turns a chain of additions, of which one is under way at a time, into a
 * tree of which all are, and has not registers enough.
 */
MILGI__INLINE vec v_now(vec x)
{
    __asm__(""
            : "+x"(x));
    return x;
}

MILGI__INLINE vec v_and(vec a, vec b)
{
    return _mm_and_si128(a, b);
}

/* Of |b| where |mask| has ones, of |a| where it has zeros. */
MILGI__INLINE vec v_choose(vec a, vec b, vec mask)
{
    return _mm_blendv_epi8(a, b, mask);
}

MILGI__INLINE vec v_add32(vec a, vec b)
{
    return _mm_add_epi32(a, b);
}

MILGI__INLINE vec v_bytes(uint8_t byte)
{
    return _mm_set1_epi8((char)byte);
}

/* The bytes of each block. */
MILGI__INLINE vec v_reverse(vec x)
{
    return block_reverse(x);
}

MILGI__INLINE vec v_round(vec x, vec key)
{
    return _mm_aesenc_si128(x, key);
}

MILGI__INLINE vec v_round_last(vec x, vec key)
{
    return _mm_aesenclast_si128(x, key);
}

MILGI__INLINE vec v_halves(vec x)
{
    return block_halves(x);
}

MILGI__INLINE vec v_multiply_low(vec a, vec b)
{
    return _mm_clmulepi64_si128(a, b, 0x00);
}

MILGI__INLINE vec v_multiply_high(vec a, vec b)
{
    return _mm_clmulepi64_si128(a, b, 0x11);
}

/* Of all lanes. */
MILGI__INLINE __m128i v_sum(vec x)
{
    return x;
}

/* |n| bytes, less than a vector, and zeros behind them. */
MILGI__INLINE vec v_load_part(const uint8_t *p, size_t n)
{
    return block_load_part(p, n);
}

MILGI__INLINE void v_store_part(uint8_t *p, vec x, size_t n)
{
    block_store_part(p, x, n);
}

/* At least |n| bytes, 1 to a vector, at most up to the end of a block. */
MILGI__INLINE void v_store_blocks(uint8_t *p, vec x, size_t n)
{
    (void)n;
    v_store(p, x);
}

/* a * power_a + b * power_b, not summed up. */
MILGI__INLINE struct products v_two_products(__m128i a, const uint8_t *power_a, __m128i b, const uint8_t *power_b)
{
    struct product p = block_product(a, block_load(power_a), block_load(halves_of(power_a)));
    struct product q = block_product(b, block_load(power_b), block_load(halves_of(power_b)));
    struct product sum = product_add(p, q);

    return (struct products){ sum.low, sum.high, sum.middle };
}
