/* SPDX-License-Identifier: Apache-2.0 */
/* What TLS has beside bytes, through bufferevents; and what connections take of memory. */
#include "rig.h"

#include <event2/event.h>
#include <malloc.h>
#include <time.h>

#include "base/base.h"

#define CROWD 100u
#define RECORD (5u + 16384u)

/* --- what libevent takes ------------------------------------------------------------------------------------------ */

static size_t taken; /* bytes */

static void *take(size_t size)
{
    void *at = malloc(size);
    taken += at ? malloc_usable_size(at) : 0;
    return at;
}

static void give(void *at)
{
    taken -= at ? malloc_usable_size(at) : 0;
    free(at);
}

static void *take_anew(void *at, size_t size)
{
    taken -= at ? malloc_usable_size(at) : 0;
    at = realloc(at, size);
    taken += at ? malloc_usable_size(at) : 0;
    return at;
}

/* --- configs ------------------------------------------------------------------------------------------------------ */

static void change(struct milgi_config **config, struct milgi_config *to)
{
    milgi_config_unref(*config);
    *config = configs_freeze(to);
}

static struct milgi_conn_info info_of(struct rig *r, struct end *e)
{
    struct milgi_conn_info info;
    milgi_conn_info(milgi_bufferevent_conn(r->event, e->bev), &info);
    return info;
}

static void until_connected(struct rig *r)
{
    run_until(r, &r->a.connected);
    run_until(r, &r->b.connected);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void a_protocol_is_agreed_on(void **state)
{
    static const char *const wanted[] = { "h3", "h2" }, *const known[] = { "http/1.1", "h2" }, *const other[] = { "x" };
    (void)state;
    for (int agree = 0; agree < 2; agree++) {
        struct rig r;
        rig_open(&r, NULL, NULL);
        struct milgi_config *client = configs_begin(MILGI_CLIENT, NULL, r.root);
        struct milgi_config *server = configs_begin(MILGI_SERVER, r.leaf, NULL);
        assert_int_equal(milgi_config_set_alpn(client, agree ? wanted : other, agree ? 2 : 1), 0);
        assert_int_equal(milgi_config_set_alpn(server, known, 2), 0);
        change(&r.client, client);
        change(&r.server, server);
        both(&r);
        if (agree) {
            until_connected(&r);
            assert_string_equal(info_of(&r, &r.a).alpn, "h2");
            assert_string_equal(info_of(&r, &r.b).alpn, "h2");
        } else {
            run_until(&r, &r.a.error);
            run_until(&r, &r.b.error);
            assert_int_equal(r.a.reason.alert, MILGI_ALERT_NO_APPLICATION_PROTOCOL);
        }
        rig_close(&r);
    }
}

static void a_client_shows_its_certificate_when_it_is_asked(void **state)
{
    (void)state;
    for (int has = 0; has < 2; has++) {
        struct rig r;
        rig_open(&r, NULL, NULL);
        struct milgi_config *server = configs_begin(MILGI_SERVER, r.leaf, r.root);
        assert_int_equal(milgi_config_set_client_auth(server, MILGI_CLIENT_AUTH_REQUIRED), 0);
        change(&r.server, server);
        change(&r.client, configs_begin(MILGI_CLIENT, has ? r.leaf : NULL, r.root));
        both(&r);
        if (has) {
            until_connected(&r);
            assert_true(info_of(&r, &r.b).peer_authenticated);
        } else {
            run_until(&r, &r.b.error);
            assert_int_equal(r.b.reason.alert, MILGI_ALERT_CERTIFICATE_REQUIRED);
            run_until(&r, &r.a.error);
            assert_true(r.a.reason.alert_from_peer);
        }
        rig_close(&r);
    }
}

static void a_client_that_comes_back_goes_on_with_its_session(void **state)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 7 };
    struct milgi_ticket_keys *keys;
    struct milgi_session_cache *cache;
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    struct milgi_config *client = configs_begin(MILGI_CLIENT, NULL, r.root);
    struct milgi_config *server = configs_begin(MILGI_SERVER, r.leaf, NULL);
    assert_int_equal(milgi_ticket_keys_new(secret, 3600, time(NULL), &keys), 0);
    assert_int_equal(milgi_config_set_ticket_keys(server, keys), 0);
    assert_int_equal(milgi_session_cache_new(8, &cache), 0);
    assert_int_equal(milgi_config_set_session_cache(client, cache), 0);
    change(&r.client, client);
    change(&r.server, server);
    for (int times = 0; times < 2; times++) {
        memset(&r.a, 0, sizeof r.a);
        memset(&r.b, 0, sizeof r.b);
        r.b.send_len = 1000;
        both(&r);
        run_until_got(&r, &r.a, 1000); /* tickets come before it */
        assert_int_equal(info_of(&r, &r.a).resumed, times);
        assert_int_equal(info_of(&r, &r.b).resumed, times);
        end_free(&r.a);
        end_free(&r.b);
        run_until_streams(&r, 0);
    }
    milgi_session_cache_unref(cache);
    milgi_ticket_keys_unref(keys);
    rig_close(&r);
}

static void a_device_that_fails_is_the_reason(void **state)
{
    struct milgi_stream_options options;
    struct rig r;
    (void)state;
    milgi_stream_options_init(&options);
    options.engine.rerun = false;
    rig_open(&r, "chaos:seed=1,fail=1", &options);
    both(&r);
    run_until(&r, &r.a.error);
    run_until(&r, &r.b.error);
    assert_int_equal(r.a.reason.error, MILGI_EDEVICE);
    assert_false(r.a.connected);
    rig_close(&r);
}

/* Each waits until there is some, in its turn; nothing is lost, and nobody is cut. */
static void without_memory_they_wait(void **state)
{
    struct milgi_stream_options options;
    struct end ends[8][2];
    struct rig r;
    (void)state;
    milgi_stream_options_init(&options);
    options.engine.memory_limit = 384 << 10;
    options.linger_ms = 100;
    rig_open(&r, NULL, &options);
    for (unsigned i = 0; i < 8; i++) {
        r.a = r.b = (struct end){ .send_len = 0 };
        both(&r);
        until_connected(&r);
        for (unsigned k = 0; k < 2; k++) {
            ends[i][k] = k ? r.b : r.a;
            ends[i][k].send_len = 300000;
            ends[i][k].shut_when_sent = true;
        }
    }
    r.a.bev = r.b.bev = NULL;
    for (unsigned i = 0; i < 8; i++)
        for (unsigned k = 0; k < 2; k++)
            end_start(&r, &ends[i][k], ends[i][k].bev);
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned k = 0; k < 2; k++) {
            run_until(&r, &ends[i][k].eof);
            assert_int_equal(ends[i][k].got_len, 300000);
            assert_false(ends[i][k].error);
        }
    }
    for (unsigned i = 0; i < 8; i++)
        for (unsigned k = 0; k < 2; k++)
            end_free(&ends[i][k]);
    rig_close(&r);
}

/* A whole record of the greatest length in which there is no message that there is, to each; by parts. */
static void parts_come(struct rig *r, const int peer[CROWD], const struct end *ends, size_t from, size_t to)
{
    static uint8_t record[RECORD] = { 22, 3, 1, 0x40, 0 };
    memset(record + 5, 255, sizeof record - 5);
    for (unsigned i = 0; i < CROWD; i++) {
        if (!ends[i].error)
            assert_int_equal(send(peer[i], record + from, to - from, MSG_NOSIGNAL), to - from);
    }
    turns(r, 5);
}

/* Each has begun a record, and all of them hold all there is: none could be opened, and nothing be given back. */
static void those_who_hold_parts_of_records_do_not_wait_for_each_other(void **state)
{
    static struct end ends[CROWD];
    struct milgi_stream_options options;
    int peer[CROWD];
    struct rig r;
    (void)state;
    milgi_stream_options_init(&options);
    options.engine.memory_limit = 256u << 10;
    options.linger_ms = 100;
    rig_open(&r, NULL, &options);
    for (unsigned i = 0; i < CROWD; i++) {
        int fd[2];
        socket_pair(fd);
        peer[i] = fd[1];
        server_on(&r, fd[0]);
        ends[i] = r.b;
        end_start(&r, &ends[i], r.b.bev);
    }
    r.b.bev = NULL;
    for (size_t at = 0; at < 12000; at += 4000)
        parts_come(&r, peer, ends, at, at + 4000);
    parts_come(&r, peer, ends, 12000, RECORD);
    for (unsigned i = 0; i < CROWD; i++) {
        run_until(&r, &ends[i].error);
        assert_int_equal(ends[i].reason.alert, MILGI_ALERT_UNEXPECTED_MESSAGE);
        end_free(&ends[i]);
        close(peer[i]);
    }
    rig_close(&r);
}

static unsigned asked, fails_at; /* the library's allocations since data flow */

static bool no_memory(void)
{
    return ++asked >= fails_at && asked < fails_at + 3;
}

/* Whatever fails is tried again when there is memory; or it is told, and nothing looks like an end. */
static void an_allocation_that_fails_loses_nothing(void **state)
{
    unsigned whole = 0;
    (void)state;
    for (fails_at = 1; fails_at < 60; fails_at++) {
        struct rig r;
        rig_open(&r, NULL, NULL);
        both(&r);
        until_connected(&r);
        r.a.send_len = 100000;
        r.a.shut_when_sent = true;
        asked = 0;
        milgi__mem_fail = no_memory;
        send_more(&r.a);
        while (!r.b.eof && !r.b.error)
            turns(&r, 1);
        milgi__mem_fail = NULL;
        assert_true(r.b.error || r.b.got_len == 100000);
        whole += !r.b.error;
        rig_close(&r);
    }
    assert_true(whole > 50);
}

/* Who sends byte by byte to somebody who does not read: a byte is not to take a hundred. */
static void tiny_records_take_little(void **state)
{
    struct rig r;
    (void)state;
    rig_open(&r, NULL, NULL);
    both(&r);
    until_connected(&r);
    bufferevent_disable(r.b.bev, EV_READ);
    size_t before = taken;
    for (unsigned i = 0; i < 2000; i++) { /* more than the pair takes */
        r.a.send_len++;
        send_more(&r.a);
        turns(&r, 6);
    }
    assert_in_range(taken, before, before + 2000 * 16);
    bufferevent_enable(r.b.bev, EV_READ);
    run_until_got(&r, &r.b, 2000);
    rig_close(&r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_protocol_is_agreed_on),
        cmocka_unit_test(a_client_shows_its_certificate_when_it_is_asked),
        cmocka_unit_test(a_client_that_comes_back_goes_on_with_its_session),
        cmocka_unit_test(a_device_that_fails_is_the_reason),
        cmocka_unit_test(without_memory_they_wait),
        cmocka_unit_test(those_who_hold_parts_of_records_do_not_wait_for_each_other),
        cmocka_unit_test(an_allocation_that_fails_loses_nothing),
        cmocka_unit_test(tiny_records_take_little),
    };
    event_set_mem_functions(take, take_anew, give);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
