/* SPDX-License-Identifier: Apache-2.0 */
/* bench_devices: what an op costs on each device, by what it is and how many there are at once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bench.h"

enum kind {
    SEAL,
    OPEN,
    SIGN_P256,
    SIGN_RSA,
    KINDS
};

struct point {
    enum kind kind;
    uint32_t size;  /* bytes of a record's plaintext; 0: no record */
    uint32_t batch; /* ops that are there at once, each of another connection */
};

#define POINTS_MAX 64
#define CONTENDERS_MAX 16

/* What an op took, on the clock and of all threads' processor time. 0: the device does not take such. */
struct cost {
    double wall_ns, cpu_ns;
};

/* A device, or the router with several: "cpu pool:2". */
struct contender {
    const char *specs;
    bool router;
    char why[128];                                          /* it is left out; empty: it is not */
    struct bench_samples wall[POINTS_MAX], cpu[POINTS_MAX]; /* by round */
    int pid, to, from;
    double share[POINTS_MAX]; /* of a router: the part of the ops that stayed on the inline device */
};

struct report {
    struct point points[POINTS_MAX];
    unsigned points_n;
    struct contender contenders[CONTENDERS_MAX];
    unsigned contenders_n;
    bool no_speed; /* a virtual kernel: nothing is said of speed by what is measured in it */
};

/* rig.c: an engine with the devices of |specs|. NULL and |why|: they are not here. */
struct rig;
struct rig *rig_new(
    const char *specs, bool router, const struct bench_cert certs[BENCH_KEYS], char *why, size_t why_size);
void rig_free(struct rig *rig);
/* Whether one of its devices takes such; of "cpu" and of a router: always. */
bool rig_takes(const struct rig *rig, const struct point *point);
/* Batches of it for about |ns|. */
struct cost rig_run(struct rig *rig, const struct point *point, uint64_t ns);
/* The part of the ops since the last call that was done inline. */
double rig_share(struct rig *rig, const struct point *point);

/* report.c: tables and verdicts. True: all targets are met. */
bool report_print(FILE *out, const struct report *report);
void report_json(struct bench_json *json, const struct report *report);
