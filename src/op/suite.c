/* SPDX-License-Identifier: Apache-2.0 */
/* Cipher suites, signature schemes and named groups: what the library knows of each code point. */
#include <milgi/conn.h>

#include "op/op.h"

static const struct milgi__suite suites[] = {
    /*= RFC8446 5.5: "For AES-GCM, up to 2^24.5 full-size records (about 24 million) may be encrypted on a given
     *= connection while keeping a safety margin of approximately 2^-57 for Authenticated Encryption (AE) security." */
    /* The limit is 23 726 566; the rest is what may be in flight while keys change. */
    { MILGI_SUITE_AES_128_GCM_SHA256, MILGI__SHA256, 16, 23700000, "TLS_AES_128_GCM_SHA256" },
    { MILGI_SUITE_AES_256_GCM_SHA384, MILGI__SHA384, 32, 23700000, "TLS_AES_256_GCM_SHA384" },
    /*= RFC8446 5.5: "For ChaCha20/Poly1305, the record sequence number would wrap before the safety limit is
     *= reached." */
    { MILGI_SUITE_CHACHA20_POLY1305_SHA256, MILGI__SHA256, 32, (UINT64_C(1) << 48) - 1,
        "TLS_CHACHA20_POLY1305_SHA256" },
};

/*= RFC8446 4.2.3: "These values refer solely to signatures which appear in certificates (see Section 4.4.2.2) and
 *= are not defined for use in signed TLS handshake messages" */
/* ... says it of rsa_pkcs1. */
static const struct milgi__scheme schemes[] = {
    { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI__KEY_P256, true, "ecdsa_secp256r1_sha256" },
    { MILGI_SIG_ECDSA_SECP384R1_SHA384, MILGI__KEY_P384, true, "ecdsa_secp384r1_sha384" },
    { MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI__KEY_P521, true, "ecdsa_secp521r1_sha512" },
    { MILGI_SIG_ED25519, MILGI__KEY_ED25519, true, "ed25519" },
    { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI__KEY_RSA, true, "rsa_pss_rsae_sha256" },
    { MILGI_SIG_RSA_PSS_RSAE_SHA384, MILGI__KEY_RSA, true, "rsa_pss_rsae_sha384" },
    { MILGI_SIG_RSA_PSS_RSAE_SHA512, MILGI__KEY_RSA, true, "rsa_pss_rsae_sha512" },
    { MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI__KEY_RSA_PSS, true, "rsa_pss_pss_sha256" },
    { MILGI_SIG_RSA_PSS_PSS_SHA384, MILGI__KEY_RSA_PSS, true, "rsa_pss_pss_sha384" },
    { MILGI_SIG_RSA_PSS_PSS_SHA512, MILGI__KEY_RSA_PSS, true, "rsa_pss_pss_sha512" },
    { MILGI_SIG_RSA_PKCS1_SHA256, MILGI__KEY_RSA, false, "rsa_pkcs1_sha256" },
    { MILGI_SIG_RSA_PKCS1_SHA384, MILGI__KEY_RSA, false, "rsa_pkcs1_sha384" },
    { MILGI_SIG_RSA_PKCS1_SHA512, MILGI__KEY_RSA, false, "rsa_pkcs1_sha512" },
};

static const struct milgi__group groups[] = {
    { MILGI_GROUP_X25519, "x25519" },
    { MILGI_GROUP_SECP256R1, "secp256r1" },
    { MILGI_GROUP_SECP384R1, "secp384r1" },
};

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

const struct milgi__group *milgi__group(uint16_t id)
{
    for (size_t i = 0; i < MILGI__COUNT(groups); i++) {
        if (groups[i].id == id)
            return &groups[i];
    }
    return NULL;
}

/* --- names ------------------------------------------------------------------------------------------------------ */

const char *milgi_suite_name(uint16_t suite)
{
    const struct milgi__suite *found = milgi__suite(suite);

    return found != NULL ? found->name : NULL;
}

const char *milgi_group_name(uint16_t group)
{
    const struct milgi__group *found = milgi__group(group);

    return found != NULL ? found->name : NULL;
}

const char *milgi_scheme_name(uint16_t scheme)
{
    const struct milgi__scheme *found = milgi__scheme(scheme);

    return found != NULL ? found->name : NULL;
}

uint16_t milgi_suite_by_name(const char *name)
{
    for (size_t i = 0; i < MILGI__COUNT(suites); i++) {
        if (strcmp(suites[i].name, name) == 0)
            return suites[i].id;
    }
    return 0;
}

uint16_t milgi_group_by_name(const char *name)
{
    for (size_t i = 0; i < MILGI__COUNT(groups); i++) {
        if (strcmp(groups[i].name, name) == 0)
            return groups[i].id;
    }
    return 0;
}

uint16_t milgi_scheme_by_name(const char *name)
{
    for (size_t i = 0; i < MILGI__COUNT(schemes); i++) {
        if (strcmp(schemes[i].name, name) == 0)
            return schemes[i].id;
    }
    return 0;
}
