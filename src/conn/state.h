/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection is: its phase, the state of each direction, and what it holds and may hold. */
#pragma once

#include <milgi/conn.h>

#include "conn/flood.h"
#include "conn/transport.h"
#include "conn/version.h"

#define MILGI__DATA_SLICES MILGI__SCRATCH_SLICES /* on_data hands over at most this many at once */

/* Only forward. */
enum milgi__phase {
    MILGI__NEW, /* its first turn is to come */
    MILGI__HANDSHAKING,
    MILGI__ESTABLISHED,
    MILGI__FAILING, /* |failure| is set, and the turn has not acted on it */
    MILGI__ENDING,  /* it has: what is framed leaves, with the alert behind it, and nothing else */
    MILGI__CLOSED,  /* on_closed was the last callback */
    MILGI__FREED    /* by the application, while we were at work */
};

enum milgi__in_state {
    MILGI__IN_OPEN,
    MILGI__IN_ENDED,  /* the transport has ended; what came before is still to be judged */
    MILGI__IN_CLOSED, /* by the peer's close_notify */
    MILGI__IN_OVER    /* both */
};

enum milgi__out_state {
    MILGI__OUT_OPEN,
    MILGI__OUT_CLOSING, /* close_notify goes behind what was given */
    MILGI__OUT_CLOSED   /* it is queued, or nothing more can be */
};

/* What exists only during the handshake. */
struct milgi__conn_hs {
    struct milgi__hs *hs;
    enum milgi__hs_wait wait;
    uint64_t early_skipped;        /* bytes of rejected early data */
    struct milgi__bufq held;       /* application data given before it could be sent */
    struct milgi_chunk *held_tail; /* the last of held, when it is ours to append to */
    struct milgi_session *session; /* client: that the application gave, to be offered; a reference */
    struct milgi_psk *psk;         /* the same */
    bool session_given, psk_given; /* NULL, too: none is looked for */
};

/* What a handshake has come to: in one block, as large as it has to be, from its end on. */
struct milgi__outcome {
    const struct milgi__suite *suite;
    struct milgi_credential *credential; /* our own; NULL: none */
    uint16_t group, scheme;
    uint16_t server_name_size, alpn_size; /* with their NUL; 0: there is none */
    bool hello_retry : 1, peer_authenticated : 1, resumed : 1, keeps_sessions : 1, on_psk : 1, exports : 1;
    bool awaits_tickets : 1; /* client, TLS 1.3: |keeps_sessions|, all of which are still to come */
    uint8_t kept_len;
    uint8_t verdict; /* on the peer */
    /*
     * Secrets that outlive it (milgi__hs_kept(), and with |awaits_tickets| the resumption secret); behind them server
     * name and ALPN; and with |keeps_sessions| or |on_psk| what belongs to a session (session.c)
     */
    uint8_t kept[];
};

/* What the peer showed in a handshake that failed, and the ID of the session that it was of. */
struct milgi__peer_chain {
    struct milgi_iov session_id; /* its bytes behind those of the certificates */
    size_t n;
    struct milgi_iov certificate[]; /* their bytes behind them */
};

/* The transport's part lies behind it, in the same block. Members are in the order that leaves no holes. */
struct milgi_conn {
    struct milgi__owner owner;
    struct milgi_engine *engine;
    struct milgi_config *config;
    const struct milgi_events *events;
    void *arg;
    struct milgi__transport *transport;

    uint8_t phase, in, out; /* enum milgi__phase, milgi__in_state, milgi__out_state */
    uint8_t level[2];       /* enum milgi__level by enum milgi__dir */
    uint8_t busy;           /* depth of our own functions that call back: freeing waits for 0 */
    bool app_open;          /* application data may be framed */
    bool in_paused, want_room;
    bool pause_told : 1;
    bool finishes : 1; /* it may have had of the reserve for a record's rest */
    bool handed : 1;   /* a direction was handed over: |over| says which */
    uint8_t fault : 3; /* enum milgi_fault, with |failure| */
    bool asked_update; /* our update_requested is not yet answered */
    bool owes_update;  /* the peer's is not, nor does an answer wait to be framed; or one of ours is to be handed out */
    bool blocked_room; /* waits for an op or a chunk */
    bool in_dry;       /* no more could be opened of what is staged, though it might have been */
    uint16_t data_at;  /* when application data was framed last, in quarters of a second */

    struct milgi__conn_hs *hs;      /* NULL: not begun, or over */
    struct milgi__outcome *outcome; /* NULL: not established yet */
    char *server_name;              /* that a client asks for; of a failed handshake; else in |outcome| */
    union {
        struct milgi__peer_chain *peer_chain; /* without |outcome|: only from a handshake's failure until on_closed */
        struct milgi__over *over;             /* with it: for directions that are handed over (over.h), or NULL */
    };
    struct milgi__post post;
    struct milgi__failure failure; /* with the alert that was sent or received */
    int transport_error;

    uint32_t out_handed;         /* how many slices of |output| have been handed out */
    struct milgi__bufq output;   /* finished records: handed out and not done, then not handed out */
    uint64_t done_bytes;         /* ciphertext: taken by the network, ever */
    uint64_t reply_until;        /* a KeyUpdate of ours is not on its way before done_bytes reaches this */
    uint64_t asked_until;        /* the same of one that asks the peer to update, too */
    struct milgi_chunk *in_tail; /* the chunk that small inputs are gathered in (a reference) */
    uint32_t in_tail_used;
    uint32_t data_n;   /* slices of application data on their way to on_data: in the engine's scratch */
    size_t unconsumed; /* delivered and not consumed: against the credit */
    struct milgi__floods floods;

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

/* Neither failed nor over: everything but finishing what is framed asks this first, and again after a callback. */
static inline bool milgi__conn_live(const struct milgi_conn *c)
{
    return c->phase <= MILGI__ESTABLISHED;
}

/* The handshake is at work. */
static inline struct milgi__hs *milgi__conn_hs(const struct milgi_conn *c)
{
    return c->phase == MILGI__HANDSHAKING && c->hs ? c->hs->hs : NULL;
}

/* Its memory, made if there is none; NULL: there is no more. */
static inline struct milgi__conn_hs *milgi__conn_hs_memory(struct milgi_conn *c)
{
    if (!c->hs)
        c->hs = milgi__block_zeroed(milgi__pool_blocks(milgi__engine_pool(c->engine)), sizeof *c->hs);
    return c->hs;
}

static inline const struct milgi__tracer *milgi__conn_tracer(const struct milgi_conn *c)
{
    return milgi__engine_tracer(c->engine);
}

static inline const struct milgi__version *milgi__conn_version(const struct milgi_conn *c)
{
    return milgi__version_of(c->outcome->suite);
}

/* TLS 1.3: the traffic secret of this direction. */
static inline uint8_t *milgi__conn_secret(const struct milgi_conn *c, enum milgi__dir dir)
{
    return c->outcome->kept + (size_t)dir * milgi__hash_len(c->outcome->suite->hash);
}

/* Application data in either direction pays for what else the peer does. */
static inline void milgi__conn_data_moves(struct milgi_conn *c, size_t len)
{
    milgi__floods_refill(&c->floods, len);
}

/* Of the key of this direction: its level, and one more for each update. */
static inline uint64_t milgi__conn_epoch(const struct milgi_conn *c, enum milgi__dir dir)
{
    return (uint64_t)c->level[dir] + (dir == MILGI__READ ? c->updates_in : c->updates_out);
}

/* Framed bytes that the network has not taken. */
static inline uint64_t milgi__conn_with_network(const struct milgi_conn *c)
{
    return milgi__transport_framed(c->transport) - c->done_bytes;
}

/* Bytes given and not yet taken by the network. */
static inline size_t milgi__conn_backlog(const struct milgi_conn *c)
{
    size_t held = c->hs ? c->hs->held.len : 0;
    return held + milgi__transport_unframed(c->transport) + (size_t)milgi__conn_with_network(c);
}

/*
 * With nothing to send an answer to a KeyUpdate waits until the one before it has left, and then answers all that came
 * meanwhile: however many are asked for, they do not pile up before a network that takes nothing.
 */
static inline bool milgi__conn_may_answer(const struct milgi_conn *c)
{
    return c->out != MILGI__OUT_CLOSED && c->done_bytes >= c->reply_until;
}

/* --- what it may hold ------------------------------------------------------------------------------------------- */

#define MILGI__RECORD_ON_WIRE (MILGI__RECORD_HEADER + MILGI__CIPHERTEXT_MAX)

/* Bytes staged and not parsed: a host that ignores PAUSE has no connection any more. */
static inline uint64_t milgi__staged_max(const struct milgi_config *config)
{
    return 2 * config->limit[MILGI_LIMIT_INPUT] + MILGI_CHUNK_MAX;
}

/* A record is opened while there is credit, what those on their way will deliver taken off. */
static inline uint64_t milgi__delivered_max(const struct milgi_config *config)
{
    return config->limit[MILGI_LIMIT_CREDIT] + MILGI__PLAINTEXT_MAX;
}

/*
 * Given and not taken by the network. A relay is told PAUSE at OUTPUT and then passes on what it is delivered, which
 * takes up to twice as much as small pieces or short records.
 */
static inline uint64_t milgi__given_max(const struct milgi_config *config)
{
    uint64_t output = config->limit[MILGI_LIMIT_OUTPUT];
    return output + MILGI__MAX(output, 2 * milgi__delivered_max(config));
}

/* Data is framed while the network has less than its limit. */
static inline uint64_t milgi__framed_max(const struct milgi_config *config)
{
    return config->limit[MILGI_LIMIT_OUTPUT] + MILGI__RECORD_ON_WIRE;
}

uint64_t milgi__conn_share_less(const struct milgi_conn *c, enum milgi_limit which, uint64_t share);
/*
 * Of CREDIT, INPUT or OUTPUT what a connection may have now: less as the engine's chunks run out, so that those whose
 * peer or application takes nothing leave some to the others, but always enough for the next record.
 */
static inline uint64_t milgi__conn_share(const struct milgi_conn *c, enum milgi_limit which)
{
    uint64_t share = milgi__pool_share(milgi__engine_pool(c->engine));
    return share == MILGI__SHARE_ALL ? milgi__conn_limit(c, which) : milgi__conn_share_less(c, which, share);
}
