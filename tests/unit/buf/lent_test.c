/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks of memory that is somebody else's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf/buf.h"

#define KIB 1024u

static struct milgi__pool *pool_of(size_t limit)
{
    struct milgi__pool *pool = milgi__pool_new(&(struct milgi__pool_options){ .limit = limit });
    assert_non_null(pool);
    return pool;
}

static void count_release(void *arg)
{
    ++*(unsigned *)arg;
}

static void lent_memory_goes_back_with_the_last_reference_and_counts_for_nothing(void **state)
{
    (void)state;
    uint8_t memory[600];
    unsigned released = 0;
    struct milgi__pool *pool = pool_of(64 * KIB);
    struct milgi_chunk *chunk = milgi__chunk_lend(pool, memory, sizeof memory, count_release, &released);
    assert_non_null(chunk);
    assert_ptr_equal(milgi_chunk_data(chunk), memory);
    assert_int_equal(milgi_chunk_size(chunk), sizeof memory);
    assert_int_equal(milgi__pool_used(pool), 0);
    milgi_chunk_ref(chunk);
    milgi_chunk_unref(chunk);
    assert_int_equal(released, 0);
    milgi_chunk_release_remote(chunk);
    assert_int_equal(released, 0);
    milgi__pool_collect(pool);
    assert_int_equal(released, 1);
    milgi__pool_close(pool);
}

static void plaintext_in_lent_memory_is_wiped_before_it_goes_back(void **state)
{
    (void)state;
    uint8_t memory[600];
    unsigned released = 0;
    struct milgi__pool *pool = pool_of(64 * KIB);
    memset(memory, 0x5e, sizeof memory);
    struct milgi_chunk *chunk = milgi__chunk_lend(pool, memory, sizeof memory, count_release, &released);
    milgi__chunk_taint(chunk, 500, 7);
    milgi_chunk_unref(chunk);
    assert_int_equal(released, 1);
    for (unsigned i = 0; i < sizeof memory; i++)
        assert_int_equal(memory[i], i < 500 ? 0 : 0x5e);
    milgi__pool_close(pool);
}

static void lent_memory_outlives_its_pool(void **state)
{
    (void)state;
    uint8_t memory[600];
    unsigned released = 0;
    struct milgi__pool *pool = pool_of(64 * KIB);
    struct milgi_chunk *chunk = milgi__chunk_lend(pool, memory, sizeof memory, count_release, &released);
    milgi__pool_close(pool);
    assert_int_equal(released, 0);
    milgi_chunk_unref(chunk);
    assert_int_equal(released, 1);
}

static void a_few_bytes_do_not_keep_lent_memory(void **state)
{
    (void)state;
    uint8_t memory[2048];
    unsigned released = 0;
    struct milgi__pool *pool = pool_of(64 * KIB);
    memset(memory, 3, sizeof memory);
    struct milgi_chunk *chunk = milgi__chunk_lend(pool, memory, sizeof memory, count_release, &released);
    struct milgi_slice slice = { chunk, memory + 7, 100 }, kept;
    assert_int_equal(milgi_slice_keep(&slice, &kept), 0);
    assert_ptr_not_equal(kept.chunk, chunk);
    milgi_chunk_unref(chunk);
    assert_int_equal(released, 1);
    assert_memory_equal(kept.data, memory + 7, 100);
    milgi_chunk_unref(kept.chunk);
    milgi__pool_close(pool);
}

static void *alloc(void *ctx, size_t size)
{
    (void)size;
    return ctx;
}

static void give(void *ctx, void *p, size_t size)
{
    (void)ctx, (void)p, (void)size;
}

static void nothing_is_lent_where_chunks_are_a_devices(void **state)
{
    (void)state;
    static uint8_t memory[600];
    unsigned released = 0;
    static uint8_t slab[MILGI_MEMORY_SLAB];
    struct milgi__memory device = { alloc, give, slab };
    struct milgi__pool *pool = pool_of(1 << 20);
    struct milgi_chunk *before = milgi__chunk_lend(pool, memory, sizeof memory, count_release, &released);
    assert_int_equal(milgi__pool_use_memory(pool, &device), MILGI_EBUSY); /* the device would not reach it */
    milgi_chunk_unref(before);
    assert_int_equal(released, 1);
    assert_int_equal(milgi__pool_use_memory(pool, &device), 0);
    assert_null(milgi__chunk_lend(pool, memory, sizeof memory, count_release, &released));
    milgi__pool_close(pool);
    assert_int_equal(released, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lent_memory_goes_back_with_the_last_reference_and_counts_for_nothing),
        cmocka_unit_test(plaintext_in_lent_memory_is_wiped_before_it_goes_back),
        cmocka_unit_test(lent_memory_outlives_its_pool),
        cmocka_unit_test(a_few_bytes_do_not_keep_lent_memory),
        cmocka_unit_test(nothing_is_lent_where_chunks_are_a_devices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
