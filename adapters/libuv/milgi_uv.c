/* SPDX-License-Identifier: Apache-2.0 */
/* libuv behind the hooks of adapters/common: the engine's descriptor and timers in the loop, uv_tcp_t as transport. */
#include "milgi_uv.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../common/loop.h"

#define NS_PER_MS 1000000u
#define PIECES 16
#define HANDLES 4

struct milgi_uv {
    struct milgi_loop common;
    uv_loop_t *loop;
    uv_poll_t poll;   /* the engine's descriptor */
    uv_check_t check; /* runs the turn, right after the loop has polled; active only while there is one to run */
    uv_idle_t idle;   /* active with |check|, so that the loop does not sleep before it */
    uv_timer_t timer;
    uint64_t timer_due;           /* what it is set for; UINT64_MAX: it is not */
    uv_handle_t *handle[HANDLES]; /* all of these */
    unsigned handles;             /* those that are not closed */
    void (*stopped)(void *arg);
    void *stopped_arg;
};

struct tcp_stream {
    struct milgi_stream common;
    uv_tcp_t tcp;
    union {
        uv_connect_t connect;
        uv_shutdown_t shutdown; /* never before |connect| is over */
    } req;
};

/* A write that libuv has not finished; the bytes are the connection's. */
struct write {
    uv_write_t req;
    struct milgi_stream *stream;
    size_t len;
};

static struct milgi_uv *uv_of(struct milgi_loop *loop)
{
    return (struct milgi_uv *)loop;
}

static struct tcp_stream *tcp_of(struct milgi_stream *stream)
{
    return (struct tcp_stream *)stream;
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static void stay_awake(uv_idle_t *idle)
{
    (void)idle; /* being active is all it does: the loop does not sleep */
}

static void on_check(uv_check_t *check)
{
    struct milgi_uv *uv = check->data;
    uv_check_stop(&uv->check);
    uv_idle_stop(&uv->idle);
    milgi__loop_turn(&uv->common);
}

static void soon(struct milgi_loop *loop)
{
    uv_check_start(&uv_of(loop)->check, on_check);
    uv_idle_start(&uv_of(loop)->idle, stay_awake);
}

static void on_engine_fd(uv_poll_t *poll, int status, int events)
{
    struct milgi_uv *uv = poll->data;
    (void)status;
    (void)events;
    if (!uv->common.stopping)
        soon(&uv->common);
}

static void on_timer(uv_timer_t *timer)
{
    struct milgi_uv *uv = timer->data;
    uv->timer_due = UINT64_MAX;
    milgi__loop_timer(&uv->common);
}

static void timer(struct milgi_loop *loop, uint64_t due_ns)
{
    struct milgi_uv *uv = uv_of(loop);
    if (due_ns == uv->timer_due)
        return;
    uv->timer_due = due_ns;
    uv_timer_stop(&uv->timer);
    if (due_ns == UINT64_MAX)
        return;
    uint64_t now = milgi__loop_now(loop), left = due_ns > now ? due_ns - now : 1;
    uv_update_time(uv->loop);
    uv_timer_start(&uv->timer, on_timer, left / NS_PER_MS + 1, 0); /* up: not before it is due */
}

/* --- a stream ----------------------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    buf->base = (char *)milgi__stream_room(handle->data, &buf->len);
}

static void on_read(uv_stream_t *handle, ssize_t len, const uv_buf_t *buf)
{
    (void)buf;
    milgi__stream_read(handle->data, len == UV_EOF ? MILGI__EOF : len == UV_ENOBUFS ? MILGI__NO_ROOM
                                                                                    : len);
}

static int reading(struct milgi_stream *s, bool on)
{
    uv_stream_t *tcp = (uv_stream_t *)&tcp_of(s)->tcp;
    return on ? uv_read_start(tcp, on_alloc, on_read) : uv_read_stop(tcp);
}

static void on_written(uv_write_t *req, int status)
{
    struct write *w = req->data;
    milgi__stream_written(w->stream, w->len, status);
    free(w);
}

/* What the socket takes now, and the rest when it can. */
static long writing(struct milgi_stream *s, const struct milgi_iov *iov, size_t iov_n)
{
    uv_stream_t *tcp = (uv_stream_t *)&tcp_of(s)->tcp;
    uv_buf_t bufs[PIECES], *first = bufs;
    size_t len = 0;
    for (size_t i = 0; i < iov_n; i++) {
        bufs[i] = (uv_buf_t){ .base = (char *)(uintptr_t)iov[i].data, .len = iov[i].len };
        len += iov[i].len;
    }
    int done = uv_try_write(tcp, bufs, (unsigned)iov_n);
    if (done < 0 && done != UV_EAGAIN)
        return done;
    size_t skip = done > 0 ? (size_t)done : 0, rest = len - skip;
    if (!rest)
        return (long)len;
    for (; skip >= first->len; first++)
        skip -= first->len;
    first->base += skip;
    first->len -= skip;
    struct write *w = malloc(sizeof *w);
    if (!w)
        return UV_ENOMEM;
    *w = (struct write){ .req.data = w, .stream = s, .len = rest };
    int rv = uv_write(&w->req, tcp, first, (unsigned)(iov_n - (size_t)(first - bufs)), on_written);
    if (rv)
        free(w);
    return rv ? rv : (long)(len - rest);
}

static void on_shut(uv_shutdown_t *req, int status)
{
    milgi__stream_shut(req->data, status);
}

static int shut(struct milgi_stream *s)
{
    uv_stream_t *tcp = (uv_stream_t *)&tcp_of(s)->tcp;
    uv_os_fd_t fd;
    /* libuv would do the same in its next turn, and ask epoll for more than it needs. */
    if (!tcp->write_queue_size && !uv_fileno((uv_handle_t *)tcp, &fd)) {
        milgi__stream_shut(s, shutdown(fd, SHUT_WR) ? uv_translate_sys_error(errno) : 0);
        return 0;
    }
    tcp_of(s)->req.shutdown.data = s;
    return uv_shutdown(&tcp_of(s)->req.shutdown, tcp, on_shut);
}

static void free_if_over(struct milgi_uv *uv);

static void unref_if_alone(struct milgi_uv *uv)
{
    if (!uv->common.streams_n && !uv->common.stopping)
        uv_unref((uv_handle_t *)&uv->poll);
}

static void on_closed(uv_handle_t *handle)
{
    struct milgi_stream *s = handle->data;
    struct milgi_uv *uv = uv_of(s->loop);
    milgi__stream_gone(s);
    free(tcp_of(s));
    unref_if_alone(uv);
    free_if_over(uv);
}

static void closing(struct milgi_stream *s, bool reset)
{
    uv_tcp_t *tcp = &tcp_of(s)->tcp;
    if (!reset || uv_tcp_close_reset(tcp, on_closed))
        uv_close((uv_handle_t *)tcp, on_closed);
}

static size_t unsent(struct milgi_stream *s, uint64_t *ago_ms)
{
    uv_os_fd_t fd;
    return uv_fileno((uv_handle_t *)&tcp_of(s)->tcp, &fd) ? 0 : milgi__socket_unsent(fd, ago_ms);
}

static const struct milgi_loop_hooks hooks = {
    .soon = soon,
    .timer = timer,
    .read = reading,
    .write = writing,
    .shut = shut,
    .close = closing,
    .unsent = unsent,
    .error_text = uv_strerror,
};

/* --- making one --------------------------------------------------------------------------------------------------- */

static void on_unmade(uv_handle_t *handle)
{
    free(tcp_of(handle->data));
}

/* A transport without a stream, so far. */
static int transport_new(struct milgi_uv *uv, struct tcp_stream **out)
{
    struct tcp_stream *t = calloc(1, sizeof *t);
    *out = t;
    if (!t)
        return MILGI_ENOMEM;
    if (!uv_tcp_init(uv->loop, &t->tcp)) {
        t->tcp.data = &t->common;
        return 0;
    }
    free(t);
    return MILGI_ELIMIT;
}

/* The stream over it; |error|: or there is none, since the transport could not be made. */
static int stream_new(struct milgi_uv *uv, struct tcp_stream *t, int error, struct milgi_config *config,
    const char *server_name, const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream)
{
    int rv = error ? MILGI_ETRANSPORT
                   : milgi__stream_init(&t->common, &uv->common, config, server_name, events, arg);
    if (rv) {
        uv_close((uv_handle_t *)&t->tcp, on_unmade);
        return rv;
    }
    if (uv->common.streams_n == 1)
        uv_ref((uv_handle_t *)&uv->poll);
    *stream = &t->common;
    return 0;
}

static void connected(struct tcp_stream *t)
{
    uv_tcp_nodelay(&t->tcp, 1); /* a turn's output is one write: nothing to wait for; other sockets do not know it */
    milgi__stream_connected(&t->common);
}

int milgi_uv_accept(struct milgi_uv *uv, uv_stream_t *server, struct milgi_config *config,
    const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream)
{
    struct tcp_stream *t;
    *stream = NULL;
    int rv = transport_new(uv, &t);
    if (rv)
        return rv;
    rv = stream_new(uv, t, uv_accept(server, (uv_stream_t *)&t->tcp), config, NULL, events, arg, stream);
    if (!rv)
        connected(t);
    return rv;
}

static void on_connect(uv_connect_t *req, int status)
{
    if (status)
        milgi__stream_failed(req->data, status);
    else
        connected(tcp_of(req->data));
}

int milgi_uv_connect(struct milgi_uv *uv, const struct sockaddr *address, struct milgi_config *config,
    const char *server_name, const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream)
{
    struct tcp_stream *t;
    *stream = NULL;
    int rv = transport_new(uv, &t);
    if (!rv)
        rv = stream_new(uv, t, 0, config, server_name, events, arg, stream);
    if (rv)
        return rv;
    t->req.connect.data = &t->common;
    int error = uv_tcp_connect(&t->req.connect, &t->tcp, address, on_connect);
    if (error)
        milgi__stream_read(&t->common, error); /* told from the loop, as other failures are */
    return 0;
}

int milgi_uv_open(struct milgi_uv *uv, uv_os_sock_t fd, struct milgi_config *config, const char *server_name,
    const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream)
{
    struct tcp_stream *t;
    *stream = NULL;
    int rv = transport_new(uv, &t);
    if (rv)
        return rv;
    rv = stream_new(uv, t, 0, config, server_name, events, arg, stream);
    if (rv)
        return rv;
    /* Last, since what libuv has been given it closes. */
    if (!uv_tcp_open(&t->tcp, fd)) {
        connected(t);
        return 0;
    }
    *stream = NULL;
    milgi__stream_fini(&t->common);
    unref_if_alone(uv);
    uv_close((uv_handle_t *)&t->tcp, on_unmade);
    return MILGI_ETRANSPORT;
}

uv_tcp_t *milgi_uv_tcp(struct milgi_stream *stream)
{
    return &tcp_of(stream)->tcp;
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

static void free_if_over(struct milgi_uv *uv)
{
    if (!uv->common.stopping || uv->handles || uv->common.streams_n)
        return;
    milgi_engine_free(uv->common.engine);
    if (uv->stopped)
        uv->stopped(uv->stopped_arg);
    free(uv);
}

static void adopt(struct milgi_uv *uv, void *handle)
{
    uv->handle[uv->handles++] = handle;
    ((uv_handle_t *)handle)->data = uv;
    /* What keeps the loop alive is streams, and for them |poll| speaks: a paused socket itself does not. */
    uv_unref(handle);
}

static int make_handles(struct milgi_uv *uv)
{
    uv_check_init(uv->loop, &uv->check);
    adopt(uv, &uv->check);
    uv_idle_init(uv->loop, &uv->idle);
    adopt(uv, &uv->idle);
    uv_timer_init(uv->loop, &uv->timer);
    adopt(uv, &uv->timer);
    if (uv_poll_init(uv->loop, &uv->poll, milgi_engine_fd(uv->common.engine)))
        return MILGI_ELIMIT;
    adopt(uv, &uv->poll);
    uv_poll_start(&uv->poll, UV_READABLE, on_engine_fd);
    return 0;
}

/* libuv writes to sockets as to files, so that a peer that has gone would end the process. */
static void outlive_peers(void)
{
    struct sigaction action;
    if (!sigaction(SIGPIPE, NULL, &action) && action.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

int milgi_uv_new(uv_loop_t *loop, const struct milgi_stream_options *options, struct milgi_uv **out)
{
    struct milgi_uv *uv = calloc(1, sizeof *uv);
    *out = NULL;
    if (!uv)
        return MILGI_ENOMEM;
    uv->loop = loop;
    uv->timer_due = UINT64_MAX;
    int rv = milgi__loop_init(&uv->common, &hooks, options);
    if (rv) {
        free(uv);
        return rv;
    }
    rv = make_handles(uv);
    if (rv)
        milgi_uv_stop(uv, NULL, NULL);
    else
        *out = uv;
    outlive_peers();
    return rv;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct milgi_uv *uv = handle->data;
    uv->handles--;
    free_if_over(uv);
}

void milgi_uv_stop(struct milgi_uv *uv, void (*stopped)(void *arg), void *arg)
{
    if (uv->common.stopping)
        return;
    uv->stopped = stopped;
    uv->stopped_arg = arg;
    milgi__loop_stop(&uv->common);
    for (unsigned i = 0; i < uv->handles; i++)
        uv_close(uv->handle[i], on_handle_closed);
}

struct milgi_engine *milgi_uv_engine(struct milgi_uv *uv)
{
    return uv->common.engine;
}

unsigned milgi_uv_streams(const struct milgi_uv *uv)
{
    return uv->common.streams_n;
}
