/* SPDX-License-Identifier: Apache-2.0 */
/* A device without Milgi's engine before it: for the designs that Milgi is compared with. */
#include <stdlib.h>
#include <string.h>

#include <milgi/config.h>

#include "offload.h"

#define BURST 32u

static uint64_t monotonic(void *ctx)
{
    (void)ctx;
    return bench_now_ns();
}

static int64_t wall(void *ctx)
{
    (void)ctx;
    return (int64_t)time(NULL);
}

struct milgi_credential *credential_of(const struct bench_cert *cert)
{
    struct milgi_credential *credential;

    if (milgi_credential_is_uri(cert->key_pem))
        must_milgi(milgi_credential_new_uri(cert->cert_pem, cert->cert_len, cert->key_pem, &credential), "credential");
    else
        must_milgi(milgi_credential_new_pem(cert->cert_pem, cert->cert_len, cert->key_pem, cert->key_len, &credential),
            "credential");
    return credential;
}

void lane_open(struct lane *lane, struct scene *scene)
{
    const struct milgi_device_ops *ops = scene->device->ops;

    *lane = (struct lane){ .device = scene->device, .scene = scene, .last = &lane->first };
    lane->clock = (struct milgi_clock){ monotonic, wall, NULL };
    lane->credential = credential_of(scene->cert);
    lane->qp = ops->qp_open(lane->device, &lane->clock);
    if (!lane->qp)
        bench_die("the device has no queue pair");
    lane->key = (struct milgi_key){ .serial = UINT64_MAX - 1, .refs = 1, .kind = MILGI_KEY_PRIVATE };
    lane->key.loaded = (struct milgi_loaded_key){ .credential = lane->credential, .dev = lane->loaded };
    if (lane->device->caps.flags & MILGI_CAP_KEY_LOAD) {
        lane->loaded[0] = ops->key_load(lane->qp, &lane->key);
        if (!lane->loaded[0])
            bench_die("the device cannot load the key");
    }
    lane->fd = ops->notify_fd(lane->qp);
    if (lane->fd < 0)
        bench_die("the device has no descriptor to wait for");
}

void lane_close(struct lane *lane)
{
    const struct milgi_device_ops *ops = lane->device->ops;

    (void)ops->quiesce(lane->qp, UINT64_MAX);
    ops->key_free(lane->qp, &lane->key, lane->loaded[0]);
    ops->qp_close(lane->qp);
    milgi_credential_unref(lane->credential);
}

static void gauge(struct lane *lane, int more)
{
    if (lane->scene->gauged)
        atomic_fetch_add(&lane->scene->parked, (unsigned)more);
}

/* As far as the device takes them. */
static void offer(struct lane *lane)
{
    while (lane->first) {
        struct milgi_op *op = &lane->first->op;
        if (lane->device->ops->enqueue(lane->qp, &op, 1) != 1)
            return;
        lane->in_flight++;
        lane->first = lane->first->next;
        if (!lane->first)
            lane->last = &lane->first;
    }
}

void lane_sign(struct lane *lane, struct signing *signing, const void *input, size_t len)
{
    struct milgi_op *op = &signing->op;

    /* Only what is looked at: a signature has room for RSA's. */
    memset(op, 0, offsetof(struct milgi_op, u));
    op->type = MILGI_OP_SIGN;
    op->cls = MILGI_OP_CLASS_HANDSHAKE;
    op->alg = MILGI_SIG_ECDSA_SECP256R1_SHA256;
    op->key = &lane->key;
    op->u.sign.input_len = (uint16_t)len;
    memcpy(op->u.sign.input, input, len);
    signing->done = false;
    signing->next = NULL;
    gauge(lane, 1);
    *lane->last = signing;
    lane->last = &signing->next;
    offer(lane);
    if (lane->first)
        atomic_fetch_add_explicit(&lane->scene->refused, 1, memory_order_relaxed);
}

static void came_back(struct lane *lane, struct signing *signing)
{
    gauge(lane, -1);
    signing->done = true;
    signing->told(signing);
}

void lane_poll(struct lane *lane)
{
    struct milgi_op *burst[BURST];
    unsigned n = BURST;

    while (lane->in_flight > 0 && n == BURST) {
        n = lane->device->ops->dequeue(lane->qp, burst, BURST);
        lane->in_flight -= n;
        for (unsigned i = 0; i < n; i++)
            came_back(lane, (struct signing *)(void *)burst[i]);
    }
    offer(lane);
}

bool lane_arm(struct lane *lane)
{
    return lane->device->ops->arm(lane->qp) != 0;
}

void lane_end(struct lane *lane)
{
    struct signing *waiting = lane->first;

    lane->first = NULL;
    lane->last = &lane->first;
    (void)lane->device->ops->quiesce(lane->qp, UINT64_MAX);
    lane_poll(lane);
    if (lane->in_flight > 0)
        bench_die("the device has kept %u signatures", lane->in_flight);
    while (waiting) {
        struct signing *next = waiting->next;
        waiting->op.status = MILGI_OP_CANCELLED;
        came_back(lane, waiting);
        waiting = next;
    }
}
