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
        else if (d->deficit[cls] >= (int64_t)head->e.cost_ns)
            return (int)cls;
        /* Its turn is over; the other class's begins. */
        d->turn = (cls + 1) % MILGI_OP_CLASSES;
        d->deficit[d->turn] += (int64_t)e->o.share[d->turn] * MILGI__QUANTUM_NS;
    }
}

void milgi__fair_charge(struct milgi__dev *d, unsigned cls, uint32_t cost_ns)
{
    d->deficit[cls] -= (int64_t)cost_ns;
}
