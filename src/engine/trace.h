/* SPDX-License-Identifier: Apache-2.0 */
/* Events of ops; each only if milgi__traced(&e->tracer). */
#pragma once

#include "engine/parts.h"

/* Routed to |d|. */
void milgi__trace_op_start(const struct milgi_engine *e, const struct milgi__dev *d, struct milgi_op *op);
/* |d| has taken it. */
void milgi__trace_op_sent(const struct milgi_engine *e, const struct milgi__dev *d, struct milgi_op *op);
/* With op->status and what else its device said. */
void milgi__trace_op_end(const struct milgi_engine *e, const struct milgi_op *op);
/* It ends as |status| for its owner; a device may be at work on it. */
void milgi__trace_op_gone(const struct milgi_engine *e, const struct milgi_op *op, enum milgi_op_status status);
void milgi__trace_memory(const struct milgi_engine *e, const struct milgi__owner *owner, bool waits);
