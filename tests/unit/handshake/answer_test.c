/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are well formed and wrong: what a client reads of its server, and a server of its client. */
#include "edit.h"

/* --- ServerHello ------------------------------------------------------------------------------------------------ */

static void sh_old(struct loop_message *m)
{
    edit_remove(m, VERSIONS);
}
static void sh_downgraded(struct loop_message *m)
{
    edit_remove(m, VERSIONS);
    memcpy(m->data + 4 + 2 + 24, "DOWNGRD\x01", 8);
}
static void sh_downgraded_far(struct loop_message *m)
{
    edit_remove(m, VERSIONS);
    memcpy(m->data + 4 + 2 + 24, "DOWNGRD\0", 8);
}
static void sh_selects_old(struct loop_message *m)
{
    SET(m, VERSIONS, "\x03\x03");
}
static void sh_session(struct loop_message *m)
{
    m->data[edit_session_id(m) + 1] ^= 1;
}
static void sh_no_session(struct loop_message *m)
{
    edit_splice(m, edit_session_id(m), 33, "\0", 1);
}
static void sh_suite(struct loop_message *m)
{
    edit_splice(m, edit_suites(m), 2, "\x13\x04", 2);
}
static void sh_old_suite(struct loop_message *m)
{
    edit_splice(m, edit_suites(m), 2, "\xc0\x2b", 2);
}
static void sh_compression(struct loop_message *m)
{
    m->data[edit_suites(m) + 2] = 1;
}
static void sh_no_share(struct loop_message *m)
{
    edit_remove(m, KEY_SHARE);
}
static void sh_group(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\0\x17\0\x01x");
}
static void sh_short_share(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\0\x1d\0\x01x");
}
static void sh_zero_share(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\0\x1d\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
}
static void sh_unknown(struct loop_message *m)
{
    ADD(m, GREASE, "");
}
static void sh_alpn(struct loop_message *m)
{
    ADD(m, ALPN, "\0\x03\x02h2");
}
static void sh_psk(struct loop_message *m)
{
    ADD(m, PSK, "\0\0");
}
static void sh_cookie(struct loop_message *m)
{
    ADD(m, COOKIE, "\0\x01x");
}
static void sh_double(struct loop_message *m)
{
    edit_add(m, VERSIONS, "\x03\x04", 2, true);
}
static void ee_unknown(struct loop_message *m)
{
    ADD(m, GREASE, "");
}
static void ee_share(struct loop_message *m)
{
    ADD(m, KEY_SHARE, "\0\x17");
}
static void ee_early(struct loop_message *m)
{
    ADD(m, EARLY_DATA, "");
}
static void ee_groups(struct loop_message *m)
{
    ADD(m, GROUPS, "\0\x04\x8a\x8a\0\x17");
}
static void ee_two_protocols(struct loop_message *m)
{
    SET(m, ALPN, "\0\x06\x02h2\x02h2");
}
static void ee_other_protocol(struct loop_message *m)
{
    SET(m, ALPN, "\0\x03\x02h3");
}
static void cr_no_schemes(struct loop_message *m)
{
    edit_remove(m, SCHEMES);
}
static void cr_context(struct loop_message *m)
{
    edit_splice(m, 4, 1, "\x01x", 2);
}
static void cr_unknown(struct loop_message *m)
{
    ADD(m, GREASE, "x");
    ADD(m, OID_FILTERS, "\0\0");
    ADD(m, STATUS_REQUEST, "");
}
static void cr_misplaced(struct loop_message *m)
{
    ADD(m, KEY_SHARE, "");
}
static void ct_empty(struct loop_message *m)
{
    edit_splice(m, 4, m->len - 4, "\0\0\0\0", 4);
}
static void ct_context(struct loop_message *m)
{
    edit_splice(m, 4, 1, "\x01x", 2);
}
static void ct_garbage(struct loop_message *m)
{
    edit_splice(m, 4, m->len - 4, "\0\0\0\x06\0\0\x01x\0\0", 10);
}
static void ct_unknown(struct loop_message *m)
{
    ADD(m, GREASE, "");
}
static void ct_status(struct loop_message *m)
{
    ADD(m, STATUS_REQUEST, "");
}
static void ct_misplaced(struct loop_message *m)
{
    ADD(m, ALPN, "");
}
static void cv_scheme_not_offered(struct loop_message *m)
{
    milgi__put16(m->data + 4, 0x0203);
}
static void cv_scheme_of_another_key(struct loop_message *m)
{
    milgi__put16(m->data + 4, MILGI_SIG_RSA_PSS_RSAE_SHA256);
}
static void cv_scheme_of_another_curve(struct loop_message *m)
{
    milgi__put16(m->data + 4, MILGI_SIG_ECDSA_SECP384R1_SHA384);
}
static void cv_pkcs1(struct loop_message *m)
{
    milgi__put16(m->data + 4, MILGI_SIG_RSA_PKCS1_SHA256);
}
static void cv_wrong(struct loop_message *m)
{
    m->data[m->len - 1] ^= 1;
}
static void cv_empty(struct loop_message *m)
{
    edit_splice(m, 6, m->len - 6, "\0\0", 2);
}
static void fin_wrong(struct loop_message *m)
{
    m->data[4] ^= 1;
}

struct answer {
    unsigned type;
    edit_fn fn;
    int alert;
};

static void the_client_refuses_each_wrong_answer_with_its_alert(void **state)
{
    (void)state;
    static const struct answer cases[] = {
        { MILGI__MSG_SERVER_HELLO, sh_old, MILGI_ALERT_PROTOCOL_VERSION },
        { MILGI__MSG_SERVER_HELLO, sh_downgraded, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_downgraded_far, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_selects_old, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_session, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_no_session, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_suite, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_old_suite, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_compression, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_no_share, MILGI_ALERT_MISSING_EXTENSION },
        { MILGI__MSG_SERVER_HELLO, sh_group, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_short_share, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_zero_share, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_unknown, MILGI_ALERT_UNSUPPORTED_EXTENSION },
        { MILGI__MSG_SERVER_HELLO, sh_alpn, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_psk, MILGI_ALERT_UNSUPPORTED_EXTENSION },
        { MILGI__MSG_SERVER_HELLO, sh_cookie, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_SERVER_HELLO, sh_double, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_ENCRYPTED_EXTENSIONS, ee_unknown, MILGI_ALERT_UNSUPPORTED_EXTENSION },
        { MILGI__MSG_ENCRYPTED_EXTENSIONS, ee_share, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_ENCRYPTED_EXTENSIONS, ee_early, MILGI_ALERT_UNSUPPORTED_EXTENSION },
        { MILGI__MSG_ENCRYPTED_EXTENSIONS, ee_two_protocols, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_ENCRYPTED_EXTENSIONS, ee_other_protocol, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_CERTIFICATE_REQUEST, cr_no_schemes, MILGI_ALERT_MISSING_EXTENSION },
        { MILGI__MSG_CERTIFICATE_REQUEST, cr_context, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_CERTIFICATE_REQUEST, cr_misplaced, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_CERTIFICATE, ct_empty, MILGI_ALERT_DECODE_ERROR },
        { MILGI__MSG_CERTIFICATE, ct_context, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_CERTIFICATE, ct_garbage, MILGI_ALERT_BAD_CERTIFICATE },
        { MILGI__MSG_CERTIFICATE, ct_unknown, MILGI_ALERT_UNSUPPORTED_EXTENSION },
        { MILGI__MSG_CERTIFICATE, ct_status, MILGI_ALERT_UNSUPPORTED_EXTENSION },
        { MILGI__MSG_CERTIFICATE, ct_misplaced, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_CERTIFICATE_VERIFY, cv_scheme_not_offered, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_CERTIFICATE_VERIFY, cv_scheme_of_another_key, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_CERTIFICATE_VERIFY, cv_scheme_of_another_curve, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_CERTIFICATE_VERIFY, cv_pkcs1, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_FINISHED, fin_wrong, MILGI_ALERT_DECRYPT_ERROR },
    };
    static const char *const protocols[] = { "h2" };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct edit edit = { cases[i].type, 0, true, cases[i].fn };
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_alpn(client, protocols, 1));
        MUST(milgi_config_set_alpn(server, protocols, 1));
        MUST(milgi_config_set_trust(server, fixture.trust));
        struct loop *loop = edited(&edit, client, server);
        if (loop_alert(&loop->client) != cases[i].alert)
            print_error("case %u\n", i);
        assert_alert(&loop->client, cases[i].alert);
        assert_int_equal(loop->client.sent_n, 1);
        loop_free(loop);
    }
}

static void cv_other_hash(struct loop_message *m)
{
    milgi__put16(m->data + 4, MILGI_SIG_RSA_PSS_RSAE_SHA384);
}

static void a_signature_algorithm_that_fits_the_key_must_be_offered_too(void **state)
{
    (void)state;
    static const uint16_t offered[] = { MILGI_SIG_RSA_PSS_RSAE_SHA256, MILGI_SIG_ECDSA_SECP256R1_SHA256 };
    struct edit edit = { MILGI__MSG_CERTIFICATE_VERIFY, 0, true, cv_other_hash };
    struct milgi_config *client = client_config();
    MUST(milgi_config_set_signature_schemes(client, offered, 2));
    struct loop *loop = edited(&edit, client, server_config(IDENTITY_RSA));
    assert_alert(&loop->client, MILGI_ALERT_ILLEGAL_PARAMETER);
    loop_free(loop);
}

static void what_is_unknown_in_a_request_is_tolerated(void **state)
{
    (void)state;
    static const struct answer cases[] = {
        { MILGI__MSG_CERTIFICATE_REQUEST, cr_unknown, MILGI_ALERT_DECRYPT_ERROR },
        { MILGI__MSG_ENCRYPTED_EXTENSIONS, ee_groups, MILGI_ALERT_DECRYPT_ERROR },
    };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct edit edit = { cases[i].type, 0, true, cases[i].fn };
        struct milgi_config *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_trust(server, fixture.trust));
        struct loop *loop = edited(&edit, client_config(), server);
        assert_alert(&loop->client, cases[i].alert); /* the transcripts differ, but nothing else was wrong */
        assert_string_equal(milgi__hs_failure(loop->client.hs)->detail, "the peer's Finished is wrong");
        loop_free(loop);
    }
}

/* Finished does not help: transcripts agree, but the signature is bad. */
static void a_wrong_signature_is_refused_even_if_any_server_is_accepted(void **state)
{
    (void)state;
    static const edit_fn wrong[] = { cv_wrong, cv_empty };
    for (unsigned i = 0; i < 4; i++) {
        struct edit edit = { MILGI__MSG_CERTIFICATE_VERIFY, 0, true, wrong[i % 2] };
        struct milgi_config *client = i < 2 ? client_config() : milgi_config_new(MILGI_CLIENT);
        if (i >= 2)
            MUST(milgi_config_dangerously_accept_any_server(client));
        struct loop *loop = loop_of(client, server_config(IDENTITY_P256));
        loop->tamper = edit_apply;
        loop->tamper_arg = &edit;
        loop->queued = true;
        for (unsigned k = 0; k < 64 && !loop_sent(&loop->server, MILGI__MSG_FINISHED, 0); k++) {
            loop_pump(loop);
            while (loop->client.ops_n > 0)
                loop_finish(&loop->client, 0, MILGI_OP_OK);
            while (loop->server.ops_n > 0)
                loop_finish(&loop->server, 0, MILGI_OP_OK);
        }
        while (loop_deliver(loop, &loop->server) && loop->client.ops_n == 0)
            continue;
        while (loop->client.ops_n > 0 && loop->client.ops[0].slot != MILGI__VERIFY)
            loop_finish(&loop->client, 0, MILGI_OP_OK);
        while (loop_sent(&loop->server, MILGI__MSG_CERTIFICATE_VERIFY, 0) >= &loop->server.sent[loop->server.taken])
            loop_deliver(loop, &loop->server);
        struct loop_op *verify = &loop->client.ops[loop->client.ops_n - 1];
        assert_int_equal(verify->slot, MILGI__VERIFY);
        loop_finish(&loop->client, loop->client.ops_n - 1, MILGI_OP_OK);
        assert_int_equal(loop->client.hs->failed, MILGI__ON(MILGI__VERIFY));
        const struct milgi__failure *why = milgi__hs_why(loop->client.hs, MILGI__VERIFY);
        assert_int_equal(why->error, MILGI_EVERIFY);
        assert_int_equal(why->alert, MILGI_ALERT_DECRYPT_ERROR);
        assert_int_not_equal(loop->client.wait, MILGI__HS_OPEN);
        loop_free(loop);
    }
}

/* --- HelloRetryRequest ------------------------------------------------------------------------------------------ */

static void hrr_nothing(struct loop_message *m)
{
    edit_remove(m, KEY_SHARE);
}
static void hrr_known_group(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\0\x1d");
}
static void hrr_strange_group(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\x01\0");
}
static void hrr_no_version(struct loop_message *m)
{
    edit_remove(m, VERSIONS);
}
static void hrr_unknown(struct loop_message *m)
{
    ADD(m, GREASE, "");
}
static void hrr_session(struct loop_message *m)
{
    m->data[edit_session_id(m) + 1] ^= 1;
}
static void second_hrr(struct loop_message *m)
{
    static const uint8_t random[32] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e,
        0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33,
        0x9c };
    memcpy(m->data + 6, random, 32);
}
static void after_hrr_other_suite(struct loop_message *m)
{
    m->data[edit_suites(m) + 1] ^= 3; /* 0x1301 <-> 0x1302 */
}
static void after_hrr_old_version(struct loop_message *m)
{
    edit_remove(m, VERSIONS);
}
static void after_hrr_other_group(struct loop_message *m)
{
    SET(m, KEY_SHARE, "\0\x1d\0\x20"
                      "0123456789abcdef0123456789abcdef");
}

static void a_wrong_retry_is_refused(void **state)
{
    (void)state;
    static const struct {
        unsigned nth;
        edit_fn fn;
        int alert;
    } cases[] = {
        { 0, hrr_nothing, MILGI_ALERT_ILLEGAL_PARAMETER },
        { 0, hrr_known_group, MILGI_ALERT_ILLEGAL_PARAMETER },
        { 0, hrr_strange_group, MILGI_ALERT_ILLEGAL_PARAMETER },
        { 0, hrr_no_version, MILGI_ALERT_MISSING_EXTENSION },
        { 0, hrr_unknown, MILGI_ALERT_UNSUPPORTED_EXTENSION },
        { 0, hrr_session, MILGI_ALERT_ILLEGAL_PARAMETER },
        { 0, sh_suite, MILGI_ALERT_ILLEGAL_PARAMETER },
        { 1, second_hrr, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { 1, after_hrr_other_suite, MILGI_ALERT_ILLEGAL_PARAMETER },
        { 1, after_hrr_old_version, MILGI_ALERT_ILLEGAL_PARAMETER },
        { 1, after_hrr_other_group, MILGI_ALERT_ILLEGAL_PARAMETER },
    };
    static const uint16_t p256 = MILGI_GROUP_SECP256R1;
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct edit edit = { MILGI__MSG_SERVER_HELLO, cases[i].nth, true, cases[i].fn };
        struct milgi_config *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_groups(server, &p256, 1));
        struct loop *loop = edited(&edit, client_config(), server);
        if (loop_alert(&loop->client) != cases[i].alert)
            print_error("case %u\n", i);
        assert_alert(&loop->client, cases[i].alert);
        loop_free(loop);
    }
}

static void hrr_cookie(struct loop_message *m)
{
    ADD(m, COOKIE, "\0\x05taste");
}
static void hrr_cookie_only(struct loop_message *m)
{
    edit_remove(m, KEY_SHARE);
    ADD(m, COOKIE, "\0\x05taste");
}

static void hrr_long_cookie(struct loop_message *m)
{
    static uint8_t cookie[2 + 65440];
    milgi__put16(cookie, sizeof cookie - 2);
    edit_add(m, COOKIE, cookie, sizeof cookie, false);
}

/* A message that can be read, and cannot be answered: that is the server's fault, and not ours. */
static void a_cookie_for_which_a_hello_has_no_room_is_refused(void **state)
{
    static const uint16_t p384 = MILGI_GROUP_SECP384R1;
    (void)state;
    struct milgi_config *server = server_config(IDENTITY_P256);
    MUST(milgi_config_set_groups(server, &p384, 1));
    struct edit edit = { MILGI__MSG_SERVER_HELLO, 0, true, hrr_long_cookie };
    struct loop *loop = edited(&edit, client_config(), server);
    assert_alert(&loop->client, MILGI_ALERT_ILLEGAL_PARAMETER);
    assert_int_equal(milgi__hs_failure(loop->client.hs)->error, MILGI_ELIMIT);
    loop_free(loop);
}

static void a_cookie_is_given_back(void **state)
{
    (void)state;
    static const uint16_t p256 = MILGI_GROUP_SECP256R1;
    for (unsigned only = 0; only < 2; only++) {
        struct edit edit = { MILGI__MSG_SERVER_HELLO, 0, true, only != 0 ? hrr_cookie_only : hrr_cookie };
        struct milgi_config *server = server_config(IDENTITY_P256);
        MUST(milgi_config_set_groups(server, &p256, 1));
        struct loop *loop = edited(&edit, client_config(), server);
        const struct loop_message *first = loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 0);
        const struct loop_message *second = loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 1);
        assert_non_null(second);
        assert_true(edit_has(second, COOKIE));
        /* The share is another one only if another group was asked for. */
        assert_int_equal(second->len - first->len, (only != 0 ? 0 : 65 - 32) + 4 + 2 + 5);
        assert_alert(&loop->server, MILGI_ALERT_ILLEGAL_PARAMETER); /* ours has never given it one */
        loop_free(loop);
    }
}

/* --- a server reads its client ---------------------------------------------------------------------------------- */

static void the_server_refuses_each_wrong_answer_with_its_alert(void **state)
{
    (void)state;
    static const struct answer cases[] = {
        { MILGI__MSG_CERTIFICATE, ct_context, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_CERTIFICATE, ct_garbage, MILGI_ALERT_BAD_CERTIFICATE },
        { MILGI__MSG_CERTIFICATE, ct_empty, MILGI_ALERT_CERTIFICATE_REQUIRED },
        { MILGI__MSG_CERTIFICATE, ct_unknown, MILGI_ALERT_UNSUPPORTED_EXTENSION },
        { MILGI__MSG_CERTIFICATE_VERIFY, cv_scheme_not_offered, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_CERTIFICATE_VERIFY, cv_scheme_of_another_key, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_CERTIFICATE_VERIFY, cv_scheme_of_another_curve, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI__MSG_FINISHED, fin_wrong, MILGI_ALERT_DECRYPT_ERROR },
    };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct edit edit = { cases[i].type, 0, false, cases[i].fn };
        struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
        MUST(milgi_config_add_credential(client, fixture.client_credential[0]));
        MUST(milgi_config_set_trust(server, fixture.trust));
        struct loop *loop = edited(&edit, client, server);
        if (loop_alert(&loop->server) != cases[i].alert)
            print_error("case %u\n", i);
        assert_alert(&loop->server, cases[i].alert);
        loop_free(loop);
    }
}

static void certificates_that_do_not_do_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct identity_options options;
        int alert;
    } cases[] = {
        { { .key = IDENTITY_P256, .names = "DNS:other.test" }, MILGI_ALERT_BAD_CERTIFICATE },
        { { .key = IDENTITY_P256, .names = "DNS:a.test", .not_before_s = 1000000, .not_after_s = 2000000 },
            MILGI_ALERT_CERTIFICATE_EXPIRED },
        { { .key = IDENTITY_P256, .names = "DNS:a.test", .purpose = IDENTITY_FOR_CLIENT },
            MILGI_ALERT_UNSUPPORTED_CERTIFICATE },
    };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct identity_options options = cases[i].options;
        options.issuer = fixture.root;
        struct identity *id = identity_new(&options);
        struct milgi_credential *credential = NULL;
        struct milgi_config *server = milgi_config_new(MILGI_SERVER);
        MUST(milgi_credential_new_pem(
            id->chain_pem, strlen(id->chain_pem), id->key_pem, strlen(id->key_pem), &credential));
        MUST(milgi_config_add_credential(server, credential));
        struct loop *loop = loop_of(client_config(), server);
        loop_pump(loop);
        assert_alert(&loop->client, cases[i].alert);
        assert_int_equal(milgi__hs_failure(loop->client.hs)->error, MILGI_EVERIFY);
        assert_int_equal(loop->client.sent_n, 1);
        loop_free(loop);
        milgi_credential_unref(credential);
        identity_free(id);
    }
}

static const struct identity *shown;
static void ct_shown(struct loop_message *m)
{
    size_t at = 4 + 1 + 3 + 3, len = milgi__get24(m->data + at - 3);
    edit_splice(m, at, len, shown->cert_der, shown->cert_der_len);
    for (size_t i = 0; i < 3; i++) {
        m->data[at - 3 + i] = (uint8_t)(shown->cert_der_len >> (16 - 8 * i));
        m->data[at - 6 + i] = (uint8_t)((shown->cert_der_len + 5) >> (16 - 8 * i));
    }
}

/* Even if any server is accepted: what can be seen without verifying a chain. */
static void keys_that_cannot_sign_well_are_refused_at_once(void **state)
{
    (void)state;
    static const struct {
        struct identity_options options;
        int alert;
    } cases[] = {
        { { .key = IDENTITY_ED448 }, MILGI_ALERT_UNSUPPORTED_CERTIFICATE },
        { { .key = IDENTITY_P256, .usage = "critical,keyAgreement" }, MILGI_ALERT_UNSUPPORTED_CERTIFICATE },
        { { .key = IDENTITY_RSA, .rsa_bits = 1024 }, MILGI_ALERT_BAD_CERTIFICATE },
        { { .key = IDENTITY_RSA, .rsa_bits = 2048 }, MILGI_ALERT_ILLEGAL_PARAMETER }, /* the signature is another's */
    };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct identity *id = identity_new(&cases[i].options);
        struct edit edit = { MILGI__MSG_CERTIFICATE, 0, true, ct_shown };
        struct milgi_config *client = milgi_config_new(MILGI_CLIENT);
        MUST(milgi_config_dangerously_accept_any_server(client));
        shown = id;
        struct loop *loop = edited(&edit, client, server_config(IDENTITY_P256));
        assert_alert(&loop->client, cases[i].alert);
        loop_free(loop);
        identity_free(id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_refuses_each_wrong_answer_with_its_alert),
        cmocka_unit_test(a_signature_algorithm_that_fits_the_key_must_be_offered_too),
        cmocka_unit_test(what_is_unknown_in_a_request_is_tolerated),
        cmocka_unit_test(a_wrong_signature_is_refused_even_if_any_server_is_accepted),
        cmocka_unit_test(a_wrong_retry_is_refused),
        cmocka_unit_test(a_cookie_is_given_back),
        cmocka_unit_test(a_cookie_for_which_a_hello_has_no_room_is_refused),
        cmocka_unit_test(the_server_refuses_each_wrong_answer_with_its_alert),
        cmocka_unit_test(certificates_that_do_not_do_are_refused),
        cmocka_unit_test(keys_that_cannot_sign_well_are_refused_at_once),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
