/* SPDX-License-Identifier: Apache-2.0 */
/* A socket on the ring by itself: what comes in a pause, and a peer that takes little.
   ctest-wrap: uv_run uv_stop */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../adapters/uring/ring.h"

#define MUCH 1000000u

struct owner {
    struct ring_socket socket; /* first */
    struct milgi_uring *u;
    int peer;
    long got[8];
    unsigned got_n;
    size_t sent;
    bool closed, closes_at_end;
};

static uint8_t *on_room(struct ring_socket *socket, size_t *len)
{
    (void)socket;
    *len = 0;
    return NULL;
}

static void on_read(struct ring_socket *socket, struct milgi_chunk *chunk, long len)
{
    struct owner *o = (struct owner *)socket;
    assert_true(o->got_n < 8);
    o->got[o->got_n++] = len;
    milgi_chunk_unref(chunk);
    if (len < 0 && o->closes_at_end)
        milgi__ring_socket_close(socket, false);
}

static void on_sent(struct ring_socket *socket, size_t len, int error)
{
    assert_int_equal(error, 0);
    ((struct owner *)socket)->sent += len;
}

/* Its memory may go now. */
static void on_closed(struct ring_socket *socket)
{
    assert_false(socket->dirty);
    ((struct owner *)socket)->closed = true;
}

static const struct ring_socket_events events = { on_room, on_read, on_sent, on_closed };

static void owner_open(struct owner *o)
{
    int pair[2], small = 4096;
    *o = (struct owner){ 0 };
    assert_int_equal(milgi_uring_new(NULL, &o->u), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    o->peer = pair[1];
    milgi__ring_socket_init(&o->socket, o->u, pair[0], &events);
}

static void owner_close(struct owner *o)
{
    if (!o->socket.closing)
        milgi__ring_socket_close(&o->socket, false);
    milgi_uring_stop(o->u, NULL, NULL);
    while (milgi_uring_run(o->u, 20000) >= 0) {
    }
    assert_true(o->closed);
    close(o->peer);
}

static void reads(struct owner *o, bool on)
{
    o->socket.reads = on;
    milgi__ring_socket_dirty(&o->socket);
}

static void run_until_receiving(struct owner *o, enum ring_receiving what)
{
    for (unsigned i = 0; i < 1000 && o->socket.receiving != what; i++)
        assert_true(milgi_uring_run(o->u, 10) >= 0);
    assert_int_equal(o->socket.receiving, what);
}

/* A completion as if the kernel had brought it: of |len| bytes, and more to follow. */
static void arrives(struct owner *o, int len)
{
    o->socket.receive.done(&o->socket.receive, len, IORING_CQE_F_MORE);
}

static void what_comes_in_a_pause_comes_behind_it_in_order(void **state)
{
    struct owner o;
    (void)state;
    owner_open(&o);
    reads(&o, true);
    run_until_receiving(&o, RING_MULTISHOT);
    arrives(&o, 1);
    assert_int_equal(o.got_n, 1);
    o.socket.reads = false;
    arrives(&o, 2);
    assert_int_equal(o.got_n, 1); /* held */
    reads(&o, true);
    arrives(&o, 3);
    assert_int_equal(o.got_n, 1); /* behind what is held */
    milgi__ring_sockets_tell(o.u);
    assert_int_equal(o.got_n, 3);
    assert_int_equal(o.got[1], 2);
    assert_int_equal(o.got[2], 3);
    owner_close(&o);
}

static void a_pause_takes_the_socket_from_the_kernel(void **state)
{
    struct owner o;
    (void)state;
    owner_open(&o);
    reads(&o, true);
    run_until_receiving(&o, RING_MULTISHOT);
    reads(&o, false);
    run_until_receiving(&o, RING_IDLE);
    assert_int_equal(write(o.peer, "four", 4), 4);
    for (unsigned i = 0; i < 10; i++)
        assert_true(milgi_uring_run(o.u, 1) >= 0);
    assert_true(!o.got_n && !o.socket.held_first); /* in the socket still */
    reads(&o, true);
    for (unsigned i = 0; i < 1000 && !o.got_n; i++)
        assert_true(milgi_uring_run(o.u, 10) >= 0);
    assert_int_equal(o.got[0], 4);
    owner_close(&o);
}

static void who_closes_at_an_end_that_was_held_is_in_no_list_when_it_goes(void **state)
{
    struct owner o;
    (void)state;
    owner_open(&o);
    reads(&o, true);
    run_until_receiving(&o, RING_MULTISHOT);
    o.socket.reads = false;
    assert_int_equal(shutdown(o.peer, SHUT_WR), 0);
    for (unsigned i = 0; i < 1000 && !o.socket.held_end; i++)
        assert_true(milgi_uring_run(o.u, 10) >= 0);
    assert_int_equal(o.socket.held_end, MILGI__EOF);
    assert_int_equal(o.socket.ops, 0);
    o.closes_at_end = true;
    reads(&o, true);
    for (unsigned i = 0; i < 1000 && !o.closed; i++)
        assert_true(milgi_uring_run(o.u, 10) >= 0);
    assert_int_equal(o.got_n, 1);
    assert_int_equal(o.got[0], MILGI__EOF);
    owner_close(&o);
}

static void what_a_socket_takes_in_parts_is_sent_once(void **state)
{
    struct owner o;
    uint8_t *data = malloc(MUCH), *seen = malloc(MUCH);
    size_t got = 0;
    bool waited = false;
    (void)state;
    for (size_t i = 0; i < MUCH; i++)
        data[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    owner_open(&o);
    struct milgi_iov iov[2] = { { data, 1000 }, { data + 1000, MUCH - 1000 } };
    for (unsigned i = 0; i < 2; i++) /* the first is little, and waits for the ring; so does the other behind it */
        assert_int_equal(milgi__ring_socket_write(&o.socket, &iov[i], 1), 0);
    for (unsigned i = 0; i < 100000 && got < MUCH; i++) {
        assert_true(milgi_uring_run(o.u, 0) >= 0);
        waited = waited || o.socket.polling;
        if (!o.socket.polling && o.socket.out_n)
            continue; /* until it is full, and waited for */
        ssize_t n = read(o.peer, seen + got, i % 2 ? 5000 : MUCH - got);
        got += n > 0 ? (size_t)n : 0;
    }
    assert_true(waited);
    assert_int_equal(got, MUCH);
    assert_memory_equal(seen, data, MUCH);
    assert_int_equal(o.sent, MUCH);
    owner_close(&o);
    free(data);
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_in_a_pause_comes_behind_it_in_order),
        cmocka_unit_test(a_pause_takes_the_socket_from_the_kernel),
        cmocka_unit_test(who_closes_at_an_end_that_was_held_is_in_no_list_when_it_goes),
        cmocka_unit_test(what_a_socket_takes_in_parts_is_sent_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
