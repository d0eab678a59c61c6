/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, to be looked at. */
#pragma once

#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#ifdef __cplusplus
extern "C" {
#endif

#define X509_R_KEY_VALUES_MISMATCH 116
#define PEM_R_BAD_DECRYPT 101
#define PEM_R_BAD_PASSWORD_READ 104
#define PEM_R_NO_START_LINE 108

#define X509_FILETYPE_PEM 1
#define X509_FILETYPE_ASN1 2
#define X509_FILETYPE_DEFAULT 3

MILGI_SSL_STACK(X509);

/* From PEM (pem.h), for a store; nothing else is done with one. */
MILGI_SSL_API int X509_CRL_up_ref(X509_CRL *crl);
MILGI_SSL_API void X509_CRL_free(X509_CRL *crl);
MILGI_SSL_STACK(X509_NAME);

MILGI_SSL_API X509 *d2i_X509(X509 **x, const unsigned char **in, long len);
MILGI_SSL_API int i2d_X509(const X509 *x, unsigned char **out);
MILGI_SSL_API int X509_up_ref(X509 *x);
MILGI_SSL_API void X509_free(X509 *x);
MILGI_SSL_API int X509_digest(const X509 *x, const EVP_MD *md, unsigned char *out, unsigned *n);
MILGI_SSL_API int X509_cmp(const X509 *a, const X509 *b);

/* As long as the certificate lives. */
MILGI_SSL_API X509_NAME *X509_get_subject_name(const X509 *x);
MILGI_SSL_API X509_NAME *X509_get_issuer_name(const X509 *x);
MILGI_SSL_API X509_PUBKEY *X509_get_X509_PUBKEY(const X509 *x);
MILGI_SSL_API const ASN1_INTEGER *X509_get0_serialNumber(const X509 *x);
MILGI_SSL_API const ASN1_TIME *X509_get0_notBefore(const X509 *x);
MILGI_SSL_API const ASN1_TIME *X509_get0_notAfter(const X509 *x);
#define X509_get_notBefore(x) ((ASN1_TIME *)X509_get0_notBefore(x))
#define X509_get_notAfter(x) ((ASN1_TIME *)X509_get0_notAfter(x))
#define X509_getm_notBefore X509_get_notBefore
#define X509_getm_notAfter X509_get_notAfter
MILGI_SSL_API int i2d_X509_PUBKEY(const X509_PUBKEY *key, unsigned char **out);

/* As long as the certificate lives. */
MILGI_SSL_API int X509_get_ext_count(const X509 *x);
MILGI_SSL_API X509_EXTENSION *X509_get_ext(const X509 *x, int i);
MILGI_SSL_API ASN1_OBJECT *X509_EXTENSION_get_object(X509_EXTENSION *extension);
MILGI_SSL_API int X509_EXTENSION_get_critical(const X509_EXTENSION *extension);

#define XN_FLAG_COMPAT 0
#define XN_FLAG_SEP_COMMA_PLUS (1 << 16)
#define XN_FLAG_SEP_CPLUS_SPC (2 << 16)
#define XN_FLAG_DN_REV (1 << 20)
#define XN_FLAG_FN_SN 0
#define XN_FLAG_SPC_EQ (1 << 23)
#define ASN1_STRFLGS_ESC_2253 1
#define ASN1_STRFLGS_ESC_CTRL 2
#define ASN1_STRFLGS_ESC_MSB 4
#define ASN1_STRFLGS_ESC_QUOTE 8
#define ASN1_STRFLGS_UTF8_CONVERT 0x10
#define ASN1_STRFLGS_RFC2253 \
    (ASN1_STRFLGS_ESC_2253 | ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_ESC_MSB | ASN1_STRFLGS_UTF8_CONVERT)
#define XN_FLAG_RFC2253 (ASN1_STRFLGS_RFC2253 | XN_FLAG_SEP_COMMA_PLUS | XN_FLAG_DN_REV | XN_FLAG_FN_SN)
#define XN_FLAG_ONELINE (ASN1_STRFLGS_RFC2253 | ASN1_STRFLGS_ESC_QUOTE | XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_SPC_EQ)

MILGI_SSL_API char *X509_NAME_oneline(const X509_NAME *name, char *buf, int n);
MILGI_SSL_API int X509_NAME_print_ex(BIO *bio, const X509_NAME *name, int indent, unsigned long flags);
MILGI_SSL_API int X509_NAME_print_ex_fp(FILE *file, const X509_NAME *name, int indent, unsigned long flags);
MILGI_SSL_API void X509_NAME_free(X509_NAME *name);
MILGI_SSL_API int X509_NAME_entry_count(const X509_NAME *name);
MILGI_SSL_API X509_NAME_ENTRY *X509_NAME_get_entry(const X509_NAME *name, int i);
MILGI_SSL_API int X509_NAME_get_index_by_NID(const X509_NAME *name, int nid, int last);
MILGI_SSL_API int X509_NAME_get_text_by_NID(const X509_NAME *name, int nid, char *buf, int n);
MILGI_SSL_API ASN1_STRING *X509_NAME_ENTRY_get_data(const X509_NAME_ENTRY *entry);
MILGI_SSL_API ASN1_OBJECT *X509_NAME_ENTRY_get_object(const X509_NAME_ENTRY *entry);
MILGI_SSL_API int X509_NAME_cmp(const X509_NAME *a, const X509_NAME *b);

#ifdef __cplusplus
}
#endif

#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
