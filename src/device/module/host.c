/* SPDX-License-Identifier: Apache-2.0 */
/* What the library does for modules. */
#include "crypto/aead.h"
#include "device/module/module.h"

const struct milgi__module_host milgi__module_host = {
    .crypto_new = milgi__crypto_new,
    .crypto_free = milgi__crypto_free,
    .perform = milgi__op_perform,
    .aead_forget = milgi__aead_forget,
    .pkey_new = milgi__pkey_new,
    .pkey_free = milgi__pkey_free,
    .raw_private = milgi__raw_private,
    .raw_modulus = milgi__raw_modulus,
    .raw_message = milgi__raw_message,
    .leave = milgi__device_leave,
};
