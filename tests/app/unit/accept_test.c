/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which connections the proxy asks its listeners for, and when it asks again. What accept4() says is the test's; where
 * the connections go is not tested here.
 * ctest-wrap: accept4 milgi_uv_open clients_add
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/proxy.h"

/* A pipe that has something to read stands for a listener at which somebody waits. */
struct rig {
    struct proxy proxy;
    struct app_options options;
    struct listener listener;
    struct app_list none;
    int pipe[2];
    int error;         /* what accept4() fails with; 0: it does not */
    unsigned waiting;  /* connections */
    unsigned calls;    /* of accept4() */
    unsigned accepted; /* connections */
};

static struct rig rig;

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags);
int __wrap_milgi_uv_open(struct milgi_uv *uv, uv_os_sock_t fd, struct milgi_config *config, const char *name,
    const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream);
void __wrap_clients_add(struct client *c);

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    (void)address;
    (void)flags;
    assert_int_equal(fd, rig.pipe[0]);
    *len = 0;
    rig.calls++;
    errno = rig.error ? rig.error : EAGAIN;
    if (rig.error || !rig.waiting)
        return -1;
    if (!--rig.waiting) {
        char byte;
        assert_int_equal(read(rig.pipe[0], &byte, 1), 1);
    }
    return dup(rig.pipe[1]);
}

int __wrap_milgi_uv_open(struct milgi_uv *uv, uv_os_sock_t fd, struct milgi_config *config, const char *name,
    const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream)
{
    (void)uv;
    (void)config;
    (void)name;
    (void)events;
    (void)arg;
    (void)stream;
    close(fd);
    return 0;
}

void __wrap_clients_add(struct client *c)
{
    rig.accepted++;
    free(c);
}

static void on_turn(uv_prepare_t *prepare)
{
    (void)prepare;
    rig.proxy.turns++;
}

static int setup(void **state)
{
    (void)state;
    rig = (struct rig){ 0 };
    struct proxy *p = &rig.proxy;
    p->options = &rig.options;
    p->serving = true;
    p->max_conns = 1000;
    p->channel = -1;
    p->listeners = (struct listeners){ &rig.listener, 1 };
    assert_int_equal(pipe(rig.pipe), 0);
    rig.listener = (struct listener){ .fd = rig.pipe[0], .accepted = -1, .text = "here" };
    assert_int_equal(uv_loop_init(&p->loop), 0);
    uv_timer_init(&p->loop, &p->held);
    uv_prepare_init(&p->loop, &p->heed);
    uv_prepare_start(&p->heed, on_turn);
    p->held.data = p->heed.data = p;
    proxy_listen(p);
    return 0;
}

static int teardown(void **state)
{
    struct proxy *p = &rig.proxy;
    (void)state;
    p->draining = true;
    proxy_listen(p);
    uv_close((uv_handle_t *)&p->held, NULL);
    uv_close((uv_handle_t *)&p->heed, NULL);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    close(rig.pipe[0]);
    close(rig.pipe[1]);
    return uv_loop_close(&p->loop);
}

static void come(unsigned n)
{
    if (!rig.waiting)
        assert_int_equal(write(rig.pipe[1], "x", 1), 1);
    rig.waiting += n;
}

/* Turns of the loop, none of which waits. */
static void turn(unsigned n)
{
    while (n--)
        uv_run(&rig.proxy.loop, UV_RUN_NOWAIT);
}

static void a_connection_that_comes_by_itself_is_the_only_one_asked_for(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 5; i++) {
        come(1);
        turn(1);
        assert_int_equal(rig.accepted, i);
        turn(2); /* nobody comes */
    }
    assert_int_equal(rig.calls, 5);
}

static void of_a_crowd_more_are_taken_in_each_turn_up_to_a_bound(void **state)
{
    (void)state;
    static const unsigned wanted[] = { 1, 3, 7, 15, 31, 47, 63 };
    come(63);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        turn(1);
        assert_int_equal(rig.accepted, wanted[i]);
    }
    assert_int_equal(rig.calls, 63);
}

static void a_connection_that_has_gone_does_not_keep_the_next_waiting(void **state)
{
    (void)state;
    come(1);
    rig.error = ECONNABORTED;
    turn(3);
    assert_int_equal(rig.calls, 7);
    rig.error = 0;
    turn(1);
    assert_int_equal(rig.accepted, 1);
}

static void a_listener_that_only_fails_is_asked_again_after_a_pause(void **state)
{
    static const int errors[] = { EPERM, ECONNABORTED, ENETDOWN, EOPNOTSUPP, EINTR, EMFILE, ENOMEM, EINVAL };
    static const size_t of_connections = 5; /* so many of these are a connection's own, as a rule */
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        unsigned begin = rig.calls;
        rig.error = errors[i];
        come(1);
        turn(100);
        unsigned before = rig.calls;
        assert_int_equal(before - begin, i < of_connections ? 16 : 1);
        assert_true(uv_is_active((const uv_handle_t *)&rig.proxy.held));
        turn(100);
        assert_int_equal(rig.calls, before); /* it pauses */
        uv_run(&rig.proxy.loop, UV_RUN_ONCE);
        turn(100);
        assert_in_range(rig.calls, before + 1, before + 2); /* once a pause */
        rig.error = 0;
        while (rig.waiting)
            uv_run(&rig.proxy.loop, UV_RUN_ONCE);
        assert_int_equal(rig.accepted, i + 1);
        turn(2);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_connection_that_comes_by_itself_is_the_only_one_asked_for),
        TEST(of_a_crowd_more_are_taken_in_each_turn_up_to_a_bound),
        TEST(a_connection_that_has_gone_does_not_keep_the_next_waiting),
        TEST(a_listener_that_only_fails_is_asked_again_after_a_pause),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
