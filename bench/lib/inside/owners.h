/* SPDX-License-Identifier: Apache-2.0 */
/* For benchmarks that see the engine's insides: owners of ops that do nothing but count what comes back. */
#pragma once

#include <milgi/milgi.h>

#include "bench.h"
#include "engine/engine.h"

struct bench_member;
struct bench_owners {
    struct milgi_engine *engine;
    struct bench_member *members;
    unsigned n;
    uint64_t done;                                      /* ops that are back, OK; with any other the benchmark ends */
    void (*look)(void *arg, const struct milgi_op *op); /* at each; may be NULL */
    void *arg;
};

/* |n| owners of |engine|; look and arg are left as they are. */
void bench_owners_attach(struct bench_owners *owners, struct milgi_engine *engine, unsigned n);
void bench_owners_detach(struct bench_owners *owners);
struct milgi__owner *bench_owner(struct bench_owners *owners, unsigned i);
/* Never NULL. */
struct milgi_op *bench_op_new(struct milgi_engine *engine);
/* Ends the benchmark if |result| is an error. */
void bench_must(int result, const char *what);
