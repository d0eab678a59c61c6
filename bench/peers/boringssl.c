/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of a suite in BoringSSL, which has no list for TLS 1.3, but a policy that prefers keys of 256 bits. */
#include "libssl.h"

bool libssl_has_suite(uint16_t suite)
{
    return suite == 0x1301 || suite == 0x1302;
}

bool libssl_set_suite(SSL_CTX *ctx, uint16_t suite)
{
    return suite == 0x1301 ||
        (suite == 0x1302 && SSL_CTX_set_compliance_policy(ctx, ssl_compliance_policy_cnsa_202407) == 1);
}
