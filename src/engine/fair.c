/* SPDX-License-Identifier: Apache-2.0 */
/* Which class goes next at a device: deficit round robin over estimated service time. */
#include "engine/impl.h"

int milgi__fair_pick(struct milgi_engine *e, struct milgi__dev *d)
{
    if (!d->line[MILGI_CLASS_RECORDS].n && !d->line[MILGI_CLASS_HANDSHAKE].n)
        return -1;
    for (;;) {
        unsigned cls = d->turn;
        const struct milgi_op *head = d->line[cls].first;
        if (!head)
            d->deficit[cls] = 0; /* who has nothing to send saves nothing up */
        else if (d->deficit[cls] >= (int64_t)head->e.cost_ns || !d->line[1 - cls].n)
            return (int)cls;
        else
            d->deficit[cls] += (int64_t)e->o.share[cls] * MILGI__QUANTUM_NS;
        if (head && d->deficit[cls] >= (int64_t)head->e.cost_ns)
            return (int)cls;
        d->turn = (cls + 1) % MILGI_OP_CLASSES;
    }
}

void milgi__fair_charge(struct milgi__dev *d, unsigned cls, uint32_t cost_ns)
{
    d->deficit[cls] -= (int64_t)cost_ns;
    if (d->deficit[cls] < 0)
        d->deficit[cls] = 0;
}
