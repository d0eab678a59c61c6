/* SPDX-License-Identifier: Apache-2.0 */
/* Records that are done together, which only kernels do; one by one each flavour does them its own way. */
#include "crypto/libcrypto/libcrypto.h"

unsigned milgi__aead_many(struct milgi__crypto *cx, const struct milgi__aead_key *key, bool seal,
    const struct milgi_op_record *records, unsigned n, int8_t verdicts[MILGI__AEAD_MANY])
{
    return milgi__kernel_many(cx->kernel, key, seal, records, n, verdicts);
}

unsigned milgi__aead_each(struct milgi__crypto *cx, bool seal, const struct milgi__aead_record *records, unsigned n,
    int8_t verdicts[MILGI__AEAD_MANY])
{
    return milgi__kernel_each(cx->kernel, seal, records, n, verdicts);
}
