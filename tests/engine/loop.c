/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/parts.h"
#include "fake_identity.h"

#define RECORD_MAX 16384u
#define RUNS_MAX 200000u /* that may go by without anything done */

/* --- clients ------------------------------------------------------------------------------------------------------ */

static struct loop_client *client_of(struct milgi__owner *owner)
{
    return MILGI__ENTRY(owner, struct loop_client, owner);
}

static uint64_t client_turn(struct milgi__owner *owner, uint64_t budget_ns, bool *more)
{
    struct loop_client *c = client_of(owner);
    (void)budget_ns;
    *more = false;
    if (c->on_turn)
        c->on_turn(c);
    return 1000;
}

static void client_done(struct milgi__owner *owner, struct milgi_op *op)
{
    struct loop_client *c = client_of(owner);
    uint64_t took_ns = c->loop->now_ns - c->at_ns[op->e.slot];
    c->done++;
    c->loop->done++;
    c->status[op->status]++;
    c->done_type[op->type]++;
    if (op->status == MILGI_OP_BROKEN || op->status == MILGI_OP_LOST)
        c->code = op->device_code;
    c->device_ns += op->service_ns;
    if (c->bound_ns[op->e.slot])
        c->worst_ns = MILGI__MAX(c->worst_ns, took_ns);
    if (c->bound_ns[op->e.slot])
        c->worst_part = MILGI__MAX(c->worst_part, (double)took_ns / (double)c->bound_ns[op->e.slot]);
    c->bound_ns[op->e.slot] = 0;
    if (c->on_done)
        c->on_done(c, op);
}

static void client_nothing(struct milgi__owner *owner)
{
    (void)owner;
}

static void client_drop(struct milgi__owner *owner)
{
    milgi__engine_detach(client_of(owner)->loop->engine, owner);
}

static const struct milgi__owner_ops client_ops = { client_turn, client_done, client_nothing, client_nothing,
    client_nothing, client_drop };

void loop_attach(struct loop *loop, struct loop_client *client)
{
    memset(client, 0, sizeof *client);
    client->owner.ops = &client_ops;
    client->loop = loop;
    assert_int_equal(milgi__engine_attach(loop->engine, &client->owner), 0);
}

void loop_detach(struct loop_client *client)
{
    milgi__engine_detach(client->loop->engine, &client->owner);
}

static struct milgi_op *begin(struct loop_client *client, enum milgi_op_type type, uint16_t alg)
{
    struct milgi_op *op = milgi__engine_op_new(client->loop->engine, false);
    if (!op)
        return NULL;
    assert_true(client->given - client->done < LOOP_OPS);
    op->type = (uint8_t)type;
    op->cls = type <= MILGI_OP_OPEN ? MILGI_OP_CLASS_RECORDS : MILGI_OP_CLASS_HANDSHAKE;
    op->alg = alg;
    op->flags |= MILGI__OP_RERUN;
    return op;
}

static int submit(struct loop_client *client, struct milgi_op *op)
{
    uint32_t slot = client->given++ % LOOP_OPS;
    client->at_ns[slot] = client->loop->now_ns;
    milgi__engine_submit(client->loop->engine, &client->owner, op, slot);
    return (int)slot;
}

int loop_seal(struct loop_client *client, uint32_t len)
{
    struct loop *loop = client->loop;
    struct milgi_op *op = begin(client, MILGI_OP_SEAL, loop->aead->alg);
    if (!op)
        return -1;
    op->key = milgi__key_ref(loop->aead);
    op->u.aead = (struct milgi_op_aead){ .aad_len = 5, .src_n = 1, .inner_type = 23, .dst_len = len + 17 };
    op->u.aead.src[0] = (struct milgi_slice){ milgi_chunk_ref(loop->src), loop->src->data, len };
    op->u.aead.dst_chunk = milgi_chunk_ref(loop->dst);
    op->u.aead.dst = loop->dst->data;
    return submit(client, op);
}

int loop_sign(struct loop_client *client, struct milgi_key *key)
{
    struct milgi_op *op = begin(client, MILGI_OP_SIGN, MILGI_SIG_RSA_PSS_RSAE_SHA256);
    if (!op)
        return -1;
    op->key = milgi__key_ref(key);
    op->u.sign.input_len = 32;
    memset(op->u.sign.input, 5, 32);
    return submit(client, op);
}

int loop_keygen(struct loop_client *client)
{
    struct milgi_op *op = begin(client, MILGI_OP_KEYGEN, MILGI_GROUP_X25519);
    if (!op)
        return -1;
    memset(&op->u.kex, 0, sizeof op->u.kex);
    struct milgi_chunk *chunk = milgi__chunk_alloc(milgi__engine_pool(client->loop->engine), 128, 0, true);
    if (!chunk) {
        milgi__engine_op_free(client->loop->engine, op);
        return -1;
    }
    op->u.kex.share = (struct milgi_slice){ chunk, chunk->data, 128 };
    op->u.kex.seed_len = 32;
    memset(op->u.kex.seed, 7, 32);
    return submit(client, op);
}

unsigned loop_waiting(const struct loop_client *client)
{
    unsigned n = 0;
    for (const struct milgi__flow *flow = client->owner.flows; flow; flow = flow->next)
        n += flow->ops.n;
    return n;
}

/* --- the engine -------------------------------------------------------------------------------------------------- */

static uint64_t loop_ns(void *ctx)
{
    return ((struct loop *)ctx)->now_ns;
}

static int64_t loop_s(void *ctx)
{
    (void)ctx;
    return FAKE_NOW_S;
}

void loop_init(struct loop *loop, const struct milgi_engine_options *from)
{
    static const uint8_t raw[16] = { 1 };
    struct fake_options rsa = { .type = MILGI__KEY_RSA, .bits = 4096 };
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    if (from)
        options = *from;
    memset(loop, 0, sizeof *loop);
    loop->now_ns = 1000000000;
    options.clock = (struct milgi_clock){ loop_ns, loop_s, loop };
    assert_int_equal(milgi_engine_new(&options, &loop->engine), 0);
    loop->credential = fake_credential(&rsa);
    loop->aead = milgi__engine_key_aead(loop->engine, MILGI_SUITE_AES_128_GCM_SHA256, raw, sizeof raw);
    loop->rsa = milgi__engine_key_private(loop->engine, loop->credential);
    loop->src = milgi_chunk_new(loop->engine, RECORD_MAX);
    loop->dst = milgi_chunk_new(loop->engine, RECORD_MAX + 17);
    assert_true(loop->aead && loop->rsa && loop->src && loop->dst);
    memset(loop->src->data, 1, RECORD_MAX);
}

void loop_fini(struct loop *loop)
{
    struct milgi_engine_stats stats;
    milgi_chunk_unref(loop->src);
    milgi_chunk_unref(loop->dst);
    milgi__engine_key_unref(loop->engine, loop->aead);
    milgi__engine_key_unref(loop->engine, loop->rsa);
    loop_stats(loop, &stats);
    if (stats.ops_alive == 0)
        assert_int_equal(stats.memory, 0);
    assert_int_equal(milgi_engine_free(loop->engine), 0);
    for (unsigned i = 0; i < MILGI_DEVICES_MAX; i++)
        milgi_device_free(loop->device[i]);
    milgi_credential_unref(loop->credential);
}

unsigned loop_open(struct loop *loop, struct milgi_device *device)
{
    int index = milgi_engine_add_device(loop->engine, device);
    assert_true(index > 0);
    assert_null(loop->device[index]);
    loop->device[index] = device;
    return (unsigned)index;
}

unsigned loop_device(struct loop *loop, const char *spec)
{
    struct milgi_device *device;
    assert_int_equal(milgi_device_new(spec, &device, NULL), 0);
    return loop_open(loop, device);
}

void loop_stats(const struct loop *loop, struct milgi_engine_stats *stats)
{
    milgi_engine_stats(loop->engine, stats);
}

struct milgi_run_result loop_turn(struct loop *loop)
{
    struct milgi_run_result result;
    assert_int_equal(milgi_engine_run(loop->engine, 0, &result), 0);
    return result;
}

struct milgi_run_result loop_run(struct loop *loop)
{
    struct milgi_run_result result;
    unsigned before = loop->done;
    assert_int_equal(milgi_engine_run(loop->engine, 0, &result), 0);
    loop->idle_runs = before == loop->done ? loop->idle_runs + 1 : 0;
    assert_true(loop->idle_runs < RUNS_MAX);
    if (result.next == MILGI_RUN_WAIT && result.deadline_ns > loop->now_ns)
        loop->now_ns = result.deadline_ns;
    return result;
}

void loop_until(struct loop *loop, uint64_t until_ns)
{
    while (loop->now_ns < until_ns) {
        uint64_t before_ns = loop->now_ns;
        struct milgi_run_result result = loop_run(loop);
        if (result.next == MILGI_RUN_IDLE || loop->now_ns > until_ns) {
            loop->now_ns = MILGI__MAX(before_ns, until_ns);
            return;
        }
    }
}

void loop_settle(struct loop *loop, const struct loop_client *client, unsigned done)
{
    while (client->done < done) {
        uint64_t before_ns = loop->now_ns;
        enum milgi_next next = loop_run(loop).next;
        assert_true(next != MILGI_RUN_IDLE || client->done >= done);
        /* Now is when the last came back, not when the engine next has something to put in order. */
        if (client->done >= done)
            loop->now_ns = before_ns;
    }
}
