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
#define MILGI__SPINS 32u             /* a device is not waited for by more turns than these in a row */
#define MILGI__LENT_NS 100000000u    /* a device that owes only lost ops is looked at this often */
#define MILGI__COOL_NS 5000000u      /* an owner that has had no turn for this long is idle */
#define MILGI__SPILL_NS 1000000u     /* service time that a turn spends on what waits before one device */
#define MILGI__QUANTUM_NS 200000     /* deficit round robin between classes: service time per share and round */
#define MILGI__LOOKS 10000u          /* a device without a descriptor is not looked at more often in one go */
#define MILGI__PROBE_NS 1000000000u  /* a slower device is tried again after this, if it was not measured meanwhile */

/* device_code of a SIGN whose signature did not verify */
#define MILGI__CODE_BAD_SIGNATURE (-1000)
#define MILGI__CODE_NO_KEY (-1001)
/* device_code of an op whose only device is failing and takes nothing */
#define MILGI__CODE_RETIRED (-1002)

/* op.flags, beside those of op.h: the engine's thread may run it itself when that is sooner */
#define MILGI__OP_EITHER 64u
#define MILGI__OP_OWNED 256u     /* in the list of its owner, who will be told of its end */
#define MILGI__OP_ELSEWHERE 128u /* its key is where its device is: nobody else can run it */

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

/* The ops of one owner that wait before one device, of one class. In the round while it has ops. */
struct milgi__flow {
    struct milgi__link link;  /* in its line's round, or among the emptied */
    struct milgi__flow *next; /* the owner's others; in the free list */
    struct milgi__oplist ops;
    int64_t deficit;
    struct milgi__owner *owner; /* who goes takes its flows along */
    uint8_t dev, cls;
    bool has_turn; /* its quantum for this round was given */
};

/* What waits before a device, of one class: its flows in turn. */
struct milgi__line {
    struct milgi__link round, emptied;
    uint32_t n;
    uint64_t cost_ns;
    uint32_t flows;      /* with ops */
    uint32_t quantum_ns; /* of a flow, per round: at least the largest op lately */
    uint32_t largest_ns; /* since the quantum was last set */
    uint64_t served_ns;  /* since then */
    int64_t deficit;     /* of the class */
};

/* How the turns stood before an op was taken. */
struct milgi__mark {
    int64_t flow_deficit, deficit[MILGI_OP_CLASSES];
    unsigned turn;
};

/* What a device is to the engine. */
enum milgi__dev_state {
    MILGI__DEV_NONE,    /* the index is free */
    MILGI__DEV_SERVING, /* takes ops */
    MILGI__DEV_RETIRED, /* is failing: tried again after a while */
    MILGI__DEV_LEAVING  /* on its way out */
};

#define MILGI__SCALE_ONE 256u

struct milgi__dev {
    struct milgi_device *device;
    struct milgi_qp *qp;
    uint32_t flags; /* the device's caps.flags */
    int fd;
    enum milgi__dev_state state;
    bool armed;             /* it was once: notifications may come late */
    uint64_t full_since_ns; /* ops wait and none was accepted since; 0: not so */
    uint64_t retry_ns;      /* RETIRED: until then */
    uint64_t leave_ns;      /* LEAVING: until then what is in it may come back */
    struct milgi__line line[MILGI_OP_CLASSES];
    struct milgi__oplist flight[MILGI_OP_CLASSES]; /* in it, oldest first */
    struct milgi__oplist lent;                     /* past their deadline: quarantined */
    uint64_t outstanding_ns;                       /* expected, of what is in it and not lost */
    uint64_t limit_ns;                             /* of that */
    unsigned turn;                                 /* class whose turn it is */
    uint32_t spins;                                /* answers of AGAIN since something went in or came back */
    uint64_t quiet_since_ns;                       /* nothing has come back since: for busy polling */
    uint64_t held_since_ns;                        /* a small burst waits for more since; 0: none does */
    bool more_here;                                /* this thread has more to do of what waits */
    uint32_t burst;                                /* ops after which a line is flushed at once */
    uint32_t lessons;                              /* how often it has changed: what expectations were reckoned with */
    uint32_t scale[MILGI__KINDS];                  /* measured by estimated service time; 256: as estimated */
    uint32_t learned_ms[MILGI__KINDS];             /* when it was measured last */
    uint8_t learned[2 * MILGI__SUITES];            /* by suite and direction: sizes, as bits, that were measured */
    bool tells;                                    /* its ops say how long they took, some of them at least */
    bool probed[MILGI__KINDS];                     /* one op is to find out */
    struct milgi__dev_stats stat;
};

struct milgi__route {
    uint32_t set; /* devices, as bits: to whichever of them finishes first; never empty */
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
    bool ever_armed;   /* so once */
    bool looks;        /* this turn looks at devices that have nothing to do, too: their notifications may come late */
    struct milgi__crypto *cx;
    struct milgi__pool *pool;
    uint64_t now_ns;
    uint64_t turns;

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
    unsigned devs_n; /* the highest index in use + 1 */
    uint32_t live;   /* devices, as bits, that a turn has to look at: all others are idle and well, and cost nothing */
    struct milgi__route route[MILGI_OP_TYPES];
    unsigned memory_dev; /* the device whose memory the chunks are; 0: ordinary */
    uint32_t learn_tick;
    bool learn_inline; /* some route has the inline device beside others: its times are wanted */
    struct milgi__stats stat;
    struct milgi__flow *free_flows;
    void *flow_slabs; /* each begins with the address of the next */

    struct milgi_key **keys; /* private and trust keys, most recent last: the cache */
    uint32_t keys_n;
    struct milgi__link all_keys; /* every private and trust key that is alive */

    struct milgi_slice scratch[MILGI__SCRATCH_SLICES];
    uint64_t copied, sealed, opened;
};

/* What is in it and expected back. */
static inline uint32_t milgi__dev_flight(const struct milgi__dev *d)
{
    return d->flight[0].n + d->flight[1].n;
}

static inline uint32_t milgi__dev_inside(const struct milgi__dev *d)
{
    return milgi__dev_flight(d) + d->lent.n;
}

static inline uint32_t milgi__dev_waiting(const struct milgi__dev *d)
{
    return d->line[0].n + d->line[1].n;
}

/* |ns| after |t_ns|; UINT64_MAX is never. */
static inline uint64_t milgi__after(uint64_t t_ns, uint64_t ns)
{
    return ns < UINT64_MAX - t_ns ? t_ns + ns : UINT64_MAX;
}

/* How long a unit of |d| is expected to need for an op. */
static inline uint32_t milgi__dev_expected_ns(const struct milgi__dev *d, unsigned kind, uint32_t estimate_ns)
{
    uint64_t ns = (uint64_t)estimate_ns * d->scale[kind] / MILGI__SCALE_ONE;
    return (uint32_t)MILGI__MIN(MILGI__MAX(ns, 1), UINT32_MAX);
}

/* owners.c */
void milgi__heap_fix(struct milgi_engine *e, struct milgi__owner *owner);
void milgi__heap_remove(struct milgi_engine *e, struct milgi__owner *owner);

/* ops.c */
void milgi__op_release(struct milgi_engine *e, struct milgi_op *op);
void milgi__op_ended(struct milgi_engine *e, struct milgi_op *op); /* its status is final and no device has it */
void milgi__op_lost(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op);
void milgi__op_inline(struct milgi_engine *e, struct milgi_op *op); /* run it on device 0 now */
/* What waits before |d| goes elsewhere. */
void milgi__op_reroute(struct milgi_engine *e, struct milgi_op *op);
/* Its owner goes: what has not begun never does, what is in a device becomes an orphan. */
void milgi__ops_abandon(struct milgi_engine *e, struct milgi__owner *owner);
void milgi__ops_fini(struct milgi_engine *e);

/* route.c */
void milgi__route_init(struct milgi_engine *e);
void milgi__route_drop(struct milgi_engine *e, unsigned index); /* no route names it any more */
/* Where |op| goes, its key is ready there and its expected cost set. Device 0: run it now. */
struct milgi__dev *milgi__route_op(struct milgi_engine *e, struct milgi_op *op);
uint64_t milgi__route_inline_ns(const struct milgi_engine *e, const struct milgi_op *op);
/* |op| came back from |d| at |now_ns| after |ns|, measured at the device or around it. */
void milgi__route_learn(struct milgi__dev *d, const struct milgi_op *op, uint64_t ns, uint64_t now_ns);
/*
 * |d| would need |there_ns| for |op| and somebody else |here_ns|, which is less. True now and then, when it was not
 * measured for long: whether that is still so is found out by this op.
 */
bool milgi__route_probe(
    const struct milgi_engine *e, struct milgi__dev *d, const struct milgi_op *op, uint64_t there_ns, uint64_t here_ns);

/* batch.c */
void milgi__dev_flush(struct milgi_engine *e, struct milgi__dev *d);

/* fair.c */
void milgi__line_init(struct milgi__line *line);
/* false: no memory */
bool milgi__line_append(struct milgi_engine *e, struct milgi__dev *d, struct milgi__owner *owner, struct milgi_op *op);
void milgi__line_remove(struct milgi_engine *e, struct milgi__dev *d, struct milgi_op *op);
/* The next op in the order of turns, still in its line; NULL: none waits. */
struct milgi_op *milgi__fair_pick(struct milgi_engine *e, struct milgi__dev *d);
/* Takes what fair_pick() gave out of its line and charges for it; |mark| is for giving it back. */
void milgi__fair_take(struct milgi__dev *d, struct milgi_op *op, struct milgi__mark *mark);
/*
 * The reverse, in the reverse order, before milgi__fair_settle(): a refused op is offered again unchanged, and the
 * turns stand as they stood.
 */
void milgi__fair_put_back(struct milgi__dev *d, struct milgi_op *op, const struct milgi__mark *mark);
/* Flows that are left without ops go. */
void milgi__fair_settle(struct milgi_engine *e, struct milgi__dev *d);
void milgi__fair_fini(struct milgi_engine *e);

/* poll.c */
unsigned milgi__dev_poll(struct milgi_engine *e, struct milgi__dev *d); /* ops that came back */
/* Before sleep: 1 run again now; else *deadline is lowered to when it must be looked at. */
int milgi__dev_arm(struct milgi_engine *e, struct milgi__dev *d, uint64_t *deadline_ns);

/* devices.c */
int milgi__dev_open(struct milgi_engine *e, struct milgi_device *device);
/* with a device that accepts nothing; UINT64_MAX: endless */
uint64_t milgi__dev_patience(const struct milgi_engine *e);
/* Deadlines, health, leaving: once per turn. False: there is nothing to watch until it is given an op. */
bool milgi__dev_watch(struct milgi_engine *e, struct milgi__dev *d);
void milgi__dev_drain(struct milgi_engine *e, struct milgi__dev *d); /* at the engine's end: nobody is told */

/* keys.c */
/* loads it if the device wants that */
bool milgi__key_ready(struct milgi_engine *e, struct milgi__dev *d, struct milgi_key *key);
/*
 * Drops the keys of credentials and trusts that nobody but the cache holds any more: a private key that was replaced
 * does not stay.
 */
void milgi__keys_sweep(struct milgi_engine *e);
/* The device at |index| goes: no key remembers it. */
void milgi__keys_forget(struct milgi_engine *e, unsigned index);
void milgi__keys_fini(struct milgi_engine *e);
