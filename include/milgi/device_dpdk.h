/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device "dpdk": a cryptodev of DPDK's, in a module of its own. docs/devices.md has its words. Programs that only
 * make it by its description need nothing of this header; those that link the module (pkg-config milgi-dpdk) say so:
 *
 *     if (milgi_device_add_module(&milgi_device_dpdk) || milgi_device_new("dpdk:vdev=crypto_aesni_mb", &device, &why))
 *         ...
 */
#pragma once

#include <milgi/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In the module. */
MILGI_API extern const struct milgi_device_module milgi_device_dpdk;

/* What a device "dpdk" says of an op that it could not do. X(name, value, text) */
#define MILGI_CODES_DPDK(X) \
    X(MILGI_CODE_DPDK_SESSION, 1201, "the cryptodev has no session left, or refuses the key") \
    X(MILGI_CODE_DPDK_FAILED, 1202, "the cryptodev failed") \
    X(MILGI_CODE_DPDK_REFUSED, 1203, "the cryptodev found the operation invalid") \
    X(MILGI_CODE_DPDK_REACH, 1204, "the data is not in memory that the cryptodev reaches")

enum milgi_code_dpdk {
#define MILGI_X(name, value, text) name = (value),
    MILGI_CODES_DPDK(MILGI_X)
#undef MILGI_X
};

/* What it has done since it was made, over all engines. */
struct milgi_device_dpdk_stats {
    uint64_t cryptodev_ops; /* that the cryptodev gave back */
    uint64_t software_ops;  /* that were done on the engine's thread, for the cryptodev cannot do them */
    uint64_t bytes_copied;  /* into and out of mbufs of its own: 0 unless the cryptodev takes no data as it lies */
    uint64_t segments;      /* mbufs that have been chained to others */
    uint64_t sessions;      /* that are there now */
};

/*
 * Both of a device "dpdk" alone, from any thread. They are in the module, which a program has to link for them. The
 * number is DPDK's: a program that links DPDK may stop the cryptodev, and start it, by that.
 */
MILGI_API void milgi_device_dpdk_stats(
    const struct milgi_device *device, struct milgi_device_dpdk_stats *stats);
MILGI_API uint8_t milgi_device_dpdk_id(const struct milgi_device *device);

#ifdef __cplusplus
}
#endif
