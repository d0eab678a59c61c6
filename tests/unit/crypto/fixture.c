/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include "inside.h"

int crypto_open(void **state)
{
    *state = milgi__crypto_new();
    return *state ? 0 : -1;
}

int crypto_close(void **state)
{
    milgi__crypto_free(*state);
    return inside_errors_left() ? -1 : 0;
}
