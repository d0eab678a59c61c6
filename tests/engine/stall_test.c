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

#include "counter.h"

/* Ops end soon, one way or another. */
static void begin(struct rig *rig, const char *device)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 1000000;
    rig_init(rig, &options, device);
}

static unsigned not_ok(const struct counter *c)
{
    return c->done - c->status[MILGI_OP_OK];
}

/* --- waiting for ops or chunks ------------------------------------------------------------------------------------ */

static void all_that_wait_are_woken_by_one_event(void **state)
{
    (void)state;
    enum {
        MANY = 300
    };
    struct rig rig;
    begin(&rig, NULL);
    struct counter *waiters = calloc(MANY, sizeof *waiters);
    for (unsigned i = 0; i < MANY; i++) {
        rig_attach(&rig, &waiters[i]);
        milgi__engine_wait(rig.engine, &waiters[i].owner);
    }
    rig_settle(&rig, rig.now_ns);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(waiters[i].turns, 0); /* nothing was freed yet */
    milgi__engine_op_free(rig.engine, milgi__engine_op_new(rig.engine, false));
    rig_settle(&rig, rig.now_ns);
    /* Those of the first batch have no use for what was freed, and free nothing in their turn. */
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(waiters[i].turns, 1);
    rig_end(&rig);
    free(waiters);
}

/* --- devices that keep what they were given ----------------------------------------------------------------------- */

static void what_waits_behind_lost_ops_is_done_elsewhere(const char *device, unsigned first, uint16_t group)
{
    struct rig rig;
    struct milgi_engine_stats stats;
    begin(&rig, device);
    for (unsigned i = 0; i < first; i++)
        rig_keygen(&rig, &rig.counter, group);
    rig_settle(&rig, rig.now_ns + 2000000);
    milgi_engine_stats(rig.engine, &stats);
    assert_true(stats.device[1].quarantined > 0);
    rig_keygen(&rig, &rig.counter, group);
    rig_settle(&rig, rig.now_ns + 10000000);
    assert_int_equal(rig.counter.status[MILGI_OP_OK], first + 1);
    assert_int_equal(not_ok(&rig.counter), 0);
    rig_end(&rig);
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
    begin(&rig, "sim:manual,depth=1");
    milgi__sim_refuse(rig.device, true);
    for (unsigned i = 0; i < 1000; i++)
        rig_keygen(&rig, &rig.counter, MILGI_GROUP_SECP384R1);
    assert_int_equal(milgi_engine_run(rig.engine, 0, &result), 0);
    rig.now_ns += 1000000;
    assert_int_equal(milgi_engine_run(rig.engine, 0, &result), 0); /* it is given up here */
    milgi_engine_stats(rig.engine, &stats);
    assert_false(stats.device[1].in_service);
    assert_int_equal(result.next, MILGI_RUN_AGAIN);
    assert_true(rig.counter.status[MILGI_OP_OK] < 500);
    rig_settle(&rig, rig.now_ns + 1000);
    assert_int_equal(rig.counter.status[MILGI_OP_OK], 1000);
    rig_end(&rig);
}

static void nothing_is_done_elsewhere_for_who_has_gone(void **state)
{
    (void)state;
    struct rig rig;
    struct counter gone;
    struct milgi_run_result result;
    struct milgi_engine_stats stats;
    memset(&gone, 0, sizeof gone);
    begin(&rig, "sim:manual,depth=4");
    rig_attach(&rig, &gone);
    for (unsigned i = 0; i < 12; i++)
        rig_keygen(&rig, &gone, MILGI_GROUP_X25519);
    assert_int_equal(milgi_engine_run(rig.engine, 0, &result), 0);
    milgi__engine_detach(rig.engine, &gone.owner);
    milgi__sim_finish(rig.device, 0, MILGI_OP_BROKEN); /* would be run again, had it somebody who waits */
    milgi__sim_refuse(rig.device, true);
    rig_settle(&rig, rig.now_ns + 10000000); /* the others are lost, and what waits behind them */
    milgi_engine_stats(rig.engine, &stats);
    assert_int_equal(stats.device[1].rerun, 0);
    assert_int_equal(stats.device[0].submitted[MILGI_OP_KEYGEN], 0);
    assert_int_equal(stats.device[1].dropped, 8);
    assert_int_equal(gone.done, 0);
    rig_end(&rig);
}

static void nothing_keeps_an_engine_busy_when_those_that_waited_have_gone(void **state)
{
    struct rig rig;
    struct milgi_run_result result;
    (void)state;
    for (unsigned either = 0; either < 2; either++) {
        struct counter gone;
        memset(&gone, 0, sizeof gone);
        begin(&rig, "sim:manual,depth=1");
        rig_attach(&rig, &gone);
        assert_int_equal(milgi_engine_route_first(rig.engine, UINT32_MAX, either ? 3 : 2, 1), 0);
        rig_keygen(&rig, &rig.counter, MILGI_GROUP_SECP384R1); /* keeps the device full, takes too long here */
        assert_int_equal(milgi_engine_run(rig.engine, 0, &result), 0);
        for (unsigned i = 0; i < 500; i++)
            rig_keygen(&rig, &gone, MILGI_GROUP_X25519);
        assert_int_equal(milgi_engine_run(rig.engine, 0, &result), 0);
        assert_int_equal(result.next, either ? MILGI_RUN_AGAIN : MILGI_RUN_WAIT);
        assert_true(gone.status[MILGI_OP_OK] < 500);
        milgi__engine_detach(rig.engine, &gone.owner);
        milgi__sim_finish(rig.device, 0, MILGI_OP_OK);
        rig_settle(&rig, rig.now_ns + 10000000);
        assert_int_equal(rig.counter.status[MILGI_OP_OK], 1);
        rig_end(&rig);
    }
}

/* --- another process ---------------------------------------------------------------------------------------------- */

static void an_engine_of_another_process_is_not_freed(void **state)
{
    (void)state;
    struct rig rig;
    begin(&rig, "pool:1");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(5); /* threads of the device are not here: to wait for them would be for ever */
        _exit(milgi_engine_free(rig.engine) == MILGI_EFORK ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    rig_end(&rig);
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
