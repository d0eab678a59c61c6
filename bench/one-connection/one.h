/* SPDX-License-Identifier: Apache-2.0 */
/* What one connection can send or receive: subjects that take turns at it, in slices. */
#pragma once

#include "bench.h"

#define RECORD 16384u
#define SUITES 3u

struct suite {
    const char *name;
    uint16_t id; /* code point */
    const char *openssl;
};
extern const struct suite suites[SUITES]; /* the first is the one of the target */

/* The CPU of the loop, and the other one, where workers are. */
struct place {
    int loop, other;
};

struct setup {
    const struct bench_cert *cert;
    const struct suite *suite;
    struct place place;
    unsigned window; /* Milgi: records in flight */
};

/* Where Milgi's records go. */
enum route {
    ROUTE_CPU,
    ROUTE_POOL, /* all of them to the pool */
    ROUTE_FIRST /* each to whoever will have it done first: the loop or the pool */
};

struct subject {
    const char *name;
    enum route route;
    unsigned workers;
    bool receives;
    bool polls; /* while the worker works the loop asks again and again; else it sleeps until it is told */
    void *(*make)(const struct subject *subject, const struct setup *setup);
    double (*slice)(void *state, uint64_t ns); /* bytes of content per second */
    void (*end)(void *state);
};

void *bare_make(const struct subject *subject, const struct setup *setup); /* workers: cores besides the loop's */
double bare_slice(void *state, uint64_t ns);
void bare_end(void *state);

/* How long a line of the cache takes to the other core and back, in nanoseconds. Virtual machines move about. */
double line_round_trip(const struct place *place);

void *openssl_make(const struct subject *subject, const struct setup *setup);
double openssl_slice(void *state, uint64_t ns);
void openssl_end(void *state);

void *milgi_make(const struct subject *subject, const struct setup *setup);
double milgi_slice(void *state, uint64_t ns);
void milgi_end(void *state);
/* Records that were done by the pool, of all, in per cent. */
double milgi_share(void *state);
