/* SPDX-License-Identifier: Apache-2.0 */
/* How an op ends for its owner: as its device says, or lost; and the second try that it may get. */
#pragma once

#include "engine/parts.h"

/* Its status is final and no device has it. */
void milgi__op_ended(struct milgi_engine *e, struct milgi_op *op);
/* |d| has it for too long. */
void milgi__op_lost(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op);
/* It never reached a device. */
void milgi__op_fail(struct milgi_engine *e, struct milgi_op *op, int code);
