/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that go between a pipe and the socket, past the connection: in which order, how far, and how it ends.
   ctest-wrap: fcntl fopen */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kernel.h"

static void begin(uint16_t version)
{
    play_begin(&(struct play){ .version = version });
    play_hand_over(true, true, true, true);
}

static struct milgi_conn_info info_of(const struct end *e)
{
    struct milgi_conn_info info;
    milgi_conn_info(e->side->conn, &info);
    return info;
}

static void splice_all(struct end *from, size_t bytes)
{
    int rv;
    assert_int_equal(play_splice(from, bytes, &rv), bytes);
    assert_int_equal(rv, 0);
}

/* Both ways at once, with what the connection sends itself before and behind it. */
static void bytes_go_past_the_connection_in_order(void **state)
{
    (void)state;
    for (uint16_t version = 0x0303; version <= 0x0304; version++) {
        begin(version);
        client->splices = server->splices = true;
        for (unsigned i = 0; i < 3; i++) {
            play_send(client, 5000);
            play_settle();
            splice_all(client, 40000);
            splice_all(server, 1);
            play_settle();
        }
        play_check();
        assert_int_equal(server->bytes_spliced, 3 * 45000);
        assert_int_equal(info_of(server).bytes_in, 3 * 45000);
        assert_int_equal(info_of(client).bytes_out, 3 * 45000);
        assert_int_equal(info_of(server).bytes_out, 3);
        play_close();
        play_end();
    }
}

static void what_the_connection_has_to_send_goes_first(void **state)
{
    int rv;
    (void)state;
    play_begin(&(struct play){ 0 });
    play_settle();
    assert_int_equal(play_splice(server, 100, &rv), 0);
    assert_int_equal(rv, MILGI_EINVAL); /* not the kernel's */
    play_hand_over(true, true, true, true);
    play_send(server, 100);
    assert_int_equal(play_splice(server, 100, &rv), 0);
    assert_int_equal(rv, MILGI_PAUSE);
    play_settle();
    server->room = 50;
    assert_int_equal(play_splice(server, 100, &rv), 50);
    assert_int_equal(rv, MILGI_PAUSE);
    server->room = SIZE_MAX;
    splice_all(server, 100);
    play_settle();
    play_check();
    assert_int_equal(milgi_conn_shutdown(server->side->conn), 0);
    assert_int_equal(play_splice(server, 100, &rv), 0);
    assert_int_equal(rv, MILGI_ECLOSED);
    play_end();
}

static void a_socket_that_does_not_take_it_has_failed(void **state)
{
    int rv;
    (void)state;
    begin(0x0304);
    server->splice_error = -EINTR;
    splice_all(server, 100);
    server->splice_error = -EPIPE;
    assert_int_equal(play_splice(server, 100, &rv), 0);
    assert_int_equal(rv, MILGI_ETRANSPORT);
    assert_int_equal(milgi_ktls_error(server->ktls), EPIPE);
    assert_int_equal(play_splice(server, 100, &rv), 0);
    assert_int_equal(rv, MILGI_ETRANSPORT);
    play_settle();
    play_check();
    play_end();
}

/* KeyUpdates of both ends in mid-transfer: they are read, answered, and it goes on under the new keys. */
static void keys_change_in_mid_transfer(void **state)
{
    (void)state;
    begin(0x0304);
    client->splices = server->splices = true;
    for (unsigned i = 0; i < 4; i++) {
        splice_all(client, 20000);
        splice_all(server, 30000);
        assert_int_equal(milgi_conn_update_keys((i & 1 ? client : server)->side->conn, true), 0);
        play_settle();
        splice_all(client, 10000);
        play_settle();
    }
    play_check();
    assert_true(info_of(client).key_updates_in >= 4 && info_of(server).key_updates_in >= 4);
    assert_int_equal(client->bytes_spliced + server->bytes_spliced, 4 * 60000);
    play_close();
    play_end();
}

static void nothing_is_spliced_under_a_key_that_is_used_up(void **state)
{
    int rv;
    (void)state;
    begin(0x0304);
    assert_int_equal(milgi_conn_update_keys(client->side->conn, true), 0);
    play_splice(client, 100, &rv);
    assert_int_equal(rv, MILGI_PAUSE);
    play_settle();
    splice_all(client, 100);
    play_settle();
    play_check();
    play_end();
}

/* RFC 8446 6.1: what comes behind a close_notify counts for nothing, whether it has been looked at yet or not. */
static void nothing_is_received_behind_the_end(void **state)
{
    static const uint8_t close_notify[] = { 1, 0 };
    size_t moved;
    int fd[2];
    (void)state;
    begin(0x0304);
    assert_int_equal(pipe2(fd, O_NONBLOCK), 0);
    kernel_seal(client, 21, close_notify, sizeof close_notify);
    kernel_seal(client, 23, "late", 4);
    pair_bytes_add(&server->in, client->side->wire.p, client->side->wire.len);
    pair_bytes_drop(&client->side->wire, client->side->wire.len);
    assert_int_equal(milgi_ktls_splice(server->ktls, MILGI_RECEIVE, fd[1], 4096, &moved), 0);
    assert_int_equal(moved, 0); /* the alert is not for a pipe */
    assert_int_equal(milgi_ktls_splice(server->ktls, MILGI_RECEIVE, fd[1], 4096, &moved), 0);
    assert_int_equal(server->splices_n, 1); /* what a socket says once is not asked for again before it was told */
    assert_int_equal(milgi_ktls_read(server->ktls), 0);
    assert_int_equal(milgi_ktls_splice(server->ktls, MILGI_RECEIVE, fd[1], 4096, &moved), MILGI_PAUSE);
    while (pair_run(server->side, NULL) == MILGI_RUN_AGAIN)
        ;
    assert_int_equal(server->side->alerts_n, 1);
    assert_int_equal(milgi_ktls_splice(server->ktls, MILGI_RECEIVE, fd[1], 4096, &moved), MILGI_ECLOSED);
    assert_int_equal(server->splices_n, 1);
    close(fd[0]);
    close(fd[1]);
    play_end();
}

/* Of each the socket tells once: splice() has had it, and reading finds nothing, or an end. */
static void what_splice_has_met_is_not_forgotten(void **state)
{
    static const struct {
        int splice, alert, error;
    } row[] = {
        { -EINVAL, MILGI_ALERT_UNEXPECTED_MESSAGE, MILGI_EPROTO },
        { -EBADMSG, MILGI_ALERT_BAD_RECORD_MAC, MILGI_EBADRECORD },
        { -EMSGSIZE, MILGI_ALERT_RECORD_OVERFLOW, MILGI_EPROTO },
        { -ECONNRESET, MILGI_ALERT_NONE, MILGI_ETRANSPORT },
        { -ETIMEDOUT, MILGI_ALERT_NONE, MILGI_ETRANSPORT },
    };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof row / sizeof row[0]; i++) {
        begin(0x0304);
        server->splices = true;
        splice_all(client, 1000);
        play_settle();
        server->splice_error = row[i / 2].splice;
        server->ended = i % 2;
        play_settle();
        assert_int_equal(server->side->got.len, 1000);
        assert_true(server->side->closed);
        assert_int_equal(server->side->reason.error, row[i / 2].error);
        assert_int_equal(server->side->reason.alert, row[i / 2].alert);
        play_end();
    }
}

/* It is read, and what splice() said of it, which was that it is no data, is not said of the next. */
static void an_alert_is_no_error_of_the_socket(void **state)
{
    static const uint8_t warning[] = { 1, 90 };
    (void)state;
    begin(0x0303);
    server->splices = true;
    splice_all(client, 1000);
    kernel_seal(client, 21, warning, sizeof warning);
    splice_all(client, 1000);
    play_settle();
    play_check();
    assert_false(server->side->closed);
    assert_int_equal(server->bytes_spliced, 2000);
    play_close();
    play_end();
}

/* splice() says of an empty record what it says of an end. */
static void an_empty_record_is_no_end_and_is_counted(void **state)
{
    (void)state;
    begin(0x0304);
    server->splices = true;
    for (unsigned i = 0; i < 20; i++) {
        kernel_seal(client, 23, "", 0);
        splice_all(client, 100);
        play_settle();
    }
    play_check();
    assert_false(server->side->closed);
    for (unsigned i = 0; i < 2000 && !server->side->closed; i++) {
        kernel_seal(client, 23, "", 0);
        play_settle();
    }
    assert_true(server->side->closed);
    assert_int_equal(server->side->reason.error, MILGI_ELIMIT);
    play_end();
}

static void an_end_without_a_word_is_no_end(void **state)
{
    (void)state;
    begin(0x0304);
    server->splices = true;
    splice_all(client, 1000);
    play_settle();
    server->ended = true;
    play_settle();
    assert_true(server->side->closed);
    assert_int_equal(server->side->reason.error, MILGI_ETRUNCATED);
    play_end();
}

/* What a user may have in pipes is bounded (fs.pipe-user-pages-soft): no pipe may be larger than so many pages. */
static int pages_allowed;

int __wrap_fcntl(int fd, int what, ...);
int __real_fcntl(int fd, int what, ...);

int __wrap_fcntl(int fd, int what, ...)
{
    va_list list;
    va_start(list, what);
    int value = va_arg(list, int);
    va_end(list);
    if (what == F_SETPIPE_SZ && pages_allowed && value > pages_allowed * (int)sysconf(_SC_PAGESIZE)) {
        errno = EPERM;
        return -1;
    }
    return __real_fcntl(fd, what, value);
}

/* What the kernel says of TLS; NULL: what this one does. */
static const char *statistics;

FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__real_fopen(const char *path, const char *mode);

FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (!statistics || strcmp(path, "/proc/net/tls_stat"))
        return __real_fopen(path, mode);
    return fmemopen((void *)(uintptr_t)statistics, strlen(statistics), "r");
}

static int next_descriptor(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

/* A pipe, gone again: how often may be received into it. */
static int times_of_pipe(enum milgi_direction direction)
{
    int made[2] = { -7, -7 };
    int times = milgi_ktls_pipe(direction, made);
    if (times < 0) {
        assert_true(made[0] == -7 && made[1] == -7);
        return times;
    }
    int pages = fcntl(made[0], F_GETPIPE_SZ) / (int)sysconf(_SC_PAGESIZE);
    assert_true(direction == MILGI_SEND || pages >= times * (int)MILGI_KTLS_PIECES);
    close(made[0]);
    close(made[1]);
    return times;
}

/* One that is too small for a record would lose bytes: there is none then, nor a descriptor left of it. */
static void a_pipe_is_as_large_as_may_be_and_none_is_too_small(void **state)
{
    static const struct {
        int pages, times;
    } rows[] = { { 1, -ENOBUFS }, { 16, -ENOBUFS }, { 31, -ENOBUFS }, { 32, 1 }, { 63, 1 }, { 64, 3 } };
    struct utsname kernel;
    unsigned major;
    int next = next_descriptor();
    (void)state;
    assert_int_equal(uname(&kernel), 0);
    assert_int_equal(sscanf(kernel.release, "%u.", &major), 1);
    statistics = "TlsCurrTxSw \t0\nTlsRxDevice \t0\n";
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pages_allowed = rows[i].pages;
        assert_int_equal(times_of_pipe(MILGI_RECEIVE), major >= 6 ? rows[i].times : -EOPNOTSUPP);
        assert_int_equal(times_of_pipe(MILGI_SEND), 1); /* where its size does not matter */
        assert_int_equal(next_descriptor(), next);
    }
    pages_allowed = 0;
    statistics = "TlsCurrTxSw \t0\nTlsRxDevice \t1\n"; /* a card leaves records in more pieces */
    assert_int_equal(times_of_pipe(MILGI_RECEIVE), -EOPNOTSUPP);
    statistics = NULL;
}

/* A kernel that may lose bytes gets no pipe for receiving; one that may not has room for the pieces of a record. */
static void pipes_are_large_enough(void **state)
{
    int ends_of_it[2];
    struct rlimit limit, none;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){ .rlim_cur = 1, .rlim_max = limit.rlim_max };
    ends_of_it[0] = ends_of_it[1] = -7;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(milgi_ktls_pipe(MILGI_SEND, ends_of_it), -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(ends_of_it[0] == -7 && ends_of_it[1] == -7);
    assert_int_equal(milgi_ktls_pipe(MILGI_SEND, ends_of_it), 1);
    assert_true(fcntl(ends_of_it[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(ends_of_it[1], F_GETFD) & FD_CLOEXEC);
    close(ends_of_it[0]);
    close(ends_of_it[1]);
    int times = milgi_ktls_pipe(MILGI_RECEIVE, ends_of_it);
    if (times == -EOPNOTSUPP)
        return; /* an old one, or without TLS */
    assert_true(times > 0);
    assert_true(fcntl(ends_of_it[0], F_GETPIPE_SZ) / sysconf(_SC_PAGESIZE) >= times * (int)MILGI_KTLS_PIECES);
    close(ends_of_it[0]);
    close(ends_of_it[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_past_the_connection_in_order),
        cmocka_unit_test(what_the_connection_has_to_send_goes_first),
        cmocka_unit_test(a_socket_that_does_not_take_it_has_failed),
        cmocka_unit_test(keys_change_in_mid_transfer),
        cmocka_unit_test(nothing_is_spliced_under_a_key_that_is_used_up),
        cmocka_unit_test(nothing_is_received_behind_the_end),
        cmocka_unit_test(what_splice_has_met_is_not_forgotten),
        cmocka_unit_test(an_alert_is_no_error_of_the_socket),
        cmocka_unit_test(an_empty_record_is_no_end_and_is_counted),
        cmocka_unit_test(an_end_without_a_word_is_no_end),
        cmocka_unit_test(a_pipe_is_as_large_as_may_be_and_none_is_too_small),
        cmocka_unit_test(pipes_are_large_enough),
    };
    return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
