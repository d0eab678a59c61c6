/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which op goes next at a device: deficit round robin over expected service time, twice. Between the classes in the
 * proportion of their shares, and within a class between connections, equally. docs/scheduling.md says what follows
 * for how long an op may wait.
 */
#include "engine/dev.h"

#define FLOWS_AT_ONCE 63u

/* --- flows ------------------------------------------------------------------------------------------------------ */

struct flow_slab {
    void *next;
    struct milgi__flow flow[FLOWS_AT_ONCE];
};

static bool grow_flows(struct milgi__fair *f)
{
    struct flow_slab *slab = milgi__alloc(sizeof *slab);
    if (!slab)
        return false;
    slab->next = f->slabs;
    f->slabs = slab;
    for (unsigned i = 0; i < FLOWS_AT_ONCE; i++) {
        slab->flow[i].next = f->free;
        f->free = &slab->flow[i];
    }
    f->free_n += FLOWS_AT_ONCE;
    return true;
}

void milgi__fair_fini(struct milgi__fair *f)
{
    while (f->slabs) {
        struct flow_slab *slab = f->slabs;
        f->slabs = slab->next;
        milgi__free(slab);
    }
}

static struct milgi__flow *find_flow(const struct milgi__owner *owner, const struct milgi__line *line)
{
    struct milgi__flow *flow = owner->flows;
    while (flow && flow->line != line)
        flow = flow->next;
    return flow;
}

static struct milgi__flow *new_flow(struct milgi__fair *f, struct milgi__owner *owner, struct milgi__line *line)
{
    if (f->free_n <= f->promised && !grow_flows(f))
        return NULL;
    struct milgi__flow *flow = f->free;
    f->free = flow->next;
    f->free_n--;
    *flow = (struct milgi__flow){ .next = owner->flows, .line = line };
    milgi__list_init(&flow->link);
    owner->flows = flow;
    return flow;
}

void milgi__fair_forget(struct milgi__fair *f, struct milgi__owner *owner)
{
    struct milgi__flow **at = &owner->flows;
    while (*at) {
        struct milgi__flow *flow = *at;
        if (flow->ops.n) {
            at = &flow->next;
            continue;
        }
        *at = flow->next;
        flow->next = f->free;
        f->free = flow;
        f->free_n++;
    }
}

/* --- lines ------------------------------------------------------------------------------------------------------ */

void milgi__line_init(struct milgi__line *line)
{
    *line = (struct milgi__line){ .n = 0 };
    milgi__list_init(&line->round);
}

static void count_in(struct milgi__line *line, uint32_t cost_ns)
{
    line->n++;
    line->cost_ns += cost_ns;
}

static void count_out(struct milgi__line *line, uint32_t cost_ns)
{
    line->n--;
    line->cost_ns -= cost_ns;
}

/* Whoever had nothing to send has saved nothing up. */
static void join_round(struct milgi__line *line, struct milgi__flow *flow)
{
    flow->deficit = 0;
    flow->has_turn = false;
    milgi__list_append(&line->round, &flow->link);
    line->flows++;
}

static bool sort_in(struct milgi__fair *f, struct milgi__dev *d, struct milgi__owner *owner, struct milgi_op *op)
{
    struct milgi__line *line = &d->line[op->cls];
    struct milgi__flow *flow = find_flow(owner, line);
    if (!flow && !(flow = new_flow(f, owner, line)))
        return false;
    if (!line->n)
        line->served_ns = line->quantum_ns = line->largest_ns = 0;
    if (!flow->ops.n)
        join_round(line, flow);
    line->quantum_ns = MILGI__MAX(line->quantum_ns, op->e.cost_ns);
    milgi__oplist_append(&flow->ops, op);
    count_in(line, op->e.cost_ns);
    return true;
}

/* --- fresh ops -------------------------------------------------------------------------------------------------- */

/* Nothing waits: from here on what comes is fresh. False: there is no memory to sort it with. */
static bool begin_fresh(struct milgi__fair *f, struct milgi__dev *d, const struct milgi_op *first)
{
    if (f->free_n < f->promised + MILGI__BURST && !grow_flows(f))
        return false;
    f->promised += MILGI__BURST;
    d->fresh.number = ++f->freshes;
    d->fresh.lessons = first->e.learned;
    d->fresh.flags = d->fresh.classes = 0;
    d->fresh.alone = d->fresh.apart = true;
    return true;
}

static void end_fresh(struct milgi__fair *f, struct milgi__dev *d)
{
    d->fresh.n = 0;
    f->promised -= MILGI__BURST;
}

static void sort(struct milgi__fair *f, struct milgi__dev *d)
{
    uint32_t n = d->fresh.n;
    if (!n)
        return;
    end_fresh(f, d);
    for (uint32_t i = 0; i < n; i++)
        count_out(&d->line[d->fresh.op[i]->cls], d->fresh.op[i]->e.cost_ns);
    for (uint32_t i = 0; i < n; i++)
        (void)sort_in(f, d, d->fresh.op[i]->e.owner, d->fresh.op[i]); /* what it takes was promised */
}

/* Whether |op| may be kept as it comes: nothing waits but what came so, too. */
static bool is_fresh(struct milgi__fair *f, struct milgi__dev *d, const struct milgi_op *op)
{
    if (d->fresh.n != milgi__dev_waiting(d) || d->fresh.n == MILGI__BURST || f->sorts)
        return false;
    return d->fresh.n || begin_fresh(f, d, op);
}

bool milgi__line_append(
    struct milgi__fair *f, struct milgi__dev *d, struct milgi__owner *owner, struct milgi_op *op)
{
    struct milgi__fresh *fresh = &d->fresh;
    if (!is_fresh(f, d, op)) {
        sort(f, d);
        return sort_in(f, d, owner, op);
    }
    fresh->op[fresh->n++] = op;
    fresh->apart &= owner->fresh != fresh->number;
    fresh->alone &= owner == fresh->op[0]->e.owner;
    fresh->flags |= op->flags;
    fresh->classes |= (uint8_t)(1u << op->cls);
    owner->fresh = fresh->number;
    count_in(&d->line[op->cls], op->e.cost_ns);
    return true;
}

bool milgi__fair_in_order(const struct milgi__dev *d)
{
    const struct milgi__fresh *fresh = &d->fresh;
    bool one_class = !(fresh->classes & (fresh->classes - 1));
    return fresh->n && one_class && (fresh->apart || fresh->alone) && fresh->lessons == d->lessons;
}

void milgi__line_remove(struct milgi__fair *f, struct milgi__dev *d, struct milgi__owner *owner, struct milgi_op *op)
{
    sort(f, d);
    struct milgi__line *line = &d->line[op->cls];
    struct milgi__flow *flow = find_flow(owner, line);
    milgi__oplist_remove(&flow->ops, op);
    count_out(line, op->e.cost_ns);
    if (flow->ops.n)
        return;
    milgi__list_remove(&flow->link);
    line->flows--;
}

/* --- turns ------------------------------------------------------------------------------------------------------ */

/* What is expected of its device may have changed while it waited. */
static void reckon(const struct milgi__dev *d, struct milgi__line *line, struct milgi_op *op)
{
    if (op->e.learned == d->lessons)
        return;
    op->e.learned = d->lessons;
    uint32_t cost_ns = milgi__dev_expected_ns(d, op->e.kind, op->e.estimate_ns);
    line->quantum_ns = MILGI__MAX(line->quantum_ns, cost_ns);
    line->cost_ns = line->cost_ns - op->e.cost_ns + cost_ns;
    op->e.cost_ns = cost_ns;
}

/* The flow whose turn it is in |line|, which has one. */
static struct milgi__flow *pick_flow(const struct milgi__dev *d, struct milgi__line *line)
{
    for (;;) {
        struct milgi__flow *flow = MILGI__ENTRY(line->round.next, struct milgi__flow, link);
        reckon(d, line, flow->ops.first);
        if (!flow->has_turn) {
            flow->has_turn = true;
            flow->deficit += line->quantum_ns;
        }
        if (flow->deficit >= (int64_t)flow->ops.first->e.cost_ns)
            return flow;
        /* Its turn is over; what it has left over it keeps, since it has more to do. */
        flow->has_turn = false;
        milgi__list_remove(&flow->link);
        milgi__list_append(&line->round, &flow->link);
    }
}

static struct milgi_op *head(const struct milgi__dev *d, struct milgi__line *line)
{
    if (!line->n)
        return NULL;
    struct milgi__flow *flow = pick_flow(d, line);
    flow->ops.first->e.flow = flow;
    return flow->ops.first;
}

/* The turn of a class is over; the other class's begins. */
static void next_class(const struct milgi__fair *f, struct milgi__dev *d)
{
    d->turn = (d->turn + 1) % MILGI_OP_CLASSES;
    d->line[d->turn].deficit += (int64_t)f->share[d->turn] * MILGI__QUANTUM_NS;
}

struct milgi_op *milgi__fair_pick(struct milgi__fair *f, struct milgi__dev *d)
{
    sort(f, d);
    if (!milgi__dev_waiting(d))
        return NULL;
    for (;;) {
        struct milgi__line *line = &d->line[d->turn];
        struct milgi_op *op = head(d, line);
        if (!op)
            line->deficit = 0; /* whoever has nothing to send saves nothing up */
        else if (line->deficit >= (int64_t)op->e.cost_ns)
            return op;
        next_class(f, d);
    }
}

void milgi__fair_gone(struct milgi__fair *f, struct milgi__dev *d)
{
    unsigned cls = d->fresh.op[0]->cls;
    struct milgi__line *line = &d->line[cls];
    for (uint32_t i = 0; i < d->fresh.n; i++) {
        int64_t cost_ns = d->fresh.op[i]->e.cost_ns;
        while (d->turn != cls || line->deficit < cost_ns) {
            if (d->turn != cls)
                d->line[d->turn].deficit = 0;
            next_class(f, d);
        }
        line->deficit -= cost_ns;
    }
    line->n = 0;
    line->cost_ns = 0;
    end_fresh(f, d);
}

/*
 * A quantum that is larger than any op makes everybody's turn longer than it need be. It is set anew when everybody has
 * had a turn: in between all have the same.
 */
static void count_served(struct milgi__line *line, uint32_t cost_ns)
{
    line->largest_ns = MILGI__MAX(line->largest_ns, cost_ns);
    line->served_ns += cost_ns;
    if (line->served_ns < 3 * (uint64_t)line->flows * line->quantum_ns)
        return;
    line->quantum_ns = line->largest_ns;
    line->largest_ns = 0;
    line->served_ns = 0;
}

void milgi__fair_take(struct milgi__dev *d, struct milgi_op *op, struct milgi__mark *mark)
{
    struct milgi__line *line = &d->line[op->cls];
    struct milgi__flow *flow = op->e.flow;
    mark->flow_deficit = flow->deficit;
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
        mark->deficit[cls] = d->line[cls].deficit;
    mark->turn = d->turn;
    count_served(line, op->e.cost_ns);
    milgi__oplist_remove(&flow->ops, op);
    count_out(line, op->e.cost_ns);
    flow->deficit -= (int64_t)op->e.cost_ns;
    line->deficit -= (int64_t)op->e.cost_ns;
    if (flow->ops.n)
        return;
    milgi__list_remove(&flow->link);
    line->emptied++;
}

void milgi__fair_put_back(struct milgi__dev *d, struct milgi_op *op, const struct milgi__mark *mark)
{
    struct milgi__line *line = &d->line[op->cls];
    struct milgi__flow *flow = op->e.flow;
    line->emptied -= !flow->ops.n;
    milgi__oplist_prepend(&flow->ops, op);
    count_in(line, op->e.cost_ns);
    line->served_ns -= MILGI__MIN(line->served_ns, op->e.cost_ns);
    /* Quanta that were given since are taken back with the rest, or who is refused often would save them up. */
    flow->deficit = mark->flow_deficit;
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
        d->line[cls].deficit = mark->deficit[cls];
    d->turn = mark->turn;
    /* To the front: its turn, which had begun, goes on. */
    flow->has_turn = true;
    milgi__list_remove(&flow->link);
    milgi__list_append(line->round.next, &flow->link);
}

void milgi__fair_settle(struct milgi__dev *d)
{
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        d->line[cls].flows -= d->line[cls].emptied;
        d->line[cls].emptied = 0;
    }
}

uint32_t milgi__fair_count(const struct milgi__line *line, unsigned kind, uint32_t look)
{
    uint32_t n = 0;
    for (const struct milgi__link *link = line->round.next; link != &line->round; link = link->next) {
        const struct milgi__flow *flow = MILGI__ENTRY(link, const struct milgi__flow, link);
        for (const struct milgi_op *op = flow->ops.first; op; op = op->e.next) {
            if (!look--)
                return n;
            n += op->e.kind == kind;
        }
    }
    return n;
}
