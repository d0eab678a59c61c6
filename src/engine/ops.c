/* SPDX-License-Identifier: Apache-2.0 */
/* An op's life: made from the slab, routed, ended exactly once for its owner, released. */
#include <milgi/config.h>

#include "engine/impl.h"
#include "op/material.h"

/* --- slab --------------------------------------------------------------------------------------- */

static bool grow_slab(struct milgi_engine *e)
{
    if (e->slabs_n == e->slabs_cap) {
        uint32_t cap = e->slabs_cap ? e->slabs_cap * 2 : 16;
        struct milgi_op **slabs = milgi__alloc(cap * sizeof(struct milgi_op *));
        if (!slabs)
            return false;
        if (e->slabs_n)
            memcpy(slabs, e->slabs, e->slabs_n * sizeof(struct milgi_op *));
        milgi__free(e->slabs);
        e->slabs = slabs;
        e->slabs_cap = cap;
    }
    struct milgi_op *slab = milgi__alloc(MILGI__SLAB_OPS * sizeof *slab);
    if (!slab)
        return false;
    e->slabs[e->slabs_n++] = slab;
    for (uint32_t i = 0; i < MILGI__SLAB_OPS; i++) {
        slab[i].e.next = e->free_ops;
        e->free_ops = &slab[i];
    }
    e->ops_made += MILGI__SLAB_OPS;
    return true;
}

struct milgi_op *milgi__engine_op_new(struct milgi_engine *e, bool reserve)
{
    if (e->ops_alive >= e->o.op_limit + (reserve ? MILGI__OP_RESERVED : 0))
        return NULL;
    if (!e->free_ops && !grow_slab(e))
        return NULL;
    struct milgi_op *op = e->free_ops;
    e->free_ops = op->e.next;
    e->ops_alive++;
    /*
     * What record/ and handshake/ fill in comes behind: the header and the part that says what the op holds start out
     * zero.
     */
    memset(op, 0, offsetof(struct milgi_op, u) + sizeof op->u.aead);
    uint64_t id = ++e->next_op;
    op->e.id = (uint32_t)id;
    op->e.generation = (uint32_t)(id >> 32);
    op->e.state = MILGI__OP_MADE;
    if (reserve)
        op->flags = MILGI__OP_RESERVE;
    return op;
}

void milgi__op_release(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi_key *key = op->key;
    milgi__op_clear(op);
    op->key = NULL;
    op->e.state = MILGI__OP_FREE;
    op->e.next = e->free_ops;
    e->free_ops = op;
    e->ops_alive--;
    e->freed_something = true;
    milgi__engine_key_unref(e, key);
}

void milgi__engine_op_free(struct milgi_engine *e, struct milgi_op *op)
{
    if (op)
        milgi__op_release(e, op);
}

void milgi__ops_fini(struct milgi_engine *e)
{
    for (uint32_t i = 0; i < e->slabs_n; i++)
        milgi__free_wiped(e->slabs[i], MILGI__SLAB_OPS * sizeof(struct milgi_op));
    milgi__free(e->slabs);
}

bool milgi__engine_room(struct milgi_engine *e, unsigned ops, size_t bytes)
{
    return e->ops_alive + ops <= e->o.op_limit && milgi__pool_room(e->pool, bytes);
}

/* --- routing ------------------------------------------------------------------------------------ */

static struct milgi__dev *route(struct milgi_engine *e, int type, uint16_t alg, uint32_t size)
{
    const struct milgi__route *r = &e->route[type];
    struct milgi__dev *d = &e->dev[r->dev];
    if (!r->dev || !d->in_service)
        return &e->dev[0];
    if (type <= MILGI_OP_OPEN && size < r->min_record)
        return &e->dev[0];
    const struct milgi_device_ops *ops = d->device->ops;
    if (alg && ops->supports && !ops->supports(d->device, type, alg))
        return &e->dev[0];
    return d;
}

static uint32_t record_size(const struct milgi_op *op)
{
    return op->type <= MILGI_OP_OPEN ? op->u.aead.dst_len : 0;
}

bool milgi__engine_inline(struct milgi_engine *e, int op_type, uint32_t size)
{
    return (route(e, op_type, 0, size)->flags & MILGI_CAP_INLINE) != 0;
}

/*= "full is a state": only those that have started nothing yet are refused. */
bool milgi__engine_refuses(struct milgi_engine *e)
{
    if (e->o.full_policy != MILGI_FULL_REFUSE)
        return false;
    const struct milgi__dev *d = &e->dev[e->route[MILGI_OP_SIGN].dev];
    return d->line[MILGI_CLASS_HANDSHAKE].n > e->o.full_line;
}

/* --- the end of an op --------------------------------------------------------------------------- */

/*
 * A signature that came from elsewhere is looked at before it is sent: a fault in its making could give the key away.
 */
static void check_signature(struct milgi_engine *e, struct milgi_op *op)
{
    const struct milgi_credential *credential = op->key->credential;
    if (milgi__verify(e->cx, credential->spki, credential->spki_len, op->alg, op->u.sign.input, op->u.sign.input_len,
            op->u.sign.sig, op->u.sign.sig_len) == 0)
        return;
    op->status = MILGI_OP_BROKEN;
    op->device_code = MILGI__CODE_BAD_SIGNATURE;
}

static void tell_owner(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi__owner *owner = milgi__engine_find(e, op->e.owner_index, op->e.owner_generation);
    if (owner && !(op->flags & MILGI__OP_ORPHAN))
        owner->ops->op_done(owner, op);
}

/* Somebody waits for what comes of it. */
static bool is_wanted(struct milgi_engine *e, const struct milgi_op *op)
{
    return !(op->flags & MILGI__OP_ORPHAN) && milgi__engine_find(e, op->e.owner_index, op->e.owner_generation);
}

static bool may_rerun(struct milgi_engine *e, const struct milgi_op *op)
{
    if (!e->o.rerun || op->e.tries || !(op->flags & MILGI__OP_RERUN) || !is_wanted(e, op))
        return false;
    return op->type > MILGI_OP_OPEN || !op->u.aead.in_place;
}

void milgi__op_ended(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi__dev *d = &e->dev[op->dev];
    if (op->status == MILGI_OP_PENDING || op->status >= MILGI_OP_LOST) {
        op->status = MILGI_OP_BROKEN;
        op->device_code = 0;
    }
    if (op->status == MILGI_OP_OK && (op->flags & MILGI__OP_CHECK) && is_wanted(e, op))
        check_signature(e, op);
    milgi__stats_ended(&d->stat, op);
    bool failed = op->status == MILGI_OP_BROKEN || op->status == MILGI_OP_CANCELLED;
    if (failed && may_rerun(e, op) && !(d->flags & MILGI_CAP_INLINE)) {
        /* The device has given it back, so nobody else writes to its destination any more. */
        milgi__stats_rerun(&d->stat, op);
        op->e.tries++;
        milgi__op_inline(e, op);
        return;
    }
    tell_owner(e, op);
    milgi__op_release(e, op);
}

/* A copy of an op that a device still has, with a destination of its own; NULL: there is no room for one. */
static struct milgi_op *twin(struct milgi_engine *e, const struct milgi_op *op)
{
    struct milgi_op *copy = milgi__engine_op_new(e, true);
    if (!copy)
        return NULL;
    uint32_t id = op->e.id, generation = op->e.generation;
    memcpy(copy, op, sizeof *copy);
    copy->e.next = copy->e.prev = NULL;
    copy->e.id = id;
    copy->e.generation = generation;
    copy->e.tries = 1;
    copy->status = MILGI_OP_PENDING;
    if (copy->key)
        milgi__key_ref(copy->key);
    if (op->type == MILGI_OP_VERIFY && op->u.sign.blob.chunk)
        milgi_chunk_ref(op->u.sign.blob.chunk);
    if (op->type == MILGI_OP_VERIFY_CHAIN && op->u.chain.chain.chunk)
        milgi_chunk_ref(op->u.chain.chain.chunk);
    if (op->type > MILGI_OP_OPEN)
        return copy;
    for (unsigned i = 0; i < op->u.aead.src_n; i++)
        milgi_chunk_ref(op->u.aead.src[i].chunk);
    /* Room before the destination for a record's header, as record/seal.c expects. */
    copy->u.aead.dst_chunk = milgi__chunk_alloc(e->pool, op->u.aead.dst_len + 16, 0, true);
    if (!copy->u.aead.dst_chunk) {
        milgi__op_release(e, copy);
        return NULL;
    }
    copy->u.aead.dst = copy->u.aead.dst_chunk->data + 16;
    return copy;
}

/*
 * The device still owns the op's memory: from now on it is lent. Its owner gets the result of a twin, or is told LOST
 * by an op that holds nothing.
 */
void milgi__op_lost(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op)
{
    milgi__stats_lost(&d->stat, op);
    bool orphan = (op->flags & MILGI__OP_ORPHAN) != 0;
    bool rerun = may_rerun(e, op);
    struct milgi_op *copy = rerun ? twin(e, op) : NULL;
    milgi__oplist_remove(&d->flight[op->cls], op);
    milgi__oplist_append(&d->lent, op);
    op->e.state = MILGI__OP_LENT;
    if (copy) {
        op->flags |= MILGI__OP_ORPHAN;
        milgi__stats_rerun(&d->stat, op);
        milgi__op_inline(e, copy);
        return;
    }
    if (orphan)
        return;
    struct milgi_op word = { .type = op->type, .cls = op->cls, .dev = op->dev, .alg = op->alg };
    word.status = MILGI_OP_LOST;
    word.e = op->e;
    tell_owner(e, &word);
    op->flags |= MILGI__OP_ORPHAN;
}

/* --- submission --------------------------------------------------------------------------------- */

void milgi__op_inline(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi__dev *d = &e->dev[0];
    struct milgi_op *done = NULL;
    op->dev = 0;
    op->status = MILGI_OP_PENDING;
    op->device_code = 0;
    op->flags &= (uint16_t)~MILGI__OP_CHECK;
    milgi__stats_inline_in(&e->stat, &d->stat, op);
    if (op->key && !milgi__key_ready(e, d, op->key)) {
        op->status = MILGI_OP_BROKEN;
        op->device_code = MILGI__CODE_NO_KEY;
        milgi__op_ended(e, op);
        return;
    }
    op->e.state = MILGI__OP_IN_FLIGHT;
    if (d->device->ops->enqueue(d->qp, &op, 1) != 1 || d->device->ops->dequeue(d->qp, &done, 1) != 1) {
        op->status = MILGI_OP_BROKEN;
        done = op;
    }
    milgi__stats_inline_out(&e->stat, &d->stat, done);
    milgi__op_ended(e, done);
}

/*= Offloaded RSA signatures always; the others when the device does not run this process's libcrypto. */
static bool wants_check(const struct milgi__dev *d, const struct milgi_op *op)
{
    if (op->type != MILGI_OP_SIGN || (d->flags & MILGI_CAP_INLINE))
        return false;
    const struct milgi__scheme *scheme = milgi__scheme(op->alg);
    bool rsa = !scheme || scheme->key == MILGI__KEY_RSA || scheme->key == MILGI__KEY_RSA_PSS;
    return rsa || !(d->flags & MILGI_CAP_LIBCRYPTO);
}

void milgi__engine_submit(struct milgi_engine *e, struct milgi__owner *owner, struct milgi_op *op, uint32_t slot)
{
    op->e.owner_index = owner->index;
    op->e.owner_generation = owner->generation;
    op->e.slot = slot;
    op->e.cost_ns = milgi__op_estimate_ns(op);
    struct milgi__dev *d = route(e, op->type, op->alg, record_size(op));
    bool in_place = op->type <= MILGI_OP_OPEN && op->u.aead.in_place;
    bool scatter = op->type <= MILGI_OP_OPEN && op->u.aead.src_n > 1;
    if ((in_place && !(d->flags & MILGI_CAP_IN_PLACE)) || (scatter && !(d->flags & MILGI_CAP_SCATTER)))
        d = &e->dev[0];
    if (!(d->flags & MILGI_CAP_INLINE) && op->key && !milgi__key_ready(e, d, op->key))
        d = &e->dev[0];
    if (!(d->flags & MILGI_CAP_INLINE) && e->o.full_policy == MILGI_FULL_SPILL && d->line[op->cls].n > e->o.full_line) {
        milgi__stats_spilled(&d->stat, op);
        d = &e->dev[0];
    }
    if (d->flags & MILGI_CAP_INLINE) {
        milgi__op_inline(e, op);
        return;
    }
    op->dev = (uint8_t)(d - e->dev);
    if (wants_check(d, op))
        op->flags |= MILGI__OP_CHECK;
    op->e.state = MILGI__OP_WAITING;
    milgi__stats_submit(&e->stat, op);
    milgi__oplist_append(&d->line[op->cls], op);
    if (d->line[op->cls].n >= MILGI__BURST)
        milgi__dev_flush(e, d);
}
