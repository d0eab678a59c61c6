/* SPDX-License-Identifier: Apache-2.0 */
/* An op's life with the engine: whose it is, how it ends for its owner, and the second try that it may get. */
#pragma once

#include "engine/parts.h"

struct milgi__owner *milgi__op_owner(const struct milgi_engine *e, const struct milgi_op *op); /* NULL: gone */
void milgi__op_own(struct milgi__owner *owner, struct milgi_op *op);
void milgi__op_release(struct milgi_engine *e, struct milgi_op *op);
/* Its status is final and no device has it. */
void milgi__op_ended(struct milgi_engine *e, struct milgi_op *op);
/* |d| has it for too long. */
void milgi__op_lost(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op);
/* It never reached a device. */
void milgi__op_fail(struct milgi_engine *e, struct milgi_op *op, int code);
