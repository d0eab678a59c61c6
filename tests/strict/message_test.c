/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each handshake message cut short, too long, with something behind it: in its place, under its key, consistently.
 * ctest-timeout: 180
 */
#include "fixture.h"

struct change {
    size_t cut;     /* body bytes that are left; SIZE_MAX: all */
    bool keep;      /* the length in the header stays as it was */
    bool trailing;  /* a byte more */
    size_t len;     /* of the whole message, found out */
    bool end_early; /* the cut is where a hello of an older version would end */
    bool done;
};

static bool apply(struct liar *liar, struct pair_bytes *m)
{
    struct change *change = liar->setup.arg;
    uint8_t header[4];
    if (change->done)
        return true;
    change->done = true;
    memcpy(header, m->p, 4);
    change->len = m->len;
    if (change->cut != SIZE_MAX) {
        size_t block = liar_block(m);
        change->end_early = m->p[0] <= MILGI__MSG_SERVER_HELLO && 4 + change->cut + 2 == block;
        liar_splice(m, 4 + change->cut, m->len - 4 - change->cut, NULL, 0);
    }
    if (change->trailing)
        liar_splice(m, m->len, 0, "", 1);
    if (change->keep)
        memcpy(m->p, header, 4);
    return true;
}

/* A hello that ends before its extensions is one of an older version. */
static int alert_of_early_end(const struct place *place)
{
    if (place->role == MILGI_CLIENT)
        return place->nth == 0 ? MILGI_ALERT_PROTOCOL_VERSION : MILGI_ALERT_MISSING_EXTENSION;
    if (place->nth == 1)
        return MILGI_ALERT_ILLEGAL_PARAMETER; /* it has changed its mind about the version */
    return place->retry ? MILGI_ALERT_MISSING_EXTENSION : MILGI_ALERT_PROTOCOL_VERSION;
}

/* What is said of a body that is not as long as it should be. */
/*= RFC8446 6: "Peers which receive a message which cannot be parsed according to the syntax (e.g., have a length
 *= extending beyond the message boundary or contain an out-of-range length) MUST terminate the connection with a
 *= "decode_error" alert." */
/*= RFC8446 4.4.4: "Recipients of Finished messages MUST verify that the contents are correct and if incorrect MUST
 *= terminate the connection with a "decrypt_error" alert." A Finished of another length is one that is not correct;
 *= some would say decode_error. */
static int alert_of_length(const struct place *place)
{
    return place->type == MILGI__MSG_FINISHED ? MILGI_ALERT_DECRYPT_ERROR : MILGI_ALERT_DECODE_ERROR;
}

static size_t length_of(const struct place *place)
{
    struct liar liar;
    struct change change = { .cut = SIZE_MAX };
    go_to(&liar, place, apply, &change);
    go_on(&liar);
    assert_true(liar.victim->established);
    liar_fini(&liar);
    return change.len;
}

static void each_message_cut_short_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < places_n; i++) {
        size_t len = length_of(&places[i]);
        for (size_t cut = 0; cut < len - 4; cut++) {
            struct liar liar;
            struct change change = { .cut = cut };
            go_to(&liar, &places[i], apply, &change);
            go_on(&liar);
            liar_expect_alert(&liar, change.end_early ? alert_of_early_end(&places[i]) : alert_of_length(&places[i]));
            expect_silence(&liar);
            liar_fini(&liar);
        }
    }
}

/* Nothing follows: the victim waits, and an end of the transport is a truncation. */
static void each_message_that_breaks_off_is_waited_for(void **state)
{
    (void)state;
    for (size_t i = 0; i < places_n; i++) {
        size_t len = length_of(&places[i]);
        for (size_t cut = 0; cut < len - 4; cut++) {
            struct liar liar;
            struct change change = { .cut = cut, .keep = true };
            go_to(&liar, &places[i], apply, &change);
            liar_step(&liar);
            assert_false(liar.victim->closed);
            expect_silence(&liar);
            MUST(milgi_conn_receive_eof(liar.victim->conn, 0));
            liar_listen(&liar);
            assert_true(liar.victim->closed);
            assert_int_equal(liar.victim->reason.error, MILGI_ETRUNCATED);
            assert_int_equal(liar.alert, -1);
            expect_silence(&liar);
            liar_fini(&liar);
        }
    }
}

static void each_message_with_a_byte_more_inside_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < places_n; i++) {
        struct liar liar;
        struct change change = { .cut = SIZE_MAX, .trailing = true };
        go_to(&liar, &places[i], apply, &change);
        go_on(&liar);
        liar_expect_alert(&liar, alert_of_length(&places[i]));
        expect_silence(&liar);
        liar_fini(&liar);
    }
}

/*= RFC8446 5.1: "Handshake messages MUST NOT span key changes." */
/* Elsewhere the byte begins a message that nobody awaits. */
static void each_message_with_a_byte_behind_it_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < places_n; i++) {
        struct liar liar;
        struct change change = { .cut = SIZE_MAX, .trailing = true, .keep = true };
        go_to(&liar, &places[i], apply, &change);
        liar_step(&liar);
        liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
        expect_silence(&liar);
        liar_fini(&liar);
    }
}

/* However long it says that it is, and from its header where that is above any limit. */
static void a_finished_of_any_other_length_does_not_verify(void **state)
{
    (void)state;
    static const size_t lens[] = { 0, 1, 31, 33, 48, 64, 255, 4096, 65536, 65537, 0xffffff };
    static uint8_t message[4 + 65536];
    for (enum milgi_role role = 0; role < 2; role++) {
        for (size_t i = 0; i < MILGI__COUNT(lens); i++) {
            struct place place = { .role = role, .type = MILGI__MSG_FINISHED };
            struct liar liar;
            go_to(&liar, &place, NULL, NULL);
            message[0] = MILGI__MSG_FINISHED;
            message[1] = (uint8_t)(lens[i] >> 16);
            milgi__put16(message + 2, lens[i] & 0xffff);
            size_t len = MILGI__MIN(4 + lens[i], sizeof message);
            for (size_t at = 0; at < len; at += 16384)
                liar_record(&liar, LIAR_HANDSHAKE, message + at, MILGI__MIN(len - at, 16384), 0);
            liar_expect_alert(&liar, MILGI_ALERT_DECRYPT_ERROR);
            expect_silence(&liar);
            liar_fini(&liar);
        }
    }
}

static bool resize_signature(struct liar *liar, struct pair_bytes *m)
{
    static uint8_t zeros[65000];
    const size_t *len = liar->setup.arg;
    uint8_t head[2];
    milgi__put16(head, (unsigned)*len);
    size_t old = milgi__get16(m->p + 6);
    if (*len < old)
        liar_splice(m, 8 + *len, old - *len, NULL, 0);
    else
        liar_splice(m, 8 + old, 0, zeros, *len - old);
    liar_splice(m, 6, 2, head, 2);
    return true;
}

/*= RFC8446 4.4.3: "If the verification fails, the receiver MUST terminate the handshake with a "decrypt_error"
 *= alert." */
/* Whatever it is that cannot be a signature: the algorithm judges, not the message's syntax. */
static void a_signature_of_any_other_length_does_not_verify(void **state)
{
    (void)state;
    static const size_t lens[] = { 0, 1, 32, 63, 65, 128, 512, 1024, 1025, 5000, 16384, 65000 };
    static const char *const devices[] = { NULL, "sim:latency=1ms,units=4,depth=8,order=out,jitter=1ms,seed=3" };
    for (size_t i = 0; i < MILGI__COUNT(lens) * 4; i++) {
        enum milgi_role role = (enum milgi_role)(i & 1);
        struct place place = { .role = role, .type = MILGI__MSG_CERTIFICATE_VERIFY, .auth = role == MILGI_CLIENT };
        struct liar_setup setup = setup_of(&place);
        struct liar liar;
        setup.device = devices[i / 2 % 2];
        liar_init(&liar, &setup);
        assert_true(liar_step_to(&liar, place.type, 0));
        liar.setup.edit = resize_signature;
        liar.setup.arg = (void *)(uintptr_t)&lens[i / 4];
        liar_step(&liar);
        liar.setup.edit = NULL;
        go_on(&liar);
        if (liar.victim->reason.alert != MILGI_ALERT_DECRYPT_ERROR)
            fail_msg("%zu bytes: %s", lens[i / 4], liar_end(&liar));
        liar_expect_alert(&liar, MILGI_ALERT_DECRYPT_ERROR);
        expect_silence(&liar);
        liar_fini(&liar);
    }
}

/* --- too long ----------------------------------------------------------------------------------------------------- */

/* RFC 8446 names no alert for a message that is longer than anybody wants. */
static const int too_long[] = { MILGI_ALERT_ILLEGAL_PARAMETER, MILGI_ALERT_DECODE_ERROR, -1 };

/* The header of a message of |len| bytes, and nothing else. */
static void announce(struct liar *liar, int type, size_t len)
{
    uint8_t header[4] = { (uint8_t)type, (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len };
    liar_record(liar, LIAR_HANDSHAKE, header, sizeof header, 0);
    liar_listen(liar);
}

/* The first three could be, if the limit were another; no ClientHello is as long as the others. */
static void a_message_above_the_limit_is_refused_from_its_header(void **state)
{
    (void)state;
    static const size_t lens[] = { 65537, 131395, 131396, 131397, 0x100000, 0xffffff };
    for (size_t i = 0; i < places_n; i++) {
        for (size_t k = 0; k < MILGI__COUNT(lens) && places[i].type != MILGI__MSG_FINISHED; k++) {
            struct liar liar;
            go_to(&liar, &places[i], NULL, NULL);
            announce(&liar, places[i].type, lens[k]);
            if (places[i].type == MILGI__MSG_CLIENT_HELLO)
                liar_expect_alert(&liar, k < 3 ? MILGI_ALERT_ILLEGAL_PARAMETER : MILGI_ALERT_DECODE_ERROR);
            else
                liar_expect_alerts(&liar, too_long);
            expect_silence(&liar);
            liar_fini(&liar);
        }
    }
}

/*= RFC8446 6.2: "unexpected_message:  An inappropriate message (e.g., the wrong handshake message, premature
 *= Application Data, etc.) was received." */
static void a_message_that_nobody_awaits_is_unexpected_however_long(void **state)
{
    (void)state;
    static const int types[] = { 0, 3, MILGI__MSG_NEW_SESSION_TICKET, 99, MILGI__MSG_KEY_UPDATE };
    for (size_t i = 0; i < places_n; i++) {
        for (size_t k = 0; k < MILGI__COUNT(types); k++) {
            struct liar liar;
            go_to(&liar, &places[i], NULL, NULL);
            announce(&liar, types[k], 0xffffff);
            liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
            expect_silence(&liar);
            liar_fini(&liar);
        }
    }
}

static void a_message_of_the_limit_is_waited_for_and_costs_what_came_of_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < places_n; i++) {
        struct liar liar;
        struct milgi_engine_stats stats;
        go_to(&liar, &places[i], NULL, NULL);
        announce(&liar, places[i].type, 65536);
        assert_false(liar.victim->closed);
        milgi_engine_stats(liar.victim->engine, &stats);
        assert_true(stats.memory <= 64 * 1024);
        liar_fini(&liar);
    }
}

/* --- after the handshake ------------------------------------------------------------------------------------------ */

static size_t make_ticket(uint8_t out[256])
{
    struct milgi__new_session_ticket ticket = {
        .lifetime = 7200,
        .nonce = { (const uint8_t *)"\1", 1 },
        .ticket = { (const uint8_t *)"a ticket that is never used", 27 },
    };
    struct milgi__writer w = milgi__writer(out, 256);
    milgi__new_session_ticket_encode(&w, &ticket);
    return milgi__written(&w);
}

/* The liar says this after the handshake; then the victim has ended with |alert| (-1: it goes on). */
static void afterwards(enum milgi_role role, const uint8_t *message, size_t len, int alert)
{
    struct liar liar;
    open_as(&liar, role);
    liar_record(&liar, LIAR_HANDSHAKE, message, len, 0);
    liar_listen(&liar);
    if (alert >= 0)
        liar_expect_alert(&liar, alert);
    else if (liar.victim->closed)
        fail_msg("ended with %s", liar_end(&liar));
    assert_int_equal(liar.victim->got.len, 0);
    liar_fini(&liar);
}

static void a_ticket_cut_short_or_with_a_byte_more_is_refused(void **state)
{
    (void)state;
    uint8_t ticket[256];
    size_t len = make_ticket(ticket);
    afterwards(MILGI_SERVER, ticket, len, -1);
    for (size_t body = 0; body <= len - 4 + 1; body++) {
        uint8_t changed[257] = { 0 };
        memcpy(changed, ticket, len);
        changed[3] = (uint8_t)body;
        if (body != len - 4)
            afterwards(MILGI_SERVER, changed, 4 + body, MILGI_ALERT_DECODE_ERROR);
        if (body < len - 4) { /* announced in full: waited for */
            changed[3] = (uint8_t)(len - 4);
            afterwards(MILGI_SERVER, changed, 4 + body, -1);
        }
    }
    /*= RFC8446 4.6.1: a server sends tickets; a client that does is out of place. */
    afterwards(MILGI_CLIENT, ticket, len, MILGI_ALERT_UNEXPECTED_MESSAGE);
}

static void a_key_update_cut_short_or_with_a_byte_more_is_refused(void **state)
{
    (void)state;
    static const uint8_t empty[] = { 24, 0, 0, 0 }, longer[] = { 24, 0, 0, 2, 0, 0 };
    static const uint8_t behind[] = { 24, 0, 0, 1, 0, 24 }, twice[] = { 24, 0, 0, 1, 0, 24, 0, 0, 1, 0 };
    for (enum milgi_role role = 0; role < 2; role++) {
        afterwards(role, empty, sizeof empty, MILGI_ALERT_DECODE_ERROR);
        afterwards(role, longer, sizeof longer, MILGI_ALERT_DECODE_ERROR);
        afterwards(role, behind, sizeof behind, MILGI_ALERT_UNEXPECTED_MESSAGE);
        afterwards(role, twice, sizeof twice, MILGI_ALERT_UNEXPECTED_MESSAGE);
        for (unsigned cut = 1; cut < 5; cut++)
            afterwards(role, behind, cut, -1);
        /*= RFC8446 4.6.3: "If an implementation receives any other value, it MUST terminate the connection with an
         *= "illegal_parameter" alert." */
        for (unsigned value = 2; value < 256; value++)
            afterwards(role, (const uint8_t[]){ 24, 0, 0, 1, (uint8_t)value }, 5, MILGI_ALERT_ILLEGAL_PARAMETER);
    }
}

/* Its one byte is known from the header: nothing more is waited for. */
static void a_key_update_of_a_wrong_length_is_refused_from_its_header(void **state)
{
    (void)state;
    static const size_t lens[] = { 0, 2, 3, 255, 16384, 65536, 65537, 0xffffff };
    for (enum milgi_role role = 0; role < 2; role++) {
        for (size_t i = 0; i < MILGI__COUNT(lens); i++) {
            struct liar liar;
            open_as(&liar, role);
            announce(&liar, MILGI__MSG_KEY_UPDATE, lens[i]);
            liar_expect_alert(&liar, MILGI_ALERT_DECODE_ERROR);
            liar_fini(&liar);
            open_as(&liar, role);
            uint8_t header[4] = { MILGI__MSG_KEY_UPDATE, (uint8_t)(lens[i] >> 16), (uint8_t)(lens[i] >> 8),
                (uint8_t)lens[i] };
            for (unsigned k = 0; k < 4; k++)
                liar_record(&liar, LIAR_HANDSHAKE, header + k, 1, 0);
            liar_expect_alert(&liar, MILGI_ALERT_DECODE_ERROR);
            liar_fini(&liar);
        }
    }
}

static void a_message_above_the_limit_is_refused_after_the_handshake_too(void **state)
{
    (void)state;
    struct liar liar;
    open_as(&liar, MILGI_SERVER);
    announce(&liar, MILGI__MSG_NEW_SESSION_TICKET, 0x100000);
    liar_expect_alerts(&liar, too_long);
    liar_fini(&liar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_message_cut_short_is_refused),
        cmocka_unit_test(each_message_that_breaks_off_is_waited_for),
        cmocka_unit_test(each_message_with_a_byte_more_inside_is_refused),
        cmocka_unit_test(each_message_with_a_byte_behind_it_is_refused),
        cmocka_unit_test(a_finished_of_any_other_length_does_not_verify),
        cmocka_unit_test(a_signature_of_any_other_length_does_not_verify),
        cmocka_unit_test(a_message_above_the_limit_is_refused_from_its_header),
        cmocka_unit_test(a_message_that_nobody_awaits_is_unexpected_however_long),
        cmocka_unit_test(a_message_of_the_limit_is_waited_for_and_costs_what_came_of_it),
        cmocka_unit_test(a_ticket_cut_short_or_with_a_byte_more_is_refused),
        cmocka_unit_test(a_key_update_cut_short_or_with_a_byte_more_is_refused),
        cmocka_unit_test(a_key_update_of_a_wrong_length_is_refused_from_its_header),
        cmocka_unit_test(a_message_above_the_limit_is_refused_after_the_handshake_too),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
