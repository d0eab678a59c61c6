/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every loop needs, behind hooks: an adapter is this with the calls of one loop filled in.
 *
 * An adapter embeds struct milgi_loop in its own struct for a loop, and struct milgi_stream, as the first member, in
 * its own for a connection. It implements struct milgi_loop_hooks and calls the functions below when its loop has
 * something to tell. All policy (when the engine runs, how much is read at once, what waits for memory, how a stream
 * ends, how long it lingers) is here; all system calls are in the adapter.
 */
#pragma once

#include "milgi_stream.h"

struct milgi_loop;

struct milgi_loop_hooks {
    /* Call milgi__loop_turn() once, soon: after the loop's next poll, so that what came in together shares a turn. */
    void (*soon)(struct milgi_loop *loop);
    /* Call milgi__loop_timer() at |due_ns| of the engine's clock, not before; UINT64_MAX: not at all. One at a time. */
    void (*timer)(struct milgi_loop *loop, uint64_t due_ns);

    /* Starts, stops reading: milgi__stream_room() and milgi__stream_read() for what comes. 0 or a negative errno. */
    int (*read)(struct milgi_stream *stream, bool on);
    /*
     * Takes all of |iov|, which stays valid until it is counted. Returns how many bytes the kernel has at once, to be
     * counted by the caller, and calls milgi__stream_written() for the rest when it has them too; or a negative errno.
     */
    long (*write)(struct milgi_stream *stream, const struct milgi_iov *iov, size_t iov_n);
    /* Nothing is being written any more: shuts down writing; milgi__stream_shut() when that is done, or from here. */
    int (*shut)(struct milgi_stream *stream);
    /* Closes the socket, with a reset or in order, and calls milgi__stream_gone() from the loop, not from here. */
    void (*close)(struct milgi_stream *stream, bool reset);
    /*
     * How many bytes the kernel has that the peer's has not acknowledged; |*ago_ms|: how long ago it acknowledged the
     * last, 0 if that is not known. milgi__socket_unsent() is this for sockets.
     */
    size_t (*unsent)(struct milgi_stream *stream, uint64_t *ago_ms);
    const char *(*error_text)(int error); /* static text for a negative errno */

    /*
     * Records in the kernel (milgi_ktls.h); NULL where an adapter has none. take(): as milgi_ktls_take(); reading is
     * off. Sending: record() and keys() instead of write(), and milgi__stream_written() for what the kernel has.
     * Receiving: milgi__stream_record() instead of milgi__stream_read().
     */
    int (*take)(struct milgi_stream *stream, enum milgi_direction direction);
    void (*record)(struct milgi_stream *stream, uint8_t type, const struct milgi_iov *iov, size_t iov_n);
    void (*keys)(struct milgi_stream *stream, int direction, const struct milgi_traffic_keys *keys);
    /*
     * As milgi_ktls_splice(), of a direction that is the kernel's; what cannot be spliced (|*moved| 0) is read as ever,
     * from the loop. MILGI_PAUSE: milgi__stream_may_splice() when it may be possible. As long as the stream splices
     * that comes instead of reading, and the socket is looked at only if it waits for that.
     */
    int (*splice)(struct milgi_stream *stream, enum milgi_direction direction, int pipe, size_t len, size_t *moved);
};

struct milgi_loop {
    const struct milgi_loop_hooks *hooks;
    struct milgi_engine *engine;
    struct milgi_stream_options options;
    struct milgi_stream *streams; /* all that hold a socket */
    unsigned streams_n;
    struct milgi_stream *linger_first, *linger_last; /* in order of when they are looked at */
    uint64_t engine_due, engine_may;                 /* when the engine has to run; from when on that makes sense */
    struct milgi_stream *taking_first, *taking_last; /* those that are looked at behind a turn, for the kernel */
    unsigned taking_n;
    struct milgi_stream *starved_first, *starved_last; /* those that wait for chunks, the longest waiting first */
    unsigned starved_n, unfed_n;                       /* unfed: that have not tried again since there were some, */
    uint64_t fed_due;                                  /* of which the next try then, */
    bool feeding;                                      /* or behind the next turn: none has found nothing yet */
    bool stopping;
    uint8_t waste[16384]; /* where bytes go that nobody wants */
};

/* Copies |options| (NULL: defaults) and makes the engine: 0 or an error of milgi_engine_new(). |loop| is all zeros. */
int milgi__loop_init(
    struct milgi_loop *loop, const struct milgi_loop_hooks *hooks, const struct milgi_stream_options *options);
uint64_t milgi__loop_now(const struct milgi_loop *loop);
/* What was staged is done. */
void milgi__loop_turn(struct milgi_loop *loop);
/* It is as late as the timer was set for. */
void milgi__loop_timer(struct milgi_loop *loop);
/* Closes every stream; no turn comes after it. When the last is gone the adapter frees the engine. */
void milgi__loop_stop(struct milgi_loop *loop);

/* Slices in order, each with a reference. */
struct milgi_queue {
    struct milgi_slice *slices;
    uint32_t first, n, max;
};

struct milgi_stream {
    struct milgi_loop *loop;
    struct milgi_stream *next, *prev;
    struct milgi_conn *conn; /* NULL once the socket is being closed */
    const struct milgi_stream_events *events;
    void *arg;

    /* in */
    struct milgi_chunk *reading; /* lent to the loop from room to read */
    uint32_t read_at;            /* which of the sizes the next chunk has: follows what comes */
    uint32_t wasted;             /* bytes thrown away after the end */
    struct milgi_queue unread;   /* of a reader that pulls */
    size_t unread_len;
    int why; /* the reason's error; 0: it has not ended, or both directions have in order */

    /* out */
    size_t queued;                      /* bytes that the loop has and the kernel has not */
    uint64_t given;                     /* bytes that the kernel has been given */
    int64_t taken;                      /* of these, what the peer was last seen to have */
    uint64_t moved_ns;                  /* when anything was last seen to move */
    int error;                          /* sending has failed; the peer's last words are still read */
    struct milgi_forward {              /* what milgi_stream_forward() has not done yet */
        struct milgi_queue held;        /* there was no room or memory to send it */
        struct milgi_stream *from, *to; /* whose credit comes back when there is room; the other end of that */
        size_t owed;                    /* this credit */
        bool shut;                      /* then our direction ends */
    } forward;

    struct milgi_stream *starved_next, *starved_prev;
    struct milgi_stream *linger_next, *linger_prev;
    uint64_t linger_began, linger_due; /* began: 0: not yet */
    struct milgi_stream *taking_next, *taking_prev;
    uint8_t kernel_wants, kernel_has; /* 1 << enum milgi_direction */
    uint8_t splice_waits;             /* the same: on_splice is owed */

    bool connected, reading_on, eof;
    bool paused;        /* the connection wants no input */
    bool starved_read;  /* there was no chunk to read into */
    bool starved_write; /* the application waits for chunks */
    bool starves;       /* for either: it is in the loop's list */
    bool established;
    bool peer_ended; /* its close_notify came */
    bool ended;      /* TLS has: on_closed came, or the transport failed */
    bool detached;   /* the application wants no callbacks but on_gone; */
    bool given_up;   /* nor what the peer still says */
    bool cut;        /* what is left need not be waited for */
    bool lingers;
    bool takes;    /* it is in the loop's list */
    bool holds;    /* reading waits for the kernel to take it */
    bool splices;  /* what comes is spliced, not read */
    bool garbled;  /* a record in the kernel could not be opened: there is nothing more to read */
    bool fin;      /* writing is to be shut down; */
    bool shutting; /* and is not yet */
    bool closing;  /* the socket is being closed */
    bool keeps;    /* set by the adapter: what is unread outlives the transport, until milgi__stream_forget() */
};

/*
 * A stream of the loop over a transport that the adapter has made: |stream| is all zeros. Returns 0 or an error of
 * milgi_conn_new(); then there is no stream, and the transport is still the adapter's to close.
 */
int milgi__stream_init(struct milgi_stream *stream, struct milgi_loop *loop, struct milgi_config *config,
    const char *server_name, const struct milgi_stream_events *events, void *arg);
/* The transport is connected: reading begins. */
void milgi__stream_connected(struct milgi_stream *stream);
/* It could not be connected, or cannot be used: a negative errno. */
void milgi__stream_failed(struct milgi_stream *stream, int error);
/* Where the next bytes go; |*len| 0: there is no memory, milgi__stream_read() with MILGI__NO_ROOM says so. */
uint8_t *milgi__stream_room(struct milgi_stream *stream, size_t *len);
#define MILGI__NO_ROOM (-0x10000)
#define MILGI__EOF (-0x10001)
/* Takes back milgi__stream_init(), of a stream that nobody knows yet. */
void milgi__stream_fini(struct milgi_stream *stream);
/* Instead of milgi__stream_room(), for the call that follows: |chunk|, which is taken, holds what has come already. */
void milgi__stream_lend(struct milgi_stream *stream, struct milgi_chunk *chunk);
/* |len| bytes are there; 0: none after all; MILGI__EOF, MILGI__NO_ROOM, or a negative errno. */
void milgi__stream_read(struct milgi_stream *stream, long len);
/* The same of content of |type| from the kernel, as milgi_ktls_receive() answers. */
void milgi__stream_record(struct milgi_stream *stream, uint8_t type, long len, int alert);
/* Bytes may be spliced again, perhaps: on_splice, if it is owed. Not from inside a call, nor a turn. */
void milgi__stream_may_splice(struct milgi_stream *stream, enum milgi_direction direction);
/* It is owed. */
bool milgi__stream_splice_waits(const struct milgi_stream *stream, enum milgi_direction direction);
/* The kernel has taken |len| bytes of what the loop had; |error|: or it has not. */
void milgi__stream_written(struct milgi_stream *stream, size_t len, int error);
void milgi__stream_shut(struct milgi_stream *stream, int error);
/* Asks the kernel what has moved. Returns how much is not acknowledged, in the kernel or before it. */
size_t milgi__stream_look(struct milgi_stream *stream);
/* The socket is closed. The adapter frees the stream. */
void milgi__stream_gone(struct milgi_stream *stream);
/* What is unread is dropped: of a stream with |keeps|, before it is freed. */
void milgi__stream_forget(struct milgi_stream *stream);

/* --- between loop.c and stream.c ---------------------------------------------------------------------------------- */

/* There are chunks again. */
void milgi__stream_refill(struct milgi_stream *stream);
/* Closes the socket now; on_gone follows. */
void milgi__stream_destroy(struct milgi_stream *stream, bool reset);
/* It has lingered long enough. */
void milgi__stream_expired(struct milgi_stream *stream);
/* Its records go to the kernel if that can be now; what waited for a turn to be spliced is. */
void milgi__stream_take(struct milgi_stream *stream);
/* What comes is read again. */
void milgi__stream_splices_no_more(struct milgi_stream *stream);
/* Behind a turn: what could not be spliced for what the connection had to do. */
void milgi__stream_splice_again(struct milgi_stream *stream);
/* To be looked at behind the next turn; and no more. */
void milgi__loop_takes(struct milgi_stream *stream);
void milgi__loop_taken(struct milgi_stream *stream);
/* It waits for chunks: milgi__stream_refill() follows when the engine has some. */
void milgi__loop_starves(struct milgi_stream *stream);
void milgi__loop_sated(struct milgi_stream *stream);
/* From now on, or for longer, the stream is closed when nothing moves; and no more. */
void milgi__loop_linger(struct milgi_stream *stream);
void milgi__loop_linger_end(struct milgi_stream *stream);

/* There is room: what was held back goes on, and the credit returns. True: all of it. */
bool milgi__forward_more(struct milgi_stream *stream);
void milgi__forward_end(struct milgi_stream *stream);

/* False: no memory to hold it. */
bool milgi__queue_put(struct milgi_queue *queue, struct milgi_slice slice);
/* The first, whose reference is the caller's. */
void milgi__queue_drop(struct milgi_queue *queue);
void milgi__queue_clear(struct milgi_queue *queue);
/* A borrowed slice with a reference of its own. */
struct milgi_slice milgi__slice_of_own(const struct milgi_slice *slice);
/* What has come waits for its reader. False: no memory. */
bool milgi__stream_keep(struct milgi_stream *stream, const struct milgi_slice *slices, size_t slices_n);

/* hooks->unsent for a socket. */
size_t milgi__socket_unsent(int fd, uint64_t *ago_ms);
