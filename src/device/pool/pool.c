/* SPDX-License-Identifier: Apache-2.0 */
/* pool: this process's libcrypto on threads of its own. */
#include <sched.h>

#include "base/port.h"
#include "crypto/aead.h"
#include "device/arena.h"
#include "device/lanes/lanes.h"
#include "device/spec.h"
#include "device/worker/crew.h"
#include "op/material.h"

#define WORKERS_MAX 256
#define DEPTH_DEFAULT 1024
#define DEPTH_MAX 65536
#define WAKE_NS 15000
#define NS_PER_S 1000000000u
#define SPIN_NS 5000
#define TOGETHER_BITS_MAX 2048u
#define MEMORY_DEFAULT (UINT64_C(1) << 30)

struct pool {
    struct milgi_device device;
    struct milgi_device_ops ops;
    struct milgi__arena *memory; /* that it gives; NULL: none */
    struct milgi__crew *crew;
    unsigned workers;
    const struct milgi__lanes_kind *kind; /* of the lanes in which workers do like ops together */
    uint32_t rows;                        /* that are done so; 0: none */
    char note[MILGI__LANES_NOTE];
};

struct milgi_qp {
    struct pool *pool;
    struct milgi__crew_qp *crew;
};

/*
 * A PRIVATE or TRUST key: each worker makes its own object of it when it first needs it, and nobody else looks at that
 * object until the key is freed. Then no op with the key is in flight, and every worker's last use came before its op's
 * return.
 */
struct pool_key {
    unsigned n;
    struct milgi__lanes_key *loaded[]; /* one per worker */
};

/* --- on the workers --------------------------------------------------------------------------------------------- */

static uint64_t worker_ns(void *ctx)
{
    return milgi__port_monotonic_ns(ctx);
}

static void *worker_new(void *ctx)
{
    const struct pool *pool = ctx;
    struct milgi__lanes *lanes = milgi__alloc(sizeof *lanes);

    if (!lanes)
        return NULL;
    *lanes = (struct milgi__lanes){ .kind = pool->kind, .rows = pool->rows, .now_ns = worker_ns };
    lanes->cx = milgi__crypto_new();
    if (!lanes->cx) {
        milgi__free(lanes);
        return NULL;
    }
    return lanes;
}

static void worker_free(void *state)
{
    milgi__crypto_free(((struct milgi__lanes *)state)->cx);
    milgi__free(state);
}

static void worker_forget(void *state, uint64_t serial)
{
    milgi__aead_forget(((struct milgi__lanes *)state)->cx, serial);
}

static void worker_forget_all(void *state)
{
    milgi__crypto_idle(((struct milgi__lanes *)state)->cx);
}

/* NULL: it has none, or there is no memory for it. Without what it needs of its key an op is found to be BROKEN. */
static const struct milgi__lanes_key *key_of(struct milgi__lanes *lanes, unsigned worker, const struct milgi_op *op)
{
    struct milgi_key *key = op->key;
    struct pool_key *mine = NULL;

    if (key && key->kind != MILGI_KEY_AEAD && op->dev < MILGI_DEVICES_MAX)
        mine = key->loaded.dev[op->dev];
    if (mine && !mine->loaded[worker])
        mine->loaded[worker] = milgi__lanes_key_new(lanes->kind, lanes->cx, key);
    return !mine ? NULL : mine->loaded[worker];
}

/* On this thread, and not on the engine's, who serves others meanwhile. */
static void look_at(struct milgi__lanes *lanes, struct milgi_op *op)
{
    if (op->type == MILGI_OP_SIGN && op->status == MILGI_OP_OK && milgi__signs_by_rsa(op))
        milgi__signature_check(lanes->cx, op);
}

static void worker_perform(void *state, unsigned worker, struct milgi_op *op)
{
    struct milgi__lanes *lanes = state;
    const struct milgi__lanes_key *key = key_of(lanes, worker, op);

    milgi__op_perform(lanes->cx, op, !key ? NULL : key->loaded);
    look_at(lanes, op);
}

static void worker_perform_records(void *state, struct milgi_op *const *ops, unsigned n)
{
    milgi__op_perform_records(((struct milgi__lanes *)state)->cx, ops, n);
}

static void worker_perform_together(void *state, unsigned worker, struct milgi_op *const *ops, unsigned n)
{
    struct milgi__lanes *lanes = state;
    struct milgi__lane lane[MILGI__CREW_TOGETHER] = { { 0 } };

    for (unsigned i = 0; i < n; i++)
        lane[i] = (struct milgi__lane){ ops[i], key_of(lanes, worker, ops[i]) };
    milgi__lanes_sort(lanes, lane, n);
    for (unsigned i = 0; i < n; i++) {
        uint64_t begin_ns = worker_ns(NULL);
        look_at(lanes, ops[i]);
        ops[i]->service_ns += (uint32_t)MILGI__MIN(worker_ns(NULL) - begin_ns, NS_PER_S);
    }
}

/* What takes long is not gathered: records wait for it, and other workers may have nothing to do. */
static bool is_together(void *ctx, const struct milgi_op *op)
{
    const struct pool *pool = ctx;
    bool is_long = op->type == MILGI_OP_SIGN && op->key && op->key->kind == MILGI_KEY_PRIVATE &&
        op->key->loaded.credential && op->key->loaded.credential->bits > TOGETHER_BITS_MAX;

    return pool->rows && !is_long && milgi__rows_have(pool->rows, op->type, op->alg);
}

static const struct milgi__crew_ops crew_ops = {
    .thread_name = "milgi",
    .worker_new = worker_new,
    .worker_free = worker_free,
    .perform = worker_perform,
    .perform_records = worker_perform_records,
    .together = is_together,
    .perform_together = worker_perform_together,
    .forget = worker_forget,
    .forget_all = worker_forget_all,
};

/* --- on the engine's thread ------------------------------------------------------------------------------------- */

static struct milgi_qp *pool_qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct milgi_qp *qp = milgi__alloc(sizeof *qp);

    (void)clock;
    if (!qp)
        return NULL;
    qp->pool = MILGI__ENTRY(device, struct pool, device);
    qp->crew = milgi__crew_open(qp->pool->crew);
    if (!qp->crew) {
        milgi__free(qp);
        return NULL;
    }
    return qp;
}

/* Keys of records that this engine goes on using elsewhere are not named here any more when they go. */
static void pool_qp_close(struct milgi_qp *qp)
{
    milgi__crew_close(qp->crew);
    milgi__crew_forget_all(qp->pool->crew);
    milgi__free(qp);
}

static void *pool_key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    unsigned n = qp->pool->workers;

    if (key->kind == MILGI_KEY_PRIVATE && (!key->loaded.credential || !key->loaded.credential->pkcs8))
        return NULL; /* it is not in this process */
    struct pool_key *mine = milgi__alloc(sizeof *mine + n * sizeof(void *));
    if (mine)
        mine->n = n;
    return mine;
}

static void pool_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    struct pool_key *mine = loaded;

    if (key->kind == MILGI_KEY_AEAD)
        milgi__crew_forget(qp->pool->crew, key->serial);
    if (!mine)
        return;
    for (unsigned i = 0; i < mine->n; i++) {
        if (mine->loaded[i])
            milgi__lanes_key_free(key, mine->loaded[i]);
    }
    milgi__free(mine);
}

static unsigned pool_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    return milgi__crew_enqueue(qp->crew, ops, n);
}

static unsigned pool_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    return milgi__crew_dequeue(qp->crew, ops, n);
}

static int pool_notify_fd(struct milgi_qp *qp)
{
    return milgi__crew_fd(qp->crew);
}

static int pool_arm(struct milgi_qp *qp)
{
    return milgi__crew_arm(qp->crew);
}

static void pool_cancel(struct milgi_qp *qp, struct milgi_op *op)
{
    milgi__crew_cancel(qp->crew, op);
}

static int pool_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    return milgi__crew_quiesce(qp->crew, limit_ns);
}

static void *pool_chunk_alloc(struct milgi_device *device, size_t size)
{
    return size == MILGI_MEMORY_SLAB ? milgi__arena_take(MILGI__ENTRY(device, struct pool, device)->memory) : NULL;
}

static void pool_chunk_free(struct milgi_device *device, void *memory, size_t size)
{
    (void)size;
    milgi__arena_give(MILGI__ENTRY(device, struct pool, device)->memory, memory);
}

static void pool_destroy(struct milgi_device *device)
{
    struct pool *pool = MILGI__ENTRY(device, struct pool, device);

    if (!milgi__crew_free(pool->crew)) {
        milgi__device_leave(device);
        return;
    }
    milgi__arena_free(pool->memory);
    milgi__free(pool);
}

static const struct milgi_device_ops pool_ops = {
    .name = "pool",
    .qp_open = pool_qp_open,
    .qp_close = pool_qp_close,
    .key_load = pool_key_load,
    .key_free = pool_key_free,
    .enqueue = pool_enqueue,
    .dequeue = pool_dequeue,
    .notify_fd = pool_notify_fd,
    .arm = pool_arm,
    .cancel = pool_cancel,
    .quiesce = pool_quiesce,
    .destroy = pool_destroy,
};

/* --- making ----------------------------------------------------------------------------------------------------- */

/* Cores that this process may use. */
static unsigned cores(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    unsigned n = (unsigned)CPU_COUNT(&set);
    return n == 0 ? 1 : MILGI__MIN(n, WORKERS_MAX);
}

struct pool_words {
    uint64_t workers, min, depth, spin_ns, memory_size;
    const char *memory, *lanes;
};

static const char memory_why[] = "pool: memory is huge, or huge:SIZE, in steps of 2m up to 1024g";

static const char lanes_why[] = "pool: lanes is mb, libcrypto or none";

static int read_words(const struct milgi__spec *spec, struct pool_words *words, const char **why)
{
    const struct milgi__spec_word table[] = {
        { "min", MILGI__SPEC_NUMBER, &words->min, 0, UINT32_MAX, "pool: min is a number of bytes" },
        { "depth", MILGI__SPEC_NUMBER, &words->depth, 1, DEPTH_MAX, "pool: depth is 1 to 65536 ops" },
        { "spin", MILGI__SPEC_TIME, &words->spin_ns, 0, UINT32_MAX, "pool: spin is a time up to 4s" },
        { "memory", MILGI__SPEC_TEXT, &words->memory, 0, 0, memory_why },
        { "lanes", MILGI__SPEC_TEXT, &words->lanes, 0, 0, lanes_why },
    };
    unsigned from = 0;

    if (spec->n > 0 && milgi__spec_number(spec->key[0], UINT64_MAX, &words->workers)) {
        if (spec->value[0] || words->workers == 0 || words->workers > WORKERS_MAX) {
            *why = "pool: 1 to 256 threads";
            return MILGI_EINVAL;
        }
        from = 1;
    }
    const char *unknown = "pool: the words are [threads], min=, depth=, spin=, memory=, lanes=";
    int error = milgi__spec_read(spec, from, table, MILGI__COUNT(table), unknown, why);
    if (error == 0 && words->memory && !milgi__arena_word(words->memory, "huge", &words->memory_size)) {
        *why = memory_why;
        error = MILGI_EINVAL;
    }
    return error;
}

/* Memory that engines may use for their chunks; the threads themselves reach all there is. */
static bool make_memory(struct pool *pool, const struct pool_words *words)
{
    pool->ops = pool_ops;
    pool->device.ops = &pool->ops;
    if (!words->memory)
        return true;
    pool->memory = milgi__arena_new(words->memory_size);
    pool->ops.chunk_alloc = pool_chunk_alloc;
    pool->ops.chunk_free = pool_chunk_free;
    return pool->memory != NULL;
}

/* Unless something else was asked for, the vectors where there are some. */
static int make_lanes(struct pool *pool, const struct pool_words *words, const char **why)
{
    bool none = words->lanes && strcmp(words->lanes, "none") == 0;
    const struct milgi__lanes_kind *kind = none ? NULL : milgi__lanes_kind(words->lanes ? words->lanes : "mb");

    pool->kind = milgi__lanes_kind("libcrypto");
    if (none || (!words->lanes && (!kind || kind->unusable())))
        return 0;
    *why = !kind ? lanes_why : kind->unusable();
    if (*why)
        return !kind && strcmp(words->lanes, "mb") != 0 ? MILGI_EINVAL : MILGI_EUNSUPPORTED;
    pool->kind = kind;
    if (milgi__lanes_prove(kind, 0, &pool->rows, pool->note) != 0)
        return MILGI_ENOMEM;
    pool->device.note = pool->note[0] ? pool->note : NULL;
    return 0;
}

int milgi__device_pool_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why)
{
    unsigned here = cores();
    struct pool_words words = {
        .workers = here,
        .min = UINT32_MAX,
        .depth = DEPTH_DEFAULT,
        .spin_ns = UINT64_MAX,
        .memory_size = MEMORY_DEFAULT,
    };
    struct milgi__crew_options options = { .ops = &crew_ops };
    struct pool *pool;
    int error;

    error = read_words(spec, &words, why);
    if (error != 0)
        return error;
    /* A worker that looks for work takes its core from those that have some, the engines among them. */
    if (words.spin_ns == UINT64_MAX)
        words.spin_ns = words.workers < here ? SPIN_NS : 0;
    pool = milgi__alloc(sizeof *pool);
    if (!pool)
        return MILGI_ENOMEM;
    pool->workers = options.workers = (unsigned)words.workers;
    options.depth = (unsigned)words.depth;
    options.spin_ns = words.spin_ns;
    error = make_lanes(pool, &words, why);
    if (error == 0 && !make_memory(pool, &words)) {
        *why = "pool: not enough memory";
        error = MILGI_ENOMEM;
    }
    if (error != 0) {
        milgi__free(pool);
        return error;
    }
    options.ctx = pool;
    error = milgi__crew_new(&options, &pool->crew);
    if (error != 0) {
        milgi__arena_free(pool->memory);
        milgi__free(pool);
        *why = "pool: the threads or their contexts cannot be made";
        return MILGI_ENOMEM;
    }
    pool->device.caps = (struct milgi_device_caps){
        .flags = MILGI_CAP_SCATTER | MILGI_CAP_CANCEL | MILGI_CAP_KEY_LOAD | MILGI_CAP_HASHED | MILGI_CAP_VERIFIES |
            pool->kind->caps | (pool->rows ? MILGI_CAP_TOGETHER : 0),
        .ops = MILGI_OP_BIT(MILGI_OP_TYPES) - 1,
        .parallelism = (uint32_t)words.workers,
        .max_in_flight = (uint32_t)words.depth,
        .best_batch = MILGI__MIN((uint32_t)words.depth, 32),
        .min_record = (uint32_t)words.min,
        .wake_ns = WAKE_NS,
    };
    *device = &pool->device;
    return 0;
}
