/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside `milgi proxy`: connections (listen.c, accept.c, clients.c) and what is done with their plaintext (relay.c,
 * http.c), the process that serves them (serve.c), and the one above several such (master.c).
 */
#pragma once

#include "common/address.h"
#include "common/tls.h"
#include "access_log.h"
#include "listen.h"
#include "trace.h"
#include "proxy_protocol.h"
#include "report.h"

#define RELOAD_PATIENCE_MS 2000u /* for whoever writes to a pipe that is named as a file: a master does nothing else */

struct proxy;
struct client;

/*
 * Clients in the order in which they came into each part; what is done for one of them does not grow with how many
 * there are. Those of part 0 have just moved, those of part k had been idle for k in CLIENTS_PARTS of the time limit.
 */
#define CLIENTS_PARTS 16u
struct clients {
    struct {
        struct place *first, *last;
    } part[CLIENTS_PARTS];
    uint32_t timeout_ms; /* after which late() is called; 0: never */
    void (*late)(struct client *c);
};
/* All of them, one after the other; NULL: there is no more. */
struct place *clients_first(const struct clients *list);
struct place *clients_next(const struct place *place);

/* A client's in one list; or nowhere. */
struct place {
    struct client *client;
    struct clients *list;
    struct place *next, *prev;
    uint64_t since_ms;
    uint8_t part;
};

/* One connection from its acceptance until its socket is closed and the service is done with it. */
struct client {
    struct proxy *proxy;
    struct milgi_stream *stream; /* NULL: ended, or its preface is to come; nothing may be sent */
    struct preface *preface;     /* until it has said who it speaks for */
    struct proxy_ends ends;
    uint64_t begin_ms;
    const char *why; /* it is ended, when that is our doing: a text that stays */
    bool logged;
    struct place life;           /* in shaking, then open, then lingering; from its last move on */
    struct place request;        /* in asking, from its first byte on, while the service waits for the rest of it */
    char *subject, *common_name; /* of the client's certificate, or NULL */
    void *state;                 /* the service's, from open() to proxy_done() */
    bool served;                 /* between open() and proxy_done() */
    bool gone;                   /* the socket is closed */
};

/*
 * What the plaintext is for. open() is called when the handshake is complete; false: no memory, the connection ends
 * with an alert. closed() comes after an open() that succeeded, when |stream| is NULL; |in_order| says that both sides
 * had sent close_notify. What is still on its way to elsewhere may then take its time, until proxy_done(), which the
 * service has to call; a second closed(), not in order, tells it to end now. The others come before closed(). busy():
 * the client would miss something if it were closed now; |patient|: it may take its time. late(), which may be NULL:
 * what proxy_asking() began has taken too long. at_rest(), which may be NULL: nothing is under way, so that an end now
 * would be one in order. idle_ms(), which may be NULL: for how long nothing has moved on the service's own side; asked
 * when the client's has been silent for too long. kernel(), splice(), which may be NULL: the stream's on_kernel, and
 * on_splice.
 */
struct service {
    bool (*open)(struct client *c);
    void (*data)(struct client *c, const struct milgi_slice *slices, size_t slices_n);
    void (*end)(struct client *c);
    void (*room)(struct client *c);
    void (*closed)(struct client *c, bool in_order);
    bool (*busy)(const struct client *c, bool patient);
    void (*late)(struct client *c);
    bool (*at_rest)(const struct client *c);
    uint64_t (*idle_ms)(const struct client *c);
    void (*kernel)(struct client *c);
    void (*splice)(struct client *c, enum milgi_direction direction);
};

struct proxy {
    const struct app_options *options;
    struct app_tls tls;
    const struct service *service;
    struct app_addresses backend;
    struct listeners listeners;
    int channel;           /* to the master; -1: there is none */
    struct report *report; /* a worker's, for its master; else NULL */
    bool quiet;            /* another worker says the same */

    struct load *load; /* a reload that is under way */
    bool reload_wanted;

    struct access_log log;
    struct trace trace;
    struct failures failures; /* of handshakes, as they are told */

    uv_loop_t loop;
    uv_signal_t on_term, on_int, on_hup, on_usr1;
    uv_poll_t orders; /* the channel */
    uv_timer_t sweep; /* for the first of each list */
    uv_timer_t drain; /* active while draining */
    uv_timer_t stats;
    uv_timer_t held;   /* active while nothing is accepted for want of descriptors or memory */
    uv_timer_t calm;   /* active when a crowd has left */
    uv_timer_t later;  /* active when failed handshakes were not told */
    uv_prepare_t heed; /* whether what was said has been read */
    uv_timer_t repeat; /* active when it has not */
    struct clients shaking, open, lingering, asking;
    uint32_t clients_n, max_conns;
    uint32_t clients_most; /* at once, since memory was last given back */
    bool serving, draining, patient, stopping;
    bool asked_to_end;                      /* by a signal, besides what the master orders */
    bool hurried;                           /* by SIGINT */
    uint64_t drain_end_ms, farewell_end_ms; /* the latter: 0 before the former */
    uint64_t complained_ms;                 /* about the backend: at most once a second */
    uint64_t held_told_ms;                  /* that connections have to wait */
    uint64_t turns;                         /* of the loop */

    struct proxy_counts counts;
};

/* --- clients.c -------------------------------------------------------------------------------------------------- */

/* What streams tell of clients. */
extern const struct milgi_stream_events clients_events;

/* Sets the lists up; their timers must have been made. */
void clients_init(struct proxy *p);
/* |c| has been accepted, with its stream; it is known who it is. */
void clients_add(struct client *c);
/* All clients' streams are another's from here on: the loop is about to end. */
void clients_part(struct proxy *p);
/* Something moved: the connection is not idle. */
void proxy_touch(struct client *c);
/* A request has begun and is not whole; or now it is. */
void proxy_asking(struct client *c, bool asking);
/* Nothing more will be sent to or taken from this client, which had all there is: an end in order. */
void proxy_close(struct client *c);
/* The same in the middle of something: the client cannot take what it got for the whole. */
void proxy_cut(struct client *c);
/* One of the two, as the service says. */
void proxy_end(struct client *c);
/* The service has forgotten |c|, which may be gone with this. */
void proxy_done(struct client *c);

/* --- preface.c: what stands in front of us says first who the client is ------------------------------------------- */

/* client.why of one that has left without a byte. */
extern const char preface_nothing[];
/* Takes |fd|, a connection. 0, or an error: it is not taken. */
int preface_start(struct client *c, int fd);
/* client_gone() follows. */
void preface_stop(struct client *c);
/* c->ends is known, and |fd| its socket, which is taken. */
void client_prefaced(struct client *c, int fd);
/* Its socket is closed. */
void client_gone(struct client *c);

/* --- accept.c --------------------------------------------------------------------------------------------------- */

/* Begins or ends listening as the state demands. */
void proxy_listen(struct proxy *p);

/* --- proxy.c ---------------------------------------------------------------------------------------------------- */

/* The first lines of standard output. */
void proxy_announce(const struct proxy *p);
/* No more than this process can hold, by what it has open now. False: it has complained that this is nothing. */
bool proxy_limit(struct proxy *p);
/* At the end of the only process, or of the master: what others would find of it. */
void proxy_leave(struct proxy *p);

/* --- reload.c: certificates and keys for connections from here on, without waiting for files or tokens ------------ */

void proxy_reload(struct proxy *p);
/* The loop ends: what is under way is not waited for. */
void proxy_reload_forget(struct proxy *p);

/* --- serve.c: one process that serves ----------------------------------------------------------------------------- */

/* What a worker and its master tell each other, a byte each. */
enum order {
    ORDER_SERVE = 's',  /* to a worker: take connections */
    ORDER_RETIRE = 'r', /* to a worker: others take them; drain patiently */
    ORDER_DRAIN = 'd',  /* to a worker: as after SIGTERM */
    ORDER_STOP = 'x',   /* to a worker: end at once */
    TOLD_READY = 'R',   /* to the master: the engine and its device are made */
    TOLD_DEAF = 'D',    /* to the master: no connection is taken any more */
    TOLD_REPORT = 'S'   /* to the master: its report is written */
};

/* Serves until it is told to end, by signals or by a master, or the master is gone. The exit status. */
int proxy_serve(struct proxy *p);

/* --- master.c ----------------------------------------------------------------------------------------------------- */

/* Has options->workers processes serve. The exit status, of the master and, in them, of the workers. */
int proxy_master(struct proxy *p);

extern const struct service relay_service; /* to the backend, and back */
extern const char relay_failed[];          /* client.why of one whose backend did */
extern const struct service http_service;  /* the built-in pages */

/* The pages; to be freed. NULL: no memory. */
char *page_html(const struct client *c, size_t *len);
char *page_json(const struct client *c, size_t *len);
