/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plaintext goes to the backend and the backend's answer back. Neither side is read faster than the other takes:
 * the client's credit returns when the backend's socket has the bytes, and the backend is not read while the client's
 * connection has no room.
 */
#include "proxy.h"
#include "splice.h"
#include "common/dial.h"
#include "common/facts.h"
#include "common/say.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 65536u
#define PIECES 32
#define COMPLAIN_MS 1000u    /* between two complaints about the backend */
#define WASTE_MAX (1u << 20) /* bytes that a client may send to a backend that takes none */
#define QUIET_MS 1000        /* a relay that was silent for so long is not in the middle of something */

const char relay_failed[] = "the backend failed";

struct relay {
    struct client *client;
    int unsent;        /* bytes that the backend's host had not acknowledged when that was asked last */
    struct dial *dial; /* until there is a connection */
    uv_tcp_t tcp;
    uv_shutdown_t shutdown;
    struct milgi_chunk *reading;     /* lent to libuv */
    struct milgi_slice held;         /* of the backend, for which there was no room; none: chunk is NULL */
    struct push *early, *early_last; /* what came before there was a connection, or when the pipe was not empty */
    struct splice *splice;           /* NULL: nothing goes past us */
    size_t wasted;                   /* bytes that it did not take */
    size_t queued;                   /* bytes that wait there, or that libuv holds for the backend */
    const struct app_address *where; /* the backend's address that answered, or failed last; NULL: none yet */
    bool connected;
    bool client_ended;  /* close_notify came: the backend's end follows what is queued */
    bool backend_ended; /* its end came */
    bool fin;           /* shutdown is asked for */
    bool deaf;          /* the backend takes nothing any more */
    bool parted;        /* the client's connection is over */
    bool closing;
};

/* Bytes on their way to the backend. */
struct push {
    struct push *next; /* of those that wait for the connection */
    uv_write_t req;
    struct relay *relay;
    struct milgi_slice slice;
};

static void free_push(struct push *push)
{
    milgi_chunk_unref(push->slice.chunk);
    free(push);
}

/* Bytes that the kernel has taken from the client, and the backend's socket has not. */
static size_t in_pipe(const struct relay *r)
{
    return splice_held(r->splice, MILGI_RECEIVE);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *handle, ssize_t len, const uv_buf_t *buf);
static void splice_if_possible(struct relay *r);

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    struct relay *r = handle->data;
    struct client *c = r->client;
    for (struct push *push = r->early, *next; push; push = next) {
        next = push->next;
        free_push(push);
    }
    milgi_chunk_unref(r->held.chunk);
    free(r);
    proxy_done(c);
}

/* |cut|: the backend must not take what it got for the whole. */
static void relay_close(struct relay *r, bool cut)
{
    if (r->closing)
        return;
    r->closing = true;
    if (r->dial)
        dial_stop(r->dial);
    r->dial = NULL;
    splice_end(r->splice);
    r->splice = NULL;
    if (!cut || !r->connected || uv_tcp_close_reset(&r->tcp, on_closed))
        uv_close((uv_handle_t *)&r->tcp, on_closed);
}

/*
 * The client's own stream may have been whole although the connection is over: then the backend gets all of it and
 * its end, and what it answers is thrown away. Closing with unread input would be a reset, which takes back what the
 * backend has not read yet.
 */
static void relay_closed(struct client *c, bool in_order)
{
    struct relay *r = c->state;
    bool again = r->parted;
    r->parted = true;
    milgi_chunk_unref(r->held.chunk);
    r->held.chunk = NULL;
    if (r->splice)
        splice_part(r->splice);
    if (again || !(in_order || r->client_ended)) {
        /* The kernel has all of a whole stream, and its end: it delivers them, whatever becomes of us. */
        bool has_all = r->client_ended && r->connected && !r->queued && !r->fin && !in_pipe(r);
        relay_close(r, !has_all);
    } else if (!r->backend_ended) {
        if (r->connected)
            uv_read_start((uv_stream_t *)&r->tcp, on_alloc, on_read);
    } else if (!r->fin && !in_pipe(r)) {
        relay_close(r, false);
    }
}

static void shut_down(struct relay *r, int status)
{
    if (r->closing)
        return;
    r->fin = false;
    if (!r->client->stream && (status || r->backend_ended))
        relay_close(r, status != 0);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    shut_down(req->data, status);
}

/* The client has ended: so does our sending, behind what is queued. */
static void end_to_backend(struct relay *r)
{
    uv_os_fd_t fd;
    if (!r->client_ended || !r->connected || r->closing || r->fin || in_pipe(r))
        return;
    /* libuv would do the same in its next turn, and ask epoll for more than it needs. */
    if (!r->tcp.write_queue_size && !uv_fileno((uv_handle_t *)&r->tcp, &fd)) {
        shut_down(r, shutdown(fd, SHUT_WR) ? uv_translate_sys_error(errno) : 0);
        return;
    }
    r->fin = true;
    r->shutdown.data = r;
    if (uv_shutdown(&r->shutdown, (uv_stream_t *)&r->tcp, on_shutdown))
        r->fin = false;
}

static void complain(struct relay *r, const char *what, int error)
{
    struct proxy *p = r->client->proxy;
    char where[APP_ADDRESS_TEXT];
    const struct app_address *address = r->where ? r->where : &p->backend.items[0];
    uint64_t now = uv_now(&p->loop);
    if (p->complained_ms && now - p->complained_ms < COMPLAIN_MS)
        return;
    p->complained_ms = now;
    app_address_text((const struct sockaddr *)&address->socket, where);
    app_complain("%s %s: %s", what, where, uv_strerror(error));
}

/* The backend is lost: the client must not take what it got for the whole. */
static void backend_failed(struct relay *r, const char *what, int error)
{
    if (r->closing)
        return;
    complain(r, what, error);
    r->client->why = relay_failed;
    if (r->client->stream)
        milgi_stream_abort(r->client->stream, MILGI_ALERT_INTERNAL_ERROR);
    relay_close(r, false);
}

/*
 * The backend takes nothing any more. What it has said is for the client all the same, up to its end: an answer may
 * have come before everything was sent. What the client still sends is thrown away, within limits.
 */
static void backend_is_deaf(struct relay *r, int error)
{
    if (!r->deaf)
        complain(r, "sending to", error);
    r->deaf = true;
}

static void waste(struct relay *r, size_t len)
{
    r->wasted += len;
    milgi_stream_consumed(r->client->stream, len);
    if (r->wasted > WASTE_MAX)
        proxy_cut(r->client);
}

/* --- to the backend ----------------------------------------------------------------------------------------------- */

static void on_pushed(uv_write_t *req, int status)
{
    struct push *push = req->data;
    struct relay *r = push->relay;
    size_t len = push->slice.len;
    free_push(push);
    r->queued -= len;
    if (r->closing)
        return;
    if (status)
        backend_is_deaf(r, status);
    if (status && r->splice)
        splice_stop(r->splice, MILGI_RECEIVE);
    if (status && r->parted)
        relay_close(r, true); /* nobody is there for its answer either */
    if (!r->client->stream)
        return;
    proxy_touch(r->client);
    if (status)
        waste(r, len);
    else
        milgi_stream_consumed(r->client->stream, len);
    if (r->splice && !r->queued)
        splice_go(r->splice, MILGI_RECEIVE);
}

static int write_push(struct relay *r, struct push *push)
{
    uv_buf_t buf = { .base = (char *)push->slice.data, .len = push->slice.len };
    return uv_write(&push->req, (uv_stream_t *)&r->tcp, &buf, 1, on_pushed);
}

static bool push_slice(struct relay *r, struct milgi_slice slice)
{
    struct push *push = malloc(sizeof *push);
    if (!push)
        return false;
    *push = (struct push){ .req.data = push, .relay = r };
    if (milgi_slice_keep(&slice, &push->slice)) {
        /* The pool is empty: so it pins the whole chunk that it lies in. */
        push->slice = slice;
        milgi_chunk_ref(slice.chunk);
    }
    if (!r->connected || in_pipe(r)) {
        *(r->early ? &r->early_last->next : &r->early) = push;
        r->early_last = push;
    } else if (write_push(r, push)) {
        free_push(push);
        return false;
    }
    r->queued += slice.len;
    return true;
}

/* --- who the client is -------------------------------------------------------------------------------------------- */

struct introduction {
    uv_write_t req;
    uint8_t bytes[PROXY_HEADER_V2_MAX];
};

static void on_introduced(uv_write_t *req, int status)
{
    (void)status; /* a failure comes again with what follows */
    free(req->data);
}

/* The PROXY protocol's header goes before everything. False: it cannot be sent. */
static bool introduce(struct relay *r)
{
    struct client *c = r->client;
    enum app_introduce how = c->proxy->options->introduce;
    if (how == APP_INTRODUCE_NOT)
        return true;
    struct introduction *intro = malloc(sizeof *intro);
    if (!intro)
        return false;
    struct milgi_conn *conn = c->stream ? milgi_stream_conn(c->stream) : NULL;
    struct facts facts = conn ? facts_of(conn) : (struct facts){ 0 };
    struct proxy_tls_facts tls = {
        .server_name = facts.server_name,
        .alpn = facts.alpn,
        .version = facts.protocol,
        .cipher = facts.suite,
        .sig_alg = facts.scheme,
        .common_name = c->common_name,
        .client_certificate = c->subject,
        .verified = facts.peer_authenticated,
    };
    size_t len = how == APP_INTRODUCE_V1 ? proxy_header_v1(intro->bytes, &c->ends)
                                         : proxy_header_v2(intro->bytes, &c->ends, &tls);
    uv_buf_t buf = uv_buf_init((char *)intro->bytes, (unsigned)len);
    intro->req.data = intro;
    if (!uv_write(&intro->req, (uv_stream_t *)&r->tcp, &buf, 1, on_introduced))
        return true;
    free(intro);
    return false;
}

/* Now there is a connection. False: not all of it can be sent. */
static bool push_early(struct relay *r)
{
    while (r->early) {
        struct push *push = r->early;
        if (write_push(r, push))
            return false;
        r->early = push->next;
    }
    return true;
}

/* What the backend's socket takes at once; the number of bytes. */
static size_t push_now(struct relay *r, const struct milgi_slice *slices, size_t slices_n)
{
    uv_buf_t bufs[PIECES];
    unsigned n = 0;
    if (r->queued || !r->connected || in_pipe(r))
        return 0;
    for (; n < PIECES && n < slices_n; n++)
        bufs[n] = (uv_buf_t){ .base = (char *)slices[n].data, .len = slices[n].len };
    int done = uv_try_write((uv_stream_t *)&r->tcp, bufs, n);
    return done > 0 ? (size_t)done : 0; /* an error comes again with the rest */
}

static void relay_data(struct client *c, const struct milgi_slice *slices, size_t slices_n)
{
    struct relay *r = c->state;
    if (r->closing)
        return;
    if (r->deaf) {
        for (size_t i = 0; i < slices_n && c->stream; i++)
            waste(r, slices[i].len);
        return;
    }
    size_t done = push_now(r, slices, slices_n), skip = done;
    for (size_t i = 0; i < slices_n; i++) {
        struct milgi_slice rest = slices[i];
        size_t skipped = skip < rest.len ? skip : rest.len;
        skip -= skipped;
        rest.data += skipped;
        rest.len -= (uint32_t)skipped;
        if (rest.len && !push_slice(r, rest)) {
            backend_failed(r, "sending to", UV_ENOMEM);
            return;
        }
    }
    if (done)
        milgi_stream_consumed(c->stream, done);
}

static void relay_end(struct client *c)
{
    struct relay *r = c->state;
    r->client_ended = true;
    end_to_backend(r);
}

/* --- from the backend --------------------------------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char waste[READ_SIZE];
    struct relay *r = handle->data;
    (void)suggested;
    if (!r->client->stream) {
        *buf = uv_buf_init(waste, sizeof waste);
        return;
    }
    struct milgi_conn *conn = r->client->stream ? milgi_stream_conn(r->client->stream) : NULL;
    unsigned size = conn ? (unsigned)milgi_conn_read_size(conn, READ_SIZE) : 0;
    r->reading = conn ? milgi_conn_chunk(conn, size) : NULL;
    *buf = r->reading ? uv_buf_init((char *)milgi_chunk_data(r->reading), size) : uv_buf_init(NULL, 0);
}

/* True if there is room for more; if not, relay_room() comes. */
static bool answer(struct relay *r, struct milgi_slice slice)
{
    int rv = milgi_stream_send(r->client->stream, slice);
    if (rv == MILGI_ENOMEM) {
        r->held = slice;
    } else if (rv < 0) {
        milgi_chunk_unref(slice.chunk);
        /* Unless it has ended anyway: a gap must show. */
        milgi_stream_abort(r->client->stream, MILGI_ALERT_INTERNAL_ERROR);
    }
    return !rv;
}

static void backend_ended(struct relay *r)
{
    r->backend_ended = true;
    uv_read_stop((uv_stream_t *)&r->tcp);
    if (r->parted && !r->fin)
        relay_close(r, false);
    if (r->client->stream && !r->held.chunk)
        milgi_stream_shutdown(r->client->stream);
}

/*
 * What |len|, which libuv has read, really is. When a connection has been reset while there was something to read
 * libuv reads that, and calls it an end without having asked for more: the error is still there.
 */
static ssize_t what_was_read(uv_stream_t *handle, ssize_t len)
{
    uv_os_fd_t fd;
    char byte;
    if (len != UV_EOF || uv_fileno((uv_handle_t *)handle, &fd))
        return len;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (!n)
        return UV_EOF;
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
        return uv_translate_sys_error(errno);
    int rv = uv_read_start(handle, on_alloc, on_read); /* there is more, or will be */
    return rv < 0 ? rv : 0;
}

static void on_read(uv_stream_t *handle, ssize_t len, const uv_buf_t *buf)
{
    struct relay *r = handle->data;
    len = what_was_read(handle, len);
    struct milgi_slice slice = { r->reading, (uint8_t *)buf->base, len > 0 ? (uint32_t)len : 0 };
    r->reading = NULL;
    if (len > 0 && r->client->stream) {
        proxy_touch(r->client);
        if (!answer(r, slice))
            uv_read_stop(handle);
        return;
    }
    milgi_chunk_unref(slice.chunk);
    if (len >= 0)
        return;
    if (len == UV_EOF && !r->deaf) {
        backend_ended(r);
    } else if (len == UV_EOF) {
        /* A reset that a write has met is no error any more when it is read: nobody knows whether this is an end. */
        backend_failed(r, "reading from", UV_ECONNRESET);
    } else if (len == UV_ENOBUFS) {
        uv_read_stop(handle);
        if (r->client->stream)
            milgi_stream_await_memory(r->client->stream);
    } else {
        backend_failed(r, "reading from", (int)len);
    }
}

static void relay_room(struct client *c)
{
    struct relay *r = c->state;
    struct milgi_slice held = r->held;
    if (r->closing)
        return;
    r->held.chunk = NULL;
    if (held.chunk && !answer(r, held))
        return;
    if (r->backend_ended)
        milgi_stream_shutdown(c->stream); /* again, when it was said before: harmless */
    else if (r->connected && !splice_has(r->splice, MILGI_SEND))
        uv_read_start((uv_stream_t *)&r->tcp, on_alloc, on_read); /* if it is on already: harmless */
    splice_if_possible(r);
}

/* --- past us ------------------------------------------------------------------------------------------------------ */

static void on_spliced(void *arg)
{
    struct relay *r = arg;
    if (r->client->stream)
        proxy_touch(r->client);
}

/* What came when the pipe was not empty goes before what fills it next; and behind all the end. */
static bool on_clear(void *arg)
{
    struct relay *r = arg;
    if (!push_early(r)) {
        backend_failed(r, "sending to", UV_ENOMEM);
        return false;
    }
    end_to_backend(r);
    return !r->closing && !r->queued;
}

static void on_deaf(void *arg, int error, size_t len)
{
    struct relay *r = arg;
    backend_is_deaf(r, error);
    r->wasted += len;
    push_early(r); /* which fails, too */
    if (r->parted)
        relay_close(r, true);
    else if (r->wasted > WASTE_MAX)
        proxy_cut(r->client);
}

static void on_ended(void *arg)
{
    struct relay *r = arg;
    if (r->deaf)
        backend_failed(r, "reading from", UV_ECONNRESET); /* as in on_read() */
    else
        backend_ended(r);
}

static void on_failed(void *arg, int error)
{
    backend_failed(arg, "reading from", error);
}

static void on_lost(void *arg)
{
    struct relay *r = arg;
    if (r->client->stream)
        milgi_stream_abort(r->client->stream, MILGI_ALERT_INTERNAL_ERROR);
}

static const struct splice_events splice_events = {
    .moved = on_spliced,
    .clear = on_clear,
    .deaf = on_deaf,
    .ended = on_ended,
    .failed = on_failed,
    .lost = on_lost,
};

/* --splice: of each direction that the kernel has, what is to come. */
static void splice_if_possible(struct relay *r)
{
    struct client *c = r->client;
    uv_os_fd_t fd;
    if (!c->proxy->options->splice || !r->connected || r->closing || !c->stream)
        return;
    bool in = milgi_stream_in_kernel(c->stream, MILGI_RECEIVE) && !r->deaf && !r->client_ended;
    bool out = milgi_stream_in_kernel(c->stream, MILGI_SEND) && !r->held.chunk && !r->backend_ended;
    if ((in || out) && !r->splice && !uv_fileno((uv_handle_t *)&r->tcp, &fd))
        r->splice = splice_new(&c->proxy->loop, fd, c->stream, &splice_events, r);
    if (in && r->splice && splice_start(r->splice, MILGI_RECEIVE))
        c->proxy->counts.spliced[MILGI_RECEIVE]++;
    if (out && r->splice && splice_start(r->splice, MILGI_SEND)) {
        c->proxy->counts.spliced[MILGI_SEND]++;
        uv_read_stop((uv_stream_t *)&r->tcp);
    }
}

static void relay_kernel(struct client *c)
{
    splice_if_possible(c->state);
}

static void relay_splice(struct client *c, enum milgi_direction direction)
{
    struct relay *r = c->state;
    if (r->splice)
        splice_go(r->splice, direction);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

static void on_dialed(void *arg, int fd, int error, const struct app_address *where)
{
    struct relay *r = arg;
    r->dial = NULL;
    r->where = where;
    if (!error) {
        error = uv_tcp_open(&r->tcp, fd);
        if (error)
            close(fd);
    }
    if (error) {
        backend_failed(r, "connecting to", error);
        return;
    }
    uv_tcp_nodelay(&r->tcp, 1);
    proxy_bound_unsent(fd);
    r->connected = true;
    if (!introduce(r) || !push_early(r)) {
        backend_failed(r, "sending to", UV_ENOMEM);
        return;
    }
    uv_read_start((uv_stream_t *)&r->tcp, on_alloc, on_read);
    end_to_backend(r);
    splice_if_possible(r);
}

static bool relay_open(struct client *c)
{
    struct proxy *p = c->proxy;
    struct relay *r = calloc(1, sizeof *r);
    if (!r || uv_tcp_init(&p->loop, &r->tcp)) {
        free(r);
        return false;
    }
    r->client = c;
    c->state = r;
    r->tcp.data = r;
    int fd;
    r->dial = dial_start(&p->loop, &p->backend, p->options->connect_ms, on_dialed, r, &fd);
    if (fd >= 0)
        on_dialed(r, fd, 0, &p->backend.items[p->backend.first]);
    else if (!r->dial)
        backend_failed(r, "connecting to", UV_ENOMEM);
    return true;
}

static bool relay_busy(const struct client *c, bool patient)
{
    const struct relay *r = c->state;
    bool moves = r->queued || in_pipe(r) || splice_held(r->splice, MILGI_SEND);
    return patient || moves || uv_now(&c->proxy->loop) - c->life.since_ms < QUIET_MS;
}

/* What the kernel still has for the backend has become less since this was asked last. */
static uint64_t relay_idle_ms(const struct client *c)
{
    struct relay *r = c->state;
    uv_os_fd_t fd;
    int unsent = 0;
    if (!r->connected || uv_fileno((uv_handle_t *)&r->tcp, &fd) || ioctl(fd, SIOCOUTQ, &unsent))
        return UINT64_MAX;
    bool moves = unsent != r->unsent;
    r->unsent = unsent;
    return moves ? 0 : UINT64_MAX;
}

const struct service relay_service = {
    .open = relay_open,
    .data = relay_data,
    .end = relay_end,
    .room = relay_room,
    .closed = relay_closed,
    .busy = relay_busy,
    .idle_ms = relay_idle_ms,
    .kernel = relay_kernel,
    .splice = relay_splice,
};
