/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernels there are, and verdicts on what they have opened. */
#include "crypto/kernel/gcm.h"

#include "base/base.h"

const struct milgi__gcm_kernel *const milgi__gcm_kernels[] = {
#include "gcm_kernels.inc"
    NULL
};

const struct milgi__gcm_kernel *milgi__gcm_best(void)
{
    const struct milgi__gcm_kernel *best = NULL;

    for (size_t i = 0; milgi__gcm_kernels[i]; i++) {
        if (milgi__gcm_kernels[i]->usable())
            best = milgi__gcm_kernels[i];
    }
    return best;
}

static bool is_zero(const uint8_t diff[16])
{
    uint64_t half[2];

    memcpy(half, diff, sizeof half);
    return (half[0] | half[1]) == 0;
}

static void wipe_output(const struct milgi__gcm_record *r)
{
    size_t len = 0;

    for (size_t i = 0; i < r->src_n; i++) {
        if (!r->dst)
            milgi__wipe(r->src[i].data, r->src[i].len);
        len += r->src[i].len;
    }
    if (r->dst)
        milgi__wipe(r->dst, len);
}

size_t milgi__gcm_open(
    const struct milgi__gcm_kernel *kernel, struct milgi__gcm_record *records, size_t n, int8_t *verdicts)
{
    size_t bad = 0;

    kernel->open(records, n);
    for (size_t i = 0; i < n; i++) {
        verdicts[i] = 0;
        if (is_zero(records[i].diff))
            continue;
        wipe_output(&records[i]);
        verdicts[i] = MILGI__BAD;
        bad++;
    }
    return bad;
}
