/* SPDX-License-Identifier: Apache-2.0 */
/* sim: an accelerator that is only modelled. The results are real, the times are the model's. */
#include <stdatomic.h>

#include "crypto/aead.h"
#include "device/arena.h"
#include "device/sim/manual.h"
#include "device/sim/model.h"
#include "device/spec.h"
#include "device/worker/timer.h"

#define COUNT_MAX 65536
#define TIME_MAX (3600 * UINT64_C(1000000000))
#define CANNED_MAX 4
#define WAKE_NS 2000
#define MEMORY_DEFAULT (UINT64_C(64) << 20)
#define CODE_OUT_OF_REACH 16 /* device_code: a pointer of the op leads out of the device's memory */

struct sim {
    struct milgi_device device;
    struct milgi_device_ops ops;
    struct milgi__arena *memory; /* all that it reaches; NULL: it reaches everything */
    uint64_t latency_ns[MILGI_OP_TYPES], kib_ns, jitter_ns, load_ns, units, depth, seed;
    bool in_order, canned, manual, full;
    _Atomic uint64_t opened;
    struct milgi_qp *qps; /* manual only: all engines are on one thread then */
};

struct milgi_qp {
    struct sim *sim;
    const struct milgi_clock *clock;
    struct milgi__crypto *cx;
    struct milgi__sim_model model;
    struct milgi__timer timer;
    bool armed; /* asked for a notification and not given an op since */
    struct milgi_qp *next;
};

/* A signature that was made once and is given out again. */
struct canned {
    uint16_t scheme, len;
    uint8_t sig[MILGI_SIGNATURE_MAX];
};

struct sim_key {
    void *loaded;
    uint64_t ready_ns; /* when the device has loaded it */
    unsigned canned_n;
    struct canned canned[]; /* CANNED_MAX of them, if the device is to can */
};

/* --- what ops become -------------------------------------------------------------------------------------------- */

static struct sim_key *key_of(const struct milgi_op *op)
{
    if (!op->key || op->key->kind == MILGI_KEY_AEAD || op->dev >= MILGI_DEVICES_MAX)
        return NULL;
    return op->key->loaded.dev[op->dev];
}

static void perform_now(struct milgi_qp *qp, struct milgi_op *op)
{
    const struct sim_key *key = key_of(op);

    milgi__op_perform(qp->cx, op, !key ? NULL : key->loaded);
}

static bool give_canned(const struct sim_key *key, struct milgi_op *op)
{
    for (unsigned i = 0; i < key->canned_n; i++) {
        const struct canned *can = &key->canned[i];
        if (can->scheme != op->alg)
            continue;
        memcpy(op->u.sign.sig, can->sig, can->len);
        op->u.sign.sig_len = can->len;
        op->status = MILGI_OP_OK;
        return true;
    }
    return false;
}

static void sign_canned(struct milgi_qp *qp, struct milgi_op *op)
{
    struct sim_key *key = key_of(op);

    if (key && give_canned(key, op))
        return;
    perform_now(qp, op);
    if (!key || op->status != MILGI_OP_OK || key->canned_n == CANNED_MAX || milgi__sign_long(op) != 0)
        return;
    struct canned *can = &key->canned[key->canned_n++];
    can->scheme = op->alg;
    can->len = op->u.sign.sig_len;
    memcpy(can->sig, op->u.sign.sig, can->len);
}

static bool reaches(const struct sim *sim, const void *p, size_t len)
{
    return !sim->memory || milgi__arena_has(sim->memory, p, len);
}

static bool reaches_record(const struct sim *sim, const struct milgi_op_aead *aead)
{
    for (unsigned i = 0; i < MILGI__MIN(aead->src_n, MILGI_OP_SLICES); i++) {
        if (!reaches(sim, aead->src[i].data, aead->src[i].len))
            return false;
    }
    return !aead->dst || reaches(sim, aead->dst, aead->dst_len);
}

/* Whether all that the op points to lies where the device can read and write. */
static bool reaches_all(const struct sim *sim, const struct milgi_op *op)
{
    switch (op->type) {
    case MILGI_OP_SEAL:
    case MILGI_OP_OPEN: return reaches_record(sim, &op->u.aead);
    case MILGI_OP_KEYGEN:
    case MILGI_OP_DERIVE:
    case MILGI_OP_DECAPS: return reaches(sim, op->u.kex.share.data, op->u.kex.share.len);
    case MILGI_OP_ENCAPS:
        return reaches(sim, op->u.kex.share.data, op->u.kex.share.len) &&
            reaches(sim, op->u.kex.ciphertext.data, op->u.kex.ciphertext.len);
    case MILGI_OP_SIGN:
        return (op->u.sign.input_len != MILGI_SIGN_INPUT_IN_BLOB && milgi__sign_long(op) == 0) ||
            reaches(sim, op->u.sign.blob.data, op->u.sign.blob.len);
    case MILGI_OP_VERIFY: return reaches(sim, op->u.sign.blob.data, op->u.sign.blob.len);
    case MILGI_OP_VERIFY_CHAIN:
        return reaches(sim, op->u.chain.chain.data, op->u.chain.chain.len + op->u.chain.ocsp_len);
    default: return true;
    }
}

/* What the contract says of a wrong tag holds for one that is only said to be wrong. */
static void wipe_plaintext(struct milgi_op_aead *aead)
{
    uint32_t at = 0;

    for (unsigned i = 0; i < MILGI__MIN(aead->src_n, MILGI_OP_SLICES); i++) {
        uint32_t len = aead->src[i].len;
        if (aead->in_place) {
            milgi__wipe(aead->src[i].data, len);
            continue;
        }
        len = MILGI__MIN(len, aead->dst_len - at);
        milgi__wipe(aead->dst + at, len);
        at += len;
    }
}

static void reject(struct milgi_op *op)
{
    op->status = MILGI_OP_REJECTED;
    if (op->type == MILGI_OP_OPEN)
        wipe_plaintext(&op->u.aead);
    if (op->type != MILGI_OP_VERIFY_CHAIN)
        return;
    op->u.chain.verdict = 1; /* X509_V_ERR_UNSPECIFIED */
    op->u.chain.alert = MILGI_ALERT_BAD_CERTIFICATE;
}

/* The model says that the op has ended. */
static void ended(void *ctx, struct milgi_op *op, enum milgi_op_status status)
{
    struct milgi_qp *qp = ctx;

    if ((status == MILGI_OP_OK || status == MILGI_OP_REJECTED) && !reaches_all(qp->sim, op)) {
        op->status = MILGI_OP_BROKEN;
        op->device_code = CODE_OUT_OF_REACH;
    } else if (status == MILGI_OP_OK && qp->sim->canned && op->type == MILGI_OP_SIGN)
        sign_canned(qp, op);
    else if (status == MILGI_OP_OK)
        perform_now(qp, op);
    else if (status == MILGI_OP_REJECTED)
        reject(op);
    else
        op->status = (uint8_t)status;
}

/* --- the queue pair --------------------------------------------------------------------------------------------- */

static void catch_up(struct milgi_qp *qp)
{
    milgi__sim_model_advance(&qp->model, qp->clock->monotonic_ns(qp->clock->ctx));
}

static struct milgi_qp *new_qp(struct sim *sim, const struct milgi_clock *clock)
{
    struct milgi_qp *qp = milgi__alloc(sizeof *qp);

    if (!qp)
        return NULL;
    qp->sim = sim;
    qp->clock = clock;
    qp->model.kib_ns = sim->kib_ns;
    qp->model.jitter_ns = sim->jitter_ns;
    qp->model.units = sim->manual ? 0 : (unsigned)sim->units;
    qp->model.depth = (unsigned)sim->depth;
    qp->model.in_order = sim->in_order;
    qp->model.random = sim->seed + atomic_fetch_add(&sim->opened, 1);
    qp->model.ended = ended;
    qp->model.ctx = qp;
    memcpy(qp->model.latency_ns, sim->latency_ns, sizeof sim->latency_ns);
    if (milgi__sim_model_init(&qp->model) != 0)
        goto no_model;
    qp->cx = milgi__crypto_new();
    if (!qp->cx)
        goto no_crypto;
    if (!milgi__timer_init(&qp->timer))
        goto no_timer;
    return qp;
no_timer:
    milgi__crypto_free(qp->cx);
no_crypto:
    milgi__sim_model_fini(&qp->model);
no_model:
    milgi__free(qp);
    return NULL;
}

static struct milgi_qp *sim_qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct sim *sim = MILGI__ENTRY(device, struct sim, device);
    struct milgi_qp *qp = new_qp(sim, clock), **end = &sim->qps;

    if (!qp || !sim->manual)
        return qp;
    while (*end)
        end = &(*end)->next;
    *end = qp;
    return qp;
}

static void sim_qp_close(struct milgi_qp *qp)
{
    struct milgi_qp **at = &qp->sim->qps;

    if (qp->sim->manual) {
        while (*at != qp)
            at = &(*at)->next;
        *at = qp->next;
    }
    milgi__timer_fini(&qp->timer);
    milgi__crypto_free(qp->cx);
    milgi__sim_model_fini(&qp->model);
    milgi__free(qp);
}

static void *sim_key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    unsigned cans = qp->sim->canned ? CANNED_MAX : 0;
    struct sim_key *mine = milgi__alloc(sizeof *mine + cans * sizeof(struct canned));

    if (!mine)
        return NULL;
    mine->loaded = milgi__loaded_new(qp->cx, key);
    if (!mine->loaded) {
        milgi__free(mine);
        return NULL;
    }
    mine->ready_ns = qp->clock->monotonic_ns(qp->clock->ctx) + qp->sim->load_ns;
    return mine;
}

static void sim_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    struct sim_key *mine = loaded;

    if (key->kind == MILGI_KEY_AEAD)
        milgi__aead_forget(qp->cx, key->serial);
    if (!mine)
        return;
    milgi__loaded_free(key, mine->loaded);
    milgi__free(mine);
}

/* Has the descriptor ring at the next event. */
static void set_alarm(struct milgi_qp *qp)
{
    uint64_t next = milgi__sim_model_next(&qp->model);

    milgi__timer_set(&qp->timer, next == UINT64_MAX ? next : next - qp->model.now_ns);
}

static unsigned sim_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    if (qp->sim->full)
        return 0;
    catch_up(qp);
    n = MILGI__MIN(n, qp->model.depth - qp->model.in_flight);
    for (unsigned i = 0; i < n; i++) {
        const struct sim_key *key = key_of(ops[i]);
        milgi__sim_model_submit(&qp->model, ops[i], !key ? 0 : key->ready_ns);
    }
    if (qp->armed && !qp->timer.set)
        set_alarm(qp);
    return n;
}

static unsigned sim_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned got = 0;

    milgi__timer_clear(&qp->timer);
    catch_up(qp);
    while (got < n && milgi__sim_model_some(&qp->model))
        ops[got++] = milgi__sim_model_take(&qp->model);
    qp->armed = qp->armed && got == 0;
    if (qp->armed && !qp->timer.set)
        set_alarm(qp);
    return got;
}

static int sim_notify_fd(struct milgi_qp *qp)
{
    return qp->timer.fd;
}

static uint64_t sim_next_event(struct milgi_qp *qp)
{
    return milgi__sim_model_next(&qp->model);
}

static int sim_arm(struct milgi_qp *qp)
{
    catch_up(qp);
    if (milgi__sim_model_some(&qp->model))
        return 1;
    qp->armed = true;
    set_alarm(qp);
    return 0;
}

static void sim_cancel(struct milgi_qp *qp, struct milgi_op *op)
{
    catch_up(qp);
    if (!qp->sim->manual)
        (void)milgi__sim_model_end(&qp->model, op, MILGI_OP_CANCELLED);
}

static int sim_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    (void)limit_ns; /* what it is at is done on the spot */
    catch_up(qp);
    milgi__sim_model_flush(&qp->model);
    return 0;
}

static void *sim_chunk_alloc(struct milgi_device *device, size_t size)
{
    return size == MILGI_MEMORY_SLAB ? milgi__arena_take(MILGI__ENTRY(device, struct sim, device)->memory) : NULL;
}

static void sim_chunk_free(struct milgi_device *device, void *memory, size_t size)
{
    (void)size;
    milgi__arena_give(MILGI__ENTRY(device, struct sim, device)->memory, memory);
}

static void sim_destroy(struct milgi_device *device)
{
    struct sim *sim = MILGI__ENTRY(device, struct sim, device);

    milgi__arena_free(sim->memory);
    milgi__free(sim);
}

static const struct milgi_device_ops sim_ops = {
    .name = "sim",
    .qp_open = sim_qp_open,
    .qp_close = sim_qp_close,
    .key_load = sim_key_load,
    .key_free = sim_key_free,
    .enqueue = sim_enqueue,
    .dequeue = sim_dequeue,
    .notify_fd = sim_notify_fd,
    .arm = sim_arm,
    .next_event = sim_next_event,
    .cancel = sim_cancel,
    .quiesce = sim_quiesce,
    .destroy = sim_destroy,
};

/* --- by hand ---------------------------------------------------------------------------------------------------- */

/* The i-th op that is pending, over all queue pairs in the order in which they were opened. */
static struct milgi_op *pending(struct sim *sim, unsigned i, struct milgi_qp **of)
{
    for (struct milgi_qp *qp = sim->qps; qp; qp = qp->next) {
        struct milgi_op *op;
        for (unsigned k = 0; (op = milgi__sim_model_waiting(&qp->model, k)); k++) {
            if (i-- > 0)
                continue;
            *of = qp;
            return op;
        }
    }
    return NULL;
}

unsigned milgi__sim_pending(struct milgi_device *device, struct milgi_op **ops, unsigned n)
{
    struct sim *sim = MILGI__ENTRY(device, struct sim, device);
    unsigned got = 0;

    for (struct milgi_qp *qp = sim->qps; qp; qp = qp->next) {
        struct milgi_op *op = milgi__sim_model_waiting(&qp->model, 0);
        for (; op && got < n; op = milgi__sim_model_behind(op))
            ops[got++] = op;
    }
    return got;
}

void milgi__sim_finish(struct milgi_device *device, unsigned i, enum milgi_op_status status)
{
    struct milgi_qp *qp;
    struct milgi_op *op = pending(MILGI__ENTRY(device, struct sim, device), i, &qp);

    if (op && status != MILGI_OP_LOST)
        (void)milgi__sim_model_end(&qp->model, op, status);
}

void milgi__sim_refuse(struct milgi_device *device, bool full)
{
    MILGI__ENTRY(device, struct sim, device)->full = full;
}

bool milgi__sim_reaches(const struct milgi_device *device, const void *p, size_t len)
{
    return reaches(MILGI__ENTRY(device, struct sim, device), p, len);
}

/* --- making ----------------------------------------------------------------------------------------------------- */

static const char memory_why[] = "sim: memory is own, or own:SIZE, in steps of 2m up to 1024g";
static const char words_why[] = "sim: the words are latency=, latency.<op type>=, kib=, jitter=, load=, units=, "
                                "depth=, order=, records=, seed=, memory=, canned, manual";

/* What is not the model's own. */
struct sim_words {
    uint64_t latency_ns, records, memory_size;
    const char *order, *memory;
};

static int read_words(struct sim *sim, const struct milgi__spec *spec, struct sim_words *words, const char **why)
{
#define LATENCY(name, type) \
    { \
        "latency." name, MILGI__SPEC_TIME, &sim->latency_ns[type], 0, TIME_MAX, "sim: a latency is a time up to 1 h" \
    }
    const struct milgi__spec_word table[] = {
        { "latency", MILGI__SPEC_TIME, &words->latency_ns, 0, TIME_MAX, "sim: latency is a time up to 1 h" },
        LATENCY("seal", MILGI_OP_SEAL),
        LATENCY("open", MILGI_OP_OPEN),
        LATENCY("keygen", MILGI_OP_KEYGEN),
        LATENCY("derive", MILGI_OP_DERIVE),
        LATENCY("encaps", MILGI_OP_ENCAPS),
        LATENCY("decaps", MILGI_OP_DECAPS),
        LATENCY("sign", MILGI_OP_SIGN),
        LATENCY("verify", MILGI_OP_VERIFY),
        LATENCY("verify_chain", MILGI_OP_VERIFY_CHAIN),
        { "kib", MILGI__SPEC_TIME, &sim->kib_ns, 0, TIME_MAX / 1024, "sim: kib is a time up to 3 s" },
        { "jitter", MILGI__SPEC_TIME, &sim->jitter_ns, 0, TIME_MAX, "sim: jitter is a time up to 1 h" },
        { "load", MILGI__SPEC_TIME, &sim->load_ns, 0, TIME_MAX, "sim: load is a time up to 1 h" },
        { "units", MILGI__SPEC_NUMBER, &sim->units, 1, COUNT_MAX, "sim: units is 1 to 65536" },
        { "depth", MILGI__SPEC_NUMBER, &sim->depth, 1, COUNT_MAX, "sim: depth is 1 to 65536 ops" },
        { "order", MILGI__SPEC_TEXT, &words->order, 0, 0, "sim: order is in or out" },
        { "records", MILGI__SPEC_NUMBER, &words->records, 0, UINT32_MAX, "sim: records is a number of bytes" },
        { "seed", MILGI__SPEC_NUMBER, &sim->seed, 0, UINT64_MAX, "sim: seed is a number" },
        { "memory", MILGI__SPEC_TEXT, &words->memory, 0, 0, memory_why },
        { "canned", MILGI__SPEC_FLAG, &sim->canned, 0, 0, "sim: canned takes no value" },
        { "manual", MILGI__SPEC_FLAG, &sim->manual, 0, 0, "sim: manual takes no value" },
    };
#undef LATENCY
    for (int type = 0; type < MILGI_OP_TYPES; type++)
        sim->latency_ns[type] = UINT64_MAX;
    int error = milgi__spec_read(spec, 0, table, MILGI__COUNT(table), words_why, why);
    if (error != 0)
        return error;
    for (int type = 0; type < MILGI_OP_TYPES; type++) {
        if (sim->latency_ns[type] == UINT64_MAX)
            sim->latency_ns[type] = words->latency_ns;
    }
    if (strcmp(words->order, "in") != 0 && strcmp(words->order, "out") != 0) {
        *why = "sim: order is in or out";
        return MILGI_EINVAL;
    }
    sim->in_order = words->order[0] == 'i';
    if (words->memory && !milgi__arena_word(words->memory, "own", &words->memory_size)) {
        *why = memory_why;
        return MILGI_EINVAL;
    }
    return 0;
}

/* All that it reaches. */
static bool make_memory(struct sim *sim, const struct sim_words *words)
{
    sim->ops = sim_ops;
    sim->device.ops = &sim->ops;
    if (!words->memory)
        return true;
    sim->memory = milgi__arena_new(words->memory_size);
    sim->ops.chunk_alloc = sim_chunk_alloc;
    sim->ops.chunk_free = sim_chunk_free;
    return sim->memory != NULL;
}

int milgi__device_sim_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why)
{
    struct sim *sim = milgi__alloc(sizeof *sim);
    struct sim_words words = { .latency_ns = 1000000, .memory_size = MEMORY_DEFAULT, .order = "out" };

    if (!sim)
        return MILGI_ENOMEM;
    sim->units = 1;
    sim->depth = 256;
    int error = read_words(sim, spec, &words, why);
    if (error == 0 && !make_memory(sim, &words)) {
        *why = "sim: not enough memory";
        error = MILGI_ENOMEM;
    }
    if (error != 0) {
        milgi__free(sim);
        return error;
    }
    sim->device.caps = (struct milgi_device_caps){
        .flags = MILGI_CAP_SCATTER | MILGI_CAP_KEY_LOAD | MILGI_CAP_HASHED | (sim->manual ? 0 : MILGI_CAP_CANCEL) |
            (sim->in_order ? MILGI_CAP_IN_ORDER : 0) | (!sim->memory ? 0 : MILGI_CAP_OWN_MEMORY),
        .ops = MILGI_OP_BIT(MILGI_OP_TYPES) - 1,
        .parallelism = (uint32_t)sim->units,
        .max_in_flight = (uint32_t)sim->depth,
        .best_batch = (uint32_t)MILGI__MIN(sim->depth, 32),
        .min_record = (uint32_t)words.records,
        .wake_ns = WAKE_NS,
    };
    *device = &sim->device;
    return 0;
}
