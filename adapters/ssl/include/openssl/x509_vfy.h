/* SPDX-License-Identifier: Apache-2.0 */
/* What comes of verifying a certificate, and what it is verified against. */
#pragma once

#include <openssl/x509.h>

#ifdef __cplusplus
extern "C" {
#endif

/*  X(name, value, text) */
#define MILGI_SSL_VERDICTS(X) \
    X(X509_V_ERR_UNSPECIFIED, 1, "not verified, for a reason that is not told") \
    X(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, 2, "the issuer's certificate is not to be had") \
    X(X509_V_ERR_UNABLE_TO_GET_CRL, 3, "no CRL says whether the certificate is revoked") \
    X(X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE, 5, "a CRL's signature cannot be read") \
    X(X509_V_ERR_CERT_SIGNATURE_FAILURE, 7, "the certificate's signature is wrong") \
    X(X509_V_ERR_CRL_SIGNATURE_FAILURE, 8, "a CRL's signature is wrong") \
    X(X509_V_ERR_CERT_NOT_YET_VALID, 9, "the certificate is not valid yet") \
    X(X509_V_ERR_CERT_HAS_EXPIRED, 10, "the certificate has expired") \
    X(X509_V_ERR_CRL_NOT_YET_VALID, 11, "the CRL is not valid yet") \
    X(X509_V_ERR_CRL_HAS_EXPIRED, 12, "the CRL has expired") \
    X(X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD, 13, "the beginning of the certificate's validity is malformed") \
    X(X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD, 14, "the end of the certificate's validity is malformed") \
    X(X509_V_ERR_OUT_OF_MEM, 17, "out of memory") \
    X(X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, 18, "self-signed certificate") \
    X(X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, 19, "self-signed certificate in the chain") \
    X(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 20, "the issuer is not among those that are trusted") \
    X(X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, 21, "the first certificate cannot be verified") \
    X(X509_V_ERR_CERT_CHAIN_TOO_LONG, 22, "the chain is too long") \
    X(X509_V_ERR_CERT_REVOKED, 23, "the certificate is revoked") \
    X(X509_V_ERR_NO_ISSUER_PUBLIC_KEY, 24, "the issuer has no public key") \
    X(X509_V_ERR_PATH_LENGTH_EXCEEDED, 25, "the chain is longer than an authority allows") \
    X(X509_V_ERR_INVALID_PURPOSE, 26, "the certificate is for another purpose") \
    X(X509_V_ERR_CERT_UNTRUSTED, 27, "the certificate is not trusted") \
    X(X509_V_ERR_CERT_REJECTED, 28, "the certificate is rejected") \
    X(X509_V_ERR_SUBJECT_ISSUER_MISMATCH, 29, "subject and issuer do not match") \
    X(X509_V_ERR_KEYUSAGE_NO_CERTSIGN, 32, "the issuer's key is not for signing certificates") \
    X(X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER, 33, "the issuer of the CRL is not to be had") \
    X(X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, 34, "a critical extension is not known") \
    X(X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, 35, "the issuer's key is not for signing CRLs") \
    X(X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION, 36, "a critical extension of the CRL is not known") \
    X(X509_V_ERR_KEYUSAGE_NO_DIGITAL_SIGNATURE, 39, "the certificate's key is not for signatures") \
    X(X509_V_ERR_INVALID_EXTENSION, 41, "a malformed extension") \
    X(X509_V_ERR_DIFFERENT_CRL_SCOPE, 44, "the CRL is for other certificates") \
    X(X509_V_ERR_PERMITTED_VIOLATION, 47, "a name outside of what the authority is permitted") \
    X(X509_V_ERR_EXCLUDED_VIOLATION, 48, "a name that the authority is excluded from") \
    X(X509_V_ERR_APPLICATION_VERIFICATION, 50, "refused by the application") \
    X(X509_V_ERR_UNSUPPORTED_NAME_SYNTAX, 53, "a name of a kind that is not supported") \
    X(X509_V_ERR_HOSTNAME_MISMATCH, 62, "the certificate is for another host") \
    X(X509_V_ERR_EMAIL_MISMATCH, 63, "the certificate is for another address") \
    X(X509_V_ERR_IP_ADDRESS_MISMATCH, 64, "the certificate is for another address of a host") \
    X(X509_V_ERR_EE_KEY_TOO_SMALL, 66, "the certificate's key is too short") \
    X(X509_V_ERR_CA_KEY_TOO_SMALL, 67, "the key of an authority is too short") \
    X(X509_V_ERR_CA_MD_TOO_WEAK, 68, "a signature with a weak hash") \
    X(X509_V_ERR_INVALID_CALL, 69, "nothing was verified") \
    X(X509_V_ERR_UNSUPPORTED_SIGNATURE_ALGORITHM, 76, "a signature of a kind that is not supported") \
    X(X509_V_ERR_INVALID_CA, 79, "the issuer is no authority")

#define X509_V_OK 0
enum {
#define MILGI_SSL_X(name, value, text) name = (value),
    MILGI_SSL_VERDICTS(MILGI_SSL_X)
#undef MILGI_SSL_X
};
#define X509_V_ERR_SELF_SIGNED_CERTIFICATE X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT

#define X509_V_FLAG_CRL_CHECK 0x4
#define X509_V_FLAG_CRL_CHECK_ALL 0x8
#define X509_V_FLAG_X509_STRICT 0x20
#define X509_V_FLAG_TRUSTED_FIRST 0x8000
#define X509_V_FLAG_PARTIAL_CHAIN 0x80000
#define X509_V_FLAG_NO_ALT_CHAINS 0x100000

#define X509_CHECK_FLAG_ALWAYS_CHECK_SUBJECT 0x1
#define X509_CHECK_FLAG_NO_WILDCARDS 0x2
#define X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS 0x4
#define X509_CHECK_FLAG_MULTI_LABEL_WILDCARDS 0x8
#define X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS 0x10
#define X509_CHECK_FLAG_NEVER_CHECK_SUBJECT 0x20

MILGI_SSL_API const char *X509_verify_cert_error_string(long verdict);

/* Flags: those of wildcards and strictness that are not kept are an error (0); see README.md. */
MILGI_SSL_API X509_VERIFY_PARAM *X509_VERIFY_PARAM_new(void);
MILGI_SSL_API void X509_VERIFY_PARAM_free(X509_VERIFY_PARAM *param);
MILGI_SSL_API int X509_VERIFY_PARAM_set_flags(X509_VERIFY_PARAM *param, unsigned long flags);
MILGI_SSL_API unsigned long X509_VERIFY_PARAM_get_flags(X509_VERIFY_PARAM *param);
MILGI_SSL_API int X509_VERIFY_PARAM_set1_host(X509_VERIFY_PARAM *param, const char *name, size_t len);
MILGI_SSL_API int X509_VERIFY_PARAM_set1_ip(X509_VERIFY_PARAM *param, const unsigned char *ip, size_t len);
MILGI_SSL_API int X509_VERIFY_PARAM_set1_ip_asc(X509_VERIFY_PARAM *param, const char *text);
MILGI_SSL_API void X509_VERIFY_PARAM_set_hostflags(X509_VERIFY_PARAM *param, unsigned flags);
MILGI_SSL_API void X509_VERIFY_PARAM_set_depth(X509_VERIFY_PARAM *param, int depth);

/* A context's anchors; what is added counts for every SSL that is made from it later. */
MILGI_SSL_API int X509_STORE_add_cert(X509_STORE *store, X509 *x);
MILGI_SSL_API int X509_STORE_set_flags(X509_STORE *store, unsigned long flags);
MILGI_SSL_API int X509_STORE_load_locations(X509_STORE *store, const char *file, const char *dir);
MILGI_SSL_API int X509_STORE_set_default_paths(X509_STORE *store);
MILGI_SSL_API X509_LOOKUP *X509_STORE_add_lookup(X509_STORE *store, X509_LOOKUP_METHOD *method);
MILGI_SSL_API X509_LOOKUP_METHOD *X509_LOOKUP_file(void);
MILGI_SSL_API X509_LOOKUP_METHOD *X509_LOOKUP_hash_dir(void);
MILGI_SSL_API int X509_load_crl_file(X509_LOOKUP *lookup, const char *file, int type);
MILGI_SSL_API int X509_load_cert_crl_file(X509_LOOKUP *lookup, const char *file, int type);
MILGI_SSL_API int X509_STORE_add_crl(X509_STORE *store, X509_CRL *crl);
MILGI_SSL_API int X509_LOOKUP_load_file(X509_LOOKUP *lookup, const char *file, long type);
MILGI_SSL_API int X509_LOOKUP_add_dir(X509_LOOKUP *lookup, const char *dir, long type);

/* What a verify callback is given. */
MILGI_SSL_API int X509_STORE_CTX_get_error(const X509_STORE_CTX *ctx);
MILGI_SSL_API void X509_STORE_CTX_set_error(X509_STORE_CTX *ctx, int verdict);
MILGI_SSL_API int X509_STORE_CTX_get_error_depth(const X509_STORE_CTX *ctx);
MILGI_SSL_API X509 *X509_STORE_CTX_get_current_cert(const X509_STORE_CTX *ctx);
MILGI_SSL_API void *X509_STORE_CTX_get_ex_data(const X509_STORE_CTX *ctx, int index);

#ifdef __cplusplus
}
#endif
