/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of a suite in OpenSSL and AWS-LC. */
#include "libssl.h"

bool libssl_has_suite(uint16_t suite)
{
    (void)suite;
    return true;
}

bool libssl_set_suite(SSL_CTX *ctx, uint16_t suite)
{
    const char *name = "TLS_CHACHA20_POLY1305_SHA256";

    if (suite == 0x1301)
        name = "TLS_AES_128_GCM_SHA256";
    else if (suite == 0x1302)
        name = "TLS_AES_256_GCM_SHA384";
    return SSL_CTX_set_ciphersuites(ctx, name) == 1;
}
