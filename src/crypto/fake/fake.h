/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the fake backend, and what makes identities for it. NOTHING HERE IS SECURE: it is for tests that need
 * crypto to be quick, deterministic and sensitive to every byte, and nothing more.
 *
 * Private key, 39 bytes:
 *    0  "FAKK"
 *    4  key type (enum milgi__key_type), 1 byte
 *    5  bits, 2 bytes
 *    7  secret, 32 bytes
 *
 * Public key (where libcrypto has a SubjectPublicKeyInfo), 35 bytes:
 *    0  key type, 1 byte
 *    1  bits, 2 bytes
 *    3  id, 32 bytes: a hash of the private key
 *
 * Certificate, 106 bytes and the names:
 *    0  "FAKE"
 *    4  public key, 35 bytes
 *   39  flags (MILGI__FAKE_*), 1 byte
 *   40  signature scheme of the issuer, 2 bytes
 *   42  not before, not after: seconds since 1970, 8 bytes each
 *   58  id of the issuer's key, 32 bytes; its own: self-signed
 *   90  seal: a hash of all the other bytes with the issuer's id, 16 bytes
 *  106  names, separated by commas: host names, "*." and a domain, or "ip:" and the address in hexadecimal
 *
 * PEM: the bytes in hexadecimal, with line breaks anywhere, between "-----BEGIN FAKE CERTIFICATE-----" and
 * "-----END FAKE CERTIFICATE-----", for private keys "FAKE PRIVATE KEY". All numbers are big endian.
 */
#pragma once

#include "base/base.h"
#include "crypto/aead.h"
#include "crypto/hash.h"
#include "crypto/kem.h"
#include "crypto/kex.h"
#include "crypto/sign.h"
#include "crypto/x509.h"

/* --- the mixing function ---------------------------------------------------------------------------------------- */

struct milgi__fake_mixer {
    uint64_t lane[6], word, len;
};
/* |tag| keeps the uses apart. */
void milgi__fake_begin(struct milgi__fake_mixer *m, uint64_t tag);
void milgi__fake_add(struct milgi__fake_mixer *m, const void *data, size_t len);
void milgi__fake_add_int(struct milgi__fake_mixer *m, uint64_t v);
/* Any number of bytes; |m| stays as it is. */
void milgi__fake_end(const struct milgi__fake_mixer *m, uint8_t *out, size_t out_len);

/* --- identities ------------------------------------------------------------------------------------------------- */

#define MILGI__FAKE_KEY_LEN 39u
#define MILGI__FAKE_SPKI_LEN 35u
#define MILGI__FAKE_CERT_HEAD 106u
#define MILGI__FAKE_CERT_MAX 512u
#define MILGI__FAKE_PEM_MAX (2 * MILGI__FAKE_CERT_MAX + 80u)

enum {
    MILGI__FAKE_MAY_SIGN = 1, /* keyUsage digitalSignature */
    MILGI__FAKE_CA = 2,
    MILGI__FAKE_SERVER = 4, /* extendedKeyUsage */
    MILGI__FAKE_CLIENT = 8
};

struct milgi__fake_spec {
    const uint8_t *key, *issuer_key; /* private keys; the same: self-signed */
    unsigned flags;
    int64_t not_before_s, not_after_s;
    const char *names;
};
/* |seed| decides which key. */
void milgi__fake_private_key(
    enum milgi__key_type type, unsigned bits, uint64_t seed, uint8_t out[MILGI__FAKE_KEY_LEN]);
void milgi__fake_public_key(const uint8_t key[MILGI__FAKE_KEY_LEN], uint8_t spki[MILGI__FAKE_SPKI_LEN]);
/* Returns the length; 0: the names are too long. */
size_t milgi__fake_certificate(const struct milgi__fake_spec *spec, uint8_t out[MILGI__FAKE_CERT_MAX]);
/*
 * An OCSP response: status (0 good, 1 revoked, 2 unknown), this and next update, a hash of the certificate and of all
 * before it. Returns its length.
 */
#define MILGI__FAKE_OCSP_LEN 33u
size_t milgi__fake_ocsp(const uint8_t *der, size_t len, unsigned status, int64_t this_s, int64_t next_s,
    uint8_t out[MILGI__FAKE_OCSP_LEN]);
/* |label|: "CERTIFICATE" or "PRIVATE KEY". Returns the length of the text, which a zero follows. */
size_t milgi__fake_pem(const char *label, const uint8_t *bytes, size_t len, char out[MILGI__FAKE_PEM_MAX]);
