/* SPDX-License-Identifier: Apache-2.0 */
/* Queues of slices: what goes in comes out, with its references. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf/buf.h"

static struct milgi__pool *pool;

static int setup(void **state)
{
    (void)state;
    pool = milgi__pool_new(&(struct milgi__pool_options){ .limit = 16 << 20 });
    return pool ? 0 : -1;
}

/* Every test ends with all chunks given back. */
static int teardown(void **state)
{
    (void)state;
    size_t used = milgi__pool_used(pool);
    milgi__pool_close(pool);
    return used == 0 ? 0 : -1;
}

static struct milgi_slice slice_of(const char *text)
{
    struct milgi_chunk *chunk = milgi__chunk_alloc(pool, 100, 1, false);
    size_t len = strlen(text);
    memcpy(chunk->data + 7, text, len);
    return (struct milgi_slice){ chunk, chunk->data + 7, (uint32_t)len };
}

static void push(struct milgi__bufq *q, const char *text)
{
    assert_int_equal(milgi__bufq_push(q, slice_of(text)), 0);
}

static void bytes_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct milgi__bufq q = { 0 };
    char out[16] = { 0 };
    push(&q, "abc");
    push(&q, "d");
    push(&q, "efgh");
    assert_int_equal(q.len, 8);
    milgi__bufq_read(&q, out, 2);
    milgi__bufq_read(&q, out + 2, 3);
    assert_int_equal(q.len, 3);
    push(&q, "ij");
    milgi__bufq_read(&q, out + 5, 5);
    assert_string_equal(out, "abcdefghij");
    assert_int_equal(q.len, 0);
    assert_non_null(q.ring); /* until it is cleared */
    milgi__bufq_clear(&q, pool);
    assert_null(q.ring);
}

static void peek_looks_anywhere_and_takes_nothing(void **state)
{
    (void)state;
    struct milgi__bufq q = { 0 };
    char out[8] = { 0 };
    push(&q, "abc");
    push(&q, "defg");
    assert_true(milgi__bufq_peek(&q, 0, out, 7));
    assert_string_equal(out, "abcdefg");
    memset(out, 0, sizeof out);
    assert_true(milgi__bufq_peek(&q, 2, out, 3));
    assert_string_equal(out, "cde");
    assert_true(milgi__bufq_peek(&q, 3, out, 4));
    assert_true(milgi__bufq_peek(&q, 7, out, 0));
    assert_false(milgi__bufq_peek(&q, 7, out, 1));
    assert_false(milgi__bufq_peek(&q, 8, out, 0));
    assert_false(milgi__bufq_peek(&q, 0, out, 8));
    assert_int_equal(q.len, 7);
    milgi__bufq_clear(&q, pool);
    assert_false(milgi__bufq_peek(&q, 0, out, 1));
}

static void empty_slice_is_let_go_at_once(void **state)
{
    (void)state;
    struct milgi__bufq q = { 0 };
    push(&q, "");
    assert_int_equal(q.n, 0);
    assert_null(q.ring);
    assert_int_equal(milgi__pool_used(pool), 0);
}

static void taken_slices_carry_references_of_their_own(void **state)
{
    (void)state;
    struct milgi__bufq q = { 0 };
    struct milgi_slice out[3];
    push(&q, "abc");
    push(&q, "defg");
    struct milgi_chunk *second = q.ring[1].chunk;
    assert_int_equal(milgi__bufq_take(&q, 5, out, 3), 2);
    assert_int_equal(out[0].len, 3);
    assert_memory_equal(out[0].data, "abc", 3);
    assert_int_equal(out[1].len, 2);
    assert_memory_equal(out[1].data, "de", 2);
    assert_int_equal(q.len, 2);
    assert_int_equal(second->refs, 2);
    milgi_chunk_unref(out[0].chunk);
    milgi_chunk_unref(out[1].chunk);
    assert_int_equal(milgi__bufq_take(&q, 2, out, 1), 1);
    assert_memory_equal(out[0].data, "fg", 2);
    assert_int_equal(second->refs, 1);
    milgi_chunk_unref(out[0].chunk);
    milgi__bufq_clear(&q, pool);
}

static void taking_more_pieces_than_there_is_room_for_takes_nothing(void **state)
{
    (void)state;
    struct milgi__bufq q = { 0 };
    struct milgi_slice out[2];
    push(&q, "a");
    push(&q, "b");
    push(&q, "c");
    assert_int_equal(milgi__bufq_take(&q, 3, out, 2), 0);
    assert_int_equal(milgi__bufq_take(&q, 4, out, 2), 0);
    assert_int_equal(q.len, 3);
    assert_int_equal(q.n, 3);
    assert_int_equal(milgi__bufq_take(&q, 2, out, 2), 2);
    milgi_chunk_unref(out[0].chunk);
    milgi_chunk_unref(out[1].chunk);
    milgi__bufq_clear(&q, pool);
    milgi__bufq_clear(&q, pool);
}

static void ring_grows_while_it_is_wrapped(void **state)
{
    (void)state;
    struct milgi__bufq q = { 0 };
    uint8_t in = 0, out = 0, got;
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 5; i++) {
            char text[2] = { (char)('a' + in++ % 26), 0 };
            push(&q, text);
        }
        for (int i = 0; i < 3; i++) {
            milgi__bufq_read(&q, &got, 1);
            assert_int_equal(got, 'a' + out++ % 26);
        }
    }
    while (q.len > 0) {
        milgi__bufq_read(&q, &got, 1);
        assert_int_equal(got, 'a' + out++ % 26);
    }
    assert_int_equal(in, out);
    milgi__bufq_clear(&q, pool);
}

static bool always(void)
{
    return true;
}

static void refused_push_leaves_the_reference_with_its_caller(void **state)
{
    (void)state;
    struct milgi__bufq q = { 0 };
    struct milgi_slice slice = slice_of("x");
    milgi__mem_fail = always;
    assert_int_equal(milgi__bufq_push(&q, slice), MILGI_ENOMEM);
    milgi__mem_fail = NULL;
    assert_int_equal(slice.chunk->refs, 1);
    assert_int_equal(q.len, 0);
    milgi_chunk_unref(slice.chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_come_out_as_they_went_in, setup, teardown),
        cmocka_unit_test_setup_teardown(peek_looks_anywhere_and_takes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(empty_slice_is_let_go_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(taken_slices_carry_references_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(taking_more_pieces_than_there_is_room_for_takes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(ring_grows_while_it_is_wrapped, setup, teardown),
        cmocka_unit_test_setup_teardown(refused_push_leaves_the_reference_with_its_caller, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
