/* SPDX-License-Identifier: Apache-2.0 */
/* Where ops go, and how long they are expected to take there. */
#pragma once

#include "engine/parts.h"

/* Ops of a kind that come together and are sent together, if that is a gain; so many are counted at most. */
#define MILGI__GROUP_MIN 8u
#define MILGI__GROUP_LOOK 64u

void milgi__route_init(struct milgi_engine *e);
void milgi__route_drop(struct milgi_engine *e, unsigned index); /* no route names it any more */
/* Where |op| goes, its key is ready there and its expected cost set. Device 0: run it now. */
struct milgi__dev *milgi__route_op(struct milgi_engine *e, struct milgi_op *op);
uint64_t milgi__route_inline_ns(const struct milgi_engine *e, const struct milgi_op *op);
/* |op| came back from |d| after |ns|, measured at the device or around it. */
void milgi__route_learn(
    const struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op, uint64_t ns);
/* |d| is to do an op of its kind, to find out how long it takes, and has not yet. */
static inline bool milgi__route_is_tried(const struct milgi__dev *d, const struct milgi_op *op)
{
    return d->probed[op->e.kind];
}
/*
 * |d| says MILGI_CAP_TOGETHER, and |op| is a handshake's. True if |n| ops like it, given to |d| together, would be done
 * with clearly less work than by this thread one by one in |here_ns| each, and no later, although |before_ns| pass
 * before |d| begins. Now and then, and the more seldom the dearer it was, when that is not known.
 */
bool milgi__route_together(const struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op, uint32_t n,
    uint64_t here_ns, uint64_t before_ns);
/* What each of a group is expected to take |d|. */
uint32_t milgi__route_group_ns(const struct milgi__dev *d, const struct milgi_op *op);
/*
 * |n| ops wait that take this thread |here_ns| each and |d|, which sleeps, |there_ns|. True if what is sooner done with
 * its help is worth the processor time that it takes to wake it.
 */
bool milgi__route_worth_waking(const struct milgi__dev *d, uint64_t n, uint64_t here_ns, uint64_t there_ns);
/* What had nothing in it took |ns| beside the work on the first op that it got: to wake up, and to be heard of. */
void milgi__route_learn_wake(struct milgi__dev *d, uint64_t ns);
/*
 * |d| would need |there_ns| for |op| and somebody else |here_ns|, which is less. True now and then, when it was not
 * measured for long: whether that is still so is found out by this op.
 */
bool milgi__route_probe(
    const struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op, uint64_t there_ns, uint64_t here_ns);
