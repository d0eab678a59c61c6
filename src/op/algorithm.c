/* SPDX-License-Identifier: Apache-2.0 */
/* Cipher suites, signature schemes and named groups as rows; names, estimates and kinds are read off them. */
#include "op/algorithm.h"

#include <milgi/conn.h>

#include "crypto/kem.h"
#include "op/material.h"

#define SMALLEST 128u /* records up to this length are of the first size */

/* --- the tables. Times were measured on a 2.4 GHz server core ----------------------------------------------------- */

#define GCM_RECORDS 23700000
#define CHACHA_RECORDS ((UINT64_C(1) << 48) - 1)

/* The first are the AEADs' own. */
static const struct milgi__suite suites[] = {
    /*= RFC8446 5.5: "For AES-GCM, up to 2^24.5 full-size records (about 24 million) may be encrypted on a given
     *= connection while keeping a safety margin of approximately 2^-57 for Authenticated Encryption (AE) security." */
    /* The limit is 23 726 566; the rest is what may be in flight while keys change. */
    { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_128_GCM_SHA256, true, MILGI__AUTH_ANY, MILGI__SHA256, 16,
        GCM_RECORDS, 200, 228, "TLS_AES_128_GCM_SHA256", "AES_128_GCM_SHA256" },
    { MILGI_SUITE_AES_256_GCM_SHA384, MILGI_SUITE_AES_256_GCM_SHA384, true, MILGI__AUTH_ANY, MILGI__SHA384, 32,
        GCM_RECORDS, 200, 228, "TLS_AES_256_GCM_SHA384", "AES_256_GCM_SHA384" },
    /*= RFC8446 5.5: "For ChaCha20/Poly1305, the record sequence number would wrap before the safety limit is
     *= reached." */
    { MILGI_SUITE_CHACHA20_POLY1305_SHA256, MILGI_SUITE_CHACHA20_POLY1305_SHA256, true, MILGI__AUTH_ANY,
        MILGI__SHA256, 32, CHACHA_RECORDS, 400, 512, "TLS_CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305_SHA256" },
    { MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256, MILGI_SUITE_AES_128_GCM_SHA256, false, MILGI__AUTH_ECDSA,
        MILGI__SHA256, 16, GCM_RECORDS, 200, 228, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE_ECDSA_AES128_GCM_SHA256" },
    { MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384, MILGI_SUITE_AES_256_GCM_SHA384, false, MILGI__AUTH_ECDSA,
        MILGI__SHA384, 32, GCM_RECORDS, 200, 228, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE_ECDSA_AES256_GCM_SHA384" },
    { MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256, MILGI_SUITE_AES_128_GCM_SHA256, false, MILGI__AUTH_RSA,
        MILGI__SHA256, 16, GCM_RECORDS, 200, 228, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE_RSA_AES128_GCM_SHA256" },
    { MILGI_SUITE_ECDHE_RSA_AES_256_GCM_SHA384, MILGI_SUITE_AES_256_GCM_SHA384, false, MILGI__AUTH_RSA,
        MILGI__SHA384, 32, GCM_RECORDS, 200, 228, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE_RSA_AES256_GCM_SHA384" },
    { MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256, MILGI_SUITE_CHACHA20_POLY1305_SHA256, false,
        MILGI__AUTH_ECDSA, MILGI__SHA256, 32, CHACHA_RECORDS, 400, 512,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE_ECDSA_CHACHA20_POLY1305" },
    { MILGI_SUITE_ECDHE_RSA_CHACHA20_POLY1305_SHA256, MILGI_SUITE_CHACHA20_POLY1305_SHA256, false, MILGI__AUTH_RSA,
        MILGI__SHA256, 32, CHACHA_RECORDS, 400, 512, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE_RSA_CHACHA20_POLY1305" },
};

/*= RFC8446 4.2.3: "These values refer solely to signatures which appear in certificates (see Section 4.4.2.2) and
 *= are not defined for use in signed TLS handshake messages" */
/* ... says it of rsa_pkcs1. */
static const struct milgi__scheme schemes[] = {
    { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI__KEY_P256, true, true, 0, 22000, 65000, "ecdsa_secp256r1_sha256" },
    { MILGI_SIG_ECDSA_SECP384R1_SHA384, MILGI__KEY_P384, true, true, 0, 800000, 650000, "ecdsa_secp384r1_sha384" },
    { MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI__KEY_P521, true, true, 0, 250000, 500000, "ecdsa_secp521r1_sha512" },
    { MILGI_SIG_ED25519, MILGI__KEY_ED25519, true, true, 0, 45000, 120000, "ed25519" },
    { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI__KEY_RSA, true, true, 0, 0, 30000, "rsa_pss_rsae_sha256" },
    { MILGI_SIG_RSA_PSS_RSAE_SHA384, MILGI__KEY_RSA, true, true, 0, 0, 30000, "rsa_pss_rsae_sha384" },
    { MILGI_SIG_RSA_PSS_RSAE_SHA512, MILGI__KEY_RSA, true, true, 0, 0, 30000, "rsa_pss_rsae_sha512" },
    { MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI__KEY_RSA_PSS, true, true, 0, 0, 30000, "rsa_pss_pss_sha256" },
    { MILGI_SIG_RSA_PSS_PSS_SHA384, MILGI__KEY_RSA_PSS, true, true, 0, 0, 30000, "rsa_pss_pss_sha384" },
    { MILGI_SIG_RSA_PSS_PSS_SHA512, MILGI__KEY_RSA_PSS, true, true, 0, 0, 30000, "rsa_pss_pss_sha512" },
    { MILGI_SIG_RSA_PKCS1_SHA256, MILGI__KEY_RSA, true, false, 0, 0, 30000, "rsa_pkcs1_sha256" },
    { MILGI_SIG_RSA_PKCS1_SHA384, MILGI__KEY_RSA, true, false, 0, 0, 30000, "rsa_pkcs1_sha384" },
    { MILGI_SIG_RSA_PKCS1_SHA512, MILGI__KEY_RSA, true, false, 0, 0, 30000, "rsa_pkcs1_sha512" },
    /* draft-ietf-tls-mldsa has them for TLS 1.3 alone. */
    { MILGI_SIG_MLDSA44, MILGI__KEY_MLDSA44, false, true, 2420, 170000, 60000, "mldsa44" },
    { MILGI_SIG_MLDSA65, MILGI__KEY_MLDSA65, false, true, 3309, 280000, 95000, "mldsa65" },
    { MILGI_SIG_MLDSA87, MILGI__KEY_MLDSA87, false, true, 4627, 340000, 155000, "mldsa87" },
};

/* Seeds of the NIST curves have 64 bits more than the order: no bias to speak of. Hybrids stand last, without ops. */
static const struct milgi__group groups[] = {
    { MILGI_GROUP_X25519, MILGI__DH, 0, 32, 32, 32, 32, { 0 }, 40000, 40000, 0, "x25519", "curve25519" },
    { MILGI_GROUP_SECP256R1, MILGI__DH, 0, 32, 40, 65, 65, { 0 }, 13000, 45000, 0, "secp256r1", "P-256" },
    { MILGI_GROUP_SECP384R1, MILGI__DH, 0, 48, 56, 97, 97, { 0 }, 700000, 700000, 0, "secp384r1", "P-384" },
    { MILGI_GROUP_SECP521R1, MILGI__DH, 0, 66, 74, 133, 133, { 0 }, 300000, 600000, 0, "secp521r1", "P-521" },
    { MILGI_GROUP_MLKEM768, MILGI__KEM, 32, 32, 64, 1184, 1088, { 0 }, 17000, 38000, 17000, "MLKEM768",
        "ML-KEM-768" },
    { MILGI_GROUP_MLKEM1024, MILGI__KEM, 32, 32, 64, 1568, 1568, { 0 }, 25000, 55000, 25000, "MLKEM1024",
        "ML-KEM-1024" },
    /* The order of the halves is draft-ietf-tls-ecdhe-mlkem's: ML-KEM stands first in this one only. */
    { MILGI_GROUP_X25519MLKEM768, MILGI__HYBRID, 0, 64, 0, 1184 + 32, 1088 + 32,
        { MILGI_GROUP_MLKEM768, MILGI_GROUP_X25519 }, 0, 0, 0, "X25519MLKEM768", NULL },
    { MILGI_GROUP_SECP256R1MLKEM768, MILGI__HYBRID, 0, 64, 0, 65 + 1184, 65 + 1088,
        { MILGI_GROUP_SECP256R1, MILGI_GROUP_MLKEM768 }, 0, 0, 0, "SecP256r1MLKEM768", NULL },
    { MILGI_GROUP_SECP384R1MLKEM1024, MILGI__HYBRID, 0, 80, 0, 97 + 1568, 97 + 1568,
        { MILGI_GROUP_SECP384R1, MILGI_GROUP_MLKEM1024 }, 0, 0, 0, "SecP384r1MLKEM1024", NULL },
};
#define HYBRIDS 3

_Static_assert(MILGI__COUNT(suites) >= MILGI__AEADS, "each AEAD has kinds");
_Static_assert(MILGI__COUNT(groups) == MILGI__GROUPS + HYBRIDS, "each group has kinds");
_Static_assert(MILGI__KINDS <= UINT8_MAX, "an op keeps its kind in a byte");

const struct milgi__suite *milgi__suite(uint16_t id)
{
    for (size_t i = 0; i < MILGI__COUNT(suites); i++) {
        if (suites[i].id == id)
            return &suites[i];
    }
    return NULL;
}

const struct milgi__scheme *milgi__scheme(uint16_t id)
{
    for (size_t i = 0; i < MILGI__COUNT(schemes); i++) {
        if (schemes[i].id == id)
            return &schemes[i];
    }
    return NULL;
}

uint32_t milgi__scheme_bit(uint16_t id)
{
    _Static_assert(MILGI__COUNT(schemes) <= 32, "a set of them is a word");
    const struct milgi__scheme *scheme = milgi__scheme(id);

    return scheme ? 1u << (scheme - schemes) : 0;
}

bool milgi__scheme_usable(uint16_t id)
{
    const struct milgi__scheme *scheme = milgi__scheme(id);

    return scheme && (!milgi__key_is_mldsa(scheme->key) || milgi__mldsa_available());
}

const struct milgi__group *milgi__group(uint16_t id)
{
    for (size_t i = 0; i < MILGI__COUNT(groups); i++) {
        if (groups[i].id == id)
            return &groups[i];
    }
    return NULL;
}

size_t milgi__kex_seed_len(uint16_t group)
{
    const struct milgi__group *found = milgi__group(group);

    return found ? found->seed_len : 0;
}

size_t milgi__kex_public_len(uint16_t group)
{
    const struct milgi__group *found = milgi__group(group);

    return found && found->kind != MILGI__HYBRID ? found->client_len : 0;
}

uint16_t milgi__group_part(const struct milgi__group *group, enum milgi__group_kind kind)
{
    if (group->kind == kind)
        return group->id;
    for (size_t i = 0; i < MILGI__COUNT(group->half) && group->half[i] != 0; i++) {
        if (milgi__group(group->half[i])->kind == kind)
            return group->half[i];
    }
    return 0;
}

bool milgi__group_usable(uint16_t id)
{
    const struct milgi__group *group = milgi__group(id);

    return group && (group->kind == MILGI__DH || milgi__kem_available());
}

/* --- names ------------------------------------------------------------------------------------------------------ */

const char *milgi_suite_name(uint16_t suite)
{
    const struct milgi__suite *found = milgi__suite(suite);

    return found ? found->name : NULL;
}

const char *milgi_group_name(uint16_t group)
{
    const struct milgi__group *found = milgi__group(group);

    return found ? found->name : NULL;
}

const char *milgi_scheme_name(uint16_t scheme)
{
    const struct milgi__scheme *found = milgi__scheme(scheme);

    return found ? found->name : NULL;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_gap(char c)
{
    return c == '-' || c == '_';
}

/* Without regard to case, and to what stands between words, if anything does. */
static bool same(const char *a, const char *b)
{
    if (!b)
        return false;
    for (;; a++, b++) {
        while (is_gap(*a))
            a++;
        while (is_gap(*b))
            b++;
        if (lower(*a) != lower(*b))
            return false;
        if (!*a)
            return true;
    }
}

struct other_name {
    const char *name;
    uint16_t id;
};

static uint16_t other_id(const struct other_name *others, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (same(name, others[i].name))
            return others[i].id;
    return 0;
}

uint16_t milgi_suite_by_name(const char *name)
{
    static const struct other_name others[] = { { "AES_128_GCM", MILGI_SUITE_AES_128_GCM_SHA256 },
        { "AES_256_GCM", MILGI_SUITE_AES_256_GCM_SHA384 },
        { "CHACHA20_POLY1305", MILGI_SUITE_CHACHA20_POLY1305_SHA256 },
        { "TLS13_AES_128_GCM_SHA256", MILGI_SUITE_AES_128_GCM_SHA256 },
        { "TLS13_AES_256_GCM_SHA384", MILGI_SUITE_AES_256_GCM_SHA384 },
        { "TLS13_CHACHA20_POLY1305_SHA256", MILGI_SUITE_CHACHA20_POLY1305_SHA256 } };

    for (size_t i = 0; i < MILGI__COUNT(suites); i++) {
        if (same(name, suites[i].name) || same(name, suites[i].alias))
            return suites[i].id;
    }
    return other_id(others, MILGI__COUNT(others), name);
}

uint16_t milgi_group_by_name(const char *name)
{
    static const struct other_name others[] = { { "prime256v1", MILGI_GROUP_SECP256R1 } };

    for (size_t i = 0; i < MILGI__COUNT(groups); i++) {
        if (same(name, groups[i].name) || same(name, groups[i].alias))
            return groups[i].id;
    }
    return other_id(others, MILGI__COUNT(others), name);
}

uint16_t milgi_scheme_by_name(const char *name)
{
    for (size_t i = 0; i < MILGI__COUNT(schemes); i++) {
        if (same(name, schemes[i].name))
            return schemes[i].id;
    }
    return 0;
}

/* --- estimates -------------------------------------------------------------------------------------------------- */

static uint32_t estimate_record(const struct milgi__suite *suite, const struct milgi_op *op)
{
    uint32_t len = 0;

    for (size_t i = 0; i < op->u.aead.src_n && i < MILGI_OP_SLICES; i++)
        len += op->u.aead.src[i].len;
    if (!suite)
        suite = &suites[0];
    return suite->record_ns + (uint32_t)((uint64_t)len * suite->kbyte_ns / 1024);
}

static uint32_t estimate_rsa_sign(const struct milgi_op *op)
{
    unsigned bits = op->key && op->key->kind == MILGI_KEY_PRIVATE ? op->key->loaded.credential->bits : 2048;

    /* The cube of the length. */
    uint64_t k = MILGI__MIN(bits / 256, 32);
    return (uint32_t)(k * k * k * 1250);
}

static uint32_t estimate_sign(const struct milgi_op *op)
{
    const struct milgi__scheme *scheme = milgi__scheme(op->alg);

    return scheme && scheme->sign_ns ? scheme->sign_ns : estimate_rsa_sign(op);
}

/* A guess at an algorithm that is in no table. */
#define UNKNOWN_NS 100000

static uint32_t estimate_kex(const struct milgi_op *op)
{
    const struct milgi__group *group = milgi__group(op->alg);

    if (!group)
        return UNKNOWN_NS;
    if (op->type == MILGI_OP_ENCAPS)
        return group->encaps_ns;
    return op->type == MILGI_OP_KEYGEN ? group->keygen_ns : group->derive_ns;
}

static uint32_t estimate_verify(const struct milgi_op *op)
{
    const struct milgi__scheme *scheme = milgi__scheme(op->alg);

    return scheme ? scheme->verify_ns : UNKNOWN_NS;
}

uint32_t milgi__op_estimate_ns(const struct milgi_op *op)
{
    switch (op->type) {
    case MILGI_OP_SEAL:
    case MILGI_OP_OPEN: return estimate_record(milgi__suite(op->alg), op);
    case MILGI_OP_KEYGEN:
    case MILGI_OP_DERIVE:
    case MILGI_OP_ENCAPS:
    case MILGI_OP_DECAPS: return estimate_kex(op);
    case MILGI_OP_SIGN: return estimate_sign(op);
    case MILGI_OP_VERIFY: return estimate_verify(op);
    case MILGI_OP_VERIFY_CHAIN:
        /* Each certificate is decoded and its signature verified; they are of about 1 KB. */
        return 100000 + op->u.chain.chain.len * 200;
    default: return 1000;
    }
}

/* --- kinds ------------------------------------------------------------------------------------------------------ */

enum {
    KEYGENS = MILGI__RECORD_KINDS,
    DERIVES = KEYGENS + MILGI__GROUPS,
    ENCAPSES = DERIVES + MILGI__GROUPS,
    DECAPSES = ENCAPSES + MILGI__GROUPS,
    SIGNS = DECAPSES + MILGI__GROUPS,
    VERIFIES = SIGNS + MILGI__KEY_TYPES,
    CHAINS = VERIFIES + MILGI__KEY_TYPES,
    OTHERS
};
_Static_assert(OTHERS + 1 == MILGI__KINDS, "all kinds are counted");

static unsigned kind_of_record(const struct milgi__suite *suite, int type, uint32_t size)
{
    if (!suite || suite - suites >= MILGI__AEADS)
        return OTHERS;
    unsigned doublings = size > SMALLEST ? 32u - (unsigned)__builtin_clz((size - 1) / SMALLEST) : 0;
    unsigned longer = MILGI__MIN(doublings, MILGI__SIZES - 1);
    return ((unsigned)(suite - suites) * 2 + (type == MILGI_OP_OPEN)) * MILGI__SIZES + longer;
}

static unsigned kind_of_group(unsigned first, uint16_t alg)
{
    const struct milgi__group *group = milgi__group(alg);

    return group && group->kind != MILGI__HYBRID ? first + (unsigned)(group - groups) : OTHERS;
}

static unsigned kind_of_scheme(unsigned first, uint16_t alg)
{
    const struct milgi__scheme *scheme = milgi__scheme(alg);

    return scheme ? first + scheme->key : OTHERS;
}

unsigned milgi__op_kind(int type, uint16_t alg, uint32_t size)
{
    switch (type) {
    case MILGI_OP_SEAL:
    case MILGI_OP_OPEN: return kind_of_record(milgi__suite(alg), type, size);
    case MILGI_OP_KEYGEN: return kind_of_group(KEYGENS, alg);
    case MILGI_OP_DERIVE: return kind_of_group(DERIVES, alg);
    case MILGI_OP_ENCAPS: return kind_of_group(ENCAPSES, alg);
    case MILGI_OP_DECAPS: return kind_of_group(DECAPSES, alg);
    case MILGI_OP_SIGN: return kind_of_scheme(SIGNS, alg);
    case MILGI_OP_VERIFY: return kind_of_scheme(VERIFIES, alg);
    case MILGI_OP_VERIFY_CHAIN: return CHAINS;
    default: return OTHERS;
    }
}

void milgi__op_describe(struct milgi_op *op)
{
    if (op->type > MILGI_OP_OPEN) {
        op->e.estimate_ns = milgi__op_estimate_ns(op);
        op->e.kind = (uint8_t)milgi__op_kind(op->type, op->alg, 0);
        return;
    }
    const struct milgi__suite *suite = milgi__suite(op->alg);
    op->e.estimate_ns = estimate_record(suite, op);
    op->e.kind = (uint8_t)kind_of_record(suite, op->type, op->u.aead.dst_len);
}
