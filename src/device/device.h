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
/*
 * What is wrong with the device's functions and caps, by which nobody could work with it; NULL: nothing. To be asked
 * before a queue pair is opened.
 */
const char *milgi__device_complaint(const struct milgi_device *device);
/*
 * destroy() leaves |device| to the process: a thread of its does not return. It is counted until milgi__device_left()
 * takes it back, for it did in the end.
 */
void milgi__device_leave(struct milgi_device *device);
void milgi__device_left(struct milgi_device *device);

typedef int (*milgi__device_make)(const struct milgi__spec *spec, struct milgi_device **device, const char **why);
int milgi__device_cpu_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why);
int milgi__device_pool_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why);
int milgi__device_sim_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why);
int milgi__device_batch_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why);
int milgi__device_chaos_make(const struct milgi__spec *spec, struct milgi_device **device, const char **why);
