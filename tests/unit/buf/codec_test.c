/* SPDX-License-Identifier: Apache-2.0 */
/* Readers and writers of the wire, at and beyond their ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf/codec.h"

static const uint8_t bytes[] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0xff };

static void integers_are_read_in_network_order(void **state)
{
    (void)state;
    struct milgi__reader r = milgi__reader(bytes, sizeof bytes);
    assert_int_equal(milgi__read8(&r), 0x01);
    assert_int_equal(milgi__read16(&r), 0x0203);
    assert_int_equal(milgi__read24(&r), 0x040506);
    assert_int_equal(milgi__read32(&r), 0x0708090a);
    assert_false(milgi__reader_done(&r));
    assert_int_equal(milgi__left(&r), 1);
    assert_int_equal(*milgi__read_bytes(&r, 1), 0xff);
    assert_true(milgi__reader_done(&r));
}

static void large_integers_keep_their_top_bit(void **state)
{
    (void)state;
    static const uint8_t ones[] = { 0xff, 0xff, 0xff, 0xff };
    struct milgi__reader r = milgi__reader(ones, 4);
    assert_int_equal(milgi__read32(&r), 0xffffffff);
}

static void overrun_poisons_the_reader_for_good(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 5; kind++) {
        struct milgi__reader r = milgi__reader(bytes, 0);
        switch (kind) {
        case 0: assert_int_equal(milgi__read8(&r), 0); break;
        case 1: assert_int_equal((r = milgi__reader(bytes, 1), milgi__read16(&r)), 0); break;
        case 2: assert_int_equal((r = milgi__reader(bytes, 2), milgi__read24(&r)), 0); break;
        case 3: assert_int_equal((r = milgi__reader(bytes, 3), milgi__read32(&r)), 0); break;
        default: assert_null((r = milgi__reader(bytes, 4), milgi__read_bytes(&r, 5))); break;
        }
        assert_true(r.bad);
        assert_int_equal(milgi__left(&r), 0); /* what was there before is not read either */
        assert_int_equal(milgi__read8(&r), 0);
        assert_null(milgi__read_bytes(&r, 0));
        assert_false(milgi__reader_done(&r));
    }
}

static void nothing_can_be_read_from_nothing(void **state)
{
    (void)state;
    struct milgi__reader r = milgi__reader(NULL, 0);
    assert_true(milgi__reader_done(&r));
    milgi__read_bytes(&r, 0);
    assert_true(milgi__reader_done(&r));
    assert_int_equal(milgi__read8(&r), 0);
    assert_true(r.bad);
}

static void vector_is_a_reader_of_its_own(void **state)
{
    (void)state;
    static const uint8_t in[] = { 0, 0, 3, 2, 0xaa, 0xbb, 0x77 };
    struct milgi__reader r = milgi__reader(in, sizeof in);
    struct milgi__reader outer = milgi__read_vec(&r, 3, 1, 100);
    struct milgi__reader inner = milgi__read_vec(&outer, 1, 0, 255);
    assert_int_equal(milgi__read16(&inner), 0xaabb);
    assert_true(milgi__reader_done(&inner));
    assert_true(milgi__reader_done(&outer));
    assert_int_equal(milgi__read8(&inner), 0);
    assert_true(inner.bad);
    assert_false(outer.bad); /* an overrun inside is the inside's */
    assert_int_equal(milgi__read8(&r), 0x77);
    assert_true(milgi__reader_done(&r));
}

static void vector_out_of_its_bounds_or_cut_off_is_refused(void **state)
{
    (void)state;
    static const uint8_t in[] = { 0, 3, 1, 2, 3 };
    static const struct {
        size_t given, min, max;
        bool good;
    } cases[] = { { 5, 3, 3, true }, { 5, 4, 10, false }, { 5, 0, 2, false }, { 4, 0, 10, false }, { 1, 0, 10, false },
        { 0, 0, 10, false } };
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        struct milgi__reader r = milgi__reader(in, cases[i].given);
        struct milgi__reader v = milgi__read_vec(&r, 2, cases[i].min, cases[i].max);
        assert_int_equal(v.bad, !cases[i].good);
        assert_int_equal(r.bad, !cases[i].good);
        assert_int_equal(milgi__left(&v), cases[i].good ? 3 : 0);
    }
}

static void what_is_written_can_be_read(void **state)
{
    (void)state;
    uint8_t out[64];
    struct milgi__writer w = milgi__writer(out, sizeof out);
    milgi__write8(&w, 0xab);
    milgi__write16(&w, 0x1234);
    milgi__write24(&w, 0xfedcba);
    milgi__write32(&w, 0x89abcdef);
    size_t outer = milgi__write_begin(&w, 2);
    size_t inner = milgi__write_begin(&w, 1);
    milgi__write_bytes(&w, "xyz", 3);
    milgi__write_bytes(&w, NULL, 0);
    milgi__write_end(&w, inner, 1);
    milgi__write_end(&w, outer, 2);
    assert_false(w.bad);
    struct milgi__reader r = milgi__reader(out, milgi__written(&w));
    assert_int_equal(milgi__read8(&r), 0xab);
    assert_int_equal(milgi__read16(&r), 0x1234);
    assert_int_equal(milgi__read24(&r), 0xfedcba);
    assert_int_equal(milgi__read32(&r), 0x89abcdef);
    struct milgi__reader v = milgi__read_vec(&r, 2, 4, 4);
    struct milgi__reader text = milgi__read_vec(&v, 1, 3, 3);
    assert_memory_equal(milgi__read_bytes(&text, 3), "xyz", 3);
    assert_true(milgi__reader_done(&r));
}

static void full_writer_writes_nothing_more(void **state)
{
    (void)state;
    uint8_t out[5] = { 0, 0, 0, 0, 0x77 };
    struct milgi__writer w = milgi__writer(out, 4);
    milgi__write16(&w, 0x0102);
    milgi__write24(&w, 0x030405);
    assert_true(w.bad);
    milgi__write8(&w, 9); /* there would be room for it */
    milgi__write_bytes(&w, "a", 1);
    size_t mark = milgi__write_begin(&w, 1);
    milgi__write_end(&w, mark, 1);
    assert_int_equal(milgi__written(&w), 2);
    static const uint8_t want[5] = { 1, 2, 0, 0, 0x77 };
    assert_memory_equal(out, want, sizeof want);
}

static void writer_takes_exactly_what_fits(void **state)
{
    (void)state;
    uint8_t out[3];
    struct milgi__writer w = milgi__writer(out, sizeof out);
    milgi__write_bytes(&w, "abc", 3);
    assert_false(w.bad);
    milgi__write_bytes(&w, NULL, 0);
    assert_false(w.bad);
    milgi__write8(&w, 0);
    assert_true(w.bad);
}

static void vector_too_long_for_its_length_poisons_the_writer(void **state)
{
    (void)state;
    static uint8_t out[70000], content[66000];
    static const struct {
        unsigned len_bytes;
        size_t len;
        bool good;
    } cases[] = { { 1, 255, true }, { 1, 256, false }, { 2, 65535, true }, { 2, 65536, false }, { 3, 65536, true } };
    for (size_t i = 0; i < MILGI__COUNT(cases); i++) {
        struct milgi__writer w = milgi__writer(out, sizeof out);
        size_t mark = milgi__write_begin(&w, cases[i].len_bytes);
        milgi__write_bytes(&w, content, cases[i].len);
        milgi__write_end(&w, mark, cases[i].len_bytes);
        assert_int_equal(w.bad, !cases[i].good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_in_network_order),
        cmocka_unit_test(large_integers_keep_their_top_bit),
        cmocka_unit_test(overrun_poisons_the_reader_for_good),
        cmocka_unit_test(nothing_can_be_read_from_nothing),
        cmocka_unit_test(vector_is_a_reader_of_its_own),
        cmocka_unit_test(vector_out_of_its_bounds_or_cut_off_is_refused),
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(full_writer_writes_nothing_more),
        cmocka_unit_test(writer_takes_exactly_what_fits),
        cmocka_unit_test(vector_too_long_for_its_length_poisons_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
