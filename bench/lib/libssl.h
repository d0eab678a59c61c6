/* SPDX-License-Identifier: Apache-2.0 */
/* Where the libraries that have a libssl differ; a file for each answers. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <openssl/ssl.h>

/* Whether it can be held to a suite of TLS 1.3. */
bool libssl_has_suite(uint16_t suite);
/* Only this suite of TLS 1.3. False: it cannot be chosen. */
bool libssl_set_suite(SSL_CTX *ctx, uint16_t suite);
