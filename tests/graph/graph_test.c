/* SPDX-License-Identifier: Apache-2.0 */
/* TLS from mbuf to mbuf: nothing is lost, copied or left, whatever the application and the transport do.
 * ctest-timeout: 120 */
#include "bed.h"

#include <pthread.h>
#include <string.h>

#define KIB ((size_t)1024)
#define STEP ((size_t)45 * PAYLOAD)

static struct side *client = &bed.side[MILGI_CLIENT], *server = &bed.side[MILGI_SERVER];

/* --- nothing is lost, and nothing copied -------------------------------------------------------------------------- */

static uint64_t copied_by(const struct side *s)
{
    struct milgi_engine_stats stats;
    milgi_engine_stats(s->engine, &stats);
    return stats.bytes_copied;
}

/* In packets of a record each, and the same in records that lie in several packets. */
static void echo(const struct bed_options *o, size_t total, size_t packet)
{
    bed_begin(o);
    bed.packet = packet;
    uint64_t before = copied_by(client) + copied_by(server);
    server->echo = true;
    for (size_t at = 0; at < total; at += STEP) {
        bed_send(client, client->conn[0], at, STEP);
        bed_settle();
    }
    assert_int_equal(client->got_len, total);
    assert_true(is_pattern(client->got, 0, total));
    assert_int_equal(bed_stats(client).copied + bed_stats(server).copied, 0);
    if (o->vector)
        assert_in_range(RTE_MAX(client->largest, server->largest), 1, o->vector);
    if (o->record)
        assert_int_equal(copied_by(client) + copied_by(server), before);
    bed_end();
}

static void an_echo_is_whole_and_not_copied_in_vectors_of_any_size(void **state)
{
    (void)state;
    static const uint16_t vectors[] = { 1, 32, 256 };
    for (unsigned i = 0; i < RTE_DIM(vectors); i++) {
        echo(&(struct bed_options){ .vector = vectors[i], .record = PAYLOAD, .segment = SEALED }, 5 * STEP, SEALED);
        echo(&(struct bed_options){ .vector = vectors[i] }, 5 * STEP, 300);
    }
}

/* Of many connections more comes at once than a vector has: what is handed on then are whole ones, both ways. */
static void a_vector_stays_one(void **state)
{
    static const uint16_t vectors[] = { 32, 64, 256 };
    const size_t each = (size_t)80 * PAYLOAD;
    (void)state;
    for (unsigned i = 0; i < RTE_DIM(vectors); i++) {
        bed_begin(&(struct bed_options){ .vector = vectors[i], .record = PAYLOAD, .segment = SEALED, .conns = 12 });
        server->vector = vectors[i];
        for (unsigned c = 0; c < client->conns; c++)
            bed_send(client, client->conn[c], 0, each);
        bed_settle();
        assert_int_equal(server->got_len, client->conns * each);
        assert_int_equal(server->largest, vectors[i]);
        assert_int_equal(client->largest, vectors[i]);
        bed_end();
    }
}

/* From the memory that packets came in, through a cryptodev, to the application. */
static void packets_are_not_copied_on_their_way_through_a_cryptodev(void **state)
{
    struct bed_options o = { .device = "dpdk:vdev=crypto_aesni_mb,memory=8m", .record = PAYLOAD, .segment = SEALED };
    struct milgi_engine_stats stats;
    (void)state;
    bed_begin(&o);
    bed.packet = SEALED;
    uint64_t before = copied_by(client) + copied_by(server);
    for (size_t at = 0; at < 5 * STEP; at += STEP) {
        bed_send(client, client->conn[0], at, STEP);
        bed_settle();
    }
    assert_int_equal(server->got_len, 5 * STEP);
    assert_true(is_pattern(server->got, 0, 5 * STEP));
    for (int role = 0; role < 2; role++) { /* sealed and opened there */
        milgi_engine_stats(bed.side[role].engine, &stats);
        assert_true(stats.device[1].ok >= 5 * STEP / PAYLOAD);
    }
    assert_int_equal(copied_by(client) + copied_by(server), before);
    assert_int_equal(bed_stats(client).copied + bed_stats(server).copied, 0);
    bed_end();
}

static void an_echo_is_whole_with_cryptodevs(void **state)
{
    (void)state;
    echo(&(struct bed_options){ .device = "dpdk:vdev=crypto_aesni_mb,memory=8m" }, 5 * STEP, PACKET);
    echo(&(struct bed_options){ .device = "dpdk:vdev=crypto_scheduler,workers=2,memory=8m" }, 5 * STEP, PACKET);
}

static void an_echo_is_whole_with_devices_that_fail_or_are_slow(void **state)
{
    (void)state;
    echo(&(struct bed_options){ .device = "pool:2" }, 3 * STEP, PACKET);
    struct bed_options o = { .device = "chaos:seed=7,refuse=0.2,fail=0.05,max_delay=100us,reorder=0.5" };
    echo(&o, 3 * STEP, PACKET);
}

static void output_is_cut_into_packets_where_that_is_wanted(void **state)
{
    (void)state;
    echo(&(struct bed_options){ .segment = 500 }, 2 * STEP, PACKET);
}

static void few_mbufs_are_enough(void **state)
{
    (void)state;
    echo(&(struct bed_options){ .packets = 7 }, 3 * STEP, PACKET);
    /* More records at once than there are mbufs, and little room for the answer: all are inside then. */
    echo(&(struct bed_options){ .packets = 4, .vector = 4, .record = PAYLOAD, .output = 16 * KIB }, 3 * STEP, SEALED);
    bed_begin(&(struct bed_options){ .packets = 4, .vector = 2, .record = PAYLOAD, .output = 16 * KIB, .conns = 8 });
    server->echo = client->checks = true;
    for (unsigned c = 0; c < client->conns; c++)
        bed_send(client, client->conn[c], 0, STEP);
    bed_settle();
    assert_int_equal(client->got_len, 8 * STEP);
    bed_end();
}

static void chains_are_taken_piece_by_piece_and_clones_copied(void **state)
{
    (void)state;
    bed_begin(NULL);
    server->chain = 700;
    bed_send(client, client->conn[0], 0, 100 * KIB);
    bed_settle();
    assert_int_equal(bed_stats(server).copied, 0);
    server->chain = 0;
    server->clones = true;
    bed_send(client, client->conn[0], 100 * KIB, 50 * KIB);
    bed_settle();
    assert_int_equal(server->got_len, 150 * KIB);
    assert_true(is_pattern(server->got, 0, 150 * KIB));
    assert_true(bed_stats(server).copied > 0);
    bed_end();
}

static void many_connections_share_the_vectors(void **state)
{
    (void)state;
    bed_begin(&(struct bed_options){ .conns = 100, .vector = 32 });
    server->echo = true;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned c = 0; c < client->conns; c++)
            bed_send(client, client->conn[c], 0, 700);
    }
    bed_settle();
    assert_int_equal(client->got_len, 300 * 700);
    for (unsigned i = 0; i < 300; i++)
        assert_true(is_pattern(client->got + (size_t)i * 700, 0, 700));
    bed_end();
}

/* --- backpressure ------------------------------------------------------------------------------------------------- */

static void an_application_that_keeps_its_mbufs_stops_the_transport(void **state)
{
    (void)state;
    const size_t credit = 32 * KIB, total = 2048 * KIB;
    bed_begin(&(struct bed_options){ .credit = credit, .output = 4096 * KIB });
    server->keep = true;
    bed_send(client, client->conn[0], 0, total);
    bed_settle();
    assert_true(server->got_len >= credit && server->got_len <= credit + 16 * KIB + 16 * KIB);
    assert_int_equal(milgi_graph_window(server->graph, server->conn[0]), 0);
    assert_true(server->arriving.n > 0);
    assert_int_equal(bed_stats(server).overrun, 0);
    size_t first = server->got_len;
    list_clear(&server->kept); /* that is the credit */
    bed_settle();
    assert_true(server->got_len > first && server->got_len < total);
    server->keep = false;
    list_clear(&server->kept);
    bed_settle();
    assert_int_equal(server->got_len, total);
    assert_true(is_pattern(server->got, 0, total));
    bed_end();
}

static void what_comes_in_spite_of_a_closed_window_is_held_and_then_ends_the_connection(void **state)
{
    (void)state;
    bed_begin(&(struct bed_options){ .credit = 32 * KIB, .output = 4096 * KIB, .held_max = 256 * 1024 });
    server->keep = server->blind = true;
    bed_send(client, client->conn[0], 0, 200 * KIB);
    bed_settle();
    assert_true(bed_stats(server).held > 0);
    assert_int_equal(server->closed, 0);
    bed_send(client, client->conn[0], 200 * KIB, 800 * KIB);
    bed_settle();
    assert_int_equal(bed_stats(server).overrun, 1);
    assert_int_equal(server->closed, 1);
    assert_int_equal(client->closed, 1);
    assert_int_equal(client->error, MILGI_EALERT);
    bed_end();
}

static void a_transport_that_keeps_output_stops_the_application(void **state)
{
    (void)state;
    bed_begin(&(struct bed_options){ .output = 64 * KIB });
    server->keep_output = true;
    bed_send(server, server->conn[0], 0, 1000 * KIB);
    bed_settle();
    assert_true(milgi_graph_output_full(server->graph, server->conn[0]));
    assert_true(client->got_len < 200 * KIB);
    assert_true(bed_stats(server).held > 0);
    server->keep_output = false;
    list_clear(&server->kept_output);
    bed_settle();
    assert_int_equal(client->got_len, 1000 * KIB);
    assert_true(is_pattern(client->got, 0, 1000 * KIB));
    bed_end();
}

/* --- shares ------------------------------------------------------------------------------------------------------- */

#define MBUFS 64u

static void send_in_tiny_records(struct side *from, uint64_t conn, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bed_send(from, conn, i, 1);
        bed_settle();
    }
}

static void tiny_records_that_are_kept_do_not_take_the_mbufs_of_others(void **state)
{
    (void)state;
    bed_begin(&(struct bed_options){ .conns = 3, .packets = MBUFS });
    server->keep = server->checks = true;
    for (unsigned c = 0; c < 2; c++) {
        send_in_tiny_records(client, client->conn[c], 3 * MBUFS);
        assert_in_range(server->got_of[c], 8, MBUFS / 2);
        assert_int_equal(milgi_graph_window(server->graph, server->conn[c]), 0);
    }
    assert_true(milgi_graph_window(server->graph, server->conn[2]) > 0);
    bed_send(client, client->conn[2], 0, 1000);
    bed_settle();
    assert_int_equal(server->got_of[2], 1000);
    server->keep = false;
    list_clear(&server->kept);
    bed_settle();
    assert_int_equal(server->got_len, 6 * MBUFS + 1000);
    assert_true(milgi_graph_window(server->graph, server->conn[0]) > 0);
    bed_end();
}

static void tiny_records_that_are_not_acknowledged_do_not_take_the_mbufs_of_others(void **state)
{
    (void)state;
    bed_begin(&(struct bed_options){ .conns = 3, .packets = MBUFS });
    client->checks = true;
    server->keep_output = true;
    for (unsigned c = 0; c < 2; c++) {
        send_in_tiny_records(server, server->conn[c], 3 * MBUFS);
        assert_in_range(client->got_of[c], 8, MBUFS / 2 + 1);
    }
    bed_send(server, server->conn[2], 0, 1000);
    bed_settle();
    assert_int_equal(client->got_of[2], 1000);
    server->keep_output = false;
    list_clear(&server->kept_output);
    bed_settle();
    assert_int_equal(client->got_len, 6 * MBUFS + 1000);
    bed_end();
}

/* What one has brought does not go before all that another has. */
static void connections_have_their_mbufs_by_turns(void **state)
{
    (void)state;
    static const uint16_t vectors[] = { 1, 32 };
    for (unsigned i = 0; i < RTE_DIM(vectors); i++) {
        bed_begin(&(struct bed_options){ .conns = 2, .vector = vectors[i], .record = 100 });
        server->checks = true;
        assert_int_equal(milgi_graph_set_next_node(server->graph, server->conn[1], "test-other"), 0);
        bed_send(client, client->conn[0], 0, 60000);
        bed_send(client, client->conn[1], 0, 100);
        for (unsigned walks = 0; walks < 2000; walks++)
            rte_graph_walk(client->rte); /* so that all of it comes together */
        for (unsigned walks = 0; !server->other; walks++) {
            rte_graph_walk(server->rte);
            assert_true(walks < 1000);
        }
        assert_in_range(server->got_of[0], 0, 100 * (vectors[i] + 16));
        bed_settle();
        assert_int_equal(server->got_len, 60100);
        bed_end();
    }
}

static void plaintext_leaves_some_to_output(void **state)
{
    (void)state;
    bed_begin(&(struct bed_options){ .conns = 100, .packets = MBUFS });
    server->keep = true;
    for (unsigned c = 0; c < client->conns; c++)
        bed_send(client, client->conn[c], 0, 100);
    bed_settle();
    assert_int_equal(server->kept.n, MBUFS - MBUFS / 4);
    bed_send(server, server->conn[99], 0, 1000);
    bed_settle();
    assert_int_equal(client->got_of[99], 1000);
    server->keep = false;
    list_clear(&server->kept);
    bed_settle();
    assert_int_equal(server->got_len, 100 * 100);
    bed_end();
}

/* --- a host that sleeps ------------------------------------------------------------------------------------------- */

static void sleeps_until(struct side *s, struct list *kept)
{
    bed_settle();
    assert_int_not_equal(milgi_graph_result(s->graph).next, MILGI_RUN_AGAIN);
    list_clear(kept);
    assert_int_equal(milgi_graph_result(s->graph).next, MILGI_RUN_AGAIN);
}

static void what_waits_for_room_or_credit_or_mbufs_keeps_nobody_awake(void **state)
{
    (void)state;
    bed_begin(&(struct bed_options){ .credit = 32 * KIB, .output = 4096 * KIB });
    server->keep = server->blind = true;
    bed_send(client, client->conn[0], 0, 200 * KIB);
    sleeps_until(server, &server->kept);
    assert_true(bed_stats(server).held > 0);
    bed_end();

    bed_begin(&(struct bed_options){ .output = 64 * KIB });
    server->keep_output = true;
    bed_send(server, server->conn[0], 0, 1000 * KIB);
    bed_mark(server, server->conn[0], MILGI_GRAPH_END);
    sleeps_until(server, &server->kept_output);
    assert_true(bed_stats(server).held > 0);
    bed_end();

    for (uint32_t packets = 1; packets < 8; packets += 3) {
        bed_begin(&(struct bed_options){ .packets = packets, .conns = 2 });
        server->keep = true;
        bed_send(client, client->conn[0], 0, 100 * KIB);
        bed_send(client, client->conn[1], 0, 100 * KIB);
        sleeps_until(server, &server->kept);
        bed_end();
    }
}

static struct milgi_chunk *taken[1024];
static size_t taken_n;

/* Down to the last byte of the server's. */
static void take_all_memory(void)
{
    struct milgi_chunk *chunk;
    for (size_t size = MILGI_CHUNK_MAX; size; size /= 2) {
        while (taken_n < RTE_DIM(taken) && (chunk = milgi_chunk_new(server->engine, size)) != NULL)
            taken[taken_n++] = chunk;
    }
}

static void give_memory_back(void)
{
    while (taken_n)
        milgi_chunk_unref(taken[--taken_n]);
}

/* Of memory nobody tells the graph: it looks by itself, and not always. */
static void what_waits_for_memory_is_looked_at_now_and_then(void **state)
{
    (void)state;
    bed_begin(&(struct bed_options){ .memory = 1024 * KIB });
    take_all_memory();
    server->clones = server->checks = true; /* which are copied */
    bed_send(client, client->conn[0], 0, 100 * KIB);
    bed_settle();
    struct milgi_run_result r = milgi_graph_result(server->graph);
    assert_true(bed_stats(server).held > 0);
    assert_int_equal(r.next, MILGI_RUN_WAIT);
    assert_in_range(r.deadline_ns, bed.now_ns + 1, bed.now_ns + 1000000);
    give_memory_back();
    bed_settle();
    assert_int_equal(server->got_len, 100 * KIB);
    bed_end();
}

/* A packet ends a record and begins another: the first is had, and looked at, though nothing else can be. */
static void a_record_that_is_begun_is_had_though_there_is_no_memory(void **state)
{
    (void)state;
    static const uint8_t begin[1000] = { 23, 3, 3, 0x40, 0x11 }, more[1448];
    size_t rest = 5 + 0x4011 - sizeof begin;
    bed_begin(&(struct bed_options){ .memory = 1024 * KIB });
    server->clones = true; /* which are copied */
    server->cut = true;
    bed_arrive(server, server->conn[0], begin, sizeof begin, MILGI_GRAPH_DATA, 0);
    bed_settle();
    take_all_memory();
    for (size_t len; rest; rest -= len) {
        len = rest < sizeof more ? rest : sizeof more;
        bed_arrive(server, server->conn[0], more, rest <= sizeof more - 1 ? len + 1 : len, MILGI_GRAPH_DATA, 0);
        bed_settle();
    }
    assert_int_equal(server->closed, 1);
    assert_int_equal(server->error, MILGI_EBADRECORD);
    give_memory_back();
    bed_end();
}

/* --- who frees them ----------------------------------------------------------------------------------------------- */

/* Freed in any order, they count in theirs. */
static void output_that_comes_back_out_of_order_is_counted_once(void **state)
{
    (void)state;
    bed_begin(&(struct bed_options){ .segment = 1000 });
    server->keep_output = true;
    bed_send(server, server->conn[0], 0, 100 * KIB);
    bed_settle();
    for (size_t i = 0, n = server->kept_output.n; i < n / 2; i++) {
        struct rte_mbuf *m = server->kept_output.m[i];
        server->kept_output.m[i] = server->kept_output.m[n - 1 - i];
        server->kept_output.m[n - 1 - i] = m;
    }
    list_clear(&server->kept_output);
    bed_settle();
    assert_int_equal(milgi_conn_output_pending(milgi_graph_conn(server->graph, server->conn[0])), 0);
    assert_int_equal(client->got_len, 100 * KIB);
    bed_end();
}

static void *free_there(void *arg)
{
    list_clear(arg);
    return NULL;
}

static void mbufs_may_be_freed_by_another_thread(void **state)
{
    (void)state;
    pthread_t thread;
    bed_begin(NULL);
    server->keep = server->keep_output = true;
    for (unsigned i = 0; i < 4; i++) {
        bed_send(client, client->conn[0], i * 100 * KIB, 100 * KIB);
        bed_send(server, server->conn[0], i * 100 * KIB, 100 * KIB);
        bed_settle();
        assert_true(bed_stats(server).mbufs > 0);
        assert_int_equal(pthread_create(&thread, NULL, free_there, &server->kept), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(pthread_create(&thread, NULL, free_there, &server->kept_output), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        bed_settle();
    }
    assert_int_equal(server->got_len, 400 * KIB);
    assert_int_equal(client->got_len, 400 * KIB);
    server->keep = server->keep_output = false;
    bed_end();
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static void each_direction_ends_by_itself_and_both_in_order(void **state)
{
    (void)state;
    bed_begin(NULL);
    bed_send(client, client->conn[0], 0, 100 * KIB);
    bed_mark(client, client->conn[0], MILGI_GRAPH_END);
    bed_settle();
    assert_int_equal(server->got_len, 100 * KIB);
    assert_int_equal(server->ended, 1);
    assert_int_equal(server->closed, 0);
    bed_send(server, server->conn[0], 0, 50 * KIB);
    bed_mark(server, server->conn[0], MILGI_GRAPH_END);
    bed_settle();
    assert_int_equal(client->got_len, 50 * KIB);
    for (int role = 0; role < 2; role++) {
        assert_int_equal(bed.side[role].closed, 1);
        assert_int_equal(bed.side[role].error, 0);
        assert_int_equal(bed.side[role].finished, 1);
    }
    bed_end();
}

static void an_end_goes_behind_what_is_held(void **state)
{
    (void)state;
    bed_begin(&(struct bed_options){ .output = 64 * KIB, .credit = 32 * KIB });
    server->keep = true;
    bed_send(client, client->conn[0], 0, 1000 * KIB);
    bed_mark(client, client->conn[0], MILGI_GRAPH_END);
    bed_settle();
    assert_int_equal(server->ended, 0);
    server->keep = false;
    list_clear(&server->kept);
    bed_settle();
    assert_int_equal(server->got_len, 1000 * KIB);
    assert_int_equal(server->ended, 1);
    bed_end();
}

static void a_cut_is_no_end(void **state)
{
    (void)state;
    bed_begin(NULL);
    bed_send(client, client->conn[0], 0, 10 * KIB);
    bed_settle();
    bed_arrive(server, server->conn[0], NULL, 0, MILGI_GRAPH_END, 0);
    bed_settle();
    assert_int_equal(server->got_len, 10 * KIB);
    assert_int_equal(server->ended, 0);
    assert_int_equal(server->closed, 1);
    assert_int_equal(server->error, MILGI_ETRUNCATED);
    assert_string_equal(milgi_graph_reason(server->graph, server->conn[0])->detail,
        "the transport ended without close_notify");
    bed_end();
}

static void nonsense_gets_its_alert(void **state)
{
    (void)state;
    static const char nonsense[] = "GET / HTTP/1.1\r\n\r\n";
    bed_begin(NULL);
    struct milgi_config *config = configs_freeze(configs_begin(MILGI_SERVER, bed.peers.leaf, NULL));
    assert_int_equal(milgi_graph_accept(server->graph, config, &server->conn[1]), 0);
    milgi_config_unref(config);
    server->conns = 2;
    server->cut = true;
    bed_arrive(server, server->conn[1], nonsense, sizeof nonsense, MILGI_GRAPH_DATA, 0);
    bed_settle();
    assert_int_equal(server->closed, 1);
    assert_int_equal(server->error, MILGI_EPROTO);
    assert_int_equal(server->finished, 1);
    bed_end();
}

/* Closed in the middle, with mbufs everywhere: they show what they showed until they are freed. */
static void a_connection_that_is_closed_leaves_its_mbufs_whole(void **state)
{
    (void)state;
    static const char *const devices[] = { NULL, "pool:2", "dpdk:vdev=crypto_aesni_mb,memory=8m" };
    for (unsigned i = 0; i < RTE_DIM(devices); i++) {
        bed_begin(&(struct bed_options){ .device = devices[i], .conns = 2 });
        server->keep = server->keep_output = true;
        bed_send(client, client->conn[0], 0, 100 * KIB);
        bed_send(server, server->conn[0], 0, 100 * KIB);
        bed_settle();
        bed_send(client, client->conn[0], 100 * KIB, 100 * KIB);
        bed_send(server, server->conn[0], 100 * KIB, 100 * KIB);
        bed_walk();
        uint8_t sum = 0, again = 0;
        size_t at = 0;
        for (size_t k = 0; k < server->kept_output.n; k++)
            sum ^= *rte_pktmbuf_mtod(server->kept_output.m[k], const uint8_t *);
        milgi_graph_close(server->graph, server->conn[0]);
        assert_null(milgi_graph_conn(server->graph, server->conn[0]));
        bed_settle();
        for (size_t k = 0; k < server->kept.n; k++) {
            const struct rte_mbuf *m = server->kept.m[k];
            assert_true(is_pattern(rte_pktmbuf_mtod(m, const uint8_t *), at, m->data_len));
            at += m->data_len;
        }
        for (size_t k = 0; k < server->kept_output.n; k++)
            again ^= *rte_pktmbuf_mtod(server->kept_output.m[k], const uint8_t *);
        assert_int_equal(again, sum);
        assert_int_equal(bed_stats(server).conns, 2);
        assert_int_equal(milgi_graph_free(server->graph), MILGI_EBUSY);
        list_clear(&server->kept);
        list_clear(&server->kept_output);
        bed_settle();
        assert_int_equal(bed_stats(server).mbufs, 0);
        assert_int_equal(bed_stats(server).conns, 0);
        bed_end();
    }
}

static void what_comes_for_who_is_gone_is_counted(void **state)
{
    (void)state;
    bed_begin(NULL);
    milgi_graph_close(server->graph, server->conn[0]);
    bed_send(client, client->conn[0], 0, 5000);
    bed_send(server, server->conn[0], 0, 5000);
    bed_settle();
    assert_int_equal(bed_stats(server).late, 4 + 4);
    assert_int_equal(server->got_len, 0);
    bed_end();
}

/* --- the next layer ----------------------------------------------------------------------------------------------- */

static void each_connection_may_have_another_next_node(void **state)
{
    (void)state;
    bed_begin(&(struct bed_options){ .conns = 2 });
    assert_int_equal(milgi_graph_set_next_node(server->graph, server->conn[1], "test-other"), 0);
    bed_send(client, client->conn[0], 0, 5000);
    bed_settle();
    assert_int_equal(server->other, 0);
    bed_send(client, client->conn[1], 0, 5000);
    bed_send(client, client->conn[0], 0, 5000);
    bed_settle();
    assert_int_equal(server->other, 4);
    assert_int_equal(server->got_len, 15000);
    assert_int_equal(milgi_graph_set_next_node(server->graph, server->conn[1], "nobody"), MILGI_EINVAL);
    assert_int_equal(milgi_graph_set_next_node(server->graph, server->conn[1], "test-wire"), MILGI_EINVAL);
    assert_int_equal(milgi_graph_set_next_node(server->graph, 4711, "test-other"), MILGI_EINVAL);
    bed_end();
}

static void what_was_given_behind_a_turn_asks_for_another(void **state)
{
    (void)state;
    bed_begin(NULL);
    assert_int_not_equal(milgi_graph_result(client->graph).next, MILGI_RUN_AGAIN);
    bed_send(client, client->conn[0], 0, 100);
    assert_int_equal(milgi_graph_result(client->graph).next, MILGI_RUN_AGAIN);
    bed_settle();
    assert_int_not_equal(milgi_graph_result(client->graph).next, MILGI_RUN_AGAIN);
    server->keep = true;
    bed_send(client, client->conn[0], 0, 100);
    bed_settle();
    list_clear(&server->kept); /* credit that came back */
    assert_int_equal(milgi_graph_result(server->graph).next, MILGI_RUN_AGAIN);
    bed_end();
}

static void a_connection_keeps_what_the_host_knows_of_it(void **state)
{
    (void)state;
    int mine;
    bed_begin(NULL);
    assert_null(milgi_graph_arg(server->graph, server->conn[0]));
    milgi_graph_set_arg(server->graph, server->conn[0], &mine);
    assert_ptr_equal(milgi_graph_arg(server->graph, server->conn[0]), &mine);
    milgi_graph_close(server->graph, server->conn[0]);
    assert_null(milgi_graph_arg(server->graph, server->conn[0]));
    bed_end();
}

static void a_graph_of_which_nothing_is_known_is_not_made(void **state)
{
    (void)state;
    const char *pattern = "milgi-*";
    struct rte_graph_param param = { .socket_id = SOCKET_ID_ANY, .nb_node_patterns = 1, .node_patterns = &pattern };
    assert_int_equal(rte_graph_create("unknown", &param), RTE_GRAPH_ID_INVALID);
    struct milgi_graph_options o;
    struct milgi_graph *graph;
    struct milgi_engine *engine;
    assert_int_equal(milgi_engine_new(NULL, &engine), 0);
    milgi_graph_options_init(&o);
    o.engine = engine;
    o.next_node = "test-app";
    o.output_node = "test-wire";
    assert_int_equal(milgi_graph_new(&o, &graph), MILGI_EINVAL);
    o.name = "twice";
    o.output_node = "nobody";
    assert_int_equal(milgi_graph_new(&o, &graph), MILGI_EINVAL);
    o.output_node = "test-wire";
    o.vector = 257;
    assert_int_equal(milgi_graph_new(&o, &graph), MILGI_EINVAL);
    o.vector = 1;
    assert_int_equal(milgi_graph_new(&o, &graph), 0);
    struct milgi_graph *again;
    assert_int_equal(milgi_graph_new(&o, &again), MILGI_EINVAL);
    assert_int_equal(milgi_graph_free(graph), 0);
    assert_int_equal(milgi_engine_free(engine), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_echo_is_whole_and_not_copied_in_vectors_of_any_size),
        cmocka_unit_test(a_vector_stays_one),
        cmocka_unit_test(packets_are_not_copied_on_their_way_through_a_cryptodev),
        cmocka_unit_test(an_echo_is_whole_with_cryptodevs),
        cmocka_unit_test(an_echo_is_whole_with_devices_that_fail_or_are_slow),
        cmocka_unit_test(output_is_cut_into_packets_where_that_is_wanted),
        cmocka_unit_test(few_mbufs_are_enough),
        cmocka_unit_test(chains_are_taken_piece_by_piece_and_clones_copied),
        cmocka_unit_test(many_connections_share_the_vectors),
        cmocka_unit_test(an_application_that_keeps_its_mbufs_stops_the_transport),
        cmocka_unit_test(what_comes_in_spite_of_a_closed_window_is_held_and_then_ends_the_connection),
        cmocka_unit_test(a_transport_that_keeps_output_stops_the_application),
        cmocka_unit_test(tiny_records_that_are_kept_do_not_take_the_mbufs_of_others),
        cmocka_unit_test(tiny_records_that_are_not_acknowledged_do_not_take_the_mbufs_of_others),
        cmocka_unit_test(connections_have_their_mbufs_by_turns),
        cmocka_unit_test(plaintext_leaves_some_to_output),
        cmocka_unit_test(what_waits_for_room_or_credit_or_mbufs_keeps_nobody_awake),
        cmocka_unit_test(what_waits_for_memory_is_looked_at_now_and_then),
        cmocka_unit_test(a_record_that_is_begun_is_had_though_there_is_no_memory),
        cmocka_unit_test(output_that_comes_back_out_of_order_is_counted_once),
        cmocka_unit_test(mbufs_may_be_freed_by_another_thread),
        cmocka_unit_test(each_direction_ends_by_itself_and_both_in_order),
        cmocka_unit_test(an_end_goes_behind_what_is_held),
        cmocka_unit_test(a_cut_is_no_end),
        cmocka_unit_test(nonsense_gets_its_alert),
        cmocka_unit_test(a_connection_that_is_closed_leaves_its_mbufs_whole),
        cmocka_unit_test(what_comes_for_who_is_gone_is_counted),
        cmocka_unit_test(each_connection_may_have_another_next_node),
        cmocka_unit_test(what_was_given_behind_a_turn_asks_for_another),
        cmocka_unit_test(a_connection_keeps_what_the_host_knows_of_it),
        cmocka_unit_test(a_graph_of_which_nothing_is_known_is_not_made),
    };
    bed_setup();
    configs_pair_begin(&bed.peers, IDENTITY_P256);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    configs_pair_end(&bed.peers);
    return failed;
}
