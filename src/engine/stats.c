/* SPDX-License-Identifier: Apache-2.0 */
/* Counting. */
#include "engine/stats.h"

void milgi__stats_init(struct milgi__stats *st, const struct milgi_clock *clock)
{
    *st = (struct milgi__stats){ .clock = clock, .until = MILGI__SAMPLE, .until_inline = MILGI__SAMPLE_INLINE };
}

void milgi__stats_dev_init(struct milgi__dev_stats *s, const struct milgi_device *device)
{
    milgi__stats_dev_fini(s);
    s->name = device->ops->name;
    memcpy(s->spec, device->spec, sizeof s->spec);
    s->spec[sizeof s->spec - 1] = '\0';
}

void milgi__stats_dev_fini(struct milgi__dev_stats *s)
{
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        for (unsigned part = 0; part < MILGI_LATENCY_PARTS; part++)
            milgi__histogram_free(s->cls[cls].latency[part]);
    }
    *s = (struct milgi__dev_stats){ 0 };
}

void milgi__stats_time(struct milgi__dev_stats *s, unsigned cls, enum milgi_latency_part part, uint64_t ns)
{
    struct milgi__histogram **h = &s->cls[cls].latency[part];
    if (!*h)
        *h = milgi__histogram_new();
    if (*h)
        milgi__histogram_record(*h, ns);
}

/* A part of a sampled op's time is over. */
static void part_over(
    struct milgi__dev_stats *s, struct milgi_op *op, enum milgi_latency_part part, uint64_t stamp_ns)
{
    milgi__stats_time(s, op->cls, part, stamp_ns > op->e.stamp_ns ? stamp_ns - op->e.stamp_ns : 0);
    op->e.stamp_ns = stamp_ns;
}

/* The place in batch[] of a burst of |n| > 0. */
static unsigned batch_size(unsigned n)
{
    unsigned i = 0;
    while (n >>= 1)
        i++;
    return MILGI__MIN(i, MILGI_BATCH_SIZES - 1u);
}

void milgi__stats_burst_in(struct milgi__stats *st, struct milgi__dev_stats *s, struct milgi_op *const *ops,
    unsigned offered, unsigned taken, uint64_t stamp_ns)
{
    unsigned count[MILGI_OP_CLASSES] = { 0 };
    st->last_ns = stamp_ns;
    for (unsigned i = 0; i < taken; i++) {
        struct milgi_op *op = ops[i];
        s->submitted[op->type]++;
        count[op->cls]++;
        if (op->flags & MILGI__OP_SAMPLED)
            part_over(s, op, MILGI_LATENCY_QUEUE, stamp_ns);
    }
    if (taken < offered) {
        bool of[MILGI_OP_CLASSES] = { false };
        for (unsigned i = taken; i < offered; i++)
            of[ops[i]->cls] = true;
        for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++)
            s->cls[cls].full += of[cls];
        s->full++;
    }
    if (taken == 0)
        return;
    s->bursts++;
    s->burst_ops += taken;
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        struct milgi__class_stats *c = &s->cls[cls];
        if (count[cls] == 0)
            continue;
        c->submitted += count[cls];
        c->bursts++;
        c->burst_ops += count[cls];
        c->batch[batch_size(count[cls])]++;
        uint32_t inside = milgi__stats_in_flight(c);
        c->in_flight_peak = MILGI__MAX(c->in_flight_peak, inside);
    }
}

void milgi__stats_device_over(struct milgi__dev_stats *s, struct milgi_op *op, uint64_t stamp_ns)
{
    part_over(s, op, MILGI_LATENCY_DEVICE, stamp_ns);
}

void milgi__stats_inline_sample(struct milgi__stats *st, struct milgi__dev_stats *s, struct milgi_op *op)
{
    uint64_t stamp_ns = milgi__stats_clock(st);
    if (st->until_inline == 0)
        st->until_inline = MILGI__SAMPLE_INLINE;
    /* What is run again has its queue behind it; of the others those that were sampled come from a line. */
    if ((op->flags & MILGI__OP_SAMPLED) && op->e.tries == 0)
        part_over(s, op, MILGI_LATENCY_QUEUE, stamp_ns);
    op->flags |= MILGI__OP_SAMPLED;
    op->e.stamp_ns = stamp_ns;
}

void milgi__stats_records_sample(struct milgi__stats *st, struct milgi__dev_stats *s, uint64_t begin_ns)
{
    uint64_t end_ns = milgi__stats_clock(st);
    milgi__stats_time(s, MILGI_OP_CLASS_RECORDS, MILGI_LATENCY_DEVICE, end_ns > begin_ns ? end_ns - begin_ns : 0);
    milgi__stats_time(s, MILGI_OP_CLASS_RECORDS, MILGI_LATENCY_REORDER, 0);
}
