/* SPDX-License-Identifier: Apache-2.0 */
/* From the network: staged input is framed, opened and popped in order; how much is taken is bounded. */
#include "conn/impl.h"

#define TAIL_SIZE 4096u  /* small inputs are gathered in chunks of this size */
#define RECORD_NS 300u   /* estimated work per record */
#define BYTE_NS_SHIFT 2u /* and per four bytes */

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
        c->in_tail = milgi__chunk_alloc(c->env.pool, MILGI__MAX(slice->len, TAIL_SIZE), c->env.owner, true);
        c->in_tail_used = 0;
    }
    if (!c->in_tail)
        return false;
    *out = (struct milgi_slice){ milgi_chunk_ref(c->in_tail), c->in_tail->data + c->in_tail_used, slice->len };
    memcpy(out->data, slice->data, slice->len);
    c->in_tail_used += slice->len;
    c->rec.bytes_copied += slice->len;
    return true;
}

int milgi_conn_receive(struct milgi_conn *c, struct milgi_slice slice)
{
    if (!slice.chunk || slice.len == 0)
        return MILGI_EINVAL;
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    /*= RFC8446 6.1: "Any data received after a closure alert has been received MUST be ignored." */
    if (c->dead || c->failed || c->closed_in || c->closed_told || c->eof) {
        milgi_chunk_unref(slice.chunk);
        return MILGI_ECLOSED;
    }
    struct milgi_slice small;
    if ((uint64_t)slice.len * 4 < slice.chunk->size && gather(c, &slice, &small)) {
        milgi_chunk_unref(slice.chunk);
        slice = small;
    }
    if (milgi__record_feed(&c->rec, slice) != 0)
        milgi__conn_fail(c, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for input");
    milgi__engine_ready(c->engine, &c->owner);
    uint64_t limit = milgi__conn_limit(c, MILGI_LIMIT_INPUT);
    if (c->rec.input.len > 2 * limit + MILGI_CHUNK_MAX)
        milgi__conn_fail(c, MILGI_ELIMIT, MILGI_ALERT_INTERNAL_ERROR, "input was pushed in spite of PAUSE");
    milgi__conn_check_in(c);
    if (c->rec.input.len >= limit)
        c->in_paused = true;
    return c->in_paused ? MILGI_PAUSE : 0;
}

int milgi_conn_receive_eof(struct milgi_conn *c, int error)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (c->dead || c->closed_told || c->eof)
        return MILGI_ECLOSED;
    c->eof = true;
    c->transport_error = error;
    milgi__engine_ready(c->engine, &c->owner);
    return 0;
}

void milgi_conn_consumed(struct milgi_conn *c, size_t bytes)
{
    if (c->dead || milgi__engine_foreign(c->engine))
        return;
    uint64_t limit = milgi__conn_limit(c, MILGI_LIMIT_CREDIT);
    bool held_back = c->unconsumed >= limit;
    c->unconsumed -= MILGI__MIN(bytes, c->unconsumed);
    if (held_back && c->unconsumed < limit)
        milgi__engine_ready(c->engine, &c->owner);
}

bool milgi_conn_input_paused(const struct milgi_conn *c)
{
    return c->in_paused;
}

/* --- opening ------------------------------------------------------------------------------------- */

/* Whether another record may be opened now. */
static bool may_open(const struct milgi_conn *c)
{
    if (c->failed || c->closed_in || c->closed_told)
        return false;
    /* Records of the next read epoch wait as ciphertext until the handshake asks for input. */
    if (!c->established)
        return c->hs && c->hs->hs && c->hs->wait == MILGI__HS_INPUT;
    return c->unconsumed < milgi__conn_limit(c, MILGI_LIMIT_CREDIT);
}

/* Rejected early data (RFC 8446 4.2.10) is dropped up to a bound; true: this record was such and is gone. */
static bool skip_early(struct milgi_conn *c, const struct milgi__failure *failure)
{
    if (!c->hs || !c->hs->hs || failure->error != MILGI_EBADRECORD || !milgi__hs_skips_early(c->hs->hs))
        return false;
    if (c->hs->early_skipped > MILGI__EARLY_MAX)
        return false;
    c->hs->early_skipped += milgi__record_unread(&c->rec) + 64; /* so that small ones count */
    return true;
}

/*= RFC8446 5.5: "Implementations SHOULD do a key update as described in Section 4.6.3 prior to reaching these limits."
 *= A peer that does not do it by itself is asked. */
static void ask_if_due(struct milgi_conn *c)
{
    if (!c->dead && !c->failed && c->established && !c->asked_update && !c->closed_out &&
        c->rec.in.seq >= c->suite->record_limit)
        milgi__conn_update_write(c, true, false);
}

/* Pops what is next in order. True: something was popped. */
static bool pop(struct milgi_conn *c)
{
    struct milgi__message message;
    struct milgi__failure failure;
    switch (milgi__record_pop(&c->rec, &message, &failure)) {
    case MILGI__POP_NONE:
        return false;
    case MILGI__POP_MESSAGE:
        c->records_in++;
        milgi__conn_dispatch(c, &message);
        ask_if_due(c);
        return true;
    case MILGI__POP_FAILED:
        break;
    }
    if (!skip_early(c, &failure))
        milgi__conn_fail_with(c, &failure);
    return true;
}

static size_t input_len(const struct milgi_op *op)
{
    size_t len = 0;
    for (unsigned i = 0; i < op->u.aead.src_n; i++)
        len += op->u.aead.src[i].len;
    return len;
}

/* Starts the next record. True: something was started. */
static bool open_next(struct milgi_conn *c, uint64_t *spent_ns)
{
    struct milgi_op *op = NULL;
    struct milgi__failure failure;
    if (!may_open(c))
        return false;
    c->rec.clear_data = !c->established && milgi__hs_skips_early(c->hs->hs);
    switch (milgi__record_open(&c->rec, &op, &failure)) {
    case MILGI__START_OP:
        *spent_ns += RECORD_NS + (input_len(op) >> BYTE_NS_SHIFT);
        milgi__engine_count(c->engine, 0, 0, input_len(op));
        milgi__engine_submit(c->engine, &c->owner, op, MILGI__SLOT_OPEN);
        return true;
    case MILGI__START_READY:
        *spent_ns += RECORD_NS;
        return true;
    case MILGI__START_ROOM:
        c->blocked_room = true;
        return false;
    case MILGI__START_FAILED:
        /* Judged in its turn: what came before it is delivered first. */
        if (!milgi__record_in_started(&c->rec))
            milgi__conn_fail_with(c, &failure);
        return false;
    case MILGI__START_NONE:
    case MILGI__START_FULL:
        break;
    }
    return false;
}

bool milgi__conn_pump_in(struct milgi_conn *c, uint64_t budget_ns, uint64_t *spent_ns)
{
    bool progress = false;
    while (!c->dead && !c->failed && !c->closed_in) {
        bool popped = pop(c);
        if (c->dead || c->failed || c->closed_in)
            break;
        bool opened = open_next(c, spent_ns);
        if (!popped && !opened)
            break;
        progress = true;
        if (*spent_ns >= budget_ns)
            break;
    }
    if (!c->dead)
        milgi__conn_deliver(c);
    return progress;
}

/* --- the state of the transport's side ------------------------------------------------------------- */

static void end_of_transport(struct milgi_conn *c)
{
    if (!c->eof || c->failed || c->closed_in || c->closed_told)
        return;
    /* What came before the end is judged first; held back by the application's credit it waits. */
    bool stuck = c->established && c->unconsumed >= milgi__conn_limit(c, MILGI_LIMIT_CREDIT) && c->rec.input.len;
    if (milgi__record_in_started(&c->rec) || stuck || (c->blocked_room && c->rec.input.len))
        return;
    if (c->hs && c->hs->hs && !c->established && c->hs->wait != MILGI__HS_INPUT && c->rec.input.len)
        return;
    struct milgi__failure failure = {
        .error = c->transport_error ? MILGI_ETRANSPORT : MILGI_ETRUNCATED,
        .alert = MILGI_ALERT_NONE,
        .op = MILGI__NO_OP,
        .device_code = c->transport_error,
        .detail = c->established ? "the transport ended without close_notify"
                                 : "the transport ended during the handshake",
    };
    milgi__conn_fail_with(c, &failure);
}

void milgi__conn_input_state(struct milgi_conn *c)
{
    uint64_t limit = milgi__conn_limit(c, MILGI_LIMIT_INPUT);
    size_t len = c->rec.input.len;
    if (len >= limit)
        c->in_paused = true;
    if (c->in_paused && !c->pause_told && !c->failed) {
        c->pause_told = true;
        if (c->events->on_pause)
            c->events->on_pause(c, c->arg);
    }
    if (!c->dead && c->in_paused && c->rec.input.len <= limit / 2 && !c->failed) {
        c->in_paused = c->pause_told = false;
        if (c->events->on_resume)
            c->events->on_resume(c, c->arg);
    }
    if (!c->dead && len == 0 && c->in_tail) {
        milgi_chunk_unref(c->in_tail);
        c->in_tail = NULL;
    }
    if (!c->dead)
        end_of_transport(c);
}
