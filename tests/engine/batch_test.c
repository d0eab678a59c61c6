/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that does its work on the engine's own thread, as `batch` does: ops of all connections of a turn gather
 * before it, none waits for longer than it says, nothing is left in it when the turn ends, and the turn is charged.
 * Performing an op moves the clock. ctest-wrap: milgi__op_perform
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "device/batch/batch.h"
#include "engine/parts.h"
#include "fake_identity.h"
#include "loop.h"

#define US 1000u
#define CROWD 40

static struct loop loop;
static struct loop_client client, crowd[CROWD];
static unsigned index_of_batch;
static uint64_t op_ns, turn_ns;

void __real_milgi__op_perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded);
void __wrap_milgi__op_perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded);

void __wrap_milgi__op_perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded)
{
    loop.now_ns += op_ns;
    __real_milgi__op_perform(cx, op, loaded);
}

static const struct milgi__lanes *lanes(void)
{
    return milgi__batch_lanes(loop.engine->dev[index_of_batch].qp);
}

static uint64_t in_lanes(void)
{
    return lanes()->in_lanes[MILGI__ROW_X25519_KEYGEN];
}

static uint64_t alone(void)
{
    return lanes()->alone[MILGI__ROW_X25519_KEYGEN];
}

static void begin(const char *spec, const struct milgi_engine_options *options)
{
    op_ns = turn_ns = 0;
    loop_init(&loop, options);
    index_of_batch = loop_device(&loop, spec);
    uint32_t ops = loop.device[index_of_batch]->caps.ops;
    assert_int_equal(milgi_engine_route(loop.engine, ops, index_of_batch, 0), 0);
}

static void keygen_once(struct loop_client *c)
{
    loop.now_ns += turn_ns;
    if (c->given == 0)
        (void)loop_keygen(c);
}

static void crowd_comes(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        loop_attach(&loop, &crowd[i]);
        crowd[i].on_turn = keygen_once;
        milgi__engine_ready(loop.engine, &crowd[i].owner);
    }
}

static void crowd_goes(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        loop_detach(&crowd[i]);
    loop_fini(&loop);
}

static enum milgi_next run(void)
{
    struct milgi_run_result result;
    assert_int_equal(milgi_engine_run(loop.engine, 0, &result), 0);
    return result.next;
}

static void ops_of_all_connections_of_a_turn_go_together(void **state)
{
    (void)state;
    begin("batch:lanes=libcrypto", NULL);
    crowd_comes(21);
    (void)run();
    for (unsigned i = 0; i < 21; i++)
        assert_int_equal(crowd[i].status[MILGI_OP_OK], 1); /* in the same turn */
    assert_int_equal(in_lanes(), 21);                      /* 8, 8 and 5 */
    assert_int_equal(alone(), 0);
    crowd_goes(21);
}

static void one_alone_waits_for_nobody(void **state)
{
    (void)state;
    begin("batch:lanes=libcrypto", NULL);
    crowd_comes(1);
    (void)run();
    assert_int_equal(crowd[0].status[MILGI_OP_OK], 1);
    assert_int_equal(alone(), 1);
    crowd_goes(1);
}

/* Whatever came before it, and however little of the turn is left. */
static void nothing_is_in_it_when_the_turn_ends(void **state)
{
    (void)state;
    begin("batch:lanes=libcrypto", NULL);
    for (unsigned n = 1; n <= CROWD; n++) {
        crowd_comes(n);
        for (unsigned i = 0; i < n; i++)
            crowd[i].given = 1; /* they stage none by themselves */
        for (unsigned i = 0; i < n; i++)
            (void)loop_keygen(&crowd[i]); /* before the run */
        op_ns = 1200 * US;                /* more than a turn may take */
        enum milgi_next next = run();
        const struct milgi__dev *d = &loop.engine->dev[index_of_batch];
        for (; milgi__dev_waiting(d) > 0; next = run()) { /* of so long ones it does some in each turn */
            assert_int_equal(next, MILGI_RUN_AGAIN);
            assert_int_equal(milgi__dev_flight(d), 0);
        }
        assert_int_equal(milgi__dev_flight(d), 0);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(crowd[i].done, 1);
        for (unsigned i = 0; i < n; i++)
            loop_detach(&crowd[i]);
    }
    loop_fini(&loop);
}

/* Each connection's turn takes 9 us: without a bound the first op would wait for all of them. */
static void gathering_ends_when_the_first_has_waited(uint64_t wait_ns, const char *spec)
{
    begin(spec, NULL);
    turn_ns = 9 * US;
    crowd_comes(5);
    for (unsigned i = 0; i < 5; i++)
        crowd[i].bound_ns[0] = wait_ns + turn_ns;
    (void)run();
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(crowd[i].done, 1);
        assert_true(crowd[i].worst_ns <= wait_ns + turn_ns);
    }
    assert_true(crowd[0].worst_ns >= MILGI__MIN(wait_ns, 4 * turn_ns)); /* but it does wait */
    crowd_goes(5);
}

static void an_op_waits_no_longer_than_it_says(void **state)
{
    (void)state;
    gathering_ends_when_the_first_has_waited(20 * US, "batch:lanes=libcrypto,wait=20us");
    gathering_ends_when_the_first_has_waited(30 * US, "batch:lanes=libcrypto,wait=30us");
    gathering_ends_when_the_first_has_waited(1000 * US, "batch:lanes=libcrypto,wait=1ms");
    gathering_ends_when_the_first_has_waited(1000 * US, "batch:lanes=libcrypto,wait=0");
}

static void the_bound_is_200_us_by_default(void **state)
{
    (void)state;
    begin("batch:lanes=libcrypto", NULL);
    turn_ns = 42 * US;
    crowd_comes(7);
    (void)run();
    assert_int_equal(in_lanes() + alone(), 7);
    assert_int_equal(alone(), 1); /* six gathered in 200 us, and were done: the seventh came too late */
    crowd_goes(7);
}

static void the_turn_is_charged_with_what_its_ops_take(void **state)
{
    (void)state;
    begin("batch:lanes=libcrypto", NULL);
    op_ns = 100 * US;
    crowd_comes(CROWD);
    assert_int_equal(run(), MILGI_RUN_AGAIN);
    assert_true(loop.engine->spent_ns >= loop.engine->budget_ns);
    unsigned done = 0;
    for (unsigned i = 0; i < CROWD; i++)
        done += crowd[i].done;
    assert_in_range(done, 10, 24); /* of 1 ms, and a burst that had been begun */
    while (run() != MILGI_RUN_WAIT)
        ;
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(crowd[i].done, 1);
    crowd_goes(CROWD);
}

/* However much is staged at once: the turn that follows does it, a millisecond's worth at a time. */
static void no_more_goes_in_than_a_turn_may_add(void **state)
{
    (void)state;
    begin("batch:lanes=libcrypto", NULL);
    loop_attach(&loop, &client);
    for (unsigned i = 0; i < 200; i++)
        (void)loop_keygen(&client); /* of 40 us each, as far as is known */
    assert_in_range(in_lanes() + alone(), 8, 32);
    loop_settle(&loop, &client, 200);
    assert_int_equal(client.status[MILGI_OP_OK], 200);
    loop_detach(&client);
    loop_fini(&loop);
}

/* Who stages hundreds of ops at once is one of many. */
static void who_stages_much_holds_up_nobody(void **state)
{
    (void)state;
    begin("batch:lanes=libcrypto", NULL);
    op_ns = 40 * US;
    loop_attach(&loop, &client);
    loop_attach(&loop, &crowd[0]);
    for (unsigned i = 0; i < 400; i++)
        (void)loop_keygen(&client);
    (void)loop_keygen(&crowd[0]);
    (void)run();
    assert_int_equal(crowd[0].done, 1);
    assert_true(client.done < 100);
    loop_settle(&loop, &client, 400);
    loop_detach(&crowd[0]);
    loop_detach(&client);
    loop_fini(&loop);
}

/* A device that goes, and one in its place that has a thread of its own. */
static void its_place_is_free_when_it_has_gone(void **state)
{
    (void)state;
    begin("batch:lanes=libcrypto", NULL);
    crowd_comes(8);
    (void)run();
    assert_int_equal(milgi_engine_remove_device(loop.engine, index_of_batch, 0), 0);
    (void)run();
    milgi_device_free(loop.device[index_of_batch]);
    loop.device[index_of_batch] = NULL;
    assert_int_equal(loop.engine->callers, 0);
    assert_int_equal(loop_device(&loop, "sim:latency=1ms"), index_of_batch);
    assert_int_equal(loop.engine->callers, 0);
    crowd_goes(8);
}

/* It works on the thread that would do it otherwise: there is no choosing between the two. */
static void beside_the_inline_device_it_gets_all(void **state)
{
    (void)state;
    begin("batch:lanes=libcrypto", NULL);
    uint32_t ops = loop.device[index_of_batch]->caps.ops;
    assert_int_equal(milgi_engine_route_first(loop.engine, ops, 1u | 1u << index_of_batch, 0), 0);
    op_ns = 5 * US;
    crowd_comes(16);
    (void)run();
    assert_int_equal(in_lanes(), 16);
    crowd_goes(16);
}

/* A signature of 5 ms would hold up all others: it goes to whoever has a thread of its own, though it waits. */
static void what_takes_long_goes_to_another_device(void **state)
{
    (void)state;
    begin("batch:lanes=libcrypto,from=2", NULL);
    unsigned sim = loop_device(&loop, "sim:latency=5ms");
    assert_int_equal(
        milgi_engine_route_first(loop.engine, MILGI_OP_BIT(MILGI_OP_SIGN), 1u << index_of_batch | 1u << sim, 0), 0);
    loop_attach(&loop, &client);
    for (unsigned i = 0; i < 4; i++)
        (void)loop_sign(&client, loop.rsa);
    loop_settle(&loop, &client, 4);
    assert_int_equal(lanes()->alone[MILGI__ROW_RSA4096_SIGN] + lanes()->in_lanes[MILGI__ROW_RSA4096_SIGN], 0);
    loop_detach(&client);
    loop_fini(&loop);
}

/* As long as there is no more than a turn's worth of it; what is beyond others had better help with. */
static void what_is_quick_stays_until_it_is_too_much(void **state)
{
    (void)state;
    begin("batch:lanes=libcrypto", NULL);
    unsigned sim = loop_device(&loop, "sim:latency=40us,units=4");
    uint32_t set = 1u | 1u << index_of_batch | 1u << sim;
    assert_int_equal(milgi_engine_route_first(loop.engine, MILGI_OP_BIT(MILGI_OP_KEYGEN), set, 0), 0);
    loop_attach(&loop, &client);
    (void)run(); /* so that it knows what a turn may take: 1 ms, of 40 us each */
    for (unsigned i = 0; i < 25; i++)
        (void)loop_keygen(&client);
    assert_int_equal(milgi__dev_waiting(&loop.engine->dev[sim]) + milgi__dev_flight(&loop.engine->dev[sim]), 0);
    for (unsigned i = 0; i < 10; i++)
        (void)loop_keygen(&client);
    assert_true(milgi__dev_waiting(&loop.engine->dev[sim]) + milgi__dev_flight(&loop.engine->dev[sim]) >= 5);
    loop_settle(&loop, &client, 35);
    assert_int_equal(client.status[MILGI_OP_OK], 35);
    loop_detach(&client);
    loop_fini(&loop);
}

static void it_is_no_relief_for_what_takes_long(void **state)
{
    (void)state;
    loop_init(&loop, NULL);
    op_ns = turn_ns = 0;
    index_of_batch = loop_device(&loop, "batch:lanes=libcrypto"); /* and no route */
    loop_attach(&loop, &client);
    (void)loop_sign(&client, loop.rsa);
    assert_int_equal(client.done, 1); /* inline, at once */
    loop_detach(&client);
    loop_fini(&loop);
}

/* --- whose signatures are looked at ------------------------------------------------------------------------------- */

static bool checked(uint32_t caps, bool check_tested, uint16_t scheme)
{
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.check_tested = check_tested;
    begin("batch:lanes=libcrypto", &options);
    struct milgi__dev *d = &loop.engine->dev[index_of_batch];
    d->flags = (d->flags & ~(uint32_t)MILGI_CAP_LIBCRYPTO) | caps;
    loop_attach(&loop, &client);
    struct milgi_op *op = milgi__engine_op_new(loop.engine, false);
    assert_non_null(op);
    op->type = MILGI_OP_SIGN;
    op->cls = MILGI_OP_CLASS_HANDSHAKE;
    op->alg = scheme;
    op->key = milgi__key_ref(loop.rsa);
    client.given++;
    milgi__engine_submit(loop.engine, &client.owner, op, 0);
    bool check = (op->flags & MILGI__OP_CHECK) != 0;
    (void)run();
    assert_int_equal(client.done, 1);
    loop_detach(&client);
    loop_fini(&loop);
    return check;
}

static void tested_code_of_this_process_is_trusted_unless_policy_says_no(void **state)
{
    (void)state;
    static const uint16_t ecdsa = MILGI_SIG_ECDSA_SECP256R1_SHA256, rsa = MILGI_SIG_RSA_PSS_RSAE_SHA256;
    assert_true(checked(0, false, ecdsa));
    assert_false(checked(MILGI_CAP_TESTED, false, ecdsa));
    assert_true(checked(MILGI_CAP_TESTED, true, ecdsa));
    assert_false(checked(MILGI_CAP_LIBCRYPTO, true, ecdsa));
    assert_true(checked(MILGI_CAP_TESTED, false, rsa));
    assert_true(checked(MILGI_CAP_LIBCRYPTO, false, rsa));
    assert_false(checked(MILGI_CAP_VERIFIES, true, rsa));
    assert_true(checked(MILGI_CAP_VERIFIES, false, ecdsa)); /* that is of RSA's alone */
}

/* --- lanes and a crypto library that do not go together ----------------------------------------------------------- */

static const char *usable(void)
{
    return NULL;
}

static uint32_t keygens(void)
{
    return 1u << MILGI__ROW_X25519_KEYGEN;
}

/* The answers of RFC 7748 6.1, which are right. */
static bool answer(struct milgi__crypto *cx, enum milgi__row row, const struct milgi__lane *lane, unsigned n)
{
    static const uint8_t alice[32] = {
        0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a,
        0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a
    };
    static const uint8_t bob[32] = {
        0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4, 0xd3, 0x5b, 0x61, 0xc2, 0xec, 0xe4, 0x35, 0x37,
        0x3f, 0x83, 0x43, 0xc8, 0x5b, 0x78, 0x67, 0x4d, 0xad, 0xfc, 0x7e, 0x14, 0x6f, 0x88, 0x2b, 0x4f
    };

    (void)cx;
    (void)row;
    for (unsigned i = 0; i < n; i++) {
        struct milgi_op_kex *kex = &lane[i].op->u.kex;
        memcpy(kex->share.data, kex->seed[0] == 0x77 ? alice : bob, 32);
        memcpy(kex->secret, kex->seed, 32);
        kex->secret_len = kex->pub_len = 32;
        lane[i].op->status = MILGI_OP_OK;
    }
    return true;
}

/* This backend's answers are not those of the standards. */
static void a_library_that_gives_other_answers_has_no_lanes(void **state)
{
    (void)state;
    const struct milgi__lanes_kind kind = {
        .name = "other", .caps = MILGI_CAP_TESTED, .unusable = usable, .rows = keygens, .run = answer
    };
    uint32_t rows;
    char note[MILGI__LANES_NOTE];
    assert_int_equal(milgi__lanes_prove(&kind, 0, &rows, note), 0);
    assert_int_equal(rows, 0);
    assert_memory_not_equal(note, "", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_of_all_connections_of_a_turn_go_together),
        cmocka_unit_test(one_alone_waits_for_nobody),
        cmocka_unit_test(nothing_is_in_it_when_the_turn_ends),
        cmocka_unit_test(an_op_waits_no_longer_than_it_says),
        cmocka_unit_test(the_bound_is_200_us_by_default),
        cmocka_unit_test(the_turn_is_charged_with_what_its_ops_take),
        cmocka_unit_test(no_more_goes_in_than_a_turn_may_add),
        cmocka_unit_test(who_stages_much_holds_up_nobody),
        cmocka_unit_test(its_place_is_free_when_it_has_gone),
        cmocka_unit_test(beside_the_inline_device_it_gets_all),
        cmocka_unit_test(what_takes_long_goes_to_another_device),
        cmocka_unit_test(what_is_quick_stays_until_it_is_too_much),
        cmocka_unit_test(it_is_no_relief_for_what_takes_long),
        cmocka_unit_test(a_library_that_gives_other_answers_has_no_lanes),
        cmocka_unit_test(tested_code_of_this_process_is_trusted_unless_policy_says_no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
