/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine has counted. */
#include "engine/impl.h"

void milgi__engine_count(struct milgi_engine *e, uint64_t copied, uint64_t sealed, uint64_t opened)
{
    e->copied += copied;
    e->sealed += sealed;
    e->opened += opened;
}

void milgi_engine_stats(const struct milgi_engine *e, struct milgi_engine_stats *stats)
{
    *stats = (struct milgi_engine_stats){
        .turns = e->turns,
        .conns = e->owners_n,
        .ops_alive = e->ops_alive,
        .memory = milgi__pool_used(e->pool),
        .memory_peak = milgi__pool_peak(e->pool),
        .bytes_copied = e->copied,
        .bytes_sealed = e->sealed,
        .bytes_opened = e->opened,
        .devices_n = e->devs_n,
    };
    for (unsigned i = 0; i < e->devs_n; i++) {
        const struct milgi__dev *d = &e->dev[i];
        stats->device[i] = d->stats;
        stats->device[i].in_flight = d->flight[0].n + d->flight[1].n;
        stats->device[i].waiting = d->line[0].n + d->line[1].n;
        stats->device[i].quarantined = d->lent.n;
        stats->device[i].in_service = d->in_service;
        /* Ops whose connection is gone: found by asking, since nobody but the reader of statistics wants to know. */
        const struct milgi__oplist *lists[] = { &d->line[0], &d->line[1], &d->flight[0], &d->flight[1] };
        for (unsigned k = 0; k < MILGI__COUNT(lists); k++) {
            for (const struct milgi_op *op = lists[k]->first; op; op = op->e.next) {
                struct milgi__owner *owner = milgi__engine_find((struct milgi_engine *)(uintptr_t)e, op->e.owner_index,
                    op->e.owner_generation);
                stats->orphans += owner == NULL;
            }
        }
    }
}
