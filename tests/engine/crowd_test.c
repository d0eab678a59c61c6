/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Very many owners: nothing that one turn, or one of them, has to do grows with how many there are. Steps are counted,
 * not time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "engine/parts.h"

#define CROWD 20000u
#define OPS 16u /* the least limit that there is */

struct member {
    struct milgi__owner owner;
    struct milgi_op *op;
    uint64_t due_ns; /* 0: nobody asks */
    unsigned turns, timeouts;
};

static struct milgi_engine *engine;
static struct member *crowd;
static uint64_t now_ns, told_ns;
static unsigned allocations, turns, timeouts;
static bool wants_ops, never_rest;

static uint64_t monotonic(void *ctx)
{
    (void)ctx;
    return now_ns;
}

static int64_t wall(void *ctx)
{
    (void)ctx;
    return 1700000000;
}

static bool count_allocation(void)
{
    allocations++;
    return false;
}

static uint64_t turn(struct milgi__owner *owner, uint64_t budget_ns, bool *more)
{
    struct member *member = MILGI__ENTRY(owner, struct member, owner);
    (void)budget_ns;
    *more = never_rest && member->op;
    turns++;
    member->turns++;
    if (!wants_ops || member->op)
        return 0;
    member->op = milgi__engine_op_new(engine, false);
    if (!member->op)
        milgi__engine_wait(engine, owner);
    return 0;
}

static void timeout(struct milgi__owner *owner)
{
    struct member *member = MILGI__ENTRY(owner, struct member, owner);
    timeouts++;
    member->timeouts++;
    assert_in_range(member->due_ns, told_ns, now_ns);
    told_ns = member->due_ns;
}

static void nothing(struct milgi__owner *owner)
{
    (void)owner;
}

static const struct milgi__owner_ops ops = {
    .turn = turn,
    .flush = nothing,
    .timeout = timeout,
    .idle = nothing,
    .drop = nothing,
};

static int come(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.clock = (struct milgi_clock){ monotonic, wall, NULL };
    options.op_limit = OPS;
    now_ns = 1;
    told_ns = 0;
    turns = timeouts = 0;
    wants_ops = never_rest = false;
    assert_int_equal(milgi_engine_new(&options, &engine), 0);
    crowd = calloc(CROWD, sizeof *crowd);
    assert_non_null(crowd);
    milgi__mem_fail = count_allocation;
    unsigned most = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        unsigned before = allocations;
        crowd[i].owner.ops = &ops;
        assert_int_equal(milgi__engine_attach(engine, &crowd[i].owner), 0);
        most = allocations - before > most ? allocations - before : most;
    }
    milgi__mem_fail = NULL;
    return most <= 2 ? 0 : -1;
}

static int go(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CROWD; i++) {
        if (crowd[i].op)
            milgi__engine_op_free(engine, crowd[i].op);
        milgi__engine_detach(engine, &crowd[i].owner);
    }
    free(crowd);
    return milgi_engine_free(engine);
}

static struct milgi_run_result run(void)
{
    struct milgi_run_result result;
    assert_int_equal(milgi_engine_run(engine, 0, &result), 0);
    return result;
}

/* As long as the engine asks for it at this very moment. */
static void settle(void)
{
    while (run().next == MILGI_RUN_AGAIN)
        ;
}

/* --- handles ------------------------------------------------------------------------------------------------------ */

/* A table that is copied when it is full would hold up everybody for as long as the copy takes. */
static void nobody_waits_for_a_table_to_be_copied(void **state)
{
    (void)state;
    struct milgi__owners *o = &engine->owners;
    const struct milgi__owner_block *first = o->blocks[0];
    assert_true(o->blocks_n * MILGI__OWNERS_BLOCK - CROWD < MILGI__OWNERS_BLOCK);
    for (unsigned i = 0; i < CROWD; i += 997)
        assert_ptr_equal(milgi__engine_find(engine, crowd[i].owner.index, crowd[i].owner.generation), &crowd[i].owner);
    struct member *more = calloc(MILGI__OWNERS_BLOCK, sizeof *more);
    assert_non_null(more);
    for (unsigned i = 0; i < MILGI__OWNERS_BLOCK; i++) {
        more[i].owner.ops = &ops;
        assert_int_equal(milgi__engine_attach(engine, &more[i].owner), 0);
    }
    assert_ptr_equal(o->blocks[0], first);
    for (unsigned i = 0; i < MILGI__OWNERS_BLOCK; i++)
        milgi__engine_detach(engine, &more[i].owner);
    free(more);
}

/* --- deadlines ---------------------------------------------------------------------------------------------------- */

static void those_whose_deadlines_are_the_same_are_told_turn_by_turn(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CROWD; i++)
        milgi__engine_deadline(engine, &crowd[i].owner, 1000);
    (void)run();
    now_ns = 1000;
    for (unsigned before = 0; timeouts < CROWD; before = timeouts) {
        enum milgi_next next = run().next;
        assert_true(next == MILGI_RUN_AGAIN || timeouts == CROWD);
        assert_in_range(timeouts - before, 1, 64);
    }
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(crowd[i].timeouts, 1);
}

static void deadlines_of_a_crowd_come_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CROWD; i++) {
        crowd[i].due_ns = 1000 + (uint64_t)i * 7919 % CROWD;
        milgi__engine_deadline(engine, &crowd[i].owner, crowd[i].due_ns);
    }
    while (timeouts < CROWD) {
        struct milgi_run_result result = run();
        now_ns = result.next == MILGI_RUN_WAIT ? result.deadline_ns : now_ns;
    }
}

/* --- those who wait ----------------------------------------------------------------------------------------------- */

static unsigned have_ops(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < CROWD; i++)
        n += crowd[i].op != NULL;
    return n;
}

static struct member *one_that_has(void)
{
    for (unsigned i = 0; i < CROWD; i++) {
        if (crowd[i].op)
            return &crowd[i];
    }
    return NULL;
}

static void everybody_wants_an_op(void)
{
    wants_ops = true;
    for (unsigned i = 0; i < CROWD; i++)
        milgi__engine_ready(engine, &crowd[i].owner);
    settle();
    assert_int_equal(have_ops(), OPS);
}

static void an_op_that_ends_does_not_have_a_whole_crowd_try_again(void **state)
{
    (void)state;
    everybody_wants_an_op();
    turns = 0;
    for (unsigned i = 0; i < 10; i++) {
        struct member *member = one_that_has();
        milgi__engine_op_free(engine, member->op);
        member->op = NULL;
        settle();
        assert_int_equal(have_ops(), OPS);
        assert_non_null(crowd[OPS + i].op); /* who has waited longest */
    }
    assert_in_range(turns, 10, 10 * 400);
}

static void everybody_has_a_turn_in_the_end(void **state)
{
    (void)state;
    everybody_wants_an_op();
    for (unsigned done = 0; done < CROWD; done++) {
        struct member *member = one_that_has();
        assert_non_null(member);
        milgi__engine_op_free(engine, member->op);
        member->op = NULL;
        milgi__list_remove(&member->owner.waiting);
        settle();
        if (done + OPS + 1 < CROWD)
            assert_int_equal(milgi__list_empty(&engine->owners.waiting), 0);
    }
    assert_true(milgi__list_empty(&engine->owners.waiting));
}

/* So many that they would be at nothing else if they did it often. */
static void all_who_wait_try_again_after_a_while_whatever_happens(void **state)
{
    (void)state;
    everybody_wants_an_op();
    for (unsigned i = 0; i < 3; i++) {
        struct milgi_run_result result = run();
        turns = 0;
        assert_int_equal(result.next, MILGI_RUN_WAIT);
        assert_in_range(result.deadline_ns - now_ns, 100000000, i > 0 ? 400000000 : 100000000);
        if (i > 0)
            assert_true(result.deadline_ns - now_ns > 200000000);
        now_ns = result.deadline_ns;
        settle();
        assert_int_equal(turns, CROWD - OPS);
    }
}

/* Ops end all the time, and those in front take them; those behind want what nobody in front is content with. */
static void those_behind_have_their_try_although_others_are_served_all_the_time(void **state)
{
    (void)state;
    everybody_wants_an_op();
    struct member *last = &crowd[CROWD - 1];
    never_rest = true;
    for (unsigned i = 0; i < OPS; i++)
        assert_non_null(crowd[i].op);
    unsigned before = last->turns;
    for (unsigned i = 0; i < 2000 && last->turns < before + 2; i++) {
        engine->slab.freed = true; /* something was, and somebody else was quicker */
        assert_int_equal(run().next, MILGI_RUN_AGAIN);
        now_ns += 1000000;
    }
    assert_int_equal(last->turns, before + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_waits_for_a_table_to_be_copied, come, go),
        cmocka_unit_test_setup_teardown(those_whose_deadlines_are_the_same_are_told_turn_by_turn, come, go),
        cmocka_unit_test_setup_teardown(deadlines_of_a_crowd_come_in_order, come, go),
        cmocka_unit_test_setup_teardown(an_op_that_ends_does_not_have_a_whole_crowd_try_again, come, go),
        cmocka_unit_test_setup_teardown(everybody_has_a_turn_in_the_end, come, go),
        cmocka_unit_test_setup_teardown(
            those_behind_have_their_try_although_others_are_served_all_the_time, come, go),
        cmocka_unit_test_setup_teardown(all_who_wait_try_again_after_a_while_whatever_happens, come, go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
