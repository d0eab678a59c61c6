/* SPDX-License-Identifier: Apache-2.0 */
/* Failing: it is written down here, and acted on in the turn. */
#include "conn/fail.h"

/* Of what the handshake waited for in vain. */
static enum milgi_fault fault_of_late(unsigned waits)
{
    if (waits & MILGI_WAITS_PEER)
        return MILGI_FAULT_PEER;
    if (waits & MILGI_WAITS_DEVICE)
        return MILGI_FAULT_DEVICE;
    return waits & MILGI_WAITS_MEMORY ? MILGI_FAULT_MEMORY : MILGI_FAULT_OURS;
}

static enum milgi_fault fault_of(const struct milgi_conn *c, const struct milgi__failure *f)
{
    switch (f->error) {
    case MILGI_ENOMEM: return MILGI_FAULT_MEMORY;
    case MILGI_EBUSY: return MILGI_FAULT_DEVICE;
    case MILGI_ETIMEOUT: return fault_of_late(milgi_conn_waits_for(c));
    case MILGI_ELIMIT: /* a limit of the peer's has an alert that says so */
        return f->alert == MILGI_ALERT_NONE || f->alert == MILGI_ALERT_INTERNAL_ERROR ? MILGI_FAULT_OURS
                                                                                      : MILGI_FAULT_PEER;
    default: break;
    }
    switch (milgi_error_class(f->error)) {
    case MILGI_CLASS_IO: return MILGI_FAULT_TRANSPORT;
    case MILGI_CLASS_PEER:
    case MILGI_CLASS_PROTO:
    case MILGI_CLASS_AUTH: return MILGI_FAULT_PEER;
    case MILGI_CLASS_DEVICE: return MILGI_FAULT_DEVICE;
    default: return MILGI_FAULT_OURS;
    }
}

void milgi__conn_fail_with(struct milgi_conn *c, const struct milgi__failure *failure)
{
    if (!milgi__conn_live(c))
        return;
    c->fault = (uint8_t)fault_of(c, failure) & 7u;
    c->phase = MILGI__FAILING;
    c->failure = *failure;
    milgi__engine_ready(c->engine, &c->owner);
}

void milgi__conn_fail(struct milgi_conn *c, int error, int alert, const char *detail)
{
    struct milgi__failure failure = milgi__failure(error, alert, detail);
    milgi__conn_fail_with(c, &failure);
}
