/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that are taken out while ops wait before them, are in them or are lost in them; ops that nobody wants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/parts.h"
#include "fake_identity.h"
#include "loop.h"
#include "op/material.h"
#include "pair.h"

static struct loop loop;
static struct loop_client client;
static unsigned removed, retired, returned;
static unsigned remove_when_retired; /* index + 1 */

static void on_device(void *ctx, struct milgi_engine *engine, unsigned index, struct milgi_device *device,
    enum milgi_device_event event)
{
    (void)ctx;
    removed += event == MILGI_DEVICE_REMOVED;
    retired += event == MILGI_DEVICE_RETIRED;
    returned += event == MILGI_DEVICE_RETURNED;
    if (event == MILGI_DEVICE_REMOVED) {
        assert_ptr_equal(device, loop.device[index]);
        milgi_device_free(device); /* nobody has it any more */
        loop.device[index] = NULL;
    }
    if (event == MILGI_DEVICE_RETIRED && remove_when_retired)
        assert_int_equal(milgi_engine_remove_device(engine, remove_when_retired - 1, 0), 0);
}

static unsigned begin(const char *device, struct milgi_engine_options *options)
{
    struct milgi_engine_options defaults;
    milgi_engine_options_init(&defaults);
    options = options ? options : &defaults;
    options->on_device = on_device;
    removed = retired = returned = remove_when_retired = 0;
    loop_init(&loop, options);
    unsigned index = loop_device(&loop, device);
    assert_int_equal(milgi_engine_route(loop.engine, UINT32_MAX, index, 1), 0);
    loop_attach(&loop, &client);
    return index;
}

static void end(void)
{
    struct milgi_engine_stats stats;
    loop_stats(&loop, &stats);
    assert_int_equal(stats.ops_alive, 0);
    assert_int_equal(stats.orphans, 0);
    loop_detach(&client);
    loop_fini(&loop);
}

static void submit(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        switch (i % 3) {
        case 0: loop_seal(&client, 1000); break;
        case 1: loop_sign(&client, loop.rsa); break;
        default: loop_keygen(&client);
        }
    }
}

static void until_idle(void)
{
    while (loop_run(&loop).next != MILGI_RUN_IDLE)
        continue;
}

/* --- it goes ------------------------------------------------------------------------------------------------------ */

static void what_is_in_a_device_that_goes_has_time_to_come_back(void **state)
{
    struct milgi_engine_stats stats;
    (void)state;
    unsigned index = begin("sim:latency=1ms,units=4,depth=8", NULL);
    submit(60);
    loop_run(&loop);
    assert_int_equal(milgi_engine_remove_device(loop.engine, index, 100000000), 0);
    loop_settle(&loop, &client, 60);
    loop_stats(&loop, &stats);
    assert_int_equal(stats.device[1].ok, 8);
    assert_int_equal(stats.device[1].lost, 0);
    assert_int_equal(stats.device[1].spilled, 52); /* what waited did not wait for it */
    assert_int_equal(client.status[MILGI_OP_OK], 60);
    loop_run(&loop);
    loop_run(&loop);
    assert_int_equal(removed, 1);
    assert_int_equal(milgi_engine_remove_device(loop.engine, index, 0), MILGI_EINVAL);
    submit(3); /* the routes lead elsewhere */
    assert_int_equal(client.status[MILGI_OP_OK], 63);
    until_idle();
    assert_int_equal(removed, 1);
    end();
}

static void what_is_not_back_in_time_is_done_again(void **state)
{
    struct milgi_engine_stats stats;
    (void)state;
    unsigned index = begin("sim:manual,depth=64", NULL);
    submit(30);
    loop_run(&loop);
    assert_int_equal(milgi_engine_remove_device(loop.engine, index, 5000000), 0);
    uint64_t from_ns = loop.now_ns;
    loop_settle(&loop, &client, 30);
    assert_in_range(loop.now_ns - from_ns, 4999999, 5100000);
    assert_int_equal(client.status[MILGI_OP_OK], 30);
    loop_stats(&loop, &stats);
    assert_true(stats.device[1].rerun > 0);
    assert_int_equal(stats.device[1].rerun + stats.device[1].spilled, 30);
    until_idle();
    assert_int_equal(removed, 1);
    end();
}

static void a_second_call_can_only_shorten_the_time(void **state)
{
    (void)state;
    unsigned index = begin("sim:manual,depth=64", NULL);
    submit(3);
    loop_run(&loop);
    uint64_t from_ns = loop.now_ns;
    assert_int_equal(milgi_engine_remove_device(loop.engine, index, UINT64_MAX), 0);
    assert_int_equal(milgi_engine_remove_device(loop.engine, index, 5000000), 0);
    assert_int_equal(milgi_engine_remove_device(loop.engine, index, 50000000), 0);
    loop_settle(&loop, &client, 3);
    assert_true(loop.now_ns - from_ns <= 5100000);
    until_idle();
    end();
}

static void what_was_lost_before_is_given_up_with_the_device(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 1000000;
    options.rerun = false;
    unsigned index = begin("sim:manual,depth=64", &options);
    submit(7);
    loop_run(&loop);
    milgi__sim_finish(loop.device[index], 0, MILGI_OP_OK); /* or it would be out of service */
    loop_settle(&loop, &client, 7);
    assert_int_equal(client.status[MILGI_OP_LOST], 6);
    submit(6);
    loop_run(&loop);
    assert_int_equal(milgi_engine_remove_device(loop.engine, index, 0), 0);
    loop_settle(&loop, &client, 13);
    assert_int_equal(client.status[MILGI_OP_CANCELLED], 6); /* they had not begun */
    until_idle();
    assert_int_equal(removed, 1);
    end();
}

static void a_device_may_be_removed_when_the_engine_says_that_it_fails(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.quarantine_limit = 4;
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 1000000;
    unsigned index = begin("sim:manual,depth=64", &options);
    remove_when_retired = index + 1;
    submit(12);
    loop_settle(&loop, &client, 12);
    until_idle();
    assert_int_equal(client.status[MILGI_OP_OK], 12);
    assert_int_equal(retired, 1);
    assert_int_equal(removed, 1);
    end();
}

static void remove_in_done(struct loop_client *c, struct milgi_op *op)
{
    (void)op;
    if (c->done == 5)
        assert_int_equal(milgi_engine_remove_device(loop.engine, 1, 0), 0);
}

static void a_device_may_be_removed_from_a_callback(void **state)
{
    (void)state;
    (void)begin("sim:latency=1ms,units=3,depth=8", NULL);
    client.on_done = remove_in_done;
    submit(60);
    loop_settle(&loop, &client, 60);
    assert_int_equal(client.status[MILGI_OP_OK], 60);
    until_idle();
    assert_int_equal(removed, 1);
    end();
}

static void the_next_device_at_the_index_gets_its_own_keys(void **state)
{
    (void)state;
    unsigned index = begin("sim:latency=1ms,depth=8", NULL);
    for (unsigned turn = 0; turn < 5; turn++) {
        submit(30);
        loop_run(&loop);
        assert_int_equal(milgi_engine_remove_device(loop.engine, index, turn % 2 ? 3000000 : 0), 0);
        while (removed == turn)
            loop_run(&loop);
        assert_null(loop.rsa->loaded.dev[index]);
        assert_int_equal(loop_device(&loop, turn % 2 ? "pool:2" : "sim:latency=2ms,units=3"), index);
        assert_int_equal(milgi_engine_route(loop.engine, UINT32_MAX, index, 1), 0);
    }
    submit(30);
    loop_settle(&loop, &client, 180);
    assert_int_equal(client.status[MILGI_OP_OK], 180);
    end();
}

static void the_device_whose_memory_is_in_use_stays(void **state)
{
    struct milgi_engine *engine;
    struct milgi_device *device;
    (void)state;
    assert_int_equal(milgi_engine_new(NULL, &engine), 0);
    assert_int_equal(milgi_device_new("sim:memory=own:8m", &device, NULL), 0);
    assert_int_equal(milgi_engine_add_device(engine, device), 1);
    assert_int_equal(milgi_engine_use_memory(engine, 1), 0);
    assert_int_equal(milgi_engine_remove_device(engine, 1, 0), MILGI_EBUSY);
    assert_int_equal(milgi_engine_remove_device(engine, 0, 0), MILGI_EINVAL);
    assert_int_equal(milgi_engine_use_memory(engine, 0), 0);
    assert_int_equal(milgi_engine_remove_device(engine, 1, 0), 0);
    assert_int_equal(milgi_engine_free(engine), 0);
    milgi_device_free(device);
}

/* --- connections go on -------------------------------------------------------------------------------------------- */

static unsigned pair_removed;

static void on_pair_device(void *ctx, struct milgi_engine *engine, unsigned index, struct milgi_device *device,
    enum milgi_device_event event)
{
    (void)ctx;
    (void)engine;
    (void)index;
    (void)device;
    pair_removed += event == MILGI_DEVICE_REMOVED;
}

/* A little time, in which nothing comes to rest. */
static void step(struct pair *pair)
{
    pair->now_ns += 300000;
    pair_settle_until(pair, pair->now_ns + 1);
}

/* Every byte arrives once and in order while the receiver's device is replaced again and again. */
static void transfer(const char *first, const char *other, uint64_t drain_ns)
{
    static uint8_t data[600000];
    struct pair pair;
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.on_device = on_pair_device;
    struct pair_setup setup = {
        .config = { fake_freeze(fake_config(MILGI_CLIENT, NULL)), fake_freeze(fake_config(MILGI_SERVER, NULL)) },
        .device = { first, first },
        .options = &options,
        .server_name = "server.test",
        .wall_s = FAKE_NOW_S,
    };
    pair_removed = 0;
    pair_init(&pair, &setup);
    struct pair_side *from = &pair.side[MILGI_CLIENT], *to = &pair.side[MILGI_SERVER];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8) * 13);
    size_t sent = 0;
    for (unsigned turn = 0; turn < 40 || to->got.len < sizeof data; turn++) {
        assert_true(turn < 3000);
        size_t n = MILGI__MIN(sizeof data - sent, 20000);
        struct milgi_chunk *chunk = n ? milgi_chunk_new(from->engine, n) : NULL;
        if (chunk) {
            memcpy(milgi_chunk_data(chunk), data + sent, n);
            struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), (uint32_t)n };
            int rv = milgi_conn_send(from->conn, slice);
            assert_true(rv == 0 || rv == MILGI_PAUSE);
            sent += n;
        }
        struct pair_side *side = turn % 2 ? from : to;
        if (turn < 40 && turn % 4 < 2) { /* in the middle of everything */
            assert_int_equal(milgi_engine_remove_device(side->engine, 1, drain_ns), 0);
            unsigned before = pair_removed;
            for (unsigned guard = 0; pair_removed == before; guard++) {
                assert_true(guard < 20000);
                if (guard > 500)
                    usleep(1000); /* threads of a device may have no processor */
                step(&pair);
            }
            milgi_device_free(side->device[0]);
            assert_int_equal(milgi_device_new(turn % 8 < 4 ? other : first, &side->device[0], NULL), 0);
            assert_int_equal(milgi_engine_add_device(side->engine, side->device[0]), 1);
            assert_int_equal(milgi_engine_route(side->engine, UINT32_MAX, 1, 1), 0);
        }
        step(&pair);
    }
    assert_int_equal(to->got.len, sizeof data);
    assert_memory_equal(to->got.p, data, sizeof data);
    assert_int_equal(pair_removed, 20);
    for (int role = 0; role < 2; role++)
        milgi_config_unref(setup.config[role]);
    pair_fini(&pair);
}

static void no_byte_is_lost_when_devices_are_replaced(void **state)
{
    (void)state;
    transfer("sim:latency=1ms,units=4", "sim:latency=100us,order=in", 0);
    transfer("sim:latency=1ms,units=4", "sim:latency=3ms,units=2,depth=4", 2000000);
    transfer("chaos:seed=5,fail=0.05,max_delay=300us", "sim:latency=200us", 1000000);
    transfer("pool:2", "sim:latency=500us", 0);
}

/* --- ops that nobody wants ---------------------------------------------------------------------------------------- */

static void what_has_not_begun_is_cancelled_when_its_connection_goes(void **state)
{
    struct milgi_engine_stats stats;
    struct loop_client gone;
    (void)state;
    (void)begin("sim:latency=1ms,units=2,depth=8", NULL);
    loop_attach(&loop, &gone);
    for (unsigned i = 0; i < 20; i++)
        loop_keygen(&gone);
    loop_run(&loop);
    loop_detach(&gone);
    loop_stats(&loop, &stats);
    assert_int_equal(stats.device[1].dropped, 12);
    assert_int_equal(stats.orphans, 8);
    uint64_t from_ns = loop.now_ns, last_ns = from_ns;
    while (stats.orphans) {
        last_ns = loop.now_ns;
        loop_run(&loop);
        loop_stats(&loop, &stats);
    }
    assert_true(last_ns - from_ns <= 1000000); /* not four rounds of them */
    assert_int_equal(stats.device[1].cancelled, 4);
    assert_int_equal(stats.device[1].ok, 4); /* two had ended, two had begun */
    assert_int_equal(gone.done, 0);
    assert_int_equal(stats.device[1].rerun, 0);
    end();
}

/* --- keys that are elsewhere -------------------------------------------------------------------------------------- */

static struct milgi_credential elsewhere;

static struct milgi_key *key_elsewhere(void)
{
    elsewhere = *loop.credential;
    atomic_init(&elsewhere.refs, 1000);
    elsewhere.pkcs8 = NULL;
    struct milgi_key *key = milgi__engine_key_private(loop.engine, &elsewhere);
    assert_non_null(key);
    return key;
}

static uint64_t held[8]; /* what a device that holds such keys knows of one */

static void *hold(struct milgi_qp *qp, const struct milgi_key *key)
{
    (void)qp;
    (void)key;
    return held;
}

static void let_go(struct milgi_qp *qp, const struct milgi_key *key, void *loaded)
{
    (void)qp;
    (void)key;
    (void)loaded;
}

static struct milgi_device_ops holder_ops[2];

static unsigned open_holder(unsigned i, const char *spec)
{
    struct milgi_device *device;
    assert_int_equal(milgi_device_new(spec, &device, NULL), 0);
    holder_ops[i] = *device->ops;
    holder_ops[i].key_load = hold;
    holder_ops[i].key_free = let_go;
    device->ops = &holder_ops[i];
    return loop_open(&loop, device);
}

static void a_key_that_is_elsewhere_is_used_by_its_holder_only(void **state)
{
    struct milgi_engine_options options;
    struct milgi_engine_stats stats;
    (void)state;
    milgi_engine_options_init(&options);
    options.full_policy = MILGI_FULL_SPILL;
    options.full_line = 2;
    options.outstanding_ns = UINT64_MAX;
    options.quarantine_limit = 4;
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 1000000;
    (void)begin("sim:latency=1ms", &options);
    struct milgi_key *key = key_elsewhere();
    loop_sign(&client, key);
    assert_int_equal(client.code, MILGI_CODE_NO_DEVICE); /* nobody has it */
    unsigned first = open_holder(0, "sim:manual,depth=5");
    for (unsigned i = 0; i < 20; i++)
        loop_sign(&client, key);
    loop_run(&loop);
    loop_stats(&loop, &stats);
    assert_int_equal(stats.device[first].in_flight, 5);
    assert_int_equal(stats.device[first].waiting, 15);
    assert_int_equal(client.done, 1);
    loop_settle(&loop, &client, 21); /* it loses five and is retired; what waits fails at once */
    assert_int_equal(client.status[MILGI_OP_LOST], 5);
    assert_int_equal(client.status[MILGI_OP_BROKEN], 16);
    assert_int_equal(client.code, MILGI_CODE_RETIRED);
    loop_sign(&client, key);
    loop_run(&loop);
    assert_int_equal(client.done, 22);
    assert_int_equal(client.code, MILGI_CODE_RETIRED);
    loop_stats(&loop, &stats);
    assert_int_equal(stats.device[0].submitted[MILGI_OP_SIGN], 0);
    assert_int_equal(stats.device[1].submitted[MILGI_OP_SIGN], 0);
    assert_int_equal(stats.device[first].broken, 0); /* they never were in it */
    unsigned second = open_holder(1, "sim:manual");
    loop_sign(&client, key); /* another has it, too */
    loop_run(&loop);
    loop_stats(&loop, &stats);
    assert_int_equal(stats.device[second].in_flight, 1);
    assert_int_equal(milgi_engine_remove_device(loop.engine, second, 0), 0);
    assert_int_equal(milgi_engine_remove_device(loop.engine, first, 0), 0);
    until_idle();
    assert_int_equal(client.done, 23);
    loop_stats(&loop, &stats);
    assert_int_equal(stats.device[0].submitted[MILGI_OP_SIGN], 0);
    milgi__engine_key_unref(loop.engine, key);
    end();
}

static void *(*sim_key_load)(struct milgi_qp *qp, const struct milgi_key *key);
static unsigned (*sim_dequeue)(struct milgi_qp *qp, struct milgi_op **ops, unsigned n);
static unsigned lies, told_wrong;

static void *hold_truly(struct milgi_qp *qp, const struct milgi_key *key)
{
    struct milgi_key here = *key;
    here.loaded.credential = loop.credential;
    return sim_key_load(qp, &here);
}

static unsigned lie(struct milgi_qp *qp, struct milgi_op **ops, unsigned n)
{
    n = sim_dequeue(qp, ops, n);
    for (unsigned i = 0; i < n && lies; i++, lies--)
        ops[i]->u.sign.sig[0] ^= 1;
    return n;
}

static void be_told(struct milgi_qp *qp, const struct milgi_op *op)
{
    (void)qp;
    assert_int_equal(op->type, MILGI_OP_SIGN);
    told_wrong++;
}

/* Who is told that a signature is wrong, and knows another place, makes it once more: nobody else can. */
static void a_wrong_signature_is_made_again_where_the_key_is(void **state)
{
    static const struct {
        unsigned lies;
        bool is_told, reruns, ok;
    } cases[] = {
        { 0, true, true, true },
        { 1, true, true, true },
        { 2, true, true, false },
        { 1, false, true, false },
        { 1, true, false, false },
    };
    struct milgi_engine_options options;
    struct milgi_engine_stats stats;
    (void)state;
    milgi_engine_options_init(&options);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        options.rerun = cases[i].reruns;
        (void)begin("sim:latency=1ms", &options);
        struct milgi_key *key = key_elsewhere();
        struct milgi_device *device;
        assert_int_equal(milgi_device_new("sim:latency=1ms", &device, NULL), 0);
        holder_ops[0] = *device->ops;
        sim_key_load = device->ops->key_load;
        sim_dequeue = device->ops->dequeue;
        holder_ops[0].key_load = hold_truly;
        holder_ops[0].dequeue = lie;
        holder_ops[0].wrong = cases[i].is_told ? be_told : NULL;
        device->ops = &holder_ops[0];
        unsigned holder = loop_open(&loop, device);
        assert_int_equal(milgi_engine_remove_device(loop.engine, 1, 0), 0);
        lies = cases[i].lies;
        told_wrong = 0;
        loop_sign(&client, key);
        loop_settle(&loop, &client, 1);
        assert_int_equal(client.status[MILGI_OP_OK], cases[i].ok);
        if (!cases[i].ok)
            assert_int_equal(client.code, MILGI_CODE_BAD_SIGNATURE);
        assert_int_equal(told_wrong, cases[i].is_told ? cases[i].lies : 0);
        loop_stats(&loop, &stats);
        assert_int_equal(stats.device[holder].rerun, cases[i].is_told && cases[i].reruns && cases[i].lies);
        milgi__engine_key_unref(loop.engine, key);
        end();
    }
}

/* --- without memory ----------------------------------------------------------------------------------------------- */

static unsigned allocations, failing;

static bool no_memory(void)
{
    return allocations++ == failing;
}

static void no_failing_allocation_loses_an_op(void **state)
{
    (void)state;
    for (failing = 0;; failing++) {
        (void)begin("sim:latency=1ms,units=2,depth=8", NULL);
        unsigned missing = 0;
        allocations = 0;
        milgi__mem_fail = no_memory;
        for (unsigned i = 0; i < 70; i++) {
            missing += loop_keygen(&client) < 0;
            missing += loop_sign(&client, loop.rsa) < 0;
        }
        loop_run(&loop);
        milgi__mem_fail = NULL;
        loop_settle(&loop, &client, client.given);
        assert_true(missing <= 1);
        assert_int_equal(client.given, 140 - missing);
        assert_int_equal(client.status[MILGI_OP_OK], client.given);
        end();
        if (allocations <= failing)
            break;
    }
    assert_true(failing > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_a_device_that_goes_has_time_to_come_back),
        cmocka_unit_test(what_is_not_back_in_time_is_done_again),
        cmocka_unit_test(a_second_call_can_only_shorten_the_time),
        cmocka_unit_test(what_was_lost_before_is_given_up_with_the_device),
        cmocka_unit_test(a_device_may_be_removed_when_the_engine_says_that_it_fails),
        cmocka_unit_test(a_device_may_be_removed_from_a_callback),
        cmocka_unit_test(the_next_device_at_the_index_gets_its_own_keys),
        cmocka_unit_test(the_device_whose_memory_is_in_use_stays),
        cmocka_unit_test(no_byte_is_lost_when_devices_are_replaced),
        cmocka_unit_test(what_has_not_begun_is_cancelled_when_its_connection_goes),
        cmocka_unit_test(a_key_that_is_elsewhere_is_used_by_its_holder_only),
        cmocka_unit_test(a_wrong_signature_is_made_again_where_the_key_is),
        cmocka_unit_test(no_failing_allocation_loses_an_op),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
