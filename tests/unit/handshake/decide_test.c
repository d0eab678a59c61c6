/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the outside: asked only if wished, answered late, refused, answered wrongly. */
#include "loop.h"

static const char *const protocols[] = { "h2", "http/1.1" };

static struct loop *asking(unsigned client_asks, unsigned server_asks)
{
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
    MUST(milgi_config_add_credential(server, fixture.credential[IDENTITY_RSA]));
    MUST(milgi_config_add_credential(client, fixture.client_credential[0]));
    MUST(milgi_config_set_trust(server, fixture.trust));
    MUST(milgi_config_set_client_auth(server, MILGI_CLIENT_AUTH_OPTIONAL));
    MUST(milgi_config_set_alpn(client, protocols, 2));
    MUST(milgi_config_set_alpn(server, protocols, 2));
    MUST(milgi_config_set_ask(client, client_asks));
    MUST(milgi_config_set_ask(server, server_asks));
    return loop_of(client, server);
}

static void the_server_waits_for_its_credential_and_protocol(void **state)
{
    (void)state;
    struct loop *loop = asking(0, MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_ALPN);
    struct milgi__hs *hs = loop->server.hs;
    struct milgi_decision_info info;
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_ALPN, MILGI_DEFAULT, NULL), MILGI_ESTALE);
    loop_pump(loop);
    assert_int_equal(loop->server.asked, MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_ALPN);
    assert_int_equal(loop->server.wait, MILGI__HS_OPS);
    MUST(milgi__hs_decision_info(hs, MILGI_DECIDE_CREDENTIAL, &info));
    assert_string_equal(info.server_name, "a.test");
    assert_int_equal(info.alpn_n, 2);
    assert_int_equal(info.alpn[1].len, 8);
    assert_true(info.schemes_n > 3);
    assert_int_equal(milgi__hs_decision_info(hs, MILGI_DECIDE_PEER, &info), MILGI_ESTALE);
    assert_int_equal(milgi__hs_decide(hs, 1u << 30, MILGI_ACCEPT, NULL), MILGI_EINVAL);
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_ALPN, MILGI_ACCEPT, "spdy"), MILGI_EINVAL);
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_ALPN, MILGI_ACCEPT, NULL), MILGI_EINVAL);
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_CREDENTIAL, MILGI_ACCEPT, NULL), MILGI_EINVAL);
    MUST(milgi__hs_decide(hs, MILGI_DECIDE_ALPN, MILGI_ACCEPT, "http/1.1"));
    loop_run(&loop->server);
    assert_int_equal(loop->server.wait, MILGI__HS_OPS);
    MUST(milgi__hs_decide(hs, MILGI_DECIDE_CREDENTIAL, MILGI_ACCEPT, fixture.credential[IDENTITY_RSA]));
    assert_int_equal(
        milgi__hs_decide(hs, MILGI_DECIDE_CREDENTIAL, MILGI_ACCEPT, fixture.credential[IDENTITY_RSA]), MILGI_ESTALE);
    loop_pump(loop);
    assert_open(loop);
    assert_string_equal(milgi__hs_result(loop->client.hs)->alpn, "http/1.1");
    assert_ptr_equal(milgi__hs_result(hs)->credential, fixture.credential[IDENTITY_RSA]);
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_ALPN, MILGI_DEFAULT, NULL), MILGI_ESTALE);
    loop_free(loop);
}

static void a_credential_that_the_client_cannot_verify_does_not_fit(void **state)
{
    (void)state;
    static const uint16_t only[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256 };
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_signature_schemes(client, only, 1));
    MUST(milgi_config_set_ask(server, MILGI_DECIDE_CREDENTIAL));
    struct loop *loop = loop_of(client, server);
    loop_pump(loop);
    struct milgi__hs *hs = loop->server.hs;
    struct milgi_credential *other = fixture.credential[IDENTITY_ED25519];
    assert_int_equal(milgi__hs_decide(hs, MILGI_DECIDE_CREDENTIAL, MILGI_ACCEPT, other), MILGI_EINVAL);
    MUST(milgi__hs_decide(hs, MILGI_DECIDE_CREDENTIAL, MILGI_DEFAULT, NULL));
    loop_pump(loop);
    assert_open(loop);
    loop_free(loop);
}

static void defaults_are_as_if_it_had_not_been_asked(void **state)
{
    (void)state;
    struct loop *quiet = asking(0, 0), *loop = asking(MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_PEER, 7);
    loop_pump(quiet);
    assert_open(quiet);
    assert_int_equal(quiet->client.asked | quiet->server.asked, 0);
    for (unsigned i = 0; i < 8; i++) {
        loop_pump(loop);
        for (unsigned kind = 1; kind <= 4; kind <<= 1) {
            milgi__hs_decide(loop->client.hs, kind, MILGI_DEFAULT, NULL);
            milgi__hs_decide(loop->server.hs, kind, MILGI_DEFAULT, NULL);
        }
    }
    assert_open(loop);
    assert_int_equal(loop->server.asked, 7);
    assert_int_equal(loop->client.asked, MILGI_DECIDE_CREDENTIAL | MILGI_DECIDE_PEER);
    assert_string_equal(milgi__hs_result(loop->client.hs)->alpn, milgi__hs_result(quiet->client.hs)->alpn);
    assert_ptr_equal(milgi__hs_result(loop->client.hs)->credential, fixture.client_credential[0]);
    assert_true(milgi__hs_result(loop->server.hs)->peer_authenticated);
    loop_free(quiet);
    loop_free(loop);
}

static void a_refusal_fails_with_the_alert_of_its_question(void **state)
{
    (void)state;
    static const struct {
        unsigned kind;
        int alert;
    } cases[] = { { MILGI_DECIDE_CREDENTIAL, MILGI_ALERT_HANDSHAKE_FAILURE },
        { MILGI_DECIDE_ALPN, MILGI_ALERT_NO_APPLICATION_PROTOCOL }, { MILGI_DECIDE_PEER, MILGI_ALERT_ACCESS_DENIED } };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        for (unsigned side = 0; side < 2; side++) {
            if (side == 0 && cases[i].kind == MILGI_DECIDE_ALPN)
                continue; /* a client is not asked */
            struct loop *loop = side == 0 ? asking(cases[i].kind, 0) : asking(0, cases[i].kind);
            struct loop_end *end = side == 0 ? &loop->client : &loop->server;
            loop_pump(loop);
            assert_int_equal(end->wait, MILGI__HS_OPS);
            MUST(milgi__hs_decide(end->hs, cases[i].kind, MILGI_REFUSE, NULL));
            loop_pump(loop);
            assert_alert(end, cases[i].alert);
            assert_int_equal(milgi__hs_failure(end->hs)->error, MILGI_EREFUSED);
            loop_free(loop);
        }
    }
}

static void the_peer_is_asked_about_only_when_its_chain_was_accepted(void **state)
{
    (void)state;
    struct loop *loop = asking(MILGI_DECIDE_PEER, 0);
    struct loop_end *c = &loop->client;
    loop->queued = true;
    for (unsigned i = 0; i < 64; i++) {
        loop_pump(loop);
        while (loop->server.ops_n > 0)
            loop_finish(&loop->server, 0, MILGI_OP_OK);
        while (c->ops_n > 0 && c->ops[0].slot <= MILGI__CAPSULE)
            loop_finish(c, 0, MILGI_OP_OK);
    }
    assert_int_equal(c->ops_n, 2);
    assert_int_equal(c->asked, 0);
    assert_int_equal(c->ops[0].slot, MILGI__CHAIN);
    loop_finish(c, 1, MILGI_OP_OK);
    assert_int_equal(c->asked, 0);
    loop_finish(c, 0, MILGI_OP_OK);
    assert_int_equal(c->asked, MILGI_DECIDE_PEER);
    struct milgi_decision_info info;
    MUST(milgi__hs_decision_info(c->hs, MILGI_DECIDE_PEER, &info));
    assert_int_equal(info.chain_n, 1);
    assert_int_equal(info.chain[0].len, fixture.leaf[IDENTITY_P256]->cert_der_len);
    assert_memory_equal(info.chain[0].data, fixture.leaf[IDENTITY_P256]->cert_der, info.chain[0].len);
    assert_int_equal(c->sent_n, 1);
    loop_free(loop);
}

static void an_acceptance_does_not_overrule_a_rejected_chain(void **state)
{
    (void)state;
    struct identity *stranger = identity_root(IDENTITY_P256, "stranger");
    struct milgi_trust *trust = NULL;
    MUST(milgi_trust_new_pem(stranger->cert_pem, strlen(stranger->cert_pem), &trust));
    struct milgi_config *client = milgi_config_new(MILGI_CLIENT);
    MUST(milgi_config_set_trust(client, trust));
    MUST(milgi_config_set_ask(client, MILGI_DECIDE_PEER));
    struct loop *loop = loop_of(client, server_config(IDENTITY_P256));
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_UNKNOWN_CA);
    assert_int_equal(loop->client.asked, 0);
    assert_int_equal(milgi__hs_decide(loop->client.hs, MILGI_DECIDE_PEER, MILGI_ACCEPT, NULL), MILGI_ESTALE);
    loop_free(loop);
    milgi_trust_unref(trust);
    identity_free(stranger);
}

static void an_absent_client_certificate_is_decided_too(void **state)
{
    (void)state;
    for (unsigned accept = 0; accept < 2; accept++) {
        struct milgi_config *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_trust(server, fixture.trust));
        MUST(milgi_config_set_client_auth(server, MILGI_CLIENT_AUTH_OPTIONAL));
        MUST(milgi_config_set_ask(server, MILGI_DECIDE_PEER));
        struct loop *loop = loop_of(client_config(), server);
        struct milgi_decision_info info;
        loop_pump(loop);
        assert_int_equal(loop->server.wait, MILGI__HS_OPS);
        MUST(milgi__hs_decision_info(loop->server.hs, MILGI_DECIDE_PEER, &info));
        assert_int_equal(info.chain_n, 0);
        MUST(milgi__hs_decide(loop->server.hs, MILGI_DECIDE_PEER, accept != 0 ? MILGI_ACCEPT : MILGI_REFUSE, NULL));
        loop_pump(loop);
        if (accept != 0)
            assert_open(loop);
        else
            assert_alert(&loop->server, MILGI_ALERT_ACCESS_DENIED);
        loop_free(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_waits_for_its_credential_and_protocol),
        cmocka_unit_test(a_credential_that_the_client_cannot_verify_does_not_fit),
        cmocka_unit_test(defaults_are_as_if_it_had_not_been_asked),
        cmocka_unit_test(a_refusal_fails_with_the_alert_of_its_question),
        cmocka_unit_test(the_peer_is_asked_about_only_when_its_chain_was_accepted),
        cmocka_unit_test(an_acceptance_does_not_overrule_a_rejected_chain),
        cmocka_unit_test(an_absent_client_certificate_is_decided_too),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
