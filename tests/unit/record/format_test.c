/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How records look: numbers and nonces by the letter of the RFC, worked out here and not by the code under test; and
 * rows of versions that the library does not speak, which go through the same pipeline.
 */
#include <string.h>

#include "crypto/aead.h"
#include "rig.h"

#define POOL ((size_t)64 << 20)

/* --- what the tests work out themselves ------------------------------------------------------------------------- */

static const uint8_t iv[12] = { 0x1b, 0xc4, 0x07, 0xe2, 0x5d, 0x98, 0x33, 0x6f, 0xa1, 0x0c, 0xf0, 0x7e };

/*= RFC8446 5.3: "The 64-bit record sequence number is encoded in network byte order and padded to the left with zeros
 *= to iv_length." "The padded sequence number is XORed with either the static client_write_iv or server_write_iv" */
static void rfc_nonce(uint64_t seq, uint8_t nonce[12])
{
    for (unsigned i = 0; i < 12; i++)
        nonce[i] = (uint8_t)(iv[i] ^ (i < 4 ? 0 : seq >> (8 * (11 - i)) & 0xff));
}

static struct milgi_key *key_of(struct rig *rig, uint16_t suite)
{
    uint8_t unused[12];
    struct milgi_key *key = rig_key(rig, 1, unused);
    key->alg = suite;
    key->raw_len = suite == MILGI_SUITE_AES_128_GCM_SHA256 ? 16 : 32;
    memset(key->raw, 0x77, key->raw_len);
    return key;
}

static struct rig *rig_of(const struct milgi__format *f, uint16_t suite, bool inside)
{
    struct rig *rig = rig_new(8, 16384, POOL);
    rig->a.inline_mask = rig->b.inline_mask = inside ? UINT64_MAX : 0;
    assert_int_equal(milgi__record_install_write(&rig->a.rec, f, key_of(rig, suite), iv), 0);
    milgi__record_install_read(&rig->b.rec, f, key_of(rig, suite), iv);
    milgi__record_speculate(&rig->b.rec);
    return rig;
}

static struct milgi__aead_key aead_key(const struct milgi_key *key)
{
    return (struct milgi__aead_key){ key->serial, key->alg, key->raw_len, key->raw };
}

/* Opens |sealed|, which ends with the tag, in place. */
static int open_by_hand(struct rig *rig, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len, uint8_t *sealed,
    size_t len)
{
    struct milgi__aead_key key = aead_key(rig->a.rec.out.key);
    struct milgi__piece piece = { sealed, len - 16 };
    return milgi__aead_open(rig->cx, &key, nonce, aad, aad_len, &piece, 1, sealed + len - 16, NULL);
}

static void seal_by_hand(struct rig *rig, const uint8_t nonce[12], const uint8_t *aad, size_t aad_len,
    const char *content, uint8_t type, uint8_t *out)
{
    struct milgi__aead_key key = aead_key(rig->b.rec.in.key);
    uint8_t copy[64];
    memcpy(copy, content, strlen(content));
    struct milgi__piece piece = { copy, strlen(content) };
    assert_int_equal(milgi__aead_seal(rig->cx, &key, nonce, aad, aad_len, &piece, 1, type, 0, out), 0);
}

/* --- TLS 1.3's numbers ------------------------------------------------------------------------------------------ */

/* Just before each width that a number might have been kept in, and the last one there is. */
static const uint64_t edges[] = { 0, UINT64_C(1) << 8, UINT64_C(1) << 16, UINT64_C(1) << 24, UINT64_C(1) << 31,
    UINT64_C(1) << 32, UINT64_C(1) << 40, UINT64_C(1) << 48, UINT64_C(1) << 56, UINT64_C(1) << 63, UINT64_MAX - 1 };

static void what_is_sealed_has_the_nonce_of_its_number(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2 * MILGI__COUNT(edges); n++) {
        struct rig *rig = rig_of(&milgi__format_tls13, MILGI_SUITE_CHACHA20_POLY1305_SHA256, n % 2);
        uint64_t first = edges[n / 2] < 2 ? 0 : edges[n / 2] - 2;
        unsigned records = edges[n / 2] == UINT64_MAX - 1 ? 3 : 5;
        rig->a.rec.out.seq = first;
        for (unsigned i = 0; i < records; i++) {
            write_pattern(&rig->a, MILGI__DATA, 20, i);
            milgi__record_flush(&rig->a.rec);
        }
        rig_send(rig);
        assert_int_equal(rig->wire_len, records * (5 + 20 + 1 + 16));
        for (unsigned i = 0; i < records; i++) {
            uint8_t nonce[12], *record = rig->wire + (size_t)i * 42, want[20];
            rfc_nonce(first + i, nonce);
            assert_int_equal(open_by_hand(rig, nonce, record, 5, record + 5, 37), 0);
            pattern(want, 20, i);
            assert_memory_equal(record + 5, want, 20);
            assert_int_equal(record[25], MILGI__DATA);
        }
        rig_free(rig);
    }
}

static void what_is_opened_has_the_nonce_of_its_number(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 2 * MILGI__COUNT(edges); n++) {
        struct rig *rig = rig_of(&milgi__format_tls13, MILGI_SUITE_CHACHA20_POLY1305_SHA256, n % 2);
        uint64_t first = edges[n / 2] < 2 ? 0 : edges[n / 2] - 2;
        unsigned records = edges[n / 2] == UINT64_MAX - 1 ? 3 : 5;
        rig->b.rec.in.seq = first;
        for (unsigned i = 0; i < records; i++) {
            uint8_t nonce[12], *record = rig->wire + rig->wire_len;
            static const uint8_t header[5] = { 23, 3, 3, 0, 4 + 1 + 16 };
            rfc_nonce(first + i, nonce);
            memcpy(record, header, 5);
            seal_by_hand(rig, nonce, header, 5, "ping", MILGI__DATA, record + 5);
            rig->wire_len += 5 + 21;
        }
        rig_feed(rig, rig->wire_len);
        rig_receive_all(rig);
        assert_int_equal(rig->alert, -1);
        assert_int_equal(rig->messages, records);
        assert_true(rig->b.rec.in.seq == first + records);
        rig_free(rig);
    }
}

/*= RFC8446 5.3: "Because the size of sequence numbers is 64-bit, they should not wrap. If a TLS implementation would
 *= need to wrap a sequence number, it MUST either rekey (Section 4.6.3) or terminate the connection." */
static void numbers_do_not_wrap(void **state)
{
    (void)state;
    struct rig *rig = rig_of(&milgi__format_tls13, MILGI_SUITE_CHACHA20_POLY1305_SHA256, true);
    rig->a.rec.out.seq = rig->b.rec.in.seq = UINT64_MAX - 1;
    write_pattern(&rig->a, MILGI__DATA, 10, 0);
    rig_send(rig);
    rig_feed(rig, rig->wire_len);
    rig_receive_all(rig);
    assert_int_equal(rig->messages, 1);
    for (unsigned i = 0; i < 2; i++) {
        write_pattern(&rig->a, i ? MILGI__ALERT : MILGI__DATA, 2, 0);
        assert_int_equal(side_seal(&rig->a), MILGI__START_FAILED);
        assert_int_equal(rig->a.rec.send_failure.error, MILGI_ELIMIT);
    }
    assert_true(rig->a.rec.out.seq == UINT64_MAX);
    /* Nor is the record opened that would be next. */
    memset(rig->wire + rig->wire_len, 0, 64);
    memcpy(rig->wire + rig->wire_len, "\x17\x03\x03\x00\x15", 5);
    rig->wire_len += 5 + 21;
    rig_feed(rig, 26);
    rig_receive_all(rig);
    assert_int_equal(rig->alert, MILGI_ALERT_UNEXPECTED_MESSAGE);
    assert_true(rig->b.rec.in.seq == UINT64_MAX);
    rig_free(rig);
}

/* --- other rows ------------------------------------------------------------------------------------------------- */

#define ALL_TYPES \
    (MILGI__TYPE(MILGI__CCS) | MILGI__TYPE(MILGI__ALERT) | MILGI__TYPE(MILGI__HANDSHAKE) | MILGI__TYPE(MILGI__DATA))

/*= RFC5246 6.2.3.3: "additional_data = seq_num + TLSCompressed.type + TLSCompressed.version + TLSCompressed.length" */
static uint8_t numbered(const struct milgi__format *f, uint8_t out[13], const uint8_t *front, uint64_t seq,
    uint32_t len)
{
    (void)f;
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(seq >> 8 * (7 - i));
    memcpy(out + 8, front, 3);
    milgi__put16(out + 11, len);
    return 13;
}

static const struct milgi__format tls12_gcm = {
    .clear = &milgi__format_plain,
    .version = 0x0303,
    .hello_version = 0x0303,
    .header_len = 5,
    .explicit_len = 8,
    .tag_len = 16,
    .seals = ALL_TYPES,
    .takes = ALL_TYPES,
    .protects = ALL_TYPES,
    .protected_max = 16384 + 2048,
    .seq_max = UINT64_MAX,
    .aad = numbered,
};

static const struct milgi__format dtls12_gcm = {
    .clear = &milgi__format_plain,
    .version = 0xfefd,
    .hello_version = 0xfefd,
    .header_len = 13,
    .number_len = 8,
    .explicit_len = 8,
    .tag_len = 16,
    .seals = ALL_TYPES,
    .takes = ALL_TYPES,
    .protects = ALL_TYPES,
    .protected_max = 16384 + 2048,
    .seq_max = UINT64_C(1) << 48,
    .aad = numbered,
};

static void talk(const struct milgi__format *f, bool inside, size_t crumb)
{
    static const enum milgi__content types[] = { MILGI__DATA, MILGI__HANDSHAKE, MILGI__ALERT, MILGI__DATA };
    static const size_t lens[] = { 1, 4000, 2, 40000 };
    static uint8_t big[40000];
    struct rig *rig = rig_of(f, MILGI_SUITE_AES_128_GCM_SHA256, inside);
    rig->a.pad = 7; /* there is no room for any in such records */
    for (unsigned i = 0; i < 4; i++)
        write_pattern(&rig->a, types[i], lens[i], i);
    pattern(big, sizeof big, 4);
    assert_int_equal(milgi__record_push(&rig->a.rec, MILGI__DATA, rig_slice(rig, big, sizeof big)), 0);
    rig_send(rig);
    while (rig->wire_fed < rig->wire_len) {
        rig_feed(rig, MILGI__MIN(crumb, rig->wire_len - rig->wire_fed));
        rig_receive_all(rig);
    }
    assert_int_equal(rig->alert, -1);
    size_t at = 0, got = 0, len[24] = { 0 };
    struct logged m;
    while (rig_logged(rig, &at, &m)) {
        assert_true(m.protected);
        len[m.type] += m.len;
        got += m.len;
    }
    assert_int_equal(got, 1 + 4000 + 2 + 80000);
    assert_int_equal(len[MILGI__HANDSHAKE], 4000);
    assert_int_equal(len[MILGI__ALERT], 2);
    rig_free(rig);
}

static void other_versions_are_other_rows(void **state)
{
    (void)state;
    static const size_t crumbs[] = { 1, 3, 13, 500, 60000 };
    const struct milgi__format *rows[] = { &milgi__format_tls13, &tls12_gcm, &dtls12_gcm };
    for (unsigned i = 0; i < 2 * MILGI__COUNT(rows) * MILGI__COUNT(crumbs); i++) {
        rig_format = rows[i / 2 % MILGI__COUNT(rows)];
        talk(rig_format, i % 2, crumbs[i / (2 * MILGI__COUNT(rows))]);
    }
    rig_format = &milgi__format_tls13;
}

/*= RFC5288 3: "The salt is the "implicit" part of the nonce and is not sent in the packet." "The nonce_explicit MAY be
 *= the 64-bit sequence number." */
static void explicit_bytes_and_numbers_are_where_a_row_puts_them(void **state)
{
    (void)state;
    static const struct milgi__format *const rows[] = { &tls12_gcm, &dtls12_gcm };
    for (unsigned n = 0; n < 4; n++) {
        const struct milgi__format *f = rig_format = rows[n / 2];
        struct rig *rig = rig_of(f, MILGI_SUITE_AES_128_GCM_SHA256, n % 2);
        uint64_t seq = (UINT64_C(1) << 16) + 5;
        uint8_t front = (uint8_t)(f->header_len + 8), aad[13], nonce[12], number[8];
        rig->a.rec.out.seq = seq;
        write_pattern(&rig->a, MILGI__ALERT, 2, 1);
        rig_send(rig);
        assert_int_equal(rig->wire_len, front + 2 + 16);
        assert_int_equal(rig->wire[0], MILGI__ALERT);
        assert_int_equal(milgi__get16(rig->wire + 1), f->version);
        assert_int_equal(milgi__get16(rig->wire + f->header_len - 2), 8 + 2 + 16);
        for (unsigned i = 0; i < 8; i++)
            number[i] = (uint8_t)(seq >> 8 * (7 - i));
        if (f->number_len)
            assert_memory_equal(rig->wire + 3, number, 8);
        rfc_nonce(seq, nonce);
        assert_memory_equal(rig->wire + f->header_len, nonce + 4, 8);
        memcpy(aad, number, 8);
        memcpy(aad + 8, rig->wire, 3);
        milgi__put16(aad + 11, 2);
        assert_int_equal(open_by_hand(rig, nonce, aad, 13, rig->wire + front, 18), 0);
        rig_free(rig);
    }
    rig_format = &milgi__format_tls13;
}

static void the_peers_explicit_bytes_are_its_own(void **state)
{
    (void)state;
    static const uint8_t aad[13] = { 0, 0, 0, 0, 0, 0, 0, 0, MILGI__DATA, 3, 3, 0, 5 };
    uint8_t nonce[12];
    struct rig *rig = rig_of(&tls12_gcm, MILGI_SUITE_AES_128_GCM_SHA256, true);
    memcpy(rig->wire, "\x17\x03\x03\x00\x1d"
                      "anything",
        13);
    memcpy(nonce, iv, 4);
    memcpy(nonce + 4, "anything", 8);
    seal_by_hand(rig, nonce, aad, 13, "hello", 0, rig->wire + 13);
    rig->wire_len = 13 + 5 + 16;
    rig_feed(rig, rig->wire_len);
    rig_receive_all(rig);
    assert_int_equal(rig->alert, -1);
    assert_int_equal(rig->messages, 1);
    assert_memory_equal(rig->log + 4, "hello", 5);
    rig_free(rig);
}

static void limits_are_those_of_the_row(void **state)
{
    (void)state;
    static const struct {
        uint32_t len;
        int alert;
    } cases[] = {
        { 16384 + 2048 + 1, MILGI_ALERT_RECORD_OVERFLOW },
        { 16384 + 2048, MILGI_ALERT_BAD_RECORD_MAC },
        { 8 + 16 + 1, MILGI_ALERT_BAD_RECORD_MAC },
        { 8 + 16, MILGI_ALERT_BAD_RECORD_MAC },
        { 8 + 15, MILGI_ALERT_BAD_RECORD_MAC }, /* not a front and a tag */
        { 0, MILGI_ALERT_BAD_RECORD_MAC },
    };
    for (unsigned i = 0; i < 2 * MILGI__COUNT(cases); i++) {
        rig_format = &tls12_gcm;
        struct rig *rig = rig_of(rig_format, MILGI_SUITE_AES_128_GCM_SHA256, i % 2);
        uint32_t len = cases[i / 2].len;
        memset(rig->wire, 0, 5 + (size_t)len);
        memcpy(rig->wire, "\x17\x03\x03", 3);
        milgi__put16(rig->wire + 3, len);
        rig->wire_len = 5 + len;
        rig_feed(rig, rig->wire_len);
        rig_receive_all(rig);
        assert_int_equal(rig->alert, cases[i / 2].alert);
        rig_free(rig);
    }
    rig_format = &milgi__format_tls13;
}

/* Its numbers end where the row says. */
static void a_row_may_have_fewer_numbers(void **state)
{
    (void)state;
    struct milgi__format few = dtls12_gcm;
    few.seq_max = 9;
    rig_format = &few;
    struct rig *rig = rig_of(&few, MILGI_SUITE_AES_128_GCM_SHA256, true);
    rig->a.rec.out.seq = 8;
    write_pattern(&rig->a, MILGI__DATA, 10, 0);
    rig_send(rig);
    write_pattern(&rig->a, MILGI__DATA, 10, 0);
    assert_int_equal(side_seal(&rig->a), MILGI__START_FAILED);
    rig_free(rig);
    rig_format = &milgi__format_tls13;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_has_the_nonce_of_its_number),
        cmocka_unit_test(what_is_opened_has_the_nonce_of_its_number),
        cmocka_unit_test(numbers_do_not_wrap),
        cmocka_unit_test(other_versions_are_other_rows),
        cmocka_unit_test(explicit_bytes_and_numbers_are_where_a_row_puts_them),
        cmocka_unit_test(the_peers_explicit_bytes_are_its_own),
        cmocka_unit_test(limits_are_those_of_the_row),
        cmocka_unit_test(a_row_may_have_fewer_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
