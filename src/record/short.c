/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short way: application data is opened and sealed on the spot, without an op and without a place in the ring,
 * while nothing else is under way in its direction. Whatever is not ordinary is left to the rest of the pipeline.
 */
#include "record/pending.h"
#include "record/record.h"

#define WARY 5 /* MILGI__SHORT_MAX >> WARY is 1 */

/* There is a key, and nothing under way. Records of data look like such from outside in every row. */
static bool suits(const struct milgi__direction *d)
{
    return d->key && d->head == d->tail;
}

/* --- in --------------------------------------------------------------------------------------------------------- */

/* The record at |p|, if it lies whole before |end| and may be opened here: how much ciphertext it has; else 0. */
static uint32_t ordinary(const struct milgi__record *r, const uint8_t *p, const uint8_t *end, uint32_t below)
{
    const struct milgi__format *f = r->in.format;
    if (end - p < f->header_len || p[0] != MILGI__DATA)
        return 0;
    uint32_t body = milgi__format_body(f, p), besides = (uint32_t)f->explicit_len + f->tag_len;
    if (body <= besides || end - p - f->header_len < (ptrdiff_t)body)
        return 0;
    uint32_t len = body - besides;
    return len < below && len <= (uint32_t)r->in_most + f->inner_len ? len : 0;
}

/* How many records can be opened at once; the ciphertext of all but the first is kept. */
static void gather(
    struct milgi__record *r, uint32_t below, uint64_t most, uint64_t credit, struct milgi__opened *o)
{
    struct milgi__direction *in = &r->in;
    const struct milgi__format *f = in->format;
    const struct milgi_slice *first = &r->input.ring[r->input.head];
    uint8_t *p = first->data, *end = p + first->len;
    uint64_t given = 0;
    uint32_t kept = 0, len;
    most = MILGI__MIN(MILGI__MIN(most, MILGI__SHORT_MAX >> r->wary), in->epoch_records_max - in->seq);
    while (o->n < most && given < credit && (len = ordinary(r, p, end, below)) > 0) {
        struct milgi_op_record *record = &o->record[o->n];
        uint8_t *data = p + milgi__format_front(f);
        if (o->n > 0) {
            if (len > sizeof o->kept - kept)
                break;
            memcpy(o->kept + kept, data, len);
            kept += len;
        }
        milgi__format_open_record(record, in, in->seq + o->n, p, len);
        record->len = len;
        record->src = record->dst = data;
        o->n++;
        given += len;
        p = data + len + f->tag_len;
    }
}

bool milgi__short_open(
    struct milgi__record *r, uint32_t below, uint64_t most, uint64_t credit, struct milgi__opened *o)
{
    struct milgi__direction *in = &r->in;
    o->n = o->at = 0;
    if (!below || r->front_len || !r->input.n || !suits(in) || in->seq >= in->epoch_records_max ||
        !milgi__ring_room(r, in)) /* for what comes out of one */
        return false;
    gather(r, below, most, credit, o);
    if (o->n == 0)
        return false;
    struct milgi_chunk *chunk = r->input.ring[r->input.head].chunk;
    const struct milgi_op_record *last = &o->record[o->n - 1];
    milgi__chunk_taint(chunk, (uint32_t)(last->dst - chunk->data) + last->len, r->env.owner);
    r->env.calls->process(r->env.ctx, MILGI_OP_OPEN, in->key, o->record, o->n);
    return true;
}

/* What was opened is judged, or waits, in the ring, as if it had gone there first. */
static void keep(
    struct milgi__record *r, const struct milgi_slice *plaintext, const struct milgi_op_record *record)
{
    struct milgi__direction *in = &r->in;
    struct milgi__entry *e = milgi__ring_at(in, in->tail++);
    in->next = in->tail;
    e->type = MILGI__DATA;
    e->src[0] = *plaintext;
    e->src_n = 1;
    e->in_place = e->protected = true;
    e->bare = false;
    e->back_ns = 0;
    e->len = plaintext->len;
    e->dst.chunk = NULL;
    e->op_status = record->status;
    e->device_code = record->device_code;
    e->state = milgi__entry_state(record->status);
}

bool milgi__short_next(struct milgi__record *r, struct milgi__opened *o, bool hold, struct milgi__message *message)
{
    const struct milgi__format *f = r->in.format;
    const struct milgi_op_record *record = &o->record[o->at++];
    struct milgi_slice slice;
    uint32_t front = milgi__format_front(f);
    (void)milgi__bufq_take(&r->input, front + record->len + f->tag_len, &slice, 1);
    slice.data += front;
    slice.len = record->len;
    r->in.seq++;
    uint32_t content = record->len;
    bool data = record->status == MILGI_OP_OK;
    /* Where no type is inside an empty record is not ordinary, but then it was not opened here. */
    if (data && f->inner_len)
        data = milgi__inner_type(&slice, 1, &content) == MILGI__DATA;
    if (!data || hold) {
        keep(r, &slice, record);
        return false;
    }
    slice.len = content;
    message->type = MILGI__DATA;
    message->protected = true;
    message->slice[0] = slice;
    message->slices_n = 1;
    message->len = content;
    milgi__count_clean(r);
    return true;
}

void milgi__short_close(struct milgi__record *r, struct milgi__opened *o)
{
    const uint8_t *kept = o->kept;
    if (o->at == o->n) {
        if (r->wary)
            r->wary--;
        return;
    }
    r->wary = WARY;
    for (unsigned i = 1; i < o->n; i++) {
        const struct milgi_op_record *record = &o->record[i];
        if (i >= o->at)
            memcpy(record->dst, kept, record->len);
        kept += record->len;
    }
    r->env.calls->unprocess(r->env.ctx, MILGI_OP_OPEN, o->record + o->at, o->n - o->at);
    o->n = o->at;
}

/* --- out -------------------------------------------------------------------------------------------------------- */

/* What records are laid out by, read once for all of a burst. */
struct layout {
    const struct milgi__format *f;
    uint32_t front, trailer;
    uint32_t most, below; /* content of one record; less than this with its trailer */
};

/* How much of |p| is a record by itself: what comes behind it begins another. 0: it is not ordinary. */
static inline uint32_t record_of(const struct layout *by, const struct milgi__pending *p)
{
    uint32_t len = MILGI__MIN(p->slice.len, by->most);
    if (!p->slice.chunk || p->type != MILGI__DATA || len + by->trailer >= by->below)
        return 0;
    return len == by->most || p->ends || !p->next || p->next->type != MILGI__DATA ? len : 0;
}

/*
 * Where the record of the first |len| bytes of |p| goes: where they stand, if that is laid out for it, or else to the
 * shared chunk, for which only the |first| may get more memory.
 */
static inline bool place(struct milgi__record *r, const struct layout *by, const struct milgi__pending *p, uint32_t len,
    bool first, enum milgi__reserve reserve, struct milgi_slice *at)
{
    at->len = by->front + len + by->trailer;
    if (p->format == by->f && p->slice.len == len) {
        at->chunk = p->slice.chunk;
        at->data = p->slice.data - by->front;
        return true;
    }
    bool room = r->out_chunk && r->out_chunk->size - r->out_used >= at->len;
    if (!room && (!first || !milgi__out_room(r, at->len, r->pending_len + at->len - len, reserve)))
        return false;
    at->chunk = r->out_chunk;
    at->data = at->chunk->data + r->out_used;
    return true;
}

/* Whether |b| is sent in one slice with |a|, which comes before it. */
static inline bool adjacent(const struct milgi_slice *a, const struct milgi_slice *b)
{
    return a->chunk == b->chunk && a->data + a->len == b->data;
}

/* A record with the number |seq| of |len| bytes of |p|, from |start| on. */
static inline void prepare(struct milgi__record *r, const struct layout *by, const struct milgi__pending *p,
    uint32_t len, uint64_t seq, uint8_t *start, struct milgi_op_record *record)
{
    const struct milgi__format *f = by->f;
    uint32_t sealed = len + by->trailer;
    milgi__format_header(f, start, MILGI__DATA, false, seq, f->explicit_len + sealed);
    milgi__format_seal_record(record, &r->out, seq, start, sealed - f->tag_len);
    record->inner_type = f->inner_len ? MILGI__DATA : 0;
    record->pad_len = 0;
    record->len = len;
    record->src = p->slice.data;
    record->dst = start + by->front;
    if (record->src == record->dst)
        return;
    r->out_used += by->front + sealed;
    r->open = NULL; /* what follows it is the record now */
}

/* The record that is first in line has been sealed, or could not be. */
static inline void commit(struct milgi__record *r, const struct layout *by, const struct milgi_op_record *record,
    struct milgi__sealed *sealed)
{
    uint32_t total = by->front + record->len + by->trailer;
    struct milgi_slice slice, *last = sealed->slices_n ? &sealed->slice[sealed->slices_n - 1] : NULL;
    if (r->pending->slice.len == record->len) {
        slice = r->pending->slice;
        milgi__pending_taken(r);
    } else {
        (void)milgi__pending_take(r, record->len, &slice);
    }
    if (record->dst != record->src) {
        milgi__chunk_unref(slice.chunk);
        slice.chunk = milgi__chunk_ref(r->out_chunk);
    }
    slice.data = record->dst - by->front;
    slice.len = total;
    r->framed_bytes += total;
    r->out.seq++;
    sealed->len[sealed->n++] = total - by->front;
    if (record->status != MILGI_OP_OK) {
        struct milgi__failure failure = milgi__op_failure(MILGI_OP_SEAL, record->status, record->device_code);
        failure.alert = MILGI_ALERT_NONE; /* it could not be sent */
        milgi__record_break_send(r, &failure);
        milgi__chunk_unref(slice.chunk);
    } else if (last && adjacent(last, &slice)) {
        last->len += total;
        milgi__chunk_unref(slice.chunk);
    } else {
        sealed->slice[sealed->slices_n++] = slice;
    }
}

bool milgi__short_seal(struct milgi__record *r, uint32_t below, const struct milgi__short_limits *limits,
    struct milgi__sealed *sealed)
{
    struct milgi__direction *out = &r->out;
    struct milgi_op_record record[MILGI__SHORT_MAX];
    uint64_t framed = r->framed_bytes, end = MILGI__MIN(limits->records, out->epoch_records_max);
    unsigned n = 0, slices = limits->slices;
    struct milgi_slice at, before = { .chunk = NULL };
    if (!suits(out) || milgi__record_send_broken(r))
        return false;
    const struct milgi__format *f = out->format;
    const struct layout by = { f, milgi__format_front(f), milgi__format_trailer(f),
        milgi__frame_most(r, f, MILGI__DATA), below };
    const struct milgi__pending *p = r->pending;
    const unsigned many = r->first_left ? 1 : MILGI__SHORT_MAX; /* the next may be longer */
    while (p && n < many && out->seq + n < end && framed < limits->framed) {
        uint32_t len = record_of(&by, p);
        if (!len || !place(r, &by, p, len, n == 0, limits->reserve, &at) ||
            (!adjacent(&before, &at) && slices-- == 0))
            break;
        prepare(r, &by, p, len, out->seq + n, at.data, &record[n]);
        n++;
        before = at;
        framed += at.len;
        p = len == p->slice.len ? p->next : NULL;
    }
    if (n == 0)
        return false;
    r->env.calls->process(r->env.ctx, MILGI_OP_SEAL, out->key, record, n);
    sealed->n = sealed->slices_n = 0;
    if (many == 1)
        milgi__framed_data(r, record[0].len);
    for (unsigned i = 0; i < n && !milgi__record_send_broken(r); i++)
        commit(r, &by, &record[i], sealed);
    if (sealed->n < n) /* behind one that failed; they have not been framed */
        r->env.calls->unprocess(r->env.ctx, MILGI_OP_SEAL, record + sealed->n, n - sealed->n);
    return true;
}
