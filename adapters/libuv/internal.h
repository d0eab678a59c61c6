/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the adapter know of each other: loop.c drives the engine, stream.c moves the bytes. */
#pragma once

#include "milgi_uv.h"

struct milgi_uv {
    uv_loop_t *loop;
    struct milgi_engine *engine;
    struct milgi_uv_options options;
    struct milgi_clock clock;

    uv_poll_t poll;   /* the engine's descriptor */
    uv_check_t check; /* runs the turn, right after the loop has polled; active only while there is one to run */
    uv_idle_t idle;   /* active with |check|, so that the loop does not sleep before it */
    uv_timer_t timer; /* the engine's deadline */
    uv_timer_t linger;
    unsigned handles; /* of the five, those that are not closed */

    struct milgi_uv_stream *streams; /* all that hold a socket */
    unsigned streams_n;
    struct milgi_uv_stream *linger_first, *linger_last; /* in order of their deadlines */
    bool starved;                                       /* somebody waits for chunks */
    bool stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
    char waste[16384]; /* where bytes go that nobody wants */
};

struct milgi_uv_stream {
    struct milgi_uv *uv;
    struct milgi_uv_stream *next, *prev;
    struct milgi_conn *conn; /* NULL once the socket is being closed */
    const struct milgi_uv_events *events;
    void *arg;
    uv_tcp_t tcp;
    union {
        uv_connect_t connect;
        uv_shutdown_t shutdown; /* never before |connect| is over */
    } req;
    struct milgi_chunk *reading; /* lent to libuv from alloc to read */
    uint32_t read_size, read_at; /* of the next chunk to read into: follows what comes; which of the sizes it is */
    uint32_t writes;             /* requests that libuv has not finished */
    int write_error;             /* sending has failed; the peer's last words are still read */
    uint32_t wasted;             /* bytes thrown away after the end */

    struct milgi_uv_stream *linger_next, *linger_prev;
    uint64_t linger_due, linger_end; /* of uv_now(); due moves with progress, but not beyond end */
    uint64_t linger_last;            /* not beyond this either, whatever the peer takes; 0: not lingering yet */
    uint64_t linger_moved;           /* when the peer was last seen to take output */
    size_t linger_left;              /* bytes of output that the socket had not taken then */
    bool lingers;

    bool connected, reading_on, eof;
    bool paused;        /* the connection wants no input */
    bool starved_read;  /* there was no chunk to read into */
    bool starved_write; /* the application waits for chunks */
    bool established;
    bool ended;    /* TLS has: on_closed came, or the transport failed */
    bool detached; /* the application wants no callbacks but on_gone */
    bool fin;      /* writing is shut down */
    bool closing;  /* the socket is being closed */
};

/* An empty chunk pool has filled again: streams that wait for chunks go on. */
void milgi_uv__streams_refill(struct milgi_uv *uv);
/* Closes the socket now; on_gone follows. */
void milgi_uv__stream_destroy(struct milgi_uv_stream *s);
/* It has lingered long enough. */
void milgi_uv__stream_expired(struct milgi_uv_stream *s);
/* A socket is closed and the stream freed: perhaps the last that milgi_uv_stop() waits for. */
void milgi_uv__stream_gone(struct milgi_uv *uv);
/* Closes |s| when it makes no progress for linger_ms; again: it has made progress. */
void milgi_uv__linger(struct milgi_uv_stream *s);
void milgi_uv__linger_end(struct milgi_uv_stream *s);
