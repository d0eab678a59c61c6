/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AEAD on EVP. A context remembers the key that it was last given, by serial: sealing or opening with the same key
 * again only sets the nonce. Tags travel as parameters of calls that have to be made anyway.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>

#include "crypto/openssl3.h"

#define TAG_LEN 16
/* Up to this length pieces are gathered by a copy, which is cheaper than one more call each. */
#define GATHER_MAX 1024

static const struct {
    uint16_t suite;
    uint8_t key_len;
    const char *name;
} aeads[MILGI__AEAD_SUITES] = {
    { MILGI_SUITE_AES_128_GCM_SHA256, 16, "AES-128-GCM" },
    { MILGI_SUITE_AES_256_GCM_SHA384, 32, "AES-256-GCM" },
    { MILGI_SUITE_CHACHA20_POLY1305_SHA256, 32, "ChaCha20-Poly1305" },
};

int milgi__aead_setup(struct milgi__crypto *cx)
{
    for (size_t i = 0; i < MILGI__AEAD_SUITES; i++) {
        cx->cipher[i] = EVP_CIPHER_fetch(NULL, aeads[i].name, NULL);
        if (cx->cipher[i] == NULL)
            return MILGI__BROKEN;
    }
    return 0;
}

void milgi__aead_teardown(struct milgi__crypto *cx)
{
    for (size_t i = 0; i < MILGI__AEAD_SLOTS; i++) {
        EVP_CIPHER_CTX_free(cx->seal[i].ctx);
        EVP_CIPHER_CTX_free(cx->open[i].ctx);
    }
    for (size_t i = 0; i < MILGI__AEAD_SUITES; i++)
        EVP_CIPHER_free(cx->cipher[i]);
}

/* libcrypto wipes a key schedule when its context is reset. */
static void slot_wipe(struct milgi__aead_slot *slot)
{
    if (slot->ctx != NULL)
        EVP_CIPHER_CTX_reset(slot->ctx);
    slot->serial = 0;
    slot->suite = 0;
}

void milgi__aead_wipe(struct milgi__crypto *cx)
{
    for (size_t i = 0; i < MILGI__AEAD_SLOTS; i++) {
        slot_wipe(&cx->seal[i]);
        slot_wipe(&cx->open[i]);
    }
}

static size_t slot_of(uint64_t serial)
{
    return (size_t)((serial * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (MILGI__AEAD_SLOTS - 1);
}

void milgi__aead_forget(struct milgi__crypto *cx, uint64_t serial)
{
    size_t i = slot_of(serial);

    if (cx->seal[i].serial == serial)
        slot_wipe(&cx->seal[i]);
    if (cx->open[i].serial == serial)
        slot_wipe(&cx->open[i]);
}

/* What |slot| must be told for |key|: NULL where it knows already. false: no such suite. */
static bool slot_needs(struct milgi__crypto *cx, struct milgi__aead_slot *slot, const struct milgi__aead_key *key,
    const EVP_CIPHER **cipher, const uint8_t **raw)
{
    *cipher = NULL;
    *raw = NULL;
    if (slot->serial == key->serial)
        return slot->suite == key->suite;
    size_t i = 0;
    while (i < MILGI__AEAD_SUITES && aeads[i].suite != key->suite)
        i++;
    if (i == MILGI__AEAD_SUITES || key->raw_len != aeads[i].key_len || key->serial == 0)
        return false;
    if (slot->ctx == NULL)
        slot->ctx = EVP_CIPHER_CTX_new();
    if (slot->suite != key->suite)
        *cipher = cx->cipher[i];
    *raw = key->raw;
    return slot->ctx != NULL;
}

static void slot_keyed(struct milgi__aead_slot *slot, const struct milgi__aead_key *key)
{
    slot->serial = key->serial;
    slot->suite = key->suite;
}

/* A context that failed may be in any state. */
static int slot_broken(struct milgi__aead_slot *slot)
{
    slot_wipe(slot);
    return milgi__fail(MILGI__BROKEN);
}

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

/* --- seal ------------------------------------------------------------------------------------------------------- */

static bool encrypt(EVP_CIPHER_CTX *ctx, uint8_t *dst, const uint8_t *src, size_t len)
{
    int n;

    return len == 0 || EVP_EncryptUpdate(ctx, dst, &n, src, (int)len) == 1;
}

/* The plaintext and its tail, which stands in |dst| already. */
static bool encrypt_all(EVP_CIPHER_CTX *ctx, const struct milgi__piece *src, size_t src_n, size_t len, size_t tail,
    uint8_t *dst)
{
    bool in_place = src_n == 1 && src[0].data == dst;

    /* The tail stands behind the data already: with the data in place too, all is one range. */
    if (in_place || len <= GATHER_MAX) {
        gather(src, src_n, dst);
        return encrypt(ctx, dst, dst, len + tail);
    }
    for (size_t i = 0; i < src_n; i++) {
        if (!encrypt(ctx, dst, src[i].data, src[i].len))
            return false;
        dst += src[i].len;
    }
    return encrypt(ctx, dst, dst, tail);
}

int milgi__aead_seal(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst)
{
    struct milgi__aead_slot *slot = &cx->seal[slot_of(key->serial)];
    const EVP_CIPHER *cipher;
    const uint8_t *raw;
    int n;

    if (!slot_needs(cx, slot, key, &cipher, &raw))
        return milgi__fail(MILGI__BROKEN);
    EVP_CIPHER_CTX *ctx = slot->ctx;
    if (EVP_EncryptInit_ex2(ctx, cipher, raw, nonce, NULL) != 1)
        return slot_broken(slot);
    slot_keyed(slot, key);
    if (aad_len > 0 && EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len) != 1)
        return slot_broken(slot);

    size_t len = total(src, src_n);
    size_t tail = 0;
    if (type != 0) {
        tail = 1 + pad;
        dst[len] = type;
        memset(dst + len + 1, 0, pad);
    }
    uint8_t *end = dst + len + tail;
    OSSL_PARAM tag[2] = { OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, end, TAG_LEN),
        OSSL_PARAM_construct_end() };
    if (encrypt_all(ctx, src, src_n, len, tail, dst) && EVP_EncryptFinal_ex(ctx, end, &n) == 1 &&
        EVP_CIPHER_CTX_get_params(ctx, tag) == 1)
        return 0;
    milgi__wipe(dst, len + tail); /* what goes out is ciphertext or nothing */
    return slot_broken(slot);
}

/* --- open ------------------------------------------------------------------------------------------------------- */

static bool decrypt(EVP_CIPHER_CTX *ctx, uint8_t *dst, const uint8_t *src, size_t len)
{
    int n;

    return len == 0 || EVP_DecryptUpdate(ctx, dst, &n, src, (int)len) == 1;
}

static bool decrypt_all(EVP_CIPHER_CTX *ctx, const struct milgi__piece *src, size_t src_n, size_t len, uint8_t *dst)
{
    if (dst != NULL && src_n > 1 && len <= GATHER_MAX) {
        gather(src, src_n, dst);
        return decrypt(ctx, dst, dst, len);
    }
    for (size_t i = 0; i < src_n; i++) {
        if (!decrypt(ctx, dst != NULL ? dst : src[i].data, src[i].data, src[i].len))
            return false;
        if (dst != NULL)
            dst += src[i].len;
    }
    return true;
}

static void wipe_destination(const struct milgi__piece *src, size_t src_n, size_t len, uint8_t *dst)
{
    if (dst != NULL) {
        milgi__wipe(dst, len);
        return;
    }
    for (size_t i = 0; i < src_n; i++)
        milgi__wipe(src[i].data, src[i].len);
}

int milgi__aead_open(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst)
{
    struct milgi__aead_slot *slot = &cx->open[slot_of(key->serial)];
    size_t len = total(src, src_n);
    const EVP_CIPHER *cipher;
    const uint8_t *raw;
    uint8_t expected[TAG_LEN];
    uint8_t end[TAG_LEN];
    int n;

    if (!slot_needs(cx, slot, key, &cipher, &raw))
        return milgi__fail(MILGI__BROKEN);
    memcpy(expected, tag, TAG_LEN);
    OSSL_PARAM params[2] = { OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, expected, TAG_LEN),
        OSSL_PARAM_construct_end() };
    EVP_CIPHER_CTX *ctx = slot->ctx;
    if (EVP_DecryptInit_ex2(ctx, cipher, raw, nonce, params) != 1)
        return slot_broken(slot);
    slot_keyed(slot, key);
    if ((aad_len > 0 && EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len) != 1) ||
        !decrypt_all(ctx, src, src_n, len, dst)) {
        wipe_destination(src, src_n, len, dst);
        return slot_broken(slot);
    }
    if (EVP_DecryptFinal_ex(ctx, end, &n) == 1)
        return 0;
    wipe_destination(src, src_n, len, dst);
    return milgi__fail(MILGI__BAD);
}
