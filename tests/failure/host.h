/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One engine with one device that all ops go to, and any number of connections in pairs, both ends on this engine, with
 * wires in memory between them. On virtual time, which goes on when nothing else does, or on real time.
 */
#pragma once

#include <milgi/milgi.h>

#include "shim.h"

#define HOST_MS UINT64_C(1000000)

/* What a server does with the question for its credential. */
enum host_config {
    HOST_CLIENT,
    HOST_SERVER,
    HOST_ASKING, /* a server that asks which credential */
    HOST_CONFIGS
};

/* All connections have TLS 1.2; else 1.3. */
extern bool host_tls12;

struct host {
    bool real;
    uint64_t now_ns, random_state;
    struct milgi_engine *engine;
    const char *device; /* how it is made */
    struct shim *shim;
    unsigned index;          /* of the device in the engine */
    struct shim_counts gone; /* of devices that were removed */
    unsigned added, removed;
    struct milgi_config *config[HOST_CONFIGS];
    struct end *wires; /* ends whose wire has bytes */
    uint64_t carried;
};

struct end;

/* Each may be NULL. All but |gone| may free the connection with end_free(). */
struct end_events {
    void (*established)(struct end *end);
    void (*data)(struct end *end, const uint8_t *data, size_t len);
    void (*decide)(struct end *end, const struct milgi_decision *decision);
    void (*closed)(struct end *end, const struct milgi_reason *reason);
};

struct end {
    struct host *host;
    struct end *other;
    const struct end_events *events;
    void *arg;
    struct milgi_conn *conn; /* NULL: not yet, or freed */
    bool established, closed;
    unsigned outputs;
    /* what it has put out and the other has not been given */
    uint8_t *wire;
    size_t wire_len, wire_cap;
    bool on_wires;
    struct end *next;
};

/* |options| NULL: defaults; clock and randomness are replaced. Ends the program when something cannot be made. */
void host_init(struct host *host, const char *device, bool real, const struct milgi_engine_options *options);
void host_fini(struct host *host); /* every connection is freed */
/*
 * Runs the engine, carries bytes, and lets time go on to |until_ns| at most: to where the engine wants to be run, if
 * nothing is to be done now.
 */
void host_turn(struct host *host, uint64_t until_ns);
/* Runs until the engine has nothing any more: no connection, op, orphan; false: it does not end. */
bool host_drain(struct host *host);
/*
 * Takes the device out, with |drain_ns| for what is in it, and a new one of the same kind in. Not when seven are still
 * going.
 */
void host_replace(struct host *host, uint64_t drain_ns);
/* Prints what does not add up in the statistics, and returns how much that is. */
unsigned host_complaints(struct host *host);
uint64_t host_now(const struct host *host);
uint64_t host_random(struct host *host, uint64_t below);
size_t host_resident(void);

/* What connections are made with: on the fake crypto backend (fake/), or on the real one (real/). */
struct milgi_config *host_config(enum milgi_role role);
struct milgi_config *host_freeze(struct milgi_config *config);
int64_t host_wall_s(void);

/* A connection with its two ends; |end| is the client's. */
void pair_start(struct host *host, struct end *end, struct end *other, enum host_config server,
    const struct end_events *events);
void end_free(struct end *end); /* the connection; what is on the wire goes too */
void end_fini(struct end *end); /* its memory */
void die(const char *what) __attribute__((noreturn));
