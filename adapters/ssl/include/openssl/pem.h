/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and CRLs from PEM; and parameters of Diffie-Hellman, which nothing comes of. */
#pragma once

#include <openssl/dh.h>
#include <openssl/x509.h>

#ifdef __cplusplus
extern "C" {
#endif

MILGI_SSL_API X509 *PEM_read_bio_X509(BIO *bio, X509 **x, pem_password_cb *cb, void *arg);
MILGI_SSL_API X509_CRL *PEM_read_bio_X509_CRL(BIO *bio, X509_CRL **crl, pem_password_cb *cb, void *arg);
MILGI_SSL_API int PEM_write_bio_X509(BIO *bio, X509 *x);
MILGI_SSL_API DH *PEM_read_bio_DHparams(BIO *bio, DH **dh, pem_password_cb *cb, void *arg);
MILGI_SSL_API DH *PEM_read_DHparams(FILE *file, DH **dh, pem_password_cb *cb, void *arg);

#ifdef __cplusplus
}
#endif
