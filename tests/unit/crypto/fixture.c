/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <openssl/err.h>

int crypto_open(void **state)
{
    *state = milgi__crypto_new();
    return *state ? 0 : -1;
}

int crypto_close(void **state)
{
    milgi__crypto_free(*state);
    return ERR_peek_error() == 0 ? 0 : -1;
}
