/* SPDX-License-Identifier: Apache-2.0 */
/* A stream whose transport is in JavaScript: any Duplex. Buffers cross by a copy, each way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "addon.h"

#define PIECES 16
#define NAME_MAX_LEN 256
#define AT_ONCE (64u * 1024u) /* of what is written, so that PAUSE shows before much is taken */

static struct node_stream *node_of(struct milgi_stream *stream)
{
    return (struct node_stream *)stream;
}

/* The stream that a method is called on; NULL: it has no transport any more. */
static struct node_stream *unwrap(napi_env env, napi_value self)
{
    void *s = NULL;
    if (napi_unwrap(env, self, &s) || !s || !((struct node_stream *)s)->live)
        return NULL;
    return s;
}

/* --- the transport's hooks ---------------------------------------------------------------------------------------- */

static napi_value tell(struct milgi_stream *s, enum event kind, napi_value a)
{
    return node__emit(node_of(s)->host, kind, node__self(node_of(s)), a, NULL);
}

int node__read(struct milgi_stream *s, bool on)
{
    node_of(s)->reads = on;
    if (node_of(s)->host->dying)
        return 0;
    tell(s, EVENT_READ, node__bool(node_of(s)->host->env, on));
    return 0;
}

/* Which socket a descriptor is; 0: none. */
static uint64_t socket_of(int fd)
{
    uint64_t cookie = 0;
    socklen_t len = sizeof cookie;
    return fd >= 0 && !getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ? cookie : 0;
}

/*
 * Straight into the kernel, as long as nothing is on its way there by JavaScript: how much it takes, or a negative
 * errno. A transport that was destroyed has closed its descriptor, which may be another socket's before we hear of it.
 */
static long to_kernel(struct node_stream *s, const struct milgi_iov *iov, size_t iov_n)
{
    struct iovec to[PIECES];
    struct msghdr message = { .msg_iov = to };
    if (!s->socket || s->common.queued || socket_of(s->fd) != s->socket)
        return 0;
    for (; message.msg_iovlen < iov_n && message.msg_iovlen < PIECES; message.msg_iovlen++) {
        to[message.msg_iovlen].iov_base = (void *)(uintptr_t)iov[message.msg_iovlen].data;
        to[message.msg_iovlen].iov_len = iov[message.msg_iovlen].len;
    }
    ssize_t done = sendmsg(s->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done >= 0)
        return (long)done;
    return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -errno;
}

long node__write(struct milgi_stream *s, const struct milgi_iov *iov, size_t iov_n)
{
    napi_env env = node_of(s)->host->env;
    napi_handle_scope scope;
    napi_value buffer;
    void *to;
    size_t len = 0, at = 0;
    for (size_t i = 0; i < iov_n; i++)
        len += iov[i].len;
    long done = to_kernel(node_of(s), iov, iov_n);
    if (done < 0 || (size_t)done == len)
        return done;
    if (napi_open_handle_scope(env, &scope))
        return -ENOMEM;
    long rv = napi_create_buffer(env, len - (size_t)done, &to, &buffer) ? -ENOMEM : done;
    for (size_t i = 0, skip = (size_t)done; rv >= 0 && i < iov_n; i++) {
        size_t past = skip < iov[i].len ? skip : iov[i].len, n = iov[i].len - past;
        memcpy((uint8_t *)to + at, (const uint8_t *)iov[i].data + past, n);
        skip -= past;
        at += n;
    }
    if (rv >= 0 && !tell(s, EVENT_WRITE, buffer))
        rv = -ECANCELED;
    napi_close_handle_scope(env, scope);
    return rv;
}

int node__shut(struct milgi_stream *s)
{
    return tell(s, EVENT_SHUT, NULL) ? 0 : -ECANCELED;
}

void node__close(struct milgi_stream *s, bool reset)
{
    node_of(s)->reads = false;
    if (!node_of(s)->host->dying)
        tell(s, EVENT_CLOSE, node__bool(node_of(s)->host->env, reset));
}

size_t node__unsent(struct milgi_stream *s, uint64_t *ago_ms)
{
    return node_of(s)->fd < 0 ? 0 : milgi__socket_unsent(node_of(s)->fd, ago_ms);
}

/* --- what the transport tells ------------------------------------------------------------------------------------- */

/* feed(buffer): how many bytes of it were taken; the rest is to be kept until EVENT_READ says that more is wanted. */
static napi_value feed(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    const uint8_t *data;
    size_t len, taken = 0;
    if (!s || !node__get_bytes(env, args[0], &data, &len))
        return node__number(env, 0);
    while (taken < len && s->live && s->reads && !s->common.closing) {
        size_t room, n = len - taken;
        uint8_t *to = milgi__stream_room(&s->common, &room);
        if (!to) {
            milgi__stream_read(&s->common, MILGI__NO_ROOM);
            break;
        }
        n = n < room ? n : room;
        memcpy(to, data + taken, n);
        taken += n;
        milgi__stream_read(&s->common, (long)n);
    }
    return node__number(env, (double)taken);
}

static int64_t number(napi_env env, napi_value value)
{
    int64_t n = 0;
    node__get_int(env, value, &n);
    return n;
}

/* ended(errno): 0: in order */
static napi_value ended(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    int64_t error = number(env, args[0]);
    if (s)
        milgi__stream_read(&s->common, error < 0 ? (long)error : MILGI__EOF);
    return NULL;
}

void node__hold(struct node_stream *s, bool on)
{
    on = on && !s->unref;
    if (s->holds != on)
        node__host_hold(s->host, on);
    s->holds = on;
}

/* connected(fd, whether what is sent may go past the transport) */
static napi_value connected(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    bool direct = false;
    if (!s)
        return NULL;
    s->fd = (int)number(env, args[0]);
    if (node__get_bool(env, args[1], &direct) && direct)
        s->socket = socket_of(s->fd);
    node__hold(s, !s->common.established);
    milgi__stream_connected(&s->common);
    return NULL;
}

/* written(len, errno) */
static napi_value written(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    if (s)
        milgi__stream_written(&s->common, (size_t)number(env, args[0]), (int)number(env, args[1]));
    return NULL;
}

/* failed(errno): the transport cannot be had */
static napi_value failed(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    if (s)
        milgi__stream_failed(&s->common, (int)number(env, args[0]));
    return NULL;
}

/* shut(errno) */
static napi_value shut(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    if (s)
        milgi__stream_shut(&s->common, (int)number(env, args[0]));
    return NULL;
}

static napi_value gone(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    if (!s || !s->common.closing)
        return NULL;
    node__hold(s, false);
    s->live = false;
    milgi__stream_gone(&s->common);
    napi_delete_reference(env, s->self);
    s->self = NULL;
    return NULL;
}

/* closing(): the descriptor is not the transport's any more */
static napi_value closing(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    if (s)
        s->fd = -1;
    return NULL;
}

/* --- the application's calls -------------------------------------------------------------------------------------- */

/*
 * write(buffer, from): how many bytes of it were taken; all of them, and negative: stop until EVENT_ROOM; NaN: nothing
 * more can be sent.
 */
static napi_value write_data(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    const uint8_t *data;
    size_t len;
    int64_t from = number(env, args[1]), at = from;
    if (!s || !node__get_bytes(env, args[0], &data, &len))
        return node__undefined(env);
    while (at < (int64_t)len) {
        size_t n = (size_t)((int64_t)len - at);
        n = n < AT_ONCE ? n : AT_ONCE;
        int rv = milgi_stream_write(&s->common, data + at, n);
        if (rv == MILGI_ENOMEM || rv == MILGI_ELIMIT)
            break;
        if (rv < 0)
            return node__undefined(env);
        at += (int64_t)n;
        if (rv == MILGI_PAUSE)
            return node__number(env, (double)(from - at));
    }
    return node__number(env, (double)(at - from));
}

static napi_value consumed(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    if (s)
        milgi_stream_consumed(&s->common, (size_t)number(env, args[0]));
    return NULL;
}

static napi_value shutdown_data(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    return node__number(env, s ? milgi_stream_shutdown(&s->common) : MILGI_ECLOSED);
}

static napi_value end_by(napi_env env, napi_callback_info info, void (*fn)(struct milgi_stream *stream))
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    if (s)
        fn(&s->common);
    return NULL;
}

static napi_value close_stream(napi_env env, napi_callback_info info)
{
    return end_by(env, info, milgi_stream_close);
}

static napi_value cut(napi_env env, napi_callback_info info)
{
    return end_by(env, info, milgi_stream_cut);
}

static napi_value drop(napi_env env, napi_callback_info info)
{
    return end_by(env, info, milgi_stream_drop);
}

static napi_value reset(napi_env env, napi_callback_info info)
{
    return end_by(env, info, milgi_stream_reset);
}

/* pending(): how much is on its way out */
static napi_value pending(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    struct milgi_conn *conn = s ? milgi_stream_conn(&s->common) : NULL;
    return node__number(env, conn ? (double)milgi_conn_output_pending(conn) : 0);
}

static napi_value ref(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    bool on = false;
    if (!s || !node__get_bool(env, args[0], &on))
        return NULL;
    s->unref = !on;
    node__hold(s, s->common.connected && !s->common.established && !s->common.ended);
    return NULL;
}

/* export(length, label, context or null) */
static napi_value export_keys(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    struct milgi_conn *conn = s ? milgi_stream_conn(&s->common) : NULL;
    char label[250];
    const uint8_t *context = NULL;
    size_t context_len = 0;
    int64_t len = number(env, args[0]);
    if (!conn)
        return node__throw(env, MILGI_ECLOSED, NULL);
    if (!node__get_string(env, args[1], label, sizeof label) || len <= 0 || len > 65535 ||
        (!node__is_null(env, args[2]) && !node__get_bytes(env, args[2], &context, &context_len)))
        return node__throw(env, MILGI_EINVAL, NULL);
    static const uint8_t nothing[1];
    uint8_t *out = malloc((size_t)len);
    int rv = out ? milgi_conn_export(conn, label, context_len || node__is_null(env, args[2]) ? context : nothing,
                       context_len, out, (size_t)len)
                 : MILGI_ENOMEM;
    napi_value result = rv ? node__throw(env, rv, NULL) : node__bytes(env, out, (size_t)len);
    if (out)
        explicit_bzero(out, (size_t)len);
    free(out);
    return result;
}

static napi_value update_keys(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    struct milgi_conn *conn = s ? milgi_stream_conn(&s->common) : NULL;
    bool ask = false;
    node__get_bool(env, args[0], &ask);
    int rv = conn ? milgi_conn_update_keys(conn, ask) : MILGI_ECLOSED;
    return rv ? node__throw(env, rv, NULL) : NULL;
}

/* keylog(on): whether EVENT_KEYLOG is wanted; its config has to say so, too */
static napi_value keylog(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX];
    struct node_stream *s = unwrap(env, node__args(env, info, args));
    if (s)
        node__get_bool(env, args[0], &s->keylog);
    return NULL;
}

/* --- making one --------------------------------------------------------------------------------------------------- */

static void finalize(napi_env env, void *data, void *hint)
{
    (void)env, (void)hint;
    free(data); /* it has no transport, or there is no environment any more */
}

static int set_session(napi_env env, struct node_stream *s, napi_value value)
{
    const uint8_t *data;
    size_t len;
    struct milgi_session *session;
    if (!node__get_bytes(env, value, &data, &len) || milgi_session_decode(data, len, &session))
        return 0; /* what cannot be read is a session that is not offered */
    int rv = milgi_conn_set_session(milgi_stream_conn(&s->common), session);
    milgi_session_unref(session);
    return rv;
}

/* new Stream(config, server name or null, session or null) */
static napi_value make(napi_env env, napi_callback_info info)
{
    napi_value args[ARGS_MAX], self = node__args(env, info, args);
    struct host *host = node__host(env);
    struct milgi_config *config = node__get_thing(env, args[0], THING_CONFIG);
    char name[NAME_MAX_LEN];
    bool named = node__get_string(env, args[1], name, sizeof name);
    if (!host->started || !config || (!named && !node__is_null(env, args[1])))
        return node__throw(env, MILGI_EINVAL, named || node__is_null(env, args[1]) ? NULL : "not a server name");
    struct node_stream *s = calloc(1, sizeof *s);
    if (!s)
        return node__throw(env, MILGI_ENOMEM, NULL);
    s->host = host;
    s->fd = -1;
    int rv = milgi__stream_init(&s->common, &host->common, config, named ? name : NULL, &node__events, s);
    if (rv) {
        free(s);
        return node__throw(env, rv, NULL);
    }
    rv = set_session(env, s, args[2]);
    if (!rv && (napi_wrap(env, self, s, finalize, NULL, NULL) || napi_create_reference(env, self, 1, &s->self)))
        rv = MILGI_ENOMEM;
    if (rv) {
        napi_remove_wrap(env, self, NULL);
        milgi__stream_fini(&s->common);
        free(s);
        return node__throw(env, rv, NULL);
    }
    s->live = true;
    return self;
}

napi_value node__stream_class(napi_env env)
{
    static const struct {
        const char *name;
        napi_callback fn;
    } methods[] = {
        { "feed", feed }, { "ended", ended }, { "connected", connected }, { "written", written }, { "failed", failed },
        { "shut", shut }, { "gone", gone }, { "closing", closing }, { "write", write_data }, { "consumed", consumed },
        { "shutdown", shutdown_data }, { "close", close_stream }, { "cut", cut }, { "drop", drop }, { "reset", reset },
        { "pending", pending }, { "ref", ref }, { "export", export_keys }, { "updateKeys", update_keys },
        { "keylog", keylog }
    };
    enum {
        N = sizeof methods / sizeof methods[0]
    };
    napi_property_descriptor properties[N] = { 0 };
    napi_value result;
    for (size_t i = 0; i < N; i++)
        properties[i] = (napi_property_descriptor){
            .utf8name = methods[i].name, .method = methods[i].fn, .attributes = napi_default
        };
    return napi_define_class(env, "Stream", NAPI_AUTO_LENGTH, make, NULL, N, properties, &result) ? NULL : result;
}
