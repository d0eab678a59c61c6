/* SPDX-License-Identifier: Apache-2.0 */
/* BoringSSL's words for it. */
#include "flavour.h"

void flavour_allow_all(SSL_CTX *ctx)
{
    /* its own list has neither P-521 nor Ed25519 */
    static const uint16_t schemes[] = { SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384,
        SSL_SIGN_ECDSA_SECP521R1_SHA512, SSL_SIGN_ED25519, SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA384,
        SSL_SIGN_RSA_PSS_RSAE_SHA512, SSL_SIGN_RSA_PKCS1_SHA256, SSL_SIGN_RSA_PKCS1_SHA384, SSL_SIGN_RSA_PKCS1_SHA512 };
    SSL_CTX_set_verify_algorithm_prefs(ctx, schemes, sizeof schemes / sizeof *schemes);
}

void flavour_ask_staple(SSL *ssl)
{
    SSL_enable_ocsp_stapling(ssl);
}

bool flavour_has_staple(SSL *ssl)
{
    const uint8_t *response = NULL;
    size_t len = 0;
    SSL_get0_ocsp_response(ssl, &response, &len);
    return len != 0;
}

void flavour_give_staple(SSL_CTX *ctx, const unsigned char *response, size_t len)
{
    SSL_CTX_set_ocsp_response(ctx, response, len);
}

const char *flavour_group(SSL *ssl)
{
    return SSL_get_group_name(SSL_get_group_id(ssl));
}
