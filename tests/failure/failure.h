/* SPDX-License-Identifier: Apache-2.0 */
/* What the program does; each returns 0, or 1 when something is not as it should be, and says what. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim.h"

/*
 * |wanted| connections on |device|; |replaced|: which is killed and replaced again and again; |resident|: the memory of
 * the process is looked at.
 */
int churn(const char *device, uint64_t wanted, bool real, bool replaced, bool resident);

/* What a device goes through, and how much longer than before a byte may have to wait for that. */
struct illness {
    const char *name;
    enum shim_mode mode;
    uint64_t late_ns; /* SHIM_SLOW: by how much */
    uint64_t ill_ns;  /* how long; then it is a little slow for |slow_ns|, and then well */
    uint64_t slow_ns;
    uint64_t stall_ns;
};

/* |n| transfers of |bytes| in each direction. */
int transfer(const char *device, const struct illness *illness, unsigned n, size_t bytes, bool real);
