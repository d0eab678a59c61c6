/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time limits of very many clients: each is kept to its own, none is held up by the others. Time is the test's.
 * ctest-wrap: uv_now uv_timer_start uv_is_active uv_timer_get_due_in
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "proxy/proxy.h"

#define CROWD 3000u
#define LIMIT_MS 10000u /* for what a client left to its backend, which is how these have ended */

static struct proxy proxy;
static struct app_options options;
static struct client crowd[CROWD];
static uint64_t moved_ms[CROWD];
static uint64_t now_ms, due_ms;
static uv_timer_cb due;
static unsigned looks, ends; /* how often somebody was asked for how long it is idle; clients that were cut off */

uint64_t __wrap_uv_now(const uv_loop_t *loop);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);
int __wrap_uv_is_active(const uv_handle_t *handle);
uint64_t __wrap_uv_timer_get_due_in(const uv_timer_t *timer);

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
    (void)loop;
    return now_ms;
}

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
    assert_ptr_equal(timer, &proxy.sweep);
    assert_int_equal(repeat, 0);
    due = cb;
    due_ms = now_ms + timeout;
    return 0;
}

int __wrap_uv_is_active(const uv_handle_t *handle)
{
    (void)handle;
    return due != NULL;
}

uint64_t __wrap_uv_timer_get_due_in(const uv_timer_t *timer)
{
    (void)timer;
    return due_ms > now_ms ? due_ms - now_ms : 0;
}

static uint64_t idle_ms(const struct client *c)
{
    looks++;
    return now_ms - moved_ms[c - crowd];
}

static void closed(struct client *c, bool in_order)
{
    (void)in_order;
    if (c->life.list != &proxy.lingering || !c->why)
        return;
    uint64_t idle = now_ms - moved_ms[c - crowd];
    assert_in_range(idle, LIMIT_MS, LIMIT_MS + LIMIT_MS / CLIENTS_PARTS + 100); /* and the time of those before it */
    ends++;
    proxy_done(c);
}

static const struct service service = { .closed = closed, .idle_ms = idle_ms };

static void leave(struct client *c)
{
    *c = (struct client){ .proxy = &proxy, .served = true, .logged = true };
    c->life.client = c->request.client = c;
    proxy_close(c);
    c->why = "cut off";
}

static void timer_fires(void)
{
    uv_timer_cb cb = due;
    assert_non_null(cb);
    now_ms = due_ms > now_ms ? due_ms : now_ms;
    due = NULL;
    looks = 0;
    cb(&proxy.sweep);
    assert_in_range(looks, 0, 64);
}

static void begin(void)
{
    proxy = (struct proxy){ .options = &options, .service = &service };
    proxy.sweep.data = &proxy;
    now_ms = 1000000;
    due = NULL;
    ends = 0;
    clients_init(&proxy);
    for (unsigned i = 0; i < CROWD; i++) {
        moved_ms[i] = now_ms;
        leave(&crowd[i]);
    }
}

static void a_crowd_that_is_late_at_once_goes_bit_by_bit(void **state)
{
    (void)state;
    begin();
    while (ends < CROWD)
        timer_fires();
    assert_null(clients_first(&proxy.lingering));
}

/* What the kernel says of them is that they moved at all kinds of times, and some do so again. */
static void who_moves_is_kept_to_the_limit_from_then_on(void **state)
{
    (void)state;
    unsigned n = 0;
    begin();
    for (unsigned i = 0; i < CROWD; i++)
        moved_ms[i] += (uint64_t)i * 7919 % LIMIT_MS;
    for (struct place *place = clients_first(&proxy.lingering); place; place = clients_next(place))
        n++;
    assert_int_equal(n, CROWD);
    for (unsigned fires = 0; ends < CROWD; fires++) {
        timer_fires();
        if (fires == 100) {
            for (unsigned i = 0; i < CROWD; i += 3)
                moved_ms[i] = crowd[i].served ? now_ms - i % 50 : moved_ms[i];
            n = 0;
            for (struct place *place = clients_first(&proxy.lingering); place; place = clients_next(place))
                n++;
            assert_int_equal(n, CROWD - ends);
        }
    }
    assert_null(clients_first(&proxy.lingering));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_that_is_late_at_once_goes_bit_by_bit),
        cmocka_unit_test(who_moves_is_kept_to_the_limit_from_then_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
