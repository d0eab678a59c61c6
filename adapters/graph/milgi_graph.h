/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS as nodes of a packet graph of DPDK's (rte_graph), from mbuf to mbuf.
 *
 *      the host's transport                                              the next layer, or several
 *    ... --> milgi-net-input         milgi-crypto-input --> milgi-app-output --> options.next_node, ...
 *            (takes TLS bytes)       (source: one turn of the engine)
 *    options.output_node <-------------------'                 milgi-app-input <-- ...
 *    (sends TLS bytes)                                         (takes plaintext)
 *
 * A host makes an engine, and with it a milgi_graph of the name that its rte_graph is going to have; then it makes that
 * graph, whose patterns contain "milgi-net-input" and the node that feeds it, "milgi-crypto-input", and
 * "milgi-app-input" where a node feeds that; and walks it. One lcore has one rte_graph, one milgi_graph and one engine,
 * and they share nothing with others. All calls here belong to that lcore's thread; mbufs may be freed by any.
 *
 * THE TRANSPORT is the host's: a TCP that gives the bytes of each connection in order and once. Whose they are says
 * the tag of an mbuf (milgi_graph_tag()); mbufs of many connections may stand in one vector, in chains too. Everything
 * that happens in order comes in order, in the same vectors: a mark in the tag of an empty mbuf says that something
 * has opened or ended.
 *
 * NO COPY. Ciphertext is opened where the transport has put it, if that is memory of this mbuf alone (direct, or of a
 * pool with pinned buffers; no clone) and a quarter of its room or more; else it is copied and counted. What
 * milgi-app-output and the output node are given are mbufs that show memory of the engine's: to be read, passed on,
 * cloned, kept and freed, by whomever, and not to be written. What milgi-app-input is given is sealed from where it
 * lies.
 *
 * BACKPRESSURE is how long an mbuf lives. Plaintext counts against MILGI_LIMIT_CREDIT until its mbuf is freed; output
 * against MILGI_LIMIT_OUTPUT likewise, so a TCP keeps it until it is acknowledged. An application that sends on what it
 * was given needs nothing else. A transport asks milgi_graph_window() before it hands over more; what comes in spite of
 * a closed window waits in milgi-net-input, up to options.held_max, and then ends the connection. Nothing is dropped
 * but bytes of connections that have ended or are gone, and those are counted.
 */
#pragma once

#include <milgi/milgi.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rte_mbuf;
struct milgi_graph;

#define MILGI_GRAPH_VECTOR_MAX 256 /* RTE_GRAPH_BURST_SIZE */

enum milgi_graph_mark {
    MILGI_GRAPH_DATA, /* bytes; all other marks are of empty mbufs */
    MILGI_GRAPH_OPEN, /* to the next layer: the handshake is complete */
    /*
     * To the next layer: the peer's close_notify. To milgi-app-input: ours. To milgi-net-input: the transport's end,
     * with an error (errno-like) if it has failed. To the output node: no output comes any more.
     */
    MILGI_GRAPH_END,
    MILGI_GRAPH_CLOSED /* to the next layer, last: the connection has ended; error: 0 in order, or MILGI_E* */
};

/* Beside the bytes of an mbuf: a dynamic field, in the first mbuf of a chain. */
struct milgi_graph_tag {
    uint64_t conn; /* milgi_graph_accept(), milgi_graph_connect() */
    uint8_t mark;  /* enum milgi_graph_mark */
    uint8_t edge;  /* of milgi-app-output */
    int32_t error;
};
MILGI_API extern int milgi_graph_tag_offset; /* set by milgi_graph_new() */
static inline struct milgi_graph_tag *milgi_graph_tag(struct rte_mbuf *mbuf)
{
    return (struct milgi_graph_tag *)(void *)((char *)mbuf + milgi_graph_tag_offset);
}

struct milgi_graph_options {
    const char *name;            /* of the rte_graph; copied */
    const char *next_node;       /* what is given plaintext, unless milgi_graph_set_next_node() says another */
    const char *output_node;     /* what is given TLS bytes */
    struct milgi_engine *engine; /* borrowed; nobody else runs it */
    uint64_t budget_ns;          /* of a turn; default 0: the engine's default */
    uint16_t vector;             /* packets that a walk gives each side at most; default MILGI_GRAPH_VECTOR_MAX */
    uint16_t segment;            /* bytes of an mbuf with output at most; default 65535: a record is one */
    /*
     * mbufs that may be out at once, a quarter for output only; default 8191. A connection never has more of them than
     * are left for all others: what it brings beyond that waits for its own to come back
     */
    uint32_t packets;
    uint32_t held_max; /* bytes a connection may be given while its window is closed; default 1 MiB */
    /* A question of a connection (milgi_config_set_ask()); answer with milgi_decide(), now or later. May be NULL */
    void (*on_decide)(struct milgi_graph *graph, uint64_t conn, const struct milgi_decision *decision);
};

/* Fills in every default; name, nodes and engine are the host's. */
MILGI_API void milgi_graph_options_init(struct milgi_graph_options *options);

/*
 * Before rte_graph_create(), which fails where there is none of its name. |options| is copied. Returns 0; MILGI_EINVAL
 * (an option that makes no sense, no such node, a name that another has); MILGI_ENOMEM (heap, or DPDK's memory).
 */
MILGI_API MILGI_MUST_CHECK int milgi_graph_new(
    const struct milgi_graph_options *options, struct milgi_graph **graph);

/*
 * After rte_graph_destroy(): frees the connections that are left, and the graph. Returns 0, or MILGI_EBUSY: its mbufs
 * are not all back. Free those that the host has, and run the engine until those that an op is at have come back; then
 * call it again. The engine is the host's, and is freed behind it.
 *
 * Mbufs of others whose bytes an op is at come back in a turn of the engine or, at the latest, in milgi_engine_free():
 * their pools live until then. What a device that hangs has when it is abandoned (milgi_engine_options.quiesce_ns)
 * never comes back, since it may still be written: such mbufs are lost, and their pools may not be freed any more. If
 * some of them are the graph's own, as when an application has sent on what it was given, the graph stays MILGI_EBUSY:
 * leave it to the process.
 */
MILGI_API int milgi_graph_free(struct milgi_graph *graph);

/*
 * What is given the plaintext of |conn|, or with 0 that of connections that are made from now on. Nodes that the graph
 * is to know are named before rte_graph_create(), with 0, the default at last. Returns 0; MILGI_EINVAL: no such node,
 * connection, or edge (more than 256, too).
 */
MILGI_API MILGI_MUST_CHECK int milgi_graph_set_next_node(struct milgi_graph *graph, uint64_t conn, const char *node);

/*
 * A connection of the host's transport that a client has made, or that is made to a server: as milgi_conn_new(), with
 * its errors. *|conn| is never 0, and no other connection of this graph ever has the same.
 */
MILGI_API MILGI_MUST_CHECK int milgi_graph_accept(
    struct milgi_graph *graph, struct milgi_config *config, uint64_t *conn);
MILGI_API MILGI_MUST_CHECK int milgi_graph_connect(
    struct milgi_graph *graph, struct milgi_config *config, const char *server_name, uint64_t *conn);

/* What the host keeps with a connection; NULL: nothing yet, or it is gone. */
MILGI_API void milgi_graph_set_arg(struct milgi_graph *graph, uint64_t conn, void *arg);
MILGI_API void *milgi_graph_arg(struct milgi_graph *graph, uint64_t conn);

/*
 * The connection is gone for the host: after MILGI_GRAPH_CLOSED, or in the middle (then nothing more is sent, no
 * close_notify either). What its mbufs show stays valid until they are freed. Nothing comes of it any more; what comes
 * for it is freed and counted.
 */
MILGI_API void milgi_graph_close(struct milgi_graph *graph, uint64_t conn);

/*
 * For milgi_conn_info(), milgi_conn_abort(), milgi_conn_update_keys() ...; not to be fed or freed. NULL: it is gone.
 */
MILGI_API struct milgi_conn *milgi_graph_conn(struct milgi_graph *graph, uint64_t conn);
/* Why it has ended; valid from MILGI_GRAPH_CLOSED until milgi_graph_close(). Else NULL. */
MILGI_API const struct milgi_reason *milgi_graph_reason(struct milgi_graph *graph, uint64_t conn);

/* How many bytes may be handed to milgi-net-input before this is asked again; 0: none now. */
MILGI_API size_t milgi_graph_window(struct milgi_graph *graph, uint64_t conn);
/* Whether an application that makes data should wait. What it sends all the same waits in milgi-app-input. */
MILGI_API bool milgi_graph_output_full(struct milgi_graph *graph, uint64_t conn);

/*
 * For a host that sleeps: what milgi_engine_run() said in the last walk, AGAIN if another walk does more at once. What
 * waits for room, for credit or for mbufs does not keep it awake: mbufs that are freed on this thread say AGAIN. With
 * milgi_engine_fd() and the transport's descriptors that is all there is to wait for, but for mbufs that another thread
 * frees.
 */
MILGI_API struct milgi_run_result milgi_graph_result(const struct milgi_graph *graph);

struct milgi_graph_stats {
    uint64_t in, out;     /* mbufs with data: from the transport; to it */
    uint64_t app_in, app; /* from the next layer; to it */
    uint64_t copied;      /* of those from outside, that could not be lent */
    uint64_t held;        /* that had to wait, for the window, for room or for memory */
    uint64_t late;        /* of connections that were gone or had ended */
    uint64_t overrun;     /* connections that were given more than held_max while their window was closed */
    uint32_t mbufs;       /* of ours that are out now */
    uint32_t conns;       /* that are there, those whose output is still out, too */
};
/* What it has done since it was made. */
MILGI_API void milgi_graph_stats(const struct milgi_graph *graph, struct milgi_graph_stats *stats);

#ifdef __cplusplus
}
#endif
