/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small blocks of memory that are needed for a while, by one thread: what was given back serves the next of its size.
 * Kept is so much and no more, and only what the last periods needed.
 */
#pragma once

#include "base/base.h"

#define MILGI__BLOCK_MAX 2040u          /* longer ones go to the heap and back */
#define MILGI__BLOCKS_KEPT (128u << 10) /* bytes */
#define MILGI__BLOCKS_LEFT (16u << 10)  /* so few that nobody is woken to free them */
#define MILGI__BLOCK_SIZES 128u         /* 8, 24, 40, ...: as malloc() has them, so that none takes more of the heap */

struct milgi__block;

/* All zeros: none is kept. */
struct milgi__blocks {
    struct milgi__block *kept[MILGI__BLOCK_SIZES];
    uint16_t n[MILGI__BLOCK_SIZES];
    uint16_t least[MILGI__BLOCK_SIZES]; /* that were kept since the period began: what it did not need */
    size_t bytes;                       /* of those that are kept */
    bool closed;                        /* keeps none */
};

/* Not zeroed; NULL: none. */
void *milgi__block_take(struct milgi__blocks *b, size_t size);
/* The same, zeroed. */
void *milgi__block_zeroed(struct milgi__blocks *b, size_t size);
/* |size| as it was taken. Secrets in it have been wiped. */
void milgi__block_give(struct milgi__blocks *b, void *p, size_t size);
void milgi__block_give_wiped(struct milgi__blocks *b, void *p, size_t size);
/* Frees up to |max| of those that the period did not need; true: there are more. Else the next period begins. */
bool milgi__blocks_trim(struct milgi__blocks *b, unsigned max);
void milgi__blocks_close(struct milgi__blocks *b);
