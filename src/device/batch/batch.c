/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch: like public-key ops of many connections side by side in the processor's vector registers, on the thread of
 * their engine. What an engine brings waits here in a bin for its row; eight of a row are done at once, the rest when
 * the engine asks for results, which it does before the turn ends.
 */
#include "device/batch/batch.h"

#include "device/spec.h"

#define DEPTH 1024u
#define WAIT_NS 200000u /* in which 64 that have said hello at once fill their lanes: 8 in about 50 us */
#define WAIT_MAX_NS 1000000000u
#define FROM_MAX 64u

struct batch {
    struct milgi_device device;
    const struct milgi__lanes_kind *kind;
    uint32_t rows;
    unsigned from;
    char note[MILGI__LANES_NOTE];
};

struct bin {
    struct milgi__lane lane[MILGI__LANES];
    unsigned n;
};

struct milgi_qp {
    struct milgi__lanes lanes;
    struct bin bin[MILGI__ROWS];
    uint32_t some;                 /* bins, as bits, that have something */
    struct milgi_op *first, *last; /* done, not yet taken; linked through scratch[0] */
    unsigned n;                    /* in bins and done */
};

/* --- its queue pair --------------------------------------------------------------------------------------------- */

static struct milgi_qp *batch_qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    const struct batch *batch = MILGI__ENTRY(device, struct batch, device);
    struct milgi_qp *qp = milgi__alloc(sizeof *qp);

    if (!qp)
        return NULL;
    qp->lanes = (struct milgi__lanes){
        .kind = batch->kind,
        .cx = milgi__crypto_new(),
        .rows = batch->rows,
        .from = batch->from,
        .now_ns = clock->monotonic_ns,
        .now_ctx = clock->ctx,
    };
    if (!qp->lanes.cx) {
        milgi__free(qp);
        return NULL;
    }
    return qp;
}

static void batch_qp_close(struct milgi_qp *qp)
{
    milgi__crypto_free(qp->lanes.cx);
    milgi__free(qp);
}

static void *batch_key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    return milgi__lanes_key_new(qp->lanes.kind, qp->lanes.cx, key);
}

static void batch_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    (void)qp;
    milgi__lanes_key_free(key, loaded);
}

const struct milgi__lanes *milgi__batch_lanes(const struct milgi_qp *qp)
{
    return &qp->lanes;
}

/* --- ops -------------------------------------------------------------------------------------------------------- */

static void give_back(struct milgi_qp *qp, struct milgi_op *op)
{
    op->scratch[0] = 0;
    if (!qp->first)
        qp->first = op;
    else
        qp->last->scratch[0] = (uint64_t)(uintptr_t)op;
    qp->last = op;
}

static void empty(struct milgi_qp *qp, unsigned row)
{
    struct bin *bin = &qp->bin[row];

    for (unsigned i = 0; i < bin->n; i++)
        give_back(qp, bin->lane[i].op);
    bin->n = 0;
    qp->some &= ~(1u << row);
}

static void run_bin(struct milgi_qp *qp, unsigned row)
{
    milgi__lanes_run(&qp->lanes, (enum milgi__row)row, qp->bin[row].lane, qp->bin[row].n);
    empty(qp, row);
}

static void take(struct milgi_qp *qp, struct milgi_op *op)
{
    bool has_key = op->key && op->key->kind == MILGI_KEY_PRIVATE && op->dev < MILGI_DEVICES_MAX;
    struct milgi__lane lane = { op, has_key ? op->key->loaded.dev[op->dev] : NULL };
    enum milgi__row row = milgi__lanes_row(&qp->lanes, op, lane.key);

    qp->n++;
    if (row == MILGI__ROWS) {
        milgi__lanes_alone(&qp->lanes, &lane);
        give_back(qp, op);
        return;
    }
    qp->bin[row].lane[qp->bin[row].n++] = lane;
    qp->some |= 1u << row;
    if (qp->bin[row].n == MILGI__LANES)
        run_bin(qp, row);
}

static unsigned batch_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    unsigned i;

    for (i = 0; i < n && qp->n < DEPTH; i++)
        take(qp, ops[i]);
    return i;
}

/* Nobody else is coming: the engine asks when all have had their turn, or when the first has waited long enough. */
static unsigned batch_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned i;

    while (qp->some)
        run_bin(qp, (unsigned)__builtin_ctz(qp->some));
    for (i = 0; i < n && qp->first; i++) {
        ops[i] = qp->first;
        qp->first = (struct milgi_op *)(uintptr_t)qp->first->scratch[0];
        qp->n--;
    }
    return i;
}

static int batch_notify_fd(struct milgi_qp *qp)
{
    (void)qp;
    return -1;
}

static uint64_t batch_next_event(struct milgi_qp *qp)
{
    return qp->n ? 0 : UINT64_MAX;
}

static void batch_cancel(struct milgi_qp *qp, struct milgi_op *op)
{
    for (uint32_t some = qp->some; some; some &= some - 1) {
        unsigned row = (unsigned)__builtin_ctz(some), i = 0;
        struct bin *bin = &qp->bin[row];
        while (i < bin->n && bin->lane[i].op != op)
            i++;
        if (i == bin->n)
            continue;
        bin->lane[i] = bin->lane[--bin->n];
        if (bin->n == 0)
            qp->some &= ~(1u << row);
        op->status = MILGI_OP_CANCELLED;
        give_back(qp, op);
        return;
    }
}

/* Nothing is ever under way; what is in a bin was not begun. */
static int batch_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    (void)limit_ns;
    for (uint32_t some = qp->some; some; some &= some - 1) {
        struct bin *bin = &qp->bin[__builtin_ctz(some)];
        for (unsigned i = 0; i < bin->n; i++)
            bin->lane[i].op->status = MILGI_OP_CANCELLED;
        empty(qp, (unsigned)__builtin_ctz(some));
    }
    return 0;
}

static int batch_supports(struct milgi_device *device, int type, uint16_t alg)
{
    return milgi__rows_have(MILGI__ENTRY(device, struct batch, device)->rows, type, alg);
}

static void batch_destroy(struct milgi_device *device)
{
    milgi__free(MILGI__ENTRY(device, struct batch, device));
}

static const struct milgi_device_ops batch_ops = {
    .name = "batch",
    .supports = batch_supports,
    .qp_open = batch_qp_open,
    .qp_close = batch_qp_close,
    .key_load = batch_key_load,
    .key_free = batch_key_free,
    .enqueue = batch_enqueue,
    .dequeue = batch_dequeue,
    .notify_fd = batch_notify_fd,
    .next_event = batch_next_event,
    .cancel = batch_cancel,
    .quiesce = batch_quiesce,
    .destroy = batch_destroy,
};

/* --- making ----------------------------------------------------------------------------------------------------- */

struct words {
    const char *lanes;
    uint64_t wait_ns, from;
};

static const char lanes_why[] = "batch: lanes is mb or libcrypto";

/* Lanes that run here; NULL: *|why| says why there are none. */
static const struct milgi__lanes_kind *choose(const struct words *words, int *error, const char **why)
{
    const struct milgi__lanes_kind *kind = milgi__lanes_kind(words->lanes);

    *error = MILGI_EUNSUPPORTED;
    if (!kind && strcmp(words->lanes, "mb") == 0) {
        *why = "batch: built without crypto_mb (scripts/crypto_mb/setup brings it), so there are no lanes but those of "
               "libcrypto, which gain nothing";
        return NULL;
    }
    if (!kind) {
        *error = MILGI_EINVAL;
        *why = lanes_why;
        return NULL;
    }
    *why = kind->unusable();
    return *why ? NULL : kind;
}

static struct milgi_device_caps caps_of(const struct batch *batch, uint64_t wait_ns)
{
    return (struct milgi_device_caps){
        .flags = MILGI_CAP_CALLER | MILGI_CAP_CANCEL | MILGI_CAP_KEY_LOAD | MILGI_CAP_HASHED | batch->kind->caps,
        .ops = milgi__rows_ops(batch->rows),
        .parallelism = 1,
        .max_in_flight = DEPTH,
        .best_batch = MILGI__LANES,
        .min_record = UINT32_MAX,
        .gather_ns = (uint32_t)wait_ns,
    };
}

int milgi__batch_make(const struct milgi__lanes_kind *kind, uint64_t wait_ns, unsigned from,
    struct milgi_device **device, const char **why)
{
    struct batch *batch = milgi__alloc(sizeof *batch);

    if (!batch)
        return MILGI_ENOMEM;
    int error = milgi__lanes_prove(kind, from, &batch->rows, batch->note);
    if (error == 0 && !batch->rows) {
        *why = "batch: no algorithm gives the known answers in lanes on this processor";
        error = MILGI_EUNSUPPORTED;
    }
    if (error != 0) {
        milgi__free(batch);
        return error;
    }
    batch->kind = kind;
    batch->from = from;
    batch->device.note = batch->note[0] ? batch->note : NULL;
    batch->device.ops = &batch_ops;
    batch->device.caps = caps_of(batch, wait_ns);
    *device = &batch->device;
    return 0;
}

int milgi__device_batch_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why)
{
    struct words words = { .lanes = "mb", .wait_ns = WAIT_NS };
    const struct milgi__spec_word table[] = {
        { "lanes", MILGI__SPEC_TEXT, &words.lanes, 0, 0, lanes_why },
        { "wait", MILGI__SPEC_TIME, &words.wait_ns, 0, WAIT_MAX_NS, "batch: wait is a time up to 1s" },
        { "from", MILGI__SPEC_NUMBER, &words.from, 1, FROM_MAX, "batch: from is 1 to 64 ops" },
    };
    const char *unknown = "batch: the words are lanes=, wait=, from=";
    int error = milgi__spec_read(spec, 0, table, MILGI__COUNT(table), unknown, why);

    if (error != 0)
        return error;
    const struct milgi__lanes_kind *kind = choose(&words, &error, why);
    return kind ? milgi__batch_make(kind, words.wait_ns, (unsigned)words.from, device, why) : error;
}
