/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The primitives of a server's handshake beside its signature, called in the cheapest way that libcrypto has: contexts
 * and keys made once. On the server's CPU, while the other one does the same, as clients do.
 */
#include <pthread.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/evp.h>

#include "offload.h"

#define SLICE_NS 60000000u
#define AT_ONCE 16

struct tools {
    EVP_PKEY *x25519, *peer, *ecdsa;
    EVP_PKEY_CTX *keygen, *derive, *sign, *verify;
    uint8_t public[32], private[32]; /* AWS-LC's */
    uint8_t digest[32], signature[80];
    size_t signature_len;
};

static void must(bool ok)
{
    if (!ok)
        bench_die("libcrypto: a primitive failed");
}

static void tools_new(struct tools *t)
{
    memset(t, 0, sizeof(*t));
    t->x25519 = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    t->peer = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    t->ecdsa = EVP_EC_gen("P-256");
    must(t->x25519 != NULL && t->peer != NULL && t->ecdsa != NULL);
    t->keygen = EVP_PKEY_CTX_new(t->x25519, NULL);
    t->derive = EVP_PKEY_CTX_new(t->x25519, NULL);
    t->sign = EVP_PKEY_CTX_new(t->ecdsa, NULL);
    t->verify = EVP_PKEY_CTX_new(t->ecdsa, NULL);
    must(EVP_PKEY_keygen_init(t->keygen) == 1 && EVP_PKEY_derive_init(t->derive) == 1 &&
        EVP_PKEY_sign_init(t->sign) == 1 && EVP_PKEY_verify_init(t->verify) == 1);
    t->signature_len = sizeof(t->signature);
    must(EVP_PKEY_sign(t->sign, t->signature, &t->signature_len, t->digest, sizeof(t->digest)) == 1);
}

static void tools_free(struct tools *t)
{
    EVP_PKEY_CTX_free(t->keygen);
    EVP_PKEY_CTX_free(t->derive);
    EVP_PKEY_CTX_free(t->sign);
    EVP_PKEY_CTX_free(t->verify);
    EVP_PKEY_free(t->x25519);
    EVP_PKEY_free(t->peer);
    EVP_PKEY_free(t->ecdsa);
}

static void once(struct tools *t, enum primitive primitive)
{
    EVP_PKEY *key = NULL;
    uint8_t secret[32];
    size_t len = sizeof(secret);

    switch (primitive) {
    case PRIMITIVE_KEYGEN:
        must(EVP_PKEY_keygen(t->keygen, &key) == 1);
        EVP_PKEY_free(key);
        break;
    case PRIMITIVE_DERIVE:
        must(EVP_PKEY_derive_set_peer_ex(t->derive, t->peer, 0) == 1 && EVP_PKEY_derive(t->derive, secret, &len) == 1);
        break;
    case PRIMITIVE_KEYGEN_AWS_LC:
    case PRIMITIVE_DERIVE_AWS_LC: retry_primitive(primitive, t->public, t->private); break;
    default:
        must(EVP_PKEY_verify(t->verify, t->signature, t->signature_len, t->digest, sizeof(t->digest)) == 1);
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
    enum primitive n_here = retry_library() != NULL ? PRIMITIVES : PRIMITIVE_KEYGEN_AWS_LC;
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
