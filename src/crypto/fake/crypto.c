/* SPDX-License-Identifier: Apache-2.0 */
/* The fake backend: hashes, AEAD and key exchange that are none, but behave like them (fake.h). */
#include "crypto/fake/fake.h"

#include <stdatomic.h>

#include <milgi/op.h>

#include "crypto/raw.h"

#define ODD 0x9e3779b97f4a7c15u
#define HASHES_MAX_BLOCKS 255u

struct milgi__crypto {
    uint64_t uses;
};

enum tag {
    TAG_HASH,
    TAG_HMAC = 2,
    TAG_TAG = 4,
    TAG_KEY,
    TAG_SCALAR,
    TAG_SHARE,
    TAG_SHARED
};

struct milgi__crypto *milgi__crypto_new(void)
{
    return milgi__alloc(sizeof(struct milgi__crypto));
}

void milgi__crypto_free(struct milgi__crypto *cx)
{
    milgi__free(cx);
}

void milgi__crypto_idle(struct milgi__crypto *cx)
{
    (void)cx; /* holds no key */
}

/* --- the mixing function ---------------------------------------------------------------------------------------- */

static uint64_t rotate(uint64_t v, unsigned by)
{
    return v << by | v >> (64 - by);
}

static uint64_t scramble(uint64_t v)
{
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9u;
    v = (v ^ v >> 27) * 0x94d049bb133111ebu;
    return v ^ v >> 31;
}

/* A shift register; every step can be undone, so that a difference never gets lost. */
static void mix(struct milgi__fake_mixer *m, uint64_t word)
{
    uint64_t a = (m->lane[0] ^ word) * ODD;
    m->lane[0] = m->lane[1] ^ rotate(a, 23);
    memmove(&m->lane[1], &m->lane[2], 4 * sizeof m->lane[0]);
    m->lane[5] = a;
}

void milgi__fake_begin(struct milgi__fake_mixer *m, uint64_t tag)
{
    *m = (struct milgi__fake_mixer){ 0 };
    for (unsigned i = 0; i < MILGI__COUNT(m->lane); i++)
        m->lane[i] = scramble(tag + i * ODD);
}

void milgi__fake_add(struct milgi__fake_mixer *m, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0) {
        unsigned at = m->len % 8;
        uint64_t word;
        if (at == 0 && len >= 8) {
            memcpy(&word, p, 8);
            mix(m, word);
            p += 8;
            len -= 8;
            m->len += 8;
            continue;
        }
        m->word |= (uint64_t)*p++ << 8 * at;
        len--;
        if (++m->len % 8 == 0) {
            mix(m, m->word);
            m->word = 0;
        }
    }
}

void milgi__fake_add_int(struct milgi__fake_mixer *m, uint64_t v)
{
    milgi__fake_add(m, &v, sizeof v);
}

void milgi__fake_end(const struct milgi__fake_mixer *m, uint8_t *out, size_t out_len)
{
    struct milgi__fake_mixer end = *m;
    mix(&end, m->word);
    mix(&end, m->len);
    for (unsigned i = 0; i < 12; i++)
        mix(&end, i);
    for (unsigned i = 0; out_len > 0; i++) {
        if (i > 0 && i % MILGI__COUNT(end.lane) == 0)
            mix(&end, i);
        uint64_t word = scramble(end.lane[i % MILGI__COUNT(end.lane)] + i);
        size_t n = MILGI__MIN(out_len, sizeof word);
        memcpy(out, &word, n);
        out += n;
        out_len -= n;
    }
}

int milgi__crypto_random(void *store, uint8_t *out, size_t len)
{
    static _Atomic uint64_t drawn;
    (void)store;
    struct milgi__fake_mixer m;
    milgi__fake_begin(&m, 0x72616e64);
    milgi__fake_add_int(&m, atomic_fetch_add(&drawn, 1));
    milgi__fake_end(&m, out, len);
    return 0;
}

/* --- hashes ----------------------------------------------------------------------------------------------------- */

struct milgi__digest {
    struct milgi__fake_mixer mixer;
    enum milgi__hash hash;
};

size_t milgi__hash_len(enum milgi__hash hash)
{
    return hash == MILGI__SHA384 ? 48 : 32;
}

struct milgi__digest *milgi__digest_new(struct milgi__crypto *cx, enum milgi__hash hash)
{
    (void)cx;
    struct milgi__digest *digest = milgi__alloc(sizeof *digest);
    if (!digest)
        return NULL;
    digest->hash = hash;
    milgi__fake_begin(&digest->mixer, TAG_HASH + (unsigned)hash);
    return digest;
}

void milgi__digest_free(struct milgi__digest *digest)
{
    milgi__free_wiped(digest, sizeof *digest);
}

int milgi__digest_update(struct milgi__digest *digest, const void *data, size_t len)
{
    milgi__fake_add(&digest->mixer, data, len);
    return 0;
}

int milgi__digest_peek(struct milgi__crypto *cx, const struct milgi__digest *digest, uint8_t out[MILGI__HASH_MAX])
{
    (void)cx;
    milgi__fake_end(&digest->mixer, out, milgi__hash_len(digest->hash));
    return 0;
}

struct milgi__digest *milgi__digest_clone(struct milgi__crypto *cx, const struct milgi__digest *digest)
{
    (void)cx;
    struct milgi__digest *clone = milgi__alloc_raw(sizeof *clone);
    if (clone)
        *clone = *digest;
    return clone;
}

int milgi__hash(
    struct milgi__crypto *cx, enum milgi__hash hash, const void *data, size_t len, uint8_t out[MILGI__HASH_MAX])
{
    (void)cx;
    struct milgi__fake_mixer m;
    milgi__fake_begin(&m, TAG_HASH + (unsigned)hash);
    milgi__fake_add(&m, data, len);
    milgi__fake_end(&m, out, milgi__hash_len(hash));
    return 0;
}

static void hmac_begin(struct milgi__fake_mixer *m, enum milgi__hash hash, const uint8_t *key, size_t key_len)
{
    milgi__fake_begin(m, TAG_HMAC + (unsigned)hash);
    milgi__fake_add_int(m, key_len);
    milgi__fake_add(m, key, key_len);
}

int milgi__hmac(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *key, size_t key_len, const void *data,
    size_t len, uint8_t out[MILGI__HASH_MAX])
{
    (void)cx;
    struct milgi__fake_mixer m;
    hmac_begin(&m, hash, key, key_len);
    milgi__fake_add(&m, data, len);
    milgi__fake_end(&m, out, milgi__hash_len(hash));
    milgi__wipe(&m, sizeof m);
    return 0;
}

int milgi__hkdf_expand(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *prk, size_t prk_len,
    const uint8_t *info, size_t info_len, uint8_t *out, size_t out_len)
{
    (void)cx;
    size_t len = milgi__hash_len(hash);
    if (out_len > HASHES_MAX_BLOCKS * len)
        return MILGI__BROKEN;
    struct milgi__fake_mixer keyed, m;
    uint8_t block[MILGI__HASH_MAX];
    hmac_begin(&keyed, hash, prk, prk_len);
    for (uint8_t i = 1; out_len > 0; i++) {
        m = keyed;
        if (i > 1)
            milgi__fake_add(&m, block, len);
        milgi__fake_add(&m, info, info_len);
        milgi__fake_add(&m, &i, 1);
        milgi__fake_end(&m, block, len);
        size_t n = MILGI__MIN(out_len, len);
        memcpy(out, block, n);
        out += n;
        out_len -= n;
    }
    milgi__wipe(block, sizeof block);
    milgi__wipe(&m, sizeof m);
    milgi__wipe(&keyed, sizeof keyed);
    return 0;
}

int milgi__hkdf_expand_all(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *prk, size_t prk_len,
    const struct milgi__expansion *expansions, size_t n)
{
    int result = 0;
    for (const struct milgi__expansion *e = expansions; e < expansions + n && result == 0; e++)
        result = milgi__hkdf_expand(cx, hash, prk, prk_len, e->info, e->info_len, e->out, e->out_len);
    return result;
}

/* --- AEAD ------------------------------------------------------------------------------------------------------- */

/* The keystream, and the ciphertext folded into |fold|. */
struct stream {
    uint64_t seed, n, word, cipher, fold, len;
    unsigned at;
};

static int stream_begin(struct stream *s, const struct milgi__aead_key *key, const uint8_t nonce[12])
{
    size_t want = key->suite == MILGI_SUITE_AES_128_GCM_SHA256 ? 16 : 32;
    if (key->suite < MILGI_SUITE_AES_128_GCM_SHA256 || key->suite > MILGI_SUITE_CHACHA20_POLY1305_SHA256 ||
        key->raw_len != want)
        return MILGI__BROKEN;
    struct milgi__fake_mixer m;
    *s = (struct stream){ 0 };
    milgi__fake_begin(&m, TAG_KEY);
    milgi__fake_add_int(&m, key->suite);
    milgi__fake_add(&m, key->raw, key->raw_len);
    milgi__fake_add(&m, nonce, 12);
    milgi__fake_end(&m, (uint8_t *)&s->seed, sizeof s->seed);
    milgi__wipe(&m, sizeof m);
    return 0;
}

static void stream_fold(struct stream *s, uint64_t cipher)
{
    s->fold = rotate(s->fold, 5) ^ cipher * ODD;
}

static uint8_t stream_byte(struct stream *s, uint8_t in, bool seal)
{
    if (s->at == 0)
        s->word = scramble(s->seed + ++s->n * ODD);
    uint8_t out = in ^ (uint8_t)(s->word >> 8 * s->at);
    s->cipher |= (uint64_t)(seal ? out : in) << 8 * s->at;
    s->len++;
    if (++s->at == 8) {
        stream_fold(s, s->cipher);
        s->cipher = 0;
        s->at = 0;
    }
    return out;
}

static void stream_bytes(struct stream *s, const uint8_t *src, uint8_t *dst, size_t len, bool seal)
{
    while (len > 0 && (s->at != 0 || len < 8)) {
        *dst++ = stream_byte(s, *src++, seal);
        len--;
    }
    for (; len >= 8; len -= 8, src += 8, dst += 8) {
        uint64_t in;
        memcpy(&in, src, 8);
        uint64_t out = in ^ scramble(s->seed + ++s->n * ODD);
        memcpy(dst, &out, 8);
        stream_fold(s, seal ? out : in);
        s->len += 8;
    }
    while (len-- > 0)
        *dst++ = stream_byte(s, *src++, seal);
}

static void stream_end(const struct stream *s, const uint8_t *aad, size_t aad_len, uint8_t tag[16])
{
    struct milgi__fake_mixer m;
    milgi__fake_begin(&m, TAG_TAG);
    milgi__fake_add_int(&m, s->seed);
    milgi__fake_add_int(&m, aad_len);
    milgi__fake_add(&m, aad, aad_len);
    milgi__fake_add_int(&m, s->fold);
    milgi__fake_add_int(&m, s->cipher);
    milgi__fake_add_int(&m, s->len);
    milgi__fake_end(&m, tag, 16);
    milgi__wipe(&m, sizeof m);
}

int milgi__aead_seal(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst)
{
    (void)cx;
    struct stream s;
    if (stream_begin(&s, key, nonce) != 0)
        return MILGI__BROKEN;
    for (size_t i = 0; i < src_n; i++) {
        stream_bytes(&s, src[i].data, dst, src[i].len, true);
        dst += src[i].len;
    }
    if (type != 0)
        *dst++ = stream_byte(&s, type, true);
    for (; type != 0 && pad > 0; pad--)
        *dst++ = stream_byte(&s, 0, true);
    stream_end(&s, aad, aad_len, dst);
    milgi__wipe(&s, sizeof s);
    return 0;
}

int milgi__aead_open(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst)
{
    (void)cx;
    struct stream s;
    uint8_t expected[16];
    if (stream_begin(&s, key, nonce) != 0)
        return MILGI__BROKEN;
    uint8_t *to = dst;
    for (size_t i = 0; i < src_n; i++) {
        stream_bytes(&s, src[i].data, dst ? to : src[i].data, src[i].len, false);
        if (dst)
            to += src[i].len;
    }
    stream_end(&s, aad, aad_len, expected);
    milgi__wipe(&s, sizeof s);
    if (milgi__ct_equal(expected, tag, sizeof expected))
        return 0;
    for (size_t i = 0; i < src_n; i++) {
        milgi__wipe(dst ? dst : src[i].data, src[i].len);
        if (dst)
            dst += src[i].len;
    }
    return MILGI__BAD;
}

unsigned milgi__aead_many(struct milgi__crypto *cx, const struct milgi__aead_key *key, bool seal,
    const struct milgi_op_record *records, unsigned n, int8_t verdicts[MILGI__AEAD_MANY])
{
    (void)cx;
    (void)key;
    (void)seal;
    (void)records;
    (void)n;
    (void)verdicts;
    return 0;
}

unsigned milgi__aead_each(struct milgi__crypto *cx, bool seal, const struct milgi__aead_record *records, unsigned n,
    int8_t verdicts[MILGI__AEAD_MANY])
{
    (void)cx;
    (void)seal;
    (void)records;
    (void)n;
    (void)verdicts;
    return 0;
}

void milgi__aead_forget(struct milgi__crypto *cx, uint64_t serial)
{
    (void)cx;
    (void)serial;
}

/* --- key exchange ----------------------------------------------------------------------------------------------- */

/*
 * The private key is a number x, the share its product with a constant (modulo 2^64), the shared secret a hash of the
 * product of one's own x and the other's share. As with the real groups, X25519 takes every share but zero while of
 * the others most bytes are on no curve: there the bytes behind the product are a hash of it.
 */
struct group {
    uint16_t id;
    uint8_t seed_len, secret_len;
    uint16_t public_len;
    uint8_t shared_len;
    uint8_t form; /* first byte of a share; 0: none */
};
static const struct group groups[] = {
    { MILGI_GROUP_X25519, 32, 32, 32, 32, 0 },
    { MILGI_GROUP_SECP256R1, 40, 32, 65, 32, 4 },
    { MILGI_GROUP_SECP384R1, 56, 48, 97, 48, 4 },
    { MILGI_GROUP_SECP521R1, 74, 66, 133, 66, 4 },
    { MILGI_GROUP_MLKEM768, 64, 64, 1184, 32, 0 },
    { MILGI_GROUP_MLKEM1024, 64, 64, 1568, 32, 0 },
};

static const struct group *find_group(uint16_t id)
{
    for (size_t i = 0; i < MILGI__COUNT(groups); i++) {
        if (groups[i].id == id)
            return &groups[i];
    }
    return NULL;
}

static void expand(enum tag tag, uint64_t group, const void *data, size_t len, uint8_t *out, size_t out_len)
{
    struct milgi__fake_mixer m;
    milgi__fake_begin(&m, tag);
    milgi__fake_add_int(&m, group);
    milgi__fake_add(&m, data, len);
    milgi__fake_end(&m, out, out_len);
    milgi__wipe(&m, sizeof m);
}

static uint64_t scalar(const struct group *g, const uint8_t *secret)
{
    uint64_t x;
    expand(TAG_SCALAR, g->id, secret, g->secret_len, (uint8_t *)&x, sizeof x);
    return x | 1; /* odd: the product is never zero */
}

static void make_share(const struct group *g, uint64_t y, uint8_t *pub)
{
    size_t head = g->form ? 1 : 0;
    if (g->form)
        pub[0] = g->form;
    memcpy(pub + head, &y, sizeof y);
    expand(TAG_SHARE, g->id, &y, sizeof y, pub + head + sizeof y, g->public_len - head - sizeof y);
}

int milgi__kex_keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t *seed, size_t seed_len, uint8_t *secret,
    size_t *secret_len, uint8_t *pub, size_t *pub_len)
{
    (void)cx;
    const struct group *g = find_group(group);
    if (!g || seed_len != g->seed_len || *secret_len < g->secret_len || *pub_len < g->public_len)
        return MILGI__BROKEN;
    if (group == MILGI_GROUP_X25519)
        memcpy(secret, seed, g->secret_len);
    else
        expand(TAG_SCALAR, 0, seed, seed_len, secret, g->secret_len);
    make_share(g, scalar(g, secret) * ODD, pub);
    *secret_len = g->secret_len;
    *pub_len = g->public_len;
    return 0;
}

/* The number that a share stands for; 0: none. */
static uint64_t read_share(const struct group *g, const uint8_t *peer, size_t peer_len)
{
    uint8_t proper[MILGI_KEX_PUBLIC_MAX];
    uint64_t y, off;
    if (peer_len != g->public_len)
        return 0;
    memcpy(&y, peer + (g->form ? 1 : 0), sizeof y);
    make_share(g, y, proper);
    if (memcmp(proper, peer, peer_len) == 0)
        return y;
    if (g->form)
        return 0;
    uint8_t sum = 0;
    for (size_t i = 0; i < peer_len; i++)
        sum |= peer[i];
    expand(TAG_SHARE, 0, peer, peer_len, (uint8_t *)&off, sizeof off);
    return sum == 0 ? 0 : off | 1;
}

int milgi__kex_derive(struct milgi__crypto *cx, uint16_t group, const uint8_t *secret, size_t secret_len,
    const uint8_t *peer, size_t peer_len, uint8_t *shared, size_t *shared_len)
{
    (void)cx;
    const struct group *g = find_group(group);
    if (!g || secret_len != g->secret_len || *shared_len < g->shared_len)
        return MILGI__BROKEN;
    uint64_t y = read_share(g, peer, peer_len);
    if (y == 0)
        return MILGI__BAD;
    uint64_t product = scalar(g, secret) * y;
    expand(TAG_SHARED, g->id, &product, sizeof product, shared, g->shared_len);
    *shared_len = g->shared_len;
    milgi__wipe(&product, sizeof product);
    return 0;
}

/*
 * A KEM is the same with a key pair that is made on the spot: its share is the ciphertext. As of the real one, keys can
 * be malformed, while every ciphertext gives some secret.
 */
static bool is_proper(const struct group *g, const uint8_t *share, size_t len, uint64_t *y)
{
    uint8_t proper[MILGI_KEX_PUBLIC_MAX];
    memcpy(y, share, sizeof *y);
    expand(TAG_SHARE, g->id, y, sizeof *y, proper, len - sizeof *y);
    return *y != 0 && memcmp(proper, share + sizeof *y, len - sizeof *y) == 0;
}

static size_t ciphertext_len_of(const struct group *g)
{
    return g->id == MILGI_GROUP_MLKEM768 ? 1088 : g->public_len;
}

bool milgi__mldsa_available(void)
{
    return false;
}

bool milgi__kem_available(void)
{
    return true;
}

int milgi__kem_keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t seed[MILGI__KEM_SEED], uint8_t *secret,
    size_t *secret_len, uint8_t *pub, size_t *pub_len)
{
    const struct group *g = find_group(group);
    int rv = g ? milgi__kex_keygen(cx, group, seed, MILGI__KEM_SEED, secret, secret_len, pub, pub_len) : MILGI__BROKEN;
    if (rv == 0)
        memcpy(secret, seed, MILGI__KEM_SEED);
    return rv;
}

int milgi__kem_encaps(struct milgi__crypto *cx, uint16_t group, const uint8_t *peer, size_t peer_len,
    const uint8_t seed[MILGI__KEM_ENCAPS_SEED], uint8_t *ciphertext, size_t *ciphertext_len, uint8_t *shared,
    size_t *shared_len)
{
    (void)cx;
    const struct group *g = find_group(group);
    uint64_t x, y;
    if (!g || *ciphertext_len < ciphertext_len_of(g) || *shared_len < g->shared_len)
        return MILGI__BROKEN;
    if (!is_proper(g, peer, peer_len, &y))
        return MILGI__BAD;
    expand(TAG_SCALAR, g->id, seed, MILGI__KEM_ENCAPS_SEED, (uint8_t *)&x, sizeof x);
    x |= 1;
    uint64_t product = x * y;
    x *= ODD;
    *ciphertext_len = ciphertext_len_of(g);
    memcpy(ciphertext, &x, sizeof x);
    expand(TAG_SHARE, g->id, &x, sizeof x, ciphertext + sizeof x, *ciphertext_len - sizeof x);
    expand(TAG_SHARED, g->id, &product, sizeof product, shared, g->shared_len);
    *shared_len = g->shared_len;
    milgi__wipe(&product, sizeof product);
    return 0;
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
    (void)cx;
    const struct group *g = find_group(group);
    uint8_t private[MILGI__KEM_SEED];
    uint64_t y;
    if (!g || *shared_len < g->shared_len)
        return MILGI__BROKEN;
    expand(TAG_SCALAR, 0, secret, MILGI__KEM_SEED, private, sizeof private);
    *shared_len = g->shared_len;
    if (is_proper(g, ciphertext, ciphertext_len, &y)) {
        uint64_t product = scalar(g, private) * y;
        expand(TAG_SHARED, g->id, &product, sizeof product, shared, g->shared_len);
        milgi__wipe(&product, sizeof product);
    } else {
        struct milgi__fake_mixer m;
        milgi__fake_begin(&m, TAG_SHARED);
        milgi__fake_add(&m, private, sizeof private);
        milgi__fake_add(&m, ciphertext, ciphertext_len);
        milgi__fake_end(&m, shared, g->shared_len);
    }
    milgi__wipe(private, sizeof private);
    return 0;
}

/* No signature is ECDSA's here. */
int milgi__ecdsa_der(const uint8_t *raw, size_t raw_len, uint8_t *out, size_t *out_len)
{
    (void)raw;
    (void)raw_len;
    (void)out;
    (void)out_len;
    return MILGI__BROKEN;
}

/* Who makes hashes for others knows nothing of the fake's signatures. */
int milgi__pkey_sign_hashed(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len)
{
    (void)cx;
    (void)key;
    (void)scheme;
    (void)input;
    (void)input_len;
    (void)sig;
    (void)sig_len;
    return MILGI__BROKEN;
}

int milgi__verify_hashed(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme,
    const uint8_t *input, size_t input_len, const uint8_t *sig, size_t sig_len)
{
    (void)cx;
    (void)spki;
    (void)spki_len;
    (void)scheme;
    (void)input;
    (void)input_len;
    (void)sig;
    (void)sig_len;
    return MILGI__BROKEN;
}

int milgi__key_id(const uint8_t *spki, size_t spki_len, uint8_t out[20])
{
    (void)spki;
    (void)spki_len;
    (void)out;
    return MILGI__BROKEN;
}

/* Tokens know nothing of the fake's signatures. */
int milgi__sign_hash(struct milgi__crypto *cx, uint16_t scheme, const uint8_t *input, size_t input_len,
    uint8_t out[MILGI__SIGN_HASH_MAX], size_t *out_len)
{
    (void)cx;
    (void)scheme;
    (void)input;
    (void)input_len;
    (void)out;
    *out_len = 0;
    return MILGI__BROKEN;
}

int milgi__verify(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len)
{
    bool fits = milgi__key_fits(spki, spki_len, scheme);
    return fits ? milgi__verify_any_curve(cx, spki, spki_len, scheme, input, input_len, sig, sig_len) : MILGI__BAD;
}

/* --- OCSP ------------------------------------------------------------------------------------------------------- */

int64_t milgi__ocsp_good_until(const uint8_t *response, size_t len)
{
    int64_t until_s;
    return milgi__ocsp_read(response, len, &until_s) == 0 ? until_s : INT64_MIN;
}

/* --- numbers: this backend has none ----------------------------------------------------------------------------- */

int milgi__raw_private(const struct milgi__pkey *key, struct milgi__raw_key *out)
{
    (void)key;
    memset(out, 0, sizeof *out);
    return MILGI__BROKEN;
}

int milgi__raw_pss(const struct milgi__pkey *key, uint16_t scheme, const uint8_t *input, size_t input_len, uint8_t *out)
{
    (void)key;
    (void)scheme;
    (void)input;
    (void)input_len;
    (void)out;
    return MILGI__BROKEN;
}

int milgi__raw_modulus(const struct milgi__pkey *key, struct milgi__raw_modulus *out)
{
    (void)key;
    (void)out;
    return MILGI__BROKEN;
}

int milgi__raw_message(
    const struct milgi__pkey *key, uint16_t scheme, const uint8_t *input, size_t input_len, uint8_t *out)
{
    return milgi__raw_pss(key, scheme, input, input_len, out);
}

int milgi__raw_p256(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len, struct milgi__raw_p256 *out)
{
    (void)cx;
    (void)spki;
    (void)spki_len;
    (void)input;
    (void)input_len;
    (void)sig;
    (void)sig_len;
    (void)out;
    return MILGI__BROKEN;
}
