/* SPDX-License-Identifier: Apache-2.0 */
/* Out of the devices again. */
#include "engine/poll.h"

#include "engine/end.h"
#include "engine/ops.h"
#include "engine/route.h"

static void came_back(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op, uint64_t now_ns)
{
    if (op->e.state == MILGI__OP_LENT) {
        /* Its owner was told long ago; only its memory comes home. */
        milgi__oplist_remove(&d->lent, op);
        milgi__stats_returned(&d->stat, op);
        milgi__op_release(e, op);
        return;
    }
    d->outstanding_ns -= op->e.cost_ns;
    /*
     * Around an op that did not wait for a unit the engine can take the time by itself, with what it did meanwhile:
     * only of a device that does not tell. What fails says nothing of how long the others take: a device that fails at
     * once is not a fast one.
     */
    bool performed = op->status == MILGI_OP_OK || op->status == MILGI_OP_REJECTED;
    if (performed && op->service_ns) {
        milgi__route_learn(d, op, op->service_ns, now_ns);
        d->tells = true;
    } else if (!d->tells && op->e.alone && op->status == MILGI_OP_OK)
        milgi__route_learn(d, op, now_ns - op->e.submitted_ns, now_ns);
    milgi__oplist_remove(&d->flight[op->cls], op);
    op->e.state = MILGI__OP_MADE;
    milgi__op_ended(e, op);
}

unsigned milgi__dev_poll(struct milgi_engine *e, struct milgi__dev *d)
{
    struct milgi_op *burst[MILGI__BURST];
    unsigned total = 0, n;
    uint32_t expected = milgi__dev_inside(d);
    /*
     * Bounded by what is in it now: what callbacks add comes in the next pass. With nothing in it once all the same,
     * for a notification may come late, and the descriptor would stay readable.
     */
    do {
        n = d->device->ops->dequeue(d->qp, burst, MILGI__BURST);
        if (n == 0)
            break;
        uint64_t now_ns = milgi__stats_burst_out(&e->stat, &d->stat, burst, n);
        for (unsigned i = 0; i < n; i++)
            came_back(e, d, burst[i], now_ns);
        total += n;
    } while (total < expected);
    if (total) {
        d->quiet_since_ns = e->now_ns;
        d->spins = 0;
    }
    return total;
}
