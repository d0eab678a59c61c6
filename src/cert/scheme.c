/* SPDX-License-Identifier: Apache-2.0 */
/* Which key signs with which scheme, and what is signed. */
#include <stdio.h>

#include <milgi/policy.h>

#include "cert/cert.h"

#define SCHEMES_MAX 24 /* of a list that an application gives */

static bool is_ec(enum milgi__key_type type)
{
    return type == MILGI__KEY_P256 || type == MILGI__KEY_P384 || type == MILGI__KEY_P521;
}

bool milgi__scheme_fits(uint16_t scheme, enum milgi__key_type type, bool tls13)
{
    const struct milgi__scheme *found = milgi__scheme(scheme);

    if (!found || type == MILGI__KEY_NONE || !(tls13 ? found->tls13 : found->tls12))
        return false;
    /*= RFC8446 4.2.3: "ECDSA signature schemes align with TLS 1.2's ECDSA hash/signature pairs.  However, the old
     *= semantics did not constrain the signing curve." */
    return found->key == type || (!tls13 && is_ec(found->key) && is_ec(type));
}

static bool has(const uint16_t *list, size_t n, uint16_t v)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == v)
            return true;
    }
    return false;
}

unsigned milgi__key_schemes(
    const uint8_t *spki, size_t spki_len, enum milgi__key_type type, uint16_t out[MILGI__KEY_SCHEMES_MAX])
{
    static const uint16_t all[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384,
        MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ED25519, MILGI_SIG_RSA_PSS_RSAE_SHA256,
        MILGI_SIG_RSA_PSS_RSAE_SHA384, MILGI_SIG_RSA_PSS_RSAE_SHA512, MILGI_SIG_RSA_PSS_PSS_SHA256,
        MILGI_SIG_RSA_PSS_PSS_SHA384, MILGI_SIG_RSA_PSS_PSS_SHA512, MILGI_SIG_RSA_PKCS1_SHA256,
        MILGI_SIG_RSA_PKCS1_SHA384, MILGI_SIG_RSA_PKCS1_SHA512, MILGI_SIG_MLDSA44, MILGI_SIG_MLDSA65,
        MILGI_SIG_MLDSA87 };
    unsigned n = 0;

    for (size_t i = 0; i < MILGI__COUNT(all) && n < MILGI__KEY_SCHEMES_MAX; i++) {
        if (milgi__scheme(all[i])->key == type && milgi__key_fits(spki, spki_len, all[i]))
            out[n++] = all[i];
    }
    for (size_t i = 0; n != 0 && i < MILGI__COUNT(all) && n < MILGI__KEY_SCHEMES_MAX; i++) {
        if (milgi__scheme(all[i])->key != type && milgi__scheme_fits(all[i], type, false))
            out[n++] = all[i];
    }
    return n;
}

static bool signs(const struct milgi_credential *credential, bool tls13, uint16_t scheme)
{
    return has(credential->schemes, credential->schemes_n, scheme) &&
        milgi__scheme_fits(scheme, credential->type, tls13);
}

/* The first of |wanted| that it signs with and that |allowed| has, too; of its own curve, if |own_curve|. */
static uint16_t first_of(const struct milgi_credential *credential, bool tls13, const uint16_t *wanted,
    size_t wanted_n, const uint16_t *allowed, size_t allowed_n, bool own_curve)
{
    for (size_t i = 0; i < wanted_n; i++) {
        if (signs(credential, tls13, wanted[i]) && has(allowed, allowed_n, wanted[i]) &&
            (!own_curve || milgi__scheme(wanted[i])->key == credential->type))
            return wanted[i];
    }
    return 0;
}

/* EMSA-PSS needs room for twice the hash and two bytes: no key that is accepted is too short for any of the schemes. */
uint16_t milgi__credential_scheme(const struct milgi_credential *credential, bool tls13, const uint16_t *own,
    size_t own_n, const uint16_t *peer, size_t peer_n)
{
    if (credential->wanted_n != 0)
        return first_of(credential, tls13, credential->wanted, credential->wanted_n, peer, peer_n, false);
    uint16_t scheme = first_of(credential, tls13, peer, peer_n, own, own_n, true);
    return scheme != 0 ? scheme : first_of(credential, tls13, peer, peer_n, own, own_n, false);
}

bool milgi__credential_usable(
    const struct milgi_credential *credential, bool tls13, const uint16_t *own, size_t own_n)
{
    const uint16_t *all = credential->wanted_n != 0 ? credential->wanted : own;
    size_t n = credential->wanted_n != 0 ? credential->wanted_n : own_n;
    return milgi__credential_scheme(credential, tls13, own, own_n, all, n) != 0;
}

/* --- what an application wants of it ------------------------------------------------------------------------------ */

int milgi_credential_set_schemes(struct milgi_credential *credential, const uint16_t *schemes, size_t n)
{
    uint16_t wanted[MILGI__KEY_SCHEMES_MAX];
    unsigned wanted_n = 0;

    if (!credential || (n > 0 && !schemes) || n > SCHEMES_MAX || atomic_load(&credential->given))
        return MILGI_EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (!milgi__scheme_usable(schemes[i]))
            return MILGI_EUNSUPPORTED;
        if (has(schemes, i, schemes[i]))
            return MILGI_EINVAL;
        if (has(credential->schemes, credential->schemes_n, schemes[i]))
            wanted[wanted_n++] = schemes[i];
    }
    if (n > 0 && wanted_n == 0)
        return MILGI_EINVAL;
    memcpy(credential->wanted, wanted, wanted_n * sizeof *wanted);
    credential->wanted_n = wanted_n;
    return 0;
}

int milgi_credential_set_must_match(struct milgi_credential *credential, bool on)
{
    if (!credential || atomic_load(&credential->given))
        return MILGI_EINVAL;
    credential->must_match = on;
    return 0;
}

void milgi__key_type_text(enum milgi__key_type type, unsigned bits, char *out, size_t cap)
{
    switch (type) {
    case MILGI__KEY_RSA: snprintf(out, cap, "RSA %u", bits); return;
    case MILGI__KEY_RSA_PSS: snprintf(out, cap, "RSA-PSS %u", bits); return;
    case MILGI__KEY_P256: snprintf(out, cap, "ECDSA P-256"); return;
    case MILGI__KEY_P384: snprintf(out, cap, "ECDSA P-384"); return;
    case MILGI__KEY_P521: snprintf(out, cap, "ECDSA P-521"); return;
    case MILGI__KEY_ED25519: snprintf(out, cap, "Ed25519"); return;
    case MILGI__KEY_MLDSA44: snprintf(out, cap, "ML-DSA-44"); return;
    case MILGI__KEY_MLDSA65: snprintf(out, cap, "ML-DSA-65"); return;
    case MILGI__KEY_MLDSA87: snprintf(out, cap, "ML-DSA-87"); return;
    case MILGI__KEY_NONE:
    case MILGI__KEY_TYPES: break;
    }
    snprintf(out, cap, "unknown");
}

size_t milgi__certificate_verify_input(
    bool by_server, const uint8_t *transcript_hash, size_t hash_len, uint8_t out[MILGI_SIGN_INPUT_MAX])
{
    /*= RFC8446 4.4.3: "The context string for a server signature is "TLS 1.3, server CertificateVerify". The context
     *= string for a client signature is "TLS 1.3, client CertificateVerify"." */
    static const char server[] = "TLS 1.3, server CertificateVerify";
    static const char client[] = "TLS 1.3, client CertificateVerify";
    const char *context = by_server ? server : client;
    uint8_t *p = out;

    /*= RFC8446 4.4.3: "A string that consists of octet 32 (0x20) repeated 64 times" */
    memset(p, 0x20, 64);
    p += 64;
    /*= RFC8446 4.4.3: "A single 0 byte which serves as the separator" */
    /* ... is the string's own. */
    memcpy(p, context, sizeof server);
    p += sizeof server;
    memcpy(p, transcript_hash, hash_len);
    return (size_t)(p - out) + hash_len;
}
