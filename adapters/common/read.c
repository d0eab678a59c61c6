/* SPDX-License-Identifier: Apache-2.0 */
/* Slices that wait: what has no room on its way out, and what a reader that pulls has not taken yet. */
#include <stdlib.h>
#include <string.h>

#include "loop.h"

/* --- a queue ------------------------------------------------------------------------------------------------------ */

bool milgi__queue_put(struct milgi_queue *q, struct milgi_slice slice)
{
    if (q->first + q->n == q->max) {
        uint32_t max = q->n < q->max / 2 ? q->max : 2 * q->max + 8;
        struct milgi_slice *grown = max > q->max ? realloc(q->slices, max * sizeof *grown) : q->slices;
        if (!grown)
            return false;
        memmove(grown, grown + q->first, q->n * sizeof *grown);
        *q = (struct milgi_queue){ grown, 0, q->n, max };
    }
    q->slices[q->first + q->n++] = slice;
    return true;
}

void milgi__queue_drop(struct milgi_queue *q)
{
    q->first++;
    if (!--q->n)
        q->first = 0;
}

void milgi__queue_clear(struct milgi_queue *q)
{
    for (; q->n; milgi__queue_drop(q))
        milgi_chunk_unref(q->slices[q->first].chunk);
    free(q->slices);
    *q = (struct milgi_queue){ 0 };
}

struct milgi_slice milgi__slice_of_own(const struct milgi_slice *slice)
{
    struct milgi_slice own = *slice;
    if (milgi_slice_keep(slice, &own)) {
        own = *slice; /* no memory for a copy: then it pins the whole chunk that it lies in */
        milgi_chunk_ref(own.chunk);
    }
    return own;
}

/* --- a reader that pulls ------------------------------------------------------------------------------------------ */

bool milgi__stream_keep(struct milgi_stream *s, const struct milgi_slice *slices, size_t slices_n)
{
    for (size_t i = 0; i < slices_n; i++) {
        struct milgi_slice own = milgi__slice_of_own(&slices[i]);
        if (!milgi__queue_put(&s->unread, own)) {
            milgi_chunk_unref(own.chunk);
            return false;
        }
        s->unread_len += own.len;
    }
    return true;
}

void milgi__stream_forget(struct milgi_stream *s)
{
    milgi__queue_clear(&s->unread);
    s->unread_len = 0;
}

size_t milgi_stream_unread(const struct milgi_stream *s)
{
    return s->unread_len;
}

const uint8_t *milgi_stream_peek(const struct milgi_stream *s, size_t *len)
{
    if (!s->unread.n) { /* and perhaps no slices at all */
        *len = 0;
        return NULL;
    }
    const struct milgi_slice *first = s->unread.slices + s->unread.first;
    *len = first->len;
    return first->data;
}

/* Behind all that was read. */
static int read_answer(const struct milgi_stream *s)
{
    if (s->given_up)
        return MILGI_ECLOSED; /* not even behind the peer's end: something may have been thrown away before it */
    if (s->peer_ended)
        return 0;
    return s->ended ? s->why : MILGI_PAUSE;
}

int milgi_stream_read(struct milgi_stream *s, void *data, size_t len, size_t *got)
{
    size_t n = 0;
    while (n < len && s->unread.n) {
        struct milgi_slice *first = &s->unread.slices[s->unread.first];
        size_t part = first->len < len - n ? first->len : len - n;
        if (data)
            memcpy((uint8_t *)data + n, first->data, part);
        n += part;
        first->data += part;
        first->len -= (uint32_t)part;
        if (first->len)
            break;
        milgi_chunk_unref(first->chunk);
        milgi__queue_drop(&s->unread);
    }
    s->unread_len -= n;
    *got = n;
    if (!n)
        return s->unread.n ? MILGI_EINVAL : read_answer(s);
    milgi_stream_consumed(s, n);
    return 0;
}
