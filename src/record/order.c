/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of each direction: records finish in any order and leave it in theirs. */
#include "record/record.h"

/* --- the ring --------------------------------------------------------------------------------------------------- */

#define RING_MIN 4u /* enough for a device that is inline */

bool milgi__ring_room(const struct milgi__record *r, struct milgi__direction *d)
{
    if (d->tail - d->head < d->ring_size)
        return true;
    uint32_t size = d->ring_size ? 2 * d->ring_size : RING_MIN;
    struct milgi__blocks *blocks = milgi__pool_blocks(r->env.pool);
    struct milgi__entry *ring = milgi__block_take(blocks, size * sizeof *ring);
    if (!ring)
        return false;
    for (uint32_t i = d->head; i != d->tail; i++)
        ring[i & (size - 1)] = *milgi__ring_at(d, i);
    milgi__block_give(blocks, d->ring, d->ring_size * sizeof *ring);
    d->ring = ring;
    d->ring_size = size;
    return true;
}

struct milgi__entry *milgi__ring_find(const struct milgi__direction *d, const struct milgi_op *op, uint32_t end)
{
    for (uint32_t i = end - 1, n = 0; n <= d->tail - d->head; i = d->head + n++) {
        if (i - d->head >= d->tail - d->head)
            continue;
        struct milgi__entry *e = milgi__ring_at(d, i);
        if (e->state == MILGI__ENTRY_SUBMITTED && e->op_id == op->e.id &&
            e->op_generation == op->e.generation)
            return e;
    }
    return NULL;
}

static void unref_all(const struct milgi_slice *slices, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        milgi_chunk_unref(slices[i].chunk);
}

void milgi__ring_clear(struct milgi__direction *d)
{
    for (uint32_t i = d->head; i != d->tail; i++) {
        struct milgi__entry *e = milgi__ring_at(d, i);
        unref_all(e->src, e->src_n);
        milgi_chunk_unref(e->dst.chunk);
    }
    d->next = d->head = d->tail;
}

void milgi__ring_fini(const struct milgi__record *r, struct milgi__direction *d)
{
    milgi__ring_clear(d);
    milgi__block_give(milgi__pool_blocks(r->env.pool), d->ring, d->ring_size * sizeof *d->ring);
    d->ring = NULL;
    d->ring_size = 0;
}

/* --- in --------------------------------------------------------------------------------------------------------- */

/* How many of the |len| bytes at |p| are left without the zeros at the end. */
static uint32_t without_zeros(const uint8_t *p, uint32_t len)
{
    uint64_t word;
    while (len >= sizeof word) {
        memcpy(&word, p + len - sizeof word, sizeof word);
        if (word)
            break;
        len -= (uint32_t)sizeof word;
    }
    while (len > 0 && p[len - 1] == 0)
        len--;
    return len;
}

uint8_t milgi__inner_type(const struct milgi_slice *slices, unsigned n, uint32_t *len)
{
    /*= RFC8446 5.4: "the receiving implementation scans the field from the end toward the beginning until it finds a
     *= non-zero octet. This non-zero octet is the content type of the message." */
    while (n-- > 0) {
        uint32_t used = without_zeros(slices[n].data, slices[n].len);
        *len -= slices[n].len - used;
        if (used > 0) {
            --*len;
            return slices[n].data[used - 1];
        }
    }
    return 0;
}

static bool judge(
    const struct milgi__record *r, uint8_t type, uint32_t inner_len, uint32_t len, struct milgi__failure *failure)
{
    /*= RFC8446 5.4: "the full encoded TLSInnerPlaintext MUST NOT exceed 2^14 + 1 octets" */
    /*= RFC8449 4: "A TLS endpoint that receives a record larger than its advertised limit MUST generate a fatal
     *= "record_overflow" alert; a DTLS endpoint that receives a record larger than its advertised limit MAY either
     *= generate a fatal "record_overflow" alert or discard the record." */
    if (inner_len > (uint32_t)r->in_most + r->in.format->inner_len)
        return milgi__refuse(failure, MILGI_ALERT_RECORD_OVERFLOW, "plaintext too long");
    /*= RFC8446 5.4: "If a receiving implementation does not find a non-zero octet in the cleartext, it MUST terminate
     *= the connection with an "unexpected_message" alert." */
    /*= RFC8446 5: "An implementation which receives any other change_cipher_spec value or which receives a protected
     *= change_cipher_spec record MUST abort the handshake with an "unexpected_message" alert." */
    if (type != MILGI__DATA && type != MILGI__HANDSHAKE && type != MILGI__ALERT)
        return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE,
            type ? "protected record of an unexpected type" : "record of nothing but zeros");
    /*= RFC8446 5.4: "Implementations MUST NOT send Handshake and Alert records that have a zero-length
     *= TLSInnerPlaintext.content; if such a message is received, the receiving implementation MUST terminate the
     *= connection with an "unexpected_message" alert." */
    if (len == 0 && type != MILGI__DATA)
        return milgi__refuse(failure, MILGI_ALERT_UNEXPECTED_MESSAGE, "empty record");
    return true;
}

/* Hands the first |len| bytes over, with the references; gives the other references up. */
static void hand_over(struct milgi__message *message, const struct milgi_slice *slices, unsigned n, uint32_t len)
{
    message->len = len;
    message->slices_n = 0;
    for (unsigned i = 0; i < n; i++) {
        struct milgi_slice s = slices[i];
        s.len = MILGI__MIN(s.len, len);
        len -= s.len;
        if (s.len > 0)
            message->slice[message->slices_n++] = s;
        else
            milgi_chunk_unref(s.chunk);
    }
}

void milgi__count_clean(struct milgi__record *r)
{
    struct milgi__direction *in = &r->in;
    if (!r->speculating || in->window >= r->window_max || ++r->clean < in->window)
        return;
    in->window = MILGI__MIN(2 * in->window, r->window_max);
    r->clean = 0;
}

enum milgi__pop milgi__record_pop(
    struct milgi__record *r, struct milgi__message *message, struct milgi__failure *failure)
{
    struct milgi__direction *in = &r->in;
    if (in->head == in->next)
        return MILGI__POP_NONE;
    struct milgi__entry *e = milgi__ring_at(in, in->head);
    if (e->state == MILGI__ENTRY_SUBMITTED)
        return MILGI__POP_NONE;
    if (e->state == MILGI__ENTRY_BROKEN) {
        *failure = milgi__op_failure(MILGI_OP_OPEN, e->op_status, e->device_code);
        return MILGI__POP_FAILED;
    }
    if (e->state != MILGI__ENTRY_OK) {
        /*= RFC8446 5.2: "If the decryption fails, the receiver MUST terminate the connection with a "bad_record_mac"
         *= alert." */
        *failure = milgi__failure(MILGI_EBADRECORD, MILGI_ALERT_BAD_RECORD_MAC, "record does not verify");
        return MILGI__POP_FAILED;
    }
    struct milgi_slice *slices = e->in_place ? e->src : &e->dst;
    unsigned n = e->in_place ? e->src_n : 1;
    uint8_t type = e->type;
    uint32_t len = e->len;
    if (e->protected) {
        if (in->format->inner_len)
            type = milgi__inner_type(slices, n, &len);
        if (!judge(r, type, e->len, len, failure))
            return MILGI__POP_FAILED;
        r->seen_protected_in = true;
    }
    message->type = type;
    message->protected = e->protected;
    hand_over(message, slices, n, len);
    if (!e->in_place)
        unref_all(e->src, e->src_n);
    milgi__entry_leaves(r, e);
    in->head++;
    milgi__count_clean(r);
    return MILGI__POP_MESSAGE;
}

/*= RFC8446 4.2.10: "Once a record is deprotected successfully, it is treated as the start of the client's second
 *= flight" */
bool milgi__record_unread(struct milgi__record *r, uint32_t *len)
{
    struct milgi__direction *in = &r->in;
    if (in->head == in->next || in->tail != in->head + 1 || r->seen_protected_in)
        return false;
    struct milgi__entry *e = milgi__ring_at(in, in->head);
    if (e->state != MILGI__ENTRY_REJECTED)
        return false;
    unref_all(e->src, e->src_n);
    in->head++;
    in->seq -= !e->bare;
    *len = e->len + (e->bare ? 0 : in->format->explicit_len + in->format->tag_len);
    return true;
}

/* --- out -------------------------------------------------------------------------------------------------------- */

bool milgi__record_take(struct milgi__record *r, struct milgi_slice *slice)
{
    struct milgi__direction *out = &r->out;
    if (out->head == out->next)
        return false;
    struct milgi__entry *e = milgi__ring_at(out, out->head);
    *slice = e->dst;
    milgi__entry_leaves(r, e);
    if (e->src_n > 0) {
        e->dst = e->src[0];
        e->src_n = 0;
        return true;
    }
    /* Records that stand side by side leave as one. */
    while (++out->head != out->next) {
        e = milgi__ring_at(out, out->head);
        if (e->src_n > 0 || e->dst.chunk != slice->chunk || e->dst.data != slice->data + slice->len)
            break;
        slice->len += e->dst.len;
        milgi__entry_leaves(r, e);
        milgi_chunk_unref(e->dst.chunk);
    }
    return true;
}
