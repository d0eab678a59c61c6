/* SPDX-License-Identifier: Apache-2.0 */
/* A connection: its socket in nginx's epoll, and its plaintext where nginx's handlers look for it. */
#include <sys/socket.h>
#include <sys/uio.h>

#include "adapter.h"

#define READS 16  /* of one socket before others have their turn */
#define PIECES 64 /* of output in one call */
#define HELD_MAX 16384
#define LITTLE 4000 /* bytes in one of the small chunks that readers, too, make do with */
#define TURNS 16    /* for one call of nginx's that sends */

static struct milgi__ngx_conn **by_fd;
static ngx_uint_t by_fd_n;

static struct milgi__ngx_conn *conn_of(struct milgi_stream *stream)
{
    return (struct milgi__ngx_conn *)stream;
}

struct milgi__ngx_conn *milgi__ngx_of(ngx_connection_t *c)
{
    struct milgi__ngx_conn *m = c->fd >= 0 && (ngx_uint_t)c->fd < by_fd_n ? by_fd[c->fd] : NULL;
    return m && m->c == c ? m : NULL;
}

static bool remember(ngx_socket_t fd, struct milgi__ngx_conn *m)
{
    ngx_uint_t n = by_fd_n ? by_fd_n : 256;
    while (n <= (ngx_uint_t)fd)
        n *= 2;
    if (n > by_fd_n) {
        void *more = realloc(by_fd, n * sizeof *by_fd);
        if (!more)
            return false;
        by_fd = more;
        ngx_memzero(by_fd + by_fd_n, (n - by_fd_n) * sizeof *by_fd);
        by_fd_n = n;
    }
    by_fd[fd] = m;
    return true;
}

/* --- told to nginx, from its loop --------------------------------------------------------------------------------- */

static void tell_read(struct milgi__ngx_conn *m)
{
    if (!m->c)
        return;
    m->c->read->ready = 1;
    ngx_post_event(m->c->read, &ngx_posted_events);
}

static void tell_write(struct milgi__ngx_conn *m)
{
    if (!m->c || !m->told)
        return;
    m->draining = false;
    m->c->write->ready = 1;
    ngx_post_event(m->c->write, &ngx_posted_events);
}

/* --- the socket --------------------------------------------------------------------------------------------------- */

/* What is given outside of the engine's memory. */
static size_t hold(struct milgi__ngx_conn *m, const u_char *data, size_t size)
{
    size = ngx_min(size, HELD_MAX);
    m->held = malloc(size);
    m->held_n = m->held ? size : 0;
    m->held_max = m->held_n;
    if (m->held)
        ngx_memcpy(m->held, data, size);
    return m->held_n;
}

static void drop_held(struct milgi__ngx_conn *m)
{
    if (m->held)
        ngx_explicit_memzero(m->held, m->held_max);
    free(m->held);
    m->held = NULL;
    m->held_n = 0;
}

static void release(struct milgi__ngx_conn *m)
{
    if (m->c || !m->gone)
        return;
    by_fd[m->fd] = NULL;
    if (m->fd >= 0 && ngx_close_socket(m->fd) == -1)
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_socket_errno, ngx_close_socket_n " failed");
    drop_held(m);
    milgi__stream_forget(&m->stream);
    free(m->out);
    free(m);
}

static void on_gone_event(ngx_event_t *event)
{
    struct milgi__ngx_conn *m = event->data;
    milgi__stream_gone(&m->stream);
    m->gone = true;
    milgi__ngx_counted();
    release(m);
}

/* The descriptor stays until nginx has closed its connection, too: its number must not be another's before. */
static void closing(struct milgi_stream *s, bool reset)
{
    struct milgi__ngx_conn *m = conn_of(s);
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    if (reset)
        (void)setsockopt(m->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    else if (m->c)
        (void)shutdown(m->fd, SHUT_RDWR);
    /* Without nginx's the descriptor is closed in a moment, which is enough for epoll. */
    ngx_del_conn(m->net, m->c ? 0 : NGX_CLOSE_EVENT);
    m->net->shared = 1;
    ngx_close_connection(m->net);
    m->net = NULL;
    m->reading = false;
    m->out_first = m->out_n = 0;
    m->failed = true;
    ngx_post_event(&m->gone_event, &ngx_posted_events);
    tell_read(m);
    tell_write(m);
}

/* The client has said something: it is not closed for want of connections any more. What follows is nginx's. */
static void begun(struct milgi__ngx_conn *m)
{
    if (!m->begun && m->c && m->c->reusable)
        ngx_reusable_connection(m->c, 0);
    m->begun = true;
}

/* What was sent has an end, or the peer is told that it has none. */
static void leave(struct milgi__ngx_conn *m)
{
    if (m->net && !m->failed && m->whole && !m->held_n && !m->c->timedout)
        milgi_stream_close(&m->stream);
    else if (m->net && !m->failed)
        milgi_stream_cut(&m->stream);
}

static void on_net_read(ngx_event_t *event)
{
    ngx_connection_t *net = event->data;
    struct milgi__ngx_conn *m = net->data;
    if (net->close) { /* the worker has waited long enough */
        if (m->c)
            leave(m);
        milgi__ngx_turn();
        milgi_stream_drop(&m->stream);
        return;
    }
    for (ngx_uint_t i = 0; i < READS && m->net && m->reading && event->ready; i++) {
        size_t len;
        uint8_t *room = milgi__stream_room(&m->stream, &len);
        if (!len) {
            milgi__stream_read(&m->stream, MILGI__NO_ROOM);
            return;
        }
        ssize_t n = recv(m->fd, room, len, 0);
        ngx_err_t err = n < 0 ? ngx_socket_errno : 0;
        if (err == NGX_EINTR)
            err = NGX_EAGAIN; /* it is ready still */
        else if (err == NGX_EAGAIN || (n > 0 && (size_t)n < len && !event->pending_eof))
            event->ready = 0; /* all that there was: what comes is a new event */
        if (n > 0)
            begun(m);
        milgi__stream_read(&m->stream, n > 0 ? n : !n ? MILGI__EOF
                : err == NGX_EAGAIN                   ? 0
                                                      : -(long)err);
    }
    if (m->net && m->reading && event->ready) {
        ngx_post_event(event, &ngx_posted_next_events);
    }
}

static int reading(struct milgi_stream *s, bool on)
{
    struct milgi__ngx_conn *m = conn_of(s);
    m->reading = on;
    if (on && m->net->read->ready) {
        ngx_post_event(m->net->read, &ngx_posted_events);
    }
    return 0;
}

/* As much as the socket takes; the number of bytes, or a negative errno. */
static long put(struct milgi__ngx_conn *m, const struct milgi_iov *iov, size_t n)
{
    struct iovec vec[PIECES];
    struct msghdr msg = { .msg_iov = vec, .msg_iovlen = n < PIECES ? n : PIECES };
    for (size_t i = 0; i < msg.msg_iovlen; i++)
        vec[i] = (struct iovec){ (void *)(uintptr_t)iov[i].data, iov[i].len };
    ssize_t done;
    do
        done = sendmsg(m->fd, &msg, MSG_NOSIGNAL);
    while (done < 0 && ngx_socket_errno == NGX_EINTR);
    if (done >= 0)
        return done;
    ngx_err_t err = ngx_socket_errno;
    if (err != NGX_EAGAIN)
        return -(long)err;
    m->net->write->ready = 0;
    return 0;
}

static bool keep_out(struct milgi__ngx_conn *m, const struct milgi_iov *iov)
{
    if (m->out_first + m->out_n == m->out_max) {
        ngx_uint_t max = m->out_n < m->out_max / 2 ? m->out_max : 2 * m->out_max + 16;
        struct milgi_iov *out = max > m->out_max ? realloc(m->out, max * sizeof *out) : m->out;
        if (!out)
            return false;
        ngx_memmove(out, out + m->out_first, m->out_n * sizeof *out);
        m->out = out;
        m->out_first = 0;
        m->out_max = max;
    }
    m->out[m->out_first + m->out_n++] = *iov;
    return true;
}

static long writing(struct milgi_stream *s, const struct milgi_iov *iov, size_t iov_n)
{
    struct milgi__ngx_conn *m = conn_of(s);
    long done = m->out_n || !m->net->write->ready ? 0 : put(m, iov, iov_n);
    if (done < 0)
        return done;
    size_t skip = (size_t)done;
    ngx_uint_t out_n = m->out_n;
    for (size_t i = 0; i < iov_n; i++) {
        if (skip >= iov[i].len) {
            skip -= iov[i].len;
            continue;
        }
        struct milgi_iov rest = { (const uint8_t *)iov[i].data + skip, iov[i].len - skip };
        skip = 0;
        if (!keep_out(m, &rest)) {
            m->out_n = out_n; /* of what failed nothing is kept: it goes now */
            return -NGX_ENOMEM;
        }
    }
    if (m->out_n && m->net->write->ready) { /* it took less than all, and has not said that it is full */
        ngx_post_event(m->net->write, &ngx_posted_events);
    }
    return done;
}

static void took(struct milgi__ngx_conn *m, size_t len)
{
    for (; len && len >= m->out[m->out_first].len; m->out_n--)
        len -= m->out[m->out_first++].len;
    if (len) {
        struct milgi_iov *first = &m->out[m->out_first];
        first->data = (const uint8_t *)first->data + len;
        first->len -= len;
    }
    if (!m->out_n)
        m->out_first = 0;
}

static void on_net_write(ngx_event_t *event)
{
    ngx_connection_t *net = event->data;
    struct milgi__ngx_conn *m = net->data;
    while (m->net && m->out_n && event->ready) {
        long done = put(m, m->out + m->out_first, m->out_n);
        size_t len = done > 0 ? (size_t)done : 0;
        if (done < 0)
            for (ngx_uint_t i = 0; i < m->out_n; i++)
                len += m->out[m->out_first + i].len;
        took(m, len);
        if (done)
            milgi__stream_written(&m->stream, len, done < 0 ? (int)done : 0);
        if (done && m->draining) /* the peer takes some: nginx's time for that begins anew */
            tell_write(m);
    }
}

static int shut(struct milgi_stream *s)
{
    milgi__stream_shut(s, shutdown(conn_of(s)->fd, SHUT_WR) ? -ngx_socket_errno : 0);
    return 0;
}

static size_t unsent(struct milgi_stream *s, uint64_t *ago_ms)
{
    return milgi__socket_unsent(conn_of(s)->fd, ago_ms);
}

static const char *error_text(int error)
{
    return strerror(-error);
}

const struct milgi_loop_hooks milgi__ngx_hooks = {
    .read = reading,
    .write = writing,
    .shut = shut,
    .close = closing,
    .unsent = unsent,
    .error_text = error_text,
};

/* --- what the stream tells ---------------------------------------------------------------------------------------- */

static ngx_str_t copy(struct milgi__ngx_conn *m, const char *text)
{
    ngx_str_t to = ngx_null_string;
    size_t len = text ? ngx_strlen(text) : 0;
    to.data = len ? ngx_pnalloc(m->pool, len) : NULL;
    if (to.data) {
        ngx_memcpy(to.data, text, len);
        to.len = len;
    }
    return to;
}

static void on_open(struct milgi_stream *s, void *arg)
{
    struct milgi__ngx_conn *m = arg;
    char name[1024];
    m->open = true;
    if (!m->c)
        return;
    milgi_conn_info(milgi_stream_conn(s), &m->info);
    m->server_name = copy(m, m->info.server_name);
    m->alpn = copy(m, m->info.alpn);
    if (m->info.peer_chain_n) {
        const struct milgi_iov *leaf = m->info.peer_chain;
        if (!milgi_certificate_subject(leaf->data, leaf->len, name, sizeof name))
            m->subject = copy(m, name);
        if (!milgi_certificate_issuer(leaf->data, leaf->len, name, sizeof name))
            m->issuer = copy(m, name);
    }
    tell_read(m);
}

static void on_readable(struct milgi_stream *s, void *arg)
{
    (void)s;
    tell_read(arg);
}

static void on_drained(struct milgi_stream *s, void *arg)
{
    struct milgi__ngx_conn *m = arg;
    (void)s;
    if (m->draining && !m->held_n)
        tell_write(m);
}

static void on_end(struct milgi_stream *s, void *arg)
{
    struct milgi__ngx_conn *m = arg;
    (void)s;
    m->ended = true;
    if (m->c)
        m->c->read->pending_eof = 1;
    tell_read(m);
}

/* All of *|size| bytes, or where there is little memory a little of it: all or nothing has its turn too late. */
static int write_some(struct milgi__ngx_conn *m, const u_char *data, size_t *size)
{
    int rv = milgi_stream_write(&m->stream, data, *size);
    if (rv != MILGI_ENOMEM || *size <= LITTLE)
        return rv;
    *size = LITTLE;
    return milgi_stream_write(&m->stream, data, *size);
}

/* What there was no memory for goes first. */
static void on_room(struct milgi_stream *s, void *arg)
{
    struct milgi__ngx_conn *m = arg;
    int rv = 0;
    while (m->held_n && !rv) {
        size_t part = m->held_n;
        rv = write_some(m, m->held, &part);
        if (rv == MILGI_ENOMEM) /* once more, later */
            return;
        m->held_n -= rv < 0 ? m->held_n : part;
        ngx_memmove(m->held, m->held + part, m->held_n);
    }
    m->full = rv == MILGI_PAUSE;
    if (m->held_n)
        return;
    drop_held(m);
    if (m->finished)
        milgi_stream_shutdown(s);
    tell_write(m);
}

static void on_decide(struct milgi_stream *s, void *arg, const struct milgi_decision *decision)
{
    struct milgi__ngx_conn *m = arg;
    struct milgi_engine *engine = s->loop->engine;
    struct milgi_decision_info info;
    u_char lower[256];
    ngx_str_t name = { 0, lower };
    if (!m->c || milgi_decision_info(engine, *decision, &info))
        return;
    name.len = info.server_name ? ngx_strlen(info.server_name) : 0;
    if (name.len > sizeof lower)
        name.len = 0;
    ngx_strlow(lower, (u_char *)(uintptr_t)info.server_name, name.len);
    struct milgi_config *config = m->protocol->choose(m, &name);
    (void)milgi_decide(engine, *decision, config ? MILGI_ACCEPT : MILGI_DEFAULT, config);
}

/* What clients do wrong is of interest, no more; what we have not got, or cannot do, is for who looks after it. */
static ngx_uint_t level(enum milgi_fault fault)
{
    return fault == MILGI_FAULT_PEER || fault == MILGI_FAULT_TRANSPORT ? NGX_LOG_INFO : NGX_LOG_ERR;
}

static void log_failure(const struct milgi__ngx_conn *m, const struct milgi_reason *reason)
{
    const char *more = NULL, *alert = "", *whose = "";
    if (reason->device_code)
        more = reason->cls == MILGI_CLASS_AUTH  ? milgi_peer_verdict_text(reason->device_code)
            : reason->cls == MILGI_CLASS_DEVICE ? milgi_device_code_text(reason->device_code)
                                                : NULL;
    if (reason->alert != MILGI_ALERT_NONE) {
        whose = reason->alert_from_peer ? ", its alert: " : ", our alert: ";
        alert = milgi_alert_name(reason->alert);
    }
    ngx_log_error(level(reason->fault), m->c->log, 0, "milgi: %s failed: %s%s%s%s%s",
        m->open ? "connection" : "handshake", reason->detail, more ? ", " : "", more ? more : "", whose, alert);
}

static void on_close(struct milgi_stream *s, void *arg, const struct milgi_reason *reason)
{
    struct milgi__ngx_conn *m = arg;
    (void)s;
    m->failed = true;
    if (!m->c)
        return;
    if (reason->error && (!m->open || reason->error != MILGI_ETRUNCATED || !m->whole))
        log_failure(m, reason);
    m->c->read->pending_eof = 1;
    tell_read(m);
    tell_write(m);
}

static const struct milgi_stream_events events = {
    .on_open = on_open,
    .on_readable = on_readable,
    .on_end = on_end,
    .on_room = on_room,
    .on_drained = on_drained,
    .on_decide = on_decide,
    .on_close = on_close,
};

/* --- in the place of nginx's socket functions --------------------------------------------------------------------- */

/* Whether reading has an answer now. */
static bool readable(const struct milgi__ngx_conn *m)
{
    return milgi_stream_unread(&m->stream) || m->ended || m->failed;
}

static ssize_t conn_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    struct milgi__ngx_conn *m = milgi__ngx_of(c);
    size_t got = 0;
    int rv = m ? milgi_stream_read(&m->stream, buf, size, &got) : MILGI_ECLOSED;
    c->read->ready = got && readable(m);
    if (got)
        return (ssize_t)got;
    if (rv == MILGI_PAUSE)
        return NGX_AGAIN;
    if (!rv)
        c->read->eof = 1;
    else
        c->read->error = 1;
    return rv ? NGX_ERROR : 0;
}

static ssize_t conn_recv_chain(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    ssize_t got = 0;
    for (; in; in = in->next) {
        u_char *to = in->buf->last;
        size_t room = (size_t)(in->buf->end - to);
        if (limit && room > (size_t)(limit - got))
            room = (size_t)(limit - got);
        if (!room)
            continue;
        ssize_t n = conn_recv(c, to, room);
        if (n <= 0)
            return got ? got : n;
        got += n;
        if ((size_t)n < room || !c->read->ready)
            break;
    }
    return got;
}

/* Whether anything that nginx has sent is not yet with the kernel. */
static bool on_its_way(const struct milgi__ngx_conn *m)
{
    return m->held_n || !milgi_stream_flushed(&m->stream);
}

/*
 * What of |size| bytes the connection takes, or an error. Who is told that it is full, or that there is no memory, is
 * told by on_room() when to go on, and by nothing else: so nothing else is asked, not how full it is by now either.
 * A little is taken though there is no memory: nginx does not ask twice for the head of a response behind which it
 * upgrades, since a socket would have taken it.
 */
static ssize_t give(struct milgi__ngx_conn *m, const u_char *data, size_t size)
{
    if (m->failed || m->finished)
        return NGX_ERROR;
    size = ngx_min(size, 65536);
    size_t part = size;
    int rv = m->held_n ? MILGI_ENOMEM : write_some(m, data, &part);
    if (rv < 0 && rv != MILGI_ENOMEM)
        return NGX_ERROR;
    if (rv == MILGI_ENOMEM)
        part = m->held_n ? 0 : hold(m, data, size);
    size = part;
    m->full = rv != 0;
    m->whole = m->framed;
    m->c->sent += (off_t)size;
    return (ssize_t)size;
}

/* Of |in| what fits, and at most |limit|. NGX_CHAIN_ERROR or the rest. */
static ngx_chain_t *give_chain(struct milgi__ngx_conn *m, ngx_chain_t *in, off_t limit)
{
    off_t end = m->c->sent + limit;
    bool last = false;
    for (; in; in = in->next) {
        ngx_buf_t *b = in->buf;
        if (!ngx_buf_special(b) && !ngx_buf_in_memory(b)) {
            ngx_log_error(NGX_LOG_ALERT, m->c->log, 0, "milgi: a file that was not read");
            return NGX_CHAIN_ERROR;
        }
        while (!ngx_buf_special(b) && b->pos < b->last && !m->full) {
            size_t size = (size_t)(b->last - b->pos);
            if (limit && m->c->sent >= end)
                return in;
            ssize_t n = give(m, b->pos, limit ? ngx_min(size, (size_t)(end - m->c->sent)) : size);
            if (n == NGX_ERROR)
                return NGX_CHAIN_ERROR;
            b->pos += n;
        }
        if (!ngx_buf_special(b) && b->pos < b->last)
            return in;
        m->whole = m->whole || b->last_buf;
        last = last || b->last_buf;
    }
    m->finished = m->finished || (!in && m->protocol->ends(m, last));
    return in;
}

/* What is on its way is nginx's output still: it has to wait before it shuts the socket down. */
static void settle(struct milgi__ngx_conn *m, bool wait)
{
    ngx_connection_t *c = m->c;
    m->draining = on_its_way(m);
    bool asks = !m->finished && m->protocol->may_end && m->protocol->may_end(m);
    if (m->draining || (asks && !wait)) {
        c->buffered |= NGX_SSL_BUFFERED;
        c->write->ready = c->write->ready && !wait;
    } else {
        c->buffered &= ~NGX_SSL_BUFFERED;
    }
}

/*
 * Again, if the turn has made room. Not for ever: room that is not used now was told of, too. What was told in the turn
 * stays told: nginx's handlers that find c->write not to be ready wait for another event.
 */
static ngx_chain_t *conn_send_chain(ngx_connection_t *c, ngx_chain_t *in, off_t limit)
{
    struct milgi__ngx_conn *m = milgi__ngx_of(c);
    if (!m || m->failed)
        return NGX_CHAIN_ERROR;
    bool asked = in != NULL, finished = m->finished;
    off_t end = c->sent + limit;
    m->full = m->full && on_its_way(m);
    for (ngx_uint_t i = 0; !i || (i < TURNS && in && !m->full && (!limit || c->sent < end)); i++) {
        in = give_chain(m, in, limit ? end - c->sent : 0);
        if (in == NGX_CHAIN_ERROR)
            return in;
        if (m->finished && !finished && !m->held_n)
            milgi_stream_shutdown(&m->stream);
        finished = m->finished;
        milgi__ngx_turn();
        if (m->failed)
            return NGX_CHAIN_ERROR;
    }
    if (!in && !m->finished && m->protocol->fails && m->protocol->fails(m) && !on_its_way(m)) {
        milgi_stream_cut(&m->stream); /* before nginx shuts the socket down */
        milgi__ngx_turn();
        return NGX_CHAIN_ERROR;
    }
    settle(m, !asked || (in && m->full));
    return in;
}

static ssize_t conn_send(ngx_connection_t *c, u_char *buf, size_t size)
{
    struct milgi__ngx_conn *m = milgi__ngx_of(c);
    ngx_buf_t all = { .pos = buf, .last = buf + size, .memory = 1 };
    ngx_chain_t in = { &all, NULL };
    bool waits = (c->buffered & ~NGX_SSL_BUFFERED) != 0; /* of a chain, which does not go behind this */
    if (!m || waits || conn_send_chain(c, &in, 0) == NGX_CHAIN_ERROR)
        return NGX_ERROR;
    return all.pos > buf || !size ? all.pos - buf : NGX_AGAIN;
}

/* --- its beginning and its end ------------------------------------------------------------------------------------ */

static void nothing(ngx_event_t *event)
{
    (void)event;
}

/* nginx's handler until the handshake is over. */
static void on_handshake(ngx_event_t *event)
{
    ngx_connection_t *c = event->data;
    struct milgi__ngx_conn *m = milgi__ngx_of(c);
    if (event->timedout)
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT, "milgi: the handshake takes too long");
    bool over = event->timedout || c->close || m->failed;
    if (!over && !m->open)
        return;
    if (event->timer_set)
        ngx_del_timer(event);
    m->told = true;
    event->ready = readable(m);
    event->handler = nothing; /* until nginx has another */
    m->protocol->done(c, over ? NGX_ERROR : NGX_OK);
}

static void on_nginx_closed(void *data)
{
    struct milgi__ngx_conn *m = data;
    bool wanted = m->c->close && !ngx_exiting; /* by who has none left: it does not linger */
    leave(m);
    m->c = NULL;
    if (wanted) {
        milgi__ngx_turn();
        milgi_stream_drop(&m->stream);
    }
    milgi__stream_forget(&m->stream);
    release(m);
}

static ngx_connection_t *take_socket(ngx_connection_t *c)
{
    if ((c->read->active || c->write->active) && ngx_del_conn(c, 0) != NGX_OK)
        return NULL;
    ngx_connection_t *net = ngx_get_connection(c->fd, c->log);
    if (!net)
        return NULL;
    net->log = net->read->log = net->write->log = ngx_cycle->log;
    net->read->handler = on_net_read;
    net->write->handler = on_net_write;
    net->write->ready = 1;
    net->number = c->number;
    if (ngx_add_conn(net) != NGX_OK) {
        ngx_free_connection(net);
        net->fd = (ngx_socket_t)-1;
        return NULL;
    }
    return net;
}

/* From here on nginx reads and writes plaintext; its handles for epoll look as if they were there. */
static void give_plaintext(ngx_connection_t *c)
{
    c->recv = conn_recv;
    c->recv_chain = conn_recv_chain;
    c->send = conn_send;
    c->send_chain = conn_send_chain;
    c->sendfile = 0;
    c->need_last_buf = 1;
    c->read->active = c->write->active = 1;
    c->read->ready = 0;
    c->write->ready = 1;
    c->read->handler = on_handshake;
    c->write->handler = nothing;
}

ngx_int_t milgi__ngx_accept(ngx_connection_t *c, struct milgi_config *config, ngx_msec_t timeout,
    const struct milgi__ngx_protocol *protocol, void *arg)
{
    struct milgi__ngx_conn *m = calloc(1, sizeof *m);
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(c->pool, 0);
    if (!m || !cleanup || !remember(c->fd, m)) {
        free(m);
        return NGX_ERROR;
    }
    m->c = c;
    m->fd = c->fd;
    m->pool = c->pool;
    m->protocol = protocol;
    m->arg = arg;
    m->whole = true;
    m->stream.keeps = true;
    m->gone_event.data = m;
    m->gone_event.handler = on_gone_event;
    m->gone_event.log = ngx_cycle->log;
    int rv = milgi__stream_init(&m->stream, milgi__ngx_loop, config, NULL, &events, m);
    m->net = rv ? NULL : take_socket(c);
    if (!m->net) {
        ngx_log_error(NGX_LOG_ERR, c->log, 0, "milgi: no connection: %s", rv ? milgi_error_text(rv) : "epoll");
        if (!rv)
            milgi__stream_fini(&m->stream);
        by_fd[c->fd] = NULL;
        free(m);
        return NGX_ERROR;
    }
    m->net->data = m;
    cleanup->handler = on_nginx_closed;
    cleanup->data = m;
    give_plaintext(c);
    c->log->action = "handshaking in TLS";
    ngx_add_timer(c->read, timeout);
    milgi__ngx_counted();
    milgi__stream_connected(&m->stream);
    return NGX_OK;
}
