/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole connection as a play: handshake, data both ways with key updates in between, an orderly end. Its ops wait in
 * modelled devices that finish nothing by themselves; the test chooses which one ends next, and how.
 */
#pragma once

#include "device/sim/manual.h"
#include "pair.h"

#define PLAY_HANDSHAKE_OPS \
    (MILGI_OP_BIT(MILGI_OP_KEYGEN) | MILGI_OP_BIT(MILGI_OP_DERIVE) | MILGI_OP_BIT(MILGI_OP_ENCAPS) | \
        MILGI_OP_BIT(MILGI_OP_DECAPS) | MILGI_OP_BIT(MILGI_OP_SIGN) | MILGI_OP_BIT(MILGI_OP_VERIFY) | \
        MILGI_OP_BIT(MILGI_OP_VERIFY_CHAIN))
#define PLAY_RECORD_OPS (MILGI_OP_BIT(MILGI_OP_SEAL) | MILGI_OP_BIT(MILGI_OP_OPEN))
#define PLAY_DATA 4096
#define PLAY_CODE 42                /* device_code of an op that breaks */
#define PLAY_TIMEOUT_NS 1000000000u /* after which an op is lost */

/* What happens to the op that ends as number |at|. */
enum play_fault {
    PLAY_NO_FAULT,
    PLAY_REJECT,
    PLAY_BREAK,
    PLAY_LOSE,       /* and the device gives it back at the very end */
    PLAY_LOSE_EARLY, /* and the device gives it back as soon as it has been replaced */
    PLAY_FREE        /* the connection that it belongs to is freed before it ends */
};

/* Why the handshake fails. */
enum play_flaw {
    PLAY_NO_FLAW,
    PLAY_SERVER_MAY_NOT_SIGN, /* found by the client inline */
    PLAY_SERVER_UNTRUSTED,    /* by its VERIFY_CHAIN */
    PLAY_SERVER_MISNAMED,
    PLAY_CLIENT_MAY_NOT_SIGN, /* by the server */
    PLAY_CLIENT_UNTRUSTED,
    PLAY_NO_PROTOCOL, /* in common */
    PLAY_FLAWS
};

/* What stands beside the server's certificate; but for the first the client asks for it. */
enum play_staple {
    PLAY_NO_STAPLE,
    PLAY_STAPLE_ABSENT,  /* the server has none */
    PLAY_STAPLE_GIVEN,   /* the credential has one, and the client wants it */
    PLAY_STAPLE_DECIDED, /* a decision has it, late, and the client wants it */
    PLAY_STAPLE_REFUSED, /* a decision has none: in TLS 1.2 it was announced by then */
    PLAY_STAPLE_REVOKED, /* it says that the certificate is revoked */
    PLAY_STAPLES
};

struct play {
    struct pair pair;
    enum play_flaw flaw;
    uint32_t routed;              /* op bits that go to the manual devices; the others are inline */
    uint32_t min_record;          /* records from this size on go there; 0: all */
    bool rerun;                   /* engines re-run what broke or got lost */
    bool client_auth, ask, retry; /* client certificate; ask every decision and answer late; HelloRetryRequest */
    bool resume;                  /* stands on a session of a first connection, which is none of the play */
    bool psk, plain;              /* stands on an external PSK; without a key exchange */
    bool handshake_only;
    bool keep_wire;
    bool shares;  /* the client offers three key shares */
    bool tls12;   /* both speak nothing else */
    bool reports; /* a peer that is not accepted is only reported, by both */
    bool ids;     /* TLS 1.2: the server keeps sessions by their IDs, and gives no tickets */
    enum play_staple staple;
    bool hybrid;        /* a hybrid group is agreed on; with a retry it is what the server asks for */
    unsigned depth;     /* of the devices; 0: 256 */
    unsigned update_at; /* both sides update keys after so many chunks of 64 bytes written; 0: in the middle */
    unsigned at;
    enum play_fault fault;
    unsigned never; /* bits of decisions that nobody answers */
    bool twice;     /* answers come twice; the second must be stale */
    /* Told of the events of each side's engine, with trace_ctx[role]; NULL: nobody is. */
    milgi_trace_fn *trace;
    void *trace_ctx[2];
    /* Which of |n| pending ops ends next. */
    unsigned (*choose)(struct play *play, unsigned n);
    uint64_t random;
    /* The path of an exhaustive search (play_next_path). */
    unsigned path[64], width[64], path_n, step;
    void (*met)(void);              /* called between the two, or before the only one; may be NULL */
    struct milgi_ticket_keys *keys; /* with |resume| */
    struct milgi_session_cache *cache, *server_cache;
    /* What came of it. */
    unsigned ended; /* ops that were ended */
    int fault_side; /* of the op that the fault hit; -1: it hit none */
    int fault_type; /* its op type */
    bool freed[2];
    unsigned stale_answers;
};

void play_run(struct play *play); /* from making the pair to the last completion; the pair is left for questions */
/* Ends every op that is pending, and those that come of it. */
void play_drain(struct play *play);
void play_fini(struct play *play); /* asserts that every op ended once and that nothing is left, and frees */
/* True if both sides got all they should, in order, and closed in order. */
bool play_went_well(const struct play *play);
/* True if the client has refused the certificate, as PLAY_STAPLE_REVOKED wants it, and both know. */
bool play_was_refused(const struct play *play);
unsigned play_first(struct play *play, unsigned n);
unsigned play_random(struct play *play, unsigned n);
unsigned play_path(struct play *play, unsigned n);
/* The next path in lexicographic order; false: all were tried. */
bool play_next_path(struct play *play);
