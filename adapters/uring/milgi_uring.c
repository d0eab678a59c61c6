/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over sockets on the ring: the hooks of adapters/common. */
#include "milgi_uring.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring.h"

struct uring_stream {
    struct milgi_stream common;
    struct ring_socket socket;
    struct ring_op connect;
    bool connecting;
    struct sockaddr_storage to;
};

static struct uring_stream *stream_of(const struct milgi_stream *s)
{
    return (struct uring_stream *)(uintptr_t)s;
}

static struct uring_stream *owner_of(struct ring_socket *socket)
{
    return (struct uring_stream *)((char *)socket - offsetof(struct uring_stream, socket));
}

/* --- what sockets tell ------------------------------------------------------------------------------------------- */

static uint8_t *on_room(struct ring_socket *socket, size_t *len)
{
    return milgi__stream_room(&owner_of(socket)->common, len);
}

static void on_read(struct ring_socket *socket, struct milgi_chunk *chunk, long len)
{
    struct milgi_stream *s = &owner_of(socket)->common;
    if (chunk)
        milgi__stream_lend(s, chunk);
    milgi__stream_read(s, len);
    socket->bulk = s->read_at > 0;
    milgi__ring_socket_dirty(socket);
}

static void on_sent(struct ring_socket *socket, size_t len, int error)
{
    milgi__stream_written(&owner_of(socket)->common, len, error);
}

static void on_closed(struct ring_socket *socket)
{
    milgi__stream_gone(&owner_of(socket)->common);
    free(owner_of(socket));
}

static const struct ring_socket_events socket_events = { on_room, on_read, on_sent, on_closed };

/* --- hooks ------------------------------------------------------------------------------------------------------- */

static void soon(struct milgi_loop *loop)
{
    ((struct milgi_uring *)loop)->turn = true;
}

static void timer(struct milgi_loop *loop, uint64_t due_ns)
{
    ((struct milgi_uring *)loop)->timer_due = due_ns;
}

static int reading(struct milgi_stream *s, bool on)
{
    stream_of(s)->socket.reads = on;
    milgi__ring_socket_dirty(&stream_of(s)->socket);
    return 0;
}

static long writing(struct milgi_stream *s, const struct milgi_iov *iov, size_t iov_n)
{
    return milgi__ring_socket_write(&stream_of(s)->socket, iov, iov_n);
}

static int shut(struct milgi_stream *s)
{
    milgi__stream_shut(s, shutdown(stream_of(s)->socket.fd, SHUT_WR) ? -errno : 0);
    return 0;
}

static void closing(struct milgi_stream *s, bool reset)
{
    struct uring_stream *t = stream_of(s);
    if (t->connecting)
        milgi__ring_cancel(t->socket.uring, &t->connect);
    milgi__ring_socket_close(&t->socket, reset);
}

static size_t unsent(struct milgi_stream *s, uint64_t *ago_ms)
{
    return milgi__socket_unsent(stream_of(s)->socket.fd, ago_ms);
}

static const char *error_text(int error)
{
    return strerror(-error);
}

static const struct milgi_loop_hooks hooks = {
    .soon = soon,
    .timer = timer,
    .read = reading,
    .write = writing,
    .shut = shut,
    .close = closing,
    .unsent = unsent,
    .error_text = error_text,
};

/* --- making one -------------------------------------------------------------------------------------------------- */

static int stream_new(struct milgi_uring *u, int fd, struct milgi_config *config, const char *server_name,
    const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream)
{
    struct uring_stream *t = calloc(1, sizeof *t);
    int rv = t ? milgi__stream_init(&t->common, &u->common, config, server_name, events, arg) : MILGI_ENOMEM;
    if (rv) {
        free(t);
        return rv;
    }
    milgi__ring_socket_init(&t->socket, u, fd, &socket_events);
    *stream = &t->common;
    return 0;
}

static void connected(struct uring_stream *t)
{
    int on = 1; /* a turn's output is one write: nothing to wait for; other sockets do not know it */
    setsockopt(t->socket.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    milgi__stream_connected(&t->common);
}

int milgi_uring_open(struct milgi_uring *u, int fd, struct milgi_config *config, const char *server_name,
    const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream)
{
    int type = 0;
    socklen_t len = sizeof type;
    *stream = NULL;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_STREAM)
        return MILGI_ETRANSPORT;
    int rv = stream_new(u, fd, config, server_name, events, arg, stream);
    if (!rv)
        connected(stream_of(*stream));
    return rv;
}

static void on_connected(struct ring_op *op, int res, unsigned flags)
{
    struct uring_stream *t = (struct uring_stream *)((char *)op - offsetof(struct uring_stream, connect));
    (void)flags;
    t->connecting = t->socket.unready = false;
    t->socket.ops--;
    milgi__ring_socket_dirty(&t->socket);
    if (res)
        milgi__stream_failed(&t->common, res);
    else if (!t->common.closing)
        connected(t);
}

int milgi_uring_connect(struct milgi_uring *u, const struct sockaddr *address, socklen_t len,
    struct milgi_config *config, const char *server_name, const struct milgi_stream_events *events, void *arg,
    struct milgi_stream **stream)
{
    *stream = NULL;
    if (len > sizeof(struct sockaddr_storage))
        return MILGI_EINVAL;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE ? MILGI_ELIMIT : MILGI_ETRANSPORT;
    int rv = stream_new(u, fd, config, server_name, events, arg, stream);
    if (rv) {
        close(fd);
        return rv;
    }
    struct uring_stream *t = stream_of(*stream);
    memcpy(&t->to, address, len);
    t->connect = (struct ring_op){ on_connected, u };
    t->connecting = t->socket.unready = true;
    t->socket.ops++;
    io_uring_prep_connect(milgi__ring_sqe(u, &t->connect), fd, (struct sockaddr *)&t->to, len);
    return 0;
}

int milgi_uring_socket(const struct milgi_stream *stream)
{
    return stream_of(stream)->socket.fd;
}

/* --- its life ---------------------------------------------------------------------------------------------------- */

int milgi_uring_new(const struct milgi_stream_options *options, struct milgi_uring **out)
{
    struct milgi_uring *u = calloc(1, sizeof *u);
    *out = NULL;
    int rv = u ? milgi__ring_init(u, &hooks, options) : MILGI_ENOMEM;
    if (rv)
        free(u);
    else
        *out = u;
    return rv;
}

void milgi_uring_stop(struct milgi_uring *u, void (*stopped)(void *arg), void *arg)
{
    if (u->common.stopping)
        return;
    u->stopped = stopped;
    u->stopped_arg = arg;
    milgi__loop_stop(&u->common);
    milgi__ring_listeners_stop(u);
}

struct milgi_engine *milgi_uring_engine(struct milgi_uring *u)
{
    return u->common.engine;
}

unsigned milgi_uring_streams(const struct milgi_uring *u)
{
    return u->common.streams_n;
}
