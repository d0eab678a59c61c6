/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is lent (milgi_chunk_lend()): received and sent without a copy, given back once, and never with what was
 * opened in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_identity.h"
#include "pair.h"

#define LEN 1400u
#define ROOM 2048u
#define PIECES 64u

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];

/* Memory that is lent once; freed where it is given back, so that sanitizers see who touches it later. */
static unsigned out;
static const uint8_t *unchanged; /* what has to be in it then; NULL: anything but |mark| */
static uint8_t mark[LEN];

static void give_back(void *arg)
{
    uint8_t *memory = arg;
    if (unchanged)
        assert_memory_equal(memory, unchanged, ROOM);
    for (size_t i = 0; !unchanged && i + 16 < ROOM; i++)
        assert_memory_not_equal(memory + i, mark + 100, 16);
    out--;
    free(memory);
}

static void begin(const char *device)
{
    struct milgi_config *config[2] = { fake_freeze(fake_config(MILGI_CLIENT, NULL)),
        fake_freeze(fake_config(MILGI_SERVER, NULL)) };
    struct pair_setup setup = { .config = { config[0], config[1] },
        .device = { device, device },
        .server_name = "server.test",
        .seed = 47,
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    milgi_config_unref(config[0]);
    milgi_config_unref(config[1]);
    for (size_t i = 0; i < sizeof mark; i++)
        mark[i] = (uint8_t)(i * 7 + (i >> 8) + 1);
    out = 0;
    pair_settle(&pair);
    assert_true(client->established && server->established);
}

static struct milgi_slice lend(struct pair_side *side, const uint8_t *data, size_t len)
{
    uint8_t *memory = malloc(ROOM);
    assert_non_null(memory);
    memset(memory, 0xee, ROOM);
    memcpy(memory, data, len);
    struct milgi_chunk *chunk = milgi_chunk_lend(side->engine, memory, ROOM, give_back, memory);
    assert_non_null(chunk);
    out++;
    return (struct milgi_slice){ chunk, memory, (uint32_t)len };
}

/* What the client has put out comes to the server in lent memory, up to LEN bytes in each. */
static void carry_lent(void)
{
    enum milgi_next next;
    do {
        next = pair_run(client, &(uint64_t){ 0 });
        while (client->wire.len) {
            size_t len = client->wire.len < LEN ? client->wire.len : LEN;
            (void)milgi_conn_receive(server->conn, lend(server, client->wire.p, len));
            pair_bytes_drop(&client->wire, len);
        }
        (void)pair_run(server, &(uint64_t){ 0 });
    } while (next == MILGI_RUN_AGAIN);
    pair_settle(&pair);
}

static void check_received(const char *device)
{
    unchanged = NULL;
    begin(device);
    for (unsigned i = 0; i < PIECES; i++) {
        assert_true(milgi_conn_write(client->conn, mark, sizeof mark) >= 0);
        carry_lent();
    }
    assert_int_equal(server->got.len, PIECES * sizeof mark);
    for (unsigned i = 0; i < PIECES; i++)
        assert_memory_equal(server->got.p + i * sizeof mark, mark, sizeof mark);
    pair_fini(&pair);
    assert_int_equal(out, 0);
}

static void what_is_received_in_lent_memory_goes_back_without_its_plaintext(void **state)
{
    (void)state;
    check_received(NULL);
    check_received("sim:latency=10us,depth=16");
}

static void check_sent(const char *device)
{
    uint8_t before[ROOM];
    memset(before, 0xee, sizeof before);
    begin(device);
    memcpy(before, mark, sizeof mark);
    unchanged = before;
    struct milgi_slice slice = lend(client, mark, LEN);
    for (unsigned i = 0; i < 3; i++) {
        milgi_chunk_ref(slice.chunk);
        assert_true(milgi_conn_send(client->conn, slice) >= 0);
    }
    pair_settle(&pair);
    assert_int_equal(server->got.len, 3 * LEN);
    assert_int_equal(out, 1);
    milgi_chunk_unref(slice.chunk);
    assert_int_equal(out, 0);
    pair_fini(&pair);
}

static void what_is_lent_to_be_sent_is_only_read(void **state)
{
    (void)state;
    check_sent(NULL);
    check_sent("sim:latency=10us,depth=16");
}

static void memory_that_is_inside_when_a_connection_ends_comes_back(void **state)
{
    (void)state;
    static const uint8_t zeros[600], part[900] = { 23, 3, 3, 4, 0 }; /* of a record of 1024 bytes */
    unchanged = NULL;
    begin("sim:latency=10us,depth=16");
    assert_int_equal(milgi_conn_receive(server->conn, lend(server, part, sizeof part)), 0);
    (void)pair_run(server, &(uint64_t){ 0 });
    assert_true(milgi_conn_send(server->conn, lend(server, zeros, sizeof zeros)) >= 0);
    (void)pair_run(server, &(uint64_t){ 0 }); /* an op has it */
    assert_int_equal(out, 2);
    milgi_conn_free(server->conn);
    server->conn = NULL;
    pair_settle(&pair);
    assert_int_equal(out, 0);
    pair_fini(&pair);
}

static void only_what_makes_sense_is_lent(void **state)
{
    (void)state;
    static uint8_t memory[ROOM];
    begin(NULL);
    assert_null(milgi_chunk_lend(client->engine, memory, 0, give_back, memory));
    assert_null(milgi_chunk_lend(client->engine, memory, MILGI_CHUNK_MAX + 1, give_back, memory));
    assert_null(milgi_chunk_lend(client->engine, NULL, ROOM, give_back, memory));
    assert_null(milgi_chunk_lend(client->engine, memory, ROOM, NULL, memory));
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_received_in_lent_memory_goes_back_without_its_plaintext),
        cmocka_unit_test(what_is_lent_to_be_sent_is_only_read),
        cmocka_unit_test(memory_that_is_inside_when_a_connection_ends_comes_back),
        cmocka_unit_test(only_what_makes_sense_is_lent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
