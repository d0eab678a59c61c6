/* SPDX-License-Identifier: Apache-2.0 */
/* The turn. */
#include "engine/batch.h"
#include "engine/devices.h"
#include "engine/keys.h"
#include "engine/poll.h"
#include "engine/sleep.h"

#define PASSES 3u          /* what was staged before the run, and twice what its callbacks stage */
#define BUDGET_NS 1000000u /* of a run that was given none */
#define WAITERS_AT_ONCE 64u
#define WAITERS_NS 100000000u /* who waits for ops or chunks tries again after this, whatever was freed */
#define COOL_NS 5000000u      /* an owner that has had no turn for this long is idle */
#define TRIM_AT_ONCE 32u
#define TRIM_NS 1000000000u /* idle chunks that nobody has needed for so long go, also when nothing else happens */

/* Run although there is nothing to do: a notification may have come late, whose op was taken long ago. */
static bool called_for_nothing(const struct milgi_engine *e)
{
    if (!e->ever_armed || !milgi__list_empty(&e->owners.ready) || !milgi__list_empty(&e->owners.dirty))
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
    e->looks = called_for_nothing(e) || e->armed || atomic_load(&e->posts.woken);
    if (e->looks) {
        /* Cleared before looking: what comes after is seen next time. */
        e->armed = false;
        milgi__posts_clear(&e->posts);
    }
    milgi__pool_collect(e->pool);
    milgi__posts_run(&e->posts);
}

static void expire_owners(struct milgi_engine *e)
{
    while (milgi__owners_first_ns(&e->owners) <= e->now_ns) {
        struct milgi__owner *owner = e->owners.heap[0];
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
    if (recovered || e->slab.freed || e->now_ns >= e->waiters_ns) {
        milgi__list_move(&e->owners.waking, &e->owners.waiting);
        e->waiters_ns = UINT64_MAX;
    }
    e->slab.freed = false;
    for (unsigned i = 0; i < WAITERS_AT_ONCE && !milgi__list_empty(&e->owners.waking); i++) {
        struct milgi__owner *owner = MILGI__ENTRY(e->owners.waking.next, struct milgi__owner, waiting);
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
    milgi__list_append(&e->owners.ready, &last);
    while (budget && e->owners.ready.next != &last) {
        struct milgi__owner *owner = MILGI__ENTRY(e->owners.ready.next, struct milgi__owner, ready);
        milgi__list_remove(&owner->ready);
        uint32_t index = owner->index, generation = owner->generation;
        bool more = false;
        uint64_t spent = owner->ops->turn(owner, budget, &more);
        budget = spent < budget ? budget - spent : 0;
        owner = milgi__engine_find(e, index, generation); /* it may have been freed */
        if (!owner)
            continue;
        milgi__list_remove(&owner->cooling);
        milgi__list_append(&e->owners.cooling, &owner->cooling);
        owner->busy_ns = e->now_ns;
        if (more && milgi__list_empty(&owner->ready))
            milgi__list_append(&e->owners.ready, &owner->ready);
    }
    milgi__list_remove(&last);
    return budget;
}

static void flush_owners(struct milgi_engine *e)
{
    struct milgi__link batch;
    milgi__list_init(&batch);
    while (!milgi__list_empty(&e->owners.dirty)) {
        struct milgi__link *link = e->owners.dirty.next;
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
    while (!milgi__list_empty(&e->owners.cooling)) {
        struct milgi__owner *owner = MILGI__ENTRY(e->owners.cooling.next, struct milgi__owner, cooling);
        if (e->now_ns - owner->busy_ns < COOL_NS)
            return;
        milgi__list_remove(&owner->cooling);
        owner->ops->idle(owner);
    }
}

static struct milgi_run_result before_sleep(struct milgi_engine *e)
{
    struct milgi_run_result again = { MILGI_RUN_AGAIN, 0 };
    uint64_t deadline = milgi__owners_first_ns(&e->owners);
    const struct milgi__owners *o = &e->owners;
    if (!milgi__list_empty(&o->ready) || !milgi__list_empty(&o->dirty) || !milgi__list_empty(&o->waking))
        return again;
    if (!milgi__list_empty(&o->waiting) && e->slab.freed)
        return again;
    for (uint32_t set = e->live; set; set &= set - 1) {
        if (milgi__dev_arm(e, &e->dev[__builtin_ctz(set)], &deadline))
            return again;
    }
    if (!milgi__list_empty(&e->owners.waiting) || milgi__pool_starved(e->pool)) {
        e->waiters_ns = MILGI__MIN(e->waiters_ns, e->now_ns + WAITERS_NS);
        deadline = MILGI__MIN(deadline, e->waiters_ns);
    }
    if (milgi__list_empty(&e->owners.cooling))
        milgi__keys_sweep(e);
    if (!milgi__list_empty(&e->owners.cooling)) {
        const struct milgi__owner *first = MILGI__ENTRY(e->owners.cooling.next, struct milgi__owner, cooling);
        deadline = MILGI__MIN(deadline, first->busy_ns + COOL_NS);
    } else if (milgi__pool_trim(e->pool, TRIM_AT_ONCE)) {
        return again;
    } else if (milgi__pool_idle(e->pool)) {
        deadline = MILGI__MIN(deadline, e->now_ns + TRIM_NS);
    } else {
        milgi__slab_trim(&e->slab);
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
        if (milgi__list_empty(&e->owners.ready) && pass)
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
