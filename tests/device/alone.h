/* SPDX-License-Identifier: Apache-2.0 */
/* One device and a rig on it, in a test that a complaint ends. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "device/lanes/lanes.h"
#include "rig.h"

extern struct milgi_device *device;
extern struct rig rig;

/* Makes a device of |spec|, and the rig. */
void alone_begin(const char *spec, bool virtual_time);
/* Without a device nothing. */
void alone_end(void);
int alone_teardown(void **state);

/* Offers it; how many were taken, 0 or 1. */
unsigned alone_put(struct job *job);
/* What is back, each once; NULL: nothing. */
struct job *alone_get(void);

/* The device takes them all; and then gives them back as they must become. */
void alone_enqueue(struct job *const *jobs, unsigned n);
void alone_finish(struct job *const *jobs, unsigned n);

/* An op of |row|, if the rig has a key for it; |bad|: one that fails, where that can be. RSA signs by |rsa|. */
struct job *alone_job(enum milgi__row row, bool bad, uint16_t rsa);
