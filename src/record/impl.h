/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this directory share. */
#pragma once

#include "record/record.h"

#define MILGI__INNER_MAX (MILGI__PLAINTEXT_MAX + 1u) /* content, its type and padding */
#define MILGI__TRAILER (1u + MILGI__TAG)             /* what follows the content of an unpadded record */

/* A piece of content that waits to be framed, or a change of keys (slice.chunk is NULL). */
struct milgi__pending {
    struct milgi__pending *next;
    struct milgi_slice slice; /* what is left of it */
    struct milgi_key *key;
    uint8_t iv[12];
    uint8_t type;
    bool own;  /* laid out as a record: the header's room before it and MILGI__TRAILER bytes behind it are its own */
    bool ends; /* what follows is not framed together with it */
};

/* --- the ring (order.c) ----------------------------------------------------------------------------------------- */

static inline struct milgi__entry *milgi__ring_at(const struct milgi__direction *d, uint32_t position)
{
    return &d->ring[position & (d->ring_size - 1)];
}
/* Makes sure that one more fits; false: no memory. */
bool milgi__ring_room(struct milgi__direction *d);
/* |op| is on its way for |e|. */
static inline void milgi__entry_started(struct milgi__entry *e, const struct milgi_op *op)
{
    e->op_id = op->e.id;
    e->op_generation = op->e.generation;
    e->back_ns = 0;
    e->state = MILGI__ENTRY_SUBMITTED;
}
/* |op| has come back for |e|. */
static inline void milgi__entry_back(struct milgi__entry *e, const struct milgi_op *op)
{
    if ((op->flags & MILGI__OP_SAMPLED) == 0)
        return;
    e->back_ns = op->e.stamp_ns;
    e->dev = op->dev;
}
/* |e| leaves the ring in order; once, though its header may go before its body. */
static inline void milgi__entry_leaves(const struct milgi__record *r, struct milgi__entry *e)
{
    if (e->back_ns && r->env->calls->in_turn)
        r->env->calls->in_turn(r->env->ctx, e->dev, e->back_ns);
    e->back_ns = 0;
}
/* The record that |op| is out for; NULL: none any more. It is most often the last before |end|, or the first. */
struct milgi__entry *milgi__ring_find(const struct milgi__direction *d, const struct milgi_op *op, uint32_t end);
/* Drops all records in it. */
void milgi__ring_clear(struct milgi__direction *d);
void milgi__ring_fini(struct milgi__direction *d);

/* --- headers (frame.c) ------------------------------------------------------------------------------------------ */

/* Moves the next record of the input to the ring, STALE. READY: done; else NONE, FULL, ROOM, FAILED. */
enum milgi__start milgi__frame_in(struct milgi__record *r, struct milgi__failure *failure);
void milgi__frame_header(uint8_t out[MILGI__RECORD_HEADER], uint8_t type, uint16_t version, size_t len);

/* --- what waits to be framed (pending.c) ------------------------------------------------------------------------ */

/*
 * Makes sure that r->out_chunk has |size| bytes at r->out_used, which does not move. |wanted|: bytes that will be asked
 * for in all, as far as is known. false: no chunk.
 */
bool milgi__out_room(struct milgi__record *r, uint32_t size, size_t wanted, enum milgi__reserve reserve);
/* Takes |len| bytes, which are there in at most MILGI_OP_SLICES pieces, off the front, with the caller's references.
 * Returns the number of pieces. Applies the key changes that come to the front. */
unsigned milgi__pending_take(struct milgi__record *r, uint32_t len, struct milgi_slice *out);
/* Drops all of it. */
void milgi__pending_clear(struct milgi__record *r);
/* The first |len| bytes become one piece that is laid out as a record. false: no memory; nothing has changed. */
bool milgi__pending_merge(struct milgi__record *r, uint32_t len, enum milgi__reserve reserve);

/* --- limits (limits.c) ------------------------------------------------------------------------------------------ */

/* Records that may ever be sealed or opened with this key, and after how many to change it. */
uint64_t milgi__limit_hard(const struct milgi_key *key);
uint64_t milgi__limit_soft(const struct milgi_key *key);
/* Padding of a record with |content| bytes; the same answer until a record is framed. */
uint32_t milgi__limit_padding(struct milgi__record *r, uint32_t content);
/* Whether |header| may begin a record; false: *failure. */
bool milgi__limit_header(
    const struct milgi__record *r, const uint8_t header[MILGI__RECORD_HEADER], struct milgi__failure *failure);

/* What seal and open ops have in common, for the next record of |d| (open.c). */
void milgi__record_op(struct milgi_op *op, enum milgi_op_type type, const struct milgi__direction *d, bool in_place,
    const uint8_t header[MILGI__RECORD_HEADER]);
