/* SPDX-License-Identifier: Apache-2.0 */
/* How connections end whose records a kernel has: in order, cut, refused, reset; and what control records bring. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernel.h"

static const uint16_t versions[] = { 0x0304, 0x0303 };
#define VERSIONS 2u

static void begin(uint16_t version)
{
    play_begin(&(struct play){ .version = version });
}

/* A record of the server's kernel with any content. */
static void send_raw(uint8_t type, const void *data, size_t len)
{
    struct milgi_iov iov = { data, len };
    milgi_ktls_record(server->ktls, type, &iov, 1);
}

/* As above, but that the kernel is asked by itself: its record may be empty. */
static void seal_raw(uint8_t type, const void *data, size_t len)
{
    kernel_seal(server, type, data, len);
}

static void one_direction_ends_and_the_other_goes_on(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        for (int role = 0; role < 2; role++) {
            struct end *first = &ends[role], *second = &ends[!role];
            begin(versions[i]);
            play_hand_over(true, true, true, true);
            play_send(first, 30000);
            assert_int_equal(milgi_conn_shutdown(first->side->conn), 0);
            play_settle();
            assert_int_equal(second->side->alerts_n, 1);
            assert_int_equal(second->side->alerts[0], MILGI_ALERT_CLOSE_NOTIFY);
            assert_false(first->side->closed || second->side->closed);
            assert_int_equal(milgi_conn_write(first->side->conn, "x", 1), MILGI_ECLOSED);
            play_send(second, 50000);
            play_settle();
            play_check();
            assert_int_equal(milgi_conn_shutdown(second->side->conn), 0);
            play_settle();
            for (int k = 0; k < 2; k++) {
                assert_true(ends[k].side->closed);
                assert_int_equal(ends[k].side->reason.error, 0);
            }
            play_end();
        }
    }
}

/* Between records and inside of one: neither is an end. */
static void a_stream_that_is_cut_is_told_as_cut(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        for (unsigned inside = 0; inside < 2; inside++) {
            begin(versions[i]);
            play_hand_over(true, true, true, true);
            play_send(server, 3000);
            pair_run(server->side, NULL);
            size_t len = server->side->wire.len - (inside ? 5 : 0);
            pair_bytes_add(&client->in, server->side->wire.p, len);
            pair_bytes_drop(&server->side->wire, server->side->wire.len);
            client->ended = true;
            play_settle();
            assert_true(client->side->closed);
            assert_int_equal(client->side->reason.error, MILGI_ETRUNCATED);
            assert_int_equal(client->side->got.len, inside ? 0 : 3000);
            play_end();
        }
    }
}

static void a_transport_that_fails_is_told_with_its_error(void **state)
{
    static const int errors[] = { -ECONNRESET, -EIO, -ETIMEDOUT };
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        begin(0x0304);
        play_hand_over(true, true, true, true);
        play_send(server, 100);
        play_settle();
        client->receive_error = errors[i];
        play_send(server, 100);
        play_settle();
        assert_true(client->side->closed);
        assert_int_equal(client->side->reason.error, MILGI_ETRANSPORT);
        assert_int_equal(client->side->reason.device_code, -errors[i]);
        assert_int_equal(client->side->got.len, 100);
        play_end();
    }
}

/* What the peer has said before is read all the same; what was to be sent is let go. */
static void sending_that_fails_leaves_receiving_alone(void **state)
{
    static const int errors[] = { -EPIPE, -ECONNRESET, -EIO, -ENOMEM };
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        begin(0x0304);
        play_hand_over(true, true, true, true);
        client->send_error = errors[i];
        client->send_errors = 1;
        assert_int_equal(milgi_conn_write(client->side->conn, "lost", 4), 0);
        play_send(server, 30000);
        play_settle();
        assert_int_equal(milgi_ktls_error(client->ktls), -errors[i]);
        assert_int_equal(milgi_conn_output_pending(client->side->conn), 0);
        assert_int_equal(client->side->got.len, 30000);
        assert_int_equal(milgi_conn_write(client->side->conn, "lost", 4), 0);
        play_settle();
        assert_int_equal(server->side->got.len, 0);
        int64_t at = 0;
        size_t moved;
        assert_int_equal(milgi_ktls_sendfile(client->ktls, 9, &at, 10, &moved), MILGI_ETRANSPORT);
        play_end();
    }
}

/*= RFC8446 5.2: "If the decryption fails, the receiver MUST terminate the connection with a "bad_record_mac" alert." */
static void a_record_that_cannot_be_opened_is_refused_behind_those_before_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VERSIONS; i++) {
        for (unsigned what = 0; what < 3; what++) {
            static const int alerts[] = { MILGI_ALERT_BAD_RECORD_MAC, MILGI_ALERT_RECORD_OVERFLOW,
                MILGI_ALERT_UNEXPECTED_MESSAGE };
            begin(versions[i]);
            play_hand_over(true, true, true, true);
            play_send(server, 2000);
            pair_run(server->side, NULL);
            size_t good = server->side->wire.len;
            play_send(server, 2000);
            pair_run(server->side, NULL);
            uint8_t *record = server->side->wire.p + good;
            if (what == 0)
                record[40] ^= 1;
            else if (what == 1)
                record[3] = 0x50;
            else
                record[1] = 9;
            play_settle();
            assert_int_equal(client->side->got.len, 2000);
            assert_true(client->side->closed && server->side->closed);
            assert_int_equal(client->side->reason.alert, alerts[what]);
            assert_false(client->side->reason.alert_from_peer);
            assert_int_equal(client->side->reason.error, what == 0 ? MILGI_EBADRECORD : MILGI_EPROTO);
            assert_int_equal(server->side->reason.alert, alerts[what]);
            assert_true(server->side->reason.alert_from_peer);
            play_end();
        }
    }
}

static void what_is_in_a_record_is_judged_as_ever(void **state)
{
    static const struct {
        uint8_t type, data[4];
        size_t len;
        int error, alert;
    } cases[] = {
        { 20, { 1 }, 1, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { 24, { 1 }, 1, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { 21, { 0 }, 0, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE }, /* empty */
        { 22, { 0 }, 0, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE },
        { 21, { 2 }, 1, MILGI_EPROTO, MILGI_ALERT_DECODE_ERROR }, /* half an alert, and more than one */
        { 21, { 1, 90, 1, 90 }, 4, MILGI_EPROTO, MILGI_ALERT_DECODE_ERROR },
        { 21, { 2, 80 }, 2, MILGI_EALERT, MILGI_ALERT_INTERNAL_ERROR },
        { 22, { 99, 0, 0, 0 }, 4, MILGI_EPROTO, MILGI_ALERT_UNEXPECTED_MESSAGE },
    };
    (void)state;
    for (unsigned v = 0; v < VERSIONS; v++) {
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            begin(versions[v]);
            play_hand_over(true, true, true, true);
            play_send(server, 700);
            play_settle();
            seal_raw(cases[i].type, cases[i].data, cases[i].len);
            seal_raw(23, "behind", 6);
            play_settle();
            assert_true(client->side->closed);
            assert_int_equal(client->side->reason.error, cases[i].error);
            assert_int_equal(client->side->reason.alert, cases[i].alert);
            assert_int_equal(client->side->got.len, 700);
            play_end();
        }
    }
}

/*= RFC8446 5.1: "there MUST NOT be any other records between" the fragments of a handshake message. */
static void nothing_comes_between_the_parts_of_a_message(void **state)
{
    static const uint8_t ticket[] = { 4, 0, 0, 50, 0 };
    (void)state;
    for (unsigned between = 0; between < 3; between++) {
        begin(0x0304);
        play_hand_over(true, true, true, true);
        seal_raw(22, ticket, 3);
        if (between == 1)
            seal_raw(23, "x", 1);
        else if (between == 2)
            seal_raw(21, (const uint8_t[]){ 1, 90 }, 2);
        play_settle();
        assert_int_equal(client->side->closed, between != 0);
        if (between)
            assert_int_equal(client->side->reason.alert, MILGI_ALERT_UNEXPECTED_MESSAGE);
        play_end();
    }
}

/* The kernel stops at what looks like one, for a key that nobody can make of a part. */
static void a_key_update_that_is_not_one_record_is_refused(void **state)
{
    static const uint8_t update[] = { 24, 0, 0, 1, 0, 4, 0, 0, 1, 0 };
    static const size_t lens[] = { 1, 4, 10 };
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        begin(0x0304);
        play_hand_over(true, true, true, true);
        play_send(server, 100);
        play_settle();
        seal_raw(22, update, lens[i]);
        play_settle();
        assert_true(client->side->closed);
        assert_int_equal(client->side->reason.alert, MILGI_ALERT_UNEXPECTED_MESSAGE);
        assert_int_equal(client->side->got.len, 100);
        play_end();
    }
}

/* The kernel sees the first byte of a record; the connection, of which message it is. */
static void a_record_that_only_looks_like_a_key_update_does_not_stall(void **state)
{
    static const uint8_t ticket[] = { 4, 0, 0, 50 }, looks[] = { 24, 0, 0, 1, 0 };
    (void)state;
    begin(0x0304);
    play_hand_over(true, true, true, true);
    play_send(server, 100);
    seal_raw(22, ticket, sizeof ticket);
    seal_raw(22, looks, sizeof looks);
    play_settle();
    assert_true(client->side->closed);
    assert_int_equal(client->side->reason.error, MILGI_EPROTO);
    assert_int_equal(client->side->reason.alert, MILGI_ALERT_UNEXPECTED_MESSAGE);
    play_end();
    /* Behind the end nobody looks for a key: what follows is not read, and not asked for again. */
    begin(0x0304);
    play_hand_over(true, true, true, true);
    seal_raw(21, (const uint8_t[]){ 1, 0 }, 2);
    seal_raw(22, looks, sizeof looks);
    play_settle();
    assert_int_equal(client->side->alerts[0], MILGI_ALERT_CLOSE_NOTIFY);
    assert_int_equal(client->kept, MILGI_ECLOSED);
    play_end();
}

/* Reads of one record are parts of it, whatever they begin with. */
static void a_message_that_is_read_in_parts_is_no_key_update(void **state)
{
    static const uint8_t message[] = { 4, 0, 0, 8, 24, 0, 0, 0, 24, 0, 0, 0 };
    uint8_t part[4], type;
    (void)state;
    begin(0x0304);
    play_hand_over(true, true, true, true);
    pair_run(client->side, NULL);
    seal_raw(22, message, sizeof message);
    pair_bytes_add(&client->in, server->side->wire.p, server->side->wire.len);
    pair_bytes_drop(&server->side->wire, server->side->wire.len);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(milgi_ktls_receive(client->ktls, part, sizeof part, &type), sizeof part);
        assert_int_equal(type, 22);
        assert_memory_equal(part, message + sizeof part * i, sizeof part);
    }
    assert_int_equal(milgi_ktls_receive(client->ktls, part, sizeof part, &type), -EAGAIN);
    play_end();
}

/* Half of one is none. */
static void an_alert_is_not_read_in_parts(void **state)
{
    uint8_t part[2], type;
    (void)state;
    begin(0x0304);
    play_hand_over(true, true, true, true);
    seal_raw(21, (const uint8_t[]){ 1, 0 }, 2);
    pair_bytes_add(&client->in, server->side->wire.p, server->side->wire.len);
    pair_bytes_drop(&server->side->wire, server->side->wire.len);
    assert_int_equal(milgi_ktls_receive(client->ktls, part, 1, &type), -ENOBUFS);
    assert_int_equal(milgi_ktls_alert(-ENOBUFS), MILGI_ALERT_NONE);
    assert_int_equal(milgi_ktls_receive(client->ktls, part, 2, &type), 2);
    assert_int_equal(type, 21);
    play_end();
}

static void has_little_credit(struct milgi_config *c, enum milgi_role role)
{
    if (role == MILGI_CLIENT)
        assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_CREDIT, 1024), 0);
}

/* Else a socket that has the next record already would be looked at all the time. */
static void who_waits_for_credit_in_front_of_a_key_update_does_not_read(void **state)
{
    (void)state;
    play_begin(&(struct play){ .configure = has_little_credit });
    play_hand_over(true, true, true, true);
    client->side->keep_credit = true;
    play_send(server, 1024);
    play_settle();
    assert_int_equal(milgi_conn_update_keys(server->side->conn, false), 0);
    play_settle();
    play_send(server, 500);
    play_settle();
    pair_run(client->side, NULL);
    assert_false(client->side->closed);
    assert_true(milgi_conn_input_paused(client->side->conn));
    assert_int_equal(client->side->got.len, 1024);
    client->side->keep_credit = false;
    milgi_conn_consumed(client->side->conn, SIZE_MAX);
    play_settle();
    assert_false(milgi_conn_input_paused(client->side->conn));
    play_check();
    play_close();
    play_end();
}

/* An empty record holds no bytes, and comes before the end all the same. */
static void the_end_waits_for_an_empty_record_that_waits_for_credit(void **state)
{
    (void)state;
    play_begin(&(struct play){ .configure = has_little_credit });
    play_hand_over(true, true, true, true);
    client->side->keep_credit = true;
    play_send(server, 1024);
    play_settle();
    seal_raw(23, NULL, 0);
    client->ended = true;
    play_settle();
    assert_false(client->side->closed);
    milgi_conn_consumed(client->side->conn, SIZE_MAX);
    play_settle();
    assert_true(client->side->closed);
    assert_int_equal(client->side->reason.error, MILGI_ETRUNCATED);
    play_end();
}

static void empty_records_of_data_are_counted(void **state)
{
    (void)state;
    begin(0x0304);
    play_hand_over(true, true, true, true);
    for (unsigned i = 0; i < 5; i++) {
        seal_raw(23, NULL, 0);
        play_settle();
    }
    assert_false(client->side->closed);
    for (unsigned i = 0; i < 400 && !client->side->closed; i++) {
        seal_raw(23, NULL, 0);
        play_settle();
    }
    assert_true(client->side->closed);
    assert_int_equal(client->side->reason.error, MILGI_ELIMIT);
    play_end();
}

static void a_warning_is_no_end_in_tls12(void **state)
{
    (void)state;
    begin(0x0303);
    play_hand_over(true, true, true, true);
    send_raw(21, (const uint8_t[]){ 1, 112 }, 2);
    play_send(server, 500);
    play_settle();
    play_check();
    assert_int_equal(client->side->alerts[0], 112);
    /* A wish to negotiate again is refused by an alert through the kernel. */
    kernel_seal(server, 22, (const uint8_t[]){ 0, 0, 0, 0 }, 4);
    kernel_seal(server, 22, (const uint8_t[]){ 0, 0, 0, 0 }, 4);
    play_settle();
    assert_int_equal(server->side->alerts_n, 2);
    assert_int_equal(server->side->alerts[0], MILGI_ALERT_NO_RENEGOTIATION);
    play_close();
    play_end();
}

static struct milgi_session_cache *cache;

static void gives_tickets(struct milgi_config *c, enum milgi_role role)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = "thirty-two bytes that are random";
    struct milgi_ticket_keys *keys;
    if (role == MILGI_CLIENT) {
        assert_int_equal(milgi_config_set_session_cache(c, cache), 0);
        return;
    }
    assert_int_equal(milgi_ticket_keys_new(secret, 7200, time(NULL), &keys), 0);
    assert_int_equal(milgi_config_set_ticket_keys(c, keys), 0);
    milgi_ticket_keys_unref(keys);
}

/* They come behind the client's Finished: the kernel may have both directions by then. */
static void tickets_come_through_the_kernel(void **state)
{
    (void)state;
    for (unsigned late = 0; late < 2; late++) {
        assert_int_equal(milgi_session_cache_new(10, &cache), 0);
        play_begin(&(struct play){ .configure = gives_tickets });
        for (int role = 0; late && role < 2; role++)
            ends[role].want[MILGI_SEND] = ends[role].want[MILGI_RECEIVE] = ends[role].exact = true;
        play_settle();
        assert_int_equal(client->records[MILGI_RECEIVE] > 0, late);
        assert_int_equal(milgi_session_cache_count(cache), 2);
        play_close();
        play_end();
        milgi_session_cache_unref(cache);
    }
}

static void an_abort_is_told_through_the_kernel(void **state)
{
    (void)state;
    for (unsigned waits = 0; waits < 2; waits++) {
        begin(0x0304);
        play_hand_over(true, true, true, true);
        client->room = waits ? 1000 : SIZE_MAX;
        play_send(client, 5000);
        pair_run(client->side, NULL);
        assert_int_equal(milgi_conn_abort(client->side->conn, MILGI_ALERT_INTERNAL_ERROR), 0);
        play_settle();
        assert_true(client->side->closed);
        client->room = SIZE_MAX;
        play_settle();
        assert_true(server->side->closed);
        assert_int_equal(server->side->reason.error, MILGI_EALERT);
        assert_int_equal(server->side->reason.alert, MILGI_ALERT_INTERNAL_ERROR);
        assert_int_equal(server->side->got.len, 5000); /* what the kernel was given before is not taken back */
        play_end();
    }
}

/* Whoever frees a connection from inside of a callback has nothing of it any more. */
static struct end *frees;

static void free_now(struct pair_side *side, const char *event)
{
    if (frees && side == frees->side && strcmp(event, "data") == 0) {
        milgi_conn_free(side->conn);
        side->conn = NULL;
    }
}

static void a_connection_may_be_freed_in_the_midst_of_it(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++) {
        begin(0x0304);
        play_hand_over(true, true, true, true);
        frees = &ends[role];
        ends[role].side->on_event = free_now;
        play_send(&ends[!role], 100);
        pair_run(ends[!role].side, NULL);
        seal_raw(21, (const uint8_t[]){ 1, 0 }, 2);
        play_settle();
        frees = NULL;
        assert_null(ends[role].side->conn);
        play_end();
    }
}

/* What the application does not take stays in the kernel, whatever there is between the data. */
static void what_is_not_consumed_is_not_read(void **state)
{
    (void)state;
    begin(0x0304);
    play_hand_over(true, true, true, true);
    client->side->keep_credit = true;
    for (unsigned i = 0; i < 200; i++) {
        if (i % 10 == 0)
            assert_int_equal(milgi_conn_update_keys(server->side->conn, false), 0);
        play_send(server, 8000);
        play_settle();
    }
    assert_false(client->side->closed);
    assert_true(client->side->got.len < 400000);
    for (unsigned i = 0; i < 100000 && client->side->got.len < 1600000; i++) {
        milgi_conn_consumed(client->side->conn, SIZE_MAX);
        play_settle();
    }
    play_check();
    play_end();
}

/* Records that bring nothing but themselves are taken up one by one, and are not many at a time. */
static void a_host_that_ignores_pause_has_no_connection_any_more(void **state)
{
    int rv = 0;
    (void)state;
    begin(0x0304);
    play_hand_over(true, true, true, true);
    unsigned n = 0;
    for (; n < 100 && rv != MILGI_ECLOSED; n++) {
        rv = milgi_conn_receive_record(client->side->conn, 23, (struct milgi_slice){ NULL, NULL, 0 });
        assert_true(rv == (n < 15 ? 0 : MILGI_PAUSE) || rv == MILGI_ECLOSED);
    }
    assert_in_range(n, 33, 35);
    play_settle();
    assert_int_equal(client->side->reason.error, MILGI_ELIMIT);
    play_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_direction_ends_and_the_other_goes_on),
        cmocka_unit_test(a_stream_that_is_cut_is_told_as_cut),
        cmocka_unit_test(a_transport_that_fails_is_told_with_its_error),
        cmocka_unit_test(sending_that_fails_leaves_receiving_alone),
        cmocka_unit_test(a_record_that_cannot_be_opened_is_refused_behind_those_before_it),
        cmocka_unit_test(what_is_in_a_record_is_judged_as_ever),
        cmocka_unit_test(nothing_comes_between_the_parts_of_a_message),
        cmocka_unit_test(a_key_update_that_is_not_one_record_is_refused),
        cmocka_unit_test(a_record_that_only_looks_like_a_key_update_does_not_stall),
        cmocka_unit_test(a_message_that_is_read_in_parts_is_no_key_update),
        cmocka_unit_test(an_alert_is_not_read_in_parts),
        cmocka_unit_test(who_waits_for_credit_in_front_of_a_key_update_does_not_read),
        cmocka_unit_test(the_end_waits_for_an_empty_record_that_waits_for_credit),
        cmocka_unit_test(empty_records_of_data_are_counted),
        cmocka_unit_test(a_warning_is_no_end_in_tls12),
        cmocka_unit_test(tickets_come_through_the_kernel),
        cmocka_unit_test(an_abort_is_told_through_the_kernel),
        cmocka_unit_test(a_connection_may_be_freed_in_the_midst_of_it),
        cmocka_unit_test(what_is_not_consumed_is_not_read),
        cmocka_unit_test(a_host_that_ignores_pause_has_no_connection_any_more),
    };
    return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
