/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted, and the hooks by which the engine's files say so. The counters are plain integers of one thread.
 * Clocks are read once per burst; one op of MILGI__SAMPLE carries a stamp, and only its times go into histograms.
 *
 * The way of an op            hook                                        where
 *   into the line             milgi__stats_submit                         before it is put there
 *   the line is looked at     milgi__stats_line                           flush, once per class
 *   the burst goes in         milgi__stats_clock, milgi__stats_burst_in   before and after enqueue()
 *   the burst comes out       milgi__stats_clock, milgi__stats_out        after dequeue(); of each op, before all else
 *   inline instead of these   milgi__stats_inline_in, _out                around enqueue() and dequeue()
 *   records without ops       milgi__stats_records_in, _out               around process(), all of this at once
 *   its end                   milgi__stats_ended or milgi__stats_lost     once for each that went in
 *   its turn                  milgi__engine_reorder (engine.h)            delivered in order, if it was sampled
 */
#pragma once

#include <stdbool.h>

#include <milgi/device.h>
#include <milgi/stats.h>

#include "engine/histogram.h"
#include "op/op.h"

/*
 * One of so many ops is sampled; of those that run inline one of more, since there two readings of the clock take as
 * long as a small op. Odd, so that it is not always the same place of a burst.
 */
#define MILGI__SAMPLE 31u
#define MILGI__SAMPLE_INLINE 61u

/* The engine's. */
struct milgi__stats {
    const struct milgi_clock *clock;
    uint64_t last_ns;             /* what the clock said last */
    uint32_t until, until_inline; /* ops until the next that is sampled */
};

struct milgi__class_stats {
    uint64_t submitted;                /* accepted by the device */
    uint64_t ended[MILGI_OP_LOST + 1]; /* by status */
    uint64_t rerun, spilled, dropped;
    uint64_t full; /* bursts of which it refused some */
    uint64_t bursts, burst_ops;
    uint64_t batch[MILGI_BATCH_SIZES];
    uint32_t in_flight_peak, waiting_peak;
    struct milgi__histogram *latency[MILGI_LATENCY_PARTS]; /* made when first used */
};

/* A device's. */
struct milgi__dev_stats {
    const char *name;
    char spec[sizeof((struct milgi_device *)0)->spec]; /* a copy: the device may go first */
    uint64_t submitted[MILGI_OP_TYPES], completed[MILGI_OP_TYPES];
    uint64_t full; /* bursts that were not accepted whole */
    uint64_t bursts, burst_ops;
    struct milgi__class_stats cls[MILGI_OP_CLASSES];
};

void milgi__stats_init(struct milgi__stats *st, const struct milgi_clock *clock);
/* A queue pair was opened: everything starts at 0, also when the index had another device before. */
void milgi__stats_dev_init(struct milgi__dev_stats *s, const struct milgi_device *device);
void milgi__stats_dev_fini(struct milgi__dev_stats *s);
/* Adds one time; forgets it when there is no memory for a histogram. */
void milgi__stats_time(struct milgi__dev_stats *s, unsigned cls, enum milgi_latency_part part, uint64_t ns);
void milgi__stats_burst_in(struct milgi__stats *st, struct milgi__dev_stats *s, struct milgi_op *const *ops,
    unsigned offered, unsigned taken, uint64_t stamp_ns);
/* The time of a sampled op in its device is over. */
void milgi__stats_device_over(struct milgi__dev_stats *s, struct milgi_op *op, uint64_t stamp_ns);

/* In the device, without those that are lost. */
static inline uint32_t milgi__stats_in_flight(const struct milgi__class_stats *c)
{
    uint64_t n = c->submitted;
    for (unsigned status = 0; status <= MILGI_OP_LOST; status++)
        n -= c->ended[status];
    return (uint32_t)n;
}

static inline uint64_t milgi__stats_clock(struct milgi__stats *st)
{
    st->last_ns = st->clock->monotonic_ns(st->clock->ctx);
    return st->last_ns;
}

/* |op| goes into a device's line. */
static inline void milgi__stats_submit(struct milgi__stats *st, struct milgi_op *op)
{
    if (--st->until != 0)
        return;
    st->until = MILGI__SAMPLE;
    op->flags |= MILGI__OP_SAMPLED;
    op->e.stamp_ns = milgi__stats_clock(st);
}

/* |waiting| ops of the class are in the line now. */
static inline void milgi__stats_line(struct milgi__dev_stats *s, unsigned cls, uint32_t waiting)
{
    if (waiting > s->cls[cls].waiting_peak)
        s->cls[cls].waiting_peak = waiting;
}

void milgi__stats_inline_sample(struct milgi__stats *st, struct milgi__dev_stats *s, struct milgi_op *op);

/* |op| begins on the inline device, for the first time or again. */
static inline void milgi__stats_inline_in(struct milgi__stats *st, struct milgi__dev_stats *s, struct milgi_op *op)
{
    s->submitted[op->type]++;
    s->cls[op->cls].submitted++;
    if (--st->until_inline == 0 || (op->flags & MILGI__OP_SAMPLED))
        milgi__stats_inline_sample(st, s, op);
}

static inline void milgi__stats_inline_out(struct milgi__stats *st, struct milgi__dev_stats *s, struct milgi_op *op)
{
    if (op->flags & MILGI__OP_SAMPLED)
        milgi__stats_device_over(s, op, milgi__stats_clock(st));
}

/* |n| records that have no op begin on the inline device. True: one of them is sampled, and now is st->last_ns. */
static inline bool milgi__stats_records_in(struct milgi__stats *st, struct milgi__dev_stats *s, int type, unsigned n)
{
    s->submitted[type] += n;
    s->cls[MILGI_OP_CLASS_RECORDS].submitted += n;
    if (st->until_inline > n) {
        st->until_inline -= n;
        return false;
    }
    st->until_inline = st->until_inline + MILGI__SAMPLE_INLINE - n;
    milgi__stats_clock(st);
    return true;
}

/* They have come out, and have their turn. */
static inline void milgi__stats_records_out(
    struct milgi__dev_stats *s, int type, const struct milgi_op_record *records, unsigned n)
{
    s->completed[type] += n;
    for (unsigned i = 0; i < n; i++)
        s->cls[MILGI_OP_CLASS_RECORDS].ended[records[i].status]++;
}

/* They are as if they had never been. */
static inline void milgi__stats_records_off(
    struct milgi__dev_stats *s, int type, const struct milgi_op_record *records, unsigned n)
{
    s->submitted[type] -= n;
    s->completed[type] -= n;
    s->cls[MILGI_OP_CLASS_RECORDS].submitted -= n;
    for (unsigned i = 0; i < n; i++)
        s->cls[MILGI_OP_CLASS_RECORDS].ended[records[i].status]--;
}

/* The sampled one of those that have come out just now and had begun at |begin_ns|. */
void milgi__stats_records_sample(struct milgi__stats *st, struct milgi__dev_stats *s, uint64_t begin_ns);

/* |op| has come out of its device, at |stamp_ns|. */
static inline void milgi__stats_out(struct milgi__dev_stats *s, struct milgi_op *op, uint64_t stamp_ns)
{
    if (op->flags & MILGI__OP_SAMPLED)
        milgi__stats_device_over(s, op, stamp_ns);
}

/* |op| is back for its owner, its status final; also when it is to be re-run. */
static inline void milgi__stats_ended(struct milgi__dev_stats *s, const struct milgi_op *op)
{
    s->completed[op->type]++;
    s->cls[op->cls].ended[op->status]++;
}

/* |op| is past its deadline and still in the device. */
static inline void milgi__stats_lost(struct milgi__dev_stats *s, const struct milgi_op *op)
{
    s->cls[op->cls].ended[MILGI_OP_LOST]++;
}

/* An op that was LOST came home. */
static inline void milgi__stats_returned(struct milgi__dev_stats *s, const struct milgi_op *op)
{
    s->completed[op->type]++;
}

/* It failed or was lost at this device and begins again on another. */
static inline void milgi__stats_rerun(struct milgi__dev_stats *s, const struct milgi_op *op)
{
    s->cls[op->cls].rerun++;
}

/* It was meant for this device and goes to another, since this one is full or out of service. */
static inline void milgi__stats_spilled(struct milgi__dev_stats *s, const struct milgi_op *op)
{
    s->cls[op->cls].spilled++;
}

/* It never began: its owner went while it waited in line. */
static inline void milgi__stats_dropped(struct milgi__dev_stats *s, const struct milgi_op *op)
{
    s->cls[op->cls].dropped++;
}
