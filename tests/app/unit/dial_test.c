/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting to a name of several addresses, of which some refuse and some never answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/dial.h"
#include "folder.h"

#define FILLERS 8
#define ADDRESSES 3

/* Places to connect to, and what came of it. */
struct rig {
    uv_loop_t loop;
    struct app_address items[ADDRESSES];
    struct app_addresses to;
    int sockets[64];
    size_t sockets_n;
    unsigned calls;
    int fd, error;
    bool at_once;
    const struct app_address *where;
};

static int keep(struct rig *r, int fd)
{
    assert_true(fd >= 0);
    r->sockets[r->sockets_n++] = fd;
    return fd;
}

static int local(struct rig *r, struct app_address *a)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = keep(r, socket(AF_INET, SOCK_STREAM, 0));
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    a->len = sizeof a->socket;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a->socket, &a->len), 0);
    return fd;
}

static struct app_address *next(struct rig *r)
{
    return &r->items[r->to.n++];
}

static void add_that_answers(struct rig *r)
{
    assert_int_equal(listen(local(r, next(r)), 8), 0);
}

static void add_that_refuses(struct rig *r)
{
    local(r, next(r));
}

/* Its queue is full: whoever comes is left without an answer. */
static void add_that_is_silent(struct rig *r)
{
    struct app_address *a = next(r);
    assert_int_equal(listen(local(r, a), 0), 0);
    for (int i = 0; i < FILLERS; i++) {
        int fd = keep(r, socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
        connect(fd, (struct sockaddr *)&a->socket, a->len);
    }
}

static int setup(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    r->to.items = r->items;
    r->fd = -1;
    *state = r;
    return uv_loop_init(&r->loop);
}

static int teardown(void **state)
{
    struct rig *r = *state;
    uv_run(&r->loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < r->sockets_n; i++)
        close(r->sockets[i]);
    if (r->fd >= 0)
        close(r->fd);
    int left = uv_loop_close(&r->loop);
    free(r);
    return left;
}

static void on_done(void *arg, int fd, int error, const struct app_address *where)
{
    struct rig *r = arg;
    r->calls++;
    r->fd = fd;
    r->error = error;
    r->where = where;
}

static struct dial *dial(struct rig *r, uint32_t timeout_ms)
{
    int now;
    struct dial *d = dial_start(&r->loop, &r->to, timeout_ms, on_done, r, &now);
    assert_int_equal(r->calls, 0);
    if (now >= 0) {
        assert_null(d);
        assert_false(uv_loop_alive(&r->loop)); /* nothing is left to be waited for */
        r->at_once = true;
        on_done(r, now, 0, &r->items[r->to.first]);
    } else {
        assert_non_null(d);
    }
    return d;
}

static void connects_to(struct rig *r, size_t which)
{
    struct app_address peer = { .len = sizeof peer.socket };
    dial(r, 20000);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(r->calls, 1);
    assert_int_equal(r->error, 0);
    assert_ptr_equal(r->where, &r->items[which]);
    assert_int_equal(getpeername(r->fd, (struct sockaddr *)&peer.socket, &peer.len), 0);
    assert_memory_equal(&peer.socket, &r->items[which].socket, peer.len);
}

static void the_first_that_answers_is_taken(void **state)
{
    struct rig *r = *state;
    add_that_answers(r);
    add_that_answers(r);
    connects_to(r, 0);
    assert_true(r->at_once); /* it is on this machine */
}

static void one_that_refuses_is_passed_over(void **state)
{
    struct rig *r = *state;
    add_that_refuses(r);
    add_that_refuses(r);
    add_that_answers(r);
    connects_to(r, 2);
}

static void one_that_is_silent_does_not_keep_the_others_waiting(void **state)
{
    struct rig *r = *state;
    add_that_is_silent(r);
    add_that_answers(r);
    uint64_t begin = uv_hrtime();
    connects_to(r, 1);
    assert_true(uv_hrtime() - begin < UINT64_C(10000000000));
}

static void whoever_has_answered_is_asked_first_the_next_time(void **state)
{
    struct rig *r = *state;
    add_that_is_silent(r);
    add_that_answers(r);
    add_that_refuses(r);
    connects_to(r, 1);
    close(r->fd);
    r->calls = 0;
    uint64_t begin = uv_hrtime();
    connects_to(r, 1);
    assert_true(uv_hrtime() - begin < UINT64_C(200000000)); /* sooner than a second attempt begins */
    close(r->sockets[1 + FILLERS]);                         /* nobody is there any more: the others have their turn */
    r->sockets[1 + FILLERS] = dup(r->sockets[0]);
    close(r->fd);
    r->fd = -1;
    r->calls = 0;
    dial(r, 500);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(r->error, UV_ETIMEDOUT);
}

static void when_all_refuse_the_last_one_says_why(void **state)
{
    struct rig *r = *state;
    add_that_refuses(r);
    add_that_refuses(r);
    dial(r, 20000);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(r->calls, 1);
    assert_int_equal(r->fd, -1);
    assert_int_equal(r->error, UV_ECONNREFUSED);
    assert_ptr_equal(r->where, &r->items[1]);
}

static void when_all_are_silent_the_time_is_over_once(void **state)
{
    struct rig *r = *state;
    add_that_is_silent(r);
    add_that_is_silent(r);
    dial(r, 400);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(r->calls, 1);
    assert_int_equal(r->error, UV_ETIMEDOUT);
}

static void one_that_refuses_late_does_not_end_what_is_under_way(void **state)
{
    struct rig *r = *state;
    add_that_is_silent(r);
    add_that_refuses(r);
    dial(r, 600);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(r->error, UV_ETIMEDOUT); /* the silent one was still hoped for */
}

static void what_is_stopped_says_nothing_and_leaves_nothing(void **state)
{
    struct rig *r = *state;
    add_that_is_silent(r);
    add_that_answers(r);
    struct dial *d = dial(r, 20000);
    uv_run(&r->loop, UV_RUN_NOWAIT);
    dial_stop(d);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(r->calls, 0);
}

static void add_path(struct rig *r, const char *path)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    struct app_address *a = next(r);
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    memcpy(&a->socket, &un, sizeof un);
    a->len = sizeof un;
}

static void on_room(uv_timer_t *timer)
{
    int fd = accept(*(int *)timer->data, NULL, NULL);
    assert_true(fd >= 0);
    close(fd);
    uv_close((uv_handle_t *)timer, NULL);
}

static void a_full_queue_of_a_socket_in_the_file_system_is_waited_for(void **state)
{
    struct rig *r = *state;
    add_path(r, folder_path("socket"));
    int listener = keep(r, socket(AF_UNIX, SOCK_STREAM, 0));
    assert_int_equal(bind(listener, (struct sockaddr *)&r->items[0].socket, r->items[0].len), 0);
    assert_int_equal(listen(listener, 0), 0);
    int filler = keep(r, socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    assert_int_equal(connect(filler, (struct sockaddr *)&r->items[0].socket, r->items[0].len), 0);
    uv_timer_t later;
    uv_timer_init(&r->loop, &later);
    later.data = &listener;
    uv_timer_start(&later, on_room, 150, 0);
    dial(r, 20000);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    assert_int_equal(r->error, 0);
    assert_true(r->fd >= 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_first_that_answers_is_taken),
        TEST(one_that_refuses_is_passed_over),
        TEST(one_that_is_silent_does_not_keep_the_others_waiting),
        TEST(whoever_has_answered_is_asked_first_the_next_time),
        TEST(when_all_refuse_the_last_one_says_why),
        TEST(when_all_are_silent_the_time_is_over_once),
        TEST(one_that_refuses_late_does_not_end_what_is_under_way),
        TEST(what_is_stopped_says_nothing_and_leaves_nothing),
        TEST(a_full_queue_of_a_socket_in_the_file_system_is_waited_for),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
