/* SPDX-License-Identifier: Apache-2.0 */
#include "shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In op->scratch while the inner device does not have the op. */
struct ticket {
    struct milgi_op *next;
    uint64_t due_ns;
};

struct list {
    struct milgi_op *first, *last;
};

struct milgi_qp {
    struct shim *shim;
    struct milgi_qp *inner;
    const struct milgi_clock *clock;
    struct list held; /* accepted in a stall: the inner device has not seen them */
    struct list late; /* done, in the order of their times */
    struct list lost;
    bool quiesced;
    uint64_t losable;
    const struct milgi_op **in; /* those that are inside */
    uint32_t in_n;
};

static struct ticket *ticket(struct milgi_op *op)
{
    _Static_assert(sizeof(struct ticket) <= sizeof op->scratch, "the ticket fits");
    return (struct ticket *)(void *)op->scratch;
}

static void append(struct list *list, struct milgi_op *op, uint64_t due_ns)
{
    *ticket(op) = (struct ticket){ NULL, due_ns };
    if (list->last)
        ticket(list->last)->next = op;
    else
        list->first = op;
    list->last = op;
}

static struct milgi_op *take_first(struct list *list)
{
    struct milgi_op *op = list->first;
    if (!op)
        return NULL;
    list->first = ticket(op)->next;
    if (!list->first)
        list->last = NULL;
    return op;
}

static struct shim *shim_of(struct milgi_device *device)
{
    return (struct shim *)(void *)device;
}

static uint64_t now(const struct milgi_qp *qp)
{
    return qp->clock->monotonic_ns(qp->clock->ctx);
}

/* --- who is inside ------------------------------------------------------------------------------------------------ */

static uint32_t place(const struct milgi_qp *qp, const struct milgi_op *op)
{
    uint32_t i = 0;
    while (i < qp->in_n && qp->in[i] != op)
        i++;
    return i;
}

static void note_in(struct milgi_qp *qp, const struct milgi_op *op)
{
    if (place(qp, op) != qp->in_n) {
        qp->shim->n.wrong++;
        return;
    }
    qp->in[qp->in_n++] = op;
    qp->shim->n.in++;
    qp->shim->inside++;
}

static void note_out(struct milgi_qp *qp, const struct milgi_op *op)
{
    uint32_t i = place(qp, op);
    if (i == qp->in_n) {
        qp->shim->n.wrong++;
        return;
    }
    qp->in[i] = qp->in[--qp->in_n];
    qp->shim->n.out++;
    qp->shim->inside--;
}

/* --- ops in ------------------------------------------------------------------------------------------------------- */

/* What a stall held back goes to the inner device, as much as it takes. */
static void feed(struct milgi_qp *qp)
{
    while (qp->held.first) {
        struct milgi_op *op = qp->held.first, *next = ticket(op)->next;
        struct ticket kept = *ticket(op);
        if (qp->shim->inner->ops->enqueue(qp->inner, &op, 1) != 1) {
            *ticket(op) = kept;
            return;
        }
        qp->held.first = next;
        if (!next)
            qp->held.last = NULL;
    }
}

static unsigned shim_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    unsigned room = qp->shim->device.caps.max_in_flight - qp->in_n;
    n = n < room ? n : room;
    if (qp->shim->mode != SHIM_STALLS && !qp->held.first)
        n = qp->shim->inner->ops->enqueue(qp->inner, ops, n);
    else
        for (unsigned i = 0; i < n; i++)
            append(&qp->held, ops[i], 0);
    for (unsigned i = 0; i < n; i++)
        note_in(qp, ops[i]);
    return n;
}

/* --- and out ------------------------------------------------------------------------------------------------------ */

static void break_op(struct shim *shim, struct milgi_op *op)
{
    op->status = MILGI_OP_BROKEN;
    op->device_code = 77;
    if (op->type <= MILGI_OP_OPEN && !op->u.aead.in_place)
        memset(op->u.aead.dst, 0xaa, op->u.aead.dst_len);
    shim->n.failed++;
}

/* What the inner device has done; true if the op comes back now. */
static bool comes_back(struct milgi_qp *qp, struct milgi_op *op)
{
    struct shim *shim = qp->shim;
    if (qp->quiesced || shim->mode == SHIM_WELL)
        return true;
    if (shim->mode == SHIM_LOSES && ++qp->losable % shim->lose_every == 0) {
        append(&qp->lost, op, 0);
        shim->n.lost++;
        return false;
    }
    if (shim->mode == SHIM_SLOW) {
        append(&qp->late, op, now(qp) + shim->slow_ns);
        return false;
    }
    if (shim->mode == SHIM_FAILS)
        break_op(shim, op);
    return true;
}

static struct milgi_op *take_late(struct milgi_qp *qp)
{
    struct milgi_op *op = qp->late.first;
    if (!op || (!qp->quiesced && ticket(op)->due_ns > now(qp)))
        return NULL;
    return take_first(&qp->late);
}

static struct milgi_op *take_cancelled(struct milgi_qp *qp)
{
    struct milgi_op *op = take_first(&qp->held);
    if (!op)
        op = take_first(&qp->lost);
    if (op)
        op->status = MILGI_OP_CANCELLED;
    return op;
}

static unsigned shim_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    struct milgi_op *op;
    unsigned got = 0;
    if (qp->shim->mode == SHIM_STALLS && !qp->quiesced)
        return 0;
    if (!qp->quiesced)
        feed(qp);
    while (got < n && (op = take_late(qp)))
        ops[got++] = op;
    while (got < n && qp->quiesced && (op = take_cancelled(qp)))
        ops[got++] = op;
    while (got < n && qp->shim->inner->ops->dequeue(qp->inner, &op, 1) == 1) {
        if (comes_back(qp, op))
            ops[got++] = op;
    }
    for (unsigned i = 0; i < got; i++)
        note_out(qp, ops[i]);
    return got;
}

static int shim_notify_fd(struct milgi_qp *qp)
{
    const struct milgi_device_ops *ops = qp->shim->inner->ops;
    return ops->notify_fd && ops->arm ? ops->notify_fd(qp->inner) : -1;
}

static int shim_arm(struct milgi_qp *qp)
{
    if (qp->shim->mode == SHIM_STALLS)
        return 0;
    if (qp->late.first && ticket(qp->late.first)->due_ns <= now(qp))
        return 1;
    return qp->shim->inner->ops->arm(qp->inner);
}

static uint64_t shim_next_event(struct milgi_qp *qp)
{
    const struct milgi_device_ops *ops = qp->shim->inner->ops;
    if (qp->shim->mode == SHIM_STALLS)
        return UINT64_MAX;
    uint64_t next = ops->next_event ? ops->next_event(qp->inner) : UINT64_MAX;
    if (qp->late.first && ticket(qp->late.first)->due_ns < next)
        next = ticket(qp->late.first)->due_ns;
    return next;
}

static int shim_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    qp->quiesced = true;
    return qp->shim->inner->ops->quiesce ? qp->shim->inner->ops->quiesce(qp->inner, limit_ns) : 0;
}

/* --- the rest is the inner device's ------------------------------------------------------------------------------- */

static int shim_supports(struct milgi_device *device, int type, uint16_t alg)
{
    struct milgi_device *inner = shim_of(device)->inner;
    return inner->ops->supports ? inner->ops->supports(inner, type, alg) : 1;
}

static struct milgi_qp *shim_qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct shim *shim = shim_of(device);
    struct milgi_qp *qp = calloc(1, sizeof *qp);
    if (!qp)
        return NULL;
    qp->shim = shim;
    qp->clock = clock;
    qp->in = calloc(device->caps.max_in_flight, sizeof(struct milgi_op *));
    qp->inner = qp->in ? shim->inner->ops->qp_open(shim->inner, clock) : NULL;
    if (!qp->inner) {
        free(qp->in);
        free(qp);
        return NULL;
    }
    return qp;
}

static void shim_qp_close(struct milgi_qp *qp)
{
    qp->shim->inner->ops->qp_close(qp->inner);
    free(qp->in);
    free(qp);
}

static void *shim_key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    return qp->shim->inner->ops->key_load(qp->inner, key);
}

static void shim_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    if (qp->shim->inner->ops->key_free)
        qp->shim->inner->ops->key_free(qp->inner, key, loaded);
}

static const struct milgi_device_ops shim_ops = {
    .name = "shim",
    .supports = shim_supports,
    .qp_open = shim_qp_open,
    .qp_close = shim_qp_close,
    .key_load = shim_key_load,
    .key_free = shim_key_free,
    .enqueue = shim_enqueue,
    .dequeue = shim_dequeue,
    .notify_fd = shim_notify_fd,
    .arm = shim_arm,
    .next_event = shim_next_event,
    .quiesce = shim_quiesce,
};

struct shim *shim_new(const char *spec)
{
    const char *why = "no memory";
    struct shim *shim = calloc(1, sizeof *shim);
    if (!shim || milgi_device_new(spec, &shim->inner, &why) != 0) {
        fprintf(stderr, "%s: %s\n", spec, why);
        free(shim);
        return NULL;
    }
    shim->device.ops = &shim_ops;
    shim->device.caps = shim->inner->caps;
    shim->device.caps.flags &= ~(uint32_t)MILGI_CAP_CANCEL;
    shim->lose_every = 7;
    snprintf(shim->device.spec, sizeof shim->device.spec, "shim of %.80s", spec);
    return shim;
}

void shim_free(struct shim *shim)
{
    if (!shim)
        return;
    milgi_device_free(shim->inner);
    free(shim);
}
