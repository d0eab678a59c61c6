/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that bytes travel in. A chunk is a ref-counted block from an engine's pool (a device may have provided it,
 * so that it can be read and written by the device); a slice is a range of a chunk.
 */
#pragma once

#include <milgi/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_engine;
struct milgi_chunk;

struct milgi_slice {
    struct milgi_chunk *chunk;
    uint8_t *data; /* inside the chunk; read-only once the slice was given to the library or received from it */
    uint32_t len;
};

/*
 * Where chunks lie in the memory of a device (milgi_engine_use_memory()), it is asked for pieces of this size only,
 * from which the pool makes its chunks: so that huge pages and DMA mappings are few.
 */
#define MILGI_MEMORY_SLAB (2048u * 1024u)

/* A range of memory that is only read. */
struct milgi_iov {
    const void *data;
    size_t len;
};

/*
 * A new chunk with room for at least |size| bytes (0 < size <= MILGI_CHUNK_MAX) and one reference, the caller's. NULL
 * when the engine's pool is empty (its memory limit is reached): a state, not a failure; the engine calls on_memory
 * (engine.h) when there is room again. NULL in another process, too. Contents are undefined.
 */
#define MILGI_CHUNK_MAX (128u * 1024u)
MILGI_API struct milgi_chunk *milgi_chunk_new(struct milgi_engine *engine, size_t size);
MILGI_API uint8_t *milgi_chunk_data(struct milgi_chunk *chunk);
MILGI_API size_t milgi_chunk_size(const struct milgi_chunk *chunk);

/*
 * A chunk whose memory is the caller's: the |size| bytes at |data| (0 < size <= MILGI_CHUNK_MAX), lent until |release|
 * is called with |arg|, which is when the last reference goes: on the engine's thread, from whichever call that is in,
 * a turn of the engine's, the end of a connection or of the engine among them; it may not call the library. It is not
 * called for what a device that hangs has when it is abandoned (milgi_engine_options.quiesce_ns): that memory is not to
 * be touched for the rest of the process's life. What a network has received need not be copied to be opened, nor what
 * an application has to be sealed.
 *
 * Bytes that are given to milgi_conn_receive() may be opened where they lie, and what holds plaintext then is wiped
 * before |release|: nobody else may have that memory. Bytes that are given to milgi_conn_send() are only read. It does
 * not count against memory_limit; what a connection holds of it is bounded as conn.h says, a slice below a quarter of
 * |size| is copied there, too.
 *
 * NULL: no heap left; another process; or an engine whose chunks lie in the memory of a device
 * (milgi_engine_use_memory()), which reaches no other. |release| is not called then: copy the bytes.
 */
MILGI_API struct milgi_chunk *milgi_chunk_lend(
    struct milgi_engine *engine, void *data, size_t size, void (*release)(void *arg), void *arg);

/*
 * One more, one fewer reference; at none the chunk returns to its engine's pool (in another process it stays where it
 * is). Engine's thread.
 */
MILGI_API struct milgi_chunk *milgi_chunk_ref(struct milgi_chunk *chunk);
MILGI_API void milgi_chunk_unref(struct milgi_chunk *chunk);

/*
 * milgi_chunk_unref() for any thread: the reference is given back at the start of the engine's next turn, which this
 * causes by waking the engine's fd. Not after milgi_engine_free(). Lock-free, async-signal-unsafe. Does nothing in
 * another process.
 */
MILGI_API void milgi_chunk_release_remote(struct milgi_chunk *chunk);

/*
 * Makes |slice|, which on_data lent, the caller's own for longer than the callback: *|out| is a slice with a
 * reference of its own, to be given up with milgi_chunk_unref(out->chunk) or ..._release_remote(). A slice below a
 * quarter of its chunk is copied into a small chunk, so that a few bytes never pin a large one. Returns 0 or
 * MILGI_ENOMEM (the pool is empty; the bytes are valid until the callback returns: copy them elsewhere, or fail), or
 * MILGI_EFORK.
 */
MILGI_API MILGI_MUST_CHECK int milgi_slice_keep(const struct milgi_slice *slice, struct milgi_slice *out);

#ifdef __cplusplus
}
#endif
