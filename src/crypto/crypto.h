/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that the library wants of a crypto library. openssl3_*.c implements it on libcrypto >= 3.0, fake.c
 * deterministically and cheaply for tests.
 *
 * A struct milgi__crypto belongs to one thread (an engine, a worker): algorithms fetched once, contexts reused and
 * re-keyed. Results: 0 done; MILGI__BAD: the input is bad (a verdict); MILGI__BROKEN: it could not be done.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <milgi/error.h>

#define MILGI__BAD 1
#define MILGI__BROKEN (-1)

struct milgi__crypto;
struct milgi__crypto *milgi__crypto_new(void); /* NULL: no memory, or the algorithms cannot be had */
void milgi__crypto_free(struct milgi__crypto *cx);
/* Wipes every key that contexts still hold: before a thread goes to sleep for long. */
void milgi__crypto_idle(struct milgi__crypto *cx);

/*
 * 0 or negative. |store| (a struct milgi__crypto, or NULL) keeps some in store, so that not each draw costs a call of
 * the generator; what was drawn is wiped from it. Not for use in a process that was forked since.
 */
int milgi__crypto_random(void *store, uint8_t *out, size_t len);

/* --- AEAD ------------------------------------------------------------------------------------------------------- */

struct milgi__aead_key {
    uint64_t serial; /* identifies the key for reuse of its context */
    uint16_t suite;
    uint8_t raw_len;
    const uint8_t *raw;
};

struct milgi__piece {
    uint8_t *data;
    size_t len;
};

/*
 * Writes sum(src) + (type ? 1 + pad : 0) bytes and the 16 byte tag to |dst|, which may be src[0].data (then src_n is
 * 1).
 */
int milgi__aead_seal(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst);
/* Opens the pieces to |dst|, or in place when dst is NULL. On MILGI__BAD the destination is wiped. */
int milgi__aead_open(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst);
void milgi__aead_forget(struct milgi__crypto *cx, uint64_t serial);

/* --- hashes ----------------------------------------------------------------------------------------------------- */

enum milgi__hash {
    MILGI__SHA256,
    MILGI__SHA384
};
#define MILGI__HASH_MAX 48
size_t milgi__hash_len(enum milgi__hash hash);

struct milgi__digest;                                                                     /* a running hash */
struct milgi__digest *milgi__digest_new(struct milgi__crypto *cx, enum milgi__hash hash); /* NULL: no memory */
void milgi__digest_free(struct milgi__digest *digest);
int milgi__digest_update(struct milgi__digest *digest, const void *data, size_t len);
/* the hash so far; it goes on */
int milgi__digest_peek(struct milgi__crypto *cx, const struct milgi__digest *digest, uint8_t out[MILGI__HASH_MAX]);
struct milgi__digest *milgi__digest_clone(struct milgi__crypto *cx, const struct milgi__digest *digest);
int milgi__hash(
    struct milgi__crypto *cx, enum milgi__hash hash, const void *data, size_t len, uint8_t out[MILGI__HASH_MAX]);

int milgi__hmac(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *key, size_t key_len, const void *data,
    size_t len, uint8_t out[MILGI__HASH_MAX]);
/* RFC 5869; extract is HMAC(salt, ikm). */
int milgi__hkdf_expand(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *prk, size_t prk_len,
    const uint8_t *info, size_t info_len, uint8_t *out, size_t out_len);

/* Several of one key, which takes half of the time. */
struct milgi__expansion {
    const uint8_t *info;
    size_t info_len;
    uint8_t *out;
    size_t out_len;
};
int milgi__hkdf_expand_all(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *prk, size_t prk_len,
    const struct milgi__expansion *expansions, size_t n);

/* --- key exchange ----------------------------------------------------------------------------------------------- */

/* As MILGI_OP_KEYGEN and MILGI_OP_DERIVE say (milgi/op.h). |*secret_len| in and out where it is a pointer. */
size_t milgi__kex_seed_len(uint16_t group); /* 0: unknown group */
size_t milgi__kex_public_len(uint16_t group);
int milgi__kex_keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t *seed, size_t seed_len, uint8_t *secret,
    size_t *secret_len, uint8_t *pub, size_t *pub_len);
int milgi__kex_derive(struct milgi__crypto *cx, uint16_t group, const uint8_t *secret, size_t secret_len,
    const uint8_t *peer, size_t peer_len, uint8_t *shared, size_t *shared_len);

/* --- signatures ------------------------------------------------------------------------------------------------- */

enum milgi__key_type {
    MILGI__KEY_NONE,
    MILGI__KEY_RSA,     /* rsaEncryption: PSS (rsae) in TLS 1.3 */
    MILGI__KEY_RSA_PSS, /* id-RSASSA-PSS */
    MILGI__KEY_P256,
    MILGI__KEY_P384,
    MILGI__KEY_P521,
    MILGI__KEY_ED25519
};

struct milgi__pkey; /* a private key of one thread */
struct milgi__pkey *milgi__pkey_new(struct milgi__crypto *cx, const uint8_t *pkcs8, size_t len);
void milgi__pkey_free(struct milgi__pkey *key);
int milgi__pkey_sign(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len);
int milgi__verify(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme, const uint8_t *input,
    size_t input_len, const uint8_t *sig, size_t sig_len);
/*
 * For keys that sign elsewhere and want the hash: the scheme's hash of |input|. |*out_len| is 0 for a scheme that signs
 * the message itself (Ed25519). 0, or MILGI__BROKEN: no such scheme.
 */
#define MILGI__SIGN_HASH_MAX 64
int milgi__sign_hash(struct milgi__crypto *cx, uint16_t scheme, const uint8_t *input, size_t input_len,
    uint8_t out[MILGI__SIGN_HASH_MAX], size_t *out_len);
/*
 * An ECDSA signature as tokens give it, r and s of equal length one behind the other, in DER as TLS has it (RFC 8446
 * 4.2.3). 0, or MILGI__BROKEN: |raw_len| is odd, 0 or above 132, or there is no room in |*out_len| bytes.
 */
int milgi__ecdsa_der(const uint8_t *raw, size_t raw_len, uint8_t *out, size_t *out_len);

/* --- certificates ----------------------------------------------------------------------------------------------- */

/*
 * PEM private key to PKCS#8 DER, and its public half (SubjectPublicKeyInfo DER), in fresh memory (milgi__free_wiped /
 * milgi__free). 0, MILGI_EPARSE, MILGI_EWEAK, MILGI_EUNSUPPORTED, MILGI_ENOMEM.
 */
int milgi__pem_private_key(const void *pem, size_t pem_len, uint8_t **pkcs8, size_t *pkcs8_len, uint8_t **spki,
    size_t *spki_len, enum milgi__key_type *type, unsigned *bits);
/*
 * Calls |each| with the DER of every certificate in |pem|; it returns 0 or an error that ends the walk. 0,
 * MILGI_EPARSE (none, or one malformed), or each's error.
 */
int milgi__pem_certificates(
    const void *pem, size_t pem_len, int (*each)(void *arg, const uint8_t *der, size_t len), void *arg);

struct milgi__cert_info {
    const uint8_t *spki; /* inside the DER that was given, so borrowed from it */
    size_t spki_len;
    enum milgi__key_type type;
    unsigned bits;        /* RSA modulus; else of the curve */
    bool may_sign;        /* keyUsage is absent or has digitalSignature */
    uint16_t signed_with; /* signature scheme that the issuer used, 0: another one */
};
/* 0 or MILGI__BAD; |cx| may be NULL */
int milgi__cert_info(struct milgi__crypto *cx, const uint8_t *der, size_t len, struct milgi__cert_info *info);
/* The subject as RFC 2253 has it, cut when longer than |cap| - 1. 0 or MILGI__BAD. */
int milgi__cert_subject(const uint8_t *der, size_t len, char *out, size_t cap);
/* 1 if the certificate is valid for this DNS name (host name rules of RFC 6125). */
int milgi__cert_matches_name(const uint8_t *der, size_t len, const char *name);

/* A set of anchors, of one thread. Built from DER certificates, each with a 3-byte length before it. */
struct milgi__store;
struct milgi__store *milgi__store_new(const uint8_t *anchors, size_t len);
void milgi__store_free(struct milgi__store *store);
/* The system's default store as such a list, in fresh memory. 0, MILGI_EFILE, MILGI_ENOMEM. */
int milgi__system_anchors(uint8_t **anchors, size_t *len);

struct milgi__chain_query {
    const uint8_t *chain; /* DER certificates, leaf first, each with a 3-byte length before it */
    size_t chain_len;
    int64_t now_s;
    int purpose;         /* enum milgi_purpose */
    const uint8_t *name; /* NULL: any */
    size_t name_len;
    bool name_is_ip;
};
/* 0: accepted; MILGI__BAD: *verdict is X509_V_ERR_* and *alert what to tell the peer. */
int milgi__chain_verify(struct milgi__crypto *cx, struct milgi__store *store, const struct milgi__chain_query *query,
    int32_t *verdict, uint16_t *alert);
/* Text for a verdict; static. */
const char *milgi__verdict_text(int32_t verdict);
