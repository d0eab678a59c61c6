/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storms: of key updates with data in between, and of clients that come and go before a slow device has answered.
 * ctest-timeout: 120
 */
#include "fixture.h"

#include <time.h>

#include "session/session.h"

/* --- key updates -------------------------------------------------------------------------------------------------- */

#define UPDATES 3000

/*
 * Each record a key update of full size, then one byte of data so that it may go on for ever. What is opened ahead is
 * wasted at most once or twice per update; replies do not pile up.
 */
static void update_storm(enum milgi_role role, const char *device, bool reads, size_t pad)
{
    struct liar liar;
    struct milgi_conn_info info;
    open_as(&liar, role, device);
    struct pair_side *v = liar.victim;
    v->keep_output = !reads;
    unsigned sent = 0;
    size_t heap = heap_used(), most = 0;
    for (; sent < UPDATES && !v->closed; sent++) {
        liar_update(&liar, true, pad);
        liar_record(&liar, LIAR_DATA, "x", 1, 0);
        if (sent % 16 == 15)
            liar_listen(&liar);
        size_t now = heap_used() - heap;
        most = now > most ? now : most;
    }
    liar_listen(&liar);
    if (v->closed)
        fail_msg("ended with %s", liar_end(&liar));
    milgi_conn_info(v->conn, &info);
    assert_int_equal(v->got.len, UPDATES);
    assert_int_equal(info.key_updates_in, UPDATES);
    assert_true(info.stale_opens <= 4 * UPDATES);
    if (reads)
        assert_true(info.key_updates_out >= 1 && info.key_updates_out <= UPDATES);
    else
        assert_true(info.key_updates_out <= 2);
    assert_true(peak_of(&liar) <= 1024 * 1024);
    assert_true(most <= 4u << 20);
    liar_fini(&liar);
}

static void a_storm_of_key_updates_is_weathered_by_one_who_reads(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        update_storm(role, NULL, true, 16384 - 5);
        update_storm(role, SLOW, true, 16384 - 5);
        update_storm(role, SLOW, true, 0);
    }
}

static void replies_to_key_updates_do_not_pile_up_when_nobody_reads_them(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        update_storm(role, NULL, false, 16384 - 5);
        update_storm(role, SLOW, false, 0);
    }
}

/* --- clients that come and go ------------------------------------------------------------------------------------- */

struct storm {
    struct pair pair;
    struct pair_bytes hello; /* of some client */
    struct milgi_config *server;
    struct milgi_conn *conn[64];
    unsigned at;
};

static void drop_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    (void)arg;
    for (size_t i = 0; i < iov_n; i++)
        milgi_conn_output_done(conn, iov[i].len);
}

static const struct milgi_events events = { .on_output = drop_output };

static struct milgi_engine_stats stats_of(struct storm *s)
{
    struct milgi_engine_stats stats;
    milgi_engine_stats(s->pair.side[MILGI_SERVER].engine, &stats);
    return stats;
}

static void storm_init(struct storm *s, const char *device, const struct milgi_engine_options *options)
{
    memset(s, 0, sizeof *s);
    s->server = fixture.server;
    struct pair_setup setup = { .config = { fixture.client, NULL },
        .device = { NULL, device },
        .options = options,
        .server_name = "server.test",
        .seed = 3 };
    pair_init(&s->pair, &setup);
    pair_run(&s->pair.side[MILGI_CLIENT], NULL);
    pair_bytes_add(&s->hello, s->pair.side[MILGI_CLIENT].wire.p, s->pair.side[MILGI_CLIENT].wire.len);
    assert_true(s->hello.len > 100);
}

static void storm_fini(struct storm *s)
{
    for (unsigned i = 0; i < 64; i++)
        milgi_conn_free(s->conn[i]);
    pair_fini(&s->pair);
    free(s->hello.p);
}

/* A client connects and says hello; the one that did so 64 clients ago has gone. */
static bool come_and_go(struct storm *s)
{
    struct pair_side *server = &s->pair.side[MILGI_SERVER];
    struct milgi_conn **conn = &s->conn[s->at++ % 64];
    milgi_conn_free(*conn);
    *conn = NULL;
    MUST(milgi_conn_new(server->engine, s->server, NULL, &events, NULL, conn));
    struct milgi_chunk *chunk = milgi_chunk_new(server->engine, s->hello.len);
    if (!chunk)
        return false;
    memcpy(milgi_chunk_data(chunk), s->hello.p, s->hello.len);
    int rv = milgi_conn_receive(*conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), (uint32_t)s->hello.len });
    assert_true(rv == 0);
    pair_run(server, NULL);
    return true;
}

static void all_leave(struct storm *s)
{
    for (unsigned i = 0; i < 64; i++) {
        milgi_conn_free(s->conn[i]);
        s->conn[i] = NULL;
    }
}

static void rest(struct storm *s, uint64_t ns)
{
    uint64_t until = s->pair.now_ns + ns, deadline;
    while (s->pair.now_ns < until) {
        enum milgi_next next = pair_run(&s->pair.side[MILGI_SERVER], &deadline);
        if (next == MILGI_RUN_AGAIN)
            continue;
        s->pair.now_ns = deadline < until && deadline > s->pair.now_ns ? deadline : until;
    }
    pair_run(&s->pair.side[MILGI_SERVER], NULL);
}

static void clients_that_come_and_go_leave_nothing_behind(void **state)
{
    (void)state;
    static const char *const devices[] = { NULL, "sim:latency=20ms,units=4,depth=16",
        "sim:latency=20ms,units=64,depth=256,order=out,jitter=10ms,seed=2" };
    for (size_t k = 0; k < MILGI__COUNT(devices); k++) {
        struct storm s;
        uint32_t most_ops = 0, most_orphans = 0;
        storm_init(&s, devices[k], NULL);
        size_t heap = 0;
        for (unsigned i = 0; i < 5000; i++) {
            assert_true(come_and_go(&s));
            struct milgi_engine_stats stats = stats_of(&s);
            most_ops = MILGI__MAX(most_ops, stats.ops_alive);
            most_orphans = MILGI__MAX(most_orphans, stats.orphans);
            assert_true(stats.conns <= 64);
            s.pair.now_ns += 50000; /* 20 000 clients a second */
            if (i == 1000)
                heap = heap_used();
        }
        /* What waits for those who have gone is counted; it goes as soon as the device looks for more to do, within
         * 30 ms, in which 600 clients come. */
        if (devices[k])
            assert_true(most_orphans > 0);
        assert_true(most_orphans <= 256 + 600);
        assert_true(most_ops <= 256 + 600 + 64);
        assert_true(heap_used() <= heap + (1u << 20));
        all_leave(&s);
        rest(&s, 2000000000u);
        assert_int_equal(stats_of(&s).ops_alive, 0);
        assert_int_equal(stats_of(&s).orphans, 0);
        assert_int_equal(stats_of(&s).memory, 0);
        storm_fini(&s);
    }
}

/* --- with tickets ------------------------------------------------------------------------------------------------- */

static const uint16_t versions[] = { MILGI_TLS_1_2, MILGI_TLS_1_3 };

/* What a client says that comes back with a ticket; |forged|: with its last byte changed. */
static void ticket_init(struct storm *s, uint16_t version, bool forged)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    struct milgi_session_cache *cache;
    struct milgi_ticket_keys *keys;
    struct milgi_config *client = configs_begin(MILGI_CLIENT, NULL, fixture.root);
    memset(s, 0, sizeof *s);
    s->server = configs_begin(MILGI_SERVER, fixture.leaf, NULL);
    MUST(milgi_session_cache_new(4, &cache));
    MUST(milgi_ticket_keys_new(secret, 7200, (int64_t)time(NULL), &keys));
    MUST(milgi_config_set_session_cache(client, cache));
    MUST(milgi_config_set_versions(client, version, version));
    MUST(milgi_config_set_ticket_keys(s->server, keys));
    MUST(milgi_config_set_versions(s->server, version, version));
    struct pair_setup setup = {
        .config = { configs_freeze(client), configs_freeze(s->server) },
        .server_name = "server.test",
        .seed = 3,
    };
    pair_init(&s->pair, &setup);
    pair_settle(&s->pair);
    struct milgi_session *session = milgi_session_cache_take(cache, "server.test", s->pair.wall_s);
    assert_non_null(session);
    setup.config[MILGI_SERVER] = NULL;
    pair_again(&s->pair, &setup);
    MUST(milgi_conn_set_session(s->pair.side[MILGI_CLIENT].conn, session));
    pair_run(&s->pair.side[MILGI_CLIENT], NULL);
    pair_bytes_add(&s->hello, s->pair.side[MILGI_CLIENT].wire.p, s->pair.side[MILGI_CLIENT].wire.len);
    struct milgi_iov ticket = milgi__session_parts(session).ticket;
    uint8_t *at = memmem(s->hello.p, s->hello.len, ticket.data, ticket.len);
    assert_non_null(at);
    at[ticket.len - 1] ^= forged;
    milgi_session_unref(session);
    milgi_ticket_keys_unref(keys);
    milgi_session_cache_unref(cache);
    milgi_config_unref(client);
}

/* Who has heard somebody else's hello can say it as often as he likes: it costs a handshake at most, and no memory. */
static void hellos_with_tickets_leave_nothing_behind(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct storm s;
        size_t heap = 0;
        bool forged = i & 1;
        ticket_init(&s, versions[i / 2], forged);
        for (unsigned k = 0; k < 300; k++) {
            assert_true(come_and_go(&s));
            s.pair.now_ns += 50000;
            if (k == 100)
                heap = heap_used();
        }
        struct milgi_conn_info info;
        milgi_conn_info(s.conn[(s.at - 1) % 64], &info);
        assert_int_equal(info.version, versions[i / 2]);
        assert_int_equal(info.resumed, !forged);
        assert_true(heap_used() <= heap + (64u << 10));
        all_leave(&s);
        rest(&s, 2000000000u);
        assert_int_equal(stats_of(&s).ops_alive, 0);
        assert_int_equal(stats_of(&s).memory, 0);
        milgi_config_unref(s.server);
        storm_fini(&s);
    }
}

/* With few ops and little memory it waits or refuses, but does not break; afterwards it serves. */
static void a_storm_against_a_small_engine_passes(void **state)
{
    (void)state;
    static const enum milgi_full_policy policies[] = { MILGI_FULL_WAIT, MILGI_FULL_SPILL, MILGI_FULL_REFUSE };
    for (size_t k = 0; k < MILGI__COUNT(policies); k++) {
        struct milgi_engine_options options;
        struct storm s;
        milgi_engine_options_init(&options);
        options.op_limit = 32;
        options.memory_limit = 256 * 1024;
        options.full_policy = policies[k];
        options.full_line = 8;
        storm_init(&s, "sim:latency=20ms,units=2,depth=4", &options);
        for (unsigned i = 0; i < 2000; i++) {
            (void)come_and_go(&s);
            assert_true(stats_of(&s).ops_alive <= 32 + 64);
            assert_true(stats_of(&s).memory <= 256 * 1024 + 256 * 1024);
            s.pair.now_ns += 100000;
        }
        all_leave(&s);
        rest(&s, 5000000000u);
        assert_int_equal(stats_of(&s).ops_alive, 0);
        assert_int_equal(stats_of(&s).memory, 0);
        assert_true(come_and_go(&s));
        rest(&s, 1000000000u);
        struct milgi_conn_info info;
        milgi_conn_info(s.conn[(s.at - 1) % 64], &info);
        assert_int_equal(info.version, 0x0304);
        assert_true(info.records_out >= 2);
        all_leave(&s);
        rest(&s, 1000000000u);
        storm_fini(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storm_of_key_updates_is_weathered_by_one_who_reads),
        cmocka_unit_test(replies_to_key_updates_do_not_pile_up_when_nobody_reads_them),
        cmocka_unit_test(clients_that_come_and_go_leave_nothing_behind),
        cmocka_unit_test(hellos_with_tickets_leave_nothing_behind),
        cmocka_unit_test(a_storm_against_a_small_engine_passes),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
