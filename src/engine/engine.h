/* SPDX-License-Identifier: Apache-2.0 */
/* The engine as connections see it. */
#pragma once

#include <milgi/engine.h>

#include "buf/buf.h"
#include "crypto/context.h"
#include "op/op.h"
#include "op/owner.h"
#include "op/trace.h"

/* --- owners ----------------------------------------------------------------------------------------------------- */

/* gives it a handle; 0, MILGI_ELIMIT, MILGI_ENOMEM, MILGI_EFORK */
int milgi__engine_attach(struct milgi_engine *e, struct milgi__owner *owner);
/* Its handle is dead from here on; its ops in flight are orphans. */
void milgi__engine_detach(struct milgi_engine *e, struct milgi__owner *owner);
struct milgi__owner *milgi__engine_find(struct milgi_engine *e, uint32_t index, uint32_t generation); /* NULL: gone */
/* there is something to do: wakes an idle engine */
void milgi__engine_runnable(struct milgi_engine *e);
/* run its turn; wakes an idle engine */
void milgi__engine_ready(struct milgi_engine *e, struct milgi__owner *owner);
/* call its flush at the end of the run */
void milgi__engine_dirty(struct milgi_engine *e, struct milgi__owner *owner);
/* run its turn when ops or chunks are free again */
void milgi__engine_wait(struct milgi_engine *e, struct milgi__owner *owner);
/* UINT64_MAX: none */
void milgi__engine_deadline(struct milgi_engine *e, struct milgi__owner *owner, uint64_t deadline_ns);

/* --- ops -------------------------------------------------------------------------------------------------------- */

struct milgi_op *milgi__engine_op_new(struct milgi_engine *e, bool reserve); /* zeroed header; NULL: none free now */
void milgi__engine_op_free(struct milgi_engine *e, struct milgi_op *op);     /* one that was never submitted */
/* Takes the op. owner->ops->op_done() comes later, or from inside this call when the route is inline. */
void milgi__engine_submit(struct milgi_engine *e, struct milgi__owner *owner, struct milgi_op *op, uint32_t slot);
bool milgi__engine_inline(struct milgi_engine *e, int op_type, uint32_t size); /* would submit() run it at once? */
/*
 * Records of less than so many bytes may be given to milgi__engine_process() now instead of submitting an op of |type|
 * (SEAL or OPEN) for each; 0: none. Sizes are those of milgi__engine_inline().
 */
uint32_t milgi__engine_short(const struct milgi_engine *e, int type);
/* Seals or opens them at once; sets the status of each. They are counted, and sampled, as ops are. */
void milgi__engine_process(
    struct milgi_engine *e, int type, struct milgi_key *key, struct milgi_op_record *records, unsigned n);
/* Nobody will see what became of these: they are not counted. */
void milgi__engine_unprocess(
    struct milgi_engine *e, int type, const struct milgi_op_record *records, unsigned n);
bool milgi__engine_room(struct milgi_engine *e, unsigned ops, size_t bytes);
/* MILGI_FULL_REFUSE and the line is long */
bool milgi__engine_refuses(struct milgi_engine *e);

/* --- keys ------------------------------------------------------------------------------------------------------- */

/* NULL: no memory */
struct milgi_key *milgi__engine_key_aead(struct milgi_engine *e, uint16_t suite, const uint8_t *raw, size_t len);
/* one per credential, cached */
struct milgi_key *milgi__engine_key_private(struct milgi_engine *e, const struct milgi_credential *credential);
struct milgi_key *milgi__engine_key_trust(struct milgi_engine *e, const struct milgi_trust *trust);
static inline struct milgi_key *milgi__key_ref(struct milgi_key *key)
{
    key->refs++;
    return key;
}
void milgi__engine_key_unref(struct milgi_engine *e, struct milgi_key *key);

/* --- what it was given ------------------------------------------------------------------------------------------ */

/* As long as the engine, which begins with it: asked all the time. */
static inline const struct milgi__tracer *milgi__engine_tracer(const struct milgi_engine *e)
{
    return (const struct milgi__tracer *)(const void *)e;
}
struct milgi__crypto *milgi__engine_crypto(struct milgi_engine *e);
struct milgi__pool *milgi__engine_pool(struct milgi_engine *e);
uint64_t milgi__engine_now(struct milgi_engine *e); /* monotonic, read once per turn */
/* what this turn has spent so far: turns that have ended, and inline ops of handshakes, measured */
uint64_t milgi__engine_spent(const struct milgi_engine *e);
int64_t milgi__engine_wall(struct milgi_engine *e);
int milgi__engine_random(struct milgi_engine *e, uint8_t *out, size_t len);
/* Room for slices that an owner uses during its turn and nobody keeps. */
#define MILGI__SCRATCH_SLICES 64u
struct milgi_slice *milgi__engine_scratch(struct milgi_engine *e);
bool milgi__engine_foreign(const struct milgi_engine *e); /* another process */
void milgi__engine_count(struct milgi_engine *e, uint64_t copied, uint64_t sealed, uint64_t opened);
/* What came back from the device with index |dev| at |back_ns| (op->e.stamp_ns of a sampled op) has its turn. */
void milgi__engine_reorder(struct milgi_engine *e, unsigned dev, unsigned cls, uint64_t back_ns);
