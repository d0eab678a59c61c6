/* SPDX-License-Identifier: Apache-2.0 */
/* Events, told; and their names. */
#include "op/trace.h"

void milgi__trace(const struct milgi__tracer *t, uint64_t conn, struct milgi_trace_event *event)
{
    event->conn = conn;
    event->time_ns = t->clock->monotonic_ns(t->clock->ctx);
    t->fn(t->ctx, event);
}

const char *milgi_trace_kind_name(int kind)
{
    static const char *const names[MILGI_TRACE_KINDS] = {
        [MILGI_TRACE_NEW] = "new",
        [MILGI_TRACE_STEP] = "step",
        [MILGI_TRACE_OP_START] = "op_start",
        [MILGI_TRACE_OP_SENT] = "op_sent",
        [MILGI_TRACE_OP_END] = "op_end",
        [MILGI_TRACE_KEY] = "key",
        [MILGI_TRACE_STALE] = "stale",
        [MILGI_TRACE_ALERT_SENT] = "alert_sent",
        [MILGI_TRACE_ALERT_RECEIVED] = "alert_received",
        [MILGI_TRACE_PAUSE] = "pause",
        [MILGI_TRACE_RESUME] = "resume",
        [MILGI_TRACE_CLOSED] = "closed",
        [MILGI_TRACE_FREED] = "freed",
    };
    return kind >= 0 && kind < MILGI_TRACE_KINDS ? names[kind] : NULL;
}

const char *milgi_trace_cause_name(int cause)
{
    static const char *const names[MILGI_TRACE_CAUSES] = {
        [MILGI_TRACE_INPUT] = "input",
        [MILGI_TRACE_CREDIT] = "credit",
        [MILGI_TRACE_OUTPUT] = "output",
        [MILGI_TRACE_MEMORY] = "memory",
        [MILGI_TRACE_HANDSHAKE] = "handshake",
    };
    return cause >= 0 && cause < MILGI_TRACE_CAUSES ? names[cause] : NULL;
}
