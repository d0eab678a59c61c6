/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's insides, shared by the files of this directory. */
#pragma once

#include <stdatomic.h>

#include "base/port.h"
#include "engine/engine.h"
#include "engine/stats.h"

#define MILGI__BURST 32u             /* ops per enqueue() or dequeue() */
#define MILGI__OP_RESERVED 64u       /* ops kept for alerts and close */
#define MILGI__SLAB_OPS 64u          /* ops allocated at once */
#define MILGI__KEY_CACHE 256u        /* private and trust keys kept without an op that uses them */
#define MILGI__RETRY_NS 100000u      /* a device that is full with nothing in flight is asked again after this */
#define MILGI__WAITERS_NS 100000000u /* who waits for ops or chunks tries again after this, whatever was freed */
#define MILGI__RETIRE_NS 1000000000u /* a device out of service is left alone for this long */
#define MILGI__COOL_NS 5000000u      /* an owner that has had no turn for this long is idle */
#define MILGI__SPILL_NS 1000000u     /* service time that is done at once for a device out of service */
#define MILGI__QUANTUM_NS 200000     /* deficit round robin: service time per share and round */

/* device_code of a SIGN whose signature did not verify */
#define MILGI__CODE_BAD_SIGNATURE (-1000)
#define MILGI__CODE_NO_KEY (-1001)

struct milgi__oplist {
    struct milgi_op *first, *last;
    uint32_t n;
};

static inline void milgi__oplist_append(struct milgi__oplist *list, struct milgi_op *op)
{
    op->e.next = NULL;
    op->e.prev = list->last;
    if (list->last)
        list->last->e.next = op;
    else
        list->first = op;
    list->last = op;
    list->n++;
}

static inline void milgi__oplist_remove(struct milgi__oplist *list, struct milgi_op *op)
{
    if (op->e.prev)
        op->e.prev->e.next = op->e.next;
    else
        list->first = op->e.next;
    if (op->e.next)
        op->e.next->e.prev = op->e.prev;
    else
        list->last = op->e.prev;
    op->e.next = op->e.prev = NULL;
    list->n--;
}

struct milgi__dev {
    struct milgi_device *device;
    struct milgi_qp *qp;
    uint32_t flags; /* the device's caps.flags */
    int fd;
    bool in_service;
    bool armed;                                    /* it was once: notifications may come late */
    uint64_t full_since_ns;                        /* ops wait and none was accepted since; 0: not so */
    uint64_t retry_ns;                             /* out of service until then */
    struct milgi__oplist line[MILGI_OP_CLASSES];   /* before it */
    struct milgi__oplist flight[MILGI_OP_CLASSES]; /* in it, oldest first */
    struct milgi__oplist lent;                     /* past their deadline: quarantined */
    uint64_t outstanding_ns;                       /* estimated, of what is in flight */
    int64_t deficit[MILGI_OP_CLASSES];
    unsigned turn;           /* class whose turn it is */
    uint64_t quiet_since_ns; /* nothing has come back since: for busy polling */
    struct milgi__dev_stats stat;
};

struct milgi__route {
    unsigned dev;
    uint32_t min_record;
};

struct milgi__owner_slot {
    struct milgi__owner *owner;
    uint32_t generation;
    uint32_t next_free; /* + 1 */
};

struct milgi__post_item {
    struct milgi__post_item *next;
    void (*fn)(void *arg);
    void *arg;
};

struct milgi_engine {
    struct milgi_engine_options o;
    uint64_t process;
    bool running, scheduled, freed_something;
    struct milgi__port_waker waker;
    atomic_bool woken; /* the waker was woken and not yet cleared */
    bool armed;        /* some device may have made the waker readable */
    struct milgi__crypto *cx;
    struct milgi__pool *pool;
    uint64_t now_ns;
    uint64_t turns;
    struct milgi__stats stat;

    struct milgi__owner_slot *owners;
    uint32_t owners_cap, owners_n, owners_free;
    struct milgi__link ready, dirty, waiting, cooling; /* cooling: the longest idle first */
    struct milgi__link waking;                         /* waited, and are to try again */
    uint64_t waiters_ns;                               /* when those who wait try again in any case */
    struct milgi__owner **heap;
    uint32_t heap_n, heap_cap;

    _Atomic(struct milgi__post_item *) posts;

    struct milgi_op **slabs;
    uint32_t slabs_n, slabs_cap;
    struct milgi_op *free_ops;
    uint32_t ops_alive, ops_made;
    uint32_t orphans;
    uint64_t next_op;

    struct milgi__dev dev[MILGI_DEVICES_MAX];
    unsigned devs_n;
    struct milgi__route route[MILGI_OP_TYPES];

    struct milgi_key **keys; /* private and trust keys, most recent last */
    uint32_t keys_n, keys_cap;

    struct milgi_slice scratch[MILGI__SCRATCH_SLICES];
    uint64_t copied, sealed, opened;
};

/* owners.c */
void milgi__heap_fix(struct milgi_engine *e, struct milgi__owner *owner);
void milgi__heap_remove(struct milgi_engine *e, struct milgi__owner *owner);

/* ops.c */
void milgi__op_release(struct milgi_engine *e, struct milgi_op *op);
void milgi__op_ended(struct milgi_engine *e, struct milgi_op *op); /* its status is final and no device has it */
void milgi__op_lost(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op);
void milgi__op_inline(struct milgi_engine *e, struct milgi_op *op); /* run it on device 0 now */
void milgi__ops_fini(struct milgi_engine *e);

/* batch.c */
void milgi__dev_flush(struct milgi_engine *e, struct milgi__dev *d);
/* takes it out of service: its line goes to the inline device */
void milgi__dev_retire(struct milgi_engine *e, struct milgi__dev *d);

/* fair.c */
int milgi__fair_pick(struct milgi_engine *e, struct milgi__dev *d); /* class whose head goes next; -1: none */
void milgi__fair_charge(struct milgi__dev *d, unsigned cls, uint32_t cost_ns);

/* poll.c */
unsigned milgi__dev_poll(struct milgi_engine *e, struct milgi__dev *d); /* ops that came back */
void milgi__dev_expire(struct milgi_engine *e, struct milgi__dev *d);
/* Before sleep: 1 run again now; else *deadline is lowered to when it must be looked at. */
int milgi__dev_arm(struct milgi_engine *e, struct milgi__dev *d, uint64_t *deadline_ns);

/* keys.c */
/* loads it if the device wants that */
bool milgi__key_ready(struct milgi_engine *e, struct milgi__dev *d, struct milgi_key *key);
/*
 * Drops the keys of credentials and trusts that nobody but the cache holds any more: a private key that was replaced
 * does not stay.
 */
void milgi__keys_sweep(struct milgi_engine *e);
void milgi__keys_fini(struct milgi_engine *e);
