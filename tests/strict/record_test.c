/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that must not be: types, lengths, protection, fragments, in each epoch; and those that may look odd but must
 * be taken.
 * ctest-timeout: 120
 */
#include "fixture.h"

enum epoch {
    CLEAR,     /* the victim waits for the liar's first, or its second, message */
    HANDSHAKE, /* keys are there, the liar's flight is not over */
    OPEN
};

static void begin(struct liar *liar, enum milgi_role role, enum epoch epoch)
{
    struct place place = { .role = role,
        .type = role == MILGI_CLIENT ? MILGI__MSG_CLIENT_HELLO : MILGI__MSG_SERVER_HELLO };
    if (epoch == OPEN) {
        open_as(liar, role);
        return;
    }
    if (epoch == HANDSHAKE)
        place.type = MILGI__MSG_FINISHED;
    go_to(liar, &place, NULL, NULL);
}

#define FOR_EACH_ROLE_AND_EPOCH(role, epoch) \
    for (enum milgi_role role = 0; role < 2; role++) \
        for (enum epoch epoch = CLEAR; epoch <= OPEN; epoch++)

/* After what |send| has sent the victim ends with |alert|, and has told its application nothing. */
static void refused(enum milgi_role role, enum epoch epoch, void (*send)(struct liar *), const int *alerts)
{
    struct liar liar;
    begin(&liar, role, epoch);
    send(&liar);
    liar_expect_alerts(&liar, alerts);
    assert_int_equal(liar.victim->got.len, 0);
    assert_true(liar.victim->established == (epoch == OPEN));
    liar_fini(&liar);
}

static const int unexpected[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, -1 };
static const int overflow[] = { MILGI_ALERT_RECORD_OVERFLOW, -1 };
static const int bad_mac[] = { MILGI_ALERT_BAD_RECORD_MAC, -1 };
/* RFC 8446 names no alert for these. */
static const int malformed_alert[] = { MILGI_ALERT_DECODE_ERROR, MILGI_ALERT_UNEXPECTED_MESSAGE, -1 };

/* --- types -------------------------------------------------------------------------------------------------------- */

static unsigned the_type;

static void send_type(struct liar *liar)
{
    liar_plain(liar, the_type, "\1\0\0\0", 4);
}

static void send_inner_type(struct liar *liar)
{
    uint8_t inner[] = { 1, 0, 0, 0, (uint8_t)the_type };
    liar_inner(liar, LIAR_DATA, inner, sizeof inner);
}

/*= RFC8446 5: "If a TLS implementation receives an unexpected record type, it MUST terminate the connection with an
 *= "unexpected_message" alert." */
static void unknown_types_are_refused(void **state)
{
    (void)state;
    static const uint8_t types[] = { 0, 1, 19, 24, 25, 26, 64, 128, 255 };
    for (size_t i = 0; i < MILGI__COUNT(types); i++) {
        the_type = types[i];
        FOR_EACH_ROLE_AND_EPOCH(role, epoch)
        {
            refused(role, epoch, send_type, unexpected);
            if (epoch != CLEAR)
                refused(role, epoch, send_inner_type, unexpected);
        }
    }
}

static void application_data_in_the_clear_is_refused(void **state)
{
    (void)state;
    the_type = LIAR_DATA;
    for (enum milgi_role role = 0; role < 2; role++)
        refused(role, CLEAR, send_type, unexpected);
}

static void application_data_under_handshake_keys_is_refused(void **state)
{
    (void)state;
    the_type = LIAR_DATA;
    for (enum milgi_role role = 0; role < 2; role++)
        refused(role, HANDSHAKE, send_inner_type, unexpected);
}

static void a_protected_ccs_is_refused(void **state)
{
    (void)state;
    the_type = LIAR_CCS;
    for (enum milgi_role role = 0; role < 2; role++) {
        refused(role, HANDSHAKE, send_inner_type, unexpected);
        refused(role, OPEN, send_inner_type, unexpected);
    }
}

static void handshake_messages_in_the_clear_after_keys_are_refused(void **state)
{
    (void)state;
    the_type = LIAR_HANDSHAKE;
    for (enum milgi_role role = 0; role < 2; role++) {
        refused(role, HANDSHAKE, send_type, unexpected);
        refused(role, OPEN, send_type, unexpected);
    }
}

static void send_plain_alert(struct liar *liar)
{
    liar_plain(liar, LIAR_ALERT, "\2\50", 2);
}

/* Once it has opened a record nobody else's word counts; before that a peer may have failed to make its keys. */
static void an_alert_in_the_clear_after_protected_records_is_refused(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++)
        refused(role, OPEN, send_plain_alert, unexpected);
    struct liar liar;
    begin(&liar, MILGI_CLIENT, HANDSHAKE);
    send_plain_alert(&liar);
    liar_listen(&liar);
    assert_true(liar.victim->closed);
    assert_true(liar.victim->reason.alert_from_peer);
    assert_int_equal(liar.victim->reason.alert, MILGI_ALERT_HANDSHAKE_FAILURE);
    assert_int_equal(liar.alert, -1);
    liar_fini(&liar);
}

/* --- change_cipher_spec ------------------------------------------------------------------------------------------- */

static void send_ccs_of_two(struct liar *liar)
{
    liar_plain(liar, LIAR_CCS, "\1\1", 2);
}

static void send_other_ccs(struct liar *liar)
{
    liar_plain(liar, LIAR_CCS, "\2", 1);
}

/*= RFC8446 5: "An implementation which receives any other change_cipher_spec value or which receives a protected
 *= change_cipher_spec record MUST abort the handshake with an "unexpected_message" alert. If an implementation detects
 *= a change_cipher_spec record received before the first ClientHello message or after the peer's Finished message, it
 *= MUST be treated as an unexpected record type" */
static void a_ccs_that_is_not_one_or_not_in_time_is_refused(void **state)
{
    (void)state;
    FOR_EACH_ROLE_AND_EPOCH(role, epoch)
    {
        refused(role, epoch, send_ccs_of_two, unexpected);
        refused(role, epoch, send_other_ccs, unexpected);
        bool too_early = role == MILGI_CLIENT && epoch == CLEAR;
        if (too_early || epoch == OPEN)
            refused(role, epoch, liar_send_ccs, unexpected);
    }
}

static bool with_ccs(struct liar *liar, struct pair_bytes *m)
{
    static const uint8_t ccs[] = { LIAR_CCS, 3, 3, 0, 1, 1, LIAR_CCS, 3, 3, 0, 1, 1, LIAR_CCS, 3, 3, 0, 1, 1 };
    if (m->p[0] != MILGI__MSG_CLIENT_HELLO || liar->said > 0)
        liar_raw(liar, ccs, *(const size_t *)liar->setup.arg * sizeof ccs / 3);
    return true;
}

/* Any number of them, whatever came before: "at any time [...] and MUST simply drop it". */
static void ccs_before_each_message_are_dropped(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        enum milgi_role role = i % 2 ? MILGI_SERVER : MILGI_CLIENT;
        bool retry = i / 2 % 2;
        size_t n = 1 + i / 4;
        struct place place = { .role = role, .auth = !retry, .retry = retry };
        struct liar_setup setup = setup_of(&place);
        struct liar liar;
        setup.middlebox = true;
        setup.edit = with_ccs;
        setup.arg = &n;
        liar_init(&liar, &setup);
        liar_handshake(&liar);
        assert_int_equal(liar.ccs_n, 1);
        liar_fini(&liar);
    }
}

/* --- lengths ------------------------------------------------------------------------------------------------------ */

static uint8_t big[20000];

static void send_empty_handshake(struct liar *liar)
{
    liar_record(liar, LIAR_HANDSHAKE, NULL, 0, 0);
}

static void send_empty_alert(struct liar *liar)
{
    liar_record(liar, LIAR_ALERT, NULL, 0, 3);
}

/*= RFC8446 5.1: "Implementations MUST NOT send zero-length fragments of Handshake types", 5.4: "if such a message is
 *= received, the receiving implementation MUST terminate the connection with an "unexpected_message" alert" */
static void empty_records_of_handshake_and_alert_are_refused(void **state)
{
    (void)state;
    FOR_EACH_ROLE_AND_EPOCH(role, epoch)
    {
        refused(role, epoch, send_empty_handshake, unexpected);
        refused(role, epoch, send_empty_alert, epoch == CLEAR ? malformed_alert : unexpected);
    }
}

/* Of the whole record, in its header; nothing behind it is needed. */
static unsigned the_len, the_outer;

static void send_header(struct liar *liar)
{
    uint8_t header[5] = { (uint8_t)the_outer, 3, 3, (uint8_t)(the_len >> 8), (uint8_t)the_len };
    liar_raw(liar, header, sizeof header);
}

static void a_record_too_long_is_refused_from_its_header(void **state)
{
    (void)state;
    static const unsigned plain[] = { 16385, 16640, 65535 }, protected[] = { 16641, 65535 };
    for (enum milgi_role role = 0; role < 2; role++) {
        the_outer = LIAR_HANDSHAKE;
        for (size_t i = 0; i < MILGI__COUNT(plain); i++) {
            the_len = plain[i];
            refused(role, CLEAR, send_header, overflow);
        }
        the_outer = LIAR_DATA;
        for (size_t i = 0; i < MILGI__COUNT(protected); i++) {
            the_len = protected[i];
            refused(role, HANDSHAKE, send_header, overflow);
            refused(role, OPEN, send_header, overflow);
        }
    }
}

static void send_inner_too_long(struct liar *liar)
{
    big[16384] = LIAR_DATA;
    liar_inner(liar, LIAR_DATA, big, 16386);
    big[16384] = 0;
}

static void send_content_too_long(struct liar *liar)
{
    liar_record(liar, LIAR_DATA, big, 16385, 0);
}

/*= RFC8446 5.4: "the full encoded TLSInnerPlaintext MUST NOT exceed 2^14 + 1 octets" */
static void a_plaintext_too_long_is_refused_padding_or_not(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        refused(role, OPEN, send_inner_too_long, overflow);
        refused(role, OPEN, send_content_too_long, overflow);
        refused(role, HANDSHAKE, send_inner_too_long, overflow);
    }
}

static void the_longest_records_are_taken(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role);
        liar_record(&liar, LIAR_DATA, big, 16384, 0);
        liar_record(&liar, LIAR_DATA, big, 1, 16383);
        liar_record(&liar, LIAR_DATA, big, 0, 16384);
        liar_record(&liar, LIAR_DATA, big, 10, 0);
        liar_listen(&liar);
        assert_false(liar.victim->closed);
        assert_int_equal(liar.victim->got.len, 16384 + 1 + 10);
        liar_fini(&liar);
    }
}

static void send_short(struct liar *liar)
{
    uint8_t record[5 + 18] = { LIAR_DATA, 3, 3, 0, (uint8_t)the_len };
    liar_raw(liar, record, 5 + the_len);
}

static void send_nothing(struct liar *liar)
{
    liar_inner(liar, LIAR_DATA, NULL, 0);
}

/*= RFC8446 6.2: "bad_record_mac:  This alert is returned if a record is received which cannot be deprotected. [...]
 *= this alert is used for all deprotection failures." */
/* One that is a tag and nothing else can be: then it says nothing, not even what it is. */
static void a_record_too_short_to_be_protected_cannot_be_deprotected(void **state)
{
    (void)state;
    for (the_len = 0; the_len <= 18; the_len++) {
        for (enum milgi_role role = 0; role < 2; role++) {
            refused(role, HANDSHAKE, send_short, bad_mac);
            refused(role, OPEN, send_short, bad_mac);
        }
    }
    for (enum milgi_role role = 0; role < 2; role++) {
        refused(role, HANDSHAKE, send_nothing, unexpected);
        refused(role, OPEN, send_nothing, unexpected);
    }
}

static void a_tag_over_nothing_is_opened_with_every_suite(void **state)
{
    (void)state;
    static const uint16_t suites[] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_256_GCM_SHA384,
        MILGI_SUITE_CHACHA20_POLY1305_SHA256 };
    static const char *const devices[] = { NULL, "sim:latency=1ms,units=4,depth=8,order=out,jitter=1ms,seed=3" };
    for (size_t i = 0; i < MILGI__COUNT(suites) * MILGI__COUNT(devices); i++) {
        struct place place = { .role = MILGI_CLIENT };
        struct liar_setup setup = setup_of(&place);
        struct liar liar;
        setup.suite = suites[i / 2];
        setup.device = devices[i % 2];
        liar_init(&liar, &setup);
        liar_handshake(&liar);
        liar.pair.piece = 1 + 20 * (i % 3); /* in crumbs, or whole */
        send_nothing(&liar);
        liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
        liar_fini(&liar);
    }
}

/* What came before one is delivered first. */
static void a_short_record_is_judged_in_its_turn(void **state)
{
    (void)state;
    static const char *const devices[] = { NULL, "sim:latency=1ms,units=4,depth=8,order=out,jitter=1ms,seed=3" };
    for (the_len = 0; the_len <= 16; the_len += 4) {
        for (unsigned i = 0; i < 2 * MILGI__COUNT(devices); i++) {
            struct place place = { .role = (enum milgi_role)(i & 1) };
            struct liar_setup setup = setup_of(&place);
            struct liar liar;
            setup.device = devices[i / 2];
            liar_init(&liar, &setup);
            liar_handshake(&liar);
            for (unsigned k = 0; k < 10; k++)
                liar_record(&liar, LIAR_DATA, "before", 6, 0);
            send_short(&liar);
            liar_record(&liar, LIAR_DATA, "never", 5, 0);
            liar_expect_alert(&liar, MILGI_ALERT_BAD_RECORD_MAC);
            assert_int_equal(liar.victim->reason.error, MILGI_EBADRECORD);
            assert_int_equal(liar.victim->got.len, 60);
            liar_fini(&liar);
        }
    }
}

static void send_zeros(struct liar *liar)
{
    liar_inner(liar, LIAR_DATA, big, the_len);
}

/*= RFC8446 5.4: "If a receiving implementation does not find a non-zero octet in the cleartext, it MUST terminate the
 *= connection with an "unexpected_message" alert." */
static void a_record_of_nothing_but_zeros_is_refused(void **state)
{
    (void)state;
    static const unsigned lens[] = { 1, 2, 100, 16385 };
    for (size_t i = 0; i < MILGI__COUNT(lens); i++) {
        the_len = lens[i];
        for (enum milgi_role role = 0; role < 2; role++) {
            refused(role, HANDSHAKE, send_zeros, unexpected);
            refused(role, OPEN, send_zeros, unexpected);
        }
    }
}

/* --- protection --------------------------------------------------------------------------------------------------- */

static void send_garbage(struct liar *liar)
{
    uint8_t record[5 + 40] = { LIAR_DATA, 3, 3, 0, 40, 1, 2, 3 };
    liar_raw(liar, record, sizeof record);
}

static void send_out_of_sequence(struct liar *liar)
{
    liar->write.seq++;
    liar_record(liar, LIAR_DATA, "hello", 5, 0);
}

static void send_twice(struct liar *liar)
{
    liar_record(liar, LIAR_HANDSHAKE, "\24\0\0", 3, 0);
    liar->write.seq--;
    liar_record(liar, LIAR_HANDSHAKE, "\24\0\0", 3, 0);
}

static void records_forged_left_out_or_repeated_are_refused(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        refused(role, HANDSHAKE, send_garbage, bad_mac);
        refused(role, OPEN, send_garbage, bad_mac);
        refused(role, HANDSHAKE, send_out_of_sequence, bad_mac);
        refused(role, OPEN, send_out_of_sequence, bad_mac);
        refused(role, HANDSHAKE, send_twice, bad_mac);
    }
}

static void send_wrong_outer(struct liar *liar)
{
    liar_inner(liar, LIAR_HANDSHAKE, "hello\27", 6);
}

static void a_protected_record_says_that_it_is_application_data(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        refused(role, HANDSHAKE, send_wrong_outer, unexpected);
        refused(role, OPEN, send_wrong_outer, unexpected);
    }
}

/* --- alerts ------------------------------------------------------------------------------------------------------- */

static void send_half_alert(struct liar *liar)
{
    liar_record(liar, LIAR_ALERT, "\1", 1, 0);
}

static void send_two_alerts(struct liar *liar)
{
    liar_record(liar, LIAR_ALERT, "\1\132\1\0", 4, 0);
}

static void send_long_alert(struct liar *liar)
{
    liar_record(liar, LIAR_ALERT, "\1\132\1", 3, 0);
}

/*= RFC8446 5.1: "a record with an Alert type MUST contain exactly one message" */
static void alerts_in_parts_or_in_numbers_are_refused(void **state)
{
    (void)state;
    FOR_EACH_ROLE_AND_EPOCH(role, epoch)
    {
        refused(role, epoch, send_half_alert, malformed_alert);
        refused(role, epoch, send_two_alerts, malformed_alert);
        refused(role, epoch, send_long_alert, malformed_alert);
    }
}

/*= RFC8446 6: "All the alerts listed in Section 6.2 MUST be sent with AlertLevel=fatal and MUST be treated as error
 *= alerts when received regardless of the AlertLevel in the message. Unknown Alert types MUST be treated as error
 *= alerts." */
static void any_alert_is_an_end_whatever_its_level(void **state)
{
    (void)state;
    static const int alerts[] = { 10, 20, 40, 47, 80, 100, 115, 200, 255 };
    for (size_t i = 0; i < MILGI__COUNT(alerts); i++) {
        for (int level = 0; level < 3; level++) {
            FOR_EACH_ROLE_AND_EPOCH(role, epoch)
            {
                struct liar liar;
                begin(&liar, role, epoch);
                liar_send_alert(&liar, level, alerts[i]);
                liar_record(&liar, LIAR_DATA, "never", 5, 0);
                liar_listen(&liar);
                assert_true(liar.victim->closed);
                assert_int_equal(liar.victim->reason.error, MILGI_EALERT);
                assert_true(liar.victim->reason.alert_from_peer);
                assert_int_equal(liar.victim->reason.alert, alerts[i]);
                assert_int_equal(liar.alert, -1);
                assert_int_equal(liar.victim->got.len, 0);
                liar_fini(&liar);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_types_are_refused),
        cmocka_unit_test(application_data_in_the_clear_is_refused),
        cmocka_unit_test(application_data_under_handshake_keys_is_refused),
        cmocka_unit_test(a_protected_ccs_is_refused),
        cmocka_unit_test(handshake_messages_in_the_clear_after_keys_are_refused),
        cmocka_unit_test(an_alert_in_the_clear_after_protected_records_is_refused),
        cmocka_unit_test(a_ccs_that_is_not_one_or_not_in_time_is_refused),
        cmocka_unit_test(ccs_before_each_message_are_dropped),
        cmocka_unit_test(empty_records_of_handshake_and_alert_are_refused),
        cmocka_unit_test(a_record_too_long_is_refused_from_its_header),
        cmocka_unit_test(a_plaintext_too_long_is_refused_padding_or_not),
        cmocka_unit_test(the_longest_records_are_taken),
        cmocka_unit_test(a_record_too_short_to_be_protected_cannot_be_deprotected),
        cmocka_unit_test(a_tag_over_nothing_is_opened_with_every_suite),
        cmocka_unit_test(a_short_record_is_judged_in_its_turn),
        cmocka_unit_test(a_record_of_nothing_but_zeros_is_refused),
        cmocka_unit_test(records_forged_left_out_or_repeated_are_refused),
        cmocka_unit_test(a_protected_record_says_that_it_is_application_data),
        cmocka_unit_test(alerts_in_parts_or_in_numbers_are_refused),
        cmocka_unit_test(any_alert_is_an_end_whatever_its_level),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
