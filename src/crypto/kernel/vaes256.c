/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel for VAES and VPCLMULQDQ on 256 bits, for processors without AVX-512. */
#include "base/base.h"

#include "crypto/kernel/cpu.h"
#include "crypto/kernel/lanes256.h"

#include "crypto/kernel/body.h"

const struct milgi__gcm_kernel milgi__gcm_vaes256 = {
    "vaes256", MILGI__GCM_VAES256, milgi__cpu_has_vaes256, milgi__gcm_key_init, seal, open
};
