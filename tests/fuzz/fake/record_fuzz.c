/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record parser: any bytes in any pieces, before and after keys are there, with records opened ahead and key
 * changes in between. The second byte says how; records that are really sealed are mixed in, so that opening gets
 * somewhere.
 */
#include <stdlib.h>
#include <string.h>

#include "record/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct milgi__crypto *cx;
static struct milgi_op *held[64];
static unsigned held_n;
static bool go_inline;

static struct milgi_op *op_new(void *ctx, bool reserve)
{
    (void)ctx;
    (void)reserve;
    static uint32_t id;
    struct milgi_op *op = calloc(1, sizeof *op);
    if (op)
        op->e.id = ++id;
    return op;
}

static bool route_inline(void *ctx, int op_type, uint32_t size)
{
    (void)ctx;
    (void)op_type;
    (void)size;
    return go_inline;
}

static void key_release(void *ctx, struct milgi_key *key)
{
    (void)ctx;
    if (--key->refs == 0)
        free(key);
}

static struct milgi_key *key_new(uint8_t with)
{
    static uint64_t serial;
    struct milgi_key *key = calloc(1, sizeof *key);
    if (!key)
        abort();
    key->refs = 1;
    key->serial = ++serial;
    key->alg = MILGI_SUITE_AES_128_GCM_SHA256;
    key->raw_len = 16;
    memset(key->raw, with, 16);
    return key;
}

static void finish(struct milgi__record *r, struct milgi_op *op, bool out)
{
    milgi__op_perform(cx, op, NULL);
    if (out)
        milgi__record_sealed(r, op);
    else
        milgi__record_opened(r, op);
    struct milgi_key *key = op->key;
    milgi__op_clear(op);
    free(op);
    key_release(NULL, key);
}

static void finish_all(struct milgi__record *r)
{
    while (held_n) {
        unsigned i = held_n / 2;
        struct milgi_op *op = held[i];
        held[i] = held[--held_n];
        finish(r, op, false);
    }
}

/* Opens and pops as much as there is; false: the connection would have ended. */
static bool pump(struct milgi__record *r)
{
    for (unsigned guard = 0; guard < 100000; guard++) {
        struct milgi__message m;
        struct milgi_op *op = NULL;
        struct milgi__failure failure;
        enum milgi__pop pop = milgi__record_pop(r, &m, &failure);
        if (pop == MILGI__POP_MESSAGE) {
            for (unsigned i = 0; i < m.slices_n; i++)
                milgi_chunk_unref(m.slice[i].chunk);
            continue;
        }
        if (pop != MILGI__POP_NONE)
            return false;
        enum milgi__start start = milgi__record_open(r, &op, &failure);
        if (start == MILGI__START_OP && !go_inline && held_n < 64)
            held[held_n++] = op;
        else if (start == MILGI__START_OP)
            finish(r, op, false);
        else if (start != MILGI__START_READY && held_n)
            finish_all(r);
        else if (start != MILGI__START_READY)
            return start != MILGI__START_FAILED;
    }
    abort();
}

/* A record that opens under the present key. */
static void feed_sealed(struct milgi__record *to, struct milgi__record *from, struct milgi__pool *pool,
    const uint8_t *p, size_t n)
{
    struct milgi_op *op = NULL;
    struct milgi_slice slice;
    (void)pool;
    if (n == 0 || milgi__record_write(from, MILGI__DATA, p, n, false) != 0)
        return;
    while (milgi__record_seal(from, &op) == MILGI__START_OP)
        finish(from, op, true);
    while (milgi__record_take(from, &slice))
        (void)milgi__record_feed(to, slice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t iv[12] = { 1, 2, 3 };
    if (size < 3)
        return 0;
    if (!cx)
        cx = milgi__crypto_new();
    struct milgi__pool_options options = { .limit = 8 << 20 };
    struct milgi__pool *pool = milgi__pool_new(&options);
    static const struct milgi__record_calls calls = {
        .op_new = op_new, .route_inline = route_inline, .key_release = key_release
    };
    struct milgi__record_env env = { .pool = pool, .owner = 1, .calls = &calls };
    struct milgi__record in, out;
    go_inline = data[0] & 1;
    milgi__record_init(&in, &env, 8, 16384);
    milgi__record_init(&out, &env, 8, 16384);
    size_t piece = 1 + data[1];
    bool alive = true;
    if (data[0] & 2)
        milgi__record_speculate(&in);
    for (size_t at = 2; at < size && alive;) {
        size_t n = size - at < piece ? size - at : piece;
        if (data[at] == 0xfe) {
            milgi__record_install_read(&in, &milgi__format_tls13, key_new((uint8_t)n), iv);
            (void)milgi__record_install_write(&out, &milgi__format_tls13, key_new((uint8_t)n), iv);
        } else if (data[at] == 0xff && out.out.key) {
            feed_sealed(&in, &out, pool, data + at, n);
        } else {
            struct milgi_chunk *chunk = milgi__chunk_alloc(pool, n, 1, false);
            if (!chunk)
                break;
            memcpy(chunk->data, data + at, n);
            (void)milgi__record_feed(&in, (struct milgi_slice){ chunk, chunk->data, (uint32_t)n });
        }
        at += n;
        alive = pump(&in);
    }
    finish_all(&in);
    milgi__record_fini(&in);
    milgi__record_fini(&out);
    if (milgi__pool_used(pool) != 0)
        abort();
    milgi__pool_close(pool);
    return 0;
}
