/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connection's insides, shared by the files of this directory: the only one that sees records and handshake both,
 * and the only one that submits ops.
 */
#pragma once

#include <milgi/conn.h>

#include "engine/engine.h"
#include "handshake/handshake.h"
#include "record/record.h"

/* Slots of ops: below these, the handshake's own. */
#define MILGI__SLOT_OPEN 0x100u
#define MILGI__SLOT_SEAL 0x101u

#define MILGI__EARLY_MAX (16u * MILGI__CIPHERTEXT_MAX) /* bytes of early data that are skipped */

#define MILGI__DATA_SLICES MILGI__SCRATCH_SLICES /* on_data hands over at most this many at once */

/* What exists only during the handshake. */
struct milgi__conn_hs {
    struct milgi__hs *hs;
    enum milgi__hs_wait wait;
    uint32_t early_skipped;        /* bytes of rejected early data */
    struct milgi__bufq held;       /* application data given before it could be sent */
    struct milgi_chunk *held_tail; /* the last of held, when it is ours to append to */
};

struct milgi_conn {
    struct milgi__owner owner;
    struct milgi_engine *engine;
    struct milgi_config *config;
    const struct milgi_events *events;
    void *arg;
    struct milgi__record_env env;
    struct milgi__record rec;
    struct milgi__conn_hs *hs; /* NULL: not begun, or over */
    struct milgi__post post;
    struct milgi__bufq out;      /* finished records: handed out and not done, then not handed out */
    uint32_t out_handed;         /* how many slices of out have been handed out */
    uint64_t done_bytes;         /* ciphertext: taken by the network, ever */
    uint64_t reply_until;        /* a KeyUpdate of ours is not on its way before done_bytes reaches this */
    uint64_t asked_until;        /* the same of one that asks the peer to update, too */
    struct milgi_chunk *in_tail; /* the chunk that small inputs are gathered in (a reference) */
    uint32_t in_tail_used;
    unsigned data_n;
    struct milgi_slice *data; /* opened application data on its way to on_data: the engine's scratch, within a turn */
    size_t unconsumed;        /* delivered and not consumed: against the credit */
    int transport_error;
    int busy;         /* depth of our own functions that call back: freeing waits for 0 */
    uint16_t control; /* KeyUpdates, empty records ... since the last application data */
    bool app_open;    /* application data may be framed */
    bool started, established, failed, dead;
    bool in_paused, pause_told, want_room;
    bool eof;             /* the transport has ended */
    bool closed_in;       /* the peer's close_notify has come */
    bool shutdown_wanted; /* close_notify goes behind what is queued */
    bool closed_out;      /* close_notify is queued */
    bool closed_told;
    bool asked_update; /* our update_requested is not yet answered */
    bool blocked_room; /* waits for an op or a chunk */
    uint8_t level[2];  /* enum milgi__level by enum milgi__dir */
    const struct milgi__suite *suite;
    uint16_t group, scheme;
    bool hello_retry, peer_authenticated;
    struct milgi_credential *credential;
    char *server_name, *alpn;
    uint8_t secret[2][MILGI__SECRET_MAX]; /* application traffic secrets by direction */
    uint8_t exporter[MILGI__SECRET_MAX];
    struct milgi__failure failure; /* with the alert that was sent or received */
    uint64_t bytes_in, bytes_out, records_in, records_out;
    uint32_t updates_in, updates_out;
};

static inline struct milgi_conn *milgi__conn_of(struct milgi__owner *owner)
{
    return MILGI__ENTRY(owner, struct milgi_conn, owner);
}

static inline uint64_t milgi__conn_limit(const struct milgi_conn *c, enum milgi_limit limit)
{
    return c->config->limit[limit];
}

/* conn.c */
void milgi__conn_destroy(struct milgi_conn *c);
extern const struct milgi__owner_ops milgi__conn_owner_ops;

/* host.c: the handshake's surroundings */
int milgi__conn_begin(struct milgi_conn *c);      /* makes the handshake; 0 or an error that ends the connection */
bool milgi__conn_handshake(struct milgi_conn *c); /* runs it; true: something happened */
void milgi__conn_handshake_free(struct milgi_conn *c);
/* The AEAD key of a traffic secret, with a reference for the caller, and its IV. 0 or an error. */
int milgi__conn_key(struct milgi_conn *c, const struct milgi__suite *suite, const uint8_t *secret,
    struct milgi_key **key, uint8_t iv[12]);
int milgi__conn_install(struct milgi_conn *c, enum milgi__dir dir, const struct milgi__suite *suite,
    const uint8_t *secret);

/* input.c */
bool milgi__conn_pump_in(struct milgi_conn *c, uint64_t budget_ns, uint64_t *spent_ns);
void milgi__conn_input_state(struct milgi_conn *c); /* pause, resume, end of the transport */

/* dispatch.c: what one opened record means. Takes the message's references. */
void milgi__conn_dispatch(struct milgi_conn *c, struct milgi__message *message);
void milgi__conn_deliver(struct milgi_conn *c); /* what dispatch has collected, to on_data */
/* |first|: before what is queued and not framed. */
int milgi__conn_update_write(struct milgi_conn *c, bool ask_peer, bool first);

/* output.c */
bool milgi__conn_pump_out(struct milgi_conn *c, uint64_t *spent_ns);
bool milgi__conn_release_held(struct milgi_conn *c);    /* application data may flow; false: it waits for room */
size_t milgi__conn_backlog(const struct milgi_conn *c); /* bytes given and not yet taken by the network */
void milgi__conn_flush(struct milgi_conn *c);           /* on_output */

/* bound.c: the most that a connection with this config holds, and checks where it grows */
uint64_t milgi__conn_bound(const struct milgi_config *config);
void milgi__conn_check_in(const struct milgi_conn *c);
void milgi__conn_check_given(const struct milgi_conn *c);
void milgi__conn_check_framed(const struct milgi_conn *c);

/* close.c */
/* Ends the connection: the first failure stays. */
void milgi__conn_fail_with(struct milgi_conn *c, const struct milgi__failure *failure);
void milgi__conn_fail(struct milgi_conn *c, int error, int alert, const char *detail);
void milgi__conn_peer_alert(struct milgi_conn *c, int alert);
/* close_notify when its time has come; on_closed when all is over */
void milgi__conn_close_state(struct milgi_conn *c);
