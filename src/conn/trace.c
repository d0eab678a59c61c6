/* SPDX-License-Identifier: Apache-2.0 */
/* Events of connections. */
#include "conn/trace.h"

static void tell(const struct milgi_conn *c, struct milgi_trace_event *event)
{
    milgi__trace(milgi__conn_tracer(c), milgi__owner_id(&c->owner), event);
}

uint64_t milgi_conn_id(const struct milgi_conn *c)
{
    return milgi__owner_id(&c->owner);
}

void milgi__conn_trace(const struct milgi_conn *c, enum milgi_trace_kind kind)
{
    struct milgi_trace_event event = { .kind = kind };
    tell(c, &event);
}

void milgi__conn_trace_key(const struct milgi_conn *c, enum milgi__dir dir, const struct milgi__suite *suite)
{
    struct milgi_trace_event event = { .kind = MILGI_TRACE_KEY };
    event.u.key.write = dir == MILGI__WRITE;
    event.u.key.suite = suite->id;
    event.u.key.epoch = milgi__conn_epoch(c, dir);
    tell(c, &event);
}

void milgi__conn_trace_stale(const struct milgi_conn *c, uint32_t records)
{
    struct milgi_trace_event event = { .kind = MILGI_TRACE_STALE };
    event.u.stale.records = records;
    tell(c, &event);
}

void milgi__conn_trace_alert(const struct milgi_conn *c, enum milgi_trace_kind kind, int alert)
{
    struct milgi_trace_event event = { .kind = kind };
    event.u.alert.alert = alert;
    tell(c, &event);
}

void milgi__conn_trace_pause(
    const struct milgi_conn *c, enum milgi_trace_kind kind, enum milgi_trace_cause cause)
{
    struct milgi_trace_event event = { .kind = kind };
    event.u.pause.cause = cause;
    tell(c, &event);
}

void milgi__conn_trace_closed(const struct milgi_conn *c, const struct milgi_reason *reason)
{
    struct milgi_trace_event event = { .kind = MILGI_TRACE_CLOSED };
    event.u.closed = *reason;
    tell(c, &event);
}
