/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of a device's slabs: none overlaps another, whatever was taken and given back before, and slabs go back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "buf/region.h"

#define PIECES 400
#define ROUNDS 20000

static unsigned slabs, slabs_max;

static void *slab_alloc(void *ctx, size_t size)
{
    (void)ctx;
    assert_int_equal(size, MILGI_MEMORY_SLAB);
    return slabs < slabs_max ? (slabs++, malloc(size)) : NULL;
}

static void slab_free(void *ctx, void *p, size_t size)
{
    (void)ctx;
    (void)size;
    slabs--;
    free(p);
}

static struct piece {
    uint8_t *p;
    struct milgi__slab *slab;
    size_t size;
    uint8_t mark;
} pieces[PIECES];

static struct milgi__region region_of(unsigned most)
{
    slabs = 0;
    slabs_max = most;
    return (struct milgi__region){ .memory = { .alloc = slab_alloc, .free = slab_free } };
}

static void give_back(struct milgi__region *region, struct piece *piece)
{
    size_t others = 0;
    for (size_t i = 0; i < piece->size; i++)
        others += piece->p[i] != piece->mark;
    assert_int_equal(others, 0);
    milgi__region_free(region, piece->slab, piece->p, piece->size);
    piece->p = NULL;
}

static bool take(struct milgi__region *region, struct piece *piece, size_t size, uint8_t mark)
{
    *piece = (struct piece){ .size = size, .mark = mark };
    piece->p = milgi__region_alloc(region, size, &piece->slab);
    if (piece->p)
        memset(piece->p, mark, size);
    return piece->p != NULL;
}

static void pieces_never_overlap(void **state)
{
    static const size_t sizes[] = { 1, 512, 513, 2048, 4096, 18 << 10, 68 << 10, MILGI__REGION_MAX };
    struct milgi__region region = region_of(2);
    uint64_t random = 88172645463325252u;
    unsigned taken = 0, refused = 0;
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        struct piece *piece = &pieces[random % PIECES];
        if (piece->p)
            give_back(&region, piece);
        else if (take(&region, piece, sizes[random >> 32 & 7], (uint8_t)round))
            taken++;
        else
            refused++;
    }
    assert_true(taken > ROUNDS / 4 && refused > 0); /* it was full, too */
    for (unsigned i = 0; i < PIECES; i++) {
        if (pieces[i].p)
            give_back(&region, &pieces[i]);
    }
    assert_int_equal(slabs, 0);
}

static void a_slab_is_filled_to_its_last_unit(void **state)
{
    enum {
        N = MILGI_MEMORY_SLAB / MILGI__REGION_UNIT
    };
    struct milgi__region region = region_of(1);
    static struct piece all[N];
    struct piece more;
    (void)state;
    for (unsigned i = 0; i < N; i++)
        assert_true(take(&region, &all[i], MILGI__REGION_UNIT, (uint8_t)i));
    assert_false(take(&region, &more, 1, 0));
    /* A hole of two units takes two, not three. */
    give_back(&region, &all[100]);
    give_back(&region, &all[101]);
    assert_false(take(&region, &more, 3 * MILGI__REGION_UNIT, 0));
    assert_true(take(&region, &more, 2 * MILGI__REGION_UNIT, 7));
    give_back(&region, &more);
    for (unsigned i = 0; i < N; i++) {
        if (all[i].p)
            give_back(&region, &all[i]);
    }
    assert_int_equal(slabs, 0);
}

static void a_hole_for_a_large_piece_is_exactly_as_long(void **state)
{
    enum {
        UNITS = 16,
        N = MILGI_MEMORY_SLAB / MILGI__REGION_UNIT / UNITS
    };
    struct milgi__region region = region_of(1);
    static struct piece all[N];
    struct piece more;
    (void)state;
    for (unsigned i = 0; i < N; i++)
        assert_true(take(&region, &all[i], (size_t)UNITS * MILGI__REGION_UNIT, (uint8_t)i));
    give_back(&region, &all[N / 2]);
    assert_false(take(&region, &more, (size_t)(UNITS + 1) * MILGI__REGION_UNIT, 0));
    assert_true(take(&region, &more, (size_t)UNITS * MILGI__REGION_UNIT, 3));
    give_back(&region, &more);
    for (unsigned i = 0; i < N; i++) {
        if (all[i].p)
            give_back(&region, &all[i]);
    }
    assert_int_equal(slabs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_never_overlap),
        cmocka_unit_test(a_slab_is_filled_to_its_last_unit),
        cmocka_unit_test(a_hole_for_a_large_piece_is_exactly_as_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
