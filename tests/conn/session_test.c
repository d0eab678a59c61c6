/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as connections take and give them: the cache, the event, and what may be done from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_identity.h"
#include "pair.h"
#include "session/session.h"

#define MUST(call) assert_int_equal(call, 0)

static struct milgi_ticket_keys *keys;
static struct milgi_session_cache *cache;
static struct pair pair;

static int setup(void **state)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    (void)state;
    MUST(milgi_ticket_keys_new(secret, 7200, FAKE_NOW_S, &keys));
    MUST(milgi_session_cache_new(16, &cache));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    milgi_ticket_keys_unref(keys);
    milgi_session_cache_unref(cache);
    return 0;
}

static uint16_t version_max = MILGI_TLS_1_3;

static struct milgi_config *config(enum milgi_role role, bool with_cache)
{
    struct milgi_config *c = fake_config(role, NULL);
    MUST(milgi_config_set_versions(c, MILGI_TLS_1_2, version_max));
    if (role == MILGI_SERVER)
        MUST(milgi_config_set_ticket_keys(c, keys));
    else if (with_cache)
        MUST(milgi_config_set_session_cache(c, cache));
    return fake_freeze(c);
}

static struct pair_setup setup_of(bool with_cache)
{
    return (struct pair_setup){
        .config = { config(MILGI_CLIENT, with_cache), config(MILGI_SERVER, false) },
        .server_name = "server.test",
        .wall_s = FAKE_NOW_S,
    };
}

static void give_up(const struct pair_setup *setup)
{
    milgi_config_unref(setup->config[0]);
    milgi_config_unref(setup->config[1]);
}

static bool resumed(int role)
{
    struct milgi_conn_info info;
    assert_true(pair.side[role].established);
    milgi_conn_info(pair.side[role].conn, &info);
    return info.resumed;
}

static void the_cache_makes_every_second_connection_a_resumed_one(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(true);
    pair_init(&pair, &s);
    pair_settle(&pair);
    assert_false(resumed(MILGI_CLIENT));
    assert_int_equal(milgi_session_cache_count(cache), 2);
    for (unsigned i = 0; i < 5; i++) {
        pair_again(&pair, &s);
        pair_settle(&pair);
        assert_true(resumed(MILGI_CLIENT) && resumed(MILGI_SERVER));
        assert_int_equal(milgi_session_cache_count(cache), 2); /* one was used, one has come */
    }
    pair_fini(&pair);
    give_up(&s);
}

/* --- the early exporter ------------------------------------------------------------------------------------------- */

static struct {
    int rv;
    uint8_t out[40];
} exported[2];

static int export_early(struct milgi_conn *conn, uint8_t out[40])
{
    return milgi_conn_export_early(conn, "EXPERIMENTAL x", "c", 1, out, 40);
}

static void export_at_the_end(struct pair_side *side, const char *event)
{
    int role = side == &pair.side[MILGI_SERVER];
    if (strcmp(event, "established") == 0)
        exported[role].rv = export_early(side->conn, exported[role].out);
}

/* Returns what the client had before it had heard anything. */
static int run_with_exports(uint8_t first[40])
{
    struct milgi_conn *client = pair.side[MILGI_CLIENT].conn, *server = pair.side[MILGI_SERVER].conn;
    uint8_t none[40];
    assert_int_equal(export_early(client, none), MILGI_EINVAL); /* not yet */
    (void)pair_run(&pair.side[MILGI_CLIENT], NULL);
    int rv = export_early(client, first);
    assert_int_equal(export_early(server, none), MILGI_EINVAL);
    pair.side[0].on_event = pair.side[1].on_event = export_at_the_end;
    pair_settle(&pair);
    assert_true(pair.side[0].established && pair.side[1].established);
    assert_int_equal(export_early(client, none), MILGI_EINVAL); /* not any more */
    assert_int_equal(export_early(server, none), MILGI_EINVAL);
    return rv;
}

static void a_resumed_connection_has_an_early_exporter_until_it_is_established(void **state)
{
    (void)state;
    for (int version = 0; version < 2; version++) {
        struct milgi_config *c[2] = { fake_config(MILGI_CLIENT, NULL), fake_config(MILGI_SERVER, NULL) };
        struct pair_setup s = { .server_name = "server.test", .wall_s = FAKE_NOW_S };
        for (int role = 0; role < 2; role++) {
            MUST(milgi_config_set_versions(c[role], MILGI_TLS_1_2, version ? MILGI_TLS_1_2 : MILGI_TLS_1_3));
            MUST(milgi_config_set_early_exporter(c[role], true));
        }
        MUST(milgi_config_set_session_cache(c[MILGI_CLIENT], cache));
        MUST(milgi_config_set_ticket_keys(c[MILGI_SERVER], keys));
        for (int role = 0; role < 2; role++)
            s.config[role] = fake_freeze(c[role]);
        assert_int_equal(milgi_config_set_early_exporter(c[0], false), MILGI_EINVAL);
        uint8_t first[40], other[40];
        pair_init(&pair, &s);
        assert_int_equal(run_with_exports(first), MILGI_EINVAL); /* there is no PSK */
        assert_int_equal(exported[0].rv, MILGI_EINVAL);
        assert_int_equal(exported[1].rv, MILGI_EINVAL);
        pair_again(&pair, &s);
        assert_int_equal(run_with_exports(first), version ? MILGI_EINVAL : 0);
        assert_true(resumed(MILGI_CLIENT));
        for (int role = 0; role < 2; role++) {
            assert_int_equal(exported[role].rv, version ? MILGI_EINVAL : 0);
            if (!version)
                assert_memory_equal(exported[role].out, first, sizeof first);
        }
        MUST(milgi_conn_export(pair.side[0].conn, "EXPERIMENTAL x", "c", 1, other, sizeof other));
        assert_memory_not_equal(other, first, sizeof other);
        pair_again(&pair, &s);
        struct milgi_conn *client = pair.side[MILGI_CLIENT].conn;
        (void)pair_run(&pair.side[MILGI_CLIENT], NULL);
        assert_int_equal(milgi_conn_export_early(client, "", "c", 1, other, 40), MILGI_EINVAL);
        assert_int_equal(milgi_conn_export_early(client, NULL, "c", 1, other, 40), MILGI_EINVAL);
        assert_int_equal(milgi_conn_export_early(client, "x", NULL, 1, other, 40), MILGI_EINVAL);
        assert_int_equal(milgi_conn_export_early(client, "x", NULL, 0, other, 0), MILGI_EINVAL);
        MUST(milgi_conn_abort(client, MILGI_ALERT_USER_CANCELED));
        pair_settle(&pair);
        assert_true(pair.side[MILGI_CLIENT].closed);
        assert_int_equal(export_early(client, other), MILGI_ECLOSED);
        pair_fini(&pair);
        give_up(&s);
        milgi_session_cache_unref(cache);
        MUST(milgi_session_cache_new(16, &cache));
    }
}

static void a_session_that_is_set_takes_the_place_of_the_caches(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(true);
    pair_init(&pair, &s);
    pair_settle(&pair);
    size_t n = milgi_session_cache_count(cache);
    pair_again(&pair, &s);
    MUST(milgi_conn_set_session(pair.side[MILGI_CLIENT].conn, NULL));
    pair_settle(&pair);
    assert_false(resumed(MILGI_CLIENT));
    assert_true(milgi_session_cache_count(cache) >= n); /* none was taken */
    struct milgi_session *session = milgi_session_cache_take(cache, "server.test", FAKE_NOW_S);
    assert_non_null(session);
    assert_int_equal(milgi_conn_set_session(pair.side[MILGI_CLIENT].conn, session), MILGI_EINVAL); /* too late */
    pair_again(&pair, &s);
    assert_int_equal(milgi_conn_set_session(pair.side[MILGI_SERVER].conn, session), MILGI_EINVAL);
    MUST(milgi_conn_set_session(pair.side[MILGI_CLIENT].conn, session));
    milgi_session_unref(session);
    pair_settle(&pair);
    assert_true(resumed(MILGI_CLIENT));
    pair_again(&pair, &s); /* given, and freed before it has begun */
    session = milgi_session_cache_take(cache, "server.test", FAKE_NOW_S);
    MUST(milgi_conn_set_session(pair.side[MILGI_CLIENT].conn, session));
    milgi_session_unref(session);
    pair_fini(&pair);
    give_up(&s);
}

/* Of TLS 1.2 one is enough, and stays in the cache. */
static void the_cache_does_the_same_in_tls12(void **state)
{
    version_max = MILGI_TLS_1_2;
    struct pair_setup s = setup_of(true);
    pair_init(&pair, &s);
    pair_settle(&pair);
    assert_false(resumed(MILGI_CLIENT));
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(milgi_session_cache_count(cache), 1);
        pair_again(&pair, &s);
        pair_settle(&pair);
        assert_true(resumed(MILGI_CLIENT) && resumed(MILGI_SERVER));
    }
    pair_fini(&pair);
    give_up(&s);
    version_max = MILGI_TLS_1_3;
    (void)state;
}

static void nobody_who_wants_no_sessions_asks_for_any(void **state)
{
    (void)state;
    size_t n = milgi_session_cache_count(cache);
    struct pair_setup s = setup_of(false);
    pair_init(&pair, &s);
    pair_settle(&pair);
    assert_false(resumed(MILGI_CLIENT));
    assert_int_equal(milgi_session_cache_count(cache), n);
    pair_fini(&pair);
    give_up(&s);
}

/* --- the event -------------------------------------------------------------------------------------------------- */

static struct {
    struct pair_bytes *out;
    struct milgi_session *session;
    unsigned told;
    bool frees, freed;
} own;

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    size_t len = 0;
    (void)arg;
    for (size_t i = 0; i < iov_n; i++) {
        pair_bytes_add(own.out, iov[i].data, iov[i].len);
        len += iov[i].len;
    }
    milgi_conn_output_done(conn, len);
}

static void on_session(struct milgi_conn *conn, void *arg, struct milgi_session *session)
{
    (void)arg;
    assert_false(own.freed);
    own.told++;
    milgi_session_unref(own.session);
    own.session = milgi_session_ref(session);
    if (own.frees) {
        milgi_conn_free(conn);
        pair.side[MILGI_CLIENT].conn = NULL;
        own.freed = true;
    }
}

static const struct milgi_events events = { .on_output = on_output, .on_session = on_session };

/* The client's connection with events of ours. */
static void meet(const struct pair_setup *s, struct milgi_session *session, bool frees)
{
    struct pair_side *side = &pair.side[MILGI_CLIENT];
    pair_again(&pair, s);
    milgi_conn_free(side->conn);
    own.out = &side->wire;
    own.told = 0;
    own.frees = frees;
    own.freed = false;
    MUST(milgi_conn_new(side->engine, s->config[MILGI_CLIENT], "server.test", &events, side, &side->conn));
    if (session)
        MUST(milgi_conn_set_session(side->conn, session));
    for (unsigned i = 0; i < 20; i++) {
        for (int role = 0; role < 2; role++) {
            pair_run(&pair.side[role], NULL);
            if (pair_other(&pair.side[role])->conn)
                pair_carry(&pair.side[role], 0);
        }
    }
}

static void who_is_told_of_a_session_can_keep_it_elsewhere(void **state)
{
    (void)state;
    uint8_t bytes[4096];
    struct milgi_session *again;
    struct pair_setup s = setup_of(false);
    pair_init(&pair, &s);
    meet(&s, NULL, false);
    assert_int_equal(own.told, 2);
    size_t len = milgi_session_encode(own.session, bytes, sizeof bytes);
    assert_true(len <= sizeof bytes);
    MUST(milgi_session_decode(bytes, len, &again));
    meet(&s, again, false);
    milgi_session_unref(again);
    assert_true(resumed(MILGI_SERVER));
    assert_int_equal(own.told, 1);
    pair_fini(&pair);
    give_up(&s);
    milgi_session_unref(own.session);
    own.session = NULL;
}

/*= RFC8446 4.6.1: "It is RECOMMENDED that implementations place limits on the total lifetime of such keying material;
 *= these limits should take into account the lifetime of the peer's certificate [...] and the time since the peer's
 *= online CertificateVerify signature." */
static void sessions_of_a_resumed_connection_say_what_the_first_one_said(void **state)
{
    static const struct fake_options dated = { .not_before_s = FAKE_NOW_S - 5000, .not_after_s = FAKE_NOW_S + 50000 };
    (void)state;
    struct pair_setup s = setup_of(false);
    milgi_config_unref(s.config[MILGI_SERVER]);
    s.config[MILGI_SERVER] = fake_config(MILGI_SERVER, &dated);
    MUST(milgi_config_set_ticket_keys(s.config[MILGI_SERVER], keys));
    fake_freeze(s.config[MILGI_SERVER]);
    pair_init(&pair, &s);
    meet(&s, NULL, false);
    struct milgi_session *first = milgi_session_ref(own.session);
    struct milgi__session_fields f[2] = { first->f };
    assert_true(f[0].authenticated && f[0].valid_until_s == dated.not_after_s);
    pair.wall_s += 100;
    meet(&s, first, false);
    assert_true(resumed(MILGI_SERVER) && own.session != first);
    f[1] = own.session->f;
    assert_int_equal(f[1].created_s, f[0].created_s + 100);
    assert_memory_not_equal(f[1].secret, f[0].secret, f[0].secret_len);
    assert_int_equal(f[1].secret_len, f[0].secret_len);
    assert_int_equal(f[1].authenticated_s, f[0].authenticated_s);
    assert_int_equal(f[1].valid_from_s, f[0].valid_from_s);
    assert_int_equal(f[1].valid_until_s, f[0].valid_until_s);
    assert_int_equal(f[1].version << 16 | f[1].suite, f[0].version << 16 | f[0].suite);
    assert_true(f[1].authenticated && f[1].peer == MILGI__SESSION_PEER);
    assert_memory_equal(f[1].policy, f[0].policy, sizeof f[0].policy);
    assert_string_equal(milgi__session_name(own.session), "server.test");
    assert_ptr_equal(own.session->shown, first->shown); /* the certificates are there once */
    milgi_session_unref(first);
    pair_fini(&pair);
    give_up(&s);
    assert_int_equal(atomic_load(&own.session->shown->refs), 1);
    milgi_session_unref(own.session);
    own.session = NULL;
}

static void who_resumes_in_tls12_is_told_of_new_sessions_only(void **state)
{
    (void)state;
    version_max = MILGI_TLS_1_2;
    struct pair_setup s = setup_of(false);
    pair_init(&pair, &s);
    meet(&s, NULL, false);
    assert_int_equal(own.told, 1);
    assert_int_equal(atomic_load(&own.session->refs), 1); /* without a cache the connection has no use for it */
    meet(&s, own.session, false);
    assert_true(resumed(MILGI_SERVER));
    assert_int_equal(own.told, 0);
    assert_int_equal(atomic_load(&own.session->refs), 1);
    pair_fini(&pair);
    give_up(&s);
    milgi_session_unref(own.session);
    own.session = NULL;
    version_max = MILGI_TLS_1_3;
}

static void the_connection_may_be_freed_when_it_tells(void **state)
{
    (void)state;
    for (version_max = MILGI_TLS_1_2; version_max <= MILGI_TLS_1_3; version_max++) {
        struct pair_setup s = setup_of(false);
        pair_init(&pair, &s);
        meet(&s, NULL, true);
        assert_true(own.freed);
        assert_int_equal(own.told, 1);
        pair_fini(&pair);
        give_up(&s);
        milgi_session_unref(own.session);
        own.session = NULL;
    }
    version_max = MILGI_TLS_1_3;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_cache_makes_every_second_connection_a_resumed_one, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_resumed_connection_has_an_early_exporter_until_it_is_established, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_that_is_set_takes_the_place_of_the_caches, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cache_does_the_same_in_tls12, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_who_wants_no_sessions_asks_for_any, setup, teardown),
        cmocka_unit_test_setup_teardown(who_is_told_of_a_session_can_keep_it_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(
            sessions_of_a_resumed_connection_say_what_the_first_one_said, setup, teardown),
        cmocka_unit_test_setup_teardown(who_resumes_in_tls12_is_told_of_new_sessions_only, setup, teardown),
        cmocka_unit_test_setup_teardown(the_connection_may_be_freed_when_it_tells, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
