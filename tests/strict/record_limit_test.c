/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record_size_limit (RFC 8449): what it must not look like, and what it means for the records of each side.
 * ctest-timeout: 120
 */
#include "lie.h"

#define SIZE_LIMIT 28

/*= RFC8449 4: "Endpoints MUST NOT send a "record_size_limit" extension with a value smaller than 64.  An endpoint MUST
 *= treat receipt of a smaller value as a fatal error and generate an "illegal_parameter" alert." */
static void a_limit_has_its_form_and_place(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "63 in ClientHello", HELLO, ADD, SIZE_LIMIT, BODY("\0\x3f"), ILLEGAL, 0, NULL },
        { "0 in ClientHello", HELLO, ADD, SIZE_LIMIT, BODY("\0\0"), ILLEGAL, 0, NULL },
        { "64 in ClientHello", HELLO, ADD, SIZE_LIMIT, BODY("\0\x40"), OK, 0, NULL },
        { "all in ClientHello", HELLO, ADD, SIZE_LIMIT, BODY("\x40\1"), OK, 0, NULL },
        { "more in ClientHello", HELLO, ADD, SIZE_LIMIT, BODY("\xff\xff"), OK, 0, NULL },
        { "half a number in ClientHello", HELLO, ADD, SIZE_LIMIT, BODY("\x40"), DECODE, 0, NULL },
        { "nothing in ClientHello", HELLO, ADD, SIZE_LIMIT, BODY(""), DECODE, 0, NULL },
        { "more behind it in ClientHello", HELLO, ADD, SIZE_LIMIT, BODY("\x40\1\0"), DECODE, 0, NULL },
        { "another in the second ClientHello", HELLO_2, ADD, SIZE_LIMIT, BODY("\x40\1"), ILLEGAL, 0, NULL },
        { "63", EXTENSIONS, ADD, SIZE_LIMIT, BODY("\0\x3f"), ILLEGAL, 0, NULL },
        { "64", EXTENSIONS, ADD, SIZE_LIMIT, BODY("\0\x40"), OK, 0, NULL },
        { "all", EXTENSIONS, ADD, SIZE_LIMIT, BODY("\x40\1"), OK, 0, NULL },
        { "more", EXTENSIONS, ADD, SIZE_LIMIT, BODY("\xff\xff"), OK, 0, NULL },
        { "half a number", EXTENSIONS, ADD, SIZE_LIMIT, BODY("\x40"), DECODE, 0, NULL },
        { "more behind it", EXTENSIONS, ADD, SIZE_LIMIT, BODY("\x40\1\0"), DECODE, 0, NULL },
        { "in HelloRetryRequest", RETRY, ADD, SIZE_LIMIT, BODY("\x40\1"), ILLEGAL, 0, NULL },
        { "in ServerHello", ANSWER, ADD, SIZE_LIMIT, BODY("\x40\1"), ILLEGAL, 0, NULL },
        { "in CertificateRequest", REQUEST, ADD, SIZE_LIMIT, BODY("\x40\1"), ILLEGAL, 0, NULL },
        { "in Certificate", CERT, ADD, SIZE_LIMIT, BODY("\x40\1"), ILLEGAL, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

/* --- what the victim sends ---------------------------------------------------------------------------------------- */

static size_t longest, records;
static unsigned answered; /* the limit in the victim's EncryptedExtensions */

static void look(struct liar *liar, unsigned type, const uint8_t *data, size_t len)
{
    if (liar->read.epoch == 0)
        return;
    if (type == LIAR_HANDSHAKE && liar->read.epoch == 1 && records == 0 && data[0] == MILGI__MSG_ENCRYPTED_EXTENSIONS) {
        struct milgi__bytes body, block = { data + 6, milgi__get16(data + 4) };
        answered = milgi__exts_peek(block, SIZE_LIMIT, &body) ? milgi__get16(body.p) : 0;
    }
    longest = MILGI__MAX(longest, len);
    records++;
}

/* Of a victim whose liar takes |limit|, by what its extension says; 0: it says nothing. */
static void hear_all(enum milgi_role role, unsigned limit, uint64_t own, const char *device)
{
    uint8_t body[2];
    milgi__put16(body, limit);
    struct lie lie = { "", { .role = role }, ADD, SIZE_LIMIT, (const char *)body, 2, OK, 0, NULL };
    lie.place.type = role == MILGI_CLIENT ? MILGI__MSG_CLIENT_HELLO : MILGI__MSG_ENCRYPTED_EXTENSIONS;
    enum milgi_role victim = role == MILGI_CLIENT ? MILGI_SERVER : MILGI_CLIENT;
    struct milgi_config *config = configs_begin(victim, fixture.leaf, fixture.root);
    MUST(milgi_config_set_limit(config, MILGI_LIMIT_RECORD, own));
    if (victim == MILGI_SERVER)
        MUST(milgi_config_set_client_auth(config, MILGI_CLIENT_AUTH_NONE));
    configs_freeze(config);
    struct liar_setup setup = setup_of(&lie.place);
    setup.victim = config;
    setup.ask = role == MILGI_SERVER;
    setup.hear = look;
    setup.device = device;
    setup.edit = limit ? lie_edit : NULL;
    setup.arg = &lie;
    struct liar liar;
    longest = records = 0;
    answered = 0;
    liar_init(&liar, &setup);
    liar_handshake(&liar);
    static uint8_t data[50000];
    MUST(milgi_conn_write(liar.victim->conn, data, sizeof data));
    MUST(milgi_conn_update_keys(liar.victim->conn, true));
    liar_listen(&liar);
    assert_int_equal(liar.got.len, sizeof data);
    size_t most = limit && limit - 1 < own ? limit - 1 : own;
    assert_int_equal(longest, most);
    liar_fini(&liar);
    milgi_config_unref(config);
}

/*= RFC8449 4: "an endpoint MUST NOT generate a protected record with plaintext that is larger than the RecordSizeLimit
 *= value it receives from its peer." */
static void no_record_is_longer_than_the_peer_takes(void **state)
{
    (void)state;
    static const unsigned limits[] = { 64, 65, 100, 1000, 16384, 16385, 16386, 65535, 0 };
    static const uint64_t own[] = { 16384, 100 };
    static const char *const devices[] = { NULL, "sim:latency=1ms,units=4,depth=8,order=out,jitter=1ms,seed=3" };
    for (enum milgi_role role = 0; role < 2; role++) {
        for (size_t i = 0; i < MILGI__COUNT(limits); i++) {
            for (size_t j = 0; j < 2; j++)
                hear_all(role, limits[i], own[j], devices[(i + j) % 2]);
        }
    }
}

/*= RFC8449 4: "In TLS 1.3, the server sends the "record_size_limit" extension in the EncryptedExtensions message." */
static void a_server_answers_with_its_own(void **state)
{
    (void)state;
    hear_all(MILGI_CLIENT, 1000, 16384, NULL);
    assert_int_equal(answered, 16385);
    hear_all(MILGI_CLIENT, 0, 16384, NULL);
    assert_int_equal(answered, 0);
}

/* --- what the victim takes ---------------------------------------------------------------------------------------- */

/* A victim that takes |limit| bytes hears a record of |len| and |pad|; the liar has said that it knows, if |knows|. */
static void say(enum milgi_role role, bool knows, uint64_t limit, size_t len, size_t pad, bool ok)
{
    static const uint8_t data[16384];
    struct lie lie = { "", { .role = role }, ADD, SIZE_LIMIT, BODY("\x40\1"), OK, 0, NULL };
    lie.place.type = role == MILGI_CLIENT ? MILGI__MSG_CLIENT_HELLO : MILGI__MSG_ENCRYPTED_EXTENSIONS;
    enum milgi_role victim = role == MILGI_CLIENT ? MILGI_SERVER : MILGI_CLIENT;
    struct milgi_config *config = configs_begin(victim, fixture.leaf, victim == MILGI_CLIENT ? fixture.root : NULL);
    MUST(milgi_config_set_limit(config, MILGI_LIMIT_RECORD_IN, limit));
    configs_freeze(config);
    struct liar_setup setup = setup_of(&lie.place);
    setup.victim = config;
    setup.edit = knows ? lie_edit : NULL;
    setup.arg = &lie;
    struct liar liar;
    liar_init(&liar, &setup);
    liar.fragment = 64; /* its own handshake keeps to it, too */
    liar_handshake(&liar);
    liar_record(&liar, LIAR_DATA, data, 1, 0);
    liar_listen(&liar);
    liar_record(&liar, LIAR_DATA, data, len, pad);
    liar_listen(&liar);
    assert_int_equal(liar.victim->got.len, ok ? len + 1 : 1);
    if (!ok) {
        static const int overflow[] = { MILGI_ALERT_RECORD_OVERFLOW, -1 };
        liar_expect_alerts(&liar, overflow);
    }
    liar_fini(&liar);
    milgi_config_unref(config);
}

/*= RFC8449 4: "A TLS endpoint that receives a record larger than its advertised limit MUST generate a fatal
 *= "record_overflow" alert" */
static void a_record_longer_than_was_told_is_refused(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        say(role, true, 64, 64, 0, true);
        say(role, true, 64, 65, 0, false);
        say(role, true, 64, 60, 4, true);
        say(role, true, 64, 60, 5, false);
        say(role, true, 1000, 1000, 0, true);
        say(role, true, 1000, 1001, 0, false);
        say(role, true, 16384, 16384, 0, true);
    }
}

/* Who does not know the extension has not promised anything. */
static void only_who_knows_of_the_limit_is_held_to_it(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        say(role, false, 64, 65, 0, true);
        say(role, false, 64, 16384, 0, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_has_its_form_and_place),
        cmocka_unit_test(no_record_is_longer_than_the_peer_takes),
        cmocka_unit_test(a_server_answers_with_its_own),
        cmocka_unit_test(a_record_longer_than_was_told_is_refused),
        cmocka_unit_test(only_who_knows_of_the_limit_is_held_to_it),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
