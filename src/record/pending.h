/* SPDX-License-Identifier: Apache-2.0 */
/* What waits to be framed: content, and changes of keys between it, in order. */
#pragma once

#include "record/record.h"

/* A piece of content, or a change of keys (slice.chunk is NULL). */
struct milgi__pending {
    struct milgi__pending *next;
    struct milgi_slice slice; /* what is left of it */
    struct milgi_key *key;
    /*
     * Content: laid out as a record of this format, whose front's room before it and whose trailer's behind it are its
     * own; NULL: it lies where it came from. A change of keys: of what is behind it.
     */
    const struct milgi__format *format;
    uint8_t iv[12];
    uint8_t type;
    bool ends; /* what follows is not framed together with it */
};

/* The most content that a record of |type| has in the format |f|. */
static inline uint32_t milgi__record_most(
    const struct milgi__record *r, const struct milgi__format *f, uint8_t type)
{
    return milgi__format_has(f->seals, type) ? MILGI__MIN(r->clear_max, r->out_most) : r->clear_max;
}

/* The same of one that is framed now. */
static inline uint32_t milgi__frame_most(
    const struct milgi__record *r, const struct milgi__format *f, uint8_t type)
{
    uint32_t most = milgi__record_most(r, f, type);
    return r->first_left && type == MILGI__DATA ? MILGI__MIN(most, r->first_max) : most;
}

/* So much of application data is framed. */
static inline void milgi__framed_data(struct milgi__record *r, uint32_t len)
{
    r->first_left = (uint16_t)(r->first_left - MILGI__MIN(r->first_left, len));
}

/*
 * Makes sure that r->out_chunk has |size| bytes at r->out_used, which does not move. |wanted|: bytes that will be asked
 * for in all, as far as is known. false: no chunk.
 */
bool milgi__out_room(struct milgi__record *r, uint32_t size, size_t wanted, enum milgi__reserve reserve);
/* Takes |len| bytes, which are there in at most MILGI_OP_SLICES pieces, off the front, with the caller's references.
 * Returns the number of pieces. Applies the key changes that come to the front. */
unsigned milgi__pending_take(struct milgi__record *r, uint32_t len, struct milgi_slice *out);
/* The first piece, which is content and all of a record, has been taken with its reference. */
void milgi__pending_taken(struct milgi__record *r);
/* Drops all of it. */
void milgi__pending_clear(struct milgi__record *r);
/* The first |len| bytes become one piece that is laid out as a record. false: no memory; nothing has changed. */
bool milgi__pending_merge(struct milgi__record *r, uint32_t len, enum milgi__reserve reserve);
