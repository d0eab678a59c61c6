/* SPDX-License-Identifier: Apache-2.0 */
/* What is the ring's own: buffers that run out, operations that end early, and what the kernel holds at an end.
   ctest-wrap: uv_run uv_stop */
#include "room.h"

#include <sys/resource.h>
#include <sys/wait.h>

static void many_connections_share_the_buffers_of_one_ring(void **state)
{
    struct room r;
    static struct end clients[64];
    (void)state;
    memset(clients, 0, sizeof clients);
    room_open(&r, NULL);
    for (unsigned i = 0; i < 64; i++) {
        clients[i].send_len = 50000;
        clients[i].shut_when_sent = true;
        connect_to(&r, &clients[i]);
    }
    for (unsigned i = 0; i < 64; i++) {
        run_for(&r, &r.served[i].ended);
        assert_int_equal(milgi_stream_shutdown(r.served[i].stream), 0);
    }
    for (unsigned i = 0; i < 64; i++) {
        run_for(&r, &clients[i].gone);
        run_for(&r, &r.served[i].gone);
        assert_int_equal(r.served[i].got_len, 50000);
        assert_int_equal(clients[i].reason.error, 0);
    }
    assert_int_equal(milgi_uring_streams(r.u), 0);
    room_close(&r);
}

/* Those of a crowd are the engine's again; and who comes then finds others. */
static void buffers_go_back_with_the_last_socket(void **state)
{
    static struct room r;
    static struct end clients[64];
    struct milgi_engine_stats stats;
    (void)state;
    room_open(&r, NULL);
    for (unsigned n = 64; n; n /= 8) {
        memset(clients, 0, sizeof clients);
        r.served_n = 0;
        memset(r.served, 0, sizeof r.served);
        for (unsigned i = 0; i < n; i++) {
            clients[i].send_len = 5000;
            clients[i].shut_when_sent = true;
            connect_to(&r, &clients[i]);
        }
        for (unsigned i = 0; i < n; i++) {
            run_for(&r, &r.served[i].ended);
            assert_int_equal(milgi_stream_shutdown(r.served[i].stream), 0);
        }
        for (unsigned i = 0; i < n; i++) {
            run_for(&r, &clients[i].gone);
            run_for(&r, &r.served[i].gone);
            assert_int_equal(r.served[i].got_len, 5000);
        }
        milgi_engine_stats(milgi_uring_engine(r.u), &stats);
        assert_int_equal(stats.memory, 0);
    }
    room_close(&r);
}

/* Six buffers, and more than they hold at once: the kernel says ENOBUFS in between. */
static void who_finds_no_buffer_goes_on_when_there_is_one(void **state)
{
    struct room r;
    struct end client = { .send_len = 1000000, .shut_when_sent = true };
    (void)state;
    room_open(&r, NULL);
    connect_to(&r, &client);
    run_for(&r, &client.opened);
    run_for(&r, &r.served[0].ended);
    assert_int_equal(r.served[0].got_len, 1000000);
    room_close(&r);
}

/* Completions of which there are more than the queue has room for: the kernel keeps them, and ends what goes on by
 * itself. */
static void nothing_is_lost_when_completions_overflow(void **state)
{
    struct room r;
    struct end client = { 0 };
    (void)state;
    room_open(&r, NULL);
    connect_to(&r, &client);
    run_for(&r, &client.opened);
    run_for(&r, &r.served[0].opened);
    for (unsigned i = 0; i < 6000; i++) {
        io_uring_prep_nop(milgi__ring_sqe(r.u, NULL));
        if (i == 3000) {
            client.send_len = 60000;
            send_more(&client);
        }
    }
    bool all = false;
    for (unsigned i = 0; i < 100000 && !all; i++) {
        assert_true(milgi_uring_run(r.u, 20000) > 0);
        all = r.served[0].got_len == 60000;
    }
    assert_true(all);
    room_close(&r);
}

/* What arrives when the application takes nothing is read no further than what was under way. */
static void a_paused_stream_is_not_read(void **state)
{
    struct room r;
    struct end client = { .send_len = 4000000 };
    (void)state;
    room_open(&r, NULL);
    connect_to(&r, &client);
    run_for(&r, &client.opened);
    run_for(&r, &r.served[0].opened);
    r.served[0].keep_credit = true;
    for (unsigned i = 0; i < 200; i++)
        assert_true(milgi_uring_run(r.u, 2) > 0);
    size_t got = r.served[0].got_len;
    assert_true(got < 1000000);
    r.served[0].keep_credit = false;
    milgi_stream_consumed(r.served[0].stream, got);
    for (unsigned i = 0; i < 100000 && r.served[0].got_len < 4000000; i++)
        assert_true(milgi_uring_run(r.u, 20000) > 0);
    assert_int_equal(r.served[0].got_len, 4000000);
    room_close(&r);
}

/* Both sides are full, so that sends, reads and polls are under way: their memory goes at any moment. */
static void connections_go_at_any_moment(void **state)
{
    (void)state;
    for (unsigned when = 0; when < 42; when++) {
        struct room r;
        struct end client = { .send_len = 1u << 20 };
        room_open(&r, NULL);
        connect_to(&r, &client);
        for (unsigned i = 0; i < when; i++)
            assert_true(milgi_uring_run(r.u, i % 8 ? 0 : 1) >= 0);
        if (r.served_n && r.served[0].stream && when % 3 == 0)
            milgi_stream_drop(r.served[0].stream);
        if (client.stream && when % 3 == 1)
            milgi_stream_reset(client.stream);
        if (when % 2)
            assert_true(milgi_uring_run(r.u, 0) >= 0);
        room_close(&r);
        assert_true(client.gone);
    }
}

struct inner {
    unsigned awake, then; /* how often; and how often that was when its descriptor was told of */
    int fd;
    bool told;
};

static void on_awake(void *arg)
{
    ((struct inner *)arg)->awake++;
}

static void on_inner(void *arg)
{
    struct inner *inner = arg;
    char byte;
    inner->then = inner->awake;
    inner->told = true;
    assert_int_equal(read(inner->fd, &byte, 1), 1);
}

static void a_loop_inside_looks_at_its_clock_before_anything_is_told(void **state)
{
    struct room r;
    struct inner inner = { 0 };
    int fd[2];
    (void)state;
    assert_int_equal(pipe(fd), 0);
    inner.fd = fd[0];
    room_open(&r, NULL);
    milgi_uring_watch(r.u, fd[0], on_awake, on_inner, &inner);
    assert_int_equal(write(fd[1], "x", 1), 1);
    unsigned runs = 0;
    while (!inner.told && runs++ < 1000)
        assert_true(milgi_uring_run(r.u, 20000) > 0);
    assert_true(inner.told);
    assert_int_equal(inner.then, runs);
    room_close(&r);
    close(fd[0]);
    close(fd[1]);
}

/* What of it the child has in common with its parent stays as it is: the parent's ring is not entered, nor filled. */
static void in_child(struct room *r, struct milgi_stream *connecting, struct end *e)
{
    struct sockaddr *to = (struct sockaddr *)&r->address;
    struct milgi_stream *stream;
    struct milgi_uring *own;
    int rv = milgi_uring_connect(r->u, to, sizeof r->address, r->client, "uring.test", &events, e, &stream);
    milgi_stream_drop(connecting);
    milgi_uring_wake(r->u);
    bool right = rv == MILGI_EFORK && milgi_uring_run(r->u, 0) == MILGI_EFORK && !milgi_uring_new(NULL, &own);
    if (right) { /* nor is that in the way of one of its own */
        milgi_uring_stop(own, NULL, NULL);
        while (milgi_uring_run(own, 20000) >= 0) {
        }
    }
    _exit(!right);
}

static void a_child_of_fork_leaves_the_ring_to_its_parent(void **state)
{
    struct room r;
    struct end client = { .send_len = 50000, .shut_when_sent = true };
    int status;
    (void)state;
    room_open(&r, NULL);
    connect_to(&r, &client);
    unsigned ready = io_uring_sq_ready(&r.u->ring);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child)
        in_child(&r, client.stream, &client);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(io_uring_sq_ready(&r.u->ring), ready);
    run_for(&r, &client.opened);
    run_for(&r, &r.served[0].ended);
    assert_int_equal(r.served[0].got_len, 50000);
    room_close(&r);
}

static void a_loop_without_anything_does_not_wait(void **state)
{
    struct room r;
    (void)state;
    room_open(&r, NULL);
    assert_int_equal(milgi_uring_run(r.u, 0), 1);
    milgi_uring_unlisten(r.listener);
    int rv = 1;
    for (unsigned i = 0; i < 100 && rv; i++)
        rv = milgi_uring_run(r.u, 0);
    assert_int_equal(rv, 0);
    milgi_uring_wake(r.u);
    assert_int_equal(milgi_uring_run(r.u, -1), 0); /* woken */
    close(r.fd);
    r.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(r.fd, (struct sockaddr *)&r.address, sizeof r.address), 0);
    room_close(&r);
}

/* Without descriptors nobody is accepted, and who waits is accepted when there are some. */
static void who_waits_for_a_descriptor_is_accepted_in_the_end(void **state)
{
    struct room r;
    struct rlimit limit, few;
    (void)state;
    room_open(&r, NULL);
    int client = raw_client(&r.address);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = limit;
    few.rlim_cur = (rlim_t)client + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (!r.refused_n)
        assert_true(milgi_uring_run(r.u, 20000) >= 0);
    assert_int_equal(r.served_n, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (!r.served_n)
        assert_true(milgi_uring_run(r.u, 20000) >= 0);
    close(client);
    room_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_connections_share_the_buffers_of_one_ring),
        cmocka_unit_test(buffers_go_back_with_the_last_socket),
        cmocka_unit_test(who_finds_no_buffer_goes_on_when_there_is_one),
        cmocka_unit_test(nothing_is_lost_when_completions_overflow),
        cmocka_unit_test(a_paused_stream_is_not_read),
        cmocka_unit_test(connections_go_at_any_moment),
        cmocka_unit_test(a_loop_inside_looks_at_its_clock_before_anything_is_told),
        cmocka_unit_test(a_child_of_fork_leaves_the_ring_to_its_parent),
        cmocka_unit_test(a_loop_without_anything_does_not_wait),
        cmocka_unit_test(who_waits_for_a_descriptor_is_accepted_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
