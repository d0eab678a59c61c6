/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records that bring nothing, in numbers: the victim does a bounded amount of work for them, then ends.
 * ctest-timeout: 120
 */
#include "fixture.h"

#define LIMIT 32    /* MILGI_LIMIT_IDLE_CONTROL by default */
#define WARNINGS 4  /* an eighth */
#define TICKETS 256 /* MILGI_LIMIT_TICKETS by default */

/* Sends |send| again and again; returns how many it took until the victim had enough. */
static unsigned flood(struct liar *liar, void (*send)(struct liar *), unsigned most)
{
    unsigned n = 0;
    for (; n < most && !liar->victim->closed; n++) {
        send(liar);
        liar_listen(liar);
    }
    return n;
}

/* The limit of what is tolerated is exact, and the end is an alert. */
static void ends_at_limit(enum milgi_role role, void (*send)(struct liar *), unsigned limit)
{
    struct liar liar;
    open_as(&liar, role, NULL);
    assert_int_equal(flood(&liar, send, 1000), limit + 1);
    assert_int_equal(liar.victim->reason.error, MILGI_ELIMIT);
    assert_int_equal(liar.victim->reason.fault, MILGI_FAULT_PEER);
    liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
    assert_int_equal(liar.victim->got.len, 0);
    liar_fini(&liar);
}

/* The same all at once, behind a device: what comes behind the limit is not delivered, and hardly opened. */
static void ends_at_limit_at_once(
    enum milgi_role role, void (*send)(struct liar *), unsigned limit, const char *device)
{
    struct liar liar;
    open_as(&liar, role, device);
    uint64_t before = records_in(&liar);
    for (unsigned i = 0; i < 500; i++)
        send(&liar);
    liar_record(&liar, LIAR_DATA, "never", 5, 0);
    liar_listen(&liar);
    assert_true(liar.victim->closed);
    assert_int_equal(liar.victim->reason.error, MILGI_ELIMIT);
    assert_int_equal(records_in(&liar) - before, limit + 1);
    assert_int_equal(liar.victim->got.len, 0);
    liar_fini(&liar);
}

static void send_data(struct liar *liar)
{
    static const uint8_t data[16384];
    liar_record(liar, LIAR_DATA, data, sizeof data, 0);
    liar_record(liar, LIAR_DATA, data, sizeof data, 0);
}

/* Data in between pays for it. */
static void goes_on_with_data(
    enum milgi_role role, void (*send)(struct liar *), unsigned limit, const char *device)
{
    struct liar liar;
    open_as(&liar, role, device);
    for (unsigned i = 0; i < 20 * limit; i++) {
        send(&liar);
        if (i % limit == limit - 1)
            send_data(&liar);
        if (i % limit == limit / 2)
            liar_listen(&liar);
    }
    liar_listen(&liar);
    if (liar.victim->closed)
        fail_msg("ended with %s", liar_end(&liar));
    assert_int_equal(liar.victim->got.len, 20 * 2 * 16384);
    assert_true(peak_of(&liar) <= 1024 * 1024);
    liar_fini(&liar);
}

static void against_as_many(void (*send)(struct liar *), unsigned limit)
{
    for (enum milgi_role role = 0; role < 2; role++) {
        ends_at_limit(role, send, limit);
        ends_at_limit_at_once(role, send, limit, NULL);
        ends_at_limit_at_once(role, send, limit, SLOW);
        goes_on_with_data(role, send, limit, NULL);
        goes_on_with_data(role, send, limit, SLOW);
    }
}

static void against_all(void (*send)(struct liar *))
{
    against_as_many(send, LIMIT);
}

static void send_empty(struct liar *liar)
{
    liar_record(liar, LIAR_DATA, NULL, 0, 0);
}

static void send_padding(struct liar *liar)
{
    liar_record(liar, LIAR_DATA, NULL, 0, 16384);
}

static void send_update(struct liar *liar)
{
    liar_update(liar, false, 0);
}

static void send_request(struct liar *liar)
{
    liar_update(liar, true, 0);
}

static void send_padded_update(struct liar *liar)
{
    liar_update(liar, true, 16384 - 5);
}

static void send_warning(struct liar *liar)
{
    liar_send_alert(liar, 1, MILGI_ALERT_USER_CANCELED);
}

static void empty_records_come_to_an_end(void **state)
{
    (void)state;
    against_all(send_empty);
}

static void records_of_padding_alone_come_to_an_end(void **state)
{
    (void)state;
    against_all(send_padding);
}

static void key_updates_come_to_an_end(void **state)
{
    (void)state;
    against_all(send_update);
}

static void requests_for_key_updates_come_to_an_end(void **state)
{
    (void)state;
    against_all(send_request);
}

static void key_updates_in_records_of_full_size_come_to_an_end(void **state)
{
    (void)state;
    against_all(send_padded_update);
}

static void warning_alerts_come_to_an_end(void **state)
{
    (void)state;
    against_as_many(send_warning, WARNINGS);
}

/* As many as there may be of each are no flood together. */
static void kinds_are_counted_apart(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role, NULL);
        assert_int_equal(flood(&liar, send_empty, LIMIT), LIMIT);
        assert_int_equal(flood(&liar, send_warning, 1000), WARNINGS + 1);
        liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
        liar_fini(&liar);
        open_as(&liar, role, NULL);
        assert_int_equal(flood(&liar, send_warning, WARNINGS), WARNINGS);
        assert_int_equal(flood(&liar, send_empty, 1000), LIMIT + 1);
        liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
        liar_fini(&liar);
    }
}

static void send_ticket(struct liar *liar)
{
    static const uint8_t ticket[] = { 4, 0, 0, 18, 0, 0, 28, 32, 1, 2, 3, 4, 1, 0, 0, 4, 'a', 'b', 'c', 'd', 0, 0 };
    liar_record(liar, LIAR_HANDSHAKE, ticket, sizeof ticket, 0);
}

static void tickets_come_to_an_end(void **state)
{
    (void)state;
    struct liar liar;
    open_as(&liar, MILGI_SERVER, NULL);
    assert_int_equal(flood(&liar, send_ticket, 1000), TICKETS + 1);
    assert_int_equal(liar.victim->reason.error, MILGI_ELIMIT);
    liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
    liar_fini(&liar);
    goes_on_with_data(MILGI_SERVER, send_ticket, LIMIT, NULL);
}

/* Many in one record count each. */
static void tickets_in_one_record_come_to_an_end(void **state)
{
    (void)state;
    static const uint8_t ticket[] = { 4, 0, 0, 18, 0, 0, 28, 32, 1, 2, 3, 4, 1, 0, 0, 4, 'a', 'b', 'c', 'd', 0, 0 };
    uint8_t many[700 * sizeof ticket];
    struct liar liar;
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = ticket[i % sizeof ticket];
    open_as(&liar, MILGI_SERVER, NULL);
    liar_record(&liar, LIAR_HANDSHAKE, many, sizeof many, 0);
    liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
    assert_int_equal(liar.victim->reason.error, MILGI_ELIMIT);
    liar_fini(&liar);
}

/* The limits count as far as they may be set: a counter of 16 bits would not. */
static void a_flood_is_counted_as_far_as_limits_go(void **state)
{
    (void)state;
    static const unsigned limits[] = { 1, 2, 255, 256, 65534, 65535, 65536, 70000 };
    for (size_t i = 0; i < MILGI__COUNT(limits); i++) {
        for (int tickets = 0; tickets < 2; tickets++) {
            struct liar_setup setup = setup_as(MILGI_SERVER);
            struct liar liar;
            setup.victim = configs_begin(MILGI_CLIENT, NULL, fixture.root);
            MUST(milgi_config_set_limit(
                setup.victim, tickets ? MILGI_LIMIT_TICKETS : MILGI_LIMIT_IDLE_CONTROL, limits[i]));
            configs_freeze(setup.victim);
            liar_init(&liar, &setup);
            liar_handshake(&liar);
            for (unsigned k = 0; k < limits[i]; k++)
                (tickets ? send_ticket : send_empty)(&liar);
            liar_listen(&liar);
            if (liar.victim->closed)
                fail_msg("limit %u: %s", limits[i], liar_end(&liar));
            (tickets ? send_ticket : send_empty)(&liar);
            liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
            assert_int_equal(liar.victim->reason.error, MILGI_ELIMIT);
            liar_fini(&liar);
            milgi_config_unref(setup.victim);
        }
    }
}

/* --- during the handshake ----------------------------------------------------------------------------------------- */

static void ccs_during_the_handshake_come_to_an_end(void **state)
{
    (void)state;
    static const struct {
        enum milgi_role role;
        int due;
    } places[] = { { MILGI_CLIENT, MILGI__MSG_FINISHED }, { MILGI_SERVER, MILGI__MSG_SERVER_HELLO },
        { MILGI_SERVER, MILGI__MSG_FINISHED } };
    for (size_t i = 0; i < MILGI__COUNT(places); i++) {
        struct liar_setup setup = setup_as(places[i].role);
        struct liar liar;
        liar_init(&liar, &setup);
        assert_true(liar_step_to(&liar, places[i].due, 0));
        assert_int_equal(flood(&liar, liar_send_ccs, 1000), LIMIT + 1);
        assert_int_equal(liar.victim->reason.error, MILGI_ELIMIT);
        liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
        assert_false(liar.victim->established);
        liar_fini(&liar);
    }
}

static void warnings_during_the_handshake_come_to_an_end(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar_setup setup = setup_as(role);
        struct liar liar;
        liar_init(&liar, &setup);
        assert_true(liar_step_to(&liar, MILGI__MSG_FINISHED, 0));
        assert_int_equal(flood(&liar, send_warning, 1000), WARNINGS + 1);
        liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
        liar_fini(&liar);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_records_come_to_an_end),
        cmocka_unit_test(records_of_padding_alone_come_to_an_end),
        cmocka_unit_test(key_updates_come_to_an_end),
        cmocka_unit_test(requests_for_key_updates_come_to_an_end),
        cmocka_unit_test(key_updates_in_records_of_full_size_come_to_an_end),
        cmocka_unit_test(warning_alerts_come_to_an_end),
        cmocka_unit_test(kinds_are_counted_apart),
        cmocka_unit_test(tickets_come_to_an_end),
        cmocka_unit_test(tickets_in_one_record_come_to_an_end),
        cmocka_unit_test(a_flood_is_counted_as_far_as_limits_go),
        cmocka_unit_test(ccs_during_the_handshake_come_to_an_end),
        cmocka_unit_test(warnings_during_the_handshake_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
