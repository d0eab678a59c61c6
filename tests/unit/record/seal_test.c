/* SPDX-License-Identifier: Apache-2.0 */
/* Records sent: what goes into which record, where it is sealed, and under which key. */
#include <string.h>

#include "rig.h"

#define POOL ((size_t)64 << 20)

static struct rig *plain(unsigned record_max, bool inside)
{
    struct rig *rig = rig_new(16, record_max, POOL);
    rig->a.inline_mask = rig->b.inline_mask = inside ? UINT64_MAX : 0;
    return rig;
}

static struct rig *ready(unsigned record_max, bool inside)
{
    struct rig *rig = plain(record_max, inside);
    rig_protect(rig);
    return rig;
}

/* Lengths of the records on the wire. Returns how many there are. */
static unsigned lengths(const struct rig *rig, unsigned *len, unsigned cap)
{
    unsigned n = 0;
    size_t at = 0;
    for (; at < rig->wire_len; n++) {
        assert_true(n < cap);
        len[n] = milgi__get16(rig->wire + at + 3);
        at += 5 + len[n];
    }
    assert_int_equal(at, rig->wire_len);
    return n;
}

static void receive(struct rig *rig)
{
    rig_feed(rig, rig->wire_len - rig->wire_fed);
    rig_receive_all(rig);
    assert_int_equal(rig->alert, -1);
}

static void push_pattern(struct rig *rig, size_t len, unsigned seed)
{
    static uint8_t data[MILGI_CHUNK_MAX];
    pattern(data, len, seed);
    assert_int_equal(milgi__record_push(&rig->a.rec, MILGI__DATA, rig_slice(rig, data, len)), 0);
}

/* What was queued by write_pattern() and push_pattern() with these lengths and seeds 0, 1 ... is what arrived. */
static void check_data(const struct rig *rig, const size_t *lens, unsigned n)
{
    static uint8_t want[LOG_MAX], got[LOG_MAX];
    size_t len = 0;
    for (unsigned i = 0; i < n; i++) {
        pattern(want + len, lens[i], i);
        len += lens[i];
    }
    assert_int_equal(rig_data(rig, got, sizeof got), len);
    assert_memory_equal(got, want, len);
}

/* --- framing ---------------------------------------------------------------------------------------------------- */

static void small_writes_share_a_record_and_large_ones_fill_records(void **state)
{
    (void)state;
    for (unsigned inside = 0; inside < 2; inside++) {
        struct rig *rig = ready(16384, inside);
        static const size_t small[] = { 10, 1, 300, 5 };
        for (unsigned i = 0; i < 4; i++)
            write_pattern(&rig->a, MILGI__DATA, small[i], i);
        assert_int_equal(rig->a.rec.pending_len, 316);
        rig_send(rig);
        unsigned len[8];
        assert_int_equal(lengths(rig, len, 8), 1);
        assert_int_equal(len[0], 316 + 17);
        receive(rig);
        check_data(rig, small, 4);
        rig_free(rig);

        rig = ready(16384, inside);
        static const size_t large[] = { 40000, 20 };
        write_pattern(&rig->a, MILGI__DATA, large[0], 0);
        write_pattern(&rig->a, MILGI__DATA, large[1], 1);
        rig_send(rig);
        assert_int_equal(lengths(rig, len, 8), 3);
        assert_int_equal(len[0], 16384 + 17);
        assert_int_equal(len[1], 16384 + 17);
        assert_int_equal(len[2], 40020 - 2 * 16384 + 17);
        assert_int_equal(rig->a.in_place, inside ? 3 : 0);
        assert_int_equal(rig->a.rec.bytes_copied, 0);
        assert_true(rig->a.rec.framed_bytes == rig->wire_len);
        receive(rig);
        check_data(rig, large, 2);
        rig_free(rig);
    }
}

static void writes_of_any_length_are_sealed_in_place(void **state)
{
    (void)state;
    struct rig *rig = ready(2000, true);
    size_t lens[20];
    for (unsigned i = 0; i < 20; i++)
        write_pattern(&rig->a, MILGI__DATA, lens[i] = 700 + i, i);
    rig_send(rig);
    unsigned len[16];
    assert_int_equal(lengths(rig, len, 16), 8);
    assert_true(rig->a.in_place >= 6); /* all but those at the end of a chunk */
    receive(rig);
    check_data(rig, lens, 20);
    rig_free(rig);
}

static void slices_are_sealed_out_of_place_without_a_copy(void **state)
{
    (void)state;
    for (unsigned inside = 0; inside < 2; inside++) {
        struct rig *rig = ready(16384, inside);
        static const size_t lens[] = { 9000, 9000, 30000, 600, 600 };
        for (unsigned i = 0; i < 5; i++)
            push_pattern(rig, lens[i], i);
        rig_send(rig);
        unsigned len[8];
        assert_int_equal(lengths(rig, len, 8), 4);
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(len[i], 16384 + 17);
        assert_int_equal(rig->a.in_place, 0);
        assert_int_equal(rig->a.rec.bytes_copied, 0);
        receive(rig);
        check_data(rig, lens, 5);
        rig_free(rig);
    }
}

static void what_is_pushed_is_not_written_to(void **state)
{
    (void)state;
    struct rig *rig = ready(16384, true);
    uint8_t data[4000];
    pattern(data, sizeof data, 3);
    struct milgi_slice slice = rig_slice(rig, data, sizeof data);
    milgi_chunk_ref(slice.chunk);
    assert_int_equal(milgi__record_push(&rig->a.rec, MILGI__DATA, slice), 0);
    rig_send(rig);
    assert_memory_equal(slice.data, data, sizeof data);
    assert_int_equal(slice.chunk->refs, 1);
    milgi_chunk_unref(slice.chunk);
    rig_free(rig);
}

static void many_slices_of_one_record_are_gathered(void **state)
{
    (void)state;
    for (unsigned inside = 0; inside < 2; inside++)
        for (unsigned n = 1; n <= 12; n++) {
            struct rig *rig = ready(16384, inside);
            size_t lens[12];
            for (unsigned i = 0; i < n; i++)
                push_pattern(rig, lens[i] = 513 + i, i);
            rig_send(rig);
            unsigned len[2];
            assert_int_equal(lengths(rig, len, 2), 1);
            assert_int_equal(rig->a.rec.bytes_copied, n > 4 ? len[0] - 17 : 0);
            receive(rig);
            check_data(rig, lens, n);
            rig_free(rig);
        }
}

/* Gathering is done once; what is queued before there is an op goes where it belongs. */
static void what_was_gathered_waits_for_an_op(void **state)
{
    (void)state;
    for (unsigned flush = 0; flush < 2; flush++)
        for (unsigned written = 0; written < 2; written++)
            for (unsigned inside = 0; inside < 2; inside++) {
                struct rig *rig = ready(3600, inside);
                size_t lens[] = { 600, 600, 600, 600, 600, 600, written ? 100 : 1000, written ? 50 : 1000 };
                write_pattern(&rig->a, MILGI__HANDSHAKE, 3500, 9); /* a chunk in which much is free afterwards */
                rig_send(rig);
                for (unsigned i = 0; i < 6; i++)
                    push_pattern(rig, lens[i], i);
                if (flush)
                    milgi__record_flush(&rig->a.rec);
                for (unsigned i = 6; i < 8; i++) {
                    if (written)
                        write_pattern(&rig->a, MILGI__DATA, lens[i], i);
                    else
                        push_pattern(rig, lens[i], i);
                    rig->a.ops_max = 0;
                    for (unsigned k = 0; k < 3; k++)
                        assert_int_equal(side_seal(&rig->a), MILGI__START_ROOM);
                    assert_int_equal(rig->a.rec.bytes_copied, 3600);
                }
                rig->a.ops_max = 10;
                rig_send(rig);
                unsigned len[4];
                assert_int_equal(lengths(rig, len, 4), 3);
                assert_int_equal(len[1], 3600 + 17);
                receive(rig);
                check_data(rig, lens, 8);
                rig_free(rig);
            }
}

static void a_flush_stays_where_it_was_when_slices_are_gathered(void **state)
{
    (void)state;
    struct rig *rig = ready(16384, true);
    size_t lens[8];
    for (unsigned i = 0; i < 6; i++)
        push_pattern(rig, lens[i] = 600, i);
    milgi__record_flush(&rig->a.rec);
    rig->a.ops_max = 0;
    assert_int_equal(side_seal(&rig->a), MILGI__START_ROOM);
    push_pattern(rig, lens[6] = 700, 6);
    write_pattern(&rig->a, MILGI__DATA, lens[7] = 10, 7);
    rig->a.ops_max = 10;
    rig_send(rig);
    unsigned len[4];
    assert_int_equal(lengths(rig, len, 4), 2);
    assert_int_equal(len[0], 3600 + 17);
    receive(rig);
    check_data(rig, lens, 8);
    rig_free(rig);
}

static void whose_plaintext_is_written_to_a_chunk_is_known(void **state)
{
    (void)state;
    struct rig *rig = ready(16384, false);
    for (unsigned i = 1; i <= 3; i++) {
        write_pattern(&rig->a, MILGI__DATA, 100, i);
        assert_true(rig->a.rec.out_chunk->dirty >= 5 + 100 * i);
        assert_int_equal(rig->a.rec.out_chunk->owner, 11);
    }
    rig_free(rig);
    rig = ready(16384, false);
    for (unsigned i = 0; i < 6; i++)
        push_pattern(rig, 600, i);
    side_seal(&rig->a);
    assert_true(rig->a.flight[0]->u.aead.src[0].chunk->dirty >= 5 + 3600);
    assert_int_equal(rig->a.flight[0]->u.aead.src[0].chunk->owner, 11);
    rig_free(rig);
}

static void slices_side_by_side_are_one(void **state)
{
    (void)state;
    struct rig *rig = ready(16384, true);
    static uint8_t data[8000];
    pattern(data, sizeof data, 0);
    struct milgi_slice slice = rig_slice(rig, data, sizeof data);
    slice.len = 5000;
    for (unsigned i = 0; i < 4; i++) {
        milgi_chunk_ref(slice.chunk);
        assert_int_equal(milgi__record_push(&rig->a.rec, MILGI__DATA, slice), 0);
        slice.data += slice.len;
        slice.len = 1000;
    }
    milgi_chunk_unref(slice.chunk);
    struct milgi_op *op;
    assert_int_equal(milgi__record_seal(&rig->a.rec, &op), MILGI__START_OP);
    assert_int_equal(op->u.aead.src_n, 1);
    side_submit(&rig->a, op);
    rig_send(rig);
    receive(rig);
    check_data(rig, (const size_t[]){ 8000 }, 1);
    rig_free(rig);
}

/* What is left of a chunk when little of it was given goes at once. */
static void a_slice_below_a_quarter_of_its_chunk_does_not_keep_it(void **state)
{
    (void)state;
    struct rig *rig = ready(16384, true);
    static uint8_t data[16000];
    pattern(data, sizeof data, 0);
    struct milgi_slice slice = rig_slice(rig, data, sizeof data);
    struct milgi_chunk *chunk = milgi_chunk_ref(slice.chunk);
    slice.len = 4000;
    assert_int_equal(milgi__record_push(&rig->a.rec, MILGI__DATA, slice), 0);
    assert_int_equal(chunk->refs, 1);
    slice = (struct milgi_slice){ milgi_chunk_ref(chunk), chunk->data + 4000, 12000 };
    assert_int_equal(milgi__record_push(&rig->a.rec, MILGI__DATA, slice), 0);
    assert_int_equal(chunk->refs, 2);
    milgi_chunk_unref(chunk);
    rig_send(rig);
    receive(rig);
    check_data(rig, (const size_t[]){ 16000 }, 1);
    rig_free(rig);
}

/* The records depend on the calls, not on the lie of the bytes or on the route. */
static void records_are_the_same_inside_and_outside(void **state)
{
    (void)state;
    static uint8_t first[LOG_MAX];
    for (unsigned seed = 1; seed < 60; seed++) {
        size_t first_len = 0;
        for (unsigned inside = 0; inside < 2; inside++) {
            struct rig *rig = ready(100 + seed * 37, inside);
            rig->a.rec.out.window = 1000;
            uint32_t x = seed;
            for (unsigned i = 0; i < 30; i++) {
                x = x * 1664525u + 1013904223u;
                size_t len = 1 + (x >> 8) % 3000;
                rig->a.pad = x >> 30 ? 0 : len % 50;
                if (x >> 31)
                    write_pattern(&rig->a, MILGI__DATA, len, i);
                else
                    push_pattern(rig, len, i);
                if ((x >> 28) % 8 == 3)
                    side_seal(&rig->a);
            }
            rig_send(rig);
            if (inside) {
                assert_int_equal(rig->wire_len, first_len);
                assert_memory_equal(rig->wire, first, first_len);
            }
            memcpy(first, rig->wire, first_len = rig->wire_len);
            rig_free(rig);
        }
    }
}

static void types_do_not_share_records_and_each_alert_is_one(void **state)
{
    (void)state;
    struct rig *rig = ready(16384, true);
    static const uint8_t warning[] = { 1, 90 }, notify[] = { 1, 0 };
    write_pattern(&rig->a, MILGI__DATA, 10, 0);
    write_pattern(&rig->a, MILGI__HANDSHAKE, 20, 1);
    write_pattern(&rig->a, MILGI__HANDSHAKE, 30, 2);
    assert_int_equal(milgi__record_write(&rig->a.rec, MILGI__ALERT, warning, 2, true), 0);
    assert_int_equal(milgi__record_write(&rig->a.rec, MILGI__ALERT, notify, 2, true), 0);
    rig_send(rig);
    receive(rig);
    static const struct {
        uint8_t type;
        size_t len;
    } want[] = { { MILGI__DATA, 10 }, { MILGI__HANDSHAKE, 50 }, { MILGI__ALERT, 2 }, { MILGI__ALERT, 2 } };
    size_t at = 0;
    struct logged m;
    for (unsigned i = 0; i < 4; i++) {
        assert_true(rig_logged(rig, &at, &m));
        assert_int_equal(m.type, want[i].type);
        assert_int_equal(m.len, want[i].len);
    }
    assert_int_equal(at, rig->log_len);
    rig_free(rig);
}

static void a_flush_ends_a_record(void **state)
{
    (void)state;
    for (unsigned inside = 0; inside < 2; inside++) {
        struct rig *rig = ready(16384, inside);
        static const size_t lens[] = { 10, 20, 700, 800 };
        write_pattern(&rig->a, MILGI__DATA, 10, 0);
        milgi__record_flush(&rig->a.rec);
        write_pattern(&rig->a, MILGI__DATA, 20, 1);
        push_pattern(rig, 700, 2);
        milgi__record_flush(&rig->a.rec);
        push_pattern(rig, 800, 3);
        milgi__record_flush(&rig->a.rec);
        rig_send(rig);
        milgi__record_flush(&rig->a.rec);
        unsigned len[4];
        assert_int_equal(lengths(rig, len, 4), 3);
        assert_int_equal(len[0], 27);
        assert_int_equal(len[1], 737);
        receive(rig);
        check_data(rig, lens, 4);
        rig_free(rig);
    }
}

/* --- where ------------------------------------------------------------------------------------------------------ */

static void records_of_one_turn_leave_as_one_slice(void **state)
{
    (void)state;
    struct rig *rig = ready(16384, true);
    for (unsigned i = 0; i < 8; i++) {
        write_pattern(&rig->a, i % 2 ? MILGI__HANDSHAKE : MILGI__DATA, 50, i);
        milgi__record_flush(&rig->a.rec);
    }
    side_seal(&rig->a);
    assert_int_equal(rig->a.in_place, 8);
    assert_true(rig_take(rig) <= 2); /* the first chunk was a small one */
    assert_int_equal(rig->wire_len, 8 * 72);
    receive(rig);
    assert_int_equal(rig->messages, 8);
    rig_free(rig);
}

static void padding_is_sealed_in_place_where_there_is_room(void **state)
{
    (void)state;
    static const size_t lens[] = { 100, 101 };
    for (unsigned inside = 0; inside < 2; inside++)
        for (unsigned n = 1; n <= 2; n++) {
            struct rig *rig = ready(16384, inside);
            rig->a.pad = 40;
            for (unsigned i = 0; i < n; i++) {
                write_pattern(&rig->a, MILGI__DATA, lens[i], i);
                milgi__record_flush(&rig->a.rec);
            }
            rig_send(rig);
            unsigned len[2];
            assert_int_equal(lengths(rig, len, 2), n);
            for (unsigned i = 0; i < n; i++)
                assert_int_equal(len[i], lens[i] + 40 + 17);
            assert_int_equal(rig->a.in_place, inside && n == 1); /* the first of two has the second right behind it */
            receive(rig);
            check_data(rig, lens, n);
            rig_free(rig);
        }
}

static void padding_is_cut_to_what_a_record_may_hold(void **state)
{
    (void)state;
    for (unsigned inside = 0; inside < 2; inside++)
        for (size_t content = 1; content <= 16384; content += 1489) {
            struct rig *rig = ready(16384, inside);
            rig->a.pad = SIZE_MAX;
            write_pattern(&rig->a, MILGI__DATA, content, 0);
            rig_send(rig);
            unsigned len[1];
            assert_int_equal(lengths(rig, len, 1), 1);
            assert_int_equal(len[0], 16384 + 17);
            assert_int_equal(rig->a.pad_asked, 1);
            receive(rig);
            check_data(rig, &content, 1);
            rig_free(rig);
        }
}

/* --- in the clear ----------------------------------------------------------------------------------------------- */

static void records_without_a_key_are_in_the_clear(void **state)
{
    (void)state;
    struct rig *rig = plain(16384, false);
    write_pattern(&rig->a, MILGI__HANDSHAKE, 40000, 1);
    assert_int_equal(side_seal(&rig->a), MILGI__START_NONE);
    assert_int_equal(rig->a.started, 0);
    rig_take(rig);
    unsigned len[3];
    assert_int_equal(lengths(rig, len, 3), 3);
    assert_int_equal(len[0], 16384);
    assert_int_equal(rig->wire[0], MILGI__HANDSHAKE);
    receive(rig);
    assert_int_equal(rig->messages, 3);
    rig_free(rig);
}

static void only_what_is_sent_before_anything_was_received_is_version_0301(void **state)
{
    (void)state;
    struct rig *rig = plain(16384, true);
    static const uint8_t hello[] = { 22, 3, 3, 0, 1, 2 };
    write_pattern(&rig->a, MILGI__HANDSHAKE, 100, 1);
    rig_send(rig);
    assert_int_equal(milgi__get16(rig->wire + 1), 0x0301);
    assert_int_equal(milgi__record_feed(&rig->a.rec, rig_slice(rig, hello, sizeof hello)), 0);
    struct milgi_op *op;
    struct milgi__failure failure;
    assert_int_equal(milgi__record_open(&rig->a.rec, &op, &failure), MILGI__START_READY);
    rig->wire_len = 0;
    write_pattern(&rig->a, MILGI__HANDSHAKE, 100, 1);
    rig_send(rig);
    assert_int_equal(milgi__get16(rig->wire + 1), 0x0303);
    rig_free(rig);
}

static void change_cipher_spec_is_in_the_clear_under_any_key(void **state)
{
    (void)state;
    struct rig *rig = ready(16384, true);
    static const uint8_t one = 1;
    write_pattern(&rig->a, MILGI__HANDSHAKE, 10, 1);
    assert_int_equal(milgi__record_write(&rig->a.rec, MILGI__CCS, &one, 1, true), 0);
    write_pattern(&rig->a, MILGI__HANDSHAKE, 10, 2);
    rig_send(rig);
    static const uint8_t want[] = { 20, 3, 3, 0, 1, 1 };
    assert_memory_equal(rig->wire + 32, want, 6);
    assert_int_equal(milgi__record_write_seq(&rig->a.rec), 2);
    receive(rig);
    assert_int_equal(rig->messages, 3);
    rig_free(rig);
}

static void data_is_never_sent_in_the_clear(void **state)
{
    (void)state;
    struct rig *rig = plain(16384, true);
    write_pattern(&rig->a, MILGI__DATA, 10, 1);
    assert_int_equal(side_seal(&rig->a), MILGI__START_FAILED);
    assert_true(milgi__record_send_broken(&rig->a.rec));
    assert_int_equal(rig_take(rig), 0);
    rig_free(rig);
}

/* --- keys ------------------------------------------------------------------------------------------------------- */

static void a_key_changes_behind_what_was_queued_before_it(void **state)
{
    (void)state;
    struct rig *rig = plain(16384, false);
    write_pattern(&rig->a, MILGI__HANDSHAKE, 10, 1);
    side_write_key(&rig->a);
    write_pattern(&rig->a, MILGI__HANDSHAKE, 10, 2);
    side_write_key(&rig->a);
    write_pattern(&rig->a, MILGI__DATA, 10, 3);
    assert_int_equal(side_seal(&rig->a), MILGI__START_NONE);
    assert_int_equal(rig->a.flight_n, 2); /* records of two keys, in flight at once */
    assert_int_equal(rig->a.flight[0]->key->raw[0], 1);
    assert_int_equal(rig->a.flight[1]->key->raw[0], 2);
    rig_send(rig);
    assert_int_equal(rig->wire[0], MILGI__HANDSHAKE);
    assert_int_equal(rig->wire[15], MILGI__DATA);
    rig_free(rig);
}

static void a_key_update_can_go_first(void **state)
{
    (void)state;
    struct rig *rig = ready(64, true);
    write_pattern(&rig->a, MILGI__DATA, 200, 0);
    struct milgi_op *op;
    assert_int_equal(milgi__record_seal(&rig->a.rec, &op), MILGI__START_OP);
    side_submit(&rig->a, op);
    rig_key_update(rig, false);
    write_pattern(&rig->a, MILGI__DATA, 100, 1);
    assert_int_equal(milgi__record_write_seq(&rig->a.rec), 1);
    rig_key_update(rig, true);
    assert_int_equal(milgi__record_write_seq(&rig->a.rec), 0);
    rig_key_update(rig, true);
    rig_send(rig);
    receive(rig);
    check_data(rig, (const size_t[]){ 200, 100 }, 2);
    size_t at = 0;
    struct logged m;
    static const uint8_t types[] = { 23, 22, 22, 23, 23, 23, 22, 23, 23 };
    for (unsigned i = 0; i < sizeof types; i++) {
        assert_true(rig_logged(rig, &at, &m));
        assert_int_equal(m.type, types[i]);
    }
    rig_free(rig);
}

static void a_key_update_put_first_waits_for_the_end_of_a_begun_message(void **state)
{
    (void)state;
    struct rig *rig = ready(64, true);
    write_pattern(&rig->a, MILGI__HANDSHAKE, 150, 0);
    write_pattern(&rig->a, MILGI__DATA, 10, 1);
    struct milgi_op *op;
    assert_int_equal(milgi__record_seal(&rig->a.rec, &op), MILGI__START_OP);
    side_submit(&rig->a, op);
    rig_key_update(rig, true);
    rig_send(rig);
    receive(rig);
    static const size_t lens[] = { 64, 64, 22 + 5, 10 };
    size_t at = 0;
    struct logged m;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(rig_logged(rig, &at, &m));
        assert_int_equal(m.type, MILGI__HANDSHAKE);
        assert_int_equal(m.len, lens[i]);
    }
    rig_free(rig);
}

static void sequence_numbers_start_again_with_each_key(void **state)
{
    (void)state;
    struct rig *rig = ready(16384, false);
    for (unsigned epoch = 0; epoch < 3; epoch++) {
        for (unsigned i = 0; i < 3; i++) {
            write_pattern(&rig->a, MILGI__DATA, 10, i);
            struct milgi_op *op;
            assert_int_equal(milgi__record_seal(&rig->a.rec, &op), MILGI__START_OP);
            uint8_t nonce[12];
            memset(nonce, (int)(0x41 + epoch), 12);
            nonce[11] ^= (uint8_t)i;
            assert_memory_equal(op->u.aead.nonce, nonce, 12);
            side_submit(&rig->a, op);
            assert_int_equal(milgi__record_write_seq(&rig->a.rec), i + 1);
        }
        side_write_key(&rig->a);
        assert_int_equal(milgi__record_write_seq(&rig->a.rec), 0);
    }
    rig_free(rig);
}

static void a_used_up_key_ends_the_direction(void **state)
{
    (void)state;
    struct rig *rig = ready(16384, true);
    rig->a.rec.out.seq = 23726565;
    write_pattern(&rig->a, MILGI__DATA, 10, 0);
    rig_send(rig);
    assert_false(milgi__record_send_broken(&rig->a.rec));
    write_pattern(&rig->a, MILGI__DATA, 10, 0);
    assert_int_equal(side_seal(&rig->a), MILGI__START_FAILED);
    assert_true(milgi__record_send_broken(&rig->a.rec));
    rig_free(rig);
}

/* --- windows and ends ------------------------------------------------------------------------------------------- */

static void data_waits_for_the_window_and_the_rest_does_not(void **state)
{
    (void)state;
    struct rig *rig = rig_new(3, 64, POOL);
    rig_protect(rig);
    write_pattern(&rig->a, MILGI__DATA, 64 * 5, 0);
    assert_int_equal(side_seal(&rig->a), MILGI__START_FULL);
    assert_int_equal(rig->a.flight_n, 3);
    /* What is finished but stands behind an unfinished one still counts; what is in front of it does not. */
    side_finish(&rig->a, 1, MILGI_OP_OK);
    assert_int_equal(side_seal(&rig->a), MILGI__START_FULL);
    side_finish(&rig->a, 0, MILGI_OP_OK);
    assert_int_equal(side_seal(&rig->a), MILGI__START_NONE);
    write_pattern(&rig->a, MILGI__HANDSHAKE, 500, 1);
    write_pattern(&rig->a, MILGI__ALERT, 2, 1);
    assert_int_equal(side_seal(&rig->a), MILGI__START_NONE);
    assert_int_equal(rig->a.flight_n, 3 + 8 + 1);
    rig_send(rig);
    receive(rig);
    assert_int_equal(rig->messages, 5 + 8 + 1);
    rig_free(rig);
}

static void dropping_keeps_what_is_framed_and_what_the_handshake_said(void **state)
{
    (void)state;
    struct rig *rig = ready(16384, false);
    write_pattern(&rig->a, MILGI__DATA, 100, 0);
    side_seal(&rig->a);
    write_pattern(&rig->a, MILGI__DATA, 100, 1);
    push_pattern(rig, 3000, 2);
    rig_key_update(rig, false);
    write_pattern(&rig->a, MILGI__HANDSHAKE, 100, 3);
    milgi__record_drop_pending(&rig->a.rec);
    assert_int_equal(rig->a.rec.pending_len, 5 + 100);
    static const uint8_t alert[] = { 2, 80 };
    assert_int_equal(milgi__record_write(&rig->a.rec, MILGI__ALERT, alert, 2, true), 0);
    rig_send(rig);
    receive(rig);
    assert_int_equal(rig->messages, 4); /* data, KeyUpdate, what was said under the new key, the alert */
    check_data(rig, (const size_t[]){ 100 }, 1);
    assert_int_equal(rig->a.rec.out.key->raw[0], 2);
    rig_free(rig);
}

static void dropping_keeps_the_rest_of_a_begun_message_and_its_key(void **state)
{
    (void)state;
    struct rig *rig = ready(64, true);
    write_pattern(&rig->a, MILGI__HANDSHAKE, 150, 0);
    rig_key_update(rig, false);
    write_pattern(&rig->a, MILGI__DATA, 100, 1);
    struct milgi_op *op;
    assert_int_equal(milgi__record_seal(&rig->a.rec, &op), MILGI__START_OP);
    side_submit(&rig->a, op);
    milgi__record_drop_pending(&rig->a.rec);
    assert_int_equal(rig->a.rec.pending_len, 150 - 64 + 5);
    static const uint8_t alert[] = { 2, 80 };
    assert_int_equal(milgi__record_write(&rig->a.rec, MILGI__ALERT, alert, 2, true), 0);
    rig_send(rig);
    assert_int_equal(rig->a.rec.out.key->raw[0], 2); /* the alert stands under the next key, which was promised */
    assert_int_equal(milgi__record_write_seq(&rig->a.rec), 1);
    rig_free(rig);
}

/* By the short path, until |framed| bytes are framed. */
static void seal_short(struct rig *rig, uint64_t framed, struct milgi__sealed *sealed)
{
    struct milgi__record *r = &rig->a.rec;
    struct milgi__short_limits limits = {
        .records = UINT64_MAX,
        .framed = r->framed_bytes + framed,
        .slices = MILGI__COUNT(sealed->slice),
        .reserve = MILGI__RESERVE_NONE,
    };
    assert_true(milgi__short_seal(r, UINT32_MAX, &limits, sealed));
}

static void take_sealed(struct rig *rig, const struct milgi__sealed *sealed)
{
    for (unsigned i = 0; i < sealed->slices_n; i++) {
        memcpy(rig->wire + rig->wire_len, sealed->slice[i].data, sealed->slice[i].len);
        rig->wire_len += sealed->slice[i].len;
        milgi_chunk_unref(sealed->slice[i].chunk);
    }
}

/* A slice is sealed into the chunk in which the next record has begun. */
static void what_is_written_behind_a_slice_that_was_sealed_begins_a_record(void **state)
{
    static const size_t lens[] = { 2048, 1024, 100, 100 };
    struct rig *rig = ready(1024, true);
    struct milgi__sealed sealed;

    (void)state;
    (void)side_seal(&rig->a); /* the key */
    write_pattern(&rig->a, MILGI__DATA, lens[0], 0);
    push_pattern(rig, lens[1], 1);
    write_pattern(&rig->a, MILGI__DATA, lens[2], 2);
    seal_short(rig, 3072, &sealed);
    assert_int_equal(sealed.n, 3);
    write_pattern(&rig->a, MILGI__DATA, lens[3], 3);
    take_sealed(rig, &sealed);
    rig_send(rig);
    receive(rig);
    check_data(rig, lens, MILGI__COUNT(lens));
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_writes_share_a_record_and_large_ones_fill_records),
        cmocka_unit_test(writes_of_any_length_are_sealed_in_place),
        cmocka_unit_test(slices_are_sealed_out_of_place_without_a_copy),
        cmocka_unit_test(what_is_pushed_is_not_written_to),
        cmocka_unit_test(many_slices_of_one_record_are_gathered),
        cmocka_unit_test(what_was_gathered_waits_for_an_op),
        cmocka_unit_test(a_flush_stays_where_it_was_when_slices_are_gathered),
        cmocka_unit_test(whose_plaintext_is_written_to_a_chunk_is_known),
        cmocka_unit_test(slices_side_by_side_are_one),
        cmocka_unit_test(a_slice_below_a_quarter_of_its_chunk_does_not_keep_it),
        cmocka_unit_test(records_are_the_same_inside_and_outside),
        cmocka_unit_test(types_do_not_share_records_and_each_alert_is_one),
        cmocka_unit_test(a_flush_ends_a_record),
        cmocka_unit_test(what_is_written_behind_a_slice_that_was_sealed_begins_a_record),
        cmocka_unit_test(records_of_one_turn_leave_as_one_slice),
        cmocka_unit_test(padding_is_sealed_in_place_where_there_is_room),
        cmocka_unit_test(padding_is_cut_to_what_a_record_may_hold),
        cmocka_unit_test(records_without_a_key_are_in_the_clear),
        cmocka_unit_test(only_what_is_sent_before_anything_was_received_is_version_0301),
        cmocka_unit_test(change_cipher_spec_is_in_the_clear_under_any_key),
        cmocka_unit_test(data_is_never_sent_in_the_clear),
        cmocka_unit_test(a_key_changes_behind_what_was_queued_before_it),
        cmocka_unit_test(a_key_update_can_go_first),
        cmocka_unit_test(a_key_update_put_first_waits_for_the_end_of_a_begun_message),
        cmocka_unit_test(sequence_numbers_start_again_with_each_key),
        cmocka_unit_test(a_used_up_key_ends_the_direction),
        cmocka_unit_test(data_waits_for_the_window_and_the_rest_does_not),
        cmocka_unit_test(dropping_keeps_what_is_framed_and_what_the_handshake_said),
        cmocka_unit_test(dropping_keeps_the_rest_of_a_begun_message_and_its_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
