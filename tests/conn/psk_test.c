/* SPDX-License-Identifier: Apache-2.0 */
/* External PSKs as connections take and tell them, and whoever is asked for them: late, twice, never, too late. */
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

static struct pair pair;
static struct milgi_psk *psk[2];

static struct milgi_psk *psk_of(enum milgi_role role, const char *identity)
{
    static const uint8_t secret[32] = { 3 };
    struct milgi_psk_source source = { role, MILGI_PSK_SHA256, identity, strlen(identity), secret, sizeof secret };
    struct milgi_psk *made;
    MUST(milgi_psk_new(&source, &made));
    return made;
}

static int setup(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++)
        psk[role] = psk_of((enum milgi_role)role, "a machine");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    milgi_psk_unref(psk[0]);
    milgi_psk_unref(psk[1]);
    return 0;
}

/* The client has the PSK alone; the server is asked for it, or has it. */
static struct pair_setup setup_of(bool asks)
{
    struct milgi_config *client = fake_config(MILGI_CLIENT, NULL), *server = milgi_config_new(MILGI_SERVER);
    MUST(milgi_config_set_psk_only(client, true));
    MUST(milgi_config_add_psk(client, psk[MILGI_CLIENT]));
    if (asks)
        MUST(milgi_config_set_ask(server, MILGI_DECIDE_PSK));
    else
        MUST(milgi_config_add_psk(server, psk[MILGI_SERVER]));
    return (struct pair_setup){
        .config = { fake_freeze(client), fake_freeze(server) },
        .wall_s = FAKE_NOW_S,
    };
}

static void give_up(const struct pair_setup *s)
{
    pair_fini(&pair);
    milgi_config_unref(s->config[0]);
    milgi_config_unref(s->config[1]);
}

static void assert_on_psk(const char *identity)
{
    for (int role = 0; role < 2; role++) {
        struct milgi_conn_info info;
        assert_true(pair.side[role].established);
        milgi_conn_info(pair.side[role].conn, &info);
        assert_int_equal(info.psk_identity.len, strlen(identity));
        assert_memory_equal(info.psk_identity.data, identity, info.psk_identity.len);
        assert_false(info.peer_authenticated || info.resumed);
        assert_null(info.credential);
        assert_int_equal(info.peer_chain_n, 0);
    }
}

static void a_connection_tells_which_it_stands_on(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(false);
    pair_init(&pair, &s);
    pair_settle(&pair);
    assert_on_psk("a machine");
    MUST(milgi_conn_write(pair.side[MILGI_CLIENT].conn, "hello", 5));
    MUST(milgi_conn_update_keys(pair.side[MILGI_SERVER].conn, true));
    pair_settle(&pair);
    assert_int_equal(pair.side[MILGI_SERVER].got.len, 5);
    assert_on_psk("a machine");
    give_up(&s);
}

static void one_that_is_set_takes_the_place_of_the_configs(void **state)
{
    (void)state;
    struct milgi_psk *another = psk_of(MILGI_CLIENT, "another");
    struct pair_setup s = setup_of(false);
    pair_init(&pair, &s);
    MUST(milgi_conn_set_psk(pair.side[MILGI_CLIENT].conn, another));
    assert_int_equal(milgi_conn_set_psk(pair.side[MILGI_CLIENT].conn, psk[MILGI_SERVER]), MILGI_EINVAL);
    assert_int_equal(milgi_conn_set_psk(pair.side[MILGI_SERVER].conn, another), MILGI_EINVAL);
    pair_settle(&pair);
    assert_int_equal(pair.side[MILGI_SERVER].reason.alert, MILGI_ALERT_DECRYPT_ERROR); /* nobody knows it */
    assert_int_equal(milgi_conn_set_psk(pair.side[MILGI_CLIENT].conn, another), MILGI_EINVAL);
    pair_again(&pair, &s);
    MUST(milgi_conn_set_psk(pair.side[MILGI_CLIENT].conn, another));
    MUST(milgi_conn_set_psk(pair.side[MILGI_CLIENT].conn, psk[MILGI_CLIENT]));
    pair_settle(&pair);
    assert_on_psk("a machine");
    pair_again(&pair, &s);
    MUST(milgi_conn_set_psk(pair.side[MILGI_CLIENT].conn, NULL));
    pair_settle(&pair);
    assert_int_equal(pair.side[MILGI_SERVER].reason.alert, MILGI_ALERT_HANDSHAKE_FAILURE);
    pair_again(&pair, &s);
    MUST(milgi_conn_set_psk(pair.side[MILGI_CLIENT].conn, another)); /* freed before it has begun */
    milgi_psk_unref(another);
    give_up(&s);
}

/* --- who is asked ----------------------------------------------------------------------------------------------- */

static void answer(struct pair_side *side, const struct milgi_decision *decision)
{
    assert_int_equal(decision->kind, MILGI_DECIDE_PSK);
    MUST(milgi_decide(side->engine, *decision, MILGI_ACCEPT, psk[MILGI_SERVER]));
    assert_int_equal(milgi_decide(side->engine, *decision, MILGI_ACCEPT, psk[MILGI_SERVER]), MILGI_ESTALE);
}

static void an_answer_may_come_at_once_or_late_and_once(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(true);
    struct pair_side *server = &pair.side[MILGI_SERVER];
    pair_init(&pair, &s);
    server->decide = answer;
    pair_settle(&pair);
    assert_on_psk("a machine");
    server->decide = NULL;
    pair_again(&pair, &s);
    server->decisions_n = 0;
    pair_settle(&pair);
    assert_int_equal(server->decisions_n, 1);
    assert_false(server->established);
    struct milgi_decision_info info;
    MUST(milgi_decision_info(server->engine, server->decision[0], &info));
    assert_int_equal(info.psk_identities_n, 1);
    MUST(milgi_decide(server->engine, server->decision[0], MILGI_ACCEPT, psk[MILGI_SERVER]));
    assert_int_equal(milgi_decide(server->engine, server->decision[0], MILGI_REFUSE, NULL), MILGI_ESTALE);
    assert_int_equal(milgi_decision_info(server->engine, server->decision[0], &info), MILGI_ESTALE);
    pair_settle(&pair);
    assert_on_psk("a machine");
    give_up(&s);
}

static void an_answer_that_never_comes_is_not_waited_for(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(true);
    struct pair_side *server = &pair.side[MILGI_SERVER];
    pair_init(&pair, &s);
    pair_settle_until(&pair, pair.now_ns + UINT64_C(40000000000));
    assert_true(server->closed);
    assert_int_equal(server->reason.error, MILGI_ETIMEOUT);
    assert_int_equal(
        milgi_decide(server->engine, server->decision[0], MILGI_ACCEPT, psk[MILGI_SERVER]), MILGI_ESTALE);
    pair_again(&pair, &s);
    server->decisions_n = 0;
    pair_settle(&pair);
    struct milgi_decision decision = server->decision[0];
    milgi_conn_free(server->conn);
    server->conn = NULL;
    assert_int_equal(milgi_decide(server->engine, decision, MILGI_ACCEPT, psk[MILGI_SERVER]), MILGI_ESTALE);
    give_up(&s);
}

static int posted;

static void decide_here(void *arg)
{
    struct pair_side *side = arg;
    posted = milgi_decide(side->engine, side->decision[0], MILGI_ACCEPT, psk[MILGI_SERVER]);
}

static void another_thread_may_find_it(void **state)
{
    (void)state;
    struct pair_setup s = setup_of(true);
    struct pair_side *server = &pair.side[MILGI_SERVER];
    pair_init(&pair, &s);
    pair_settle(&pair);
    posted = 1;
    post_elsewhere(server->engine, decide_here, server);
    pair_settle(&pair);
    MUST(posted);
    assert_on_psk("a machine");
    give_up(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_connection_tells_which_it_stands_on, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_is_set_takes_the_place_of_the_configs, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_may_come_at_once_or_late_and_once, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_that_never_comes_is_not_waited_for, setup, teardown),
        cmocka_unit_test_setup_teardown(another_thread_may_find_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
