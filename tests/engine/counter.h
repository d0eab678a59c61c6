/* SPDX-License-Identifier: Apache-2.0 */
/* An engine on virtual time, and owners in it that count what becomes of them. */
#pragma once

#include "device/sim/manual.h"
#include "engine/engine.h"

struct counter {
    struct milgi__owner owner;
    struct milgi_engine *engine;
    unsigned turns, done, status[MILGI_OP_LOST + 1], timeouts, idles;
    unsigned done_n[MILGI_OP_CLASSES];
    uint64_t done_ns[MILGI_OP_CLASSES]; /* estimated service time of what came back OK */
    void (*in_turn)(struct counter *counter);
};

struct rig {
    uint64_t now_ns;
    unsigned schedules;
    struct milgi_engine *engine;
    struct milgi_device *device;
    struct counter counter;
};

/* |options| NULL: defaults; the clock is replaced. |device|: all ops go to it; NULL: there is none. */
void rig_init(struct rig *rig, const struct milgi_engine_options *options, const char *device);
/* All memory is checked to have come back; or a device may have kept some. */
void rig_fini(struct rig *rig);
void rig_end(struct rig *rig);
void rig_attach(struct rig *rig, struct counter *counter);
struct milgi_run_result rig_run(struct rig *rig);
/* Runs as a host does, until the engine wants nothing any more or |until_ns| is reached. */
void rig_settle(struct rig *rig, uint64_t until_ns);
void rig_keygen(struct rig *rig, struct counter *counter, uint16_t group);
