/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device for keys whose signatures JavaScript makes: those with a URI "js:...". JavaScript is told of a signature and
 * begins it in a later tick, never from inside the engine; it answers by node__signed(), on the engine's thread, so
 * nothing here is shared. An op that is given up is given back at once: nobody else has its memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "addon.h"

#define SIGNS_MAX 4096
#define CODE_REFUSED 1 /* a device code: JavaScript has not signed */

struct milgi_qp {
    struct host *host;
    struct milgi_op *under_way, *done; /* lists, by scratch[0]; scratch[1] is the number that JavaScript knows */
    unsigned n;
    int fd;
    bool armed;
};

struct signer {
    struct milgi_device device;
    struct host *host;
    struct milgi_qp *qp;
    uint64_t last;
};

static struct milgi_op *next_of(const struct milgi_op *op)
{
    return (struct milgi_op *)(uintptr_t)op->scratch[0];
}

static void push(struct milgi_op **list, struct milgi_op *op)
{
    op->scratch[0] = (uint64_t)(uintptr_t)*list;
    *list = op;
}

static void ring(struct milgi_qp *qp)
{
    static const uint64_t one = 1;
    if (qp->armed && write(qp->fd, &one, sizeof one) == (ssize_t)sizeof one)
        qp->armed = false;
}

static void finish(struct milgi_qp *qp, struct milgi_op *op, enum milgi_op_status status)
{
    op->status = (uint8_t)status;
    push(&qp->done, op);
    ring(qp);
}

/* Takes it out of those that are under way; by its number, or |wanted|. */
static struct milgi_op *take(struct milgi_qp *qp, uint64_t number, const struct milgi_op *wanted)
{
    struct milgi_op *before = NULL;
    for (struct milgi_op *op = qp->under_way; op; before = op, op = next_of(op)) {
        if (wanted ? op != wanted : op->scratch[1] != number)
            continue;
        if (before)
            before->scratch[0] = op->scratch[0];
        else
            qp->under_way = next_of(op);
        return op;
    }
    return NULL;
}

/* --- the device --------------------------------------------------------------------------------------------------- */

static struct milgi_qp *qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct signer *signer = (struct signer *)device;
    struct milgi_qp *qp = signer->qp ? NULL : calloc(1, sizeof *qp);
    (void)clock;
    if (!qp)
        return NULL;
    qp->host = signer->host;
    qp->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (qp->fd < 0) {
        free(qp);
        return NULL;
    }
    signer->qp = qp;
    return qp;
}

static void qp_close(struct milgi_qp *qp)
{
    ((struct signer *)qp->host->signer)->qp = NULL;
    close(qp->fd);
    free(qp);
}

static void *key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    const char *uri = key->kind == MILGI_KEY_PRIVATE ? milgi_credential_key_uri(key->loaded.credential) : NULL;
    (void)qp;
    return uri && !strncmp(uri, "js:", 3) ? strdup(uri) : NULL;
}

static void key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    (void)qp, (void)key;
    free(loaded);
}

static void refuse(struct milgi_qp *qp, uint64_t number)
{
    struct milgi_op *op = take(qp, number, NULL);
    if (!op)
        return;
    op->device_code = CODE_REFUSED;
    finish(qp, op, MILGI_OP_BROKEN);
}

static void begin(struct milgi_qp *qp, struct milgi_op *op)
{
    struct signer *signer = (struct signer *)qp->host->signer;
    napi_env env = qp->host->env;
    napi_handle_scope scope;
    napi_value what;
    const struct milgi_op_sign *sign = &op->u.sign;
    const char *uri = op->type == MILGI_OP_SIGN && op->key ? op->key->loaded.dev[op->dev] : NULL;
    bool in_blob = sign->input_len == MILGI_SIGN_INPUT_IN_BLOB;
    op->scratch[1] = ++signer->last;
    push(&qp->under_way, op);
    if (!uri || qp->host->dying || napi_open_handle_scope(env, &scope)) {
        refuse(qp, op->scratch[1]);
        return;
    }
    bool told = napi_create_array(env, &what) == napi_ok;
    if (told) {
        napi_set_element(env, what, 0, node__number(env, (double)op->scratch[1]));
        napi_set_element(env, what, 1, node__string(env, milgi_scheme_name(op->alg)));
        napi_set_element(env, what, 2, node__string(env, uri));
        told = node__emit(qp->host, EVENT_SIGN, NULL, what,
            in_blob ? node__bytes(env, sign->blob.data, sign->blob.len)
                    : node__bytes(env, sign->input, sign->input_len));
    }
    if (!told) /* nobody will sign it */
        refuse(qp, op->scratch[1]);
    napi_close_handle_scope(env, scope);
}

static unsigned enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    unsigned i;
    for (i = 0; i < n && qp->n < SIGNS_MAX; i++) {
        qp->n++;
        begin(qp, ops[i]);
    }
    return i;
}

static unsigned dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned i;
    for (i = 0; i < n && qp->done; i++) {
        ops[i] = qp->done;
        qp->done = next_of(qp->done);
        qp->n--;
    }
    return i;
}

static int notify_fd(struct milgi_qp *qp)
{
    return qp->fd;
}

static int arm(struct milgi_qp *qp)
{
    uint64_t rung;
    while (read(qp->fd, &rung, sizeof rung) < 0 && errno == EINTR)
        ;
    qp->armed = !qp->done;
    return !qp->armed;
}

static void cancel(struct milgi_qp *qp, struct milgi_op *op)
{
    struct milgi_op *found = take(qp, 0, op);
    if (found)
        finish(qp, found, MILGI_OP_CANCELLED);
}

static int quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    (void)limit_ns;
    while (qp->under_way)
        cancel(qp, qp->under_way);
    return 0;
}

static void destroy(struct milgi_device *device)
{
    free(device);
}

static const struct milgi_device_ops signer_ops = {
    .name = "js",
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

struct milgi_device *node__signer_new(struct host *host)
{
    struct signer *signer = calloc(1, sizeof *signer);
    if (!signer)
        return NULL;
    signer->host = host;
    signer->device.ops = &signer_ops;
    signer->device.caps = (struct milgi_device_caps){
        .flags = MILGI_CAP_REMOTE | MILGI_CAP_CANCEL | MILGI_CAP_KEY_LOAD,
        .ops = MILGI_OP_BIT(MILGI_OP_SIGN),
        .parallelism = SIGNS_MAX,
        .max_in_flight = SIGNS_MAX,
        .best_batch = 1,
        .min_record = UINT32_MAX,
    };
    strcpy(signer->device.spec, "js");
    return &signer->device;
}

/* signed(number, signature, or nothing: it is refused) */
napi_value node__signed(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct host *host = node__host(env);
    struct milgi_qp *qp = host->signer ? ((struct signer *)host->signer)->qp : NULL;
    const uint8_t *data = NULL;
    size_t len = 0;
    int64_t number;
    node__args(env, info, args);
    struct milgi_op *op = qp && node__get_int(env, args[0], &number) ? take(qp, (uint64_t)number, NULL) : NULL;
    if (!op) /* given up meanwhile */
        return NULL;
    struct milgi_op_sign *sign = &op->u.sign;
    bool is_long = op->alg == MILGI_SIG_MLDSA44 || op->alg == MILGI_SIG_MLDSA65 || op->alg == MILGI_SIG_MLDSA87;
    size_t cap = is_long ? sign->blob.len : MILGI_SIGNATURE_MAX;
    if (!node__get_bytes(env, args[1], &data, &len) || !len || len > cap) {
        op->device_code = CODE_REFUSED;
        finish(qp, op, MILGI_OP_BROKEN);
        return NULL;
    }
    memcpy(is_long ? sign->blob.data : sign->sig, data, len);
    sign->sig_len = (uint16_t)len;
    finish(qp, op, MILGI_OP_OK);
    return NULL;
}
