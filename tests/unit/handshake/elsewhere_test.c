/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets that are sealed and opened by whoever is asked: late, wrongly, not at all. */
#include "resume.h"

/* What is "sealed" elsewhere: a list of sessions, each by its place in it. */
static struct milgi_session *kept[16];
static unsigned kept_n;

static int teardown(void **state)
{
    for (unsigned i = 0; i < kept_n; i++)
        milgi_session_unref(kept[i]);
    kept_n = 0;
    return resume_teardown(state);
}

static struct milgi_config *asking(unsigned decisions, bool with_keys)
{
    struct milgi_config *server = with_keys ? ticket_config() : server_config(IDENTITY_P256);
    MUST(milgi_config_set_ask(server, decisions));
    return server;
}

/* All that is asked for is kept, and named. */
static void seal(struct milgi__hs *hs)
{
    static char names[16][16];
    struct milgi_tickets_sealed sealed = { .ticket = { { NULL, 0 } } };
    struct milgi_decision_info info;
    MUST(milgi__hs_decision_info(hs, MILGI_DECIDE_TICKET_SEAL, &info));
    assert_int_equal(info.psk_identities_n, 0);
    for (size_t i = 0; i < info.sessions_n; i++) {
        uint8_t bytes[4096];
        size_t len = milgi_session_encode(info.sessions[i], bytes, sizeof bytes);
        assert_in_range(len, 1, sizeof bytes);
        MUST(milgi_session_decode(bytes, len, &kept[kept_n]));
        int n = snprintf(names[kept_n], sizeof names[0], "number %u", kept_n);
        sealed.ticket[i] = (struct milgi_iov){ names[kept_n++], (size_t)n };
    }
    MUST(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_SEAL, MILGI_ACCEPT, &sealed));
}

static struct milgi_session *session_from(struct milgi_config *server)
{
    struct loop *loop = loop_of(client_config(), server);
    milgi__hs_resume(loop->client.hs, NULL, true);
    loop_pump(loop);
    assert_int_equal(loop->server.asked, MILGI_DECIDE_TICKET_SEAL);
    assert_int_equal(loop->server.wait, MILGI__HS_OPS);
    seal(loop->server.hs);
    assert_int_equal(milgi__hs_decide(loop->server.hs, MILGI_DECIDE_TICKET_SEAL, MILGI_REFUSE, NULL), MILGI_ESTALE);
    loop_pump(loop);
    assert_open(loop);
    assert_int_equal(tickets_of(loop), 2);
    struct milgi_session *session = session_in(loop, 1);
    loop_free(loop);
    return session;
}

static void tickets_are_sealed_and_opened_elsewhere(void **state)
{
    (void)state;
    const unsigned both = MILGI_DECIDE_TICKET_SEAL | MILGI_DECIDE_TICKET_OPEN;
    for (unsigned keys = 0; keys < 2; keys++) {
        struct milgi_session *session = session_from(asking(both, keys));
        unsigned at = kept_n - 1;
        struct loop *loop = loop_with(session, client_config(), asking(both, keys));
        loop_pump(loop);
        assert_int_equal(loop->server.asked, MILGI_DECIDE_TICKET_OPEN);
        struct milgi_decision_info info;
        MUST(milgi__hs_decision_info(loop->server.hs, MILGI_DECIDE_TICKET_OPEN, &info));
        assert_int_equal(info.psk_identities_n, 1);
        struct milgi_ticket_opened opened = { 0, kept[at] };
        MUST(milgi__hs_decide(loop->server.hs, MILGI_DECIDE_TICKET_OPEN, MILGI_ACCEPT, &opened));
        loop_pump(loop);
        MUST(milgi__hs_decide(loop->server.hs, MILGI_DECIDE_TICKET_SEAL, MILGI_REFUSE, NULL));
        loop_pump(loop);
        assert_resumed(loop, true);
        assert_int_equal(tickets_of(loop), 0);
        loop_free(loop);
    }
}

/* The answer is no more than what came out of a ticket: it is judged. */
static void what_is_found_elsewhere_is_judged_as_any(void **state)
{
    (void)state;
    const unsigned both = MILGI_DECIDE_TICKET_SEAL | MILGI_DECIDE_TICKET_OPEN;
    struct milgi_session *session = session_from(asking(both, false));
    struct milgi_session *mine = kept[kept_n - 1], *others = kept[kept_n - 2];
    for (unsigned i = 0; i < 5; i++) {
        struct milgi_config *server = asking(MILGI_DECIDE_TICKET_OPEN, false);
        struct loop *loop = loop_with(milgi_session_ref(session), client_config(), server);
        struct milgi__hs *hs = loop->server.hs;
        struct milgi__session_fields f = mine->f;
        struct milgi__session_parts parts = milgi__session_parts(mine);
        f.policy[0] ^= i == 1;
        f.valid_until_s = i == 2 ? 1 : f.valid_until_s;
        parts.name.len = i == 3 ? 3 : parts.name.len;
        struct milgi_session *given = milgi__session_new(&f, &parts);
        struct milgi_ticket_opened opened = { 0, i == 4 ? others : given };
        loop_pump(loop);
        MUST(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_OPEN, MILGI_ACCEPT, &opened));
        loop_pump(loop);
        if (i == 4) /* another's: whoever brought this ticket has not its secret */
            assert_alert(&loop->server, MILGI_ALERT_DECRYPT_ERROR);
        else
            assert_resumed(loop, i == 0);
        milgi_session_unref(given);
        loop_free(loop);
    }
    milgi_session_unref(session);
}

/* The same in TLS 1.2, where a ticket that is refused is sent empty. */
static void so_are_those_of_tls12(void **state)
{
    (void)state;
    const unsigned both = MILGI_DECIDE_TICKET_SEAL | MILGI_DECIDE_TICKET_OPEN;
    struct milgi_session *session = NULL;
    unsigned at = kept_n;
    for (unsigned i = 0; i < 4; i++) {
        struct milgi_config *client = client_config(), *server = asking(both, i == 3);
        MUST(milgi_config_set_versions(client, MILGI_TLS_1_2, MILGI_TLS_1_2));
        MUST(milgi_config_set_versions(server, MILGI_TLS_1_2, MILGI_TLS_1_2));
        struct loop *loop = loop_with(milgi_session_ref(session), client, server);
        struct milgi__hs *hs = loop->server.hs;
        loop->later_s = i == 2 ? LIFETIME - 60 : 0;
        loop_pump(loop);
        bool offers = session != NULL, opens = offers && i != 3;
        assert_int_equal(loop->server.asked, offers ? MILGI_DECIDE_TICKET_OPEN : MILGI_DECIDE_TICKET_SEAL);
        if (offers) {
            struct milgi_decision_info info;
            struct milgi_ticket_opened opened = { 0, kept[at] };
            MUST(milgi__hs_decision_info(hs, MILGI_DECIDE_TICKET_OPEN, &info));
            assert_int_equal(info.psk_identities_n, 1);
            assert_memory_equal(info.psk_identities[0].data, "number", 6);
            assert_string_equal(info.server_name, "a.test");
            MUST(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_OPEN, opens ? MILGI_ACCEPT : MILGI_REFUSE, &opened));
            loop_pump(loop);
        }
        bool seals = (loop->server.asked & MILGI_DECIDE_TICKET_SEAL) != 0;
        assert_int_equal(seals, i != 1); /* anew only when it is half over */
        if (seals && i == 0)
            seal(hs);
        else if (seals)
            MUST(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_SEAL, MILGI_REFUSE, NULL));
        loop_pump(loop);
        assert_resumed(loop, opens);
        assert_int_equal(tickets_of(loop), seals);
        assert_int_equal(milgi__hs_session_came(loop->client.hs), i == 0);
        if (i == 0)
            session = milgi__hs_session(loop->client.hs);
        loop_free(loop);
    }
    milgi_session_unref(session);
}

static void answers_that_make_no_sense_leave_the_question_open(void **state)
{
    (void)state;
    struct milgi_session *session = session_from(asking(MILGI_DECIDE_TICKET_SEAL, false));
    struct loop *loop = loop_with(session, client_config(), asking(3u << 5, false));
    struct milgi__hs *hs = loop->server.hs;
    loop_pump(loop);
    struct milgi__session_fields old = kept[0]->f;
    struct milgi__session_parts parts = milgi__session_parts(kept[0]);
    old.version = MILGI__TLS12;
    struct milgi_session *tls12 = milgi__session_new(&old, &parts);
    struct milgi_ticket_opened bad[] = { { 1, kept[0] }, { 0, NULL }, { 0, tls12 } };
    for (unsigned i = 0; i < MILGI__COUNT(bad); i++)
        assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_OPEN, MILGI_ACCEPT, &bad[i]), MILGI_EINVAL);
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_OPEN, MILGI_ACCEPT, NULL), MILGI_EINVAL);
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_SEAL, MILGI_REFUSE, NULL), MILGI_ESTALE); /* not yet */
    MUST(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_OPEN, MILGI_DEFAULT, NULL));
    loop_pump(loop);
    static const uint8_t large[MILGI_TICKET_MAX + 1];
    struct milgi_tickets_sealed too_long = { .ticket = { { large, sizeof large } } };
    struct milgi_tickets_sealed too_many = { .ticket = { [3] = { large, 1 } } };
    struct milgi_tickets_sealed nowhere = { .ticket = { { NULL, 1 } } };
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_SEAL, MILGI_ACCEPT, &too_long), MILGI_EINVAL);
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_SEAL, MILGI_ACCEPT, &too_many), MILGI_EINVAL);
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_SEAL, MILGI_ACCEPT, &nowhere), MILGI_EINVAL);
    struct milgi_tickets_sealed second = { .ticket = { [1] = { large, MILGI_TICKET_MAX } } };
    MUST(milgi__hs_decide(hs, MILGI_DECIDE_TICKET_SEAL, MILGI_ACCEPT, &second));
    loop_pump(loop);
    assert_resumed(loop, false);
    assert_int_equal(tickets_of(loop), 1);
    milgi_session_unref(tls12);
    loop_free(loop);
    loop = loop_of(client_config(), asking(MILGI_DECIDE_TICKET_SEAL, true)); /* freed while it is asked */
    milgi__hs_resume(loop->client.hs, NULL, true);
    loop_pump(loop);
    assert_int_equal(loop->server.asked, MILGI_DECIDE_TICKET_SEAL);
    loop_free(loop);
    loop = loop_of(client_config(), asking(MILGI_DECIDE_TICKET_SEAL, true)); /* the default is none */
    milgi__hs_resume(loop->client.hs, NULL, true);
    loop_pump(loop);
    MUST(milgi__hs_decide(loop->server.hs, MILGI_DECIDE_TICKET_SEAL, MILGI_DEFAULT, NULL));
    loop_pump(loop);
    assert_open(loop);
    assert_int_equal(tickets_of(loop), 0);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tickets_are_sealed_and_opened_elsewhere),
        cmocka_unit_test(so_are_those_of_tls12),
        cmocka_unit_test(what_is_found_elsewhere_is_judged_as_any),
        cmocka_unit_test(answers_that_make_no_sense_leave_the_question_open),
    };
    return cmocka_run_group_tests(tests, resume_setup, teardown);
}
