/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that fail. */
#include "engine/health.h"

#include "engine/end.h"

#define RETIRE_NS 1000000000u /* a device out of service is left alone for this long */

void milgi__dev_tell(struct milgi_engine *e, unsigned index, struct milgi_device *device, enum milgi_device_event event)
{
    if (e->o.on_device)
        e->o.on_device(e->o.device_ctx, e, index, device, event);
}

void milgi__dev_expire(struct milgi_engine *e, struct milgi__dev *d)
{
    for (unsigned cls = 0; !e->grace && cls < MILGI_OP_CLASSES; cls++) {
        uint64_t timeout = e->o.op_timeout_ns[cls];
        struct milgi_op *op;
        while (timeout && (op = d->flight[cls].first) != NULL &&
            e->now_ns >= milgi__after(op->e.submitted_ns, timeout))
            milgi__op_lost(e, d, op);
    }
}

uint64_t milgi__dev_patience(const struct milgi_engine *e)
{
    uint64_t patience = UINT64_MAX;
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        if (e->o.op_timeout_ns[cls])
            patience = MILGI__MIN(patience, e->o.op_timeout_ns[cls]);
    }
    return patience;
}

static bool is_sick(const struct milgi_engine *e, const struct milgi__dev *d)
{
    bool stuck = d->full_since_ns && e->now_ns >= milgi__after(d->full_since_ns, milgi__dev_patience(e));
    bool unwell = d->device->ops->health && d->device->ops->health(d->qp) != 0;
    return stuck || unwell || d->lent.n > e->o.quarantine_limit;
}

static void retire(struct milgi_engine *e, struct milgi__dev *d)
{
    d->state = MILGI__DEV_RETIRED;
    d->full_since_ns = 0;
    d->retry_ns = e->now_ns + RETIRE_NS;
    milgi__dev_tell(e, d->index, d->device, MILGI_DEVICE_RETIRED);
}

void milgi__dev_check(struct milgi_engine *e, struct milgi__dev *d)
{
    bool sick = is_sick(e, d);
    if (sick && d->state == MILGI__DEV_SERVING)
        retire(e, d);
    bool paid = d->lent.n <= e->o.quarantine_limit / 2;
    if (!sick && d->state == MILGI__DEV_RETIRED && paid && e->now_ns >= d->retry_ns) {
        d->state = MILGI__DEV_SERVING;
        milgi__dev_tell(e, d->index, d->device, MILGI_DEVICE_RETURNED);
    }
}
