/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a key can be used on a device, found out before there are connections. */
#include "base/port.h"
#include "device/device.h"
#include "op/material.h"

#define NAP_MS 1                             /* between looks at a device that has no descriptor */
#define LIMIT_NS (30 * UINT64_C(1000000000)) /* for the signature, whatever the device does */
#define END_NS 100000000                     /* for what it is still at then */

static const char message[] = "whether this key can be had, asked before anybody needs it";

static uint16_t scheme_of(const struct milgi_credential *credential)
{
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384,
        MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ED25519, MILGI_SIG_RSA_PSS_RSAE_SHA256,
        MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_RSA_PSS_PSS_SHA384, MILGI_SIG_RSA_PSS_PSS_SHA512, MILGI_SIG_MLDSA44,
        MILGI_SIG_MLDSA65, MILGI_SIG_MLDSA87 };

    for (size_t i = 0; i < MILGI__COUNT(schemes); i++) {
        if (milgi__scheme(schemes[i])->key == credential->type)
            return schemes[i];
    }
    return 0;
}

/* What a device that does not answer goes on using. */
struct attempt {
    struct milgi_key key;
    void *dev[MILGI_DEVICES_MAX];
    struct milgi_op op;
    uint8_t sig[MILGI_SIGNATURE_LONG_MAX]; /* one that has no room in the op; */
    void *slab;                            /* or of the device's memory, if it reaches no other */
};

static void wait_for(const struct milgi_device_ops *ops, struct milgi_qp *qp, uint64_t ns)
{
    int fd = !ops->notify_fd ? -1 : ops->notify_fd(qp);

    if (fd < 0 || !ops->arm)
        milgi__port_wait(-1, NAP_MS);
    else if (ops->arm(qp) == 0)
        milgi__port_wait(fd, (int)(ns / 1000000) + 1);
}

/* False: it has not come back in time. */
static bool run(const struct milgi_device_ops *ops, struct milgi_qp *qp, struct milgi_op *op)
{
    uint64_t now_ns = milgi__port_monotonic_ns(NULL), end_ns = now_ns + LIMIT_NS;
    struct milgi_op *back;
    bool taken = false;

    for (; now_ns < end_ns; now_ns = milgi__port_monotonic_ns(NULL)) {
        if (taken && ops->dequeue(qp, &back, 1) == 1)
            return true;
        if (taken)
            wait_for(ops, qp, end_ns - now_ns);
        else if (!(taken = ops->enqueue(qp, &op, 1) == 1))
            milgi__port_wait(-1, NAP_MS);
    }
    return false;
}

static int judge(const struct milgi_credential *credential, const struct milgi_op *op, int *code)
{
    const struct milgi_op_sign *s = &op->u.sign;
    const uint8_t *sig = milgi__signature(op);

    *code = op->status == MILGI_OP_OK ? 0 : op->device_code;
    if (op->status != MILGI_OP_OK || !sig)
        return MILGI_EDEVICE;
    struct milgi__crypto *cx = milgi__crypto_new();
    if (!cx)
        return MILGI_ENOMEM;
    int verified =
        milgi__verify(cx, credential->spki, credential->spki_len, op->alg, s->input, s->input_len, sig, s->sig_len);
    milgi__crypto_free(cx);
    return verified == 0 ? 0 : MILGI_EMISMATCH;
}

static int sign(const struct milgi_device_ops *ops, struct milgi_qp *qp, struct milgi_op *op, int *code)
{
    const struct milgi_credential *credential = op->key->loaded.credential;

    op->type = MILGI_OP_SIGN;
    op->cls = MILGI_OP_CLASS_HANDSHAKE;
    op->alg = scheme_of(credential);
    op->u.sign.input_len = sizeof message;
    memcpy(op->u.sign.input, message, sizeof message);
    if (run(ops, qp, op))
        return judge(credential, op, code);
    *code = MILGI_CODE_LOST;
    return MILGI_EDEVICE;
}

/* A place for a signature that has no room in the op, where the device reaches it; false: there is none now. */
static bool give_room(struct milgi_device *device, struct attempt *a, uint16_t scheme)
{
    const struct milgi_device_ops *ops = device->ops;
    bool own = (device->caps.flags & MILGI_CAP_OWN_MEMORY) != 0;

    if (milgi__scheme(scheme)->long_len == 0)
        return true;
    if (own && ops->chunk_alloc)
        a->slab = ops->chunk_alloc(device, MILGI_MEMORY_SLAB);
    a->op.u.sign.blob = (struct milgi_slice){ .data = own ? a->slab : a->sig, .len = sizeof a->sig };
    return a->op.u.sign.blob.data != NULL;
}

void milgi_key_init(struct milgi_key *key, const struct milgi_credential *credential, void **loaded)
{
    *key = (struct milgi_key){ .serial = milgi__key_serial(), .kind = MILGI_KEY_PRIVATE };
    key->refs = key->used = 1;
    key->loaded.credential = credential;
    key->loaded.dev = loaded;
}

static int try_on(
    struct milgi_device *device, struct milgi_qp *qp, const struct milgi_credential *credential, int *code)
{
    const struct milgi_device_ops *ops = device->ops;
    struct attempt *a = milgi__alloc(sizeof *a);
    int error = MILGI_EUNSUPPORTED;

    if (!a)
        return MILGI_ENOMEM;
    milgi_key_init(&a->key, credential, a->dev);
    a->op.key = &a->key;
    if (!give_room(device, a, scheme_of(credential))) {
        milgi__free(a);
        return MILGI_ENOMEM;
    }
    if (device->caps.flags & MILGI_CAP_KEY_LOAD)
        a->dev[0] = ops->key_load(qp, &a->key);
    bool loaded = a->dev[0] || !(device->caps.flags & MILGI_CAP_KEY_LOAD);
    if (loaded)
        error = sign(ops, qp, &a->op, code);
    if (ops->quiesce && ops->quiesce(qp, END_NS) != 0) {
        /* The device keeps all of it. */
        (void)atomic_fetch_add((_Atomic uint32_t *)(uintptr_t)&credential->refs, 1);
        return error;
    }
    if (loaded && ops->key_free)
        ops->key_free(qp, &a->key, a->dev[0]);
    if (a->slab)
        ops->chunk_free(device, a->slab, MILGI_MEMORY_SLAB);
    milgi__free(a);
    return error;
}

int milgi_device_try_key(struct milgi_device *device, const struct milgi_credential *credential, int *code)
{
    static const struct milgi_clock clock = { .monotonic_ns = milgi__port_monotonic_ns, .wall_s = milgi__port_wall_s };
    int unwanted;

    if (!code)
        code = &unwanted;
    *code = 0;
    if (!device || !credential)
        return MILGI_EINVAL;
    if (milgi__device_foreign(device))
        return MILGI_EFORK;
    uint16_t scheme = scheme_of(credential);
    if (!(device->caps.ops & MILGI_OP_BIT(MILGI_OP_SIGN)) ||
        (device->ops->supports && device->ops->supports(device, MILGI_OP_SIGN, scheme) != 1))
        return MILGI_EUNSUPPORTED;
    struct milgi_qp *qp = device->ops->qp_open(device, &clock);
    if (!qp)
        return MILGI_ELIMIT;
    int error = try_on(device, qp, credential, code);
    device->ops->qp_close(qp);
    return error;
}
