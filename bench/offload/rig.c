/* SPDX-License-Identifier: Apache-2.0 */
/* One server, its clients, and the clocks that are read while they work. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <milgi/config.h>

#include "offload.h"

#define MS UINT64_C(1000000)
#define PATIENCE_NS (UINT64_C(40000) * MS) /* then a point has no figures */
#define HEAP_FIRST 100u                    /* handshakes that are parked before those that are counted */
#define SETTLED_NS (4000 * MS)             /* what is idle has gone back by then, whatever the host wakes up for */
#define SPARE_FDS 64u
#define BACKLOG 1024
#define FILE_MAX 65536u

struct run {
    struct rig *rig;
    struct scene scene;
    struct clients clients;
    pthread_t server, client;
    pid_t server_tid, client_tid;
    atomic_bool client_ready, go, client_done, server_done;
    struct sockaddr_un name; /* where clients connect to */
    socklen_t name_len;
};

int must_system(int result, const char *what)
{
    if (result < 0)
        bench_die("%s: %s", what, strerror(errno));
    return result;
}

int must_milgi(int result, const char *what)
{
    if (result < 0)
        bench_die("milgi: %s: %s", what, milgi_error_text(result));
    return result;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

    while (nanosleep(&ts, &ts) != 0)
        ;
}

static void wait_for(atomic_bool *flag)
{
    while (!atomic_load(flag))
        sleep_ns(MS);
}

/* --- sockets ------------------------------------------------------------------------------------------------------ */

unsigned rig_most_clients(const struct design *design)
{
    struct rlimit limit;

    must_system(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit");
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        must_system(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
    }
    rlim_t most = (limit.rlim_cur - SPARE_FDS) / design->fds;
    return most < UINT_MAX ? (unsigned)most : UINT_MAX;
}

/* A socket to connect to, with a name that the kernel chooses. */
static int listener_new(struct sockaddr_un *name, socklen_t *name_len)
{
    int fd = must_system(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

    *name = (struct sockaddr_un){ .sun_family = AF_UNIX };
    must_system(bind(fd, (struct sockaddr *)name, sizeof(sa_family_t)), "bind");
    must_system(listen(fd, BACKLOG), "listen");
    *name_len = sizeof *name;
    must_system(getsockname(fd, (struct sockaddr *)name, name_len), "getsockname");
    return fd;
}

/* The client's thread has a table of descriptors of its own, so that each side has the limit for itself. */
static void connect_all(struct run *run)
{
    must_system(unshare(CLONE_FILES), "unshare");
    for (unsigned i = 0; i < run->clients.n; i++) {
        int fd = must_system(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
        must_system(connect(fd, (struct sockaddr *)&run->name, run->name_len), "connect");
        must_system(fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl");
        run->clients.fd[i] = fd;
    }
}

static void accept_all(struct run *run, int listener)
{
    for (unsigned i = 0; i < run->scene.n; i++)
        run->scene.fd[i] = must_system(accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), "accept4");
    close(listener);
}

/* --- threads ---------------------------------------------------------------------------------------------------- */

static void *server_main(void *arg)
{
    struct run *run = arg;

    bench_pin(run->rig->server_cpu);
    heap_role(ROLE_SERVER);
    run->server_tid = gettid();
    run->scene.design->serve(&run->scene);
    return NULL;
}

static void *client_main(void *arg)
{
    struct run *run = arg;

    bench_pin(run->rig->client_cpu);
    heap_role(ROLE_CLIENT);
    run->client_tid = gettid();
    connect_all(run);
    atomic_store(&run->client_ready, true);
    wait_for(&run->go);
    if (run->clients.design->plain)
        clients_run_plain(&run->clients);
    else
        clients_run(&run->clients);
    atomic_store(&run->client_done, true);
    /* Its sockets go with the thread: a server that is still at work would see them closed. */
    wait_for(&run->server_done);
    return NULL;
}

/* --- made and unmade -------------------------------------------------------------------------------------------- */

/* Connects both sides and starts the server; the clients wait. */
static void start(struct run *run)
{
    int listener = listener_new(&run->name, &run->name_len);

    if (pthread_create(&run->client, NULL, client_main, run) != 0)
        bench_die("no thread");
    accept_all(run, listener);
    wait_for(&run->client_ready);
    if (pthread_create(&run->server, NULL, server_main, run) != 0)
        bench_die("no thread");
    wait_for(&run->scene.ready);
}

static struct run *run_new(struct rig *rig, const struct point *point, unsigned wanted, bool gauged)
{
    struct run *run = calloc(1, sizeof *run);
    const char *why = "";

    if (!run)
        bench_die("out of memory");
    run->rig = rig;
    run->scene.design = run->clients.design = point->design;
    run->scene.cert = &rig->cert;
    run->scene.n = run->clients.n = point->clients;
    run->scene.gauged = gauged;
    run->scene.flights = run->clients.flights = rig->flights;
    run->clients.wanted = wanted;
    if (milgi_device_new(point->device, &run->scene.device, &why) != 0)
        bench_die("%s: %s", point->device, why);
    /* The modelled accelerator is trusted as this process's libcrypto is; design_milgi_verify does not. */
    if (point->units > 0)
        run->scene.device->caps.flags |= MILGI_CAP_LIBCRYPTO;
    if (point->design->verifies)
        run->scene.device = checked_device_new(run->scene.device, &rig->cert);
    run->scene.fd = malloc(run->scene.n * sizeof(int));
    run->clients.fd = malloc(run->clients.n * sizeof(int));
    if (!run->scene.fd || !run->clients.fd)
        bench_die("out of memory");
    run->scene.stop_fd = must_system(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    run->clients.stop_fd = must_system(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    start(run);
    return run;
}

static void ring(int fd)
{
    const uint64_t one = 1;

    if (write(fd, &one, sizeof one) != sizeof one)
        bench_die("cannot write to an eventfd");
}

static void run_stop(struct run *run)
{
    atomic_store(&run->clients.stop, true);
    ring(run->clients.stop_fd);
    wait_for(&run->client_done);
    atomic_store(&run->scene.stop, true);
    ring(run->scene.stop_fd);
    pthread_join(run->server, NULL);
    atomic_store(&run->server_done, true);
    pthread_join(run->client, NULL);
}

static void run_free(struct run *run)
{
    milgi_device_free(run->scene.device);
    for (unsigned i = 0; i < run->scene.n; i++)
        close(run->scene.fd[i]);
    close(run->scene.stop_fd);
    close(run->clients.stop_fd);
    bench_samples_free(&run->clients.us);
    free(run->scene.fd);
    free(run->clients.fd);
    free(run);
}

/* --- clocks ----------------------------------------------------------------------------------------------------- */

struct reading {
    uint64_t now_ns, server_ns, client_ns, switches;
    unsigned long finished;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts;

    must_system(clock_gettime(clock, &ts), "clock_gettime");
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t thread_ns(pthread_t thread)
{
    clockid_t clock;

    if (pthread_getcpuclockid(thread, &clock) != 0)
        bench_die("a thread has no clock");
    return clock_ns(clock);
}

/* Of several threads: what the process used and neither client nor main did. */
static void read_threads(const struct run *run, struct reading *r)
{
    struct rusage usage;

    r->server_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - r->client_ns - clock_ns(CLOCK_THREAD_CPUTIME_ID);
    must_system(getrusage(RUSAGE_SELF, &usage), "getrusage");
    r->switches = (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw) - switches_of(run->client_tid) - switches_of(gettid());
}

static struct reading read_clocks(const struct run *run)
{
    struct reading r = { .finished = atomic_load(&run->clients.finished) };

    r.now_ns = bench_now_ns();
    r.client_ns = thread_ns(run->client);
    if (run->scene.design->threads) {
        read_threads(run, &r);
        return r;
    }
    r.server_ns = thread_ns(run->server);
    r.switches = switches_of(run->server_tid);
    return r;
}

static unsigned server_threads(const struct run *run, pid_t **threads)
{
    unsigned n = threads_list(threads), kept = 0;

    for (unsigned i = 0; i < n; i++) {
        pid_t tid = (*threads)[i];
        bool server = run->scene.design->threads ? tid != run->client_tid && tid != gettid() : tid == run->server_tid;
        if (server)
            (*threads)[kept++] = tid;
    }
    return kept;
}

/*
 * The clients come in waves: all say hello, all are answered. So that each phase of a wave is in it alike, the window
 * ends when every client has had the same number of handshakes, on average, once its time is over.
 */
static bool window(struct run *run, const struct reading *before, uint64_t ns)
{
    unsigned long n = run->clients.n, wanted;

    sleep_ns(ns);
    wanted = (atomic_load(&run->clients.finished) - before->finished) / n * n + n;
    while (atomic_load(&run->clients.finished) - before->finished < wanted) {
        if (bench_now_ns() - before->now_ns > PATIENCE_NS)
            return false;
        sleep_ns(MS / 5);
    }
    return true;
}

/* In a time of its own: while they are counted, system calls cost more. */
static double syscalls_per_handshake(struct run *run)
{
    struct syscall_counter counter;
    pid_t *threads;
    unsigned n = server_threads(run, &threads);

    bool counted = syscalls_open(&counter, threads, n);
    struct reading before = { .now_ns = bench_now_ns(), .finished = atomic_load(&run->clients.finished) };
    counted = counted && window(run, &before, run->rig->syscalls_ns);
    unsigned long after = atomic_load(&run->clients.finished);
    uint64_t calls = syscalls_close(&counter);
    free(threads);
    return counted ? (double)calls / (double)(after - before.finished) : NAN;
}

/* --- a run ------------------------------------------------------------------------------------------------------ */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static void latencies(struct run *run, struct figures *figures)
{
    struct bench_samples *us = &run->clients.us;

    figures->p50_us = figures->p99_us = NAN;
    if (us->n == 0)
        return;
    qsort(us->v, us->n, sizeof *us->v, ascending);
    figures->p50_us = us->v[us->n / 2];
    figures->p99_us = us->v[us->n * 99 / 100];
}

/* Until each client has had its turn, and a while more. */
static bool warm_up(struct run *run)
{
    uint64_t began = bench_now_ns();

    while (atomic_load(&run->clients.finished) < run->clients.n) {
        if (bench_now_ns() - began > PATIENCE_NS)
            return false;
        sleep_ns(MS);
    }
    sleep_ns(run->rig->warm_ns);
    return true;
}

static struct figures between(const struct reading *a, const struct reading *b)
{
    double handshakes = (double)(b->finished - a->finished), ns = (double)(b->now_ns - a->now_ns);

    return (struct figures){
        .seconds = ns / 1e9,
        .handshakes = handshakes,
        .per_second = handshakes / ns * 1e9,
        .cpu_us = (double)(b->server_ns - a->server_ns) / handshakes / 1e3,
        .client_cpu_us = (double)(b->client_ns - a->client_ns) / handshakes / 1e3,
        .server_busy = (double)(b->server_ns - a->server_ns) / ns,
        .client_busy = (double)(b->client_ns - a->client_ns) / ns,
        .switches = (double)(b->switches - a->switches) / handshakes,
        .heap = NAN,
        .stacks = NAN,
    };
}

static const struct figures no_figures = { NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN };

static struct figures figures_of(struct run *run)
{
    if (!warm_up(run))
        return no_figures;
    atomic_store(&run->clients.sampling, true);
    struct reading before = read_clocks(run);
    if (!window(run, &before, run->rig->window_ns))
        return no_figures;
    struct reading after = read_clocks(run);
    atomic_store(&run->clients.sampling, false);
    struct figures figures = between(&before, &after);
    figures.syscalls = syscalls_per_handshake(run);
    return figures;
}

struct figures rig_measure(struct rig *rig, const struct point *point)
{
    struct run *run = run_new(rig, point, point->clients, false);

    atomic_store(&run->go, true);
    struct figures figures = figures_of(run);
    run_stop(run);
    figures.refused = (double)atomic_load(&run->scene.refused);
    latencies(run, &figures);
    if (!point->design->plain)
        rig->flights = run->clients.flights;
    run_free(run);
    return figures;
}

/* --- heap ------------------------------------------------------------------------------------------------------- */

/* The server's heap when |n| handshakes have been parked for a while. */
static long settled(struct run *run, unsigned n)
{
    uint64_t began = bench_now_ns(), since = began;

    for (;;) {
        sleep_ns(MS / 2);
        uint64_t now = bench_now_ns();
        if (atomic_load(&run->scene.parked) != n)
            since = now;
        else if (now - since > SETTLED_NS)
            return heap_live(ROLE_SERVER);
        if (now - began > PATIENCE_NS)
            bench_die("%s: %u handshakes are never parked at once", run->scene.design->name, n);
    }
}

void rig_measure_heap(struct rig *rig, const struct point *point, struct figures *figures)
{
    unsigned first = HEAP_FIRST < point->clients ? HEAP_FIRST : 0;

    struct run *run = run_new(rig, point, first, true);
    heap_count(true);
    atomic_store(&run->go, true);
    long before = settled(run, first);
    atomic_store(&run->clients.wanted, point->clients);
    ring(run->clients.stop_fd);
    long after = settled(run, point->clients);
    heap_count(false);
    figures->heap = (double)(after - before) / (point->clients - first);
    figures->stacks = (double)run->scene.stacks / point->clients;
    run_stop(run);
    run_free(run);
}

/* The last CPU that may be used is the server's, the first the clients'. */
static void choose_cpus(struct rig *rig)
{
    cpu_set_t set;

    must_system(sched_getaffinity(0, sizeof set, &set), "sched_getaffinity");
    if (CPU_COUNT(&set) < 2)
        bench_die("two CPUs are needed, one for the server and one for its clients");
    rig->client_cpu = rig->server_cpu = -1;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET((size_t)i, &set))
            continue;
        rig->client_cpu = rig->client_cpu < 0 ? i : rig->client_cpu;
        rig->server_cpu = i;
    }
}

static char *contents(const char *name, size_t *len)
{
    FILE *file = fopen(name, "r");
    char *text = malloc(FILE_MAX);

    *len = file && text ? fread(text, 1, FILE_MAX, file) : 0;
    if (*len == 0 || *len == FILE_MAX)
        bench_die("cannot read '%s'", name);
    fclose(file);
    return text;
}

static struct bench_cert cert_of(const char *cert, const char *key)
{
    struct bench_cert made;

    if (!cert)
        return bench_cert_make(BENCH_ECDSA_P256);
    made.cert_pem = contents(cert, &made.cert_len);
    if (!milgi_credential_is_uri(key)) {
        made.key_pem = contents(key, &made.key_len);
        return made;
    }
    made.key_pem = strdup(key);
    made.key_len = strlen(key);
    return made;
}

void rig_init(struct rig *rig, const char *cert, const char *key)
{
    signal(SIGPIPE, SIG_IGN);
    *rig = (struct rig){ .server_cpu = -1 };
    choose_cpus(rig);
    bench_pin(rig->client_cpu);
    rig->cert = cert_of(cert, key);
}

void rig_fini(struct rig *rig)
{
    bench_cert_free(&rig->cert);
}
