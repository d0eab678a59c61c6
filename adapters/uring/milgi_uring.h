/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milgi over io_uring (Linux 6.1 or later): TCP streams with TLS over them, and the engine's descriptor, in one ring,
 * which is a loop of its own. What a stream does, and how it ends, is in milgi_stream.h;
 * here is how one is made. Everything but milgi_uring_wake() belongs to the thread that called milgi_uring_new(), and
 * all of it to that process: in a child of fork() functions answer MILGI_EFORK, or do nothing, as milgi.h says.
 *
 *     while (milgi_uring_run(uring, -1) > 0) {
 *     }
 *
 * Another loop that has a descriptor to wait for it by lives inside of this one: milgi_uring_watch().
 */
#pragma once

#include <sys/socket.h>

#include <milgi_stream.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_uring;
struct milgi_uring_listener;

/*
 * Makes an engine and a ring. |options| is copied; NULL: all defaults. Returns 0, an error of milgi_engine_new(), or
 * MILGI_EUNSUPPORTED when the kernel has no such ring for us; errno says why: ENOSYS (built without), EPERM (a filter
 * of system calls, or the sysctl kernel.io_uring_disabled), EINVAL (too old), ENOMEM, EMFILE, ENFILE.
 */
MILGI_MUST_CHECK int milgi_uring_new(const struct milgi_stream_options *options, struct milgi_uring **uring);

/*
 * Gives the kernel what there is for it, waits at most |timeout_ms| for something to happen (-1: as long as it takes)
 * unless there is something to do, and does it. Returns early for milgi_uring_wake() and for signals: 1; 0: there is
 * neither stream nor listener; MILGI_ECLOSED: |uring| has stopped and is gone. Not from a callback.
 */
int milgi_uring_run(struct milgi_uring *uring, int timeout_ms);
/*
 * Calls |readable| from milgi_uring_run() when |fd| is readable, and again as long as it is. One for each ring, until
 * it has stopped. For a loop inside of this one |fd| is what that one waits by, uv_backend_fd() for instance, and its
 * next timer is the timeout of milgi_uring_run(). |awake|, which may be NULL, is called behind every wait, before all
 * other callbacks: what that loop takes for the time is from before it (uv_update_time()).
 */
void milgi_uring_watch(struct milgi_uring *uring, int fd, void (*awake)(void *arg), void (*readable)(void *arg),
    void *arg);
/* Makes milgi_uring_run() return. From any thread, and from a signal's handler; not after milgi_uring_stop(). */
void milgi_uring_wake(struct milgi_uring *uring);

/*
 * Drops every stream at once (no close_notify; of the callbacks only on_gone) and ends listening. When the kernel has
 * given back what it was lent, milgi_uring_run() frees the engine, which may block for as long as a device's longest
 * op, calls |stopped| (may be NULL) and returns MILGI_ECLOSED: |uring| is gone then, and devices may be freed. Run it
 * until then. For an end in order call milgi_stream_close() for the streams before. Call it once, from any callback.
 */
void milgi_uring_stop(struct milgi_uring *uring, void (*stopped)(void *arg), void *arg);

/* The engine: for milgi_engine_add_device(), milgi_engine_route(), statistics, chunks. Do not run or free it. */
struct milgi_engine *milgi_uring_engine(struct milgi_uring *uring);
/* Streams that hold a socket, lingering ones too. */
unsigned milgi_uring_streams(const struct milgi_uring *uring);

/*
 * Accepts at |fd|, a listening socket, which is borrowed until milgi_uring_unlisten(). accepted() gets each connection,
 * to be given to milgi_uring_open() or closed; or a negative errno, after which accepting goes on in a moment. Returns
 * 0 or MILGI_ENOMEM.
 */
MILGI_MUST_CHECK int milgi_uring_listen(struct milgi_uring *uring, int fd, void (*accepted)(void *arg, int fd),
    void *arg, struct milgi_uring_listener **listener);
/*
 * Nothing is accepted for it from here on; what the kernel has accepted already is closed. |listener| is gone. The
 * kernel lets go of the socket in the next milgi_uring_run(): its address is free then, if it has been closed.
 */
void milgi_uring_unlisten(struct milgi_uring_listener *listener);

/*
 * A stream over |fd|, a connected stream socket of any family, which is taken (and closed) unless this fails. Whether
 * it is a client or a server is the config's. |config| is referenced as milgi_conn_new() does; |events| is borrowed
 * until on_gone. Returns 0 and the stream; or an error of milgi_conn_new(), or MILGI_ETRANSPORT: |fd| is no such
 * socket.
 */
MILGI_MUST_CHECK int milgi_uring_open(struct milgi_uring *uring, int fd, struct milgi_config *config,
    const char *server_name, const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream);

/*
 * Connects to |address| and makes a TLS connection to |server_name| (as milgi_conn_new()) there. The handshake's
 * deadline includes the time that TCP takes. Errors as milgi_uring_open(), and MILGI_ELIMIT: no descriptor is left; a
 * refused connection is an on_close with MILGI_ETRANSPORT, the errno in device_code and its text in detail.
 */
MILGI_MUST_CHECK int milgi_uring_connect(struct milgi_uring *uring, const struct sockaddr *address, socklen_t len,
    struct milgi_config *config, const char *server_name, const struct milgi_stream_events *events, void *arg,
    struct milgi_stream **stream);

/* The socket, for getpeername() and options. Do not read, write or close it. */
int milgi_uring_socket(const struct milgi_stream *stream);

#ifdef __cplusplus
}
#endif
