/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Libraries as subjects of the same measurements. A subject makes worlds (what is set up once) and ends (one side of a
 * connection); ends exchange bytes through wires in memory. Every function of an end does the work of one side only,
 * so that the time around it is that side's.
 */
#pragma once

#include "bench.h"

enum side {
    CLIENT,
    SERVER
};

/* Bytes on their way. A write is one copy in (as by send()), a read one copy out (as by recv()). */
#define WIRE_SIZE (1024u * 1024u)
struct wire {
    uint8_t *bytes;
    size_t head, tail;
};
size_t wire_pending(const struct wire *wire);
void wire_put(struct wire *wire, const void *data, size_t len);
size_t wire_get(struct wire *wire, void *out, size_t max);

/* How application data is given to the library, where it has more than one way. */
enum way {
    BY_COPY,     /* milgi_conn_write, SSL_write */
    BY_REFERENCE /* milgi_conn_send: a chunk that the application keeps */
};

/* Kinds of handshakes, full but for the last. */
enum shake {
    SHAKE_13,
    SHAKE_13_HYBRID,  /* X25519MLKEM768 */
    SHAKE_12,         /* ECDHE with X25519, AES-128-GCM */
    SHAKE_13_BARE,    /* the client looks at no chain: there is no anchor */
    SHAKE_13_RESUMED, /* each stands on the session of the one before: a ticket, PSK with X25519 */
    SHAKES
};
/* "1.3", "hybrid", "1.2", "bare", "resumed"; SHAKES: none of these. */
enum shake shake_named(const char *name);

struct milgi_engine_options;

struct setup {
    const struct bench_cert *cert;
    const char *anchor_pem; /* clients verify the chain up to it, and the name; NULL: neither */
    size_t anchor_len;
    uint16_t suite; /* code point, of TLS 1.3 */
    enum shake shake;
    uint32_t record_len; /* plaintext of the records that are sent; 0: the library's default */
    bool lean;           /* libssl: gives its buffers back when they are empty */
    bool memory_bios;    /* libssl: its host does the I/O */
    const char *signer;  /* Milgi: the device for the server's signatures; NULL: cpu */
    /* Milgi: of both engines, but for what the subject needs itself; NULL: the defaults */
    const struct milgi_engine_options *engine;
};

struct world;
struct end;

struct subject {
    const char *name;
    struct world *(*world_new)(const struct setup *setup);
    void (*world_free)(struct world *world);
    struct end *(*end_new)(struct world *world, enum side side, struct wire *in, struct wire *out);
    /* Takes what has arrived, gives out what there is to give; |want| bytes of application data are due to arrive. */
    void (*progress)(struct end *end, size_t want);
    bool (*established)(const struct end *end);
    /* Sends |n| times |len| bytes in one turn. */
    void (*send)(struct end *end, enum way way, size_t len, unsigned n);
    size_t (*received)(const struct end *end); /* bytes of application data, ever */
    void (*end_free)(struct end *end);
    /* What a side does when nothing comes for a while. NULL: nothing. */
    void (*settle)(struct world *world, enum side side);
    size_t host_len; /* of what end_new() allocates for the host itself, which is not counted as heap */
    /* Whether it can be held to this suite, and to this kind of handshake. NULL: to any suite, to SHAKE_13. */
    bool (*can)(uint16_t suite);
    bool (*shakes)(enum shake shake);
};

extern const struct subject subject_milgi, subject_openssl;

/*
 * What is sent. Messages are a whole number of periods, so byte i of a stream is pattern(i). Ends check the first
 * CHECKED bytes that arrive, which nobody times.
 */
#define MESSAGE_MAX 16384u
#define PERIOD 64u
#define CHECKED (64u * 1024u)
static inline uint8_t pattern(size_t i)
{
    return (uint8_t)(i % PERIOD * 7 + 3);
}
void check_arrived(size_t at, const uint8_t *data, size_t len);

/* --- pairs ------------------------------------------------------------------------------------------------------ */

/* Two ends of a connection and the wires between them. */
struct pair {
    const struct subject *subject;
    struct world *world;
    struct end *end[2];
    struct wire wire[2]; /* by the side that reads it */
};
struct message {
    enum way way;
    size_t len;
    unsigned n;
};
enum step {
    STEP_NEW,
    STEP_PROGRESS,
    STEP_SEND,
    STEP_SETTLE,
    STEP_FREE
};
/* All work of a side. */
void pair_work(struct pair *pair, enum side side, enum step step, const struct message *message);
/* The same, for MEASURE_PROFILE alone: a profiler can be told to look at these. */
void profiled_client(struct pair *pair, enum step step, const struct message *message);
void profiled_server(struct pair *pair, enum step step, const struct message *message);

/* What each side of a pair used up, in nanoseconds, bytes of heap or calls of malloc(). */
enum measure {
    MEASURE_NOTHING,
    MEASURE_TIME,
    MEASURE_HEAP,
    MEASURE_MALLOCS, /* by what pair_mallocs tells */
    MEASURE_PROFILE
};
struct used {
    double own[2], copied[2];
};
/* How often malloc() was called, ever; of a program that counts it. */
extern uint64_t (*pair_mallocs)(void);

void pair_init(struct pair *pair, const struct subject *subject, struct world *world);
/* Frees the wires; the ends are gone already. */
void pair_fini(struct pair *pair);
/* What a side of all pairs of a world takes or gives when nothing comes for a while. */
void pair_settle(struct pair *pair, enum measure measure, struct used *used);
/* Until the server has answered. */
void pair_halfway(struct pair *pair, enum measure measure, struct used *used);
void pair_handshake(struct pair *pair, enum measure measure, struct used *used);
void pair_exchange(
    struct pair *pair, enum side sender, const struct message *message, enum measure measure, struct used *used);
void pair_free(struct pair *pair, enum measure measure, struct used *used);

/* --- crowds ----------------------------------------------------------------------------------------------------- */

enum crowd_state {
    CROWD_IDLE,   /* established, 1 KiB has gone each way */
    CROWD_HALFWAY /* the server waits for the client's Finished */
};
/*
 * Bytes of heap that each of |n| connections takes, by side. For a process without malloc's caches per thread, which
 * count what one side has freed as used until the other takes it.
 */
struct used crowd(const struct subject *subject, const struct setup *setup, enum crowd_state state, unsigned n);
