/* SPDX-License-Identifier: Apache-2.0 */
/* The turn. */
#include "engine/devices.h"
#include "engine/keys.h"
#include "engine/poll.h"
#include "engine/sleep.h"
#include "engine/submit.h"
#include "engine/trace.h"

#define PASSES 3u /* what was staged before the run, and twice what its callbacks stage */
#define WAITERS_AT_ONCE 64u
#define EXPIRED_AT_ONCE 64u   /* deadlines that are judged in one turn; the others in the next */
#define VAIN_AT_ONCE 256u     /* when so many in a row have found nothing, there is none */
#define TRY_NS 10000u         /* and this later for each that has tried before */
#define WAITERS_NS 100000000u /* those that wait for ops or chunks try again after this, whatever was freed */
#define COOL_NS 5000000u      /* an owner that has had no turn for this long is idle */
#define SLACK_NS 1000000000u  /* what is done whenever it is convenient is done this much later at most */
#define LATE_NS 50000000u     /* a host that comes so much later than it was told to was stopped */
#define SWEEP_NS 1000000000u  /* keys and chunks that nobody needs any more are looked for this often */
#define TRIM_AT_ONCE 32u
#define TRIM_NS 1000000000u /* idle chunks that nobody has needed for so long go, also when nothing else happens */
#define CHARGE_MAX_NS 1000000000u

static bool anybody_ready(const struct milgi_engine *e)
{
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        if (!milgi__list_empty(&e->owners.ready[cls]))
            return true;
    }
    return false;
}

/* Run although there is nothing to do: a notification may have come late, whose op was taken long ago. */
static bool called_for_nothing(const struct milgi_engine *e)
{
    if (!e->ever_armed || anybody_ready(e) || !milgi__list_empty(&e->owners.dirty))
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
    bool woken = atomic_load(&e->posts.woken);
    e->looks = called_for_nothing(e) || e->armed || woken;
    e->ever_armed |= woken; /* who wakes writes the descriptor after that, perhaps long after what it was for is done */
    if (e->looks) {
        /* Cleared before looking: what comes after is seen next time. */
        e->armed = false;
        milgi__posts_clear(&e->posts);
    }
    milgi__pool_collect(e->pool);
    if (e->looks) /* else nobody has woken the engine, as everybody does who posts */
        milgi__posts_run(&e->posts);
}

/*
 * Deadlines are judged behind what has come in time: results were polled before this, and who has something to do, a
 * staged input or an answer, does that first.
 */
static void expire_owners(struct milgi_engine *e)
{
    for (unsigned i = 0; i < EXPIRED_AT_ONCE && milgi__owners_first_ns(&e->owners) <= e->now_ns; i++) {
        struct milgi__owner *owner = milgi__owners_first(&e->owners);
        milgi__engine_deadline(e, owner, UINT64_MAX);
        if (milgi__list_empty(&owner->ready))
            owner->ops->timeout(owner);
        else
            owner->expired = true;
    }
}

/*
 * A host that comes much later than it was told to was stopped, and what came meanwhile is still outside: it brings
 * that before the next turn, in which the deadlines are judged.
 */
static bool gives_grace(const struct milgi_engine *e)
{
    return !e->grace && e->now_ns > e->due_ns && e->now_ns - e->due_ns > LATE_NS;
}

/* One line again: who has tried in vain, who has not tried yet, who came meanwhile. */
static void line_up(struct milgi__owners *o)
{
    milgi__list_move(&o->tried, &o->waking);
    milgi__list_move(&o->tried, &o->waiting);
    milgi__list_move(&o->waiting, &o->tried);
}

/*
 * All who wait for ops or chunks try again when some have been freed, the longest waiting first; a batch of them at
 * once, since the first may need all of it. When many in a row have found nothing, the others need not look: what an op
 * that ends costs does not grow with the crowd that waits for it. After a while all try, whatever was freed: they may
 * want less than those before them, and what was short may have been the heap, of which nobody tells when it has room.
 * A large crowd does so less often.
 */
static void wake_waiters(struct milgi_engine *e)
{
    struct milgi__owners *o = &e->owners;
    bool all = e->now_ns >= e->waiters_ns;
    if (all)
        milgi__pool_retry(e->pool);
    bool recovered = milgi__pool_recovered(e->pool);
    if (recovered && e->o.on_memory)
        e->o.on_memory(e->o.memory_ctx, e);
    e->wake |= recovered || e->slab.freed || all;
    e->slab.freed = false;
    if (!e->wake && milgi__list_empty(&o->waking) && milgi__list_empty(&o->tried))
        return; /* whoever waits stands in line, and nothing was freed */
    bool under_way = e->all_try && !milgi__list_empty(&o->waking);
    if (e->wake && !under_way) {
        line_up(o);
        milgi__list_move(&o->waking, &o->waiting);
        e->waiters_ns = all ? UINT64_MAX : e->waiters_ns;
        if (!all && !milgi__list_empty(&o->waking)) /* for those whom this round does not reach */
            milgi__sooner(&e->waiters_ns, e->now_ns + WAITERS_NS);
        e->all_try = all;
        e->wake = false;
        e->tries = e->vain = 0;
    } else if (milgi__list_empty(&o->waking) || (!under_way && e->vain >= VAIN_AT_ONCE)) {
        line_up(o);
    }
    for (unsigned i = 0; i < WAITERS_AT_ONCE && !milgi__list_empty(&o->waking); i++) {
        struct milgi__owner *owner = MILGI__ENTRY(o->waking.next, struct milgi__owner, waiting);
        milgi__list_remove(&owner->waiting);
        owner->woken = true;
        if (milgi__traced(&e->tracer))
            milgi__trace_memory(e, owner, false);
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

/* What works on this thread does the rest of what it has: nobody else comes, or its first has waited long enough. */
static void end_gathering(struct milgi_engine *e, bool now)
{
    for (uint32_t set = e->live & e->callers; set; set &= set - 1) {
        struct milgi__dev *d = &e->dev[__builtin_ctz(set)];
        if (milgi__dev_waiting(d) + milgi__dev_flight(d) == 0)
            continue;
        uint32_t gather_ns = d->device->caps.gather_ns;
        if (!now && (!gather_ns || milgi__stats_clock(&e->stat) - d->gather_since_ns < gather_ns))
            continue;
        if (milgi__dev_waiting(d))
            milgi__dev_flush(e, d);
        milgi__dev_poll(e, d);
        d->gather_since_ns = e->stat.last_ns;
        d->more_here |= milgi__dev_waiting(d) && !d->retry_after_ns; /* one that refused is asked when its time comes */
    }
}

static void give_turn(struct milgi_engine *e, struct milgi__owner *owner)
{
    uint32_t index = owner->index, generation = owner->generation;
    bool more = false;
    milgi__list_remove(&owner->ready);
    e->spent_ns += owner->ops->turn(owner, e->budget_ns - e->spent_ns, &more);
    if (!milgi__engine_find(e, index, generation))
        return; /* it was freed */
    if (owner->woken) {
        e->tries++;
        e->vain = milgi__list_empty(&owner->waiting) ? 0 : e->vain + 1;
        owner->woken = false;
    }
    milgi__list_remove(&owner->cooling);
    milgi__list_append(&e->owners.cooling, &owner->cooling);
    owner->busy_ns = e->now_ns;
    if (more && milgi__list_empty(&owner->ready))
        milgi__list_append(&e->owners.ready[owner->cls], &owner->ready);
    if (owner->expired) {
        owner->expired = false;
        owner->ops->timeout(owner);
    }
}

/*
 * The class whose turn it is of those that have somebody before |last|; MILGI_OP_CLASSES: none has. An established
 * connection does not wait for hundreds of handshakes, nor these for it: the class that was served less, for its share,
 * goes first. Whoever has nothing to do saves nothing up.
 */
static unsigned next_class(struct milgi_engine *e, const struct milgi__link last[MILGI_OP_CLASSES])
{
    uint64_t *served = e->served_ns;
    const struct milgi__link *ready = e->owners.ready;
    bool records = ready[MILGI_OP_CLASS_RECORDS].next != &last[MILGI_OP_CLASS_RECORDS];
    bool handshakes = ready[MILGI_OP_CLASS_HANDSHAKE].next != &last[MILGI_OP_CLASS_HANDSHAKE];
    if (!records)
        served[MILGI_OP_CLASS_RECORDS] =
            MILGI__MAX(served[MILGI_OP_CLASS_RECORDS], served[MILGI_OP_CLASS_HANDSHAKE]);
    if (!handshakes)
        served[MILGI_OP_CLASS_HANDSHAKE] =
            MILGI__MAX(served[MILGI_OP_CLASS_HANDSHAKE], served[MILGI_OP_CLASS_RECORDS]);
    if (records && (!handshakes || served[MILGI_OP_CLASS_RECORDS] <= served[MILGI_OP_CLASS_HANDSHAKE]))
        return MILGI_OP_CLASS_RECORDS;
    return handshakes ? MILGI_OP_CLASS_HANDSHAKE : MILGI_OP_CLASSES;
}

/* The turns of all that are ready now, until the budget is used up. */
static void run_ready(struct milgi_engine *e)
{
    /* Who becomes ready from here on comes behind |last|: after all that were ready before, now or later. */
    struct milgi__link last[MILGI_OP_CLASSES];
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
        milgi__list_append(&e->owners.ready[cls], &last[cls]);
    unsigned cls;
    while (e->spent_ns < e->budget_ns && (cls = next_class(e, last)) < MILGI_OP_CLASSES) {
        uint64_t before_ns = e->spent_ns;
        give_turn(e, MILGI__ENTRY(e->owners.ready[cls].next, struct milgi__owner, ready));
        end_gathering(e, false);
        e->served_ns[cls] += (e->spent_ns - before_ns) / e->o.share[cls];
    }
    for (cls = 0; cls < MILGI_OP_CLASSES; cls++)
        milgi__list_remove(&last[cls]);
}

static void flush_owners(struct milgi_engine *e)
{
    struct milgi__link batch;
    milgi__list_init(&batch);
    milgi__list_move(&batch, &e->owners.dirty);
    while (!milgi__list_empty(&batch)) {
        struct milgi__owner *owner = MILGI__ENTRY(batch.next, struct milgi__owner, dirty);
        milgi__list_remove(&owner->dirty);
        owner->ops->flush(owner);
    }
}

static void cool(struct milgi_engine *e)
{
    bool any = false;
    while (!milgi__list_empty(&e->owners.cooling)) {
        struct milgi__owner *owner = MILGI__ENTRY(e->owners.cooling.next, struct milgi__owner, cooling);
        if (e->now_ns - owner->busy_ns < COOL_NS) {
            if (any) /* in the next turn, probably */
                milgi__prefetch(owner, MILGI__OWNER_NEAR);
            return;
        }
        any = true;
        milgi__list_remove(&owner->cooling);
        milgi__fair_forget(&e->fair, owner);
        owner->ops->idle(owner);
    }
}

static bool work_left(const struct milgi_engine *e)
{
    const struct milgi__owners *o = &e->owners;
    bool wait = !milgi__list_empty(&o->waiting) || !milgi__list_empty(&o->tried);
    return anybody_ready(e) || !milgi__list_empty(&o->dirty) || !milgi__list_empty(&o->waking) ||
        (wait && (e->slab.freed || e->wake)) || milgi__owners_first_ns(o) <= e->now_ns;
}

/* What is put in order while nobody is busy. True: there is more of it now. */
static bool tidy(struct milgi_engine *e, struct milgi__wake *wake)
{
    const struct milgi__dev *own = &e->dev[0];
    if (own->device->ops->idle)
        milgi__sooner(&wake->convenient_ns, own->device->ops->idle(own->qp, e->now_ns));
    if (!milgi__list_empty(&e->owners.cooling)) {
        const struct milgi__owner *first = MILGI__ENTRY(e->owners.cooling.next, struct milgi__owner, cooling);
        milgi__sooner(&wake->convenient_ns, first->busy_ns + COOL_NS);
        return false;
    }
    milgi__keys_sweep(e);
    /* Not when this turn has begun to watch what is needed: nothing has been since. */
    if (e->swept_ns != e->now_ns && milgi__pool_trim(e->pool, TRIM_AT_ONCE))
        return true;
    e->swept_ns = e->now_ns;
    if (milgi__pool_idle(e->pool))
        milgi__sooner(&wake->convenient_ns, e->now_ns + TRIM_NS);
    else
        milgi__slab_trim(&e->slab);
    return false;
}

static struct milgi_run_result before_sleep(struct milgi_engine *e)
{
    struct milgi_run_result again = { .next = MILGI_RUN_AGAIN };
    struct milgi__wake wake = { milgi__owners_first_ns(&e->owners), UINT64_MAX };
    if (e->grace || work_left(e))
        return again;
    for (uint32_t set = e->live; set; set &= set - 1) {
        if (milgi__dev_arm(e, &e->dev[__builtin_ctz(set)], &wake))
            return again;
    }
    line_up(&e->owners);
    if (!milgi__list_empty(&e->owners.waiting) || milgi__pool_starved(e->pool)) {
        e->waiters_ns = MILGI__MIN(e->waiters_ns, e->now_ns + WAITERS_NS + (uint64_t)e->tries * TRY_NS);
        milgi__sooner(&wake.must_ns, e->waiters_ns);
    }
    if (tidy(e, &wake))
        return again;
    milgi__sooner(&wake.must_ns, milgi__after(wake.convenient_ns, SLACK_NS));
    if (wake.must_ns == UINT64_MAX)
        return (struct milgi_run_result){ .next = MILGI_RUN_IDLE };
    milgi__sooner(&wake.convenient_ns, wake.must_ns);
    return (struct milgi_run_result){ MILGI_RUN_WAIT, wake.must_ns, wake.convenient_ns };
}

/* Under load, too: a private key that was replaced does not stay, nor do chunks of a crowd that has left. */
static void sweep(struct milgi_engine *e)
{
    if (milgi__pool_trim(e->pool, TRIM_AT_ONCE))
        return; /* the rest in the next turns */
    e->swept_ns = e->now_ns;
    milgi__keys_sweep(e);
}

static void turn(struct milgi_engine *e, uint64_t budget)
{
    e->turns++;
    e->budget_ns = budget;
    e->spent_ns = 0;
    e->now_ns = milgi__stats_clock(&e->stat);
    e->grace = gives_grace(e);
    collect(e);
    poll_devices(e);
    if (!e->grace)
        expire_owners(e);
    watch_devices(e);
    for (unsigned pass = 0; pass < PASSES; pass++) {
        if (pass)
            poll_devices(e);
        wake_waiters(e);
        if (pass && !anybody_ready(e))
            break;
        run_ready(e);
        flush_devices(e);
        if (e->spent_ns >= e->budget_ns)
            break;
    }
    flush_devices(e);
    end_gathering(e, true);
    flush_owners(e);
    cool(e);
    if (e->now_ns - e->swept_ns >= SWEEP_NS)
        sweep(e);
}

void milgi_engine_charge(struct milgi_engine *e, uint64_t ns)
{
    e->spent_ns += MILGI__MIN(ns, CHARGE_MAX_NS);
}

int milgi_engine_run(struct milgi_engine *e, uint64_t budget_ns, struct milgi_run_result *result)
{
    *result = (struct milgi_run_result){ .next = MILGI_RUN_IDLE };
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    if (e->running)
        return MILGI_EREENTRY;
    e->running = true;
    turn(e, budget_ns ? budget_ns : MILGI__BUDGET_NS);
    *result = before_sleep(e);
    e->running = false;
    /* AGAIN is the host's promise to run: no need to call schedule() until then. */
    e->scheduled = result->next == MILGI_RUN_AGAIN;
    e->due_ns = result->next == MILGI_RUN_WAIT ? result->deadline_ns
        : result->next == MILGI_RUN_AGAIN      ? e->now_ns
                                               : UINT64_MAX;
    return 0;
}
