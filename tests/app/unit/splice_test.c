/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What moves between a stream and a backend's socket by pipes, and who is told. The kernel's records are the test's: a
 * client that has said so much, and takes so much.
 * ctest-wrap: milgi_stream_splice milgi_stream_splices milgi_ktls_pipe
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "proxy/splice.h"

#include <milgi_ktls.h>

#define RECORD 4096u /* a page: each write has some of its own in a pipe */
#define SMALL 4096   /* of the backend's socket */
#define TIMES 3      /* so often may be received into a pipe before it is empty again */

enum told {
    NOTHING,
    MOVED,
    DEAF,
    ENDED,
    FAILED,
    LOST
};

static struct {
    uv_loop_t loop;
    struct splice *splice;
    int backend; /* its end of the socket */
    /* the client */
    size_t said, taken, room, got; /* what it has said and the proxy has taken; may send it and it has got */
    unsigned received;             /* into the pipe since it was empty */
    int answer;                    /* of sending, when it has failed */
    unsigned calls, refused;       /* of milgi_stream_splice(); pipes that there are none of */
    bool splices, waits[2];        /* on_splice is owed */
    /* what was told */
    unsigned told[LOST + 1];
    int error;
    size_t lost;
    bool busy;         /* what the process has for the backend is first */
    enum told ends_at; /* it is ended from there */
    unsigned descriptors;
} rig;

int __wrap_milgi_stream_splice(
    struct milgi_stream *s, enum milgi_direction direction, int pipe, size_t len, size_t *moved);
int __wrap_milgi_stream_splices(struct milgi_stream *s, bool on);
int __wrap_milgi_ktls_pipe(enum milgi_direction direction, int ends[2]);

static int receives(int pipe, size_t len, size_t *moved)
{
    uint8_t bytes[RECORD];
    int inside;
    assert_true(rig.splices && !rig.busy);
    assert_int_equal(ioctl(pipe, FIONREAD, &inside), 0);
    rig.received = inside ? rig.received : 0;
    assert_true(rig.received < TIMES); /* the kernel would lose bytes */
    size_t n = rig.said - rig.taken < RECORD ? rig.said - rig.taken : RECORD;
    n = n < len ? n : len;
    pattern_fill(bytes, rig.taken, n);
    if (!n)
        return MILGI_PAUSE;
    assert_int_equal(write(pipe, bytes, n), n);
    rig.received++;
    rig.taken += n;
    *moved = n;
    return 0;
}

static int sends(int pipe, size_t len, size_t *moved)
{
    uint8_t bytes[RECORD];
    size_t n = rig.room < len ? rig.room : len;
    if (rig.answer)
        return rig.answer;
    if (!n)
        return MILGI_PAUSE;
    n = n < RECORD ? n : RECORD;
    assert_int_equal(read(pipe, bytes, n), n);
    assert_true(is_pattern(bytes, rig.got, n));
    rig.room -= n;
    rig.got += n;
    *moved = n;
    return 0;
}

int __wrap_milgi_stream_splice(
    struct milgi_stream *s, enum milgi_direction direction, int pipe, size_t len, size_t *moved)
{
    assert_ptr_equal(s, &rig);
    assert_non_null(rig.splice); /* it has not been ended */
    rig.calls++;
    *moved = 0;
    int rv = direction == MILGI_RECEIVE ? receives(pipe, len, moved) : sends(pipe, len, moved);
    rig.waits[direction] = rv == MILGI_PAUSE;
    return rv;
}

int __wrap_milgi_stream_splices(struct milgi_stream *s, bool on)
{
    assert_ptr_equal(s, &rig);
    assert_true(rig.splices != on);
    rig.splices = on;
    return 0;
}

/* As small as may be, so that they are soon full. */
int __wrap_milgi_ktls_pipe(enum milgi_direction direction, int ends[2])
{
    if (rig.refused)
        return rig.refused--, -ENOBUFS;
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(fcntl(ends[0], F_SETPIPE_SZ, TIMES * RECORD) >= (int)(TIMES * RECORD));
    return direction == MILGI_RECEIVE ? TIMES : 1;
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

static void tell(enum told what)
{
    rig.told[what]++;
    if (rig.ends_at == what && rig.splice) {
        splice_end(rig.splice);
        rig.splice = NULL;
    }
}

static void on_moved(void *arg)
{
    assert_ptr_equal(arg, &rig.loop);
    tell(MOVED);
}

static bool on_clear(void *arg)
{
    (void)arg;
    return !rig.busy;
}

static void on_deaf(void *arg, int error, size_t len)
{
    (void)arg;
    rig.error = error;
    rig.lost = len;
    tell(DEAF);
}

static void on_ended(void *arg)
{
    (void)arg;
    tell(ENDED);
}

static void on_failed(void *arg, int error)
{
    (void)arg;
    rig.error = error;
    tell(FAILED);
}

static void on_lost(void *arg)
{
    (void)arg;
    tell(LOST);
}

static const struct splice_events splice_events = { on_moved, on_clear, on_deaf, on_ended, on_failed, on_lost };

/* --- the rig ------------------------------------------------------------------------------------------------------ */

static void begin(int buffer)
{
    int pair[2];
    memset(&rig, 0, sizeof rig);
    rig.descriptors = descriptors();
    rig.room = SIZE_MAX;
    assert_int_equal(uv_loop_init(&rig.loop), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer), 0);
    rig.backend = pair[1];
    rig.splice = splice_new(&rig.loop, pair[0], (struct milgi_stream *)&rig, &splice_events, &rig.loop);
    assert_non_null(rig.splice);
    close(pair[0]); /* it has its own */
    assert_true(splice_start(rig.splice, MILGI_RECEIVE));
    assert_true(splice_start(rig.splice, MILGI_SEND));
    assert_true(splice_has(rig.splice, MILGI_RECEIVE) && splice_has(rig.splice, MILGI_SEND));
    assert_false(splice_start(rig.splice, MILGI_SEND)); /* once */
}

/* One turn of the loop; what the client waited for has come, or there is room again. */
static void turn(void)
{
    uv_run(&rig.loop, UV_RUN_NOWAIT);
    bool in = rig.splice && rig.waits[MILGI_RECEIVE] && rig.said > rig.taken && !rig.busy;
    bool out = rig.splice && rig.waits[MILGI_SEND] && rig.room;
    if (in)
        splice_go(rig.splice, MILGI_RECEIVE);
    if (out && rig.splice)
        splice_go(rig.splice, MILGI_SEND);
}

static void turns(unsigned n)
{
    while (n--)
        turn();
}

/* A client that has more to say than a backend that does not read takes. */
static void begin_with_much(void)
{
    begin(SMALL);
    rig.said = SIZE_MAX;
    turns(20);
    assert_true(splice_held(rig.splice, MILGI_RECEIVE) > 0);
}

static void end(void)
{
    splice_end(rig.splice);
    splice_end(NULL);
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&rig.loop), 0);
    if (rig.backend >= 0)
        close(rig.backend);
    assert_int_equal(descriptors(), rig.descriptors);
}

/* What has come to the backend: |at| of it were there before. */
static size_t backend_reads(size_t at, size_t most)
{
    uint8_t bytes[8192];
    ssize_t n = recv(rig.backend, bytes, most < sizeof bytes ? most : sizeof bytes, MSG_DONTWAIT);
    assert_true(n <= 0 || is_pattern(bytes, at, (size_t)n));
    return n > 0 ? (size_t)n : 0;
}

static size_t backend_says(size_t at, size_t most)
{
    uint8_t bytes[8192];
    size_t len = most < sizeof bytes ? most : sizeof bytes;
    pattern_fill(bytes, at, len);
    ssize_t n = send(rig.backend, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n > 0 ? (size_t)n : 0;
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void bytes_cross_both_ways_in_order(void **state)
{
    const size_t much = 400000;
    size_t read = 0, said = 0;
    (void)state;
    begin(SMALL);
    rig.said = much;
    rig.room = 0;
    for (unsigned i = 0; read < much || rig.got < much; i++) {
        turn();
        read += i % 3 ? backend_reads(read, 3000) : 0;
        said += said < much ? backend_says(said, much - said) : 0;
        rig.room += rig.room < 20000 ? 1777 : 0;
    }
    assert_int_equal(rig.taken, much);
    assert_int_equal(splice_held(rig.splice, MILGI_RECEIVE) + splice_held(rig.splice, MILGI_SEND), 0);
    assert_true(rig.told[MOVED] > 10);
    assert_int_equal(rig.told[DEAF] + rig.told[ENDED] + rig.told[FAILED] + rig.told[LOST], 0);
    end();
}

/* A connection that could go on for ever goes on in the next turn. */
static void others_have_their_turn(void **state)
{
    const unsigned most = 16 * TIMES;
    size_t read = 0;
    (void)state;
    begin(1u << 20);
    rig.said = SIZE_MAX;
    for (size_t i = 0; i < 20; i++) {
        rig.calls = 0;
        turn();
        assert_true(rig.calls <= most);
        for (size_t n = 1; n; read += n)
            n = backend_reads(read, SIZE_MAX);
    }
    assert_true(rig.taken > (size_t)10 * most * RECORD);
    end();
}

/* Nor is a loop awake for a peer that takes nothing. */
static void who_waits_does_not_spin(void **state)
{
    (void)state;
    begin_with_much();
    rig.calls = rig.told[MOVED] = 0;
    turns(20);
    assert_int_equal(rig.calls + rig.told[MOVED], 0);
    end();
}

static void what_the_process_has_is_first(void **state)
{
    (void)state;
    begin(SMALL);
    rig.busy = true;
    rig.said = 1000;
    turns(10);
    assert_int_equal(rig.taken, 0);
    rig.busy = false;
    splice_go(rig.splice, MILGI_RECEIVE);
    assert_int_equal(backend_reads(0, SIZE_MAX), 1000);
    end();
}

static void a_backends_end_is_told_behind_what_it_said(void **state)
{
    (void)state;
    begin(SMALL);
    rig.room = 0;
    assert_int_equal(backend_says(0, 7000), 7000);
    shutdown(rig.backend, SHUT_WR);
    turns(10);
    assert_int_equal(rig.told[ENDED], 0);
    rig.room = SIZE_MAX;
    turns(10);
    assert_int_equal(rig.got, 7000);
    assert_int_equal(rig.told[ENDED], 1);
    assert_false(splice_has(rig.splice, MILGI_SEND));
    rig.said = 500; /* the other direction goes on */
    turn();
    assert_int_equal(backend_reads(0, SIZE_MAX), 500);
    end();
}

/* One that goes with something unread is no end; and what is in the pipe is lost with it. */
static void a_backend_that_is_gone_is_told_of(void **state)
{
    (void)state;
    begin_with_much();
    size_t held = splice_held(rig.splice, MILGI_RECEIVE);
    close(rig.backend);
    rig.backend = -1;
    turns(20);
    assert_int_equal(rig.told[FAILED] + rig.told[DEAF], 2);
    assert_int_equal(rig.told[ENDED], 0);
    assert_true(rig.error == UV_EPIPE || rig.error == UV_ECONNRESET);
    assert_int_equal(rig.lost, held);
    assert_int_equal(splice_held(rig.splice, MILGI_RECEIVE), 0);
    assert_false(rig.splices || splice_has(rig.splice, MILGI_RECEIVE) || splice_has(rig.splice, MILGI_SEND));
    assert_false(splice_start(rig.splice, MILGI_RECEIVE));
    end();
}

static void a_stream_that_does_not_take_it_is_told_of(void **state)
{
    (void)state;
    begin(SMALL);
    rig.answer = MILGI_ETRANSPORT;
    assert_int_equal(backend_says(0, 7000), 7000);
    turns(5);
    assert_int_equal(rig.told[LOST], 1);
    assert_false(splice_has(rig.splice, MILGI_SEND));
    end();
}

static void without_its_stream_what_it_said_goes_on(void **state)
{
    size_t read = 0;
    (void)state;
    begin_with_much();
    splice_part(rig.splice);
    assert_false(splice_has(rig.splice, MILGI_SEND));
    rig.waits[MILGI_RECEIVE] = false;
    for (unsigned i = 0; i < 20; i++, turn())
        read += backend_reads(read, SIZE_MAX);
    assert_int_equal(read, rig.taken);
    end();
}

static void it_may_be_ended_wherever_it_tells(void **state)
{
    (void)state;
    for (int at = MOVED; at <= LOST; at++) {
        begin(SMALL);
        rig.ends_at = (enum told)at;
        rig.said = at == DEAF ? SIZE_MAX : at == MOVED ? 0
                                                       : 100;
        rig.answer = at == LOST ? MILGI_ETRANSPORT : 0;
        assert_int_equal(backend_says(0, 100), 100);
        if (at == ENDED)
            shutdown(rig.backend, SHUT_WR);
        for (unsigned i = 0; i < 20; i++) {
            turn();
            if (i == 10 && (at == DEAF || at == FAILED)) {
                close(rig.backend);
                rig.backend = -1;
            }
        }
        assert_int_equal(rig.told[at], 1);
        assert_null(rig.splice);
        end();
    }
}

static void without_pipes_or_descriptors_there_is_none(void **state)
{
    struct rlimit limit, none;
    (void)state;
    begin(SMALL);
    splice_end(rig.splice);
    rig.splices = false;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){ .rlim_cur = 1, .rlim_max = limit.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    rig.splice = splice_new(&rig.loop, rig.backend, (struct milgi_stream *)&rig, &splice_events, &rig.loop);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_null(rig.splice);
    rig.splice = splice_new(&rig.loop, rig.backend, (struct milgi_stream *)&rig, &splice_events, &rig.loop);
    rig.refused = 1;
    assert_false(splice_start(rig.splice, MILGI_RECEIVE));
    assert_false(rig.splices || splice_has(rig.splice, MILGI_RECEIVE));
    assert_false(splice_start(rig.splice, MILGI_RECEIVE)); /* it is not tried again and again */
    assert_true(splice_start(rig.splice, MILGI_SEND));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_cross_both_ways_in_order),
        cmocka_unit_test(others_have_their_turn),
        cmocka_unit_test(who_waits_does_not_spin),
        cmocka_unit_test(what_the_process_has_is_first),
        cmocka_unit_test(a_backends_end_is_told_behind_what_it_said),
        cmocka_unit_test(a_backend_that_is_gone_is_told_of),
        cmocka_unit_test(a_stream_that_does_not_take_it_is_told_of),
        cmocka_unit_test(without_its_stream_what_it_said_goes_on),
        cmocka_unit_test(it_may_be_ended_wherever_it_tells),
        cmocka_unit_test(without_pipes_or_descriptors_there_is_none),
    };
    signal(SIGPIPE, SIG_IGN);                                                /* as the program does */
    assert_int_equal(uv_loop_init(&rig.loop) + uv_loop_close(&rig.loop), 0); /* what libuv opens once, and keeps */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
