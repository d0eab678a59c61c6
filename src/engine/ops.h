/* SPDX-License-Identifier: Apache-2.0 */
/* An op and whose it is. */
#pragma once

#include "engine/parts.h"

struct milgi__owner *milgi__op_owner(const struct milgi_engine *e, const struct milgi_op *op); /* NULL: gone */
void milgi__op_own(struct milgi__owner *owner, struct milgi_op *op);
/* |owner| hears of it no more. */
void milgi__op_disown(struct milgi__owner *owner, struct milgi_op *op);
void milgi__op_release(struct milgi_engine *e, struct milgi_op *op);
