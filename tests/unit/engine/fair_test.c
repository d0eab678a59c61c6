/* SPDX-License-Identifier: Apache-2.0 */
/* What the lines before devices keep for those who use them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rig.h"

static unsigned slabs_of(const struct milgi__fair *fair)
{
    unsigned n = 0;
    for (void *const *slab = fair->slabs; slab; slab = *slab) /* each begins with the address of the next */
        n++;
    return n;
}

static void an_op_through_the_device(struct rig *rig)
{
    rig_keygen(rig);
    rig_run(rig);
    rig->now_ns += 20 * US;
    rig_run(rig);
}

static void owners_that_come_and_go_take_no_more_memory(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=20us");
    for (unsigned i = 0; i < 1000; i++) {
        rig.engine->fair.sorts = i % 2; /* else what is alone goes straight in, and the lines never see it */
        an_op_through_the_device(&rig);
        assert_int_equal(rig.done, i + 1);
        milgi__engine_detach(rig.engine, &rig.owner);
        assert_int_equal(milgi__engine_attach(rig.engine, &rig.owner), 0);
    }
    assert_int_equal(slabs_of(&rig.engine->fair), 1);
    rig_fini(&rig);
}

static void an_owner_keeps_its_place_in_lines_until_it_is_idle(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=20us");
    rig.engine->fair.sorts = true; /* else what is alone goes straight in, and the lines never see it */
    milgi__engine_ready(rig.engine, &rig.owner);
    an_op_through_the_device(&rig);
    const struct milgi__flow *flow = rig.owner.flows;
    assert_non_null(flow);
    an_op_through_the_device(&rig);
    assert_ptr_equal(rig.owner.flows, flow);
    rig.now_ns += 100 * MS;
    rig_run(&rig);
    assert_null(rig.owner.flows);
    an_op_through_the_device(&rig);
    assert_int_equal(rig.done, 3);
    rig_fini(&rig);
}

static void an_idle_owner_keeps_its_place_while_its_op_waits(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, NULL, "sim:latency=200ms,units=1,depth=1");
    milgi__engine_ready(rig.engine, &rig.owner);
    for (unsigned i = 0; i < 2; i++)
        rig_keygen(&rig);
    rig_run(&rig);
    rig.now_ns += 100 * MS;
    rig_run(&rig);
    assert_non_null(rig.owner.flows);
    for (unsigned i = 0; i < 10; i++) {
        rig.now_ns += 100 * MS;
        rig_run(&rig);
    }
    assert_int_equal(rig.done, 2);
    rig_fini(&rig);
}

static bool no_memory(void)
{
    return true;
}

static void sorting_what_waits_takes_no_memory_that_was_not_promised(void **state)
{
    (void)state;
    static struct milgi__dev dev[3];
    static struct milgi__owner owner[64];
    static struct milgi_op op[64];
    struct milgi__fair fair = { .share = { 1, 1 } };
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
            milgi__line_init(&dev[i].line[cls]);
    }
    for (unsigned i = 0; i < 64; i++)
        op[i].e.owner = &owner[i];
    for (unsigned i = 0; i < 20; i++)
        assert_true(milgi__line_append(&fair, &dev[0], &owner[i], &op[i]));
    milgi__mem_fail = no_memory;
    fair.sorts = true;
    unsigned placed = 20;
    while (placed < 64 && milgi__line_append(&fair, &dev[1], &owner[placed], &op[placed]))
        placed++;
    fair.sorts = false;
    bool fresh = milgi__line_append(&fair, &dev[2], &owner[placed], &op[placed]);
    struct milgi__mark mark;
    for (unsigned i = 0; i < 20; i++) {
        struct milgi_op *next = milgi__fair_pick(&fair, &dev[0]);
        assert_ptr_equal(next, &op[i]);
        milgi__fair_take(&dev[0], next, &mark);
    }
    milgi__mem_fail = NULL;
    assert_int_equal(placed, 20 + 63 - MILGI__BURST);
    assert_false(fresh);
    milgi__fair_fini(&fair);
}

static void what_went_straight_leaves_the_turns_as_if_it_had_been_taken(void **state)
{
    (void)state;
    struct milgi__fair fair = { .share = { 1, 3 } };
    for (unsigned turn = 0; turn < MILGI_OP_CLASSES; turn++) {
        static struct milgi__dev dev[2];
        static struct milgi__owner owner;
        struct milgi_op op[2] = { { .e = { .owner = &owner, .cost_ns = 300000 } } };
        struct milgi__mark mark;
        op[1] = op[0];
        for (unsigned i = 0; i < 2; i++) {
            for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
                milgi__line_init(&dev[i].line[cls]);
            dev[i].turn = turn;
            dev[i].line[0].deficit = 310000; /* left over from a turn that ended before an op of more than this */
            dev[i].line[1].deficit = 7;
            assert_true(milgi__line_append(&fair, &dev[i], &owner, &op[i]));
        }
        assert_true(milgi__fair_in_order(&dev[0]));
        milgi__fair_gone(&fair, &dev[0]);
        assert_ptr_equal(milgi__fair_pick(&fair, &dev[1]), &op[1]);
        milgi__fair_take(&dev[1], &op[1], &mark);
        assert_int_equal(dev[0].turn, dev[1].turn);
        for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
            assert_true(dev[0].line[cls].deficit == dev[1].line[cls].deficit);
            assert_int_equal(dev[0].line[cls].n, 0);
        }
        milgi__fair_forget(&fair, &owner);
    }
    milgi__fair_fini(&fair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owners_that_come_and_go_take_no_more_memory),
        cmocka_unit_test(an_owner_keeps_its_place_in_lines_until_it_is_idle),
        cmocka_unit_test(an_idle_owner_keeps_its_place_while_its_op_waits),
        cmocka_unit_test(what_went_straight_leaves_the_turns_as_if_it_had_been_taken),
        cmocka_unit_test(sorting_what_waits_takes_no_memory_that_was_not_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
