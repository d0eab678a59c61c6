/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates from PEM. */
#pragma once

#include <openssl/x509.h>

#ifdef __cplusplus
extern "C" {
#endif

MILGI_SSL_API X509 *PEM_read_bio_X509(BIO *bio, X509 **x, pem_password_cb *cb, void *arg);
MILGI_SSL_API int PEM_write_bio_X509(BIO *bio, X509 *x);

#ifdef __cplusplus
}
#endif
