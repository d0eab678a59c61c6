/* SPDX-License-Identifier: Apache-2.0 */
/* An op's life: made from the slab, routed, ended exactly once for its owner, released. */
#include <milgi/config.h>

#include "engine/impl.h"
#include "op/material.h"

#define LEARN_ONE_OF 16u /* of the inline device's ops is measured, when that is wanted */

/* --- whose it is -------------------------------------------------------------------------------- */

static void own(struct milgi__owner *owner, struct milgi_op *op)
{
    op->e.owner_index = owner->index;
    op->e.owner_generation = owner->generation;
    op->e.owner_prev = NULL;
    op->e.owner_next = owner->first_op;
    if (owner->first_op)
        owner->first_op->e.owner_prev = op;
    owner->first_op = op;
    op->flags |= MILGI__OP_OWNED;
}

/* |owner| hears of it no more. */
static void disown(struct milgi__owner *owner, struct milgi_op *op)
{
    op->flags &= (uint16_t)~MILGI__OP_OWNED;
    if (op->e.owner_prev)
        op->e.owner_prev->e.owner_next = op->e.owner_next;
    else
        owner->first_op = op->e.owner_next;
    if (op->e.owner_next)
        op->e.owner_next->e.owner_prev = op->e.owner_prev;
}

static struct milgi__owner *owner_of(struct milgi_engine *e, const struct milgi_op *op)
{
    return milgi__engine_find(e, op->e.owner_index, op->e.owner_generation);
}

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
    milgi__zero(op, offsetof(struct milgi_op, u.aead.src));
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
    if (op->flags & MILGI__OP_OWNED)
        disown(owner_of(e, op), op);
    if (op->flags & MILGI__OP_ORPHAN)
        e->orphans--;
    milgi__op_clear(op);
    op->key = NULL;
    op->e.state = MILGI__OP_FREE;
    op->e.next = e->free_ops;
    e->free_ops = op;
    e->ops_alive--;
    e->freed_something = true;
    if (key)
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

/* --- its owner goes ---------------------------------------------------------------------------- */

void milgi__ops_abandon(struct milgi_engine *e, struct milgi__owner *owner)
{
    while (owner->first_op) {
        struct milgi_op *op = owner->first_op;
        struct milgi__dev *d = &e->dev[op->dev];
        disown(owner, op);
        if (op->e.state == MILGI__OP_WAITING) {
            milgi__line_remove(e, d, op);
            milgi__stats_dropped(&d->stat, op);
            milgi__op_release(e, op);
        } else if (op->e.state == MILGI__OP_IN_FLIGHT && !(d->flags & MILGI_CAP_INLINE)) {
            op->flags |= MILGI__OP_ORPHAN;
            e->orphans++;
            if ((d->flags & MILGI_CAP_CANCEL) && d->device->ops->cancel)
                d->device->ops->cancel(d->qp, op);
        }
    }
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
    if (!(op->flags & MILGI__OP_OWNED))
        return;
    struct milgi__owner *owner = owner_of(e, op);
    disown(owner, op);
    owner->ops->op_done(owner, op);
}

static bool may_rerun(const struct milgi_engine *e, const struct milgi_op *op)
{
    uint16_t needed = MILGI__OP_RERUN | MILGI__OP_OWNED;
    if (!e->o.rerun || op->e.tries || (op->flags & needed) != needed || (op->flags & MILGI__OP_ELSEWHERE))
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
    if (op->status == MILGI_OP_OK && (op->flags & MILGI__OP_CHECK) && (op->flags & MILGI__OP_OWNED))
        check_signature(e, op);
    milgi__stats_ended(&d->stat, op);
    bool failed = op->status == MILGI_OP_BROKEN || op->status == MILGI_OP_CANCELLED;
    if (failed && !(d->flags & MILGI_CAP_INLINE) && may_rerun(e, op)) {
        /* The device has given it back, so nobody else writes to its destination any more. */
        milgi__stats_rerun(&d->stat, op);
        op->e.tries++;
        milgi__op_inline(e, op);
        return;
    }
    tell_owner(e, op);
    milgi__op_release(e, op);
}

/* What a device is never to write: a worker may be at everything else of the op at this moment. */
static void copy_inputs(struct milgi_op *copy, const struct milgi_op *op)
{
    const struct milgi_op_kex *kex = &op->u.kex;
    const struct milgi_op_sign *sign = &op->u.sign;
    const struct milgi_op_chain *chain = &op->u.chain;
    switch (op->type) {
    case MILGI_OP_SEAL:
    case MILGI_OP_OPEN: copy->u.aead = op->u.aead; return;
    case MILGI_OP_KEYGEN:
        copy->u.kex = (struct milgi_op_kex){ .seed_len = kex->seed_len };
        memcpy(copy->u.kex.seed, kex->seed, sizeof kex->seed);
        return;
    case MILGI_OP_DERIVE:
        copy->u.kex = (struct milgi_op_kex){ .secret_len = kex->secret_len, .peer_len = kex->peer_len };
        memcpy(copy->u.kex.secret, kex->secret, sizeof kex->secret);
        memcpy(copy->u.kex.peer, kex->peer, sizeof kex->peer);
        return;
    case MILGI_OP_SIGN:
        copy->u.sign = (struct milgi_op_sign){ .input_len = sign->input_len };
        memcpy(copy->u.sign.input, sign->input, sizeof sign->input);
        return;
    case MILGI_OP_VERIFY: copy->u.sign = *sign; return;
    default:
        copy->u.chain = (struct milgi_op_chain){ chain->chain, chain->now_s, .purpose = chain->purpose,
            .name_is_ip = chain->name_is_ip, .name_len = chain->name_len };
        memcpy(copy->u.chain.name, chain->name, sizeof chain->name);
    }
}

/* A copy of an op that a device still has, with a destination of its own; NULL: there is no room for one. */
static struct milgi_op *twin(struct milgi_engine *e, const struct milgi_op *op)
{
    struct milgi_op *copy = milgi__engine_op_new(e, true);
    if (!copy)
        return NULL;
    uint32_t id = op->e.id, generation = op->e.generation;
    copy->type = op->type;
    copy->cls = op->cls;
    copy->dev = op->dev;
    copy->alg = op->alg;
    copy->flags = op->flags & (uint16_t)~MILGI__OP_OWNED;
    copy->key = op->key;
    copy->e = op->e;
    copy_inputs(copy, op);
    copy->e.next = copy->e.prev = copy->e.owner_next = copy->e.owner_prev = NULL;
    copy->e.id = id;
    copy->e.generation = generation;
    copy->e.tries = 1;
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
    struct milgi_op *copy = may_rerun(e, op) ? twin(e, op) : NULL;
    milgi__stats_lost(&d->stat, op);
    milgi__oplist_remove(&d->flight[op->cls], op);
    milgi__oplist_append(&d->lent, op);
    /* It may never come back; what waits does not wait for it. */
    d->outstanding_ns -= op->e.cost_ns;
    op->e.state = MILGI__OP_LENT;
    if (op->flags & MILGI__OP_ORPHAN) {
        op->flags &= (uint16_t)~MILGI__OP_ORPHAN;
        e->orphans--;
        return;
    }
    struct milgi__owner *owner = owner_of(e, op);
    disown(owner, op);
    if (copy) {
        milgi__stats_rerun(&d->stat, op);
        own(owner, copy);
        milgi__op_inline(e, copy);
        return;
    }
    struct milgi_op word = { .type = op->type, .cls = op->cls, .dev = op->dev, .alg = op->alg };
    word.status = MILGI_OP_LOST;
    word.e = op->e;
    owner->ops->op_done(owner, &word);
}

/* --- submission --------------------------------------------------------------------------------- */

/* It never reached a device. */
static void fail(struct milgi_engine *e, struct milgi_op *op, int code)
{
    op->status = MILGI_OP_BROKEN;
    op->device_code = code;
    tell_owner(e, op);
    milgi__op_release(e, op);
}

void milgi__op_inline(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi__dev *d = &e->dev[0];
    struct milgi_op *done = NULL;
    op->dev = 0;
    op->status = MILGI_OP_PENDING;
    op->device_code = 0;
    op->service_ns = 0;
    op->flags &= (uint16_t)~MILGI__OP_CHECK;
    if (op->key && !milgi__key_ready(e, d, op->key)) {
        fail(e, op, MILGI__CODE_NO_KEY);
        return;
    }
    op->e.state = MILGI__OP_IN_FLIGHT;
    milgi__stats_inline_in(&e->stat, &d->stat, op);
    bool learn = e->learn_inline && op->e.estimate_ns && ++e->learn_tick % LEARN_ONE_OF == 0;
    uint64_t begin_ns = learn ? milgi__stats_clock(&e->stat) : 0;
    if (d->device->ops->enqueue(d->qp, &op, 1) != 1 || d->device->ops->dequeue(d->qp, &done, 1) != 1) {
        op->status = MILGI_OP_BROKEN;
        done = op;
    }
    if (learn)
        milgi__route_learn(d, done, milgi__stats_clock(&e->stat) - begin_ns, begin_ns);
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

static void enter(struct milgi_engine *e, struct milgi__owner *owner, struct milgi__dev *d, struct milgi_op *op)
{
    bool spills = e->o.full_policy == MILGI_FULL_SPILL && !(op->flags & MILGI__OP_ELSEWHERE);
    if (!(d->flags & MILGI_CAP_INLINE) && spills && d->line[op->cls].n > e->o.full_line) {
        milgi__stats_spilled(&d->stat, op);
        d = &e->dev[0];
    }
    if ((d->flags & MILGI_CAP_INLINE) || !milgi__line_append(e, d, owner, op)) {
        milgi__op_inline(e, op);
        return;
    }
    op->dev = (uint8_t)(d - e->dev);
    op->flags &= (uint16_t)~MILGI__OP_CHECK;
    if (wants_check(d, op))
        op->flags |= MILGI__OP_CHECK;
    op->e.state = MILGI__OP_WAITING;
}

void milgi__engine_submit(struct milgi_engine *e, struct milgi__owner *owner, struct milgi_op *op, uint32_t slot)
{
    own(owner, op);
    op->e.slot = slot;
    struct milgi__dev *d = milgi__route_op(e, op);
    if (d->flags & MILGI_CAP_INLINE) {
        milgi__op_inline(e, op);
        return;
    }
    milgi__stats_submit(&e->stat, op);
    enter(e, owner, d, op);
    if (milgi__dev_waiting(d) >= d->burst && milgi__dev_inside(d) < d->device->caps.max_in_flight)
        milgi__dev_flush(e, d);
}

void milgi__op_reroute(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi__dev *from = &e->dev[op->dev], *to;
    struct milgi__owner *owner = milgi__engine_find(e, op->e.owner_index, op->e.owner_generation);
    milgi__line_remove(e, from, op);
    milgi__stats_spilled(&from->stat, op);
    bool elsewhere = (op->flags & MILGI__OP_ELSEWHERE) != 0;
    to = milgi__route_op(e, op);
    if (elsewhere && (to == from || (to->flags & MILGI_CAP_INLINE)))
        fail(e, op, MILGI__CODE_RETIRED);
    else
        enter(e, owner, to, op);
}
