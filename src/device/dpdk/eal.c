/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment abstraction layer, of which a process has one: it begins with the first device and stays. It is begun
 * on a thread that is gone afterwards, since it binds the thread that begins it to a core, which an engine's is not to
 * be.
 */
#include "device/dpdk/dpdk.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#define ARGUMENTS_MAX 48
#define TEXT_MAX 4096 /* 16 cores with numbers of three digits are 1162 */
#define CORES_MIN 2u
#define CORES_MAX 16u

static struct {
    pthread_mutex_t lock;
    pid_t process; /* that it was begun in; 0: none */
    bool up;
    uint64_t cores_taken;
    _Atomic unsigned number;
} eal = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct arguments {
    char text[TEXT_MAX];
    size_t used;
    char *word[ARGUMENTS_MAX + 1];
    int n;
    bool too_many;
};

static void add(struct arguments *a, const char *word, size_t len)
{
    if (a->n == ARGUMENTS_MAX || a->used + len + 1 > sizeof a->text) {
        a->too_many = true;
        return;
    }
    a->word[a->n++] = memcpy(a->text + a->used, word, len);
    a->text[a->used + len] = '\0';
    a->used += len + 1;
}

static void add_text(struct arguments *a, const char *text)
{
    add(a, text, strlen(text));
}

/* A core for each that this process may use, two at least, and one for the thread that begins it; none is bound. */
static void add_cores(struct arguments *a)
{
    char set[256], text[8 * sizeof set];
    size_t at = 0;
    unsigned n = 0;
    cpu_set_t cpus;

    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0)
        return;
    for (unsigned i = 0; i < CPU_SETSIZE && n < CORES_MAX; i++) {
        if (CPU_ISSET(i, &cpus) && at + 8 < sizeof set)
            at += (size_t)snprintf(set + at, sizeof set - at, "%s%u", n++ ? "," : "", i);
    }
    size_t used = 0;
    n = MILGI__MAX(n, CORES_MIN);
    for (unsigned i = 0; i <= n && used + at + 16 < sizeof text; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u@(%s)", i ? "," : "", i, set);
    add_text(a, "--lcores");
    add_text(a, text);
}

/* Whether it says itself which devices to look for: by a word of its own, since names may have that in them. */
static bool looks_for_devices(const char *arguments)
{
    for (const char *at = arguments; at; at = strchr(at, '+') ? strchr(at, '+') + 1 : NULL) {
        if (strncmp(at, "-a", 2) == 0 || strncmp(at, "--allow", 7) == 0)
            return true;
    }
    return false;
}

/* EAL shows how it is used, and ends the process. Its short options without a value are -h and -v. */
static bool ends_process(const char *arguments)
{
    for (const char *at = arguments; at; at = strchr(at, '+') ? strchr(at, '+') + 1 : NULL) {
        if (strncmp(at, "--h", 3) == 0 && strncmp("--help", at, strcspn(at, "+=")) == 0)
            return true;
        if (at[0] == '-' && at[1 + strspn(at + 1, "v")] == 'h')
            return true;
    }
    return false;
}

/* What the program or its user says comes last, and holds. */
static void add_all(struct arguments *a, const struct dpdk_eal_options *o)
{
    char number[32];

    add_text(a, "milgi");
    add_text(a, "--no-telemetry");
    add_text(a, "--log-level=3"); /* a cryptodev that was stopped would say so of every burst */
    if (o->huge) {
        add_text(a, "--in-memory");
    } else {
        add_text(a, "--no-huge");
        add_text(a, "--no-shconf");
        snprintf(number, sizeof number, "%llu", (unsigned long long)(o->memory >> 20));
        add_text(a, "-m");
        add_text(a, number);
    }
    if (o->pci) {
        add_text(a, "-a");
        add_text(a, o->pci);
    } else if (!looks_for_devices(o->arguments)) {
        add_text(a, "--no-pci");
    }
    add_cores(a);
    for (const char *at = o->arguments; at; at = strchr(at, '+') ? strchr(at, '+') + 1 : NULL)
        add(a, at, strcspn(at, "+"));
}

struct beginning {
    struct arguments arguments;
    int answer, error;
};

static void *run(void *arg)
{
    struct beginning *b = arg;

    b->answer = rte_eal_init(b->arguments.n, b->arguments.word);
    b->error = b->answer < 0 ? rte_errno : 0;
    return NULL;
}

/* Its threads take no signals, which are the application's. */
static bool run_apart(struct beginning *b)
{
    pthread_t thread;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool made = pthread_create(&thread, NULL, run, b) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (made)
        pthread_join(thread, NULL);
    return made;
}

static int begin(const struct dpdk_eal_options *options, const char **why)
{
    struct beginning *b = milgi__alloc(sizeof *b);
    int error = 0;

    if (!b)
        return MILGI_ENOMEM;
    add_all(&b->arguments, options);
    if (b->arguments.too_many) {
        *why = "dpdk: eal has too many arguments";
        error = MILGI_EINVAL;
    } else if (!run_apart(b)) {
        error = MILGI_ENOMEM;
    } else if (b->answer < 0 && b->error != EALREADY) { /* the program may have begun it itself */
        *why = "dpdk: EAL does not begin with these arguments, and is tried once in a process "
               "(eal=--log-level=8 shows why)";
        error = MILGI_EUNSUPPORTED;
    }
    milgi__free(b);
    return error;
}

int dpdk_eal_begin(const struct dpdk_eal_options *options, const char **why)
{
    int error = 0;

    if (ends_process(options->arguments)) {
        *why = "dpdk: eal=--help ends the process";
        return MILGI_EINVAL;
    }
    pthread_mutex_lock(&eal.lock);
    if (eal.process == 0) {
        eal.process = getpid();
        error = begin(options, why);
        eal.up = error == 0;
    } else if (eal.process != getpid()) {
        *why = "dpdk: EAL is another process's: devices have to be made after fork()";
        error = MILGI_EUNSUPPORTED;
    } else if (!eal.up) {
        *why = "dpdk: EAL could not begin in this process, and is tried once";
        error = MILGI_EUNSUPPORTED;
    }
    pthread_mutex_unlock(&eal.lock);
    return error;
}

uint64_t dpdk_eal_cores(unsigned n)
{
    uint64_t mask = 0;

    pthread_mutex_lock(&eal.lock);
    for (unsigned core = rte_get_next_lcore(UINT_MAX, 1, 0); core < RTE_MAX_LCORE;
         core = rte_get_next_lcore(core, 1, 0)) {
        uint64_t bit = core < 64 ? (uint64_t)1 << core : 0;
        if (n > 0 && bit && !(eal.cores_taken & bit)) {
            mask |= bit;
            n--;
        }
    }
    if (n > 0)
        mask = 0;
    eal.cores_taken |= mask;
    pthread_mutex_unlock(&eal.lock);
    return mask;
}

void dpdk_eal_cores_free(uint64_t mask)
{
    pthread_mutex_lock(&eal.lock);
    eal.cores_taken &= ~mask;
    pthread_mutex_unlock(&eal.lock);
}

unsigned dpdk_eal_number(void)
{
    return atomic_fetch_add(&eal.number, 1);
}
