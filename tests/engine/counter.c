/* SPDX-License-Identifier: Apache-2.0 */
/* See counter.h. */
#include "counter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_identity.h"
#include "submit.h"

static struct counter *counter_of(struct milgi__owner *owner)
{
    return MILGI__ENTRY(owner, struct counter, owner);
}

static uint64_t owner_turn(struct milgi__owner *owner, uint64_t budget_ns, bool *more)
{
    struct counter *c = counter_of(owner);
    (void)budget_ns;
    *more = false;
    c->turns++;
    if (c->in_turn)
        c->in_turn(c);
    return 1000;
}

static void owner_done(struct milgi__owner *owner, struct milgi_op *op)
{
    struct counter *c = counter_of(owner);
    c->done++;
    c->status[op->status]++;
    c->done_n[op->cls]++;
    if (op->status == MILGI_OP_OK)
        c->done_ns[op->cls] += op->e.cost_ns;
}

static void owner_nothing(struct milgi__owner *owner)
{
    (void)owner;
}

static void owner_timeout(struct milgi__owner *owner)
{
    counter_of(owner)->timeouts++;
}

static void owner_idle(struct milgi__owner *owner)
{
    counter_of(owner)->idles++;
}

static void owner_drop(struct milgi__owner *owner)
{
    milgi__engine_detach(counter_of(owner)->engine, owner);
}

static const struct milgi__owner_ops owner_ops = { owner_turn, owner_done, owner_nothing, owner_timeout, owner_idle,
    owner_drop };

static uint64_t rig_ns(void *ctx)
{
    return ((struct rig *)ctx)->now_ns;
}

static int64_t rig_s(void *ctx)
{
    (void)ctx;
    return FAKE_NOW_S;
}

static void rig_schedule(void *ctx, struct milgi_engine *engine)
{
    (void)engine;
    ((struct rig *)ctx)->schedules++;
}

void rig_attach(struct rig *rig, struct counter *counter)
{
    counter->owner.ops = &owner_ops;
    counter->engine = rig->engine;
    assert_int_equal(milgi__engine_attach(rig->engine, &counter->owner), 0);
}

void rig_init(struct rig *rig, const struct milgi_engine_options *from, const char *device)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    if (from)
        options = *from;
    memset(rig, 0, sizeof *rig);
    rig->now_ns = 1000000000;
    options.clock = (struct milgi_clock){ rig_ns, rig_s, rig };
    options.schedule = rig_schedule;
    options.schedule_ctx = rig;
    assert_int_equal(milgi_engine_new(&options, &rig->engine), 0);
    rig_attach(rig, &rig->counter);
    if (!device)
        return;
    assert_int_equal(milgi_device_new(device, &rig->device, NULL), 0);
    int index = milgi_engine_add_device(rig->engine, rig->device);
    assert_true(index > 0);
    assert_int_equal(milgi_engine_route(rig->engine, UINT32_MAX, (unsigned)index, 1), 0);
}

void rig_end(struct rig *rig)
{
    assert_int_equal(milgi_engine_free(rig->engine), 0);
    milgi_device_free(rig->device);
}

void rig_fini(struct rig *rig)
{
    struct milgi_engine_stats stats;
    milgi_engine_stats(rig->engine, &stats);
    assert_int_equal(stats.memory, 0);
    rig_end(rig);
}

struct milgi_run_result rig_run(struct rig *rig)
{
    struct milgi_run_result result;
    assert_int_equal(milgi_engine_run(rig->engine, 0, &result), 0);
    return result;
}

void rig_settle(struct rig *rig, uint64_t until_ns)
{
    struct milgi_run_result result;
    for (unsigned guard = 0; guard < 100000; guard++) {
        assert_int_equal(milgi_engine_run(rig->engine, 0, &result), 0);
        if (result.next == MILGI_RUN_AGAIN)
            continue;
        if (result.next == MILGI_RUN_IDLE || result.deadline_ns > until_ns)
            return;
        if (result.deadline_ns > rig->now_ns)
            rig->now_ns = result.deadline_ns;
    }
    fail_msg("it does not come to rest");
}

void rig_keygen(struct rig *rig, struct counter *counter, uint16_t group)
{
    submit_keygen(rig->engine, &counter->owner, group);
}
