/* SPDX-License-Identifier: Apache-2.0 */
/* External PSKs in messages that are not as they should be, and in more than anybody needs. */
#include "edit.h"

#define SECRET "thirty-two bytes, and no secret"

static void add(struct milgi_config *config, enum milgi_role role, const char *identity)
{
    struct milgi_psk *psk;
    struct milgi_psk_source source = { role, MILGI_PSK_SHA256, identity, strlen(identity), SECRET, sizeof SECRET };
    MUST(milgi_psk_new(&source, &psk));
    MUST(milgi_config_add_psk(config, psk));
    milgi_psk_unref(psk);
}

static struct loop *loop_on(bool retry)
{
    static const uint16_t p384[] = { MILGI_GROUP_SECP384R1 };
    struct milgi_config *client = client_config(), *server = server_config(IDENTITY_P256);
    add(client, MILGI_CLIENT, "us");
    add(client, MILGI_CLIENT, "them");
    add(server, MILGI_SERVER, "us");
    if (retry)
        MUST(milgi_config_set_groups(server, p384, 1));
    struct loop *loop = loop_of(client, server);
    milgi__hs_offer_psks(loop->client.hs, NULL, false);
    return loop;
}

/* --- what a client may say -------------------------------------------------------------------------------------- */

static size_t binders_at(const struct loop_message *m)
{
    return m->len - 2 - 2 * 33;
}

static void wrong_binder(struct loop_message *m)
{
    m->data[binders_at(m) + 2 + 1] ^= 1;
}

static void second_binder_wrong(struct loop_message *m)
{
    m->data[m->len - 1] ^= 1;
}

static void changed_hello(struct loop_message *m)
{
    m->data[MILGI__MSG_HEADER + 2] ^= 1; /* its random */
}

static void put16(struct loop_message *m, size_t at, int more)
{
    milgi__put16(m->data + at, (unsigned)((int)milgi__get16(m->data + at) + more));
}

static size_t psk_length_at(const struct loop_message *m)
{
    size_t at = edit_block(m);
    while (milgi__get16(m->data + at) != 41)
        at += 4 + milgi__get16(m->data + at + 2);
    return at + 2;
}

/* Inside the binders |cut| bytes at |at| make way for |n| zeros; the lengths around them follow. */
static void resize(struct loop_message *m, size_t at, size_t cut, size_t n)
{
    static const uint8_t zeros[64];
    const size_t lengths[] = { binders_at(m), psk_length_at(m), edit_block(m) - 2 };
    edit_splice(m, at, cut, zeros, n);
    for (unsigned i = 0; i < MILGI__COUNT(lengths); i++)
        put16(m, lengths[i], (int)n - (int)cut);
}

static void long_binder(struct loop_message *m)
{
    size_t first = binders_at(m) + 2;
    m->data[first] = 48;
    resize(m, first + 33, 0, 16);
}

static void short_binder(struct loop_message *m)
{
    size_t first = binders_at(m) + 2;
    m->data[first] = 31;
    resize(m, first + 32, 1, 0);
}

static void binder_too_few(struct loop_message *m)
{
    resize(m, m->len - 33, 33, 0);
}

static void list_beyond_its_end(struct loop_message *m)
{
    put16(m, binders_at(m), 1);
}

static void no_modes(struct loop_message *m)
{
    edit_remove(m, 45);
}

static void something_behind(struct loop_message *m)
{
    edit_add(m, 0x7a7a, "", 0, true);
}

static void other_modes(struct loop_message *m)
{
    SET(m, 45, "\2\2\3");
}

static void no_schemes(struct loop_message *m)
{
    edit_remove(m, 13);
    wrong_binder(m);
}

static void no_groups(struct loop_message *m)
{
    edit_remove(m, 10);
}

static const struct {
    edit_fn fn;
    int alert; /* -1: a full handshake is what comes of it, and then Finished is wrong */
} of_hello[] = {
    { wrong_binder, MILGI_ALERT_DECRYPT_ERROR },
    { changed_hello, MILGI_ALERT_DECRYPT_ERROR },
    { long_binder, MILGI_ALERT_DECRYPT_ERROR },
    { short_binder, MILGI_ALERT_DECODE_ERROR },
    { binder_too_few, MILGI_ALERT_ILLEGAL_PARAMETER },
    { list_beyond_its_end, MILGI_ALERT_DECODE_ERROR },
    { no_modes, MILGI_ALERT_MISSING_EXTENSION },
    { something_behind, MILGI_ALERT_ILLEGAL_PARAMETER },
    { no_schemes, MILGI_ALERT_DECRYPT_ERROR }, /* a PSK needs none */
    { no_groups, MILGI_ALERT_MISSING_EXTENSION },
};

static void a_hello_that_is_not_as_it_should_be_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MILGI__COUNT(of_hello); i++) {
        struct edit edit = { MILGI__MSG_CLIENT_HELLO, 0, false, of_hello[i].fn };
        struct loop *loop = loop_on(false);
        loop->tamper = edit_apply;
        loop->tamper_arg = &edit;
        loop_pump(loop);
        if (loop_alert(&loop->server) != of_hello[i].alert)
            fail_msg("edit %u: alert %d, not %d: %s", i, loop_alert(&loop->server), of_hello[i].alert,
                milgi__hs_failure(loop->server.hs)->detail);
        loop_free(loop);
    }
}

/*= RFC8446 4.2.11: "Servers SHOULD NOT attempt to validate multiple binders; rather, they SHOULD select a single PSK
 *= and validate solely the binder that corresponds to that PSK." */
static void a_binder_of_another_is_not_looked_at(void **state)
{
    (void)state;
    struct edit edit = { MILGI__MSG_CLIENT_HELLO, 0, false, second_binder_wrong };
    struct loop *loop = loop_on(false);
    loop->tamper = edit_apply;
    loop->tamper_arg = &edit;
    loop_pump(loop);
    assert_non_null(milgi__hs_result(loop->server.hs)->psk);
    assert_non_null(loop_sent(&loop->server, MILGI__MSG_FINISHED, 0));
    loop_free(loop);
}

/*= RFC8446 4.2.9: "Servers MUST NOT select a key exchange mode that is not listed by the client." */
static void without_a_mode_in_common_there_is_no_psk(void **state)
{
    (void)state;
    struct edit edit = { MILGI__MSG_CLIENT_HELLO, 0, false, other_modes };
    struct loop *loop = loop_on(false);
    loop->tamper = edit_apply;
    loop->tamper_arg = &edit;
    loop_pump(loop);
    assert_null(milgi__hs_result(loop->server.hs)->psk);
    assert_non_null(loop_sent(&loop->server, MILGI__MSG_CERTIFICATE, 0));
    loop_free(loop);
}

static void the_second_hello_is_bound_to_the_first(void **state)
{
    (void)state;
    static const edit_fn edits[] = { wrong_binder, long_binder };
    for (unsigned i = 0; i < MILGI__COUNT(edits); i++) {
        struct edit edit = { MILGI__MSG_CLIENT_HELLO, 1, false, edits[i] };
        struct loop *loop = loop_on(true);
        loop->tamper = edit_apply;
        loop->tamper_arg = &edit;
        loop_pump(loop);
        assert_alert(&loop->server, MILGI_ALERT_DECRYPT_ERROR);
        loop_free(loop);
    }
}

/* --- what a server may say -------------------------------------------------------------------------------------- */

static void beyond_the_last(struct loop_message *m)
{
    SET(m, 41, "\0\2");
}

static void far_beyond(struct loop_message *m)
{
    SET(m, 41, "\xff\xff");
}

static void three_bytes(struct loop_message *m)
{
    SET(m, 41, "\0\0\0");
}

static void no_share(struct loop_message *m)
{
    edit_remove(m, 51);
}

static void suite_of_another_hash(struct loop_message *m)
{
    milgi__put16(m->data + edit_suites(m), MILGI_SUITE_AES_256_GCM_SHA384);
}

static void psk_in_retry(struct loop_message *m)
{
    ADD(m, 41, "\0\0");
}

/*= RFC8446 4.2.11: "Clients MUST verify that [...] a server "key_share" extension is present if required by the
 *= ClientHello "psk_key_exchange_modes" extension. If these values are not consistent, the client MUST abort the
 *= handshake with an "illegal_parameter" alert." */
static void an_answer_that_is_not_as_it_should_be_is_refused(void **state)
{
    (void)state;
    static const struct {
        edit_fn fn;
        bool retry;
        int alert;
    } cases[] = {
        { beyond_the_last, false, MILGI_ALERT_ILLEGAL_PARAMETER },
        { far_beyond, false, MILGI_ALERT_ILLEGAL_PARAMETER },
        { three_bytes, false, MILGI_ALERT_DECODE_ERROR },
        { no_share, false, MILGI_ALERT_ILLEGAL_PARAMETER },
        { suite_of_another_hash, false, MILGI_ALERT_ILLEGAL_PARAMETER },
        { psk_in_retry, true, MILGI_ALERT_ILLEGAL_PARAMETER },
    };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct edit edit = { MILGI__MSG_SERVER_HELLO, 0, true, cases[i].fn };
        struct loop *loop = loop_on(cases[i].retry);
        loop->tamper = edit_apply;
        loop->tamper_arg = &edit;
        loop_pump(loop);
        if (loop_alert(&loop->client) != cases[i].alert)
            fail_msg("edit %u: alert %d, not %d", i, loop_alert(&loop->client), cases[i].alert);
        loop_free(loop);
    }
}

/* A PSK that the client has offered, but not the one that the server's keys are of. */
static void another(struct loop_message *m)
{
    SET(m, 41, "\0\1");
}

static void the_psk_is_the_one_that_was_selected(void **state)
{
    (void)state;
    struct edit edit = { MILGI__MSG_SERVER_HELLO, 0, true, another };
    struct loop *loop = loop_on(false);
    loop->tamper = edit_apply;
    loop->tamper_arg = &edit;
    loop_pump(loop);
    assert_int_not_equal(loop->client.wait, MILGI__HS_OPEN);
    assert_int_not_equal(loop->server.wait, MILGI__HS_OPEN);
    loop_free(loop);
}

/* --- too many --------------------------------------------------------------------------------------------------- */

/* The client's hello with |n| identities, the |known|-th of them "us"; their binders are zeros. */
static size_t flood(struct loop *loop, unsigned n, unsigned known, uint8_t *out, size_t cap)
{
    const struct loop_message *m = loop_sent(&loop->client, MILGI__MSG_CLIENT_HELLO, 0);
    size_t block = edit_block(m);
    struct milgi__writer w = milgi__writer(out, cap);
    milgi__write_bytes(&w, m->data, m->len);
    milgi__write16(&w, 45);
    milgi__write_bytes(&w, "\0\2\1\1", 4);
    milgi__write16(&w, 41);
    size_t body = milgi__write_begin(&w, 2), list = milgi__write_begin(&w, 2);
    for (unsigned i = 0; i < n; i++) {
        milgi__write_bytes(&w, i == known ? "\0\2us\0\0\0\0" : "\0\2no\0\0\0\0", 8);
    }
    milgi__write_end(&w, list, 2);
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
    milgi__put16(out + block - 2, (unsigned)(len - block));
    return len;
}

static void many_identities_cost_no_more_than_four(void **state)
{
    (void)state;
    static uint8_t hello[60000];
    for (unsigned known = 0; known < 8; known++) {
        for (unsigned asks = 0; asks < 2; asks++) {
            struct milgi_config *server = server_config(IDENTITY_P256);
            struct milgi_decision_info info;
            add(server, MILGI_SERVER, "us");
            MUST(milgi_config_set_ask(server, asks ? MILGI_DECIDE_PSK | MILGI_DECIDE_TICKET_OPEN : 0));
            struct loop *loop = loop_of(client_config(), server);
            loop_run(&loop->client);
            size_t len = flood(loop, 1200, known, hello, sizeof hello);
            loop->client.taken = loop->client.sent_n;
            loop_run(&loop->server);
            loop_input(&loop->server, MILGI__LEVEL_INITIAL, hello, len);
            if (asks) {
                MUST(milgi__hs_decision_info(loop->server.hs, MILGI_DECIDE_PSK, &info));
                assert_int_equal(info.psk_identities_n, MILGI__IDENTITIES_MAX);
                MUST(milgi__hs_decide(loop->server.hs, MILGI_DECIDE_PSK, MILGI_DEFAULT, NULL));
                MUST(milgi__hs_decide(loop->server.hs, MILGI_DECIDE_TICKET_OPEN, MILGI_REFUSE, NULL));
                loop_run(&loop->server);
            }
            /* The known one has a wrong binder: it is found among the first four, and nowhere else. */
            if (known < MILGI__IDENTITIES_MAX)
                assert_int_equal(loop_alert(&loop->server), MILGI_ALERT_DECRYPT_ERROR);
            else
                assert_non_null(loop_sent(&loop->server, MILGI__MSG_CERTIFICATE, 0));
            loop_free(loop);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_that_is_not_as_it_should_be_is_refused),
        cmocka_unit_test(a_binder_of_another_is_not_looked_at),
        cmocka_unit_test(without_a_mode_in_common_there_is_no_psk),
        cmocka_unit_test(the_second_hello_is_bound_to_the_first),
        cmocka_unit_test(an_answer_that_is_not_as_it_should_be_is_refused),
        cmocka_unit_test(the_psk_is_the_one_that_was_selected),
        cmocka_unit_test(many_identities_cost_no_more_than_four),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
