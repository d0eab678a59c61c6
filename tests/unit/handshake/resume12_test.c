/* SPDX-License-Identifier: Apache-2.0 */
/* TLS 1.2 on a session: how it is meant, what means a full handshake, and what is refused. */
#include "edit.h"
#include "resume.h"

#include <time.h>

#define V12 MILGI_TLS_1_2
#define V13 MILGI_TLS_1_3
#define ECDSA_256 MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384

static const uint16_t suites[] = { MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256,
    MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384, MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256,
    MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256, MILGI_SUITE_ECDHE_RSA_AES_256_GCM_SHA384,
    MILGI_SUITE_ECDHE_RSA_CHACHA20_POLY1305_SHA256 };

static struct milgi_config *with_suite(struct milgi_config *config, uint16_t suite)
{
    MUST(milgi_config_set_suites(config, &suite, 1));
    return config;
}

/* --- how it is meant -------------------------------------------------------------------------------------------- */

static void a_ticket_saves_certificate_key_exchange_and_signature(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(suites); i++) {
        struct milgi_config *client = with_suite(client12(), suites[i]);
        struct milgi_config *server = server_config(i < 3 ? IDENTITY_P256 : IDENTITY_RSA);
        MUST(milgi_config_set_versions(server, V12, i % 2 ? V12 : V13));
        MUST(milgi_config_set_ticket_keys(server, resume_keys));
        milgi_config_ref(client);
        milgi_config_ref(server);
        struct milgi_session *session = session_by(client, server);
        for (unsigned use = 0; use < 3; use++) { /* it may be used more than once */
            struct loop *loop = loop_new(client, server, "a.test");
            milgi__hs_resume(loop->client.hs, session, true);
            loop_pump(loop);
            assert_resumed(loop, true);
            assert_null(loop_sent(&loop->server, MILGI__MSG_SERVER_KEY_EXCHANGE, 0));
            assert_int_equal(loop->client.ops_started, 0);
            const struct milgi__hs_result *r = milgi__hs_result(loop->client.hs);
            assert_true(r->peer_authenticated && r->exports);
            assert_int_equal(r->suite, suites[i]);
            assert_int_equal(r->peer_chain_n, 1);
            assert_int_equal(tickets_of(loop), 0);
            assert_false(milgi__hs_session_came(loop->client.hs));
            struct milgi_session *again = milgi__hs_session(loop->client.hs);
            assert_ptr_equal(again, session);
            milgi_session_unref(again);
            loop_free(loop);
        }
        milgi_session_unref(session);
        milgi_config_unref(client);
        milgi_config_unref(server);
    }
}

/*= RFC6066 3: "When resuming a session, the server MUST NOT include a server_name extension in the server hello." */
static void what_the_server_says_of_a_session(void **state)
{
    (void)state;
    struct milgi_session *session = session12();
    for (unsigned resumed = 0; resumed < 2; resumed++) {
        struct loop *loop = loop_with(resumed ? milgi_session_ref(session) : NULL, client12(), server12());
        loop_pump(loop);
        assert_resumed(loop, resumed);
        assert_string_equal(milgi__hs_result(loop->server.hs)->server_name, "a.test");
        const struct loop_message *hello = loop_sent(&loop->server, MILGI__MSG_SERVER_HELLO, 0);
        assert_int_equal(edit_has(hello, SERVER_NAME), !resumed);
        assert_int_equal(edit_has(hello, SESSION_TICKET), !resumed);
        /*= RFC7627 5.3: "If the new ClientHello contains the extension and the server chooses to continue the
         *= handshake, then the server MUST include the "extended_master_secret" extension in its ServerHello
         *= message." */
        assert_true(edit_has(hello, MASTER_SECRET));
        /*= RFC5077 3.4: "If a server is planning on issuing a session ticket to a client that does not present one, it
         *= SHOULD include an empty Session ID in the ServerHello." */
        assert_int_equal(hello->data[edit_session_id(hello)], resumed ? 32 : 0);
        loop_free(loop);
    }
    milgi_session_unref(session);
}

/* With each session that comes of it, as long as a session may be renewed. */
static void tickets_are_renewed_at_half_time_and_keep_the_time_of_their_authentication(void **state)
{
    (void)state;
    struct milgi_session *session = session12();
    int64_t since_s = session->f.authenticated_s, later_s = 0;
    for (unsigned i = 0; i < 400 && later_s < 604800; i++) {
        bool renews = i % 2;
        later_s += renews ? LIFETIME - 60 : LIFETIME / 2 - 60;
        struct loop *loop = loop_of(client12(), server12());
        loop->later_s = later_s;
        milgi__hs_resume(loop->client.hs, session, true);
        loop_pump(loop);
        bool ended = later_s >= 604800;
        assert_resumed(loop, !ended);
        assert_int_equal(tickets_of(loop), renews || ended);
        struct milgi_session *next = milgi__hs_session(loop->client.hs);
        assert_int_equal(next != session, renews || ended);
        assert_non_null(next);
        assert_int_equal(next->f.authenticated_s == since_s, !ended);
        assert_true(next->f.lifetime_s <= 604800 - (uint64_t)(next->f.created_s - next->f.authenticated_s));
        if (renews || ended) {
            milgi_session_unref(session);
            session = next;
        } else {
            milgi_session_unref(next);
            later_s -= LIFETIME / 2 - 60; /* the old one is still good */
        }
        loop_free(loop);
    }
    assert_true(later_s >= 604800);
    milgi_session_unref(session);
}

static void a_clients_certificate_is_remembered(void **state)
{
    (void)state;
    for (unsigned with = 0; with < 2; with++) {
        struct milgi_config *client = client12(), *server = server12();
        MUST(milgi_config_set_trust(server, fixture.trust));
        MUST(milgi_config_set_client_auth(server, with ? MILGI_CLIENT_AUTH_REQUIRED : MILGI_CLIENT_AUTH_OPTIONAL));
        if (with)
            MUST(milgi_config_add_credential(client, fixture.client_credential[0]));
        milgi_config_ref(client);
        milgi_config_ref(server);
        struct milgi_session *session = session_by(client, server);
        for (int64_t later_s = 0; later_s < 3 * LIFETIME; later_s += LIFETIME - 600) {
            struct loop *loop = loop_new(client, server, "a.test");
            loop->later_s = later_s;
            milgi__hs_resume(loop->client.hs, session, true);
            milgi_session_unref(session);
            loop_pump(loop);
            assert_resumed(loop, true);
            assert_int_equal(tickets_of(loop), later_s != 0);
            assert_null(loop_sent(&loop->client, MILGI__MSG_CERTIFICATE, 0));
            const struct milgi__hs_result *r = milgi__hs_result(loop->server.hs);
            assert_int_equal(r->peer_authenticated, with);
            assert_int_equal(r->peer_chain_n, with);
            if (with)
                assert_memory_equal(
                    r->peer_chain[0].data, fixture.client_credential[0]->chain + 3, r->peer_chain[0].len);
            session = milgi__hs_session(loop->client.hs);
            loop_free(loop);
        }
        milgi_session_unref(session);
        milgi_config_unref(client);
        milgi_config_unref(server);
    }
}

static void the_protocol_is_agreed_on_anew(void **state)
{
    (void)state;
    static const char *const one[] = { "one" }, *const two[] = { "two", "one" };
    struct milgi_config *client = client12(), *server = server12();
    MUST(milgi_config_set_alpn(client, one, 1));
    MUST(milgi_config_set_alpn(server, two, 2));
    struct milgi_session *session = session_by(client, server);
    client = client12();
    server = server12();
    MUST(milgi_config_set_alpn(client, two, 2));
    MUST(milgi_config_set_alpn(server, two, 2));
    struct loop *loop = loop_with(session, client, server);
    loop_pump(loop);
    assert_resumed(loop, true);
    assert_string_equal(milgi__hs_result(loop->client.hs)->alpn, "two");
    loop_free(loop);
}

static void nobody_who_does_not_want_tickets_gets_any(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct milgi_config *client = client12(), *server = i == 1 ? server_config(IDENTITY_P256) : ticket_config();
        MUST(milgi_config_set_versions(server, V12, V12));
        if (i == 2)
            MUST(milgi_config_set_tickets(server, 0));
        struct loop *loop = loop_of(client, server);
        if (i != 0)
            milgi__hs_resume(loop->client.hs, NULL, true);
        loop_pump(loop);
        assert_resumed(loop, false);
        assert_int_equal(edit_has(loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 0), SESSION_TICKET), i != 0);
        assert_int_equal(tickets_of(loop), i == 3);
        struct milgi_session *session = milgi__hs_session(loop->client.hs);
        assert_int_equal(session != NULL, i == 3);
        milgi_session_unref(session);
        loop_free(loop);
    }
}

/* --- full handshakes -------------------------------------------------------------------------------------------- */

static void another_name_means_a_full_handshake(void **state)
{
    (void)state;
    struct milgi_config *client = client12(), *server = server12();
    freeze(client);
    freeze(server);
    for (unsigned at_client = 0; at_client < 2; at_client++) {
        struct milgi_session *session = session12();
        struct loop *loop = loop_new(client, server, "x.b.test");
        milgi__hs_resume(loop->client.hs, at_client ? session : NULL, true);
        assert_null(loop->client.hs->offer12);
        if (!at_client)
            offer_any(loop, milgi_session_ref(session)); /* as one that does not care might */
        milgi_session_unref(session);
        loop_pump(loop);
        assert_resumed(loop, false);
        loop_free(loop);
    }
    milgi_config_unref(client);
    milgi_config_unref(server);
}

static void another_policy_or_another_time_means_a_full_handshake(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < 3; mode++) {
        struct milgi_config *client = client12(), *server = server12();
        MUST(milgi_config_add_credential(client, fixture.client_credential[0]));
        MUST(milgi_config_set_trust(server, fixture.trust));
        MUST(milgi_config_set_client_auth(server, MILGI_CLIENT_AUTH_OPTIONAL));
        struct milgi_session *session = session_by(client, server);
        client = client12();
        MUST(milgi_config_add_credential(client, fixture.client_credential[0]));
        server = server12();
        MUST(milgi_config_set_trust(server, fixture.trust));
        MUST(milgi_config_set_client_auth(server, (enum milgi_client_auth)mode));
        offer(client, server, session, 0, mode == MILGI_CLIENT_AUTH_OPTIONAL);
    }
    offer(client12(), server12(), session12(), LIFETIME - 1, true);
    offer(client12(), server12(), session12(), LIFETIME + 1, false);
    offer(client12(), server12(), session12(), 20 * LIFETIME, false);
}

/* Each version has its own list of what it signs with, and sessions are bound to both. */
static void another_list_of_schemes_means_a_full_handshake(void **state)
{
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_RSA_PSS_RSAE_SHA256 };
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct milgi_config *client = client12();
        struct milgi__u16_list all = client->schemes;
        /* The last is of TLS 1.2 alone, and good for certificates in any case. */
        assert_int_equal(all.v[all.n - 1], MILGI_SIG_RSA_PKCS1_SHA512);
        MUST(milgi_config_set_signature_schemes(client, i == 0 ? schemes : all.v, i == 0 ? 2u : i == 1 ? all.n - 1u
                                                                                                       : all.n));
        struct loop *loop = loop_with(session12(), client, server12());
        assert_int_equal(!loop->client.hs->offer12, i != 2);
        loop_free(loop);
    }
}

/* A session of TLS 1.2 has the key exchange of long ago, which may not be good enough any more. */
static void another_list_of_groups_means_a_full_handshake(void **state)
{
    (void)state;
    struct milgi_config *client = client12(), *server = server12();
    MUST(milgi_config_set_groups(server, p384, 1));
    offer(client12(), server, session12(), 0, false);
    MUST(milgi_config_set_groups(client, p384, 1));
    struct loop *loop = loop_with(session12(), client, server12());
    assert_null(loop->client.hs->offer12);
    loop_free(loop);
}

static void another_suite_means_a_full_handshake(void **state)
{
    (void)state;
    struct milgi_session *session = session12();
    assert_int_equal(session->f.suite, suites[0]);
    resume_run(milgi_session_ref(session), client12(), with_suite(server12(), ECDSA_256), false);
    struct loop *loop = loop_with(milgi_session_ref(session), with_suite(client12(), ECDSA_256), server12());
    assert_null(loop->client.hs->offer12);
    loop_free(loop);
    /* One that offers it all the same, without the suite; and its hash is not what counts. */
    offer(with_suite(client12(), ECDSA_256), server12(), milgi_session_ref(session), 0, false);
    offer(with_suite(client12(), MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256), server12(), session, 0, false);
}

static void a_ticket_of_the_other_version_means_a_full_handshake(void **state)
{
    (void)state;
    struct milgi_config *both = client_config(), *server = ticket_config();
    MUST(milgi_config_set_versions(both, V12, V13));
    MUST(milgi_config_set_versions(server, V12, V13));
    freeze(both);
    freeze(server);
    struct milgi_session *of13 = usual_session(), *of12 = session12();
    for (unsigned i = 0; i < 4; i++) {
        struct milgi_session *session = i % 2 ? of12 : of13;
        /* As the other version would offer it; the secret is taken for what it is not. */
        struct milgi__session_fields f = session->f;
        struct milgi__session_parts parts = milgi__session_parts(session);
        f.version = i % 2 ? V13 : V12;
        f.suite = i % 2 ? MILGI_SUITE_AES_128_GCM_SHA256 : suites[0];
        f.secret_len = i % 2 ? 32 : 48;
        f.extended_master_secret = true;
        struct milgi_config *client = i < 2 ? milgi_config_ref(both) : i % 2 ? client_config()
                                                                             : client12();
        if (i >= 2)
            freeze(client);
        struct loop *loop = loop_new(client, server, "a.test");
        milgi__hs_resume(loop->client.hs, NULL, true);
        offer_any(loop, milgi__session_new(&f, &parts));
        loop_pump(loop);
        assert_resumed(loop, false);
        loop_free(loop);
        milgi_config_unref(client);
    }
    milgi_session_unref(of13);
    milgi_session_unref(of12);
    milgi_config_unref(both);
    milgi_config_unref(server);
}

/* A client of both versions offers one of TLS 1.2, and speaks what the server speaks. */
static void a_session_of_tls12_does_not_hold_a_client_back(void **state)
{
    (void)state;
    for (unsigned max = V12; max <= V13; max++) {
        struct milgi_config *client = client_config(), *server = ticket_config();
        MUST(milgi_config_set_versions(client, V12, V13));
        MUST(milgi_config_set_versions(server, V12, V12));
        milgi_config_ref(client);
        struct milgi_session *session = session_by(client, server);
        server = ticket_config();
        MUST(milgi_config_set_versions(server, V12, (uint16_t)max));
        freeze(server);
        struct loop *loop = loop_new(client, server, "a.test");
        milgi__hs_resume(loop->client.hs, session, true);
        milgi_session_unref(session);
        loop_pump(loop);
        assert_resumed(loop, max == V12);
        assert_int_equal(milgi__hs_result(loop->client.hs)->version, max);
        loop_free(loop);
        milgi_config_unref(client);
        milgi_config_unref(server);
    }
}

static void change_ticket(struct milgi_session *session, unsigned how)
{
    struct milgi_iov ticket = milgi__session_parts(session).ticket;
    uint8_t *bytes = (uint8_t *)(uintptr_t)ticket.data;
    bytes[how % ticket.len] ^= 1;
}

/* Every bit of it counts, and a part of it is nothing. */
static void a_forged_or_truncated_ticket_means_a_full_handshake(void **state)
{
    (void)state;
    struct milgi_session *session = session12();
    size_t len = milgi__session_parts(session).ticket.len;
    for (unsigned i = 0; i < len; i += 7) {
        change_ticket(session, i);
        resume_run(milgi_session_ref(session), client12(), server12(), false);
        change_ticket(session, i);
    }
    resume_run(milgi_session_ref(session), client12(), server12(), true);
    for (size_t short_len = 1; short_len < len; short_len += 23) {
        struct milgi__session_parts parts = milgi__session_parts(session);
        parts.ticket.len = short_len;
        struct milgi_session *cut = milgi__session_new(&session->f, &parts);
        resume_run(cut, client12(), server12(), false);
    }
    milgi_session_unref(session);
}

/* One that is longer than any of ours costs no op. */
static void a_long_ticket_is_not_opened(void **state)
{
    (void)state;
    static uint8_t bytes[MILGI_TICKET_MAX];
    struct milgi_session *session = session12();
    for (unsigned i = 0; i < 2; i++) {
        struct milgi__session_parts parts = milgi__session_parts(session);
        memcpy(bytes, parts.ticket.data, parts.ticket.len); /* with the name of a key of ours */
        parts.ticket = (struct milgi_iov){ bytes, i ? sizeof bytes : parts.ticket.len };
        struct loop *loop = loop_with(milgi__session_new(&session->f, &parts), client12(), server12());
        loop_pump(loop);
        assert_resumed(loop, !i);
        assert_int_equal((loop->server.slots_seen & MILGI__ON(MILGI__TICKET_1)) != 0, !i);
        loop_free(loop);
    }
    milgi_session_unref(session);
}

/* A server cannot give a client what makes its next connection fail. */
static void a_ticket_that_is_too_long_is_neither_kept_nor_offered(void **state)
{
    (void)state;
    static uint8_t bytes[4 + 2 + MILGI_TICKET_MAX + 1] = { 0, 0, 1, 0 };
    struct milgi_session *session = session12();
    struct milgi__session_parts parts = milgi__session_parts(session);
    for (unsigned more = 0; more < 2; more++) {
        size_t len = MILGI_TICKET_MAX + more;
        parts.ticket = (struct milgi_iov){ bytes + 6, len };
        struct loop *loop = loop_with(milgi__session_new(&session->f, &parts), client12(), server12());
        assert_int_equal(!loop->client.hs->offer12, more);
        milgi__put16(bytes + 4, (unsigned)len);
        struct milgi__reader body = milgi__reader(bytes, 6 + len);
        loop->client.hs->id_given = true;
        assert_true(milgi__take_ticket12(loop->client.hs, &body));
        assert_int_equal(loop->client.hs->ticket.len, more ? 0 : len);
        assert_int_equal(loop->client.hs->id_given, !more);
        loop_free(loop);
    }
    milgi_session_unref(session);
}

static void add_psk(struct loop_message *m)
{
    edit_add(m, PSK, "nothing", 7, false);
}

/* What TLS 1.3 has in the place of a ticket, whatever stands in it, and wherever. */
static void a_psk_is_nothing_to_tls12(void **state)
{
    (void)state;
    const struct edit edit = { .type = MILGI__MSG_CLIENT_HELLO, .fn = add_psk };
    struct loop *loop = edited(&edit, client12(), server12());
    assert_non_null(loop_sent(&loop->server, MILGI__MSG_SERVER_HELLO, 0));
    loop_free(loop);
}

/* Who has somebody else's ticket has not its secret. */
static void a_ticket_with_another_secret_comes_to_nothing(void **state)
{
    (void)state;
    struct milgi_session *session = session12();
    struct milgi__session_fields f = session->f;
    struct milgi__session_parts parts = milgi__session_parts(session);
    f.secret[0] ^= 1;
    struct loop *loop = loop_with(milgi__session_new(&f, &parts), client12(), server12());
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_DECRYPT_ERROR);
    assert_int_not_equal(loop->server.wait, MILGI__HS_OPEN);
    loop_free(loop);
    milgi_session_unref(session);
}

/* --- the extended master secret --------------------------------------------------------------------------------- */

static void drop_ems(struct loop_message *m)
{
    edit_remove(m, MASTER_SECRET);
}

/*= RFC7627 5.3: "If the original session used the "extended_master_secret" extension but the new ClientHello does not
 *= contain it, the server MUST abort the abbreviated handshake.", "If the original session used the extension but the
 *= new ServerHello does not contain the extension, the client MUST abort the handshake." */
static void a_session_with_it_is_not_resumed_without(void **state)
{
    (void)state;
    for (unsigned by_server = 0; by_server < 2; by_server++) {
        for (unsigned lenient = 0; lenient < 2; lenient++) {
            struct milgi_config *client = client12(), *server = server12();
            struct milgi_session *session = session12();
            MUST(milgi_config_set_extended_master_secret(client, !lenient));
            MUST(milgi_config_set_extended_master_secret(server, !lenient));
            struct loop *loop = loop_with(session, client, server);
            struct edit edit = { .type = by_server ? MILGI__MSG_SERVER_HELLO : MILGI__MSG_CLIENT_HELLO,
                .by_server = by_server,
                .fn = drop_ems };
            loop->tamper = edit_apply;
            loop->tamper_arg = &edit;
            loop_pump(loop);
            assert_alert(by_server ? &loop->client : &loop->server, MILGI_ALERT_HANDSHAKE_FAILURE);
            loop_free(loop);
        }
    }
}

/* A server whose extension is lost on the way, and a client that minds as little: so neither has it. */
static bool drop_both(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    (void)from;
    (void)loop;
    if (m->data[0] == MILGI__MSG_CLIENT_HELLO)
        edit_remove(m, MASTER_SECRET);
    return true;
}

/*= RFC7627 5.4: "If a client or server chooses to continue with a full handshake without the extended master secret
 *= extension, then the new session becomes vulnerable": so there is none. */
static void without_it_there_is_neither_session_nor_ticket(void **state)
{
    (void)state;
    struct milgi_config *client = client12(), *server = server12();
    MUST(milgi_config_set_extended_master_secret(client, false));
    MUST(milgi_config_set_extended_master_secret(server, false));
    struct loop *loop = loop_with(NULL, client, server);
    loop->tamper = drop_both;
    loop_pump(loop);
    /* The transcripts differ, so that it does not come to an end; but what was said was said. */
    assert_false(milgi__hs_result(loop->server.hs)->exports);
    assert_false(milgi__hs_result(loop->client.hs)->exports);
    assert_false(loop->server.hs->ticket_promised);
    assert_int_equal(tickets_of(loop), 0);
    assert_null(milgi__hs_session(loop->client.hs));
    loop_free(loop);
}

/*= RFC7627 5.3: "If the original session did not use the "extended_master_secret" extension but the new ClientHello
 *= contains the extension, then the server MUST NOT perform the abbreviated handshake." "The client SHOULD NOT offer an
 *= abbreviated handshake to resume a session that does not use an extended master secret." */
static void a_session_without_it_is_not_offered(void **state)
{
    (void)state;
    struct milgi_session *session = session12();
    struct milgi__session_fields f = session->f;
    struct milgi__session_parts parts = milgi__session_parts(session);
    f.extended_master_secret = false;
    struct loop *loop = loop_with(milgi__session_new(&f, &parts), client12(), server12());
    assert_null(loop->client.hs->offer12);
    loop_pump(loop);
    assert_resumed(loop, false);
    loop_free(loop);
    milgi_session_unref(session);
}

/* --- what a server may say -------------------------------------------------------------------------------------- */

static void other_suite(struct loop_message *m)
{
    m->data[edit_suites(m) + 1] ^= 0x07; /* 0xc02b: 0xc02c */
}

static void other_id(struct loop_message *m)
{
    m->data[edit_session_id(m) + 1] ^= 1;
}

static void no_id(struct loop_message *m)
{
    size_t at = edit_session_id(m);
    edit_splice(m, at, 33, "", 1);
}

static void promise(struct loop_message *m)
{
    ADD(m, SESSION_TICKET, "");
}

static void lose_promise(struct loop_message *m)
{
    edit_remove(m, SESSION_TICKET);
}

static void half_a_ticket(struct loop_message *m)
{
    m->data[9]++;
}

/* Runs on a session, |later_s| old, with a change to what the server says; the client's alert. */
static void changed(unsigned type, edit_fn fn, bool resumes, int64_t later_s, int alert)
{
    struct edit edit = { .type = type, .by_server = true, .fn = fn };
    struct loop *loop = loop_with(resumes ? session12() : NULL, client12(), server12());
    loop->later_s = later_s;
    loop->tamper = edit_apply;
    loop->tamper_arg = &edit;
    loop_pump(loop);
    assert_int_not_equal(loop->client.wait, MILGI__HS_OPEN);
    assert_int_equal(loop_alert(&loop->client), alert);
    loop_free(loop);
}

static void a_server_hello_that_does_not_fit_the_session_is_refused(void **state)
{
    (void)state;
    /*= RFC5246 7.4.1.3: "For resumed sessions, this field is the value from the state of the session being
     *= resumed." */
    changed(MILGI__MSG_SERVER_HELLO, other_suite, true, 0, MILGI_ALERT_ILLEGAL_PARAMETER);
    /* Then it is a full handshake, in which a change_cipher_spec has no place yet. */
    changed(MILGI__MSG_SERVER_HELLO, other_id, true, 0, MILGI_ALERT_UNEXPECTED_MESSAGE);
    changed(MILGI__MSG_SERVER_HELLO, no_id, true, 0, MILGI_ALERT_UNEXPECTED_MESSAGE);
}

/*= RFC5077 3.3: "This message MUST be sent if the server included a SessionTicket extension in the ServerHello. This
 *= message MUST NOT be sent if the server did not include a SessionTicket extension in the ServerHello." */
static void a_ticket_comes_if_it_was_promised_and_only_then(void **state)
{
    (void)state;
    for (unsigned resumes = 0; resumes < 2; resumes++) {
        changed(MILGI__MSG_SERVER_HELLO, lose_promise, resumes, resumes ? LIFETIME - 60 : 0,
            resumes ? MILGI_ALERT_UNEXPECTED_MESSAGE : -1);
        changed(MILGI__MSG_NEW_SESSION_TICKET, half_a_ticket, resumes, resumes ? LIFETIME - 60 : 0,
            MILGI_ALERT_DECODE_ERROR);
    }
    struct edit edit = { .type = MILGI__MSG_SERVER_HELLO, .by_server = true, .fn = promise };
    struct loop *loop = loop_with(session12(), client12(), server12());
    loop->tamper = edit_apply;
    loop->tamper_arg = &edit;
    loop_pump(loop);
    assert_true(loop->bad_ccs);
    loop_free(loop);
}

static void nobody_promises_what_was_not_asked_for(void **state)
{
    (void)state;
    struct edit edit = { .type = MILGI__MSG_SERVER_HELLO, .by_server = true, .fn = promise };
    struct loop *loop = loop_of(client12(), server12());
    loop->tamper = edit_apply;
    loop->tamper_arg = &edit;
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_UNSUPPORTED_EXTENSION);
    loop_free(loop);
}

/* The ID that only says that one of TLS 1.3 would be welcome is of no session. */
static uint8_t echoed[33];

static bool echo_id(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    if (from == &loop->client && m->data[0] == MILGI__MSG_CLIENT_HELLO)
        memcpy(echoed, m->data + edit_session_id(m), sizeof echoed);
    if (from == &loop->server && m->data[0] == MILGI__MSG_SERVER_HELLO)
        edit_splice(m, edit_session_id(m), 1, echoed, sizeof echoed);
    return true;
}

static void a_session_that_was_not_offered_is_not_resumed(void **state)
{
    (void)state;
    struct milgi_config *client = client_config(), *server = server12();
    MUST(milgi_config_set_versions(client, V12, V13));
    struct loop *loop = loop_with(usual_session(), client, server); /* one of TLS 1.3 */
    loop->tamper = echo_id;
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_ILLEGAL_PARAMETER);
    loop_free(loop);
}

/* --- order ------------------------------------------------------------------------------------------------------ */

/* Each message of an abbreviated handshake left out, or sent twice; and change_cipher_spec at each other place. */
static bool lose_or_repeat(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    const int *what = loop->tamper_arg; /* by the server, type, 1: twice */
    if ((from == &loop->server) != what[0] || m->data[0] != what[1])
        return true;
    if (what[2] && what[1] == MILGI__MSG_CHANGE_CIPHER_SPEC)
        loop->bad_ccs = milgi__hs_take_ccs(loop_peer(from)->hs) == MILGI__CCS_REFUSED;
    else if (what[2])
        loop_input(loop_peer(from), m->level, m->data, m->len);
    return what[2];
}

static void messages_are_neither_left_out_nor_repeated(void **state)
{
    static const int types[] = { MILGI__MSG_SERVER_HELLO, MILGI__MSG_NEW_SESSION_TICKET,
        MILGI__MSG_CHANGE_CIPHER_SPEC, MILGI__MSG_FINISHED };
    (void)state;
    for (unsigned i = 0; i < 2 * 2 * MILGI__COUNT(types); i++) {
        int what[3] = { i % 2 == 0, types[i / 4], i / 2 % 2 };
        if (!what[0] && what[1] != MILGI__MSG_CHANGE_CIPHER_SPEC && what[1] != MILGI__MSG_FINISHED)
            continue;
        struct loop *loop = loop_with(session12(), client12(), server12());
        loop->later_s = LIFETIME - 60; /* so that there is a new ticket, too */
        loop->tamper = lose_or_repeat;
        loop->tamper_arg = what;
        loop_pump(loop);
        struct loop_end *victim = what[0] ? &loop->client : &loop->server;
        bool last = what[1] == MILGI__MSG_FINISHED;
        if (!(what[2] && (last || what[1] == MILGI__MSG_CHANGE_CIPHER_SPEC)))
            assert_int_not_equal(victim->wait, MILGI__HS_OPEN);
        bool refused = loop->bad_ccs || loop_alert(victim) == MILGI_ALERT_UNEXPECTED_MESSAGE;
        bool stuck = victim->wait == MILGI__HS_INPUT && !what[2] && last; /* for want of a Finished */
        assert_true(refused || stuck || (what[2] && what[1] == MILGI__MSG_CHANGE_CIPHER_SPEC));
        loop_free(loop);
    }
}

static void change_cipher_spec_has_one_place(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct loop *loop = loop_with(session12(), client12(), server12());
        loop->later_s = LIFETIME - 60;
        struct loop_end *end = i ? &loop->client : &loop->server;
        bool moved = true;
        while (moved) {
            const int awaits = milgi__hs_awaits(end->hs);
            bool taken = awaits == MILGI__MSG_CHANGE_CIPHER_SPEC || awaits == MILGI__MSG_SERVER_HELLO;
            if (!taken && end->wait != MILGI__HS_OPEN)
                assert_int_equal(milgi__hs_take_ccs(end->hs), MILGI__CCS_REFUSED);
            loop_run(&loop->client);
            loop_run(&loop->server);
            moved = loop_deliver(loop, &loop->client) || loop_deliver(loop, &loop->server);
        }
        assert_resumed(loop, true);
        assert_int_equal(milgi__hs_take_ccs(end->hs), MILGI__CCS_REFUSED);
        loop_free(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_saves_certificate_key_exchange_and_signature),
        cmocka_unit_test(what_the_server_says_of_a_session),
        cmocka_unit_test(tickets_are_renewed_at_half_time_and_keep_the_time_of_their_authentication),
        cmocka_unit_test(a_clients_certificate_is_remembered),
        cmocka_unit_test(the_protocol_is_agreed_on_anew),
        cmocka_unit_test(nobody_who_does_not_want_tickets_gets_any),
        cmocka_unit_test(another_name_means_a_full_handshake),
        cmocka_unit_test(another_policy_or_another_time_means_a_full_handshake),
        cmocka_unit_test(another_list_of_schemes_means_a_full_handshake),
        cmocka_unit_test(another_list_of_groups_means_a_full_handshake),
        cmocka_unit_test(another_suite_means_a_full_handshake),
        cmocka_unit_test(a_ticket_of_the_other_version_means_a_full_handshake),
        cmocka_unit_test(a_session_of_tls12_does_not_hold_a_client_back),
        cmocka_unit_test(a_forged_or_truncated_ticket_means_a_full_handshake),
        cmocka_unit_test(a_long_ticket_is_not_opened),
        cmocka_unit_test(a_ticket_that_is_too_long_is_neither_kept_nor_offered),
        cmocka_unit_test(a_psk_is_nothing_to_tls12),
        cmocka_unit_test(a_ticket_with_another_secret_comes_to_nothing),
        cmocka_unit_test(a_session_with_it_is_not_resumed_without),
        cmocka_unit_test(without_it_there_is_neither_session_nor_ticket),
        cmocka_unit_test(a_session_without_it_is_not_offered),
        cmocka_unit_test(a_server_hello_that_does_not_fit_the_session_is_refused),
        cmocka_unit_test(a_ticket_comes_if_it_was_promised_and_only_then),
        cmocka_unit_test(nobody_promises_what_was_not_asked_for),
        cmocka_unit_test(a_session_that_was_not_offered_is_not_resumed),
        cmocka_unit_test(messages_are_neither_left_out_nor_repeated),
        cmocka_unit_test(change_cipher_spec_has_one_place),
    };
    return cmocka_run_group_tests(tests, resume_setup, resume_teardown);
}
