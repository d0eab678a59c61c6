/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers for the few object identifiers that certificates are looked into for. */
#pragma once

#include <openssl/crypto.h>

#ifdef __cplusplus
extern "C" {
#endif

/*  X(nid, value, short name, long name, DER of the identifier) */
#define MILGI_SSL_OBJECTS(X) \
    X(NID_commonName, 13, "CN", "commonName", "\x55\x04\x03") \
    X(NID_countryName, 14, "C", "countryName", "\x55\x04\x06") \
    X(NID_localityName, 15, "L", "localityName", "\x55\x04\x07") \
    X(NID_stateOrProvinceName, 16, "ST", "stateOrProvinceName", "\x55\x04\x08") \
    X(NID_organizationName, 17, "O", "organizationName", "\x55\x04\x0a") \
    X(NID_organizationalUnitName, 18, "OU", "organizationalUnitName", "\x55\x04\x0b") \
    X(NID_pkcs9_emailAddress, 48, "emailAddress", "emailAddress", "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01") \
    X(NID_subject_key_identifier, 82, "subjectKeyIdentifier", "X509v3 Subject Key Identifier", "\x55\x1d\x0e") \
    X(NID_subject_alt_name, 85, "subjectAltName", "X509v3 Subject Alternative Name", "\x55\x1d\x11") \
    X(NID_authority_key_identifier, 90, "authorityKeyIdentifier", "X509v3 Authority Key Identifier", "\x55\x1d\x23") \
    X(NID_givenName, 99, "GN", "givenName", "\x55\x04\x2a") \
    X(NID_surname, 100, "SN", "surname", "\x55\x04\x04") \
    X(NID_serialNumber, 105, "serialNumber", "serialNumber", "\x55\x04\x05") \
    X(NID_title, 106, "title", "title", "\x55\x04\x0c") \
    X(NID_domainComponent, 391, "DC", "domainComponent", "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19") \
    X(NID_userId, 458, "UID", "userId", "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01")

#define NID_undef 0
enum {
#define MILGI_SSL_X(nid, value, sn, ln, der) nid = (value),
    MILGI_SSL_OBJECTS(MILGI_SSL_X)
#undef MILGI_SSL_X
};

MILGI_SSL_API const char *OBJ_nid2sn(int nid);
MILGI_SSL_API const char *OBJ_nid2ln(int nid);
MILGI_SSL_API int OBJ_obj2nid(const ASN1_OBJECT *object);

#ifdef __cplusplus
}
#endif
