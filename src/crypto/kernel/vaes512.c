/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel for VAES and VPCLMULQDQ on 512 bits. */
#include "base/base.h"

#include "crypto/kernel/cpu.h"
#include "crypto/kernel/lanes512.h"

#include "crypto/kernel/body.h"

const struct milgi__gcm_kernel milgi__gcm_vaes512 = {
    "vaes512", MILGI__GCM_VAES512, milgi__cpu_has_vaes512, milgi__gcm_key_init, seal, open
};
