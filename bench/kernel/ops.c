/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <stdlib.h>
#include <string.h>

#include <milgi/op.h>

#include "crypto/kernel/gcm.h"
#include "op/op.h"

#define CONNECTIONS 32
#define ROOM 1100
#define TIMES 20

static const size_t sizes[] = { 16, 64, 256, 1024 };
static const unsigned calls[] = { 1, 8, 16 }; /* ops at a time; 1: each by itself */
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))
#define CALLS (sizeof(calls) / sizeof(calls[0]))

struct ops {
    struct milgi__crypto *cx;
    struct milgi_key key[CONNECTIONS];
    struct milgi_op op[CONNECTIONS];
    struct milgi_op *order[CONNECTIONS];
    uint8_t plain[CONNECTIONS][ROOM], sealed[CONNECTIONS][ROOM], opened[CONNECTIONS][ROOM];
    struct bench_samples ns[SIZES][2][CALLS]; /* seal, open */
};

struct ops *ops_new(void)
{
    struct ops *ops = calloc(1, sizeof *ops);

    if (!ops || !(ops->cx = milgi__crypto_new()))
        bench_die("no memory");
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        ops->order[i] = &ops->op[i];
        ops->key[i] = (struct milgi_key){
            .serial = i + 1, .alg = MILGI_SUITE_AES_128_GCM_SHA256, .kind = MILGI_KEY_AEAD, .raw_len = 16
        };
        ops->key[i].raw[0] = (uint8_t)i;
    }
    return ops;
}

static void fill(struct ops *ops, bool open, size_t size)
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct milgi_op *op = &ops->op[i];
        struct milgi_op_aead *a = &op->u.aead;
        uint32_t len = (uint32_t)size + (open ? 1 : 0);
        *op = (struct milgi_op){
            .type = open ? MILGI_OP_OPEN : MILGI_OP_SEAL, .alg = ops->key[i].alg, .key = &ops->key[i]
        };
        a->aad_len = 5;
        a->inner_type = open ? 0 : 23;
        a->src_n = 1;
        a->src[0] = (struct milgi_slice){ NULL, open ? ops->sealed[i] : ops->plain[i], len };
        a->dst = open ? ops->opened[i] : ops->sealed[i];
        a->dst_len = ROOM;
        if (open)
            memcpy(a->tag, ops->sealed[i] + len, 16);
    }
}

static double sample(struct ops *ops, unsigned at_a_time)
{
    uint64_t begin = bench_now_ns();

    for (unsigned t = 0; t < TIMES; t++) {
        for (unsigned i = 0; i < CONNECTIONS; i += at_a_time) {
            if (at_a_time == 1)
                milgi__op_perform(ops->cx, ops->order[i], NULL);
            else
                milgi__op_perform_records(ops->cx, ops->order + i, at_a_time);
        }
    }
    double ns = (double)(bench_now_ns() - begin) / (TIMES * CONNECTIONS);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (ops->op[i].status != MILGI_OP_OK)
            bench_die("an op of a record is %s", milgi_op_status_name(ops->op[i].status));
    }
    return ns;
}

void ops_round(struct ops *ops)
{
    for (size_t s = 0; s < SIZES; s++) {
        for (unsigned open = 0; open < 2; open++) {
            fill(ops, open, sizes[s]);
            sample(ops, 1);
            for (size_t c = 0; c < CALLS; c++)
                bench_samples_add(&ops->ns[s][open][c], sample(ops, calls[c]));
        }
    }
}

void ops_print(const struct ops *ops)
{
    printf("\nops of %u connections, AES-128-GCM, ns a record", CONNECTIONS);
    printf("       one by one   8 at a time  16 at a time\n");
    for (size_t s = 0; s < SIZES; s++) {
        for (unsigned open = 0; open < 2; open++) {
            printf("  %-4s %6zu bytes                             ", open ? "open" : "seal", sizes[s]);
            for (size_t c = 0; c < CALLS; c++)
                printf("  %12.1f", bench_samples_percentile(&ops->ns[s][open][c], 5));
            printf("\n");
        }
    }
}

void ops_json(const struct ops *ops, struct bench_json *json)
{
    bench_json_open(json, "ops", '[');
    for (size_t s = 0; s < SIZES; s++) {
        for (unsigned open = 0; open < 2; open++) {
            bench_json_open(json, NULL, '{');
            bench_json_text(json, "direction", open ? "open" : "seal");
            bench_json_number(json, "bytes", (double)sizes[s]);
            bench_json_open(json, "ns", '[');
            for (size_t c = 0; c < CALLS; c++)
                bench_json_number(json, NULL, bench_samples_percentile(&ops->ns[s][open][c], 5));
            bench_json_close(json, ']');
            bench_json_close(json, '}');
        }
    }
    bench_json_close(json, ']');
}
