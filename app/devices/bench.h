/* SPDX-License-Identifier: Apache-2.0 */
/* One device tried by itself, on a queue pair of its own: is it right, and how fast is it? */
#pragma once

#include "common/certificate.h"

#define BENCH_DEPTH_MAX 256

struct bench {
    struct milgi_device *device;
    struct milgi_engine *engine; /* for its chunks only */
    struct milgi_qp *qp;
    struct milgi_clock clock;
    struct milgi_credential *credential;
    struct app_throwaway throwaway;
    struct milgi_key aead, private_key;
    void *private_key_dev[MILGI_DEVICES_MAX];
    struct milgi_op *abandoned; /* that the device did not give back in time; linked through e.next */
    unsigned abandoned_n;
};

/* What came of a test. */
enum bench_verdict {
    BENCH_OK,
    BENCH_SKIPPED, /* the device does not take such ops */
    BENCH_WRONG,   /* a wrong result */
    BENCH_BROKEN,  /* the device said that it had failed */
    BENCH_LOST     /* it did not answer */
};

/* Returns 0 or an error; |*why| says more, or is NULL. */
int bench_open(struct bench *b, const char *spec, const char **why);
/* Why this device can use no key in a token, whichever it is: a device code; 0: it can, as far as is known. */
int bench_test_module(struct bench *b);
void bench_close(struct bench *b);

/* Seals and opens a record, and sees that a forged one is rejected. */
enum bench_verdict bench_test_aead(struct bench *b, uint16_t suite);
/* Two sides agree on a secret. */
enum bench_verdict bench_test_group(struct bench *b, uint16_t group);
/* The same of a group of ML-KEM. */
enum bench_verdict bench_test_kem(struct bench *b, uint16_t group);
/* Signs and verifies, and sees that a forged signature is rejected. */
enum bench_verdict bench_test_sign(struct bench *b);

/* Operations per second, tried for about |ms|; 0: it does not take such ops, or gave none back. */
double bench_sign(struct bench *b, unsigned ms);
double bench_seal(struct bench *b, uint16_t suite, uint32_t len, unsigned ms);
