/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_proxy: what `bench proxy` brings to the proxies that it measures. A request is REQUEST bytes, of which the
 * first eight say (little-endian) how many bytes the answer has.
 */
#pragma once

#include <stdint.h>

#define REQUEST 128u

/* Answers until its standard input ends; prints its port first. */
int backend_run(void);

struct load {
    unsigned port;
    unsigned conns;   /* clients at once */
    double seconds;   /* for which it is measured */
    uint64_t answer;  /* bytes */
    int new_each;     /* each request on a connection of its own, */
    int resumed;      /* which stands on a session of the client's last one */
    const char *path; /* NULL: requests as above; else of HTTP, for this */
};

/*
 * Prints "ready" when all clients have had their first answer, begins to count when a line comes on standard input, and
 * prints what it has counted as one JSON object.
 */
int load_run(const struct load *load);
