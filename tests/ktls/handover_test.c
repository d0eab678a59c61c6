/* SPDX-License-Identifier: Apache-2.0 */
/* Directions in a kernel: what goes through it, when it is taken, and when it is not. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"

static const struct {
    uint16_t version, suite;
} suites[] = {
    { 0x0304, MILGI_SUITE_AES_128_GCM_SHA256 },
    { 0x0304, MILGI_SUITE_AES_256_GCM_SHA384 },
    { 0x0304, MILGI_SUITE_CHACHA20_POLY1305_SHA256 },
    { 0x0303, MILGI_SUITE_ECDHE_ECDSA_AES_128_GCM_SHA256 },
    { 0x0303, MILGI_SUITE_ECDHE_ECDSA_AES_256_GCM_SHA384 },
    { 0x0303, MILGI_SUITE_ECDHE_ECDSA_CHACHA20_POLY1305_SHA256 },
};
#define SUITES (sizeof suites / sizeof suites[0])

static void play(size_t i)
{
    play_begin(&(struct play){ .version = suites[i].version, .suite = suites[i].suite });
}

static void every_suite_goes_both_ways_with_each_direction_in_the_kernel_or_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUITES; i++) {
        for (unsigned dirs = 0; dirs < 16; dirs++) {
            play(i);
            play_settle();
            play_send(client, 1000);
            play_send(server, 40000);
            play_settle();
            play_hand_over(dirs & 1, dirs & 2, dirs & 4, dirs & 8);
            for (unsigned k = 0; k < 3; k++) {
                play_send(client, 1 + 20000 * k);
                play_send(server, 100 + 30000 * k);
                play_settle();
            }
            play_check();
            assert_int_equal(client->records[MILGI_SEND] > 0, dirs & 1);
            assert_int_equal(client->records[MILGI_RECEIVE] > 0, (dirs & 2) != 0);
            play_close();
            assert_int_equal(client->sent_types[21], dirs & 1); /* its close_notify */
            play_end();
        }
    }
}

static void nothing_is_handed_over_that_the_config_does_not_allow(void **state)
{
    struct milgi_traffic_keys keys;
    (void)state;
    play_begin(&(struct play){ .refused = true });
    play_settle();
    for (int d = 0; d < 2; d++) {
        assert_int_equal(milgi_conn_keys(client->side->conn, (enum milgi_direction)d, &keys), MILGI_EINVAL);
        assert_int_equal(milgi_conn_hand_over(client->side->conn, (enum milgi_direction)d, 0), MILGI_EINVAL);
        assert_int_equal(milgi_ktls_take(client->ktls, (enum milgi_direction)d), MILGI_EINVAL);
    }
    assert_int_equal(client->ulps, 0);
    play_end();
}

static void there_are_no_keys_before_the_handshake_is_over_nor_behind_the_end(void **state)
{
    struct milgi_traffic_keys keys;
    (void)state;
    play(0);
    pair_run(client->side, NULL);
    assert_int_equal(milgi_conn_keys(client->side->conn, MILGI_SEND, &keys), MILGI_EINVAL);
    play_settle();
    assert_int_equal(milgi_conn_hand_over(client->side->conn, MILGI_SEND, 0), MILGI_EINVAL); /* nobody has the keys */
    assert_int_equal(milgi_conn_keys(client->side->conn, MILGI_SEND, &keys), 0);
    assert_int_equal(keys.version, 0x0304);
    assert_int_equal(keys.suite, MILGI_SUITE_AES_128_GCM_SHA256);
    assert_int_equal(keys.key_len, 16);
    assert_int_equal(milgi_conn_shutdown(client->side->conn), 0);
    assert_int_equal(milgi_conn_keys(client->side->conn, MILGI_SEND, &keys), MILGI_ECLOSED);
    play_settle();
    assert_int_equal(milgi_conn_keys(server->side->conn, MILGI_RECEIVE, &keys), MILGI_ECLOSED);
    assert_int_equal(milgi_conn_keys(server->side->conn, MILGI_SEND, &keys), 0);
    assert_int_equal(milgi_conn_shutdown(server->side->conn), 0);
    play_settle();
    assert_int_equal(milgi_conn_keys(client->side->conn, MILGI_RECEIVE, &keys), MILGI_ECLOSED);
    play_end();
}

/* Both ways: what lies in the pipeline when it is wanted, the kernel never sees; what comes behind it does. */
static void what_is_under_way_goes_before_the_hand_over(void **state)
{
    struct milgi_traffic_keys keys;
    (void)state;
    play(0);
    play_settle();
    play_send(client, 5000);
    assert_int_equal(milgi_conn_keys(client->side->conn, MILGI_SEND, &keys), MILGI_PAUSE);
    client->side->keep_output = true;
    pair_run(client->side, NULL);
    assert_int_equal(milgi_conn_keys(client->side->conn, MILGI_SEND, &keys), MILGI_PAUSE); /* not with the network */
    milgi_conn_output_done(client->side->conn, client->side->undone);
    assert_int_equal(milgi_conn_keys(client->side->conn, MILGI_SEND, &keys), 0);
    client->side->keep_output = false;
    /* Of the record that comes, only a part. */
    pair_bytes_add(&server->in, client->side->wire.p, client->side->wire.len);
    pair_bytes_drop(&client->side->wire, client->side->wire.len);
    size_t whole = server->in.len;
    assert_int_equal(milgi_conn_record_rest(server->side->conn), 0);
    for (size_t at = 0; at < whole; at++) {
        assert_int_equal(milgi_conn_record_rest(server->side->conn), at == 0 ? 0 : at < 5 ? 5 - at
                                                                                          : whole - at);
        assert_int_equal(
            milgi_conn_keys(server->side->conn, MILGI_RECEIVE, &keys), at == 0 ? 0 : MILGI_PAUSE);
        pair_feed(server->side, server->in.p + at, 1);
        pair_run(server->side, NULL);
    }
    pair_bytes_drop(&server->in, whole);
    assert_int_equal(milgi_conn_keys(server->side->conn, MILGI_RECEIVE, &keys), 0);
    play_check();
    play_hand_over(true, true, true, true);
    play_send(client, 5000);
    play_settle();
    play_check();
    play_end();
}

/* In the midst of a stream that never stops, however it is cut. */
static void a_direction_is_taken_in_the_midst_of_a_transfer(void **state)
{
    static const size_t pieces[] = { 1, 3, 700, 5000, 16384 };
    (void)state;
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        play(i % SUITES);
        play_settle();
        server->read_most = pieces[i];
        pair.piece = pieces[i];
        play_send(client, 20000);
        pair_run(client->side, NULL);
        pair_bytes_add(&server->in, client->side->wire.p, client->side->wire.len);
        pair_bytes_drop(&client->side->wire, client->side->wire.len);
        pair_feed(server->side, server->in.p, 7); /* a header, and more */
        pair_bytes_drop(&server->in, 7);
        pair_run(server->side, NULL);
        server->exact = true;
        server->want[MILGI_RECEIVE] = client->want[MILGI_SEND] = true;
        play_settle();
        assert_int_equal(server->taken[MILGI_RECEIVE], 0);
        assert_true(milgi_ktls_has(server->ktls, MILGI_RECEIVE));
        play_send(client, 60000);
        play_settle();
        play_check();
        assert_true(server->records[MILGI_RECEIVE] > 1);
        play_close();
        play_end();
    }
}

/* No module, no cipher, somebody else's socket, one that is not connected: it stays as it was. */
static void a_kernel_that_cannot_changes_nothing(void **state)
{
    static const int errors[] = { -ENOENT, -ENOPROTOOPT, -EOPNOTSUPP, -EINVAL, -EBUSY, -EEXIST, -ENOTCONN, -ENOMEM };
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        for (unsigned where = 0; where < 2; where++) {
            play(i % SUITES);
            play_settle();
            play_send(client, 3000);
            client->no_ulp = where == 0 ? errors[i] : 0;
            client->no_key[MILGI_SEND] = client->no_key[MILGI_RECEIVE] = where == 1 ? errors[i] : 0;
            client->want[MILGI_SEND] = client->want[MILGI_RECEIVE] = true;
            play_send(server, 3000);
            play_settle();
            for (int d = 0; d < 2; d++) {
                assert_int_equal(client->taken[d], MILGI_EUNSUPPORTED);
                assert_false(milgi_ktls_has(client->ktls, (enum milgi_direction)d));
                assert_false(milgi_conn_handed_over(client->side->conn, (enum milgi_direction)d));
            }
            play_send(client, 20000);
            play_send(server, 20000);
            play_settle();
            play_check();
            assert_int_equal(client->records[MILGI_SEND] + client->records[MILGI_RECEIVE], 0);
            play_close();
            play_end();
        }
    }
}

static size_t pads(void *ctx, size_t len)
{
    (void)ctx;
    return len % 7;
}

static void client_pads(struct milgi_config *c, enum milgi_role role)
{
    if (role == MILGI_CLIENT)
        assert_int_equal(milgi_config_set_padding(c, pads, NULL), 0);
}

static void server_takes_little(struct milgi_config *c, enum milgi_role role)
{
    if (role == MILGI_SERVER)
        assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_RECORD_IN, 1000), 0);
}

/* The kernel does neither. */
static void who_pads_or_speaks_with_somebody_that_takes_little_keeps_its_records(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        play_begin(&(struct play){ .configure = i ? server_takes_little : client_pads });
        play_settle();
        client->want[MILGI_SEND] = client->want[MILGI_RECEIVE] = true;
        server->want[MILGI_SEND] = server->want[MILGI_RECEIVE] = true;
        play_settle();
        assert_int_equal(client->taken[MILGI_SEND], MILGI_EUNSUPPORTED);
        assert_int_equal(client->taken[MILGI_RECEIVE], 0);
        assert_int_equal(server->taken[MILGI_SEND], 0);
        assert_int_equal(server->taken[MILGI_RECEIVE], i ? MILGI_EUNSUPPORTED : 0);
        play_send(client, 20000);
        play_send(server, 20000);
        play_settle();
        play_check();
        play_close();
        play_end();
    }
}

static void a_slow_socket_takes_everything_in_order(void **state)
{
    static const int errors[] = { -EAGAIN, -ENOBUFS, -EINTR };
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        play_begin(&(struct play){ 0 });
        play_hand_over(true, false, false, true);
        client->send_most = 4099;
        client->room = 10000;
        client->send_error = errors[i];
        client->send_errors = 3;
        play_send(client, 50000);
        assert_int_equal(milgi_conn_update_keys(client->side->conn, true), 0);
        play_send(client, 50000);
        assert_int_equal(milgi_conn_shutdown(client->side->conn), 0);
        for (unsigned k = 0; k < 60 && milgi_conn_output_pending(client->side->conn); k++) {
            play_settle();
            client->room = 3000;
            if (k % 3 == 0)
                client->send_errors = 1;
        }
        play_settle();
        play_check();
        assert_int_equal(server->side->alerts_n, 1);
        assert_int_equal(server->side->alerts[0], MILGI_ALERT_CLOSE_NOTIFY);
        struct milgi_conn_info info;
        milgi_conn_info(server->side->conn, &info);
        assert_int_equal(info.key_updates_in, 1);
        play_end();
    }
}

/* The server, from a file whose bytes are their places: what it answers, and that so many went. */
static void file_goes(int64_t *at, size_t len, int answer)
{
    int64_t before = *at;
    size_t moved;
    assert_int_equal(milgi_ktls_sendfile(server->ktls, 9, at, len, &moved), answer);
    assert_int_equal(moved, answer ? 0 : len);
    assert_int_equal(*at, before + (int64_t)moved);
}

static void files_go_past_the_connection_and_behind_what_it_has_to_send(void **state)
{
    int64_t at = 0;
    (void)state;
    play_begin(&(struct play){ 0 });
    play_settle();
    file_goes(&at, 5000, MILGI_EINVAL); /* not the kernel's */
    play_hand_over(false, true, true, false);
    assert_int_equal(milgi_conn_write(server->side->conn, "first", 5), 0);
    file_goes(&at, 5000, MILGI_PAUSE);
    play_settle();
    file_goes(&at, 4999, 0);
    file_goes(&at, 1, 0); /* which is no MILGI_PAUSE */
    server->room = 0;
    file_goes(&at, 5000, MILGI_PAUSE);
    server->room = SIZE_MAX;
    file_goes(&at, 5000, 0);
    assert_int_equal(milgi_conn_write(server->side->conn, "last", 4), 0);
    play_settle();
    const struct pair_bytes *got = &client->side->got;
    assert_int_equal(got->len, 10009);
    assert_memory_equal(got->p, "first", 5);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(got->p[5 + i], (uint8_t)i);
    assert_memory_equal(got->p + 10005, "last", 4);
    struct milgi_conn_info info;
    milgi_conn_info(server->side->conn, &info);
    assert_int_equal(info.bytes_out, 10009);
    assert_int_equal(milgi_conn_shutdown(server->side->conn), 0);
    file_goes(&at, 5000, MILGI_ECLOSED); /* it would come behind the end */
    play_settle();
    file_goes(&at, 5000, MILGI_ECLOSED);
    assert_int_equal(got->len, 10009);
    play_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_suite_goes_both_ways_with_each_direction_in_the_kernel_or_not),
        cmocka_unit_test(nothing_is_handed_over_that_the_config_does_not_allow),
        cmocka_unit_test(there_are_no_keys_before_the_handshake_is_over_nor_behind_the_end),
        cmocka_unit_test(what_is_under_way_goes_before_the_hand_over),
        cmocka_unit_test(a_direction_is_taken_in_the_midst_of_a_transfer),
        cmocka_unit_test(a_kernel_that_cannot_changes_nothing),
        cmocka_unit_test(who_pads_or_speaks_with_somebody_that_takes_little_keeps_its_records),
        cmocka_unit_test(a_slow_socket_takes_everything_in_order),
        cmocka_unit_test(files_go_past_the_connection_and_behind_what_it_has_to_send),
    };
    return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
