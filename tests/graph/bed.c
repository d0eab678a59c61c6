/* SPDX-License-Identifier: Apache-2.0 */
#include "bed.h"

#include <assert.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>

#define SKIPPED 77
#define RX 8191u
#define IDLE_WALKS 2000u
#define WALK_NS 200u
#define WIRE 1000u /* mbufs that may be on their way to one side before the other is asked to wait */

struct bed bed;
static struct side *client = &bed.side[MILGI_CLIENT], *server = &bed.side[MILGI_SERVER];
static const char *const names[2] = { "test-client", "test-server" };

void list_add(struct list *list, struct rte_mbuf *m)
{
    if (list->n == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 256;
        list->m = realloc(list->m, list->cap * sizeof(struct rte_mbuf *));
        assert_non_null(list->m);
    }
    list->m[list->n++] = m;
}

void list_clear(struct list *list)
{
    for (size_t i = 0; i < list->n; i++)
        rte_pktmbuf_free(list->m[i]);
    free(list->m);
    memset(list, 0, sizeof *list);
}

/* --- nodes ------------------------------------------------------------------------------------------------------ */

static struct side *side_of(const struct rte_graph *graph)
{
    return strcmp(graph->name, names[MILGI_CLIENT]) == 0 ? client : server;
}

static unsigned place_of(const struct side *s, uint64_t conn)
{
    unsigned c = (uint32_t)conn % CONNS_MAX; /* likely */
    if (c < s->conns && s->conn[c] == conn)
        return c;
    for (c = 0; c < s->conns && s->conn[c] != conn; c++) {
    }
    return c;
}

/* As a transport does: not more of a connection than its window. */
static uint16_t source(struct rte_graph *graph, struct rte_node *node, void **unused, uint16_t none)
{
    struct side *s = side_of(graph);
    size_t most = s->vector ? s->vector : RTE_GRAPH_BURST_SIZE, left = 0, sent = 0;
    size_t given[CONNS_MAX] = { 0 };
    (void)unused, (void)none;
    for (size_t i = 0; i < s->arriving.n; i++) {
        struct rte_mbuf *m = s->arriving.m[i];
        unsigned c = place_of(s, milgi_graph_tag(m)->conn);
        size_t *g = &given[c % CONNS_MAX], window = milgi_graph_window(s->graph, milgi_graph_tag(m)->conn);
        if (sent < most && (s->blind || *g + m->pkt_len <= window || (m->pkt_len == 0 && *g != SIZE_MAX))) {
            rte_node_enqueue_x1(graph, node, 0, m);
            *g += m->pkt_len;
            sent++;
        } else {
            *g = SIZE_MAX / 2;
            s->arriving.m[left++] = m;
        }
    }
    s->arriving.n = left;
    return (uint16_t)sent;
}

static struct rte_mbuf *packet_of(const uint8_t *data, size_t len, size_t segment)
{
    struct rte_mbuf *first = NULL, *last = NULL;
    for (size_t at = 0, k; at < len || !first; at += k) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(bed.rx);
        assert_non_null(m);
        k = segment && len - at > segment ? segment : len - at;
        if (k)
            memcpy(rte_pktmbuf_append(m, (uint16_t)k), data + at, k);
        if (first) {
            first->nb_segs++;
            first->pkt_len += (uint32_t)k;
        }
        *(first ? &last->next : &first) = m;
        last = m;
    }
    return first;
}

static void arrive(
    struct side *to, uint64_t conn, const uint8_t *data, size_t len, enum milgi_graph_mark mark, int error)
{
    struct rte_mbuf *m = packet_of(data, len, to->chain);
    if (to->clones && len) {
        struct rte_mbuf *clone = rte_pktmbuf_clone(m, bed.clones);
        assert_non_null(clone);
        rte_pktmbuf_free(m);
        m = clone;
    }
    *milgi_graph_tag(m) = (struct milgi_graph_tag){ .conn = conn, .mark = (uint8_t)mark, .error = error };
    list_add(&to->arriving, m);
}

void bed_arrive(struct side *s, uint64_t conn, const void *data, size_t len, enum milgi_graph_mark mark, int error)
{
    arrive(s, conn, data, len, mark, error);
}

/* What has been put out comes to the connection of the same place on the other side. */
static uint16_t wire(struct rte_graph *graph, struct rte_node *node, void **mbufs, uint16_t n)
{
    struct side *from = side_of(graph), *to = from == client ? server : client;
    (void)node;
    from->largest = n > from->largest ? n : from->largest;
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = mbufs[i];
        const struct milgi_graph_tag *tag = milgi_graph_tag(m);
        unsigned c = place_of(from, tag->conn);
        assert_true(c < from->conns);
        from->finished += tag->mark == MILGI_GRAPH_END;
        for (uint32_t at = 0, len; at < m->data_len && !from->cut; at += len) {
            len = RTE_MIN((uint32_t)m->data_len - at, (uint32_t)bed.packet);
            arrive(to, to->conn[c], rte_pktmbuf_mtod_offset(m, uint8_t *, at), len, MILGI_GRAPH_DATA, 0);
        }
        if (from->keep_output)
            list_add(&from->kept_output, m);
        else
            rte_pktmbuf_free(m);
    }
    return n;
}

static void got(struct side *s, struct rte_mbuf *m)
{
    size_t *at = &s->got_of[place_of(s, milgi_graph_tag(m)->conn) % CONNS_MAX];
    *at += m->data_len;
    if (s->checks) {
        s->got_len += m->data_len;
        if (!is_pattern(rte_pktmbuf_mtod(m, const uint8_t *), *at - m->data_len, m->data_len))
            fail_msg("%u bytes before the %zuth are wrong", m->data_len, *at);
        return;
    }
    if (s->got_len + m->data_len > s->got_cap) {
        s->got_cap = (s->got_len + m->data_len) * 2;
        s->got = realloc(s->got, s->got_cap);
        assert_non_null(s->got);
    }
    if (m->data_len)
        memcpy(s->got + s->got_len, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
    s->got_len += m->data_len;
}

static uint16_t app(struct rte_graph *graph, struct rte_node *node, void **mbufs, uint16_t n)
{
    struct side *s = side_of(graph);
    s->largest = n > s->largest ? n : s->largest;
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = mbufs[i];
        struct milgi_graph_tag *tag = milgi_graph_tag(m);
        s->opened += tag->mark == MILGI_GRAPH_OPEN;
        s->ended += tag->mark == MILGI_GRAPH_END;
        s->closed += tag->mark == MILGI_GRAPH_CLOSED;
        if (tag->mark == MILGI_GRAPH_CLOSED)
            s->error = tag->error;
        if (s->echo && tag->mark <= MILGI_GRAPH_END && tag->mark != MILGI_GRAPH_OPEN) {
            rte_node_enqueue_x1(graph, node, 0, m);
            continue;
        }
        got(s, m);
        if (s->keep && m->data_len)
            list_add(&s->kept, m);
        else
            rte_pktmbuf_free(m);
    }
    return n;
}

static uint16_t other_app(struct rte_graph *graph, struct rte_node *node, void **mbufs, uint16_t n)
{
    side_of(graph)->other += n;
    return app(graph, node, mbufs, n);
}

static struct rte_node_register source_node = {
    .name = "test-source",
    .process = source,
    .flags = RTE_NODE_SOURCE_F,
    .nb_edges = 1,
    .next_nodes = { "milgi-net-input" },
};
RTE_NODE_REGISTER(source_node);
static struct rte_node_register wire_node = { .name = "test-wire", .process = wire };
RTE_NODE_REGISTER(wire_node);
static struct rte_node_register app_node = {
    .name = "test-app", .process = app, .nb_edges = 1, .next_nodes = { "milgi-app-input" }
};
RTE_NODE_REGISTER(app_node);
static struct rte_node_register other_node = {
    .name = "test-other", .process = other_app, .nb_edges = 1, .next_nodes = { "milgi-app-input" }
};
RTE_NODE_REGISTER(other_node);

/* --- the bed ---------------------------------------------------------------------------------------------------- */

void bed_setup(void)
{
    cpu_set_t cpus;
    char lcores[256], all[64] = "";
    char *words[] = { "graph", "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "--log-level=3", "-m", "192",
        "--lcores", lcores, NULL };
    assert(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
    for (unsigned cpu = 0, n = 0; cpu < CPU_SETSIZE && n < 8; cpu++) {
        if (CPU_ISSET(cpu, &cpus))
            snprintf(all + strlen(all), sizeof all - strlen(all), "%s%u", n++ ? "," : "", cpu);
    }
    snprintf(lcores, sizeof lcores, "0@(%s),1@(%s),2@(%s)", all, all, all); /* two for a scheduler */
    if (rte_eal_init((int)RTE_DIM(words) - 1, words) < 0) {
        printf("not tested: EAL does not begin here\n");
        exit(SKIPPED);
    }
    bed.rx = rte_pktmbuf_pool_create("test-rx", RX, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
    bed.clones = rte_pktmbuf_pool_create("test-clones", RX, 0, 0, 0, SOCKET_ID_ANY);
    if (!bed.rx || !bed.clones) {
        printf("not tested: DPDK has no memory for packets\n");
        exit(SKIPPED);
    }
}

static struct milgi_config *config_of(const struct bed_options *o, enum milgi_role role)
{
    struct milgi_config *config = configs_begin(role, role == MILGI_SERVER ? bed.peers.leaf : NULL,
        role == MILGI_CLIENT ? bed.peers.root : NULL);
    if (o->credit)
        assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_CREDIT, o->credit), 0);
    if (o->output)
        assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_OUTPUT, o->output), 0);
    if (o->record)
        assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_RECORD, o->record), 0);
    return configs_freeze(config);
}

static uint64_t monotonic(void *ctx)
{
    (void)ctx;
    return bed.now_ns;
}

static void begin_side(struct side *s, const struct bed_options *o)
{
    struct milgi_graph_options options;
    struct milgi_engine_options engine;
    const char *patterns[] = { "test-source", "milgi-*", "test-app", "test-other", "test-wire" };
    struct rte_graph_param param = {
        .socket_id = SOCKET_ID_ANY, .nb_node_patterns = RTE_DIM(patterns), .node_patterns = patterns
    };
    milgi_engine_options_init(&engine);
    engine.completion = MILGI_COMPLETION_BUSY;
    engine.clock.monotonic_ns = monotonic;
    engine.memory_limit = o->memory ? o->memory : engine.memory_limit;
    assert_int_equal(milgi_engine_new(&engine, &s->engine), 0);
    if (bed.device) {
        int index = milgi_engine_add_device(s->engine, bed.device);
        assert_true(index > 0);
        assert_int_equal(milgi_engine_route(s->engine, UINT32_MAX, (unsigned)index, 1), 0);
    }
    milgi_graph_options_init(&options);
    options.name = names[s->role];
    options.engine = s->engine;
    options.next_node = "test-app";
    options.output_node = "test-wire";
    options.vector = o->vector ? o->vector : options.vector;
    options.segment = o->segment ? o->segment : options.segment;
    options.packets = o->packets ? o->packets : options.packets;
    options.held_max = o->held_max ? o->held_max : options.held_max;
    assert_int_equal(milgi_graph_new(&options, &s->graph), 0);
    assert_int_equal(milgi_graph_set_next_node(s->graph, 0, "test-other"), 0);
    assert_int_equal(milgi_graph_set_next_node(s->graph, 0, "test-app"), 0);
    s->id = rte_graph_create(options.name, &param);
    assert_int_not_equal(s->id, RTE_GRAPH_ID_INVALID);
    s->rte = rte_graph_lookup(options.name);
    struct milgi_config *config = config_of(o, s->role);
    for (s->conns = 0; s->conns < (o->conns ? o->conns : 1); s->conns++) {
        uint64_t *conn = &s->conn[s->conns];
        assert_int_equal(s->role == MILGI_SERVER ? milgi_graph_accept(s->graph, config, conn)
                                                 : milgi_graph_connect(s->graph, config, "server.test", conn),
            0);
    }
    milgi_config_unref(config);
}

void bed_begin(const struct bed_options *options)
{
    static const struct bed_options none;
    memset(bed.side, 0, sizeof bed.side);
    bed.now_ns = 1000000000;
    bed.packet = options && options->packet ? options->packet : PACKET;
    const char *spec = options ? options->device : NULL, *why = "";
    bed.device = NULL;
    if (spec && milgi_device_new(spec, &bed.device, &why) != 0)
        fail_msg("%s: %s", spec, why);
    for (int role = 0; role < 2; role++) {
        bed.side[role].role = (enum milgi_role)role;
        begin_side(&bed.side[role], options ? options : &none);
    }
    bed_settle();
    assert_int_equal(client->opened, client->conns);
    assert_int_equal(server->opened, server->conns);
}

static void free_side(struct side *s)
{
    list_clear(&s->kept);
    list_clear(&s->kept_output);
    list_clear(&s->arriving);
    assert_int_equal(rte_graph_destroy(s->id), 0);
    assert_int_equal(milgi_graph_free(s->graph), 0);
    assert_int_equal(milgi_engine_free(s->engine), 0);
    free(s->got);
}

void bed_end(void)
{
    free_side(client);
    free_side(server);
    milgi_device_free(bed.device);
    assert_int_equal(rte_mempool_in_use_count(bed.rx), 0);
    assert_int_equal(rte_mempool_in_use_count(bed.clones), 0);
}

static uint64_t moved(const struct side *s)
{
    struct milgi_graph_stats stats = bed_stats(s);
    return stats.in + stats.out + stats.app + stats.app_in + s->opened + s->ended + s->closed + s->finished;
}

bool bed_walk(void)
{
    uint64_t before = moved(client) + moved(server);
    bed.now_ns += WALK_NS;
    for (int role = 0; role < 2; role++)
        rte_graph_walk(bed.side[role].rte);
    return moved(client) + moved(server) != before;
}

void bed_walk_until(const size_t *what, size_t wanted)
{
    while (*what < wanted)
        bed_walk();
}

/* Devices that work by themselves may need a while for nothing that is seen. */
void bed_settle(void)
{
    for (unsigned idle = 0; idle < IDLE_WALKS;) {
        bool busy = bed_walk();
        for (int role = 0; role < 2; role++) {
            struct milgi_run_result r = milgi_graph_result(bed.side[role].graph);
            busy |= r.next == MILGI_RUN_AGAIN && bed.device;
        }
        idle = busy ? 0 : idle + (bed.device ? 1 : IDLE_WALKS / 20);
    }
}

struct milgi_graph_stats bed_stats(const struct side *s)
{
    struct milgi_graph_stats stats;
    milgi_graph_stats(s->graph, &stats);
    return stats;
}

/* --- from the application --------------------------------------------------------------------------------------- */

static void hand(struct side *s, struct rte_mbuf *m)
{
    struct rte_node *node = rte_graph_node_get_by_name(names[s->role], "milgi-app-input");
    void *mbufs[1] = { m };
    assert_non_null(node);
    node->process(s->rte, node, mbufs, 1);
}

void bed_send(struct side *s, uint64_t conn, size_t at, size_t len)
{
    uint8_t data[PAYLOAD];
    for (size_t k; len > 0; at += k, len -= k) {
        k = len < sizeof data ? len : sizeof data;
        pattern_fill(data, at, k);
        struct rte_mbuf *m = packet_of(data, k, 0);
        *milgi_graph_tag(m) = (struct milgi_graph_tag){ .conn = conn, .mark = MILGI_GRAPH_DATA };
        hand(s, m);
    }
}

size_t bed_send_some(struct side *s, uint64_t conn, size_t at, size_t len)
{
    const struct side *to = s == client ? server : client;
    while (at < len && to->arriving.n < WIRE && !milgi_graph_output_full(s->graph, conn)) {
        size_t k = len - at < PAYLOAD ? len - at : PAYLOAD;
        bed_send(s, conn, at, k);
        at += k;
    }
    return at;
}

void bed_mark(struct side *s, uint64_t conn, enum milgi_graph_mark mark)
{
    struct rte_mbuf *m = packet_of(NULL, 0, 0);
    *milgi_graph_tag(m) = (struct milgi_graph_tag){ .conn = conn, .mark = (uint8_t)mark };
    hand(s, m);
}
