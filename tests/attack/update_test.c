/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key updates, and tickets: what a peer may do as often as it likes because it is asked for it, or because data moves
 * or time goes by; and what it may not, because it makes work for nothing.
 * ctest-timeout: 120
 */
#include "fixture.h"

#define BURST 32 /* MILGI_LIMIT_IDLE_CONTROL by default */
#define SECOND UINT64_C(1000000000)

static void expect_open(const struct liar *liar)
{
    if (liar->victim->closed)
        fail_msg("ended with %s", liar_end(liar));
}

static void expect_flood(struct liar *liar)
{
    liar_expect_alert(liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
    assert_int_equal(liar->victim->reason.error, MILGI_ELIMIT);
}

static void update(struct liar *liar, unsigned n, bool request)
{
    for (unsigned i = 0; i < n; i++) {
        liar_update(liar, request, 0);
        liar_listen(liar);
    }
}

static void pass(struct liar *liar, uint64_t ns)
{
    liar_listen_for(liar, ns);
}

/* --- what is for nothing ------------------------------------------------------------------------------------------ */

static void a_burst_is_taken_and_one_more_is_not(void **state)
{
    (void)state;
    for (int request = 0; request < 2; request++) {
        for (enum milgi_role role = 0; role < 2; role++) {
            struct liar liar;
            open_as(&liar, role, NULL);
            update(&liar, BURST, request);
            expect_open(&liar);
            update(&liar, 1, request);
            expect_flood(&liar);
            liar_fini(&liar);
        }
    }
}

static void time_refills_the_burst_and_no_more_than_that(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role, NULL);
        for (unsigned i = 0; i < 5; i++) {
            update(&liar, BURST, i & 1);
            expect_open(&liar);
            pass(&liar, 3600 * SECOND);
        }
        update(&liar, BURST, true);
        expect_open(&liar);
        update(&liar, 1, true);
        expect_flood(&liar);
        liar_fini(&liar);
    }
}

/* A peer that updates twice a second for an hour. */
static void slow_updates_may_go_on_for_ever(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role, NULL);
        for (unsigned i = 0; i < 2 * 3600; i++) {
            update(&liar, 1, i & 1);
            pass(&liar, SECOND / 2);
        }
        expect_open(&liar);
        liar_fini(&liar);
    }
}

/* Little data pays for little. */
static void a_byte_now_and_then_pays_for_no_flood(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role, NULL);
        for (unsigned i = 0; i < 100 && !liar.victim->closed; i++) {
            update(&liar, BURST / 2, true);
            liar_record(&liar, LIAR_DATA, "x", 1, 0);
            liar_listen(&liar);
        }
        expect_flood(&liar);
        liar_fini(&liar);
    }
}

/* --- what is not -------------------------------------------------------------------------------------------------- */

static void an_update_with_each_message_is_no_flood_however_short(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role, NULL);
        for (unsigned i = 0; i < 2000; i++) {
            liar_record(&liar, LIAR_DATA, "x", 1, 0);
            update(&liar, 1, true);
        }
        expect_open(&liar);
        assert_int_equal(liar.victim->got.len, 2000);
        assert_int_equal(liar.updates_n, 2000);
        liar_fini(&liar);
    }
}

static uint8_t big[65536];

/* One way only: whichever it is. */
static void updates_while_data_moves_one_way_are_no_flood(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        for (int down = 0; down < 2; down++) {
            struct liar liar;
            open_as(&liar, role, NULL);
            for (unsigned i = 0; i < 300; i++) {
                if (down)
                    assert_int_equal(milgi_conn_write(liar.victim->conn, big, 16384), 0);
                else
                    liar_record(&liar, LIAR_DATA, big, 16384, 0);
                for (unsigned k = 0; k < 8; k++) /* one for each 2 KiB */
                    liar_update(&liar, k == 3, 0);
                liar_listen(&liar);
            }
            expect_open(&liar);
            assert_int_equal(down ? liar.got.len : liar.victim->got.len, 300 * 16384);
            assert_false(liar.deaf);
            liar_fini(&liar);
        }
    }
}

/* Answers to what we have asked for are no work for nothing. */
static void answers_to_our_own_requests_never_count(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role, NULL);
        for (unsigned i = 0; i < 500; i++) {
            assert_int_equal(milgi_conn_update_keys(liar.victim->conn, true), 0);
            liar_listen(&liar);
            update(&liar, 1, false);
        }
        expect_open(&liar);
        assert_int_equal(liar.updates_n, 500);
        /* Nor do they leave less to come: but what was not asked for counts. */
        update(&liar, BURST, false);
        expect_open(&liar);
        update(&liar, 1, false);
        expect_flood(&liar);
        liar_fini(&liar);
    }
}

/* --- the reply ---------------------------------------------------------------------------------------------------- */

/*= RFC8446 4.6.3: "If the request_update field is set to "update_requested", then the receiver MUST send a KeyUpdate of
 *= its own with request_update set to "update_not_requested" prior to sending its next Application Data record." */
static void a_reply_goes_before_the_next_record_of_data(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role, NULL);
        struct pair_side *v = liar.victim;
        v->keep_output = true; /* the network takes it all, and says so only later */
        while (milgi_conn_write(v->conn, big, sizeof big) == 0)
            liar_listen(&liar);
        assert_int_equal(milgi_conn_write(v->conn, big, sizeof big), MILGI_PAUSE);
        liar_listen(&liar);
        size_t before = liar.got.len;
        assert_true(milgi_conn_output_pending(v->conn) > v->undone); /* there is more that is not framed */
        update(&liar, 1, true);
        milgi_conn_output_done(v->conn, 20000);
        v->undone -= 20000;
        liar_listen(&liar);
        assert_true(liar.got.len > before);  /* new data, */
        assert_int_equal(liar.updates_n, 1); /* and the reply before it: */
        assert_true(liar.updated_at <= before);
        while (v->undone || liar.got.len < before) {
            milgi_conn_output_done(v->conn, v->undone);
            v->undone = 0;
            liar_listen(&liar);
        }
        assert_int_equal(milgi_conn_output_pending(v->conn), 0);
        assert_false(liar.deaf);
        liar_fini(&liar);
    }
}

/*= RFC8446 4.6.3: "an implementation which receives multiple KeyUpdates while it is silent to respond with a single
 *= update" */
static void requests_that_come_together_have_one_reply(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role, NULL);
        for (unsigned i = 0; i < 20; i++)
            liar_update(&liar, true, 0);
        liar_listen(&liar);
        assert_int_equal(liar.updates_n, 1);
        /* One by one, each has its own. */
        update(&liar, 5, true);
        assert_int_equal(liar.updates_n, 6);
        liar_fini(&liar);
    }
}

/* The network takes nothing: replies do not pile up. */
static void replies_do_not_pile_up(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role, NULL);
        struct pair_side *v = liar.victim;
        v->keep_output = true;
        while (milgi_conn_write(v->conn, big, sizeof big) == 0)
            liar_listen(&liar);
        liar_listen(&liar);
        size_t pending = milgi_conn_output_pending(v->conn);
        for (unsigned i = 0; i < 1000; i++) {
            update(&liar, 1, true);
            pass(&liar, SECOND);
        }
        expect_open(&liar);
        assert_true(milgi_conn_output_pending(v->conn) <= pending + 64);
        for (unsigned i = 0; i < 1000 && milgi_conn_output_pending(v->conn); i++) {
            milgi_conn_output_done(v->conn, v->undone);
            v->undone = 0;
            liar_listen(&liar);
        }
        assert_int_equal(milgi_conn_output_pending(v->conn), 0);
        assert_int_equal(liar.updates_n, 1); /* it waited to be framed all the time, and answers them all */
        assert_false(liar.deaf);
        liar_fini(&liar);
    }
}

/* --- tickets and change_cipher_spec ------------------------------------------------------------------------------- */

static const uint8_t ticket[] = { 4, 0, 0, 18, 0, 0, 28, 32, 1, 2, 3, 4, 1, 0, 0, 4, 'a', 'b', 'c', 'd', 0, 0 };

static void send_tickets(struct liar *liar, unsigned n)
{
    uint8_t many[64 * sizeof ticket];
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = ticket[i % sizeof ticket];
    for (; n > 64; n -= 64)
        liar_record(liar, LIAR_HANDSHAKE, many, sizeof many, 0);
    liar_record(liar, LIAR_HANDSHAKE, many, n * sizeof ticket, 0);
    liar_listen(liar);
}

/* Some servers send as many as clients may open connections. They have a limit of their own. */
static void a_client_takes_many_tickets_at_once_but_not_any_number(void **state)
{
    (void)state;
    struct liar liar;
    open_as(&liar, MILGI_SERVER, NULL);
    send_tickets(&liar, 256);
    expect_open(&liar);
    update(&liar, BURST, true);
    expect_open(&liar);
    pass(&liar, 3600 * SECOND);
    send_tickets(&liar, 256);
    expect_open(&liar);
    send_tickets(&liar, 1);
    expect_flood(&liar);
    liar_fini(&liar);
}

static void tickets_between_data_may_come_for_ever(void **state)
{
    (void)state;
    struct liar liar;
    open_as(&liar, MILGI_SERVER, NULL);
    for (unsigned i = 0; i < 1000; i++) {
        send_tickets(&liar, 2);
        liar_record(&liar, LIAR_DATA, big, 2048, 0);
        liar_listen(&liar);
    }
    expect_open(&liar);
    liar_fini(&liar);
}

/* What came in the handshake does not count behind it. */
static void change_cipher_specs_of_the_handshake_count_there(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar_setup setup = setup_as(role);
        struct liar liar;
        liar_init(&liar, &setup);
        assert_true(liar_step_to(&liar, MILGI__MSG_FINISHED, 0));
        for (unsigned i = 0; i < BURST; i++)
            liar_send_ccs(&liar);
        liar_handshake(&liar);
        update(&liar, BURST, true);
        expect_open(&liar);
        update(&liar, 1, true);
        expect_flood(&liar);
        liar_fini(&liar);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_is_taken_and_one_more_is_not),
        cmocka_unit_test(time_refills_the_burst_and_no_more_than_that),
        cmocka_unit_test(slow_updates_may_go_on_for_ever),
        cmocka_unit_test(a_byte_now_and_then_pays_for_no_flood),
        cmocka_unit_test(an_update_with_each_message_is_no_flood_however_short),
        cmocka_unit_test(updates_while_data_moves_one_way_are_no_flood),
        cmocka_unit_test(answers_to_our_own_requests_never_count),
        cmocka_unit_test(a_reply_goes_before_the_next_record_of_data),
        cmocka_unit_test(requests_that_come_together_have_one_reply),
        cmocka_unit_test(replies_do_not_pile_up),
        cmocka_unit_test(a_client_takes_many_tickets_at_once_but_not_any_number),
        cmocka_unit_test(tickets_between_data_may_come_for_ever),
        cmocka_unit_test(change_cipher_specs_of_the_handshake_count_there),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
