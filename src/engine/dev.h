/* SPDX-License-Identifier: Apache-2.0 */
/* What a device is to the engine: its queue pair, what waits before it, what is in it, and what was measured of it. */
#pragma once

#include <milgi/device.h>

#include "engine/fair.h"
#include "engine/stats.h"

enum milgi__dev_state {
    MILGI__DEV_NONE,     /* the index is free */
    MILGI__DEV_SERVING,  /* takes ops */
    MILGI__DEV_RETIRED,  /* is failing: tried again after a while */
    MILGI__DEV_LEAVING,  /* on its way out */
    MILGI__DEV_ABANDONED /* left behind, with keys that know it by its index: that is not given out again */
};

/* A device out of service that cannot be asked by an op of the engine's own is tried with one of somebody else's. */
enum milgi__trial {
    MILGI__TRIAL_NONE,
    MILGI__TRIAL_OPEN, /* the next op that would go there does */
    MILGI__TRIAL_TAKEN /* it is on its way */
};

#define MILGI__SCALE_ONE 256u

struct milgi__dev {
    struct milgi_device *device;
    struct milgi_qp *qp;
    uint32_t flags; /* the device's caps.flags */
    uint8_t index;
    int fd;
    enum milgi__dev_state state;
    bool armed;              /* it was once: notifications may come late */
    uint64_t full_since_ns;  /* ops wait and none was accepted since; 0: not so */
    uint64_t ask_ns;         /* with nothing in it that will come back it is offered what waits at this time */
    uint64_t retry_after_ns; /* how long that was off; 0: it was not refused */
    uint64_t retry_ns;       /* RETIRED: until then; UINT64_MAX: for good */
    uint64_t retry_wait_ns;  /* how long that was off */
    enum milgi__trial trial;
    bool probing;      /* an op of the engine's own is in it */
    bool silent;       /* an op was lost, and nothing has come back in time since it went in */
    uint32_t losses;   /* rises with what is lost, falls with what comes back in time */
    uint64_t heard_ns; /* when something came back in time */
    const char *lie;   /* how it broke its contract; NULL: it has not */
    uint64_t leave_ns; /* LEAVING: until then what is in it may come back */
    struct milgi__line line[MILGI_OP_CLASSES];
    struct milgi__fresh fresh;                     /* of what waits, what is not sorted into the lines */
    struct milgi__oplist flight[MILGI_OP_CLASSES]; /* in it, oldest first */
    struct milgi__oplist lent;                     /* past their deadline: quarantined */
    uint64_t outstanding_ns;                       /* expected, of what is in it and not lost */
    uint64_t limit_ns;                             /* of that */
    unsigned turn;                                 /* class whose turn it is */
    uint32_t spins;                                /* answers of AGAIN since something went in or came back */
    uint64_t quiet_since_ns;                       /* nothing has come back since: for busy polling */
    uint64_t held_since_ns;                        /* a small burst waits for more since; 0: none does */
    uint64_t gather_since_ns;                      /* CALLER: the first of what waits or is in it came then */
    bool more_here;                                /* this thread has more to do of what waits */
    uint32_t burst;                                /* ops after which a line is flushed at once */
    uint32_t lessons;                              /* how often it has changed: what expectations were reckoned with */
    uint32_t scale[MILGI__KINDS];                  /* measured by estimated service time; 256: as estimated */
    uint32_t learned_ms[MILGI__KINDS];             /* when it was measured last */
    uint8_t learned[2 * MILGI__AEADS];             /* by AEAD and direction: sizes, as bits, that were measured */
    uint32_t group[MILGI__HANDSHAKE_KINDS];        /* TOGETHER: the scale of what it was given in groups */
    uint32_t group_ms[MILGI__HANDSHAKE_KINDS];     /* when that was measured last, or one group sent to find out */
    uint32_t wake_ns;                              /* what waking it takes, as it was measured; no less than it says */
    bool tells;                                    /* its ops say how long they took, some of them at least */
    bool probed[MILGI__KINDS];                     /* one op is to find out */
    struct milgi__dev_stats stat;
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

/* Does it take ops now, be it one on trial? */
static inline bool milgi__dev_takes(const struct milgi__dev *d)
{
    return d->state == MILGI__DEV_SERVING || (d->state == MILGI__DEV_RETIRED && d->trial == MILGI__TRIAL_OPEN);
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
