/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine was given, and what it is told: who is ready, who waits, until when, and what there is to count. */
#include "engine/trace.h"

/* --- what it was given ------------------------------------------------------------------------------------------ */

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

uint64_t milgi__engine_spent(const struct milgi_engine *e)
{
    return e->spent_ns;
}

uint64_t milgi_engine_now(const struct milgi_engine *e)
{
    return e->o.clock.monotonic_ns(e->o.clock.ctx);
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
    return milgi__engine_foreign(e) ? -1 : e->posts.waker.poll_fd;
}

int milgi_engine_post(struct milgi_engine *e, void (*fn)(void *arg), void *arg)
{
    return milgi__engine_foreign(e) ? MILGI_EFORK : milgi__posts_add(&e->posts, fn, arg);
}

int milgi_engine_set_trace(struct milgi_engine *e, milgi_trace_fn *fn, void *ctx)
{
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    e->tracer.fn = fn;
    e->tracer.ctx = ctx;
    return 0;
}

const struct milgi__tracer *milgi__engine_tracer(const struct milgi_engine *e)
{
    return &e->tracer;
}

/* --- what it is told -------------------------------------------------------------------------------------------- */

struct milgi__owner *milgi__engine_find(struct milgi_engine *e, uint32_t index, uint32_t generation)
{
    return milgi__owners_find(&e->owners, index, generation);
}

void milgi__engine_runnable(struct milgi_engine *e)
{
    if (e->running || e->scheduled)
        return;
    e->scheduled = true;
    if (e->o.schedule)
        e->o.schedule(e->o.schedule_ctx, e);
}

void milgi__engine_ready(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (milgi__list_empty(&owner->ready))
        milgi__list_append(&e->owners.ready[owner->cls], &owner->ready);
    milgi__engine_runnable(e);
}

void milgi__engine_dirty(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (milgi__list_empty(&owner->dirty))
        milgi__list_append(&e->owners.dirty, &owner->dirty);
}

void milgi__engine_wait(struct milgi_engine *e, struct milgi__owner *owner)
{
    if (!milgi__list_empty(&owner->waiting))
        return;
    milgi__list_append(&e->owners.waiting, &owner->waiting);
    if (milgi__traced(&e->tracer))
        milgi__trace_memory(e, owner, true);
}

void milgi__engine_deadline(struct milgi_engine *e, struct milgi__owner *owner, uint64_t deadline_ns)
{
    milgi__owners_deadline(&e->owners, owner, deadline_ns);
}

/* --- counting --------------------------------------------------------------------------------------------------- */

void milgi__engine_count(struct milgi_engine *e, uint64_t copied, uint64_t sealed, uint64_t opened)
{
    e->copied += copied;
    e->sealed += sealed;
    e->opened += opened;
}

void milgi__engine_reorder(struct milgi_engine *e, unsigned dev, unsigned cls, uint64_t back_ns)
{
    uint64_t now_ns = e->stat.last_ns;
    milgi__stats_time(&e->dev[dev].stat, cls, MILGI_LATENCY_REORDER, now_ns > back_ns ? now_ns - back_ns : 0);
}
