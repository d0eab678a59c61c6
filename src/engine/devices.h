/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that come and go. */
#pragma once

#include "engine/parts.h"

int milgi__dev_open(struct milgi_engine *e, struct milgi_device *device);
/* Deadlines, health, leaving: once per turn. False: there is nothing to watch until it is given an op. */
bool milgi__dev_watch(struct milgi_engine *e, struct milgi__dev *d);
/* At the engine's end: nobody is told. It may take |limit_ns| to end what it is at. */
void milgi__dev_drain(struct milgi_engine *e, struct milgi__dev *d, uint64_t limit_ns);
