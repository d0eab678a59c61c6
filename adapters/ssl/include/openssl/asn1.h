/* SPDX-License-Identifier: Apache-2.0 */
/* Strings as they stand in certificates. */
#pragma once

#include <openssl/bio.h>
#include <openssl/objects.h>

#ifdef __cplusplus
extern "C" {
#endif

#define V_ASN1_OCTET_STRING 4
#define V_ASN1_UTF8STRING 12
#define V_ASN1_NUMERICSTRING 18
#define V_ASN1_PRINTABLESTRING 19
#define V_ASN1_T61STRING 20
#define V_ASN1_IA5STRING 22
#define V_ASN1_UTCTIME 23
#define V_ASN1_GENERALIZEDTIME 24
#define V_ASN1_VISIBLESTRING 26
#define V_ASN1_UNIVERSALSTRING 28
#define V_ASN1_BMPSTRING 30

/* Programs look into it, though there are calls for it. Behind the data stands a NUL. */
struct asn1_string_st {
    int length, type;
    unsigned char *data;
    long flags; /* 0 */
};
MILGI_SSL_API int ASN1_STRING_length(const ASN1_STRING *string);
MILGI_SSL_API const unsigned char *ASN1_STRING_get0_data(const ASN1_STRING *string);
MILGI_SSL_API unsigned char *ASN1_STRING_data(ASN1_STRING *string);
MILGI_SSL_API int ASN1_STRING_type(const ASN1_STRING *string);
MILGI_SSL_API int ASN1_STRING_cmp(const ASN1_STRING *a, const ASN1_STRING *b);
MILGI_SSL_API int ASN1_STRING_to_UTF8(unsigned char **out, const ASN1_STRING *string);
MILGI_SSL_API void ASN1_STRING_free(ASN1_STRING *string);
#define ASN1_OCTET_STRING_free ASN1_STRING_free
MILGI_SSL_API int ASN1_TIME_print(BIO *bio, const ASN1_TIME *time);
MILGI_SSL_API int ASN1_TIME_to_tm(const ASN1_TIME *time, struct tm *tm);

#ifdef __cplusplus
}
#endif
