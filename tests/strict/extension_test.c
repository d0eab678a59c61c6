/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extensions and fields of messages that must not be as they are, and GREASE, which must not matter.
 * ctest-timeout: 120
 */
#include "lie.h"

/* --- unknown, twice, misplaced ------------------------------------------------------------------------------------ */

/*= RFC8446 4.2: "Upon receiving such an extension, an endpoint MUST abort the handshake with an "unsupported_extension"
 *= alert.", 9.3: "A server receiving a ClientHello MUST correctly ignore all unrecognized cipher suites, extensions,
 *= and other parameters." */
static void unknown_extensions_are_ignored_in_requests_and_refused_in_answers(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "ClientHello", HELLO, ADD, UNKNOWN, BODY("what"), OK, 0, NULL },
        { "ClientHello, last", HELLO, ADD_LAST, UNKNOWN, BODY(""), OK, 0, NULL },
        { "HelloRetryRequest", RETRY, ADD, UNKNOWN, BODY("what"), UNSUPPORTED, 0, NULL },
        { "ServerHello", ANSWER, ADD, UNKNOWN, BODY("what"), UNSUPPORTED, 0, NULL },
        { "EncryptedExtensions", EXTENSIONS, ADD, UNKNOWN, BODY("what"), UNSUPPORTED, 0, NULL },
        { "CertificateRequest", REQUEST, ADD, UNKNOWN, BODY("what"), OK, 0, NULL },
        { "Certificate", CERT, ADD, UNKNOWN, BODY("what"), UNSUPPORTED, 0, NULL },
        { "Certificate of the client", CLIENT_CERT, ADD, UNKNOWN, BODY("what"), UNSUPPORTED, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

/*= RFC8446 4.2: "There MUST NOT be more than one extension of the same type in a given extension block." (No alert is
 *= named.) */
static void extensions_that_come_twice_are_refused(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "ClientHello", HELLO, DOUBLE, 0, NULL, 0, ILLEGAL, DECODE, NULL },
        { "HelloRetryRequest", RETRY, DOUBLE, 0, NULL, 0, ILLEGAL, DECODE, NULL },
        { "ServerHello", ANSWER, DOUBLE, 0, NULL, 0, ILLEGAL, DECODE, NULL },
        { "CertificateRequest", REQUEST, DOUBLE, 0, NULL, 0, ILLEGAL, DECODE, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

/*= RFC8446 4.2: "If an implementation receives an extension which it recognizes and which is not specified for the
 *= message in which it appears, it MUST abort the handshake with an "illegal_parameter" alert." */
static void extensions_in_a_wrong_message_are_refused(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "oid_filters in ClientHello", HELLO, ADD, OID_FILTERS, BODY("\0\0"), ILLEGAL, 0, NULL },
        { "server_name in ServerHello", ANSWER, ADD, SERVER_NAME, BODY(""), ILLEGAL, 0, NULL },
        { "cookie in ServerHello", ANSWER, ADD, COOKIE, BODY("\0\1c"), ILLEGAL, 0, NULL },
        { "ALPN in ServerHello", ANSWER, ADD, ALPN, BODY("\0\3\2h2"), ILLEGAL, 0, NULL },
        { "groups in HelloRetryRequest", RETRY, ADD, GROUPS, BODY("\0\2\0\x17"), ILLEGAL, 0, NULL },
        { "key_share in EncryptedExtensions", EXTENSIONS, ADD, KEY_SHARE, BODY("\0\x1d"), ILLEGAL, 0, NULL },
        { "versions in EncryptedExtensions", EXTENSIONS, ADD, VERSIONS, BODY("\3\4"), ILLEGAL, 0, NULL },
        { "schemes in EncryptedExtensions", EXTENSIONS, ADD, SCHEMES, BODY("\0\2\4\3"), ILLEGAL, 0, NULL },
        { "status_request in EncryptedExtensions", EXTENSIONS, ADD, STATUS_REQUEST, BODY(""), ILLEGAL, 0, NULL },
        { "psk in EncryptedExtensions", EXTENSIONS, ADD, PSK, BODY("\0\0"), ILLEGAL, 0, NULL },
        { "key_share in CertificateRequest", REQUEST, ADD, KEY_SHARE, BODY("\0\x1d"), ILLEGAL, 0, NULL },
        { "ALPN in CertificateRequest", REQUEST, ADD, ALPN, BODY("\0\3\2h2"), ILLEGAL, 0, NULL },
        { "server_name in Certificate", CERT, ADD, SERVER_NAME, BODY(""), ILLEGAL, 0, NULL },
        { "schemes in Certificate", CERT, ADD, SCHEMES, BODY("\0\2\4\3"), ILLEGAL, 0, NULL },
        { "ALPN in Certificate of the client", CLIENT_CERT, ADD, ALPN, BODY("\0\3\2h2"), ILLEGAL, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

static void answers_to_what_was_not_asked_are_refused(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "psk", ANSWER, ADD, PSK, BODY("\0\0"), UNSUPPORTED, ILLEGAL, NULL },
        { "early_data", EXTENSIONS, ADD, EARLY_DATA, BODY(""), UNSUPPORTED, 0, NULL },
        { "ALPN", EXTENSIONS, ADD, ALPN, BODY("\0\3\2h2"), UNSUPPORTED, 0, NULL },
        { "status_request", CERT, ADD, STATUS_REQUEST, BODY("\1\0\0\1x"), UNSUPPORTED, 0, NULL },
        { "server_name, which was", EXTENSIONS, ADD, SERVER_NAME, BODY(""), OK, 0, NULL },
        { "groups, which were", EXTENSIONS, ADD, GROUPS, BODY("\0\4\0\x17\0\x1d"), OK, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

/* --- what a ClientHello must have --------------------------------------------------------------------------------- */

#define PSK_BODY \
    "\0\7\0\1i\0\0\0\0" \
    "\0\x21\x20" \
    "0123456789abcdef0123456789abcdef"

static void neither_groups_nor_shares(struct pair_bytes *m)
{
    liar_ext_remove(m, GROUPS);
    liar_ext_remove(m, KEY_SHARE);
}

static void what_a_client_leaves_out_is_missed(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "versions", HELLO, REMOVE, VERSIONS, NULL, 0, VERSION, 0, NULL },
        { "groups", HELLO, REMOVE, GROUPS, NULL, 0, MISSING, 0, NULL },
        { "groups and shares", HELLO, CALL, 0, NULL, 0, MISSING, 0, neither_groups_nor_shares },
        { "schemes", HELLO, REMOVE, SCHEMES, NULL, 0, MISSING, 0, NULL },
        { "key_share", HELLO, REMOVE, KEY_SHARE, NULL, 0, MISSING, 0, NULL },
        { "psk_key_exchange_modes", HELLO, ADD_LAST, PSK, BODY(PSK_BODY), MISSING, 0, NULL },
        { "server_name, which it may", HELLO, REMOVE, SERVER_NAME, NULL, 0, OK, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

static void psk_in_the_middle(struct pair_bytes *m)
{
    liar_ext_add(m, PSK_MODES, "\1\1", 2, false);
    liar_ext_add(m, PSK, PSK_BODY, sizeof PSK_BODY - 1, true);
    liar_ext_add(m, UNKNOWN, "", 0, true);
}

static void psk_at_the_end(struct pair_bytes *m)
{
    liar_ext_add(m, PSK_MODES, "\1\1", 2, false);
    liar_ext_add(m, PSK, PSK_BODY, sizeof PSK_BODY - 1, true);
}

/*= RFC8446 4.2.11: "The "pre_shared_key" extension MUST be the last extension in the ClientHello [...]. Servers MUST
 *= check that it is the last extension and otherwise fail the handshake with an "illegal_parameter" alert." */
static void a_psk_stands_last(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "in the middle", HELLO, CALL, 0, NULL, 0, ILLEGAL, 0, psk_in_the_middle },
        { "at the end", HELLO, CALL, 0, NULL, 0, OK, 0, psk_at_the_end },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

static void psk_with_a_binder_too_few(struct pair_bytes *m)
{
    static const char body[] = "\0\x0e\0\1i\0\0\0\0\0\1j\0\0\0\0"
                               "\0\x21\x20"
                               "0123456789abcdef0123456789abcdef";
    liar_ext_add(m, PSK_MODES, "\1\1", 2, false);
    liar_ext_add(m, PSK, body, sizeof body - 1, true);
}

static void psk_with_a_binder_too_many(struct pair_bytes *m)
{
    static const char body[] = "\0\7\0\1i\0\0\0\0"
                               "\0\x42\x20"
                               "0123456789abcdef0123456789abcdef"
                               "\x20"
                               "0123456789abcdef0123456789abcdef";
    liar_ext_add(m, PSK_MODES, "\1\1", 2, false);
    liar_ext_add(m, PSK, body, sizeof body - 1, true);
}

/*= RFC8446 4.2.11: "binders:  A series of HMAC values, one for each value in the identities list and in the same
 *= order" */
static void a_psk_has_a_binder_for_each_identity(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "one too few", HELLO, CALL, 0, NULL, 0, ILLEGAL, 0, psk_with_a_binder_too_few },
        { "one too many", HELLO, CALL, 0, NULL, 0, ILLEGAL, 0, psk_with_a_binder_too_many },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

#define SHARE "0123456789abcdef0123456789abcdef"
#define ZEROS "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static void what_a_client_says_wrongly_is_refused(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "TLS 1.2 alone", HELLO, SET, VERSIONS, BODY("\2\3\3"), VERSION, 0, NULL },
        { "odd versions", HELLO, SET, VERSIONS, BODY("\3\3\4\3"), DECODE, 0, NULL },
        { "no versions", HELLO, SET, VERSIONS, BODY("\0"), DECODE, 0, NULL },
        { "odd groups", HELLO, SET, GROUPS, BODY("\0\3\0\x17\0"), DECODE, 0, NULL },
        { "no groups", HELLO, SET, GROUPS, BODY("\0\0"), DECODE, 0, NULL },
        { "unknown groups", HELLO, SET, GROUPS, BODY("\0\2\x12\x34"), ILLEGAL, FAILURE, NULL },
        { "no schemes", HELLO, SET, SCHEMES, BODY("\0\0"), DECODE, 0, NULL },
        { "unknown schemes", HELLO, SET, SCHEMES, BODY("\0\2\x12\x34"), FAILURE, 0, NULL },
        { "two shares of a group", HELLO, SET, KEY_SHARE,
            BODY("\0\x48\0\x1d\0\x20" SHARE "\0\x1d\0\x20" SHARE), ILLEGAL, 0, NULL },
        { "a share of a group that it has not", HELLO, SET, KEY_SHARE, BODY("\0\6\0\x19\0\2xx"), ILLEGAL, 0, NULL },
        { "a short share", HELLO, SET, KEY_SHARE, BODY("\0\5\0\x1d\0\1x"), ILLEGAL, 0, NULL },
        { "an empty share", HELLO, SET, KEY_SHARE, BODY("\0\4\0\x1d\0\0"), DECODE, 0, NULL },
        { "a share that gives nothing", HELLO, SET, KEY_SHARE, BODY("\0\x24\0\x1d\0\x20" ZEROS), ILLEGAL, 0, NULL },
        { "a point off the curve", HELLO, SET, KEY_SHARE, BODY("\0\x45\0\x17\0\x41\4" SHARE SHARE), ILLEGAL, 0, NULL },
        { "no name", HELLO, SET, SERVER_NAME, BODY("\0\0"), DECODE, 0, NULL },
        { "two names", HELLO, SET, SERVER_NAME, BODY("\0\10\0\0\1a\0\0\1b"), ILLEGAL, 0, NULL },
        { "no protocol", HELLO, ADD, ALPN, BODY("\0\0"), DECODE, 0, NULL },
        { "an empty protocol", HELLO, ADD, ALPN, BODY("\0\2\0\0"), DECODE, 0, NULL },
        { "an empty cookie", HELLO, ADD, COOKIE, BODY("\0\0"), DECODE, 0, NULL },
        /*= RFC8446 4.2.6: "The "extension_data" field of the "post_handshake_auth" extension is zero length." */
        { "post_handshake_auth with something in it", HELLO, ADD, POST_AUTH, BODY("x"), DECODE, 0, NULL },
        { "post_handshake_auth, which it may", HELLO, ADD, POST_AUTH, BODY(""), OK, 0, NULL },
        { "early data of some size", HELLO, ADD, EARLY_DATA, BODY("\0\0\0\1"), DECODE, 0, NULL },
        { "no psk_key_exchange_modes", HELLO, ADD, PSK_MODES, BODY("\0"), DECODE, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

static void other_random(struct pair_bytes *m)
{
    m->p[10] ^= 1;
}

static void other_version(struct pair_bytes *m)
{
    m->p[5] ^= 1;
}

static void add_session_id(struct pair_bytes *m)
{
    liar_splice(m, liar_at_session_id(m), 1, "\4"
                                             "abcd",
        5);
}

static void add_suite(struct pair_bytes *m)
{
    size_t at = liar_at_suites(m);
    liar_splice(m, at, 2, "\0\4\x13\2", 4);
}

static void add_compression(struct pair_bytes *m)
{
    size_t at = liar_at_suites(m);
    at += 2 + milgi__get16(m->p + at);
    liar_splice(m, at, 2, "\2\0\1", 3);
}

static void other_compression(struct pair_bytes *m)
{
    size_t at = liar_at_suites(m);
    at += 2 + milgi__get16(m->p + at);
    m->p[at + 1] = 1;
}

static void unknown_suite(struct pair_bytes *m)
{
    memcpy(m->p + liar_at_suites(m) + 2, "\x12\x34", 2);
}

/* SSL 3.0, in either hello. */
static void ssl_version(struct pair_bytes *m)
{
    m->p[4] = 3;
    m->p[5] = 0;
}

static void older_than_ssl(struct pair_bytes *m)
{
    m->p[4] = 2;
}

static void tls_1_0(struct pair_bytes *m)
{
    m->p[5] = 1;
}

static void tls_1_3(struct pair_bytes *m)
{
    m->p[5] = 4;
}

static void suite_of_the_same_hash(struct pair_bytes *m)
{
    memcpy(m->p + liar_at_suites(m) + 2, "\x13\x3", 2); /* ChaCha20-Poly1305 for AES-128-GCM */
}

/* An entry before, or behind, the one in key_share. */
static void add_share(struct pair_bytes *m, bool behind)
{
    static const uint8_t more[] = { 0, 0x17, 0, 4, 1, 2, 3, 4 };
    struct pair_bytes body = { 0 };
    size_t at = liar_block(m);
    while (milgi__get16(m->p + at) != KEY_SHARE)
        at += 4 + milgi__get16(m->p + at + 2);
    size_t len = milgi__get16(m->p + at + 4);
    uint8_t head[2];
    milgi__put16(head, (unsigned)(len + sizeof more));
    pair_bytes_add(&body, head, 2);
    if (!behind)
        pair_bytes_add(&body, more, sizeof more);
    pair_bytes_add(&body, m->p + at + 6, len);
    if (behind)
        pair_bytes_add(&body, more, sizeof more);
    liar_ext_set(m, KEY_SHARE, body.p, body.len);
    free(body.p);
}

static void share_before(struct pair_bytes *m)
{
    add_share(m, false);
}

static void share_behind(struct pair_bytes *m)
{
    add_share(m, true);
}

/*= RFC8446 D.5: "Any endpoint receiving a Hello message with ClientHello.legacy_version or ServerHello.legacy_version
 *= set to 0x0300 MUST abort the handshake with a "protocol_version" alert." */
/*= RFC8446 4.2.1: "servers MUST NOT use the ClientHello.legacy_version value for version negotiation", "clients MUST
 *= ignore the ServerHello.legacy_version value" */
static void the_old_version_field_may_say_anything_but_ssl(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "ClientHello of SSL 3.0", HELLO, CALL, 0, NULL, 0, VERSION, 0, ssl_version },
        { "ClientHello of something older", HELLO, CALL, 0, NULL, 0, VERSION, 0, older_than_ssl },
        { "second ClientHello of SSL 3.0", HELLO_2, CALL, 0, NULL, 0, VERSION, 0, ssl_version },
        { "ClientHello of TLS 1.0", HELLO, CALL, 0, NULL, 0, OK, 0, tls_1_0 },
        { "ClientHello of TLS 1.3", HELLO, CALL, 0, NULL, 0, OK, 0, tls_1_3 },
        { "ServerHello of SSL 3.0", ANSWER, CALL, 0, NULL, 0, VERSION, 0, ssl_version },
        { "ServerHello of something older", ANSWER, CALL, 0, NULL, 0, VERSION, 0, older_than_ssl },
        { "HelloRetryRequest of SSL 3.0", RETRY, CALL, 0, NULL, 0, VERSION, 0, ssl_version },
        { "ServerHello of SSL 3.0 after a retry", ANSWER_2, CALL, 0, NULL, 0, VERSION, 0, ssl_version },
        { "ServerHello of TLS 1.0", ANSWER, CALL, 0, NULL, 0, OK, 0, tls_1_0 },
        { "ServerHello of TLS 1.3", ANSWER, CALL, 0, NULL, 0, OK, 0, tls_1_3 },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

static void the_fields_of_a_client_hello_are_looked_at(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "compression too", HELLO, CALL, 0, NULL, 0, ILLEGAL, 0, add_compression },
        { "compression alone", HELLO, CALL, 0, NULL, 0, ILLEGAL, 0, other_compression },
        { "an unknown suite", HELLO, CALL, 0, NULL, 0, FAILURE, 0, unknown_suite },
        { "another random", HELLO_2, CALL, 0, NULL, 0, ILLEGAL, 0, other_random },
        { "another version", HELLO_2, CALL, 0, NULL, 0, ILLEGAL, 0, other_version },
        { "another session id", HELLO_2, CALL, 0, NULL, 0, ILLEGAL, 0, add_session_id },
        { "another suite", HELLO_2, CALL, 0, NULL, 0, ILLEGAL, 0, add_suite },
        { "another extension", HELLO_2, ADD, UNKNOWN, BODY("x"), ILLEGAL, 0, NULL },
        { "one extension less", HELLO_2, REMOVE, SERVER_NAME, NULL, 0, ILLEGAL, 0, NULL },
        { "early data again", HELLO_2, ADD, EARLY_DATA, BODY(""), ILLEGAL, 0, NULL },
        { "no share yet", HELLO_2, SET, KEY_SHARE, BODY("\0\0"), ILLEGAL, 0, NULL },
        { "another share", HELLO_2, SET, KEY_SHARE, BODY("\0\x45\0\x17\0\x41\4" SHARE SHARE), ILLEGAL, 0, NULL },
        { "a suite of the same hash instead", HELLO_2, CALL, 0, NULL, 0, ILLEGAL, 0, suite_of_the_same_hash },
        /*= RFC8446 4.1.2: "replacing the list of shares with a list containing a single KeyShareEntry from the
         *= indicated group" */
        { "a share too many, before", HELLO_2, CALL, 0, NULL, 0, ILLEGAL, 0, share_before },
        { "a share too many, behind", HELLO_2, CALL, 0, NULL, 0, ILLEGAL, 0, share_behind },
        /*= RFC8446 4.1.2: "Including a "cookie" extension if one was provided in the HelloRetryRequest." */
        { "a cookie that was never given", HELLO_2, ADD, COOKIE, BODY("\0\5crumb"), ILLEGAL, 0, NULL },
        { "padding, which it may", HELLO_2, ADD, PADDING, BODY("\0\0\0"), OK, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

/* --- what a server may say ---------------------------------------------------------------------------------------- */

static void other_suite(struct pair_bytes *m)
{
    m->p[liar_at_suites(m) + 1] = 2; /* AES-256-GCM, which was offered */
}

static void other_suite_of_the_same_hash(struct pair_bytes *m)
{
    m->p[liar_at_suites(m) + 1] = 3; /* ChaCha20-Poly1305 for AES-128-GCM */
}

static void suite_not_offered(struct pair_bytes *m)
{
    memcpy(m->p + liar_at_suites(m), "\x13\x4", 2);
}

static void compressed(struct pair_bytes *m)
{
    m->p[liar_at_suites(m) + 2] = 1;
}

static void no_session_id(struct pair_bytes *m)
{
    liar_splice(m, liar_at_session_id(m), 33, "\0", 1);
}

static void other_session_id(struct pair_bytes *m)
{
    m->p[liar_at_session_id(m) + 7] ^= 1;
}

/*= RFC8446 4.1.3: "44 4F 57 4E 47 52 44 01" in the random of a server that was made to choose TLS 1.2 */
static void downgraded(struct pair_bytes *m)
{
    memcpy(m->p + 6 + 24, "DOWNGRD\1", 8);
    liar_ext_remove(m, VERSIONS);
    liar_ext_remove(m, KEY_SHARE);
}

static void downgraded_further(struct pair_bytes *m)
{
    downgraded(m);
    m->p[6 + 31] = 0;
    m->p[5] = 2;
}

static void older(struct pair_bytes *m)
{
    liar_ext_remove(m, VERSIONS);
    liar_ext_remove(m, KEY_SHARE);
}

static void cookie_alone(struct pair_bytes *m)
{
    liar_ext_remove(m, KEY_SHARE);
    liar_ext_add(m, COOKIE, "\0\5crumb", 7, true);
}

static void the_hellos_of_a_server_are_looked_at(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "an older version", ANSWER, CALL, 0, NULL, 0, VERSION, 0, older },
        { "a downgrade to TLS 1.2", ANSWER, CALL, 0, NULL, 0, ILLEGAL, 0, downgraded },
        { "a downgrade to TLS 1.1", ANSWER, CALL, 0, NULL, 0, ILLEGAL, 0, downgraded_further },
        { "TLS 1.2 by extension", ANSWER, SET, VERSIONS, BODY("\3\3"), ILLEGAL, 0, NULL },
        { "a version of the future", ANSWER, SET, VERSIONS, BODY("\3\5"), ILLEGAL, 0, NULL },
        { "a suite not offered", ANSWER, CALL, 0, NULL, 0, ILLEGAL, 0, suite_not_offered },
        { "compression", ANSWER, CALL, 0, NULL, 0, ILLEGAL, 0, compressed },
        { "no session id", ANSWER, CALL, 0, NULL, 0, ILLEGAL, 0, no_session_id },
        { "another session id", ANSWER, CALL, 0, NULL, 0, ILLEGAL, 0, other_session_id },
        { "no share", ANSWER, REMOVE, KEY_SHARE, NULL, 0, MISSING, 0, NULL },
        { "a short share", ANSWER, SET, KEY_SHARE, BODY("\0\x1d\0\1x"), ILLEGAL, 0, NULL },
        { "a share that gives nothing", ANSWER, SET, KEY_SHARE, BODY("\0\x1d\0\x20" ZEROS), ILLEGAL, 0, NULL },
        { "a share of another group", ANSWER, SET, KEY_SHARE, BODY("\0\x17\0\x41\4" SHARE SHARE), ILLEGAL, 0, NULL },
        { "another group than was asked for", ANSWER_2, SET, KEY_SHARE, BODY("\0\x1d\0\x20" SHARE), ILLEGAL, 0, NULL },
        { "a point off the curve", ANSWER_2, SET, KEY_SHARE, BODY("\0\x17\0\x41\4" SHARE SHARE), ILLEGAL, 0, NULL },
        { "another suite than before", ANSWER_2, CALL, 0, NULL, 0, ILLEGAL, 0, other_suite },
        { "another suite of the same hash", ANSWER_2, CALL, 0, NULL, 0, ILLEGAL, 0, other_suite_of_the_same_hash },
        { "an older version than before", ANSWER_2, CALL, 0, NULL, 0, ILLEGAL, 0, older },
        { "a retry for a group that has a share", RETRY, SET, KEY_SHARE, BODY("\0\x1d"), ILLEGAL, 0, NULL },
        { "a retry for a group that is not offered", RETRY, SET, KEY_SHARE, BODY("\0\x19"), ILLEGAL, 0, NULL },
        { "a retry for nothing", RETRY, REMOVE, KEY_SHARE, NULL, 0, ILLEGAL, 0, NULL },
        { "a retry without a version", RETRY, REMOVE, VERSIONS, NULL, 0, MISSING, 0, NULL },
        { "a retry with an empty cookie", RETRY, ADD, COOKIE, BODY("\0\0"), DECODE, 0, NULL },
        { "a retry with another session id", RETRY, CALL, 0, NULL, 0, ILLEGAL, 0, other_session_id },
        { "a retry with a suite not offered", RETRY, CALL, 0, NULL, 0, ILLEGAL, 0, suite_not_offered },
        { "a retry with a cookie too, which it may", RETRY, ADD, COOKIE, BODY("\0\5crumb"), OK, 0, NULL },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

static void a_cookie_alone_is_reason_enough_for_a_retry(void **state)
{
    (void)state;
    const struct lie lie = { "cookie", RETRY, CALL, 0, NULL, 0, OK, 0, cookie_alone };
    struct liar_setup setup = setup_of(&lie.place);
    setup.group = MILGI_GROUP_X25519;
    tell_as(&lie, &setup, NULL);
}

/* --- the messages under protection -------------------------------------------------------------------------------- */

static void with_context(struct pair_bytes *m)
{
    liar_splice(m, 4, 1, "\1x", 2);
}

static void pkcs1(struct pair_bytes *m)
{
    memcpy(m->p + 4, "\4\1", 2);
}

static void scheme_of_another_key(struct pair_bytes *m)
{
    memcpy(m->p + 4, "\4\3", 2);
}

static void garbage_certificate(struct pair_bytes *m)
{
    memset(m->p + 4 + 1 + 3 + 3, 'x', 20);
}

static void the_messages_under_protection_are_looked_at(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "a request with a context", REQUEST, CALL, 0, NULL, 0, ILLEGAL, 0, with_context },
        { "a request without schemes", REQUEST, SET, SCHEMES, BODY("\0\0"), DECODE, 0, NULL },
        { "a certificate with a context", CERT, CALL, 0, NULL, 0, ILLEGAL, 0, with_context },
        { "a client's certificate with a context", CLIENT_CERT, CALL, 0, NULL, 0, ILLEGAL, 0, with_context },
        { "a certificate that is none", CERT, CALL, 0, NULL, 0, MILGI_ALERT_BAD_CERTIFICATE, DECODE,
            garbage_certificate },
        { "a signature of RSA PKCS #1", CERT_VERIFY, CALL, 0, NULL, 0, ILLEGAL, 0, pkcs1 },
        { "a signature of another key", CERT_VERIFY, CALL, 0, NULL, 0, ILLEGAL, 0, scheme_of_another_key },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

static void request_without_schemes(struct pair_bytes *m)
{
    liar_ext_remove(m, SCHEMES);
    liar_ext_add(m, UNKNOWN, "", 0, false);
}

/*= RFC8446 4.3.2: "The "signature_algorithms" extension MUST be specified", 9.2: "missing_extension" */
static void a_request_without_signature_algorithms_is_refused(void **state)
{
    (void)state;
    static const struct lie lie = { "no schemes", REQUEST, CALL, 0, NULL, 0, MISSING, 0, request_without_schemes };
    tell(&lie);
}

/* --- GREASE (RFC 8701) -------------------------------------------------------------------------------------------- */

/* Puts two bytes of GREASE in front of a list whose length, of |size| bytes, stands first in the extension. */
static void grease_list(struct pair_bytes *m, unsigned iana, unsigned size, const char *with, size_t with_len)
{
    size_t at = liar_block(m);
    while (milgi__get16(m->p + at) != iana)
        at += 4 + milgi__get16(m->p + at + 2);
    struct pair_bytes body = { 0 };
    size_t len = milgi__get16(m->p + at + 2);
    uint8_t first[2];
    size_t list = size == 1 ? m->p[at + 4] : milgi__get16(m->p + at + 4);
    milgi__put16(first, (unsigned)(list + with_len));
    pair_bytes_add(&body, first + 2 - size, size);
    pair_bytes_add(&body, with, with_len);
    pair_bytes_add(&body, m->p + at + 4 + size, len - size);
    liar_ext_set(m, iana, body.p, body.len);
    free(body.p);
}

static void grease_hello(struct pair_bytes *m)
{
    size_t at = liar_at_suites(m), suites = milgi__get16(m->p + at);
    uint8_t head[4] = { 0, (uint8_t)(suites + 2), 0x5a, 0x5a };
    liar_splice(m, at, 2, head, 4);
    grease_list(m, GROUPS, 2, "\x3a\x3a", 2);
    grease_list(m, SCHEMES, 2, "\x0a\x0a", 2);
    grease_list(m, VERSIONS, 1, "\x7a\x7a", 2);
    grease_list(m, KEY_SHARE, 2, "\x3a\x3a\0\1\0", 5);
    liar_ext_add(m, ALPN, "\0\3\2\x1a\x1a", 5, false);
    liar_ext_add(m, PSK_MODES, "\2\1\x0b", 3, false);
    liar_ext_add(m, GREASE, "", 0, false);
    liar_ext_add(m, 0xfafa, "\0", 1, true);
}

static void grease_request(struct pair_bytes *m)
{
    grease_list(m, SCHEMES, 2, "\x0a\x0a", 2);
    liar_ext_add(m, GREASE, "", 0, false);
    liar_ext_add(m, 0xfafa, "\0", 1, true);
}

static void grease_does_not_matter(void **state)
{
    (void)state;
    static const struct lie lies[] = {
        { "ClientHello", HELLO, CALL, 0, NULL, 0, OK, 0, grease_hello },
        { "ClientHello to one who asks", HELLO_AUTH, CALL, 0, NULL, 0, OK, 0, grease_hello },
        { "CertificateRequest", REQUEST, CALL, 0, NULL, 0, OK, 0, grease_request },
    };
    tell_all(lies, MILGI__COUNT(lies));
}

static bool grease_both(struct liar *liar, struct pair_bytes *m)
{
    if (m->p[0] == MILGI__MSG_CLIENT_HELLO && liar->said == 0)
        grease_hello(m);
    if (m->p[0] == MILGI__MSG_CLIENT_HELLO && liar->said == 1) {
        uint8_t share[4 + 2 + MILGI_KEX_PUBLIC_MAX];
        grease_hello(m);
        milgi__put16(share, (unsigned)liar->pub_len + 4);
        milgi__put16(share + 2, liar->share_group);
        milgi__put16(share + 4, (unsigned)liar->pub_len);
        memcpy(share + 6, liar->pub, liar->pub_len);
        liar_ext_set(m, KEY_SHARE, share, 6 + liar->pub_len);
    }
    return true;
}

/* A retry takes the GREASE share away, and nothing else. */
static void grease_does_not_matter_in_a_retry(void **state)
{
    (void)state;
    struct place place = HELLO_2;
    struct liar_setup setup = setup_of(&place);
    struct liar liar;
    setup.edit = grease_both;
    liar_init(&liar, &setup);
    liar_handshake(&liar);
    assert_true(liar.retried);
    liar_fini(&liar);
}

static void grease_in_a_ticket_does_not_matter(void **state)
{
    (void)state;
    static const uint8_t ticket[] = { 4, 0, 0, 24, 0, 0, 28, 32, 1, 2, 3, 4, 1, 0, 0, 4, 'a', 'b', 'c', 'd', 0, 6, 0x3a,
        0x3a, 0, 2, 0, 0 };
    struct liar liar;
    open_as(&liar, MILGI_SERVER);
    liar_record(&liar, LIAR_HANDSHAKE, ticket, sizeof ticket, 0);
    liar_record(&liar, LIAR_DATA, "data", 4, 0);
    liar_listen(&liar);
    if (liar.victim->closed)
        fail_msg("ended with %s", liar_end(&liar));
    assert_int_equal(liar.victim->got.len, 4);
    liar_fini(&liar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_extensions_are_ignored_in_requests_and_refused_in_answers),
        cmocka_unit_test(extensions_that_come_twice_are_refused),
        cmocka_unit_test(extensions_in_a_wrong_message_are_refused),
        cmocka_unit_test(answers_to_what_was_not_asked_are_refused),
        cmocka_unit_test(what_a_client_leaves_out_is_missed),
        cmocka_unit_test(a_psk_stands_last),
        cmocka_unit_test(a_psk_has_a_binder_for_each_identity),
        cmocka_unit_test(what_a_client_says_wrongly_is_refused),
        cmocka_unit_test(the_old_version_field_may_say_anything_but_ssl),
        cmocka_unit_test(the_fields_of_a_client_hello_are_looked_at),
        cmocka_unit_test(the_hellos_of_a_server_are_looked_at),
        cmocka_unit_test(a_cookie_alone_is_reason_enough_for_a_retry),
        cmocka_unit_test(the_messages_under_protection_are_looked_at),
        cmocka_unit_test(a_request_without_signature_algorithms_is_refused),
        cmocka_unit_test(grease_does_not_matter),
        cmocka_unit_test(grease_does_not_matter_in_a_retry),
        cmocka_unit_test(grease_in_a_ticket_does_not_matter),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
