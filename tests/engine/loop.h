/* SPDX-License-Identifier: Apache-2.0 */
/* An engine on virtual time with devices, and clients that submit ops without being connections. */
#pragma once

#include "device/sim/manual.h"
#include "engine/engine.h"

#define LOOP_DEVICES 4
#define LOOP_OPS 8192 /* of one client at once */

struct loop {
    uint64_t now_ns;
    struct milgi_engine *engine;
    struct milgi_device *device[MILGI_DEVICES_MAX]; /* by index in the engine; [0] is not used */
    struct milgi_key *aead, *rsa;
    struct milgi_credential *credential;
    struct milgi_chunk *src, *dst;
    unsigned idle_runs; /* answers of AGAIN in a row at the same time and with nothing done */
    unsigned done;
    uint64_t inline_ns; /* by which a test's milgi__op_perform() moves the clock */
};

struct loop_client {
    struct milgi__owner owner;
    struct loop *loop;
    unsigned given, done, status[MILGI_OP_LOST + 1];
    int32_t code; /* of the last that was BROKEN or LOST */
    unsigned done_type[MILGI_OP_TYPES];
    uint64_t device_ns;          /* what a device has worked for it */
    uint64_t at_ns[LOOP_OPS];    /* when each was submitted */
    uint64_t bound_ns[LOOP_OPS]; /* what it may take; 0: nobody asks */
    uint64_t worst_ns;           /* the longest that one with a bound took */
    double worst_part;           /* the most of its bound that one took */
    void (*on_done)(struct loop_client *client, struct milgi_op *op);
    void (*on_turn)(struct loop_client *client);
};

/* |options| NULL: defaults; the clock is replaced. */
void loop_init(struct loop *loop, const struct milgi_engine_options *options);
/* Every client has gone. All memory is checked to have come back. */
void loop_fini(struct loop *loop);
/* Opens a device, which is freed with the loop; its index. */
unsigned loop_open(struct loop *loop, struct milgi_device *device);
unsigned loop_device(struct loop *loop, const char *spec);
void loop_attach(struct loop *loop, struct loop_client *client);
void loop_detach(struct loop_client *client);

/* Each returns the slot, a place in at_ns and bound_ns; -1: there was no op to be had. */
int loop_seal(struct loop_client *client, uint32_t len);
int loop_sign(struct loop_client *client, struct milgi_key *key);
int loop_keygen(struct loop_client *client);
/* Ops of the client that no device has yet. */
unsigned loop_waiting(const struct loop_client *client);

/* One run; the clock stands still. */
struct milgi_run_result loop_turn(struct loop *loop);
/* One run; afterwards it is when the engine wants to be run again. */
struct milgi_run_result loop_run(struct loop *loop);
void loop_until(struct loop *loop, uint64_t until_ns);
/* Until |client| has got |done| ops back. */
void loop_settle(struct loop *loop, const struct loop_client *client, unsigned done);
void loop_stats(const struct loop *loop, struct milgi_engine_stats *stats);
