/* SPDX-License-Identifier: Apache-2.0 */
/* chaos: that it does what it is asked to, the same each time, and stays within what a device may do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "device/device.h"
#include "alone.h"

#define STORY 400

/* What happens in 400 turns of offering an op and polling once: which op came back, and how; what was refused. */
static void tell(const char *spec, uint32_t story[STORY])
{
    struct job *jobs[STORY] = { NULL };
    uint32_t offered = 0;

    alone_begin(spec, true);
    for (uint32_t turn = 0; turn < STORY; turn++) {
        if (!jobs[offered]) {
            jobs[offered] = job_small(&rig);
            jobs[offered]->op.e.id = offered;
        }
        unsigned taken = alone_put(jobs[offered]);
        offered += taken;
        struct job *job = alone_get();
        story[turn] = taken << 16;
        if (job)
            story[turn] |= (job->op.e.id + 1) << 4 | job->op.status;
        rig.virtual_ns += 7000;
    }
    assert_int_equal(rig.ops->quiesce(rig.qp, UINT64_MAX), 0);
    while (alone_get())
        ;
    for (uint32_t i = 0; i < STORY && jobs[i]; i++) {
        assert_true(jobs[i]->back || i == offered);
        job_free(jobs[i]);
    }
    alone_end();
}

static void the_same_seed_does_the_same(void **state)
{
    static const char *const words[] = { "", ",fail=0.2,lose=0.1,refuse=0.3,depth=16", ",max_delay=100us,reorder=0.9" };
    uint32_t first[STORY], again[STORY], other[STORY];
    char spec[96];

    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(words); i++) {
        snprintf(spec, sizeof spec, "chaos:seed=7%s", words[i]);
        tell(spec, first);
        tell(spec, again);
        snprintf(spec, sizeof spec, "chaos:seed=8%s", words[i]);
        tell(spec, other);
        assert_memory_equal(first, again, sizeof first);
        assert_memory_not_equal(first, other, sizeof first);
    }
}

static void failing_ops_are_broken_and_their_sources_intact(void **state)
{
    unsigned scribbled = 0;

    (void)state;
    alone_begin("chaos:fail=1", true);
    for (unsigned i = 0; i < 60; i++) {
        struct job *job = job_any(&rig);
        job->want = MILGI_OP_BROKEN;
        assert_fine(rig_enqueue(&rig, &job, 1));
        assert_fine(rig_finish(&rig, &job, 1));
        assert_int_not_equal(job->op.device_code, 0);
        if (job->src) {
            size_t before = (size_t)(job->dst - job->src);
            assert_memory_equal(job->src, job->src_before, before);
            assert_memory_equal(
                job->dst + job->dst_len, job->src_before + before + job->dst_len, job->size - before - job->dst_len);
            scribbled += memcmp(job->dst, job->src_before + before, job->dst_len) != 0;
        }
        job_free(job);
    }
    assert_in_range(scribbled, 5, 55);
    alone_end();
}

static void lost_ops_come_back_at_quiesce_only(void **state)
{
    struct job *jobs[10];

    (void)state;
    alone_begin("chaos:lose=1,refuse=0", true);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(alone_put(jobs[i] = job_small(&rig)), 1);
    for (unsigned i = 0; i < 1000; i++) {
        assert_null(alone_get());
        rig.virtual_ns += 1000000;
    }
    assert_true(rig.ops->next_event(rig.qp) == UINT64_MAX);
    assert_int_equal(rig.ops->arm(rig.qp), 0);
    assert_int_equal(rig.ops->quiesce(rig.qp, UINT64_MAX), 0);
    for (unsigned i = 0; i < 10; i++) {
        struct job *job = alone_get();
        assert_non_null(job);
        job->want = MILGI_OP_CANCELLED;
        assert_fine(job_check(job));
    }
    assert_null(alone_get());
    for (unsigned i = 0; i < 10; i++)
        job_free(jobs[i]);
    alone_end();
}

static void it_never_refuses_when_it_has_nothing_to_give_back(void **state)
{
    (void)state;
    alone_begin("chaos:refuse=1", true);
    for (unsigned i = 0; i < 20; i++) {
        struct job *one = job_small(&rig), *two = job_small(&rig);
        assert_int_equal(alone_put(one), 1);
        assert_int_equal(alone_put(two), 0);
        assert_fine(job_untouched(two));
        assert_fine(rig_finish(&rig, &one, 1));
        job_free(one);
        job_free(two);
    }
    alone_end();
    /* An op that it has lost is nothing to give back. */
    alone_begin("chaos:refuse=1,lose=1", true);
    struct job *jobs[3];
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(alone_put(jobs[i] = job_small(&rig)), 1);
    assert_int_equal(rig.ops->quiesce(rig.qp, UINT64_MAX), 0);
    for (unsigned i = 0; i < 3; i++)
        job_free(alone_get());
    alone_end();
}

static void inline_ops_are_there_at_the_next_dequeue(void **state)
{
    (void)state;
    alone_begin("chaos:inline=1,refuse=0", true);
    for (unsigned i = 0; i < 50; i++) {
        struct job *job = job_any(&rig);
        assert_int_equal(alone_put(job), 1);
        assert_int_equal(rig.ops->arm(rig.qp), 1);
        assert_ptr_equal(alone_get(), job);
        assert_fine(job_check(job));
        job_free(job);
    }
    alone_end();
}

/* In which places 40 ops come back that were put in at once, and after how many polls the last. */
static unsigned shuffle(const char *spec, unsigned place[40])
{
    struct job *jobs[40];
    unsigned polls = 0;

    alone_begin(spec, true);
    for (unsigned i = 0; i < 40; i++) {
        assert_int_equal(alone_put(jobs[i] = job_small(&rig)), 1);
        jobs[i]->op.e.id = jobs[i]->before.e.id = i;
    }
    for (unsigned got = 0; got < 40;) {
        struct milgi_op *ops[40];
        unsigned n = rig.ops->dequeue(rig.qp, ops, 40);
        for (unsigned k = 0; k < n; k++)
            place[got++] = ops[k]->e.id;
        assert_true(++polls <= 1000);
    }
    for (unsigned i = 0; i < 40; i++)
        job_free(jobs[i]);
    alone_end();
    return polls;
}

static bool ascending(const unsigned place[40])
{
    for (unsigned i = 1; i < 40; i++) {
        if (place[i] < place[i - 1])
            return false;
    }
    return true;
}

static void it_reorders_and_delays_as_much_as_it_was_asked(void **state)
{
    unsigned place[40];

    (void)state;
    assert_int_equal(shuffle("chaos:delay=0,reorder=0,refuse=0,inline=0", place), 1);
    assert_true(ascending(place));
    assert_int_equal(shuffle("chaos:delay=0,reorder=1,refuse=0,inline=0", place), 1);
    assert_false(ascending(place));
    unsigned polls = shuffle("chaos:delay=1,max_delay=30,reorder=0,refuse=0,inline=0", place);
    assert_in_range(polls, 15, 31);
    assert_false(ascending(place));
    assert_int_equal(shuffle("chaos:delay=1,max_delay=0,reorder=0,refuse=0,inline=0", place), 1);
}

static void delays_in_time_pass_with_the_clock_alone(void **state)
{
    struct job *job;

    (void)state;
    alone_begin("chaos:delay=1,max_delay=1ms,refuse=0,inline=0", true);
    uint64_t start = rig.virtual_ns;
    assert_int_equal(alone_put(job = job_small(&rig)), 1);
    for (unsigned i = 0; i < 1000; i++)
        assert_null(alone_get());
    uint64_t due = rig.ops->next_event(rig.qp);
    assert_in_range(due, start + 1, start + 1000000);
    rig.virtual_ns = due - 1;
    assert_null(alone_get());
    rig.virtual_ns = due;
    assert_ptr_equal(alone_get(), job);
    assert_fine(job_check(job));
    job_free(job);
    alone_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_does_the_same),
        cmocka_unit_test(failing_ops_are_broken_and_their_sources_intact),
        cmocka_unit_test(lost_ops_come_back_at_quiesce_only),
        cmocka_unit_test(it_never_refuses_when_it_has_nothing_to_give_back),
        cmocka_unit_test(inline_ops_are_there_at_the_next_dequeue),
        cmocka_unit_test(it_reorders_and_delays_as_much_as_it_was_asked),
        cmocka_unit_test(delays_in_time_pass_with_the_clock_alone),
    };

    rig_prepare();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rig_done();
    return failed;
}
