/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every single failure: each op in turn is rejected, breaks, gets lost, or loses its connection. ctest-timeout: 300
 * ctest-wrap: milgi__start_keygen milgi__start_derive milgi__start_sign milgi__start_verify milgi__start_chain
 * ctest-wrap: milgi__start_decision milgi__start_ticket milgi__settle milgi__start_encaps milgi__start_decaps
 */
#include "play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forget.h"
#include "handshake/handshake.h"

/* How many ops there are when all goes well. */
static unsigned count_ops(const struct play *of)
{
    struct play play = *of;
    play.fault = PLAY_NO_FAULT;
    play_run(&play);
    assert_true(play_went_well(&play));
    unsigned n = play.ended;
    play_fini(&play);
    return n;
}

/* What the side whose op was rejected must say. */
static int alert_of(int type)
{
    switch (type) {
    case MILGI_OP_OPEN:
        return MILGI_ALERT_BAD_RECORD_MAC;
    case MILGI_OP_DERIVE:
    case MILGI_OP_ENCAPS:
    case MILGI_OP_DECAPS:
        return MILGI_ALERT_ILLEGAL_PARAMETER;
    case MILGI_OP_VERIFY:
        return MILGI_ALERT_DECRYPT_ERROR;
    default:
        return -1;
    }
}

/* A record that was opened ahead of a key update is judged anew: what became of its first opening does not matter. */
static bool was_stale(const struct play *play)
{
    struct milgi_conn_info info;
    milgi_conn_info(play->pair.side[play->fault_side].conn, &info);
    return play->fault_type == MILGI_OP_OPEN && info.stale_opens > 0 && play_went_well(play);
}

static void check_rejected(const struct play *play)
{
    const struct pair_side *side = &play->pair.side[play->fault_side];
    if (was_stale(play))
        return;
    assert_true(side->closed);
    assert_int_not_equal(side->reason.error, 0);
    int alert = alert_of(play->fault_type);
    /* Nothing follows a close_notify, so an alert that comes after it cannot be seen. */
    if (alert >= 0 && side->reason.alert != MILGI_ALERT_NONE)
        assert_int_equal(side->reason.alert, alert);
}

static void prefix_of_truth(const struct play *play)
{
    for (int role = 0; role < 2; role++) {
        const struct pair_side *side = &play->pair.side[role];
        assert_true(side->got.len <= PLAY_DATA);
        for (size_t i = 0; i < side->got.len; i++)
            assert_int_equal(side->got.p[i], (uint8_t)(i * 31 + i / 64 + (size_t)(1 - role) * 128));
    }
}

static void each_op_of(const struct play *of, enum play_fault fault, void (*check)(const struct play *play))
{
    unsigned n = count_ops(of);
    assert_true(n > 20 || of->handshake_only);
    for (unsigned at = 0; at < n; at++) {
        struct play play = *of;
        play.fault = fault;
        play.at = at;
        play_run(&play);
        if (play.fault_side < 0)
            fail_msg("op %u of %u never came", at, n);
        prefix_of_truth(&play);
        check(&play);
        play_fini(&play);
    }
}

static void each_op_in_turn(const struct play *of, enum play_fault fault, void (*check)(const struct play *play))
{
    struct play tls12 = *of;
    tls12.tls12 = true;
    tls12.staple = of->resume ? PLAY_NO_STAPLE : PLAY_STAPLE_GIVEN;
    each_op_of(of, fault, check);
    if (!of->hybrid)
        each_op_of(&tls12, fault, check);
    tls12.ids = true;
    if (!of->hybrid && of->resume)
        each_op_of(&tls12, fault, check);
}

static void check_well(const struct play *play)
{
    if (!play_went_well(play))
        fail_msg("op %u (%s) was not made good", play->at, milgi_op_type_name(play->fault_type));
}

static void check_device_failed(const struct play *play)
{
    const struct pair_side *side = &play->pair.side[play->fault_side];
    if (was_stale(play))
        return;
    if (!side->closed)
        fail_msg("op %u (%s) of side %d is not missed", play->at, milgi_op_type_name(play->fault_type),
            play->fault_side);
    /*
     * When one is lost, so is all else that is out on either side: what the other side misses first may end this one.
     */
    if (play->fault == PLAY_LOSE) {
        assert_int_not_equal(side->reason.error, 0);
        return;
    }
    assert_int_equal(side->reason.error, MILGI_EDEVICE);
    assert_int_equal(side->reason.fault, MILGI_FAULT_DEVICE);
    assert_int_equal(side->reason.op, play->fault_type);
    assert_int_equal(side->reason.device_code, PLAY_CODE);
    /* It can be told unless the direction that would tell it is what broke, or has ended. */
    if (side->reason.alert != MILGI_ALERT_INTERNAL_ERROR)
        assert_int_equal(side->reason.alert, MILGI_ALERT_NONE);
    if (play->fault_type != MILGI_OP_SEAL && !play->pair.side[0].established)
        assert_int_equal(side->reason.alert, MILGI_ALERT_INTERNAL_ERROR);
}

static void check_freed(const struct play *play)
{
    assert_true(play->freed[play->fault_side]);
    assert_false(play->pair.side[play->fault_side].closed && play->pair.side[play->fault_side].conn);
}

static const struct play whole = { .routed = UINT32_MAX, .client_auth = true, .choose = play_first };

static void a_rejected_op_ends_the_connection_with_its_alert(void **state)
{
    (void)state;
    each_op_in_turn(&whole, PLAY_REJECT, check_rejected);
}

/* Of all ops the path's verdict alone may be only reported. */
static void check_reported(const struct play *play)
{
    struct milgi_conn_info info;
    if (play->fault_type != MILGI_OP_VERIFY_CHAIN) {
        check_rejected(play);
        return;
    }
    check_well(play);
    milgi_conn_info(play->pair.side[play->fault_side].conn, &info);
    assert_false(info.peer_authenticated);
    assert_int_not_equal(info.peer_verdict, 0);
}

static void of_what_is_rejected_a_path_alone_may_be_only_reported(void **state)
{
    struct play play = whole;
    (void)state;
    play.reports = play.handshake_only = true;
    each_op_in_turn(&play, PLAY_REJECT, check_reported);
    each_op_in_turn(&play, PLAY_BREAK, check_device_failed);
}

static void a_broken_op_ends_the_connection_when_nothing_is_rerun(void **state)
{
    (void)state;
    each_op_in_turn(&whole, PLAY_BREAK, check_device_failed);
}

static void a_lost_op_ends_the_connection_when_nothing_is_rerun(void **state)
{
    (void)state;
    each_op_in_turn(&whole, PLAY_LOSE, check_device_failed);
}

static void a_broken_op_is_made_good_elsewhere(void **state)
{
    (void)state;
    struct play play = whole;
    play.rerun = true;
    each_op_in_turn(&play, PLAY_BREAK, check_well);
}

static void a_lost_op_is_made_good_elsewhere_and_its_late_return_changes_nothing(void **state)
{
    (void)state;
    struct play play = whole;
    play.rerun = true;
    each_op_in_turn(&play, PLAY_LOSE, check_well);
    each_op_in_turn(&play, PLAY_LOSE_EARLY, check_well);
}

static void a_connection_can_be_freed_under_every_op(void **state)
{
    (void)state;
    each_op_in_turn(&whole, PLAY_FREE, check_freed);
}

static void a_resumed_handshake_fails_with_its_ops_and_no_further(void **state)
{
    (void)state;
    for (unsigned hybrid = 0; hybrid < 2; hybrid++) {
        struct play play = whole;
        play.resume = true;
        play.hybrid = hybrid;
        each_op_in_turn(&play, PLAY_REJECT, check_rejected);
        each_op_in_turn(&play, PLAY_BREAK, check_device_failed);
        each_op_in_turn(&play, PLAY_FREE, check_freed);
        play.rerun = true;
        each_op_in_turn(&play, PLAY_BREAK, check_well);
        each_op_in_turn(&play, PLAY_LOSE_EARLY, check_well);
    }
}

static void a_handshake_on_an_external_psk_fails_with_its_ops_and_no_further(void **state)
{
    (void)state;
    for (unsigned plain = 0; plain < 2; plain++) {
        struct play play = whole;
        play.psk = true;
        play.client_auth = false;
        play.plain = plain;
        play.handshake_only = true;
        each_op_of(&play, PLAY_REJECT, check_rejected);
        each_op_of(&play, PLAY_BREAK, check_device_failed);
        each_op_of(&play, PLAY_FREE, check_freed);
        play.rerun = true;
        each_op_of(&play, PLAY_BREAK, check_well);
        each_op_of(&play, PLAY_LOSE_EARLY, check_well);
    }
}

/* Each op of handshakes with a hybrid group, with every fault; of a retry to one, too. */
static void the_same_holds_for_both_halves_of_a_hybrid(void **state)
{
    (void)state;
    for (unsigned retry = 0; retry < 2; retry++) {
        struct play play = whole;
        play.handshake_only = true;
        play.hybrid = true;
        play.retry = retry;
        each_op_in_turn(&play, PLAY_REJECT, check_rejected);
        each_op_in_turn(&play, PLAY_BREAK, check_device_failed);
        each_op_in_turn(&play, PLAY_LOSE, check_device_failed);
        each_op_in_turn(&play, PLAY_FREE, check_freed);
        play.rerun = true;
        each_op_in_turn(&play, PLAY_BREAK, check_well);
        each_op_in_turn(&play, PLAY_LOSE, check_well);
        each_op_in_turn(&play, PLAY_LOSE_EARLY, check_well);
    }
}

static void random_orders_with_a_failure_stay_within_the_truth(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct play play = whole;
        play.choose = play_random;
        play.random = seed * 0x9e3779b97f4a7c15ull;
        play.rerun = seed & 1;
        play.hybrid = seed % 3 == 0;
        play.fault = (enum play_fault)(1 + seed % 5);
        play.at = (unsigned)(seed * 7919 % 90);
        play_run(&play);
        prefix_of_truth(&play);
        if (play.rerun && play.fault != PLAY_REJECT && play.fault != PLAY_FREE && !play_went_well(&play))
            fail_msg("seed %u", (unsigned)seed);
        play_fini(&play);
    }
}

static int to_be_forgotten;

static void forget(void)
{
    forget_slot = to_be_forgotten;
}

/* True if the handshake failed for want of the op, with internal_error on the side that forgot it. */
static bool fails_without(int slot, bool retry, bool resume, bool tls12)
{
    struct play play = whole;
    play.tls12 = play.ids = tls12;
    play.resume = resume;
    play.met = forget;
    play.handshake_only = true;
    play.ask = true;
    play.shares = !retry;
    play.retry = retry;
    play.hybrid = !tls12;
    to_be_forgotten = slot;
    play_run(&play);
    forget_slot = -1;
    bool well = play_went_well(&play), internal = false;
    for (int role = 0; role < 2 && !well; role++) {
        const struct pair_side *side = &play.pair.side[role];
        assert_true(side->closed);
        internal |= side->reason.alert == MILGI_ALERT_INTERNAL_ERROR && !side->reason.alert_from_peer;
    }
    assert_true(well || internal);
    play_fini(&play);
    return !well;
}

static void every_forgotten_start_fails_the_handshake(void **state)
{
    (void)state;
    unsigned slots = 0;
    for (int slot = 0; strcmp(milgi__hs_slot_name((unsigned)slot), "?") != 0; slot++, slots++) {
        bool without = fails_without(slot, false, false, false), retried = fails_without(slot, true, false, false);
        bool resumed = fails_without(slot, false, true, false);
        const char *name = milgi__hs_slot_name((unsigned)slot);
        static const char *const of_tls12[] = { "keygen_1", "keygen_retry", "derive", "sign", "chain", "verify",
            "credential", "alpn", "peer", "ocsp", "config", "session_lookup", "session_store" };
        static const char *const of_resumed12[] = { "ticket_1", "seal_1", "alpn", "peer", "config",
            "session_lookup" };
        bool of12 = fails_without(slot, false, false, true), resumed12 = fails_without(slot, false, true, true);
        for (size_t i = 0; i < sizeof of_tls12 / sizeof of_tls12[0]; i++) {
            if (strcmp(name, of_tls12[i]) == 0 && !of12)
                fail_msg("without %s a connection of TLS 1.2 opened", name);
        }
        for (size_t i = 0; i < sizeof of_resumed12 / sizeof of_resumed12[0]; i++) {
            if (strcmp(name, of_resumed12[i]) == 0 && !resumed12)
                fail_msg("without %s a connection of TLS 1.2 was resumed", name);
        }
        if (!without && !retried && !resumed && !of12)
            fail_msg("without %s the connection opened", milgi__hs_slot_name((unsigned)slot));
    }
    assert_true(slots >= 8);
}

static void decisions_may_come_late_or_twice(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct play play = whole;
        play.ask = true;
        play.psk = seed % 2 == 0;
        play.client_auth = !play.psk;
        play.twice = true;
        play.choose = play_random;
        play.random = seed;
        play_run(&play);
        assert_true(play_went_well(&play));
        play_fini(&play);
    }
}

static void a_decision_that_never_comes_ends_at_the_deadline(void **state)
{
    (void)state;
    const unsigned of_psks = MILGI_DECIDE_PSK | MILGI_DECIDE_TICKET_OPEN;
    static const unsigned kinds[] = { MILGI_DECIDE_CREDENTIAL, MILGI_DECIDE_ALPN, MILGI_DECIDE_PEER,
        MILGI_DECIDE_CONFIG, MILGI_DECIDE_OCSP, MILGI_DECIDE_PSK, MILGI_DECIDE_TICKET_OPEN };
    for (unsigned k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        unsigned kind = kinds[k];
        struct play play = whole;
        play.ask = true;
        play.psk = (kind & of_psks) != 0;
        play.client_auth = !play.psk;
        play.never = kind;
        play_run(&play);
        bool asked = play.pair.side[0].decisions_n || play.pair.side[1].decisions_n;
        if (asked) {
            pair_settle_until(&play.pair, play.pair.now_ns + 200 * (uint64_t)PLAY_TIMEOUT_NS);
            play_drain(&play);
            bool timed_out = play.pair.side[0].reason.error == MILGI_ETIMEOUT ||
                play.pair.side[1].reason.error == MILGI_ETIMEOUT;
            assert_true(timed_out);
            for (int role = 0; role < 2; role++) {
                for (unsigned j = 0; j < play.pair.side[role].decisions_n; j++)
                    assert_int_equal(milgi_decide(play.pair.side[role].engine, play.pair.side[role].decision[j],
                                         MILGI_ACCEPT, NULL),
                        MILGI_ESTALE);
            }
        }
        assert_true(asked || kind == MILGI_DECIDE_ALPN || kind == MILGI_DECIDE_OCSP);
        play_fini(&play);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rejected_op_ends_the_connection_with_its_alert),
        cmocka_unit_test(of_what_is_rejected_a_path_alone_may_be_only_reported),
        cmocka_unit_test(a_broken_op_ends_the_connection_when_nothing_is_rerun),
        cmocka_unit_test(a_lost_op_ends_the_connection_when_nothing_is_rerun),
        cmocka_unit_test(a_broken_op_is_made_good_elsewhere),
        cmocka_unit_test(a_lost_op_is_made_good_elsewhere_and_its_late_return_changes_nothing),
        cmocka_unit_test(a_connection_can_be_freed_under_every_op),
        cmocka_unit_test(a_resumed_handshake_fails_with_its_ops_and_no_further),
        cmocka_unit_test(a_handshake_on_an_external_psk_fails_with_its_ops_and_no_further),
        cmocka_unit_test(the_same_holds_for_both_halves_of_a_hybrid),
        cmocka_unit_test(random_orders_with_a_failure_stay_within_the_truth),
        cmocka_unit_test(every_forgotten_start_fails_the_handshake),
        cmocka_unit_test(decisions_may_come_late_or_twice),
        cmocka_unit_test(a_decision_that_never_comes_ends_at_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
