/* SPDX-License-Identifier: Apache-2.0 */
/* The chunk pool: sizes, references, limits, other threads, and wiping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "buf/buf.h"

#define KIB 1024u

static struct milgi__pool *pool_of(size_t limit)
{
    struct milgi__pool *pool = milgi__pool_new(&(struct milgi__pool_options){ .limit = limit });
    assert_non_null(pool);
    return pool;
}

static struct milgi_chunk *get(struct milgi__pool *pool, size_t size, uint64_t owner)
{
    struct milgi_chunk *chunk = milgi__chunk_alloc(pool, size, owner, false);
    assert_non_null(chunk);
    return chunk;
}

static void count_wake(void *ctx)
{
    atomic_fetch_add((_Atomic unsigned *)ctx, 1);
}

static bool holds_only(const struct milgi_chunk *chunk, size_t len, uint8_t byte)
{
    for (size_t i = 0; i < len; i++) {
        if (chunk->data[i] != byte)
            return false;
    }
    return true;
}

/* A chunk full of |owner|'s plaintext goes back to the pool; where it was. */
static struct milgi_chunk *leave_plaintext(struct milgi__pool *pool, size_t size, uint64_t owner)
{
    struct milgi_chunk *chunk = get(pool, size, owner);
    memset(chunk->data, 0x5e, chunk->size);
    milgi__chunk_taint(chunk, chunk->size, owner);
    milgi_chunk_unref(chunk);
    return chunk;
}

static void chunk_has_the_room_asked_for(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 512, 513, 2048, 2049, 4096, 4097, 16384 + 256 + 5, 18432, 18433, 65536 + 2048,
        69632, 69633, MILGI_CHUNK_MAX };
    struct milgi__pool *pool = pool_of(1 << 20);
    for (size_t i = 0; i < MILGI__COUNT(sizes); i++) {
        struct milgi_chunk *chunk = get(pool, sizes[i], 1);
        assert_true(milgi_chunk_size(chunk) >= sizes[i]);
        assert_int_equal((uintptr_t)milgi_chunk_data(chunk) % 16, 0);
        memset(milgi_chunk_data(chunk), 1, milgi_chunk_size(chunk));
        milgi_chunk_unref(chunk);
    }
    assert_null(milgi__chunk_alloc(pool, MILGI_CHUNK_MAX + 1, 1, true));
    assert_int_equal(milgi__pool_used(pool), 0);
    milgi__pool_close(pool);
}

static void released_chunk_is_used_again(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(1 << 20);
    struct milgi_chunk *first = get(pool, 2000, 1);
    milgi_chunk_ref(first);
    milgi_chunk_unref(first);
    assert_int_equal(milgi__pool_used(pool), 2048);
    milgi_chunk_unref(first);
    milgi_chunk_unref(NULL);
    assert_int_equal(milgi__pool_used(pool), 0);
    assert_ptr_equal(get(pool, 1000, 2), first);
    milgi_chunk_unref(first);
    milgi__pool_close(pool);
}

static void plaintext_is_wiped_before_another_owner_sees_the_chunk(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(1 << 20);
    struct milgi_chunk *left = leave_plaintext(pool, 4096, 1);
    struct milgi_chunk *chunk = get(pool, 4096, 2);
    assert_ptr_equal(chunk, left);
    assert_true(holds_only(chunk, chunk->size, 0));
    milgi_chunk_unref(chunk);
    milgi__pool_close(pool);
}

static void only_the_plaintext_is_wiped(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(1 << 20);
    struct milgi_chunk *chunk = get(pool, 4096, 1);
    memset(chunk->data, 0x5e, chunk->size);
    milgi__chunk_taint(chunk, 100, 1);
    milgi__chunk_taint(chunk, 50, 1); /* less than before: the hundred stay */
    milgi_chunk_unref(chunk);
    chunk = get(pool, 4096, 2);
    assert_true(holds_only(chunk, 100, 0));
    assert_int_equal(chunk->data[100], 0x5e);
    milgi_chunk_unref(chunk);
    milgi__pool_close(pool);
}

static void nobody_is_another_owner_too(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(1 << 20);
    leave_plaintext(pool, 512, 0);
    struct milgi_chunk *chunk = get(pool, 512, 0);
    assert_true(holds_only(chunk, chunk->size, 0));
    milgi_chunk_unref(chunk);
    milgi__pool_close(pool);
}

static void owner_gets_its_own_chunk_back_unwiped_and_others_a_clean_one(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(1 << 20);
    struct milgi_chunk *clean = get(pool, 4096, 3);
    struct milgi_chunk *own = leave_plaintext(pool, 4096, 1);
    milgi_chunk_unref(clean);
    struct milgi_chunk *again = get(pool, 4096, 1);
    assert_ptr_equal(again, own);
    assert_true(holds_only(own, own->size, 0x5e));
    milgi_chunk_unref(own);
    assert_ptr_equal(get(pool, 4096, 2), clean); /* rather than wiping */
    milgi_chunk_unref(clean);
    milgi__pool_close(pool);
}

static void limit_is_kept_and_the_reserve_lies_on_top(void **state)
{
    (void)state;
    struct milgi_chunk *chunk[8], *more[4];
    struct milgi__pool *pool = pool_of(4 * 128 * KIB);
    unsigned n = 0, m = 0;
    while ((chunk[n] = milgi__chunk_alloc(pool, 128 * KIB, 1, false)))
        n++;
    assert_int_equal(n, 4);
    while ((more[m] = milgi__chunk_alloc(pool, 128 * KIB, 1, true)))
        m++;
    assert_int_equal(m, 2); /* 256 KiB */
    assert_null(milgi__chunk_alloc(pool, 1, 1, false));
    assert_int_equal(milgi__pool_peak(pool), 6 * 128 * KIB);
    while (m > 0)
        milgi_chunk_unref(more[--m]);
    while (n > 0)
        milgi_chunk_unref(chunk[--n]);
    assert_int_equal(milgi__pool_used(pool), 0);
    assert_int_equal(milgi__pool_peak(pool), 6 * 128 * KIB);
    milgi__pool_close(pool);
}

static void recovery_is_told_once_and_only_when_what_was_refused_fits(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(128 * KIB);
    assert_false(milgi__pool_recovered(pool));
    struct milgi_chunk *large = get(pool, 68 * KIB, 1), *small = get(pool, 18 * KIB, 1);
    assert_null(milgi__chunk_alloc(pool, 68 * KIB, 1, false));
    milgi_chunk_unref(small);
    assert_false(milgi__pool_recovered(pool));
    milgi_chunk_unref(large);
    assert_true(milgi__pool_recovered(pool));
    assert_false(milgi__pool_recovered(pool));
    milgi__pool_close(pool);
}

/* Others are beyond the limit: who asks for nothing waits until they are not. */
static void room_for_nothing_that_was_refused_is_told_of_too(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(128 * KIB);
    struct milgi_chunk *all = get(pool, 128 * KIB, 1), *more = milgi__chunk_alloc(pool, 512, 1, true);
    assert_non_null(more);
    assert_false(milgi__pool_room(pool, 0));
    assert_false(milgi__pool_recovered(pool));
    milgi_chunk_unref(all);
    assert_true(milgi__pool_recovered(pool));
    assert_true(milgi__pool_room(pool, 0));
    milgi_chunk_unref(more);
    milgi__pool_close(pool);
}

static bool always(void)
{
    return true;
}

static void no_memory_is_a_refusal_like_the_limit(void **state)
{
    (void)state;
    milgi__mem_fail = always;
    assert_null(milgi__pool_new(&(struct milgi__pool_options){ .limit = 1 << 20 }));
    milgi__mem_fail = NULL;
    struct milgi__pool *pool = pool_of(1 << 20);
    milgi__mem_fail = always;
    assert_null(milgi__chunk_alloc(pool, 100, 1, true));
    milgi__mem_fail = NULL;
    assert_true(milgi__pool_recovered(pool));
    assert_int_equal(milgi__pool_used(pool), 0);
    milgi__pool_close(pool);
}

/* --- memory of a device ----------------------------------------------------------------------------------------- */

enum {
    SLABS_MAX = 16
};

/* Has |slabs| slabs, and finds out whether what comes back shows plaintext. */
struct device {
    unsigned slabs, out, allocs;
    bool saw_plaintext;
    void *slab[SLABS_MAX];
};

static void *device_alloc(void *ctx, size_t size)
{
    struct device *device = ctx;
    assert_int_equal(size, MILGI_MEMORY_SLAB);
    if (device->out == device->slabs)
        return NULL;
    device->allocs++;
    void *p = aligned_alloc(4096, size);
    assert_non_null(p);
    memset(p, 0, size);
    for (unsigned i = 0; i < SLABS_MAX; i++) {
        if (!device->slab[i]) {
            device->slab[i] = p;
            break;
        }
    }
    device->out++;
    return p;
}

static void device_free(void *ctx, void *p, size_t size)
{
    struct device *device = ctx;
    unsigned found = 0;
    for (size_t i = 0; i < size; i++)
        device->saw_plaintext = device->saw_plaintext || ((uint8_t *)p)[i] == 0x5e;
    for (unsigned i = 0; i < SLABS_MAX; i++) {
        if (device->slab[i] != p)
            continue;
        device->slab[i] = NULL;
        found++;
    }
    assert_int_equal(found, 1);
    device->out--;
    free(p);
}

static bool lies_in(const struct device *device, const struct milgi_chunk *chunk)
{
    for (unsigned i = 0; i < SLABS_MAX; i++) {
        const uint8_t *slab = device->slab[i];
        if (slab && chunk->data >= slab && chunk->data + chunk->size <= slab + MILGI_MEMORY_SLAB)
            return true;
    }
    return false;
}

static struct milgi__memory memory_of(struct device *device)
{
    return (struct milgi__memory){ device_alloc, device_free, device };
}

static struct milgi__pool *pool_of_device(struct device *device, size_t limit)
{
    struct milgi__pool *pool = pool_of(limit);
    struct milgi__memory memory = memory_of(device);
    assert_int_equal(milgi__pool_use_memory(pool, &memory), 0);
    return pool;
}

static void chunks_lie_in_the_memory_of_the_device(void **state)
{
    (void)state;
    static const size_t sizes[] = { 512, 2048, 4096, 18 * KIB, 68 * KIB, 128 * KIB };
    struct device device = { .slabs = 8 };
    struct milgi__pool *pool = pool_of_device(&device, 16 << 20);
    struct milgi_chunk *chunk[200];
    assert_int_equal(device.out, 1);
    for (size_t i = 0; i < MILGI__COUNT(chunk); i++) {
        chunk[i] = get(pool, sizes[i % MILGI__COUNT(sizes)], i);
        assert_true(lies_in(&device, chunk[i]));
        assert_int_equal((uintptr_t)chunk[i]->data % 64, 0);
        memset(chunk[i]->data, (int)i, chunk[i]->size);
    }
    /* None lies in another, and few slabs are enough. */
    for (size_t i = 0; i < MILGI__COUNT(chunk); i++)
        assert_true(holds_only(chunk[i], chunk[i]->size, (uint8_t)i));
    assert_int_equal(device.out, (milgi__pool_used(pool) + MILGI_MEMORY_SLAB - 1) / MILGI_MEMORY_SLAB);
    for (size_t i = 0; i < MILGI__COUNT(chunk); i++)
        milgi_chunk_unref(chunk[i]);
    milgi__pool_close(pool);
    assert_int_equal(device.out, 0);
}

static void slabs_that_run_empty_go_back(void **state)
{
    (void)state;
    struct device device = { .slabs = 8 };
    struct milgi__pool *pool = pool_of_device(&device, 16 << 20);
    struct milgi_chunk *chunk[64];
    for (unsigned i = 0; i < 64; i++)
        chunk[i] = get(pool, 128 * KIB, 1);
    assert_int_equal(device.out, 4);
    for (unsigned i = 0; i < 64; i += 2)
        milgi_chunk_unref(chunk[i]);
    while (milgi__pool_trim(pool, 1) || milgi__pool_idle(pool))
        ;
    assert_int_equal(device.out, 4); /* half of each is in use */
    for (unsigned i = 1; i < 64; i += 2)
        chunk[i / 2] = chunk[i];
    for (unsigned i = 0; i < 16; i++)
        milgi_chunk_unref(chunk[i]);
    while (milgi__pool_trim(pool, 1) || milgi__pool_idle(pool))
        ;
    assert_int_equal(device.out, 2);
    for (unsigned i = 16; i < 32; i++)
        milgi_chunk_unref(chunk[i]);
    while (milgi__pool_trim(pool, 100) || milgi__pool_idle(pool))
        ;
    assert_int_equal(device.out, 0);
    milgi_chunk_unref(get(pool, 1, 1)); /* and one comes when it is needed */
    assert_int_equal(device.out, 1);
    milgi__pool_close(pool);
    assert_int_equal(device.out, 0);
}

static void memory_is_changed_only_while_no_chunk_is_alive(void **state)
{
    (void)state;
    struct device device = { .slabs = 8 }, none = { 0 };
    struct milgi__memory memory = memory_of(&device), nothing = memory_of(&none);
    struct milgi__pool *pool = pool_of(1 << 20);
    struct milgi_chunk *chunk = get(pool, 100, 1);
    assert_int_equal(milgi__pool_use_memory(pool, &memory), MILGI_EBUSY);
    assert_int_equal(device.out, 0);
    milgi_chunk_release_remote(chunk); /* as good as released */
    assert_int_equal(milgi__pool_use_memory(pool, &nothing), MILGI_ENOMEM);
    chunk = get(pool, 100, 1);
    assert_false(lies_in(&device, chunk));
    milgi_chunk_unref(chunk);
    assert_int_equal(milgi__pool_use_memory(pool, &memory), 0);
    chunk = get(pool, 100, 1);
    assert_true(lies_in(&device, chunk));
    assert_int_equal(milgi__pool_use_memory(pool, NULL), MILGI_EBUSY);
    milgi_chunk_unref(chunk);
    assert_int_equal(milgi__pool_use_memory(pool, NULL), 0);
    assert_int_equal(device.out, 0);
    milgi_chunk_unref(get(pool, 100, 1));
    assert_int_equal(device.out, 0);
    milgi__pool_close(pool);
}

/* The limit is what the memory has, and a part of that is the reserve. */
static void memory_that_is_all_used_is_a_state_like_the_limit(void **state)
{
    (void)state;
    struct device device = { .slabs = 2 };
    _Atomic unsigned wakes = 0;
    struct milgi__pool *pool = milgi__pool_new(
        &(struct milgi__pool_options){ .limit = 1 << 30, .wake = count_wake, .wake_ctx = &wakes });
    struct milgi__memory memory = memory_of(&device);
    struct milgi_chunk *chunk[64];
    unsigned n = 0;
    assert_int_equal(milgi__pool_use_memory(pool, &memory), 0);
    while ((chunk[n] = milgi__chunk_alloc(pool, 128 * KIB, 1, false)))
        n++;
    assert_int_equal(n, 32);
    assert_true(milgi__pool_starved(pool));
    assert_int_equal(wakes, 1);
    assert_false(milgi__pool_recovered(pool));
    milgi_chunk_unref(chunk[--n]); /* the reserve is filled up first */
    milgi_chunk_unref(chunk[--n]);
    assert_int_equal(wakes, 1);
    assert_null(milgi__chunk_alloc(pool, 512, 1, false));
    assert_false(milgi__pool_room(pool, 512));
    assert_false(milgi__pool_recovered(pool));
    struct milgi_chunk *first = milgi__chunk_alloc_from(pool, 68 * KIB, 1, MILGI__RESERVE_HALF), *urgent;
    assert_non_null(first);
    assert_null(milgi__chunk_alloc_from(pool, 68 * KIB, 1, MILGI__RESERVE_HALF));
    urgent = milgi__chunk_alloc(pool, 68 * KIB, 1, true);
    assert_non_null(urgent);
    assert_null(milgi__chunk_alloc(pool, 128 * KIB, 1, true));
    assert_int_equal(wakes, 1);
    milgi_chunk_unref(urgent); /* what may use all of the reserve need not wait until it is full again */
    assert_int_equal(wakes, 2);
    assert_true(milgi__pool_recovered(pool));
    milgi_chunk_unref(first);
    assert_null(milgi__chunk_alloc(pool, 512, 1, false));
    milgi_chunk_unref(chunk[--n]);
    assert_true(wakes > 2);
    assert_true(milgi__pool_recovered(pool));
    assert_false(milgi__pool_starved(pool));
    chunk[n++] = get(pool, 128 * KIB, 1);
    assert_null(milgi__chunk_alloc(pool, 512, 1, false));
    device.slabs = 3; /* others have given some back */
    assert_true(milgi__pool_room(pool, 512));
    chunk[n++] = get(pool, 128 * KIB, 1);
    assert_int_equal(device.out, 3);
    while (n > 0)
        milgi_chunk_unref(chunk[--n]);
    milgi__pool_close(pool);
    assert_int_equal(device.out, 0);
}

/* Nothing of this pool will ever be released: somebody has to ask again. */
static void memory_that_others_hold_is_asked_for_again(void **state)
{
    (void)state;
    struct device device = { .slabs = 1 };
    struct milgi__pool *pool = pool_of_device(&device, 1 << 20);
    milgi_chunk_unref(get(pool, 512, 1));
    while (milgi__pool_trim(pool, 100) || milgi__pool_idle(pool))
        ;
    device.slabs = 0;
    assert_null(milgi__chunk_alloc(pool, 512, 1, true));
    assert_true(milgi__pool_starved(pool));
    assert_false(milgi__pool_recovered(pool));
    milgi__pool_retry(pool);
    assert_true(milgi__pool_recovered(pool));
    assert_false(milgi__pool_recovered(pool));
    assert_null(milgi__chunk_alloc(pool, 512, 1, true));
    milgi__pool_retry(pool);
    assert_true(milgi__pool_recovered(pool));
    device.slabs = 1;
    milgi_chunk_unref(get(pool, 512, 1));
    assert_false(milgi__pool_starved(pool));
    milgi__pool_retry(pool);
    assert_false(milgi__pool_recovered(pool)); /* nothing was refused */
    milgi__pool_close(pool);
}

static void small_chunks_do_not_break_up_what_large_ones_need(void **state)
{
    (void)state;
    struct device device = { .slabs = 1 };
    struct milgi__pool *pool = pool_of_device(&device, 4 << 20);
    struct milgi_chunk *small[64], *large[28];
    for (unsigned i = 0; i < 64; i++) { /* small and large in turn; then the large ones and most small ones go */
        small[i] = get(pool, 512, 1);
        if (i < 28)
            large[i] = get(pool, 64 * KIB, 1);
    }
    for (unsigned i = 0; i < 64; i++) {
        if (i < 28)
            milgi_chunk_unref(large[i]);
        if (i % 8)
            milgi_chunk_unref(small[i]);
    }
    for (unsigned i = 0; i < 14; i++) {
        large[i] = milgi__chunk_alloc(pool, 128 * KIB, 1, true);
        assert_non_null(large[i]);
    }
    for (unsigned i = 0; i < 64; i += 8)
        milgi_chunk_unref(small[i]);
    for (unsigned i = 0; i < 14; i++)
        milgi_chunk_unref(large[i]);
    milgi__pool_close(pool);
    assert_int_equal(device.out, 0);
}

static void nothing_is_freed_unwiped(void **state)
{
    (void)state;
    struct device device = { .slabs = 8 };
    struct milgi__pool *pool = pool_of_device(&device, 1 << 20);
    leave_plaintext(pool, 4096, 1);
    leave_plaintext(pool, 18 * KIB, 1);
    struct milgi_chunk *held = get(pool, 512, 1);
    memset(held->data, 0x5e, held->size);
    milgi__chunk_taint(held, held->size, 1);
    assert_false(milgi__pool_trim(pool, 100)); /* the first period begins */
    assert_false(milgi__pool_trim(pool, 100));
    assert_int_equal(milgi__pool_held(pool), 512);
    leave_plaintext(pool, 4096, 1);
    milgi__pool_close(pool);
    assert_int_equal(device.out, 1);
    milgi_chunk_unref(held);
    assert_int_equal(device.out, 0);
    assert_false(device.saw_plaintext);
}

static void idle_chunks_of_one_size_make_way_for_another(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(512 * KIB);
    struct milgi_chunk *chunk[1024];
    for (int i = 0; i < 1024; i++)
        chunk[i] = get(pool, 512, 1);
    for (int i = 0; i < 1024; i++)
        milgi_chunk_unref(chunk[i]);
    assert_int_equal(milgi__pool_held(pool), 512 * KIB);
    for (int i = 0; i < 4; i++)
        chunk[i] = get(pool, 128 * KIB, 1);
    assert_true(milgi__pool_held(pool) <= (512 + 256) * KIB);
    for (int i = 0; i < 4; i++)
        milgi_chunk_unref(chunk[i]);
    milgi__pool_close(pool);
}

/* --- trim ------------------------------------------------------------------------------------------------------- */

static void trim_frees_what_a_period_did_not_need(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(1 << 20);
    struct milgi_chunk *chunk[10];
    for (int i = 0; i < 10; i++)
        chunk[i] = get(pool, 4096, 1);
    for (int i = 0; i < 10; i++)
        milgi_chunk_unref(chunk[i]);
    assert_false(milgi__pool_trim(pool, 100));
    assert_int_equal(milgi__pool_held(pool), 10 * 4096);
    for (int i = 0; i < 3; i++)
        chunk[i] = get(pool, 4096, 1);
    for (int i = 0; i < 3; i++)
        milgi_chunk_unref(chunk[i]);
    assert_true(milgi__pool_trim(pool, 5)); /* in steps */
    assert_int_equal(milgi__pool_held(pool), 5 * 4096);
    assert_false(milgi__pool_trim(pool, 5));
    assert_int_equal(milgi__pool_held(pool), 3 * 4096);
    assert_false(milgi__pool_trim(pool, 5)); /* and now nothing has been needed */
    assert_int_equal(milgi__pool_held(pool), 0);
    milgi__pool_close(pool);
}

static void trim_gives_up_plaintext_first(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(1 << 20);
    struct milgi_chunk *clean = get(pool, 4096, 2);
    leave_plaintext(pool, 4096, 1);
    assert_false(milgi__pool_trim(pool, 100));
    milgi_chunk_unref(clean); /* one was in use all the time, so one is left */
    assert_false(milgi__pool_trim(pool, 100));
    assert_ptr_equal(get(pool, 4096, 1), clean);
    milgi_chunk_unref(clean);
    milgi__pool_close(pool);
}

/* --- the end of the engine -------------------------------------------------------------------------------------- */

static void chunk_outlives_its_pool(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(1 << 20);
    struct milgi_chunk *a = get(pool, 4096, 1), *b = get(pool, 512, 1);
    milgi_chunk_ref(b);
    milgi__pool_close(pool);
    memset(a->data, 7, a->size);
    milgi_chunk_unref(a);
    milgi_chunk_unref(b);
    b->data[0] = 1;
    milgi_chunk_unref(b); /* and the pool with it: the leak checker agrees */
    milgi__pool_close(NULL);
}

/* --- remote release --------------------------------------------------------------------------------------------- */

enum {
    THREADS = 4,
    ROUNDS = 3000,
    EACH = 8
};

struct handover {
    _Atomic(struct milgi_chunk *) slot[EACH];
    _Atomic bool end;
};

static void *release_all(void *arg)
{
    struct handover *handover = arg;
    while (!atomic_load(&handover->end)) {
        for (int i = 0; i < EACH; i++) {
            struct milgi_chunk *chunk = atomic_exchange(&handover->slot[i], NULL);
            if (chunk)
                milgi_chunk_release_remote(chunk);
        }
    }
    return NULL;
}

/* Each chunk is handed to all threads at once, one reference each, so that they release it at the same time. */
static void four_threads_release_the_same_chunks_and_none_is_lost(void **state)
{
    (void)state;
    static struct handover handover[THREADS];
    _Atomic unsigned wakes = 0;
    struct milgi__pool *pool = milgi__pool_new(
        &(struct milgi__pool_options){ .limit = 1 << 20, .wake = count_wake, .wake_ctx = &wakes });
    assert_non_null(pool);
    pthread_t thread[THREADS];
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&thread[t], NULL, release_all, &handover[t]), 0);
    unsigned released = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct milgi_chunk *chunk = milgi__chunk_alloc(pool, 512, 1, false);
        if (chunk) {
            for (int t = 0; t < THREADS; t++) {
                struct milgi_chunk *empty = NULL;
                milgi_chunk_ref(chunk);
                if (!atomic_compare_exchange_strong(&handover[t].slot[round % EACH], &empty, chunk))
                    milgi_chunk_unref(chunk);
                else
                    released++;
            }
            milgi_chunk_unref(chunk);
        }
        if (round % 3 == 0)
            milgi__pool_collect(pool);
    }
    for (int t = 0; t < THREADS; t++) {
        atomic_store(&handover[t].end, true);
        pthread_join(thread[t], NULL);
        for (int i = 0; i < EACH; i++) {
            struct milgi_chunk *chunk = atomic_exchange(&handover[t].slot[i], NULL);
            if (chunk)
                milgi_chunk_release_remote(chunk);
        }
    }
    assert_true(released > 0);
    assert_true(atomic_load(&wakes) > 0);
    milgi__pool_collect(pool);
    assert_int_equal(milgi__pool_used(pool), 0);
    milgi__pool_close(pool);
}

static void remote_release_wakes_once_until_it_is_collected(void **state)
{
    (void)state;
    _Atomic unsigned wakes = 0;
    struct milgi__pool *pool = milgi__pool_new(
        &(struct milgi__pool_options){ .limit = 1 << 20, .wake = count_wake, .wake_ctx = &wakes });
    struct milgi_chunk *a = get(pool, 512, 1), *b = get(pool, 4096, 1);
    milgi_chunk_ref(a);
    milgi_chunk_release_remote(a);
    milgi_chunk_release_remote(a);
    milgi_chunk_release_remote(b);
    milgi_chunk_release_remote(NULL);
    assert_int_equal(atomic_load(&wakes), 1);
    assert_int_equal(milgi__pool_used(pool), 512 + 4096);
    milgi__pool_collect(pool);
    assert_int_equal(milgi__pool_used(pool), 0);
    milgi_chunk_release_remote(get(pool, 512, 1));
    assert_int_equal(atomic_load(&wakes), 2);
    milgi__pool_close(pool); /* collects the last one */
}

/* --- keeping a slice -------------------------------------------------------------------------------------------- */

static void large_slice_is_kept_by_reference_and_a_small_one_copied(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(1 << 20);
    struct milgi_chunk *chunk = get(pool, 18 * KIB, 9);
    memset(chunk->data, 'x', chunk->size);
    struct milgi_slice slice = { chunk, chunk->data + 10, 4608 }, kept;
    assert_int_equal(milgi_slice_keep(&slice, &kept), 0);
    assert_ptr_equal(kept.chunk, chunk);
    assert_ptr_equal(kept.data, slice.data);
    assert_int_equal(chunk->refs, 2);
    milgi_chunk_unref(kept.chunk);
    slice.len = 300;
    assert_int_equal(milgi_slice_keep(&slice, &kept), 0);
    assert_ptr_not_equal(kept.chunk, chunk);
    assert_int_equal(kept.len, 300);
    assert_memory_equal(kept.data, slice.data, 300);
    assert_int_equal(milgi_chunk_size(kept.chunk), 512);
    assert_int_equal(kept.chunk->dirty, 300); /* it is plaintext of the same owner */
    assert_int_equal(kept.chunk->owner, 9);
    assert_int_equal(chunk->refs, 1);
    milgi_chunk_unref(kept.chunk);
    milgi_chunk_unref(chunk);
    milgi__pool_close(pool);
}

static void slice_of_the_smallest_chunk_is_never_copied(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(1 << 20);
    struct milgi_chunk *chunk = get(pool, 100, 9);
    struct milgi_slice slice = { chunk, chunk->data, 1 }, kept;
    assert_int_equal(milgi_slice_keep(&slice, &kept), 0);
    assert_ptr_equal(kept.chunk, chunk);
    milgi_chunk_unref(chunk);
    milgi_chunk_unref(chunk);
    milgi__pool_close(pool);
}

static void keeping_a_small_slice_fails_when_the_pool_is_empty(void **state)
{
    (void)state;
    struct milgi__pool *pool = pool_of(18 * KIB);
    struct milgi_chunk *chunk = get(pool, 18 * KIB, 9);
    struct milgi_slice slice = { chunk, chunk->data, 10 }, kept;
    assert_int_equal(milgi_slice_keep(&slice, &kept), MILGI_ENOMEM);
    assert_int_equal(chunk->refs, 1);
    milgi_chunk_unref(chunk);
    milgi__pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunk_has_the_room_asked_for),
        cmocka_unit_test(released_chunk_is_used_again),
        cmocka_unit_test(plaintext_is_wiped_before_another_owner_sees_the_chunk),
        cmocka_unit_test(only_the_plaintext_is_wiped),
        cmocka_unit_test(nobody_is_another_owner_too),
        cmocka_unit_test(owner_gets_its_own_chunk_back_unwiped_and_others_a_clean_one),
        cmocka_unit_test(limit_is_kept_and_the_reserve_lies_on_top),
        cmocka_unit_test(recovery_is_told_once_and_only_when_what_was_refused_fits),
        cmocka_unit_test(room_for_nothing_that_was_refused_is_told_of_too),
        cmocka_unit_test(idle_chunks_of_one_size_make_way_for_another),
        cmocka_unit_test(no_memory_is_a_refusal_like_the_limit),
        cmocka_unit_test(chunks_lie_in_the_memory_of_the_device),
        cmocka_unit_test(slabs_that_run_empty_go_back),
        cmocka_unit_test(memory_is_changed_only_while_no_chunk_is_alive),
        cmocka_unit_test(memory_that_is_all_used_is_a_state_like_the_limit),
        cmocka_unit_test(memory_that_others_hold_is_asked_for_again),
        cmocka_unit_test(small_chunks_do_not_break_up_what_large_ones_need),
        cmocka_unit_test(nothing_is_freed_unwiped),
        cmocka_unit_test(trim_frees_what_a_period_did_not_need),
        cmocka_unit_test(trim_gives_up_plaintext_first),
        cmocka_unit_test(chunk_outlives_its_pool),
        cmocka_unit_test(four_threads_release_the_same_chunks_and_none_is_lost),
        cmocka_unit_test(remote_release_wakes_once_until_it_is_collected),
        cmocka_unit_test(large_slice_is_kept_by_reference_and_a_small_one_copied),
        cmocka_unit_test(slice_of_the_smallest_chunk_is_never_copied),
        cmocka_unit_test(keeping_a_small_slice_fails_when_the_pool_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
