/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two graphs on one thread, a client's and a server's, and a wire between them that does what a network card does: what
 * one has put out comes to the other in mbufs of a pool of its own.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <rte_graph.h>
#include <rte_graph_worker.h>
#include <rte_mbuf.h>

#include <milgi_graph.h>

#include "common.h"
#include "configs.h"

#define CONNS_MAX 1024
#define PACKET 1448u
#define PAYLOAD 1400u /* of an mbuf from the application */
#define SEALED 1422u  /* as a record: 5 bytes of header, 16 of tag, one of type */

struct list {
    struct rte_mbuf **m;
    size_t n, cap;
};
void list_add(struct list *list, struct rte_mbuf *m);
/* Frees what is in it. */
void list_clear(struct list *list);

struct side {
    enum milgi_role role;
    struct milgi_engine *engine;
    struct milgi_graph *graph;
    struct rte_graph *rte;
    rte_graph_t id;
    struct list arriving;          /* what its source node hands on */
    struct list kept, kept_output; /* by |keep|, |keep_output| */
    uint64_t conn[CONNS_MAX];
    unsigned conns;
    uint8_t *got; /* of all connections, but what is echoed */
    size_t got_len, got_cap;
    size_t got_of[CONNS_MAX];
    bool checks;                           /* each connection's bytes are the pattern, and are not kept */
    unsigned opened, ended, closed, other; /* marks; mbufs that came to the other application's node */
    unsigned finished;                     /* MILGI_GRAPH_END at the output node */
    int error;                             /* of the last MILGI_GRAPH_CLOSED */
    bool echo, keep, keep_output;
    bool blind;       /* its source does not ask for the window */
    bool cut;         /* the wire from here loses everything */
    size_t vector;    /* mbufs of its source at once; 0: 256 */
    uint16_t largest; /* vector that came to a node of the host */
    size_t chain;     /* of segments of so many bytes; 0: none */
    bool clones;      /* what arrives is a clone */
};

struct bed {
    struct side side[2];         /* by enum milgi_role */
    struct milgi_device *device; /* of both engines */
    struct rte_mempool *rx, *clones;
    struct configs_pair peers;
    size_t packet;   /* bytes of an mbuf on the wire at most */
    uint64_t now_ns; /* of both engines: a walk takes as long as that of any other machine */
};
extern struct bed bed;

/* The process's EAL and the nodes; a machine that has none is skipped. */
void bed_setup(void);
/* |device| NULL: cpu. |options| may be NULL; a vector of 0: the default. */
struct bed_options {
    const char *device;
    uint16_t vector, segment;
    uint32_t packets, held_max;
    uint64_t credit, output, record; /* limits; 0: the defaults */
    size_t memory;                   /* memory_limit; 0: the default */
    size_t packet;                   /* bytes of an mbuf on the wire at most; 0: PACKET */
    unsigned conns;
};
void bed_begin(const struct bed_options *options);
/* Everything has to be back where it came from. */
void bed_end(void);
/* One walk of each, and the wire. True: something moved. */
bool bed_walk(void);
/* Until |*what| is |wanted|; without end if it never is. */
void bed_walk_until(const size_t *what, size_t wanted);
void bed_settle(void);
/* |len| bytes, the |at|-th and further of a pattern, to milgi-app-input of |side|. */
void bed_send(struct side *side, uint64_t conn, size_t at, size_t len);
/* The same, as long as |len| is not reached and there is room. Returns where it is now. */
size_t bed_send_some(struct side *side, uint64_t conn, size_t at, size_t len);
/* A mark, likewise. */
void bed_mark(struct side *side, uint64_t conn, enum milgi_graph_mark mark);
/* The transport's end, or bytes, as if the wire brought them. */
void bed_arrive(struct side *side, uint64_t conn, const void *data, size_t len, enum milgi_graph_mark mark, int error);
struct milgi_graph_stats bed_stats(const struct side *side);
