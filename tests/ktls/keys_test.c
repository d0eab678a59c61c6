/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New keys for directions in a kernel, where it can change them and where it cannot; what a key may be used for; what
 * is left of secrets.
 * ctest-wrap: explicit_bzero milgi_conn_keys milgi__next_secret
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel.h"
#include "keys/keys.h"

#define COPIES 64

/* Where secrets are given to the kernel: wiped since, or not. */
static const uint8_t *copy[COPIES];
static unsigned copies_n, copies_seen;

void __real_explicit_bzero(void *p, size_t len);
void __wrap_explicit_bzero(void *p, size_t len);
void __wrap_explicit_bzero(void *p, size_t len)
{
    __real_explicit_bzero(p, len);
    for (unsigned i = copies_n; i-- > 0;) {
        if (copy[i] >= (const uint8_t *)p && copy[i] < (const uint8_t *)p + len)
            copy[i] = copy[--copies_n];
    }
}

static void saw_secret(const void *value)
{
    assert_true(copies_n < COPIES);
    copy[copies_n++] = value;
    copies_seen++;
}

static void begin(uint16_t version)
{
    play_begin(&(struct play){ .version = version });
    copies_n = copies_seen = 0;
    client->saw_secret = server->saw_secret = saw_secret;
}

int __real_milgi_conn_keys(
    struct milgi_conn *conn, enum milgi_direction direction, struct milgi_traffic_keys *keys);
int __wrap_milgi_conn_keys(
    struct milgi_conn *conn, enum milgi_direction direction, struct milgi_traffic_keys *keys);
int __wrap_milgi_conn_keys(struct milgi_conn *conn, enum milgi_direction direction, struct milgi_traffic_keys *keys)
{
    int rv = __real_milgi_conn_keys(conn, direction, keys);
    if (rv == 0)
        saw_secret(keys->key);
    return rv;
}

static unsigned no_secret; /* the n-th that is asked for there is no memory for; 0: for all */

int __real_milgi__next_secret(struct milgi__crypto *cx, enum milgi__hash hash, uint8_t *secret);
int __wrap_milgi__next_secret(struct milgi__crypto *cx, enum milgi__hash hash, uint8_t *secret);
int __wrap_milgi__next_secret(struct milgi__crypto *cx, enum milgi__hash hash, uint8_t *secret)
{
    return no_secret && !--no_secret ? MILGI_ENOMEM : __real_milgi__next_secret(cx, hash, secret);
}

static struct milgi_conn_info info_of(const struct end *e)
{
    struct milgi_conn_info info;
    milgi_conn_info(e->side->conn, &info);
    return info;
}

static void both_send(size_t bytes)
{
    play_send(client, bytes);
    play_send(server, bytes);
}

static void keys_change_in_mid_transfer_whoever_wants_it(void **state)
{
    (void)state;
    for (unsigned dirs = 0; dirs < 16; dirs++) {
        for (unsigned who = 0; who < 4; who++) {
            struct end *asks = who & 1 ? server : client;
            begin(0x0304);
            play_hand_over(dirs & 1, dirs & 2, dirs & 4, dirs & 8);
            for (unsigned k = 0; k < 3; k++) {
                both_send(20000);
                assert_int_equal(milgi_conn_update_keys(asks->side->conn, who & 2), 0);
                both_send(20000);
                play_settle();
                play_check();
                assert_int_equal(info_of(asks).key_updates_out, k + 1);
                assert_int_equal(info_of(asks == client ? server : client).key_updates_in, k + 1);
                assert_int_equal(info_of(asks).key_updates_in, who & 2 ? k + 1 : 0);
            }
            play_close();
            assert_int_equal(copies_n, 0);
            assert_true(dirs == 0 || copies_seen > 0);
            play_end();
        }
    }
}

/* One that has asked for a change in one turn has that change, and not one for each call. */
static void many_wishes_for_new_keys_are_one_change(void **state)
{
    (void)state;
    begin(0x0304);
    play_hand_over(true, true, true, true);
    for (unsigned k = 0; k < 5; k++)
        assert_int_equal(milgi_conn_update_keys(client->side->conn, k == 3), 0);
    play_settle();
    assert_int_equal(info_of(client).key_updates_out, 1);
    assert_int_equal(info_of(client).key_updates_in, 1);
    assert_int_equal(info_of(server).key_updates_out, 1);
    both_send(1000);
    play_settle();
    play_check();
    play_close();
    play_end();
}

/* The peer is told of the end and of why; it cannot take what it has for all there was. */
static void assert_refused(struct end *e, int error)
{
    struct end *peer = e == client ? server : client;
    assert_true(e->side->closed && peer->side->closed);
    assert_int_equal(e->side->reason.error, error);
    assert_int_equal(e->side->reason.alert, MILGI_ALERT_INTERNAL_ERROR);
    assert_int_equal(peer->side->reason.error, MILGI_EALERT);
    assert_int_equal(peer->side->reason.alert, MILGI_ALERT_INTERNAL_ERROR);
    for (unsigned i = 0; i < peer->side->alerts_n; i++)
        assert_int_not_equal(peer->side->alerts[i], MILGI_ALERT_CLOSE_NOTIFY);
}

static void a_kernel_that_cannot_change_keys_ends_where_they_have_to(void **state)
{
    (void)state;
    for (unsigned d = 0; d < 2; d++) {
        begin(0x0304);
        client->no_rekey[d] = -EBUSY;
        play_hand_over(d == MILGI_SEND, d == MILGI_RECEIVE, true, true);
        assert_false(milgi_ktls_rekeys(client->ktls, (enum milgi_direction)d));
        assert_true(milgi_ktls_rekeys(server->ktls, MILGI_SEND));
        /* What it is not forced to do it does not do. */
        assert_int_equal(milgi_conn_update_keys(client->side->conn, true), MILGI_EUNSUPPORTED);
        assert_int_equal(milgi_conn_update_keys(client->side->conn, false), d == MILGI_SEND ? MILGI_EUNSUPPORTED : 0);
        both_send(3000);
        play_settle();
        play_check();
        /* A request of the peer's, whose key changes, too: what came before is delivered. */
        play_send(server, 3000);
        play_settle();
        assert_int_equal(milgi_conn_update_keys(server->side->conn, d == MILGI_SEND), 0);
        play_settle();
        play_check();
        assert_refused(client, MILGI_EUNSUPPORTED);
        play_end();
    }
}

/* The peer's key alone changes: our own need not. */
static void a_peer_that_asks_for_nothing_gets_nothing(void **state)
{
    (void)state;
    begin(0x0304);
    client->no_rekey[MILGI_SEND] = -EBUSY;
    play_hand_over(true, true, true, true);
    assert_int_equal(milgi_conn_update_keys(server->side->conn, false), 0);
    both_send(30000);
    play_settle();
    play_check();
    play_close();
    play_end();
}

/* The peer knows of the new key, the kernel has not got it: nothing more is sent under the old one. */
static void a_key_that_cannot_be_set_after_all_ends_sending(void **state)
{
    (void)state;
    for (unsigned d = 0; d < 2; d++) {
        begin(0x0304);
        play_hand_over(d == MILGI_SEND, d == MILGI_RECEIVE, false, false);
        client->no_rekey[d] = -ENOMEM;
        assert_int_equal(
            milgi_conn_update_keys(d == MILGI_SEND ? client->side->conn : server->side->conn, false), 0);
        play_settle();
        unsigned sent = client->records[MILGI_SEND];
        assert_int_equal(milgi_conn_write(client->side->conn, "more", 4), d == MILGI_SEND ? 0 : MILGI_ECLOSED);
        play_settle();
        if (d == MILGI_SEND) {
            assert_int_equal(milgi_ktls_error(client->ktls), ENOMEM);
            assert_int_equal(milgi_ktls_flush(client->ktls), MILGI_ETRANSPORT);
            assert_int_equal(client->records[MILGI_SEND], sent);
            assert_int_equal(milgi_conn_output_pending(client->side->conn), 0); /* nobody waits for it */
        } else {
            assert_true(client->side->closed);
            assert_int_equal(client->side->reason.error, MILGI_ETRANSPORT);
            assert_int_equal(client->side->reason.device_code, ENOMEM);
        }
        assert_int_equal(copies_n, 0);
        play_end();
    }
}

/* Then the peer can read why: it has been told of no other key. */
static void a_key_that_there_is_no_memory_for_is_not_announced(void **state)
{
    (void)state;
    begin(0x0304);
    play_hand_over(true, true, true, true);
    no_secret = 1;
    assert_int_equal(milgi_conn_update_keys(client->side->conn, false), 0);
    play_settle();
    assert_int_equal(no_secret, 0);
    assert_refused(client, MILGI_ENOMEM);
    assert_int_equal(client->sent_types[22], 0);
    assert_int_equal(copies_n, 0);
    play_end();
}

static void rekeys_soon(struct milgi_config *c, enum milgi_role role)
{
    if (role == MILGI_CLIENT)
        assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_REKEY_RECORDS, 10), 0);
}

/*= RFC8446 5.5: "Implementations SHOULD do a key update as described in Section 4.6.3 prior to reaching these limits."
 */
static void what_the_kernel_seals_counts_against_the_limits_of_the_key(void **state)
{
    static const uint16_t versions[] = { 0x0304, 0x0304, 0x0303 };
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        play_begin(&(struct play){ .version = versions[i], .configure = rekeys_soon });
        client->no_rekey[MILGI_SEND] = i == 1 ? -EBUSY : 0;
        play_settle();
        play_send(client, 1); /* counts, too */
        play_hand_over(true, true, false, false);
        for (unsigned k = 0; k < 25 && !client->side->closed; k++) {
            play_send(client, 100);
            play_settle();
        }
        play_check();
        if (i == 0) {
            assert_int_equal(info_of(client).key_updates_out, 2);
            assert_int_equal(info_of(server).key_updates_in, 2);
            play_close();
        } else {
            assert_refused(client, MILGI_ELIMIT);
            assert_in_range(client->records[MILGI_SEND], 8, 11);
        }
        play_end();
    }
}

/* Past the connection, where it sees nothing but what it is told. */
static void a_file_is_held_until_the_key_has_changed(void **state)
{
    (void)state;
    for (unsigned counts = 0; counts < 2; counts++) {
        int64_t at = 0;
        play_begin(&(struct play){ .configure = rekeys_soon });
        client->no_count = counts ? 0 : -ENOPROTOOPT; /* then the adapter counts itself */
        play_hand_over(true, false, false, false);
        unsigned pauses = 0;
        for (unsigned k = 0; k < 40; k++) {
            size_t moved;
            int rv = milgi_ktls_sendfile(client->ktls, 9, &at, 16384, &moved);
            assert_true(rv == MILGI_PAUSE ? moved == 0 : !rv && moved == 16384);
            if (rv == MILGI_PAUSE) {
                pauses++;
                play_settle();
            }
        }
        play_settle();
        assert_in_range(info_of(client).key_updates_out, 3, counts ? 4 : 8);
        assert_true(pauses >= 3);
        assert_int_equal(server->side->got.len, (size_t)at);
        for (size_t i = 0; i < (size_t)at; i++)
            assert_int_equal(server->side->got.p[i], (uint8_t)i);
        play_end();
    }
}

/* What goes past the connection may be in records of any length: the kernel is asked for bytes, too. */
static void short_records_past_the_connection_are_counted_in_time(void **state)
{
    static const uint8_t byte[100] = "short";
    (void)state;
    play_begin(&(struct play){ .configure = rekeys_soon, .count_every = 16 });
    play_hand_over(true, false, false, false);
    assert_int_equal(milgi_ktls_may_pass(client->ktls, MILGI_SEND), 0);
    for (unsigned i = 0; i < 41; i++)
        kernel_seal(client, 23, byte, sizeof byte);
    milgi_ktls_passed(client->ktls, MILGI_SEND, 41 * sizeof byte);
    assert_int_equal(milgi_ktls_may_pass(client->ktls, MILGI_SEND), MILGI_PAUSE);
    play_settle();
    assert_int_equal(milgi_ktls_may_pass(client->ktls, MILGI_SEND), 0);
    assert_int_equal(info_of(client).key_updates_out, 1);
    assert_int_equal(server->side->got.len, 41 * sizeof byte);
    play_end();
}

/* The peer never changes its key by itself: it is asked in time, and a connection that cannot ask ends in time. */
static void what_the_kernel_opens_counts_too(void **state)
{
    (void)state;
    for (unsigned can = 0; can < 3; can++) {
        begin(0x0304);
        client->no_rekey[MILGI_RECEIVE] = can ? 0 : -EBUSY;
        play_hand_over(can < 2, true, false, false); /* the request goes out by itself, whoever seals it */
        /* As if so many had come: those of one key are millions. */
        assert_int_equal(milgi_conn_passed(client->side->conn, MILGI_RECEIVE, 5, 23700000), 0);
        play_settle();
        assert_int_equal(info_of(client).bytes_in, 5);
        if (can) {
            assert_int_equal(info_of(client).key_updates_out, 1);
            assert_int_equal(info_of(client).key_updates_in, 1);
            play_close();
        } else {
            assert_false(client->side->closed);
            assert_int_equal(milgi_conn_passed(client->side->conn, MILGI_RECEIVE, 0, 100000), 0);
            play_settle();
            assert_refused(client, MILGI_ELIMIT);
        }
        play_end();
    }
}

/* A key that nothing is sent with any more may be used up. */
static void behind_the_end_no_key_changes(void **state)
{
    (void)state;
    for (unsigned can = 0; can < 2; can++) {
        play_begin(&(struct play){ .configure = rekeys_soon });
        client->no_rekey[MILGI_SEND] = can ? 0 : -EBUSY;
        play_hand_over(true, false, false, false);
        assert_int_equal(milgi_conn_shutdown(client->side->conn), 0);
        play_settle();
        unsigned sends = client->sends;
        assert_int_equal(milgi_conn_passed(client->side->conn, MILGI_SEND, 0, 100), MILGI_ECLOSED);
        play_settle();
        play_send(server, 3000);
        play_settle();
        play_check();
        assert_int_equal(client->sends, sends);
        assert_int_equal(info_of(client).key_updates_out, 0);
        assert_int_equal(milgi_conn_shutdown(server->side->conn), 0);
        play_settle();
        assert_true(client->side->closed && server->side->closed);
        assert_int_equal(client->side->reason.error, 0);
        assert_int_equal(server->side->reason.error, 0);
        play_end();
    }
}

/*= RFC8446 4.6.3: "the receiver MUST send a KeyUpdate of its own with request_update set to "update_not_requested"
 *= prior to sending its next Application Data record." */
static void a_file_waits_for_a_key_update_that_is_owed(void **state)
{
    int64_t at = 0;
    (void)state;
    begin(0x0304);
    play_hand_over(true, false, false, false);
    assert_int_equal(milgi_conn_update_keys(client->side->conn, false), 0);
    size_t moved;
    assert_int_equal(milgi_ktls_sendfile(client->ktls, 9, &at, 5000, &moved), MILGI_PAUSE);
    play_settle();
    assert_int_equal(milgi_ktls_sendfile(client->ktls, 9, &at, 5000, &moved), 0);
    assert_int_equal(moved, 5000);
    play_settle();
    assert_int_equal(info_of(server).key_updates_in, 1);
    assert_int_equal(server->side->got.len, 5000);
    play_end();
}

static void what_has_not_been_handed_over_is_not_counted(void **state)
{
    struct milgi_chunk *chunk;
    (void)state;
    begin(0x0304);
    play_hand_over(true, false, false, true);
    assert_int_equal(milgi_conn_passed(client->side->conn, MILGI_RECEIVE, 0, 1), MILGI_EINVAL);
    assert_int_equal(milgi_conn_passed(server->side->conn, MILGI_SEND, 0, 1), MILGI_EINVAL);
    assert_int_equal(milgi_ktls_take(client->ktls, MILGI_SEND), MILGI_EINVAL); /* twice */
    assert_int_equal(milgi_conn_receive_failed(client->side->conn, MILGI_ALERT_BAD_RECORD_MAC), MILGI_EINVAL);
    assert_int_equal(milgi_conn_receive_failed(server->side->conn, MILGI_ALERT_CLOSE_NOTIFY), MILGI_EINVAL);
    /* Ciphertext to one that opens nothing, content to one that opens itself. */
    chunk = milgi_conn_chunk(client->side->conn, 10);
    struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), 10 };
    assert_int_equal(milgi_conn_receive_record(client->side->conn, 23, slice), MILGI_EINVAL);
    milgi_chunk_unref(chunk);
    chunk = milgi_conn_chunk(server->side->conn, 10);
    slice = (struct milgi_slice){ chunk, milgi_chunk_data(chunk), 10 };
    assert_int_equal(milgi_conn_receive(server->side->conn, slice), MILGI_EINVAL);
    milgi_chunk_unref(chunk);
    play_close();
    play_end();
}

/* Whoever was given keys, and then let the connection seal, would seal the same record again. */
static void keys_that_were_shown_are_not_those_of_a_later_record(void **state)
{
    struct milgi_traffic_keys keys;
    (void)state;
    for (unsigned what = 0; what < 3; what++) {
        struct milgi_conn *conn;
        begin(0x0304);
        play_settle();
        conn = client->side->conn;
        assert_int_equal(milgi_conn_keys(conn, what == 2 ? MILGI_RECEIVE : MILGI_SEND, &keys), 0);
        if (what == 0)
            play_send(client, 1);
        if (what == 1)
            assert_int_equal(milgi_conn_update_keys(conn, false), 0);
        play_settle();
        assert_int_equal(milgi_conn_hand_over(conn, MILGI_SEND, MILGI_REKEYS), MILGI_EINVAL);
        assert_false(milgi_conn_handed_over(conn, MILGI_SEND));
        play_close();
        play_end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_change_in_mid_transfer_whoever_wants_it),
        cmocka_unit_test(many_wishes_for_new_keys_are_one_change),
        cmocka_unit_test(a_kernel_that_cannot_change_keys_ends_where_they_have_to),
        cmocka_unit_test(a_peer_that_asks_for_nothing_gets_nothing),
        cmocka_unit_test(a_key_that_cannot_be_set_after_all_ends_sending),
        cmocka_unit_test(a_key_that_there_is_no_memory_for_is_not_announced),
        cmocka_unit_test(what_the_kernel_seals_counts_against_the_limits_of_the_key),
        cmocka_unit_test(a_file_is_held_until_the_key_has_changed),
        cmocka_unit_test(short_records_past_the_connection_are_counted_in_time),
        cmocka_unit_test(what_the_kernel_opens_counts_too),
        cmocka_unit_test(behind_the_end_no_key_changes),
        cmocka_unit_test(a_file_waits_for_a_key_update_that_is_owed),
        cmocka_unit_test(keys_that_were_shown_are_not_those_of_a_later_record),
        cmocka_unit_test(what_has_not_been_handed_over_is_not_counted),
    };
    return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
