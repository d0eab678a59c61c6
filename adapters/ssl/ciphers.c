/* SPDX-License-Identifier: Apache-2.0 */
/* Cipher suites and groups, and the words that lists of them are made of. */
#include "shim.h"

enum tag {
    TAG_ECDSA = 1,
    TAG_RSA = 2,
    TAG_GCM = 4,
    TAG_CHACHA = 8,
    TAG_128 = 16,
    TAG_256 = 32,
    TAG_12 = 64
};

struct ssl_cipher_st {
    uint16_t suite;
    uint16_t bits;
    unsigned tags;
    const char *name; /* OpenSSL's; the standard one is the library's */
};

/* Those of TLS 1.2 first, as they are preferred. */
static const SSL_CIPHER ciphers[] = {
    { MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384, 256, TAG_12 | TAG_ECDSA | TAG_GCM | TAG_256,
        "ECDHE-ECDSA-AES256-GCM-SHA384" },
    { MILGI_SUITE_ECDHE_RSA_AES_256_GCM_SHA384, 256, TAG_12 | TAG_RSA | TAG_GCM | TAG_256,
        "ECDHE-RSA-AES256-GCM-SHA384" },
    { MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256, 256, TAG_12 | TAG_ECDSA | TAG_CHACHA,
        "ECDHE-ECDSA-CHACHA20-POLY1305" },
    { MILGI_SUITE_ECDHE_RSA_CHACHA20_POLY1305_SHA256, 256, TAG_12 | TAG_RSA | TAG_CHACHA,
        "ECDHE-RSA-CHACHA20-POLY1305" },
    { MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256, 128, TAG_12 | TAG_ECDSA | TAG_GCM | TAG_128,
        "ECDHE-ECDSA-AES128-GCM-SHA256" },
    { MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256, 128, TAG_12 | TAG_RSA | TAG_GCM | TAG_128,
        "ECDHE-RSA-AES128-GCM-SHA256" },
    { MILGI_SUITE_AES_256_GCM_SHA384, 256, 0, "TLS_AES_256_GCM_SHA384" },
    { MILGI_SUITE_CHACHA20_POLY1305_SHA256, 256, 0, "TLS_CHACHA20_POLY1305_SHA256" },
    { MILGI_SUITE_AES_128_GCM_SHA256, 128, 0, "TLS_AES_128_GCM_SHA256" },
};
#define CIPHERS_N (sizeof ciphers / sizeof *ciphers)
#define OLD_N 6u

const SSL_CIPHER *milgi__ssl_cipher(uint16_t suite)
{
    for (size_t i = 0; i < CIPHERS_N; i++)
        if (ciphers[i].suite == suite)
            return &ciphers[i];
    return NULL;
}

const char *SSL_CIPHER_get_name(const SSL_CIPHER *cipher)
{
    return cipher ? cipher->name : "(NONE)";
}

const char *SSL_CIPHER_standard_name(const SSL_CIPHER *cipher)
{
    return cipher ? milgi_suite_name(cipher->suite) : "(NONE)";
}

const char *SSL_CIPHER_get_version(const SSL_CIPHER *cipher)
{
    return !cipher ? "(NONE)" : cipher->tags & TAG_12 ? "TLSv1.2"
                                                      : "TLSv1.3";
}

int SSL_CIPHER_get_bits(const SSL_CIPHER *cipher, int *alg_bits)
{
    if (alg_bits)
        *alg_bits = cipher ? cipher->bits : 0;
    return cipher ? cipher->bits : 0;
}

uint32_t SSL_CIPHER_get_id(const SSL_CIPHER *cipher)
{
    return cipher ? 0x03000000u | cipher->suite : 0;
}

uint16_t SSL_CIPHER_get_protocol_id(const SSL_CIPHER *cipher)
{
    return cipher ? cipher->suite : 0;
}

/* --- words of lists ---------------------------------------------------------------------------------------------- */

/* Words that choose some of what is here; tags 0: all of it. */
static const struct word {
    const char *text;
    unsigned tags;
} words[] = {
    { "ALL", 0 }, { "DEFAULT", 0 }, { "HIGH", 0 }, { "ECDHE", 0 }, { "EECDH", 0 }, { "kECDHE", 0 }, { "kEECDH", 0 },
    { "TLSv1.2", 0 }, { "aECDSA", TAG_ECDSA }, { "ECDSA", TAG_ECDSA }, { "aRSA", TAG_RSA }, { "AESGCM", TAG_GCM },
    { "AES", TAG_GCM }, { "AES128", TAG_128 }, { "AES256", TAG_256 }, { "CHACHA20", TAG_CHACHA }
};

/* Words for what is nowhere in Milgi: they choose nothing. */
static const char *const absent[] = {
    "3DES", "ADH", "AECDH", "AESCCM", "AESCCM8", "ARIA", "ARIA128", "ARIA256", "ARIAGCM", "CAMELLIA",
    "CAMELLIA128", "CAMELLIA256", "CBC", "COMPLEMENTOFALL", "COMPLEMENTOFDEFAULT", "DES", "DH", "DHE", "DSS",
    "ECDH", "EDH", "EXP", "EXPORT", "EXPORT40", "EXPORT56", "FIPS", "GOST", "GOST94", "IDEA", "KRB5", "LOW",
    "MD5", "MEDIUM", "NULL", "PSK", "RC2", "RC4", "RSA", "SEED", "SHA", "SHA1", "SHA256", "SHA384", "SRP",
    "SSLv2", "SSLv3", "TLSv1", "TLSv1.0", "aDH", "aDSS", "aECDH", "aGOST", "aNULL", "aPSK", "aSRP", "eNULL",
    "kDH", "kDHE", "kDHEPSK", "kDHd", "kDHr", "kECDH", "kECDHEPSK", "kECDHe", "kECDHr", "kEDH", "kGOST",
    "kPSK", "kRSA", "kRSAPSK", "kSRP"
};

/* What names of suites that are nowhere in Milgi are made of: "DHE-RSA-AES256-SHA256". */
static const char *const parts[] = {
    "3DES", "ADH", "AECDH", "AES128", "AES256", "ARIA128", "ARIA256", "CAMELLIA128", "CAMELLIA256", "CBC",
    "CBC3", "CCM", "CCM8", "CHACHA20", "DES", "DHE", "DSS", "ECDHE", "ECDSA", "ECDH", "EDH", "EXP", "GCM",
    "IDEA", "MD5", "NULL", "POLY1305", "PSK", "RC4", "RSA", "SEED", "SHA", "SHA256", "SHA384", "SRP"
};

static bool is(const char *word, size_t len, const char *text)
{
    return strlen(text) == len && memcmp(word, text, len) == 0;
}

static bool among(const char *word, size_t len, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is(word, len, list[i]))
            return true;
    return false;
}

static bool made_of_parts(const char *word, size_t len)
{
    const char *end = word + len;
    if (!memchr(word, '-', len))
        return false;
    while (word < end) {
        const char *dash = memchr(word, '-', (size_t)(end - word));
        const char *stop = dash ? dash : end;
        if (!among(word, (size_t)(stop - word), parts, sizeof parts / sizeof *parts))
            return false;
        word = dash ? dash + 1 : end;
    }
    return true;
}

/* Which of the six a word means, as bits; false: it is not known. */
static bool mean(const char *word, size_t len, unsigned *chosen)
{
    *chosen = 0;
    for (unsigned i = 0; i < CIPHERS_N; i++) {
        const char *standard = milgi_suite_name(ciphers[i].suite);
        if (is(word, len, ciphers[i].name) || (standard && is(word, len, standard))) {
            *chosen = i < OLD_N ? 1u << i : 0; /* those of TLS 1.3 are set elsewhere */
            return true;
        }
    }
    for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
        if (!is(word, len, words[k].text))
            continue;
        for (unsigned i = 0; i < OLD_N; i++)
            if ((ciphers[i].tags & words[k].tags) == words[k].tags)
                *chosen |= 1u << i;
        return true;
    }
    return among(word, len, absent, sizeof absent / sizeof *absent) || made_of_parts(word, len);
}

/* "ECDHE+AESGCM": what all of its words mean. */
static bool mean_all(const char *from, size_t len, unsigned *chosen)
{
    const char *end = from + len;
    *chosen = (1u << OLD_N) - 1;
    while (from <= end) {
        const char *plus = memchr(from, '+', (size_t)(end - from));
        unsigned one;
        if (!mean(from, (size_t)((plus ? plus : end) - from), &one))
            return false;
        *chosen &= one;
        if (!plus)
            break;
        from = plus + 1;
    }
    return true;
}

struct order {
    unsigned at[OLD_N]; /* places in |ciphers|, the most wanted first */
    unsigned n, killed;
};

static void drop(struct order *order, unsigned chosen)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < order->n; i++)
        if (!(chosen & 1u << order->at[i]))
            order->at[kept++] = order->at[i];
    order->n = kept;
}

static void add(struct order *order, unsigned chosen)
{
    for (unsigned i = 0; i < order->n; i++)
        chosen &= ~(1u << order->at[i]);
    for (unsigned i = 0; i < OLD_N; i++)
        if (chosen & ~order->killed & 1u << i)
            order->at[order->n++] = i;
}

/* Those of |chosen| that are there go to the end, in their order. */
static void move_last(struct order *order, unsigned chosen)
{
    struct order old = *order;
    order->n = 0;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < old.n; i++)
            if (((chosen >> old.at[i] & 1) != 0) == (round == 1))
                order->at[order->n++] = old.at[i];
}

static bool apply(struct order *order, const char *word, size_t len)
{
    char what = *word;
    unsigned chosen;
    if (is(word, len, "@STRENGTH") || (len > 10 && memcmp(word, "@SECLEVEL=", 10) == 0))
        return true; /* as it is sorted anyway, and below the level that is kept */
    if (strchr("!-+", what)) {
        word++;
        len--;
    }
    if (!len || !mean_all(word, len, &chosen))
        return false;
    switch (what) {
    case '!': order->killed |= chosen; /* fall through */
    case '-': drop(order, chosen); break;
    case '+': move_last(order, chosen); break;
    default: add(order, chosen);
    }
    return true;
}

/* The next of what stands between |separators|; false: there is none. */
static bool next_word(const char **list, const char *separators, const char **word, size_t *len)
{
    *list += strspn(*list, separators);
    *word = *list;
    *len = strcspn(*list, separators);
    *list += *len;
    return *len > 0;
}

static int refuse(const char *word, size_t len, const char *why)
{
    char text[160];
    snprintf(text, sizeof text, "\"%.*s\" %s", (int)(len > 80 ? 80 : len), word, why);
    SSL_ERR(SSL_R_NO_CIPHER_MATCH, text);
    return 0;
}

int milgi__ssl_cipher_list(struct settings *settings, const char *list)
{
    struct order order = { 0 };
    const char *word, *whole = list;
    size_t len;

    while (next_word(&list, ":,; ", &word, &len))
        if (!apply(&order, word, len))
            return refuse(word, len, "is not known");
    if (!order.n)
        return refuse(whole, strlen(whole), "chooses no cipher suite that there is");
    settings->suites12_n = order.n;
    for (unsigned i = 0; i < order.n; i++)
        settings->suites12[i] = ciphers[order.at[i]].suite;
    return 1;
}

int milgi__ssl_ciphersuites(struct settings *settings, const char *list)
{
    uint16_t suites[4];
    size_t n = 0, len;
    const char *word;

    while (next_word(&list, ":", &word, &len)) {
        size_t i = OLD_N;
        while (i < CIPHERS_N && !is(word, len, ciphers[i].name))
            i++;
        if (i == CIPHERS_N || n == sizeof suites / sizeof *suites)
            return refuse(word, len, "is no cipher suite of TLS 1.3 that there is");
        suites[n++] = ciphers[i].suite;
    }
    memcpy(settings->suites13, suites, n * sizeof *suites);
    settings->suites13_n = n;
    return 1;
}

int milgi__ssl_groups_list(struct settings *settings, const char *list)
{
    static const struct {
        const char *text;
        uint16_t group;
    } names[] = {
        { "P-256", MILGI_GROUP_SECP256R1 },
        { "prime256v1", MILGI_GROUP_SECP256R1 },
        { "secp256r1", MILGI_GROUP_SECP256R1 },
        { "P-384", MILGI_GROUP_SECP384R1 },
        { "secp384r1", MILGI_GROUP_SECP384R1 },
        { "P-521", MILGI_GROUP_SECP521R1 },
        { "secp521r1", MILGI_GROUP_SECP521R1 },
        { "X25519", MILGI_GROUP_X25519 },
        { "x25519", MILGI_GROUP_X25519 },
        { "X25519MLKEM768", MILGI_GROUP_X25519MLKEM768 },
        { "SecP256r1MLKEM768", MILGI_GROUP_SECP256R1MLKEM768 },
        { "SecP384r1MLKEM1024", MILGI_GROUP_SECP384R1MLKEM1024 },
    };
    uint16_t groups[GROUPS_MAX];
    size_t n = 0, len, k;
    const char *word;

    while (next_word(&list, ":", &word, &len)) {
        for (k = 0; k < sizeof names / sizeof *names && !is(word, len, names[k].text);)
            k++;
        if (k == sizeof names / sizeof *names || n == GROUPS_MAX)
            return refuse(word, len, "is no group that there is");
        groups[n++] = names[k].group;
    }
    if (!n)
        return refuse("", 0, "names no group");
    memcpy(settings->groups, groups, n * sizeof *groups);
    settings->groups_n = n;
    return 1;
}
