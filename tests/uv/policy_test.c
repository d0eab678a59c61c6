/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What adapters/common decides, whatever the loop: when it reads, when it stops, when an end is sent. The loop is the
 * test's own: its kernel takes and gives what the test wants, and its clock moves when the test says so.
 * ctest-wrap: milgi_conn_send
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../common/loop.h"
#include "configs.h"
#include "pair.h"

#define MS UINT64_C(1000000)
#define PENDING 512
#define INPUT 65536u /* MILGI_LIMIT_INPUT by default */
#define READ_MOST 69632u

/* --- the loop ----------------------------------------------------------------------------------------------------- */

struct loop {
    struct milgi_loop common;
    uint64_t now_ns, due_ns;
    bool soon;
};

/* One socket. What it has been given goes to |peer|. */
struct sock {
    struct milgi_stream common;
    struct sock *peer;
    struct pair_bytes sent;            /* with the kernel */
    struct milgi_iov waiting[PENDING]; /* with the loop */
    unsigned waiting_n;
    size_t waiting_len, takes; /* takes: what the kernel has room for */
    bool reading, shut, shut_told, eof_told, closing, gone;
    size_t read_len; /* since the last turn */
    unsigned reads;  /* and tries */

    size_t room; /* that was there for the last of them */

    size_t got_len;          /* application data */
    struct milgi_stream *to; /* where it is forwarded to; else it is only counted */
    bool forwards;
    bool opened, ended, closed, keep_credit;
    unsigned sessions;
    struct milgi_reason reason;
};

static struct loop loop;
static struct sock client, server;
static struct milgi_config *configs[2];

static uint64_t clock_ns(void *ctx)
{
    return ((struct loop *)ctx)->now_ns;
}

static int64_t clock_s(void *ctx)
{
    (void)ctx;
    return time(NULL);
}

static struct sock *sock_of(struct milgi_stream *stream)
{
    return (struct sock *)stream;
}

static void soon(struct milgi_loop *l)
{
    ((struct loop *)l)->soon = true;
}

static void timer(struct milgi_loop *l, uint64_t due_ns)
{
    ((struct loop *)l)->due_ns = due_ns;
}

static int reading(struct milgi_stream *stream, bool on)
{
    assert_false(sock_of(stream)->closing);
    sock_of(stream)->reading = on;
    return 0;
}

/* The kernel takes what it has room for; a piece may be taken in part. */
static size_t kernel_takes(struct sock *s, const struct milgi_iov *iov)
{
    size_t len = iov->len < s->takes ? iov->len : s->takes;
    pair_bytes_add(&s->sent, iov->data, len);
    s->takes -= len;
    return len;
}

static long writing(struct milgi_stream *stream, const struct milgi_iov *iov, size_t iov_n)
{
    struct sock *s = sock_of(stream);
    size_t done = 0;
    assert_false(s->shut || s->closing); /* nothing comes behind the end */
    for (size_t i = 0; i < iov_n; i++) {
        size_t len = s->waiting_n ? 0 : kernel_takes(s, &iov[i]);
        done += len;
        if (len == iov[i].len)
            continue;
        assert_true(s->waiting_n < PENDING);
        s->waiting[s->waiting_n++] = (struct milgi_iov){ (const uint8_t *)iov[i].data + len, iov[i].len - len };
        s->waiting_len += iov[i].len - len;
    }
    return (long)done;
}

static int shut(struct milgi_stream *stream)
{
    struct sock *s = sock_of(stream);
    assert_false(s->shut);               /* once, */
    assert_int_equal(s->waiting_len, 0); /* and behind all that was given */
    s->shut = true;
    return 0;
}

static void closing(struct milgi_stream *stream, bool reset)
{
    (void)reset;
    assert_false(sock_of(stream)->closing);
    sock_of(stream)->closing = true;
}

static size_t unsent(struct milgi_stream *stream, uint64_t *ago_ms)
{
    *ago_ms = 0;
    return sock_of(stream)->sent.len;
}

static const char *error_text(int error)
{
    (void)error;
    return "an error";
}

static int take_answers;            /* what the kernel says to each direction */
static unsigned takes_asked[2];     /* so often */
static size_t rest_when_asked = 99; /* of a record, for receiving */

static int taking(struct milgi_stream *stream, enum milgi_direction direction)
{
    takes_asked[direction]++;
    assert_false(direction == MILGI_RECEIVE && sock_of(stream)->reading);
    if (direction == MILGI_RECEIVE)
        rest_when_asked = milgi_conn_record_rest(stream->conn);
    return take_answers;
}

static void recording(struct milgi_stream *stream, uint8_t type, const struct milgi_iov *iov, size_t iov_n)
{
    (void)type;
    writing(stream, iov, iov_n);
    fail_msg("nothing was handed over");
}

static void keying(struct milgi_stream *stream, int direction, const struct milgi_traffic_keys *keys)
{
    (void)stream;
    (void)direction;
    (void)keys;
    fail_msg("nothing was handed over");
}

static const struct milgi_loop_hooks hooks = { soon, timer, reading, writing, shut, closing, unsent, error_text,
    taking, recording, keying, NULL };

/* --- the application ---------------------------------------------------------------------------------------------- */

static void on_open(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    ((struct sock *)arg)->opened = true;
}

static bool unlucky; /* there is no memory to send anything */

int __real_milgi_conn_send(struct milgi_conn *conn, struct milgi_slice slice);
int __wrap_milgi_conn_send(struct milgi_conn *conn, struct milgi_slice slice);
int __wrap_milgi_conn_send(struct milgi_conn *conn, struct milgi_slice slice)
{
    return unlucky ? MILGI_ENOMEM : __real_milgi_conn_send(conn, slice);
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct sock *s = arg;
    if (s->forwards) {
        milgi_stream_forward(stream, s->to, slices, slices_n);
        return;
    }
    for (size_t i = 0; i < slices_n; i++) {
        s->got_len += slices[i].len;
        if (!s->keep_credit)
            milgi_stream_consumed(stream, slices[i].len);
    }
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    ((struct sock *)arg)->ended = true;
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct sock *s = arg;
    (void)stream;
    s->closed = true;
    s->reason = *reason;
}

static void on_gone(void *arg)
{
    ((struct sock *)arg)->gone = true;
}

static void on_session(struct milgi_stream *stream, void *arg, struct milgi_session *session)
{
    (void)stream;
    ((struct sock *)arg)->sessions += milgi_session_encode(session, NULL, 0) != 0;
}

static const struct milgi_stream_events events = { .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .on_close = on_close,
    .on_gone = on_gone,
    .on_session = on_session };

/* --- running ------------------------------------------------------------------------------------------------------ */

/* Reads as long as the stream wants, and something is there: nobody else has a turn meanwhile. */
static void poll_in(struct sock *s)
{
    struct pair_bytes *from = &s->peer->sent;
    for (unsigned guard = 0; s->reading && from->len && !s->closing; guard++) {
        size_t room;
        assert_true(guard < 10000);
        s->reads++;
        uint8_t *to = milgi__stream_room(&s->common, &room);
        s->room = room;
        size_t len = room < from->len ? room : from->len;
        if (to)
            memcpy(to, from->p, len);
        pair_bytes_drop(from, to ? len : 0);
        s->read_len += to ? len : 0;
        milgi__stream_read(&s->common, to ? (long)len : MILGI__NO_ROOM);
    }
    if (s->reading && !from->len && s->peer->shut && !s->eof_told && !s->closing) {
        s->eof_told = true;
        milgi__stream_read(&s->common, MILGI__EOF);
    }
}

static void poll_out(struct sock *s)
{
    size_t done = 0;
    while (s->waiting_n && s->takes && !s->closing) {
        size_t len = kernel_takes(s, &s->waiting[0]);
        done += len;
        s->waiting[0].data = (const uint8_t *)s->waiting[0].data + len;
        s->waiting[0].len -= len;
        if (s->waiting[0].len == 0)
            memmove(s->waiting, s->waiting + 1, --s->waiting_n * sizeof s->waiting[0]);
    }
    s->waiting_len -= done;
    if (done)
        milgi__stream_written(&s->common, done, 0);
    if (s->shut && !s->shut_told && !s->closing) {
        s->shut_told = true;
        milgi__stream_shut(&s->common, 0);
    }
    if (s->closing && !s->gone)
        milgi__stream_gone(&s->common);
}

static void turn(void)
{
    loop.soon = false;
    client.read_len = server.read_len = 0;
    milgi__loop_turn(&loop.common);
}

/* Until nothing moves any more; the clock stands still. */
static void settle(void)
{
    for (unsigned i = 0; i < 20; i++) {
        poll_in(&client);
        poll_in(&server);
        poll_out(&client);
        poll_out(&server);
        if (loop.soon)
            turn();
    }
}

static void open_sock(struct sock *s, enum milgi_role role, struct sock *peer)
{
    *s = (struct sock){ .peer = peer, .takes = SIZE_MAX };
    const char *name = role == MILGI_CLIENT ? "uv.test" : NULL;
    assert_int_equal(milgi__stream_init(&s->common, &loop.common, configs[role], name, &events, s), 0);
    milgi__stream_connected(&s->common);
}

static void begin_handshake(void)
{
    struct identity *root = identity_root(IDENTITY_P256, "root");
    struct identity *leaf = identity_leaf(root, IDENTITY_P256, "DNS:uv.test");
    struct milgi_stream_options options;
    struct milgi_config *config = configs_begin(MILGI_SERVER, leaf, NULL);
    struct milgi_ticket_keys *keys = NULL;
    assert_int_equal(milgi_ticket_keys_new((const uint8_t[MILGI_TICKET_SECRET_LEN]){ 1 }, 3600, time(NULL), &keys), 0);
    assert_int_equal(milgi_config_set_ticket_keys(config, keys), 0);
    milgi_ticket_keys_unref(keys);
    configs[MILGI_SERVER] = configs_freeze(config);
    configs[MILGI_CLIENT] = configs_freeze(configs_begin(MILGI_CLIENT, NULL, root));
    identity_free(leaf);
    identity_free(root);
    milgi_stream_options_init(&options);
    options.engine.memory_limit = 8 << 20;
    options.engine.clock = (struct milgi_clock){ clock_ns, clock_s, &loop };
    loop = (struct loop){ .now_ns = 1000 * MS, .due_ns = UINT64_MAX };
    assert_int_equal(milgi__loop_init(&loop.common, &hooks, &options), 0);
    open_sock(&client, MILGI_CLIENT, &server);
    open_sock(&server, MILGI_SERVER, &client);
}

static void begin(void)
{
    begin_handshake();
    settle();
    assert_true(client.opened && server.opened);
}

static void end(void)
{
    milgi__loop_stop(&loop.common);
    poll_out(&client);
    poll_out(&server);
    assert_true(client.gone && server.gone);
    milgi_engine_free(loop.common.engine);
    for (int role = 0; role < 2; role++)
        milgi_config_unref(configs[role]);
    free(client.sent.p);
    free(server.sent.p);
}

static uint8_t data[400000];

/* --- reading ------------------------------------------------------------------------------------------------------ */

/* All of it is with the kernel, and nobody has read it. */
static void client_sends(unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        int rv = milgi_stream_write(&client.common, data, 200000);
        assert_true(rv == 0 || rv == MILGI_PAUSE);
        turn();
        poll_out(&client);
    }
}

/* A peer that is faster than we are: others have their turn all the same, and the connection does not fail for it. */
static void no_stream_is_read_for_longer_than_what_it_may_stage(void **state)
{
    (void)state;
    begin();
    client_sends(16);
    assert_true(client.sent.len > 3000000);
    unsigned turns = 0;
    while (client.sent.len) {
        poll_in(&server);
        assert_in_range(server.read_len, 1, INPUT + READ_MOST);
        assert_true(loop.soon);
        turn();
        turns++;
    }
    settle();
    assert_true(turns > 20);
    assert_int_equal(server.got_len, 16 * 200000);
    assert_false(server.closed);
    end();
}

/* Nor for longer than its application takes what comes. */
static void a_stream_whose_application_takes_nothing_is_not_read(void **state)
{
    (void)state;
    begin();
    server.keep_credit = true;
    client_sends(16);
    settle();
    assert_false(server.reading);
    assert_true(client.sent.len > 2000000);
    assert_true(server.got_len < 300000);
    for (unsigned i = 0; i < 1000 && server.got_len < 16 * 200000; i++) {
        milgi_stream_consumed(&server.common, SIZE_MAX);
        settle();
    }
    assert_int_equal(server.got_len, 16 * 200000);
    assert_true(server.reading);
    end();
}

/* What was read is all records, and nothing more is read before the kernel has said whether it takes the next. */
static void the_kernel_is_asked_between_two_records(void **state)
{
    size_t room;
    (void)state;
    begin();
    take_answers = MILGI_PAUSE;
    memset(takes_asked, 0, sizeof takes_asked);
    client_sends(1);
    uint8_t *to = milgi__stream_room(&server.common, &room); /* a part of the first */
    memcpy(to, client.sent.p, 7);
    pair_bytes_drop(&client.sent, 7);
    milgi__stream_read(&server.common, 7);
    turn();
    assert_int_equal(milgi_stream_offload(&server.common), 0);
    turn();
    assert_int_equal(takes_asked[MILGI_SEND], 1);
    assert_int_equal(takes_asked[MILGI_RECEIVE], 0);
    assert_true(server.reading);
    poll_in(&server);
    assert_false(server.reading);
    assert_in_range(server.read_len, 1000, 17000); /* the rest of it */
    assert_int_equal(takes_asked[MILGI_RECEIVE], 0);
    turn();
    assert_int_equal(takes_asked[MILGI_RECEIVE], 1);
    assert_int_equal(rest_when_asked, 0);
    assert_false(server.reading);
    assert_true(server.got_len > 0);
    /* It cannot: then all goes on as before. */
    take_answers = MILGI_EUNSUPPORTED;
    turn();
    assert_true(server.reading);
    settle();
    assert_int_equal(server.got_len, 200000);
    assert_int_equal(takes_asked[MILGI_RECEIVE], 2);
    assert_false(milgi_stream_in_kernel(&server.common, MILGI_RECEIVE));
    end();
}

/* Nobody is asked any more, and nobody waits. */
static void a_stream_that_ends_is_not_for_the_kernel(void **state)
{
    (void)state;
    begin();
    take_answers = MILGI_PAUSE;
    assert_int_equal(milgi_stream_offload(&server.common), 0);
    milgi_stream_drop(&client.common);
    milgi_stream_abort(&server.common, MILGI_ALERT_INTERNAL_ERROR);
    settle();
    memset(takes_asked, 0, sizeof takes_asked);
    turn();
    assert_int_equal(takes_asked[0] + takes_asked[1], 0);
    assert_int_equal(milgi_stream_offload(&server.common), MILGI_EINVAL);
    end();
}

/* Where there is no memory to read into, it is tried now and then: nothing says when the heap has room. */
static void a_stream_without_memory_is_not_read(void **state)
{
    struct milgi_chunk *chunk[2048];
    size_t n = 0;
    (void)state;
    begin();
    client_sends(1);
    for (size_t size = MILGI_CHUNK_MAX; size >= 512; size /= 2) {
        while (n < 2048 && (chunk[n] = milgi_chunk_new(loop.common.engine, size)))
            n++;
    }
    assert_true(n > 0 && n < 2048);
    poll_in(&server);
    assert_false(server.reading);
    server.reads = 0;
    for (unsigned i = 0; i < 10; i++) {
        loop.now_ns += 1000 * MS;
        milgi__loop_timer(&loop.common);
        settle();
    }
    assert_true(server.reads <= 40); /* in ten seconds */
    while (n > 0)
        milgi_chunk_unref(chunk[--n]);
    turn();
    settle();
    assert_int_equal(server.got_len, 200000);
    end();
}

/* Much is read at once where much comes, and little where little does. */
static void reads_are_as_large_as_what_comes(void **state)
{
    (void)state;
    begin();
    client_sends(3);
    settle();
    assert_int_equal(server.room, READ_MOST);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(milgi_stream_write(&client.common, data, 100), 0);
        settle();
    }
    assert_int_equal(server.room, 4096);
    end();
}

/* What nobody wants is read for the peer's sake, so that it hears the alert, and not without end. */
static void a_stream_that_has_ended_is_read_up_to_a_bound(void **state)
{
    (void)state;
    begin();
    client_sends(4);
    assert_int_equal(milgi_stream_abort(&server.common, MILGI_ALERT_INTERNAL_ERROR), 0);
    turn();
    assert_true(server.closed && server.reading);
    poll_in(&server);
    assert_in_range(server.read_len, 65536, 65536 + sizeof loop.common.waste);
    assert_false(server.reading);
    assert_true(client.sent.len > 500000);
    settle();
    assert_true(client.closed);
    assert_int_equal(client.reason.alert, MILGI_ALERT_INTERNAL_ERROR);
    end();
}

/* --- sleeping ----------------------------------------------------------------------------------------------------- */

/*
 * Memory of the connections and then that of all is put in order when it is convenient, which may be up to a second
 * after it makes sense; then there is nothing to wake up for, however long it takes.
 */
static void nobody_is_woken_up_where_nothing_happens(void **state)
{
    unsigned turns = 0;
    (void)state;
    begin();
    for (; loop.due_ns != UINT64_MAX; turns++) {
        assert_true(turns < 10);
        assert_true(loop.due_ns >= loop.now_ns + 1000 * MS);
        loop.now_ns = loop.due_ns;
        milgi__loop_timer(&loop.common);
        settle();
    }
    assert_int_equal(turns, 2);
    assert_int_equal(milgi_stream_write(&client.common, data, 100), 0); /* and it is not asleep for ever */
    settle();
    assert_int_equal(server.got_len, 100);
    end();
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

/* The socket's end is the last that is sent, however the stream ends; the hook shut() looks. */
static void an_end_is_sent_behind_all_that_is_queued(void **state)
{
    enum {
        IN_ORDER,
        ABORT,
        CUT,
        CLOSE,
        WAYS
    };
    (void)state;
    for (int way = 0; way < WAYS; way++) {
        begin();
        server.takes = 0;
        assert_int_equal(milgi_stream_write(&server.common, data, 100000), 0);
        settle();
        assert_true(server.waiting_len > 100000);
        if (way == IN_ORDER) {
            assert_int_equal(milgi_stream_shutdown(&client.common), 0);
            assert_int_equal(milgi_stream_shutdown(&server.common), 0);
        } else if (way == ABORT) {
            assert_int_equal(milgi_stream_abort(&server.common, MILGI_ALERT_INTERNAL_ERROR), 0);
        } else if (way == CUT) {
            milgi_stream_cut(&server.common);
        } else {
            assert_int_equal(milgi_stream_shutdown(&client.common), 0);
            milgi_stream_close(&server.common);
        }
        settle();
        assert_int_equal(client.got_len, 0);
        while (server.waiting_len) {
            assert_false(server.shut);
            server.takes = 7000;
            settle();
        }
        settle();
        assert_true(server.shut && server.gone);
        assert_int_equal(client.got_len, 100000);
        assert_true(client.closed);
        if (way == IN_ORDER || way == CLOSE)
            assert_int_equal(client.reason.error, 0);
        else
            assert_int_equal(client.reason.alert, MILGI_ALERT_INTERNAL_ERROR);
        end();
    }
}

/* Its peer may have more to say, and would lose the last record if it were reset for it. */
static void a_socket_is_not_closed_before_the_peer_has_ended(void **state)
{
    (void)state;
    begin();
    assert_int_equal(milgi_stream_abort(&server.common, MILGI_ALERT_INTERNAL_ERROR), 0);
    turn();
    poll_out(&server);
    assert_true(server.shut_told);
    assert_false(server.closing);
    settle();
    assert_true(server.gone && client.closed);
    end();
}

/* Its application has not taken all and will not any more: nothing waits for that. */
static void a_stream_that_is_closed_ends_in_order_all_the_same(void **state)
{
    (void)state;
    begin();
    server.keep_credit = true;
    assert_int_equal(milgi_stream_write(&client.common, data, 300000), MILGI_PAUSE);
    assert_int_equal(milgi_stream_shutdown(&client.common), 0);
    settle();
    assert_false(server.ended);
    milgi_stream_close(&server.common);
    settle();
    assert_true(server.gone && client.closed);
    assert_int_equal(client.reason.error, 0);
    end();
}

static void a_stream_that_is_closed_in_the_handshake_cancels_it(void **state)
{
    (void)state;
    begin_handshake();
    turn();
    milgi_stream_close(&client.common);
    settle();
    assert_false(server.opened);
    assert_true(server.closed);
    assert_int_equal(server.reason.error, MILGI_EALERT);
    end();
}

/* --- forwarding --------------------------------------------------------------------------------------------------- */

static void forward_without_memory(struct milgi_stream *to)
{
    server.forwards = unlucky = true;
    server.to = to;
    assert_int_equal(milgi_stream_write(&client.common, data, 1000), 0);
    settle();
    server.forwards = unlucky = false;
}

static void what_is_held_back_is_before_all_that_is_said_later(void **state)
{
    (void)state;
    begin();
    forward_without_memory(&server.common);
    assert_int_equal(client.got_len, 0);
    assert_int_equal(milgi_stream_write(&server.common, data, 1), MILGI_ENOMEM);
    assert_int_equal(milgi_stream_shutdown(&server.common), 0);
    assert_int_equal(milgi_stream_write(&server.common, data, 1), MILGI_ECLOSED);
    settle();
    assert_false(client.ended);
    milgi__stream_refill(&server.common);
    settle();
    assert_int_equal(client.got_len, 1000);
    assert_true(client.ended);
    end();
}

static void a_source_is_ended_with_the_one_that_has_not_sent_all_of_it(void **state)
{
    (void)state;
    begin();
    forward_without_memory(&client.common);
    assert_false(server.closed);
    milgi_stream_drop(&client.common);
    settle();
    assert_true(server.closed);
    assert_int_equal(server.reason.alert, MILGI_ALERT_INTERNAL_ERROR);
    end();
}

static void a_source_is_ended_that_has_nowhere_to_send_to(void **state)
{
    (void)state;
    begin();
    forward_without_memory(NULL);
    assert_true(server.closed);
    assert_int_equal(server.reason.alert, MILGI_ALERT_INTERNAL_ERROR);
    end();
}

static void a_client_is_told_of_the_sessions_that_it_is_given(void **state)
{
    (void)state;
    begin();
    assert_int_equal(client.sessions, 2);
    assert_int_equal(server.sessions, 0);
    end();
}

/* Who has given a stream up hears of nothing but its end. */
static void a_stream_that_is_closed_tells_of_no_session(void **state)
{
    (void)state;
    begin_handshake();
    while (!client.opened)
        poll_in(&client), poll_in(&server), turn(), poll_out(&client), poll_out(&server);
    milgi_stream_close(&client.common);
    settle();
    assert_int_equal(client.sessions, 0);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_is_told_of_the_sessions_that_it_is_given),
        cmocka_unit_test(a_stream_that_is_closed_tells_of_no_session),
        cmocka_unit_test(no_stream_is_read_for_longer_than_what_it_may_stage),
        cmocka_unit_test(a_stream_whose_application_takes_nothing_is_not_read),
        cmocka_unit_test(reads_are_as_large_as_what_comes),
        cmocka_unit_test(the_kernel_is_asked_between_two_records),
        cmocka_unit_test(a_stream_that_ends_is_not_for_the_kernel),
        cmocka_unit_test(a_stream_without_memory_is_not_read),
        cmocka_unit_test(a_stream_that_has_ended_is_read_up_to_a_bound),
        cmocka_unit_test(nobody_is_woken_up_where_nothing_happens),
        cmocka_unit_test(an_end_is_sent_behind_all_that_is_queued),
        cmocka_unit_test(a_socket_is_not_closed_before_the_peer_has_ended),
        cmocka_unit_test(a_stream_that_is_closed_ends_in_order_all_the_same),
        cmocka_unit_test(a_stream_that_is_closed_in_the_handshake_cancels_it),
        cmocka_unit_test(what_is_held_back_is_before_all_that_is_said_later),
        cmocka_unit_test(a_source_is_ended_with_the_one_that_has_not_sent_all_of_it),
        cmocka_unit_test(a_source_is_ended_that_has_nowhere_to_send_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
