/* SPDX-License-Identifier: Apache-2.0 */
/* Channel bindings: the same at both ends, and when there are any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_identity.h"
#include "pair.h"

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];

struct binding {
    uint8_t p[MILGI_CHANNEL_BINDING_MAX];
    size_t len;
    int rv;
};

static struct binding get(struct pair_side *side, enum milgi_channel_binding kind, size_t room)
{
    struct binding b = { .len = room };
    b.rv = milgi_conn_channel_binding(side->conn, kind, b.p, &b.len);
    return b;
}

#define EXPORTER MILGI_BINDING_EXPORTER
#define END_POINT MILGI_BINDING_SERVER_END_POINT
#define UNIQUE MILGI_BINDING_UNIQUE

static struct binding at_open[2];

static void remember(struct pair_side *side, const char *event)
{
    if (strcmp(event, "established") == 0)
        at_open[side == client ? MILGI_CLIENT : MILGI_SERVER] = get(side, END_POINT, MILGI_CHANNEL_BINDING_MAX);
}

static struct milgi_config *config_of(enum milgi_role role, uint16_t version)
{
    struct milgi_config *c = fake_config(role, NULL);
    assert_int_equal(milgi_config_set_versions(c, version, version), 0);
    return fake_freeze(c);
}

static void begin_with(uint64_t seed, uint16_t version)
{
    struct milgi_config *c = config_of(MILGI_CLIENT, version), *s = config_of(MILGI_SERVER, version);
    struct pair_setup setup = {
        .config = { c, s }, .server_name = "server.test", .seed = seed, .wall_s = FAKE_NOW_S
    };
    pair_init(&pair, &setup);
    client->on_event = server->on_event = remember;
    milgi_config_unref(c);
    milgi_config_unref(s);
}

static void begin(uint64_t seed)
{
    begin_with(seed, MILGI_TLS_1_3);
}

static void both_ends_have_the_same_and_no_other_connection_has(void **state)
{
    (void)state;
    begin(1);
    pair_settle(&pair);
    struct binding a = get(client, EXPORTER, 64), b = get(server, EXPORTER, 64);
    assert_int_equal(a.rv | b.rv, 0);
    assert_int_equal(a.len, 32);
    assert_int_equal(b.len, 32);
    assert_memory_equal(a.p, b.p, 32);
    /*= RFC9266 2: "Label: The ASCII string "EXPORTER-Channel-Binding" with no terminating NUL.  Context value:
     *= Zero-length string.  Length: 32 bytes." */
    uint8_t exported[32];
    assert_int_equal(milgi_conn_export(client->conn, "EXPORTER-Channel-Binding", "", 0, exported, 32), 0);
    assert_memory_equal(a.p, exported, 32);
    struct binding end = at_open[MILGI_CLIENT];
    assert_int_equal(end.rv, 0);
    assert_int_equal(end.len, 32);
    assert_memory_equal(end.p, at_open[MILGI_SERVER].p, 32);
    pair_fini(&pair);
    begin(2);
    pair_settle(&pair);
    b = get(server, EXPORTER, 32);
    assert_int_equal(b.rv, 0);
    assert_memory_not_equal(a.p, b.p, 32);
    /* That of the certificate is the certificate's. */
    assert_memory_equal(end.p, at_open[MILGI_CLIENT].p, 32);
    pair_fini(&pair);
}

static void the_older_one_is_of_the_older_version_alone(void **state)
{
    (void)state;
    begin(1);
    pair_settle(&pair);
    assert_int_equal(get(client, UNIQUE, 64).rv, MILGI_EUNSUPPORTED);
    pair_fini(&pair);
    struct binding before = { .len = 0 };
    for (uint64_t seed = 1; seed < 3; seed++) {
        begin_with(seed, MILGI_TLS_1_2);
        assert_int_equal(get(client, UNIQUE, 64).rv, MILGI_EINVAL);
        pair_settle(&pair);
        struct binding a = get(client, UNIQUE, 12), b = get(server, UNIQUE, 64);
        assert_int_equal(a.rv | b.rv, 0);
        assert_int_equal(a.len, 12);
        assert_int_equal(b.len, 12);
        assert_memory_equal(a.p, b.p, 12);
        assert_memory_not_equal(a.p, before.p, 12);
        assert_int_equal(get(server, UNIQUE, 11).rv, MILGI_EINVAL);
        before = a;
        pair_fini(&pair);
    }
}

static void there_are_none_before_and_none_after_a_connection(void **state)
{
    (void)state;
    begin(1);
    for (int kind = EXPORTER; kind <= END_POINT; kind++) {
        assert_int_equal(get(client, kind, 64).rv, MILGI_EINVAL);
        assert_int_equal(get(server, kind, 64).rv, MILGI_EINVAL);
    }
    pair_settle(&pair);
    assert_int_equal(get(client, EXPORTER, 31).rv, MILGI_EINVAL);
    assert_int_equal(get(server, END_POINT, 31).rv, MILGI_EINVAL);
    assert_int_equal(get(server, (enum milgi_channel_binding)3, 64).rv, MILGI_EINVAL);
    /* A client has its server's certificate no longer; a server has its own. */
    assert_int_equal(get(client, END_POINT, 64).rv, MILGI_EINVAL);
    assert_int_equal(get(server, END_POINT, 64).rv, 0);
    milgi_conn_abort(client->conn, MILGI_ALERT_INTERNAL_ERROR);
    pair_settle(&pair);
    assert_int_equal(get(client, EXPORTER, 64).rv, MILGI_ECLOSED);
    assert_int_equal(get(server, END_POINT, 64).rv, MILGI_ECLOSED);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_have_the_same_and_no_other_connection_has),
        cmocka_unit_test(the_older_one_is_of_the_older_version_alone),
        cmocka_unit_test(there_are_none_before_and_none_after_a_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
