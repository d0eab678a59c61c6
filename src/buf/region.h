/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that somebody else gives in large slabs, and that is used in small pieces. */
#pragma once

#include <milgi/buf.h>

#include "base/base.h"

/* Where slabs of MILGI_MEMORY_SLAB bytes come from; alloc returns NULL when there are none now. */
struct milgi__memory {
    void *(*alloc)(void *ctx, size_t size);
    void (*free)(void *ctx, void *p, size_t size);
    void *ctx;
};

struct milgi__slab;

/* Zeroed but for |memory| it is empty and ready. */
struct milgi__region {
    struct milgi__memory memory;
    struct milgi__slab *first, *last; /* oldest first: the later ones run empty and go back */
    size_t total;                     /* bytes of slabs */
    bool full;                        /* the last slab that was asked for was refused */
};

/*
 * |size| bytes (at most MILGI__REGION_MAX), aligned to MILGI__REGION_UNIT as far as the slabs are; *|slab| is needed to
 * give them back. NULL: none of the slabs has so many in one piece, and there is no other.
 */
#define MILGI__REGION_UNIT 512u
#define MILGI__REGION_MAX MILGI_CHUNK_MAX
void *milgi__region_alloc(struct milgi__region *region, size_t size, struct milgi__slab **slab);
/* A slab of which nothing is used any more goes back to where it came from. */
void milgi__region_free(struct milgi__region *region, struct milgi__slab *slab, void *p, size_t size);
/* One more slab; false: there is none. */
bool milgi__region_grow(struct milgi__region *region);
/* Gives back the slabs that nothing was ever taken from. */
void milgi__region_trim(struct milgi__region *region);
