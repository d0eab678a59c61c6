/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

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

static cpu_set_t set_of(const int *cpus, unsigned n)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    for (unsigned i = 0; i < n; i++)
        CPU_SET((size_t)cpus[i], &set);
    return set;
}

static void stand_last(void)
{
    static const struct sched_param none;

    if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) != 0)
        bench_die("cannot put a thread behind the others");
}

void bench_place(int cpu, bool last)
{
    cpu_set_t set = set_of(&cpu, 1);

    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
        bench_die("cannot pin a thread");
    if (last)
        stand_last();
}

struct start {
    bool last;
    void *(*run)(void *);
    void *arg;
};

static void *placed(void *arg)
{
    struct start start = *(struct start *)arg;

    free(arg);
    if (start.last)
        stand_last();
    return start.run(start.arg);
}

/* It is there from its first moment: beside its maker it might wait for that one to sleep. */
static pthread_t begin(const int *cpus, unsigned cpus_n, bool last, void *(*run)(void *), void *arg)
{
    struct start *start = malloc(sizeof(*start));
    cpu_set_t set = set_of(cpus, cpus_n);
    pthread_attr_t attr;
    pthread_t thread;

    if (start == NULL)
        bench_die("out of memory");
    *start = (struct start){ last, run, arg };
    if (pthread_attr_init(&attr) != 0 || pthread_attr_setaffinity_np(&attr, sizeof(set), &set) != 0 ||
        pthread_create(&thread, &attr, placed, start) != 0)
        bench_die("cannot start a thread");
    pthread_attr_destroy(&attr);
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
