/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes that are none: libcrypto does one op behind the other. For tests, on any processor. */
#include "device/lanes/kinds.h"

static const char *unusable(void)
{
    return NULL;
}

static uint32_t rows(void)
{
    return MILGI__ROWS_ALL;
}

static bool run(struct milgi__crypto *cx, enum milgi__row row, const struct milgi__lane *lane, unsigned n)
{
    (void)row;
    for (unsigned i = 0; i < n; i++)
        milgi__op_perform(cx, lane[i].op, !lane[i].key ? NULL : lane[i].key->loaded);
    return true;
}

const struct milgi__lanes_kind milgi__lanes_libcrypto = {
    .name = "libcrypto",
    .caps = MILGI_CAP_LIBCRYPTO,
    .unusable = unusable,
    .rows = rows,
    .run = run,
};
