/* SPDX-License-Identifier: Apache-2.0 */
/* Events of connections; each only if milgi__traced(milgi__conn_tracer(c)). */
#pragma once

#include "conn/state.h"

void milgi__conn_trace(const struct milgi_conn *c, enum milgi_trace_kind kind); /* of a kind that has nothing to it */
void milgi__conn_trace_key(const struct milgi_conn *c, enum milgi__dir dir, const struct milgi__suite *suite);
void milgi__conn_trace_stale(const struct milgi_conn *c, uint32_t records);
void milgi__conn_trace_alert(const struct milgi_conn *c, enum milgi_trace_kind kind, int alert);
/* |kind| is PAUSE or RESUME. */
void milgi__conn_trace_pause(
    const struct milgi_conn *c, enum milgi_trace_kind kind, enum milgi_trace_cause cause);
void milgi__conn_trace_closed(const struct milgi_conn *c, const struct milgi_reason *reason);
