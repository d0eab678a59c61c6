/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials, trust, signature schemes. Immutable after they are made; references are atomic. */
#pragma once

#include <stdatomic.h>

#include <milgi/config.h>

#include "crypto/crypto.h"
#include "op/op.h"

struct milgi_credential {
    _Atomic uint32_t refs;
    uint64_t serial;
    enum milgi__key_type type;
    unsigned bits;
    uint8_t *chain; /* DER certificates, leaf first, each with a 3-byte length before it */
    size_t chain_len;
    unsigned chain_n;
    uint8_t *pkcs8; /* NULL: the key lives elsewhere */
    size_t pkcs8_len;
    uint8_t *spki;
    size_t spki_len;
    uint16_t leaf_signed_with;
    char subject[256];
    char key_type[32];
};

struct milgi_trust {
    _Atomic uint32_t refs;
    uint64_t serial;
    uint8_t *anchors; /* as milgi__store_new() takes them */
    size_t anchors_len;
};

/* True if the leaf is valid for the name. */
bool milgi__credential_fits_name(const struct milgi_credential *credential, const char *name);
/*
 * The first scheme of |peer| (the peer's order) that the credential's key can sign with in TLS 1.3 and that |own|
 * allows; 0: none.
 */
uint16_t milgi__credential_scheme(
    const struct milgi_credential *credential, const uint16_t *own, size_t own_n, const uint16_t *peer, size_t peer_n);
/* True if TLS 1.3 lets this key type sign with the scheme (RFC 8446 4.2.3: curve and hash go together). */
bool milgi__scheme_fits(uint16_t scheme, enum milgi__key_type type);
/* "ECDSA P-256", "RSA 2048" ... into |out|. */
void milgi__key_type_text(enum milgi__key_type type, unsigned bits, char *out, size_t cap);

/*
 * What is signed (RFC 8446 4.4.3): 64 spaces, context string, 0, hash. Returns the length, at most
 * MILGI_SIGN_INPUT_MAX.
 */
size_t milgi__certificate_verify_input(
    bool by_server, const uint8_t *transcript_hash, size_t hash_len, uint8_t out[MILGI_SIGN_INPUT_MAX]);
