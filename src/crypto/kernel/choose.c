/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a thread, expanded, and the choice between kernel and crypto library. */
#include <milgi/op.h>

#include "base/base.h"

#include "crypto/kernel/gcm.h"

#define SLOTS 64       /* a power of two; no more than bits in a word */
#define BRIEF_MAX 128u /* of a record that wide vectors have no gain from */

struct milgi__kernel {
    const struct milgi__gcm_kernel *gcm, *brief; /* for records of at most BRIEF_MAX */
    size_t up_to;
    uint64_t serials[SLOTS]; /* of |keys|, apart: they are asked for more often. 0: none */
    uint16_t suites[SLOTS];
    struct milgi__gcm_key *keys; /* in |room| */
    uint8_t room[SLOTS * sizeof(struct milgi__gcm_key) + MILGI__GCM_LINE - 1];
};

bool milgi__kernel_off;

/*
 * A record of 64 bytes takes 28 ns by 512 bits, most of which it leaves empty, and 24 by 256 (scripts/bench kernel).
 * Keys are the same for all kernels.
 */
static const struct milgi__gcm_kernel *for_brief(const struct milgi__gcm_kernel *best)
{
    for (size_t i = 0; best->kind == MILGI__GCM_VAES512 && milgi__gcm_kernels[i]; i++) {
        if (milgi__gcm_kernels[i]->kind == MILGI__GCM_VAES256 && milgi__gcm_kernels[i]->usable())
            return milgi__gcm_kernels[i];
    }
    return best;
}

struct milgi__kernel *milgi__kernel_new(const size_t up_to[MILGI__GCM_KINDS])
{
    const struct milgi__gcm_kernel *best = milgi__kernel_off ? NULL : milgi__gcm_best();
    struct milgi__kernel *k = best && up_to[best->kind] > 0 ? milgi__alloc(sizeof *k) : NULL;

    if (k) {
        k->gcm = best;
        k->brief = for_brief(best);
        k->up_to = up_to[best->kind];
        k->keys = (struct milgi__gcm_key *)(void *)(k->room + -(uintptr_t)k->room % MILGI__GCM_LINE);
    }
    return k;
}

void milgi__kernel_wipe(struct milgi__kernel *k)
{
    for (size_t i = 0; k && i < SLOTS; i++) {
        if (k->serials[i] != 0)
            milgi__wipe(&k->keys[i], sizeof k->keys[i]);
        k->serials[i] = 0;
    }
}

void milgi__kernel_free(struct milgi__kernel *k)
{
    milgi__kernel_wipe(k);
    milgi__free(k);
}

static size_t slot_of(uint64_t serial)
{
    return (size_t)((serial * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (SLOTS - 1);
}

void milgi__kernel_forget(struct milgi__kernel *k, uint64_t serial)
{
    size_t at = slot_of(serial);

    if (!k || serial == 0 || k->serials[at] != serial)
        return;
    milgi__wipe(&k->keys[at], sizeof k->keys[at]);
    k->serials[at] = 0;
}

/* 0: *|found| is the key; MILGI__NOT_MINE; MILGI__BROKEN: a serial that stood for a key of another suite. */
static int find(struct milgi__kernel *k, const struct milgi__aead_key *key, const struct milgi__gcm_key **found)
{
    size_t len = key->suite == MILGI_SUITE_AES_128_GCM_SHA256 ? 16
        : key->suite == MILGI_SUITE_AES_256_GCM_SHA384        ? 32
                                                              : 0;
    size_t at = slot_of(key->serial);

    if (k->serials[at] == key->serial && k->suites[at] != key->suite && key->serial != 0)
        return MILGI__BROKEN;
    if (len == 0 || key->raw_len != len || key->serial == 0)
        return MILGI__NOT_MINE;
    if (k->serials[at] != key->serial) {
        k->gcm->key_init(&k->keys[at], key->raw, len);
        k->serials[at] = key->serial;
        k->suites[at] = key->suite;
    }
    *found = &k->keys[at];
    return 0;
}

static size_t length_of(const struct milgi__piece *src, size_t src_n)
{
    size_t len = 0;

    for (size_t i = 0; i < src_n; i++)
        len += src[i].len;
    return len;
}

/* The kernel for a record; NULL: it is too long. */
static const struct milgi__gcm_kernel *kernel_for(
    const struct milgi__kernel *k, const struct milgi__piece *src, size_t src_n)
{
    size_t len = length_of(src, src_n);

    if (len > k->up_to)
        return NULL;
    return len <= BRIEF_MAX ? k->brief : k->gcm;
}

int milgi__kernel_seal(struct milgi__kernel *k, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst)
{
    struct milgi__gcm_record r = { .nonce = nonce,
        .aad = aad,
        .aad_len = aad_len,
        .src = src,
        .src_n = src_n,
        .dst = dst,
        .type = type,
        .pad = pad };

    const struct milgi__gcm_kernel *gcm = k ? kernel_for(k, src, src_n) : NULL;
    if (!gcm)
        return MILGI__NOT_MINE;
    int rv = find(k, key, &r.key);
    if (rv == 0)
        gcm->seal(&r, 1);
    return rv;
}

int milgi__kernel_open(struct milgi__kernel *k, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst)
{
    struct milgi__gcm_record r = {
        .nonce = nonce, .aad = aad, .aad_len = aad_len, .src = src, .src_n = src_n, .dst = dst, .tag = tag
    };
    int8_t verdict;

    const struct milgi__gcm_kernel *gcm = k ? kernel_for(k, src, src_n) : NULL;
    if (!gcm)
        return MILGI__NOT_MINE;
    int rv = find(k, key, &r.key);
    if (rv != 0)
        return rv;
    milgi__gcm_open(gcm, &r, 1, &verdict);
    return verdict;
}

static void run(const struct milgi__gcm_kernel *gcm, bool seal, struct milgi__gcm_record *records, unsigned n,
    int8_t verdicts[MILGI__AEAD_MANY])
{
    if (!seal) {
        milgi__gcm_open(gcm, records, n, verdicts);
        return;
    }
    gcm->seal(records, n);
    memset(verdicts, 0, n);
}

unsigned milgi__kernel_many(struct milgi__kernel *k, const struct milgi__aead_key *key, bool seal,
    const struct milgi_op_record *records, unsigned n, int8_t verdicts[MILGI__AEAD_MANY])
{
    struct milgi__gcm_record all[MILGI__AEAD_MANY];
    struct milgi__piece src[MILGI__AEAD_MANY];
    const struct milgi__gcm_key *expanded;
    unsigned i;

    if (!k || n == 0 || records->len > k->up_to || find(k, key, &expanded) != 0)
        return 0;
    /* Those that follow go with the first. */
    bool brief = records->len <= BRIEF_MAX;
    const struct milgi__gcm_kernel *gcm = brief ? k->brief : k->gcm;
    size_t most = brief ? MILGI__MIN(BRIEF_MAX, k->up_to) : k->up_to;
    for (i = 0; i < n && i < MILGI__AEAD_MANY && records[i].len <= most; i++) {
        const struct milgi_op_record *r = &records[i];
        src[i] = (struct milgi__piece){ r->src, r->len };
        all[i] = (struct milgi__gcm_record){ .key = expanded,
            .nonce = r->nonce,
            .aad = r->aad,
            .aad_len = r->aad_len,
            .src = &src[i],
            .src_n = 1,
            .dst = r->dst,
            .type = r->inner_type,
            .pad = r->pad_len,
            .tag = r->src + r->len };
    }
    run(gcm, seal, all, i, verdicts);
    return i;
}

unsigned milgi__kernel_each(struct milgi__kernel *k, bool seal, const struct milgi__aead_record *records, unsigned n,
    int8_t verdicts[MILGI__AEAD_MANY])
{
    struct milgi__gcm_record all[MILGI__AEAD_MANY];
    uint64_t taken = 0; /* slots, of keys that this call needs */
    unsigned i;

    if (!k || n == 0)
        return 0;
    bool brief = length_of(records->src, records->src_n) <= BRIEF_MAX;
    size_t most = brief ? MILGI__MIN(BRIEF_MAX, k->up_to) : k->up_to;
    for (i = 0; i < n && i < MILGI__AEAD_MANY; i++) {
        const struct milgi__aead_record *r = &records[i];
        size_t at = slot_of(r->key.serial);
        bool pushes_out = (taken >> at & 1) && k->serials[at] != r->key.serial;
        const struct milgi__gcm_key *expanded;
        if (pushes_out || length_of(r->src, r->src_n) > most || find(k, &r->key, &expanded) != 0)
            break;
        taken |= UINT64_C(1) << at;
        all[i] = (struct milgi__gcm_record){ .key = expanded,
            .nonce = r->nonce,
            .aad = r->aad,
            .aad_len = r->aad_len,
            .src = r->src,
            .src_n = r->src_n,
            .dst = r->dst,
            .type = r->type,
            .pad = r->pad,
            .tag = r->tag };
    }
    if (i > 0)
        run(brief ? k->brief : k->gcm, seal, all, i, verdicts);
    return i;
}
