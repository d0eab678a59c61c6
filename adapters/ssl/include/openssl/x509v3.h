/* SPDX-License-Identifier: Apache-2.0 */
/* The names that a certificate is for. */
#pragma once

#include <openssl/x509.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GEN_OTHERNAME 0
#define GEN_EMAIL 1
#define GEN_DNS 2
#define GEN_X400 3
#define GEN_DIRNAME 4
#define GEN_EDIPARTY 5
#define GEN_URI 6
#define GEN_IPADD 7
#define GEN_RID 8

/* Of kinds other than these four there is the type alone. */
typedef struct GENERAL_NAME_st {
    int type;
    union {
        char *ptr;
        ASN1_IA5STRING *rfc822Name;
        ASN1_IA5STRING *dNSName;
        ASN1_IA5STRING *uniformResourceIdentifier;
        ASN1_OCTET_STRING *iPAddress;
        ASN1_IA5STRING *ia5;
    } d;
} GENERAL_NAME;

MILGI_SSL_STACK(GENERAL_NAME);
typedef STACK_OF(GENERAL_NAME) GENERAL_NAMES;
MILGI_SSL_API void GENERAL_NAME_free(GENERAL_NAME *name);
MILGI_SSL_API void GENERAL_NAMES_free(GENERAL_NAMES *names);

/* Of the extensions NID_subject_alt_name alone: a GENERAL_NAMES. */
MILGI_SSL_API void *X509_get_ext_d2i(const X509 *x, int nid, int *critical, int *index);
/* Whether X509_get_ext_d2i() can do something with it: NULL, or not. There is nothing to look at. */
typedef struct v3_ext_method X509V3_EXT_METHOD;
MILGI_SSL_API const X509V3_EXT_METHOD *X509V3_EXT_get(X509_EXTENSION *extension);
MILGI_SSL_API ASN1_OCTET_STRING *a2i_IPADDRESS(const char *text);

#ifdef __cplusplus
}
#endif
