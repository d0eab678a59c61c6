/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of the device dpdk share: they link the module, which conformance tests load. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <milgi/device_dpdk.h>
#include <milgi/milgi.h>

/* DPDK's own, of which no header is needed for this. */
int rte_cryptodev_start(uint8_t id);
void rte_cryptodev_stop(uint8_t id);

/* Says where the module is; a process in which no cryptodev can be made ends here, as skipped. */
void bed_begin(void);
struct milgi_device *bed_device(const char *spec);
/* For one version, "1.2" or "1.3", and its suite with one of BED_SUITES AEADs; frozen. */
#define BED_SUITES 3
extern const uint16_t bed_suite[BED_SUITES]; /* those of 1.3 */
struct identity;
struct milgi_config *bed_config(enum milgi_role role, const char *version, unsigned suite, const struct identity *leaf,
    const struct identity *root);
struct milgi_device_dpdk_stats bed_stats(const struct milgi_device *device);
