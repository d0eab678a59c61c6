/* SPDX-License-Identifier: Apache-2.0 */
#include "cx.h"

#include "crypto/context.h"

struct milgi__crypto *cx;

int cx_open(void **state)
{
    (void)state;
    cx = milgi__crypto_new();
    return cx ? 0 : -1;
}

int cx_close(void **state)
{
    (void)state;
    milgi__crypto_idle(cx);
    milgi__crypto_free(cx);
    return 0;
}
