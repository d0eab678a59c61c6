/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that Python signs with, whose URIs are "python:N": the device of adapters/common. */
#include "../common/signer.h"

#include <stdlib.h>

#include "bridge.h"

struct milgi_device *milgi_py_signer_new(void)
{
    return milgi__signer_new("python");
}

bool milgi_py_signer_next(struct milgi_device *device, struct milgi_py_sign *sign)
{
    struct milgi__sign next;
    if (!milgi__signer_next(device, &next))
        return false;
    *sign = (struct milgi_py_sign){ next.id, strtoull(next.key, NULL, 10), next.scheme, next.data, next.len };
    return true;
}

void milgi_py_signer_answer(struct milgi_device *device, uint64_t id, const void *sig, size_t sig_len)
{
    milgi__signer_answer(device, id, sig, sig_len);
}
