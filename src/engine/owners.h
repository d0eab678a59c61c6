/* SPDX-License-Identifier: Apache-2.0 */
/* The owners of an engine: their handles, the lists in which they stand, and their deadlines (a binary heap). */
#pragma once

#include "op/owner.h"

struct milgi__owner_slot {
    struct milgi__owner *owner;
    uint32_t generation;
    uint32_t next_free; /* + 1 */
};

struct milgi__owners {
    struct milgi__owner_slot *slots;
    uint32_t cap, n, free;
    struct milgi__link ready[MILGI_OP_CLASSES]; /* by owner->cls */
    struct milgi__link dirty;
    struct milgi__link waiting; /* for ops or chunks */
    struct milgi__link waking;  /* waited, and are to try again */
    struct milgi__link cooling; /* were busy lately, the longest idle first */
    struct milgi__owner **heap; /* has a place for every slot */
    uint32_t heap_n;
};

void milgi__owners_init(struct milgi__owners *o);
void milgi__owners_fini(struct milgi__owners *o);
/* Gives it a handle; false: no memory. */
bool milgi__owners_add(struct milgi__owners *o, struct milgi__owner *owner);
/* Out of every list; its handle finds nobody from here on. */
void milgi__owners_remove(struct milgi__owners *o, struct milgi__owner *owner);
struct milgi__owner *milgi__owners_find(const struct milgi__owners *o, uint32_t index, uint32_t generation);
void milgi__owners_deadline(struct milgi__owners *o, struct milgi__owner *owner, uint64_t deadline_ns);
/* UINT64_MAX: nobody has one */
uint64_t milgi__owners_first_ns(const struct milgi__owners *o);
