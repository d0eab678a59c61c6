/* SPDX-License-Identifier: Apache-2.0 */
#include "rogue.h"

#include <stdlib.h>

#define KEPT_MAX 65536

struct milgi_qp {
    struct rogue *rogue;
    struct milgi_qp *inner;
    struct milgi_op *again; /* to come back once more */
    struct milgi_op **kept;
    unsigned kept_n;
};

static struct rogue *rogue_of(struct milgi_device *device)
{
    return (struct rogue *)(void *)device;
}

static const struct milgi_device_ops *inner_ops(const struct milgi_qp *qp)
{
    return qp->rogue->inner->ops;
}

static int rogue_supports(struct milgi_device *device, int type, uint16_t alg)
{
    struct milgi_device *inner = rogue_of(device)->inner;
    return inner->ops->supports ? inner->ops->supports(inner, type, alg) : 1;
}

static struct milgi_qp *rogue_qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct rogue *rogue = rogue_of(device);
    struct milgi_qp *qp = calloc(1, sizeof *qp);
    if (!qp)
        return NULL;
    qp->rogue = rogue;
    qp->kept = calloc(KEPT_MAX, sizeof(struct milgi_op *));
    qp->inner = qp->kept ? rogue->inner->ops->qp_open(rogue->inner, clock) : NULL;
    if (qp->inner)
        return qp;
    free(qp->kept);
    free(qp);
    return NULL;
}

static void rogue_qp_close(struct milgi_qp *qp)
{
    inner_ops(qp)->qp_close(qp->inner);
    free(qp->kept);
    free(qp);
}

static void *rogue_key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    return inner_ops(qp)->key_load(qp->inner, key);
}

static void rogue_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    inner_ops(qp)->key_free(qp->inner, key, loaded);
}

static unsigned rogue_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    struct rogue *rogue = qp->rogue;
    if (rogue->lie == ROGUE_KEEPS || rogue->lie == ROGUE_KEEPS_QUIET) {
        for (unsigned i = 0; i < n && qp->kept_n < KEPT_MAX; i++)
            qp->kept[qp->kept_n++] = ops[i];
        rogue->told += n;
        rogue->inside += n;
        return n;
    }
    unsigned taken = inner_ops(qp)->enqueue(qp->inner, ops, n);
    rogue->inside += taken;
    if (rogue->lie != ROGUE_GREEDY)
        return taken;
    rogue->told++;
    return n + 1;
}

/* What it kept while it was bad, once it is good again. */
static void let_go(struct milgi_qp *qp)
{
    unsigned done = inner_ops(qp)->enqueue(qp->inner, qp->kept, qp->kept_n);
    for (unsigned i = done; i < qp->kept_n; i++)
        qp->kept[i - done] = qp->kept[i];
    qp->kept_n -= done;
}

static unsigned lie_about(struct milgi_qp *qp, struct milgi_op **ops, unsigned got, unsigned n)
{
    struct rogue *rogue = qp->rogue;
    bool room = got < n;
    switch (rogue->lie) {
    case ROGUE_PENDING: ops[got - 1]->status = MILGI_OP_PENDING; break;
    case ROGUE_STATUS: ops[got - 1]->status = 99; break;
    case ROGUE_LOST: ops[got - 1]->status = MILGI_OP_LOST; break;
    case ROGUE_TWICE: qp->again = ops[got - 1]; return got; /* told when it comes */
    case ROGUE_TWICE_NOW:
        if (!room)
            return got;
        ops[got] = ops[got - 1];
        got++;
        break;
    case ROGUE_FOREIGN:
        if (!room)
            return got;
        rogue->foreign = (struct milgi_op){ .type = MILGI_OP_SIGN, .status = MILGI_OP_OK };
        ops[got++] = &rogue->foreign;
        break;
    case ROGUE_TOO_MANY: got = n + 1; break;
    default: return got;
    }
    rogue->told++;
    return got;
}

static unsigned rogue_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    struct rogue *rogue = qp->rogue;
    bool keeps = rogue->lie == ROGUE_KEEPS || rogue->lie == ROGUE_KEEPS_QUIET;
    if (qp->again && n > 0) {
        ops[0] = qp->again;
        qp->again = NULL;
        rogue->told++;
        return 1;
    }
    if (!keeps && qp->kept_n)
        let_go(qp);
    unsigned got = inner_ops(qp)->dequeue(qp->inner, ops, n);
    rogue->inside -= got;
    return got ? lie_about(qp, ops, got, n) : 0;
}

static int rogue_notify_fd(struct milgi_qp *qp)
{
    return inner_ops(qp)->notify_fd ? inner_ops(qp)->notify_fd(qp->inner) : -1;
}

static int rogue_arm(struct milgi_qp *qp)
{
    return qp->again ? 1 : inner_ops(qp)->arm(qp->inner);
}

static uint64_t rogue_next_event(struct milgi_qp *qp)
{
    return inner_ops(qp)->next_event ? inner_ops(qp)->next_event(qp->inner) : UINT64_MAX;
}

static int rogue_health(struct milgi_qp *qp)
{
    return qp->rogue->health;
}

static int rogue_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    struct rogue *rogue = qp->rogue;
    rogue->quiesced++;
    if (rogue->lie == ROGUE_KEEPS && qp->kept_n)
        return MILGI_EBUSY;
    return inner_ops(qp)->quiesce ? inner_ops(qp)->quiesce(qp->inner, limit_ns) : 0;
}

struct rogue *rogue_new(const char *spec)
{
    static const struct milgi_device_ops all = {
        .name = "rogue",
        .supports = rogue_supports,
        .qp_open = rogue_qp_open,
        .qp_close = rogue_qp_close,
        .key_load = rogue_key_load,
        .key_free = rogue_key_free,
        .enqueue = rogue_enqueue,
        .dequeue = rogue_dequeue,
        .notify_fd = rogue_notify_fd,
        .arm = rogue_arm,
        .next_event = rogue_next_event,
        .health = rogue_health,
        .quiesce = rogue_quiesce,
    };
    struct rogue *rogue = calloc(1, sizeof *rogue);
    if (!rogue || milgi_device_new(spec, &rogue->inner, NULL) != 0) {
        free(rogue);
        return NULL;
    }
    rogue->device.ops = &all;
    rogue->device.caps = rogue->inner->caps;
    rogue->device.caps.flags &= ~(MILGI_CAP_INLINE | MILGI_CAP_OWN_MEMORY | MILGI_CAP_CANCEL);
    return rogue;
}

void rogue_free(struct rogue *rogue)
{
    if (rogue)
        milgi_device_free(rogue->inner);
    free(rogue);
}
