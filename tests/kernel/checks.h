/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is tried with each kernel, beside libcrypto's AES-GCM. Everything random comes from a seed that is always the
 * same, or from MILGI_KERNEL_SEED; MILGI_KERNEL_BYTES is how much kernel_agrees_at_random() does.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "crypto/kernel/gcm.h"

/* All checks with one kernel, as a group of cmocka's. They are skipped where the kernel cannot be used. */
int kernel_checks_run(const struct milgi__gcm_kernel *kernel);

/* What a check begins with: its kernel, and numbers that begin anew. */
const struct milgi__gcm_kernel *kernel_of(void **state);

/* edges.c */
void stays_inside_of_its_buffers(void **state);
