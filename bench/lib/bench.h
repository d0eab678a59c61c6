/* SPDX-License-Identifier: Apache-2.0 */
/* What benchmark programs share: a clock that can be stopped, samples, certificates, JSON, facts about the machine. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Ends the program with a message: a benchmark that went wrong has no result. */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- time ------------------------------------------------------------------------------------------------------- */

/* Pins the process to one CPU, -1: the last that it may use. Returns which. */
int bench_pin(int cpu);
uint64_t bench_now_ns(void);
/* CPU time of this thread: what others do meanwhile is not in it. */
uint64_t bench_cpu_ns(void);

/* --- places ----------------------------------------------------------------------------------------------------- */

#define BENCH_CPUS_MAX 64u
/* The CPUs that the process may use, at most BENCH_CPUS_MAX; to be asked before anything is pinned. */
unsigned bench_cpus(int cpus[BENCH_CPUS_MAX]);
/*
 * Who goes before whom on a CPU: at once, and for as long as it likes. FIRST and SECOND need the right to it
 * (SCHED_FIFO); without that FIRST is as NORMAL, and SECOND as LAST, of which all get equal parts of what is left.
 */
enum bench_rank {
    BENCH_FIRST,
    BENCH_SECOND,
    BENCH_NORMAL,
    BENCH_LAST
};
/* This thread, and those that it will start, stay on |cpu|. False: without the right to its rank. */
bool bench_place(int cpu, enum bench_rank rank);
/*
 * From now on everything that is placed goes before everything else that runs on the machine, which has to have given
 * the right to: for one that has other work. The kernel takes a twentieth of each second for that.
 */
void bench_realtime(void);
/* A thread that is placed so. */
pthread_t bench_thread(int cpu, enum bench_rank rank, void *(*run)(void *), void *arg);
/* A device whose threads are placed on these CPUs. */
struct milgi_device;
struct milgi_device *bench_device(const char *spec, const int *cpus, unsigned cpus_n, enum bench_rank rank);

/* --- spans ------------------------------------------------------------------------------------------------------ */

/*
 * A span of time on this thread. What bench_copy() took within it is told apart; what reading the clock costs is taken
 * off. Spans do not nest.
 */
struct bench_span {
    uint64_t own_ns, copied_ns;
};
void bench_span_begin(void);
struct bench_span bench_span_end(void);
/*
 * memcpy() in the place of a kernel's send() and recv(). The clock stops for copies of at least BENCH_COPY_TOLD bytes;
 * smaller ones cost less than reading it.
 */
#define BENCH_COPY_TOLD 1024u
void bench_copy(void *to, const void *from, size_t len);

/* --- samples ---------------------------------------------------------------------------------------------------- */

struct bench_samples {
    double *v;
    size_t n, cap;
};
void bench_samples_add(struct bench_samples *samples, double value);
void bench_samples_clear(struct bench_samples *samples); /* keeps the memory */
void bench_samples_free(struct bench_samples *samples);
double bench_samples_min(const struct bench_samples *samples);
double bench_samples_median(const struct bench_samples *samples);
/* The least value that at least |percent| of the samples do not exceed. */
double bench_samples_percentile(const struct bench_samples *samples, double percent);

/* --- certificates ----------------------------------------------------------------------------------------------- */

enum bench_key {
    BENCH_ECDSA_P256,
    BENCH_RSA_2048,
    BENCH_KEYS
};
struct bench_cert {
    char *cert_pem, *key_pem;
    size_t cert_len, key_len;
};
/* Self-signed, for "localhost". */
struct bench_cert bench_cert_make(enum bench_key key);
struct bench_cert bench_cert_make_rsa(unsigned bits);
void bench_cert_free(struct bench_cert *cert);

/* --- JSON ------------------------------------------------------------------------------------------------------- */

/* A writer of JSON; with |file| NULL it writes nothing. Names are NULL inside arrays. */
struct bench_json {
    FILE *file;
    unsigned depth;
    bool behind; /* something stands before it on this level */
};
void bench_json_open(struct bench_json *json, const char *name, char bracket); /* '{' or '[' */
void bench_json_close(struct bench_json *json, char bracket);                  /* '}' or ']' */
void bench_json_text(struct bench_json *json, const char *name, const char *value);
void bench_json_number(struct bench_json *json, const char *name, double value);
void bench_json_bool(struct bench_json *json, const char *name, bool value);

/* --- machine ---------------------------------------------------------------------------------------------------- */

/* An object "machine": processor, system, compiler, libraries, load, date, the CPU that the program is pinned to. */
void bench_machine_json(struct bench_json *json, int cpu);
/* The same in two lines for people. */
void bench_machine_print(FILE *out, int cpu);
