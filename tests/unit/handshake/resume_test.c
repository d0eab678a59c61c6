/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes that stand on a session, and those that must not. */
#include "loop.h"

#include <time.h>

#include "session/session.h"

#define LIFETIME 7200

static struct milgi_ticket_keys *keys;
static const uint16_t p384[] = { MILGI_GROUP_SECP384R1 };

static int setup(void **state)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    MUST(milgi_ticket_keys_new(secret, LIFETIME, (int64_t)time(NULL) - 10 * LIFETIME, &keys));
    return fixture_setup(state);
}

static int teardown(void **state)
{
    milgi_ticket_keys_unref(keys);
    return fixture_teardown(state);
}

static struct milgi_config *ticket_config(void)
{
    struct milgi_config *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_ticket_keys(server, keys));
    return server;
}

/* --- what most of them do --------------------------------------------------------------------------------------- */

/* The session of the i-th ticket that the server has sent; NULL: there is none. */
static struct milgi_session *session_in(struct loop *loop, unsigned i)
{
    const struct loop_message *m = loop_sent(&loop->server, MILGI__MSG_NEW_SESSION_TICKET, i);
    struct milgi_session *base = milgi__hs_session(loop->client.hs), *session = NULL;
    if (m && base)
        session = milgi__session_of_ticket(loop->cx, base,
            (struct milgi__bytes){ m->data + MILGI__MSG_HEADER, m->len - MILGI__MSG_HEADER },
            (int64_t)time(NULL) + loop->later_s);
    milgi_session_unref(base);
    return session;
}

static unsigned tickets_of(struct loop *loop)
{
    unsigned n = 0;
    while (loop_sent(&loop->server, MILGI__MSG_NEW_SESSION_TICKET, n))
        n++;
    return n;
}

/* A session of a full handshake of these configs, which are given up. */
static struct milgi_session *session_of(struct milgi_config *client, struct milgi_config *server)
{
    struct loop *loop = loop_of(client, server);
    milgi__hs_resume(loop->client.hs, NULL, true);
    loop_pump(loop);
    assert_open(loop);
    assert_false(milgi__hs_result(loop->client.hs)->resumed);
    struct milgi_session *session = session_in(loop, 0);
    assert_non_null(session);
    loop_free(loop);
    return session;
}

static struct milgi_session *usual_session(void)
{
    return session_of(client_config(), ticket_config());
}

/* A loop whose client is given |session|, which is given up. */
static struct loop *loop_with(struct milgi_session *session, struct milgi_config *client, struct milgi_config *server)
{
    struct loop *loop = loop_of(client, server);
    milgi__hs_resume(loop->client.hs, session, true);
    milgi_session_unref(session);
    return loop;
}

/* Open, and on a session or not: both ends say the same, and so does the wire. */
static void assert_resumed(struct loop *loop, bool resumed)
{
    assert_open(loop);
    assert_int_equal(milgi__hs_result(loop->client.hs)->resumed, resumed);
    assert_int_equal(milgi__hs_result(loop->server.hs)->resumed, resumed);
    assert_int_equal(!loop_sent(&loop->server, MILGI__MSG_CERTIFICATE, 0), resumed);
    assert_int_equal(!loop_sent(&loop->server, MILGI__MSG_CERTIFICATE_VERIFY, 0), resumed);
}

static void run(struct milgi_session *session, struct milgi_config *client, struct milgi_config *server, bool resumed)
{
    struct loop *loop = loop_with(session, client, server);
    loop_pump(loop);
    assert_resumed(loop, resumed);
    loop_free(loop);
}

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
        run(s[i], client_config(), ticket_config(), true);
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
            assert_null(loop->client.hs->offer);
        } else {
            milgi__hs_resume(loop->client.hs, NULL, true);
            loop->client.hs->offer = milgi_session_ref(session); /* as one that does not care might */
        }
        milgi_session_unref(session);
        loop_pump(loop);
        assert_resumed(loop, false);
        loop_free(loop);
    }
    milgi_config_unref(client);
    milgi_config_unref(server);
}

/* The client offers it in any case: what the server makes of it. */
static void offer(struct milgi_config *client, struct milgi_config *server, struct milgi_session *session,
    int64_t later_s, bool resumed)
{
    struct loop *loop = loop_of(client, server);
    loop->later_s = later_s;
    milgi__hs_resume(loop->client.hs, NULL, true);
    loop->client.hs->offer = session;
    loop_pump(loop);
    assert_resumed(loop, resumed);
    loop_free(loop);
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
            loop->client.hs->offer = session;
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
    run(milgi_session_ref(session), client_config(), ticket_config(), false);
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

static void what_is_too_old_means_a_full_handshake(void **state)
{
    (void)state;
    run(usual_session(), client_config(), ticket_config(), true);
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
    run(usual_session(), client_config(), server, false);
    struct milgi_config *client = client_config(); /* has no suite of its hash: it is not offered */
    MUST(milgi_config_set_suites(client, &suite, 1));
    struct loop *loop = loop_with(usual_session(), client, ticket_config());
    assert_null(loop->client.hs->offer);
    loop_pump(loop);
    assert_resumed(loop, false);
    loop_free(loop);
    server = ticket_config(); /* a retry says so: it is not offered again */
    MUST(milgi_config_set_suites(server, &suite, 1));
    MUST(milgi_config_set_groups(server, p384, 1));
    run(usual_session(), client_config(), server, false);
}

static void other_keys_mean_a_full_handshake(void **state)
{
    (void)state;
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 2 };
    struct milgi_ticket_keys *others;
    MUST(milgi_ticket_keys_new(secret, LIFETIME, (int64_t)time(NULL), &others));
    struct milgi_config *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_ticket_keys(server, others));
    run(usual_session(), client_config(), server, false);
    run(usual_session(), client_config(), server_config(IDENTITY_P256), false);
    milgi_ticket_keys_unref(others);
}

/* The ticket with one byte changed, cut short or longer. */
static struct milgi_session *edited(const struct milgi_session *from, size_t at, int change)
{
    struct milgi__session_parts parts = milgi__session_parts(from);
    uint8_t *ticket = malloc(parts.ticket.len + 1);
    memcpy(ticket, parts.ticket.data, parts.ticket.len);
    ticket[parts.ticket.len] = 0;
    if (at < parts.ticket.len)
        ticket[at] ^= 0x10;
    parts.ticket = (struct milgi_iov){ ticket, (size_t)((int)parts.ticket.len + change) };
    struct milgi_session *session = milgi__session_new(&from->f, &parts);
    assert_non_null(session);
    free(ticket);
    return session;
}

static void forged_and_truncated_tickets_mean_a_full_handshake(void **state)
{
    (void)state;
    struct milgi_session *session = usual_session();
    size_t len = session->ticket_len;
    struct milgi_config *client = client_config(), *server = ticket_config();
    freeze(client);
    freeze(server);
    for (size_t i = 0; i < len + 20; i += i < 60 || i + 30 > len ? 1 : 7) {
        struct loop *loop = loop_new(client, server, "a.test");
        milgi__hs_resume(loop->client.hs, NULL, true);
        loop->client.hs->offer = i < len ? edited(session, i, 0) : edited(session, len, i == len ? 1 : (int)(len - i));
        loop_pump(loop);
        assert_resumed(loop, false);
        loop_free(loop);
    }
    milgi_session_unref(session);
    milgi_config_unref(client);
    milgi_config_unref(server);
}

/* --- binders ---------------------------------------------------------------------------------------------------- */

/* A ticket with the secret of another one. */
static void a_wrong_binder_ends_the_handshake(void **state)
{
    (void)state;
    for (unsigned retry = 0; retry < 2; retry++) {
        struct milgi_session *session = usual_session();
        struct milgi__session_parts parts = milgi__session_parts(session);
        struct milgi__session_fields f = session->f;
        f.secret[0] ^= 1;
        struct milgi_config *server = ticket_config();
        if (retry)
            MUST(milgi_config_set_groups(server, p384, 1));
        struct loop *loop = loop_of(client_config(), server);
        milgi__hs_resume(loop->client.hs, NULL, true);
        loop->client.hs->offer = milgi__session_new(&f, &parts);
        milgi_session_unref(session);
        loop_pump(loop);
        assert_alert(&loop->server, MILGI_ALERT_DECRYPT_ERROR);
        loop_free(loop);
    }
}

/* A byte of the ClientHello before the binders; the last byte of the binder itself; the age. */
static bool change_hello(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    size_t *back = loop->tamper_arg;
    if (from == &loop->client && m->data[0] == MILGI__MSG_CLIENT_HELLO)
        m->data[*back < m->len ? m->len - *back : 6] ^= 1;
    return true;
}

static void binders_cover_the_hello_and_themselves(void **state)
{
    (void)state;
    /* the binder's last and first byte; the age's last; the random, which is before all */
    static const size_t backs[] = { 1, 32, 32 + 3 + 1, SIZE_MAX };
    for (unsigned i = 0; i < 4; i++) {
        size_t back = backs[i];
        struct loop *loop = loop_with(usual_session(), client_config(), ticket_config());
        loop->tamper = change_hello;
        loop->tamper_arg = &back;
        loop_pump(loop);
        assert_alert(&loop->server, MILGI_ALERT_DECRYPT_ERROR);
        loop_free(loop);
    }
}

/* --- several identities ----------------------------------------------------------------------------------------- */

struct identity_of {
    const struct milgi_session *session; /* NULL: nobody's */
    bool wrong;                          /* its binder is that of another */
};

/* The usual ClientHello with these identities in the place of its own, and their binders. */
static size_t hello_with(struct loop *loop, const struct identity_of *identities, unsigned n, uint8_t *out, size_t cap)
{
    const struct loop_message *m = loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 0);
    size_t at = MILGI__MSG_HEADER + 2 + 32, block;
    at += 1 + m->data[at];
    at += 2 + milgi__get16(m->data + at);
    block = at + 1 + m->data[at];
    struct milgi__writer w = milgi__writer(out, cap);
    milgi__write_bytes(&w, m->data, m->len); /* without pre_shared_key */
    milgi__write16(&w, 41);
    size_t body = milgi__write_begin(&w, 2), list = milgi__write_begin(&w, 2);
    for (unsigned i = 0; i < n; i++) {
        struct milgi_iov ticket = { "nobody's ticket", 15 };
        if (identities[i].session)
            ticket = milgi__session_parts(identities[i].session).ticket;
        size_t one = milgi__write_begin(&w, 2);
        milgi__write_bytes(&w, ticket.data, ticket.len);
        milgi__write_end(&w, one, 2);
        milgi__write32(&w, i);
    }
    milgi__write_end(&w, list, 2);
    size_t truncated = milgi__written(&w);
    list = milgi__write_begin(&w, 2);
    for (unsigned i = 0; i < n; i++) {
        static const uint8_t zeros[32];
        milgi__write8(&w, 32);
        milgi__write_bytes(&w, zeros, 32);
    }
    milgi__write_end(&w, list, 2);
    milgi__write_end(&w, body, 2);
    assert_false(w.bad);
    size_t len = milgi__written(&w);
    milgi__put16(out + 2, (unsigned)(len - MILGI__MSG_HEADER));
    milgi__put16(out + block, (unsigned)(len - block - 2));
    for (unsigned i = 0; i < n; i++) {
        uint8_t hash[MILGI__HASH_MAX];
        const struct milgi_session *s = identities[i].session;
        MUST(milgi__hash(loop->cx, MILGI__SHA256, out, truncated, hash));
        hash[0] ^= identities[i].wrong;
        if (s)
            MUST(milgi__binder(loop->cx, MILGI__SHA256, MILGI__BINDER_RESUMPTION, s->f.secret, s->f.secret_len, hash,
                out + truncated + 2 + 33 * (size_t)i + 1));
    }
    return len;
}

/* The server after such a hello. */
static struct loop *after_hello(const struct identity_of *identities, unsigned n)
{
    static uint8_t hello[60000];
    struct milgi_config *server = ticket_config();
    MUST(milgi_config_set_limit(server, MILGI_LIMIT_HANDSHAKE_MESSAGE, 65536));
    struct loop *loop = loop_of(client_config(), server);
    milgi__hs_resume(loop->client.hs, NULL, true);
    loop_run(&loop->client);
    size_t len = hello_with(loop, identities, n, hello, sizeof hello);
    loop->client.taken = loop->client.sent_n;
    loop_run(&loop->server);
    loop_input(&loop->server, MILGI__LEVEL_INITIAL, hello, len);
    return loop;
}

static void four_identities_are_judged_in_order_and_no_more(void **state)
{
    (void)state;
    struct milgi_session *session = usual_session();
    for (unsigned at = 0; at < 7; at++) {
        struct identity_of identities[7] = { { NULL, false } };
        identities[at].session = session;
        struct loop *loop = after_hello(identities, 7);
        assert_int_equal(loop->server.wait, MILGI__HS_INPUT);
        assert_int_equal(milgi__hs_result(loop->server.hs)->resumed, at < 4);
        const struct loop_message *hello = loop_sent(&loop->server, MILGI__MSG_SERVER_HELLO, 0);
        if (at < 4)
            assert_int_equal(hello->data[hello->len - 1], at);
        loop_free(loop);
    }
    milgi_session_unref(session);
}

static void many_identities_cost_no_more_than_four(void **state)
{
    (void)state;
    struct milgi_session *session = usual_session();
    struct milgi__session_parts parts = milgi__session_parts(session);
    struct milgi__session_fields f = session->f;
    uint8_t *spoilt = malloc(parts.ticket.len);
    memcpy(spoilt, parts.ticket.data, parts.ticket.len);
    spoilt[parts.ticket.len - 1] ^= 1;
    parts.ticket.data = spoilt;
    struct milgi_session *bad = milgi__session_new(&f, &parts); /* by its name it is ours */
    static struct identity_of identities[120];
    for (unsigned i = 0; i < 120; i++)
        identities[i].session = bad;
    struct loop *loop = after_hello(identities, 120);
    assert_int_equal(loop->server.wait, MILGI__HS_INPUT);
    assert_false(milgi__hs_result(loop->server.hs)->resumed);
    uint32_t opened = loop->server.slots_seen >> MILGI__TICKET_1;
    assert_int_equal(opened & 0xf, 0xf);
    assert_int_equal(loop->server.ops_started, 4 + 3); /* key exchange and signature */
    loop_free(loop);
    free(spoilt);
    milgi_session_unref(bad);
    milgi_session_unref(session);
}

/* Of two that are good the first is taken, and the second one's binder is not looked at; nor is it a second chance. */
static void one_binder_is_verified(void **state)
{
    (void)state;
    struct milgi_session *a = usual_session(), *b = usual_session();
    for (unsigned wrong = 0; wrong < 2; wrong++) {
        struct identity_of identities[2] = { { a, wrong == 0 }, { b, wrong == 1 } };
        struct loop *loop = after_hello(identities, 2);
        if (wrong == 0)
            assert_alert(&loop->server, MILGI_ALERT_DECRYPT_ERROR);
        else
            assert_true(milgi__hs_result(loop->server.hs)->resumed);
        loop_free(loop);
    }
    milgi_session_unref(a);
    milgi_session_unref(b);
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

/* --- orders and failures ---------------------------------------------------------------------------------------- */

/*
 * Runs with queued ops: at each point the one that |pick| says is finished; the |victim|-th that is started ends with
 * |status|.
 */
static struct loop *play(struct milgi_session *session, uint64_t pick, unsigned victim, enum milgi_op_status status)
{
    struct milgi_config *server = ticket_config();
    MUST(milgi_config_set_tickets(server, 4));
    struct loop *loop = loop_with(session, client_config(), server);
    unsigned finished = 0;
    loop->queued = true;
    for (;;) {
        loop_pump(loop);
        unsigned n = loop->client.ops_n + loop->server.ops_n;
        if (n == 0)
            return loop;
        unsigned i = (unsigned)(pick % n);
        pick /= n;
        struct loop_end *end = i < loop->client.ops_n ? &loop->client : &loop->server;
        bool hit = finished++ == victim;
        loop_finish(end, end == &loop->client ? i : i - loop->client.ops_n, hit ? status : MILGI_OP_OK);
    }
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
        cmocka_unit_test(a_retry_makes_the_binders_anew),
        cmocka_unit_test(sessions_are_renewed_and_keep_the_time_of_their_authentication),
        cmocka_unit_test(a_clients_certificate_is_remembered),
        cmocka_unit_test(tickets_are_as_many_as_were_asked_for),
        cmocka_unit_test(every_ticket_has_a_secret_and_an_age_of_its_own),
        cmocka_unit_test(nobody_who_cannot_use_tickets_gets_any),
        cmocka_unit_test(another_name_means_a_full_handshake),
        cmocka_unit_test(another_policy_of_the_server_means_a_full_handshake),
        cmocka_unit_test(a_client_that_trusts_others_does_not_offer_it),
        cmocka_unit_test(what_is_too_old_means_a_full_handshake),
        cmocka_unit_test(another_hash_means_a_full_handshake),
        cmocka_unit_test(other_keys_mean_a_full_handshake),
        cmocka_unit_test(forged_and_truncated_tickets_mean_a_full_handshake),
        cmocka_unit_test(a_wrong_binder_ends_the_handshake),
        cmocka_unit_test(binders_cover_the_hello_and_themselves),
        cmocka_unit_test(four_identities_are_judged_in_order_and_no_more),
        cmocka_unit_test(many_identities_cost_no_more_than_four),
        cmocka_unit_test(one_binder_is_verified),
        cmocka_unit_test(a_psk_that_was_not_offered_cannot_be_chosen),
        cmocka_unit_test(every_order_comes_to_the_same),
        cmocka_unit_test(a_ticket_that_cannot_be_opened_or_sealed_costs_no_connection),
        cmocka_unit_test(without_memory_or_keys_for_an_op_a_ticket_is_missing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
