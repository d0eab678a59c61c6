/* SPDX-License-Identifier: Apache-2.0 */
/* What stands beside a server's certificate in TLS 1.2: its forms and places (RFC 6066 8, RFC 6962 3.3). */
#include <milgi/policy.h>

#include "edit.h"
#include "loop.h"

#define STATUS 5
#define TIMESTAMPS 18
#define V12 MILGI_TLS_1_2

static const uint8_t list[] = { 0, 7, 0, 1, 'a', 0, 2, 'b', 'c' };

static struct milgi_config *asking(bool any)
{
    struct milgi_config *config = client_config();
    MUST(milgi_config_set_versions(config, V12, V12));
    MUST(milgi_config_set_ocsp(config, MILGI_OCSP_ASK));
    MUST(milgi_config_set_scts(config, true));
    if (any)
        MUST(milgi_config_dangerously_accept_any_server(config));
    return config;
}

static struct milgi_config *answering(void)
{
    struct milgi_config *config = server_config(IDENTITY_P256);
    MUST(milgi_config_set_versions(config, V12, V12));
    return config;
}

/* What is put in front of a message of the server, and what is done to its hello. */
struct told {
    const char *name;
    const char *hello; /* body of status_request in ServerHello; NULL: none */
    size_t hello_len;
    const char *status; /* a CertificateStatus, whole; NULL: none */
    size_t status_len;
    uint8_t before; /* the message in front of which it stands */
    int alert;      /* of the client; -1: none */
};

static bool tell(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    const struct told *told = loop->tamper_arg;
    if (from != &loop->server)
        return true;
    if (m->data[0] == MILGI__MSG_SERVER_HELLO && told->hello)
        edit_set(m, STATUS, told->hello, told->hello_len);
    if (m->data[0] == told->before && told->status)
        loop_input(&loop->client, m->level, told->status, told->status_len);
    return true;
}

#define BODY(text) text, sizeof(text) - 1
#define NOTHING NULL, 0
#define BEFORE_EXCHANGE MILGI__MSG_SERVER_KEY_EXCHANGE

/*
 * Those that the client takes end with a bad signature or Finished, since the server has not said them: what counts is
 * that nothing is wrong with them.
 */
static void a_status_has_its_form_and_place(void **state)
{
    static const struct told all[] = {
        { "nothing", NOTHING, NOTHING, 0, -1 },
        { "a status", BODY(""), BODY("\x16\0\0\5\1\0\0\1x"), BEFORE_EXCHANGE, MILGI_ALERT_DECRYPT_ERROR },
        { "none, though it was announced", BODY(""), NOTHING, 0, MILGI_ALERT_DECRYPT_ERROR },
        { "one that was not announced", NOTHING, BODY("\x16\0\0\5\1\0\0\1x"), BEFORE_EXCHANGE,
            MILGI_ALERT_UNEXPECTED_MESSAGE },
        { "of another type", BODY(""), BODY("\x16\0\0\5\2\0\0\1x"), BEFORE_EXCHANGE, MILGI_ALERT_ILLEGAL_PARAMETER },
        { "an empty one", BODY(""), BODY("\x16\0\0\4\1\0\0\0"), BEFORE_EXCHANGE, MILGI_ALERT_DECODE_ERROR },
        { "half of one", BODY(""), BODY("\x16\0\0\5\1\0\0\2x"), BEFORE_EXCHANGE, MILGI_ALERT_DECODE_ERROR },
        { "more behind it", BODY(""), BODY("\x16\0\0\6\1\0\0\1xy"), BEFORE_EXCHANGE, MILGI_ALERT_DECODE_ERROR },
        { "before the certificate", BODY(""), BODY("\x16\0\0\5\1\0\0\1x"), MILGI__MSG_CERTIFICATE,
            MILGI_ALERT_UNEXPECTED_MESSAGE },
        { "behind the key exchange", BODY(""), BODY("\x16\0\0\5\1\0\0\1x"), MILGI__MSG_SERVER_HELLO_DONE,
            MILGI_ALERT_UNEXPECTED_MESSAGE },
        { "announced with a body", BODY("\1\0\0\1x"), NOTHING, 0, MILGI_ALERT_DECODE_ERROR },
    };
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(all); i++) {
        struct loop *loop = loop_of(asking(true), answering());
        loop->tamper = tell;
        loop->tamper_arg = (void *)(uintptr_t)&all[i];
        loop_pump(loop);
        int alert = loop_alert(&loop->client);
        /* That the hello was changed is found out by whoever computes with it first: the server. */
        if (all[i].alert == MILGI_ALERT_DECRYPT_ERROR && alert == -1)
            alert = loop_alert(&loop->server);
        if (alert != all[i].alert)
            fail_msg("%s: %d", all[i].name, alert);
        loop_free(loop);
    }
}

static void twice_is_once_too_often(void **state)
{
    static const char twice[] = "\x16\0\0\5\1\0\0\1x\x16\0\0\5\1\0\0\1x";
    static const struct told told = { "twice", BODY(""), BODY(twice), BEFORE_EXCHANGE, 0 };
    (void)state;
    struct loop *loop = loop_of(asking(true), answering());
    loop->tamper = tell;
    loop->tamper_arg = (void *)(uintptr_t)&told;
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_UNEXPECTED_MESSAGE);
    loop_free(loop);
}

/* Whom the chain is judged for, and with what. */
static void a_status_that_is_no_response_is_refused_with_the_chain(void **state)
{
    static const struct told told = { "", BODY(""), BODY("\x16\0\0\5\1\0\0\1x"), BEFORE_EXCHANGE, 0 };
    (void)state;
    struct loop *loop = loop_of(asking(false), answering());
    loop->tamper = tell;
    loop->tamper_arg = (void *)(uintptr_t)&told;
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE);
    loop_free(loop);
}

static void one_that_is_longer_than_can_be_judged_is_refused(void **state)
{
    static uint8_t large[4 + 4 + MILGI_CHUNK_MAX];
    (void)state;
    struct milgi_config *client = asking(true);
    MUST(milgi_config_set_limit(client, MILGI_LIMIT_HANDSHAKE_MESSAGE, 1024 * 1024));
    large[0] = MILGI__MSG_CERTIFICATE_STATUS;
    large[1] = (sizeof large - 4) >> 16;
    milgi__put16(large + 2, (sizeof large - 4) & 0xffff);
    large[4] = 1;
    large[5] = MILGI_CHUNK_MAX >> 16;
    milgi__put16(large + 6, MILGI_CHUNK_MAX & 0xffff);
    const struct told told = { "", BODY(""), (const char *)large, sizeof large, BEFORE_EXCHANGE, 0 };
    struct loop *loop = loop_of(client, answering());
    loop->tamper = tell;
    loop->tamper_arg = (void *)(uintptr_t)&told;
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_BAD_CERTIFICATE);
    loop_free(loop);
}

static void what_was_not_asked_for_is_refused(void **state)
{
    static const struct told told = { "", BODY(""), NOTHING, 0, 0 };
    struct milgi_config *client = client_config();
    (void)state;
    MUST(milgi_config_set_versions(client, V12, V12));
    struct loop *loop = loop_of(client, answering());
    loop->tamper = tell;
    loop->tamper_arg = (void *)(uintptr_t)&told;
    loop_pump(loop);
    assert_alert(&loop->client, MILGI_ALERT_UNSUPPORTED_EXTENSION);
    loop_free(loop);
}

/* --- timestamps --------------------------------------------------------------------------------------------------- */

static bool spoil(struct loop *loop, struct loop_end *from, struct loop_message *m)
{
    if (from == &loop->server && m->data[0] == MILGI__MSG_SERVER_HELLO)
        edit_set(m, TIMESTAMPS, "\0\2\0\0", 4);
    return true;
}

static void timestamps_come_with_the_hello(void **state)
{
    (void)state;
    struct milgi_credential *credential = fixture.credential[IDENTITY_P256];
    MUST(milgi_credential_set_scts(credential, list, sizeof list));
    for (unsigned bad = 0; bad < 2; bad++) {
        struct loop *loop = loop_of(asking(false), answering());
        if (bad)
            loop->tamper = spoil;
        loop_pump(loop);
        if (bad) {
            assert_alert(&loop->client, MILGI_ALERT_DECODE_ERROR);
        } else {
            assert_open(loop);
            assert_int_equal(milgi__hs_result(loop->client.hs)->scts.len, sizeof list);
            assert_memory_equal(milgi__hs_result(loop->client.hs)->scts.data, list, sizeof list);
        }
        loop_free(loop);
    }
    MUST(milgi_credential_set_scts(credential, NULL, 0));
}

/* A list that would not fit into a ServerHello is left out. */
static void what_has_no_room_is_left_out(void **state)
{
    static uint8_t large[0xffff];
    (void)state;
    struct milgi_credential *credential = fixture.credential[IDENTITY_P256];
    milgi__put16(large, sizeof large - 2);
    milgi__put16(large + 2, sizeof large - 4);
    MUST(milgi_credential_set_scts(credential, large, sizeof large));
    for (uint16_t version = V12; version <= MILGI_TLS_1_3; version++) {
        struct milgi_config *client = asking(false), *server = answering();
        MUST(milgi_config_set_versions(client, version, version));
        MUST(milgi_config_set_versions(server, version, version));
        struct loop *loop = loop_of(client, server);
        loop_pump(loop);
        assert_open(loop);
        assert_int_equal(milgi__hs_result(loop->client.hs)->scts.len, 0);
        loop_free(loop);
    }
    MUST(milgi_credential_set_scts(credential, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_has_its_form_and_place),
        cmocka_unit_test(twice_is_once_too_often),
        cmocka_unit_test(a_status_that_is_no_response_is_refused_with_the_chain),
        cmocka_unit_test(one_that_is_longer_than_can_be_judged_is_refused),
        cmocka_unit_test(what_was_not_asked_for_is_refused),
        cmocka_unit_test(timestamps_come_with_the_hello),
        cmocka_unit_test(what_has_no_room_is_left_out),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
