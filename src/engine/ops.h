/* SPDX-License-Identifier: Apache-2.0 */
/* An op's life with the engine: whose it is, how it ends for its owner, and the second try that it may get. */
#pragma once

#include "engine/parts.h"

void milgi__op_own(struct milgi__owner *owner, struct milgi_op *op); /* who is told of its end */
void milgi__op_release(struct milgi_engine *e, struct milgi_op *op);
/* Its status is final and |d|, where it was, has it no more. */
void milgi__op_ended(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op);
/* |d| has it for too long. */
void milgi__op_lost(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op);
/* It never reached a device. */
void milgi__op_fail(struct milgi_engine *e, struct milgi_op *op, int code);
