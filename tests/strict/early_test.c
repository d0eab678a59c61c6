/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Early data that nobody has asked for (RFC 8446 4.2.10): it is skipped up to a limit, until the first record that
 * opens or, behind a HelloRetryRequest, the second ClientHello; and nothing else is.
 *
 * ctest-wrap: milgi__aead_open
 */
#include "crypto/aead.h"
#include "fixture.h"

#define LIMIT 16384 /* MILGI_LIMIT_EARLY_DATA by default */

static bool offer(struct liar *liar, struct pair_bytes *m)
{
    if (m->p[0] == MILGI__MSG_CLIENT_HELLO && liar->said == 0)
        liar_ext_add(m, 42, "", 0, false);
    return true;
}

/* The liar has offered early data, and has the answer: a HelloRetryRequest, or the server's flight. */
static void begin(struct liar *liar, bool retry, struct milgi_config *victim, const char *device)
{
    struct place place = { .role = MILGI_CLIENT, .retry = retry };
    struct liar_setup setup = setup_of(&place);
    setup.edit = offer;
    setup.device = device;
    setup.victim = victim ? victim : setup.victim;
    liar_init(liar, &setup);
    assert_true(liar_step(liar));
    assert_false(liar->victim->closed);
}

/* One that has no key that the victim could have. */
static void send_early(struct liar *liar, size_t len)
{
    static uint8_t record[5 + 16640];
    record[0] = LIAR_DATA;
    record[1] = record[2] = 3;
    milgi__put16(record + 3, (unsigned)len);
    for (size_t i = 0; i < len; i++)
        record[5 + i] = (uint8_t)(i * 7 + 1);
    liar_raw(liar, record, 5 + len);
}

static const int refused_by_key[] = { MILGI_ALERT_BAD_RECORD_MAC, -1 };
static const int refused_in_clear[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, -1 };

static void expect_end(struct liar *liar, bool retry)
{
    liar_expect_alerts(liar, retry ? refused_in_clear : refused_by_key);
    expect_silence(liar);
}

/*= RFC8446 4.6.1: "A server receiving more than max_early_data_size bytes of 0-RTT data SHOULD terminate the
 *= connection with an "unexpected_message" alert." */
static void expect_too_much(struct liar *liar)
{
    liar_expect_alert(liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
    assert_int_equal(liar->victim->reason.error, MILGI_ELIMIT);
    expect_silence(liar);
}

static void expect_open(struct liar *liar)
{
    liar_handshake(liar);
    assert_int_equal(liar->victim->got.len, 0);
    liar_record(liar, LIAR_DATA, "data", 4, 0);
    liar_listen(liar);
    assert_int_equal(liar->victim->got.len, 4);
}

/* --- how much ----------------------------------------------------------------------------------------------------- */

/* |n| records of |len| bytes, all at once or one by one: whether the handshake goes on. */
static void skips(struct milgi_config *victim, size_t len, unsigned n, bool fits)
{
    for (unsigned how = 0; how < 6; how++) {
        bool retry = how & 1;
        struct liar liar;
        begin(&liar, retry, victim, how & 4 ? "sim:latency=1ms,units=4,depth=8,order=out,jitter=1ms,seed=3" : NULL);
        for (unsigned i = 0; i < n && !liar.victim->closed; i++) {
            send_early(&liar, len);
            if (how & 2)
                liar_listen(&liar);
        }
        liar_listen(&liar);
        if (liar.victim->closed == fits)
            fail_msg("%u records of %zu bytes: %s", n, len, liar_end(&liar));
        if (fits)
            expect_open(&liar);
        else
            expect_too_much(&liar);
        liar_fini(&liar);
    }
}

/*= RFC8446 4.2.10: "discarding records which fail deprotection (up to the configured max_early_data_size)", "skipping
 *= all records with an external content type of "application_data" [...], up to the configured max_early_data_size" */
static void early_data_is_skipped_up_to_the_limit(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        unsigned fit;
    } cases[] = { { 16384, 1 }, { 8192, 2 }, { 8193, 1 }, { 5000, 3 }, { 100, 163 }, { 65, 252 },
        /* However short they are, each counts 64 bytes. */
        { 64, 256 }, { 63, 256 }, { 17, 256 }, { 16, 256 }, { 15, 256 }, { 1, 256 }, { 0, 256 } };
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        skips(NULL, cases[i].len, cases[i].fit, true);
        skips(NULL, cases[i].len, cases[i].fit + 1, false);
    }
    skips(NULL, 16385, 1, false);
    skips(NULL, 16640, 1, false);
}

static void the_limit_is_the_configs(void **state)
{
    (void)state;
    static const struct {
        uint64_t limit;
        size_t len;
        unsigned fit;
    } cases[] = { { 0, 100, 0 }, { 0, 0, 0 }, { 63, 1, 0 }, { 64, 1, 1 }, { 1000, 500, 2 }, { 100000, 16640, 6 } };
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        struct milgi_config *victim = configs_begin(MILGI_SERVER, fixture.leaf, NULL);
        MUST(milgi_config_set_limit(victim, MILGI_LIMIT_EARLY_DATA, cases[i].limit));
        configs_freeze(victim);
        if (cases[i].fit)
            skips(victim, cases[i].len, cases[i].fit, true);
        skips(victim, cases[i].len, cases[i].fit + 1, false);
        milgi_config_unref(victim);
    }
}

/* --- how long ----------------------------------------------------------------------------------------------------- */

static void send_warning(struct liar *liar)
{
    liar_send_alert(liar, 1, MILGI_ALERT_USER_CANCELED);
}

static void send_part_of_finished(struct liar *liar)
{
    liar_record(liar, LIAR_HANDSHAKE, "\24\0", 2, 0);
}

/*= RFC8446 4.2.10: "Once a record is deprotected successfully, it is treated as the start of the client's second flight
 *= and the server proceeds as with an ordinary 1-RTT handshake." */
static void the_first_record_that_opens_ends_it(void **state)
{
    (void)state;
    void (*const opens[])(struct liar *) = { send_warning, send_part_of_finished };
    for (size_t i = 0; i < MILGI__COUNT(opens); i++) {
        for (int more = 0; more < 2; more++) {
            struct liar liar;
            begin(&liar, false, NULL, NULL);
            if (more)
                send_early(&liar, 500);
            opens[i](&liar);
            liar_listen(&liar);
            assert_false(liar.victim->closed);
            send_early(&liar, 500);
            expect_end(&liar, false);
            liar_fini(&liar);
        }
    }
}

static void a_change_cipher_spec_does_not_end_it(void **state)
{
    (void)state;
    for (int retry = 0; retry < 2; retry++) {
        struct liar liar;
        begin(&liar, retry, NULL, NULL);
        for (unsigned i = 0; i < 3; i++) {
            send_early(&liar, 500);
            liar_send_ccs(&liar);
        }
        expect_open(&liar);
        liar_fini(&liar);
    }
}

/* The second ClientHello has offered none. */
static void the_second_client_hello_ends_it(void **state)
{
    (void)state;
    struct liar liar;
    begin(&liar, true, NULL, NULL);
    send_early(&liar, 500);
    assert_true(liar_step(&liar));
    assert_int_equal(liar.due, MILGI__MSG_FINISHED);
    send_early(&liar, 500);
    expect_end(&liar, false);
    liar_fini(&liar);
}

static void nothing_is_skipped_that_was_not_offered(void **state)
{
    (void)state;
    for (int retry = 0; retry < 2; retry++) {
        static const size_t lens[] = { 0, 1, 16, 17, 500 };
        for (size_t i = 0; i < MILGI__COUNT(lens); i++) {
            struct place place = { .role = MILGI_CLIENT, .retry = retry };
            struct liar_setup setup = setup_of(&place);
            struct liar liar;
            liar_init(&liar, &setup);
            assert_true(liar_step(&liar));
            send_early(&liar, lens[i]);
            expect_end(&liar, retry);
            liar_fini(&liar);
        }
    }
}

/* --- what is not early data --------------------------------------------------------------------------------------- */

/*= RFC8446 4.2.10: "skipping all records with an external content type of "application_data"" */
static void behind_a_retry_only_application_data_is_skipped(void **state)
{
    (void)state;
    static const int wrong[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, MILGI_ALERT_DECODE_ERROR, -1 };
    static const uint8_t types[] = { 0, 19, LIAR_CCS, LIAR_HANDSHAKE, 24, 25, 255 };
    for (size_t i = 0; i < MILGI__COUNT(types); i++) {
        struct liar liar;
        begin(&liar, true, NULL, NULL);
        send_early(&liar, 500);
        liar_plain(&liar, types[i], "\7\0\0\20\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7", 20);
        liar_expect_alerts(&liar, wrong);
        expect_silence(&liar);
        liar_fini(&liar);
    }
    struct liar liar;
    begin(&liar, true, NULL, NULL);
    liar_send_alert(&liar, 2, MILGI_ALERT_INTERNAL_ERROR);
    liar_listen(&liar);
    assert_true(liar.victim->closed && liar.victim->reason.alert_from_peer);
    liar_fini(&liar);
}

/*= RFC8446 5.1: "if a handshake message is split over two or more records, there MUST NOT be any other records between
 *= them" */
static void early_data_inside_the_second_client_hello_is_refused(void **state)
{
    (void)state;
    struct liar liar;
    begin(&liar, true, NULL, NULL);
    liar_plain(&liar, LIAR_HANDSHAKE, "\1\0\0\144\3\3", 6);
    liar_listen(&liar);
    assert_false(liar.victim->closed);
    send_early(&liar, 500);
    expect_end(&liar, true);
    liar_fini(&liar);
}

/* --- what could not be opened for another reason ------------------------------------------------------------------ */

static struct liar *breaks; /* its victim's opens come to nothing */

int __real_milgi__aead_open(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst);
int __wrap_milgi__aead_open(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst);
int __wrap_milgi__aead_open(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, const uint8_t tag[16],
    uint8_t *dst)
{
    if (breaks && cx != breaks->cx)
        return MILGI_EINTERNAL;
    return __real_milgi__aead_open(cx, key, nonce, aad, aad_len, src, src_n, tag, dst);
}

/* Whether it was early data nobody knows: to skip it might be to skip what the client has said. */
static void a_record_that_a_device_failed_to_open_is_not_skipped(void **state)
{
    (void)state;
    for (int own = 0; own < 2; own++) {
        struct liar liar;
        begin(&liar, false, NULL, NULL);
        breaks = &liar;
        if (own)
            send_warning(&liar);
        else
            send_early(&liar, 500);
        liar_listen(&liar);
        breaks = NULL;
        assert_true(liar.victim->closed);
        assert_int_equal(liar.victim->reason.error, MILGI_EDEVICE);
        assert_int_equal(liar.victim->reason.op, MILGI_OP_OPEN);
        liar_expect_alert(&liar, MILGI_ALERT_INTERNAL_ERROR);
        expect_silence(&liar);
        liar_fini(&liar);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(early_data_is_skipped_up_to_the_limit),
        cmocka_unit_test(the_limit_is_the_configs),
        cmocka_unit_test(the_first_record_that_opens_ends_it),
        cmocka_unit_test(a_change_cipher_spec_does_not_end_it),
        cmocka_unit_test(the_second_client_hello_ends_it),
        cmocka_unit_test(nothing_is_skipped_that_was_not_offered),
        cmocka_unit_test(behind_a_retry_only_application_data_is_skipped),
        cmocka_unit_test(early_data_inside_the_second_client_hello_is_refused),
        cmocka_unit_test(a_record_that_a_device_failed_to_open_is_not_skipped),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
