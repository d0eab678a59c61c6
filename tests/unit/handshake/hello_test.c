/* SPDX-License-Identifier: Apache-2.0 */
/* ClientHellos that are well formed and wrong, or unusual and right. */
#include "edit.h"

/* One identity of one byte, one binder of 32. */
static const char psk[] = "\0\x07\0\x01x\0\0\0\0"
                          "\0\x21\x20"
                          "0123456789abcdef0123456789abcdef";

static void ch_no_versions(struct loop_message *m)
{
    edit_remove(m, VERSIONS);
}
static void ch_old_versions(struct loop_message *m)
{
    SET(m, VERSIONS, "\x04\x03\x03\x03\x02");
}
static void ch_grease_versions(struct loop_message *m)
{
    SET(m, VERSIONS, "\x06\x7a\x7a\x03\x04\x03\x03");
}
static void ch_odd_versions(struct loop_message *m)
{
    SET(m, VERSIONS, "\x03\x03\x04\x03");
}
static void ch_no_schemes(struct loop_message *m)
{
    edit_remove(m, SCHEMES);
}
static void ch_no_groups(struct loop_message *m)
{
    edit_remove(m, GROUPS);
}
static void ch_no_shares(struct loop_message *m)
{
    edit_remove(m, KEY_SHARE);
}
static void ch_strange_groups(struct loop_message *m)
{
    SET(m, GROUPS, "\0\x02\x01\0");
    SET(m, KEY_SHARE, "\0\0");
}
static void ch_share_without_group(struct loop_message *m)
{
    SET(m, GROUPS, "\0\x02\0\x17");
}
static void ch_two_shares(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\0\x0a\0\x17\0\x01x\0\x17\0\x01y");
}
static void ch_empty_share(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\0\x04\0\x17\0\0");
}
static void ch_short_share(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\0\x06\0\x17\0\x02xy");
}
static void ch_zero_share(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\0\x24\0\x1d\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
}
static void ch_grease_share(struct loop_message *m)
{
    SET(m, GROUPS, "\0\x08\x8a\x8a\0\x1d\0\x17\0\x18");
    SET(m, KEY_SHARE, "\0\x29\x8a\x8a\0\x01\0\0\x1d\0\x20"
                      "0123456789abcdef0123456789abcdef");
}
static void ch_double(struct loop_message *m)
{
    ADD(m, GREASE, "");
    ADD(m, GREASE, "");
}
static void ch_compression(struct loop_message *m)
{
    size_t at = edit_suites(m);
    at += 2 + milgi__get16(m->data + at);
    edit_splice(m, at, 2, "\x02\x01\0", 3);
}
static void ch_strange_suites(struct loop_message *m)
{
    size_t at = edit_suites(m);
    edit_splice(m, at, 2 + milgi__get16(m->data + at), "\0\x04\xc0\x2b\x0a\x0a", 6);
}
static void ch_grease(struct loop_message *m)
{
    size_t at = edit_suites(m);
    edit_splice(m, at, 2 + milgi__get16(m->data + at), "\0\x06\x0a\x0a\x13\x02\x13\x01", 8);
    ADD(m, GREASE, "x");
    ADD(m, 0xfafa, "");
    SET(m, SCHEMES, "\0\x06\x1a\x1a\x04\x03\x08\x04");
}
static void ch_misplaced(struct loop_message *m)
{
    ADD(m, OID_FILTERS, "\0\0");
}
static void ch_psk_first(struct loop_message *m)
{
    ADD(m, PSK_MODES, "\x01\x01");
    ADD(m, PSK, psk);
}
static void ch_psk(struct loop_message *m)
{
    ADD(m, PSK_MODES, "\x01\x01");
    ADD(m, EARLY_DATA, "");
    edit_add(m, PSK, psk, sizeof psk - 1, true);
}
static void ch_psk_without_modes(struct loop_message *m)
{
    edit_add(m, PSK, psk, sizeof psk - 1, true);
}
static void ch_psk_malformed(struct loop_message *m)
{
    ADD(m, PSK_MODES, "\x01\x01");
    edit_add(m, PSK, psk, sizeof psk - 2, true);
}
static void ch_names_two(struct loop_message *m)
{
    SET(m, SERVER_NAME, "\0\x08\0\0\x01"
                        "a\0\0\x01"
                        "b");
}
static void ch_name_zero(struct loop_message *m)
{
    SET(m, SERVER_NAME, "\0\x06\0\0\x03"
                        "a\0b");
}
static void ch_name_empty(struct loop_message *m)
{
    SET(m, SERVER_NAME, "\0\0");
}
static void ch_name_other_type(struct loop_message *m)
{
    SET(m, SERVER_NAME, "\0\x04\x07\0\x01"
                        "a");
}
static void ch_alpn_empty_name(struct loop_message *m)
{
    SET(m, ALPN, "\0\x03\0\x01x");
}
static void ch_alpn_other(struct loop_message *m)
{
    SET(m, ALPN, "\0\x05\x04spdy");
}
static void ch_old_schemes(struct loop_message *m)
{
    SET(m, SCHEMES, "\0\x04\x04\x01\x02\x01");
}
static void ch_no_scheme_of_ours(struct loop_message *m)
{
    SET(m, SCHEMES, "\0\x02\x08\x07");
}
static void ch_long_session(struct loop_message *m)
{
    edit_splice(m, edit_session_id(m) + 1, 0, "x", 1);
    m->data[edit_session_id(m)]++;
}

static void the_server_answers_each_client_hello_as_the_rfc_says(void **state)
{
    (void)state;
    static const struct {
        edit_fn fn;
        int alert; /* -1: goes on */
    } cases[] = {
        { ch_no_versions, MILGI_ALERT_PROTOCOL_VERSION },
        { ch_old_versions, MILGI_ALERT_PROTOCOL_VERSION },
        { ch_grease_versions, -1 },
        { ch_odd_versions, MILGI_ALERT_DECODE_ERROR },
        { ch_no_schemes, MILGI_ALERT_MISSING_EXTENSION },
        { ch_no_groups, MILGI_ALERT_MISSING_EXTENSION },
        { ch_no_shares, MILGI_ALERT_MISSING_EXTENSION },
        { ch_strange_groups, MILGI_ALERT_HANDSHAKE_FAILURE },
        { ch_share_without_group, MILGI_ALERT_ILLEGAL_PARAMETER },
        { ch_two_shares, MILGI_ALERT_ILLEGAL_PARAMETER },
        { ch_empty_share, MILGI_ALERT_DECODE_ERROR },
        { ch_short_share, MILGI_ALERT_ILLEGAL_PARAMETER },
        { ch_zero_share, MILGI_ALERT_ILLEGAL_PARAMETER },
        { ch_grease_share, -1 },
        { ch_double, MILGI_ALERT_ILLEGAL_PARAMETER },
        { ch_compression, MILGI_ALERT_ILLEGAL_PARAMETER },
        { ch_strange_suites, MILGI_ALERT_HANDSHAKE_FAILURE },
        { ch_grease, -1 },
        { ch_misplaced, MILGI_ALERT_ILLEGAL_PARAMETER },
        { ch_psk_first, MILGI_ALERT_ILLEGAL_PARAMETER },
        { ch_psk, -1 },
        { ch_psk_without_modes, MILGI_ALERT_MISSING_EXTENSION },
        { ch_psk_malformed, MILGI_ALERT_DECODE_ERROR },
        { ch_names_two, MILGI_ALERT_ILLEGAL_PARAMETER },
        { ch_name_zero, MILGI_ALERT_ILLEGAL_PARAMETER },
        { ch_name_empty, MILGI_ALERT_DECODE_ERROR },
        { ch_name_other_type, -1 },
        { ch_alpn_empty_name, MILGI_ALERT_DECODE_ERROR },
        { ch_alpn_other, MILGI_ALERT_NO_APPLICATION_PROTOCOL },
        { ch_old_schemes, MILGI_ALERT_HANDSHAKE_FAILURE },
        { ch_no_scheme_of_ours, MILGI_ALERT_HANDSHAKE_FAILURE },
        { ch_long_session, MILGI_ALERT_DECODE_ERROR },
    };
    static const char *const protocols[] = { "h2" };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct edit edit = { MILGI__MSG_CLIENT_HELLO, 0, false, cases[i].fn };
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_alpn(client, protocols, 1));
        MUST(milgi_config_set_alpn(server, protocols, 1));
        struct loop *loop = edited(&edit, client, server);
        if (cases[i].alert >= 0) {
            if (loop_alert(&loop->server) != cases[i].alert)
                print_error("case %u\n", i);
            assert_alert(&loop->server, cases[i].alert);
        } else {
            if (!loop_sent(&loop->server, MILGI__MSG_FINISHED, 0))
                fail_msg("case %u: %s", i, milgi__hs_failure(loop->server.hs)->detail);
        }
        loop_free(loop);
    }
}

/* --- the second ClientHello ------------------------------------------------------------------------------------- */

static void second_unchanged(struct loop_message *m)
{
    (void)m;
}
static void second_other_random(struct loop_message *m)
{
    m->data[8] ^= 1;
}
static void second_other_name(struct loop_message *m)
{
    SET(m, SERVER_NAME, "\0\x04\0\0\x01"
                        "b");
}
static void second_fewer_suites(struct loop_message *m)
{
    size_t at = edit_suites(m);
    edit_splice(m, at, 2 + milgi__get16(m->data + at), "\0\x02\x13\x01", 4);
}
static void second_new_extension(struct loop_message *m)
{
    ADD(m, GREASE, "");
}
static void second_early_data(struct loop_message *m)
{
    ADD(m, EARLY_DATA, "");
}
static void second_padding(struct loop_message *m)
{
    ADD(m, PADDING, "\0\0\0");
}
static void second_cookie(struct loop_message *m)
{
    ADD(m, COOKIE, "\0\x01x");
}
static void second_empty_shares(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\0\0");
}
static void second_other_group(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\0\x24\0\x1d\0\x20"
                      "0123456789abcdef0123456789abcdef");
}

static void the_second_client_hello_must_be_the_first_with_another_share(void **state)
{
    (void)state;
    static const struct {
        edit_fn fn;
        int alert;
    } cases[] = {
        { second_unchanged, -1 },
        { second_other_random, MILGI_ALERT_ILLEGAL_PARAMETER },
        { second_other_name, MILGI_ALERT_ILLEGAL_PARAMETER },
        { second_fewer_suites, MILGI_ALERT_ILLEGAL_PARAMETER },
        { second_new_extension, MILGI_ALERT_ILLEGAL_PARAMETER },
        { second_early_data, MILGI_ALERT_ILLEGAL_PARAMETER },
        { second_padding, -1 },
        { second_cookie, MILGI_ALERT_ILLEGAL_PARAMETER },
        { second_empty_shares, MILGI_ALERT_ILLEGAL_PARAMETER },
        { second_other_group, MILGI_ALERT_ILLEGAL_PARAMETER },
    };
    static const uint16_t p256 = MILGI_GROUP_SECP256R1;
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct edit edit = { MILGI__MSG_CLIENT_HELLO, 1, false, cases[i].fn };
        struct milgi_config *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_groups(server, &p256, 1));
        struct loop *loop = edited(&edit, client_config(), server);
        if (cases[i].alert >= 0)
            assert_alert(&loop->server, cases[i].alert);
        else
            assert_non_null(loop_sent(&loop->server, MILGI__MSG_FINISHED, 0));
        loop_free(loop);
    }
}

static void rejected_early_data_is_skipped_until_the_second_flight(void **state)
{
    (void)state;
    static const uint16_t p256 = MILGI_GROUP_SECP256R1;
    for (unsigned retry = 0; retry < 2; retry++) {
        struct edit edit = { MILGI__MSG_CLIENT_HELLO, 0, false, ch_psk };
        struct milgi_config *server = server_config(IDENTITY_P256);
        if (retry != 0)
            MUST(milgi_config_set_groups(server, &p256, 1));
        struct loop *loop = loop_of(client_config(), server);
        loop->tamper = edit_apply;
        loop->tamper_arg = &edit;
        assert_false(milgi__hs_skips_early(loop->server.hs));
        loop_run(&loop->client);
        loop_run(&loop->server);
        loop_deliver(loop, &loop->client);
        assert_true(milgi__hs_skips_early(loop->server.hs));
        assert_int_equal(
            loop->server.level[MILGI__READ], retry != 0 ? MILGI__LEVEL_INITIAL : MILGI__LEVEL_HANDSHAKE);
        loop_pump(loop); /* the second ClientHello, without early data, differs in nothing else */
        if (retry != 0)
            assert_false(milgi__hs_skips_early(loop->server.hs));
        loop_free(loop);
    }
}

static void ch_certificates_by_ecdsa(struct loop_message *m)
{
    edit_set(m, 50, "\0\x02\x04\x03", 4);
}
static void ch_certificates_by_rsa(struct loop_message *m)
{
    edit_set(m, 50, "\0\x02\x04\x01", 4);
}

static void the_credential_is_signed_as_the_client_wishes(void **state)
{
    (void)state;
    struct identity *root = identity_root(IDENTITY_RSA, "rsa root");
    struct identity *leaf = identity_leaf(root, IDENTITY_P256, "DNS:a.test");
    struct milgi_credential *by_rsa = NULL;
    MUST(milgi_credential_new_pem(
        leaf->chain_pem, strlen(leaf->chain_pem), leaf->key_pem, strlen(leaf->key_pem), &by_rsa));
    for (unsigned i = 0; i < 4; i++) {
        struct edit edit = {
            MILGI__MSG_CLIENT_HELLO, 0, false, i % 2 == 0 ? ch_certificates_by_rsa : ch_certificates_by_ecdsa
        };
        struct milgi_credential *by_ecdsa = fixture.credential[IDENTITY_P256];
        struct milgi_config *server = milgi_config_new(MILGI_SERVER);
        MUST(milgi_config_add_credential(server, i < 2 ? by_rsa : by_ecdsa));
        MUST(milgi_config_add_credential(server, i < 2 ? by_ecdsa : by_rsa));
        struct loop *loop = edited(&edit, client_config(), server);
        assert_ptr_equal(milgi__hs_result(loop->server.hs)->credential, i % 2 == 0 ? by_rsa : by_ecdsa);
        loop_free(loop);
    }
    milgi_credential_unref(by_rsa);
    identity_free(leaf);
    identity_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_answers_each_client_hello_as_the_rfc_says),
        cmocka_unit_test(the_second_client_hello_must_be_the_first_with_another_share),
        cmocka_unit_test(the_credential_is_signed_as_the_client_wishes),
        cmocka_unit_test(rejected_early_data_is_skipped_until_the_second_flight),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
