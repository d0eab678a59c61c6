/* SPDX-License-Identifier: Apache-2.0 */
/* Out of the devices again. */
#pragma once

#include "engine/parts.h"

unsigned milgi__dev_poll(struct milgi_engine *e, struct milgi__dev *d); /* ops that came back */
