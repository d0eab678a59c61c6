/* SPDX-License-Identifier: Apache-2.0 */
/* Who is told of events. Without anybody each place where one happens costs a test of a pointer. */
#pragma once

#include <milgi/trace.h>

#include "op/owner.h"

/* The engine's, which outlives all who point to it. */
struct milgi__tracer {
    milgi_trace_fn *fn; /* NULL: nobody */
    void *ctx;
    const struct milgi_clock *clock;
};

/* |t| may be NULL. */
static inline bool milgi__traced(const struct milgi__tracer *t)
{
    return __builtin_expect(t && t->fn, 0);
}

/* Only if somebody is there: fills in the time. */
void milgi__trace(const struct milgi__tracer *t, uint64_t conn, struct milgi_trace_event *event);
