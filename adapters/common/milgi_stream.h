/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte stream with TLS over it, in whatever event loop: what an application sees of an adapter.
 *
 * A stream is one transport connection with one milgi_conn over it. The adapter of a loop makes it (milgi_uv_accept(),
 * milgi_uv_connect(), ...); from then on the calls and callbacks here are the same in every loop. Bytes are read from
 * the transport straight into chunks of the engine and written from the connection's output without a copy. Everything
 * belongs to the loop's thread. The conventions of <milgi/milgi.h> hold.
 *
 * READING. What comes is pushed to on_data; or it waits for who reads when it suits him: with on_readable in the place
 * of on_data milgi_stream_read() hands it out into the reader's memory, and gives the credit back as it is read.
 *
 * BACKPRESSURE. What on_data delivers counts against the credit until milgi_stream_consumed(); without credit the
 * stream is not read, and TCP stops the peer. The other way, milgi_stream_send() answers MILGI_PAUSE when enough is on
 * its way, and on_room comes when there is room. An application that passes bytes on gives credit only when the bytes
 * have gone: milgi_stream_forward() is that, in one call.
 *
 * HOW A STREAM ENDS. There are four ways, and no peer can take one for another:
 *
 *   milgi_stream_shutdown()   our direction has ended in order: close_notify behind everything that was sent
 *   milgi_stream_close()      the same, and what the peer still sends is not wanted
 *   milgi_stream_cut()        in the middle of something: a fatal alert instead, never close_notify
 *   milgi_stream_reset()      at once, and the kernel takes back what it has not delivered
 *
 * TLS ends first, once, and on_close says why; the transport outlives it for a moment, so that the last record reaches
 * the peer: the output is written out, writing is shut down, and what the peer still sends is read and thrown away, for
 * then no reset overtakes the alert. That takes until the peer closes, or until nothing has moved for linger_ms; after
 * linger_bytes nothing more is read. Output of a connection that was open and has not been cut has flush_ms to make
 * progress and flush_total_ms in all: a slow peer gets all of it, but one that takes a byte now and then does not hold
 * the connection for ever. Then the socket is closed and on_gone comes.
 *
 * A peer that never reads is ended like any other: milgi_stream_close() if it was sent all there is, else
 * milgi_stream_cut(); both end by themselves after these times without being called again. How long nothing has moved
 * is milgi_stream_idle_ms(). To have the memory back at once, call milgi_stream_drop() or milgi_stream_reset().
 *
 * The two directions end by themselves. When sending has failed (the peer is gone), what it had sent before is still
 * read and delivered, to its close_notify, at the pace of the credit; then on_close tells of the failure. What was sent
 * meanwhile has gone nowhere.
 */
#pragma once

#include <milgi/milgi.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_stream;

/* The options of an adapter; one set per loop. */
struct milgi_stream_options {
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
void milgi_stream_options_init(struct milgi_stream_options *options);

/*
 * What a stream tells. Each may be NULL. Called from the loop, never from inside a call of the application to a stream.
 * All but on_gone may call every function here.
 *
 * on_open   the handshake is complete. Read milgi_conn_info() here.
 * on_data   plaintext, in order. Borrowed: milgi_slice_keep() for longer. It counts against the credit until
 *           milgi_stream_consumed(); when the credit is used up reading stops. Without on_data it is thrown away.
 * on_readable in the place of on_data, for who has it: milgi_stream_read() has more to hand out than before.
 * on_end    the peer's close_notify: all that it had to say has been delivered, or can be read. Our direction is still
 *           open: end it with milgi_stream_shutdown().
 * on_room   milgi_stream_send() or milgi_stream_write() had answered MILGI_PAUSE or MILGI_ENOMEM: go on.
 * on_drained all that there was to be sent is with the network, records of the library's own among it. Each time that
 *           it comes to that, whoever has sent something or not; milgi_stream_flushed() asks.
 * on_decide, on_session  as in <milgi/conn.h>.
 * on_close  TLS has ended; |reason| is valid until it returns. reason->error is 0 only when both directions were closed
 *           in order. Once, unless milgi_stream_close() or milgi_stream_cut() was called before. Nothing but
 *           milgi_stream_conn() may be called for the stream after it returned, and until on_gone those that read what
 *           had come before (milgi_stream_read(), milgi_stream_peek(), milgi_stream_unread()).
 * on_gone   the socket is closed and the stream is freed: the last callback. |arg| only.
 * on_kernel milgi_stream_offload(): the kernel has taken this direction's records.
 * on_splice milgi_stream_splice() had answered MILGI_PAUSE for this direction: go on.
 */
struct milgi_stream_events {
    void (*on_open)(struct milgi_stream *stream, void *arg);
    void (*on_data)(struct milgi_stream *stream, void *arg, const struct milgi_slice *slices, size_t slices_n);
    void (*on_end)(struct milgi_stream *stream, void *arg);
    void (*on_room)(struct milgi_stream *stream, void *arg);
    void (*on_decide)(struct milgi_stream *stream, void *arg, const struct milgi_decision *decision);
    void (*on_close)(struct milgi_stream *stream, void *arg, const struct milgi_reason *reason);
    void (*on_gone)(void *arg);
    void (*on_kernel)(struct milgi_stream *stream, void *arg, enum milgi_direction direction);
    void (*on_session)(struct milgi_stream *stream, void *arg, struct milgi_session *session);
    void (*on_readable)(struct milgi_stream *stream, void *arg);
    void (*on_drained)(struct milgi_stream *stream, void *arg);
    void (*on_splice)(struct milgi_stream *stream, void *arg, enum milgi_direction direction);
};

/*
 * As milgi_conn_send() (takes the reference) and milgi_conn_write() (copies), and with their results: 0; MILGI_PAUSE:
 * taken, stop until on_room; MILGI_ENOMEM: nothing taken, try again at on_room; MILGI_ECLOSED or MILGI_ELIMIT: nothing
 * taken.
 */
MILGI_MUST_CHECK int milgi_stream_send(struct milgi_stream *stream, struct milgi_slice slice);
MILGI_MUST_CHECK int milgi_stream_write(struct milgi_stream *stream, const void *data, size_t len);

/* milgi_chunk_new() has answered NULL: asks for an on_room when the engine has chunks again. */
void milgi_stream_await_memory(struct milgi_stream *stream);

/* The application is done with |bytes| of what on_data gave it; more than was delivered counts as all. */
void milgi_stream_consumed(struct milgi_stream *stream, size_t bytes);

/*
 * For streams with on_readable: copies up to |len| bytes (not 0) of what has come to |data|, or throws them away
 * (NULL), and *|got| is how many. That gives the credit, too: milgi_stream_consumed() is not for who reads so. Returns
 *
 *   0              *got bytes; none: the peer has ended in order (close_notify), and all before that was read
 *   MILGI_PAUSE    there is nothing now, and *got is 0: go on at on_readable, on_end or on_close
 *   MILGI_ECLOSED  the application has given the stream up, by milgi_stream_close() or milgi_stream_cut()
 *   another error  the reason's, when TLS has ended otherwise, behind all that came before that
 */
MILGI_MUST_CHECK int milgi_stream_read(struct milgi_stream *stream, void *data, size_t len, size_t *got);
/* How much there is to read now; and the first piece of it, where it lies, until it is read (*|len| 0: nothing). */
size_t milgi_stream_unread(const struct milgi_stream *stream);
const uint8_t *milgi_stream_peek(const struct milgi_stream *stream, size_t *len);

/* Whether all that there was to be sent is with the network; false when that cannot be, for it has failed. */
bool milgi_stream_flushed(const struct milgi_stream *stream);

/*
 * Passes on what on_data delivers: call it there, with its slices. They are sent on |to| (which may be |from|: an
 * echo), without a copy, and |from| has its credit back when |to| has room for more; neither PAUSE nor lack of memory
 * loses anything. Meant for streams that are forwarded as a whole: what is sent on |to| besides must be sent from
 * on_room. milgi_stream_shutdown() goes behind what was forwarded. When |to| has ended, or is NULL because it is gone,
 * or ends before it has taken everything, |from| is ended as by milgi_stream_abort().
 */
void milgi_stream_forward(
    struct milgi_stream *from, struct milgi_stream *to, const struct milgi_slice *slices, size_t slices_n);

/*
 * Ends our direction behind what was sent: close_notify. The peer may go on sending; when it has ended too, on_close
 * comes with error 0. Returns 0 or MILGI_ECLOSED.
 */
int milgi_stream_shutdown(struct milgi_stream *stream);

/* Ends at once with a fatal alert; on_close follows. Returns as milgi_conn_abort(). */
int milgi_stream_abort(struct milgi_stream *stream, int alert);

/*
 * The application gives the stream up, in order: what was sent and a close_notify still go out (during the handshake:
 * the alert user_canceled), what comes in is thrown away. Of the callbacks only on_gone follows. Not after on_close.
 */
void milgi_stream_close(struct milgi_stream *stream);

/*
 * The application gives the stream up in the middle of something (a timeout, the end of the process, a source that has
 * failed): what is in records already still goes out, then the fatal alert internal_error, then the transport's end; of
 * what was sent the rest is dropped. Only if milgi_stream_shutdown() has been called before and its close_notify is in
 * a record has the peer all of it; it is told nothing more then. Of the callbacks only on_gone follows. Not after
 * on_close.
 */
void milgi_stream_cut(struct milgi_stream *stream);

/* As milgi_stream_cut(), but now: no alert, and what the transport has not taken yet is lost. Allowed after on_close
 * too (until on_gone). */
void milgi_stream_drop(struct milgi_stream *stream);

/* As milgi_stream_drop(), with a TCP reset: the kernel takes back what it has not delivered either. */
void milgi_stream_reset(struct milgi_stream *stream);

/*
 * For how many milliseconds nothing has moved on the wire: no byte has come in, and the peer's host has acknowledged
 * none of what went out. That is the measure of an idle connection: what the application does, and what the kernel's
 * buffers take, says nothing of a peer that reads slowly. Costs a system call or two: ask when a timer ends, not for
 * every byte. Where the kernel does not tell when it was, progress since the last call counts as made now.
 */
uint64_t milgi_stream_idle_ms(struct milgi_stream *stream);

/*
 * The kernel is to make the stream's records (milgi_ktls.h), each direction as soon as that can be: call it in on_open.
 * The stream stays as it is in all else, and where the kernel cannot it goes on without. The config must allow it
 * (milgi_config_set_hand_over()). Returns 0; MILGI_EUNSUPPORTED: the loop's adapter has no such thing; MILGI_EINVAL
 * (before on_open, behind the end).
 */
int milgi_stream_offload(struct milgi_stream *stream);
bool milgi_stream_in_kernel(const struct milgi_stream *stream, enum milgi_direction direction);

/* The stream of a connection that one has, and the |arg| that it was made with: for callbacks that are told of the
 * connection alone (milgi_keylog_cb). */
struct milgi_stream *milgi_stream_of(const struct milgi_conn *conn);
void *milgi_stream_arg(const struct milgi_stream *stream);

/*
 * Application data past the process, of a direction that the kernel has (on_kernel): up to |len| bytes, from the peer
 * into |pipe| (MILGI_RECEIVE), or out of |pipe| to the peer (MILGI_SEND); milgi_ktls_pipe() makes such pipes, and says
 * how much may be received into one. All else goes through the connection as ever: what was sent before goes first, and
 * alerts, new keys and ends are dealt with in their order; on_end and on_close come behind what was received.
 * Returns 0 and |*moved|, how many bytes; MILGI_PAUSE: none now; on_splice follows, once (of MILGI_RECEIVE into a pipe
 * that is not empty: wait until it is, and call it then); MILGI_ECLOSED (the stream, or this direction, has ended; or
 * sending has failed, and on_close follows); MILGI_EINVAL (the direction is not the kernel's; receiving without
 * milgi_stream_splices()). Not from callbacks but on_splice and on_kernel.
 */
MILGI_MUST_CHECK int milgi_stream_splice(
    struct milgi_stream *stream, enum milgi_direction direction, int pipe, size_t len, size_t *moved);
/*
 * Receiving: nothing more is read but by milgi_stream_splice(), which is to be called; on_data still delivers what had
 * been read, and may deliver more (behind what was spliced before it). Or (|on| false) all is read as ever. Returns 0,
 * MILGI_ECLOSED or MILGI_EINVAL as milgi_stream_splice().
 */
int milgi_stream_splices(struct milgi_stream *stream, bool on);

/* The connection, for milgi_conn_info(), milgi_conn_update_keys(), milgi_conn_export(). Do not feed or free it. NULL
 * when its socket is being closed. */
struct milgi_conn *milgi_stream_conn(struct milgi_stream *stream);

#ifdef __cplusplus
}
#endif
