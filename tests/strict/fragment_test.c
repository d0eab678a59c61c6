/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How messages lie in records (RFC 8446 5.1): in parts, together, across a change of keys, with others in between.
 * ctest-timeout: 120
 */
#include "fixture.h"

static bool append(struct liar *liar, struct pair_bytes *m)
{
    const struct pair_bytes *behind = liar->setup.arg;
    uint8_t header[4];
    liar->setup.edit = NULL;
    memcpy(header, m->p, 4);
    liar_splice(m, m->len, 0, behind->p, behind->len);
    memcpy(m->p, header, 4);
    return true;
}

/* Whole messages and the beginnings of some, behind one after which the keys change: in the same record. */
static void nothing_may_lie_behind_a_message_that_ends_a_flight(void **state)
{
    (void)state;
    static uint8_t extensions[] = { 8, 0, 0, 2, 0, 0 }, update[] = { 24, 0, 0, 1, 0 }, hello[] = { 1, 0 },
                   ticket[] = { 4, 0, 0, 20, 0, 0, 0, 0 };
    const struct pair_bytes behind[] = { { extensions, sizeof extensions, 0 }, { update, sizeof update, 0 },
        { hello, 1, 0 }, { hello, 2, 0 }, { ticket, sizeof ticket, 0 } };
    for (size_t i = 0; i < places_n; i++) {
        for (size_t k = 0; k < MILGI__COUNT(behind) && places[i].flight_ends; k++) {
            struct liar liar;
            go_to(&liar, &places[i], append, (void *)(uintptr_t)&behind[k]);
            liar_step(&liar);
            liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
            expect_silence(&liar);
            liar_fini(&liar);
        }
    }
}

/* A message in the clear, or under an old key, that is said as it should be but for where it begins. */
struct spill {
    const char *name;
    struct place place; /* behind this one */
    uint8_t next[6];    /* as it begins; its whole, if it is no longer */
    size_t next_len;
    bool post; /* it is a KeyUpdate after the handshake */
};

static void spill(const struct spill *s, size_t k, const char *device)
{
    struct liar_setup setup = setup_of(&s->place);
    struct liar liar;
    setup.device = device;
    liar_init(&liar, &setup);
    assert_true(liar_step_to(&liar, s->place.type, s->place.nth));
    liar.early = s->next;
    liar.early_len = k;
    while (liar_step(&liar))
        continue;
    if (s->post && liar.gone < s->next_len)
        liar_record(&liar, LIAR_HANDSHAKE, s->next + liar.gone, s->next_len - liar.gone, 0);
    liar_listen(&liar);
    if (!liar.victim->closed)
        fail_msg("%s, %zu bytes of it: open", s->name, k);
    liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
    expect_silence(&liar);
    liar_fini(&liar);
}

#define C MILGI_CLIENT
#define S MILGI_SERVER

/*= RFC8446 5.1: "Implementations MUST verify that all messages immediately preceding a key change align with a record
 *= boundary; if not, then they MUST terminate the connection with an "unexpected_message" alert." */
/* What comes next begins, or is as a whole, in the record of the message before the change: all else is as it should
 * be, so that who took it would go on to the end. */
static void no_message_begins_before_the_keys_that_are_its(void **state)
{
    (void)state;
    static const struct spill spills[] = {
        { "EncryptedExtensions behind ServerHello", { .role = S, .type = MILGI__MSG_SERVER_HELLO },
            { 8, 0, 0, 2, 0, 0 }, 6, false },
        { "EncryptedExtensions behind the second ServerHello",
            { .role = S, .type = MILGI__MSG_SERVER_HELLO, .nth = 1, .retry = true }, { 8, 0, 0, 2, 0, 0 }, 6, false },
        { "ServerHello behind HelloRetryRequest", { .role = S, .type = MILGI__MSG_SERVER_HELLO, .retry = true },
            { 2, 0, 0 }, 3, false },
        { "KeyUpdate behind the server's Finished", { .role = S, .type = MILGI__MSG_FINISHED }, { 24, 0, 0, 1, 0 }, 5,
            true },
        { "Finished behind ClientHello", { .role = C, .type = MILGI__MSG_CLIENT_HELLO }, { 20, 0, 0, 32 }, 4, false },
        { "Certificate behind ClientHello", { .role = C, .type = MILGI__MSG_CLIENT_HELLO, .auth = true }, { 11, 0 }, 2,
            false },
        { "second ClientHello behind the first", { .role = C, .type = MILGI__MSG_CLIENT_HELLO, .retry = true },
            { 1, 0, 0 }, 3, false },
        { "Finished behind the second ClientHello",
            { .role = C, .type = MILGI__MSG_CLIENT_HELLO, .nth = 1, .retry = true }, { 20, 0, 0, 32 }, 4, false },
        { "KeyUpdate behind the client's Finished", { .role = C, .type = MILGI__MSG_FINISHED }, { 24, 0, 0, 1, 0 }, 5,
            true },
        { "KeyUpdate behind the client's Finished, with a certificate",
            { .role = C, .type = MILGI__MSG_FINISHED, .auth = true }, { 24, 0, 0, 1, 0 }, 5, true },
    };
    static const char *const devices[] = { NULL, "sim:latency=1ms,units=4,depth=8,order=out,jitter=1ms,seed=3" };
    for (size_t i = 0; i < MILGI__COUNT(spills); i++) {
        for (size_t k = 1; k <= spills[i].next_len; k++) {
            for (size_t d = 0; d < MILGI__COUNT(devices); d++)
                spill(&spills[i], k, devices[d]);
        }
    }
}

/* The same in a record of its own under the old key. */
static void no_record_of_the_old_key_may_follow_a_change_of_keys(void **state)
{
    (void)state;
    static const int bad[] = { MILGI_ALERT_UNEXPECTED_MESSAGE, MILGI_ALERT_BAD_RECORD_MAC, -1 };
    for (size_t i = 0; i < places_n; i++) {
        if (!places[i].flight_ends)
            continue;
        struct liar liar;
        go_to(&liar, &places[i], NULL, NULL);
        struct liar_keys old = liar.write;
        liar_step(&liar);
        old.seq = liar.write.seq > old.seq ? liar.write.seq : old.seq + 1;
        liar.write = old;
        liar.read.on = false;
        liar_record(&liar, LIAR_HANDSHAKE, "\24\0\0\1\0", 5, 0);
        liar_expect_alerts(&liar, bad);
        assert_int_equal(liar.victim->got.len, 0);
        liar_fini(&liar);
    }
}

static void a_key_update_ends_its_record(void **state)
{
    (void)state;
    static const uint8_t update_and_more[] = { 24, 0, 0, 1, 0, 4 };
    for (enum milgi_role role = 0; role < 2; role++) {
        struct liar liar;
        open_as(&liar, role);
        liar_record(&liar, LIAR_DATA, "before", 6, 0);
        liar_record(&liar, LIAR_HANDSHAKE, update_and_more, sizeof update_and_more, 0);
        liar_record(&liar, LIAR_DATA, "behind", 6, 0);
        liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
        assert_int_equal(liar.victim->got.len, 6);
        liar_fini(&liar);
    }
}

/*= RFC8446 5.1: "Handshake messages MAY be [...] fragmented across several records" */
static void a_key_update_may_come_in_pieces(void **state)
{
    static const char *const devices[] = { NULL, "sim:latency=1ms,units=8,jitter=5ms,seed=2" };
    (void)state;
    for (size_t i = 0; i < 2 * 2 * 4; i++) {
        struct place place = { .role = (enum milgi_role)(i & 1) };
        struct liar_setup setup = setup_of(&place);
        struct liar liar;
        setup.device = devices[i / 2 % 2];
        liar_init(&liar, &setup);
        liar_handshake(&liar);
        liar.fragment = 1 + i / 4;
        for (unsigned round = 0; round < 8; round++) {
            liar_update(&liar, round & 1, 0);
            liar_record(&liar, LIAR_DATA, "data", 4, round);
        }
        liar_listen(&liar);
        assert_int_equal(liar.victim->got.len, 8 * 4);
        assert_true(liar.updates_n >= 1);
        assert_false(liar.deaf || liar.victim->closed);
        liar_fini(&liar);
    }
}

static void data_right_behind_finished_and_key_updates_is_taken(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct place place = { .role = role, .type = MILGI__MSG_FINISHED };
        struct liar liar;
        go_to(&liar, &place, NULL, NULL);
        if (role == MILGI_CLIENT) {
            liar.pair.piece = 100000; /* all of it is there before the victim looks */
            liar_step(&liar);
        } else {
            go_on(&liar);
        }
        for (unsigned i = 0; i < 20; i++) {
            liar_record(&liar, LIAR_DATA, "data", 4, 0);
            liar_update(&liar, i % 2 == 0, 0);
        }
        liar_record(&liar, LIAR_DATA, "data", 4, 0);
        liar_listen(&liar);
        if (liar.victim->closed)
            fail_msg("ended with %s", liar_end(&liar));
        assert_int_equal(liar.victim->got.len, 21 * 4);
        assert_true(liar.updates_n >= 1 && liar.updates_n <= 10);
        liar_fini(&liar);
    }
}

/* --- in between --------------------------------------------------------------------------------------------------- */

/* Half of the message that is due, then |type|. */
static void interleave(const struct place *place, unsigned type, const void *data, size_t len)
{
    struct liar liar;
    go_to(&liar, place, NULL, NULL);
    uint8_t half[] = { (uint8_t)place->type, 0, 0, 100, 3, 3, 0 };
    liar_record(&liar, LIAR_HANDSHAKE, half, sizeof half, 0);
    liar_listen(&liar);
    assert_false(liar.victim->closed);
    liar_record(&liar, type, data, len, 0);
    liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
    expect_silence(&liar);
    liar_fini(&liar);
}

/*= RFC8446 5.1: "Handshake messages MUST NOT be interleaved with other record types. That is, if a handshake message is
 *= split over two or more records, there MUST NOT be any other records between them." */
static void nothing_may_come_between_the_parts_of_a_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < places_n; i++) {
        interleave(&places[i], LIAR_ALERT, "\1\132", 2);
        interleave(&places[i], LIAR_ALERT, "\2\50", 2);
        interleave(&places[i], LIAR_CCS, "\1", 1);
        interleave(&places[i], LIAR_DATA, "data", 4);
        interleave(&places[i], LIAR_DATA, "", 0);
    }
}

static void nothing_may_come_between_the_parts_of_a_later_message(void **state)
{
    (void)state;
    static const struct {
        unsigned type;
        const char *data;
        size_t len;
    } between[] = { { LIAR_ALERT, "\1\132", 2 }, { LIAR_ALERT, "\1\0", 2 }, { LIAR_DATA, "data", 4 },
        { LIAR_DATA, "", 0 } };
    for (enum milgi_role role = 0; role < 2; role++) {
        for (size_t i = 0; i < MILGI__COUNT(between); i++) {
            for (size_t part = 1; part < 5; part++) {
                struct liar liar;
                open_as(&liar, role);
                liar_record(&liar, LIAR_HANDSHAKE, "\30\0\0\1\0", part, 0);
                liar_record(&liar, between[i].type, between[i].data, between[i].len, 0);
                liar_expect_alert(&liar, MILGI_ALERT_UNEXPECTED_MESSAGE);
                assert_int_equal(liar.victim->got.len, 0);
                liar_fini(&liar);
            }
        }
    }
}

/* --- what must be taken ------------------------------------------------------------------------------------------- */

static void talk(struct liar *liar)
{
    struct pair_side *v = liar->victim;
    uint8_t data[3000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 5);
    liar_record(liar, LIAR_DATA, data, 1000, 7);
    liar_update(liar, true, 3);
    liar_record(liar, LIAR_DATA, data + 1000, 2000, 0);
    assert_int_equal(milgi_conn_write(v->conn, data, sizeof data), 0);
    liar_listen(liar);
    assert_int_equal(v->got.len, sizeof data);
    assert_memory_equal(v->got.p, data, sizeof data);
    assert_int_equal(liar->got.len, sizeof data);
    assert_memory_equal(liar->got.p, data, sizeof data);
    assert_int_equal(liar->updates_n, 1);
    MUST(milgi_conn_shutdown(v->conn));
    liar_send_alert(liar, 1, MILGI_ALERT_CLOSE_NOTIFY);
    liar_listen(liar);
    assert_true(v->closed);
    assert_int_equal(v->reason.error, 0);
    assert_int_equal(liar->alert, MILGI_ALERT_CLOSE_NOTIFY);
}

static void messages_in_parts_of_any_size_are_taken(void **state)
{
    (void)state;
    static const size_t sizes[] = { 1, 2, 3, 4, 5, 63, 500, 0 };
    for (size_t i = 0; i < MILGI__COUNT(sizes); i++) {
        for (enum milgi_role role = 0; role < 2; role++) {
            struct place place = { .role = role, .auth = true };
            struct liar_setup setup = setup_of(&place);
            struct liar liar;
            liar_init(&liar, &setup);
            liar.fragment = sizes[i];
            liar_handshake(&liar);
            talk(&liar);
            liar_fini(&liar);
        }
    }
}

/* Gathers what is said under one key, and says it in one record. */
static bool hold(struct liar *liar, struct pair_bytes *m)
{
    struct pair_bytes *held = liar->setup.arg;
    bool ends = m->p[0] <= MILGI__MSG_SERVER_HELLO || m->p[0] == MILGI__MSG_FINISHED;
    if (held->len == 0 && ends)
        return true;
    pair_bytes_add(held, m->p, m->len);
    MUST(milgi__transcript_add(&liar->transcript, m->p, m->len));
    if (ends) {
        liar_record(liar, LIAR_HANDSHAKE, held->p, held->len, 0);
        held->len = 0;
    }
    return false;
}

static void all_messages_of_a_flight_in_one_record_are_taken(void **state)
{
    (void)state;
    for (enum milgi_role role = 0; role < 2; role++) {
        struct pair_bytes held = { 0 };
        struct place place = { .role = role, .auth = true };
        struct liar_setup setup = setup_of(&place);
        struct liar liar;
        setup.edit = hold;
        setup.arg = &held;
        liar_init(&liar, &setup);
        liar_handshake(&liar);
        talk(&liar);
        liar_fini(&liar);
        free(held.p);
    }
}

static void bytes_one_at_a_time_are_taken_with_every_device(void **state)
{
    (void)state;
    static const char *const devices[] = { NULL, "sim:latency=1ms,units=4,depth=8,order=out,jitter=1ms,seed=3",
        "chaos:seed=5" };
    for (size_t i = 0; i < MILGI__COUNT(devices); i++) {
        for (enum milgi_role role = 0; role < 2; role++) {
            struct place place = { .role = role, .auth = true };
            struct liar_setup setup = setup_of(&place);
            struct liar liar;
            setup.device = devices[i];
            liar_init(&liar, &setup);
            liar.pair.piece = 1;
            liar_handshake(&liar);
            talk(&liar);
            liar_fini(&liar);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_may_lie_behind_a_message_that_ends_a_flight),
        cmocka_unit_test(no_message_begins_before_the_keys_that_are_its),
        cmocka_unit_test(no_record_of_the_old_key_may_follow_a_change_of_keys),
        cmocka_unit_test(a_key_update_ends_its_record),
        cmocka_unit_test(a_key_update_may_come_in_pieces),
        cmocka_unit_test(data_right_behind_finished_and_key_updates_is_taken),
        cmocka_unit_test(nothing_may_come_between_the_parts_of_a_message),
        cmocka_unit_test(nothing_may_come_between_the_parts_of_a_later_message),
        cmocka_unit_test(messages_in_parts_of_any_size_are_taken),
        cmocka_unit_test(all_messages_of_a_flight_in_one_record_are_taken),
        cmocka_unit_test(bytes_one_at_a_time_are_taken_with_every_device),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
