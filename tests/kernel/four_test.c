/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of vaes512.c on four lanes of AES-NI beside libcrypto: all of that kernel but its instructions.
 * ctest-timeout: 300
 */
#include "checks.h"

#include "base/base.h"
#include "crypto/kernel/cpu.h"

#include "lanes_four.h"

#include "crypto/kernel/body.h"

int main(void)
{
    static const struct milgi__gcm_kernel four = {
        "four lanes of aesni", MILGI__GCM_KINDS, milgi__cpu_has_aesni, milgi__gcm_key_init, seal, open
    };

    return kernel_checks_run(&four);
}
