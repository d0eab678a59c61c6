/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record pipeline (RFC 8446 5): first the ordered ring of the connection, then the device; completions only flip
 * a state; a serial consumer pops the head.
 *
 *   in:   feed -> start (frame.c, open.c) -> [op] -> done -> pop (order.c)
 *   out:  push | write -> start (frame.c, seal.c) -> [op] -> done -> take (order.c)
 *
 * Nothing here submits an op, calls back or knows messages: start() makes an op, its caller submits it.
 */
#pragma once

#include <milgi/op.h>

#include "buf/buf.h"
#include "op/op.h"
#include "record/format.h"

/* What the pipeline asks of its surroundings; every function returns at once. */
struct milgi__record_calls {
    struct milgi_op *(*op_new)(void *ctx, bool reserve);         /* NULL: none now */
    bool (*route_inline)(void *ctx, int op_type, uint32_t size); /* would the op run inside its submission? */
    void (*key_release)(void *ctx, struct milgi_key *key);       /* gives one reference up */
    size_t (*padding)(void *ctx, size_t content_len);            /* NULL: none */
    /* seals or opens (|type|) records at once and sets the status of each; see below, the short way */
    void (*process)(void *ctx, int type, struct milgi_key *key, struct milgi_op_record *records, unsigned n);
    /* they were processed for nothing: it does not count */
    void (*unprocess)(void *ctx, int type, const struct milgi_op_record *records, unsigned n);
    /* a record has its turn whose op was sampled and came back from the device |dev| at |back_ns|. May be NULL */
    void (*in_turn)(void *ctx, unsigned dev, uint64_t back_ns);
};

struct milgi__record_env {
    void *ctx;
    struct milgi__pool *pool;
    uint64_t owner; /* for chunks */
    const struct milgi__record_calls *calls;
};

/* STALE: its ciphertext waits to be opened, for the first time or again. */
enum milgi__entry_state {
    MILGI__ENTRY_FREE,
    MILGI__ENTRY_SUBMITTED,
    MILGI__ENTRY_OK,
    MILGI__ENTRY_REJECTED,
    MILGI__ENTRY_STALE,
    MILGI__ENTRY_BROKEN
};

/* One record between its start and its turn. */
struct milgi__entry {
    uint8_t state;
    uint8_t type; /* of its header */
    uint8_t src_n;
    uint8_t in_place;
    uint8_t protected;
    uint8_t bare;      /* in: protected, and shorter than what it has besides content: nothing to open */
    uint8_t dev;       /* with back_ns */
    uint8_t op_status; /* BROKEN: of its op */
    int32_t device_code;
    uint32_t op_id, op_generation;           /* of the op that is out for it; an op_done of another one is ignored */
    uint64_t back_ns;                        /* when its op came back, if that was sampled; else 0 */
    uint32_t len;                            /* in: what is opened, without its front and tag; out: the whole record */
    struct milgi_slice src[MILGI_OP_SLICES]; /* in: intact ciphertext, needed until it is popped; out: the body, when it
                                                does not follow its header */
    struct milgi_slice dst;                  /* in: plaintext; out: the record as it goes to the wire */
    uint8_t front[MILGI__FRONT_MAX], tag[MILGI__TAG];
};

struct milgi__direction {
    struct milgi_key *key; /* NULL: plaintext */
    const struct milgi__format *format;
    uint8_t iv[12];
    uint32_t window; /* in: records that may be started and not yet popped; out: framed and unfinished */
    uint64_t seq;
    /*
     * out: the connection is to change keys when milgi__record_write_seq() reaches it. in: no more records are taken
     * under one key. A new key lowers it to its suite's limit; it may be set to less at any time.
     */
    uint64_t epoch_records_max;
    struct milgi__entry *ring; /* grows with what is in it; given back by milgi__record_idle() */
    uint32_t ring_size;        /* a power of two, or 0 */
    uint32_t head, tail;       /* positions, counted up for ever */
    uint32_t next;             /* in: the first that is STALE, out: the first that is unfinished; else tail */
};

struct milgi__record {
    struct milgi__record_env env;
    struct milgi__direction in, out;
    struct milgi__bufq input;    /* staged, unparsed */
    struct milgi_chunk *partial; /* body of an unfinished record that came in too many pieces; NULL: none */
    uint32_t partial_len;
    uint32_t clean; /* records popped since the window last grew or shrank */
    uint16_t window_max;
    uint16_t clear_max;             /* content of one record, as we like it */
    uint16_t first_max, first_left; /* of one with application data, as long as bytes are left to be framed so */
    uint16_t out_most, in_most;     /* content and padding of a record that is sealed, that is opened */
    uint16_t pad_for, pad;          /* padding drawn for a record of pad_for - 1 bytes that could not be framed then */
    struct milgi__pending *pending; /* what is to be framed, first */
    struct milgi__pending *pending_last;
    struct milgi__pending *open; /* pending_last, if small writes can be added to it; else NULL */
    struct milgi__pending *spare;
    const struct milgi__format *queued_format; /* of what is queued next */
    struct milgi_chunk *out_chunk;             /* shared by small records; filled up to out_used */
    size_t pending_len;                        /* bytes of what is queued */
    uint32_t pending_n;                        /* pieces of it, and changes of keys */
    uint32_t out_used;
    uint32_t stale;                  /* opens that were wasted */
    uint8_t front[MILGI__FRONT_MAX]; /* of the record whose rest input begins with */
    uint8_t front_len;               /* bytes of it; 0: no record is begun */
    uint8_t wary;                    /* how often MILGI__SHORT_MAX is halved: opens ahead were wasted not long ago */
    bool speculating;
    /* records of application data are taken though there is no key: early data behind a HelloRetryRequest, which is
     * handed over as it is and skipped (RFC 8446 4.2.10) */
    bool clear_data;
    bool seen_protected_in;             /* a protected record has been opened */
    bool unit_begun;                    /* handshake content is framed in part: the rest cannot be dropped */
    bool rekeying;                      /* a change of keys was put first */
    struct milgi__failure send_failure; /* error is not 0: nothing more can be sent */
    uint64_t framed_bytes;              /* of records, ever */
    uint64_t bytes_copied;              /* of content that was not left where it was; headers and tags do not count */
};

void milgi__record_init(
    struct milgi__record *r, const struct milgi__record_env *env, uint32_t window_max, uint32_t record_max);
/*
 * The next bytes of application data go into records with at most |most| bytes: at the beginning, and after a silence,
 * the path is slow, and nothing of a record can be used before its end has come. Not less than |most|: no matter.
 */
void milgi__record_first(struct milgi__record *r, uint32_t most);
/* Releases everything; ops in flight keep what they need themselves. */
void milgi__record_fini(struct milgi__record *r);
/* Gives rings and partly used chunks back when nothing is in flight: an idle connection has none. */
void milgi__record_idle(struct milgi__record *r);
/* Of |d|, which holds nothing: somebody else has its key from here on. */
void milgi__record_hand_over(struct milgi__record *r, struct milgi__direction *d);
/* True if ciphertext, records or output are still in it. */
static inline bool milgi__record_in_busy(const struct milgi__record *r)
{
    return r->in.head != r->in.tail || r->front_len > 0 || r->input.len > 0;
}
static inline bool milgi__record_out_busy(const struct milgi__record *r)
{
    return r->out.head != r->out.tail || r->pending;
}

/* --- in --------------------------------------------------------------------------------------------------------- */

/* Takes the reference. 0 or MILGI_ENOMEM (taken and dropped). */
int milgi__record_feed(struct milgi__record *r, struct milgi_slice slice);

/* How many bytes are missing of what was fed last until a record ends, or until its header does; 0: one ends there. */
size_t milgi__record_rest(const struct milgi__record *r);

/*
 * Starts the next record: STALE ones first, then the next of the staged input; one only. It is opened in place when the
 * route is inline and no earlier record is unpopped, else into a fresh chunk with the ciphertext left intact. So a
 * message that was popped is dispatched, and its key change installed, before this is called again.
 */
enum milgi__start milgi__record_open(
    struct milgi__record *r, struct milgi_op **op, struct milgi__failure *failure);
/* Flips the state of the record that |op| was for; takes its destination. Ignores ops that belong to none any more. */
void milgi__record_opened(struct milgi__record *r, struct milgi_op *op);

/*
 * The head, if it has been opened: content type found behind the padding (RFC 8446 5.4), limits checked. FAILED:
 * *failure is the peer's (bad_record_mac, unexpected_message, record_overflow) or the device's; it stays at the head.
 */
enum milgi__pop milgi__record_pop(
    struct milgi__record *r, struct milgi__message *message, struct milgi__failure *failure);

/*
 * A new read key (takes its reference) for records of format |f|, after the record that caused it was popped.
 * Everything started behind that record is STALE: wiped, and started again under the new key from intact ciphertext;
 * if there was any, the window restarts at 1 and doubles per clean window.
 */
void milgi__record_install_read(
    struct milgi__record *r, const struct milgi__format *f, struct milgi_key *key, const uint8_t iv[12]);
/* Drops the head, which was REJECTED, as if it had not been received: its sequence number is used again. *len: of it,
 * without its header. For skipping early data (RFC 8446 4.2.10); the window is 1. false: nothing was REJECTED, or a
 * record has been opened before. */
bool milgi__record_unread(struct milgi__record *r, uint32_t *len);
/* Drops everything that was received and not popped, staged or started. */
void milgi__record_drop_input(struct milgi__record *r);
/* True if records have been taken up behind the one that was popped last (staged bytes do not count). */
bool milgi__record_in_started(const struct milgi__record *r);
/*
 * What the two ends have said that they take (RFC 8449), as bytes of content and padding of protected records: of what
 * is framed from here on; of what is popped from here on. More than the protocol allows is what it allows.
 */
void milgi__record_limit_out(struct milgi__record *r, uint32_t most);
void milgi__record_limit_in(struct milgi__record *r, uint32_t most);
/* From now on up to the configured window (after the peer's Finished). Before it the window is 1. */
void milgi__record_speculate(struct milgi__record *r);

/* --- out -------------------------------------------------------------------------------------------------------- */

/*
 * Queue content of |type| for framing; adjacent content of one type shares records, but each alert and each
 * change_cipher_spec is one; handshake content is framed as one unit. push takes the reference; write copies. 0 or
 * MILGI_ENOMEM (nothing taken). |reserve| draws on the reserve.
 */
int milgi__record_push(struct milgi__record *r, enum milgi__content type, struct milgi_slice slice);
int milgi__record_write(struct milgi__record *r, enum milgi__content type, const void *data, size_t len, bool reserve);
/* Queues a change of the write key, and of the format of records, behind what is queued (takes the key's reference). 0
 * or MILGI_ENOMEM (not taken). */
int milgi__record_install_write(
    struct milgi__record *r, const struct milgi__format *f, struct milgi_key *key, const uint8_t iv[12]);
/*
 * Queues a handshake message (KeyUpdate) and, as one unit with it, a change of the write key. |first|: before all that
 * is queued, save the rest of handshake content that is framed in part; the keys keep their order. Draws on the
 * reserve. 0 or MILGI_ENOMEM (nothing taken).
 */
int milgi__record_update_write(struct milgi__record *r, const void *message, size_t len, struct milgi_key *key,
    const uint8_t iv[12], bool first);
/*
 * Frames the next record: sequence number, nonce, type and padding are final from here on. Handshake content, alerts
 * and key changes ignore the window.
 */
enum milgi__start milgi__record_seal(struct milgi__record *r, struct milgi_op **op);
/* Content type of the next record; 0: nothing is queued. */
uint8_t milgi__record_next_type(const struct milgi__record *r);
void milgi__record_sealed(struct milgi__record *r, struct milgi_op *op);
/* Instead of framing it: the first piece of content that is queued, with its type and its reference; false: none. */
bool milgi__record_take_unframed(struct milgi__record *r, uint8_t *type, struct milgi_slice *slice);
/* Ends the direction: nothing more can be sent. The first reason stays (r->send_failure). */
void milgi__record_break_send(struct milgi__record *r, const struct milgi__failure *failure);
static inline bool milgi__record_send_broken(const struct milgi__record *r)
{
    return r->send_failure.error != 0;
}
/* The next finished record in order, as a slice with a reference for the caller; false: none. */
bool milgi__record_take(struct milgi__record *r, struct milgi_slice *slice);
/*
 * What is queued from here on shares no record with what is queued before: the bytes on the wire then depend on the
 * calls alone, and not on how long a device takes.
 */
void milgi__record_flush(struct milgi__record *r);
/*
 * Drops application data and alerts that are not framed yet (on failure). Handshake content, change_cipher_spec and key
 * changes stay: the bytes on the wire are the same however much of them was framed by then.
 */
void milgi__record_drop_pending(struct milgi__record *r);
/* Records framed under the key that the next one will have: 0 as soon as a change of keys was put first. */
uint64_t milgi__record_write_seq(const struct milgi__record *r);

/* --- the short way ---------------------------------------------------------------------------------------------- */

/*
 * For application data behind the peer's Finished whose ops would run inside their submission: it is opened and sealed
 * on the spot, as long as nothing else is under way in its direction. What is out of the ordinary is left to the
 * functions above as it is or, when it shows only in what was opened, in the ring. Nobody can tell which way a record
 * went. |below|: its size, as it is given to route_inline(), is less than this; 0: no record is.
 */

/*
 * Opens, in place, at most |most| of the records that the first slice of the input begins with, as long as there is
 * |credit| if all that is in them is content. False: there is none. They stay in the input until each is taken; until
 * milgi__short_close() nothing may happen to the input but that more is fed.
 */
bool milgi__short_open(
    struct milgi__record *r, uint32_t below, uint64_t most, uint64_t credit, struct milgi__opened *opened);
/*
 * Takes the next of them; there is one. True: *message has it, as if it had been popped. False: it is at the head of
 * the ring, where milgi__record_pop() finds it, always so if |hold|; no other can be taken.
 */
bool milgi__short_next(
    struct milgi__record *r, struct milgi__opened *opened, bool hold, struct milgi__message *message);
/*
 * Those that have not been taken, the first not among them, are ciphertext again, as if they had not been opened. After
 * that only one is opened at first, then twice as many each time.
 */
void milgi__short_close(struct milgi__record *r, struct milgi__opened *opened);

/*
 * Seals the records that are next, as far as |limits| allow. False: the first of them is not ordinary. If one fails, it
 * counts, is in no slice, and nothing more can be sent.
 */
bool milgi__short_seal(struct milgi__record *r, uint32_t below, const struct milgi__short_limits *limits,
    struct milgi__sealed *sealed);

/* --- the ring, for the files of this directory -------------------------------------------------------------------- */

static inline struct milgi__entry *milgi__ring_at(const struct milgi__direction *d, uint32_t position)
{
    return &d->ring[position & (d->ring_size - 1)];
}
/* Makes sure that one more fits; false: no memory. */
bool milgi__ring_room(const struct milgi__record *r, struct milgi__direction *d);
/* |op| is on its way for |e|. */
static inline void milgi__entry_started(struct milgi__entry *e, const struct milgi_op *op)
{
    e->op_id = op->e.id;
    e->op_generation = op->e.generation;
    e->back_ns = 0;
    e->state = MILGI__ENTRY_SUBMITTED;
}
/* Of an open that ended with |status|: enum milgi__entry_state. */
static inline uint8_t milgi__entry_state(int status)
{
    if (status == MILGI_OP_OK)
        return MILGI__ENTRY_OK;
    return status == MILGI_OP_REJECTED ? MILGI__ENTRY_REJECTED : MILGI__ENTRY_BROKEN;
}
/* |op| has come back for |e|. */
static inline void milgi__entry_back(struct milgi__entry *e, const struct milgi_op *op)
{
    if ((op->flags & MILGI__OP_SAMPLED) == 0)
        return;
    e->back_ns = op->e.stamp_ns;
    e->dev = op->dev;
}
/* |e| leaves the ring in order; once, though its header may go before its body. */
static inline void milgi__entry_leaves(const struct milgi__record *r, struct milgi__entry *e)
{
    if (e->back_ns && r->env.calls->in_turn)
        r->env.calls->in_turn(r->env.ctx, e->dev, e->back_ns);
    e->back_ns = 0;
}
/* The record that |op| is out for; NULL: none any more. It is most often the last before |end|, or the first. */
struct milgi__entry *milgi__ring_find(const struct milgi__direction *d, const struct milgi_op *op, uint32_t end);
/* The content type, and in *|len| how many bytes of the plaintext |slices| come before it; 0: there is none. */
uint8_t milgi__inner_type(const struct milgi_slice *slices, unsigned n, uint32_t *len);
/* A record was handed on: a window in which no open was wasted doubles the next one. */
void milgi__count_clean(struct milgi__record *r);
/* Drops all records in it. */
void milgi__ring_clear(struct milgi__direction *d);
void milgi__ring_fini(const struct milgi__record *r, struct milgi__direction *d);
