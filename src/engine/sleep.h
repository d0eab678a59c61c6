/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine that has nothing to do waits for. */
#pragma once

#include "engine/parts.h"

struct milgi__wake {
    uint64_t must_ns;       /* at the latest */
    uint64_t convenient_ns; /* from then on it is worth it, if the host is awake */
};

static inline void milgi__sooner(uint64_t *deadline_ns, uint64_t t_ns)
{
    if (t_ns < *deadline_ns)
        *deadline_ns = t_ns;
}

/* |d| is armed. 1: run again now; else |wake| is lowered to when it is to be looked at. */
int milgi__dev_arm(struct milgi_engine *e, struct milgi__dev *d, struct milgi__wake *wake);
