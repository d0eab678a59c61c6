/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdlib.h>

bool (*milgi__mem_fail)(void);
void (*milgi__mem_made)(void);

void milgi__wipe(void *p, size_t len)
{
    if (len == 0)
        return;
    memset(p, 0, len);
    /* Whoever reads on may depend on the zeros: so the compiler has to write them. */
    __asm__ __volatile__(""
                         :
                         : "r"(p)
                         : "memory");
}

void milgi__zero(void *p, size_t len)
{
    memset(p, 0, len);
}

int milgi__ct_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a, *y = b;
    unsigned difference = 0;
    for (size_t i = 0; i < len; i++)
        difference |= (unsigned)(x[i] ^ y[i]);
    return (int)(1 & (difference - 1) >> 8); /* 0 - 1 has bit 8 set, 1..255 less 1 has not */
}

bool milgi__alloc_refused(void)
{
    return milgi__mem_fail && milgi__mem_fail();
}

static bool refused(void)
{
    if (milgi__alloc_refused())
        return true;
    if (milgi__mem_made)
        milgi__mem_made();
    return false;
}

#define ZEROED_LARGE 4096u

/*
 * What is small is quicker zeroed here, since glibc's calloc() passes its cache of the thread by; what is large may be
 * zero already, fresh from the system, as calloc() knows.
 */
void *milgi__alloc(size_t size)
{
    if (refused())
        return NULL;
    if (size > ZEROED_LARGE)
        return calloc(1, size);
    static void *(*const volatile unknown)(size_t) = malloc; /* or the compiler makes a calloc() of the two */
    void *p = unknown(size ? size : 1);
    return p ? memset(p, 0, size) : NULL;
}

void *milgi__alloc_raw(size_t size)
{
    return refused() ? NULL : malloc(size ? size : 1);
}

void milgi__free(void *p)
{
    free(p);
}

void milgi__free_wiped(void *p, size_t size)
{
    if (!p)
        return;
    milgi__wipe(p, size);
    free(p);
}
