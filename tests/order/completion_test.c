/* SPDX-License-Identifier: Apache-2.0 */
/* Every order of completion: all of them for the ops of a handshake, seeded ones for records. ctest-timeout: 300 */
#include "play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Whoever judges a flaw says so, and of the other side, which has none, the contrary. */
static void assert_reported(const struct play *play)
{
    int judge = play->flaw == PLAY_CLIENT_UNTRUSTED ? MILGI_SERVER : MILGI_CLIENT;
    for (int role = 0; role < 2; role++) {
        bool shown = role == MILGI_CLIENT || play->client_auth; /* by its peer */
        struct milgi_conn_info info;
        milgi_conn_info(play->pair.side[role].conn, &info);
        assert_int_equal(info.peer_verdict != 0, role == judge);
        assert_int_equal(info.peer_authenticated, role != judge && shown);
        assert_int_equal(info.resumed, play->resume);
    }
}

static unsigned every_order(const struct play *of)
{
    struct play play = *of;
    unsigned runs = 0;
    play.choose = play_path;
    do {
        play_run(&play);
        assert_true(play.staple == PLAY_STAPLE_REVOKED ? play_was_refused(&play) : play_went_well(&play));
        if (play.reports)
            assert_reported(&play);
        play_fini(&play);
        runs++;
    } while (play_next_path(&play));
    return runs;
}

static void every_order_of_handshake_ops_opens_the_connection(void **state)
{
    (void)state;
    for (unsigned options = 0; options < 16; options++) {
        struct play play = { .routed = PLAY_HANDSHAKE_OPS, .handshake_only = true, .fault_side = -1 };
        play.hybrid = options & 8;
        play.client_auth = options & 1;
        play.ask = options & 2;
        play.retry = options & 4;
        unsigned runs = every_order(&play);
        print_message("client certificate %d, decisions %d, retry %d, hybrid %d: %u orders\n", play.client_auth,
            play.ask, play.retry, play.hybrid, runs);
        /*
         * Server: DERIVE and SIGN overlap; client: VERIFY_CHAIN and VERIFY do. Fewer orders would mean that they do
         * not.
         */
        assert_true(runs >= 4);
        /* The halves do, too: two KEYGENs, KEYGEN and ENCAPS, DERIVE and DECAPS. */
        assert_true(!play.hybrid || runs >= 32);
    }
}

static void every_order_of_the_ops_of_tls12_opens_the_connection(void **state)
{
    (void)state;
    for (unsigned options = 0; options < 4; options++) {
        struct play play = { .routed = PLAY_HANDSHAKE_OPS, .handshake_only = true, .fault_side = -1, .tls12 = true };
        play.client_auth = options & 1;
        play.ask = options & 2;
        unsigned runs = every_order(&play);
        print_message("TLS 1.2, client certificate %d, decisions %d: %u orders\n", play.client_auth, play.ask, runs);
        /*
         * Client: VERIFY_CHAIN, VERIFY and KEYGEN, then DERIVE, are out together; server: with a client's certificate
         * VERIFY_CHAIN, DERIVE and VERIFY.
         */
        assert_true(runs >= (play.client_auth ? 60 : 15));
    }
}

static void every_order_of_the_ops_of_a_stapled_handshake_comes_to_the_same(void **state)
{
    (void)state;
    for (int staple = PLAY_STAPLE_ABSENT; staple < PLAY_STAPLES; staple++) {
        for (unsigned options = 0; options < 8; options++) {
            struct play play = { .routed = PLAY_HANDSHAKE_OPS, .handshake_only = true, .fault_side = -1 };
            play.staple = (enum play_staple)staple;
            play.tls12 = options & 1;
            play.ask = options & 2;
            play.client_auth = options & 4;
            if (play.client_auth && (play.ask || (play.tls12 && staple != PLAY_STAPLE_DECIDED)))
                continue; /* where there are many orders, one of each kind is enough */
            unsigned runs = every_order(&play);
            print_message("TLS 1.%d, staple %d, client certificate %d, decisions %d: %u orders\n",
                play.tls12 ? 2 : 3, staple, play.client_auth, play.ask, runs);
            /* With a response of its own VERIFY_CHAIN begins a message later in TLS 1.2, and meets the same ops. */
            assert_true(runs >= (play.tls12 ? 15 : 4) || staple == PLAY_STAPLE_REVOKED);
        }
    }
}

static void a_peer_that_is_only_reported_is_reported_in_every_order(void **state)
{
    static const enum play_flaw flaws[] = { PLAY_SERVER_UNTRUSTED, PLAY_SERVER_MISNAMED, PLAY_CLIENT_UNTRUSTED };
    (void)state;
    for (unsigned options = 0; options < 24; options++) {
        struct play play = { .routed = PLAY_HANDSHAKE_OPS, .handshake_only = true, .fault_side = -1, .reports = true };
        play.flaw = flaws[options / 8];
        play.client_auth = play.flaw == PLAY_CLIENT_UNTRUSTED;
        play.tls12 = options & 1;
        play.ask = options & 2;
        play.resume = options & 4;
        if (play.tls12 && play.client_auth && play.ask)
            continue; /* many orders, and no others */
        unsigned runs = every_order(&play);
        assert_true(runs >= 4 || play.resume);
    }
}

static void every_order_of_a_resumed_handshakes_ops_opens_it(void **state)
{
    (void)state;
    for (unsigned options = 0; options < 16; options++) {
        struct play play = { .routed = PLAY_HANDSHAKE_OPS, .handshake_only = true, .fault_side = -1, .resume = true };
        play.client_auth = options & 1;
        play.ask = options & 2;
        play.retry = options & 4;
        play.shares = (options & 8) && !play.retry;
        unsigned runs = every_order(&play);
        assert_true(runs >= (play.shares ? 2 : 1)); /* only the client's shares are ever out together */
    }
    for (uint64_t seed = 1; seed <= 500; seed++) {
        struct play play = { .routed = UINT32_MAX, .choose = play_random, .random = seed * 0x9e3779b97f4a7c15ull };
        play.resume = true;
        play.client_auth = seed % 5 == 0;
        play.ask = seed % 7 == 0;
        play_run(&play);
        if (!play_went_well(&play))
            fail_msg("seed %u", (unsigned)seed);
        play_fini(&play);
    }
}

static void every_order_of_the_ops_of_tls12_on_a_session_opens_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        struct play play = { .routed = UINT32_MAX, .choose = play_random, .random = seed * 0x9e3779b97f4a7c15ull };
        play.tls12 = play.resume = true;
        play.ids = seed & 1;
        play.ask = seed & 2;
        play.client_auth = seed & 4;
        play_run(&play);
        if (!play_went_well(&play))
            fail_msg("seed %u", (unsigned)seed);
        play_fini(&play);
    }
}

static void every_order_of_a_handshakes_ops_on_an_external_psk_opens_it(void **state)
{
    (void)state;
    for (unsigned options = 0; options < 16; options++) {
        struct play play = { .routed = PLAY_HANDSHAKE_OPS, .handshake_only = true, .fault_side = -1, .psk = true };
        play.ask = options & 1;
        play.retry = options & 2;
        play.plain = (options & 4) && !play.retry;
        play.shares = (options & 8) && !play.retry;
        assert_true(every_order(&play) >= (play.shares ? 2 : 1));
    }
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct play play = { .routed = UINT32_MAX, .choose = play_random, .random = seed * 0x9e3779b97f4a7c15ull };
        play.psk = true;
        play.plain = seed % 3 == 0;
        play.ask = seed % 7 == 0;
        play_run(&play);
        if (!play_went_well(&play))
            fail_msg("seed %u", (unsigned)seed);
        play_fini(&play);
    }
}

static void ten_thousand_random_orders_agree(void **state)
{
    (void)state;
    unsigned most = 0;
    for (uint64_t seed = 1; seed <= 10000; seed++) {
        struct play play = { .routed = UINT32_MAX, .choose = play_random, .random = seed * 0x9e3779b97f4a7c15ull };
        play.update_at = (unsigned)(seed % 64);
        play.client_auth = seed % 5 == 0;
        play.ask = seed % 7 == 0;
        play.hybrid = seed % 3 == 0;
        play_run(&play);
        if (!play_went_well(&play))
            fail_msg("seed %u", (unsigned)seed);
        struct milgi_conn_info info;
        milgi_conn_info(play.pair.side[MILGI_SERVER].conn, &info);
        most = info.stale_opens > most ? info.stale_opens : most;
        play_fini(&play);
    }
    assert_true(most > 0); /* records had been opened ahead of a KeyUpdate, else this shows little */
}

static void a_key_update_may_stand_at_every_position(void **state)
{
    (void)state;
    for (unsigned at = 1; at < PLAY_DATA / 64; at++) {
        /* Small records stay inline, large ones go to the device: both within one window. */
        for (uint64_t seed = 1; seed <= 6; seed++) {
            struct play play = { .routed = UINT32_MAX, .choose = play_random, .update_at = at };
            play.random = seed * 77 + at;
            play.min_record = seed % 2 ? 200 : 0;
            play_run(&play);
            if (!play_went_well(&play))
                fail_msg("update at %u, seed %u", at, (unsigned)seed);
            play_fini(&play);
        }
    }
}

static void a_queue_of_one_is_enough(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct play play = { .routed = UINT32_MAX, .choose = play_random, .random = seed, .depth = 1 };
        play.client_auth = true;
        play_run(&play);
        assert_true(play_went_well(&play));
        play_fini(&play);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_of_handshake_ops_opens_the_connection),
        cmocka_unit_test(every_order_of_the_ops_of_tls12_opens_the_connection),
        cmocka_unit_test(every_order_of_the_ops_of_a_stapled_handshake_comes_to_the_same),
        cmocka_unit_test(a_peer_that_is_only_reported_is_reported_in_every_order),
        cmocka_unit_test(every_order_of_a_resumed_handshakes_ops_opens_it),
        cmocka_unit_test(every_order_of_the_ops_of_tls12_on_a_session_opens_it),
        cmocka_unit_test(every_order_of_a_handshakes_ops_on_an_external_psk_opens_it),
        cmocka_unit_test(ten_thousand_random_orders_agree),
        cmocka_unit_test(a_key_update_may_stand_at_every_position),
        cmocka_unit_test(a_queue_of_one_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
