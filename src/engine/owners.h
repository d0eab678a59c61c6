/* SPDX-License-Identifier: Apache-2.0 */
/* The owners of an engine: their handles, the lists in which they stand, and their deadlines (a binary heap). */
#pragma once

#include "op/owner.h"

struct milgi__owner_slot {
    struct milgi__owner *owner;
    uint32_t generation;
    uint32_t next_free; /* + 1 */
};

/* Places for so many owners come at once: nothing is moved when there are more, so that none of many waits for that. */
#define MILGI__OWNERS_BLOCK 256u
struct milgi__owner_block {
    struct milgi__owner_slot slot[MILGI__OWNERS_BLOCK];
    struct milgi__owner *heap[MILGI__OWNERS_BLOCK];
};

struct milgi__owners {
    struct milgi__owner_block **blocks;
    uint32_t blocks_n, blocks_cap, n, free;
    struct milgi__link ready[MILGI_OP_CLASSES]; /* by owner->cls */
    struct milgi__link dirty;
    struct milgi__link waiting; /* for ops or chunks */
    struct milgi__link waking;  /* waited, and are to try again */
    struct milgi__link tried;   /* have tried again, and wait as before */
    struct milgi__link cooling; /* were busy lately, the longest idle first */
    uint32_t heap_n;            /* the heap has a place for every slot */
};

void milgi__owners_init(struct milgi__owners *o);
void milgi__owners_fini(struct milgi__owners *o);
/* Gives it a handle; false: no memory. */
bool milgi__owners_add(struct milgi__owners *o, struct milgi__owner *owner);
/* Out of every list; its handle finds nobody from here on. */
void milgi__owners_remove(struct milgi__owners *o, struct milgi__owner *owner);
struct milgi__owner *milgi__owners_find(const struct milgi__owners *o, uint32_t index, uint32_t generation);
void milgi__owners_deadline(struct milgi__owners *o, struct milgi__owner *owner, uint64_t deadline_ns);
/* Whose is the first; NULL: nobody has one. */
struct milgi__owner *milgi__owners_first(const struct milgi__owners *o);
/* UINT64_MAX: nobody has one */
uint64_t milgi__owners_first_ns(const struct milgi__owners *o);
/* Calls owner->ops->drop() of all that are left. */
void milgi__owners_drop(struct milgi__owners *o);
