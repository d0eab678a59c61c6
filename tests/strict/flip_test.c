/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each byte of short messages flipped, in messages and on the wire.
 * ctest-timeout: 180
 */
#include "fixture.h"

#define SHORT 160

struct flip {
    size_t at;
    uint8_t mask;
    size_t len; /* of the message, found out */
    bool done;
    uint8_t before[512]; /* what was to be said */
};

static bool apply(struct liar *liar, struct pair_bytes *m)
{
    struct flip *flip = liar->setup.arg;
    if (flip->done)
        return true;
    flip->done = true;
    flip->len = m->len;
    memcpy(flip->before, m->p, MILGI__MIN(m->len, sizeof flip->before));
    if (flip->at < m->len)
        m->p[flip->at] ^= flip->mask;
    return true;
}

/* All that a receiver of a handshake message may have against it (RFC 8446 6.2). */
static const int any_alert[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, MILGI_ALERT_BAD_RECORD_MAC,
    MILGI_ALERT_HANDSHAKE_FAILURE, MILGI_ALERT_BAD_CERTIFICATE, MILGI_ALERT_UNSUPPORTED_CERTIFICATE,
    MILGI_ALERT_CERTIFICATE_EXPIRED, MILGI_ALERT_CERTIFICATE_UNKNOWN, MILGI_ALERT_ILLEGAL_PARAMETER,
    MILGI_ALERT_UNKNOWN_CA, MILGI_ALERT_DECODE_ERROR, MILGI_ALERT_DECRYPT_ERROR, MILGI_ALERT_PROTOCOL_VERSION,
    MILGI_ALERT_MISSING_EXTENSION, MILGI_ALERT_UNSUPPORTED_EXTENSION, MILGI_ALERT_UNRECOGNIZED_NAME,
    MILGI_ALERT_NO_APPLICATION_PROTOCOL, -1 };

/* What the victim has to answer to a flip at |at| in its body, where one alert alone is right; -1: see the others. */
static int alert_of(const struct place *place, const struct flip *flip)
{
    size_t at = flip->at;
    switch (place->type) {
    case MILGI__MSG_FINISHED: return at >= 4 ? MILGI_ALERT_DECRYPT_ERROR : -1;
    case MILGI__MSG_CERTIFICATE_VERIFY:
        if (at >= 8)
            return MILGI_ALERT_DECRYPT_ERROR;
        if (at >= 6)
            return MILGI_ALERT_DECODE_ERROR;
        return at >= 4 ? MILGI_ALERT_ILLEGAL_PARAMETER : -1;
    case MILGI__MSG_SERVER_HELLO:
        if (at == 4 + 2 + 32)
            return MILGI_ALERT_DECODE_ERROR;
        return -1;
    case MILGI__MSG_ENCRYPTED_EXTENSIONS: return at >= 4 ? MILGI_ALERT_DECODE_ERROR : -1;
    default: return -1;
    }
}

/*
 * Fields that mean nothing to the victim: version (unless it becomes that of SSL) and random of a first ClientHello,
 * and of a ServerHello (that of a HelloRetryRequest tells that it is one).
 */
static bool means_nothing(const struct place *place, const struct flip *flip)
{
    bool ssl = flip->at == 4 && (3 ^ flip->mask) < 3;
    bool version = (flip->at == 4 || flip->at == 5) && !ssl, random = flip->at >= 6 && flip->at < 6 + 32;
    if (place->type == MILGI__MSG_CLIENT_HELLO)
        return (version || random) && place->nth == 0;
    if (place->type != MILGI__MSG_SERVER_HELLO)
        return false;
    /*= RFC7748 5: "When receiving such an array, implementations of X25519 [...] MUST mask the most significant bit in
     *= the final byte." That of the share, which supported_versions follows. */
    bool masked = !place->retry && flip->at == flip->len - 6 - 1 && flip->mask == 0x80;
    return version || masked || (random && !(place->retry && place->nth == 0));
}

static void judge(struct liar *liar, const struct place *place, const struct flip *flip)
{
    int one = flip->at < flip->len ? alert_of(place, flip) : -1;
    if (flip->at == 0) /* another type */
        one = MILGI_ALERT_UNEXPECTED_MESSAGE;
    if (means_nothing(place, flip)) {
        if (!liar->victim->established)
            fail_msg("%s, byte %zu: ended with %s", place->name, flip->at, liar_end(liar));
        return;
    }
    if (!liar->victim->closed) {
        /* It waits for the rest of a longer message, or has understood something else: but not what decides. */
        bool longer = flip->at >= 1 && flip->at < 4;
        bool hello = place->type == MILGI__MSG_CLIENT_HELLO || place->type == MILGI__MSG_CERTIFICATE_REQUEST;
        if (!longer && !hello)
            fail_msg("%s, byte %zu: it goes on", place->name, flip->at);
        return;
    }
    if (one >= 0)
        liar_expect_alert(liar, one);
    else
        liar_expect_alerts(liar, any_alert);
}

static void flip_all(const struct place *place)
{
    static const uint8_t masks[] = { 0x01, 0x10, 0x80, 0xff };
    size_t len = 1;
    for (size_t at = 0; at < len && at < SHORT; at++) {
        for (size_t k = 0; k < MILGI__COUNT(masks); k++) {
            struct liar liar;
            struct flip flip = { .at = at, .mask = masks[k] };
            go_to(&liar, place, apply, &flip);
            go_on(&liar);
            judge(&liar, place, &flip);
            assert_int_equal(liar.victim->got.len, 0);
            len = flip.len;
            liar_fini(&liar);
        }
    }
}

static void no_flipped_byte_of_a_client_goes_unnoticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < places_n; i++) {
        if (places[i].role == MILGI_CLIENT)
            flip_all(&places[i]);
    }
}

static void no_flipped_byte_of_a_server_goes_unnoticed(void **state)
{
    (void)state;
    for (size_t i = 0; i < places_n; i++) {
        if (places[i].role == MILGI_SERVER)
            flip_all(&places[i]);
    }
}

/* --- on the wire -------------------------------------------------------------------------------------------------- */

/* Says one byte of data as a record whose bytes on the wire are flipped at |at|; returns the record's length. */
static size_t flip_on_wire(struct liar *liar, size_t at, uint8_t mask)
{
    struct pair_side *v = liar->victim;
    struct milgi_conn *conn = v->conn;
    struct milgi__aead_key key = { liar->write.serial, liar->suite->id, liar->suite->key_len, liar->write.key };
    uint8_t record[5 + 4 + 1 + 16] = { LIAR_DATA, 3, 3, 0, 4 + 1 + 16, 'd', 'a', 't', 'a', LIAR_DATA };
    struct milgi__piece piece = { record + 5, 5 };
    assert_non_null(conn);
    assert_int_equal(liar->write.seq, 0);
    MUST(milgi__aead_seal(liar->cx, &key, liar->write.iv, record, 5, &piece, 1, 0, 0, record + 5));
    if (at < sizeof record)
        record[at] ^= mask;
    liar_raw(liar, record, sizeof record);
    liar_listen(liar);
    return sizeof record;
}

static void a_record_flipped_anywhere_is_refused(void **state)
{
    (void)state;
    static const int of_header[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, MILGI_ALERT_BAD_RECORD_MAC,
        MILGI_ALERT_RECORD_OVERFLOW, MILGI_ALERT_DECODE_ERROR, -1 };
    for (enum milgi_role role = 0; role < 2; role++) {
        size_t len = 1;
        for (size_t at = 0; at <= len; at++) {
            struct liar liar;
            open_as(&liar, role);
            len = flip_on_wire(&liar, at, 0x11);
            if (at == len) {
                assert_int_equal(liar.victim->got.len, 4);
                assert_false(liar.victim->closed);
            } else {
                assert_int_equal(liar.victim->got.len, 0);
            }
            bool longer = at == 3 || at == 4; /* may be waited for */
            if (at < 5 && (liar.victim->closed || !longer))
                liar_expect_alerts(&liar, of_header);
            else if (at >= 5 && at < len)
                liar_expect_alert(&liar, MILGI_ALERT_BAD_RECORD_MAC);
            liar_fini(&liar);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_flipped_byte_of_a_client_goes_unnoticed),
        cmocka_unit_test(no_flipped_byte_of_a_server_goes_unnoticed),
        cmocka_unit_test(a_record_flipped_anywhere_is_refused),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
