/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of a connection's life fails once, and each time all that follow it fail for a while. A connection
 * then ends with a reason or goes on; it never hangs, and nothing is lost (the sanitizer of leaks sees to that).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "fake_identity.h"
#include "pair.h"

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];

/* --- allocations that fail ---------------------------------------------------------------------------------------- */

static unsigned long asked, fail_from, fail_n;

static bool mem_fail(void)
{
    asked++;
    return asked >= fail_from && asked - fail_from < fail_n;
}

/* --- a life ------------------------------------------------------------------------------------------------------- */

static uint8_t data[70000];

static void say(struct pair_side *side, size_t len)
{
    if (side->conn && !side->closed)
        (void)!milgi_conn_write(side->conn, data, len);
}

static void answer(struct pair_side *side, const struct milgi_decision *decision)
{
    (void)milgi_decide(side->engine, *decision, MILGI_DEFAULT, NULL);
}

/* Handshake with client certificate, data both ways in pieces, new keys, the end. */
static void live(void)
{
    pair_settle(&pair);
    say(client, sizeof data);
    say(server, 100);
    pair_settle(&pair);
    if (client->established && !client->closed)
        (void)milgi_conn_update_keys(client->conn, true);
    say(client, 3000);
    pair_settle(&pair);
    (void)milgi_conn_shutdown(client->conn);
    (void)milgi_conn_shutdown(server->conn);
    pair_settle(&pair);
}

static struct milgi_config *configs[2];

static void begin(const char *device, size_t piece)
{
    struct pair_setup setup = { .config = { configs[0], configs[1] },
        .device = { device, device },
        .server_name = "server.test",
        .seed = 5,
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    pair.piece = piece;
    client->decide = server->decide = answer;
    asked = 0;
    milgi__mem_fail = mem_fail;
}

static void end(void)
{
    milgi__mem_fail = NULL;
    pair_fini(&pair);
}

static int setup(void **state)
{
    (void)state;
    struct milgi_trust *trust = fake_trust(0);
    struct milgi_credential *credential = fake_credential(NULL);
    configs[0] = fake_config(MILGI_CLIENT, NULL);
    configs[1] = fake_config(MILGI_SERVER, NULL);
    assert_int_equal(milgi_config_add_credential(configs[0], credential), 0);
    assert_int_equal(milgi_config_set_trust(configs[1], trust), 0);
    assert_int_equal(milgi_config_set_ask(configs[0], MILGI_DECIDE_PEER), 0);
    assert_int_equal(milgi_config_set_ask(configs[1], MILGI_DECIDE_PEER | MILGI_DECIDE_CREDENTIAL), 0);
    milgi_trust_unref(trust);
    milgi_credential_unref(credential);
    fake_freeze(configs[0]);
    fake_freeze(configs[1]);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    milgi_config_unref(configs[0]);
    milgi_config_unref(configs[1]);
    return 0;
}

static void check_ended(unsigned long at)
{
    /* Whoever has failed says so; with a failure on one side the other gets an alert, or sees the end of its input. */
    for (int i = 0; i < 2; i++) {
        struct pair_side *side = &pair.side[i];
        if (!side->closed)
            (void)milgi_conn_receive_eof(side->conn, 0);
    }
    pair_settle(&pair);
    for (int i = 0; i < 2; i++) {
        if (!pair.side[i].closed)
            fail_msg("side %d does not end when allocation %lu fails", i, at);
        /* Want of memory is no device's fault, and no bug. */
        int error = pair.side[i].reason.error;
        enum milgi_fault fault = pair.side[i].reason.fault;
        bool of_memory = fault == MILGI_FAULT_MEMORY;
        if (fault == MILGI_FAULT_DEVICE || fault == MILGI_FAULT_OURS || (error == MILGI_ENOMEM) != of_memory)
            fail_msg("side %d: %s when allocation %lu fails: %s", i, milgi_error_name(error), at,
                pair.side[i].reason.detail);
    }
}

static void sweep(const char *device, size_t piece, unsigned long n)
{
    fail_n = 0;
    fail_from = 1;
    begin(device, piece);
    live();
    unsigned long all = asked;
    assert_true(client->closed);
    assert_int_equal(client->reason.error, 0);
    assert_int_equal(server->got.len, sizeof data + 3000);
    end();
    assert_true(all > 10);
    for (unsigned long at = 1; at <= all; at++) {
        fail_from = at;
        fail_n = n;
        begin(device, piece);
        live();
        check_ended(at);
        end();
    }
}

static void each_allocation_may_fail_with_inline_devices(void **state)
{
    (void)state;
    sweep(NULL, 0, 1);
    sweep(NULL, 0, 5);
}

static void each_allocation_may_fail_with_a_device_that_is_slow(void **state)
{
    (void)state;
    sweep("sim:latency=10us,units=4,depth=16,order=out,jitter=20us,seed=1", 0, 1);
    sweep("sim:latency=10us,units=4,depth=16,order=out,jitter=20us,seed=1", 0, 20);
}

static void each_allocation_may_fail_with_input_in_crumbs(void **state)
{
    (void)state;
    sweep("sim:latency=10us,depth=16", 700, 1);
    sweep("sim:latency=10us,depth=16", 700, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_may_fail_with_inline_devices),
        cmocka_unit_test(each_allocation_may_fail_with_a_device_that_is_slow),
        cmocka_unit_test(each_allocation_may_fail_with_input_in_crumbs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
