/* SPDX-License-Identifier: Apache-2.0 */
/* External PSKs: handshakes that stand on one, in each mode, and those that must not. */
#include "loop.h"

#define SECRET 32u

static const uint16_t p384[] = { MILGI_GROUP_SECP384R1 };
static uint8_t secret[SECRET] = "thirty-two bytes, and no secret";

static struct milgi_psk *psk_of(enum milgi_role role, const char *identity, enum milgi_psk_hash hash)
{
    struct milgi_psk *psk;
    struct milgi_psk_source source = { role, hash, identity, strlen(identity), secret, sizeof secret };
    MUST(milgi_psk_new(&source, &psk));
    return psk;
}

static void add(struct milgi_config *config, struct milgi_psk *psk)
{
    MUST(milgi_config_add_psk(config, psk));
    milgi_psk_unref(psk);
}

static struct milgi_config *psk_client(enum milgi_psk_hash hash)
{
    struct milgi_config *config = client_config();
    add(config, psk_of(MILGI_CLIENT, "us", hash));
    return config;
}

static struct milgi_config *psk_server(enum milgi_psk_hash hash)
{
    struct milgi_config *config = server_config(IDENTITY_P256);
    add(config, psk_of(MILGI_SERVER, "us", hash));
    return config;
}

/* A server that has nothing else. */
static struct milgi_config *bare_server(void)
{
    static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1 };
    struct milgi_config *config = milgi_config_new(MILGI_SERVER);
    MUST(milgi_config_set_groups(config, groups, 2));
    return config;
}

static struct loop *loop_on(struct milgi_config *client, struct milgi_config *server)
{
    struct loop *loop = loop_of(client, server);
    milgi__hs_offer_psks(loop->client.hs, NULL, false);
    milgi__hs_resume(loop->client.hs, NULL, true);
    return loop;
}

/* Both ends are open on the PSK |identity|, or (NULL) on certificates, and say so. */
static void assert_on(struct loop *loop, const char *identity)
{
    assert_open(loop);
    struct loop_end *ends[] = { &loop->client, &loop->server };
    for (unsigned i = 0; i < 2; i++) {
        const struct milgi__hs_result *r = milgi__hs_result(ends[i]->hs);
        struct milgi_iov psk = milgi__psk_identity(r->psk);
        assert_false(r->resumed);
        assert_int_equal(psk.len, identity ? strlen(identity) : 0);
        if (identity)
            assert_memory_equal(psk.data, identity, psk.len);
        if (identity)
            assert_false(r->peer_authenticated);
    }
    assert_int_equal(!loop_sent(&loop->server, MILGI__MSG_CERTIFICATE, 0), identity != NULL);
    assert_int_equal(!loop_sent(&loop->server, MILGI__MSG_CERTIFICATE_REQUEST, 0), true);
}

static void run(struct milgi_config *client, struct milgi_config *server, const char *identity)
{
    struct loop *loop = loop_on(client, server);
    loop_pump(loop);
    assert_on(loop, identity);
    loop_free(loop);
}

static void run_to_alert(struct milgi_config *client, struct milgi_config *server, bool by_server, int alert)
{
    struct loop *loop = loop_on(client, server);
    loop_pump(loop);
    assert_alert(by_server ? &loop->server : &loop->client, alert);
    loop_free(loop);
}

/* --- how it is meant -------------------------------------------------------------------------------------------- */

static void both_sides_that_have_it_need_no_certificate(void **state)
{
    (void)state;
    for (unsigned hash = MILGI_PSK_SHA256; hash <= MILGI_PSK_SHA384; hash++) {
        run(psk_client(hash), psk_server(hash), "us");
        struct milgi_config *server = bare_server();
        add(server, psk_of(MILGI_SERVER, "us", hash));
        run(psk_client(hash), server, "us");
    }
}

/*= RFC8446 4.2.11: "The server MUST ensure that it selects a compatible PSK (if any) and cipher suite." */
static void the_suite_goes_with_the_psk(void **state)
{
    (void)state;
    static const uint16_t only[] = { MILGI_SUITE_AES_128_GCM_SHA256 };
    struct loop *loop = loop_on(psk_client(MILGI_PSK_SHA384), psk_server(MILGI_PSK_SHA384));
    loop_pump(loop);
    assert_on(loop, "us");
    assert_int_equal(milgi__hs_result(loop->client.hs)->suite, MILGI_SUITE_AES_256_GCM_SHA384);
    loop_free(loop);
    /* A server without a suite of its hash has no use for it, and a client without one does not offer it. */
    struct milgi_config *server = psk_server(MILGI_PSK_SHA384);
    MUST(milgi_config_set_suites(server, only, 1));
    run(psk_client(MILGI_PSK_SHA384), server, NULL);
    struct milgi_config *client = psk_client(MILGI_PSK_SHA384);
    MUST(milgi_config_set_suites(client, only, 1));
    loop = loop_on(client, psk_server(MILGI_PSK_SHA384));
    assert_int_equal(loop->client.hs->offers_n, 0);
    loop_pump(loop);
    assert_on(loop, NULL);
    loop_free(loop);
}

static void a_retry_makes_the_binders_anew(void **state)
{
    (void)state;
    for (unsigned hash = MILGI_PSK_SHA256; hash <= MILGI_PSK_SHA384; hash++) {
        for (unsigned bare = 0; bare < 2; bare++) {
            struct milgi_config *client = psk_client(hash), *server = bare ? bare_server() : psk_server(hash);
            if (bare)
                add(server, psk_of(MILGI_SERVER, "us", hash));
            /* After a retry only those of its hash are left. */
            add(client, psk_of(MILGI_CLIENT, "of the other hash", !hash));
            MUST(milgi_config_set_groups(server, p384, 1));
            struct loop *loop = loop_on(client, server);
            loop_pump(loop);
            assert_on(loop, "us");
            assert_true(milgi__hs_result(loop->client.hs)->hello_retry);
            assert_int_equal(loop->client.hs->offers_n, 1);
            loop_free(loop);
        }
    }
}

static void the_first_that_fits_is_taken(void **state)
{
    (void)state;
    static const char *const names[] = { "one", "two", "three", "four" };
    for (unsigned known = 0; known < 4; known++) {
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        for (unsigned i = 0; i < 4; i++)
            add(client, psk_of(MILGI_CLIENT, names[i], MILGI_PSK_SHA256));
        for (unsigned i = known; i < 4; i++)
            add(server, psk_of(MILGI_SERVER, names[3 - (i - known)], MILGI_PSK_SHA256));
        struct loop *loop = loop_on(client, server);
        loop_pump(loop);
        assert_on(loop, names[known]);
        const struct loop_message *hello = loop_sent(&loop->server, MILGI__MSG_SERVER_HELLO, 0);
        assert_int_equal(hello->data[hello->len - 1], known);
        loop_free(loop);
    }
}

/* --- sessions that go back to one ------------------------------------------------------------------------------- */

static struct milgi_ticket_keys *keys;

static struct milgi_config *with_tickets(struct milgi_config *server)
{
    MUST(milgi_config_set_ticket_keys(server, keys));
    return server;
}

/* The session of a connection of these two on an external PSK. */
static struct milgi_session *session_on(struct milgi_config *client, struct milgi_config *server)
{
    struct loop *loop = loop_on(client, server);
    loop_pump(loop);
    assert_on(loop, "us");
    const struct loop_message *m = loop_sent(&loop->server, MILGI__MSG_NEW_SESSION_TICKET, 1);
    struct milgi_session *base = milgi__hs_session(loop->client.hs);
    assert_non_null(m);
    assert_non_null(base);
    struct milgi__bytes body = { m->data + MILGI__MSG_HEADER, m->len - MILGI__MSG_HEADER };
    struct milgi_session *session = milgi__session_of_ticket(loop->cx, base, body, base->f.created_s);
    milgi_session_unref(base);
    loop_free(loop);
    assert_non_null(session);
    return session;
}

/* What comes of offering |session|, which is given up: resumed, on the PSK, or a full handshake. */
enum outcome {
    RESUMED,
    ON_PSK,
    FULL
};

static void offer_again(struct milgi_session *session, struct milgi_config *client, struct milgi_config *server,
    bool any, enum outcome outcome)
{
    struct loop *loop = loop_of(client, server);
    milgi__hs_offer_psks(loop->client.hs, NULL, false);
    milgi__hs_resume(loop->client.hs, any ? NULL : session, true);
    if (any) { /* as one that does not care might */
        memmove(loop->client.hs->offer + 1, loop->client.hs->offer, sizeof(void *) * loop->client.hs->offers_n++);
        loop->client.hs->offer[0] = milgi_session_ref(session);
    }
    milgi_session_unref(session);
    loop_pump(loop);
    assert_open(loop);
    struct loop_end *ends[] = { &loop->client, &loop->server };
    for (unsigned i = 0; i < 2; i++) {
        const struct milgi__hs_result *r = milgi__hs_result(ends[i]->hs);
        struct milgi_iov psk = milgi__psk_identity(r->psk);
        assert_int_equal(r->resumed, outcome == RESUMED);
        assert_int_equal(psk.len, outcome == FULL ? 0 : 2);
        if (psk.len != 0)
            assert_memory_equal(psk.data, "us", 2);
        if (psk.len != 0)
            assert_false(r->peer_authenticated);
    }
    assert_int_equal(!loop_sent(&loop->server, MILGI__MSG_CERTIFICATE, 0), outcome != FULL);
    loop_free(loop);
}

static struct milgi_session *usual(void)
{
    return session_on(psk_client(MILGI_PSK_SHA256), with_tickets(psk_server(MILGI_PSK_SHA256)));
}

/* With a PSK of another secret. */
static struct milgi_config *other_secret(enum milgi_role role)
{
    secret[1] ^= 1;
    struct milgi_config *config = role == MILGI_CLIENT ? psk_client(MILGI_PSK_SHA256) : psk_server(MILGI_PSK_SHA256);
    secret[1] ^= 1;
    return config;
}

static void a_session_on_one_is_for_those_that_have_it(void **state)
{
    (void)state;
    const enum milgi_psk_hash h = MILGI_PSK_SHA256;
    offer_again(usual(), psk_client(h), with_tickets(psk_server(h)), false, RESUMED);
    /* Withdrawn at the server: there is a full handshake, whatever the client thinks. */
    offer_again(usual(), psk_client(h), with_tickets(server_config(IDENTITY_P256)), false, FULL);
    /* Another secret at both: the session is no more, the PSK is. */
    offer_again(usual(), other_secret(MILGI_CLIENT), with_tickets(other_secret(MILGI_SERVER)), false, ON_PSK);
    offer_again(usual(), other_secret(MILGI_CLIENT), with_tickets(other_secret(MILGI_SERVER)), true, ON_PSK);
    /* A client that has it not does not offer the session; nor would it help if it did not know better. */
    offer_again(usual(), client_config(), with_tickets(psk_server(h)), false, FULL);
    offer_again(usual(), client_config(), with_tickets(server_config(IDENTITY_P256)), true, FULL);
}

static void a_session_on_one_stands_for_no_certificate_either(void **state)
{
    (void)state;
    for (unsigned told = 0; told < 2; told++) {
        struct milgi_config *clients[2], *servers[2];
        for (unsigned i = 0; i < 2; i++) {
            clients[i] = psk_client(MILGI_PSK_SHA256);
            MUST(milgi_config_add_credential(clients[i], fixture.client_credential[0]));
            servers[i] = with_tickets(psk_server(MILGI_PSK_SHA256));
            MUST(milgi_config_set_trust(servers[i], fixture.trust));
            MUST(milgi_config_set_client_auth(servers[i], MILGI_CLIENT_AUTH_REQUIRED));
            MUST(milgi_config_set_psk_without_certificate(servers[i], i == 0 || told));
        }
        struct milgi_session *session = session_on(clients[0], servers[0]);
        struct loop *loop = loop_of(clients[1], servers[1]);
        milgi__hs_offer_psks(loop->client.hs, NULL, false);
        milgi__hs_resume(loop->client.hs, session, true);
        milgi_session_unref(session);
        loop_pump(loop);
        assert_open(loop);
        assert_int_equal(milgi__hs_result(loop->server.hs)->resumed, told);
        assert_int_equal(milgi__hs_result(loop->server.hs)->peer_authenticated, !told);
        loop_free(loop);
    }
}

/* A session of certificates is none for a client that takes PSKs alone, though all else fits. */
static void a_client_with_nothing_else_resumes_what_stands_on_a_psk(void **state)
{
    (void)state;
    for (unsigned on_psk = 0; on_psk < 2; on_psk++) {
        struct milgi_config *client = client_config();
        MUST(milgi_config_set_psk_only(client, true));
        add(client, psk_of(MILGI_CLIENT, "us", MILGI_PSK_SHA256));
        struct loop *loop = loop_of(client, with_tickets(psk_server(MILGI_PSK_SHA256)));
        struct milgi_session *session = usual();
        if (!on_psk) {
            session->f.peer = MILGI__SESSION_NO_PEER;
            memcpy(session->f.policy, loop->client.hs->config->policy, sizeof session->f.policy);
        }
        milgi__hs_offer_psks(loop->client.hs, NULL, false);
        milgi__hs_resume(loop->client.hs, session, true);
        milgi_session_unref(session);
        assert_int_equal(loop->client.hs->offers_n, 1 + on_psk);
        loop_pump(loop);
        assert_open(loop);
        assert_int_equal(milgi__hs_result(loop->client.hs)->resumed, on_psk);
        assert_non_null(milgi__hs_result(loop->client.hs)->psk);
        loop_free(loop);
    }
}

/* As long as an identity may be; tickets on it hold it. */
static void room_for_tickets_that_hold_a_long_identity_is_asked_for(void **state)
{
    static char identity[MILGI_PSK_IDENTITY_MAX + 1];
    (void)state;
    memset(identity, 'i', MILGI_PSK_IDENTITY_MAX);
    struct milgi_config *client = client_config(), *server = with_tickets(server_config(IDENTITY_P256));
    add(client, psk_of(MILGI_CLIENT, identity, MILGI_PSK_SHA256));
    add(server, psk_of(MILGI_SERVER, identity, MILGI_PSK_SHA256));
    struct loop *loop = loop_on(client, server);
    loop_pump(loop);
    assert_on(loop, identity);
    const struct loop_message *ticket = loop_sent(&loop->server, MILGI__MSG_NEW_SESSION_TICKET, 0);
    assert_non_null(ticket);
    assert_true(loop->server.room_most >= MILGI_TICKETS_MAX * ticket->len);
    loop_free(loop);
}

/* Nobody could tell later whether they are still good. */
static void where_psks_come_from_decisions_there_are_no_tickets_on_them(void **state)
{
    (void)state;
    struct milgi_config *server = with_tickets(server_config(IDENTITY_P256));
    MUST(milgi_config_set_ask(server, MILGI_DECIDE_PSK));
    struct loop *loop = loop_on(psk_client(MILGI_PSK_SHA256), server);
    struct milgi_psk *us = psk_of(MILGI_SERVER, "us", MILGI_PSK_SHA256);
    loop_pump(loop);
    MUST(milgi__hs_decide(loop->server.hs, MILGI_DECIDE_PSK, MILGI_ACCEPT, us));
    milgi_psk_unref(us);
    loop_pump(loop);
    assert_on(loop, "us");
    assert_null(loop_sent(&loop->server, MILGI__MSG_NEW_SESSION_TICKET, 0));
    loop_free(loop);
}

static int setup(void **state)
{
    static const uint8_t key[MILGI_TICKET_SECRET_LEN] = { 1 };
    MUST(milgi_ticket_keys_new(key, 7200, 0, &keys));
    return fixture_setup(state);
}

static int teardown(void **state)
{
    milgi_ticket_keys_unref(keys);
    return fixture_teardown(state);
}

/* --- psk_ke ----------------------------------------------------------------------------------------------------- */

/* With or without a key exchange, as both sides like it. */
static void psk_ke_is_for_those_that_ask_for_it(void **state)
{
    (void)state;
    enum {
        OFF,
        TOO,
        ONLY
    };
    for (unsigned c = OFF; c <= ONLY; c++) {
        for (unsigned s = OFF; s <= ONLY; s++) {
            struct milgi_config *client = psk_client(MILGI_PSK_SHA256), *server = psk_server(MILGI_PSK_SHA256);
            MUST(milgi_config_set_psk_ke(client, (enum milgi_psk_ke)c));
            MUST(milgi_config_set_psk_ke(server, (enum milgi_psk_ke)s));
            struct loop *loop = loop_on(client, server);
            loop_pump(loop);
            bool dhe = c != ONLY && s != ONLY, plain = !dhe && c != OFF && s != OFF;
            assert_on(loop, dhe || plain ? "us" : NULL);
            assert_int_equal(milgi__hs_result(loop->client.hs)->group == 0, plain);
            assert_int_equal(milgi__hs_result(loop->server.hs)->group == 0, plain);
            loop_free(loop);
        }
    }
}

/* --- what is none ----------------------------------------------------------------------------------------------- */

static void who_has_not_the_secret_is_refused(void **state)
{
    (void)state;
    for (unsigned bare = 0; bare < 2; bare++) {
        struct milgi_config *server = bare ? bare_server() : psk_server(MILGI_PSK_SHA256);
        if (bare)
            add(server, psk_of(MILGI_SERVER, "us", MILGI_PSK_SHA256));
        struct milgi_config *client = client_config();
        secret[0] ^= 1;
        add(client, psk_of(MILGI_CLIENT, "us", MILGI_PSK_SHA256));
        secret[0] ^= 1;
        run_to_alert(client, server, true, MILGI_ALERT_DECRYPT_ERROR);
    }
}

/*
 *= RFC8446 E.6: "Servers which solely support PSK handshakes may be able to resist this form of attack by treating the
 *= cases where there is no valid PSK identity and where there is an identity but it has an invalid binder
 *= identically."
 */
static void a_server_with_nothing_else_does_not_tell_which_identities_it_knows(void **state)
{
    (void)state;
    for (unsigned retry = 0; retry < 2; retry++) {
        struct milgi_config *server = bare_server();
        add(server, psk_of(MILGI_SERVER, "you", MILGI_PSK_SHA256));
        if (retry)
            MUST(milgi_config_set_groups(server, p384, 1));
        run_to_alert(psk_client(MILGI_PSK_SHA256), server, true, MILGI_ALERT_DECRYPT_ERROR);
    }
    struct milgi_config *server = bare_server();
    add(server, psk_of(MILGI_SERVER, "you", MILGI_PSK_SHA256));
    run_to_alert(client_config(), server, true, MILGI_ALERT_HANDSHAKE_FAILURE);
}

static void unknown_ones_mean_a_full_handshake(void **state)
{
    (void)state;
    run(psk_client(MILGI_PSK_SHA256), server_config(IDENTITY_P256), NULL);
    struct milgi_config *server = server_config(IDENTITY_P256);
    add(server, psk_of(MILGI_SERVER, "u", MILGI_PSK_SHA256));
    add(server, psk_of(MILGI_SERVER, "use", MILGI_PSK_SHA256));
    add(server, psk_of(MILGI_SERVER, "uS", MILGI_PSK_SHA256));
    run(psk_client(MILGI_PSK_SHA256), server, NULL);
}

static void a_client_with_nothing_else_takes_no_certificate(void **state)
{
    (void)state;
    for (unsigned knows = 0; knows < 2; knows++) {
        struct milgi_config *client = milgi_config_new(MILGI_CLIENT); /* no trust, and none is looked for */
        MUST(milgi_config_set_psk_only(client, true));
        add(client, psk_of(MILGI_CLIENT, "us", MILGI_PSK_SHA256));
        if (knows)
            run(client, psk_server(MILGI_PSK_SHA256), "us");
        else
            run_to_alert(client, server_config(IDENTITY_P256), false, MILGI_ALERT_HANDSHAKE_FAILURE);
    }
}

/*= RFC8446 4.3.2: "Servers which are authenticating with a PSK MUST NOT send the CertificateRequest message in the
 *= main handshake" */
static void it_stands_for_no_certificate_that_is_demanded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        bool required = (i & 1) != 0, told = (i & 2) != 0;
        struct milgi_config *client = psk_client(MILGI_PSK_SHA256), *server = psk_server(MILGI_PSK_SHA256);
        MUST(milgi_config_add_credential(client, fixture.client_credential[0]));
        MUST(milgi_config_set_trust(server, fixture.trust));
        MUST(milgi_config_set_client_auth(
            server, required ? MILGI_CLIENT_AUTH_REQUIRED : MILGI_CLIENT_AUTH_OPTIONAL));
        MUST(milgi_config_set_psk_without_certificate(server, told));
        struct loop *loop = loop_on(client, server);
        loop_pump(loop);
        if (!required || told) {
            assert_on(loop, "us");
        } else {
            assert_open(loop);
            assert_null(milgi__hs_result(loop->server.hs)->psk);
            assert_true(milgi__hs_result(loop->server.hs)->peer_authenticated);
        }
        loop_free(loop);
    }
}

/* --- imported --------------------------------------------------------------------------------------------------- */

static struct milgi_psk *between(enum milgi_role role, const char *own, const char *peer, enum milgi_psk_hash target)
{
    struct milgi_psk *psk;
    struct milgi_psk_source source = { role, MILGI_PSK_SHA256, "us", 2, secret, sizeof secret };
    MUST(milgi_psk_import_between(&source, own, peer, target, &psk));
    return psk;
}

static void imported_ones_are_for_each_hash(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        for (unsigned hash = MILGI_PSK_SHA256; hash <= MILGI_PSK_SHA384; hash++) {
            add(client, between(MILGI_CLIENT, "a", "b", hash));
            if (hash == i)
                add(server, between(MILGI_SERVER, "b", "a", hash));
        }
        struct loop *loop = loop_on(client, server);
        loop_pump(loop);
        assert_open(loop);
        assert_non_null(milgi__hs_result(loop->server.hs)->psk);
        assert_int_equal(milgi__suite(milgi__hs_result(loop->server.hs)->suite)->hash, i);
        loop_free(loop);
    }
}

/* Who is a client and a server with one secret: nobody but the other side has what a hello of it is made with. */
static void a_reflected_hello_is_of_no_psk(void **state)
{
    (void)state;
    struct milgi_config *client = client_config(), *server = bare_server();
    add(client, between(MILGI_CLIENT, "a", "b", MILGI_PSK_SHA256));
    add(server, between(MILGI_SERVER, "a", "b", MILGI_PSK_SHA256)); /* of the same host */
    run_to_alert(client, server, true, MILGI_ALERT_DECRYPT_ERROR);
    struct milgi_psk *one = psk_of(MILGI_CLIENT, "us", MILGI_PSK_SHA256);
    server = bare_server();
    assert_int_equal(milgi_config_add_psk(server, one), MILGI_EINVAL);
    milgi_config_unref(server);
    milgi_psk_unref(one);
}

/* An imported PSK and one that is not, of the same bytes, have binders of their own. */
static void an_imported_psk_is_not_taken_for_another(void **state)
{
    (void)state;
    struct milgi_psk *imported = between(MILGI_CLIENT, "a", "b", MILGI_PSK_SHA256), *other;
    struct milgi_iov identity = milgi_psk_identity(imported);
    uint8_t raw[MILGI__HASH_MAX];
    struct milgi__crypto *cx = milgi__crypto_new();
    MUST(milgi__imported_psk(
        cx, MILGI__SHA256, secret, sizeof secret, identity.data, identity.len, MILGI__SHA256, raw));
    struct milgi_psk_source source = { MILGI_SERVER, MILGI_PSK_SHA256, identity.data, identity.len, raw, 32 };
    MUST(milgi_psk_new(&source, &other));
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
    add(client, imported);
    add(server, other);
    run_to_alert(client, server, true, MILGI_ALERT_DECRYPT_ERROR);
    milgi__crypto_free(cx);
}

/* --- decisions -------------------------------------------------------------------------------------------------- */

static struct loop *asking(struct milgi_config *client, struct milgi_config *server)
{
    MUST(milgi_config_set_ask(server, MILGI_DECIDE_PSK));
    struct loop *loop = loop_on(client, server);
    loop_pump(loop);
    return loop;
}

static void who_is_asked_knows_more(void **state)
{
    (void)state;
    struct milgi_decision_info info;
    struct loop *loop = asking(psk_client(MILGI_PSK_SHA256), bare_server());
    struct milgi__hs *hs = loop->server.hs;
    struct milgi_psk *us = psk_of(MILGI_SERVER, "us", MILGI_PSK_SHA256);
    struct milgi_psk *them = psk_of(MILGI_SERVER, "them", MILGI_PSK_SHA256);
    struct milgi_psk *clients = psk_of(MILGI_CLIENT, "us", MILGI_PSK_SHA256);
    assert_int_equal(loop->server.asked, MILGI_DECIDE_PSK);
    assert_int_equal(loop->server.wait, MILGI__HS_OPS);
    MUST(milgi__hs_decision_info(hs, MILGI_DECIDE_PSK, &info));
    assert_int_equal(info.psk_identities_n, 1);
    assert_int_equal(info.psk_identities[0].len, 2);
    assert_memory_equal(info.psk_identities[0].data, "us", 2);
    assert_string_equal(info.server_name, "a.test");
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_PSK, MILGI_ACCEPT, them), MILGI_EINVAL);
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_PSK, MILGI_ACCEPT, clients), MILGI_EINVAL);
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_PSK, MILGI_ACCEPT, NULL), MILGI_EINVAL);
    MUST(milgi__hs_decide(hs, MILGI_DECIDE_PSK, MILGI_ACCEPT, us));
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_PSK, MILGI_ACCEPT, us), MILGI_ESTALE);
    milgi_psk_unref(us);
    milgi_psk_unref(them);
    milgi_psk_unref(clients);
    loop_pump(loop);
    assert_on(loop, "us");
    loop_free(loop);
}

static void refusing_leaves_a_full_handshake_and_the_default_the_configs(void **state)
{
    (void)state;
    for (unsigned refuses = 0; refuses < 2; refuses++) {
        struct loop *loop = asking(psk_client(MILGI_PSK_SHA256), psk_server(MILGI_PSK_SHA256));
        enum milgi_verdict verdict = refuses ? MILGI_REFUSE : MILGI_DEFAULT;
        MUST(milgi__hs_decide(loop->server.hs, MILGI_DECIDE_PSK, verdict, NULL));
        loop_pump(loop);
        assert_on(loop, refuses ? NULL : "us");
        loop_free(loop);
    }
    struct loop *loop = asking(client_config(), psk_server(MILGI_PSK_SHA256)); /* nothing is offered */
    assert_int_equal(loop->server.asked, 0);
    assert_on(loop, NULL);
    loop_free(loop);
}

/* --- the early exporter ------------------------------------------------------------------------------------------- */

static void want_early(struct milgi_config *client, struct milgi_config *server)
{
    MUST(milgi_config_set_early_exporter(client, true));
    MUST(milgi_config_set_early_exporter(server, true));
}

/* Runs it; both sides are to have the same, which the client had from the beginning, or none. */
static void early(struct milgi_config *client, struct milgi_config *server, bool wanted, bool both)
{
    struct loop *loop = loop_on(client, server);
    enum milgi__hash hash, ours, theirs;
    uint8_t first[MILGI__HASH_MAX];
    loop_run(&loop->client);
    const uint8_t *made = milgi__hs_early(loop->client.hs, &hash);
    assert_int_equal(made != NULL, wanted);
    if (wanted)
        memcpy(first, made, milgi__hash_len(hash));
    assert_null(milgi__hs_early(loop->server.hs, &theirs));
    loop_pump(loop);
    assert_open(loop);
    const uint8_t *a = milgi__hs_early(loop->client.hs, &ours), *b = milgi__hs_early(loop->server.hs, &theirs);
    assert_int_equal(a != NULL, both);
    assert_int_equal(b != NULL, both);
    if (both) {
        assert_int_equal(ours, hash);
        assert_int_equal(theirs, hash);
        assert_memory_equal(a, first, milgi__hash_len(hash));
        assert_memory_equal(b, first, milgi__hash_len(hash));
    }
    loop_free(loop);
}

static void both_sides_have_the_early_exporter_of_the_first_psk(void **state)
{
    (void)state;
    for (unsigned hash = MILGI_PSK_SHA256; hash <= MILGI_PSK_SHA384; hash++) {
        struct milgi_config *client = psk_client(hash), *server = psk_server(hash);
        want_early(client, server);
        early(client, server, true, true);
        client = psk_client(hash);
        server = psk_server(hash);
        want_early(client, server);
        MUST(milgi_config_set_psk_ke(client, MILGI_PSK_KE_ONLY));
        MUST(milgi_config_set_psk_ke(server, MILGI_PSK_KE_ONLY));
        early(client, server, true, true);
    }
    early(psk_client(MILGI_PSK_SHA256), psk_server(MILGI_PSK_SHA256), false, false); /* nobody wants it */
}

static void there_is_no_early_exporter_of_another_psk_or_behind_a_retry(void **state)
{
    (void)state;
    struct milgi_config *client = client_config(), *server = psk_server(MILGI_PSK_SHA256);
    add(client, psk_of(MILGI_CLIENT, "unknown", MILGI_PSK_SHA256));
    add(client, psk_of(MILGI_CLIENT, "us", MILGI_PSK_SHA256));
    want_early(client, server);
    early(client, server, true, false);
    client = psk_client(MILGI_PSK_SHA256);
    server = psk_server(MILGI_PSK_SHA256);
    want_early(client, server);
    MUST(milgi_config_set_groups(server, p384, 1));
    early(client, server, true, false);
    client = psk_client(MILGI_PSK_SHA256);
    server = server_config(IDENTITY_P256);
    want_early(client, server);
    early(client, server, true, false); /* no PSK at all, */
    client = psk_client(MILGI_PSK_SHA256);
    server = psk_server(MILGI_PSK_SHA256);
    want_early(client, server);
    MUST(milgi_config_set_versions(client, MILGI_TLS_1_2, MILGI_TLS_1_3));
    MUST(milgi_config_set_versions(server, MILGI_TLS_1_2, MILGI_TLS_1_2));
    early(client, server, true, false); /* or another version */
}

static void who_judges_peers_sees_the_identity(void **state)
{
    (void)state;
    for (unsigned role = 0; role < 2; role++) {
        struct milgi_config *client = psk_client(MILGI_PSK_SHA256), *server = psk_server(MILGI_PSK_SHA256);
        MUST(milgi_config_set_ask(role == MILGI_CLIENT ? client : server, MILGI_DECIDE_PEER));
        struct loop *loop = loop_on(client, server);
        struct loop_end *end = role == MILGI_CLIENT ? &loop->client : &loop->server;
        struct milgi_decision_info info;
        loop_pump(loop);
        assert_int_equal(end->asked, MILGI_DECIDE_PEER);
        MUST(milgi__hs_decision_info(end->hs, MILGI_DECIDE_PEER, &info));
        assert_int_equal(info.chain_n, 0);
        assert_int_equal(info.path_n, 0);
        assert_int_equal(info.psk_identity.len, 2);
        MUST(milgi__hs_decide(end->hs, MILGI_DECIDE_PEER, MILGI_REFUSE, NULL));
        loop_pump(loop);
        assert_int_equal(loop_alert(end), MILGI_ALERT_ACCESS_DENIED);
        loop_free(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_that_have_it_need_no_certificate),
        cmocka_unit_test(the_suite_goes_with_the_psk),
        cmocka_unit_test(a_retry_makes_the_binders_anew),
        cmocka_unit_test(the_first_that_fits_is_taken),
        cmocka_unit_test(a_session_on_one_is_for_those_that_have_it),
        cmocka_unit_test(a_session_on_one_stands_for_no_certificate_either),
        cmocka_unit_test(a_client_with_nothing_else_resumes_what_stands_on_a_psk),
        cmocka_unit_test(room_for_tickets_that_hold_a_long_identity_is_asked_for),
        cmocka_unit_test(where_psks_come_from_decisions_there_are_no_tickets_on_them),
        cmocka_unit_test(psk_ke_is_for_those_that_ask_for_it),
        cmocka_unit_test(who_has_not_the_secret_is_refused),
        cmocka_unit_test(a_server_with_nothing_else_does_not_tell_which_identities_it_knows),
        cmocka_unit_test(unknown_ones_mean_a_full_handshake),
        cmocka_unit_test(a_client_with_nothing_else_takes_no_certificate),
        cmocka_unit_test(it_stands_for_no_certificate_that_is_demanded),
        cmocka_unit_test(imported_ones_are_for_each_hash),
        cmocka_unit_test(a_reflected_hello_is_of_no_psk),
        cmocka_unit_test(an_imported_psk_is_not_taken_for_another),
        cmocka_unit_test(who_is_asked_knows_more),
        cmocka_unit_test(refusing_leaves_a_full_handshake_and_the_default_the_configs),
        cmocka_unit_test(both_sides_have_the_early_exporter_of_the_first_psk),
        cmocka_unit_test(there_is_no_early_exporter_of_another_psk_or_behind_a_retry),
        cmocka_unit_test(who_judges_peers_sees_the_identity),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
