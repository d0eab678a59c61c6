/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel moves a relay's bytes: socket to pipe to socket. */
#include "splice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <milgi_ktls.h>

#define ROUNDS 16            /* of one connection before others have their turn */
#define AT_ONCE (256u << 10) /* more than there is room for in a pipe */

/* One direction. */
struct way {
    bool on;
    int pipe[2];
    size_t held;     /* bytes in the pipe */
    int times;       /* so often may be received into it before it is empty again; */
    int taken;       /* so often it was */
    bool to_backend; /* it waits for the backend's socket: to be writable; readable */
    bool from_backend;
    bool over; /* nothing more comes or goes */
};

struct splice {
    const struct splice_events *events;
    void *arg;
    struct milgi_stream *stream; /* NULL: it has ended */
    struct way way[2];           /* by enum milgi_direction, of the stream */
    uv_poll_t poll;              /* of a descriptor of its own: the relay's is libuv's */
    uv_idle_t again;             /* in the loop's next turn */
    int fd, polled;
    unsigned handles;
    bool again_in, again_out;
    bool closing;
};

static void pump(struct splice *s, enum milgi_direction direction);

static long move(int from, int to, size_t len)
{
    ssize_t n;
    do
        n = splice(from, NULL, to, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct splice *s = poll->data;
    bool in = s->way[MILGI_RECEIVE].to_backend, out = s->way[MILGI_SEND].from_backend;
    if (status < 0)
        s->polled = 0; /* libuv has stopped */
    if (in && (status < 0 || events & UV_WRITABLE))
        pump(s, MILGI_RECEIVE);
    if (!s->closing && out && (status < 0 || events & UV_READABLE))
        pump(s, MILGI_SEND);
}

static void await(struct splice *s)
{
    int events = (s->way[MILGI_RECEIVE].to_backend ? UV_WRITABLE : 0) |
        (s->way[MILGI_SEND].from_backend ? UV_READABLE : 0);
    if (s->closing || events == s->polled)
        return;
    s->polled = events;
    if (events)
        uv_poll_start(&s->poll, events, on_poll);
    else
        uv_poll_stop(&s->poll);
}

static void on_again(uv_idle_t *idle)
{
    struct splice *s = idle->data;
    bool in = s->way[MILGI_RECEIVE].on && s->again_in, out = s->way[MILGI_SEND].on && s->again_out;
    s->again_in = s->again_out = false;
    uv_idle_stop(idle);
    if (in)
        pump(s, MILGI_RECEIVE);
    if (out && !s->closing)
        pump(s, MILGI_SEND);
}

/* Others first. A timer that is due at once is none: libuv before 1.45 has its next turn in the same one. */
static void later(struct splice *s, bool *again)
{
    *again = true;
    if (!s->closing)
        uv_idle_start(&s->again, on_again);
}

/* --- from the client to the backend ------------------------------------------------------------------------------- */

/* From the stream, as much as fits. */
static void fill(struct splice *s, struct way *w)
{
    while (s->stream && !w->over && w->taken < w->times) {
        size_t moved;
        if (milgi_stream_splice(s->stream, MILGI_RECEIVE, w->pipe[1], AT_ONCE, &moved))
            return; /* on_splice follows, or on_end or on_close */
        w->held += moved;
        w->taken++;
    }
}

static void lose(struct splice *s, const struct way *w, int error)
{
    size_t len = w->held;
    splice_stop(s, MILGI_RECEIVE);
    s->events->deaf(s->arg, error, len);
}

/* True: there may be more to do at once. */
static bool pump_in(struct splice *s)
{
    struct way *w = &s->way[MILGI_RECEIVE];
    if (!w->held && s->events->clear(s->arg) && w->on && !s->closing)
        fill(s, w);
    if (!w->held)
        return false;
    long n = move(w->pipe[0], s->fd, w->held);
    w->to_backend = n == -EAGAIN;
    if (w->to_backend)
        return false;
    if (n <= 0) {
        lose(s, w, n ? (int)n : UV_EPIPE);
        return false;
    }
    w->held -= (size_t)n;
    w->taken = w->held ? w->taken : 0;
    s->events->moved(s->arg);
    return true;
}

/* --- from the backend to the client ------------------------------------------------------------------------------- */

/* What an end really is: as libuv's. 0: an end; or an error. -EAGAIN: there is more, or will be. */
static long really(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n > 0 || (n < 0 && errno == EINTR) ? -EAGAIN : n < 0 ? -errno
                                                                : 0;
}

static void backend_over(struct splice *s, long n)
{
    splice_stop(s, MILGI_SEND);
    if (n)
        s->events->failed(s->arg, (int)n);
    else
        s->events->ended(s->arg);
}

static bool pump_out(struct splice *s)
{
    struct way *w = &s->way[MILGI_SEND];
    if (!w->held) {
        long n = move(s->fd, w->pipe[1], AT_ONCE);
        if (n == 0)
            n = really(s->fd);
        w->from_backend = n == -EAGAIN;
        if (w->from_backend)
            return false;
        if (n <= 0) {
            backend_over(s, n);
            return false;
        }
        w->held = (size_t)n;
        s->events->moved(s->arg);
    }
    if (s->closing || !s->stream)
        return false;
    size_t moved;
    int rv = milgi_stream_splice(s->stream, MILGI_SEND, w->pipe[0], w->held, &moved);
    w->held -= moved;
    if (rv == 0 || rv == MILGI_PAUSE)
        return rv == 0;
    splice_stop(s, MILGI_SEND);
    s->events->lost(s->arg);
    return false;
}

/* --- both --------------------------------------------------------------------------------------------------------- */

static void pump(struct splice *s, enum milgi_direction direction)
{
    bool in = direction == MILGI_RECEIVE, more = true;
    struct way *w = &s->way[direction];
    w->to_backend = w->from_backend = false;
    for (unsigned i = 0; i < ROUNDS && more && w->on && !s->closing; i++)
        more = in ? pump_in(s) : pump_out(s);
    if (more && w->on && !s->closing)
        later(s, in ? &s->again_in : &s->again_out);
    await(s);
}

void splice_go(struct splice *s, enum milgi_direction direction)
{
    if (s->way[direction].on && !s->closing)
        pump(s, direction);
}

bool splice_has(const struct splice *s, enum milgi_direction direction)
{
    return s && s->way[direction].on;
}

size_t splice_held(const struct splice *s, enum milgi_direction direction)
{
    return s ? s->way[direction].held : 0;
}

bool splice_start(struct splice *s, enum milgi_direction direction)
{
    struct way *w = &s->way[direction];
    if (w->on || w->over || !s->stream)
        return false;
    w->times = milgi_ktls_pipe(direction, w->pipe);
    if (w->times <= 0) {
        w->over = true; /* nor will it be */
        return false;
    }
    w->on = true;
    if (direction == MILGI_RECEIVE)
        milgi_stream_splices(s->stream, true);
    later(s, direction == MILGI_RECEIVE ? &s->again_in : &s->again_out);
    return true;
}

void splice_stop(struct splice *s, enum milgi_direction direction)
{
    struct way *w = &s->way[direction];
    if (direction == MILGI_RECEIVE && w->on && s->stream)
        milgi_stream_splices(s->stream, false);
    w->on = w->to_backend = w->from_backend = false;
    w->over = true;
    w->held = 0;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct splice *splice_new(
    uv_loop_t *loop, int fd, struct milgi_stream *stream, const struct splice_events *events, void *arg)
{
    struct splice *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct splice){ .events = events, .arg = arg, .stream = stream, .handles = 2 };
    s->way[0].pipe[0] = s->way[0].pipe[1] = s->way[1].pipe[0] = s->way[1].pipe[1] = -1;
    s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (s->fd < 0 || uv_poll_init(loop, &s->poll, s->fd)) {
        if (s->fd >= 0)
            close(s->fd);
        free(s);
        return NULL;
    }
    uv_idle_init(loop, &s->again);
    s->poll.data = s->again.data = s;
    return s;
}

void splice_part(struct splice *s)
{
    s->stream = NULL;
    splice_stop(s, MILGI_SEND);
    await(s);
}

static void on_closed(uv_handle_t *handle)
{
    struct splice *s = handle->data;
    if (--s->handles)
        return;
    close(s->fd);
    for (unsigned i = 0; i < 4; i++)
        if (s->way[i / 2].pipe[i % 2] >= 0)
            close(s->way[i / 2].pipe[i % 2]);
    free(s);
}

void splice_end(struct splice *s)
{
    if (!s || s->closing)
        return;
    s->closing = true;
    uv_close((uv_handle_t *)&s->poll, on_closed);
    uv_close((uv_handle_t *)&s->again, on_closed);
}
