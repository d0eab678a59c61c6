/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection holds of the heap, block by block as malloc() counts them: docs/memory.md says what for.
 * ctest-wrap: milgi__free milgi__free_wiped milgi__block_give milgi__block_give_wiped
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/base.h"
#include "buf/block.h"
#include "engine/owners.h"
#include "fake_identity.h"
#include "pair.h"

/* Its share of the engine's tables, and of the list of their blocks. */
#define TABLES (sizeof(struct milgi__owner_block) / MILGI__OWNERS_BLOCK + 1)

static struct pair pair;
static struct milgi_config *config[2];
static size_t freed, blocks;
static bool giving;

/* --- every block that is freed, or given back to the engine ------------------------------------------------------- */

static void count(void *p)
{
    if (!p)
        return;
    freed += (malloc_usable_size(p) + sizeof(size_t) + 15) / 16 * 16; /* glibc's blocks, under any allocator */
    blocks++;
}

void __real_milgi__free(void *p);
void __wrap_milgi__free(void *p);
void __wrap_milgi__free(void *p)
{
    if (!giving) /* else it has been counted */
        count(p);
    __real_milgi__free(p);
}

void __wrap_milgi__free_wiped(void *p, size_t size);
void __wrap_milgi__free_wiped(void *p, size_t size)
{
    if (p)
        milgi__wipe(p, size);
    __wrap_milgi__free(p);
}

void __real_milgi__block_give(struct milgi__blocks *b, void *p, size_t size);
void __wrap_milgi__block_give(struct milgi__blocks *b, void *p, size_t size);
void __wrap_milgi__block_give(struct milgi__blocks *b, void *p, size_t size)
{
    count(p);
    giving = true;
    __real_milgi__block_give(b, p, size);
    giving = false;
}

void __wrap_milgi__block_give_wiped(struct milgi__blocks *b, void *p, size_t size);
void __wrap_milgi__block_give_wiped(struct milgi__blocks *b, void *p, size_t size)
{
    if (p)
        milgi__wipe(p, size);
    __wrap_milgi__block_give(b, p, size);
}

/* --- plays -------------------------------------------------------------------------------------------------------- */

static void begin(bool asked)
{
    struct pair_setup setup = { .server_name = "server.test", .wall_s = FAKE_NOW_S };
    for (int role = 0; role < 2; role++) {
        config[role] = fake_config((enum milgi_role)role, NULL);
        assert_int_equal(milgi_config_set_ask(config[role], asked ? MILGI_DECIDE_PEER : 0), 0);
        setup.config[role] = fake_freeze(config[role]);
    }
    pair_init(&pair, &setup);
}

static void end(void)
{
    pair_fini(&pair);
    for (int role = 0; role < 2; role++)
        milgi_config_unref(config[role]);
}

/* All that goes with it, and no more of it than its share of what all have. */
static size_t held_by(enum milgi_role role)
{
    freed = blocks = 0;
    milgi_conn_free(pair.side[role].conn);
    pair.side[role].conn = NULL;
    return freed + TABLES;
}

static void an_idle_connection_is_a_few_small_blocks(void **state)
{
    static const uint8_t data[1024];
    bool asked = *state != NULL;
    begin(asked);
    pair_settle(&pair);
    assert_int_equal(pair.side[MILGI_CLIENT].decisions_n, asked);
    if (asked)
        assert_int_equal(milgi_decide(pair.side[MILGI_CLIENT].engine, pair.side[MILGI_CLIENT].decision[0],
                             MILGI_ACCEPT, NULL),
            0);
    pair_settle(&pair);
    assert_true(pair.side[MILGI_CLIENT].established && pair.side[MILGI_SERVER].established);
    assert_int_equal(milgi_conn_write(pair.side[MILGI_CLIENT].conn, data, sizeof data), 0);
    assert_int_equal(milgi_conn_write(pair.side[MILGI_SERVER].conn, data, sizeof data), 0);
    pair_settle(&pair);
    assert_in_range(held_by(MILGI_SERVER), 1, 1100);
    assert_int_equal(blocks, 4); /* itself, what its handshake came to, a key each way */
    assert_in_range(held_by(MILGI_CLIENT), 1, 1200);
    assert_int_equal(blocks, 4);
    end();
}

/* --- with sessions, and in TLS 1.2 -------------------------------------------------------------------------------- */

static struct milgi_session_cache *cache[2];
static struct milgi_ticket_keys *keys;

enum gives {
    TICKETS,
    IDS,
    NOTHING
}; /* a server */

/* What of both is idle. */
static void idle_in(uint16_t version, enum gives gives, bool resumed, size_t held[2], size_t blocks_of[2])
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 }, data[1024];
    struct pair_setup setup = { .server_name = "server.test", .wall_s = FAKE_NOW_S };
    assert_int_equal(milgi_ticket_keys_new(secret, 7200, FAKE_NOW_S, &keys), 0);
    for (int role = 0; role < 2; role++) {
        config[role] = fake_config((enum milgi_role)role, NULL);
        assert_int_equal(milgi_config_set_versions(config[role], version, version), 0);
        assert_int_equal(milgi_session_cache_new(16, &cache[role]), 0);
        if (role == MILGI_CLIENT || gives == IDS)
            assert_int_equal(milgi_config_set_session_cache(config[role], cache[role]), 0);
        else if (gives == TICKETS)
            assert_int_equal(milgi_config_set_ticket_keys(config[role], keys), 0);
        setup.config[role] = fake_freeze(config[role]);
    }
    pair_init(&pair, &setup);
    pair_settle(&pair);
    if (resumed)
        pair_again(&pair, &setup);
    pair_settle(&pair);
    for (int role = 0; role < 2; role++) {
        struct milgi_conn_info info;
        assert_true(pair.side[role].established);
        assert_int_equal(milgi_conn_write(pair.side[role].conn, data, sizeof data), 0);
        milgi_conn_info(pair.side[role].conn, &info);
        assert_int_equal(info.resumed, resumed);
    }
    pair_settle(&pair);
    for (int role = 0; role < 2; role++) {
        held[role] = held_by((enum milgi_role)role);
        blocks_of[role] = blocks;
    }
    end();
    milgi_ticket_keys_unref(keys);
    for (int role = 0; role < 2; role++)
        milgi_session_cache_unref(cache[role]);
}

static void an_idle_connection_is_as_small_with_sessions_and_in_tls12(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        size_t held[2], blocks_of[2];
        idle_in(i < 4 ? MILGI_TLS_1_2 : MILGI_TLS_1_3, i < 2 ? IDS : TICKETS, i % 2, held, blocks_of);
        print_message("TLS 1.%d, by ID %d, resumed %d: client %zu, server %zu bytes\n", i < 4 ? 2 : 3, i < 2, i % 2,
            held[MILGI_CLIENT], held[MILGI_SERVER]);
        assert_in_range(held[MILGI_SERVER], 1, 1200);
        assert_in_range(held[MILGI_CLIENT], 1, 1200);
        assert_int_equal(blocks_of[MILGI_SERVER], 4);
        assert_int_equal(blocks_of[MILGI_CLIENT], 4); /* what its peer has shown is in the cache */
    }
}

/* Nor are they there twice, for a client that may still be given a ticket. */
static void what_a_client_keeps_of_a_server_without_tickets_is_its_certificates(void **state)
{
    size_t held[2], blocks_of[2];
    (void)state;
    idle_in(MILGI_TLS_1_3, NOTHING, false, held, blocks_of);
    print_message("TLS 1.3, no ticket: client %zu bytes, with a certificate\n", held[MILGI_CLIENT]);
    assert_in_range(held[MILGI_CLIENT], 1, 1200 + 160);
    assert_int_equal(blocks_of[MILGI_CLIENT], 5);
}

static void a_handshake_that_waits_holds_what_it_knows(void **state)
{
    uint64_t deadline_ns;
    (void)state;
    begin(false);
    struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
    (void)pair_run(client, &deadline_ns);
    assert_true(pair_carry(client, 0) > 0);
    (void)pair_run(server, &deadline_ns);
    assert_true(server->wire.len > 0);
    pair_bytes_drop(&server->wire, server->wire.len);
    pair_settle(&pair);
    assert_false(server->established);
    assert_in_range(held_by(MILGI_SERVER), 1, 2632);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_connection_is_a_few_small_blocks),
        { "... whoever was asked about the peer", an_idle_connection_is_a_few_small_blocks, NULL, NULL, &pair },
        cmocka_unit_test(an_idle_connection_is_as_small_with_sessions_and_in_tls12),
        cmocka_unit_test(what_a_client_keeps_of_a_server_without_tickets_is_its_certificates),
        cmocka_unit_test(a_handshake_that_waits_holds_what_it_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
