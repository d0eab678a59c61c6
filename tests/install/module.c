/* SPDX-License-Identifier: Apache-2.0 */
/* A program that links a module: no file is looked for. */
#include <milgi/device_dpdk.h>
#include <milgi/milgi.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    struct milgi_device *device;
    const char *why;

    if (milgi_device_add_module(&milgi_device_dpdk) != 0)
        return 1;
    /* Whether there are cryptodevs or not, it is the module that answers. */
    int rv = milgi_device_new("dpdk:vdev=crypto_null", &device, &why);
    printf("%d: %s\n", rv, why);
    return rv == MILGI_EUNSUPPORTED && !strstr(why, "package") ? 0 : 1;
}
