/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives of a server's handshake beside its signature, called in the cheapest way that is known: X25519 as the
 * device `cpu` calls it, which takes less than EVP_PKEY_keygen() and EVP_PKEY_derive() with contexts made once; ECDSA
 * by EVP_PKEY_verify() with context and key made once. On the server's CPU, while the other one is busy, as it is with
 * clients.
 */
#include <pthread.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "offload.h"

#define SLICE_NS 60000000u
#define AT_ONCE 16

struct tools {
    struct milgi_device *cpu;
    struct milgi_qp *qp;
    struct milgi_clock clock;
    struct milgi_op keygen, derive;
    uint8_t share[32];
    EVP_PKEY *ecdsa;
    EVP_PKEY_CTX *sign, *verify;
    uint8_t public[32], private[32]; /* AWS-LC's */
    uint8_t digest[32], signature[80];
    size_t signature_len;
};

static void must(bool ok)
{
    if (!ok)
        bench_die("libcrypto: a primitive failed");
}

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

static void on_cpu(struct tools *t, struct milgi_op *op)
{
    struct milgi_op *back;

    op->status = MILGI_OP_PENDING;
    must(t->cpu->ops->enqueue(t->qp, &op, 1) == 1 && t->cpu->ops->dequeue(t->qp, &back, 1) == 1);
    must(op->status == MILGI_OP_OK);
}

static void derive(struct tools *t)
{
    t->derive.u.kex.secret_len = t->keygen.u.kex.secret_len;
    memcpy(t->derive.u.kex.secret, t->keygen.u.kex.secret, sizeof t->derive.u.kex.secret);
    on_cpu(t, &t->derive);
}

static void x25519_new(struct tools *t)
{
    const char *why = "";

    if (milgi_device_new("cpu", &t->cpu, &why) != 0)
        bench_die("%s", why);
    t->clock = (struct milgi_clock){ monotonic, wall, NULL };
    t->qp = t->cpu->ops->qp_open(t->cpu, &t->clock);
    must(t->qp != NULL);
    t->keygen.type = MILGI_OP_KEYGEN;
    t->derive.type = MILGI_OP_DERIVE;
    t->keygen.cls = t->derive.cls = MILGI_OP_CLASS_HANDSHAKE;
    t->keygen.alg = t->derive.alg = MILGI_GROUP_X25519;
    t->keygen.u.kex.seed_len = 32;
    must(RAND_bytes(t->keygen.u.kex.seed, 32) == 1);
    t->keygen.u.kex.share = (struct milgi_slice){ NULL, t->share, sizeof t->share };
    on_cpu(t, &t->keygen);
    t->derive.u.kex.share = t->keygen.u.kex.share;
}

static void tools_new(struct tools *t)
{
    memset(t, 0, sizeof *t);
    x25519_new(t);
    t->ecdsa = EVP_EC_gen("P-256");
    must(t->ecdsa != NULL);
    t->sign = EVP_PKEY_CTX_new(t->ecdsa, NULL);
    t->verify = EVP_PKEY_CTX_new(t->ecdsa, NULL);
    must(EVP_PKEY_sign_init(t->sign) == 1 && EVP_PKEY_verify_init(t->verify) == 1);
    t->signature_len = sizeof t->signature;
    must(EVP_PKEY_sign(t->sign, t->signature, &t->signature_len, t->digest, sizeof t->digest) == 1);
}

static void tools_free(struct tools *t)
{
    (void)t->cpu->ops->quiesce(t->qp, UINT64_MAX);
    t->cpu->ops->qp_close(t->qp);
    milgi_device_free(t->cpu);
    EVP_PKEY_CTX_free(t->sign);
    EVP_PKEY_CTX_free(t->verify);
    EVP_PKEY_free(t->ecdsa);
}

static void once(struct tools *t, enum primitive primitive)
{
    switch (primitive) {
    case PRIMITIVE_KEYGEN: on_cpu(t, &t->keygen); break;
    case PRIMITIVE_DERIVE: derive(t); break;
    case PRIMITIVE_KEYGEN_AWS_LC:
    case PRIMITIVE_DERIVE_AWS_LC: retry_primitive(primitive, t->public, t->private); break;
    default:
        must(EVP_PKEY_verify(t->verify, t->signature, t->signature_len, t->digest, sizeof t->digest) == 1);
        break;
    }
}

static uint64_t thread_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

struct neighbour {
    int cpu;
    atomic_bool stop;
};

static void *keep_busy(void *arg)
{
    struct neighbour *neighbour = arg;
    struct tools t;

    bench_pin(neighbour->cpu);
    tools_new(&t);
    while (!atomic_load(&neighbour->stop))
        once(&t, PRIMITIVE_DERIVE);
    tools_free(&t);
    return NULL;
}

struct work {
    int cpu;
    struct primitives *primitives;
};

static void *measure(void *arg)
{
    struct work *work = arg;
    struct tools t;

    bench_pin(work->cpu);
    tools_new(&t);
    enum primitive n_here = retry_library() ? PRIMITIVES : PRIMITIVE_KEYGEN_AWS_LC;
    for (enum primitive primitive = 0; primitive < n_here; primitive++) {
        uint64_t began = thread_ns(), now = began;
        unsigned n = 0;
        while (now - began < SLICE_NS) {
            for (int i = 0; i < AT_ONCE; i++, n++)
                once(&t, primitive);
            now = thread_ns();
        }
        bench_samples_add(&work->primitives->us[primitive], (double)(now - began) / n / 1e3);
    }
    tools_free(&t);
    return NULL;
}

void primitives_round(const struct rig *rig, struct primitives *primitives)
{
    struct neighbour neighbour = { .cpu = rig->client_cpu };
    struct work work = { rig->server_cpu, primitives };
    pthread_t busy, worker;

    if (pthread_create(&busy, NULL, keep_busy, &neighbour) != 0 || pthread_create(&worker, NULL, measure, &work) != 0)
        bench_die("no thread");
    pthread_join(worker, NULL);
    atomic_store(&neighbour.stop, true);
    pthread_join(busy, NULL);
}
