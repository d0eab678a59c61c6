/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-GCM for records by instructions of the processor: kernels, which differ in the instructions that they are made
 * of. docs/internals/aesgcm.md tells how they work.
 */
#pragma once

#include "crypto/kernel/kernel.h"

#define MILGI__GCM_ROUNDS 14 /* of AES-256 */
#define MILGI__GCM_POWERS 18
#define MILGI__GCM_BATCH 256 /* the most that a kernel takes at once: a record's input in several pieces is cut so */

/*
 * A key, the same for all kernels. It has no pointers; its owner wipes it. It fills lines of the cache: in one that
 * begins with a line the 16th power does, too, from which on whole batches are multiplied, and no vector lies in two.
 */
#define MILGI__GCM_LINE 64u
struct milgi__gcm_key {
    uint32_t rounds; /* 10 or 14 */
    uint32_t spare[7];
    /* Powers of the hash key, highest first, and the sum of each one's halves, twice; zero blocks behind them. */
    uint8_t power[MILGI__GCM_POWERS + 6][16];
    uint8_t halves[MILGI__GCM_POWERS + 6][16];
    uint8_t round[MILGI__GCM_ROUNDS + 4][16];
};
_Static_assert(sizeof(struct milgi__gcm_key) % MILGI__GCM_LINE == 0, "keys side by side begin with lines");
_Static_assert(offsetof(struct milgi__gcm_key, power[MILGI__GCM_POWERS - 16]) % MILGI__GCM_LINE == 0 &&
        offsetof(struct milgi__gcm_key, halves[MILGI__GCM_POWERS - 16]) % MILGI__GCM_LINE == 0,
    "powers of a whole batch begin with a line");

/*
 * A record. Sealing writes the ciphertext of src || type || pad zeros (type 0: neither) and the tag to |dst|, which may
 * be src[0].data when src_n is 1. Opening writes the plaintext to |dst| (one piece may be opened over itself), or, when
 * it is NULL, over each piece.
 */
struct milgi__gcm_record {
    const struct milgi__gcm_key *key;
    const uint8_t *nonce; /* 12 bytes */
    const uint8_t *aad;
    size_t aad_len;
    const struct milgi__piece *src;
    size_t src_n;
    uint8_t *dst;
    uint8_t type;       /* sealing */
    size_t pad;         /* sealing */
    const uint8_t *tag; /* opening: 16 bytes */
    uint8_t diff[16];   /* opening: zeros when the tag is right */
};

/*
 * Any number of records, of one key or of several. |seal| and |open| do nothing that takes longer or touches other
 * memory for other contents; |open| leaves its verdicts in |diff|, and plaintext whatever they are.
 */
struct milgi__gcm_kernel {
    const char *name;
    enum milgi__gcm_kind kind;
    bool (*usable)(void);                                                         /* on this processor and system */
    void (*key_init)(struct milgi__gcm_key *key, const uint8_t *raw, size_t len); /* 16 or 32 bytes */
    void (*seal)(struct milgi__gcm_record *records, size_t n);
    void (*open)(struct milgi__gcm_record *records, size_t n);
};

extern const struct milgi__gcm_kernel milgi__gcm_aesni, milgi__gcm_vaes256, milgi__gcm_vaes512;

/* aesni.c, for all kernels. */
void milgi__gcm_key_init(struct milgi__gcm_key *key, const uint8_t *raw, size_t len);

/* The kernels of this build, from the least to the best; NULL behind them. */
extern const struct milgi__gcm_kernel *const milgi__gcm_kernels[];
/* The best that can be used here; NULL: none. */
const struct milgi__gcm_kernel *milgi__gcm_best(void);

/*
 * Opens, judges and wipes what was not authentic. |verdicts|, one for each record: 0 or MILGI__BAD. Returns how many
 * were bad.
 */
size_t milgi__gcm_open(
    const struct milgi__gcm_kernel *kernel, struct milgi__gcm_record *records, size_t n, int8_t *verdicts);
