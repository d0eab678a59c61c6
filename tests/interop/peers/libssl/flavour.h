/* SPDX-License-Identifier: Apache-2.0 */
/* What is said in other words by OpenSSL (openssl.c) and by BoringSSL (boringssl.c). */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>

/* Takes every key that the library knows, also one too weak to be sensible. */
void flavour_allow_all(SSL_CTX *ctx);

/* The client asks for an OCSP response; whether it has one after the handshake. */
void flavour_ask_staple(SSL *ssl);
bool flavour_has_staple(SSL *ssl);

/* The server's OCSP response, copied. */
void flavour_give_staple(SSL_CTX *ctx, const unsigned char *response, size_t len);

const char *flavour_group(SSL *ssl);
