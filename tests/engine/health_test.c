/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that hang, lie or fail: they are found out, nobody waits for them, and they come back when they work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/parts.h"
#include "loop.h"
#include "rogue.h"

#define MS 1000000u
#define SECOND 1000000000u

static struct loop loop;
static struct loop_client client;
static unsigned events[MILGI_DEVICE_LIED + 1];

static void on_device(void *ctx, struct milgi_engine *engine, unsigned index, struct milgi_device *device,
    enum milgi_device_event event)
{
    (void)ctx;
    (void)engine;
    (void)device;
    assert_int_equal(index, 1);
    events[event]++;
}

static void begin(const struct milgi_engine_options *from)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    if (from)
        options = *from;
    options.on_device = on_device;
    memset(events, 0, sizeof events);
    loop_init(&loop, &options);
    loop_attach(&loop, &client);
}

static void route_to(unsigned index)
{
    assert_int_equal(milgi_engine_route(loop.engine, UINT32_MAX, index, 1), 0);
}

static void end(void)
{
    loop_detach(&client);
    loop_fini(&loop);
}

static struct milgi_device_stats stats_of(unsigned index)
{
    struct milgi_engine_stats stats;
    loop_stats(&loop, &stats);
    return stats.device[index];
}

/* --- quarantine --------------------------------------------------------------------------------------------------- */

static void a_device_that_keeps_all_that_fits_is_out_of_service(void **state)
{
    (void)state;
    begin(NULL);
    route_to(loop_device(&loop, "sim:manual,depth=48"));
    for (unsigned i = 0; i < 48; i++)
        (void)loop_keygen(&client);
    loop_turn(&loop);
    loop.now_ns = loop_turn(&loop).deadline_ns;
    while (client.done < 48)
        (void)loop_run(&loop);
    assert_int_equal(events[MILGI_DEVICE_RETIRED], 1);
    assert_false(stats_of(1).in_service);
    uint64_t before_ns = loop.now_ns;
    (void)loop_keygen(&client); /* the next one waits for nothing */
    loop_settle(&loop, &client, 49);
    assert_true(loop.now_ns - before_ns < 10 * MS);
    assert_int_equal(client.status[MILGI_OP_OK], 49);
    end();
}

/* One op of each turn's two comes back at once, so that it is never silent. */
static void owe(unsigned n)
{
    struct milgi_op *ops[64];
    for (unsigned i = 0; i < n; i++) {
        (void)loop_keygen(&client);
        loop_turn(&loop);
        for (unsigned k = 0; k < 16; k++) { /* many that are well, so that one lost op does not weigh */
            (void)loop_keygen(&client);
            loop_turn(&loop);
            milgi__sim_finish(loop.device[1], milgi__sim_pending(loop.device[1], ops, 64) - 1, MILGI_OP_OK);
            loop_turn(&loop);
        }
        loop.now_ns += 1 * MS;
        loop_turn(&loop);
    }
}

static void what_it_may_owe_is_bounded_by_the_option_and_by_its_depth(void **state)
{
    static const struct {
        const char *device;
        uint32_t limit;
        unsigned most;
    } cases[] = { { "sim:manual,depth=16", 256, 4 }, { "sim:manual,depth=64", 3, 3 } };
    struct milgi_engine_options options;
    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        milgi_engine_options_init(&options);
        options.op_timeout_ns[MILGI_OP_CLASS_HANDSHAKE] = MS;
        options.quarantine_limit = cases[i].limit;
        begin(&options);
        route_to(loop_device(&loop, cases[i].device));
        owe(cases[i].most);
        assert_int_equal(stats_of(1).quarantined, cases[i].most);
        assert_true(stats_of(1).in_service);
        owe(1);
        assert_false(stats_of(1).in_service);
        end();
    }
}

/* One op in |of| comes back, but late; after how many of these the device is out of service, 0 for not at all. */
static unsigned late_ones(unsigned of, unsigned most)
{
    struct milgi_op *ops[64];
    unsigned n = 0;
    while (n < most && stats_of(1).in_service) {
        for (unsigned i = 0; i < of; i++)
            (void)loop_keygen(&client);
        loop_turn(&loop);
        while (milgi__sim_pending(loop.device[1], ops, 64) > 1)
            milgi__sim_finish(loop.device[1], 1, MILGI_OP_OK);
        loop_turn(&loop);
        loop.now_ns += MS;
        loop_turn(&loop);
        assert_int_equal(stats_of(1).quarantined, 1);
        milgi__sim_finish(loop.device[1], 0, MILGI_OP_OK); /* so that it never owes much */
        loop_turn(&loop);
        n++;
    }
    return stats_of(1).in_service ? 0 : n;
}

static void a_device_that_is_late_too_often_is_out_of_service(void **state)
{
    static const struct {
        unsigned of, least, most;
    } cases[] = { { 2, 9, 10 }, { 5, 15, 17 }, { 9, 0, 0 } }; /* one in nine is not too many */
    struct milgi_engine_options options;
    struct milgi_op *op;
    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        milgi_engine_options_init(&options);
        options.op_timeout_ns[MILGI_OP_CLASS_HANDSHAKE] = MS;
        begin(&options);
        route_to(loop_device(&loop, "sim:manual,depth=64"));
        assert_in_range(late_ones(cases[i].of, 1000), cases[i].least, cases[i].most);
        for (unsigned guard = 0; !stats_of(1).in_service; guard++) {
            assert_true(guard < 100);
            (void)loop_run(&loop);
            if (milgi__sim_pending(loop.device[1], &op, 1))
                milgi__sim_finish(loop.device[1], 0, MILGI_OP_OK);
        }
        /* It is back, and what it lost before is not held against it. */
        assert_in_range(late_ones(cases[i].of, 1000), cases[i].least, cases[i].most);
        end();
    }
}

static void one_silence_is_enough_and_what_is_in_it_waits_no_longer(void **state)
{
    (void)state;
    begin(NULL);
    route_to(loop_device(&loop, "sim:manual,depth=1000"));
    (void)loop_keygen(&client);
    loop_turn(&loop);
    loop.now_ns += 9000 * (uint64_t)MS;
    loop_turn(&loop);
    (void)loop_keygen(&client);
    loop_turn(&loop);
    loop_turn(&loop);
    loop.now_ns += 1000 * (uint64_t)MS;
    for (unsigned i = 0; i < 4; i++)
        loop_turn(&loop);
    assert_int_equal(client.status[MILGI_OP_OK], 2); /* the second had been in it for one second */
    assert_int_equal(events[MILGI_DEVICE_RETIRED], 1);
    end();
}

static void a_device_that_accepts_now_and_then_is_in_service(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 10 * MS;
    begin(&options);
    route_to(loop_device(&loop, "sim:latency=6ms,units=1,depth=1"));
    for (unsigned i = 0; i < 10; i++)
        (void)loop_keygen(&client);
    loop_settle(&loop, &client, 10);
    assert_int_equal(events[MILGI_DEVICE_RETIRED], 0);
    assert_int_equal(stats_of(1).ok, 10);
    end();
}

static void a_lost_op_says_that_its_device_has_not_answered(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.rerun = false;
    begin(&options);
    route_to(loop_device(&loop, "sim:manual"));
    (void)loop_keygen(&client);
    loop_settle(&loop, &client, 1);
    assert_int_equal(client.status[MILGI_OP_LOST], 1);
    assert_int_equal(client.code, MILGI_CODE_LOST);
    assert_non_null(milgi_device_code_text(client.code));
    end();
}

/* --- back in service ---------------------------------------------------------------------------------------------- */

static void an_idle_engine_finds_out_that_a_device_works_again(void **state)
{
    static const char *const devices[] = { "sim:manual,depth=4", "sim:manual,depth=4" };
    (void)state;
    for (unsigned seal_only = 0; seal_only < 2; seal_only++) {
        struct milgi_device *device;
        struct milgi_op *op;
        begin(NULL);
        assert_int_equal(milgi_device_new(devices[seal_only], &device, NULL), 0);
        if (seal_only)
            device->caps.ops = MILGI_OP_BIT(MILGI_OP_SEAL);
        route_to(loop_open(&loop, device));
        if (seal_only)
            (void)loop_seal(&client, 100);
        else
            (void)loop_keygen(&client);
        loop_settle(&loop, &client, 1);
        assert_int_equal(events[MILGI_DEVICE_RETIRED], 1);
        while (milgi__sim_pending(device, &op, 1)) /* it was only slow */
            milgi__sim_finish(device, 0, MILGI_OP_OK);
        uint64_t until_ns = loop.now_ns + 4 * (uint64_t)SECOND;
        while (loop.now_ns < until_ns && !events[MILGI_DEVICE_RETURNED]) {
            (void)loop_run(&loop);
            if (milgi__sim_pending(device, &op, 1))
                milgi__sim_finish(device, 0, MILGI_OP_OK);
        }
        assert_int_equal(events[MILGI_DEVICE_RETURNED], 1);
        assert_true(stats_of(1).in_service);
        assert_int_equal(client.done, 1); /* no connection was the first */
        end();
    }
}

static void a_device_that_answers_wrongly_does_not_come_back(void **state)
{
    struct milgi_op *op;
    (void)state;
    for (unsigned wrong = 0; wrong < 2; wrong++) { /* it fails, or says that all is well */
        begin(NULL);
        route_to(loop_device(&loop, "sim:manual,depth=4"));
        (void)loop_keygen(&client);
        loop_settle(&loop, &client, 1);
        milgi__sim_finish(loop.device[1], 0, MILGI_OP_OK);
        uint64_t until_ns = loop.now_ns + 40 * (uint64_t)SECOND;
        unsigned probes = 0;
        while (loop.now_ns < until_ns) {
            (void)loop_run(&loop);
            if (!milgi__sim_pending(loop.device[1], &op, 1))
                continue;
            probes++;
            milgi__sim_finish(loop.device[1], 0, wrong ? MILGI_OP_OK : MILGI_OP_BROKEN);
            op->u.kex.share.data[0] ^= 1;
        }
        assert_int_equal(events[MILGI_DEVICE_RETURNED], 0);
        assert_in_range(probes, 3, 6); /* after 1 s, 2, 4 ... */
        end();
    }
}

static void a_device_that_owes_returns_when_it_has_paid_back(void **state)
{
    struct milgi_engine_options options;
    struct milgi_op *op[16];
    unsigned n;
    (void)state;
    milgi_engine_options_init(&options);
    options.op_timeout_ns[MILGI_OP_CLASS_HANDSHAKE] = MS;
    begin(&options);
    route_to(loop_device(&loop, "sim:manual,depth=16"));
    owe(5);
    assert_false(stats_of(1).in_service);
    uint64_t until_ns = loop.now_ns + 10 * (uint64_t)SECOND;
    while (loop.now_ns < until_ns) { /* what is new it would do */
        (void)loop_run(&loop);
        n = milgi__sim_pending(loop.device[1], op, 16);
        if (n > 5)
            milgi__sim_finish(loop.device[1], n - 1, MILGI_OP_OK);
    }
    assert_int_equal(events[MILGI_DEVICE_RETURNED], 0);
    until_ns = loop.now_ns + 70 * (uint64_t)SECOND;
    while (loop.now_ns < until_ns && !events[MILGI_DEVICE_RETURNED]) {
        while (milgi__sim_pending(loop.device[1], op, 1))
            milgi__sim_finish(loop.device[1], 0, MILGI_OP_OK);
        (void)loop_run(&loop);
    }
    assert_int_equal(events[MILGI_DEVICE_RETURNED], 1);
    end();
}

static void a_device_of_signatures_is_tried_with_one_of_somebody_who_wants_it(void **state)
{
    struct milgi_device *device;
    struct milgi_op *op;
    (void)state;
    begin(NULL);
    assert_int_equal(milgi_device_new("sim:manual,depth=4", &device, NULL), 0);
    device->caps.ops = MILGI_OP_BIT(MILGI_OP_SIGN);
    route_to(loop_open(&loop, device));
    (void)loop_sign(&client, loop.rsa);
    loop_settle(&loop, &client, 1);
    assert_int_equal(events[MILGI_DEVICE_RETIRED], 1);
    milgi__sim_finish(device, 0, MILGI_OP_OK);
    uint64_t until_ns = loop.now_ns + 4 * (uint64_t)SECOND;
    while (loop.now_ns < until_ns)
        loop_until(&loop, until_ns);
    for (unsigned i = 0; i < 5; i++)
        (void)loop_sign(&client, loop.rsa);
    loop_turn(&loop);
    assert_int_equal(milgi__sim_pending(device, &op, 1), 1);
    assert_int_equal(client.done, 5); /* one of them goes there, the others do not wait for it */
    milgi__sim_finish(device, 0, MILGI_OP_OK);
    loop_settle(&loop, &client, 6);
    assert_int_equal(events[MILGI_DEVICE_RETURNED], 1);
    end();
}

/* --- lies --------------------------------------------------------------------------------------------------------- */

static void a_device_that_lies_is_named_and_gets_no_more(void **state)
{
    static const enum rogue_lie lies[] = { ROGUE_TWICE, ROGUE_TWICE_NOW, ROGUE_PENDING, ROGUE_STATUS, ROGUE_LOST,
        ROGUE_FOREIGN, ROGUE_GREEDY };
    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(lies); i++) {
        struct milgi_engine_stats stats;
        begin(NULL);
        struct rogue *rogue = rogue_new("sim:latency=10us");
        assert_non_null(rogue);
        int index = milgi_engine_add_device(loop.engine, &rogue->device);
        assert_int_equal(index, 1);
        route_to(1);
        rogue->lie = lies[i];
        for (unsigned n = 1; n <= 40; n++) {
            (void)loop_keygen(&client);
            if (n % 4 == 0)
                loop_settle(&loop, &client, n);
        }
        assert_int_equal(client.status[MILGI_OP_OK], 40);
        assert_true(rogue->told > 0);
        assert_int_equal(events[MILGI_DEVICE_LIED], 1);
        assert_non_null(stats_of(1).lie);
        assert_false(stats_of(1).in_service);
        loop_until(&loop, loop.now_ns + 5 * (uint64_t)SECOND);
        assert_int_equal(events[MILGI_DEVICE_RETURNED], 0);
        loop_stats(&loop, &stats);
        assert_int_equal(stats.ops_alive, stats.device[1].quarantined);
        assert_int_equal(milgi_engine_remove_device(loop.engine, 1, 0), 0);
        loop_turn(&loop);
        assert_int_equal(events[MILGI_DEVICE_REMOVED], 1);
        end();
        rogue_free(rogue);
    }
}

/* --- devices that do not end -------------------------------------------------------------------------------------- */

static void a_device_that_hangs_is_removed_all_the_same(void **state)
{
    struct milgi_engine_stats stats;
    (void)state;
    begin(NULL);
    struct rogue *rogue = rogue_new("sim:manual");
    assert_int_equal(milgi_engine_add_device(loop.engine, &rogue->device), 1);
    route_to(1);
    rogue->lie = ROGUE_KEEPS;
    for (unsigned i = 0; i < 5; i++)
        (void)loop_keygen(&client);
    loop_turn(&loop);
    uint64_t before_ns = loop.now_ns;
    assert_int_equal(milgi_engine_remove_device(loop.engine, 1, 20 * MS), 0);
    loop_settle(&loop, &client, 5);
    assert_true(loop.now_ns - before_ns <= 30 * MS); /* nobody waits until it has ended */
    assert_int_equal(client.status[MILGI_OP_OK], 5);
    assert_int_equal(events[MILGI_DEVICE_REMOVED], 0);
    loop_until(&loop, before_ns + 5100 * (uint64_t)MS);
    assert_int_equal(events[MILGI_DEVICE_REMOVED], 1);
    loop_stats(&loop, &stats);
    assert_int_equal(stats.abandoned, 1);
    assert_int_equal(stats.abandoned_ops, 5);
    assert_int_equal(milgi_engine_remove_device(loop.engine, 1, 0), MILGI_EINVAL);
    assert_int_equal(loop_device(&loop, "sim:latency=1ms"), 2); /* keys still know the other by its index */
    end();
    rogue_free(rogue);
}

static void an_engine_whose_device_hangs_is_freed_in_time(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.quiesce_ns = 10 * MS;
    begin(&options);
    struct rogue *rogue = rogue_new("sim:manual");
    assert_int_equal(milgi_engine_add_device(loop.engine, &rogue->device), 1);
    route_to(1);
    rogue->lie = ROGUE_KEEPS;
    (void)loop_seal(&client, 100);
    (void)loop_keygen(&client);
    loop_turn(&loop);
    end(); /* and what the op holds stays */
    rogue_free(rogue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_that_keeps_all_that_fits_is_out_of_service),
        cmocka_unit_test(what_it_may_owe_is_bounded_by_the_option_and_by_its_depth),
        cmocka_unit_test(a_device_that_is_late_too_often_is_out_of_service),
        cmocka_unit_test(one_silence_is_enough_and_what_is_in_it_waits_no_longer),
        cmocka_unit_test(a_device_that_accepts_now_and_then_is_in_service),
        cmocka_unit_test(a_lost_op_says_that_its_device_has_not_answered),
        cmocka_unit_test(an_idle_engine_finds_out_that_a_device_works_again),
        cmocka_unit_test(a_device_that_answers_wrongly_does_not_come_back),
        cmocka_unit_test(a_device_that_owes_returns_when_it_has_paid_back),
        cmocka_unit_test(a_device_of_signatures_is_tried_with_one_of_somebody_who_wants_it),
        cmocka_unit_test(a_device_that_lies_is_named_and_gets_no_more),
        cmocka_unit_test(a_device_that_hangs_is_removed_all_the_same),
        cmocka_unit_test(an_engine_whose_device_hangs_is_freed_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
