/* SPDX-License-Identifier: Apache-2.0 */
#include "heap.h"

#include <malloc.h>

extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t heap_used(void)
{
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}
