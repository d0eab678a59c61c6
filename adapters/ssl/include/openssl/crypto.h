/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, versions, stacks, and the calls of initialization, which have nothing to do here. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/opensslconf.h>
#include <openssl/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OPENSSL_malloc(n) CRYPTO_malloc((n), "", 0)
#define OPENSSL_zalloc(n) CRYPTO_zalloc((n), "", 0)
#define OPENSSL_strdup(s) CRYPTO_strdup((s), "", 0)
#define OPENSSL_free(p) CRYPTO_free((p), "", 0)
MILGI_SSL_API void *CRYPTO_malloc(size_t n, const char *file, int line);
MILGI_SSL_API void *CRYPTO_zalloc(size_t n, const char *file, int line);
MILGI_SSL_API char *CRYPTO_strdup(const char *text, const char *file, int line);
MILGI_SSL_API void CRYPTO_free(void *p, const char *file, int line);
MILGI_SSL_API void OPENSSL_cleanse(void *p, size_t n);
MILGI_SSL_API int CRYPTO_memcmp(const void *a, const void *b, size_t n);

MILGI_SSL_API unsigned long OpenSSL_version_num(void);
MILGI_SSL_API const char *OpenSSL_version(int what);
#define SSLeay OpenSSL_version_num
#define SSLeay_version OpenSSL_version

/* Nothing has to be initialized and nothing cleaned up: 1, always. */
#define OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS 0x00000001L
#define OPENSSL_INIT_LOAD_CRYPTO_STRINGS 0x00000002L
#define OPENSSL_INIT_ADD_ALL_CIPHERS 0x00000004L
#define OPENSSL_INIT_ADD_ALL_DIGESTS 0x00000008L
#define OPENSSL_INIT_NO_ADD_ALL_CIPHERS 0x00000010L
#define OPENSSL_INIT_NO_ADD_ALL_DIGESTS 0x00000020L
#define OPENSSL_INIT_LOAD_CONFIG 0x00000040L
#define OPENSSL_INIT_NO_LOAD_CONFIG 0x00000080L
#define OPENSSL_INIT_ASYNC 0x00000100L
#define OPENSSL_INIT_ENGINE_ALL_BUILTIN 0x00000e00L
#define OPENSSL_INIT_ATFORK 0x00020000L
#define OPENSSL_INIT_NO_ATEXIT 0x00080000L
MILGI_SSL_API OPENSSL_INIT_SETTINGS *OPENSSL_INIT_new(void); /* nothing can be set in it */
MILGI_SSL_API void OPENSSL_INIT_free(OPENSSL_INIT_SETTINGS *settings);
MILGI_SSL_API int OPENSSL_init_crypto(uint64_t opts, const OPENSSL_INIT_SETTINGS *settings);
MILGI_SSL_API void OPENSSL_cleanup(void);

/* A stack of pointers; STACK_OF(X509) and the like are the same under another name. */
MILGI_SSL_API OPENSSL_STACK *OPENSSL_sk_new_null(void);
MILGI_SSL_API void OPENSSL_sk_free(OPENSSL_STACK *stack);
MILGI_SSL_API void OPENSSL_sk_pop_free(OPENSSL_STACK *stack, void (*each)(void *item));
MILGI_SSL_API int OPENSSL_sk_num(const OPENSSL_STACK *stack);
MILGI_SSL_API void *OPENSSL_sk_value(const OPENSSL_STACK *stack, int i);
MILGI_SSL_API int OPENSSL_sk_push(OPENSSL_STACK *stack, void *item);

#define MILGI_SSL_STACK(type) \
    struct stack_st_##type; \
    static inline int sk_##type##_num(const STACK_OF(type) * s) \
    { \
        return OPENSSL_sk_num((const OPENSSL_STACK *)s); \
    } \
    static inline type *sk_##type##_value(const STACK_OF(type) * s, int i) \
    { \
        return (type *)OPENSSL_sk_value((const OPENSSL_STACK *)s, i); \
    } \
    static inline int sk_##type##_push(STACK_OF(type) * s, type * item) \
    { \
        return OPENSSL_sk_push((OPENSSL_STACK *)s, item); \
    } \
    static inline STACK_OF(type) * sk_##type##_new_null(void) \
    { \
        return (STACK_OF(type) *)OPENSSL_sk_new_null(); \
    } \
    static inline void sk_##type##_free(STACK_OF(type) * s) \
    { \
        OPENSSL_sk_free((OPENSSL_STACK *)s); \
    } \
    static inline void sk_##type##_pop_free(STACK_OF(type) * s, void (*each)(type *)) \
    { \
        OPENSSL_sk_pop_free((OPENSSL_STACK *)s, (void (*)(void *))(void (*)(void))each); \
    } \
    struct stack_st_##type

/* Threads need no locks of the program's. */
#define CRYPTO_LOCK 1
#define CRYPTO_num_locks() (1)
#define CRYPTO_set_locking_callback(f) ((void)0)
#define CRYPTO_set_id_callback(f) ((void)0)
#define CRYPTO_cleanup_all_ex_data() ((void)0)
#define OPENSSL_thread_stop() ((void)0)

#ifdef __cplusplus
}
#endif
