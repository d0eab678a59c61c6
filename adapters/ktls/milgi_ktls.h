/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The records of an established connection in Linux's kernel (TLS_TX, TLS_RX), each direction by itself, over any event
 * loop: this makes the system calls, and calls nobody. What the kernel takes the bytes of then need not come through
 * the process: milgi_ktls_sendfile(), splice(). How a connection is after that is in <milgi/handover.h>.
 *
 *   struct milgi_events:   on_record -> milgi_ktls_record()   on_keys -> milgi_ktls_keys()
 *   fd is writable         milgi_ktls_flush(), if it had answered MILGI_PAUSE
 *   fd is readable         milgi_ktls_read() until it answers MILGI_PAUSE, instead of read() and milgi_conn_receive();
 *   on_resume, on_memory   the same, without asking poll(), which may not know of a record that was left behind
 *
 * TAKING A DIRECTION. The config allows it (milgi_config_set_hand_over()). After on_established call milgi_ktls_take()
 * behind a turn of the engine: as long as it answers MILGI_PAUSE, again after the next. For receiving read at most
 * milgi_conn_record_rest() bytes at a time meanwhile (unless that is 0), so that a record ends where a read does.
 * MILGI_EUNSUPPORTED: this kernel cannot (no module "tls", not this cipher), or the connection must not; nothing is
 * lost, the connection goes on as before.
 *
 * CLOSING. What the kernel has taken need not be in the socket's queue yet: of a record for which there was no room it
 * sends the rest by itself, and not behind a shutdown() or close(). milgi_ktls_unsent() == 0, and on_closed, do not say
 * that it has. So whoever has sent by it waits until the peer has acknowledged all (ioctl(SIOCOUTQ) answers 0 twice, a
 * moment apart, since between two parts of such a record nothing is under way either), then shutdown(SHUT_WR), and
 * bounds how long that takes; else the peer misses the tail of the last record, or close_notify. Nothing of this holds
 * for a socket that is reset on purpose.
 *
 * COUNTING. How often a key has been used is the kernel's to know (getsockopt()). One that does not tell is counted by
 * the least that it can have made: short records beyond that are not seen, and neither is the limit of their key in
 * time. milgi_conn_info's records are those that went through the connection, not those past it.
 *
 * The conventions of <milgi/milgi.h> hold. A struct milgi_ktls belongs to the thread of its connection.
 */
#pragma once

#include <sys/socket.h>

#include <milgi/milgi.h>

#ifdef __cplusplus
extern "C" {
#endif

struct milgi_ktls;

/* The system's calls, for tests. Each returns what the call does, or a negative errno. */
struct milgi_ktls_calls {
    int (*set)(void *ctx, int fd, int level, int option, const void *value, unsigned len);
    int (*get)(void *ctx, int fd, int level, int option, void *value, unsigned *len);
    long (*send)(void *ctx, int fd, const struct msghdr *message, int flags);
    long (*receive)(void *ctx, int fd, struct msghdr *message, int flags);
    long (*send_file)(void *ctx, int fd, int file, int64_t *at, size_t len);
    long (*splice)(void *ctx, int from, int to, size_t len);
};

struct milgi_ktls_options {
    const struct milgi_ktls_calls *calls; /* NULL: the system's */
    void *calls_ctx;
    /*
     * TLS_TX_ZEROCOPY_RO: pages of a file that milgi_ktls_sendfile() sends are not copied when a card seals. A page
     * that changes before it is acknowledged then goes out as two things with one nonce: only for files that nobody
     * changes.
     */
    bool files_do_not_change;
    /* TLS_RX_EXPECT_NO_PAD, TLS 1.3: opened where it is to lie; records that are padded all the same cost twice. */
    bool expect_no_padding;
    /* The kernel has taken |bytes| of on_record's. NULL: milgi_conn_output_done() is called. */
    void (*sent)(void *arg, size_t bytes);
    void *arg;
    /* The kernel is asked for its count of records when it may have made so many since; default 1024. */
    uint32_t count_every;
};
/* Fills in every default. */
void milgi_ktls_options_init(struct milgi_ktls_options *options);

/*
 * For |conn| over the TCP socket |fd|, which does not block; both are borrowed. milgi_ktls_free() comes before
 * milgi_conn_free(), or after it: then nothing else may come between them. |options| is copied; NULL: defaults. Returns
 * 0 or MILGI_ENOMEM.
 */
MILGI_MUST_CHECK int milgi_ktls_new(
    struct milgi_conn *conn, int fd, const struct milgi_ktls_options *options, struct milgi_ktls **ktls);
void milgi_ktls_free(struct milgi_ktls *ktls);

/* Returns 0: the kernel has it; otherwise as milgi_conn_keys(): see above. Not from callbacks of the connection. */
MILGI_MUST_CHECK int milgi_ktls_take(struct milgi_ktls *ktls, enum milgi_direction direction);
bool milgi_ktls_has(const struct milgi_ktls *ktls, enum milgi_direction direction);
/* Whether its keys can change, which Linux can from 6.14 on. */
bool milgi_ktls_rekeys(const struct milgi_ktls *ktls, enum milgi_direction direction);

/* From on_record and on_keys. What the kernel takes is sent at once; the rest waits for milgi_ktls_flush(). */
void milgi_ktls_record(struct milgi_ktls *ktls, uint8_t type, const struct milgi_iov *iov, size_t iov_n);
void milgi_ktls_keys(struct milgi_ktls *ktls, int direction, const struct milgi_traffic_keys *keys);

/*
 * Sends what waits. Returns 0: all of it; MILGI_PAUSE: call it again when the socket is writable; MILGI_ETRANSPORT:
 * sending has failed (milgi_ktls_error()): nothing more goes out, and what was to go counts as sent. What the peer has
 * said before may still be read.
 */
int milgi_ktls_flush(struct milgi_ktls *ktls);
/* The errno that sending, or a change of keys, has failed with; 0: it has not. */
int milgi_ktls_error(const struct milgi_ktls *ktls);
size_t milgi_ktls_unsent(const struct milgi_ktls *ktls); /* bytes of on_record's that wait */

/*
 * Reads once, and gives the connection what there was: data, other records, the end, or that a record could not be
 * opened. Returns 0: read on; MILGI_PAUSE: there is nothing now, or the connection wants nothing (on_resume), or there
 * was no memory (milgi_engine_options.on_memory); MILGI_ECLOSED: the end has been told, or nobody wants what comes.
 */
int milgi_ktls_read(struct milgi_ktls *ktls);
/*
 * The same in parts, for who has to know what comes: reads at most |len| bytes (2 at least) of one type, which are
 * passed to milgi_conn_receive_record() before the next are asked for. Returns how many; 0 and *type 0: the transport
 * has ended; 0 and another: an empty record; or a negative errno, of which milgi_ktls_alert() says whether it is the
 * peer's record that is wrong (an alert, for milgi_conn_receive_failed()) or the transport (MILGI_ALERT_NONE). -EAGAIN:
 * nothing now. -EKEYEXPIRED: nothing before on_resume, since the kernel waits for a key, and the connection, which has
 * been told (milgi_conn_receive_blocked()), looks for it. -ENOBUFS: |len| is too small; nothing was read.
 */
long milgi_ktls_receive(struct milgi_ktls *ktls, void *data, size_t len, uint8_t *type);
int milgi_ktls_alert(long error);

/*
 * Sends |len| bytes of |file| from |*at| on, which moves, as application data, past the connection. Returns 0 and
 * |*moved|, how many went (0: the file has no more); MILGI_PAUSE: none: what the connection has to send is first, or
 * the socket is full (wait until it is writable, and call this behind a turn); MILGI_ECLOSED: our direction has ended;
 * MILGI_EINVAL: the kernel does not seal; MILGI_ETRANSPORT.
 */
int milgi_ktls_sendfile(struct milgi_ktls *ktls, int file, int64_t *at, size_t len, size_t *moved);
/*
 * splice(): up to |len| bytes of application data, past the connection, from the socket into |pipe| (MILGI_RECEIVE), or
 * from |pipe| into the socket (MILGI_SEND). Returns 0 and |*moved|, how many; MILGI_PAUSE: there are none, or there is
 * no room for them, or what the connection has to do is first (behind a turn it may be done); MILGI_EINVAL,
 * MILGI_ECLOSED, MILGI_ETRANSPORT: as milgi_ktls_sendfile(). MILGI_RECEIVE, 0 and |*moved| 0: what comes next is
 * something else, an end, or an error: milgi_ktls_read() or milgi_ktls_receive() says what, before the next splice.
 *
 * LOSS. Linux forgets what it has opened of a record and finds no room for in the pipe: each call may want
 * MILGI_KTLS_PIECES buffers that are free, which milgi_ktls_pipe() has that many times. That is enough of Linux 6.0 and
 * later without a card that opens; with others milgi_ktls_pipe() refuses to make a pipe for receiving.
 */
#define MILGI_KTLS_PIECES 17u
int milgi_ktls_splice(
    struct milgi_ktls *ktls, enum milgi_direction direction, int pipe, size_t len, size_t *moved);
/*
 * A pipe for it, which does not block: |ends| as pipe(). Returns how often may be received into it before it is empty
 * again (for sending, where that does not count, 1); or a negative errno, and |ends| is as it was: -EOPNOTSUPP: this
 * kernel might lose bytes.
 */
int milgi_ktls_pipe(enum milgi_direction direction, int ends[2]);
/*
 * May bytes be sent or received past the connection, as with splice()? 0; MILGI_PAUSE, MILGI_ECLOSED, MILGI_EINVAL,
 * MILGI_ETRANSPORT: as milgi_ktls_sendfile(). And they were.
 */
int milgi_ktls_may_pass(struct milgi_ktls *ktls, enum milgi_direction direction);
void milgi_ktls_passed(struct milgi_ktls *ktls, enum milgi_direction direction, size_t bytes);

#ifdef __cplusplus
}
#endif
