/* SPDX-License-Identifier: Apache-2.0 */
/* Each kernel of this build beside libcrypto. ctest-timeout: 300 */
#include "checks.h"

int main(void)
{
    int failed = 0;

    for (size_t i = 0; milgi__gcm_kernels[i]; i++)
        failed += kernel_checks_run(milgi__gcm_kernels[i]);
    return failed;
}
