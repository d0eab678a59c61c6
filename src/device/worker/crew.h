/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crew: threads that execute the ops of any number of engines. What a worker does with an op is the device's: it
 * computes; what may block for ever is no work for a crew, whose queue pairs it would keep from ending.
 *
 * An engine reaches the crew through a queue pair of three lanes (records, handshake ops, and those of the latter that
 * are done together) and a done list. All workers serve all lanes of all queue pairs. Of the two kinds of work neither
 * may starve the other: the first worker of several takes records before handshake ops, so never are all of them on
 * handshake ops while records wait; every other one (and a worker that is alone) prefers what it has not done last.
 */
#pragma once

#include <stdbool.h>

#include <milgi/op.h>

#include "base/base.h"

struct milgi__crew;
struct milgi__crew_qp;

#define MILGI__CREW_TOGETHER 16u

struct milgi__crew_ops {
    /* up to 9 characters */
    const char *thread_name;
    /* What a worker owns; called on the maker's thread. NULL: none to be had. */
    void *(*worker_new)(void *ctx);
    void (*worker_free)(void *state);
    /* Sets status and device_code. */
    void (*perform)(void *state, unsigned worker, struct milgi_op *op);
    /* The same of short records, up to MILGI__CREW_TOGETHER, each of any key. NULL: that is no gain. */
    void (*perform_records)(void *state, struct milgi_op *const *ops, unsigned n);
    /*
     * Handshake ops that a worker takes several of at once, up to MILGI__CREW_TOGETHER, because that is done sooner
     * than one by one; asked on the engine's thread. NULL: there are none.
     */
    bool (*together)(void *ctx, const struct milgi_op *op);
    /* Sets status, device_code and service_ns of each. */
    void (*perform_together)(void *state, unsigned worker, struct milgi_op *const *ops, unsigned n);
    /* Wipes what the worker keeps of the key with this serial, or of all keys (before a long sleep). */
    void (*forget)(void *state, uint64_t serial);
    void (*forget_all)(void *state);
};

struct milgi__crew_options {
    const struct milgi__crew_ops *ops;
    void *ctx;
    unsigned workers;
    unsigned depth;   /* ops in flight per queue pair */
    uint64_t spin_ns; /* how long a worker looks for work before it sleeps */
};

/* 0, MILGI_ENOMEM or MILGI_ELIMIT. */
int milgi__crew_new(const struct milgi__crew_options *options, struct milgi__crew **out);
/*
 * Every queue pair is closed. Joins the threads. False: one of them does not come out of its op within a second; then
 * nothing is freed, and all that |ops| and |ctx| lead to has to stay.
 */
bool milgi__crew_free(struct milgi__crew *crew);

/* Any thread: every worker forgets this key before its next op, or soon when it sleeps. */
void milgi__crew_forget(struct milgi__crew *crew, uint64_t serial);
/* The same of all keys. */
void milgi__crew_forget_all(struct milgi__crew *crew);

/*
 * NULL: no more of them, or no memory. The functions below are the engine's alone, as milgi/device.h says them. A queue
 * pair that is closed with ops in it is used again only when all of them have come back.
 */
struct milgi__crew_qp *milgi__crew_open(struct milgi__crew *crew);
void milgi__crew_close(struct milgi__crew_qp *qp);
unsigned milgi__crew_enqueue(struct milgi__crew_qp *qp, struct milgi_op *const *ops, unsigned n);
unsigned milgi__crew_dequeue(struct milgi__crew_qp *qp, struct milgi_op **ops, unsigned n);
int milgi__crew_fd(struct milgi__crew_qp *qp);
int milgi__crew_arm(struct milgi__crew_qp *qp);
void milgi__crew_cancel(struct milgi__crew_qp *qp, struct milgi_op *op);
int milgi__crew_quiesce(struct milgi__crew_qp *qp, uint64_t limit_ns);
