/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <milgi/milgi.h>

#include "bench.h"

unsigned bench_cpus(int cpus[BENCH_CPUS_MAX])
{
    cpu_set_t set;
    unsigned n = 0;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        bench_die("cannot read the CPUs that may be used");
    for (int i = 0; i < CPU_SETSIZE && n < BENCH_CPUS_MAX; i++) {
        if (CPU_ISSET((size_t)i, &set))
            cpus[n++] = i;
    }
    return n;
}

static void place(const int *cpus, unsigned n, bool last)
{
    static const struct sched_param none;
    cpu_set_t set;

    CPU_ZERO(&set);
    for (unsigned i = 0; i < n; i++)
        CPU_SET((size_t)cpus[i], &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
        bench_die("cannot pin a thread");
    if (last && pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) != 0)
        bench_die("cannot put a thread behind the others");
}

void bench_place(int cpu, bool last)
{
    place(&cpu, 1, last);
}

struct start {
    int cpus[BENCH_CPUS_MAX];
    unsigned cpus_n;
    bool last;
    void *(*run)(void *);
    void *arg;
};

static void *placed(void *arg)
{
    struct start start = *(struct start *)arg;

    free(arg);
    place(start.cpus, start.cpus_n, start.last);
    return start.run(start.arg);
}

static pthread_t begin(const int *cpus, unsigned cpus_n, bool last, void *(*run)(void *), void *arg)
{
    struct start *start = malloc(sizeof(*start));
    pthread_t thread;

    if (start == NULL || cpus_n > BENCH_CPUS_MAX)
        bench_die("cannot start a thread");
    *start = (struct start){ .cpus_n = cpus_n, .last = last, .run = run, .arg = arg };
    memcpy(start->cpus, cpus, cpus_n * sizeof(*cpus));
    if (pthread_create(&thread, NULL, placed, start) != 0)
        bench_die("cannot start a thread");
    return thread;
}

pthread_t bench_thread(int cpu, bool last, void *(*run)(void *), void *arg)
{
    return begin(&cpu, 1, last, run, arg);
}

struct wanted {
    const char *spec;
    struct milgi_device *device;
};

static void *make_device(void *arg)
{
    struct wanted *wanted = arg;
    const char *why = "";

    if (milgi_device_new(wanted->spec, &wanted->device, &why) != 0)
        bench_die("%s: %s", wanted->spec, why);
    return NULL;
}

/* Threads inherit their maker's place; this one is made for that. */
struct milgi_device *bench_device(const char *spec, const int *cpus, unsigned cpus_n, bool last)
{
    struct wanted wanted = { spec, NULL };

    pthread_join(begin(cpus, cpus_n, last, make_device, &wanted), NULL);
    return wanted.device;
}
