/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: its life, the turn, and the calls from other threads. */
#include "engine/impl.h"

#define PASSES 3u          /* what was staged before the run, and twice what its callbacks stage */
#define BUDGET_NS 1000000u /* of a run that was given none */
#define WAITERS_AT_ONCE 64u
#define TRIM_AT_ONCE 32u
#define TRIM_NS 1000000000u /* idle chunks that nobody has needed for so long go, also when nothing else happens */

/* --- life --------------------------------------------------------------------------------------- */

void milgi_engine_options_init(struct milgi_engine_options *options)
{
    *options = (struct milgi_engine_options){
        .clock = { .monotonic_ns = milgi__port_monotonic_ns, .wall_s = milgi__port_wall_s },
        .random = milgi__crypto_random,
        .memory_limit = (size_t)1 << 30,
        .op_limit = 65536,
        .conn_limit = 1048576,
        .full_policy = MILGI_FULL_WAIT,
        .full_line = 256,
        .op_timeout_ns = { 10000000000u, 10000000000u },
        .rerun = true,
        .outstanding_ns = 20000000,
        .share = { 1, 1 },
        .spin_ns = 5000,
        .busy_poll_ns = 50000,
        .inline_max_ns = 50000,
        .quarantine_limit = 256,
    };
}

/* Any thread: makes the engine's descriptor readable, once until the next run. */
static void wake(void *ctx)
{
    struct milgi_engine *e = ctx;
    if (!atomic_exchange(&e->woken, true))
        milgi__port_waker_wake(&e->waker);
}

static int engine_init(struct milgi_engine *e)
{
    struct milgi__pool_options pool = { .limit = e->o.memory_limit, .wake = wake, .wake_ctx = e };
    milgi__list_init(&e->ready);
    milgi__list_init(&e->dirty);
    milgi__list_init(&e->waiting);
    milgi__list_init(&e->waking);
    e->waiters_ns = UINT64_MAX;
    milgi__list_init(&e->cooling);
    milgi__list_init(&e->all_keys);
    milgi__route_init(e);
    milgi__stats_init(&e->stat, &e->o.clock);
    e->process = milgi__port_process();
    e->now_ns = e->o.clock.monotonic_ns(e->o.clock.ctx);
    if (milgi__port_waker_init(&e->waker) != 0)
        return MILGI_ELIMIT;
    e->cx = milgi__crypto_new();
    if (e->o.random == milgi__crypto_random)
        e->o.random_ctx = e->cx; /* which keeps a store of it */
    e->pool = milgi__pool_new(&pool);
    struct milgi_device *cpu = NULL;
    if (!e->cx || !e->pool || milgi_device_new("cpu", &cpu, NULL) != 0)
        return MILGI_ENOMEM;
    int index = milgi__dev_open(e, cpu);
    if (index < 0)
        milgi_device_free(cpu);
    return MILGI__MIN(index, 0);
}

static void engine_fini(struct milgi_engine *e)
{
    struct milgi_device *cpu = e->devs_n ? e->dev[0].device : NULL;
    milgi__keys_fini(e);
    for (unsigned i = 0; i < e->devs_n; i++) {
        if (e->dev[i].device)
            e->dev[i].device->ops->qp_close(e->dev[i].qp);
        milgi__stats_dev_fini(&e->dev[i].stat);
    }
    milgi__fair_fini(e);
    milgi__ops_fini(e);
    milgi_device_free(cpu);
    if (e->pool)
        milgi__pool_close(e->pool);
    milgi__crypto_free(e->cx);
    milgi__port_waker_fini(&e->waker);
    milgi__free(e->owners);
    milgi__free(e->heap);
    milgi__free_wiped(e, sizeof *e);
}

static bool options_make_sense(const struct milgi_engine_options *o)
{
    return o->clock.monotonic_ns && o->clock.wall_s && o->random && o->op_limit && o->conn_limit && o->memory_limit &&
        o->share[0] && o->share[1] && o->full_policy <= MILGI_FULL_REFUSE && o->completion <= MILGI_COMPLETION_BUSY;
}

int milgi_engine_new(const struct milgi_engine_options *options, struct milgi_engine **engine)
{
    *engine = NULL;
    struct milgi_engine *e = milgi__alloc(sizeof *e);
    if (!e)
        return MILGI_ENOMEM;
    milgi_engine_options_init(&e->o);
    if (options)
        e->o = *options;
    if (!options_make_sense(&e->o)) {
        milgi__free(e);
        return MILGI_EINVAL;
    }
    e->waker = (struct milgi__port_waker){ -1, -1 };
    int rv = engine_init(e);
    if (rv != 0) {
        engine_fini(e);
        return rv;
    }
    *engine = e;
    return 0;
}

static void run_posts(struct milgi_engine *e);

int milgi_engine_free(struct milgi_engine *e)
{
    if (!e)
        return 0;
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    if (e->running)
        return MILGI_EREENTRY;
    e->running = true;
    while (atomic_load(&e->posts))
        run_posts(e);
    for (uint32_t i = 0; i < e->owners_cap; i++) {
        if (e->owners[i].owner)
            e->owners[i].owner->ops->drop(e->owners[i].owner);
    }
    for (unsigned i = 0; i < e->devs_n; i++) {
        if (e->dev[i].device)
            milgi__dev_drain(e, &e->dev[i]);
    }
    milgi__pool_collect(e->pool);
    engine_fini(e);
    return 0;
}

/* --- what it was given -------------------------------------------------------------------------- */

struct milgi__crypto *milgi__engine_crypto(struct milgi_engine *e)
{
    return e->cx;
}

struct milgi__pool *milgi__engine_pool(struct milgi_engine *e)
{
    return e->pool;
}

struct milgi_chunk *milgi_chunk_new(struct milgi_engine *e, size_t size)
{
    if (size == 0 || size > MILGI_CHUNK_MAX)
        return NULL;
    return milgi__chunk_alloc(e->pool, size, 0, false);
}

uint64_t milgi__engine_now(struct milgi_engine *e)
{
    return e->now_ns;
}

int64_t milgi__engine_wall(struct milgi_engine *e)
{
    return e->o.clock.wall_s(e->o.clock.ctx);
}

int milgi__engine_random(struct milgi_engine *e, uint8_t *out, size_t len)
{
    return e->o.random(e->o.random_ctx, out, len);
}

struct milgi_slice *milgi__engine_scratch(struct milgi_engine *e)
{
    return e->scratch;
}

bool milgi__engine_foreign(const struct milgi_engine *e)
{
    return e->process != milgi__port_process();
}

int milgi_engine_fd(struct milgi_engine *e)
{
    return milgi__engine_foreign(e) ? -1 : e->waker.poll_fd;
}

/* --- from other threads ------------------------------------------------------------------------- */

int milgi_engine_post(struct milgi_engine *e, void (*fn)(void *arg), void *arg)
{
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    struct milgi__post_item *item = milgi__alloc(sizeof *item);
    if (!item)
        return MILGI_ENOMEM;
    item->fn = fn;
    item->arg = arg;
    item->next = atomic_load(&e->posts);
    while (!atomic_compare_exchange_weak(&e->posts, &item->next, item))
        ;
    wake(e);
    return 0;
}

static void run_posts(struct milgi_engine *e)
{
    struct milgi__post_item *item = atomic_exchange(&e->posts, NULL), *fifo = NULL;
    while (item) {
        struct milgi__post_item *next = item->next;
        item->next = fifo;
        fifo = item;
        item = next;
    }
    while (fifo) {
        struct milgi__post_item *next = fifo->next;
        fifo->fn(fifo->arg);
        milgi__free(fifo);
        fifo = next;
    }
}

/* --- the turn ----------------------------------------------------------------------------------- */

/* Run although there is nothing to do: a notification may have come late, whose op was taken long ago. */
static bool called_for_nothing(const struct milgi_engine *e)
{
    if (!e->ever_armed || !milgi__list_empty(&e->ready) || !milgi__list_empty(&e->dirty))
        return false;
    for (uint32_t set = e->live; set; set &= set - 1) {
        const struct milgi__dev *d = &e->dev[__builtin_ctz(set)];
        if (milgi__dev_inside(d) || milgi__dev_waiting(d))
            return false;
    }
    return true;
}

static void collect(struct milgi_engine *e)
{
    e->looks = called_for_nothing(e) || e->armed || atomic_load(&e->woken);
    if (e->looks) {
        /* Cleared before looking: what comes after is seen next time. */
        e->armed = false;
        milgi__port_waker_clear(&e->waker);
        atomic_store(&e->woken, false);
    }
    milgi__pool_collect(e->pool);
    run_posts(e);
}

static void expire_owners(struct milgi_engine *e)
{
    while (e->heap_n && e->heap[0]->deadline_ns <= e->now_ns) {
        struct milgi__owner *owner = e->heap[0];
        milgi__engine_deadline(e, owner, UINT64_MAX);
        owner->ops->timeout(owner);
    }
}

/*
 * All who wait for ops or chunks try again when some have been freed, the longest waiting first; a batch of them at
 * once, since the first may need all of it. Those who still find nothing wait for the next time; that comes by itself
 * after a while, for what was short may have been the heap, of which nobody tells when it has room.
 */
static void wake_waiters(struct milgi_engine *e)
{
    if (e->now_ns >= e->waiters_ns)
        milgi__pool_retry(e->pool);
    bool recovered = milgi__pool_recovered(e->pool);
    if (recovered && e->o.on_memory)
        e->o.on_memory(e->o.memory_ctx, e);
    if (recovered || e->freed_something || e->now_ns >= e->waiters_ns) {
        milgi__list_move(&e->waking, &e->waiting);
        e->waiters_ns = UINT64_MAX;
    }
    e->freed_something = false;
    for (unsigned i = 0; i < WAITERS_AT_ONCE && !milgi__list_empty(&e->waking); i++) {
        struct milgi__owner *owner = MILGI__ENTRY(e->waking.next, struct milgi__owner, waiting);
        milgi__list_remove(&owner->waiting);
        milgi__engine_ready(e, owner);
    }
}

static void watch_devices(struct milgi_engine *e)
{
    for (uint32_t set = e->live; set; set &= set - 1) {
        unsigned i = (unsigned)__builtin_ctz(set);
        struct milgi__dev *d = &e->dev[i];
        /* Those that waited may have gone with their owners: what was noted on their account holds no more. */
        if (!milgi__dev_waiting(d)) {
            d->full_since_ns = 0;
            d->more_here = false;
        }
        if (d->device && milgi__dev_watch(e, d))
            continue;
        e->live &= ~(1u << i);
    }
}

static void poll_devices(struct milgi_engine *e)
{
    for (uint32_t set = e->looks ? (1u << e->devs_n) - 2 : e->live; set; set &= set - 1) {
        struct milgi__dev *d = &e->dev[__builtin_ctz(set)];
        if (milgi__dev_inside(d) || (d->armed && e->looks))
            milgi__dev_poll(e, d);
    }
}

static void flush_devices(struct milgi_engine *e)
{
    for (uint32_t set = e->live; set; set &= set - 1) {
        struct milgi__dev *d = &e->dev[__builtin_ctz(set)];
        if (milgi__dev_waiting(d))
            milgi__dev_flush(e, d);
    }
}

/* The turns of all that are ready now; returns the budget that is left. */
static uint64_t run_ready(struct milgi_engine *e, uint64_t budget)
{
    /* Who becomes ready from here on comes behind |last|: after all that were ready before, now or later. */
    struct milgi__link last;
    milgi__list_append(&e->ready, &last);
    while (budget && e->ready.next != &last) {
        struct milgi__owner *owner = MILGI__ENTRY(e->ready.next, struct milgi__owner, ready);
        milgi__list_remove(&owner->ready);
        uint32_t index = owner->index, generation = owner->generation;
        bool more = false;
        uint64_t spent = owner->ops->turn(owner, budget, &more);
        budget = spent < budget ? budget - spent : 0;
        owner = milgi__engine_find(e, index, generation); /* it may have been freed */
        if (!owner)
            continue;
        milgi__list_remove(&owner->cooling);
        milgi__list_append(&e->cooling, &owner->cooling);
        owner->busy_ns = e->now_ns;
        if (more && milgi__list_empty(&owner->ready))
            milgi__list_append(&e->ready, &owner->ready);
    }
    milgi__list_remove(&last);
    return budget;
}

static void flush_owners(struct milgi_engine *e)
{
    struct milgi__link batch;
    milgi__list_init(&batch);
    while (!milgi__list_empty(&e->dirty)) {
        struct milgi__link *link = e->dirty.next;
        milgi__list_remove(link);
        milgi__list_append(&batch, link);
    }
    while (!milgi__list_empty(&batch)) {
        struct milgi__owner *owner = MILGI__ENTRY(batch.next, struct milgi__owner, dirty);
        milgi__list_remove(&owner->dirty);
        owner->ops->flush(owner);
    }
}

static void cool(struct milgi_engine *e)
{
    while (!milgi__list_empty(&e->cooling)) {
        struct milgi__owner *owner = MILGI__ENTRY(e->cooling.next, struct milgi__owner, cooling);
        if (e->now_ns - owner->busy_ns < MILGI__COOL_NS)
            return;
        milgi__list_remove(&owner->cooling);
        owner->ops->idle(owner);
    }
}

/*
 * Without any op the slabs of a busier time go, but for one. They are all that is left of it, and as they lie between
 * chunks that have been freed, the heap could not give those back either.
 */
static void trim_ops(struct milgi_engine *e)
{
    if (e->ops_alive || e->slabs_n < 2)
        return;
    for (uint32_t i = 1; i < e->slabs_n; i++)
        milgi__free_wiped(e->slabs[i], MILGI__SLAB_OPS * sizeof(struct milgi_op));
    e->slabs_n = 1;
    e->ops_made = MILGI__SLAB_OPS;
    e->free_ops = NULL;
    for (uint32_t i = 0; i < MILGI__SLAB_OPS; i++) {
        e->slabs[0][i].e.next = e->free_ops;
        e->free_ops = &e->slabs[0][i];
    }
}

static struct milgi_run_result before_sleep(struct milgi_engine *e)
{
    struct milgi_run_result again = { MILGI_RUN_AGAIN, 0 };
    uint64_t deadline = e->heap_n ? e->heap[0]->deadline_ns : UINT64_MAX;
    if (!milgi__list_empty(&e->ready) || !milgi__list_empty(&e->dirty) || !milgi__list_empty(&e->waking))
        return again;
    if (!milgi__list_empty(&e->waiting) && e->freed_something)
        return again;
    for (uint32_t set = e->live; set; set &= set - 1) {
        if (milgi__dev_arm(e, &e->dev[__builtin_ctz(set)], &deadline))
            return again;
    }
    if (!milgi__list_empty(&e->waiting) || milgi__pool_starved(e->pool)) {
        e->waiters_ns = MILGI__MIN(e->waiters_ns, e->now_ns + MILGI__WAITERS_NS);
        deadline = MILGI__MIN(deadline, e->waiters_ns);
    }
    if (milgi__list_empty(&e->cooling))
        milgi__keys_sweep(e);
    if (!milgi__list_empty(&e->cooling)) {
        const struct milgi__owner *first = MILGI__ENTRY(e->cooling.next, struct milgi__owner, cooling);
        deadline = MILGI__MIN(deadline, first->busy_ns + MILGI__COOL_NS);
    } else if (milgi__pool_trim(e->pool, TRIM_AT_ONCE)) {
        return again;
    } else if (milgi__pool_idle(e->pool)) {
        deadline = MILGI__MIN(deadline, e->now_ns + TRIM_NS);
    } else {
        trim_ops(e);
    }
    if (deadline == UINT64_MAX)
        return (struct milgi_run_result){ MILGI_RUN_IDLE, 0 };
    return (struct milgi_run_result){ MILGI_RUN_WAIT, deadline };
}

static void turn(struct milgi_engine *e, uint64_t budget)
{
    e->turns++;
    e->now_ns = milgi__stats_clock(&e->stat);
    collect(e);
    expire_owners(e);
    watch_devices(e);
    for (unsigned pass = 0; pass < PASSES; pass++) {
        poll_devices(e);
        wake_waiters(e);
        if (milgi__list_empty(&e->ready) && pass)
            break;
        budget = run_ready(e, budget);
        flush_devices(e);
        if (budget == 0)
            break;
    }
    flush_devices(e);
    flush_owners(e);
    cool(e);
}

int milgi_engine_run(struct milgi_engine *e, uint64_t budget_ns, struct milgi_run_result *result)
{
    *result = (struct milgi_run_result){ MILGI_RUN_IDLE, 0 };
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    if (e->running)
        return MILGI_EREENTRY;
    e->running = true;
    turn(e, budget_ns ? budget_ns : BUDGET_NS);
    *result = before_sleep(e);
    e->running = false;
    /* AGAIN is the host's promise to run: no need to call schedule() until then. */
    e->scheduled = result->next == MILGI_RUN_AGAIN;
    return 0;
}
