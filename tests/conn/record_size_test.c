/* SPDX-License-Identifier: Apache-2.0 */
/* How long records are at first, and after a silence (MILGI_LIMIT_RECORD_FIRST): by the bytes on the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_identity.h"
#include "pair.h"

#define MUST(call) assert_int_equal(call, 0)
#define SMALL 1350u
#define LONG 16384u
#define SHORT_BYTES 65535u
#define SECOND UINT64_C(1000000000)

static struct pair pair;
static struct pair_side *server = &pair.side[MILGI_SERVER], *client = &pair.side[MILGI_CLIENT];
static size_t seen; /* bytes of the wire that were looked at */

static void begin(uint16_t version, uint64_t first, uint64_t most, uint64_t taken, const char *device)
{
    struct milgi_config *c = fake_config(MILGI_CLIENT, NULL), *s = fake_config(MILGI_SERVER, NULL);
    MUST(milgi_config_set_versions(c, version, version));
    MUST(milgi_config_set_versions(s, version, version));
    MUST(milgi_config_set_limit(s, MILGI_LIMIT_RECORD_FIRST, first));
    MUST(milgi_config_set_limit(s, MILGI_LIMIT_RECORD, most));
    MUST(milgi_config_set_limit(c, MILGI_LIMIT_RECORD_IN, taken));
    struct pair_setup setup = { .config = { fake_freeze(c), fake_freeze(s) },
        .device = { NULL, device },
        .server_name = "server.test",
        .wall_s = FAKE_NOW_S };
    pair_init(&pair, &setup);
    pair.keep_wire = true;
    milgi_config_unref(c);
    milgi_config_unref(s);
    pair_settle(&pair);
    assert_true(server->established && client->established);
    seen = server->sent_wire.len;
}

static size_t next(size_t overhead)
{
    if (seen == server->sent_wire.len)
        return 0;
    const uint8_t *header = server->sent_wire.p + seen;
    size_t len = (size_t)header[3] << 8 | header[4];
    assert_int_equal(header[0], 23);
    seen += 5 + len;
    return len - overhead;
}

/*
 * |len| bytes, |at_once| or in pieces: those of the first 64 KiB are in records of |first| bytes, if |begins|, and the
 * rest in those of |most|; only the last may be shorter.
 */
static void send(uint16_t version, size_t len, bool at_once, bool begins, size_t first, size_t most)
{
    static uint8_t data[200000];
    size_t overhead = version == MILGI_TLS_1_3 ? 17 : 24, got = client->got.len, sum = 0;
    for (size_t at = 0, n; at < len; at += n) {
        n = at_once ? len : len - at < 5000 ? len - at
                                            : 5000;
        assert_true(milgi_conn_write(server->conn, data, n) >= 0);
        if (!at_once)
            pair_run(server, NULL);
    }
    uint64_t until = pair.now_ns + SECOND / 10;
    pair_settle_until(&pair, until);
    assert_int_equal(client->got.len - got, len);
    while (sum < len) {
        size_t is_first = begins && sum < SHORT_BYTES, n = next(overhead);
        size_t limit = is_first ? first : most;
        assert_true(n > 0 && n <= limit);
        if (at_once)
            assert_true(n == limit || sum + n == len || (sum < SHORT_BYTES && sum + n >= SHORT_BYTES));
        sum += n;
    }
    assert_int_equal(next(overhead), 0);
}

static const char *const devices[] = { NULL, "sim:latency=1ms,units=4,depth=8,order=out,jitter=1ms,seed=3" };

static void the_first_are_short_and_then_they_are_long(void **state)
{
    (void)state;
    for (uint16_t version = MILGI_TLS_1_2; version <= MILGI_TLS_1_3; version++) {
        for (unsigned i = 0; i < 4; i++) {
            begin(version, SMALL, LONG, LONG, devices[i & 1]);
            send(version, 190000, i < 2, true, SMALL, LONG);
            pair_fini(&pair);
        }
    }
}

static void after_a_second_of_silence_they_are_short_again(void **state)
{
    (void)state;
    begin(MILGI_TLS_1_3, SMALL, LONG, LONG, NULL);
    send(MILGI_TLS_1_3, 100000, true, true, SMALL, LONG);
    pair_settle_until(&pair, pair.now_ns + SECOND / 2);
    pair.now_ns += SECOND / 2;
    send(MILGI_TLS_1_3, 20000, true, false, SMALL, LONG);
    pair.now_ns += 2 * SECOND;
    send(MILGI_TLS_1_3, 100000, true, true, SMALL, LONG);
    pair_fini(&pair);
}

static void other_limits_hold_too(void **state)
{
    (void)state;
    begin(MILGI_TLS_1_3, SMALL, 4000, LONG, NULL);
    send(MILGI_TLS_1_3, 100000, true, true, SMALL, 4000);
    pair_fini(&pair);
    begin(MILGI_TLS_1_3, SMALL, LONG, 1000, NULL); /* the peer takes no more */
    send(MILGI_TLS_1_3, 100000, true, true, 1000, 1000);
    pair_fini(&pair);
}

static void by_default_they_are_long(void **state)
{
    (void)state;
    begin(MILGI_TLS_1_3, LONG, LONG, LONG, NULL);
    send(MILGI_TLS_1_3, 190000, true, true, LONG, LONG);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_are_short_and_then_they_are_long),
        cmocka_unit_test(after_a_second_of_silence_they_are_short_again),
        cmocka_unit_test(other_limits_hold_too),
        cmocka_unit_test(by_default_they_are_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
