/* SPDX-License-Identifier: Apache-2.0 */
/* An op's life, and the one way to perform an op with the crypto library. */
#pragma once

#include <milgi/op.h>

#include "base/base.h"
#include "base/failure.h"
#include "buf/buf.h"
#include "op/algorithm.h"

/* States of op.e.state; engine/ moves them. */
enum milgi__op_state {
    MILGI__OP_FREE,
    MILGI__OP_MADE,      /* its owner fills it in */
    MILGI__OP_WAITING,   /* in a line before a device */
    MILGI__OP_IN_FLIGHT, /* a device has it */
    MILGI__OP_LENT,      /* past its deadline: its owner has been told LOST, the device still has it */
    MILGI__OP_ABANDONED  /* left to a device that never gave it back, until the process ends */
};

/* op.flags */
#define MILGI__OP_RESERVE 1u /* drawn from the reserve */
#define MILGI__OP_ORPHAN 2u  /* its owner is gone: only released and wiped on return */
#define MILGI__OP_CHECK 4u   /* a SIGN whose result is verified before its owner sees it */
#define MILGI__OP_RERUN 8u   /* may be re-run: inputs stay intact, its key is not bound to a device */
#define MILGI__OP_HAS_DST 16u
#define MILGI__OP_SAMPLED 32u /* its times go into the histograms; e.stamp_ns is set */

/* Gives up what the op holds (chunks; not its key) and wipes its secrets. */
void milgi__op_clear(struct milgi_op *op);

/*
 * Performs |op| here and now; sets status and device_code. |loaded| is what milgi__loaded_new() made of op->key on
 * this thread (NULL for AEAD keys and key-less ops).
 */
void milgi__op_perform(struct milgi__crypto *cx, struct milgi_op *op, void *loaded);

#define MILGI__OP_SHORT 1024u /* input of a record that is worth being done together with others */

static inline bool milgi__op_is_short(const struct milgi_op *op)
{
    bool record = op->type == MILGI_OP_SEAL || op->type == MILGI_OP_OPEN;
    return record && op->u.aead.src_n == 1 && op->u.aead.src[0].len <= MILGI__OP_SHORT;
}

/*
 * As milgi__op_perform() of each of |n| ops that need no loaded key. Short records, of any keys, are done together, so
 * that while one waits for the processor the next goes on: no op may need what another makes.
 */
void milgi__op_perform_records(struct milgi__crypto *cx, struct milgi_op *const *ops, unsigned n);

/* How long the signatures of a SIGN are that go to |blob|; 0: they go to |sig|. */
size_t milgi__sign_long(const struct milgi_op *op);
/* The signature that a SIGN has made, sig_len bytes; NULL: that cannot be one. */
const uint8_t *milgi__signature(const struct milgi_op *op);

/* The SIGN is with a key of RSA's, or of what is not known. */
bool milgi__signs_by_rsa(const struct milgi_op *op);
/*
 * A signature that came from elsewhere is looked at before it is sent: a fault in its making could give the key away.
 * One that is wrong is BROKEN.
 */
void milgi__signature_check(struct milgi__crypto *cx, struct milgi_op *op);

/* What is to be signed by, or was signed before, an op of |type|; false: it makes no sense. */
static inline bool milgi__sign_input(
    const struct milgi_op_sign *s, int type, const uint8_t **input, size_t *len)
{
    size_t before = type == MILGI_OP_VERIFY ? (size_t)s->spki_len + s->sig_len : 0;
    *input = s->input;
    *len = s->input_len;
    if (s->input_len != MILGI_SIGN_INPUT_IN_BLOB)
        return s->input_len <= sizeof s->input;
    if (!s->blob.data || before > s->blob.len)
        return false;
    *input = s->blob.data + before;
    *len = s->blob.len - before;
    return true;
}

/* Seals or opens (|type|) records of an AEAD key here and now, in order; sets status and device_code of each. */
void milgi__op_records(struct milgi__crypto *cx, int type, const struct milgi_key *key,
    struct milgi_op_record *records, unsigned n);

/*
 * Why an op of |type| that ended with |status| failed, when that is no verdict on the peer: without memory
 * (MILGI_CODE_NO_MEMORY), or by the device's fault.
 */
struct milgi__failure milgi__op_failure(int type, int status, int device_code);

/* Whether the key's bytes are in this process. They were read before: only want of memory is in the way. */
bool milgi__key_is_here(const struct milgi_key *key);
/* A PRIVATE or TRUST key made usable for one thread; NULL: the key's bytes are not here, or no memory. */
void *milgi__loaded_new(struct milgi__crypto *cx, const struct milgi_key *key);
void milgi__loaded_free(const struct milgi_key *key, void *loaded);

/* A serial that no key of this process has had. */
uint64_t milgi__key_serial(void);
