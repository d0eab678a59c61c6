/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On every kind of device: bytes both ways, many connections at once, slow ends, one direction before the other, ends
 * with ops in flight, a device that goes. MILGI_TESTS_FULL: 100 MB, and 1000 connections; see docs/testing.md.
 * ctest-timeout: 900
 */
#include "bed.h"

#include <stdio.h>
#include <stdlib.h>

#define KIB ((size_t)1024)

static struct side *client = &bed.side[MILGI_CLIENT], *server = &bed.side[MILGI_SERVER];
static bool full;

static void begin(const char *device, unsigned conns)
{
    bed_begin(&(struct bed_options){ .device = device, .conns = conns });
    client->checks = server->checks = true;
}

static void until(const unsigned *what, unsigned wanted)
{
    while (*what < wanted)
        bed_walk();
}

/* Both directions have ended, and all is back. */
static void end_in_order(void)
{
    for (int role = 0; role < 2; role++) {
        until(&bed.side[role].closed, bed.side[role].conns);
        assert_int_equal(bed.side[role].error, 0);
        assert_int_equal(bed.side[role].ended, bed.side[role].conns);
    }
    bed_end();
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static void exchange(const char *device)
{
    size_t len = full ? 100 * KIB * KIB : KIB * KIB, sent[2] = { 0, 0 };
    begin(device, 1);
    while (sent[0] < len || sent[1] < len) {
        for (int role = 0; role < 2; role++) {
            struct side *s = &bed.side[role];
            sent[role] = bed_send_some(s, s->conn[0], sent[role], len);
        }
        bed_walk();
    }
    bed_walk_until(&client->got_len, len);
    bed_walk_until(&server->got_len, len);
    bed_mark(client, client->conn[0], MILGI_GRAPH_END);
    bed_mark(server, server->conn[0], MILGI_GRAPH_END);
    end_in_order();
}

static void bytes_cross_both_ways(void **state)
{
    (void)state;
    on_each_device(exchange);
}

/* All of them are open before any sends. */
static void crowd(const char *device)
{
    unsigned n = full ? 1000 : 40;
    begin(device, n);
    for (unsigned c = 0; c < n; c++) {
        for (size_t at = 0; at < 20000;) {
            at = bed_send_some(client, client->conn[c], at, 20000);
            bed_walk();
        }
        bed_send(server, server->conn[c], 0, 1000);
        bed_mark(client, client->conn[c], MILGI_GRAPH_END);
        bed_mark(server, server->conn[c], MILGI_GRAPH_END);
    }
    bed_walk_until(&server->got_len, n * (size_t)20000);
    bed_walk_until(&client->got_len, n * (size_t)1000);
    for (unsigned c = 0; c < n; c++) {
        assert_int_equal(server->got_of[c], 20000);
        assert_int_equal(client->got_of[c], 1000);
    }
    end_in_order();
}

static void a_crowd_is_served_at_once(void **state)
{
    (void)state;
    on_each_device(crowd);
}

/* --- slow ends ---------------------------------------------------------------------------------------------------- */

/* The application frees one mbuf in a few walks. */
static void to_slow_reader(const char *device)
{
    size_t len = full ? 16 * KIB * KIB : KIB * KIB, sent = 0, freed = 0, kept = 0;
    begin(device, 1);
    server->keep = true;
    for (unsigned walks = 0; freed < len; walks++) {
        sent = bed_send_some(client, client->conn[0], sent, len);
        bed_walk();
        assert_true(server->got_len - freed <= (256 + 64 + 16) * KIB);
        if (walks % 3 == 0 && kept < server->kept.n) {
            freed += server->kept.m[kept]->data_len;
            rte_pktmbuf_free(server->kept.m[kept++]);
        }
    }
    assert_int_equal(kept, server->kept.n);
    server->kept.n = 0;
    list_clear(&server->kept);
    bed_mark(client, client->conn[0], MILGI_GRAPH_END);
    bed_mark(server, server->conn[0], MILGI_GRAPH_END);
    end_in_order();
}

static void a_slow_reader_is_waited_for(void **state)
{
    (void)state;
    on_each_device(to_slow_reader);
}

/* A hundred bytes in each walk, over a wire that carries crumbs. */
static void from_slow_writer(const char *device)
{
    size_t len = full ? 200000 : 10000;
    begin(device, 1);
    bed.packet = 17;
    for (size_t at = 0; at < len; at += 100) {
        bed_send(client, client->conn[0], at, 100);
        bed_walk();
    }
    bed_walk_until(&server->got_len, len);
    bed_mark(client, client->conn[0], MILGI_GRAPH_END);
    bed_mark(server, server->conn[0], MILGI_GRAPH_END);
    end_in_order();
}

static void a_slow_writer_is_heard(void **state)
{
    (void)state;
    on_each_device(from_slow_writer);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static void half_close(const char *device)
{
    for (int role = 0; role < 2; role++) {
        struct side *first = &bed.side[role], *second = &bed.side[!role];
        size_t sent = 0;
        begin(device, 1);
        bed_send(first, first->conn[0], 0, 5000);
        bed_mark(first, first->conn[0], MILGI_GRAPH_END);
        until(&second->ended, 1);
        assert_int_equal(second->got_len, 5000);
        while (sent < 400 * KIB) {
            sent = bed_send_some(second, second->conn[0], sent, 400 * KIB);
            bed_walk();
        }
        bed_walk_until(&first->got_len, sent);
        assert_int_equal(first->ended + first->closed + second->closed, 0);
        bed_mark(second, second->conn[0], MILGI_GRAPH_END);
        end_in_order();
    }
}

static void each_direction_may_end_first(void **state)
{
    (void)state;
    on_each_device(half_close);
}

/* By turns: closed by the host, cut by the transport, and nothing at all before everything ends. */
static void end_suddenly(const char *device)
{
    for (unsigned when = 0; when < (full ? 200u : 12u); when += full ? 1 : 2) {
        begin(device, 2);
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

static void connections_end_suddenly_with_ops_in_flight(void **state)
{
    (void)state;
    on_each_device(end_suddenly);
}

/* --- a device that goes ------------------------------------------------------------------------------------------- */

static void without_device(const char *device)
{
    size_t len = full ? 8 * KIB * KIB : 600 * KIB, sent = 0;
    if (!device)
        return;
    begin(device, 1);
    for (bool goes = true; sent < len; bed_walk()) {
        sent = bed_send_some(client, client->conn[0], sent, len);
        for (int role = 0; role < 2 && goes && server->got_len > len / 4; role++)
            assert_int_equal(milgi_engine_remove_device(bed.side[role].engine, 1, 0), 0);
        goes = goes && server->got_len <= len / 4;
    }
    bed_walk_until(&server->got_len, len);
    bed_mark(client, client->conn[0], MILGI_GRAPH_END);
    bed_mark(server, server->conn[0], MILGI_GRAPH_END);
    end_in_order();
}

static void a_device_that_goes_takes_nothing_with_it(void **state)
{
    (void)state;
    on_each_device(without_device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_cross_both_ways),
        cmocka_unit_test(a_crowd_is_served_at_once),
        cmocka_unit_test(a_slow_reader_is_waited_for),
        cmocka_unit_test(a_slow_writer_is_heard),
        cmocka_unit_test(each_direction_may_end_first),
        cmocka_unit_test(connections_end_suddenly_with_ops_in_flight),
        cmocka_unit_test(a_device_that_goes_takes_nothing_with_it),
    };
    full = getenv("MILGI_TESTS_FULL") != NULL;
    bed_setup();
    configs_pair_begin(&bed.peers, IDENTITY_P256);
    unsigned before = descriptors();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (!failed && descriptors() != before) {
        printf("%u descriptors are left\n", descriptors() - before);
        failed = 1;
    }
    configs_pair_end(&bed.peers);
    return failed;
}
