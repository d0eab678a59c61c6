/* SPDX-License-Identifier: Apache-2.0 */
/* The stream's transport: a socket in the base. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pairs.h"

static struct link *link_of(struct milgi_stream *stream)
{
    return (struct link *)stream;
}

static bool is_again(int error)
{
    return error == EAGAIN || error == EINTR;
}

int milgi__network_read(struct milgi_stream *s, bool on)
{
    struct event *readable = &link_of(s)->readable;
    return (on ? event_add(readable, NULL) : event_del(readable)) ? -ENOMEM : 0;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct milgi_stream *s = arg;
    (void)what;
    for (unsigned i = 0; i < MILGI__READS && s->reading_on && !s->closing; i++) {
        size_t len;
        uint8_t *room = milgi__stream_room(s, &len);
        if (!room) {
            milgi__stream_read(s, MILGI__NO_ROOM);
            return;
        }
        ssize_t n = recv(fd, room, len, 0);
        milgi__stream_read(s, n > 0 ? n : !n ? MILGI__EOF
                : is_again(errno)            ? 0
                                             : -errno);
        if (n < (ssize_t)len)
            return;
    }
}

/* 0 or more that went out, or a negative errno; then nothing is left to write. */
static long flush(struct link *l)
{
    int n = evbuffer_write(l->wire, l->fd);
    int error = n < 0 && !is_again(errno) ? errno : 0;
    if (error)
        evbuffer_drain(l->wire, evbuffer_get_length(l->wire));
    if (evbuffer_get_length(l->wire))
        event_add(&l->writable, NULL);
    else
        event_del(&l->writable);
    return error ? -error : n > 0 ? n
                                  : 0;
}

long milgi__network_write(struct milgi_stream *s, const struct milgi_iov *iov, size_t iov_n)
{
    struct link *l = link_of(s);
    bool waits = evbuffer_get_length(l->wire) || !s->connected;
    for (size_t i = 0; i < iov_n; i++)
        if (evbuffer_add_reference(l->wire, iov[i].data, iov[i].len, NULL, NULL)) {
            evbuffer_drain(l->wire, evbuffer_get_length(l->wire));
            return -ENOMEM;
        }
    return waits ? 0 : flush(l);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    int error = 0, on = 1;
    socklen_t len = sizeof error;
    (void)what;
    if (!l->common.connected) {
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error) {
            milgi__stream_failed(&l->common, -error);
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* other sockets do not know it */
        milgi__stream_connected(&l->common);
    }
    if (l->fd < 0)
        return;
    size_t all = evbuffer_get_length(l->wire);
    long n = all ? flush(l) : 0;
    if (!all)
        event_del(&l->writable);
    else
        milgi__stream_written(&l->common, n < 0 ? all : (size_t)n, n < 0 ? (int)n : 0);
}

int milgi__network_shut(struct milgi_stream *s)
{
    milgi__stream_shut(s, shutdown(link_of(s)->fd, SHUT_WR) ? -errno : 0);
    return 0;
}

void milgi__network_close(struct milgi_stream *s, bool reset)
{
    struct link *l = link_of(s);
    struct linger at_once = { 1, 0 };
    event_del(&l->readable);
    event_del(&l->writable);
    evbuffer_drain(l->wire, evbuffer_get_length(l->wire));
    if (reset)
        setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(l->fd);
    l->fd = -1;
    l->over = true;
    milgi__link_reap_later(l);
}

size_t milgi__network_unsent(struct milgi_stream *s, uint64_t *ago_ms)
{
    return milgi__socket_unsent(link_of(s)->fd, ago_ms);
}

void milgi__network_assign(struct link *l)
{
    event_assign(&l->readable, l->event->base, l->fd, EV_READ | EV_PERSIST, on_readable, l);
    event_assign(&l->writable, l->event->base, l->fd, EV_WRITE | EV_PERSIST, on_writable, l);
}
