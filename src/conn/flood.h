/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer may make us do for nothing: a burst, which time and application data in either direction refill. What it
 * does slowly, or while there is something to say, may go on for ever.
 */
#pragma once

#include "base/base.h"

#define MILGI__FLOOD_REFILL_NS (UINT64_C(250) * 1000 * 1000)
#define MILGI__FLOOD_REFILL_BYTES 1024u

enum milgi__flood {
    MILGI__FLOOD_IDLE,
    MILGI__FLOOD_WARNING, /* alerts that end nothing */
    MILGI__FLOOD_TICKET,
    MILGI__FLOODS
};

struct milgi__floods {
    uint32_t when; /* time has been counted until then, in steps of MILGI__FLOOD_REFILL_NS */
    uint32_t spent[MILGI__FLOODS];
};

/* So much of all of them is refilled. */
static inline void milgi__floods_give(struct milgi__floods *f, uint32_t n)
{
    for (unsigned i = 0; i < MILGI__FLOODS; i++)
        f->spent[i] -= MILGI__MIN(f->spent[i], n);
}

/* One more; false: it is one too many. */
static inline bool milgi__floods_spend(
    struct milgi__floods *f, enum milgi__flood which, uint64_t burst, uint64_t now_ns)
{
    uint32_t now = (uint32_t)(now_ns / MILGI__FLOOD_REFILL_NS);
    milgi__floods_give(f, now - f->when);
    f->when = now;
    if (f->spent[which] >= burst)
        return false;
    f->spent[which]++;
    return true;
}

/* Application data has moved: a message pays for one at least. */
static inline void milgi__floods_refill(struct milgi__floods *f, size_t len)
{
    if (f->spent[MILGI__FLOOD_IDLE] | f->spent[MILGI__FLOOD_WARNING] | f->spent[MILGI__FLOOD_TICKET])
        milgi__floods_give(f, (uint32_t)MILGI__MIN(UINT32_MAX, 1 + len / MILGI__FLOOD_REFILL_BYTES));
}
