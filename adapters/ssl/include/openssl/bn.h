/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers, to make bytes of hexadecimal digits: there is no arithmetic. */
#pragma once

#include <openssl/crypto.h>

#ifdef __cplusplus
extern "C" {
#endif

MILGI_SSL_API int BN_hex2bn(BIGNUM **number, const char *text);
MILGI_SSL_API BIGNUM *BN_bin2bn(const unsigned char *bytes, int n, BIGNUM *into);
MILGI_SSL_API int BN_num_bits(const BIGNUM *number);
#define BN_num_bytes(number) ((BN_num_bits(number) + 7) / 8)
MILGI_SSL_API int BN_bn2bin(const BIGNUM *number, unsigned char *out);
MILGI_SSL_API void BN_free(BIGNUM *number);

#ifdef __cplusplus
}
#endif
