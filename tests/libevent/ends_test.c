/* SPDX-License-Identifier: Apache-2.0 */
/* How a bufferevent over Milgi ends: in order, cut, freed from wherever, with its device, with its engine. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>

#include "rig.h"

static void what_was_written_before_it_was_freed_arrives_and_then_an_end(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.a.send_len = 700000;
    both(&r);
    run_until_sent(&r, &r.a, 700000);
    while (evbuffer_get_length(bufferevent_get_output(r.a.bev)))
        turns(&r, 1);
    end_free(&r.a);
    run_until(&r, &r.b.eof);
    assert_int_equal(r.b.got_len, 700000);
    assert_false(r.b.error);
    rig_close(&r);
}

/*= RFC8446 6.1: "The client and the server must share knowledge that the connection is ending in order to avoid a
 *= truncation attack." */
static void what_is_freed_in_the_middle_never_looks_like_an_end(void **state)
{
    (void)state;
    for (int by_call = 0; by_call < 2; by_call++) {
        struct rig r;
        rig_open(&r, NULL, NULL);
        r.b.send_len = by_call ? 1000 : 8 << 20;
        both(&r);
        run_until_got(&r, &r.a, 1000);
        if (by_call) {
            assert_int_equal(milgi_bufferevent_cut(r.event, r.b.bev), 0);
            assert_int_equal(milgi_bufferevent_cut(r.event, r.b.bev), MILGI_ECLOSED);
            turns(&r, 5);
        } else {
            assert_true(evbuffer_get_length(bufferevent_get_output(r.b.bev)) > 0);
        }
        end_free(&r.b);
        run_until(&r, &r.a.error);
        assert_false(r.a.eof || r.b.error || r.b.eof);
        assert_int_equal(r.a.reason.error, MILGI_EALERT);
        assert_int_equal(r.a.reason.alert, MILGI_ALERT_INTERNAL_ERROR);
        rig_close(&r);
    }
}

/* The server has |len| bytes for the client; the result is one more descriptor of its socket. */
static int with_wire(struct rig *r, size_t len)
{
    int fd[2];
    socket_pair(fd);
    int wire = fcntl(fd[1], F_DUPFD_CLOEXEC, 0);
    r->b.send_len = len;
    client_on(r, fd[0]);
    server_on(r, fd[1]);
    return wire;
}

/* What had come is there, and that it is cut is known. */
static void cut(struct rig *r, int wire)
{
    turns(r, 50);
    assert_int_equal(shutdown(wire, SHUT_WR), 0);
    close(wire);
    while (!milgi_bufferevent_reason(r->event, r->a.bev))
        turns(r, 1);
}

static void a_network_that_is_cut_is_an_error_behind_what_had_come(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    int wire = with_wire(&r, 60000);
    bufferevent_setwatermark(r.a.bev, EV_READ, 0, 1000);
    run_until_got(&r, &r.a, 1);
    bufferevent_disable(r.a.bev, EV_READ);
    cut(&r, wire);
    turns(&r, 20);
    assert_false(r.a.error || r.a.eof);
    bufferevent_enable(r.a.bev, EV_READ);
    run_until(&r, &r.a.error);
    assert_int_equal(r.a.what, BEV_EVENT_ERROR | BEV_EVENT_READING);
    assert_int_equal(r.a.got_len, 60000);
    assert_false(r.a.eof);
    assert_int_equal(r.a.reason.error, MILGI_ETRUNCATED);
    rig_close(&r);
}

static void who_only_writes_is_told_of_a_cut_when_it_writes(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    int wire = with_wire(&r, 60000);
    bufferevent_disable(r.a.bev, EV_READ);
    run_until_sent(&r, &r.b, 60000);
    run_until(&r, &r.a.connected);
    cut(&r, wire);
    assert_int_equal(bufferevent_write(r.a.bev, "x", 1), 0);
    run_until(&r, &r.a.error);
    assert_int_equal(r.a.what, BEV_EVENT_ERROR | BEV_EVENT_WRITING);
    rig_close(&r);
}

/* Whichever end, whatever makes the keys: the other one is told, and nothing is left. */
static void a_bufferevent_may_be_freed_from_every_callback(void **state)
{
    static const char *const devices[] = { NULL, "pool:2", "sim:latency=300us", "chaos:seed=3,max_delay=200us" };
    (void)state;
    for (int at = AT_READ; at < MOMENTS; at++)
        for (int server = 0; server < 2; server++) {
            struct rig r;
            rig_open(&r, devices[(at * 2 + server) % 4], NULL);
            struct end *one = server ? &r.b : &r.a, *other = server ? &r.a : &r.b;
            one->free_at = (enum moment)at;
            r.a.send_len = r.b.send_len = 100000;
            other->shut_when_sent = at == AT_EOF;
            both(&r);
            if (at == AT_ERROR) {
                run_until(&r, &one->connected);
                assert_int_equal(milgi_bufferevent_cut(r.event, other->bev), 0);
            }
            run_until(&r, &one->freed);
            while (at != AT_ERROR && !other->eof && !other->error)
                turns(&r, 1);
            rig_close(&r);
        }
}

static void a_bufferevent_may_be_freed_while_its_ops_are_in_flight(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 60; n += 3) {
        struct rig r;
        rig_open(&r, "sim:latency=400us,units=4", NULL);
        r.a.send_len = r.b.send_len = 400000;
        both(&r);
        turns(&r, n);
        end_free(n & 1 ? &r.a : &r.b);
        turns(&r, n & 2 ? 3 : 0);
        rig_close(&r);
    }
}

/* What it does not do is done by the processor; nobody notices. */
static void a_device_that_fails_loses_nothing(void **state)
{
    static const char *const devices[] = { "chaos:seed=5,fail=1", "chaos:seed=6,fail=0.2,refuse=0.2,max_delay=50us" };
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct rig r;
        struct milgi_engine_stats stats;
        rig_open(&r, devices[i], NULL);
        r.a.send_len = r.b.send_len = 300000;
        r.a.shut_when_sent = r.b.shut_when_sent = true;
        both(&r);
        run_until(&r, &r.a.eof);
        run_until(&r, &r.b.eof);
        assert_int_equal(r.a.got_len, 300000);
        assert_int_equal(r.b.got_len, 300000);
        milgi_engine_stats(milgi_event_engine(r.event), &stats);
        assert_true(stats.device[1].broken > 0);
        rig_close(&r);
    }
}

static void the_peers_refusal_is_told_with_its_reason(void **state)
{
    struct rig r;
    struct identity *stranger = identity_root(IDENTITY_P256, "stranger");
    (void)state;
    rig_open(&r, NULL, NULL);
    milgi_config_unref(r.client);
    r.client = configs_freeze(configs_begin(MILGI_CLIENT, NULL, stranger));
    both(&r);
    run_until(&r, &r.a.error);
    run_until(&r, &r.b.error);
    assert_false(r.a.connected);
    assert_int_equal(r.a.reason.alert, MILGI_ALERT_UNKNOWN_CA);
    assert_false(r.a.reason.alert_from_peer);
    assert_int_equal(r.b.reason.error, MILGI_EALERT);
    assert_true(r.b.reason.alert_from_peer);
    rig_close(&r);
    identity_free(stranger);
}

static void the_engine_may_go_before_the_bufferevents(void **state)
{
    (void)state;
    for (int ended = 0; ended < 2; ended++) {
        struct rig r;
        rig_open(&r, "sim:latency=200us", NULL);
        r.a.send_len = r.b.send_len = ended ? 1000 : 8 << 20;
        r.a.shut_when_sent = r.b.shut_when_sent = ended;
        both(&r);
        run_until_got(&r, &r.a, 1000);
        if (ended) {
            run_until(&r, &r.a.eof);
            run_until(&r, &r.b.eof);
        }
        milgi_event_free(r.event);
        r.event = NULL;
        turns(&r, 20);
        assert_int_equal(r.a.error, !ended);
        assert_int_equal(r.b.error, !ended);
        assert_int_equal(r.a.eof, ended);
        assert_int_equal(milgi_event_new(r.base, NULL, &r.event), 0);
        rig_close(&r);
    }
}

static int tcp_socket(struct sockaddr_in *address, bool listens)
{
    socklen_t len = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    if (listens)
        assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &len), 0);
    return fd;
}

static void a_connection_over_tcp_may_still_be_under_way(void **state)
{
    (void)state;
    for (int listens = 0; listens < 2; listens++) {
        struct rig r;
        struct sockaddr_in address;
        rig_open(&r, NULL, NULL);
        int listener = tcp_socket(&address, listens);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int rv = connect(fd, (struct sockaddr *)&address, sizeof address);
        assert_true(!rv || errno == EINPROGRESS);
        r.a.send_len = 1000;
        r.a.shut_when_sent = true;
        client_on(&r, fd);
        if (listens) {
            int accepted;
            while ((accepted = accept(listener, NULL, NULL)) < 0)
                turns(&r, 1);
            server_on(&r, accepted);
            run_until(&r, &r.b.eof);
            assert_int_equal(r.b.got_len, 1000);
        } else {
            run_until(&r, &r.a.error);
            assert_int_equal(r.a.reason.error, MILGI_ETRANSPORT);
            assert_int_equal(r.a.reason.device_code, ECONNREFUSED);
        }
        close(listener);
        rig_close(&r);
    }
}

/* More than its peer takes, which reads nothing. */
static void send_all_that_fits(struct rig *r, struct end *e)
{
    run_until(r, &e->connected);
    for (size_t last = 0; last != e->sent_len;) {
        last = e->sent_len;
        turns(r, 200);
    }
}

/* Before the handshake, and with more written than it takes. */
static void a_peer_that_never_reads_is_not_waited_for_without_end(void **state)
{
    (void)state;
    for (int open = 0; open < 2; open++) {
        struct milgi_stream_options options;
        struct rig r;
        int fd[2];
        milgi_stream_options_init(&options);
        options.linger_ms = 50;
        options.flush_ms = options.flush_total_ms = 100;
        rig_open(&r, NULL, &options);
        socket_pair(fd);
        r.a.send_len = open ? 8 << 20 : 0;
        client_on(&r, fd[0]);
        if (open) {
            server_on(&r, fd[1]);
            bufferevent_disable(r.b.bev, EV_READ);
            send_all_that_fits(&r, &r.a);
        } else {
            turns(&r, 5);
        }
        end_free(&r.a);
        run_until_streams(&r, (unsigned)open);
        if (!open)
            close(fd[1]);
        rig_close(&r);
    }
}

/* It takes nothing: as long as that is, not as long as a transfer may take in all. */
static void what_is_in_the_pair_waits_no_longer_than_a_peer_may_take_nothing(void **state)
{
    struct milgi_stream_options options;
    struct rig r;
    (void)state;
    milgi_stream_options_init(&options);
    options.linger_ms = 50;
    options.flush_ms = 100;
    options.flush_total_ms = 3600000;
    rig_open(&r, NULL, &options);
    r.a.send_len = 8 << 20;
    both(&r);
    bufferevent_disable(r.b.bev, EV_READ);
    send_all_that_fits(&r, &r.a);
    end_free(&r.a);
    run_until_streams(&r, 1);
    rig_close(&r);
}

static int unsent(int fd)
{
    int n = -1;
    assert_int_equal(ioctl(fd, TIOCOUTQ, &n), 0);
    return n;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* As little as the kernel of |from| hears of. */
static void take_a_little(int from, int to)
{
    uint8_t some[4096];
    int before = unsent(from);
    for (unsigned tries = 0; before && unsent(from) == before; tries++) {
        assert_true(tries < 10000);
        if (recv(to, some, sizeof some, MSG_DONTWAIT) < 0)
            poll(&(struct pollfd){ .fd = to, .events = POLLIN }, 1, 10);
    }
}

/* A socket has room only when much of what is in it has been taken: nothing leaves the pair until then. */
static void whoever_takes_a_little_now_and_then_is_waited_for(void **state)
{
    struct milgi_stream_options options;
    struct sockaddr_in address;
    struct rig r;
    int small = 65536, accepted;
    (void)state;
    milgi_stream_options_init(&options);
    options.linger_ms = 10;
    options.flush_ms = 20;
    options.flush_total_ms = 3600000;
    rig_open(&r, NULL, &options);
    int listener = tcp_socket(&address, true);
    assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int rv = connect(fd, (struct sockaddr *)&address, sizeof address);
    assert_true(!rv || errno == EINPROGRESS);
    r.a.send_len = 32 << 20;
    int from = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    client_on(&r, fd);
    while ((accepted = accept(listener, NULL, NULL)) < 0)
        turns(&r, 1);
    int to = fcntl(accepted, F_DUPFD_CLOEXEC, 0);
    server_on(&r, accepted);
    bufferevent_disable(r.b.bev, EV_READ);
    send_all_that_fits(&r, &r.a);
    end_free(&r.a);
    uint64_t end = now_ms() + 300; /* much longer than anybody is waited for who takes nothing */
    int most = unsent(from);
    while (now_ms() < end && unsent(from) > most / 4 * 3 && milgi_event_streams(r.event) == 2) {
        take_a_little(from, to); /* before each pass, however long that takes */
        assert_true(event_base_loop(r.base, EVLOOP_ONCE) >= 0);
    }
    assert_int_equal(milgi_event_streams(r.event), 2);
    close(listener);
    close(from);
    close(to);
    rig_close(&r);
}

/* To the kernel that is an error, to whoever writes or reads; and nobody does, since enough is on its way. */
static void who_leaves_something_unread_is_missed_though_its_peer_never_reads(void **state)
{
    struct milgi_stream_options options;
    struct rig r;
    (void)state;
    milgi_stream_options_init(&options);
    options.linger_ms = 50;
    options.flush_ms = options.flush_total_ms = 100;
    rig_open(&r, NULL, &options);
    r.a.send_len = 8 << 20;
    r.b.send_len = 20000;
    both(&r);
    bufferevent_disable(r.a.bev, EV_READ);
    bufferevent_disable(r.b.bev, EV_READ);
    send_all_that_fits(&r, &r.a);
    end_free(&r.a);
    run_until_streams(&r, 1);
    rig_close(&r);
}

static void an_end_that_has_come_may_be_read_when_the_engine_has_gone(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    r.b.send_len = 1000;
    r.b.shut_when_sent = true;
    both(&r);
    bufferevent_disable(r.a.bev, EV_READ);
    struct pollfd end = { .fd = bufferevent_getfd(r.a.bev), .events = POLLRDHUP };
    while (!poll(&end, 1, 0))
        turns(&r, 1);
    bufferevent_enable(r.a.bev, EV_READ);
    milgi_event_free(r.event);
    r.event = NULL;
    run_until(&r, &r.a.eof);
    assert_int_equal(r.a.got_len, 1000);
    assert_false(r.a.error);
    assert_int_equal(milgi_event_new(r.base, NULL, &r.event), 0);
    rig_close(&r);
}

static void a_base_without_connections_has_nothing_to_wait_for(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    event_del(r.limit);
    assert_int_equal(event_base_dispatch(r.base), 1);
    r.a.send_len = 1000;
    both(&r);
    run_until_got(&r, &r.b, 1000);
    end_free(&r.a);
    end_free(&r.b);
    assert_int_equal(event_base_dispatch(r.base), 1);
    assert_int_equal(milgi_event_streams(r.event), 0);
    rig_close(&r);
    milgi_event_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_before_it_was_freed_arrives_and_then_an_end),
        cmocka_unit_test(what_is_freed_in_the_middle_never_looks_like_an_end),
        cmocka_unit_test(a_network_that_is_cut_is_an_error_behind_what_had_come),
        cmocka_unit_test(who_only_writes_is_told_of_a_cut_when_it_writes),
        cmocka_unit_test(a_bufferevent_may_be_freed_from_every_callback),
        cmocka_unit_test(a_bufferevent_may_be_freed_while_its_ops_are_in_flight),
        cmocka_unit_test(a_device_that_fails_loses_nothing),
        cmocka_unit_test(the_peers_refusal_is_told_with_its_reason),
        cmocka_unit_test(the_engine_may_go_before_the_bufferevents),
        cmocka_unit_test(a_connection_over_tcp_may_still_be_under_way),
        cmocka_unit_test(a_peer_that_never_reads_is_not_waited_for_without_end),
        cmocka_unit_test(what_is_in_the_pair_waits_no_longer_than_a_peer_may_take_nothing),
        cmocka_unit_test(whoever_takes_a_little_now_and_then_is_waited_for),
        cmocka_unit_test(who_leaves_something_unread_is_missed_though_its_peer_never_reads),
        cmocka_unit_test(an_end_that_has_come_may_be_read_when_the_engine_has_gone),
        cmocka_unit_test(a_base_without_connections_has_nothing_to_wait_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
