/* SPDX-License-Identifier: Apache-2.0 */
/* See signer.h. */
#include "signer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 4096u
#define BUCKETS 256u /* of those that the host has, by their numbers, which follow each other */

struct milgi_qp {
    struct signer *signer;
};

struct list {
    struct milgi_op *first, *last;
};

struct signer {
    struct milgi_device device;
    struct milgi_qp qp;
    struct list asked, done;    /* for the host; to be given back */
    struct list taken[BUCKETS]; /* with the host */
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

static struct list *taken(struct signer *signer, uint64_t id)
{
    return &signer->taken[id % BUCKETS];
}

static bool holds(const struct list *list, const struct milgi_op *op)
{
    const struct milgi_op *at = list->first;
    while (at && at != op)
        at = ticket(at)->next;
    return at != NULL;
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
    (void)device, (void)alg;
    return type == MILGI_OP_SIGN;
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

/* The URI behind its scheme. */
static void *key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    const char *scheme = qp->signer->device.spec, *uri = NULL;
    size_t len = strlen(scheme);
    if (key->kind == MILGI_KEY_PRIVATE && key->loaded.credential)
        uri = milgi_credential_key_uri(key->loaded.credential);
    return uri && !strncasecmp(uri, scheme, len) && uri[len] == ':' ? strdup(uri + len + 1) : NULL;
}

static void key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    (void)qp, (void)key;
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
        if (op->type != MILGI_OP_SIGN)
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

static bool cancel_in(struct signer *signer, struct list *list, struct milgi_op *op)
{
    if (!holds(list, op))
        return false;
    take_out(list, op);
    give_back(signer, op, MILGI_OP_CANCELLED, 0);
    return true;
}

static void cancel(struct milgi_qp *qp, struct milgi_op *op)
{
    struct signer *signer = qp->signer;
    if (!cancel_in(signer, taken(signer, ticket(op)->id), op))
        (void)cancel_in(signer, &signer->asked, op);
}

static int quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    struct signer *signer = qp->signer;
    (void)limit_ns;
    while (signer->asked.first)
        cancel_in(signer, &signer->asked, signer->asked.first);
    for (unsigned i = 0; i < BUCKETS; i++)
        while (signer->taken[i].first)
            cancel_in(signer, &signer->taken[i], signer->taken[i].first);
    return 0;
}

static void destroy(struct milgi_device *device)
{
    close(signer_of(device)->fd);
    free(device);
}

static const struct milgi_device_ops device_ops = {
    .name = "signer",
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

/* --- what the host calls ---------------------------------------------------------------------------------------- */

struct milgi_device *milgi__signer_new(const char *uri_scheme)
{
    struct signer *signer = calloc(1, sizeof *signer);
    if (!signer)
        return NULL;
    signer->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (signer->fd < 0 || strlen(uri_scheme) >= sizeof signer->device.spec) {
        if (signer->fd >= 0)
            close(signer->fd);
        free(signer);
        return NULL;
    }
    signer->device.ops = &device_ops;
    signer->device.caps = (struct milgi_device_caps){
        .flags = MILGI_CAP_REMOTE | MILGI_CAP_KEY_LOAD | MILGI_CAP_CANCEL,
        .ops = MILGI_OP_BIT(MILGI_OP_SIGN),
        .parallelism = 1024,
        .max_in_flight = IN_FLIGHT_MAX,
        .best_batch = 1,
        .min_record = UINT32_MAX,
    };
    memcpy(signer->device.spec, uri_scheme, strlen(uri_scheme));
    return &signer->device;
}

bool milgi__signer_next(struct milgi_device *device, struct milgi__sign *sign)
{
    struct signer *signer = signer_of(device);
    struct milgi_op *op = signer->asked.first;
    if (!op)
        return false;
    bool in_blob = op->u.sign.input_len == MILGI_SIGN_INPUT_IN_BLOB;
    take_out(&signer->asked, op);
    append(taken(signer, ticket(op)->id), op);
    *sign = (struct milgi__sign){
        .id = ticket(op)->id,
        .key = op->key->loaded.dev[op->dev],
        .scheme = op->alg,
        .data = in_blob ? op->u.sign.blob.data : op->u.sign.input,
        .len = in_blob ? op->u.sign.blob.len : op->u.sign.input_len,
    };
    return true;
}

/* Where it goes: into the op, or for a long one (ML-DSA) behind the blob. */
static uint8_t *room(struct milgi_op *op, size_t *cap)
{
    bool is_long = op->alg == MILGI_SIG_MLDSA44 || op->alg == MILGI_SIG_MLDSA65 || op->alg == MILGI_SIG_MLDSA87;
    *cap = is_long ? op->u.sign.blob.len : sizeof op->u.sign.sig;
    return is_long ? op->u.sign.blob.data : op->u.sign.sig;
}

void milgi__signer_answer(struct milgi_device *device, uint64_t id, const void *signature, size_t len)
{
    struct signer *signer = signer_of(device);
    struct list *list = taken(signer, id);
    struct milgi_op *op = list->first;
    size_t cap;
    while (op && ticket(op)->id != id)
        op = ticket(op)->next;
    if (!op)
        return;
    take_out(list, op);
    uint8_t *to = room(op, &cap);
    bool good = len && len <= cap;
    if (good) {
        memcpy(to, signature, len);
        op->u.sign.sig_len = (uint16_t)len;
    }
    give_back(signer, op, good ? MILGI_OP_OK : MILGI_OP_BROKEN, good ? 0 : MILGI_CODE_CRYPTO);
}
