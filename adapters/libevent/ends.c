/* SPDX-License-Identifier: Apache-2.0 */
/* Between the stream and the application's bufferevent: the pair. */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "pairs.h"

#define PIECE 16384u
#define LEFT_AT_ONCE 64
#define SMALL 512u /* less is copied: what an evbuffer keeps of a piece, and holds on to, would be more */

static bool is_again(int error)
{
    return error == EAGAIN || error == EINTR;
}

bool milgi__link_is_closed(const struct link *l)
{
    struct pollfd p = { .fd = l->inner, .events = 0 };
    return !l->app || (poll(&p, 1, 0) == 1 && p.revents & POLLHUP);
}

/* Between bufferevent_free() and the end of its memory, which closes the descriptor, its callbacks are gone. */
bool milgi__link_is_live(const struct link *l)
{
    bufferevent_data_cb read_cb = NULL, write_cb = NULL;
    bufferevent_event_cb event_cb = NULL;
    if (!milgi__link_is_closed(l))
        bufferevent_getcb(l->app, &read_cb, &write_cb, &event_cb, NULL);
    return read_cb || write_cb || event_cb;
}

void milgi__link_tell(struct link *l, short what, int error)
{
    if (!milgi__link_is_live(l))
        return;
    EVUTIL_SET_SOCKET_ERROR(error);
    bufferevent_trigger_event(l->app, what, BEV_TRIG_DEFER_CALLBACKS);
}

/* Behind all that came before it. */
static void tell_failure(struct link *l)
{
    int unread = 0;
    if (!l->failed || l->failed_told || evbuffer_get_length(l->plain))
        return;
    if (!ioctl(l->inner, TIOCOUTQ, &unread) && unread)
        return;
    l->failed_told = true;
    milgi__link_tell(l, (l->eof_done ? BEV_EVENT_WRITING : BEV_EVENT_READING) | BEV_EVENT_ERROR, l->failed);
}

static void push_down(struct link *l)
{
    int n = 1;
    while (evbuffer_get_length(l->plain) && (n = evbuffer_write(l->plain, l->inner)) > 0)
        milgi_stream_consumed(&l->common, (size_t)n);
    if (n < 0 && !is_again(errno)) { /* nobody will read it */
        milgi_stream_consumed(&l->common, evbuffer_get_length(l->plain));
        evbuffer_drain(l->plain, evbuffer_get_length(l->plain));
    }
    if (evbuffer_get_length(l->plain)) {
        event_add(&l->down, NULL);
        return;
    }
    event_del(&l->down);
    if (l->eof && !l->eof_done) {
        l->eof_done = true;
        shutdown(l->inner, SHUT_WR);
    }
    tell_failure(l);
}

static void on_down(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    push_down(arg);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    tell_failure(arg);
}

static void on_app_input(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    struct link *l = arg;
    (void)buffer;
    if (info->n_added && l->failed && !l->failed_told)
        event_active(&l->read, EV_TIMEOUT, 0);
}

static void unref_chunk(const void *data, size_t len, void *chunk)
{
    (void)data, (void)len;
    milgi_chunk_unref(chunk);
}

static void on_data(struct milgi_stream *s, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct link *l = arg;
    struct milgi_slice kept;
    int rv = 0;
    for (size_t i = 0; i < slices_n && !rv; i++) {
        if (slices[i].len < SMALL || milgi_slice_keep(&slices[i], &kept)) {
            rv = evbuffer_add(l->plain, slices[i].data, slices[i].len);
        } else {
            rv = evbuffer_add_reference(l->plain, kept.data, kept.len, unref_chunk, kept.chunk);
            if (rv)
                milgi_chunk_unref(kept.chunk);
        }
    }
    if (rv)
        milgi_stream_abort(s, MILGI_ALERT_INTERNAL_ERROR);
    push_down(l);
}

static void on_end(struct milgi_stream *s, void *arg)
{
    struct link *l = arg;
    (void)s;
    l->eof = true;
    push_down(l);
}

/* --- and up from it ----------------------------------------------------------------------------------------------- */

void milgi__link_end_if_shut(struct link *l)
{
    if (!l->shut || l->shut_done || !l->open || l->over || l->taken < l->shut_at || l->held.chunk)
        return;
    l->shut_done = true;
    milgi_stream_shutdown(&l->common);
}

void milgi__link_drop_held(struct link *l)
{
    milgi_chunk_unref(l->held.chunk);
    l->held.chunk = NULL;
}

/* What the application writes goes nowhere. */
static void refuse(struct link *l, int error)
{
    if (!l->failed_told && !l->refused_told)
        milgi__link_tell(l, BEV_EVENT_WRITING | BEV_EVENT_ERROR, error);
    l->refused_told = true;
    l->failed_told = l->failed_told || l->failed; /* that was it; else it may still come */
}

static void send_held(struct link *l)
{
    int rv = milgi_stream_send(&l->common, l->held);
    l->full = rv == MILGI_PAUSE || rv == MILGI_ENOMEM;
    if (rv == MILGI_ENOMEM)
        return;
    if (rv < 0)
        milgi__link_drop_held(l);
    l->held.chunk = NULL;
    if (rv < 0)
        refuse(l, EPIPE);
}

/* All that the application has written and its bufferevent has given away is with the stream. */
static void finish(struct link *l)
{
    event_del(&l->up);
    event_del(&l->patience);
    if (l->over)
        return;
    l->over = true;
    if (l->taken + l->refused == l->written)
        milgi_stream_close(&l->common);
    else
        milgi_stream_cut(&l->common);
}

/* How much of what comes next may go out: nothing from the end of our direction on. */
static size_t to_take(const struct link *l)
{
    if (l->over)
        return 0;
    return l->shut && l->shut_at - l->taken < PIECE ? (size_t)(l->shut_at - l->taken) : PIECE;
}

static void on_up(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    (void)what;
    for (unsigned i = 0; i < MILGI__READS && (l->over || !l->full); i++) {
        size_t len = to_take(l);
        struct milgi_chunk *chunk = len ? milgi_conn_chunk(l->common.conn, PIECE) : NULL;
        if (len && !chunk) {
            l->full = true;
            milgi_stream_await_memory(&l->common);
            break;
        }
        uint8_t *to = chunk ? milgi_chunk_data(chunk) : l->event->common.waste;
        ssize_t n = recv(fd, to, chunk ? len : sizeof l->event->common.waste, 0);
        if (n > 0 && !chunk) {
            l->refused += (uint64_t)n;
            refuse(l, l->failed ? l->failed : EPIPE);
        } else if (n > 0) {
            l->taken += (uint64_t)n;
            l->held = (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)n };
            send_held(l);
            milgi__link_end_if_shut(l);
        } else {
            milgi_chunk_unref(chunk);
            if (!n)
                finish(l);
            break;
        }
    }
    if (l->full && !l->over)
        event_del(&l->up);
}

static void on_room(struct milgi_stream *s, void *arg)
{
    struct link *l = arg;
    (void)s;
    l->full = false;
    if (l->held.chunk)
        send_held(l);
    milgi__link_end_if_shut(l);
    if (!l->full)
        event_add(&l->up, NULL);
}

static void on_app_output(struct evbuffer *buffer, const struct evbuffer_cb_info *info, void *arg)
{
    (void)buffer;
    ((struct link *)arg)->written += info->n_added;
}

/* The application has gone: so long may its peer take nothing of what it has written, and so long all of that. */
static void be_patient(struct link *l)
{
    const struct milgi_stream_options *o = &l->event->common.options;
    uint64_t now_ns = milgi__loop_now(&l->event->common), left_ms = 0;
    if (l->left_until_ns > now_ns)
        left_ms = (l->left_until_ns - now_ns) / 1000000 + 1;
    uint64_t ms = left_ms < o->flush_ms ? left_ms : o->flush_ms;
    struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000 };
    milgi__stream_look(&l->common); /* the pair and the stream move in large steps, however slowly their peer takes */
    l->peer_had = l->common.taken;
    event_add(&l->patience, &tv);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    (void)fd, (void)what;
    if (l->over)
        return;
    milgi__stream_look(&l->common);
    if (l->common.taken != l->peer_had && milgi__loop_now(&l->event->common) < l->left_until_ns) {
        be_patient(l);
        return;
    }
    l->over = true;
    milgi_stream_cut(&l->common);
}

void milgi__link_forget(struct link *l)
{
    if (!milgi__link_is_closed(l)) {
        evbuffer_remove_cb(bufferevent_get_output(l->app), on_app_output, l);
        evbuffer_remove_cb(bufferevent_get_input(l->app), on_app_input, l);
    }
    l->app = NULL;
    if (l->event->at[l->outer] == l)
        l->event->at[l->outer] = NULL;
}

/*
 * The application's end is gone, and nobody reads what comes. What it has written may still have to wait for the
 * handshake, or for the peer to read: as long as an end in order may take.
 */
static void on_left(struct link *l)
{
    int unread = 0;
    milgi__link_forget(l);
    l->has_left = true;
    if (!l->over && !l->open && !ioctl(l->inner, FIONREAD, &unread) && !unread)
        finish(l);
    if (!l->over) {
        l->left_until_ns = milgi__loop_now(&l->event->common) +
            (uint64_t)l->event->common.options.flush_total_ms * 1000000;
        be_patient(l);
        push_down(l); /* which gives the credit back */
    }
    milgi__link_reap_later(l);
}

/*
 * Not an event of the base for each: what the application has left unread makes its leaving an error, and a base tells
 * errors to those who read or write only; while enough is to be sent nobody does, and the base would not rest.
 */
void milgi__links_left(evutil_socket_t fd, short what, void *arg)
{
    struct epoll_event left[LEFT_AT_ONCE];
    (void)what, (void)arg;
    int n = epoll_wait(fd, left, LEFT_AT_ONCE, 0);
    for (int i = 0; i < n; i++)
        on_left(left[i].data.ptr);
}

/* --- what the stream tells ---------------------------------------------------------------------------------------- */

static void on_open(struct milgi_stream *s, void *arg)
{
    struct link *l = arg;
    (void)s;
    l->open = true;
    milgi__link_tell(l, BEV_EVENT_CONNECTED, 0);
    event_add(&l->up, NULL);
    milgi__link_end_if_shut(l);
}

static void on_close(struct milgi_stream *s, void *arg, const struct milgi_reason *reason)
{
    struct link *l = arg;
    (void)s;
    l->over = l->has_reason = true;
    l->reason = *reason;
    if (reason->error)
        l->failed = reason->cls == MILGI_CLASS_IO && reason->device_code > 0 ? reason->device_code : EPROTO;
    milgi__link_drop_held(l);
    event_add(&l->up, NULL); /* what is written now is refused */
    tell_failure(l);
}

static void on_decide(struct milgi_stream *s, void *arg, const struct milgi_decision *decision)
{
    struct link *l = arg;
    if (l->event->on_decide)
        l->event->on_decide(
            l->event->decide_arg, milgi__link_is_live(l) ? l->app : NULL, milgi_stream_conn(s), decision);
}

const struct milgi_stream_events milgi__link_events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_decide = on_decide,
    .on_close = on_close,
};

void milgi__link_assign(struct link *l)
{
    struct event_base *base = l->event->base;
    event_assign(&l->up, base, l->inner, EV_READ | EV_PERSIST, on_up, l);
    event_assign(&l->down, base, l->inner, EV_WRITE | EV_PERSIST, on_down, l);
    evtimer_assign(&l->read, base, on_read, l);
    evtimer_assign(&l->patience, base, on_patience, l);
}

int milgi__link_watch(struct link *l)
{
    struct milgi_event *event = l->event;
    struct evbuffer *output = bufferevent_get_output(l->app);
    struct epoll_event leaves = { .events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = l };
    l->written = evbuffer_get_length(output);
    if (!epoll_ctl(event->ends_fd, EPOLL_CTL_ADD, l->inner, &leaves) && !event_add(&event->ends, NULL) &&
        !event_add(&l->writable, NULL) && !event_add(&event->completions, NULL) &&
        evbuffer_add_cb(output, on_app_output, l) &&
        evbuffer_add_cb(bufferevent_get_input(l->app), on_app_input, l))
        return 0;
    epoll_ctl(event->ends_fd, EPOLL_CTL_DEL, l->inner, NULL);
    event_del(&l->writable);
    evbuffer_remove_cb(output, on_app_output, l);
    event_active(&event->reap, EV_TIMEOUT, 0); /* without connections nothing stays in the base */
    return MILGI_ENOMEM;
}
