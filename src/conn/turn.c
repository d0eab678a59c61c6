/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The turn of a connection, which alone acts on a failure and ends it; and all else that the engine wants of it.
 */
#include "conn/turn.h"

#include "conn/fail.h"
#include "conn/handshake.h"
#include "conn/input.h"
#include "conn/output.h"
#include "conn/over.h"
#include "conn/session.h"
#include "conn/trace.h"

#define ROUNDS 64    /* of a turn: each does all that can be done; more only after progress */
#define TURN_NS 200u /* of a turn with nothing to do */

/* --- how it ends -------------------------------------------------------------------------------------------------- */

/* An alert behind what is queued; drawn from the reserve. */
static void queue_alert(struct milgi_conn *c, int level, int alert)
{
    uint8_t bytes[2] = { (uint8_t)level, (uint8_t)alert };
    struct milgi__failure failure = milgi__failure(MILGI_ENOMEM, MILGI_ALERT_NONE, "no memory for an alert");
    if (milgi__transport_write(c->transport, MILGI__ALERT, bytes, 2, true) != 0)
        milgi__transport_break(c->transport, &failure); /* it cannot be told: the transport's end must do */
    else if (milgi__traced(milgi__conn_tracer(c)))
        milgi__conn_trace_alert(c, MILGI_TRACE_ALERT_SENT, alert);
}

/*= RFC5246 7.2.1: "Note that as of TLS 1.1, failure to properly close a connection no longer requires that a session
 *= not be resumed." An alert does, unless it is a warning. */
static bool spoils_session(const struct milgi__failure *f)
{
    return f->alert != MILGI_ALERT_NONE && f->alert != MILGI_ALERT_CLOSE_NOTIFY &&
        f->alert != MILGI_ALERT_USER_CANCELED;
}

/* Acts on a failure, once: drops what is not framed, queues the alert. */
static void act_on_failure(struct milgi_conn *c)
{
    struct milgi__failure *f = &c->failure;
    c->phase = MILGI__ENDING;
    milgi__engine_deadline(c->engine, &c->owner, UINT64_MAX);
    milgi__conn_keep_peer(c);
    if (spoils_session(f))
        milgi__conn_spoil_session(c);
    milgi__conn_handshake_free(c);
    milgi__transport_drop_input(c->transport);
    milgi__conn_finished(c);
    /*= RFC8446 6.1: close_notify: "notifies the recipient that the sender will not send any more messages": no alert
       behind it. One that is not framed yet, the last of what waits, is dropped, so that its place is free. */
    bool closed = c->out == MILGI__OUT_CLOSED && !milgi__transport_next_type(c->transport);
    milgi__transport_drop_output(c->transport);
    c->out = MILGI__OUT_CLOSED;
    closed = closed || milgi__transport_broken(c->transport);
    if (f->error == MILGI_EALERT) {
        /*= RFC8446 6.1: "Each party MUST send a "close_notify" alert before closing its write side of the connection,
           unless it has already sent some error alert." Behind data it would say that this was all. */
        if (f->alert == MILGI_ALERT_CLOSE_NOTIFY && !closed && !c->app_open)
            queue_alert(c, 1, MILGI_ALERT_CLOSE_NOTIFY);
        return;
    }
    if (closed)
        f->alert = MILGI_ALERT_NONE;
    if (f->alert == MILGI_ALERT_NONE)
        return;
    bool canceled = f->alert == MILGI_ALERT_USER_CANCELED;
    queue_alert(c, canceled ? 1 : 2, f->alert);
    /*= RFC8446 6.1: user_canceled "SHOULD be followed by a "close_notify"". Behind data it would say that this was all,
       which is not so. */
    if (canceled && !c->app_open)
        queue_alert(c, 1, MILGI_ALERT_CLOSE_NOTIFY);
}

static void settle(struct milgi_conn *c)
{
    if (c->phase == MILGI__FAILING)
        act_on_failure(c);
}

/* What failed, as the application is told it. */
static void tell_closed(struct milgi_conn *c)
{
    const struct milgi__failure *f = &c->failure;
    struct milgi_reason reason = {
        .error = f->error,
        .cls = milgi_error_class(f->error),
        .fault = (enum milgi_fault)c->fault,
        .alert = f->alert,
        .alert_from_peer = f->error == MILGI_EALERT,
        .op = f->op,
        .device_code = f->device_code,
        .detail = f->detail,
    };
    if (milgi__traced(milgi__conn_tracer(c)))
        milgi__conn_trace_closed(c, &reason);
    if (c->events->on_closed)
        c->events->on_closed(c, c->arg, &reason);
}

/* Both directions are closed, or one has failed; and nothing is left that could be sent. */
static bool is_over(const struct milgi_conn *c)
{
    bool in_order = milgi__conn_live(c) && c->in >= MILGI__IN_CLOSED && c->out == MILGI__OUT_CLOSED;
    return (in_order || c->phase == MILGI__ENDING) &&
        (milgi__transport_broken(c->transport) || !milgi__transport_out_busy(c->transport));
}

/*= RFC8446 7.2 asks it of secrets that were replaced; here of all, since nothing is sealed or opened any more. The
 *= application may keep the connection for long. */
static void forget_secrets(struct milgi_conn *c)
{
    milgi__transport_fini(c->transport);
    if (c->outcome)
        milgi__wipe(c->outcome->kept, c->outcome->kept_len);
}

/* close_notify when its time has come; on_closed when all is over. */
static void close_state(struct milgi_conn *c)
{
    uint64_t spent = 0;
    settle(c);
    if (milgi__conn_live(c) && c->out == MILGI__OUT_CLOSING && c->app_open) {
        c->out = MILGI__OUT_CLOSED;
        queue_alert(c, 1, MILGI_ALERT_CLOSE_NOTIFY);
    }
    if (c->out == MILGI__OUT_CLOSED)
        milgi__conn_pump_out(c, &spent);
    settle(c); /* it may have failed in this */
    if (!is_over(c))
        return;
    c->phase = MILGI__CLOSED;
    milgi__conn_flush(c);
    forget_secrets(c);
    if (c->phase != MILGI__FREED)
        tell_closed(c);
    milgi__conn_forget_chain(c);
}

void milgi__conn_destroy(struct milgi_conn *c)
{
    milgi__conn_finished(c);
    milgi__engine_detach(c->engine, &c->owner);
    milgi__conn_handshake_free(c);
    milgi__post_fini(&c->post);
    milgi__transport_fini(c->transport);
    milgi__bufq_clear(&c->output, milgi__engine_pool(c->engine));
    milgi_chunk_unref(c->in_tail);
    milgi_config_unref(c->config);
    if (c->outcome && c->over)
        milgi__block_give(milgi__pool_blocks(milgi__engine_pool(c->engine)), c->over, sizeof *c->over);
    milgi__conn_forget_chain(c);
    milgi__conn_forget_outcome(c);
    milgi__free(c->server_name);
    milgi__free(c); /* what was secret in it has been wiped */
}

/* Frees at last, if a callback asked for it while we were at work. */
static void leave(struct milgi_conn *c)
{
    if (--c->busy == 0 && c->phase == MILGI__FREED)
        milgi__conn_destroy(c);
}

/* --- the turn ----------------------------------------------------------------------------------------------------- */

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
    uint64_t copied = milgi__transport_copied(c->transport);
    if (copied)
        milgi__engine_count(c->engine, copied, 0, 0);
}

/* Whether another round could move anything, now that the last one has. */
static bool has_more(const struct milgi_conn *c)
{
    return c->phase != MILGI__FREED &&
        (c->hs || milgi__transport_next_type(c->transport) || milgi__transport_in_busy(c->transport));
}

/* Whether there is anything to frame, to collect or to tell. */
static bool output_moves(const struct milgi_conn *c)
{
    return milgi__transport_out_busy(c->transport) || c->owes_update || c->want_room ||
        milgi__transport_broken(c->transport);
}

/* Whether pause, resume or the end of the transport may be due, or there is a chunk to give back. */
static bool input_matters(const struct milgi_conn *c)
{
    return milgi__transport_staged(c->transport) || c->in_paused || c->in_tail || c->in != MILGI__IN_OPEN;
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
        progress = c->hs && milgi__conn_handshake(c);
        settle(c);
        if (output_moves(c))
            progress |= milgi__conn_pump_out(c, spent_ns);
        if (milgi__transport_in_busy(c->transport))
            progress |= milgi__conn_pump_in(c, budget_ns, spent_ns);
        settle(c);
        progress = progress && has_more(c);
    }
    return progress;
}

/* What comes once in a turn, when all has been done that could be. */
static void conclude(struct milgi_conn *c, uint64_t *spent_ns)
{
    if (output_moves(c))
        milgi__conn_pump_out(c, spent_ns);
    if (input_matters(c))
        milgi__conn_input_state(c);
    close_state(c);
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
    if (c->phase == MILGI__NEW)
        milgi__conn_begin(c);
    *more = rounds(c, budget_ns, &spent_ns);
    conclude(c, &spent_ns);
    count_copies(c);
    leave(c);
    return spent_ns;
}

/* --- what else the engine wants ----------------------------------------------------------------------------------- */

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
        milgi__bufq_clear(&c->output, milgi__engine_pool(c->engine));
}

static void owner_drop(struct milgi__owner *owner)
{
    milgi__conn_destroy(milgi__conn_of(owner));
}

const struct milgi__owner_ops milgi__conn_owner_ops = { owner_turn, owner_op_done, owner_flush, owner_timeout,
    owner_idle, owner_drop };
