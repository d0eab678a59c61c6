/* SPDX-License-Identifier: Apache-2.0 */
/*
 * To the network: what the application gives is framed, sealed, taken in order and handed out; how much may pile up is
 * bounded.
 */
#include "conn/impl.h"

#define IOVS 256u
#define HELD_CHUNK 65536u
#define RECORD_NS 300u
#define BYTE_NS_SHIFT 2u

/* --- from the application -------------------------------------------------------------------------- */

size_t milgi__conn_backlog(const struct milgi_conn *c)
{
    size_t held = c->hs ? c->hs->held.len : 0;
    return held + c->rec.pending_len + (size_t)(c->rec.framed_bytes - c->done_bytes);
}

bool milgi_conn_output_full(const struct milgi_conn *c)
{
    return milgi__conn_backlog(c) >= milgi__conn_limit(c, MILGI_LIMIT_OUTPUT);
}

/* Whether |len| more bytes are taken: 0 or an error. */
static int may_send(const struct milgi_conn *c, size_t len)
{
    if (milgi__engine_foreign(c->engine))
        return MILGI_EFORK;
    if (c->dead || c->failed || c->shutdown_wanted || c->closed_told)
        return MILGI_ECLOSED;
    uint64_t limit = milgi__conn_limit(c, MILGI_LIMIT_OUTPUT), backlog = milgi__conn_backlog(c);
    /* One call may be of any size up to the limit, but not again and again in spite of PAUSE. */
    return backlog >= limit && backlog + len > 2 * limit ? MILGI_ELIMIT : 0;
}

/*
 * The handshake's memory, which holds what was given before it is over; it may be needed before the handshake begins.
 */
static struct milgi__bufq *held(struct milgi_conn *c)
{
    if (!c->hs)
        c->hs = milgi__alloc(sizeof *c->hs);
    return c->hs ? &c->hs->held : NULL;
}

static int sent(struct milgi_conn *c, size_t len)
{
    c->bytes_out += len;
    milgi__engine_ready(c->engine, &c->owner);
    c->want_room = milgi_conn_output_full(c);
    return c->want_room ? MILGI_PAUSE : 0;
}

int milgi_conn_send(struct milgi_conn *c, struct milgi_slice slice)
{
    int rv = may_send(c, slice.len);
    if (rv != 0)
        return rv;
    if (slice.len == 0) {
        if (slice.chunk)
            milgi_chunk_unref(slice.chunk);
        return 0;
    }
    milgi__chunk_taint(slice.chunk, (uint32_t)(slice.data - slice.chunk->data) + slice.len, c->env.owner);
    if (c->app_open) {
        rv = milgi__record_push(&c->rec, MILGI__DATA, slice);
    } else {
        struct milgi__bufq *q = held(c);
        rv = q ? milgi__bufq_push(q, slice) : MILGI_ENOMEM;
    }
    return rv != 0 ? rv : sent(c, slice.len);
}

/* Copies into chunks of the queue; all or nothing. */
static int hold_copy(struct milgi_conn *c, const uint8_t *data, size_t len)
{
    struct milgi__bufq *q = held(c), copy = { 0 };
    if (!q)
        return MILGI_ENOMEM;
    for (size_t at = 0; at < len;) {
        size_t k = MILGI__MIN(len - at, HELD_CHUNK);
        struct milgi_chunk *chunk = milgi__chunk_alloc(c->env.pool, k, c->env.owner, false);
        if (!chunk || milgi__bufq_push(&copy, (struct milgi_slice){ chunk, chunk->data, (uint32_t)k }) != 0) {
            if (chunk)
                milgi_chunk_unref(chunk);
            milgi__bufq_clear(&copy);
            return MILGI_ENOMEM;
        }
        memcpy(chunk->data, data + at, k);
        c->rec.bytes_copied += k;
        milgi__chunk_taint(chunk, (uint32_t)k, c->env.owner);
        at += k;
    }
    struct milgi_slice slice;
    int rv = 0;
    while (copy.len && rv == 0 && milgi__bufq_take(&copy, copy.ring[copy.head].len, &slice, 1) == 1) {
        rv = milgi__bufq_push(q, slice);
        if (rv != 0)
            milgi_chunk_unref(slice.chunk);
    }
    milgi__bufq_clear(&copy);
    if (rv != 0)
        milgi__conn_fail(c, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for output");
    return rv;
}

int milgi_conn_write(struct milgi_conn *c, const void *data, size_t len)
{
    int rv = may_send(c, len);
    if (rv != 0 || len == 0)
        return rv;
    if (c->app_open)
        rv = milgi__record_write(&c->rec, MILGI__DATA, data, len, false);
    else
        rv = hold_copy(c, data, len);
    return rv != 0 ? rv : sent(c, len);
}

void milgi__conn_release_held(struct milgi_conn *c)
{
    if (c->app_open)
        return;
    c->app_open = true;
    struct milgi__bufq *q = &c->hs->held;
    while (q->n) {
        struct milgi_slice slice;
        if (milgi__bufq_take(q, q->ring[q->head].len, &slice, 1) != 1)
            return;
        if (milgi__record_push(&c->rec, MILGI__DATA, slice) != 0) {
            milgi_chunk_unref(slice.chunk);
            milgi__conn_fail(c, MILGI_ENOMEM, MILGI_ALERT_INTERNAL_ERROR, "no memory for output");
            return;
        }
    }
}

int milgi_conn_update_keys(struct milgi_conn *c, bool ask_peer)
{
    if (c->dead || c->failed || c->closed_out || c->closed_told)
        return MILGI_ECLOSED;
    if (!c->established)
        return MILGI_EINVAL;
    int rv = milgi__conn_update_write(c, ask_peer, false);
    milgi__engine_ready(c->engine, &c->owner);
    return rv != 0 ? MILGI_ECLOSED : 0;
}

/* --- framing ---------------------------------------------------------------------------------------- */

/*= RFC8446 5.5: "Implementations SHOULD do a key update as described in Section 4.6.3 prior to reaching these limits."
   */
static void rekey_if_due(struct milgi_conn *c)
{
    if (c->established && !c->failed && c->rec.pending_len &&
        milgi__record_write_seq(&c->rec) >=
            MILGI__MIN(milgi__conn_limit(c, MILGI_LIMIT_REKEY_RECORDS), c->rec.out.epoch_records_max))
        milgi__conn_update_write(c, false, true);
}

/* Frames and submits the next record. True: one was framed. */
static bool seal_next(struct milgi_conn *c, uint64_t *spent_ns)
{
    struct milgi_op *op = NULL;
    rekey_if_due(c);
    switch (milgi__record_seal(&c->rec, &op)) {
    case MILGI__START_OP:
        c->records_out++;
        *spent_ns += RECORD_NS + (op->u.aead.dst_len >> BYTE_NS_SHIFT);
        milgi__engine_count(c->engine, 0, op->u.aead.dst_len, 0);
        milgi__engine_submit(c->engine, &c->owner, op, MILGI__SLOT_SEAL);
        return true;
    case MILGI__START_READY:
        c->records_out++;
        return true;
    case MILGI__START_ROOM:
        c->blocked_room = true;
        return false;
    default:
        return false;
    }
}

/* Finished records, in order, to the list of what on_output hands over. */
static bool collect(struct milgi_conn *c)
{
    struct milgi_slice slice;
    bool any = false;
    while (milgi__record_take(&c->rec, &slice)) {
        if (milgi__bufq_push(&c->out, slice) != 0) {
            milgi_chunk_unref(slice.chunk);
            c->rec.send_broken = true; /* a framed record is never left out: the direction ends here */
            break;
        }
        any = true;
    }
    if (any)
        milgi__engine_dirty(c->engine, &c->owner);
    return any;
}

bool milgi__conn_pump_out(struct milgi_conn *c, uint64_t *spent_ns)
{
    bool progress = false;
    while (!c->rec.send_broken && seal_next(c, spent_ns))
        progress = true;
    progress |= collect(c);
    if (c->rec.send_broken && !c->failed)
        milgi__conn_fail(c, MILGI_EDEVICE, MILGI_ALERT_NONE, "a record could not be sealed");
    if (c->want_room && !c->failed && milgi__conn_backlog(c) <= milgi__conn_limit(c, MILGI_LIMIT_OUTPUT) / 2) {
        c->want_room = false;
        if (c->events->on_room)
            c->events->on_room(c, c->arg);
        progress = true;
    }
    return progress;
}

/* --- to the network --------------------------------------------------------------------------------- */

void milgi__conn_flush(struct milgi_conn *c)
{
    struct milgi_iov iov[IOVS];
    while (!c->dead && c->out_handed < c->out.n) {
        size_t n = 0;
        while (n < IOVS && c->out_handed < c->out.n) {
            const struct milgi_slice *s = &c->out.ring[(c->out.head + c->out_handed) & (c->out.cap - 1)];
            iov[n++] = (struct milgi_iov){ s->data, s->len };
            c->out_handed++;
        }
        c->events->on_output(c, c->arg, iov, n);
    }
}

void milgi_conn_output_done(struct milgi_conn *c, size_t bytes)
{
    while (bytes && c->out_handed) {
        struct milgi_slice *s = &c->out.ring[c->out.head & (c->out.cap - 1)];
        uint32_t k = (uint32_t)MILGI__MIN(bytes, s->len);
        bytes -= k;
        c->done_bytes += k;
        s->data += k;
        s->len -= k;
        c->out.len -= k;
        if (s->len)
            break;
        milgi_chunk_unref(s->chunk);
        c->out.head = (c->out.head + 1) & (c->out.cap - 1);
        c->out.n--;
        c->out_handed--;
    }
    if (!c->dead && c->want_room && milgi__conn_backlog(c) <= milgi__conn_limit(c, MILGI_LIMIT_OUTPUT) / 2)
        milgi__engine_ready(c->engine, &c->owner);
}
