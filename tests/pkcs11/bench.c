/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

static const struct milgi_clock clock_of_test = { .monotonic_ns = no_time };

struct bench *bench_new(struct milgi_device *of, const struct milgi_credential *credential)
{
    struct bench *bench = calloc(1, sizeof *bench);

    assert_non_null(bench);
    bench->qp = of->ops->qp_open(of, &clock_of_test);
    assert_non_null(bench->qp);
    bench->key = (struct milgi_key){
        .serial = 1,
        .kind = MILGI_KEY_PRIVATE,
    };
    bench->key.loaded = (struct milgi_loaded_key){ .credential = credential, .dev = bench->dev };
    bench->dev[0] = of->ops->key_load(bench->qp, &bench->key);
    assert_non_null(bench->dev[0]);
    return bench;
}

void bench_free(struct milgi_device *of, struct bench *bench)
{
    assert_int_equal(of->ops->quiesce(bench->qp, UINT64_MAX), 0);
    of->ops->key_free(bench->qp, &bench->key, bench->dev[0]);
    of->ops->qp_close(bench->qp);
    free(bench);
}

void bench_submit(struct milgi_device *of, struct bench *bench, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct milgi_op *op = &bench->op[i];
        *op = (struct milgi_op){ .type = MILGI_OP_SIGN, .cls = MILGI_OP_CLASS_HANDSHAKE };
        op->alg = MILGI_SIG_ECDSA_SECP256R1_SHA256;
        op->key = &bench->key;
        op->u.sign.input_len = 130;
        assert_int_equal(of->ops->enqueue(bench->qp, &op, 1), 1);
    }
}

unsigned bench_collect(struct milgi_device *of, struct bench *bench, unsigned n, int *code)
{
    struct milgi_op *op;
    unsigned good = 0;

    *code = 0;
    while (n > 0) {
        if (of->ops->dequeue(bench->qp, &op, 1) != 1) {
            usleep(100);
            continue;
        }
        n--;
        good += op->status == MILGI_OP_OK;
        if (op->status != MILGI_OP_OK)
            *code = op->device_code;
    }
    return good;
}
