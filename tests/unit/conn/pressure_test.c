/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection does when it gets no memory for a while, or when the network takes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "peers.h"
#include "engine/engine.h"
#include "heap.h"
#include "pair.h"

#define CHUNKS 4096
/* Each so short that it is copied when it is sent, and together more than there is room for in one chunk. */
#define PIECES 20u
#define PIECE 500u
#define OTHER 1000001u /* owners of chunks */
#define ANOTHER 1000002u

static void start(struct pair *pair, const struct milgi_engine_options *options)
{
    struct pair_setup setup = { .config = { peers.config[0], peers.config[1] },
        .options = options,
        .server_name = "server.test",
        .seed = 3 };
    pair_init(pair, &setup);
}

/* --- what was given before it could be sent ------------------------------------------------------------------- */

static struct milgi_chunk *taken[CHUNKS];
static unsigned taken_n;

/* All but what is kept for alerts. */
static void take_all_chunks(struct milgi_engine *engine)
{
    static const size_t sizes[] = { 65536, 4096, 512 };
    struct milgi__pool *pool = milgi__engine_pool(engine);
    for (unsigned i = 0; i < 3; i++) {
        struct milgi_chunk *chunk;
        while (taken_n < CHUNKS && (chunk = milgi__chunk_alloc_from(pool, sizes[i], 0, MILGI__RESERVE_HALF)))
            taken[taken_n++] = chunk;
    }
    assert_true(taken_n < CHUNKS);
}

/* When the handshake is over, and what was held is about to be sent. */
static void when_established(struct pair_side *side, const char *event)
{
    if (strcmp(event, "established") == 0)
        take_all_chunks(side->engine);
}

static void give_them_back(void)
{
    while (taken_n > 0)
        milgi_chunk_unref(taken[--taken_n]);
}

static void what_is_held_until_the_handshake_is_over_waits_for_chunks(void **state)
{
    (void)state;
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    options.memory_limit = 1 << 20;
    struct pair pair;
    start(&pair, &options);
    struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
    for (unsigned i = 0; i < PIECES; i++) {
        struct milgi_chunk *chunk = milgi_chunk_new(client->engine, PIECE);
        assert_non_null(chunk);
        memset(milgi_chunk_data(chunk), 'a' + (int)i, PIECE);
        taken[taken_n++] = milgi_chunk_ref(chunk); /* nothing is gained when one has been copied */
        struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), PIECE };
        assert_int_equal(milgi_conn_send(client->conn, slice), 0);
    }
    client->on_event = when_established;
    pair_settle(&pair);
    assert_true(client->established);
    assert_false(client->closed);
    assert_true(taken_n > 0);
    assert_true(server->got.len < PIECES * PIECE);
    give_them_back();
    assert_int_equal(milgi_conn_write(client->conn, ".", 1), 0); /* behind it */
    pair_settle(&pair);
    assert_int_equal(server->got.len, PIECES * PIECE + 1);
    for (unsigned i = 0; i < PIECES * PIECE; i++)
        assert_int_equal(server->got.p[i], 'a' + i / PIECE);
    assert_int_equal(server->got.p[PIECES * PIECE], '.');
    pair_fini(&pair);
}

/* --- what is begun ------------------------------------------------------------------------------------------------ */

static void when_the_pool_is_empty_the_rest_of_a_record_is_had_and_no_more(void **state)
{
    static const uint8_t header[5] = { 22, 3, 1, 0x40, 0 };
    struct milgi_engine_options options;
    struct pair pair;
    (void)state;
    milgi_engine_options_init(&options);
    options.memory_limit = 1 << 20;
    start(&pair, &options);
    struct milgi_conn *server = pair.side[MILGI_SERVER].conn;
    struct milgi_chunk *chunk = milgi_conn_chunk(server, sizeof header), *all[CHUNKS];
    unsigned all_n = 0;
    memcpy(milgi_chunk_data(chunk), header, sizeof header);
    while (all_n < CHUNKS && (all[all_n] = milgi_chunk_new(pair.side[MILGI_SERVER].engine, all_n < 15 ? 65536 : 512)))
        all_n++;
    assert_null(milgi_conn_chunk(server, 1));
    struct milgi_slice begun = { chunk, milgi_chunk_data(chunk), sizeof header };
    assert_int_equal(milgi_conn_receive(server, begun), 0);
    assert_int_equal(milgi_conn_record_rest(server), 16384);
    assert_null(milgi_conn_chunk(server, 16385));
    chunk = milgi_conn_chunk(server, 16384);
    assert_non_null(chunk);
    memset(milgi_chunk_data(chunk), 0, 16384);
    assert_int_equal(milgi_conn_receive(server, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), 16384 }), 0);
    assert_null(milgi_conn_chunk(server, 1));
    /* It takes of what is kept back until it has been opened, too: of the others one may, and not two. */
    struct milgi_engine *engine = pair.side[MILGI_SERVER].engine;
    struct milgi__pool *pool = milgi__engine_pool(engine);
    milgi__pool_finishes(pool, OTHER, true, milgi_engine_now(engine));
    assert_false(milgi__pool_may_finish(pool, ANOTHER, milgi_engine_now(engine)));
    pair_run(&pair.side[MILGI_SERVER], NULL);
    assert_true(milgi__pool_may_finish(pool, ANOTHER, milgi_engine_now(engine)));
    while (all_n)
        milgi_chunk_unref(all[--all_n]);
    pair_fini(&pair);
}

/* What is left of the first record on the client's wire goes to the server, in a chunk from what is kept back. */
static void receive_rest(struct pair *pair)
{
    struct pair_side *client = &pair->side[MILGI_CLIENT], *server = &pair->side[MILGI_SERVER];
    size_t rest = milgi_conn_record_rest(server->conn);
    assert_in_range(rest, 16384, 16700);
    struct milgi_chunk *chunk = milgi_conn_chunk(server->conn, rest);
    assert_non_null(chunk);
    memcpy(milgi_chunk_data(chunk), client->wire.p, rest);
    pair_bytes_drop(&client->wire, rest);
    struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), (uint32_t)rest };
    assert_int_equal(milgi_conn_receive(server->conn, slice), 0);
}

/* A record is finished, opened and delivered: what it took of may be had by the next at once, not after a while. */
static void who_has_finished_leaves_it_to_others(void **state)
{
    static const uint8_t data[16384];
    struct milgi_engine_options options;
    struct pair pair;
    (void)state;
    milgi_engine_options_init(&options);
    options.memory_limit = 1 << 20;
    start(&pair, &options);
    struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
    pair_settle(&pair);
    assert_true(client->established && server->established);
    assert_int_equal(milgi_conn_write(client->conn, data, sizeof data), 0);
    while (pair_run(client, NULL) == MILGI_RUN_AGAIN) {
    }
    assert_int_equal(pair_carry(client, 5), 5);
    pair_run(server, NULL);
    struct milgi_chunk *all[CHUNKS];
    unsigned all_n = 0;
    while (all_n < CHUNKS && (all[all_n] = milgi_chunk_new(server->engine, all_n < 15 ? 65536 : 512)))
        all_n++;
    assert_null(milgi_conn_chunk(server->conn, 65536));
    receive_rest(&pair);
    struct milgi__pool *pool = milgi__engine_pool(server->engine);
    milgi__pool_finishes(pool, OTHER, true, milgi_engine_now(server->engine));
    assert_false(milgi__pool_may_finish(pool, ANOTHER, milgi_engine_now(server->engine)));
    pair_run(server, NULL);
    assert_int_equal(server->got.len, sizeof data);
    assert_true(milgi__pool_may_finish(pool, ANOTHER, milgi_engine_now(server->engine)));
    while (all_n)
        milgi_chunk_unref(all[--all_n]);
    pair_fini(&pair);
}

/* --- KeyUpdates --------------------------------------------------------------------------------------------------- */

static void key_updates_do_not_pile_up_before_a_network_that_takes_nothing(void **state)
{
    (void)state;
    struct pair pair;
    struct milgi_conn_info info;
    start(&pair, NULL);
    struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
    pair_settle(&pair);
    assert_true(client->established && server->established);
    client->keep_output = true; /* nothing is ever said to be taken */
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(milgi_conn_update_keys(client->conn, i % 2 != 0), 0);
        pair_run(client, NULL);
    }
    size_t before = heap_used();
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(milgi_conn_update_keys(client->conn, i % 2 != 0), 0);
    assert_int_equal(heap_used(), before);
    milgi_conn_info(client->conn, &info);
    assert_int_equal(info.key_updates_out, 2); /* one, and one that asks the server, too */
    client->keep_output = false;
    milgi_conn_output_done(client->conn, client->undone);
    pair_settle(&pair);
    milgi_conn_info(server->conn, &info);
    assert_int_equal(info.key_updates_in, 2);
    assert_int_equal(info.key_updates_out, 1);
    /* The way is free again. */
    assert_int_equal(milgi_conn_update_keys(client->conn, true), 0);
    assert_int_equal(milgi_conn_write(client->conn, "x", 1), 0);
    pair_settle(&pair);
    milgi_conn_info(server->conn, &info);
    assert_int_equal(info.key_updates_in, 3);
    assert_int_equal(info.key_updates_out, 2);
    assert_int_equal(server->got.len, 1);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_held_until_the_handshake_is_over_waits_for_chunks),
        cmocka_unit_test(when_the_pool_is_empty_the_rest_of_a_record_is_had_and_no_more),
        cmocka_unit_test(who_has_finished_leaves_it_to_others),
        cmocka_unit_test(key_updates_do_not_pile_up_before_a_network_that_takes_nothing),
    };
    return cmocka_run_group_tests(tests, peers_begin, peers_end);
}
