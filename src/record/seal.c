/* SPDX-License-Identifier: Apache-2.0 */
/* Records sent: framed in order, sealed by their op, taken when it is done. */
#include "record/pending.h"
#include "record/record.h"

/* The content of the next record. */
struct plan {
    uint32_t len;
    unsigned pieces;
};

/*
 * How much of what is pending goes into the next record. This depends on what was queued and when records were framed
 * alone, never on where the bytes lie or which device seals them: the wire shows the same records under every device.
 */
static struct plan make_plan(const struct milgi__record *r)
{
    struct plan plan = { 0, 0 };
    uint8_t type = r->pending->type;
    uint32_t most = milgi__frame_most(r, r->out.format, type);
    for (const struct milgi__pending *p = r->pending; p && p->type == type; p = p->next) {
        uint32_t part = MILGI__MIN(p->slice.len, most - plan.len);
        plan.len += part;
        plan.pieces++;
        if (plan.len == most || p->ends)
            break;
    }
    return plan;
}

/* The record after this one is another; nothing of this one can be changed any more. */
static struct milgi__entry *commit(struct milgi__record *r, struct milgi_chunk *chunk, uint8_t *data, uint32_t len)
{
    struct milgi__entry *e = milgi__ring_at(&r->out, r->out.tail++);
    e->src_n = 0;
    e->back_ns = 0;
    e->len = len;
    e->dst = (struct milgi_slice){ chunk, data, len };
    r->pad_for = 0;
    r->framed_bytes += len;
    return e;
}

/* The first that is unfinished. */
static void advance(struct milgi__direction *out)
{
    while (out->next != out->tail && milgi__ring_at(out, out->next)->state == MILGI__ENTRY_OK)
        out->next++;
}

static enum milgi__start frame_plain(struct milgi__record *r, const struct plan *plan)
{
    const struct milgi__pending *p = r->pending;
    const struct milgi__format *f = r->out.format->clear;
    bool laid_out = p->format && milgi__format_front(p->format) >= f->header_len;
    if (!(laid_out && plan->pieces == 1 && p->slice.len == plan->len) &&
        !milgi__pending_merge(r, plan->len, MILGI__RESERVE_ALL))
        return MILGI__START_ROOM;
    uint8_t type = r->pending->type;
    /* What is sent before anything was received can only be an initial ClientHello. */
    bool hello = type == MILGI__HANDSHAKE && r->in.tail == 0;
    struct milgi_slice content;
    (void)milgi__pending_take(r, plan->len, &content);
    uint8_t *start = content.data - f->header_len;
    milgi__format_header(f, start, type, hello, 0, plan->len);
    commit(r, content.chunk, start, f->header_len + plan->len)->state = MILGI__ENTRY_OK;
    advance(&r->out);
    return MILGI__START_READY;
}

/* True if the front piece is the whole content of the record and can be sealed where it stands. */
static bool seals_in_place(const struct milgi__record *r, const struct plan *plan, uint32_t pad)
{
    const struct milgi__pending *p = r->pending;
    if (plan->pieces != 1 || p->format != r->out.format || p->slice.len != plan->len)
        return false;
    if (pad > 0 && (r->open != p || milgi_chunk_size(r->out_chunk) - r->out_used < pad))
        return false;
    uint32_t size = plan->len + pad + milgi__format_trailer(p->format);
    return r->env.calls->route_inline(r->env.ctx, MILGI_OP_SEAL, size);
}

/* With nothing else on its way out, what waits to be sealed would hold its memory until others give some back. */
static enum milgi__reserve reserve_for(const struct milgi__record *r, bool urgent)
{
    if (urgent)
        return MILGI__RESERVE_ALL;
    return r->out.head == r->out.tail ? MILGI__RESERVE_HALF : MILGI__RESERVE_NONE;
}

/* Padding of a record with |content| bytes; the same answer until a record is framed. */
static uint32_t padding(struct milgi__record *r, uint32_t content)
{
    if (!r->env.calls->padding || !r->out.format->inner_len)
        return 0;
    if (r->pad_for != content + 1) {
        size_t pad = r->env.calls->padding(r->env.ctx, content);
        /*= RFC8446 5.4: "the full encoded TLSInnerPlaintext MUST NOT exceed 2^14 + 1 octets" */
        /*= RFC8449 4: "The value includes the content type and padding added in TLS 1.3" */
        r->pad = (uint16_t)MILGI__MIN(pad, r->out_most - content);
        r->pad_for = (uint16_t)(content + 1);
    }
    return r->pad;
}

static enum milgi__start frame_protected(struct milgi__record *r, const struct plan *plan, bool urgent,
    struct milgi_op **op)
{
    struct milgi__direction *out = &r->out;
    uint32_t pad = urgent ? 0 : padding(r, plan->len); /* application data only */
    const struct milgi__format *f = out->format;
    uint32_t front = milgi__format_front(f), sealed = plan->len + pad + milgi__format_trailer(f);
    uint32_t total = front + sealed;
    bool in_place = seals_in_place(r, plan, pad);
    if (!in_place && !milgi__out_room(r, total, r->pending_len + total - plan->len, reserve_for(r, urgent)))
        return MILGI__START_ROOM;
    *op = r->env.calls->op_new(r->env.ctx, urgent);
    if (!*op)
        return MILGI__START_ROOM;
    struct milgi_chunk *chunk = in_place ? r->pending->slice.chunk : r->out_chunk;
    uint8_t *start = milgi_chunk_data(chunk) + r->out_used;
    if (in_place)
        start = r->pending->slice.data - front;
    r->out_used += in_place ? pad : total;
    if (!in_place)
        r->open = NULL; /* what follows it is the record now */
    uint8_t type = r->pending->type;
    if (type == MILGI__DATA)
        milgi__framed_data(r, plan->len);
    milgi__format_header(f, start, type, false, out->seq, total - f->header_len);
    milgi__format_seal_op(*op, out, start, sealed - f->tag_len, in_place);
    struct milgi__entry *e = commit(r, milgi_chunk_ref(chunk), start, total);
    milgi__entry_started(e, *op);
    out->seq++;
    struct milgi_op_aead *a = &(*op)->u.aead;
    a->inner_type = f->inner_len ? type : 0;
    a->pad_len = (uint16_t)pad;
    a->dst_chunk = in_place ? NULL : milgi_chunk_ref(chunk);
    a->dst = start + front;
    a->dst_len = sealed;
    a->src_n = (uint8_t)milgi__pending_take(r, plan->len, a->src);
    return MILGI__START_OP;
}

/* False: what is next can never be sent, nor what is behind it. */
static bool may_frame(struct milgi__record *r, bool plain)
{
    struct milgi__failure failure = milgi__failure(0, MILGI_ALERT_NONE, NULL);
    /*= RFC8446 5.1: "Application Data records MUST NOT be written to the wire unprotected" */
    if (plain && r->pending->type == MILGI__DATA)
        failure = milgi__failure(MILGI_EINTERNAL, MILGI_ALERT_NONE, "application data before there is a key");
    else if (!plain && r->out.seq >= milgi__format_records_max(r->out.format, r->out.key))
        failure = milgi__failure(MILGI_ELIMIT, MILGI_ALERT_NONE, "the write key has sealed as many records as it may");
    if (failure.error)
        milgi__record_break_send(r, &failure);
    return !failure.error;
}

enum milgi__start milgi__record_seal(struct milgi__record *r, struct milgi_op **op)
{
    struct milgi__direction *out = &r->out;
    *op = NULL;
    if (milgi__record_send_broken(r))
        return MILGI__START_FAILED;
    if (!r->pending)
        return MILGI__START_NONE;
    uint8_t type = r->pending->type;
    bool urgent = type != MILGI__DATA, plain = !milgi__format_has(out->format->seals, type);
    if (!urgent && out->tail - out->next >= out->window)
        return MILGI__START_FULL;
    if (!may_frame(r, plain))
        return MILGI__START_FAILED;
    if (!milgi__ring_room(r, out))
        return MILGI__START_ROOM;
    struct plan plan = make_plan(r);
    if (plain)
        return frame_plain(r, &plan);
    if (plan.pieces > MILGI_OP_SLICES) {
        if (!milgi__pending_merge(r, plan.len, reserve_for(r, urgent)))
            return MILGI__START_ROOM;
        plan.pieces = 1;
    }
    return frame_protected(r, &plan, urgent, op);
}

uint8_t milgi__record_next_type(const struct milgi__record *r)
{
    return r->pending ? r->pending->type : 0;
}

void milgi__record_sealed(struct milgi__record *r, struct milgi_op *op)
{
    struct milgi_op_aead *a = &op->u.aead;
    struct milgi__entry *e = milgi__ring_find(&r->out, op, r->out.tail);
    if (!e)
        return;
    if (op->status != MILGI_OP_OK) {
        e->state = MILGI__ENTRY_BROKEN;
        struct milgi__failure failure = milgi__op_failure(MILGI_OP_SEAL, op->status, op->device_code);
        failure.alert = MILGI_ALERT_NONE; /* it could not be sent */
        milgi__record_break_send(r, &failure);
        return;
    }
    e->state = MILGI__ENTRY_OK;
    milgi__entry_back(e, op);
    if (!a->in_place && a->dst_chunk != e->dst.chunk) {
        /* It was run again elsewhere, and the first device may still write behind our header: the body is the other. */
        e->dst.len = e->len - a->dst_len;
        e->src[0] = (struct milgi_slice){ a->dst_chunk, a->dst, a->dst_len };
        e->src_n = 1;
        a->dst_chunk = NULL;
    }
    advance(&r->out);
}

void milgi__record_break_send(struct milgi__record *r, const struct milgi__failure *failure)
{
    if (!r->send_failure.error)
        r->send_failure = *failure;
}

uint64_t milgi__record_write_seq(const struct milgi__record *r)
{
    return r->rekeying ? 0 : r->out.seq;
}
