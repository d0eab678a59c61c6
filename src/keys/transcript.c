/* SPDX-License-Identifier: Apache-2.0 */
/* The hash of all handshake messages, which more can be added to after it was read. */
#include "keys/keys.h"

/* Rare and small: the messages before the suite is known are one ClientHello, or two; more where they are kept. */
static int keep_early(struct milgi__transcript *t, const void *message, size_t len)
{
    uint8_t *early = milgi__alloc_raw(t->early_len + len);
    if (!early)
        return MILGI_ENOMEM;
    if (t->early_len)
        memcpy(early, t->early, t->early_len);
    memcpy(early + t->early_len, message, len);
    milgi__free(t->early);
    t->early = early;
    t->early_len += len;
    return 0;
}

int milgi__transcript_add(struct milgi__transcript *t, const void *message, size_t len)
{
    if (len == 0)
        return 0;
    int rv = !t->digest || t->keeps ? keep_early(t, message, len) : 0;
    if (!t->digest || rv != 0)
        return rv;
    return milgi__digest_update(t->digest, message, len) == 0 ? 0 : MILGI_EINTERNAL;
}

int milgi__transcript_start(struct milgi__transcript *t, struct milgi__crypto *cx, enum milgi__hash hash)
{
    if (t->digest)
        return MILGI_EINTERNAL;
    struct milgi__digest *digest = milgi__digest_new(cx, hash);
    if (!digest)
        return MILGI_ENOMEM;
    if (t->early_len > 0 && milgi__digest_update(digest, t->early, t->early_len) != 0) {
        milgi__digest_free(digest);
        return MILGI_EINTERNAL;
    }
    t->digest = digest;
    t->hash = hash;
    if (!t->keeps)
        milgi__transcript_forget(t);
    return 0;
}

void milgi__transcript_forget(struct milgi__transcript *t)
{
    milgi__free(t->early);
    t->early = NULL;
    t->early_len = 0;
    t->keeps = false;
}

int milgi__transcript_retry(struct milgi__transcript *t, struct milgi__crypto *cx)
{
    enum {
        MESSAGE_HASH = 254,
        HEADER = 4
    };
    uint8_t message[HEADER + MILGI__HASH_MAX];
    size_t len = milgi__hash_len(t->hash);
    if (!t->digest || milgi__digest_peek(cx, t->digest, message + HEADER) != 0)
        return MILGI_EINTERNAL;
    /*= RFC8446 4.4.1: "the value of ClientHello1 is replaced with a special synthetic handshake message of handshake
     *  type "message_hash" containing Hash(ClientHello1)" */
    message[0] = MESSAGE_HASH;
    message[1] = message[2] = 0;
    message[3] = (uint8_t)len;
    struct milgi__digest *digest = milgi__digest_new(cx, t->hash);
    if (!digest)
        return MILGI_ENOMEM;
    milgi__digest_free(t->digest);
    t->digest = digest;
    return milgi__digest_update(digest, message, HEADER + len) == 0 ? 0 : MILGI_EINTERNAL;
}

int milgi__transcript_hash(const struct milgi__transcript *t, struct milgi__crypto *cx, uint8_t out[MILGI__HASH_MAX])
{
    if (!t->digest || milgi__digest_peek(cx, t->digest, out) != 0)
        return MILGI_EINTERNAL;
    return 0;
}

int milgi__transcript_hash_with(const struct milgi__transcript *t, struct milgi__crypto *cx, enum milgi__hash hash,
    const uint8_t *more, size_t len, uint8_t out[MILGI__HASH_MAX])
{
    if (!t->digest)
        return t->early_len == 0 && milgi__hash(cx, hash, more, len, out) == 0 ? 0 : MILGI_EINTERNAL;
    struct milgi__digest *digest = t->hash == hash ? milgi__digest_clone(cx, t->digest) : NULL;
    if (!digest)
        return t->hash == hash ? MILGI_ENOMEM : MILGI_EINTERNAL;
    bool ok = milgi__digest_update(digest, more, len) == 0 && milgi__digest_peek(cx, digest, out) == 0;
    milgi__digest_free(digest);
    return ok ? 0 : MILGI_EINTERNAL;
}

void milgi__transcript_free(struct milgi__transcript *t)
{
    if (t->digest)
        milgi__digest_free(t->digest);
    milgi__free(t->early);
    *t = (struct milgi__transcript){ 0 };
}
