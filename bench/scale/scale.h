/* SPDX-License-Identifier: Apache-2.0 */
/* Very many connections: what each takes, and what the busy ones cost among those that are idle. */
#pragma once

#include "bench.h"

/* --- memory.c: server ends in one process, their clients gone but for the active ones ---------------------------- */

struct population;

/* |n| connections, of which each |each|th has a client that can talk. */
struct population *population_new(const struct bench_cert *cert, unsigned n, unsigned each);
unsigned population_active(const struct population *p);
/*
 * Nanoseconds of the server for an exchange, of |n|, one a turn: an active connection, each when it is its turn, gets
 * 64 bytes and answers with as many.
 */
double population_exchanges(struct population *p, unsigned n);
/* Until all are idle again, and hold what idle ones do. */
void population_settle(struct population *p);
/* Bytes that the process has grown by with them, without the harness's own: clients and holes of the heap are in it. */
double population_resident(const struct population *p);
/* Bytes of heap that all server ends take, by malloc's count, without the harness's own; the clients go. */
double population_heap(struct population *p);
void population_free(struct population *p);

/* What the process has of the machine's memory now. */
double resident_bytes(void);

/* --- sockets.c: the same over TCP, by the adapter for libuv ------------------------------------------------------- */

struct sockets {
    unsigned asked, n;      /* connections that were wanted, and that there were */
    unsigned processes;     /* of servers, and of clients as many */
    const char *bounded_by; /* why there are not more */
    double resident;        /* bytes of the servers' processes for each */
    double kernel;          /* bytes of the kernel for each, both ends */
    double idle_cpu;        /* of one CPU, while nobody says anything */
};
struct sockets sockets_measure(const struct bench_cert *cert, unsigned n);
