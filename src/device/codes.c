/* SPDX-License-Identifier: Apache-2.0 */
/* What device codes mean, for people. */
#include <milgi/device_afalg.h>
#include <milgi/device_dpdk.h>
#include <milgi/device_keyless.h>
#include <milgi/device_pkcs11.h>

#include "base/base.h"

static const struct {
    int code;
    const char *text;
} codes[] = {
#define MILGI_X(name, value, text) { name, text },
    MILGI_CODES(MILGI_X)
        MILGI_CODES_PKCS11(MILGI_X) MILGI_CODES_DPDK(MILGI_X) MILGI_CODES_AFALG(MILGI_X) MILGI_CODES_KEYLESS(MILGI_X)
#undef MILGI_X
};

const char *milgi_device_code_text(int code)
{
    int wanted = code > MILGI_CODE_PKCS11_OTHER ? MILGI_CODE_PKCS11_OTHER : code;

    for (size_t i = 0; i < MILGI__COUNT(codes); i++) {
        if (codes[i].code == wanted)
            return codes[i].text;
    }
    return NULL;
}
