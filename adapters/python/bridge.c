/* SPDX-License-Identifier: Apache-2.0 */
/* The hooks of adapters/common, as notes of what Python's transport is to do; and what streams tell, as notes, too. */
#include "bridge.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct milgi_py_loop *py_loop(struct milgi_loop *loop)
{
    return (struct milgi_py_loop *)loop;
}

static struct milgi_py_stream *py_stream(struct milgi_stream *stream)
{
    return (struct milgi_py_stream *)stream;
}

static void note(struct milgi_py_stream *s, unsigned todo)
{
    struct milgi_py_loop *loop = py_loop(s->common.loop);
    s->todo |= todo;
    if (s->listed)
        return;
    s->listed = true;
    s->next = NULL;
    *(loop->last ? &loop->last->next : &loop->first) = s;
    loop->last = s;
}

static void unlist(struct milgi_py_stream *s)
{
    struct milgi_py_loop *loop = py_loop(s->common.loop);
    struct milgi_py_stream *before = NULL, *at = loop->first;
    if (!s->listed)
        return;
    for (; at != s; at = at->next)
        before = at;
    *(before ? &before->next : &loop->first) = s->next;
    if (loop->last == s)
        loop->last = before;
    s->listed = false;
}

struct milgi_py_stream *milgi_py_next(struct milgi_py_loop *loop)
{
    struct milgi_py_stream *s = loop->first;
    if (s)
        unlist(s);
    return s;
}

/* Room for one more element of |size| bytes behind the |n| that there are. */
static void *grown(void *array, unsigned n, unsigned *max, size_t size)
{
    if (n < *max)
        return array;
    unsigned more = *max ? 2 * *max : 8;
    void *rv = realloc(array, more * size);
    if (rv)
        *max = more;
    return rv;
}

/* --- hooks ----------------------------------------------------------------------------------------------------- */

static void soon(struct milgi_loop *loop)
{
    py_loop(loop)->soon(py_loop(loop)->handle);
}

static void timer(struct milgi_loop *loop, uint64_t due_ns)
{
    py_loop(loop)->due_ns = due_ns;
}

static int feed_held(struct milgi_py_stream *s);

static int reading(struct milgi_stream *stream, bool on)
{
    struct milgi_py_stream *s = py_stream(stream);
    s->reads = on;
    note(s, MILGI_PY_READ);
    return 0;
}

static long writing(struct milgi_stream *stream, const struct milgi_iov *iov, size_t iov_n)
{
    struct milgi_py_stream *s = py_stream(stream);
    for (size_t i = 0; i < iov_n; i++) {
        struct milgi_iov *out = grown(s->out, s->out_n, &s->out_max, sizeof *out);
        if (!out)
            return -ENOMEM;
        s->out = out;
        s->out[s->out_n++] = iov[i];
    }
    note(s, MILGI_PY_OUT);
    return 0;
}

static int shut(struct milgi_stream *stream)
{
    note(py_stream(stream), MILGI_PY_SHUT);
    return 0;
}

/* Python's transport had nothing to read after all, or has failed: it does not say so. */
static void take_back(struct milgi_py_stream *s)
{
    milgi_chunk_unref(s->common.reading);
    s->common.reading = NULL;
}

static void closing(struct milgi_stream *stream, bool reset)
{
    struct milgi_py_stream *s = py_stream(stream);
    take_back(s);
    s->out_n = 0; /* it goes with the connection */
    s->todo &= ~(unsigned)(MILGI_PY_OUT | MILGI_PY_SHUT | MILGI_PY_READ | MILGI_PY_DECIDE | MILGI_PY_ROOM);
    s->reset = reset;
    note(s, MILGI_PY_CLOSE);
}

/*
 * What Python's transport has passed on without being asked counts as |queued| still: so much less is unsent. Where
 * nobody knows what is behind it, its progress is what it has taken.
 */
static size_t unsent(struct milgi_stream *stream, uint64_t *ago_ms)
{
    int fd = -1;
    long passed = py_loop(stream->loop)->passed(py_stream(stream)->handle, &fd);
    *ago_ms = 0;
    return (fd < 0 ? 0 : milgi__socket_unsent(fd, ago_ms)) - (size_t)passed;
}

static const char *error_text(int error)
{
    switch (-error) {
    case ECONNRESET: return "the connection was reset";
    case EPIPE: return "the peer takes nothing any more";
    case ETIMEDOUT: return "the connection timed out";
    case ECONNABORTED: return "the connection was aborted";
    case ENOMEM: return "out of memory";
    default: return "the transport failed";
    }
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

/* --- what a stream tells ---------------------------------------------------------------------------------------- */

static void keep_chain(struct milgi_py_stream *s)
{
    struct milgi_conn_info info;
    size_t len = 0;
    milgi_conn_info(s->common.conn, &info);
    for (size_t i = 0; i < info.peer_chain_n; i++)
        len += sizeof *s->chain + info.peer_chain[i].len;
    struct milgi_iov *chain = len ? malloc(len) : NULL;
    if (!chain)
        return;
    uint8_t *at = (uint8_t *)(chain + info.peer_chain_n);
    for (size_t i = 0; i < info.peer_chain_n; i++) {
        chain[i] = (struct milgi_iov){ at, info.peer_chain[i].len };
        memcpy(at, info.peer_chain[i].data, info.peer_chain[i].len);
        at += info.peer_chain[i].len;
    }
    s->chain = chain;
    s->chain_n = info.peer_chain_n;
}

static void on_open(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    keep_chain(arg);
    note(arg, MILGI_PY_OPEN);
}

static void on_readable(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    note(arg, MILGI_PY_DATA);
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    note(arg, MILGI_PY_END);
}

static void on_room(struct milgi_stream *stream, void *arg)
{
    (void)stream;
    note(arg, MILGI_PY_ROOM);
}

static void on_decide(struct milgi_stream *stream, void *arg, const struct milgi_decision *decision)
{
    struct milgi_py_stream *s = arg;
    if (s->asked_n == MILGI_PY_ASKED_MAX) {
        milgi_stream_abort(stream, MILGI_ALERT_INTERNAL_ERROR);
        return;
    }
    s->asked[s->asked_n++] = *decision;
    note(s, MILGI_PY_DECIDE);
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct milgi_py_stream *s = arg;
    (void)stream;
    s->reason = *reason;
    note(s, MILGI_PY_CLOSED);
}

/* The newest are the ones to keep. */
static void on_session(struct milgi_stream *stream, void *arg, struct milgi_session *session)
{
    struct milgi_py_stream *s = arg;
    (void)stream;
    if (s->sessions_n == MILGI_PY_SESSIONS_MAX) {
        milgi_session_unref(s->sessions[0]);
        memmove(s->sessions, s->sessions + 1, --s->sessions_n * sizeof *s->sessions);
    }
    s->sessions[s->sessions_n++] = milgi_session_ref(session);
    note(s, MILGI_PY_SESSION);
}

static const struct milgi_stream_events events = {
    .on_open = on_open,
    .on_readable = on_readable,
    .on_end = on_end,
    .on_room = on_room,
    .on_decide = on_decide,
    .on_close = on_close,
    .on_session = on_session,
};

/* --- the loop -------------------------------------------------------------------------------------------------- */

int milgi_py_loop_new(const struct milgi_py_options *options, void (*tell)(void *handle),
    long (*passed)(void *handle, int *fd), void *handle, struct milgi_py_loop **loop)
{
    struct milgi_stream_options o;
    milgi_stream_options_init(&o);
    o.budget_ns = options->budget_ns;
    o.linger_ms = options->linger_ms ? options->linger_ms : o.linger_ms;
    o.flush_ms = options->flush_ms ? options->flush_ms : o.flush_ms;
    o.flush_total_ms = options->flush_total_ms ? options->flush_total_ms : o.flush_total_ms;
    if (options->op_timeout_ns)
        o.engine.op_timeout_ns[MILGI_OP_CLASS_HANDSHAKE] = options->op_timeout_ns;
    o.engine.memory_limit = options->memory_limit ? options->memory_limit : o.engine.memory_limit;
    o.engine.conn_limit = options->conn_limit ? options->conn_limit : o.engine.conn_limit;
    struct milgi_py_loop *made = calloc(1, sizeof *made);
    if (!made)
        return MILGI_ENOMEM;
    made->handle = handle;
    made->soon = tell;
    made->passed = passed;
    made->due_ns = UINT64_MAX;
    int rv = milgi__loop_init(&made->common, &hooks, &o);
    if (rv)
        free(made);
    else
        *loop = made;
    return rv;
}

struct milgi_engine *milgi_py_engine(struct milgi_py_loop *loop)
{
    return loop->common.engine;
}

void milgi_py_loop_stop(struct milgi_py_loop *loop)
{
    milgi__loop_stop(&loop->common);
}

void milgi_py_loop_free(struct milgi_py_loop *loop)
{
    milgi_engine_free(loop->common.engine);
    free(loop);
}

void milgi_py_turn(struct milgi_py_loop *loop)
{
    milgi__loop_turn(&loop->common);
}

void milgi_py_timer(struct milgi_py_loop *loop)
{
    milgi__loop_timer(&loop->common);
}

uint64_t milgi_py_due(const struct milgi_py_loop *loop)
{
    uint64_t now = milgi__loop_now(&loop->common);
    if (loop->due_ns == UINT64_MAX)
        return UINT64_MAX;
    return loop->due_ns > now ? loop->due_ns - now : 0;
}

void *milgi_py_handle(const struct milgi_conn *conn)
{
    return py_stream(milgi_stream_of(conn))->handle;
}

/* --- a stream -------------------------------------------------------------------------------------------------- */

int milgi_py_stream_new(struct milgi_py_loop *loop, struct milgi_config *config, const char *server_name,
    struct milgi_session *session, void *handle, struct milgi_py_stream **stream)
{
    struct milgi_py_stream *s = calloc(1, sizeof *s);
    if (!s)
        return MILGI_ENOMEM;
    s->handle = handle;
    s->common.keeps = true;
    int rv = milgi__stream_init(&s->common, &loop->common, config, server_name, &events, s);
    if (!rv && session) {
        rv = milgi_conn_set_session(s->common.conn, session);
        if (rv)
            milgi__stream_fini(&s->common);
    }
    if (rv) {
        free(s);
        return rv;
    }
    milgi__stream_connected(&s->common);
    *stream = s;
    return 0;
}

void milgi_py_gone(struct milgi_py_stream *s)
{
    if (s->over)
        return;
    s->over = true;
    unlist(s);
    milgi__stream_gone(&s->common);
}

void milgi_py_free(struct milgi_py_stream *s)
{
    if (!s)
        return;
    milgi__stream_forget(&s->common);
    for (unsigned i = 0; i < s->sessions_n; i++)
        milgi_session_unref(s->sessions[i]);
    free(s->out);
    free(s->chain);
    free(s->held);
    free(s);
}

/* --- in -------------------------------------------------------------------------------------------------------- */

uint8_t *milgi_py_room(struct milgi_py_stream *s, size_t *len)
{
    *len = 0;
    take_back(s);
    return s->common.closing || s->held_n ? NULL : milgi__stream_room(&s->common, len);
}

void milgi_py_read(struct milgi_py_stream *s, size_t len)
{
    milgi__stream_read(&s->common, (long)len);
}

/* How much of it went in. */
static size_t pour(struct milgi_py_stream *s, const uint8_t *data, size_t len)
{
    size_t at = 0;
    take_back(s);
    while (at < len && s->common.reading_on) {
        size_t room;
        uint8_t *to = milgi__stream_room(&s->common, &room);
        if (!to) {
            milgi__stream_read(&s->common, MILGI__NO_ROOM);
            break;
        }
        room = room < len - at ? room : len - at;
        memcpy(to, data + at, room);
        milgi__stream_read(&s->common, (long)room);
        at += room;
    }
    return s->common.closing ? len : at;
}

static int feed_held(struct milgi_py_stream *s)
{
    s->held_at += pour(s, s->held + s->held_at, s->held_n - s->held_at);
    if (s->held_at < s->held_n)
        return MILGI_PAUSE;
    free(s->held);
    s->held = NULL;
    s->held_at = s->held_n = 0;
    if (s->held_eof && !s->common.closing)
        milgi__stream_read(&s->common, MILGI__EOF);
    return 0;
}

int milgi_py_feed(struct milgi_py_stream *s, const void *data, size_t len)
{
    if (s->common.closing || (s->held && !feed_held(s) && !len))
        return 0;
    size_t done = s->held ? 0 : pour(s, data, len), rest = len - done;
    if (!rest)
        return s->held ? MILGI_PAUSE : 0;
    uint8_t *held = malloc(s->held_n - s->held_at + rest);
    if (!held)
        return MILGI_ENOMEM;
    if (s->held)
        memcpy(held, s->held + s->held_at, s->held_n - s->held_at);
    memcpy(held + s->held_n - s->held_at, (const uint8_t *)data + done, rest);
    free(s->held);
    s->held_n = s->held_n - s->held_at + rest;
    s->held_at = 0;
    s->held = held;
    return MILGI_PAUSE;
}

void milgi_py_eof(struct milgi_py_stream *s)
{
    s->held_eof = s->held != NULL;
    if (!s->common.closing && !s->held)
        milgi__stream_read(&s->common, MILGI__EOF);
}

void milgi_py_lost(struct milgi_py_stream *s, int error)
{
    if (s->common.closing)
        return;
    if (!error && !s->common.ended)
        milgi_py_eof(s);
    if (!s->common.closing && s->common.ended)
        milgi__stream_destroy(&s->common, false);
    else if (!s->common.closing)
        milgi__stream_failed(&s->common, error ? -error : -ECONNABORTED);
}

void milgi_py_written(struct milgi_py_stream *s, size_t len)
{
    if (!s->common.closing)
        milgi__stream_written(&s->common, len, 0);
}

void milgi_py_shut(struct milgi_py_stream *s)
{
    if (!s->common.closing)
        milgi__stream_shut(&s->common, 0);
}

/* --- names ----------------------------------------------------------------------------------------------------- */

struct names {
    char *out;
    size_t cap, len;
};

static int each_name(void *arg, enum milgi_name_kind kind, const char *text)
{
    static const char *const kinds[] = { "dns", "ip", "email", "uri" };
    struct names *names = arg;
    size_t left = names->len < names->cap ? names->cap - names->len : 0;
    int n = snprintf(names->out + (left ? names->len : 0), left, "%s:%s\n", kinds[kind], text);
    names->len += n > 0 ? (size_t)n : 0;
    return 0;
}

size_t milgi_py_names(const void *der, size_t len, char *out, size_t cap)
{
    struct names names = { out, cap, 0 };
    return milgi_certificate_names(der, len, each_name, &names) ? 0 : names.len;
}
