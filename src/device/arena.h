/* SPDX-License-Identifier: Apache-2.0 */
/* Memory in huge pages that a device gives to engines: for devices that have none of their own hardware's. */
#pragma once

#include "device/device.h"

struct milgi__arena;

/* Of |size| bytes, a multiple of MILGI_MEMORY_SLAB. NULL: there is not so much address space. */
struct milgi__arena *milgi__arena_new(size_t size);
/* Everything has come back. */
void milgi__arena_free(struct milgi__arena *arena);
/* One slab; NULL: all are in use. Any thread, as milgi__arena_give(). */
void *milgi__arena_take(struct milgi__arena *arena);
void milgi__arena_give(struct milgi__arena *arena, void *slab);
/* Whether all |len| bytes at |p| lie in it; none do so anywhere. */
bool milgi__arena_has(const struct milgi__arena *arena, const void *p, size_t len);
/* Slabs in use. */
size_t milgi__arena_used(const struct milgi__arena *arena);

/*
 * The value of a device's word "memory": "<kind>" or "<kind>:<size>", for instance "huge:256m". false: it is neither.
 * *|size| keeps its value if none is said.
 */
bool milgi__arena_word(const char *value, const char *kind, uint64_t *size);
