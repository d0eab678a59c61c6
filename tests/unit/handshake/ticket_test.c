/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets and binders that are not what they should be, and too many of them. */
#include "resume.h"

#include <time.h>

#include "crypto/aead.h"

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
        offer_any(loop, i < len ? edited(session, i, 0) : edited(session, len, i == len ? 1 : (int)(len - i)));
        loop_pump(loop);
        assert_resumed(loop, false);
        loop_free(loop);
    }
    milgi_session_unref(session);
    milgi_config_unref(client);
    milgi_config_unref(server);
}

/* --- tickets that are right, with what must not be in them ------------------------------------------------------ */

/* As the server would seal it; the client has the same secret. */
static struct milgi_session *with_ticket_of(
    const struct milgi__session_fields *inside, const struct milgi_session *outside)
{
    static uint8_t ticket[MILGI__TICKET_FRONT + MILGI__SESSION_BYTES_MAX];
    struct milgi__crypto *cx = milgi__crypto_new();
    struct milgi__session_parts parts = milgi__session_parts(outside);
    struct milgi__ticket_key key;
    parts.ticket = (struct milgi_iov){ NULL, 0 };
    parts.peer = (struct milgi_iov){ NULL, 0 };
    struct milgi_session *s = milgi__session_new(inside, &parts);
    assert_non_null(s);
    memset(ticket, 9, MILGI__TICKET_FRONT);
    MUST(milgi__ticket_key_seal(resume_keys, cx, (int64_t)time(NULL), ticket + MILGI__TICKET_NAME_LEN, &key));
    memcpy(ticket, key.name, sizeof key.name);
    uint8_t *middle = ticket + MILGI__TICKET_FRONT;
    size_t len = milgi_session_encode(s, middle, MILGI__SESSION_BYTES_MAX);
    struct milgi__aead_key aead = { milgi__key_serial(), MILGI__TICKET_SUITE, sizeof key.key, key.key };
    struct milgi__piece piece = { middle, len };
    MUST(milgi__aead_seal(cx, &aead, key.nonce, key.name, sizeof key.name, &piece, 1, 0, 0, middle));
    milgi_session_unref(s);
    milgi__crypto_free(cx);
    struct milgi__session_fields f = outside->f;
    parts = milgi__session_parts(outside);
    parts.ticket = (struct milgi_iov){ ticket, MILGI__TICKET_FRONT + len + MILGI__TICKET_TAG_LEN };
    s = milgi__session_new(&f, &parts);
    assert_non_null(s);
    return s;
}

static void each_thing_that_a_session_says_counts_by_itself(void **state)
{
    (void)state;
    struct milgi_session *usual = usual_session();
    for (unsigned i = 0; i < 8; i++) {
        struct milgi__session_fields f = usual->f;
        f.peer = MILGI__SESSION_NO_PEER;
        f.authenticated = false;
        /* What the config says that the client was given it by, which the server would have bound it to. */
        struct milgi_config *server = ticket_config();
        freeze(server);
        memcpy(f.policy, server->policy, sizeof f.policy);
        milgi_config_unref(server);
        if (i == 1) {
            f.version = 0x0303; /* as TLS 1.2 would leave it behind */
            f.suite = 0xc02b;
            f.secret_len = 48;
            f.extended_master_secret = true;
        }
        if (i == 2)
            f.policy[15] ^= 1;
        if (i == 3)
            f.valid_until_s = f.created_s - 1;
        if (i == 4)
            f.lifetime_s = 0;
        if (i == 5)
            f.authenticated_s = f.created_s - 604801;
        if (i == 6)
            f.suite = MILGI_SUITE_CHACHA20_POLY1305_SHA256; /* the hash is what counts */
        if (i == 7)
            f.valid_from_s = f.created_s + 1000;
        offer(client_config(), ticket_config(), with_ticket_of(&f, usual), 0, i == 0 || i == 6);
    }
    milgi_session_unref(usual);
}

/*= RFC7627 5.3: "If the original session did not use the "extended_master_secret" extension but the new ClientHello
 *= contains the extension, then the server MUST NOT perform the abbreviated handshake." */
static void in_tls12_too(void **state)
{
    (void)state;
    struct milgi_session *tls13 = usual_session();
    for (unsigned i = 0; i < 8; i++) {
        struct milgi_config *client = client_config(), *server = ticket_config();
        MUST(milgi_config_set_versions(client, MILGI_TLS_1_2, MILGI_TLS_1_2));
        MUST(milgi_config_set_versions(server, MILGI_TLS_1_2, MILGI_TLS_1_3));
        milgi_config_ref(server);
        struct milgi__session_fields f = tls13->f, g;
        freeze(server);
        freeze(client);
        f.version = 0x0303;
        f.suite = MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256;
        f.secret_len = 48;
        f.extended_master_secret = true;
        f.peer = MILGI__SESSION_NO_PEER;
        f.authenticated = false;
        memcpy(f.policy, server->policy12, sizeof f.policy);
        g = f;
        if (i == 1)
            f.extended_master_secret = false;
        if (i == 2)
            f.policy[0] ^= 1;
        if (i == 3)
            f.valid_until_s = f.created_s - 1;
        if (i == 4)
            f.suite = MILGI_SUITE_AES_128_GCM_SHA256;
        if (i == 5)
            f.authenticated_s = f.created_s - 604801;
        if (i == 6)
            f.suite = 0xc02f; /* the client offers it, too: what counts is that it is the same */
        if (i == 7)
            f.suite = 0x1234;
        struct milgi__session_parts parts = milgi__session_parts(tls13);
        struct milgi_session *outside = milgi__session_new(&g, &parts);
        struct loop *loop = loop_new(client, server, "a.test");
        milgi__hs_resume(loop->client.hs, NULL, true);
        struct milgi_session *offered = with_ticket_of(&f, outside);
        offered->f = i == 6 ? f : g;
        offer_any(loop, offered);
        milgi_session_unref(outside);
        loop_pump(loop);
        assert_resumed(loop, i == 0 || i == 6);
        loop_free(loop);
        milgi_config_unref(client);
        milgi_config_unref(server);
        milgi_config_unref(server);
    }
    milgi_session_unref(tls13);
}

/* Where one is demanded a session without a client certificate is none, even if its policy is the same. */
static void no_session_stands_for_a_certificate_that_is_demanded(void **state)
{
    (void)state;
    struct milgi_session *usual = usual_session();
    for (unsigned authenticated = 0; authenticated < 2; authenticated++) {
        struct milgi_config *client = client_config(), *server = ticket_config();
        MUST(milgi_config_add_credential(client, fixture.client_credential[0]));
        MUST(milgi_config_set_trust(server, fixture.trust));
        freeze(client);
        freeze(server);
        struct milgi__session_fields f = usual->f;
        f.peer = MILGI__SESSION_NO_PEER;
        f.authenticated = authenticated;
        memcpy(f.policy, server->policy, sizeof f.policy);
        struct loop *loop = loop_new(client, server, "a.test");
        milgi__hs_resume(loop->client.hs, NULL, true);
        offer_any(loop, with_ticket_of(&f, usual));
        loop_pump(loop);
        assert_resumed(loop, authenticated);
        loop_free(loop);
        milgi_config_unref(client);
        milgi_config_unref(server);
    }
    milgi_session_unref(usual);
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
        offer_any(loop, milgi__session_new(&f, &parts));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forged_and_truncated_tickets_mean_a_full_handshake),
        cmocka_unit_test(each_thing_that_a_session_says_counts_by_itself),
        cmocka_unit_test(in_tls12_too),
        cmocka_unit_test(no_session_stands_for_a_certificate_that_is_demanded),
        cmocka_unit_test(a_wrong_binder_ends_the_handshake),
        cmocka_unit_test(binders_cover_the_hello_and_themselves),
        cmocka_unit_test(four_identities_are_judged_in_order_and_no_more),
        cmocka_unit_test(many_identities_cost_no_more_than_four),
        cmocka_unit_test(one_binder_is_verified),
    };
    return cmocka_run_group_tests(tests, resume_setup, resume_teardown);
}
