/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of what programs read for themselves parameters of Diffie-Hellman in PEM, and nothing else: they are often told to by
 * their configuration. Nothing comes of them (SSL_CTX_set0_tmp_dh_pkey()).
 */
#pragma once

#include <stdio.h>

#include <openssl/evp.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ossl_decoder_ctx_st OSSL_DECODER_CTX;

#define OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS 0x04

MILGI_SSL_API OSSL_DECODER_CTX *OSSL_DECODER_CTX_new_for_pkey(EVP_PKEY **key, const char *input, const char *structure,
    const char *type, int selection, OSSL_LIB_CTX *lib, const char *properties);
/* 1; or 0 with an error in the queue: it is something else. |*key| is the caller's, to be freed. */
MILGI_SSL_API int OSSL_DECODER_from_fp(OSSL_DECODER_CTX *ctx, FILE *file);
MILGI_SSL_API void OSSL_DECODER_CTX_free(OSSL_DECODER_CTX *ctx);

#ifdef __cplusplus
}
#endif
