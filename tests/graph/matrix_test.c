/* SPDX-License-Identifier: Apache-2.0 */
/* See matrix.h. ctest-timeout: 900 */
#include "bed.h"
#include "matrix.h"

#include <stdio.h>

#define FEW_MBUFS 4000u /* are left: what is there goes on first */

struct end {
    struct side *side;
    unsigned place;
    size_t send_len, sent_len;
    bool marks_end;
};

static struct side *client = &bed.side[MILGI_CLIENT], *server = &bed.side[MILGI_SERVER];
static struct end all[2 * MATRIX_CROWD];
static unsigned all_n;
static struct bed_options options;
static size_t kept_at; /* what has been freed of what the server keeps */

static void begin(const char *device, bool full)
{
    (void)full; /* a walk takes as long as that of any other machine */
    options = (struct bed_options){ .device = device };
    all_n = 0;
}

static void connect_all(struct end **ends, unsigned n)
{
    options.conns = n;
    bed_begin(&options);
    client->checks = server->checks = true;
    memset(all, 0, sizeof all);
    for (all_n = 0; all_n < 2 * n; all_n++) {
        ends[all_n] = &all[all_n];
        all[all_n] = (struct end){ .side = all_n % 2 ? server : client, .place = all_n / 2 };
    }
}

static void crumbs(size_t most)
{
    options.packet = bed.packet = most < 3 ? 3 : most; /* all of them are mbufs at once */
}

static void send_more(struct end *e)
{
    struct side *s = e->side;
    if (rte_mempool_avail_count(bed.rx) < FEW_MBUFS)
        return;
    e->sent_len = bed_send_some(s, s->conn[e->place], e->sent_len, e->send_len);
    if (e->marks_end && e->sent_len == e->send_len) {
        e->marks_end = false;
        bed_mark(s, s->conn[e->place], MILGI_GRAPH_END);
    }
}

static void turn(bool waits)
{
    (void)waits;
    for (unsigned i = 0; i < all_n; i++) {
        if (all[i].sent_len < all[i].send_len || all[i].marks_end)
            send_more(&all[i]);
    }
    bed_walk();
}

static unsigned streams(void)
{
    return client->conns - client->closed + server->conns - server->closed;
}

/* The host closes them, and then there is nothing of them. */
static void rest(void)
{
    for (unsigned i = 0; i < all_n; i++)
        milgi_graph_close(all[i].side->graph, all[i].side->conn[all[i].place]);
    while (bed_stats(client).conns + bed_stats(server).conns)
        turn(true);
}

static struct milgi_engine *engine(unsigned i)
{
    return i < 2 ? bed.side[i].engine : NULL;
}

/* Marks are counted for all connections of a side. */
static struct matrix_state state(const struct end *e)
{
    const struct side *s = e->side;
    return (struct matrix_state){ .sent_len = e->sent_len,
        .got_len = s->got_of[e->place],
        .opened = s->opened == s->conns,
        .ended = s->ended == s->conns,
        .closed = s->closed == s->conns };
}

static void sends(struct end *e, size_t len, bool last)
{
    e->send_len = len;
    e->marks_end = last;
}

static void hold(struct end *e, bool on)
{
    e->side->keep = on;
    if (on) {
        kept_at = 0;
        return;
    }
    for (; kept_at < e->side->kept.n; kept_at++) {
        assert_int_equal(e->side->kept.m[kept_at]->data_len, 0); /* marks are all that may be left */
        rte_pktmbuf_free(e->side->kept.m[kept_at]);
    }
    e->side->kept.n = 0;
}

/* One mbuf is freed. */
static size_t take(struct end *e, size_t most)
{
    struct list *kept = &e->side->kept;
    if (kept_at == kept->n)
        return 0;
    size_t len = kept->m[kept_at]->data_len;
    assert_true(len <= most);
    rte_pktmbuf_free(kept->m[kept_at++]);
    return len;
}

static void in_order(const struct end *e)
{
    assert_int_equal(e->side->ended, e->side->conns);
    assert_int_equal(e->side->closed, e->side->conns);
    assert_int_equal(e->side->error, 0);
}

/* By turns: closed by the host, cut by the transport, and nothing at all before everything ends. */
static void end_suddenly(const char *device)
{
    for (unsigned when = 0; when < (matrix_full ? 200u : 12u); when += matrix_full ? 1 : 2) {
        bed_begin(&(struct bed_options){ .device = device, .conns = 2 });
        server->keep = server->keep_output = when % 2;
        for (unsigned walk = 0; walk < when; walk++) {
            bed_send(client, client->conn[0], walk * 7000, 7000);
            bed_send(server, server->conn[1], walk * 7000, 7000);
            bed_walk();
        }
        if (when % 3 == 0) {
            milgi_graph_close(client->graph, client->conn[1]);
            milgi_graph_close(server->graph, server->conn[0]);
        } else if (when % 3 == 1) {
            bed_arrive(server, server->conn[0], NULL, 0, MILGI_GRAPH_END, 104);
            bed_arrive(client, client->conn[1], NULL, 0, MILGI_GRAPH_END, 0);
        }
        for (unsigned walk = 0; walk < when % 5; walk++)
            bed_walk();
        bed_end();
    }
}

int main(void)
{
    static const struct matrix_host host = {
        .open = begin,
        .close = bed_end,
        .connect = connect_all,
        .crumbs = crumbs,
        .turn = turn,
        .rest = rest,
        .streams = streams,
        .engine = engine,
        .state = state,
        .send = sends,
        .hold = hold,
        .take = take,
        .in_order = in_order,
        .sudden_ends = end_suddenly, /* with what hosts of a graph alone can hold, and where they alone can end */
        .unread_max = (256 + 64 + 16) << 10,
        .under_way = 3u << 20,
    };
    bed_setup();
    configs_pair_begin(&bed.peers, IDENTITY_P256);
    unsigned before = descriptors();
    int failed = matrix_run(&host);
    if (!failed && descriptors() != before) {
        printf("%u descriptors are left\n", descriptors() - before);
        failed = 1;
    }
    configs_pair_end(&bed.peers);
    return failed;
}
