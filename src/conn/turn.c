/* SPDX-License-Identifier: Apache-2.0 */
/* The turn of a connection, and all else that the engine wants of it. */
#include "conn/turn.h"

#include "conn/close.h"
#include "conn/fail.h"
#include "conn/handshake.h"
#include "conn/input.h"
#include "conn/output.h"

#define ROUNDS 64    /* of a turn: each does all that can be done; more only after progress */
#define TURN_NS 200u /* of a turn with nothing to do */

/*
 * A handshake that waits for a device or a decision may wait for long, with thousands like it: it holds what it knows
 * and nothing else.
 */
static void park(struct milgi_conn *c)
{
    if (c->phase == MILGI__HANDSHAKING && c->hs && c->hs->wait != MILGI__HS_INPUT)
        milgi__transport_idle(c->transport);
}

static void count_copies(struct milgi_conn *c)
{
    uint64_t copied = c->copied + milgi__transport_copied(c->transport);
    if (copied)
        milgi__engine_count(c->engine, copied, 0, 0);
    c->copied = 0;
}

/* Frees at last, if a callback asked for it while we were at work. */
static void leave(struct milgi_conn *c)
{
    if (--c->busy == 0 && c->phase == MILGI__FREED)
        milgi__conn_destroy(c);
}

/* Whether another round could move anything, now that the last one has. */
static bool has_more(const struct milgi_conn *c)
{
    return c->phase != MILGI__FREED &&
        (c->hs || milgi__transport_next_type(c->transport) || milgi__transport_in_busy(c->transport));
}

/* True: it stopped for the budget. */
static bool rounds(struct milgi_conn *c, uint64_t budget_ns, uint64_t *spent_ns)
{
    bool progress = true;
    /* One round at least, however little is left of the budget: else who asks for little would never get anywhere. */
    uint64_t begin_ns = milgi__engine_spent(c->engine);
    for (unsigned round = 0; progress && round < ROUNDS; round++) {
        if (round && *spent_ns + milgi__engine_spent(c->engine) - begin_ns >= budget_ns)
            break;
        progress = milgi__conn_handshake(c);
        milgi__conn_settle(c);
        progress |= milgi__conn_pump_out(c, spent_ns);
        progress |= milgi__conn_pump_in(c, budget_ns, spent_ns);
        milgi__conn_settle(c);
        progress = progress && has_more(c);
    }
    return progress;
}

/* What comes once in a turn, when all has been done that could be. */
static void conclude(struct milgi_conn *c, uint64_t *spent_ns)
{
    milgi__conn_pump_out(c, spent_ns);
    milgi__conn_input_state(c);
    milgi__conn_close_state(c);
    if (c->phase == MILGI__FREED)
        return;
    if (c->blocked_room)
        milgi__engine_wait(c->engine, &c->owner);
    milgi__transport_flush(c->transport); /* the end of a turn is a flush point */
    park(c);
}

static uint64_t owner_turn(struct milgi__owner *owner, uint64_t budget_ns, bool *more)
{
    struct milgi_conn *c = milgi__conn_of(owner);
    uint64_t spent_ns = TURN_NS;
    c->busy++;
    c->blocked_room = false;
    c->data = milgi__engine_scratch(c->engine);
    if (c->phase == MILGI__NEW)
        milgi__conn_begin(c);
    *more = rounds(c, budget_ns, &spent_ns);
    conclude(c, &spent_ns);
    count_copies(c);
    leave(c);
    return spent_ns;
}

static void owner_op_done(struct milgi__owner *owner, struct milgi_op *op)
{
    struct milgi_conn *c = milgi__conn_of(owner);
    if (c->phase == MILGI__FREED)
        return;
    if (op->e.slot >= MILGI__SLOT_TRANSPORT)
        milgi__transport_op_done(c->transport, op);
    else if (c->hs && c->hs->hs)
        milgi__hs_op_done(c->hs->hs, op, op->e.slot);
    if (!c->busy)
        milgi__engine_ready(c->engine, owner);
}

static void owner_flush(struct milgi__owner *owner)
{
    struct milgi_conn *c = milgi__conn_of(owner);
    c->busy++;
    milgi__conn_flush(c);
    leave(c);
}

static void owner_timeout(struct milgi__owner *owner)
{
    struct milgi_conn *c = milgi__conn_of(owner);
    if (c->phase < MILGI__ESTABLISHED)
        milgi__conn_fail(c, MILGI_ETIMEOUT, MILGI_ALERT_USER_CANCELED, "the handshake took too long");
    milgi__engine_ready(c->engine, owner);
}

/* What an idle connection holds: keys and state. */
static void owner_idle(struct milgi__owner *owner)
{
    struct milgi_conn *c = milgi__conn_of(owner);
    milgi__transport_idle(c->transport);
    if (c->output.n == 0)
        milgi__bufq_clear(&c->output);
}

static void owner_drop(struct milgi__owner *owner)
{
    milgi__conn_destroy(milgi__conn_of(owner));
}

const struct milgi__owner_ops milgi__conn_owner_ops = { owner_turn, owner_op_done, owner_flush, owner_timeout,
    owner_idle, owner_drop };
