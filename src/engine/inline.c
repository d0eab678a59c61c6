/* SPDX-License-Identifier: Apache-2.0 */
/* Ops on the engine's own thread. */
#include "engine/inline.h"

#include "engine/end.h"
#include "engine/keys.h"
#include "engine/route.h"
#include "engine/trace.h"

#define LEARN_ONE_OF 16u /* of the inline device's ops is measured, when that is wanted */

void milgi__op_inline(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi__dev *d = &e->dev[0];
    struct milgi_op *done = NULL;
    op->dev = 0;
    op->status = MILGI_OP_PENDING;
    op->device_code = 0;
    op->service_ns = 0;
    op->flags &= (uint16_t)~MILGI__OP_CHECK;
    if (op->key && !milgi__key_ready(d, op->key)) {
        milgi__op_fail(e, op, milgi__key_is_here(op->key) ? MILGI_CODE_NO_MEMORY : MILGI_CODE_NO_DEVICE);
        return;
    }
    op->e.state = MILGI__OP_IN_FLIGHT;
    milgi__stats_inline_in(&e->stat, &d->stat, op);
    if (milgi__traced(&e->tracer))
        milgi__trace_op_sent(e, d, op);
    /* Ops of handshakes are dear enough to be timed all; records are charged by their owner's estimate. */
    bool handshake = op->cls == MILGI_OP_CLASS_HANDSHAKE;
    bool timed = handshake || (e->learn_inline && op->e.estimate_ns && ++e->learn_tick % LEARN_ONE_OF == 0);
    uint64_t begin_ns = timed ? milgi__stats_clock(&e->stat) : 0;
    if (d->device->ops->enqueue(d->qp, &op, 1) != 1 || d->device->ops->dequeue(d->qp, &done, 1) != 1) {
        op->status = MILGI_OP_BROKEN;
        done = op;
    }
    uint64_t took_ns = timed ? milgi__stats_clock(&e->stat) - begin_ns : 0;
    if (handshake) /* a clock that stands still says nothing */
        e->spent_ns += took_ns ? took_ns : milgi__route_inline_ns(e, op);
    if (took_ns && op->e.estimate_ns && (done->status == MILGI_OP_OK || done->status == MILGI_OP_REJECTED))
        milgi__route_learn(d, done, took_ns, begin_ns);
    milgi__stats_inline_out(&e->stat, &d->stat, done);
    milgi__op_ended(e, done);
}
