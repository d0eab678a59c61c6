/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled with the headers of the library's libcrypto. */
#include "inside.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

bool inside_errors_left(void)
{
    return ERR_peek_error() != 0;
}

bool inside_set_memory(void *(*get)(size_t size, const char *file, int line),
    void *(*resize)(void *p, size_t size, const char *file, int line),
    void (*give)(void *p, const char *file, int line))
{
    return CRYPTO_set_mem_functions(get, resize, give) == 1;
}
