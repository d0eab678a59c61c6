/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the adapter for io_uring: the ring and its buffers (ring.c), sockets on it (socket.c), streams over these
 * (milgi_uring.c).
 *
 * What the kernel holds. Of a connection's memory: nothing, between two calls of the kernel. Output is sent by
 * operations that never wait: they are made and given to the kernel in one go, without a callback in between, and are
 * over when the call returns; what a socket does not take waits for a poll, which holds no memory. Large reads are the
 * same. What waits for input in the kernel's hands are the loop's own buffers, chunks of the engine that belong to no
 * connection yet. So a connection can be freed at any time.
 */
#pragma once

#include <liburing.h>

#include "../common/loop.h"
#include "milgi_uring.h"

/* An operation in the kernel's hands; the last of its completions has no IORING_CQE_F_MORE. */
struct ring_op {
    void (*done)(struct ring_op *op, int res, unsigned flags);
    struct milgi_uring *uring;
};

/* --- ring.c ------------------------------------------------------------------------------------------------------ */

#define RING_BUFFERS 256u      /* a power of two */
#define RING_BUFFER_SIZE 4096u /* the least that adapters/common reads at once: when it is full it asks for more */

struct ring_socket;

struct milgi_uring {
    struct milgi_loop common;
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    struct milgi_chunk *chunk[RING_BUFFERS]; /* that the kernel may fill */
    uint16_t empty[RING_BUFFERS];            /* the numbers of those that are not there */
    unsigned empty_n;
    struct ring_socket *dirty_first, *dirty_last; /* sockets of which the kernel, or whose owner, is to be told */
    struct milgi_uring_listener *listeners;       /* those that have ended too, until the kernel has */
    unsigned sockets_n, listeners_n;
    unsigned in_flight; /* operations */
    bool turn;          /* milgi__loop_turn() is to be called */
    int wake_fd, watched_fd;
    void (*awake)(void *arg), (*watched)(void *arg);
    void *watched_arg;
    struct ring_op wake, engine, watch, timer, timer_update;
    bool wake_armed, engine_armed, watch_armed, timer_armed, cancelled;
    uint64_t timer_due, timer_set; /* wanted; what the kernel has been told, never later */
    struct __kernel_timespec timer_ts;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* Of zeros. 0, or as milgi_uring_new(). */
int milgi__ring_init(
    struct milgi_uring *u, const struct milgi_loop_hooks *hooks, const struct milgi_stream_options *options);
/* A new operation's entry, whose completions go to |op|; NULL: nobody is told. */
struct io_uring_sqe *milgi__ring_sqe(struct milgi_uring *u, struct ring_op *op);
void milgi__ring_cancel(struct milgi_uring *u, struct ring_op *op);
/* The chunk that a completion with these flags has filled, which is the caller's; NULL: none. */
struct milgi_chunk *milgi__ring_buffer(struct milgi_uring *u, unsigned flags);
/* Fills up the buffers. False: there is none. */
bool milgi__ring_refill(struct milgi_uring *u);
/* The last socket has gone. */
void milgi__ring_give_back(struct milgi_uring *u);

/* --- socket.c ---------------------------------------------------------------------------------------------------- */

#define RING_PIECES 4 /* of output, without memory of its own */

struct ring_held;

struct ring_socket_events {
    /* Where the next bytes go, when many are expected (socket.bulk); NULL: nowhere, and read() is called for it. */
    uint8_t *(*room)(struct ring_socket *socket, size_t *len);
    /* As milgi__stream_read(), of |chunk|, which is taken; NULL: of room()'s. */
    void (*read)(struct ring_socket *socket, struct milgi_chunk *chunk, long len);
    void (*sent)(struct ring_socket *socket, size_t len, int error);
    /* The descriptor is closed: the socket may be freed. */
    void (*closed)(struct ring_socket *socket);
};

/* A socket on the ring, embedded in its owner, who sets what is above the line. */
struct ring_socket {
    const struct ring_socket_events *events;
    int fd;
    bool reads; /* input is wanted: milgi__ring_socket_dirty() when that changes; what comes all the same is held */
    bool bulk;  /* by large reads instead of many small ones */
    /* --- */
    struct milgi_uring *uring;
    struct ring_socket *dirty_next;
    struct ring_op receive, send;
    struct ring_held *held_first, *held_last;
    int held_end; /* and behind that: MILGI__EOF or a negative errno; 0: not yet */
    struct iovec *out, pieces[RING_PIECES];
    unsigned out_first, out_n, out_max;
    size_t out_len;
    struct msghdr message;
    unsigned ops; /* in the kernel's hands */
    enum ring_receiving {
        RING_IDLE,
        RING_MULTISHOT,
        RING_POLL,
        RING_READ
    } receiving;
    bool cancelled; /* RING_MULTISHOT, RING_POLL */
    bool sending, polling, full;
    bool unready; /* not connected yet: nothing is sent */
    bool dirty, over, closing, reset;
};

void milgi__ring_socket_init(
    struct ring_socket *socket, struct milgi_uring *u, int fd, const struct ring_socket_events *events);
void milgi__ring_socket_dirty(struct ring_socket *socket);
/*
 * Sends it behind what there is. How much the kernel has now; the rest stays until sent() has counted it; or a negative
 * errno.
 */
long milgi__ring_socket_write(struct ring_socket *socket, const struct milgi_iov *iov, size_t iov_n);
/* closed() follows, from the loop. What was not sent is forgotten. */
void milgi__ring_socket_close(struct ring_socket *socket, bool reset);
/* Tells the owners what waits for them: callbacks. False: there were none. */
bool milgi__ring_sockets_tell(struct milgi_uring *u);
/* Makes the entries of what the kernel is to do: no callbacks. */
void milgi__ring_sockets_flush(struct milgi_uring *u);

/* --- listen.c ---------------------------------------------------------------------------------------------------- */

/* As milgi__ring_sockets_flush(). */
void milgi__ring_listeners_flush(struct milgi_uring *u);
void milgi__ring_listeners_stop(struct milgi_uring *u);
