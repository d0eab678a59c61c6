/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this directory share: a victim, and a liar that is up to no good. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "configs.h"
#include "conn/records.h"
#include "conn/state.h"
#include "heap.h"
#include "liar.h"

#define MUST(call) assert_int_equal(call, 0)
#define SLOW "sim:latency=1ms,units=8,depth=64,order=out,jitter=1ms,seed=3"

extern struct fixture {
    struct identity *root, *leaf;
    struct milgi_credential *credential;
    struct milgi_config *client, *server;
} fixture;
int fixture_setup(void **state);
int fixture_teardown(void **state);

struct liar_setup setup_as(enum milgi_role role); /* |role| is the liar's */
void open_as(struct liar *liar, enum milgi_role role, const char *device);

/* Chunks of the victim's engine now, and at most ever. */
size_t memory_of(const struct liar *liar);
size_t peak_of(const struct liar *liar);
uint64_t records_in(const struct liar *liar);
