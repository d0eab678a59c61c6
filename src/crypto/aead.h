/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing and opening records. */
#pragma once

#include "crypto/context.h"

struct milgi_op_record;

struct milgi__aead_key {
    uint64_t serial; /* identifies the key for reuse of its context */
    uint16_t suite;
    uint8_t raw_len;
    const uint8_t *raw;
};

struct milgi__piece {
    uint8_t *data;
    size_t len;
};

/* A record with a key of its own: the arguments of milgi__aead_seal() or milgi__aead_open(). */
struct milgi__aead_record {
    struct milgi__aead_key key;
    const uint8_t *nonce, *aad;
    size_t aad_len;
    const struct milgi__piece *src;
    size_t src_n;
    uint8_t type;       /* sealing */
    size_t pad;         /* sealing */
    const uint8_t *tag; /* opening */
    uint8_t *dst;
};

/*
 * Writes sum(src) + (type ? 1 + pad : 0) bytes and the 16 byte tag to |dst|, which may be src[0].data (then src_n is
 * 1).
 */
int milgi__aead_seal(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst);
/* Opens the pieces to |dst|, or in place when dst is NULL. On MILGI__BAD the destination is wiped. */
int milgi__aead_open(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst);
#define MILGI__AEAD_MANY 32u /* the most that are done together */
/*
 * Seals or opens together as many of the |n| records of one key as can be, from the first on, each as the functions
 * above would: how many these are, with what those would have returned in |verdicts|. 0: the first has to be done by
 * itself.
 */
unsigned milgi__aead_many(struct milgi__crypto *cx, const struct milgi__aead_key *key, bool seal,
    const struct milgi_op_record *records, unsigned n, int8_t verdicts[MILGI__AEAD_MANY]);
/* The same of records with a key each, of which several may have the same. */
unsigned milgi__aead_each(struct milgi__crypto *cx, bool seal, const struct milgi__aead_record *records, unsigned n,
    int8_t verdicts[MILGI__AEAD_MANY]);
void milgi__aead_forget(struct milgi__crypto *cx, uint64_t serial);
