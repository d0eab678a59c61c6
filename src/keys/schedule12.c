/* SPDX-License-Identifier: Apache-2.0 */
/* The key schedule of TLS 1.2: the PRF, and what is made by it (RFC 5246 5, 6.3, 8.1; RFC 7627 4; RFC 5705 4). */
#include "keys/keys.h"

#include "buf/codec.h"

#define LABEL_MAX 255u
#define CONTEXT_MAX 65535u

/*
 * P_hash (RFC 5246 5): "HMAC_hash(secret, A(1) + seed) + HMAC_hash(secret, A(2) + seed) + ...", in which seed is label
 * + seed. |seed| has room for A(i) before what stands in it from |hash_len| on.
 */
static int p_hash(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret, size_t secret_len,
    uint8_t *seed, size_t seed_len, uint8_t *out, size_t out_len)
{
    uint8_t block[MILGI__HASH_MAX];
    size_t len = milgi__hash_len(hash);
    /* A(1) = HMAC_hash(secret, A(0)), A(0) = seed */
    int e = milgi__hmac(cx, hash, secret, secret_len, seed + len, seed_len, block);
    while (e == 0) {
        memcpy(seed, block, len); /* A(i) */
        e = milgi__hmac(cx, hash, secret, secret_len, seed, len + seed_len, block);
        size_t part = MILGI__MIN(out_len, len);
        if (e != 0)
            break;
        memcpy(out, block, part);
        out += part;
        out_len -= part;
        if (out_len == 0)
            break;
        e = milgi__hmac(cx, hash, secret, secret_len, seed, len, block);
    }
    milgi__wipe(block, sizeof block);
    return e == 0 ? 0 : MILGI_EINTERNAL;
}

int milgi__prf12(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret, size_t secret_len,
    const char *label, const void *seed, size_t seed_len, uint8_t *out, size_t out_len)
{
    size_t len = milgi__hash_len(hash), label_len = strlen(label), room = len + label_len + seed_len;
    uint8_t small[MILGI__HASH_MAX + LABEL_MAX], *work = room <= sizeof small ? small : milgi__alloc_raw(room);
    if (!work)
        return MILGI_ENOMEM;
    for (size_t i = 0; i < label_len; i++)
        work[len + i] = (uint8_t)label[i];
    if (seed_len != 0)
        memcpy(work + len + label_len, seed, seed_len);
    int rv = p_hash(cx, hash, secret, secret_len, work, label_len + seed_len, out, out_len);
    if (work != small)
        milgi__free_wiped(work, room);
    else
        milgi__wipe(small, sizeof small);
    return rv;
}

int milgi__schedule12_master(struct milgi__schedule12 *s, struct milgi__crypto *cx, enum milgi__hash hash,
    const uint8_t *premaster, size_t premaster_len, const uint8_t *session_hash)
{
    s->hash = hash;
    /*= RFC7627 4: "master_secret = PRF(pre_master_secret, "extended master secret", session_hash) [0..47];" */
    if (session_hash)
        return milgi__prf12(cx, hash, premaster, premaster_len, "extended master secret", session_hash,
            milgi__hash_len(hash), s->master, sizeof s->master);
    /*= RFC5246 8.1: "master_secret = PRF(pre_master_secret, "master secret", ClientHello.random +
     *= ServerHello.random) [0..47];" */
    return milgi__prf12(cx, hash, premaster, premaster_len, "master secret", s->randoms, sizeof s->randoms, s->master,
        sizeof s->master);
}

int milgi__schedule12_keys(
    struct milgi__schedule12 *s, struct milgi__crypto *cx, const struct milgi__suite *suite)
{
    uint8_t seed[64], block[2 * MILGI__BLOCK_KEYS_MAX];
    size_t key_len = suite->key_len, iv_len = milgi__fixed_iv_len(suite);
    /*= RFC5246 6.3: "key_block = PRF(SecurityParameters.master_secret, "key expansion",
     *= SecurityParameters.server_random + SecurityParameters.client_random);" */
    memcpy(seed, s->randoms + 32, 32);
    memcpy(seed + 32, s->randoms, 32);
    int rv = milgi__prf12(cx, s->hash, s->master, sizeof s->master, "key expansion", seed, sizeof seed, block,
        2 * (key_len + iv_len));
    if (rv == 0) {
        const uint8_t *iv = block + 2 * key_len;
        memcpy(s->client_keys, block, key_len);
        memcpy(s->server_keys, block + key_len, key_len);
        memcpy(s->client_keys + key_len, iv, iv_len);
        memcpy(s->server_keys + key_len, iv + iv_len, iv_len);
    }
    milgi__wipe(block, sizeof block);
    return rv;
}

void milgi__block_keys(const struct milgi__suite *suite, const uint8_t *keys, uint8_t *key, uint8_t iv[12])
{
    memcpy(key, keys, suite->key_len);
    /* What the row of the records adds to it is the number of the record. */
    memset(iv, 0, 12);
    memcpy(iv, keys + suite->key_len, milgi__fixed_iv_len(suite));
}

int milgi__finished12(const struct milgi__schedule12 *s, struct milgi__crypto *cx, bool by_server,
    const uint8_t *transcript_hash, uint8_t out[MILGI__FINISHED12])
{
    /*= RFC5246 7.4.9: "PRF(master_secret, finished_label, Hash(handshake_messages)) [0..verify_data_length-1];" */
    return milgi__prf12(cx, s->hash, s->master, sizeof s->master, by_server ? "server finished" : "client finished",
        transcript_hash, milgi__hash_len(s->hash), out, MILGI__FINISHED12);
}

int milgi__export12(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *master, const uint8_t *randoms,
    const char *label, const void *context, size_t context_len, uint8_t *out, size_t out_len)
{
    /*= RFC5705 4: "PRF(SecurityParameters.master_secret, label, SecurityParameters.client_random +
     *= SecurityParameters.server_random + context_value_length + context_value)[length]" */
    size_t len = 64 + (context ? 2 + context_len : 0);
    if (context_len > CONTEXT_MAX)
        return MILGI_EINVAL;
    uint8_t *seed = milgi__alloc_raw(len);
    if (!seed)
        return MILGI_ENOMEM;
    memcpy(seed, randoms, 64);
    /*= RFC5705 4: "If no context is provided [...] PRF(SecurityParameters.master_secret, label,
     *= SecurityParameters.client_random + SecurityParameters.server_random)[length]" */
    if (context) {
        milgi__put16(seed + 64, (unsigned)context_len);
        if (context_len != 0)
            memcpy(seed + 66, context, context_len);
    }
    int rv = milgi__prf12(cx, hash, master, 48, label, seed, len, out, out_len);
    milgi__free_wiped(seed, len);
    return rv;
}
