/* SPDX-License-Identifier: Apache-2.0 */
/* The inline device: enqueue() performs its ops with the crypto library before it returns. */
#include "crypto/aead.h"
#include "crypto/kem.h"
#include "device/device.h"

#define IN_FLIGHT_MAX 1024

struct milgi_qp {
    struct milgi__crypto *cx;
    struct milgi_op *first, *last; /* performed, not yet taken; linked through scratch[0] */
    unsigned n;
};

static struct milgi_op *next_of(const struct milgi_op *op)
{
    return (struct milgi_op *)(uintptr_t)op->scratch[0];
}

static struct milgi_qp *cpu_qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct milgi_qp *qp = milgi__alloc(sizeof *qp);

    (void)device;
    (void)clock;
    if (!qp)
        return NULL;
    qp->cx = milgi__crypto_new();
    if (!qp->cx) {
        milgi__free(qp);
        return NULL;
    }
    return qp;
}

static void cpu_qp_close(struct milgi_qp *qp)
{
    milgi__crypto_free(qp->cx);
    milgi__free(qp);
}

static void *cpu_key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    return milgi__loaded_new(qp->cx, key);
}

static void cpu_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    if (key->kind == MILGI_KEY_AEAD)
        milgi__aead_forget(qp->cx, key->serial);
    else
        milgi__loaded_free(key, loaded);
}

static bool is_record(const struct milgi_op *op)
{
    return op->type == MILGI_OP_SEAL || op->type == MILGI_OP_OPEN;
}

/* From the first on: records that follow each other, or one op of another kind. Returns how many. */
static unsigned perform(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    unsigned records = 0;

    while (records < n && is_record(ops[records]))
        records++;
    if (records > 1) {
        milgi__op_perform_records(qp->cx, ops, records);
        return records;
    }
    struct milgi_op *op = ops[0];
    void *loaded = op->key && op->key->kind != MILGI_KEY_AEAD ? op->key->loaded.dev[op->dev] : NULL;
    milgi__op_perform(qp->cx, op, loaded);
    return 1;
}

static unsigned cpu_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    unsigned taken = MILGI__MIN(n, IN_FLIGHT_MAX - qp->n);

    for (unsigned i = 0; i < taken;)
        i += perform(qp, ops + i, taken - i);
    for (unsigned i = 0; i < taken; i++) {
        ops[i]->scratch[0] = 0;
        if (qp->n++ == 0)
            qp->first = ops[i];
        else
            qp->last->scratch[0] = (uint64_t)(uintptr_t)ops[i];
        qp->last = ops[i];
    }
    return taken;
}

static unsigned cpu_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned i;

    for (i = 0; i < n && qp->n > 0; i++) {
        ops[i] = qp->first;
        qp->first = next_of(qp->first);
        qp->n--;
    }
    return i;
}

static void cpu_process(struct milgi_qp *qp, int type, const struct milgi_key *key, struct milgi_op_record *records,
    unsigned n)
{
    milgi__op_records(qp->cx, type, key, records, n);
}

static int cpu_notify_fd(struct milgi_qp *qp)
{
    (void)qp;
    return -1;
}

static uint64_t cpu_idle(struct milgi_qp *qp, uint64_t now_ns)
{
    return milgi__kem_sweep(qp->cx, now_ns);
}

/* Nothing is ever under way. */
static int cpu_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    (void)qp;
    (void)limit_ns;
    return 0;
}

static void cpu_destroy(struct milgi_device *device)
{
    milgi__free(device);
}

static const struct milgi_device_ops cpu_ops = {
    .name = "cpu",
    .qp_open = cpu_qp_open,
    .qp_close = cpu_qp_close,
    .key_load = cpu_key_load,
    .key_free = cpu_key_free,
    .enqueue = cpu_enqueue,
    .dequeue = cpu_dequeue,
    .process = cpu_process,
    .notify_fd = cpu_notify_fd,
    .idle = cpu_idle,
    .quiesce = cpu_quiesce,
    .destroy = cpu_destroy,
};

int milgi__device_cpu_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why)
{
    if (spec->n > 0) {
        *why = "cpu takes no settings";
        return MILGI_EINVAL;
    }
    *device = milgi__alloc(sizeof **device);
    if (!*device)
        return MILGI_ENOMEM;
    (*device)->ops = &cpu_ops;
    (*device)->caps = (struct milgi_device_caps){
        .flags = MILGI_CAP_INLINE | MILGI_CAP_IN_ORDER | MILGI_CAP_IN_PLACE | MILGI_CAP_SCATTER |
            MILGI_CAP_LIBCRYPTO | MILGI_CAP_KEY_LOAD | MILGI_CAP_HASHED,
        .ops = (1u << MILGI_OP_TYPES) - 1,
        .parallelism = 1,
        .max_in_flight = IN_FLIGHT_MAX,
        .best_batch = 32,
    };
    return 0;
}
