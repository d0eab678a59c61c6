/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ops and answers that come late. Under -async nothing is there when it is asked for: all ops go to a device that gives
 * each back in a later turn, in another order, and decisions are answered when their callback has long returned.
 */
#include "shim.h"

#include <string.h>
#include <time.h>

#define SLOW "sim:latency=400ns,jitter=2us,units=16"
#define ROUNDS 2 /* turns until a decision is answered */
#define ALL_OPS (MILGI_OP_BIT(MILGI_OP_TYPES) - 1)

/*
 * The engine's clock goes slowly: what a peer may do so many times in a second it may not do more often because this
 * machine is busy, and nobody's patience ends before the runner's.
 */
static uint64_t slow_ns(void *ctx)
{
    struct timespec now;
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) / SHIM_SLOWER;
}

int64_t shim_wall_s(const struct shim_late *late)
{
    return time(NULL) + late->wall_ahead_s;
}

static int64_t wall_s(void *ctx)
{
    return shim_wall_s(ctx);
}

static void schedule(void *ctx, struct milgi_engine *engine)
{
    struct shim_late *late = ctx;
    (void)engine;
    late->runnable = true;
}

int shim_late_init(struct shim_late *late, const struct shim_options *o, const char **why)
{
    const char *spec = o->device ? o->device : o->async ? SLOW
                                                        : NULL;
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.clock = (struct milgi_clock){ slow_ns, wall_s, late };
    options.schedule = schedule;
    options.schedule_ctx = late;
    *late = (struct shim_late){ 0 };
    *why = "no engine";
    if (milgi_engine_new(&options, &late->engine))
        return 1;
    if (!spec)
        return 0;
    int index = milgi_device_new(spec, &late->device, why);
    if (!index)
        index = milgi_engine_add_device(late->engine, late->device);
    if (index < 0 || milgi_engine_route(late->engine, ALL_OPS, (unsigned)index, 1)) {
        shim_late_fini(late);
        return 1;
    }
    late->index = (unsigned)index;
    return 0;
}

void shim_late_fini(struct shim_late *late)
{
    milgi_engine_free(late->engine);
    milgi_device_free(late->device);
    *late = (struct shim_late){ 0 };
}

void shim_late_keep(struct shim_late *late, const struct milgi_decision *decision)
{
    if (late->decisions_n == SHIM_DECISIONS_MAX)
        return; /* it is never answered, and the test fails: there are three kinds, each asked for once */
    late->decision[late->decisions_n] = *decision;
    late->rounds[late->decisions_n++] = ROUNDS;
}

bool shim_late_due(struct shim_late *late, struct milgi_decision *decision)
{
    for (size_t i = 0; i < late->decisions_n; i++) {
        if (late->rounds[i]-- != 0)
            continue;
        *decision = late->decision[i];
        late->decision[i] = late->decision[--late->decisions_n];
        late->rounds[i] = late->rounds[late->decisions_n];
        late->suspended++;
        return true;
    }
    return false;
}

uint64_t shim_late_count(const struct shim_late *late)
{
    struct milgi_engine_stats stats;
    uint64_t n = late->suspended;
    milgi_engine_stats(late->engine, &stats);
    for (int type = 0; late->index && type < MILGI_OP_TYPES; type++)
        n += stats.device[late->index].completed[type];
    return n;
}
