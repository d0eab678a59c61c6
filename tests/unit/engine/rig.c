/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rig.h"
#include "submit.h"

static uint64_t owner_turn(struct milgi__owner *owner, uint64_t budget_ns, bool *more)
{
    (void)owner;
    (void)budget_ns;
    *more = false;
    return 100;
}

static void owner_done(struct milgi__owner *owner, struct milgi_op *op)
{
    struct rig *rig = MILGI__ENTRY(owner, struct rig, owner);
    rig->done++;
    rig->status[op->status]++;
}

static void owner_nothing(struct milgi__owner *owner)
{
    (void)owner;
}

static void owner_drop(struct milgi__owner *owner)
{
    milgi__engine_detach(MILGI__ENTRY(owner, struct rig, owner)->engine, owner);
}

static const struct milgi__owner_ops owner_ops = { owner_turn, owner_done, owner_nothing, owner_nothing, owner_nothing,
    owner_drop };

static uint64_t rig_ns(void *ctx)
{
    struct rig *rig = ctx;
    rig->clock_reads++;
    return rig->now_ns;
}

static int64_t rig_s(void *ctx)
{
    (void)ctx;
    return 1000;
}

void rig_init(struct rig *rig, const struct milgi_engine_options *from, const char *device)
{
    static const uint8_t raw[16] = { 1 };
    struct milgi_engine_options options;
    milgi_engine_options_init(&options);
    if (from)
        options = *from;
    memset(rig, 0, sizeof *rig);
    rig->now_ns = 1000 * MS;
    options.clock = (struct milgi_clock){ rig_ns, rig_s, rig };
    assert_int_equal(milgi_engine_new(&options, &rig->engine), 0);
    rig->owner.ops = &owner_ops;
    assert_int_equal(milgi__engine_attach(rig->engine, &rig->owner), 0);
    rig->key = milgi__engine_key_aead(rig->engine, MILGI_SUITE_AES_128_GCM_SHA256, raw, sizeof raw);
    assert_non_null(rig->key);
    if (!device)
        return;
    assert_int_equal(milgi_device_new(device, &rig->device, NULL), 0);
    int index = milgi_engine_add_device(rig->engine, rig->device);
    assert_int_equal(index, 1);
    assert_int_equal(milgi_engine_route(rig->engine, UINT32_MAX, 1, 1), 0);
}

void rig_fini(struct rig *rig)
{
    milgi__engine_key_unref(rig->engine, rig->key);
    assert_int_equal(milgi_engine_free(rig->engine), 0);
    milgi_device_free(rig->device);
}

void rig_run(struct rig *rig)
{
    struct milgi_run_result result;
    assert_int_equal(milgi_engine_run(rig->engine, 0, &result), 0);
}

void rig_keygen(struct rig *rig)
{
    submit_keygen(rig->engine, &rig->owner, MILGI_GROUP_X25519);
}

void rig_seal(struct rig *rig, uint32_t len)
{
    struct milgi_op *op = milgi__engine_op_new(rig->engine, false);
    assert_non_null(op);
    struct milgi_chunk *src = milgi_chunk_new(rig->engine, len), *dst = milgi_chunk_new(rig->engine, len + 17);
    memset(src->data, 1, len);
    op->type = MILGI_OP_SEAL;
    op->cls = MILGI_OP_CLASS_RECORDS;
    op->alg = rig->key->alg;
    op->key = milgi__key_ref(rig->key);
    op->flags |= MILGI__OP_RERUN;
    op->u.aead = (struct milgi_op_aead){ .aad_len = 5, .src_n = 1, .inner_type = 23, .dst_len = len + 17 };
    op->u.aead.src[0] = (struct milgi_slice){ src, src->data, len };
    op->u.aead.dst = dst->data;
    op->u.aead.dst_chunk = dst;
    milgi__engine_submit(rig->engine, &rig->owner, op, 0);
}

void sample_next(struct milgi_engine *engine)
{
    engine->stat.until = 1;
}

struct milgi_engine_stats stats_of(const struct milgi_engine *engine)
{
    struct milgi_engine_stats stats;
    milgi_engine_stats(engine, &stats);
    return stats;
}

struct milgi_latency latency_of(
    const struct milgi_engine *engine, unsigned index, unsigned cls, enum milgi_latency_part part)
{
    struct milgi_latency latency;
    assert_int_equal(milgi_engine_latency(engine, index, cls, part, &latency), 0);
    return latency;
}
