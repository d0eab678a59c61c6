/* SPDX-License-Identifier: Apache-2.0 */
/* How much heap the process uses, as far as its allocator or sanitizer says. */
#pragma once

#include <stddef.h>

size_t heap_used(void);
