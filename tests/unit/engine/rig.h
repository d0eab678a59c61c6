/* SPDX-License-Identifier: Apache-2.0 */
/* An engine on virtual time, and an owner of nothing but ops. */
#pragma once

#include "engine/parts.h"

#define US 1000u
#define MS 1000000u

struct rig {
    uint64_t now_ns;
    unsigned clock_reads;
    struct milgi_engine *engine;
    struct milgi_device *device;
    struct milgi_key *key;
    struct milgi__owner owner;
    unsigned done, status[MILGI_OP_LOST + 1];
};

/* All ops go to |device|, index 1, if one is named. */
void rig_init(struct rig *rig, const struct milgi_engine_options *from, const char *device);
void rig_fini(struct rig *rig);
void rig_run(struct rig *rig);
void rig_keygen(struct rig *rig);
void rig_seal(struct rig *rig, uint32_t len);

/* The next op that is submitted to a device is measured. */
void sample_next(struct milgi_engine *engine);
struct milgi_engine_stats stats_of(const struct milgi_engine *engine);
struct milgi_latency latency_of(
    const struct milgi_engine *engine, unsigned index, unsigned cls, enum milgi_latency_part part);
