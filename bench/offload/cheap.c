/* SPDX-License-Identifier: Apache-2.0 */
/* The clients' device: what it does not do, clients need not pay for. For a rig, and for nothing else. */
#include <stdlib.h>
#include <string.h>

#include "offload.h"

#define DEPTH 32768u
#define UNITS 4096u

struct cheap {
    struct milgi_device device;
    struct milgi_device *cpu;
};
struct milgi_qp {
    struct cheap *cheap;
    const struct milgi_clock *clock;
    struct milgi_qp *cpu;                 /* the inline device's, which does DERIVE */
    struct milgi_op *share;               /* a KEYGEN that was done once */
    uint8_t public[MILGI_KEX_PUBLIC_MAX]; /* what it made */
    struct milgi_op *done[DEPTH];
    unsigned first, n;
};

static void on_cpu(struct milgi_qp *qp, struct milgi_op *op)
{
    const struct milgi_device_ops *ops = qp->cheap->cpu->ops;
    struct milgi_op *back;

    if (ops->enqueue(qp->cpu, &op, 1) != 1 || ops->dequeue(qp->cpu, &back, 1) != 1 || back != op)
        bench_die("the inline device is not inline");
}

/* The same share for all clients: from the first seed that came. */
static void keygen(struct milgi_qp *qp, struct milgi_op *op)
{
    if (!qp->share) {
        qp->share = malloc(sizeof *qp->share);
        if (!qp->share)
            bench_die("out of memory");
        memcpy(qp->share, op, sizeof *op);
        qp->share->u.kex.share = (struct milgi_slice){ NULL, qp->public, sizeof qp->public };
        on_cpu(qp, qp->share);
    }
    struct milgi_slice own = op->u.kex.share;
    op->u.kex = qp->share->u.kex;
    op->u.kex.share = own;
    memcpy(own.data, qp->public, op->u.kex.pub_len);
    op->status = qp->share->status;
}

static unsigned cheap_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    unsigned taken = 0;

    for (; taken < n && qp->n < DEPTH; taken++) {
        struct milgi_op *op = ops[taken];
        if (op->type == MILGI_OP_KEYGEN)
            keygen(qp, op);
        else if (op->type == MILGI_OP_DERIVE)
            on_cpu(qp, op);
        else
            op->status = MILGI_OP_OK;
        qp->done[(qp->first + qp->n++) % DEPTH] = op;
    }
    return taken;
}

static unsigned cheap_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned got = 0;

    for (; got < n && qp->n > 0; got++, qp->n--) {
        ops[got] = qp->done[qp->first];
        qp->first = (qp->first + 1) % DEPTH;
    }
    return got;
}

static struct milgi_qp *cheap_qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct milgi_qp *qp = calloc(1, sizeof *qp);

    if (!qp)
        return NULL;
    qp->cheap = (struct cheap *)(void *)device;
    qp->clock = clock;
    qp->cpu = qp->cheap->cpu->ops->qp_open(qp->cheap->cpu, clock);
    if (!qp->cpu)
        bench_die("the inline device has no queue pair");
    return qp;
}

static void cheap_qp_close(struct milgi_qp *qp)
{
    qp->cheap->cpu->ops->qp_close(qp->cpu);
    free(qp->share);
    free(qp);
}

static void cheap_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    (void)qp;
    (void)key;
    (void)loaded;
}

static int cheap_notify_fd(struct milgi_qp *qp)
{
    (void)qp;
    return -1;
}

static uint64_t cheap_next_event(struct milgi_qp *qp)
{
    return qp->n > 0 ? qp->clock->monotonic_ns(qp->clock->ctx) : UINT64_MAX;
}

static int cheap_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    (void)qp;
    (void)limit_ns;
    return 0;
}

static void cheap_destroy(struct milgi_device *device)
{
    struct cheap *cheap = (struct cheap *)(void *)device;

    milgi_device_free(cheap->cpu);
    free(cheap);
}

struct milgi_device *cheap_device_new(void)
{
    static const struct milgi_device_ops ops = {
        .name = "cheap",
        .qp_open = cheap_qp_open,
        .qp_close = cheap_qp_close,
        .key_free = cheap_key_free,
        .enqueue = cheap_enqueue,
        .dequeue = cheap_dequeue,
        .notify_fd = cheap_notify_fd,
        .next_event = cheap_next_event,
        .quiesce = cheap_quiesce,
        .destroy = cheap_destroy,
    };
    struct cheap *cheap = calloc(1, sizeof *cheap);
    const char *why = "";

    if (!cheap)
        bench_die("out of memory");
    if (milgi_device_new("cpu", &cheap->cpu, &why) != 0)
        bench_die("%s", why);
    cheap->device.ops = &ops;
    cheap->device.caps = (struct milgi_device_caps){
        .flags = MILGI_CAP_IN_ORDER,
        .ops = MILGI_OP_BIT(MILGI_OP_KEYGEN) | MILGI_OP_BIT(MILGI_OP_DERIVE) | MILGI_OP_BIT(MILGI_OP_VERIFY),
        .parallelism = UNITS,
        .max_in_flight = DEPTH,
        .best_batch = 32,
        .min_record = UINT32_MAX,
    };
    strcpy(cheap->device.spec, "cheap");
    return &cheap->device;
}
