/* SPDX-License-Identifier: Apache-2.0 */
/* How often the loop wakes up: for what has to be done, and for nothing else. Counted, not timed. */
#include "rig.h"

#define MESSAGES 40

struct counter {
    struct rig *r;
    uv_prepare_t prepare;
    uv_timer_t timer;
    unsigned iterations, sent;
};

static void on_iteration(uv_prepare_t *prepare)
{
    ((struct counter *)prepare->data)->iterations++;
}

static void counter_open(struct counter *c, struct rig *r)
{
    *c = (struct counter){ .r = r };
    uv_prepare_init(&r->loop, &c->prepare);
    uv_timer_init(&r->loop, &c->timer);
    c->prepare.data = c->timer.data = c;
    uv_prepare_start(&c->prepare, on_iteration);
    uv_unref((uv_handle_t *)&c->prepare);
}

static void counter_close(struct counter *c)
{
    uv_close((uv_handle_t *)&c->prepare, NULL);
    uv_close((uv_handle_t *)&c->timer, NULL);
}

static void next_message(uv_timer_t *timer)
{
    struct counter *c = timer->data;
    c->r->a.send_len += 100;
    send_more(&c->r->a);
    if (++c->sent == MESSAGES)
        uv_timer_stop(timer);
}

/* The timer that sends it, the arrival, and the sleep behind that; a little more for deadlines. */
static void a_message_on_a_quiet_connection_wakes_the_loop_a_few_times(void **state)
{
    struct rig r;
    struct counter c;
    (void)state;
    rig_open(&r, NULL, NULL);
    both(&r);
    run_until(&r, &r.b.opened);
    settle(&r, 50);
    counter_open(&c, &r);
    uv_timer_start(&c.timer, next_message, 20, 20);
    while (!r.late && r.b.got_len < MESSAGES * 100)
        uv_run(&r.loop, UV_RUN_ONCE);
    assert_false(r.late);
    print_message("%u wake-ups for %d messages\n", c.iterations, MESSAGES);
    assert_true(c.iterations <= 3 * MESSAGES + 6);
    counter_close(&c);
    rig_close(&r);
}

static void on_over(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

#define QUIET 2     /* iterations of a loop in which nothing happens but the end of the window */
#define WINDOW 2200 /* ms: longer than anything that is done when it is convenient is put off */

/* Two things are put in order when it is convenient, memory of the connection and then of all: and no more, ever. */
static void connections_on_which_nothing_happens_wake_nobody(void **state)
{
    struct rig r;
    struct counter c;
    unsigned windows = 0, more = 0;
    (void)state;
    rig_open(&r, NULL, NULL);
    both(&r);
    run_until(&r, &r.b.opened);
    settle(&r, 50);
    counter_open(&c, &r);
    for (;; windows++) {
        assert_true(windows < 5);
        c.iterations = 0;
        uv_timer_start(&c.timer, on_over, WINDOW, 0);
        uv_run(&r.loop, UV_RUN_DEFAULT);
        if (c.iterations <= QUIET)
            break;
        more += c.iterations - QUIET;
    }
    print_message("%u iterations more than none, in %u windows\n", more, windows);
    assert_true(more <= 2 * 2);
    counter_close(&c);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_on_a_quiet_connection_wakes_the_loop_a_few_times),
        cmocka_unit_test(connections_on_which_nothing_happens_wake_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
