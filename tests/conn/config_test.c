/* SPDX-License-Identifier: Apache-2.0 */
/* A server that chooses its config by the ClientHello (MILGI_DECIDE_CONFIG). On the deterministic backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <milgi/policy.h>

#include "elsewhere.h"
#include "fake_identity.h"
#include "pair.h"

#define MUST(call) assert_int_equal(call, 0)

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
static struct milgi_ticket_keys *keys;
static struct milgi_session_cache *cache;

static int setup(void **state)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 7 };
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

static const char *const protocols[] = { "h2", "http/1.1" };

static struct milgi_config *any_client(void)
{
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL);
    MUST(milgi_config_set_versions(c, MILGI_TLS_1_2, MILGI_TLS_1_3));
    MUST(milgi_config_set_alpn(c, protocols, 2));
    return c;
}

/* A server that asks, and would do nothing by itself but TLS 1.3. */
static struct milgi_config *front(unsigned ask)
{
    struct milgi_config *s = fake_config(MILGI_SERVER, NULL);
    MUST(milgi_config_set_ask(s, MILGI_DECIDE_CONFIG | ask));
    return fake_freeze(s);
}

static struct milgi_config *server_of(uint16_t version, uint16_t suite, uint16_t group)
{
    struct milgi_config *s = fake_config(MILGI_SERVER, &(struct fake_options){ .seed = 3 });
    MUST(milgi_config_set_versions(s, version, version));
    if (suite)
        MUST(milgi_config_set_suites(s, &suite, 1));
    if (group)
        MUST(milgi_config_set_groups(s, &group, 1));
    return s;
}

/* Takes both references. */
static void meet(struct milgi_config *c, struct milgi_config *s)
{
    struct pair_setup made = { .config = { c, s }, .server_name = "server.test", .seed = 5, .wall_s = FAKE_NOW_S };
    pair_init(&pair, &made);
    milgi_config_unref(c);
    milgi_config_unref(s);
}

static void begin(void)
{
    meet(fake_freeze(any_client()), front(0));
    pair_settle(&pair);
    assert_false(client->established || server->closed);
    assert_int_equal(server->decisions_n, 1);
    assert_int_equal(server->decision[0].kind, MILGI_DECIDE_CONFIG);
}

static int answer(enum milgi_verdict verdict, void *result)
{
    return milgi_decide(server->engine, server->decision[0], verdict, result);
}

static struct milgi_conn_info both_open(void)
{
    struct milgi_conn_info info;
    pair_settle(&pair);
    assert_true(client->established && server->established);
    milgi_conn_info(server->conn, &info);
    return info;
}

/* --- what is shown ------------------------------------------------------------------------------------------------ */

static bool has(const uint16_t *list, size_t n, uint16_t v)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == v)
            return true;
    }
    return false;
}

static void who_is_asked_sees_what_the_client_offers(void **state)
{
    struct milgi_decision_info info;
    (void)state;
    begin();
    MUST(milgi_decision_info(server->engine, server->decision[0], &info));
    assert_string_equal(info.server_name, "server.test");
    assert_int_equal(info.alpn_n, 2);
    assert_memory_equal(info.alpn[1].data, "http/1.1", 8);
    assert_int_equal(info.versions_n, 2);
    assert_int_equal(info.versions[0], MILGI_TLS_1_3);
    assert_int_equal(info.versions[1], MILGI_TLS_1_2);
    assert_true(has(info.suites, info.suites_n, MILGI_SUITE_AES_128_GCM_SHA256));
    assert_true(has(info.suites, info.suites_n, MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256));
    assert_true(has(info.groups, info.groups_n, MILGI_GROUP_X25519));
    assert_true(has(info.schemes, info.schemes_n, MILGI_SIG_ECDSA_SECP256R1_SHA256));
    MUST(answer(MILGI_DEFAULT, NULL));
    assert_int_equal(both_open().version, MILGI_TLS_1_3);
    pair_fini(&pair);
}

/* --- what it governs ---------------------------------------------------------------------------------------------- */

static void what_is_negotiated_is_as_the_chosen_config_says(void **state)
{
    static const struct {
        uint16_t version, suite, group;
    } cases[] = {
        { MILGI_TLS_1_3, MILGI_SUITE_CHACHA20_POLY1305_SHA256, MILGI_GROUP_SECP384R1 },
        { MILGI_TLS_1_2, MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384, MILGI_GROUP_SECP256R1 },
    };
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        begin();
        struct milgi_config *chosen =
            fake_freeze(server_of(cases[i].version, cases[i].suite, cases[i].group));
        MUST(answer(MILGI_ACCEPT, chosen));
        milgi_config_unref(chosen); /* the handshake has a reference of its own */
        struct milgi_conn_info info = both_open();
        assert_int_equal(info.version, cases[i].version);
        assert_int_equal(info.suite, cases[i].suite);
        assert_int_equal(info.group, cases[i].group);
        pair_fini(&pair);
    }
}

static void a_chosen_config_may_refuse_what_the_first_would_have_taken(void **state)
{
    (void)state;
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL); /* TLS 1.3 alone */
    meet(fake_freeze(c), front(0));
    pair_settle(&pair);
    struct milgi_config *chosen = fake_freeze(server_of(MILGI_TLS_1_2, 0, 0));
    MUST(answer(MILGI_ACCEPT, chosen));
    milgi_config_unref(chosen);
    pair_settle(&pair);
    assert_int_equal(server->reason.alert, MILGI_ALERT_PROTOCOL_VERSION);
    pair_fini(&pair);
}

static void what_the_chosen_config_asks_is_asked_but_no_config_again(void **state)
{
    static const char *const only[] = { "h2" };
    (void)state;
    meet(fake_freeze(any_client()), front(MILGI_DECIDE_CREDENTIAL));
    pair_settle(&pair);
    struct milgi_config *chosen = server_of(MILGI_TLS_1_3, 0, 0);
    MUST(milgi_config_set_ask(chosen, MILGI_DECIDE_CONFIG | MILGI_DECIDE_ALPN));
    MUST(milgi_config_set_alpn(chosen, only, 1));
    fake_freeze(chosen);
    MUST(answer(MILGI_ACCEPT, chosen));
    milgi_config_unref(chosen);
    pair_settle(&pair);
    assert_int_equal(server->decisions_n, 2);
    assert_int_equal(server->decision[1].kind, MILGI_DECIDE_ALPN);
    struct milgi_decision_info info;
    MUST(milgi_decision_info(server->engine, server->decision[1], &info));
    assert_int_equal(info.alpn_n, 2);
    MUST(milgi_decide(server->engine, server->decision[1], MILGI_DEFAULT, NULL));
    assert_string_equal(both_open().alpn, "h2");
    pair_fini(&pair);
}

/* A ClientHello that was taken is taken. */
static void limits_stay_those_of_the_first(void **state)
{
    static char names[8][200];
    const char *many[8];
    (void)state;
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL);
    for (int i = 0; i < 8; i++) {
        memset(names[i], 'a' + i, sizeof names[i] - 1);
        many[i] = names[i];
    }
    MUST(milgi_config_set_alpn(c, many, 8));
    meet(fake_freeze(c), front(0));
    pair_settle(&pair);
    struct milgi_config *chosen = server_of(MILGI_TLS_1_3, 0, 0);
    MUST(milgi_config_set_limit(chosen, MILGI_LIMIT_HANDSHAKE_MESSAGE, 1024));
    fake_freeze(chosen);
    MUST(answer(MILGI_ACCEPT, chosen));
    milgi_config_unref(chosen);
    both_open();
    pair_fini(&pair);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void wrong_answers_leave_it_open_and_late_ones_come_once(void **state)
{
    (void)state;
    struct milgi_config *frozen = fake_freeze(any_client()), *raw = server_of(MILGI_TLS_1_3, 0, 0);
    begin();
    assert_int_equal(answer(MILGI_ACCEPT, NULL), MILGI_EINVAL);
    assert_int_equal(answer(MILGI_ACCEPT, frozen), MILGI_EINVAL); /* a client's */
    assert_int_equal(answer(MILGI_ACCEPT, raw), MILGI_EINVAL);    /* not frozen */
    fake_freeze(raw);
    MUST(answer(MILGI_ACCEPT, raw));
    assert_int_equal(answer(MILGI_ACCEPT, raw), MILGI_ESTALE);
    both_open();
    assert_int_equal(answer(MILGI_ACCEPT, raw), MILGI_ESTALE);
    struct milgi_decision_info info;
    assert_int_equal(milgi_decision_info(server->engine, server->decision[0], &info), MILGI_ESTALE);
    pair_fini(&pair);
    milgi_config_unref(frozen);
    milgi_config_unref(raw);
    assert_int_equal(milgi_config_set_ask(frozen = any_client(), MILGI_DECIDE_CONFIG), MILGI_EINVAL);
    milgi_config_unref(frozen);
}

static void a_client_may_be_refused(void **state)
{
    (void)state;
    begin();
    MUST(answer(MILGI_REFUSE, NULL));
    pair_settle(&pair);
    assert_int_equal(server->reason.error, MILGI_EREFUSED);
    assert_int_equal(server->reason.alert, MILGI_ALERT_HANDSHAKE_FAILURE);
    assert_int_equal(client->reason.alert, MILGI_ALERT_HANDSHAKE_FAILURE);
    pair_fini(&pair);
}

static void an_answer_that_never_comes_is_a_timeout_and_one_after_the_end_is_stale(void **state)
{
    (void)state;
    struct milgi_config *chosen = fake_freeze(server_of(MILGI_TLS_1_3, 0, 0));
    begin();
    pair_settle_until(&pair, pair.now_ns + UINT64_C(60) * 1000000000);
    assert_int_equal(server->reason.error, MILGI_ETIMEOUT);
    assert_int_equal(answer(MILGI_ACCEPT, chosen), MILGI_ESTALE);
    pair_fini(&pair);
    begin();
    milgi_conn_free(server->conn);
    server->conn = NULL;
    assert_int_equal(answer(MILGI_ACCEPT, chosen), MILGI_ESTALE);
    pair_fini(&pair);
    milgi_config_unref(chosen);
}

static struct milgi_config *given;

static void at_once(struct pair_side *side, const struct milgi_decision *decision)
{
    MUST(milgi_decide(side->engine, *decision, MILGI_ACCEPT, given));
    milgi_config_unref(given);
    given = NULL;
}

static void it_may_be_answered_at_once(void **state)
{
    (void)state;
    given = fake_freeze(server_of(MILGI_TLS_1_2, 0, 0));
    meet(fake_freeze(any_client()), front(0));
    server->decide = at_once;
    assert_int_equal(both_open().version, MILGI_TLS_1_2);
    assert_null(given);
    pair_fini(&pair);
}

static void post_answer(void *arg)
{
    (void)arg;
    MUST(answer(MILGI_ACCEPT, given));
}

static void it_may_be_answered_by_another_thread(void **state)
{
    (void)state;
    begin();
    given = fake_freeze(server_of(MILGI_TLS_1_2, 0, 0));
    post_elsewhere(server->engine, post_answer, NULL);
    assert_int_equal(both_open().version, MILGI_TLS_1_2);
    pair_fini(&pair);
    milgi_config_unref(given);
}

/* --- sessions ----------------------------------------------------------------------------------------------------- */

/* A server with the same ticket keys as all; |auth|: it demands a certificate of the root 9. */
static struct milgi_config *host(uint16_t version, bool auth)
{
    struct milgi_config *s = server_of(version, 0, 0);
    MUST(milgi_config_set_ticket_keys(s, keys));
    if (auth) {
        struct milgi_trust *trust = fake_trust(9);
        MUST(milgi_config_set_trust(s, trust));
        milgi_trust_unref(trust);
    }
    return fake_freeze(s);
}

static struct milgi_config *resuming_client(void)
{
    struct milgi_config *c = any_client();
    MUST(milgi_config_set_session_cache(c, cache));
    return fake_freeze(c);
}

/* One connection to whom |chosen| (its reference is taken) is; whether it was resumed, -1: it failed. */
static int connect_to(struct milgi_config *chosen)
{
    meet(resuming_client(), front(0));
    pair_settle(&pair);
    MUST(answer(MILGI_ACCEPT, chosen));
    milgi_config_unref(chosen);
    pair_settle(&pair);
    struct milgi_conn_info info;
    milgi_conn_info(server->conn, &info);
    int rv = server->established ? info.resumed : -1;
    pair_fini(&pair);
    return rv;
}

/*
 * Of two hosts with the same keys for tickets and the same name one demands a certificate: who comes back from the
 * other is asked for it all the same (nginx, CVE-2025-23419).
 */
static void the_session_of_one_host_is_none_of_another_with_another_policy(void **state)
{
    (void)state;
    for (uint16_t version = MILGI_TLS_1_2; version <= MILGI_TLS_1_3; version++) {
        assert_int_equal(connect_to(host(version, false)), 0);
        assert_int_equal(connect_to(host(version, false)), 1);
        assert_int_equal(connect_to(host(version, true)), -1); /* the client has no certificate */
        milgi_session_cache_unref(cache);
        MUST(milgi_session_cache_new(16, &cache));
    }
}

/* A ticket is opened with the keys of the chosen config, not of the first. */
static void tickets_are_those_of_the_chosen_config(void **state)
{
    (void)state;
    struct milgi_config *without = fake_freeze(server_of(MILGI_TLS_1_3, 0, 0));
    assert_int_equal(connect_to(host(MILGI_TLS_1_3, false)), 0);
    assert_int_equal(connect_to(without), 0);
    milgi_session_cache_unref(cache);
    MUST(milgi_session_cache_new(16, &cache));
    assert_int_equal(connect_to(host(MILGI_TLS_1_2, false)), 0);
    assert_int_equal(connect_to(host(MILGI_TLS_1_3, false)), 0); /* another version */
}

#define ROW(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(who_is_asked_sees_what_the_client_offers),
        ROW(what_is_negotiated_is_as_the_chosen_config_says),
        ROW(a_chosen_config_may_refuse_what_the_first_would_have_taken),
        ROW(what_the_chosen_config_asks_is_asked_but_no_config_again),
        ROW(limits_stay_those_of_the_first),
        ROW(wrong_answers_leave_it_open_and_late_ones_come_once),
        ROW(a_client_may_be_refused),
        ROW(an_answer_that_never_comes_is_a_timeout_and_one_after_the_end_is_stale),
        ROW(it_may_be_answered_at_once),
        ROW(it_may_be_answered_by_another_thread),
        ROW(the_session_of_one_host_is_none_of_another_with_another_policy),
        ROW(tickets_are_those_of_the_chosen_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
