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
    struct milgi__gconn *link;
    struct milgi_chunk *chunk; /* a reference; NULL: output or a mark */
    uint8_t *data;
    uint32_t len;
    enum milgi_graph_mark mark;
    int error;
};

/* Room for marks is kept back: those of a connection that ends always find some. */
struct milgi__items {
    struct milgi__item *ring;
    uint32_t cap, head, n, marks;
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
    struct milgi__shell *first, *last; /* output in mbufs, in order */
    struct milgi__gconn *waits_next, *waits_prev;
    uint32_t refs; /* items and mbufs, and the table's */
    int eof_error;
    uint8_t edge, app_marks, net_marks; /* which it may still need */
    bool waits, eof, end, overrun, closed, gone;
};

struct milgi_graph {
    struct milgi_graph *next; /* of all in the process */
    struct milgi_graph_options o;
    char name[RTE_GRAPH_NAMESIZE];
    struct rte_mempool *headers;
    struct milgi__shell *shells, *free, *back;
    _Atomic(struct milgi__shell *) remote; /* freed by other threads */
    _Atomic uintptr_t thread;
    struct milgi__items app, net;
    struct milgi__gconn **link;                            /* by index; NULL: free */
    uint32_t *generation, links_n, links_cap, links_first; /* none before that is free */
    struct milgi__gconn *waits;                            /* those that hold something */
    bool staged;                                           /* something was given to the engine behind its last turn */
    bool dry;                                              /* the last walk had too few mbufs for what waited */
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

/* shells.c */
bool milgi__items_reserve(struct milgi__items *q, uint32_t marks);
void milgi__items_fini(struct milgi__items *q);
/* False: no heap. Takes a reference on the link. */
bool milgi__items_push(struct milgi__items *q, struct milgi__item item);
bool milgi__shells_init(struct milgi_graph *g, uint32_t n);
/* Up to |max| mbufs out of the queue. */
uint16_t milgi__shells_emit(struct milgi_graph *g, struct milgi__items *q, void **mbufs, uint16_t max);
/* Those that have come back. */
void milgi__shells_collect(struct milgi_graph *g);
/* Bytes of an mbuf for the library. False: there is no memory now; the mbuf is still the caller's. */
bool milgi__graph_lend(struct milgi__gconn *l, struct rte_mbuf *m, bool written, struct milgi_slice *slice);

/* nodes.c */
rte_node_t milgi__node_crypto_input(void);
rte_node_t milgi__node_app_output(void);
