/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine that has nothing to do waits for. */
#pragma once

#include "engine/parts.h"

/* |d| is armed. 1: run again now; else *deadline_ns is lowered to when it must be looked at. */
int milgi__dev_arm(struct milgi_engine *e, struct milgi__dev *d, uint64_t *deadline_ns);
