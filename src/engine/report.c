/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine has counted, for whoever asks. */
#include "engine/parts.h"

/* --- counters ----------------------------------------------------------------------------------------------------- */

static void class_stats(const struct milgi__class_stats *c, uint32_t waiting, struct milgi_class_stats *out)
{
    *out = (struct milgi_class_stats){
        .submitted = c->submitted,
        .ok = c->ended[MILGI_OP_OK],
        .rejected = c->ended[MILGI_OP_REJECTED],
        .broken = c->ended[MILGI_OP_BROKEN],
        .cancelled = c->ended[MILGI_OP_CANCELLED],
        .lost = c->ended[MILGI_OP_LOST],
        .rerun = c->rerun,
        .spilled = c->spilled,
        .dropped = c->dropped,
        .full = c->full,
        .bursts = c->bursts,
        .burst_ops = c->burst_ops,
        .in_flight = milgi__stats_in_flight(c),
        .in_flight_peak = c->in_flight_peak,
        .waiting = waiting,
        .waiting_peak = MILGI__MAX(c->waiting_peak, waiting),
    };
    memcpy(out->batch, c->batch, sizeof out->batch);
}

static void device_stats(const struct milgi__dev *d, struct milgi_device_stats *out)
{
    const struct milgi__dev_stats *s = &d->stat;
    *out = (struct milgi_device_stats){
        .name = s->name,
        .spec = s->spec,
        .full = s->full,
        .bursts = s->bursts,
        .burst_ops = s->burst_ops,
        .quarantined = d->lent.n,
        .in_service = d->state == MILGI__DEV_SERVING,
        .lie = d->lie,
    };
    memcpy(out->submitted, s->submitted, sizeof out->submitted);
    memcpy(out->completed, s->completed, sizeof out->completed);
    for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
        struct milgi_class_stats *c = &out->cls[cls];
        class_stats(&s->cls[cls], d->line[cls].n, c);
        out->ok += c->ok;
        out->rejected += c->rejected;
        out->broken += c->broken;
        out->cancelled += c->cancelled;
        out->lost += c->lost;
        out->rerun += c->rerun;
        out->spilled += c->spilled;
        out->dropped += c->dropped;
        out->in_flight += c->in_flight;
        out->waiting += c->waiting;
    }
}

void milgi_engine_stats(const struct milgi_engine *e, struct milgi_engine_stats *stats)
{
    *stats = (struct milgi_engine_stats){
        .turns = e->turns,
        .conns = e->owners.n,
        .ops_alive = e->slab.alive,
        .orphans = e->orphans,
        .abandoned = e->abandoned,
        .abandoned_ops = e->abandoned_ops,
        .memory = milgi__pool_used(e->pool),
        .memory_peak = milgi__pool_peak(e->pool),
        .bytes_copied = e->copied + milgi__pool_copied(e->pool),
        .bytes_sealed = e->sealed,
        .bytes_opened = e->opened,
        .devices_n = e->devs_n,
    };
    for (unsigned i = 0; i < e->devs_n; i++) {
        device_stats(&e->dev[i], &stats->device[i]);
    }
}

/* --- times -------------------------------------------------------------------------------------------------------- */

/* The times that |index|, |cls| and |part| name, in *|one| if they are in one histogram (NULL: no times), else merged
 * into a new one, *|merged|. 0, MILGI_EINVAL, MILGI_ENOMEM. */
static int times(const struct milgi_engine *e, unsigned index, unsigned cls, enum milgi_latency_part part,
    const struct milgi__histogram **one, struct milgi__histogram **merged)
{
    *one = *merged = NULL;
    bool all_devices = index == MILGI_ALL, all_classes = cls == MILGI_ALL;
    if ((!all_devices && (index >= e->devs_n || !e->dev[index].stat.name)) ||
        (!all_classes && cls >= MILGI_OP_CLASSES) || (unsigned)part >= MILGI_LATENCY_PARTS)
        return MILGI_EINVAL;
    for (unsigned i = all_devices ? 0 : index; i < (all_devices ? e->devs_n : index + 1); i++) {
        for (unsigned k = all_classes ? 0 : cls; k < (all_classes ? MILGI_OP_CLASSES : cls + 1); k++) {
            const struct milgi__histogram *h = e->dev[i].stat.cls[k].latency[part];
            if (!h)
                continue;
            if (!*one) {
                *one = h;
                continue;
            }
            if (!*merged) {
                *merged = milgi__histogram_new();
                if (!*merged)
                    return MILGI_ENOMEM;
                milgi__histogram_merge(*merged, *one);
            }
            milgi__histogram_merge(*merged, h);
        }
    }
    if (*merged)
        *one = *merged;
    return 0;
}

int milgi_engine_latency(const struct milgi_engine *e, unsigned index, unsigned cls, enum milgi_latency_part part,
    struct milgi_latency *latency)
{
    const struct milgi__histogram *h;
    struct milgi__histogram *merged;
    *latency = (struct milgi_latency){ 0 };
    int rv = times(e, index, cls, part, &h, &merged);
    if (rv == 0 && h) {
        latency->count = milgi__histogram_count(h);
        latency->min_ns = milgi__histogram_min(h);
        latency->mean_ns = milgi__histogram_mean(h);
        latency->p50_ns = milgi__histogram_percentile(h, 50);
        latency->p90_ns = milgi__histogram_percentile(h, 90);
        latency->p99_ns = milgi__histogram_percentile(h, 99);
        latency->p999_ns = milgi__histogram_percentile(h, 99.9);
        latency->max_ns = milgi__histogram_max(h);
    }
    milgi__histogram_free(merged);
    return rv;
}

int milgi_engine_percentile(const struct milgi_engine *e, unsigned index, unsigned cls, enum milgi_latency_part part,
    double percent, uint64_t *ns)
{
    const struct milgi__histogram *h;
    struct milgi__histogram *merged;
    int rv = times(e, index, cls, part, &h, &merged);
    *ns = rv == 0 && h ? milgi__histogram_percentile(h, percent) : 0;
    milgi__histogram_free(merged);
    return rv;
}

void milgi_engine_latency_reset(struct milgi_engine *e)
{
    for (unsigned i = 0; i < e->devs_n; i++) {
        for (unsigned cls = 0; cls < MILGI_OP_CLASSES; cls++) {
            struct milgi__class_stats *c = &e->dev[i].stat.cls[cls];
            c->in_flight_peak = milgi__stats_in_flight(c);
            c->waiting_peak = 0;
            for (unsigned part = 0; part < MILGI_LATENCY_PARTS; part++) {
                if (c->latency[part])
                    milgi__histogram_reset(c->latency[part]);
            }
        }
    }
}
