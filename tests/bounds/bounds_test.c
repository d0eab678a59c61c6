/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gigabyte is pushed at an application that reads nothing or little, at a network that takes nothing, and at devices
 * that are full: a connection never holds more than its bound, and nothing is lost.
 * ctest-timeout: 180
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "configs.h"
#include "conn/bound.h"
#include "device/sim/manual.h"
#include "heap.h"
#include "pair.h"

#define MUST(call) assert_int_equal(call, 0)
#define GIGABYTE (UINT64_C(1) << 30)
#define MIB ((size_t)1 << 20)
#define PIECE 16384u

static struct {
    struct identity *root, *leaf;
    struct milgi_config *config[2];
} fixture;

static int setup(void **state)
{
    (void)state;
    fixture.root = identity_root(IDENTITY_ED25519, "Root");
    fixture.leaf = identity_leaf(fixture.root, IDENTITY_ED25519, "DNS:server.test");
    fixture.config[MILGI_CLIENT] = configs_freeze(configs_begin(MILGI_CLIENT, NULL, fixture.root));
    fixture.config[MILGI_SERVER] = configs_freeze(configs_begin(MILGI_SERVER, fixture.leaf, NULL));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    milgi_config_unref(fixture.config[0]);
    milgi_config_unref(fixture.config[1]);
    identity_free(fixture.leaf);
    identity_free(fixture.root);
    return 0;
}

/* --- two ends that remember no data ------------------------------------------------------------------------------- */

struct end {
    struct pair_side *side;
    uint64_t sent, received, taken; /* bytes: given to the connection; delivered; consumed */
    bool out_of_order;
};

struct world {
    struct pair pair;
    struct end end[2];
    size_t heap; /* before the data */
    size_t most_heap, most_chunks[2];
};

static uint8_t pattern[2 * 65521];

/* The byte at |position| of every stream. */
static const uint8_t *bytes_at(uint64_t position)
{
    return pattern + position % 65521;
}

static struct world *the_world;

static void check_data(struct pair_side *side, const struct milgi_slice *slices, size_t n)
{
    struct end *end = &the_world->end[side - side->pair->side];
    for (size_t i = 0; i < n; i++) {
        for (uint32_t at = 0; at < slices[i].len;) {
            uint32_t k = MILGI__MIN(slices[i].len - at, 65521u);
            end->out_of_order |= memcmp(slices[i].data + at, bytes_at(end->received), k) != 0;
            end->received += k;
            at += k;
        }
    }
    side->got.len = 0; /* what the pair has noted down */
}

static void measure(struct world *w)
{
    size_t heap = heap_used();
    w->most_heap = MILGI__MAX(w->most_heap, heap > w->heap ? heap - w->heap : 0);
    for (int role = 0; role < 2; role++) {
        struct milgi_engine_stats stats;
        milgi_engine_stats(w->pair.side[role].engine, &stats);
        w->most_chunks[role] = MILGI__MAX(w->most_chunks[role], stats.memory);
        assert_true(stats.memory <= milgi__conn_bound(w->pair.side[role].conn->config));
    }
}

/* The network has taken |len| bytes of what a side has put out. */
static void taken(struct pair_side *side, size_t len)
{
    milgi_conn_output_done(side->conn, len);
    side->undone -= len;
}

static struct world *begin(struct milgi_config *const config[2], const char *const device[2])
{
    struct world *w = calloc(1, sizeof *w);
    struct pair_setup pair_setup = { .config = { config[0], config[1] },
        .device = { device ? device[0] : NULL, device ? device[1] : NULL },
        .server_name = "server.test",
        .seed = 5 };
    assert_non_null(w);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i % 65521 * 7 + i % 65521 / 253);
    the_world = w;
    pair_init(&w->pair, &pair_setup);
    for (int role = 0; role < 2; role++) {
        w->end[role].side = &w->pair.side[role];
        w->pair.side[role].on_data = check_data;
        w->pair.side[role].keep_output = true;
    }
    pair_settle(&w->pair);
    assert_true(w->pair.side[0].established && w->pair.side[1].established);
    for (int role = 0; role < 2; role++)
        taken(&w->pair.side[role], w->pair.side[role].undone);
    w->heap = heap_used();
    return w;
}

static void finish(struct world *w)
{
    for (int role = 0; role < 2; role++) {
        assert_false(w->end[role].out_of_order);
        struct milgi_engine_stats stats;
        milgi_conn_free(w->pair.side[role].conn);
        w->pair.side[role].conn = NULL;
        for (unsigned i = 0; i < 200; i++) {
            w->pair.now_ns += 1000000000u;
            pair_run(&w->pair.side[role], NULL);
        }
        milgi_engine_stats(w->pair.side[role].engine, &stats);
        assert_int_equal(stats.ops_alive, 0);
        assert_int_equal(stats.memory, 0);
    }
    pair_fini(&w->pair);
    free(w);
}

/* Offers |len| bytes; what is refused is kept by who offers it. Returns the answer. */
static int offer(struct end *end, size_t len)
{
    struct milgi_conn *conn = end->side->conn;
    if (milgi_conn_output_full(conn))
        return MILGI_PAUSE;
    int rv = milgi_conn_write(conn, bytes_at(end->sent), len);
    assert_true(rv == 0 || rv == MILGI_PAUSE);
    end->sent += len;
    return rv;
}

/* One round: both engines run, the network carries what it may, a little time goes by. */
static void turn(struct world *w, bool carries)
{
    for (int role = 0; role < 2; role++)
        pair_run(&w->pair.side[role], NULL);
    for (int role = 0; carries && role < 2; role++)
        taken(&w->pair.side[role], pair_carry(&w->pair.side[role], 0));
    w->pair.now_ns += 1000;
}

/* Until all that was given has come out at the other end. */
static void drain(struct world *w)
{
    for (unsigned i = 0; i < 100000; i++) {
        turn(w, true);
        if (w->end[0].received == w->end[1].sent && w->end[1].received == w->end[0].sent)
            return;
    }
    fail_msg("data is lost");
}

/* In both directions; what is not taken stays where it comes from. */
static void offer_a_gigabyte(struct world *w, bool carries)
{
    for (uint64_t offered = 0; offered < GIGABYTE; offered += PIECE) {
        for (int role = 0; role < 2; role++)
            (void)offer(&w->end[role], PIECE);
        turn(w, carries);
        if (offered % MIB == 0)
            measure(w);
    }
}

/* --- the application ---------------------------------------------------------------------------------------------- */

/* Nobody reads: a gigabyte is offered in both directions, and waits where it comes from. */
static void a_gigabyte_at_an_application_that_reads_nothing(void **state)
{
    (void)state;
    struct world *w = begin(fixture.config, NULL);
    w->pair.side[0].keep_credit = w->pair.side[1].keep_credit = true;
    offer_a_gigabyte(w, true);
    for (int role = 0; role < 2; role++) {
        const struct end *end = &w->end[role];
        assert_true(end->side->paused);
        assert_true(end->received >= 256 * 1024); /* its credit */
        assert_true(end->received <= 256 * 1024 + 16 * 16384);
        assert_true(w->most_chunks[role] <= MIB);
    }
    /* Then it reads all that was taken: nothing is lost. */
    for (int role = 0; role < 2; role++) {
        w->pair.side[role].keep_credit = false;
        milgi_conn_consumed(w->pair.side[role].conn, SIZE_MAX);
    }
    drain(w);
    finish(w);
}

/* All of a gigabyte goes through, in the reader's time. */
static void a_gigabyte_at_an_application_that_reads_slowly(void **state)
{
    (void)state;
    struct world *w = begin(fixture.config, NULL);
    struct end *from = &w->end[MILGI_SERVER], *to = &w->end[MILGI_CLIENT];
    to->side->keep_credit = true;
    for (uint64_t rounds = 0; to->received < GIGABYTE; rounds++) {
        while (from->sent < GIGABYTE && offer(from, PIECE) == 0)
            continue;
        turn(w, true);
        uint64_t some = MILGI__MIN(to->received - to->taken, 100000u);
        milgi_conn_consumed(to->side->conn, (size_t)some);
        to->taken += some;
        if (rounds % 256 == 0)
            measure(w);
    }
    assert_true(to->received == GIGABYTE);
    assert_true(w->most_chunks[MILGI_CLIENT] <= MIB && w->most_chunks[MILGI_SERVER] <= MIB);
    assert_true(w->most_heap <= 6 * MIB); /* with the pair's own buffers */
    finish(w);
}

/* --- the network -------------------------------------------------------------------------------------------------- */

static void a_gigabyte_at_a_network_that_takes_nothing(void **state)
{
    (void)state;
    struct world *w = begin(fixture.config, NULL);
    offer_a_gigabyte(w, false);
    for (int role = 0; role < 2; role++) {
        assert_true(w->end[role].sent <= 256 * 1024 + PIECE);
        assert_true(w->most_chunks[role] <= MIB);
    }
    /* One who goes on in spite of PAUSE is refused at what a relay may need, and the connection lives. */
    struct milgi_conn *conn = w->pair.side[0].conn;
    int rv = MILGI_PAUSE;
    while ((rv = milgi_conn_write(conn, bytes_at(w->end[0].sent), PIECE)) >= 0) {
        w->end[0].sent += PIECE;
        turn(w, false);
        measure(w);
    }
    assert_int_equal(rv, MILGI_ELIMIT);
    assert_true(w->end[0].sent <= (256 + 2 * (256 + 16)) * 1024);
    drain(w);
    finish(w);
}

/* The pieces are one byte: what they cost besides counts too. */
static void crumbs_at_a_network_that_takes_nothing(void **state)
{
    (void)state;
    struct world *w = begin(fixture.config, NULL);
    struct end *end = &w->end[MILGI_CLIENT];
    for (unsigned i = 0; i < 100000; i++) {
        (void)offer(end, 1);
        turn(w, false);
        if (i % 1024 == 0)
            measure(w);
    }
    assert_true(milgi_conn_output_full(end->side->conn));
    assert_true(w->most_heap <= 3 * MIB);
    drain(w);
    finish(w);
}

/* A slice of a few hundred bytes in a large chunk, as of a backend that dribbles; |full|: the device takes nothing. */
static void dribble(bool full)
{
    static const char *const device[2] = { NULL, "sim:latency=0ns,units=4,depth=4" };
    struct world *w = begin(fixture.config, full ? device : NULL);
    struct end *end = &w->end[MILGI_SERVER];
    if (full)
        milgi__sim_refuse(end->side->device[0], true);
    for (unsigned i = 0; i < 20000 && !milgi_conn_output_full(end->side->conn); i++) {
        struct milgi_chunk *chunk = milgi_chunk_new(end->side->engine, 65536);
        memcpy(milgi_chunk_data(chunk), bytes_at(end->sent), 600);
        int rv = milgi_conn_send(end->side->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), 600 });
        assert_true(rv >= 0);
        end->sent += 600;
        turn(w, false);
        measure(w);
    }
    assert_true(milgi_conn_output_full(end->side->conn));
    assert_true(w->most_chunks[MILGI_SERVER] <= MIB);
    if (full)
        milgi__sim_refuse(end->side->device[0], false);
    drain(w);
    finish(w);
}

static void few_bytes_in_large_chunks_at_a_network_that_takes_nothing(void **state)
{
    (void)state;
    dribble(false);
}

static void few_bytes_in_large_chunks_at_a_device_that_is_full(void **state)
{
    (void)state;
    dribble(true);
}

/* The same before the handshake can have begun. */
static void data_given_before_the_handshake_is_bounded_too(void **state)
{
    (void)state;
    static const size_t pieces[] = { 1, 600, 16384 };
    for (size_t k = 0; k < MILGI__COUNT(pieces); k++) {
        struct pair pair;
        struct milgi_engine_stats stats;
        struct pair_setup pair_setup = { .config = { fixture.config[0], fixture.config[1] },
            .server_name = "server.test" };
        pair_init(&pair, &pair_setup);
        struct milgi_conn *conn = pair.side[MILGI_CLIENT].conn;
        size_t heap = heap_used(), sent = 0;
        int rv;
        while ((rv = milgi_conn_write(conn, pattern, pieces[k])) == 0)
            sent += pieces[k];
        assert_int_equal(rv, MILGI_PAUSE);
        sent += pieces[k];
        while ((rv = milgi_conn_write(conn, pattern, pieces[k])) == MILGI_PAUSE)
            sent += pieces[k];
        assert_int_equal(rv, MILGI_ELIMIT);
        milgi_engine_stats(pair.side[MILGI_CLIENT].engine, &stats);
        assert_true(stats.memory <= 2 * 512 * 1024);
        assert_true(heap_used() - heap <= 2 * MIB);
        pair_settle(&pair);
        assert_int_equal(pair.side[MILGI_SERVER].got.len, sent);
        pair_fini(&pair);
    }
}

/* --- hosts that do not heed PAUSE --------------------------------------------------------------------------------- */

static void a_host_that_ignores_pause_loses_the_connection_and_no_memory(void **state)
{
    (void)state;
    static const size_t pieces[] = { 1, 100, 4096, 16384, MILGI_CHUNK_MAX };
    for (size_t k = 0; k < MILGI__COUNT(pieces); k++) {
        struct world *w = begin(fixture.config, NULL);
        struct pair_side *from = &w->pair.side[MILGI_CLIENT], *to = &w->pair.side[MILGI_SERVER];
        to->keep_credit = true;
        uint64_t pushed = 0;
        int rv = 0;
        size_t heap = heap_used();
        /* A gigabyte, of which the end comes soon; what is pushed is data that waits to be opened. */
        while (pushed < GIGABYTE && rv != MILGI_ECLOSED) {
            if (from->wire.len < pieces[k]) {
                (void)offer(&w->end[MILGI_CLIENT], PIECE);
                pair_run(from, NULL);
                continue;
            }
            struct milgi_chunk *chunk = milgi_chunk_new(to->engine, pieces[k]);
            assert_non_null(chunk);
            memcpy(milgi_chunk_data(chunk), from->wire.p, pieces[k]);
            struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), (uint32_t)pieces[k] };
            rv = milgi_conn_receive(to->conn, slice);
            pair_bytes_drop(&from->wire, pieces[k]);
            taken(from, pieces[k]);
            pushed += pieces[k];
            if (pushed % 4096 == 0 || pieces[k] >= 4096) {
                pair_run(to, NULL);
                measure(w);
                assert_true(heap_used() - heap <= 3 * MIB); /* the pair's own buffer is in it, too */
            }
        }
        pair_run(to, NULL);
        assert_int_equal(rv, MILGI_ECLOSED);
        assert_true(to->closed);
        assert_int_equal(to->reason.error, MILGI_ELIMIT);
        assert_int_equal(to->reason.cls, MILGI_CLASS_LIMIT);
        assert_true(pushed <= 2 * MIB);
        finish(w);
    }
}

/* --- devices that are full ---------------------------------------------------------------------------------------- */

/* It takes no op until it is told to. */
static void a_gigabyte_at_a_device_that_is_full(void **state)
{
    (void)state;
    static const char *const device[2] = { "sim:latency=0ns,units=4,depth=4", "sim:latency=0ns,units=4,depth=4" };
    struct world *w = begin(fixture.config, device);
    for (int role = 0; role < 2; role++)
        milgi__sim_refuse(w->pair.side[role].device[0], true);
    offer_a_gigabyte(w, true);
    for (int role = 0; role < 2; role++) {
        assert_true(milgi_conn_output_full(w->pair.side[role].conn));
        assert_true(w->end[role].sent <= 256 * 1024 + PIECE);
        assert_true(w->most_chunks[role] <= MIB);
    }
    for (int role = 0; role < 2; role++)
        milgi__sim_refuse(w->pair.side[role].device[0], false);
    drain(w);
    finish(w);
}

static void crumbs_at_a_device_that_is_full(void **state)
{
    (void)state;
    static const char *const device[2] = { "sim:latency=0ns,units=4,depth=4", NULL };
    struct world *w = begin(fixture.config, device);
    struct end *end = &w->end[MILGI_CLIENT];
    milgi__sim_refuse(end->side->device[0], true);
    for (unsigned i = 0; i < 100000; i++) {
        (void)offer(end, 1);
        turn(w, true);
        if (i % 1024 == 0)
            measure(w);
    }
    assert_true(milgi_conn_output_full(end->side->conn));
    assert_true(w->most_heap <= 3 * MIB);
    milgi__sim_refuse(end->side->device[0], false);
    drain(w);
    finish(w);
}

/* --- the bound itself --------------------------------------------------------------------------------------------- */

static void the_bound_follows_the_limits(void **state)
{
    (void)state;
    uint64_t of_defaults = milgi__conn_bound(fixture.config[MILGI_SERVER]);
    assert_true(of_defaults <= 12 * MIB);
    struct milgi_config *small = configs_begin(MILGI_SERVER, fixture.leaf, NULL);
    MUST(milgi_config_set_limit(small, MILGI_LIMIT_WINDOW, 1));
    MUST(milgi_config_set_limit(small, MILGI_LIMIT_INPUT, 1024));
    MUST(milgi_config_set_limit(small, MILGI_LIMIT_CREDIT, 1024));
    MUST(milgi_config_set_limit(small, MILGI_LIMIT_OUTPUT, 1024));
    MUST(milgi_config_set_limit(small, MILGI_LIMIT_HANDSHAKE_MESSAGE, 1024));
    configs_freeze(small);
    assert_true(milgi__conn_bound(small) <= of_defaults / 4);
    /* What the network, the application and the handshake may have is in it, each. */
    static const enum milgi_limit each[] = { MILGI_LIMIT_INPUT, MILGI_LIMIT_CREDIT, MILGI_LIMIT_OUTPUT,
        MILGI_LIMIT_HANDSHAKE_MESSAGE };
    for (size_t i = 0; i < MILGI__COUNT(each); i++) {
        struct milgi_config *more = configs_begin(MILGI_SERVER, fixture.leaf, NULL);
        MUST(milgi_config_set_limit(more, each[i], MIB));
        configs_freeze(more);
        assert_true(milgi__conn_bound(more) >= of_defaults + MIB / 2);
        milgi_config_unref(more);
    }
    milgi_config_unref(small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gigabyte_at_an_application_that_reads_nothing),
        cmocka_unit_test(a_gigabyte_at_an_application_that_reads_slowly),
        cmocka_unit_test(a_gigabyte_at_a_network_that_takes_nothing),
        cmocka_unit_test(crumbs_at_a_network_that_takes_nothing),
        cmocka_unit_test(few_bytes_in_large_chunks_at_a_network_that_takes_nothing),
        cmocka_unit_test(few_bytes_in_large_chunks_at_a_device_that_is_full),
        cmocka_unit_test(data_given_before_the_handshake_is_bounded_too),
        cmocka_unit_test(a_host_that_ignores_pause_loses_the_connection_and_no_memory),
        cmocka_unit_test(a_gigabyte_at_a_device_that_is_full),
        cmocka_unit_test(crumbs_at_a_device_that_is_full),
        cmocka_unit_test(the_bound_follows_the_limits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
