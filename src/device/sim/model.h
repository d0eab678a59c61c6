/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of an accelerator: ops wait in line, a number of units run them, each for its latency. It knows order and
 * times, and nothing of crypto; the time is what the caller says it is.
 */
#pragma once

#include <milgi/op.h>

#include "base/base.h"

struct milgi__sim_list {
    struct milgi_op *first, *last;
};

struct milgi__sim_model {
    /* what it models */
    uint64_t latency_ns[MILGI_OP_TYPES];
    uint64_t kib_ns;    /* added to the latency of a record for each KiB of it */
    uint64_t jitter_ns; /* up to this much is added to each latency */
    unsigned units;     /* 0: nothing begins by itself */
    unsigned depth;
    bool in_order;
    /* An op has ended: OK says that it is to be performed, all else that it is to come back so. */
    void (*ended)(void *ctx, struct milgi_op *op, enum milgi_op_status status);
    void *ctx;
    uint64_t random;
    /* its state */
    uint64_t now_ns;
    unsigned in_flight, running_n;
    struct milgi__sim_list waiting, finished;
    struct milgi_op **running; /* a heap, the first to end on top */
    struct milgi_op **order;   /* in_order: everything in flight, by number */
    uint64_t order_mask, submitted, delivered;
};

/* |model|'s first part is set. 0 or MILGI_ENOMEM. */
int milgi__sim_model_init(struct milgi__sim_model *model);
void milgi__sim_model_fini(struct milgi__sim_model *model);

/* One more op, that may begin from |ready_ns| on. There is room: in_flight < depth. */
void milgi__sim_model_submit(struct milgi__sim_model *model, struct milgi_op *op, uint64_t ready_ns);
/* Begins and ends whatever begins and ends until |now_ns|. */
void milgi__sim_model_advance(struct milgi__sim_model *model, uint64_t now_ns);
/* True if there is an op to deliver; the next such op, or NULL. */
bool milgi__sim_model_some(const struct milgi__sim_model *model);
struct milgi_op *milgi__sim_model_take(struct milgi__sim_model *model);
/* When to look again: nothing comes before that time. UINT64_MAX: nothing ever. */
uint64_t milgi__sim_model_next(const struct milgi__sim_model *model);
/* Ends an op that has not begun, now; false: it has. */
bool milgi__sim_model_end(struct milgi__sim_model *model, struct milgi_op *op, enum milgi_op_status status);
/* Ends everything: what runs is OK, what waits is CANCELLED. */
void milgi__sim_model_flush(struct milgi__sim_model *model);
/* The i-th that has not begun, oldest first, or NULL. */
struct milgi_op *milgi__sim_model_waiting(const struct milgi__sim_model *model, unsigned i);
/* The one behind it, or NULL. */
struct milgi_op *milgi__sim_model_behind(struct milgi_op *op);
