/* SPDX-License-Identifier: Apache-2.0 */
/* On which CPU a thread runs, and before whom. */
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
    if (sched_getaffinity(0, sizeof set, &set) != 0)
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

static bool realtime;

void bench_realtime(void)
{
    realtime = true;
}

static bool stand(enum bench_rank rank)
{
    static const int fifo[] = { [BENCH_FIRST] = 3, [BENCH_SECOND] = 2, [BENCH_NORMAL] = 0, [BENCH_LAST] = 0 };
    static const int fifo_of_all[] = { [BENCH_FIRST] = 3, [BENCH_SECOND] = 2, [BENCH_NORMAL] = 3, [BENCH_LAST] = 1 };
    const struct sched_param wanted = { .sched_priority = realtime ? fifo_of_all[rank] : fifo[rank] };
    static const struct sched_param none;

    if (wanted.sched_priority > 0 && pthread_setschedparam(pthread_self(), SCHED_FIFO, &wanted) == 0)
        return true;
    if (realtime)
        bench_die("the system does not let a thread go before all others");
    bool behind = rank == BENCH_SECOND || rank == BENCH_LAST;
    if (pthread_setschedparam(pthread_self(), behind ? SCHED_IDLE : SCHED_OTHER, &none) != 0)
        bench_die("the system does not let a thread stand where it is wanted");
    return rank >= BENCH_NORMAL;
}

bool bench_place(int cpu, enum bench_rank rank)
{
    cpu_set_t set = set_of(&cpu, 1);

    if (pthread_setaffinity_np(pthread_self(), sizeof set, &set) != 0)
        bench_die("cannot pin a thread");
    return stand(rank);
}

struct start {
    enum bench_rank rank;
    void *(*run)(void *);
    void *arg;
};

static void *placed(void *arg)
{
    struct start start = *(struct start *)arg;

    free(arg);
    (void)stand(start.rank);
    return start.run(start.arg);
}

/* It is there from its first moment: beside its maker it might wait for that one to sleep. */
static pthread_t begin(const int *cpus, unsigned cpus_n, enum bench_rank rank, void *(*run)(void *), void *arg)
{
    struct start *start = malloc(sizeof *start);
    cpu_set_t set = set_of(cpus, cpus_n);
    pthread_attr_t attr;
    pthread_t thread;

    if (!start)
        bench_die("out of memory");
    *start = (struct start){ rank, run, arg };
    if (pthread_attr_init(&attr) != 0 || pthread_attr_setaffinity_np(&attr, sizeof set, &set) != 0 ||
        pthread_create(&thread, &attr, placed, start) != 0)
        bench_die("cannot start a thread");
    pthread_attr_destroy(&attr);
    return thread;
}

pthread_t bench_thread(int cpu, enum bench_rank rank, void *(*run)(void *), void *arg)
{
    return begin(&cpu, 1, rank, run, arg);
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
struct milgi_device *bench_device(const char *spec, const int *cpus, unsigned cpus_n, enum bench_rank rank)
{
    struct wanted wanted = { spec, NULL };

    pthread_join(begin(cpus, cpus_n, rank, make_device, &wanted), NULL);
    return wanted.device;
}
