/* SPDX-License-Identifier: Apache-2.0 */
/* Completion orders: whatever the order in which ops end, the same is delivered and the same is sent. */
#include <string.h>

#include "rig.h"

#define POOL ((size_t)64 << 20)

/* --- every way to choose ---------------------------------------------------------------------------------------- */

static struct {
    unsigned taken[64], among[64];
    unsigned depth, known;
} tree;

static unsigned choose(unsigned n)
{
    unsigned d = tree.depth++;
    assert_true(d < MILGI__COUNT(tree.taken));
    if (d == tree.known) {
        tree.taken[d] = 0;
        tree.known++;
    }
    tree.among[d] = n;
    return tree.taken[d];
}

static void first_way(void)
{
    tree.depth = tree.known = 0;
}

static bool next_way(void)
{
    while (tree.known > 0 && tree.taken[tree.known - 1] + 1 >= tree.among[tree.known - 1])
        tree.known--;
    tree.depth = 0;
    if (tree.known == 0)
        return false;
    tree.taken[tree.known - 1]++;
    return true;
}

/* --- what is sent ----------------------------------------------------------------------------------------------- */

/* |n| records of data, of different lengths; before the one at |update| a KeyUpdate; -1: none. */
static void queue(struct rig *rig, unsigned n, int update)
{
    for (unsigned i = 0; i < n; i++) {
        if ((int)i == update)
            rig_key_update(rig, false);
        write_pattern(&rig->a, MILGI__DATA, 20 + 7 * i, i);
        milgi__record_flush(&rig->a.rec);
    }
    if ((int)n == update)
        rig_key_update(rig, false);
}

static void check_delivered(const struct rig *rig, unsigned n, int update)
{
    size_t at = 0;
    struct logged m;
    uint8_t want[256];
    for (unsigned i = 0; i <= n; i++) {
        if ((int)i == update) {
            assert_true(rig_logged(rig, &at, &m));
            assert_int_equal(m.type, MILGI__HANDSHAKE);
        }
        if (i == n)
            break;
        assert_true(rig_logged(rig, &at, &m));
        assert_int_equal(m.type, MILGI__DATA);
        assert_true(m.protected);
        assert_int_equal(m.len, 20 + 7 * i);
        pattern(want, m.len, i);
        assert_memory_equal(m.data, want, m.len);
    }
    assert_false(rig_logged(rig, &at, &m));
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static unsigned opens_in_all_orders(unsigned window, unsigned n, int update)
{
    unsigned ways = 0;
    first_way();
    do {
        struct rig *rig = rig_new(window, 16384, POOL);
        rig->a.inline_mask = UINT64_MAX;
        rig_protect(rig);
        queue(rig, n, update);
        rig_send(rig);
        rig_feed(rig, rig->wire_len);
        while (rig_receive(rig) || rig->b.flight_n > 0) {
            assert_true(rig->b.rec.in.next - rig->b.rec.in.head <= window);
            if (rig->b.flight_n > 0)
                side_finish(&rig->b, choose(rig->b.flight_n), MILGI_OP_OK);
        }
        assert_int_equal(rig->alert, -1);
        check_delivered(rig, n, update);
        assert_false(milgi__record_in_busy(&rig->b.rec));
        rig_free(rig);
        ways++;
    } while (next_way());
    return ways;
}

static void records_are_delivered_in_order_whatever_order_their_opens_end_in(void **state)
{
    (void)state;
    static const unsigned factorial[] = { 1, 1, 2, 6, 24, 120 };
    for (unsigned window = 1; window <= 5; window++)
        assert_int_equal(opens_in_all_orders(window, window, -1), factorial[window]);
    assert_int_equal(opens_in_all_orders(3, 6, -1), 57); /* one may not end before those three places ahead of it */
}

static void records_opened_ahead_of_a_key_update_are_opened_again_in_every_order(void **state)
{
    (void)state;
    for (int update = 0; update <= 4; update++)
        assert_true(opens_in_all_orders(4, 4, update) > 1);
    for (int update = 2; update <= 4; update++)
        assert_true(opens_in_all_orders(5, 4, update) > 1);
    for (int update = 0; update <= 3; update++)
        assert_true(opens_in_all_orders(2, 3, update) > 1);
}

/* Routes are mixed within one window: any op may run inside its submission or come back later. */
static void routes_mixed_in_one_window_deliver_the_same(void **state)
{
    (void)state;
    for (int update = 0; update <= 6; update++)
        for (unsigned mask = 0; mask < 1024; mask++) {
            struct rig *rig = rig_new(5, 16384, POOL);
            rig->a.inline_mask = UINT64_MAX;
            rig->b.inline_mask = mask;
            rig_protect(rig);
            queue(rig, 6, update);
            rig_send(rig);
            rig_feed(rig, rig->wire_len);
            while (rig_receive(rig) || rig->b.flight_n > 0)
                if (rig->b.flight_n > 0)
                    side_finish(&rig->b, mask % rig->b.flight_n, MILGI_OP_OK);
            check_delivered(rig, 6, update);
            rig_free(rig);
        }
}

static void a_record_that_fails_stops_all_behind_it_in_every_order(void **state)
{
    (void)state;
    for (unsigned bad = 0; bad < 4; bad++) {
        first_way();
        do {
            struct rig *rig = rig_new(4, 16384, POOL);
            rig->a.inline_mask = UINT64_MAX;
            rig_protect(rig);
            queue(rig, 4, -1);
            rig_send(rig);
            size_t at = 0;
            for (unsigned i = 0; i < bad; i++)
                at += 5 + milgi__get16(rig->wire + at + 3);
            rig->wire[at + 5 + 3] ^= 1;
            rig_feed(rig, rig->wire_len);
            while (rig_receive(rig) || rig->b.flight_n > 0)
                if (rig->b.flight_n > 0)
                    side_finish(&rig->b, choose(rig->b.flight_n), MILGI_OP_OK);
            assert_int_equal(rig->alert, MILGI_ALERT_BAD_RECORD_MAC);
            check_delivered(rig, bad, -1);
            rig_free(rig);
        } while (next_way());
    }
}

static void a_device_that_fails_is_told_in_its_turn(void **state)
{
    (void)state;
    static const enum milgi_op_status statuses[] = { MILGI_OP_BROKEN, MILGI_OP_CANCELLED, MILGI_OP_LOST };
    for (unsigned i = 0; i < MILGI__COUNT(statuses); i++)
        for (unsigned bad = 0; bad < 4; bad++) {
            struct rig *rig = rig_new(4, 16384, POOL);
            rig->a.inline_mask = UINT64_MAX;
            rig_protect(rig);
            queue(rig, 4, -1);
            rig_send(rig);
            rig_feed(rig, rig->wire_len);
            rig_receive(rig);
            assert_int_equal(rig->b.flight_n, 4);
            rig->b.flight[bad]->device_code = 42;
            side_finish(&rig->b, bad, statuses[i]);
            assert_true(bad == 0 || !rig->broken);
            rig_receive_all(rig);
            assert_true(rig->broken);
            check_delivered(rig, bad, -1);
            rig_free(rig);
        }
}

/* The engine tells of a lost op by one that holds nothing but its identity. */
static void a_lost_op_is_known_by_its_identity_alone(void **state)
{
    (void)state;
    struct rig *rig = rig_new(2, 16384, POOL);
    rig->a.inline_mask = UINT64_MAX;
    rig_protect(rig);
    queue(rig, 2, -1);
    rig_send(rig);
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    struct milgi_op *lost = side_pull(&rig->b, 0);
    struct milgi_op word = { .type = MILGI_OP_OPEN, .status = MILGI_OP_LOST, .device_code = 42 };
    word.e = lost->e;
    word.e.generation++; /* another one's */
    milgi__record_opened(&rig->b.rec, &word);
    word.e = lost->e;
    word.e.id++;
    word.e.generation--;
    milgi__record_opened(&rig->b.rec, &word);
    rig_receive(rig);
    assert_false(rig->broken);
    word.e = lost->e;
    milgi__record_opened(&rig->b.rec, &word);
    rig_receive(rig);
    assert_true(rig->broken);
    milgi__op_perform(rig->cx, lost, NULL);
    side_end(&rig->b, lost);
    rig_free(rig);
}

/* --- STALE ------------------------------------------------------------------------------------------------------ */

static void what_was_opened_with_the_old_key_is_wiped_and_counted(void **state)
{
    (void)state;
    struct rig *rig = rig_new(4, 16384, POOL);
    rig->a.inline_mask = UINT64_MAX;
    rig_protect(rig);
    queue(rig, 3, 0);
    rig_send(rig);
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    assert_int_equal(rig->b.flight_n, 4);
    /* One of them comes back early and, by a device that lies, as good. */
    struct milgi_op *early = side_pull(&rig->b, 1);
    struct milgi_chunk *chunk = milgi_chunk_ref(early->u.aead.dst_chunk);
    uint8_t *seen = early->u.aead.dst;
    uint32_t len = early->u.aead.dst_len;
    memset(seen, 0x77, len);
    early->status = MILGI_OP_OK;
    milgi__record_opened(&rig->b.rec, early);
    assert_null(early->u.aead.dst_chunk);
    side_end(&rig->b, early);
    rig_receive(rig);
    assert_int_equal(rig->messages, 0);
    side_finish(&rig->b, 0, MILGI_OP_OK); /* the KeyUpdate */
    rig_receive(rig);
    assert_int_equal(rig->messages, 1);
    assert_int_equal(rig->b.rec.stale, 3);
    for (uint32_t i = 0; i < len; i++)
        assert_int_equal(seen[i], 0);
    milgi_chunk_unref(chunk);
    /* Another comes back late, also as good: it is nobody's, and is wiped too. */
    struct milgi_op *late = side_pull(&rig->b, 0);
    memset(late->u.aead.dst, 0x77, late->u.aead.dst_len);
    late->status = MILGI_OP_OK;
    milgi__record_opened(&rig->b.rec, late);
    assert_non_null(late->u.aead.dst_chunk);
    for (uint32_t i = 0; i < late->u.aead.dst_len; i++)
        assert_int_equal(late->u.aead.dst[i], 0);
    side_end(&rig->b, late);
    rig_receive_all(rig);
    check_delivered(rig, 3, 0);
    rig_free(rig);
}

static void a_rejection_behind_a_key_update_is_not_judged(void **state)
{
    (void)state;
    struct rig *rig = rig_new(4, 16384, POOL);
    rig->a.inline_mask = UINT64_MAX;
    rig_protect(rig);
    queue(rig, 3, 1);
    rig_send(rig);
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    side_finish(&rig->b, 3, MILGI_OP_OK); /* under the old key: rejected */
    side_finish(&rig->b, 2, MILGI_OP_OK);
    rig_receive(rig);
    assert_int_equal(rig->alert, -1);
    rig_receive_all(rig);
    assert_int_equal(rig->alert, -1);
    check_delivered(rig, 3, 1);
    rig_free(rig);
}

static void the_window_restarts_at_one_and_doubles_with_each_clean_window(void **state)
{
    (void)state;
    struct rig *rig = rig_new(8, 16384, POOL);
    rig->a.inline_mask = UINT64_MAX;
    rig_protect(rig);
    assert_int_equal(rig->b.rec.in.window, 8);
    queue(rig, 30, 0);
    rig_send(rig);
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    assert_int_equal(rig->b.flight_n, 8);
    side_finish(&rig->b, 0, MILGI_OP_OK);
    rig_receive(rig);
    static const unsigned windows[] = { 1, 2, 2, 4, 4, 4, 4, 8, 8 };
    for (unsigned i = 0; i < MILGI__COUNT(windows); i++) {
        assert_int_equal(rig->b.rec.in.window, windows[i]);
        while (rig->messages < i + 2) {
            side_finish(&rig->b, 0, MILGI_OP_OK);
            rig_receive(rig);
        }
    }
    rig_receive_all(rig);
    check_delivered(rig, 30, 0);
    assert_int_equal(rig->b.rec.stale, 7);
    rig_free(rig);
}

static void a_key_update_with_nothing_opened_behind_it_costs_no_window(void **state)
{
    (void)state;
    struct rig *rig = rig_new(8, 16384, POOL);
    rig->a.inline_mask = rig->b.inline_mask = UINT64_MAX;
    rig_protect(rig);
    queue(rig, 4, 2);
    rig_send(rig);
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    check_delivered(rig, 4, 2);
    assert_int_equal(rig->b.rec.in.window, 8);
    assert_int_equal(rig->b.rec.stale, 0);
    rig_free(rig);
}

static void nothing_is_opened_ahead_before_it_may_be(void **state)
{
    (void)state;
    struct rig *rig = rig_new(8, 16384, POOL);
    rig->a.inline_mask = UINT64_MAX;
    side_write_key(&rig->a);
    side_read_key(&rig->b);
    queue(rig, 5, 2);
    rig_send(rig);
    rig_feed(rig, rig->wire_len);
    while (rig_receive(rig) || rig->b.flight_n > 0) {
        assert_true(rig->b.flight_n <= 1);
        if (rig->b.flight_n > 0)
            side_finish(&rig->b, 0, MILGI_OP_OK);
    }
    check_delivered(rig, 5, 2);
    assert_int_equal(rig->b.rec.stale, 0);
    rig_free(rig);
}

/* --- sealing ---------------------------------------------------------------------------------------------------- */

/* The wire as an inline device makes it. */
static size_t reference(unsigned n, int update, uint8_t *wire)
{
    struct rig *rig = rig_new(8, 16384, POOL);
    rig->a.inline_mask = UINT64_MAX;
    rig_protect(rig);
    queue(rig, n, update);
    rig_send(rig);
    size_t len = rig->wire_len;
    memcpy(wire, rig->wire, len);
    rig_free(rig);
    return len;
}

static void the_wire_is_the_same_whatever_order_seals_end_in(void **state)
{
    (void)state;
    static uint8_t want[4096];
    for (unsigned window = 1; window <= 5; window++)
        for (int update = -1; update <= 5; update++) {
            size_t len = reference(5, update, want);
            first_way();
            do {
                struct rig *rig = rig_new(window, 16384, POOL);
                rig->a.inline_mask = choose(3) * UINT64_C(0x5) >> 1; /* none, some at first, others */
                rig_protect(rig);
                queue(rig, 5, update);
                do {
                    side_seal(&rig->a);
                    if (rig->a.flight_n > 0)
                        side_finish(&rig->a, choose(rig->a.flight_n), MILGI_OP_OK);
                    rig_take(rig);
                } while (milgi__record_out_busy(&rig->a.rec));
                assert_int_equal(rig->wire_len, len);
                assert_memory_equal(rig->wire, want, len);
                rig_free(rig);
            } while (next_way());
        }
}

static void a_seal_that_fails_ends_the_direction_at_its_place(void **state)
{
    (void)state;
    static const enum milgi_op_status statuses[] = {
        MILGI_OP_BROKEN, MILGI_OP_CANCELLED, MILGI_OP_LOST, MILGI_OP_REJECTED
    };
    static uint8_t want[4096];
    reference(5, -1, want);
    for (unsigned i = 0; i < MILGI__COUNT(statuses); i++)
        for (unsigned bad = 0; bad < 5; bad++) {
            struct rig *rig = rig_new(8, 16384, POOL);
            rig_protect(rig);
            queue(rig, 5, -1);
            side_seal(&rig->a);
            assert_int_equal(rig->a.flight_n, 5);
            side_finish(&rig->a, bad, statuses[i]);
            assert_true(milgi__record_send_broken(&rig->a.rec));
            while (rig->a.flight_n > 0)
                side_finish(&rig->a, rig->a.flight_n - 1, MILGI_OP_OK);
            rig_take(rig);
            size_t len = 0;
            for (unsigned k = 0; k < bad; k++)
                len += 5 + milgi__get16(want + len + 3);
            assert_int_equal(rig->wire_len, len);
            assert_memory_equal(rig->wire, want, len);
            write_pattern(&rig->a, MILGI__ALERT, 2, 1);
            struct milgi_op *op;
            assert_int_equal(milgi__record_seal(&rig->a.rec, &op), MILGI__START_FAILED);
            rig_free(rig);
        }
}

/* A lost seal is run again into a chunk of its own, while the first device still writes to the first one. */
static void a_seal_that_was_run_again_elsewhere_is_sent_from_there(void **state)
{
    (void)state;
    static uint8_t want[4096];
    size_t len = reference(3, -1, want);
    struct rig *rig = rig_new(8, 16384, POOL);
    rig_protect(rig);
    queue(rig, 3, -1);
    side_seal(&rig->a);
    struct milgi_op *op = rig->a.flight[1];
    struct milgi_chunk *first = op->u.aead.dst_chunk;
    uint8_t *first_dst = op->u.aead.dst;
    op->u.aead.dst_chunk = milgi__chunk_alloc(rig->pool, op->u.aead.dst_len, 0, true);
    op->u.aead.dst = milgi_chunk_data(op->u.aead.dst_chunk);
    uint32_t dst_len = op->u.aead.dst_len;
    while (rig->a.flight_n > 0)
        side_finish(&rig->a, rig->a.flight_n - 1, MILGI_OP_OK);
    memset(first_dst, 0xee, dst_len);
    rig_take(rig);
    milgi_chunk_unref(first);
    assert_int_equal(rig->wire_len, len);
    assert_memory_equal(rig->wire, want, len);
    rig_free(rig);
}

static void an_open_that_was_run_again_elsewhere_is_delivered_from_there(void **state)
{
    (void)state;
    struct rig *rig = rig_new(4, 16384, POOL);
    rig->a.inline_mask = UINT64_MAX;
    rig_protect(rig);
    queue(rig, 3, -1);
    rig_send(rig);
    rig_feed(rig, rig->wire_len);
    rig_receive(rig);
    struct milgi_op *op = rig->b.flight[1];
    struct milgi_chunk *first = op->u.aead.dst_chunk;
    uint8_t *first_dst = op->u.aead.dst;
    uint32_t len = op->u.aead.dst_len;
    op->u.aead.dst_chunk = milgi__chunk_alloc(rig->pool, len + 16, 0, true);
    op->u.aead.dst = milgi_chunk_data(op->u.aead.dst_chunk) + 16;
    side_finish(&rig->b, 1, MILGI_OP_OK);
    memset(first_dst, 0xee, len);
    milgi_chunk_unref(first);
    rig_receive_all(rig);
    check_delivered(rig, 3, -1);
    rig_free(rig);
}

/* --- at random -------------------------------------------------------------------------------------------------- */

static uint64_t seed;

static unsigned rnd(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static void random_order(uint64_t start)
{
    seed = start;
    struct rig *rig = rig_new(1 + rnd(16), 64 + rnd(600), POOL);
    struct side *a = &rig->a, *b = &rig->b;
    uint8_t sent[8192], got[8192];
    size_t sent_len = 0;
    a->inline_mask = rnd(3) ? (uint64_t)rnd(1u << 30) << rnd(34) : UINT64_MAX;
    b->inline_mask = rnd(3) ? (uint64_t)rnd(1u << 30) << rnd(34) : UINT64_MAX;
    rig_protect(rig);
    for (unsigned step = 0; step < 200; step++) {
        size_t len = 1 + rnd(300);
        a->pad = rnd(4) ? 0 : rnd(100);
        switch (rnd(9)) {
        case 0:
            if (a->epoch < EPOCHS)
                rig_key_update(rig, rnd(3) == 0);
            break;
        case 1:
        case 2:
            if (sent_len + len > sizeof sent)
                break;
            pattern(sent + sent_len, len, step);
            write_pattern(a, MILGI__DATA, len, step);
            sent_len += len;
            break;
        case 3:
            len += 500;
            if (sent_len + len > sizeof sent)
                break;
            pattern(sent + sent_len, len, step);
            assert_int_equal(milgi__record_push(&a->rec, MILGI__DATA, rig_slice(rig, sent + sent_len, len)), 0);
            sent_len += len;
            break;
        case 4: side_seal(a); break;
        case 5:
            if (a->flight_n > 0)
                side_finish(a, rnd(a->flight_n), MILGI_OP_OK);
            rig_take(rig);
            break;
        case 6:
            if (rig->wire_len > rig->wire_fed)
                rig_feed(rig, 1 + rnd((unsigned)(rig->wire_len - rig->wire_fed)));
            break;
        case 7: rig_receive(rig); break;
        default:
            if (b->flight_n > 0)
                side_finish(b, rnd(b->flight_n), MILGI_OP_OK);
            break;
        }
    }
    rig_send(rig);
    if (rig->wire_len > rig->wire_fed)
        rig_feed(rig, rig->wire_len - rig->wire_fed);
    rig_receive_all(rig);
    assert_int_equal(rig->alert, -1);
    assert_int_equal(rig_data(rig, got, sizeof got), sent_len);
    assert_memory_equal(got, sent, sent_len);
    assert_int_equal(a->epoch, b->epoch);
    rig_free(rig);
}

static void random_orders_routes_lengths_and_key_updates_deliver_what_was_sent(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= 3000; i++)
        random_order(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_delivered_in_order_whatever_order_their_opens_end_in),
        cmocka_unit_test(records_opened_ahead_of_a_key_update_are_opened_again_in_every_order),
        cmocka_unit_test(routes_mixed_in_one_window_deliver_the_same),
        cmocka_unit_test(a_record_that_fails_stops_all_behind_it_in_every_order),
        cmocka_unit_test(a_device_that_fails_is_told_in_its_turn),
        cmocka_unit_test(a_lost_op_is_known_by_its_identity_alone),
        cmocka_unit_test(what_was_opened_with_the_old_key_is_wiped_and_counted),
        cmocka_unit_test(a_rejection_behind_a_key_update_is_not_judged),
        cmocka_unit_test(the_window_restarts_at_one_and_doubles_with_each_clean_window),
        cmocka_unit_test(a_key_update_with_nothing_opened_behind_it_costs_no_window),
        cmocka_unit_test(nothing_is_opened_ahead_before_it_may_be),
        cmocka_unit_test(the_wire_is_the_same_whatever_order_seals_end_in),
        cmocka_unit_test(a_seal_that_fails_ends_the_direction_at_its_place),
        cmocka_unit_test(a_seal_that_was_run_again_elsewhere_is_sent_from_there),
        cmocka_unit_test(an_open_that_was_run_again_elsewhere_is_delivered_from_there),
        cmocka_unit_test(random_orders_routes_lengths_and_key_updates_deliver_what_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
