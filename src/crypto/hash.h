/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes, HMAC and HKDF. */
#pragma once

#include "crypto/context.h"

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
