/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes. Which graph of ours a node of an rte_graph belongs to says the rte_graph's name. */
#include "graph.h"

#include <pthread.h>
#include <string.h>

#define AHEAD 4u

struct context {
    struct milgi_graph *graph;
};
_Static_assert(sizeof(struct context) <= RTE_NODE_CTX_SZ, "the context does not fit its place");

static struct milgi_graph *graph_of(const struct rte_node *node)
{
    struct context context;
    memcpy(&context, node->ctx, sizeof context);
    return context.graph;
}

static int find(const struct rte_graph *graph, struct rte_node *node)
{
    struct context context = { milgi__graph_of(graph->name) };
    memcpy(node->ctx, &context, sizeof context);
    return context.graph ? 0 : -ENOENT; /* milgi_graph_new() comes first */
}

/* --- from outside ----------------------------------------------------------------------------------------------- */

static uint16_t take(
    struct rte_node *node, void **mbufs, uint16_t n, void (*give)(struct milgi__gconn *l, struct rte_mbuf *m))
{
    struct milgi_graph *g = graph_of(node);
    g->staged = true;
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = mbufs[i];
        if (i + AHEAD < n)
            rte_prefetch0(mbufs[i + AHEAD]);
        struct milgi__gconn *l = milgi__graph_find(g, milgi_graph_tag(m)->conn);
        if (l) {
            give(l, m);
        } else {
            g->stats.late++;
            rte_pktmbuf_free(m);
        }
    }
    return n;
}

static uint16_t net_input(struct rte_graph *graph, struct rte_node *node, void **mbufs, uint16_t n)
{
    (void)graph;
    return take(node, mbufs, n, milgi__gconn_input);
}

static uint16_t app_input(struct rte_graph *graph, struct rte_node *node, void **mbufs, uint16_t n)
{
    (void)graph;
    return take(node, mbufs, n, milgi__gconn_app);
}

static struct rte_node_register net_input_node = { .name = "milgi-net-input", .process = net_input, .init = find };
RTE_NODE_REGISTER(net_input_node);

static struct rte_node_register app_input_node = { .name = "milgi-app-input", .process = app_input, .init = find };
RTE_NODE_REGISTER(app_input_node);

/* --- the engine's turn ------------------------------------------------------------------------------------------ */

static void look_again(struct milgi_graph *g)
{
    struct milgi__gconn *l = g->waits;
    g->waits = NULL;
    for (struct milgi__gconn *next; l; l = next) {
        next = l->waits_next;
        l->waits = false;
        milgi__gconn_again(l);
    }
}

enum {
    TO_APP, /* the first edge; that to the output node is the graph's */
};

/*
 * A turn brings no more than two vectors' worth of waiting: what is there already goes first. Where mbufs for it are
 * wanting they may be in the engine, and only a turn brings them back.
 */
static uint16_t crypto_input(struct rte_graph *graph, struct rte_node *node, void **unused, uint16_t none)
{
    struct milgi_graph *g = graph_of(node);
    void *mbufs[MILGI_GRAPH_VECTOR_MAX];
    (void)unused;
    (void)none;
    atomic_store_explicit(&g->thread, (uintptr_t)pthread_self(), memory_order_relaxed);
    milgi__shells_collect(g);
    look_again(g);
    if (g->app.dry || g->net.dry || (g->app.n < g->o.vector && g->net.n < g->o.vector)) {
        g->staged = false;
        milgi_engine_run(g->o.engine, g->o.budget_ns, &g->result);
    }
    g->unseen = false;
    uint16_t app = milgi__shells_emit(g, &g->app, mbufs, g->o.vector);
    if (app > 0)
        rte_node_enqueue(graph, node, TO_APP, mbufs, app);
    uint16_t net = milgi__shells_emit(g, &g->net, mbufs, g->o.vector);
    if (net > 0)
        rte_node_enqueue(graph, node, g->output_edge, mbufs, net);
    g->stats.app += app;
    g->stats.out += net;
    return (uint16_t)(app + net);
}

static struct rte_node_register crypto_input_node = {
    .name = "milgi-crypto-input",
    .process = crypto_input,
    .init = find,
    .flags = RTE_NODE_SOURCE_F,
    .nb_edges = 1,
    .next_nodes = { [TO_APP] = "milgi-app-output" },
};
RTE_NODE_REGISTER(crypto_input_node);

/* --- to the next layer ------------------------------------------------------------------------------------------ */

static uint16_t app_output(struct rte_graph *graph, struct rte_node *node, void **mbufs, uint16_t n)
{
    uint16_t same = 1;
    uint8_t edge = milgi_graph_tag(mbufs[0])->edge;
    while (same < n && milgi_graph_tag(mbufs[same])->edge == edge)
        same++;
    if (same == n) {
        rte_node_next_stream_move(graph, node, edge);
        return n;
    }
    for (uint16_t i = 0; i < n; i++)
        rte_node_enqueue_x1(graph, node, milgi_graph_tag(mbufs[i])->edge, mbufs[i]);
    return n;
}

static struct rte_node_register app_output_node = { .name = "milgi-app-output", .process = app_output, .init = find };
RTE_NODE_REGISTER(app_output_node);

rte_node_t milgi__node_crypto_input(void)
{
    return crypto_input_node.id;
}

rte_node_t milgi__node_app_output(void)
{
    return app_output_node.id;
}
