/* SPDX-License-Identifier: Apache-2.0 */
/* Milgi and libssl beside each other in one process: the cases, what is kept of them, and what it comes to. */
#pragma once

#include "ends.h"

/* --- results ---------------------------------------------------------------------------------------------------- */

#define CASES_MAX 40
#define SUBJECTS_MAX 4

/* What one subject did in a case: a sample per round, which is the median of that round. */
struct score {
    const char *label;
    struct bench_samples own[2], copied[2], both, both_copied;
};
/* Primitives in the shape that a handshake and a record need them. */
struct floor {
    const char *name;
    struct bench_samples ns;
};
enum floor_id {
    FLOOR_KEYGEN,
    FLOOR_DERIVE,
    FLOOR_ECDSA_SIGN,
    FLOOR_ECDSA_VERIFY,
    FLOOR_RSA_SIGN,
    FLOOR_RSA_VERIFY,
    FLOOR_AES_128,
    FLOOR_AES_256,
    FLOOR_CHACHA,
    FLOOR_AES_128_SMALL,
    FLOORS
};
void floor_setup(struct floor floors[FLOORS]);
void floor_round(struct floor floors[FLOORS]);
void floor_end(struct floor floors[FLOORS]);

/* A ratio that is wanted, of the first score to the one of |rival|. */
struct target {
    const char *text;
    double wanted;
    bool server; /* of the server's time; else of both sides' */
    unsigned rival;
};
struct timed {
    const char *test, *row;
    size_t bytes;   /* per unit, for GB/s; 0: none */
    unsigned burst; /* units per turn; figures are per unit */
    unsigned n;     /* scores, the last is OpenSSL's with a BIO of ours */
    struct score score[SUBJECTS_MAX];
    struct target target; /* wanted 0: none */
    /* How many of each it takes, for the server of a handshake and both sides of a record; all 0: not told. */
    uint8_t primitives[FLOORS];
    void *state;
};

struct options {
    bool quick;
    unsigned rounds;
    uint64_t slice_ns; /* time per subject, case and round */
    int cpu;
    const char *json;
    bool heap;          /* only that, for heap_child() */
    unsigned profile;   /* just so many turns of Milgi's, for a profiler; 0: measure */
    const char *filter; /* of cases; NULL: all */
};

/* The cases; one round of one of their subjects; |n| turns of Milgi's that nobody measures. */
unsigned handshake_cases(struct timed *cases);
void handshake_round(struct timed *timed, unsigned subject, uint64_t slice_ns);
void handshake_profile(struct timed *timed, unsigned n);
void handshake_end(struct timed *timed);
unsigned record_cases(struct timed *cases);
void record_round(struct timed *timed, unsigned subject, uint64_t slice_ns);
void record_profile(struct timed *timed, unsigned n);
void record_end(struct timed *timed);

/* Bytes of heap per connection. */
struct heap {
    char state[64], label[64];
    double side[2];
};
#define HEAPS_MAX 8
/* Prints a line for each; heap_child() has a process of its own do it and reads them. */
void heap_measure(unsigned connections);
unsigned heap_child(struct heap heaps[HEAPS_MAX]);

/* Writes tables and JSON; true if every target was met. */
struct report {
    const struct options *options;
    struct timed *cases;
    unsigned cases_n;
    struct floor *floors;
    struct heap *heaps;
    unsigned heaps_n, connections;
    int cpu;
};
bool report_print(const struct report *report, FILE *out);
void report_json(const struct report *report, FILE *out);
