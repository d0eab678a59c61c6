/* SPDX-License-Identifier: Apache-2.0 */
/* The module, linked. */
#include "bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configs.h"

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

const uint16_t bed_suite[BED_SUITES] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_256_GCM_SHA384,
    MILGI_SUITE_CHACHA20_POLY1305_SHA256 };

struct milgi_config *bed_config(enum milgi_role role, const char *version, unsigned suite, const struct identity *leaf,
    const struct identity *root)
{
    static const uint16_t of_12[BED_SUITES] = { MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256,
        MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384, MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256 };
    const uint16_t suites[] = { bed_suite[suite], of_12[suite] };
    uint16_t number = strcmp(version, "1.2") == 0 ? MILGI_TLS_1_2 : MILGI_TLS_1_3;
    struct milgi_config *config = configs_begin(
        role, role == MILGI_SERVER ? leaf : NULL, role == MILGI_CLIENT ? root : NULL);

    assert_int_equal(milgi_config_set_versions(config, number, number), 0);
    assert_int_equal(milgi_config_set_suites(config, suites, 2), 0);
    return configs_freeze(config);
}

struct milgi_device_dpdk_stats bed_stats(const struct milgi_device *device)
{
    struct milgi_device_dpdk_stats stats;

    milgi_device_dpdk_stats(device, &stats);
    return stats;
}
