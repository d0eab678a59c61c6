/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pool per engine, touched by the engine's thread alone save for the list of remote releases.
 *
 * Idle chunks stand on shelves, one per size class, in two stacks: those that still hold somebody's plaintext (dirty)
 * and those that do not (clean). A chunk whose top-most dirty neighbour belongs to the same owner needs no wiping, and
 * one of nobody's plaintext is preferred to wiping another's; so on a busy path few bytes are ever wiped, and none is
 * seen by another owner.
 */
#include "buf/buf.h"

#include <assert.h>

#include "base/port.h"

#define BLOCKS_FOR_CHUNK 16u
#define RESERVE_MIN ((size_t)256 << 10)
#define FINISHING 2u /* each wants the rest of a record, all of it in one piece, and what it is opened into */
#define FINISH_NS 100000000u
#define HEADER ((sizeof(struct milgi_chunk) + 63) & ~(size_t)63) /* so that data keeps the alignment of the heap */

enum {
    CLASSES = 6
};
static const uint32_t class_size[CLASSES] = { 512, 2048, 4096, 18 << 10, 68 << 10, MILGI_CHUNK_MAX };

struct shelf {
    struct milgi_chunk *clean, *dirty;
    uint32_t clean_n, dirty_n;
    uint32_t idle_min; /* the least that stood here since the period began: what it did not need */
};

struct milgi__pool {
    struct milgi__pool_options options;
    uint64_t process; /* whose it is: another has a copy, but the memory of devices and the engine's waker are shared */
    size_t reserve;
    size_t used;  /* bytes of chunks with a reference */
    size_t total; /* used, and those that are idle */
    size_t peak;
    size_t wanted;                   /* the smallest size that was refused; 0: none was */
    enum milgi__reserve wanted_from; /* the most that one of them might have used */
    uint64_t copied;
    uint32_t chunks_n, lent_n; /* alive or idle; of them those whose memory is somebody else's */
    bool closed;
    bool in_region; /* chunks lie in |region|, not in the heap */
    bool broken_up; /* the memory gave no slab, and no run was long enough: only a release changes that */
    bool retry;
    struct {
        uint64_t owner, until_ns;
    } finishing[FINISHING];
    bool queued; /* others want to finish, too */
    struct milgi__region region;
    struct shelf shelf[CLASSES];
    struct milgi__blocks blocks;
    _Atomic(struct milgi_chunk *) remote; /* other threads push, the engine takes all */
};

/* --- a chunk's memory ------------------------------------------------------------------------------------------- */

static struct milgi_chunk *make(struct milgi__pool *pool, unsigned cls)
{
    uint32_t size = class_size[cls];
    struct milgi__slab *slab = NULL;
    struct milgi_chunk *chunk = milgi__alloc_raw(pool->in_region ? sizeof *chunk : HEADER + size);
    if (!chunk)
        return NULL;
    uint8_t *data = (uint8_t *)chunk + HEADER;
    if (pool->in_region)
        data = milgi__region_alloc(&pool->region, size, &slab);
    if (!data) {
        milgi__free(chunk);
        return NULL;
    }
    *chunk = (struct milgi_chunk){ .data = data, .size = size, .pool = pool, .slab = slab, .size_class = (uint8_t)cls };
    pool->total += size;
    pool->chunks_n++;
    return chunk;
}

static void scrub(struct milgi_chunk *chunk)
{
    milgi__wipe(chunk->data, chunk->dirty);
    chunk->dirty = 0;
}

/* |chunk| is accessible (not poisoned) and on no shelf. */
static void destroy(struct milgi__pool *pool, struct milgi_chunk *chunk)
{
    scrub(chunk);
    pool->total -= chunk->size;
    pool->chunks_n--;
    if (chunk->slab)
        milgi__region_free(&pool->region, chunk->slab, chunk->data, chunk->size);
    milgi__free(chunk);
}

/* --- shelves ---------------------------------------------------------------------------------------------------- */

static void shelve(struct shelf *shelf, struct milgi_chunk *chunk)
{
    struct milgi_chunk **top = chunk->dirty ? &shelf->dirty : &shelf->clean;
    uint32_t *n = chunk->dirty ? &shelf->dirty_n : &shelf->clean_n;
    chunk->next = *top;
    *top = chunk;
    ++*n;
    MILGI__POISON(chunk->data, chunk->size);
}

static struct milgi_chunk *unshelve(struct shelf *shelf, bool dirty)
{
    struct milgi_chunk **top = dirty ? &shelf->dirty : &shelf->clean;
    uint32_t *n = dirty ? &shelf->dirty_n : &shelf->clean_n;
    struct milgi_chunk *chunk = *top;
    *top = chunk->next;
    --*n;
    MILGI__UNPOISON(chunk->data, chunk->size);
    return chunk;
}

/* An idle chunk that shows |owner| nothing of others; NULL: the shelf is empty. */
static struct milgi_chunk *pick(struct shelf *shelf, uint64_t owner)
{
    struct milgi_chunk *chunk = NULL;
    if (shelf->dirty && owner != 0 && shelf->dirty->owner == owner) {
        chunk = unshelve(shelf, true);
    } else if (shelf->clean) {
        chunk = unshelve(shelf, false);
    } else if (shelf->dirty) {
        chunk = unshelve(shelf, true);
        scrub(chunk);
    } else {
        return NULL;
    }
    shelf->idle_min = MILGI__MIN(shelf->idle_min, shelf->dirty_n + shelf->clean_n);
    return chunk;
}

static void destroy_idle(struct milgi__pool *pool, struct shelf *shelf)
{
    destroy(pool, unshelve(shelf, !shelf->clean));
    shelf->idle_min = MILGI__MIN(shelf->idle_min, shelf->dirty_n + shelf->clean_n);
}

/* Frees idle chunks until |bytes| fewer are held, or none is left. */
static void shrink(struct milgi__pool *pool, size_t bytes)
{
    size_t goal = pool->total > bytes ? pool->total - bytes : 0;
    for (unsigned cls = CLASSES; cls-- > 0;) {
        struct shelf *shelf = &pool->shelf[cls];
        while (pool->total > goal && (shelf->clean || shelf->dirty))
            destroy_idle(pool, shelf);
    }
}

/* --- pool ------------------------------------------------------------------------------------------------------- */

struct milgi__pool *milgi__pool_new(const struct milgi__pool_options *options)
{
    struct milgi__pool *pool = milgi__alloc(sizeof *pool);
    if (!pool)
        return NULL;
    pool->options = *options;
    pool->process = milgi__port_process();
    pool->reserve = MILGI__MAX(options->limit / 16, RESERVE_MIN);
    return pool;
}

static bool foreign(const struct milgi__pool *pool)
{
    return pool->process != milgi__port_process();
}

int milgi__pool_use_memory(struct milgi__pool *pool, const struct milgi__memory *memory)
{
    struct milgi__region region = { 0 };
    milgi__pool_collect(pool);
    if (pool->used > 0 || pool->lent_n > 0)
        return MILGI_EBUSY;
    if (memory) {
        region.memory = *memory;
        if (!milgi__region_grow(&region))
            return MILGI_ENOMEM;
    }
    shrink(pool, pool->total);
    milgi__region_trim(&pool->region);
    pool->region = region;
    pool->in_region = memory != NULL;
    return 0;
}

void milgi__pool_close(struct milgi__pool *pool)
{
    if (!pool)
        return;
    milgi__pool_collect(pool);
    shrink(pool, pool->total);
    milgi__region_trim(&pool->region);
    milgi__blocks_close(&pool->blocks);
    pool->closed = true;
    if (pool->chunks_n == 0)
        milgi__free(pool);
}

static unsigned class_of(size_t size)
{
    unsigned cls = 0;
    while (cls < CLASSES && size > class_size[cls])
        cls++;
    return cls;
}

/* Nothing idle of this size: makes one, within what may be held in all. */
static struct milgi_chunk *make_room(struct milgi__pool *pool, unsigned cls)
{
    size_t size = class_size[cls], most = pool->options.limit + pool->reserve;
    if (pool->total + size > most)
        shrink(pool, pool->total + size - most);
    struct milgi_chunk *chunk = make(pool, cls);
    if (!chunk && pool->total > pool->used) {
        shrink(pool, size);
        chunk = make(pool, cls);
    }
    if (!chunk && pool->in_region && pool->total > pool->used) {
        /* What is idle may lie in many places, and only all of it in one piece. */
        shrink(pool, pool->total);
        chunk = make(pool, cls);
    }
    pool->broken_up = !chunk && pool->in_region;
    return chunk;
}

/* Of memory that has turned out to be less than the limit, a part is the reserve. */
static size_t reserve_of(const struct milgi__pool *pool)
{
    if (!pool->region.full || pool->region.total > pool->options.limit)
        return pool->reserve;
    return MILGI__MIN(pool->reserve, MILGI__MAX(pool->region.total / 16, RESERVE_MIN));
}

/* How much may be in use, with that part of the reserve. */
static size_t limit_of(const struct milgi__pool *pool, enum milgi__reserve reserve)
{
    size_t most = pool->options.limit + pool->reserve / MILGI__RESERVE_ALL * reserve;
    if (!pool->region.full)
        return most;
    size_t kept = reserve_of(pool) / MILGI__RESERVE_ALL * (MILGI__RESERVE_ALL - reserve);
    return MILGI__MIN(most, pool->region.total - MILGI__MIN(kept, pool->region.total));
}

/* Whether |size| more may be in use. Memory that gave no more is asked again: others may have given some back. */
static bool may_use(struct milgi__pool *pool, size_t size, enum milgi__reserve reserve)
{
    if (pool->used + size <= limit_of(pool, reserve))
        return true;
    if (!pool->region.full || pool->used + size > pool->options.limit)
        return false;
    return milgi__region_grow(&pool->region);
}

static struct milgi_chunk *refuse(struct milgi__pool *pool, size_t size, enum milgi__reserve reserve)
{
    bool first = pool->wanted == 0;
    if (first || size < pool->wanted)
        pool->wanted = size;
    if (first || reserve > pool->wanted_from)
        pool->wanted_from = reserve;
    if (first && milgi__pool_starved(pool) && pool->options.wake)
        pool->options.wake(pool->options.wake_ctx); /* it has to look at the time, which nobody else may do */
    return NULL;
}

void milgi__pool_short(struct milgi__pool *pool)
{
    bool known = milgi__pool_starved(pool);
    pool->broken_up = true;
    (void)refuse(pool, 1, MILGI__RESERVE_NONE);
    if (!known && pool->options.wake)
        pool->options.wake(pool->options.wake_ctx);
}

bool milgi__pool_starved(const struct milgi__pool *pool)
{
    return pool->wanted && (pool->region.full || pool->broken_up || pool->queued);
}

void milgi__pool_retry(struct milgi__pool *pool)
{
    pool->retry = milgi__pool_starved(pool);
}

/* What was refused last could be had now, as far as is known. */
static bool can_recover(const struct milgi__pool *pool)
{
    if (pool->wanted == 0)
        return false;
    return pool->retry || (!pool->broken_up && pool->used + pool->wanted <= limit_of(pool, pool->wanted_from));
}

struct milgi_chunk *milgi__chunk_alloc_from(
    struct milgi__pool *pool, size_t size, uint64_t owner, enum milgi__reserve reserve)
{
    unsigned cls = class_of(size);
    if (cls == CLASSES || pool->closed || foreign(pool))
        return NULL;
    size = class_size[cls];
    if (!may_use(pool, size, reserve))
        return refuse(pool, size, reserve);
    struct milgi_chunk *chunk = pick(&pool->shelf[cls], owner);
    if (!chunk)
        chunk = make_room(pool, cls);
    if (!chunk)
        return refuse(pool, size, reserve);
    chunk->refs = 1;
    chunk->owner = owner;
    pool->used += size;
    if (pool->used > pool->peak)
        pool->peak = pool->used;
    return chunk;
}

bool milgi__pool_may_finish(struct milgi__pool *pool, uint64_t owner, uint64_t now_ns)
{
    bool known = milgi__pool_starved(pool);
    for (unsigned i = 0; i < FINISHING; i++)
        if (pool->finishing[i].owner == owner || pool->finishing[i].until_ns <= now_ns)
            return true;
    pool->queued = true;
    if (!known && milgi__pool_starved(pool) && pool->options.wake)
        pool->options.wake(pool->options.wake_ctx); /* as in refuse() */
    return false;
}

void milgi__pool_finishes(struct milgi__pool *pool, uint64_t owner, bool begun, uint64_t now_ns)
{
    unsigned at = FINISHING;
    for (unsigned i = 0; i < FINISHING; i++)
        if (pool->finishing[i].owner == owner || (at == FINISHING && pool->finishing[i].until_ns <= now_ns))
            at = i;
    bool own = at < FINISHING && pool->finishing[at].owner == owner;
    if (own && !begun) {
        pool->finishing[at].owner = pool->finishing[at].until_ns = 0;
        pool->retry = pool->retry || pool->queued;
    } else if (at < FINISHING && !own && begun) { /* whose time is over does not begin again ahead of others */
        pool->finishing[at].owner = owner;
        pool->finishing[at].until_ns = now_ns + FINISH_NS;
    }
}

struct milgi_chunk *milgi__chunk_lend(
    struct milgi__pool *pool, void *data, uint32_t size, void (*release)(void *arg), void *arg)
{
    if (pool->closed || pool->in_region || foreign(pool))
        return NULL;
    struct milgi__lent *lent = milgi__block_take(&pool->blocks, sizeof *lent);
    if (!lent)
        return NULL;
    *lent = (struct milgi__lent){
        .chunk = { .data = data, .size = size, .refs = 1, .pool = pool, .size_class = MILGI__CHUNK_LENT },
        .release = release,
        .arg = arg,
    };
    pool->chunks_n++;
    pool->lent_n++;
    return &lent->chunk;
}

static void give_back(struct milgi__pool *pool, struct milgi__lent *lent)
{
    void (*release)(void *arg) = lent->release;
    void *arg = lent->arg;
    scrub(&lent->chunk);
    milgi__block_give(&pool->blocks, lent, sizeof *lent);
    pool->chunks_n--;
    pool->lent_n--;
    if (pool->closed && pool->chunks_n == 0)
        milgi__free(pool);
    release(arg);
}

/* The last reference has gone. */
static void release(struct milgi_chunk *chunk)
{
    struct milgi__pool *pool = chunk->pool;
    if (foreign(pool))
        return;
    if (chunk->size_class == MILGI__CHUNK_LENT) {
        give_back(pool, (struct milgi__lent *)chunk);
        return;
    }
    pool->used -= chunk->size;
    pool->broken_up = false;
    if (!pool->closed) {
        shelve(&pool->shelf[chunk->size_class], chunk);
        /* Somebody waits for this; the chunk may have been given back from outside a turn. */
        if (pool->options.wake && can_recover(pool))
            pool->options.wake(pool->options.wake_ctx);
        return;
    }
    destroy(pool, chunk);
    if (pool->chunks_n == 0)
        milgi__free(pool);
}

void milgi__pool_collect(struct milgi__pool *pool)
{
    if (!atomic_load_explicit(&pool->remote, memory_order_relaxed))
        return;
    struct milgi_chunk *chunk = atomic_exchange_explicit(&pool->remote, NULL, memory_order_acquire);
    while (chunk) {
        /* next is read first: once the count is zero, the chunk may be pushed again by another thread. */
        struct milgi_chunk *next = chunk->next;
        uint32_t n = atomic_exchange_explicit(&chunk->remote, 0, memory_order_acq_rel);
        assert(chunk->refs >= n);
        chunk->refs -= n;
        if (chunk->refs == 0)
            release(chunk);
        chunk = next;
    }
}

/* --- trim ------------------------------------------------------------------------------------------------------- */

static void begin_period(struct milgi__pool *pool)
{
    for (unsigned cls = 0; cls < CLASSES; cls++)
        pool->shelf[cls].idle_min = pool->shelf[cls].dirty_n + pool->shelf[cls].clean_n;
}

/* A chunk stays for long only if it is used: so no plaintext lies idle for more than about two periods. */
bool milgi__pool_trim(struct milgi__pool *pool, unsigned max)
{
    for (unsigned cls = 0; cls < CLASSES; cls++) {
        struct shelf *shelf = &pool->shelf[cls];
        for (; shelf->idle_min > 0; max--) {
            if (max == 0)
                return true;
            shelf->idle_min--;
            destroy(pool, unshelve(shelf, shelf->dirty != NULL));
        }
    }
    if (milgi__blocks_trim(&pool->blocks, BLOCKS_FOR_CHUNK * max)) /* there is less to wipe */
        return true;
    begin_period(pool);
    return false;
}

bool milgi__pool_idle(const struct milgi__pool *pool)
{
    return pool->total > pool->used || pool->blocks.bytes > MILGI__BLOCKS_LEFT;
}

struct milgi__blocks *milgi__pool_blocks(struct milgi__pool *pool)
{
    return &pool->blocks;
}

bool milgi__pool_room(struct milgi__pool *pool, size_t bytes)
{
    if (may_use(pool, bytes, MILGI__RESERVE_NONE))
        return true;
    refuse(pool, MILGI__MAX(bytes, 1), MILGI__RESERVE_NONE); /* who wants nothing waits for what is beyond the limit */
    return false;
}

bool milgi__pool_recovered(struct milgi__pool *pool)
{
    if (!can_recover(pool))
        return false;
    pool->wanted = 0;
    pool->retry = pool->broken_up = pool->queued = false;
    return true;
}

uint64_t milgi__pool_share(const struct milgi__pool *pool)
{
    uint64_t limit = pool->options.limit, used = MILGI__MIN(pool->used, limit);
    if (used <= limit / 4)
        return MILGI__SHARE_ALL;
    return (limit - used) * MILGI__SHARE_ALL / limit * 4 / 3;
}

size_t milgi__pool_used(const struct milgi__pool *pool)
{
    return pool->used;
}

size_t milgi__pool_peak(const struct milgi__pool *pool)
{
    return pool->peak;
}

size_t milgi__pool_held(const struct milgi__pool *pool)
{
    return pool->total;
}

uint64_t milgi__pool_copied(const struct milgi__pool *pool)
{
    return pool->copied;
}

/* --- references ------------------------------------------------------------------------------------------------- */

uint8_t *milgi_chunk_data(struct milgi_chunk *chunk)
{
    return chunk->data;
}

size_t milgi_chunk_size(const struct milgi_chunk *chunk)
{
    return chunk->size;
}

struct milgi_chunk *milgi_chunk_ref(struct milgi_chunk *chunk)
{
    assert(chunk->refs > 0);
    chunk->refs++;
    return chunk;
}

void milgi_chunk_unref(struct milgi_chunk *chunk)
{
    if (!chunk)
        return;
    assert(chunk->refs > 0);
    if (--chunk->refs == 0)
        release(chunk);
}

void milgi_chunk_release_remote(struct milgi_chunk *chunk)
{
    if (!chunk)
        return;
    struct milgi__pool *pool = chunk->pool;
    if (foreign(pool))
        return;
    /* Only who raises the count from zero puts the chunk into the list; the engine takes the count as it finds it. */
    if (atomic_fetch_add_explicit(&chunk->remote, 1, memory_order_acq_rel) != 0)
        return;
    struct milgi_chunk *head = atomic_load_explicit(&pool->remote, memory_order_relaxed);
    do
        chunk->next = head;
    while (!atomic_compare_exchange_weak_explicit(
        &pool->remote, &head, chunk, memory_order_release, memory_order_relaxed));
    if (!head && pool->options.wake)
        pool->options.wake(pool->options.wake_ctx);
}

int milgi_slice_keep(const struct milgi_slice *slice, struct milgi_slice *out)
{
    struct milgi_chunk *chunk = slice->chunk;
    if (foreign(chunk->pool))
        return MILGI_EFORK;
    if (slice->len >= chunk->size / 4 || class_of(slice->len) == chunk->size_class) {
        *out = *slice;
        milgi_chunk_ref(chunk);
        return 0;
    }
    struct milgi_chunk *small = milgi__chunk_alloc(chunk->pool, slice->len, chunk->owner, false);
    if (!small)
        return MILGI_ENOMEM;
    memcpy(small->data, slice->data, slice->len);
    chunk->pool->copied += slice->len;
    milgi__chunk_taint(small, slice->len, chunk->owner);
    *out = (struct milgi_slice){ small, small->data, slice->len };
    return 0;
}
