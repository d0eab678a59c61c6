/* SPDX-License-Identifier: Apache-2.0 */
/* Heap bytes per connection: a crowd of each subject's, in a process of its own. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "first.h"

static void measure(const struct subject *subject, struct setup setup, unsigned n, enum crowd_state state,
    const char *name, const char *label)
{
    struct bench_cert cert = bench_cert_make(BENCH_ECDSA_P256);

    setup.cert = &cert;
    setup.suite = 0x1301;
    struct used used = crowd(subject, &setup, state, n);
    bench_cert_free(&cert);
    printf("%.0f|%.0f|%s|%s\n", used.own[SERVER], used.own[CLIENT], name, label);
}

void heap_measure(unsigned n)
{
    static const char idle[] = "idle, established";
    static const char halfway[] = "server waits for Finished";
    const struct setup plain = { .signer = NULL };
    const struct setup lean = { .lean = true };
    const struct setup slow = { .signer = "sim:latency=1000s,units=65536,depth=65536" };

    measure(&subject_milgi, plain, n, CROWD_IDLE, idle, "Milgi");
    measure(&subject_openssl, plain, n, CROWD_IDLE, idle, "OpenSSL");
    measure(&subject_openssl, lean, n, CROWD_IDLE, idle, "OpenSSL, RELEASE_BUFFERS");
    measure(&subject_milgi, plain, n, CROWD_HALFWAY, halfway, "Milgi");
    measure(&subject_openssl, plain, n, CROWD_HALFWAY, halfway, "OpenSSL");
    measure(&subject_openssl, lean, n, CROWD_HALFWAY, halfway, "OpenSSL, RELEASE_BUFFERS");
    measure(&subject_milgi, slow, n, CROWD_HALFWAY, "server's signature in flight", "Milgi");
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
