/* SPDX-License-Identifier: Apache-2.0 */
/* BIOs as far as programs print into memory or a file with them, or name a socket; and base64. */
#pragma once

#include <stdarg.h>
#include <stdio.h>

#include <openssl/crypto.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BIO_NOCLOSE 0x00
#define BIO_CLOSE 0x01
#define BIO_FP_TEXT 0x10

#define BIO_FLAGS_BASE64_NO_NL 0x100

MILGI_SSL_API const BIO_METHOD *BIO_s_mem(void);
MILGI_SSL_API const BIO_METHOD *BIO_f_base64(void);
MILGI_SSL_API BIO *BIO_new(const BIO_METHOD *method);
MILGI_SSL_API BIO *BIO_new_mem_buf(const void *data, int n);
MILGI_SSL_API BIO *BIO_new_fp(FILE *file, int close_flag);
MILGI_SSL_API BIO *BIO_new_file(const char *name, const char *mode);
MILGI_SSL_API BIO *BIO_new_socket(int fd, int close_flag);
MILGI_SSL_API int BIO_up_ref(BIO *bio);
MILGI_SSL_API int BIO_free(BIO *bio);
MILGI_SSL_API void BIO_free_all(BIO *bio);
/* |bio| before |next|, which may be a chain itself; BIO_free_all() frees all of it. */
MILGI_SSL_API BIO *BIO_push(BIO *bio, BIO *next);
MILGI_SSL_API BIO *BIO_pop(BIO *bio);
MILGI_SSL_API BIO *BIO_next(BIO *bio);
MILGI_SSL_API void BIO_set_flags(BIO *bio, int flags);
MILGI_SSL_API void BIO_clear_flags(BIO *bio, int flags);
MILGI_SSL_API int BIO_test_flags(const BIO *bio, int flags);
MILGI_SSL_API int BIO_read(BIO *bio, void *data, int n);
MILGI_SSL_API int BIO_write(BIO *bio, const void *data, int n);
MILGI_SSL_API int BIO_puts(BIO *bio, const char *text);
MILGI_SSL_API int BIO_gets(BIO *bio, char *line, int n);
MILGI_SSL_API int BIO_printf(BIO *bio, const char *format, ...) __attribute__((format(printf, 2, 3)));
MILGI_SSL_API int BIO_vprintf(BIO *bio, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
MILGI_SSL_API long BIO_get_mem_data(BIO *bio, char **data);
MILGI_SSL_API long BIO_get_mem_ptr(BIO *bio, BUF_MEM **mem);
MILGI_SSL_API int BIO_get_fd(BIO *bio, int *fd);
MILGI_SSL_API uint64_t BIO_number_written(BIO *bio);
MILGI_SSL_API size_t BIO_ctrl_pending(BIO *bio);
#define BIO_pending(bio) ((int)BIO_ctrl_pending(bio))
MILGI_SSL_API int BIO_flush(BIO *bio);

/* Macros in OpenSSL: programs ask for them with #ifdef. */
#define BIO_flush BIO_flush
#define BIO_get_fd BIO_get_fd
#define BIO_get_mem_data BIO_get_mem_data
#define BIO_get_mem_ptr BIO_get_mem_ptr

#ifdef __cplusplus
}
#endif
