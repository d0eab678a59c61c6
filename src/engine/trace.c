/* SPDX-License-Identifier: Apache-2.0 */
/* Events of ops, and of who waits for memory. */
#include "engine/trace.h"

static uint64_t now_ns(const struct milgi_engine *e)
{
    return e->o.clock.monotonic_ns(e->o.clock.ctx);
}

static void tell(const struct milgi_engine *e, enum milgi_trace_kind kind, unsigned device, const struct milgi_op *op,
    struct milgi_trace_event *event)
{
    bool record = op->type <= MILGI_OP_OPEN;
    event->kind = kind;
    event->u.op.id = (uint64_t)op->e.generation << 32 | op->e.id;
    event->u.op.type = op->type;
    event->u.op.device = (uint8_t)device;
    event->u.op.alg = record && op->key ? op->key->alg : op->alg;
    event->u.op.len = record ? op->u.aead.dst_len : 0;
    /* Those of the engine's own have no owner: generations begin at 1. */
    milgi__trace(&e->tracer, op->e.owner_generation ? milgi__handle_id(op->e.owner_index, op->e.owner_generation) : 0,
        event);
}

void milgi__trace_op_start(const struct milgi_engine *e, const struct milgi__dev *d, struct milgi_op *op)
{
    struct milgi_trace_event event = { .u.op.status = MILGI_OP_PENDING };
    op->e.submitted_ns = 0; /* nobody has taken it */
    tell(e, MILGI_TRACE_OP_START, d->index, op, &event);
}

void milgi__trace_op_sent(const struct milgi_engine *e, const struct milgi__dev *d, struct milgi_op *op)
{
    struct milgi_trace_event event = { .u.op.status = MILGI_OP_PENDING };
    if (d->flags & MILGI_CAP_INLINE)
        op->e.submitted_ns = now_ns(e);
    tell(e, MILGI_TRACE_OP_SENT, d->index, op, &event);
}

static void tell_end(const struct milgi_engine *e, const struct milgi_op *op, enum milgi_op_status status, int code,
    uint32_t worked_ns)
{
    struct milgi_trace_event event = { .u.op.status = (uint8_t)status };
    event.u.op.code = code;
    event.u.op.took_ns = op->e.submitted_ns ? now_ns(e) - op->e.submitted_ns : 0;
    event.u.op.worked_ns = worked_ns;
    tell(e, MILGI_TRACE_OP_END, op->dev, op, &event);
}

void milgi__trace_op_end(const struct milgi_engine *e, const struct milgi_op *op)
{
    tell_end(e, op, (enum milgi_op_status)op->status, op->device_code, op->service_ns);
}

void milgi__trace_op_gone(const struct milgi_engine *e, const struct milgi_op *op, enum milgi_op_status status)
{
    tell_end(e, op, status, status == MILGI_OP_LOST ? MILGI_CODE_LOST : 0, 0);
}

void milgi__trace_memory(const struct milgi_engine *e, const struct milgi__owner *owner, bool waits)
{
    struct milgi_trace_event event = { .kind = waits ? MILGI_TRACE_PAUSE : MILGI_TRACE_RESUME };
    event.u.pause.cause = MILGI_TRACE_MEMORY;
    milgi__trace(&e->tracer, milgi__owner_id(owner), &event);
}
