/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes that stand on a session, and those that must not. */
#include "edit.h"
#include "resume.h"

#include <time.h>

#include <milgi/policy.h>

/* --- how it is meant -------------------------------------------------------------------------------------------- */

static void a_ticket_saves_certificate_and_signature(void **state)
{
    (void)state;
    static const uint16_t suites[] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_256_GCM_SHA384,
        MILGI_SUITE_CHACHA20_POLY1305_SHA256 };
    for (unsigned i = 0; i < 3; i++) {
        struct milgi_config *client = client_config();
        MUST(milgi_config_set_suites(client, &suites[i], 1));
        milgi_config_ref(client);
        struct milgi_session *session = session_of(client, ticket_config());
        struct milgi_config *server = ticket_config();
        freeze(server);
        struct loop *loop = loop_new(client, server, "a.test");
        milgi__hs_resume(loop->client.hs, session, true);
        milgi_session_unref(session);
        loop_pump(loop);
        assert_resumed(loop, true);
        const struct milgi__hs_result *r = milgi__hs_result(loop->client.hs);
        assert_true(r->peer_authenticated);
        assert_int_equal(r->peer_chain_n, 1);
        assert_int_equal(r->suite, suites[i]);
        assert_memory_equal(
            r->peer_chain[0].data, fixture.credential[IDENTITY_P256]->chain + 3, r->peer_chain[0].len);
        assert_int_equal(tickets_of(loop), 1);
        loop_free(loop);
        milgi_config_unref(client);
        milgi_config_unref(server);
    }
}

/*= RFC6066 3: "When resuming a session, the server MUST NOT include a server_name extension in the server hello." */
static void a_server_that_resumes_does_not_acknowledge_the_name(void **state)
{
    (void)state;
    for (unsigned resumed = 0; resumed < 2; resumed++) {
        struct loop *loop = loop_with(resumed ? usual_session() : NULL, client_config(), ticket_config());
        loop_pump(loop);
        assert_resumed(loop, resumed);
        assert_string_equal(milgi__hs_result(loop->server.hs)->server_name, "a.test");
        const struct loop_message *message = loop_sent(&loop->server, MILGI__MSG_ENCRYPTED_EXTENSIONS, 0);
        struct milgi__reader body = milgi__reader_of((struct milgi__bytes){ message->data + 4, message->len - 4 });
        struct milgi__failure failure;
        struct milgi__exts ext;
        assert_true(milgi__encrypted_extensions_decode(&body, UINT32_MAX, &ext, &failure));
        assert_int_equal((ext.present & MILGI__EXT(MILGI__EXT_SERVER_NAME)) == 0, resumed);
        loop_free(loop);
    }
}

static void a_retry_makes_the_binders_anew(void **state)
{
    (void)state;
    struct milgi_config *server = ticket_config();
    MUST(milgi_config_set_groups(server, p384, 1));
    struct loop *loop = loop_with(usual_session(), client_config(), server);
    loop_pump(loop);
    assert_resumed(loop, true);
    assert_true(milgi__hs_result(loop->client.hs)->hello_retry);
    loop_free(loop);
}

/* With each session that comes of it, as long as a session may be renewed. */
static void sessions_are_renewed_and_keep_the_time_of_their_authentication(void **state)
{
    (void)state;
    struct milgi_session *session = usual_session();
    int64_t since_s = session->f.authenticated_s, later_s = 0;
    for (unsigned i = 0; i < 200; i++) {
        later_s += LIFETIME - 60;
        struct loop *loop = loop_of(client_config(), ticket_config());
        loop->later_s = later_s;
        milgi__hs_resume(loop->client.hs, session, true);
        loop_pump(loop);
        assert_resumed(loop, later_s < 604800);
        milgi_session_unref(session);
        session = session_in(loop, 0);
        loop_free(loop);
        if (later_s >= 604800)
            break;
        assert_non_null(session);
        assert_int_equal(session->f.authenticated_s, since_s);
        assert_true(session->f.lifetime_s <= 604800 - (uint64_t)(session->f.created_s - since_s));
    }
    assert_true(later_s >= 604800);
    milgi_session_unref(session);
}

static void a_clients_certificate_is_remembered(void **state)
{
    (void)state;
    for (unsigned mode = MILGI_CLIENT_AUTH_OPTIONAL; mode <= MILGI_CLIENT_AUTH_REQUIRED; mode++) {
        for (unsigned with = 0; with < 2; with++) {
            struct milgi_config *client = client_config(), *server = ticket_config();
            if (!with && mode == MILGI_CLIENT_AUTH_REQUIRED)
                MUST(milgi_config_set_client_auth(server, MILGI_CLIENT_AUTH_OPTIONAL));
            MUST(milgi_config_set_trust(server, fixture.trust));
            MUST(milgi_config_set_client_auth(server, with ? mode : MILGI_CLIENT_AUTH_OPTIONAL));
            if (with)
                MUST(milgi_config_add_credential(client, fixture.client_credential[0]));
            milgi_config_ref(client);
            milgi_config_ref(server);
            struct milgi_session *session = session_of(client, server);
            struct loop *loop = loop_new(client, server, "a.test");
            milgi__hs_resume(loop->client.hs, session, true);
            milgi_session_unref(session);
            loop_pump(loop);
            assert_resumed(loop, true);
            const struct milgi__hs_result *r = milgi__hs_result(loop->server.hs);
            assert_int_equal(r->peer_authenticated, with);
            assert_int_equal(r->peer_chain_n, with);
            if (with)
                assert_memory_equal(
                    r->peer_chain[0].data, fixture.client_credential[0]->chain + 3, r->peer_chain[0].len);
            loop_free(loop);
            milgi_config_unref(client);
            milgi_config_unref(server);
        }
    }
}

static void tickets_are_as_many_as_were_asked_for(void **state)
{
    (void)state;
    for (unsigned gives = 0; gives <= MILGI_TICKETS_MAX; gives++) {
        for (unsigned asks = 0; asks <= MILGI_TICKETS_MAX; asks++) {
            struct milgi_config *client = client_config(), *server = ticket_config();
            MUST(milgi_config_set_tickets(server, gives));
            MUST(milgi_config_set_tickets(client, asks));
            struct loop *loop = loop_of(client, server);
            milgi__hs_resume(loop->client.hs, NULL, true);
            loop_pump(loop);
            assert_open(loop);
            assert_int_equal(tickets_of(loop), asks && asks < gives ? asks : gives);
            loop_free(loop);
        }
    }
}

static void every_ticket_has_a_secret_and_an_age_of_its_own(void **state)
{
    (void)state;
    struct milgi_config *server = ticket_config();
    MUST(milgi_config_set_tickets(server, 4));
    struct loop *loop = loop_of(client_config(), server);
    milgi__hs_resume(loop->client.hs, NULL, true);
    loop_pump(loop);
    struct milgi_session *s[4];
    for (unsigned i = 0; i < 4; i++) {
        s[i] = session_in(loop, i);
        assert_non_null(s[i]);
        for (unsigned k = 0; k < i; k++) {
            assert_memory_not_equal(s[i]->f.secret, s[k]->f.secret, 32);
            assert_int_not_equal(s[i]->f.age_add, s[k]->f.age_add);
        }
    }
    loop_free(loop);
    for (unsigned i = 0; i < 4; i++)
        resume_run(s[i], client_config(), ticket_config(), true);
}

static void nobody_who_cannot_use_tickets_gets_any(void **state)
{
    (void)state;
    struct loop *loop = loop_of(client_config(), ticket_config()); /* without psk_key_exchange_modes */
    loop_pump(loop);
    assert_open(loop);
    assert_int_equal(tickets_of(loop), 0);
    assert_null(milgi__hs_session(loop->client.hs));
    loop_free(loop);
    loop = loop_of(client_config(), server_config(IDENTITY_P256)); /* without ticket keys */
    milgi__hs_resume(loop->client.hs, NULL, true);
    loop_pump(loop);
    assert_open(loop);
    assert_int_equal(tickets_of(loop), 0);
    loop_free(loop);
}

/* --- full handshakes -------------------------------------------------------------------------------------------- */

static void another_name_means_a_full_handshake(void **state)
{
    (void)state;
    struct milgi_config *client = client_config(), *server = ticket_config();
    freeze(client);
    freeze(server);
    for (unsigned at_client = 0; at_client < 2; at_client++) {
        struct milgi_session *session = usual_session();
        struct loop *loop = loop_new(client, server, "x.b.test");
        if (at_client) {
            milgi__hs_resume(loop->client.hs, session, true);
            assert_int_equal(loop->client.hs->offers_n, 0);
        } else {
            milgi__hs_resume(loop->client.hs, NULL, true);
            offer_any(loop, milgi_session_ref(session)); /* as one that does not care might */
        }
        milgi_session_unref(session);
        loop_pump(loop);
        assert_resumed(loop, false);
        loop_free(loop);
    }
    milgi_config_unref(client);
    milgi_config_unref(server);
}

static void another_policy_of_the_server_means_a_full_handshake(void **state)
{
    (void)state;
    struct identity *other = identity_root(IDENTITY_P256, "another root");
    struct milgi_trust *trust;
    MUST(milgi_trust_new_pem(other->cert_pem, strlen(other->cert_pem), &trust));
    for (unsigned i = 0; i < 4; i++) {
        struct milgi_config *client = client_config(), *server = ticket_config();
        MUST(milgi_config_add_credential(client, fixture.client_credential[0]));
        MUST(milgi_config_set_trust(server, fixture.trust));
        MUST(milgi_config_set_client_auth(server, MILGI_CLIENT_AUTH_OPTIONAL));
        struct milgi_session *session = session_of(client, server);
        client = client_config();
        MUST(milgi_config_add_credential(client, fixture.client_credential[0]));
        server = ticket_config();
        MUST(milgi_config_set_trust(server, i == 1 ? trust : fixture.trust));
        MUST(milgi_config_set_client_auth(server,
            i == 2 ? MILGI_CLIENT_AUTH_REQUIRED : i == 3 ? MILGI_CLIENT_AUTH_NONE
                                                         : MILGI_CLIENT_AUTH_OPTIONAL));
        if (i == 1) { /* whose certificate that server does not accept */
            struct loop *loop = loop_of(client, server);
            offer_any(loop, session);
            loop_pump(loop);
            assert_alert(&loop->server, MILGI_ALERT_UNKNOWN_CA);
            loop_free(loop);
        } else {
            offer(client, server, session, 0, i == 0);
        }
    }
    milgi_trust_unref(trust);
    identity_free(other);
}

static void a_client_that_trusts_others_does_not_offer_it(void **state)
{
    (void)state;
    struct milgi_config *any = milgi_config_new(MILGI_CLIENT);
    MUST(milgi_config_set_trust(any, fixture.trust));
    MUST(milgi_config_dangerously_accept_any_server(any));
    milgi_config_ref(any);
    struct milgi_session *session = session_of(any, ticket_config());
    assert_false(session->f.authenticated);
    resume_run(milgi_session_ref(session), client_config(), ticket_config(), false);
    struct milgi_config *server = ticket_config();
    freeze(server);
    struct loop *loop = loop_new(any, server, "a.test");
    milgi__hs_resume(loop->client.hs, session, true);
    loop_pump(loop);
    assert_resumed(loop, true);
    assert_false(milgi__hs_result(loop->client.hs)->peer_authenticated);
    loop_free(loop);
    milgi_session_unref(session);
    milgi_config_unref(any);
    milgi_config_unref(server);
}

/* The server would take it for whom it was then; in both versions, though what is offered differs. */
static void a_client_with_another_certificate_does_not_offer_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 18; i++) {
        unsigned before = i % 3, now = i / 3 % 3; /* 0: none; or which */
        bool tls12 = i >= 9;
        struct milgi_config *client = tls12 ? client12() : client_config();
        struct milgi_config *server = tls12 ? server12() : ticket_config();
        MUST(milgi_config_set_trust(server, fixture.trust));
        MUST(milgi_config_set_client_auth(server, MILGI_CLIENT_AUTH_OPTIONAL));
        milgi_config_ref(server);
        if (before)
            MUST(milgi_config_add_credential(client, fixture.client_credential[before - 1]));
        struct milgi_session *session = tls12 ? session_by(client, server) : session_of(client, server);
        client = tls12 ? client12() : client_config();
        if (now)
            MUST(milgi_config_add_credential(client, fixture.client_credential[now - 1]));
        freeze(client);
        struct loop *loop = loop_new(client, server, "a.test");
        milgi__hs_resume(loop->client.hs, session, true);
        milgi_session_unref(session);
        loop_pump(loop);
        assert_resumed(loop, before == now);
        loop_free(loop);
        milgi_config_unref(client);
        milgi_config_unref(server);
    }
}

/* One that is asked may have had any certificate, which is not for another that is not. */
static void a_client_that_is_asked_for_its_certificate_is_another(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool tls12 = i & 1, asked = i & 2;
        struct milgi_session *session = tls12 ? session12() : usual_session();
        struct milgi_config *client = tls12 ? client12() : client_config();
        MUST(milgi_config_set_ask(client, asked ? MILGI_DECIDE_CREDENTIAL : 0));
        struct loop *loop = loop_of(client, tls12 ? server12() : ticket_config());
        milgi__hs_resume(loop->client.hs, session, true);
        assert_int_equal(loop->client.hs->offer12 != NULL, tls12 && !asked);
        assert_int_equal(loop->client.hs->offers_n, !tls12 && !asked);
        milgi_session_unref(session);
        loop_free(loop);
    }
}

static void a_client_of_another_trust_does_not_offer_it(void **state)
{
    (void)state;
    struct identity *other = identity_root(IDENTITY_P256, "another root");
    char both[8192];
    struct milgi_trust *trust;
    int len = snprintf(both, sizeof both, "%s%s", fixture.root->cert_pem, other->cert_pem);
    assert_in_range(len, 1, sizeof both - 1);
    MUST(milgi_trust_new_pem(both, strlen(both), &trust)); /* even if it takes the server's certificate */
    for (unsigned more = 0; more < 2; more++) {
        struct milgi_session *session = usual_session();
        struct milgi_config *client = milgi_config_new(MILGI_CLIENT);
        MUST(milgi_config_set_trust(client, more ? trust : fixture.trust));
        struct loop *loop = loop_with(session, client, ticket_config());
        assert_int_equal(loop->client.hs->offers_n, !more);
        loop_pump(loop);
        assert_resumed(loop, !more);
        loop_free(loop);
    }
    milgi_trust_unref(trust);
    identity_free(other);
}

/* For which the server has no certificate any more, or never had: others have the same keys. */
static void a_name_that_a_strict_server_does_not_know_means_a_full_handshake(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        bool tls12 = i & 1, known = i & 2, strict = i & 4;
        const char *name = known ? "a.test" : "other.test";
        struct milgi_config *client = milgi_config_new(MILGI_CLIENT);
        MUST(milgi_config_dangerously_accept_any_server(client));
        MUST(milgi_config_set_versions(client, MILGI_TLS_1_2, tls12 ? MILGI_TLS_1_2 : MILGI_TLS_1_3));
        freeze(client);
        struct milgi_session *session = NULL;
        for (unsigned again = 0; again < 2; again++) {
            struct milgi_config *server = tls12 ? server12() : ticket_config();
            MUST(milgi_config_set_strict_sni(server, again && strict));
            freeze(server);
            struct loop *loop = loop_new(client, server, name);
            milgi__hs_resume(loop->client.hs, session, true);
            milgi_session_unref(session);
            loop_pump(loop);
            if (again && strict && !known)
                assert_alert(&loop->server, MILGI_ALERT_UNRECOGNIZED_NAME);
            else
                assert_resumed(loop, again);
            if (!again)
                session = tls12 ? milgi__hs_session(loop->client.hs) : session_in(loop, 0);
            loop_free(loop);
            milgi_config_unref(server);
        }
        milgi_config_unref(client);
    }
}

/* What a ClientHello says of a ticket's age: in its only identity. */
static uint32_t age_in(const struct loop_message *m)
{
    size_t at = edit_block(m);
    while (milgi__get16(m->data + at) != 41)
        at += 4 + milgi__get16(m->data + at + 2);
    size_t age = at + 4 + 2 + 2 + milgi__get16(m->data + at + 6);
    return (uint32_t)milgi__get16(m->data + age) << 16 | milgi__get16(m->data + age + 2);
}

/*= RFC8446 4.2.11.1: "The "obfuscated_ticket_age" field of each PskIdentity contains an obfuscated version of the
 *= ticket age formed by taking the age in milliseconds and adding the "ticket_age_add" value that was included with
 *= the ticket" */
static void a_client_says_how_old_its_ticket_is(void **state)
{
    (void)state;
    static const int64_t ages[] = { 0, 1, 1234, LIFETIME - 2 };
    for (unsigned i = 0; i < MILGI__COUNT(ages); i++) {
        struct milgi_session *session = usual_session();
        uint32_t zero = session->f.age_add;
        struct loop *loop = loop_of(client_config(), ticket_config());
        loop->later_s = ages[i];
        int64_t before = (int64_t)time(NULL) + ages[i] - session->f.created_s;
        milgi__hs_resume(loop->client.hs, session, true);
        milgi_session_unref(session);
        loop_pump(loop);
        assert_resumed(loop, true);
        uint32_t age = age_in(loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 0)) - zero;
        int64_t after = before + 600; /* however slow this machine is */
        assert_int_equal(age % 1000, 0);
        assert_true(age / 1000 >= before && age / 1000 <= after);
        loop_free(loop);
    }
}

static void what_is_too_old_means_a_full_handshake(void **state)
{
    (void)state;
    resume_run(usual_session(), client_config(), ticket_config(), true);
    offer(client_config(), ticket_config(), usual_session(), LIFETIME - 1, true);
    offer(client_config(), ticket_config(), usual_session(), LIFETIME + 1, false);
    offer(client_config(), ticket_config(), usual_session(), 20 * LIFETIME, false);
}

static void another_hash_means_a_full_handshake(void **state)
{
    (void)state;
    static const uint16_t suite = MILGI_SUITE_AES_256_GCM_SHA384;
    struct milgi_config *server = ticket_config();
    MUST(milgi_config_set_suites(server, &suite, 1));
    resume_run(usual_session(), client_config(), server, false);
    struct milgi_config *client = client_config(); /* has no suite of its hash: it is not offered */
    MUST(milgi_config_set_suites(client, &suite, 1));
    struct loop *loop = loop_with(usual_session(), client, ticket_config());
    assert_int_equal(loop->client.hs->offers_n, 0);
    loop_pump(loop);
    assert_resumed(loop, false);
    loop_free(loop);
    server = ticket_config(); /* a retry says so: it is not offered again */
    MUST(milgi_config_set_suites(server, &suite, 1));
    MUST(milgi_config_set_groups(server, p384, 1));
    resume_run(usual_session(), client_config(), server, false);
}

static void other_keys_mean_a_full_handshake(void **state)
{
    (void)state;
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 2 };
    struct milgi_ticket_keys *others;
    MUST(milgi_ticket_keys_new(secret, LIFETIME, (int64_t)time(NULL), &others));
    struct milgi_config *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_ticket_keys(server, others));
    resume_run(usual_session(), client_config(), server, false);
    resume_run(usual_session(), client_config(), server_config(IDENTITY_P256), false);
    milgi_ticket_keys_unref(others);
}

/* Neither role lets what it has to do with sessions of TLS 1.3 get into a connection of TLS 1.2. */
static void tls12_does_not_take_them(void **state)
{
    (void)state;
    for (unsigned of_client = 0; of_client < 2; of_client++) {
        struct milgi_session *session = usual_session();
        struct milgi_config *client = client_config(), *server = ticket_config();
        MUST(milgi_config_set_versions(client, MILGI_TLS_1_2, of_client ? MILGI_TLS_1_2 : MILGI_TLS_1_3));
        MUST(milgi_config_set_versions(server, MILGI_TLS_1_2, of_client ? MILGI_TLS_1_3 : MILGI_TLS_1_2));
        struct loop *loop = loop_with(session, client, server);
        loop_pump(loop);
        assert_open(loop);
        assert_int_equal(milgi__hs_result(loop->client.hs)->version, MILGI_TLS_1_2);
        assert_resumed(loop, false);
        struct milgi_session *own = milgi__hs_session(loop->client.hs);
        assert_int_equal(own->f.version, MILGI_TLS_1_2);
        milgi_session_unref(own);
        loop_free(loop);
    }
}

/* --- what the server may say ------------------------------------------------------------------------------------ */

/* The selected identity is at the end of the ServerHello. */
static bool change_choice(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    if (from == &loop->server && m->data[0] == MILGI__MSG_SERVER_HELLO)
        m->data[m->len - 1] ^= 1;
    return true;
}

static void a_psk_that_was_not_offered_cannot_be_chosen(void **state)
{
    (void)state;
    struct loop *loop = loop_with(usual_session(), client_config(), ticket_config());
    loop->tamper = change_choice;
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_ILLEGAL_PARAMETER);
    loop_free(loop);
}

/* A server cannot give a client what makes its next connection fail. */
static void a_ticket_that_is_too_long_is_neither_kept_nor_offered(void **state)
{
    (void)state;
    static uint8_t body[4 + 4 + 1 + 2 + MILGI_TICKET_MAX + 1 + 2] = { 0, 0, 1, 0 };
    struct milgi_session *session = usual_session();
    struct milgi__session_parts parts = milgi__session_parts(session);
    for (unsigned more = 0; more < 2; more++) {
        size_t len = MILGI_TICKET_MAX + more;
        struct loop *loop = loop_of(client_config(), ticket_config());
        milgi__put16(body + 9, (unsigned)len);
        struct milgi_session *made = milgi__session_of_ticket(
            loop->cx, session, (struct milgi__bytes){ body, 11 + len + 2 }, (int64_t)time(NULL));
        assert_int_equal(!made, more);
        milgi_session_unref(made);
        parts.ticket = (struct milgi_iov){ body, len };
        made = milgi__session_new(&session->f, &parts);
        milgi__hs_resume(loop->client.hs, made, true);
        assert_int_equal(loop->client.hs->offers_n, !more);
        milgi_session_unref(made);
        loop_pump(loop);
        assert_resumed(loop, false);
        loop_free(loop);
    }
    milgi_session_unref(session);
}

/* --- orders and failures ---------------------------------------------------------------------------------------- */

static struct loop *play(struct milgi_session *session, uint64_t pick, unsigned victim, enum milgi_op_status status)
{
    struct milgi_config *server = ticket_config();
    MUST(milgi_config_set_tickets(server, 4));
    struct loop *loop = loop_with(session, client_config(), server);
    return resume_play(loop, pick, victim, status);
}

static void every_order_comes_to_the_same(void **state)
{
    (void)state;
    for (uint64_t pick = 0; pick < 60; pick++) {
        struct loop *loop = play(usual_session(), pick * 2654435761u, UINT32_MAX, MILGI_OP_OK);
        assert_resumed(loop, true);
        assert_int_equal(tickets_of(loop), 1);
        loop_free(loop);
        loop = play(NULL, pick * 2654435761u, UINT32_MAX, MILGI_OP_OK);
        assert_resumed(loop, false);
        assert_int_equal(tickets_of(loop), 4);
        loop_free(loop);
    }
}

static void a_ticket_that_cannot_be_opened_or_sealed_costs_no_connection(void **state)
{
    (void)state;
    static const enum milgi_op_status bad[] = { MILGI_OP_REJECTED, MILGI_OP_BROKEN, MILGI_OP_CANCELLED, MILGI_OP_LOST };
    for (unsigned s = 0; s < 4; s++) {
        unsigned opened = 0, sealed = 0, failed = 0;
        for (unsigned victim = 0; victim < 16; victim++) {
            bool first = victim < 8;
            struct loop *loop = play(first ? usual_session() : NULL, 0, victim % 8, bad[s]);
            if (loop->client.wait == MILGI__HS_FAILED || loop->server.wait == MILGI__HS_FAILED)
                failed++;
            else if (first && !milgi__hs_result(loop->server.hs)->resumed)
                opened++;
            else if (tickets_of(loop) == (first ? 0 : 3))
                sealed++;
            loop_free(loop);
        }
        assert_int_equal(opened, 1);
        assert_true(sealed >= 2);
        assert_true(failed >= 6); /* the others: key exchange, signature, chain */
    }
}

static void without_memory_or_keys_for_an_op_a_ticket_is_missing(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth < 12; nth++) {
        struct loop *loop = loop_with(usual_session(), client_config(), ticket_config());
        loop->server.keys_left = nth;
        loop_pump(loop);
        if (loop->server.wait == MILGI__HS_OPEN)
            assert_open(loop);
        loop_free(loop);
        loop = loop_with(usual_session(), client_config(), ticket_config());
        loop->server.ops_left = nth;
        loop_pump(loop);
        if (nth == 1) /* of the ticket */
            assert_resumed(loop, false);
        loop_free(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_saves_certificate_and_signature),
        cmocka_unit_test(a_server_that_resumes_does_not_acknowledge_the_name),
        cmocka_unit_test(a_retry_makes_the_binders_anew),
        cmocka_unit_test(sessions_are_renewed_and_keep_the_time_of_their_authentication),
        cmocka_unit_test(a_clients_certificate_is_remembered),
        cmocka_unit_test(tickets_are_as_many_as_were_asked_for),
        cmocka_unit_test(every_ticket_has_a_secret_and_an_age_of_its_own),
        cmocka_unit_test(nobody_who_cannot_use_tickets_gets_any),
        cmocka_unit_test(another_name_means_a_full_handshake),
        cmocka_unit_test(another_policy_of_the_server_means_a_full_handshake),
        cmocka_unit_test(a_client_that_trusts_others_does_not_offer_it),
        cmocka_unit_test(a_client_with_another_certificate_does_not_offer_it),
        cmocka_unit_test(a_client_that_is_asked_for_its_certificate_is_another),
        cmocka_unit_test(a_client_of_another_trust_does_not_offer_it),
        cmocka_unit_test(a_name_that_a_strict_server_does_not_know_means_a_full_handshake),
        cmocka_unit_test(a_client_says_how_old_its_ticket_is),
        cmocka_unit_test(what_is_too_old_means_a_full_handshake),
        cmocka_unit_test(another_hash_means_a_full_handshake),
        cmocka_unit_test(other_keys_mean_a_full_handshake),
        cmocka_unit_test(tls12_does_not_take_them),
        cmocka_unit_test(a_psk_that_was_not_offered_cannot_be_chosen),
        cmocka_unit_test(a_ticket_that_is_too_long_is_neither_kept_nor_offered),
        cmocka_unit_test(every_order_comes_to_the_same),
        cmocka_unit_test(a_ticket_that_cannot_be_opened_or_sealed_costs_no_connection),
        cmocka_unit_test(without_memory_or_keys_for_an_op_a_ticket_is_missing),
    };
    return cmocka_run_group_tests(tests, resume_setup, resume_teardown);
}
