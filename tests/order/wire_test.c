/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands on the wire: the same in every order, and no nonce twice under one key.
 * ctest-wrap: milgi__aead_seal   ctest-timeout: 120
 */
#include "play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "crypto/aead.h"
#include "fake_identity.h"
#include "record/content.h"

/* --- every seal is remembered ------------------------------------------------------------------------------------- */

#define SEALS_MAX 4096

static struct seal {
    uint8_t key[32], nonce[12];
    uint64_t content; /* of what was sealed: a hash */
} seals[SEALS_MAX];
static unsigned seals_n, again, clashes, keys_n;

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * 0x100000001b3ull;
    return hash;
}

static void remember(const struct seal *seal)
{
    bool new_key = true;
    for (unsigned i = 0; i < seals_n; i++) {
        if (memcmp(seals[i].key, seal->key, sizeof seal->key) != 0)
            continue;
        new_key = false;
        if (memcmp(seals[i].nonce, seal->nonce, sizeof seal->nonce) != 0)
            continue;
        /* The same record sealed again elsewhere is the same bytes; anything else gives the key away. */
        again += seals[i].content == seal->content;
        clashes += seals[i].content != seal->content;
        return;
    }
    keys_n += new_key;
    assert_true(seals_n < SEALS_MAX);
    seals[seals_n++] = *seal;
}

int __real_milgi__aead_seal(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst);
int __wrap_milgi__aead_seal(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst);
int __wrap_milgi__aead_seal(struct milgi__crypto *cx, const struct milgi__aead_key *key, const uint8_t nonce[12],
    const uint8_t *aad, size_t aad_len, const struct milgi__piece *src, size_t src_n, uint8_t type, size_t pad,
    uint8_t *dst)
{
    struct seal seal = { .content = 0xcbf29ce484222325ull };
    memcpy(seal.key, key->raw, MILGI__MIN(key->raw_len, sizeof seal.key));
    memcpy(seal.nonce, nonce, sizeof seal.nonce);
    for (size_t i = 0; i < src_n; i++)
        seal.content = mix(seal.content, src[i].data, src[i].len);
    seal.content = mix(seal.content, aad, aad_len);
    seal.content = mix(mix(seal.content, &type, 1), &pad, sizeof pad);
    remember(&seal);
    return __real_milgi__aead_seal(cx, key, nonce, aad, aad_len, src, src_n, type, pad, dst);
}

static void forget(void)
{
    seals_n = again = clashes = keys_n = 0;
}

/* --- nonces ------------------------------------------------------------------------------------------------------- */

static void no_nonce_is_used_for_two_records_in_any_order_or_after_any_failure(void **state)
{
    unsigned sealed_again = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 600; seed++) {
        struct play play = { .routed = UINT32_MAX, .client_auth = true, .choose = play_random };
        play.random = seed * 0x9e3779b97f4a7c15ull;
        play.rerun = true;
        play.fault = (enum play_fault)(seed % 6);
        play.at = (unsigned)(seed * 7919 % 90);
        play.update_at = (unsigned)(1 + seed % 63);
        forget();
        play_run(&play);
        assert_int_equal(clashes, 0);
        if (play_went_well(&play))
            assert_true(seals_n > 30 && keys_n >= 6); /* handshake and application keys, and one update each way */
        sealed_again += again;
        play_fini(&play);
    }
    assert_true(sealed_again > 0); /* else nothing was re-run */
}

static struct milgi_config *short_lived_keys(enum milgi_role role)
{
    struct milgi_config *config = fake_config(role, NULL);
    assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_REKEY_RECORDS, 8), 0);
    assert_int_equal(milgi_config_set_limit(config, MILGI_LIMIT_RECORD, 64), 0);
    return fake_freeze(config);
}

static void keys_that_are_used_up_make_way_for_others_and_no_nonce_comes_twice(void **state)
{
    static const char *const devices[] = { NULL, "sim:latency=5us,depth=16,jitter=20us,order=out", "chaos:seed=8" };
    static const uint8_t data[2000];
    (void)state;
    for (size_t i = 0; i < MILGI__COUNT(devices); i++) {
        struct pair_setup setup = { .config = { short_lived_keys(MILGI_CLIENT), short_lived_keys(MILGI_SERVER) },
            .device = { devices[i], devices[i] },
            .server_name = "server.test",
            .seed = 1,
            .wall_s = FAKE_NOW_S };
        struct pair pair;
        forget();
        pair_init(&pair, &setup);
        for (unsigned round = 0; round < 10; round++) {
            for (int role = 0; role < 2; role++)
                assert_int_equal(milgi_conn_write(pair.side[role].conn, data, sizeof data), 0);
            pair_settle(&pair);
        }
        for (int role = 0; role < 2; role++) {
            assert_int_equal(pair.side[role].got.len, 10 * sizeof data);
            milgi_config_unref(setup.config[role]);
        }
        assert_int_equal(clashes, 0);
        assert_true(seals_n >= 2 * 10 * sizeof data / 64);
        assert_true(keys_n >= seals_n / 10); /* eight records and the KeyUpdate behind them */
        pair_fini(&pair);
    }
}

/* --- the same bytes ----------------------------------------------------------------------------------------------- */

static unsigned path_from_the_start(struct play *play, unsigned n)
{
    play->pair.keep_wire = true; /* the first op is asked for before the first byte */
    return play_path(play, n);
}

#define WAYS 8

/*
 * When a signature comes early its message shares a record with those before it: that is a flush point at another
 * place, and the only thing that an order may change. With flush points as they were, the bytes are as they were.
 */
static struct pair_bytes ways[2][WAYS];

static bool same_records(const struct pair_bytes *a, const struct pair_bytes *b)
{
    size_t at = 0;
    while (at + 5 <= a->len && at + 5 <= b->len && memcmp(a->p + at, b->p + at, 5) == 0)
        at += 5 + milgi__get16(a->p + at + 3);
    return at == a->len && at == b->len;
}

static void compare(int role, const struct pair_bytes *wire)
{
    unsigned i = 0;
    assert_true(wire->len > 100);
    while (i < WAYS && ways[role][i].len && !same_records(&ways[role][i], wire))
        i++;
    assert_true(i < WAYS);
    if (ways[role][i].len == 0)
        pair_bytes_add(&ways[role][i], wire->p, wire->len);
    assert_memory_equal(wire->p, ways[role][i].p, wire->len);
}

static void a_handshake_is_the_same_bytes_in_every_order(void **state)
{
    (void)state;
    for (unsigned options = 0; options < 4; options++) {
        struct play play = { .routed = PLAY_HANDSHAKE_OPS, .handshake_only = true };
        unsigned runs = 0;
        play.client_auth = options & 1;
        play.retry = options & 2;
        play.choose = path_from_the_start;
        do {
            forget();
            play_run(&play);
            assert_true(play_went_well(&play));
            for (int role = 0; role < 2; role++)
                compare(role, &play.pair.side[role].sent_wire);
            play_fini(&play);
            runs++;
        } while (play_next_path(&play));
        assert_true(runs >= 4);
        for (unsigned i = 0; i < 2 * WAYS; i++)
            free(ways[i / WAYS][i % WAYS].p);
        memset(ways, 0, sizeof ways);
    }
}

/* --- the same bytes of who fails ---------------------------------------------------------------------------------- */

/*
 * What a peer makes of the bytes: how much of which type comes in a row, in plaintext which bytes, and the last record
 * by itself, which is the alert. How the rest is cut into records depends on when ops come back.
 */
struct shape {
    unsigned n;
    struct {
        uint8_t type;
        size_t len;       /* of content */
        uint64_t content; /* a hash, of plaintext */
    } run[16];
    size_t last_len;
};

static struct shape shape_of(const struct pair_bytes *wire)
{
    struct shape s = { .n = 0 };
    for (size_t at = 0; at < wire->len; at += 5 + s.last_len) {
        uint8_t type = wire->p[at];
        bool protected = type == MILGI__DATA;
        s.last_len = milgi__get16(wire->p + at + 3);
        if (s.n == 0 || s.run[s.n - 1].type != type) {
            assert_true(s.n < MILGI__COUNT(s.run));
            s.run[s.n].type = type;
            s.run[s.n].len = 0;
            s.run[s.n++].content = 0xcbf29ce484222325ull;
        }
        s.run[s.n - 1].len += s.last_len - (protected ? 1 + MILGI__TAG : 0);
        if (!protected)
            s.run[s.n - 1].content = mix(s.run[s.n - 1].content, wire->p + at + 5, s.last_len);
    }
    return s;
}

static void same_shape(const struct shape *a, const struct shape *b, enum play_flaw flaw, unsigned routes)
{
    bool same = a->n == b->n && a->last_len == b->last_len;
    for (unsigned i = 0; i < a->n && same; i++)
        same = a->run[i].type == b->run[i].type && a->run[i].len == b->run[i].len &&
            a->run[i].content == b->run[i].content;
    if (!same)
        fail_msg("flaw %d: the wire is another one when ops %#x are elsewhere", (int)flaw, routes);
}

static struct milgi_conn_info info_of(const struct pair_side *side)
{
    struct milgi_conn_info info;
    milgi_conn_info(side->conn, &info);
    return info;
}

/* Every kind of op is inline or elsewhere, apart from the others. */
static void who_fails_puts_the_same_bytes_on_the_wire_wherever_ops_are_done(void **state)
{
    (void)state;
    for (enum play_flaw flaw = PLAY_NO_FLAW + 1; flaw < PLAY_FLAWS; flaw++) {
        struct shape first = { .n = 0 };
        for (unsigned routes = 0; routes < 1u << MILGI_OP_TYPES; routes++) {
            struct play play = { .routed = routes, .handshake_only = true, .client_auth = true, .flaw = flaw };
            play.choose = play_first;
            play.keep_wire = true;
            forget();
            play_run(&play);
            int failing = play.pair.side[0].reason.alert_from_peer || !play.pair.side[0].closed;
            const struct pair_side *side = &play.pair.side[failing];
            assert_true(side->closed);
            assert_int_not_equal(side->reason.error, 0);
            assert_false(side->reason.alert_from_peer);
            assert_int_not_equal(side->reason.alert, MILGI_ALERT_NONE);
            /* The other side has understood the alert. */
            assert_int_equal(pair_other((struct pair_side *)side)->reason.alert, side->reason.alert);
            assert_false(info_of(side).established && failing == MILGI_SERVER);
            struct shape shape = shape_of(&side->sent_wire);
            if (routes == 0)
                first = shape;
            same_shape(&first, &shape, flaw, routes);
            play_fini(&play);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_nonce_is_used_for_two_records_in_any_order_or_after_any_failure),
        cmocka_unit_test(keys_that_are_used_up_make_way_for_others_and_no_nonce_comes_twice),
        cmocka_unit_test(a_handshake_is_the_same_bytes_in_every_order),
        cmocka_unit_test(who_fails_puts_the_same_bytes_on_the_wire_wherever_ops_are_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
