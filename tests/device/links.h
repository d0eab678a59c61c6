/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections in two engines, with a network and an application on both ends that copy nothing and know the address of
 * every byte that they give: so they know whether each op reads from there, and whether what is handed out lies where
 * an op wrote it. A copy, counted or not, would lie elsewhere. Time is virtual.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <milgi/milgi.h>

#include "op/owner.h"

#define KIB 1024u
#define MIB ((size_t)1 << 20)
#define LINKS_MAX 16
#define BLOCK (64 * KIB) /* what the application sends at once, and the network delivers */

struct span {
    const uint8_t *p;
    size_t len;
};

/* A stream of bytes by their addresses. */
struct trail {
    struct span *span;
    size_t first, n, cap;
    size_t len;
};

struct side {
    struct milgi_engine *engine;
    struct milgi_device *device; /* NULL: cpu */
    int index;                   /* of it */
    unsigned memory_calls;
};

/* One end of a connection. */
struct end {
    struct side *side;
    struct end *peer;
    struct milgi_conn *conn;
    bool tracked, paused, full, closed;
    size_t to_send, sent, got;     /* bytes of application data */
    struct trail network;          /* handed out and not taken: the bytes themselves */
    struct trail received, opened; /* given by the network; what ops make of it */
    struct trail given, sealed;    /* given by the application; what ops make of it */
};

enum sending {
    SEND_BLOCKS,
    SEND_WRITE,  /* copied by contract */
    SEND_CRUMBS, /* slices below a quarter of their chunk */
};

struct links {
    uint64_t now_ns; /* a little passes with each turn, and when nothing moves all of it up to the next deadline */
    struct side side[2];
    struct end end[2 * LINKS_MAX];
    unsigned ends_n;
    enum sending sending;
    size_t packet;  /* what the network delivers at once */
    bool crumbs_in; /* into chunks of which that is less than a quarter */
    size_t strayed; /* bytes that were not where they had to be */
    size_t out_of_reach;
    size_t starved; /* chunks that were not to be had */
    size_t wrong;   /* bytes that are not what was sent */
};
extern struct links links;

/* Of devices that reach all memory: whether bytes lie where a test wants them to. NULL: anywhere. */
extern bool (*links_wanted)(const void *p, size_t len);
/* Each device, as it was made. May be NULL. */
extern void (*links_made)(struct milgi_device *device);

/* |n| connections; |spec| NULL: the inline device. |shared|: both engines have one device, and one memory. */
void links_begin(struct milgi_config *const config[2], const char *spec, bool shared, unsigned n);
void links_end(void);
struct milgi_device *links_device(const char *spec);
/* Handshakes, and all that comes with them. From here on every byte is followed. */
void links_establish(void);
/* The same, and |bytes| in each direction of each connection; returns how many were copied. */
uint64_t links_transfer(size_t bytes);
/* The same, with every byte where it has to be, every record the devices' own, and none copied. */
void links_transfer_in_place(size_t bytes);
/* Every record of |bytes| in either direction was the device's, and none was done again elsewhere. */
void links_device_did_it(const struct side *side, size_t bytes);
/* Until all that is to be sent has been received. */
void links_run_until(bool (*done)(void));
bool links_all_got(void);
/* One run of both engines; true: they want to run again at once. */
bool links_run(uint64_t *deadline_ns);
/* What application and network can do now; |rest|: chunks that are not full are delivered too. */
bool links_move(bool rest);
/* bytes_copied of both engines */
uint64_t links_copied(void);
bool links_reach(const struct side *side, const void *p, size_t len);
/* An op is submitted, which the test has to tell. */
void links_submitted(const struct milgi__owner *owner, const struct milgi_op *op);
