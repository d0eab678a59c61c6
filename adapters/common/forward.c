/* SPDX-License-Identifier: Apache-2.0 */
/* From one stream to another, or back to itself: nothing is lost, and no more is read than can be sent. */
#include <stdlib.h>
#include <string.h>

#include "loop.h"

static bool hold(struct milgi_stream *to, struct milgi_slice slice)
{
    struct milgi_forward *f = &to->forward;
    if (f->first + f->n == f->max) {
        uint32_t max = f->n < f->max / 2 ? f->max : 2 * f->max + 8;
        struct milgi_slice *grown = max > f->max ? realloc(f->held, max * sizeof *grown) : f->held;
        if (!grown)
            return false;
        memmove(grown, grown + f->first, f->n * sizeof *grown);
        *f = (struct milgi_forward){ grown, 0, f->n, max, f->from, f->to, f->owed, f->shut };
    }
    f->held[f->first + f->n++] = slice;
    return true;
}

/*
 * Sends of the slice what may be sent, in pieces where the limits ask for it; what is left stays in it. 0: all, and
 * there is room for more; MILGI_PAUSE: wait for on_room with the rest, if any; MILGI_ENOMEM or MILGI_ECLOSED.
 */
static int offer(struct milgi_stream *to, struct milgi_slice *slice)
{
    int rv = 0;
    for (uint32_t len = slice->len; slice->len && rv != MILGI_PAUSE;) {
        len = len < slice->len ? len : slice->len;
        rv = milgi_conn_send(to->conn, (struct milgi_slice){ milgi_chunk_ref(slice->chunk), slice->data, len });
        if (rv < 0)
            milgi_chunk_unref(slice->chunk);
        if (rv == MILGI_ELIMIT && milgi_conn_output_full(to->conn)) {
            rv = MILGI_PAUSE;
        } else if (rv == MILGI_ELIMIT && len > 1) {
            len /= 2;
        } else if (rv < 0) {
            break;
        } else {
            slice->data += len;
            slice->len -= len;
        }
    }
    if (rv == MILGI_ENOMEM)
        milgi_stream_await_memory(to);
    if (!slice->len)
        milgi_chunk_unref(slice->chunk);
    return rv;
}

/* As offer(), but the slice is taken, unless it answers MILGI_ECLOSED or has no memory to hold the rest. */
static int pass(struct milgi_stream *to, struct milgi_slice *slice)
{
    int rv = to->forward.n ? MILGI_PAUSE : offer(to, slice);
    if (!slice->len || (rv < 0 && rv != MILGI_ENOMEM))
        return rv;
    return hold(to, *slice) ? MILGI_PAUSE : MILGI_ENOMEM;
}

static void pair(struct milgi_stream *from, struct milgi_stream *to)
{
    if (to->forward.from == from)
        return;
    if (to->forward.from)
        to->forward.from->forward.to = NULL;
    if (from->forward.to)
        from->forward.to->forward.from = NULL;
    to->forward.from = from;
    to->forward.owed = 0;
    from->forward.to = to;
}

void milgi_stream_forward(
    struct milgi_stream *from, struct milgi_stream *to, const struct milgi_slice *slices, size_t slices_n)
{
    int rv = !to || to->ended || to->forward.shut ? MILGI_ECLOSED : 0;
    size_t len = 0;
    if (!rv)
        pair(from, to);
    for (size_t i = 0; i < slices_n && rv >= 0; i++) {
        struct milgi_slice kept;
        if (milgi_slice_keep(&slices[i], &kept)) {
            kept = slices[i]; /* no memory for a copy: then it pins the whole chunk that it lies in */
            milgi_chunk_ref(kept.chunk);
        }
        int now = pass(to, &kept);
        if (now < 0)
            milgi_chunk_unref(kept.chunk);
        rv = now ? now : rv;
        len += slices[i].len;
    }
    /* A gap must show, at both ends. */
    if (rv == MILGI_ENOMEM)
        milgi_stream_abort(to, MILGI_ALERT_INTERNAL_ERROR);
    if (rv < 0)
        milgi_stream_abort(from, MILGI_ALERT_INTERNAL_ERROR);
    else if (rv == MILGI_PAUSE)
        to->forward.owed += len;
    else
        milgi_stream_consumed(from, len);
}

bool milgi__forward_more(struct milgi_stream *to)
{
    struct milgi_forward *f = &to->forward;
    while (f->n) {
        struct milgi_slice *slice = &f->held[f->first];
        int rv = offer(to, slice);
        if (!slice->len) {
            f->first++;
            f->n--;
        }
        if (rv)
            return rv == MILGI_ECLOSED;
    }
    if (f->shut) {
        f->shut = false;
        milgi_conn_shutdown(to->conn);
    }
    if (f->from && f->owed)
        milgi_stream_consumed(f->from, f->owed);
    f->owed = 0;
    return true;
}

void milgi__forward_end(struct milgi_stream *s)
{
    struct milgi_forward *f = &s->forward;
    if (f->from && f->from != s && f->owed)
        milgi_stream_abort(f->from, MILGI_ALERT_INTERNAL_ERROR); /* some of it has got nowhere */
    if (f->from)
        f->from->forward.to = NULL;
    if (f->to)
        f->to->forward.from = NULL;
    for (uint32_t i = 0; i < f->n; i++)
        milgi_chunk_unref(f->held[f->first + i].chunk);
    free(f->held);
    *f = (struct milgi_forward){ 0 };
}
