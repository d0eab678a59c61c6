/* SPDX-License-Identifier: Apache-2.0 */
/* What a server holds for a handshake whose signature a slow device has: thousands of them may wait at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "configs.h"
#include "heap.h"
#include "pair.h"

#define FIRST 64u
#define MORE 128u
#define ALL (FIRST + MORE)
#define PARKED_MAX 5632 /* bytes: connection, handshake, op, what malloc adds */

static struct pair pair;
static struct milgi_config *configs[2];
static struct milgi_conn *client[ALL], *server[ALL];
static struct pair_bytes hello[ALL], answer[ALL];

static void keep(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    for (size_t i = 0; i < iov_n; i++) {
        pair_bytes_add(arg, iov[i].data, iov[i].len);
        milgi_conn_output_done(conn, iov[i].len);
    }
}

static const struct milgi_events events = { .on_output = keep };

static void say(unsigned i, struct milgi_conn *to, const struct pair_bytes *bytes)
{
    struct milgi_chunk *chunk = milgi_conn_chunk(to, bytes->len);
    assert_non_null(chunk);
    memcpy(milgi_chunk_data(chunk), bytes->p, bytes->len);
    struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), (uint32_t)bytes->len };
    if (milgi_conn_receive(to, slice) < 0)
        fail_msg("connection %u takes nothing", i);
}

static void run(enum milgi_role role)
{
    struct milgi_run_result result;
    do
        assert_int_equal(milgi_engine_run(pair.side[role].engine, 0, &result), 0);
    while (result.next == MILGI_RUN_AGAIN);
}

/* Until its signature is with the device. */
static void park(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        assert_int_equal(milgi_conn_new(pair.side[MILGI_SERVER].engine, configs[MILGI_SERVER], NULL, &events,
                             &answer[i], &server[i]),
            0);
        say(i, server[i], &hello[i]);
        run(MILGI_SERVER);
        assert_true(answer[i].len > 500); /* up to its Certificate */
    }
}

static void route_signatures(const char *spec)
{
    struct pair_side *side = &pair.side[MILGI_SERVER];
    const char *why = "";
    assert_int_equal(milgi_device_new(spec, &side->device[side->devices_n], &why), 0);
    int index = milgi_engine_add_device(side->engine, side->device[side->devices_n++]);
    assert_true(index > 0);
    assert_int_equal(milgi_engine_route(side->engine, MILGI_OP_BIT(MILGI_OP_SIGN), (unsigned)index, 0), 0);
}

static void set_up(uint16_t suite, struct milgi_engine_options *options)
{
    struct identity *root = identity_root(IDENTITY_P256, "Root");
    struct identity *leaf = identity_leaf(root, IDENTITY_P256, "DNS:server.test");
    configs[MILGI_CLIENT] = configs_begin(MILGI_CLIENT, NULL, root);
    assert_int_equal(milgi_config_set_suites(configs[MILGI_CLIENT], &suite, 1), 0);
    configs_freeze(configs[MILGI_CLIENT]);
    configs[MILGI_SERVER] = configs_freeze(configs_begin(MILGI_SERVER, leaf, NULL));
    milgi_engine_options_init(options);
    options->outstanding_ns = UINT64_MAX / 4;
    struct pair_setup setup = {
        .config = { configs[0], configs[1] }, .server_name = "server.test", .seed = 5, .options = options
    };
    pair_init(&pair, &setup);
    pair_settle(&pair);
    assert_true(pair.side[0].established && pair.side[1].established);
    route_signatures("sim:latency=1000s,units=65536,depth=65536");
    identity_free(leaf);
    identity_free(root);
    for (unsigned i = 0; i < ALL; i++) {
        hello[i] = answer[i] = (struct pair_bytes){ 0 };
        pair_bytes_add(&answer[i], hello, 4096); /* so that it need not grow while we count */
        pair_bytes_drop(&answer[i], 4096);
        assert_int_equal(milgi_conn_new(pair.side[MILGI_CLIENT].engine, configs[MILGI_CLIENT], "server.test", &events,
                             &hello[i], &client[i]),
            0);
        run(MILGI_CLIENT);
    }
}

static void tear_down(void)
{
    for (unsigned i = 0; i < ALL; i++) {
        milgi_conn_free(client[i]);
        milgi_conn_free(server[i]);
        free(hello[i].p);
        free(answer[i].p);
    }
    milgi_config_unref(configs[0]);
    milgi_config_unref(configs[1]);
    pair_fini(&pair);
}

static void parked_with(uint16_t suite)
{
    struct milgi_engine_options options;
    struct milgi_engine_stats stats;
    set_up(suite, &options);
    park(0, FIRST); /* the engine's tables and chunks are made */
    size_t before = heap_used();
    park(FIRST, ALL);
    size_t each = (heap_used() - before) / MORE;
    milgi_engine_stats(pair.side[MILGI_SERVER].engine, &stats);
    assert_int_equal(stats.ops_alive, ALL);
    assert_int_equal(stats.memory, 0); /* no chunk */
    print_message("%zu bytes each\n", each);
    assert_true(each < PARKED_MAX);
    tear_down();
}

static void a_handshake_that_waits_for_its_signature_holds_little(void **state)
{
    (void)state;
    parked_with(MILGI_SUITE_AES_128_GCM_SHA256);
}

static void so_it_does_with_the_longer_hash(void **state)
{
    (void)state;
    parked_with(MILGI_SUITE_AES_256_GCM_SHA384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_that_waits_for_its_signature_holds_little),
        cmocka_unit_test(so_it_does_with_the_longer_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
