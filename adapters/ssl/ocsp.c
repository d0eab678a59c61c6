/* SPDX-License-Identifier: Apache-2.0 */
/* What OCSP begins with, which is not here: programs are told so. */
#include "shim.h"

#include <openssl/ocsp.h>

static long not_here(void)
{
    SSL_ERR(ERR_R_DISABLED, "there is no OCSP");
    return 0;
}

long SSL_set_tlsext_status_type(SSL *ssl, int type)
{
    (void)ssl;
    (void)type;
    return not_here();
}

long SSL_CTX_set_tlsext_status_cb(SSL_CTX *ctx, int (*cb)(SSL *ssl, void *arg))
{
    (void)ctx;
    (void)cb;
    return not_here();
}

long SSL_CTX_set_tlsext_status_arg(SSL_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return not_here();
}

long SSL_get_tlsext_status_ocsp_resp(SSL *ssl, unsigned char **response)
{
    (void)ssl;
    *response = NULL;
    return -1;
}

OCSP_RESPONSE *d2i_OCSP_RESPONSE(OCSP_RESPONSE **response, const unsigned char **in, long len)
{
    (void)response;
    (void)in;
    (void)len;
    not_here();
    return NULL;
}
