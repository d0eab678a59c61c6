/* SPDX-License-Identifier: Apache-2.0 */
/* Records received, from the wire to their op and back into the ring. */
#include "record/frame.h"
#include "record/record.h"

static void taint(const struct milgi__record *r, const struct milgi_slice *slice)
{
    uint32_t end = (uint32_t)(slice->data - milgi_chunk_data(slice->chunk)) + slice->len;
    milgi__chunk_taint(slice->chunk, end, r->env.owner);
}

static void fill_op(struct milgi__record *r, struct milgi__entry *e, struct milgi_op *op, struct milgi_chunk *dst)
{
    milgi__format_open_op(op, &r->in, e->front, e->len, !dst);
    struct milgi_op_aead *a = &op->u.aead;
    a->inner_type = 0;
    a->pad_len = 0;
    memcpy(a->tag, e->tag, MILGI__TAG);
    a->src_n = e->len ? e->src_n : 0; /* a tag alone is over nothing */
    for (unsigned i = 0; i < a->src_n; i++) {
        a->src[i] = e->src[i];
        milgi_chunk_ref(e->src[i].chunk);
    }
    a->dst_chunk = dst;
    a->dst = dst ? milgi_chunk_data(dst) : NULL;
    a->dst_len = e->len;
}

/* Taints what the plaintext will be written to, before anything can be. */
static void taint_all(const struct milgi__record *r, const struct milgi__entry *e, struct milgi_chunk *dst)
{
    if (dst)
        milgi__chunk_taint(dst, e->len, r->env.owner);
    for (unsigned i = 0; !dst && i < e->src_n; i++)
        taint(r, &e->src[i]);
}

static enum milgi__start start(struct milgi__record *r, struct milgi_op **op, struct milgi__failure *failure)
{
    struct milgi__direction *in = &r->in;
    struct milgi__entry *e = milgi__ring_at(in, in->next);
    if (!e->protected) {
        e->in_place = true;
        e->state = MILGI__ENTRY_OK;
        in->next++;
        return MILGI__START_READY;
    }
    /*= RFC8446 6.2: "bad_record_mac:  This alert is returned if a record is received which cannot be deprotected. [...]
     *= this alert is used for all deprotection failures." */
    if (e->bare) {
        e->in_place = true;
        e->state = MILGI__ENTRY_REJECTED;
        in->next++;
        return MILGI__START_READY;
    }
    bool first = in->next == in->head;
    if (in->seq >= in->epoch_records_max) {
        if (!first)
            return MILGI__START_FULL; /* a key change may be among those before it */
        milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE, "more records under one key than it is good for");
        return MILGI__START_FAILED;
    }
    struct milgi_chunk *dst = NULL;
    if (!first || !r->env.calls->route_inline(r->env.ctx, MILGI_OP_OPEN, e->len)) {
        /* The ciphertext of the first gives its memory back as soon as it is opened: so it never waits for others. */
        enum milgi__reserve reserve = first ? MILGI__RESERVE_HALF : MILGI__RESERVE_NONE;
        dst = milgi__chunk_alloc_from(r->env.pool, MILGI__MAX(e->len, 1), r->env.owner, reserve);
        if (!dst)
            return MILGI__START_ROOM;
    }
    *op = r->env.calls->op_new(r->env.ctx, false);
    if (!*op) {
        milgi_chunk_unref(dst);
        return MILGI__START_ROOM;
    }
    taint_all(r, e, dst);
    fill_op(r, e, *op, dst);
    e->in_place = !dst;
    milgi__entry_started(e, *op);
    in->seq++;
    in->next++;
    return MILGI__START_OP;
}

enum milgi__start milgi__record_open(struct milgi__record *r, struct milgi_op **op, struct milgi__failure *failure)
{
    struct milgi__direction *in = &r->in;
    *op = NULL;
    if (in->next - in->head >= in->window)
        return MILGI__START_FULL;
    if (in->next == in->tail) {
        enum milgi__start framed = milgi__frame_in(r, failure);
        if (framed != MILGI__START_READY)
            return framed;
    }
    return start(r, op, failure);
}

void milgi__record_opened(struct milgi__record *r, struct milgi_op *op)
{
    struct milgi_op_aead *a = &op->u.aead;
    struct milgi__entry *e = milgi__ring_find(&r->in, op, r->in.next);
    if (!e) {
        /* Its record was started again under another key: what it made must not be seen by anybody. */
        if (op->status == MILGI_OP_OK && a->dst)
            milgi__wipe(a->dst, a->dst_len);
        return;
    }
    e->device_code = op->device_code;
    e->op_status = op->status;
    milgi__entry_back(e, op);
    e->state = milgi__entry_state(op->status);
    if (e->state != MILGI__ENTRY_OK || e->in_place)
        return;
    e->dst = (struct milgi_slice){ a->dst_chunk, a->dst, e->len };
    a->dst_chunk = NULL;
    a->dst = NULL;
}

/* Back to its ciphertext. */
static void make_stale(struct milgi__record *r, struct milgi__entry *e)
{
    if (e->state == MILGI__ENTRY_STALE)
        return;
    if (e->protected && e->in_place && !e->bare) {
        /* It was first in line, so a key change before it had to be known when it was started. It was not: whatever
         * came out of it was opened with the wrong key. */
        e->state = MILGI__ENTRY_REJECTED;
        return;
    }
    if (e->protected && !e->bare)
        r->stale++;
    if (e->dst.chunk) {
        milgi__wipe(e->dst.data, e->dst.len);
        milgi_chunk_unref(e->dst.chunk);
        e->dst.chunk = NULL;
    }
    e->state = MILGI__ENTRY_STALE;
}

void milgi__record_install_read(
    struct milgi__record *r, const struct milgi__format *f, struct milgi_key *key, const uint8_t iv[12])
{
    struct milgi__direction *in = &r->in;
    uint32_t wasted = r->stale, from = in->head;
    for (uint32_t i = in->head; i != in->next; i++) {
        struct milgi__entry *e = milgi__ring_at(in, i);
        make_stale(r, e);
        if (e->state != MILGI__ENTRY_STALE)
            from = i + 1;
    }
    in->next = from;
    if (r->stale != wasted) {
        in->window = 1;
        r->clean = 0;
    }
    if (in->key)
        r->env.calls->key_release(r->env.ctx, in->key);
    in->key = key;
    in->format = f;
    memcpy(in->iv, iv, sizeof in->iv);
    /*= RFC8446 5.3: "Each sequence number is set to zero at the beginning of a connection and whenever the key is
     *= changed" */
    in->seq = 0;
    in->epoch_records_max = MILGI__MIN(in->epoch_records_max, milgi__format_records_max(f, key));
}

void milgi__record_speculate(struct milgi__record *r)
{
    if (!r->speculating)
        r->in.window = r->window_max;
    r->speculating = true;
}

void milgi__record_drop_input(struct milgi__record *r)
{
    milgi__ring_clear(&r->in);
    milgi__bufq_clear(&r->input, r->env.pool);
    milgi_chunk_unref(r->partial);
    r->partial = NULL;
    r->front_len = 0;
}

bool milgi__record_in_started(const struct milgi__record *r)
{
    return r->in.head != r->in.tail;
}
