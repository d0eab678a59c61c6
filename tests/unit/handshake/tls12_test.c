/* SPDX-License-Identifier: Apache-2.0 */
/* TLS 1.2: handshakes that succeed in all their kinds, and what is refused before there is one. */
#include <milgi/policy.h>

#include "edit.h"
#include "clients.h"

#define V12 MILGI_TLS_1_2
#define V13 MILGI_TLS_1_3

static const uint16_t suites[] = { MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256,
    MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384, MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256,
    MILGI_SUITE_ECDHE_RSA_AES_128_GCM_SHA256, MILGI_SUITE_ECDHE_RSA_AES_256_GCM_SHA384,
    MILGI_SUITE_ECDHE_RSA_CHACHA20_POLY1305_SHA256 };
static const uint16_t groups[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1,
    MILGI_GROUP_SECP521R1 };

static struct milgi_config *client_of(uint16_t min, uint16_t max)
{
    struct milgi_config *config = client_config();
    MUST(milgi_config_set_versions(config, min, max));
    return config;
}

static struct milgi_config *server_of(enum identity_key key, uint16_t min, uint16_t max)
{
    struct milgi_config *config = server_config(key);
    MUST(milgi_config_set_versions(config, min, max));
    return config;
}

static void every_suite_group_and_key_type_comes_to_a_connection(void **state)
{
    (void)state;
    for (unsigned key = 0; key < IDENTITY_KEYS; key++) {
        bool rsa = key == IDENTITY_RSA || key == IDENTITY_RSA_PSS;
        for (unsigned i = 0; i < 12; i++) {
            struct milgi_config *client = client_of(V12, V12), *server = server_of(key, V12, V12);
            uint16_t suite = suites[i % 3 + (rsa ? 3 : 0)];
            MUST(milgi_config_set_suites(client, &suite, 1));
            MUST(milgi_config_set_groups(client, &groups[i / 3], 1));
            MUST(milgi_config_set_groups(server, groups, MILGI__COUNT(groups)));
            struct loop *loop = loop_of(client, server);
            loop_pump(loop);
            /*= RFC8422 5.1: the curves of the client's list are those of the server's certificate, too. */
            if (key <= IDENTITY_P521 && i / 3 != key + 1u) {
                assert_alert(&loop->server, MILGI_ALERT_HANDSHAKE_FAILURE);
                loop_free(loop);
                continue;
            }
            assert_open(loop);
            const struct milgi__hs_result *r = milgi__hs_result(loop->client.hs);
            assert_int_equal(r->version, V12);
            assert_int_equal(r->suite, suite);
            assert_int_equal(r->group, groups[i / 3]);
            assert_true(r->peer_authenticated);
            assert_true(r->exports);
            assert_false(milgi__hs_result(loop->server.hs)->peer_authenticated);
            assert_string_equal(milgi__hs_result(loop->server.hs)->server_name, "a.test");
            assert_int_equal(loop->client.compat_n, 1);
            assert_int_equal(loop->server.compat_n, 1);
            assert_false(loop->bad_ccs);
            loop_free(loop);
        }
    }
}

static void every_key_type_comes_to_a_connection_with_the_defaults(void **state)
{
    (void)state;
    for (unsigned key = 0; key < IDENTITY_KEYS; key++) {
        struct loop *loop = loop_of(client_of(V12, V13), server_of(key, V12, V12));
        loop_pump(loop);
        assert_open(loop);
        assert_int_equal(milgi__hs_result(loop->client.hs)->version, V12);
        loop_free(loop);
    }
}

static void every_client_key_type_is_accepted(void **state)
{
    (void)state;
    clients_with_certificates(V12);
}

static void a_client_without_a_certificate_is_admitted_only_if_that_is_optional(void **state)
{
    (void)state;
    clients_without_certificate(V12, MILGI_ALERT_HANDSHAKE_FAILURE);
}

static void the_highest_version_of_both_is_spoken(void **state)
{
    static const struct {
        uint16_t client_min, client_max, server_min, server_max, spoken;
    } cases[] = {
        { V12, V13, V12, V13, V13 },
        { V12, V12, V12, V13, V12 },
        { V12, V13, V12, V12, V12 },
        { V13, V13, V12, V13, V13 },
        { V12, V12, V13, V13, 0 },
        { V13, V13, V12, V12, 0 },
    };
    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct loop *loop = loop_of(client_of(cases[i].client_min, cases[i].client_max),
            server_of(IDENTITY_P256, cases[i].server_min, cases[i].server_max));
        loop_pump(loop);
        if (cases[i].spoken != 0) {
            assert_open(loop);
            assert_int_equal(milgi__hs_result(loop->client.hs)->version, cases[i].spoken);
        } else {
            assert_alert(&loop->server, MILGI_ALERT_PROTOCOL_VERSION);
        }
        loop_free(loop);
    }
}

/* --- downgrade ---------------------------------------------------------------------------------------------------- */

/* Hides TLS 1.3 from the server: the type of supported_versions becomes one that nobody knows. */
static bool hide_versions(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    if (from != &loop->client || m->data[0] != MILGI__MSG_CLIENT_HELLO)
        return true;
    for (size_t i = 0; i + 9 <= m->len; i++) {
        if (memcmp(m->data + i, "\0\x2b\0\5\4\3\4\3\3", 9) == 0)
            m->data[i] = 0x7a;
    }
    return true;
}

/*= RFC8446 4.1.3: "If a match is found, the client MUST abort the handshake with an "illegal_parameter" alert." */
static void a_downgrade_by_somebody_in_between_is_noticed(void **state)
{
    (void)state;
    struct loop *loop = loop_of(client_of(V12, V13), server_of(IDENTITY_P256, V12, V13));
    loop->tamper = hide_versions;
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_ILLEGAL_PARAMETER);
    assert_string_equal(milgi__hs_failure(loop->client.hs)->detail, "downgrade detected");
    const struct loop_message *hello = loop_sent(&loop->server, MILGI__MSG_SERVER_HELLO, 0);
    assert_memory_equal(hello->data + 4 + 2 + 24, "DOWNGRD\1", 8);
    loop_free(loop);
}

static void a_server_of_tls12_alone_has_a_random_like_any_other(void **state)
{
    (void)state;
    struct loop *loop = loop_of(client_of(V12, V12), server_of(IDENTITY_P256, V12, V12));
    loop_pump(loop);
    assert_open(loop);
    const struct loop_message *hello = loop_sent(&loop->server, MILGI__MSG_SERVER_HELLO, 0);
    assert_memory_not_equal(hello->data + 4 + 2 + 24, "DOWNGRD", 7);
    loop_free(loop);
}

static void a_fallback_is_refused_where_it_need_not_be(void **state)
{
    (void)state;
    for (unsigned max = V12; max <= V13; max++) {
        struct milgi_config *client = client_of(V12, V12);
        MUST(milgi_config_set_fallback(client, true));
        struct loop *loop = loop_of(client, server_of(IDENTITY_P256, V12, (uint16_t)max));
        loop_pump(loop);
        if (max == V12)
            assert_open(loop);
        else
            assert_alert(&loop->server, MILGI_ALERT_INAPPROPRIATE_FALLBACK);
        loop_free(loop);
    }
}

/* --- the extended master secret ----------------------------------------------------------------------------------- */

/* Hides an extension without a body, or with one of |body_len| bytes, from the other end. */
struct hidden {
    enum milgi__msg message;
    uint8_t type[4];
};

static bool hide(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    const struct hidden *h = loop->tamper_arg;
    (void)from;
    if (m->data[0] != h->message)
        return true;
    for (size_t i = 40; i + 4 <= m->len; i++) {
        if (memcmp(m->data + i, h->type, 4) == 0) {
            m->data[i] = 0x7a;
            break;
        }
    }
    return true;
}

static void without_the_extended_master_secret_it_is_refused(void **state)
{
    static const struct hidden of_client = { MILGI__MSG_CLIENT_HELLO, { 0, 23, 0, 0 } };
    (void)state;
    struct loop *loop = loop_of(client_of(V12, V12), server_of(IDENTITY_P256, V12, V12));
    loop->tamper = hide;
    loop->tamper_arg = (void *)(uintptr_t)&of_client;
    loop_pump(loop);
    assert_alert(&loop->server, MILGI_ALERT_HANDSHAKE_FAILURE);
    loop_free(loop);
    /* The server may do without, but the client does not. */
    struct milgi_config *server = server_of(IDENTITY_P256, V12, V12);
    MUST(milgi_config_set_extended_master_secret(server, false));
    loop = loop_of(client_of(V12, V12), server);
    loop->tamper = hide;
    loop->tamper_arg = (void *)(uintptr_t)&of_client;
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_HANDSHAKE_FAILURE);
    loop_free(loop);
}

/* Whatever the version; RSA keys of the fixture have 2048 bits. */
static void rsa_keys_may_have_to_be_longer(void **state)
{
    (void)state;
    for (uint16_t version = V12; version <= V13; version++) {
        for (unsigned i = 0; i < 2; i++) {
            struct milgi_config *client = client_of(version, version);
            MUST(milgi_config_set_policy(client, i ? "rsa=2049" : "rsa=2048", NULL));
            struct loop *loop = loop_of(client, server_of(IDENTITY_RSA, version, version));
            loop_pump(loop);
            if (i)
                assert_alert(&loop->client, MILGI_ALERT_BAD_CERTIFICATE);
            else
                assert_open(loop);
            loop_free(loop);
        }
    }
    struct milgi_config *own = server_of(IDENTITY_RSA, V12, V13);
    const char *why = NULL;
    MUST(milgi_config_set_policy(own, "rsa=3072", NULL));
    assert_int_equal(milgi_config_freeze(own, &why), MILGI_EINVAL);
    assert_non_null(strstr(why, "shorter"));
    milgi_config_unref(own);
}

static void and_so_may_those_of_issuers(void **state)
{
    (void)state;
    struct identity *between = identity_new(&(struct identity_options){
        .key = IDENTITY_RSA, .common_name = "between", .is_ca = true, .issuer = fixture.root });
    struct identity *leaf = identity_leaf(between, IDENTITY_P256, "DNS:a.test");
    struct milgi_credential *credential;
    MUST(milgi_credential_new_pem(
        leaf->chain_pem, strlen(leaf->chain_pem), leaf->key_pem, strlen(leaf->key_pem), &credential));
    for (unsigned i = 0; i < 2; i++) {
        struct milgi_config *client = client_of(V12, V13), *server = milgi_config_new(MILGI_SERVER);
        MUST(milgi_config_set_policy(client, i ? "rsa=2049" : "rsa=2048", NULL));
        MUST(milgi_config_add_credential(server, credential));
        struct loop *loop = loop_of(client, server);
        loop_pump(loop);
        if (i)
            assert_alert(&loop->client, MILGI_ALERT_BAD_CERTIFICATE);
        else
            assert_open(loop);
        loop_free(loop);
    }
    milgi_credential_unref(credential);
    identity_free(leaf);
    identity_free(between);
}

/* --- record_size_limit -------------------------------------------------------------------------------------------- */

/*= RFC8449 4: "In TLS 1.2 and earlier, the limit covers all input to compression and encryption" */
static void each_says_how_long_records_may_be(void **state)
{
    static const struct {
        uint16_t client_max, server_max;
        uint32_t client_takes, server_takes;
    } cases[] = {
        { V12, V13, 1000, 2000 },
        { V13, V12, 1001, 2000 }, /* it was said for both versions */
        { V13, V13, 1000, 2000 },
    };
    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct milgi_config *client = client_of(V12, cases[i].client_max);
        struct milgi_config *server = server_of(IDENTITY_P256, V12, cases[i].server_max);
        MUST(milgi_config_set_limit(client, MILGI_LIMIT_RECORD_IN, 1000));
        MUST(milgi_config_set_limit(server, MILGI_LIMIT_RECORD_IN, 2000));
        struct loop *loop = loop_of(client, server);
        loop_pump(loop);
        assert_open(loop);
        assert_int_equal(loop->client.record_most[MILGI__READ], cases[i].client_takes);
        assert_int_equal(loop->server.record_most[MILGI__WRITE], cases[i].client_takes);
        assert_int_equal(loop->server.record_most[MILGI__READ], cases[i].server_takes);
        assert_int_equal(loop->client.record_most[MILGI__WRITE], cases[i].server_takes);
        loop_free(loop);
    }
}

static bool hide_limit(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    if (m->data[0] == MILGI__MSG_CLIENT_HELLO && from == &loop->client)
        edit_remove(m, 28);
    return true;
}

static void a_server_that_is_not_told_says_nothing(void **state)
{
    (void)state;
    struct loop *loop = loop_of(client_of(V12, V12), server_of(IDENTITY_P256, V12, V12));
    loop->tamper = hide_limit;
    loop_pump(loop);
    assert_false(edit_has(loop_sent(&loop->server, MILGI__MSG_SERVER_HELLO, 0), 28));
    assert_int_equal(loop->server.record_most[MILGI__WRITE], 0);
    assert_int_equal(loop->client.record_most[MILGI__READ], 0);
    loop_free(loop);
}

/* --- what signs with what ----------------------------------------------------------------------------------------- */

/* A client's list of one scheme, and what a server with a key of |key| signs with; 0: it cannot. */
static uint16_t signs_with(enum identity_key key, const uint16_t *schemes, size_t n)
{
    static const uint16_t curves[] = { MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1 };
    struct milgi_config *client = client_of(V12, V12), *server = server_of(key, V12, V12);
    MUST(milgi_config_set_groups(client, curves, 2));
    MUST(milgi_config_set_signature_schemes(client, schemes, n));
    struct loop *loop = loop_of(client, server);
    loop_pump(loop);
    uint16_t scheme = milgi__hs_result(loop->client.hs)->scheme;
    if (loop->client.wait == MILGI__HS_OPEN)
        assert_open(loop);
    else
        scheme = 0;
    loop_free(loop);
    return scheme;
}

/*= RFC8446 4.2.3: "ECDSA signature schemes align with TLS 1.2's ECDSA hash/signature pairs.  However, the old
 *= semantics did not constrain the signing curve." */
static void a_key_of_ecdsa_signs_with_any_hash(void **state)
{
    static const uint16_t all[] = { MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ECDSA_SECP384R1_SHA384,
        MILGI_SIG_ECDSA_SECP256R1_SHA256 };
    (void)state;
    for (unsigned key = IDENTITY_P256; key <= IDENTITY_P384; key++) {
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(signs_with(key, &all[i], 1), all[i]);
        /* If it may, with that of its curve. */
        assert_int_equal(signs_with(key, all, 3), all[2 - key]);
    }
}

static void a_p521_key_is_for_who_names_the_curve_in_either_way(void **state)
{
    static const uint16_t p521 = MILGI_SIG_ECDSA_SECP521R1_SHA512;
    (void)state;
    assert_int_equal(signs_with(IDENTITY_P521, &p521, 1), 0); /* it names other groups, and TLS 1.2 alone */
    struct loop *loop = loop_of(client_of(V12, V13), server_of(IDENTITY_P521, V12, V12));
    loop_pump(loop);
    assert_open(loop);
    assert_int_equal(milgi__hs_result(loop->client.hs)->scheme, p521);
    loop_free(loop);
}

/* --- HelloRequest ------------------------------------------------------------------------------------------------- */

static unsigned requests;

static bool request_before_each(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    static const uint8_t request[4] = { 0 };
    if (from == &loop->server && m->data[0] != MILGI__MSG_CHANGE_CIPHER_SPEC && requests > 0) {
        requests--;
        loop_input(&loop->client, m->level, request, sizeof request);
    }
    return true;
}

/*= RFC5246 7.4.1.1: "This message will be ignored by the client if the client is currently negotiating a session." */
static void hello_requests_are_ignored_meanwhile_but_not_without_end(void **state)
{
    (void)state;
    for (unsigned n = 4; n <= 5; n++) {
        struct loop *loop = loop_of(client_of(V12, V13), server_of(IDENTITY_P256, V12, V12));
        loop->tamper = request_before_each;
        requests = n;
        loop_pump(loop);
        if (n == 4)
            assert_open(loop);
        else
            assert_int_equal(loop_alert(&loop->client), MILGI_ALERT_UNEXPECTED_MESSAGE);
        loop_free(loop);
    }
}

/* --- change_cipher_spec ------------------------------------------------------------------------------------------- */

static void change_cipher_spec_has_one_place(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct loop *loop = loop_of(client_of(V12, V12), server_of(IDENTITY_P256, V12, V12));
        struct loop_end *end = i ? &loop->client : &loop->server;
        bool moved = true;
        while (moved) {
            const int awaits = milgi__hs_awaits(end->hs);
            /* Before its ServerHello a client takes it for the one of TLS 1.3, and finds out then. */
            bool taken = awaits == MILGI__MSG_CHANGE_CIPHER_SPEC || awaits == MILGI__MSG_SERVER_HELLO;
            if (!taken && end->wait != MILGI__HS_OPEN)
                assert_int_equal(milgi__hs_take_ccs(end->hs), MILGI__CCS_REFUSED);
            loop_run(&loop->client);
            loop_run(&loop->server);
            moved = loop_deliver(loop, &loop->client) || loop_deliver(loop, &loop->server);
        }
        assert_open(loop);
        assert_int_equal(milgi__hs_take_ccs(end->hs), MILGI__CCS_REFUSED);
        loop_free(loop);
    }
}

static void one_before_the_server_hello_is_refused_when_that_has_come(void **state)
{
    (void)state;
    struct loop *loop = loop_of(client_of(V12, V13), server_of(IDENTITY_P256, V12, V12));
    loop_run(&loop->client);
    assert_int_equal(milgi__hs_take_ccs(loop->client.hs), MILGI__CCS_DROPPED);
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_UNEXPECTED_MESSAGE);
    loop_free(loop);
}

static bool lose_change(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    return from != loop->tamper_arg || m->data[0] != MILGI__MSG_CHANGE_CIPHER_SPEC;
}

static void a_finished_without_it_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct loop *loop = loop_of(client_of(V12, V12), server_of(IDENTITY_P256, V12, V12));
        loop->tamper = lose_change;
        loop->tamper_arg = i ? &loop->client : &loop->server;
        loop_pump(loop);
        assert_int_equal(loop_alert(i ? &loop->server : &loop->client), MILGI_ALERT_UNEXPECTED_MESSAGE);
        loop_free(loop);
    }
}

static bool lose_or_repeat(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    const int *what = loop->tamper_arg; /* type, 1: twice */
    if (m->data[0] != what[0])
        return true;
    if (what[1])
        loop_input(loop_peer(from), m->level, m->data, m->len);
    return what[1];
}

static void messages_are_neither_left_out_nor_repeated(void **state)
{
    static const int types[] = { MILGI__MSG_SERVER_HELLO, MILGI__MSG_CERTIFICATE, MILGI__MSG_SERVER_KEY_EXCHANGE,
        MILGI__MSG_SERVER_HELLO_DONE, MILGI__MSG_CLIENT_KEY_EXCHANGE };
    (void)state;
    for (unsigned i = 0; i < 2 * MILGI__COUNT(types); i++) {
        int what[2] = { types[i / 2], i % 2 };
        struct loop *loop = loop_of(client_of(V12, V12), server_of(IDENTITY_P256, V12, V12));
        loop->tamper = lose_or_repeat;
        loop->tamper_arg = what;
        loop_pump(loop);
        bool by_server = what[0] == MILGI__MSG_CLIENT_KEY_EXCHANGE;
        struct loop_end *victim = by_server ? &loop->server : &loop->client;
        assert_int_not_equal(victim->wait, MILGI__HS_OPEN);
        /* Behind ServerHelloDone a client waits for ops, not for messages. */
        bool stuck = what[0] == MILGI__MSG_SERVER_HELLO_DONE && !what[1];
        if (!stuck && !(by_server && !what[1]))
            assert_int_equal(loop_alert(victim), MILGI_ALERT_UNEXPECTED_MESSAGE);
        loop_free(loop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_suite_group_and_key_type_comes_to_a_connection),
        cmocka_unit_test(every_key_type_comes_to_a_connection_with_the_defaults),
        cmocka_unit_test(every_client_key_type_is_accepted),
        cmocka_unit_test(a_client_without_a_certificate_is_admitted_only_if_that_is_optional),
        cmocka_unit_test(the_highest_version_of_both_is_spoken),
        cmocka_unit_test(a_downgrade_by_somebody_in_between_is_noticed),
        cmocka_unit_test(a_server_of_tls12_alone_has_a_random_like_any_other),
        cmocka_unit_test(a_fallback_is_refused_where_it_need_not_be),
        cmocka_unit_test(without_the_extended_master_secret_it_is_refused),
        cmocka_unit_test(a_key_of_ecdsa_signs_with_any_hash),
        cmocka_unit_test(a_p521_key_is_for_who_names_the_curve_in_either_way),
        cmocka_unit_test(rsa_keys_may_have_to_be_longer),
        cmocka_unit_test(and_so_may_those_of_issuers),
        cmocka_unit_test(each_says_how_long_records_may_be),
        cmocka_unit_test(a_server_that_is_not_told_says_nothing),
        cmocka_unit_test(change_cipher_spec_has_one_place),
        cmocka_unit_test(one_before_the_server_hello_is_refused_when_that_has_come),
        cmocka_unit_test(a_finished_without_it_is_refused),
        cmocka_unit_test(messages_are_neither_left_out_nor_repeated),
        cmocka_unit_test(hello_requests_are_ignored_meanwhile_but_not_without_end),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
