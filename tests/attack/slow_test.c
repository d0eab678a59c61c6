/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little by little: crumbs of messages, messages that are announced and never come, peers that take their time; and
 * ends: cut, or followed by more.
 * ctest-timeout: 120
 */
#include "fixture.h"

#define SECOND UINT64_C(1000000000)

/* --- crumbs ------------------------------------------------------------------------------------------------------- */

static unsigned allocations;

static bool count_allocation(void)
{
    allocations++;
    return false;
}

static struct milgi_config *with_long_messages(void)
{
    struct milgi_config *config = configs_begin(MILGI_SERVER, fixture.leaf, NULL);
    MUST(milgi_config_set_limit(config, MILGI_LIMIT_HANDSHAKE_MESSAGE, 1 << 20));
    return configs_freeze(config);
}

/* A ClientHello of |len| bytes in records of |piece| bytes, all but the last. Returns allocations of the victim. */
static unsigned crumbs(size_t len, size_t piece, size_t *heap_most)
{
    struct liar_setup setup = setup_as(MILGI_CLIENT);
    struct liar liar;
    uint8_t zeros[16384] = { 0 };
    setup.victim = with_long_messages();
    liar_init(&liar, &setup);
    uint8_t header[4] = { MILGI__MSG_CLIENT_HELLO, (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len };
    size_t heap = heap_used();
    *heap_most = 0;
    allocations = 0;
    milgi__mem_fail = count_allocation;
    liar_plain(&liar, LIAR_HANDSHAKE, header, 4);
    for (size_t at = 0; at + piece < len; at += piece) {
        liar_plain(&liar, LIAR_HANDSHAKE, zeros, piece);
        pair_run(liar.victim, NULL);
        if (at % 4096 == 0)
            *heap_most = MILGI__MAX(*heap_most, heap_used() - heap);
    }
    milgi__mem_fail = NULL;
    assert_false(liar.victim->closed);
    assert_true(memory_of(&liar) <= 128 * 1024);
    liar_plain(&liar, LIAR_HANDSHAKE, zeros, (len - 1) % piece + 1);
    liar_expect_alert(&liar, MILGI_ALERT_DECODE_ERROR);
    milgi_config_unref(setup.victim);
    liar_fini(&liar);
    return allocations;
}

static void a_message_in_crumbs_costs_what_its_bytes_cost(void **state)
{
    (void)state;
    size_t heap;
    unsigned small = crumbs(10000, 1, &heap);
    assert_true(heap <= 256 * 1024);
    unsigned large = crumbs(100000, 1, &heap);
    assert_true(heap <= 100000 + 256 * 1024);
    assert_true(large <= 12 * small); /* linear */
}

static void a_message_of_a_megabyte_is_kept_once(void **state)
{
    (void)state;
    size_t heap;
    (void)crumbs((1 << 20) - 100, 16384, &heap);
    assert_true(heap <= (1 << 20) + (1 << 20) + 256 * 1024); /* twice while it grows */
}

static void a_message_of_a_megabyte_that_is_only_announced_costs_nothing(void **state)
{
    (void)state;
    struct liar_setup setup = setup_as(MILGI_CLIENT);
    struct liar liar;
    setup.victim = with_long_messages();
    liar_init(&liar, &setup);
    liar_listen(&liar);
    size_t heap = heap_used();
    liar_plain(&liar, LIAR_HANDSHAKE, "\1\17\xff\xff", 4);
    liar_listen(&liar);
    assert_false(liar.victim->closed);
    assert_true(heap_used() - heap <= 64 * 1024);
    milgi_config_unref(setup.victim);
    liar_fini(&liar);
}

static void data_in_crumbs_is_delivered_in_bounded_memory(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role, NULL);
        for (unsigned i = 0; i < 20000; i++) {
            liar_record(&liar, LIAR_DATA, "x", 1, 0);
            if (i % 64 == 0)
                pair_run(liar.victim, NULL);
        }
        liar_listen(&liar);
        assert_int_equal(liar.victim->got.len, 20000);
        assert_true(peak_of(&liar) <= 512 * 1024);
        liar_fini(&liar);
    }
}

/* --- time --------------------------------------------------------------------------------------------------------- */

/* The handshake took too long: the peer is told, and what says so is the victim's own clock. */
static void expect_timeout(struct liar *liar)
{
    const struct milgi_reason *r = &liar->victim->reason;
    assert_true(liar->victim->closed);
    assert_int_equal(r->error, MILGI_ETIMEOUT);
    assert_int_equal(r->cls, MILGI_CLASS_LIMIT);
    assert_false(liar->victim->established);
    if (!liar->deaf)
        assert_int_equal(liar->alert, MILGI_ALERT_CLOSE_NOTIFY); /* behind user_canceled */
}

static void a_byte_per_second_lasts_until_the_deadline(void **state)
{
    (void)state;
    struct liar_setup setup = setup_as(MILGI_CLIENT);
    struct liar liar;
    static const uint8_t record[] = { LIAR_HANDSHAKE, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3 };
    liar_init(&liar, &setup);
    unsigned seconds = 0;
    for (; seconds < 100 && !liar.victim->closed; seconds++) {
        uint8_t byte = seconds < sizeof record ? record[seconds] : 0;
        liar_raw(&liar, &byte, 1);
        liar_listen_for(&liar, SECOND);
    }
    assert_true(seconds >= 29 && seconds <= 31);
    expect_timeout(&liar);
    liar_fini(&liar);
}

static void one_who_stops_in_any_state_lasts_until_the_deadline(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        for (unsigned stop = 0; stop < 6; stop++) {
            struct liar_setup setup = setup_as(role);
            struct liar liar;
            setup.retry = stop % 2;
            setup.group = role == MILGI_SERVER && setup.retry ? MILGI_GROUP_SECP256R1 : 0;
            liar_init(&liar, &setup);
            for (unsigned i = 0; i < stop; i++) {
                liar_step(&liar);
                liar_listen_for(&liar, 2 * SECOND); /* nothing of this gives it more time */
            }
            if (role == MILGI_CLIENT && stop == 0)
                liar_raw(&liar, "\26", 1); /* a server's time begins with the first byte */
            bool open = liar.victim->established;
            liar_listen_for(&liar, 31 * SECOND);
            assert_int_equal(open, liar.victim->established);
            if (!open)
                expect_timeout(&liar);
            else
                assert_false(liar.victim->closed); /* an open connection has all the time that it wants */
            liar_fini(&liar);
        }
    }
}

static void ccs_do_not_prolong_the_handshake(void **state)
{
    (void)state;
    struct liar_setup setup = setup_as(MILGI_CLIENT);
    struct liar liar;
    liar_init(&liar, &setup);
    assert_true(liar_step_to(&liar, MILGI__MSG_FINISHED, 0));
    for (unsigned i = 0; i < 32 && !liar.victim->closed; i++) {
        liar_send_ccs(&liar);
        liar_listen_for(&liar, SECOND);
    }
    expect_timeout(&liar);
    liar_fini(&liar);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

static void an_end_without_close_notify_is_a_truncation(void **state)
{
    (void)state;
    static const char *const devices[] = { NULL, SLOW };
    for (size_t k = 0; k < MILGI__COUNT(devices); k++) {
        for (enum milgi_role role = 0; role < 2; role++) {
            for (int error = 0; error < 2; error++) {
                struct liar liar;
                open_as(&liar, role, devices[k]);
                for (unsigned i = 0; i < 50; i++)
                    liar_record(&liar, LIAR_DATA, "data", 4, 0);
                MUST(milgi_conn_receive_eof(liar.victim->conn, error ? 104 : 0));
                liar_listen(&liar);
                assert_int_equal(liar.victim->got.len, 200); /* what came is delivered first */
                assert_true(liar.victim->closed);
                assert_int_equal(liar.victim->reason.error, error ? MILGI_ETRANSPORT : MILGI_ETRUNCATED);
                assert_int_equal(liar.victim->reason.cls, MILGI_CLASS_IO);
                assert_int_equal(liar.victim->reason.device_code, error ? 104 : 0);
                assert_int_equal(liar.victim->alerts_n, 0);
                liar_fini(&liar);
            }
        }
    }
}

/* In the middle of a record it is one too, and nothing of the record is seen. */
static void an_end_within_a_record_is_a_truncation(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        for (size_t part = 1; part < 30; part++) {
            struct liar liar;
            uint8_t record[30] = { LIAR_DATA, 3, 3, 0, 25 };
            open_as(&liar, role, NULL);
            liar_raw(&liar, record, part);
            MUST(milgi_conn_receive_eof(liar.victim->conn, 0));
            liar_listen(&liar);
            assert_int_equal(liar.victim->reason.error, MILGI_ETRUNCATED);
            assert_int_equal(liar.victim->got.len, 0);
            liar_fini(&liar);
        }
    }
}

/*= RFC8446 6.1: "Any data received after a closure alert has been received MUST be ignored." */
static void what_comes_after_close_notify_is_ignored(void **state)
{
    (void)state;
    static const char *const devices[] = { NULL, SLOW };
    for (size_t k = 0; k < MILGI__COUNT(devices); k++) {
        for (enum milgi_role role = 0; role < 2; role++) {
            struct liar liar;
            open_as(&liar, role, devices[k]);
            struct pair_side *v = liar.victim;
            liar_record(&liar, LIAR_DATA, "data", 4, 0);
            liar_send_alert(&liar, 1, MILGI_ALERT_CLOSE_NOTIFY);
            liar_record(&liar, LIAR_DATA, "never", 5, 0);
            liar_update(&liar, true, 0);
            liar_record(&liar, LIAR_DATA, "never", 5, 0);
            liar_listen(&liar);
            liar_raw(&liar, "\0\0\0\0garbage", 11);
            liar_send_alert(&liar, 2, MILGI_ALERT_INTERNAL_ERROR);
            liar_listen_for(&liar, 2 * SECOND);
            assert_int_equal(v->got.len, 4);
            assert_int_equal(v->alerts_n, 1);
            assert_int_equal(v->alerts[0], MILGI_ALERT_CLOSE_NOTIFY);
            assert_false(v->closed);
            assert_int_equal(memory_of(&liar), 0);
            /* Its own half is still open. */
            MUST(milgi_conn_write(v->conn, "more", 4));
            MUST(milgi_conn_shutdown(v->conn));
            MUST(milgi_conn_receive_eof(v->conn, 0));
            liar_listen(&liar);
            assert_int_equal(liar.got.len, 4);
            assert_int_equal(liar.alert, MILGI_ALERT_CLOSE_NOTIFY);
            assert_int_equal(liar.updates_n, 0);
            assert_true(v->closed);
            assert_int_equal(v->reason.error, 0);
            liar_fini(&liar);
        }
    }
}

/* A close_notify that is not the peer's: before there are keys anybody could have sent it. */
static void a_close_notify_during_the_handshake_is_no_orderly_end(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar_setup setup = setup_as(role);
        struct liar liar;
        liar_init(&liar, &setup);
        liar_listen(&liar);
        liar_send_alert(&liar, 1, MILGI_ALERT_CLOSE_NOTIFY);
        liar_listen(&liar);
        assert_true(liar.victim->closed);
        assert_int_equal(liar.victim->reason.error, MILGI_EALERT);
        assert_false(liar.victim->established);
        /*= RFC8446 6.1: "Each party MUST send a "close_notify" alert before closing its write side" */
        assert_int_equal(liar.alert, MILGI_ALERT_CLOSE_NOTIFY);
        liar_fini(&liar);
    }
}

/* ... and what has gone ahead is not all that there was: nothing may say so. */
static void a_close_notify_behind_early_data_of_the_server_is_answered_by_nothing(void **state)
{
    (void)state;
    struct liar_setup setup = setup_as(MILGI_CLIENT);
    struct milgi_config *config = configs_begin(MILGI_SERVER, fixture.leaf, NULL);
    MUST(milgi_config_set_early_server_data(config, true));
    setup.victim = configs_freeze(config);
    struct liar liar;
    liar_init(&liar, &setup);
    MUST(milgi_conn_write(liar.victim->conn, "half", 4));
    assert_true(liar_step_to(&liar, MILGI__MSG_FINISHED, 0));
    assert_int_equal(liar.got.len, 4);
    liar_send_alert(&liar, 1, MILGI_ALERT_CLOSE_NOTIFY);
    liar_listen(&liar);
    assert_true(liar.victim->closed);
    assert_int_equal(liar.victim->reason.error, MILGI_EALERT);
    assert_int_equal(liar.alert, -1);
    milgi_config_unref(setup.victim);
    liar_fini(&liar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_in_crumbs_costs_what_its_bytes_cost),
        cmocka_unit_test(a_message_of_a_megabyte_is_kept_once),
        cmocka_unit_test(a_message_of_a_megabyte_that_is_only_announced_costs_nothing),
        cmocka_unit_test(data_in_crumbs_is_delivered_in_bounded_memory),
        cmocka_unit_test(a_byte_per_second_lasts_until_the_deadline),
        cmocka_unit_test(one_who_stops_in_any_state_lasts_until_the_deadline),
        cmocka_unit_test(ccs_do_not_prolong_the_handshake),
        cmocka_unit_test(an_end_without_close_notify_is_a_truncation),
        cmocka_unit_test(an_end_within_a_record_is_a_truncation),
        cmocka_unit_test(what_comes_after_close_notify_is_ignored),
        cmocka_unit_test(a_close_notify_during_the_handshake_is_no_orderly_end),
        cmocka_unit_test(a_close_notify_behind_early_data_of_the_server_is_answered_by_nothing),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
