/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What waits to be framed: content and key changes, in order. Content that is written is laid out as it will stand in
 * its record, in a chunk which it shares with others:
 *
 *     | front | content ...... | trailer | front | content ... -> grows   | trailer |   free   |
 *     <------------ own -----------------> <------------ open -------------------->^ out_used
 *
 * so that it can be sealed where it stands. Content that is pushed stays where it is.
 */
#include <assert.h>

#include "record/pending.h"

#define COPY_MAX 512u /* a slice of so few bytes is cheaper to copy than to carry along */

static_assert(sizeof(struct milgi__pending) + MILGI__RECORD_HEADER + 1 + MILGI__TAG <= MILGI__PENDING_COST,
    "what a piece costs");

static bool is_key(const struct milgi__pending *p)
{
    return !p->slice.chunk;
}

/* --- nodes ------------------------------------------------------------------------------------------------------ */

static struct milgi__pending *node_new(struct milgi__record *r, uint8_t type)
{
    struct milgi__pending *p = r->spare;
    if (p)
        r->spare = p->next;
    else
        p = milgi__block_take(milgi__pool_blocks(r->env.pool), sizeof *p);
    if (!p)
        return NULL;
    p->next = NULL;
    p->slice = (struct milgi_slice){ .chunk = NULL };
    p->key = NULL;
    p->format = NULL;
    p->type = type;
    p->ends = false;
    r->pending_n++;
    return p;
}

static void append(struct milgi__record *r, struct milgi__pending *p)
{
    if (r->pending)
        r->pending_last->next = p;
    else
        r->pending = p;
    r->pending_last = p;
    r->pending_len += p->slice.len;
    r->open = NULL;
}

/* Its references are gone or taken over. */
static void node_free(struct milgi__record *r, struct milgi__pending *p)
{
    if (r->open == p)
        r->open = NULL;
    if (is_key(p))
        milgi__wipe(p->iv, sizeof p->iv);
    p->next = r->spare;
    r->spare = p;
    r->pending_n--;
}

static void drop_front(struct milgi__record *r)
{
    struct milgi__pending *p = r->pending;
    r->pending = p->next;
    if (!r->pending)
        r->pending_last = NULL;
    node_free(r, p);
}

/* Drops all nodes behind |last| (NULL: all). */
static void drop_behind(struct milgi__record *r, struct milgi__pending *last)
{
    struct milgi__pending *p = last ? last->next : r->pending;
    if (last)
        last->next = NULL;
    else
        r->pending = NULL;
    r->pending_last = last;
    while (p) {
        struct milgi__pending *next = p->next;
        r->pending_len -= p->slice.len;
        if (is_key(p))
            r->env.calls->key_release(r->env.ctx, p->key);
        else
            milgi_chunk_unref(p->slice.chunk);
        node_free(r, p);
        p = next;
    }
}

/* --- the shared chunk ------------------------------------------------------------------------------------------- */

/* A good size for a chunk that |wanted| bytes are to go to; an earlier one of this turn was too small if |again|. */
static size_t chunk_size(size_t wanted, bool again)
{
    if (wanted <= 128 && !again)
        return 512;
    if (wanted <= 3072 && !again)
        return 4096;
    return wanted <= (18 << 10) ? 18 << 10 : 68 << 10;
}

bool milgi__out_room(struct milgi__record *r, uint32_t size, size_t wanted, enum milgi__reserve reserve)
{
    if (r->out_chunk && r->out_chunk->size - r->out_used >= size)
        return true;
    const struct milgi__record_env *env = &r->env;
    size_t good = MILGI__MAX(chunk_size(MILGI__MAX(wanted, size), r->out_chunk != NULL), size);
    struct milgi_chunk *chunk = milgi__chunk_alloc(env->pool, good, env->owner, false);
    if (!chunk)
        chunk = milgi__chunk_alloc_from(env->pool, size, env->owner, reserve);
    if (!chunk)
        return false;
    milgi_chunk_unref(r->out_chunk);
    r->out_chunk = chunk;
    r->out_used = 0;
    r->open = NULL;
    return true;
}

/* A new piece that is laid out as a record of format |f|, empty, at the end; there is room for it. */
static struct milgi__pending *lay_out(struct milgi__record *r, const struct milgi__format *f, uint8_t type)
{
    struct milgi__pending *p = node_new(r, type);
    if (!p)
        return NULL;
    p->format = f;
    /*= RFC8446 5.1: "a record with an Alert type MUST contain exactly one message" */
    p->ends = type == MILGI__ALERT || type == MILGI__CCS;
    p->slice.chunk = milgi__chunk_ref(r->out_chunk);
    p->slice.data = r->out_chunk->data + r->out_used + milgi__format_front(f);
    r->out_used += milgi__format_overhead(f);
    return p;
}

/* Adds |len| bytes, for which there is room, to a piece that ends where the chunk is free. */
static inline void put(struct milgi__record *r, struct milgi__pending *p, const void *data, uint32_t len)
{
    memcpy(p->slice.data + p->slice.len, data, len);
    p->slice.len += len;
    r->out_used += len;
    milgi__chunk_taint(r->out_chunk, r->out_used, r->env.owner);
}

/* As many as fit. Returns how many these were. */
static uint32_t extend(struct milgi__record *r, struct milgi__pending *p, const void *data, size_t len)
{
    size_t room = r->out_chunk->size - r->out_used;
    uint32_t whole = milgi__record_most(r, p->format, p->type);
    size_t most = whole - MILGI__MIN(p->slice.len, whole);
    uint32_t part = (uint32_t)MILGI__MIN(len, MILGI__MIN(room, most));
    put(r, p, data, part);
    return part;
}

/* --- queueing --------------------------------------------------------------------------------------------------- */

static bool can_extend(const struct milgi__record *r, enum milgi__content type)
{
    return r->open && r->open->type == type && !r->open->ends;
}

static bool write_all(struct milgi__record *r, enum milgi__content type, const uint8_t *data, size_t len, bool reserve)
{
    const struct milgi__format *f = r->queued_format;
    uint32_t overhead = milgi__format_overhead(f), most = milgi__record_most(r, f, (uint8_t)type);
    while (len > 0) {
        if (!can_extend(r, type) || r->open->slice.len >= most ||
            r->out_chunk->size == r->out_used) {
            size_t piece = MILGI__MIN(len, most) + overhead;
            size_t wanted = len + (len / most + 1) * overhead;
            struct milgi__pending *p = NULL;
            if (milgi__out_room(r, (uint32_t)piece, wanted, reserve ? MILGI__RESERVE_ALL : MILGI__RESERVE_NONE))
                p = lay_out(r, f, (uint8_t)type);
            if (!p)
                return false;
            append(r, p);
            r->open = p;
        }
        uint32_t part = extend(r, r->open, data, len);
        r->pending_len += part;
        data += part;
        len -= part;
    }
    return true;
}

/* Writes all or, without memory, nothing. */
static int write_or_undo(
    struct milgi__record *r, enum milgi__content type, const uint8_t *data, size_t len, bool reserve)
{
    struct milgi__pending *last = r->pending_last, *open = r->open;
    uint32_t last_len = last ? last->slice.len : 0, used = r->out_used;
    struct milgi_chunk *chunk = r->out_chunk;
    if (chunk)
        milgi_chunk_ref(chunk);
    if (write_all(r, type, data, len, reserve)) {
        milgi_chunk_unref(chunk);
        return 0;
    }
    drop_behind(r, last);
    if (last) {
        r->pending_len -= last->slice.len - last_len;
        last->slice.len = last_len;
    }
    milgi_chunk_unref(r->out_chunk);
    r->out_chunk = chunk;
    r->out_used = used;
    r->open = open;
    return MILGI_ENOMEM;
}

int milgi__record_write(struct milgi__record *r, enum milgi__content type, const void *data, size_t len, bool reserve)
{
    if (len == 0)
        return 0;
    /* In the common case there is room in the chunk, and nothing that would have to be undone. */
    uint32_t most = milgi__record_most(r, r->queued_format, (uint8_t)type);
    bool more = can_extend(r, type) && r->open->slice.len < most;
    if (!r->out_chunk || len > most - (more ? r->open->slice.len : 0) ||
        r->out_chunk->size - r->out_used < len + milgi__format_overhead(r->queued_format))
        return write_or_undo(r, type, data, len, reserve);
    if (!more) {
        struct milgi__pending *p = lay_out(r, r->queued_format, (uint8_t)type);
        if (!p)
            return MILGI_ENOMEM;
        append(r, p);
        r->open = p;
    }
    put(r, r->open, data, (uint32_t)len);
    r->pending_len += len;
    return 0;
}

/* Slices that stand side by side are one. */
static bool joins(const struct milgi__pending *last, enum milgi__content type, const struct milgi_slice *slice)
{
    return last && !last->format && !last->ends && last->type == type && last->slice.chunk == slice->chunk &&
        last->slice.data + last->slice.len == slice->data && slice->len <= UINT32_MAX - last->slice.len;
}

int milgi__record_push(struct milgi__record *r, enum milgi__content type, struct milgi_slice slice)
{
    bool small = slice.len <= COPY_MAX || (uint64_t)slice.len * 4 < milgi_chunk_size(slice.chunk);
    if (joins(r->pending_last, type, &slice)) {
        r->pending_last->slice.len += slice.len;
        r->pending_len += slice.len;
        milgi_chunk_unref(slice.chunk);
        return 0;
    }
    /* A few bytes are never the reason why a large chunk stays. */
    if (small) {
        int rv = milgi__record_write(r, type, slice.data, slice.len, type != MILGI__DATA);
        if (rv == 0) {
            r->bytes_copied += slice.len;
            milgi_chunk_unref(slice.chunk);
        }
        return rv;
    }
    struct milgi__pending *p = node_new(r, (uint8_t)type);
    if (!p)
        return MILGI_ENOMEM;
    p->slice = slice;
    append(r, p);
    return 0;
}

void milgi__record_flush(struct milgi__record *r)
{
    if (r->pending_last)
        r->pending_last->ends = true;
}

/* Applies the key changes that have come to the front. */
static void apply_keys(struct milgi__record *r)
{
    struct milgi__direction *out = &r->out;
    while (r->pending && is_key(r->pending)) {
        struct milgi__pending *p = r->pending;
        if (out->key)
            r->env.calls->key_release(r->env.ctx, out->key);
        out->key = p->key;
        out->format = p->format;
        memcpy(out->iv, p->iv, sizeof out->iv);
        /*= RFC8446 5.3: "the first record transmitted under a particular traffic key MUST use sequence number 0." */
        out->seq = 0;
        r->rekeying = false;
        out->epoch_records_max = MILGI__MIN(out->epoch_records_max, milgi__format_rekey_at(p->format, p->key));
        drop_front(r);
    }
}

static inline void change_keys(struct milgi__record *r)
{
    if (r->pending && is_key(r->pending))
        apply_keys(r);
}

static struct milgi__pending *key_new(
    struct milgi__record *r, const struct milgi__format *f, struct milgi_key *key, const uint8_t iv[12])
{
    struct milgi__pending *p = node_new(r, 0);
    if (!p)
        return NULL;
    p->key = key;
    p->format = f;
    memcpy(p->iv, iv, sizeof p->iv);
    return p;
}

int milgi__record_install_write(
    struct milgi__record *r, const struct milgi__format *f, struct milgi_key *key, const uint8_t iv[12])
{
    struct milgi__pending *p = key_new(r, f, key, iv);
    if (!p)
        return MILGI_ENOMEM;
    r->queued_format = f;
    append(r, p);
    change_keys(r);
    return 0;
}

/* The last node of handshake content that is framed in part, and of the key changes that go with it; NULL: none. */
static struct milgi__pending *unit_end(const struct milgi__record *r)
{
    struct milgi__pending *last = NULL, *p = r->unit_begun ? r->pending : NULL;
    for (; p && !is_key(p) && p->type == MILGI__HANDSHAKE; p = p->next)
        last = p;
    for (; p && is_key(p); p = p->next)
        last = p;
    return last;
}

static void swap_keys(struct milgi__pending *a, struct milgi__pending *b)
{
    struct milgi__pending was = *a;
    a->key = b->key;
    memcpy(a->iv, b->iv, sizeof a->iv);
    b->key = was.key;
    memcpy(b->iv, was.iv, sizeof b->iv);
    milgi__wipe(was.iv, sizeof was.iv);
}

/* Puts |message| and |key| behind |at| (NULL: before all). */
static void insert(
    struct milgi__record *r, struct milgi__pending *at, struct milgi__pending *message, struct milgi__pending *key)
{
    struct milgi__pending **link = at ? &at->next : &r->pending;
    message->next = key;
    key->next = *link;
    *link = message;
    if (!key->next)
        r->pending_last = key;
    r->pending_len += message->slice.len;
    r->open = NULL;
    r->rekeying = true;
    /* The keys were made in the order in which they are to be used: each goes to the place before its own. */
    for (struct milgi__pending *p = key->next; p; p = p->next) {
        if (!is_key(p))
            continue;
        swap_keys(key, p);
        key = p;
    }
}

int milgi__record_update_write(struct milgi__record *r, const void *message, size_t len, struct milgi_key *key,
    const uint8_t iv[12], bool first)
{
    const struct milgi__format *f = r->queued_format;
    uint32_t overhead = milgi__format_overhead(f);
    struct milgi__pending *change = key_new(r, f, key, iv), *p = NULL;
    if (change && milgi__out_room(r, (uint32_t)len + overhead, len + overhead, MILGI__RESERVE_ALL))
        p = lay_out(r, f, MILGI__HANDSHAKE);
    if (!p) {
        if (change)
            node_free(r, change);
        return MILGI_ENOMEM;
    }
    extend(r, p, message, len);
    if (first) {
        insert(r, unit_end(r), p, change);
    } else {
        append(r, p);
        append(r, change);
    }
    return 0;
}

void milgi__pending_clear(struct milgi__record *r)
{
    drop_behind(r, NULL);
}

/*
 * What the handshake has said stays said, with its changes of keys, however much of it is framed: that depends on the
 * device's speed, and the peer is to see the same. Without the change of keys it would not understand the alert.
 */
static bool stays(const struct milgi__pending *p)
{
    return is_key(p) || p->type == MILGI__HANDSHAKE || p->type == MILGI__CCS;
}

void milgi__record_drop_pending(struct milgi__record *r)
{
    struct milgi__pending *p = r->pending;
    r->pending = r->pending_last = NULL;
    while (p) {
        struct milgi__pending *next = p->next;
        p->next = NULL;
        if (stays(p)) {
            if (r->pending)
                r->pending_last->next = p;
            else
                r->pending = p;
            r->pending_last = p;
        } else {
            r->pending_len -= p->slice.len;
            milgi_chunk_unref(p->slice.chunk);
            node_free(r, p);
        }
        p = next;
    }
    change_keys(r);
}

/* --- framing ---------------------------------------------------------------------------------------------------- */

void milgi__pending_taken(struct milgi__record *r)
{
    r->pending_len -= r->pending->slice.len;
    drop_front(r);
    r->unit_begun = false;
    change_keys(r);
}

bool milgi__record_take_unframed(struct milgi__record *r, uint8_t *type, struct milgi_slice *slice)
{
    change_keys(r);
    if (!r->pending)
        return false;
    *type = r->pending->type;
    *slice = r->pending->slice;
    milgi__pending_taken(r);
    return true;
}

unsigned milgi__pending_take(struct milgi__record *r, uint32_t len, struct milgi_slice *out)
{
    unsigned n = 0;
    uint8_t type = r->pending->type;
    bool ended = false;
    r->pending_len -= len;
    while (len > 0) {
        struct milgi__pending *p = r->pending;
        out[n] = p->slice;
        if (p->slice.len > len) {
            milgi_chunk_ref(p->slice.chunk);
            out[n++].len = len;
            p->slice.data += len;
            p->slice.len -= len;
            p->format = NULL; /* what lies before it now belongs to others */
            break;
        }
        len -= p->slice.len;
        n++;
        ended = p->ends;
        drop_front(r);
    }
    r->unit_begun = !ended && type == MILGI__HANDSHAKE && r->pending && r->pending->type == type;
    change_keys(r);
    return n;
}

bool milgi__pending_merge(struct milgi__record *r, uint32_t len, enum milgi__reserve reserve)
{
    const struct milgi__format *f = r->out.format;
    uint32_t overhead = milgi__format_overhead(f);
    struct milgi__pending *p = NULL;
    if (milgi__out_room(r, len + overhead, r->pending_len + overhead, reserve))
        p = lay_out(r, f, r->pending->type);
    if (!p)
        return false;
    r->open = NULL;
    r->out_used += len;
    milgi__chunk_taint(r->out_chunk, r->out_used, r->env.owner);
    r->bytes_copied += len;
    while (len > 0) {
        struct milgi__pending *front = r->pending;
        uint32_t part = MILGI__MIN(len, front->slice.len);
        memcpy(p->slice.data + p->slice.len, front->slice.data, part);
        p->slice.len += part;
        len -= part;
        if (part < front->slice.len) {
            front->slice.data += part;
            front->slice.len -= part;
            front->format = NULL;
            break;
        }
        p->ends = front->ends;
        milgi_chunk_unref(front->slice.chunk);
        drop_front(r);
    }
    p->next = r->pending;
    r->pending = p;
    if (!p->next)
        r->pending_last = p;
    return true;
}
