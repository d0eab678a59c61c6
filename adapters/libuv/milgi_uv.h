/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Milgi in a libuv loop: TCP streams with TLS over them, and the engine's descriptor in the same loop.
 *
 * struct milgi_uv drives one engine in one loop; struct milgi_uv_stream is one TCP connection with one milgi_conn over
 * it. Bytes are read from the socket straight into chunks of the engine and written from the connection's output
 * without a copy. Everything here belongs to the loop's thread. The conventions of <milgi/milgi.h> hold.
 *
 * HOW A STREAM ENDS. TLS ends first, once, and on_close tells why; the TCP connection outlives it for a moment, so
 * that the last record (a fatal alert, a close_notify) reaches the peer: the output is written out, writing is shut
 * down, and what the peer still sends is read and thrown away, for then no reset overtakes the alert. That takes until
 * the peer closes, or linger_ms without progress, or linger_bytes; then the socket is closed and on_gone comes. Output
 * of a connection that was open has flush_ms to make progress, and flush_total_ms in all: a slow peer gets all of it,
 * but one that takes a byte now and then does not hold the connection for ever.
 */
#pragma once

#include <uv.h>

#include <milgi/milgi.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_uv;
struct milgi_uv_stream;

struct milgi_uv_options {
    /*
     * The engine's. schedule and on_memory are the adapter's and are overwritten; the rest is free, but a clock whose
     * monotonic time does not run like the system's makes timers early or late.
     */
    struct milgi_engine_options engine;
    uint64_t budget_ns;      /* of one turn; default 0: the engine's default */
    uint32_t linger_ms;      /* how long to wait for the peer's end after our last record; default 2000 */
    uint32_t linger_bytes;   /* how many bytes to read and throw away meanwhile; default 64 KiB */
    uint32_t flush_ms;       /* how long a peer may take nothing of what is still to be written; default 30000 */
    uint32_t flush_total_ms; /* how long it may take for all of that; default 120000 */
};

/* Fills in every default. */
void milgi_uv_options_init(struct milgi_uv_options *options);

/*
 * Makes an engine and puts it into |loop| (borrowed until it has stopped). |options| is copied; NULL: all defaults. The
 * engine's handles keep the loop alive as long as there are streams. Returns 0, an error of milgi_engine_new(), or
 * MILGI_ELIMIT when libuv has no descriptor left.
 */
MILGI_MUST_CHECK int milgi_uv_new(uv_loop_t *loop, const struct milgi_uv_options *options, struct milgi_uv **uv);

/*
 * Drops every stream at once (no close_notify; of the callbacks only on_gone), then frees the engine, which may block
 * for as long as a device's longest op, then calls |stopped| (may be NULL) from the loop: |uv| is gone then, and
 * devices may be freed. Run the loop until then. For an end in order call milgi_uv_close() for the streams before.
 * Call it once, from any callback. /
 */
void milgi_uv_stop(struct milgi_uv *uv, void (*stopped)(void *arg), void *arg);

/* The engine: for milgi_engine_add_device(), milgi_engine_route(), statistics, chunks. Do not run or free it. */
struct milgi_engine *milgi_uv_engine(struct milgi_uv *uv);
/* Streams that hold a socket, lingering ones too. */
unsigned milgi_uv_streams(const struct milgi_uv *uv);

/*
 * What a stream tells. Each may be NULL. Called from the loop, never from inside a call of the application to this
 * adapter. All but on_gone may call every function here.
 *
 * on_open   the handshake is complete. Read milgi_conn_info() here.
 * on_data   plaintext, in order. Borrowed: milgi_slice_keep() for longer. It counts against the credit until
 *           milgi_uv_consumed(); when the credit is used up reading stops.
 * on_end    the peer's close_notify: no more on_data. Our direction is still open: end it with milgi_uv_shutdown().
 * on_room   milgi_uv_send() or milgi_uv_write() had answered MILGI_PAUSE or MILGI_ENOMEM: go on.
 * on_decide as in <milgi/conn.h>.
 * on_close  TLS has ended; |reason| is valid until it returns. reason->error is 0 only when both directions were closed
 *           in order. Once, unless milgi_uv_close() was called before. Nothing but milgi_uv_conn() may be called for
 *           the stream after it returned.
 * on_gone   the socket is closed and the stream is freed: the last callback. |arg| only.
 */
struct milgi_uv_events {
    void (*on_open)(struct milgi_uv_stream *stream, void *arg);
    void (*on_data)(struct milgi_uv_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n);
    void (*on_end)(struct milgi_uv_stream *stream, void *arg);
    void (*on_room)(struct milgi_uv_stream *stream, void *arg);
    void (*on_decide)(struct milgi_uv_stream *stream, void *arg, const struct milgi_decision *decision);
    void (*on_close)(struct milgi_uv_stream *stream, void *arg, const struct milgi_reason *reason);
    void (*on_gone)(void *arg);
};

/*
 * Takes the connection that waits at |server| (uv_accept()); call it in or after the callback of uv_listen(). |config|
 * is referenced as milgi_conn_new() does; |events| is borrowed until on_gone. Returns 0 and the stream; or an error of
 * milgi_conn_new(), or MILGI_ETRANSPORT when accepting failed: there is no stream then, and the connection that waited
 * is closed.
 */
MILGI_MUST_CHECK int milgi_uv_accept(struct milgi_uv *uv, uv_stream_t *server, struct milgi_config *config,
    const struct milgi_uv_events *events, void *arg, struct milgi_uv_stream **stream);

/*
 * Connects to |address| and makes a TLS connection to |server_name| (as milgi_conn_new()) there. The handshake's
 * deadline includes the time that TCP takes. Errors as milgi_uv_accept(); a refused connection is an on_close with
 * MILGI_ETRANSPORT, the errno in device_code and its text in detail.
 */
MILGI_MUST_CHECK int milgi_uv_connect(struct milgi_uv *uv, const struct sockaddr *address, struct milgi_config *config,
    const char *server_name, const struct milgi_uv_events *events, void *arg, struct milgi_uv_stream **stream);

/*
 * The same over |fd|, a connected stream socket of any family, which is taken (and closed) unless this fails. Whether
 * it is a client or a server is the config's. Errors as milgi_uv_accept(). /
 */
MILGI_MUST_CHECK int milgi_uv_open(struct milgi_uv *uv, uv_os_sock_t fd, struct milgi_config *config,
    const char *server_name, const struct milgi_uv_events *events, void *arg, struct milgi_uv_stream **stream);

/*
 * As milgi_conn_send() (takes the reference) and milgi_conn_write() (copies), and with their results: 0; MILGI_PAUSE:
 * taken, stop until on_room; MILGI_ENOMEM: nothing taken, try again at on_room; MILGI_ECLOSED or MILGI_ELIMIT: nothing
 * taken.
 */
MILGI_MUST_CHECK int milgi_uv_send(struct milgi_uv_stream *stream, struct milgi_slice slice);
MILGI_MUST_CHECK int milgi_uv_write(struct milgi_uv_stream *stream, const void *data, size_t len);

/* milgi_chunk_new() has answered NULL: asks for an on_room when the engine has chunks again. */
void milgi_uv_await_memory(struct milgi_uv_stream *stream);

/* The application is done with |bytes| of what on_data gave it. */
void milgi_uv_consumed(struct milgi_uv_stream *stream, size_t bytes);

/*
 * Ends our direction behind what was sent: close_notify. The peer may go on sending; when it has ended too, on_close
 * comes with error 0. Returns 0 or MILGI_ECLOSED.
 */
int milgi_uv_shutdown(struct milgi_uv_stream *stream);

/* Ends at once with a fatal alert; on_close follows. Returns 0 or MILGI_ECLOSED. */
int milgi_uv_abort(struct milgi_uv_stream *stream, int alert);

/*
 * The application gives the stream up: what was sent and a close_notify still go out (during the handshake: the alert
 * user_canceled), what comes in is thrown away. Of the callbacks only on_gone follows. Not after on_close.
 */
void milgi_uv_close(struct milgi_uv_stream *stream);

/* As milgi_uv_close(), but now: what was not written yet is lost. Allowed after on_close too (until on_gone). */
void milgi_uv_drop(struct milgi_uv_stream *stream);

/* The connection, for milgi_conn_info(), milgi_conn_update_keys(), milgi_conn_export(). Do not feed or free it. NULL
 * when its socket is being closed. */
struct milgi_conn *milgi_uv_conn(struct milgi_uv_stream *stream);
/* The socket, for uv_tcp_getpeername() and options. Do not read, write or close it. */
uv_tcp_t *milgi_uv_tcp(struct milgi_uv_stream *stream);

#ifdef __cplusplus
}
#endif
