/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines before a device: which op goes next. Deficit round robin over expected service time, between classes and,
 * within a class, between connections.
 */
#pragma once

#include "engine/oplist.h"
#include "op/owner.h"

#define MILGI__BURST 32u         /* ops per enqueue() or dequeue() */
#define MILGI__QUANTUM_NS 200000 /* between classes: service time per share and round */

struct milgi__dev;

/* The ops of one owner that wait before one device, of one class. In the round while it has ops; its owner keeps it. */
struct milgi__flow {
    struct milgi__link link;  /* in its line's round */
    struct milgi__flow *next; /* the owner's others; in the free list */
    struct milgi__oplist ops;
    int64_t deficit;
    struct milgi__line *line;
    bool has_turn; /* its quantum for this round was given */
};

/* What waits before a device, of one class: its flows in turn. */
struct milgi__line {
    struct milgi__link round;
    uint32_t n;
    uint64_t cost_ns;
    uint32_t flows;      /* in the round, or in it when the burst began that is being made up */
    uint32_t emptied;    /* of them: in it no more */
    uint32_t quantum_ns; /* of a flow, per round: at least the largest op lately */
    uint32_t largest_ns; /* since the quantum was last set */
    uint64_t served_ns;  /* since then */
    int64_t deficit;     /* of the class */
};

/*
 * What has come since nothing waited before a device, as it came. It counts as waiting in its lines, but turns are not
 * worked out yet: if all of it goes in at once, and would have gone in this order, they need never be. Otherwise it is
 * sorted into the lines first, and everything is as if it had gone there when it came.
 */
struct milgi__fresh {
    struct milgi_op *op[MILGI__BURST];
    uint32_t n;
    uint16_t number;  /* comes round again: an owner that took no part may look as if it did, never the reverse */
    uint32_t lessons; /* its device's, when the first came */
    uint16_t flags;   /* of any */
    uint8_t classes;  /* of any, as bits */
    bool alone;       /* all are of one owner */
    bool apart;       /* each is another owner's */
};

/* How the turns stood before an op was taken. */
struct milgi__mark {
    int64_t flow_deficit, deficit[MILGI_OP_CLASSES];
    unsigned turn;
};

/* The engine's: where flows come from, and the weights of the classes. */
struct milgi__fair {
    struct milgi__flow *free;
    uint32_t free_n, promised; /* of them to fresh ops, so that sorting finds what it needs */
    uint16_t freshes;          /* how often something came where nothing waited */
    bool sorts;                /* at once: the turns are always worked out */
    void *slabs;               /* each begins with the address of the next */
    uint32_t share[MILGI_OP_CLASSES];
};

void milgi__fair_fini(struct milgi__fair *f);
void milgi__line_init(struct milgi__line *line);
/* false: no memory */
bool milgi__line_append(
    struct milgi__fair *f, struct milgi__dev *d, struct milgi__owner *owner, struct milgi_op *op);
void milgi__line_remove(struct milgi__fair *f, struct milgi__dev *d, struct milgi__owner *owner, struct milgi_op *op);
/*
 * All that waits before |d| is fresh, and in the order in which turns would let it go if it went at once: each op has
 * the first turn of its owner, or all are of one owner, and of one class.
 */
bool milgi__fair_in_order(const struct milgi__dev *d);
/* All that was fresh has gone in as it came: the turns of the classes stand as if it had been taken op by op. */
void milgi__fair_gone(struct milgi__fair *f, struct milgi__dev *d);
/* The next op in the order of turns, still in its line; NULL: none waits. */
struct milgi_op *milgi__fair_pick(struct milgi__fair *f, struct milgi__dev *d);
/* Takes what fair_pick() gave out of its line and charges for it; |mark| is for giving it back. */
void milgi__fair_take(struct milgi__dev *d, struct milgi_op *op, struct milgi__mark *mark);
/*
 * The reverse, in the reverse order, before milgi__fair_settle(): a refused op is offered again unchanged, and the
 * turns stand as they stood.
 */
void milgi__fair_put_back(struct milgi__dev *d, struct milgi_op *op, const struct milgi__mark *mark);
/* How many of the first |look| ops that were sorted into |line| are of |kind|. */
uint32_t milgi__fair_count(const struct milgi__line *line, unsigned kind, uint32_t look);
/* The burst is made up. */
void milgi__fair_settle(struct milgi__dev *d);
/* |owner| has nothing to do: what was kept for it goes. */
void milgi__fair_forget(struct milgi__fair *f, struct milgi__owner *owner);
