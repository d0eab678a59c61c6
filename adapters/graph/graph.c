/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs and their connections. */
#include "graph.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf_dyn.h>

#define PACKETS 8191u /* a mempool likes one less than a power of two */
#define PACKETS_MAX (1u << 20)
#define HELD_MAX (1024u * 1024u)
#define CACHE 256u
#define LOOK_NS 1000000u /* after which a host that sleeps looks for what nobody tells of */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct milgi_graph *graphs;
static unsigned number;
int milgi_graph_tag_offset = -1;

void milgi_graph_options_init(struct milgi_graph_options *options)
{
    *options = (struct milgi_graph_options){
        .vector = MILGI_GRAPH_VECTOR_MAX, .segment = UINT16_MAX, .packets = PACKETS, .held_max = HELD_MAX
    };
}

struct milgi_graph *milgi__graph_of(const char *name)
{
    pthread_mutex_lock(&lock);
    struct milgi_graph *g = graphs;
    while (g && strcmp(g->name, name) != 0)
        g = g->next;
    pthread_mutex_unlock(&lock);
    return g;
}

static bool makes_sense(const struct milgi_graph_options *o)
{
    return o->name && strlen(o->name) < RTE_GRAPH_NAMESIZE && o->next_node && o->output_node && o->engine &&
        o->vector > 0 && o->vector <= MILGI_GRAPH_VECTOR_MAX && o->segment > 0 && o->packets > 0 &&
        o->packets <= PACKETS_MAX && !milgi__graph_of(o->name);
}

/* The edge from |node| to the node of that name, which it may have already; -1: there is no such node, or no room. */
static int edge_to(rte_node_t node, const char *name)
{
    if (rte_node_from_name(name) == RTE_NODE_ID_INVALID)
        return -1;
    rte_edge_t n = rte_node_edge_count(node);
    char **names = calloc(n + 1u, sizeof *names);
    int edge = -1;
    if (!names)
        return -1;
    if (n > 0)
        (void)rte_node_edge_get(node, names);
    for (rte_edge_t i = 0; i < n; i++) {
        if (strcmp(names[i], name) == 0)
            edge = i;
    }
    free(names);
    if (edge < 0 && n <= UINT8_MAX && rte_node_edge_update(node, RTE_EDGE_ID_INVALID, &name, 1) != RTE_EDGE_ID_INVALID)
        edge = n;
    return edge;
}

static int make_memory(struct milgi_graph *g)
{
    static const struct rte_mbuf_dynfield field = {
        .name = "milgi_graph_tag",
        .size = sizeof(struct milgi_graph_tag),
        .align = __alignof__(struct milgi_graph_tag),
    };
    char name[RTE_MEMPOOL_NAMESIZE];
    snprintf(name, sizeof name, "milgi-graph%u", number++);
    int at = rte_mbuf_dynfield_register(&field);
    if (at < 0)
        return MILGI_ENOMEM;
    milgi_graph_tag_offset = at;
    unsigned cache = g->o.packets < 4 * CACHE ? 0 : CACHE;
    g->headers = rte_pktmbuf_pool_create(name, g->o.packets, cache, 0, 0, SOCKET_ID_ANY);
    return g->headers && milgi__shells_init(g, g->o.packets) ? 0 : MILGI_ENOMEM;
}

static void free_memory(struct milgi_graph *g)
{
    milgi__items_fini(&g->spare);
    rte_mempool_free(g->headers);
    free(g->shells);
    free(g->link);
    free(g->generation);
    free(g);
}

int milgi_graph_new(const struct milgi_graph_options *options, struct milgi_graph **graph)
{
    if (!makes_sense(options))
        return MILGI_EINVAL;
    struct milgi_graph *g = calloc(1, sizeof *g);
    if (!g)
        return MILGI_ENOMEM;
    g->o = *options;
    snprintf(g->name, sizeof g->name, "%s", options->name);
    g->result.next = MILGI_RUN_AGAIN;
    /* Plaintext may come back as output, and then waits for room until that has gone: it never takes the last mbufs. */
    g->app.kept = g->o.packets > 1 ? RTE_MAX(g->o.packets / 4, 1u) : 0;
    g->app.most = UINT16_MAX;
    g->net.most = g->o.segment;
    pthread_mutex_lock(&lock);
    int next = edge_to(milgi__node_app_output(), options->next_node);
    int output = edge_to(milgi__node_crypto_input(), options->output_node);
    int rv = next < 0 || output < 0 ? MILGI_EINVAL : make_memory(g);
    if (rv == 0) {
        g->edge = (uint8_t)next;
        g->output_edge = (rte_edge_t)output;
        g->next = graphs;
        graphs = g;
    }
    pthread_mutex_unlock(&lock);
    if (rv != 0) {
        free_memory(g);
        return rv;
    }
    atomic_store(&g->thread, (uintptr_t)pthread_self());
    *graph = g;
    return 0;
}

int milgi_graph_free(struct milgi_graph *g)
{
    if (!g)
        return 0;
    milgi__shells_collect(g);
    for (uint32_t i = 0; i < g->links_n; i++) {
        if (g->link[i])
            milgi_graph_close(g, g->link[i]->id);
    }
    milgi__shells_collect(g);
    if (g->stats.mbufs > 0 || rte_mempool_in_use_count(g->headers) > 0)
        return MILGI_EBUSY;
    pthread_mutex_lock(&lock);
    struct milgi_graph **at = &graphs;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    pthread_mutex_unlock(&lock);
    free_memory(g);
    return 0;
}

int milgi_graph_set_next_node(struct milgi_graph *g, uint64_t conn, const char *node)
{
    struct milgi__gconn *l = conn ? milgi__graph_find(g, conn) : NULL;
    if (conn && !l)
        return MILGI_EINVAL;
    pthread_mutex_lock(&lock);
    rte_edge_t known = rte_node_edge_count(milgi__node_app_output());
    int edge = edge_to(milgi__node_app_output(), node);
    pthread_mutex_unlock(&lock);
    if (edge < 0 || edge > UINT8_MAX || (rte_graph_from_name(g->name) != RTE_GRAPH_ID_INVALID && edge >= known))
        return MILGI_EINVAL; /* the graph has been made without it */
    *(l ? &l->edge : &g->edge) = (uint8_t)edge;
    return 0;
}

/* Whether another walk does more than this one could. */
static bool can_go_on(const struct milgi_graph *g)
{
    bool returned = g->back || atomic_load_explicit(&g->remote, memory_order_relaxed);
    bool given = (g->app.first && !g->app.dry) || (g->net.first && !g->net.dry);
    if (g->staged || returned || given)
        return true;
    for (const struct milgi__gconn *l = g->waits; l; l = l->waits_next) {
        if (milgi__gconn_can_go(l))
            return true;
    }
    return false;
}

/* What comes back without a word is looked for: mbufs of marks, and memory. */
static bool has_to_look(const struct milgi_graph *g)
{
    bool looks = g->unseen;
    for (const struct milgi__gconn *l = g->waits; l && !looks; l = l->waits_next)
        looks = l->starved;
    return looks;
}

struct milgi_run_result milgi_graph_result(const struct milgi_graph *g)
{
    struct milgi_run_result result = g->result;
    if (result.next == MILGI_RUN_AGAIN || can_go_on(g)) {
        result.next = MILGI_RUN_AGAIN;
    } else if (has_to_look(g)) {
        uint64_t soon = milgi_engine_now(g->o.engine) + LOOK_NS;
        bool sooner = result.next == MILGI_RUN_WAIT && result.deadline_ns < soon;
        result = sooner ? result : (struct milgi_run_result){ MILGI_RUN_WAIT, soon, soon };
    }
    return result;
}

void milgi_graph_stats(const struct milgi_graph *g, struct milgi_graph_stats *stats)
{
    *stats = g->stats;
}

/* --- connections ------------------------------------------------------------------------------------------------ */

struct milgi__gconn *milgi__graph_find(struct milgi_graph *g, uint64_t id)
{
    uint32_t i = (uint32_t)id;
    struct milgi__gconn *l = i < g->links_n ? g->link[i] : NULL;
    return l && l->id == id && !l->gone ? l : NULL;
}

/* A place in the table; false: no heap. */
static bool place(struct milgi_graph *g, uint32_t *at)
{
    for (*at = g->links_first; *at < g->links_n && g->link[*at]; ++*at) {
    }
    g->links_first = *at;
    if (*at < g->links_cap) {
        g->links_n = RTE_MAX(g->links_n, *at + 1);
        return true;
    }
    uint32_t cap = g->links_cap ? g->links_cap * 2 : 64;
    struct milgi__gconn **link = realloc(g->link, cap * sizeof(struct milgi__gconn *));
    g->link = link ? link : g->link;
    uint32_t *generation = link ? realloc(g->generation, cap * sizeof *generation) : NULL;
    if (!generation)
        return false;
    g->generation = generation;
    memset(g->link + g->links_cap, 0, (cap - g->links_cap) * sizeof(struct milgi__gconn *));
    memset(g->generation + g->links_cap, 0, (cap - g->links_cap) * sizeof *generation);
    g->links_cap = cap;
    g->links_n = *at + 1;
    return true;
}

int milgi_graph_connect(
    struct milgi_graph *g, struct milgi_config *config, const char *server_name, uint64_t *conn)
{
    struct milgi__gconn *l = calloc(1, sizeof *l);
    uint32_t at;
    if (!l || !place(g, &at) || !milgi__items_reserve(&g->spare, MILGI__APP_MARKS + MILGI__NET_MARKS)) {
        free(l);
        return MILGI_ENOMEM;
    }
    l->graph = g;
    l->refs = 1;
    l->edge = g->edge;
    l->app.link = l->net.link = l;
    l->app_marks = MILGI__APP_MARKS;
    l->net_marks = MILGI__NET_MARKS;
    l->id = (uint64_t)++g->generation[at] << 32 | at;
    int rv = milgi_conn_new(g->o.engine, config, server_name, &milgi__graph_events, l, &l->conn);
    g->stats.conns++;
    g->staged = true; /* a client begins */
    g->link[at] = l;
    if (rv == 0)
        *conn = l->id;
    else
        milgi_graph_close(g, l->id);
    return rv;
}

int milgi_graph_accept(struct milgi_graph *g, struct milgi_config *config, uint64_t *conn)
{
    return milgi_graph_connect(g, config, NULL, conn);
}

void milgi__gconn_wait(struct milgi__gconn *l)
{
    struct milgi_graph *g = l->graph;
    if (l->waits)
        return;
    l->waits = true;
    l->waits_prev = NULL;
    l->waits_next = g->waits;
    if (g->waits)
        g->waits->waits_prev = l;
    g->waits = l;
}

static void wait_no_more(struct milgi__gconn *l)
{
    if (!l->waits)
        return;
    *(l->waits_prev ? &l->waits_prev->waits_next : &l->graph->waits) = l->waits_next;
    if (l->waits_next)
        l->waits_next->waits_prev = l->waits_prev;
    l->waits = false;
}

void milgi__gconn_over(struct milgi__gconn *l)
{
    if (!l->gone || l->first)
        return;
    milgi_conn_free(l->conn);
    l->conn = NULL;
}

void milgi__gconn_unref(struct milgi__gconn *l)
{
    struct milgi_graph *g = l->graph;
    if (--l->refs > 0)
        return;
    milgi_conn_free(l->conn);
    g->spare.marks -= l->app_marks + l->net_marks;
    g->link[(uint32_t)l->id] = NULL;
    g->links_first = RTE_MIN(g->links_first, (uint32_t)l->id);
    g->stats.conns--;
    free(l);
}

void milgi_graph_close(struct milgi_graph *g, uint64_t conn)
{
    struct milgi__gconn *l = milgi__graph_find(g, conn);
    if (!l)
        return;
    wait_no_more(l);
    milgi__gconn_drop_held(l);
    milgi__gqueue_clear(&l->app, &g->app);
    milgi__gqueue_clear(&l->net, &g->net);
    l->gone = true;
    if (l->first) /* somebody reads its output: the memory has to stay, the connection does nothing more */
        milgi_conn_abort(l->conn, MILGI_ALERT_NONE);
    milgi__gconn_over(l);
    milgi__gconn_unref(l);
}

void milgi_graph_set_arg(struct milgi_graph *g, uint64_t conn, void *arg)
{
    struct milgi__gconn *l = milgi__graph_find(g, conn);
    if (l)
        l->arg = arg;
}

void *milgi_graph_arg(struct milgi_graph *g, uint64_t conn)
{
    struct milgi__gconn *l = milgi__graph_find(g, conn);
    return l ? l->arg : NULL;
}

struct milgi_conn *milgi_graph_conn(struct milgi_graph *g, uint64_t conn)
{
    struct milgi__gconn *l = milgi__graph_find(g, conn);
    return l ? l->conn : NULL;
}

const struct milgi_reason *milgi_graph_reason(struct milgi_graph *g, uint64_t conn)
{
    struct milgi__gconn *l = milgi__graph_find(g, conn);
    return l && l->closed ? &l->reason : NULL;
}

size_t milgi_graph_window(struct milgi_graph *g, uint64_t conn)
{
    struct milgi__gconn *l = milgi__graph_find(g, conn);
    return l && !milgi__gconn_takes(l) ? 0 : g->o.held_max;
}

bool milgi_graph_output_full(struct milgi_graph *g, uint64_t conn)
{
    struct milgi__gconn *l = milgi__graph_find(g, conn);
    return l && (l->stuck.chunk || l->out.first || milgi_conn_output_full(l->conn));
}
