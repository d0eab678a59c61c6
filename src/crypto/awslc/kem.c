/* SPDX-License-Identifier: Apache-2.0 */
/* ML-KEM, by AWS-LC's EVP interface for KEMs with given randomness. Its free() wipes. */
#include <openssl/experimental/kem_deterministic_api.h>
#include <openssl/nid.h>

#include "crypto/awslc/awslc.h"
#include "crypto/kem.h"

#define KEPT_NS UINT64_C(1000000000)

bool milgi__kem_available(void)
{
    return true;
}

static int nid_of(uint16_t group)
{
    switch (group) {
    case MILGI_GROUP_MLKEM768: return NID_MLKEM768;
    case MILGI_GROUP_MLKEM1024: return NID_MLKEM1024;
    default: return NID_undef;
    }
}

/* The key pair of a seed, or NULL. */
static EVP_PKEY *pair_of(uint16_t group, const uint8_t *seed)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_KEM, NULL);
    EVP_PKEY *key = NULL;
    size_t len = MILGI__KEM_SEED;

    if (ctx && EVP_PKEY_CTX_kem_set_params(ctx, nid_of(group)) == 1 && EVP_PKEY_keygen_init(ctx) == 1)
        (void)EVP_PKEY_keygen_deterministic(ctx, &key, seed, &len);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static void forget(struct milgi__kem_pair *pair)
{
    EVP_PKEY_free(pair->key);
    milgi__wipe(pair, sizeof *pair);
}

uint64_t milgi__kem_sweep(struct milgi__crypto *cx, uint64_t now_ns)
{
    struct milgi__flavour *own = cx->own;
    uint64_t next_ns = UINT64_MAX;

    for (unsigned i = 0; own->kem_kept && i < MILGI__KEM_KEPT; i++) {
        struct milgi__kem_pair *pair = &own->kem[i];
        if (!pair->key)
            continue;
        if (!pair->until_ns)
            pair->until_ns = now_ns + KEPT_NS;
        if (pair->until_ns <= now_ns)
            forget(pair);
        if (pair->key)
            next_ns = MILGI__MIN(next_ns, pair->until_ns);
    }
    own->kem_kept = next_ns != UINT64_MAX;
    return next_ns;
}

void milgi__kem_wipe(struct milgi__flavour *own)
{
    for (unsigned i = 0; i < MILGI__KEM_KEPT; i++)
        forget(&own->kem[i]);
}

/*
 * A pair is some kilobytes, its seed 64 bytes, so that is what goes from op to op. But to make the pair anew takes as
 * long as DECAPS itself: who has made it keeps it for a while. It takes the place of the oldest.
 */
static void keep(struct milgi__flavour *own, EVP_PKEY *key, uint16_t group, const uint8_t *seed)
{
    own->kem_last = (own->kem_last + 1) % MILGI__KEM_KEPT;
    struct milgi__kem_pair *pair = &own->kem[own->kem_last];

    forget(pair);
    pair->key = key;
    pair->group = group;
    memcpy(pair->seed, seed, sizeof pair->seed);
    own->kem_kept = true;
}

/* For its one use; NULL: it was not made here, or is forgotten. The last is looked at first. */
static EVP_PKEY *take(struct milgi__flavour *own, uint16_t group, const uint8_t *seed)
{
    for (unsigned i = 0; i < MILGI__KEM_KEPT; i++) {
        struct milgi__kem_pair *pair = &own->kem[(own->kem_last + MILGI__KEM_KEPT - i) % MILGI__KEM_KEPT];
        if (!pair->key || pair->group != group || !milgi__ct_equal(pair->seed, seed, sizeof pair->seed))
            continue;
        EVP_PKEY *key = pair->key;
        pair->key = NULL;
        forget(pair);
        return key;
    }
    return NULL;
}

int milgi__kem_keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t seed[MILGI__KEM_SEED], uint8_t *secret,
    size_t *secret_len, uint8_t *pub, size_t *pub_len)
{
    if (*secret_len < MILGI__KEM_SEED)
        return MILGI__BROKEN;
    EVP_PKEY *key = pair_of(group, seed);
    if (!key || EVP_PKEY_get_raw_public_key(key, pub, pub_len) != 1) {
        EVP_PKEY_free(key);
        return milgi__fail(MILGI__BROKEN);
    }
    keep(cx->own, key, group, seed);
    memmove(secret, seed, MILGI__KEM_SEED);
    *secret_len = MILGI__KEM_SEED;
    return 0;
}

int milgi__kem_encaps(struct milgi__crypto *cx, uint16_t group, const uint8_t *peer, size_t peer_len,
    const uint8_t seed[MILGI__KEM_ENCAPS_SEED], uint8_t *ciphertext, size_t *ciphertext_len, uint8_t *shared,
    size_t *shared_len)
{
    size_t seed_len = MILGI__KEM_ENCAPS_SEED;
    EVP_PKEY *key = EVP_PKEY_kem_new_raw_public_key(nid_of(group), peer, peer_len);
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    int result = MILGI__BROKEN;

    (void)cx;
    /* With room for everything, and all of the right length, it is the key that is refused. */
    if (ctx)
        result = EVP_PKEY_encapsulate_deterministic(
                     ctx, ciphertext, ciphertext_len, shared, shared_len, seed, &seed_len) == 1
            ? 0
            : MILGI__BAD;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return result == 0 ? 0 : milgi__fail(result);
}

int milgi__kem_decaps(struct milgi__crypto *cx, uint16_t group, const uint8_t secret[MILGI__KEM_SEED],
    const uint8_t *ciphertext, size_t ciphertext_len, uint8_t *shared, size_t *shared_len)
{
    EVP_PKEY *made = take(cx->own, group, secret), *key = made ? made : pair_of(group, secret);
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    bool done = ctx && EVP_PKEY_decapsulate(ctx, shared, shared_len, ciphertext, ciphertext_len) == 1;

    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return done ? 0 : milgi__fail(MILGI__BROKEN);
}
