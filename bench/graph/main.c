/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a packet costs that carries one record, from the transport's node to the application's, by the size of the
 * vectors: in a packet graph, and beside it the same engine fed without one, by lent memory and by a copy.
 *
 *   bench_graph [ROUNDS] [DEVICE]
 */
#include <stdlib.h>
#include <string.h>

#include <milgi_graph.h>

#include <rte_eal.h>
#include <rte_graph_worker.h>
#include <rte_mbuf.h>

#include "bench.h"

#define PACKETS 2048u /* of a round */
#define OVERHEAD 22u  /* of a record: header, type, tag */
#define ROUNDS 30u

enum way {
    GRAPH,
    LENT,
    COPIED
};
static const char *const way_names[] = { "graph", "lent, no graph", "copied, no graph" };

static struct {
    enum way way;
    uint16_t vector;
    struct milgi_graph *milgi;
    struct milgi_engine *engine, *peer;
    struct milgi_conn *conn, *client; /* conn: without a graph */
    uint64_t id;
    struct rte_mbuf *packet[PACKETS];
    size_t packets, at, sealed; /* sealed: bytes of a record; 0: the handshake goes on */
    uint64_t got;
    uint8_t wire[PACKETS * 2048];
    size_t wire_len;
} b;
static struct rte_mempool *pool;

static void must(bool ok, const char *what)
{
    if (!ok)
        bench_die("graph: %s", what);
}

static void to_client(const void *data, size_t len)
{
    struct milgi_chunk *chunk = milgi_chunk_new(b.peer, len);
    must(chunk, "no memory");
    memcpy(milgi_chunk_data(chunk), data, len);
    milgi_conn_receive(b.client, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)len });
}

/* --- nodes ------------------------------------------------------------------------------------------------------ */

static uint16_t source(struct rte_graph *graph, struct rte_node *node, void **none, uint16_t n)
{
    n = milgi_graph_window(b.milgi, b.id) ? (uint16_t)RTE_MIN((size_t)b.vector, b.packets - b.at) : 0;
    if (n)
        rte_node_enqueue(graph, node, 0, (void **)&b.packet[b.at], n);
    b.at += n;
    return (void)none, n;
}

static uint16_t sink(struct rte_graph *graph, struct rte_node *node, void **mbufs, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++)
        b.got += rte_pktmbuf_data_len((struct rte_mbuf *)mbufs[i]);
    rte_pktmbuf_free_bulk((struct rte_mbuf **)mbufs, n);
    return (void)graph, (void)node, n;
}

static uint16_t output(struct rte_graph *graph, struct rte_node *node, void **mbufs, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = mbufs[i];
        if (m->data_len)
            to_client(rte_pktmbuf_mtod(m, void *), m->data_len);
        rte_pktmbuf_free(m);
    }
    return (void)graph, (void)node, n;
}

static struct rte_node_register source_node = {
    .name = "bench-source",
    .process = source,
    .flags = RTE_NODE_SOURCE_F,
    .nb_edges = 1,
    .next_nodes = { "milgi-net-input" },
};
static struct rte_node_register sink_node = { .name = "bench-sink", .process = sink };
static struct rte_node_register output_node = { .name = "bench-output", .process = output };
RTE_NODE_REGISTER(source_node);
RTE_NODE_REGISTER(sink_node);
RTE_NODE_REGISTER(output_node);

/* --- without a graph -------------------------------------------------------------------------------------------- */

static void on_data(struct milgi_conn *conn, void *arg, const struct milgi_slice *slices, size_t n)
{
    (void)arg;
    for (size_t i = 0; i < n; i++)
        b.got += slices[i].len;
    milgi_conn_consumed(conn, SIZE_MAX);
}

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    (void)arg;
    for (size_t i = 0; i < n; i++) {
        to_client(iov[i].data, iov[i].len);
        milgi_conn_output_done(conn, iov[i].len);
    }
}

static void release(void *m)
{
    rte_pktmbuf_free_seg(m);
}

static void take(struct rte_mbuf *m)
{
    uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
    struct milgi_chunk *chunk;
    if (b.way == LENT) {
        chunk = milgi_chunk_lend(b.engine, data, rte_pktmbuf_data_len(m) + rte_pktmbuf_tailroom(m), release, m);
    } else {
        chunk = milgi_conn_chunk(b.conn, m->data_len);
        must(chunk, "no memory");
        data = memcpy(milgi_chunk_data(chunk), data, m->data_len);
    }
    milgi_conn_receive(b.conn, (struct milgi_slice){ chunk, data, m->data_len });
    if (b.way == COPIED)
        rte_pktmbuf_free(m);
}

static void step(struct rte_graph *graph)
{
    struct milgi_run_result r;
    if (b.way == GRAPH) {
        rte_graph_walk(graph);
        return;
    }
    for (unsigned i = 0; i < b.vector && b.at < b.packets && !milgi_conn_input_paused(b.conn); i++)
        take(b.packet[b.at++]);
    milgi_engine_run(b.engine, 0, &r);
}

/* --- the other end ---------------------------------------------------------------------------------------------- */

static void client_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    (void)arg;
    for (size_t i = 0; i < n; i++) {
        must(b.wire_len + iov[i].len <= sizeof b.wire, "the wire is full");
        memcpy(b.wire + b.wire_len, iov[i].data, iov[i].len);
        b.wire_len += iov[i].len;
        milgi_conn_output_done(conn, iov[i].len);
    }
}

/* What the client has put out becomes packets. */
static void cut(void)
{
    b.packets = b.at = 0;
    for (size_t at = 0, len; at < b.wire_len; at += len) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        len = RTE_MIN(b.wire_len - at, b.sealed ? b.sealed : 1448);
        must(m && b.packets < PACKETS, "no packets left");
        memcpy(rte_pktmbuf_append(m, (uint16_t)len), b.wire + at, len);
        *milgi_graph_tag(m) = (struct milgi_graph_tag){ .conn = b.id };
        b.packet[b.packets++] = m;
    }
    b.wire_len = 0;
}

static void run_client(void)
{
    struct milgi_run_result r;
    do
        milgi_engine_run(b.peer, 0, &r);
    while (r.next == MILGI_RUN_AGAIN);
    cut();
}

/* ns for a packet of a round. */
static double measure(struct rte_graph *graph, size_t payload)
{
    static uint8_t data[2048];
    struct milgi_run_result r;
    for (unsigned i = 0; i < PACKETS; i += 64) {
        for (unsigned k = 0; k < 64; k++)
            must(milgi_conn_write(b.client, data, payload) >= 0, "the client writes");
        milgi_engine_run(b.peer, 0, &r);
    }
    run_client();
    must(b.packets == PACKETS, "a packet is not a record");
    b.got = 0;
    uint64_t begin = bench_cpu_ns();
    while (b.got < PACKETS * payload)
        step(graph);
    return (double)(bench_cpu_ns() - begin) / PACKETS;
}

/* --- one case --------------------------------------------------------------------------------------------------- */

static struct milgi_config *config_of(enum milgi_role role, const struct bench_cert *cert, size_t payload)
{
    struct milgi_config *config = milgi_config_new(role);
    struct milgi_credential *credential = NULL;
    bool ok = !milgi_config_set_limit(config, MILGI_LIMIT_RECORD, payload) &&
        !milgi_config_set_limit(config, MILGI_LIMIT_OUTPUT, 8 << 20) &&
        !milgi_config_set_limit(config, MILGI_LIMIT_INPUT, 1 << 20) &&
        !milgi_config_set_limit(config, MILGI_LIMIT_CREDIT, 1 << 20);
    if (role == MILGI_SERVER)
        ok &= !milgi_credential_new_pem(cert->cert_pem, cert->cert_len, cert->key_pem, cert->key_len, &credential) &&
            !milgi_config_add_credential(config, credential) && !milgi_config_set_tickets(config, 0);
    else
        ok &= !milgi_config_dangerously_accept_any_server(config);
    must(ok && !milgi_config_freeze(config, NULL), "config");
    milgi_credential_unref(credential);
    return config;
}

static struct rte_graph *make_graph(const char *name, rte_graph_t *id)
{
    const char *nodes[] = { "bench-source", "milgi-net-input", "milgi-crypto-input", "bench-sink", "bench-output" };
    struct rte_graph_param param = { .socket_id = SOCKET_ID_ANY, .nb_node_patterns = 5, .node_patterns = nodes };
    struct milgi_graph_options o;
    milgi_graph_options_init(&o);
    o.name = name;
    o.engine = b.engine;
    o.next_node = "bench-sink";
    o.output_node = "bench-output";
    o.vector = b.vector;
    must(!milgi_graph_new(&o, &b.milgi), "milgi_graph_new()");
    *id = rte_graph_create(name, &param);
    must(*id != RTE_GRAPH_ID_INVALID, "rte_graph_create()");
    return rte_graph_lookup(name);
}

static void run_case(const struct bench_cert *cert, size_t payload, unsigned rounds, struct milgi_device *device)
{
    static const struct milgi_events server_events = { .on_output = on_output, .on_data = on_data };
    static const struct milgi_events client_events = { .on_output = client_output };
    struct milgi_config *server = config_of(MILGI_SERVER, cert, payload);
    struct milgi_config *client = config_of(MILGI_CLIENT, cert, payload);
    struct rte_graph *graph = NULL;
    rte_graph_t id = RTE_GRAPH_ID_INVALID;
    struct bench_samples samples = { 0 };
    struct milgi_conn_info info = { 0 };
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.completion = MILGI_COMPLETION_BUSY;
    must(!milgi_engine_new(&options, &b.engine) && !milgi_engine_new(&options, &b.peer), "engines");
    if (device) {
        int index = milgi_engine_add_device(b.engine, device);
        must(index > 0 && !milgi_engine_route(b.engine, UINT32_MAX, (unsigned)index, 1), "device");
    }
    graph = make_graph("bench", &id); /* for the tags, too */
    if (b.way == GRAPH)
        must(!milgi_graph_accept(b.milgi, server, &b.id), "connection");
    else
        must(!milgi_conn_new(b.engine, server, NULL, &server_events, NULL, &b.conn), "connection");
    must(!milgi_conn_new(b.peer, client, NULL, &client_events, NULL, &b.client), "client");
    b.sealed = 0;
    for (unsigned i = 0; i < 10000 && !info.established; i++) {
        run_client();
        do
            step(graph);
        while (b.at < b.packets);
        milgi_conn_info(b.way == GRAPH ? milgi_graph_conn(b.milgi, b.id) : b.conn, &info);
    }
    must(info.established, "no handshake");
    b.sealed = payload + OVERHEAD;
    for (unsigned i = 0; i < rounds; i++)
        bench_samples_add(&samples, measure(graph, payload));
    printf("%-18s %5zu bytes, vectors of %3u: %6.0f ns a packet (least %.0f)\n", way_names[b.way], payload,
        (unsigned)b.vector, bench_samples_median(&samples), bench_samples_min(&samples));
    bench_samples_free(&samples);
    milgi_conn_free(b.client);
    milgi_conn_free(b.conn);
    b.conn = NULL;
    rte_graph_destroy(id);
    must(!milgi_graph_free(b.milgi) && !milgi_engine_free(b.engine) && !milgi_engine_free(b.peer), "the end");
    milgi_config_unref(server);
    milgi_config_unref(client);
}

int main(int argc, char **argv)
{
    static const size_t payloads[] = { 256, 1400 };
    static const uint16_t vectors[] = { 1, 32, 256 };
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : ROUNDS;
    char lcore[16];
    char *eal[] = { argv[0], "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "--log-level=3", "-m256",
        "--lcores", lcore };
    int cpu = bench_pin(-1);
    struct milgi_device *device = NULL;
    const char *why = "";
    snprintf(lcore, sizeof lcore, "0@%d", cpu);
    must(rte_eal_init((int)RTE_DIM(eal), eal) >= 0, "EAL does not begin");
    pool = rte_pktmbuf_pool_create("bench", 8191, 256, 0, 2048 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
    must(pool, "no memory for packets");
    if (argc > 2 && milgi_device_new(argv[2], &device, &why))
        bench_die("%s: %s", argv[2], why);
    bench_machine_print(stdout, cpu);
    struct bench_cert cert = bench_cert_make(BENCH_ECDSA_P256);
    for (unsigned p = 0; p < 2; p++) {
        for (unsigned v = 0; v < 3; v++) {
            for (b.way = GRAPH; b.way <= COPIED; b.way++) {
                b.vector = vectors[v];
                run_case(&cert, payloads[p], rounds, device);
            }
        }
    }
    bench_cert_free(&cert);
    milgi_device_free(device);
    return 0;
}
