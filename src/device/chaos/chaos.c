/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chaos: does everything that a device may do, when it likes: keeps ops for a while, gives them back in another order,
 * is full, fails, loses them. What it likes depends on its seed and on the calls that it gets, on nothing else.
 */
#include <stdatomic.h>

#include "crypto/aead.h"
#include "device/spec.h"
#include "device/worker/timer.h"

#define DEPTH_MAX 65536
#define POLLS_MAX 1000000
#define TIME_MAX (3600 * UINT64_C(1000000000))
#define POLL_NS 20000 /* how soon a host that sleeps should poll again while delays are counted in polls */

/* Probabilities, and what a delay is counted in. */
struct liking {
    double delay, reorder, refuse, fail, lose, inlined;
    uint64_t max_delay;
    bool by_time; /* max_delay is a time, else a number of polls */
};

struct chaos {
    struct milgi_device device;
    struct liking liking;
    uint64_t seed, depth;
    _Atomic uint64_t opened;
};

struct milgi_qp {
    struct chaos *chaos;
    const struct milgi_clock *clock;
    struct milgi__crypto *cx;
    struct milgi__timer timer;
    bool armed; /* asked for a notification and not given an op since */
    uint64_t random, polls, polled_ns;
    unsigned in_flight, lost;
    struct milgi_op *first, *last; /* in flight, the oldest first */
};

/* In op.scratch while the device has it. */
struct ticket {
    struct milgi_op *next, *prev;
    uint64_t due;  /* poll or time at which it comes back */
    uint64_t fate; /* enum fate */
};
_Static_assert(sizeof(struct ticket) <= sizeof(((struct milgi_op *)0)->scratch), "the ticket fits an op");

enum fate {
    TO_DO,  /* performed when it comes back */
    DONE,   /* its status is final */
    FAILED, /* comes back BROKEN */
    LOST    /* does not come back before quiesce() */
};

static struct ticket *ticket(const struct milgi_op *op)
{
    return (struct ticket *)(uintptr_t)op->scratch;
}

/* --- chance ----------------------------------------------------------------------------------------------------- */

/* splitmix64 */
static uint64_t draw(struct milgi_qp *qp)
{
    uint64_t z = qp->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool chance(struct milgi_qp *qp, double probability)
{
    return (double)(draw(qp) >> 11) < probability * 9007199254740992.0; /* 2^53 */
}

/* --- one op ----------------------------------------------------------------------------------------------------- */

static void perform(struct milgi_qp *qp, struct milgi_op *op)
{
    void *loaded = NULL;

    if (op->key && op->key->kind != MILGI_KEY_AEAD && op->dev < MILGI_DEVICES_MAX)
        loaded = op->key->loaded.dev[op->dev];
    milgi__op_perform(qp->cx, op, loaded);
}

/* A device that breaks down may leave anything where its results were to go, but nothing elsewhere. */
static void scribble(struct milgi_qp *qp, struct milgi_op *op)
{
    struct milgi_op_aead *aead = &op->u.aead;

    if (op->type == MILGI_OP_SIGN) {
        bool is_long = milgi__sign_long(op) != 0;
        uint8_t *sig = is_long ? op->u.sign.blob.data : op->u.sign.sig;
        for (size_t i = 0; sig && i < (is_long ? op->u.sign.blob.len : sizeof op->u.sign.sig); i++)
            sig[i] = (uint8_t)draw(qp);
        return;
    }
    if (op->type > MILGI_OP_OPEN || aead->in_place || !aead->dst)
        return;
    uint64_t len = op->type == MILGI_OP_SEAL ? 16 + (aead->inner_type == 0 ? 0 : 1u + aead->pad_len) : 0;
    for (unsigned i = 0; i < MILGI__MIN(aead->src_n, MILGI_OP_SLICES); i++)
        len += aead->src[i].len;
    for (uint64_t i = 0; i < MILGI__MIN(len, aead->dst_len); i++)
        aead->dst[i] = (uint8_t)draw(qp);
}

static void finish(struct milgi_qp *qp, struct milgi_op *op)
{
    struct ticket *t = ticket(op);

    if (t->fate == TO_DO)
        perform(qp, op);
    if (t->fate == FAILED) {
        if (chance(qp, 0.5))
            scribble(qp, op);
        op->status = MILGI_OP_BROKEN;
        op->device_code = MILGI_EDEVICE;
    }
    t->fate = DONE;
}

/* When an op that came now comes back. */
static uint64_t draw_due(struct milgi_qp *qp)
{
    const struct liking *liking = &qp->chaos->liking;
    uint64_t now = liking->by_time ? qp->clock->monotonic_ns(qp->clock->ctx) : qp->polls + 1;

    if (liking->max_delay == 0 || !chance(qp, liking->delay))
        return now;
    return now + 1 + draw(qp) % liking->max_delay;
}

static void accept_op(struct milgi_qp *qp, struct milgi_op *op)
{
    const struct liking *liking = &qp->chaos->liking;
    struct ticket *t = ticket(op);

    t->next = NULL;
    t->prev = qp->last;
    if (qp->last)
        ticket(qp->last)->next = op;
    else
        qp->first = op;
    qp->last = op;
    qp->in_flight++;
    t->fate = TO_DO;
    t->due = 0;
    if (chance(qp, liking->lose)) {
        t->fate = LOST;
        qp->lost++;
        return;
    }
    if (chance(qp, liking->fail))
        t->fate = FAILED;
    if (chance(qp, liking->inlined)) {
        finish(qp, op);
        return;
    }
    t->due = draw_due(qp);
    /* Results may be there long before anybody is told of them. */
    if (chance(qp, 0.5))
        finish(qp, op);
}

/* --- the queue pair --------------------------------------------------------------------------------------------- */

static struct milgi_qp *chaos_qp_open(struct milgi_device *device, const struct milgi_clock *clock)
{
    struct milgi_qp *qp = milgi__alloc(sizeof *qp);

    if (!qp)
        return NULL;
    qp->chaos = MILGI__ENTRY(device, struct chaos, device);
    qp->clock = clock;
    qp->random = qp->chaos->seed * UINT64_C(0x100000001b3) + atomic_fetch_add(&qp->chaos->opened, 1);
    qp->cx = milgi__crypto_new();
    if (!qp->cx)
        goto no_crypto;
    if (!milgi__timer_init(&qp->timer))
        goto no_timer;
    return qp;
no_timer:
    milgi__crypto_free(qp->cx);
no_crypto:
    milgi__free(qp);
    return NULL;
}

static void chaos_qp_close(struct milgi_qp *qp)
{
    milgi__timer_fini(&qp->timer);
    milgi__crypto_free(qp->cx);
    milgi__free(qp);
}

static void *chaos_key_load(struct milgi_qp *qp, const struct milgi_key *key)
{
    return milgi__loaded_new(qp->cx, key);
}

static void chaos_key_free(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    if (key->kind == MILGI_KEY_AEAD)
        milgi__aead_forget(qp->cx, key->serial);
    if (loaded)
        milgi__loaded_free(key, loaded);
}

/* The least |due| of what will come back, UINT64_MAX if nothing will. */
static uint64_t first_due(const struct milgi_qp *qp)
{
    uint64_t due = UINT64_MAX;

    for (const struct milgi_op *op = qp->first; op; op = ticket(op)->next) {
        if (ticket(op)->fate != LOST)
            due = MILGI__MIN(due, ticket(op)->due);
    }
    return due;
}

/* Has the descriptor ring when dequeue() should be called again. */
static void set_alarm(struct milgi_qp *qp)
{
    uint64_t due = first_due(qp);

    if (due == UINT64_MAX || !qp->chaos->liking.by_time) {
        milgi__timer_set(&qp->timer, due == UINT64_MAX ? due : POLL_NS);
        return;
    }
    uint64_t now = qp->clock->monotonic_ns(qp->clock->ctx);
    milgi__timer_set(&qp->timer, due > now ? due - now : 0);
}

/* Is full when it likes, but only while something will come back: else the engine would wait for nothing. */
static unsigned accept_some(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (qp->in_flight == qp->chaos->depth)
            return i;
        if (qp->in_flight > qp->lost && chance(qp, qp->chaos->liking.refuse))
            return i;
        accept_op(qp, ops[i]);
    }
    return n;
}

static unsigned chaos_enqueue(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    unsigned accepted = accept_some(qp, ops, n);

    if (qp->armed && !qp->timer.set)
        set_alarm(qp);
    return accepted;
}

static bool is_due(const struct milgi_op *op, uint64_t now)
{
    return ticket(op)->fate != LOST && ticket(op)->due <= now;
}

/* The oldest that is due, or, when it likes, any other that is. */
static struct milgi_op *choose(struct milgi_qp *qp, uint64_t now)
{
    uint64_t due_n = 0;

    for (struct milgi_op *op = qp->first; op; op = ticket(op)->next)
        due_n += is_due(op, now);
    if (due_n == 0)
        return NULL;
    uint64_t skip = chance(qp, qp->chaos->liking.reorder) ? draw(qp) % due_n : 0;
    struct milgi_op *op = qp->first;
    while (!is_due(op, now) || skip-- > 0)
        op = ticket(op)->next;
    return op;
}

static void take_out(struct milgi_qp *qp, struct milgi_op *op)
{
    struct ticket *t = ticket(op);

    if (t->prev)
        ticket(t->prev)->next = t->next;
    else
        qp->first = t->next;
    if (t->next)
        ticket(t->next)->prev = t->prev;
    else
        qp->last = t->prev;
    qp->in_flight--;
}

static unsigned chaos_dequeue(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    unsigned got = 0;

    milgi__timer_clear(&qp->timer);
    qp->polls++;
    qp->polled_ns = qp->clock->monotonic_ns(qp->clock->ctx);
    for (; got < n; got++) {
        ops[got] = choose(qp, qp->chaos->liking.by_time ? qp->polled_ns : qp->polls);
        if (!ops[got])
            break;
        take_out(qp, ops[got]);
        finish(qp, ops[got]);
    }
    qp->armed = qp->armed && got == 0;
    if (qp->armed && !qp->timer.set)
        set_alarm(qp);
    return got;
}

static int chaos_notify_fd(struct milgi_qp *qp)
{
    return qp->timer.fd;
}

/* Nobody but the host counts polls on: so it is told to poll again soon. */
static uint64_t chaos_next_event(struct milgi_qp *qp)
{
    uint64_t due = first_due(qp);

    if (due == UINT64_MAX || qp->chaos->liking.by_time)
        return due;
    return due <= qp->polls + 1 ? qp->polled_ns : qp->polled_ns + POLL_NS;
}

static int chaos_arm(struct milgi_qp *qp)
{
    bool by_time = qp->chaos->liking.by_time;
    uint64_t due = first_due(qp), next = by_time ? qp->clock->monotonic_ns(qp->clock->ctx) : qp->polls + 1;

    if (due != UINT64_MAX && due <= next)
        return 1;
    qp->armed = true;
    set_alarm(qp);
    return 0;
}

static void chaos_cancel(struct milgi_qp *qp, struct milgi_op *op)
{
    if (ticket(op)->fate != TO_DO || !chance(qp, 0.5))
        return;
    op->status = MILGI_OP_CANCELLED;
    ticket(op)->fate = DONE;
}

/* What was lost is found again. */
static int chaos_quiesce(struct milgi_qp *qp, uint64_t limit_ns)
{
    (void)limit_ns;
    for (struct milgi_op *op = qp->first; op; op = ticket(op)->next) {
        if (ticket(op)->fate != DONE)
            op->status = MILGI_OP_CANCELLED;
        ticket(op)->fate = DONE;
        ticket(op)->due = 0;
    }
    qp->lost = 0;
    return 0;
}

static void chaos_destroy(struct milgi_device *device)
{
    milgi__free(MILGI__ENTRY(device, struct chaos, device));
}

static const struct milgi_device_ops chaos_ops = {
    .name = "chaos",
    .qp_open = chaos_qp_open,
    .qp_close = chaos_qp_close,
    .key_load = chaos_key_load,
    .key_free = chaos_key_free,
    .enqueue = chaos_enqueue,
    .dequeue = chaos_dequeue,
    .notify_fd = chaos_notify_fd,
    .arm = chaos_arm,
    .next_event = chaos_next_event,
    .cancel = chaos_cancel,
    .quiesce = chaos_quiesce,
    .destroy = chaos_destroy,
};

/* --- making ----------------------------------------------------------------------------------------------------- */

static int read_words(struct chaos *chaos, const struct milgi__spec *spec, uint64_t *records, const char **why)
{
    static const char delay_why[] = "chaos: max_delay is a number of polls up to 1000000, or a time up to 1 h";
    struct liking *liking = &chaos->liking;
    const char *max_delay = "8";
    const struct milgi__spec_word table[] = {
        { "seed", MILGI__SPEC_NUMBER, &chaos->seed, 0, UINT64_MAX, "chaos: seed is a number" },
        { "depth", MILGI__SPEC_NUMBER, &chaos->depth, 1, DEPTH_MAX, "chaos: depth is 1 to 65536 ops" },
        { "records", MILGI__SPEC_NUMBER, records, 0, UINT32_MAX, "chaos: records is a number of bytes" },
        { "delay", MILGI__SPEC_FRACTION, &liking->delay, 0, 0, "chaos: delay is a probability, 0 to 1" },
        { "reorder", MILGI__SPEC_FRACTION, &liking->reorder, 0, 0, "chaos: reorder is a probability, 0 to 1" },
        { "refuse", MILGI__SPEC_FRACTION, &liking->refuse, 0, 0, "chaos: refuse is a probability, 0 to 1" },
        { "fail", MILGI__SPEC_FRACTION, &liking->fail, 0, 0, "chaos: fail is a probability, 0 to 1" },
        { "lose", MILGI__SPEC_FRACTION, &liking->lose, 0, 0, "chaos: lose is a probability, 0 to 1" },
        { "inline", MILGI__SPEC_FRACTION, &liking->inlined, 0, 0, "chaos: inline is a probability, 0 to 1" },
        { "max_delay", MILGI__SPEC_TEXT, &max_delay, 0, 0, delay_why },
    };
    int error = milgi__spec_read(spec, 0, table, MILGI__COUNT(table),
        "chaos: the words are seed=, delay=, max_delay=, reorder=, refuse=, fail=, lose=, inline=, depth=, records=",
        why);

    if (error != 0)
        return error;
    if (milgi__spec_number(max_delay, POLLS_MAX, &liking->max_delay))
        return 0;
    liking->by_time = milgi__spec_time(max_delay, &liking->max_delay) && liking->max_delay <= TIME_MAX;
    if (liking->by_time && strpbrk(max_delay, "nums"))
        return 0;
    *why = delay_why;
    return MILGI_EINVAL;
}

int milgi__device_chaos_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why)
{
    struct chaos *chaos = milgi__alloc(sizeof *chaos);
    uint64_t records = 0;

    if (!chaos)
        return MILGI_ENOMEM;
    chaos->depth = 128;
    chaos->liking = (struct liking){ .delay = 0.5, .reorder = 0.5, .refuse = 0.1, .inlined = 0.1 };
    int error = read_words(chaos, spec, &records, why);
    if (error != 0) {
        milgi__free(chaos);
        return error;
    }
    chaos->device.ops = &chaos_ops;
    chaos->device.caps = (struct milgi_device_caps){
        .flags = MILGI_CAP_SCATTER | MILGI_CAP_CANCEL | MILGI_CAP_KEY_LOAD | MILGI_CAP_HASHED,
        .ops = MILGI_OP_BIT(MILGI_OP_TYPES) - 1,
        .parallelism = 4,
        .max_in_flight = (uint32_t)chaos->depth,
        .best_batch = (uint32_t)MILGI__MIN(chaos->depth, 8),
        .min_record = (uint32_t)records,
        .wake_ns = 1000,
    };
    *device = &chaos->device;
    return 0;
}
