/* SPDX-License-Identifier: Apache-2.0 */
/* Application data that goes past the connection, between its socket and a pipe. */
#include "loop.h"

static uint8_t bit(enum milgi_direction direction)
{
    return (uint8_t)(1u << direction);
}

bool milgi__stream_splice_waits(const struct milgi_stream *s, enum milgi_direction direction)
{
    return s->splice_waits & bit(direction);
}

void milgi__stream_may_splice(struct milgi_stream *s, enum milgi_direction direction)
{
    if (s->closing || !milgi__stream_splice_waits(s, direction))
        return;
    s->splice_waits &= (uint8_t)~bit(direction);
    if (!s->detached && s->events->on_splice)
        s->events->on_splice(s, s->arg, direction);
}

/* 0; MILGI_PAUSE: what the connection has to do is first; MILGI_ECLOSED. */
static int may_pass(const struct milgi_stream *s, enum milgi_direction direction)
{
    int rv = milgi_conn_passed(s->conn, direction, 0, 0);
    if (rv == 0 && direction == MILGI_SEND && (s->queued || milgi_conn_output_pending(s->conn)))
        return MILGI_PAUSE;
    return rv == 0 || rv == MILGI_PAUSE ? rv : MILGI_ECLOSED;
}

void milgi__stream_splice_again(struct milgi_stream *s)
{
    for (int i = 0; i < 2; i++) {
        enum milgi_direction direction = (enum milgi_direction)i;
        if (s->closing || s->ended || !milgi__stream_splice_waits(s, direction))
            continue;
        if (may_pass(s, direction) == MILGI_PAUSE)
            milgi__loop_takes(s);
        else
            milgi__stream_may_splice(s, direction);
    }
}

void milgi__stream_splices_no_more(struct milgi_stream *s)
{
    if (!s->splices)
        return;
    s->splices = false;
    s->splice_waits &= (uint8_t)~bit(MILGI_RECEIVE);
    if (s->reading_on && !s->closing)
        s->loop->hooks->read(s, true);
}

static int may_splice(const struct milgi_stream *s, enum milgi_direction direction)
{
    if (!s->loop->hooks->splice || !milgi_stream_in_kernel(s, direction))
        return MILGI_EINVAL;
    bool over = direction == MILGI_SEND ? s->error != 0 : s->peer_ended;
    return s->ended || s->detached || s->closing || over ? MILGI_ECLOSED : 0;
}

int milgi_stream_splices(struct milgi_stream *s, bool on)
{
    int rv = may_splice(s, MILGI_RECEIVE);
    if (!on && !s->closing)
        milgi__stream_splices_no_more(s);
    else if (!rv)
        s->splices = true;
    return rv;
}

int milgi_stream_splice(
    struct milgi_stream *s, enum milgi_direction direction, int pipe, size_t len, size_t *moved)
{
    int rv = may_splice(s, direction);
    *moved = 0;
    if (rv)
        return rv;
    if (direction == MILGI_RECEIVE && !s->splices)
        return MILGI_EINVAL;
    rv = may_pass(s, direction);
    s->splice_waits |= bit(direction);
    if (rv == MILGI_PAUSE)
        milgi__loop_takes(s);
    else if (!rv && direction == MILGI_RECEIVE && !s->reading_on)
        rv = MILGI_PAUSE; /* as soon as it is on */
    else if (!rv)
        rv = s->loop->hooks->splice(s, direction, pipe, len, moved);
    if (rv != MILGI_PAUSE)
        s->splice_waits &= (uint8_t)~bit(direction);
    if (*moved && direction == MILGI_RECEIVE)
        s->moved_ns = milgi__loop_now(s->loop);
    s->given += direction == MILGI_SEND ? *moved : 0;
    return rv;
}
