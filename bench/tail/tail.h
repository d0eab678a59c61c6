/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers of several designs, one loop each, all on the same CPU and one at work at a time; and on the other CPU the
 * clients: one that echoes small messages over connections that stand, and one whose handshakes storm the same loop.
 */
#pragma once

#include <stdatomic.h>

#include <openssl/ssl.h>

#include "bench.h"

#define MESSAGE 64u /* bytes of an echoed message; its first eight are when it was meant to be sent */

struct place {
    int loop, other; /* CPUs */
};

struct ground {
    struct bench_cert cert;
    unsigned rsa_bits;
    struct place place;
    uint64_t turn_ns; /* Milgi's budget of a turn */
};

/* --- servers ---------------------------------------------------------------------------------------------------- */

/* A server's loop has a thread of its own; it echoes whatever comes over any connection. */
struct server {
    const struct design *design;
    const struct ground *ground;
    int listener, port, stop_fd;
    pthread_t thread;
    atomic_uint conns;      /* that it has now */
    atomic_ulong completed; /* handshakes */
};

enum signer {
    SIGN_INLINE,
    SIGN_OFFLOAD_FD,      /* fibers; each connection has a descriptor that tells when its signature is there */
    SIGN_OFFLOAD_CALLBACK /* fibers; a callback tells the loop, which has one descriptor for all */
};

struct design {
    const char *name;
    void (*loop)(struct server *server); /* until stop_fd is readable */
    enum signer signer;                  /* libssl */
    const char *device;                  /* Milgi: for all ops of handshakes; NULL: cpu */
};

void openssl_loop(struct server *server);
void milgi_loop(struct server *server);

void server_start(struct server *server, const struct design *design, const struct ground *ground);
void server_stop(struct server *server);
/* CPU time that its loop has taken. */
uint64_t server_cpu_ns(const struct server *server);

/* Watches |fd| for reading, its edges or its level. */
void watch(int epoll, int fd, void *what, bool edges);
/* The next connection that waits, or -1. */
int accepted(int listener);

/* --- signatures on a thread of their own, for libssl's fibers ---------------------------------------------------- */

struct offload;
/* One worker, on the other CPU, behind everything else there. */
struct offload *offload_new(const struct place *place, bool by_callback);
/* The private key with a method that hands signatures over and pauses the job that asked. */
EVP_PKEY *offload_key(struct offload *offload, const struct bench_cert *cert);
/* Nobody asks any more. */
void offload_free(struct offload *offload);
EVP_PKEY *bench_key(const struct bench_cert *cert);

/* --- loads ------------------------------------------------------------------------------------------------------ */

struct echo;
struct echo *echo_new(const struct server *server, unsigned connections);
/*
 * Messages at random moments, |rate| a second, whatever becomes of those before; latencies in microseconds, each from
 * the moment when it was meant to be sent to that when it is back. Returns when all of them are.
 */
void echo_run(struct echo *echo, double seconds, double rate, struct bench_samples *us);
void echo_free(struct echo *echo);

/* Something that runs on the other CPU, behind everything else there. */
struct load {
    const struct ground *ground;
    int port;
    unsigned clients; /* storm: handshakes at once */
    double rate;      /* burn: signatures a second */
    atomic_bool stop;
    atomic_ulong done; /* handshakes, or signatures */
    pthread_t thread;
};
void storm_begin(struct load *load); /* closed loop: a client whose handshake is over begins the next */
void burn_begin(struct load *load);  /* bare RSA */
void load_end(struct load *load);
SSL_CTX *client_context(void);
int connected(int port);
