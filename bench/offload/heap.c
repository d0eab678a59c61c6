/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's malloc: glibc's, with a count by thread of what is alive. Libraries call it too. So the clients'
 * memory, which is in the same process, is not counted as the server's, nor what malloc keeps for itself.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "offload.h"

/* Seen by libcrypto and libssl, before glibc's. */
#define FOR_ALL __attribute__((visibility("default")))
#define HEADER 8 /* malloc's own, before each block */

/* Exported by glibc for those who put something before them. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

static atomic_bool counting;
static atomic_long live[ROLES];
static _Thread_local enum role mine;

void heap_role(enum role role)
{
    mine = role;
}

void heap_count(bool on)
{
    for (int i = 0; on && i < ROLES; i++)
        atomic_store(&live[i], 0);
    atomic_store(&counting, on);
}

long heap_live(enum role role)
{
    return atomic_load(&live[role]);
}

static void count(void *block, long sign)
{
    if (block && atomic_load_explicit(&counting, memory_order_relaxed))
        atomic_fetch_add_explicit(
            &live[mine], sign * (long)(malloc_usable_size(block) + HEADER), memory_order_relaxed);
}

FOR_ALL void *malloc(size_t size)
{
    void *block = __libc_malloc(size);

    count(block, 1);
    return block;
}

FOR_ALL void *calloc(size_t n, size_t size)
{
    void *block = __libc_calloc(n, size);

    count(block, 1);
    return block;
}

FOR_ALL void *realloc(void *old, size_t size)
{
    count(old, -1);
    void *block = __libc_realloc(old, size);
    count(block || size == 0 ? block : old, 1);
    return block;
}

FOR_ALL void *memalign(size_t alignment, size_t size)
{
    void *block = __libc_memalign(alignment, size);

    count(block, 1);
    return block;
}

FOR_ALL void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

FOR_ALL int posix_memalign(void **block, size_t alignment, size_t size)
{
    *block = memalign(alignment, size);
    return !*block ? ENOMEM : 0;
}

FOR_ALL void free(void *block)
{
    count(block, -1);
    __libc_free(block);
}
