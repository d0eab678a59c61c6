/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the primitives alone take, as the device `cpu` does them: on the libcrypto that Milgi was built on, AES-GCM by
 * whatever is fastest here. Nothing that uses these can be faster than the sum.
 */
#include "first.h"
#include "primitives.h"

#include <milgi/op.h>

#define RECORD 16384
#define SMALL 64

static struct {
    struct bench_primitives *primitives;
    uint8_t in[RECORD], out[RECORD + 32];
} f;

static void run(enum floor_id id)
{
    struct bench_primitives *p = f.primitives;

    switch (id) {
    case FLOOR_KEYGEN: bench_x25519_keygen(p); break;
    case FLOOR_DERIVE: bench_x25519_derive(p); break;
    case FLOOR_ECDSA_SIGN: bench_sign(p, BENCH_ECDSA_P256); break;
    case FLOOR_ECDSA_VERIFY: bench_verify(p, BENCH_ECDSA_P256); break;
    case FLOOR_RSA_SIGN: bench_sign(p, BENCH_RSA_2048); break;
    case FLOOR_RSA_VERIFY: bench_verify(p, BENCH_RSA_2048); break;
    case FLOOR_AES_128: bench_seal(p, MILGI_SUITE_AES_128_GCM_SHA256, f.in, RECORD, f.out); break;
    case FLOOR_AES_256: bench_seal(p, MILGI_SUITE_AES_256_GCM_SHA384, f.in, RECORD, f.out); break;
    case FLOOR_CHACHA: bench_seal(p, MILGI_SUITE_CHACHA20_POLY1305_SHA256, f.in, RECORD, f.out); break;
    default: bench_seal(p, MILGI_SUITE_AES_128_GCM_SHA256, f.in, SMALL, f.out); break;
    }
}

void floor_setup(struct floor floors[FLOORS])
{
    static const char *const names[FLOORS] = { [FLOOR_KEYGEN] = "X25519 key generation",
        [FLOOR_DERIVE] = "X25519 derive",
        [FLOOR_ECDSA_SIGN] = "ECDSA P-256 sign",
        [FLOOR_ECDSA_VERIFY] = "ECDSA P-256 verify",
        [FLOOR_RSA_SIGN] = "RSA-PSS 2048 sign",
        [FLOOR_RSA_VERIFY] = "RSA-PSS 2048 verify",
        [FLOOR_AES_128] = "AES-128-GCM 16 KiB",
        [FLOOR_AES_256] = "AES-256-GCM 16 KiB",
        [FLOOR_CHACHA] = "ChaCha20-Poly1305 16 KiB",
        [FLOOR_AES_128_SMALL] = "AES-128-GCM 64 B" };

    f.primitives = bench_primitives_new();
    for (unsigned i = 0; i < FLOORS; i++) {
        floors[i] = (struct floor){ .name = names[i] };
        run(i);
    }
}

void floor_round(struct floor floors[FLOORS])
{
    for (unsigned i = 0; i < FLOORS; i++) {
        struct bench_samples one = { 0 };
        for (int k = 0; k < 15; k++) {
            bench_span_begin();
            run(i);
            bench_samples_add(&one, (double)bench_span_end().own_ns);
        }
        bench_samples_add(&floors[i].ns, bench_samples_median(&one));
        bench_samples_free(&one);
    }
}

void floor_end(struct floor floors[FLOORS])
{
    for (unsigned i = 0; i < FLOORS; i++)
        bench_samples_free(&floors[i].ns);
    bench_primitives_free(f.primitives);
}
