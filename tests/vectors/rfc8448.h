/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The example connections of RFC 8448 (those without PSK), as items in the order of the document:
 *
 *   who      what           name                        bytes
 *   both     private        x25519, P-256               ephemeral private key
 *   both     public         x25519, P-256               share
 *   both     message        ClientHello ...             handshake message (also HelloRetryRequest: a ServerHello)
 *   both     payload        handshake, alert,           content of a record
 *                           application_data, change_cipher_spec
 *   both     record         as the payload before it    the record on the wire
 *   server   ikm            early, handshake, master    input of an extraction
 *   server   secret         early, handshake, master    its result
 *   both     hash           c hs traffic ...            context of a derivation (a transcript hash)
 *   both     secret         c hs traffic ...            its result, also "derived for handshake", "derived for master"
 *   both     key, iv        write handshake ...         traffic keys: read or write, handshake or application
 *   both     finished key, verify_data
 *   RSA      modulus, public exponent, private exponent, prime1, prime2, exponent1, exponent2, coefficient
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rfc8448_who {
    RFC8448_CLIENT,
    RFC8448_SERVER,
    RFC8448_RSA
};

struct rfc8448_item {
    enum rfc8448_who who;
    const char *what, *name;
    size_t len;
    const char *hex;
};

struct rfc8448_trace {
    const char *name; /* simple, retry, client_auth, compatibility; keys: the RSA key */
    const struct rfc8448_item *item;
    size_t n;
};
extern const struct rfc8448_trace rfc8448_traces[4];
extern const struct rfc8448_trace rfc8448_rsa_key;
extern const struct rfc8448_trace rfc8448_resumed; /* stands on the session of the simple one, and has early data */

struct rfc8448_bytes {
    size_t len;
    uint8_t data[1024];
};
struct rfc8448_bytes rfc8448_bytes(const struct rfc8448_item *item);

/* The |nth| such item, counted from 0; |name| NULL: any. NULL: there is none. */
const struct rfc8448_item *rfc8448_find(
    const struct rfc8448_trace *trace, enum rfc8448_who who, const char *what, const char *name, unsigned nth);
/* Its bytes; there must be one. */
struct rfc8448_bytes rfc8448_get(
    const struct rfc8448_trace *trace, enum rfc8448_who who, const char *what, const char *name, unsigned nth);
