/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is left in memory that somebody else may get: no key, no plaintext of another connection.
 * ctest-wrap: milgi__free milgi__free_wiped milgi__aead_seal milgi__kex_derive milgi__kex_keygen milgi__traffic_keys
 * ctest-wrap: milgi__next_secret milgi__resumption_psk milgi__wipe milgi__alloc milgi__alloc_raw
 * ctest-wrap: milgi__block_give milgi__block_give_wiped
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

#include "base/base.h"
#include "buf/buf.h"
#include "fake_identity.h"
#include "keys/keys.h"
#include "pair.h"

#define SECRETS_MAX 512
#define MARK_LEN 24
#define BLOCKS_MAX 4096
#define COPIES_MAX 64

static struct pair pair;
static struct pair_side *client = &pair.side[MILGI_CLIENT], *server = &pair.side[MILGI_SERVER];

/* --- every block that is freed, or given back to the engine, is looked at ----------------------------------------- */

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
    assert_true(secrets_n < SECRETS_MAX && len >= 12);
    memcpy(secrets[secrets_n].bytes, bytes, len);
    secrets[secrets_n++].len = len;
}

/* What is in use of the heap. */
static uint8_t *blocks[BLOCKS_MAX];
static size_t blocks_n;

static void *remember_block(void *p)
{
    assert_true(blocks_n < BLOCKS_MAX);
    if (p)
        blocks[blocks_n++] = p;
    return p;
}

void *__real_milgi__alloc(size_t size);
void *__wrap_milgi__alloc(size_t size);
void *__wrap_milgi__alloc(size_t size)
{
    return remember_block(__real_milgi__alloc(size));
}

void *__real_milgi__alloc_raw(size_t size);
void *__wrap_milgi__alloc_raw(size_t size);
void *__wrap_milgi__alloc_raw(size_t size)
{
    return remember_block(__real_milgi__alloc_raw(size));
}

static void forget_block(const void *p)
{
    for (size_t i = 0; i < blocks_n; i++) {
        if (blocks[i] == p) {
            blocks[i] = blocks[--blocks_n];
            return;
        }
    }
}

/* Idle chunks are poisoned: who looks into them is not to be told so. */
__attribute__((no_sanitize("address"))) static bool holds(
    const uint8_t *block, size_t size, const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at + len <= size; at++) {
        size_t i = 0;
        while (i < len && block[at + i] == bytes[i])
            i++;
        if (i == len)
            return true;
    }
    return false;
}

/* How many of the secrets from |first| up to |end| lie somewhere in the heap. */
static unsigned lying_about(size_t first, size_t end)
{
    unsigned n = 0;
    for (size_t i = first; i < end; i++) {
        for (size_t k = 0; k < blocks_n; k++)
            n += holds(blocks[k], malloc_usable_size(blocks[k]), secrets[i].bytes, secrets[i].len);
    }
    return n;
}

/* Keys and nonces are made where whoever makes them has to wipe them again, in the stack for the most part. */
static const uint8_t *copy[COPIES_MAX];
static size_t copies_n;

void __real_milgi__wipe(void *p, size_t len);
void __wrap_milgi__wipe(void *p, size_t len);
void __wrap_milgi__wipe(void *p, size_t len)
{
    __real_milgi__wipe(p, len);
    for (size_t i = copies_n; i-- > 0;) {
        if (copy[i] >= (const uint8_t *)p && copy[i] < (const uint8_t *)p + len)
            copy[i] = copy[--copies_n];
    }
}

int __real_milgi__traffic_keys(
    struct milgi__crypto *cx, const struct milgi__suite *suite, const uint8_t *secret, uint8_t *key, uint8_t iv[12]);
int __wrap_milgi__traffic_keys(
    struct milgi__crypto *cx, const struct milgi__suite *suite, const uint8_t *secret, uint8_t *key, uint8_t iv[12]);
int __wrap_milgi__traffic_keys(
    struct milgi__crypto *cx, const struct milgi__suite *suite, const uint8_t *secret, uint8_t *key, uint8_t iv[12])
{
    int rv = __real_milgi__traffic_keys(cx, suite, secret, key, iv);
    learn(key, suite->key_len);
    learn(iv, 12);
    assert_true(copies_n + 2 < COPIES_MAX);
    copy[copies_n++] = key;
    copy[copies_n++] = iv;
    return rv;
}

int __real_milgi__next_secret(struct milgi__crypto *cx, enum milgi__hash hash, uint8_t *secret);
int __wrap_milgi__next_secret(struct milgi__crypto *cx, enum milgi__hash hash, uint8_t *secret);
int __wrap_milgi__next_secret(struct milgi__crypto *cx, enum milgi__hash hash, uint8_t *secret)
{
    learn(secret, MARK_LEN);
    return __real_milgi__next_secret(cx, hash, secret);
}

static size_t resumption; /* which of the secrets */

int __real_milgi__resumption_psk(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret,
    const uint8_t *nonce, size_t nonce_len, uint8_t *psk);
int __wrap_milgi__resumption_psk(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret,
    const uint8_t *nonce, size_t nonce_len, uint8_t *psk);
int __wrap_milgi__resumption_psk(struct milgi__crypto *cx, enum milgi__hash hash, const uint8_t *secret,
    const uint8_t *nonce, size_t nonce_len, uint8_t *psk)
{
    if (resumption == 0)
        resumption = secrets_n;
    learn(secret, MARK_LEN);
    return __real_milgi__resumption_psk(cx, hash, secret, nonce, nonce_len, psk);
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
    forget_block(p);
    __real_milgi__free(p);
}

/* What it wipes, and how much of the block that is. */
void __wrap_milgi__free_wiped(void *p, size_t size);
void __wrap_milgi__free_wiped(void *p, size_t size)
{
    if (p)
        __real_milgi__wipe(p, size);
    __wrap_milgi__free(p);
}

void __real_milgi__block_give(struct milgi__blocks *b, void *p, size_t size);
void __wrap_milgi__block_give(struct milgi__blocks *b, void *p, size_t size);
void __wrap_milgi__block_give(struct milgi__blocks *b, void *p, size_t size)
{
    look_at(p);
    __real_milgi__block_give(b, p, size);
}

void __wrap_milgi__block_give_wiped(struct milgi__blocks *b, void *p, size_t size);
void __wrap_milgi__block_give_wiped(struct milgi__blocks *b, void *p, size_t size)
{
    if (p)
        __real_milgi__wipe(p, size);
    __wrap_milgi__block_give(b, p, size);
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
static size_t exporter; /* which of the secrets */

/* LABEL client_random secret */
static void keylog(void *ctx, struct milgi_conn *conn, const char *line)
{
    uint8_t secret[MARK_LEN];
    const char *hex = strrchr(line, ' ') + 1;
    (void)ctx, (void)conn;
    lines++;
    for (size_t i = 0; i < sizeof secret; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        secret[i] = (uint8_t)byte;
    }
    if (strncmp(line, "EXPORTER_SECRET", 15) == 0 && lines < 10)
        exporter = secrets_n;
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
    copies_n = 0;
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

static void new_keys(unsigned times)
{
    for (unsigned k = 0; k < times; k++) {
        assert_int_equal(milgi_conn_update_keys(client->conn, true), 0);
        pair_settle(&pair);
    }
}

/*= RFC8446 7.2: "implementations SHOULD delete client_/server_application_traffic_secret_N and its associated traffic
 *= keys" */
static void what_a_new_key_replaces_is_nowhere_any_more(void **state)
{
    static const uint8_t data[3000];
    (void)state;
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        begin(devices[i]);
        pair_settle(&pair);
        assert_true(client->established && server->established);
        assert_int_equal(copies_n, 0);
        size_t old = secrets_n;
        assert_true(lying_about(0, old) > 0);
        for (unsigned k = 0; k < 3; k++) {
            assert_int_equal(milgi_conn_write(client->conn, data, sizeof data), 0);
            assert_int_equal(milgi_conn_write(server->conn, data, sizeof data), 0);
            old = secrets_n;
            new_keys(1);
        }
        assert_int_equal(copies_n, 0);
        assert_int_equal(lying_about(0, old), 2); /* both know the exporter secret, */
        assert_int_equal(lying_about(exporter, exporter + 1), 2);
        for (int role = 0; role < 2; role++) {
            milgi_conn_free(pair.side[role].conn);
            pair.side[role].conn = NULL;
        }
        assert_int_equal(lying_about(0, secrets_n), 0); /* until they go */
        pair_fini(&pair);
    }
}

/* Until it is freed, which may be long after, it can be asked what it was; but it has nothing that is secret. */
static void what_a_closed_connection_knew_is_nowhere_any_more(void **state)
{
    (void)state;
    for (unsigned aborted = 0; aborted < 2; aborted++) {
        struct milgi_conn_info info;
        uint8_t out[16];
        begin(NULL);
        pair_settle(&pair);
        assert_int_equal(milgi_conn_export(client->conn, "label", NULL, 0, out, sizeof out), 0);
        if (aborted) {
            assert_int_equal(milgi_conn_abort(client->conn, MILGI_ALERT_INTERNAL_ERROR), 0);
        } else {
            assert_int_equal(milgi_conn_shutdown(client->conn), 0);
            assert_int_equal(milgi_conn_shutdown(server->conn), 0);
        }
        pair_settle(&pair);
        assert_true(client->closed && server->closed);
        assert_int_equal(lying_about(0, secrets_n), 0);
        milgi_conn_info(server->conn, &info);
        assert_string_equal(info.server_name, "server.test");
        assert_int_equal(milgi_conn_export(client->conn, "label", NULL, 0, out, sizeof out), MILGI_ECLOSED);
        pair_fini(&pair);
    }
}

/* Tickets may come as long as there is a connection, but not to one that is closed. */
static void what_tickets_are_made_from_goes_with_the_connection(void **state)
{
    static const uint8_t secret[MILGI_TICKET_SECRET_LEN] = { 1 };
    struct milgi_ticket_keys *keys;
    struct milgi_session_cache *cache;
    (void)state;
    for (unsigned gone = 0; gone < 2; gone++) {
        struct pair_setup setup = { .server_name = "server.test", .wall_s = FAKE_NOW_S };
        secrets_n = frees = leaks = resumption = 0;
        assert_int_equal(milgi_ticket_keys_new(secret, 7200, FAKE_NOW_S, &keys), 0);
        assert_int_equal(milgi_session_cache_new(16, &cache), 0);
        for (int role = 0; role < 2; role++)
            setup.config[role] = fake_config((enum milgi_role)role, NULL);
        assert_int_equal(milgi_config_set_session_cache(setup.config[MILGI_CLIENT], cache), 0);
        assert_int_equal(milgi_config_set_ticket_keys(setup.config[MILGI_SERVER], keys), 0);
        for (int role = 0; role < 2; role++)
            fake_freeze(setup.config[role]);
        pair_init(&pair, &setup);
        pair_settle(&pair);
        assert_int_equal(milgi_session_cache_count(cache), 2);
        new_keys(2);
        assert_true(resumption != 0);
        assert_int_equal(lying_about(resumption, resumption + 1), 1);
        if (gone)
            milgi_conn_free(client->conn);
        else
            assert_int_equal(milgi_conn_abort(client->conn, MILGI_ALERT_INTERNAL_ERROR), 0);
        if (gone)
            client->conn = NULL;
        else
            pair_settle(&pair);
        assert_int_equal(lying_about(resumption, resumption + 1), 0);
        pair_fini(&pair);
        assert_int_equal(leaks, 0);
        for (int role = 0; role < 2; role++)
            milgi_config_unref(setup.config[role]);
        milgi_session_cache_unref(cache);
        milgi_ticket_keys_unref(keys);
    }
}

static unsigned allowed;

static bool fail_behind_allowed(void)
{
    return allowed == 0 || allowed-- == 0;
}

static void no_copy_is_left_of_a_key_that_could_not_be_installed(void **state)
{
    (void)state;
    int rv = MILGI_ECLOSED;
    for (unsigned n = 0; rv != 0; n++) {
        assert_true(n < 20);
        begin(NULL);
        pair_settle(&pair);
        assert_int_equal(copies_n, 0);
        allowed = n;
        milgi__mem_fail = fail_behind_allowed;
        rv = milgi_conn_update_keys(client->conn, false);
        milgi__mem_fail = NULL;
        assert_int_equal(copies_n, 0);
        pair_fini(&pair);
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
/* Neither what a PSK is made from, nor what is kept of it, nor what comes of it. */
static void a_psk_is_wiped_with_its_last_reference(void **state)
{
    static const uint8_t raw[64] = "a secret as long as this one is never kept as it is, but hashed";
    struct milgi__schedule13 s;
    struct milgi__crypto *cx = milgi__crypto_new();
    struct milgi_psk *psk[2];
    struct pair_setup setup = { .seed = 22, .wall_s = FAKE_NOW_S };
    (void)state;
    secrets_n = frees = leaks = lines = 0;
    copies_n = 0;
    learn(raw, sizeof raw);
    assert_int_equal(milgi__schedule13_early(&s, cx, MILGI__SHA256, raw, sizeof raw), 0);
    learn(s.current, 32);
    milgi__crypto_free(cx);
    for (int role = 0; role < 2; role++) {
        bool is_client = role == MILGI_CLIENT; /* a server needs no credential */
        struct milgi_config *c = is_client ? fake_config(MILGI_CLIENT, NULL) : milgi_config_new(MILGI_SERVER);
        struct milgi_psk_source source = { (enum milgi_role)role, MILGI_PSK_SHA256, "who", 3, raw, sizeof raw };
        assert_int_equal(milgi_psk_new(&source, &psk[role]), 0);
        assert_int_equal(milgi_config_add_psk(c, psk[role]), 0);
        assert_int_equal(milgi_config_set_keylog(c, keylog, NULL), 0);
        if (is_client)
            assert_int_equal(milgi_config_set_psk_only(c, true), 0);
        setup.config[role] = fake_freeze(c);
    }
    pair_init(&pair, &setup);
    pair_settle(&pair);
    assert_true(client->established && server->established);
    assert_true(lying_about(0, 2) > 0);
    pair_fini(&pair);
    for (int role = 0; role < 2; role++) {
        milgi_config_unref(setup.config[role]);
        milgi_psk_unref(psk[role]);
    }
    assert_true(frees > 20);
    assert_int_equal(leaks, 0);
    assert_int_equal(lying_about(0, 2), 0);
}

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
        cmocka_unit_test(what_a_new_key_replaces_is_nowhere_any_more),
        cmocka_unit_test(what_a_closed_connection_knew_is_nowhere_any_more),
        cmocka_unit_test(what_tickets_are_made_from_goes_with_the_connection),
        cmocka_unit_test(no_copy_is_left_of_a_key_that_could_not_be_installed),
        cmocka_unit_test(a_handshake_that_fails_leaves_no_key_either),
        cmocka_unit_test(a_psk_is_wiped_with_its_last_reference),
        cmocka_unit_test(what_the_handshake_kept_is_wiped_with_it),
        cmocka_unit_test(another_connection_sees_no_plaintext_of_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
