/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the device "afalg" says of an op that it could not do. docs/devices.md tells what each means and what to do.
 */
#pragma once

#include <milgi/device.h>

/* milgi_device_code_text() has the texts. X(name, value, text) */
#define MILGI_CODES_AFALG(X) \
    X(MILGI_CODE_AFALG_NO_CIPHER, 1301, "the kernel has this cipher no more: is its module still there?") \
    X(MILGI_CODE_AFALG_NO_ROOM, 1302, "no descriptor or no memory is left for one more of the kernel's operations") \
    X(MILGI_CODE_AFALG_CLOSED, 1303, "the socket of the kernel's operation was closed under it") \
    X(MILGI_CODE_AFALG_FAILED, 1304, "the kernel's cipher failed")

enum milgi_code_afalg {
#define MILGI_X(name, value, text) name = (value),
    MILGI_CODES_AFALG(MILGI_X)
#undef MILGI_X
};
