/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: its life, and what else its host asks of it. */
#include "engine/devices.h"
#include "engine/keys.h"
#include "engine/route.h"

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
        .short_path = true,
        .outstanding_ns = 20000000,
        .share = { 1, 1 },
        .spin_ns = 5000,
        .busy_poll_ns = 50000,
        .inline_max_ns = 50000,
        .quarantine_limit = 256,
        .quiesce_ns = 5000000000u,
    };
}

static int engine_init(struct milgi_engine *e)
{
    struct milgi__pool_options pool = { .limit = e->o.memory_limit, .wake = milgi__posts_wake, .wake_ctx = &e->posts };
    int rv = milgi__posts_init(&e->posts);
    milgi__owners_init(&e->owners);
    milgi__keys_init(&e->keys);
    e->waiters_ns = e->due_ns = UINT64_MAX;
    e->budget_ns = MILGI__BUDGET_NS;
    memcpy(e->fair.share, e->o.share, sizeof e->fair.share);
    milgi__route_init(e);
    milgi__stats_init(&e->stat, &e->o.clock);
    e->tracer.clock = &e->o.clock;
    e->process = milgi__port_process();
    e->now_ns = e->o.clock.monotonic_ns(e->o.clock.ctx);
    if (rv != 0)
        return rv;
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
    milgi__fair_fini(&e->fair);
    milgi__slab_fini(&e->slab);
    milgi_device_free(cpu);
    if (e->pool)
        milgi__pool_close(e->pool);
    milgi__crypto_free(e->cx);
    milgi__posts_fini(&e->posts);
    milgi__owners_fini(&e->owners);
    milgi__free_wiped(e, sizeof *e);
}

/* With less no connection would ever come to be: all that a step starts has to fit, and a record. */
#define OPS_MIN 16u
#define MEMORY_MIN 65536u

static bool options_make_sense(const struct milgi_engine_options *o)
{
    bool given = o->clock.monotonic_ns && o->clock.wall_s && o->random;
    bool limits = o->op_limit >= OPS_MIN && o->memory_limit >= MEMORY_MIN && o->conn_limit;
    return given && limits && o->share[0] && o->share[1] && o->full_policy <= MILGI_FULL_REFUSE &&
        o->completion <= MILGI_COMPLETION_BUSY;
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
    int rv = engine_init(e);
    if (rv != 0) {
        engine_fini(e);
        return rv;
    }
    *engine = e;
    return 0;
}

int milgi_engine_free(struct milgi_engine *e)
{
    if (!e)
        return 0;
    if (milgi__engine_foreign(e))
        return MILGI_EFORK;
    if (e->running)
        return MILGI_EREENTRY;
    e->running = true;
    while (milgi__posts_run(&e->posts))
        ;
    milgi__owners_drop(&e->owners);
    /* In real time: devices that hang are not to hold up the process, all of them together no longer than one. */
    uint64_t until_ns = milgi__after(milgi__port_monotonic_ns(NULL), e->o.quiesce_ns);
    for (unsigned i = 0; i < e->devs_n; i++) {
        uint64_t now_ns = milgi__port_monotonic_ns(NULL);
        if (e->dev[i].device)
            milgi__dev_drain(e, &e->dev[i], until_ns > now_ns ? until_ns - now_ns : 0);
    }
    milgi__pool_collect(e->pool);
    engine_fini(e);
    return 0;
}

/* --- from its host ---------------------------------------------------------------------------------------------- */

struct milgi_chunk *milgi_chunk_new(struct milgi_engine *e, size_t size)
{
    if (size == 0 || size > MILGI_CHUNK_MAX)
        return NULL;
    return milgi__chunk_alloc(e->pool, size, 0, false);
}

struct milgi_chunk *milgi_chunk_lend(
    struct milgi_engine *e, void *data, size_t size, void (*release)(void *arg), void *arg)
{
    if (!data || !release || size == 0 || size > MILGI_CHUNK_MAX)
        return NULL;
    return milgi__chunk_lend(e->pool, data, (uint32_t)size, release, arg);
}

uint64_t milgi_engine_now(const struct milgi_engine *e)
{
    return e->o.clock.monotonic_ns(e->o.clock.ctx);
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
