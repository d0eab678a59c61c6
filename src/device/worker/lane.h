/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two ways between an engine and the workers, both lock-free.
 *
 * A lane carries ops from one engine to all workers: a ring with one writer and many takers. It has a cell for every op
 * that may be in flight, so it is never full.
 *
 * A done list carries them back: a stack that workers push to and that the engine takes as a whole. Its head doubles as
 * the engine's alarm: ARMED means "the list is empty, and the engine wants to be told". The worker whose push replaces
 * ARMED is the one, and the only one, that tells it. Whether the list is empty and whether somebody listens is thus
 * decided by one atomic word, and no wake-up can fall between two.
 */
#pragma once

#include <stdatomic.h>
#include <stdlib.h>

#include <milgi/op.h>

#include "base/base.h"

#define MILGI__CACHE_LINE 64

/* In op.scratch while the workers have it. */
struct milgi__ticket {
    _Atomic uint64_t state; /* enum milgi__ticket_state */
    struct milgi_op *next;  /* in the done list */
};
_Static_assert(sizeof(struct milgi__ticket) <= sizeof(((struct milgi_op *)0)->scratch), "the ticket fits an op");

enum milgi__ticket_state {
    MILGI__TICKET_WAITING,
    MILGI__TICKET_BEGUN,
    MILGI__TICKET_CANCELLED
};

static inline struct milgi__ticket *milgi__ticket(struct milgi_op *op)
{
    return (struct milgi__ticket *)(void *)op->scratch;
}

/* What the takers write has a line of the cache to itself, and so has what the engine writes. */
struct milgi__lane {
    _Alignas(MILGI__CACHE_LINE) _Atomic uint64_t head; /* ops taken so far */
    _Alignas(MILGI__CACHE_LINE) _Atomic uint64_t tail; /* ops that takers may see */
    uint64_t written;                                  /* the engine's: ops put, seen or not */
    uint64_t mask;
    _Atomic(struct milgi_op *) *cell;
};

/* Engine: puts an op behind those that are there; takers see it after the next publish. */
static inline void milgi__lane_put(struct milgi__lane *lane, struct milgi_op *op)
{
    atomic_store_explicit(&lane->cell[lane->written++ & lane->mask], op, memory_order_relaxed);
}

static inline void milgi__lane_publish(struct milgi__lane *lane)
{
    if (atomic_load_explicit(&lane->tail, memory_order_relaxed) != lane->written)
        (void)atomic_exchange(&lane->tail, lane->written);
}

/*
 * Any thread: takes a fair share of what waits, at least one op if there is one and at most |max|, when |sharers| take.
 *
 * A cell read here may already be written anew, if others took it meanwhile; but the engine reuses a cell only after
 * its op came back, so after the head had moved past it, and then the exchange fails.
 */
static inline unsigned milgi__lane_take(
    struct milgi__lane *lane, struct milgi_op **ops, unsigned max, unsigned sharers)
{
    uint64_t head = atomic_load_explicit(&lane->head, memory_order_acquire);

    for (;;) {
        uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_acquire);
        if (head == tail)
            return 0;
        uint64_t share = (tail - head + sharers - 1) / sharers;
        unsigned n = share < max ? (unsigned)share : max;
        for (unsigned i = 0; i < n; i++)
            ops[i] = atomic_load_explicit(&lane->cell[(head + i) & lane->mask], memory_order_relaxed);
        if (atomic_compare_exchange_weak(&lane->head, &head, head + n))
            return n;
    }
}

/*
 * For the last look before sleep: reads the tail by a read-modify-write, so that it has a place in the one order. A
 * head that is read too old only makes it look once more.
 */
static inline bool milgi__lane_waiting(struct milgi__lane *lane)
{
    uint64_t tail = atomic_fetch_add(&lane->tail, 0);
    return atomic_load(&lane->head) != tail;
}

struct milgi__done {
    _Alignas(MILGI__CACHE_LINE) _Atomic(struct milgi_op *) head; /* the last op pushed, NULL, or ARMED */
};

/* No op has this address. */
#define MILGI__ARMED ((struct milgi_op *)(uintptr_t)1)

/* Worker: gives an op back. True: the engine was armed, and it is this worker that must wake it. */
static inline bool milgi__done_push(struct milgi__done *done, struct milgi_op *op)
{
    struct milgi_op *head = atomic_load_explicit(&done->head, memory_order_relaxed);

    do
        milgi__ticket(op)->next = head == MILGI__ARMED ? NULL : head;
    while (!atomic_compare_exchange_weak(&done->head, &head, op));
    return head == MILGI__ARMED;
}

/* Engine: true if there is something to take. */
static inline bool milgi__done_some(struct milgi__done *done)
{
    struct milgi_op *head = atomic_load_explicit(&done->head, memory_order_acquire);
    return head && head != MILGI__ARMED;
}

/* Engine: takes all of them, the last pushed first. */
static inline struct milgi_op *milgi__done_take(struct milgi__done *done)
{
    struct milgi_op *head = atomic_exchange(&done->head, NULL);
    return head == MILGI__ARMED ? NULL : head;
}

/*
 * Engine: true if it will be told of the next push; false: there is something to take already. Finding ARMED is as good
 * as putting it there: only the engine takes it away itself, and who else has replaced it meanwhile tells.
 */
static inline bool milgi__done_arm(struct milgi__done *done)
{
    struct milgi_op *head = NULL;
    return atomic_compare_exchange_strong(&done->head, &head, MILGI__ARMED) || head == MILGI__ARMED;
}
