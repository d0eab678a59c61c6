/* SPDX-License-Identifier: Apache-2.0 */
/* Chunks, their pool, and the queue of slices. */
#pragma once

#include <assert.h>
#include <stdatomic.h>

#include <milgi/buf.h>

#include "base/base.h"
#include "buf/block.h"
#include "buf/region.h"

struct milgi__pool;

/*
 * A chunk's memory lies behind this header, or in device memory. refs is touched by the engine's thread alone; remote
 * counts references given back by other threads that the engine has not yet collected.
 */
struct milgi_chunk {
    uint8_t *data;
    uint32_t size;
    uint32_t refs;
    struct milgi__pool *pool;
    struct milgi_chunk *next; /* in a free list or in the remote list */
    _Atomic uint32_t remote;
    /* bytes from the front that may hold plaintext: wiped before another owner sees it */
    uint32_t dirty;
    uint64_t owner; /* whose plaintext; 0: nobody's */
    uint8_t size_class;
    struct milgi__slab *slab; /* of device memory; NULL: the heap's */
};

/* One whose memory is somebody else's. */
#define MILGI__CHUNK_LENT UINT8_MAX /* instead of a size class */
struct milgi__lent {
    struct milgi_chunk chunk; /* first */
    void (*release)(void *arg);
    void *arg;
};

struct milgi__pool_options {
    /* bytes of chunks alive; the reserve (1/16 of it, at least 256 KiB) comes on top */
    size_t limit;
    void (*wake)(void *ctx); /* any thread: remote references are waiting */
    void *wake_ctx;
};

/* Size classes: 512 B, 2 KiB, 4 KiB, 18 KiB, 68 KiB, 128 KiB (usable bytes are at least these). */
struct milgi__pool *milgi__pool_new(const struct milgi__pool_options *options);
/*
 * All chunks from now on lie in slabs of |memory| (copied; NULL: the heap again), of which one is taken at once. When
 * it gives no more, the pool is empty as it is at its limit; the reserve is then kept out of what there is. Returns 0,
 * MILGI_EBUSY (a chunk is alive) or MILGI_ENOMEM (it has not one slab; nothing has changed).
 */
int milgi__pool_use_memory(struct milgi__pool *pool, const struct milgi__memory *memory);
/*
 * The engine's end: free chunks are freed now, the others when their last reference goes (from then on on any one
 * thread).
 */
void milgi__pool_close(struct milgi__pool *pool);
/*
 * How much of the reserve may be used. HALF is for the records that stand first in their connection: with them memory
 * that is in use can be given back, however little there is. ALL is for alerts, handshakes and close.
 */
enum milgi__reserve {
    MILGI__RESERVE_NONE,
    MILGI__RESERVE_HALF,
    MILGI__RESERVE_ALL
};
/*
 * A chunk with one reference for |owner| (contents of another owner are wiped first), NULL when the limit is reached.
 */
struct milgi_chunk *milgi__chunk_alloc_from(
    struct milgi__pool *pool, size_t size, uint64_t owner, enum milgi__reserve reserve);
/* The same; |reserve|: may use all of it, or nothing. */
static inline struct milgi_chunk *milgi__chunk_alloc(
    struct milgi__pool *pool, size_t size, uint64_t owner, bool reserve)
{
    return milgi__chunk_alloc_from(pool, size, owner, reserve ? MILGI__RESERVE_ALL : MILGI__RESERVE_NONE);
}
/* milgi_chunk_ref() and milgi_chunk_unref() without a call, as long as others hold it, too. */
static inline struct milgi_chunk *milgi__chunk_ref(struct milgi_chunk *chunk)
{
    assert(chunk->refs > 0);
    chunk->refs++;
    return chunk;
}
static inline void milgi__chunk_unref(struct milgi_chunk *chunk)
{
    if (chunk && chunk->refs > 1)
        chunk->refs--;
    else
        milgi_chunk_unref(chunk);
}
/* Of memory that stays the caller's until |release|; NULL: there is none, or the pool's chunks are to be a device's. */
struct milgi_chunk *milgi__chunk_lend(
    struct milgi__pool *pool, void *data, uint32_t size, void (*release)(void *arg), void *arg);
/* Says that the first |len| bytes hold plaintext of |owner|. */
static inline void milgi__chunk_taint(struct milgi_chunk *chunk, uint32_t len, uint64_t owner)
{
    if (len > chunk->dirty)
        chunk->dirty = len;
    chunk->owner = owner;
}
/*
 * Of a record that is begun the rest may be had with HALF of the reserve, a few at a time: else many who hold the begun
 * ones of all there is would wait for each other. Whether |owner| may, and if not it is among those for whom
 * milgi__pool_recovered() says true when others may; and that it has been given some, and |begun|: has not given it
 * back. Who then leaves it at that makes room for another after a while.
 */
bool milgi__pool_may_finish(struct milgi__pool *pool, uint64_t owner, uint64_t now_ns);
void milgi__pool_finishes(struct milgi__pool *pool, uint64_t owner, bool begun, uint64_t now_ns);
/* Takes back what other threads released. */
void milgi__pool_collect(struct milgi__pool *pool);
/* Wipes and frees up to |max| idle chunks and blocks beyond what the last periods needed; true: there is more to do. */
bool milgi__pool_trim(struct milgi__pool *pool, unsigned max);
/* Whether so many chunks or blocks are held that nobody uses that it is worth a turn. */
bool milgi__pool_idle(const struct milgi__pool *pool);
/* True once after an allocation had failed and there is room again. */
bool milgi__pool_recovered(struct milgi__pool *pool);
/*
 * Whether an allocation has failed for want of memory that others hold, or of leave to finish, so that perhaps no
 * release in this pool ever brings it: then somebody is to call milgi__pool_retry() after a while, and
 * milgi__pool_recovered() says true once.
 */
bool milgi__pool_starved(const struct milgi__pool *pool);
void milgi__pool_retry(struct milgi__pool *pool);
/* Something else could not be had from the heap: milgi__pool_recovered() says after a while that it may be tried. */
void milgi__pool_short(struct milgi__pool *pool);
/* Small blocks, which are no part of what is used and held. */
struct milgi__blocks *milgi__pool_blocks(struct milgi__pool *pool);
/* Whether |bytes| more can be had now; if not, milgi__pool_recovered() tells when they can. */
bool milgi__pool_room(struct milgi__pool *pool, size_t bytes);
/*
 * What each of its users may have of all that it might: MILGI__SHARE_ALL until a quarter of the pool is used, then
 * less, in proportion to what is free. The reserve is not counted.
 */
#define MILGI__SHARE_ALL 1024u
uint64_t milgi__pool_share(const struct milgi__pool *pool);
size_t milgi__pool_used(const struct milgi__pool *pool);
size_t milgi__pool_peak(const struct milgi__pool *pool);
size_t milgi__pool_held(const struct milgi__pool *pool); /* used, and what is idle */
/* bytes that milgi_slice_keep() has copied, ever */
uint64_t milgi__pool_copied(const struct milgi__pool *pool);

/*
 * A queue of slices of one pool: bytes in, bytes out. Holds one reference per slice. Its memory, a block of that
 * pool, is kept until milgi__bufq_clear(), which an idle connection calls.
 */
struct milgi__bufq {
    struct milgi_slice *ring;
    uint32_t cap, head, n;
    size_t len; /* bytes */
};
/* takes the reference; 0 or MILGI_ENOMEM (not taken) */
int milgi__bufq_push(struct milgi__bufq *q, struct milgi_slice slice);
/* Makes sure that one more can be pushed; false: no memory. */
bool milgi__bufq_room(struct milgi__bufq *q, struct milgi__pool *pool);
/* Copies |len| bytes from offset |at| without consuming; false when there are fewer. */
bool milgi__bufq_peek(const struct milgi__bufq *q, size_t at, void *out, size_t len);
/*
 * Takes |len| bytes off the front as up to |max| slices, each with a reference of its own for the caller. Returns how
 * many, or 0 when more than |max| would be needed (nothing is taken).
 */
unsigned milgi__bufq_take(struct milgi__bufq *q, size_t len, struct milgi_slice *out, unsigned max);
/* Copies |len| bytes off the front and drops them. */
void milgi__bufq_read(struct milgi__bufq *q, void *out, size_t len);
void milgi__bufq_clear(struct milgi__bufq *q, struct milgi__pool *pool);
