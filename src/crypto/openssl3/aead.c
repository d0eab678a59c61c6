/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AEAD with the functions of libcrypto's provider (provider-cipher(7)). A context remembers the key that it was last
 * given, by serial: sealing or opening with the same key again only sets the nonce. Tags travel as parameters of calls
 * that have to be made anyway.
 */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include "crypto/openssl3/openssl3.h"

#define NONCE_LEN 12
#define TAG_LEN 16
/* Up to this length pieces are gathered by a copy, which is cheaper than one more call each. */
#define GATHER_MAX 1024

struct milgi__cipher {
    uint16_t suite;
    uint8_t key_len;
    EVP_CIPHER *fetched; /* keeps the provider */
    void *provider;      /* its context */
    OSSL_FUNC_cipher_newctx_fn *ctx_new;
    OSSL_FUNC_cipher_freectx_fn *ctx_free; /* wipes */
    OSSL_FUNC_cipher_encrypt_init_fn *encrypt_init;
    OSSL_FUNC_cipher_decrypt_init_fn *decrypt_init;
    OSSL_FUNC_cipher_update_fn *update;
    OSSL_FUNC_cipher_final_fn *final;
    OSSL_FUNC_cipher_get_ctx_params_fn *get_params;
};

/* --- set-up ----------------------------------------------------------------------------------------------------- */

static void find_functions(struct milgi__cipher *c, const OSSL_DISPATCH *f)
{
    for (; f->function_id != 0; f++) {
        switch (f->function_id) {
        case OSSL_FUNC_CIPHER_NEWCTX: c->ctx_new = OSSL_FUNC_cipher_newctx(f); break;
        case OSSL_FUNC_CIPHER_FREECTX: c->ctx_free = OSSL_FUNC_cipher_freectx(f); break;
        case OSSL_FUNC_CIPHER_ENCRYPT_INIT: c->encrypt_init = OSSL_FUNC_cipher_encrypt_init(f); break;
        case OSSL_FUNC_CIPHER_DECRYPT_INIT: c->decrypt_init = OSSL_FUNC_cipher_decrypt_init(f); break;
        case OSSL_FUNC_CIPHER_UPDATE: c->update = OSSL_FUNC_cipher_update(f); break;
        case OSSL_FUNC_CIPHER_FINAL: c->final = OSSL_FUNC_cipher_final(f); break;
        case OSSL_FUNC_CIPHER_GET_CTX_PARAMS: c->get_params = OSSL_FUNC_cipher_get_ctx_params(f); break;
        default: break;
        }
    }
}

static bool cipher_setup(struct milgi__cipher *c, uint16_t suite, uint8_t key_len, const char *name)
{
    c->suite = suite;
    c->key_len = key_len;
    c->fetched = EVP_CIPHER_fetch(NULL, name, NULL);
    if (!c->fetched)
        return false;
    const OSSL_PROVIDER *provider = EVP_CIPHER_get0_provider(c->fetched);
    const OSSL_DISPATCH *functions = milgi__provided(provider, OSSL_OP_CIPHER, name);
    c->provider = OSSL_PROVIDER_get0_provider_ctx(provider);
    if (functions)
        find_functions(c, functions);
    return c->ctx_new && c->ctx_free && c->encrypt_init && c->decrypt_init &&
        c->update && c->final && c->get_params;
}

/* Of AES-GCM libcrypto 3.0 has AES-NI only. */
const size_t milgi__kernel_up_to[MILGI__GCM_KINDS] = {
    [MILGI__GCM_AESNI] = SIZE_MAX, [MILGI__GCM_VAES256] = SIZE_MAX, [MILGI__GCM_VAES512] = SIZE_MAX
};

int milgi__aead_setup(struct milgi__flavour *own)
{
    struct milgi__cipher *c = milgi__alloc(MILGI__AEAD_SUITES * sizeof *c);

    own->ciphers = c;
    return c && cipher_setup(&c[0], MILGI_SUITE_AES_128_GCM_SHA256, 16, "AES-128-GCM") &&
            cipher_setup(&c[1], MILGI_SUITE_AES_256_GCM_SHA384, 32, "AES-256-GCM") &&
            cipher_setup(&c[2], MILGI_SUITE_CHACHA20_POLY1305_SHA256, 32, "ChaCha20-Poly1305")
        ? 0
        : MILGI__BROKEN;
}

static void slot_wipe(struct milgi__aead_slot *slot)
{
    if (slot->ctx)
        slot->cipher->ctx_free(slot->ctx);
    *slot = (struct milgi__aead_slot){ .serial = 0 };
}

void milgi__aead_wipe(struct milgi__flavour *own)
{
    for (size_t i = 0; i < MILGI__AEAD_SLOTS; i++) {
        slot_wipe(&own->seal[i]);
        slot_wipe(&own->open[i]);
    }
}

void milgi__aead_teardown(struct milgi__flavour *own)
{
    milgi__aead_wipe(own);
    for (size_t i = 0; own->ciphers && i < MILGI__AEAD_SUITES; i++)
        EVP_CIPHER_free(own->ciphers[i].fetched);
    milgi__free(own->ciphers);
}

/* --- contexts --------------------------------------------------------------------------------------------------- */

static size_t slot_of(uint64_t serial)
{
    return (size_t)((serial * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (MILGI__AEAD_SLOTS - 1);
}

void milgi__aead_forget(struct milgi__crypto *cx, uint64_t serial)
{
    size_t i = slot_of(serial);

    milgi__kernel_forget(cx->kernel, serial);
    if (cx->own->seal[i].serial == serial)
        slot_wipe(&cx->own->seal[i]);
    if (cx->own->open[i].serial == serial)
        slot_wipe(&cx->own->open[i]);
}

/*
 * Makes |slot| ready to be given |key|, or finds that it has it: then *raw is NULL. false: no such suite, no memory, or
 * a serial that stood for a key of another suite.
 */
static bool slot_prepare(struct milgi__crypto *cx, struct milgi__aead_slot *slot, const struct milgi__aead_key *key,
    const uint8_t **raw)
{
    size_t i = 0;

    *raw = NULL;
    if (slot->serial == key->serial && slot->ctx)
        return slot->cipher->suite == key->suite;
    while (i < MILGI__AEAD_SUITES && cx->own->ciphers[i].suite != key->suite)
        i++;
    if (i == MILGI__AEAD_SUITES || key->raw_len != cx->own->ciphers[i].key_len || key->serial == 0)
        return false;
    if (slot->cipher != &cx->own->ciphers[i]) {
        slot_wipe(slot);
        slot->cipher = &cx->own->ciphers[i];
        slot->ctx = slot->cipher->ctx_new(slot->cipher->provider);
    }
    *raw = key->raw;
    slot->serial = key->serial;
    return slot->ctx != NULL;
}

/* A context that failed may be in any state. */
static int slot_broken(struct milgi__aead_slot *slot)
{
    slot_wipe(slot);
    return milgi__fail(MILGI__BROKEN);
}

/* Through the cipher: |dst| NULL: additional data. */
static bool pass(const struct milgi__aead_slot *slot, uint8_t *dst, const uint8_t *src, size_t len)
{
    size_t n;

    return len == 0 || slot->cipher->update(slot->ctx, dst, &n, len, src, len) == 1;
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

/* The plaintext and its tail, which stands in |dst| already. */
static bool encrypt(const struct milgi__aead_slot *slot, const struct milgi__piece *src, size_t src_n, size_t len,
    size_t tail, uint8_t *dst)
{
    bool in_place = src_n == 1 && src[0].data == dst;

    /* With the data in place too, all is one range. */
    if (in_place || len <= GATHER_MAX) {
        gather(src, src_n, dst);
        return pass(slot, dst, dst, len + tail);
    }
    for (size_t i = 0; i < src_n; i++) {
        if (!pass(slot, dst, src[i].data, src[i].len))
            return false;
        dst += src[i].len;
    }
    return pass(slot, dst, dst, tail);
}

static bool seal_end(const struct milgi__aead_slot *slot, uint8_t *end)
{
    OSSL_PARAM tag[2] = { OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, end, TAG_LEN),
        OSSL_PARAM_construct_end() };
    size_t n;

    return slot->cipher->final(slot->ctx, end, &n, TAG_LEN) == 1 && slot->cipher->get_params(slot->ctx, tag) == 1;
}

int milgi__aead_seal(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst)
{
    struct milgi__aead_slot *slot = &cx->own->seal[slot_of(key->serial)];
    const uint8_t *raw;
    int rv = milgi__kernel_seal(cx->kernel, key, nonce, aad, aad_len, src, src_n, type, pad, dst);

    if (rv != MILGI__NOT_MINE)
        return rv;
    if (!slot_prepare(cx, slot, key, &raw))
        return slot_broken(slot);
    size_t raw_len = raw ? key->raw_len : 0;
    if (slot->cipher->encrypt_init(slot->ctx, raw, raw_len, nonce, NONCE_LEN, NULL) != 1 ||
        !pass(slot, NULL, aad, aad_len))
        return slot_broken(slot);

    size_t len = total(src, src_n);
    size_t tail = 0;
    if (type != 0) {
        tail = 1 + pad;
        dst[len] = type;
        memset(dst + len + 1, 0, pad);
    }
    if (encrypt(slot, src, src_n, len, tail, dst) && seal_end(slot, dst + len + tail))
        return 0;
    milgi__wipe(dst, len + tail); /* what goes out is ciphertext or nothing */
    return slot_broken(slot);
}

/* --- open ------------------------------------------------------------------------------------------------------- */

static bool decrypt(const struct milgi__aead_slot *slot, const struct milgi__piece *src, size_t src_n, size_t len,
    uint8_t *dst)
{
    if (dst && src_n > 1 && len <= GATHER_MAX) {
        gather(src, src_n, dst);
        return pass(slot, dst, dst, len);
    }
    for (size_t i = 0; i < src_n; i++) {
        if (!pass(slot, dst ? dst : src[i].data, src[i].data, src[i].len))
            return false;
        if (dst)
            dst += src[i].len;
    }
    return true;
}

static void wipe_destination(const struct milgi__piece *src, size_t src_n, size_t len, uint8_t *dst)
{
    if (dst) {
        milgi__wipe(dst, len);
        return;
    }
    for (size_t i = 0; i < src_n; i++)
        milgi__wipe(src[i].data, src[i].len);
}

static bool open_begin(const struct milgi__aead_slot *slot, const struct milgi__aead_key *key, const uint8_t *raw,
    const uint8_t *nonce, const uint8_t tag[TAG_LEN])
{
    /* The parameters of an initialisation are only read. */
    OSSL_PARAM params[2] = { OSSL_PARAM_construct_octet_string(
                                 OSSL_CIPHER_PARAM_AEAD_TAG, (void *)(uintptr_t)tag, TAG_LEN),
        OSSL_PARAM_construct_end() };
    size_t raw_len = raw ? key->raw_len : 0;

    return slot->cipher->decrypt_init(slot->ctx, raw, raw_len, nonce, NONCE_LEN, params) == 1;
}

int milgi__aead_open(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst)
{
    struct milgi__aead_slot *slot = &cx->own->open[slot_of(key->serial)];
    size_t len = total(src, src_n);
    const uint8_t *raw;
    uint8_t end[TAG_LEN];
    size_t n;
    int rv = milgi__kernel_open(cx->kernel, key, nonce, aad, aad_len, src, src_n, tag, dst);

    if (rv != MILGI__NOT_MINE)
        return rv;
    if (!slot_prepare(cx, slot, key, &raw))
        return slot_broken(slot);
    if (!open_begin(slot, key, raw, nonce, tag) || !pass(slot, NULL, aad, aad_len) ||
        !decrypt(slot, src, src_n, len, dst)) {
        wipe_destination(src, src_n, len, dst);
        return slot_broken(slot);
    }
    if (slot->cipher->final(slot->ctx, end, &n, sizeof end) == 1)
        return 0;
    wipe_destination(src, src_n, len, dst);
    return milgi__fail(MILGI__BAD);
}
