/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One modelled accelerator behind several designs of a TLS server: what each of them costs beside the accelerator.
 *
 *   main (sleeps, reads the clocks) ---- client thread, one CPU: N Milgi connections in a closed loop
 *                                   ---- server thread, another CPU: the design that is measured
 *
 * Every client has a pair of AF_UNIX sockets for as long as the rig runs; each handshake is a new TLS connection on
 * it. When a server is done with one it sends the byte ACK in the clear, and the client begins the next.
 */
#pragma once

#include <stdatomic.h>
#include <sys/types.h>
#include <time.h>

#include <milgi/device.h>

#include "bench.h"

#define ACK '!'
#define EVENTS 256

/* Ends the program if |result| of a system call is negative. */
int must_system(int result, const char *what);
/* The same for Milgi's calls. */
int must_milgi(int result, const char *what);

/* All of it with one call, which a socket of this rig always takes. Returns how much. */
size_t send_all(int fd, const struct milgi_iov *iov, size_t iov_n);

/* --- the device, as every design gets it ------------------------------------------------------------------------ */

/* What one TLS handshake put on the wire; the transport alone is measured with the same. */
struct flights {
    unsigned hello, answer, finished;
};

/* What one server finds: made by the rig, used by the design on its thread. */
struct scene {
    const struct design *design;
    const struct bench_cert *cert;
    struct milgi_device *device;
    struct flights flights; /* for the transport alone */
    unsigned n;             /* clients */
    int *fd;                /* the server's ends */
    int stop_fd;            /* readable when it is to stop */
    bool gauged;            /* to keep |parked| up to date */
    atomic_bool stop;
    atomic_bool ready;    /* the server has set up */
    atomic_uint parked;   /* handshakes whose signature the device has, or which wait for it */
    atomic_ulong refused; /* signatures that the device was too full to take at once */
    size_t stacks;        /* bytes of stacks in use while parked, apart from the heap; 0: none but one */
};

/* The key exchange's halves, of each libcrypto; the verification of Milgi's. */
enum primitive {
    PRIMITIVE_KEYGEN,
    PRIMITIVE_DERIVE,
    PRIMITIVE_VERIFY,
    PRIMITIVE_KEYGEN_OPENSSL,
    PRIMITIVE_DERIVE_OPENSSL,
    PRIMITIVE_KEYGEN_AWS_LC,
    PRIMITIVE_DERIVE_AWS_LC,
    PRIMITIVES
};

struct design {
    const char *name, *title;
    bool threads;          /* more than one thread serves */
    bool blocking;         /* the server's ends block */
    bool verifies;         /* each signature of the device is verified */
    bool plain;            /* no TLS: the client sends the same bytes */
    enum primitive keygen; /* of whose libcrypto; the other half follows it */
    unsigned fds;          /* descriptors that a client takes in the server */
    void (*serve)(struct scene *scene);
};
extern const struct design design_transport, design_sync, design_threads, design_fibers_fd, design_fibers_callback,
    design_retry, design_milgi, design_milgi_verify;

/*
 * A queue pair of a device in the hands of somebody who is not Milgi's engine: one signature at a time goes in, waits
 * in line while the device is full, and is told of when it comes back.
 */
struct signing {
    struct milgi_op op;
    bool done;
    void (*told)(struct signing *signing);
    int (*callback)(void *arg); /* the library's, for whoever told() is */
    void *arg;
    int fd;
    struct signing *next;
};
/* Of a certificate and its key, which may be a URI. */
struct milgi_credential *credential_of(const struct bench_cert *cert);
struct lane {
    struct milgi_device *device;
    struct milgi_qp *qp;
    struct milgi_clock clock;
    struct milgi_credential *credential;
    struct milgi_key key;
    void *loaded[MILGI_DEVICES_MAX];
    int fd; /* readable when ops have come back after lane_arm() */
    unsigned in_flight;
    struct signing *first, **last; /* waiting */
    struct scene *scene;
};
void lane_open(struct lane *lane, struct scene *scene);
/* With nothing in it. */
void lane_close(struct lane *lane);
/* Begins a signature over |input|. */
void lane_sign(struct lane *lane, struct signing *signing, const void *input, size_t len);
/* Tells of all that came back. */
void lane_poll(struct lane *lane);
/* True: something came back already, so poll again; false: |fd| will be readable. */
bool lane_arm(struct lane *lane);
/* Ends everything at once, telling of it. */
void lane_end(struct lane *lane);

/* --- an event loop for libraries that are pulled ---------------------------------------------------------------- */

enum shaken {
    SHAKEN_DONE,
    SHAKEN_READ,   /* goes on when the socket is readable */
    SHAKEN_PARKED, /* goes on when its signature is back */
    SHAKEN_FAILED
};
struct loop;
struct slot {
    struct loop *loop;
    int fd;
    void *ssl;            /* NULL: no handshake */
    struct signing *sign; /* retry only */
    struct slot *next;    /* ready */
    bool ready;
};
struct library {
    void *(*open)(struct slot *slot);
    enum shaken (*shake)(struct slot *slot);
    /* a descriptor to wait for, that was not told before; -1: none. May be NULL */
    int (*wait_fd)(struct slot *slot);
    void (*close)(struct slot *slot);
};
struct loop {
    const struct library *library;
    struct scene *scene;
    struct lane lane;
    void *ctx; /* the library's */
    int epoll;
    struct slot *slots;
    struct slot *first, **last; /* ready: to be shaken again */
    bool stopping;
};
void loop_run(struct loop *loop, const struct library *library, struct scene *scene, void *ctx);
/* A slot is to be shaken again. */
void loop_ready(struct slot *slot);
void loop_watch(int epoll, int fd, uint64_t data);
void answer_done(int fd);

/* --- OpenSSL ---------------------------------------------------------------------------------------------------- */

struct ssl_ctx_st;
struct ssl_st;
/* How the engine's signatures wait for the device. */
typedef int (*wait_for_signature)(struct lane *lane, struct signing *signing, const void *digest, size_t len);
/* A server's context whose key is an ENGINE's: |wait| is called to sign. */
struct ssl_ctx_st *openssl_context(const struct bench_cert *cert, struct lane *lane, wait_for_signature wait);
void openssl_context_free(struct ssl_ctx_st *ctx);
/* A server's end on a socket. */
struct ssl_st *openssl_new(struct ssl_ctx_st *ctx, int fd);

/* --- AWS-LC ----------------------------------------------------------------------------------------------------- */

/* Which AWS-LC stands behind design_retry; NULL: none is built. */
const char *retry_library(void);

/* --- a device that is not trusted ------------------------------------------------------------------------------- */

/* |inner|, which goes with it, and the verification of each signature. */
struct milgi_device *checked_device_new(struct milgi_device *inner, const struct bench_cert *cert);

/* --- clients ---------------------------------------------------------------------------------------------------- */

struct clients {
    const struct design *design;
    unsigned n;
    int *fd;
    struct flights flights; /* told by a TLS run, used by one without */
    atomic_uint wanted;     /* so many of them are to run; the rest waits */
    atomic_bool stop;
    atomic_ulong finished;   /* handshakes whose ACK has come */
    atomic_bool sampling;    /* latencies are kept */
    struct bench_samples us; /* of handshakes, from their start to their end */
    int stop_fd;
};
/* The client thread's life. */
void clients_run(struct clients *clients);
/* Without TLS. */
void clients_run_plain(struct clients *clients);
/*
 * A device for the clients' engine: says OK to every VERIFY, gives the same key share to every KEYGEN and does
 * DERIVE. Clients are not what is measured, and must not be what limits.
 */
struct milgi_device *cheap_device_new(void);

/* --- counting --------------------------------------------------------------------------------------------------- */

enum role {
    ROLE_OTHER,
    ROLE_SERVER,
    ROLE_CLIENT,
    ROLES
};
/* What this thread allocates from now on is counted there. */
void heap_role(enum role role);
void heap_count(bool on);
/* Bytes allocated less bytes freed by threads of that role while counting was on, malloc's own headers included. */
long heap_live(enum role role);

/* Counts the system calls of threads. -1: it cannot be done here. */
struct syscall_counter {
    int *fd;
    unsigned n;
};
bool syscalls_open(struct syscall_counter *counter, const pid_t *threads, unsigned n);
uint64_t syscalls_close(struct syscall_counter *counter);
/* All threads of this process. Returns how many; |*threads| is to be freed. */
unsigned threads_list(pid_t **threads);
/* Context switches of a thread so far. */
uint64_t switches_of(pid_t thread);

/* --- the rig ---------------------------------------------------------------------------------------------------- */

struct point {
    const struct design *design;
    const char *device; /* spec */
    uint64_t latency_ns;
    unsigned units;
    unsigned depth; /* 0: not modelled */
    unsigned clients;
};
struct figures {
    double seconds, handshakes;
    double per_second, cpu_us, client_cpu_us, server_busy, client_busy;
    double p50_us, p99_us;
    double switches, syscalls; /* per handshake; NAN: not counted */
    double refused;
    double heap, stacks; /* bytes per parked handshake; NAN: not measured */
};
struct rig {
    struct bench_cert cert;
    int server_cpu, client_cpu;
    struct flights flights;
    uint64_t warm_ns, window_ns, syscalls_ns;
};
/* |cert|, |key|: a file, and a file or URI; NULL: made. */
void rig_init(struct rig *rig, const char *cert, const char *key);
void rig_fini(struct rig *rig);
/* How many clients there may be before this design, by the limit on descriptors. */
unsigned rig_most_clients(const struct design *design);
/* One run of one point. */
struct figures rig_measure(struct rig *rig, const struct point *point);
/* Fills in heap and stacks: all clients at once wait for their signature. */
void rig_measure_heap(struct rig *rig, const struct point *point, struct figures *figures);

/* What the primitives take, on the server's CPU with the other one busy alike, in us. */
struct primitives {
    struct bench_samples us[PRIMITIVES];
};
void retry_primitive(enum primitive primitive, uint8_t public[32], uint8_t private[32]);
/* Without AWS-LC's when it is not there. */
void primitives_round(const struct rig *rig, struct primitives *primitives);

/* --- what is measured, and what is said of it ------------------------------------------------------------------- */

#define ROUNDS_MAX 16
struct row {
    const char *group;
    char device[96];
    struct point point;
    unsigned rounds;
    struct figures round[ROUNDS_MAX];
};
/* The figure at |offset| in struct figures: the median of a row's rounds, or the least. */
#define MEDIAN(row, field) row_median(row, offsetof(struct figures, field))
#define LEAST(row, field) row_least(row, offsetof(struct figures, field))
double row_median(const struct row *row, size_t offset);
double row_least(const struct row *row, size_t offset);

struct results {
    const struct rig *rig;
    struct row *rows;
    unsigned n;
    struct primitives primitives;
    double seconds;
    bool quick;
};
#define GROUP_TARGET "target"   /* what a target names, device not the limit */
#define GROUP_LIMITED "limited" /* and the device the limit */
#define GROUP_HEAP "heap"
void report_print(const struct results *results, FILE *out);
/* One line per target; true if all are met. */
bool report_targets(const struct results *results, FILE *out);
void report_json(const struct results *results, FILE *out);
