/* SPDX-License-Identifier: Apache-2.0 */
/* The key schedule of RFC 8446 section 7, one extraction after another. */
#include "keys/keys.h"

#include "buf/codec.h"

#define LABEL_MAX 255u
#define CONTEXT_MAX 255u

/*
 * What depends on the hash alone, so that a handshake without PSK need not compute it: Hash(""), the Early Secret of
 * the zero PSK, and Derive-Secret of that with "derived".
 */
struct known {
    uint8_t empty[MILGI__HASH_MAX], early[MILGI__HASH_MAX], derived[MILGI__HASH_MAX];
};
static const struct known known[] = {
    [MILGI__SHA256] = {
        .empty = {
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
            0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55 },
        .early = { 0x33, 0xad, 0x0a, 0x1c, 0x60, 0x7e, 0xc0, 0x3b, 0x09, 0xe6, 0xcd, 0x98, 0x93, 0x68, 0x0c, 0xe2, 0x10, 0xad, 0xf3, 0x00, 0xaa, 0x1f, 0x26, 0x60, 0xe1, 0xb2, 0x2e, 0x10, 0xf1, 0x70, 0xf9, 0x2a },
        .derived = { 0x6f, 0x26, 0x15, 0xa1, 0x08, 0xc7, 0x02, 0xc5, 0x67, 0x8f, 0x54, 0xfc, 0x9d, 0xba, 0xb6, 0x97, 0x16, 0xc0, 0x76, 0x18, 0x9c, 0x48, 0x25, 0x0c, 0xeb, 0xea, 0xc3, 0x57, 0x6c, 0x36, 0x11, 0xba },
    },
    [MILGI__SHA384] = {
        .empty = { 0x38, 0xb0, 0x60, 0xa7, 0x51, 0xac, 0x96, 0x38, 0x4c, 0xd9, 0x32, 0x7e, 0xb1, 0xb1, 0xe3, 0x6a, 0x21, 0xfd, 0xb7, 0x11, 0x14, 0xbe, 0x07, 0x43, 0x4c, 0x0c, 0xc7, 0xbf, 0x63, 0xf6, 0xe1, 0xda, 0x27, 0x4e, 0xde, 0xbf, 0xe7, 0x6f, 0x65, 0xfb, 0xd5, 0x1a, 0xd2, 0xf1, 0x48, 0x98, 0xb9, 0x5b },
        .early = { 0x7e, 0xe8, 0x20, 0x6f, 0x55, 0x70, 0x02, 0x3e, 0x6d, 0xc7, 0x51, 0x9e, 0xb1, 0x07, 0x3b, 0xc4, 0xe7, 0x91, 0xad, 0x37, 0xb5, 0xc3, 0x82, 0xaa, 0x10, 0xba, 0x18, 0xe2, 0x35, 0x7e, 0x71, 0x69, 0x71, 0xf9, 0x36, 0x2f, 0x2c, 0x2f, 0xe2, 0xa7, 0x6b, 0xfd, 0x78, 0xdf, 0xec, 0x4e, 0xa9, 0xb5 },
        .derived = { 0x15, 0x91, 0xda, 0xc5, 0xcb, 0xbf, 0x03, 0x30, 0xa4, 0xa8, 0x4d, 0xe9, 0xc7, 0x53, 0x33, 0x0e, 0x92, 0xd0, 0x1f, 0x0a, 0x88, 0x21, 0x4b, 0x44, 0x64, 0x97, 0x2f, 0xd6, 0x68, 0x04, 0x9e, 0x93, 0xe5, 0x2f, 0x2b, 0x16, 0xfa, 0xd9, 0x22, 0xfd, 0xc0, 0x58, 0x44, 0x78, 0x42, 0x8f, 0x28, 0x2b },
    },
};
static const uint8_t zeros[MILGI__HASH_MAX];

int milgi__hkdf_expand_label(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret, const char *label,
    const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len)
{
    static const char prefix[6] = { 't', 'l', 's', '1', '3', ' ' };
    uint8_t info[2 + 1 + LABEL_MAX + 1 + CONTEXT_MAX];
    size_t label_len = strlen(label);
    /*= RFC8446 7.1: "opaque label<7..255> = "tls13 " + Label;" */
    if (label_len == 0 || label_len > LABEL_MAX - sizeof prefix || context_len > CONTEXT_MAX || out_len > UINT16_MAX)
        return MILGI_EINVAL;
    struct milgi__writer w = milgi__writer(info, sizeof info);
    milgi__write16(&w, (unsigned)out_len);
    milgi__write8(&w, (unsigned)(sizeof prefix + label_len));
    milgi__write_bytes(&w, prefix, sizeof prefix);
    milgi__write_bytes(&w, label, label_len);
    milgi__write8(&w, (unsigned)context_len);
    milgi__write_bytes(&w, context, context_len);
    int e = milgi__hkdf_expand(cx, hash, secret, milgi__hash_len(hash), info, milgi__written(&w), out, out_len);
    return e == 0 ? 0 : MILGI_EINTERNAL;
}

/* Derive-Secret, with the hash of its messages computed. */
static int derive(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret, const char *label,
    const uint8_t *messages_hash, uint8_t *out)
{
    size_t len = milgi__hash_len(hash);
    return milgi__hkdf_expand_label(cx, hash, secret, label, messages_hash, len, out, len);
}

/* The next secret on the left side of the diagram: |ikm| extracted with |salt|. */
static int extract(
    struct milgi__schedule13 *s, struct milgi__crypto *cx, const uint8_t *salt, const uint8_t *ikm, size_t ikm_len)
{
    int e = milgi__hmac(cx, s->hash, salt, milgi__hash_len(s->hash), ikm, ikm_len, s->current);
    return e == 0 ? 0 : MILGI_EINTERNAL;
}

int milgi__schedule13_early(struct milgi__schedule13 *s, struct milgi__crypto *cx, enum milgi__hash hash,
    const uint8_t *psk, size_t psk_len)
{
    s->hash = hash;
    if (psk)
        return extract(s, cx, zeros, psk, psk_len);
    /*= RFC8446 7.1: "if PSK is not in use, Early Secret will still be HKDF-Extract(0, 0)" */
    memcpy(s->current, known[hash].early, milgi__hash_len(hash));
    return 0;
}

int milgi__schedule13_handshake(struct milgi__schedule13 *s, struct milgi__crypto *cx, const uint8_t *shared,
    size_t shared_len, const uint8_t *hello_hash)
{
    uint8_t salt[MILGI__HASH_MAX];
    const struct known *k = &known[s->hash];
    size_t len = milgi__hash_len(s->hash);
    int e = 0;
    if (milgi__ct_equal(s->current, k->early, len))
        memcpy(salt, k->derived, len);
    else
        e = derive(cx, s->hash, s->current, "derived", k->empty, salt);
    if (e == 0)
        e = extract(s, cx, salt, shared, shared_len);
    if (e == 0)
        e = derive(cx, s->hash, s->current, "c hs traffic", hello_hash, s->client_hs);
    if (e == 0)
        e = derive(cx, s->hash, s->current, "s hs traffic", hello_hash, s->server_hs);
    milgi__wipe(salt, sizeof salt);
    return e;
}

int milgi__schedule13_master(
    struct milgi__schedule13 *s, struct milgi__crypto *cx, const uint8_t *server_finished_hash)
{
    uint8_t salt[MILGI__HASH_MAX];
    int e = derive(cx, s->hash, s->current, "derived", known[s->hash].empty, salt);
    if (e == 0)
        e = extract(s, cx, salt, zeros, milgi__hash_len(s->hash));
    if (e == 0)
        e = derive(cx, s->hash, s->current, "c ap traffic", server_finished_hash, s->client_app);
    if (e == 0)
        e = derive(cx, s->hash, s->current, "s ap traffic", server_finished_hash, s->server_app);
    if (e == 0)
        e = derive(cx, s->hash, s->current, "exp master", server_finished_hash, s->exporter);
    milgi__wipe(salt, sizeof salt);
    return e;
}

int milgi__schedule13_resumption(
    struct milgi__schedule13 *s, struct milgi__crypto *cx, const uint8_t *client_finished_hash)
{
    int e = derive(cx, s->hash, s->current, "res master", client_finished_hash, s->resumption);
    /*= RFC8446 7.1: "Once all the values which are to be derived from a given secret have been computed, that secret
     *  SHOULD be erased." */
    milgi__wipe(s->current, sizeof s->current);
    return e;
}

int milgi__finished_mac(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *base,
    const uint8_t *transcript_hash, uint8_t out[MILGI__HASH_MAX])
{
    uint8_t key[MILGI__HASH_MAX];
    size_t len = milgi__hash_len(hash);
    int e = milgi__hkdf_expand_label(cx, hash, base, "finished", NULL, 0, key, len);
    if (e == 0 && milgi__hmac(cx, hash, key, len, transcript_hash, len, out) != 0)
        e = MILGI_EINTERNAL;
    milgi__wipe(key, sizeof key);
    return e;
}

int milgi__next_secret(struct milgi__crypto *cx, enum milgi__hash hash, uint8_t *secret)
{
    uint8_t next[MILGI__HASH_MAX];
    size_t len = milgi__hash_len(hash);
    int e = milgi__hkdf_expand_label(cx, hash, secret, "traffic upd", NULL, 0, next, len);
    /*= RFC8446 7.2: "implementations SHOULD delete client_/server_application_traffic_secret_N" */
    if (e == 0)
        memcpy(secret, next, len);
    milgi__wipe(next, sizeof next);
    return e;
}

int milgi__traffic_keys(
    struct milgi__crypto *cx, const struct milgi__suite *suite, const uint8_t *secret, uint8_t *key, uint8_t iv[12])
{
    int e = milgi__hkdf_expand_label(cx, suite->hash, secret, "key", NULL, 0, key, suite->key_len);
    return e != 0 ? e : milgi__hkdf_expand_label(cx, suite->hash, secret, "iv", NULL, 0, iv, 12);
}
