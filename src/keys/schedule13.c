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
        .empty = "\xe3\xb0\xc4\x42\x98\xfc\x1c\x14\x9a\xfb\xf4\xc8\x99\x6f\xb9\x24"
                 "\x27\xae\x41\xe4\x64\x9b\x93\x4c\xa4\x95\x99\x1b\x78\x52\xb8\x55",
        .early = "\x33\xad\x0a\x1c\x60\x7e\xc0\x3b\x09\xe6\xcd\x98\x93\x68\x0c\xe2"
                 "\x10\xad\xf3\x00\xaa\x1f\x26\x60\xe1\xb2\x2e\x10\xf1\x70\xf9\x2a",
        .derived = "\x6f\x26\x15\xa1\x08\xc7\x02\xc5\x67\x8f\x54\xfc\x9d\xba\xb6\x97"
                   "\x16\xc0\x76\x18\x9c\x48\x25\x0c\xeb\xea\xc3\x57\x6c\x36\x11\xba",
    },
    [MILGI__SHA384] = {
        .empty = "\x38\xb0\x60\xa7\x51\xac\x96\x38\x4c\xd9\x32\x7e\xb1\xb1\xe3\x6a"
                 "\x21\xfd\xb7\x11\x14\xbe\x07\x43\x4c\x0c\xc7\xbf\x63\xf6\xe1\xda"
                 "\x27\x4e\xde\xbf\xe7\x6f\x65\xfb\xd5\x1a\xd2\xf1\x48\x98\xb9\x5b",
        .early = "\x7e\xe8\x20\x6f\x55\x70\x02\x3e\x6d\xc7\x51\x9e\xb1\x07\x3b\xc4"
                 "\xe7\x91\xad\x37\xb5\xc3\x82\xaa\x10\xba\x18\xe2\x35\x7e\x71\x69"
                 "\x71\xf9\x36\x2f\x2c\x2f\xe2\xa7\x6b\xfd\x78\xdf\xec\x4e\xa9\xb5",
        .derived = "\x15\x91\xda\xc5\xcb\xbf\x03\x30\xa4\xa8\x4d\xe9\xc7\x53\x33\x0e"
                   "\x92\xd0\x1f\x0a\x88\x21\x4b\x44\x64\x97\x2f\xd6\x68\x04\x9e\x93"
                   "\xe5\x2f\x2b\x16\xfa\xd9\x22\xfd\xc0\x58\x44\x78\x42\x8f\x28\x2b",
    },
};
static const uint8_t zeros[MILGI__HASH_MAX];

/* HkdfLabel; returns its length. */
static size_t write_info(uint8_t *info, size_t cap, const char *label, size_t label_len, const uint8_t *context,
    size_t context_len, size_t out_len)
{
    static const char prefix[6] = { 't', 'l', 's', '1', '3', ' ' };
    struct milgi__writer w = milgi__writer(info, cap);
    milgi__write16(&w, (unsigned)out_len);
    milgi__write8(&w, (unsigned)(sizeof prefix + label_len));
    milgi__write_bytes(&w, prefix, sizeof prefix);
    milgi__write_bytes(&w, label, label_len);
    milgi__write8(&w, (unsigned)context_len);
    milgi__write_bytes(&w, context, context_len);
    return milgi__written(&w);
}

int milgi__hkdf_expand_label(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret, const char *label,
    const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len)
{
    uint8_t info[2 + 1 + LABEL_MAX + 1 + CONTEXT_MAX];
    size_t label_len = strlen(label);
    /*= RFC8446 7.1: "opaque label<7..255> = "tls13 " + Label;" */
    if (label_len == 0 || label_len > LABEL_MAX - 6 || context_len > CONTEXT_MAX || out_len > UINT16_MAX)
        return MILGI_EINVAL;
    size_t len = write_info(info, sizeof info, label, label_len, context, context_len, out_len);
    int e = milgi__hkdf_expand(cx, hash, secret, milgi__hash_len(hash), info, len, out, out_len);
    return e == 0 ? 0 : MILGI_EINTERNAL;
}

/* What is derived from one secret: at once, since half of the work is to set up the secret. */
struct derived {
    const char *label;
    uint8_t *out;
    size_t out_len;
};

static int derive_all(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret, const uint8_t *context,
    size_t context_len, const struct derived *wanted, size_t n)
{
    enum {
        MOST = 3,
        OWN_LABEL_MAX = 12
    };
    uint8_t info[MOST][2 + 1 + 6 + OWN_LABEL_MAX + 1 + MILGI__HASH_MAX];
    struct milgi__expansion expansions[MOST];
    for (size_t i = 0; i < n; i++) {
        const struct derived *d = &wanted[i];
        size_t len =
            write_info(info[i], sizeof info[i], d->label, strlen(d->label), context, context_len, d->out_len);
        expansions[i] = (struct milgi__expansion){ info[i], len, d->out, d->out_len };
    }
    int e = milgi__hkdf_expand_all(cx, hash, secret, milgi__hash_len(hash), expansions, n);
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

void milgi__schedule13_at_early(struct milgi__schedule13 *s, enum milgi__hash hash, const uint8_t *early)
{
    s->hash = hash;
    memcpy(s->current, early, milgi__hash_len(hash));
}

int milgi__early_exporter(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *psk, size_t psk_len,
    const uint8_t *early, const uint8_t *hello_hash, uint8_t out[MILGI__HASH_MAX])
{
    struct milgi__schedule13 s = { .hash = hash };
    int e = psk ? milgi__schedule13_early(&s, cx, hash, psk, psk_len) : 0;
    if (e == 0)
        e = derive(cx, hash, psk ? s.current : early, "e exp master", hello_hash, out);
    milgi__wipe(s.current, sizeof s.current);
    return e;
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
    const struct derived wanted[] = {
        { "c hs traffic", s->client_hs, len },
        { "s hs traffic", s->server_hs, len },
    };
    if (e == 0)
        e = derive_all(cx, s->hash, s->current, hello_hash, len, wanted, MILGI__COUNT(wanted));
    milgi__wipe(salt, sizeof salt);
    return e;
}

int milgi__schedule13_master(
    struct milgi__schedule13 *s, struct milgi__crypto *cx, const uint8_t *server_finished_hash)
{
    uint8_t salt[MILGI__HASH_MAX];
    size_t len = milgi__hash_len(s->hash);
    const struct derived wanted[] = {
        { "c ap traffic", s->client_app, len },
        { "s ap traffic", s->server_app, len },
        { "exp master", s->exporter, len },
    };
    int e = derive(cx, s->hash, s->current, "derived", known[s->hash].empty, salt);
    if (e == 0)
        e = extract(s, cx, salt, zeros, len);
    if (e == 0)
        e = derive_all(cx, s->hash, s->current, server_finished_hash, len, wanted, MILGI__COUNT(wanted));
    milgi__wipe(salt, sizeof salt);
    return e;
}

int milgi__schedule13_resumption(
    struct milgi__schedule13 *s, struct milgi__crypto *cx, const uint8_t *client_finished_hash)
{
    uint8_t resumption[MILGI__SECRET_MAX] = { 0 };
    int e = derive(cx, s->hash, s->current, "res master", client_finished_hash, resumption);
    /*= RFC8446 7.1: "Once all the values which are to be derived from a given secret have been computed, that secret
     *  SHOULD be erased." */
    memcpy(s->resumption, resumption, sizeof resumption);
    milgi__wipe(resumption, sizeof resumption);
    return e;
}

int milgi__resumption_psk(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *resumption,
    const uint8_t *nonce, size_t nonce_len, uint8_t *psk)
{
    return milgi__hkdf_expand_label(
        cx, hash, resumption, "resumption", nonce, nonce_len, psk, milgi__hash_len(hash));
}

int milgi__binder_of_early(struct milgi__crypto *cx, enum milgi__hash hash, enum milgi__binder kind,
    const uint8_t *early, const uint8_t *hello_hash, uint8_t out[MILGI__HASH_MAX])
{
    static const char *const labels[] = {
        [MILGI__BINDER_RESUMPTION] = "res binder",
        [MILGI__BINDER_EXTERNAL] = "ext binder",
        [MILGI__BINDER_IMPORTED] = "imp binder",
    };
    uint8_t key[MILGI__HASH_MAX];
    int e = derive(cx, hash, early, labels[kind], known[hash].empty, key);
    if (e == 0)
        e = milgi__finished_mac(cx, hash, key, hello_hash, out);
    milgi__wipe(key, sizeof key);
    return e;
}

int milgi__binder(struct milgi__crypto *cx, enum milgi__hash hash, enum milgi__binder kind, const uint8_t *psk,
    size_t psk_len, const uint8_t *hello_hash, uint8_t out[MILGI__HASH_MAX])
{
    struct milgi__schedule13 s;
    int e = milgi__schedule13_early(&s, cx, hash, psk, psk_len);
    if (e == 0)
        e = milgi__binder_of_early(cx, hash, kind, s.current, hello_hash, out);
    milgi__wipe(s.current, sizeof s.current);
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
    const struct derived wanted[] = { { "key", key, suite->key_len }, { "iv", iv, 12 } };
    return derive_all(cx, suite->hash, secret, NULL, 0, wanted, MILGI__COUNT(wanted));
}
