/* SPDX-License-Identifier: Apache-2.0 */
/* The statistics as text for people. */
#include <stdio.h>

#include "base/text.h"

#include <milgi/engine.h>

/* "17 ns", "3.25 us", "120 ms": three digits, in |out|. */
static const char *time_text(uint64_t ns, char out[16])
{
    static const char *const units[] = { "ns", "us", "ms", "s" };
    double value = (double)ns;
    unsigned unit = 0;
    while (unit < 3 && value >= 999.5) {
        value /= 1000;
        unit++;
    }
    int digits = value >= 99.95 ? 0 : 1;
    if (unit == 0)
        digits = 0;
    else if (value < 9.995)
        digits = 2;
    snprintf(out, 16, "%.*f %s", digits, value, units[unit]);
    return out;
}

static void put_engine(struct milgi__text *t, const struct milgi_engine_stats *s)
{
    milgi__text_line(t, "engine: %llu turns, %u connections, %u ops alive, %u of them without a connection",
        (unsigned long long)s->turns, s->conns, s->ops_alive, s->orphans);
    milgi__text_line(t, "  chunks: %zu bytes, at most %zu; bytes copied %llu, sealed %llu, opened %llu",
        s->memory, s->memory_peak, (unsigned long long)s->bytes_copied, (unsigned long long)s->bytes_sealed,
        (unsigned long long)s->bytes_opened);
    if (s->abandoned == 0)
        return;
    milgi__text_line(t, "  abandoned: %u queue pairs of devices that did not end, with %u ops", s->abandoned,
        s->abandoned_ops);
}

static void put_types(struct milgi__text *t, const struct milgi_device_stats *d)
{
    for (int type = 0; type < MILGI_OP_TYPES; type++) {
        if (!d->submitted[type])
            continue;
        milgi__text_line(t, "  %-16s %14llu submitted %14llu completed", milgi_op_type_name(type),
            (unsigned long long)d->submitted[type], (unsigned long long)d->completed[type]);
    }
}

/* What is 0 for both is left out. */
static void put_row(struct milgi__text *t, const char *name, uint64_t records, uint64_t handshake)
{
    if (records == 0 && handshake == 0)
        return;
    milgi__text_line(t, "  %-16s %14llu %14llu", name, (unsigned long long)records,
        (unsigned long long)handshake);
}

static void put_counters(struct milgi__text *t, const struct milgi_device_stats *d)
{
    const struct milgi_class_stats *r = &d->cls[MILGI_OP_CLASS_RECORDS], *h = &d->cls[MILGI_OP_CLASS_HANDSHAKE];
    if (r->submitted + r->waiting + r->spilled + h->submitted + h->waiting + h->spilled == 0)
        return;
    milgi__text_line(t, "  %-16s %14s %14s", "", "records", "handshake");
    put_row(t, "submitted", r->submitted, h->submitted);
    put_row(t, "ok", r->ok, h->ok);
    put_row(t, "rejected", r->rejected, h->rejected);
    put_row(t, "broken", r->broken, h->broken);
    put_row(t, "cancelled", r->cancelled, h->cancelled);
    put_row(t, "lost", r->lost, h->lost);
    put_row(t, "in flight", r->in_flight, h->in_flight);
    put_row(t, "most in flight", r->in_flight_peak, h->in_flight_peak);
    put_row(t, "waiting", r->waiting, h->waiting);
    put_row(t, "most waiting", r->waiting_peak, h->waiting_peak);
    put_row(t, "re-run elsewhere", r->rerun, h->rerun);
    put_row(t, "spilled", r->spilled, h->spilled);
    put_row(t, "dropped", r->dropped, h->dropped);
    put_row(t, "full", r->full, h->full);
}

static double mean(uint64_t sum, uint64_t n)
{
    return n ? (double)sum / (double)n : 0;
}

static void put_bursts(struct milgi__text *t, const struct milgi_device_stats *d)
{
    const struct milgi_class_stats *r = &d->cls[MILGI_OP_CLASS_RECORDS], *h = &d->cls[MILGI_OP_CLASS_HANDSHAKE];
    char name[32];
    if (!d->bursts)
        return;
    put_row(t, "bursts", r->bursts, h->bursts);
    milgi__text_line(t, "  %-16s %14.1f %14.1f", "  ops in each", mean(r->burst_ops, r->bursts),
        mean(h->burst_ops, h->bursts));
    for (unsigned i = 0; i < MILGI_BATCH_SIZES; i++) {
        if (i == 0)
            snprintf(name, sizeof name, "  of 1");
        else if (i < MILGI_BATCH_SIZES - 1)
            snprintf(name, sizeof name, "  of %u to %u", 1u << i, (2u << i) - 1);
        else
            snprintf(name, sizeof name, "  of %u and more", 1u << i);
        put_row(t, name, r->batch[i], h->batch[i]);
    }
}

static void put_times(struct milgi__text *t, const struct milgi_engine *e, unsigned index)
{
    static const char *const classes[] = { "records", "handshake" }, *const parts[] = { "queue", "device", "reorder" };
    char at[6][16];
    bool begun = false;
    for (unsigned i = 0; i < MILGI_OP_CLASSES * MILGI_LATENCY_PARTS; i++) {
        unsigned cls = i / MILGI_LATENCY_PARTS, part = i % MILGI_LATENCY_PARTS;
        struct milgi_latency l;
        if (milgi_engine_latency(e, index, cls, (enum milgi_latency_part)part, &l) != 0 || l.count == 0)
            continue;
        if (!begun) {
            milgi__text_line(t, "  %-18s %10s %9s %9s %9s %9s %9s %9s", "measured", "ops", "mean", "50 %",
                "90 %", "99 %", "99.9 %", "most");
            begun = true;
        }
        milgi__text_line(t, "  %-10s%-8s %10llu %9s %9s %9s %9s %9s %9s", classes[cls], parts[part],
            (unsigned long long)l.count, time_text(l.mean_ns, at[0]), time_text(l.p50_ns, at[1]),
            time_text(l.p90_ns, at[2]), time_text(l.p99_ns, at[3]), time_text(l.p999_ns, at[4]),
            time_text(l.max_ns, at[5]));
    }
}

size_t milgi_engine_dump(const struct milgi_engine *e, char *text, size_t size)
{
    struct milgi__text t = milgi__text_begin(text, size);
    struct milgi_engine_stats s;
    milgi_engine_stats(e, &s);
    put_engine(&t, &s);
    for (unsigned i = 0; i < s.devices_n; i++) {
        const struct milgi_device_stats *d = &s.device[i];
        if (!d->name)
            continue;
        milgi__text_line(&t, "%s", "");
        milgi__text_line(&t, "device %u: %s, %s, owes %u ops", i, *d->spec ? d->spec : d->name,
            d->in_service ? "in service" : "out of service", d->quarantined);
        if (d->lie) {
            milgi__text_line(&t, "  broke its contract: %s", d->lie);
        }
        put_types(&t, d);
        put_counters(&t, d);
        put_bursts(&t, d);
        put_times(&t, e, i);
    }
    return t.len;
}
