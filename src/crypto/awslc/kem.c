/* SPDX-License-Identifier: Apache-2.0 */
/* ML-KEM, by AWS-LC's EVP interface for KEMs with given randomness. Its free() wipes. */
#include <openssl/experimental/kem_deterministic_api.h>
#include <openssl/nid.h>

#include "crypto/awslc/awslc.h"
#include "crypto/kem.h"

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
    EVP_PKEY *key = pair_of(group, secret);
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    bool done = ctx && EVP_PKEY_decapsulate(ctx, shared, shared_len, ciphertext, ciphertext_len) == 1;

    (void)cx;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return done ? 0 : milgi__fail(MILGI__BROKEN);
}
