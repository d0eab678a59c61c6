/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a turn does and in which order: work is charged as it was measured, established connections do not wait for
 * crowds of new ones, deadlines are judged behind what has come, and what can wait does. Performing an op moves the
 * clock. ctest-wrap: milgi__op_perform
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/parts.h"
#include "fake_identity.h"
#include "loop.h"

#define MS 1000000u
#define CROWD 300

static struct loop loop;
static struct loop_client client, crowd[CROWD];
static unsigned turns;

void __real_milgi__op_perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded);
void __wrap_milgi__op_perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded);

void __wrap_milgi__op_perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded)
{
    if (op->dev == 0 && op->cls == MILGI_OP_CLASS_HANDSHAKE)
        loop.now_ns += loop.inline_ns;
    __real_milgi__op_perform(cx, op, loaded);
}

static void runs(unsigned n)
{
    while (n--)
        loop_turn(&loop);
}

/* The client is an established connection. */
static void begin(const struct milgi_engine_options *options, void (*on_turn)(struct loop_client *c))
{
    loop_init(&loop, options);
    loop_attach(&loop, &client);
    client.owner.cls = MILGI_OP_CLASS_RECORDS;
    client.on_turn = on_turn;
    turns = 0;
}

static void sign_once(struct loop_client *c)
{
    if (c->given == 0)
        (void)loop_sign(c, loop.rsa);
}

/* Each of them has one signature of 5 ms to make, on this thread. */
static void crowd_comes(void)
{
    loop.inline_ns = 5 * MS;
    for (unsigned i = 0; i < CROWD; i++) {
        loop_attach(&loop, &crowd[i]);
        crowd[i].on_turn = sign_once;
        milgi__engine_ready(loop.engine, &crowd[i].owner);
    }
}

static void crowd_goes(void)
{
    client.on_turn = NULL;
    for (unsigned i = 0; i < CROWD; i++)
        loop_detach(&crowd[i]);
    loop_detach(&client);
    loop_fini(&loop);
}

static unsigned signed_n(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CROWD; i++)
        n += crowd[i].done;
    return n;
}

/* --- what is charged ---------------------------------------------------------------------------------------------- */

static void a_turn_ends_with_the_op_that_uses_its_budget_up(void **state)
{
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    crowd_comes();
    for (unsigned i = 0; i < CROWD; i++) {
        uint64_t before_ns = loop.now_ns;
        assert_int_equal(loop_turn(&loop).next, i + 1 < CROWD ? MILGI_RUN_AGAIN : MILGI_RUN_WAIT);
        assert_int_equal(loop.now_ns - before_ns, 5 * MS);
        assert_int_equal(milgi__engine_spent(loop.engine) / MS, 5);
    }
    assert_int_equal(signed_n(), CROWD);
    crowd_goes();
}

static void count_turns(struct loop_client *c)
{
    (void)c;
    turns++;
}

static void charge_5_ms(struct loop_client *c)
{
    (void)c;
    turns++;
    milgi_engine_charge(loop.engine, 5 * MS);
}

static void what_a_host_does_in_a_callback_is_charged_to_the_turn(void **state)
{
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    crowd_comes();
    for (unsigned i = 0; i < CROWD; i++)
        crowd[i].on_turn = charge_5_ms;
    turns = 0;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(loop_turn(&loop).next, MILGI_RUN_AGAIN);
        assert_int_equal(turns, i + 1);
    }
    crowd_goes();
}

static void an_established_connection_waits_for_one_op_of_a_crowd_at_most(void **state)
{
    (void)state;
    begin(NULL, count_turns);
    crowd_comes();
    for (unsigned i = 0; signed_n() < CROWD; i++) {
        milgi__engine_ready(loop.engine, &client.owner);
        loop_turn(&loop);
        assert_int_equal(turns, i + 1); /* in every turn */
        assert_true(i <= CROWD);
    }
    crowd_goes();
}

static void use_5_ms(struct loop_client *c)
{
    turns++;
    (void)loop_keygen(c); /* a dear one; stands for any work */
    milgi__engine_ready(loop.engine, &c->owner);
}

static void neither_do_established_connections_keep_new_ones_out(void **state)
{
    (void)state;
    begin(NULL, use_5_ms);
    crowd_comes();
    milgi__engine_ready(loop.engine, &client.owner);
    runs(100);
    assert_in_range(signed_n(), 48, 52);
    assert_in_range(turns, 48, 52);
    crowd_goes();
}

static void established_connections_that_had_nothing_to_do_have_saved_nothing_up(void **state)
{
    (void)state;
    begin(NULL, NULL);
    crowd_comes();
    runs(100);
    client.on_turn = use_5_ms;
    milgi__engine_ready(loop.engine, &client.owner);
    unsigned before = signed_n();
    runs(20);
    assert_in_range(signed_n() - before, 9, 11);
    crowd_goes();
}

static void new_connections_have_saved_nothing_up_when_they_come(void **state)
{
    (void)state;
    begin(NULL, use_5_ms);
    loop.inline_ns = 5 * MS;
    milgi__engine_ready(loop.engine, &client.owner);
    runs(100);
    crowd_comes();
    runs(20);
    assert_in_range(signed_n(), 9, 11);
    crowd_goes();
}

static void turns_are_given_by_the_shares_of_the_classes(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.share[MILGI_OP_CLASS_RECORDS] = 3;
    options.share[MILGI_OP_CLASS_HANDSHAKE] = 1;
    begin(&options, use_5_ms);
    crowd_comes();
    milgi__engine_ready(loop.engine, &client.owner);
    runs(100);
    assert_in_range(signed_n(), 23, 27);
    crowd_goes();
}

/* --- clocks that are none ----------------------------------------------------------------------------------------- */

static void a_turn_ends_though_the_clock_stands_still(void **state)
{
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    crowd_comes();
    loop.inline_ns = 0;
    for (unsigned i = 0; i < 100; i++) {
        loop_turn(&loop);
        assert_int_equal(signed_n(), i + 1); /* each takes longer than a turn, as far as is known */
    }
    crowd_goes();
}

static void nobody_is_charged_for_a_clock_that_jumps_back(void **state)
{
    (void)state;
    for (unsigned crowded = 0; crowded < 2; crowded++) { /* whoever is at work when it does */
        loop_init(&loop, NULL);
        loop.now_ns += 7200000 * (uint64_t)MS;
        loop_attach(&loop, &client);
        client.owner.cls = MILGI_OP_CLASS_RECORDS;
        client.on_turn = crowded ? NULL : use_5_ms;
        crowd_comes();
        milgi__engine_ready(loop.engine, &client.owner);
        loop.inline_ns = 0 - 3600000 * (uint64_t)MS;
        loop_turn(&loop);
        loop.inline_ns = 5 * MS;
        client.on_turn = use_5_ms;
        milgi__engine_ready(loop.engine, &client.owner);
        unsigned before = signed_n();
        turns = 0;
        for (unsigned i = 0; i < 40; i++)
            loop_turn(&loop);
        assert_in_range(signed_n() - before, 18, 22);
        assert_in_range(turns, 18, 22);
        client.on_turn = NULL;
        crowd_goes();
    }
}

/* --- what waited for a device that fails -------------------------------------------------------------------------- */

/* A device that takes nothing; what waits before it is done here from the next run on. */
static void waits_in_vain(void)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = MS;
    loop_init(&loop, &options);
    loop_attach(&loop, &client);
    loop_attach(&loop, &crowd[0]);
    assert_int_equal(milgi_engine_route(loop.engine, UINT32_MAX, loop_device(&loop, "sim:manual,depth=1"), 1), 0);
    milgi__sim_refuse(loop.device[1], true);
}

static void gone(void)
{
    loop_detach(&crowd[0]);
    loop_detach(&client);
    loop_fini(&loop);
}

static void records_that_are_done_here_instead_are_charged_to_the_turn(void **state)
{
    (void)state;
    waits_in_vain();
    for (unsigned i = 0; i < 4000; i++)
        (void)loop_seal(&client, 16384);
    loop_turn(&loop);
    loop.now_ns += MS;
    for (unsigned before = 0; client.done < 3000; before = client.done) {
        assert_int_equal(loop_turn(&loop).next, MILGI_RUN_AGAIN);
        unsigned done = client.done - before;
        assert_in_range(done, 1, 1000);
        uint64_t each_ns = milgi_engine_expected_ns(loop.engine, 0, MILGI_OP_SEAL, loop.aead->alg, 16384);
        assert_in_range(milgi__engine_spent(loop.engine), done * each_ns * 9 / 10, done * each_ns * 11 / 10);
        assert_in_range(milgi__engine_spent(loop.engine), MS, 3 * MS);
    }
    while (client.done < 4000)
        loop_turn(&loop);
    gone();
}

static void what_is_done_here_instead_takes_turns_too(void **state)
{
    (void)state;
    for (unsigned records = 0; records < 2; records++) {
        waits_in_vain();
        for (unsigned i = 0; i < 100; i++)
            (void)loop_keygen(&client);
        for (unsigned i = 0; i < (records ? 100 : 1); i++)
            (void)(records ? loop_seal(&crowd[0], 1000) : loop_keygen(&crowd[0]));
        loop_turn(&loop);
        loop.now_ns += MS;
        loop.inline_ns = 5 * MS;
        while (crowd[0].done < (records ? 100 : 1)) {
            unsigned before = loop.done;
            loop_turn(&loop);
            if (!records)
                assert_int_equal(milgi__engine_spent(loop.engine), (loop.done - before) * 5 * MS);
            assert_true(client.done <= 10); /* nobody waits for all of another's */
        }
        while (client.done < 100)
            loop_turn(&loop);
        gone();
    }
}

/* --- what goes to another device by itself ------------------------------------------------------------------------ */

static uint64_t submitted(unsigned index, enum milgi_op_type type)
{
    struct milgi_engine_stats stats;
    loop_stats(&loop, &stats);
    return stats.device[index].submitted[type];
}

static void what_takes_longer_than_a_turn_goes_to_a_device_that_is_there(void **state)
{
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    (void)loop_device(&loop, "sim:latency=20ms,units=4");
    loop.inline_ns = 100000;
    (void)loop_sign(&client, loop.rsa);
    (void)loop_keygen(&client);
    (void)loop_seal(&client, 1000);
    loop_settle(&loop, &client, 3);
    assert_int_equal(submitted(1, MILGI_OP_SIGN), 1);
    assert_int_equal(submitted(0, MILGI_OP_SIGN), 0);
    assert_int_equal(submitted(0, MILGI_OP_KEYGEN), 1);
    assert_int_equal(submitted(0, MILGI_OP_SEAL), 1);
    loop_detach(&client);
    loop_fini(&loop);
}

static void the_measurement_decides_not_the_table(void **state)
{
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    (void)loop_device(&loop, "sim:latency=20ms,units=4");
    loop.inline_ns = 5 * MS; /* of a key generation, which the table takes for a cheap one */
    for (unsigned i = 0; i < 40; i++) {
        (void)loop_keygen(&client);
        loop_settle(&loop, &client, i + 1);
    }
    assert_true(submitted(1, MILGI_OP_KEYGEN) > 10);
    loop_detach(&client);
    loop_fini(&loop);
}

static void a_host_that_names_the_inline_device_gets_it(void **state)
{
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    (void)loop_device(&loop, "sim:latency=20ms,units=4");
    assert_int_equal(milgi_engine_route(loop.engine, UINT32_MAX, 0, 0), 0);
    (void)loop_sign(&client, loop.rsa);
    loop_settle(&loop, &client, 1);
    assert_int_equal(submitted(0, MILGI_OP_SIGN), 1);
    loop_detach(&client);
    loop_fini(&loop);
}

/* --- deadlines ---------------------------------------------------------------------------------------------------- */

static void what_is_finished_when_the_host_wakes_up_is_not_lost(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.rerun = false;
    for (unsigned late_ms = 10; late_ms <= 10000; late_ms *= 1000) { /* in time, and long stopped */
        options.op_timeout_ns[MILGI_OP_CLASS_HANDSHAKE] = late_ms * (uint64_t)MS;
        loop_init(&loop, &options);
        loop_attach(&loop, &client);
        unsigned index = loop_device(&loop, "sim:latency=1ms");
        assert_int_equal(milgi_engine_route(loop.engine, UINT32_MAX, index, 0), 0);
        (void)loop_keygen(&client);
        loop_turn(&loop);
        loop.now_ns += late_ms * (uint64_t)MS;
        loop_turn(&loop);
        assert_int_equal(client.status[MILGI_OP_OK], 1);
        loop_detach(&client);
        loop_fini(&loop);
    }
}

static unsigned timeouts;

static void count_timeouts(struct milgi__owner *owner)
{
    (void)owner;
    timeouts++;
}

/* A loop with one client, whose timeouts are counted. */
static void set_up_to_count(void)
{
    static struct milgi__owner_ops ops;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    ops = *client.owner.ops;
    ops.timeout = count_timeouts;
    client.owner.ops = &ops;
    timeouts = 0;
}

/* What it has to do takes its deadline away: the last message of a handshake was there in time. */
static void finish_in_time(struct loop_client *c)
{
    milgi__engine_deadline(loop.engine, &c->owner, UINT64_MAX);
}

static void what_came_in_time_is_done_before_a_deadline_is_judged(void **state)
{
    (void)state;
    for (unsigned staged = 0; staged < 2; staged++) {
        set_up_to_count();
        client.on_turn = finish_in_time;
        milgi__engine_deadline(loop.engine, &client.owner, loop.now_ns + 10 * MS);
        loop_turn(&loop);
        loop.now_ns += 10 * MS;
        if (staged)
            milgi__engine_ready(loop.engine, &client.owner);
        loop_turn(&loop);
        assert_int_equal(timeouts, !staged);
        loop_detach(&client);
        loop_fini(&loop);
    }
}

static void who_is_always_at_work_is_told_of_its_deadline_all_the_same(void **state)
{
    (void)state;
    set_up_to_count();
    milgi__engine_deadline(loop.engine, &client.owner, loop.now_ns + 10 * MS);
    for (unsigned i = 0; i < 10; i++) {
        milgi__engine_ready(loop.engine, &client.owner);
        loop_turn(&loop);
        loop.now_ns += 2 * MS;
    }
    assert_int_equal(timeouts, 1);
    loop_detach(&client);
    loop_fini(&loop);
}

static void a_host_that_was_stopped_may_bring_what_came_meanwhile(void **state)
{
    (void)state;
    set_up_to_count();
    milgi__engine_deadline(loop.engine, &client.owner, loop.now_ns + 1000 * MS);
    loop_turn(&loop);
    loop.now_ns += 11000 * (uint64_t)MS;
    assert_int_equal(loop_turn(&loop).next, MILGI_RUN_AGAIN);
    assert_int_equal(timeouts, 0);
    loop_turn(&loop); /* it had nothing */
    assert_int_equal(timeouts, 1);
    loop_detach(&client);
    loop_fini(&loop);
}

/* --- what can wait ------------------------------------------------------------------------------------------------ */

static unsigned idles;

static void count_idles(struct milgi__owner *owner)
{
    (void)owner;
    idles++;
}

static void nobody_is_woken_up_to_put_things_in_order(void **state)
{
    struct milgi__owner_ops ops;
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    ops = *client.owner.ops;
    ops.idle = count_idles;
    client.owner.ops = &ops;
    idles = 0;
    milgi__engine_ready(loop.engine, &client.owner);
    struct milgi_run_result result = loop_turn(&loop);
    assert_int_equal(result.next, MILGI_RUN_WAIT);
    assert_int_equal(result.convenient_ns - loop.now_ns, 5 * MS);
    assert_true(result.deadline_ns - loop.now_ns >= 500 * MS);
    loop.now_ns = result.convenient_ns; /* awake for another reason */
    loop_turn(&loop);
    assert_int_equal(idles, 1);
    milgi__engine_ready(loop.engine, &client.owner);
    result = loop_turn(&loop);
    loop.now_ns = result.deadline_ns; /* a host that knows of no convenience */
    loop_turn(&loop);
    assert_int_equal(idles, 2);
    loop_detach(&client);
    loop_fini(&loop);
}

static void a_deadline_that_must_be_kept_is_told_as_it_is(void **state)
{
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    milgi__engine_deadline(loop.engine, &client.owner, loop.now_ns + 3 * MS);
    milgi__engine_ready(loop.engine, &client.owner);
    struct milgi_run_result result = loop_turn(&loop);
    assert_int_equal(result.deadline_ns - loop.now_ns, 3 * MS);
    assert_int_equal(result.convenient_ns, result.deadline_ns);
    assert_int_equal(milgi_engine_now(loop.engine), loop.now_ns);
    loop_detach(&client);
    loop_fini(&loop);
}

static unsigned offers;

static unsigned refuse(struct milgi_qp *qp, struct milgi_op *const *ops, unsigned n)
{
    (void)qp;
    (void)ops;
    (void)n;
    offers++;
    return 0;
}

static void check_refusal(uint32_t flags, unsigned max)
{
    struct milgi_device_ops ops;
    struct milgi_device *device;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    assert_int_equal(milgi_device_new("sim:latency=1ms", &device, NULL), 0);
    ops = *device->ops;
    ops.enqueue = refuse;
    device->ops = &ops;
    device->caps.flags |= flags;
    assert_int_equal(milgi_engine_route(loop.engine, UINT32_MAX, loop_open(&loop, device), 0), 0);
    offers = 0;
    (void)loop_keygen(&client);
    uint64_t until_ns = loop.now_ns + 5000 * (uint64_t)MS;
    while (loop.now_ns < until_ns)
        (void)loop_run(&loop);
    assert_in_range(offers, 400, max); /* about every 10 ms, and not every 100 us */
    loop_detach(&client);
    loop_fini(&loop);
}

static void a_device_that_refuses_is_asked_less_and_less_often(void **state)
{
    (void)state;
    check_refusal(0, 1200); /* once or twice each time */
}

/* Where a cryptodev in software has been stopped. */
static void one_on_the_engines_thread_is_not_asked_all_the_time_either(void **state)
{
    (void)state;
    check_refusal(MILGI_CAP_CALLER, 1800); /* and once more when all have had their turn */
}

/* --- keys, handles, posts ----------------------------------------------------------------------------------------- */

static void a_key_that_was_replaced_goes_whatever_the_load(void **state)
{
    struct fake_options options = { .type = MILGI__KEY_P256 };
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    struct milgi_credential *credential = fake_credential(&options);
    milgi__engine_key_unref(loop.engine, milgi__engine_key_private(loop.engine, credential));
    uint32_t before = loop.engine->keys.n;
    milgi_credential_unref(credential); /* only the engine has it now */
    for (unsigned i = 0; i < 1100; i++) {
        milgi__engine_ready(loop.engine, &client.owner);
        loop_turn(&loop);
        loop.now_ns += MS;
    }
    assert_int_equal(loop.engine->keys.n, before - 1);
    loop_detach(&client);
    loop_fini(&loop);
}

static void a_key_that_was_replaced_goes_before_a_long_sleep(void **state)
{
    struct fake_options options = { .type = MILGI__KEY_P256 };
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    struct milgi_credential *credential = fake_credential(&options);
    milgi__engine_key_unref(loop.engine, milgi__engine_key_private(loop.engine, credential));
    uint32_t before = loop.engine->keys.n;
    milgi__engine_ready(loop.engine, &client.owner);
    loop.now_ns = loop_turn(&loop).convenient_ns;
    milgi_credential_unref(credential);
    loop_turn(&loop);
    assert_int_equal(loop.engine->keys.n, before - 1);
    loop_detach(&client);
    loop_fini(&loop);
}

static void a_handle_of_who_has_gone_finds_nobody(void **state)
{
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    uint32_t index = client.owner.index, generation = client.owner.generation;
    loop_detach(&client);
    loop_attach(&loop, &client); /* in the same place */
    assert_int_equal(client.owner.index, index);
    assert_null(milgi__engine_find(loop.engine, index, generation));
    assert_ptr_equal(milgi__engine_find(loop.engine, index, client.owner.generation), &client.owner);
    loop_detach(&client);
    loop_fini(&loop);
}

static unsigned posted;

static void post_again(void *arg)
{
    (void)arg;
    if (posted++ == 0)
        assert_int_equal(milgi_engine_post(loop.engine, post_again, NULL), 0);
}

static void what_is_posted_while_posts_run_wakes_the_engine(void **state)
{
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    posted = 0;
    assert_int_equal(milgi_engine_post(loop.engine, post_again, NULL), 0);
    loop_turn(&loop);
    assert_int_equal(posted, 1);
    struct pollfd fd = { .fd = milgi_engine_fd(loop.engine), .events = POLLIN };
    assert_int_equal(poll(&fd, 1, 0), 1);
    loop_turn(&loop);
    assert_int_equal(posted, 2);
    assert_int_equal(poll(&fd, 1, 0), 0);
    loop_detach(&client);
    loop_fini(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_ends_with_the_op_that_uses_its_budget_up),
        cmocka_unit_test(what_a_host_does_in_a_callback_is_charged_to_the_turn),
        cmocka_unit_test(an_established_connection_waits_for_one_op_of_a_crowd_at_most),
        cmocka_unit_test(neither_do_established_connections_keep_new_ones_out),
        cmocka_unit_test(established_connections_that_had_nothing_to_do_have_saved_nothing_up),
        cmocka_unit_test(new_connections_have_saved_nothing_up_when_they_come),
        cmocka_unit_test(turns_are_given_by_the_shares_of_the_classes),
        cmocka_unit_test(a_turn_ends_though_the_clock_stands_still),
        cmocka_unit_test(nobody_is_charged_for_a_clock_that_jumps_back),
        cmocka_unit_test(records_that_are_done_here_instead_are_charged_to_the_turn),
        cmocka_unit_test(what_is_done_here_instead_takes_turns_too),
        cmocka_unit_test(what_takes_longer_than_a_turn_goes_to_a_device_that_is_there),
        cmocka_unit_test(the_measurement_decides_not_the_table),
        cmocka_unit_test(a_host_that_names_the_inline_device_gets_it),
        cmocka_unit_test(what_is_finished_when_the_host_wakes_up_is_not_lost),
        cmocka_unit_test(what_came_in_time_is_done_before_a_deadline_is_judged),
        cmocka_unit_test(who_is_always_at_work_is_told_of_its_deadline_all_the_same),
        cmocka_unit_test(a_host_that_was_stopped_may_bring_what_came_meanwhile),
        cmocka_unit_test(nobody_is_woken_up_to_put_things_in_order),
        cmocka_unit_test(a_deadline_that_must_be_kept_is_told_as_it_is),
        cmocka_unit_test(a_device_that_refuses_is_asked_less_and_less_often),
        cmocka_unit_test(one_on_the_engines_thread_is_not_asked_all_the_time_either),
        cmocka_unit_test(a_key_that_was_replaced_goes_whatever_the_load),
        cmocka_unit_test(a_key_that_was_replaced_goes_before_a_long_sleep),
        cmocka_unit_test(a_handle_of_who_has_gone_finds_nobody),
        cmocka_unit_test(what_is_posted_while_posts_run_wakes_the_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
