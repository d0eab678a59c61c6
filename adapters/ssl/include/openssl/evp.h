/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests, and what makes a key of a password; no ciphers, and nothing of keys. What programs call before they use
 * libssl does nothing.
 */
#pragma once

#include <openssl/bio.h>
#include <openssl/objects.h>

#define OpenSSL_add_all_algorithms() ((void)OPENSSL_init_crypto(0, NULL))
#define OpenSSL_add_all_ciphers() ((void)OPENSSL_init_crypto(0, NULL))
#define OpenSSL_add_all_digests() ((void)OPENSSL_init_crypto(0, NULL))
#define SSLeay_add_all_algorithms() ((void)OPENSSL_init_crypto(0, NULL))
#define EVP_cleanup() ((void)0)

#ifdef __cplusplus
extern "C" {
#endif

MILGI_SSL_API void EVP_PKEY_free(EVP_PKEY *key);

#define EVP_MAX_MD_SIZE 64
MILGI_SSL_API const EVP_MD *EVP_sha1(void);
MILGI_SSL_API const EVP_MD *EVP_sha224(void);
MILGI_SSL_API const EVP_MD *EVP_sha256(void);
MILGI_SSL_API const EVP_MD *EVP_sha384(void);
MILGI_SSL_API const EVP_MD *EVP_sha512(void);
MILGI_SSL_API const EVP_MD *EVP_get_digestbyname(const char *name); /* NULL: none of these */
MILGI_SSL_API int EVP_MD_get_size(const EVP_MD *md);
MILGI_SSL_API int EVP_MD_get_block_size(const EVP_MD *md);
#define EVP_MD_size EVP_MD_get_size
#define EVP_MD_block_size EVP_MD_get_block_size

MILGI_SSL_API EVP_MD_CTX *EVP_MD_CTX_new(void);
MILGI_SSL_API void EVP_MD_CTX_free(EVP_MD_CTX *ctx);
MILGI_SSL_API int EVP_MD_CTX_reset(EVP_MD_CTX *ctx);
MILGI_SSL_API int EVP_MD_CTX_copy_ex(EVP_MD_CTX *to, const EVP_MD_CTX *from);
#define EVP_MD_CTX_create EVP_MD_CTX_new
#define EVP_MD_CTX_destroy EVP_MD_CTX_free
#define EVP_MD_CTX_cleanup EVP_MD_CTX_reset
/* |engine| is NULL: there are none. |md| NULL: the one before. */
MILGI_SSL_API int EVP_DigestInit_ex(EVP_MD_CTX *ctx, const EVP_MD *md, ENGINE *engine);
MILGI_SSL_API int EVP_DigestInit(EVP_MD_CTX *ctx, const EVP_MD *md);
MILGI_SSL_API int EVP_DigestUpdate(EVP_MD_CTX *ctx, const void *data, size_t n);
MILGI_SSL_API int EVP_DigestFinal_ex(EVP_MD_CTX *ctx, unsigned char *out, unsigned *n);
MILGI_SSL_API int EVP_DigestFinal(EVP_MD_CTX *ctx, unsigned char *out, unsigned *n);
MILGI_SSL_API int EVP_Digest(
    const void *data, size_t n, unsigned char *out, unsigned *out_n, const EVP_MD *md, ENGINE *engine);
MILGI_SSL_API int PKCS5_PBKDF2_HMAC(const char *password, int password_n, const unsigned char *salt, int salt_n,
    int iterations, const EVP_MD *md, int n, unsigned char *out);

#ifdef __cplusplus
}
#endif
