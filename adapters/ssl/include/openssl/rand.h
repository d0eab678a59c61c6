/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness is the system's. What programs add to it is taken and not used. */
#pragma once

#include <openssl/crypto.h>

#ifdef __cplusplus
extern "C" {
#endif

MILGI_SSL_API int RAND_bytes(unsigned char *out, int n);
MILGI_SSL_API int RAND_status(void);
MILGI_SSL_API void RAND_seed(const void *data, int n);
MILGI_SSL_API void RAND_add(const void *data, int n, double randomness);
MILGI_SSL_API const char *RAND_file_name(char *buf, size_t n);
MILGI_SSL_API int RAND_load_file(const char *file, long max);
MILGI_SSL_API int RAND_write_file(const char *file);
#define RAND_poll RAND_status
#define RAND_cleanup() ((void)0)

#ifdef __cplusplus
}
#endif
