/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `milgi connect`: standard input to the server, what it says to standard output, both at once and each no faster than
 * the other side takes. Standard input and output may be anything, so they are read and written by libuv's threads.
 */
#include "commands.h"
#include "common/address.h"
#include "common/certificate.h"
#include "common/descriptors.h"
#include "common/dial.h"
#include "common/facts.h"
#include "common/pieces.h"
#include "common/say.h"
#include "common/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE 16384u
#define DESCRIPTORS 10u /* that loop, engine, names and a connection take, and two in reserve */

struct connect {
    uv_loop_t loop;
    const struct app_options *options;
    struct app_tls tls;
    struct app_addresses addresses;
    struct dial *dial; /* until TCP is through */
    char name[256];
    struct milgi_stream *stream; /* NULL: ended */
    json_t *path;                /* of certificates, to one that is trusted; NULL: nothing was verified now */
    uv_timer_t idle;
    int status;

    uv_fs_t in_req, out_req;
    struct milgi_chunk *in_chunk; /* being read into */
    struct milgi_slice in_held;   /* read, but there was no memory to send it; none: chunk is NULL */
    struct app_pieces out;
    bool reading, writing; /* a request is out */
    bool opened, peer_ended, we_ended, gone, stopped;
    uint32_t pieces_sent;
};

static void read_more(struct connect *c);

/* A terminal or pipe that another program has left non-blocking would be asked again and again. */
static bool make_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (!(flags & O_NONBLOCK) || !fcntl(fd, F_SETFL, flags & ~O_NONBLOCK));
}

/* That a request has met what passes: asked again, it waits. */
static bool will_wait(int fd, ssize_t len)
{
    return len == UV_EINTR || (len == UV_EAGAIN && make_blocking(fd));
}

/* --- what is told ------------------------------------------------------------------------------------------------- */

static void put_json(json_t *object)
{
    char *text = facts_line(object);
    if (text)
        app_tell("%s", text);
    free(text);
}

static void tell_line(const struct facts *f, const char *subject)
{
    const char *by = f->resumed ? "resumed" : f->scheme;
    if (*f->psk) {
        app_tell("%s, %s, %s, %sexternal PSK%s%s%s: %s", f->protocol, f->suite,
            f->group ? f->group : "no key exchange", f->resumed ? "resumed on an " : "", f->alpn ? ", ALPN " : "",
            f->alpn ? f->alpn : "", f->hello_retry ? ", hello retry" : "", f->psk);
        return;
    }
    app_tell("%s, %s, %s, %s%s%s%s, %s: %s", f->protocol, f->suite, f->group ? f->group : "no key exchange", by,
        f->alpn ? ", ALPN " : "", f->alpn ? f->alpn : "", f->hello_retry ? ", hello retry" : "",
        f->peer_authenticated ? "verified" : "NOT VERIFIED", subject ? subject : "no certificate");
}

/* The certificates that the server sent, a line for each. */
static void tell_chain(const struct milgi_conn_info *info)
{
    for (size_t i = 0; i < info->peer_chain_n; i++) {
        struct app_certificate x;
        app_certificate_read(&info->peer_chain[i], &x);
        app_tell("  certificate %zu: %s, by %s, from %s until %s%s%s", i, x.subject ? x.subject : "(unreadable)",
            x.issuer ? x.issuer : "(unreadable)", x.from, x.until, x.names ? ", for " : "", x.names ? x.names : "");
        app_certificate_free(&x);
    }
}

static json_t *chain_json(const struct milgi_iov *certificates, size_t n)
{
    json_t *chain = json_array();
    for (size_t i = 0; i < n; i++) {
        struct app_certificate x;
        app_certificate_read(&certificates[i], &x);
        /* What is no UTF-8 is no JSON either: then that certificate is missing, but not the others. */
        json_array_append_new(chain,
            json_pack("{s:s?, s:s?, s:s, s:s, s:s?}", "subject", x.subject, "issuer", x.issuer, "not_before", x.from,
                "not_after", x.until, "names", x.names));
        app_certificate_free(&x);
    }
    return chain;
}

/* "path: CN=localhost, by CN=middle, by CN=root" */
static void tell_path(const struct connect *c)
{
    char text[1024] = "";
    size_t len = 0, i;
    json_t *x;
    json_array_foreach(c->path, i, x)
    {
        const char *subject = json_string_value(json_object_get(x, "subject"));
        int n = snprintf(text + len, sizeof text - len, "%s%s", i ? ", by " : "", subject ? subject : "(unreadable)");
        len = n > 0 && (size_t)n < sizeof text - len ? len + (size_t)n : sizeof text - 1;
    }
    if (len)
        app_tell("  path: %s", text);
}

static void tell_parameters(struct connect *c)
{
    struct milgi_conn *conn = milgi_stream_conn(c->stream);
    struct facts f = facts_of(conn);
    struct milgi_conn_info info;
    milgi_conn_info(conn, &info);
    char *subject = info.peer_chain_n ? app_subject(&info.peer_chain[0]) : NULL;
    if (c->options->json) {
        json_t *facts = facts_json(&f, subject);
        json_object_set_new(facts, "peer_chain", chain_json(info.peer_chain, info.peer_chain_n));
        json_object_set(facts, "path", c->path ? c->path : json_null());
        put_json(facts);
    } else {
        tell_line(&f, subject);
        tell_chain(&info);
        tell_path(c);
    }
    free(subject);
}

static const char *cause_of(const struct milgi_reason *reason)
{
    if (reason->op == MILGI_OP_VERIFY_CHAIN && reason->device_code)
        return app_chain_error(reason->device_code);
    if (reason->error == MILGI_ETRANSPORT && reason->device_code)
        return uv_strerror(-reason->device_code);
    if (reason->cls == MILGI_CLASS_DEVICE)
        return milgi_device_code_text(reason->device_code);
    return NULL;
}

/* |info|: of the connection, which is still there. */
static void tell_end(struct connect *c, const struct milgi_reason *reason, const struct milgi_conn_info *info)
{
    const char *cause = cause_of(reason);
    const char *alert = reason->alert == MILGI_ALERT_NONE ? NULL : milgi_alert_name(reason->alert);
    const char *error = milgi_error_text(reason->error);
    bool has_detail = *reason->detail && strcmp(reason->detail, error) != 0;
    bool has_cause = cause && strcmp(cause, reason->detail) != 0;
    const char *advice = facts_advice(reason);
    char told[64] = "";
    if (alert)
        snprintf(told, sizeof told, " (alert %s %s)", alert, reason->alert_from_peer ? "received" : "sent");
    app_complain("%s: %s%s%s%s%s%s%s%s", c->options->target, error, has_detail ? ": " : "",
        has_detail ? reason->detail : "", has_cause ? ": " : "", has_cause ? cause : "", told, advice ? ": " : "",
        advice ? advice : "");
    if (c->options->json)
        put_json(json_pack("{s:s, s:s, s:s?, s:b, s:s, s:s?, s:o}",
            "error", milgi_error_name(reason->error),
            "text", milgi_error_text(reason->error),
            "alert", alert,
            "alert_from_peer", reason->alert_from_peer,
            "detail", reason->detail,
            "cause", cause,
            "peer_chain", chain_json(info->peer_chain, info->peer_chain_n)));
    else
        tell_chain(info); /* whoever looks for the reason wants to see it now */
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static void on_stopped(void *arg)
{
    struct connect *c = arg;
    c->stopped = true;
    uv_stop(&c->loop); /* a read of standard input may be out for ever */
}

/* When the socket is closed and everything is written out. */
static void finish_if_over(struct connect *c)
{
    if (!c->gone || c->writing || c->out.first)
        return;
    uv_close((uv_handle_t *)&c->idle, NULL);
    milgi_uv_stop(c->tls.uv, on_stopped, c);
}

static void fail(struct connect *c, const char *what, int error)
{
    app_complain("%s: %s", what, uv_strerror(error));
    c->status = APP_FAILED;
    app_pieces_clear(&c->out);
    if (c->stream)
        milgi_stream_cut(c->stream); /* the server must not take what it got for the whole */
    c->stream = NULL;
    finish_if_over(c);
}

static void on_idle(uv_timer_t *timer)
{
    fail(timer->data, "nothing moves", UV_ETIMEDOUT);
}

static void touch(struct connect *c)
{
    if (c->options->timeout_ms && c->opened && c->stream)
        uv_timer_start(&c->idle, on_idle, c->options->timeout_ms, 0);
}

/* --- standard output ---------------------------------------------------------------------------------------------- */

static void write_more(struct connect *c);

static void on_written(uv_fs_t *req)
{
    struct connect *c = req->data;
    ssize_t len = req->result;
    uv_fs_req_cleanup(req);
    c->writing = false;
    if (len < 0 && !will_wait(STDOUT_FILENO, len)) {
        fail(c, "standard output", (int)len);
        return;
    }
    if (len > 0) {
        app_pieces_done(&c->out, (size_t)len);
        if (c->stream)
            milgi_stream_consumed(c->stream, (size_t)len);
    }
    touch(c);
    write_more(c);
    finish_if_over(c);
}

static void write_more(struct connect *c)
{
    if (c->writing || !c->out.first)
        return;
    struct milgi_slice *slice = &c->out.first->slice;
    uv_buf_t buf = uv_buf_init((char *)slice->data, slice->len);
    c->out_req.data = c;
    c->writing = true;
    uv_fs_write(&c->loop, &c->out_req, STDOUT_FILENO, &buf, 1, -1, on_written);
}

/* --- standard input ----------------------------------------------------------------------------------------------- */

static void end_input(struct connect *c)
{
    c->we_ended = true;
    milgi_stream_shutdown(c->stream);
}

/* Sends |slice|, or keeps it for on_room; true if more may be read. */
static bool send_input(struct connect *c, struct milgi_slice slice)
{
    uint32_t every = c->options->update_keys;
    /* Before a piece, so that there is something for the new keys to protect. */
    if (every && c->pieces_sent && c->pieces_sent % every == 0)
        milgi_conn_update_keys(milgi_stream_conn(c->stream), true);
    int rv = milgi_stream_send(c->stream, slice);
    if (rv == MILGI_ENOMEM) {
        c->in_held = slice;
        return false;
    }
    c->pieces_sent++;
    if (rv < 0) {
        milgi_chunk_unref(slice.chunk);
        milgi_stream_abort(c->stream, MILGI_ALERT_INTERNAL_ERROR); /* unless it has ended anyway: a gap must show */
    }
    return !rv;
}

static void on_input(uv_fs_t *req)
{
    struct connect *c = req->data;
    ssize_t len = req->result;
    struct milgi_slice slice = { c->in_chunk, milgi_chunk_data(c->in_chunk), len > 0 ? (uint32_t)len : 0 };
    uv_fs_req_cleanup(req);
    c->reading = false;
    c->in_chunk = NULL;
    if (len <= 0 || !c->stream)
        milgi_chunk_unref(slice.chunk);
    if (!c->stream)
        return;
    touch(c);
    if (will_wait(STDIN_FILENO, len))
        read_more(c);
    else if (len < 0)
        fail(c, "standard input", (int)len);
    else if (!len)
        end_input(c);
    else if (send_input(c, slice))
        read_more(c);
}

static void read_more(struct connect *c)
{
    if (c->reading || c->we_ended || !c->stream)
        return;
    struct milgi_conn *conn = milgi_stream_conn(c->stream);
    c->in_chunk = conn ? milgi_conn_chunk(conn, READ_SIZE) : NULL;
    if (!c->in_chunk) {
        milgi_stream_await_memory(c->stream);
        return;
    }
    uv_buf_t buf = uv_buf_init((char *)milgi_chunk_data(c->in_chunk), READ_SIZE);
    c->in_req.data = c;
    c->reading = true;
    uv_fs_read(&c->loop, &c->in_req, STDIN_FILENO, &buf, 1, -1, on_input);
}

/* --- what the stream tells ---------------------------------------------------------------------------------------- */

static void on_open(struct milgi_stream *stream, void *arg)
{
    struct connect *c = arg;
    (void)stream;
    c->opened = true;
    tell_parameters(c);
    touch(c);
    read_more(c);
}

/* Only now the path can be seen; what the library says of the server stays said. */
static void on_decide(struct milgi_stream *stream, void *arg, const struct milgi_decision *decision)
{
    struct connect *c = arg;
    struct milgi_engine *engine = milgi_uv_engine(c->tls.uv);
    struct milgi_decision_info info;
    (void)stream;
    if (!milgi_decision_info(engine, *decision, &info) && info.path_n)
        c->path = chain_json(info.path, info.path_n);
    (void)milgi_decide(engine, *decision, MILGI_DEFAULT, NULL);
}

static void on_data(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n)
{
    struct connect *c = arg;
    touch(c);
    for (size_t i = 0; i < slices_n; i++)
        if (!app_pieces_keep(&c->out, &slices[i])) {
            milgi_stream_abort(stream, MILGI_ALERT_INTERNAL_ERROR);
            return;
        }
    write_more(c);
}

static void on_end(struct milgi_stream *stream, void *arg)
{
    struct connect *c = arg;
    (void)stream;
    c->peer_ended = true;
    if (!c->we_ended && isatty(STDIN_FILENO))
        end_input(c); /* nobody there is going to end it */
}

static void on_room(struct milgi_stream *stream, void *arg)
{
    struct connect *c = arg;
    struct milgi_slice held = c->in_held;
    (void)stream;
    c->in_held.chunk = NULL;
    if (!held.chunk || send_input(c, held))
        read_more(c);
}

static int status_of(const struct connect *c, const struct milgi_reason *reason)
{
    /* Both have said all they had to say: how the transport ended does not matter any more. */
    if (!reason->error || (c->peer_ended && c->we_ended && reason->cls == MILGI_CLASS_IO))
        return APP_OK;
    return reason->cls == MILGI_CLASS_AUTH && !reason->alert_from_peer ? APP_UNVERIFIED : APP_FAILED;
}

static void on_close(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason)
{
    struct connect *c = arg;
    struct milgi_conn_info info;
    milgi_conn_info(milgi_stream_conn(stream), &info);
    c->stream = NULL;
    uv_timer_stop(&c->idle);
    c->status = status_of(c, reason);
    if (c->status)
        tell_end(c, reason, &info);
}

static void on_gone(void *arg)
{
    struct connect *c = arg;
    c->gone = true;
    finish_if_over(c);
}

static const struct milgi_stream_events stream_events = {
    .on_open = on_open,
    .on_decide = on_decide,
    .on_data = on_data,
    .on_end = on_end,
    .on_room = on_room,
    .on_close = on_close,
    .on_gone = on_gone,
};

/* --- sessions ----------------------------------------------------------------------------------------------------- */

#define SESSION_MAX 131072

/* What is not there, or cannot be read, is no session. */
static void load_session(struct connect *c)
{
    uint8_t *bytes = malloc(SESSION_MAX);
    struct milgi_session *session = NULL;
    int fd = open(c->options->session, O_RDONLY | O_CLOEXEC);
    ssize_t len = bytes && fd >= 0 ? read(fd, bytes, SESSION_MAX) : 0;
    if (len > 0 && milgi_session_decode(bytes, (size_t)len, &session) == 0)
        (void)milgi_session_cache_put(c->tls.sessions, c->name, session);
    milgi_session_unref(session);
    if (bytes)
        explicit_bzero(bytes, SESSION_MAX);
    free(bytes);
    if (fd >= 0)
        close(fd);
}

static bool write_session(const char *file, const struct milgi_session *session)
{
    size_t len = milgi_session_encode(session, NULL, 0);
    uint8_t *bytes = malloc(len);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = bytes && fd >= 0 && milgi_session_encode(session, bytes, len) == len &&
        write(fd, bytes, len) == (ssize_t)len;
    if (bytes)
        explicit_bzero(bytes, len);
    free(bytes);
    return fd < 0 ? false : close(fd) == 0 && ok;
}

/* A ticket is used once: without a new one there is none. */
static void keep_session(struct connect *c)
{
    const char *file = c->options->session;
    struct milgi_session *session = milgi_session_cache_take(c->tls.sessions, c->name, time(NULL));
    if (session ? !write_session(file, session) : truncate(file, 0) && errno != ENOENT)
        app_complain("--session %s: %s", file, strerror(errno));
    milgi_session_unref(session);
}

/* --- the beginning ------------------------------------------------------------------------------------------------ */

static void not_begun(struct connect *c, const char *why)
{
    app_complain("%s: %s", c->options->target, why);
    c->status = APP_FAILED;
    c->gone = true;
    finish_if_over(c);
}

static void on_dialed(void *arg, int fd, int error, const struct app_address *where)
{
    struct connect *c = arg;
    c->dial = NULL;
    if (error) {
        char text[APP_ADDRESS_TEXT + 64], address[APP_ADDRESS_TEXT];
        app_address_text((const struct sockaddr *)&where->socket, address);
        snprintf(text, sizeof text, "%s: %s", address, uv_strerror(error));
        not_begun(c, c->addresses.n > 1 ? text : uv_strerror(error));
        return;
    }
    int rv = milgi_uv_open(
        c->tls.uv, fd, c->tls.material.config, *c->name ? c->name : NULL, &stream_events, c, &c->stream);
    if (!rv)
        return;
    close(fd);
    not_begun(c, rv == MILGI_EINVAL ? "this is no name that a certificate can have: see --name" : milgi_error_text(rv));
}

/* --timeout, when it is given, is for this too. */
static void dial(struct connect *c)
{
    const struct app_options *o = c->options;
    uint32_t limit_ms = o->connect_ms;
    if (o->timeout_ms && (!limit_ms || o->timeout_ms < limit_ms))
        limit_ms = o->timeout_ms;
    int fd;
    c->dial = dial_start(&c->loop, &c->addresses, limit_ms, on_dialed, c, &fd);
    if (fd >= 0)
        on_dialed(c, fd, 0, &c->addresses.items[c->addresses.first]);
    else if (!c->dial)
        not_begun(c, "out of memory");
}

static bool resolve(struct connect *c)
{
    char host[256] = "", port[8];
    const struct app_options *o = c->options;
    if (!app_address_path(o->target) && app_address_split(o->target, host, sizeof host, port, sizeof port))
        return false;
    const char *name = o->name ? o->name : host;
    if (strlen(name) >= sizeof c->name) {
        app_complain("--name %s: too long", name);
        return false;
    }
    memcpy(c->name, name, strlen(name) + 1);
    return app_addresses_find(o->target, false, &c->addresses);
}

static void run(struct connect *c)
{
    make_blocking(STDIN_FILENO);
    make_blocking(STDOUT_FILENO);
    uv_timer_init(&c->loop, &c->idle);
    c->idle.data = c;
    dial(c);
    while (!c->stopped && uv_run(&c->loop, UV_RUN_DEFAULT)) {
    }
}

static bool has_descriptors(void)
{
    rlim_t wanted = app_descriptors_open() + DESCRIPTORS, limit = app_descriptors_raise(wanted);
    if (limit < wanted)
        app_complain("a limit of %llu descriptors is too low: %llu are needed: see ulimit -n",
            (unsigned long long)limit, (unsigned long long)wanted);
    return limit >= wanted;
}

int app_connect(const struct app_options *options)
{
    struct connect c = { .options = options };
    if (!has_descriptors())
        return APP_FAILED;
    if (uv_loop_init(&c.loop)) {
        app_complain("no event loop: out of descriptors or memory");
        return APP_FAILED;
    }
    c.status = app_tls_open(&c.tls, &c.loop, MILGI_CLIENT, options);
    if (!c.status && !resolve(&c))
        c.status = APP_FAILED;
    if (!c.status && options->session)
        load_session(&c);
    if (!c.status)
        run(&c);
    else if (c.tls.uv)
        milgi_uv_stop(c.tls.uv, on_stopped, &c);
    if (c.tls.sessions && c.opened)
        keep_session(&c);
    app_addresses_free(&c.addresses);
    if (c.reading) {
        /* A thread waits in read(), perhaps for ever, and an orderly exit would wait for the thread. */
        fflush(NULL);
        app_say_last();
        _exit(c.status);
    }
    json_decref(c.path);
    milgi_chunk_unref(c.in_held.chunk);
    uv_run(&c.loop, UV_RUN_DEFAULT);
    uv_loop_close(&c.loop);
    app_tls_close(&c.tls);
    return c.status;
}
