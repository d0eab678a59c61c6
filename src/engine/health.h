/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that fail: how that is seen, and what follows. */
#pragma once

#include "engine/parts.h"

/* how long a device that accepts nothing is borne with; UINT64_MAX: endless */
uint64_t milgi__dev_patience(const struct milgi_engine *e);
/* Ops that are past their deadline are lost. */
void milgi__dev_expire(struct milgi_engine *e, struct milgi__dev *d);
/* Takes it out of service, or back. */
void milgi__dev_check(struct milgi_engine *e, struct milgi__dev *d);
void milgi__dev_tell(
    struct milgi_engine *e, unsigned index, struct milgi_device *device, enum milgi_device_event event);
