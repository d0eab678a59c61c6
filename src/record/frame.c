/* SPDX-License-Identifier: Apache-2.0 */
/* Records on the wire: headers, and whole records out of what the network delivers. */
#include "record/impl.h"

void milgi__frame_header(uint8_t out[MILGI__RECORD_HEADER], uint8_t type, uint16_t version, size_t len)
{
    out[0] = type;
    milgi__put16(out + 1, version);
    milgi__put16(out + 3, (unsigned)len);
}

/* Crumbs that lie side by side are one slice: how the network cuts the bytes costs nothing. */
static bool joins_input(struct milgi__bufq *q, const struct milgi_slice *slice)
{
    struct milgi_slice *last = q->n ? &q->ring[(q->head + q->n - 1) & (q->cap - 1)] : NULL;
    if (!last || last->chunk != slice->chunk || last->data + last->len != slice->data)
        return false;
    last->len += slice->len;
    q->len += slice->len;
    return true;
}

int milgi__record_feed(struct milgi__record *r, struct milgi_slice slice)
{
    if (slice.len && joins_input(&r->input, &slice)) {
        milgi_chunk_unref(slice.chunk);
        return 0;
    }
    int rv = slice.len ? milgi__bufq_push(&r->input, slice) : 0;
    if (rv != 0 || slice.len == 0)
        milgi_chunk_unref(slice.chunk);
    return rv;
}

/* Moves what has arrived of the body to r->partial, which has room for all |len| bytes of it. */
static void gather(struct milgi__record *r, uint32_t len)
{
    uint32_t part = (uint32_t)MILGI__MIN(len - r->partial_len, r->input.len);
    milgi__bufq_read(&r->input, milgi_chunk_data(r->partial) + r->partial_len, part);
    r->partial_len += part;
    r->bytes_copied += part;
}

static bool begin_gathering(struct milgi__record *r, uint32_t len)
{
    enum milgi__reserve reserve = r->in.head == r->in.tail ? MILGI__RESERVE_HALF : MILGI__RESERVE_NONE;
    r->partial = milgi__chunk_alloc_from(r->env->pool, len, r->env->owner, reserve);
    r->partial_len = 0;
    return r->partial != NULL;
}

/*
 * True if the whole body is here. A body that comes in more pieces than an op can take has to be copied anyway; this
 * is done while it arrives, so that crumbs do not pin the chunks they came in.
 */
static bool whole(struct milgi__record *r, uint32_t len)
{
    if (!r->partial && r->input.len >= len)
        return true;
    if (!r->partial && (r->input.n <= MILGI_OP_SLICES || !begin_gathering(r, len)))
        return false;
    gather(r, len);
    return r->partial_len == len;
}

/* Takes |len| bytes of body, and the tag behind them if there is one, to |e|. false: no chunk; nothing was taken. */
static bool take_body(struct milgi__record *r, struct milgi__entry *e, uint32_t len, uint32_t tag)
{
    if (!r->partial) {
        e->src_n = (uint8_t)milgi__bufq_take(&r->input, len, e->src, MILGI_OP_SLICES);
        if (e->src_n > 0 || len + tag == 0) {
            milgi__bufq_read(&r->input, e->tag, tag);
            return true;
        }
        if (!begin_gathering(r, len + tag))
            return false;
        gather(r, len + tag);
    }
    uint8_t *data = milgi_chunk_data(r->partial);
    e->src[0] = (struct milgi_slice){ r->partial, data, len };
    e->src_n = 1;
    memcpy(e->tag, data + len, tag);
    r->partial = NULL;
    return true;
}

/* How many bytes of a record of |len| are its tag. */
static uint32_t tag_of(const struct milgi__record *r, uint8_t type, uint32_t len)
{
    return r->in.key && type == MILGI__DATA && len >= MILGI__TAG ? MILGI__TAG : 0;
}

static enum milgi__start put_in_ring(
    struct milgi__record *r, struct milgi__entry *e, const uint8_t header[MILGI__RECORD_HEADER], uint32_t len)
{
    e->type = header[0];
    e->back_ns = 0;
    e->protected = r->in.key && e->type == MILGI__DATA;
    e->bare = e->protected && len < MILGI__TAG;
    e->len = len - tag_of(r, e->type, len);
    e->dst.chunk = NULL;
    memcpy(e->header, header, MILGI__RECORD_HEADER);
    e->state = MILGI__ENTRY_STALE;
    r->in.tail++;
    return MILGI__START_READY;
}

/* What is wrong with a record is told only after all that came before it. */
static enum milgi__start refused(const struct milgi__record *r)
{
    return r->in.head == r->in.tail ? MILGI__START_FAILED : MILGI__START_FULL;
}

/* The common case: the record lies whole in the first slice. NONE: it does not. */
static enum milgi__start frame_whole(struct milgi__record *r, struct milgi__failure *failure)
{
    const struct milgi_slice *front = &r->input.ring[r->input.head];
    uint32_t len = milgi__get16(front->data + 3);
    if (front->len < MILGI__RECORD_HEADER + len)
        return MILGI__START_NONE;
    if (!milgi__limit_header(r, front->data, failure))
        return refused(r);
    if (!milgi__ring_room(&r->in))
        return MILGI__START_ROOM;
    struct milgi__entry *e = milgi__ring_at(&r->in, r->in.tail);
    e->src_n = (uint8_t)milgi__bufq_take(&r->input, MILGI__RECORD_HEADER + len, e->src, 1);
    struct milgi_slice *s = &e->src[0];
    put_in_ring(r, e, s->data, len);
    s->data += MILGI__RECORD_HEADER;
    s->len = e->len;
    memcpy(e->tag, s->data + s->len, len - e->len);
    return MILGI__START_READY;
}

enum milgi__start milgi__frame_in(struct milgi__record *r, struct milgi__failure *failure)
{
    struct milgi__direction *in = &r->in;
    if (!r->have_header) {
        if (r->input.len < MILGI__RECORD_HEADER)
            return MILGI__START_NONE;
        if (r->input.ring[r->input.head].len >= MILGI__RECORD_HEADER) {
            enum milgi__start start = frame_whole(r, failure);
            if (start != MILGI__START_NONE)
                return start;
        }
        milgi__bufq_read(&r->input, r->header, MILGI__RECORD_HEADER);
        r->have_header = true;
    }
    if (!milgi__limit_header(r, r->header, failure))
        return refused(r);
    uint32_t len = milgi__get16(r->header + 3);
    if (!whole(r, len))
        return MILGI__START_NONE;
    if (!milgi__ring_room(in))
        return MILGI__START_ROOM;
    struct milgi__entry *e = milgi__ring_at(in, in->tail);
    uint32_t tag = tag_of(r, r->header[0], len);
    if (!take_body(r, e, len - tag, tag))
        return MILGI__START_ROOM;
    r->have_header = false;
    return put_in_ring(r, e, r->header, len);
}
