/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the adapter share. */
#pragma once

#include <stdatomic.h>

#include <rte_graph.h>
#include <rte_graph_worker.h>
#include <rte_mbuf.h>

#include "milgi_graph.h"

/* What an mbuf of ours shows. The connection, or its memory, stays until it has come back. */
struct milgi__shell {
    struct rte_mbuf_ext_shared_info info;
    struct milgi_graph *graph;
    struct milgi__gconn *link;
    struct milgi__shell *next;      /* free; or behind it on the wire */
    struct milgi__shell *next_back; /* of those that have come back and were not looked at yet */
    struct milgi_chunk *chunk;      /* of plaintext; NULL: output */
    uint32_t len;
    bool back;
};

/* Bytes that wait for an mbuf, or a mark. */
struct milgi__item {
    struct milgi__item *next;
    struct milgi_chunk *chunk; /* a reference; NULL: output or a mark */
    uint8_t *data;
    uint32_t len;
    int error;
    enum milgi_graph_mark mark;
};

/* What waits of one connection, in order, for one side; and how many mbufs that side has of it. */
struct milgi__gqueue {
    struct milgi__gconn *link;
    struct milgi__item *first, *last;
    struct milgi__gqueue *next, *prev; /* in the line */
    uint32_t n, out;
    bool stands; /* in the line; else it is empty, or has enough mbufs until one comes back */
};

/* Those that wait for mbufs, by turns. */
struct milgi__line {
    struct milgi__gqueue *first, *last;
    uint32_t n;    /* items of those who stand in it */
    uint32_t kept; /* mbufs that it leaves to others */
    uint32_t most; /* bytes of an mbuf */
    bool dry;      /* there were too few mbufs in the last walk */
};

/* Items nobody has. Some for marks are kept back: those of a connection that ends always find one. */
struct milgi__spare {
    struct milgi__item *first;
    uint32_t n, marks;
};

/* mbufs of one segment each, linked by their own |next|. */
struct milgi__held {
    struct rte_mbuf *first, *last;
    size_t len;
};

/* A connection. */
struct milgi__gconn {
    struct milgi_graph *graph;
    struct milgi_conn *conn; /* NULL: freed */
    void *arg;               /* the host's */
    uint64_t id;
    struct milgi_reason reason;
    struct milgi__held in, out;        /* what the connection does not take yet */
    struct milgi_slice stuck;          /* goes before what is held in |out| */
    struct milgi__gqueue app, net;     /* what waits for the nodes behind us */
    struct milgi__shell *first, *last; /* output in mbufs, in order */
    struct milgi__gconn *waits_next, *waits_prev;
    uint32_t refs; /* mbufs', and the table's */
    int eof_error;
    uint8_t edge, app_marks, net_marks; /* which it may still need */
    bool waits, eof, end, overrun, closed, gone;
    bool starved; /* there was no memory for what is held */
};

struct milgi_graph {
    struct milgi_graph *next; /* of all in the process */
    struct milgi_graph_options o;
    char name[RTE_GRAPH_NAMESIZE];
    struct rte_mempool *headers;
    struct milgi__shell *shells, *free, *back;
    _Atomic(struct milgi__shell *) remote; /* freed by other threads */
    _Atomic uintptr_t thread;
    struct milgi__line app, net;
    struct milgi__spare spare;
    struct milgi__gconn **link;                            /* by index; NULL: free */
    uint32_t *generation, links_n, links_cap, links_first; /* none before that is free */
    struct milgi__gconn *waits;                            /* those that hold something */
    bool staged;                                           /* something was given to the engine behind its last turn */
    bool unseen;                                           /* mbufs are wanting that come back without a word */
    rte_edge_t output_edge;
    uint8_t edge; /* for new connections */
    struct milgi_run_result result;
    struct milgi_graph_stats stats;
};

/* graph.c */
struct milgi_graph *milgi__graph_of(const char *name);
struct milgi__gconn *milgi__graph_find(struct milgi_graph *g, uint64_t id);
/* Marks that one connection may need. */
#define MILGI__APP_MARKS 3u
#define MILGI__NET_MARKS 1u
/* Frees its connection, if none of its output is out. */
void milgi__gconn_over(struct milgi__gconn *l);
/* One reference fewer; the last frees it. */
void milgi__gconn_unref(struct milgi__gconn *l);
/* Looked after in every walk, for it holds something. */
void milgi__gconn_wait(struct milgi__gconn *l);

/* conns.c: what a connection is given, and tells */
extern const struct milgi_events milgi__graph_events;
void milgi__gconn_input(struct milgi__gconn *l, struct rte_mbuf *m);
void milgi__gconn_app(struct milgi__gconn *l, struct rte_mbuf *m);
/* What is held is offered again. */
void milgi__gconn_again(struct milgi__gconn *l);
void milgi__gconn_drop_held(struct milgi__gconn *l);

/* Whether it may be given TLS bytes now. */
bool milgi__gconn_takes(const struct milgi__gconn *l);
/* Whether the next walk can do more for what is held than the last has done. */
bool milgi__gconn_can_go(const struct milgi__gconn *l);

/* queues.c */
/* Room for marks, before there is anything to mark; false: no heap. */
bool milgi__items_reserve(struct milgi__spare *spare, uint32_t marks);
void milgi__items_fini(struct milgi__spare *spare);
/* Behind what waits; |item| is copied, its chunk taken. False: no heap. */
bool milgi__gqueue_push(struct milgi__gqueue *q, struct milgi__line *line, const struct milgi__item *item);
/* The first item has gone. */
void milgi__gqueue_pop(struct milgi__gqueue *q, struct milgi__line *line);
void milgi__gqueue_clear(struct milgi__gqueue *q, struct milgi__line *line);
/* One of its mbufs has come back. */
void milgi__gqueue_back(struct milgi__gqueue *q, struct milgi__line *line);
/* It has enough; or it has had its turn. */
void milgi__gqueue_leave(struct milgi__gqueue *q, struct milgi__line *line);
void milgi__gqueue_turn(struct milgi__gqueue *q, struct milgi__line *line);
/* It has had to leave the line with something that waits. */
bool milgi__gqueue_has_enough(const struct milgi__gqueue *q);

/* shells.c */
bool milgi__shells_init(struct milgi_graph *g, uint32_t n);
/* Up to |max| mbufs of those who stand in line. */
uint16_t milgi__shells_emit(struct milgi_graph *g, struct milgi__line *line, void **mbufs, uint16_t max);
/* Those that have come back. */
void milgi__shells_collect(struct milgi_graph *g);
/* Bytes of an mbuf for the library. False: there is no memory now; the mbuf is still the caller's. */
bool milgi__graph_lend(struct milgi__gconn *l, struct rte_mbuf *m, bool written, struct milgi_slice *slice);

/* nodes.c */
rte_node_t milgi__node_crypto_input(void);
rte_node_t milgi__node_app_output(void);
