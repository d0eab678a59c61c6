/* SPDX-License-Identifier: Apache-2.0 */
/* Which device an op goes to, and how long it is expected to take there. */
#include "engine/route.h"

#include "engine/keys.h"
#include "op/material.h"

#define SCALE_MAX (1u << 28) /* a million times as long as estimated */
#define PROBE_NS 1000000000u /* a slower device is tried again after this, if it was not measured meanwhile */
#define PROBE_MOST 64u       /* much slower devices are tried so many times less often */
#define LEARN 8u             /* a new measurement counts for one in so many */
#define OUTLIER 8u           /* times what was known: more is not believed at once */
#define LEARN_PROBE 2u
#define WAKE_MAX_NS 1000000u
/* What works on this thread is given what takes so many times as long as the inline device may take over, at most. */
#define CALLER_TIMES 2u

/* --- what ops cost ---------------------------------------------------------------------------------------------- */

/* What is known of records of one size is the best guess for those of which nothing is known yet. */
static void learn_sizes(struct milgi__dev *d, unsigned kind)
{
    unsigned first = kind - kind % MILGI__SIZES;
    uint8_t *learned = &d->learned[first / MILGI__SIZES];
    *learned = (uint8_t)(*learned | 1u << (kind - first));
    for (unsigned i = 0; *learned != UINT8_MAX && i < MILGI__SIZES; i++) {
        if (!(*learned >> i & 1))
            d->scale[first + i] = d->scale[kind];
    }
}

/* |op| took |ns|: that counts for one in |parts|. */
static void learn_scale(uint32_t *known, const struct milgi_op *op, uint64_t ns, uint32_t parts)
{
    uint64_t scale = ns * MILGI__SCALE_ONE / MILGI__MAX(op->e.estimate_ns, 1);
    /* One that was interrupted says little of the others. */
    scale = MILGI__MIN(scale, MILGI__MIN(SCALE_MAX, (uint64_t)*known * OUTLIER));
    /* Rounded towards the measurement, or small steps would never be made. */
    if (scale > *known)
        *known += (uint32_t)((scale - *known + parts - 1) / parts);
    else
        *known -= (uint32_t)((*known - scale + parts - 1) / parts);
    *known = MILGI__MAX(*known, 1);
}

void milgi__route_learn(
    const struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op, uint64_t ns)
{
    /* Of the turn, like all that it is held against. */
    uint32_t now_ms = (uint32_t)(e->now_ns / 1000000);
    if (op->e.group != MILGI__GROUP_NONE) { /* all of a group took what the first did */
        if (op->e.group == MILGI__GROUP_FIRST) {
            learn_scale(&d->group[op->e.kind - MILGI__RECORD_KINDS], op, ns, LEARN);
            d->group_ms[op->e.kind - MILGI__RECORD_KINDS] = now_ms;
        }
        return;
    }
    learn_scale(&d->scale[op->e.kind], op, ns, d->probed[op->e.kind] ? LEARN_PROBE : LEARN);
    d->probed[op->e.kind] = false;
    d->learned_ms[op->e.kind] = now_ms;
    d->lessons++;
    if (op->e.kind < MILGI__RECORD_KINDS)
        learn_sizes(d, op->e.kind);
}

void milgi__route_learn_wake(struct milgi__dev *d, uint64_t ns)
{
    uint64_t most = MILGI__MIN((uint64_t)d->wake_ns * OUTLIER, WAKE_MAX_NS);
    ns = MILGI__MAX(MILGI__MIN(ns, most), d->device->caps.wake_ns);
    if (ns > d->wake_ns)
        d->wake_ns += (uint32_t)((ns - d->wake_ns + LEARN - 1) / LEARN);
    else
        d->wake_ns -= (uint32_t)((d->wake_ns - ns + LEARN - 1) / LEARN);
}

bool milgi__route_probe(
    const struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op, uint64_t there_ns, uint64_t here_ns)
{
    uint32_t now_ms = (uint32_t)(e->now_ns / 1000000), times = PROBE_MOST;
    if (milgi__dev_flight(d) >= d->device->caps.parallelism)
        return false;
    if (there_ns / PROBE_MOST < here_ns)
        times = (uint32_t)(there_ns / MILGI__MAX(here_ns, 1));
    if (now_ms - d->learned_ms[op->e.kind] < MILGI__MAX(times, 1) * (PROBE_NS / 1000000))
        return false;
    d->learned_ms[op->e.kind] = now_ms;
    d->probed[op->e.kind] = true;
    return true;
}

uint32_t milgi__route_group_ns(const struct milgi__dev *d, const struct milgi_op *op)
{
    uint64_t ns = (uint64_t)op->e.estimate_ns * d->group[op->e.kind - MILGI__RECORD_KINDS] / MILGI__SCALE_ONE;
    return (uint32_t)MILGI__MIN(MILGI__MAX(ns, 1), UINT32_MAX);
}

bool milgi__route_together(const struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op, uint32_t n,
    uint64_t here_ns, uint64_t before_ns)
{
    if (n < MILGI__GROUP_MIN)
        return false;
    unsigned kind = op->e.kind - MILGI__RECORD_KINDS;
    uint64_t each_ns = milgi__route_group_ns(d, op), gain_ns = here_ns / 4 * 3;
    if (each_ns <= gain_ns)
        return before_ns + n * each_ns <= n * here_ns;
    uint32_t now_ms = (uint32_t)(e->now_ns / 1000000);
    uint64_t times = MILGI__MIN(each_ns / MILGI__MAX(gain_ns, 1), PROBE_MOST);
    if (now_ms - d->group_ms[kind] < times * (PROBE_NS / 1000000))
        return false;
    d->group_ms[kind] = now_ms;
    return true;
}

/*
 * With |k| of |n| ops there, all are done by |all_ns|: is what is saved worth at least what it costs, which is the
 * waking, here and there, and what they take there beyond what they take here?
 */
static bool is_worth(uint64_t n, uint64_t k, uint64_t here_ns, uint64_t there_ns, uint64_t units, uint64_t wake_ns)
{
    uint64_t all_ns = MILGI__MAX((n - k) * here_ns, wake_ns + (k + units - 1) / units * there_ns);
    return all_ns + wake_ns + wake_ns / 2 + k * there_ns <= n * here_ns + k * here_ns;
}

bool milgi__route_worth_waking(const struct milgi__dev *d, uint64_t n, uint64_t here_ns, uint64_t there_ns)
{
    /* What comes in one burst is done by one unit, where such are done together. */
    uint64_t units = d->flags & MILGI_CAP_TOGETHER ? 1 : d->device->caps.parallelism, wake_ns = d->wake_ns;
    here_ns = MILGI__MAX(here_ns, 1);
    there_ns = MILGI__MAX(there_ns, 1);
    /* So many are done there when those that stay are done here: whole ops, so one more may be better. */
    uint64_t k = n * here_ns > wake_ns ? (n * here_ns - wake_ns) * units / (here_ns * units + there_ns) : 0;
    return (k && is_worth(n, k, here_ns, there_ns, units, wake_ns)) ||
        (k < n && is_worth(n, k + 1, here_ns, there_ns, units, wake_ns));
}

uint64_t milgi_engine_expected_ns(
    const struct milgi_engine *e, unsigned index, int type, uint16_t alg, uint32_t size)
{
    if (index >= e->devs_n || !e->dev[index].device || type < 0 || type >= MILGI_OP_TYPES)
        return 0;
    struct milgi_op op = { .type = (uint8_t)type, .alg = alg };
    if (type <= MILGI_OP_OPEN) {
        op.u.aead.src_n = 1;
        op.u.aead.src[0].len = size;
    }
    return milgi__dev_expected_ns(&e->dev[index], milgi__op_kind(type, alg, size), milgi__op_estimate_ns(&op));
}

static uint64_t backlog_ns(const struct milgi__dev *d)
{
    return d->outstanding_ns + d->line[0].cost_ns + d->line[1].cost_ns;
}

/* When |d| would have finished an op of |cost_ns| if it were given one now, from now on. */
static uint64_t finish_ns(const struct milgi__dev *d, uint32_t cost_ns)
{
    const struct milgi_device_caps *caps = &d->device->caps;
    uint64_t before = backlog_ns(d);
    uint32_t n = milgi__dev_flight(d) + milgi__dev_waiting(d);
    uint64_t wake = milgi__dev_flight(d) ? 0 : d->wake_ns;
    return wake + cost_ns + (n < caps->parallelism ? 0 : before / caps->parallelism);
}

uint64_t milgi__route_inline_ns(const struct milgi_engine *e, const struct milgi_op *op)
{
    return milgi__dev_expected_ns(&e->dev[0], op->e.kind, op->e.estimate_ns);
}

/* --- the choice ------------------------------------------------------------------------------------------------- */

void milgi__route_init(struct milgi_engine *e)
{
    for (int type = 0; type < MILGI_OP_TYPES; type++)
        e->route[type] = (struct milgi__route){ .set = 1 };
}

static bool allows(const struct milgi_engine *e, const struct milgi__dev *d, int type)
{
    const struct milgi_device_caps *caps = &d->device->caps;
    if (!(caps->ops & MILGI_OP_BIT(type)))
        return false;
    /*= REMOTE and token devices get SIGN only; VERIFY stays in the process's trust domain. */
    if (caps->flags & MILGI_CAP_REMOTE)
        return type == MILGI_OP_SIGN;
    /* The chunks of the pool are memory that such a device cannot reach, unless they are its own: reaches() says of
     * each SIGN whether it has some. */
    if ((caps->flags & MILGI_CAP_OWN_MEMORY) && d->index != e->memory_dev)
        return type == MILGI_OP_SIGN;
    return true;
}

static struct milgi__dev *device_at(struct milgi_engine *e, unsigned index)
{
    if (index >= e->devs_n || !e->dev[index].device || e->dev[index].state == MILGI__DEV_LEAVING)
        return NULL;
    return &e->dev[index];
}

int milgi_engine_route(struct milgi_engine *e, uint32_t op_bits, unsigned index, uint32_t min_record)
{
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    struct milgi__dev *d = device_at(e, index);
    if (!d)
        return MILGI_EINVAL;
    for (int type = 0; type < MILGI_OP_TYPES; type++) {
        if (!(op_bits & MILGI_OP_BIT(type)) || !allows(e, d, type))
            continue;
        e->route[type] = (struct milgi__route){ .set = 1u << index,
            .min_record = min_record ? min_record : d->device->caps.min_record,
            .named = true };
    }
    return 0;
}

int milgi_engine_route_first(struct milgi_engine *e, uint32_t op_bits, uint32_t device_bits, uint32_t min_record)
{
    uint32_t min = min_record;
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    if (!device_bits || device_bits >> MILGI_DEVICES_MAX)
        return MILGI_EINVAL;
    for (unsigned i = 0; i < MILGI_DEVICES_MAX; i++) {
        if (!(device_bits & 1u << i))
            continue;
        struct milgi__dev *d = device_at(e, i);
        if (!d)
            return MILGI_EINVAL;
        if (!min_record)
            min = MILGI__MAX(min, d->device->caps.min_record);
    }
    for (int type = 0; type < MILGI_OP_TYPES; type++) {
        if (!(op_bits & MILGI_OP_BIT(type)))
            continue;
        uint32_t set = 0;
        for (unsigned i = 0; i < e->devs_n; i++)
            set |= (device_bits & 1u << i) && allows(e, &e->dev[i], type) ? 1u << i : 0;
        if (set)
            e->route[type] = (struct milgi__route){ .set = set, .min_record = min, .named = true };
    }
    e->learn_inline |= (device_bits & 1) && device_bits != 1;
    return 0;
}

void milgi__route_drop(struct milgi_engine *e, unsigned index)
{
    for (int type = 0; type < MILGI_OP_TYPES; type++) {
        e->route[type].set &= ~(1u << index);
        if (!e->route[type].set)
            e->route[type] = (struct milgi__route){ .set = 1 };
    }
}

static bool takes(const struct milgi__dev *d, int type, uint16_t alg)
{
    const struct milgi_device_ops *ops = d->device->ops;
    return milgi__dev_takes(d) && (!alg || !ops->supports || ops->supports(d->device, type, alg));
}

/* A device that cannot be given this record: one piece of memory, or a destination of its own, is what it wants. */
static bool suits(const struct milgi__dev *d, const struct milgi_op *op)
{
    if (op->type > MILGI_OP_OPEN)
        return true;
    return (!op->u.aead.in_place || (d->flags & MILGI_CAP_IN_PLACE)) &&
        (op->u.aead.src_n <= 1 || (d->flags & MILGI_CAP_SCATTER));
}

/* All that it reads and writes is in the op itself: neither what is signed nor the signature lies in a chunk. */
static bool holds_all(const struct milgi_op *op)
{
    return op->type == MILGI_OP_SIGN && op->u.sign.input_len != MILGI_SIGN_INPUT_IN_BLOB && milgi__sign_long(op) == 0;
}

/* The chunks that it holds, if any, are no memory that the device cannot reach. */
static bool reaches(const struct milgi_engine *e, const struct milgi__dev *d, const struct milgi_op *op)
{
    return !(d->flags & MILGI_CAP_OWN_MEMORY) || d->index == e->memory_dev || holds_all(op);
}

/* The private key is not in this process: only a device that knows where it is can sign with it. */
static bool is_elsewhere(const struct milgi_key *key)
{
    return key && key->kind == MILGI_KEY_PRIVATE && !key->loaded.credential->pkcs8;
}

/* The first device in service that has the key; else one that is failing, whose answer says what is wrong. */
static struct milgi__dev *holder(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi__dev *failing = NULL;
    for (unsigned i = 1; i < e->devs_n; i++) {
        struct milgi__dev *d = &e->dev[i];
        if (!d->device || d->state == MILGI__DEV_LEAVING || !allows(e, d, op->type) || !reaches(e, d, op))
            continue;
        const struct milgi_device_ops *ops = d->device->ops;
        if (ops->supports && !ops->supports(d->device, op->type, op->alg))
            continue;
        if (!(d->flags & MILGI_CAP_KEY_LOAD) || !milgi__key_ready(d, op->key))
            continue;
        if (milgi__dev_takes(d))
            return d;
        failing = failing ? failing : d;
    }
    return failing;
}

/* |d| can be given |op| now, and has its key. */
static bool serves(const struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op)
{
    return takes(d, op->type, op->alg) && suits(d, op) && reaches(e, d, op) &&
        (!op->key || milgi__key_ready(d, op->key));
}

/*
 * The device of |r| but the inline one that would be the first to finish; NULL: none can take it. What is quick stays
 * with one that works on this thread as long as it has no more to do than a turn may take; what is long goes there only
 * when nobody else can do it, for it holds up everybody.
 */
static struct milgi__dev *best(struct milgi_engine *e, const struct milgi__route *r, struct milgi_op *op)
{
    struct milgi__dev *found = NULL, *last = NULL;
    uint64_t soonest = UINT64_MAX;
    for (uint32_t set = r->set & ~1u; set; set &= set - 1) {
        struct milgi__dev *d = &e->dev[__builtin_ctz(set)];
        if (!serves(e, d, op))
            continue;
        uint32_t expected = milgi__dev_expected_ns(d, op->e.kind, op->e.estimate_ns);
        if (d->flags & MILGI_CAP_CALLER) {
            last = d;
            if (expected > CALLER_TIMES * e->o.inline_max_ns)
                continue;
            if (backlog_ns(d) + expected <= e->budget_ns)
                return d;
        }
        uint64_t finish = finish_ns(d, expected);
        bool first = finish < soonest;
        /* Those behind: from time to time one op, since what was slow may be so no longer. */
        if (found && milgi__route_probe(e, first ? found : d, op, first ? soonest : finish, first ? finish : soonest))
            return first ? found : d;
        if (first) {
            soonest = finish;
            found = d;
        }
    }
    return found ? found : last;
}

/* Of ops for which the host has named no device: what would hold up the turn for longer than a whole one may take. */
static struct milgi__dev *relief(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi__route others = { .set = 0 };
    if (milgi__route_inline_ns(e, op) <= e->budget_ns)
        return NULL;
    for (unsigned i = 1; i < e->devs_n; i++) {
        const struct milgi__dev *d = &e->dev[i];
        if (d->device && !(d->flags & (MILGI_CAP_REMOTE | MILGI_CAP_INLINE | MILGI_CAP_CALLER)) &&
            allows(e, d, op->type))
            others.set |= 1u << i;
    }
    return others.set ? best(e, &others, op) : NULL;
}

/* Where the host's route, or what the op takes, leads; NULL: to the inline device. */
static struct milgi__dev *chosen(struct milgi_engine *e, const struct milgi__route *r, struct milgi_op *op)
{
    uint32_t others = r->set & ~1u;
    if (!others)
        return r->named ? NULL : relief(e, op);
    if (others & (others - 1))
        return best(e, r, op);
    struct milgi__dev *d = &e->dev[__builtin_ctz(others)];
    return serves(e, d, op) ? d : NULL;
}

/* What |op| is expected to cost |d|, to which it goes. */
static struct milgi__dev *goes_to(struct milgi__dev *d, struct milgi_op *op)
{
    op->e.cost_ns = milgi__dev_expected_ns(d, op->e.kind, op->e.estimate_ns);
    op->e.learned = d->lessons;
    return d;
}

/* A device of |r| that works on this thread takes it: then this thread does not do it alone. */
static bool done_here_with_others(struct milgi_engine *e, const struct milgi__route *r, const struct milgi_op *op)
{
    for (uint32_t set = r->set & ~1u; set; set &= set - 1) {
        const struct milgi__dev *d = &e->dev[__builtin_ctz(set)];
        if ((d->flags & MILGI_CAP_CALLER) && takes(d, op->type, op->alg))
            return true;
    }
    return false;
}

/*
 * This thread may do |op|, since it is quick. What made it slow, perhaps another process on its core, may be
 * over: what it once could is tried now and then.
 */
static bool may_be_done_here(struct milgi_engine *e, const struct milgi__route *r, const struct milgi_op *op)
{
    uint64_t here_ns = milgi__route_inline_ns(e, op);
    if (here_ns <= e->o.inline_max_ns)
        return true;
    bool was_quick = r->named && op->e.estimate_ns <= e->o.inline_max_ns;
    return was_quick && milgi__route_probe(e, &e->dev[0], op, here_ns, here_ns);
}

static MILGI__APART struct milgi__dev *weigh(struct milgi_engine *e, const struct milgi__route *r, struct milgi_op *op)
{
    bool elsewhere = is_elsewhere(op->key);
    struct milgi__dev *d = elsewhere ? holder(e, op) : chosen(e, r, op);
    if (!d)
        return &e->dev[0];
    if (elsewhere)
        op->flags |= MILGI__OP_ELSEWHERE;
    else if ((r->set & 1) && !done_here_with_others(e, r, op) && may_be_done_here(e, r, op)) {
        op->flags |= MILGI__OP_EITHER;
        if (milgi__route_is_tried(&e->dev[0], op))
            return &e->dev[0];
    }
    return goes_to(d, op);
}

/* There is nothing to weigh for a record whose route names this device only, which is in service and takes all. */
static bool has_one_way(const struct milgi__route *r, const struct milgi__dev *d, const struct milgi_op *op)
{
    return r->set == 1u << d->index && op->type <= MILGI_OP_OPEN && d->state == MILGI__DEV_SERVING &&
        !d->device->ops->supports && suits(d, op) && (!op->key || op->key->kind == MILGI_KEY_AEAD);
}

struct milgi__dev *milgi__route_op(struct milgi_engine *e, struct milgi_op *op)
{
    const struct milgi__route *r = &e->route[op->type];
    op->flags &= (uint16_t) ~(MILGI__OP_EITHER | MILGI__OP_ELSEWHERE);
    /* Tickets are opened and sealed by nobody but this process's own code. */
    if (op->type <= MILGI_OP_OPEN && op->cls == MILGI_OP_CLASS_HANDSHAKE) {
        milgi__op_describe(op);
        return &e->dev[0];
    }
    if (op->type <= MILGI_OP_OPEN && (r->set == 1 || op->u.aead.dst_len < r->min_record))
        return &e->dev[0];
    milgi__op_describe(op);
    struct milgi__dev *d = &e->dev[__builtin_ctz(r->set)];
    if (!has_one_way(r, d, op))
        return weigh(e, r, op);
    if (op->key) /* as milgi__key_ready() of a key that no device loads */
        op->key->used |= 1u << d->index;
    return goes_to(d, op);
}

bool milgi__engine_inline(struct milgi_engine *e, int op_type, uint32_t size)
{
    const struct milgi__route *r = &e->route[op_type];
    if (r->set == 1 || (op_type <= MILGI_OP_OPEN && size < r->min_record))
        return true;
    for (uint32_t set = r->set & ~1u; set; set &= set - 1) {
        if (takes(&e->dev[__builtin_ctz(set)], op_type, 0))
            return false;
    }
    return true;
}

/*= "full is a state": only those that have started nothing yet are refused. */
bool milgi__engine_refuses(struct milgi_engine *e)
{
    if (e->o.full_policy != MILGI_FULL_REFUSE || (e->route[MILGI_OP_SIGN].set & 1))
        return false;
    for (uint32_t set = e->route[MILGI_OP_SIGN].set; set; set &= set - 1) {
        const struct milgi__dev *d = &e->dev[__builtin_ctz(set)];
        if (d->line[MILGI_OP_CLASS_HANDSHAKE].n <= e->o.full_line)
            return false;
    }
    return true;
}
