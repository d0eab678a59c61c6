/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes whose keys are in tokens: which device signs, what a failure is called, and that it passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/port.h"
#include "configs.h"
#include "desk.h"
#include "pair.h"

#define MESSAGE "through the token's signature"

static struct milgi_device *device; /* added to engines by the tests */

static int begin(void **state)
{
    (void)state;
    desk_calm();
    device = desk_device("pkcs11:2,retry=0");
    return 0;
}

static int end(void **state)
{
    (void)state;
    milgi_device_free(device);
    return 0;
}

/* Takes the credentials. */
static struct milgi_config *server_with(struct milgi_credential *first, struct milgi_credential *second)
{
    struct milgi_config *config = configs_begin(MILGI_SERVER, NULL, NULL);
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384,
        MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ED25519, MILGI_SIG_RSA_PSS_RSAE_SHA256,
        MILGI_SIG_RSA_PSS_PSS_SHA256 };

    assert_int_equal(
        milgi_config_set_signature_schemes(config, schemes, sizeof schemes / sizeof schemes[0]), 0);
    assert_int_equal(milgi_config_add_credential(config, first), 0);
    if (second)
        assert_int_equal(milgi_config_add_credential(config, second), 0);
    milgi_credential_unref(first);
    milgi_credential_unref(second);
    return configs_freeze(config);
}

static struct milgi_config *client(void)
{
    struct milgi_config *config = configs_begin(MILGI_CLIENT, NULL, desk_root);
    static const uint16_t schemes[] = { MILGI_SIG_ECDSA_SECP256R1_SHA256, MILGI_SIG_ECDSA_SECP384R1_SHA384,
        MILGI_SIG_ECDSA_SECP521R1_SHA512, MILGI_SIG_ED25519, MILGI_SIG_RSA_PSS_RSAE_SHA256,
        MILGI_SIG_RSA_PSS_PSS_SHA256 };

    assert_int_equal(
        milgi_config_set_signature_schemes(config, schemes, sizeof schemes / sizeof schemes[0]), 0);
    return configs_freeze(config);
}

static struct pair_setup setup_of(struct milgi_config *server, const char *name)
{
    struct pair_setup setup = { .server_name = name };

    setup.config[MILGI_CLIENT] = client();
    setup.config[MILGI_SERVER] = server;
    return setup;
}

static void drop(struct pair *pair, struct pair_setup *setup)
{
    pair_fini(pair);
    milgi_config_unref(setup->config[MILGI_CLIENT]);
    milgi_config_unref(setup->config[MILGI_SERVER]);
}

static void add_tokens(struct pair *pair, enum milgi_role role)
{
    assert_true(milgi_engine_add_device(pair->side[role].engine, device) > 0);
}

/* The token takes real time; that of the engines stands still. */
static void shake_hands(struct pair *pair)
{
    struct pair_side *a = &pair->side[0], *b = &pair->side[1];
    uint64_t deadline;

    while (!(a->established && b->established) && !(a->closed && b->closed)) {
        (void)pair_run(a, &deadline);
        (void)pair_run(b, &deadline);
        if (pair_carry(a, 0) + pair_carry(b, 0) == 0)
            usleep(100);
    }
}

static void expect_data(struct pair *pair)
{
    struct pair_side *server = &pair->side[MILGI_SERVER], *other = &pair->side[MILGI_CLIENT];
    uint64_t deadline;

    if (!server->established || !other->established)
        fail_msg("server: %s (code %d); client: %s", server->reason.detail, server->reason.device_code,
            other->reason.detail);
    pair_bytes_drop(&other->got, other->got.len);
    assert_int_equal(milgi_conn_write(server->conn, MESSAGE, strlen(MESSAGE)), 0);
    while (other->got.len < strlen(MESSAGE) && !other->closed) {
        (void)pair_run(server, &deadline);
        (void)pair_carry(server, 0);
        (void)pair_run(other, &deadline);
    }
    assert_int_equal(other->got.len, strlen(MESSAGE));
    assert_memory_equal(other->got.p, MESSAGE, strlen(MESSAGE));
}

static void expect_failure(struct pair *pair, int code)
{
    const struct milgi_reason *reason = &pair->side[MILGI_SERVER].reason;

    assert_true(pair->side[MILGI_SERVER].closed);
    assert_int_equal(reason->error, MILGI_EDEVICE);
    assert_int_equal(reason->cls, MILGI_CLASS_DEVICE);
    assert_int_equal(reason->op, MILGI_OP_SIGN);
    assert_int_equal(reason->device_code, code);
    assert_int_equal(reason->alert, MILGI_ALERT_INTERNAL_ERROR);
    assert_int_equal(pair->side[MILGI_CLIENT].reason.error, MILGI_EALERT);
}

static uint64_t signed_by(struct pair *pair, unsigned index)
{
    struct milgi_engine_stats stats;

    milgi_engine_stats(pair->side[MILGI_SERVER].engine, &stats);
    return stats.device[index].submitted[MILGI_OP_SIGN];
}

static void an_engine_is_freed_while_a_signature_hangs(void **state)
{
    struct pair_setup setup = setup_of(server_with(desk_usual(IDENTITY_P256), NULL), "server.test");
    struct pair pair;
    uint64_t deadline;

    (void)state;
    pair_init(&pair, &setup);
    add_tokens(&pair, MILGI_SERVER);
    desk_shim->blocked = true;
    while (desk_shim->signatures == 0) {
        for (int role = 0; role < 2; role++) {
            (void)pair_run(&pair.side[role], &deadline);
            (void)pair_carry(&pair.side[role], 0);
        }
        usleep(100);
    }
    uint64_t from_ns = milgi__port_monotonic_ns(NULL);
    drop(&pair, &setup);
    assert_true(milgi__port_monotonic_ns(NULL) - from_ns < UINT64_C(9000000000));
    desk_shim->blocked = false;
}

/* --- handshakes --------------------------------------------------------------------------------------------------- */

static void every_kind_of_key_makes_handshakes(void **state)
{
    struct pair pair;

    (void)state;
    for (int key = 0; key < IDENTITY_KEYS; key++) {
        struct pair_setup setup = setup_of(server_with(desk_usual((enum identity_key)key), NULL), "server.test");
        pair_init(&pair, &setup);
        add_tokens(&pair, MILGI_SERVER);
        shake_hands(&pair);
        expect_data(&pair);
        assert_int_equal(signed_by(&pair, 1), 1);
        drop(&pair, &setup);
    }
}

static void ordinary_keys_sign_where_they_are_sent_and_those_in_tokens_there(void **state)
{
    struct milgi_credential *stranger =
        desk_credential(desk_stranger, "token=" DESK_OTHER ";object=stranger", "pin-value=" TOKEN_PIN);
    struct pair_setup setup =
        setup_of(server_with(configs_credential(desk_key[IDENTITY_P256]), stranger), "server.test");
    struct pair pair;

    (void)state;
    setup.device[MILGI_SERVER] = "pool:1";
    pair_init(&pair, &setup);
    add_tokens(&pair, MILGI_SERVER);
    for (unsigned i = 0; i < 6; i++) {
        if (i > 0) {
            setup.server_name = i % 2 == 1 ? "stranger.test" : "server.test";
            pair_again(&pair, &setup);
        }
        shake_hands(&pair);
        expect_data(&pair);
    }
    assert_int_equal(signed_by(&pair, 0), 0);
    assert_int_equal(signed_by(&pair, 1), 3);
    assert_int_equal(signed_by(&pair, 2), 3);
    drop(&pair, &setup);
}

static void ordinary_keys_do_not_go_to_tokens_even_if_sent_there(void **state)
{
    struct pair_setup setup = setup_of(server_with(configs_credential(desk_key[IDENTITY_P256]), NULL), "server.test");
    struct pair pair;

    (void)state;
    setup.device[MILGI_SERVER] = "pkcs11:1";
    pair_init(&pair, &setup);
    shake_hands(&pair);
    expect_data(&pair);
    assert_int_equal(signed_by(&pair, 0), 1);
    assert_int_equal(signed_by(&pair, 1), 0);
    drop(&pair, &setup);
}

static void engines_of_client_and_server_share_a_device(void **state)
{
    struct milgi_config *server = configs_begin(MILGI_SERVER, NULL, desk_root);
    struct milgi_config *mutual = configs_begin(MILGI_CLIENT, NULL, desk_root);
    struct milgi_credential *a = desk_usual(IDENTITY_P256), *b = desk_usual(IDENTITY_P384);
    struct pair_setup setup = { .server_name = "server.test" };
    struct pair pair;

    (void)state;
    assert_int_equal(milgi_config_add_credential(server, a), 0);
    assert_int_equal(milgi_config_add_credential(mutual, b), 0);
    milgi_credential_unref(a);
    milgi_credential_unref(b);
    setup.config[MILGI_SERVER] = configs_freeze(server);
    setup.config[MILGI_CLIENT] = configs_freeze(mutual);
    pair_init(&pair, &setup);
    add_tokens(&pair, MILGI_SERVER);
    add_tokens(&pair, MILGI_CLIENT);
    shake_hands(&pair);
    expect_data(&pair);
    assert_int_equal(desk_shim->logins, 1);
    drop(&pair, &setup);
}

static void an_engine_without_such_a_device_says_so(void **state)
{
    struct pair_setup setup = setup_of(server_with(desk_usual(IDENTITY_P256), NULL), "server.test");
    struct pair pair;

    (void)state;
    setup.device[MILGI_SERVER] = "pool:1";
    pair_init(&pair, &setup);
    shake_hands(&pair);
    expect_failure(&pair, MILGI_CODE_NO_DEVICE);
    drop(&pair, &setup);
}

static void a_wrong_pin_fails_handshakes_by_its_name(void **state)
{
    struct milgi_credential *wrong =
        desk_credential(desk_key[IDENTITY_P256], "token=" DESK_TOKEN ";object=p256", "pin-value=0000");
    struct pair_setup setup = setup_of(server_with(wrong, NULL), "server.test");
    struct pair pair;

    (void)state;
    pair_init(&pair, &setup);
    add_tokens(&pair, MILGI_SERVER);
    for (int i = 0; i < 5; i++) {
        shake_hands(&pair);
        expect_failure(&pair, MILGI_CODE_PKCS11_PIN_WRONG);
        pair_again(&pair, &setup);
    }
    assert_int_equal(desk_shim->logins, 1);
    drop(&pair, &setup);
}

static void a_token_that_goes_fails_handshakes_not_connections_and_comes_back(void **state)
{
    struct pair_setup setup = setup_of(server_with(desk_usual(IDENTITY_P256), NULL), "server.test");
    struct pair standing, pair;

    (void)state;
    pair_init(&standing, &setup);
    add_tokens(&standing, MILGI_SERVER);
    shake_hands(&standing);
    pair_init(&pair, &setup);
    add_tokens(&pair, MILGI_SERVER);
    shake_hands(&pair);
    for (int round = 0; round < 2; round++) {
        desk_shim->absent = true;
        for (int i = 0; i < 40; i++) {
            pair_again(&pair, &setup);
            shake_hands(&pair);
            expect_failure(&pair, MILGI_CODE_PKCS11_NO_TOKEN);
            expect_data(&standing);
        }
        desk_shim->absent = false;
        pair_again(&pair, &setup);
        shake_hands(&pair);
        expect_data(&pair);
    }
    pair_fini(&standing);
    drop(&pair, &setup);
}

static void a_connection_that_goes_while_its_token_signs_leaves_nothing(void **state)
{
    struct pair_setup setup = setup_of(server_with(desk_usual(IDENTITY_P256), NULL), "server.test");
    struct pair pair;
    uint64_t deadline;

    (void)state;
    pair_init(&pair, &setup);
    add_tokens(&pair, MILGI_SERVER);
    shake_hands(&pair);
    unsigned signatures = desk_shim->signatures;
    desk_shim->blocked = true;
    pair_again(&pair, &setup);
    while (desk_shim->signatures == signatures) {
        for (int role = 0; role < 2; role++) {
            (void)pair_run(&pair.side[role], &deadline);
            (void)pair_carry(&pair.side[role], 0);
        }
    }
    pair_again(&pair, &setup); /* what is at the token is nobody's now */
    desk_shim->blocked = false;
    shake_hands(&pair);
    expect_data(&pair);
    drop(&pair, &setup);
}

/* --- credentials -------------------------------------------------------------------------------------------------- */

static int made_of(const struct identity *identity, const char *uri)
{
    struct milgi_credential *c = NULL;
    int error = milgi_credential_new_uri(identity->chain_pem, strlen(identity->chain_pem), uri, &c);

    assert_true((error == 0) == (c != NULL));
    milgi_credential_unref(c);
    return error;
}

static void a_credential_is_made_without_the_key(void **state)
{
    static const char uri[] = "pkcs11:token=t;object=o?pin-value=1";
    struct milgi_credential *c;

    (void)state;
    const struct identity *rsa = desk_key[IDENTITY_RSA];
    assert_int_equal(milgi_credential_new_uri(rsa->chain_pem, strlen(rsa->chain_pem), uri, &c), 0);
    assert_string_equal(milgi_credential_key_type(c), "RSA 2048");
    assert_string_equal(milgi_credential_key_uri(c), uri);
    milgi_credential_unref(c);
    c = configs_credential(rsa);
    assert_null(milgi_credential_key_uri(c));
    milgi_credential_unref(c);
}

static void what_is_no_uri_is_refused(void **state)
{
    static const char *const bad[] = { "", "pkcs11", "pkcs11:", ":x", "1a:x", "a b:x", "pkcs11:a b", "pkcs11:\n",
        "pkcs11:\xc3\xa4" };
    char *large = malloc(5000);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(made_of(desk_key[IDENTITY_P256], bad[i]), MILGI_EINVAL);
    memset(large, 'a', 4999);
    memcpy(large, "pkcs11:", 7);
    large[4999] = '\0';
    assert_int_equal(made_of(desk_key[IDENTITY_P256], large), MILGI_EINVAL);
    large[4096] = '\0';
    assert_int_equal(made_of(desk_key[IDENTITY_P256], large), 0);
    free(large);
}

static void a_leaf_that_no_key_may_have_is_refused(void **state)
{
    struct identity *weak = identity_new(
        &(struct identity_options){ .key = IDENTITY_RSA, .rsa_bits = 1024, .common_name = "weak" });
    struct identity *other = identity_new(&(struct identity_options){ .key = IDENTITY_ED448, .common_name = "other" });
    struct identity broken = { .chain_pem = (char[]){ "-----BEGIN CERTIFICATE-----\nAA==\n" } };

    (void)state;
    assert_int_equal(made_of(weak, "pkcs11:token=t"), MILGI_EWEAK);
    assert_int_equal(made_of(other, "pkcs11:token=t"), MILGI_EUNSUPPORTED);
    assert_int_equal(made_of(&broken, "pkcs11:token=t"), MILGI_EPARSE);
    identity_free(weak);
    identity_free(other);
}

static void a_uri_stands_where_a_key_file_may(void **state)
{
    char *chain = desk_file("chain.pem", desk_key[IDENTITY_P256]->chain_pem);
    struct milgi_credential *c;

    (void)state;
    assert_int_equal(milgi_credential_new_file(chain, "pkcs11:token=t;object=o", &c), 0);
    assert_string_equal(milgi_credential_key_uri(c), "pkcs11:token=t;object=o");
    milgi_credential_unref(c);
    assert_int_equal(milgi_credential_new_file("/nowhere.pem", "pkcs11:token=t", &c), MILGI_EFILE);
    assert_int_equal(milgi_credential_new_file(chain, "./pkcs11:token=t", &c), MILGI_EFILE);
    unlink(chain);
    free(chain);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(every_kind_of_key_makes_handshakes),
        CASE(an_engine_is_freed_while_a_signature_hangs),
        CASE(ordinary_keys_sign_where_they_are_sent_and_those_in_tokens_there),
        CASE(ordinary_keys_do_not_go_to_tokens_even_if_sent_there),
        CASE(engines_of_client_and_server_share_a_device),
        CASE(an_engine_without_such_a_device_says_so),
        CASE(a_wrong_pin_fails_handshakes_by_its_name),
        CASE(a_token_that_goes_fails_handshakes_not_connections_and_comes_back),
        CASE(a_connection_that_goes_while_its_token_signs_leaves_nothing),
        cmocka_unit_test(a_credential_is_made_without_the_key),
        cmocka_unit_test(what_is_no_uri_is_refused),
        cmocka_unit_test(a_leaf_that_no_key_may_have_is_refused),
        cmocka_unit_test(a_uri_stands_where_a_key_file_may),
    };

    if (!desk_set_up())
        return 0;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    desk_tear_down();
    return failed;
}
