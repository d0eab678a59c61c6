/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device for keys that Python signs with. Everything of it is on the thread of its one engine: ops are asked for,
 * Python takes them after the turn, and answers when it can.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bridge.h"

#define IN_FLIGHT_MAX 4096u

struct milgi_qp {
    struct signer *signer;
};

struct list {
    struct milgi_op *first, *last;
};

struct signer {
    struct milgi_device device;
    struct milgi_qp qp;
    struct list asked, taken, done; /* to be taken by Python; taken; to be given back */
    unsigned in_flight;
    uint64_t ids;
    int fd;
    bool open, armed;
};

/* In op.scratch while the device has it. */
struct ticket {
    struct milgi_op *next, *prev;
    uint64_t id;
};
_Static_assert(sizeof(struct ticket) <= sizeof(((struct milgi_op *)0)->scratch), "the ticket fits an op");

static struct ticket *ticket(const struct milgi_op *op)
{
    return (struct ticket *)(uintptr_t)op->scratch;
}

static struct signer *signer_of(struct milgi_device *device)
{
    return (struct signer *)device;
}

static void append(struct list *list, struct milgi_op *op)
{
    ticket(op)->next = NULL;
    ticket(op)->prev = list->last;
    *(list->last ? &ticket(list->last)->next : &list->first) = op;
    list->last = op;
}

static void take_out(struct list *list, struct milgi_op *op)
{
    struct ticket *t = ticket(op);
    *(t->prev ? &ticket(t->prev)->next : &list->first) = t->next;
    *(t->next ? &ticket(t->next)->prev : &list->last) = t->prev;
}

static struct milgi_op *find(const struct list *list, uint64_t id)
{
    struct milgi_op *op = list->first;
    while (op && ticket(op)->id != id)
        op = ticket(op)->next;
    return op;
}

static void give_back(struct signer *signer, struct milgi_op *op, enum milgi_op_status status, int code)
{
    static const uint64_t one = 1;
    op->status = (uint8_t)status;
    op->device_code = code;
    append(&signer->done, op);
    /* A counter that cannot be written is full, and so is readable already. */
    if (signer->armed && (write(signer->fd, &one, sizeof one) == (ssize_t)sizeof one || errno == EAGAIN))
        signer->armed = false;
}

/* --- what the engine calls -------------------------------------------------------------------------------------- */

static int supports(struct milgi_device *device, int type, uint16_t alg)
{
    (void)device;
    return type == MILGI_OP_SIGN && alg != MILGI_SIG_MLDSA44 && alg != MILGI_SIG_MLDSA65 && alg != MILGI_SIG_MLDSA87;
}

static struct milgi_qp *qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct signer *signer = signer_of(device);
    (void)clock;
    if (signer->open)
        return NULL;
    signer->open = true;
    signer->qp.signer = signer;
    return &signer->qp;
}

static void qp_close(struct milgi_qp *qp)
{
    qp->signer->open = false;
}

static void *key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    static const char scheme[] = "python:";
    const struct milgi_credential *credential = key->loaded.credential;
    const char *uri = key->kind == MILGI_KEY_PRIVATE && credential ? milgi_credential_key_uri(credential) : NULL;
    (void)qp;
    if (!uri || strncasecmp(uri, scheme, sizeof scheme - 1) != 0)
        return NULL;
    uint64_t *number = malloc(sizeof *number);
    if (number)
        *number = strtoull(uri + sizeof scheme - 1, NULL, 10);
    return number;
}

static void key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    (void)qp;
    (void)key;
    free(loaded);
}

static unsigned enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    struct signer *signer = qp->signer;
    unsigned i = 0;
    for (; i < n && signer->in_flight < IN_FLIGHT_MAX; i++) {
        struct milgi_op *op = ops[i];
        const struct milgi_key *key = op->key;
        *ticket(op) = (struct ticket){ .id = ++signer->ids };
        signer->in_flight++;
        if (op->type != MILGI_OP_SIGN || !supports(&signer->device, op->type, op->alg))
            give_back(signer, op, MILGI_OP_BROKEN, MILGI_CODE_MALFORMED);
        else if (!key || key->kind != MILGI_KEY_PRIVATE || !key->loaded.dev[op->dev])
            give_back(signer, op, MILGI_OP_BROKEN, MILGI_CODE_NO_KEY);
        else
            append(&signer->asked, op);
    }
    return i;
}

static unsigned dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    struct signer *signer = qp->signer;
    unsigned i = 0;
    for (; i < n && signer->done.first; i++) {
        ops[i] = signer->done.first;
        take_out(&signer->done, ops[i]);
        signer->in_flight--;
    }
    return i;
}

static int notify_fd(struct milgi_qp *qp)
{
    return qp->signer->fd;
}

static int arm(struct milgi_qp *qp)
{
    uint64_t count;
    if (qp->signer->done.first)
        return 1;
    if (read(qp->signer->fd, &count, sizeof count) < 0 && errno != EAGAIN)
        return 1;
    qp->signer->armed = true;
    return 0;
}

static void cancel_all(struct signer *signer, struct list *list)
{
    while (list->first) {
        struct milgi_op *op = list->first;
        take_out(list, op);
        give_back(signer, op, MILGI_OP_CANCELLED, 0);
    }
}

static void cancel(struct milgi_qp *qp, struct milgi_op *op)
{
    struct signer *signer = qp->signer;
    uint64_t id = ticket(op)->id;
    struct list *list = find(&signer->asked, id) == op ? &signer->asked : &signer->taken;
    if (find(list, id) != op)
        return;
    take_out(list, op);
    give_back(signer, op, MILGI_OP_CANCELLED, 0);
}

static int quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    (void)limit_ns;
    cancel_all(qp->signer, &qp->signer->asked);
    cancel_all(qp->signer, &qp->signer->taken);
    return 0;
}

static void destroy(struct milgi_device *device)
{
    close(signer_of(device)->fd);
    free(device);
}

static const struct milgi_device_ops device_ops = {
    .name = "python",
    .supports = supports,
    .qp_open = qp_open,
    .qp_close = qp_close,
    .key_load = key_load,
    .key_free = key_free,
    .enqueue = enqueue,
    .dequeue = dequeue,
    .notify_fd = notify_fd,
    .arm = arm,
    .cancel = cancel,
    .quiesce = quiesce,
    .destroy = destroy,
};

/* --- what Python calls ------------------------------------------------------------------------------------------ */

struct milgi_device *milgi_py_signer_new(void)
{
    struct signer *signer = calloc(1, sizeof *signer);
    if (!signer)
        return NULL;
    signer->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (signer->fd < 0) {
        free(signer);
        return NULL;
    }
    signer->device = (struct milgi_device){
        .ops = &device_ops,
        .caps = { .flags = MILGI_CAP_REMOTE | MILGI_CAP_KEY_LOAD | MILGI_CAP_CANCEL,
            .ops = MILGI_OP_BIT(MILGI_OP_SIGN),
            .parallelism = 1024,
            .max_in_flight = IN_FLIGHT_MAX,
            .best_batch = 1,
            .min_record = UINT32_MAX },
        .spec = "python",
    };
    return &signer->device;
}

bool milgi_py_signer_next(struct milgi_device *device, struct milgi_py_sign *sign)
{
    struct signer *signer = signer_of(device);
    struct milgi_op *op = signer->asked.first;
    if (!op)
        return false;
    bool in_blob = op->u.sign.input_len == MILGI_SIGN_INPUT_IN_BLOB;
    take_out(&signer->asked, op);
    append(&signer->taken, op);
    *sign = (struct milgi_py_sign){
        .id = ticket(op)->id,
        .key = *(uint64_t *)op->key->loaded.dev[op->dev],
        .scheme = op->alg,
        .data = in_blob ? op->u.sign.blob.data : op->u.sign.input,
        .len = in_blob ? op->u.sign.blob.len : op->u.sign.input_len,
    };
    return true;
}

void milgi_py_signer_answer(struct milgi_device *device, uint64_t id, const void *sig, size_t sig_len)
{
    struct signer *signer = signer_of(device);
    struct milgi_op *op = find(&signer->taken, id);
    if (!op)
        return;
    take_out(&signer->taken, op);
    bool good = sig_len && sig_len <= sizeof op->u.sign.sig;
    if (good) {
        memcpy(op->u.sign.sig, sig, sig_len);
        op->u.sign.sig_len = (uint16_t)sig_len;
    }
    give_back(signer, op, good ? MILGI_OP_OK : MILGI_OP_BROKEN, good ? 0 : MILGI_CODE_CRYPTO);
}
