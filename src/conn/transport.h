/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection's transport side as one interface: what the network brings is fed in and comes out as messages in
 * order; what is to be sent goes in as content and key changes in order, and comes out as bytes for the network. The
 * record pipeline (records.c) is its implementation; nothing else of the connection sees a record. Its ops are
 * submitted for the connection and come back through milgi__transport_op_done().
 */
#pragma once

#include <milgi/handover.h>

#include "config/config.h"
#include "engine/engine.h"
#include "handshake/handshake.h"
#include "record/content.h"

/* Slots of its ops: below these, the handshake's own. */
#define MILGI__SLOT_TRANSPORT 0x100u

struct milgi__transport;

/*
 * In |place|: milgi__transport_place() bytes of zeros, aligned as uint64_t is, which the connection keeps for it and
 * frees, behind fini(). |owner| is attached to |engine|; all are borrowed.
 */
struct milgi__transport *milgi__transport_init(
    void *place, struct milgi_engine *engine, struct milgi__owner *owner, const struct milgi_config *config);
size_t milgi__transport_place(void);
/*
 * Lets everything go: keys, what was fed, what is not framed or not taken; nothing that is secret is left in its place.
 * Nothing more is to be given to it. Ops in flight keep what they need themselves.
 */
void milgi__transport_fini(struct milgi__transport *t);
/* Gives back what holds nothing: an idle connection has keys and state only. */
/* Asks for what is needed to open and seal, which lies elsewhere. */
void milgi__transport_prefetch(const struct milgi__transport *t);
void milgi__transport_idle(struct milgi__transport *t);
/* An op has come back whose slot is MILGI__SLOT_TRANSPORT or above: only flips a state. */
void milgi__transport_op_done(struct milgi__transport *t, struct milgi_op *op);

/* --- keys ------------------------------------------------------------------------------------------------------- */

/*
 * A new key (takes its reference when it succeeds) for records as |suite| has them. READ: behind the message that was
 * handed on last; what was opened ahead of it is opened again. WRITE: behind what was given to be sent. 0 or an error.
 */
int milgi__transport_install(struct milgi__transport *t, enum milgi__dir dir, const struct milgi__suite *suite,
    struct milgi_key *key, const uint8_t iv[12]);
/* A handshake message and a change of the write key as one unit; |first|: before all that is not framed. */
int milgi__transport_update_write(struct milgi__transport *t, const void *message, size_t len, struct milgi_key *key,
    const uint8_t iv[12], bool first);
/* True: one stands before all that is not framed. */
bool milgi__transport_updating(const struct milgi__transport *t);
/* Records under the key of this direction; after how many it is to be changed (WRITE). */
uint64_t milgi__transport_records(const struct milgi__transport *t, enum milgi__dir dir);
uint64_t milgi__transport_records_max(const struct milgi__transport *t);
/* Of protected records, content and padding: what the peer takes, or (READ) was told that we take (RFC 8449). */
void milgi__transport_limit(struct milgi__transport *t, enum milgi__dir dir, uint32_t most);
/*
 * To somebody else (milgi/handover.h), of a direction that holds nothing (in_busy(), out_busy()): its key, its IV and
 * the number of its next record; then the key is let go, and nothing is opened or sealed in it any more.
 */
void milgi__transport_keys(const struct milgi__transport *t, enum milgi__dir dir, struct milgi_traffic_keys *keys);
void milgi__transport_hand_over(struct milgi__transport *t, enum milgi__dir dir);
/* Records of such a direction were made elsewhere; or its key has changed. */
void milgi__transport_count(struct milgi__transport *t, enum milgi__dir dir, uint64_t records);
void milgi__transport_recount(struct milgi__transport *t, enum milgi__dir dir);
/* Records that may be opened with a key at all. */
uint64_t milgi__transport_opens_max(const struct milgi__transport *t);
/* Whether protected records are to be shorter than they may be (limit()), or longer than their content. */
bool milgi__transport_is_limited(const struct milgi__transport *t, enum milgi__dir dir);
/* From now on several records are in flight each way: the peer is authenticated. */
void milgi__transport_speculate(struct milgi__transport *t);

/* --- in --------------------------------------------------------------------------------------------------------- */

/* Takes the reference. 0 or MILGI_ENOMEM (taken and dropped). */
int milgi__transport_feed(struct milgi__transport *t, struct milgi_slice slice);
/*
 * Takes up the next record that was fed; never OP. |clear_data|: application data may come in the clear (rejected early
 * data). FAILED: *failure. Estimated work is added to *work_ns.
 */
enum milgi__start milgi__transport_open(
    struct milgi__transport *t, bool clear_data, uint64_t *work_ns, struct milgi__failure *failure);
/*
 * Takes up as much as can be at once of the application data that was fed, at most |credit| bytes, or |budget_ns| of
 * work, and one record more.
 * False: there is none such, and open() says what there is. Each is handed on by next_data(), then close_data() puts
 * back what was not.
 */
bool milgi__transport_open_data(struct milgi__transport *t, uint64_t credit, uint64_t budget_ns,
    struct milgi__opened *opened);
/*
 * The next of it, of which there is some, with the caller's references; estimated work is added to *work_ns. False: it
 * comes with next(), since it is not what it seemed to be, or |budget_ns| is used up; and it is the last of these.
 */
bool milgi__transport_next_data(struct milgi__transport *t, struct milgi__opened *opened, uint64_t budget_ns,
    uint64_t *work_ns, struct milgi__message *message);
void milgi__transport_close_data(struct milgi__transport *t, struct milgi__opened *opened);
/* The next message in order, with the caller's references; FAILED: *failure, now and ever. */
enum milgi__pop milgi__transport_next(
    struct milgi__transport *t, struct milgi__message *message, struct milgi__failure *failure);
/*
 * What next() has just refused for its tag is gone as if it had never come; *len: of it. false: it was refused for
 * another reason, or something had been opened before it.
 */
bool milgi__transport_skip(struct milgi__transport *t, uint32_t *len);
/* READ, handed over: the first of what was fed, at most |len| bytes, as it is, with a reference for the caller. */
struct milgi_slice milgi__transport_take_fed(struct milgi__transport *t, uint32_t len);
/* READ, handed over: there is something that is no bytes: in_busy() whatever was fed. */
void milgi__transport_keep_busy(struct milgi__transport *t, bool busy);
void milgi__transport_drop_input(struct milgi__transport *t);
size_t milgi__transport_staged(const struct milgi__transport *t);    /* bytes fed and not taken up */
size_t milgi__transport_rest(const struct milgi__transport *t);      /* milgi_conn_record_rest() */
bool milgi__transport_in_flight(const struct milgi__transport *t);   /* records taken up and not handed on */
uint64_t milgi__transport_opening(const struct milgi__transport *t); /* at most so many bytes of content in them */
bool milgi__transport_in_busy(const struct milgi__transport *t);     /* either */

/* --- out -------------------------------------------------------------------------------------------------------- */

/* Content for framing: send() takes the reference, write() copies. 0 or MILGI_ENOMEM (nothing is taken). */
int milgi__transport_send(struct milgi__transport *t, enum milgi__content type, struct milgi_slice slice);
int milgi__transport_write(
    struct milgi__transport *t, enum milgi__content type, const void *data, size_t len, bool reserve);
/* Frames the next record; never OP. FAILED: nothing more can be sent. */
enum milgi__start milgi__transport_seal(struct milgi__transport *t, uint64_t *work_ns);
/*
 * Frames and finishes as much as can be at once, within |limits|, of the application data that is next; it does not go
 * through take(). False: none of it; seal() says what there is.
 */
bool milgi__transport_seal_data(struct milgi__transport *t, const struct milgi__short_limits *limits,
    uint64_t *work_ns, struct milgi__sealed *sealed);
/* WRITE, handed over: the next piece of content that would be framed, and its type, as it is; false: none. */
bool milgi__transport_take_given(struct milgi__transport *t, uint8_t *type, struct milgi_slice *slice);
/* So many bytes of a message that was not given have gone to the network, too. */
void milgi__transport_framed_more(struct milgi__transport *t, uint32_t len);
/* The next bytes for the network in order, with a reference for the caller; false: none now. */
bool milgi__transport_take(struct milgi__transport *t, struct milgi_slice *slice);
bool milgi__transport_finished(const struct milgi__transport *t); /* there are some */
/* What is given from here on shares no record with what was given before. */
void milgi__transport_flush(struct milgi__transport *t);
/* Drops application data and alerts that are not framed; what the handshake sent, and key changes, stay. */
void milgi__transport_drop_output(struct milgi__transport *t);
/* Nothing more can be sent; the first reason stays. */
void milgi__transport_break(struct milgi__transport *t, const struct milgi__failure *failure);
const struct milgi__failure *milgi__transport_broken(const struct milgi__transport *t); /* NULL: it is not */

uint8_t milgi__transport_next_type(const struct milgi__transport *t); /* of what seal() frames next; 0: nothing */
/* The next bytes of application data go into records of at most |most| bytes. */
void milgi__transport_first(struct milgi__transport *t, uint32_t most);
size_t milgi__transport_unframed(const struct milgi__transport *t);      /* bytes given and not framed */
uint64_t milgi__transport_pieces_cost(const struct milgi__transport *t); /* of them, besides their bytes */
uint64_t milgi__transport_framed(const struct milgi__transport *t);      /* bytes framed, ever */
bool milgi__transport_out_busy(const struct milgi__transport *t);        /* there is something to frame or to take */

/* --- for people ------------------------------------------------------------------------------------------------- */

/* One direction. */
struct milgi__transport_state {
    uint64_t records; /* under its key */
    uint32_t window, in_flight;
    bool has_key;
};
struct milgi__transport_state milgi__transport_state(const struct milgi__transport *t, enum milgi__dir dir);

/* --- what is counted -------------------------------------------------------------------------------------------- */

uint64_t milgi__transport_copied(struct milgi__transport *t);      /* bytes of content copied since it was last asked */
uint32_t milgi__transport_stale(const struct milgi__transport *t); /* opens that were wasted */
size_t milgi__transport_size(unsigned window);                     /* of it, with |window| records each way */
