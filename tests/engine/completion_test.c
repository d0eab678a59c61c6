/* SPDX-License-Identifier: Apache-2.0 */
/* When the engine asks to be run again, when it sleeps, and what it holds back for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/parts.h"
#include "loop.h"

static struct loop loop;
static struct loop_client client;

static unsigned begin(const char *device, const struct milgi_engine_options *options)
{
    loop_init(&loop, options);
    unsigned index = loop_device(&loop, device);
    assert_int_equal(milgi_engine_route(loop.engine, UINT32_MAX, index, 1), 0);
    loop_attach(&loop, &client);
    return index;
}

static void end(void)
{
    while (client.done < client.given) {
        struct milgi_run_result result;
        loop.now_ns += 20000;
        assert_int_equal(milgi_engine_run(loop.engine, 0, &result), 0);
    }
    loop_detach(&client);
    loop_fini(&loop);
}

static uint32_t in_flight(void)
{
    struct milgi_engine_stats stats;
    loop_stats(&loop, &stats);
    return stats.device[1].in_flight;
}

static void what_is_near_is_polled_for_and_what_is_far_is_waited_for(void **state)
{
    (void)state;
    begin("sim:latency=4us", NULL);
    loop_keygen(&client);
    assert_int_equal(loop_turn(&loop).next, MILGI_RUN_AGAIN);
    end();
    begin("sim:latency=1ms", NULL);
    loop_keygen(&client);
    struct milgi_run_result result = loop_turn(&loop);
    assert_int_equal(result.next, MILGI_RUN_WAIT);
    assert_true(result.deadline_ns <= loop.now_ns + 1000000);
    loop.now_ns += 997000; /* and is near now */
    assert_int_equal(loop_turn(&loop).next, MILGI_RUN_AGAIN);
    end();
}

static void a_clock_that_stands_still_is_not_polled_for_ever(void **state)
{
    static const char *const device[] = { "sim:latency=4us", "sim:latency=1us,units=4" };
    (void)state;
    for (size_t i = 0; i < sizeof device / sizeof device[0]; i++) {
        begin(device[i], NULL);
        loop_keygen(&client);
        unsigned runs = 0;
        while (loop_turn(&loop).next == MILGI_RUN_AGAIN)
            assert_true(++runs < 20000);
        end();
    }
}

/* Turns that were spent in waiting for one op say nothing of the next. */
static void whatever_goes_in_or_comes_back_is_polled_for_anew(void **state)
{
    (void)state;
    begin("sim:latency=4us,units=1", NULL);
    loop_keygen(&client);
    while (loop_turn(&loop).next == MILGI_RUN_AGAIN)
        ;
    loop_keygen(&client); /* goes in */
    assert_int_equal(loop_turn(&loop).next, MILGI_RUN_AGAIN);
    while (loop_turn(&loop).next == MILGI_RUN_AGAIN)
        ;
    loop.now_ns += 4000;
    assert_int_equal(loop_turn(&loop).next, MILGI_RUN_AGAIN); /* the first comes back */
    assert_int_equal(client.done, 1);
    end();
}

static uint64_t long_ago(struct milgi_qp *qp)
{
    (void)qp;
    return 1;
}

/* The one device, which has an op, is one that nobody can wait for. */
static struct milgi_device *begin_without_descriptor(uint64_t (*next_event)(struct milgi_qp *qp))
{
    static struct milgi_device_ops ops;
    struct milgi_device *device;
    loop_init(&loop, NULL);
    assert_int_equal(milgi_device_new("sim:manual", &device, NULL), 0);
    ops = *device->ops;
    ops.notify_fd = NULL;
    ops.arm = NULL;
    ops.next_event = next_event;
    device->ops = &ops;
    assert_int_equal(milgi_engine_route(loop.engine, UINT32_MAX, loop_open(&loop, device), 1), 0);
    loop_attach(&loop, &client);
    loop_keygen(&client);
    return device;
}

/* It promises something for a time that has passed, and has nothing. */
static void a_device_whose_time_has_passed_is_not_believed_for_ever(void **state)
{
    (void)state;
    struct milgi_device *device = begin_without_descriptor(long_ago);
    struct milgi_run_result result;
    unsigned runs = 0;
    while ((result = loop_turn(&loop)).next != MILGI_RUN_WAIT || result.deadline_ns <= loop.now_ns)
        assert_true(++runs < 30000);
    milgi__sim_finish(device, 0, MILGI_OP_OK);
    end();
}

/* It is looked at, often at first. */
static void a_device_without_a_descriptor_is_looked_at_and_not_for_ever(void **state)
{
    (void)state;
    struct milgi_device *device = begin_without_descriptor(NULL);
    assert_int_equal(loop_turn(&loop).next, MILGI_RUN_AGAIN);
    unsigned runs = 0;
    while (loop_turn(&loop).next == MILGI_RUN_AGAIN)
        assert_true(++runs < 20000);
    loop.now_ns += 10000000;
    struct milgi_run_result result = loop_turn(&loop);
    assert_int_equal(result.next, MILGI_RUN_WAIT);
    assert_in_range(result.deadline_ns, loop.now_ns + 50000, loop.now_ns + 5000000);
    milgi__sim_finish(device, 0, MILGI_OP_OK);
    end();
}

static void who_wants_to_sleep_sleeps(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.completion = MILGI_COMPLETION_ARM;
    begin("sim:latency=1us", &options);
    loop_keygen(&client);
    assert_int_equal(loop_turn(&loop).next, MILGI_RUN_WAIT);
    end();
}

static void who_has_a_core_for_it_polls(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.completion = MILGI_COMPLETION_BUSY;
    begin("sim:latency=100ms", &options);
    loop_keygen(&client);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(loop_turn(&loop).next, MILGI_RUN_AGAIN);
    loop.now_ns += 100000000;
    loop_turn(&loop);
    assert_int_equal(client.done, 1);
    assert_true(loop_turn(&loop).next != MILGI_RUN_AGAIN);
    end();
}

static void a_small_burst_waits_as_long_as_told_and_never_for_an_idle_device(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.completion = MILGI_COMPLETION_BUSY;
    options.batch_wait_ns = 20000;
    begin("sim:latency=1ms,units=64", &options);
    loop_keygen(&client);
    loop_turn(&loop);
    assert_int_equal(in_flight(), 1); /* it had nothing to do */
    loop_keygen(&client);
    loop_turn(&loop);
    loop.now_ns += 19000;
    loop_keygen(&client);
    loop_turn(&loop);
    assert_int_equal(in_flight(), 1);
    loop.now_ns += 1000;
    loop_turn(&loop);
    assert_int_equal(in_flight(), 3);
    for (unsigned i = 0; i < 40; i++) /* a large one goes at once */
        loop_keygen(&client);
    assert_true(in_flight() >= 3 + 32);
    loop_turn(&loop);
    loop.now_ns += 20000;
    loop_turn(&loop);
    assert_int_equal(in_flight(), 43);
    end();
}

/* What is lost is not what a burst waits with. */
static void lost_ops_hold_nothing_up(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.completion = MILGI_COMPLETION_BUSY;
    options.batch_wait_ns = 20000;
    options.outstanding_ns = 1000000;
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 1000000;
    begin("sim:manual,depth=64", &options);
    for (unsigned i = 0; i < 3; i++)
        loop_sign(&client, loop.rsa);
    loop_turn(&loop);
    milgi__sim_finish(loop.device[1], 0, MILGI_OP_OK); /* or it would be out of service */
    loop_turn(&loop);
    assert_int_equal(in_flight(), 2);
    loop.now_ns += 1000000;
    loop_turn(&loop);
    assert_int_equal(client.done, 3);
    for (unsigned i = 0; i < 8; i++)
        loop_keygen(&client);
    loop_turn(&loop);
    assert_int_equal(in_flight(), 8);
    end();
}

static void never_is_a_time(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = UINT64_MAX;
    options.outstanding_ns = options.spin_ns = options.batch_wait_ns = UINT64_MAX;
    begin("sim:latency=1ms,units=2,depth=300", &options);
    for (unsigned i = 0; i < 200; i++)
        loop_keygen(&client);
    loop_turn(&loop);
    loop_turn(&loop);
    assert_int_equal(in_flight(), 200);
    loop_settle(&loop, &client, 200);
    assert_int_equal(client.status[MILGI_OP_OK], 200);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_near_is_polled_for_and_what_is_far_is_waited_for),
        cmocka_unit_test(a_clock_that_stands_still_is_not_polled_for_ever),
        cmocka_unit_test(whatever_goes_in_or_comes_back_is_polled_for_anew),
        cmocka_unit_test(a_device_whose_time_has_passed_is_not_believed_for_ever),
        cmocka_unit_test(a_device_without_a_descriptor_is_looked_at_and_not_for_ever),
        cmocka_unit_test(who_wants_to_sleep_sleeps),
        cmocka_unit_test(who_has_a_core_for_it_polls),
        cmocka_unit_test(a_small_burst_waits_as_long_as_told_and_never_for_an_idle_device),
        cmocka_unit_test(lost_ops_hold_nothing_up),
        cmocka_unit_test(never_is_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
