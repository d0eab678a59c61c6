/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that the kernel has for a queue pair, each a socket, with one more for every operation under way. As many as
 * the queue pair may have operations: the one whose last use is longest ago makes room for another. A key that goes is
 * closed, and wiped by the kernel. What is not in use is kept as far as descriptors allow.
 */
#pragma once

#include <milgi/op.h>

#include "base/base.h"

struct milgi__alg_sock {
    int fd;
    struct milgi__alg_key *key;   /* NULL: it is none */
    struct milgi__alg_sock *next; /* of its key, or among those that are none */
};

struct milgi__alg_key {
    struct milgi__link link;  /* by its last use, longest ago first; or among those that are none */
    struct milgi__link spare; /* while there is something of it that is not in use: in the order in which that began */
    uint64_t serial, used_ns;
    struct milgi__alg_key *next; /* in its bucket */
    struct milgi__alg_sock *idle;
    unsigned busy; /* operations under way */
    int fd;
};

struct milgi__alg_keys {
    unsigned depth, buckets;
    unsigned open, in_use, most; /* descriptors: there are; of them under operations; so many others are kept */
    bool careful;                /* no socket is bound to a cipher that the kernel does not list */
    struct milgi__link used, none, spare;
    struct milgi__alg_sock *free;
    struct milgi__alg_key *key, **bucket;
    struct milgi__alg_sock *sock;
};

int milgi__alg_keys_init(struct milgi__alg_keys *keys, unsigned depth); /* 0 or MILGI_ENOMEM */
void milgi__alg_keys_fini(struct milgi__alg_keys *keys);                /* nothing is under way */
/*
 * A socket for an operation with |key|, an AEAD of the kernel's with that |name|; fewer than |depth| are taken. NULL:
 * *|error| is -errno.
 */
struct milgi__alg_sock *milgi__alg_take(
    struct milgi__alg_keys *keys, const char *name, const struct milgi_key *key, uint64_t now_ns, int *error);
/* Its operation has ended. |spoiled|: with an error, after which nothing is known of it. */
void milgi__alg_give(struct milgi__alg_keys *keys, struct milgi__alg_sock *sock, bool spoiled);
void milgi__alg_forget(struct milgi__alg_keys *keys, uint64_t serial);
/* Drops what was last used before |before_ns|. Returns the oldest use that is left, UINT64_MAX: of no idle key. */
uint64_t milgi__alg_drop(struct milgi__alg_keys *keys, uint64_t before_ns);
