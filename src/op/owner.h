/* SPDX-License-Identifier: Apache-2.0 */
/* All that the engine knows of a connection. */
#pragma once

#include <milgi/op.h>

#include "base/base.h"

struct milgi__owner;

struct milgi__owner_ops {
    /*
     * Does everything that can be done now: parse, start ops, deliver. Returns estimated ns of its own work and of
     * its records; ops of the handshake that ran inline the engine has measured (milgi__engine_spent()). True in
     * *more: it stopped for the budget, not for lack of work.
     */
    uint64_t (*turn)(struct milgi__owner *owner, uint64_t budget_ns, bool *more);
    /*
     * An op of this owner has ended (op->status is final); the owner takes its results; the engine frees it
     * afterwards. Only flips states: calls nothing back, and may come from inside milgi__engine_submit().
     */
    void (*op_done)(struct milgi__owner *owner, struct milgi_op *op);
    /* The end of a run: hand out the output that was collected. */
    void (*flush)(struct milgi__owner *owner);
    /* Its deadline has passed. */
    void (*timeout)(struct milgi__owner *owner);
    /* Nothing has happened for a while: give back what an idle connection does not need. */
    void (*idle)(struct milgi__owner *owner);
    /* The engine ends: free it without calling back. */
    void (*drop)(struct milgi__owner *owner);
};

struct milgi__flow;

#define MILGI__OWNER_NEAR 768u /* bytes from an owner on, in which there is most of what idle() looks at */

struct milgi__owner {
    const struct milgi__owner_ops *ops;
    uint32_t index, generation; /* the handle */
    struct milgi_op *first_op;  /* all that it has submitted and not got back */
    struct milgi__flow *flows;  /* those of them that wait before devices */
    struct milgi__link ready;   /* in the engine's ready list */
    struct milgi__link dirty;   /* in the list of those to flush */
    struct milgi__link waiting; /* for ops or chunks */
    struct milgi__link cooling; /* among those that were busy lately */
    uint64_t busy_ns;           /* when its last turn was */
    uint64_t deadline_ns;       /* UINT64_MAX: none */
    uint32_t heap_at;           /* place in the timer heap + 1; 0: not in it */
    uint8_t cls;                /* enum milgi_op_class: what its turns are mostly spent on; HANDSHAKE at first */
    bool expired : 1;           /* its deadline has passed, and what it has to do comes first */
    bool woken : 1;             /* waited for ops or chunks, and its next turn is to try again */
    uint16_t fresh;             /* number of the fresh ops before a device that it has last added to */
};

/* A handle as one number; 0 is nobody's. */
static inline uint64_t milgi__handle_id(uint32_t index, uint32_t generation)
{
    return ((uint64_t)generation << 32 | index) + 1;
}

/* Whose an event is, and the plaintext in a chunk: its owner's, by this number. */
static inline uint64_t milgi__owner_id(const struct milgi__owner *owner)
{
    return milgi__handle_id(owner->index, owner->generation);
}
