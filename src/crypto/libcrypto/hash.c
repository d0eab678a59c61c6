/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes, HMAC and HKDF on libcrypto's plain SHA-2 calls, which OpenSSL deprecates in favour of EVP: there an HMAC over
 * EVP digests takes half as long again, EVP_MAC twice, EVP_KDF eight times as long, and a handshake makes thirty. A
 * running hash is a plain struct here: to look at its value or to clone it is to copy it. This is the only file that
 * uses them.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "crypto/libcrypto/libcrypto.h"

#define BLOCK_MAX SHA512_CBLOCK

struct state {
    enum milgi__hash hash;
    union {
        SHA256_CTX sha256;
        SHA512_CTX sha384;
    } u;
};

/* How much of it is in use. */
static size_t state_len(enum milgi__hash hash)
{
    return offsetof(struct state, u) + (hash == MILGI__SHA256 ? sizeof(SHA256_CTX) : sizeof(SHA512_CTX));
}

/* Allocated as far as it is in use. */
struct milgi__digest {
    struct state state;
};

size_t milgi__hash_len(enum milgi__hash hash)
{
    return hash == MILGI__SHA256 ? SHA256_DIGEST_LENGTH : SHA384_DIGEST_LENGTH;
}

static size_t block_len(enum milgi__hash hash)
{
    return hash == MILGI__SHA256 ? SHA256_CBLOCK : SHA512_CBLOCK;
}

static void copy_state(struct state *to, const struct state *from)
{
    memcpy(to, from, state_len(from->hash));
}

/* These return ints for history's sake: they have no way to fail. */
static void start(struct state *state, enum milgi__hash hash)
{
    state->hash = hash;
    if (hash == MILGI__SHA256)
        (void)SHA256_Init(&state->u.sha256);
    else
        (void)SHA384_Init(&state->u.sha384);
}

static void update(struct state *state, const void *data, size_t len)
{
    if (state->hash == MILGI__SHA256)
        (void)SHA256_Update(&state->u.sha256, data, len);
    else
        (void)SHA384_Update(&state->u.sha384, data, len);
}

/* Wipes the state's memory of the message, too. */
static void finish(struct state *state, uint8_t *out)
{
    if (state->hash == MILGI__SHA256)
        (void)SHA256_Final(out, &state->u.sha256);
    else
        (void)SHA384_Final(out, &state->u.sha384);
    milgi__wipe(state, state_len(state->hash));
}

/* --- running hashes --------------------------------------------------------------------------------------------- */

struct milgi__digest *milgi__digest_new(struct milgi__crypto *cx, enum milgi__hash hash)
{
    struct milgi__digest *digest = milgi__alloc(state_len(hash));

    (void)cx;
    if (digest)
        start(&digest->state, hash);
    return digest;
}

void milgi__digest_free(struct milgi__digest *digest)
{
    if (digest)
        milgi__free_wiped(digest, state_len(digest->state.hash));
}

int milgi__digest_update(struct milgi__digest *digest, const void *data, size_t len)
{
    update(&digest->state, data, len);
    return 0;
}

int milgi__digest_peek(struct milgi__crypto *cx, const struct milgi__digest *digest, uint8_t out[MILGI__HASH_MAX])
{
    struct state copy;

    (void)cx;
    copy_state(&copy, &digest->state);
    finish(&copy, out);
    return 0;
}

struct milgi__digest *milgi__digest_clone(struct milgi__crypto *cx, const struct milgi__digest *digest)
{
    struct milgi__digest *clone = milgi__alloc(state_len(digest->state.hash));

    (void)cx;
    if (clone)
        copy_state(&clone->state, &digest->state);
    return clone;
}

int milgi__hash(
    struct milgi__crypto *cx, enum milgi__hash hash, const void *data, size_t len, uint8_t out[MILGI__HASH_MAX])
{
    struct state state;

    (void)cx;
    start(&state, hash);
    update(&state, data, len);
    finish(&state, out);
    return 0;
}

/* --- HMAC (RFC 2104) -------------------------------------------------------------------------------------------- */

/* The hash states behind the inner and the outer padded key. */
struct keyed {
    struct state inner, outer;
};

static void hmac_key(struct keyed *keyed, enum milgi__hash hash, const uint8_t *key, size_t key_len)
{
    uint8_t block[BLOCK_MAX] = { 0 };
    size_t n = block_len(hash);

    if (key_len > n) {
        start(&keyed->inner, hash);
        update(&keyed->inner, key, key_len);
        finish(&keyed->inner, block);
    } else if (key_len > 0) {
        memcpy(block, key, key_len);
    }
    for (size_t i = 0; i < n; i++)
        block[i] ^= 0x36;
    start(&keyed->inner, hash);
    update(&keyed->inner, block, n);
    for (size_t i = 0; i < n; i++)
        block[i] ^= 0x36 ^ 0x5c;
    start(&keyed->outer, hash);
    update(&keyed->outer, block, n);
    milgi__wipe(block, sizeof block);
}

/*
 * Nearly all that a handshake authenticates and expands is so short that it ends in the block that it begins in. Then
 * each half of an HMAC is one call of the compression function, on a block that is padded here (FIPS 180-4 5.1).
 */
struct last_block {
    struct state state;
    uint8_t bytes[BLOCK_MAX];
    size_t len;
};

static size_t length_len(enum milgi__hash hash)
{
    return hash == MILGI__SHA256 ? 8 : 16;
}

/* Whether |len| bytes, a one and their length are at most a block. */
static bool is_short(enum milgi__hash hash, size_t len)
{
    return len < block_len(hash) - length_len(hash);
}

static void chaining_value(const struct state *state, uint8_t *out)
{
    if (state->hash == MILGI__SHA256) {
        for (size_t i = 0; i < SHA256_DIGEST_LENGTH / 4; i++)
            milgi__put32(out + 4 * i, state->u.sha256.h[i]);
    } else {
        for (size_t i = 0; i < SHA384_DIGEST_LENGTH / 8; i++)
            milgi__put64(out + 8 * i, state->u.sha384.h[i]);
    }
}

/* The digest of the one block that |from| has seen and of what |b| holds. */
static void finish_short(struct last_block *b, const struct state *from, uint8_t *out)
{
    size_t n = block_len(from->hash);

    b->bytes[b->len] = 0x80;
    memset(b->bytes + b->len + 1, 0, n - b->len - 1);
    milgi__put16(b->bytes + n - 2, (unsigned)(8 * (n + b->len)));
    b->state.hash = from->hash;
    if (from->hash == MILGI__SHA256) {
        memcpy(b->state.u.sha256.h, from->u.sha256.h, sizeof from->u.sha256.h);
        SHA256_Transform(&b->state.u.sha256, b->bytes);
    } else {
        memcpy(b->state.u.sha384.h, from->u.sha384.h, sizeof from->u.sha384.h);
        SHA512_Transform(&b->state.u.sha384, b->bytes);
    }
    chaining_value(&b->state, out);
}

/* The HMAC of what |b| holds, which is short. */
static void hmac_short(struct last_block *b, const struct keyed *keyed, uint8_t out[MILGI__HASH_MAX])
{
    finish_short(b, &keyed->inner, b->bytes);
    b->len = milgi__hash_len(keyed->inner.hash);
    finish_short(b, &keyed->outer, out);
}

/* Consumes |keyed|. */
static void hmac_finish(struct keyed *keyed, uint8_t out[MILGI__HASH_MAX])
{
    uint8_t inner[MILGI__HASH_MAX];
    size_t n = milgi__hash_len(keyed->inner.hash);

    finish(&keyed->inner, inner);
    update(&keyed->outer, inner, n);
    finish(&keyed->outer, out);
    milgi__wipe(inner, sizeof inner);
}

int milgi__hmac(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *key, size_t key_len, const void *data,
    size_t len, uint8_t out[MILGI__HASH_MAX])
{
    struct keyed keyed;

    (void)cx;
    hmac_key(&keyed, hash, key, key_len);
    if (is_short(hash, len)) {
        struct last_block b;
        memcpy(b.bytes, data, len);
        b.len = len;
        hmac_short(&b, &keyed, out);
        milgi__wipe(&b, sizeof b);
        milgi__wipe(&keyed, sizeof keyed);
    } else {
        update(&keyed.inner, data, len);
        hmac_finish(&keyed, out);
    }
    return 0;
}

/* One of no more than a digest. */
static void expand_short(const struct keyed *key, const struct milgi__expansion *e)
{
    uint8_t digest[MILGI__HASH_MAX];
    struct last_block b;

    memcpy(b.bytes, e->info, e->info_len);
    b.bytes[e->info_len] = 1;
    b.len = e->info_len + 1;
    hmac_short(&b, key, digest);
    memcpy(e->out, digest, e->out_len);
    milgi__wipe(&b, sizeof b);
    milgi__wipe(digest, sizeof digest);
}

/* One expansion of a key whose states are |key|, which stay. */
static void expand(const struct keyed *key, const struct milgi__expansion *e)
{
    size_t hash_len = milgi__hash_len(key->inner.hash), n;
    uint8_t block[MILGI__HASH_MAX], i = 1;
    uint8_t *out = e->out;

    for (size_t left = e->out_len; left > 0; left -= n, out += n, i++) {
        struct keyed round;
        copy_state(&round.inner, &key->inner);
        copy_state(&round.outer, &key->outer);
        if (i > 1)
            update(&round.inner, block, hash_len);
        update(&round.inner, e->info, e->info_len);
        update(&round.inner, &i, 1);
        hmac_finish(&round, block);
        n = MILGI__MIN(left, hash_len);
        memcpy(out, block, n);
    }
    milgi__wipe(block, sizeof block);
}

int milgi__hkdf_expand_all(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *prk, size_t prk_len,
    const struct milgi__expansion *expansions, size_t n)
{
    struct keyed key;

    (void)cx;
    for (size_t i = 0; i < n; i++) {
        /*= RFC5869 2.3: "L        length of output keying material in octets (<= 255*HashLen)" */
        if (expansions[i].out_len > 255 * milgi__hash_len(hash))
            return MILGI__BROKEN;
    }
    hmac_key(&key, hash, prk, prk_len);
    for (size_t i = 0; i < n; i++) {
        const struct milgi__expansion *e = &expansions[i];
        if (e->out_len <= milgi__hash_len(hash) && is_short(hash, e->info_len + 1))
            expand_short(&key, e);
        else
            expand(&key, e);
    }
    milgi__wipe(&key, sizeof key);
    return 0;
}

int milgi__hkdf_expand(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *prk, size_t prk_len,
    const uint8_t *info, size_t info_len, uint8_t *out, size_t out_len)
{
    struct milgi__expansion one = { info, info_len, out, out_len };

    return milgi__hkdf_expand_all(cx, hash, prk, prk_len, &one, 1);
}

/* --- what signature schemes sign -------------------------------------------------------------------------------- */

/* OpenSSL's one-shot SHA256() and its like look the hash up by name each time. */
static void hash_256_or_384(enum milgi__hash hash, const uint8_t *input, size_t len, struct milgi__scheme_hash *out)
{
    struct state state;

    start(&state, hash);
    update(&state, input, len);
    finish(&state, out->value);
    out->len = milgi__hash_len(hash);
    out->md = hash == MILGI__SHA256 ? EVP_sha256() : EVP_sha384();
}

static void hash_512(const uint8_t *input, size_t len, struct milgi__scheme_hash *out)
{
    SHA512_CTX state;

    (void)SHA512_Init(&state);
    (void)SHA512_Update(&state, input, len);
    (void)SHA512_Final(out->value, &state);
    out->len = SHA512_DIGEST_LENGTH;
    out->md = EVP_sha512();
}

bool milgi__scheme_hash(uint16_t scheme, const uint8_t *input, size_t len, struct milgi__scheme_hash *out)
{
    switch (scheme) {
    case MILGI_SIG_RSA_PKCS1_SHA256:
    case MILGI_SIG_ECDSA_SECP256R1_SHA256:
    case MILGI_SIG_RSA_PSS_RSAE_SHA256:
    case MILGI_SIG_RSA_PSS_PSS_SHA256:
        hash_256_or_384(MILGI__SHA256, input, len, out);
        return true;
    case MILGI_SIG_RSA_PKCS1_SHA384:
    case MILGI_SIG_ECDSA_SECP384R1_SHA384:
    case MILGI_SIG_RSA_PSS_RSAE_SHA384:
    case MILGI_SIG_RSA_PSS_PSS_SHA384:
        hash_256_or_384(MILGI__SHA384, input, len, out);
        return true;
    case MILGI_SIG_RSA_PKCS1_SHA512:
    case MILGI_SIG_ECDSA_SECP521R1_SHA512:
    case MILGI_SIG_RSA_PSS_RSAE_SHA512:
    case MILGI_SIG_RSA_PSS_PSS_SHA512:
        hash_512(input, len, out);
        return true;
    case MILGI_SIG_ED25519:
    case MILGI_SIG_MLDSA44:
    case MILGI_SIG_MLDSA65:
    case MILGI_SIG_MLDSA87:
        out->len = 0;
        out->md = NULL;
        return true;
    default: return false;
    }
}
