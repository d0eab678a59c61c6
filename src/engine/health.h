/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that fail: how that is seen, and what follows. */
#pragma once

#include "engine/parts.h"

void milgi__dev_tell(
    struct milgi_engine *e, unsigned index, struct milgi_device *device, enum milgi_device_event event);
/* how long a device that accepts nothing is borne with; UINT64_MAX: endless */
uint64_t milgi__dev_patience(const struct milgi_engine *e);
/* Ops that are past their deadline are lost. */
void milgi__dev_expire(struct milgi_engine *e, struct milgi__dev *d);
/* All that is in it is lost. */
void milgi__dev_lose(struct milgi_engine *e, struct milgi__dev *d);
/* |op| has come back from |d|, which was in doubt, or is found out by it. */
void milgi__dev_judge(struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op);
/* |op| has come back from |d|, which it says something of. */
static inline void milgi__dev_heard(struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op)
{
    d->heard_ns = MILGI__MAX(e->now_ns, op->e.submitted_ns + 1);
    if (d->losses || d->state != MILGI__DEV_SERVING || (op->flags & MILGI__OP_PROBE))
        milgi__dev_judge(e, d, op);
}
/* It broke its contract: |how|, a static text. Its ops come home, but it gets no more. */
void milgi__dev_lied(struct milgi_engine *e, struct milgi__dev *d, const char *how);
/* Takes it out of service; finds out whether it works again, and takes it back. */
void milgi__dev_check(struct milgi_engine *e, struct milgi__dev *d);
