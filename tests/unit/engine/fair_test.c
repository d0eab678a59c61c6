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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owners_that_come_and_go_take_no_more_memory),
        cmocka_unit_test(an_owner_keeps_its_place_in_lines_until_it_is_idle),
        cmocka_unit_test(an_idle_owner_keeps_its_place_while_its_op_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
