/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is held back and goes on: input between PAUSE and on_resume, output between PAUSE and on_room; what goes on when
 * our own half has ended; requests for new keys, of which there is never more than one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_identity.h"
#include "pair.h"

#define OUTPUT 65536u
#define CREDIT 20000u
#define DATA_LEN 400000u

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
static uint8_t pattern[DATA_LEN];
static const char *const devices[] = { NULL, "sim:latency=50us,units=8,depth=16,order=out,jitter=50us,seed=5" };
#define DEVICES (sizeof devices / sizeof devices[0])

static struct milgi_config *config(enum milgi_role role, uint64_t credit)
{
    struct milgi_config *c = fake_config(role, NULL);
    assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_OUTPUT, OUTPUT), 0);
    assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_INPUT, 40000), 0);
    assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_CREDIT, credit), 0);
    return fake_freeze(c);
}

static void begin_with(const char *device, const struct milgi_engine_options *options, uint64_t credit)
{
    struct pair_setup setup = { .config = { config(MILGI_CLIENT, credit), config(MILGI_SERVER, credit) },
        .device = { device, device },
        .options = options,
        .server_name = "server.test",
        .seed = 17,
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    milgi_config_unref(setup.config[0]);
    milgi_config_unref(setup.config[1]);
    pair_settle(&pair);
    assert_true(client->established && server->established);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 7 ^ i >> 8);
}

static void begin(const char *device)
{
    begin_with(device, NULL, CREDIT);
}

/* Runs |side| alone until it has nothing to do any more. */
static void run_alone(struct pair_side *side)
{
    uint64_t until_ns = pair.now_ns + 10000000, deadline_ns = 0;
    while (pair_run(side, &deadline_ns) == MILGI_RUN_AGAIN || deadline_ns < until_ns)
        pair.now_ns = deadline_ns < until_ns && deadline_ns > pair.now_ns ? deadline_ns : pair.now_ns;
}

static void take_output(struct pair_side *side, size_t most)
{
    size_t len = side->undone < most ? side->undone : most;
    side->undone -= len;
    milgi_conn_output_done(side->conn, len);
}

static uint32_t updates_in(const struct pair_side *side)
{
    struct milgi_conn_info info;
    milgi_conn_info(side->conn, &info);
    return info.key_updates_in;
}

static uint32_t updates_out(const struct pair_side *side)
{
    struct milgi_conn_info info;
    milgi_conn_info(side->conn, &info);
    return info.key_updates_out;
}

/* --- input -------------------------------------------------------------------------------------------------------- */

static unsigned pauses, resumes;

static void count_pauses(struct pair_side *side, const char *event)
{
    bool pause = strcmp(event, "pause") == 0, resume = strcmp(event, "resume") == 0;
    if (!pause && !resume)
        return;
    assert_int_equal(milgi_conn_input_paused(side->conn), pause);
    pauses += pause;
    resumes += resume;
    assert_int_equal(pauses, resumes + pause); /* in turns */
}

/* All that the client has sent is given to the server as fast as that takes it; returns how often it was paused. */
static unsigned push_all(size_t piece)
{
    unsigned times = 0;
    for (unsigned guard = 0; client->wire.len; guard++) {
        assert_true(guard < 1000000);
        size_t len = client->wire.len < piece ? client->wire.len : piece;
        int rv = pair_feed(server, client->wire.p, len);
        pair_bytes_drop(&client->wire, len);
        assert_true(rv == 0 || rv == MILGI_PAUSE);
        if (rv == 0)
            continue;
        unsigned told = resumes;
        times++;
        for (unsigned wait = 0; resumes == told; wait++) {
            assert_true(wait < 100);
            assert_true(milgi_conn_input_paused(server->conn));
            run_alone(server);
            assert_int_equal(server->undone, 0);
            milgi_conn_consumed(server->conn, 7000);
        }
        assert_false(milgi_conn_input_paused(server->conn));
    }
    return times;
}

static void what_was_held_back_by_a_pause_is_delivered_once_and_in_order(void **state)
{
    static const size_t pieces[] = { 100, 5000, 16384 };
    (void)state;
    for (size_t n = 0; n < 3 * DEVICES; n++) {
        begin(devices[n / 3]);
        pauses = resumes = 0;
        server->on_event = count_pauses;
        server->keep_credit = true;
        for (size_t at = 0; at < sizeof pattern; at += 50000) {
            int rv = milgi_conn_write(client->conn, pattern + at, 50000);
            assert_true(rv == 0 || rv == MILGI_PAUSE);
            run_alone(client);
        }
        unsigned times = push_all(pieces[n % 3]);
        assert_in_range(times, 5, 100);
        assert_int_equal(resumes, times);
        for (unsigned i = 0; i < 100; i++) { /* the rest */
            run_alone(server);
            milgi_conn_consumed(server->conn, 7000);
        }
        assert_int_equal(pauses, resumes);
        assert_int_equal(server->got.len, sizeof pattern);
        assert_memory_equal(server->got.p, pattern, sizeof pattern);
        pair_fini(&pair);
    }
}

/* Credit that comes back is enough: nobody has to look for what it makes room for. */
static void credit_that_comes_back_opens_what_waits(void **state)
{
    (void)state;
    for (size_t n = 0; n < DEVICES; n++) {
        begin(devices[n]);
        server->keep_credit = true;
        assert_int_equal(milgi_conn_write(client->conn, pattern, 120000), MILGI_PAUSE);
        run_alone(client);
        (void)pair_feed(server, client->wire.p, client->wire.len);
        pair_bytes_drop(&client->wire, client->wire.len);
        run_alone(server);
        for (size_t got = 0; got < 120000; run_alone(server)) {
            assert_in_range(server->got.len - got, 1, CREDIT + 16384);
            got = server->got.len;
            milgi_conn_consumed(server->conn, SIZE_MAX);
        }
        assert_memory_equal(server->got.p, pattern, 120000);
        pair_fini(&pair);
    }
}

/* While others used the memory there was little credit; now there is more than it seems to have waited for. */
static void credit_that_has_grown_opens_what_waits(void **state)
{
    (void)state;
    struct milgi_engine_options options;
    struct milgi_chunk *chunk[64];
    size_t n = 0;
    milgi_engine_options_init(&options);
    options.memory_limit = 2 << 20;
    begin_with(NULL, &options, 262144);
    for (; n < 64 && milgi_conn_read_size(server->conn, 65536) == 65536; n++)
        chunk[n] = milgi_chunk_new(server->engine, 65536);
    for (unsigned i = 0; i < 20; i++, n++)
        assert_non_null(chunk[n] = milgi_chunk_new(server->engine, 65536));
    server->keep_credit = true;
    assert_int_equal(milgi_conn_write(client->conn, pattern, 49152), 0);
    run_alone(client);
    (void)pair_feed(server, client->wire.p, client->wire.len);
    pair_bytes_drop(&client->wire, client->wire.len);
    run_alone(server);
    assert_int_equal(server->got.len, 32768); /* a little less than a record would have been enough */
    while (n > 0)
        milgi_chunk_unref(chunk[--n]);
    milgi_conn_consumed(server->conn, 1);
    run_alone(server);
    assert_int_equal(server->got.len, 49152);
    pair_fini(&pair);
}

/* --- output ------------------------------------------------------------------------------------------------------- */

static unsigned rooms;

static void count_rooms(struct pair_side *side, const char *event)
{
    if (strcmp(event, "room") != 0)
        return;
    rooms++;
    assert_false(milgi_conn_output_full(side->conn));
    assert_true(milgi_conn_output_pending(side->conn) <= OUTPUT / 2);
}

static void fill_output(void)
{
    rooms = 0;
    client->on_event = count_rooms;
    client->keep_output = true; /* the network takes nothing by itself */
}

static void room_is_told_once_to_who_was_told_to_pause_and_to_nobody_else(void **state)
{
    (void)state;
    for (size_t n = 0; n < DEVICES; n++) {
        begin(devices[n]);
        fill_output();
        for (unsigned round = 0; round < 4; round++) {
            /* Nearly full is not full. */
            assert_int_equal(milgi_conn_write(client->conn, pattern, OUTPUT / 2), 0);
            run_alone(client);
            take_output(client, SIZE_MAX);
            run_alone(client);
            assert_int_equal(rooms, round);
            assert_int_equal(milgi_conn_write(client->conn, pattern, OUTPUT + 1), MILGI_PAUSE);
            run_alone(client);
            while (rooms == round) {
                assert_true(milgi_conn_output_pending(client->conn) > OUTPUT / 2);
                take_output(client, 1000);
                run_alone(client);
            }
            assert_true(milgi_conn_output_pending(client->conn) > OUTPUT / 2 - 1000); /* no later than that */
            while (client->undone) {
                take_output(client, 1000);
                run_alone(client);
            }
            assert_int_equal(rooms, round + 1);
        }
        pair_fini(&pair);
    }
}

static void room_is_no_matter_of_a_connection_that_ends(void **state)
{
    (void)state;
    for (size_t n = 0; n < DEVICES; n++) {
        begin(devices[n]);
        fill_output();
        assert_int_equal(milgi_conn_write(client->conn, pattern, OUTPUT + 1), MILGI_PAUSE);
        run_alone(client);
        assert_int_equal(milgi_conn_abort(client->conn, MILGI_ALERT_INTERNAL_ERROR), 0);
        run_alone(client);
        take_output(client, SIZE_MAX);
        run_alone(client);
        assert_true(client->closed);
        assert_int_equal(rooms, 0);
        pair_fini(&pair);
    }
}

static void say_that_all_is_done(struct pair_side *side, const char *event)
{
    if (strcmp(event, "data") == 0)
        milgi_conn_output_done(side->conn, SIZE_MAX);
}

/* What is ready and has not been handed out cannot have been taken. */
static void more_than_was_handed_out_is_never_done(void **state)
{
    (void)state;
    begin(NULL);
    server->on_event = say_that_all_is_done;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(milgi_conn_write(client->conn, pattern, 1000), 0);
        run_alone(client);
        (void)pair_carry(client, 0);
        assert_int_equal(milgi_conn_write(server->conn, pattern + i * 1000, 1000), 0);
        run_alone(server);
    }
    pair_settle(&pair);
    assert_int_equal(client->got.len, 10000);
    assert_memory_equal(client->got.p, pattern, 10000);
    pair_fini(&pair);
}

/* --- behind our own end ------------------------------------------------------------------------------------------- */

static void nothing_is_taken_behind_a_shutdown(void **state)
{
    (void)state;
    for (size_t n = 0; n < 2 * DEVICES; n++) {
        begin(devices[n / 2]);
        assert_int_equal(milgi_conn_write(client->conn, pattern, 1000), 0);
        assert_int_equal(milgi_conn_shutdown(client->conn), 0);
        if (n % 2) /* close_notify has left; else it is still to be written */
            pair_settle(&pair);
        struct milgi_chunk *chunk = milgi_conn_chunk(client->conn, 100);
        assert_non_null(chunk);
        struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), 100 };
        size_t pending = milgi_conn_output_pending(client->conn);
        assert_int_equal(milgi_conn_send(client->conn, slice), MILGI_ECLOSED);
        milgi_chunk_unref(chunk); /* it is still ours */
        assert_int_equal(milgi_conn_write(client->conn, pattern, 1), MILGI_ECLOSED);
        assert_int_equal(milgi_conn_write(client->conn, pattern, 0), MILGI_ECLOSED);
        assert_int_equal(milgi_conn_shutdown(client->conn), MILGI_ECLOSED);
        assert_int_equal(milgi_conn_output_pending(client->conn), pending);
        pair_settle(&pair);
        assert_int_equal(milgi_conn_update_keys(client->conn, true), MILGI_ECLOSED);
        assert_int_equal(server->got.len, 1000);
        assert_int_equal(server->alerts_n, 1);
        assert_int_equal(server->alerts[0], MILGI_ALERT_CLOSE_NOTIFY);
        pair_fini(&pair);
    }
}

/*= RFC8446 6.1: closing one half "does not have any effect on its read side" */
static void what_the_peer_says_behind_our_end_is_delivered(void **state)
{
    (void)state;
    for (size_t n = 0; n < DEVICES; n++) {
        begin(devices[n]);
        pair.keep_wire = true;
        assert_int_equal(milgi_conn_shutdown(client->conn), 0);
        pair_settle(&pair);
        size_t said = client->sent_wire.len;
        for (unsigned i = 0; i < 5; i++) {
            assert_int_equal(milgi_conn_update_keys(server->conn, true), 0);
            assert_int_equal(milgi_conn_write(server->conn, pattern + i * 40000, 40000), 0);
            pair_settle(&pair);
        }
        /*= RFC8446 6.1: close_notify: "the sender will not send any more messages on this connection" */
        assert_int_equal(client->sent_wire.len, said);
        assert_int_equal(updates_in(client), 5);
        assert_int_equal(client->got.len, 200000);
        assert_memory_equal(client->got.p, pattern, 200000);
        assert_false(client->closed);
        assert_int_equal(milgi_conn_shutdown(server->conn), 0);
        pair_settle(&pair);
        assert_true(client->closed && server->closed);
        assert_int_equal(client->reason.error, 0);
        assert_int_equal(server->reason.error, 0);
        pair_fini(&pair);
    }
}

/* --- requests for new keys ---------------------------------------------------------------------------------------- */

static void a_peer_that_has_not_answered_is_not_asked_again(void **state)
{
    (void)state;
    for (size_t n = 0; n < DEVICES; n++) {
        begin(devices[n]);
        for (unsigned i = 0; i < 5; i++) {
            assert_int_equal(milgi_conn_update_keys(client->conn, true), 0);
            run_alone(client);
            (void)pair_carry(client, 0);
            run_alone(server);                           /* its answer stays where it is */
            assert_int_equal(updates_in(server), i + 1); /* the keys of our own direction are new each time */
        }
        assert_int_equal(updates_out(server), 1);
        pair_settle(&pair);
        assert_int_equal(updates_in(client), 1);
        /* It has answered: it may be asked. */
        assert_int_equal(milgi_conn_update_keys(client->conn, true), 0);
        pair_settle(&pair);
        assert_int_equal(updates_in(client), 2);
        pair_fini(&pair);
    }
}

/* The network has taken nothing yet: one request is there, and no call adds to it, whatever the peer does meanwhile. */
static void a_request_that_has_not_left_serves_all_calls(void **state)
{
    (void)state;
    for (size_t n = 0; n < 2 * DEVICES; n++) {
        begin(devices[n / 2]);
        client->keep_output = true;
        for (unsigned i = 0; i < 10; i++) {
            assert_int_equal(milgi_conn_update_keys(client->conn, true), 0);
            run_alone(client);
            if (n % 2) /* the peer's keys are new all the same: it was heard, though that is not known */
                pair_settle(&pair);
        }
        assert_int_equal(updates_out(client), 1);
        take_output(client, SIZE_MAX);
        pair_settle(&pair);
        assert_int_equal(updates_out(server), 1);
        /* A change that asks nobody has not left, and the request before it is not answered: nothing is added. */
        client->keep_output = false;
        assert_int_equal(milgi_conn_update_keys(client->conn, true), 0);
        run_alone(client);
        client->keep_output = true;
        assert_int_equal(milgi_conn_update_keys(client->conn, false), 0);
        for (unsigned i = 0; i < 10; i++) {
            assert_int_equal(milgi_conn_update_keys(client->conn, true), 0);
            run_alone(client);
        }
        assert_int_equal(updates_out(client), 3);
        pair_fini(&pair);
    }
}

/* It has been heard, but the network has not said so: more requests wait until it has, and none of them for two. */
static void an_answer_that_has_not_left_is_the_only_one(void **state)
{
    (void)state;
    for (size_t n = 0; n < 2 * DEVICES; n++) {
        begin(devices[n / 2]);
        server->keep_output = true;
        for (unsigned i = 0; i < 10; i++) {
            assert_int_equal(milgi_conn_update_keys(client->conn, true), 0);
            pair_settle(&pair);
            assert_int_equal(updates_out(server), 1);
        }
        assert_int_equal(updates_in(server), 10);
        if (n % 2)
            assert_int_equal(milgi_conn_shutdown(server->conn), 0);
        for (unsigned i = 0; i < 3; i++) {
            pair_settle(&pair);
            take_output(server, SIZE_MAX);
        }
        assert_int_equal(updates_out(server), 2);
        assert_int_equal(updates_in(client), 2); /* before close_notify: behind it nothing is heard */
        assert_int_equal(client->alerts_n, n % 2);
        pair_fini(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_held_back_by_a_pause_is_delivered_once_and_in_order),
        cmocka_unit_test(credit_that_comes_back_opens_what_waits),
        cmocka_unit_test(credit_that_has_grown_opens_what_waits),
        cmocka_unit_test(room_is_told_once_to_who_was_told_to_pause_and_to_nobody_else),
        cmocka_unit_test(room_is_no_matter_of_a_connection_that_ends),
        cmocka_unit_test(more_than_was_handed_out_is_never_done),
        cmocka_unit_test(nothing_is_taken_behind_a_shutdown),
        cmocka_unit_test(what_the_peer_says_behind_our_end_is_delivered),
        cmocka_unit_test(a_peer_that_has_not_answered_is_not_asked_again),
        cmocka_unit_test(a_request_that_has_not_left_serves_all_calls),
        cmocka_unit_test(an_answer_that_has_not_left_is_the_only_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
