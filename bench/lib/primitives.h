/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Primitives as the device `cpu` does them for connections, with keys and contexts made once: on the libcrypto that
 * Milgi was built on, or by its own kernels. One thread at a time.
 */
#pragma once

#include "bench.h"

struct bench_primitives;
struct bench_primitives *bench_primitives_new(void);
void bench_primitives_free(struct bench_primitives *p);

void bench_x25519_keygen(struct bench_primitives *p);
void bench_x25519_derive(struct bench_primitives *p);
/* By TLS 1.3's scheme for such a key; to verify includes to read the public key. */
void bench_sign(struct bench_primitives *p, enum bench_key key);
void bench_verify(struct bench_primitives *p, enum bench_key key);
/* A record of |len| bytes by a suite's code point, with its type, to |out|, which has room for 17 bytes more. */
void bench_seal(struct bench_primitives *p, uint16_t suite, uint8_t *in, size_t len, uint8_t *out);
