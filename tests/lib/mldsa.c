/* SPDX-License-Identifier: Apache-2.0 */
#include "mldsa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <milgi/op.h>

#include "crypto/x509.h"

#define DER_MAX 16384

struct der {
    uint8_t b[DER_MAX];
    size_t n;
};

static void must(bool well, const char *what)
{
    if (well)
        return;
    fprintf(stderr, "ML-DSA: %s\n", what);
    abort();
}

/* --- DER -------------------------------------------------------------------------------------------------------- */

static void put(struct der *d, const void *p, size_t n)
{
    must(n <= sizeof d->b - d->n, "a certificate is too long");
    memcpy(d->b + d->n, p, n);
    d->n += n;
}

static size_t begin(struct der *d, uint8_t tag)
{
    const uint8_t head[4] = { tag };
    put(d, head, sizeof head);
    return d->n;
}

/* The shortest length (X.690 10.1) takes the place that was left for the longest. */
static void end(struct der *d, size_t mark)
{
    size_t len = d->n - mark, head = len < 128 ? 2 : len < 256 ? 3
                                                               : 4;
    uint8_t *at = d->b + mark - 4;
    memmove(at + head, d->b + mark, len);
    d->n -= 4 - head;
    at[1] = head == 2 ? (uint8_t)len : (uint8_t)(0x80 + head - 2);
    at[head - 1] = (uint8_t)len;
    if (head == 4)
        at[2] = (uint8_t)(len >> 8);
}

static void put_one(struct der *d, uint8_t tag, const void *p, size_t n)
{
    size_t mark = begin(d, tag);
    put(d, p, n);
    end(d, mark);
}

static char *pem_of(const char *label, const uint8_t *der, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc(2 * len + 128);
    must(text, "no memory");
    int n = sprintf(text, "-----BEGIN %s-----\n", label);
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t v = (uint32_t)der[i] << 16;
        v |= left > 1 ? (uint32_t)der[i + 1] << 8 : 0;
        v |= left > 2 ? der[i + 2] : 0u;
        text[n++] = digits[v >> 18];
        text[n++] = digits[v >> 12 & 63];
        text[n++] = left > 1 ? digits[v >> 6 & 63] : '=';
        text[n++] = left > 2 ? digits[v & 63] : '=';
        if (i % 48 == 45 || left <= 3)
            text[n++] = '\n';
    }
    sprintf(text + n, "-----END %s-----\n", label);
    return text;
}

/* --- keys ------------------------------------------------------------------------------------------------------- */

/* id-ml-dsa-44 is 2.16.840.1.101.3.4.3.17, and so on; there are no parameters (RFC 9881 2). */
static void put_algorithm(struct der *d, enum milgi__key_type type)
{
    uint8_t id[] = { 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0 };
    id[8] = (uint8_t)(17 + type - MILGI__KEY_MLDSA44);
    size_t mark = begin(d, 0x30);
    put_one(d, 0x06, id, sizeof id);
    end(d, mark);
}

void mldsa_pkcs8(enum milgi__key_type type, uint8_t seed, uint8_t out[MLDSA_PKCS8_LEN])
{
    uint8_t bytes[32];
    struct der *d = calloc(1, sizeof *d);
    must(d, "no memory");
    memset(bytes, seed, sizeof bytes);
    size_t all = begin(d, 0x30);
    put_one(d, 0x02, "", 1);
    put_algorithm(d, type);
    size_t key = begin(d, 0x04);
    put_one(d, 0x80, bytes, sizeof bytes);
    end(d, key);
    end(d, all);
    must(d->n == MLDSA_PKCS8_LEN, "a private key of another length");
    memcpy(out, d->b, d->n);
    free(d);
}

static char *key_pem(enum milgi__key_type type, uint8_t seed)
{
    uint8_t pkcs8[MLDSA_PKCS8_LEN];
    mldsa_pkcs8(type, seed, pkcs8);
    return pem_of("PRIVATE KEY", pkcs8, sizeof pkcs8);
}

static void read_key(const char *pem, struct milgi__private_key *key)
{
    struct milgi__pem_fault fault;
    must(milgi__pem_private_key(pem, strlen(pem), NULL, 0, key, &fault) == 0, "a private key is not read");
}

/* --- certificates ------------------------------------------------------------------------------------------------- */

static void put_name(struct der *d, const char *name)
{
    size_t all = begin(d, 0x30), set = begin(d, 0x31), one = begin(d, 0x30);
    put_one(d, 0x06, "\x55\x04\x03", 3); /* id-at-commonName */
    put_one(d, 0x0c, name, strlen(name));
    end(d, one);
    end(d, set);
    end(d, all);
}

static void put_extension(struct der *d, uint8_t arc, bool critical, const uint8_t *value, size_t len)
{
    const uint8_t id[] = { 0x55, 0x1d, arc };
    size_t one = begin(d, 0x30);
    put_one(d, 0x06, id, sizeof id);
    if (critical)
        put_one(d, 0x01, "\xff", 1);
    put_one(d, 0x04, value, len);
    end(d, one);
}

static void put_extensions(struct der *d, const char *name, bool root)
{
    static const uint8_t ca[] = { 0x30, 0x03, 0x01, 0x01, 0xff };
    uint8_t names[72] = { 0x30, (uint8_t)(strlen(name) + 2), 0x82, (uint8_t)strlen(name) };
    memcpy(names + 4, name, strlen(name));
    size_t all = begin(d, 0xa3), list = begin(d, 0x30);
    if (root)
        put_extension(d, 19, true, ca, sizeof ca); /* basicConstraints */
    else
        put_extension(d, 17, false, names, 4 + strlen(name)); /* subjectAltName */
    end(d, list);
    end(d, all);
}

static void put_tbs(struct der *d, const struct mldsa_identity *own, const struct mldsa_identity *issuer,
    const struct milgi__private_key *key, uint8_t serial)
{
    static const char from[] = "250101000000Z", to[] = "491231235959Z";
    const struct mldsa_identity *by = issuer ? issuer : own;
    size_t all = begin(d, 0x30), version = begin(d, 0xa0);
    put_one(d, 0x02, "\x02", 1);
    end(d, version);
    put_one(d, 0x02, &serial, 1);
    put_algorithm(d, by->type);
    put_name(d, by->name);
    size_t validity = begin(d, 0x30);
    put_one(d, 0x17, from, sizeof from - 1);
    put_one(d, 0x17, to, sizeof to - 1);
    end(d, validity);
    put_name(d, own->name);
    put(d, key->spki, key->spki_len);
    put_extensions(d, own->name, !issuer);
    end(d, all);
}

static void put_signature(
    struct der *d, const struct der *tbs, enum milgi__key_type type, const struct milgi__private_key *with)
{
    static const uint16_t schemes[] = { MILGI_SIG_MLDSA44, MILGI_SIG_MLDSA65, MILGI_SIG_MLDSA87 };
    uint8_t sig[1 + MILGI_SIGNATURE_LONG_MAX] = { 0 }; /* no unused bits */
    size_t len = sizeof sig - 1;
    struct milgi__crypto *cx = milgi__crypto_new();
    struct milgi__pkey *key = cx ? milgi__pkey_new(cx, with->pkcs8, with->pkcs8_len) : NULL;
    must(key && milgi__pkey_sign(cx, key, schemes[type - MILGI__KEY_MLDSA44], tbs->b, tbs->n, sig + 1, &len) == 0,
        "a certificate is not signed");
    put_one(d, 0x03, sig, 1 + len);
    milgi__pkey_free(key);
    milgi__crypto_free(cx);
}

static void make_certificate(
    struct mldsa_identity *own, const struct mldsa_identity *issuer, uint8_t serial)
{
    struct milgi__private_key key, with;
    struct der *tbs = calloc(1, sizeof *tbs), *d = calloc(1, sizeof *d);
    must(tbs && d, "no memory");
    read_key(own->key_pem, &key);
    read_key(issuer ? issuer->key_pem : own->key_pem, &with);
    put_tbs(tbs, own, issuer, &key, serial);
    size_t all = begin(d, 0x30);
    put(d, tbs->b, tbs->n);
    put_algorithm(d, with.type);
    put_signature(d, tbs, with.type, &with);
    end(d, all);
    own->cert_der = malloc(d->n);
    must(own->cert_der, "no memory");
    memcpy(own->cert_der, d->b, d->n);
    own->cert_der_len = d->n;
    milgi__private_key_clear(&key);
    milgi__private_key_clear(&with);
    free(tbs);
    free(d);
}

struct mldsa_identity *mldsa_identity(
    enum milgi__key_type type, uint8_t seed, const char *name, const struct mldsa_identity *issuer)
{
    struct mldsa_identity *own = calloc(1, sizeof *own);
    must(own && strlen(name) < sizeof own->name, "no memory");
    own->type = type;
    strcpy(own->name, name);
    own->key_pem = key_pem(type, seed);
    make_certificate(own, issuer, seed ? seed : 1);
    own->cert_pem = pem_of("CERTIFICATE", own->cert_der, own->cert_der_len);
    return own;
}

void mldsa_identity_free(struct mldsa_identity *identity)
{
    if (!identity)
        return;
    free(identity->key_pem);
    free(identity->cert_pem);
    free(identity->cert_der);
    free(identity);
}
