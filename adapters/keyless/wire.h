/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of Cloudflare's keyless protocol, version 1: a header of 8 bytes (version, length of what follows, an ID
 * that an answer has from its request), and items, each with a tag and a length before it. Plain functions on bytes,
 * for both ends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MILGI__KEYLESS_HEADER 8u
#define MILGI__KEYLESS_MAX (MILGI__KEYLESS_HEADER + 65535u) /* a message with its header */
#define MILGI__KEYLESS_PADDED 1024u                         /* what shorter messages are filled up to */
#define MILGI__KEYLESS_SKI 20u
#define MILGI__KEYLESS_NAME 255u /* of a server, at most */
#define MILGI__KEYLESS_PAYLOAD_MAX 60000u

enum milgi__keyless_tag {
    MILGI__KEYLESS_TAG_DIGEST = 0x01, /* SHA-256 of an RSA modulus in hexadecimal digits */
    MILGI__KEYLESS_TAG_SNI = 0x02,
    MILGI__KEYLESS_TAG_CLIENT_IP = 0x03,
    MILGI__KEYLESS_TAG_SKI = 0x04, /* SHA-1 of the public key's bits */
    MILGI__KEYLESS_TAG_SERVER_IP = 0x05,
    MILGI__KEYLESS_TAG_CERT_ID = 0x06,
    MILGI__KEYLESS_TAG_OPCODE = 0x11,
    MILGI__KEYLESS_TAG_PAYLOAD = 0x12,
    MILGI__KEYLESS_TAG_PADDING = 0x20
};

enum milgi__keyless_opcode {
    MILGI__KEYLESS_RSA_SHA256 = 0x05, /* PKCS #1 v1.5, of a hash */
    MILGI__KEYLESS_RSA_SHA384 = 0x06,
    MILGI__KEYLESS_RSA_SHA512 = 0x07,
    MILGI__KEYLESS_ECDSA_SHA256 = 0x15, /* of a hash, in DER */
    MILGI__KEYLESS_ECDSA_SHA384 = 0x16,
    MILGI__KEYLESS_ECDSA_SHA512 = 0x17,
    MILGI__KEYLESS_ED25519 = 0x18,    /* of a message */
    MILGI__KEYLESS_PSS_SHA256 = 0x35, /* of a hash, with a salt as long as it */
    MILGI__KEYLESS_PSS_SHA384 = 0x36,
    MILGI__KEYLESS_PSS_SHA512 = 0x37,
    MILGI__KEYLESS_RESPONSE = 0xf0,
    MILGI__KEYLESS_PING = 0xf1,
    MILGI__KEYLESS_PONG = 0xf2,
    MILGI__KEYLESS_ERROR = 0xff /* its payload is one byte: */
};

enum milgi__keyless_error {
    MILGI__KEYLESS_E_CRYPTO = 1,
    MILGI__KEYLESS_E_NO_KEY = 2,
    MILGI__KEYLESS_E_READ = 3,
    MILGI__KEYLESS_E_VERSION = 4,
    MILGI__KEYLESS_E_OPCODE = 5,
    MILGI__KEYLESS_E_UNEXPECTED = 6, /* an answer's opcode in a request */
    MILGI__KEYLESS_E_FORMAT = 7,
    MILGI__KEYLESS_E_INTERNAL = 8,
    MILGI__KEYLESS_E_NO_CERT = 9,
    MILGI__KEYLESS_E_EXPIRED = 10,
    MILGI__KEYLESS_E_REMOTE = 11 /* a key server behind the key server is not set up right */
};

/* What is of use of a message. Pointers lead into its bytes. */
struct milgi__keyless_message {
    uint32_t id;
    uint8_t opcode;
    bool has_ski;
    uint8_t ski[MILGI__KEYLESS_SKI];
    const uint8_t *payload, *sni;
    size_t payload_len, sni_len; /* 0: there is none */
};

/*
 * The first message of |data|. Returns its length; 0: it is not all there, and does not begin wrongly; or one of those
 * below, negated, as an answer would say it, with message->id set if there are 8 bytes: _VERSION (its major number is
 * not 1; nothing can be said of what follows), or _FORMAT (items that do not end where it does, an item that is known
 * twice or has a length that it cannot have, no opcode; *|whole| bytes, and the next begins).
 */
int milgi__keyless_parse(const uint8_t *data, size_t len, struct milgi__keyless_message *message, size_t *whole);

/* How long it will be; 0: it has no room in a message. */
size_t milgi__keyless_length(const struct milgi__keyless_message *message);
/* Writes it to |out|, where there is room for as much, and returns that. */
size_t milgi__keyless_write(const struct milgi__keyless_message *message, uint8_t *out);

/* The opcode that makes signatures of |scheme| (MILGI_SIG_*); 0: there is none. */
uint8_t milgi__keyless_opcode(uint16_t scheme);
/* The scheme for RSA with the rsaEncryption OID, ECDSA or Ed25519 of an opcode; 0: it signs nothing that is known. */
uint16_t milgi__keyless_scheme(uint8_t opcode);
