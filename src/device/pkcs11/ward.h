/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wards: each token of a device has one, with a line of its own, threads of its own and a health of its own, so that a
 * token that hangs costs nobody but its own keys.
 *
 * A thread works on memory of its own and copies the result into the op at the end. So an op can be taken away from a
 * call that does not return: when |timeout_ns| is over the keeper, a thread for all wards, gives it back BROKEN, lets
 * another thread take the hung one's place, and closes the ward: what waits and what comes is given back at once, but
 * for one op now and then that tries whether the token answers again. The ward opens when one does, or when a call that
 * was given up returns after all.
 *
 * All of it is behind one lock, which is never held while a token is asked.
 */
#pragma once

#include <milgi/op.h>

#include "base/base.h"

struct milgi__wards;
struct milgi__ward;
struct milgi__ward_qp; /* an engine's way in and out */
struct milgi__crypto;

struct milgi__ward_ops {
    /* Signs into |sign|, as long as it takes. 0 or a device code. |key| is what milgi__ward_enqueue() was given. */
    int (*perform)(void *key, struct milgi__crypto *cx, uint16_t scheme, struct milgi_op_sign *sign);
    /* A thread has taken up, or puts down, |key|. */
    void (*hold)(void *key);
    void (*let_go)(void *key);
    /* |name| has got ill (|code|), or well (0). On the keeper, without a lock. */
    void (*tell)(void *ctx, const char *name, int code);
    /* No thread is inside of a token any more, and none will be. On the keeper; may block. */
    void (*end)(void *ctx);
    /* Nobody needs |ctx| any more, after milgi__wards_free() has been left waiting. On the keeper. */
    void (*gone)(void *ctx);
};

struct milgi__ward_options {
    const struct milgi__ward_ops *ops;
    void *ctx;
    unsigned workers; /* per ward */
    unsigned depth;   /* ops in flight per queue pair */
    uint64_t timeout_ns;
    int timeout_code; /* of an op that was given up */
    int closed_code;  /* of one that came to a closed ward */
};

/* 0, MILGI_ENOMEM or MILGI_ELIMIT. */
int milgi__wards_new(const struct milgi__ward_options *options, struct milgi__wards **out);
/* Every queue pair is closed. False: something does not return; then gone() is called when it has, if ever. */
bool milgi__wards_free(struct milgi__wards *wards);

/*
 * The ward of this name, which is made if there is none; when there are too many, that of another name. A reference.
 * NULL: no memory. Any thread.
 */
struct milgi__ward *milgi__ward_get(struct milgi__wards *wards, const char *name);
void milgi__ward_put(struct milgi__ward *ward);

/* NULL: no memory or descriptor. The functions below are the engine's alone, as milgi/device.h says them. */
struct milgi__ward_qp *milgi__ward_open(struct milgi__wards *wards);
void milgi__ward_close(struct milgi__ward_qp *qp);
/* False: full. The op is given back with |code| if that is not 0, else it goes to |ward|. */
bool milgi__ward_enqueue(
    struct milgi__ward_qp *qp, struct milgi__ward *ward, void *key, struct milgi_op *op, int code);
unsigned milgi__ward_dequeue(struct milgi__ward_qp *qp, struct milgi_op **ops, unsigned n);
int milgi__ward_fd(const struct milgi__ward_qp *qp);
int milgi__ward_arm(struct milgi__ward_qp *qp);
void milgi__ward_cancel(struct milgi__ward_qp *qp, struct milgi_op *op);
/* Always ends: what is under way when |limit_ns| is over is given up. */
void milgi__ward_quiesce(struct milgi__ward_qp *qp, uint64_t limit_ns);
