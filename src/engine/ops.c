/* SPDX-License-Identifier: Apache-2.0 */
/* Ops: made from the slab, in the list of their owner, ended once for it, released. */
#include "engine/ops.h"

#include "engine/keys.h"
#include "engine/trace.h"
#include "op/material.h"

#define RESERVED 64u /* ops kept for alerts and close */

/* --- whose it is ------------------------------------------------------------------------------------------------ */

void milgi__op_own(struct milgi__owner *owner, struct milgi_op *op)
{
    op->e.owner = owner;
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

/* --- from made to released -------------------------------------------------------------------------------------- */

struct milgi_op *milgi__engine_op_new(struct milgi_engine *e, bool reserve)
{
    if (e->slab.alive >= e->o.op_limit + (reserve ? RESERVED : 0))
        return NULL;
    struct milgi_op *op = milgi__slab_take(&e->slab);
    if (op && reserve)
        op->flags = MILGI__OP_RESERVE;
    return op;
}

void milgi__op_release(struct milgi_engine *e, struct milgi_op *op)
{
    struct milgi_key *key = op->key;
    if (op->flags & MILGI__OP_OWNED)
        disown(op->e.owner, op);
    if (op->flags & MILGI__OP_ORPHAN)
        e->orphans--;
    milgi__op_clear(op);
    op->key = NULL;
    milgi__slab_give(&e->slab, op);
    if (key && --key->refs == 0)
        milgi__key_free(e, key);
}

void milgi__engine_op_free(struct milgi_engine *e, struct milgi_op *op)
{
    if (op)
        milgi__op_release(e, op);
}

bool milgi__engine_room(struct milgi_engine *e, unsigned ops, size_t bytes)
{
    return e->slab.alive + ops <= e->o.op_limit && milgi__pool_room(e->pool, bytes);
}

/* --- the end, once for its owner -------------------------------------------------------------------------------- */

static void tell_owner(struct milgi_op *op)
{
    if (!(op->flags & MILGI__OP_OWNED))
        return;
    struct milgi__owner *owner = op->e.owner;
    disown(owner, op);
    owner->ops->op_done(owner, op);
}

/* No device had it. */
static void finish(struct milgi_engine *e, struct milgi_op *op)
{
    if (milgi__traced(&e->tracer))
        milgi__trace_op_end(e, op);
    tell_owner(op);
    milgi__op_release(e, op);
}

static bool may_rerun(const struct milgi_engine *e, const struct milgi_op *op)
{
    uint16_t needed = MILGI__OP_RERUN | MILGI__OP_OWNED;
    if (!e->o.rerun || op->e.tries || (op->flags & needed) != needed || (op->flags & MILGI__OP_ELSEWHERE))
        return false;
    return op->type > MILGI_OP_OPEN || !op->u.aead.in_place;
}

/* Once more, on this thread, when it is its turn: a device that fails hands back many at once. */
static void try_inline(struct milgi_engine *e, struct milgi__owner *owner, struct milgi_op *op)
{
    op->dev = 0;
    op->flags &= (uint16_t)~MILGI__OP_CHECK;
    op->e.state = MILGI__OP_WAITING;
    if (milgi__traced(&e->tracer))
        milgi__trace_op_start(e, &e->dev[0], op);
    if (milgi__line_append(&e->fair, &e->dev[0], owner, op)) {
        e->live |= 1u;
        return;
    }
    op->status = MILGI_OP_BROKEN;
    op->device_code = MILGI_CODE_CRYPTO;
    finish(e, op);
}

/* |op| into the line of |d| once more, which has been told that its signature is wrong. False: it may not. */
static bool ask_again(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op)
{
    if (!e->o.rerun || op->e.tries || !(op->flags & MILGI__OP_ELSEWHERE) || d->state != MILGI__DEV_SERVING)
        return false;
    if (!milgi__line_append(&e->fair, d, op->e.owner, op))
        return false;
    op->e.tries++;
    op->e.state = MILGI__OP_WAITING;
    e->live |= 1u << d->index;
    milgi__stats_rerun(&d->stat, op);
    if (milgi__traced(&e->tracer))
        milgi__trace_op_start(e, d, op);
    return true;
}

void milgi__op_ended(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op)
{
    bool checked = (op->flags & MILGI__OP_CHECK) && (op->flags & MILGI__OP_OWNED) && op->status == MILGI_OP_OK;
    if (checked)
        milgi__signature_check(e->cx, op);
    bool wrong = checked && op->status != MILGI_OP_OK && d->device->ops->wrong;
    if (wrong)
        d->device->ops->wrong(d->qp, op);
    milgi__stats_ended(&d->stat, op);
    if (milgi__traced(&e->tracer))
        milgi__trace_op_end(e, op);
    if (wrong && ask_again(e, d, op))
        return;
    bool failed = op->status == MILGI_OP_BROKEN || op->status == MILGI_OP_CANCELLED;
    if (failed && !(d->flags & MILGI_CAP_INLINE) && may_rerun(e, op)) {
        /* The device has given it back, so nobody else writes to its destination any more. */
        milgi__stats_rerun(&d->stat, op);
        op->e.tries++;
        try_inline(e, op->e.owner, op);
        return;
    }
    tell_owner(op);
    milgi__op_release(e, op);
}

void milgi__op_fail(struct milgi_engine *e, struct milgi_op *op, int code)
{
    op->status = MILGI_OP_BROKEN;
    op->device_code = code;
    finish(e, op);
}

/* --- past its deadline ------------------------------------------------------------------------------------------ */

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
        copy->u.kex = (struct milgi_op_kex){ .seed_len = kex->seed_len, .share = { .len = kex->share.len } };
        memcpy(copy->u.kex.seed, kex->seed, sizeof kex->seed);
        return;
    case MILGI_OP_ENCAPS:
        copy->u.kex = (struct milgi_op_kex){
            .seed_len = kex->seed_len, .share = kex->share, .ciphertext = { .len = kex->ciphertext.len }
        };
        memcpy(copy->u.kex.seed, kex->seed, sizeof kex->seed);
        return;
    case MILGI_OP_DERIVE:
    case MILGI_OP_DECAPS:
        copy->u.kex = (struct milgi_op_kex){ .secret_len = kex->secret_len, .share = kex->share };
        memcpy(copy->u.kex.secret, kex->secret, sizeof kex->secret);
        return;
    case MILGI_OP_SIGN:
        copy->u.sign = (struct milgi_op_sign){
            .input_len = sign->input_len, .any_curve = sign->any_curve, .blob = sign->blob
        };
        memcpy(copy->u.sign.input, sign->input, sizeof sign->input);
        if (milgi__sign_long(op) != 0)
            copy->u.sign.blob = (struct milgi_slice){ .len = sign->blob.len };
        return;
    case MILGI_OP_VERIFY: copy->u.sign = *sign; return;
    default:
        copy->u.chain = (struct milgi_op_chain){
            .chain = chain->chain,
            .ocsp_len = chain->ocsp_len,
            .now_s = chain->now_s,
            .purpose = chain->purpose,
            .staple = chain->staple,
            .name_is_ip = chain->name_is_ip,
            .name_len = chain->name_len,
        };
        memcpy(copy->u.chain.name, chain->name, sizeof chain->name);
    }
}

/* The inputs that lie in chunks. */
static void hold_inputs(const struct milgi_op *copy)
{
    struct milgi_chunk *chunk = NULL;
    switch (copy->type) {
    case MILGI_OP_DERIVE:
    case MILGI_OP_ENCAPS:
    case MILGI_OP_DECAPS: chunk = copy->u.kex.share.chunk; break;
    case MILGI_OP_SIGN:
        chunk = copy->u.sign.input_len == MILGI_SIGN_INPUT_IN_BLOB ? copy->u.sign.blob.chunk : NULL;
        break;
    case MILGI_OP_VERIFY: chunk = copy->u.sign.blob.chunk; break;
    case MILGI_OP_VERIFY_CHAIN: chunk = copy->u.chain.chain.chunk; break;
    default: break;
    }
    if (chunk)
        milgi_chunk_ref(chunk);
}

/* What goes to the peer is written elsewhere than the first device may still write; false: the copy is gone. */
static bool give_room(struct milgi_engine *e, struct milgi_op *copy)
{
    struct milgi_slice *to = copy->type == MILGI_OP_KEYGEN ? &copy->u.kex.share
        : copy->type == MILGI_OP_SIGN                      ? &copy->u.sign.blob
                                                           : &copy->u.kex.ciphertext;
    to->chunk = milgi__chunk_alloc(e->pool, to->len, 0, true);
    if (!to->chunk) {
        milgi__op_release(e, copy);
        return false;
    }
    to->data = to->chunk->data;
    return true;
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
    hold_inputs(copy);
    bool elsewhere = op->type == MILGI_OP_KEYGEN || op->type == MILGI_OP_ENCAPS ||
        (op->type == MILGI_OP_SIGN && milgi__sign_long(op) != 0);
    if (elsewhere && !give_room(e, copy))
        return NULL;
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
    if (milgi__traced(&e->tracer))
        milgi__trace_op_gone(e, op, MILGI_OP_LOST);
    milgi__oplist_remove(&d->flight[op->cls], op);
    milgi__oplist_append(&d->lent, op);
    /* It may never come back; what waits does not wait for it. */
    d->outstanding_ns -= op->e.cost_ns;
    op->e.state = MILGI__OP_LENT;
    if (op->flags & MILGI__OP_ORPHAN) {
        op->flags &= (uint16_t)~MILGI__OP_ORPHAN;
        e->orphans--;
    }
    if (!(op->flags & MILGI__OP_OWNED))
        return;
    struct milgi__owner *owner = op->e.owner;
    disown(owner, op);
    if (copy) {
        milgi__stats_rerun(&d->stat, op);
        milgi__op_own(owner, copy);
        try_inline(e, owner, copy);
        return;
    }
    struct milgi_op word = { .type = op->type, .cls = op->cls, .dev = op->dev, .alg = op->alg };
    word.status = MILGI_OP_LOST;
    word.device_code = MILGI_CODE_LOST;
    word.e = op->e;
    owner->ops->op_done(owner, &word);
}

/* --- its owner goes --------------------------------------------------------------------------------------------- */

/* What has not begun never does, what is in a device becomes an orphan. */
static void abandon(struct milgi_engine *e, struct milgi__owner *owner)
{
    while (owner->first_op) {
        struct milgi_op *op = owner->first_op;
        struct milgi__dev *d = &e->dev[op->dev];
        disown(owner, op);
        if (op->e.state == MILGI__OP_WAITING) {
            milgi__line_remove(&e->fair, d, owner, op);
            milgi__stats_dropped(&d->stat, op);
            if (milgi__traced(&e->tracer))
                milgi__trace_op_gone(e, op, MILGI_OP_CANCELLED);
            milgi__op_release(e, op);
        } else if (op->e.state == MILGI__OP_IN_FLIGHT && !(d->flags & MILGI_CAP_INLINE)) {
            op->flags |= MILGI__OP_ORPHAN;
            e->orphans++;
            if ((d->flags & MILGI_CAP_CANCEL) && d->device->ops->cancel)
                d->device->ops->cancel(d->qp, op);
        }
    }
}

void milgi__engine_detach(struct milgi_engine *e, struct milgi__owner *owner)
{
    abandon(e, owner);
    milgi__fair_forget(&e->fair, owner);
    milgi__owners_remove(&e->owners, owner);
}
