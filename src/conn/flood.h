/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer may make us do for nothing: a burst, which time and application data in either direction refill. What it
 * does slowly, or while there is something to say, may go on for ever.
 */
#pragma once

#include "base/base.h"

#define MILGI__FLOOD_REFILL_NS (UINT64_C(250) * 1000 * 1000)
#define MILGI__FLOOD_REFILL_BYTES 1024u

struct milgi__flood {
    uint32_t spent; /* of the burst */
    uint32_t when;  /* time has been counted until then, in steps of MILGI__FLOOD_REFILL_NS */
};

/* One more; false: it is one too many. */
static inline bool milgi__flood_spend(struct milgi__flood *f, uint64_t burst, uint64_t now_ns)
{
    uint32_t now = (uint32_t)(now_ns / MILGI__FLOOD_REFILL_NS);
    f->spent -= MILGI__MIN(f->spent, now - f->when);
    f->when = now;
    if (f->spent >= burst)
        return false;
    f->spent++;
    return true;
}

/* Application data has moved: a message pays for one at least. */
static inline void milgi__flood_refill(struct milgi__flood *f, size_t len)
{
    if (f->spent)
        f->spent -= (uint32_t)MILGI__MIN(f->spent, 1 + len / MILGI__FLOOD_REFILL_BYTES);
}
