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

/* --- the path that was accepted ----------------------------------------------------------------------------------- */

/* A root, an authority below it, a leaf; the chain of the credential has a stranger between these two. */
struct family {
    struct identity *root, *middle, *leaf, *stranger;
    struct milgi_credential *credential;
    struct milgi_trust *trust; /* the stranger, then the root */
};

static char *joined(const char *a, const char *b, const char *c)
{
    size_t len = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = malloc(len);
    snprintf(text, len, "%s%s%s", a, b, c);
    return text;
}

static struct family family_new(void)
{
    struct family f = { .root = identity_root(IDENTITY_P256, "root"),
        .stranger = identity_root(IDENTITY_P256, "stranger") };
    f.middle = identity_new(&(struct identity_options){ .common_name = "middle", .is_ca = true, .issuer = f.root });
    f.leaf = identity_leaf(f.middle, IDENTITY_P256, "DNS:a.test");
    char *chain = joined(f.leaf->cert_pem, f.stranger->cert_pem, f.middle->cert_pem);
    char *anchors = joined(f.stranger->cert_pem, f.root->cert_pem, "");
    MUST(milgi_credential_new_pem(chain, strlen(chain), f.leaf->key_pem, strlen(f.leaf->key_pem), &f.credential));
    MUST(milgi_trust_new_pem(anchors, strlen(anchors), &f.trust));
    free(chain);
    free(anchors);
    return f;
}

static void family_free(struct family *f)
{
    milgi_credential_unref(f->credential);
    milgi_trust_unref(f->trust);
    identity_free(f->leaf);
    identity_free(f->middle);
    identity_free(f->root);
    identity_free(f->stranger);
}

/* A client that asks about the server of the family, or the other way round. */
static struct loop *family_loop(const struct family *f, bool server_asks, bool verified)
{
    struct milgi_config *client = milgi_config_new(MILGI_CLIENT), *server = milgi_config_new(MILGI_SERVER);
    struct milgi_config *asks = server_asks ? server : client;
    if (verified)
        MUST(milgi_config_set_trust(client, f->trust));
    else
        MUST(milgi_config_dangerously_accept_any_server(client));
    MUST(milgi_config_set_trust(server, f->trust));
    MUST(milgi_config_set_client_auth(server, server_asks ? MILGI_CLIENT_AUTH_REQUIRED : MILGI_CLIENT_AUTH_NONE));
    MUST(milgi_config_add_credential(server, f->credential));
    MUST(milgi_config_add_credential(client, f->credential));
    MUST(milgi_config_set_ask(asks, MILGI_DECIDE_PEER));
    return loop_of(client, server);
}

static void assert_is(const struct milgi_iov *piece, const struct identity *identity)
{
    assert_int_equal(piece->len, identity->cert_der_len);
    assert_memory_equal(piece->data, identity->cert_der, piece->len);
}

static void the_path_that_was_accepted_is_shown_until_the_answer(void **state)
{
    (void)state;
    struct family f = family_new();
    for (unsigned server_asks = 0; server_asks < 2; server_asks++) {
        struct loop *loop = family_loop(&f, server_asks, true);
        struct loop_end *end = server_asks ? &loop->server : &loop->client;
        struct milgi_decision_info info;
        loop_pump(loop);
        assert_int_equal(end->asked, MILGI_DECIDE_PEER);
        for (unsigned i = 0; i < 3; i++) { /* however late it is asked for */
            MUST(milgi__hs_decision_info(end->hs, MILGI_DECIDE_PEER, &info));
            assert_int_equal(info.chain_n, 3);
            assert_is(&info.chain[1], f.stranger);
            assert_int_equal(info.path_n, 3);
            assert_is(&info.path[0], f.leaf);
            assert_is(&info.path[1], f.middle);
            assert_is(&info.path[2], f.root);
            loop_pump(loop);
        }
        MUST(milgi__hs_decide(end->hs, MILGI_DECIDE_PEER, MILGI_ACCEPT, NULL));
        loop_pump(loop);
        assert_open(loop);
        assert_int_equal(milgi__hs_decision_info(end->hs, MILGI_DECIDE_PEER, &info), MILGI_ESTALE);
        loop_free(loop);
    }
    family_free(&f);
}

static void a_leaf_that_is_trusted_itself_is_a_path(void **state)
{
    (void)state;
    struct family f = family_new();
    milgi_trust_unref(f.trust);
    MUST(milgi_trust_new_pem(f.leaf->cert_pem, strlen(f.leaf->cert_pem), &f.trust));
    struct loop *loop = family_loop(&f, false, true);
    struct milgi_decision_info info;
    loop_pump(loop);
    MUST(milgi__hs_decision_info(loop->client.hs, MILGI_DECIDE_PEER, &info));
    assert_int_equal(info.path_n, 1);
    assert_is(&info.path[0], f.leaf);
    loop_free(loop);
    family_free(&f);
}

static void a_server_that_is_not_verified_has_no_path(void **state)
{
    (void)state;
    struct family f = family_new();
    struct loop *loop = family_loop(&f, false, false);
    struct milgi_decision_info info;
    loop_pump(loop);
    MUST(milgi__hs_decision_info(loop->client.hs, MILGI_DECIDE_PEER, &info));
    assert_int_equal(info.chain_n, 3);
    assert_int_equal(info.path_n, 0);
    loop_free(loop);
    family_free(&f);
}

/* The client's VERIFY_CHAIN comes back with this path; where that leaves it. */
static void give_path(const struct family *f, const uint32_t *path, uint32_t n, bool good)
{
    struct loop *loop = family_loop(f, false, true);
    struct loop_end *c = &loop->client;
    loop->queued = true;
    for (unsigned i = 0; i < 64 && (c->slots_seen & MILGI__ON(MILGI__CHAIN)) == 0; i++) {
        loop_pump(loop);
        while (loop->server.ops_n > 0)
            loop_finish(&loop->server, 0, MILGI_OP_OK);
        while (c->ops_n > 0 && c->ops[0].slot <= MILGI__CAPSULE)
            loop_finish(c, 0, MILGI_OP_OK);
    }
    struct milgi_op op = *c->ops[0].op;
    assert_int_equal(c->ops[0].slot, MILGI__CHAIN);
    op.status = MILGI_OP_OK;
    op.u.chain.path_n = n;
    memcpy(op.u.chain.path, path, MILGI__MIN(n, MILGI_PATH_MAX) * sizeof *path);
    milgi__hs_op_done(c->hs, &op, MILGI__CHAIN);
    while (c->ops_n > 0)
        loop_finish(c, c->ops_n - 1, MILGI_OP_OK);
    loop_pump(loop);
    struct milgi_decision_info info;
    if (good) {
        MUST(milgi__hs_decision_info(c->hs, MILGI_DECIDE_PEER, &info));
        assert_int_equal(info.path_n, n);
    } else {
        assert_alert(c, MILGI_ALERT_INTERNAL_ERROR);
        assert_int_equal(milgi__hs_failure(c->hs)->error, MILGI_EDEVICE);
    }
    loop_free(loop);
}

static void a_device_tells_a_path_that_can_be_or_none(void **state)
{
    (void)state;
    static const struct {
        uint32_t n, path[MILGI_PATH_MAX];
        bool good;
    } cases[] = {
        { 0, { 0 }, true },
        { 3, { 0, 2, MILGI_PATH_ANCHOR | 1 }, true },
        { 1, { MILGI_PATH_ANCHOR | 1 }, true },
        { 2, { 0, 2 }, false }, /* no anchor, */
        { 3, { 0, 3, MILGI_PATH_ANCHOR }, false },
        { 3, { 0, 1 << 28, MILGI_PATH_ANCHOR }, false }, /* nothing that was sent, */
        { 2, { 0, MILGI_PATH_ANCHOR | 2 }, false },      /* none that is trusted, */
        { 2, { 0, UINT32_MAX }, false },
        { 3, { 0, MILGI_PATH_ANCHOR, MILGI_PATH_ANCHOR }, false }, /* more behind an anchor, */
        { MILGI_PATH_MAX + 1, { 0 }, false },                      /* longer than any */
    };
    struct family f = family_new();
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++)
        give_path(&f, cases[i].path, cases[i].n, cases[i].good);
    family_free(&f);
}

/* --- the peer otherwise ------------------------------------------------------------------------------------------- */

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
        cmocka_unit_test(the_path_that_was_accepted_is_shown_until_the_answer),
        cmocka_unit_test(a_leaf_that_is_trusted_itself_is_a_path),
        cmocka_unit_test(a_server_that_is_not_verified_has_no_path),
        cmocka_unit_test(a_device_tells_a_path_that_can_be_or_none),
        cmocka_unit_test(an_acceptance_does_not_overrule_a_rejected_chain),
        cmocka_unit_test(an_absent_client_certificate_is_decided_too),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
