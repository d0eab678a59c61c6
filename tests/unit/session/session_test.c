/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions as bytes, and whether they are good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "session/session.h"

static struct milgi__session_fields fields(void)
{
    struct milgi__session_fields f = {
        .version = 0x0304,
        .suite = MILGI_SUITE_AES_256_GCM_SHA384,
        .secret_len = 48,
        .authenticated = true,
        .lifetime_s = 7200,
        .age_add = 0x89abcdef,
        .created_s = 1000000,
        .authenticated_s = 900000,
        .valid_from_s = 500000,
        .valid_until_s = 2000000,
    };
    memset(f.policy, 3, sizeof f.policy);
    memset(f.secret, 5, sizeof f.secret);
    return f;
}

static struct milgi_session *make(const struct milgi__session_fields *f, size_t peer_len)
{
    uint8_t peer[MILGI__SESSION_CERT_MAX + 8] = { 0 };
    size_t leaf = peer_len >= 3 ? peer_len - 3 : 0;
    peer[1] = (uint8_t)(leaf >> 8);
    peer[2] = (uint8_t)leaf;
    struct milgi__session_parts parts = {
        .name = { "a.test", 6 },
        .alpn = { "h2", 2 },
        .ticket = { "ticket", 6 },
        .peer = { peer, peer_len },
    };
    struct milgi_session *session = milgi__session_new(f, &parts);
    assert_non_null(session);
    return session;
}

static void what_is_encoded_is_decoded(void **state)
{
    (void)state;
    static const size_t peers[] = { 0, 4, 700, MILGI__SESSION_CHAIN_MAX, MILGI__SESSION_CERT_MAX };
    for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++) {
        struct milgi__session_fields f = fields();
        f.peer = peers[i] ? MILGI__SESSION_PEER : MILGI__SESSION_NO_PEER;
        struct milgi_session *a = make(&f, peers[i]), *b;
        uint8_t bytes[MILGI__SESSION_BYTES_MAX], again[MILGI__SESSION_BYTES_MAX];
        size_t len = milgi_session_encode(a, bytes, sizeof bytes);
        assert_true(len <= sizeof bytes);
        assert_int_equal(milgi_session_decode(bytes, len, &b), 0);
        assert_memory_equal(&a->f, &b->f, sizeof a->f);
        struct milgi_session_info info;
        milgi_session_info(b, &info);
        assert_string_equal(info.server_name, "a.test");
        assert_string_equal(info.alpn, "h2");
        assert_int_equal(info.expires_s, 1007200);
        assert_int_equal(milgi_session_encode(b, again, sizeof again), len);
        assert_memory_equal(bytes, again, len);
        milgi_session_unref(a);
        milgi_session_unref(b);
    }
}

static void nothing_is_written_where_it_does_not_fit(void **state)
{
    (void)state;
    struct milgi__session_fields f = fields();
    struct milgi_session *s = make(&f, 0);
    uint8_t bytes[512];
    size_t len = milgi_session_encode(s, NULL, 0);
    memset(bytes, 0xee, sizeof bytes);
    assert_true(len > 100 && len < sizeof bytes);
    assert_int_equal(milgi_session_encode(s, bytes, len - 1), len);
    assert_int_equal(bytes[0], 0xee);
    assert_int_equal(milgi_session_encode(s, bytes, len), len);
    assert_int_equal(bytes[len], 0xee);
    milgi_session_unref(s);
}

/* Every prefix is refused; a changed byte is refused or is another session, never anything else. */
static void malformed_bytes_are_refused(void **state)
{
    (void)state;
    struct milgi__session_fields f = fields();
    f.peer = MILGI__SESSION_PEER;
    struct milgi_session *s = make(&f, 100), *t;
    uint8_t bytes[MILGI__SESSION_BYTES_MAX];
    size_t len = milgi_session_encode(s, bytes, sizeof bytes);
    for (size_t n = 0; n < len; n++) {
        uint8_t *exact = malloc(n + 1);
        memcpy(exact, bytes, n);
        assert_int_equal(milgi_session_decode(exact, n, &t), MILGI_EPARSE);
        assert_null(t);
        free(exact);
    }
    bytes[len] = 0;
    assert_int_equal(milgi_session_decode(bytes, len + 1, &t), MILGI_EPARSE);
    for (size_t i = 0; i < len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1u << bit);
            if (milgi_session_decode(bytes, len, &t) == 0)
                milgi_session_unref(t);
            bytes[i] ^= (uint8_t)(1u << bit);
        }
    }
    milgi_session_unref(s);
}

static void refuse_changed(size_t at, uint8_t value)
{
    struct milgi__session_fields f = fields();
    struct milgi_session *s = make(&f, 0), *t;
    uint8_t bytes[512];
    size_t len = milgi_session_encode(s, bytes, sizeof bytes);
    bytes[at] = value;
    assert_int_equal(milgi_session_decode(bytes, len, &t), MILGI_EPARSE);
    milgi_session_unref(s);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    refuse_changed(0, 2);                    /* another codec */
    refuse_changed(2, 0x02);                 /* TLS 1.1 */
    refuse_changed(4, 0x01);                 /* a suite whose hash does not go with the secret */
    refuse_changed(4, 0x77);                 /* no suite */
    refuse_changed(5, 2 + 4);                /* it has a peer, but there are no certificates */
    refuse_changed(5, 2 + 8);                /* nor a digest */
    refuse_changed(5, 2 + 16);               /* a session ID, in TLS 1.3 */
    refuse_changed(5, 2 + 32);               /* authenticated, and a verdict */
    refuse_changed(5, 2 + 64);               /* what there is not */
    refuse_changed(14, 0x80);                /* created before all times */
    refuse_changed(22, 0x10);                /* authenticated after it was created */
    refuse_changed(46 + 1 + 48 + 16 + 1, 0); /* a zero in the name */
}

static void a_verdict_stays_with_the_session_and_is_never_none(void **state)
{
    (void)state;
    struct milgi__session_fields f = fields();
    f.authenticated = false;
    f.verdict = 18;
    struct milgi_session *a = make(&f, 0), *b;
    uint8_t bytes[512];
    size_t len = milgi_session_encode(a, bytes, sizeof bytes);
    assert_int_equal(milgi_session_encode(a, NULL, 0), len);
    assert_int_equal(milgi_session_decode(bytes, len, &b), 0);
    assert_memory_equal(&a->f, &b->f, sizeof a->f);
    milgi_session_unref(b);
    bytes[5] |= 2; /* authenticated all the same */
    assert_int_equal(milgi_session_decode(bytes, len, &b), MILGI_EPARSE);
    bytes[5] ^= 2;
    bytes[6] = 0;
    assert_int_equal(milgi_session_decode(bytes, len, &b), MILGI_EPARSE);
    milgi_session_unref(a);
}

static void what_is_too_long_is_no_session(void **state)
{
    (void)state;
    static uint8_t long_text[65536];
    struct milgi__session_fields f = fields();
    struct milgi__session_parts parts[4] = { { .name = { long_text, 256 } }, { .alpn = { long_text, 256 } },
        { .ticket = { long_text, 65536 } }, { .peer = { long_text, MILGI__SESSION_CERT_MAX + 1 } } };
    for (unsigned i = 0; i < 4; i++)
        assert_null(milgi__session_new(&f, &parts[i]));
}

static void sessions_end_with_their_lifetime_their_certificates_and_a_week(void **state)
{
    (void)state;
    struct milgi__session_fields f = fields();
    struct milgi_session *s = make(&f, 0);
    assert_true(milgi__session_good(s, 1000000));
    assert_true(milgi__session_good(s, 1007199));
    assert_false(milgi__session_good(s, 1007200));
    milgi_session_unref(s);
    f.valid_until_s = 1000500;
    s = make(&f, 0);
    assert_true(milgi__session_good(s, 1000500));
    assert_false(milgi__session_good(s, 1000501));
    milgi_session_unref(s);
    f = fields();
    f.valid_from_s = 1000100;
    s = make(&f, 0);
    assert_false(milgi__session_good(s, 1000099));
    assert_true(milgi__session_good(s, 1000100));
    milgi_session_unref(s);
    f = fields();
    f.lifetime_s = 0xffffffff;
    f.authenticated_s = f.created_s;
    s = make(&f, 0);
    assert_int_equal(milgi__session_expires(s), f.created_s + 604800);
    milgi_session_unref(s);
    f.authenticated_s = f.created_s - 604700; /* renewed again and again */
    s = make(&f, 0);
    assert_int_equal(milgi__session_expires(s), f.created_s + 100);
    milgi_session_unref(s);
}

static void a_servers_session_is_small(void **state)
{
    (void)state;
    struct milgi__session_fields f = fields();
    struct milgi_session *s = make(&f, 0);
    assert_true(milgi_session_encode(s, NULL, 0) <= 200);
    assert_true(sizeof *s + s->name_len + s->alpn_len + s->ticket_len <= 300 - 16);
    milgi_session_unref(s);
}

static void of_certificates_what_fits_is_kept(void **state)
{
    (void)state;
    struct milgi__crypto *cx = milgi__crypto_new();
    static uint8_t chain[8200];
    static const struct {
        size_t leaf, rest, kept;
        enum milgi__session_peer kind;
    } cases[] = { { 1000, 1000, 2006, MILGI__SESSION_PEER }, { 1000, 1043, 1003, MILGI__SESSION_PEER },
        { 2045, 0, 2048, MILGI__SESSION_PEER }, { 2045, 500, 2048, MILGI__SESSION_PEER },
        { 2046, 0, 2049, MILGI__SESSION_PEER }, { 8189, 3, 8192, MILGI__SESSION_PEER },
        { 8190, 0, 32, MILGI__SESSION_PEER_DIGEST } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum milgi__session_peer kind;
        struct milgi_iov kept;
        uint8_t digest[MILGI__HASH_MAX];
        size_t len = 3 + cases[i].leaf + (cases[i].rest ? 3 + cases[i].rest : 0);
        chain[1] = (uint8_t)(cases[i].leaf >> 8);
        chain[2] = (uint8_t)cases[i].leaf;
        assert_int_equal(milgi__session_peer(cx, chain, len, &kind, &kept, digest), 0);
        assert_int_equal(kind, cases[i].kind);
        assert_int_equal(kept.len, cases[i].kept);
    }
    milgi__crypto_free(cx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(a_verdict_stays_with_the_session_and_is_never_none),
        cmocka_unit_test(nothing_is_written_where_it_does_not_fit),
        cmocka_unit_test(malformed_bytes_are_refused),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(what_is_too_long_is_no_session),
        cmocka_unit_test(sessions_end_with_their_lifetime_their_certificates_and_a_week),
        cmocka_unit_test(a_servers_session_is_small),
        cmocka_unit_test(of_certificates_what_fits_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
