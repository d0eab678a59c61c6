/* SPDX-License-Identifier: Apache-2.0 */
/* No state is one that nothing leads out of: waiters beyond a batch, devices that keep what they were given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "device/sim/manual.h"
#include "engine/engine.h"
#include "fake_identity.h"

/* --- an owner that counts ----------------------------------------------------------------------------------------- */

struct counter {
    struct milgi__owner owner;
    struct milgi_engine *engine;
    unsigned turns, ok, other;
};

static struct counter *counter_of(struct milgi__owner *owner)
{
    return MILGI__ENTRY(owner, struct counter, owner);
}

static uint64_t owner_turn(struct milgi__owner *owner, uint64_t budget_ns, bool *more)
{
    (void)budget_ns;
    *more = false;
    counter_of(owner)->turns++;
    return 200;
}

static void owner_done(struct milgi__owner *owner, struct milgi_op *op)
{
    if (op->status == MILGI_OP_OK)
        counter_of(owner)->ok++;
    else
        counter_of(owner)->other++;
}

static void owner_nothing(struct milgi__owner *owner)
{
    (void)owner;
}

static void owner_drop(struct milgi__owner *owner)
{
    milgi__engine_detach(counter_of(owner)->engine, owner);
}

static const struct milgi__owner_ops owner_ops = { owner_turn, owner_done, owner_nothing, owner_nothing, owner_nothing,
    owner_drop };

/* --- an engine on virtual time ------------------------------------------------------------------------------------ */

struct rig {
    uint64_t now_ns;
    struct milgi_engine *engine;
    struct milgi_device *device;
    struct counter counter;
};

static uint64_t rig_ns(void *ctx)
{
    return ((struct rig *)ctx)->now_ns;
}

static int64_t rig_s(void *ctx)
{
    (void)ctx;
    return FAKE_NOW_S;
}

static void attach(struct rig *rig, struct counter *counter)
{
    counter->owner.ops = &owner_ops;
    counter->engine = rig->engine;
    assert_int_equal(milgi__engine_attach(rig->engine, &counter->owner), 0);
}

static void rig_init(struct rig *rig, const char *device)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    memset(rig, 0, sizeof *rig);
    rig->now_ns = 1000000000;
    options.clock = (struct milgi_clock){ rig_ns, rig_s, rig };
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 1000000;
    assert_int_equal(milgi_engine_new(&options, &rig->engine), 0);
    attach(rig, &rig->counter);
    if (!device)
        return;
    assert_int_equal(milgi_device_new(device, &rig->device, NULL), 0);
    int index = milgi_engine_add_device(rig->engine, rig->device);
    assert_true(index > 0);
    assert_int_equal(milgi_engine_route(rig->engine, UINT32_MAX, (unsigned)index, 1), 0);
}

static void rig_fini(struct rig *rig)
{
    assert_int_equal(milgi_engine_free(rig->engine), 0);
    milgi_device_free(rig->device);
}

/* Runs as a host does, until the engine wants nothing any more or |until_ns| is reached. */
static void settle(struct rig *rig, uint64_t until_ns)
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

static void submit_keygen(struct rig *rig, struct counter *counter, uint16_t group)
{
    struct milgi_op *op = milgi__engine_op_new(rig->engine, false);
    assert_non_null(op);
    memset(&op->u.kex, 0, sizeof op->u.kex);
    struct milgi_chunk *chunk = milgi__chunk_alloc(milgi__engine_pool(rig->engine), 128, 0, true);
    assert_non_null(chunk);
    op->u.kex.share = (struct milgi_slice){ chunk, chunk->data, 128 };
    op->type = MILGI_OP_KEYGEN;
    op->cls = MILGI_OP_CLASS_HANDSHAKE;
    op->alg = group;
    op->flags |= MILGI__OP_RERUN;
    op->u.kex.seed_len = (uint16_t)milgi__kex_seed_len(group);
    memset(op->u.kex.seed, 7, op->u.kex.seed_len);
    milgi__engine_submit(rig->engine, &counter->owner, op, 0);
}

/* --- waiting for ops or chunks ------------------------------------------------------------------------------------ */

static void all_that_wait_are_woken_by_one_event(void **state)
{
    (void)state;
    enum {
        MANY = 300
    };
    struct rig rig;
    rig_init(&rig, NULL);
    struct counter *waiters = calloc(MANY, sizeof *waiters);
    for (unsigned i = 0; i < MANY; i++) {
        attach(&rig, &waiters[i]);
        milgi__engine_wait(rig.engine, &waiters[i].owner);
    }
    settle(&rig, rig.now_ns);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(waiters[i].turns, 0); /* nothing was freed yet */
    milgi__engine_op_free(rig.engine, milgi__engine_op_new(rig.engine, false));
    settle(&rig, rig.now_ns);
    /* Those of the first batch have no use for what was freed, and free nothing in their turn. */
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(waiters[i].turns, 1);
    rig_fini(&rig);
    free(waiters);
}

/* --- devices that keep what they were given ----------------------------------------------------------------------- */

static void what_waits_behind_lost_ops_is_done_elsewhere(const char *device, unsigned first, uint16_t group)
{
    struct rig rig;
    struct milgi_engine_stats stats;
    rig_init(&rig, device);
    for (unsigned i = 0; i < first; i++)
        submit_keygen(&rig, &rig.counter, group);
    settle(&rig, rig.now_ns + 2000000);
    milgi_engine_stats(rig.engine, &stats);
    assert_true(stats.device[1].quarantined > 0);
    submit_keygen(&rig, &rig.counter, group);
    settle(&rig, rig.now_ns + 10000000);
    assert_int_equal(rig.counter.ok, first + 1);
    assert_int_equal(rig.counter.other, 0);
    rig_fini(&rig);
}

static void a_device_whose_depth_is_lost_does_not_hold_up_the_line(void **state)
{
    (void)state;
    what_waits_behind_lost_ops_is_done_elsewhere("sim:manual,depth=4", 4, MILGI_GROUP_X25519);
}

static void a_device_whose_time_is_lost_does_not_hold_up_the_line(void **state)
{
    (void)state;
    what_waits_behind_lost_ops_is_done_elsewhere("sim:manual,depth=1024,units=1", 200, MILGI_GROUP_SECP384R1);
}

static void a_line_that_is_long_is_not_done_elsewhere_in_one_go(void **state)
{
    (void)state;
    struct rig rig;
    struct milgi_run_result result;
    struct milgi_engine_stats stats;
    rig_init(&rig, "sim:manual,depth=1");
    milgi__sim_refuse(rig.device, true);
    for (unsigned i = 0; i < 1000; i++)
        submit_keygen(&rig, &rig.counter, MILGI_GROUP_SECP384R1);
    assert_int_equal(milgi_engine_run(rig.engine, 0, &result), 0);
    rig.now_ns += 1000000;
    assert_int_equal(milgi_engine_run(rig.engine, 0, &result), 0); /* it is given up here */
    milgi_engine_stats(rig.engine, &stats);
    assert_false(stats.device[1].in_service);
    assert_int_equal(result.next, MILGI_RUN_AGAIN);
    assert_true(rig.counter.ok < 500);
    settle(&rig, rig.now_ns + 1000);
    assert_int_equal(rig.counter.ok, 1000);
    rig_fini(&rig);
}

static void nothing_is_done_elsewhere_for_who_has_gone(void **state)
{
    (void)state;
    struct rig rig;
    struct counter gone;
    struct milgi_run_result result;
    struct milgi_engine_stats stats;
    memset(&gone, 0, sizeof gone);
    rig_init(&rig, "sim:manual,depth=4");
    attach(&rig, &gone);
    for (unsigned i = 0; i < 12; i++)
        submit_keygen(&rig, &gone, MILGI_GROUP_X25519);
    assert_int_equal(milgi_engine_run(rig.engine, 0, &result), 0);
    milgi__engine_detach(rig.engine, &gone.owner);
    milgi__sim_finish(rig.device, 0, MILGI_OP_BROKEN); /* would be run again, had it somebody who waits */
    milgi__sim_refuse(rig.device, true);
    settle(&rig, rig.now_ns + 10000000); /* the others are lost, and what waits behind them */
    milgi_engine_stats(rig.engine, &stats);
    assert_int_equal(stats.device[1].rerun, 0);
    assert_int_equal(stats.device[0].submitted[MILGI_OP_KEYGEN], 0);
    assert_int_equal(stats.device[1].dropped, 8);
    assert_int_equal(gone.ok + gone.other, 0);
    rig_fini(&rig);
}

static void nothing_keeps_an_engine_busy_when_those_that_waited_have_gone(void **state)
{
    struct rig rig;
    struct milgi_run_result result;
    (void)state;
    for (unsigned either = 0; either < 2; either++) {
        struct counter gone;
        memset(&gone, 0, sizeof gone);
        rig_init(&rig, "sim:manual,depth=1");
        attach(&rig, &gone);
        assert_int_equal(milgi_engine_route_first(rig.engine, UINT32_MAX, either ? 3 : 2, 1), 0);
        submit_keygen(&rig, &rig.counter, MILGI_GROUP_SECP384R1); /* keeps the device full, takes too long here */
        assert_int_equal(milgi_engine_run(rig.engine, 0, &result), 0);
        for (unsigned i = 0; i < 500; i++)
            submit_keygen(&rig, &gone, MILGI_GROUP_X25519);
        assert_int_equal(milgi_engine_run(rig.engine, 0, &result), 0);
        assert_int_equal(result.next, either ? MILGI_RUN_AGAIN : MILGI_RUN_WAIT);
        assert_true(gone.ok < 500);
        milgi__engine_detach(rig.engine, &gone.owner);
        milgi__sim_finish(rig.device, 0, MILGI_OP_OK);
        settle(&rig, rig.now_ns + 10000000);
        assert_int_equal(rig.counter.ok, 1);
        rig_fini(&rig);
    }
}

/* --- another process ---------------------------------------------------------------------------------------------- */

static void an_engine_of_another_process_is_not_freed(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, "pool:1");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(5); /* threads of the device are not here: to wait for them would be for ever */
        _exit(milgi_engine_free(rig.engine) == MILGI_EFORK ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_wait_are_woken_by_one_event),
        cmocka_unit_test(a_device_whose_depth_is_lost_does_not_hold_up_the_line),
        cmocka_unit_test(a_device_whose_time_is_lost_does_not_hold_up_the_line),
        cmocka_unit_test(a_line_that_is_long_is_not_done_elsewhere_in_one_go),
        cmocka_unit_test(nothing_is_done_elsewhere_for_who_has_gone),
        cmocka_unit_test(nothing_keeps_an_engine_busy_when_those_that_waited_have_gone),
        cmocka_unit_test(an_engine_of_another_process_is_not_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
