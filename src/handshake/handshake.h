/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handshake as its connection sees it: (level, message bytes) in and out, secrets to install, ops to start,
 * decisions to ask. It knows no record, key handle or CCS.
 *
 * Life: milgi__hs_new(), then milgi__hs_run() after every input, finished op, answered decision, until OPEN or
 *       FAILED; milgi__hs_free().
 */
#pragma once

#include <milgi/conn.h>

#include "base/failure.h"
#include "config/config.h"
#include "handshake/bytes.h"
#include "keys/keys.h"
#include "op/trace.h"

struct milgi__hs;

enum milgi__level {
    MILGI__LEVEL_INITIAL,
    MILGI__LEVEL_EARLY,
    MILGI__LEVEL_HANDSHAKE,
    MILGI__LEVEL_APP
};
enum milgi__dir {
    MILGI__READ,
    MILGI__WRITE
};

/*
 * What a handshake asks of its connection. Every function returns at once and calls nothing of the handshake back but
 * milgi__hs_op_done() (an inline device, from inside start).
 */
struct milgi__hs_calls {
    int (*random)(void *ctx, uint8_t *out, size_t len);
    int64_t (*wall_s)(void *ctx);
    /*
     * True if |ops| ops and |bytes| of chunks can be had now; false: the connection is put in line and runs the
     * handshake again later.
     */
    bool (*room)(void *ctx, unsigned ops, size_t bytes);
    struct milgi_op *(*op_new)(void *ctx);           /* NULL: none, in spite of room() */
    void (*op_drop)(void *ctx, struct milgi_op *op); /* one that is not started, with what it holds */
    /* takes it; it comes back in milgi__hs_op_done() */
    void (*op_start)(void *ctx, struct milgi_op *op, unsigned slot);
    /* a reference for an op; NULL: no memory */
    struct milgi_key *(*key_private)(void *ctx, const struct milgi_credential *credential);
    struct milgi_key *(*key_trust)(void *ctx, const struct milgi_trust *trust);
    struct milgi_key *(*key_aead)(void *ctx, uint16_t suite, const uint8_t *raw, size_t len);
    void (*decide)(void *ctx, uint32_t kind); /* answered by milgi__hs_decide() */
    /* whole handshake messages; copies; 0 or MILGI_ENOMEM */
    int (*send)(void *ctx, enum milgi__level level, const uint8_t *message, size_t len);
    /*
     * The order of send() and of install(WRITE) is kept. READ: nothing of the next level may have been seen before. 0
     * or an error.
     */
    int (*install)(void *ctx, enum milgi__level level, enum milgi__dir dir, const struct milgi__suite *suite,
        const uint8_t *secret);
    /* from here on protected records have at most so many bytes of content and padding (RFC 8449) */
    void (*record_limit)(void *ctx, enum milgi__dir dir, uint32_t most);
    /* a change_cipher_spec: of TLS 1.2, or where middleboxes like to see one (RFC 8446 D.4). 0 or MILGI_ENOMEM */
    int (*send_ccs)(void *ctx);
    /* a line for the key log of |config|, which has one; |line| until it returns */
    void (*keylog)(void *ctx, const struct milgi_config *config, const char *line);
    /* the result of a sampled op, which came back from the device |dev| at |back_ns|, has its turn; may be NULL */
    void (*in_turn)(void *ctx, unsigned dev, uint64_t back_ns);
};

struct milgi__hs_host {
    void *ctx;
    struct milgi__crypto *cx;
    struct milgi__pool *pool;
    uint64_t owner;
    const struct milgi__tracer *tracer; /* may be NULL */
    const struct milgi__hs_calls *calls;
};

/* What is negotiated, filled in as it becomes known. */
struct milgi__hs_result {
    uint16_t version, suite, group, scheme;
    bool hello_retry, peer_authenticated, resumed;
    uint8_t verdict;           /* why the peer was not accepted, which is only reported; 0: it was, or nobody looked */
    struct milgi_session *psk; /* from elsewhere, or what goes back to one, that it stands on; NULL: none */
    const char *server_name;   /* this and what follows: in the handshake's memory */
    const char *alpn;          /* "": none */
    const struct milgi_iov *peer_chain;
    size_t peer_chain_n;
    struct milgi_iov ocsp_response, scts; /* of its leaf; len 0: none */
    const struct milgi_credential *credential;
    bool exports; /* there may be keying material of it for others */
};

/*
 * What is kept of a handshake that is open: in TLS 1.3 the traffic secrets, by enum milgi__dir, and the exporter
 * secret, each as long as the suite's hash; in TLS 1.2 the randoms, the master secret, and the first Finished.
 */
enum {
    MILGI__KEPT_EXPORTER = 2,
    MILGI__KEPT_N,
    MILGI__KEPT12_MASTER = 64,
    MILGI__KEPT12_FIRST = 64 + 48
};

enum milgi__hs_wait {
    MILGI__HS_INPUT, /* wants the next message: only now may the next record be opened */
    MILGI__HS_OPS,   /* waits for ops or decisions */
    MILGI__HS_ROOM,  /* waits for op slots or chunks */
    MILGI__HS_OPEN,  /* done */
    MILGI__HS_FAILED
};

/* |server_name| as in milgi_conn_new(), copied. NULL: no memory. */
struct milgi__hs *milgi__hs_new(
    struct milgi_config *config, const struct milgi__hs_host *host, const char *server_name);
/*
 * Before it runs, client: the session to offer if it fits (or NULL; a reference is taken); |keeps|: somebody wants
 * those that the server gives.
 */
void milgi__hs_resume(struct milgi__hs *hs, struct milgi_session *session, bool keeps);
/* The same, and before it, for PSKs from elsewhere: |given|: |psk|, or none, in the place of the config's. */
void milgi__hs_offer_psks(struct milgi__hs *hs, const struct milgi_psk *psk, bool given);
/*
 * Client, open: what sessions of this connection have alike, whose tickets are still to come; in TLS 1.2 the session,
 * which has just come, or was resumed and will do once more. NULL: there is none, or nobody wants any.
 */
struct milgi_session *milgi__hs_session(struct milgi__hs *hs);
bool milgi__hs_session_came(const struct milgi__hs *hs);
/* TLS 1.2: the session that it stands on, offers, or has stored; NULL: there is none. Borrowed. */
const struct milgi_session *milgi__hs_resumed12(const struct milgi__hs *hs);
/* A server's: the ID of the session that it stands on, or has given out; len 0: there is none. */
struct milgi_iov milgi__hs_session_id(const struct milgi__hs *hs);
/* The early exporter's secret and its hash; NULL: there is none. */
const uint8_t *milgi__hs_early(const struct milgi__hs *hs, enum milgi__hash *hash);
/* Of the config that it goes by; NULL: there is none. Borrowed. */
struct milgi_session_cache *milgi__hs_cache(const struct milgi__hs *hs);
/* Wipes and frees. Ops that are out are orphans. */
void milgi__hs_free(struct milgi__hs *hs);
enum milgi__hs_wait milgi__hs_run(struct milgi__hs *hs);
/*
 * The content of one handshake record (copied). |last_in_flight|: nothing else has been received behind it under this
 * key. 0 or MILGI_ENOMEM, MILGI_EPROTO (the handshake has failed; see failure).
 */
int milgi__hs_input(struct milgi__hs *hs, enum milgi__level level, const uint8_t *data, size_t len);
/* True if a message is begun and not complete: no other record type may come in between (RFC 8446 5.1). */
bool milgi__hs_mid_message(const struct milgi__hs *hs);
/* An op that op_start took has ended; its results are copied out, its secrets are wiped by its freeing. */
void milgi__hs_op_done(struct milgi__hs *hs, const struct milgi_op *op, unsigned slot);
/* 0, MILGI_ESTALE (not open), MILGI_EINVAL. */
int milgi__hs_decide(struct milgi__hs *hs, uint32_t kind, enum milgi_verdict verdict, void *result);
int milgi__hs_decision_info(struct milgi__hs *hs, uint32_t kind, struct milgi_decision_info *info);
/* A question is open. */
bool milgi__hs_asks(const struct milgi__hs *hs);
const struct milgi__failure *milgi__hs_failure(const struct milgi__hs *hs);
const struct milgi__hs_result *milgi__hs_result(const struct milgi__hs *hs);
/*
 * True when a server may send application data before the client's Finished (if the config says so); its write key is
 * installed.
 */
bool milgi__hs_half_open(const struct milgi__hs *hs);
/* Writes that to |out|, or nothing (NULL); returns its length. */
size_t milgi__hs_kept(const struct milgi__hs *hs, uint8_t *out);
/*
 * A change_cipher_spec has come, with no message begun. In TLS 1.3 it is dropped from the first ClientHello to the
 * peer's Finished (RFC 8446 5); in TLS 1.2 it has one place, and the handshake goes on with it.
 */
enum milgi__hs_ccs {
    MILGI__CCS_REFUSED,
    MILGI__CCS_DROPPED,
    MILGI__CCS_TAKEN
};
enum milgi__hs_ccs milgi__hs_take_ccs(struct milgi__hs *hs);
/* Whether the level of an alert may count: TLS 1.2 is chosen, or still may be. */
bool milgi__hs_warnings(const struct milgi__hs *hs);
/*
 * Whether records may be early data that was offered and not accepted (RFC 8446 4.2.10): until one has been opened
 * under the read key, records that cannot be, and, while there is no key yet (behind a HelloRetryRequest), records of
 * application data are dropped. The caller knows whether one has been opened, and bounds how many bytes of them.
 */
bool milgi__hs_skips_early(const struct milgi__hs *hs);

/* The bytes of an IP address literal: 4 or 16 of them in |out|; 0: it is a name, or nothing at all. */
size_t milgi__name_ip(const char *name, uint8_t out[16]);
/* Whether it is an address or a host name, which may end in a dot: what a certificate can be for. */
bool milgi__name_ok(const char *name);

/* --- after the handshake (post.c) ------------------------------------------------------------------------------- */

/*
 * Reassembles and reads what comes afterwards: KeyUpdate, NewSessionTicket; in TLS 1.2 HelloRequest, ClientHello. Holds
 * memory only while a message is incomplete.
 */
struct milgi__post {
    uint8_t *part;
    uint32_t part_len, part_cap; /* a message has less than 2^24 + 4 bytes */
};
enum milgi__post_event {
    MILGI__POST_NONE,       /* all was read */
    MILGI__POST_KEY_UPDATE, /* update_not_requested */
    MILGI__POST_KEY_UPDATE_REQUESTED,
    MILGI__POST_TICKET,        /* a NewSessionTicket, checked */
    MILGI__POST_RENEGOTIATION, /* the peer wants to (TLS 1.2) */
    MILGI__POST_FAILED         /* *failure */
};
/*
 * The content of one record, |*at| bytes of which were read before; call until NONE or FAILED. A KeyUpdate that does
 * not end its record is a failure. |*ticket|, if it is not NULL: for TICKET the body of the message, until the next
 * call.
 */
enum milgi__post_event milgi__post_input(struct milgi__post *post, uint16_t version, enum milgi_role role,
    size_t message_cap, const uint8_t *data, size_t len, size_t *at, struct milgi__bytes *ticket,
    struct milgi__failure *failure);
static inline bool milgi__post_mid_message(const struct milgi__post *post)
{
    return post->part_len != 0;
}
void milgi__post_fini(struct milgi__post *post);
/* A KeyUpdate message; returns its length. */
#define MILGI__KEY_UPDATE_LEN 5
size_t milgi__key_update_message(uint8_t out[MILGI__KEY_UPDATE_LEN], bool request);

/* --- for people ------------------------------------------------------------------------------------------------- */

/*
 * Client: the session of a NewSessionTicket's |body|, which was checked; |base| is milgi__hs_session() of its
 * handshake. NULL: it is to be dropped, or no memory.
 */
struct milgi_session *milgi__session_of_ticket(
    struct milgi__crypto *cx, const struct milgi_session *base, struct milgi__bytes body, int64_t now_s);

/* The step that is next, in static text. */
const char *milgi__hs_step(const struct milgi__hs *hs);
/* Slots that it needs and that are out; the type of the message that it awaits, -1: none. */
uint32_t milgi__hs_missing(const struct milgi__hs *hs);
int milgi__hs_awaits(const struct milgi__hs *hs);

/* --- for tests and docs ----------------------------------------------------------------------------------------- */

/* The step tables as data: one row per step. */
struct milgi__hs_row_info {
    const char *name;
    int message;                 /* handshake type awaited, -1: none */
    int otherwise;               /* row for another message than that, -1: there must be none */
    uint32_t needs;              /* slots */
    uint32_t starts;             /* slots that it may start */
    uint64_t next;               /* bit i: row i may follow */
    uint8_t sends[4];            /* handshake types in order, 0: no more */
    uint8_t sends_maybe;         /* bit i: sends[i] not always */
    int read_level, write_level; /* epochs in which it runs */
    bool flight_ends;            /* nothing may be left behind its message: the key changes, or we are to speak */
    bool first;                  /* a handshake may begin here */
    bool peeks;                  /* its message is left for the next row */
    bool takes_ccs;
};
/* Fills in up to |cap| rows; returns how many there are. */
size_t milgi__hs_table(enum milgi_role role, struct milgi__hs_row_info *rows, size_t cap);
const char *milgi__hs_slot_name(unsigned slot);
