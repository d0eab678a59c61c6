/* SPDX-License-Identifier: Apache-2.0 */
/* From the network: staged input is framed, opened and popped in order; how much is taken is bounded. */
#include "conn/input.h"

#include <assert.h>

#include "conn/dispatch.h"
#include "conn/fail.h"
#include "conn/handshake.h"
#include "conn/keys.h"
#include "conn/trace.h"

#define TAIL_SIZE 4096u /* small inputs are gathered in chunks of this size */

/* --- taking -------------------------------------------------------------------------------------- */

/*
 * A slice below a quarter of its chunk would pin four times its size: its bytes are gathered in a small chunk of ours
 * instead. False: no chunk is free; the slice is kept as it is.
 */
static bool gather(struct milgi_conn *c, const struct milgi_slice *slice, struct milgi_slice *out)
{
    if (c->in_tail && c->in_tail->size - c->in_tail_used < slice->len) {
        milgi_chunk_unref(c->in_tail);
        c->in_tail = NULL;
    }
    if (!c->in_tail) {
        c->in_tail = milgi__chunk_alloc(milgi__engine_pool(c->engine), MILGI__MAX(slice->len, TAIL_SIZE),
            milgi__owner_id(&c->owner), true);
        c->in_tail_used = 0;
    }
    if (!c->in_tail)
        return false;
    *out = (struct milgi_slice){ milgi_chunk_ref(c->in_tail), c->in_tail->data + c->in_tail_used, slice->len };
    memcpy(out->data, slice->data, slice->len);
    c->in_tail_used += slice->len;
    milgi__engine_count(c->engine, slice->len, 0, 0);
    return true;
}

void milgi__conn_finished(struct milgi_conn *c)
{
    if (!c->finishes)
        return;
    c->finishes = false;
    milgi__pool_finishes(milgi__engine_pool(c->engine), milgi__owner_id(&c->owner), false, milgi_engine_now(c->engine));
}

int milgi_conn_receive(struct milgi_conn *c, struct milgi_slice slice)
{
    if (!slice.chunk || slice.len == 0)
        return MILGI_EINVAL;
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    /*= RFC8446 6.1: "Any data received after a closure alert has been received MUST be ignored." */
    if (!milgi__conn_live(c) || c->in != MILGI__IN_OPEN) {
        milgi_chunk_unref(slice.chunk);
        return MILGI_ECLOSED;
    }
    if (milgi__conn_is_over(c, MILGI__READ))
        return MILGI_EINVAL;
    milgi__transport_prefetch(c->transport);
    milgi__prefetch(c->outcome, sizeof *c->outcome);
    return milgi__conn_stage(c, slice);
}

int milgi__conn_stage(struct milgi_conn *c, struct milgi_slice slice)
{
    c->in_dry = false; /* it may come from within a callback, behind the last look of this turn */
    milgi__engine_ready(c->engine, &c->owner);
    if (milgi__transport_staged(c->transport) + slice.len > milgi__staged_max(c->config)) {
        milgi__conn_fail(c, MILGI_ELIMIT, MILGI_ALERT_INTERNAL_ERROR, "input was pushed in spite of PAUSE");
        milgi_chunk_unref(slice.chunk);
        return MILGI_PAUSE;
    }
    struct milgi_slice small;
    if ((uint64_t)slice.len * 4 < slice.chunk->size && gather(c, &slice, &small)) {
        milgi_chunk_unref(slice.chunk);
        slice = small;
    }
    if (milgi__transport_feed(c->transport, slice) != 0)
        milgi__conn_fail(c, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for input");
    assert(milgi__transport_staged(c->transport) <= milgi__staged_max(c->config));
    if (milgi__transport_staged(c->transport) >= milgi__conn_share(c, MILGI_LIMIT_INPUT))
        c->in_paused = true;
    return c->in_paused ? MILGI_PAUSE : 0;
}

int milgi_conn_receive_eof(struct milgi_conn *c, int error)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (c->phase >= MILGI__CLOSED || c->in == MILGI__IN_ENDED || c->in == MILGI__IN_OVER)
        return MILGI_ECLOSED;
    c->in = c->in == MILGI__IN_OPEN ? MILGI__IN_ENDED : MILGI__IN_OVER;
    c->transport_error = error;
    milgi__engine_ready(c->engine, &c->owner);
    return 0;
}

void milgi_conn_consumed(struct milgi_conn *c, size_t bytes)
{
    if (c->phase == MILGI__FREED || milgi__engine_foreign(c->engine))
        return;
    uint64_t credit = milgi__conn_share(c, MILGI_LIMIT_CREDIT);
    bool held_back = c->unconsumed >= credit;
    c->unconsumed -= MILGI__MIN(bytes, c->unconsumed);
    /* The limit moves with what others use: whoever may have been held back looks again. */
    if (c->unconsumed >= credit || (!held_back && !milgi__transport_staged(c->transport)))
        return;
    milgi__engine_ready(c->engine, &c->owner);
    if (milgi__traced(milgi__conn_tracer(c)) && held_back)
        milgi__conn_trace_pause(c, MILGI_TRACE_RESUME, MILGI_TRACE_CREDIT);
}

bool milgi_conn_input_paused(const struct milgi_conn *c)
{
    return c->in_paused;
}

/* --- opening ------------------------------------------------------------------------------------- */

/* Whether another record may be opened now. */
static bool may_open(const struct milgi_conn *c)
{
    if (!milgi__conn_live(c) || c->in >= MILGI__IN_CLOSED)
        return false;
    /* Records of the next read epoch wait as ciphertext until the handshake asks for input. */
    if (c->phase != MILGI__ESTABLISHED)
        return milgi__conn_hs(c) && c->hs->wait == MILGI__HS_INPUT;
    return c->unconsumed + milgi__transport_opening(c->transport) < milgi__conn_share(c, MILGI_LIMIT_CREDIT);
}

/*= RFC8446 4.2.10: "discarding records which fail deprotection (up to the configured max_early_data_size)" */
/* True: what has just been refused was such and is gone. */
static bool skip_early(struct milgi_conn *c)
{
    const struct milgi__hs *hs = milgi__conn_hs(c);
    uint32_t len;
    if (!hs || !milgi__hs_skips_early(hs) || !milgi__transport_skip(c->transport, &len))
        return false;
    milgi__conn_skip_early(c, len);
    return true;
}

static void take_message(struct milgi_conn *c, struct milgi__message *message)
{
    c->records_in++;
    milgi__conn_dispatch(c, message);
    if (c->phase == MILGI__HANDSHAKING)
        milgi__conn_handshake(c);
    if (milgi__conn_wants_update(c))
        milgi__conn_update_write(c, true, false);
}

/* The next message in order to what it is for. True: there was one. */
static bool hand_on(struct milgi_conn *c)
{
    struct milgi__message message;
    struct milgi__failure failure;
    switch (milgi__transport_next(c->transport, &message, &failure)) {
    case MILGI__POP_NONE:
        return false;
    case MILGI__POP_MESSAGE:
        take_message(c, &message);
        return true;
    case MILGI__POP_FAILED:
        break;
    }
    if (!skip_early(c))
        milgi__conn_fail_with(c, &failure);
    return true;
}

/* Starts the next record. True: something was started. */
static bool open_next(struct milgi_conn *c, uint64_t *spent_ns)
{
    struct milgi__failure failure;
    if (!may_open(c))
        return false;
    bool clear_data = milgi__conn_hs(c) && milgi__hs_skips_early(c->hs->hs);
    switch (milgi__transport_open(c->transport, clear_data, spent_ns, &failure)) {
    case MILGI__START_OP:
    case MILGI__START_READY:
        return true;
    case MILGI__START_ROOM:
        c->blocked_room = true;
        return false;
    case MILGI__START_FAILED: /* told in its turn: what came before it has been handed on */
        milgi__conn_fail_with(c, &failure);
        return false;
    case MILGI__START_NONE:
    case MILGI__START_FULL:
        break;
    }
    return false;
}

/* Takes up and hands on all that can be at once. True: something was taken up. */
static bool open_data(struct milgi_conn *c, uint64_t budget_ns, uint64_t *spent_ns)
{
    struct milgi__message message;
    struct milgi__opened opened;
    bool any = false, plain = c->phase == MILGI__ESTABLISHED;
    while (plain && milgi__transport_staged(c->transport) && may_open(c)) {
        uint64_t credit = milgi__conn_share(c, MILGI_LIMIT_CREDIT) - c->unconsumed;
        uint64_t left_ns = budget_ns - MILGI__MIN(*spent_ns, budget_ns);
        if (!milgi__transport_open_data(c->transport, credit, left_ns, &opened))
            break;
        do {
            plain = milgi__transport_next_data(c->transport, &opened, budget_ns, spent_ns, &message);
            if (plain)
                take_message(c, &message);
        } while (plain && opened.at < opened.n && may_open(c));
        milgi__transport_close_data(c->transport, &opened);
        any = true;
    }
    return any;
}

/* --- opened by somebody else ------------------------------------------------------------------------ */

#define RUN_NS 200u /* estimated work for a piece of content */

/* What has been opened is judged as it would be here; its type is, where it goes. True: it may be handed on. */
static bool judge_run(struct milgi_conn *c, const struct milgi__run *run)
{
    /*= RFC8446 5.4: "Implementations MUST NOT send Handshake and Alert records that have a zero-length
     *= TLSInnerPlaintext.content" */
    if (run->len == 0 && run->type != MILGI__DATA)
        milgi__conn_fail(c, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE, "empty record");
    return milgi__conn_live(c);
}

/* Behind all that could be opened. */
static void refuse_rest(struct milgi_conn *c, const struct milgi__over *over)
{
    if (over->alert == MILGI_ALERT_BAD_RECORD_MAC)
        milgi__conn_fail(c, MILGI_EBADRECORD, over->alert, "record does not verify");
    else
        milgi__conn_fail(c, MILGI_EPROTO, over->alert, "record that cannot be opened");
}

/* Hands on what lies first. False: nothing does, or there is no credit for it. */
static bool take_run(struct milgi_conn *c, struct milgi__over *over)
{
    struct milgi__run *run = milgi__over_run(over, 0);
    if (over->n == 0 && over->alert)
        refuse_rest(c, over);
    else if (over->n == 0 && over->blocked)
        milgi__conn_fail(c, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE, "KeyUpdate that is not a record of its own");
    if (over->n == 0 || !judge_run(c, run) || !may_open(c))
        return false;
    struct milgi__message message = { .type = run->type, .protected = true };
    struct milgi_slice slice = milgi__transport_take_fed(
        c->transport, run->type == MILGI__DATA ? MILGI__MIN(run->len, MILGI__PLAINTEXT_MAX) : run->len);
    if (slice.chunk)
        message.slice[message.slices_n++] = slice;
    message.len = slice.len;
    run->len -= slice.len;
    if (run->len == 0) {
        over->first = (uint8_t)((over->first + 1) % MILGI__OVER_RUNS);
        over->n--;
    }
    take_message(c, &message);
    return true;
}

static MILGI__APART bool take_runs(struct milgi_conn *c, uint64_t budget_ns, uint64_t *spent_ns)
{
    struct milgi__over *over = milgi__conn_over(c);
    bool progress = false;
    while (milgi__conn_live(c) && c->in < MILGI__IN_CLOSED && take_run(c, over)) {
        progress = true;
        *spent_ns += RUN_NS;
        if (*spent_ns >= budget_ns)
            break;
    }
    bool more = milgi__conn_live(c) && c->in < MILGI__IN_CLOSED && (over->n || over->alert || over->blocked);
    milgi__transport_keep_busy(c->transport, more);
    milgi__conn_deliver(c);
    return progress;
}

bool milgi__conn_pump_in(struct milgi_conn *c, uint64_t budget_ns, uint64_t *spent_ns)
{
    bool progress = false;
    c->in_dry = false;
    if (milgi__conn_is_over(c, MILGI__READ))
        return take_runs(c, budget_ns, spent_ns);
    while (milgi__conn_live(c) && c->in < MILGI__IN_CLOSED && milgi__transport_in_busy(c->transport)) {
        bool popped = hand_on(c);
        bool opened = open_data(c, budget_ns, spent_ns) || open_next(c, spent_ns);
        if (!popped && !opened) {
            c->in_dry = may_open(c) && !c->blocked_room;
            break;
        }
        progress = true;
        if (*spent_ns >= budget_ns)
            break;
    }
    /* Not before it has been opened, which takes of the reserve, too. */
    if (c->finishes && !milgi__transport_staged(c->transport) && !milgi__transport_rest(c->transport))
        milgi__conn_finished(c);
    milgi__conn_deliver(c);
    return progress;
}

/* --- the state of the transport's side ------------------------------------------------------------- */

static void end_of_transport(struct milgi_conn *c)
{
    if (c->in != MILGI__IN_ENDED || !milgi__conn_live(c) || milgi__transport_in_flight(c->transport))
        return;
    /* What came before the end is judged first: it may wait for credit, room, the handshake, or the next turn. */
    bool established = c->phase == MILGI__ESTABLISHED;
    const struct milgi__over *over = milgi__conn_over(c);
    if ((!c->in_dry && milgi__transport_staged(c->transport)) || (over && over->n))
        return;
    struct milgi__failure failure = {
        .error = c->transport_error ? MILGI_ETRANSPORT : MILGI_ETRUNCATED,
        .alert = MILGI_ALERT_NONE,
        .op = MILGI__NO_OP,
        .device_code = c->transport_error,
        .detail = established ? "the transport ended without close_notify"
                              : "the transport ended during the handshake",
    };
    milgi__conn_fail_with(c, &failure);
}

void milgi__conn_input_state(struct milgi_conn *c)
{
    uint64_t limit = milgi__conn_share(c, MILGI_LIMIT_INPUT);
    size_t len = milgi__transport_staged(c->transport);
    if (len >= limit)
        c->in_paused = true;
    if (c->in_paused && !c->pause_told && milgi__conn_live(c)) {
        c->pause_told = true;
        if (milgi__traced(milgi__conn_tracer(c)))
            milgi__conn_trace_pause(c, MILGI_TRACE_PAUSE, MILGI_TRACE_INPUT);
        if (c->events->on_pause)
            c->events->on_pause(c, c->arg);
    }
    const struct milgi__over *over = milgi__conn_over(c);
    bool blocked = over && over->blocked && c->in < MILGI__IN_CLOSED;
    bool few = milgi__transport_staged(c->transport) <= limit / 2 && (!over || over->n < MILGI__OVER_PAUSE);
    if (milgi__conn_live(c) && c->in_paused && few && !blocked) {
        c->in_paused = c->pause_told = false;
        if (milgi__traced(milgi__conn_tracer(c)))
            milgi__conn_trace_pause(c, MILGI_TRACE_RESUME, MILGI_TRACE_INPUT);
        if (c->events->on_resume)
            c->events->on_resume(c, c->arg);
    }
    if (len == 0 && c->in_tail) {
        milgi_chunk_unref(c->in_tail);
        c->in_tail = NULL;
    }
    end_of_transport(c);
}
