/* SPDX-License-Identifier: Apache-2.0 */
/* Records received: how they come in pieces, and what is refused. */
#include <string.h>

#include "crypto/aead.h"
#include "rig.h"

#define POOL ((size_t)64 << 20)

/* --- pieces ----------------------------------------------------------------------------------------------------- */

static struct rig *three_records(uint64_t mask_b)
{
    struct rig *rig = rig_new(4, 16384, POOL);
    rig->a.inline_mask = UINT64_MAX;
    rig->b.inline_mask = mask_b;
    rig_protect(rig);
    write_pattern(&rig->a, MILGI__DATA, 60, 1);
    milgi__record_flush(&rig->a.rec);
    write_pattern(&rig->a, MILGI__HANDSHAKE, 1, 2);
    write_pattern(&rig->a, MILGI__DATA, 45, 3);
    rig_send(rig);
    assert_int_equal(rig->wire_len, 60 + 1 + 45 + 3 * 22);
    return rig;
}

static void check_three(const struct rig *rig)
{
    size_t at = 0;
    struct logged m;
    uint8_t want[64];
    static const size_t lens[] = { 60, 1, 45 };
    for (unsigned i = 0; i < 3; i++) {
        assert_true(rig_logged(rig, &at, &m));
        assert_int_equal(m.type, i == 1 ? MILGI__HANDSHAKE : MILGI__DATA);
        assert_int_equal(m.len, lens[i]);
        pattern(want, m.len, i + 1);
        if (i != 1)
            assert_memory_equal(m.data, want, m.len);
    }
    assert_int_equal(at, rig->log_len);
}

static void records_split_in_three_anywhere_arrive_whole(void **state)
{
    (void)state;
    for (unsigned mask = 0; mask < 2; mask++)
        for (size_t i = 1; i < 170; i++)
            for (size_t k = i + 1; k < 172; k += 1 + i % 5) {
                struct rig *rig = three_records(mask ? UINT64_MAX : 0);
                rig_feed(rig, i);
                rig_receive_all(rig);
                rig_feed(rig, k - i);
                rig_receive_all(rig);
                rig_feed(rig, rig->wire_len - k);
                rig_receive_all(rig);
                check_three(rig);
                assert_false(milgi__record_in_busy(&rig->b.rec));
                rig_free(rig);
            }
}

static void bytes_that_come_one_by_one_pin_few_chunks(void **state)
{
    (void)state;
    struct rig *rig = rig_new(4, 16384, POOL);
    rig->a.inline_mask = rig->b.inline_mask = UINT64_MAX;
    rig_protect(rig);
    write_pattern(&rig->a, MILGI__DATA, 16384, 1);
    rig_send(rig);
    milgi__record_idle(&rig->a.rec);
    assert_int_equal(milgi__pool_used(rig->pool), 0);
    while (rig->wire_fed < rig->wire_len) {
        rig_feed(rig, 1);
        rig_receive(rig);
        assert_true(milgi__pool_used(rig->pool) <= 18 * 1024 + 6 * 512);
    }
    uint8_t want[16384], got[16384];
    pattern(want, sizeof want, 1);
    assert_int_equal(rig_data(rig, got, sizeof got), sizeof want);
    assert_memory_equal(got, want, sizeof want);
    assert_int_equal(rig->b.rec.bytes_copied, 16384 + 17);
    rig_free(rig);
}

/* One record of 600 bytes that comes in |pieces| of about the same length. */
static struct rig *in_pieces(unsigned pieces, bool inside)
{
    struct rig *rig = rig_new(4, 16384, POOL);
    rig->a.inline_mask = UINT64_MAX;
    rig->b.inline_mask = inside ? UINT64_MAX : 0;
    rig_protect(rig);
    write_pattern(&rig->a, MILGI__DATA, 600, 1);
    rig_send(rig);
    for (unsigned i = 1; i <= pieces; i++)
        rig_feed(rig, rig->wire_len * i / pieces - rig->wire_fed);
    return rig;
}

static void a_record_in_up_to_four_pieces_is_not_copied(void **state)
{
    (void)state;
    for (unsigned pieces = 1; pieces <= 8; pieces++)
        for (unsigned inside = 0; inside < 2; inside++) {
            struct rig *rig = in_pieces(pieces, inside);
            rig_receive_all(rig);
            uint8_t want[600], got[600];
            pattern(want, sizeof want, 1);
            assert_int_equal(rig_data(rig, got, sizeof got), sizeof want);
            assert_memory_equal(got, want, sizeof want);
            assert_int_equal(rig->b.rec.bytes_copied, pieces <= 4 ? 0 : 617);
            assert_int_equal(rig->b.in_place, inside);
            rig_free(rig);
        }
}

static void plaintext_lies_where_the_network_put_the_ciphertext(void **state)
{
    (void)state;
    struct rig *rig = rig_new(4, 16384, POOL);
    rig->a.inline_mask = rig->b.inline_mask = UINT64_MAX;
    rig_protect(rig);
    write_pattern(&rig->a, MILGI__DATA, 600, 1);
    rig_send(rig);
    struct milgi_slice whole = rig_slice(rig, rig->wire, rig->wire_len);
    assert_int_equal(milgi__record_feed(&rig->b.rec, whole), 0);
    struct milgi_op *op;
    struct milgi__failure failure;
    assert_int_equal(milgi__record_open(&rig->b.rec, &op, &failure), MILGI__START_OP);
    assert_true(op->u.aead.in_place);
    assert_null(op->u.aead.dst);
    side_submit(&rig->b, op);
    struct milgi__message m;
    assert_int_equal(milgi__record_pop(&rig->b.rec, &m, &failure), MILGI__POP_MESSAGE);
    assert_int_equal(m.slices_n, 1);
    assert_ptr_equal(m.slice[0].data, whole.data + 5);
    assert_int_equal(m.slice[0].len, 600);
    /* Whose plaintext it now holds is known, so that it is wiped before another sees it. */
    assert_true(m.slice[0].chunk->dirty >= 5 + 600);
    assert_int_equal(m.slice[0].chunk->owner, 22);
    milgi_chunk_unref(m.slice[0].chunk);
    rig_free(rig);
}

static void ciphertext_stays_intact_behind_an_unfinished_record(void **state)
{
    (void)state;
    struct rig *rig = rig_new(4, 16384, POOL);
    rig->a.inline_mask = UINT64_MAX;
    rig->b.inline_mask = ~UINT64_C(1); /* the first is out, those behind it would be inline */
    rig_protect(rig);
    for (unsigned i = 0; i < 3; i++) {
        write_pattern(&rig->a, MILGI__DATA, 100, i);
        milgi__record_flush(&rig->a.rec);
    }
    rig_send(rig);
    struct milgi_slice whole = rig_slice(rig, rig->wire, rig->wire_len);
    milgi_chunk_ref(whole.chunk);
    assert_int_equal(milgi__record_feed(&rig->b.rec, whole), 0);
    rig_receive(rig);
    assert_int_equal(rig->b.flight_n, 1);
    assert_int_equal(rig->b.in_place, 0);
    assert_memory_equal(whole.data, rig->wire, rig->wire_len);
    milgi_chunk_unref(whole.chunk);
    rig_receive_all(rig);
    assert_int_equal(rig->messages, 3);
    rig_free(rig);
}

static void a_record_rejected_in_place_is_wiped(void **state)
{
    (void)state;
    struct rig *rig = in_pieces(3, true);
    struct milgi_slice last = rig->b.rec.input.ring[rig->b.rec.input.n - 1];
    milgi_chunk_ref(last.chunk);
    last.data[last.len - 1] ^= 1; /* the tag */
    rig_receive(rig);
    assert_int_equal(rig->alert, MILGI_ALERT_BAD_RECORD_MAC);
    for (unsigned i = 0; i < last.len - 16; i++)
        assert_int_equal(last.data[i], 0);
    milgi_chunk_unref(last.chunk);
    rig_free(rig);
}

/* --- headers ---------------------------------------------------------------------------------------------------- */

/* Feeds a header with |body| zeros behind it; the alert, or -1. */
static int try_header(bool key, uint8_t type, unsigned version, unsigned len, size_t body)
{
    struct rig *rig = rig_new(4, 16384, POOL);
    rig->b.inline_mask = UINT64_MAX;
    if (key)
        side_read_key(&rig->b);
    uint8_t *p = rig->wire;
    p[0] = type;
    milgi__put16(p + 1, version);
    milgi__put16(p + 3, len);
    memset(p + 5, 0, body);
    rig->wire_len = 5 + body;
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    int alert = rig->alert;
    rig_free(rig);
    return alert;
}

static void headers_that_may_not_be_are_refused(void **state)
{
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        bool plain = type >= MILGI__CCS && type <= MILGI__HANDSHAKE;
        assert_int_equal(try_header(false, (uint8_t)type, 0x0303, 4, 4), plain ? -1 : MILGI_ALERT_UNEXPECTED_MESSAGE);
        int want = MILGI_ALERT_UNEXPECTED_MESSAGE;
        if (type == MILGI__CCS)
            want = -1;
        if (type == MILGI__DATA)
            want = MILGI_ALERT_BAD_RECORD_MAC;
        assert_int_equal(try_header(true, (uint8_t)type, 0x0303, 4, 4), want);
    }
    /* What is wrong is seen before the body is there. */
    assert_int_equal(try_header(false, MILGI__HANDSHAKE, 0x0303, 16384, 0), -1);
    assert_int_equal(try_header(false, MILGI__HANDSHAKE, 0x0303, 16385, 0), MILGI_ALERT_RECORD_OVERFLOW);
    assert_int_equal(try_header(true, MILGI__DATA, 0x0303, 16384 + 256, 0), -1);
    assert_int_equal(try_header(true, MILGI__DATA, 0x0303, 16384 + 257, 0), MILGI_ALERT_RECORD_OVERFLOW);
    /*= RFC8446 6.2: "bad_record_mac:  This alert is returned if a record is received which cannot be deprotected." */
    for (unsigned len = 0; len <= 17; len++)
        assert_int_equal(try_header(true, MILGI__DATA, 0x0303, len, len), MILGI_ALERT_BAD_RECORD_MAC);
    for (unsigned type = MILGI__CCS; type <= MILGI__HANDSHAKE; type++)
        assert_int_equal(try_header(false, (uint8_t)type, 0x0303, 0, 0), MILGI_ALERT_UNEXPECTED_MESSAGE);
}

static void the_version_is_ignored_but_in_what_comes_first(void **state)
{
    (void)state;
    assert_int_equal(try_header(false, MILGI__HANDSHAKE, 0x0301, 4, 4), -1);
    assert_int_equal(try_header(false, MILGI__HANDSHAKE, 0x03ff, 4, 4), -1);
    assert_int_equal(try_header(false, MILGI__HANDSHAKE, 0x0200, 4, 4), MILGI_ALERT_PROTOCOL_VERSION);
    assert_int_equal(try_header(false, 'G', 0x4554, 4, 4), MILGI_ALERT_UNEXPECTED_MESSAGE);
    struct rig *rig = rig_new(4, 16384, POOL);
    static const uint8_t two[] = { 22, 3, 1, 0, 1, 9, 22, 0x7f, 0x12, 0, 1, 8 };
    memcpy(rig->wire, two, rig->wire_len = sizeof two);
    rig_feed(rig, sizeof two);
    rig_receive(rig);
    assert_int_equal(rig->messages, 2);
    rig_free(rig);
}

static void what_is_wrong_is_told_after_all_that_came_before(void **state)
{
    (void)state;
    struct rig *rig = three_records(0);
    rig->wire[rig->wire_len++] = 99;
    memset(rig->wire + rig->wire_len, 0, 4);
    rig->wire_len += 4;
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    assert_int_equal(rig->b.flight_n, 3);
    assert_int_equal(rig->alert, -1);
    side_finish(&rig->b, 2, MILGI_OP_OK);
    side_finish(&rig->b, 1, MILGI_OP_OK);
    rig_receive(rig);
    assert_int_equal(rig->alert, -1);
    side_finish(&rig->b, 0, MILGI_OP_OK);
    rig_receive(rig);
    assert_int_equal(rig->alert, MILGI_ALERT_UNEXPECTED_MESSAGE);
    check_three(rig);
    rig_free(rig);
}

static void an_alert_in_the_clear_passes_until_a_record_was_opened(void **state)
{
    (void)state;
    static const uint8_t alert[] = { 21, 3, 3, 0, 2, 2, 40 };
    struct rig *rig = three_records(UINT64_MAX);
    uint8_t records[256];
    size_t len = rig->wire_len;
    memcpy(records, rig->wire, len);
    memcpy(rig->wire, alert, sizeof alert);
    memcpy(rig->wire + sizeof alert, records, len);
    memcpy(rig->wire + sizeof alert + len, alert, sizeof alert);
    rig->wire_len = len + 2 * sizeof alert;
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    size_t at = 0;
    struct logged m;
    assert_true(rig_logged(rig, &at, &m));
    assert_int_equal(m.type, MILGI__ALERT);
    assert_false(m.protected);
    assert_int_equal(m.data[1], 40);
    assert_int_equal(rig->messages, 4); /* it took no sequence number */
    assert_int_equal(rig->alert, MILGI_ALERT_UNEXPECTED_MESSAGE);
    rig_free(rig);
    assert_int_equal(try_header(true, MILGI__ALERT, 0x0303, 3, 3), MILGI_ALERT_UNEXPECTED_MESSAGE);
}

static void change_cipher_spec_passes_in_the_clear_and_in_its_place(void **state)
{
    (void)state;
    struct rig *rig = three_records(0);
    static const uint8_t ccs[] = { 20, 3, 3, 0, 1, 1 };
    size_t at = 60 + 22;
    memmove(rig->wire + at + sizeof ccs, rig->wire + at, rig->wire_len - at);
    memcpy(rig->wire + at, ccs, sizeof ccs);
    rig->wire_len += sizeof ccs;
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    assert_int_equal(rig->b.flight_n, 3);
    while (rig->b.flight_n > 0) {
        side_finish(&rig->b, rig->b.flight_n - 1, MILGI_OP_OK);
        rig_receive(rig);
    }
    struct logged m;
    size_t log_at = 0;
    assert_int_equal(rig->messages, 4);
    assert_true(rig_logged(rig, &log_at, &m) && m.type == MILGI__DATA);
    assert_true(rig_logged(rig, &log_at, &m) && m.type == MILGI__CCS && !m.protected && m.data[0] == 1);
    rig_free(rig);
}

/* --- what is inside --------------------------------------------------------------------------------------------- */

/* Puts a record on the wire with this as its TLSInnerPlaintext, sealed with the key of epoch 1. */
static void seal_raw(struct rig *rig, uint64_t seq, const uint8_t *inner, size_t len)
{
    uint8_t *p = rig->wire + rig->wire_len, iv[12];
    struct milgi_key *key = rig_key(rig, 1, iv);
    p[0] = MILGI__DATA;
    milgi__put16(p + 1, 0x0303);
    milgi__put16(p + 3, (unsigned)(len + 16));
    for (unsigned i = 0; i < 8; i++)
        iv[4 + i] ^= (uint8_t)(seq >> (56 - 8 * i));
    const struct milgi__aead_key aead = { key->serial, key->alg, key->raw_len, key->raw };
    struct milgi__piece piece = { (uint8_t *)(uintptr_t)inner, len };
    assert_int_equal(milgi__aead_seal(rig->cx, &aead, iv, p, 5, &piece, 1, 0, 0, p + 5), 0);
    rig->wire_len += 5 + len + 16;
    rig->keys_alive--;
    free(key);
}

static int try_inner(const uint8_t *inner, size_t len, bool inside, size_t *delivered)
{
    struct rig *rig = rig_new(4, 16384, POOL);
    rig->b.inline_mask = inside ? UINT64_MAX : 0;
    side_read_key(&rig->b);
    seal_raw(rig, 0, inner, len);
    while (rig->wire_fed < rig->wire_len) {
        size_t part = rig->wire_len - rig->wire_fed;
        rig_feed(rig, MILGI__MIN(part, 5000)); /* several slices, so that zeros may fill some of them */
    }
    rig_receive_all(rig);
    int alert = rig->alert;
    *delivered = rig->log_len;
    rig_free(rig);
    return alert;
}

static void padding_is_taken_off_whatever_its_length(void **state)
{
    (void)state;
    static uint8_t inner[16385];
    size_t delivered;
    for (size_t content = 0; content < 40; content++)
        for (size_t pad = 0; pad < 16384 - content; pad += pad < 40 ? 1 : 4091) {
            memset(inner, 0, sizeof inner);
            memset(inner, 7, content / 2); /* zeros at the end of the content stay */
            inner[content] = MILGI__DATA;
            assert_int_equal(try_inner(inner, content + 1 + pad, pad % 2, &delivered), -1);
            assert_int_equal(delivered, 4 + content);
        }
}

static void a_record_of_zeros_is_refused(void **state)
{
    (void)state;
    static uint8_t inner[16385];
    size_t delivered;
    for (size_t len = 1; len <= 16385; len += len < 30 ? 1 : 2337)
        assert_int_equal(try_inner(inner, len, len % 2, &delivered), MILGI_ALERT_UNEXPECTED_MESSAGE);
}

static void inner_types_that_may_not_be_are_refused(void **state)
{
    (void)state;
    size_t delivered;
    for (unsigned type = 1; type < 256; type++) {
        uint8_t inner[] = { 1, (uint8_t)type };
        bool good = type >= MILGI__ALERT && type <= MILGI__DATA;
        assert_int_equal(try_inner(inner, 2, true, &delivered), good ? -1 : MILGI_ALERT_UNEXPECTED_MESSAGE);
        /* Without content: only application data may be. */
        assert_int_equal(
            try_inner(inner + 1, 1, true, &delivered), type == MILGI__DATA ? -1 : MILGI_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void plaintext_beyond_its_limit_is_refused(void **state)
{
    (void)state;
    static uint8_t inner[16640];
    size_t delivered;
    memset(inner, 1, sizeof inner);
    inner[16384] = MILGI__DATA;
    assert_int_equal(try_inner(inner, 16385, true, &delivered), -1);
    assert_int_equal(delivered, 16388);
    inner[16385] = MILGI__DATA;
    assert_int_equal(try_inner(inner, 16386, true, &delivered), MILGI_ALERT_RECORD_OVERFLOW);
    /* With its padding it is too long, too. */
    memset(inner + 11, 0, sizeof inner - 11);
    inner[10] = MILGI__DATA;
    assert_int_equal(try_inner(inner, 16386, true, &delivered), MILGI_ALERT_RECORD_OVERFLOW);
    assert_int_equal(try_inner(inner, 16385, true, &delivered), -1);
    assert_int_equal(delivered, 14);
}

static void the_header_is_authenticated(void **state)
{
    (void)state;
    struct rig *rig = three_records(UINT64_MAX);
    rig->wire[2] = 1;
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    assert_int_equal(rig->alert, MILGI_ALERT_BAD_RECORD_MAC);
    assert_int_equal(rig->messages, 0);
    rig_free(rig);
}

/* --- bounds and ends -------------------------------------------------------------------------------------------- */

static void more_records_than_a_key_is_good_for_are_refused(void **state)
{
    (void)state;
    for (int update = 0; update < 2; update++) {
        struct rig *rig = rig_new(8, 16384, POOL);
        rig->a.inline_mask = UINT64_MAX;
        rig_protect(rig);
        rig->b.rec.in.epoch_records_max = 4;
        for (unsigned i = 0; i < 6; i++) {
            if (update && i == 3)
                rig_key_update(rig, false);
            write_pattern(&rig->a, MILGI__DATA, 10, i);
            milgi__record_flush(&rig->a.rec);
        }
        rig_send(rig);
        rig_feed(rig, rig->wire_len);
        rig_receive_all(rig);
        assert_int_equal(rig->messages, update ? 7 : 4);
        assert_int_equal(rig->alert, update ? -1 : MILGI_ALERT_UNEXPECTED_MESSAGE);
        rig_free(rig);
    }
}

static void a_new_read_key_has_the_limit_of_its_suite(void **state)
{
    (void)state;
    struct rig *rig = rig_new(8, 16384, POOL);
    assert_true(rig->b.rec.in.epoch_records_max == UINT64_MAX);
    rig_protect(rig);
    assert_int_equal(rig->b.rec.in.epoch_records_max, 23726566); /* 2^24.5 */
    assert_true(rig->a.rec.out.epoch_records_max < 23726566);
    assert_true(rig->a.rec.out.epoch_records_max > 23000000);
    rig_free(rig);
}

/* A server that does not take early data: what it cannot open is skipped, and its sequence number is used again. */
static void a_rejected_record_can_be_unread(void **state)
{
    (void)state;
    for (unsigned inside = 0; inside < 2; inside++) {
        struct rig *rig = rig_new(4, 16384, POOL);
        uint8_t record[80];
        rig->a.inline_mask = UINT64_MAX;
        rig->b.inline_mask = inside ? UINT64_MAX : 0;
        side_write_key(&rig->a);
        side_read_key(&rig->b);
        pattern(record, sizeof record, 9);
        record[0] = MILGI__DATA;
        record[1] = 3;
        milgi__put16(record + 3, sizeof record - 5);
        memcpy(rig->wire, record, rig->wire_len = sizeof record);
        write_pattern(&rig->a, MILGI__HANDSHAKE, 30, 1);
        rig_send(rig);
        rig_feed(rig, rig->wire_len);
        rig_receive_all(rig);
        assert_int_equal(rig->alert, MILGI_ALERT_BAD_RECORD_MAC);
        uint32_t len = 0;
        assert_true(milgi__record_unread(&rig->b.rec, &len));
        assert_int_equal(len, sizeof record - 5);
        assert_false(milgi__record_unread(&rig->b.rec, &len));
        rig->alert = -1;
        rig_receive_all(rig);
        assert_int_equal(rig->alert, -1);
        assert_int_equal(rig->messages, 1);
        /* Once a record has been opened no other can be. */
        rig->wire_fed = 0;
        memcpy(rig->wire, record, rig->wire_len = sizeof record);
        rig_feed(rig, rig->wire_len);
        rig_receive_all(rig);
        assert_int_equal(rig->alert, MILGI_ALERT_BAD_RECORD_MAC);
        assert_false(milgi__record_unread(&rig->b.rec, &len));
        rig_free(rig);
    }
}

static void input_can_be_dropped_with_ops_in_flight(void **state)
{
    (void)state;
    struct rig *rig = three_records(0);
    rig_feed(rig, rig->wire_len - 1);
    rig_receive(rig);
    assert_int_equal(rig->b.flight_n, 2);
    side_finish(&rig->b, 1, MILGI_OP_OK);
    milgi__record_drop_input(&rig->b.rec);
    assert_false(milgi__record_in_busy(&rig->b.rec));
    side_finish(&rig->b, 0, MILGI_OP_OK);
    rig_receive(rig);
    assert_int_equal(rig->messages, 0);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_split_in_three_anywhere_arrive_whole),
        cmocka_unit_test(bytes_that_come_one_by_one_pin_few_chunks),
        cmocka_unit_test(a_record_in_up_to_four_pieces_is_not_copied),
        cmocka_unit_test(plaintext_lies_where_the_network_put_the_ciphertext),
        cmocka_unit_test(ciphertext_stays_intact_behind_an_unfinished_record),
        cmocka_unit_test(a_record_rejected_in_place_is_wiped),
        cmocka_unit_test(headers_that_may_not_be_are_refused),
        cmocka_unit_test(the_version_is_ignored_but_in_what_comes_first),
        cmocka_unit_test(what_is_wrong_is_told_after_all_that_came_before),
        cmocka_unit_test(an_alert_in_the_clear_passes_until_a_record_was_opened),
        cmocka_unit_test(change_cipher_spec_passes_in_the_clear_and_in_its_place),
        cmocka_unit_test(padding_is_taken_off_whatever_its_length),
        cmocka_unit_test(a_record_of_zeros_is_refused),
        cmocka_unit_test(inner_types_that_may_not_be_are_refused),
        cmocka_unit_test(plaintext_beyond_its_limit_is_refused),
        cmocka_unit_test(the_header_is_authenticated),
        cmocka_unit_test(more_records_than_a_key_is_good_for_are_refused),
        cmocka_unit_test(a_new_read_key_has_the_limit_of_its_suite),
        cmocka_unit_test(a_rejected_record_can_be_unread),
        cmocka_unit_test(input_can_be_dropped_with_ops_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
