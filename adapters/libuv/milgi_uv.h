/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milgi in a libuv loop: TCP streams with TLS over them, and the engine's descriptor in the same loop. What a stream
 * does, and how it ends, is in milgi_stream.h; here is how one is made. Everything belongs to the loop's thread.
 */
#pragma once

#include <uv.h>

#include <milgi_stream.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_uv;

/*
 * Makes an engine and puts it into |loop| (borrowed until it has stopped). |options| is copied; NULL: all defaults. The
 * engine's handles keep the loop alive as long as there are streams. SIGPIPE is ignored from here on, unless the
 * application has said something about it: libuv's writes would end the process with it when a peer goes. Returns 0,
 * an error of milgi_engine_new(), or MILGI_ELIMIT when libuv has no descriptor left.
 */
MILGI_MUST_CHECK int milgi_uv_new(uv_loop_t *loop, const struct milgi_stream_options *options, struct milgi_uv **uv);

/*
 * Drops every stream at once (no close_notify; of the callbacks only on_gone), then frees the engine, which may block
 * for as long as a device's longest op, then calls |stopped| (may be NULL) from the loop: |uv| is gone then, and
 * devices may be freed. Run the loop until then. For an end in order call milgi_stream_close() for the streams before.
 * Call it once, from any callback.
 */
void milgi_uv_stop(struct milgi_uv *uv, void (*stopped)(void *arg), void *arg);

/* The engine: for milgi_engine_add_device(), milgi_engine_route(), statistics, chunks. Do not run or free it. */
struct milgi_engine *milgi_uv_engine(struct milgi_uv *uv);
/* Streams that hold a socket, lingering ones too. */
unsigned milgi_uv_streams(const struct milgi_uv *uv);

/*
 * Takes the connection that waits at |server| (uv_accept()); call it in or after the callback of uv_listen(). |config|
 * is referenced as milgi_conn_new() does; |events| is borrowed until on_gone. Returns 0 and the stream; or an error of
 * milgi_conn_new(), or MILGI_ETRANSPORT when accepting failed: there is no stream then, and the connection that waited
 * is closed, or, if there was not even memory to take it (MILGI_ENOMEM), waits until this is called again. Mind that
 * uv_listen() closes all that wait when no descriptor is left; a server that would rather have them wait uses
 * uv_poll_t, accept() and milgi_uv_open(), and pauses when accept() says EMFILE.
 */
MILGI_MUST_CHECK int milgi_uv_accept(struct milgi_uv *uv, uv_stream_t *server, struct milgi_config *config,
    const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream);

/*
 * Connects to |address| and makes a TLS connection to |server_name| (as milgi_conn_new()) there. The handshake's
 * deadline includes the time that TCP takes. Errors as milgi_uv_accept(); a refused connection is an on_close with
 * MILGI_ETRANSPORT, the errno in device_code and its text in detail.
 */
MILGI_MUST_CHECK int milgi_uv_connect(struct milgi_uv *uv, const struct sockaddr *address, struct milgi_config *config,
    const char *server_name, const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream);

/*
 * The same over |fd|, a connected stream socket of any family, which is taken (and closed) unless this fails. Whether
 * it is a client or a server is the config's. Errors as milgi_uv_accept().
 */
MILGI_MUST_CHECK int milgi_uv_open(struct milgi_uv *uv, uv_os_sock_t fd, struct milgi_config *config,
    const char *server_name, const struct milgi_stream_events *events, void *arg, struct milgi_stream **stream);

/* The socket, for uv_tcp_getpeername() and options. Do not read, write or close it. */
uv_tcp_t *milgi_uv_tcp(struct milgi_stream *stream);

#ifdef __cplusplus
}
#endif
