/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accelerator without the word that its signatures need no second look: what Milgi does by default with a device
 * that is not this process's libcrypto. A canned signature would not verify, so the look is taken here, where the
 * signature comes back and on the same thread, at one that does: a VERIFY of the inline device for each SIGN.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include <milgi/buf.h>
#include <milgi/config.h>

#include "offload.h"

struct checked {
    struct milgi_device device;
    struct milgi_device *inner, *cpu;
    const struct bench_cert *cert;
};
struct milgi_qp {
    struct milgi_qp *inner, *cpu;
    struct checked *checked;
    struct milgi_op verify; /* one that succeeds */
    uint8_t *blob;
};

static struct checked *of(struct milgi_device *device)
{
    return (struct checked *)(void *)device;
}

static void on_cpu(struct milgi_qp *qp, struct milgi_op *op)
{
    const struct milgi_device_ops *ops = qp->checked->cpu->ops;
    struct milgi_op *back;

    if (ops->enqueue(qp->cpu, &op, 1) != 1 || ops->dequeue(qp->cpu, &back, 1) != 1 || back->status != MILGI_OP_OK)
        bench_die("the inline device failed");
}

/* A signature by the certificate's key, in |sign|. */
static void sign_once(struct milgi_qp *qp, struct milgi_op *sign)
{
    const struct bench_cert *cert = qp->checked->cert;
    const struct milgi_device_ops *ops = qp->checked->cpu->ops;
    struct milgi_credential *credential;

    must_milgi(milgi_credential_new_pem(cert->cert_pem, cert->cert_len, cert->key_pem, cert->key_len, &credential),
        "credential");
    struct milgi_key key = { .serial = UINT64_MAX - 2, .refs = 1, .kind = MILGI_KEY_PRIVATE };
    void *dev[MILGI_DEVICES_MAX] = { NULL };
    key.loaded = (struct milgi_loaded_key){ .credential = credential, .dev = dev };
    if (qp->checked->cpu->caps.flags & MILGI_CAP_KEY_LOAD)
        dev[0] = ops->key_load(qp->cpu, &key);
    sign->type = MILGI_OP_SIGN;
    sign->cls = MILGI_OP_CLASS_HANDSHAKE;
    sign->alg = MILGI_SIG_ECDSA_SECP256R1_SHA256;
    sign->key = &key;
    /* As long as what a CertificateVerify is about. */
    sign->u.sign.input_len = 130;
    on_cpu(qp, sign);
    ops->key_free(qp->cpu, &key, dev[0]);
    milgi_credential_unref(credential);
}

static void prepare(struct milgi_qp *qp)
{
    const struct bench_cert *cert = qp->checked->cert;
    BIO *in = BIO_new_mem_buf(cert->cert_pem, (int)cert->cert_len);
    X509 *x509 = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    struct milgi_op *v = &qp->verify;
    uint8_t *spki = NULL;
    int len = x509 ? i2d_PUBKEY(X509_get0_pubkey(x509), &spki) : -1;

    if (len <= 0)
        bench_die("libcrypto: no public key");
    sign_once(qp, v);
    qp->blob = malloc((size_t)len + v->u.sign.sig_len);
    if (!qp->blob)
        bench_die("out of memory");
    memcpy(qp->blob, spki, (size_t)len);
    memcpy(qp->blob + len, v->u.sign.sig, v->u.sign.sig_len);
    v->type = MILGI_OP_VERIFY;
    v->key = NULL;
    v->u.sign.spki_len = (uint32_t)len;
    v->u.sign.blob = (struct milgi_slice){ NULL, qp->blob, (uint32_t)len + v->u.sign.sig_len };
    OPENSSL_free(spki);
    X509_free(x509);
    BIO_free(in);
}

static struct milgi_qp *checked_qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct milgi_qp *qp = calloc(1, sizeof *qp);

    if (!qp)
        bench_die("out of memory");
    qp->checked = of(device);
    qp->inner = qp->checked->inner->ops->qp_open(qp->checked->inner, clock);
    qp->cpu = qp->checked->cpu->ops->qp_open(qp->checked->cpu, clock);
    if (!qp->inner || !qp->cpu)
        bench_die("no queue pair");
    prepare(qp);
    return qp;
}

static void checked_qp_close(struct milgi_qp *qp)
{
    qp->checked->inner->ops->qp_close(qp->inner);
    qp->checked->cpu->ops->qp_close(qp->cpu);
    free(qp->blob);
    free(qp);
}

static unsigned checked_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned got = qp->checked->inner->ops->dequeue(qp->inner, ops, n);

    for (unsigned i = 0; i < got; i++) {
        qp->verify.status = MILGI_OP_PENDING;
        on_cpu(qp, &qp->verify);
    }
    return got;
}

/* --- what is only handed on ------------------------------------------------------------------------------------- */

static void *checked_key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    return qp->checked->inner->ops->key_load(qp->inner, key);
}

static void checked_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    qp->checked->inner->ops->key_free(qp->inner, key, loaded);
}

static unsigned checked_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    return qp->checked->inner->ops->enqueue(qp->inner, ops, n);
}

static int checked_notify_fd(struct milgi_qp *qp)
{
    return qp->checked->inner->ops->notify_fd(qp->inner);
}

static int checked_arm(struct milgi_qp *qp)
{
    return qp->checked->inner->ops->arm(qp->inner);
}

static uint64_t checked_next_event(struct milgi_qp *qp)
{
    return qp->checked->inner->ops->next_event(qp->inner);
}

static int checked_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    return qp->checked->inner->ops->quiesce(qp->inner, limit_ns);
}

static void checked_destroy(struct milgi_device *device)
{
    milgi_device_free(of(device)->inner);
    milgi_device_free(of(device)->cpu);
    free(of(device));
}

struct milgi_device *checked_device_new(struct milgi_device *inner, const struct bench_cert *cert)
{
    static const struct milgi_device_ops ops = {
        .name = "checked",
        .qp_open = checked_qp_open,
        .qp_close = checked_qp_close,
        .key_load = checked_key_load,
        .key_free = checked_key_free,
        .enqueue = checked_enqueue,
        .dequeue = checked_dequeue,
        .notify_fd = checked_notify_fd,
        .arm = checked_arm,
        .next_event = checked_next_event,
        .quiesce = checked_quiesce,
        .destroy = checked_destroy,
    };
    struct checked *checked = calloc(1, sizeof *checked);
    const char *why = "";

    if (!checked)
        bench_die("out of memory");
    if (milgi_device_new("cpu", &checked->cpu, &why) != 0)
        bench_die("%s", why);
    checked->inner = inner;
    checked->cert = cert;
    checked->device.ops = &ops;
    checked->device.caps = inner->caps;
    checked->device.caps.flags |= MILGI_CAP_LIBCRYPTO; /* the engine's own look would fail */
    checked->device.caps.flags &= ~MILGI_CAP_CANCEL;
    memcpy(checked->device.spec, inner->spec, sizeof checked->device.spec);
    return &checked->device;
}
