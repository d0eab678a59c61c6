/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left in memory that somebody else may get: no key, no plaintext of another connection.
 * ctest-wrap: milgi__free milgi__free_wiped milgi__aead_seal milgi__kex_derive milgi__kex_keygen
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf/buf.h"
#include "fake_identity.h"
#include "pair.h"

#define SECRETS_MAX 256
#define MARK_LEN 24

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];

/* --- every block that is freed is looked at ----------------------------------------------------------------------- */

static struct secret {
    uint8_t bytes[MARK_LEN]; /* its beginning */
    size_t len;
} secrets[SECRETS_MAX];
static size_t secrets_n, frees, leaks;

static void learn(const uint8_t *bytes, size_t len)
{
    len = len < MARK_LEN ? len : MARK_LEN;
    for (size_t i = 0; i < secrets_n; i++) {
        if (memcmp(secrets[i].bytes, bytes, len) == 0)
            return;
    }
    assert_true(secrets_n < SECRETS_MAX && len >= 16);
    memcpy(secrets[secrets_n].bytes, bytes, len);
    secrets[secrets_n++].len = len;
}

static void look_at(const void *p)
{
    if (!p)
        return;
    frees++;
    size_t size = malloc_usable_size((void *)(uintptr_t)p);
    for (size_t i = 0; i < secrets_n; i++)
        leaks += memmem(p, size, secrets[i].bytes, secrets[i].len) != NULL;
}

void __real_milgi__free(void *p);
void __wrap_milgi__free(void *p);
void __wrap_milgi__free(void *p)
{
    look_at(p);
    __real_milgi__free(p);
}

/* What it wipes, and how much of the block that is. */
void __wrap_milgi__free_wiped(void *p, size_t size);
void __wrap_milgi__free_wiped(void *p, size_t size)
{
    if (p)
        milgi__wipe(p, size);
    __wrap_milgi__free(p);
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
    learn(key->raw, key->raw_len);
    return __real_milgi__aead_seal(cx, key, nonce, aad, aad_len, src, src_n, type, pad, dst);
}

int __real_milgi__kex_derive(struct milgi__crypto *cx, uint16_t group, const uint8_t *secret, size_t secret_len,
    const uint8_t *peer, size_t peer_len, uint8_t *shared, size_t *shared_len);
int __wrap_milgi__kex_derive(struct milgi__crypto *cx, uint16_t group, const uint8_t *secret, size_t secret_len,
    const uint8_t *peer, size_t peer_len, uint8_t *shared, size_t *shared_len);
int __wrap_milgi__kex_derive(struct milgi__crypto *cx, uint16_t group, const uint8_t *secret, size_t secret_len,
    const uint8_t *peer, size_t peer_len, uint8_t *shared, size_t *shared_len)
{
    int rv = __real_milgi__kex_derive(cx, group, secret, secret_len, peer, peer_len, shared, shared_len);
    if (rv == 0)
        learn(shared, *shared_len);
    return rv;
}

int __real_milgi__kex_keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t *seed, size_t seed_len,
    uint8_t *secret, size_t *secret_len, uint8_t *pub, size_t *pub_len);
int __wrap_milgi__kex_keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t *seed, size_t seed_len,
    uint8_t *secret, size_t *secret_len, uint8_t *pub, size_t *pub_len);
int __wrap_milgi__kex_keygen(struct milgi__crypto *cx, uint16_t group, const uint8_t *seed, size_t seed_len,
    uint8_t *secret, size_t *secret_len, uint8_t *pub, size_t *pub_len)
{
    int rv = __real_milgi__kex_keygen(cx, group, seed, seed_len, secret, secret_len, pub, pub_len);
    learn(seed, seed_len);
    if (rv == 0)
        learn(secret, *secret_len);
    return rv;
}

static unsigned lines;

/* LABEL client_random secret */
static void keylog(void *ctx, const char *line)
{
    uint8_t secret[MARK_LEN];
    const char *hex = strrchr(line, ' ') + 1;
    (void)ctx;
    lines++;
    for (size_t i = 0; i < sizeof secret; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        secret[i] = (uint8_t)byte;
    }
    learn(secret, sizeof secret);
}

/* --- plays -------------------------------------------------------------------------------------------------------- */

static struct milgi_config *config(enum milgi_role role)
{
    struct milgi_config *c = fake_config(role, NULL);
    assert_int_equal(milgi_config_set_keylog(c, keylog, NULL), 0);
    return fake_freeze(c);
}

static void begin(const char *device)
{
    struct pair_setup setup = { .config = { config(MILGI_CLIENT), config(MILGI_SERVER) },
        .device = { device, device },
        .server_name = "server.test",
        .seed = 21,
        .wall_s = FAKE_NOW_S };
    secrets_n = frees = leaks = lines = 0;
    pair_init(&pair, &setup);
    milgi_config_unref(setup.config[0]);
    milgi_config_unref(setup.config[1]);
}

static const char *const devices[] = { NULL, "sim:latency=10us,depth=8", "chaos:seed=3" };

static void no_block_is_freed_with_a_key_in_it(void **state)
{
    static const uint8_t data[3000];
    (void)state;
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        begin(devices[i]);
        pair_settle(&pair);
        assert_true(client->established && server->established);
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal(milgi_conn_update_keys(client->conn, true), 0);
            assert_int_equal(milgi_conn_write(client->conn, data, sizeof data), 0);
            assert_int_equal(milgi_conn_write(server->conn, data, sizeof data), 0);
            pair_settle(&pair);
        }
        assert_int_equal(lines, 10);
        assert_true(secrets_n >= 16);
        pair_fini(&pair);
        assert_true(frees > 20);
        assert_int_equal(leaks, 0);
    }
}

static void a_handshake_that_fails_leaves_no_key_either(void **state)
{
    (void)state;
    for (size_t bytes = 100; bytes <= 1000; bytes += 100) {
        begin(NULL);
        pair_run(client, NULL);
        pair_carry(client, 0);
        pair_run(server, NULL);
        pair_carry(server, bytes); /* and no more: given up in the middle */
        pair_run(client, NULL);
        assert_true(lines > 0);
        pair_fini(&pair);
        assert_int_equal(leaks, 0);
    }
}

/* Who talks to whom is nobody's business either: the peer's certificate is wiped with the handshake that it came in. */
static void learn_chain(struct pair_side *side, const char *event)
{
    struct milgi_conn_info info;
    milgi_conn_info(side->conn, &info);
    if (strcmp(event, "established") == 0)
        learn(info.peer_chain[0].data, info.peer_chain[0].len);
}

static void what_the_handshake_kept_is_wiped_with_it(void **state)
{
    (void)state;
    begin(NULL);
    client->on_event = learn_chain;
    pair_settle(&pair);
    assert_true(client->established);
    size_t with_chain = secrets_n;
    assert_int_equal(leaks, 0);
    pair_fini(&pair);
    assert_true(with_chain > 5);
}

/* --- plaintext ---------------------------------------------------------------------------------------------------- */

static const uint8_t mark[MARK_LEN] = "the plaintext of one onl";

static bool has_mark(const struct milgi_chunk *chunk)
{
    return memmem(chunk->data, chunk->size, mark, sizeof mark) != NULL;
}

static uint8_t marks[40 * 1024];

/* One of the ways in which data comes and goes. */
static void pass_marks(struct pair_side *side, unsigned way)
{
    struct milgi_chunk *chunk;
    for (size_t at = 0; at + sizeof mark <= sizeof marks; at += sizeof mark)
        memcpy(marks + at, mark, sizeof mark);
    switch (way) {
    case 0: /* a whole chunk, which leaves no room to be sealed in place */
        chunk = milgi_conn_chunk(side->conn, 16384);
        assert_non_null(chunk);
        memset(milgi_chunk_data(chunk), 0, milgi_chunk_size(chunk));
        memcpy(milgi_chunk_data(chunk), marks, 16384);
        assert_int_equal(milgi_conn_send(side->conn, (struct milgi_slice){ chunk, milgi_chunk_data(chunk), 16384 }), 0);
        break;
    case 1:
        assert_int_equal(milgi_conn_write(side->conn, marks, sizeof marks), 0);
        break;
    case 2:
        assert_int_equal(milgi_conn_write(pair_other(side)->conn, marks, sizeof marks), 0);
        break;
    default:
        assert_int_equal(milgi_conn_write(pair_other(side)->conn, marks, 100), 0);
        break;
    }
    pair_settle_until(&pair, pair.now_ns + 3000000); /* not so long that the pool frees what nobody needs */
}

#define WAYS 4

/* All chunks of every size that the pool has lying about, and some more. */
static void nobody_finds_a_mark(struct milgi_engine *engine, struct milgi_conn *conn)
{
    struct milgi_chunk *held[128];
    unsigned n = 0, marked = 0;
    for (size_t size = 256; size <= MILGI_CHUNK_MAX; size *= 2) {
        for (unsigned i = 0; i < 12; i++) {
            held[n] = conn ? milgi_conn_chunk(conn, size) : milgi_chunk_new(engine, size);
            assert_non_null(held[n]);
            marked += has_mark(held[n]);
            n++;
        }
    }
    while (n > 0)
        milgi_chunk_unref(held[--n]);
    assert_int_equal(marked, 0);
}

static void drop_output(struct milgi_conn *conn, void *arg, const struct milgi_iov *iov, size_t iov_n)
{
    (void)arg;
    for (size_t i = 0; i < iov_n; i++)
        milgi_conn_output_done(conn, iov[i].len);
}

static void another_connection_sees_no_plaintext_of_the_one_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        for (int role = 0; role < 2; role++) {
            static const struct milgi_events none = { .on_output = drop_output };
            struct milgi_config *c = config((enum milgi_role)role);
            struct milgi_conn *second;
            begin(devices[i]);
            struct pair_side *side = &pair.side[role];
            pair_settle(&pair);
            assert_int_equal(milgi_conn_new(side->engine, c, "server.test", &none, NULL, &second), 0);
            for (unsigned way = 0; way < 2 * WAYS; way++) {
                pass_marks(side, way % WAYS);
                nobody_finds_a_mark(side->engine, way < WAYS ? second : NULL);
            }
            assert_true(side->got.len > sizeof marks);
            milgi_conn_free(side->conn);
            side->conn = NULL;
            nobody_finds_a_mark(side->engine, second);
            milgi_conn_free(second);
            pair_fini(&pair);
            milgi_config_unref(c);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_block_is_freed_with_a_key_in_it),
        cmocka_unit_test(a_handshake_that_fails_leaves_no_key_either),
        cmocka_unit_test(what_the_handshake_kept_is_wiped_with_it),
        cmocka_unit_test(another_connection_sees_no_plaintext_of_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
