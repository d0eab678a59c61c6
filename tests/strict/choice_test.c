/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server may choose: out of what its client has offered, and what the lists that both send may hold.
 * ctest-timeout: 120
 */
#include "lie.h"

static const uint16_t suites[] = { MILGI_SUITE_AES_128_GCM_SHA256, MILGI_SUITE_AES_256_GCM_SHA384,
    MILGI_SUITE_CHACHA20_POLY1305_SHA256 };

/* A client that offers less than it knows. */
static struct milgi_config *client_begin(void)
{
    return configs_begin(MILGI_CLIENT, NULL, fixture.root);
}

static void refused(const struct liar_setup *setup, const char *what, const char *detail)
{
    struct liar liar;
    liar_init(&liar, setup);
    go_on(&liar);
    if (!liar.victim->closed || strcmp(liar.victim->reason.detail, detail) != 0)
        fail_msg("%s: %s", what, liar_end(&liar));
    assert_int_equal(liar.victim->reason.error, MILGI_EPROTO);
    liar_expect_alert(&liar, ILLEGAL);
    expect_silence(&liar);
    liar_fini(&liar);
}

/* --- cipher suites ------------------------------------------------------------------------------------------------ */

/*= RFC8446 4.1.3: "A client which receives a cipher suite that was not offered MUST abort the handshake with an
 *= "illegal_parameter" alert.", 4.1.4: "A client which receives a cipher suite that was not offered MUST abort the
 *= handshake." */
/* The server means it: everything that it goes on to say fits the suite that it has chosen. */
static void a_cipher_suite_that_was_not_offered_is_refused(void **state)
{
    (void)state;
    for (unsigned offered = 0; offered < MILGI__COUNT(suites); offered++) {
        struct milgi_config *victim = client_begin();
        MUST(milgi_config_set_suites(victim, &suites[offered], 1));
        configs_freeze(victim);
        for (unsigned chosen = 0; chosen < 2 * MILGI__COUNT(suites); chosen++) {
            struct place place = { .role = S, .retry = chosen % 2 };
            struct liar_setup setup = setup_of(&place);
            struct liar liar;
            setup.victim = victim;
            setup.suite = suites[chosen / 2];
            if (chosen / 2 != offered) {
                refused(&setup, milgi_suite_name(setup.suite),
                    "the server selected a cipher suite that was not offered");
                continue;
            }
            liar_init(&liar, &setup);
            liar_handshake(&liar);
            liar_fini(&liar);
        }
        milgi_config_unref(victim);
    }
}

/* --- lengths of fields -------------------------------------------------------------------------------------------- */

static void long_session_id(struct pair_bytes *m)
{
    uint8_t id[34];
    memset(id, 33, sizeof id);
    liar_splice(m, liar_at_session_id(m), 1 + (size_t)m->p[liar_at_session_id(m)], id, sizeof id);
}

static void no_suites(struct pair_bytes *m)
{
    liar_splice(m, liar_at_suites(m), 4, "\0\0", 2);
}

static void suite_and_a_half(struct pair_bytes *m)
{
    liar_splice(m, liar_at_suites(m), 4, "\0\3\x13\1\x13", 5);
}

static void half_a_suite(struct pair_bytes *m)
{
    liar_splice(m, liar_at_suites(m), 4, "\0\1\x13", 3);
}

static void no_compressions(struct pair_bytes *m)
{
    liar_splice(m, liar_at_suites(m) + 4, 2, "", 1);
}

/*= RFC8446 4.1.2: "opaque legacy_session_id<0..32>;", "CipherSuite cipher_suites<2..2^16-2>;", "opaque
 *= legacy_compression_methods<1..2^8-1>;" */
static void a_field_of_a_length_that_it_cannot_have_is_malformed(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "a session id of 33", HELLO, CALL, 0, NULL, 0, DECODE, 0, long_session_id },
        { "no suites", HELLO, CALL, 0, NULL, 0, DECODE, 0, no_suites },
        { "a suite and a half", HELLO, CALL, 0, NULL, 0, DECODE, 0, suite_and_a_half },
        { "half a suite", HELLO, CALL, 0, NULL, 0, DECODE, 0, half_a_suite },
        { "no compressions", HELLO, CALL, 0, NULL, 0, DECODE, 0, no_compressions },
        { "no suites in the second", HELLO_2, CALL, 0, NULL, 0, DECODE, 0, no_suites },
        { "a session id of 33 in the second", HELLO_2, CALL, 0, NULL, 0, DECODE, 0, long_session_id },
        { "a server's session id of 33", ANSWER, CALL, 0, NULL, 0, DECODE, 0, long_session_id },
        { "a retry's session id of 33", RETRY, CALL, 0, NULL, 0, DECODE, 0, long_session_id },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

/* --- versions ----------------------------------------------------------------------------------------------------- */

/*= RFC8446 4.2.1: "If the "supported_versions" extension in the ServerHello contains a version not offered by the
 *= client or contains a version prior to TLS 1.3, the client MUST abort the handshake with an "illegal_parameter"
 *= alert." */
static void a_version_that_was_not_offered_is_refused(void **state)
{
    (void)state;
    static const struct place hellos[] = { ANSWER, RETRY, ANSWER_2 };
    static const char *const versions[] = { "\3\3", "\3\2", "\3\1", "\3\0", "\3\5", "\2\0", "\0\0", "\4\3", "\x7f\x1c",
        "\x7a\x7a", "\xfe\xfc", "\xff\xff" };
    for (size_t i = 0; i < MILGI__COUNT(hellos) * MILGI__COUNT(versions); i++) {
        const char *version = versions[i / MILGI__COUNT(hellos)];
        struct lie lie = { "a version", hellos[i % MILGI__COUNT(hellos)], SET, VERSIONS, version, 2, ILLEGAL, 0, NULL };
        struct liar_setup setup = setup_of(&lie.place);
        tell_as(&lie, &setup, "the server selected a version not offered");
    }
}

static void a_version_is_one_number(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "none", ANSWER, SET, VERSIONS, BODY(""), DECODE, 0, NULL },
        { "half of one", ANSWER, SET, VERSIONS, BODY("\3"), DECODE, 0, NULL },
        { "two", ANSWER, SET, VERSIONS, BODY("\3\4\3\3"), DECODE, 0, NULL },
        { "a list", ANSWER, SET, VERSIONS, BODY("\2\3\4"), DECODE, 0, NULL },
        { "none in a retry", RETRY, SET, VERSIONS, BODY(""), DECODE, 0, NULL },
        { "a list in a retry", RETRY, SET, VERSIONS, BODY("\2\3\4"), DECODE, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

/* A share of this group that is a good one, instead of the one that the server would show. */
static bool share_of(struct liar *liar, struct pair_bytes *m)
{
    uint16_t group = *(const uint16_t *)liar->setup.arg;
    uint8_t seed[64] = { 1, 2, 3 }, secret[MILGI_KEX_SECRET_MAX], body[4 + MILGI_KEX_PUBLIC_MAX];
    size_t secret_len = sizeof secret, len = MILGI_KEX_PUBLIC_MAX;
    liar->setup.edit = NULL;
    MUST(milgi__kex_keygen(
        liar->cx, group, seed, milgi__kex_seed_len(group), secret, &secret_len, body + 4, &len));
    milgi__put16(body, group);
    milgi__put16(body + 2, (unsigned)len);
    liar_ext_set(m, KEY_SHARE, body, 4 + len);
    return true;
}

/*= RFC8446 4.2.8: "This value MUST be in the same group as the KeyShareEntry value offered by the client that the
 *= server has selected for the negotiated key exchange." */
static void a_share_of_a_group_that_has_none_of_ours_is_refused(void **state)
{
    (void)state;
    static const uint16_t offered[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1 };
    static const uint16_t chosen[] = { MILGI_GROUP_SECP256R1, MILGI_GROUP_SECP384R1 };
    struct milgi_config *victim = client_begin();
    MUST(milgi_config_set_groups(victim, offered, 2)); /* with a share of the first */
    configs_freeze(victim);
    for (size_t i = 0; i < MILGI__COUNT(chosen); i++) {
        struct place place = ANSWER;
        struct liar_setup setup = setup_of(&place);
        setup.victim = victim;
        setup.edit = share_of;
        setup.arg = (void *)(uintptr_t)&chosen[i];
        refused(&setup, milgi_group_name(chosen[i]), "the server's key share is of a group that has no share of ours");
    }
    milgi_config_unref(victim);
}

/* The first share is forgotten with the retry: RFC 8446 4.2.8 wants the one that was asked for. */
static void after_a_retry_the_first_share_is_no_longer_offered(void **state)
{
    (void)state;
    static const uint16_t x25519 = MILGI_GROUP_X25519;
    struct place place = ANSWER_2;
    struct liar_setup setup = setup_of(&place);
    struct liar liar;
    liar_init(&liar, &setup);
    assert_true(liar_step_to(&liar, MSG(SERVER_HELLO), 1));
    liar.setup.edit = share_of;
    liar.setup.arg = (void *)(uintptr_t)&x25519;
    go_on(&liar);
    liar_expect_alert(&liar, ILLEGAL);
    assert_string_equal(liar.victim->reason.detail, "the server's key share is of a group that has no share of ours");
    liar_fini(&liar);
}

#define RETRY_IN_VAIN "a HelloRetryRequest for a group that was not offered or had a share"

/*= RFC8446 4.2.8: "the client MUST verify that (1) the selected_group field corresponds to a group which was provided
 *= in the "supported_groups" extension in the original ClientHello and (2) the selected_group field does not correspond
 *= to a group which was provided in the "key_share" extension in the original ClientHello." */
static void a_retry_asks_for_a_group_that_was_offered_without_a_share(void **state)
{
    (void)state;
    static const uint16_t offered[] = { MILGI_GROUP_X25519, MILGI_GROUP_SECP256R1 };
    /* P-384, which the client knows; secp521r1, x448, ffdhe2048, a hybrid, sect163k1, GREASE */
    static const char *const strange[] = { "\0\x18", "\0\x19", "\0\x1e", "\1\0", "\x11\xec", "\0\1", "\x3a\x3a",
        "\0\0", "\xff\xff" };
    static const char *const shared[] = { "\0\x1d", "\0\x17" };
    for (size_t shares = 1; shares <= 2; shares++) {
        struct milgi_config *victim = client_begin();
        MUST(milgi_config_set_groups(victim, offered, 2));
        MUST(milgi_config_set_key_shares(victim, shares));
        configs_freeze(victim);
        for (size_t i = 0; i < MILGI__COUNT(strange) + shares; i++) {
            const char *group = i < shares ? shared[i] : strange[i - shares];
            struct lie lie = { "a group", RETRY, SET, KEY_SHARE, group, 2, ILLEGAL, 0, NULL };
            struct liar_setup setup = setup_of(&lie.place);
            setup.victim = victim;
            tell_as(&lie, &setup, RETRY_IN_VAIN);
        }
        milgi_config_unref(victim);
    }
}

static void a_share_is_one_entry_and_has_bytes(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        /*= RFC8446 4.2.8: "opaque key_exchange<1..2^16-1>" */
        { "an empty share", ANSWER, SET, KEY_SHARE, BODY("\0\x1d\0\0"), DECODE, 0, NULL },
        { "a group alone", ANSWER, SET, KEY_SHARE, BODY("\0\x1d"), DECODE, 0, NULL },
        { "half a group", ANSWER, SET, KEY_SHARE, BODY("\0"), DECODE, 0, NULL },
        { "two shares", ANSWER, SET, KEY_SHARE, BODY("\0\x1d\0\1x\0\x17\0\1x"), DECODE, 0, NULL },
        { "an empty share behind a retry", ANSWER_2, SET, KEY_SHARE, BODY("\0\x17\0\0"), DECODE, 0, NULL },
        { "a share in a retry", RETRY, SET, KEY_SHARE, BODY("\0\x17\0\1x"), DECODE, 0, NULL },
        { "half a group in a retry", RETRY, SET, KEY_SHARE, BODY("\0"), DECODE, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

#define SHARE_31 "0123456789abcdef0123456789abcde"

/*= RFC8446 4.2.8.2: "For X25519 and X448, the contents of the public value are the byte string inputs and outputs of
 *= the corresponding functions defined in [RFC7748]: 32 bytes for X25519 and 56 bytes for X448." */
/* Known before anybody is asked to compute with it. */
static void a_share_of_another_length_is_refused(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "a client's of 31", HELLO, SET, KEY_SHARE, BODY("\0\x23\0\x1d\0\x1f" SHARE_31), ILLEGAL, 0, NULL },
        { "a client's of 33", HELLO, SET, KEY_SHARE, BODY("\0\x25\0\x1d\0\x21" SHARE_31 "fg"), ILLEGAL, 0, NULL },
        { "a client's, pressed", HELLO, SET, KEY_SHARE, BODY("\0\x25\0\x17\0\x21\2" SHARE_31 "f"), ILLEGAL, 0,
            NULL },
        { "a client's, at infinity", HELLO, SET, KEY_SHARE, BODY("\0\5\0\x17\0\1\0"), ILLEGAL, 0, NULL },
        { "a server's of 31", ANSWER, SET, KEY_SHARE, BODY("\0\x1d\0\x1f" SHARE_31), ILLEGAL, 0, NULL },
        { "a server's of 33", ANSWER, SET, KEY_SHARE, BODY("\0\x1d\0\x21" SHARE_31 "fg"), ILLEGAL, 0, NULL },
        { "a server's, pressed", ANSWER_2, SET, KEY_SHARE, BODY("\0\x17\0\x21\2" SHARE_31 "f"), ILLEGAL, 0, NULL },
        { "a server's, at infinity", ANSWER_2, SET, KEY_SHARE, BODY("\0\x17\0\1\0"), ILLEGAL, 0, NULL },
    };
    for (size_t i = 0; i < MILGI__COUNT(lies); i++) {
        struct liar_setup setup = setup_of(&lies[i].place);
        tell_as(&lies[i], &setup, "a key share of a wrong length");
    }
}

/* --- protocols ---------------------------------------------------------------------------------------------------- */

/*= RFC7301 3.1: "the "ProtocolNameList" MUST contain exactly one "ProtocolName"" */
/* It is compared byte by byte; without an offer any answer is one too many. */
static void a_protocol_that_was_not_offered_is_refused(void **state)
{
    (void)state;
    static const char *const offered[] = { "h2", "http/1.1" };
    static const struct lie lies[] = {
        { "another", EXTENSIONS, ADD, ALPN, BODY("\0\3\2h3"), ILLEGAL, 0, NULL },
        { "the beginning of one", EXTENSIONS, ADD, ALPN, BODY("\0\5\4http"), ILLEGAL, 0, NULL },
        { "one and more", EXTENSIONS, ADD, ALPN, BODY("\0\4\3h2c"), ILLEGAL, 0, NULL },
        { "one in capitals", EXTENSIONS, ADD, ALPN, BODY("\0\3\2H2"), ILLEGAL, 0, NULL },
        { "two with a length between", EXTENSIONS, ADD, ALPN, BODY("\0\14\13h2\10http/1.1"), ILLEGAL, 0, NULL },
        { "two", EXTENSIONS, ADD, ALPN, BODY("\0\14\2h2\10http/1.1"), ILLEGAL, 0, NULL },
        { "one twice", EXTENSIONS, ADD, ALPN, BODY("\0\6\2h2\2h2"), ILLEGAL, 0, NULL },
        { "one, and one of no length", EXTENSIONS, ADD, ALPN, BODY("\0\4\2h2\0"), DECODE, 0, NULL },
        { "one of no length", EXTENSIONS, ADD, ALPN, BODY("\0\1\0"), DECODE, 0, NULL },
        { "an empty list", EXTENSIONS, ADD, ALPN, BODY("\0\0"), DECODE, 0, NULL },
        { "nothing", EXTENSIONS, ADD, ALPN, BODY(""), DECODE, 0, NULL },
        { "one cut short", EXTENSIONS, ADD, ALPN, BODY("\0\3\3h2"), DECODE, 0, NULL },
        { "the first", EXTENSIONS, ADD, ALPN, BODY("\0\3\2h2"), OK, 0, NULL },
        { "the second", EXTENSIONS, ADD, ALPN, BODY("\0\11\10http/1.1"), OK, 0, NULL },
    };
    static const struct lie unasked = { "unasked", EXTENSIONS, ADD, ALPN, BODY("\0\3\2h2"), UNSUPPORTED, 0, NULL };
    struct milgi_config *victim = client_begin();
    MUST(milgi_config_set_alpn(victim, offered, 2));
    configs_freeze(victim);
    for (size_t i = 0; i < MILGI__COUNT(lies); i++) {
        struct liar_setup setup = setup_of(&lies[i].place);
        setup.victim = victim;
        tell_as(&lies[i], &setup, NULL);
    }
    tell(&unasked);
    milgi_config_unref(victim);
}

#define NO_PROTOCOL MILGI_ALERT_NO_APPLICATION_PROTOCOL

/*= RFC7301 3.2: "In the event that the server supports no protocols that the client advertises, then the server SHALL
 *= respond with a fatal "no_application_protocol" alert." */
static void a_server_chooses_a_protocol_that_was_offered_or_none(void **state)
{
    (void)state;
    static const char *const own[] = { "h2", "http/1.1" };
    static const struct {
        struct lie lie;
        const char *chosen;
    } cases[] = {
        { { "both", HELLO, ADD, ALPN, BODY("\0\14\10http/1.1\2h2"), OK, 0, NULL }, "h2" },
        { { "one behind another", HELLO, ADD, ALPN, BODY("\0\13\1x\10http/1.1"), OK, 0, NULL }, "http/1.1" },
        { { "more than one", HELLO, ADD, ALPN, BODY("\0\4\3h2c"), NO_PROTOCOL, 0, NULL }, NULL },
        { { "less than one", HELLO, ADD, ALPN, BODY("\0\7\1h\4http"), NO_PROTOCOL, 0, NULL }, NULL },
        { { "one in capitals", HELLO, ADD, ALPN, BODY("\0\3\2H2"), NO_PROTOCOL, 0, NULL }, NULL },
        { { "others", HELLO, ADD, ALPN, BODY("\0\6\2h3\2h1"), NO_PROTOCOL, 0, NULL }, NULL },
    };
    struct milgi_config *victim = configs_begin(MILGI_SERVER, fixture.leaf, NULL);
    MUST(milgi_config_set_alpn(victim, own, 2));
    configs_freeze(victim);
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        struct liar_setup setup = setup_of(&cases[i].lie.place);
        struct milgi_conn_info info;
        struct liar liar;
        setup.victim = victim;
        tell_as(&cases[i].lie, &setup, NULL);
        if (!cases[i].chosen)
            continue;
        setup.edit = lie_edit;
        setup.arg = (void *)(uintptr_t)&cases[i].lie;
        liar_init(&liar, &setup);
        liar_handshake(&liar);
        milgi_conn_info(liar.victim->conn, &info);
        assert_string_equal(info.alpn, cases[i].chosen);
        liar_fini(&liar);
    }
    milgi_config_unref(victim);
}

/* --- groups and shares that a client offers ----------------------------------------------------------------------- */

/*= RFC8446 4.2.8: "opaque key_exchange<1..2^16-1>": a length out of the vector's bounds is one that cannot be decoded,
 *= 6.2: "decode_error:  A message could not be decoded because some field was out of the specified range" */
/* Whatever the group, known or not. */
static void an_entry_of_key_share_has_bytes(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "of a known group", HELLO, SET, KEY_SHARE, BODY("\0\4\0\x1d\0\0"), DECODE, 0, NULL },
        { "of a known group without other", HELLO, SET, KEY_SHARE, BODY("\0\4\0\x18\0\0"), DECODE, 0, NULL },
        { "of an unknown group", HELLO, SET, KEY_SHARE, BODY("\0\4\x12\x34\0\0"), DECODE, 0, NULL },
        { "of GREASE", HELLO, SET, KEY_SHARE, BODY("\0\4\x3a\x3a\0\0"), DECODE, 0, NULL },
        { "behind a good one", HELLO, SET, KEY_SHARE,
            BODY("\0\x28\0\x1d\0\x20"
                 "0123456789abcdef0123456789abcdef"
                 "\0\x17\0\0"),
            DECODE, 0, NULL },
        { "in the second ClientHello", HELLO_2, SET, KEY_SHARE, BODY("\0\4\0\x1d\0\0"), DECODE, 0, NULL },
        { "a group alone", HELLO, SET, KEY_SHARE, BODY("\0\2\0\x1d"), DECODE, 0, NULL },
        { "half a length", HELLO, SET, KEY_SHARE, BODY("\0\3\0\x1d\0"), DECODE, 0, NULL },
        { "a length that is too long", HELLO, SET, KEY_SHARE, BODY("\0\5\0\x1d\0\2x"), DECODE, 0, NULL },
        { "bytes behind the list", HELLO, SET, KEY_SHARE, BODY("\0\0x"), DECODE, 0, NULL },
        { "no length of the list", HELLO, SET, KEY_SHARE, BODY("\0"), DECODE, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

static uint8_t kept[4 + MILGI_KEX_PUBLIC_MAX]; /* the entry that the client would have sent */

static void groups_with(struct pair_bytes *m, uint16_t group, bool first)
{
    uint8_t body[6] = { 0, 4 };
    milgi__put16(body + (first ? 2 : 4), group);
    milgi__put16(body + (first ? 4 : 2), MILGI_GROUP_X25519);
    liar_ext_set(m, GROUPS, body, sizeof body);
}

static void shares_with(struct pair_bytes *m, uint16_t group, bool first)
{
    uint8_t body[2 + 36 + 7] = { 0, 36 + 7 }, other[7] = { 0, 0, 0, 3, 1, 2, 3 };
    milgi__put16(other, group);
    memcpy(body + (first ? 2 : 38), other, sizeof other);
    memcpy(body + (first ? 9 : 2), kept, 36);
    liar_ext_set(m, KEY_SHARE, body, sizeof body);
}

/* What is offered beside X25519, how: a bit each. */
#define FIRST 1u
#define WITH_SHARE 2u
#define ALONE 4u

struct beside {
    uint16_t group;
    unsigned how;
};

static bool offer_beside(struct liar *liar, struct pair_bytes *m)
{
    const struct beside *b = liar->setup.arg;
    if (m->p[0] != MSG(CLIENT_HELLO))
        return true;
    milgi__put16(kept, MILGI_GROUP_X25519);
    milgi__put16(kept + 2, 32);
    memcpy(kept + 4, liar->pub, 32);
    if ((b->how & ALONE) != 0) {
        uint8_t groups[4] = { 0, 2 }, share[9] = { 0, 7, 0, 0, 0, 3, 1, 2, 3 };
        milgi__put16(groups + 2, b->group);
        milgi__put16(share + 2, b->group);
        liar_ext_set(m, GROUPS, groups, sizeof groups);
        if ((b->how & WITH_SHARE) != 0)
            liar_ext_set(m, KEY_SHARE, share, sizeof share);
        else
            liar_ext_set(m, KEY_SHARE, "\0\0", 2);
        return true;
    }
    groups_with(m, b->group, (b->how & FIRST) != 0);
    if ((b->how & WITH_SHARE) != 0)
        shares_with(m, b->group, (b->how & FIRST) != 0);
    return true;
}

/*= RFC8446 B.3.1.4: "Values within "obsolete_RESERVED" ranges are used in previous versions of TLS and MUST NOT be
 *= offered or negotiated by TLS 1.3 implementations." */
/*= RFC8446 9.3: "A server receiving a ClientHello MUST correctly ignore all unrecognized cipher suites, extensions, and
 *= other parameters." */
/* Clients that still speak older versions name such groups; they are never chosen, and do no harm. */
static void groups_that_are_obsolete_or_unknown_are_passed_over(void **state)
{
    (void)state;
    static const uint16_t groups[] = { 0, 1, 0x0e, 0x16, 0x1a, 0x1c, 0x19, 0x1e, 0x1f, 0x100, 0x104, 0x1fc, 0x11ec,
        0x6a6a, 0xfe00, 0xff01, 0xff02, 0xffff };
    for (size_t i = 0; i < MILGI__COUNT(groups); i++) {
        for (unsigned how = 0; how < 2 * ALONE; how++) {
            struct beside beside = { groups[i], how };
            struct place place = HELLO;
            struct liar_setup setup = setup_of(&place);
            struct liar liar;
            setup.edit = offer_beside;
            setup.arg = &beside;
            liar_init(&liar, &setup);
            go_on(&liar);
            bool alone = (how & ALONE) != 0;
            if (liar.victim->established == alone)
                fail_msg("group %04x, %u: %s", groups[i], how, liar_end(&liar));
            /*= RFC8446 4.1.1: "If there is no overlap between the received "supported_groups" and the groups supported
             *= by the server, then the server MUST abort the handshake with a "handshake_failure" or an
             *= "insufficient_security" alert." */
            if (alone) {
                liar_expect_alert(&liar, FAILURE);
                assert_string_equal(liar.victim->reason.detail, "no group in common");
            }
            liar_fini(&liar);
        }
    }
}

/* --- signature algorithms that a server asks for ------------------------------------------------------------------ */

static bool said(const struct liar *liar, unsigned type)
{
    for (unsigned i = 0; i < liar->types_n; i++) {
        if (liar->types[i] == type)
            return true;
    }
    return false;
}

/*= RFC8446 4.2.3: "SignatureScheme supported_signature_algorithms<2..2^16-2>" */
static void a_request_for_any_signature_algorithms_is_answered_with_what_there_is(void **state)
{
    (void)state;
    static const struct {
        struct lie lie; /* alert: OK, with a signature; else the alert */
        bool silent;    /* the certificate is left out */
    } cases[] = {
        { { "one of ours", REQUEST, SET, SCHEMES, BODY("\0\2\10\7"), OK, 0, NULL }, false },
        { { "one of ours, twice", REQUEST, SET, SCHEMES, BODY("\0\4\10\7\10\7"), OK, 0, NULL }, false },
        { { "one of ours behind others", REQUEST, SET, SCHEMES, BODY("\0\10\x12\x34\2\3\xfe\1\10\7"), OK, 0, NULL },
            false },
        { { "unknown ones", REQUEST, SET, SCHEMES, BODY("\0\4\x12\x34\x0a\x0a"), OK, 0, NULL }, true },
        { { "those of other keys", REQUEST, SET, SCHEMES, BODY("\0\6\4\3\10\4\5\3"), OK, 0, NULL }, true },
        { { "those of certificates alone", REQUEST, SET, SCHEMES, BODY("\0\4\4\1\5\1"), OK, 0, NULL }, true },
        { { "obsolete ones", REQUEST, SET, SCHEMES, BODY("\0\6\2\1\2\2\2\3"), OK, 0, NULL }, true },
        { { "none", REQUEST, SET, SCHEMES, BODY("\0\0"), DECODE, 0, NULL }, false },
        { { "one and a half", REQUEST, SET, SCHEMES, BODY("\0\3\10\7\10"), DECODE, 0, NULL }, false },
        { { "a half", REQUEST, SET, SCHEMES, BODY("\0\1\10"), DECODE, 0, NULL }, false },
        { { "more than there are", REQUEST, SET, SCHEMES, BODY("\0\4\10\7"), DECODE, 0, NULL }, false },
        { { "less than there are", REQUEST, SET, SCHEMES, BODY("\0\2\10\7\10\4"), DECODE, 0, NULL }, false },
        { { "nothing", REQUEST, SET, SCHEMES, BODY(""), DECODE, 0, NULL }, false },
        { { "no ones of certificates", REQUEST, ADD, CERT_SCHEMES, BODY("\0\0"), DECODE, 0, NULL }, false },
        { { "half one of certificates", REQUEST, ADD, CERT_SCHEMES, BODY("\0\1\10"), DECODE, 0, NULL }, false },
    };
    struct milgi_config *victim = configs_freeze(configs_begin(MILGI_CLIENT, fixture.leaf, fixture.root));
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        const struct lie *lie = &cases[i].lie;
        struct liar_setup setup = setup_of(&lie->place);
        struct liar liar;
        setup.victim = victim;
        setup.edit = lie_edit;
        setup.arg = (void *)(uintptr_t)lie;
        liar_init(&liar, &setup);
        go_on(&liar);
        if (liar.victim->established != (lie->alert == OK))
            fail_msg("%s: %s", lie->name, liar_end(&liar));
        if (lie->alert != OK) {
            liar_expect_alert(&liar, lie->alert);
            assert_false(said(&liar, MSG(CERTIFICATE)));
        } else {
            /*= RFC8446 4.4.2: "If the server requests client authentication but no suitable certificate is available,
             *= the client MUST send a Certificate message containing no certificates" */
            assert_true(said(&liar, MSG(CERTIFICATE)));
            assert_int_equal(said(&liar, MSG(CERTIFICATE_VERIFY)), !cases[i].silent);
        }
        liar_fini(&liar);
    }
    milgi_config_unref(victim);
}

#define LONG 60 /* more than are kept */

/* In front of the one that is ours: many unknown ones, or one of another key's many times. */
static void far_behind(struct pair_bytes *m, bool unknown)
{
    uint8_t body[2 + 2 * (LONG + 1)];
    milgi__put16(body, sizeof body - 2);
    for (unsigned i = 0; i < LONG; i++)
        milgi__put16(body + 2 + 2 * (size_t)i, unknown ? 0xfe00 + i : MILGI_SIG_ECDSA_SECP256R1_SHA256);
    milgi__put16(body + sizeof body - 2, MILGI_SIG_ED25519);
    liar_ext_set(m, SCHEMES, body, sizeof body);
}

static void behind_unknown(struct pair_bytes *m)
{
    far_behind(m, true);
}

static void behind_the_same(struct pair_bytes *m)
{
    far_behind(m, false);
}

/* Of either side: a server signs with it, and a client does. */
static void an_algorithm_of_ours_is_found_however_far_behind(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "of a client, behind unknown ones", HELLO, CALL, 0, NULL, 0, OK, 0, behind_unknown },
        { "of a client, behind the same ones", HELLO, CALL, 0, NULL, 0, OK, 0, behind_the_same },
        { "of a server, behind unknown ones", REQUEST, CALL, 0, NULL, 0, OK, 0, behind_unknown },
        { "of a server, behind the same ones", REQUEST, CALL, 0, NULL, 0, OK, 0, behind_the_same },
    };
    struct milgi_config *victim = configs_freeze(configs_begin(MILGI_CLIENT, fixture.leaf, fixture.root));
    for (size_t i = 0; i < MILGI__COUNT(lies); i++) {
        struct liar_setup setup = setup_of(&lies[i].place);
        struct liar liar;
        bool asks = setup.role == S;
        if (asks)
            setup.victim = victim;
        setup.edit = lie_edit;
        setup.arg = (void *)(uintptr_t)&lies[i];
        liar_init(&liar, &setup);
        liar_handshake(&liar);
        assert_true(said(&liar, MSG(CERTIFICATE_VERIFY)));
        liar_fini(&liar);
    }
    milgi_config_unref(victim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cipher_suite_that_was_not_offered_is_refused),
        cmocka_unit_test(a_field_of_a_length_that_it_cannot_have_is_malformed),
        cmocka_unit_test(a_version_that_was_not_offered_is_refused),
        cmocka_unit_test(a_version_is_one_number),
        cmocka_unit_test(a_share_of_a_group_that_has_none_of_ours_is_refused),
        cmocka_unit_test(after_a_retry_the_first_share_is_no_longer_offered),
        cmocka_unit_test(a_retry_asks_for_a_group_that_was_offered_without_a_share),
        cmocka_unit_test(a_share_is_one_entry_and_has_bytes),
        cmocka_unit_test(a_share_of_another_length_is_refused),
        cmocka_unit_test(a_protocol_that_was_not_offered_is_refused),
        cmocka_unit_test(a_server_chooses_a_protocol_that_was_offered_or_none),
        cmocka_unit_test(an_entry_of_key_share_has_bytes),
        cmocka_unit_test(groups_that_are_obsolete_or_unknown_are_passed_over),
        cmocka_unit_test(a_request_for_any_signature_algorithms_is_answered_with_what_there_is),
        cmocka_unit_test(an_algorithm_of_ours_is_found_however_far_behind),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
