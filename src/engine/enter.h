/* SPDX-License-Identifier: Apache-2.0 */
/* An op gets to where it was routed: into the line before a device, or done at once. */
#pragma once

#include "engine/parts.h"

void milgi__op_enter(struct milgi_engine *e, struct milgi__owner *owner, struct milgi__dev *d, struct milgi_op *op);
/* What waits before its device goes elsewhere. */
void milgi__op_reroute(struct milgi_engine *e, struct milgi_op *op);
