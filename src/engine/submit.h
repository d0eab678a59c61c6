/* SPDX-License-Identifier: Apache-2.0 */
/* How an op gets into its device. */
#pragma once

#include "engine/parts.h"

/* What waits before |d|, into it. */
void milgi__dev_flush(struct milgi_engine *e, struct milgi__dev *d);
