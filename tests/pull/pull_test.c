/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blocking adapter: a client in the test's thread, a server in another, a socket pair between them.
 * ctest-wrap: poll realloc
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "configs.h"
#include "milgi_pull.h"

struct rig;

/* One side. What the server's thread asserts is kept in |ok|: cmocka fails tests in its own thread only. */
struct side {
    struct rig *rig;
    struct milgi_engine *engine;
    struct milgi_device *device;
    struct milgi_pull *pull;
    int fd;
    bool ok;
};

struct rig {
    struct identity *root, *leaf;
    struct milgi_config *server, *client;
    struct side a, b; /* client, server */
    pthread_t thread;
    bool (*serve)(struct side *b);
    sem_t go; /* what end_later() waits for */
};

static size_t memory_limit; /* of the engines that are made; 0: the default */
static __thread unsigned polls;
static __thread int poll_error; /* what it fails with; 0: it does not */

int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
    polls++;
    if (poll_error) {
        errno = poll_error;
        return -1;
    }
    return __real_poll(fds, n, timeout);
}

static __thread bool no_memory; /* for what is to grow */

void *__real_realloc(void *ptr, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void *__wrap_realloc(void *ptr, size_t size)
{
    return no_memory ? NULL : __real_realloc(ptr, size);
}

static bool write_pattern(struct milgi_pull *pull, size_t len)
{
    uint8_t *data = malloc(len);
    pattern_fill(data, 0, len);
    bool ok = milgi_pull_write(pull, data, len) == 0;
    free(data);
    return ok;
}

/* Reads to the end, or |most| bytes, and compares. */
static ssize_t read_pattern(struct milgi_pull *pull, size_t most)
{
    uint8_t block[7001];
    size_t at = 0;
    while (at < most) {
        ssize_t n = milgi_pull_read(pull, block, most - at < sizeof block ? most - at : sizeof block);
        if (n < 0)
            return n;
        if (!n)
            break;
        if (!is_pattern(block, at, (size_t)n))
            return -1000;
        at += (size_t)n;
    }
    return (ssize_t)at;
}

/* --- the rig ------------------------------------------------------------------------------------------------------ */

static void side_open(struct side *s, struct rig *r, struct milgi_config *config, const char *name, const char *device,
    int fd)
{
    s->rig = r;
    s->fd = fd;
    s->ok = true;
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.memory_limit = memory_limit ? memory_limit : options.memory_limit;
    assert_int_equal(milgi_engine_new(&options, &s->engine), 0);
    if (device) {
        assert_int_equal(milgi_device_new(device, &s->device, NULL), 0);
        int index = milgi_engine_add_device(s->engine, s->device);
        assert_int_equal(milgi_engine_route(s->engine, s->device->caps.ops, (unsigned)index, 1), 0);
    }
    assert_int_equal(milgi_pull_new(s->engine, config, name, fd, NULL, &s->pull), 0);
}

static void side_close(struct side *s)
{
    milgi_pull_free(s->pull);
    s->pull = NULL;
    close(s->fd);
}

static void *serve(void *arg)
{
    struct rig *r = arg;
    r->b.ok = r->serve(&r->b);
    side_close(&r->b);
    return NULL;
}

static void rig_open(struct rig *r, const char *device, const char *name, bool (*server)(struct side *b))
{
    int fd[2];
    *r = (struct rig){ .serve = server };
    sem_init(&r->go, 0, 0);
    r->root = identity_root(IDENTITY_P256, "root");
    r->leaf = identity_leaf(r->root, IDENTITY_P256, "DNS:pull.test");
    r->server = configs_freeze(configs_begin(MILGI_SERVER, r->leaf, NULL));
    r->client = configs_freeze(configs_begin(MILGI_CLIENT, NULL, r->root));
    socket_pair(fd);
    side_open(&r->a, r, r->client, name, device, fd[0]);
    side_open(&r->b, r, r->server, NULL, device, fd[1]);
    milgi_pull_set_timeout(r->a.pull, 20000);
    milgi_pull_set_timeout(r->b.pull, 20000);
    assert_int_equal(pthread_create(&r->thread, NULL, serve, r), 0);
}

static void rig_close(struct rig *r)
{
    side_close(&r->a);
    pthread_join(r->thread, NULL);
    sem_destroy(&r->go);
    milgi_engine_free(r->a.engine);
    milgi_engine_free(r->b.engine);
    milgi_device_free(r->a.device);
    milgi_device_free(r->b.device);
    milgi_config_unref(r->server);
    milgi_config_unref(r->client);
    identity_free(r->leaf);
    identity_free(r->root);
    assert_true(r->b.ok);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

#define MUCH 3000000

static bool answer_much(struct side *b)
{
    return read_pattern(b->pull, MUCH) == MUCH && write_pattern(b->pull, MUCH) && milgi_pull_shutdown(b->pull) == 0 &&
        read_pattern(b->pull, MUCH) == 0;
}

static void talk(const char *device)
{
    struct rig r;
    struct milgi_conn_info info;
    rig_open(&r, device, "pull.test", answer_much);
    assert_int_equal(milgi_pull_handshake(r.a.pull), 0);
    milgi_conn_info(milgi_pull_conn(r.a.pull), &info);
    assert_true(info.established && info.peer_authenticated);
    assert_true(write_pattern(r.a.pull, MUCH));
    assert_int_equal(read_pattern(r.a.pull, 2 * MUCH), MUCH);
    assert_null(milgi_pull_reason(r.a.pull));
    assert_int_equal(milgi_pull_shutdown(r.a.pull), 0);
    assert_int_equal(milgi_pull_shutdown(r.a.pull), 0); /* once more is nothing more */
    rig_close(&r);
}

static void a_request_and_an_answer_as_with_a_blocking_socket(void **state)
{
    (void)state;
    talk(NULL);
}

static void the_same_with_threads(void **state)
{
    (void)state;
    talk("pool:2");
}

static void the_same_with_a_device_that_reorders(void **state)
{
    (void)state;
    talk("sim:latency=200us,units=8,depth=64,order=out");
}

/* Both write before either reads: that fits while it is below the credit and the sockets' buffers. */
static bool write_first(struct side *b)
{
    return write_pattern(b->pull, 150000) && read_pattern(b->pull, 150000) == 150000 &&
        milgi_pull_shutdown(b->pull) == 0 && read_pattern(b->pull, 1) == 0;
}

static void both_sides_may_write_first(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, "pull.test", write_first);
    assert_true(write_pattern(r.a.pull, 150000));
    assert_int_equal(read_pattern(r.a.pull, 200000), 150000);
    assert_int_equal(milgi_pull_shutdown(r.a.pull), 0);
    rig_close(&r);
}

static bool expect_alert(struct side *b)
{
    const struct milgi_reason *reason;
    uint8_t byte;
    if (milgi_pull_read(b->pull, &byte, 1) != MILGI_EALERT)
        return false;
    reason = milgi_pull_reason(b->pull);
    return reason && reason->alert == MILGI_ALERT_BAD_CERTIFICATE && reason->alert_from_peer;
}

static void a_wrong_name_is_an_error_here_and_an_alert_there(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, "other.test", expect_alert);
    assert_int_equal(milgi_pull_handshake(r.a.pull), MILGI_EVERIFY);
    assert_int_equal(milgi_pull_write(r.a.pull, "x", 1), MILGI_EVERIFY);
    assert_int_equal(milgi_pull_reason(r.a.pull)->error, MILGI_EVERIFY);
    rig_close(&r);
}

static bool cut(struct side *b)
{
    bool ok = write_pattern(b->pull, 100);
    shutdown(b->fd, SHUT_RDWR);
    return ok;
}

static void a_cut_is_not_an_end(void **state)
{
    struct rig r;
    uint8_t byte;
    (void)state;
    rig_open(&r, NULL, "pull.test", cut);
    assert_int_equal(read_pattern(r.a.pull, 100), 100);
    assert_int_equal(milgi_pull_read(r.a.pull, &byte, 1), MILGI_ETRUNCATED);
    assert_int_equal(milgi_pull_reason(r.a.pull)->cls, MILGI_CLASS_IO);
    rig_close(&r);
}

static bool end_later(struct side *b)
{
    bool ok = milgi_pull_handshake(b->pull) == 0;
    while (sem_wait(&b->rig->go) != 0)
        ;
    return ok && write_pattern(b->pull, 100) && milgi_pull_shutdown(b->pull) == 0;
}

static void a_timeout_loses_nothing(void **state)
{
    struct rig r;
    uint8_t byte;
    (void)state;
    rig_open(&r, NULL, "pull.test", end_later);
    assert_int_equal(milgi_pull_handshake(r.a.pull), 0);
    milgi_pull_set_timeout(r.a.pull, 50);
    assert_int_equal(milgi_pull_read(r.a.pull, &byte, 1), MILGI_ETIMEOUT);
    sem_post(&r.go);
    milgi_pull_set_timeout(r.a.pull, 20000);
    assert_int_equal(read_pattern(r.a.pull, 200), 100);
    rig_close(&r);
}

/* What is readable and has nowhere to go is looked at now and then, not without end. */
static void nobody_spins_while_there_is_no_memory_to_read_into(void **state)
{
    struct rig r;
    struct hoard h;
    uint8_t byte;
    (void)state;
    memory_limit = 1 << 20;
    rig_open(&r, NULL, "pull.test", end_later);
    memory_limit = 0;
    assert_int_equal(milgi_pull_handshake(r.a.pull), 0);
    hoard(&h, r.a.engine, 1024);
    sem_post(&r.go);
    struct pollfd readable = { r.a.fd, POLLIN, 0 };
    assert_int_equal(poll(&readable, 1, 20000), 1);
    milgi_pull_set_timeout(r.a.pull, 500);
    polls = 0;
    assert_int_equal(milgi_pull_read(r.a.pull, &byte, 1), MILGI_ETIMEOUT);
    assert_in_range(polls, 1, 50);
    hoard_give_back(&h);
    milgi_pull_set_timeout(r.a.pull, 20000);
    assert_int_equal(read_pattern(r.a.pull, 200), 100);
    rig_close(&r);
}

#define RECORD (5u + 16384u)
#define BEGUN 100u

/* No TLS: a record of what is no message, in two parts. */
static bool begin_a_record(struct side *b)
{
    uint8_t record[RECORD] = { 22, 3, 3, 0x40, 0 };
    bool ok = write(b->fd, record, BEGUN) == BEGUN;
    sem_wait(&b->rig->go);
    for (size_t at = BEGUN; ok && at < RECORD;) {
        ssize_t n = write(b->fd, record + at, RECORD - at);
        ok = n > 0;
        at += ok ? (size_t)n : 0;
    }
    while (read(b->fd, record, sizeof record) > 0) {
    }
    return ok;
}

static void a_record_that_is_begun_is_had_though_others_have_all_memory(void **state)
{
    struct rig r;
    struct hoard h;
    (void)state;
    memory_limit = 1 << 20;
    rig_open(&r, NULL, "pull.test", begin_a_record);
    memory_limit = 0;
    milgi_pull_set_timeout(r.a.pull, 0);
    while (!milgi_conn_record_rest(milgi_pull_conn(r.a.pull))) {
        assert_int_equal(milgi_pull_handshake(r.a.pull), MILGI_ETIMEOUT);
        poll(NULL, 0, 1);
    }
    assert_int_equal(milgi_conn_record_rest(milgi_pull_conn(r.a.pull)), RECORD - BEGUN);
    hoard(&h, r.a.engine, 1024);
    sem_post(&r.go);
    milgi_pull_set_timeout(r.a.pull, 20000);
    assert_int_not_equal(milgi_pull_handshake(r.a.pull), MILGI_ETIMEOUT);
    assert_int_equal(milgi_pull_reason(r.a.pull)->alert, MILGI_ALERT_UNEXPECTED_MESSAGE);
    hoard_give_back(&h);
    rig_close(&r);
}

static bool wait_for_the_end(struct side *b)
{
    bool ok = milgi_pull_handshake(b->pull) == 0;
    return ok && read_pattern(b->pull, 1) == 0;
}

static void nobody_spins_when_there_is_nothing_to_wait_with(void **state)
{
    struct rig r;
    uint8_t byte;
    (void)state;
    rig_open(&r, NULL, "pull.test", end_later);
    assert_int_equal(milgi_pull_handshake(r.a.pull), 0);
    polls = 0;
    poll_error = ENOMEM;
    milgi_pull_set_timeout(r.a.pull, 500);
    assert_int_equal(milgi_pull_read(r.a.pull, &byte, 1), MILGI_ETRANSPORT);
    assert_in_range(polls, 1, 3);
    poll_error = 0;
    sem_post(&r.go);
    milgi_pull_set_timeout(r.a.pull, 20000);
    assert_int_equal(read_pattern(r.a.pull, 200), 100); /* nothing is lost by it */
    rig_close(&r);
}

static void nobody_spins_over_a_descriptor_that_is_closed(void **state)
{
    struct rig r;
    uint8_t byte;
    (void)state;
    rig_open(&r, NULL, "pull.test", wait_for_the_end);
    assert_int_equal(milgi_pull_handshake(r.a.pull), 0);
    assert_int_equal(milgi_pull_shutdown(r.a.pull), 0);
    int kept = dup(r.a.fd);
    close(r.a.fd);
    polls = 0;
    milgi_pull_set_timeout(r.a.pull, 500);
    assert_int_equal(milgi_pull_read(r.a.pull, &byte, 1), MILGI_ETRANSPORT);
    assert_in_range(polls, 1, 3);
    assert_int_equal(dup2(kept, r.a.fd), r.a.fd);
    close(kept);
    rig_close(&r);
}

/* --- transports of the caller ------------------------------------------------------------------------------------- */

struct slow {
    int fd;
    unsigned calls;
};

/* One byte at a time, and every third time none. */
static ssize_t slow_receive(void *ctx, void *data, size_t len)
{
    struct slow *slow = ctx;
    (void)len;
    ssize_t n = slow->calls++ % 3 ? recv(slow->fd, data, 1, MSG_DONTWAIT) : (errno = EAGAIN, -1);
    return n < 0 ? -errno : n;
}

static ssize_t slow_send(void *ctx, const void *data, size_t len)
{
    struct slow *slow = ctx;
    (void)len;
    ssize_t n = slow->calls++ % 3 ? send(slow->fd, data, 1, MSG_DONTWAIT | MSG_NOSIGNAL) : (errno = EAGAIN, -1);
    return n < 0 ? -errno : n;
}

static bool answer_little(struct side *b)
{
    return read_pattern(b->pull, 100) == 100 && write_pattern(b->pull, 100) && milgi_pull_shutdown(b->pull) == 0 &&
        read_pattern(b->pull, 1) == 0;
}

static void bytes_may_be_moved_by_the_callers_functions(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, "pull.test", answer_little);
    struct slow slow = { r.a.fd, 0 };
    struct milgi_pull_io io = { slow_receive, slow_send, &slow };
    milgi_pull_free(r.a.pull);
    assert_int_equal(milgi_pull_new(r.a.engine, r.client, "pull.test", r.a.fd, &io, &r.a.pull), 0);
    milgi_pull_set_timeout(r.a.pull, 20000);
    assert_true(write_pattern(r.a.pull, 100));
    assert_int_equal(read_pattern(r.a.pull, 200), 100);
    assert_int_equal(milgi_pull_shutdown(r.a.pull), 0);
    assert_true(slow.calls > 300);
    rig_close(&r);
}

/* --- memory ------------------------------------------------------------------------------------------------------- */

size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t heap(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct narrow {
    int fd;
    size_t most; /* bytes of heap at any time */
};

static ssize_t narrow_receive(void *ctx, void *data, size_t len)
{
    struct narrow *narrow = ctx;
    size_t now = heap();
    narrow->most = now > narrow->most ? now : narrow->most;
    ssize_t n = recv(narrow->fd, data, len, MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

/* Never all of it at once, so that something is always left behind. */
static ssize_t narrow_send(void *ctx, const void *data, size_t len)
{
    struct narrow *narrow = ctx;
    size_t now = heap();
    narrow->most = now > narrow->most ? now : narrow->most;
    ssize_t n = send(narrow->fd, data, len > 3000 ? 3000 : len, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

#define PIECE 1000000
#define PIECES 24

static bool write_pieces(struct side *b)
{
    int small = 4096;
    struct narrow narrow = { b->fd, 0 };
    struct milgi_pull_io io = { narrow_receive, narrow_send, &narrow };
    setsockopt(b->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    milgi_pull_free(b->pull);
    if (milgi_pull_new(b->engine, b->rig->server, NULL, b->fd, &io, &b->pull))
        return false;
    milgi_pull_set_timeout(b->pull, 20000);
    bool ok = milgi_pull_handshake(b->pull) == 0;
    size_t before = heap();
    uint8_t *data = calloc(PIECES, PIECE);
    ok = ok && milgi_pull_write(b->pull, data, (size_t)PIECES * PIECE) == 0 && milgi_pull_shutdown(b->pull) == 0;
    free(data);
    return ok && narrow.most - before < (size_t)PIECES * PIECE + 6000000;
}

/* The writer's socket is narrow, the reader takes less at a time than there is: neither buffer is ever empty. */
static void memory_follows_what_is_held_not_what_has_passed(void **state)
{
    struct rig r;
    uint8_t block[999];
    size_t got = 0;
    ssize_t n;
    (void)state;
    rig_open(&r, NULL, "pull.test", write_pieces);
    while ((n = milgi_pull_read(r.a.pull, block, sizeof block)) > 0)
        got += (size_t)n;
    assert_int_equal(n, 0);
    assert_int_equal(got, (size_t)PIECES * PIECE);
    rig_close(&r);
}

/* --- one direction fails ------------------------------------------------------------------------------------------ */

/* It says all that it has to say, and hears nothing. */
static bool say_and_go(struct side *b)
{
    bool ok = write_pattern(b->pull, 100000) && milgi_pull_shutdown(b->pull) == 0;
    shutdown(b->fd, SHUT_RD);
    return ok;
}

static void what_the_peer_said_is_read_though_sending_to_it_has_failed(void **state)
{
    struct rig r;
    uint8_t byte = 0;
    int rv = 0;
    (void)state;
    rig_open(&r, NULL, "pull.test", say_and_go);
    assert_int_equal(milgi_pull_handshake(r.a.pull), 0);
    for (int i = 0; i < 10000 && !rv; i++) {
        rv = milgi_pull_write(r.a.pull, &byte, 1);
        poll(NULL, 0, 1);
    }
    assert_int_equal(rv, MILGI_ETRANSPORT);
    assert_int_equal(read_pattern(r.a.pull, 200000), 100000);
    rig_close(&r);
}

/* --- bounds ------------------------------------------------------------------------------------------------------- */

/* It says more than anybody takes who does not read. */
static bool flood(struct side *b)
{
    uint8_t *data = calloc(4, MUCH);
    int rv = milgi_pull_write(b->pull, data, (size_t)4 * MUCH);
    free(data);
    return rv < 0;
}

/* Nor does it take what is written. */
static void who_only_writes_holds_no_more_than_has_credit(void **state)
{
    struct rig r;
    struct milgi_engine_stats stats;
    uint8_t *data = calloc(4, MUCH);
    (void)state;
    rig_open(&r, NULL, "pull.test", flood);
    assert_int_equal(milgi_pull_handshake(r.a.pull), 0);
    milgi_pull_set_timeout(r.a.pull, 500);
    assert_int_equal(milgi_pull_write(r.a.pull, data, (size_t)4 * MUCH), MILGI_ETIMEOUT);
    free(data);
    milgi_engine_stats(r.a.engine, &stats);
    assert_in_range(milgi_pull_pending(r.a.pull), 1, 1 << 20);
    assert_true(stats.memory < 1 << 20);
    rig_close(&r);
}

static bool hear_of_a_fault(struct side *b)
{
    uint8_t byte;
    if (milgi_pull_handshake(b->pull))
        return false;
    (void)write_pattern(b->pull, 100000);
    return milgi_pull_read(b->pull, &byte, 1) == MILGI_EALERT &&
        milgi_pull_reason(b->pull)->alert == MILGI_ALERT_INTERNAL_ERROR;
}

static void of_what_there_is_no_memory_for_nothing_is_read_behind_the_gap(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, "pull.test", hear_of_a_fault);
    assert_int_equal(milgi_pull_handshake(r.a.pull), 0);
    no_memory = true;
    assert_int_equal(read_pattern(r.a.pull, 200000), MILGI_ENOMEM);
    no_memory = false;
    assert_int_equal(read_pattern(r.a.pull, 200000), MILGI_ENOMEM);
    rig_close(&r);
}

/* A server that says nothing: the connection has a limit of its own. */
static void who_waits_for_ever_waits_as_long_as_the_connection_does(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, "pull.test", end_later);
    milgi_pull_free(r.a.pull);
    milgi_config_unref(r.client);
    r.client = configs_begin(MILGI_CLIENT, NULL, r.root);
    assert_int_equal(milgi_config_set_limit(r.client, MILGI_LIMIT_HANDSHAKE_NS, 100000000), 0);
    configs_freeze(r.client);
    int fd[2];
    socket_pair(fd);
    assert_int_equal(milgi_pull_new(r.a.engine, r.client, "pull.test", fd[0], NULL, &r.a.pull), 0);
    assert_int_equal(milgi_pull_handshake(r.a.pull), MILGI_ETIMEOUT);
    assert_non_null(milgi_pull_reason(r.a.pull));
    milgi_pull_free(r.a.pull);
    close(fd[0]);
    close(fd[1]);
    assert_int_equal(milgi_pull_new(r.a.engine, r.client, "pull.test", r.a.fd, NULL, &r.a.pull), 0);
    milgi_pull_set_timeout(r.a.pull, 20000);
    sem_post(&r.go);
    assert_int_equal(read_pattern(r.a.pull, 200), 100);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_an_answer_as_with_a_blocking_socket),
        cmocka_unit_test(the_same_with_threads),
        cmocka_unit_test(the_same_with_a_device_that_reorders),
        cmocka_unit_test(both_sides_may_write_first),
        cmocka_unit_test(a_wrong_name_is_an_error_here_and_an_alert_there),
        cmocka_unit_test(a_cut_is_not_an_end),
        cmocka_unit_test(a_timeout_loses_nothing),
        cmocka_unit_test(nobody_spins_while_there_is_no_memory_to_read_into),
        cmocka_unit_test(a_record_that_is_begun_is_had_though_others_have_all_memory),
        cmocka_unit_test(nobody_spins_when_there_is_nothing_to_wait_with),
        cmocka_unit_test(nobody_spins_over_a_descriptor_that_is_closed),
        cmocka_unit_test(bytes_may_be_moved_by_the_callers_functions),
        cmocka_unit_test(memory_follows_what_is_held_not_what_has_passed),
        cmocka_unit_test(what_the_peer_said_is_read_though_sending_to_it_has_failed),
        cmocka_unit_test(who_only_writes_holds_no_more_than_has_credit),
        cmocka_unit_test(of_what_there_is_no_memory_for_nothing_is_read_behind_the_gap),
        cmocka_unit_test(who_waits_for_ever_waits_as_long_as_the_connection_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
