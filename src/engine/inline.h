/* SPDX-License-Identifier: Apache-2.0 */
/* Ops on the engine's own thread. */
#pragma once

#include "engine/parts.h"

void milgi__op_inline(struct milgi_engine *e, struct milgi_op *op); /* run it on device 0 now */
