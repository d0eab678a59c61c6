/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that failed is tried with a key generation or a sealed record, which the inline device does, too, and their
 * results are compared: no connection has to be the first.
 */
#include "engine/probe.h"

#include "engine/ops.h"
#include "engine/trace.h"

#define RECORD_LEN 64u
#define SEALED_LEN (RECORD_LEN + 1 + 16)

static bool can(const struct milgi__dev *d, int type, uint16_t alg)
{
    const struct milgi_device_ops *ops = d->device->ops;
    return (d->device->caps.ops & MILGI_OP_BIT(type)) && !(d->flags & MILGI_CAP_REMOTE) &&
        (!ops->supports || ops->supports(d->device, type, alg));
}

#define SHARE_LEN 65u /* of the larger of the two groups */

static void fill_keygen(struct milgi_op *op, uint16_t group, uint16_t seed_len, struct milgi_slice share)
{
    op->type = MILGI_OP_KEYGEN;
    op->cls = MILGI_OP_CLASS_HANDSHAKE;
    op->alg = group;
    memset(&op->u.kex, 0, sizeof op->u.kex);
    op->u.kex.seed_len = seed_len;
    memset(op->u.kex.seed, 0x55, seed_len);
    op->u.kex.share = share;
}

/* false: no memory */
static bool fill_keygen_of(struct milgi_engine *e, struct milgi_op *op, uint16_t group, uint16_t seed_len)
{
    struct milgi_chunk *chunk = milgi__chunk_alloc(e->pool, SHARE_LEN, 0, true);
    fill_keygen(op, group, seed_len, (struct milgi_slice){ chunk, chunk ? chunk->data : NULL, SHARE_LEN });
    return chunk;
}

/* false: no memory */
static bool fill_seal(struct milgi_engine *e, struct milgi_op *op)
{
    static const uint8_t raw[16] = { 0x55 };
    struct milgi_chunk *src = milgi__chunk_alloc(e->pool, RECORD_LEN, 0, true);
    struct milgi_chunk *dst = milgi__chunk_alloc(e->pool, SEALED_LEN, 0, true);
    op->type = MILGI_OP_SEAL;
    op->cls = MILGI_OP_CLASS_RECORDS;
    op->alg = MILGI_SUITE_AES_128_GCM_SHA256;
    op->key = milgi__engine_key_aead(e, op->alg, raw, sizeof raw);
    op->u.aead = (struct milgi_op_aead){ .aad_len = 5, .src_n = src != NULL, .inner_type = 23, .dst_len = SEALED_LEN };
    if (src) {
        memset(src->data, 0x55, RECORD_LEN);
        op->u.aead.src[0] = (struct milgi_slice){ src, src->data, RECORD_LEN };
    }
    op->u.aead.dst_chunk = dst;
    op->u.aead.dst = dst ? dst->data : NULL;
    return src && dst && op->key;
}

enum milgi__probed milgi__probe(struct milgi_engine *e, struct milgi__dev *d)
{
    bool x25519 = can(d, MILGI_OP_KEYGEN, MILGI_GROUP_X25519), p256 = can(d, MILGI_OP_KEYGEN, MILGI_GROUP_SECP256R1);
    /* The chunks have to be where it reaches them. */
    bool reached = !(d->flags & MILGI_CAP_OWN_MEMORY) || d->index == e->memory_dev;
    if (!reached || (!x25519 && !p256 && !can(d, MILGI_OP_SEAL, MILGI_SUITE_AES_128_GCM_SHA256)))
        return MILGI__PROBE_CANNOT;
    if (milgi__dev_inside(d) >= d->device->caps.max_in_flight)
        return MILGI__PROBE_REFUSED;
    struct milgi_op *op = milgi__engine_op_new(e, true);
    if (!op)
        return MILGI__PROBE_REFUSED;
    op->dev = d->index;
    op->flags |= MILGI__OP_PROBE;
    bool filled = x25519 ? fill_keygen_of(e, op, MILGI_GROUP_X25519, 32)
        : p256           ? fill_keygen_of(e, op, MILGI_GROUP_SECP256R1, 40)
                         : fill_seal(e, op);
    if (filled) {
        uint64_t stamp_ns = milgi__stats_clock(&e->stat);
        op->e.submitted_ns = stamp_ns;
        op->e.state = MILGI__OP_IN_FLIGHT;
        bool taken = d->device->ops->enqueue(d->qp, &op, 1) == 1;
        milgi__stats_burst_in(&e->stat, &d->stat, &op, 1, taken, stamp_ns);
        if (taken) {
            milgi__oplist_append(&d->flight[op->cls], op);
            if (milgi__traced(&e->tracer))
                milgi__trace_op_sent(e, d, op);
            return MILGI__PROBE_SENT;
        }
    }
    milgi__op_release(e, op);
    return MILGI__PROBE_REFUSED;
}

bool milgi__probe_passed(struct milgi_engine *e, const struct milgi_op *op)
{
    const struct milgi__dev *d = &e->dev[0];
    uint8_t sealed[SEALED_LEN], share[SHARE_LEN];
    struct milgi_op twin, *at = &twin;
    if (op->status != MILGI_OP_OK)
        return false;
    twin = *op;
    twin.dev = 0;
    twin.status = MILGI_OP_PENDING;
    if (op->type == MILGI_OP_SEAL)
        twin.u.aead.dst = sealed;
    else
        fill_keygen(&twin, op->alg, op->u.kex.seed_len, (struct milgi_slice){ NULL, share, sizeof share });
    if (d->device->ops->enqueue(d->qp, &at, 1) != 1 || d->device->ops->dequeue(d->qp, &at, 1) != 1 ||
        twin.status != MILGI_OP_OK)
        return false;
    if (op->type == MILGI_OP_SEAL)
        return memcmp(sealed, op->u.aead.dst, sizeof sealed) == 0;
    return op->u.kex.pub_len == twin.u.kex.pub_len && memcmp(op->u.kex.share.data, share, twin.u.kex.pub_len) == 0;
}
