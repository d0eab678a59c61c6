/* SPDX-License-Identifier: Apache-2.0 */
/* The module, linked. */
#include "bed.h"

#include <stdio.h>
#include <stdlib.h>

#define SKIPPED 77

void bed_begin(void)
{
    struct milgi_device *device;
    const char *why;

    if (milgi_device_add_module(&milgi_device_dpdk) != 0) {
        fprintf(stderr, "the module is not taken\n");
        exit(1);
    }
    if (milgi_device_new("dpdk:vdev=crypto_aesni_gcm,memory=16m", &device, &why) == MILGI_EUNSUPPORTED) {
        printf("not tested: %s\n", why);
        exit(SKIPPED);
    }
    milgi_device_free(device);
}

struct milgi_device *bed_device(const char *spec)
{
    struct milgi_device *device;
    const char *why;

    if (milgi_device_new(spec, &device, &why) != 0)
        fail_msg("%s: %s", spec, why);
    return device;
}

struct milgi_device_dpdk_stats bed_stats(const struct milgi_device *device)
{
    struct milgi_device_dpdk_stats stats;

    milgi_device_dpdk_stats(device, &stats);
    return stats;
}
