/* SPDX-License-Identifier: Apache-2.0 */
/* libuv behind the hooks of adapters/common: the engine's descriptor and timers in the loop, uv_tcp_t as transport. */
#include "milgi_uv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/loop.h"
#include "../ktls/milgi_ktls.h"

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

/* The kernel's part in a stream's records. libuv reads without types of records, so the socket is polled instead. */
struct kernel {
    struct milgi_ktls *ktls;
    uv_poll_t poll; /* of a descriptor of its own: that of |tcp| is libuv's */
    uv_timer_t timer;
    uv_timer_t again; /* reads what there is more of, in the loop's next turn */
    int fd;
    bool reads, blocked;
    bool more;    /* reading was left before the socket had no more: a poll need not say so */
    bool full;    /* there was no room to splice into it */
    bool other;   /* what lies first cannot be spliced: it is read */
    int polled;   /* events */
    bool drained; /* nothing was unacknowledged when the timer looked last */
    size_t sent;  /* that the stream has not been told of */
    unsigned handles;
};

struct tcp_stream {
    struct milgi_stream common;
    uv_tcp_t tcp;
    struct kernel *kernel; /* NULL: it has no part */
    uv_connect_t connect;
    bool closed; /* |tcp| is */
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

static int poll_kernel(struct tcp_stream *t);
static void read_again(struct tcp_stream *t);

static int reading(struct milgi_stream *s, bool on)
{
    if (milgi_stream_in_kernel(s, MILGI_RECEIVE)) {
        tcp_of(s)->kernel->more |= on && tcp_of(s)->kernel->reads; /* what was to be spliced is to be read */
        tcp_of(s)->kernel->reads = on;
        read_again(tcp_of(s));
        return poll_kernel(tcp_of(s));
    }
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

static void shut_when_drained(struct tcp_stream *t);

static int shut(struct milgi_stream *s)
{
    uv_os_fd_t fd;
    if (milgi_stream_in_kernel(s, MILGI_SEND)) {
        shut_when_drained(tcp_of(s));
        return 0;
    }
    /* All is written. libuv would do the same in its next turn, and ask epoll for more than it needs. */
    int rv = uv_fileno((uv_handle_t *)&tcp_of(s)->tcp, &fd);
    if (!rv)
        milgi__stream_shut(s, shutdown(fd, SHUT_WR) ? uv_translate_sys_error(errno) : 0);
    return rv;
}

static void free_if_over(struct milgi_uv *uv);

static void unref_if_alone(struct milgi_uv *uv)
{
    if (!uv->common.streams_n && !uv->common.stopping)
        uv_unref((uv_handle_t *)&uv->poll);
}

static void gone(struct tcp_stream *t)
{
    struct milgi_uv *uv = uv_of(t->common.loop);
    milgi__stream_gone(&t->common);
    free(t);
    unref_if_alone(uv);
    free_if_over(uv);
}

static void on_closed(uv_handle_t *handle)
{
    struct tcp_stream *t = tcp_of(handle->data);
    t->closed = true;
    if (!t->kernel)
        gone(t);
}

static void on_kernel_closed(uv_handle_t *handle)
{
    struct tcp_stream *t = tcp_of(handle->data);
    if (--t->kernel->handles)
        return;
    close(t->kernel->fd);
    free(t->kernel);
    t->kernel = NULL;
    if (t->closed)
        gone(t);
}

static void close_kernel(struct tcp_stream *t)
{
    milgi_ktls_free(t->kernel->ktls);
    t->kernel->ktls = NULL;
    uv_close((uv_handle_t *)&t->kernel->poll, on_kernel_closed);
    uv_close((uv_handle_t *)&t->kernel->timer, on_kernel_closed);
    uv_close((uv_handle_t *)&t->kernel->again, on_kernel_closed);
}

static void closing(struct milgi_stream *s, bool reset)
{
    uv_tcp_t *tcp = &tcp_of(s)->tcp;
    if (tcp_of(s)->kernel)
        close_kernel(tcp_of(s));
    if (!reset || uv_tcp_close_reset(tcp, on_closed))
        uv_close((uv_handle_t *)tcp, on_closed);
}

static size_t unsent(struct milgi_stream *s, uint64_t *ago_ms)
{
    uv_os_fd_t fd;
    return uv_fileno((uv_handle_t *)&tcp_of(s)->tcp, &fd) ? 0 : milgi__socket_unsent(fd, ago_ms);
}

/* --- records in the kernel ---------------------------------------------------------------------------------------- */

#define READS 16 /* of one socket before others have their turn */

static void kernel_read(struct tcp_stream *t);
static void kernel_sent(struct tcp_stream *t);

static void on_again(uv_timer_t *timer)
{
    struct tcp_stream *t = tcp_of(timer->data);
    if (milgi_ktls_error(t->kernel->ktls))
        kernel_sent(t);
    if (!t->common.closing)
        kernel_read(t);
}

static bool waits(const struct tcp_stream *t, enum milgi_direction direction)
{
    return milgi__stream_splice_waits(&t->common, direction);
}

/*
 * A socket that has a record need not be readable to poll() (seen with Linux 7.2, after a reader had paused): who has
 * stopped before -EAGAIN goes on by itself.
 */
static void read_again(struct tcp_stream *t)
{
    struct kernel *k = t->kernel;
    if (k && k->reads && (k->more || waits(t, MILGI_RECEIVE)) && !t->common.closing)
        uv_timer_start(&k->again, on_again, 0, 0);
}

static void read_records(struct tcp_stream *t)
{
    for (unsigned i = 0; i < READS && t->kernel->reads && !t->common.closing; i++) {
        size_t len;
        uint8_t type = 0, *room;
        if (t->common.splices && !t->kernel->other) {
            milgi__stream_may_splice(&t->common, MILGI_RECEIVE);
            return;
        }
        room = milgi__stream_room(&t->common, &len);
        if (!room) {
            milgi__stream_read(&t->common, MILGI__NO_ROOM);
            return;
        }
        long n = milgi_ktls_receive(t->kernel->ktls, room, len, &type);
        t->kernel->other = false;
        if (n == -EAGAIN || n == -EKEYEXPIRED) { /* the latter: the connection wants nothing until it has a key */
            t->kernel->more = n == -EKEYEXPIRED;
            milgi__stream_read(&t->common, 0);
            return;
        }
        t->kernel->more = true;
        milgi__stream_record(&t->common, type, n, n < 0 ? milgi_ktls_alert(n) : MILGI_ALERT_NONE);
    }
}

static void kernel_read(struct tcp_stream *t)
{
    read_records(t);
    if (t->common.splices)
        poll_kernel(t);
    else
        read_again(t);
}

/* Something was sent, or not. */
static void kernel_sent(struct tcp_stream *t)
{
    struct kernel *k = t->kernel;
    if (!k || t->common.closing)
        return;
    k->blocked = milgi_ktls_flush(k->ktls) == MILGI_PAUSE;
    poll_kernel(t);
    size_t sent = k->sent;
    k->sent = 0;
    milgi__stream_written(&t->common, sent, -milgi_ktls_error(k->ktls)); /* which may be its end */
}

static void on_kernel_poll(uv_poll_t *poll, int status, int events)
{
    struct tcp_stream *t = tcp_of(poll->data);
    if (status < 0)
        t->kernel->polled = 0; /* libuv has stopped */
    if (status < 0 || events & UV_WRITABLE) {
        t->kernel->full = false;
        kernel_sent(t);
        milgi__stream_may_splice(&t->common, MILGI_SEND);
        poll_kernel(t);
    }
    if (status < 0 || events & UV_READABLE)
        kernel_read(t);
}

static int poll_kernel(struct tcp_stream *t)
{
    struct kernel *k = t->kernel;
    bool reads = k->reads && (!t->common.splices || waits(t, MILGI_RECEIVE));
    int events = (reads ? UV_READABLE : 0) | (k->blocked || k->full ? UV_WRITABLE : 0);
    if (t->common.closing || events == k->polled)
        return 0;
    int rv = events ? uv_poll_start(&k->poll, events, on_kernel_poll) : uv_poll_stop(&k->poll);
    k->polled = rv ? 0 : events;
    return rv;
}

static int splicing(struct milgi_stream *s, enum milgi_direction direction, int pipe, size_t len, size_t *moved)
{
    struct kernel *k = tcp_of(s)->kernel;
    int rv = milgi_ktls_splice(k->ktls, direction, pipe, len, moved);
    if (direction == MILGI_SEND) {
        k->full = rv == MILGI_PAUSE;
    } else {
        k->more = rv == 0;
        k->other = rv == 0 && !*moved;
    }
    /* What there is to tell is told from the loop. */
    if (k->other || milgi_ktls_error(k->ktls))
        uv_timer_start(&k->again, on_again, 0, 0);
    if (rv == 0 && *moved)
        return 0;
    poll_kernel(tcp_of(s));
    return rv == 0 ? MILGI_PAUSE : rv == MILGI_ETRANSPORT ? MILGI_ECLOSED
                                                          : rv;
}

static void on_sent(void *arg, size_t bytes)
{
    ((struct kernel *)arg)->sent += bytes; /* told when the call that says so is over */
}

/* For a stream that has none yet. 0 or an error: it has none. */
static int kernel_new(struct tcp_stream *t)
{
    struct milgi_uv *uv = uv_of(t->common.loop);
    struct milgi_ktls_options options;
    uv_os_fd_t fd;
    milgi_ktls_options_init(&options);
    struct kernel *k = calloc(1, sizeof *k);
    options.sent = on_sent;
    options.arg = k;
    if (!k || uv_fileno((uv_handle_t *)&t->tcp, &fd)) {
        free(k);
        return MILGI_ENOMEM;
    }
    k->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (k->fd < 0 || milgi_ktls_new(t->common.conn, k->fd, &options, &k->ktls) ||
        uv_poll_init(uv->loop, &k->poll, k->fd)) {
        milgi_ktls_free(k->ktls);
        if (k->fd >= 0)
            close(k->fd);
        free(k);
        return MILGI_ENOMEM;
    }
    uv_timer_init(uv->loop, &k->timer);
    uv_timer_init(uv->loop, &k->again);
    k->poll.data = k->timer.data = k->again.data = &t->common;
    k->handles = 3;
    k->more = true;
    uv_unref((uv_handle_t *)&k->poll); /* as long as there are streams the loop lives by itself */
    uv_unref((uv_handle_t *)&k->timer);
    uv_unref((uv_handle_t *)&k->again);
    t->kernel = k;
    return 0;
}

static int taking(struct milgi_stream *s, enum milgi_direction direction)
{
    struct tcp_stream *t = tcp_of(s);
    if (direction == MILGI_SEND && t->tcp.write_queue_size)
        return MILGI_PAUSE;
    if (!t->kernel && kernel_new(t))
        return MILGI_EUNSUPPORTED;
    return milgi_ktls_take(t->kernel->ktls, direction);
}

static void recording(struct milgi_stream *s, uint8_t type, const struct milgi_iov *iov, size_t iov_n)
{
    milgi_ktls_record(tcp_of(s)->kernel->ktls, type, iov, iov_n);
    kernel_sent(tcp_of(s));
}

static void keying(struct milgi_stream *s, int direction, const struct milgi_traffic_keys *keys)
{
    milgi_ktls_keys(tcp_of(s)->kernel->ktls, direction, keys);
    kernel_sent(tcp_of(s));
}

/*
 * What the kernel has been given need not be in the socket's queue yet: of a record for which there was no room it
 * sends the rest by itself, unless the socket has been shut down or closed by then. So that waits until all is
 * acknowledged, seen twice, since between two parts of such a record nothing is under way either.
 */
#define DRAIN_MS 10u

static void on_drain(uv_timer_t *timer)
{
    struct tcp_stream *t = tcp_of(timer->data);
    uint64_t ago_ms;
    bool drained = !milgi__socket_unsent(t->kernel->fd, &ago_ms);
    if (!drained || !t->kernel->drained) {
        t->kernel->drained = drained;
        return;
    }
    uv_timer_stop(timer);
    milgi__stream_shut(&t->common, shutdown(t->kernel->fd, SHUT_WR) ? -errno : 0);
}

static void shut_when_drained(struct tcp_stream *t)
{
    uv_timer_start(&t->kernel->timer, on_drain, DRAIN_MS, DRAIN_MS);
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
    .take = taking,
    .record = recording,
    .keys = keying,
    .splice = splicing,
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
    t->connect.data = &t->common;
    int error = uv_tcp_connect(&t->connect, &t->tcp, address, on_connect);
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
