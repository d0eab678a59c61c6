/* SPDX-License-Identifier: Apache-2.0 */
/* A crowd of clients says hello at once: the server's ops fill the lanes of the device batch, and all are answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "device/batch/batch.h"
#include "engine/parts.h"
#include "fake_identity.h"
#include "pair.h"

#define CROWD 64u

static size_t output[CROWD];

static void on_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += iov[i].len;
    *(size_t *)arg += len;
    milgi_conn_output_done(conn, len);
}

static const struct milgi_events events = { .on_output = on_output };

static void receive(struct milgi_conn *conn, const struct pair_bytes *hello)
{
    struct milgi_chunk *chunk = milgi_conn_chunk(conn, (uint32_t)hello->len);
    assert_non_null(chunk);
    memcpy(milgi_chunk_data(chunk), hello->p, hello->len);
    struct milgi_slice slice = { chunk, milgi_chunk_data(chunk), (uint32_t)hello->len };
    assert_int_equal(milgi_conn_receive(conn, slice), 0);
}

/* Of the ops of |n| handshakes: those that went into lanes with others, and those that did not. */
static void crowd_comes(unsigned n, uint64_t *together, uint64_t *alone)
{
    struct milgi_conn *conn[CROWD];
    struct pair pair;
    struct milgi_config *client = fake_freeze(fake_config(MILGI_CLIENT, NULL));
    struct milgi_config *server = fake_freeze(fake_config(MILGI_SERVER, NULL));
    struct pair_setup setup = { .server_name = "server.test" };

    setup.config[MILGI_CLIENT] = client;
    setup.config[MILGI_SERVER] = server;
    setup.device[MILGI_SERVER] = "batch:lanes=libcrypto";
    pair_init(&pair, &setup);
    struct milgi_engine *engine = pair.side[MILGI_SERVER].engine;
    uint64_t deadline_ns;
    (void)pair_run(&pair.side[MILGI_CLIENT], &deadline_ns);
    memset(output, 0, sizeof output);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(milgi_conn_new(engine, server, NULL, &events, &output[i], &conn[i]), 0);
        receive(conn[i], &pair.side[MILGI_CLIENT].wire);
    }
    while (pair_run(&pair.side[MILGI_SERVER], &deadline_ns) == MILGI_RUN_AGAIN)
        ;
    const struct milgi__lanes *lanes = milgi__batch_lanes(engine->dev[1].qp);
    *together = *alone = 0;
    for (unsigned row = 0; row < MILGI__ROWS; row++) {
        *together += lanes->in_lanes[row];
        *alone += lanes->alone[row];
    }
    for (unsigned i = 0; i < n; i++) {
        assert_true(output[i] > 300); /* as far as Finished */
        milgi_conn_free(conn[i]);
    }
    pair_fini(&pair);
    milgi_config_unref(client);
    milgi_config_unref(server);
}

static void a_crowd_fills_the_lanes(void **state)
{
    uint64_t together, alone;

    (void)state;
    crowd_comes(CROWD, &together, &alone);
    assert_int_equal(together + alone, 3 * CROWD); /* a key, a secret, a signature each */
    assert_true(together >= 3 * CROWD * 9 / 10);
}

static void eight_are_enough(void **state)
{
    uint64_t together, alone;

    (void)state;
    crowd_comes(8, &together, &alone);
    assert_int_equal(together, 24);
    assert_int_equal(alone, 0);
}

static void one_alone_is_answered_as_well(void **state)
{
    uint64_t together, alone;

    (void)state;
    crowd_comes(1, &together, &alone);
    assert_int_equal(together, 0);
    assert_int_equal(alone, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crowd_fills_the_lanes),
        cmocka_unit_test(eight_are_enough),
        cmocka_unit_test(one_alone_is_answered_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
