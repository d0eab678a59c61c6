/* SPDX-License-Identifier: Apache-2.0 */
/* No primitives are handed out; what programs call before they use libssl is here, and does nothing. */
#pragma once

#include <openssl/crypto.h>

#define OpenSSL_add_all_algorithms() ((void)OPENSSL_init_crypto(0, NULL))
#define OpenSSL_add_all_ciphers() ((void)OPENSSL_init_crypto(0, NULL))
#define OpenSSL_add_all_digests() ((void)OPENSSL_init_crypto(0, NULL))
#define SSLeay_add_all_algorithms() ((void)OPENSSL_init_crypto(0, NULL))
#define EVP_cleanup() ((void)0)

#ifdef __cplusplus
extern "C" {
#endif

MILGI_SSL_API void EVP_PKEY_free(EVP_PKEY *key);

#ifdef __cplusplus
}
#endif
