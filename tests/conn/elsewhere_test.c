/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets that whoever is asked seals and opens: late, twice, never, for a connection that is gone, from a thread. */
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
#define BOTH (MILGI_DECIDE_TICKET_SEAL | MILGI_DECIDE_TICKET_OPEN)

static struct milgi_session_cache *cache;
static struct pair pair;

static struct pair_setup begin(void)
{
    struct milgi_config *client = fake_config(MILGI_CLIENT, NULL), *server = fake_config(MILGI_SERVER, NULL);
    MUST(milgi_session_cache_new(16, &cache));
    MUST(milgi_config_set_session_cache(client, cache));
    MUST(milgi_config_set_ask(server, BOTH));
    struct pair_setup setup = {
        .config = { fake_freeze(client), fake_freeze(server) },
        .server_name = "server.test",
        .wall_s = FAKE_NOW_S,
    };
    pair_init(&pair, &setup);
    return setup;
}

static void end(const struct pair_setup *s)
{
    pair_fini(&pair);
    milgi_config_unref(s->config[0]);
    milgi_config_unref(s->config[1]);
    milgi_session_cache_unref(cache);
}

/* The ticket is the session: whoever reads this knows better. */
static int answer_one(struct milgi_engine *engine, struct milgi_decision decision)
{
    static uint8_t bytes[MILGI_TICKETS_MAX][4096];
    struct milgi_decision_info info;
    struct milgi_tickets_sealed sealed = { .ticket = { { NULL, 0 } } };
    struct milgi_ticket_opened opened = { 0, NULL };
    MUST(milgi_decision_info(engine, decision, &info));
    if (decision.kind == MILGI_DECIDE_TICKET_OPEN) {
        assert_int_equal(info.psk_identities_n, 1);
        MUST(milgi_session_decode(info.psk_identities[0].data, info.psk_identities[0].len, &opened.session));
        int rv = milgi_decide(engine, decision, MILGI_ACCEPT, &opened);
        milgi_session_unref(opened.session);
        return rv;
    }
    for (size_t i = 0; i < info.sessions_n; i++)
        sealed.ticket[i] =
            (struct milgi_iov){ bytes[i], milgi_session_encode(info.sessions[i], bytes[i], sizeof bytes[i]) };
    return milgi_decide(engine, decision, MILGI_ACCEPT, &sealed);
}

static void answer(struct pair_side *side, const struct milgi_decision *decision)
{
    MUST(answer_one(side->engine, *decision));
    assert_int_equal(milgi_decide(side->engine, *decision, MILGI_REFUSE, NULL), MILGI_ESTALE);
}

/* What is asked is answered when nothing else moves; how often. */
static unsigned answer_late(void)
{
    struct pair_side *server = &pair.side[MILGI_SERVER];
    unsigned n = 0;
    for (pair_settle(&pair); server->decisions_n != 0; pair_settle(&pair), n++) {
        struct milgi_decision decision = server->decision[--server->decisions_n];
        MUST(answer_one(server->engine, decision));
        assert_int_equal(milgi_decide(server->engine, decision, MILGI_DEFAULT, NULL), MILGI_ESTALE);
    }
    return n;
}

static bool resumed(void)
{
    struct milgi_conn_info info;
    assert_true(pair.side[0].established && pair.side[1].established);
    milgi_conn_info(pair.side[MILGI_SERVER].conn, &info);
    return info.resumed;
}

static void answers_may_come_at_once_or_late_and_once(void **state)
{
    (void)state;
    struct pair_setup s = begin();
    pair.side[MILGI_SERVER].decide = answer;
    pair_settle(&pair);
    assert_false(resumed());
    assert_int_equal(milgi_session_cache_count(cache), 2);
    pair_again(&pair, &s);
    pair_settle(&pair);
    assert_true(resumed());
    pair.side[MILGI_SERVER].decide = NULL;
    for (unsigned i = 0; i < 3; i++) {
        pair_again(&pair, &s);
        assert_int_equal(answer_late(), 2);
        assert_true(resumed());
        assert_int_equal(milgi_session_cache_count(cache), 2);
    }
    end(&s);
}

static void an_answer_that_never_comes_is_not_waited_for(void **state)
{
    (void)state;
    struct pair_setup s = begin();
    struct pair_side *server = &pair.side[MILGI_SERVER];
    pair_settle(&pair); /* SEAL */
    assert_int_equal(server->decisions_n, 1);
    assert_false(server->established);
    struct milgi_decision decision = server->decision[0];
    pair_settle_until(&pair, pair.now_ns + UINT64_C(40000000000));
    assert_int_equal(server->reason.error, MILGI_ETIMEOUT);
    assert_int_equal(milgi_decide(server->engine, decision, MILGI_REFUSE, NULL), MILGI_ESTALE);
    pair_again(&pair, &s);
    server->decisions_n = 0;
    pair_settle(&pair);
    decision = server->decision[0];
    milgi_conn_free(server->conn); /* with the sessions that it shows */
    server->conn = NULL;
    assert_int_equal(milgi_decide(server->engine, decision, MILGI_REFUSE, NULL), MILGI_ESTALE);
    end(&s);
}

static int posted;

static void answer_here(void *arg)
{
    struct pair_side *side = arg;
    posted = answer_one(side->engine, side->decision[--side->decisions_n]);
}

static void another_thread_may_seal_and_open(void **state)
{
    (void)state;
    struct pair_setup s = begin();
    struct pair_side *server = &pair.side[MILGI_SERVER];
    unsigned asked = 0;
    for (unsigned i = 0; i < 2; i++) {
        for (pair_settle(&pair); server->decisions_n != 0; pair_settle(&pair), asked++) {
            posted = 1;
            post_elsewhere(server->engine, answer_here, server);
            pair_settle(&pair);
            MUST(posted);
        }
        assert_int_equal(resumed(), i);
        if (i == 0)
            pair_again(&pair, &s);
    }
    assert_int_equal(asked, 3);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_may_come_at_once_or_late_and_once),
        cmocka_unit_test(an_answer_that_never_comes_is_not_waited_for),
        cmocka_unit_test(another_thread_may_seal_and_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
