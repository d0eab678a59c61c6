/* SPDX-License-Identifier: Apache-2.0 */
/* Messages after the handshake. */
#include "loop.h"

enum {
    CAP = 1024
};

static const uint8_t ticket[] = { 4, 0, 0, 16, 0, 0, 0, 60, 0, 0, 0, 1, 1, 0, 0, 2, 'i', 'd', 0, 0 };

static enum milgi__post_event one(struct milgi__post *post, enum milgi_role role, const void *data, size_t len,
    size_t *at, struct milgi__failure *failure)
{
    return milgi__post_input(post, 0x0304, role, CAP, data, len, at, NULL, failure);
}

/* The events of one record; the last is NONE or FAILED. */
static unsigned all(struct milgi__post *post, enum milgi_role role, const void *data, size_t len,
    enum milgi__post_event *events, struct milgi__failure *failure)
{
    size_t at = 0;
    unsigned n = 0;
    do
        events[n] = one(post, role, data, len, &at, failure);
    while (events[n++] > MILGI__POST_NONE && events[n - 1] != MILGI__POST_FAILED && n < 15);
    return n;
}

static void a_key_update_is_read_in_any_pieces(void **state)
{
    (void)state;
    for (unsigned request = 0; request < 2; request++) {
        uint8_t message[5];
        assert_int_equal(milgi__key_update_message(message, request != 0), 5);
        for (size_t cut = 0; cut < 5; cut++) {
            struct milgi__post post = { 0 };
            struct milgi__failure failure;
            enum milgi__post_event events[16];
            if (cut > 0) {
                assert_int_equal(all(&post, MILGI_SERVER, message, cut, events, &failure), 1);
                assert_int_equal(events[0], MILGI__POST_NONE);
                assert_true(milgi__post_mid_message(&post));
            }
            assert_int_equal(all(&post, MILGI_SERVER, message + cut, 5 - cut, events, &failure), 2);
            assert_int_equal(events[0], request != 0 ? MILGI__POST_KEY_UPDATE_REQUESTED : MILGI__POST_KEY_UPDATE);
            assert_int_equal(events[1], MILGI__POST_NONE);
            assert_false(milgi__post_mid_message(&post));
            assert_null(post.part);
            milgi__post_fini(&post);
        }
    }
}

static void tickets_are_read_by_clients_one_after_another(void **state)
{
    (void)state;
    uint8_t two[2 * sizeof ticket];
    memcpy(two, ticket, sizeof ticket);
    memcpy(two + sizeof ticket, ticket, sizeof ticket);
    for (size_t cut = 1; cut < sizeof two; cut++) {
        struct milgi__post post = { 0 };
        struct milgi__failure failure;
        enum milgi__post_event events[16];
        unsigned tickets = 0;
        for (unsigned half = 0; half < 2; half++) {
            const uint8_t *data = half == 0 ? two : two + cut;
            unsigned n = all(&post, MILGI_CLIENT, data, half == 0 ? cut : sizeof two - cut, events, &failure);
            for (unsigned i = 0; i < n; i++)
                tickets += events[i] == MILGI__POST_TICKET;
            assert_int_equal(events[n - 1], MILGI__POST_NONE);
        }
        assert_int_equal(tickets, 2);
        assert_null(post.part);
        milgi__post_fini(&post);
    }
}

static void what_may_not_come_is_refused_with_its_alert(void **state)
{
    (void)state;
    static const struct {
        enum milgi_role role;
        const char *data;
        size_t len;
        int alert;
    } cases[] = {
        { MILGI_CLIENT, "", 0, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { MILGI_CLIENT, "\x18\0\0\x01\x02", 5, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI_CLIENT, "\x18\0\0\0", 4, MILGI_ALERT_DECODE_ERROR },
        { MILGI_CLIENT, "\x18\0\0\x02\0\0", 6, MILGI_ALERT_DECODE_ERROR },
        { MILGI_CLIENT, "\x18\0\0\x01\0\x18\0\0\x01\0", 10, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { MILGI_CLIENT, "\x18\0\0\x01\0\x04", 6, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { MILGI_CLIENT, "\x18\x01\0\0", 4, MILGI_ALERT_DECODE_ERROR },
        { MILGI_CLIENT, "\x0d\0\0\x03", 4, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { MILGI_CLIENT, "\x01\0\0\0", 4, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { MILGI_CLIENT, "\x14\0\0\0", 4, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { MILGI_SERVER, "\x01\0\0\0", 4, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { MILGI_SERVER, "\x0b\0\0\0", 4, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { MILGI_SERVER, (const char *)ticket, sizeof ticket, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { MILGI_CLIENT, "\x04\0\x04\x01", 4, MILGI_ALERT_ILLEGAL_PARAMETER },
        { MILGI_CLIENT, "\x04\0\0\x01\0", 5, MILGI_ALERT_DECODE_ERROR },
    };
    for (unsigned i = 0; i < MILGI__COUNT(cases); i++) {
        struct milgi__post post = { 0 };
        struct milgi__failure failure = { 0 };
        enum milgi__post_event events[16];
        unsigned n = all(&post, cases[i].role, cases[i].data, cases[i].len, events, &failure);
        if (events[n - 1] != MILGI__POST_FAILED || failure.alert != cases[i].alert)
            fail_msg("case %u: %s", i, events[n - 1] == MILGI__POST_FAILED ? failure.detail : "accepted");
        assert_int_not_equal(failure.error, 0);
        assert_non_null(failure.detail);
        milgi__post_fini(&post);
    }
}

static void a_ticket_cut_or_lengthened_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof ticket - 4; len++) {
        uint8_t cut[sizeof ticket];
        memcpy(cut, ticket, sizeof ticket);
        cut[3] = (uint8_t)len;
        struct milgi__post post = { 0 };
        struct milgi__failure failure = { 0 };
        size_t at = 0;
        assert_int_equal(one(&post, MILGI_CLIENT, cut, len + 4, &at, &failure), MILGI__POST_FAILED);
        assert_int_equal(failure.alert, MILGI_ALERT_DECODE_ERROR);
        milgi__post_fini(&post);
    }
}

static bool fail_all(void)
{
    return true;
}

static void without_memory_a_partial_message_fails(void **state)
{
    (void)state;
    struct milgi__post post = { 0 };
    struct milgi__failure failure = { 0 };
    size_t at = 0;
    milgi__mem_fail = fail_all;
    enum milgi__post_event event = one(&post, MILGI_CLIENT, ticket, 7, &at, &failure);
    milgi__mem_fail = NULL;
    assert_int_equal(event, MILGI__POST_FAILED);
    assert_int_equal(failure.error, MILGI_ENOMEM);
    assert_int_equal(failure.alert, MILGI_ALERT_INTERNAL_ERROR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_update_is_read_in_any_pieces),
        cmocka_unit_test(tickets_are_read_by_clients_one_after_another),
        cmocka_unit_test(what_may_not_come_is_refused_with_its_alert),
        cmocka_unit_test(a_ticket_cut_or_lengthened_is_refused),
        cmocka_unit_test(without_memory_a_partial_message_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
