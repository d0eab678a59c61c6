/* SPDX-License-Identifier: Apache-2.0 */
/* From the lines before a device into it, in bursts. */
#pragma once

#include "engine/parts.h"

void milgi__dev_flush(struct milgi_engine *e, struct milgi__dev *d);
