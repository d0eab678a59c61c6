/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of owners that are no connections. */
#pragma once

#include "engine/engine.h"

/* One that wants a key pair of |group|, and may be run again where it was not run. */
void submit_keygen(struct milgi_engine *engine, struct milgi__owner *owner, uint16_t group);
