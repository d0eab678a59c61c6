/* SPDX-License-Identifier: Apache-2.0 */
/* What devices share. */
#pragma once

#include <milgi/device.h>

#include "base/base.h"
#include "op/op.h"

/* "name:key=value,key=value,word": the parts of a device's description. */
struct milgi__spec {
    char text[96];
    char *key[12], *value[12]; /* value NULL: a bare word */
    unsigned n;
};
/* 0 or MILGI_EINVAL. */
int milgi__spec_parse(struct milgi__spec *spec, const char *text);
/* Values with a unit (ns us ms s; none: plain number). false: malformed. */
bool milgi__spec_time(const char *value, uint64_t *ns);
bool milgi__spec_number(const char *value, uint64_t max, uint64_t *n);
bool milgi__spec_size(const char *value, uint64_t *bytes); /* a number, and perhaps k, m or g */
bool milgi__spec_fraction(const char *value, double *f);   /* 0..1, or with a % sign */

/* Made by milgi_device_new() in another process, as before fork(). */
bool milgi__device_foreign(const struct milgi_device *device);

typedef int (*milgi__device_make)(const struct milgi__spec *spec, struct milgi_device **device, const char **why);
int milgi__device_cpu_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why);
int milgi__device_pool_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why);
int milgi__device_sim_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why);
int milgi__device_chaos_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why);

/*
 * Tests drive a sim device made with the word "manual": it finishes nothing by itself.
 */
/* what it has accepted and not finished, oldest first */
unsigned milgi__sim_pending(struct milgi_device *device, struct milgi_op **ops, unsigned n);
/*
 * Finishes the i-th: performs it (status OK as performed), or gives it back unperformed as REJECTED, BROKEN or
 * CANCELLED; LOST: keeps it until it is finished again or quiesced.
 */
void milgi__sim_finish(struct milgi_device *device, unsigned i, enum milgi_op_status status);
/* Whether the memory that a device made with "memory=own" reaches has all |len| bytes at |p|. */
bool milgi__sim_reaches(const struct milgi_device *device, const void *p, size_t len);
void milgi__sim_refuse(struct milgi_device *device, bool full); /* from now on accepts nothing; or again */
