/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ML-KEM, which OpenSSL has from 3.5 on: asked for when the program runs, by names that are strings, so that a library
 * that was built with the headers of an older one has it, too.
 */
#include "crypto/kem.h"

#include <stdatomic.h>

#include <openssl/params.h>

#include "crypto/openssl3/openssl3.h"

#define SEED "seed" /* of a key pair: d || z */
#define IKME "ikme" /* of an encapsulation: m */

static const char *name_of(uint16_t group)
{
    return group == MILGI_GROUP_MLKEM768 ? "ML-KEM-768" : "ML-KEM-1024";
}

bool milgi__kem_available(void)
{
    enum {
        UNKNOWN,
        NONE,
        THERE
    };
    static _Atomic int known;
    int found = atomic_load_explicit(&known, memory_order_relaxed);

    if (found != UNKNOWN)
        return found == THERE;
    EVP_KEM *small = EVP_KEM_fetch(NULL, name_of(MILGI_GROUP_MLKEM768), NULL);
    EVP_KEM *large = EVP_KEM_fetch(NULL, name_of(MILGI_GROUP_MLKEM1024), NULL);
    found = small && large ? THERE : NONE;
    EVP_KEM_free(small);
    EVP_KEM_free(large);
    milgi__fail(0);
    atomic_store_explicit(&known, found, memory_order_relaxed);
    return found == THERE;
}

/* The key pair of a seed, or NULL. */
static EVP_PKEY *pair_of(uint16_t group, const uint8_t *seed)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, name_of(group), NULL);
    EVP_PKEY *key = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(SEED, (void *)(uintptr_t)seed, MILGI__KEM_SEED),
        OSSL_PARAM_construct_end(),
    };

    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1)
        (void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

int milgi__kem_keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t seed[MILGI__KEM_SEED], uint8_t *secret,
    size_t *secret_len, uint8_t *pub, size_t *pub_len)
{
    (void)cx;
    if (*secret_len < MILGI__KEM_SEED)
        return MILGI__BROKEN;
    EVP_PKEY *key = pair_of(group, seed);
    bool done = key && EVP_PKEY_get_raw_public_key(key, pub, pub_len) == 1;
    EVP_PKEY_free(key);
    if (!done)
        return milgi__fail(MILGI__BROKEN);
    memmove(secret, seed, MILGI__KEM_SEED);
    *secret_len = MILGI__KEM_SEED;
    return 0;
}

int milgi__kem_encaps(struct milgi__crypto *cx, uint16_t group, const uint8_t *peer, size_t peer_len,
    const uint8_t seed[MILGI__KEM_ENCAPS_SEED], uint8_t *ciphertext, size_t *ciphertext_len, uint8_t *shared,
    size_t *shared_len)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(IKME, (void *)(uintptr_t)seed, MILGI__KEM_ENCAPS_SEED),
        OSSL_PARAM_construct_end(),
    };

    (void)cx;
    if (!milgi__kem_available())
        return MILGI__BROKEN;
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(NULL, name_of(group), NULL, peer, peer_len);
    if (!key)
        return milgi__fail(MILGI__BAD); /* which is where a coefficient out of range is refused */
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool done = ctx && EVP_PKEY_encapsulate_init(ctx, params) == 1 &&
        EVP_PKEY_encapsulate(ctx, ciphertext, ciphertext_len, shared, shared_len) == 1;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return done ? 0 : milgi__fail(MILGI__BROKEN);
}

/* None is kept. */
uint64_t milgi__kem_sweep(struct milgi__crypto *cx, uint64_t now_ns)
{
    (void)cx;
    (void)now_ns;
    return UINT64_MAX;
}

int milgi__kem_decaps(struct milgi__crypto *cx, uint16_t group, const uint8_t secret[MILGI__KEM_SEED],
    const uint8_t *ciphertext, size_t ciphertext_len, uint8_t *shared, size_t *shared_len)
{
    EVP_PKEY *key = pair_of(group, secret);
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    bool done = ctx && EVP_PKEY_decapsulate_init(ctx, NULL) == 1 &&
        EVP_PKEY_decapsulate(ctx, shared, shared_len, ciphertext, ciphertext_len) == 1;

    (void)cx;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return done ? 0 : milgi__fail(MILGI__BROKEN);
}
