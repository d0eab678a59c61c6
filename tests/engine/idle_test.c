/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an engine's own device keeps is looked after when the engine has nothing to do.
 * ctest-wrap: milgi__kem_sweep
 */
#include "loop.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "crypto/kem.h"
#include "engine/parts.h"

static struct {
    unsigned asked;
    uint64_t now_ns, answer_ns;
} sweep;

uint64_t __wrap_milgi__kem_sweep(struct milgi__crypto *cx, uint64_t now_ns);
uint64_t __wrap_milgi__kem_sweep(struct milgi__crypto *cx, uint64_t now_ns)
{
    (void)cx;
    sweep.asked++;
    sweep.now_ns = now_ns;
    return sweep.answer_ns;
}

static void an_engine_without_work_asks_its_device_and_wakes_when_it_is_told_to(void **state)
{
    struct loop loop;
    (void)state;
    loop_init(&loop, NULL);
    sweep.answer_ns = UINT64_MAX;
    struct milgi_run_result result = loop_run(&loop);
    assert_int_equal(result.next, MILGI_RUN_IDLE);
    assert_int_equal(sweep.asked, 1);
    assert_true(sweep.now_ns == loop.now_ns);
    uint64_t when_ns = sweep.answer_ns = loop.now_ns + 5000;
    result = loop_run(&loop);
    assert_int_equal(result.next, MILGI_RUN_WAIT);
    assert_true(result.convenient_ns == when_ns);
    assert_int_equal(sweep.asked, 2);
    sweep.answer_ns = UINT64_MAX;
    result = loop_run(&loop); /* the time has come */
    assert_int_equal(result.next, MILGI_RUN_IDLE);
    assert_true(sweep.asked == 3 && sweep.now_ns >= when_ns);
    loop_fini(&loop);
}

/* As long as a connection was busy lately there is no other rest than this. */
static void an_engine_that_rests_between_two_turns_asks_it_too(void **state)
{
    struct loop loop;
    struct loop_client client;
    (void)state;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    milgi__engine_ready(loop.engine, &client.owner);
    uint64_t when_ns = sweep.answer_ns = loop.now_ns + 5000;
    sweep.asked = 0;
    struct milgi_run_result result = loop_run(&loop);
    assert_int_equal(result.next, MILGI_RUN_WAIT);
    assert_int_equal(sweep.asked, 1);
    assert_true(result.convenient_ns == when_ns);
    loop_detach(&client);
    loop_fini(&loop);
}

/* A crowd has left its chunks; one that stays is busy all the time. */
static void an_engine_that_never_rests_gives_back_what_nobody_needs(void **state)
{
    enum {
        CHUNKS = 100
    };
    struct loop loop;
    struct loop_client client;
    struct milgi_chunk *chunk[CHUNKS];
    struct milgi_run_result result;
    unsigned runs = 0;
    (void)state;
    sweep.answer_ns = UINT64_MAX;
    loop_init(&loop, NULL);
    loop_attach(&loop, &client);
    for (unsigned i = 0; i < CHUNKS; i++)
        assert_non_null(chunk[i] = milgi_chunk_new(loop.engine, 16384));
    for (unsigned i = 0; i < CHUNKS; i++)
        milgi_chunk_unref(chunk[i]);
    uint64_t begin_ns = loop.now_ns;
    for (; milgi__pool_idle(loop.engine->pool) && loop.now_ns - begin_ns < 3000000000; runs++) {
        milgi__engine_ready(loop.engine, &client.owner);
        assert_int_equal(milgi_engine_run(loop.engine, 0, &result), 0);
        loop.now_ns += 1000000;
    }
    assert_false(milgi__pool_idle(loop.engine->pool));
    assert_true(loop.now_ns - begin_ns >= 1000000000); /* who was busy may need them again */
    loop_detach(&client);
    loop_fini(&loop);
}

/* What was in use until a moment ago is idle for a second more, though two look at it in one turn. */
static void what_was_needed_a_moment_ago_stays(void **state)
{
    struct loop loop;
    struct milgi_run_result result;
    (void)state;
    sweep.answer_ns = UINT64_MAX;
    loop_init(&loop, NULL);
    struct milgi_chunk *chunk = milgi_chunk_new(loop.engine, 16384);
    assert_non_null(chunk);
    assert_int_equal(milgi_engine_run(loop.engine, 0, &result), 0);
    milgi_chunk_unref(chunk);
    for (unsigned idle = 1; idle < 3; idle++) {
        loop.now_ns += 1000000000;
        assert_int_equal(milgi_engine_run(loop.engine, 0, &result), 0);
        assert_int_equal(milgi__pool_idle(loop.engine->pool), idle == 1);
    }
    loop_fini(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_without_work_asks_its_device_and_wakes_when_it_is_told_to),
        cmocka_unit_test(an_engine_that_rests_between_two_turns_asks_it_too),
        cmocka_unit_test(an_engine_that_never_rests_gives_back_what_nobody_needs),
        cmocka_unit_test(what_was_needed_a_moment_ago_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
