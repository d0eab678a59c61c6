/* SPDX-License-Identifier: Apache-2.0 */
/* A socket on the ring: what it is to do, what the kernel is doing for it, and what its owner has to be told. */
#include "ring.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOW_MIN 32768u /* what is sent at once */
#define NOW_PIECES 16u /* of which there are no more at a time: stream.c */

/* Input that came when none was wanted any more. */
struct ring_held {
    struct ring_held *next;
    struct milgi_chunk *chunk;
    long len;
};

void milgi__ring_socket_dirty(struct ring_socket *s)
{
    struct milgi_uring *u = s->uring;
    if (s->dirty)
        return;
    s->dirty = true;
    s->dirty_next = NULL;
    *(u->dirty_first ? &u->dirty_last->dirty_next : &u->dirty_first) = s;
    u->dirty_last = s;
}

static struct ring_socket *next_dirty(struct ring_socket **list)
{
    struct ring_socket *s = *list;
    if (!s)
        return NULL;
    *list = s->dirty_next;
    s->dirty = false;
    return s;
}

static struct io_uring_sqe *begin(struct ring_socket *s, struct ring_op *op)
{
    s->ops++;
    return milgi__ring_sqe(s->uring, op);
}

static void end(struct ring_socket *s)
{
    s->ops--;
    milgi__ring_socket_dirty(s);
}

/* --- in ---------------------------------------------------------------------------------------------------------- */

/* False: no memory, so that the rest is lost and the owner has to know. */
static bool hold(struct ring_socket *s, struct milgi_chunk *chunk, long len)
{
    struct ring_held *held = malloc(sizeof *held);
    if (!held)
        return false;
    *held = (struct ring_held){ NULL, chunk, len };
    *(s->held_first ? &s->held_last->next : &s->held_first) = held;
    s->held_last = held;
    return true;
}

/* |len| bytes, or the end: as for read(), but not of what waits behind something. */
static void arrive(struct ring_socket *s, struct milgi_chunk *chunk, long len)
{
    if (len < 0)
        s->over = true;
    if (s->closing || s->held_end) {
        milgi_chunk_unref(chunk);
    } else if (s->reads && !s->held_first) {
        s->events->read(s, chunk, len);
    } else if (len < 0) {
        s->held_end = (int)len;
    } else if (!hold(s, chunk, len)) {
        milgi_chunk_unref(chunk);
        s->held_end = -ENOMEM;
    }
}

static void on_received(struct ring_op *op, int res, unsigned flags)
{
    struct ring_socket *s = (struct ring_socket *)((char *)op - offsetof(struct ring_socket, receive));
    struct milgi_chunk *chunk = milgi__ring_buffer(s->uring, flags);
    if (!(flags & IORING_CQE_F_MORE)) {
        s->receiving = RING_IDLE;
        s->cancelled = false;
        end(s);
    }
    if (res > 0) {
        arrive(s, chunk, res);
        return;
    }
    milgi_chunk_unref(chunk);
    if (!res)
        arrive(s, NULL, MILGI__EOF);
    else if (res != -ENOBUFS && res != -ECANCELED && res != -EINTR && res != -EAGAIN)
        arrive(s, NULL, res);
}

static void read_now(struct ring_socket *s);

/* Of RING_READ: its memory is the owner's, who has it back in any case. */
static void on_read(struct ring_socket *s, int res, unsigned flags)
{
    s->receiving = RING_IDLE;
    end(s);
    if (s->closing || res == -EAGAIN || res == -EINTR || res == -ECANCELED)
        s->events->read(s, NULL, 0);
    else
        s->events->read(s, NULL, res ? res : MILGI__EOF);
    s->over = s->over || (!res || (res < 0 && res != -EAGAIN && res != -EINTR && res != -ECANCELED));
    if (res > 0 && flags & IORING_CQE_F_SOCK_NONEMPTY && s->reads && s->bulk && !s->closing && !s->over)
        read_now(s);
}

static void on_readable(struct ring_op *op, int res, unsigned flags)
{
    struct ring_socket *s = (struct ring_socket *)((char *)op - offsetof(struct ring_socket, receive));
    if (s->receiving == RING_MULTISHOT) {
        on_received(op, res, flags);
    } else if (s->receiving == RING_READ) {
        on_read(s, res, flags);
    } else {
        s->receiving = RING_IDLE;
        s->cancelled = false;
        end(s);
        if (res > 0 && s->reads && !s->closing && !s->held_first && !s->held_end)
            read_now(s);
    }
}

/* Straight to where the bytes belong; it never waits. */
static void read_now(struct ring_socket *s)
{
    size_t len = 0;
    uint8_t *room = s->events->room(s, &len);
    if (!room) {
        s->events->read(s, NULL, MILGI__NO_ROOM);
        return;
    }
    io_uring_prep_recv(begin(s, &s->receive), s->fd, room, len, MSG_DONTWAIT);
    s->receiving = RING_READ;
}

static void begin_receiving(struct ring_socket *s)
{
    struct io_uring_sqe *sqe = begin(s, &s->receive);
    if (s->bulk || !milgi__ring_refill(s->uring)) { /* its owner may have what the ring does not get */
        io_uring_prep_poll_add(sqe, s->fd, POLLIN | POLLRDHUP);
        s->receiving = RING_POLL;
        return;
    }
    io_uring_prep_recv_multishot(sqe, s->fd, NULL, 0, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
    s->receiving = RING_MULTISHOT;
}

/* --- out --------------------------------------------------------------------------------------------------------- */

/* Behind what there is, without its first |skip| bytes. */
static int queue(struct ring_socket *s, const struct milgi_iov *iov, size_t iov_n, size_t skip)
{
    if (s->out_first && s->out_first + s->out_n + iov_n > s->out_max) {
        memmove(s->out, s->out + s->out_first, s->out_n * sizeof *s->out);
        s->out_first = 0;
    }
    if (s->out_n + iov_n > s->out_max) {
        unsigned max = 2 * s->out_max + (unsigned)iov_n;
        struct iovec *grown = realloc(s->out == s->pieces ? NULL : s->out, max * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        if (s->out == s->pieces)
            memcpy(grown, s->pieces, s->out_n * sizeof *grown);
        s->out = grown;
        s->out_max = max;
    }
    for (size_t i = 0; i < iov_n; i++) {
        size_t skipped = skip < iov[i].len ? skip : iov[i].len, len = iov[i].len - skipped;
        skip -= skipped;
        if (!len)
            continue;
        s->out[s->out_first + s->out_n++] = (struct iovec){ (char *)(uintptr_t)iov[i].data + skipped, len };
        s->out_len += len;
    }
    milgi__ring_socket_dirty(s);
    return 0;
}

/* What the socket takes now: a call of its own is nothing beside copying so much, which is in the cache still. */
static long send_now(struct ring_socket *s, const struct milgi_iov *iov, size_t iov_n)
{
    struct iovec pieces[NOW_PIECES];
    for (size_t i = 0; i < iov_n; i++)
        pieces[i] = (struct iovec){ (void *)(uintptr_t)iov[i].data, iov[i].len };
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = iov_n };
    ssize_t n = sendmsg(s->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return -errno;
    return n < 0 ? 0 : n;
}

long milgi__ring_socket_write(struct ring_socket *s, const struct milgi_iov *iov, size_t iov_n)
{
    size_t len = 0;
    for (size_t i = 0; i < iov_n; i++)
        len += iov[i].len;
    long done = 0;
    if (len >= NOW_MIN && iov_n <= NOW_PIECES && !s->out_n && !s->unready)
        done = send_now(s, iov, iov_n);
    if (done < 0 || (size_t)done == len)
        return done;
    int rv = queue(s, iov, iov_n, (size_t)done);
    s->full = s->full || done > 0;
    return rv ? rv : done;
}

static void forget_output(struct ring_socket *s)
{
    if (s->out != s->pieces)
        free(s->out);
    s->out = s->pieces;
    s->out_max = RING_PIECES;
    s->out_first = s->out_n = 0;
    s->out_len = 0;
}

static void taken(struct ring_socket *s, size_t len)
{
    s->out_len -= len;
    while (s->out_n && len >= s->out[s->out_first].iov_len) {
        len -= s->out[s->out_first++].iov_len;
        s->out_n--;
    }
    if (!s->out_n) {
        forget_output(s);
        return;
    }
    struct iovec *piece = &s->out[s->out_first];
    piece->iov_base = (char *)piece->iov_base + len;
    piece->iov_len -= len;
    s->full = true;
}

static void on_sent(struct ring_op *op, int res, unsigned flags)
{
    struct ring_socket *s = (struct ring_socket *)((char *)op - offsetof(struct ring_socket, send));
    bool polled = s->polling;
    (void)flags;
    s->sending = s->polling = false;
    end(s);
    if (s->closing)
        return;
    if (polled) {
        s->full = false;
    } else if (res >= 0) {
        taken(s, (size_t)res);
        s->events->sent(s, (size_t)res, 0);
    } else if (res == -EAGAIN) {
        s->full = true;
    } else if (res != -EINTR && res != -ECANCELED) {
        size_t lost = s->out_len;
        forget_output(s);
        s->events->sent(s, lost, res);
    }
}

static void begin_sending(struct ring_socket *s)
{
    struct io_uring_sqe *sqe = begin(s, &s->send);
    struct iovec *first = &s->out[s->out_first];
    if (s->full) {
        io_uring_prep_poll_add(sqe, s->fd, POLLOUT);
        s->polling = true;
    } else if (s->out_n == 1) {
        io_uring_prep_send(sqe, s->fd, first->iov_base, first->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        s->sending = true;
    } else {
        s->message = (struct msghdr){ .msg_iov = first, .msg_iovlen = s->out_n < IOV_MAX ? s->out_n : IOV_MAX };
        io_uring_prep_sendmsg(sqe, s->fd, &s->message, MSG_DONTWAIT | MSG_NOSIGNAL);
        s->sending = true;
    }
}

/* --- both -------------------------------------------------------------------------------------------------------- */

static void finish(struct ring_socket *s)
{
    struct linger now = { 1, 0 };
    if (s->reset)
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(s->fd);
    if (!--s->uring->sockets_n)
        milgi__ring_give_back(s->uring);
    s->events->closed(s);
}

static bool has_news(const struct ring_socket *s)
{
    return s->closing ? !s->ops : s->reads && (s->held_first || s->held_end);
}

/* One that is closed by what it is told is listed again: its end comes from there, when no list has it. */
static void tell(struct ring_socket *s)
{
    struct ring_held *held;
    if (s->closing && !s->ops) {
        finish(s);
        return;
    }
    while (has_news(s) && !s->closing && (held = s->held_first) != NULL) {
        s->held_first = held->next;
        s->events->read(s, held->chunk, held->len);
        free(held);
    }
    if (has_news(s) && !s->closing) {
        long end = s->held_end;
        s->held_end = 0;
        s->events->read(s, NULL, end);
    }
    milgi__ring_socket_dirty(s);
}

bool milgi__ring_sockets_tell(struct milgi_uring *u)
{
    struct ring_socket *list = u->dirty_first, *s;
    bool told = false;
    u->dirty_first = NULL;
    while ((s = next_dirty(&list)) != NULL) {
        told = told || has_news(s);
        tell(s);
    }
    return told;
}

static void flush(struct ring_socket *s)
{
    bool reads = s->reads && !s->closing && !s->over;
    if (reads && s->receiving == RING_IDLE && !s->held_first && !s->held_end)
        begin_receiving(s);
    bool ends = s->receiving == RING_MULTISHOT ? !reads || s->bulk : s->receiving == RING_POLL && s->closing;
    if (ends && !s->cancelled) {
        s->cancelled = true;
        milgi__ring_cancel(s->uring, &s->receive);
    }
    if (s->closing && s->polling)
        milgi__ring_cancel(s->uring, &s->send);
    else if (s->out_n && !s->sending && !s->polling && !s->unready)
        begin_sending(s);
}

void milgi__ring_sockets_flush(struct milgi_uring *u)
{
    struct ring_socket *list = u->dirty_first, *s;
    u->dirty_first = NULL;
    while ((s = next_dirty(&list)) != NULL) {
        flush(s);
        if (has_news(s))
            milgi__ring_socket_dirty(s);
    }
}

void milgi__ring_socket_close(struct ring_socket *s, bool reset)
{
    struct ring_held *held;
    while ((held = s->held_first) != NULL) {
        s->held_first = held->next;
        milgi_chunk_unref(held->chunk);
        free(held);
    }
    s->held_end = 0;
    s->closing = true;
    s->reset = reset;
    s->reads = false;
    forget_output(s);
    milgi__ring_socket_dirty(s);
}

void milgi__ring_socket_init(
    struct ring_socket *s, struct milgi_uring *u, int fd, const struct ring_socket_events *events)
{
    s->events = events;
    s->fd = fd;
    s->uring = u;
    s->receive = (struct ring_op){ on_readable, u };
    s->send = (struct ring_op){ on_sent, u };
    s->out = s->pieces;
    s->out_max = RING_PIECES;
    u->sockets_n++;
}
