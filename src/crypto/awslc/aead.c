/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AEAD with EVP_AEAD, whose contexts are plain memory. One remembers the key that it was last given, by serial: sealing
 * or opening with the same key again takes one call.
 */
#include <openssl/err.h>

#include "crypto/awslc/awslc.h"

#define NONCE_LEN 12
#define TAG_LEN 16
#define TAIL_MAX 64 /* type and padding up to this length go in beside the plaintext */

/* AWS-LC has AES-GCM by AES-NI and by AVX-512, which is the better with the longest records. */
const size_t milgi__kernel_up_to[MILGI__GCM_KINDS] = {
    [MILGI__GCM_AESNI] = SIZE_MAX, [MILGI__GCM_VAES256] = SIZE_MAX, [MILGI__GCM_VAES512] = 8192
};

/* --- contexts --------------------------------------------------------------------------------------------------- */

static void slot_wipe(struct milgi__flavour *own, size_t at)
{
    EVP_AEAD_CTX_cleanup(&own->slots[at].ctx);
    milgi__wipe(&own->slots[at], sizeof own->slots[at]);
    own->serials[at] = 0;
}

void milgi__aead_wipe(struct milgi__flavour *own)
{
    for (size_t i = 0; i < MILGI__AEAD_SLOTS; i++) {
        if (own->serials[i] != 0)
            slot_wipe(own, i);
    }
    milgi__free_wiped(own->gathered, own->gathered_len);
    own->gathered = NULL;
    own->gathered_len = 0;
}

static size_t slot_of(uint64_t serial)
{
    return (size_t)((serial * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (MILGI__AEAD_SLOTS - 1);
}

void milgi__aead_forget(struct milgi__crypto *cx, uint64_t serial)
{
    size_t at = slot_of(serial);

    milgi__kernel_forget(cx->kernel, serial);
    if (cx->own->serials[at] == serial && serial != 0)
        slot_wipe(cx->own, at);
}

static const EVP_AEAD *algorithm_of(uint16_t suite)
{
    switch (suite) {
    case MILGI_SUITE_AES_128_GCM_SHA256: return EVP_aead_aes_128_gcm();
    case MILGI_SUITE_AES_256_GCM_SHA384: return EVP_aead_aes_256_gcm();
    case MILGI_SUITE_CHACHA20_POLY1305_SHA256: return EVP_aead_chacha20_poly1305();
    default: return NULL;
    }
}

/* The context that has |key|. NULL: no such suite, or a serial that stood for a key of another suite. */
static const EVP_AEAD_CTX *keyed(struct milgi__crypto *cx, const struct milgi__aead_key *key)
{
    size_t at = slot_of(key->serial);
    uint64_t *serial = &cx->own->serials[at];
    struct milgi__aead_slot *slot = &cx->own->slots[at];

    if (*serial == key->serial && *serial != 0)
        return slot->suite == key->suite ? &slot->ctx : NULL;
    const EVP_AEAD *algorithm = algorithm_of(key->suite);
    if (!algorithm || key->serial == 0 || key->raw_len != EVP_AEAD_key_length(algorithm))
        return NULL;
    if (*serial != 0)
        slot_wipe(cx->own, at);
    if (EVP_AEAD_CTX_init(&slot->ctx, algorithm, key->raw, key->raw_len, TAG_LEN, NULL) != 1) {
        slot_wipe(cx->own, at);
        return NULL;
    }
    *serial = key->serial;
    slot->suite = key->suite;
    return &slot->ctx;
}

/* --- pieces ----------------------------------------------------------------------------------------------------- */

static size_t total(const struct milgi__piece *src, size_t src_n)
{
    size_t len = 0;

    for (size_t i = 0; i < src_n; i++)
        len += src[i].len;
    return len;
}

static void gather(const struct milgi__piece *src, size_t src_n, uint8_t *dst)
{
    for (size_t i = 0; i < src_n; i++) {
        if (src[i].len > 0 && src[i].data != dst)
            memmove(dst, src[i].data, src[i].len);
        dst += src[i].len;
    }
}

static void scatter(const struct milgi__piece *dst, size_t dst_n, const uint8_t *src)
{
    for (size_t i = 0; i < dst_n; i++) {
        if (dst[i].len > 0)
            memcpy(dst[i].data, src, dst[i].len);
        src += dst[i].len;
    }
}

/* --- seal ------------------------------------------------------------------------------------------------------- */

int milgi__aead_seal(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst)
{
    int rv = milgi__kernel_seal(cx->kernel, key, nonce, aad, aad_len, src, src_n, type, pad, dst);

    if (rv != MILGI__NOT_MINE)
        return rv;
    const EVP_AEAD_CTX *ctx = keyed(cx, key);
    size_t len = total(src, src_n), n, extra = type != 0 ? 1 + pad : 0;
    uint8_t tail[TAIL_MAX];
    const uint8_t *from = dst;
    if (!ctx)
        return milgi__fail(MILGI__BROKEN);
    if (src_n == 1 && src[0].data != dst && extra <= TAIL_MAX) {
        from = src[0].data;
        memset(tail, 0, extra);
        tail[0] = type;
    } else { /* all in one range */
        gather(src, src_n, dst);
        memset(dst + len, 0, extra);
        if (extra > 0)
            dst[len] = type;
        len += extra;
        extra = 0;
    }
    if (EVP_AEAD_CTX_seal_scatter(ctx, dst, dst + len, &n, extra + TAG_LEN, nonce, NONCE_LEN, from, len, tail, extra,
            aad, aad_len) == 1)
        return 0;
    milgi__wipe(dst, len + extra); /* what goes out is ciphertext or nothing */
    return milgi__fail(MILGI__BROKEN);
}

/* --- open ------------------------------------------------------------------------------------------------------- */

/* Room for |len| bytes. */
static uint8_t *room(struct milgi__flavour *own, size_t len)
{
    if (own->gathered_len < len) {
        milgi__free_wiped(own->gathered, own->gathered_len);
        own->gathered = milgi__alloc_raw(len);
        own->gathered_len = own->gathered ? len : 0;
    }
    return own->gathered;
}

/* A failure is BAD: with everything set up a tag that is wrong is the one way to fail. It wipes |dst|. */
static int open_range(const EVP_AEAD_CTX *ctx, const uint8_t *nonce, const uint8_t *aad, size_t aad_len,
    const uint8_t *src, size_t len, const uint8_t *tag, uint8_t *dst)
{
    int opened = EVP_AEAD_CTX_open_gather(ctx, dst, nonce, NONCE_LEN, src, len, tag, TAG_LEN, aad, aad_len);

    return opened == 1 ? 0 : milgi__fail(MILGI__BAD);
}

static int open_pieces(struct milgi__crypto *cx, const EVP_AEAD_CTX *ctx, const uint8_t *nonce, const uint8_t *aad,
    size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t *tag)
{
    size_t len = total(src, src_n);
    uint8_t *all = room(cx->own, len);

    if (!all)
        return MILGI__BROKEN;
    gather(src, src_n, all);
    int result = open_range(ctx, nonce, aad, aad_len, all, len, tag, all);
    scatter(src, src_n, all); /* zeros, when it failed */
    milgi__wipe(all, len);
    return result;
}

int milgi__aead_open(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst)
{
    static const struct milgi__piece nothing = { .data = NULL };
    int rv = milgi__kernel_open(cx->kernel, key, nonce, aad, aad_len, src, src_n, tag, dst);

    if (rv != MILGI__NOT_MINE)
        return rv;
    const EVP_AEAD_CTX *ctx = keyed(cx, key);
    if (!ctx)
        return milgi__fail(MILGI__BROKEN);
    if (total(src, src_n) == 0) {
        src = &nothing;
        src_n = 1;
    }
    if (src_n == 1)
        return open_range(ctx, nonce, aad, aad_len, src->data, src->len, tag, dst ? dst : src->data);
    if (!dst)
        return open_pieces(cx, ctx, nonce, aad, aad_len, src, src_n, tag);
    gather(src, src_n, dst);
    return open_range(ctx, nonce, aad, aad_len, dst, total(src, src_n), tag, dst);
}
