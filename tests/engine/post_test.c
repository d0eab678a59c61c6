/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two calls that any thread may make.
 * ctest-wrap: milgi__port_waker_wake
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <milgi/milgi.h>

#include "base/port.h"

#define THREADS 4
#define POSTS 20000

struct item {
    unsigned thread, number;
};

static struct milgi_engine *engine;
static unsigned next_of[THREADS], posted;
static struct item items[THREADS][POSTS];
static struct milgi_chunk *chunk;

static void take(void *arg)
{
    const struct item *item = arg;
    /* Calls of one thread keep their order. */
    assert_int_equal(item->number, next_of[item->thread]);
    next_of[item->thread]++;
    posted++;
}

static void *post_all(void *arg)
{
    struct item *mine = arg;
    for (unsigned i = 0; i < POSTS; i++) {
        if (milgi_engine_post(engine, take, &mine[i]) != 0)
            abort();
        if (i % 100 == 0)
            milgi_chunk_release_remote(chunk);
    }
    return NULL;
}

static void every_post_arrives_in_order_and_wakes(void **state)
{
    (void)state;
    pthread_t thread[THREADS];
    assert_int_equal(milgi_engine_new(NULL, &engine), 0);
    chunk = milgi_chunk_new(engine, 100);
    for (unsigned i = 0; i < THREADS * POSTS / 100; i++)
        milgi_chunk_ref(chunk);
    for (unsigned t = 0; t < THREADS; t++) {
        for (unsigned i = 0; i < POSTS; i++)
            items[t][i] = (struct item){ t, i };
        assert_int_equal(pthread_create(&thread[t], NULL, post_all, items[t]), 0);
    }
    while (posted < THREADS * POSTS) {
        struct milgi_run_result result;
        struct pollfd fd = { .fd = milgi_engine_fd(engine), .events = POLLIN };
        assert_int_equal(milgi_engine_run(engine, 0, &result), 0);
        if (result.next != MILGI_RUN_AGAIN && posted < THREADS * POSTS)
            assert_int_equal(poll(&fd, 1, 10000), 1); /* a wake-up that is lost hangs here */
    }
    for (unsigned t = 0; t < THREADS; t++)
        pthread_join(thread[t], NULL);
    struct milgi_run_result result;
    struct milgi_engine_stats stats;
    milgi_engine_run(engine, 0, &result);
    milgi_chunk_unref(chunk);
    milgi_engine_stats(engine, &stats);
    assert_int_equal(stats.memory, 0);
    milgi_engine_free(engine);
}

/* --- late ------------------------------------------------------------------------------------------------------- */

static bool overtaken; /* the engine is run between what was posted and the writing of its descriptor */

void __real_milgi__port_waker_wake(struct milgi__port_waker *waker);
void __wrap_milgi__port_waker_wake(struct milgi__port_waker *waker);
void __wrap_milgi__port_waker_wake(struct milgi__port_waker *waker)
{
    struct milgi_run_result result;
    if (overtaken) {
        overtaken = false;
        assert_int_equal(milgi_engine_run(engine, 0, &result), 0);
    }
    __real_milgi__port_waker_wake(waker);
}

static void count(void *arg)
{
    (void)arg;
    posted++;
}

static void a_wake_up_that_comes_late_does_not_keep_the_descriptor_readable(void **state)
{
    struct milgi_run_result result;
    (void)state;
    assert_int_equal(milgi_engine_new(NULL, &engine), 0);
    struct pollfd fd = { .fd = milgi_engine_fd(engine), .events = POLLIN };
    posted = 0;
    overtaken = true;
    assert_int_equal(milgi_engine_post(engine, count, NULL), 0);
    assert_int_equal(posted, 1);
    /* It says once that there is something, as it does when it knows no better; a host that obeys comes to rest. */
    for (unsigned runs = 0; poll(&fd, 1, 0) == 1; runs++) {
        assert_true(runs < 3);
        assert_int_equal(milgi_engine_run(engine, 0, &result), 0);
        assert_int_equal(result.next, MILGI_RUN_IDLE);
    }
    assert_int_equal(milgi_engine_post(engine, count, NULL), 0);
    assert_int_equal(poll(&fd, 1, 0), 1);
    assert_int_equal(milgi_engine_run(engine, 0, &result), 0);
    assert_int_equal(posted, 2);
    milgi_engine_free(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_post_arrives_in_order_and_wakes),
        cmocka_unit_test(a_wake_up_that_comes_late_does_not_keep_the_descriptor_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
