/* SPDX-License-Identifier: Apache-2.0 */
/* Ops by the batch, from the slab to the owner's completion function and back into the slab. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <milgi/milgi.h>

#include "asynchrony.h"
#include "inside/owners.h"

#define RING 1024u
#define RECORD_BYTES 1400u

/* --- a device that does nothing --------------------------------------------------------------------------------- */

struct milgi_qp {
    struct milgi_op *ring[RING];
    unsigned head, tail;
};

static struct milgi_qp *null_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    (void)device;
    (void)clock;
    return calloc(1, sizeof(struct milgi_qp));
}

static void null_close(struct milgi_qp *qp)
{
    free(qp);
}

static unsigned null_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        qp->ring[qp->tail++ % RING] = ops[i];
    return n;
}

static unsigned null_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned got = 0;

    while (got < n && qp->head != qp->tail) {
        ops[got] = qp->ring[qp->head++ % RING];
        ops[got++]->status = MILGI_OP_OK;
    }
    return got;
}

static const struct milgi_device_ops null_ops = {
    .name = "null",
    .qp_open = null_open,
    .qp_close = null_close,
    .enqueue = null_enqueue,
    .dequeue = null_dequeue,
};

/* --- ops --------------------------------------------------------------------------------------------------------- */

struct ops {
    struct milgi_device device;
    struct milgi_engine *engine;
    struct bench_owners owners;
};

struct ops *ops_new(unsigned owners)
{
    return ops_new_in(NULL, owners);
}

struct ops *ops_new_in(const struct milgi_engine_options *options, unsigned owners)
{
    struct ops *ops = calloc(1, sizeof *ops);

    ops->device = (struct milgi_device){ .ops = &null_ops,
        .caps = { .ops = (1u << MILGI_OP_TYPES) - 1,
            .flags = MILGI_CAP_SCATTER,
            .parallelism = 1,
            .max_in_flight = RING,
            .best_batch = BATCH },
        .spec = "null" };
    bench_must(milgi_engine_new(options, &ops->engine), "engine");
    int index = milgi_engine_add_device(ops->engine, &ops->device);
    bench_must(index, "device");
    bench_must(milgi_engine_route(ops->engine, UINT32_MAX, (unsigned)index, 1), "route");
    bench_owners_attach(&ops->owners, ops->engine, owners);
    return ops;
}

void ops_free(struct ops *ops)
{
    bench_owners_detach(&ops->owners);
    milgi_engine_free(ops->engine);
    free(ops);
}

uint64_t ops_run(struct ops *ops, unsigned n)
{
    struct milgi_run_result result;
    uint64_t before = ops->owners.done;

    for (unsigned k = 0; k < n; k++) {
        uint64_t due = ops->owners.done + BATCH;
        for (unsigned i = 0; i < BATCH; i++) {
            struct milgi_op *op = bench_op_new(ops->engine);
            op->type = MILGI_OP_SEAL;
            op->cls = MILGI_OP_CLASS_RECORDS;
            op->alg = MILGI_SUITE_AES_128_GCM_SHA256;
            op->u.aead.dst_len = RECORD_BYTES;
            milgi__engine_submit(ops->engine, bench_owner(&ops->owners, i % ops->owners.n), op, 0);
        }
        while (ops->owners.done < due)
            bench_must(milgi_engine_run(ops->engine, 0, &result), "run");
    }
    return ops->owners.done - before;
}

uint64_t ops_bare(struct ops *ops, unsigned n)
{
    static struct milgi_qp qp;
    static struct milgi_op op[BATCH];
    struct milgi_op *in[BATCH], *out[BATCH];
    uint64_t back = 0;

    for (unsigned i = 0; i < BATCH; i++)
        in[i] = &op[i];
    for (unsigned k = 0; k < n; k++) {
        const struct milgi_device_ops *volatile device = ops->device.ops;
        back += device->enqueue(&qp, in, BATCH) == BATCH ? device->dequeue(&qp, out, BATCH) : 0;
    }
    return back;
}

/* --- system calls under load ------------------------------------------------------------------------------------ */

/* read() and write() and their like, of all threads. */
static uint64_t calls_so_far(void)
{
    char text[512];
    int fd = open("/proc/self/io", O_RDONLY);
    ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (len < 0)
        bench_die("cannot read /proc/self/io");
    close(fd);
    text[len] = 0;
    const char *in = strstr(text, "syscr: "), *out = strstr(text, "syscw: ");
    if (!in || !out)
        bench_die("/proc/self/io does not count calls");
    return strtoull(in + 7, NULL, 10) + strtoull(out + 7, NULL, 10);
}

/* A record of 64 bytes, from a chunk into a chunk. */
static void submit_record(struct ops *ops, struct milgi_key *key, struct milgi__owner *owner)
{
    struct milgi_op *op = bench_op_new(ops->engine);
    struct milgi_chunk *from = milgi_chunk_new(ops->engine, 512), *to = milgi_chunk_new(ops->engine, 512);

    if (!from || !to)
        bench_die("no chunk");
    op->type = MILGI_OP_SEAL;
    op->cls = MILGI_OP_CLASS_RECORDS;
    op->alg = MILGI_SUITE_AES_128_GCM_SHA256;
    op->key = milgi__key_ref(key);
    op->u.aead.aad_len = 5;
    op->u.aead.src_n = 1;
    op->u.aead.src[0] = (struct milgi_slice){ from, milgi_chunk_data(from), 64 };
    op->u.aead.inner_type = 23;
    op->u.aead.dst_chunk = to;
    op->u.aead.dst = milgi_chunk_data(to);
    op->u.aead.dst_len = 64 + 1 + 16;
    milgi__engine_submit(ops->engine, owner, op, 0);
}

double ops_system_calls(uint64_t n, double *polls)
{
    static const uint8_t raw[16];
    struct ops ops = { .engine = NULL };
    struct milgi_device *pool = NULL;
    struct milgi_run_result result;
    uint64_t submitted = 0, waits = 0;

    bench_must(milgi_device_new("pool:1", &pool, NULL), "pool");
    bench_must(milgi_engine_new(NULL, &ops.engine), "engine");
    int index = milgi_engine_add_device(ops.engine, pool);
    bench_must(index, "add pool");
    bench_must(milgi_engine_route(ops.engine, UINT32_MAX, (unsigned)index, 1), "route");
    bench_owners_attach(&ops.owners, ops.engine, BATCH);
    struct milgi_key *key = milgi__engine_key_aead(ops.engine, MILGI_SUITE_AES_128_GCM_SHA256, raw, sizeof raw);
    uint64_t before = calls_so_far();
    while (ops.owners.done < n) {
        /* A crowd whose work never ends: the queue is never empty. */
        for (; submitted < ops.owners.done + 8 * (uint64_t)BATCH; submitted++)
            submit_record(&ops, key, bench_owner(&ops.owners, (unsigned)(submitted % BATCH)));
        bench_must(milgi_engine_run(ops.engine, 0, &result), "run");
        if (result.next == MILGI_RUN_AGAIN || ops.owners.done == submitted)
            continue;
        struct pollfd wait = { milgi_engine_fd(ops.engine), POLLIN, 0 };
        (void)poll(&wait, 1, 1000);
        waits++;
    }
    double calls = (double)(calls_so_far() - before);
    *polls = (double)waits / (double)ops.owners.done;
    calls /= (double)ops.owners.done;
    milgi__engine_key_unref(ops.engine, key);
    bench_owners_detach(&ops.owners);
    milgi_engine_free(ops.engine);
    milgi_device_free(pool);
    return calls;
}
