/* SPDX-License-Identifier: Apache-2.0 */
/* The engine, put together from its parts: for the files that work on several of them. */
#pragma once

#include "engine/dev.h"
#include "engine/engine.h"
#include "engine/owners.h"
#include "engine/posts.h"
#include "engine/slab.h"
#include "op/trace.h"

#define MILGI__BUDGET_NS 1000000u /* of a turn that was given none */

/* op.flags, beside those of op.h: the engine's thread may run it itself when that is sooner */
#define MILGI__OP_EITHER 64u
#define MILGI__OP_ELSEWHERE 128u /* its key is where its device is: nobody else can run it */
#define MILGI__OP_OWNED 256u     /* in the list of its owner, who will be told of its end */
#define MILGI__OP_PROBE 512u     /* the engine's own: does a device that failed work again? */

/* op.e.group: it went into its device with others, since that is less work */
enum {
    MILGI__GROUP_NONE,
    MILGI__GROUP_FIRST,
    MILGI__GROUP_REST
};

struct milgi__route {
    uint32_t set; /* devices, as bits: to whichever of them finishes first; never empty */
    uint32_t min_record;
    bool named; /* by the host; else what takes long goes to a device that can do it */
};

/* Private and trust keys. */
struct milgi__keys {
    struct milgi_key **cached; /* most recent last */
    uint32_t n;
    struct milgi__link all; /* that are alive */
};

struct milgi_engine {
    struct milgi__tracer tracer; /* first: milgi__engine_tracer() */
    struct milgi_engine_options o;
    uint64_t process;
    bool running, scheduled;
    bool armed;      /* some device may have made the waker readable */
    bool ever_armed; /* something may ring late: a device was armed once, or another thread has woken the engine */
    bool looks;      /* this turn looks at devices that have nothing to do, too: their notifications may come late */
    struct milgi__crypto *cx;
    struct milgi__pool *pool;
    uint64_t now_ns;
    uint64_t turns;
    uint64_t swept_ns;                    /* when keys and chunks were looked at last */
    uint64_t budget_ns, spent_ns;         /* of this turn, or the last */
    uint64_t served_ns[MILGI_OP_CLASSES]; /* by the turns of owners of each class, in proportion to its share */
    uint64_t due_ns;                      /* when the host was told to run again; UINT64_MAX: whenever it likes */
    bool grace;                           /* it came much later: no deadline is judged in this turn */
    uint64_t waiters_ns;                  /* when those who wait try again in any case */
    uint32_t tries, vain;                 /* since they were last woken; those in a row that have found nothing */
    bool all_try;                         /* and those behind them are to look, too */
    bool wake;                            /* something was freed that they have not been woken for */

    struct milgi__posts posts;
    struct milgi__owners owners;
    struct milgi__slab slab;
    uint32_t orphans;
    uint32_t abandoned, abandoned_ops; /* queue pairs of devices that did not end, and what they still have */
    struct milgi__fair fair;
    struct milgi__keys keys;

    struct milgi__dev dev[MILGI_DEVICES_MAX];
    unsigned devs_n;  /* the highest index in use + 1 */
    uint32_t live;    /* devices, as bits, that a turn has to look at: all others are idle and well, and cost nothing */
    uint32_t callers; /* devices, as bits, that work on this thread: MILGI_CAP_CALLER */
    struct milgi__route route[MILGI_OP_TYPES];
    unsigned memory_dev; /* the device whose memory the chunks are; 0: ordinary */
    uint32_t learn_tick;
    bool learn_inline; /* some route has the inline device beside others: its times are wanted */
    struct milgi__stats stat;

    struct milgi_slice scratch[MILGI__SCRATCH_SLICES];
    uint64_t copied, sealed, opened;
};
