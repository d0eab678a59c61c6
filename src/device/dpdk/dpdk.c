/* SPDX-License-Identifier: Apache-2.0 */
/* The device: its words, what it says of itself, its queue pairs; and the module that it is in. */
#include "device/dpdk/dpdk.h"

#include <stdio.h>

#include <rte_malloc.h>

#include <milgi/milgi.h>

#include "device/spec.h"

#define DEPTH_DEFAULT 256
#define DEPTH_MAX 4096
#define MEMORY_DEFAULT (UINT64_C(64) << 20)
#define MEMORY_ROOM (UINT64_C(192) << 20) /* of EAL's beside the first device's slabs */
#define SESSIONS_DEFAULT 1024
#define SESSIONS_MAX (1u << 20)
#define WAKE_NS 2000

/* --- on the engines' threads ------------------------------------------------------------------------------------ */

static struct dpdk_device *of(struct milgi_device *device)
{
    return MILGI__ENTRY(device, struct dpdk_device, device);
}

static int dpdk_supports(struct milgi_device *device, int type, uint16_t alg)
{
    if (type == MILGI_OP_SIGN)
        return of(device)->rsa && dpdk_rsa_scheme(alg);
    int aead = dpdk_aead_of(alg);
    return (type == MILGI_OP_SEAL || type == MILGI_OP_OPEN) && aead >= 0 && of(device)->aead[aead];
}

static void leave_place(struct milgi_qp *qp)
{
    qp->dpdk->queue[qp->index].users--;
    qp->dpdk->qp[qp->place] = NULL;
    dpdk_qp_free(qp);
}

/* A free place, or that of one which was abandoned and has come to its end since; DPDK_ENGINES_MAX: none. */
static unsigned place(struct dpdk_device *dpdk)
{
    unsigned i = 0;

    while (i < DPDK_ENGINES_MAX && dpdk->qp[i] && !(dpdk->qp[i]->abandoned && dpdk_qp_over(dpdk->qp[i])))
        i++;
    if (i < DPDK_ENGINES_MAX && dpdk->qp[i])
        leave_place(dpdk->qp[i]);
    return i;
}

/* The queue pair of the cryptodev that the fewest have. */
static unsigned queue_of(const struct dpdk_device *dpdk)
{
    unsigned best = 0;

    for (unsigned i = 1; i < dpdk->queues; i++) {
        if (dpdk->queue[i].users < dpdk->queue[best].users)
            best = i;
    }
    return best;
}

/*
 * Of DPDK's lists: devices are made and ended one at a time, by whatever threads, and nobody looks through a list
 * meanwhile.
 */
static pthread_mutex_t lists = PTHREAD_MUTEX_INITIALIZER;

static struct milgi_qp *qp_open(struct dpdk_device *dpdk, const struct milgi_clock *clock)
{
    pthread_mutex_lock(&lists);
    struct milgi_qp *qp = dpdk_qp_open(dpdk, clock);
    pthread_mutex_unlock(&lists);
    return qp;
}

static struct milgi_qp *dpdk_qp_open_any(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct dpdk_device *dpdk = of(device);

    pthread_mutex_lock(&dpdk->lock);
    unsigned i = place(dpdk), queue = queue_of(dpdk);
    bool room = i < DPDK_ENGINES_MAX && dpdk->queue[queue].users < dpdk->share;
    struct milgi_qp *qp = room ? qp_open(dpdk, clock) : NULL;
    if (qp) {
        qp->place = i;
        qp->index = (uint16_t)queue;
        dpdk->queue[qp->index].users++;
        dpdk->qp[i] = qp;
    }
    pthread_mutex_unlock(&dpdk->lock);
    return qp;
}

static void dpdk_qp_end(struct milgi_qp *qp)
{
    struct dpdk_device *dpdk = qp->dpdk;

    pthread_mutex_lock(&dpdk->lock);
    if (qp->in_flight > 0)
        qp->abandoned = true;
    else
        leave_place(qp);
    pthread_mutex_unlock(&dpdk->lock);
}

static void *dpdk_key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    return dpdk_key_new(qp, key);
}

static void dpdk_key_forget(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    if (key->kind == MILGI_KEY_AEAD) {
        dpdk_sessions_forget(qp->dpdk, &qp->sessions, key->serial);
        qp->dpdk->host->aead_forget(qp->cx, key->serial);
    }
    dpdk_key_free(qp, loaded);
}

static int dpdk_notify_fd(struct milgi_qp *qp)
{
    (void)qp;
    return -1;
}

/* A cryptodev that works in our calls has finished when it is asked. */
static uint64_t dpdk_next_event(struct milgi_qp *qp)
{
    return qp->first ? 0 : UINT64_MAX;
}

static void *dpdk_chunk_alloc(struct milgi_device *device, size_t size)
{
    return size == MILGI_MEMORY_SLAB ? dpdk_slabs_take(of(device)->slabs) : NULL;
}

static void dpdk_chunk_free(struct milgi_device *device, void *memory, size_t size)
{
    (void)size;
    dpdk_slabs_give(of(device)->slabs, memory);
}

/* --- ended ------------------------------------------------------------------------------------------------------ */

static void free_device(struct dpdk_device *dpdk)
{
    pthread_mutex_lock(&lists);
    dpdk_cryptodev_close(dpdk);
    pthread_mutex_unlock(&lists);
    rte_mempool_free(dpdk->asym_sessions);
    rte_free(dpdk->zeros);
    dpdk_slabs_free(dpdk->slabs);
    for (unsigned i = 0; i < DPDK_QUEUES_MAX; i++)
        pthread_mutex_destroy(&dpdk->queue[i].lock);
    pthread_mutex_destroy(&dpdk->lock);
    milgi__free(dpdk);
}

/* What it has not given back it may still write to. */
static void dpdk_destroy(struct milgi_device *device)
{
    struct dpdk_device *dpdk = of(device);
    bool over = true;

    for (unsigned i = 0; i < DPDK_ENGINES_MAX; i++) {
        if (!dpdk->qp[i])
            continue;
        if (dpdk_qp_over(dpdk->qp[i]))
            leave_place(dpdk->qp[i]);
        else
            over = false;
    }
    if (over)
        free_device(dpdk);
    else
        dpdk->host->leave(device);
}

static const struct milgi_device_ops dpdk_ops = {
    .name = "dpdk",
    .supports = dpdk_supports,
    .qp_open = dpdk_qp_open_any,
    .qp_close = dpdk_qp_end,
    .key_load = dpdk_key_load,
    .key_free = dpdk_key_forget,
    .enqueue = dpdk_qp_enqueue,
    .dequeue = dpdk_qp_dequeue,
    .notify_fd = dpdk_notify_fd,
    .next_event = dpdk_next_event,
    .quiesce = dpdk_qp_quiesce,
    .chunk_alloc = dpdk_chunk_alloc,
    .chunk_free = dpdk_chunk_free,
    .destroy = dpdk_destroy,
};

/* --- made ------------------------------------------------------------------------------------------------------- */

/* The scheduler's own; others it does not refuse, but breaks by. */
static bool is_mode(const char *mode)
{
    static const char *const modes[] = { "multi-core", "round-robin", "packet-size-distr", "fail-over" };
    unsigned i = 0;

    while (i < MILGI__COUNT(modes) && strcmp(modes[i], mode) != 0)
        i++;
    return i < MILGI__COUNT(modes);
}

static const char mode_why[] = "dpdk: mode is multi-core, round-robin, packet-size-distr or fail-over";
static const char one_of[] = "dpdk: one of vdev=, pci= and name= says which cryptodev, or pci= and name= together";

static int read_words(const struct milgi__spec *spec, struct dpdk_words *words, const char *memory, const char **why)
{
    const char *size = NULL;
    const struct milgi__spec_word table[] = {
        { "vdev", MILGI__SPEC_TEXT, &words->vdev, 0, 0, "dpdk: vdev is a driver's name, as crypto_aesni_mb" },
        { "args", MILGI__SPEC_TEXT, &words->arguments, 0, 0, "dpdk: args is the vdev's, with + between them" },
        { "pci", MILGI__SPEC_TEXT, &words->pci, 0, 0, "dpdk: pci is an address, as 0000:3d:01.0" },
        { "name", MILGI__SPEC_TEXT, &words->name, 0, 0, "dpdk: name is a cryptodev's" },
        { "eal", MILGI__SPEC_TEXT, &words->eal, 0, 0, "dpdk: eal is arguments of EAL's, with + between them" },
        { "worker", MILGI__SPEC_TEXT, &words->worker, 0, 0, "dpdk: worker is a driver's name" },
        { "workers", MILGI__SPEC_NUMBER, &words->workers, 1, DPDK_WORKERS_MAX, "dpdk: workers is 1 to 8" },
        { "mode", MILGI__SPEC_TEXT, &words->mode, 0, 0, mode_why },
        { "memory", MILGI__SPEC_TEXT, &size, 0, 0, memory },
        { "depth", MILGI__SPEC_NUMBER, &words->depth, 1, DEPTH_MAX, "dpdk: depth is 1 to 4096 ops" },
        { "queues", MILGI__SPEC_NUMBER, &words->queues, 1, DPDK_QUEUES_MAX, "dpdk: queues is 1 to 64" },
        { "sessions", MILGI__SPEC_NUMBER, &words->sessions, 1, SESSIONS_MAX, "dpdk: sessions is 1 to 1048576" },
        { "records", MILGI__SPEC_NUMBER, &words->records, 0, UINT32_MAX, "dpdk: records is a number of bytes" },
        { "huge", MILGI__SPEC_FLAG, &words->huge, 0, 0, "dpdk: huge has no value" },
        { "copy", MILGI__SPEC_FLAG, &words->copy, 0, 0, "dpdk: copy has no value" },
    };

    int error = milgi__spec_read(spec, 0, table, MILGI__COUNT(table),
        "dpdk: the words are vdev=, args=, pci=, name=, eal=, worker=, workers=, mode=, memory=, depth=, queues=, "
        "sessions=, records=, huge, copy",
        why);
    if (error == 0 && size &&
        (!milgi__spec_size(size, &words->memory) || words->memory == 0 || words->memory % MILGI_MEMORY_SLAB != 0)) {
        *why = memory;
        error = MILGI_EINVAL;
    }
    if (error == 0 && !is_mode(words->mode)) {
        *why = mode_why;
        error = MILGI_EINVAL;
    }
    if (error == 0 && !words->vdev == !(words->pci || words->name)) {
        *why = one_of;
        error = MILGI_EINVAL;
    }
    return error;
}

static struct milgi_device_caps caps_of(const struct dpdk_device *dpdk, const struct dpdk_words *words)
{
    bool records = false;

    for (int i = 0; i < DPDK_AEADS; i++)
        records |= dpdk->aead[i];
    return (struct milgi_device_caps){
        .flags = MILGI_CAP_SCATTER | (dpdk->rsa ? MILGI_CAP_KEY_LOAD : 0) | (dpdk->caller ? MILGI_CAP_CALLER : 0) |
            (dpdk->reaches_all || dpdk->copies ? 0 : MILGI_CAP_OWN_MEMORY),
        .ops = (records ? MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN) : 0) |
            (dpdk->rsa ? MILGI_OP_BIT(MILGI_OP_SIGN) : 0),
        .parallelism = dpdk->caller ? 1 : dpdk->cores ? (uint32_t)words->workers
                                                      : MILGI__MIN(dpdk->depth, 32),
        .max_in_flight = dpdk->depth,
        .best_batch = MILGI__MIN(dpdk->depth, DPDK_BURST),
        .min_record = (uint32_t)words->records,
        .wake_ns = dpdk->caller ? 0 : WAKE_NS,
    };
}

/* Whether an engine can have a queue pair, which is when it would come to light otherwise. */
static bool engine_fits(struct dpdk_device *dpdk)
{
    struct milgi_qp *qp = dpdk_qp_open(dpdk, NULL);

    if (qp)
        dpdk_qp_free(qp);
    return qp != NULL;
}

static int make_parts(struct dpdk_device *dpdk, const struct dpdk_words *words, const char **why)
{
    int error = dpdk_cryptodev_open(dpdk, words, why);

    if (error == 0)
        error = dpdk_cryptodev_look(dpdk, why);
    if (error != 0)
        return error;
    dpdk->sessions_max = MILGI__MAX((unsigned)words->sessions, dpdk->depth);
    dpdk->slabs = dpdk_slabs_new(words->memory, dpdk->socket);
    dpdk->zeros = rte_zmalloc_socket("milgi", DPDK_INPUT_MAX, RTE_CACHE_LINE_SIZE, dpdk->socket);
    if (!dpdk->slabs || !dpdk->zeros) {
        *why = "dpdk: EAL has not so much memory (memory= of the process's first device says how much it takes)";
        return MILGI_ENOMEM;
    }
    error = dpdk_cryptodev_start(dpdk, why);
    if (error == 0 && !engine_fits(dpdk)) {
        *why = "dpdk: EAL has not enough memory for an engine with so many sessions= and such a depth= (the memory= of "
               "the process's first device, and 192m, is what it takes)";
        error = MILGI_ENOMEM;
    }
    return error;
}

static int make(const struct milgi__module_host *host, const struct milgi__spec *spec, struct milgi_device **device,
    const char **why)
{
    struct dpdk_words words = { .worker = "crypto_aesni_mb",
        .workers = 1,
        .mode = "multi-core",
        .memory = MEMORY_DEFAULT,
        .depth = DEPTH_DEFAULT,
        .queues = 8,
        .sessions = SESSIONS_DEFAULT };
    int error = read_words(spec, &words, "dpdk: memory is a size, in steps of 2m", why);

    if (error != 0)
        return error;
    struct dpdk_eal_options eal = {
        .arguments = words.eal, .pci = words.pci, .memory = words.memory + MEMORY_ROOM, .huge = words.huge
    };
    error = dpdk_eal_begin(&eal, why);
    if (error != 0)
        return error;
    struct dpdk_device *dpdk = milgi__alloc(sizeof *dpdk);
    if (!dpdk)
        return MILGI_ENOMEM;
    pthread_mutex_init(&dpdk->lock, NULL);
    for (unsigned i = 0; i < DPDK_QUEUES_MAX; i++)
        pthread_mutex_init(&dpdk->queue[i].lock, NULL);
    dpdk->host = host;
    dpdk->depth = (unsigned)words.depth;
    dpdk->queues = (unsigned)words.queues;
    dpdk->copies = words.copy;
    pthread_mutex_lock(&lists);
    error = make_parts(dpdk, &words, why);
    pthread_mutex_unlock(&lists);
    if (error != 0) {
        free_device(dpdk);
        return error;
    }
    dpdk->device.ops = &dpdk_ops;
    dpdk->device.caps = caps_of(dpdk, &words);
    *device = &dpdk->device;
    return 0;
}

/* --- the module ------------------------------------------------------------------------------------------------- */

const struct milgi_device_module milgi_device_dpdk = {
    .magic = MILGI__MODULE_MAGIC,
    .abi = MILGI__MODULE_ABI,
    .version = MILGI_MODULE_FOR,
    .name = "dpdk",
    .make = make,
};

void milgi_device_dpdk_stats(const struct milgi_device *device, struct milgi_device_dpdk_stats *stats)
{
    const struct dpdk_device *dpdk = (const struct dpdk_device *)(const void *)device;

    *stats = (struct milgi_device_dpdk_stats){
        .cryptodev_ops = atomic_load_explicit(&dpdk->cryptodev_ops, memory_order_relaxed),
        .software_ops = atomic_load_explicit(&dpdk->software_ops, memory_order_relaxed),
        .bytes_copied = atomic_load_explicit(&dpdk->bytes_copied, memory_order_relaxed),
        .segments = atomic_load_explicit(&dpdk->segments, memory_order_relaxed),
        .sessions = atomic_load_explicit(&dpdk->session_n, memory_order_relaxed),
    };
}

uint8_t milgi_device_dpdk_id(const struct milgi_device *device)
{
    return ((const struct dpdk_device *)(const void *)device)->id;
}
