/* SPDX-License-Identifier: Apache-2.0 */
/* The fake backend's keys, signatures and certificates; fake.h has the format. */
#include "crypto/fake/fake.h"

#include <milgi/op.h>

enum tag {
    TAG_ID = 100,
    TAG_SIGN,
    TAG_SEAL,
    TAG_SECRET
};

enum {
    AT_TYPE = 4,
    AT_SECRET = 7,
    AT_FLAGS = AT_TYPE + MILGI__FAKE_SPKI_LEN,
    AT_SIGNED_WITH = 40,
    AT_NOT_BEFORE = 42,
    AT_NOT_AFTER = 50,
    AT_ISSUER = 58,
    AT_SEAL = 90,
    ID_LEN = 32,
    SEAL_LEN = 16
};

static const uint8_t key_magic[4] = { 'F', 'A', 'K', 'K' }, cert_magic[4] = { 'F', 'A', 'K', 'E' };

/* --- keys ------------------------------------------------------------------------------------------------------- */

struct kind {
    enum milgi__key_type type;
    unsigned bits; /* 0: RSA, 512..16384 */
    uint16_t schemes[6];
};
static const struct kind kinds[] = {
    { MILGI__KEY_RSA, 0,
        { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA384, MILGI_SIG_RSA_PSS_RSAE_SHA512,
            MILGI_SIG_RSA_PKCS1_SHA256, MILGI_SIG_RSA_PKCS1_SHA384, MILGI_SIG_RSA_PKCS1_SHA512 } },
    { MILGI__KEY_RSA_PSS, 0,
        { MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_RSA_PSS_PSS_SHA384, MILGI_SIG_RSA_PSS_PSS_SHA512 } },
    { MILGI__KEY_P256, 256, { MILGI_SIG_ECDSA_SECP256R1_SHA256 } },
    { MILGI__KEY_P384, 384, { MILGI_SIG_ECDSA_SECP384R1_SHA384 } },
    { MILGI__KEY_P521, 521, { MILGI_SIG_ECDSA_SECP521R1_SHA512 } },
    { MILGI__KEY_ED25519, 256, { MILGI_SIG_ED25519 } },
};

static bool kind_is_rsa(const struct kind *kind)
{
    return kind->bits == 0;
}

/* What stands in type and bits; NULL: nonsense. */
static const struct kind *find_kind(const uint8_t *type)
{
    unsigned bits = milgi__get16(type + 1);
    for (size_t i = 0; i < MILGI__COUNT(kinds); i++) {
        if (kinds[i].type != type[0])
            continue;
        bool fits = kind_is_rsa(&kinds[i]) ? bits >= 512 && bits <= 16384 : bits == kinds[i].bits;
        return fits ? &kinds[i] : NULL;
    }
    return NULL;
}

static bool kind_signs(const struct kind *kind, uint16_t scheme)
{
    for (size_t i = 0; i < MILGI__COUNT(kind->schemes); i++) {
        if (scheme != 0 && kind->schemes[i] == scheme)
            return true;
    }
    return false;
}

/* The same where a scheme of ECDSA names its hash alone. */
static bool kind_signs_any_curve(const struct kind *kind, uint16_t scheme)
{
    bool ec = kind->type >= MILGI__KEY_P256 && kind->type <= MILGI__KEY_P521, ecdsa = (scheme & 0xff) == 3;
    return (ec && ecdsa) || kind_signs(kind, scheme);
}

void milgi__fake_private_key(enum milgi__key_type type, unsigned bits, uint64_t seed, uint8_t out[MILGI__FAKE_KEY_LEN])
{
    struct milgi__fake_mixer m;
    memcpy(out, key_magic, sizeof key_magic);
    out[AT_TYPE] = (uint8_t)type;
    milgi__put16(out + AT_TYPE + 1, bits);
    milgi__fake_begin(&m, TAG_SECRET);
    milgi__fake_add_int(&m, seed);
    milgi__fake_add(&m, out, AT_SECRET);
    milgi__fake_end(&m, out + AT_SECRET, MILGI__FAKE_KEY_LEN - AT_SECRET);
}

void milgi__fake_public_key(const uint8_t key[MILGI__FAKE_KEY_LEN], uint8_t spki[MILGI__FAKE_SPKI_LEN])
{
    struct milgi__fake_mixer m;
    memcpy(spki, key + AT_TYPE, 3);
    milgi__fake_begin(&m, TAG_ID);
    milgi__fake_add(&m, key, MILGI__FAKE_KEY_LEN);
    milgi__fake_end(&m, spki + 3, ID_LEN);
}

static const struct kind *parse_key(const uint8_t *key, size_t len)
{
    if (len != MILGI__FAKE_KEY_LEN || memcmp(key, key_magic, sizeof key_magic) != 0)
        return NULL;
    return find_kind(key + AT_TYPE);
}

struct milgi__pkey {
    const struct kind *kind;
    uint8_t spki[MILGI__FAKE_SPKI_LEN];
};

struct milgi__pkey *milgi__pkey_new(struct milgi__crypto *cx, const uint8_t *pkcs8, size_t len)
{
    (void)cx;
    const struct kind *kind = parse_key(pkcs8, len);
    struct milgi__pkey *key = kind ? milgi__alloc(sizeof *key) : NULL;
    if (!key)
        return NULL;
    key->kind = kind;
    milgi__fake_public_key(pkcs8, key->spki);
    return key;
}

void milgi__pkey_free(struct milgi__pkey *key)
{
    milgi__free_wiped(key, sizeof *key);
}

/* Returns the length. */
static size_t make_signature(const struct kind *kind, const uint8_t *spki, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t sig[MILGI_SIGNATURE_MAX])
{
    size_t len = kind_is_rsa(kind) ? MILGI__MIN(milgi__get16(spki + 1) / 8, MILGI_SIGNATURE_MAX) : 64;
    struct milgi__fake_mixer m;
    milgi__fake_begin(&m, TAG_SIGN);
    milgi__fake_add(&m, spki, MILGI__FAKE_SPKI_LEN);
    milgi__fake_add_int(&m, scheme);
    milgi__fake_add(&m, input, input_len);
    milgi__fake_end(&m, sig, len);
    return len;
}

int milgi__pkey_sign_any_curve(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme,
    const uint8_t *input, size_t input_len, uint8_t *sig, size_t *sig_len)
{
    (void)cx;
    uint8_t full[MILGI_SIGNATURE_MAX];
    if (!kind_signs_any_curve(key->kind, scheme))
        return MILGI__BROKEN;
    size_t len = make_signature(key->kind, key->spki, scheme, input, input_len, full);
    if (len > *sig_len)
        return MILGI__BROKEN;
    memcpy(sig, full, len);
    *sig_len = len;
    return 0;
}

int milgi__pkey_sign(struct milgi__crypto *cx, struct milgi__pkey *key, uint16_t scheme, const uint8_t *input,
    size_t input_len, uint8_t *sig, size_t *sig_len)
{
    bool signs = kind_signs(key->kind, scheme);
    return signs ? milgi__pkey_sign_any_curve(cx, key, scheme, input, input_len, sig, sig_len) : MILGI__BROKEN;
}

bool milgi__key_fits(const uint8_t *spki, size_t spki_len, uint16_t scheme)
{
    const struct kind *kind = spki_len == MILGI__FAKE_SPKI_LEN ? find_kind(spki) : NULL;
    return kind && kind_signs(kind, scheme);
}

int milgi__verify_any_curve(struct milgi__crypto *cx, const uint8_t *spki, size_t spki_len, uint16_t scheme,
    const uint8_t *input, size_t input_len, const uint8_t *sig, size_t sig_len)
{
    (void)cx;
    uint8_t full[MILGI_SIGNATURE_MAX];
    const struct kind *kind = spki_len == MILGI__FAKE_SPKI_LEN ? find_kind(spki) : NULL;
    if (!kind || !kind_signs_any_curve(kind, scheme))
        return MILGI__BAD;
    size_t len = make_signature(kind, spki, scheme, input, input_len, full);
    return len == sig_len && memcmp(full, sig, len) == 0 ? 0 : MILGI__BAD;
}

/* --- PEM -------------------------------------------------------------------------------------------------------- */

size_t milgi__fake_pem(const char *label, const uint8_t *bytes, size_t len, char out[MILGI__FAKE_PEM_MAX])
{
    static const char digits[] = "0123456789abcdef";
    const char *const part[] = { "-----BEGIN FAKE ", label, "-----\n", "\n-----END FAKE ", label, "-----\n" };
    char *p = out;
    for (size_t i = 0; i < MILGI__COUNT(part); i++) {
        size_t n = strlen(part[i]);
        memcpy(p, part[i], n);
        p += n;
        for (size_t j = 0; i == 2 && j < len; j++) {
            *p++ = digits[bytes[j] >> 4];
            *p++ = digits[bytes[j] & 15];
        }
    }
    *p = 0;
    return (size_t)(p - out);
}

struct text {
    const char *p, *end;
};

/* Moves behind the next |mark|; false: there is none. */
static bool skip_to(struct text *t, const char *mark)
{
    size_t len = strlen(mark);
    for (; (size_t)(t->end - t->p) >= len; t->p++) {
        if (memcmp(t->p, mark, len) == 0) {
            t->p += len;
            return true;
        }
    }
    return false;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes up to |end|; 0: malformed. */
static size_t unhex(struct text *t, const char *end, uint8_t *out, size_t cap)
{
    size_t n = 0;
    while (t->p < t->end && *t->p != '-') {
        if (*t->p == '\n' || *t->p == '\r') {
            t->p++;
            continue;
        }
        int high = digit(t->p[0]), low = t->end - t->p > 1 ? digit(t->p[1]) : -1;
        if (high < 0 || low < 0 || n == cap)
            return 0;
        out[n++] = (uint8_t)(high << 4 | low);
        t->p += 2;
    }
    size_t len = strlen(end);
    if ((size_t)(t->end - t->p) < len || memcmp(t->p, end, len) != 0)
        return 0;
    t->p += len;
    return n;
}

static uint8_t *copy(const uint8_t *data, size_t len)
{
    uint8_t *p = milgi__alloc_raw(len);
    if (p)
        memcpy(p, data, len);
    return p;
}

static int check_key(const struct kind *kind, unsigned bits, struct milgi__pem_fault *fault)
{
    if (!kind_is_rsa(kind) || (bits >= 2048 && bits <= 4096))
        return 0;
    fault->kind = bits < 2048 ? MILGI_PROBLEM_KEY_WEAK : MILGI_PROBLEM_KEY_LARGE;
    return bits < 2048 ? MILGI_EWEAK : MILGI_EUNSUPPORTED;
}

/* None is encrypted. */
int milgi__pem_private_key(const void *pem, size_t pem_len, const char *passphrase, size_t passphrase_len,
    struct milgi__private_key *out, struct milgi__pem_fault *fault)
{
    (void)passphrase;
    (void)passphrase_len;
    struct text t = { pem, (const char *)pem + pem_len };
    uint8_t key[MILGI__FAKE_KEY_LEN], public[MILGI__FAKE_SPKI_LEN];
    const struct kind *kind = NULL;
    *out = (struct milgi__private_key){ .pkcs8 = NULL };
    *fault = (struct milgi__pem_fault){ .kind = MILGI_PROBLEM_NO_BLOCK };
    if (skip_to(&t, "-----BEGIN FAKE PRIVATE KEY-----"))
        kind = parse_key(key, unhex(&t, "-----END FAKE PRIVATE KEY-----", key, sizeof key));
    if (!kind)
        return MILGI_EPARSE;
    out->type = kind->type;
    out->bits = milgi__get16(key + AT_TYPE + 1);
    int error = check_key(kind, out->bits, fault);
    if (error != 0)
        return error;
    milgi__fake_public_key(key, public);
    out->pkcs8 = copy(key, sizeof key);
    out->pkcs8_len = sizeof key;
    out->spki = copy(public, sizeof public);
    out->spki_len = sizeof public;
    milgi__wipe(key, sizeof key);
    if (out->pkcs8 && out->spki)
        return 0;
    milgi__private_key_clear(out);
    return MILGI_ENOMEM;
}

void milgi__private_key_clear(struct milgi__private_key *key)
{
    milgi__free_wiped(key->pkcs8, key->pkcs8_len);
    milgi__free(key->spki);
    *key = (struct milgi__private_key){ .pkcs8 = NULL };
}

static bool proper(const uint8_t *der, size_t len)
{
    bool sized = len > MILGI__FAKE_CERT_HEAD && len <= MILGI__FAKE_CERT_MAX;
    return sized && memcmp(der, cert_magic, sizeof cert_magic) == 0 &&
        find_kind(der + AT_TYPE);
}

int milgi__pem_certificates(const void *pem, size_t pem_len, int (*each)(void *arg, const uint8_t *der, size_t len),
    void *arg, struct milgi__pem_fault *fault)
{
    struct text t = { pem, (const char *)pem + pem_len };
    uint8_t der[MILGI__FAKE_CERT_MAX];
    int result = MILGI_EPARSE;
    *fault = (struct milgi__pem_fault){ .kind = MILGI_PROBLEM_NO_BLOCK };
    while (skip_to(&t, "-----BEGIN FAKE CERTIFICATE-----")) {
        size_t len = unhex(&t, "-----END FAKE CERTIFICATE-----", der, sizeof der);
        if (!proper(der, len))
            return MILGI_EPARSE;
        result = each(arg, der, len);
        if (result != 0)
            return result;
    }
    return result;
}

/* --- certificates ----------------------------------------------------------------------------------------------- */

static void put64(uint8_t *p, uint64_t v)
{
    for (unsigned i = 8; i-- > 0; v >>= 8)
        p[i] = (uint8_t)v;
}

static int64_t get64(const uint8_t *p)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return (int64_t)v;
}

static const uint8_t *id_of(const uint8_t *der)
{
    return der + AT_TYPE + 3;
}

static void make_seal(const uint8_t *der, size_t len, uint8_t seal[SEAL_LEN])
{
    struct milgi__fake_mixer m;
    milgi__fake_begin(&m, TAG_SEAL);
    milgi__fake_add(&m, der, AT_SEAL);
    milgi__fake_add(&m, der + MILGI__FAKE_CERT_HEAD, len - MILGI__FAKE_CERT_HEAD);
    milgi__fake_end(&m, seal, SEAL_LEN);
}

size_t milgi__fake_certificate(const struct milgi__fake_spec *spec, uint8_t out[MILGI__FAKE_CERT_MAX])
{
    uint8_t issuer[MILGI__FAKE_SPKI_LEN];
    size_t names_len = strlen(spec->names), len = MILGI__FAKE_CERT_HEAD + names_len;
    const struct kind *kind = find_kind(spec->issuer_key + AT_TYPE);
    if (!kind || names_len == 0 || len > MILGI__FAKE_CERT_MAX)
        return 0;
    memcpy(out, cert_magic, sizeof cert_magic);
    milgi__fake_public_key(spec->key, out + AT_TYPE);
    milgi__fake_public_key(spec->issuer_key, issuer);
    out[AT_FLAGS] = (uint8_t)spec->flags;
    milgi__put16(out + AT_SIGNED_WITH, kind->schemes[0]);
    put64(out + AT_NOT_BEFORE, (uint64_t)spec->not_before_s);
    put64(out + AT_NOT_AFTER, (uint64_t)spec->not_after_s);
    memcpy(out + AT_ISSUER, issuer + 3, ID_LEN);
    memcpy(out + MILGI__FAKE_CERT_HEAD, spec->names, names_len);
    make_seal(out, len, out + AT_SEAL);
    return len;
}

int milgi__cert_info(struct milgi__crypto *cx, const uint8_t *der, size_t len, struct milgi__cert_info *info)
{
    (void)cx;
    if (!proper(der, len))
        return MILGI__BAD;
    *info = (struct milgi__cert_info){ .spki_len = MILGI__FAKE_SPKI_LEN,
        .type = find_kind(der + AT_TYPE)->type,
        .bits = milgi__get16(der + AT_TYPE + 1),
        .may_sign = (der[AT_FLAGS] & MILGI__FAKE_MAY_SIGN) != 0,
        .signed_with = (uint16_t)milgi__get16(der + AT_SIGNED_WITH) };
    memcpy(info->spki, der + AT_TYPE, MILGI__FAKE_SPKI_LEN);
    return 0;
}

bool milgi__cert_has_key(const uint8_t *der, size_t len, const uint8_t *spki, size_t spki_len)
{
    return proper(der, len) && spki_len == MILGI__FAKE_SPKI_LEN && memcmp(der + AT_TYPE, spki, spki_len) == 0;
}

int milgi__cert_validity(const uint8_t *der, size_t len, int64_t *not_before_s, int64_t *not_after_s)
{
    if (!proper(der, len))
        return MILGI__BAD;
    *not_before_s = get64(der + AT_NOT_BEFORE);
    *not_after_s = get64(der + AT_NOT_AFTER);
    return 0;
}

int milgi__cert_subject(const uint8_t *der, size_t len, char *out, size_t cap)
{
    if (!proper(der, len) || cap < 4)
        return MILGI__BAD;
    const char *name = (const char *)der + MILGI__FAKE_CERT_HEAD;
    size_t n = 0, names_len = len - MILGI__FAKE_CERT_HEAD;
    while (n < names_len && n + 4 < cap && name[n] != ',')
        n++;
    memcpy(out, "CN=", 3);
    memcpy(out + 3, name, n);
    out[3 + n] = '\0';
    return 0;
}

/* Certificates here do not name their issuers. */
int milgi__cert_issuer(const uint8_t *der, size_t len, char *out, size_t cap)
{
    if (!proper(der, len))
        return MILGI__BAD;
    memset(out, 0, cap);
    return 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool same(const char *a, size_t a_len, const char *b, size_t b_len)
{
    if (a_len != b_len)
        return false;
    for (size_t i = 0; i < a_len; i++) {
        if (lower(a[i]) != lower(b[i]))
            return false;
    }
    return true;
}

/* One name of a certificate, in which "*." stands for one whole label. */
static bool covers(const char *pattern, size_t pattern_len, const char *name, size_t name_len)
{
    if (pattern_len < 2 || pattern[0] != '*')
        return same(pattern, pattern_len, name, name_len);
    const char *dot = memchr(name, '.', name_len);
    if (!dot || dot == name)
        return false;
    return same(pattern + 1, pattern_len - 1, dot, name_len - (size_t)(dot - name));
}

static bool has_name(const uint8_t *der, size_t len, const char *name, size_t name_len)
{
    const char *p = (const char *)der + MILGI__FAKE_CERT_HEAD, *end = (const char *)der + len;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        if (covers(p, (size_t)(stop - p), name, name_len))
            return true;
        p = stop + 1;
    }
    return false;
}

int milgi__cert_names(const uint8_t *der, size_t len, milgi__cert_name_cb each, void *arg)
{
    if (!proper(der, len))
        return MILGI__BAD;
    const char *p = (const char *)der + MILGI__FAKE_CERT_HEAD, *end = (const char *)der + len;
    int result = 0;
    while (result == 0 && p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        if (stop - p < 3 || memcmp(p, "ip:", 3) != 0)
            result = each(arg, MILGI_NAME_DNS, (const uint8_t *)p, (size_t)(stop - p));
        p = stop + 1;
    }
    return result;
}

int milgi__cert_end_point(
    struct milgi__crypto *cx, const uint8_t *der, size_t len, uint8_t out[MILGI__END_POINT_MAX], size_t *out_len)
{
    if (!proper(der, len))
        return MILGI__BAD;
    *out_len = milgi__hash_len(MILGI__SHA256);
    return milgi__hash(cx, MILGI__SHA256, der, len, out);
}

int milgi__cert_matches_name(const uint8_t *der, size_t len, const char *name)
{
    return proper(der, len) && has_name(der, len, name, strlen(name));
}

/* --- chains ----------------------------------------------------------------------------------------------------- */

struct milgi__store {
    size_t len;
    bool crl_check;
    uint8_t anchors[];
};

struct entry {
    const uint8_t *der;
    size_t len;
};

/* Takes the next certificate off a list; false: the end, or nonsense (*bad). */
static bool next_entry(const uint8_t **p, const uint8_t *end, struct entry *entry, bool *bad)
{
    if (*p == end)
        return false;
    size_t left = (size_t)(end - *p), len = left < 3 ? 0 : milgi__get24(*p);
    if (left < 3 || len > left - 3 || !proper(*p + 3, len)) {
        *bad = true;
        return false;
    }
    *entry = (struct entry){ *p + 3, len };
    *p += 3 + len;
    return true;
}

/* The certificate in a list whose key has this id; |*place|: how many stand before it. */
static bool find_entry(const uint8_t *list, size_t len, const uint8_t *id, struct entry *found, uint32_t *place)
{
    bool bad = false;
    const uint8_t *p = list;
    *place = 0;
    for (; next_entry(&p, list + len, found, &bad); ++*place) {
        if (memcmp(id_of(found->der), id, ID_LEN) == 0)
            return true;
    }
    return false;
}

struct milgi__store *milgi__store_new(const uint8_t *anchors, size_t len)
{
    bool bad = false;
    struct entry entry;
    const uint8_t *p = anchors;
    while (len > 0 && next_entry(&p, anchors + len, &entry, &bad))
        continue;
    struct milgi__store *store = bad ? NULL : milgi__alloc(sizeof *store + len);
    if (!store)
        return NULL;
    store->len = len;
    if (len > 0)
        memcpy(store->anchors, anchors, len);
    return store;
}

int milgi__store_add_crls(struct milgi__store *store, int check, const uint8_t *crls, size_t len)
{
    (void)crls;
    store->crl_check = check != MILGI_CRL_CHECK_NONE;
    return len == 0 ? 0 : MILGI_ENOMEM;
}

void milgi__store_free(struct milgi__store *store)
{
    milgi__free(store);
}

int milgi__system_anchors(uint8_t **anchors, size_t *len)
{
    uint8_t key[MILGI__FAKE_KEY_LEN], list[3 + MILGI__FAKE_CERT_MAX];
    milgi__fake_private_key(MILGI__KEY_P256, 256, UINT64_MAX, key);
    struct milgi__fake_spec spec = { key, key, MILGI__FAKE_CA, 0, INT64_MAX, "fake system root" };
    size_t n = milgi__fake_certificate(&spec, list + 3);
    list[0] = 0;
    milgi__put16(list + 1, (unsigned)n);
    *anchors = copy(list, 3 + n);
    *len = 3 + n;
    return *anchors ? 0 : MILGI_ENOMEM;
}

/* libcrypto's numbers, and what it tells the peer. */
struct verdict {
    int32_t number;
    uint16_t alert;
    const char *text;
};
enum {
    UNSPECIFIED = 1,
    NO_CRL = 3,
    BAD_SIGNATURE = 7,
    NOT_YET_VALID = 9,
    EXPIRED = 10,
    SELF_SIGNED = 18,
    NO_ISSUER = 20,
    TOO_LONG = 22,
    NO_CA = 79,
    WRONG_PURPOSE = 26,
    WRONG_NAME = 62,
    WRONG_ADDRESS = 64,
    WEAK_KEY = 66,
    REVOKED = 23,
    OCSP_NEEDED = 73,
    OCSP_FAILED = 74,
    OCSP_UNKNOWN = 75
};
static const struct verdict verdicts[] = {
    { UNSPECIFIED, MILGI_ALERT_BAD_CERTIFICATE, "malformed certificate" },
    { NO_CRL, MILGI_ALERT_CERTIFICATE_UNKNOWN, "unable to get certificate CRL" },
    { BAD_SIGNATURE, MILGI_ALERT_DECRYPT_ERROR, "certificate signature failure" },
    { NOT_YET_VALID, MILGI_ALERT_BAD_CERTIFICATE, "certificate is not yet valid" },
    { EXPIRED, MILGI_ALERT_CERTIFICATE_EXPIRED, "certificate has expired" },
    { SELF_SIGNED, MILGI_ALERT_UNKNOWN_CA, "self-signed certificate" },
    { NO_ISSUER, MILGI_ALERT_UNKNOWN_CA, "unable to get local issuer certificate" },
    { TOO_LONG, MILGI_ALERT_UNKNOWN_CA, "certificate chain too long" },
    { WRONG_PURPOSE, MILGI_ALERT_UNSUPPORTED_CERTIFICATE, "unsuitable certificate purpose" },
    { WRONG_NAME, MILGI_ALERT_BAD_CERTIFICATE, "hostname mismatch" },
    { WRONG_ADDRESS, MILGI_ALERT_BAD_CERTIFICATE, "IP address mismatch" },
    { WEAK_KEY, MILGI_ALERT_BAD_CERTIFICATE, "EE certificate key too weak" },
    { NO_CA, MILGI_ALERT_UNKNOWN_CA, "invalid CA certificate" },
    { REVOKED, MILGI_ALERT_CERTIFICATE_REVOKED, "certificate revoked" },
    { OCSP_NEEDED, MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE, "OCSP response needed" },
    { OCSP_FAILED, MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE, "OCSP response is of no use" },
    { OCSP_UNKNOWN, MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE, "OCSP responder does not know the certificate" },
};

static const struct verdict *find_verdict(int32_t number)
{
    size_t i = 0;
    while (i < MILGI__COUNT(verdicts) && verdicts[i].number != number)
        i++;
    return i < MILGI__COUNT(verdicts) ? &verdicts[i] : NULL;
}

const char *milgi__verdict_text(int32_t verdict)
{
    const struct verdict *found = find_verdict(verdict);
    return verdict == 0 ? "ok" : found ? found->text
                                       : "unknown verdict";
}

/* What is wrong with one certificate by itself; 0: nothing. */
static int32_t check_one(const struct entry *e, int64_t now_s, bool as_ca)
{
    uint8_t seal[SEAL_LEN];
    make_seal(e->der, e->len, seal);
    if (memcmp(seal, e->der + AT_SEAL, SEAL_LEN) != 0)
        return BAD_SIGNATURE;
    if (as_ca && !(e->der[AT_FLAGS] & MILGI__FAKE_CA))
        return NO_CA;
    if (kind_is_rsa(find_kind(e->der + AT_TYPE)) && milgi__get16(e->der + AT_TYPE + 1) < 2048)
        return WEAK_KEY;
    if (now_s < get64(e->der + AT_NOT_BEFORE))
        return NOT_YET_VALID;
    return now_s > get64(e->der + AT_NOT_AFTER) ? EXPIRED : 0;
}

/* From the leaf to an anchor; 0, or why not. |a|: the path so far. */
static int32_t check_path(const struct milgi__store *store, const struct milgi__chain_query *q, struct entry at,
    struct milgi__chain_answer *a)
{
    enum {
        DEPTH_MAX = 10
    };
    struct entry anchor;
    uint32_t place = 0;
    for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
        a->path[a->path_n++] = place;
        int32_t wrong = check_one(&at, q->now_s, depth > 0);
        if (wrong != 0)
            return wrong;
        const uint8_t *issuer = at.der + AT_ISSUER;
        bool own = memcmp(issuer, id_of(at.der), ID_LEN) == 0;
        if (find_entry(store->anchors, store->len, issuer, &anchor, &place)) {
            a->path_n -= own;
            a->path[a->path_n++] = MILGI_PATH_ANCHOR | place;
            return check_one(&anchor, q->now_s, !own);
        }
        if (own)
            return SELF_SIGNED;
        if (!find_entry(q->chain, q->chain_len, issuer, &at, &place))
            return NO_ISSUER;
    }
    return TOO_LONG;
}

static int32_t check_name(const struct milgi__chain_query *q, const struct entry *leaf)
{
    static const char digits[] = "0123456789abcdef";
    char text[3 + 32] = "ip:";
    if (!q->name)
        return 0;
    if (!q->name_is_ip)
        return has_name(leaf->der, leaf->len, (const char *)q->name, q->name_len) ? 0 : WRONG_NAME;
    if (q->name_len != 4 && q->name_len != 16)
        return WRONG_ADDRESS;
    for (size_t i = 0; i < q->name_len; i++) {
        text[3 + 2 * i] = digits[q->name[i] >> 4];
        text[4 + 2 * i] = digits[q->name[i] & 15];
    }
    return has_name(leaf->der, leaf->len, text, 3 + 2 * q->name_len) ? 0 : WRONG_ADDRESS;
}

#define TAG_OCSP 0x6f637370u

size_t milgi__fake_ocsp(const uint8_t *der, size_t len, unsigned status, int64_t this_s, int64_t next_s,
    uint8_t out[MILGI__FAKE_OCSP_LEN])
{
    struct milgi__fake_mixer m;
    out[0] = (uint8_t)status;
    for (unsigned i = 0; i < 8; i++) {
        out[1 + i] = (uint8_t)((uint64_t)this_s >> (56 - 8 * i));
        out[9 + i] = (uint8_t)((uint64_t)next_s >> (56 - 8 * i));
    }
    milgi__fake_begin(&m, TAG_OCSP);
    milgi__fake_add(&m, out, 17);
    milgi__fake_add(&m, der, len);
    milgi__fake_end(&m, out + 17, 16);
    return MILGI__FAKE_OCSP_LEN;
}

int milgi__ocsp_read(const uint8_t *response, size_t len, int64_t *until_s)
{
    if (len != MILGI__FAKE_OCSP_LEN)
        return MILGI__BAD;
    *until_s = get64(response + 9);
    return 0;
}

int milgi__cert_name_der(const uint8_t *der, size_t len, bool issuer, uint8_t **name, size_t *name_len)
{
    *name = NULL;
    if (!proper(der, len))
        return MILGI__BAD;
    *name_len = ID_LEN;
    *name = copy(issuer ? der + AT_ISSUER : id_of(der), ID_LEN);
    return *name ? 0 : MILGI_ENOMEM;
}

static int32_t check_ocsp(const struct milgi__chain_query *q, const struct entry *leaf)
{
    uint8_t good[MILGI__FAKE_OCSP_LEN];
    if (q->staple == 0)
        return 0;
    if (q->ocsp_len == 0)
        return (q->staple & MILGI_STAPLE_REQUIRED) != 0 ? OCSP_NEEDED : 0;
    if (q->ocsp_len != sizeof good)
        return OCSP_FAILED;
    milgi__fake_ocsp(leaf->der, leaf->len, q->ocsp[0], get64(q->ocsp + 1), get64(q->ocsp + 9), good);
    if (memcmp(good, q->ocsp, sizeof good) != 0 || q->now_s < get64(good + 1) || q->now_s > get64(good + 9))
        return OCSP_FAILED;
    return good[0] == 0 ? 0 : good[0] == 1 ? REVOKED
                                           : OCSP_UNKNOWN;
}

static int32_t check_chain(
    const struct milgi__store *store, const struct milgi__chain_query *q, struct milgi__chain_answer *a)
{
    struct entry leaf = { NULL, 0 }, entry;
    bool bad = false;
    const uint8_t *p = q->chain;
    while (next_entry(&p, q->chain + q->chain_len, &entry, &bad)) {
        if (!leaf.der)
            leaf = entry;
    }
    if (bad || !leaf.der)
        return UNSPECIFIED;
    int32_t wrong = check_path(store, q, leaf, a);
    if (wrong != 0)
        return wrong;
    unsigned purpose = q->purpose == MILGI_PURPOSE_SERVER ? MILGI__FAKE_SERVER : MILGI__FAKE_CLIENT;
    if (!(leaf.der[AT_FLAGS] & purpose))
        return WRONG_PURPOSE;
    wrong = store->crl_check ? NO_CRL : check_name(q, &leaf);
    return wrong != 0 ? wrong : check_ocsp(q, &leaf);
}

int milgi__chain_verify(struct milgi__crypto *cx, struct milgi__store *store, const struct milgi__chain_query *query,
    struct milgi__chain_answer *answer)
{
    (void)cx;
    *answer = (struct milgi__chain_answer){ .alert = MILGI_ALERT_NONE };
    answer->verdict = check_chain(store, query, answer);
    if (answer->verdict == 0)
        return 0;
    answer->alert = find_verdict(answer->verdict)->alert;
    answer->path_n = 0;
    return MILGI__BAD;
}
