/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection to a key server comes, lives and ends (servers.c), with streams that are none, and no time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keyless.h"

#define MS UINT64_C(1000000)

static struct milgi__keyless *k;
static struct milgi__keyless_server *server;
static uint64_t now_ns;

static const struct milgi_stream_events *events; /* what the server has given */
static char stream_at[1];
static struct milgi_stream *const stream = (struct milgi_stream *)stream_at;
static int written;       /* what writing answers */
static unsigned writes_n; /* messages that were taken */
static unsigned unheard_n, lost_n, told_n;
static int told;

/* --- what the rest of the device is here -------------------------------------------------------------------------- */

uint64_t milgi__keyless_now(void)
{
    return now_ns;
}

void milgi__keyless_pump(struct milgi__keyless *device)
{
    (void)device;
}

uint64_t milgi__keyless_patience(const struct milgi__keyless *device, unsigned kind)
{
    (void)device;
    (void)kind;
    return 20 * MS;
}

void milgi__keyless_answered(struct milgi__keyless *device, struct milgi__keyless_request *r,
    struct milgi__keyless_server *by, const struct milgi__keyless_message *message, uint64_t sent_ns)
{
    (void)device;
    (void)message;
    (void)sent_ns;
    r->place[by->index] = -1;
}

void milgi__keyless_lost(
    struct milgi__keyless *device, struct milgi__keyless_request *r, struct milgi__keyless_server *by)
{
    (void)device;
    r->place[by->index] = -1;
    lost_n++;
}

void milgi__keyless_unheard(struct milgi__keyless *device, struct milgi__keyless_request *r)
{
    (void)device;
    (void)r;
    unheard_n++;
}

int milgi_uv_connect(struct milgi_uv *uv, const struct sockaddr *address, struct milgi_config *config,
    const char *name, const struct milgi_stream_events *given, void *arg, struct milgi_stream **made)
{
    (void)uv;
    (void)address;
    (void)config;
    (void)name;
    assert_ptr_equal(arg, server);
    events = given;
    *made = stream;
    return 0;
}

int milgi_stream_write(struct milgi_stream *to, const void *data, size_t len)
{
    (void)data;
    (void)len;
    assert_ptr_equal(to, stream);
    writes_n += written == 0 || written == MILGI_PAUSE;
    return written;
}

void milgi_stream_consumed(struct milgi_stream *of, size_t bytes)
{
    (void)of;
    (void)bytes;
}

void milgi_stream_close(struct milgi_stream *of)
{
    (void)of;
}

void milgi_stream_drop(struct milgi_stream *of)
{
    (void)of;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static struct milgi__keyless_key key;
static struct milgi__keyless_request requests[8];

static void on_part(void *ctx, struct milgi_device *device, const char *part, int code)
{
    (void)ctx;
    (void)device;
    (void)part;
    told = code;
    told_n++;
}

static int setup(void **state)
{
    (void)state;
    now_ns = 100000 * MS;
    k = calloc(1, sizeof *k);
    assert_non_null(k);
    pthread_mutex_init(&k->lock, NULL);
    k->options = (struct milgi_keyless_options){ .timeout_ns = 5000 * MS, .ping_ns = 10000 * MS };
    k->random = 1;
    k->device.on_part = on_part;
    k->servers_n = 1;
    server = &k->server[0];
    server->k = k;
    strcpy(server->host, "127.0.0.1");
    strcpy(server->port, "1");
    server->rx = malloc(MILGI__KEYLESS_MAX);
    assert_non_null(server->rx);
    milgi__keyless_server_init(server);
    for (unsigned i = 0; i < 8; i++) {
        requests[i] = (struct milgi__keyless_request){ .key = &key, .opcode = MILGI__KEYLESS_ECDSA_SHA256 };
        memset(requests[i].place, 0xff, sizeof requests[i].place);
    }
    written = 0;
    writes_n = unheard_n = lost_n = told_n = 0;
    told = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pthread_mutex_destroy(&k->lock);
    free(server->rx);
    free(k);
    return 0;
}

static uint64_t look(void)
{
    return milgi__keyless_server_look(server, now_ns);
}

/* Lets time go on until it is to be looked at again. */
static void look_next(void)
{
    uint64_t next_ns = look();
    assert_true(next_ns != UINT64_MAX);
    now_ns = next_ns > now_ns ? next_ns : now_ns;
    (void)look();
}

static void say(uint32_t id, uint8_t opcode)
{
    uint8_t bytes[MILGI__KEYLESS_PADDED];
    struct milgi_slice slice = { .data = bytes };
    slice.len =
        (uint32_t)milgi__keyless_write(&(struct milgi__keyless_message){ .id = id, .opcode = opcode }, bytes);
    events->on_data(stream, server, &slice, 1);
}

static void pong(void)
{
    say(UINT32_MAX, MILGI__KEYLESS_PONG);
}

static void connect_it(void)
{
    while (server->state != MILGI__KEYLESS_CONNECTING)
        look_next();
    events->on_open(stream, server);
    assert_int_equal(server->state, MILGI__KEYLESS_UP);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

/* Its peer reads no more, and our output is full: no ping goes out, and still it is asked no more in time. */
static void who_takes_nothing_is_left_alone_like_who_says_nothing(void **state)
{
    (void)state;
    connect_it();
    now_ns += MS;
    pong();
    assert_true(milgi__keyless_server_ready(server));
    assert_true(milgi__keyless_server_send(server, &requests[0], now_ns));
    written = MILGI_PAUSE;
    assert_true(milgi__keyless_server_send(server, &requests[1], now_ns));
    written = MILGI_ELIMIT;
    assert_false(milgi__keyless_server_ready(server));
    unsigned before = writes_n;
    uint64_t end_ns = now_ns + 1000 * MS;
    while (!server->ill && now_ns < end_ns)
        look_next();
    assert_true(server->ill);
    assert_int_equal(writes_n, before);
    assert_int_equal(unheard_n, 2);
    assert_int_equal(told, MILGI_CODE_KEYLESS_HANGS);
    assert_int_equal(k->stats.up, 0);
    written = 0;
    events->on_room(stream, server);
    say((uint32_t)1 << 9 | (uint32_t)requests[0].place[0], MILGI__KEYLESS_RESPONSE); /* any word will do */
    assert_false(server->ill);
    assert_int_equal(told, 0);
    for (unsigned i = 0; i < 3; i++) { /* nor does it owe a pong to what did not go out */
        now_ns += 19 * MS;
        (void)look();
        assert_false(server->ill);
        say(0, MILGI__KEYLESS_PONG);
    }
    milgi__keyless_server_stop(server);
}

static void an_answer_that_takes_long_makes_nobody_ill_who_answers_pings(void **state)
{
    (void)state;
    connect_it();
    pong();
    assert_true(milgi__keyless_server_send(server, &requests[0], now_ns));
    for (unsigned i = 0; i < 20; i++) {
        unsigned before = writes_n;
        look_next();
        assert_int_equal(writes_n, before + 1);
        now_ns += MS;
        pong();
    }
    assert_false(server->ill);
    assert_int_equal(unheard_n, 0);
    milgi__keyless_server_stop(server);
}

/* After four times what a request may take a connection that says nothing is given up. */
static void who_stays_silent_is_connected_to_anew(void **state)
{
    (void)state;
    connect_it();
    pong();
    assert_true(milgi__keyless_server_send(server, &requests[0], now_ns));
    uint64_t from_ns = now_ns;
    while (server->state == MILGI__KEYLESS_UP && now_ns < from_ns + 100000 * MS)
        look_next();
    assert_int_not_equal(server->state, MILGI__KEYLESS_UP);
    assert_true(now_ns >= from_ns + 4 * k->options.timeout_ns);
    assert_int_equal(lost_n, 1);
    assert_int_equal(server->code, MILGI_CODE_KEYLESS_HANGS);
    milgi__keyless_server_stop(server);
}

/* It takes connections and ends them before a word: after the time of a request nobody waits for it. */
static void who_never_says_a_word_is_hopeless_though_it_takes_connections(void **state)
{
    struct milgi_reason reason = { .error = MILGI_EALERT };
    (void)state;
    connect_it();
    pong();
    uint64_t from_ns = now_ns;
    events->on_close(stream, server, &reason);
    assert_int_equal(server->code, MILGI_CODE_KEYLESS_GONE);
    while (now_ns < from_ns + k->options.timeout_ns) {
        assert_false(milgi__keyless_server_hopeless(server, now_ns));
        connect_it();
        events->on_close(stream, server, &reason);
        assert_int_equal(server->code, MILGI_CODE_KEYLESS_TLS);
    }
    assert_true(milgi__keyless_server_hopeless(server, now_ns));
    connect_it();
    assert_false(milgi__keyless_server_hopeless(server, now_ns));
    milgi__keyless_server_stop(server);
}

/* Each try comes later, up to a fifth of a second while nobody else is there; a word ends that. */
static void tries_to_connect_are_spaced(void **state)
{
    struct milgi_reason reason = { .error = MILGI_ETRANSPORT };
    uint64_t before_ns = 0;
    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        while (server->state != MILGI__KEYLESS_CONNECTING)
            look_next();
        if (before_ns)
            assert_in_range(now_ns - before_ns, 37 * MS, 250 * MS);
        if (before_ns && i > 4)
            assert_in_range(now_ns - before_ns, 150 * MS, 250 * MS);
        before_ns = now_ns;
        events->on_close(stream, server, &reason);
        assert_int_equal(server->code, MILGI_CODE_KEYLESS_CONNECT);
    }
    assert_int_equal(told_n, 1);
    connect_it();
    pong();
    before_ns = now_ns;
    events->on_close(stream, server, &reason);
    while (server->state != MILGI__KEYLESS_CONNECTING)
        look_next();
    assert_in_range(now_ns - before_ns, 0, 75 * MS);
    milgi__keyless_server_stop(server);
}

/* Else each failure of one would have all the others try at once, for ever. */
static void the_others_are_called_when_the_last_is_lost_and_not_when_it_fails_again(void **state)
{
    struct milgi_reason reason = { .error = MILGI_ETRANSPORT };
    struct milgi__keyless_server *other = &k->server[1];
    (void)state;
    k->servers_n = 2;
    other->k = k;
    other->index = 1;
    other->retry_ns = UINT64_MAX;
    for (unsigned i = 0; i < 2; i++) {
        while (server->state != MILGI__KEYLESS_CONNECTING)
            look_next();
        events->on_close(stream, server, &reason);
        assert_true(other->retry_ns == UINT64_MAX);
    }
    connect_it();
    events->on_close(stream, server, &reason); /* before a word */
    assert_true(other->retry_ns == UINT64_MAX);
    connect_it();
    pong();
    events->on_close(stream, server, &reason);
    assert_in_range(other->retry_ns, now_ns, now_ns + 75 * MS);
    milgi__keyless_server_stop(server);
}

/* That a pong took five seconds for that reason does not make five seconds of silence usual. */
static void who_has_hung_once_is_found_out_as_soon_the_next_time(void **state)
{
    (void)state;
    connect_it();
    now_ns += MS;
    pong();
    for (unsigned i = 0; i < 3; i++) {
        uint64_t from_ns = now_ns;
        assert_true(milgi__keyless_server_send(server, &requests[i], now_ns));
        while (!server->ill)
            look_next();
        if (now_ns - from_ns > 1000 * MS)
            fail_msg("time %u", i);
        now_ns += 5000 * MS;
        pong();
        assert_false(server->ill);
    }
    milgi__keyless_server_stop(server);
}

/* For a minute from its last lie, whatever becomes of its connection; what else is wrong with it is told, too. */
static void who_lies_is_believed_again_after_a_minute(void **state)
{
    struct milgi_reason reason = { .error = MILGI_ETRANSPORT };
    (void)state;
    connect_it();
    pong();
    assert_true(milgi__keyless_server_well(server));
    unsigned before = told_n;
    milgi__keyless_server_lied(server, now_ns - 10000 * MS);
    milgi__keyless_server_lied(server, now_ns);
    uint64_t lied_ns = now_ns;
    assert_false(milgi__keyless_server_well(server));
    assert_int_equal(told, MILGI_CODE_KEYLESS_LIES);
    pong();
    assert_int_equal(told_n, before + 1);
    events->on_close(stream, server, &reason);
    assert_int_equal(told, MILGI_CODE_KEYLESS_GONE);
    milgi__keyless_server_lied(server, lied_ns); /* while it is away: that it is away is told already */
    assert_int_equal(told, MILGI_CODE_KEYLESS_GONE);
    connect_it();
    pong();
    assert_int_equal(told, MILGI_CODE_KEYLESS_LIES);
    assert_false(milgi__keyless_server_well(server));
    while (now_ns < lied_ns + 60000 * MS - 1) {
        uint64_t next_ns = look();
        assert_true(next_ns <= lied_ns + 60000 * MS);
        now_ns = next_ns < lied_ns + 60000 * MS ? next_ns : lied_ns + 60000 * MS - 1;
        pong();
        assert_false(milgi__keyless_server_well(server));
    }
    now_ns++;
    (void)look();
    assert_true(milgi__keyless_server_well(server));
    assert_int_equal(told, 0);
    milgi__keyless_server_stop(server);
}

static void who_frees_the_device_is_told_nothing_more(void **state)
{
    struct milgi_reason reason = { .error = MILGI_ETRANSPORT };
    (void)state;
    connect_it();
    pong();
    unsigned before = told_n;
    k->stopping = true;
    events->on_close(stream, server, &reason);
    assert_int_equal(server->code, MILGI_CODE_KEYLESS_GONE);
    assert_int_equal(told_n, before);
    milgi__keyless_server_stop(server);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(who_takes_nothing_is_left_alone_like_who_says_nothing),
        CASE(an_answer_that_takes_long_makes_nobody_ill_who_answers_pings),
        CASE(who_stays_silent_is_connected_to_anew),
        CASE(who_never_says_a_word_is_hopeless_though_it_takes_connections),
        CASE(tries_to_connect_are_spaced),
        CASE(the_others_are_called_when_the_last_is_lost_and_not_when_it_fails_again),
        CASE(who_has_hung_once_is_found_out_as_soon_the_next_time),
        CASE(who_lies_is_believed_again_after_a_minute),
        CASE(who_frees_the_device_is_told_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
