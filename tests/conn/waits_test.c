/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection waits for, from its beginning to its end. That one which lives on waits for something, and for no
 * turn of an engine that wants none, is asked behind every turn of every test on pairs: lib/pair.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "fake_identity.h"
#include "pair.h"

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
static const uint8_t data[40000];

static void begin(const struct milgi_engine_options *options, const char *device)
{
    struct pair_setup setup = { .options = options,
        .device = { device, device },
        .server_name = "server.test",
        .seed = 5,
        .wall_s = FAKE_NOW_S };
    for (int role = 0; role < 2; role++) {
        struct milgi_config *c = fake_config((enum milgi_role)role, NULL);
        assert_int_equal(milgi_config_set_limit(c, MILGI_LIMIT_CREDIT, 16384), 0);
        setup.config[role] = fake_freeze(c);
    }
    pair_init(&pair, &setup);
    for (int role = 0; role < 2; role++)
        milgi_config_unref(setup.config[role]);
}

static unsigned waits(const struct pair_side *side)
{
    return milgi_conn_waits_for(side->conn);
}

static void open_up(void)
{
    pair_settle(&pair);
    assert_true(client->established && server->established);
    assert_int_equal(waits(client), MILGI_WAITS_PEER);
    assert_int_equal(waits(server), MILGI_WAITS_PEER);
}

static void a_client_waits_for_a_turn_and_a_server_for_the_client(void **state)
{
    (void)state;
    begin(NULL, NULL);
    assert_true(waits(client) & MILGI_WAITS_TURN);
    assert_int_equal(waits(server), MILGI_WAITS_PEER);
    pair_run(client, NULL);
    assert_int_equal(waits(client), MILGI_WAITS_PEER);
    assert_true(pair_carry(client, 10) > 0);
    assert_true(waits(server) & MILGI_WAITS_TURN);
    pair_run(server, NULL);
    assert_int_equal(waits(server), MILGI_WAITS_PEER); /* for the rest of a record */
    open_up();
    pair_fini(&pair);
}

static void output_is_waited_for_until_it_is_counted(void **state)
{
    (void)state;
    begin(NULL, *state);
    open_up();
    server->keep_output = true;
    assert_int_equal(milgi_conn_write(server->conn, data, 1000), 0);
    assert_int_equal(waits(server) & MILGI_WAITS_OUTPUT, 0); /* it is not handed out yet */
    pair_settle(&pair);
    assert_int_equal(waits(server), MILGI_WAITS_PEER | MILGI_WAITS_OUTPUT);
    milgi_conn_output_done(server->conn, server->undone - 1);
    assert_int_equal(waits(server), MILGI_WAITS_PEER | MILGI_WAITS_OUTPUT);
    milgi_conn_output_done(server->conn, 1);
    assert_int_equal(waits(server), MILGI_WAITS_PEER);
    pair_fini(&pair);
}

static void credit_is_waited_for_until_it_is_given(void **state)
{
    begin(NULL, *state);
    open_up();
    server->keep_credit = true;
    assert_true(milgi_conn_write(client->conn, data, sizeof data) >= 0);
    pair_settle(&pair);
    assert_true(server->got.len < sizeof data);
    assert_int_equal(waits(server), MILGI_WAITS_CREDIT);
    milgi_conn_consumed(server->conn, server->got.len);
    assert_int_equal(waits(server) & (MILGI_WAITS_CREDIT | MILGI_WAITS_TURN), MILGI_WAITS_TURN);
    server->keep_credit = false;
    pair_settle(&pair);
    assert_int_equal(server->got.len, sizeof data);
    assert_int_equal(waits(server), MILGI_WAITS_PEER);
    pair_fini(&pair);
}

/* All chunks that there are; NULL from there on. */
static unsigned take_all(struct milgi_engine *engine, struct milgi_chunk **all, unsigned cap)
{
    unsigned n = 0;
    for (size_t size = MILGI_CHUNK_MAX; size >= 64; size /= 2)
        while (n < cap && (all[n] = milgi_chunk_new(engine, size)) != NULL)
            n++;
    assert_true(n < cap);
    return n;
}

static void memory_is_waited_for_while_there_is_none(void **state)
{
    static struct milgi_chunk *all[4096];
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.memory_limit = 1 << 20;
    begin(&options, "sim:latency=1ms");
    open_up();
    assert_true(milgi_conn_write(server->conn, data, sizeof data) >= 0);
    unsigned n = take_all(server->engine, all, 4096); /* but for what is kept back, which the first record may have */
    pair_run(server, NULL);
    assert_int_equal(waits(server), MILGI_WAITS_DEVICE | MILGI_WAITS_MEMORY | MILGI_WAITS_PEER);
    assert_int_equal(waits(client), MILGI_WAITS_PEER);
    while (n > 0)
        milgi_chunk_unref(all[--n]);
    pair_settle(&pair);
    assert_int_equal(waits(server), MILGI_WAITS_PEER);
    assert_int_equal(client->got.len, sizeof data);
    pair_fini(&pair);
}

static void who_has_heard_the_last_waits_for_nothing(void **state)
{
    begin(NULL, *state);
    open_up();
    server->keep_output = true;
    assert_int_equal(milgi_conn_shutdown(client->conn), 0);
    assert_true(waits(client) & MILGI_WAITS_TURN);
    pair_settle(&pair);
    assert_int_equal(waits(client), MILGI_WAITS_PEER);
    assert_int_equal(waits(server), 0); /* for its own application alone */
    assert_int_equal(milgi_conn_shutdown(server->conn), 0);
    pair_settle(&pair);
    assert_true(client->closed && server->closed);
    assert_int_equal(waits(client), 0);
    assert_int_equal(waits(server), MILGI_WAITS_OUTPUT);
    milgi_conn_output_done(server->conn, SIZE_MAX);
    assert_int_equal(waits(server), 0);
    pair_fini(&pair);
}

static void who_has_failed_waits_for_its_alert_to_go(void **state)
{
    begin(NULL, *state);
    open_up();
    server->keep_output = true;
    assert_int_equal(milgi_conn_abort(server->conn, MILGI_ALERT_INTERNAL_ERROR), 0);
    assert_int_equal(waits(server) & ~(unsigned)MILGI_WAITS_TURN, 0);
    pair_settle(&pair);
    assert_true(client->closed && server->closed);
    assert_int_equal(waits(client), 0);
    assert_int_equal(waits(server), MILGI_WAITS_OUTPUT);
    pair_fini(&pair);
}

static unsigned events;

static void ask(struct pair_side *side, const char *event)
{
    if (!side->conn)
        return;
    assert_true(waits(side) & MILGI_WAITS_TURN);
    if (strcmp(event, "closed") == 0)
        assert_int_equal(waits(side) & ~(unsigned)(MILGI_WAITS_TURN | MILGI_WAITS_OUTPUT), 0);
    events++;
}

static void in_a_callback_its_turn_goes_on(void **state)
{
    begin(NULL, *state);
    client->on_event = server->on_event = ask;
    events = 0;
    open_up();
    assert_true(milgi_conn_write(client->conn, data, sizeof data) >= 0);
    assert_int_equal(milgi_conn_shutdown(client->conn), 0);
    assert_int_equal(milgi_conn_shutdown(server->conn), 0);
    pair_settle(&pair);
    assert_true(client->closed && server->closed && events > 8);
    pair_fini(&pair);
}

#define EACH(test) \
    cmocka_unit_test(test), \
        { #test ": sim", test, NULL, NULL, "sim:latency=1us" }, \
    { \
#test ": chaos", test, NULL, NULL, "chaos:seed=4" \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_waits_for_a_turn_and_a_server_for_the_client),
        EACH(output_is_waited_for_until_it_is_counted),
        EACH(credit_is_waited_for_until_it_is_given),
        cmocka_unit_test(memory_is_waited_for_while_there_is_none),
        EACH(who_has_heard_the_last_waits_for_nothing),
        EACH(who_has_failed_waits_for_its_alert_to_go),
        EACH(in_a_callback_its_turn_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
