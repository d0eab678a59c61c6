/* SPDX-License-Identifier: Apache-2.0 */
/* Full is a state: without chunks, ops or memory the pipelines wait, and lose nothing. Idle, they hold nothing. */
#include <string.h>

#include "rig.h"

#define LIMIT ((size_t)4 << 20)

/* Takes every chunk that can be had without what is left of the reserve. */
static unsigned hoard_but(struct rig *rig, enum milgi__reserve reserve, struct milgi_chunk **all, unsigned cap)
{
    static const size_t sizes[] = { 128 << 10, 18 << 10, 4096, 512 };
    unsigned n = 0;
    for (unsigned i = 0; i < MILGI__COUNT(sizes); i++) {
        struct milgi_chunk *c;
        while ((c = milgi__chunk_alloc_from(rig->pool, sizes[i], 0, reserve))) {
            assert_true(n < cap);
            all[n++] = c;
        }
    }
    return n;
}

/* All but what is kept for alerts and key changes. */
static unsigned hoard(struct rig *rig, struct milgi_chunk **all, unsigned cap)
{
    return hoard_but(rig, MILGI__RESERVE_HALF, all, cap);
}

static void give_back(struct milgi_chunk **all, unsigned n)
{
    while (n > 0)
        milgi_chunk_unref(all[--n]);
}

static void an_empty_pool_makes_opening_wait(void **state)
{
    (void)state;
    struct milgi_chunk *all[200];
    for (unsigned pieces = 1; pieces <= 6; pieces += 5) {
        struct rig *rig = rig_new(4, 16384, LIMIT);
        rig->a.inline_mask = UINT64_MAX;
        rig->b.inline_mask = pieces == 6 ? UINT64_MAX : 0; /* only gathering needs a chunk there */
        rig_protect(rig);
        write_pattern(&rig->a, MILGI__DATA, 1000, 0);
        rig_send(rig);
        for (unsigned i = 1; i <= pieces; i++)
            rig_feed(rig, rig->wire_len * i / pieces - rig->wire_fed);
        unsigned n = hoard(rig, all, MILGI__COUNT(all));
        struct milgi_op *op;
        struct milgi__failure failure;
        for (unsigned i = 0; i < 3; i++)
            assert_int_equal(milgi__record_open(&rig->b.rec, &op, &failure), MILGI__START_ROOM);
        assert_true(milgi__record_in_busy(&rig->b.rec));
        give_back(all, n);
        rig_receive_all(rig);
        assert_int_equal(rig->messages, 1);
        rig_free(rig);
    }
}

static void opening_in_place_needs_no_chunk(void **state)
{
    (void)state;
    struct milgi_chunk *all[200];
    struct rig *rig = rig_new(4, 16384, LIMIT);
    rig->a.inline_mask = rig->b.inline_mask = UINT64_MAX;
    rig_protect(rig);
    write_pattern(&rig->a, MILGI__DATA, 1000, 0);
    rig_send(rig);
    rig_feed(rig, rig->wire_len);
    unsigned n = hoard(rig, all, MILGI__COUNT(all));
    rig_receive(rig);
    assert_int_equal(rig->messages, 1);
    give_back(all, n);
    rig_free(rig);
}

static void an_empty_pool_makes_sealing_wait(void **state)
{
    (void)state;
    struct milgi_chunk *all[200];
    struct rig *rig = rig_new(4, 16384, LIMIT);
    uint8_t data[1000] = { 1 };
    rig->b.inline_mask = UINT64_MAX;
    rig_protect(rig);
    assert_int_equal(milgi__record_push(&rig->a.rec, MILGI__DATA, rig_slice(rig, data, sizeof data)), 0);
    unsigned n = hoard(rig, all, MILGI__COUNT(all));
    assert_int_equal(milgi__record_write(&rig->a.rec, MILGI__DATA, data, 10, false), MILGI_ENOMEM);
    assert_int_equal(rig->a.rec.pending_len, 1000);
    assert_int_equal(side_seal(&rig->a), MILGI__START_ROOM);
    assert_int_equal(side_seal(&rig->a), MILGI__START_ROOM);
    assert_int_equal(milgi__record_write_seq(&rig->a.rec), 0);
    give_back(all, n);
    rig_send(rig);
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    assert_int_equal(rig->messages, 1);
    rig_free(rig);
}

static void alerts_and_key_changes_go_out_on_the_reserve(void **state)
{
    (void)state;
    struct milgi_chunk *all[200];
    for (unsigned inside = 0; inside < 2; inside++) {
        struct rig *rig = rig_new(4, 16384, LIMIT);
        rig->a.inline_mask = inside ? UINT64_MAX : 0;
        rig->b.inline_mask = UINT64_MAX;
        rig_protect(rig);
        unsigned n = hoard(rig, all, MILGI__COUNT(all));
        rig->a.reserve_only = true;
        rig_key_update(rig, false);
        write_pattern(&rig->a, MILGI__ALERT, 2, 0);
        rig_send(rig);
        assert_int_equal(rig->wire_len, 27 + 24);
        give_back(all, n);
        rig_feed(rig, rig->wire_len);
        rig_receive(rig);
        assert_int_equal(rig->messages, 2);
        rig_free(rig);
    }
}

/* What it is made from holds memory that nothing else gives back. */
static void the_first_record_goes_on_where_others_wait(void **state)
{
    (void)state;
    struct milgi_chunk *all[200];
    struct rig *rig = rig_new(4, 16384, LIMIT);
    uint8_t data[1500] = { 1 }; /* sealed, a chunk holds one */
    rig_protect(rig);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(milgi__record_push(&rig->a.rec, MILGI__DATA, rig_slice(rig, data, sizeof data)), 0);
        milgi__record_flush(&rig->a.rec);
    }
    unsigned n = hoard_but(rig, MILGI__RESERVE_NONE, all, MILGI__COUNT(all));
    assert_int_equal(side_seal(&rig->a), MILGI__START_ROOM);
    assert_int_equal(rig->a.flight_n, 1);
    rig_send(rig);
    give_back(all, n);
    rig_feed(rig, rig->wire_len);
    rig_receive_all(rig);
    assert_int_equal(rig->messages, 2);
    rig_free(rig);
}

static void without_ops_both_ways_wait(void **state)
{
    (void)state;
    struct rig *rig = rig_new(4, 16384, LIMIT);
    rig->a.inline_mask = UINT64_MAX;
    rig->a.pad = 3;
    rig_protect(rig);
    write_pattern(&rig->a, MILGI__DATA, 100, 0);
    rig->a.ops_max = 0;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(side_seal(&rig->a), MILGI__START_ROOM);
    assert_int_equal(rig->a.pad_asked, 1); /* what was drawn stays */
    rig->a.ops_max = 1;
    rig_send(rig);
    rig_feed(rig, rig->wire_len);
    rig->b.ops_max = 0;
    size_t used = milgi__pool_used(rig->pool);
    struct milgi_op *op;
    struct milgi__failure failure;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(milgi__record_open(&rig->b.rec, &op, &failure), MILGI__START_ROOM);
    assert_int_equal(milgi__pool_used(rig->pool), used);
    rig->b.ops_max = 1;
    rig_receive_all(rig);
    assert_int_equal(rig->messages, 1);
    rig_free(rig);
}

/* --- failing allocations ---------------------------------------------------------------------------------------- */

static unsigned until_failure;

static bool fail_one(void)
{
    return until_failure > 0 && --until_failure == 0;
}

/* A little traffic in which every call that fails for memory is made again. Returns false if nothing failed. */
static bool traffic(unsigned failing, unsigned mask)
{
    struct rig *rig = rig_new(4, 1000, LIMIT);
    uint8_t data[3000], iv[12];
    pattern(data, sizeof data, 0);
    rig->a.inline_mask = mask & 1 ? UINT64_MAX : 0;
    rig->b.inline_mask = mask & 2 ? UINT64_MAX : 0;
    until_failure = failing;
    milgi__mem_fail = fail_one;
    struct milgi_key *key = rig_key(rig, rig->a.epoch = 1, iv);
    while (milgi__record_install_write(&rig->a.rec, rig_format, key, iv) != 0)
        assert_int_equal(key->refs, 1);
    side_read_key(&rig->b);
    milgi__record_speculate(&rig->b.rec);
    while (milgi__record_write(&rig->a.rec, MILGI__DATA, data, 10, false) != 0)
        assert_int_equal(rig->a.rec.pending_len, 0);
    while (milgi__record_write(&rig->a.rec, MILGI__DATA, data + 10, 1490, false) != 0)
        assert_int_equal(rig->a.rec.pending_len, 10);
    struct milgi_chunk *chunk;
    while (!(chunk = milgi__chunk_alloc(rig->pool, 1500, 0, false)))
        continue;
    struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), 1500 };
    memcpy(slice.data, data + 1500, 1500);
    while (milgi__record_push(&rig->a.rec, MILGI__DATA, slice) != 0)
        assert_int_equal(rig->a.rec.pending_len, 1500);
    key = rig_key(rig, ++rig->a.epoch, iv);
    while (milgi__record_update_write(&rig->a.rec, key_update, KEY_UPDATE_LEN, key, iv, false) != 0)
        assert_int_equal(rig->a.rec.pending_len, 3000);
    while (milgi__record_write(&rig->a.rec, MILGI__DATA, data, 10, false) != 0)
        assert_int_equal(rig->a.rec.pending_len, 3005);
    rig_send(rig);
    milgi__mem_fail = NULL;
    rig_feed(rig, rig->wire_len);
    milgi__mem_fail = fail_one;
    /* A receiver that is without room says so and goes on. */
    for (unsigned idle = 0; idle < 3; idle++)
        rig_receive_all(rig);
    bool failed = until_failure == 0;
    milgi__mem_fail = NULL;
    uint8_t got[4000];
    assert_int_equal(rig_data(rig, got, sizeof got), 3010);
    assert_memory_equal(got, data, 3000);
    rig_free(rig);
    return failed;
}

static void any_allocation_may_fail_and_nothing_is_lost(void **state)
{
    (void)state;
    for (unsigned mask = 0; mask < 4; mask++) {
        unsigned i = 1;
        while (traffic(i, mask))
            i++;
        assert_true(i > 10);
    }
}

static void input_without_memory_is_dropped_with_its_reference(void **state)
{
    (void)state;
    struct rig *rig = rig_new(4, 1000, LIMIT);
    struct milgi_slice slice = rig_slice(rig, "x", 1);
    until_failure = 1;
    milgi__mem_fail = fail_one;
    assert_int_equal(milgi__record_feed(&rig->b.rec, slice), MILGI_ENOMEM);
    milgi__mem_fail = NULL;
    slice = rig_slice(rig, "x", 1);
    slice.len = 0;
    assert_int_equal(milgi__record_feed(&rig->b.rec, slice), 0);
    assert_int_equal(milgi__pool_used(rig->pool), 0);
    rig_free(rig);
}

/* --- idle ------------------------------------------------------------------------------------------------------- */

static void idle_pipelines_hold_nothing_and_go_on_afterwards(void **state)
{
    (void)state;
    for (unsigned mask = 0; mask < 4; mask++) {
        struct rig *rig = rig_new(8, 16384, LIMIT);
        rig->a.inline_mask = mask & 1 ? UINT64_MAX : 0;
        rig->b.inline_mask = mask & 2 ? UINT64_MAX : 0;
        rig_protect(rig);
        for (unsigned turn = 0; turn < 5; turn++) {
            for (unsigned i = 0; i < 20; i++) {
                write_pattern(&rig->a, MILGI__DATA, 100, i);
                milgi__record_flush(&rig->a.rec);
            }
            rig_key_update(rig, false);
            rig_send(rig);
            rig_feed(rig, rig->wire_len - rig->wire_fed);
            rig_receive_all(rig);
            assert_int_equal(rig->messages, 21 * (turn + 1));
            milgi__record_idle(&rig->a.rec);
            milgi__record_idle(&rig->b.rec);
            assert_int_equal(milgi__pool_used(rig->pool), 0);
            for (unsigned i = 0; i < 2; i++) {
                const struct milgi__record *r = i ? &rig->a.rec : &rig->b.rec;
                assert_null(r->in.ring);
                assert_null(r->out.ring);
                assert_null(r->spare);
                assert_null(r->pending);
                assert_null(r->input.ring);
                assert_null(r->out_chunk);
                assert_null(r->partial);
            }
        }
        rig_free(rig);
    }
}

static void idle_keeps_what_is_not_finished(void **state)
{
    (void)state;
    struct rig *rig = rig_new(8, 16384, LIMIT);
    rig_protect(rig);
    write_pattern(&rig->a, MILGI__DATA, 100, 0);
    milgi__record_idle(&rig->a.rec);
    side_seal(&rig->a);
    milgi__record_idle(&rig->a.rec);
    write_pattern(&rig->a, MILGI__DATA, 100, 1);
    milgi__record_idle(&rig->a.rec);
    write_pattern(&rig->a, MILGI__DATA, 20, 2);
    assert_ptr_equal(rig->a.rec.open, rig->a.rec.pending);
    rig_send(rig);
    rig_feed(rig, 50);
    rig_receive(rig);
    milgi__record_idle(&rig->b.rec);
    rig_feed(rig, rig->wire_len - 50);
    rig_receive(rig);
    milgi__record_idle(&rig->b.rec);
    rig_receive_all(rig);
    assert_int_equal(rig->messages, 2);
    rig_free(rig);
}

/* Everything may end at any moment: ops in flight keep what they need themselves. */
static void the_end_may_come_at_any_moment(void **state)
{
    (void)state;
    for (unsigned stop = 0; stop < 12; stop++) {
        struct rig *rig = rig_new(4, 1000, LIMIT);
        uint8_t data[3000] = { 0 };
        rig_protect(rig);
        write_pattern(&rig->a, MILGI__DATA, 1500, 0);
        assert_int_equal(milgi__record_push(&rig->a.rec, MILGI__DATA, rig_slice(rig, data, sizeof data)), 0);
        rig_key_update(rig, false);
        write_pattern(&rig->a, MILGI__DATA, 100, 1);
        for (unsigned i = 0; i < stop; i++) {
            side_seal(&rig->a);
            if (i % 3 != 0 && rig->a.flight_n > 0)
                side_finish(&rig->a, rig->a.flight_n / 2, MILGI_OP_OK);
            rig_take(rig);
            rig_feed(rig, rig->wire_len > rig->wire_fed ? (rig->wire_len - rig->wire_fed + 1) / 2 : 0);
            rig_receive(rig);
            if (i % 2 != 0 && rig->b.flight_n > 0)
                side_finish(&rig->b, rig->b.flight_n / 2, MILGI_OP_OK);
        }
        rig_free(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_pool_makes_opening_wait),
        cmocka_unit_test(opening_in_place_needs_no_chunk),
        cmocka_unit_test(an_empty_pool_makes_sealing_wait),
        cmocka_unit_test(the_first_record_goes_on_where_others_wait),
        cmocka_unit_test(alerts_and_key_changes_go_out_on_the_reserve),
        cmocka_unit_test(without_ops_both_ways_wait),
        cmocka_unit_test(any_allocation_may_fail_and_nothing_is_lost),
        cmocka_unit_test(input_without_memory_is_dropped_with_its_reference),
        cmocka_unit_test(idle_pipelines_hold_nothing_and_go_on_afterwards),
        cmocka_unit_test(idle_keeps_what_is_not_finished),
        cmocka_unit_test(the_end_may_come_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
