/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives of a server's handshake beside its signature: Milgi's as the device `cpu` calls them, OpenSSL's by EVP
 * with keys and contexts made once, AWS-LC's as the retrying design calls them. On the server's CPU, while the other
 * one is busy, as it is with clients.
 */
#include <pthread.h>

#include <openssl/evp.h>

#include "offload.h"
#include "primitives.h"

#define SLICE_NS 60000000u
#define AT_ONCE 16

struct tools {
    struct bench_primitives *milgi;
    EVP_PKEY *own, *peer;
    EVP_PKEY_CTX *keygen, *derive;
    uint8_t public[32], private[32]; /* AWS-LC's */
};

static void must(bool ok)
{
    if (!ok)
        bench_die("OpenSSL: a primitive failed");
}

static void tools_new(struct tools *t)
{
    *t = (struct tools){ .milgi = bench_primitives_new() };
    t->own = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    t->peer = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    t->keygen = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
    t->derive = EVP_PKEY_CTX_new_from_pkey(NULL, t->own, NULL);
    must(EVP_PKEY_keygen_init(t->keygen) == 1 && EVP_PKEY_derive_init(t->derive) == 1);
}

static void tools_free(struct tools *t)
{
    bench_primitives_free(t->milgi);
    EVP_PKEY_CTX_free(t->keygen);
    EVP_PKEY_CTX_free(t->derive);
    EVP_PKEY_free(t->own);
    EVP_PKEY_free(t->peer);
}

static void keygen(struct tools *t)
{
    EVP_PKEY *key = NULL;

    must(EVP_PKEY_keygen(t->keygen, &key) == 1);
    EVP_PKEY_free(key);
}

static void derive(struct tools *t)
{
    uint8_t secret[32];
    size_t len = sizeof secret;

    must(EVP_PKEY_derive_set_peer_ex(t->derive, t->peer, 0) == 1 && EVP_PKEY_derive(t->derive, secret, &len) == 1);
}

static void once(struct tools *t, enum primitive primitive)
{
    switch (primitive) {
    case PRIMITIVE_KEYGEN: bench_x25519_keygen(t->milgi); break;
    case PRIMITIVE_DERIVE: bench_x25519_derive(t->milgi); break;
    case PRIMITIVE_VERIFY: bench_verify(t->milgi, BENCH_ECDSA_P256); break;
    case PRIMITIVE_KEYGEN_OPENSSL: keygen(t); break;
    case PRIMITIVE_DERIVE_OPENSSL: derive(t); break;
    default: retry_primitive(primitive, t->public, t->private); break;
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
