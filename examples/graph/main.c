/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An echo server in a packet graph of DPDK's, without huge pages and cards: the transport is sockets of the kernel's.
 *
 *   socket-input --> milgi-net-input        milgi-crypto-input --> milgi-app-output --> echo --> milgi-app-input
 *                                                   '------------> socket-output
 *
 *   example_graph CHAIN.pem KEY.pem [DEVICE]     prints its port; ends with its standard input
 */
#include <errno.h>
#include <milgi_graph.h>
#include <netinet/in.h>
#include <rte_eal.h>
#include <rte_graph_worker.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define PEERS 1000
#define READS 16
#define PATIENCE 10 /* seconds in which a peer takes nothing, after which a connection that has ended is given up */

static struct peer {
    uint64_t conn;
    struct rte_mbuf *first, *last; /* output that the kernel has not taken, linked by |next| */
    time_t moved;
    bool readable, eof, closed, finished, failed;
} peers[PEERS]; /* by descriptor; edge-triggered, so that who is not read is heard of once */
static struct milgi_graph *milgi;
static struct milgi_config *config;
static struct rte_mempool *packets;
static int listener, ready;

static void end(struct peer *p)
{
    for (struct rte_mbuf *m = p->first, *next; m; m = next) {
        next = m->next;
        rte_pktmbuf_free_seg(m);
    }
    milgi_graph_close(milgi, p->conn);
    *p = (struct peer){ 0 };
    close((int)(p - peers));
}

static void take_connections(void)
{
    int fd = 0;
    while (peers[listener].readable && (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1) {
        struct epoll_event event = { EPOLLIN | EPOLLOUT | EPOLLET, { .fd = fd } };
        struct peer *p = fd < PEERS ? &peers[fd] : NULL;
        if (!p || milgi_graph_accept(milgi, config, &p->conn) != 0) {
            close(fd);
            continue;
        }
        milgi_graph_set_arg(milgi, p->conn, p);
        p->moved = time(NULL);
        epoll_ctl(ready, EPOLL_CTL_ADD, fd, &event);
    }
    peers[listener].readable &= fd != -1 || errno != EAGAIN; /* want of descriptors perhaps: again in a second */
}

/* One read; NULL: nothing now. */
static struct rte_mbuf *receive(struct peer *p)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(packets);
    if (!m)
        return NULL; /* some are inside, and come back */
    ssize_t n = recv((int)(p - peers), rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        p->readable = false;
        rte_pktmbuf_free(m);
        return NULL;
    }
    p->eof = n <= 0;
    m->data_len = (uint16_t)RTE_MAX(n, 0);
    m->pkt_len = m->data_len;
    *milgi_graph_tag(m) = (struct milgi_graph_tag){
        .conn = p->conn, .mark = p->eof ? MILGI_GRAPH_END : MILGI_GRAPH_DATA, .error = n < 0 ? errno : 0
    };
    return m;
}

/* A source: what has come, of each no more than its connection takes now. */
static uint16_t socket_input(struct rte_graph *graph, struct rte_node *node, void **none, uint16_t n)
{
    take_connections();
    for (struct peer *p = peers; p < peers + PEERS; p++) {
        struct rte_mbuf *m;
        size_t window = p->conn ? milgi_graph_window(milgi, p->conn) : 0;
        for (int i = 0; i < READS && window && p->readable && !p->eof && (m = receive(p)); i++, n++) {
            window -= RTE_MIN(window, m->pkt_len);
            rte_node_enqueue_x1(graph, node, 0, m);
        }
    }
    return (void)none, n;
}

/* What the kernel has is freed, and counts as sent. */
static void flush(struct peer *p)
{
    for (struct rte_mbuf *m = p->first; m && !p->failed; m = p->first) {
        ssize_t n = send((int)(p - peers), rte_pktmbuf_mtod(m, void *), m->data_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        p->failed = n < 0 && errno != EAGAIN; /* nobody is left to echo to */
        if (n < 0)
            return;
        p->moved = time(NULL);
        if (n < m->data_len) {
            rte_pktmbuf_adj(m, (uint16_t)n);
            continue;
        }
        p->first = m->next;
        m->next = NULL;
        rte_pktmbuf_free_seg(m);
    }
}

static uint16_t socket_output(struct rte_graph *graph, struct rte_node *node, void **mbufs, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        struct rte_mbuf *m = mbufs[i];
        struct peer *p = milgi_graph_arg(milgi, milgi_graph_tag(m)->conn);
        p->finished |= milgi_graph_tag(m)->mark == MILGI_GRAPH_END;
        if (!m->data_len) {
            rte_pktmbuf_free(m);
            continue;
        }
        *(p->first ? &p->last->next : &p->first) = m;
        p->last = m;
        flush(p);
    }
    return (void)graph, (void)node, n;
}

/* The next layer: bytes and ends go back; credit comes back when they have gone. */
static uint16_t echo(struct rte_graph *graph, struct rte_node *node, void **mbufs, uint16_t n)
{
    for (uint16_t i = 0; i < n; i++) {
        enum milgi_graph_mark mark = milgi_graph_tag(mbufs[i])->mark;
        struct peer *p = milgi_graph_arg(milgi, milgi_graph_tag(mbufs[i])->conn);
        p->closed |= mark == MILGI_GRAPH_CLOSED;
        if (mark == MILGI_GRAPH_DATA || mark == MILGI_GRAPH_END)
            rte_node_enqueue_x1(graph, node, 0, mbufs[i]);
        else
            rte_pktmbuf_free(mbufs[i]);
    }
    return n;
}

static struct rte_node_register input_node = {
    "socket-input", RTE_NODE_SOURCE_F, socket_input, .nb_edges = 1, .next_nodes = { "milgi-net-input" }
};
static struct rte_node_register output_node = { .name = "socket-output", .process = socket_output };
static struct rte_node_register echo_node = { "echo", 0, echo, .nb_edges = 1, .next_nodes = { "milgi-app-input" } };
RTE_NODE_REGISTER(input_node);
RTE_NODE_REGISTER(output_node);
RTE_NODE_REGISTER(echo_node);

/* Ends who is over; true: somebody has bytes that can be read now. */
static bool look_round(void)
{
    bool more = false;
    for (struct peer *p = peers; p < peers + PEERS; p++) {
        if (!p->conn)
            continue;
        flush(p);
        if (p->finished && !p->first)
            shutdown((int)(p - peers), SHUT_WR); /* what still comes is read, so that no reset overtakes the end */
        bool over = p->closed && ((p->eof && !p->first) || time(NULL) - p->moved > PATIENCE);
        if (p->failed || over)
            end(p);
        else
            more |= p->readable && !p->eof && milgi_graph_window(milgi, p->conn);
    }
    return more;
}

static bool begin(char **argv, int argc, struct milgi_engine **engine)
{
    char lcore[16];
    char *eal[] = { argv[0], "--no-huge", "--no-pci", "--no-telemetry", "--no-shconf", "--log-level=3", "-m128",
        "--lcores", lcore };
    struct milgi_credential *credential;
    struct milgi_device *device;
    struct milgi_graph_options options;
    const char *why = "", *nodes[] = { "socket-input", "milgi-*", "echo", "socket-output" };
    struct rte_graph_param param = { .socket_id = SOCKET_ID_ANY, .nb_node_patterns = 4, .node_patterns = nodes };
    snprintf(lcore, sizeof lcore, "0@%d", sched_getcpu());
    config = milgi_config_new(MILGI_SERVER);
    if (argc >= 3 && rte_eal_init((int)RTE_DIM(eal), eal) < 0)
        exit(77); /* no DPDK here; EAL has said why */
    if (argc < 3 || milgi_engine_new(NULL, engine) ||
        milgi_credential_new_file(argv[1], argv[2], &credential) || milgi_config_add_credential(config, credential) ||
        milgi_config_freeze(config, NULL))
        return false;
    milgi_credential_unref(credential);
    packets = rte_pktmbuf_pool_create("packets", 2047, 0, 0, 18432 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
    if (argc > 3) {
        int index = milgi_device_new(argv[3], &device, &why) ? -1 : milgi_engine_add_device(*engine, device);
        if (index < 0 || milgi_engine_route(*engine, UINT32_MAX, (unsigned)index, 0))
            return fprintf(stderr, "%s: %s\n", argv[3], why), false;
    }
    milgi_graph_options_init(&options);
    options.name = "echo";
    options.engine = *engine;
    options.next_node = "echo";
    options.output_node = "socket-output";
    return packets && !milgi_graph_new(&options, &milgi) && rte_graph_create("echo", &param) != RTE_GRAPH_ID_INVALID;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct milgi_engine *engine;
    struct epoll_event event[64];
    if (!begin(argv, argc, &engine))
        return 1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ready = epoll_create1(0);
    if (listener >= PEERS || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128) ||
        getsockname(listener, (struct sockaddr *)&at, &(socklen_t){ sizeof at }))
        return 1;
    for (int i = 0, f[] = { listener, milgi_engine_fd(engine), STDIN_FILENO }; i < 3; i++)
        epoll_ctl(ready, EPOLL_CTL_ADD, f[i], &(struct epoll_event){ i ? EPOLLIN : EPOLLIN | EPOLLET, { .fd = f[i] } });
    dprintf(STDOUT_FILENO, "port %d\n", ntohs(at.sin_port));
    for (bool over = false; !over;) {
        rte_graph_walk(rte_graph_lookup("echo"));
        struct milgi_run_result r = milgi_graph_result(milgi);
        uint64_t now = milgi_engine_now(engine), due = r.next == MILGI_RUN_WAIT ? r.deadline_ns : now;
        int ms = r.next == MILGI_RUN_IDLE ? 1000 : (int)(due > now ? (due - now) / 1000000 + 1 : 0);
        for (int i = 0, n = epoll_wait(ready, event, 64, look_round() ? 0 : RTE_MIN(ms, 1000)); i < n; i++)
            peers[event[i].data.fd % PEERS].readable |= (event[i].events & ~(uint32_t)EPOLLOUT) != 0,
                over |= event[i].data.fd == STDIN_FILENO;
    }
    return 0; /* connections are left without a close_notify: nobody takes that for an end in order */
}
