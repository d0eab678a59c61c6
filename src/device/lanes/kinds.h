/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of lanes that there may be. Which of them a build has, lanes_kinds.inc says. */
#pragma once

#include <milgi/device.h>

#include "device/lanes/lanes.h"

extern const struct milgi__lanes_kind milgi__lanes_mb, milgi__lanes_libcrypto;
