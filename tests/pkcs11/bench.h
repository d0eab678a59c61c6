/* SPDX-License-Identifier: Apache-2.0 */
/* Ops of one key on one queue pair, so that the key stays found. */
#pragma once

#include <milgi/milgi.h>

#define BENCH_OPS 32

struct bench {
    struct milgi_qp *qp;
    struct milgi_key key;
    void *dev[MILGI_DEVICES_MAX];
    struct milgi_op op[BENCH_OPS];
};

struct bench *bench_new(struct milgi_device *of, const struct milgi_credential *credential);
void bench_free(struct milgi_device *of, struct bench *bench);
void bench_submit(struct milgi_device *of, struct bench *bench, unsigned n);
/* How many of |n| were signed; *|code| is the last failure's. */
unsigned bench_collect(struct milgi_device *of, struct bench *bench, unsigned n, int *code);
