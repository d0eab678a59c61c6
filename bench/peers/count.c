/* SPDX-License-Identifier: Apache-2.0 */
/* The program's malloc: glibc's, counted. Shared libraries call it, too. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "peer.h"

#define FOR_ALL __attribute__((visibility("default")))

/* Exported by glibc for those who put something before them. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static uint64_t calls; /* of the one thread that there is */

uint64_t count_mallocs(void)
{
    return calls;
}

FOR_ALL void *malloc(size_t size)
{
    calls++;
    return __libc_malloc(size);
}

FOR_ALL void *calloc(size_t n, size_t size)
{
    calls++;
    return __libc_calloc(n, size);
}

FOR_ALL void *realloc(void *old, size_t size)
{
    calls++;
    return __libc_realloc(old, size);
}

FOR_ALL void *memalign(size_t alignment, size_t size)
{
    calls++;
    return __libc_memalign(alignment, size);
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
