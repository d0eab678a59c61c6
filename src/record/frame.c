/* SPDX-License-Identifier: Apache-2.0 */
/* Whole records out of what the network delivers. */
#include "record/frame.h"

#include "record/record.h"

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

size_t milgi__record_rest(const struct milgi__record *r)
{
    uint32_t header_len = r->in.format->header_len;
    /* Of the record that is begun: what has been read of it already, which no longer lies in the input. */
    size_t got = r->front_len + (r->partial ? r->partial_len : 0u), at = 0;
    for (;;) {
        uint8_t header[MILGI__FRONT_MAX] = { 0 };
        size_t have = got + r->input.len - at;
        if (have < header_len)
            return have ? header_len - have : 0;
        size_t read = MILGI__MIN(got, header_len);
        memcpy(header, r->front, read);
        (void)milgi__bufq_peek(&r->input, at, header + read, header_len - read);
        size_t size = header_len + milgi__format_body(r->in.format, header);
        if (have < size)
            return size - have;
        at += size - got;
        got = 0;
    }
}

static bool check_type(const struct milgi__record *r, uint8_t type, uint32_t len, struct milgi__failure *failure)
{
    const struct milgi__format *f = r->in.format;
    /*= RFC8446 5: "If a TLS implementation receives an unexpected record type, it MUST terminate the connection with an
     *= "unexpected_message" alert." */
    if (type < MILGI__CCS || type > MILGI__DATA)
        return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE, "unknown record type");
    if (milgi__format_has(f->takes, type) || (type == MILGI__DATA && r->clear_data))
        return true;
    if (milgi__format_has(f->until_open, type) && len == 2 && !r->seen_protected_in)
        return true;
    static const char *const details[] = { "change_cipher_spec is not allowed here", "record without protection",
        "record without protection", "application data without protection" };
    return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE, details[type - MILGI__CCS]);
}

/* Whether |header| may begin a record; false: *failure. */
static bool check_header(const struct milgi__record *r, const uint8_t *header, struct milgi__failure *failure)
{
    const struct milgi__format *f = r->in.format;
    uint8_t type = header[0];
    uint32_t len = milgi__format_body(f, header);
    if (!check_type(r, type, len, failure))
        return false;
    /*= RFC8446 5.1: "This field is deprecated and MUST be ignored for all purposes." Only what comes first of all is
     *= looked at, to tell a peer that speaks something else. */
    if (r->in.tail == 0 && header[1] != f->version >> 8)
        return milgi__refuse(failure, MILGI_ALERT_PROTOCOL_VERSION, "this is not TLS");
    bool protected = milgi__format_has(f->protects, type);
    /*= RFC8446 5.2: "An endpoint that receives a record that exceeds this length MUST terminate the connection with a
     *= "record_overflow" alert." */
    if (len > (protected ? f->protected_max : f->clear_max))
        return milgi__refuse(failure, MILGI_ALERT_RECORD_OVERFLOW, "record too long");
    /*= RFC8446 5.1: "Implementations MUST NOT send zero-length fragments of Handshake types" */
    if (len == 0 && !protected)
        return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE, "empty record");
    return true;
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
    r->partial = milgi__chunk_alloc_from(r->env.pool, len, r->env.owner, reserve);
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

/* What a record has besides its content: how many bytes stand before it, behind its header, and how many behind it. */
struct besides {
    bool protected, bare;
    uint32_t before, tag;
};

static struct besides look(const struct milgi__record *r, uint8_t type, uint32_t len)
{
    const struct milgi__format *f = r->in.format;
    struct besides b = { .protected = r->in.key && milgi__format_has(f->protects, type) };
    b.bare = b.protected && len < (uint32_t)f->explicit_len + f->tag_len;
    if (b.protected && !b.bare) {
        b.before = f->explicit_len;
        b.tag = f->tag_len;
    }
    return b;
}

/* |len|: of the body. */
static enum milgi__start put_in_ring(
    struct milgi__record *r, struct milgi__entry *e, const uint8_t *front, const struct besides *b, uint32_t len)
{
    e->type = front[0];
    e->back_ns = 0;
    e->protected = b->protected;
    e->bare = b->bare;
    e->len = len - b->before - b->tag;
    e->dst.chunk = NULL;
    memcpy(e->front, front, r->in.format->header_len + b->before);
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
    const struct milgi_slice *first = &r->input.ring[r->input.head];
    uint32_t header_len = r->in.format->header_len, len = milgi__format_body(r->in.format, first->data);
    if (first->len < header_len + len)
        return MILGI__START_NONE;
    if (!check_header(r, first->data, failure))
        return refused(r);
    if (!milgi__ring_room(r, &r->in))
        return MILGI__START_ROOM;
    struct milgi__entry *e = milgi__ring_at(&r->in, r->in.tail);
    e->src_n = (uint8_t)milgi__bufq_take(&r->input, header_len + len, e->src, 1);
    struct milgi_slice *s = &e->src[0];
    struct besides b = look(r, s->data[0], len);
    put_in_ring(r, e, s->data, &b, len);
    s->data += header_len + b.before;
    s->len = e->len;
    memcpy(e->tag, s->data + s->len, b.tag);
    return MILGI__START_READY;
}

/* Reads the front until there are |len| bytes of it; false: they are not here yet. */
static bool read_front(struct milgi__record *r, uint32_t len)
{
    if (r->front_len >= len)
        return true;
    if (r->input.len < len - r->front_len)
        return false;
    milgi__bufq_read(&r->input, r->front + r->front_len, len - r->front_len);
    r->front_len = (uint8_t)len;
    return true;
}

enum milgi__start milgi__frame_in(struct milgi__record *r, struct milgi__failure *failure)
{
    struct milgi__direction *in = &r->in;
    uint32_t header_len = in->format->header_len;
    if (r->front_len == 0 && r->input.len > 0 && r->input.ring[r->input.head].len >= header_len) {
        enum milgi__start start = frame_whole(r, failure);
        if (start != MILGI__START_NONE)
            return start;
    }
    if (!read_front(r, header_len))
        return MILGI__START_NONE;
    if (!check_header(r, r->front, failure))
        return refused(r);
    uint32_t len = milgi__format_body(in->format, r->front);
    struct besides b = look(r, r->front[0], len);
    if (!read_front(r, header_len + b.before) || !whole(r, len - b.before))
        return MILGI__START_NONE;
    if (!milgi__ring_room(r, in))
        return MILGI__START_ROOM;
    struct milgi__entry *e = milgi__ring_at(in, in->tail);
    if (!take_body(r, e, len - b.before - b.tag, b.tag))
        return MILGI__START_ROOM;
    r->front_len = 0;
    return put_in_ring(r, e, r->front, &b, len);
}
