/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native half of the npm package: an engine in the loop of one Node.js environment, streams whose transport is in
 * JavaScript, and configs. The JavaScript half (lib/) calls what addon.c exports, and is told of everything by one
 * function, emit(kind, stream, a, b).
 */
#pragma once

#include <uv.h>

#define NAPI_VERSION 8
#include <node_api.h>

#include "../common/loop.h"
#include "../common/signer.h"

#define HANDLES 4

/* What emit() is told; lib/socket.js has the same numbers. */
enum event {
    EVENT_READ,    /* a: whether the transport is to be read */
    EVENT_WRITE,   /* a: a Buffer for the transport; stream.written() counts it */
    EVENT_SHUT,    /* the transport is to be ended; stream.shut() when it is */
    EVENT_CLOSE,   /* it is to be destroyed, a: with a reset; stream.gone() when it is */
    EVENT_OPEN,    /* a: what was negotiated */
    EVENT_DATA,    /* a: a Buffer; answers whether more may come at once, else stream.consumed() */
    EVENT_END,     /* the peer's close_notify */
    EVENT_ROOM,    /* stream.write() may go on */
    EVENT_DECIDE,  /* a: kind, index, generation; b: what it is about */
    EVENT_CLOSED,  /* a: why TLS has ended */
    EVENT_SESSION, /* a: a client's session, as a Buffer */
    EVENT_SIGN,    /* stream: undefined; a: number, scheme, name of the key; b: what is to be signed */
    EVENT_KEYLOG   /* a: a line, as a Buffer; only of streams that were told to: stream.keylog() */
};

/* One for each environment: the main thread's, and each Worker's. */
struct host {
    struct milgi_loop common;
    napi_env env;
    napi_ref emit;
    napi_async_context context;
    uv_loop_t *loop;
    uv_poll_t poll;   /* the engine's descriptor */
    uv_check_t check; /* runs the turn, right after the loop has polled */
    uv_idle_t idle;   /* active with |check|, so that the loop does not sleep before it */
    uv_timer_t timer;
    uint64_t timer_due;
    unsigned handles;            /* those that are not closed */
    unsigned holders;            /* streams that keep the loop alive */
    struct milgi_device *device; /* beside the inline one; may be NULL */
    struct milgi_device *signer; /* keys whose signatures JavaScript makes */
    napi_async_cleanup_hook_handle cleanup;
    bool started, dying;
};

/* A TLS connection. The JavaScript object owns it, and |self| keeps that as long as there is a transport. */
struct node_stream {
    struct milgi_stream common;
    struct host *host;
    napi_ref self;
    int fd;          /* the transport's, to ask what has moved; -1: it has none */
    uint64_t socket; /* which socket that is, for what is sent straight to it; 0: nothing is */
    bool live;       /* the transport is not gone */
    bool reads;      /* input is wanted */
    bool holds;      /* it keeps the loop alive: a handshake that is under way does, what is open the transport keeps */
    bool unref;      /* and is not to */
    bool keylog;     /* somebody listens to its key log */
};

#define ARGS_MAX 6

/* value.c: between the two worlds. Those that read answer false when the value is of another kind. */
napi_value node__number(napi_env env, double value);
napi_value node__bool(napi_env env, bool value);
napi_value node__string(napi_env env, const char *text); /* NULL: null */
napi_value node__bytes(napi_env env, const void *data, size_t len);
napi_value node__iov_list(napi_env env, const struct milgi_iov *iov, size_t n);
napi_value node__undefined(napi_env env);
void node__set(napi_env env, napi_value object, const char *name, napi_value value);
bool node__get_int(napi_env env, napi_value value, int64_t *out);
bool node__get_bool(napi_env env, napi_value value, bool *out);
bool node__get_bytes(napi_env env, napi_value value, const uint8_t **data, size_t *len);
/* To |out|; false: it is no string, or longer than |cap| - 1. */
bool node__get_string(napi_env env, napi_value value, char *out, size_t cap);
bool node__is_null(napi_env env, napi_value value); /* or undefined */
/* The arguments, with undefined for those that are missing. */
napi_value node__args(napi_env env, napi_callback_info info, napi_value args[ARGS_MAX]);
/* Throws a MILGI_E* as an Error whose code is its name; |text| NULL: the code's own. Returns NULL. */
napi_value node__throw(napi_env env, int error, const char *text);
struct host *node__host(napi_env env);

/* host.c */
int node__host_start(struct host *host, const char *device, uint64_t linger_ms);
napi_value node__host_export(napi_env env, napi_callback_info info, struct host **host);
/* Calls emit(); NULL: the environment is going, or it has thrown. */
napi_value node__emit(struct host *host, enum event kind, napi_value stream, napi_value a, napi_value b);
void node__host_hold(struct host *host, bool on);
void node__host_die(napi_async_cleanup_hook_handle handle, void *arg);

/* stream.c */
extern const struct milgi_loop_hooks node__hooks; /* those of a transport; host.c adds the loop's */
napi_value node__stream_class(napi_env env);
int node__read(struct milgi_stream *stream, bool on);
long node__write(struct milgi_stream *stream, const struct milgi_iov *iov, size_t iov_n);
int node__shut(struct milgi_stream *stream);
void node__close(struct milgi_stream *stream, bool reset);
void node__hold(struct node_stream *stream, bool on);
size_t node__unsent(struct milgi_stream *stream, uint64_t *ago_ms);

/* tell.c: what happens, as JavaScript's values */
extern const struct milgi_stream_events node__events;
napi_value node__self(struct node_stream *stream);
void node__keylog(void *ctx, struct milgi_conn *conn, const char *line);

/* config.c: things that JavaScript holds and does not look into */
enum thing {
    THING_CONFIG,
    THING_CREDENTIAL,
    THING_TRUST,
    THING_TICKET_KEYS,
    THING_SESSION_CACHE
};
void *node__get_thing(napi_env env, napi_value value, enum thing kind);
void node__config_export(napi_env env, napi_value exports);

/* decide.c */
napi_value node__decision_info(napi_env env, const struct milgi_decision_info *info, uint32_t kind);
napi_value node__session_bytes(napi_env env, const struct milgi_session *session);
napi_value node__decide(napi_env env, napi_callback_info info);
