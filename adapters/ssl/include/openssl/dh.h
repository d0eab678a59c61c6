/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of Diffie-Hellman, as PEM_read_DHparams() makes them. */
#pragma once

#include <openssl/evp.h>

#ifdef __cplusplus
extern "C" {
#endif

MILGI_SSL_API DH *DH_new(void);
MILGI_SSL_API int DH_set0_pqg(DH *dh, BIGNUM *p, BIGNUM *q, BIGNUM *g); /* takes them */
#define DH_free EVP_PKEY_free

#ifdef __cplusplus
}
#endif
