/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's parts. device.c is called by engines, on their threads; all else runs on the device's own: servers.c
 * holds the connections, requests.c decides what is asked where, latency.c measures.
 *
 * |lock| is for what both sides see: the queue pairs, the ops that requests are for, and the requests that are handed
 * over. A request works on bytes of its own, so its op can be taken away from it at any time.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include <uv.h>

#include "../libuv/milgi_uv.h"
#include "milgi_keyless.h"
#include "wire.h"

#define MILGI__KEYLESS_WINDOW 512u /* requests in flight at a server */
#define MILGI__KEYLESS_KINDS 10u   /* opcodes that sign */

struct milgi__keyless;
struct milgi__keyless_server;

/* --- times of answers: latency.c ---------------------------------------------------------------------------------- */

#define MILGI__KEYLESS_BUCKETS 128u

struct milgi__keyless_times {
    uint32_t bucket[MILGI__KEYLESS_BUCKETS], n;
    uint64_t high_ns; /* what 95 of 100 took, at most; 0: not known yet */
};
void milgi__keyless_took(struct milgi__keyless_times *times, uint64_t ns);

/* --- requests: requests.c ----------------------------------------------------------------------------------------- */

struct milgi__keyless_key {
    _Atomic unsigned refs;
    uint16_t sig_len; /* of its signatures; 0: they differ */
    char type[12];    /* the beginning of milgi_credential_key_type() */
    uint8_t ski[MILGI__KEYLESS_SKI];
    uint8_t sni_len;
    char sni[MILGI__KEYLESS_NAME];
};
void milgi__keyless_key_unref(struct milgi__keyless_key *key);

struct milgi__keyless_links {
    struct milgi__keyless_request *next, *prev;
};

struct milgi__keyless_list {
    struct milgi__keyless_request *first, *last;
    unsigned n;
};

/*
 * What is not in flight at a server that answers waits: in |waiting| if any server may be asked, else in the lines
 * |wished| of those that may. So a look at who can be sent passes over none that cannot.
 */

struct milgi__keyless_request {
    struct milgi__keyless_links all, line; /* in the order of birth; in |in| */
    struct milgi__keyless_links wish[MILGI_KEYLESS_SERVERS_MAX];
    uint16_t wishes;                /* the servers in whose lines it stands */
    bool flies;                     /* it waits, and is in flight at servers that say nothing */
    struct milgi__keyless_list *in; /* waiting, or one of young; NULL: neither */
    struct milgi_qp *qp;
    struct milgi_op *op; /* under the lock; NULL: nobody waits for it any more */
    bool begun;          /* the same: it has been sent */
    bool hedged;
    uint8_t opcode, kind;
    uint8_t sends;
    uint16_t refused; /* by these servers, with |code| */
    int code;
    uint64_t born_ns, sent_ns; /* sent: last */
    struct milgi__keyless_key *key;
    int16_t place[MILGI_KEYLESS_SERVERS_MAX]; /* where it is in flight; -1: it is not there */
    uint32_t payload_len;
    uint8_t payload[];
};

/* Sends what waits and can be sent; sets the timer. Whenever something has changed. */
void milgi__keyless_pump(struct milgi__keyless *k);
/* The answer of |server| to |request|, which is gone afterwards, if it was good. */
void milgi__keyless_answered(struct milgi__keyless *k, struct milgi__keyless_request *request,
    struct milgi__keyless_server *server, const struct milgi__keyless_message *message, uint64_t sent_ns);
/* The connection on which it was in flight is lost. */
void milgi__keyless_lost(
    struct milgi__keyless *k, struct milgi__keyless_request *request, struct milgi__keyless_server *server);
/* |server| does not answer: it is asked elsewhere, too. */
void milgi__keyless_unheard(struct milgi__keyless *k, struct milgi__keyless_request *request);
/* What is to be done at this time; when there is something again. */
uint64_t milgi__keyless_look(struct milgi__keyless *k, uint64_t now_ns);
/* All come back BROKEN with |code|. */
void milgi__keyless_fail_all(struct milgi__keyless *k, int code);
/* How long an answer may take until it is asked for again. */
uint64_t milgi__keyless_patience(const struct milgi__keyless *k, unsigned kind);

/* --- servers: servers.c ------------------------------------------------------------------------------------------- */

enum milgi__keyless_state {
    MILGI__KEYLESS_DOWN,
    MILGI__KEYLESS_RESOLVING,
    MILGI__KEYLESS_CONNECTING,
    MILGI__KEYLESS_UP
};

/* A request in flight, by its ID: what comes late finds another turn. */
struct milgi__keyless_flight {
    struct milgi__keyless_request *request; /* NULL: nobody waits for it */
    uint64_t sent_ns;
    uint32_t turn;
    int16_t next, prev; /* in the order of sending, or among the free */
};

struct milgi__keyless_server {
    struct milgi__keyless *k;
    unsigned index;
    enum milgi__keyless_state state;
    char host[256], port[8], shown[280];
    const char *name; /* whose certificate is wanted */
    struct milgi_stream *stream;
    uv_getaddrinfo_t resolving;
    bool resolver_busy;
    bool blocked; /* takes no more bytes now */
    bool unsent;  /* for want of room: then anything will do */
    bool lies;    /* a signature of it was wrong: not asked before |believed_ns| if there is another */
    bool spoke;   /* has said something since it was connected to */
    bool ill;     /* says nothing, not even to a ping */
    bool pinged;  /* it owes a pong */
    int code, told;
    unsigned failures; /* to connect, one after the other */
    uint64_t since_ns; /* when it was up last, or the device was made */
    uint64_t believed_ns;
    uint64_t begun_ns, retry_ns;        /* of connecting */
    uint64_t heard_ns, pinged_ns;       /* the last message; the last ping */
    uint64_t ill_ns, round_ns, mean_ns; /* since when; what pings take; what answers take */
    struct milgi__keyless_flight flight[MILGI__KEYLESS_WINDOW];
    int16_t first, last, spare; /* of flight */
    unsigned in_flight;
    struct milgi__keyless_list wished[2]; /* for whom it is among the last; [1]: those in flight elsewhere */
    bool given_up;                        /* hopeless, and those in its line know */
    uint8_t *rx;
    size_t rx_len;
};

void milgi__keyless_server_init(struct milgi__keyless_server *server);
/* One of its signatures was wrong. */
void milgi__keyless_server_lied(struct milgi__keyless_server *server, uint64_t now_ns);
/* Whether it answers, and rightly, as far as is known. */
bool milgi__keyless_server_well(const struct milgi__keyless_server *server);
/* Whether it could take a request now. */
bool milgi__keyless_server_ready(const struct milgi__keyless_server *server);
/* Whether it will not be there for a request that is young now. */
bool milgi__keyless_server_hopeless(const struct milgi__keyless_server *server, uint64_t now_ns);
/* False: it did not take it. */
bool milgi__keyless_server_send(
    struct milgi__keyless_server *server, struct milgi__keyless_request *request, uint64_t now_ns);
/* Nobody waits for what is in flight at |place| any more. */
void milgi__keyless_server_forget(struct milgi__keyless_server *server, int place);
/* Connects, pings, judges. When there is something to do again. */
uint64_t milgi__keyless_server_look(struct milgi__keyless_server *server, uint64_t now_ns);
void milgi__keyless_server_stop(struct milgi__keyless_server *server);

/* --- the device: device.c ----------------------------------------------------------------------------------------- */

struct milgi__keyless {
    struct milgi_device device;
    struct milgi_keyless_options options;
    char *server_name;
    unsigned forks; /* as they were counted in the process that made it */
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timer;
    void (*on_timer)(uv_timer_t *timer);
    uint64_t timer_ns; /* what it is set for */
    struct milgi_uv *uv;
    uint64_t random;

    pthread_mutex_t lock;
    pthread_cond_t calm;             /* an op has come back, or the thread has ended */
    struct milgi__keyless_list came; /* by |line|: handed over by engines */
    bool stopping, over, left;
    unsigned cancelled; /* ops that were taken from requests that wait */
    uint32_t liars;     /* servers, as bits, of which a signature was wrong */
    struct milgi_keyless_stats stats;

    /* the thread's alone */
    struct milgi__keyless_server server[MILGI_KEYLESS_SERVERS_MAX];
    unsigned servers_n;
    struct milgi__keyless_list all;                          /* requests, the oldest first */
    struct milgi__keyless_list waiting;                      /* to be sent */
    struct milgi__keyless_list young[MILGI__KEYLESS_KINDS];  /* in the order of sending */
    struct milgi__keyless_times times[MILGI__KEYLESS_KINDS]; /* by what is signed */
    uint64_t credit;                                         /* hundredths of requests that may be sent twice */
    bool pumping, again, stopping_now;
    uint8_t out[MILGI__KEYLESS_MAX];
};

uint64_t milgi__keyless_now(void);
/* Gives back the op of |request|, if anybody still waits for it: as signed by |server|, or BROKEN with |code|. */
void milgi__keyless_give(struct milgi__keyless *k, struct milgi__keyless_request *request, int code,
    const struct milgi__keyless_server *server, const struct milgi__keyless_message *message);
/* Whether anybody waits for it. */
bool milgi__keyless_wanted(struct milgi__keyless *k, struct milgi__keyless_request *request);
/* Marks it as begun. False: nobody waits for it any more. */
bool milgi__keyless_begin(struct milgi__keyless *k, struct milgi__keyless_request *request);
