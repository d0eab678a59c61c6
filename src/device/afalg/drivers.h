/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/base.h"

#define MILGI__DRIVER_NAME 128u

struct milgi__driver {
    char name[MILGI__DRIVER_NAME];
    bool async; /* it may take time: an operation is not done when it was begun */
};

/* What |path|, the kernel's /proc/crypto, says of the AEAD of that name. False: nothing. */
bool milgi__driver_of(const char *path, const char *name, struct milgi__driver *driver);
