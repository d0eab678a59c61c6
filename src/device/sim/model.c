/* SPDX-License-Identifier: Apache-2.0 */
#include "device/sim/model.h"

/* In op.scratch while the model has it. */
struct ticket {
    struct milgi_op *next, *prev; /* in line, or among the finished */
    uint64_t time;                /* waiting: when it may begin; running: when it ends */
    uint64_t number;              /* its place in the order of submission */
    uint64_t stage;               /* enum stage */
};
_Static_assert(sizeof(struct ticket) <= sizeof(((struct milgi_op *)0)->scratch), "the ticket fits an op");

enum stage {
    WAITING,
    RUNNING,
    FINISHED
};

static struct ticket *ticket(struct milgi_op *op)
{
    return (struct ticket *)(void *)op->scratch;
}

/* --- lists and the heap ----------------------------------------------------------------------------------------- */

static void append(struct milgi__sim_list *list, struct milgi_op *op)
{
    ticket(op)->next = NULL;
    ticket(op)->prev = list->last;
    if (list->last)
        ticket(list->last)->next = op;
    else
        list->first = op;
    list->last = op;
}

static void unlink_op(struct milgi__sim_list *list, struct milgi_op *op)
{
    struct ticket *t = ticket(op);

    if (t->prev)
        ticket(t->prev)->next = t->next;
    else
        list->first = t->next;
    if (t->next)
        ticket(t->next)->prev = t->prev;
    else
        list->last = t->prev;
}

/* Of two that end at the same time the older comes first. */
static bool ends_before(struct milgi_op *a, struct milgi_op *b)
{
    if (ticket(a)->time != ticket(b)->time)
        return ticket(a)->time < ticket(b)->time;
    return ticket(a)->number < ticket(b)->number;
}

static void heap_push(struct milgi__sim_model *m, struct milgi_op *op)
{
    unsigned at = m->running_n++;

    while (at > 0 && ends_before(op, m->running[(at - 1) / 2])) {
        m->running[at] = m->running[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    m->running[at] = op;
}

static struct milgi_op *heap_pop(struct milgi__sim_model *m)
{
    struct milgi_op *top = m->running[0], *last = m->running[--m->running_n];
    unsigned at = 0;

    for (;;) {
        unsigned child = 2 * at + 1;
        if (child >= m->running_n)
            break;
        if (child + 1 < m->running_n && ends_before(m->running[child + 1], m->running[child]))
            child++;
        if (!ends_before(m->running[child], last))
            break;
        m->running[at] = m->running[child];
        at = child;
    }
    m->running[at] = last;
    return top;
}

/* --- the model -------------------------------------------------------------------------------------------------- */

int milgi__sim_model_init(struct milgi__sim_model *m)
{
    uint64_t cells = 1;

    m->units = MILGI__MIN(m->units, m->depth);
    while (cells < m->depth)
        cells *= 2;
    m->order_mask = cells - 1;
    m->running = milgi__alloc((m->units + 1) * sizeof(struct milgi_op *));
    m->order = milgi__alloc(cells * sizeof(struct milgi_op *));
    if (m->running && m->order)
        return 0;
    milgi__sim_model_fini(m);
    return MILGI_ENOMEM;
}

void milgi__sim_model_fini(struct milgi__sim_model *m)
{
    milgi__free(m->running);
    milgi__free(m->order);
    m->running = m->order = NULL;
}

/* splitmix64: a modelled device needs reproducible numbers, not unpredictable ones */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t latency_of(struct milgi__sim_model *m, const struct milgi_op *op)
{
    uint64_t ns = op->type < MILGI_OP_TYPES ? m->latency_ns[op->type] : 0;

    for (unsigned i = 0; op->type <= MILGI_OP_OPEN && i < MILGI__MIN(op->u.aead.src_n, MILGI_OP_SLICES); i++)
        ns += m->kib_ns * op->u.aead.src[i].len / 1024;
    return m->jitter_ns == 0 ? ns : ns + draw(&m->random) % (m->jitter_ns + 1);
}

static void finish(struct milgi__sim_model *m, struct milgi_op *op, enum milgi_op_status status)
{
    ticket(op)->stage = FINISHED;
    if (!m->in_order)
        append(&m->finished, op);
    m->ended(m->ctx, op, status);
}

/* The oldest that may begin by now. */
static struct milgi_op *may_begin(const struct milgi__sim_model *m)
{
    struct milgi_op *op = m->waiting.first;

    while (op && ticket(op)->time > m->now_ns)
        op = ticket(op)->next;
    return op;
}

static void begin(struct milgi__sim_model *m)
{
    while (m->running_n < m->units) {
        struct milgi_op *op = may_begin(m);
        if (!op)
            return;
        unlink_op(&m->waiting, op);
        ticket(op)->stage = RUNNING;
        uint64_t ns = latency_of(m, op);
        op->service_ns = (uint32_t)MILGI__MIN(ns, UINT32_MAX);
        ticket(op)->time = m->now_ns + ns;
        heap_push(m, op);
    }
}

/* When the next op ends, or begins at a unit that is free. */
static uint64_t next_change(const struct milgi__sim_model *m)
{
    uint64_t next = m->running_n > 0 ? ticket(m->running[0])->time : UINT64_MAX;

    if (m->running_n >= m->units)
        return next;
    for (struct milgi_op *op = m->waiting.first; op; op = ticket(op)->next)
        next = MILGI__MIN(next, ticket(op)->time);
    return next;
}

void milgi__sim_model_submit(struct milgi__sim_model *m, struct milgi_op *op, uint64_t ready_ns)
{
    struct ticket *t = ticket(op);

    t->stage = WAITING;
    t->time = ready_ns;
    t->number = m->submitted++;
    if (m->in_order)
        m->order[t->number & m->order_mask] = op;
    append(&m->waiting, op);
    m->in_flight++;
    begin(m);
}

void milgi__sim_model_advance(struct milgi__sim_model *m, uint64_t now_ns)
{
    for (;;) {
        begin(m);
        uint64_t next = next_change(m);
        if (next > now_ns)
            break;
        m->now_ns = MILGI__MAX(m->now_ns, next);
        while (m->running_n > 0 && ticket(m->running[0])->time <= m->now_ns)
            finish(m, heap_pop(m), MILGI_OP_OK);
    }
    m->now_ns = MILGI__MAX(m->now_ns, now_ns);
}

/* In order: the oldest op in flight, which is the next to be delivered. */
static struct milgi_op *oldest(const struct milgi__sim_model *m)
{
    return m->delivered == m->submitted ? NULL : m->order[m->delivered & m->order_mask];
}

static struct milgi_op *deliverable(const struct milgi__sim_model *m)
{
    if (!m->in_order)
        return m->finished.first;
    struct milgi_op *op = oldest(m);
    return op && ticket(op)->stage == FINISHED ? op : NULL;
}

bool milgi__sim_model_some(const struct milgi__sim_model *m)
{
    return deliverable(m) != NULL;
}

struct milgi_op *milgi__sim_model_take(struct milgi__sim_model *m)
{
    struct milgi_op *op = deliverable(m);

    if (!op)
        return NULL;
    if (!m->in_order)
        unlink_op(&m->finished, op);
    m->delivered++;
    m->in_flight--;
    return op;
}

uint64_t milgi__sim_model_next(const struct milgi__sim_model *m)
{
    if (deliverable(m))
        return m->now_ns;
    struct milgi_op *op = m->in_order ? oldest(m) : NULL;
    if (op && ticket(op)->stage == RUNNING)
        return ticket(op)->time;
    return next_change(m);
}

bool milgi__sim_model_end(struct milgi__sim_model *m, struct milgi_op *op, enum milgi_op_status status)
{
    if (ticket(op)->stage != WAITING)
        return false;
    unlink_op(&m->waiting, op);
    finish(m, op, status);
    return true;
}

void milgi__sim_model_flush(struct milgi__sim_model *m)
{
    while (m->running_n > 0)
        finish(m, heap_pop(m), MILGI_OP_OK);
    while (m->waiting.first)
        (void)milgi__sim_model_end(m, m->waiting.first, MILGI_OP_CANCELLED);
}

struct milgi_op *milgi__sim_model_waiting(const struct milgi__sim_model *m, unsigned i)
{
    struct milgi_op *op = m->waiting.first;

    for (; op && i > 0; i--)
        op = ticket(op)->next;
    return op;
}

struct milgi_op *milgi__sim_model_behind(struct milgi_op *op)
{
    return ticket(op)->next;
}
