/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transcript, key schedules (RFC 8446 7.1, RFC 5246 6.3), exporters and the key log. Everything runs inline on the
 * caller's struct milgi__crypto.
 */
#pragma once

#include "crypto/hash.h"
#include "op/op.h"

/* --- transcript ------------------------------------------------------------------------------------------------- */

/*
 * The messages so far. Before the suite is known they are kept as bytes (bounded by the handshake message cap);
 * milgi__transcript_start() fixes the hash. An object: a handshake may have two.
 */
struct milgi__transcript {
    struct milgi__digest *digest;
    enum milgi__hash hash;
    bool keeps; /* set before anything is added: the bytes stay when the hash is known */
    uint8_t *early;
    size_t early_len;
};
int milgi__transcript_add(struct milgi__transcript *t, const void *message, size_t len);
int milgi__transcript_start(struct milgi__transcript *t, struct milgi__crypto *cx, enum milgi__hash hash);
/* Once the hash is known: the bytes are not needed (any more). */
void milgi__transcript_forget(struct milgi__transcript *t);
/* Replaces ClientHello1 by message_hash (RFC 8446 4.4.1): after start(), with only ClientHello1 in it. */
int milgi__transcript_retry(struct milgi__transcript *t, struct milgi__crypto *cx);
int milgi__transcript_hash(const struct milgi__transcript *t, struct milgi__crypto *cx, uint8_t out[MILGI__HASH_MAX]);
/* The hash with |more| behind what it has, which stays as it is; before start() with nothing before it. */
int milgi__transcript_hash_with(const struct milgi__transcript *t, struct milgi__crypto *cx, enum milgi__hash hash,
    const uint8_t *more, size_t len, uint8_t out[MILGI__HASH_MAX]);
void milgi__transcript_free(struct milgi__transcript *t);

/* --- schedule --------------------------------------------------------------------------------------------------- */

#define MILGI__SECRET_MAX MILGI__HASH_MAX

struct milgi__schedule13 {
    enum milgi__hash hash;
    union {
        uint8_t current[MILGI__SECRET_MAX];    /* Early, Handshake, then Master Secret; */
        uint8_t resumption[MILGI__SECRET_MAX]; /* after milgi__schedule13_resumption(), what that has made of it */
    };
    uint8_t client_hs[MILGI__SECRET_MAX], server_hs[MILGI__SECRET_MAX];
    uint8_t client_app[MILGI__SECRET_MAX], server_app[MILGI__SECRET_MAX];
    uint8_t exporter[MILGI__SECRET_MAX];
};
int milgi__hkdf_expand_label(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret, const char *label,
    const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len);
/* psk NULL: zeros */
int milgi__schedule13_early(
    struct milgi__schedule13 *s, struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *psk, size_t psk_len);
/* The same where the Early Secret is known. */
void milgi__schedule13_at_early(struct milgi__schedule13 *s, enum milgi__hash hash, const uint8_t *early);
/*
 * early_exporter_master_secret, over the hash of the ClientHello: at the Early Secret, which |psk| makes if that is not
 * NULL, else |early| is it.
 */
int milgi__early_exporter(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *psk, size_t psk_len,
    const uint8_t *early, const uint8_t *hello_hash, uint8_t out[MILGI__HASH_MAX]);
int milgi__schedule13_handshake(struct milgi__schedule13 *s, struct milgi__crypto *cx, const uint8_t *shared,
    size_t shared_len, const uint8_t *hello_hash);
int milgi__schedule13_master(
    struct milgi__schedule13 *s, struct milgi__crypto *cx, const uint8_t *server_finished_hash);
int milgi__schedule13_resumption(
    struct milgi__schedule13 *s, struct milgi__crypto *cx, const uint8_t *client_finished_hash);
/* The PSK of a ticket with that nonce (RFC 8446 4.6.1). */
int milgi__resumption_psk(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *resumption,
    const uint8_t *nonce, size_t nonce_len, uint8_t *psk);
/* What a binder is made for, and its label. */
enum milgi__binder {
    MILGI__BINDER_RESUMPTION,
    MILGI__BINDER_EXTERNAL,
    MILGI__BINDER_IMPORTED /* RFC 9258 5.2 */
};
/* The binder of a PSK over the hash of a ClientHello up to its binders, and what came before (RFC 8446 4.2.11.2). */
int milgi__binder(struct milgi__crypto *cx, enum milgi__hash hash, enum milgi__binder kind, const uint8_t *psk,
    size_t psk_len, const uint8_t *hello_hash, uint8_t out[MILGI__HASH_MAX]);
/* The same where the Early Secret of the PSK is known. */
int milgi__binder_of_early(struct milgi__crypto *cx, enum milgi__hash hash, enum milgi__binder kind,
    const uint8_t *early, const uint8_t *hello_hash, uint8_t out[MILGI__HASH_MAX]);
/* verify_data of a Finished: |base| is the sender's handshake traffic secret. */
int milgi__finished_mac(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *base,
    const uint8_t *transcript_hash, uint8_t out[MILGI__HASH_MAX]);
/* The next application traffic secret, in place (RFC 8446 7.2). */
int milgi__next_secret(struct milgi__crypto *cx, enum milgi__hash hash, uint8_t *secret);
/* Key and IV of a traffic secret (RFC 8446 7.3). */
int milgi__traffic_keys(
    struct milgi__crypto *cx, const struct milgi__suite *suite, const uint8_t *secret, uint8_t *key, uint8_t iv[12]);
/*
 * The PSK that is imported from |secret| (RFC 9258 5.1): |hash| is the secret's, |identity| its ImportedIdentity, |psk|
 * as long as the output of |target|. And the ImportedIdentity itself: NULL writes nothing; its length.
 */
int milgi__imported_psk(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret, size_t secret_len,
    const uint8_t *identity, size_t identity_len, enum milgi__hash target, uint8_t psk[MILGI__HASH_MAX]);
size_t milgi__imported_identity(const void *identity, size_t identity_len, const void *context, size_t context_len,
    enum milgi__hash target, uint8_t *out);
/* RFC 8446 7.5. */
int milgi__export13(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *exporter, const char *label,
    const void *context, size_t context_len, uint8_t *out, size_t out_len);

/* --- TLS 1.2 ---------------------------------------------------------------------------------------------------- */

#define MILGI__MASTER12 48
#define MILGI__FINISHED12 12
#define MILGI__BLOCK_KEYS_MAX (32 + 12)

struct milgi__schedule12 {
    enum milgi__hash hash;
    uint8_t randoms[64]; /* the client's, the server's */
    uint8_t master[MILGI__MASTER12];
    uint8_t first[MILGI__FINISHED12]; /* verify_data of the first Finished of the handshake, of either side */
    bool has_first;
    /* of the key block: a key, and behind it the part of the nonce that stays */
    uint8_t client_keys[MILGI__BLOCK_KEYS_MAX], server_keys[MILGI__BLOCK_KEYS_MAX];
};
/* All of these: 0, MILGI_EINTERNAL or MILGI_ENOMEM. */
/* The PRF (RFC 5246 5). */
int milgi__prf12(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret, size_t secret_len,
    const char *label, const void *seed, size_t seed_len, uint8_t *out, size_t out_len);
/* session_hash NULL: the master secret of RFC 5246, over the randoms alone. */
int milgi__schedule12_master(struct milgi__schedule12 *s, struct milgi__crypto *cx, enum milgi__hash hash,
    const uint8_t *premaster, size_t premaster_len, const uint8_t *session_hash);
int milgi__schedule12_keys(
    struct milgi__schedule12 *s, struct milgi__crypto *cx, const struct milgi__suite *suite);
/*= RFC5288 3: "the "salt" [...] SHALL be 4 octets", RFC7905 2: "The AEAD_CHACHA20_POLY1305 [...] fixed_iv_length of 12
 *= bytes" */
static inline size_t milgi__fixed_iv_len(const struct milgi__suite *suite)
{
    return suite->aead == MILGI_SUITE_CHACHA20_POLY1305_SHA256 ? 12 : 4;
}
/* Key and IV of one direction. */
void milgi__block_keys(const struct milgi__suite *suite, const uint8_t *keys, uint8_t *key, uint8_t iv[12]);
int milgi__finished12(const struct milgi__schedule12 *s, struct milgi__crypto *cx, bool by_server,
    const uint8_t *transcript_hash, uint8_t out[MILGI__FINISHED12]);
/* RFC 5705 4; context NULL: none, which differs from an empty one. MILGI_EINVAL: longer than 65535 bytes. */
int milgi__export12(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *master, const uint8_t *randoms,
    const char *label, const void *context, size_t context_len, uint8_t *out, size_t out_len);

/* --- key log ---------------------------------------------------------------------------------------------------- */

/* Writes "LABEL <client random> <secret>" to |out|; returns its length, 0 when it does not fit. */
size_t milgi__keylog_line(char *out, size_t cap, const char *label, const uint8_t client_random[32],
    const uint8_t *secret, size_t secret_len);
