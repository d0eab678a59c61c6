/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.2: sessions that a server keeps by their IDs, in its cache or wherever a decision says; and which of them a
 * fatal alert spoils.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "elsewhere.h"
#include "fake_identity.h"
#include "pair.h"

#define MUST(call) assert_int_equal(call, 0)
#define CLIENT (&pair.side[MILGI_CLIENT])
#define SERVER (&pair.side[MILGI_SERVER])
#define BOTH (MILGI_DECIDE_SESSION_LOOKUP | MILGI_DECIDE_SESSION_STORE)

static struct pair pair;
static struct milgi_session_cache *of_client, *of_server;
static struct milgi_ticket_keys *keys;

static int setup(void **state)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    (void)state;
    MUST(milgi_ticket_keys_new(secret, 7200, FAKE_NOW_S, &keys));
    MUST(milgi_session_cache_new(16, &of_client));
    MUST(milgi_session_cache_new(16, &of_server));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    milgi_ticket_keys_unref(keys);
    milgi_session_cache_unref(of_client);
    milgi_session_cache_unref(of_server);
    return 0;
}

/* What the server has besides a credential. */
enum kept {
    CACHE = 1,
    KEYS = 2
};

static struct pair_setup setup_of(unsigned kept, unsigned asks, uint16_t max)
{
    struct milgi_config *client = fake_config(MILGI_CLIENT, NULL), *server = fake_config(MILGI_SERVER, NULL);
    MUST(milgi_config_set_versions(client, MILGI_TLS_1_2, max));
    MUST(milgi_config_set_versions(server, MILGI_TLS_1_2, max));
    MUST(milgi_config_set_session_cache(client, of_client));
    if (kept & CACHE)
        MUST(milgi_config_set_session_cache(server, of_server));
    if (kept & KEYS)
        MUST(milgi_config_set_ticket_keys(server, keys));
    MUST(milgi_config_set_ask(server, asks));
    return (struct pair_setup){
        .config = { fake_freeze(client), fake_freeze(server) },
        .server_name = "server.test",
        .wall_s = FAKE_NOW_S,
    };
}

static void give_up(const struct pair_setup *setup)
{
    pair_fini(&pair);
    milgi_config_unref(setup->config[0]);
    milgi_config_unref(setup->config[1]);
}

static bool resumed(void)
{
    struct milgi_conn_info info[2];
    for (int role = 0; role < 2; role++) {
        assert_true(pair.side[role].established);
        milgi_conn_info(pair.side[role].conn, &info[role]);
    }
    assert_int_equal(info[0].resumed, info[1].resumed);
    return info[0].resumed;
}

static size_t id_len(void)
{
    struct milgi_conn_info info;
    milgi_conn_info(SERVER->conn, &info);
    return info.session_id.len;
}

static void again(const struct pair_setup *s)
{
    pair_again(&pair, s);
    CLIENT->decisions_n = SERVER->decisions_n = 0;
    pair_settle(&pair);
}

/* --- the cache -------------------------------------------------------------------------------------------------- */

static void a_session_is_resumed_by_its_id(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(CACHE, 0, MILGI_TLS_1_2);
    pair_init(&pair, &s);
    pair_settle(&pair);
    assert_false(resumed());
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(milgi_session_cache_count(of_server), 1);
        assert_int_equal(milgi_session_cache_count(of_client), 1);
        assert_int_equal(id_len(), 32);
        again(&s);
        assert_true(resumed());
    }
    pair.wall_s += 7201; /* it is too old for the server */
    again(&s);
    assert_false(resumed());
    give_up(&s);
}

static void who_takes_tickets_gets_them_and_no_id(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(CACHE | KEYS, 0, MILGI_TLS_1_2);
    pair_init(&pair, &s);
    for (unsigned i = 0; i < 2; i++) {
        pair_settle(&pair);
        assert_int_equal(resumed(), i);
        assert_int_equal(milgi_session_cache_count(of_server), 0);
        assert_int_equal(id_len(), 0);
        again(&s);
    }
    give_up(&s);
}

/*= RFC5077 3.4: "If a ticket is presented by the client, the server MUST NOT attempt to use the Session ID in the
 *= ClientHello for stateful session resumption." Nor is there any for a ClientHello of TLS 1.3. */
static void ids_beside_tickets_and_of_tls13_are_not_looked_up(void **state)
{
    (void)state;
    for (unsigned tls13 = 0; tls13 < 2; tls13++) {
        struct pair_setup s =
            setup_of(KEYS, MILGI_DECIDE_SESSION_LOOKUP, tls13 ? MILGI_TLS_1_3 : MILGI_TLS_1_2);
        pair_init(&pair, &s);
        pair_settle(&pair);
        again(&s);
        assert_true(resumed());
        assert_int_equal(SERVER->decisions_n, 0);
        give_up(&s);
        milgi_session_unref(milgi_session_cache_take(of_client, "server.test", FAKE_NOW_S));
    }
}

static void without_a_cache_or_somebody_to_ask_there_are_no_ids(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(0, 0, MILGI_TLS_1_2);
    pair_init(&pair, &s);
    pair_settle(&pair);
    assert_int_equal(id_len(), 0);
    assert_int_equal(milgi_session_cache_count(of_client), 0);
    give_up(&s);
}

/*= RFC5246 7.2.2: "Servers and clients MUST forget any session-identifiers, keys, and secrets associated with a failed
 *= connection." */
static void a_fatal_alert_spoils_the_session_at_both_ends(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct pair_setup s = setup_of(CACHE, 0, MILGI_TLS_1_2);
        bool resumes = i % 2;
        pair_init(&pair, &s);
        pair_settle(&pair);
        if (resumes)
            again(&s);
        assert_int_equal(resumed(), resumes);
        if (i < 2) {
            MUST(milgi_conn_abort(SERVER->conn, MILGI_ALERT_INTERNAL_ERROR));
        } else if (i < 4) {
            MUST(milgi_conn_shutdown(SERVER->conn));
            MUST(milgi_conn_shutdown(CLIENT->conn));
        } else if (i >= 6) { /* cut: nobody says anything */
            MUST(milgi_conn_receive_eof(SERVER->conn, 0));
            MUST(milgi_conn_receive_eof(CLIENT->conn, 1));
        } else {
            static const uint8_t junk[] = { 23, 3, 3, 0, 24, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
                18, 19, 20, 21, 22, 23, 24 };
            pair_feed(CLIENT, junk, sizeof junk);
        }
        pair_settle(&pair);
        assert_true(CLIENT->closed && SERVER->closed);
        bool spoilt = i < 2 || i == 4 || i == 5;
        assert_int_equal(milgi_session_cache_count(of_server), !spoilt);
        assert_int_equal(milgi_session_cache_count(of_client), !spoilt);
        milgi_session_unref(milgi_session_cache_take(of_client, "server.test", FAKE_NOW_S + 100000));
        give_up(&s);
        milgi_session_cache_unref(of_server);
        MUST(milgi_session_cache_new(16, &of_server));
    }
}

/* Of a ticket the client's. */
static void a_fatal_alert_spoils_a_ticket(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(KEYS, 0, MILGI_TLS_1_2);
    pair_init(&pair, &s);
    pair_settle(&pair);
    assert_int_equal(milgi_session_cache_count(of_client), 1);
    MUST(milgi_conn_abort(CLIENT->conn, MILGI_ALERT_INTERNAL_ERROR));
    pair_settle(&pair);
    assert_int_equal(milgi_session_cache_count(of_client), 0);
    give_up(&s);
}

static struct milgi_config *chosen;

static void choose(struct pair_side *side, const struct milgi_decision *decision)
{
    assert_int_equal(decision->kind, MILGI_DECIDE_CONFIG);
    MUST(milgi_decide(side->engine, *decision, MILGI_ACCEPT, chosen));
}

/* The config that a decision chooses has the cache: there the session is put, found and spoilt. */
static void the_cache_is_that_of_the_config_that_was_chosen(void **state)
{
    (void)state;
    struct pair_setup with = setup_of(CACHE, 0, MILGI_TLS_1_2), s = setup_of(0, MILGI_DECIDE_CONFIG, MILGI_TLS_1_2);
    chosen = with.config[MILGI_SERVER];
    pair_init(&pair, &s);
    SERVER->decide = choose;
    pair_settle(&pair);
    assert_false(resumed());
    assert_int_equal(id_len(), 32);
    again(&s);
    assert_true(resumed());
    assert_int_equal(milgi_session_cache_count(of_server), 1);
    MUST(milgi_conn_abort(SERVER->conn, MILGI_ALERT_INTERNAL_ERROR));
    pair_settle(&pair);
    assert_int_equal(milgi_session_cache_count(of_server), 0);
    give_up(&s);
    milgi_config_unref(with.config[0]);
    milgi_config_unref(with.config[1]);
}

/* One whose handshake fails, too: nobody tries it again and again. */
static void a_handshake_that_fails_spoils_what_it_stood_on(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(CACHE, 0, MILGI_TLS_1_2);
    pair_init(&pair, &s);
    pair_settle(&pair);
    pair_again(&pair, &s);
    for (unsigned i = 0; i < 40 && !SERVER->closed; i++) {
        pair_run(CLIENT, NULL);
        size_t len = CLIENT->wire.len;
        if (len != 0 && CLIENT->wire.p[0] == 20) /* change_cipher_spec, with Finished behind it */
            CLIENT->wire.p[len - 1] ^= 1;
        pair_carry(CLIENT, 0);
        pair_run(SERVER, NULL);
        pair_carry(SERVER, 0);
    }
    pair_settle(&pair);
    assert_int_equal(SERVER->reason.alert, MILGI_ALERT_BAD_RECORD_MAC);
    assert_int_equal(milgi_session_cache_count(of_server), 0);
    assert_int_equal(milgi_session_cache_count(of_client), 0);
    give_up(&s);
}

/* --- decisions -------------------------------------------------------------------------------------------------- */

static struct {
    struct milgi_session *session;
    uint8_t id[32];
    bool finds;
    unsigned looked_up, stored;
} shelf;

static int shelf_setup(void **state)
{
    memset(&shelf, 0, sizeof shelf);
    shelf.finds = true;
    return setup(state);
}

static int shelf_teardown(void **state)
{
    milgi_session_unref(shelf.session);
    return teardown(state);
}

static struct milgi_session *found(struct milgi_engine *engine, const struct milgi_decision *decision)
{
    struct milgi_decision_info info;
    MUST(milgi_decision_info(engine, *decision, &info));
    assert_int_equal(info.session_id.len, 32);
    assert_null(info.session);
    shelf.looked_up++;
    bool known = shelf.session && memcmp(shelf.id, info.session_id.data, 32) == 0;
    return known && shelf.finds ? shelf.session : NULL;
}

/* The kind that was answered. */
static uint32_t answer(struct milgi_engine *engine, const struct milgi_decision *decision)
{
    struct milgi_decision_info info;
    if (decision->kind == MILGI_DECIDE_SESSION_LOOKUP) {
        struct milgi_session *session = found(engine, decision);
        assert_int_equal(milgi_decide(engine, *decision, MILGI_ACCEPT, NULL), MILGI_EINVAL);
        MUST(milgi_decide(engine, *decision, session ? MILGI_ACCEPT : MILGI_REFUSE, session));
    } else {
        MUST(milgi_decision_info(engine, *decision, &info));
        assert_int_equal(info.session_id.len, 32);
        assert_non_null(info.session);
        memcpy(shelf.id, info.session_id.data, 32);
        milgi_session_unref(shelf.session);
        shelf.session = milgi_session_ref(info.session);
        shelf.stored++;
        MUST(milgi_decide(engine, *decision, MILGI_ACCEPT, NULL));
    }
    assert_int_equal(milgi_decide(engine, *decision, MILGI_DEFAULT, NULL), MILGI_ESTALE); /* twice */
    return decision->kind;
}

static void at_once(struct pair_side *side, const struct milgi_decision *decision)
{
    answer(side->engine, decision);
}

static void sessions_are_kept_where_decisions_say(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        struct pair_setup s = setup_of(0, BOTH, MILGI_TLS_1_2);
        pair_init(&pair, &s);
        SERVER->decide = late ? NULL : at_once;
        shelf.looked_up = shelf.stored = 0;
        pair_settle(&pair);
        if (late) {
            assert_false(SERVER->established);
            assert_int_equal(answer(SERVER->engine, &SERVER->decision[0]), MILGI_DECIDE_SESSION_STORE);
            pair_settle(&pair);
        }
        assert_false(resumed());
        assert_int_equal(shelf.stored, 1);
        for (unsigned i = 0; i < 3; i++) {
            shelf.finds = i != 2;
            again(&s);
            for (unsigned k = 0; late && k < 1u + (i == 2); k++) {
                assert_false(SERVER->established);
                uint32_t kind = answer(SERVER->engine, &SERVER->decision[k]);
                assert_int_equal(kind, k == 0 ? MILGI_DECIDE_SESSION_LOOKUP : MILGI_DECIDE_SESSION_STORE);
                pair_settle(&pair);
            }
            assert_int_equal(resumed(), i != 2);
            assert_int_equal(shelf.looked_up, i + 1);
            assert_int_equal(shelf.stored, i == 2 ? 2 : 1);
        }
        shelf.finds = true;
        give_up(&s);
        milgi_session_unref(milgi_session_cache_take(of_client, "server.test", FAKE_NOW_S + 100000));
    }
}

static size_t last_id_len;
static uint8_t last_id[32];

static void at_the_end(struct pair_side *side, const char *event)
{
    struct milgi_conn_info info;
    if (strcmp(event, "closed") != 0)
        return;
    milgi_conn_info(side->conn, &info);
    assert_false(info.established);
    assert_null(info.peer_chain);
    last_id_len = info.session_id.len;
    assert_true(last_id_len <= sizeof last_id);
    memcpy(last_id, info.session_id.data, last_id_len);
}

/* Whoever keeps it elsewhere can forget it, too, if it was no connection yet. */
static void a_handshake_that_fails_tells_of_which_session_it_was(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(0, BOTH, MILGI_TLS_1_2);
    pair_init(&pair, &s);
    SERVER->decide = NULL;
    SERVER->on_event = at_the_end;
    pair_settle(&pair);
    answer(SERVER->engine, &SERVER->decision[0]);
    MUST(milgi_conn_abort(SERVER->conn, MILGI_ALERT_INTERNAL_ERROR)); /* given out, and no connection yet */
    pair_settle(&pair);
    assert_true(SERVER->closed);
    assert_int_equal(last_id_len, 32);
    assert_memory_equal(last_id, shelf.id, 32);
    SERVER->on_event = NULL;
    SERVER->decide = at_once;
    again(&s);
    assert_false(resumed());
    again(&s);
    assert_true(resumed());
    SERVER->on_event = at_the_end;
    SERVER->decide = NULL;
    last_id_len = 0;
    again(&s);
    answer(SERVER->engine, &SERVER->decision[0]); /* it is looked up, and the handshake fails then */
    while (pair_run(SERVER, NULL) == MILGI_RUN_AGAIN)
        continue;
    MUST(milgi_conn_abort(SERVER->conn, MILGI_ALERT_INTERNAL_ERROR));
    pair_settle(&pair);
    assert_true(SERVER->closed && !SERVER->established);
    assert_int_equal(last_id_len, 32);
    assert_memory_equal(last_id, shelf.id, 32);
    give_up(&s);
}

/* Without an answer of its own it is the cache's: so one may ask for the one and leave the other. */
static void the_default_is_the_cache(void **state)
{
    (void)state;
    for (unsigned asks = 0; asks < 4; asks++) {
        unsigned kinds = (asks & 1 ? MILGI_DECIDE_SESSION_LOOKUP : 0u) | (asks & 2 ? MILGI_DECIDE_SESSION_STORE : 0u);
        struct pair_setup s = setup_of(CACHE, kinds, MILGI_TLS_1_2);
        pair_init(&pair, &s);
        for (unsigned i = 0; i < 3; i++) {
            pair_settle(&pair);
            while (SERVER->decisions_n > 0) {
                struct milgi_decision decision = SERVER->decision[--SERVER->decisions_n];
                MUST(milgi_decide(SERVER->engine, decision, MILGI_DEFAULT, NULL));
                pair_settle(&pair);
            }
            assert_int_equal(resumed(), i > 0);
            pair_again(&pair, &s);
        }
        give_up(&s);
        milgi_session_unref(milgi_session_cache_take(of_client, "server.test", FAKE_NOW_S + 100000));
    }
}

/* Any session may be the answer; one that is too old is not resumed. */
static void what_is_found_is_judged(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(0, BOTH, MILGI_TLS_1_2);
    pair_init(&pair, &s);
    SERVER->decide = at_once;
    pair_settle(&pair);
    pair.wall_s += 7201;
    again(&s);
    assert_false(resumed());
    assert_int_equal(shelf.looked_up, 1);
    give_up(&s);
}

static void nobody_answers(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(CACHE, BOTH, MILGI_TLS_1_2);
    pair_init(&pair, &s);
    pair_settle_until(&pair, pair.now_ns + UINT64_C(40000000000));
    assert_true(SERVER->closed);
    assert_int_equal(SERVER->reason.error, MILGI_ETIMEOUT);
    assert_int_equal(milgi_decide(SERVER->engine, SERVER->decision[0], MILGI_ACCEPT, NULL), MILGI_ESTALE);
    again(&s);
    struct milgi_decision decision = SERVER->decision[0];
    milgi_conn_free(SERVER->conn);
    SERVER->conn = NULL;
    assert_int_equal(milgi_decide(SERVER->engine, decision, MILGI_ACCEPT, NULL), MILGI_ESTALE);
    give_up(&s);
}

static bool posted;

static void answer_here(void *arg)
{
    struct pair_side *side = arg;
    answer(side->engine, &side->decision[0]);
    posted = true;
}

static void another_thread_may_answer(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(0, BOTH, MILGI_TLS_1_2);
    pair_init(&pair, &s);
    for (unsigned i = 0; i < 2; i++) {
        pair_settle(&pair);
        posted = false;
        post_elsewhere(SERVER->engine, answer_here, SERVER);
        pair_settle(&pair);
        assert_true(posted);
        assert_int_equal(resumed(), i);
        if (i == 0)
            again(&s);
    }
    give_up(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_session_is_resumed_by_its_id, setup, teardown),
        cmocka_unit_test_setup_teardown(who_takes_tickets_gets_them_and_no_id, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_beside_tickets_and_of_tls13_are_not_looked_up, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_cache_or_somebody_to_ask_there_are_no_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fatal_alert_spoils_the_session_at_both_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(a_fatal_alert_spoils_a_ticket, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cache_is_that_of_the_config_that_was_chosen, setup, teardown),
        cmocka_unit_test_setup_teardown(a_handshake_that_fails_spoils_what_it_stood_on, setup, teardown),
        cmocka_unit_test_setup_teardown(sessions_are_kept_where_decisions_say, shelf_setup, shelf_teardown),
        cmocka_unit_test_setup_teardown(
            a_handshake_that_fails_tells_of_which_session_it_was, shelf_setup, shelf_teardown),
        cmocka_unit_test_setup_teardown(the_default_is_the_cache, shelf_setup, shelf_teardown),
        cmocka_unit_test_setup_teardown(what_is_found_is_judged, shelf_setup, shelf_teardown),
        cmocka_unit_test_setup_teardown(nobody_answers, shelf_setup, shelf_teardown),
        cmocka_unit_test_setup_teardown(another_thread_may_answer, shelf_setup, shelf_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
