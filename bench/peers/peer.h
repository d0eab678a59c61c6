/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer: a program in which one TLS library does the work that it is asked for on its standard input, both ends of a
 * connection in memory, and tells what each end took. Libraries that have the same names never share a process.
 */
#pragma once

#include "ends.h"

/* A way to use the library of this program; the first is the one that is taken if nobody asks for another. */
struct peer {
    const char *variant;
    const struct subject *subject;
    bool by_reference; /* it can send what the application keeps */
};
/* The last has no subject. */
extern const struct peer peers[];
/* Name and version of the library, and of the libcrypto that it stands on. */
const char *peer_version(void);
/* Primitive |i| of a handshake in this program's libcrypto, to be called and timed; NULL: there are no more. */
typedef void (*peer_primitive)(void);
peer_primitive peer_primitive_at(unsigned i, const char **name);
/* Of all calls of malloc() those that the library makes itself, not its libcrypto. NULL: nobody knows. */
extern uint64_t (*const peer_own_mallocs)(void);

/* --- what main.c asks of the rest ------------------------------------------------------------------------------- */

struct certs {
    struct bench_cert leaf[BENCH_KEYS];
    char *anchor[BENCH_KEYS];
    size_t anchor_len[BENCH_KEYS];
};

/* The figures of one slice. */
struct work {
    struct bench_samples side[2]; /* nanoseconds an item */
};
void work_handshakes(struct work *work, const struct peer *peer, const struct certs *certs, enum bench_key key,
    enum shake shake, uint64_t slice_ns);
/* Records that the server seals and the client opens. */
struct record_shape {
    uint16_t suite;
    enum way way;
    size_t len;
    unsigned burst;
};
void work_records(struct work *work, const struct peer *peer, const struct certs *certs,
    const struct record_shape *shape, uint64_t slice_ns);
/* Calls of malloc() for a handshake; for a record. */
struct used work_mallocs_of_handshake(const struct peer *peer, const struct certs *certs);
struct used work_mallocs_of_record(const struct peer *peer, const struct certs *certs);
struct used work_heap(
    const struct peer *peer, const struct certs *certs, enum crowd_state state, unsigned connections);

/* Calls of malloc(), calloc(), realloc() and the like in this program, ever. */
uint64_t count_mallocs(void);

int peer_main(int argc, char **argv);
