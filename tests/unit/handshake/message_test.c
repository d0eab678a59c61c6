/* SPDX-License-Identifier: Apache-2.0 */
/* The codecs alone: what is written is read back the same; what is cut or lengthened is not read. */
#include "loop.h"

#define BYTES(text) ((struct milgi__bytes){ (const uint8_t *)(text), sizeof(text) - 1 })

static uint8_t message[2048];
static size_t message_len;

static struct milgi__writer begin(void)
{
    memset(message, 0xee, sizeof message);
    return milgi__writer(message, sizeof message);
}

static void end(const struct milgi__writer *w, unsigned type)
{
    assert_false(w->bad);
    message_len = milgi__written(w);
    assert_int_equal(message[0], type);
    assert_int_equal(milgi__get24(message + 1), message_len - 4);
}

static struct milgi__reader body(void)
{
    return milgi__reader(message + 4, message_len - 4);
}

static void assert_bytes(struct milgi__bytes a, struct milgi__bytes b)
{
    assert_int_equal(a.len, b.len);
    if (a.len != 0)
        assert_memory_equal(a.p, b.p, a.len);
}

/* A decoder refuses every cut of the message, and the message with a byte more, with decode_error. */
static void assert_strict(bool (*decode)(struct milgi__reader *r, struct milgi__failure *failure))
{
    struct milgi__failure failure;
    struct milgi__reader r = body();
    assert_true(decode(&r, &failure));
    assert_true(milgi__reader_done(&r));
    for (size_t len = 0; len <= message_len - 4 + 1; len++) {
        if (len == message_len - 4)
            continue;
        uint8_t *copy = malloc(len + 1); /* so that a read beyond the end is seen */
        assert_non_null(copy);
        memcpy(copy + 1, message + 4, len);
        r = milgi__reader(copy + 1, len);
        failure = (struct milgi__failure){ 0 };
        assert_false(decode(&r, &failure));
        assert_int_equal(failure.alert, MILGI_ALERT_DECODE_ERROR);
        assert_non_null(failure.detail);
        free(copy);
    }
}

static const uint8_t random32[32] = { 1, 2, 3, 31 };
static const uint8_t u16s[] = { 0x13, 0x01, 0x8a, 0x8a };

static bool decode_client_hello(struct milgi__reader *r, struct milgi__failure *failure)
{
    struct milgi__client_hello hello;
    return milgi__client_hello_decode(r, &hello, failure) &&
        (hello.block.p || milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "without extensions")) &&
        milgi__client_hello_decode13(&hello, failure);
}

static void a_client_hello_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct milgi__client_hello hello = {
        .random = random32,
        .session_id = BYTES("session"),
        .suites = { u16s, 4 },
        .ext = {
            .present = MILGI__EXT(MILGI__EXT_SERVER_NAME) | MILGI__EXT(MILGI__EXT_GROUPS) |
                MILGI__EXT(MILGI__EXT_SCHEMES) | MILGI__EXT(MILGI__EXT_CERT_SCHEMES) |
                MILGI__EXT(MILGI__EXT_ALPN) | MILGI__EXT(MILGI__EXT_VERSIONS) |
                MILGI__EXT(MILGI__EXT_COOKIE) | MILGI__EXT(MILGI__EXT_KEY_SHARE),
            .server_name = BYTES("a.test"),
            .groups = BYTES("\0\x1d\0\x17"),
            .schemes = BYTES("\x08\x04"),
            .cert_schemes = BYTES("\x08\x04\x04\x01"),
            .alpn = BYTES("\x02h2\x08http/1.1"),
            .versions = BYTES("\x03\x04"),
            .shares = BYTES("\0\x1d\0\x03key\0\x17\0\x02ke"),
            .cookie = BYTES("taste"),
        },
    };
    struct milgi__writer w = begin();
    milgi__client_hello_encode(&w, &hello);
    end(&w, MILGI__MSG_CLIENT_HELLO);
    struct milgi__client_hello read;
    struct milgi__failure failure;
    struct milgi__bytes versions;
    struct milgi__reader r = body();
    assert_true(milgi__client_hello_decode(&r, &read, &failure));
    assert_true(milgi__client_hello_versions(&read, &versions, &failure));
    assert_bytes(versions, hello.ext.versions);
    assert_true(milgi__client_hello_decode13(&read, &failure));
    assert_int_equal(read.legacy_version, 0x0303);
    assert_memory_equal(read.random, random32, 32);
    assert_bytes(read.session_id, hello.session_id);
    assert_bytes(read.suites, hello.suites);
    assert_int_equal(read.ext.present, hello.ext.present);
    assert_bytes(read.ext.server_name, hello.ext.server_name);
    assert_bytes(read.ext.groups, hello.ext.groups);
    assert_bytes(read.ext.schemes, hello.ext.schemes);
    assert_bytes(read.ext.cert_schemes, hello.ext.cert_schemes);
    assert_bytes(read.ext.alpn, hello.ext.alpn);
    assert_bytes(read.ext.versions, hello.ext.versions);
    assert_bytes(read.ext.shares, hello.ext.shares);
    assert_bytes(read.ext.cookie, hello.ext.cookie);
    assert_strict(decode_client_hello);
}

static bool decode_server_hello(struct milgi__reader *r, struct milgi__failure *failure)
{
    struct milgi__server_hello hello;
    return milgi__server_hello_decode(r, &hello, failure) &&
        (hello.block.p || milgi__refuse(failure, MILGI_ALERT_DECODE_ERROR, "without extensions")) &&
        milgi__server_hello_decode13(&hello, UINT32_MAX, failure);
}

static void a_server_hello_and_a_retry_are_read_as_they_were_written(void **state)
{
    (void)state;
    for (unsigned retry = 0; retry < 2; retry++) {
        struct milgi__server_hello hello = {
            .random = random32,
            .session_id = BYTES("session"),
            .suite = 0x1302,
            .retry = retry != 0,
            .ext = {
                .present = MILGI__EXT(MILGI__EXT_VERSIONS) | MILGI__EXT(MILGI__EXT_KEY_SHARE),
                .version = 0x0304,
                .group = 0x1d,
                .share = BYTES("key"),
                .cookie = BYTES("taste"),
            },
        };
        if (retry != 0)
            hello.ext.present |= MILGI__EXT(MILGI__EXT_COOKIE);
        struct milgi__writer w = begin();
        milgi__server_hello_encode(&w, &hello);
        end(&w, MILGI__MSG_SERVER_HELLO);
        struct milgi__server_hello read;
        struct milgi__failure failure;
        struct milgi__reader r = body();
        assert_true(milgi__server_hello_decode(&r, &read, &failure));
        assert_true(milgi__server_hello_decode13(&read, UINT32_MAX, &failure));
        assert_int_equal(read.retry, hello.retry);
        assert_bytes(read.session_id, hello.session_id);
        assert_int_equal(read.suite, hello.suite);
        assert_int_equal(read.ext.present, hello.ext.present);
        assert_int_equal(read.ext.version, 0x0304);
        assert_int_equal(read.ext.group, 0x1d);
        assert_int_equal(milgi__server_hello_version(&read), 0x0304);
        if (retry == 0)
            assert_bytes(read.ext.share, hello.ext.share);
        else
            assert_bytes(read.ext.cookie, hello.ext.cookie);
        assert_strict(decode_server_hello);
    }
}

static bool decode_extensions(struct milgi__reader *r, struct milgi__failure *failure)
{
    struct milgi__exts ext;
    return milgi__encrypted_extensions_decode(r, UINT32_MAX, &ext, failure);
}

static void encrypted_extensions_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct milgi__exts ext = {
        .present =
            MILGI__EXT(MILGI__EXT_SERVER_NAME) | MILGI__EXT(MILGI__EXT_GROUPS) | MILGI__EXT(MILGI__EXT_ALPN),
        .groups = BYTES("\0\x1d"),
        .alpn = BYTES("\x02h2"),
    };
    struct milgi__writer w = begin();
    milgi__encrypted_extensions_encode(&w, &ext);
    end(&w, MILGI__MSG_ENCRYPTED_EXTENSIONS);
    struct milgi__exts read;
    struct milgi__failure failure;
    struct milgi__reader r = body();
    assert_true(milgi__encrypted_extensions_decode(&r, UINT32_MAX, &read, &failure));
    assert_int_equal(read.present, ext.present);
    assert_bytes(read.alpn, ext.alpn);
    assert_bytes(read.groups, ext.groups);
    assert_strict(decode_extensions);
}

static bool decode_request(struct milgi__reader *r, struct milgi__failure *failure)
{
    struct milgi__certificate_request request;
    return milgi__certificate_request_decode(r, &request, failure);
}

static void a_certificate_request_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct milgi__certificate_request request = {
        .ext = {
            .present = MILGI__EXT(MILGI__EXT_SCHEMES) | MILGI__EXT(MILGI__EXT_CERT_SCHEMES),
            .schemes = BYTES("\x08\x04\x08\x05"),
            .cert_schemes = BYTES("\x04\x01"),
        },
    };
    struct milgi__writer w = begin();
    milgi__certificate_request_encode(&w, &request);
    end(&w, MILGI__MSG_CERTIFICATE_REQUEST);
    struct milgi__certificate_request read;
    struct milgi__failure failure;
    struct milgi__reader r = body();
    assert_true(milgi__certificate_request_decode(&r, &read, &failure));
    assert_bytes(read.ext.schemes, request.ext.schemes);
    assert_bytes(read.ext.cert_schemes, request.ext.cert_schemes);
    assert_strict(decode_request);
}

static bool decode_certificate(struct milgi__reader *r, struct milgi__failure *failure)
{
    struct milgi__certificates certs;
    return milgi__certificate_decode(r, 0, &certs, failure);
}

static void certificates_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct milgi__bytes context = BYTES("context"), chain = BYTES("\0\0\x04leaf\0\0\x05inter\0\0\x04root"), der;
    struct milgi__writer w = begin();
    milgi__certificate_encode(&w, context, chain);
    end(&w, MILGI__MSG_CERTIFICATE);
    assert_true(message_len <= milgi__certificate_len(context, chain, 3));
    struct milgi__certificates certs;
    struct milgi__failure failure;
    struct milgi__reader r = body();
    assert_true(milgi__certificate_decode(&r, 0, &certs, &failure));
    assert_int_equal(certs.n, 3);
    assert_int_equal(certs.der_len, 13);
    assert_bytes(certs.context, context);
    r = milgi__reader_of(certs.list);
    assert_true(milgi__certificate_next(&certs, &r, &der));
    assert_bytes(der, BYTES("leaf"));
    assert_true(milgi__certificate_next(&certs, &r, &der));
    assert_true(milgi__certificate_next(&certs, &r, &der));
    assert_bytes(der, BYTES("root"));
    assert_false(milgi__certificate_next(&certs, &r, &der));
    assert_strict(decode_certificate);
    w = begin();
    milgi__certificate_encode(&w, context, (struct milgi__bytes){ NULL, 0 });
    end(&w, MILGI__MSG_CERTIFICATE);
    assert_strict(decode_certificate);
}

static bool decode_verify(struct milgi__reader *r, struct milgi__failure *failure)
{
    struct milgi__certificate_verify verify;
    return milgi__certificate_verify_decode(r, &verify, failure);
}

static bool decode_update(struct milgi__reader *r, struct milgi__failure *failure)
{
    bool request;
    return milgi__key_update_decode(r, &request, failure);
}

static void the_short_messages_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct milgi__failure failure;
    struct milgi__certificate_verify verify = { 0x0804, BYTES("signature") }, read;
    struct milgi__writer w = begin();
    milgi__certificate_verify_encode(&w, &verify);
    end(&w, MILGI__MSG_CERTIFICATE_VERIFY);
    struct milgi__reader r = body();
    assert_true(milgi__certificate_verify_decode(&r, &read, &failure));
    assert_int_equal(read.scheme, 0x0804);
    assert_bytes(read.signature, verify.signature);
    assert_strict(decode_verify);

    w = begin();
    milgi__finished_encode(&w, random32, 32);
    end(&w, MILGI__MSG_FINISHED);
    r = body();
    assert_bytes(milgi__rest(&r), (struct milgi__bytes){ random32, 32 });

    for (unsigned request = 0; request < 2; request++) {
        bool asked = false;
        w = begin();
        milgi__key_update_encode(&w, request != 0);
        end(&w, MILGI__MSG_KEY_UPDATE);
        r = body();
        assert_true(milgi__key_update_decode(&r, &asked, &failure));
        assert_int_equal(asked, request != 0);
        assert_strict(decode_update);
    }
}

static bool decode_ticket(struct milgi__reader *r, struct milgi__failure *failure)
{
    struct milgi__new_session_ticket ticket;
    return milgi__new_session_ticket_decode(r, &ticket, failure);
}

static void a_ticket_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct milgi__new_session_ticket ticket = {
        .lifetime = 604800, .age_add = 0xdeadbeef, .nonce = BYTES("\0\1"), .ticket = BYTES("ticket")
    };
    struct milgi__writer w = begin();
    milgi__new_session_ticket_encode(&w, &ticket);
    end(&w, MILGI__MSG_NEW_SESSION_TICKET);
    struct milgi__new_session_ticket read;
    struct milgi__failure failure;
    struct milgi__reader r = body();
    assert_true(milgi__new_session_ticket_decode(&r, &read, &failure));
    assert_int_equal(read.lifetime, 604800);
    assert_int_equal(read.age_add, 0xdeadbeef);
    assert_bytes(read.nonce, ticket.nonce);
    assert_bytes(read.ticket, ticket.ticket);
    assert_strict(decode_ticket);
}

static void writers_without_room_write_nothing_wrong(void **state)
{
    (void)state;
    uint8_t small[40];
    for (size_t cap = 0; cap < sizeof small; cap++) {
        struct milgi__writer w = milgi__writer(small, cap);
        milgi__server_hello_encode(&w, &(struct milgi__server_hello){ .random = random32 });
        assert_true(w.bad);
    }
}

/* Many extensions of unknown types, one of them twice: found in linear time. */
static void hostile_lists_of_extensions_are_read_in_linear_time(void **state)
{
    (void)state;
    enum {
        N = 16000
    };
    uint8_t *block = malloc(4 * N);
    assert_non_null(block);
    for (unsigned i = 0; i < N; i++) {
        milgi__put16(block + 4 * i, 1000 + i);
        milgi__put16(block + 4 * i + 2, 0);
    }
    struct milgi__exts ext = { 0 };
    struct milgi__failure failure;
    struct milgi__bytes all = { block, 4 * N };
    for (unsigned i = 0; i < 200; i++)
        assert_true(milgi__exts_decode(all, MILGI__IN_CLIENT_HELLO, 0, &ext, &failure));
    milgi__put16(block + 4 * (N - 1), 1000);
    assert_false(milgi__exts_decode(all, MILGI__IN_CLIENT_HELLO, 0, &ext, &failure));
    assert_int_equal(failure.alert, MILGI_ALERT_ILLEGAL_PARAMETER);
    free(block);
}

static void a_set_knows_what_is_in_it_however_much(void **state)
{
    (void)state;
    static struct milgi__u16_set set;
    static bool in[0x10000];
    memset(&set, 0xff, sizeof set);
    milgi__u16_set_init(&set);
    unsigned v = 7;
    for (unsigned i = 0; i < 300; i++) {
        v = (v * 25173 + 13849) & 0xffff;
        unsigned one = i % 3 == 2 ? v & 31 : v; /* some come again */
        assert_int_equal(milgi__u16_set_add(&set, one), !in[one]);
        in[one] = true;
        for (unsigned k = 0; k < 0x10000 && (i < 40 || i == 299); k++)
            assert_int_equal(milgi__u16_set_has(&set, k), in[k]);
    }
}

static void each_extension_is_refused_where_it_may_not_be(void **state)
{
    (void)state;
    static const enum milgi__place places[] = { MILGI__IN_CLIENT_HELLO, MILGI__IN_SERVER_HELLO, MILGI__IN_RETRY,
        MILGI__IN_ENCRYPTED, MILGI__IN_CERTIFICATE, MILGI__IN_REQUEST, MILGI__IN_TICKET };
    for (unsigned id = 0; id < MILGI__EXT_N; id++) {
        const struct milgi__ext *e = milgi__ext_of(id);
        assert_int_equal(milgi__ext_find(e->iana), id);
        assert_non_null(e->misplaced);
        for (unsigned i = 0; i < MILGI__COUNT(places); i++) {
            uint8_t block[4] = { (uint8_t)(e->iana >> 8), (uint8_t)e->iana, 0, 0 };
            struct milgi__bytes bytes = { block, 4 };
            struct milgi__exts ext = { 0 };
            struct milgi__failure failure = { 0 };
            bool ok = milgi__exts_decode(bytes, places[i], UINT32_MAX, &ext, &failure);
            if ((e->places & places[i]) == 0) {
                assert_false(ok);
                assert_int_equal(failure.alert, MILGI_ALERT_ILLEGAL_PARAMETER);
                continue;
            }
            assert_true(ok || failure.alert == MILGI_ALERT_DECODE_ERROR); /* empty may be malformed, not misplaced */
        }
    }
    unsigned known = 0;
    for (unsigned iana = 0; iana <= 0xffff; iana++) {
        unsigned id = milgi__ext_find(iana);
        assert_true(id == MILGI__EXT_N || milgi__ext_of(id)->iana == iana);
        known += id != MILGI__EXT_N;
    }
    assert_int_equal(known, MILGI__EXT_N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_hello_is_read_as_it_was_written),
        cmocka_unit_test(a_server_hello_and_a_retry_are_read_as_they_were_written),
        cmocka_unit_test(encrypted_extensions_are_read_as_they_were_written),
        cmocka_unit_test(a_certificate_request_is_read_as_it_was_written),
        cmocka_unit_test(certificates_are_read_as_they_were_written),
        cmocka_unit_test(the_short_messages_are_read_as_they_were_written),
        cmocka_unit_test(a_ticket_is_read_as_it_was_written),
        cmocka_unit_test(writers_without_room_write_nothing_wrong),
        cmocka_unit_test(hostile_lists_of_extensions_are_read_in_linear_time),
        cmocka_unit_test(a_set_knows_what_is_in_it_however_much),
        cmocka_unit_test(each_extension_is_refused_where_it_may_not_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
