/* SPDX-License-Identifier: Apache-2.0 */
/* The error queue of each thread. */
#pragma once

#include <stdio.h>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/sslerr.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ERR_LIB_NONE 1
#define ERR_LIB_SYS 2
#define ERR_LIB_EVP 6
#define ERR_LIB_PEM 9
#define ERR_LIB_X509 11
#define ERR_LIB_ASN1 13
#define ERR_LIB_SSL 20
#define ERR_LIB_BIO 32
#define ERR_LIB_RAND 36
#define ERR_LIB_USER 128

#define ERR_TXT_STRING 2
#define ERR_RFLAG_COMMON (0x2 << 18)
#define ERR_R_MALLOC_FAILURE (256 | ERR_RFLAG_COMMON)
#define ERR_R_SHOULD_NOT_HAVE_BEEN_CALLED (257 | ERR_RFLAG_COMMON)
#define ERR_R_PASSED_NULL_PARAMETER (258 | ERR_RFLAG_COMMON)
#define ERR_R_INTERNAL_ERROR (259 | ERR_RFLAG_COMMON)
#define ERR_R_DISABLED (260 | ERR_RFLAG_COMMON)
#define ERR_R_PASSED_INVALID_ARGUMENT (262 | ERR_RFLAG_COMMON)
#define ERR_R_UNSUPPORTED (268 | ERR_RFLAG_COMMON)
#define ERR_R_SYS_LIB (2 | ERR_RFLAG_COMMON)

#define ERR_PACK(lib, func, reason) (((unsigned long)(lib)&0xff) << 23 | ((unsigned long)(reason)&0x7fffff))
#define ERR_SYSTEM_ERROR(e) (((e)&0x80000000UL) != 0)
#define ERR_GET_FUNC(e) ((void)(e), 0)
static inline int ERR_GET_LIB(unsigned long e)
{
    return ERR_SYSTEM_ERROR(e) ? ERR_LIB_SYS : (int)(e >> 23 & 0xff);
}
static inline int ERR_GET_REASON(unsigned long e)
{
    return (int)(ERR_SYSTEM_ERROR(e) ? e & 0x7fffffff : e & 0x7fffff);
}

MILGI_SSL_API unsigned long ERR_get_error(void);
MILGI_SSL_API unsigned long ERR_get_error_line(const char **file, int *line);
MILGI_SSL_API unsigned long ERR_get_error_line_data(const char **file, int *line, const char **data, int *flags);
MILGI_SSL_API unsigned long ERR_get_error_all(
    const char **file, int *line, const char **func, const char **data, int *flags);
MILGI_SSL_API unsigned long ERR_peek_error(void);
MILGI_SSL_API unsigned long ERR_peek_last_error(void);
MILGI_SSL_API unsigned long ERR_peek_error_data(const char **data, int *flags);
MILGI_SSL_API void ERR_clear_error(void);
MILGI_SSL_API char *ERR_error_string(unsigned long e, char *buf);
MILGI_SSL_API void ERR_error_string_n(unsigned long e, char *buf, size_t n);
MILGI_SSL_API const char *ERR_lib_error_string(unsigned long e);
MILGI_SSL_API const char *ERR_func_error_string(unsigned long e);
MILGI_SSL_API const char *ERR_reason_error_string(unsigned long e);
MILGI_SSL_API void ERR_print_errors_cb(int (*each)(const char *text, size_t len, void *arg), void *arg);
MILGI_SSL_API void ERR_print_errors_fp(FILE *file);
MILGI_SSL_API void ERR_print_errors(BIO *bio);

#define ERR_load_crypto_strings() ((void)0)
#define ERR_load_ERR_strings() ((void)0)
#define ERR_load_BIO_strings() ((void)0)
#define ERR_free_strings() ((void)0)
#define ERR_remove_state(pid) ((void)0)
#define ERR_remove_thread_state(tid) ((void)0)

#ifdef __cplusplus
}
#endif
