/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of ops: slabs that grow with what is alive. */
#pragma once

#include "op/op.h"

#define MILGI__SLAB_OPS 64u /* ops allocated at once */

/* All zeros: empty. */
struct milgi__slab {
    struct milgi_op **slabs;
    uint32_t slabs_n, slabs_cap;
    struct milgi_op *free;
    uint32_t alive;
    uint64_t last_id;
    bool freed; /* something was, since somebody last asked */
};

/* One that is MILGI__OP_MADE, its header zero and its id its own; NULL: no memory. */
struct milgi_op *milgi__slab_take(struct milgi__slab *s);
void milgi__slab_give(struct milgi__slab *s, struct milgi_op *op);
/*
 * Without any op the slabs of a busier time go, but for one. They are all that is left of it, and as they lie between
 * chunks that have been freed, the heap could not give those back either.
 */
void milgi__slab_trim(struct milgi__slab *s);
void milgi__slab_fini(struct milgi__slab *s);
