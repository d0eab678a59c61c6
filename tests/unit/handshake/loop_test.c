/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes that succeed, in all their kinds. */
#include "clients.h"

static const uint16_t suites[] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_256_GCM_SHA384,
    MILGI_SUITE_CHACHA20_POLY1305_SHA256 };
static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1,
    MILGI_GROUP_SECP521R1 };

static void every_suite_group_and_key_type_comes_to_a_connection(void **state)
{
    (void)state;
    for (unsigned key = 0; key < IDENTITY_KEYS; key++) {
        for (unsigned i = 0; i < 12; i++) {
            struct milgi_config *client = client_config(), *server = server_config(key);
            MUST(milgi_config_set_suites(client, &suites[i % 3], 1));
            MUST(milgi_config_set_groups(client, &groups[i / 3], 1));
            MUST(milgi_config_set_groups(server, groups, MILGI__COUNT(groups)));
            struct loop *loop = loop_of(client, server);
            loop_pump(loop);
            assert_open(loop);
            const struct milgi__hs_result *r = milgi__hs_result(loop->client.hs);
            assert_int_equal(r->suite, suites[i % 3]);
            assert_int_equal(r->group, groups[i / 3]);
            assert_true(r->peer_authenticated);
            assert_false(r->hello_retry);
            assert_false(milgi__hs_result(loop->server.hs)->peer_authenticated);
            assert_string_equal(milgi__hs_result(loop->server.hs)->server_name, "a.test");
            assert_int_equal(loop->client.compat_n, 1);
            assert_int_equal(loop->server.compat_n, 1);
            loop_free(loop);
        }
    }
}

static void every_client_key_type_is_accepted(void **state)
{
    (void)state;
    clients_with_certificates(MILGI_TLS_1_3);
}

static void a_client_without_a_certificate_is_admitted_only_if_that_is_optional(void **state)
{
    (void)state;
    clients_without_certificate(MILGI_TLS_1_3, MILGI_ALERT_CERTIFICATE_REQUIRED);
}

static void a_group_without_a_share_costs_a_retry(void **state)
{
    (void)state;
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_groups(server, &groups[2], 1));
    struct loop *loop = loop_of(client, server);
    loop_pump(loop);
    assert_open(loop);
    assert_true(milgi__hs_result(loop->client.hs)->hello_retry);
    assert_int_equal(milgi__hs_result(loop->client.hs)->group, groups[2]);
    assert_non_null(loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 1));
    assert_null(loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 2));
    assert_non_null(loop_sent(&loop->server, MILGI__MSG_SERVER_HELLO, 1));
    assert_int_equal(loop->client.compat_n, 1);
    assert_int_equal(loop->server.compat_n, 1);
    loop_free(loop);
}

static void several_shares_are_made_at_once_and_save_the_retry(void **state)
{
    (void)state;
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_key_shares(client, 3));
    MUST(milgi_config_set_groups(server, &groups[2], 1));
    struct loop *loop = loop_of(client, server);
    loop->queued = true;
    loop_run(&loop->client);
    assert_int_equal(loop->client.ops_n, 3);
    while (loop->client.ops_n > 0)
        loop_finish(&loop->client, loop->client.ops_n - 1, MILGI_OP_OK);
    loop->queued = false;
    loop_pump(loop);
    assert_open(loop);
    assert_false(milgi__hs_result(loop->client.hs)->hello_retry);
    assert_int_equal(milgi__hs_result(loop->client.hs)->group, groups[2]);
    loop_free(loop);
}

static void without_middlebox_mode_no_session_id_is_sent(void **state)
{
    (void)state;
    struct milgi_config *client = client_config();
    MUST(milgi_config_set_middlebox(client, false));
    struct loop *loop = loop_of(client, server_config(IDENTITY_P256));
    loop_pump(loop);
    assert_open(loop);
    assert_int_equal(loop->client.compat_n, 0);
    assert_int_equal(loop->server.compat_n, 0);
    assert_int_equal(loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 0)->data[4 + 2 + 32], 0);
    loop_free(loop);
}

static void messages_may_come_in_any_pieces(void **state)
{
    (void)state;
    for (unsigned fragment = 1; fragment < 40; fragment += 3) {
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        MUST(milgi_config_add_credential(client, fixture.client_credential[0]));
        MUST(milgi_config_set_trust(server, fixture.trust));
        struct loop *loop = loop_of(client, server);
        loop->fragment = fragment;
        loop_pump(loop);
        assert_open(loop);
        loop_free(loop);
    }
}

static void a_flight_may_come_in_one_piece(void **state)
{
    (void)state;
    struct loop *loop = loop_of(client_config(), server_config(IDENTITY_P256));
    loop_run(&loop->client);
    loop_run(&loop->server);
    assert_true(loop_deliver(loop, &loop->client));
    assert_true(loop_deliver(loop, &loop->server)); /* ServerHello */
    uint8_t flight[8192];
    size_t len = 0;
    for (unsigned i = 1; i < loop->server.sent_n; i++) {
        memcpy(flight + len, loop->server.sent[i].data, loop->server.sent[i].len);
        len += loop->server.sent[i].len;
    }
    loop->server.taken = loop->server.sent_n;
    loop_input(&loop->client, MILGI__LEVEL_HANDSHAKE, flight, len);
    loop_pump(loop);
    assert_open(loop);
    loop_free(loop);
}

/* It is in the transcript once, or the Finished messages would not be right. */
static void a_row_that_looks_at_the_hello_leaves_it_to_the_next(void **state)
{
    (void)state;
    for (unsigned fragment = 0; fragment < 40; fragment += 13) {
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        server->looks = true;
        struct loop *loop = loop_of(client, server);
        loop->fragment = fragment;
        assert_string_equal(milgi__hs_step(loop->server.hs), "look_hello");
        loop_pump(loop);
        assert_open(loop);
        assert_string_equal(milgi__hs_result(loop->server.hs)->server_name, "a.test");
        loop_free(loop);
    }
}

static void what_a_row_has_looked_at_is_refused_as_if_it_had_not(void **state)
{
    (void)state;
    uint8_t hello[] = { 1, 0, 0, 3, 3, 3, 0 };
    struct milgi_config *server = server_config(IDENTITY_P256);
    server->looks = true;
    struct loop *loop = loop_of(client_config(), server);
    loop_input(&loop->server, MILGI__LEVEL_INITIAL, hello, sizeof hello);
    loop_run(&loop->server);
    assert_alert(&loop->server, MILGI_ALERT_DECODE_ERROR);
    loop_free(loop);
}

static void the_protocol_that_the_server_likes_best_is_chosen(void **state)
{
    (void)state;
    const char *theirs[] = { "h2", "http/1.1" }, *ours[] = { "spdy", "http/1.1", "h2" };
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_alpn(client, theirs, 2));
    MUST(milgi_config_set_alpn(server, ours, 3));
    struct loop *loop = loop_of(client, server);
    loop_pump(loop);
    assert_open(loop);
    assert_string_equal(milgi__hs_result(loop->client.hs)->alpn, "http/1.1");
    loop_free(loop);
}

static void one_side_alone_with_protocols_gets_none(void **state)
{
    (void)state;
    const char *protocols[] = { "h2" };
    for (unsigned side = 0; side < 2; side++) {
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_alpn(side == 0 ? client : server, protocols, 1));
        struct loop *loop = loop_of(client, server);
        loop_pump(loop);
        assert_open(loop);
        assert_string_equal(milgi__hs_result(loop->client.hs)->alpn, "");
        loop_free(loop);
    }
}

static void addresses_are_verified_and_not_sent_as_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool fits;
    } cases[] = { { "192.0.2.1", true }, { "192.0.2.2", false }, { "2001:db8::1", true }, { "2001:db8::2", false },
        { "a.test.", true }, { "x.b.test", true }, { "b.test", false }, { "A.TEST", true } };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        freeze(client);
        freeze(server);
        struct loop *loop = loop_new(client, server, cases[i].name);
        loop_pump(loop);
        if (cases[i].fits)
            assert_open(loop);
        else
            assert_alert(&loop->client, MILGI_ALERT_BAD_CERTIFICATE);
        const char *sni = milgi__hs_result(loop->server.hs)->server_name;
        if (i < 4)
            assert_null(sni);
        else if (i == 4)
            assert_string_equal(sni, "a.test");
        loop_free(loop);
        milgi_config_unref(client);
        milgi_config_unref(server);
    }
}

static void the_credential_is_chosen_by_name_then_by_signature(void **state)
{
    (void)state;
    struct identity *other = identity_leaf(fixture.root, IDENTITY_ED25519, "DNS:other.test");
    struct milgi_credential *credential = NULL;
    MUST(milgi_credential_new_pem(
        other->chain_pem, strlen(other->chain_pem), other->key_pem, strlen(other->key_pem), &credential));
    static const uint16_t rsa[] = { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_ECDSA_SECP256R1_SHA256 };
    static const struct {
        const char *name;
        bool few_schemes;
        int chosen; /* -1: other */
    } cases[] = { { "a.test", false, IDENTITY_P256 }, { "other.test", false, -1 }, { "nobody.test", false, -1 },
        { "nobody.test", true, IDENTITY_P256 }, { "other.test", true, IDENTITY_P256 } };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct milgi_config *client = milgi_config_new(MILGI_CLIENT), *server = milgi_config_new(MILGI_SERVER);
        MUST(milgi_config_dangerously_accept_any_server(client));
        MUST(milgi_config_add_credential(server, credential));
        MUST(milgi_config_add_credential(server, fixture.credential[IDENTITY_P256]));
        MUST(milgi_config_add_credential(server, fixture.credential[IDENTITY_RSA]));
        if (cases[i].few_schemes)
            MUST(milgi_config_set_signature_schemes(client, rsa, 2));
        freeze(client);
        freeze(server);
        struct loop *loop = loop_new(client, server, cases[i].name);
        loop_pump(loop);
        assert_open(loop);
        const struct milgi_credential *expected =
            cases[i].chosen < 0 ? credential : fixture.credential[cases[i].chosen];
        assert_ptr_equal(milgi__hs_result(loop->server.hs)->credential, expected);
        assert_false(milgi__hs_result(loop->client.hs)->peer_authenticated);
        assert_int_equal(loop->client.slots_seen & MILGI__ON(MILGI__CHAIN), 0);
        loop_free(loop);
        milgi_config_unref(client);
        milgi_config_unref(server);
    }
    milgi_credential_unref(credential);
    identity_free(other);
}

/*= RFC8446 4.4.2.2: "All certificates provided by the server MUST be signed by a signature algorithm advertised by the
 *= client if it is able to provide such a chain (see Section 4.2.3)." */
static void a_credential_that_is_signed_as_the_client_wishes_goes_first(void **state)
{
    (void)state;
    static const uint16_t ed25519 = MILGI_SIG_ED25519;
    struct identity *root = identity_root(IDENTITY_ED25519, "another root");
    struct identity *leaf[] = { identity_leaf(fixture.root, IDENTITY_ED25519, "DNS:a.test"),
        identity_leaf(root, IDENTITY_ED25519, "DNS:a.test") };
    struct milgi_credential *credential[2];
    for (unsigned i = 0; i < 2; i++)
        MUST(milgi_credential_new_pem(leaf[i]->chain_pem, strlen(leaf[i]->chain_pem), leaf[i]->key_pem,
            strlen(leaf[i]->key_pem), &credential[i]));
    static const struct {
        unsigned n;
        bool wishes;
        unsigned chosen;
    } cases[] = { { 2, false, 0 }, { 2, true, 1 }, { 1, true, 0 } }; /* better one that it may not know than none */
    for (unsigned i = 0; i < 2 * MILGI__COUNT(cases); i++) {
        struct milgi_config *client = milgi_config_new(MILGI_CLIENT), *server = milgi_config_new(MILGI_SERVER);
        MUST(milgi_config_dangerously_accept_any_server(client));
        for (unsigned k = 0; k < cases[i / 2].n; k++)
            MUST(milgi_config_add_credential(server, credential[k]));
        if (cases[i / 2].wishes)
            MUST(milgi_config_set_signature_schemes(client, &ed25519, 1));
        freeze(client);
        freeze(server);
        struct loop *loop = loop_new(client, server, i % 2 ? "nobody.test" : "a.test");
        loop_pump(loop);
        assert_open(loop);
        assert_ptr_equal(milgi__hs_result(loop->server.hs)->credential, credential[cases[i / 2].chosen]);
        loop_free(loop);
        milgi_config_unref(client);
        milgi_config_unref(server);
    }
    for (unsigned i = 0; i < 2; i++) {
        milgi_credential_unref(credential[i]);
        identity_free(leaf[i]);
    }
    identity_free(root);
}

static void take_line(void *arg, struct milgi_conn *conn, const char *line)
{
    (void)conn;
    struct {
        unsigned n;
        char text[16][256];
    } *log = arg;
    snprintf(log->text[log->n++ % 16], 256, "%s", line);
}

static void the_key_log_has_five_lines_on_each_side(void **state)
{
    (void)state;
    static const char *const labels[] = { "CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_HANDSHAKE_TRAFFIC_SECRET ",
        "CLIENT_TRAFFIC_SECRET_0 ", "SERVER_TRAFFIC_SECRET_0 ", "EXPORTER_SECRET " };
    struct {
        unsigned n;
        char text[16][256];
    } log[2] = { { .n = 0 }, { .n = 0 } };
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_keylog(client, take_line, &log[0]));
    MUST(milgi_config_set_keylog(server, take_line, &log[1]));
    struct loop *loop = loop_of(client, server);
    loop_pump(loop);
    assert_open(loop);
    assert_int_equal(log[0].n, 5);
    assert_int_equal(log[1].n, 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_string_equal(log[0].text[i], log[1].text[i]);
        assert_memory_equal(log[0].text[i], labels[i], strlen(labels[i]));
    }
    loop_free(loop);
}

static void ccs_is_taken_from_the_first_hello_to_the_peers_finished(void **state)
{
    (void)state;
    struct loop *loop = loop_of(client_config(), server_config(IDENTITY_P256));
    assert_int_equal(milgi__hs_take_ccs(loop->server.hs), MILGI__CCS_REFUSED);
    assert_int_equal(milgi__hs_take_ccs(loop->client.hs), MILGI__CCS_REFUSED);
    loop_run(&loop->client);
    loop_run(&loop->server);
    assert_int_equal(milgi__hs_take_ccs(loop->client.hs), MILGI__CCS_DROPPED);
    assert_int_equal(milgi__hs_take_ccs(loop->server.hs), MILGI__CCS_REFUSED);
    loop_deliver(loop, &loop->client);
    assert_int_equal(milgi__hs_take_ccs(loop->server.hs), MILGI__CCS_DROPPED);
    loop_pump(loop);
    assert_open(loop);
    assert_int_equal(milgi__hs_take_ccs(loop->client.hs), MILGI__CCS_REFUSED);
    assert_int_equal(milgi__hs_take_ccs(loop->server.hs), MILGI__CCS_REFUSED);
    loop_free(loop);
}

static void a_server_is_half_open_only_if_its_config_says_so(void **state)
{
    (void)state;
    for (unsigned on = 0; on < 2; on++) {
        struct milgi_config *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_early_server_data(server, on == 1));
        struct loop *loop = loop_of(client_config(), server);
        loop_run(&loop->client);
        loop_run(&loop->server);
        assert_false(milgi__hs_half_open(loop->server.hs));
        loop_deliver(loop, &loop->client);
        assert_int_equal(milgi__hs_half_open(loop->server.hs), on == 1);
        assert_int_equal(loop->server.level[MILGI__WRITE], MILGI__LEVEL_APP);
        assert_int_equal(loop->server.level[MILGI__READ], MILGI__LEVEL_HANDSHAKE);
        loop_free(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_suite_group_and_key_type_comes_to_a_connection),
        cmocka_unit_test(every_client_key_type_is_accepted),
        cmocka_unit_test(a_client_without_a_certificate_is_admitted_only_if_that_is_optional),
        cmocka_unit_test(a_group_without_a_share_costs_a_retry),
        cmocka_unit_test(several_shares_are_made_at_once_and_save_the_retry),
        cmocka_unit_test(without_middlebox_mode_no_session_id_is_sent),
        cmocka_unit_test(messages_may_come_in_any_pieces),
        cmocka_unit_test(a_flight_may_come_in_one_piece),
        cmocka_unit_test(a_row_that_looks_at_the_hello_leaves_it_to_the_next),
        cmocka_unit_test(what_a_row_has_looked_at_is_refused_as_if_it_had_not),
        cmocka_unit_test(the_protocol_that_the_server_likes_best_is_chosen),
        cmocka_unit_test(one_side_alone_with_protocols_gets_none),
        cmocka_unit_test(addresses_are_verified_and_not_sent_as_names),
        cmocka_unit_test(the_credential_is_chosen_by_name_then_by_signature),
        cmocka_unit_test(a_credential_that_is_signed_as_the_client_wishes_goes_first),
        cmocka_unit_test(the_key_log_has_five_lines_on_each_side),
        cmocka_unit_test(ccs_is_taken_from_the_first_hello_to_the_peers_finished),
        cmocka_unit_test(a_server_is_half_open_only_if_its_config_says_so),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
