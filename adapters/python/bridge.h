/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between Python and the streams of adapters/common.
 *
 * Nothing here calls Python but |soon| and |passed|, which do little. What a turn has to tell, and what it wants of the
 * transport, is noted with the stream (enum milgi_py_todo) and taken from there after the turn, outside of the library:
 * so an application's callback may raise, may take long, and may do anything, and nobody's events are lost over it.
 *
 *   room, read, feed, eof, lost, written  -->  stream  -->  todo  <--  turn
 */
#pragma once

#include <stdbool.h>

#include "../common/loop.h"

/* What is to be done for a stream: bits. */
enum milgi_py_todo {
    MILGI_PY_OPEN = 1,     /* the handshake is complete */
    MILGI_PY_DATA = 2,     /* milgi_stream_read() */
    MILGI_PY_END = 4,      /* the peer's close_notify, behind what was read */
    MILGI_PY_ROOM = 8,     /* go on writing */
    MILGI_PY_DECIDE = 16,  /* |asked| */
    MILGI_PY_CLOSED = 32,  /* |reason|, behind that */
    MILGI_PY_SESSION = 64, /* |sessions| */
    MILGI_PY_OUT = 128,    /* |out| is for the transport, which then has it: milgi_py_written() */
    MILGI_PY_READ = 256,   /* |reads| says whether the transport is to be read now */
    MILGI_PY_SHUT = 512,   /* the transport's sending is to end: milgi__stream_shut() */
    MILGI_PY_CLOSE = 1024  /* the transport is to be closed: milgi_py_gone() when it is */
};

#define MILGI_PY_ASKED_MAX 8 /* decisions that are open at once */
#define MILGI_PY_SESSIONS_MAX 8

struct milgi_py_stream {
    struct milgi_stream common;
    void *handle;                 /* Python's */
    struct milgi_py_stream *next; /* of those that have something to do */
    bool listed;
    bool reads, reset;
    bool over; /* milgi_py_gone() was called: it goes with milgi_py_free() */
    unsigned todo;

    struct milgi_iov *out;
    unsigned out_n, out_max;

    struct milgi_decision asked[MILGI_PY_ASKED_MAX];
    unsigned asked_n;
    struct milgi_session *sessions[MILGI_PY_SESSIONS_MAX];
    unsigned sessions_n;
    struct milgi_reason reason;
    struct milgi_iov *chain; /* what the peer sent, copied when it opened */
    size_t chain_n;

    uint8_t *held; /* came in while there was no room for it */
    size_t held_at, held_n;
    bool held_eof; /* the transport's end is behind it */
};

struct milgi_py_loop {
    struct milgi_loop common;
    void *handle;
    void (*soon)(void *handle); /* call milgi_py_turn() in the loop's next round */
    /*
     * Of a stream's handle: how many bytes its transport has passed on of those that milgi_py_written() has not told
     * of; below 0: it still holds some that were told of. |*fd|: the socket, as long as it is there.
     */
    long (*passed)(void *handle, int *fd);
    uint64_t due_ns; /* call milgi_py_timer() then; UINT64_MAX: not at all */
    struct milgi_py_stream *first, *last;
};

/* What an engine is made with; 0: as by default. */
struct milgi_py_options {
    uint64_t budget_ns, op_timeout_ns, memory_limit;
    uint32_t linger_ms, flush_ms, flush_total_ms, conn_limit;
};

/* 0, or an error of milgi_engine_new(). |handle| goes to |soon|. */
int milgi_py_loop_new(const struct milgi_py_options *options, void (*soon)(void *handle),
    long (*passed)(void *handle, int *fd), void *handle, struct milgi_py_loop **loop);
struct milgi_engine *milgi_py_engine(struct milgi_py_loop *loop);
/* Closes every stream: each has MILGI_PY_CLOSE to do then. No turn comes after it. */
void milgi_py_loop_stop(struct milgi_py_loop *loop);
/* Every stream is gone. */
void milgi_py_loop_free(struct milgi_py_loop *loop);
void milgi_py_turn(struct milgi_py_loop *loop);
void milgi_py_timer(struct milgi_py_loop *loop);
/* Nanoseconds from now to |due_ns|, 0: it is past; UINT64_MAX: there is none. */
uint64_t milgi_py_due(const struct milgi_py_loop *loop);
/* A stream that has something to do, which is taken off the list; NULL: none. Look at its todo, and clear it. */
struct milgi_py_stream *milgi_py_next(struct milgi_py_loop *loop);

/*
 * A stream over a transport that is connected. |session|: what a client is to offer; NULL: what the config's cache has.
 * 0, or an error of milgi_conn_new().
 */
int milgi_py_stream_new(struct milgi_py_loop *loop, struct milgi_config *config, const char *server_name,
    struct milgi_session *session, void *handle, struct milgi_py_stream **stream);
/* The transport is closed. The stream has nothing more to do; what is unread and |reason| stay until it is freed. */
void milgi_py_gone(struct milgi_py_stream *stream);
void milgi_py_free(struct milgi_py_stream *stream);

/* Where the next bytes from the transport go; NULL: there is no memory, use milgi_py_feed(). */
uint8_t *milgi_py_room(struct milgi_py_stream *stream, size_t *len);
void milgi_py_read(struct milgi_py_stream *stream, size_t len);
/* The same by a copy. What there is no room for is held until the stream reads again. 0 or MILGI_ENOMEM. */
int milgi_py_feed(struct milgi_py_stream *stream, const void *data, size_t len);
void milgi_py_eof(struct milgi_py_stream *stream);
/* The transport is gone, or cannot be used, by itself; |error|: an errno, 0 for none. MILGI_PY_CLOSE follows. */
void milgi_py_lost(struct milgi_py_stream *stream, int error);
/* The transport has taken |len| bytes more. */
void milgi_py_written(struct milgi_py_stream *stream, size_t len);
void milgi_py_shut(struct milgi_py_stream *stream);

/* Of the stream that has |conn|. */
void *milgi_py_handle(const struct milgi_conn *conn);

/* The names of the subjectAltName of a certificate, one a line, the kind before it: "dns:", "ip:", "email:", "uri:". */
size_t milgi_py_names(const void *der, size_t len, char *out, size_t cap);

/* --- a device whose signatures Python makes (signer.c) ---------------------------------------------------------- */

struct milgi_py_sign {
    uint64_t id;
    uint64_t key; /* the N of the credential's URI, "python:N" */
    uint16_t scheme;
    const uint8_t *data; /* the message; until it is answered */
    size_t len;
};

/* A device for credentials with the URI "python:N", for one engine; NULL: no memory. */
struct milgi_device *milgi_py_signer_new(void);
/* What is to be signed next: true if there is something. */
bool milgi_py_signer_next(struct milgi_device *device, struct milgi_py_sign *sign);
/* |sig_len| 0: it could not be made. Nothing happens if nobody waits for it any more. */
void milgi_py_signer_answer(struct milgi_device *device, uint64_t id, const void *sig, size_t sig_len);
