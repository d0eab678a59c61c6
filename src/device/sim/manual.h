/* SPDX-License-Identifier: Apache-2.0 */
/* How tests drive a sim device that was made with the word "manual": it finishes nothing by itself. */
#pragma once

#include "device/device.h"

/* what it has accepted and not finished, oldest first */
unsigned milgi__sim_pending(struct milgi_device *device, struct milgi_op **ops, unsigned n);
/*
 * Finishes the i-th: performs it (status OK as performed), or gives it back unperformed as REJECTED, BROKEN or
 * CANCELLED; LOST: keeps it until it is finished again or quiesced.
 */
void milgi__sim_finish(struct milgi_device *device, unsigned i, enum milgi_op_status status);
/* Whether the memory that a device made with "memory=own" reaches has all |len| bytes at |p|. */
bool milgi__sim_reaches(const struct milgi_device *device, const void *p, size_t len);
void milgi__sim_refuse(struct milgi_device *device, bool full); /* from now on accepts nothing; or again */
