/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: the device with lanes of their own, and what went through them. */
#pragma once

#include <milgi/device.h>

#include "device/lanes/lanes.h"

/* |wait_ns|, |from|: as the words of a description. As milgi_device_new(). */
int milgi__batch_make(const struct milgi__lanes_kind *kind, uint64_t wait_ns, unsigned from,
    struct milgi_device **device, const char **why);
const struct milgi__lanes *milgi__batch_lanes(const struct milgi_qp *qp);
