/* SPDX-License-Identifier: Apache-2.0 */
/* The version of the interface that these headers follow: that of OpenSSL 3.0, as far as README.md says. */
#pragma once

#define OPENSSL_VERSION_MAJOR 3
#define OPENSSL_VERSION_MINOR 0
#define OPENSSL_VERSION_PATCH 0
#define OPENSSL_VERSION_NUMBER 0x30000000L
#define OPENSSL_VERSION_TEXT "Milgi's shim, shaped like OpenSSL 3.0"
#define OPENSSL_VERSION 0
#define SSLEAY_VERSION 0

/* For programs that want to know what they are built against. */
#define MILGI_SSL 1
