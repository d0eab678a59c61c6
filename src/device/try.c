/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a key can be used on a device, found out before there are connections. */
#include "base/port.h"
#include "device/device.h"
#include "op/material.h"

#define NAP_MS 1 /* between looks at a device that has no descriptor */

static const char message[] = "whether this key can be had, asked before anybody needs it";

static uint16_t scheme_of(const struct milgi_credential *credential)
{
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384,
        MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ED25519, MILGI_SIG_RSA_PSS_RSAE_SHA256,
        MILGI_SIG_RSA_PSS_PSS_SHA256, MILGI_SIG_RSA_PSS_PSS_SHA384, MILGI_SIG_RSA_PSS_PSS_SHA512 };

    for (size_t i = 0; i < MILGI__COUNT(schemes); i++) {
        if (milgi__scheme(schemes[i])->key == credential->type)
            return schemes[i];
    }
    return 0;
}

static void wait_for(const struct milgi_device_ops *ops, struct milgi_qp *qp)
{
    int fd = ops->notify_fd(qp);

    if (fd < 0 || ops->arm == NULL)
        milgi__port_wait(-1, NAP_MS);
    else if (ops->arm(qp) == 0)
        milgi__port_wait(fd, -1);
}

static void run(const struct milgi_device_ops *ops, struct milgi_qp *qp, struct milgi_op *op)
{
    struct milgi_op *back;

    while (ops->enqueue(qp, &op, 1) != 1)
        milgi__port_wait(-1, NAP_MS);
    while (ops->dequeue(qp, &back, 1) != 1)
        wait_for(ops, qp);
}

static int judge(const struct milgi_credential *credential, const struct milgi_op *op, int *code)
{
    const struct milgi_op_sign *s = &op->u.sign;

    *code = op->status == MILGI_OP_OK ? 0 : op->device_code;
    if (op->status != MILGI_OP_OK)
        return MILGI_EDEVICE;
    struct milgi__crypto *cx = milgi__crypto_new();
    if (cx == NULL)
        return MILGI_ENOMEM;
    int verified =
        milgi__verify(cx, credential->spki, credential->spki_len, op->alg, s->input, s->input_len, s->sig, s->sig_len);
    milgi__crypto_free(cx);
    return verified == 0 ? 0 : MILGI_EMISMATCH;
}

static int try_on(
    struct milgi_device *device, struct milgi_qp *qp, const struct milgi_credential *credential, int *code)
{
    const struct milgi_device_ops *ops = device->ops;
    struct milgi_key key = { .serial = milgi__key_serial(), .kind = MILGI_KEY_PRIVATE, .credential = credential };
    struct milgi_op *op = milgi__alloc(sizeof(*op));

    if (op == NULL)
        return MILGI_ENOMEM;
    key.refs = key.used = 1;
    if (device->caps.flags & MILGI_CAP_KEY_LOAD)
        key.dev[0] = ops->key_load(qp, &key);
    bool loaded = key.dev[0] != NULL || !(device->caps.flags & MILGI_CAP_KEY_LOAD);
    int error = MILGI_EUNSUPPORTED;
    if (loaded) {
        op->type = MILGI_OP_SIGN;
        op->cls = MILGI_OP_CLASS_HANDSHAKE;
        op->alg = scheme_of(credential);
        op->key = &key;
        op->u.sign.input_len = sizeof(message);
        memcpy(op->u.sign.input, message, sizeof(message));
        run(ops, qp, op);
        error = judge(credential, op, code);
    }
    ops->quiesce(qp);
    if (loaded && ops->key_free != NULL)
        ops->key_free(qp, &key, key.dev[0]);
    milgi__free(op);
    return error;
}

int milgi_device_try_key(struct milgi_device *device, const struct milgi_credential *credential, int *code)
{
    static const struct milgi_clock clock = { .monotonic_ns = milgi__port_monotonic_ns, .wall_s = milgi__port_wall_s };
    int unwanted;

    if (code == NULL)
        code = &unwanted;
    *code = 0;
    if (device == NULL || credential == NULL)
        return MILGI_EINVAL;
    if (milgi__device_foreign(device))
        return MILGI_EFORK;
    uint16_t scheme = scheme_of(credential);
    if (!(device->caps.ops & MILGI_OP_BIT(MILGI_OP_SIGN)) ||
        (device->ops->supports != NULL && device->ops->supports(device, MILGI_OP_SIGN, scheme) != 1))
        return MILGI_EUNSUPPORTED;
    struct milgi_qp *qp = device->ops->qp_open(device, &clock);
    if (qp == NULL)
        return MILGI_ELIMIT;
    int error = try_on(device, qp, credential, code);
    device->ops->qp_close(qp);
    return error;
}
