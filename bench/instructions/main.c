/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_instructions: says what it is made by, then does the work of each row and prints the row's name and how often
 * it was done. By itself that is of no use: scripts/check-instructions has valgrind count meanwhile. Time and random
 * numbers are this program's own, so the work is always the same.
 */
#include <stdio.h>
#include <time.h>

#include <milgi/milgi.h>

#include "crypto/kernel/gcm.h"
#include "ends.h"
#include "instructions.h"

/* Multiples of what is sampled, so that each row has whole periods of it. */
#define TIMES 64u
#define WARM 16u
#define STEP_NS 40u /* that pass whenever the clock is read */

static uint64_t now_ns, last_random;

static uint64_t monotonic(void *ctx)
{
    (void)ctx;
    return now_ns += STEP_NS;
}

static int64_t wall(void *ctx)
{
    (void)ctx;
    return (int64_t)time(NULL);
}

/* Not random at all, which is what is wanted here. */
static int same_every_time(void *ctx, uint8_t *out, size_t len)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++) {
        last_random = last_random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)(last_random >> 56);
    }
    return 0;
}

static struct milgi_engine_options options(void)
{
    struct milgi_engine_options o;

    milgi_engine_options_init(&o);
    o.clock = (struct milgi_clock){ monotonic, wall, NULL };
    o.random = same_every_time;
    return o;
}

static void said(const char *name, unsigned n)
{
    row_end();
    printf("row %s %u\n", name, n);
}

static void pair_open(struct pair *pair, const struct bench_cert *cert, uint32_t record_len)
{
    const struct milgi_engine_options o = options();
    const struct setup setup = {
        .cert = cert,
        .anchor_pem = cert->cert_pem,
        .anchor_len = cert->cert_len,
        .suite = MILGI_SUITE_AES_128_GCM_SHA256,
        .record_len = record_len,
        .engine = &o,
    };

    pair_init(pair, &subject_milgi, subject_milgi.world_new(&setup));
}

static void pair_close(struct pair *pair)
{
    subject_milgi.world_free(pair->world);
    pair_fini(pair);
}

static void handshakes(const struct bench_cert *cert)
{
    struct used unused = { { 0 }, { 0 } };
    struct pair pair;

    pair_open(&pair, cert, 0);
    for (unsigned i = 0; i < WARM + TIMES; i++) {
        enum measure measure = i < WARM ? MEASURE_NOTHING : MEASURE_PROFILE;
        pair_handshake(&pair, measure, &unused);
        pair_free(&pair, measure, &unused);
    }
    said("handshake", TIMES);
    pair_close(&pair);
}

/* The server sends |n| records of |len| bytes in one turn. */
static void records(const struct bench_cert *cert, uint32_t len, unsigned n, const char *name)
{
    const struct message message = { BY_COPY, len, n };
    struct used unused = { { 0 }, { 0 } };
    struct pair pair;

    pair_open(&pair, cert, len);
    pair_handshake(&pair, MEASURE_NOTHING, &unused);
    for (size_t sent = 0; sent < 2 * CHECKED; sent += (size_t)len * n)
        pair_exchange(&pair, SERVER, &message, MEASURE_NOTHING, &unused);
    for (unsigned i = 0; i < TIMES; i++)
        pair_exchange(&pair, SERVER, &message, MEASURE_PROFILE, &unused);
    said(name, TIMES * n);
    pair_free(&pair, MEASURE_NOTHING, &unused);
    pair_close(&pair);
}

static void ops(unsigned owners, const char *name)
{
    const struct milgi_engine_options o = options();
    struct ops *ops = ops_new_in(&o, owners);

    (void)ops_run(ops, WARM);
    profiled_ops(ops, TIMES);
    said(name, TIMES * BATCH);
    ops_free(ops);
}

int main(void)
{
    struct bench_cert cert = bench_cert_make(BENCH_ECDSA_P256);
    const struct milgi__gcm_kernel *kernel = milgi__gcm_best();

    printf("compiler %s\nkernel %s\n", __VERSION__, kernel ? kernel->name : "none");
    handshakes(&cert);
    records(&cert, 64, 1, "64B-x1");
    records(&cert, 64, 32, "64B-x32");
    records(&cert, 1024, 8, "1KiB-x8");
    records(&cert, 16384, 4, "16KiB-x4");
    ops(1, "op-one-owner");
    ops(BATCH, "op-own-owner");
    bench_cert_free(&cert);
    return 0;
}
