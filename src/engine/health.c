/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that fail. */
#include "engine/health.h"

#include "engine/ops.h"
#include "engine/probe.h"

#define RETRY_NS 1000000000u /* a device out of service is tried after this, then twice this ... */
#define RETRY_MAX_NS 60000000000u
/* One lost op in eight is too many for long: what is lost weighs that much more than what comes back in time. */
#define LOSS_WEIGHT 8u
#define LOSSES_MAX 64u
#define DEPTH_PARTS 4u /* nor may it owe more than one part in so many of its depth */

void milgi__dev_tell(struct milgi_engine *e, unsigned index, struct milgi_device *device, enum milgi_device_event event)
{
    if (e->o.on_device)
        e->o.on_device(e->o.device_ctx, e, index, device, event);
}

/* --- what is seen of it ----------------------------------------------------------------------------------------- */

/* An op of |d| that says whether it works again is over. */
static void judge(struct milgi_engine *e, struct milgi__dev *d, bool works)
{
    d->probing = false;
    d->trial = MILGI__TRIAL_NONE;
    d->silent = false;
    d->losses = 0;
    if (d->state != MILGI__DEV_RETIRED)
        return;
    if (works && !d->lie) {
        d->state = MILGI__DEV_SERVING;
        d->full_since_ns = d->retry_wait_ns = 0;
        milgi__dev_tell(e, d->index, d->device, MILGI_DEVICE_RETURNED);
        return;
    }
    d->retry_wait_ns = MILGI__MIN(2 * d->retry_wait_ns, RETRY_MAX_NS);
    d->retry_ns = d->lie ? UINT64_MAX : e->now_ns + d->retry_wait_ns;
}

static bool on_trial(const struct milgi__dev *d, const struct milgi_op *op)
{
    return (op->flags & MILGI__OP_PROBE) || (d->state == MILGI__DEV_RETIRED && d->trial == MILGI__TRIAL_TAKEN);
}

static void lose(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op)
{
    bool trial = on_trial(d, op);
    d->silent |= op->e.submitted_ns >= d->heard_ns;
    d->losses += LOSS_WEIGHT;
    milgi__op_lost(e, d, op);
    if (trial)
        judge(e, d, false);
}

void milgi__dev_lose(struct milgi_engine *e, struct milgi__dev *d)
{
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        while (d->flight[cls].first)
            lose(e, d, d->flight[cls].first);
    }
}

void milgi__dev_expire(struct milgi_engine *e, struct milgi__dev *d)
{
    for (unsigned cls = 0; !e->grace && cls < MILGI_OP_CLASSES; cls++) {
        uint64_t timeout = e->o.op_timeout_ns[cls];
        struct milgi_op *op;
        while (timeout && (op = d->flight[cls].first) &&
            e->now_ns >= milgi__after(op->e.submitted_ns, timeout))
            lose(e, d, op);
    }
}

void milgi__dev_judge(struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op)
{
    bool performed = op->status == MILGI_OP_OK || op->status == MILGI_OP_REJECTED;
    d->losses -= d->losses > 0;
    if (op->flags & MILGI__OP_PROBE)
        judge(e, d, milgi__probe_passed(e, op));
    else if (on_trial(d, op))
        judge(e, d, performed);
}

void milgi__dev_lied(struct milgi_engine *e, struct milgi__dev *d, const char *how)
{
    if (d->lie)
        return;
    d->lie = how;
    d->retry_ns = UINT64_MAX;
    if (d->state == MILGI__DEV_SERVING)
        d->state = MILGI__DEV_RETIRED;
    milgi__dev_tell(e, d->index, d->device, MILGI_DEVICE_LIED);
}

/* --- what follows ----------------------------------------------------------------------------------------------- */

uint64_t milgi__dev_patience(const struct milgi_engine *e)
{
    uint64_t patience = UINT64_MAX;
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        if (e->o.op_timeout_ns[cls])
            patience = MILGI__MIN(patience, e->o.op_timeout_ns[cls]);
    }
    return patience;
}

static bool owes_too_much(const struct milgi_engine *e, const struct milgi__dev *d)
{
    uint32_t part = d->device->caps.max_in_flight / DEPTH_PARTS;
    return d->lent.n > MILGI__MIN(e->o.quarantine_limit, part);
}

static bool is_sick(const struct milgi_engine *e, const struct milgi__dev *d)
{
    bool stuck = d->full_since_ns && e->now_ns >= milgi__after(d->full_since_ns, milgi__dev_patience(e));
    bool unwell = d->device->ops->health && d->device->ops->health(d->qp) != 0;
    return stuck || unwell || owes_too_much(e, d);
}

static void retire(struct milgi_engine *e, struct milgi__dev *d)
{
    d->state = MILGI__DEV_RETIRED;
    d->full_since_ns = 0;
    d->trial = MILGI__TRIAL_NONE;
    d->retry_wait_ns = RETRY_NS;
    d->retry_ns = e->now_ns + RETRY_NS;
    milgi__dev_tell(e, d->index, d->device, MILGI_DEVICE_RETIRED);
}

/* Out of service since it failed, and the time has come to find out whether it does still. */
static void try_again(struct milgi_engine *e, struct milgi__dev *d, bool sick)
{
    bool under_way = d->probing || d->trial == MILGI__TRIAL_OPEN;
    if (d->trial == MILGI__TRIAL_TAKEN) {
        under_way = milgi__dev_waiting(d) || milgi__dev_flight(d);
        if (sick || !under_way) /* it took none, or who had sent it has gone */
            judge(e, d, false);
    }
    if (under_way || e->now_ns < d->retry_ns)
        return;
    enum milgi__probed probed = sick ? MILGI__PROBE_REFUSED : milgi__probe(e, d);
    d->probing = probed == MILGI__PROBE_SENT;
    if (probed == MILGI__PROBE_REFUSED)
        judge(e, d, false);
    else if (probed == MILGI__PROBE_CANNOT)
        d->trial = MILGI__TRIAL_OPEN;
}

void milgi__dev_check(struct milgi_engine *e, struct milgi__dev *d)
{
    bool sick = is_sick(e, d);
    if (d->lie) {
        milgi__dev_lose(e, d); /* nobody waits for what it may still do */
        return;
    }
    if (d->state == MILGI__DEV_SERVING && (sick || d->silent || d->losses >= LOSSES_MAX)) {
        bool silent = d->silent;
        retire(e, d);
        if (silent) /* what is in it waits no longer */
            milgi__dev_lose(e, d);
    } else if (d->state == MILGI__DEV_RETIRED) {
        try_again(e, d, sick);
    }
}
