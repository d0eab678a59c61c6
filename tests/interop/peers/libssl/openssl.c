/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's words for it. */
#include "flavour.h"

#include <string.h>

static unsigned char staple[1 << 14];
static size_t staple_len;

void flavour_allow_all(SSL_CTX *ctx)
{
    SSL_CTX_set_security_level(ctx, 0);
}

void flavour_ask_staple(SSL *ssl)
{
    SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
}

bool flavour_has_staple(SSL *ssl)
{
    const unsigned char *response = NULL;
    return SSL_get_tlsext_status_ocsp_resp(ssl, &response) > 0;
}

static int give(SSL *ssl, void *arg)
{
    (void)arg;
    unsigned char *copy = OPENSSL_memdup(staple, staple_len); /* it takes the response over */
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple_len);
    return SSL_TLSEXT_ERR_OK;
}

void flavour_give_staple(SSL_CTX *ctx, const unsigned char *response, size_t len)
{
    staple_len = len < sizeof staple ? len : 0;
    memcpy(staple, response, staple_len);
    SSL_CTX_set_tlsext_status_cb(ctx, give);
}

const char *flavour_group(SSL *ssl)
{
    return SSL_get0_group_name(ssl);
}
