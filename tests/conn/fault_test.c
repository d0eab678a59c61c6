/* SPDX-License-Identifier: Apache-2.0 */
/* Whose doing it was that a connection ended. That of decisions is in order/decide_test.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "fake_identity.h"
#include "pair.h"

#define LONG_NS UINT64_C(40000000000) /* more than a handshake may take */

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];
static struct milgi_config *config[2];

static void begin(const struct milgi_engine_options *options, const char *device)
{
    struct pair_setup setup = { .options = options,
        .device = { NULL, device },
        .server_name = "server.test",
        .seed = 5,
        .wall_s = FAKE_NOW_S };
    for (int role = 0; role < 2; role++) {
        config[role] = fake_config((enum milgi_role)role, NULL);
        setup.config[role] = fake_freeze(config[role]);
    }
    pair_init(&pair, &setup);
}

static void end(void)
{
    pair_fini(&pair);
    for (int role = 0; role < 2; role++)
        milgi_config_unref(config[role]);
}

static void open_up(void)
{
    begin(NULL, NULL);
    pair_settle(&pair);
    assert_true(client->established && server->established);
}

static void is(const struct pair_side *side, int error, enum milgi_fault fault)
{
    assert_true(side->closed);
    assert_int_equal(side->reason.error, error);
    assert_int_equal(side->reason.fault, fault);
}

static void it_is_nobodys_when_both_have_said_so(void **state)
{
    (void)state;
    open_up();
    assert_int_equal(milgi_conn_shutdown(client->conn), 0);
    assert_int_equal(milgi_conn_shutdown(server->conn), 0);
    pair_settle(&pair);
    is(client, 0, MILGI_FAULT_NONE);
    is(server, 0, MILGI_FAULT_NONE);
    end();
}

static void who_aborts_is_told_that_it_was_he(void **state)
{
    (void)state;
    open_up();
    assert_int_equal(milgi_conn_abort(server->conn, MILGI_ALERT_ACCESS_DENIED), 0);
    pair_settle(&pair);
    is(server, MILGI_EREFUSED, MILGI_FAULT_OURS);
    is(client, MILGI_EALERT, MILGI_FAULT_PEER);
    end();
}

static void a_cut_is_the_transports(void **state)
{
    (void)state;
    open_up();
    assert_int_equal(milgi_conn_receive_eof(client->conn, 0), 0);
    assert_int_equal(milgi_conn_receive_eof(server->conn, 104), 0);
    pair_run(client, NULL);
    pair_run(server, NULL);
    is(client, MILGI_ETRUNCATED, MILGI_FAULT_TRANSPORT);
    is(server, MILGI_ETRANSPORT, MILGI_FAULT_TRANSPORT);
    end();
}

static void garbage_is_the_peers(void **state)
{
    static const uint8_t bad[64] = { 23, 3, 3, 0, 59 };
    (void)state;
    open_up();
    (void)pair_feed(server, bad, sizeof bad);
    pair_settle(&pair);
    is(server, MILGI_EBADRECORD, MILGI_FAULT_PEER);
    end();
    begin(NULL, NULL);
    (void)pair_feed(server, "GET / HTTP/1.0\r\n", 16);
    pair_settle(&pair);
    is(server, MILGI_EPROTO, MILGI_FAULT_PEER);
    end();
}

static void more_input_than_was_asked_for_is_ours(void **state)
{
    static const uint8_t much[65536];
    (void)state;
    open_up();
    for (unsigned i = 0; i < 20 && pair_feed(server, much, sizeof much) != MILGI_ECLOSED; i++)
        continue;
    pair_settle(&pair);
    is(server, MILGI_ELIMIT, MILGI_FAULT_OURS);
    end();
}

/* --- late --------------------------------------------------------------------------------------------------------- */

static void a_peer_that_says_nothing_more_is_late(void **state)
{
    (void)state;
    begin(NULL, NULL);
    pair_run(client, NULL);
    assert_true(pair_carry(client, 50) > 0); /* a server begins with the first bytes */
    pair_run(server, NULL);
    pair.now_ns += LONG_NS;
    pair_run(client, NULL); /* a host that was stopped has another turn */
    pair_run(client, NULL);
    pair_run(server, NULL);
    pair_run(server, NULL);
    is(client, MILGI_ETIMEOUT, MILGI_FAULT_PEER);
    is(server, MILGI_ETIMEOUT, MILGI_FAULT_PEER);
    end();
}

static void a_device_that_says_nothing_is_late(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 0;
    begin(&options, "sim:manual");
    pair_settle_until(&pair, pair.now_ns + LONG_NS);
    is(server, MILGI_ETIMEOUT, MILGI_FAULT_DEVICE);
    assert_true(client->closed && client->reason.fault == MILGI_FAULT_PEER);
    end();
}

/* --- a crowd at a device that gives nothing back ------------------------------------------------------------------ */

#define CROWD 20

static struct milgi_reason last;
static unsigned closed, faults[MILGI_FAULT_OURS + 1];

static void take_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    (void)arg;
    for (size_t i = 0; i < n; i++)
        milgi_conn_output_done(conn, iov[i].len);
}

static void one_closed(struct milgi_conn *conn, void *arg, const struct milgi_reason *reason)
{
    (void)arg;
    closed++;
    last = *reason;
    faults[reason->fault]++;
    milgi_conn_free(conn);
}

/* Servers in one engine, each with the same ClientHello. */
static void crowd(const struct milgi_engine_options *options, const char *device)
{
    static const struct milgi_events events = { .on_output = take_output, .on_closed = one_closed };
    struct milgi_conn *conn;
    closed = 0;
    memset(faults, 0, sizeof faults);
    begin(options, device);
    pair_run(client, NULL);
    size_t len = client->wire.len;
    for (unsigned i = 0; i < CROWD; i++) {
        struct milgi_chunk *chunk = milgi_chunk_new(server->engine, len);
        memcpy(milgi_chunk_data(chunk), client->wire.p, len);
        assert_int_equal(milgi_conn_new(server->engine, config[MILGI_SERVER], NULL, &events, NULL, &conn), 0);
        struct milgi_slice hello = { chunk, milgi_chunk_data(chunk), (uint32_t)len };
        assert_int_equal(milgi_conn_receive(conn, hello), 0);
        while (pair_run(server, NULL) == MILGI_RUN_AGAIN)
            continue;
    }
}

static void a_device_that_is_full_is_the_devices(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.full_policy = MILGI_FULL_REFUSE;
    options.full_line = 4;
    crowd(&options, "sim:manual,depth=1");
    assert_in_range(closed, 1, CROWD - 1);
    assert_int_equal(last.error, MILGI_EBUSY);
    assert_int_equal(faults[MILGI_FAULT_DEVICE], closed);
    end();
}

static void an_op_that_never_was_free_is_memory(void **state)
{
    struct milgi_engine_options options;
    (void)state;
    milgi_engine_options_init(&options);
    options.op_timeout_ns[0] = options.op_timeout_ns[1] = 0;
    options.op_limit = 16;
    crowd(&options, "sim:manual");
    assert_int_equal(closed, 0);
    pair.now_ns += LONG_NS;
    for (unsigned i = 0; i < 20; i++)
        pair_run(server, NULL);
    assert_int_equal(closed, CROWD);
    assert_in_range(faults[MILGI_FAULT_DEVICE], 1, 16); /* those who have the ops that there are */
    assert_int_equal(faults[MILGI_FAULT_MEMORY], CROWD - faults[MILGI_FAULT_DEVICE]);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_nobodys_when_both_have_said_so),
        cmocka_unit_test(who_aborts_is_told_that_it_was_he),
        cmocka_unit_test(a_cut_is_the_transports),
        cmocka_unit_test(garbage_is_the_peers),
        cmocka_unit_test(more_input_than_was_asked_for_is_ours),
        cmocka_unit_test(a_peer_that_says_nothing_more_is_late),
        cmocka_unit_test(a_device_that_says_nothing_is_late),
        cmocka_unit_test(a_device_that_is_full_is_the_devices),
        cmocka_unit_test(an_op_that_never_was_free_is_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
