/* SPDX-License-Identifier: Apache-2.0 */
/* Heap bytes per connection: the difference that many connections make to malloc's own count, by side. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "first.h"

#define KIB 1024u

/* Many connections. They share the wires' memory, since only one of them exchanges bytes at a time. */
struct ground {
    struct bench_cert cert;
    struct world *world;
    struct pair first;
    struct pair *pairs;
    unsigned n;
};

static void ground_new(struct ground *g, const struct subject *subject, struct setup setup, unsigned n)
{
    g->cert = bench_cert_make(BENCH_ECDSA_P256);
    g->n = n;
    setup.cert = &g->cert;
    setup.suite = 0x1301;
    g->world = subject->world_new(&setup);
    pair_init(&g->first, subject, g->world);
    g->pairs = calloc(n, sizeof *g->pairs);
    if (!g->pairs)
        bench_die("out of memory");
    for (unsigned i = 0; i < n; i++)
        g->pairs[i] = g->first;
}

static void ground_free(struct ground *g)
{
    const struct subject *subject = g->first.subject;
    struct used unused = { { 0 }, { 0 } };

    for (unsigned i = 0; i < g->n; i++)
        pair_free(&g->pairs[i], MEASURE_NOTHING, &unused);
    subject->world_free(g->world);
    pair_fini(&g->first);
    free(g->pairs);
    bench_cert_free(&g->cert);
}

static void idle_one(struct pair *pair, struct used *used)
{
    static const struct message kib = { BY_COPY, KIB, 1 };

    pair_handshake(pair, MEASURE_HEAP, used);
    pair_exchange(pair, CLIENT, &kib, MEASURE_HEAP, used);
    pair_exchange(pair, SERVER, &kib, MEASURE_HEAP, used);
}

static void halfway_one(struct pair *pair, struct used *used)
{
    pair_halfway(pair, MEASURE_HEAP, used);
    /* What the server has said is dropped. */
    pair->wire[CLIENT].head = pair->wire[CLIENT].tail = 0;
}

static void measure(const struct subject *subject, struct setup setup, unsigned n,
    void (*one)(struct pair *, struct used *), const char *state, const char *label)
{
    struct ground g;
    struct used used = { { 0 }, { 0 } };
    unsigned warm = n / 10 + 1;

    /* The first ones pay for what is made once: slabs, caches, fetched algorithms. */
    ground_new(&g, subject, setup, n + warm);
    for (unsigned i = 0; i < warm; i++)
        one(&g.pairs[i], &used);
    pair_settle(&g.pairs[0], MEASURE_HEAP, &used);
    used = (struct used){ { 0 }, { 0 } };
    for (unsigned i = warm; i < n + warm; i++)
        one(&g.pairs[i], &used);
    pair_settle(&g.pairs[0], MEASURE_HEAP, &used);
    ground_free(&g);
    printf("%.0f|%.0f|%s|%s\n", used.own[SERVER] / n, used.own[CLIENT] / n, state, label);
}

void heap_measure(unsigned n)
{
    static const char idle[] = "idle, established";
    static const char halfway[] = "server waits for Finished";
    const struct setup plain = { .signer = NULL };
    const struct setup lean = { .lean = true };
    const struct setup slow = { .signer = "sim:latency=1000s,units=65536,depth=65536" };

    measure(&subject_milgi, plain, n, idle_one, idle, "Milgi");
    measure(&subject_openssl, plain, n, idle_one, idle, "OpenSSL");
    measure(&subject_openssl, lean, n, idle_one, idle, "OpenSSL, RELEASE_BUFFERS");
    measure(&subject_milgi, plain, n, halfway_one, halfway, "Milgi");
    measure(&subject_openssl, plain, n, halfway_one, halfway, "OpenSSL");
    measure(&subject_openssl, lean, n, halfway_one, halfway, "OpenSSL, RELEASE_BUFFERS");
    measure(&subject_milgi, slow, n, halfway_one, "server's signature in flight", "Milgi");
}

/* One line of the child's: "server|client|state|label". */
static void parse(struct heap *heap, const char *line)
{
    double *side = heap->side;

    if (sscanf(line, "%lf|%lf|%63[^|]|%63[^\n]", &side[SERVER], &side[CLIENT], heap->state, heap->label) != 4)
        bench_die("the heap was not measured: %s", line);
}

/*
 * In a process of its own: a clean heap, and one without malloc's caches per thread, which count what one side has
 * freed as used until the other takes it.
 */
unsigned heap_child(struct heap heaps[HEAPS_MAX])
{
    static char tunables[] = "GLIBC_TUNABLES=glibc.malloc.tcache_count=0";
    char self[] = "/proc/self/exe", option[] = "--heap";
    char *const arguments[] = { self, option, NULL };
    char *const environment[] = { tunables, NULL };
    char line[256];
    int ends[2], status;
    unsigned n = 0;

    if (pipe(ends) != 0)
        bench_die("no pipe");
    pid_t child = fork();
    if (child < 0)
        bench_die("no process");
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execve(self, arguments, environment);
        _exit(127);
    }
    close(ends[1]);
    FILE *out = fdopen(ends[0], "r");
    while (out && n < HEAPS_MAX && fgets(line, sizeof line, out))
        parse(&heaps[n++], line);
    if (out)
        fclose(out);
    if (waitpid(child, &status, 0) != child || status != 0)
        bench_die("measuring the heap failed");
    return n;
}
