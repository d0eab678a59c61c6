/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of time, how they are counted, and what ends a measurement early. */
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

/* The state of the one span that runs. */
static struct {
    uint64_t began_ns, copied_ns, readings;
    uint64_t read_ns; /* what reading the clock costs */
} span;

void bench_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

uint64_t bench_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t bench_cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The least of many, since an interruption can only add. */
static uint64_t cost_of_reading(void)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < 10000; i++) {
        uint64_t a = bench_now_ns();
        uint64_t b = bench_now_ns();
        least = b - a < least ? b - a : least;
    }
    return least;
}

int bench_pin(int cpu)
{
    cpu_set_t set;

    if (cpu < 0) {
        CPU_ZERO(&set);
        if (sched_getaffinity(0, sizeof set, &set) != 0)
            bench_die("cannot read the CPUs that may be used");
        for (int i = 0; i < CPU_SETSIZE; i++) {
            if (CPU_ISSET((size_t)i, &set))
                cpu = i;
        }
    }
    if (cpu >= CPU_SETSIZE)
        bench_die("there is no CPU %d", cpu);
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        bench_die("cannot pin to CPU %d", cpu);
    span.read_ns = cost_of_reading();
    return cpu;
}

void bench_span_begin(void)
{
    span.copied_ns = 0;
    span.readings = 0;
    span.began_ns = bench_now_ns();
}

struct bench_span bench_span_end(void)
{
    uint64_t all = bench_now_ns() - span.began_ns;
    uint64_t off = span.copied_ns + (1 + span.readings) * span.read_ns;

    return (struct bench_span){ all > off ? all - off : 0, span.copied_ns };
}

void bench_copy(void *to, const void *from, size_t len)
{
    if (len < BENCH_COPY_TOLD) {
        memcpy(to, from, len);
        return;
    }
    uint64_t began = bench_now_ns();
    memcpy(to, from, len);
    uint64_t took = bench_now_ns() - began;
    span.copied_ns += took > span.read_ns ? took - span.read_ns : 0;
    span.readings += 2;
}
