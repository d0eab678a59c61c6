/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milgi for programs that like to wait: connect, read, write, close over a connected socket. One loop under each call:
 * run the engine, move bytes, poll the socket and the engine's descriptor. Several of these may share an engine (and
 * its thread); while one waits, the others' work goes on too. The conventions of <milgi/milgi.h> hold.
 *
 * Every function that waits does so for at most the connection's timeout and then returns MILGI_ETIMEOUT; nothing is
 * lost, the call may be repeated. After any other negative result the connection has ended: milgi_pull_reason() says
 * why, milgi_pull_free() is what is left to do. None of them may be called from a callback of the library. Time is the
 * system's monotonic clock, which is an engine's default.
 *
 * What the peer had sent before sending to it failed can still be read, to its end. A connection that is freed without
 * milgi_pull_shutdown() is a cut for the peer, never an end.
 */
#pragma once

#include <milgi/milgi.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_pull;

/* How bytes are moved, when not by recv() and send() on the descriptor: both must return at once, with the number of
 * bytes moved, 0 (receive: the end), or a negative errno; -EAGAIN when the descriptor has to be polled first. */
struct milgi_pull_io {
    ssize_t (*receive)(void *ctx, void *data, size_t len);
    ssize_t (*send)(void *ctx, const void *data, size_t len);
    void *ctx;
};

/*
 * A connection over |fd|, which stays the caller's, need not be non-blocking, and must live until milgi_pull_free().
 * Whether it is a client or a server is the config's; |server_name| as in milgi_conn_new(). |io| is copied; NULL: the
 * socket's own. Returns 0 or an error of milgi_conn_new().
 */
MILGI_MUST_CHECK int milgi_pull_new(struct milgi_engine *engine, struct milgi_config *config, const char *server_name,
    int fd, const struct milgi_pull_io *io, struct milgi_pull **pull);

/*
 * How long each call may wait, in milliseconds; -1, the default: for ever (the handshake's own limit holds anyway).
 * 0: no call waits; each does what can be done now and answers MILGI_ETIMEOUT when that was not enough, and
 * milgi_pull_waits() says what for.
 */
void milgi_pull_set_timeout(struct milgi_pull *pull, int timeout_ms);

/*
 * With |on| no more is received than is asked for: handshake and read take one record after the other from the
 * descriptor, none while a device is at work on what came before; no other call receives anything. So what is left
 * lies in the descriptor, where poll() sees it, for programs that wait for it there; it costs a call of the system more
 * for each record. When sending fails that is told at once: why the peer has hung up is for who reads. Off by default.
 */
void milgi_pull_set_frugal(struct milgi_pull *pull, bool on);

/* on_established, on_decide and on_session of |more| (borrowed until milgi_pull_free()) are called with |arg|, by the
 * rules of the library's callbacks; what else is in it is not. Before the first other call. */
void milgi_pull_set_events(struct milgi_pull *pull, const struct milgi_events *more, void *arg);

/* The |arg| of whose connection |conn| is: for callbacks that are told of that. */
void *milgi_pull_arg(const struct milgi_conn *conn);

/* Waits until the handshake is complete: 0, or negative. Reading and writing do it by themselves. */
MILGI_MUST_CHECK int milgi_pull_handshake(struct milgi_pull *pull);

/* Waits for plaintext and copies up to |len| bytes: their number; 0 when the peer has sent close_notify; or negative,
 * MILGI_ETRUNCATED when the stream was cut. */
MILGI_MUST_CHECK ssize_t milgi_pull_read(struct milgi_pull *pull, void *data, size_t len);

/* Sends all of |data| and waits until the socket has taken it: 0, or negative. What comes meanwhile is kept, up to the
 * credit, and read later. After MILGI_ETIMEOUT and MILGI_ENOMEM (the engine's chunks are all in use) it is not known
 * how much was taken: do not repeat this one, end the connection. */
MILGI_MUST_CHECK int milgi_pull_write(struct milgi_pull *pull, const void *data, size_t len);

/*
 * For programs that do not wait, or wait themselves, where a call has answered MILGI_ETIMEOUT: |fds| are the socket
 * (its fd is -1 while it is not waited for) and the engine, in which something may be at a device; either of them, or
 * the time that is returned, in milliseconds, -1: none, is a reason to call again.
 */
struct pollfd; /* of <poll.h>; there are two */
int milgi_pull_waits(const struct milgi_pull *pull, struct pollfd *fds);

/* Takes what there is room for of |data|, once the handshake is complete: how many bytes, or negative. Nothing of it is
 * with the socket yet: milgi_pull_flush() sends it. Nothing was taken after MILGI_ETIMEOUT and MILGI_ENOMEM. */
MILGI_MUST_CHECK ssize_t milgi_pull_write_some(struct milgi_pull *pull, const void *data, size_t len);
/* Waits until the socket has taken everything: 0, or negative: of a connection that has failed, perhaps not everything
 * was sent. May be repeated after MILGI_ETIMEOUT. */
MILGI_MUST_CHECK int milgi_pull_flush(struct milgi_pull *pull);

/* Plaintext that is here and has not been read: how much; and up to |len| bytes of it, which stay: how many. */
size_t milgi_pull_pending(const struct milgi_pull *pull);
size_t milgi_pull_peek(const struct milgi_pull *pull, void *data, size_t len);

/* Sends close_notify and waits until the socket has taken everything: 0, or negative. Reading may go on. May be
 * repeated after MILGI_ETIMEOUT, which goes on waiting. */
MILGI_MUST_CHECK int milgi_pull_shutdown(struct milgi_pull *pull);

/*
 * Frees it. After a failure it first lets the alert reach the peer: it writes out, shuts writing down, and throws away
 * what the peer still sends, until its end, or 64 KiB, or 2 seconds; with a timeout of 0 nothing of that. Accepts NULL.
 */
void milgi_pull_free(struct milgi_pull *pull);

/* Why it ended; NULL while it has not. Until milgi_pull_free(). */
const struct milgi_reason *milgi_pull_reason(const struct milgi_pull *pull);
/* For milgi_conn_info() and the like. Do not feed or free it. */
struct milgi_conn *milgi_pull_conn(struct milgi_pull *pull);

#ifdef __cplusplus
}
#endif
