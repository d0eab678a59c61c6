/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked where, when, again (requests.c), with servers that are made of a few fields and a clock that stands
 * still: nothing here depends on time, and every look at a server is counted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "keyless.h"

#define MS UINT64_C(1000000)
#define MOST 4096u

static struct milgi__keyless *k;
static uint64_t now_ns;
static unsigned looks; /* at whether a server is ready: what sending costs */

static struct { /* of what was given back */
    unsigned n;
    int code;
} given;

static struct { /* of what was sent */
    struct milgi__keyless_request *request;
    unsigned server;
} sent[2 * MOST];
static unsigned sent_n;

/* --- what the rest of the device is here -------------------------------------------------------------------------- */

uint64_t milgi__keyless_now(void)
{
    return now_ns;
}

void milgi__keyless_give(struct milgi__keyless *device, struct milgi__keyless_request *r, int code,
    const struct milgi__keyless_server *server, const struct milgi__keyless_message *message)
{
    (void)device;
    assert_true(code ? !server && !message : server && message);
    r->op = NULL;
    given.n++;
    given.code = code;
}

bool milgi__keyless_wanted(struct milgi__keyless *device, struct milgi__keyless_request *r)
{
    (void)device;
    return r->op != NULL;
}

bool milgi__keyless_begin(struct milgi__keyless *device, struct milgi__keyless_request *r)
{
    r->begun = true;
    return milgi__keyless_wanted(device, r);
}

void milgi__keyless_key_unref(struct milgi__keyless_key *key)
{
    key->refs--;
}

void milgi__keyless_server_lied(struct milgi__keyless_server *server, uint64_t at_ns)
{
    assert_int_equal(at_ns, now_ns);
    server->lies = true;
}

bool milgi__keyless_server_well(const struct milgi__keyless_server *server)
{
    return server->spoke && !server->ill && !server->lies;
}

bool milgi__keyless_server_ready(const struct milgi__keyless_server *server)
{
    looks++;
    return server->state == MILGI__KEYLESS_UP && !server->blocked && server->in_flight < MILGI__KEYLESS_WINDOW;
}

bool milgi__keyless_server_hopeless(const struct milgi__keyless_server *server, uint64_t at_ns)
{
    return server->state != MILGI__KEYLESS_UP && at_ns >= server->since_ns + k->options.timeout_ns;
}

bool milgi__keyless_server_send(
    struct milgi__keyless_server *server, struct milgi__keyless_request *r, uint64_t at_ns)
{
    (void)at_ns;
    assert_true(sent_n < 2 * MOST);
    sent[sent_n].request = r;
    sent[sent_n++].server = server->index;
    r->place[server->index] = 0;
    server->in_flight++;
    return true;
}

void milgi__keyless_server_forget(struct milgi__keyless_server *server, int place)
{
    assert_int_equal(place, 0);
    server->in_flight--;
}

uint64_t milgi__keyless_server_look(struct milgi__keyless_server *server, uint64_t at_ns)
{
    (void)server;
    (void)at_ns;
    return UINT64_MAX;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static struct milgi__keyless_key key = { .sig_len = 0 };
static struct milgi_op op;

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
}

static void begin(unsigned servers)
{
    now_ns = 100000 * MS;
    key.refs = 0;
    k = calloc(1, sizeof *k);
    assert_non_null(k);
    pthread_mutex_init(&k->lock, NULL);
    uv_loop_init(&k->loop);
    uv_timer_init(&k->loop, &k->timer);
    k->on_timer = on_timer;
    k->options = (struct milgi_keyless_options){ .timeout_ns = 5000 * MS, .hedge_percent = 10, .depth = MOST };
    k->servers_n = servers;
    for (unsigned i = 0; i < servers; i++) {
        struct milgi__keyless_server *server = &k->server[i];
        server->k = k;
        server->index = i;
        server->state = MILGI__KEYLESS_UP;
        server->spoke = true;
        server->since_ns = now_ns;
    }
    memset(&given, 0, sizeof given);
    sent_n = looks = 0;
}

static void end(void)
{
    milgi__keyless_fail_all(k, MILGI_CODE_KEYLESS_NO_SERVER);
    assert_null(k->all.first);
    assert_null(k->waiting.first);
    assert_int_equal(key.refs, 0);
    uv_close((uv_handle_t *)&k->timer, NULL);
    uv_run(&k->loop, UV_RUN_DEFAULT);
    uv_loop_close(&k->loop);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* Hands a request over, as an engine does. */
static struct milgi__keyless_request *come(void)
{
    struct milgi__keyless_request *r = calloc(1, sizeof *r + 1), *last = k->came.last;
    assert_non_null(r);
    r->op = &op;
    r->key = &key;
    key.refs++;
    r->born_ns = now_ns;
    memset(r->place, 0xff, sizeof r->place);
    if (last)
        last->line.next = r;
    else
        k->came.first = r;
    k->came.last = r;
    return r;
}

static void pump(void)
{
    milgi__keyless_pump(k);
}

static void answer(struct milgi__keyless_request *r, unsigned server, uint8_t opcode, size_t len)
{
    static const uint8_t bytes[MILGI_SIGNATURE_MAX] = { MILGI__KEYLESS_E_INTERNAL };
    k->server[server].in_flight--;
    milgi__keyless_answered(k, r, &k->server[server],
        &(struct milgi__keyless_message){ .opcode = opcode, .payload = bytes, .payload_len = len }, now_ns);
}

static void refuse(struct milgi__keyless_request *r, unsigned server)
{
    answer(r, server, MILGI__KEYLESS_ERROR, 1);
}

static void cancel(struct milgi__keyless_request *r)
{
    r->op = NULL;
    k->cancelled++;
}

static void lose(struct milgi__keyless_request *r, unsigned server)
{
    k->server[server].in_flight--;
    milgi__keyless_lost(k, r, &k->server[server]);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

/* Server 0 refuses everything, server 1 takes no more: what can go nowhere is not looked at with each of the rest. */
static void those_that_can_go_nowhere_are_passed_over(void **state)
{
    static struct milgi__keyless_request *r[MOST];
    (void)state;
    begin(2);
    k->server[1].blocked = true;
    for (unsigned i = 0; i < MOST; i++)
        r[i] = come();
    pump();
    assert_int_equal(sent_n, MILGI__KEYLESS_WINDOW);
    for (unsigned i = 0; i < MOST; i++) {
        refuse(r[i], 0);
        pump();
    }
    assert_int_equal(sent_n, MOST); /* all at server 0, in order */
    for (unsigned i = 0; i < MOST; i++)
        assert_true(sent[i].request == r[i] && sent[i].server == 0);
    if (looks > 32 * MOST)
        fail_msg("%u looks for %u requests", looks, MOST);
    k->server[1].blocked = false;
    pump();
    assert_int_equal(sent_n, MOST + MILGI__KEYLESS_WINDOW);
    for (unsigned i = 0; i < MILGI__KEYLESS_WINDOW; i++)
        assert_true(sent[MOST + i].request == r[i] && sent[MOST + i].server == 1);
    assert_int_equal(given.n, 0);
    end();
}

/* The same of what is in flight at servers that say nothing. */
static void those_that_are_not_heard_of_are_passed_over(void **state)
{
    static struct milgi__keyless_request *r[MILGI__KEYLESS_WINDOW];
    (void)state;
    begin(2);
    k->server[1].blocked = true;
    for (unsigned i = 0; i < MILGI__KEYLESS_WINDOW; i++)
        r[i] = come();
    pump();
    k->server[0].ill = true;
    for (unsigned i = 0; i < MILGI__KEYLESS_WINDOW; i++) {
        milgi__keyless_unheard(k, r[i]);
        milgi__keyless_unheard(k, r[i]); /* once is enough */
        pump();
    }
    assert_int_equal(k->stats.moved, MILGI__KEYLESS_WINDOW);
    assert_int_equal(sent_n, MILGI__KEYLESS_WINDOW);
    if (looks > 32 * MILGI__KEYLESS_WINDOW)
        fail_msg("%u looks", looks);
    k->server[1].blocked = false;
    k->server[1].spoke = false; /* it has been connected to anew */
    pump();
    assert_int_equal(sent_n, MILGI__KEYLESS_WINDOW);
    k->server[1].spoke = true;
    pump();
    assert_int_equal(sent_n, 2 * MILGI__KEYLESS_WINDOW);
    refuse(r[7], 1); /* and the other still says nothing */
    pump();
    assert_int_equal(given.n, 0);
    refuse(r[7], 0);
    assert_int_equal(given.n, 1);
    assert_int_equal(given.code, MILGI_CODE_KEYLESS_INTERNAL);
    end();
}

/* A full connection has room in a moment; who hangs may not be back before the time is over. */
static void who_is_busy_is_waited_for_rather_than_who_says_nothing(void **state)
{
    (void)state;
    begin(2);
    k->server[0].blocked = true;
    k->server[1].ill = true;
    struct milgi__keyless_request *r = come(), *cancelled = come();
    pump();
    assert_int_equal(sent_n, 0);
    assert_false(r->begun);
    cancel(cancelled);
    k->server[0].blocked = false;
    pump();
    assert_int_equal(sent_n, 1);
    assert_int_equal(sent[0].server, 0);
    refuse(r, 0); /* now there is only the other */
    pump();
    assert_int_equal(sent_n, 2);
    assert_int_equal(sent[1].server, 1);
    assert_int_equal(key.refs, 1);
    end();
}

/* It went there for want of another: that one is asked when it is back, whatever may be sent twice. */
static void what_was_sent_to_one_that_hangs_is_asked_elsewhere_too(void **state)
{
    (void)state;
    begin(2);
    k->options.hedge_percent = 0;
    k->server[0].state = MILGI__KEYLESS_DOWN;
    k->server[1].ill = true;
    struct milgi__keyless_request *r = come();
    pump();
    assert_int_equal(sent_n, 1);
    assert_int_equal(sent[0].server, 1);
    k->server[0].state = MILGI__KEYLESS_UP;
    pump();
    assert_int_equal(sent_n, 2);
    assert_int_equal(sent[1].server, 0);
    answer(r, 0, MILGI__KEYLESS_RESPONSE, 64);
    assert_int_equal(given.n, 1);
    assert_int_equal(given.code, 0);
    end();
}

static void the_last_hope_may_be_a_server_that_is_away_and_then_hopeless(void **state)
{
    (void)state;
    begin(3);
    k->server[1].state = k->server[2].state = MILGI__KEYLESS_DOWN;
    struct milgi__keyless_request *r = come();
    pump();
    refuse(r, 0);
    pump();
    assert_int_equal(given.n, 0);
    now_ns += 4000 * MS;
    k->server[2].since_ns = now_ns;
    struct milgi__keyless_request *other = come();
    pump();
    refuse(other, 0);
    now_ns += 1000 * MS - 1;
    pump();
    assert_int_equal(given.n, 0);
    k->server[1].since_ns = k->server[2].since_ns = 0;
    pump();
    assert_int_equal(given.n, 2);
    assert_int_equal(given.code, MILGI_CODE_KEYLESS_INTERNAL);
    other = come(); /* and now it is known before */
    pump();
    refuse(other, 0);
    assert_int_equal(given.n, 3);
    end();
}

static void whoever_answers_with_errors_is_asked_last(void **state)
{
    (void)state;
    begin(2);
    k->server[0].mean_ns = k->server[0].round_ns = MS / 10;
    k->server[1].mean_ns = k->server[1].round_ns = MS; /* slower, and right */
    for (unsigned i = 0; i < 50; i++) {
        struct milgi__keyless_request *r = come();
        unsigned at = sent_n;
        pump();
        assert_int_equal(sent_n, at + 1);
        if (sent[at].server == 0) {
            assert_true(i < 2);
            if (i)
                refuse(r, 0);
            else
                answer(r, 0, MILGI__KEYLESS_RESPONSE, 0); /* no signature either */
            pump();
            at++;
        }
        assert_int_equal(sent_n, at + 1);
        assert_int_equal(sent[at].server, 1);
        answer(r, 1, MILGI__KEYLESS_RESPONSE, 64);
    }
    assert_int_equal(given.n, 50);
    assert_int_equal(given.code, 0);
    end();
}

static void a_signature_has_the_length_of_the_keys(void **state)
{
    (void)state;
    begin(2);
    key.sig_len = 256;
    for (size_t len = 255; len <= 257; len += 2) {
        struct milgi__keyless_request *r = come();
        unsigned at = sent_n;
        pump();
        unsigned first = sent[at].server;
        answer(r, first, MILGI__KEYLESS_RESPONSE, len);
        pump();
        assert_int_equal(sent_n, at + 2);
        assert_int_equal(sent[at + 1].server, 1 - first);
        answer(r, 1 - first, MILGI__KEYLESS_RESPONSE, 256);
        assert_int_equal(given.code, 0);
    }
    assert_int_equal(given.n, 2);
    key.sig_len = 0;
    end();
}

/* With nobody there, clients that come and go leave nothing behind. */
static void what_was_cancelled_does_not_wait_on(void **state)
{
    (void)state;
    begin(1);
    k->server[0].state = MILGI__KEYLESS_DOWN;
    for (unsigned i = 0; i < 4; i++)
        (void)come();
    pump();
    looks = 0;
    for (unsigned i = 0; i < MOST; i++) {
        struct milgi__keyless_request *r = come();
        pump();
        cancel(r);
        pump();
        assert_true(k->waiting.n <= 9);
    }
    assert_int_equal(key.refs, k->waiting.n);
    assert_int_equal(given.n, 0);
    end();
}

static void what_nobody_waits_for_is_not_asked_elsewhere(void **state)
{
    (void)state;
    begin(2);
    struct milgi__keyless_request *r = come();
    pump();
    r->op = NULL; /* by quiesce() */
    k->credit = 1000;
    now_ns += 4000 * MS;
    pump();
    assert_int_equal(sent_n, 1);
    assert_null(k->all.first);
    end();
}

/* One whose server is lost is asked again; how long its second answer takes says nothing of the first. */
static void patience_begins_anew_when_it_is_asked_again(void **state)
{
    (void)state;
    begin(3);
    k->credit = 1000;
    struct milgi__keyless_request *first = come();
    pump();
    now_ns += 10 * MS; /* half of what it has */
    struct milgi__keyless_request *second = come();
    pump();
    assert_int_equal(sent_n, 2);
    now_ns += 5 * MS;
    lose(first, sent[0].server);
    pump();
    assert_int_equal(sent_n, 3);
    assert_ptr_equal(sent[2].request, first);
    now_ns += 15 * MS; /* 20 for the second, 15 for the first */
    pump();
    assert_int_equal(sent_n, 4);
    assert_ptr_equal(sent[3].request, second);
    now_ns += 5 * MS;
    pump();
    assert_int_equal(sent_n, 5);
    assert_ptr_equal(sent[4].request, first);
    assert_int_equal(k->stats.hedged, 2);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_that_can_go_nowhere_are_passed_over),
        cmocka_unit_test(those_that_are_not_heard_of_are_passed_over),
        cmocka_unit_test(who_is_busy_is_waited_for_rather_than_who_says_nothing),
        cmocka_unit_test(what_was_sent_to_one_that_hangs_is_asked_elsewhere_too),
        cmocka_unit_test(the_last_hope_may_be_a_server_that_is_away_and_then_hopeless),
        cmocka_unit_test(whoever_answers_with_errors_is_asked_last),
        cmocka_unit_test(a_signature_has_the_length_of_the_keys),
        cmocka_unit_test(what_was_cancelled_does_not_wait_on),
        cmocka_unit_test(what_nobody_waits_for_is_not_asked_elsewhere),
        cmocka_unit_test(patience_begins_anew_when_it_is_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
