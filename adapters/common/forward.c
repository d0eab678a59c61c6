/* SPDX-License-Identifier: Apache-2.0 */
/* From one stream to another, or back to itself: nothing is lost, and no more is read than can be sent. */
#include "loop.h"

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
    int rv = to->forward.held.n ? MILGI_PAUSE : offer(to, slice);
    if (!slice->len || (rv < 0 && rv != MILGI_ENOMEM))
        return rv;
    return milgi__queue_put(&to->forward.held, *slice) ? MILGI_PAUSE : MILGI_ENOMEM;
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
        struct milgi_slice kept = milgi__slice_of_own(&slices[i]);
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
    while (f->held.n) {
        struct milgi_slice *slice = &f->held.slices[f->held.first];
        int rv = offer(to, slice);
        if (!slice->len)
            milgi__queue_drop(&f->held);
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
    milgi__queue_clear(&f->held);
    *f = (struct milgi_forward){ 0 };
}
