/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection waits for. */
#include "conn/state.h"

static bool turn_comes(const struct milgi_conn *c)
{
    return c->busy || !milgi__list_empty(&c->owner.ready) || !milgi__list_empty(&c->owner.dirty);
}

static bool is_held_back(const struct milgi_conn *c)
{
    return c->phase == MILGI__ESTABLISHED && c->in < MILGI__IN_CLOSED && c->unconsumed &&
        milgi__transport_in_busy(c->transport) &&
        c->unconsumed + milgi__transport_opening(c->transport) >= milgi__conn_share(c, MILGI_LIMIT_CREDIT);
}

/* All that has come is used, but for the beginning of a record. */
static bool wants_input(const struct milgi_conn *c)
{
    if (!milgi__conn_live(c) || c->in != MILGI__IN_OPEN || milgi__transport_in_flight(c->transport))
        return false;
    if (milgi__conn_hs(c) && c->hs->wait != MILGI__HS_INPUT)
        return false;
    return c->in_dry || !milgi__transport_in_busy(c->transport);
}

unsigned milgi_conn_waits_for(const struct milgi_conn *c)
{
    unsigned waits = c->out_handed ? MILGI_WAITS_OUTPUT : 0;
    if (turn_comes(c))
        waits |= MILGI_WAITS_TURN;
    if (c->phase >= MILGI__CLOSED)
        return waits;
    if (c->owner.first_op)
        waits |= MILGI_WAITS_DEVICE;
    if (milgi__conn_hs(c) && milgi__hs_asks(c->hs->hs))
        waits |= MILGI_WAITS_DECISION;
    if (!milgi__list_empty(&c->owner.waiting))
        waits |= MILGI_WAITS_MEMORY;
    if (is_held_back(c))
        waits |= MILGI_WAITS_CREDIT;
    if (wants_input(c))
        waits |= MILGI_WAITS_PEER;
    return waits;
}
