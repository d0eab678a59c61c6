/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages in a wrong order: each type in each state that waits, hellos that come twice, messages left out.
 * ctest-timeout: 120
 */
#include "fixture.h"

static const uint8_t types[] = { 0, 1, 2, 3, 4, 5, 6, 8, 11, 13, 15, 20, 21, 22, 23, 24, 25, 254, 255 };

static void inject(struct liar *liar, unsigned type)
{
    uint8_t message[4] = { (uint8_t)type, 0, 0, 0 };
    liar_record(liar, LIAR_HANDSHAKE, message, sizeof message, 0);
    liar_listen(liar);
}

/* What may come instead of |due|: a server need not ask for a certificate. */
static bool may_come(const struct liar *liar, int due, unsigned type)
{
    if ((int)type == due)
        return true;
    bool after_extensions = liar->setup.role == MILGI_SERVER &&
        (due == MILGI__MSG_CERTIFICATE || due == MILGI__MSG_CERTIFICATE_REQUEST) &&
        (type == MILGI__MSG_CERTIFICATE || type == MILGI__MSG_CERTIFICATE_REQUEST);
    return after_extensions && liar->said == (liar->setup.retry ? 3u : 2u);
}

/* Whatever is refused in a message that has no body. */
static const int of_empty[] = { MILGI_ALERT_DECODE_ERROR, MILGI_ALERT_MISSING_EXTENSION, MILGI_ALERT_DECRYPT_ERROR,
    -1 };

static void each_type_in_each_state(const struct place *place)
{
    struct liar_setup setup = setup_of(place);
    for (unsigned stop = 0;; stop++) {
        bool over = false;
        for (size_t i = 0; i < MILGI__COUNT(types) && !over; i++) {
            struct liar liar;
            liar_init(&liar, &setup);
            liar_listen(&liar);
            for (unsigned k = 0; k < stop && !over; k++)
                over = !liar_step(&liar);
            if (over && liar.said < stop) { /* there are no more states */
                liar_fini(&liar);
                return;
            }
            bool open = liar.victim->established;
            int due = liar.due;
            inject(&liar, types[i]);
            bool post = open && (types[i] == 24 || (types[i] == 4 && place->role == MILGI_SERVER));
            if (post || (!open && may_come(&liar, due, types[i])))
                liar_expect_alerts(&liar, of_empty);
            else
                liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
            assert_int_equal(liar.victim->got.len, 0);
            liar_fini(&liar);
            over = false;
        }
    }
}

static void each_type_in_each_state_of_a_server_that_does_not_expect_it_is_refused(void **state)
{
    (void)state;
    each_type_in_each_state(&(struct place){ .role = MILGI_CLIENT, .auth = true });
    each_type_in_each_state(&(struct place){ .role = MILGI_CLIENT, .retry = true });
}

static void each_type_in_each_state_of_a_client_that_does_not_expect_it_is_refused(void **state)
{
    (void)state;
    each_type_in_each_state(&(struct place){ .role = MILGI_SERVER, .auth = true });
    each_type_in_each_state(&(struct place){ .role = MILGI_SERVER, .retry = true });
}

/* --- left out, and said twice ------------------------------------------------------------------------------------- */

static bool leave_out(struct liar *liar, struct pair_bytes *m)
{
    (void)m;
    liar->setup.edit = NULL;
    return false;
}

/* Behind a message that is left out comes another; a CertificateRequest may be left out for good. */
static void a_message_that_is_left_out_is_missed(void **state)
{
    (void)state;
    for (size_t i = 0; i < places_n; i++) {
        struct liar liar;
        if (places[i].flight_ends || places[i].type == MILGI__MSG_CERTIFICATE_REQUEST)
            continue;
        go_to(&liar, &places[i], leave_out, NULL);
        go_on(&liar);
        liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
        expect_silence(&liar);
        liar_fini(&liar);
    }
}

static bool say_twice(struct liar *liar, struct pair_bytes *m)
{
    liar->setup.edit = NULL;
    liar_say(liar, m->p, m->len);
    return true;
}

static void a_message_that_is_said_twice_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < places_n; i++) {
        struct liar liar;
        if (places[i].flight_ends)
            continue;
        go_to(&liar, &places[i], say_twice, NULL);
        go_on(&liar);
        liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
        expect_silence(&liar);
        liar_fini(&liar);
    }
}

/* Both are under way before the victim can have answered. */
static void two_client_hellos_are_one_too_many(void **state)
{
    (void)state;
    struct liar liar;
    go_to(&liar, &places[0], say_twice, NULL);
    liar_step(&liar);
    liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
    expect_silence(&liar);
    liar_fini(&liar);
}

/* The same after the ServerHello: the second is in the clear, where protection is due. */
static void a_client_hello_after_the_servers_flight_is_refused(void **state)
{
    (void)state;
    struct liar liar;
    go_to(&liar, &places[0], NULL, NULL);
    liar_step(&liar);
    assert_int_equal(liar.due, MILGI__MSG_FINISHED);
    liar_plain(&liar, LIAR_HANDSHAKE, "\1\0\0\0", 4);
    liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
    expect_silence(&liar);
    liar_fini(&liar);
}

/*= RFC8446 4.1.4: "If a client receives a second HelloRetryRequest in the same connection [...], it MUST abort the
 *= handshake with an "unexpected_message" alert." */
static bool become_retry(struct liar *liar, struct pair_bytes *m)
{
    static const uint8_t retry_random[] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02,
        0x1e, 0x65, 0xb8, 0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8,
        0x33, 0x9c };
    (void)liar;
    memcpy(m->p + 6, retry_random, 32);
    liar_ext_set(m, 51, "\0\x18", 2);
    return true;
}

static void a_second_retry_is_refused(void **state)
{
    (void)state;
    struct place second = { .role = MILGI_SERVER, .type = MILGI__MSG_SERVER_HELLO, .nth = 1, .retry = true };
    struct liar liar;
    go_to(&liar, &second, become_retry, NULL);
    liar_step(&liar);
    liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
    expect_silence(&liar);
    liar_fini(&liar);
}

/*= RFC8446 4.4.2.4: "If the server supplies an empty Certificate message, the client MUST abort the handshake with a
 *= "decode_error" alert." */
static void a_server_without_a_certificate_is_refused(void **state)
{
    (void)state;
    struct place place = { .role = MILGI_SERVER, .type = MILGI__MSG_CERTIFICATE };
    struct liar liar;
    go_to(&liar, &place, NULL, NULL);
    liar.setup.credential = NULL;
    liar_step(&liar);
    liar_expect_alert(&liar, MILGI_ALERT_DECODE_ERROR);
    expect_silence(&liar);
    liar_fini(&liar);
}

/*= RFC8446 4.4.2.4: "or abort the handshake with a "certificate_required" alert" */
static void a_client_without_the_certificate_that_is_demanded_is_refused(void **state)
{
    (void)state;
    struct place place = { .role = MILGI_CLIENT, .type = MILGI__MSG_CERTIFICATE, .auth = true };
    struct liar liar;
    go_to(&liar, &place, NULL, NULL);
    liar.setup.credential = NULL;
    liar_step(&liar);
    liar_expect_alert(&liar, MILGI_ALERT_CERTIFICATE_REQUIRED);
    expect_silence(&liar);
    liar_fini(&liar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_in_each_state_of_a_server_that_does_not_expect_it_is_refused),
        cmocka_unit_test(each_type_in_each_state_of_a_client_that_does_not_expect_it_is_refused),
        cmocka_unit_test(a_message_that_is_left_out_is_missed),
        cmocka_unit_test(a_message_that_is_said_twice_is_refused),
        cmocka_unit_test(two_client_hellos_are_one_too_many),
        cmocka_unit_test(a_client_hello_after_the_servers_flight_is_refused),
        cmocka_unit_test(a_second_retry_is_refused),
        cmocka_unit_test(a_server_without_a_certificate_is_refused),
        cmocka_unit_test(a_client_without_the_certificate_that_is_demanded_is_refused),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
