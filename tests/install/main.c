/* SPDX-License-Identifier: Apache-2.0 */
#include <milgi/milgi.h>
#include <stdio.h>

int main(void)
{
    return 0;
}
