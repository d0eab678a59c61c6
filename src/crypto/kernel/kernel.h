/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which records are done by a kernel of this directory and which by the crypto library. A flavour asks here first:
 * MILGI__NOT_MINE means that it has to do the record itself.
 */
#pragma once

#include "crypto/aead.h"

#define MILGI__NOT_MINE 2

/* The kernels, as rows of a flavour's table. */
enum milgi__gcm_kind {
    MILGI__GCM_AESNI,
    MILGI__GCM_VAES256,
    MILGI__GCM_VAES512,
    MILGI__GCM_KINDS
};

/*
 * A flavour's: the longest record, as bytes of input, that a kernel does in no more time than its library; 0: none.
 * `bench kernel` measures it.
 */
extern const size_t milgi__kernel_up_to[MILGI__GCM_KINDS];

/* For tests and benchmarks: what is made while it is set leaves all to the library. */
extern bool milgi__kernel_off;

/* The keys that a thread has used last, ready for the kernel that is the best here. NULL will do everywhere below. */
struct milgi__kernel;

/* NULL: no kernel can be used here or gains anything, or there is no memory; the library does it all. */
struct milgi__kernel *milgi__kernel_new(const size_t up_to[MILGI__GCM_KINDS]);
void milgi__kernel_free(struct milgi__kernel *k);
void milgi__kernel_wipe(struct milgi__kernel *k); /* every key */
void milgi__kernel_forget(struct milgi__kernel *k, uint64_t serial);

/* As milgi__aead_seal() and milgi__aead_open(), or MILGI__NOT_MINE. */
int milgi__kernel_seal(struct milgi__kernel *k, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst);
int milgi__kernel_open(struct milgi__kernel *k, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst);
/* As milgi__aead_many(). */
unsigned milgi__kernel_many(struct milgi__kernel *k, const struct milgi__aead_key *key, bool seal,
    const struct milgi_op_record *records, unsigned n, int8_t verdicts[MILGI__AEAD_MANY]);
/* As milgi__aead_each(). */
unsigned milgi__kernel_each(struct milgi__kernel *k, bool seal, const struct milgi__aead_record *records, unsigned n,
    int8_t verdicts[MILGI__AEAD_MANY]);
