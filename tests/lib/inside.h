/* SPDX-License-Identifier: Apache-2.0 */
/* The libcrypto inside the library, which need not be the one that tests have. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* True if something is left in this thread's queue of errors. */
bool inside_errors_left(void);

/* Where it gets memory from and gives it back to; before anything else is asked of it. False: it does not take them. */
bool inside_set_memory(void *(*get)(size_t size, const char *file, int line),
    void *(*resize)(void *p, size_t size, const char *file, int line),
    void (*give)(void *p, const char *file, int line));
