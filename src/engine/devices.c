/* SPDX-License-Identifier: Apache-2.0 */
/* Devices come and go while traffic flows. */
#include "engine/devices.h"

#include "device/device.h"
#include "engine/health.h"
#include "engine/keys.h"
#include "engine/ops.h"
#include "engine/poll.h"
#include "engine/route.h"

/* --- it comes ----------------------------------------------------------------------------------- */

static void init_dev(
    const struct milgi_engine *e, struct milgi__dev *d, struct milgi_device *device, struct milgi_qp *qp)
{
    uint64_t limit_ns = e->o.outstanding_ns;
    milgi__stats_dev_fini(&d->stat);
    *d = (struct milgi__dev){ .device = device, .qp = qp, .flags = device->caps.flags };
    d->state = MILGI__DEV_SERVING;
    d->limit_ns = limit_ns < UINT64_MAX / device->caps.parallelism ? limit_ns * device->caps.parallelism : UINT64_MAX;
    d->wake_ns = device->caps.wake_ns;
    d->burst = MILGI__MIN(MILGI__MAX(device->caps.best_batch, 1), MILGI__BURST);
    for (unsigned i = 0; i < MILGI__KINDS; i++)
        d->scale[i] = MILGI__SCALE_ONE;
    for (unsigned i = 0; i < MILGI__KINDS; i++)
        d->learned_ms[i] = (uint32_t)(e->now_ns / 1000000);
    for (unsigned i = 0; i < MILGI__HANDSHAKE_KINDS; i++)
        d->group[i] = MILGI__SCALE_ONE / 2;
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
        milgi__line_init(&d->line[cls]);
    milgi__stats_dev_init(&d->stat, device);
    d->fd = device->ops->notify_fd ? device->ops->notify_fd(qp) : -1;
}

int milgi__dev_open(struct milgi_engine *e, struct milgi_device *device)
{
    unsigned index = 0;
    while (index < e->devs_n && (e->dev[index].device || e->dev[index].state == MILGI__DEV_ABANDONED))
        index++;
    if (index == MILGI_DEVICES_MAX)
        return MILGI_ELIMIT;
    struct milgi_qp *qp = device->ops->qp_open(device, &e->o.clock);
    if (!qp)
        return MILGI_ELIMIT;
    struct milgi__dev *d = &e->dev[index];
    init_dev(e, d, device, qp);
    d->index = (uint8_t)index;
    if (d->fd >= 0 && milgi__port_waker_add(&e->posts.waker, d->fd) != 0) {
        device->ops->qp_close(qp);
        milgi__stats_dev_fini(&d->stat);
        d->device = NULL;
        d->state = MILGI__DEV_NONE;
        return MILGI_ELIMIT;
    }
    e->devs_n = MILGI__MAX(e->devs_n, index + 1);
    if (d->flags & MILGI_CAP_CALLER)
        e->callers |= 1u << index;
    e->live |= (1u << index) & ~1u; /* the inline device never has anything that waits */
    return (int)index;
}

int milgi_engine_add_device(struct milgi_engine *e, struct milgi_device *device)
{
    if (milgi__engine_foreign(e) || milgi__device_foreign(device))
        return MILGI_EFORK;
    if (milgi__device_complaint(device))
        return MILGI_EINVAL;
    return milgi__dev_open(e, device);
}

/* --- it goes ------------------------------------------------------------------------------------ */

/* The device has ended: what has not come back by now never will, and its memory is the engine's again. */
static void release_all(struct milgi_engine *e, struct milgi__dev *d)
{
    milgi__dev_poll(e, d);
    milgi__dev_lose(e, d);
    while (d->lent.first) {
        struct milgi_op *op = d->lent.first;
        milgi__oplist_remove(&d->lent, op);
        milgi__op_release(e, op);
    }
}

/* It has not ended, and may write to what it has whenever it likes: that is left to it, with what it loaded of keys. */
static void abandon(struct milgi_engine *e, struct milgi__dev *d)
{
    milgi__dev_poll(e, d);
    milgi__dev_lose(e, d);
    e->abandoned++;
    e->abandoned_ops += d->lent.n;
    while (d->lent.first) {
        struct milgi_op *op = d->lent.first;
        milgi__oplist_remove(&d->lent, op);
        op->e.state = MILGI__OP_ABANDONED;
    }
    milgi__keys_leave(e, d->index);
}

/* True: it has, within |limit_ns|. */
static bool has_ended(struct milgi__dev *d, uint64_t limit_ns)
{
    return !d->device->ops->quiesce || d->device->ops->quiesce(d->qp, limit_ns) == 0;
}

static void close_dev(struct milgi_engine *e, struct milgi__dev *d)
{
    unsigned index = d->index;
    bool left = d->state == MILGI__DEV_ABANDONED;
    if (!left)
        milgi__keys_forget(e, index);
    if (d->fd >= 0)
        milgi__port_waker_remove(&e->posts.waker, d->fd);
    d->device->ops->qp_close(d->qp);
    d->qp = NULL;
    struct milgi_device *device = d->device;
    d->device = NULL;
    e->callers &= ~(1u << index);
    d->armed = false;
    d->state = left ? MILGI__DEV_ABANDONED : MILGI__DEV_NONE;
    d->outstanding_ns = 0;
    milgi__dev_tell(e, index, device, MILGI_DEVICE_REMOVED);
}

int milgi_engine_remove_device(struct milgi_engine *e, unsigned index, uint64_t drain_ns)
{
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    if (index == 0 || index >= e->devs_n || !e->dev[index].device)
        return MILGI_EINVAL;
    if (index == e->memory_dev)
        return MILGI_EBUSY;
    struct milgi__dev *d = &e->dev[index];
    uint64_t now_ns = e->running ? e->now_ns : e->o.clock.monotonic_ns(e->o.clock.ctx);
    uint64_t leave_ns = drain_ns < UINT64_MAX - now_ns ? now_ns + drain_ns : UINT64_MAX;
    d->leave_ns = d->state == MILGI__DEV_LEAVING ? MILGI__MIN(d->leave_ns, leave_ns) : leave_ns;
    d->state = MILGI__DEV_LEAVING;
    e->live |= 1u << index;
    milgi__route_drop(e, index);
    milgi__engine_runnable(e);
    return 0;
}

/* What is in it comes home, or is lost when its time is over. Nobody waits here: it is asked in every turn. */
static void leave(struct milgi_engine *e, struct milgi__dev *d)
{
    if (milgi__dev_waiting(d))
        return;
    if (e->now_ns < d->leave_ns && milgi__dev_inside(d))
        return;
    bool ended = has_ended(d, 0);
    milgi__dev_poll(e, d); /* what it had not begun comes back */
    milgi__dev_lose(e, d);
    if (ended) {
        release_all(e, d);
    } else if (e->now_ns >= milgi__after(d->leave_ns, e->o.quiesce_ns)) {
        abandon(e, d);
        d->state = MILGI__DEV_ABANDONED;
    } else {
        return;
    }
    close_dev(e, d);
}

static void watch(struct milgi_engine *e, struct milgi__dev *d)
{
    milgi__dev_expire(e, d);
    if (d->state == MILGI__DEV_LEAVING) {
        leave(e, d);
        return;
    }
    milgi__dev_check(e, d);
}

bool milgi__dev_watch(struct milgi_engine *e, struct milgi__dev *d)
{
    watch(e, d);
    /* It may have gone, and another have come in its place. */
    if (!d->device)
        return false;
    bool busy = milgi__dev_inside(d) || milgi__dev_waiting(d);
    return busy || d->state != MILGI__DEV_SERVING || d->device->ops->health;
}

void milgi__dev_drain(struct milgi_engine *e, struct milgi__dev *d, uint64_t limit_ns)
{
    /* Every owner has gone, and with them what waited. */
    if (has_ended(d, limit_ns))
        release_all(e, d);
    else
        abandon(e, d);
}
